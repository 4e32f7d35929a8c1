//! Logging in by the word of another server: to it, back from it, and what is linked to one's account.
//!
//! What goes wrong on the way is told by a redirect to the login page with a code, since it is a person who comes
//! back, not a program.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{CatalogError, Evidence, Identity, NewIdentity, NewUser, Terms, User, UserState};
use domain::authority::Role;
use domain::{IdentityId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::State;
use crate::accounts::oidc::{Departure, LIFE, OidcError, Person, Provider, Return, Seals, Trip, challenge};
use crate::accounts::{Accounts, Caller, LOGIN, is_same_origin, issued, secret};
use crate::assets::no_store;
use crate::auth::{self, Opened, limited, opened};
use crate::documents::document;
use crate::door::{Origin, accounts};
use crate::erasure::is_fresh;
use crate::me::{confirmed, id_of, own};
use crate::person::{checked_email, checked_language, checked_name};
use crate::problem::{Problem, chain};
use crate::{pages, second_factor};

/// Longest page to go back to.
const BACK_BYTES_MAX: usize = 512;
/// Longest code or state that is looked at.
const WORD_BYTES_MAX: usize = 4096;
/// How often a role is set anew where the account was changed meanwhile.
const ROLE_TRIES: usize = 8;
/// Where people log in.
const LOGIN_PAGE: &str = "/login";
/// Where people see what is linked to their account.
const ACCOUNT_PAGE: &str = "/account";

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct StartQuery {
    back: Option<String>,
}

/// What a provider sends along; it may send more.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CallbackQuery {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinkRequest {
    provider: String,
    /// Needed unless one logged in a moment ago.
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CodeRequest {
    code: String,
}

/// An identity of one's own.
#[derive(Serialize)]
pub(crate) struct IdentityView {
    id: IdentityId,
    provider: String,
    issuer: String,
    subject: String,
    created_at: String,
    used_at: String,
}

impl From<Identity> for IdentityView {
    fn from(identity: Identity) -> Self {
        Self {
            id: identity.id,
            provider: identity.provider,
            issuer: identity.issuer,
            subject: identity.subject,
            created_at: identity.created_at.rfc3339(),
            used_at: identity.used_at.rfc3339(),
        }
    }
}

/// Why somebody who comes back from a provider is not let in; the name goes to the login page.
enum Stranded {
    /// They did not want to, or the provider did not.
    Denied,
    /// It is not what was begun in this browser, or it was long ago.
    Attempt,
    /// The provider does not answer.
    Away,
    /// What it says proves nothing.
    Untrusted,
    /// They have to log in first, and link it there.
    LinkNeeded,
    /// There is no account, and none is made.
    NoAccount,
    /// The account is suspended.
    Suspended,
    /// Another account has the identity.
    Taken,
    /// Too many come at once.
    Busy,
}

impl Stranded {
    fn code(&self) -> &'static str {
        match self {
            Self::Denied => "oidc_denied",
            Self::Attempt => "oidc_attempt",
            Self::Away => "oidc_away",
            Self::Untrusted => "oidc_untrusted",
            Self::LinkNeeded => "oidc_link_needed",
            Self::NoAccount => "oidc_no_account",
            Self::Suspended => "account_suspended",
            Self::Taken => "oidc_taken",
            Self::Busy => "busy",
        }
    }
}

/// How somebody was stranded, or what else went wrong.
enum Halt {
    Stranded(Stranded),
    Problem(Problem),
}

impl From<Stranded> for Halt {
    fn from(stranded: Stranded) -> Self {
        Self::Stranded(stranded)
    }
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<CatalogError> for Halt {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::IdentityTaken => Self::Stranded(Stranded::Taken),
            CatalogError::NotInForce => Self::Stranded(Stranded::Attempt),
            error => Self::Problem(error.into()),
        }
    }
}

/// Whom people may log in by.
pub(crate) async fn providers(Shared(state): Shared<State>) -> Result<Response, Problem> {
    let all: Vec<Value> = match &state.access {
        crate::Access::Open => Vec::new(),
        crate::Access::Accounts(accounts) => {
            let view = |one: &crate::accounts::oidc::ProviderSettings| json!({ "name": one.name, "label": one.label, "may_register": one.may_register });
            accounts.providers().all().map(view).collect()
        }
    };
    Ok(pages::whole(all))
}

