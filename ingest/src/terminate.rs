//! `DELETE /uploads/{id}`: an upload and what became of it are given up.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use catalog_store::grants::ANYBODY;
use catalog_store::{Closing, UploadState};
use domain::{JobId, UploadId};

use crate::head::look_up;
use crate::protocol::draft;
use crate::router::Call;
use crate::{Denial, State, UploadError, concat, expire, session};

pub(crate) async fn terminate(state: &State, call: &Call, id: UploadId) -> Result<Response, UploadError> {
    draft::check_question(call.dialect, &call.headers)?;
    let turn = session::quiesce(state, id).await;
    let _turn = turn.map_err(|_| UploadError::Busy)?;
    let upload = match look_up(state, id).await {
        // Nothing can be done with it any more, except this.
        Err(UploadError::Lost) => state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?,
        other => other?,
    };
    let now = state.clock.now();
    let (was_open, is_part) = (upload.state == UploadState::Open, upload.target.is_none());
    // The source of a full upload may be stored already: then it takes a purge to be rid of it.
    let is_unstored = is_part || (was_open && !upload.is_full);
    if is_unstored && concat::close(state, id, &Closing::Terminated).await? {
        if was_open {
            state.sessions.closed();
        }
        expire::discard(state, &upload).await?;
        if is_part {
            concat::part_ended(state, id).await;
        }
    } else if let Some(target) = upload.target.filter(|target| target.is_version() || target.document.is_some()) {
        // Its asset is not given up with it.
        let reason = match target.document {
            Some(_) => "it has become a document of its asset: delete that",
            None => "it has become a version of its asset",
        };
        return Err(if was_open { UploadError::Busy } else { Denial::Forbidden { reason }.into() });
    } else if let Some(target) = upload.target {
        let job = JobId::mint(now, state.clock.entropy());
        let owner = call.entrant.owner();
        let actor = owner.as_deref().unwrap_or(ANYBODY);
        state.catalog.delete_asset_at((target.asset, None), actor, job, now).await?;
        if was_open {
            expire::discard(state, &upload).await?;
            state.sessions.closed();
        }
    }
    tracing::info!(upload.id = %id, "upload terminated");
    Ok(StatusCode::NO_CONTENT.into_response())
}
