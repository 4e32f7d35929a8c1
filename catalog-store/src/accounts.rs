//! Accounts: who they are, what they may, and whether they still exist.
//!
//! Every change is logged in the same transaction ([`crate::audit`]), which also orders them: the first thing each
//! does is to take the head of that log.

use std::fmt;
use std::str::FromStr;

use domain::authority::Role;
use domain::{PictureId, SessionId, Timestamp, UserId};
use serde_json::json;

use crate::audit::Note;
use crate::catalog::{MaybeNumber, Text, Tx};
use crate::engine::{args, column, count, parsed};
use crate::{Catalog, CatalogError, Sealed, Side, sql};

/// Most accounts that one page of [`Catalog::users`] holds.
pub const PAGE_USERS_MAX: u32 = 100;

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    /// It can.
    Active,
    /// Nobody gets in until an administrator says so.
    Suspended,
    /// Only its id is left.
    Deleted,
}

impl UserState {
    /// Its name in documents and in the catalogue.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for UserState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no state of an account.
#[derive(Debug, thiserror::Error)]
#[error("an account is active, suspended or deleted")]
pub struct UnknownUserState;

impl FromStr for UserState {
    type Err = UnknownUserState;

    fn from_str(name: &str) -> Result<Self, UnknownUserState> {
        let all = [Self::Active, Self::Suspended, Self::Deleted];
        all.into_iter().find(|state| state.as_str() == name).ok_or(UnknownUserState)
    }
}

/// An account.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its mail address as it was given; `None` for one that was deleted or never set up.
    pub email: Option<String>,
    /// What others call them.
    pub name: String,
    /// What they say of themselves.
    pub bio: String,
    /// The language they are written to in.
    pub language: Option<String>,
    /// What they are.
    pub role: Role,
    /// Whether the account can be used.
    pub state: UserState,
    /// The hash of the password; `None` if there is none yet.
    pub password: Option<String>,
    /// Somebody followed a link that was sent to the address.
    pub is_email_verified: bool,
    /// Octets that their uploads may take; `None` for as many as everybody's.
    pub quota_bytes: Option<u64>,
    /// What the codes of their second factor are made from ([`Catalog::opened_totp`]); `None` if they have none.
    pub totp: Option<Sealed>,
    /// The same, not confirmed yet.
    pub totp_pending: Option<Sealed>,
    /// Their picture, which lies in the store.
    pub avatar: Option<PictureId>,
    /// Rises with every change.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Without what nobody should find in a log.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("role", &self.role).field("state", &self.state).finish()
    }
}

/// A new account.
#[derive(Clone)]
pub struct NewUser {
    /// Its id.
    pub id: UserId,
    /// Its mail address, if it has one.
    pub email: Option<String>,
    /// What others call them.
    pub name: String,
    /// The language they are written to in.
    pub language: Option<String>,
    /// What they are.
    pub role: Role,
    /// The hash of the password, if there is one.
    pub password: Option<String>,
    /// The address is known to be theirs.
    pub is_email_verified: bool,
}

/// What somebody changes about themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What others call them.
    pub name: String,
    /// What they say of themselves.
    pub bio: String,
    /// The language they are written to in.
    pub language: Option<String>,
}

/// What an administrator changes about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What they are.
    pub role: Role,
    /// Whether the account can be used; not `Deleted`.
    pub state: UserState,
    /// Octets that their uploads may take; `None` for as many as everybody's.
    pub quota_bytes: Option<u64>,
}

/// How mail addresses are compared.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

impl Catalog {
    /// Makes an account.
    ///
    /// # Errors
    /// [`CatalogError::EmailTaken`] if another one has the address; that is logged too.
    pub async fn create_user(&self, new: &NewUser, actor: &str, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        let taken: Option<UserRow> = match new.email.as_deref().map(email_key) {
            Some(key) => tx.row(sql::accounts::BY_EMAIL, args![key]).await?,
            None => None,
        };
        if let Some(taken) = taken {
            let taken: UserId = parsed("users.id", &taken.id)?;
            tx.audit(Note::of_user(actor, "user.registered_again", taken), now).await?;
            tx.commit().await?;
            return Err(CatalogError::EmailTaken(taken));
        }
        tx.create_user(new, actor, now).await?;
        tx.commit().await
    }

