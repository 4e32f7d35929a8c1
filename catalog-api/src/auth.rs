//! Becoming somebody: to register, log in, stay logged in, log out; links that were sent.

use std::net::IpAddr;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{CatalogError, Evidence, NewSession, NewUser, Proof, Purpose, Refreshed, User, UserState};
use domain::authority::Role;
use domain::throttle::Policy;
use domain::{SessionId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::State;
use crate::accounts::{
    ACCESS_LIFE, Accounts, Caller, Errand, LETTERS, LETTERS_TO, LOGIN, LOGIN_OF_ACCOUNT, LOST_ANSWER, SESSION_LIFE,
    TOKENS, cleared, is_same_origin, issued, lasts_until, secret, tell, weakness,
};
use crate::assets::no_store;
use crate::documents::document;
use crate::door::{Origin, accounts};
use crate::person::{PersonView, checked_email, checked_language, checked_name};
use crate::problem::Problem;
use crate::second_factor;

/// Longest name of a client that is kept.
const CLIENT_CHARS_MAX: usize = 200;
/// How often a password is held to the hash that is in force, where another one is by the time that is known.
pub(crate) const PROOF_TRIES: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    email: String,
    password: String,
    #[serde(default)]
    name: String,
    language: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    email: String,
    password: String,
    /// Of the second factor, or a recovery code.
    code: Option<String>,
    /// A cookie for the pages instead of tokens.
    #[serde(default)]
    cookie: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefreshRequest {
    refresh_token: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogoutRequest {
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailRequest {
    email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    token: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetUp {
    token: String,
    email: String,
    password: String,
    #[serde(default)]
    name: String,
}

/// A session that began or goes on.
#[derive(Serialize)]
struct SessionTokens {
    session: SessionId,
    /// Null where the session is proven by a cookie.
    access_token: Option<String>,
    token_type: &'static str,
    /// Seconds for which the access token is good.
    expires_in: u64,
    /// Null where the session is proven by a cookie.
    refresh_token: Option<String>,
    user: Option<PersonView>,
}

pub(crate) async fn register(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LETTERS, origin.address(accounts, &headers), async || {
        if !accounts.settings().is_registration_open {
            return Err(Problem::registration_closed());
        }
        let wanted: Registration = document(&state, &headers, body).await?;
        let email = checked_email(&wanted.email)?;
        let (name, language) = (checked_name(&wanted.name)?, checked_language(wanted.language.as_deref())?);
        if let Some(reason) = weakness(&wanted.password, &[&email]) {
            return Err(Problem::weak_password(reason));
        }
        letter_to(accounts, &email)?;
        // The same work and the same answer, whether or not the address has an account.
        let (now, clock) = (accounts.clock().now(), accounts.clock());
        let password = accounts.hasher().hash(wanted.password, clock.entropy()).await?;
        let id = UserId::mint(now, clock.entropy());
        let new = NewUser {
            id,
            email: Some(email),
            name,
            language,
            role: Role::User,
            password: Some(password),
            is_email_verified: false,
        };
        let errand = match accounts.catalog().create_user(&new, "anybody", now).await {
            Ok(()) => Errand::Verify(id),
            Err(CatalogError::EmailTaken(known)) => Errand::Known(known),
            Err(error) => return Err(error.into()),
        };
        if !accounts.put_errand(errand) {
            tracing::warn!("too many letters wait: one is not written");
        }
        Ok((StatusCode::ACCEPTED, no_store(), Json(json!({ "status": "accepted" }))).into_response())
    })
    .await
}

pub(crate) async fn log_in(
    Shared(state): Shared<State>,
    origin: Origin,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let wanted: Login = document(&state, &headers, body).await?;
        // Else a page of somebody else could log a visitor in as somebody else.
        if wanted.cookie && !is_same_origin(&uri, &headers, accounts.settings().public_url.as_deref()) {
            return Err(Problem::cross_origin("a page of another origin cannot log you in here".to_owned()));
        }
        let key = catalog_store::accounts::email_key(&wanted.email);
        counted(accounts, &LOGIN_OF_ACCOUNT, &key)?;
        let user = proven(accounts, &key, wanted.password).await?;
        accounts.give_back(&LOGIN_OF_ACCOUNT, &key);
        match user.state {
            UserState::Active if !user.is_email_verified && accounts.has_mail() => {
                return Err(Problem::email_not_verified());
            }
            UserState::Active => {}
            UserState::Suspended | UserState::Deleted => return Err(Problem::suspended()),
        }
        second_factor::asked(accounts, &user, wanted.code.as_deref()).await?;
        begin(accounts, user, wanted.cookie, (&origin, &headers)).await
    })
    .await
}

/// The account of a mail address and its password.
async fn proven(accounts: &Accounts, email: &str, password: String) -> Result<User, Problem> {
    for _ in 0..PROOF_TRIES {
        let user = accounts.catalog().user_by_email(email).await?;
        let hash = user.as_ref().and_then(|user| user.password.clone());
        let verdict = accounts.hasher().verify(password.clone(), hash.as_deref()).await?;
        if !verdict.is_right {
            accounts.count_failure(user.as_ref().map(|user| user.id));
        }
        let (Some(mut user), Some(was), true) = (user, hash, verdict.is_right) else {
            return Err(Problem::invalid_credentials());
        };
        if !verdict.is_outdated {
            return Ok(user);
        }
        let hash = accounts.hasher().hash(password.clone(), accounts.clock().entropy()).await?;
        if accounts.catalog().rehash_password(user.id, &was, &hash).await? {
            tracing::info!(user.id = %user.id, "password hashed anew");
            user.password = Some(hash);
            return Ok(user);
        }
        // It was hashed anew by another login, or it is another one.
    }
    Err(Problem::invalid_credentials())
}

/// A session that is open, and what proves it.
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    /// The secret of a cookie, or a refresh token.
    pub(crate) told: String,
}

