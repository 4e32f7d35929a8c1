//! What reviewers play: an address with a ticket in it that opens an asset which is shown to nobody else yet.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use domain::authority::Action;

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::door::asset_for;
use crate::problem::Problem;
use crate::tickets::{TicketKind, ticket};

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReviewAsset).await?;
    if asset.binned_at.is_some() {
        return Err(Problem::not_played("the asset lies in the bin: restore it first"));
    }
    if !asset.is_playable {
        return Err(Problem::not_played("nothing of the asset can be played yet"));
    }
    let view = ticket(&state, &asset, TicketKind::Reviewer)?;
    tracing::info!(asset.id = %asset.id, by = caller.actor(), "a preview is opened");
    Ok((no_store(), Json(view)).into_response())
}
