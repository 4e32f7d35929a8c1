//! Plans, images and subtitles of one output, and how far its segments are.

use std::time::Duration;

use domain::loudness::Loudness;
use domain::plan::SubtitlePlan;
use domain::presentation::{Images, SubtitleRendition};
use domain::{AssetId, Generation, LeftOut, Plan, Probe, RenditionId, Tally, Timestamp};
use serde_json::json;

use crate::catalog::{Text, Tx};
use crate::engine::{Arg, args, column, count, count32, document, json as text, parsed};
use crate::settle::generation_of;
use crate::sql::Sql;
use crate::{Catalog, CatalogError, LeasedJob, sql};

/// The least time between two progress events of one generation.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// What a rendition carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RenditionKind {
    /// A picture.
    Video,
    /// Sound.
    Audio,
    /// Text.
    Subtitles,
}

impl RenditionKind {
    /// The name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Subtitles => "subtitles",
        }
    }
}

/// What exists of a generation so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// How far each rendition is: video, audio, then subtitles, which are listed once they are made.
    pub renditions: Vec<RenditionProgress>,
    /// The pictures, once they are made.
    pub images: Option<Images>,
    /// The subtitle renditions of the source's own tracks, once they are made.
    pub subtitles: Vec<SubtitleRendition>,
    /// What could not be made, and why.
    pub left_out: Vec<LeftOut>,
    /// Which of the source's subtitle tracks become renditions.
    pub subtitle_plans: Vec<SubtitlePlan>,
    /// How loud the sound tracks are, once that is measured.
    pub loudness: Vec<Loudness>,
}

/// How many segments of a rendition are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenditionProgress {
    /// The rendition.
    pub id: RenditionId,
    /// What it carries.
    pub kind: RenditionKind,
    /// Segments in the ledger.
    pub done: u32,
    /// Segments in the plan.
    pub total: u32,
}

impl Catalog {
    /// The plan of a generation; `None` before the source is probed.
    pub async fn plan(&self, asset: AssetId, generation: Generation) -> Result<Option<Plan>, CatalogError> {
        let row = self.generation_row(asset, generation).await?;
        row.map(|row| document("generations.plan", &row.plan)).transpose()
    }

    /// What was found in the source for this generation; `None` if that is what the asset tells.
    pub async fn probe_of(&self, asset: AssetId, generation: Generation) -> Result<Option<Probe>, CatalogError> {
        let row: Option<Text> = self.row(sql::generations::PROBE, args![asset, generation]).await?;
        row.map(|row| document("generations.probe", &row.text)).transpose()
    }

    /// The pictures of a generation; `None` until they are made, or if it has none.
    pub async fn images(&self, asset: AssetId, generation: Generation) -> Result<Option<Images>, CatalogError> {
        let images = self.generation_row(asset, generation).await?.and_then(|row| row.images);
        images.map(|images| document("generations.images", &images)).transpose()
    }

    /// The subtitle renditions of a generation; empty until they are made, or if it has none.
    pub async fn subtitles(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> Result<Vec<SubtitleRendition>, CatalogError> {
        let subtitles = self.generation_row(asset, generation).await?.and_then(|row| row.subtitles);
        subtitles.map_or(Ok(vec![]), |subtitles| document("generations.subtitles", &subtitles))
    }

    /// What could not be made of a generation, and why; empty if it has everything.
    pub async fn left_out(&self, asset: AssetId, generation: Generation) -> Result<Vec<LeftOut>, CatalogError> {
        let row = self.generation_row(asset, generation).await?;
        row.map_or(Ok(vec![]), |row| document("generations.left_out", &row.left_out))
    }

    /// How the decoding of a generation's pictures went so far, over all its chunks.
    pub async fn tally(&self, asset: AssetId, generation: Generation) -> Result<Tally, CatalogError> {
        let Some(row) = self.generation_row(asset, generation).await? else { return Ok(Tally::default()) };
        Ok(Tally {
            good: count("generations.pictures_good", row.pictures_good)?,
            bad: count("generations.pictures_bad", row.pictures_bad)?,
            repeated: count("generations.pictures_repeated", row.pictures_repeated)?,
        })
    }

    /// Adds how the decoding of a run of pictures went to the job's generation.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn add_tally(&self, job: &LeasedJob, tally: Tally, now: Timestamp) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let counts = [tally.good, tally.bad, tally.repeated].map(column);
        let [good, bad, repeated] = counts;
        let mut tx = self.begin().await?;
        let args = args![job.asset, generation, good?, bad?, repeated?];
        if tx.execute(sql::generations::ADD_TALLY, args).await? != 1 {
            return Err(CatalogError::NoGeneration(job.id));
        }
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.commit().await
    }