/// Opens a session for somebody who has proved who they are.
///
/// # Errors
/// [`CatalogError::NotInForce`] if that proves it no more.
pub(crate) async fn opened(
    accounts: &Accounts,
    (user, evidence): (UserId, Evidence),
    cookie: bool,
    headers: &HeaderMap,
) -> Result<Opened, CatalogError> {
    let (now, clock) = (accounts.clock().now(), accounts.clock());
    let session = SessionId::mint(now, clock.entropy());
    let told = secret::mint(clock, if cookie { secret::COOKIE } else { secret::REFRESH });
    let hash = secret::hash(&told);
    let proof = match cookie {
        true => Proof::Cookie(hash),
        false => Proof::Tokens { hash, chain_key: secret::hex(&secret::octets(clock)) },
    };
    let client = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let client: String = client.chars().filter(|c| !c.is_control()).take(CLIENT_CHARS_MAX).collect();
    let new = NewSession { id: session, user, evidence, proof, client, expires_at: now.plus(SESSION_LIFE) };
    accounts.catalog().begin_session(&new, now).await?;
    tracing::info!(user.id = %user, session.id = %session, "session begun");
    Ok(Opened { session, told })
}

async fn begin(
    accounts: &Accounts,
    user: User,
    cookie: bool,
    (origin, headers): (&Origin, &HeaderMap),
) -> Result<Response, Problem> {
    let proven = (user.id, Evidence::of_password(&user));
    let Opened { session, told } = opened(accounts, proven, cookie, headers).await?;
    let (id, role) = (user.id, user.role);
    let mut answer = no_store();
    let mut tokens = SessionTokens {
        session,
        access_token: None,
        token_type: "Bearer",
        expires_in: ACCESS_LIFE.as_secs(),
        refresh_token: None,
        user: Some(PersonView::from(user)),
    };
    if cookie {
        let value = issued(&told, is_secure(accounts, origin, headers)).ok_or_else(Problem::internal)?;
        answer.insert(header::SET_COOKIE, value);
    } else {
        tokens.access_token = Some(accounts.access_token((id, role), session)?);
        tokens.refresh_token = Some(told);
    }
    Ok((answer, Json(tokens)).into_response())
}