/// Sends a browser to a provider.
pub(crate) async fn start(
    Shared(state): Shared<State>,
    origin: Origin,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<StartQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let provider = provider_of(accounts, path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let back = local(query.back.as_deref()).unwrap_or_else(|| "/".to_owned());
        match departed(accounts, provider, back, None).await {
            Ok((url, cookie)) => Ok(redirected(&url, [cookie])),
            Err(Halt::Stranded(stranded)) => Ok(stranded_at(LOGIN_PAGE, &stranded)),
            Err(Halt::Problem(problem)) => Err(problem),
        }
    })
    .await
}

/// Where a browser goes, and what it carries.
async fn departed(
    accounts: &Accounts,
    provider: &Provider,
    back: String,
    user: Option<UserId>,
) -> Result<(String, HeaderValue), Halt> {
    let (clock, now) = (accounts.clock(), accounts.clock().now());
    let [state, nonce, verifier] = [(); 3].map(|()| secret::mint(clock, ""));
    let redirect_uri = redirect_uri(accounts, provider);
    let departure =
        Departure { redirect_uri: &redirect_uri, state: &state, nonce: &nonce, challenge: &challenge(&verifier) };
    let _place = accounts.providers().place().ok_or(Stranded::Busy)?;
    let url = provider.departure(&departure, now).await.map_err(|error| stranded_by(accounts, provider, &error))?;
    let name = provider.settings().name.clone();
    let until = now.plus(LIFE).unix_ms();
    let trip = Trip::Provider { provider: name, state, nonce, verifier, back, user, until };
    let cookie = accounts.seals().issued(&trip, is_secure(&redirect_uri)).ok_or_else(Problem::internal)?;
    Ok((url.into(), cookie))
}

/// Takes a browser back from a provider.
pub(crate) async fn callback(
    Shared(state): Shared<State>,
    origin: Origin,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<CallbackQuery>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let provider = provider_of(accounts, path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let trip = accounts.seals().presented(&headers, accounts.clock().now());
        let is_link = matches!(trip, Some(Trip::Provider { user: Some(_), .. }));
        match returned(accounts, provider, trip, &query, (&uri, &headers, &origin)).await {
            Ok(response) => Ok(response),
            Err(Halt::Stranded(stranded)) => {
                Ok(stranded_at(if is_link { ACCOUNT_PAGE } else { LOGIN_PAGE }, &stranded))
            }
            Err(Halt::Problem(problem)) => Err(problem),
        }
    })
    .await
}

async fn returned(
    accounts: &Accounts,
    provider: &Provider,
    trip: Option<Trip>,
    query: &CallbackQuery,
    (uri, headers, origin): (&Uri, &HeaderMap, &Origin),
) -> Result<Response, Halt> {
    let failed = |stranded| {
        accounts.count_failure(None);
        Err(Halt::Stranded(stranded))
    };
    let name = &provider.settings().name;
    let Some(Trip::Provider { provider: begun_at, state, nonce, verifier, back, user, .. }) = trip else {
        tracing::info!(provider = name, "somebody comes back who did not leave here");
        return failed(Stranded::Attempt);
    };
    if begun_at != *name || query.state.as_deref() != Some(&*state) {
        tracing::warn!(provider = name, "somebody comes back with what another attempt began");
        return failed(Stranded::Attempt);
    }
    if query.error.is_some() {
        return Err(Stranded::Denied.into());
    }
    let Some(code) = query.code.as_deref().filter(|code| (1..=WORD_BYTES_MAX).contains(&code.len())) else {
        return failed(Stranded::Attempt);
    };
    let redirect_uri = redirect_uri(accounts, provider);
    let person = {
        let _place = accounts.providers().place().ok_or(Stranded::Busy)?;
        let back = Return {
            code,
            issuer: query.iss.as_deref(),
            redirect_uri: &redirect_uri,
            verifier: &verifier,
            nonce: &nonce,
        };
        provider.person(&back, accounts.clock().now()).await
    };
    let person = person.map_err(|error| stranded_by(accounts, provider, &error))?;
    match user {
        Some(user) => linked(accounts, provider, &person, user, &back, (uri, headers)).await,
        None => {
            let known = known(accounts, provider, &person).await?;
            let is_secure = origin.is_encrypted() || is_secure(&redirect_uri);
            entered(accounts, known, back, is_secure, headers).await
        }
    }
}

