//! What viewers wait for: a segment that is planned but not yet encoded is asked for here.

use domain::job::WATCHED_PRIORITY;
use domain::{AssetId, AssetState, Generation, JobId, JobKind, JobSpec, Plan, RenditionId, Timestamp};

use crate::catalog::{MaybeNumber, Number, Text, Tx};
use crate::engine::{args, count, json};
use crate::{Catalog, CatalogError, sql};

/// Segments of all assets that are waited for at the same time.
const DEMANDS_MAX: u64 = 64;

/// Segments of one asset that are waited for at the same time.
const DEMANDS_OF_ASSET_MAX: u64 = 16;

/// A segment that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The asset.
    pub asset: AssetId,
    /// The output that is played.
    pub generation: Generation,
    /// The rendition.
    pub rendition: RenditionId,
    /// The number of the segment in it.
    pub segment: u32,
}

/// What was done about a segment that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// A job will encode it before everything else, or one that waits for its turn is kept fresh.
    Enqueued,
    /// It is committed, or the job that runs now has it next.
    Coming,
    /// Too much is waited for already.
    Full,
    /// There is no such segment to be made: the asset is not in the making, or the plan has no such place.
    Nothing,
}

impl Catalog {
    /// Has a planned segment encoded before everything else, and what follows it before what nobody looks at.
    ///
    /// Repeat it while somebody waits: a demand that was not repeated for long is dropped by its worker.
    ///
    /// # Errors
    /// Only those of the database.
    pub async fn demand(&self, wanted: &Wanted, id: JobId, now: Timestamp) -> Result<Demand, CatalogError> {
        // Most of what is asked for comes by itself: look before taking the write lock.
        let Some(plan) = self.plan(wanted.asset, wanted.generation).await? else { return Ok(Demand::Nothing) };
        let Some(place) = Place::of(&plan, wanted) else { return Ok(Demand::Nothing) };
        let key = args![wanted.asset, wanted.generation, &wanted.rendition, wanted.segment];
        if self.row::<Text>(sql::segments::HASH, key).await?.is_some() || self.is_next(wanted, &place).await? {
            return Ok(Demand::Coming);
        }
        if self.is_full(wanted.asset).await? {
            return Ok(Demand::Full);
        }
        let mut tx = self.begin().await?;
        let asset = tx.lock_asset(wanted.asset, now).await?;
        if asset.state()? != AssetState::Processing || asset.generation()? != Some(wanted.generation) {
            return Ok(Demand::Nothing);
        }
        tx.insert_demand(wanted, id, now).await?;
        for job in place.batch.iter().chain(&place.after) {
            let args = args![wanted.asset, json("jobs.spec", job)?, WATCHED_PRIORITY];
            tx.execute(sql::jobs::RAISE, args).await?;
        }
        tx.commit().await?;
        Ok(Demand::Enqueued)
    }

    /// True if the batch job of the segment runs, has nothing of this rendition to do before it, and makes it in a
    /// moment.
    async fn is_next(&self, wanted: &Wanted, place: &Place) -> Result<bool, CatalogError> {
        let Some(batch) = place.batch.as_ref().filter(|_| place.is_quick) else { return Ok(false) };
        let state: Option<Text> =
            self.row(sql::jobs::STATE_OF_SPEC, args![wanted.asset, json("jobs.spec", batch)?]).await?;
        if state.is_none_or(|state| state.text != domain::JobState::Running.as_str()) {
            return Ok(false);
        }
        let (first, last) = place.segments;
        let args = args![wanted.asset, wanted.generation, &wanted.rendition, first, last];
        let done: Option<MaybeNumber> = self.row(sql::segments::LAST_BETWEEN, args).await?;
        let next = done.and_then(|row| row.number).map_or(i64::from(first), |last| last.saturating_add(1));
        Ok(i64::from(wanted.segment) == next)
    }

    async fn is_full(&self, asset: AssetId) -> Result<bool, CatalogError> {
        let kind = JobKind::Demand.as_str();
        let all: Option<Number> = self.row(sql::jobs::DEMANDED, args![kind]).await?;
        let own: Option<Number> = self.row(sql::jobs::DEMANDED_OF_ASSET, args![asset, kind]).await?;
        let counted = |row: Option<Number>| count("jobs.count", row.map_or(0, |row| row.number));
        Ok(counted(all)? >= DEMANDS_MAX || counted(own)? >= DEMANDS_OF_ASSET_MAX)
    }
}

impl Tx {
    async fn insert_demand(&mut self, wanted: &Wanted, id: JobId, now: Timestamp) -> Result<(), CatalogError> {
        let Wanted { asset, generation, rendition, segment } = wanted.clone();
        let dedup_key = format!("{asset}/{generation}/{rendition}/{segment}");
        let spec = JobSpec::Demand { generation, rendition, segment };
        let kind = spec.kind();
        let text = json("jobs.spec", &spec)?;
        let args =
            args![id, asset, kind.as_str(), text, kind.lane().as_str(), spec.priority(), now, dedup_key, generation];
        self.tell_of_work();
        self.execute(sql::jobs::DEMAND, args).await.map(|_| ())
    }
}

/// Where a segment stands in the batch work.
struct Place {
    /// The job that makes it; `None` if it is made alone.
    batch: Option<JobSpec>,
    /// The job after that one.
    after: Option<JobSpec>,
    /// First and last segment of the batch job.
    segments: (u32, u32),
    /// The batch job makes a segment in a moment when it is its turn: what it copies, sound, and what players begin
    /// with, which is encoded alone. Others come with all their qualities, behind whatever viewers wait for.
    is_quick: bool,
}

impl Place {
    /// `None` if the plan has no such segment.
    fn of(plan: &Plan, wanted: &Wanted) -> Option<Self> {
        let generation = wanted.generation;
        let video = plan.video.as_ref().filter(|video| video.rungs.iter().any(|rung| rung.id == wanted.rendition));
        if video.is_some() {
            let chunks = plan.chunks();
            let at = chunks.iter().position(|chunk| {
                (chunk.first_segment..chunk.first_segment.saturating_add(chunk.segment_count)).contains(&wanted.segment)
            })?;
            let copied = video.and_then(|video| video.copied_rung());
            let is_copied = copied.is_some_and(|rung| rung.id == wanted.rendition);
            let job = |chunk: &domain::plan::Chunk| match chunk.index {
                chunk if is_copied => JobSpec::Copy { generation, chunk },
                chunk => JobSpec::Chunk { generation, chunk },
            };
            let is_head = wanted.segment == 0
                && video.is_some_and(|video| {
                    video.first_rung().is_some_and(|first| video.rungs[first].id == wanted.rendition)
                });
            let chunk = chunks.get(at)?;
            let last = chunk.first_segment + chunk.segment_count.saturating_sub(1);
            return Some(Self {
                batch: Some(job(chunk)),
                after: chunks.get(at + 1).map(job),
                segments: (chunk.first_segment, last),
                is_quick: is_copied || is_head,
            });
        }
        let parts = plan.audio_parts(plan.audio_rendition(&wanted.rendition)?);
        let at = parts.iter().position(|part| part.holds(wanted.segment))?;
        let job = |part: &domain::plan::AudioPart| JobSpec::Audio {
            generation,
            rendition: wanted.rendition.clone(),
            part: part.index,
        };
        let part = parts.get(at)?;
        let last = part.first_segment + part.segment_count.saturating_sub(1);
        let (batch, after) = (Some(job(part)), parts.get(at + 1).map(job));
        Some(Self { batch, after, segments: (part.first_segment, last), is_quick: true })
    }
}
