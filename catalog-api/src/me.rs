//! One's own account: who one is, the password, sessions and API keys.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{ApiKey, CatalogError, NewApiKey, Profile, Session, User};
use domain::about::Fault;
use domain::authority::Scopes;
use domain::{KeyId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::State;
use crate::accounts::{Accounts, Caller, Errand, LETTERS, LOGIN, LOGIN_OF_ACCOUNT, secret, weakness};
use crate::assets::no_store;
use crate::auth::{PROOF_TRIES, counted, letter_to, limited};
use crate::documents::{IfMatch, document, present, tag};
use crate::door::{Origin, accounts};
use crate::pages;
use crate::person::{PersonView, checked_bio, checked_language, checked_name};
use crate::problem::Problem;

/// Characters of a key by which its owner knows it again.
const PREFIX_CHARS: usize = 12;
/// Longest life of a key that ends, in days.
const KEY_DAYS_MAX: u32 = 3650;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileChange {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    bio: Option<String>,
    #[serde(default, deserialize_with = "present")]
    language: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    current: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    name: String,
    scopes: Scopes,
    /// Days until it ends; absent for never.
    expires_in_days: Option<u32>,
}

/// A session of one's own.
#[derive(Serialize)]
struct SessionView {
    id: SessionId,
    /// The one that asks.
    is_current: bool,
    /// Proven by a cookie, or by tokens.
    kind: &'static str,
    client: String,
    created_at: String,
    seen_at: String,
    expires_at: String,
}

/// An API key, without what is secret in it.
#[derive(Serialize)]
pub(crate) struct KeyView {
    id: KeyId,
    name: String,
    prefix: String,
    scopes: Scopes,
    created_at: String,
    expires_at: Option<String>,
    seen_at: Option<String>,
    /// All of it; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

pub(crate) async fn show(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let user = own(accounts(&state)?, &caller).await?;
    Ok(with_tag(user))
}

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let condition = IfMatch::of(&headers)?;
    let wanted: ProfileChange = document(&state, &headers, body).await?;
    let change = || async {
        let user = own(accounts, &caller).await?;
        let version = condition.version(user.version)?;
        let profile = Profile {
            name: wanted.name.as_deref().map_or(Ok(user.name.clone()), checked_name)?,
            bio: wanted.bio.as_deref().map_or(Ok(user.bio.clone()), checked_bio)?,
            language: match &wanted.language {
                Some(language) => checked_language(language.as_deref())?,
                None => user.language.clone(),
            },
        };
        if (&profile.name, &profile.bio, &profile.language) == (&user.name, &user.bio, &user.language) {
            return Ok(user);
        }
        Ok(accounts.catalog().set_profile(user.id, version, &profile, accounts.clock().now()).await?)
    };
    let changed = condition.tried(change).await?;
    Ok(with_tag(changed))
}

/// Asks for the present password, so that who finds a session open cannot take the account over.
pub(crate) async fn set_password(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let wanted: PasswordChange = document(&state, &headers, body).await?;
        for _ in 0..PROOF_TRIES {
            let user = own(accounts, &caller).await?;
            let email = user.email.clone().unwrap_or_default();
            if let Some(reason) = weakness(&wanted.password, &[&email]) {
                return Err(Problem::weak_password(reason));
            }
            confirmed(accounts, &user, wanted.current.clone()).await?;
            let (catalog, clock) = (accounts.catalog(), accounts.clock());
            let hash = accounts.hasher().hash(wanted.password.clone(), clock.entropy()).await?;
            let was = user.password.as_deref().unwrap_or_default();
            match catalog.change_password(user.id, (was, &hash), caller.session, clock.now()).await {
                Ok(()) => {
                    tracing::info!(user.id = %user.id, "password changed");
                    return Ok((StatusCode::NO_CONTENT, no_store()).into_response());
                }
                // Another one came first, or the same one was hashed anew: `current` is held to that.
                Err(CatalogError::NotInForce) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(not_present())
    })
    .await
}

/// Has the letter that confirms the mail address sent again.
pub(crate) async fn send_verification(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LETTERS, origin.address(accounts, &headers), async || {
        let user = own(accounts, &caller).await?;
        letter_to(accounts, user.email.as_deref().unwrap_or_default())?;
        if !accounts.put_errand(Errand::Verify(user.id)) {
            return Err(Problem::busy());
        }
        Ok((StatusCode::ACCEPTED, no_store(), Json(json!({ "status": "accepted" }))).into_response())
    })
    .await
}

pub(crate) async fn sessions(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let sessions = accounts.catalog().sessions_of(id_of(&caller)?, accounts.clock().now()).await?;
    let view = |session: Session| SessionView {
        is_current: caller.session == Some(session.id),
        id: session.id,
        kind: if session.has_cookie { "cookie" } else { "tokens" },
        client: session.client,
        created_at: session.created_at.rfc3339(),
        seen_at: session.seen_at.rfc3339(),
        expires_at: session.expires_at.rfc3339(),
    };
    let data: Vec<SessionView> = sessions.into_iter().map(view).collect();
    Ok(pages::whole(data))
}

