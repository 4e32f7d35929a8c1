//! Sessions: from logging in to logging out, proven by a cookie or by a chain of refresh tokens.

use domain::authority::{Member, Role};
use domain::{IdentityId, SessionId, Timestamp, UserId};
use serde_json::json;

use crate::accounts::{User, UserState};
use crate::audit::Note;
use crate::catalog::Tx;
use crate::engine::{args, parsed};
use crate::{Catalog, CatalogError, Sealed, sql};

/// Sessions of one account; one more ends the oldest.
pub const SESSIONS_MAX: u32 = 50;

/// A session, and what its account is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub member: Member,
    /// Whether that account can be used.
    pub state: UserState,
    /// It is proven by a cookie.
    pub has_cookie: bool,
    /// What the program that began it calls itself.
    pub client: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last seen in use, to a few minutes.
    pub seen_at: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// It was ended.
    pub is_ended: bool,
}

impl Session {
    /// Whether it proves anything at this time.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.is_ended && self.expires_at > now && self.state == UserState::Active
    }
}

/// What will prove a new session.
#[derive(Clone)]
pub enum Proof {
    /// The hash of a cookie.
    Cookie(String),
    /// The hash of the first refresh token, and from what its successors are made.
    Tokens {
        /// The hash.
        hash: String,
        /// Random, in hexadecimal digits.
        chain_key: String,
    },
}

/// What somebody proved to be the owner of an account by, as it was when it was looked at: to look takes time, in which
/// it may be put out of force.
#[derive(Clone)]
pub struct Evidence {
    /// The hash of the password.
    password: Option<String>,
    /// The identity that a provider vouched for, in place of the password.
    identity: Option<IdentityId>,
    /// The second factor that was asked for.
    totp: Option<Sealed>,
}

impl Evidence {
    /// The password of the account as it was read, and its second factor if it had one.
    pub fn of_password(user: &User) -> Self {
        Self { password: user.password.clone(), identity: None, totp: user.totp.clone() }
    }

    /// An identity of the account as it was read, and its second factor if it had one.
    pub fn of_identity(user: &User, identity: IdentityId) -> Self {
        Self { password: None, identity: Some(identity), totp: user.totp.clone() }
    }
}

/// A session that begins.
#[derive(Clone)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// By what its beginner proved to be them.
    pub evidence: Evidence,
    /// What proves it.
    pub proof: Proof,
    /// What the program that began it calls itself.
    pub client: String,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
}

/// A refresh token as the catalogue knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// Its session.
    pub session: SessionId,
    /// Whose that is.
    pub user: UserId,
    /// From what its successor is made, together with the token itself.
    pub chain_key: String,
    /// When the session began.
    pub session_created_at: Timestamp,
}

/// What became of a refresh token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was good, and its successor is from now on.
    Rotated,
    /// It was used a moment ago: the answer was lost. Its successor, which nobody has used yet, is still good.
    Repeated,
    /// It was used before, so somebody has it who should not: the session is ended.
    Reused,
    /// It, or its session, is over.
    Over,
}

impl Catalog {
    /// Begins a session, if what somebody proved who they are by is still in force.
    ///
    /// # Errors
    /// [`CatalogError::NotInForce`] if it is not, or nobody may use the account.
    pub async fn begin_session(&self, new: &NewSession, now: Timestamp) -> Result<(), CatalogError> {
        let NewSession { id, user, expires_at, .. } = *new;
        let (cookie, chain_key) = match &new.proof {
            Proof::Cookie(hash) => (Some(hash.clone()), None),
            Proof::Tokens { chain_key, .. } => (None, Some(self.sealed("sessions", id, chain_key)?)),
        };
        let mut tx = self.begin().await?;
        tx.audit(Note::of_session(&user.to_string(), "session.begun", user, id), now).await?;
        tx.check_evidence(user, &new.evidence).await?;
        let args = args![id, user, cookie, chain_key, new.client.as_str(), now, expires_at];
        tx.execute(sql::sessions::INSERT, args).await?;
        if let Proof::Tokens { hash, .. } = &new.proof {
            tx.execute(sql::sessions::TOKEN_INSERT, args![hash.as_str(), id, expires_at]).await?;
        }
        tx.execute(sql::sessions::END_OLDEST, args![user, now, SESSIONS_MAX]).await?;
        tx.commit().await
    }

