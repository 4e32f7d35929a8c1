//! A full upload becomes the source of its asset.
//!
//! Two steps, each of which may be repeated: the staged file becomes the source object, then one
//! transaction makes the upload complete, the asset `received` and enqueues its probe. Whoever finds
//! the first done and the second not, does the second.

use catalog_store::Upload;
use domain::{AssetId, JobId, UploadId};
use media_store::layout;
use media_store::staging::Writer;

use crate::{State, UploadError};

/// Completes an upload of which all `length` octets are written.
pub(crate) async fn complete(
    state: &State,
    upload: UploadId,
    asset: AssetId,
    writer: Writer,
    length: u64,
) -> Result<(), UploadError> {
    let staged = writer.seal(length).await?;
    state.store.adopt_source(asset, &staged).await?;
    finish(state, upload, asset, length).await
}

/// Completes an upload whose source object exists already; false when it does not.
pub(crate) async fn complete_adopted(state: &State, upload: &Upload) -> Result<bool, UploadError> {
    let Some(length) = upload.length else { return Ok(false) };
    if state.store.source_size(upload.asset).await? != Some(length) {
        return Ok(false);
    }
    finish(state, upload.id, upload.asset, length).await?;
    state.staging.discard(upload.id).await?;
    Ok(true)
}

async fn finish(state: &State, upload: UploadId, asset: AssetId, length: u64) -> Result<(), UploadError> {
    let now = state.clock.now();
    let job = JobId::mint(now, state.clock.entropy());
    match state.catalog.finish_upload(upload, length, job, now).await.map_err(UploadError::from) {
        Ok(()) => {
            state.sessions.closed();
            tracing::info!(upload.id = %upload, asset.id = %asset, bytes = length, "upload complete");
            Ok(())
        }
        // The asset was deleted meanwhile: nobody else knows of the object that has just been made.
        Err(error @ (UploadError::Gone | UploadError::NotFound)) => {
            state.store.delete(&layout::source(asset)).await?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}
