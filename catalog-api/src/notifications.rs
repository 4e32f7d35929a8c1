//! What one is told of what happened, and how.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use catalog_store::notifications::{PAGE_NOTIFICATIONS_MAX, version_of_channels};
use catalog_store::{Catalog, Listing, Notification, NotificationChannel, NotificationKind, PageInfo};
use domain::about::Fault;
use domain::misfit::pointer_to;
use domain::{AssetId, NotificationId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, no_store};
use crate::documents::{document, expected, tag};
use crate::door::accounts;
use crate::me::id_of;
use crate::pages;
use crate::problem::Problem;

/// Notifications on a page when nothing else is asked for.
const PAGE_NOTIFICATIONS: u32 = 20;

/// What is told of a notification that is not there, or somebody else's.
const NO_NOTIFICATION: Missing = Missing("there is no such notification of yours");

/// Which notifications, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[serde(default)]
    unread: bool,
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRequest {
    /// Which; absent for all.
    ids: Option<Vec<NotificationId>>,
}

/// A notification, as it is shown.
#[derive(Serialize)]
pub(crate) struct NotificationView {
    id: NotificationId,
    kind: NotificationKind,
    asset: Option<AssetId>,
    data: Value,
    is_read: bool,
    created_at: String,
    read_at: Option<String>,
}

impl From<Notification> for NotificationView {
    fn from(found: Notification) -> Self {
        Self {
            id: found.id,
            kind: found.kind,
            asset: found.asset,
            data: found.data,
            is_read: found.read_at.is_some(),
            created_at: found.created_at.rfc3339(),
            read_at: found.read_at.map(domain::Timestamp::rfc3339),
        }
    }
}

#[derive(Serialize)]
struct NotificationPage {
    data: Vec<NotificationView>,
    unread_count: u64,
    page: PageInfo,
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let (catalog, me) = (accounts(&state)?.catalog(), id_of(&caller)?);
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let name = format!("notifications of {me} {}", query.unread);
    let list = Listing::of(catalog, name, query.limit, (PAGE_NOTIFICATIONS, PAGE_NOTIFICATIONS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let mut found = catalog.notifications(me, query.unread, list.side()?, list.rows()).await?;
    let page = list.cut(&mut found, |one| one.id.to_string());
    let data = found.into_iter().map(NotificationView::from).collect();
    let unread_count = catalog.unread_count(me).await?;
    Ok((pages::headers(&page, &uri), Json(NotificationPage { data, unread_count, page })).into_response())
}

/// Notes that some were read, or all.
pub(crate) async fn read(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (catalog, me) = (accounts(&state)?.catalog(), id_of(&caller)?);
    let wanted: ReadRequest = document(&state, &headers, body).await?;
    let most = usize::try_from(PAGE_NOTIFICATIONS_MAX).unwrap_or(usize::MAX);
    if wanted.ids.as_ref().is_some_and(|ids| ids.len() > most) {
        let what = format!("has at most {PAGE_NOTIFICATIONS_MAX} items");
        return Err(Problem::invalid_member("/ids", "too_many", what));
    }
    let read_count = catalog.read_notifications(me, wanted.ids.as_deref(), state.clock.now()).await?;
    let unread_count = catalog.unread_count(me).await?;
    Ok((no_store(), Json(json!({ "read_count": read_count, "unread_count": unread_count }))).into_response())
}

/// Notes that one was read, and shows it.
pub(crate) async fn read_one(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (catalog, (me, id)) = (accounts(&state)?.catalog(), own(&caller, path)?);
    catalog.read_notifications(me, Some(&[id]), state.clock.now()).await?;
    let found = catalog.notification(id).await?.filter(|found| found.user == me).ok_or(NO_NOTIFICATION)?;
    Ok((no_store(), Json(NotificationView::from(found))).into_response())
}

pub(crate) async fn delete(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let (catalog, (me, id)) = (accounts(&state)?.catalog(), own(&caller, path)?);
    if !catalog.delete_notification(me, id).await? {
        return Err(NO_NOTIFICATION.into());
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn preferences(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let (catalog, me) = (accounts(&state)?.catalog(), id_of(&caller)?);
    told(catalog, me).await
}

pub(crate) async fn set_preferences(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (catalog, me) = (accounts(&state)?.catalog(), id_of(&caller)?);
    let expected = expected(&headers, version_of_channels(&catalog.channels_of(me).await?))?;
    let wanted: BTreeMap<String, String> = document(&state, &headers, body).await?;
    let wanted = Problem::all(wanted.iter().map(preference))?;
    catalog.set_channels((me, expected), &wanted).await?;
    told(catalog, me).await
}

/// How somebody is told, with its version.
async fn told(catalog: &Catalog, user: UserId) -> Result<Response, Problem> {
    let channels = catalog.channels_of(user).await?;
    let mut headers = no_store();
    headers.extend(tag(version_of_channels(&channels)));
    Ok((headers, Json(by_kind(channels))).into_response())
}

/// How somebody wishes to be told of a kind.
fn preference((name, channel): (&String, &String)) -> Result<(NotificationKind, NotificationChannel), Problem> {
    let told = "each field is a kind of notifications and off, app or email; digest is off or email";
    let wrong = |code, what| Problem::invalid_body(told).at(vec![Fault::new(pointer_to("", name), code, what)]);
    let kind = NotificationKind::named(name).ok_or_else(|| wrong("unknown", "is no kind of notifications"))?;
    match NotificationChannel::named(channel) {
        // A letter of the week is a letter, or none.
        Some(NotificationChannel::App) if kind == NotificationKind::Digest => {
            Err(wrong("not_taken", "is off or email"))
        }
        Some(channel) => Ok((kind, channel)),
        None => Err(wrong("not_taken", "is off, app or email")),
    }
}

/// How somebody is told, kind by kind.
pub(crate) async fn channels(
    catalog: &Catalog,
    user: UserId,
) -> Result<BTreeMap<&'static str, NotificationChannel>, Problem> {
    Ok(by_kind(catalog.channels_of(user).await?))
}

fn by_kind(channels: Vec<(NotificationKind, NotificationChannel)>) -> BTreeMap<&'static str, NotificationChannel> {
    channels.into_iter().map(|(kind, channel)| (kind.as_str(), channel)).collect()
}

/// Who asks, and the notification of theirs that a path names.
fn own(caller: &Caller, path: Result<Path<String>, PathRejection>) -> Result<(UserId, NotificationId), Problem> {
    let me = id_of(caller)?;
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    Ok((me, text.parse().map_err(|error| Problem::invalid_id(&error))?))
}
