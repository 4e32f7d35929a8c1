//! Markers of an asset: set, replaced, removed. Players of HLS get them as date ranges.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::{Asset, Part};
use domain::JobId;
use domain::about::Fault;
use domain::authority::Action;
use domain::markers::{
    ATTRIBUTES_MAX, COUNT_MAX, MARKER_TEXT_CHARS_MAX, Marker, MarkerValue, is_attribute_name, is_text,
};
use domain::misfit::pointer_to;
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::chapters::instant;
use crate::documents::{document_of, expected, expected_of_put, tag};
use crate::door::asset_for;
use crate::problem::Problem;
use crate::view::seconds;

/// Largest body that sets markers, in octets.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Largest number that an attribute may be.
const NUMBER_MAX: f64 = 1e12;

const MILLIONTHS: f64 = 1e6;

/// The markers that are wished for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    markers: Vec<WantedMarker>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedMarker {
    id: String,
    start_seconds: f64,
    duration_seconds: Option<f64>,
    class: Option<String>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
}

/// What an attribute says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum Value {
    Number(f64),
    Text(String),
}

/// The markers as they are shown.
#[derive(Serialize)]
struct MarkerList {
    markers: Vec<MarkerView>,
}

#[derive(Serialize)]
pub(crate) struct MarkerView {
    id: String,
    start_seconds: f64,
    duration_seconds: Option<f64>,
    class: Option<String>,
    attributes: BTreeMap<String, Value>,
}

pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    Ok(shown(&asset_for(&state, &caller, asset_in(path)?, Action::ReadAsset).await?))
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
    let expected = expected_of_put(&headers, before.version_of(Part::Markers))?;
    let wanted: Wanted = document_of(&state, &headers, body, BODY_BYTES_MAX).await?;
    let markers = checked(wanted)?;
    let now = state.clock.now();
    state.catalog.set_markers((asset, expected), &markers, JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, markers = markers.len(), "markers set");
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
    let expected = expected(&headers, before.version_of(Part::Markers))?;
    let now = state.clock.now();
    state.catalog.set_markers((asset, expected), &[], JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, "markers removed");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

fn shown(asset: &Asset) -> Response {
    let mut headers = no_store();
    headers.extend(tag(asset.version_of(Part::Markers)));
    (headers, Json(MarkerList { markers: of(asset) })).into_response()
}

/// The markers as players get them; those of a file of which nothing is known yet as they were set.
pub(crate) fn of(asset: &Asset) -> Vec<MarkerView> {
    let shown = match &asset.probe {
        Some(probe) => domain::markers::shown(&asset.markers, probe.duration()),
        None => asset.markers.clone(),
    };
    let value = |value| match value {
        MarkerValue::Text(text) => Value::Text(text),
        #[expect(clippy::cast_precision_loss, reason = "what was read from a number of this type")]
        MarkerValue::Millionths(number) => Value::Number(number as f64 / MILLIONTHS),
    };
    let view = |one: Marker| MarkerView {
        id: one.id,
        start_seconds: seconds(one.start),
        duration_seconds: one.duration.map(seconds),
        class: one.class,
        attributes: one.attributes.into_iter().map(|(name, one)| (name, value(one))).collect(),
    };
    shown.into_iter().map(view).collect()
}

/// The markers; what cannot be said in a playlist is refused.
fn checked(wanted: Wanted) -> Result<Vec<Marker>, Problem> {
    if wanted.markers.len() > COUNT_MAX {
        let told = Problem::invalid_body(format!("there are at most {COUNT_MAX} markers"));
        return Err(told.at_member("/markers", "too_many"));
    }
    let each = wanted.markers.into_iter().enumerate();
    let markers = Problem::all(each.map(|(at, wanted)| marker(&format!("/markers/{at}"), wanted)))?;
    let mut names = HashSet::new();
    let again: Vec<usize> = (0..markers.len()).filter(|&at| !names.insert(markers[at].id.as_str())).collect();
    let Some(&first) = again.first() else { return Ok(markers) };
    let told = Problem::invalid_body(format!("two markers have the id {:?}", markers[first].id));
    let fault = |at| Fault::new(format!("/markers/{at}/id"), "twice", "is the id of another marker");
    Err(told.at(again.into_iter().map(fault).collect()))
}

/// The marker at `place` in the document.
fn marker(place: &str, wanted: WantedMarker) -> Result<Marker, Problem> {
    let field = |name: &str| pointer_to(place, name);
    text(&field("id"), &wanted.id)?;
    wanted.class.as_deref().map_or(Ok(()), |class| text(&field("class"), class))?;
    let all = field("attributes");
    if wanted.attributes.len() > ATTRIBUTES_MAX {
        let told = Problem::invalid_body(format!("a marker has at most {ATTRIBUTES_MAX} attributes"));
        return Err(told.at_member(&all, "too_many"));
    }
    let each = wanted.attributes.into_iter();
    let attributes = Problem::all(each.map(|(name, value)| attribute(&pointer_to(&all, &name), name, value)))?;
    Ok(Marker {
        id: wanted.id,
        start: instant(&field("start_seconds"), wanted.start_seconds)?,
        duration: wanted.duration_seconds.map(|lasts| instant(&field("duration_seconds"), lasts)).transpose()?,
        class: wanted.class,
        attributes: attributes.into_iter().collect(),
    })
}

fn attribute(place: &str, name: String, value: Value) -> Result<(String, MarkerValue), Problem> {
    if !is_attribute_name(&name) {
        let told = Problem::invalid_body(format!("{name:?} is no name such as X-ORG-EXAMPLE-PRICE"));
        return Err(told.at(vec![Fault::new(place, "invalid_name", "is no name such as X-ORG-EXAMPLE-PRICE")]));
    }
    let value = match value {
        Value::Text(words) => {
            text(place, &words)?;
            MarkerValue::Text(words)
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range is checked")]
        Value::Number(number) if (0.0..=NUMBER_MAX).contains(&number) => {
            MarkerValue::Millionths((number * MILLIONTHS).round() as u64)
        }
        Value::Number(_) => {
            let detail = format!("is a text, or a number from 0 to {NUMBER_MAX}");
            return Err(Problem::invalid_member(place, "out_of_range", detail));
        }
    };
    Ok((name, value))
}

/// Refuses what is no text for a playlist in the field at `place`.
fn text(place: &str, text: &str) -> Result<(), Problem> {
    let what = format!(
        "is a text of 1 to {MARKER_TEXT_CHARS_MAX} characters on one line, without double quotes and with single \
         blanks between words"
    );
    is_text(text).then_some(()).ok_or_else(|| Problem::invalid_member(place, "invalid_text", what))
}
