//! What a killed process left half done is finished before the first request.

use std::collections::HashSet;

use domain::UploadId;

use crate::{State, UploadError, complete};

/// Completes uploads whose source was stored but not recorded, and removes staged files that belong
/// to no open upload. Call it once, before [`crate::router()`] serves.
///
/// Uploads that wait for octets are left alone: the next request cuts their file back to what was
/// acknowledged.
///
/// # Errors
/// When the catalogue, the store or the staging folder does not answer; it may be repeated.
pub async fn recover(state: &State) -> Result<(), UploadError> {
    let open = state.catalog.open_uploads().await?;
    let mut open_ids: HashSet<UploadId> = open.iter().map(|upload| upload.id).collect();
    let staged: HashSet<UploadId> =
        state.staging.uploads().await.map_err(|_| UploadError::Internal)?.into_iter().collect();
    for upload in &open {
        let Some(length) = upload.length else { continue };
        // All octets but the last are recorded before the source is stored.
        let may_be_stored = upload.offset + 1 >= length || !staged.contains(&upload.id);
        if may_be_stored && complete::complete_adopted(state, upload).await? {
            tracing::info!(upload.id = %upload.id, "upload completed after a restart");
            open_ids.remove(&upload.id);
        } else if length == 0 && staged.contains(&upload.id) {
            let writer = state.staging.writer(upload.id, 0).await?;
            complete::complete(state, upload.id, upload.asset, writer, 0).await?;
            open_ids.remove(&upload.id);
        } else if !staged.contains(&upload.id) {
            tracing::error!(upload.id = %upload.id, offset = upload.offset, "the staged file of an open upload is gone");
        }
    }
    for leftover in staged.difference(&open_ids) {
        state.staging.discard(*leftover).await?;
    }
    state.sessions.set_open_count(open_ids.len());
    Ok(())
}
