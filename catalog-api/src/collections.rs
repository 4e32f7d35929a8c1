//! Series, seasons and playlists: made, changed, filled, put in order, shared.

use std::collections::HashMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::collections::{CollectionText, PAGE_COLLECTIONS_MAX};
use catalog_store::{Collection, Item, Listing, Member};
use domain::about::{Fault, at_most, line, lines};
use domain::authority::{Action, Resource, Standing};
use domain::collection::{DESCRIPTION_CHARS_MAX, Kind, TITLE_CHARS_MAX, Visibility};
use domain::{AssetId, CollectionId, ItemId, UserId};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, no_store};
use crate::documents::{IfMatch, document_of, expected, present, tag, unless_there};
use crate::door::{accounts, asset_for};
use crate::pages::{self, PageQuery};
use crate::problem::Problem;
use crate::search::{CardView, cards};
use crate::shares::ShareView;

/// Largest document, in octets.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Collections and items on a page when nothing else is asked for.
pub(crate) const PAGE_ROWS: (u32, u32) = (20, PAGE_COLLECTIONS_MAX);

/// There is no such collection, or none that the caller may know of.
const NO_COLLECTION: Missing = Missing("there is no such collection");
const NO_ITEM: Missing = Missing("the collection has no such item");
const NO_SHARE: Missing = Missing("the collection is not shared with this account");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    kind: Option<Kind>,
    owner: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCollection {
    kind: Kind,
    title: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    visibility: Visibility,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    visibility: Option<Visibility>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewItem {
    #[serde(default, deserialize_with = "present")]
    asset: Option<String>,
    #[serde(default, deserialize_with = "present")]
    season: Option<String>,
    #[serde(default, deserialize_with = "present")]
    position: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    position: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedShare {
    standing: Standing,
}

#[derive(Serialize)]
struct CollectionView {
    id: CollectionId,
    kind: Kind,
    title: String,
    description: String,
    visibility: Visibility,
    owner: Option<String>,
    created_at: String,
    updated_at: String,
}

impl From<Collection> for CollectionView {
    fn from(collection: Collection) -> Self {
        Self {
            id: collection.id,
            kind: collection.kind,
            title: collection.title,
            description: collection.description,
            visibility: collection.visibility,
            owner: collection.owner,
            created_at: collection.created_at.rfc3339(),
            updated_at: collection.updated_at.rfc3339(),
        }
    }
}

#[derive(Serialize)]
struct ItemView {
    id: ItemId,
    position: u64,
    asset: Option<CardView>,
    season: Option<CollectionView>,
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let name = format!("collections {:?} {:?}", query.kind, query.owner);
    let list = Listing::of(&state.catalog, name, query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let wanted = (query.kind, query.owner.as_deref());
    let seen_by = caller.confined_to();
    let mut found = state.catalog.collections(wanted, seen_by.as_deref(), list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |one| one.id.to_string());
    let data: Vec<CollectionView> = found.into_iter().map(CollectionView::from).collect();
    Ok(pages::answer(&uri, data, page))
}

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: NewCollection = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let text = checked(CollectionText {
        title: wanted.title,
        description: wanted.description,
        visibility: wanted.visibility,
    })?;
    let now = state.clock.now();
    let id = CollectionId::mint(now, state.clock.entropy());
    state.catalog.create_collection((id, wanted.kind), &text, caller.principal.name().as_deref(), now).await?;
    tracing::info!(collection.id = %id, "collection made");
    let made = state.catalog.collection(id).await?.ok_or(NO_COLLECTION)?;
    let mut answer = no_store();
    answer.extend(tag(made.version));
    answer.extend(location(&format!("/api/v1/collections/{id}")));
    Ok((StatusCode::CREATED, answer, Json(CollectionView::from(made))).into_response())
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    Ok(shown(collection_for(&state, &caller, collection_in(path)?, Action::ReadCollection).await?))
}

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let now = collection_for(&state, &caller, collection_in(path)?, Action::EditCollection).await?;
    let condition = IfMatch::of(&headers)?;
    condition.version(now.version)?;
    let wanted: Change = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let change = || async {
        let now = collection_for(&state, &caller, now.id, Action::EditCollection).await?;
        let version = condition.version(now.version)?;
        let text = checked(CollectionText {
            title: wanted.title.clone().unwrap_or_else(|| now.title.clone()),
            description: wanted.description.clone().map_or(now.description.clone(), Option::unwrap_or_default),
            visibility: wanted.visibility.unwrap_or(now.visibility),
        })?;
        if (&text.title, &text.description, text.visibility) == (&now.title, &now.description, now.visibility) {
            return Ok(now);
        }
        let changed =
            state.catalog.change_collection(now.id, version, &text, &caller.actor(), state.clock.now()).await?;
        tracing::info!(collection.id = %changed.id, "collection changed");
        Ok(changed)
    };
    let changed = condition.tried(change).await?;
    Ok(shown(changed))
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let collection = collection_for(&state, &caller, collection_in(path)?, Action::DeleteCollection).await?;
    let version = IfMatch::of_deletion(&headers, collection.version)?;
    state.catalog.delete_collection(collection.id, version, &caller.actor(), state.clock.now()).await?;
    tracing::info!(collection.id = %collection.id, "collection deleted");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn items(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let collection = collection_for(&state, &caller, collection_in(path)?, Action::ReadCollection).await?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let list = Listing::of(&state.catalog, format!("items of {}", collection.id), query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let (side, seen_by) = (list.side_of(place)?, caller.confined_to());
    let mut found =
        state.catalog.items_of(collection.id, seen_by.as_deref(), side, list.rows(), state.clock.now()).await?;
    let page = list.cut(&mut found, |item| format!("{}\n{}", item.position, item.id));
    let data = item_views(&state, found).await?;
    Ok(pages::answer(&uri, data, page))
}

pub(crate) async fn put_item(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let collection = collection_for(&state, &caller, collection_in(path)?, Action::EditCollection).await?;
    let wanted: NewItem = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let wrong_id = |error: &_, field| Problem::invalid_id(error).at_member(field, "invalid_id");
    // What one may not see cannot be put anywhere.
    let member = match (wanted.asset, wanted.season) {
        (Some(asset), None) => {
            let id: AssetId = asset.parse().map_err(|error| wrong_id(&error, "/asset"))?;
            Member::Asset(asset_for(&state, &caller, id, Action::ReadAsset).await?.id)
        }
        (None, Some(season)) => {
            let id: CollectionId = season.parse().map_err(|error| wrong_id(&error, "/season"))?;
            Member::Season(collection_for(&state, &caller, id, Action::ReadCollection).await?.id)
        }
        (asset, _) => {
            let (code, what) = if asset.is_some() { ("not_taken", "is given, too") } else { ("missing", "is missing") };
            let faults = ["/asset", "/season"].map(|field| Fault::new(field, code, what));
            return Err(Problem::invalid_body("an item is an asset or a season").at(faults.to_vec()));
        }
    };
    let now = state.clock.now();
    let id = ItemId::mint(now, state.clock.entropy());
    let item = state.catalog.put_item(collection.id, (id, member), wanted.position, now).await?;
    tracing::info!(collection.id = %collection.id, item.id = %id, "item put into a collection");
    let mut answer = no_store();
    answer.extend(location(&format!("/api/v1/collections/{}/items/{id}", collection.id)));
    let view = item_views(&state, vec![item]).await?.pop().ok_or(NO_ITEM)?;
    Ok((StatusCode::CREATED, answer, Json(view)).into_response())
}

pub(crate) async fn move_item(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (collection, item): (CollectionId, ItemId) = both_in(path)?;
    let collection = collection_for(&state, &caller, collection, Action::EditCollection).await?;
    // The order is one of all items: its version is that of the collection.
    let expected = expected(&headers, collection.version)?;
    let Moved { position } = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let (place, now) = ((collection.id, expected), state.clock.now());
    let (moved, version) = state.catalog.move_item(place, item, position, now).await?.ok_or(NO_ITEM)?;
    let view = item_views(&state, vec![moved]).await?.pop().ok_or(NO_ITEM)?;
    let mut answer = no_store();
    answer.extend(tag(version));
    Ok((answer, Json(view)).into_response())
}

pub(crate) async fn remove_item(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (collection, item): (CollectionId, ItemId) = both_in(path)?;
    let collection = collection_for(&state, &caller, collection, Action::EditCollection).await?;
    if !state.catalog.remove_item(collection.id, item, state.clock.now()).await? {
        return Err(NO_ITEM.into());
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn shares(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let collection = collection_for(&state, &caller, collection_in(path)?, Action::ShareCollection).await?;
    let shares = state.catalog.shares_of_collection(collection.id).await?;
    let data: Vec<ShareView> = shares.into_iter().map(ShareView::from).collect();
    Ok(pages::whole(data))
}

pub(crate) async fn share(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let (collection, user): (CollectionId, UserId) = both_in(path)?;
    let collection = collection_for(&state, &caller, collection, Action::ShareCollection).await?;
    let expected = unless_there(&headers)?;
    let WantedShare { standing } = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    if Standing::shared(standing.as_str()).is_none() {
        return Err(Problem::invalid_member("/standing", "not_taken", "is viewer, editor or owner"));
    }
    let (actor, now) = (caller.actor(), state.clock.now());
    let share = state.catalog.share_collection((collection.id, expected), (user, standing), &actor, now).await?;
    tracing::info!(collection.id = %collection.id, user.id = %user, "collection shared");
    Ok((no_store(), Json(ShareView::from(share))).into_response())
}

pub(crate) async fn unshare(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    accounts(&state)?;
    let (collection, user): (CollectionId, UserId) = both_in(path)?;
    let collection = collection_for(&state, &caller, collection, Action::ShareCollection).await?;
    if !state.catalog.unshare_collection(collection.id, user, &caller.actor(), state.clock.now()).await? {
        return Err(NO_SHARE.into());
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// The collection, if the caller may do `action` on it. One that they may not even see is not there.
async fn collection_for(
    state: &State,
    caller: &Caller,
    id: CollectionId,
    action: Action,
) -> Result<Collection, Problem> {
    let collection = state.catalog.collection(id).await?.ok_or(NO_COLLECTION)?;
    let standing = match caller.confined_to() {
        None => Standing::Owner,
        Some(name) => state.catalog.standing_to_collection(id, &name).await?,
    };
    let is_seen = caller.may(Action::ReadCollection, Resource::Asset(standing)).is_ok();
    if !is_seen && standing < Standing::Viewer && caller.principal.is_confined() {
        return Err(NO_COLLECTION.into());
    }
    caller.may(action, Resource::Asset(standing))?;
    Ok(collection)
}

async fn item_views(state: &State, items: Vec<Item>) -> Result<Vec<ItemView>, Problem> {
    let ids: Vec<AssetId> = items
        .iter()
        .filter_map(|item| match item.member {
            Member::Asset(asset) => Some(asset),
            Member::Season(_) => None,
        })
        .collect();
    let assets = state.catalog.assets_by_id(&ids).await?;
    let known: Vec<AssetId> = assets.iter().map(|asset| asset.id).collect();
    let mut cards: HashMap<_, _> = known.into_iter().zip(cards(state, assets).await?).collect();
    let mut views = Vec::with_capacity(items.len());
    for Item { id, member, position } in items {
        let view = match member {
            Member::Asset(asset) => ItemView { id, position, asset: cards.remove(&asset), season: None },
            Member::Season(season) => {
                let season = state.catalog.collection(season).await?.map(CollectionView::from);
                ItemView { id, position, asset: None, season }
            }
        };
        views.push(view);
    }
    Ok(views)
}

fn shown(collection: Collection) -> Response {
    let mut headers = no_store();
    headers.extend(tag(collection.version));
    (headers, Json(CollectionView::from(collection))).into_response()
}

fn checked(text: CollectionText) -> Result<CollectionText, Problem> {
    let mut faults = Vec::new();
    let (title, description) = (line(&text.title), lines(&text.description));
    if title.is_empty() {
        faults.push(Fault::new("/title", "empty", "says nothing"));
    }
    at_most(&text.title, TITLE_CHARS_MAX, "/title", &mut faults);
    at_most(&text.description, DESCRIPTION_CHARS_MAX, "/description", &mut faults);
    if faults.is_empty() {
        Ok(CollectionText { title, description, ..text })
    } else {
        Err(Problem::invalid_fields(faults))
    }
}

pub(crate) fn location(path: &str) -> Option<(header::HeaderName, HeaderValue)> {
    HeaderValue::try_from(path).ok().map(|path| (header::LOCATION, path))
}

/// The place of an item: where it stands, and its id.
fn place(text: &str) -> Option<(u64, ItemId)> {
    let (position, id) = text.split_once('\n')?;
    Some((position.parse().ok()?, id.parse().ok()?))
}

fn collection_in(path: Result<Path<String>, PathRejection>) -> Result<CollectionId, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    text.parse().map_err(|error| Problem::invalid_id(&error))
}

/// Two ids in a path.
pub(crate) fn both_in<A, B>(path: Result<Path<(String, String)>, PathRejection>) -> Result<(A, B), Problem>
where
    A: std::str::FromStr<Err = domain::IdError>,
    B: std::str::FromStr<Err = domain::IdError>,
{
    let Path((one, other)) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let one = one.parse().map_err(|error: domain::IdError| Problem::invalid_id(&error))?;
    Ok((one, other.parse().map_err(|error: domain::IdError| Problem::invalid_id(&error))?))
}
