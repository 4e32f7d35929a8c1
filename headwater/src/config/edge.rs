//! From the settings to a cache in front of another origin.

use std::sync::Arc;

use anyhow::Context;
use domain::Clock;
use http::{HeaderName, HeaderValue};
use origin::{Edge, EdgeConfig};

use super::{Config, Role};

/// Requests to the upstream that wait for an answer, or bring one for several, at a time.
const REQUESTS_MAX: usize = 128;

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), (&'static str, String)> {
    if !config.is_edge() {
        let is_alone = config.upstream_secret.is_empty();
        return is_alone.then_some(()).ok_or(("upstream_secret", "needs upstream".into()));
    }
    if config.roles != [Role::Origin] {
        let why = "has no store to work on: with it, set `--roles origin` and run the other roles elsewhere";
        return Err(("upstream", why.into()));
    }
    origin::check_upstream(&config.upstream).map_err(|error| ("upstream", format!("cannot be used: {error}")))?;
    header(config).map(drop).ok_or(("upstream_secret", "must be text that a header can hold".into()))
}

/// The header that tells the upstream who asks; `None` in it where there is none.
fn header(config: &Config) -> Option<Option<(HeaderName, HeaderValue)>> {
    if config.upstream_secret.is_empty() {
        return Some(None);
    }
    let name = HeaderName::from_bytes(config.origin_secret_header.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(&config.upstream_secret).ok()?;
    value.set_sensitive(true);
    Some(Some((name, value)))
}

impl Config {
    /// True if this process is a cache in front of another origin.
    pub fn is_edge(&self) -> bool {
        !self.upstream.is_empty()
    }

    /// The cache in front of [`Config::upstream`].
    ///
    /// # Errors
    /// If keys of access cannot be read, or no client for the upstream can be made.
    pub fn edge(&self, clock: Arc<dyn Clock>) -> anyhow::Result<Edge> {
        let gate = self.origin_gate(Arc::clone(&clock), self.token_keys()?)?;
        let config = EdgeConfig {
            upstream: self.upstream.clone(),
            secret: header(self).flatten(),
            cache_bytes: self.origin_cache_bytes,
            requests_max: REQUESTS_MAX,
        };
        Edge::new(config, gate, clock).context("cannot stand in front of the upstream")
    }
}