/// Ends all sessions but the one that asks.
pub(crate) async fn end_sessions(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    accounts.catalog().end_sessions(id_of(&caller)?, caller.session, accounts.clock().now()).await?;
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn end_session(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let session: SessionId = text.parse().map_err(|error| Problem::invalid_id(&error))?;
    if !accounts.catalog().end_session(id_of(&caller)?, session, accounts.clock().now()).await? {
        return Err(Problem::not_found("there is no such session of yours"));
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn keys(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let keys = accounts(&state)?.catalog().api_keys_of(id_of(&caller)?).await?;
    let data: Vec<KeyView> = keys.into_iter().map(KeyView::from).collect();
    Ok(pages::whole(data))
}

pub(crate) async fn create_key(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let wanted: KeyRequest = document(&state, &headers, body).await?;
    let name = checked_name(&wanted.name)?;
    let empty = [("/name", name.is_empty()), ("/scopes", wanted.scopes.is_empty())];
    let empty = empty.into_iter().filter(|(_, is_empty)| *is_empty).map(|(field, _)| field);
    let faults: Vec<Fault> = empty.map(|field| Fault::new(field, "empty", "says nothing")).collect();
    if !faults.is_empty() {
        return Err(Problem::invalid_body("a key has a name and at least one scope").at(faults));
    }
    let days = wanted.expires_in_days;
    if days.is_some_and(|days| !(1..=KEY_DAYS_MAX).contains(&days)) {
        let what = format!("is 1 to {KEY_DAYS_MAX}");
        return Err(Problem::invalid_member("/expires_in_days", "out_of_range", what));
    }
    let (now, clock) = (accounts.clock().now(), accounts.clock());
    let key = secret::mint(clock, secret::API_KEY);
    let life = |days: u32| std::time::Duration::from_secs(u64::from(days) * 24 * 3600);
    let new = NewApiKey {
        id: KeyId::mint(now, clock.entropy()),
        user: id_of(&caller)?,
        name,
        prefix: key.chars().take(PREFIX_CHARS).collect(),
        hash: secret::hash(&key),
        scopes: wanted.scopes,
        expires_at: days.map(|days| now.plus(life(days))),
    };
    accounts.catalog().create_api_key(&new, now).await?;
    tracing::info!(user.id = %new.user, key.id = %new.id, "API key made");
    let view = KeyView {
        id: new.id,
        name: new.name,
        prefix: new.prefix,
        scopes: new.scopes,
        created_at: now.rfc3339(),
        expires_at: new.expires_at.map(domain::Timestamp::rfc3339),
        seen_at: None,
        key: Some(key),
    };
    let mut answer = no_store();
    let location = format!("/api/v1/me/api-keys/{}", new.id);
    answer.extend(HeaderValue::try_from(location).ok().map(|location| (header::LOCATION, location)));
    Ok((StatusCode::CREATED, answer, Json(view)).into_response())
}

pub(crate) async fn revoke_key(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let key: KeyId = text.parse().map_err(|error| Problem::invalid_id(&error))?;
    if !accounts.catalog().revoke_api_key(id_of(&caller)?, key, accounts.clock().now()).await? {
        return Err(Problem::not_found("there is no such key of yours"));
    }
    tracing::info!(key.id = %key, "API key taken back");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// The account of whoever asks.
pub(crate) async fn own(accounts: &Accounts, caller: &Caller) -> Result<User, Problem> {
    let user = accounts.catalog().user(id_of(caller)?).await?;
    user.ok_or_else(|| Problem::not_found("there is no such account"))
}

/// Asks for the present password of an account, as often as a login may.
pub(crate) async fn confirmed(accounts: &Accounts, user: &User, password: String) -> Result<(), Problem> {
    let subject = catalog_store::accounts::email_key(user.email.as_deref().unwrap_or_default());
    counted(accounts, &LOGIN_OF_ACCOUNT, &subject)?;
    if !accounts.hasher().verify(password, user.password.as_deref()).await?.is_right {
        return Err(not_present());
    }
    accounts.give_back(&LOGIN_OF_ACCOUNT, &subject);
    Ok(())
}

fn not_present() -> Problem {
    Problem::forbidden("this is not your present password")
}

/// The account behind whoever asks.
pub(crate) fn id_of(caller: &Caller) -> Result<UserId, Problem> {
    let member = caller.principal.member();
    // The door lets nobody without an account this far.
    member.map(|member| member.id).ok_or_else(Problem::internal)
}

/// The account with its version.
pub(crate) fn with_tag(user: User) -> Response {
    let mut answer = no_store();
    answer.extend(tag(user.version));
    (answer, Json(PersonView::from(user))).into_response()
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_at: key.created_at.rfc3339(),
            expires_at: key.expires_at.map(domain::Timestamp::rfc3339),
            seen_at: key.seen_at.map(domain::Timestamp::rfc3339),
            key: None,
        }
    }
}
