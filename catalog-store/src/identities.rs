//! Who somebody is at providers of identities: the issuer and its name for them, which never change.

use domain::{IdentityId, Timestamp, UserId};
use serde_json::json;

use crate::audit::Note;
use crate::catalog::{Number, Tx};
use crate::engine::{args, parsed};
use crate::{Catalog, CatalogError, NewUser, sql};

/// Identities of one account.
pub const IDENTITIES_MAX: u64 = 20;

/// That an account is also known to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: IdentityId,
    /// Whose it is.
    pub user: UserId,
    /// What the settings called the provider when it was linked.
    pub provider: String,
    /// The provider.
    pub issuer: String,
    /// What the provider calls them.
    pub subject: String,
    /// When it was linked.
    pub created_at: Timestamp,
    /// When it last proved who they are.
    pub used_at: Timestamp,
}

/// An identity that is linked to an account.
#[derive(Clone)]
pub struct NewIdentity {
    /// Its id.
    pub id: IdentityId,
    /// What the settings call the provider.
    pub provider: String,
    /// The provider.
    pub issuer: String,
    /// What the provider calls them.
    pub subject: String,
}

impl Catalog {
    /// The identity of this subject, if it is linked to an account.
    pub async fn identity(&self, issuer: &str, subject: &str) -> Result<Option<Identity>, CatalogError> {
        let row: Option<IdentityRow> = self.row(sql::identities::BY_SUBJECT, args![issuer, subject]).await?;
        row.map(Identity::try_from).transpose()
    }

    /// The identities of an account, newest first.
    pub async fn identities_of(&self, user: UserId) -> Result<Vec<Identity>, CatalogError> {
        let rows: Vec<IdentityRow> = self.rows(sql::identities::OF_USER, args![user]).await?;
        rows.into_iter().map(Identity::try_from).collect()
    }

    /// Links an identity to an account; false if it is linked to this one already.
    ///
    /// # Errors
    /// [`CatalogError::IdentityTaken`] if another account has it, [`CatalogError::TooManyIdentities`] if the account
    /// has as many as it may, [`CatalogError::NoUser`] if it is gone.
    pub async fn link_identity(&self, new: &NewIdentity, user: UserId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let actor = user.to_string();
        let data = json!({ "identity": new.id, "provider": new.provider });
        tx.audit(Note { data, ..Note::of_user(&actor, "identity.linked", user) }, now).await?;
        tx.lock_user(user, None, now).await?;
        let is_new = tx.link(new, user, now).await?;
        if is_new {
            tx.commit().await?;
        }
        Ok(is_new)
    }

    /// Makes an account for somebody whom a provider vouches for.
    ///
    /// # Errors
    /// [`CatalogError::EmailTaken`] if another account has the address, [`CatalogError::IdentityTaken`] if one has the
    /// identity.
    pub async fn create_user_of(
        &self,
        user: &NewUser,
        identity: &NewIdentity,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let data = json!({ "role": user.role, "provider": identity.provider, "identity": identity.id });
        tx.audit(Note { data, ..Note::of_user("anybody", "user.created", user.id) }, now).await?;
        tx.insert_user(user, now).await?;
        tx.link(identity, user.id, now).await?;
        tx.commit().await
    }

    /// Notes that an identity has proved who somebody is.
    pub async fn use_identity(&self, id: IdentityId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::identities::USE, args![id, now]).await?;
        tx.commit().await
    }

    /// Takes an identity off an account; false if it has none of this id.
    ///
    /// # Errors
    /// [`CatalogError::LastWayIn`] if its owner could not log in any more: there is no password, and no other one.
    pub async fn unlink_identity(&self, user: UserId, id: IdentityId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let actor = user.to_string();
        let data = json!({ "identity": id });
        tx.audit(Note { data, ..Note::of_user(&actor, "identity.unlinked", user) }, now).await?;
        let owner = tx.lock_user(user, None, now).await?;
        if tx.execute(sql::identities::DELETE, args![id, user]).await? != 1 {
            return Ok(false);
        }
        if owner.password.is_none() && tx.identity_count(user).await? == 0 {
            return Err(CatalogError::LastWayIn);
        }
        tx.commit().await?;
        Ok(true)
    }
}

impl Tx {
    async fn identity_count(&mut self, user: UserId) -> Result<u64, CatalogError> {
        let count: Option<Number> = self.row(sql::identities::COUNT, args![user]).await?;
        Ok(count.map_or(0, |row| u64::try_from(row.number).unwrap_or(0)))
    }

    async fn link(&mut self, new: &NewIdentity, user: UserId, now: Timestamp) -> Result<bool, CatalogError> {
        let (provider, issuer, subject) = (new.provider.as_str(), new.issuer.as_str(), new.subject.as_str());
        if self.execute(sql::identities::INSERT, args![new.id, user, provider, issuer, subject, now]).await? == 1 {
            return match self.identity_count(user).await? > IDENTITIES_MAX {
                true => Err(CatalogError::TooManyIdentities),
                false => Ok(true),
            };
        }
        let known: Option<IdentityRow> = self.row(sql::identities::BY_SUBJECT, args![issuer, subject]).await?;
        match known.map(Identity::try_from).transpose()? {
            Some(known) if known.user == user => Ok(false),
            _ => Err(CatalogError::IdentityTaken),
        }
    }
}

/// `identities` as stored.
#[derive(sqlx::FromRow)]
struct IdentityRow {
    id: String,
    user_id: String,
    provider: String,
    issuer: String,
    subject: String,
    created_at: i64,
    used_at: i64,
}

impl TryFrom<IdentityRow> for Identity {
    type Error = CatalogError;

    fn try_from(row: IdentityRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("identities.id", &row.id)?,
            user: parsed("identities.user_id", &row.user_id)?,
            provider: row.provider,
            issuer: row.issuer,
            subject: row.subject,
            created_at: Timestamp::from_unix_ms(row.created_at),
            used_at: Timestamp::from_unix_ms(row.used_at),
        })
    }
}
