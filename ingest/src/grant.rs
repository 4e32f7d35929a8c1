//! `POST /api/v1/upload-grants`: capabilities to upload, handed out as one-time addresses.
//!
//! The secret is told once. What is stored is an id made from its hash, so that the catalogue, its
//! backups and its readers cannot upload with it.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State as Extract};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog_store::Grant;
pub(crate) use catalog_store::grants::{SECRET_PREFIX as PREFIX, id_of};
use domain::about::Fault;
use domain::authority::Action;
use serde::Deserialize;
use serde_json::Number;

use crate::sniff::TypePattern;
use crate::{Denial, State, UploadError, api, gate, grants};

/// How long a capability holds when nothing else is asked for: a day.
const LIFE_S: u64 = 24 * 3600;
/// How long it holds at most: a month.
const LIFE_S_MAX: u64 = 31 * 24 * 3600;
/// How long it is remembered after its end, so that who comes late is told why.
const MEMORY: Duration = Duration::from_secs(31 * 24 * 3600);
/// Uploads under one capability.
const USES_MAX: u32 = 1000;
/// Types on one list.
const TYPES_MAX: usize = 32;

/// What a capability shall allow. Numbers are taken as they come, so that one which cannot be meant is named.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    max_bytes: Option<Number>,
    max_duration_s: Option<Number>,
    types: Vec<String>,
    expires_in_s: Option<Number>,
    origin: Option<String>,
    uses: Option<Number>,
}

pub(crate) async fn create(Extract(state): Extract<State>, request: Request) -> Result<Response, UploadError> {
    let (parts, body) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::GrantUpload).await?;
    let wanted: Wanted = api::document(&parts.headers, body).await?;
    let now = state.clock.now();
    let (first, second) = (state.clock.entropy(), state.clock.entropy());
    let secret = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([first, second].concat()));
    let (owner, key) = (principal.name(), principal.key());
    let grant = Grant { id: id_of(&secret), owner, key, ..checked(wanted, now)? };
    state.catalog.prune_grants(domain::Timestamp::from_unix_ms(now.unix_ms() - ms(MEMORY))).await?;
    state.catalog.create_grant(&grant).await?;
    tracing::info!(grant.id = %grant.id, "upload grant created");
    let document = serde_json::json!({
        "id": grant.id,
        "url": format!("/uploads?grant={secret}"),
        "token": secret,
        "expires_at": grant.expires_at.rfc3339(),
        "uses": grant.uses_left,
        "max_bytes": grant.bytes_max,
        "max_duration_s": grant.duration_s_max,
        "types": grant.types,
        "origin": grant.origin,
    });
    let mut response = (StatusCode::CREATED, axum::Json(document)).into_response();
    let location = format!("/api/v1/upload-grants/{}", grant.id);
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(&location).map_err(|_| UploadError::Internal)?);
    // The answer holds a secret.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// Takes a capability back; uploads under it end with their next request.
pub(crate) async fn revoke(
    Extract(state): Extract<State>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, UploadError> {
    let (parts, _) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::RevokeGrant).await?;
    let id = grants::id_in(path)?;
    grants::own(&state, &principal, &id).await?;
    state.catalog.revoke_grant(&id, principal.name().as_deref(), state.clock.now()).await?;
    tracing::info!(grant.id = %id, "upload grant taken back");
    Ok((StatusCode::NO_CONTENT, Bytes::new()).into_response())
}

fn checked(wanted: Wanted, now: domain::Timestamp) -> Result<Grant, Denial> {
    let mut faults = Vec::new();
    let life_s = whole(wanted.expires_in_s, "expires_in_s", LIFE_S_MAX, &mut faults).unwrap_or(LIFE_S);
    let uses = whole(wanted.uses, "uses", USES_MAX, &mut faults).unwrap_or(1);
    let bytes_max = whole(wanted.max_bytes, "max_bytes", i64::MAX.unsigned_abs(), &mut faults);
    let duration_s_max = whole(wanted.max_duration_s, "max_duration_s", u32::MAX, &mut faults);
    if wanted.types.len() > TYPES_MAX {
        faults.push(Fault::new("/types", "too_many", format!("holds up to {TYPES_MAX} media types")));
    }
    for (at, kind) in wanted.types.iter().enumerate().take(TYPES_MAX) {
        if let Err(reason) = kind.parse::<TypePattern>() {
            faults.push(Fault::new(format!("/types/{at}"), "invalid_type", reason.to_string()));
        }
    }
    if wanted.origin.as_deref().is_some_and(|origin| !is_origin(origin)) {
        let detail = "is a scheme and a host, such as https://example.org";
        faults.push(Fault::new("/origin", "invalid_origin", detail));
    }
    if !faults.is_empty() {
        return Err(Denial::Fields { faults });
    }
    Ok(Grant {
        id: String::new(),
        owner: None,
        key: None,
        bytes_max,
        duration_s_max,
        types: wanted.types,
        origin: wanted.origin,
        uses_left: uses,
        expires_at: now.plus(Duration::from_secs(life_s)),
        is_revoked: false,
        created_at: now,
        asset: None,
        is_document: false,
    })
}

/// The number in a field, if there is one from 1 to `most`.
fn whole<T: TryFrom<u64> + PartialOrd + std::fmt::Display>(
    number: Option<Number>,
    field: &str,
    most: T,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let number = number?;
    let found = number.as_u64().filter(|number| *number > 0).and_then(|number| T::try_from(number).ok());
    let found = found.filter(|number| *number <= most);
    if found.is_none() {
        faults.push(Fault::new(format!("/{field}"), "out_of_range", format!("is a whole number from 1 to {most}")));
    }
    found
}

/// What a browser sends as `Origin`: no path, no blank.
fn is_origin(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| url.origin().is_tuple() && text.eq_ignore_ascii_case(&url.origin().ascii_serialization()))
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_grant_may_allow_is_bounded() {
        let now = domain::Timestamp::from_unix_ms(0);
        let check = |json: &str| checked(serde_json::from_str(json).expect("a document"), now);
        let plain = check("{}").expect("everything has a default");
        assert_eq!((plain.uses_left, plain.expires_at.unix_ms()), (1, 24 * 3600 * 1000));
        let full = r#"{"max_bytes":5,"max_duration_s":6,"types":["video/*"],"expires_in_s":7,"origin":"https://a.example:8443","uses":8}"#;
        assert_eq!(check(full).expect("is fine").expires_at.unix_ms(), 7000);
        for wrong in [
            r#"{"max_bytes":0}"#,
            r#"{"max_bytes":-1}"#,
            r#"{"max_bytes":1.5}"#,
            r#"{"max_bytes":1e300}"#,
            r#"{"max_bytes":9223372036854775808}"#,
            r#"{"max_duration_s":0}"#,
            r#"{"max_duration_s":4294967296}"#,
            r#"{"expires_in_s":0}"#,
            r#"{"expires_in_s":2678401}"#,
            r#"{"uses":0}"#,
            r#"{"uses":1001}"#,
            r#"{"types":["video"]}"#,
            r#"{"origin":"example.org"}"#,
            r#"{"origin":"https://example.org/path"}"#,
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Wanted>(r#"{"max_size":1}"#).is_err(), "a misspelt bound is no bound");
    }

    #[test]
    fn an_id_does_not_give_its_secret_away() {
        let secret = "grt_secret";
        let id = id_of(secret);
        assert_eq!((id.len(), id == id_of("grt_other")), (32, false));
        assert!(!id.contains("secret"));
    }
}