    /// The session with this id, in whatever state.
    pub async fn session(&self, id: SessionId) -> Result<Option<Session>, CatalogError> {
        let row: Option<SessionRow> = self.row(sql::sessions::BY_ID, args![id]).await?;
        row.map(Session::try_from).transpose()
    }

    /// The session whose cookie has this hash, in whatever state.
    pub async fn session_by_secret(&self, hash: &str) -> Result<Option<Session>, CatalogError> {
        let row: Option<SessionRow> = self.row(sql::sessions::BY_SECRET, args![hash]).await?;
        row.map(Session::try_from).transpose()
    }

    /// The sessions of an account that are not over, newest first.
    pub async fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, CatalogError> {
        let rows: Vec<SessionRow> = self.rows(sql::sessions::LIVE_OF_USER, args![user, now]).await?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Notes that a session is in use, and that it lasts until `expires_at`.
    pub async fn touch_session(
        &self,
        id: SessionId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut tx = self.begin().await?;
        tx.execute(sql::sessions::TOUCH, args![id, now, expires_at]).await?;
        tx.commit().await
    }

    /// Ends a session of an account; false if there is none, or it was over.
    pub async fn end_session(&self, user: UserId, id: SessionId, now: Timestamp) -> Result<bool, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_session(&user.to_string(), "session.ended", user, id), now).await?;
        if tx.execute(sql::sessions::END, args![id, user, now]).await? != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Ends the sessions of an account, all but `keep`; how many there were.
    pub async fn end_sessions(
        &self,
        user: UserId,
        keep: Option<SessionId>,
        now: Timestamp,
    ) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        tx.audit(Note::of_user(&user.to_string(), "session.all_ended", user), now).await?;
        let keep = keep.map_or_else(String::new, |keep| keep.to_string());
        let count = tx.execute(sql::sessions::END_OTHERS, args![user, keep, now]).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// The refresh token with this hash, in whatever state.
    pub async fn refresh_token(&self, hash: &str) -> Result<Option<RefreshToken>, CatalogError> {
        let row: Option<TokenRow> = self.row(sql::sessions::TOKEN, args![hash]).await?;
        row.map(|row| {
            let session: SessionId = parsed("refresh_tokens.session_id", &row.session_id)?;
            let chain_key = row.chain_key.map(|key| self.opened("sessions", session, &Sealed::stored(key)));
            Ok(RefreshToken {
                session,
                user: parsed("sessions.user_id", &row.user_id)?,
                chain_key: chain_key.transpose()?.unwrap_or_default(),
                session_created_at: Timestamp::from_unix_ms(row.session_at),
            })
        })
        .transpose()
    }

