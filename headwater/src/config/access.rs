//! From the settings to those who decide who may play: keys, verifiers, the CDN's secret, and TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use domain::Clock;
use http::HeaderName;
use origin::access::{Akamai, CloudFront, ContentKeyError, ContentKeys, G2o, Gate, KeyError, KeyRing, Mux, PublicKeys};
use origin::{Steering, SteeringError};

use super::Config;

/// Shorter secrets could be guessed.
const SECRET_CHARS_MIN: usize = 16;

type Wrong = (&'static str, String);

/// Why access cannot be controlled as configured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds no public key.
    #[error("{file} holds no RSA key in PEM's form (BEGIN PUBLIC KEY)")]
    NoKey {
        /// The file.
        file: String,
    },
    /// The keys of tokens cannot be used.
    #[error("the keys of tokens cannot be used")]
    Keys(#[from] KeyError),
    /// The secrets of content keys cannot be used.
    #[error("the secrets of content keys cannot be used")]
    ContentKeys(#[from] ContentKeyError),
}

/// Checks what the types of the values cannot say.
pub(super) fn check(config: &Config) -> Result<(), Wrong> {
    let is_set = |path: &Path| !path.as_os_str().is_empty();
    if !config.tls_listen.is_empty() {
        config.tls_listen.parse::<SocketAddr>().map_err(|_| ("tls_listen", "must be an address with a port".into()))?;
        if !is_set(&config.tls_cert) || !is_set(&config.tls_key) {
            return Err(("tls_listen", "needs tls_cert and tls_key".into()));
        }
    }
    if is_set(&config.tls_client_ca) && config.tls_listen.is_empty() {
        return Err(("tls_client_ca", "needs tls_listen".into()));
    }
    if is_set(&config.token_keys_file) && !config.token_keys.is_empty() {
        return Err(("token_keys_file", "cannot be set beside token_keys".into()));
    }
    KeyRing::new(&config.token_keys).map_err(|error| ("token_keys", format!("cannot be used: {error}")))?;
    ContentKeys::new(&config.content_key_secrets)
        .map_err(|error| ("content_key_secrets", format!("cannot be used: {error}")))?;
    if Akamai::new(&config.akamai_keys, "").is_none() {
        return Err(("akamai_keys", "must hold hexadecimal digits, 32 or more of each key".into()));
    }
    for (key, list) in [("cloudfront_keys", &config.cloudfront_keys), ("mux_keys", &config.mux_keys)] {
        if list.iter().any(|entry| entry.split_once(':').is_none()) {
            return Err((key, "must hold id:file".into()));
        }
    }
    config.steering().map_err(|error| ("steering_pathways", format!("cannot be used: {error}")))?;
    if config.origin_secrets.iter().any(|secret| secret.len() < SECRET_CHARS_MIN) {
        return Err(("origin_secrets", format!("must have {SECRET_CHARS_MIN} characters or more each")));
    }
    if G2o::new(&config.g2o_keys).is_none() {
        return Err((
            "g2o_keys",
            format!("must hold name:secret, {SECRET_CHARS_MIN} characters or more of each secret"),
        ));
    }
    header(config).ok_or(("origin_secret_header", "must be the name of a header".into())).map(drop)
}

fn header(config: &Config) -> Option<HeaderName> {
    HeaderName::from_bytes(config.origin_secret_header.as_bytes()).ok()
}

impl Config {
    /// The hosts that players are steered between, if there are several.
    ///
    /// # Errors
    /// [`SteeringError`] if they cannot be used.
    pub fn steering(&self) -> Result<Option<Steering>, SteeringError> {
        Steering::new(&self.steering_pathways, self.steering_ttl_s)
    }

    /// The keys of tokens, from the settings or from their file.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn token_keys(&self) -> Result<KeyRing, AccessError> {
        let ring = KeyRing::new(&self.token_keys)?;
        if !self.token_keys_file.as_os_str().is_empty() {
            read_keys(&self.token_keys_file, &ring)?;
        }
        Ok(ring)
    }

    /// Who decides who may play.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn origin_gate(&self, clock: Arc<dyn Clock>, ring: KeyRing) -> Result<Gate, AccessError> {
        let proxies = super::accounts::proxies(self).unwrap_or_default();
        let mut gate = Gate::new(clock, ring)
            .with_content_keys(ContentKeys::new(&self.content_key_secrets)?)
            .with_proxies(move |address| proxies.iter().any(|network| network.contains(&address)));
        if let Some(akamai) = Akamai::new(&self.akamai_keys, &self.akamai_salt).filter(|_| !self.akamai_keys.is_empty())
        {
            gate = gate.with_verifier(akamai);
        }
        if !self.cloudfront_keys.is_empty() {
            gate = gate.with_verifier(CloudFront::new(public_keys(&self.cloudfront_keys)?));
        }
        if !self.mux_keys.is_empty() {
            gate = gate.with_verifier(Mux::new(public_keys(&self.mux_keys)?));
        }
        if let Some(g2o) = G2o::new(&self.g2o_keys) {
            gate = gate.signed_by(g2o);
        }
        match header(self) {
            Some(header) => Ok(gate.behind(header, self.origin_secrets.clone())),
            None => Ok(gate),
        }
    }
}

/// Puts the keys of a file in force: one a line, blank lines and those that begin with `#` aside.
pub(crate) fn read_keys(file: &Path, ring: &KeyRing) -> Result<(), AccessError> {
    let text = read(file)?;
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    Ok(ring.replace(&lines)?)
}

fn public_keys(entries: &[String]) -> Result<PublicKeys, AccessError> {
    let mut keys = PublicKeys::default();
    for (id, file) in entries.iter().filter_map(|entry| entry.split_once(':')) {
        let pem = read(Path::new(file))?;
        keys.add(id, &pem).ok_or_else(|| AccessError::NoKey { file: file.to_owned() })?;
    }
    Ok(keys)
}

fn read(file: &Path) -> Result<String, AccessError> {
    std::fs::read_to_string(file).map_err(|source| AccessError::Read { file: file.display().to_string(), source })
}