/// Whether the page that asks came over TLS: to this process, or else as its browser says itself.
pub(crate) fn is_secure(accounts: &Accounts, from: &Origin, headers: &HeaderMap) -> bool {
    if from.is_encrypted() {
        return true;
    }
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let public = accounts.settings().public_url.as_deref();
    origin.or(public).is_some_and(|origin| origin.starts_with("https://"))
}

pub(crate) async fn refresh(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &TOKENS, origin.address(accounts, &headers), async || {
        let RefreshRequest { refresh_token: token } = document(&state, &headers, body).await?;
        if !secret::looks_like(&token, secret::REFRESH) {
            return Err(Problem::invalid_refresh());
        }
        let (catalog, now, hash) = (accounts.catalog(), accounts.clock().now(), secret::hash(&token));
        let known = catalog.refresh_token(&hash).await?.ok_or_else(Problem::invalid_refresh)?;
        let next = secret::successor(&token, &known.chain_key);
        let until = lasts_until(known.session_created_at, now);
        let lost_since =
            domain::Timestamp::from_unix_ms(now.unix_ms() - i64::try_from(LOST_ANSWER.as_millis()).unwrap_or(0));
        match catalog.refresh(&hash, &secret::hash(&next), until, lost_since, now).await? {
            Refreshed::Rotated | Refreshed::Repeated => {}
            Refreshed::Reused => {
                tracing::warn!(session.id = %known.session, "a refresh token was used twice: its session is ended");
                return Err(Problem::invalid_refresh());
            }
            Refreshed::Over => return Err(Problem::invalid_refresh()),
        }
        let session = catalog.session(known.session).await?.filter(|session| session.is_live(now));
        let session = session.ok_or_else(Problem::invalid_refresh)?;
        let member = session.member;
        let tokens = SessionTokens {
            session: session.id,
            access_token: Some(accounts.access_token((member.id, member.role), session.id)?),
            token_type: "Bearer",
            expires_in: ACCESS_LIFE.as_secs(),
            refresh_token: Some(next),
            user: None,
        };
        Ok((no_store(), Json(tokens)).into_response())
    })
    .await
}

/// Ends the session that asks, or that of the refresh token; there being none is as good.
pub(crate) async fn log_out(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let now = accounts.clock().now();
    let wanted = match headers.contains_key(header::CONTENT_TYPE) {
        true => document(&state, &headers, body).await?,
        false => LogoutRequest::default(),
    };
    if let (Some(member), Some(session)) = (caller.principal.member(), caller.session) {
        accounts.catalog().end_session(member.id, session, now).await?;
    } else if let Some(token) = wanted.refresh_token.filter(|token| secret::looks_like(token, secret::REFRESH))
        && let Some(known) = accounts.catalog().refresh_token(&secret::hash(&token)).await?
    {
        accounts.catalog().end_session(known.user, known.session, now).await?;
    }
    let mut answer = no_store();
    for value in cleared() {
        answer.append(header::SET_COOKIE, value);
    }
    answer.insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok((StatusCode::NO_CONTENT, answer).into_response())
}

pub(crate) async fn verify_email(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &TOKENS, origin.address(accounts, &headers), async || {
        let TokenRequest { token } = document(&state, &headers, body).await?;
        let user = taken(accounts, &token, Purpose::VerifyEmail).await?;
        accounts.catalog().verify_email(user, accounts.clock().now()).await?;
        Ok((StatusCode::NO_CONTENT, no_store()).into_response())
    })
    .await
}

pub(crate) async fn forgot_password(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LETTERS, origin.address(accounts, &headers), async || {
        let EmailRequest { email } = document(&state, &headers, body).await?;
        let email = checked_email(&email)?;
        letter_to(accounts, &email)?;
        if !accounts.put_errand(Errand::Reset(email)) {
            return Err(Problem::busy());
        }
        Ok((StatusCode::ACCEPTED, no_store(), Json(json!({ "status": "accepted" }))).into_response())
    })
    .await
}

