//! What opens an asset that not everybody plays: the beginning of an address with a ticket in it.
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
use catalog_store::Asset;
use domain::{Admission, AssetState, PlaybackId, Probe, Timestamp};
use serde::Serialize;

use crate::State;
use crate::accounts::Caller;
use crate::assets::{NO_ASSET, no_store};
use crate::problem::Problem;
use crate::publicity::said;

/// Time that a ticket is good for beyond the length of what it opens.
const MARGIN: Duration = Duration::from_secs(15 * 60);
/// Longest life of one.
const LIFE_MAX: Duration = Duration::from_secs(6 * 3600);

/// Whom a ticket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketKind {
    /// Who may play the asset, when it is shown.
    Viewer,
    /// Who reviews it: it opens also what is not shown yet.
    Reviewer,
}

/// Signs tickets: from when and until when the asset is opened, as a beginning of its addresses such as `/t/...`.
type Sign = dyn Fn(PlaybackId, TicketKind, (Timestamp, Timestamp)) -> Option<String> + Send + Sync;

/// Who signs tickets.
#[derive(Clone)]
pub struct Tickets(Arc<Sign>);

impl Tickets {
    /// By this function, which gives `None` where there is no key.
    pub fn signed_by(
        sign: impl Fn(PlaybackId, TicketKind, (Timestamp, Timestamp)) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(sign))
    }

    /// Nobody: there are none.
    pub fn none() -> Self {
        Self::signed_by(|_, _, _| None)
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

/// Where it is played.
#[derive(Serialize)]
pub(crate) struct TicketView {
    /// What addresses of the asset's files begin with, before `/v/`.
    prefix: String,
    hls: String,
    expires_at: String,
}

/// A ticket for an asset, good for its length and a while more.
pub(crate) fn ticket(state: &State, asset: &Asset, kind: TicketKind) -> Result<TicketView, Problem> {
    let now = state.clock.now();
    let length = asset.probe.as_ref().map_or(0, |probe| Probe::duration(probe).as_ms());
    let length = Duration::from_millis(u64::try_from(length).unwrap_or(0));
    let ends = now.plus(length.saturating_add(MARGIN).min(LIFE_MAX));
    let prefix = (state.tickets.0)(asset.playback, kind, (now, ends)).ok_or_else(Problem::no_tickets)?;
    let hls = format!("{prefix}/v/{}/master.m3u8", asset.playback);
    Ok(TicketView { prefix, hls, expires_at: ends.rfc3339() })
}

/// Opens an asset for whoever may play it by their account: the address is enough to ask, as it is to play what
/// everybody may. Of others it is not told whether there is one.
pub(crate) async fn create(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(text) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let playback: PlaybackId = text.parse().map_err(|error| Problem::invalid_id(&error))?;
    let asset = state.catalog.asset_by_playback(playback).await?.ok_or(NO_ASSET)?;
    if asset.state == AssetState::Deleted {
        return Err(NO_ASSET.into());
    }
    let access = said(&state, &asset).await?;
    let is_everybodys = match access.admission {
        Admission::Public | Admission::Unlisted => true,
        Admission::Internal => caller.principal.member().is_some(),
        Admission::Private | Admission::Signed | Admission::Password { .. } => false,
    };
    let is_shown = u64::try_from(state.clock.now().unix_ms() / 1000).is_ok_and(|now| asset.availability().is_open(now));
    // Of what is not shown nobody else is told either.
    let is_open_to_all = is_everybodys && is_shown;
    if !is_open_to_all && !is_theirs(&state, &caller, &asset).await? {
        return Err(NO_ASSET.into());
    }
    if !is_shown {
        return Err(Problem::not_shown());
    }
    if !asset.is_playable {
        return Err(Problem::not_played("nothing of the asset can be played now"));
    }
    Ok((no_store(), Json(ticket(&state, &asset, TicketKind::Viewer)?)).into_response())
}

/// Whether an asset belongs to the caller, is shared with them, or is theirs to look after. That it is published in a
/// channel is not enough.
async fn is_theirs(state: &State, caller: &Caller, asset: &Asset) -> Result<bool, Problem> {
    let Some(name) = caller.confined_to() else { return Ok(true) };
    if asset.owner.as_deref() == Some(&*name) {
        return Ok(true);
    }
    let shares = state.catalog.shares_of(asset.id).await?;
    Ok(shares.iter().any(|share| share.user.to_string() == name))
}
