//! `DELETE /uploads/{id}`: an upload and what became of it are given up.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use catalog_store::UploadState;
use domain::{JobId, UploadId};

use crate::head::look_up;
use crate::{State, UploadError};

pub(crate) async fn terminate(state: &State, id: UploadId) -> Result<Response, UploadError> {
    let turn = state.sessions.quiesce(id, state.limits.handover_max).await;
    let _turn = turn.map_err(|_| UploadError::Busy)?;
    let upload = match look_up(state, id).await {
        // Nothing can be done with it any more, except this.
        Err(UploadError::Lost) => state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?,
        other => other?,
    };
    let now = state.clock.now();
    if upload.state == UploadState::Open && state.catalog.terminate_upload(id, now).await? {
        state.staging.discard(id).await?;
        state.sessions.closed();
    } else {
        let job = JobId::mint(now, state.clock.entropy());
        state.catalog.delete_asset(upload.asset, job, now).await?;
    }
    tracing::info!(upload.id = %id, asset.id = %upload.asset, "upload terminated");
    Ok(StatusCode::NO_CONTENT.into_response())
}
