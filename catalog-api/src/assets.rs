//! One asset, pages of assets, and deletion.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::assets::PAGE_ASSETS_MAX;
use catalog_store::{Asset, Audience, CatalogError, Listing, Order, Output, PageInfo, Text};
use domain::authority::Action;
use domain::{AssetId, AssetState, JobId, PlaybackId};
use serde::Deserialize;

use crate::State;
use crate::accounts::Caller;
use crate::availability;
use crate::describe::shown;
use crate::documents::IfMatch;
use crate::door::{any_asset_for, asset_for, standing_to};
use crate::filter::Wanted;
use crate::pages;
use crate::problem::{Problem, chain};
use crate::view::AssetView;

/// Assets on a page when nothing else is asked for.
const PAGE_ASSETS: u32 = 20;

/// Which assets, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
    playback_id: Option<String>,
    sort: Option<String>,
    r#type: Option<String>,
    tag: Option<String>,
    genre: Option<String>,
    language: Option<String>,
    state: Option<String>,
    owner: Option<String>,
    released_after: Option<String>,
    released_before: Option<String>,
}

impl ListQuery {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            kind: self.r#type.as_deref(),
            tag: self.tag.as_deref(),
            genre: self.genre.as_deref(),
            language: self.language.as_deref(),
            state: self.state.as_deref(),
            owner: self.owner.as_deref(),
            released_after: self.released_after.as_deref(),
            released_before: self.released_before.as_deref(),
        }
    }

    fn order(&self) -> Result<Order, Problem> {
        Ok(match self.sort.as_deref() {
            None | Some("-created_at") => Order::Newest,
            Some("created_at") => Order::Oldest,
            Some("released_on") => Order::FirstReleased,
            Some("-released_on") => Order::LastReleased,
            Some("title") => Order::Title,
            Some("-title") => Order::TitleBackwards,
            Some(_) => {
                let detail = "sort is created_at, released_on or title, with a - before it for the other direction";
                return Err(Problem::invalid_query(detail));
            }
        })
    }
}

/// How an asset is deleted.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteQuery {
    /// At once, whether there is a bin or not.
    #[serde(default)]
    permanently: bool,
}

