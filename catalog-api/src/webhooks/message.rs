//! What is sent to a webhook, and how it is signed (Standard Webhooks 1.0.0).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog_store::Event;
use domain::{AssetId, Clock, MessageId, Timestamp, WebhookId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::accounts::secret;

/// Largest message, in octets.
pub const PAYLOAD_BYTES_MAX: usize = 20_000;
/// What every secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// What every public key begins with.
const PUBLIC_KEY_PREFIX: &str = "whpk_";
/// From which the private key beside a secret is made.
const SEED: &[u8] = b"headwater webhook ed25519 seed";

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: String,
    data: Value,
}

/// The message that tells of an event. Details that would make it too large are left out of it.
pub fn payload_of(event: &Event) -> String {
    let whole = payload(&event.topic, event.at, with_subject(event.data.clone(), event.seq, event.asset));
    if whole.len() < PAYLOAD_BYTES_MAX {
        return whole;
    }
    payload(&event.topic, event.at, with_subject(json!({ "is_cut": true }), event.seq, event.asset))
}

/// The message that somebody sends to try a webhook out.
pub(crate) fn payload_of_test(webhook: WebhookId, now: Timestamp) -> String {
    payload(TEST, now, json!({ "webhook": webhook }))
}

/// The topic of such a message.
pub(crate) const TEST: &str = "webhook.test";

fn payload(topic: &str, at: Timestamp, data: Value) -> String {
    serde_json::to_string(&Payload { r#type: topic, timestamp: at.rfc3339(), data }).unwrap_or_default()
}

fn with_subject(mut data: Value, seq: u64, asset: Option<AssetId>) -> Value {
    if !data.is_object() {
        data = json!({ "details": data });
    }
    data["seq"] = json!(seq);
    if let Some(asset) = asset {
        data["asset"] = json!(asset);
    }
    data
}

/// A secret that nobody can guess.
pub(crate) fn mint(clock: &dyn Clock) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret::octets(clock)))
}

/// The fields of a request that carries this message, signed with each of these secrets.
pub fn headers(id: MessageId, at: Timestamp, payload: &str, secrets: &[&str]) -> [(&'static str, String); 3] {
    let seconds = at.unix_ms() / 1000;
    let signed = format!("{id}.{seconds}.{payload}");
    let signatures: Vec<String> = secrets.iter().flat_map(|secret| signatures(secret, signed.as_bytes())).collect();
    [
        ("webhook-id", id.to_string()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

/// The public key that belongs to a secret, for those who would rather not keep it.
pub(crate) fn public_key(secret: &str) -> Option<String> {
    let pair = key_pair(&octets(secret)?)?;
    Some(format!("{PUBLIC_KEY_PREFIX}{}", STANDARD.encode(pair.public_key().as_ref())))
}

fn signatures(secret: &str, signed: &[u8]) -> Vec<String> {
    let Some(octets) = octets(secret) else { return Vec::new() };
    let symmetric = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &octets), signed);
    let mut signatures = vec![format!("v1,{}", STANDARD.encode(symmetric.as_ref()))];
    signatures.extend(key_pair(&octets).map(|pair| format!("v1a,{}", STANDARD.encode(pair.sign(signed).as_ref()))));
    signatures
}

fn octets(secret: &str) -> Option<Vec<u8>> {
    STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()
}

fn key_pair(octets: &[u8]) -> Option<Ed25519KeyPair> {
    let seed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, octets), SEED);
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_message_is_signed_as_the_published_example_is() {
        // From the documents of Standard Webhooks and Svix: the id there is none of ours.
        let body = r#"{"test": 2432232314}"#;
        let signed = format!("msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{body}");
        let [symmetric, _] = &signatures(SECRET, signed.as_bytes())[..] else { panic!("two signatures") };
        assert_eq!(symmetric, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn both_kinds_of_signature_hold_for_each_secret() {
        let clock = domain::ManualClock::at(Timestamp::from_unix_ms(1_800_000_000_999));
        let (id, other) = (MessageId::mint(clock.now(), clock.entropy()), mint(&clock));
        let fields = headers(id, clock.now(), "{}", &[SECRET, &other]);
        assert_eq!(fields[0], ("webhook-id", id.to_string()));
        assert_eq!(fields[1], ("webhook-timestamp", "1800000000".to_owned()));
        let signatures: Vec<&str> = fields[2].1.split(' ').collect();
        assert_eq!(signatures.len(), 4);
        let signed = format!("{id}.1800000000.{{}}");
        for (secret, pair) in [SECRET, &other].iter().zip(signatures.chunks(2)) {
            let key = public_key(secret).expect("a key");
            let key = STANDARD.decode(key.strip_prefix("whpk_").expect("a prefix")).expect("base 64");
            let signature = STANDARD.decode(pair[1].strip_prefix("v1a,").expect("a version")).expect("base 64");
            UnparsedPublicKey::new(&ED25519, key).verify(signed.as_bytes(), &signature).expect("it holds");
            assert!(pair[0].starts_with("v1,"));
        }
        assert_ne!(signatures[0], signatures[2]);
    }

    #[test]
    fn a_message_is_thin_and_bounded() {
        let event = |data: Value| Event {
            seq: 7,
            at: Timestamp::from_unix_ms(0),
            topic: "asset.ready".into(),
            asset: Some(AssetId::from_u128(1)),
            user: None,
            data,
        };
        let read = |data| serde_json::from_str::<Value>(&payload_of(&event(data))).expect("JSON");
        let small = read(json!({ "state": "ready" }));
        assert_eq!(small["type"], "asset.ready");
        assert_eq!(small["timestamp"], "1970-01-01T00:00:00.000Z");
        assert_eq!(small["data"], json!({ "state": "ready", "seq": 7, "asset": AssetId::from_u128(1) }));
        let large = read(json!({ "text": "x".repeat(30_000) }));
        assert_eq!(large["data"], json!({ "is_cut": true, "seq": 7, "asset": AssetId::from_u128(1) }));
    }
}
