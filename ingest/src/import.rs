//! `POST /api/v1/imports`: a file is pulled from an address into an upload like any other.
//!
//! The octets go through the same code as those of a client that sends them: the same durability, the
//! same checks, the same status. What is different is who asks for the next piece.

mod pull;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog_store::{NewUpload, Target, UploadKind};
use domain::about::Fault;
use domain::authority::Action;
use domain::{AssetId, PlaybackId, UploadId};
use ipnet::IpNet;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::address::{self, AddressError};
use crate::admission::{self, Demand};
use crate::gate::{self, Entrant};
use crate::protocol::ASSET_LOCATION;
use crate::{Denial, State, UploadError, api, version};

/// Longest file name that is kept, in characters.
const FILE_NAME_CHARS_MAX: usize = 255;

/// The rules of imports.
#[derive(Clone, Debug)]
pub struct ImportRules {
    /// Networks that are imported from although they are private.
    pub networks: Vec<IpNet>,
    /// Files pulled at the same time; more wait for a place.
    pub at_once_max: usize,
    /// Files pulled for one principal at the same time.
    pub of_one_max: usize,
    /// Attempts in a row that bring nothing before an import is given up.
    pub attempts_max: u32,
    /// Pause after the first of them; it doubles each time.
    pub pause: Duration,
    /// Octets per second that an import must bring on average while it has its place, pauses included; 0 for no bound.
    pub rate_min: u64,
    /// How long it has its place before that is judged.
    pub rate_window: Duration,
    /// How long it may have its place.
    pub time_max: Duration,
}

impl Default for ImportRules {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            at_once_max: 4,
            of_one_max: 2,
            attempts_max: 10,
            pause: Duration::from_secs(1),
            rate_min: 16 << 10,
            // About as long as the pauses of all attempts together.
            rate_window: Duration::from_secs(15 * 60),
            time_max: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// What imports work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Imports {
    rules: Arc<ImportRules>,
    places: Arc<Semaphore>,
    /// The places of each principal that has one or waits for one.
    of_owners: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

/// The right to pull one file, until dropped.
#[derive(Debug)]
struct Place {
    _of_owner: Option<OwnedSemaphorePermit>,
    _of_all: OwnedSemaphorePermit,
}

impl Default for Imports {
    fn default() -> Self {
        Self::new(ImportRules::default())
    }
}

impl Imports {
    /// Imports by these rules.
    pub fn new(rules: ImportRules) -> Self {
        let places = Arc::new(Semaphore::new(rules.at_once_max.max(1)));
        Self { rules: Arc::new(rules), places, of_owners: Arc::default() }
    }

    /// Waits for a place: for one of its owner's first, so that whoever imports much waits outside.
    async fn place(&self, owner: Option<&str>) -> Option<Place> {
        // Semaphores that nobody closes.
        let of_owner = match owner {
            Some(owner) => Some(self.places_of(owner).acquire_owned().await.ok()?),
            None => None,
        };
        let of_all = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { _of_owner: of_owner, _of_all: of_all })
    }

    fn places_of(&self, owner: &str) -> Arc<Semaphore> {
        let mut owners = self.of_owners.lock().unwrap_or_else(PoisonError::into_inner);
        // Places that nobody holds or waits for are as good as new ones.
        owners.retain(|_, places| Arc::strong_count(places) > 1);
        let new = || Arc::new(Semaphore::new(self.rules.of_one_max.max(1)));
        Arc::clone(owners.entry(owner.to_owned()).or_insert_with(new))
    }
}

/// What shall be imported.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: String,
    file_name: Option<String>,
    /// The asset of which it is another source.
    replaces: Option<String>,
}

/// Goes on with the imports that the last process left unfinished. Call it once, after [`crate::recover()`].
///
/// # Errors
/// When the catalogue or the staging folder does not answer.
pub async fn resume_imports(state: &State) -> Result<(), UploadError> {
    for upload in state.catalog.open_uploads().await? {
        // What is staged elsewhere is another process's to go on with.
        if upload.terms.url.is_some() && state.staging.len(upload.id).await?.is_some() {
            tracing::info!(upload.id = %upload.id, offset = upload.offset, "import goes on after a restart");
            pull::begin(state, upload.id, upload.owner);
        }
    }
    Ok(())
}

