//! Markers of an asset: set, replaced, removed. Players of HLS get them as date ranges.

use std::collections::{BTreeMap, HashSet};

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use catalog_store::Asset;
use domain::JobId;
use domain::authority::Action;
use domain::markers::{
    ATTRIBUTES_MAX, COUNT_MAX, MARKER_TEXT_CHARS_MAX, Marker, MarkerValue, is_attribute_name, is_text,
};
use serde::{Deserialize, Serialize};

use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::chapters::instant;
use crate::documents::{expect_json, object};
use crate::door::asset_for;
use crate::problem::Problem;
use crate::view::seconds;
use crate::{State, body};

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
    asset_for(&state, &caller, asset, Action::EditAsset).await?;
    expect_json(&headers)?;
    let content = body::read(&state, &headers, body, BODY_BYTES_MAX).await?;
    let object = serde_json::Value::Object(object(&content)?);
    let wanted: Wanted =
        serde_json::from_value(object).map_err(|error| Problem::wrong_document(&error, error.to_string()))?;
    let markers = checked(wanted)?;
    let now = state.clock.now();
    state.catalog.set_markers(asset, &markers, JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, markers = markers.len(), "markers set");
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
    state.catalog.set_markers(asset, &[], JobId::mint(now, state.clock.entropy()), now).await?;
    tracing::info!(asset.id = %asset, "markers removed");
    Ok((StatusCode::NO_CONTENT, no_store()).into_response())
}

fn shown(asset: &Asset) -> Response {
    (no_store(), Json(MarkerList { markers: of(asset) })).into_response()
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
        return Err(Problem::invalid_body(format!("there are at most {COUNT_MAX} markers")));
    }
    let markers = wanted.markers.into_iter().map(marker).collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    match markers.iter().find(|one| !names.insert(one.id.as_str())) {
        Some(twice) => Err(Problem::invalid_body(format!("two markers have the id {:?}", twice.id))),
        None => Ok(markers),
    }
}

fn marker(wanted: WantedMarker) -> Result<Marker, Problem> {
    let text = |field: &str, text: &str| {
        let what = format!(
            "{field} is a text of 1 to {MARKER_TEXT_CHARS_MAX} characters on one line, without double quotes and \
             with single blanks between words"
        );
        is_text(text).then_some(()).ok_or_else(|| Problem::invalid_body(what))
    };
    text("id", &wanted.id)?;
    wanted.class.as_deref().map_or(Ok(()), |class| text("class", class))?;
    if wanted.attributes.len() > ATTRIBUTES_MAX {
        return Err(Problem::invalid_body(format!("a marker has at most {ATTRIBUTES_MAX} attributes")));
    }
    let mut attributes = BTreeMap::new();
    for (name, value) in wanted.attributes {
        if !is_attribute_name(&name) {
            return Err(Problem::invalid_body(format!("{name:?} is no name such as X-ORG-EXAMPLE-PRICE")));
        }
        let value = match value {
            Value::Text(words) => {
                text(&name, &words)?;
                MarkerValue::Text(words)
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range is checked")]
            Value::Number(number) if (0.0..=NUMBER_MAX).contains(&number) => {
                MarkerValue::Millionths((number * MILLIONTHS).round() as u64)
            }
            Value::Number(_) => {
                return Err(Problem::invalid_body(format!("{name} is a text, or a number from 0 to {NUMBER_MAX}")));
            }
        };
        attributes.insert(name, value);
    }
    Ok(Marker {
        id: wanted.id,
        start: instant("start_seconds", wanted.start_seconds)?,
        duration: wanted.duration_seconds.map(|lasts| instant("duration_seconds", lasts)).transpose()?,
        class: wanted.class,
        attributes,
    })
}
