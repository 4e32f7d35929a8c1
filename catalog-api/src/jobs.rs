//! The work on assets, job by job: one, those of an asset, all of them.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderName, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use catalog_store::jobs::PAGE_JOBS_MAX;
use catalog_store::{Job, JobFilter, Listing};
use domain::authority::{Action, Role};
use domain::{AssetId, Codec, Generation, JobId, JobKind, JobSpec, JobState, Principal, RenditionId, Timestamp};
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::State;
use crate::accounts::Caller;
use crate::assets::{Missing, asset_in, no_store, sees_work};
use crate::door::asset_for;
use crate::pages::{self, PageQuery};
use crate::problem::Problem;

/// Jobs on a page when nothing else is asked for.
const PAGE_JOBS: u32 = 20;
/// There is no such job, or none that the caller may know of.
const NO_JOB: Missing = Missing("there is no such job, or it went with its asset");

/// Which jobs, and how many.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobQuery {
    limit: Option<u32>,
    after: Option<String>,
    before: Option<String>,
    state: Option<String>,
    kind: Option<String>,
}

impl JobQuery {
    fn filter(&self) -> Result<JobFilter, Problem> {
        let no_state = || Problem::invalid_query("state is queued, running, done or failed");
        let no_kind = || Problem::invalid_query("kind is a kind of jobs, such as probe, chunk or publish");
        Ok(JobFilter {
            state: self.state.as_deref().map(|name| named(name).ok_or_else(no_state)).transpose()?,
            kind: self.kind.as_deref().map(|name| named(name).ok_or_else(no_kind)).transpose()?,
        })
    }
}

/// What has this name in documents.
fn named<'a, T: Deserialize<'a>>(name: &'a str) -> Option<T> {
    let name: StrDeserializer<'a, Error> = name.into_deserializer();
    T::deserialize(name).ok()
}

/// A job, as the API shows it. Fields are only ever added.
#[derive(Serialize)]
struct JobView {
    id: JobId,
    kind: JobKind,
    state: JobState,
    /// Who takes it: how many of these a worker runs at once is a setting.
    lane: String,
    asset: AssetId,
    /// The output that it works on; null where there is none yet, or none any more.
    generation: Option<Generation>,
    #[serde(flatten)]
    part: PartView,
    attempts: u32,
    failures: u32,
    created_at: String,
    /// Not to be begun before.
    due_at: String,
    /// When it was begun last.
    started_at: Option<String>,
    finished_at: Option<String>,
    /// Who runs it; for those who run the server.
    worker: Option<String>,
    failure: Option<FailureView>,
}

/// Which part of its output a job makes.
#[derive(Default, Serialize)]
struct PartView {
    chunk: Option<u32>,
    codec: Option<Codec>,
    rendition: Option<RenditionId>,
    /// Of the sound.
    part: Option<u32>,
    /// The first that somebody waits for.
    segment: Option<u32>,
}

/// Why a job came to nothing.
#[derive(Serialize)]
struct FailureView {
    code: Option<String>,
    message: String,
}

/// The jobs of one asset.
pub(crate) async fn list_of_asset(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = asset_in(path)?;
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let asset = asset_for(&state, &caller, id, Action::ReadAsset).await?;
    if !sees_work(&state, &caller, &asset).await? {
        return Err(Problem::forbidden("the work on an asset is for those who may change it"));
    }
    let list = Listing::of(&state.catalog, format!("jobs of {id}"), query.limit, (PAGE_JOBS, PAGE_JOBS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let jobs = state.catalog.list_jobs_of(id, list.side()?, list.rows()).await?;
    Ok(page(&caller, &list, jobs, &uri))
}

/// The jobs of all assets.
pub(crate) async fn list(
    Shared(state): Shared<State>,
    caller: Caller,
    uri: Uri,
    query: Result<Query<JobQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let filter = query.filter()?;
    let list = Listing::of(&state.catalog, format!("jobs {filter:?}"), query.limit, (PAGE_JOBS, PAGE_JOBS_MAX))?
        .at(query.after.as_deref(), query.before.as_deref())?;
    let jobs = state.catalog.list_jobs(filter, list.side()?, list.rows()).await?;
    Ok(page(&caller, &list, jobs, &uri))
}

/// One job, also of an asset that is being deleted.
pub(crate) async fn show(
    Shared(state): Shared<State>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|error| Problem::invalid_path(error.body_text()))?;
    let id: JobId = id.parse().map_err(|error| Problem::invalid_id(&error))?;
    let job = state.catalog.job(id).await?.ok_or(NO_JOB)?;
    let asset = state.catalog.asset(job.asset).await?.ok_or(NO_JOB)?;
    if !sees_work(&state, &caller, &asset).await? {
        return Err(NO_JOB.into());
    }
    Ok((no_store(), Json(JobView::new(job, runs_server(&caller)))).into_response())
}

/// Where an answer says that a job is which goes on behind it.
pub(crate) fn location(job: JobId) -> (HeaderName, HeaderValue) {
    let path = HeaderValue::try_from(format!("/api/v1/jobs/{job}"));
    (header::LOCATION, path.expect("an id is letters, digits and a line"))
}

fn page(caller: &Caller, list: &Listing, mut jobs: Vec<Job>, uri: &Uri) -> Response {
    let info = list.cut(&mut jobs, |job| job.id.to_string());
    let is_operator = runs_server(caller);
    let data: Vec<JobView> = jobs.into_iter().map(|job| JobView::new(job, is_operator)).collect();
    pages::answer(uri, data, info)
}

/// Whether the names of machines are the caller's to know.
fn runs_server(caller: &Caller) -> bool {
    let is_admin = caller.principal.member().is_some_and(|member| member.role == Role::Admin);
    is_admin || caller.principal == Principal::Unasked
}

impl JobView {
    fn new(job: Job, is_operator: bool) -> Self {
        Self {
            id: job.id,
            kind: job.spec.kind(),
            state: job.state,
            lane: job.lane,
            asset: job.asset,
            generation: job.spec.generation(),
            part: PartView::of(job.spec),
            attempts: job.attempts,
            failures: job.failures,
            created_at: job.created_at.rfc3339(),
            due_at: job.run_at.rfc3339(),
            started_at: job.started_at.map(Timestamp::rfc3339),
            finished_at: job.finished_at.map(Timestamp::rfc3339),
            worker: job.worker.filter(|_| is_operator),
            failure: job.failure.map(|failure| FailureView { code: failure.code, message: failure.message }),
        }
    }
}

impl PartView {
    fn of(spec: JobSpec) -> Self {
        match spec {
            JobSpec::Chunk { chunk, .. } | JobSpec::Copy { chunk, .. } => {
                Self { chunk: Some(chunk), ..Self::default() }
            }
            JobSpec::Extra { codec, chunk, .. } => Self { chunk: Some(chunk), codec: Some(codec), ..Self::default() },
            JobSpec::Audio { rendition, part, .. } => {
                Self { rendition: Some(rendition), part: Some(part), ..Self::default() }
            }
            JobSpec::Demand { rendition, segment, .. } => {
                Self { rendition: Some(rendition), segment: Some(segment), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}