    /// Makes many accounts, all in one transaction.
    ///
    /// # Errors
    /// [`CatalogError::EmailTaken`] if another one has one of the addresses; then none is made.
    pub async fn create_users(&self, new: &[NewUser], actor: &str, now: Timestamp) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        for one in new {
            tx.create_user(one, actor, now).await?;
        }
        tx.commit().await
    }

    /// The account with this id, in whatever state.
    pub async fn user(&self, id: UserId) -> Result<Option<User>, CatalogError> {
        let row: Option<UserRow> = self.row(sql::accounts::BY_ID, args![id]).await?;
        row.map(User::try_from).transpose()
    }

    /// The account with this mail address, however it is written.
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, CatalogError> {
        let row: Option<UserRow> = self.row(sql::accounts::BY_EMAIL, args![email_key(email)]).await?;
        row.map(User::try_from).transpose()
    }

    /// At most `limit` (and [`PAGE_USERS_MAX`] + 1) accounts on one side of another, newest first, without deleted ones.
    pub async fn users(&self, side: Option<Side<UserId>>, limit: u32) -> Result<Vec<User>, CatalogError> {
        let (place, way) = Side::or_first(side, UserId::from_u128(u128::MAX));
        let statements = [sql::accounts::PAGE, sql::accounts::PAGE_BEFORE];
        let rows: Vec<UserRow> = self.page(way, statements, args![place, limit.min(PAGE_USERS_MAX + 1)]).await?;
        rows.into_iter().map(User::try_from).collect()
    }

    /// Whether somebody can decide about accounts.
    pub async fn has_admin(&self) -> Result<bool, CatalogError> {
        Ok(self.number(sql::accounts::ADMINS, args![]).await? > 0)
    }

    /// The administrator who was made but never set up.
    pub async fn fresh_admin(&self) -> Result<Option<UserId>, CatalogError> {
        let row: Option<Text> = self.row(sql::accounts::FRESH_ADMIN, args![]).await?;
        row.map(|row| parsed("users.id", &row.text)).transpose()
    }

    /// Octets that the uploads of this name may take, where an account says so itself.
    pub async fn quota_of(&self, name: &str) -> Result<Option<u64>, CatalogError> {
        let row: Option<MaybeNumber> = self.row(sql::accounts::QUOTA, args![name]).await?;
        row.and_then(|row| row.number).map(|bytes| count("users.quota_bytes", bytes)).transpose()
    }

    /// Changes what somebody says of themselves, if the account is still at `version`.
    ///
    /// # Errors
    /// [`CatalogError::Changed`] if it is not, [`CatalogError::NoUser`] if it is gone.
    pub async fn set_profile(
        &self,
        id: UserId,
        version: u64,
        profile: &Profile,
        now: Timestamp,
    ) -> Result<User, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.profile_changed", id), now).await?;
        let user = tx.lock_user(id, Some(version), now).await?;
        let (name, bio, language) = (profile.name.as_str(), profile.bio.as_str(), profile.language.clone());
        tx.execute(sql::accounts::SET_PROFILE, args![id, name, bio, language]).await?;
        tx.put_user_terms(id, user.email.as_deref(), name).await?;
        tx.commit_user(id).await
    }

    /// Changes what an account is and may, if it is still at `version`; suspending it ends its sessions.
    ///
    /// # Errors
    /// [`CatalogError::LastAdmin`] if nobody could decide about accounts any more; else as [`Self::set_profile`].
    pub async fn set_terms(
        &self,
        id: UserId,
        version: u64,
        terms: &Terms,
        actor: &str,
        now: Timestamp,
    ) -> Result<User, CatalogError> {
        let mut tx = self.begin().await?;
        let data = json!({ "role": terms.role, "state": terms.state.as_str(), "quota_bytes": terms.quota_bytes });
        tx.audit(Note { data, ..Note::of_user(actor, "user.terms_changed", id) }, now).await?;
        tx.lock_user(id, Some(version), now).await?;
        let quota = terms.quota_bytes.map(column).transpose()?;
        tx.execute(sql::accounts::SET_STANDING, args![id, terms.role.as_str(), terms.state.as_str(), quota]).await?;
        if terms.state != UserState::Active {
            tx.execute(sql::sessions::END_OTHERS, args![id, "", now]).await?;
        }
        tx.keep_an_admin().await?;
        tx.commit_user(id).await
    }

    /// Sets the password and ends all sessions but `keep`; what was sent to reset it is good for nothing any more.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if the account is gone.
    pub async fn set_password(
        &self,
        id: UserId,
        hash: &str,
        keep: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.replace_password(id, (None, hash), keep, now).await
    }

    /// The same in the name of somebody who knew the password whose hash is `was`.
    ///
    /// # Errors
    /// [`CatalogError::NotInForce`] if another one is in force by now; else as [`Self::set_password`].
    pub async fn change_password(
        &self,
        id: UserId,
        (was, hash): (&str, &str),
        keep: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.replace_password(id, (Some(was), hash), keep, now).await
    }

    async fn replace_password(
        &self,
        id: UserId,
        (was, hash): (Option<&str>, &str),
        keep: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.password_changed", id), now).await?;
        let user = tx.lock_user(id, None, now).await?;
        if was.is_some() && user.password.as_deref() != was {
            return Err(CatalogError::NotInForce);
        }
        tx.execute(sql::accounts::SET_PASSWORD, args![id, hash]).await?;
        let keep = keep.map_or_else(String::new, |keep| keep.to_string());
        tx.execute(sql::sessions::END_OTHERS, args![id, keep, now]).await?;
        tx.execute(sql::credentials::TICKETS_DROP, args![id, "reset"]).await?;
        tx.commit().await
    }

    /// Writes the hash of the same password anew, by another rule; false if `was`, of which that is known, is not in
    /// force any more.
    pub async fn rehash_password(&self, id: UserId, was: &str, hash: &str) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql::accounts::REHASH, args![id, was, hash]).await?;
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Gives the first administrator an address, a name and a password.
    ///
    /// # Errors
    /// [`CatalogError::EmailTaken`] if another account has the address.
    pub async fn set_up(
        &self,
        id: UserId,
        (email, name): (&str, &str),
        hash: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.set_up", id), now).await?;
        let user = tx.lock_user(id, None, now).await?;
        let key = email_key(email);
        if let Some(taken) = tx.row::<UserRow>(sql::accounts::BY_EMAIL, args![key.as_str()]).await? {
            return Err(CatalogError::EmailTaken(parsed("users.id", &taken.id)?));
        }
        tx.execute(sql::accounts::SET_EMAIL, args![id, email, key, Some(now.unix_ms())]).await?;
        tx.execute(sql::accounts::SET_PROFILE, args![id, name, user.bio, user.language]).await?;
        tx.put_user_terms(id, Some(email), name).await?;
        tx.execute(sql::accounts::SET_PASSWORD, args![id, hash]).await?;
        tx.commit().await
    }

    /// Notes that the mail address of an account is theirs; false if that was known.
    pub async fn verify_email(&self, id: UserId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&id.to_string(), "user.email_verified", id), now).await?;
        tx.lock_user(id, None, now).await?;
        let changed = tx.execute(sql::accounts::VERIFY_EMAIL, args![id, now]).await?;
        tx.commit().await?;
        Ok(changed == 1)
    }

    /// Deletes an account: what is personal is gone, its sessions, keys, shares and webhooks end. Its assets
    /// stay.
    ///
    /// # Errors
    /// [`CatalogError::NoUser`] if there is none, [`CatalogError::LastAdmin`] as for [`Self::set_terms`],
    /// [`CatalogError::Changed`] if `version` is given and it is another.
    pub async fn delete_user(
        &self,
        id: UserId,
        version: Option<u64>,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(actor, "user.deleted", id), now).await?;
        tx.lock_user(id, version, now).await?;
        tx.erase(id, now).await?;
        tx.keep_an_admin().await?;
        tx.commit().await
    }
}