/// A page of assets.
pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let (filter, order) = (query.wanted().filter()?, query.order()?);
    let name = format!("assets {order:?} {filter:?}");
    let list = Listing::of(&state.catalog, name, query.limit, (PAGE_ASSETS, PAGE_ASSETS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let side = list.side_of(place)?;
    if let Some(playback) = query.playback_id.as_deref() {
        let playback: PlaybackId = playback.parse().map_err(|error| Problem::invalid_id(&error))?;
        let found = match state.catalog.asset_by_playback(playback).await? {
            Some(asset) => asset_for(&state, &caller, asset.id, Action::ReadAsset).await.ok(),
            None => None,
        };
        return page(&state, &caller, found.into_iter().collect(), (PageInfo::default(), &uri)).await;
    }
    let seen_by = caller.confined_to();
    let mut assets =
        state.catalog.list_assets(&filter, order, seen_by.as_deref(), side, list.rows(), state.clock.now()).await?;
    let info = list.cut(&mut assets, |asset| format!("{}\n{}", order.key(asset), asset.id));
    page(&state, &caller, assets, (info, &uri)).await
}

/// The place of an asset: the key by which it is sorted, and its id.
fn place(text: &str) -> Option<(String, AssetId)> {
    let (key, id) = text.split_once('\n')?;
    Some((key.to_owned(), id.parse().ok()?))
}

async fn page(
    state: &State,
    caller: &Caller,
    assets: Vec<Asset>,
    (page, uri): (PageInfo, &Uri),
) -> Result<Response, Problem> {
    let mut shown = Vec::with_capacity(assets.len());
    for asset in assets {
        shown.push(for_reader(state, caller, asset).await?);
    }
    Ok(pages::answer(uri, views(state, shown).await?, page))
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    shown(&state, for_reader(&state, &caller, asset).await?).await
}

/// An asset as far as it is for the caller: notes of reviews, and how far another output of it is, are for those who may
/// change it.
async fn for_reader(state: &State, caller: &Caller, asset: Asset) -> Result<Asset, Problem> {
    let is_worked_on =
        asset.stage_note.is_some() || asset.next_generation.is_some() || asset.reprocess_failure.is_some();
    // Asked only where there is something to keep back.
    if !is_worked_on || sees_work(state, caller, &asset).await? {
        return Ok(asset);
    }
    Ok(Asset { stage_note: None, next_generation: None, reprocess_failure: None, ..asset })
}

/// Whether the caller is told of work on an asset that is not there yet: as of events ([`catalog_store::Audience`]).
pub(crate) async fn sees_work(state: &State, caller: &Caller, asset: &Asset) -> Result<bool, Problem> {
    Ok(Audience::Editors.has(standing_to(state, caller, asset).await?))
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<DeleteQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = asset_in(path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let asset = any_asset_for(&state, &caller, id, Action::DeleteAsset).await?;
    let version = IfMatch::of_deletion(&headers, asset.about_version)?;
    let now = state.clock.now();
    // Of what never played, or was thrown away before, there is nothing to be restored.
    let is_kept = !matches!(asset.state, AssetState::Uploading | AssetState::Failed | AssetState::Deleted);
    if let Some(retention) = state.bin_retention.filter(|_| is_kept && !query.permanently) {
        let job = JobId::mint(now, state.clock.entropy());
        if state.catalog.bin_asset((id, version), now.plus(retention), &caller.actor(), job, now).await? {
            tracing::info!(asset.id = %id, "asset moved into the bin");
            availability::follow(&state, id).await;
        }
        return Ok((StatusCode::NO_CONTENT, no_store()).into_response());
    }
    let job = JobId::mint(now, state.clock.entropy());
    if state.catalog.delete_asset_at((id, version), &caller.actor(), job, now).await? {
        tracing::info!(asset.id = %id, "asset deleted");
        // Playback ends at once; the purge job removes the pointer again, and everything else.
        if let Err(error) = state.store.delete_pointer(asset.playback).await {
            tracing::warn!(asset.id = %id, error = %chain(&error), "the pointer is left to the purge job");
        }
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// An asset as it is shown.
pub(crate) async fn view(state: &State, asset: Asset) -> Result<AssetView, CatalogError> {
    let id = asset.id;
    views(state, vec![asset]).await?.pop().ok_or(CatalogError::NoAsset(id))
}

/// Many assets as they are shown, with a few questions for all of them.
async fn views(state: &State, assets: Vec<Asset>) -> Result<Vec<AssetView>, CatalogError> {
    let ids: Vec<AssetId> = assets.iter().map(|asset| asset.id).collect();
    let (mut outputs, mut texts) = (state.catalog.outputs(&ids).await?, state.catalog.texts_of(&ids).await?);
    let now = state.clock.now();
    let mut views = Vec::with_capacity(assets.len());
    for asset in assets {
        let next = match asset.next_generation {
            Some(generation) => state.catalog.output(asset.id, generation).await?,
            None => None,
        };
        let output = outputs.remove(&asset.id).unwrap_or_default();
        let mut texts = texts.remove(&asset.id).unwrap_or_default();
        texts.retain(|text| !text.is_removed);
        views.push(AssetView::new(asset, &output, next.as_ref(), &texts, now));
    }
    Ok(views)
}

/// What is made of an asset so far, and its subtitle files.
pub(crate) async fn output_of(state: &State, asset: &Asset) -> Result<(Output, Vec<Text>), CatalogError> {
    let output = match asset.generation {
        Some(generation) => state.catalog.output(asset.id, generation).await?,
        None => None,
    };
    let mut texts = state.catalog.texts(asset.id).await?;
    texts.retain(|text| !text.is_removed);
    Ok((output.unwrap_or_default(), texts))
}

/// Something that is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing(pub(crate) &'static str);

/// There is no such asset, or none that the caller may know of.
pub(crate) const NO_ASSET: Missing = Missing("there is no such asset");

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        Self::not_found(missing.0)
    }
}

pub(crate) fn asset_in(path: Result<Path<String>, PathRejection>) -> Result<AssetId, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    asset_id(&text)
}

pub(crate) fn asset_id(text: &str) -> Result<AssetId, Problem> {
    text.parse().map_err(|error| Problem::invalid_id(&error))
}

/// What changes any moment, and is for who asks, is not kept by anybody.
pub(crate) fn no_store() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
        (header::VARY, HeaderValue::from_static("Authorization, Cookie")),
    ])
}
