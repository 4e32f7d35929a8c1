//! `HEAD /uploads/{id}`: where an upload stands.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Upload, UploadState};
use domain::{AssetState, UploadId};

use crate::protocol::{ASSET_LOCATION, UPLOAD_LENGTH, UPLOAD_METADATA, UPLOAD_OFFSET};
use crate::{State, UploadError, complete, create};

pub(crate) async fn head(state: &State, id: UploadId) -> Result<Response, UploadError> {
    // Whoever asks wants to go on from the answer: a request that still appends would move the offset.
    let turn = state.sessions.quiesce(id, state.limits.handover_max).await;
    let _turn = turn.map_err(|_| UploadError::Busy)?;
    let upload = look_up(state, id).await?;
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UPLOAD_OFFSET, upload.offset.into());
    if let Some(length) = upload.length {
        headers.insert(UPLOAD_LENGTH, length.into());
    }
    if !upload.metadata.is_empty() {
        let metadata = HeaderValue::from_str(&upload.metadata).map_err(|_| UploadError::Internal)?;
        headers.insert(UPLOAD_METADATA, metadata);
    }
    headers.insert(ASSET_LOCATION, create::asset_location(upload.asset)?);
    Ok(response)
}

/// The upload that a request is about, whose turn it holds. What a failed completion left half done
/// is finished first.
pub(crate) async fn look_up(state: &State, id: UploadId) -> Result<Upload, UploadError> {
    let upload = state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?;
    match upload.state {
        UploadState::Open => {
            let is_staged = state.staging.len(id).await?.is_some();
            if is_staged {
                return Ok(upload);
            }
            if complete::complete_adopted(state, &upload).await? {
                return state.catalog.upload(id).await?.ok_or(UploadError::NotFound);
            }
            tracing::error!(upload.id = %id, offset = upload.offset, "the staged file of an open upload is gone");
            Err(UploadError::Lost)
        }
        UploadState::Complete => {
            let asset = state.catalog.asset(upload.asset).await?;
            let is_there = asset.is_some_and(|asset| asset.state != AssetState::Deleted);
            if is_there { Ok(upload) } else { Err(UploadError::Gone) }
        }
        UploadState::Terminated => {
            state.staging.discard(id).await?;
            Err(UploadError::Gone)
        }
    }
}
