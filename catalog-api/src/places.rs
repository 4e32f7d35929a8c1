//! Places to upload to: an address that is good for one upload of one asset, handed out once.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog_store::Grant;
use catalog_store::grants::{SECRET_PREFIX, id_of};
use domain::AssetId;
use domain::about::Fault;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::State;
use crate::accounts::Caller;
use crate::assets::no_store;
use crate::problem::Problem;

/// How long the capability holds when nothing else is asked for: a day.
const LIFE_S: u64 = 24 * 3600;
/// How long it holds at most: a month.
const LIFE_S_MAX: u64 = 31 * 24 * 3600;
/// Octets of the largest upload.
const BYTES_MAX: u64 = i64::MAX.unsigned_abs();

/// What the upload may be. Numbers are taken as they come, so that one which cannot be meant is named.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    max_bytes: Option<Number>,
    expires_in_s: Option<Number>,
}

/// Where it goes.
#[derive(Serialize)]
struct PlaceView {
    asset: AssetId,
    /// By which the capability is taken back.
    grant: String,
    /// Where an upload is created; told once.
    url: String,
    token: String,
    expires_at: String,
    max_bytes: Option<u64>,
}

impl Wanted {
    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let fields = [("/expires_in_s", &self.expires_in_s, LIFE_S_MAX), ("/max_bytes", &self.max_bytes, BYTES_MAX)];
        let is_wrong = |number: &Number, most| !number.as_u64().is_some_and(|number| (1..=most).contains(&number));
        let wrong =
            fields.into_iter().filter(|(_, number, most)| number.as_ref().is_some_and(|one| is_wrong(one, *most)));
        let fault = |(field, _, most)| Fault::new(field, "out_of_range", format!("is a whole number from 1 to {most}"));
        let faults: Vec<Fault> = wrong.map(fault).collect();
        if faults.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(faults)) }
    }

    /// For how many seconds it holds.
    fn life_s(&self) -> u64 {
        self.expires_in_s.as_ref().and_then(Number::as_u64).unwrap_or(LIFE_S)
    }
}

/// Hands a place out: for a document of the asset, or for another source of it.
pub(crate) async fn hand_out(
    state: &State,
    caller: &Caller,
    (asset, is_document): (AssetId, bool),
    wanted: &Wanted,
) -> Result<Response, Problem> {
    let now = state.clock.now();
    let secret =
        format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode([state.clock.entropy(), state.clock.entropy()].concat()));
    let grant = Grant {
        id: id_of(&secret),
        owner: caller.principal.name(),
        key: caller.principal.key(),
        bytes_max: wanted.max_bytes.as_ref().and_then(Number::as_u64),
        duration_s_max: None,
        types: vec![],
        origin: None,
        uses_left: 1,
        expires_at: now.plus(Duration::from_secs(wanted.life_s())),
        is_revoked: false,
        created_at: now,
        asset: Some(asset),
        is_document,
    };
    state.catalog.create_grant(&grant).await?;
    tracing::info!(asset.id = %asset, grant.id = %grant.id, is_document, "a place to upload to is handed out");
    let view = PlaceView {
        asset,
        url: format!("/uploads?grant={secret}"),
        token: secret,
        expires_at: grant.expires_at.rfc3339(),
        max_bytes: grant.bytes_max,
        grant: grant.id,
    };
    let mut headers = no_store();
    let location = format!("/api/v1/upload-grants/{}", view.grant);
    headers.extend(HeaderValue::try_from(location).ok().map(|location| (header::LOCATION, location)));
    Ok((StatusCode::CREATED, headers, Json(view)).into_response())
}
