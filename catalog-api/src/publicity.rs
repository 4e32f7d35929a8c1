//! Who may play an asset, as its owner says: everybody, whoever has an account, only those it is shared with, or whoever
//! brings a password or a signed address.
//!
//! It is told in the asset's pointer, which origins read without the catalogue, and kept in the catalogue until there is
//! one. An operator changes the pointer past the catalogue; what came last counts.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Expected, Part};
use domain::about::Fault;
use domain::access::{PAGES_MAX, PASSWORD_CHARS_MIN, is_page};
use domain::authority::Action;
use domain::presentation::Pointer;
use domain::{Access, Admission, EncryptionMethod, JobId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::availability::follow;
use crate::documents::{document, expected_of_put, quoted, tag};
use crate::door::asset_for;
use crate::problem::Problem;

/// Longest password, in octets.
const PASSWORD_BYTES_MAX: usize = 256;
/// Passwords that are hashed at a time: some 20 ms of a processor each; further requests wait.
static HASHING: Semaphore = Semaphore::const_new(2);
/// Longest page, in octets.
const PAGE_BYTES_MAX: usize = 300;

/// What is kept of a password that opens an asset, made slowly.
pub type HashPassword = fn(password: &str, salt: [u8; 16]) -> String;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Policy {
    Public,
    Unlisted,
    Private,
    Internal,
    Signed,
    Password,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    policy: Policy,
    password: Option<String>,
    #[serde(default)]
    pages: Vec<String>,
}

/// As it is told, without what opens it.
#[derive(Serialize)]
struct AccessView {
    policy: &'static str,
    pages: Vec<String>,
    encryption: Option<&'static str>,
}

impl From<Access> for AccessView {
    fn from(access: Access) -> Self {
        let encryption = access.encryption.map(|encryption| match encryption.method {
            EncryptionMethod::Aes128 => "aes-128",
            EncryptionMethod::Cbcs => "cbcs",
        });
        Self { policy: access.admission.as_str(), pages: access.pages, encryption }
    }
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::EditAsset).await?;
    shown(&state, &asset).await
}

pub(crate) async fn set(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ShareAsset).await?;
    let expected = expected_access(&state, &headers, &asset).await?;
    let wanted: Wanted = document(&state, &headers, body).await?;
    check(&wanted)?;
    let admission = match wanted.policy {
        Policy::Public => Admission::Public,
        Policy::Unlisted => Admission::Unlisted,
        Policy::Private => Admission::Private,
        Policy::Internal => Admission::Internal,
        Policy::Signed => Admission::Signed,
        Policy::Password => {
            let (hash, salt) = (state.hash_password.ok_or_else(Problem::no_passwords)?, state.clock.entropy());
            let password = wanted.password.unwrap_or_default();
            // Never closed.
            let _turn = HASHING.acquire().await;
            let hash = tokio::task::spawn_blocking(move || hash(&password, salt)).await;
            Admission::Password { hash: hash.map_err(|_| Problem::internal())? }
        }
    };
    let now = state.clock.now();
    let job = JobId::mint(now, state.clock.entropy());
    state.catalog.set_access((asset.id, expected), (admission, wanted.pages), &caller.actor(), job, now).await?;
    tracing::info!(asset.id = %asset.id, policy = ?wanted.policy, "who may play the asset was set");
    follow(&state, asset.id).await;
    let asset = asset_for(&state, &caller, asset.id, Action::ShareAsset).await?;
    shown(&state, &asset).await
}

/// As it is told, with the number of what was said last: in the catalogue, or past it in the pointer.
async fn shown(state: &State, asset: &Asset) -> Result<Response, Problem> {
    let said = said(state, asset).await?;
    let mut headers = no_store();
    headers.extend(tag(said.change.unsigned_abs()));
    Ok((headers, Json(AccessView::from(said))).into_response())
}

/// What the catalogue has to have for a change that is meant for what is told by now.
async fn expected_access(state: &State, headers: &HeaderMap, asset: &Asset) -> Result<Expected, Problem> {
    // Whoever says nothing of it need not wait for the store.
    if ![header::IF_MATCH, header::IF_NONE_MATCH].iter().any(|name| headers.contains_key(name)) {
        return Ok(Expected::Anything);
    }
    let version = said(state, asset).await?.change.unsigned_abs();
    match expected_of_put(headers, version)? {
        Expected::Version(_) => Ok(Expected::Version(asset.version_of(Part::Access))),
        // An operator may have said it past the catalogue.
        Expected::Nothing if version > 0 => Err(Problem::exists(Some(&quoted(version)))),
        otherwise => Ok(otherwise),
    }
}

/// What origins are told of an asset, or will be.
pub(crate) async fn said(state: &State, asset: &Asset) -> Result<Access, Problem> {
    let Some(body) = state.store.pointer(asset.playback).await? else { return Ok(asset.access_after(None)) };
    let pointer: Pointer = serde_json::from_slice(&body).map_err(|_| Problem::internal())?;
    Ok(asset.access_after(Some(&pointer.access)))
}

fn check(wanted: &Wanted) -> Result<(), Problem> {
    let mut faults = Vec::new();
    match (&wanted.password, wanted.policy) {
        (None, Policy::Password) => faults.push(Fault::new("/password", "missing", "is what opens the asset")),
        (Some(password), Policy::Password) => {
            let is_short = password.chars().count() < PASSWORD_CHARS_MIN;
            if is_short || password.len() > PASSWORD_BYTES_MAX || password.contains(char::is_control) {
                let detail = format!(
                    "has at least {PASSWORD_CHARS_MIN} characters, at most {PASSWORD_BYTES_MAX} octets and no control characters"
                );
                faults.push(Fault::new("/password", "invalid_password", detail));
            }
        }
        (Some(_), _) => faults.push(Fault::new("/password", "not_taken", "is only for the policy password")),
        (None, _) => {}
    }
    if wanted.pages.len() > PAGES_MAX {
        faults.push(Fault::new("/pages", "too_many", format!("has at most {PAGES_MAX} pages")));
    }
    for (at, page) in wanted.pages.iter().enumerate().take(PAGES_MAX) {
        if page.len() > PAGE_BYTES_MAX || !is_page(page) {
            let detail = "is an origin such as https://example.com, or none for players that are no page";
            faults.push(Fault::new(format!("/pages/{at}"), "invalid_page", detail));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(faults)) }
}
