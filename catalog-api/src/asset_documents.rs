//! Documents of an asset: asked for, shown, named, put in order, removed. Their octets come as uploads.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Document, DocumentText};
use domain::about::{Fault, at_most, lines};
use domain::authority::Action;
use domain::document::{DESCRIPTION_CHARS_MAX, NAME_CHARS_MAX, State as Standing, tidied};
use domain::{AssetId, AssetState, ByteSize, DocumentId, Failure, JobId};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, asset_in, no_store, sees_work};
use crate::availability::follow;
use crate::collections::both_in;
use crate::documents::{IfMatch, document, present, tag};
use crate::door::asset_for;
use crate::pages;
use crate::places::{self, Wanted};
use crate::problem::Problem;

/// There is no such document.
const NO_DOCUMENT: Missing = Missing("the asset has no such document");

/// What is to be changed.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    position: Option<u64>,
}

/// A document as the API shows it.
#[derive(Serialize)]
struct DocumentView {
    id: DocumentId,
    state: Standing,
    name: String,
    description: String,
    /// Its place among the documents of the asset, from 0.
    position: usize,
    media_type: Option<String>,
    /// Octets that came; null once all are there.
    received_bytes: Option<u64>,
    size_bytes: Option<u64>,
    /// For people: octets in K, M, G or T.
    size: Option<String>,
    sha256: Option<String>,
    /// Where who may play the asset finds it.
    url: Option<String>,
    failure: Option<Failure>,
    created_at: String,
    updated_at: String,
}

impl DocumentView {
    fn new(asset: &Asset, document: Document, position: usize) -> Self {
        let is_there = document.state == Standing::Ready && asset.is_playable;
        Self {
            id: document.id,
            state: document.state,
            name: document.name,
            description: document.description,
            position,
            media_type: document.media_type.filter(|_| document.state == Standing::Ready),
            received_bytes: (document.state == Standing::Uploading).then_some(document.offset),
            size_bytes: document.size.map(|size| size.0),
            size: document.size.as_ref().map(ByteSize::to_string),
            sha256: document.sha256.filter(|_| document.state == Standing::Ready),
            url: is_there.then(|| format!("/v/{}/documents/{}", asset.playback, document.id)),
            failure: document.failure,
            created_at: document.created_at.rfc3339(),
            updated_at: document.updated_at.rfc3339(),
        }
    }
}

pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    let mut documents = state.catalog.documents(asset.id).await?;
    // What is on its way, or was refused, is for those who work on it.
    let sees_all = sees_work(&state, &caller, &asset).await?;
    documents.retain(|document| sees_all || document.state == Standing::Ready);
    let view = |(position, document)| DocumentView::new(&asset, document, position);
    let data = documents.into_iter().enumerate().map(view).collect();
    Ok(pages::whole(data))
}

/// Hands out the address at which a document is uploaded.
pub(crate) async fn begin(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::EditAsset).await?;
    let wanted: Wanted = document(&state, &headers, body).await?;
    wanted.check()?;
    // Asked again when the upload is created: this spares people to send what nobody takes.
    if asset.state == AssetState::Failed {
        return Err(Problem::asset_failed());
    }
    places::hand_out(&state, &caller, (asset.id, true), &wanted).await
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (asset, id): (AssetId, DocumentId) = both_in(path)?;
    let asset = asset_for(&state, &caller, asset, Action::ReadAsset).await?;
    let sees_all = sees_work(&state, &caller, &asset).await?;
    found(&state, &asset, id, sees_all).await
}

/// Changes name, description or place of a document by JSON Merge Patch (RFC 7396).
pub(crate) async fn change(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (asset, id): (AssetId, DocumentId) = both_in(path)?;
    let asset = asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let found = state.catalog.document(asset.id, id).await?.ok_or(NO_DOCUMENT)?;
    let condition = IfMatch::of(&headers)?;
    condition.version(found.version)?;
    let wanted: Change = document(&state, &headers, body).await?;
    let change = || async {
        let found = state.catalog.document(asset.id, id).await?.ok_or(NO_DOCUMENT)?;
        let version = condition.version(found.version)?;
        let (name, description) = (found.name.clone(), found.description.clone());
        let said = checked(wanted.clone(), found)?;
        if (&said.name, &said.description, said.position) == (&name, &description, None) {
            return Ok(false);
        }
        let (now, job) = (state.clock.now(), JobId::mint(state.clock.now(), state.clock.entropy()));
        state.catalog.change_document((asset.id, id), version, &said, job, now).await?.ok_or(NO_DOCUMENT)?;
        Ok(true)
    };
    let has_changed = condition.tried(change).await?;
    if has_changed {
        tracing::info!(asset.id = %asset.id, document.id = %id, "document changed");
        follow(&state, asset.id).await;
    }
    shown(&state, &asset, id).await
}

pub(crate) async fn remove(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (asset, id): (AssetId, DocumentId) = both_in(path)?;
    let asset = asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let found = state.catalog.document(asset.id, id).await?.ok_or(NO_DOCUMENT)?;
    let version = IfMatch::of_deletion(&headers, found.version)?;
    let now = state.clock.now();
    if !state.catalog.remove_document((asset.id, id), version, JobId::mint(now, state.clock.entropy()), now).await? {
        return Err(NO_DOCUMENT.into());
    }
    tracing::info!(asset.id = %asset.id, document.id = %id, "document taken back");
    follow(&state, asset.id).await;
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

async fn shown(state: &State, asset: &Asset, id: DocumentId) -> Result<Response, Problem> {
    found(state, asset, id, true).await
}

/// A document among all, or among those that are there.
async fn found(state: &State, asset: &Asset, id: DocumentId, sees_all: bool) -> Result<Response, Problem> {
    let mut documents = state.catalog.documents(asset.id).await?;
    documents.retain(|document| sees_all || document.state == Standing::Ready);
    let found = documents.into_iter().enumerate().find(|(_, document)| document.id == id);
    let (position, found) = found.ok_or(NO_DOCUMENT)?;
    let mut headers = no_store();
    headers.extend(tag(found.version));
    Ok((headers, Json(DocumentView::new(asset, found, position))).into_response())
}

/// What is said once `wanted` is done.
fn checked(wanted: Change, now: Document) -> Result<DocumentText, Problem> {
    let mut faults = Vec::new();
    at_most(wanted.name.as_deref().unwrap_or_default(), NAME_CHARS_MAX, "/name", &mut faults);
    let name = match wanted.name {
        Some(name) => tidied(&name).unwrap_or_else(|| {
            faults.push(Fault::new("/name", "empty", "is the name of a file"));
            String::new()
        }),
        None => now.name,
    };
    let description = wanted.description.map_or(now.description, Option::unwrap_or_default);
    at_most(&description, DESCRIPTION_CHARS_MAX, "/description", &mut faults);
    let description = lines(&description);
    if faults.is_empty() {
        Ok(DocumentText { name, description, position: wanted.position })
    } else {
        Err(Problem::invalid_fields(faults))
    }
}
