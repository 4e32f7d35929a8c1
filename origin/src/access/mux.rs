//! Mux's tokens: `?token=` with a JWT, signed by RS256, whose subject is the playback id.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{Claim, PublicKeys, SKEW_S, Verdict, Verifier};

/// Longest token that is read, in octets.
const TOKEN_BYTES_MAX: usize = 4096;

/// Takes what was signed by one of several signing keys.
pub struct Mux(PublicKeys);

impl Mux {
    /// Keys are named by their ids (`kid`).
    pub fn new(keys: PublicKeys) -> Self {
        Self(keys)
    }

    fn opens(&self, token: &str, claim: &Claim<'_>) -> Option<()> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let (header, claims) = (part(header)?, part(claims)?);
        let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
        (text(&header, "alg")? == "RS256").then_some(())?;
        // Some sign the id of the key as a claim only.
        let key = text(&header, "kid").or_else(|| text(&claims, "kid"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.0.signed_sha256(&key, signed.as_bytes(), &signature).then_some(())?;
        let number = |name: &str| claims.get(name).and_then(Value::as_u64);
        let is_timely = claim.now_s < number("exp")? && claim.now_s + SKEW_S >= number("nbf").unwrap_or(0);
        let is_meant = text(&claims, "sub")? == claim.playback.to_string();
        let is_of_kind = text(&claims, "aud")? == audience(claim.path);
        (is_timely && is_meant && is_of_kind).then_some(())
    }
}

/// Mux's letter for what is asked for: video, thumbnail or storyboard.
fn audience(path: &str) -> &'static str {
    let file = path.rsplit('/').next().unwrap_or_default();
    if file.starts_with("storyboard") || file.starts_with("sheet") {
        "s"
    } else if path.contains("/images/") {
        "t"
    } else {
        "v"
    }
}

impl Verifier for Mux {
    fn verify(&self, claim: &Claim<'_>) -> Verdict {
        let Some(token) = claim.parameter("token") else { return Verdict::Absent };
        if token.len() <= TOKEN_BYTES_MAX && self.opens(token, claim).is_some() {
            Verdict::Granted
        } else {
            Verdict::Refused
        }
    }
}