/// Links an identity to the account that asked for it, which has to be logged in still.
async fn linked(
    accounts: &Accounts,
    provider: &Provider,
    person: &Person,
    user: UserId,
    back: &str,
    (uri, headers): (&Uri, &HeaderMap),
) -> Result<Response, Halt> {
    let caller = accounts.caller(&Method::GET, uri, headers).await.map_err(Problem::from)?;
    if caller.principal.member().map(|member| member.id) != Some(user) {
        return Err(Stranded::Attempt.into());
    }
    let new = new_identity(accounts, provider, person);
    accounts.catalog().link_identity(&new, user, accounts.clock().now()).await?;
    tracing::info!(user.id = %user, provider = provider.settings().name, "identity linked");
    Ok(redirected(back, Seals::cleared()))
}

/// The account of somebody whom a provider vouches for: the one that the identity belongs to, else the one with the
/// same address if both sides know that it is theirs, else a new one; and the identity.
async fn known(accounts: &Accounts, provider: &Provider, person: &Person) -> Result<(User, IdentityId), Halt> {
    let (catalog, now) = (accounts.catalog(), accounts.clock().now());
    if let Some(identity) = catalog.identity(&provider.settings().issuer, &person.subject).await? {
        let user = catalog.user(identity.user).await?.ok_or(Stranded::NoAccount)?;
        catalog.use_identity(identity.id, now).await?;
        return Ok((with_role(accounts, provider, person, user).await?, identity.id));
    }
    let new = new_identity(accounts, provider, person);
    let email = person.email.as_deref().and_then(|email| checked_email(email).ok()).ok_or(Stranded::LinkNeeded)?;
    if let Some(user) = catalog.user_by_email(&email).await? {
        if !user.is_email_verified {
            return Err(Stranded::LinkNeeded.into());
        }
        if user.state != UserState::Active {
            return Err(Stranded::Suspended.into());
        }
        if !catalog.link_identity(&new, user.id, now).await? {
            // Another attempt was faster: the next one finds its identity.
            return Err(Stranded::Attempt.into());
        }
        tracing::info!(user.id = %user.id, provider = provider.settings().name, "identity linked by its address");
        // It is another version by that.
        let user = catalog.user(user.id).await?.ok_or(Stranded::NoAccount)?;
        return Ok((with_role(accounts, provider, person, user).await?, new.id));
    }
    if !provider.settings().may_register {
        return Err(Stranded::NoAccount.into());
    }
    let id = UserId::mint(now, accounts.clock().entropy());
    let user = NewUser {
        id,
        email: Some(email),
        name: person.name.as_deref().and_then(|name| checked_name(name).ok()).unwrap_or_default(),
        language: checked_language(None).unwrap_or_default(),
        role: Role::User,
        password: None,
        is_email_verified: true,
    };
    match catalog.create_user_of(&user, &new, now).await {
        Ok(()) => {}
        // Somebody was faster: the next attempt finds that account.
        Err(CatalogError::EmailTaken(_)) => return Err(Stranded::Attempt.into()),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(user.id = %id, provider = provider.settings().name, "account made for an identity");
    let user = catalog.user(id).await?.ok_or(Stranded::NoAccount)?;
    Ok((with_role(accounts, provider, person, user).await?, new.id))
}

/// Gives somebody the role that the provider's word stands for; without such a word they keep theirs.
async fn with_role(accounts: &Accounts, provider: &Provider, person: &Person, user: User) -> Result<User, Halt> {
    let rules = provider.settings().roles.iter().filter(|rule| person.has(&rule.claim, &rule.value));
    let Some(role) = rules.map(|rule| rule.role).max() else { return Ok(user) };
    let (catalog, mut user) = (accounts.catalog(), user);
    // Whoever logs in at two places at once changes the account twice.
    for _ in 0..ROLE_TRIES {
        if role == user.role || user.state != UserState::Active {
            return Ok(user);
        }
        let terms = Terms { role, state: user.state, quota_bytes: user.quota_bytes };
        match catalog.set_terms(user.id, user.version, &terms, "system", accounts.clock().now()).await {
            Ok(changed) => return Ok(changed),
            Err(CatalogError::Changed { .. }) => {
                user = catalog.user(user.id).await?.ok_or(Stranded::NoAccount)?;
            }
            Err(error @ CatalogError::LastAdmin) => {
                tracing::warn!(user.id = %user.id, error = %chain(&error), "a role stays as it is");
                return Ok(user);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Stranded::Busy.into())
}

/// Begins a session, or asks for the second factor first.
async fn entered(
    accounts: &Accounts,
    (user, identity): (User, IdentityId),
    back: String,
    is_secure: bool,
    headers: &HeaderMap,
) -> Result<Response, Halt> {
    if user.state != UserState::Active {
        return Err(Stranded::Suspended.into());
    }
    if user.totp.is_some() {
        let until = accounts.clock().now().plus(LIFE).unix_ms();
        let trip = Trip::Code { user: user.id, identity, back, until };
        let cookie = accounts.seals().issued(&trip, is_secure).ok_or_else(Problem::internal)?;
        return Ok(redirected("/login?oidc=code", [cookie]));
    }
    let proven = (user.id, Evidence::of_identity(&user, identity));
    let Opened { told, .. } = opened(accounts, proven, true, headers).await?;
    let cookie = issued(&told, is_secure).ok_or_else(Problem::internal)?;
    Ok(redirected(&back, Seals::cleared().into_iter().chain([cookie])))
}

/// Takes the code of the second factor of somebody who came back from a provider.
pub(crate) async fn code(
    Shared(state): Shared<State>,
    origin: Origin,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let CodeRequest { code } = document(&state, &headers, body).await?;
        if !is_same_origin(&uri, &headers, accounts.settings().public_url.as_deref()) {
            return Err(Problem::cross_origin("a page of another origin cannot log you in here".to_owned()));
        }
        let trip = accounts.seals().presented(&headers, accounts.clock().now());
        let Some(Trip::Code { user, identity, back, .. }) = trip else { return Err(Problem::invalid_link()) };
        let user = accounts.catalog().user(user).await?.filter(|user| user.state == UserState::Active);
        let user = user.ok_or_else(Problem::suspended)?;
        second_factor::asked(accounts, &user, Some(&code)).await?;
        let proven = (user.id, Evidence::of_identity(&user, identity));
        let opened = opened(accounts, proven, true, &headers).await.map_err(|error| match error {
            CatalogError::NotInForce => Problem::invalid_link(),
            error => error.into(),
        });
        let Opened { session, told } = opened?;
        let is_secure = auth::is_secure(accounts, &origin, &headers);
        let cookie = issued(&told, is_secure).ok_or_else(Problem::internal)?;
        let mut answer = no_store();
        for value in Seals::cleared().into_iter().chain([cookie]) {
            answer.append(header::SET_COOKIE, value);
        }
        Ok((answer, Json(json!({ "session": session, "back": back }))).into_response())
    })
    .await
}

pub(crate) async fn identities(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let identities = accounts(&state)?.catalog().identities_of(id_of(&caller)?).await?;
    let data: Vec<IdentityView> = identities.into_iter().map(IdentityView::from).collect();
    Ok(pages::whole(data))
}

/// Begins to link an identity: the page goes to the address that is answered. It is a new way in, so it asks for the
/// password of an account that has been logged in for longer.
pub(crate) async fn link(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let wanted: LinkRequest = document(&state, &headers, body).await?;
        let user = own(accounts, &caller).await?;
        match wanted.password {
            Some(password) => confirmed(accounts, &user, password).await?,
            None if is_fresh(accounts, &caller).await? => {}
            None => return Err(Problem::forbidden("send your password, or log in anew and ask within ten minutes")),
        }
        let provider = accounts.providers().named(&wanted.provider).ok_or_else(no_provider)?;
        let departed = departed(accounts, provider, ACCOUNT_PAGE.to_owned(), Some(user.id)).await;
        let (url, cookie) = departed.map_err(|halt| match halt {
            Halt::Stranded(Stranded::Busy) => Problem::busy(),
            Halt::Stranded(_) => Problem::provider_away(),
            Halt::Problem(problem) => problem,
        })?;
        let mut answer = no_store();
        answer.append(header::SET_COOKIE, cookie);
        Ok((StatusCode::ACCEPTED, answer, Json(json!({ "url": url }))).into_response())
    })
    .await
}

