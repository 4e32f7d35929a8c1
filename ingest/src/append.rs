//! `PATCH /uploads/{id}`: the next octets of an upload.

use axum::body::{Body, HttpBody};
use axum::http::HeaderMap;
use axum::response::Response;
use catalog_store::{Closing, Upload, UploadKind, UploadState};
use domain::{Failure, FailureCode, UploadId};

use crate::head::{find, look_up};
use crate::protocol::draft::{self, Interop, PARTIAL_UPLOAD, Quirks};
use crate::protocol::{Dialect, UPLOAD_LENGTH, UPLOAD_OFFSET, checks, fields, media_type, tus};
use crate::receive::{self, End, Piece, Received};
use crate::router::Call;
use crate::session::{self, Refused, Turn};
use crate::{State, UploadError, admission, answer, concat, expire};

/// What a request comes to before its body is looked at.
enum Ready {
    /// Its body is to be received.
    Receive(Box<(Upload, Piece)>),
    /// It is answered already.
    Answered(Response),
}

// Before and behind the body is boxed: a request waits with its body for hours, and should take little meanwhile.
pub(crate) async fn append(state: &State, call: &Call, id: UploadId, body: Body) -> Result<Response, UploadError> {
    let (upload, piece) = match Box::pin(ready(state, call, id, body)).await? {
        Ready::Receive(body) => *body,
        Ready::Answered(response) => return Ok(response),
    };
    let completes = piece.completes;
    let received = receive::receive(state, &upload, piece).await?;
    Box::pin(answered(state, call, &upload, completes, received)).await
}

async fn ready(state: &State, call: &Call, id: UploadId, body: Body) -> Result<Ready, UploadError> {
    check_type(call)?;
    checks::uncoded(&call.headers)?;
    let offset = offset(call)?;
    let completes = completes(call)?;
    let checks = checks::of_content(&call.headers)?;
    if find(state, id).await?.kind == UploadKind::Final {
        return Err(UploadError::FinalUpload);
    }
    let (turn, mut upload) = enter(state, id, offset).await?;
    if upload.state == UploadState::Complete {
        let is_empty = body.is_end_stream() || body.size_hint().exact() == Some(0);
        return repeated(state, call, upload, is_empty).await.map(Ready::Answered);
    }
    settle_length(state, call, &mut upload, completes, body.size_hint().exact()).await?;
    let known = upload.length.or(upload.full_length());
    let size_max = admission::size_max(state, &upload);
    if body.size_hint().lower() > known.unwrap_or(size_max).saturating_sub(offset) {
        let error = match known {
            Some(length) => UploadError::BeyondLength { length, offset },
            None => UploadError::TooLarge { size_max },
        };
        return Err(beyond(state, call, &upload, error).await?);
    }
    let piece = piece(call, turn, body, checks, completes);
    Ok(Ready::Receive(Box::new((upload, piece))))
}

async fn answered(
    state: &State,
    call: &Call,
    upload: &Upload,
    completes: Option<bool>,
    received: Received,
) -> Result<Response, UploadError> {
    conclude(state, call, upload, completes, received).await?;
    let upload = state.catalog.upload(upload.id).await?.ok_or(UploadError::NotFound)?;
    let response = answer::appended(state, call.dialect, &upload, call.location(upload.id)?)?;
    answer::with_digest(state, call, &upload, response).await
}

/// The request's turn at the upload, and how the upload stands: exactly at `offset`.
async fn enter(state: &State, id: UploadId, offset: u64) -> Result<(Turn, Upload), UploadError> {
    let turn = match session::append_at(state, id, offset).await {
        Ok(turn) => turn,
        Err(Refused::Elsewhere) => {
            let stands_at = find(state, id).await?.offset;
            return Err(UploadError::Offset { offset: stands_at, provided: offset });
        }
        Err(_) => return Err(UploadError::Busy),
    };
    let upload = look_up(state, id).await?;
    let stands_at = upload.offset;
    if turn.is_outdated() {
        return Err(UploadError::TakenOver { offset: stands_at });
    }
    if offset != stands_at {
        return Err(UploadError::Offset { offset: stands_at, provided: offset });
    }
    Ok((turn, upload))
}

/// Whether the body is what the protocol sends to an upload.
fn check_type(call: &Call) -> Result<(), UploadError> {
    let is_right = match call.dialect {
        Dialect::Tus => tus::is_piece(&call.headers),
        Dialect::Draft(version) => {
            !version.has_media_type() || media_type(&call.headers).is_some_and(|essence| essence == PARTIAL_UPLOAD)
        }
    };
    if is_right { Ok(()) } else { Err(UploadError::ContentType) }
}

fn offset(call: &Call) -> Result<u64, UploadError> {
    let offset = match call.dialect {
        Dialect::Tus => tus::integer(&call.headers, &UPLOAD_OFFSET)?,
        Dialect::Draft(_) => fields::integer(&call.headers, &UPLOAD_OFFSET),
    };
    offset.ok_or(UploadError::Header { header: UPLOAD_OFFSET, reason: "it is required" })
}

