//! Chapters of an asset: set, replaced, removed, given back to the file.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::Asset;
use domain::authority::Action;
use domain::chapters::COUNT_MAX;
use domain::probe::{Chapter, TEXT_CHARS_MAX};
use domain::{JobId, MediaTime, Timescale};
use serde::{Deserialize, Serialize};

use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::documents::{expect_json, object};
use crate::door::asset_for;
use crate::problem::Problem;
use crate::view::{ChapterSource, ChapterView, chapters};
use crate::{State, body};

/// Largest body that sets chapters, in octets.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Latest moment of a chapter: longer than anything that is processed.
const SECONDS_MAX: f64 = 1e7;

/// The chapters that are wished for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    chapters: Vec<WantedChapter>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedChapter {
    start_seconds: f64,
    /// Until the next one, or the end, if it is not said.
    end_seconds: Option<f64>,
    title: String,
}

/// The chapters as they are shown.
#[derive(Serialize)]
struct ChapterList {
    source: ChapterSource,
    chapters: Vec<ChapterView>,
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?;
    Ok(shown(&asset))
}

pub(crate) async fn set(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asset = asset_in(path)?;
    asset_for(&state, &caller, asset, Action::EditAsset).await?;
    expect_json(&headers)?;
    let content = body::read(&state, &headers, body, BODY_BYTES_MAX).await?;
    let object = serde_json::Value::Object(object(&content)?);
    let wanted: Wanted =
        serde_json::from_value(object).map_err(|error| Problem::wrong_document(&error, error.to_string()))?;
    let chapters = checked(wanted)?;
    let now = state.clock.now();
    state.catalog.set_chapters(asset, Some(&chapters), JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, chapters = chapters.len(), "chapters set");
    Ok(shown(&asset_for(&state, &caller, asset, Action::EditAsset).await?))
}

pub(crate) async fn unset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_in(path)?;
    asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let now = state.clock.now();
    state.catalog.set_chapters(asset, None, JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, "chapters given back to the file");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

fn shown(asset: &Asset) -> Response {
    let list = ChapterList { source: ChapterSource::of(asset), chapters: chapters(asset) };
    (no_store(), Json(list)).into_response()
}

/// The chapters in order; what cannot be meant is refused.
fn checked(wanted: Wanted) -> Result<Vec<Chapter>, Problem> {
    if wanted.chapters.len() > COUNT_MAX {
        return Err(Problem::invalid_body(format!("there are at most {COUNT_MAX} chapters")));
    }
    let mut chapters = wanted.chapters.into_iter().map(chapter).collect::<Result<Vec<_>, _>>()?;
    chapters.sort_by_key(|chapter| chapter.start);
    match chapters.windows(2).find(|pair| pair[0].start == pair[1].start) {
        Some(pair) => {
            let at = domain::hms(pair[0].start);
            Err(Problem::invalid_body(format!("two chapters begin at {at}: only one can")))
        }
        None => Ok(chapters),
    }
}

fn chapter(wanted: WantedChapter) -> Result<Chapter, Problem> {
    let start = instant("start_seconds", wanted.start_seconds)?;
    // Without an end of its own a chapter lasts until the next: that is what an end at its start means.
    let end = wanted.end_seconds.map_or(Ok(start), |end| instant("end_seconds", end))?;
    if wanted.end_seconds.is_some() && end <= start {
        return Err(Problem::invalid_body(format!("the chapter at {} ends before it begins", domain::hms(start))));
    }
    let words = wanted.title.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let title = words.collect::<Vec<_>>().join(" ");
    if title.chars().count() > TEXT_CHARS_MAX {
        return Err(Problem::invalid_body(format!("a title has at most {TEXT_CHARS_MAX} characters")));
    }
    Ok(Chapter { start, end, title })
}

pub(crate) fn instant(field: &str, seconds: f64) -> Result<MediaTime, Problem> {
    let within = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= SECONDS_MAX);
    let ms = within.and_then(|time| i64::try_from((time + Duration::from_micros(500)).as_millis()).ok());
    let ms = ms.ok_or_else(|| Problem::invalid_body(format!("{field} is a number from 0 to {SECONDS_MAX}")))?;
    Ok(MediaTime::new(ms, Timescale::MILLISECONDS))
}
