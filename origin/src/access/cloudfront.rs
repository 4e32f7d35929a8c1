//! CloudFront's signed addresses and cookies, with a canned or a custom policy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::akamai::matches;
use super::token::{is_in, network};
use super::{Claim, PublicKeys, SKEW_S, Verdict, Verifier};

/// Longest policy and signature that is read, in octets.
const TEXT_BYTES_MAX: usize = 4096;
/// What a signature adds to the query; the rest of the query belongs to what is signed.
const PARAMETERS: [&str; 4] = ["Expires", "Policy", "Signature", "Key-Pair-Id"];

/// Takes what was signed by one of several key pairs.
pub struct CloudFront(PublicKeys);

impl CloudFront {
    /// Keys are named by their key pair ids.
    pub fn new(keys: PublicKeys) -> Self {
        Self(keys)
    }

    fn opens(&self, claim: &Claim<'_>, part: impl Fn(&str) -> Option<String>) -> Option<()> {
        let signature = decoded(&part("Signature")?)?;
        let key = part("Key-Pair-Id")?;
        if let Some(policy) = part("Policy") {
            let policy = decoded(&policy)?;
            self.0.signed_sha1(&key, &policy, &signature).then_some(())?;
            return permits(&policy, claim);
        }
        let expires_s: u64 = part("Expires")?.parse().ok()?;
        let signed = addresses(claim)?.into_iter().any(|address| {
            // In exactly this form, which is what is signed and not sent.
            let policy = format!(
                "{{\"Statement\":[{{\"Resource\":\"{address}\",\"Condition\":{{\"DateLessThan\":{{\"AWS:EpochTime\":{expires_s}}}}}}}]}}"
            );
            self.0.signed_sha1(&key, policy.as_bytes(), &signature)
        });
        (signed && claim.now_s < expires_s).then_some(())
    }
}

impl Verifier for CloudFront {
    fn verify(&self, claim: &Claim<'_>) -> Verdict {
        let query = |name: &str| claim.parameter(name).map(str::to_owned);
        let cookies = |name: &str| claim.cookie(&format!("CloudFront-{name}")).map(str::to_owned);
        let opened = if query("Signature").is_some() {
            self.opens(claim, query)
        } else if cookies("Signature").is_some() {
            self.opens(claim, cookies)
        } else {
            return Verdict::Absent;
        };
        if opened.is_some() { Verdict::Granted } else { Verdict::Refused }
    }
}

/// CloudFront's own base64: what is awkward in addresses is replaced.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let plain: String = text
        .chars()
        .map(|char| match char {
            '-' => '+',
            '_' => '=',
            '~' => '/',
            char => char,
        })
        .collect();
    STANDARD.decode(plain).ok()
}

/// What may have been signed as the address of this request: we cannot tell by which scheme the CDN was asked.
fn addresses(claim: &Claim<'_>) -> Option<[String; 2]> {
    let host = claim.host()?;
    let is_own = |pair: &&str| !pair.split_once('=').is_some_and(|(key, _)| PARAMETERS.contains(&key));
    let query: Vec<&str> =
        claim.query.unwrap_or_default().split('&').filter(is_own).filter(|pair| !pair.is_empty()).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let rest = format!("://{host}{}{mark}{}", claim.path, query.join("&"));
    Some([format!("https{rest}"), format!("http{rest}")])
}

/// Whether a custom policy, whose signature is good, permits the request.
fn permits(policy: &[u8], claim: &Claim<'_>) -> Option<()> {
    let policy: Value = serde_json::from_slice(policy).ok()?;
    let statement = policy.get("Statement")?.as_array().filter(|statements| statements.len() == 1)?.first()?;
    let condition = statement.get("Condition")?;
    let time = |name: &str| condition.get(name).map(|time| time.get("AWS:EpochTime").and_then(Value::as_u64));
    let expires_s = time("DateLessThan")??;
    let begins_s = match time("DateGreaterThan") {
        Some(begins_s) => begins_s?,
        None => 0,
    };
    let resource = statement.get("Resource")?.as_str()?;
    let is_there = addresses(claim)?.iter().any(|address| matches(resource, address));
    let is_bound = match condition.get("IpAddress") {
        Some(bound) => {
            let (network, bits) = network(bound.get("AWS:SourceIp")?.as_str()?)?;
            is_in(claim.address?, network, bits)
        }
        None => true,
    };
    (is_there && is_bound && claim.now_s < expires_s && claim.now_s + SKEW_S >= begins_s).then_some(())
}
