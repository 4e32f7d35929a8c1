//! What answers tell of an upload, in the words of the protocol that asked.

use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, UNIX_EPOCH};

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Upload, UploadKind, UploadState};
use domain::{AssetId, Timestamp, UploadId};

use crate::digest::{Algorithm, Expected, Hasher};
use crate::protocol::checks;
use crate::protocol::draft::{self, Interop, Quirks, UPLOAD_LIMIT};
use crate::protocol::metadata::UPLOAD_METADATA;
use crate::protocol::tus::{UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES};
use crate::protocol::{ASSET_LOCATION, Dialect, UPLOAD_LENGTH, UPLOAD_OFFSET};
use crate::router::Call;
use crate::{State, UploadError, document};

/// Largest file whose digest is computed while a client waits for the answer: about a second's work.
const DIGEST_BYTES_MAX: u64 = 1 << 30;

/// Where an upload stands and all that was said of it: the answer to a question.
pub(crate) fn whereabouts(state: &State, dialect: Dialect, upload: &Upload) -> Result<Response, UploadError> {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // A final upload takes nothing from a client: until its parts are joined, no offset means anything.
    if upload.kind != UploadKind::Final || upload.state == UploadState::Complete || dialect != Dialect::Tus {
        headers.insert(UPLOAD_OFFSET, upload.offset.into());
    }
    // A client of tus takes an upload for complete whose offset is its length; the draft has a field for that.
    let length = match dialect {
        Dialect::Tus => upload.length,
        Dialect::Draft(_) => upload.length.or(upload.full_length()),
    };
    match (length, dialect) {
        (Some(length), _) => drop(headers.insert(UPLOAD_LENGTH, length.into())),
        (None, Dialect::Tus) if upload.kind != UploadKind::Final => {
            headers.insert(UPLOAD_DEFER_LENGTH, HeaderValue::from_static("1"));
        }
        (None, _) => {}
    }
    if let Some(target) = upload.target {
        headers.insert(ASSET_LOCATION, asset_location(target.asset)?);
    }
    match dialect {
        Dialect::Tus => {
            let said = [(UPLOAD_METADATA, Some(&upload.metadata)), (UPLOAD_CONCAT, upload.terms.concat.as_ref())];
            for (name, text) in said {
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    headers.insert(name, HeaderValue::from_str(text).map_err(|_| UploadError::Internal)?);
                }
            }
            tell_expiry(headers, upload);
        }
        Dialect::Draft(version) => {
            tell_state(state, version, headers, upload);
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
    }
    Ok(response)
}

/// The upload exists: the answer to the request that created it.
///
/// `tells_offset` is whether octets came with it. `location` is where the upload lives.
pub(crate) fn created(
    state: &State,
    dialect: Dialect,
    upload: &Upload,
    location: HeaderValue,
    tells_offset: bool,
) -> Result<Response, UploadError> {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    if let Some(target) = upload.target {
        headers.insert(ASSET_LOCATION, asset_location(target.asset)?);
    }
    match dialect {
        Dialect::Tus => {
            tell_expiry(headers, upload);
            if tells_offset {
                headers.insert(UPLOAD_OFFSET, upload.offset.into());
            }
        }
        Dialect::Draft(version) => {
            headers.insert(UPLOAD_OFFSET, upload.offset.into());
            tell_state(state, version, headers, upload);
        }
    }
    Ok(response)
}

/// The content of a request was taken to its end.
///
/// In the draft, the request that completes an upload is answered as the creating one would have been.
pub(crate) fn appended(
    state: &State,
    dialect: Dialect,
    upload: &Upload,
    location: HeaderValue,
) -> Result<Response, UploadError> {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(UPLOAD_OFFSET, upload.offset.into());
    match dialect {
        Dialect::Tus => tell_expiry(headers, upload),
        Dialect::Draft(_) if draft::is_complete(upload) => return created(state, dialect, upload, location, true),
        Dialect::Draft(version) => {
            tell_state(state, version, headers, upload);
            if version.acknowledges_with_created() {
                *response.status_mut() = StatusCode::CREATED;
            }
        }
    }
    Ok(response)
}

