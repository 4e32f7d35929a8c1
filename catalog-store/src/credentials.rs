//! API keys, links that are good once, and the keys that this server signs with.

use domain::authority::{Member, Scopes};
use domain::{KeyId, Timestamp, UserId};
use serde_json::json;

use crate::accounts::UserState;
use crate::audit::Note;
use crate::catalog::Number;
use crate::engine::{args, parsed};
use crate::{Catalog, CatalogError, Sealed, sql};

/// API keys of one account that are not revoked.
pub const KEYS_MAX: u64 = 50;

/// An API key, and what its account is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub member: Member,
    /// Whether that account can be used.
    pub state: UserState,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters, by which its owner knows it again.
    pub prefix: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last seen in use, to a few minutes.
    pub seen_at: Option<Timestamp>,
    /// It was taken back.
    pub is_revoked: bool,
}

impl ApiKey {
    /// Whether it proves anything at this time.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.is_revoked && self.expires_at.is_none_or(|at| at > now) && self.state == UserState::Active
    }
}

/// A key that is made.
#[derive(Clone)]
pub struct NewApiKey {
    /// Its id.
    pub id: KeyId,
    /// Whose it is.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// The hash of all of it.
    pub hash: String,
    /// What it is good for.
    pub scopes: Scopes,
    /// When it ends; `None` for never.
    pub expires_at: Option<Timestamp>,
}

/// What a link that is good once is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To set up the first account.
    SetUp,
    /// To show that a mail address is one's own.
    VerifyEmail,
    /// To set a new password.
    ResetPassword,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::SetUp => "setup",
            Self::VerifyEmail => "verify",
            Self::ResetPassword => "reset",
        }
    }
}

