//! Another output of an asset that is ready: asked for here, made by the workers, put in force when it is complete.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use catalog_store::{Reprocess, ReprocessJobs};
use domain::authority::Action;
use domain::{AssetId, Generation, JobId};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{asset_in, no_store};
use crate::door::asset_for;
use crate::jobs::location;
use crate::problem::Problem;

/// What is to be replaced.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReprocessQuery {
    /// Only this output: makes a request safe to repeat.
    replaces: Option<u32>,
}

/// What will be made.
#[derive(Serialize)]
struct ReprocessView {
    asset: AssetId,
    /// The output that is being made.
    generation: Generation,
    /// False if it was being made already.
    is_new: bool,
}

pub(crate) async fn begin(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<ReprocessQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = asset_in(path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let asset = asset_for(&state, &caller, id, Action::ReprocessAsset).await?;
    // Asked first, so that whoever has no source learns it at once and not by an event.
    if asset.size.is_some() && state.store.source_size(asset.source()).await?.is_none() {
        return Err(Problem::no_source());
    }
    let now = state.clock.now();
    let mint = || JobId::mint(now, state.clock.entropy());
    let jobs = ReprocessJobs { plan: mint(), retire: mint() };
    let begun = state.catalog.reprocess(id, query.replaces.map(Generation), jobs, now).await?;
    let (generation, is_new, job) = match begun {
        Reprocess::Begun(generation) => (generation, true, Some(jobs.plan)),
        Reprocess::UnderWay(generation) => (generation, false, state.catalog.planning_job(id, generation).await?),
    };
    if is_new {
        tracing::info!(asset.id = %id, generation = generation.0, "asset is processed anew");
    }
    let mut headers = no_store();
    headers.extend(job.map(location));
    Ok((StatusCode::ACCEPTED, headers, Json(ReprocessView { asset: id, generation, is_new })).into_response())
}