/// A piece was not taken.
///
/// tus wants each answer to a `PATCH` to tell when the upload expires: whoever is refused a piece has to know how
/// long there is time for another try.
pub(crate) async fn refused_piece(state: &State, dialect: Dialect, id: UploadId, error: UploadError) -> Response {
    let is_told = dialect == Dialect::Tus && !matches!(error, UploadError::Catalog(_));
    let mut response = error.into_answer(dialect, &state.limits);
    if is_told && let Ok(Some(upload)) = state.catalog.upload(id).await {
        tell_expiry(response.headers_mut(), &upload);
    }
    response
}

/// The answer, with the digest of the whole that the client wants most of those that can be told: as it
/// said in this request, or when it created the upload.
///
/// A digest that the client gave was verified when the upload was completed. Any other one is computed
/// by reading the file, if it is not too large for an answer to wait.
pub(crate) async fn with_digest(
    state: &State,
    call: &Call,
    upload: &Upload,
    mut response: Response,
) -> Result<Response, UploadError> {
    let names = Some(checks::wanted(&call.headers)).filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| upload.terms.wanted_digests.clone());
    let wanted: Vec<Algorithm> = names.iter().filter_map(|name| Algorithm::of_tus_name(name)).collect();
    let (Some(first), UploadState::Complete) = (wanted.first(), upload.state) else { return Ok(response) };
    let given = Expected::of_terms(&upload.terms.digests).unwrap_or_default();
    let known = wanted.iter().find_map(|wanted| given.iter().find(|digest| digest.algorithm == *wanted));
    let digest = match (known, upload.target) {
        (Some(known), _) => known.clone(),
        (None, Some(target)) if upload.offset <= DIGEST_BYTES_MAX => {
            let source = state.store.open_uploaded(&document::object_of(target)).await?;
            let algorithm = *first;
            let read = state.tasks.spawn_blocking(move || digest_of(source, algorithm));
            match read.await.map_err(|_| UploadError::Internal)? {
                Ok(digest) => digest,
                // The upload is complete whether or not its digest can be told.
                Err(error) => {
                    tracing::warn!(upload.id = %upload.id, error = &error as &dyn std::error::Error, "no digest was read");
                    return Ok(response);
                }
            }
        }
        (None, _) => return Ok(response),
    };
    if let Some(value) = checks::field_value(&digest) {
        response.headers_mut().insert(checks::REPR_DIGEST, value);
    }
    Ok(response)
}

fn digest_of(mut source: File, algorithm: Algorithm) -> io::Result<Expected> {
    let (mut hasher, mut buffer) = (Hasher::new(algorithm), vec![0; 256 << 10]);
    // Ends with the file, which nobody writes any more.
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(Expected { algorithm, value: hasher.finish() }),
            bytes => hasher.update(&buffer[..bytes]),
        }
    }
}

/// The address of an asset in the catalogue's API.
fn asset_location(asset: AssetId) -> Result<HeaderValue, UploadError> {
    HeaderValue::from_str(&format!("/api/v1/assets/{asset}")).map_err(|_| UploadError::Internal)
}

/// When the upload is given up unless more comes. What is complete stays, unless it is a part that
/// waits for its whole.
fn may_expire_at(upload: &Upload) -> Option<Timestamp> {
    let may_expire = match upload.state {
        UploadState::Open => true,
        UploadState::Complete => upload.kind == UploadKind::Partial,
        _ => false,
    };
    upload.expires_at.filter(|_| may_expire)
}

/// `Upload-Expires`, for as long as the upload may expire.
fn tell_expiry(headers: &mut HeaderMap, upload: &Upload) {
    let unix_ms = may_expire_at(upload).and_then(|expires_at| u64::try_from(expires_at.unix_ms()).ok());
    let date = unix_ms.and_then(|unix_ms| UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms)));
    if let Some(date) = date.map(httpdate::fmt_http_date).and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(UPLOAD_EXPIRES, date);
    }
}

/// Whether the upload is complete, and what bounds it.
fn tell_state(state: &State, version: Option<Interop>, headers: &mut HeaderMap, upload: &Upload) {
    let (name, value) = draft::completeness(version, draft::is_complete(upload));
    headers.insert(name, value);
    let expires_at = may_expire_at(upload);
    headers.insert(UPLOAD_LIMIT, draft::limit(version, &state.limits, expires_at, state.clock.now()));
}
