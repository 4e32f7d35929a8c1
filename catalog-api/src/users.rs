//! The accounts of others, for administrators.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::accounts::PAGE_USERS_MAX;
use catalog_store::{CatalogError, Listing, NewUser, Terms, User, UserState};
use domain::UserId;
use domain::authority::Role;
use serde::Deserialize;

use crate::State;
use crate::accounts::{Accounts, Caller, Errand, is_usable, weakness};
use crate::assets::no_store;
use crate::avatars;
use crate::documents::{IfMatch, document, present, tag};
use crate::door::accounts;
use crate::me::with_tag;
use crate::pages;
use crate::person::{PersonView, checked_email, checked_language, checked_name};
use crate::problem::Problem;

/// Accounts on a page when nothing else is asked for.
const PAGE_USERS: u32 = 20;
/// Largest quota, in octets: what the catalogue can count.
const QUOTA_BYTES_MAX: u64 = i64::MAX.unsigned_abs();
/// Longest text that is looked for.
const QUERY_CHARS_MAX: usize = 200;
/// What cursors of this list are sealed for.
const LIST: &str = "users";

/// Which accounts are meant, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersQuery {
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
    /// What a name or a mail address begins with.
    q: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    email: String,
    #[serde(default)]
    name: String,
    language: Option<String>,
    #[serde(default, deserialize_with = "present")]
    role: Option<Role>,
    #[serde(default, deserialize_with = "present")]
    password: Option<String>,
    /// Of another system: Argon2id or bcrypt.
    #[serde(default, deserialize_with = "present")]
    password_hash: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsChange {
    #[serde(default, deserialize_with = "present")]
    role: Option<Role>,
    #[serde(default, deserialize_with = "present")]
    state: Option<Wished>,
    #[serde(default, deserialize_with = "present")]
    quota_bytes: Option<Option<u64>>,
}

/// What an administrator can say of an account.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wished {
    Active,
    Suspended,
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    uri: Uri,
    query: Result<Query<UsersQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let wanted = query.q.as_deref().map(str::trim).filter(|text| !text.is_empty());
    if wanted.is_some_and(|text| text.chars().count() > QUERY_CHARS_MAX) {
        return Err(Problem::invalid_query(format!("q has at most {QUERY_CHARS_MAX} characters")));
    }
    let name = wanted.map_or_else(|| LIST.to_owned(), |text| format!("{LIST} {text}"));
    let list = Listing::of(&state.catalog, name, query.limit, (PAGE_USERS, PAGE_USERS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let side = list.side()?;
    let mut users = match wanted {
        Some(text) => accounts.catalog().users_like(text, side, list.rows()).await?,
        None => accounts.catalog().users(side, list.rows()).await?,
    };
    let page = list.cut(&mut users, |user| user.id.to_string());
    let data: Vec<PersonView> = users.into_iter().map(PersonView::from).collect();
    Ok(pages::answer(&uri, data, page))
}

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let wanted: NewAccount = document(&state, &headers, body).await?;
    let email = checked_email(&wanted.email)?;
    let (name, language) = (checked_name(&wanted.name)?, checked_language(wanted.language.as_deref())?);
    let password = match (wanted.password, wanted.password_hash) {
        (Some(_), Some(_)) => {
            let told = Problem::invalid_body("there is a password or a hash of one, not both");
            return Err(told.at_member("/password_hash", "not_taken"));
        }
        (Some(password), None) => {
            if let Some(reason) = weakness(&password, &[&email]) {
                return Err(Problem::weak_password(reason));
            }
            Some(accounts.hasher().hash(password, accounts.clock().entropy()).await?)
        }
        (None, Some(hash)) if !is_usable(&hash) => {
            let what = "is Argon2id or bcrypt of a usual cost";
            return Err(Problem::invalid_member("/password_hash", "invalid_hash", what));
        }
        (None, hash) => hash,
    };
    let is_invited = password.is_none();
    let now = accounts.clock().now();
    let id = UserId::mint(now, accounts.clock().entropy());
    let role = wanted.role.unwrap_or(Role::User);
    let new = NewUser { id, email: Some(email.clone()), name, language, role, password, is_email_verified: true };
    match accounts.catalog().create_user(&new, &caller.actor(), now).await {
        Ok(()) => {}
        Err(CatalogError::EmailTaken(_)) => return Err(Problem::email_taken()),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(user.id = %id, %role, "account made");
    if is_invited && !accounts.put_errand(Errand::Reset(email)) {
        tracing::warn!(user.id = %id, "too many letters wait: an invitation is not written");
    }
    let user = known(accounts, id).await?;
    let mut answer = no_store();
    answer.extend(tag(user.version));
    let location = format!("/api/v1/users/{id}");
    answer.extend(HeaderValue::try_from(location).ok().map(|location| (header::LOCATION, location)));
    Ok((StatusCode::CREATED, answer, Json(PersonView::from(user))).into_response())
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    Ok(with_tag(known(accounts(&state)?, user_in(path)?).await?))
}

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (accounts, id) = (accounts(&state)?, user_in(path)?);
    let condition = IfMatch::of(&headers)?;
    let wanted: TermsChange = document(&state, &headers, body).await?;
    if wanted.quota_bytes.flatten().is_some_and(|bytes| bytes > QUOTA_BYTES_MAX) {
        return Err(Problem::invalid_member("/quota_bytes", "out_of_range", format!("is at most {QUOTA_BYTES_MAX}")));
    }
    let change = || async {
        let user = known(accounts, id).await?;
        let version = condition.version(user.version)?;
        let terms = Terms {
            role: wanted.role.unwrap_or(user.role),
            state: match wanted.state {
                Some(Wished::Active) => UserState::Active,
                Some(Wished::Suspended) => UserState::Suspended,
                None => user.state,
            },
            quota_bytes: wanted.quota_bytes.unwrap_or(user.quota_bytes),
        };
        if (terms.role, terms.state, terms.quota_bytes) == (user.role, user.state, user.quota_bytes) {
            return Ok(user);
        }
        let now = accounts.clock().now();
        let changed = accounts.catalog().set_terms(id, version, &terms, &caller.actor(), now).await?;
        tracing::info!(user.id = %id, role = %terms.role, state = %terms.state, "account changed");
        Ok(changed)
    };
    let changed = condition.tried(change).await?;
    Ok(with_tag(changed))
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (accounts, id) = (accounts(&state)?, user_in(path)?);
    let version = IfMatch::of_deletion(&headers, known(accounts, id).await?.version)?;
    accounts.catalog().delete_user(id, version, &caller.actor(), accounts.clock().now()).await?;
    avatars::swept(&state).await;
    tracing::info!(user.id = %id, "account deleted");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

async fn known(accounts: &Accounts, id: UserId) -> Result<User, Problem> {
    let user = accounts.catalog().user(id).await?.filter(|user| user.state != UserState::Deleted);
    user.ok_or_else(|| Problem::not_found("there is no such account"))
}

pub(crate) fn user_in(path: Result<Path<String>, PathRejection>) -> Result<UserId, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    text.parse().map_err(|error| Problem::invalid_id(&error))
}
