//! One provider: what it says of itself, its keys, and what it gives for a code.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::Timestamp;
use jsonwebtoken::jwk::Jwk;
use reqwest::{Client, RequestBuilder, redirect};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use url::{Host, Url, form_urlencoded};

use super::ProviderSettings;
use super::token::{Expected, Person, TokenFault, verified};

/// Time for a request and its answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// How long a description and keys are believed.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// Time between two looks for a key that is not known: whoever makes up names of keys causes no more requests.
const KEYS_LOOKED_FOR_EVERY: Duration = Duration::from_secs(60);
/// Time for which one that did not answer is not asked again, so that those who wait do not wait one by one.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// Keys of a provider that are kept.
const KEYS_MAX: usize = 64;

/// Why a provider did not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// It does not answer, or not as it should.
    #[error("the provider does not answer: {0}")]
    Away(String),
    /// It does not take the code.
    #[error("the provider refuses the code: {0}")]
    Refused(String),
    /// What it says is not what it has to be.
    #[error(transparent)]
    Token(#[from] TokenFault),
}

/// What a provider says of itself (OpenID Connect Discovery 1.0 §3).
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// What is remembered of a provider.
#[derive(Default)]
struct Known {
    metadata: Option<(Timestamp, Arc<Metadata>)>,
    keys: Option<(Timestamp, Arc<Vec<Jwk>>)>,
    /// When it last did not answer.
    away_at: Option<Timestamp>,
}

/// A provider.
pub(crate) struct Provider {
    settings: ProviderSettings,
    client: Client,
    /// Held while it is asked, so that many who come at once ask once.
    known: Mutex<Known>,
}

/// What is sent with somebody to a provider.
pub(crate) struct Departure<'a> {
    pub(crate) redirect_uri: &'a str,
    pub(crate) state: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) challenge: &'a str,
}

/// What somebody brings back, and what was kept of their departure.
pub(crate) struct Return<'a> {
    pub(crate) code: &'a str,
    pub(crate) issuer: Option<&'a str>,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) nonce: &'a str,
}

impl Provider {
    pub(super) fn new(settings: ProviderSettings) -> Result<Self, OidcError> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("headwater/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(away)?;
        Ok(Self { settings, client, known: Mutex::default() })
    }

    pub(crate) fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// The address at which the provider asks who somebody is.
    pub(crate) async fn departure(&self, trip: &Departure<'_>, now: Timestamp) -> Result<Url, OidcError> {
        let metadata = self.metadata(now).await?;
        let mut url =
            Url::parse(&metadata.authorization_endpoint).map_err(|error| OidcError::Away(error.to_string()))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", trip.redirect_uri)
            .append_pair("scope", &self.settings.scopes)
            .append_pair("state", trip.state)
            .append_pair("nonce", trip.nonce)
            .append_pair("code_challenge", trip.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Who it is that comes back.
    pub(crate) async fn person(&self, back: &Return<'_>, now: Timestamp) -> Result<Person, OidcError> {
        let metadata = self.metadata(now).await?;
        // RFC 9207: an answer of another provider is not taken for one of this.
        let is_its = match back.issuer {
            Some(issuer) => issuer == metadata.issuer,
            None => !metadata.authorization_response_iss_parameter_supported,
        };
        if !is_its {
            return Err(TokenFault::Claim("iss").into());
        }
        let token = self.redeemed(&metadata, back).await?;
        let expected =
            Expected { issuer: &metadata.issuer, client_id: &self.settings.client_id, nonce: back.nonce, now };
        let keys = self.keys(&metadata, now, REMEMBERED).await?;
        match verified(&token, &keys, expected) {
            Err(TokenFault::UnknownKey) => {
                let keys = self.keys(&metadata, now, KEYS_LOOKED_FOR_EVERY).await?;
                Ok(verified(&token, &keys, expected)?)
            }
            known => Ok(known?),
        }
    }

    /// The request that shows a code.
    fn redemption(&self, metadata: &Metadata, back: &Return<'_>) -> RequestBuilder {
        let settings = &self.settings;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", back.code)
            .append_pair("redirect_uri", back.redirect_uri)
            .append_pair("client_id", &settings.client_id)
            .append_pair("code_verifier", back.verifier);
        let mut request = self.client.post(&metadata.token_endpoint).header("accept", "application/json");
        let methods = &metadata.token_endpoint_auth_methods_supported;
        match settings.client_secret.as_deref() {
            // The usual way where none is named (Discovery §3).
            Some(secret) if methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic") => {
                // RFC 6749 §2.3.1: each encoded as in a form.
                let coded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", coded(&settings.client_id), coded(secret));
                request = request.header("authorization", format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => {
                form.append_pair("client_secret", secret);
            }
            None => {}
        }
        request.header("content-type", "application/x-www-form-urlencoded").body(form.finish())
    }

    /// The ID token for a code.
    async fn redeemed(&self, metadata: &Metadata, back: &Return<'_>) -> Result<String, OidcError> {
        let (status, content) = answer(self.redemption(metadata, back)).await?;
        if status.is_client_error() {
            // The rest of what it says can hold anything.
            let refusal = serde_json::from_slice::<Refusal>(&content).map(|refusal| refusal.error).unwrap_or_default();
            let plain = refusal.chars().filter(char::is_ascii_graphic).take(64).collect();
            return Err(OidcError::Refused(plain));
        }
        if !status.is_success() {
            return Err(OidcError::Away(status.to_string()));
        }
        let tokens: Tokens = document(&content)?;
        Ok(tokens.id_token)
    }

    async fn metadata(&self, now: Timestamp) -> Result<Arc<Metadata>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((at, metadata)) = &known.metadata
            && now.since(*at) < REMEMBERED
        {
            return Ok(Arc::clone(metadata));
        }
        let issuer = &self.settings.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Metadata = self.asked(&mut known, &address, now).await?;
        if found.issuer != *issuer {
            return Err(OidcError::Away("it calls itself by another name than the settings".to_owned()));
        }
        for address in [&found.authorization_endpoint, &found.token_endpoint, &found.jwks_uri] {
            if !is_usable(address, issuer) {
                return Err(OidcError::Away("it names an address without TLS".to_owned()));
            }
        }
        let found = Arc::new(found);
        known.metadata = Some((now, Arc::clone(&found)));
        Ok(found)
    }

    /// Its keys, asked for anew if those that are known are older than `age_max`.
    async fn keys(&self, metadata: &Metadata, now: Timestamp, age_max: Duration) -> Result<Arc<Vec<Jwk>>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((at, keys)) = &known.keys
            && now.since(*at) < age_max
        {
            return Ok(Arc::clone(keys));
        }
        let found: KeySet = self.asked(&mut known, &metadata.jwks_uri, now).await?;
        // Keys of kinds that are not known here are for others.
        let keys = found.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).take(KEYS_MAX);
        let keys: Arc<Vec<Jwk>> = Arc::new(keys.collect());
        known.keys = Some((now, Arc::clone(&keys)));
        Ok(keys)
    }

