//! Pictures of people: one's own, those of others, and their removal.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{Catalog, CatalogError};
use domain::{Clock, PictureId, UserId};
use media_store::{MediaStore, StoreError, layout};
use tokio_util::sync::CancellationToken;

use crate::accounts::Caller;
use crate::assets::{Missing, no_store};
use crate::documents::is_known;
use crate::door::accounts;
use crate::me::{id_of, with_tag};
use crate::picture::{self, Fit};
use crate::problem::{Problem, chain};
use crate::users::user_in;
use crate::{State, body};

/// Side of a picture, in pixels.
const SIDE_MAX: u32 = 512;
/// How long a picture may take to get into the store. One that is nobody's after that is removed from it.
const PUT_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How long one that nobody took is left alone.
const ANNOUNCED: Duration = Duration::from_secs(3600);
/// Time between two looks at what is to be removed.
const SWEPT_EVERY: Duration = Duration::from_secs(30);
/// Pictures that are removed in one go.
const BATCH: u32 = 100;

/// There is none.
const NO_AVATAR: Missing = Missing("the account has no picture");

/// Where the picture of somebody is shown. The address of another picture is another one.
pub(crate) fn address(user: UserId, picture: PictureId) -> String {
    let picture = picture.to_string();
    let tail = picture.len().saturating_sub(10);
    format!("/api/v1/users/{user}/avatar?v={}", &picture[tail..])
}

pub(crate) async fn set(
    Shared(state): Shared<State>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (accounts, user) = (accounts(&state)?, id_of(&caller)?);
    let content = body::read(&state, &headers, body, picture::BYTES_MAX).await?;
    let made = state.studio.remade(content, Fit::Square(SIDE_MAX)).await?;
    let (now, bytes) = (state.clock.now(), made.len());
    let picture = PictureId::mint(now, state.clock.entropy());
    accounts.catalog().announce_avatar(user, picture, now.plus(ANNOUNCED)).await?;
    let key = layout::avatar(user, picture);
    let put = tokio::time::timeout(PUT_WITHIN, state.store.put_once(&key, made)).await;
    put.map_err(|_| Problem::busy())??;
    let changed = accounts.catalog().set_avatar(user, picture, state.clock.now()).await?;
    tracing::info!(user.id = %user, picture.id = %picture, bytes, "picture of an account set");
    swept(&state).await;
    Ok(with_tag(changed))
}

pub(crate) async fn remove_own(Shared(state): Shared<State>, caller: Caller) -> Result<Response, Problem> {
    removed(&state, &caller, id_of(&caller)?).await
}

pub(crate) async fn remove(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    removed(&state, &caller, user_in(path)?).await
}

async fn removed(state: &State, caller: &Caller, user: UserId) -> Result<Response, Problem> {
    if accounts(state)?.catalog().remove_avatar(user, &caller.actor(), state.clock.now()).await? {
        tracing::info!(user.id = %user, "picture of an account removed");
        swept(state).await;
    }
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (accounts, user) = (accounts(&state)?, user_in(path)?);
    let picture = accounts.catalog().avatar(user).await?.ok_or(NO_AVATAR)?;
    // A picture never changes under its id, so that is what tells one from another.
    let tag = HeaderValue::try_from(format!("\"{picture}\"")).map_err(|_| Problem::internal())?;
    let mut answer = HeaderMap::from_iter([(header::ETAG, tag.clone())]);
    // For those who are logged in, and asked for again each time: it may have been removed.
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    let content = state.store.get(&layout::avatar(user, picture)).await?.ok_or(NO_AVATAR)?;
    let fixed = [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    answer.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok((answer, content).into_response())
}

/// Removes what is to be removed from the store; what is left is left to the next round.
pub(crate) async fn swept(state: &State) {
    sweep(&state.catalog, &state.store, &*state.clock).await;
}

/// Removes pictures of people that are nobody's any more from the store, now and twice a minute, until `soft` is
/// cancelled.
pub async fn keep(catalog: Catalog, store: MediaStore, clock: Arc<dyn Clock>, soft: CancellationToken) {
    // Ends with the soft signal; a lost branch loses nothing, since the next round does the rest.
    while !soft.is_cancelled() {
        sweep(&catalog, &store, &*clock).await;
        let _ = soft.run_until_cancelled(tokio::time::sleep(SWEPT_EVERY)).await;
    }
}

async fn sweep(catalog: &Catalog, store: &MediaStore, clock: &dyn Clock) {
    if let Err(error) = sweep_once(catalog, store, clock).await {
        tracing::warn!(error = %chain(&error), "pictures of accounts are left to be removed later");
    }
}

/// Why pictures are still in the store.
#[derive(Debug, thiserror::Error)]
enum Unswept {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn sweep_once(catalog: &Catalog, store: &MediaStore, clock: &dyn Clock) -> Result<(), Unswept> {
    for (user, picture) in catalog.avatars_due(BATCH, clock.now()).await? {
        store.delete(&layout::avatar(user, picture)).await?;
        catalog.forget_avatar(picture).await?;
        tracing::info!(user.id = %user, picture.id = %picture, "picture of an account removed from the store");
    }
    Ok(())
}
