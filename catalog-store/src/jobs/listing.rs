//! Jobs as they are told to people: one of them, those of an asset, all of a kind or in a state.
//!
//! A job stays in the catalogue when it is settled, as long as its asset: those of an asset whose objects were removed go
//! with the last of them.

use domain::{AssetId, Generation, JobId, JobKind, JobSpec, JobState, Timestamp};

use super::state;
use crate::catalog::Text;
use crate::engine::{args, corrupt, count32, document, parsed};
use crate::{Catalog, CatalogError, Side, sql};

/// Most jobs that one call returns.
pub const PAGE_JOBS_MAX: u32 = 100;

/// A job as the catalogue knows it, for administration and tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job.
    pub id: JobId,
    /// Its asset.
    pub asset: AssetId,
    /// What it does.
    pub spec: JobSpec,
    /// Where it stands.
    pub state: JobState,
    /// The lane in which it waits: one of [`domain::JobLane`], or one for parts of a source that is still uploaded.
    pub lane: String,
    /// The highest runs first.
    pub priority: i32,
    /// How often it was claimed and not released.
    pub attempts: u32,
    /// How often it was tried again because its work had failed.
    pub failures: u32,
    /// Not to be run before.
    pub run_at: Timestamp,
    /// Why it failed, was cancelled, or had to be tried again; of the last it is for those who run the server.
    pub error: Option<String>,
    /// Why it came to nothing, for people; `None` unless it failed.
    pub failure: Option<JobFailure>,
    /// Who has its lease; `None` unless it runs.
    pub worker: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was claimed last; also `None` if that was before this was kept.
    pub started_at: Option<Timestamp>,
    /// When it was settled; `None` while it is not.
    pub finished_at: Option<Timestamp>,
}

/// Why a job came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobFailure {
    /// The name of a [`domain::FailureCode`], or `cancelled`; `None` if it was before this was kept.
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
}

/// Which jobs are meant; `None` for any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Where they stand.
    pub state: Option<JobState>,
    /// What they do.
    pub kind: Option<JobKind>,
}

impl Catalog {
    /// One job.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, CatalogError> {
        let row: Option<JobRow> = self.row(sql::jobs::ONE, args![id]).await?;
        row.map(Job::try_from).transpose()
    }

    /// All jobs of an asset, oldest first.
    pub async fn jobs_of(&self, asset: AssetId) -> Result<Vec<Job>, CatalogError> {
        let rows: Vec<JobRow> = self.rows(sql::jobs::OF_ASSET, args![asset]).await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// At most `limit` (and [`PAGE_JOBS_MAX`] + 1) jobs of an asset on one side of a job, in the order of their ids, the
    /// latest first.
    pub async fn list_jobs_of(
        &self,
        asset: AssetId,
        side: Option<Side<JobId>>,
        limit: u32,
    ) -> Result<Vec<Job>, CatalogError> {
        let (place, way) = Side::or_first(side, JobId::from_u128(u128::MAX));
        let statements = [sql::jobs::LIST_OF_ASSET, sql::jobs::LIST_OF_ASSET_BEFORE];
        let args = args![place, limit.min(PAGE_JOBS_MAX + 1), asset];
        let rows: Vec<JobRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// The same of all jobs that are meant.
    pub async fn list_jobs(
        &self,
        filter: JobFilter,
        side: Option<Side<JobId>>,
        limit: u32,
    ) -> Result<Vec<Job>, CatalogError> {
        use sql::jobs as by;
        let (place, way) = Side::or_first(side, JobId::from_u128(u128::MAX));
        let limit = limit.min(PAGE_JOBS_MAX + 1);
        // Each goes by an index of its own, however many others there are.
        let (statements, args) = match (filter.kind.map(JobKind::as_str), filter.state.map(JobState::as_str)) {
            (None, None) => ([by::LIST, by::LIST_BEFORE], args![place, limit]),
            (None, Some(state)) => ([by::LIST_IN_STATE, by::LIST_IN_STATE_BEFORE], args![place, limit, state]),
            (Some(kind), None) => ([by::LIST_OF_KIND, by::LIST_OF_KIND_BEFORE], args![place, limit, kind]),
            (Some(kind), Some(state)) => {
                let statements = [by::LIST_OF_KIND_IN_STATE, by::LIST_OF_KIND_IN_STATE_BEFORE];
                (statements, args![place, limit, format!("{kind}.{state}")])
            }
        };
        let rows: Vec<JobRow> = self.page(way, statements, args).await?;
        rows.into_iter().map(Job::try_from).collect()
    }

    /// The job that plans another output of an asset that plays ([`Catalog::reprocess`]); `None` if that output was not
    /// asked for.
    pub async fn planning_job(&self, asset: AssetId, generation: Generation) -> Result<Option<JobId>, CatalogError> {
        let row: Option<Text> = self.row(sql::jobs::PLANNING, args![asset, generation]).await?;
        row.map(|row| parsed("jobs.id", &row.text)).transpose()
    }
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: String,
    asset_id: String,
    spec: String,
    state: String,
    lane: String,
    priority: i64,
    attempts: i64,
    failures: i64,
    run_at: i64,
    error: Option<String>,
    failure_code: Option<String>,
    worker: Option<String>,
    created_at: i64,
    started_at: Option<i64>,
    updated_at: i64,
}

impl TryFrom<JobRow> for Job {
    type Error = CatalogError;

    fn try_from(row: JobRow) -> Result<Self, CatalogError> {
        let state = state(&row.state)?;
        let failed = row.error.clone().filter(|_| state == JobState::Failed);
        // Nothing changes a job once it is settled.
        let is_settled = matches!(state, JobState::Done | JobState::Failed);
        Ok(Self {
            id: parsed("jobs.id", &row.id)?,
            asset: parsed("jobs.asset_id", &row.asset_id)?,
            spec: document("jobs.spec", &row.spec)?,
            state,
            lane: row.lane,
            priority: i32::try_from(row.priority).map_err(|_| corrupt("jobs.priority", row.priority))?,
            attempts: count32("jobs.attempts", row.attempts)?,
            failures: count32("jobs.failures", row.failures)?,
            run_at: Timestamp::from_unix_ms(row.run_at),
            error: row.error,
            failure: failed.map(|message| JobFailure { code: row.failure_code, message }),
            worker: row.worker.filter(|_| state == JobState::Running),
            created_at: Timestamp::from_unix_ms(row.created_at),
            started_at: row.started_at.map(Timestamp::from_unix_ms),
            finished_at: is_settled.then(|| Timestamp::from_unix_ms(row.updated_at)),
        })
    }
}