pub(crate) async fn unlink(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let identity: IdentityId = text.parse().map_err(|error| Problem::invalid_id(&error))?;
    if !accounts.catalog().unlink_identity(id_of(&caller)?, identity, accounts.clock().now()).await? {
        return Err(Problem::not_found("there is no such identity of yours"));
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

fn provider_of(accounts: &Accounts, path: Result<Path<String>, PathRejection>) -> Result<&Provider, Problem> {
    let Path(name) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    accounts.providers().named(&name).ok_or_else(no_provider)
}

fn no_provider() -> Problem {
    Problem::not_found("there is no such provider of identities here")
}

fn new_identity(accounts: &Accounts, provider: &Provider, person: &Person) -> NewIdentity {
    NewIdentity {
        id: IdentityId::mint(accounts.clock().now(), accounts.clock().entropy()),
        provider: provider.settings().name.clone(),
        issuer: provider.settings().issuer.clone(),
        subject: person.subject.clone(),
    }
}

/// Never by what a request says of the host.
fn redirect_uri(accounts: &Accounts, provider: &Provider) -> String {
    accounts.link(&format!("/api/v1/auth/oidc/{}/callback", provider.settings().name), None)
}

fn is_secure(redirect_uri: &str) -> bool {
    redirect_uri.starts_with("https://")
}

fn stranded_by(accounts: &Accounts, provider: &Provider, error: &OidcError) -> Stranded {
    tracing::warn!(provider = provider.settings().name, error = %chain(error), "nobody is let in by a provider");
    match error {
        OidcError::Away(_) => Stranded::Away,
        OidcError::Refused(_) | OidcError::Token(_) => {
            accounts.count_failure(None);
            Stranded::Untrusted
        }
    }
}

fn stranded_at(page: &str, stranded: &Stranded) -> Response {
    redirected(&format!("{page}?error={}", stranded.code()), Seals::cleared())
}

/// 302 with these cookies. The address that was left has a code in it, which goes nowhere else.
fn redirected(target: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(target) else { return Problem::internal().into_response() };
    let mut answer = no_store();
    answer.insert(header::LOCATION, location);
    answer.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        answer.append(header::SET_COOKIE, cookie);
    }
    (StatusCode::FOUND, answer).into_response()
}

/// A page of this server, whatever else it may look like to a browser.
fn local(page: Option<&str>) -> Option<String> {
    let page = page.filter(|page| page.len() <= BACK_BYTES_MAX && page.starts_with('/'))?;
    if page.bytes().any(|byte| !(0x21..0x7f).contains(&byte) || byte == b'\\') {
        return None;
    }
    let here = url::Url::parse("http://here.invalid").ok()?;
    let target = here.join(page).ok().filter(|target| target.origin() == here.origin())?;
    let path = target.path();
    // `/.//x` is resolved to `//x`, which a browser takes for a host.
    if path.starts_with("//") {
        return None;
    }
    let query = target.query().map_or_else(String::new, |query| format!("?{query}"));
    Some(format!("{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_server_are_gone_back_to() {
        for (page, kept) in [("/", "/"), ("/watch/plb_x?t=5", "/watch/plb_x?t=5"), ("/a/../b#c", "/b")] {
            assert_eq!(local(Some(page)).as_deref(), Some(kept), "{page}");
        }
        for elsewhere in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/.//evil.example",
            "/..//evil.example",
            "/%2e//evil.example",
            "//",
            " /",
            "/\u{e9}",
        ] {
            assert_eq!(local(Some(elsewhere)), None, "{elsewhere}");
        }
        assert_eq!(local(Some(&format!("/{}", "a".repeat(600)))), None);
        assert_eq!(local(None), None);
    }
}
