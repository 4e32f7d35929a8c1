//! All that is kept of oneself, to take along; and to be erased.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog_store::erasure::{Belongings, Kept, Legacy, SessionNote, ShareNote, UploadNote};
use catalog_store::notifications::{KEPT_MAX, PAGE_NOTIFICATIONS_MAX};
use catalog_store::{CatalogError, Document, Grant, Side, User};
use domain::{JobId, Timestamp, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::State;
use crate::accounts::{Accounts, Caller, LOGIN, cleared};
use crate::assets::no_store;
use crate::audit::EntryView;
use crate::auth::limited;
use crate::avatars;
use crate::belongings;
use crate::documents::{IfMatch, document};
use crate::door::{Origin, accounts};
use crate::me::{KeyView, confirmed, own};
use crate::notifications::{NotificationView, channels};
use crate::oidc::IdentityView;
use crate::person::PersonView;
use crate::problem::{Problem, chain};
use crate::webhooks;

/// How new a session is that is asked for no password.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// Videos that are deleted in one go.
const BATCH: u32 = 100;
/// How often videos are deleted that somebody goes on to upload meanwhile.
const ROUNDS_MAX: usize = 16;

/// What becomes of videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fate {
    /// They go to an administrator.
    Transfer,
    /// They are deleted.
    Delete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Farewell {
    /// Needed unless one logged in a moment ago.
    password: Option<String>,
    assets: Fate,
}

/// All that is kept of whoever asks, in one document.
pub(crate) async fn export(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    // It is large, and read at once: as many as bodies.
    let _place = state.bodies.try_acquire().map_err(|_| Problem::busy())?;
    let user = own(accounts, &caller).await?;
    // Before it is read, so that the document has the row as well.
    accounts.catalog().note(&caller.actor(), "user.exported", user.id, accounts.clock().now()).await?;
    let id = user.id;
    let mut answer = no_store();
    let name = HeaderValue::from_static("attachment; filename=\"headwater-export.json\"");
    answer.insert(header::CONTENT_DISPOSITION, name);
    let document = exported(&state, accounts, user).await?;
    tracing::info!(user.id = %id, "an account is exported");
    Ok((answer, Json(document)).into_response())
}

async fn exported(state: &State, accounts: &Accounts, user: User) -> Result<Value, Problem> {
    let (catalog, now, id) = (accounts.catalog(), state.clock.now(), user.id);
    let belongings = catalog.belongings_of(id).await?;
    let is_cut = belongings.is_cut();
    let keys = catalog.api_keys_of(id).await?.into_iter().map(KeyView::from).collect::<Vec<_>>();
    let identities = catalog.identities_of(id).await?.into_iter().map(IdentityView::from).collect::<Vec<_>>();
    let hooks = catalog.webhooks_of(&id.to_string()).await?;
    let hooks = hooks.into_iter().map(|webhook| webhooks::listed(state, webhook)).collect::<Vec<_>>();
    let (mut news, mut side) = (Vec::new(), None);
    for _ in 0..KEPT_MAX.div_ceil(PAGE_NOTIFICATIONS_MAX) {
        let page = catalog.notifications(id, false, side, PAGE_NOTIFICATIONS_MAX).await?;
        let Some(last) = page.last() else { break };
        side = Some(Side::After(last.id));
        news.extend(page.into_iter().map(NotificationView::from));
    }
    let Belongings { assets, uploads, grants, sessions, shares, collections, channels: published, .. } = belongings;
    let (assets, is_whole) = belongings::exported(state, assets).await?;
    let documents = belongings.documents;
    let (subscriptions, shared, audit) = (belongings.subscriptions, belongings.shared_collections, belongings.audit);
    let kept = |all: Vec<Kept>| all.into_iter().map(one).collect::<Vec<_>>();
    Ok(json!({
        "made_at": now.rfc3339(),
        "is_complete": !is_cut && is_whole,
        "account": PersonView::from(user),
        "assets": assets,
        "documents": documents.into_iter().map(attached).collect::<Vec<_>>(),
        "uploads": uploads.into_iter().map(upload).collect::<Vec<_>>(),
        "upload_grants": grants.into_iter().map(|grant| link(grant, now)).collect::<Vec<_>>(),
        "shares": shares.into_iter().map(share).collect::<Vec<_>>(),
        "collections": kept(collections),
        "channels": kept(published),
        "subscriptions": kept(subscriptions),
        "shared_collections": kept(shared),
        "sessions": sessions.into_iter().map(session).collect::<Vec<_>>(),
        "api_keys": keys,
        "identities": identities,
        "webhooks": hooks,
        "notifications": news,
        "notification_preferences": channels(catalog, id).await?,
        "audit_log": audit.into_iter().map(EntryView::from).collect::<Vec<_>>(),
    }))
}

fn upload(upload: UploadNote) -> Value {
    json!({
        "asset": upload.asset, "kind": upload.kind, "state": upload.state, "file_name": upload.file_name,
        "offset_bytes": upload.offset_bytes, "length_bytes": upload.length_bytes,
        "created_at": upload.created_at.rfc3339(),
    })
}

fn link(grant: Grant, now: Timestamp) -> Value {
    json!({
        "id": grant.id, "state": grant.state_at(now), "uses_left": grant.uses_left,
        "created_at": grant.created_at.rfc3339(), "expires_at": grant.expires_at.rfc3339(),
        "max_bytes": grant.bytes_max, "max_duration_s": grant.duration_s_max, "types": grant.types,
        "origin": grant.origin, "asset": grant.asset, "is_document": grant.is_document, "key": grant.key,
    })
}

fn attached(document: Document) -> Value {
    json!({
        "id": document.id, "asset": document.asset, "state": document.state, "name": document.name,
        "description": document.description, "media_type": document.media_type,
        "size_bytes": document.size.map(|size| size.0), "sha256": document.sha256,
        "created_at": document.created_at.rfc3339(), "updated_at": document.updated_at.rfc3339(),
    })
}

fn share(share: ShareNote) -> Value {
    json!({
        "asset": share.asset, "user": share.user, "standing": share.standing,
        "created_at": share.created_at.rfc3339(),
    })
}

fn one(kept: Kept) -> Value {
    json!({
        "id": kept.id, "kind": kept.kind, "name": kept.name, "description": kept.description,
        "created_at": kept.created_at.rfc3339(),
    })
}

fn session(session: SessionNote) -> Value {
    json!({
        "id": session.id, "client": session.client, "created_at": session.created_at.rfc3339(),
        "seen_at": session.seen_at.rfc3339(), "expires_at": session.expires_at.rfc3339(),
        "ended_at": session.ended_at.map(Timestamp::rfc3339),
    })
}

/// Erases whoever asks.
pub(crate) async fn leave(
    Shared(state): Shared<State>,
    caller: Caller,
    origin: Origin,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let accounts = accounts(&state)?;
    limited(accounts, &LOGIN, origin.address(accounts, &headers), async || {
        let wanted: Farewell = document(&state, &headers, body).await?;
        let user = own(accounts, &caller).await?;
        match wanted.password {
            Some(password) => confirmed(accounts, &user, password).await?,
            None if is_fresh(accounts, &caller).await? => {}
            None => return Err(Problem::forbidden("send your password, or log in anew and ask within ten minutes")),
        }
        // Compared here and not where the account is erased: before that their videos go, one by one.
        IfMatch::of_deletion(&headers, user.version)?;
        // Asked first, since what is deleted cannot be had back.
        accounts.catalog().check_erasable(user.id).await?;
        let heir = erased(&state, accounts, user.id, wanted.assets).await?;
        avatars::swept(&state).await;
        tracing::info!(user.id = %user.id, heir = heir.map(tracing::field::display), "account erased");
        let mut answer = no_store();
        for value in cleared() {
            answer.append(header::SET_COOKIE, value);
        }
        Ok((StatusCode::NO_CONTENT, answer).into_response())
    })
    .await
}

/// Erases somebody; returns who has their videos now, if anybody has.
async fn erased(state: &State, accounts: &Accounts, user: UserId, assets: Fate) -> Result<Option<UserId>, Problem> {
    let now = || accounts.clock().now();
    if assets == Fate::Transfer {
        return Ok(accounts.catalog().erase_user(user, Legacy::Inherited, now()).await?);
    }
    for _ in 0..ROUNDS_MAX {
        delete_all(state, user).await?;
        match accounts.catalog().erase_user(user, Legacy::Deleted, now()).await {
            // An upload began meanwhile.
            Err(CatalogError::VideosLeft(_)) => {}
            outcome => return Ok(outcome?),
        }
    }
    Err(Problem::busy())
}

pub(crate) async fn is_fresh(accounts: &Accounts, caller: &Caller) -> Result<bool, Problem> {
    let Some(session) = caller.session else { return Ok(false) };
    let session = accounts.catalog().session(session).await?;
    Ok(session.is_some_and(|session| accounts.clock().now().since(session.created_at) <= FRESH))
}

/// Deletes all videos of somebody. One that is cut off is asked for again.
async fn delete_all(state: &State, user: UserId) -> Result<(), Problem> {
    let mut after = None;
    loop {
        // Ends because every page begins behind the one before it.
        let page = state.catalog.assets_of(user, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for asset in page {
            let now = state.clock.now();
            let job = JobId::mint(now, state.clock.entropy());
            state.catalog.delete_asset_at((asset.id, None), &user.to_string(), job, now).await?;
            // Playback ends at once; the purge job removes the pointer again, and everything else.
            if let Err(error) = state.store.delete_pointer(asset.playback).await {
                tracing::warn!(asset.id = %asset.id, error = %chain(&error), "the pointer is left to the purge job");
            }
        }
    }
}