impl Tx {
    /// Makes an account whose address nobody else has, and logs that.
    async fn create_user(&mut self, new: &NewUser, actor: &str, now: Timestamp) -> Result<(), CatalogError> {
        let note = Note::of_user(actor, "user.created", new.id);
        self.audit(Note { data: json!({ "role": new.role }), ..note }, now).await?;
        self.insert_user(new, now).await
    }

    /// Adds an account, behind the head of the audit log.
    pub(crate) async fn insert_user(&mut self, new: &NewUser, now: Timestamp) -> Result<(), CatalogError> {
        let key = new.email.as_deref().map(email_key);
        // Somebody may have been faster before the head was taken.
        if let Some(key) = &key
            && let Some(taken) = self.row::<UserRow>(sql::accounts::BY_EMAIL, args![key.as_str()]).await?
        {
            return Err(CatalogError::EmailTaken(parsed("users.id", &taken.id)?));
        }
        let verified_at = new.is_email_verified.then(|| now.unix_ms());
        let (email, name, language) = (new.email.clone(), new.name.clone(), new.language.clone());
        let (role, password) = (new.role.as_str(), new.password.clone());
        let args = args![new.id, email, key, name, language, role, password, verified_at, now];
        self.execute(sql::accounts::INSERT, args).await?;
        self.put_user_terms(new.id, new.email.as_deref(), &new.name).await
    }