pub(crate) async fn create(Extract(state): Extract<State>, request: Request) -> Result<Response, UploadError> {
    let (parts, body) = request.into_parts();
    let principal = gate::principal(&state, &parts, Action::Import).await?;
    let wanted: Wanted = api::document(&parts.headers, body).await?;
    let url = address::parsed(&wanted.url).map_err(refused)?;
    // Asked again for each attempt; asked here so that a private address is refused at once.
    match address::resolved(&url, &state.imports.rules.networks).await {
        Ok(_) | Err(AddressError::Unresolved) => {}
        Err(error) => return Err(refused(error)),
    }
    let entrant = Entrant { principal, grant: None };
    let version = version::target(&state, &entrant, wanted.replaces.as_deref()).await?;
    let kind = UploadKind::Whole;
    let demand = Demand { entrant: &entrant, kind, length: None, media_type: None, parts: &[] };
    let admitted = admission::admit(&state, &demand).await?;
    let now = state.clock.now();
    let new_asset = || Target::new(AssetId::mint(now, state.clock.entropy()), PlaybackId::mint(state.clock.entropy()));
    let target = version.unwrap_or_else(new_asset);
    let asset = target.asset;
    let file_name = wanted.file_name.as_deref().and_then(plain).or_else(|| name_in(&url));
    let mut new = NewUpload {
        metadata: file_name.as_ref().map(|name| format!("filename {}", STANDARD.encode(name))).unwrap_or_default(),
        file_name,
        expires_at: state.limits.expiry.map(|expiry| now.plus(expiry)),
        ..NewUpload::whole(UploadId::mint(now, state.clock.entropy()), target, None, now)
    };
    entrant.sign(&mut new);
    new.needs_review = state.admission.policy.has_review && !entrant.may_review();
    new.terms.url = Some(url.to_string());
    // File first: a file without a row is swept away at the next start.
    state.staging.create(new.id).await?;
    if let Err(error) = state.catalog.create_upload(&new).await {
        state.staging.discard(new.id).await?;
        return Err(error.into());
    }
    drop(admitted);
    state.sessions.opened();
    tracing::info!(upload.id = %new.id, asset.id = %asset, host = url.host_str(), "import begun");
    pull::begin(&state, new.id, new.owner);
    let document = serde_json::json!({ "upload": new.id.to_string(), "asset": asset });
    let mut response = (StatusCode::ACCEPTED, axum::Json(document)).into_response();
    let value = |text: String| HeaderValue::from_str(&text).map_err(|_| UploadError::Internal);
    response.headers_mut().insert(LOCATION, value(entrant.location(new.id))?);
    response.headers_mut().insert(ASSET_LOCATION, value(format!("/api/v1/assets/{asset}"))?);
    Ok(response)
}

/// An address as it may be shown: a query may hold a secret.
pub(crate) fn shown(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn refused(error: AddressError) -> UploadError {
    let reason = error.to_string();
    Denial::Address { fault: Fault::new("/url", "address_refused", &*reason), reason }.into()
}

/// The last part of a path, decoded.
fn name_in(url: &Url) -> Option<String> {
    let segment = url.path_segments()?.next_back()?;
    let mut octets = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| first == b'%') {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[2..];
            }
            None => {
                octets.push(first);
                rest = tail;
            }
        }
    }
    plain(&String::from_utf8_lossy(&octets))
}

/// A name fit to be shown: no folders, no control characters, not endless; `None` if nothing is left.
fn plain(text: &str) -> Option<String> {
    let base = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base.chars().filter(|char| !char.is_control()).take(FILE_NAME_CHARS_MAX).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_address() {
        let check = |url: &str, expected: Option<&str>| {
            let url = address::parsed(url).expect("a URL");
            assert_eq!(name_in(&url).as_deref(), expected);
        };
        check("https://example.org/films/My%20film%C3%BC.mp4?token=x", Some("My filmü.mp4"));
        check("https://example.org/films/", None);
        check("https://example.org", None);
        check("https://example.org/%2e%2e%2fetc%2fpasswd", Some("passwd"));
        check("https://example.org/100%", Some("100%"));
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(shown("https://example.org/a.mp4?token=secret#x"), "https://example.org/a.mp4");
    }
}
