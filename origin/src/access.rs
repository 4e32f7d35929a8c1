//! Who may play: tokens in the path, in the query and in cookies, passwords, pages, and the CDN in front.
//!
//! What an asset asks of its viewers stands in its pointer ([`domain::Access`]), so that no database is needed. A
//! [`Gate`] knows the keys. Tokens of our own stand in the path, `/t/{token}/v/...`: playlists name their files
//! relative to themselves, so every request of a player carries it. Those of others are taken by a [`Verifier`] each.

mod akamai;
mod attempts;
mod cloudfront;
mod content;
mod g2o;
mod keys;
mod mux;
mod password;
mod signed;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use domain::{Access, Admission, Clock, PlaybackId};
use http::header::{HOST, ORIGIN, REFERER};
use http::{HeaderMap, HeaderName, Uri};

pub use akamai::Akamai;
pub use cloudfront::CloudFront;
pub use content::{ContentKeyError, ContentKeys};
pub(crate) use content::{Locked, Opened};
pub use g2o::G2o;
pub use keys::{KeyError, KeyRing};
pub use mux::Mux;
pub use password::{hash as hash_password, is_hash as is_password_hash};
pub use signed::PublicKeys;
pub use token::{Grant, TokenError, mint, open};

use self::password::Passwords;
use self::token::Tokens;
pub(crate) use self::token::told;

/// Seconds that a token may be used before it begins: clocks differ.
const SKEW_S: u64 = 60;

/// The address of the client's end of a connection; a server puts it into a request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// A request, as far as access depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The path without a token of ours: `/v/...`.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The host and port that the target names: over HTTP/2 they stand there instead of in `Host`.
    pub authority: Option<&'a str>,
    /// Whose asset is asked for.
    pub playback: PlaybackId,
    /// Where the request comes from, if that is known.
    pub address: Option<IpAddr>,
    /// Seconds since 1970.
    pub now_s: u64,
}

impl Claim<'_> {
    /// A parameter of the query as it stands there.
    fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self.query?.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The host, and the port if one is named.
    fn host(&self) -> Option<&str> {
        self.authority.or_else(|| self.headers.get(HOST)?.to_str().ok())
    }

    /// A cookie.
    fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(http::header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What somebody's token is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is none of this kind.
    Absent,
    /// It opens what is asked for.
    Granted,
    /// It does not.
    Refused,
}

/// Knows tokens of one kind.
pub trait Verifier: Send + Sync {
    /// What the request's token is worth. Comparisons of secrets take the same time whatever they compare.
    fn verify(&self, claim: &Claim<'_>) -> Verdict;
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It does not come through the CDN.
    NotByCdn,
    /// The token in its path is not good.
    BadToken,
    /// The asset is signed, and nothing opens it.
    NotSigned,
    /// The asset has a password.
    NoPassword,
    /// The asset has a password, and too many are being tried.
    Busy,
    /// The asset has a password, and too many wrong ones were brought.
    Guessing {
        /// After how many seconds another one is looked at.
        retry_s: u32,
    },
    /// The asset is shown on other pages only.
    OtherPage,
    /// The asset is not shown at this time.
    Withheld,
}

impl Denied {
    /// After this time another password is looked at.
    fn guessing(wait: Duration) -> Self {
        Self::Guessing { retry_s: u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1) }
    }
}

/// The token of ours in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ticket {
    /// There is none.
    None,
    /// It opens what is asked for when it is shown.
    Viewer,
    /// It opens what is asked for whether it is shown or not, and wherever.
    Reviewer,
}

impl Ticket {
    pub(crate) fn is_there(self) -> bool {
        self != Self::None
    }
}

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Everybody may have the answer.
    Open,
    /// It was opened by something that a shared cache does not see as part of the address.
    Private,
}

/// Decides who may play. Without keys and secrets it lets everybody play what is public.
pub struct Gate {
    clock: Option<Arc<dyn Clock>>,
    tokens: Tokens,
    verifiers: Vec<Box<dyn Verifier>>,
    content: ContentKeys,
    passwords: Passwords,
    is_proxy: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    secret_header: HeaderName,
    secrets: Vec<String>,
    g2o: G2o,
}

impl Gate {
    /// A gate without keys: what is signed stays closed.
    pub fn without_keys() -> Self {
        Self {
            clock: None,
            tokens: Tokens::new(KeyRing::default()),
            verifiers: Vec::new(),
            content: ContentKeys::default(),
            passwords: Passwords::new(),
            is_proxy: Box::new(|_| false),
            secret_header: HeaderName::from_static("x-origin-secret"),
            secrets: Vec::new(),
            g2o: G2o::default(),
        }
    }

    /// A gate that takes tokens signed by keys of `ring`, which may change at any time.
    pub fn new(clock: Arc<dyn Clock>, ring: KeyRing) -> Self {
        Self { clock: Some(clock), tokens: Tokens::new(ring), ..Self::without_keys() }
    }

    /// The same, which also takes tokens that this process signed itself.
    #[must_use]
    pub fn with_own_keys(mut self, own: KeyRing) -> Self {
        self.tokens = self.tokens.with_own(own);
        self
    }

    /// The same, which also takes these tokens.
    #[must_use]
    pub fn with_verifier(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifiers.push(Box::new(verifier));
        self
    }

    /// The same, which derives the keys of encrypted assets from these secrets.
    #[must_use]
    pub fn with_content_keys(mut self, content: ContentKeys) -> Self {
        self.content = content;
        self
    }

