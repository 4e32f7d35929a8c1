//! What reviewers play: an address with a ticket in it that opens an asset which is shown to nobody else yet.
//!
//! The ticket is signed here and checked by the origin, which asks nobody. It ends soon, and is not taken back: whoever
//! has it could have looked a moment earlier.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::response::{IntoResponse, Response};
use domain::authority::Action;
use domain::{PlaybackId, Probe, Timestamp};
use serde::Serialize;

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::door::asset_for;
use crate::problem::Problem;

/// Time that a ticket is good for beyond the length of what it opens.
const MARGIN: Duration = Duration::from_secs(15 * 60);
/// Longest life of one.
const LIFE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Signs tickets: from when and until when the asset is opened, as a beginning of its addresses such as `/t/...`.
type Sign = dyn Fn(PlaybackId, Timestamp, Timestamp) -> Option<String> + Send + Sync;

/// Who signs tickets for reviewers.
#[derive(Clone)]
pub struct Previews(Arc<Sign>);

impl Previews {
    /// By this function, which gives `None` where there is no key.
    pub fn signed_by(
        sign: impl Fn(PlaybackId, Timestamp, Timestamp) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(sign))
    }

    /// Nobody: there are none.
    pub fn none() -> Self {
        Self::signed_by(|_, _, _| None)
    }
}

impl fmt::Debug for Previews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Previews")
    }
}

/// Where it is played.
#[derive(Serialize)]
struct PreviewView {
    /// What addresses of the asset's files begin with, before `/v/`.
    prefix: String,
    hls: String,
    expires_at: String,
}

pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let asset = asset_for(&state, &caller, asset_in(path)?, Action::ReviewAsset).await?;
    if asset.binned_at.is_some() {
        return Err(Problem::not_played("the asset lies in the bin: restore it first"));
    }
    if !asset.is_playable {
        return Err(Problem::not_played("nothing of the asset can be played yet"));
    }
    let now = state.clock.now();
    let length = asset.probe.as_ref().map_or(0, |probe| Probe::duration(probe).as_ms());
    let length = Duration::from_millis(u64::try_from(length).unwrap_or(0));
    let ends = now.plus(length.saturating_add(MARGIN).min(LIFE_MAX));
    let prefix = (state.previews.0)(asset.playback, now, ends).ok_or_else(Problem::no_previews)?;
    tracing::info!(asset.id = %asset.id, by = caller.actor(), "a preview is opened");
    let hls = format!("{prefix}/v/{}/master.m3u8", asset.playback);
    let view = PreviewView { prefix, hls, expires_at: ends.rfc3339() };
    Ok((no_store(), Json(view)).into_response())
}
