//! ID tokens: whose signature counts, and what has to stand in them (OpenID Connect Core 1.0 §3.1.3.7).

use std::time::Duration;

use domain::Timestamp;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// By which rules a token may be signed: never by none, and never by a secret that both sides know.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// Longest token that is looked at.
const BYTES_MAX: usize = 32 << 10;
/// How far clocks may differ.
const SKEW: Duration = Duration::from_secs(60);
/// How long ago a token may have been made.
const AGE_MAX: Duration = Duration::from_secs(600);
/// Longest name of somebody at a provider (§2).
const SUBJECT_BYTES_MAX: usize = 255;

/// What is wrong with a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    /// It is no token, or has parts that are not understood.
    #[error("the token cannot be read")]
    Malformed,
    /// It is signed by another rule than may be.
    #[error("the token is signed by a rule that does not count")]
    Algorithm,
    /// None of the keys is the one that it names: there may be a new one.
    #[error("the token names a key that the provider does not publish")]
    UnknownKey,
    /// No key of the provider has signed it.
    #[error("the signature of the token is wrong")]
    Signature,
    /// This claim is not what it has to be.
    #[error("the claim {0} of the token is wrong")]
    Claim(&'static str),
}

/// What a token has to say.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Who made it.
    pub(crate) issuer: &'a str,
    /// For whom.
    pub(crate) client_id: &'a str,
    /// On which occasion.
    pub(crate) nonce: &'a str,
    /// The present.
    pub(crate) now: Timestamp,
}

/// Whom a provider vouches for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// What it calls them, for ever.
    pub(crate) subject: String,
    /// A mail address that it has seen to be theirs.
    pub(crate) email: Option<String>,
    /// Their name.
    pub(crate) name: Option<String>,
    /// All that it says.
    claims: Value,
}

impl Person {
    /// Whether this claim is, or holds, this value.
    pub(crate) fn has(&self, claim: &str, value: &str) -> bool {
        match &self.claims[claim] {
            Value::String(text) => text == value,
            Value::Array(texts) => texts.iter().any(|text| text.as_str() == Some(value)),
            _ => false,
        }
    }
}

/// The person in a token that one of `keys` has signed.
pub(crate) fn verified(token: &str, keys: &[Jwk], expected: Expected<'_>) -> Result<Person, TokenFault> {
    if token.len() > BYTES_MAX {
        return Err(TokenFault::Malformed);
    }
    // A rule that the library does not know, such as `none`, is no rule.
    let header = decode_header(token).map_err(|_| TokenFault::Algorithm)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(TokenFault::Algorithm);
    }
    let mut rules = Validation::new(header.alg);
    // Claims are looked at below, by the clock of this server.
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_aud) = (false, false);
    let fitting = keys.iter().filter(|key| is_fit(key, header.kid.as_deref(), header.alg));
    let mut fault = TokenFault::UnknownKey;
    for key in fitting {
        fault = TokenFault::Signature;
        let Ok(key) = DecodingKey::from_jwk(key) else { continue };
        if let Ok(data) = decode::<Value>(token, &key, &rules) {
            return checked(data.claims, expected);
        }
    }
    Err(fault)
}

fn is_fit(key: &Jwk, id: Option<&str>, algorithm: Algorithm) -> bool {
    let common = &key.common;
    let is_named = id.is_none_or(|id| common.key_id.as_deref() == Some(id));
    let is_for_signatures = common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let is_of_rule =
        common.key_algorithm.is_none_or(|of_key| Algorithm::try_from(of_key).is_ok_and(|of_key| of_key == algorithm));
    is_named && is_for_signatures && is_of_rule
}

fn checked(claims: Value, expected: Expected<'_>) -> Result<Person, TokenFault> {
    let wrong = |name: &'static str| Err(TokenFault::Claim(name));
    let text = |name: &str| claims[name].as_str();
    let seconds = |name: &str| claims[name].as_f64().filter(|seconds| seconds.is_finite());
    if text("iss") != Some(expected.issuer) {
        return wrong("iss");
    }
    let audiences = match &claims["aud"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&expected.client_id) {
        return wrong("aud");
    }
    match &claims["azp"] {
        // One for several has to say who may use it.
        Value::Null if audiences.len() > 1 => return wrong("azp"),
        Value::Null => {}
        party if party.as_str() != Some(expected.client_id) => return wrong("azp"),
        _ => {}
    }
    let now_s = expected.now.unix_ms() as f64 / 1000.0;
    let skew_s = SKEW.as_secs_f64();
    if seconds("exp").is_none_or(|until| until <= now_s - skew_s) {
        return wrong("exp");
    }
    if seconds("iat").is_none_or(|made| made > now_s + skew_s || made < now_s - AGE_MAX.as_secs_f64() - skew_s) {
        return wrong("iat");
    }
    if !claims["nbf"].is_null() && seconds("nbf").is_none_or(|from| from > now_s + skew_s) {
        return wrong("nbf");
    }
    if text("nonce") != Some(expected.nonce) {
        return wrong("nonce");
    }
    let subject = text("sub").filter(|subject| (1..=SUBJECT_BYTES_MAX).contains(&subject.len()));
    let Some(subject) = subject.map(str::to_owned) else { return wrong("sub") };
    // Nothing but `true` is a word for it: an address that anybody could have typed in proves nothing.
    let email = text("email").filter(|_| claims["email_verified"] == Value::Bool(true)).map(str::to_owned);
    let name = text("name").map(str::to_owned);
    Ok(Person { subject, email, name, claims })
}