    /// The same, which believes these proxies about whom they speak for, where wrong passwords are counted.
    #[must_use]
    pub fn with_proxies(mut self, is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.is_proxy = Box::new(is_proxy);
        self
    }

    /// What encrypted assets are encrypted with.
    pub(crate) fn content(&self) -> &ContentKeys {
        &self.content
    }

    /// The same, which takes only requests with one of these secrets in `header`: the CDN's, and while it changes, the
    /// one before. None means that everybody may ask.
    #[must_use]
    pub fn behind(mut self, header: HeaderName, secrets: Vec<String>) -> Self {
        (self.secret_header, self.secrets) = (header, secrets);
        self
    }

    /// The same, which also takes requests that Akamai's servers signed; with both, either will do.
    #[must_use]
    pub fn signed_by(mut self, g2o: G2o) -> Self {
        self.g2o = g2o;
        self
    }

    /// Splits a token of ours off the path, and opens it.
    pub(crate) fn enter<'a>(
        &self,
        uri: &'a Uri,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<(&'a str, Ticket), Denied> {
        self.check_cdn(uri, headers)?;
        let path = uri.path();
        let Some(rest) = path.strip_prefix("/t/") else { return Ok((path, Ticket::None)) };
        let at = rest.find('/').ok_or(Denied::BadToken)?;
        let (token, path) = rest.split_at(at);
        let opened = self.tokens.open(token, path, address, self.now_s());
        let ticket = |is_preview| if is_preview { Ticket::Reviewer } else { Ticket::Viewer };
        opened.map(|is_preview| (path, ticket(is_preview))).map_err(|_| Denied::BadToken)
    }

    /// Whether a request comes from where it has to come from.
    pub(crate) fn check_cdn(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Denied> {
        let is_known = self.secrets.is_empty() && self.g2o.is_empty()
            || self.is_from_cdn(headers)
            || !self.g2o.is_empty() && self.g2o.knows(uri, headers, self.now_s());
        is_known.then_some(()).ok_or(Denied::NotByCdn)
    }

    /// The header by which that is told.
    pub(crate) fn secret_header(&self) -> &HeaderName {
        &self.secret_header
    }

    fn is_from_cdn(&self, headers: &HeaderMap) -> bool {
        let Some(told) = headers.get(&self.secret_header) else { return false };
        // All are compared, so that the time tells nothing.
        let equal = |secret: &String| verify_slices_are_equal(secret.as_bytes(), told.as_bytes()).is_ok();
        self.secrets.iter().fold(false, |is_known, secret| is_known | equal(secret))
    }

    /// Whether everybody who comes through the gate may have an asset, without a look at the request.
    pub(crate) fn is_open(access: &Access) -> bool {
        access.availability.is_always()
            && matches!(access.admission, Admission::Public | Admission::Unlisted)
            && access.pages.is_empty()
    }

    /// Whether a request with this ticket may have an asset.
    pub(crate) async fn admit(&self, access: &Access, ticket: Ticket, claim: &Claim<'_>) -> Result<Passage, Denied> {
        if ticket == Ticket::Reviewer {
            // What others must not see stays with whoever asked.
            return Ok(Passage::Private);
        }
        let has_token = ticket.is_there();
        if !access.availability.is_always() && !access.availability.is_open(self.now_s()) {
            return Err(Denied::Withheld);
        }
        if !access.pages.is_empty() && !is_shown_on(&access.pages, claim.headers) {
            return Err(Denied::OtherPage);
        }
        match &access.admission {
            // What ends must not go on in a cache that many share.
            Admission::Public | Admission::Unlisted if access.availability.until_s.is_some() => Ok(Passage::Private),
            Admission::Public | Admission::Unlisted => Ok(Passage::Open),
            // Who was given one is known to the API alone: no cache gives it to others.
            Admission::Private | Admission::Internal if has_token => Ok(Passage::Private),
            Admission::Signed | Admission::Password { .. } if has_token && access.availability.until_s.is_some() => {
                Ok(Passage::Private)
            }
            Admission::Signed | Admission::Password { .. } if has_token => Ok(Passage::Open),
            admission => {
                if self.verifiers.iter().any(|verifier| verifier.verify(claim) == Verdict::Granted) {
                    return Ok(Passage::Private);
                }
                match admission {
                    Admission::Password { hash } => {
                        let lines =
                            claim.headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
                        let viewer = claim.address.map(|peer| domain::sender(peer, lines, &self.is_proxy));
                        self.passwords.open(hash, claim.headers, viewer).await.map(|()| Passage::Private)
                    }
                    _ => Err(Denied::NotSigned),
                }
            }
        }
    }

    /// Seconds since 1970; without a clock no token is ever in its time.
    pub(crate) fn now_s(&self) -> u64 {
        let now = self.clock.as_ref().map(|clock| clock.now().unix_ms() / 1000);
        now.and_then(|now| u64::try_from(now).ok()).unwrap_or(u64::MAX)
    }
}

/// Whether the page that asks is one of these; `none` stands for requests that name none, such as those of players
/// that are no page.
fn is_shown_on(pages: &[String], headers: &HeaderMap) -> bool {
    let line = headers.get(ORIGIN).or_else(|| headers.get(REFERER));
    let Some(page) = line.and_then(|line| line.to_str().ok()) else {
        return pages.iter().any(|page| page == "none");
    };
    let origin = match page.match_indices('/').nth(2) {
        Some((at, _)) => &page[..at],
        None => page,
    };
    pages.iter().any(|page| page.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests;
