//! When assets are shown: the bin, the way from draft to archive, and from when and until when.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use catalog_store::Listing;
use domain::about::{Fault, lines};
use domain::authority::{Action, Resource, Standing};
use domain::presentation::Pointer;
use domain::{AssetId, JobId, SourceVersion, Stage, Timestamp};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::collections::PAGE_ROWS;
use crate::describe;
use crate::documents::document;
use crate::door::asset_for;
use crate::pages::{self, PageQuery};
use crate::problem::{Problem, chain};
use crate::search::{CardView, cards};

/// Longest note of whoever reviews, in characters.
const NOTE_CHARS_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    publish_at: Option<String>,
    expire_at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedStage {
    stage: Stage,
    note: Option<String>,
    version: Option<SourceVersion>,
}

#[derive(Serialize)]
struct BinnedView {
    asset: CardView,
    binned_at: Option<String>,
    bin_until: Option<String>,
}

/// What lies in the caller's bin; for moderators, in everybody's.
pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let list = Listing::of(&state.catalog, "bin", query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let owner = caller.confined_to();
    let mut found = state.catalog.binned_assets(owner.as_deref(), list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |asset| asset.id.to_string());
    let times: Vec<_> = found.iter().map(|asset| (asset.binned_at, asset.bin_until)).collect();
    let data = cards(&state, found).await?.into_iter().zip(times).map(|(asset, (binned_at, bin_until))| BinnedView {
        asset,
        binned_at: binned_at.map(Timestamp::rfc3339),
        bin_until: bin_until.map(Timestamp::rfc3339),
    });
    Ok(pages::answer(&uri, data.collect(), page))
}

pub(crate) async fn restore(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::DeleteAsset).await?;
    let now = state.clock.now();
    let job = JobId::mint(now, state.clock.entropy());
    if !state.catalog.restore_asset(asset.id, &caller.actor(), job, now).await? {
        return Err(Problem::not_binned());
    }
    tracing::info!(asset.id = %asset.id, "asset taken out of the bin");
    follow(&state, asset.id).await;
    describe::shown(&state, asset_for(&state, &caller, asset.id, Action::DeleteAsset).await?).await
}

/// What waits for a review: all for moderators, their own for everybody else.
pub(crate) async fn reviews(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let list = Listing::of(&state.catalog, "reviews", query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let owner = caller.confined_to();
    let mut found = state.catalog.assets_to_review(owner.as_deref(), list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |asset| asset.id.to_string());
    Ok(pages::answer(&uri, cards(&state, found).await?, page))
}

/// Puts an asset into another stage, as it was looked at. Only moderators say whether it may be shown; where nobody has
/// to, its owner shows it without.
pub(crate) async fn set_stage(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = describe::expected_place(&headers, &asset)?;
    let wanted: WantedStage = document(&state, &headers, body).await?;
    let may_review = caller.may(Action::ReviewAsset, Resource::Asset(Standing::Owner));
    if wanted.stage.is_verdict() {
        may_review.clone()?;
    }
    if wanted.version.is_some_and(|seen| !(SourceVersion::FIRST..=SourceVersion::MAX).contains(&seen)) {
        let detail = format!("is the number of a source, 1 to {}", SourceVersion::MAX);
        return Err(Problem::invalid_fields(vec![Fault::new("/version", "out_of_range", detail)]));
    }
    if wanted.note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        let detail = format!("has at most {NOTE_CHARS_MAX} characters");
        return Err(Problem::invalid_fields(vec![Fault::new("/note", "too_long", detail)]));
    }
    let note = wanted.note.as_deref().map(lines).filter(|note| !note.is_empty());
    let (now, has_review) = (state.clock.now(), state.has_review && may_review.is_err());
    let (job, stage) = (JobId::mint(now, state.clock.entropy()), (wanted.stage, has_review));
    let looked_at = (wanted.version, note.as_deref());
    let from = state.catalog.set_stage((asset.id, expected), stage, looked_at, &caller.actor(), job, now).await?;
    tracing::info!(asset.id = %asset.id, %from, to = %wanted.stage, "asset put into another stage");
    follow(&state, asset.id).await;
    describe::shown(&state, asset_for(&state, &caller, asset.id, Action::ShareAsset).await?).await
}

/// Sets from when and until when an asset is shown.
pub(crate) async fn schedule(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = describe::expected_place(&headers, &asset)?;
    let wanted: Window = document(&state, &headers, body).await?;
    let window = checked(&wanted)?;
    let now = state.clock.now();
    let job = JobId::mint(now, state.clock.entropy());
    state.catalog.set_window((asset.id, expected), window, &caller.actor(), job, now).await?;
    tracing::info!(asset.id = %asset.id, "asset scheduled");
    follow(&state, asset.id).await;
    describe::shown(&state, asset_for(&state, &caller, asset.id, Action::ShareAsset).await?).await
}

/// Shows an asset without a limit in time.
pub(crate) async fn unschedule(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = describe::expected_place(&headers, &asset)?;
    let now = state.clock.now();
    let job = JobId::mint(now, state.clock.entropy());
    state.catalog.set_window((asset.id, expected), (None, None), &caller.actor(), job, now).await?;
    tracing::info!(asset.id = %asset.id, "asset scheduled no longer");
    follow(&state, asset.id).await;
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// Has the pointer of an asset say at once what the catalogue says. Should that fail, or somebody else write it at the
/// same time, the job that was added with the change does it.
pub(crate) async fn follow(state: &State, id: AssetId) {
    if let Err(error) = followed(state, id).await {
        tracing::warn!(asset.id = %id, error = %chain(&*error), "the pointer is left to the job");
    }
}

async fn followed(state: &State, id: AssetId) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(asset) = state.catalog.asset(id).await? else { return Ok(()) };
    let Some(body) = state.store.pointer(asset.playback).await? else { return Ok(()) };
    let mut pointer: Pointer = serde_json::from_slice(&body)?;
    let (access, documents) = (asset.access_after(Some(&pointer.access)), state.catalog.listed_documents(id).await?);
    if pointer.access != access || pointer.documents != documents {
        (pointer.access, pointer.documents) = (access, documents);
        state.store.put_pointer(asset.playback, serde_json::to_vec(&pointer)?.into()).await?;
    }
    Ok(())
}

fn checked(wanted: &Window) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let mut faults = Vec::new();
    let mut instant = |pointer: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        let instant = Timestamp::from_rfc3339(text);
        if instant.is_none() {
            faults.push(Fault::new(pointer, "invalid_time", "is an instant such as 2026-11-21T06:26:59Z"));
        }
        instant
    };
    // Origins go by whole seconds; nothing is shown for longer than was asked for.
    let second = |instant: Timestamp, more_ms| {
        Timestamp::from_unix_ms(instant.unix_ms().saturating_add(more_ms).div_euclid(1000).saturating_mul(1000))
    };
    let from = instant("/publish_at", &wanted.publish_at).map(|from| second(from, 999));
    let window = (from, instant("/expire_at", &wanted.expire_at).map(|until| second(until, 0)));
    if let (Some(from), Some(until)) = window
        && until <= from
    {
        faults.push(Fault::new("/expire_at", "too_early", "lies behind publish_at"));
    }
    if faults.is_empty() { Ok(window) } else { Err(Problem::invalid_fields(faults)) }
}
