//! `PATCH /uploads/{id}`: the next octets of an upload.

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::UploadState;
use domain::UploadId;

use crate::head::look_up;
use crate::protocol::{UPLOAD_CHECKSUM, UPLOAD_OFFSET, integer, is_piece};
use crate::receive::{self, End};
use crate::session::Refused;
use crate::{State, UploadError};

pub(crate) async fn append(
    state: &State,
    id: UploadId,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, UploadError> {
    if !is_piece(headers) {
        return Err(UploadError::ContentType);
    }
    if headers.contains_key(UPLOAD_CHECKSUM) {
        let reason = "this extension is not supported here";
        return Err(UploadError::Header { header: UPLOAD_CHECKSUM, reason });
    }
    let offset = integer(headers, &UPLOAD_OFFSET)?
        .ok_or(UploadError::Header { header: UPLOAD_OFFSET, reason: "it is required" })?;
    let turn = match state.sessions.append_at(id, offset, state.limits.handover_max).await {
        Ok(turn) => turn,
        Err(Refused::Busy) => return Err(UploadError::Busy),
        Err(Refused::Elsewhere) => {
            let upload = state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?;
            return Err(UploadError::Offset { offset: upload.offset });
        }
    };
    let upload = look_up(state, id).await?;
    let stands_at = upload.offset;
    if turn.is_outdated() {
        return Err(UploadError::TakenOver { offset: stands_at });
    }
    if offset != stands_at {
        return Err(UploadError::Offset { offset: stands_at });
    }
    let length = upload.length.unwrap_or(state.limits.size_max);
    if body.size_hint().lower() > length.saturating_sub(offset) {
        return Err(UploadError::BeyondLength { length, offset });
    }
    if upload.state == UploadState::Complete {
        // Repeating the last request of an upload whose answer was lost is no error, if it adds nothing.
        let is_empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
        return if is_empty { Ok(appended(offset)) } else { Err(UploadError::BeyondLength { length, offset }) };
    }
    let writer = state.staging.writer(id, offset).await?;
    let received = receive::receive(state, &upload, turn, writer, body).await?;
    match received.end {
        End::Whole => Ok(appended(received.offset)),
        _ => Err(received.refusal(&upload, state)),
    }
}

fn appended(offset: u64) -> Response {
    (StatusCode::NO_CONTENT, [(UPLOAD_OFFSET, axum::http::HeaderValue::from(offset))]).into_response()
}
