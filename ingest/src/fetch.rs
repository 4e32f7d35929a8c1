//! `GET /uploads/{id}`: the file as it was uploaded, once it is complete.

use std::io::{self, SeekFrom};
use std::ops::Range;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_RANGE, RANGE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Upload, UploadKind, UploadState};
use domain::UploadId;
use media_store::{MediaStore, layout};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::head::{find, head};
use crate::protocol::{Dialect, UPLOAD_LENGTH, UPLOAD_OFFSET, draft};
use crate::router::Call;
use crate::{Denial, State, UploadError, document};

/// Octets asked of the store at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// The file; while it is still growing, where the upload stands and no content.
///
/// Takes no turn: a reader disturbs nobody. Only in the draft is this a question from which a client
/// wants to go on.
pub(crate) async fn fetch(state: &State, call: &Call, id: UploadId) -> Result<Response, UploadError> {
    let upload = find(state, id).await?;
    if upload.state == UploadState::Open {
        if let Dialect::Draft(_) = call.dialect {
            return head(state, call, id).await;
        }
        let mut response = crate::answer::whereabouts(state, call.dialect, &upload)?;
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    if upload.kind == UploadKind::Partial && call.entrant.grant.is_some() {
        // An upload link is no way to hand files on.
        return Err(Denial::Forbidden { reason: "a part is read by its owner only: put the parts together" }.into());
    }
    let length = upload.length.unwrap_or(upload.offset);
    let Some(range) = range(&call.headers, length) else {
        let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
        response.headers_mut().insert(CONTENT_RANGE, header(format!("bytes */{length}"))?);
        return Ok(response);
    };
    let mut response = content(state, &upload, range.clone().unwrap_or(0..length)).await?.into_response();
    let headers = response.headers_mut();
    dress(headers, &upload)?;
    headers.insert(CONTENT_LENGTH, range.as_ref().map_or(length, |range| range.end - range.start).into());
    headers.insert(UPLOAD_OFFSET, upload.offset.into());
    headers.insert(UPLOAD_LENGTH, length.into());
    if let Dialect::Draft(version) = call.dialect {
        let (name, value) = draft::completeness(version, true);
        headers.insert(name, value);
        headers.insert(draft::UPLOAD_LIMIT, draft::limit(version, &state.limits, None, state.clock.now()));
    }
    if let Some(range) = range {
        headers.insert(CONTENT_RANGE, header(format!("bytes {}-{}/{length}", range.start, range.end - 1))?);
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// What says how the content is to be handled: as a file to keep, never as a page of this server.
fn dress(headers: &mut HeaderMap, upload: &Upload) -> Result<(), UploadError> {
    let is_media = |kind: &&String| kind.starts_with("video/") || kind.starts_with("audio/");
    let kind = upload.terms.media_type.as_ref().filter(is_media);
    headers.insert(CONTENT_TYPE, header(kind.map_or("application/octet-stream", |kind| kind).to_owned())?);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let name = upload.file_name.as_deref().map(|name| format!("; filename*=UTF-8''{}", percent_encoded(name)));
    headers.insert(CONTENT_DISPOSITION, header(format!("attachment{}", name.unwrap_or_default()))?);
    Ok(())
}

async fn content(state: &State, upload: &Upload, range: Range<u64>) -> Result<Body, UploadError> {
    let Some(target) = upload.target else {
        let length = range.end - range.start;
        let open = async {
            let mut file = tokio::fs::File::open(state.staging.path(upload.id)).await?;
            file.seek(SeekFrom::Start(range.start)).await?;
            Ok::<_, io::Error>(file.take(length))
        };
        // A part may be gone once its octets are part of a whole.
        let file = open.await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => UploadError::Gone,
            _ => UploadError::Lost,
        })?;
        return Ok(Body::from_stream(ReaderStream::new(file)));
    };
    let key = document::object_of(target);
    if state.store.size(&key).await?.is_none() {
        return Err(UploadError::Gone);
    }
    Ok(stored(state.store.clone(), key, range))
}

/// Some octets of a stored object, fetched piece by piece as the client takes them.
fn stored(store: MediaStore, key: layout::Key, range: Range<u64>) -> Body {
    let pieces = futures::stream::try_unfold(range.start, move |at| {
        let (store, key) = (store.clone(), key.clone());
        let until = at.saturating_add(PIECE_BYTES).min(range.end);
        async move {
            if at >= until {
                return Ok(None);
            }
            let piece = store.get_range(&key, at..until).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Some((piece.ok_or(io::ErrorKind::NotFound)?, until)))
        }
    });
    Body::from_stream(pieces)
}

/// The one range that is asked for (RFC 9110 §14): `Some(None)` for the whole, `None` if it lies outside.
///
/// Several ranges, other units and conditions on a range are answered with the whole, which is allowed.
fn range(headers: &HeaderMap, length: u64) -> Option<Option<Range<u64>>> {
    let asked = headers.get(RANGE).filter(|_| !headers.contains_key(IF_RANGE)).and_then(|value| value.to_str().ok());
    let Some((first, last)) = asked.and_then(|asked| asked.strip_prefix("bytes=")?.split_once('-')) else {
        return Some(None);
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let range = match (number(first), number(last)) {
        (None, Some(suffix)) if first.is_empty() => length.saturating_sub(suffix)..length,
        (Some(first), None) if last.is_empty() => first..length,
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        _ => return Some(None),
    };
    (range.start < range.end).then_some(Some(range))
}

fn header(text: String) -> Result<HeaderValue, UploadError> {
    HeaderValue::try_from(text).map_err(|_| UploadError::Internal)
}

/// A name as `filename*` takes it (RFC 8187).
fn percent_encoded(name: &str) -> String {
    let octet = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(octet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_understood_and_everything_else_is_the_whole() {
        let check = |asked: &str, expected: Option<Option<Range<u64>>>| {
            let headers = HeaderMap::from_iter([(RANGE, asked.parse().expect("a value"))]);
            assert_eq!(range(&headers, 10), expected, "{asked}");
        };
        check("bytes=0-3", Some(Some(0..4)));
        check("bytes=3-", Some(Some(3..10)));
        check("bytes=-4", Some(Some(6..10)));
        check("bytes=-40", Some(Some(0..10)));
        check("bytes=9-100", Some(Some(9..10)));
        check("bytes=0-18446744073709551615", Some(Some(0..10)));
        for outside in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
            check(outside, None);
        }
        for whole in ["bytes=5-3", "bytes=0-1,3-4", "bytes=a-b", "items=0-3", "bytes=-", "bytes=+1-3", "nonsense"] {
            check(whole, Some(None));
        }
        assert_eq!(range(&HeaderMap::new(), 10), Some(None));
    }

    #[test]
    fn names_are_encoded_for_the_disposition() {
        assert_eq!(percent_encoded("a b\"\u{e4}.mp4"), "a%20b%22%C3%A4.mp4");
    }
}
