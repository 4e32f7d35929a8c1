//! `GET /api/v1/upload-grants`: the capabilities that somebody handed out, without their secrets.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State as Extract};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, LINK};
use axum::response::{IntoResponse, Response};
use catalog_store::Grant;
use catalog_store::cursors::{Cursors, link_to_next};
use catalog_store::grants::PAGE_GRANTS_MAX;
use domain::authority::{Action, Resource};
use domain::{AssetId, KeyId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Denial, State, UploadError, gate};

/// Capabilities on a page when nothing else is asked for.
const PAGE_GRANTS: u32 = 20;

/// The name of the list in its cursors.
const LIST: &str = "upload grants";

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    limit: Option<u32>,
    after: Option<String>,
}

/// A capability, as it is shown.
#[derive(Serialize)]
struct GrantView {
    id: String,
    state: &'static str,
    uses_left: u32,
    created_at: String,
    expires_at: String,
    max_bytes: Option<u64>,
    max_duration_s: Option<u32>,
    types: Vec<String>,
    origin: Option<String>,
    asset: Option<AssetId>,
    is_document: bool,
    key: Option<KeyId>,
}

impl GrantView {
    fn new(grant: Grant, now: Timestamp) -> Self {
        Self {
            state: grant.state_at(now),
            id: grant.id,
            uses_left: grant.uses_left,
            created_at: grant.created_at.rfc3339(),
            expires_at: grant.expires_at.rfc3339(),
            max_bytes: grant.bytes_max,
            max_duration_s: grant.duration_s_max,
            types: grant.types,
            origin: grant.origin,
            asset: grant.asset,
            is_document: grant.is_document,
            key: grant.key,
        }
    }
}

/// Shows a page of the capabilities of whoever asks, the newest first; of all where nobody is asked for a name.
pub(crate) async fn list(
    Extract(state): Extract<State>,
    query: Result<Query<PageQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, UploadError> {
    let (parts, _) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::RevokeGrant).await?;
    let Query(query) = query.map_err(|error| Denial::Query { reason: error.body_text() })?;
    let limit = query.limit.unwrap_or(PAGE_GRANTS);
    if !(1..=PAGE_GRANTS_MAX).contains(&limit) {
        return Err(Denial::Query { reason: format!("limit is 1 to {PAGE_GRANTS_MAX}") }.into());
    }
    let cursors = state.catalog.cursors()?;
    let place = query.after.as_deref().map(|cursor| opened(cursors, cursor).ok_or(Denial::Cursor)).transpose()?;
    let before = place.as_ref().map(|(at, id)| (*at, id.as_str()));
    // One more than is shown tells whether there are more.
    let mut found = state.catalog.grants_of(principal.name().as_deref(), before, limit + 1).await?;
    let shown = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = found.len() > shown;
    found.truncate(shown);
    let next = found.last().filter(|_| has_more).and_then(|last| sealed(cursors, last));
    let link = next.as_deref().map(|next| link_to_next(parts.uri.path(), parts.uri.query(), next));
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    let now = state.clock.now();
    let data: Vec<GrantView> = found.into_iter().map(|grant| GrantView::new(grant, now)).collect();
    let document = serde_json::json!({ "data": data, "page": { "next": next, "has_more": has_more } });
    let mut response = unkept(document);
    response.headers_mut().extend(link.map(|link| (LINK, link)));
    Ok(response)
}

/// Shows one capability of whoever asks.
pub(crate) async fn show(
    Extract(state): Extract<State>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, UploadError> {
    let (parts, _) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::RevokeGrant).await?;
    let grant = own(&state, &principal, &id).await?;
    Ok(unkept(serde_json::json!(GrantView::new(grant, state.clock.now()))))
}

/// The capability with this id, if it is the principal's own. That of somebody else is not there.
pub(crate) async fn own(state: &State, principal: &Principal, id: &str) -> Result<Grant, UploadError> {
    // Whatever else it holds, no database need be asked for it.
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(UploadError::NoGrant);
    }
    let grant = state.catalog.grant(id).await?.ok_or(UploadError::NoGrant)?;
    let belonging = Resource::Belonging(grant.owner.as_deref());
    gate::may(principal, Action::RevokeGrant, belonging).map_err(|_| UploadError::NoGrant)?;
    Ok(grant)
}

fn unkept(document: serde_json::Value) -> Response {
    ([(CACHE_CONTROL, "no-store")], axum::Json(document)).into_response()
}

/// The place behind a capability.
fn sealed(cursors: &Cursors, last: &Grant) -> Option<String> {
    cursors.sealed(LIST, &format!("{}.{}", last.created_at.unix_ms(), last.id))
}

fn opened(cursors: &Cursors, cursor: &str) -> Option<(Timestamp, String)> {
    let place = cursors.opened(LIST, cursor)?;
    let (at, id) = place.split_once('.')?;
    Some((Timestamp::from_unix_ms(at.parse().ok()?), id.to_owned()))
}