    /// Holds the account as it is until commit, in whatever state, beside others who hold it so. Call it before any
    /// other row is held but the head of the audit log.
    pub(crate) async fn hold_user(&mut self, id: UserId) -> Result<Option<User>, CatalogError> {
        let row: Option<UserRow> = self.row(sql::accounts::HOLD, args![id]).await?;
        row.map(User::try_from).transpose()
    }

    /// Holds an account to exist until commit, as [`Self::hold_user`] does: before anything becomes its, which would be
    /// left behind otherwise by who deletes it at the same time. What never was an account is none that is gone.
    pub(crate) async fn hold_account(&mut self, id: UserId) -> Result<(), CatalogError> {
        match self.hold_user(id).await? {
            Some(user) if user.state == UserState::Deleted => Err(CatalogError::AccountGone(id)),
            _ => Ok(()),
        }
    }

    /// The same of the principal of this name, if it is an account.
    pub(crate) async fn hold_owner(&mut self, name: Option<&str>) -> Result<(), CatalogError> {
        match name.and_then(|name| name.parse().ok()) {
            Some(id) => self.hold_account(id).await,
            None => Ok(()),
        }
    }

    /// Holds the account's row until commit.
    pub(crate) async fn lock_user(
        &mut self,
        id: UserId,
        version: Option<u64>,
        now: Timestamp,
    ) -> Result<User, CatalogError> {
        let row: Option<UserRow> = self.row(sql::accounts::LOCK, args![id, now]).await?;
        let user = User::try_from(row.ok_or(CatalogError::NoUser(id))?)?;
        // The row is one further than it was.
        match version {
            Some(version) if version + 1 != user.version => Err(CatalogError::Changed { version: user.version - 1 }),
            _ => Ok(user),
        }
    }

    pub(crate) async fn commit_user(mut self, id: UserId) -> Result<User, CatalogError> {
        let row: Option<UserRow> = self.row(sql::accounts::BY_ID, args![id]).await?;
        let user = User::try_from(row.ok_or(CatalogError::NoUser(id))?)?;
        self.commit().await?;
        Ok(user)
    }

    pub(crate) async fn keep_an_admin(&mut self) -> Result<(), CatalogError> {
        let admins: Option<MaybeNumber> = self.row(sql::accounts::ADMINS, args![]).await?;
        match admins.and_then(|row| row.number) {
            Some(0) | None => Err(CatalogError::LastAdmin),
            Some(_) => Ok(()),
        }
    }
}

/// `users` as stored.
#[derive(sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) id: String,
    pub(crate) email: Option<String>,
    pub(crate) name: String,
    bio: String,
    language: Option<String>,
    role: String,
    state: String,
    password: Option<String>,
    email_verified_at: Option<i64>,
    quota_bytes: Option<i64>,
    totp: Option<String>,
    totp_pending: Option<String>,
    avatar: Option<String>,
    version: i64,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<UserRow> for User {
    type Error = CatalogError;

    fn try_from(row: UserRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: parsed("users.id", &row.id)?,
            email: row.email,
            name: row.name,
            bio: row.bio,
            language: row.language,
            role: parsed("users.role", &row.role)?,
            state: parsed("users.state", &row.state)?,
            password: row.password,
            is_email_verified: row.email_verified_at.is_some(),
            quota_bytes: row.quota_bytes.map(|bytes| count("users.quota_bytes", bytes)).transpose()?,
            totp: row.totp.map(Sealed::stored),
            totp_pending: row.totp_pending.map(Sealed::stored),
            avatar: row.avatar.map(|picture| parsed("users.avatar", &picture)).transpose()?,
            version: count("users.version", row.version)?,
            created_at: Timestamp::from_unix_ms(row.created_at),
            updated_at: Timestamp::from_unix_ms(row.updated_at),
        })
    }
}