    /// Spends a refresh token for its successor, which is good until `expires_at`.
    ///
    /// One that was spent since `lost_since`, and whose successor nobody has used, is taken for one whose answer was
    /// lost. Any other that was spent before ends its session.
    pub async fn refresh(
        &self,
        hash: &str,
        successor: &str,
        expires_at: Timestamp,
        lost_since: Timestamp,
        now: Timestamp,
    ) -> Result<Refreshed, CatalogError> {
        let mut tx = self.begin().await?;
        // First of all, so that whoever reads the row next reads what the one before has written.
        let is_first = tx.execute(sql::sessions::TOKEN_USE, args![hash, now, successor]).await? == 1;
        let Some(row) = tx.row::<TokenRow>(sql::sessions::TOKEN, args![hash]).await? else {
            return Ok(Refreshed::Over);
        };
        if row.ended_at.is_some() || row.session_expires_at <= now.unix_ms() || row.expires_at <= now.unix_ms() {
            return Ok(Refreshed::Over);
        }
        let session: SessionId = parsed("refresh_tokens.session_id", &row.session_id)?;
        if is_first {
            tx.execute(sql::sessions::TOKEN_INSERT, args![successor, session, expires_at]).await?;
            tx.execute(sql::sessions::TOUCH, args![session, now, expires_at]).await?;
            tx.commit().await?;
            return Ok(Refreshed::Rotated);
        }
        let next: Option<TokenRow> = match &row.successor {
            Some(next) => tx.row(sql::sessions::TOKEN, args![next.as_str()]).await?,
            None => None,
        };
        let is_lost = row.used_at.is_some_and(|used_at| used_at >= lost_since.unix_ms())
            && row.successor.as_deref() == Some(successor)
            && next.is_some_and(|next| next.used_at.is_none());
        if is_lost {
            return Ok(Refreshed::Repeated);
        }
        drop(tx);
        let user: UserId = parsed("sessions.user_id", &row.user_id)?;
        let mut tx = self.begin().await?;
        let note = Note::of_session("system", "session.refresh_reused", user, session);
        tx.audit(Note { data: json!({ "session": session.to_string(), "ended": true }), ..note }, now).await?;
        tx.execute(sql::sessions::END, args![session, user, now]).await?;
        tx.commit().await?;
        Ok(Refreshed::Reused)
    }

    /// Forgets sessions, tokens and tickets that were over before `before`.
    pub async fn prune_sessions(&self, before: Timestamp) -> Result<u64, CatalogError> {
        let mut tx = self.begin().await?;
        let sessions = tx.execute(sql::sessions::PRUNE, args![before]).await?;
        tx.execute(sql::sessions::TOKEN_PRUNE, args![before]).await?;
        tx.execute(sql::credentials::TICKETS_PRUNE, args![before]).await?;
        tx.commit().await?;
        Ok(sessions)
    }
}

impl Tx {
    /// Holds the account until commit, and what was proved about it against what is in force.
    async fn check_evidence(&mut self, user: UserId, evidence: &Evidence) -> Result<(), CatalogError> {
        let user = self.hold_user(user).await?.ok_or(CatalogError::NotInForce)?;
        let is_first_right = match evidence.identity {
            Some(identity) => self.number(sql::identities::IS_OF, args![identity, user.id]).await? == 1,
            None => evidence.password == user.password,
        };
        // One that was removed meanwhile is asked for no more.
        let is_second_right = user.totp.is_none() || evidence.totp == user.totp;
        match user.state == UserState::Active && is_first_right && is_second_right {
            true => Ok(()),
            false => Err(CatalogError::NotInForce),
        }
    }
}

/// `sessions` as stored, with what is asked of `users`.
#[derive(sqlx::FromRow)]
struct SessionRow {
    id: String,
    user_id: String,
    secret_hash: Option<String>,
    client: String,
    created_at: i64,
    seen_at: i64,
    expires_at: i64,
    ended_at: Option<i64>,
    role: String,
    state: String,
}

impl TryFrom<SessionRow> for Session {
    type Error = CatalogError;

    fn try_from(row: SessionRow) -> Result<Self, CatalogError> {
        let role: Role = parsed("users.role", &row.role)?;
        Ok(Self {
            id: parsed("sessions.id", &row.id)?,
            member: Member { id: parsed("sessions.user_id", &row.user_id)?, role },
            state: parsed("users.state", &row.state)?,
            has_cookie: row.secret_hash.is_some(),
            client: row.client,
            created_at: Timestamp::from_unix_ms(row.created_at),
            seen_at: Timestamp::from_unix_ms(row.seen_at),
            expires_at: Timestamp::from_unix_ms(row.expires_at),
            is_ended: row.ended_at.is_some(),
        })
    }
}

/// `refresh_tokens` as stored, with what is asked of `sessions`.
#[derive(sqlx::FromRow)]
struct TokenRow {
    session_id: String,
    expires_at: i64,
    used_at: Option<i64>,
    successor: Option<String>,
    chain_key: Option<String>,
    user_id: String,
    session_at: i64,
    ended_at: Option<i64>,
    session_expires_at: i64,
}
