//! `POST /uploads`: a new upload and its asset, perhaps with the first octets at once.

use axum::body::{Body, HttpBody};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{NewUpload, Upload};
use domain::{AssetId, PlaybackId, UploadId};

use crate::error::Causes;
use crate::protocol::{
    ASSET_LOCATION, UPLOAD_CHECKSUM, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_LENGTH, UPLOAD_OFFSET, integer,
    is_piece, metadata,
};
use crate::receive::{self, End};
use crate::{State, UploadError, complete};

pub(crate) async fn create(state: &State, headers: &HeaderMap, body: Body) -> Result<Response, UploadError> {
    // Extensions that are not announced: to ignore them would be to promise them.
    for header in [UPLOAD_DEFER_LENGTH, UPLOAD_CONCAT, UPLOAD_CHECKSUM] {
        if headers.contains_key(&header) {
            return Err(UploadError::Header { header, reason: "this extension is not supported here" });
        }
    }
    let length = integer(headers, &UPLOAD_LENGTH)?
        .ok_or(UploadError::Header { header: UPLOAD_LENGTH, reason: "it is required" })?;
    if length > state.limits.size_max {
        return Err(UploadError::TooLarge { size_max: state.limits.size_max });
    }
    let metadata = metadata(headers, state.limits.metadata_bytes_max)?;
    let is_piece = is_piece(headers);
    let has_piece = is_piece && !body.is_end_stream();
    if has_piece && body.size_hint().lower() > length {
        return Err(UploadError::BeyondLength { length, offset: 0 });
    }
    admit(state).await?;
    let now = state.clock.now();
    let new = NewUpload {
        id: UploadId::mint(now, state.clock.entropy()),
        asset: AssetId::mint(now, state.clock.entropy()),
        playback: PlaybackId::mint(state.clock.entropy()),
        length: Some(length),
        metadata: metadata.header,
        file_name: metadata.file_name,
        now,
    };
    // File first: a file without a row is swept away at the next start, a row without a file would
    // be an upload that can never be written.
    state.staging.create(new.id).await?;
    if let Err(error) = state.catalog.create_upload(&new).await {
        state.staging.discard(new.id).await?;
        return Err(error.into());
    }
    state.sessions.opened();
    tracing::info!(upload.id = %new.id, asset.id = %new.asset, bytes = length, "upload created");
    let mut response = StatusCode::CREATED.into_response();
    // Relative, so that it is right behind any proxy.
    let location = HeaderValue::from_str(&format!("/uploads/{}", new.id)).map_err(|_| UploadError::Internal)?;
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(ASSET_LOCATION, asset_location(new.asset)?);
    if length == 0 {
        let writer = state.staging.writer(new.id, 0).await?;
        complete::complete(state, new.id, new.asset, writer, 0).await?;
    }
    if is_piece {
        let offset = if has_piece { first_piece(state, &new, body).await? } else { 0 };
        response.headers_mut().insert(UPLOAD_OFFSET, offset.into());
    }
    Ok(response)
}

/// Receives the body of the creating request; the offset to go on from.
///
/// The upload exists, so whatever cut the body short, the client is told where to go on instead of an
/// error that would make it begin anew. Only a body that cannot be right is an error.
async fn first_piece(state: &State, new: &NewUpload, body: Body) -> Result<u64, UploadError> {
    let turn = state.sessions.append_at(new.id, 0, state.limits.handover_max).await;
    let turn = turn.map_err(|_| UploadError::Busy)?;
    let writer = state.staging.writer(new.id, 0).await?;
    let upload = state.catalog.upload(new.id).await?.ok_or(UploadError::Gone)?;
    match receive::receive(state, &upload, turn, writer, body).await {
        Ok(received) if received.end == End::BeyondLength => Err(received.refusal(&upload, state)),
        Ok(received) => Ok(received.offset),
        Err(error) => {
            tracing::warn!(upload.id = %new.id, error = %Causes(&error), "the first octets of an upload were not kept");
            Ok(state.catalog.upload(new.id).await?.map_or(0, |upload: Upload| upload.offset))
        }
    }
}

/// The address of an asset in the catalogue's API.
pub(crate) fn asset_location(asset: AssetId) -> Result<HeaderValue, UploadError> {
    HeaderValue::from_str(&format!("/api/v1/assets/{asset}")).map_err(|_| UploadError::Internal)
}

/// Refuses a new upload while too many are unfinished.
async fn admit(state: &State) -> Result<(), UploadError> {
    let count_max = state.limits.open_uploads_max;
    if state.sessions.open_count() < count_max {
        return Ok(());
    }
    // Deleting an asset through the catalogue closes its upload without a word to this crate.
    let count = state.catalog.open_uploads().await?.len();
    state.sessions.set_open_count(count);
    if count < count_max { Ok(()) } else { Err(UploadError::TooMany) }
}
