//! What a killed process left half done is finished.

use std::collections::HashSet;
use std::time::Duration;

use catalog_store::{Upload, UploadKind, UploadState};
use domain::UploadId;

use crate::error::Causes;
use crate::{State, UploadError, complete, concat};

/// How long a start waits for uploads to be finished.
const PATIENCE: Duration = Duration::from_secs(2);

/// Completes uploads of which nothing more need come, and removes staged files that belong to no
/// upload. Call it once, before [`crate::router()`] serves.
///
/// Uploads that wait for octets are left alone: the next request cuts their file back to what was
/// acknowledged. What takes long goes on in the background; what was left in the store is for the first round of
/// [`crate::janitor()`].
///
/// # Errors
/// When the catalogue or the staging folder does not answer; it may be repeated.
pub async fn recover(state: &State) -> Result<(), UploadError> {
    let open = state.catalog.open_uploads().await?;
    let mut kept: HashSet<UploadId> = open.iter().map(|upload| upload.id).collect();
    let staged: HashSet<UploadId> =
        state.staging.uploads().await.map_err(|_| UploadError::Internal)?.into_iter().collect();
    state.sessions.set_open_count(open.len());
    let left_to_us = open.iter().filter(|upload| is_left_to_us(upload, staged.contains(&upload.id)));
    let finishing: Vec<_> = left_to_us.map(|upload| state.tasks.spawn(finish(state.clone(), upload.clone()))).collect();
    // Most are done at once; nobody is to wait for a store that is away, or for the reading of large files.
    let _ = tokio::time::timeout(PATIENCE, futures::future::join_all(finishing)).await;
    for id in &staged {
        // A complete part waits in its file for a final upload.
        if !kept.contains(id) && is_complete_part(state, *id).await? {
            kept.insert(*id);
        }
    }
    for leftover in staged.difference(&kept) {
        state.staging.discard(*leftover).await?;
    }
    Ok(())
}

/// Whether an open upload has all it needs of its client.
pub(crate) fn is_left_to_us(upload: &Upload, is_staged: bool) -> bool {
    upload.full_length().is_some() || !is_staged || upload.kind == UploadKind::Final
}

/// Finishes an upload that has all it needs; whatever keeps it from that is logged, and tried again later.
pub(crate) async fn finish(state: State, upload: Upload) {
    let finished = match upload.kind {
        UploadKind::Final if !upload.is_full => concat::begin(&state, upload.id).await,
        UploadKind::Final => match complete::resume(&state, &upload).await {
            // Its parts are kept until it is complete.
            Err(UploadError::Lost) => concat::begin(&state, upload.id).await,
            other => other,
        },
        _ => complete::resume(&state, &upload).await,
    };
    match finished {
        Ok(()) => tracing::info!(upload.id = %upload.id, "upload taken up again"),
        Err(UploadError::Completing { .. }) => {}
        Err(error @ UploadError::Lost) => {
            tracing::error!(upload.id = %upload.id, offset = upload.offset, error = %error, "octets of an open upload are lost");
        }
        Err(error) => {
            tracing::warn!(upload.id = %upload.id, error = %Causes(&error), "an upload cannot be finished yet");
        }
    }
}

async fn is_complete_part(state: &State, id: UploadId) -> Result<bool, UploadError> {
    let upload = state.catalog.upload(id).await?;
    Ok(upload.is_some_and(|upload| upload.kind == UploadKind::Partial && upload.state == UploadState::Complete))
}