/// Whether the body is the rest of its upload; `None` where the length alone tells.
pub(crate) fn completes(call: &Call) -> Result<Option<bool>, UploadError> {
    match call.dialect {
        Dialect::Tus => Ok(None),
        Dialect::Draft(version) => draft::completes(&call.headers, version).map(Some),
    }
}

/// The body of a request as it is to be received.
pub(crate) fn piece(
    call: &Call,
    turn: Turn,
    body: Body,
    checks: Vec<crate::digest::Expected>,
    completes: Option<bool>,
) -> Piece {
    let trailer: Option<fn(&HeaderMap) -> _> = match checks::come_as_trailers(&call.headers) {
        true => Some(checks::of_content),
        false => None,
    };
    // The first version knows nothing of progress.
    let listener = call.interim().filter(|(version, _)| *version != Interop::V3);
    let progress = listener.map(|(version, interim)| {
        let interim = interim.clone();
        Box::new(move |offset| interim.send(draft::progress(version, offset))) as Box<dyn Fn(u64) + Send>
    });
    Piece { turn, body, checks, trailer, completes, progress }
}

/// Takes note of the length if the request tells one that was not known.
async fn settle_length(
    state: &State,
    call: &Call,
    upload: &mut Upload,
    completes: Option<bool>,
    content_bytes: Option<u64>,
) -> Result<(), UploadError> {
    let told = match call.dialect {
        Dialect::Tus => tus::integer(&call.headers, &UPLOAD_LENGTH)?,
        Dialect::Draft(_) => {
            draft::length(&call.headers, upload.offset, content_bytes, completes == Some(true), upload.length)?
        }
    };
    match (told, upload.length.or(upload.full_length())) {
        (None, _) => Ok(()),
        (Some(told), Some(known)) if told == known => Ok(()),
        (Some(told), Some(known)) => Err(UploadError::InconsistentLength { length: known, other: told }),
        (Some(told), None) if told < upload.offset => {
            Err(UploadError::InconsistentLength { length: told, other: upload.offset })
        }
        (Some(told), None) if told > admission::size_max(state, upload) => {
            Err(UploadError::TooLarge { size_max: admission::size_max(state, upload) })
        }
        (Some(told), None) => {
            // What could not be asked when the upload was created.
            let _alone = admission::alone(state, upload).await;
            admission::may_grow(state, upload, told - upload.offset).await?;
            // One that is reached already is recorded only together with the end of the upload.
            if told > upload.offset {
                state.catalog.set_upload_length(upload.id, told, state.clock.now()).await?;
            }
            upload.length = Some(told);
            Ok(())
        }
    }
}

/// What became of a body, as an error unless it was taken to its end.
pub(crate) async fn conclude(
    state: &State,
    call: &Call,
    upload: &Upload,
    completes: Option<bool>,
    received: Received,
) -> Result<(), UploadError> {
    match received.end {
        End::Whole if completes == Some(true) && !received.is_complete => {
            let length = upload.length.unwrap_or(received.offset);
            Err(UploadError::InconsistentLength { length, other: received.offset })
        }
        End::Whole => Ok(()),
        End::BeyondLength => {
            let error = match upload.length {
                Some(_) => received.refusal(upload, state),
                None => UploadError::TooLarge { size_max: admission::size_max(state, upload) },
            };
            Err(beyond(state, call, upload, error).await?)
        }
        _ => Err(received.refusal(upload, state)),
    }
}

/// What becomes of an upload for which more comes than fits. In the draft it is invalid from then on: its client
/// contradicts itself (-12 section 4.4.2).
async fn beyond(state: &State, call: &Call, upload: &Upload, error: UploadError) -> Result<UploadError, UploadError> {
    if let Dialect::Draft(_) = call.dialect {
        let failure = Failure::new(FailureCode::LimitExceeded, format!("{error}: begin a new upload"));
        give_up(state, upload, Closing::Refused(failure)).await?;
    }
    Ok(error)
}

/// Ends an upload that can come to nothing.
pub(crate) async fn give_up(state: &State, upload: &Upload, closing: Closing) -> Result<(), UploadError> {
    // What is complete, or closed already, is not ours to remove.
    if concat::close(state, upload.id, &closing).await? {
        state.sessions.closed();
        expire::discard(state, upload).await?;
    }
    Ok(())
}

/// The last request once more, because its answer was lost: no error if it adds nothing.
async fn repeated(state: &State, call: &Call, upload: Upload, is_empty: bool) -> Result<Response, UploadError> {
    let offset = upload.offset;
    match call.dialect {
        _ if is_empty => {
            let response = answer::appended(state, call.dialect, &upload, call.location(upload.id)?)?;
            answer::with_digest(state, call, &upload, response).await
        }
        Dialect::Tus => Err(UploadError::BeyondLength { length: upload.length.unwrap_or(offset), offset }),
        Dialect::Draft(_) => Err(UploadError::Completed { offset }),
    }
}