    /// How loud the sound tracks are; `None` until it is measured.
    pub async fn loudness(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> Result<Option<Vec<Loudness>>, CatalogError> {
        let loudness = self.generation_row(asset, generation).await?.and_then(|row| row.loudness);
        loudness.map(|loudness| document("generations.loudness", &loudness)).transpose()
    }

    /// Records how loud the sound tracks of the job's generation are.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn put_loudness(
        &self,
        job: &LeasedJob,
        loudness: &[Loudness],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.put_part(job, sql::generations::SET_LOUDNESS, text("generations.loudness", &loudness)?, now).await
    }

    /// Records the pictures of the job's generation.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn put_images(&self, job: &LeasedJob, images: &Images, now: Timestamp) -> Result<(), CatalogError> {
        self.put_part(job, sql::generations::SET_IMAGES, text("generations.images", images)?, now).await
    }

    /// Records the subtitle renditions of the job's generation, perhaps none.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn put_subtitles(
        &self,
        job: &LeasedJob,
        subtitles: &[SubtitleRendition],
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        self.put_part(job, sql::generations::SET_SUBTITLES, text("generations.subtitles", &subtitles)?, now).await
    }

    /// How far each rendition of the asset's current generation is; empty before the source is probed.
    pub async fn progress(&self, asset: AssetId) -> Result<Vec<RenditionProgress>, CatalogError> {
        let Some(generation) = self.asset(asset).await?.and_then(|asset| asset.generation) else { return Ok(vec![]) };
        Ok(self.output(asset, generation).await?.unwrap_or_default().renditions)
    }

    /// What exists of a generation so far; `None` if it is not planned.
    pub async fn output(&self, asset: AssetId, generation: Generation) -> Result<Option<Output>, CatalogError> {
        let Some(row) = self.generation_row(asset, generation).await? else { return Ok(None) };
        let plan: Plan = document("generations.plan", &row.plan)?;
        let counts: Vec<CountRow> = self.rows(sql::segments::COUNTS, args![asset, generation]).await?;
        let counts = counts
            .into_iter()
            .map(|row| Ok((parsed("segments.rendition", &row.rendition)?, count32("segments.count", row.number)?)))
            .collect::<Result<Vec<(RenditionId, u32)>, CatalogError>>()?;
        let done = |id: &RenditionId| counts.iter().find(|(known, _)| known == id).map_or(0, |(_, done)| *done);
        let entry = |id: &RenditionId, kind, total| RenditionProgress { id: id.clone(), kind, done: done(id), total };
        let subtitles: Vec<SubtitleRendition> =
            row.subtitles.map_or(Ok(vec![]), |subtitles| document("generations.subtitles", &subtitles))?;
        let texts = subtitles.iter().map(|subtitle| {
            let total = u32::try_from(subtitle.segments.len()).unwrap_or(u32::MAX);
            RenditionProgress { id: subtitle.id.clone(), kind: RenditionKind::Subtitles, done: total, total }
        });
        let renditions = planned(&plan).map(|(id, kind, total)| entry(id, kind, total)).chain(texts).collect();
        let images = row.images.map(|images| document("generations.images", &images)).transpose()?;
        let left_out = document("generations.left_out", &row.left_out)?;
        let loudness = row.loudness.map_or(Ok(vec![]), |loudness| document("generations.loudness", &loudness))?;
        Ok(Some(Output { renditions, images, subtitles, left_out, subtitle_plans: plan.subtitles, loudness }))
    }

    async fn generation_row(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> Result<Option<GenerationRow>, CatalogError> {
        self.row(sql::generations::BY_ID, args![asset, generation]).await
    }

    async fn put_part(&self, job: &LeasedJob, sql: Sql, part: String, now: Timestamp) -> Result<(), CatalogError> {
        let generation = generation_of(job)?;
        let mut tx = self.begin().await?;
        if tx.execute(sql, vec![Arg::from(job.asset), generation.into(), part.into()]).await? != 1 {
            return Err(CatalogError::NoGeneration(job.id));
        }
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        tx.event(now, "asset.updated", job.asset, json!({ "generation": generation }));
        tx.commit().await
    }
}

