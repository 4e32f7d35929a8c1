//! Channels: made, changed, filled, followed.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Channel, Listing};
use domain::about::{Fault, at_most, line, lines};
use domain::authority::{Action, Resource, Standing};
use domain::collection::{DESCRIPTION_CHARS_MAX, TITLE_CHARS_MAX, handle};
use domain::{ChannelId, UserId};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, asset_in, no_store};
use crate::collections::{PAGE_ROWS, location};
use crate::describe;
use crate::documents::{IfMatch, document_of, present, tag};
use crate::door::{accounts, asset_for};
use crate::pages::{self, PageQuery};
use crate::problem::Problem;
use crate::search::cards;

/// Largest document, in octets.
const BODY_BYTES_MAX: usize = 64 << 10;

const NO_CHANNEL: Missing = Missing("there is no such channel");
const NO_SUBSCRIPTION: Missing = Missing("the account does not follow this channel");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    handle: Option<String>,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewChannel {
    handle: String,
    name: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    channel: ChannelId,
}

#[derive(Serialize)]
struct ChannelView {
    id: ChannelId,
    handle: String,
    name: String,
    description: String,
    owner: Option<String>,
    subscribers: u64,
    created_at: String,
    updated_at: String,
}

impl From<Channel> for ChannelView {
    fn from(channel: Channel) -> Self {
        Self {
            id: channel.id,
            handle: channel.handle,
            name: channel.name,
            description: channel.description,
            owner: channel.owner,
            subscribers: channel.subscribers,
            created_at: channel.created_at.rfc3339(),
            updated_at: channel.updated_at.rfc3339(),
        }
    }
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    uri: Uri,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let list = Listing::of(&state.catalog, "channels", query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    if let Some(wanted) = &query.handle {
        let found = match handle(wanted) {
            Some(handle) => state.catalog.channel_by_handle(&handle).await?,
            None => None,
        };
        return Ok(page(&uri, found.into_iter().collect(), &list));
    }
    let found = state.catalog.channels(list.side()?, list.rows()).await?;
    Ok(page(&uri, found, &list))
}

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: NewChannel = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let Some(handle) = handle(&wanted.handle) else {
        let what = "is 3 to 30 of a-z, 0-9, _, . and -";
        return Err(Problem::invalid_fields(vec![Fault::new("/handle", "invalid_handle", what)]));
    };
    let (name, description) = checked(&wanted.name, &wanted.description)?;
    let now = state.clock.now();
    let id = ChannelId::mint(now, state.clock.entropy());
    let owner = caller.principal.name();
    state.catalog.create_channel((id, &handle), (&name, &description), owner.as_deref(), now).await?;
    tracing::info!(channel.id = %id, "channel made");
    let made = state.catalog.channel(id).await?.ok_or(NO_CHANNEL)?;
    let mut answer = no_store();
    answer.extend(tag(made.version));
    answer.extend(location(&format!("/api/v1/channels/{id}")));
    Ok((StatusCode::CREATED, answer, Json(ChannelView::from(made))).into_response())
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    Ok(shown(state.catalog.channel(channel_in(path)?).await?.ok_or(NO_CHANNEL)?))
}

pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let now = channel_for(&state, &caller, channel_in(path)?, Action::EditChannel).await?;
    let condition = IfMatch::of(&headers)?;
    condition.version(now.version)?;
    let wanted: Change = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let change = || async {
        let now = channel_for(&state, &caller, now.id, Action::EditChannel).await?;
        let version = condition.version(now.version)?;
        let description = wanted.description.clone().map_or(now.description.clone(), Option::unwrap_or_default);
        let (name, description) = checked(wanted.name.as_ref().unwrap_or(&now.name), &description)?;
        if (&name, &description) == (&now.name, &now.description) {
            return Ok(now);
        }
        let changed = state.catalog.change_channel(now.id, version, (&name, &description), state.clock.now()).await?;
        tracing::info!(channel.id = %changed.id, "channel changed");
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
    let channel = channel_for(&state, &caller, channel_in(path)?, Action::EditChannel).await?;
    let version = IfMatch::of_deletion(&headers, channel.version)?;
    state.catalog.delete_channel(channel.id, version, &caller.actor(), state.clock.now()).await?;
    tracing::info!(channel.id = %channel.id, "channel deleted");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn assets(
    Shared(state): Shared<State>,
    uri: Uri,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let channel = state.catalog.channel(channel_in(path)?).await?.ok_or(NO_CHANNEL)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let list = Listing::of(&state.catalog, format!("assets of {}", channel.id), query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let found = state.catalog.assets_of_channel(channel.id, list.side()?, list.rows(), state.clock.now()).await?;
    cards_page(&state, &uri, found, &list).await
}

/// Publishes an asset in a channel.
pub(crate) async fn put_asset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = describe::expected_place(&headers, &asset)?;
    let Place { channel } = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let channel = channel_for(&state, &caller, channel, Action::EditChannel).await?;
    state.catalog.set_channel((asset.id, expected), Some(channel.id), &caller.actor(), state.clock.now()).await?;
    tracing::info!(asset.id = %asset.id, channel.id = %channel.id, "asset put into a channel");
    let asset = asset_for(&state, &caller, asset.id, Action::ShareAsset).await?;
    describe::shown(&state, asset).await
}

/// Takes an asset out of its channel.
pub(crate) async fn remove_asset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = describe::expected_place(&headers, &asset)?;
    state.catalog.set_channel((asset.id, expected), None, &caller.actor(), state.clock.now()).await?;
    tracing::info!(asset.id = %asset.id, "asset taken out of its channel");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn subscriptions(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let user = own(&state, &caller)?;
    let list = Listing::of(&state.catalog, format!("subscriptions of {user}"), query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let found = state.catalog.subscriptions(user, list.side()?, list.rows()).await?;
    Ok(page(&uri, found, &list))
}

/// The newest assets of the channels that somebody follows.
pub(crate) async fn feed(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let user = own(&state, &caller)?;
    let list = Listing::of(&state.catalog, format!("feed of {user}"), query.limit, PAGE_ROWS)?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let found = state.catalog.subscribed_assets(user, list.side()?, list.rows(), state.clock.now()).await?;
    cards_page(&state, &uri, found, &list).await
}

pub(crate) async fn subscribe(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (user, channel) = (own(&state, &caller)?, channel_in(path)?);
    state.catalog.subscribe(user, channel, state.clock.now()).await?;
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn unsubscribe(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (user, channel) = (own(&state, &caller)?, channel_in(path)?);
    if !state.catalog.unsubscribe(user, channel).await? {
        return Err(NO_SUBSCRIPTION.into());
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

/// The caller's own account.
fn own(state: &State, caller: &Caller) -> Result<UserId, Problem> {
    accounts(state)?;
    let member = caller.principal.member();
    member.map(|member| member.id).ok_or_else(|| Problem::forbidden("only somebody with an account follows channels"))
}

/// The channel, if the caller may do `action` on it.
async fn channel_for(state: &State, caller: &Caller, id: ChannelId, action: Action) -> Result<Channel, Problem> {
    let channel = state.catalog.channel(id).await?.ok_or(NO_CHANNEL)?;
    let is_own = caller.confined_to().is_none_or(|name| channel.owner.as_deref() == Some(&*name));
    let standing = if is_own { Standing::Owner } else { Standing::Viewer };
    caller.may(action, Resource::Asset(standing))?;
    Ok(channel)
}

fn page(uri: &Uri, mut found: Vec<Channel>, list: &Listing) -> Response {
    let page = list.cut(&mut found, |channel| channel.id.to_string());
    pages::answer(uri, found.into_iter().map(ChannelView::from).collect(), page)
}

async fn cards_page(state: &State, uri: &Uri, mut found: Vec<Asset>, list: &Listing) -> Result<Response, Problem> {
    let page = list.cut(&mut found, |asset| asset.id.to_string());
    Ok(pages::answer(uri, cards(state, found).await?, page))
}

fn shown(channel: Channel) -> Response {
    let mut headers = no_store();
    headers.extend(tag(channel.version));
    (headers, Json(ChannelView::from(channel))).into_response()
}

fn checked(name: &str, description: &str) -> Result<(String, String), Problem> {
    let mut faults = Vec::new();
    at_most(name, TITLE_CHARS_MAX, "/name", &mut faults);
    at_most(description, DESCRIPTION_CHARS_MAX, "/description", &mut faults);
    let (name, description) = (line(name), lines(description));
    if name.is_empty() {
        faults.push(Fault::new("/name", "empty", "says nothing"));
    }
    if faults.is_empty() { Ok((name, description)) } else { Err(Problem::invalid_fields(faults)) }
}

fn channel_in(path: Result<Path<String>, PathRejection>) -> Result<ChannelId, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    text.parse().map_err(|error| Problem::invalid_id(&error))
}
