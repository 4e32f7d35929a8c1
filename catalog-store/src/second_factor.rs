//! The second factor of an account: a secret that codes are made from, and codes for when its device is lost.

use domain::{Timestamp, UserId};

use crate::audit::Note;
use crate::engine::args;
use crate::{Catalog, CatalogError, Sealed, sql};

impl Catalog {
    /// The secret of an account's second factor, or one that is to become it, as [`Self::begin_totp`] was given it.
    ///
    /// # Errors
    /// [`CatalogError::Unopened`] if it is not what was sealed for this account.
    pub fn opened_totp(&self, id: UserId, secret: &Sealed) -> Result<String, CatalogError> {
        self.opened("users", id, secret)
    }

    /// Notes a secret that its owner has yet to confirm with a code; one that is in force stays so.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn begin_totp(&self, id: UserId, secret: &str, now: Timestamp) -> Result<(), CatalogError> {
        let sealed = self.sealed("users", id, secret)?;
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.second_factor_begun", id), now).await?;
        tx.lock_user(id, None, now).await?;
        tx.execute(sql::second_factor::BEGIN, args![id, sealed]).await?;
        tx.commit().await
    }

    /// Puts the secret in force that was begun, with the hashes of recovery codes; false if none was begun.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn confirm_totp(
        &self,
        id: UserId,
        step: i64,
        codes: &[String],
        now: Timestamp,
    ) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.second_factor_set", id), now).await?;
        tx.lock_user(id, None, now).await?;
        if tx.execute(sql::second_factor::CONFIRM, args![id, step]).await? != 1 {
            return Ok(false);
        }
        tx.execute(sql::second_factor::CODES_DROP, args![id]).await?;
        for code in codes {
            tx.execute(sql::second_factor::CODE_INSERT, args![id, code.as_str()]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Asks for no second factor any more.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn remove_totp(&self, id: UserId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.second_factor_removed", id), now).await?;
        tx.lock_user(id, None, now).await?;
        tx.execute(sql::second_factor::REMOVE, args![id]).await?;
        tx.execute(sql::second_factor::CODES_DROP, args![id]).await?;
        tx.commit().await
    }

    /// Uses the code of a time step; false if that, or one of a later step, was used before.
    pub async fn use_totp_step(&self, id: UserId, step: i64) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let used = tx.execute(sql::second_factor::USE_STEP, args![id, step]).await?;
        tx.commit().await?;
        Ok(used == 1)
    }

    /// Uses a recovery code; false if there is none with this hash.
    pub async fn take_recovery_code(&self, id: UserId, hash: &str, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.recovery_code_used", id), now).await?;
        if tx.execute(sql::second_factor::CODE_TAKE, args![id, hash]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }
}
