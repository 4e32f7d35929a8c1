//! `HEAD /uploads/{id}`: where an upload stands.

use axum::response::Response;
use catalog_store::{Upload, UploadKind, UploadState};
use domain::{AssetState, UploadId};

use crate::protocol::{Dialect, draft};
use crate::router::Call;
use crate::session::{self, Refused, Turn};
use crate::{State, UploadError, answer, complete, expire, recover};

pub(crate) async fn head(state: &State, call: &Call, id: UploadId) -> Result<Response, UploadError> {
    draft::check_question(call.dialect, &call.headers)?;
    let (turn, upload) = asked(state, id).await?;
    let is_all_counted = upload.kind != UploadKind::Final && upload.length == Some(upload.offset);
    if call.dialect == Dialect::Tus && upload.state == UploadState::Open && is_all_counted {
        // The answer would say that the upload is complete.
        drop(turn);
        state.tasks.spawn(recover::finish(state.clone(), upload));
        return Err(UploadError::Busy);
    }
    answer::whereabouts(state, call.dialect, &upload)
}

/// An upload as it stands for whoever asks, and the turn that keeps it so.
async fn asked(state: &State, id: UploadId) -> Result<(Option<Turn>, Upload), UploadError> {
    let upload = find(state, id).await?;
    // What is imported takes octets from no client, so nobody can go on from the answer: the transfer must not end
    // for it, least of all one that cannot be gone on with.
    if upload.terms.url.is_some() {
        return Ok((None, upload));
    }
    // Whoever asks wants to go on from the answer: a request that still appends would move the offset.
    match session::drain(state, id).await {
        Ok(turn) => Ok((Some(turn), look_up(state, id).await?)),
        // All octets are there and recorded as far as they may be: nothing can move before that is done.
        Err(Refused::Completing) => Ok((None, find(state, id).await?)),
        Err(_) => Err(UploadError::Busy),
    }
}

/// The upload that a request is about, whose turn it holds. What a failed completion left half done
/// is finished first.
pub(crate) async fn look_up(state: &State, id: UploadId) -> Result<Upload, UploadError> {
    let upload = find(state, id).await?;
    if upload.state == UploadState::Complete {
        return Ok(upload);
    }
    // The janitor may be a minute late. Final uploads are left to it: it asks first how long their parts have time.
    if upload.kind != UploadKind::Final && expire::close_if_due(state, &upload).await? {
        return Err(UploadError::Expired);
    }
    if state.staging.len(id).await?.is_some() {
        return Ok(upload);
    }
    if complete::complete_adopted(state, &upload).await? {
        return state.catalog.upload(id).await?.ok_or(UploadError::NotFound);
    }
    if upload.kind == UploadKind::Final {
        // It is made of its parts once more.
        return Ok(upload);
    }
    tracing::error!(upload.id = %id, offset = upload.offset, "the staged file of an open upload is gone");
    Err(UploadError::Lost)
}

/// The upload at an address as it is recorded. Of one that was given up, what lies on disk goes too.
pub(crate) async fn find(state: &State, id: UploadId) -> Result<Upload, UploadError> {
    let upload = state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?;
    let error = match (upload.state, upload.target) {
        (UploadState::Open, _) | (UploadState::Complete, None) => return Ok(upload),
        (UploadState::Complete, Some(target)) => {
            let asset = state.catalog.asset(target.asset).await?;
            if asset.is_some_and(|asset| asset.state != AssetState::Deleted) {
                return Ok(upload);
            }
            UploadError::Gone
        }
        (UploadState::Terminated, _) => UploadError::Gone,
        (UploadState::Expired, _) => UploadError::Expired,
        (UploadState::Refused, _) => upload.failure.map_or(UploadError::Gone, UploadError::Refused),
    };
    state.staging.discard(id).await?;
    Err(error)
}
