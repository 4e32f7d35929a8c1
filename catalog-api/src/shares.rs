//! With whom an asset is shared.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::Share;
use domain::authority::{Action, Standing};
use domain::{AssetId, UserId};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_id, asset_in, no_store};
use crate::documents::{document, unless_there};
use crate::door::{accounts, asset_for};
use crate::pages;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    standing: Standing,
}

#[derive(Serialize)]
pub(crate) struct ShareView {
    user: UserId,
    standing: Standing,
    created_at: String,
}

impl From<Share> for ShareView {
    fn from(share: Share) -> Self {
        Self { user: share.user, standing: share.standing, created_at: share.created_at.rfc3339() }
    }
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let shares = state.catalog.shares_of(asset.id).await?;
    let data: Vec<ShareView> = shares.into_iter().map(ShareView::from).collect();
    Ok(pages::whole(data))
}

pub(crate) async fn put(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let (asset, user) = share_in(path)?;
    let asset = asset_for(&state, &caller, asset, Action::ShareAsset).await?;
    let expected = unless_there(&headers)?;
    let Wanted { standing } = document(&state, &headers, body).await?;
    if Standing::shared(standing.as_str()).is_none() {
        return Err(Problem::invalid_member("/standing", "not_taken", "is viewer, editor or owner"));
    }
    let now = state.clock.now();
    state.catalog.share_asset((asset.id, expected), (user, standing), &caller.actor(), now).await?;
    tracing::info!(asset.id = %asset.id, user.id = %user, "asset shared");
    let shares = state.catalog.shares_of(asset.id).await?;
    let share = shares.into_iter().find(|share| share.user == user).ok_or(NO_SHARE)?;
    Ok((no_store(), Json(ShareView::from(share))).into_response())
}

pub(crate) async fn remove(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let (asset, user) = share_in(path)?;
    let asset = asset_for(&state, &caller, asset, Action::ShareAsset).await?;
    if !state.catalog.unshare_asset(asset.id, user, &caller.actor(), state.clock.now()).await? {
        return Err(NO_SHARE.into());
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// The asset is not shared with them.
const NO_SHARE: crate::assets::Missing = crate::assets::Missing("the asset is not shared with this account");

fn share_in(path: Result<Path<(String, String)>, PathRejection>) -> Result<(AssetId, UserId), Problem> {
    let Path((asset, user)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    Ok((asset_id(&asset)?, user.parse().map_err(|error| Problem::invalid_id(&error))?))
}
