//! The poster of an asset: the one that was found to be the best, what is seen at a time, or a picture that is sent.
//!
//! What is chosen belongs to the asset; a job makes it for each output and publishes it.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Expected, Part};
use domain::authority::Action;
use domain::presentation::Images;
use domain::{AssetId, AssetKind, JobId, PictureId, PosterChoice, Probe};
use media_store::layout;
use serde::{Deserialize, Serialize};

use crate::accounts::Caller;
use crate::assets::{asset_in, no_store, output_of};
use crate::chapters::instant;
use crate::documents::{document, expected, expected_of_put, tag};
use crate::door::asset_for;
use crate::picture::{self, Fit};
use crate::problem::{Problem, chain};
use crate::view::seconds;
use crate::{State, body};

/// Longest side of a picture that is sent, in pixels.
const SIDE_MAX: u32 = 1920;

/// What is to be seen, on the timeline of the output.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    time_s: f64,
}

/// The poster of an asset.
#[derive(Serialize)]
struct PosterView {
    /// Where it comes from.
    source: &'static str,
    /// When it is seen, of what is taken at a time.
    time_s: Option<f64>,
    /// It is published: what is shown is what was chosen.
    is_published: bool,
    /// Where it is; null until there is one that is played.
    poster: Option<String>,
    /// Moments that could be chosen.
    candidates: Vec<CandidateView>,
}

#[derive(Serialize)]
struct CandidateView {
    time_s: f64,
    thumbnail: String,
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    shown(&state, &asset).await
}

pub(crate) async fn set(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::EditAsset).await?;
    let expected = expected_of_put(&headers, asset.version_of(Part::Poster))?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        let wanted: Wanted = document(&state, &headers, body).await?;
        let at_ms = moment(&asset, wanted.time_s)?;
        choose(&state, (asset.id, expected), PosterChoice::Time { id: mint(&state), at_ms }).await?;
    } else {
        let content = body::read(&state, &headers, body, picture::BYTES_MAX).await?;
        let made = state.studio.remade(content, Fit::Within(SIDE_MAX)).await?;
        let (id, bytes) = (mint(&state), made.len());
        let key = layout::poster(asset.id, id);
        state.store.put_once(&key, made).await?;
        if let Err(problem) = choose(&state, (asset.id, expected), PosterChoice::Picture { id }).await {
            // Nobody knows of it; else the next choice removes it.
            if let Err(left) = state.store.delete(&key).await {
                tracing::warn!(asset.id = %asset.id, error = %chain(&left), "a refused poster is left in the store");
            }
            return Err(problem);
        }
        tracing::info!(asset.id = %asset.id, picture.id = %id, bytes, "a poster was sent");
    }
    shown(&state, &asset_for(&state, &caller, asset.id, Action::EditAsset).await?).await
}

pub(crate) async fn unset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::EditAsset).await?;
    let expected = expected(&headers, asset.version_of(Part::Poster))?;
    choose(&state, (asset.id, expected), PosterChoice::Scored { id: mint(&state) }).await?;
    shown(&state, &asset_for(&state, &caller, asset.id, Action::EditAsset).await?).await
}

fn mint(state: &State) -> PictureId {
    PictureId::mint(state.clock.now(), state.clock.entropy())
}

async fn choose(state: &State, (asset, expected): (AssetId, Expected), choice: PosterChoice) -> Result<(), Problem> {
    let now = state.clock.now();
    if !state.catalog.set_poster((asset, expected), choice, JobId::mint(now, state.clock.entropy()), now).await? {
        // Somebody chose another one in the same moment, and theirs is the younger one.
        return Err(Problem::busy());
    }
    tracing::info!(asset.id = %asset, "poster chosen");
    Ok(())
}

/// The moment in milliseconds; what shows nothing is refused.
fn moment(asset: &Asset, time_s: f64) -> Result<i64, Problem> {
    let time = instant("/time_s", time_s)?;
    if asset.kind == Some(AssetKind::Audio) {
        return Err(Problem::invalid_body("nothing is seen of sound: send a picture").at_member("/time_s", "not_seen"));
    }
    if asset.probe.as_ref().map(Probe::duration).is_some_and(|duration| time >= duration) {
        return Err(Problem::invalid_member("/time_s", "out_of_range", "is behind the end"));
    }
    Ok(time.as_ms())
}

async fn shown(state: &State, asset: &Asset) -> Result<Response, Problem> {
    let (output, _) = output_of(state, asset).await?;
    let view = view(asset, output.images.as_ref());
    let mut headers = no_store();
    headers.extend(tag(asset.version_of(Part::Poster)));
    Ok((headers, Json(view)).into_response())
}

/// Where the poster comes from, and when it is seen, of what is taken at a time.
pub(crate) fn chosen(asset: &Asset) -> (&'static str, Option<f64>) {
    match asset.poster {
        None | Some(PosterChoice::Scored { .. }) => ("scored", None),
        Some(PosterChoice::Time { at_ms, .. }) => {
            ("time", Some(seconds(domain::MediaTime::new(at_ms, domain::Timescale::MILLISECONDS))))
        }
        Some(PosterChoice::Picture { .. }) => ("picture", None),
    }
}

fn view(asset: &Asset, images: Option<&Images>) -> PosterView {
    let (source, time_s) = chosen(asset);
    let wanted = asset.poster.and_then(|choice| choice.file());
    let images = images.filter(|_| asset.is_playable);
    let address =
        |file: &str| asset.generation.map(|generation| format!("/v/{}/g{generation}/images/{file}", asset.playback));
    let thumbnails = images.map_or(&[][..], |images| &images.thumbnails);
    PosterView {
        source,
        time_s,
        is_published: images.is_some_and(|images| match &wanted {
            Some(file) => images.poster == *file,
            None => !domain::poster::is_chosen(&images.poster),
        }),
        poster: images.and_then(|images| address(&images.poster)),
        candidates: thumbnails
            .iter()
            .filter_map(|one| Some(CandidateView { time_s: seconds(one.time), thumbnail: address(&one.file)? }))
            .collect(),
    }
}
