//! `GET /api/v1/upload-grants`: the capabilities that somebody handed out, without their secrets.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State as Extract};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, LINK};
use axum::response::{IntoResponse, Response};
use catalog_store::grants::PAGE_GRANTS_MAX;
use catalog_store::{Grant, Listing};
use domain::authority::{Action, Resource};
use domain::{AssetId, KeyId, Principal, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Denial, State, UploadError, gate};

/// Capabilities on a page when nothing else is asked for.
const PAGE_GRANTS: u32 = 20;

/// Characters of an id.
const ID_CHARS: usize = 32;

/// The name of the list in its cursors.
const LIST: &str = "upload grants";

/// What is asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
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
    let list = Listing::of(&state.catalog, LIST, query.limit, (PAGE_GRANTS, PAGE_GRANTS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let side = list.side_of(place)?;
    let mut found = state.catalog.grants_of(principal.name().as_deref(), side, list.rows()).await?;
    let page = list.cut(&mut found, |grant| format!("{}.{}", grant.created_at.unix_ms(), grant.id));
    let link = page.link(parts.uri.path(), parts.uri.query());
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    let now = state.clock.now();
    let data: Vec<GrantView> = found.into_iter().map(|grant| GrantView::new(grant, now)).collect();
    let mut response = unkept(serde_json::json!({ "data": data, "page": page }));
    response.headers_mut().extend(link.map(|link| (LINK, link)));
    Ok(response)
}

/// Shows one capability of whoever asks.
pub(crate) async fn show(
    Extract(state): Extract<State>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, UploadError> {
    let (parts, _) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::RevokeGrant).await?;
    let grant = own(&state, &principal, &id_in(path)?).await?;
    Ok(unkept(serde_json::json!(GrantView::new(grant, state.clock.now()))))
}

/// The id in a path.
pub(crate) fn id_in(path: Result<Path<String>, PathRejection>) -> Result<String, UploadError> {
    let Path(id) = path.map_err(|_| Denial::Id { reason: "the id of an upload link is 32 hexadecimal digits" })?;
    // Whatever else it holds, no database need be asked for it.
    let is_id = id.len() == ID_CHARS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(id) } else { Err(UploadError::NoGrant) }
}

/// The capability with this id, if it is the principal's own. That of somebody else is not there.
pub(crate) async fn own(state: &State, principal: &Principal, id: &str) -> Result<Grant, UploadError> {
    let grant = state.catalog.grant(id).await?.ok_or(UploadError::NoGrant)?;
    let belonging = Resource::Belonging(grant.owner.as_deref());
    gate::may(principal, Action::RevokeGrant, belonging).map_err(|_| UploadError::NoGrant)?;
    Ok(grant)
}

fn unkept(document: serde_json::Value) -> Response {
    ([(CACHE_CONTROL, "private, no-store")], axum::Json(document)).into_response()
}

/// The place of a capability: when it was given, and its id.
fn place(text: &str) -> Option<(Timestamp, String)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp::from_unix_ms(at.parse().ok()?), id.to_owned()))
}
