//! Pictures of people: which one is shown, and which are to be removed from the store.
//!
//! A picture lies in the store before anybody knows of it, and still lies there when nobody does any more. So it is
//! announced first, as one that is to be removed later: whoever is killed in between leaves nothing behind.

use domain::{PictureId, Timestamp, UserId};

use crate::audit::Note;
use crate::catalog::{Text, Tx};
use crate::engine::{args, corrupt, parsed};
use crate::{Catalog, CatalogError, User, sql};

impl Catalog {
    /// The picture of an account that is not deleted.
    pub async fn avatar(&self, user: UserId) -> Result<Option<PictureId>, CatalogError> {
        let row: Option<Text> = self.row(sql::avatars::OF, args![user]).await?;
        row.map(|row| parsed("users.avatar", &row.text)).transpose()
    }

    /// Notes that a picture is about to be put into the store. Unless it is taken as somebody's, it is removed after
    /// `until`.
    pub async fn announce_avatar(
        &self,
        user: UserId,
        picture: PictureId,
        until: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::avatars::ANNOUNCE, args![picture, user, until]).await?;
        tx.commit().await
    }

    /// Makes a picture that was announced, and is in the store, that of an account. The one before is to be removed.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn set_avatar(&self, user: UserId, picture: PictureId, now: Timestamp) -> Result<User, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&user.to_string(), "user.avatar_set", user), now).await?;
        tx.lock_user(user, None, now).await?;
        if tx.execute(sql::avatars::FORGET, args![picture]).await? != 1 {
            return Err(corrupt("avatar_removals", "the picture was not announced, or waited for too long"));
        }
        tx.release_avatar(user, now).await?;
        tx.execute(sql::avatars::SET, args![user, Some(picture.to_string())]).await?;
        tx.commit_user(user).await
    }

    /// Takes the picture of an account back; false if there is none.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn remove_avatar(&self, user: UserId, actor: &str, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(actor, "user.avatar_removed", user), now).await?;
        if tx.lock_user(user, None, now).await?.avatar.is_none() {
            // Nothing is done, so nothing is logged.
            return Ok(false);
        }
        tx.release_avatar(user, now).await?;
        tx.execute(sql::avatars::SET, args![user, None::<String>]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// At most `limit` pictures that are to be removed from the store by now, and whose they were.
    pub async fn avatars_due(&self, limit: u32, now: Timestamp) -> Result<Vec<(UserId, PictureId)>, CatalogError> {
        let rows: Vec<RemovalRow> = self.rows(sql::avatars::DUE, args![now, limit]).await?;
        let due = |row: RemovalRow| {
            let user = parsed("avatar_removals.user_id", &row.user_id)?;
            Ok((user, parsed("avatar_removals.picture", &row.picture)?))
        };
        rows.into_iter().map(due).collect()
    }

    /// Notes that a picture is in the store no longer.
    pub async fn forget_avatar(&self, picture: PictureId) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::avatars::FORGET, args![picture]).await?;
        tx.commit().await
    }
}

impl Tx {
    /// The picture of a locked account, if it has one, is to be removed from the store.
    pub(crate) async fn release_avatar(&mut self, user: UserId, now: Timestamp) -> Result<(), CatalogError> {
        self.execute(sql::avatars::RELEASE, args![user, now]).await?;
        Ok(())
    }
}

/// `avatar_removals` as stored.
#[derive(sqlx::FromRow)]
struct RemovalRow {
    picture: String,
    user_id: String,
}