pub(crate) async fn reset_password(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &TOKENS, origin.address(accounts, &headers), async || {
        let wanted: NewPassword = document(&state, &headers, body).await?;
        if let Some(reason) = weakness(&wanted.password, &[]) {
            return Err(Problem::weak_password(reason));
        }
        held(accounts, &wanted.token, Purpose::ResetPassword).await?;
        let (catalog, clock) = (accounts.catalog(), accounts.clock());
        let hash = accounts.hasher().hash(wanted.password, clock.entropy()).await?;
        let user = taken(accounts, &wanted.token, Purpose::ResetPassword).await?;
        // Who reads letters to the address has shown that it is theirs.
        catalog.verify_email(user, clock.now()).await?;
        catalog.set_password(user, &hash, None, clock.now()).await?;
        tracing::info!(user.id = %user, "password reset");
        Ok((StatusCode::NO_CONTENT, no_store()).into_response())
    })
    .await
}

pub(crate) async fn set_up(
    Shared(state): Shared<State>,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &TOKENS, origin.address(accounts, &headers), async || {
        let wanted: SetUp = document(&state, &headers, body).await?;
        let (email, name) = (checked_email(&wanted.email)?, checked_name(&wanted.name)?);
        if let Some(reason) = weakness(&wanted.password, &[&email]) {
            return Err(Problem::weak_password(reason));
        }
        // First of all: who has no link learns of no address whether it has an account.
        held(accounts, &wanted.token, Purpose::SetUp).await?;
        let (catalog, clock) = (accounts.catalog(), accounts.clock());
        if catalog.user_by_email(&email).await?.is_some() {
            return Err(Problem::email_taken());
        }
        let hash = accounts.hasher().hash(wanted.password, clock.entropy()).await?;
        let user = taken(accounts, &wanted.token, Purpose::SetUp).await?;
        catalog.set_up(user, (&email, &name), &hash, clock.now()).await?;
        tracing::info!(user.id = %user, "first administrator set up");
        Ok((StatusCode::NO_CONTENT, no_store()).into_response())
    })
    .await
}

/// The account of a link, which is good once.
async fn taken(accounts: &Accounts, token: &str, purpose: Purpose) -> Result<UserId, Problem> {
    let taken = accounts.catalog().take_ticket(&ticket_hash(token)?, purpose, accounts.clock().now()).await?;
    taken.ok_or_else(Problem::invalid_link)
}

/// Holds a link to be good, and leaves it so: before work is done for whoever shows it.
async fn held(accounts: &Accounts, token: &str, purpose: Purpose) -> Result<(), Problem> {
    let held = accounts.catalog().ticket(&ticket_hash(token)?, purpose, accounts.clock().now()).await?;
    held.map(|_| ()).ok_or_else(Problem::invalid_link)
}

fn ticket_hash(token: &str) -> Result<String, Problem> {
    if secret::looks_like(token, secret::TICKET) { Ok(secret::hash(token)) } else { Err(Problem::invalid_link()) }
}

/// Counts a letter to this address, whether or not one will be written.
pub(crate) fn letter_to(accounts: &Accounts, email: &str) -> Result<(), Problem> {
    counted(accounts, &LETTERS_TO, &catalog_store::accounts::email_key(email))
}

/// Counts one try of something that has a bound of its own, beside the one of the address.
pub(crate) fn counted(accounts: &Accounts, policy: &Policy, subject: &str) -> Result<(), Problem> {
    let allowance = accounts.take(policy, subject);
    if allowance.is_exceeded { Err(Problem::too_many_attempts(policy, allowance)) } else { Ok(()) }
}

/// Does `work` if this address has not done so too often, and tells how often it still may.
pub(crate) async fn limited(
    accounts: &Accounts,
    policy: &Policy,
    address: Option<IpAddr>,
    work: impl AsyncFnOnce() -> Result<Response, Problem>,
) -> Result<Response, Problem> {
    let allowance = accounts.take_from(policy, address);
    if allowance.is_exceeded {
        return Err(Problem::too_many_attempts(policy, allowance));
    }
    let mut response = work().await.unwrap_or_else(IntoResponse::into_response);
    tell(policy, &allowance, response.headers_mut());
    Ok(response)
}
