//! Akamai's Fast Purge API, version 3, with requests signed by EdgeGrid.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Clock, Timestamp};
use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use super::super::change::Purge;
use super::Ask;

/// A request has 50,000 octets at most; a tag has no more than 60, with its quotes and comma.
pub(super) const TAGS_MAX: usize = 400;
/// The octets of a body that are signed.
const SIGNED_BYTES_MAX: usize = 131_072;

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    client_token: String,
    client_secret: String,
    access_token: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// From `client_token:client_secret:access_token`.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut words = text.split(':').map(str::trim).filter(|word| !word.is_empty() && !word.contains(['\t', ';']));
        let mut next = || words.next().map(str::to_owned);
        let read = Self { client_token: next()?, client_secret: next()?, access_token: next()? };
        words.next().is_none().then_some(read)
    }
}

/// `POST /ccu/v3/{invalidate|delete}/tag/production`.
pub(super) fn ask(
    base: &str,
    credentials: &Credentials,
    purge: &Purge,
    is_soft: bool,
    clock: &dyn Clock,
) -> Option<Ask> {
    let way = if is_soft { "invalidate" } else { "delete" };
    let url = Url::parse(&format!("{base}/ccu/v3/{way}/tag/production")).ok()?;
    let tags: Vec<String> = purge.tags.iter().map(super::super::change::Tag::as_token).collect();
    let body = json!({ "objects": tags }).to_string();
    let nonce = format!("{:032x}", u128::from_be_bytes(clock.entropy()));
    let signed = authorization(credentials, &url, &body, (clock.now(), &nonce))?;
    Some(Ask { method: Method::POST, url, headers: vec![("authorization", signed)], body: Some(body) })
}

/// EdgeGrid's `Authorization` of a POST, without signed headers.
fn authorization(credentials: &Credentials, url: &Url, body: &str, (now, nonce): (Timestamp, &str)) -> Option<String> {
    let Credentials { client_token, client_secret, access_token } = credentials;
    let time = time(now);
    let unsigned = format!(
        "EG1-HMAC-SHA256 client_token={client_token};access_token={access_token};timestamp={time};nonce={nonce};"
    );
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let hash = STANDARD.encode(Sha256::digest(&body.as_bytes()[..body.len().min(SIGNED_BYTES_MAX)]));
    // Method, scheme, host, path with query, signed headers (none), hash of the body, and the header so far.
    let data = format!("POST\t{}\t{host}\t{}\t\t{hash}\t{unsigned}", url.scheme(), url.path());
    let key = mac(client_secret.as_bytes(), &time);
    Some(format!("{unsigned}signature={}", mac(key.as_bytes(), &data)))
}

fn mac(key: &[u8], text: &str) -> String {
    STANDARD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()))
}

/// `20261129T12:05:09+0000`.
fn time(now: Timestamp) -> String {
    let text = now.rfc3339();
    let (date, time) = text.split_once('T').unwrap_or((&text, ""));
    format!("{}T{}+0000", date.replace('-', ""), time.get(..8).unwrap_or("00:00:00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_as_edgegrid_wants_it() {
        let credentials = Credentials::read("akab-client-token:client/secret=:akab-access-token").unwrap();
        let url = Url::parse("https://akab-host.purge.example/ccu/v3/invalidate/tag/production").unwrap();
        let now = Timestamp::from_unix_ms(1_796_040_309_999);
        assert_eq!(time(now), "20261130T12:05:09+0000");
        let body = r#"{"objects":["asset-plb_x"]}"#;
        let signed = authorization(&credentials, &url, body, (now, "nonce-1")).unwrap();
        // Computed by another implementation: Python's hmac and hashlib after Akamai's reference client.
        assert_eq!(
            signed,
            "EG1-HMAC-SHA256 client_token=akab-client-token;access_token=akab-access-token;\
             timestamp=20261130T12:05:09+0000;nonce=nonce-1;signature=JI8kXf+19DejD3soRSx7qTeBa7WjYwLdVottKzKkYYM="
        );
    }

    #[test]
    fn credentials_are_three_words() {
        assert!(Credentials::read("a:b:c").is_some());
        for wrong in ["", "a:b", "a:b:c:d", "a::c", "a;:b:c"] {
            assert!(Credentials::read(wrong).is_none(), "{wrong}");
        }
    }
}
