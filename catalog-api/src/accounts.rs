//! Accounts: who somebody is, and how they prove it.
//!
//! Somebody is known by one of four things: an access token (a JSON Web Token of 15 minutes), the cookie of the pages,
//! an API key, or a token of the configuration. Whatever it is, the catalogue is asked each time whether it still
//! holds and what its owner may: who is suspended is out with the next request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Method, Uri, header};
use catalog_store::{ApiKey, Catalog, CatalogError, NewUser, Purpose, Session, UserState};
use domain::authority::{Action, Member, Role};
use domain::throttle::{Allowance, Policy, Throttle};
use domain::{Clock, KeyId, Principal, SessionId, Timestamp, UserId};
use ipnet::IpNet;
use serde_json::json;
use tokio_util::sync::CancellationToken;

mod cookie;
mod failures;
mod keys;
mod letters;
mod mail;
mod notifier;
pub(crate) mod oidc;
mod password;
mod retries;
pub(crate) mod secret;
mod throttle;
pub(crate) mod totp;

pub use keys::{Algorithm, KeyError};
pub use mail::{MailError, MailRoute, Postman};
pub use notifier::{DigestTime, Notifier};
pub use oidc::{ProviderSettings, RoleRule};

pub use cookie::is_same_origin;
pub(crate) use cookie::{cleared, issued};
pub(crate) use mail::{Errand, is_addressable};
pub(crate) use password::{Hasher, is_usable, weakness};
pub(crate) use throttle::{CODES, LETTERS, LETTERS_TO, LOGIN, LOGIN_OF_ACCOUNT, TOKENS, tell};

use failures::Failures;
use keys::Ring;
use mail::Letterbox;
use oidc::{Providers, Seals};

/// How long an access token is good.
pub(crate) const ACCESS_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a session lasts without being used.
pub(crate) const SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a session lasts at most.
pub(crate) const SESSION_LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long an answer with new tokens may have been lost.
pub(crate) const LOST_ANSWER: Duration = Duration::from_secs(30);
/// How long the link to the first account is good.
const SETUP_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How exactly it is noted when something was last in use.
const SEEN_MS: i64 = 5 * 60 * 1000;
/// Time between two looks for what is over.
const TIDIED_EVERY: Duration = Duration::from_secs(3600);
/// How long sessions that are over are remembered, so that old tokens of theirs are told from unknown ones.
const REMEMBERED_MS: i64 = 7 * 24 * 3600 * 1000;
/// Whom access tokens are for.
const AUDIENCE: &str = "headwater";

/// How accounts are kept.
#[derive(Clone)]
pub struct Settings {
    /// How access tokens are signed.
    pub algorithm: Algorithm,
    /// Everybody may make an account.
    pub is_registration_open: bool,
    /// Where people reach the pages, without a slash at the end; `None` for where the server listens.
    pub public_url: Option<String>,
    /// Where letters go.
    pub mail: MailRoute,
    /// Whom letters are from.
    pub mail_from: String,
    /// Tokens for uploads, each with its name.
    pub tokens: Vec<(String, String)>,
    /// Proxies that are believed about whom they speak for.
    pub proxies: Vec<IpNet>,
    /// Whom people may log in by.
    pub oidc: Vec<ProviderSettings>,
}

/// Why accounts cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// There are no keys to sign with.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Letters cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The catalogue does not answer.
    #[error("the catalogue does not answer")]
    Catalog(#[from] CatalogError),
    /// Providers of identities cannot be asked.
    #[error("providers of identities cannot be asked")]
    Oidc(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The accounts of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

struct Inner {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    settings: Settings,
    tokens: HashMap<String, String>,
    ring: Ring,
    hasher: Hasher,
    throttle: Mutex<Throttle>,
    letterbox: Letterbox,
    failures: Failures,
    providers: Providers,
    seals: Seals,
    /// Where the server listens, once it does.
    address: OnceLock<String>,
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accounts")
    }
}

/// Who asks, and by which session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who.
    pub principal: Principal,
    /// The session that proves it.
    pub session: Option<SessionId>,
}

