//! The sources that an asset has had: another one is asked for, they are listed, and an earlier one is gone back to.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Version, VersionState};
use domain::authority::{Action, Resource, Standing};
use domain::{AssetState, ByteSize, Failure, Generation, JobId, MediaTime, SourceVersion, Timescale, Timestamp};
use serde::Serialize;

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, asset_id, asset_in, no_store, sees_work};
use crate::availability;
use crate::documents::document;
use crate::door::asset_for;
use crate::pages;
use crate::places::{self, Wanted};
use crate::problem::Problem;
use crate::view::seconds;

/// There is no such version.
const NO_VERSION: Missing = Missing("the asset has no such version, or it is not kept any more");

/// One of the sources that an asset has had.
#[derive(Serialize)]
struct VersionView {
    version: SourceVersion,
    state: &'static str,
    is_in_force: bool,
    file_name: Option<String>,
    /// Whose upload it was.
    owner: Option<String>,
    /// Octets that came; null once all are there.
    received_bytes: Option<u64>,
    size_bytes: Option<u64>,
    /// For people: octets in K, M, G or T.
    size: Option<String>,
    duration_seconds: Option<f64>,
    /// For people: `HH:MM:SS`.
    duration: Option<String>,
    generation: Option<Generation>,
    failure: Option<Failure>,
    created_at: String,
    /// When it came into force last.
    shown_at: Option<String>,
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    let mut data = versions(&state, &asset).await?;
    // What is on its way, or came to nothing, is for those who work on it.
    if !sees_work(&state, &caller, &asset).await? {
        data.retain(|version| version.state == VersionState::Ready.as_str());
    }
    Ok(pages::whole(data))
}

/// Hands out the address at which the next source of an asset is uploaded.
pub(crate) async fn begin(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReprocessAsset).await?;
    let wanted: Wanted = document(&state, &headers, body).await?;
    wanted.check()?;
    // Asked again by whoever creates the upload: this spares people to send what nobody takes.
    if asset.state != AssetState::Ready {
        return Err(Problem::version_not_ready(asset.state));
    }
    let known = state.catalog.versions(asset.id).await?;
    if known.iter().any(|known| matches!(known.state, VersionState::Uploading | VersionState::Processing)) {
        return Err(Problem::version_under_way());
    }
    places::hand_out(&state, &caller, (asset.id, false), &wanted).await
}

/// Puts an earlier source in force again.
pub(crate) async fn restore(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((asset, version)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let (id, version) = (asset_id(&asset)?, version_in(&version)?);
    asset_for(&state, &caller, id, Action::ReprocessAsset).await?;
    let now = state.clock.now();
    let may_review = caller.may(Action::ReviewAsset, Resource::Asset(Standing::Owner)).is_ok();
    let wanted = (version, may_review || !state.has_review);
    let publish = JobId::mint(now, state.clock.entropy());
    state.catalog.restore_version(id, wanted, &caller.actor(), publish, now).await?;
    tracing::info!(asset.id = %id, version = version.0, "an earlier version is in force again");
    // It may have to be looked at first.
    availability::follow(&state, id).await;
    let asset = asset_for(&state, &caller, id, Action::ReprocessAsset).await?;
    let found = versions(&state, &asset).await?.into_iter().find(|found| found.version == version);
    Ok((no_store(), Json(found.ok_or(NO_VERSION)?)).into_response())
}

fn version_in(text: &str) -> Result<SourceVersion, Problem> {
    let number = text.parse::<u32>().ok().filter(|number| (1..=SourceVersion::MAX.0).contains(number));
    number.map(SourceVersion).ok_or_else(|| Problem::invalid_path("a version is a number, from 1".to_owned()))
}

async fn versions(state: &State, asset: &Asset) -> Result<Vec<VersionView>, Problem> {
    let known = state.catalog.versions(asset.id).await?;
    if known.is_empty() {
        return Ok(vec![VersionView::of_only(asset)]);
    }
    Ok(known.into_iter().map(|version| VersionView::new(version, asset.source_version)).collect())
}

impl VersionView {
    fn new(version: Version, in_force: SourceVersion) -> Self {
        let duration = version.duration_ms.and_then(|ms| i64::try_from(ms).ok());
        let duration = duration.map(|ms| MediaTime::new(ms, Timescale::MILLISECONDS));
        Self {
            version: version.version,
            state: version.state.as_str(),
            is_in_force: version.version == in_force,
            received_bytes: (version.state == VersionState::Uploading).then_some(version.offset),
            file_name: version.file_name,
            owner: version.owner,
            size_bytes: version.size.map(|ByteSize(bytes)| bytes),
            size: version.size.map(|size| size.to_string()),
            duration_seconds: duration.map(seconds),
            duration: duration.map(domain::hms),
            generation: version.generation,
            failure: version.failure,
            created_at: version.created_at.rfc3339(),
            shown_at: version.shown_at.map(Timestamp::rfc3339),
        }
    }

    /// The source of an asset that has had no other.
    fn of_only(asset: &Asset) -> Self {
        let state = match asset.state {
            AssetState::Uploading => VersionState::Uploading,
            AssetState::Ready => VersionState::Ready,
            AssetState::Failed => VersionState::Failed,
            AssetState::Received | AssetState::Probed | AssetState::Processing | AssetState::Deleted => {
                VersionState::Processing
            }
        };
        let duration = asset.probe.as_ref().map(domain::Probe::duration);
        Self {
            version: asset.source_version,
            state: state.as_str(),
            is_in_force: state == VersionState::Ready,
            file_name: asset.file_name.clone(),
            owner: asset.owner.clone(),
            received_bytes: None,
            size_bytes: asset.size.map(|ByteSize(bytes)| bytes),
            size: asset.size.map(|size| size.to_string()),
            duration_seconds: duration.map(seconds),
            duration: duration.map(domain::hms),
            generation: asset.generation,
            failure: asset.failure.clone(),
            created_at: asset.created_at.rfc3339(),
            shown_at: None,
        }
    }
}
