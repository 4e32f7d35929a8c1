//! A cache in front, or the API of one: what it is asked for a purge, and what its answer means.

mod akamai;
mod apis;

use std::fmt;
use std::time::Duration;

use domain::Clock;
use http::{HeaderMap, Method, StatusCode, header};
use reqwest::Client;
use url::Url;

use super::change::{Manner, Purge};
pub(crate) use akamai::Credentials;

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one request and its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest answer that is looked at, in octets.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Of an answer, so much goes into the log.
const TOLD_CHARS_MAX: usize = 200;
/// Longest wait that a target can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Requests for one batch at a time, for targets that take one tag each.
const REQUESTS_MAX: usize = 16;

/// What a target speaks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Fastly's API: up to 256 surrogate keys.
    Fastly { service: String, token: String },
    /// Cloudflare's: up to 100 tags.
    Cloudflare { zone: String, token: String },
    /// Akamai's Fast Purge, version 3.
    Akamai(Credentials),
    /// An edge of our own.
    Edge { secret: String },
    /// Anything else that speaks HTTP: told in headers, and with POST in a JSON document as well. With `{path}` in the
    /// address, one request for each beginning of paths.
    Hook { method: Method, secret: String },
}

/// One target.
#[derive(Clone)]
pub(crate) struct Target {
    /// As the settings name it.
    pub(crate) name: String,
    kind: Kind,
    /// Where it is, without a slash at the end.
    base: String,
    is_soft: bool,
    client: Client,
    /// Time for one request and its answer.
    patience: Duration,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its secrets.
        f.debug_struct("Target").field("name", &self.name).field("base", &self.base).finish_non_exhaustive()
    }
}

/// Why a target has not taken a purge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Trouble {
    what: String,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Trouble {
    fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), retry_after: None }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ask {
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Target {
    /// A target at `base`; what can be marked as stale is not removed if `is_soft`.
    ///
    /// # Errors
    /// If no client can be made.
    pub(crate) fn new(name: String, kind: Kind, base: &str, is_soft: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Where requests go is decided by the configuration, not by the environment.
            .no_proxy()
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { name, kind, base: base.trim_end_matches('/').to_owned(), is_soft, client, patience: ANSWER_TIMEOUT })
    }

    /// Most tags of one purge.
    pub(crate) fn tags_max(&self) -> usize {
        match &self.kind {
            Kind::Fastly { .. } => apis::FASTLY_TAGS_MAX,
            Kind::Cloudflare { .. } => apis::CLOUDFLARE_TAGS_MAX,
            Kind::Akamai(_) => akamai::TAGS_MAX,
            Kind::Edge { .. } => apis::EDGE_TAGS_MAX,
            Kind::Hook { .. } if self.is_by_path() => REQUESTS_MAX,
            Kind::Hook { .. } => apis::HOOK_TAGS_MAX,
        }
    }

    fn is_by_path(&self) -> bool {
        self.base.contains("{path}")
    }

    /// Has the target purge this.
    ///
    /// # Errors
    /// [`Trouble`], if it does not take it.
    pub(crate) async fn tell(&self, purge: &Purge, clock: &dyn Clock) -> Result<(), Trouble> {
        for ask in self.asks(purge, clock)? {
            self.ask(ask).await?;
        }
        Ok(())
    }

    /// The requests that say so.
    fn asks(&self, purge: &Purge, clock: &dyn Clock) -> Result<Vec<Ask>, Trouble> {
        let is_soft = self.is_soft && purge.manner == Manner::Changed;
        let asks = match &self.kind {
            Kind::Fastly { service, token } => vec![apis::fastly(&self.base, (service, token), purge, is_soft)],
            Kind::Cloudflare { zone, token } => vec![apis::cloudflare(&self.base, (zone, token), purge)],
            Kind::Akamai(credentials) => vec![akamai::ask(&self.base, credentials, purge, is_soft, clock)],
            Kind::Edge { secret } => vec![apis::edge(&self.base, secret, purge)],
            Kind::Hook { method, secret } if self.is_by_path() => {
                apis::hook_by_path(&self.base, (method, secret), purge)
            }
            Kind::Hook { method, secret } => vec![apis::hook(&self.base, (method, secret), purge, is_soft)],
        };
        asks.into_iter().collect::<Option<_>>().ok_or_else(|| Trouble::new("its address cannot be one"))
    }

    async fn ask(&self, ask: Ask) -> Result<(), Trouble> {
        let mut request = self.client.request(ask.method, ask.url).timeout(self.patience);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        if let Some(body) = ask.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        // Without the address, in which a secret may stand.
        let mut answer = request.send().await.map_err(|error| Trouble::new(causes(&error.without_url())))?;
        let (status, retry_after) = (answer.status(), retry_after(answer.headers()));
        let mut body = Vec::new();
        // Ends with the body, or with what is looked at of it; the request's timeout bounds the time.
        while body.len() < ANSWER_BYTES_MAX
            && let Some(piece) = answer.chunk().await.map_err(|error| Trouble::new(causes(&error.without_url())))?
        {
            body.extend_from_slice(&piece);
        }
        let is_taken =
            status.is_success() && (!matches!(self.kind, Kind::Cloudflare { .. }) || apis::is_success(&body));
        if is_taken {
            return Ok(());
        }
        let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        Err(Trouble { what: told(status, &body), retry_after: retry_after.filter(|_| waits) })
    }
}

/// The error and its causes in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    // Ends with the last cause.
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What the answer says, in one short line.
fn told(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TOLD_CHARS_MAX).collect();
    if line.is_empty() { status.to_string() } else { format!("{status}: {line}") }
}

/// Seconds to wait, as a target gives them; dates are not taken, since clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests;