impl Caller {
    /// Nobody that is known.
    pub(crate) fn anonymous() -> Self {
        Self { principal: Principal::Anonymous, session: None }
    }

    fn of(session: &Session) -> Self {
        Self { principal: Principal::User(session.member), session: Some(session.id) }
    }
}

/// Why it cannot be told who asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// A page of another origin sends something in the name of who is logged in here.
    #[error("a page of another origin cannot do this in your name")]
    CrossOrigin,
    /// A bearer token that is wrong, over or taken back.
    #[error(
        "the token is nobody's: it is wrong, it is over, or it was taken back; ask without it, or with another one"
    )]
    InvalidToken,
    /// The catalogue or the keys do not answer.
    #[error("accounts cannot be reached")]
    Unavailable(#[source] AccountsError),
}

impl Accounts {
    /// The accounts in this catalogue, and who writes their letters.
    ///
    /// # Errors
    /// When keys cannot be made or read, or letters cannot be sent this way.
    pub async fn open(
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<(Self, Postman), AccountsError> {
        let ring = Ring::open(catalog.clone(), Arc::clone(&clock), settings.algorithm).await?;
        let providers = Providers::new(&settings.oidc).map_err(|error| AccountsError::Oidc(error.into()))?;
        let seals = Seals::new(&ring.seal_key());
        let (letterbox, errands) = Letterbox::new();
        let postman = Postman::new(&settings.mail, &settings.mail_from, errands)?;
        let tokens = settings.tokens.iter().map(|(name, token)| (secret::hash(token), name.clone())).collect();
        let (hasher, throttle, address) = (Hasher::new(), Mutex::default(), OnceLock::new());
        let inner = Inner {
            catalog,
            clock,
            settings,
            tokens,
            ring,
            hasher,
            throttle,
            letterbox,
            failures: Failures::default(),
            providers,
            seals,
            address,
        };
        Ok((Self(Arc::new(inner)), postman))
    }

    /// Tells where the server listens, for links in letters; the first time counts.
    pub fn listens_at(&self, url: &str) {
        let _ = self.0.address.set(url.to_owned());
    }

    /// Makes the first administrator if nobody can decide about accounts, and a link to set that account up: good
    /// once, for a day. `None` if there is somebody.
    ///
    /// # Errors
    /// When the catalogue does not answer.
    pub async fn setup_link(&self) -> Result<Option<String>, AccountsError> {
        let Inner { catalog, clock, .. } = &*self.0;
        if catalog.has_admin().await? {
            return Ok(None);
        }
        let now = clock.now();
        let admin = match catalog.fresh_admin().await? {
            Some(admin) => admin,
            None => {
                let id = UserId::mint(now, clock.entropy());
                let new = NewUser {
                    id,
                    email: None,
                    name: String::new(),
                    language: None,
                    role: Role::Admin,
                    password: None,
                    is_email_verified: false,
                };
                catalog.create_user(&new, "system", now).await?;
                id
            }
        };
        let ticket = secret::mint(&**clock, secret::TICKET);
        let until = now.plus(SETUP_LIFE);
        catalog.issue_ticket(&secret::hash(&ticket), (admin, Purpose::SetUp), until, now).await?;
        Ok(Some(self.link("/setup", Some(&ticket))))
    }

    /// Renews keys and forgets what is over, now and every hour, until `soft` is cancelled.
    pub async fn tidy(self, soft: CancellationToken) {
        // Ends with the soft signal; a lost branch loses nothing, since the next start tidies again.
        while !soft.is_cancelled() {
            let oldest = Timestamp::from_unix_ms(self.clock().now().unix_ms().saturating_sub(REMEMBERED_MS));
            if let Err(error) = self.0.catalog.prune_sessions(oldest).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old sessions cannot be forgotten");
            }
            if let Err(error) = self.0.ring.renew().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "signing keys cannot be renewed");
            }
            let _ = soft.run_until_cancelled(tokio::time::sleep(TIDIED_EVERY)).await;
        }
    }

    /// Who sends a request with this method and these headers. A cookie that is wrong, over or taken back is none:
    /// browsers keep sending it.
    ///
    /// # Errors
    /// [`Unproven::InvalidToken`] if a bearer token is; [`Unproven::CrossOrigin`] if a cookie would do something for a
    /// page of another origin; [`Unproven::Unavailable`] when it cannot be told.
    pub async fn caller(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Caller, Unproven> {
        if let Some(token) = bearer(headers) {
            let caller = self.by_token(token).await.map_err(Unproven::Unavailable)?;
            return if caller == Caller::anonymous() { Err(Unproven::InvalidToken) } else { Ok(caller) };
        }
        let Some(secret) = cookie::presented(headers) else { return Ok(Caller::anonymous()) };
        let found = self.0.catalog.session_by_secret(&secret::hash(secret)).await;
        let found = found.map_err(|error| Unproven::Unavailable(error.into()))?;
        let Some(session) = found.filter(|session| session.is_live(self.0.clock.now())) else {
            return Ok(Caller::anonymous());
        };
        if !is_safe(method) && !is_same_origin(uri, headers, self.0.settings.public_url.as_deref()) {
            return Err(Unproven::CrossOrigin);
        }
        self.seen(&session).await.map_err(|error| Unproven::Unavailable(error.into()))?;
        Ok(Caller::of(&session))
    }

    /// Who goes by this name at this moment, within what the API key allows with which they once made something.
    /// Whoever is gone or suspended, or whose key is over or was taken back, is nobody that is known.
    ///
    /// # Errors
    /// [`Unproven::Unavailable`] when that cannot be told.
    pub async fn known_as(&self, name: &str, key: Option<KeyId>) -> Result<Principal, Unproven> {
        let Ok(id) = name.parse::<UserId>() else {
            let is_known = self.0.settings.tokens.iter().any(|(known, _)| known == name);
            return Ok(if is_known { Principal::Token { name: name.to_owned() } } else { Principal::Anonymous });
        };
        let unavailable = |error: CatalogError| Unproven::Unavailable(error.into());
        let Some(key) = key else {
            let user = self.0.catalog.user(id).await.map_err(unavailable)?;
            let user = user.filter(|user| user.state == UserState::Active);
            return Ok(user.map_or(Principal::Anonymous, |user| Principal::User(Member { id, role: user.role })));
        };
        let key = self.0.catalog.api_key(key).await.map_err(unavailable)?;
        let key = key.filter(|key| key.member.id == id && key.is_live(self.0.clock.now()));
        Ok(key.map_or(Principal::Anonymous, |key| Principal::Key(key.member, key.scopes, key.id)))
    }

    async fn by_token(&self, token: &str) -> Result<Caller, AccountsError> {
        let hash = secret::hash(token);
        if let Some(name) = self.0.tokens.get(&hash) {
            return Ok(Caller { principal: Principal::Token { name: name.clone() }, session: None });
        }
        if secret::looks_like(token, secret::API_KEY) {
            return self.by_api_key(&hash).await;
        }
        let now = self.0.clock.now();
        let Some(claims) = self.0.ring.claims(token).await? else { return Ok(Caller::anonymous()) };
        let is_in_time = claims["exp"].as_i64().is_some_and(|s| s.saturating_mul(1000) > now.unix_ms());
        let id = claims["sid"].as_str().and_then(|id| id.parse::<SessionId>().ok());
        let Some(id) = id.filter(|_| is_in_time && claims["aud"].as_str() == Some(AUDIENCE)) else {
            return Ok(Caller::anonymous());
        };
        let subject = claims["sub"].as_str().unwrap_or_default();
        let is_its = |session: &Session| session.is_live(now) && session.member.id.to_string() == subject;
        match self.0.catalog.session(id).await?.filter(is_its) {
            Some(session) => {
                self.seen(&session).await?;
                Ok(Caller::of(&session))
            }
            None => Ok(Caller::anonymous()),
        }
    }

    async fn by_api_key(&self, hash: &str) -> Result<Caller, AccountsError> {
        let now = self.0.clock.now();
        let key = self.0.catalog.api_key_by_hash(hash).await?.filter(|key| key.is_live(now));
        let Some(ApiKey { id, member, scopes, seen_at, .. }) = key else { return Ok(Caller::anonymous()) };
        if seen_at.is_none_or(|at| now.unix_ms() - at.unix_ms() > SEEN_MS) {
            self.0.catalog.touch_api_key(id, now).await?;
        }
        Ok(Caller { principal: Principal::Key(member, scopes, id), session: None })
    }

    /// Notes now and then that a session is in use; one with a cookie lasts longer by it.
    async fn seen(&self, session: &Session) -> Result<(), CatalogError> {
        let now = self.0.clock.now();
        if now.unix_ms() - session.seen_at.unix_ms() <= SEEN_MS {
            return Ok(());
        }
        let until = if session.has_cookie { lasts_until(session.created_at, now) } else { session.expires_at };
        self.0.catalog.touch_session(session.id, until, now).await
    }

    /// An access token of a session.
    pub(crate) fn access_token(&self, (user, role): (UserId, Role), session: SessionId) -> Result<String, KeyError> {
        let now = self.0.clock.now();
        let seconds = |at: Timestamp| at.unix_ms() / 1000;
        let claims = json!({
            "iss": self.0.settings.public_url.as_deref().unwrap_or(AUDIENCE),
            "aud": AUDIENCE,
            "sub": user,
            "sid": session,
            "role": role,
            // Of all that the role may do; keys may have less (RFC 9068, 2.2.3).
            "scope": Action::scopes_of(role).to_string(),
            "iat": seconds(now),
            "exp": seconds(now.plus(ACCESS_LIFE)),
            "jti": secret::hex(&self.0.clock.entropy()),
        });
        self.0.ring.sign(&claims)
    }

    /// The address of a page, with a secret that servers and proxies on the way do not see.
    pub(crate) fn link(&self, page: &str, secret: Option<&str>) -> String {
        let fragment = secret.map_or_else(String::new, |secret| format!("#token={secret}"));
        // Never by what a request says of the host: whoever asks would decide where the secret goes.
        let address = || self.0.address.get().map_or("", String::as_str);
        let base = self.0.settings.public_url.as_deref().unwrap_or_else(address);
        format!("{base}{page}{fragment}")
    }

    /// Where a request comes from: what a proxy that is believed says, else who sent it.
    pub(crate) fn address(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        let lines = headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
        let is_proxy = |address: IpAddr| self.0.settings.proxies.iter().any(|network| network.contains(&address));
        Some(domain::sender(peer?, lines, is_proxy))
    }

    /// Counts one try.
    pub(crate) fn take(&self, policy: &Policy, subject: &str) -> Allowance {
        self.throttle().take(policy, subject, self.0.clock.now().unix_ms())
    }

    /// The same for an address.
    pub(crate) fn take_from(&self, policy: &Policy, address: Option<IpAddr>) -> Allowance {
        self.take(policy, &domain::neighbourhood(address))
    }

    pub(crate) fn give_back(&self, policy: &Policy, subject: &str) {
        self.throttle().give_back(policy, subject);
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.0.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a login that failed.
    pub(crate) fn count_failure(&self, user: Option<UserId>) {
        self.0.failures.count(user);
    }

    pub(crate) fn put_errand(&self, errand: Errand) -> bool {
        self.0.letterbox.put(errand)
    }

    /// Whom people may log in by.
    pub(crate) fn providers(&self) -> &Providers {
        &self.0.providers
    }

    /// What cookies on the way to a provider are sealed with.
    pub(crate) fn seals(&self) -> &Seals {
        &self.0.seals
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.0.hasher
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.0.ring
    }

    /// Letters reach people, so that an address can be asked to be confirmed before it is used.
    pub(crate) fn has_mail(&self) -> bool {
        matches!(self.0.settings.mail, MailRoute::Smtp(_))
    }
}

/// Until when a session lasts that is used now.
pub(crate) fn lasts_until(created_at: Timestamp, now: Timestamp) -> Timestamp {
    now.plus(SESSION_LIFE).min(created_at.plus(SESSION_LIFE_MAX))
}

/// Whether a method changes nothing (RFC 9110 §9.2.1).
fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The token of a request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