    async fn asked<T: DeserializeOwned>(
        &self,
        known: &mut Known,
        address: &str,
        now: Timestamp,
    ) -> Result<T, OidcError> {
        if known.away_at.is_some_and(|at| now.since(at) < LEFT_ALONE) {
            return Err(OidcError::Away("it did not a moment ago".to_owned()));
        }
        let found = self.found(address).await;
        known.away_at = found.is_err().then_some(now);
        found
    }

    async fn found<T: DeserializeOwned>(&self, address: &str) -> Result<T, OidcError> {
        let (status, content) = answer(self.client.get(address).header("accept", "application/json")).await?;
        if !status.is_success() {
            return Err(OidcError::Away(status.to_string()));
        }
        document(&content)
    }
}

/// The S256 challenge of a verifier (RFC 7636 §4.2).
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes()))
}

/// Whether an address may be asked, or somebody be sent to it: over TLS, or on this machine as the issuer is.
fn is_usable(address: &str, issuer: &str) -> bool {
    let is_local = |url: &Url| match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match (Url::parse(address), Url::parse(issuer)) {
        (Ok(url), _) if url.scheme() == "https" => true,
        (Ok(url), Ok(issuer)) => url.scheme() == "http" && is_local(&url) && is_local(&issuer),
        _ => false,
    }
}

/// The status and the content of an answer, which has a bound.
async fn answer(request: RequestBuilder) -> Result<(reqwest::StatusCode, Vec<u8>), OidcError> {
    let mut answer = request.send().await.map_err(away)?;
    let (status, mut content) = (answer.status(), Vec::new());
    // Ends with the answer, or where it grows too large.
    while let Some(piece) = answer.chunk().await.map_err(away)? {
        if content.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(OidcError::Away("its answer is too large".to_owned()));
        }
        content.extend_from_slice(&piece);
    }
    Ok((status, content))
}

fn document<T: DeserializeOwned>(content: &[u8]) -> Result<T, OidcError> {
    // What stands in it can be secret.
    serde_json::from_slice(content).map_err(|_| OidcError::Away("its answer cannot be read".to_owned()))
}

fn away(error: reqwest::Error) -> OidcError {
    OidcError::Away(crate::problem::chain(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_tls_are_used_on_this_machine_only() {
        let local = "http://127.0.0.1:1";
        for (address, issuer, usable) in [
            ("https://a.example/x", "https://b.example", true),
            ("http://a.example/x", "https://b.example", false),
            ("http://127.0.0.1:2/x", local, true),
            ("http://127.0.0.1:2/x", "https://b.example", false),
            ("http://10.0.0.1/x", local, false),
            ("file:///etc/passwd", local, false),
            ("javascript:alert(1)", local, false),
            ("", local, false),
        ] {
            assert_eq!(is_usable(address, issuer), usable, "{address}");
        }
    }

    #[test]
    fn a_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"; // typos: ignore
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"); // typos: ignore
    }
}