/// Something secret that this server signs or seals with.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name, which may be public.
    pub id: String,
    /// What it is for, and by which algorithm.
    pub purpose: String,
    /// The key itself, as its user writes it.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Catalog {
    /// Makes an API key.
    ///
    /// # Errors
    /// [`CatalogError::TooManyKeys`] if the account has as many as it may, [`CatalogError::AccountGone`].
    pub async fn create_api_key(&self, new: &NewApiKey, now: Timestamp) -> Result<(), CatalogError> {
        let NewApiKey { id, user, .. } = *new;
        let mut tx = self.begin().await?;
        let actor = user.to_string();
        let data = json!({ "key": id.to_string(), "scopes": new.scopes });
        tx.audit(Note { data, ..Note::of_user(&actor, "key.created", user) }, now).await?;
        tx.hold_account(user).await?;
        let count: Option<Number> = tx.row(sql::credentials::KEY_COUNT, args![user]).await?;
        if count.is_some_and(|row| u64::try_from(row.number).unwrap_or(0) >= KEYS_MAX) {
            return Err(CatalogError::TooManyKeys(user));
        }
        let (name, prefix, hash) = (new.name.as_str(), new.prefix.as_str(), new.hash.as_str());
        let expires_at = new.expires_at.map(Timestamp::unix_ms);
        let args = args![id, user, name, prefix, hash, new.scopes.to_string(), now, expires_at];
        tx.execute(sql::credentials::KEY_INSERT, args).await?;
        tx.commit().await
    }

    /// The key with this hash, in whatever state.
    pub async fn api_key_by_hash(&self, hash: &str) -> Result<Option<ApiKey>, CatalogError> {
        let row: Option<KeyRow> = self.row(sql::credentials::KEY_BY_HASH, args![hash]).await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// The key with this id, in whatever state.
    pub async fn api_key(&self, id: KeyId) -> Result<Option<ApiKey>, CatalogError> {
        let row: Option<KeyRow> = self.row(sql::credentials::KEY_BY_ID, args![id]).await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// The keys of an account that are not revoked, newest first.
    pub async fn api_keys_of(&self, user: UserId) -> Result<Vec<ApiKey>, CatalogError> {
        let rows: Vec<KeyRow> = self.rows(sql::credentials::KEYS_OF_USER, args![user]).await?;
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Notes that a key is in use.
    pub async fn touch_api_key(&self, id: KeyId, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::credentials::KEY_TOUCH, args![id, now]).await?;
        tx.commit().await
    }

    /// Takes a key of an account back; false if there is none, or that was done.
    pub async fn revoke_api_key(&self, user: UserId, id: KeyId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let (actor, data) = (user.to_string(), json!({ "key": id.to_string() }));
        tx.audit(Note { data, ..Note::of_user(&actor, "key.revoked", user) }, now).await?;
        if tx.execute(sql::credentials::KEY_REVOKE, args![id, user, now]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Records a link that is good once, by the hash of what is secret in it; those before it are good no more.
    ///
    /// # Errors
    /// [`CatalogError::AccountGone`].
    pub async fn issue_ticket(
        &self,
        hash: &str,
        (user, purpose): (UserId, Purpose),
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.hold_account(user).await?;
        tx.execute(sql::credentials::TICKETS_DROP, args![user, purpose.as_str()]).await?;
        let args = args![hash, user, purpose.as_str(), "", now, expires_at];
        tx.execute(sql::credentials::TICKET_INSERT, args).await?;
        tx.commit().await
    }

    /// Whose link this is, if it is still good; it stays so.
    pub async fn ticket(&self, hash: &str, purpose: Purpose, now: Timestamp) -> Result<Option<UserId>, CatalogError> {
        let row: Option<TicketRow> =
            self.row(sql::credentials::TICKET_FIND, args![hash, purpose.as_str(), now]).await?;
        row.map(|row| parsed("tickets.user_id", &row.user_id)).transpose()
    }

    /// Takes a ticket: whose it was, if it was good.
    pub async fn take_ticket(
        &self,
        hash: &str,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, CatalogError> {
        let mut tx = self.begin().await?;
        let row: Option<TicketRow> = tx.row(sql::credentials::TICKET_TAKE, args![hash, purpose.as_str(), now]).await?;
        tx.commit().await?;
        row.map(|row| parsed("tickets.user_id", &row.user_id)).transpose()
    }

    /// Everything that this installation signs with, oldest first.
    pub async fn signing_keys(&self) -> Result<Vec<SigningKey>, CatalogError> {
        let rows: Vec<SigningKeyRow> = self.rows(sql::credentials::SIGNING_KEYS, args![]).await?;
        rows.into_iter().map(|row| self.opened_key(row)).collect()
    }

    /// Adds `new` unless there is one of its purpose already that is younger than `older_than`, and removes those
    /// named in `gone`; all that there are then.
    pub async fn renew_signing_keys(
        &self,
        new: Option<&SigningKey>,
        older_than: Timestamp,
        gone: &[String],
        now: Timestamp,
    ) -> Result<Vec<SigningKey>, CatalogError> {
        let mut tx = self.begin().await?;
        let key = new.map(|key| json!({ "key": key.id, "purpose": key.purpose }));
        let data = json!({ "added": key, "removed": gone });
        tx.audit(Note { actor: "system", action: "signing_key.renewed", subject: None, data }, now).await?;
        // Asked behind the head of the log, so that of several processes one adds a key.
        let there: Vec<SigningKeyRow> = tx.rows(sql::credentials::SIGNING_KEYS, args![]).await?;
        let is_young = |key: &SigningKey| {
            let young = there.iter().filter(|row| row.purpose == key.purpose);
            young.map(|row| row.created_at).any(|created_at| created_at > older_than.unix_ms())
        };
        match new {
            Some(key) if is_young(key) && gone.is_empty() => return self.signing_keys().await,
            Some(key) if !is_young(key) => {
                let secret = self.sealed("signing_keys", &key.id, &key.secret)?;
                let (id, purpose) = (key.id.as_str(), key.purpose.as_str());
                tx.execute(sql::credentials::SIGNING_KEY_INSERT, args![id, purpose, secret, key.created_at]).await?;
            }
            _ => {}
        }
        for id in gone {
            tx.execute(sql::credentials::SIGNING_KEY_DELETE, args![id.as_str()]).await?;
        }
        tx.commit().await?;
        self.signing_keys().await
    }

    fn opened_key(&self, row: SigningKeyRow) -> Result<SigningKey, CatalogError> {
        let secret = self.opened("signing_keys", &row.id, &Sealed::stored(row.secret))?;
        let created_at = Timestamp::from_unix_ms(row.created_at);
        Ok(SigningKey { id: row.id, purpose: row.purpose, secret, created_at })
    }
}

/// `api_keys` as stored, with what is asked of `users`.
#[derive(sqlx::FromRow)]
struct KeyRow {
    id: String,
    user_id: String,
    name: String,
    prefix: String,
    scopes: String,
    created_at: i64,
    expires_at: Option<i64>,
    seen_at: Option<i64>,
    revoked_at: Option<i64>,
    role: String,
    state: String,
}

impl TryFrom<KeyRow> for ApiKey {
    type Error = CatalogError;

    fn try_from(row: KeyRow) -> Result<Self, CatalogError> {
        let member = Member { id: parsed("api_keys.user_id", &row.user_id)?, role: parsed("users.role", &row.role)? };
        Ok(Self {
            id: parsed("api_keys.id", &row.id)?,
            member,
            state: parsed("users.state", &row.state)?,
            name: row.name,
            prefix: row.prefix,
            scopes: parsed("api_keys.scopes", &row.scopes)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            expires_at: row.expires_at.map(Timestamp::from_unix_ms),
            seen_at: row.seen_at.map(Timestamp::from_unix_ms),
            is_revoked: row.revoked_at.is_some(),
        })
    }
}

#[derive(sqlx::FromRow)]
struct TicketRow {
    user_id: String,
}

/// `signing_keys` as stored.
#[derive(sqlx::FromRow)]
struct SigningKeyRow {
    id: String,
    purpose: String,
    secret: String,
    created_at: i64,
}
