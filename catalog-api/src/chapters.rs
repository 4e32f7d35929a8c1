//! Chapters of an asset: set, replaced, removed, given back to the file.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Part};
use domain::about::{Fault, line};
use domain::authority::Action;
use domain::chapters::COUNT_MAX;
use domain::probe::{Chapter, TEXT_CHARS_MAX};
use domain::{JobId, MediaTime, Timescale};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::documents::{document_of, expected, expected_of_put, tag};
use crate::door::asset_for;
use crate::problem::Problem;
use crate::view::{ChapterSource, ChapterView, chapters};

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
    let before = asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let expected = expected_of_put(&headers, before.version_of(Part::Chapters))?;
    let wanted: Wanted = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let chapters = checked(wanted)?;
    let now = state.clock.now();
    state
        .catalog
        .set_chapters((asset, expected), Some(&chapters), JobId::mint(now, state.clock.entropy()), now)
        .await?;
    tracing::info!(asset.id = %asset, chapters = chapters.len(), "chapters set");
    Ok(shown(&asset_for(&state, &caller, asset, Action::EditAsset).await?))
}

pub(crate) async fn unset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = asset_in(path)?;
    let before = asset_for(&state, &caller, asset, Action::EditAsset).await?;
    let expected = expected(&headers, before.version_of(Part::Chapters))?;
    let now = state.clock.now();
    state.catalog.set_chapters((asset, expected), None, JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, "chapters given back to the file");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

fn shown(asset: &Asset) -> Response {
    let list = ChapterList { source: ChapterSource::of(asset), chapters: chapters(asset) };
    let mut headers = no_store();
    headers.extend(tag(asset.version_of(Part::Chapters)));
    (headers, Json(list)).into_response()
}

/// The chapters in order; what cannot be meant is refused.
fn checked(wanted: Wanted) -> Result<Vec<Chapter>, Problem> {
    if wanted.chapters.len() > COUNT_MAX {
        let told = Problem::invalid_body(format!("there are at most {COUNT_MAX} chapters"));
        return Err(told.at_member("/chapters", "too_many"));
    }
    let each = wanted.chapters.into_iter().enumerate().map(|(at, wanted)| Ok((at, chapter(at, wanted)?)));
    let mut chapters = Problem::all(each)?;
    chapters.sort_by_key(|(_, chapter)| chapter.start);
    let again = chapters.windows(2).filter(|pair| pair[0].1.start == pair[1].1.start);
    let again: Vec<(usize, MediaTime)> = again.map(|pair| (pair[1].0, pair[1].1.start)).collect();
    let Some((_, first)) = again.first() else {
        return Ok(chapters.into_iter().map(|(_, chapter)| chapter).collect());
    };
    let told = Problem::invalid_body(format!("two chapters begin at {}: only one can", domain::hms(*first)));
    let fault = |(at, _)| Fault::new(place(at, "start_seconds"), "twice", "is where another chapter begins");
    Err(told.at(again.into_iter().map(fault).collect()))
}

fn chapter(at: usize, wanted: WantedChapter) -> Result<Chapter, Problem> {
    let start = instant(&place(at, "start_seconds"), wanted.start_seconds)?;
    // Without an end of its own a chapter lasts until the next: that is what an end at its start means.
    let end = wanted.end_seconds.map_or(Ok(start), |end| instant(&place(at, "end_seconds"), end))?;
    if wanted.end_seconds.is_some() && end <= start {
        let told = Problem::invalid_body(format!("the chapter at {} ends before it begins", domain::hms(start)));
        return Err(told.at(vec![Fault::new(place(at, "end_seconds"), "too_early", "lies behind start_seconds")]));
    }
    if wanted.title.chars().count() > TEXT_CHARS_MAX {
        let told = Problem::invalid_body(format!("a title has at most {TEXT_CHARS_MAX} characters"));
        return Err(told.at_member(&place(at, "title"), "too_long"));
    }
    Ok(Chapter { start, end, title: line(&wanted.title) })
}

/// Where a field of a chapter stands.
fn place(at: usize, field: &str) -> String {
    format!("/chapters/{at}/{field}")
}

/// The instant in the field at `pointer`.
pub(crate) fn instant(pointer: &str, seconds: f64) -> Result<MediaTime, Problem> {
    let within = Duration::try_from_secs_f64(seconds).ok().filter(|_| seconds <= SECONDS_MAX);
    let ms = within.and_then(|time| i64::try_from((time + Duration::from_micros(500)).as_millis()).ok());
    let wrong = || Problem::invalid_member(pointer, "out_of_range", format!("is a number from 0 to {SECONDS_MAX}"));
    Ok(MediaTime::new(ms.ok_or_else(wrong)?, Timescale::MILLISECONDS))
}