/// Every rendition whose segments the ledger counts, with how many there will be.
fn planned(plan: &Plan) -> impl Iterator<Item = (&RenditionId, RenditionKind, u32)> {
    let length = |spans: Vec<domain::Span>| u32::try_from(spans.len()).unwrap_or(u32::MAX);
    let video_total = length(plan.video_spans());
    let rungs = plan.video.iter().flat_map(|video| &video.rungs);
    let video = rungs.map(move |rung| (&rung.id, RenditionKind::Video, video_total));
    video.chain(plan.audio.iter().map(move |audio| (&audio.id, RenditionKind::Audio, length(plan.audio_spans(audio)))))
}

/// Inserts a generation that waits for `parts` jobs.
pub(crate) async fn insert(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    plan: &Plan,
    probe: Option<&Probe>,
    parts: usize,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let total: i64 = planned(plan).map(|(_, _, total)| i64::from(total)).sum();
    let parts = u32::try_from(parts).unwrap_or(u32::MAX);
    let probe = probe.map(|probe| text("generations.probe", probe)).transpose()?;
    let args = args![asset, generation, text("generations.plan", plan)?, total, parts, now, probe];
    tx.execute(sql::generations::INSERT, args).await.map(|_| ())
}

/// Adds what is missing to the list of a generation, whose asset is locked.
pub(crate) async fn leave_out(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    missing: &LeftOut,
) -> Result<(), CatalogError> {
    let row: Option<GenerationRow> = tx.row(sql::generations::BY_ID, args![asset, generation]).await?;
    let Some(row) = row else { return Ok(()) };
    let mut left_out: Vec<LeftOut> = document("generations.left_out", &row.left_out)?;
    left_out.push(missing.clone());
    let args = args![asset, generation, text("generations.left_out", &left_out)?];
    tx.execute(sql::generations::SET_LEFT_OUT, args).await.map(|_| ())
}

/// True if the last progress event is at least `interval` old; then the row is held until commit.
pub(crate) async fn mark_progress(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    interval: Duration,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let latest = now.unix_ms() - i64::try_from(interval.as_millis()).unwrap_or(0);
    let args = args![asset, generation, now, latest];
    Ok(tx.execute(sql::generations::MARK_PROGRESS, args).await? == 1)
}

/// Adds a progress event that counts the segments visible to this transaction.
pub(crate) async fn push_progress(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let row: Option<ProgressRow> = tx.row(sql::generations::PROGRESS, args![asset, generation]).await?;
    if let Some(row) = row {
        let (done, total) = (count("segments.count", row.done)?, count("generations.segments_total", row.total)?);
        let data = json!({ "generation": generation, "segments_done": done, "segments_total": total });
        tx.event(now, "asset.progress", asset, data);
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct GenerationRow {
    plan: String,
    images: Option<String>,
    subtitles: Option<String>,
    left_out: String,
    pictures_good: i64,
    pictures_bad: i64,
    pictures_repeated: i64,
    loudness: Option<String>,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    rendition: String,
    number: i64,
}

#[derive(sqlx::FromRow)]
struct ProgressRow {
    total: i64,
    done: i64,
}
