//! The requests of the APIs that need no signature.

use http::Method;
use serde_json::{Value, json};
use url::Url;

use super::super::change::{Manner, Purge};
use super::Ask;

/// Fastly: "Up to 256 surrogate keys can be purged in one batch request".
pub(super) const FASTLY_TAGS_MAX: usize = 256;
/// Cloudflare: "Max operations per request: 100".
pub(super) const CLOUDFLARE_TAGS_MAX: usize = 100;
/// An edge of our own takes as many.
pub(super) const EDGE_TAGS_MAX: usize = crate::http::PURGED_TAGS_MAX;
/// So many fit into the 8 KiB that servers commonly take of one header.
pub(super) const HOOK_TAGS_MAX: usize = 100;

fn tags(purge: &Purge) -> Vec<String> {
    purge.tags.iter().map(ToString::to_string).collect()
}

fn post(url: &str, headers: Vec<(&'static str, String)>, body: &Value) -> Option<Ask> {
    Some(Ask { method: Method::POST, url: Url::parse(url).ok()?, headers, body: Some(body.to_string()) })
}

/// `POST /service/{id}/purge`, with `Fastly-Soft-Purge` to mark objects as stale.
pub(super) fn fastly(base: &str, (service, token): (&str, &str), purge: &Purge, is_soft: bool) -> Option<Ask> {
    let mut headers = vec![("fastly-key", token.to_owned()), ("accept", "application/json".to_owned())];
    if is_soft {
        headers.push(("fastly-soft-purge", "1".to_owned()));
    }
    post(&format!("{base}/service/{service}/purge"), headers, &json!({ "surrogate_keys": tags(purge) }))
}

/// `POST /zones/{id}/purge_cache`.
pub(super) fn cloudflare(base: &str, (zone, token): (&str, &str), purge: &Purge) -> Option<Ask> {
    let headers = vec![("authorization", format!("Bearer {token}"))];
    post(&format!("{base}/zones/{zone}/purge_cache"), headers, &json!({ "tags": tags(purge) }))
}

/// Whether an answer of Cloudflare's, of whatever status, says that it was done.
pub(super) fn is_success(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|answer| answer["success"] == true)
}

fn bearer(secret: &str) -> Vec<(&'static str, String)> {
    if secret.is_empty() { Vec::new() } else { vec![("authorization", format!("Bearer {secret}"))] }
}

/// `POST /edge/purge` of an edge of our own.
pub(super) fn edge(base: &str, secret: &str, purge: &Purge) -> Option<Ask> {
    post(&format!("{base}{}", crate::http::PURGE_PATH), bearer(secret), &json!({ "tags": tags(purge) }))
}

/// One request for all tags: in `Surrogate-Key`, in the header that Varnish's xkey is commonly told with, and in a
/// document where the method has one.
pub(super) fn hook(base: &str, (method, secret): (&Method, &str), purge: &Purge, is_soft: bool) -> Option<Ask> {
    let list = tags(purge).join(" ");
    let mut headers = bearer(secret);
    headers.push((if is_soft { "xkey-softpurge" } else { "xkey-purge" }, list.clone()));
    headers.push(("surrogate-key", list));
    let mut prefixes: Vec<String> = purge.tags.iter().map(super::super::change::Tag::prefix).collect();
    prefixes.dedup();
    let is_gone = purge.manner == Manner::Removed;
    let document = json!({ "tags": tags(purge), "prefixes": prefixes, "soft": is_soft, "removed": is_gone });
    let body = (*method == Method::POST).then(|| document.to_string());
    Some(Ask { method: method.clone(), url: Url::parse(base).ok()?, headers, body })
}

/// One request for each beginning of paths, with `*` behind it: as nginx takes purges, for one.
pub(super) fn hook_by_path(base: &str, (method, secret): (&Method, &str), purge: &Purge) -> Vec<Option<Ask>> {
    let mut prefixes: Vec<String> = purge.tags.iter().map(super::super::change::Tag::prefix).collect();
    prefixes.sort();
    prefixes.dedup();
    let ask = |prefix: &String| {
        let url = Url::parse(&base.replace("{path}", &format!("{prefix}*"))).ok()?;
        Some(Ask { method: method.clone(), url, headers: bearer(secret), body: None })
    };
    prefixes.iter().map(ask).collect()
}
