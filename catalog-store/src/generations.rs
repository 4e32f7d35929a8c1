//! Plans, images and subtitles of one output, and how far its segments are.

use std::collections::HashMap;
use std::time::Duration;

use domain::loudness::Loudness;
use domain::plan::SubtitlePlan;
use domain::presentation::{Images, SubtitleRendition};
use domain::{AssetId, Generation, LeftOut, Plan, Probe, Tally, Timestamp};
use serde_json::json;

use crate::catalog::{Text, Tx};
use crate::engine::{Arg, args, column, count, count32, document, json as text, parsed};
use crate::progress::{self, CountRow, Ledger, RenditionProgress};
use crate::settle::generation_of;
use crate::sql::Sql;
use crate::{Catalog, CatalogError, LeasedJob, sql};

/// The least time between two progress events of one generation.
pub(crate) const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

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
        self.put_part(job, sql::generations::SET_LOUDNESS, Some(text("generations.loudness", &loudness)?), now).await
    }

    /// Records the pictures of the job's generation.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::NoGeneration`] if the job has none.
    pub async fn put_images(&self, job: &LeasedJob, images: &Images, now: Timestamp) -> Result<(), CatalogError> {
        self.set_images(job, Some(images), now).await
    }

    /// The same of pictures among which another poster was chosen; perhaps none.
    ///
    /// # Errors
    /// As [`Catalog::put_images`].
    pub async fn set_images(
        &self,
        job: &LeasedJob,
        images: Option<&Images>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let images = images.map(|images| text("generations.images", images)).transpose()?;
        self.put_part(job, sql::generations::SET_IMAGES, images, now).await
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
        self.put_part(job, sql::generations::SET_SUBTITLES, Some(text("generations.subtitles", &subtitles)?), now).await
    }

    /// How far each rendition of the asset's current generation is; empty before the source is probed.
    pub async fn progress(&self, asset: AssetId) -> Result<Vec<RenditionProgress>, CatalogError> {
        let Some(generation) = self.asset(asset).await?.and_then(|asset| asset.generation) else { return Ok(vec![]) };
        Ok(self.output(asset, generation).await?.unwrap_or_default().renditions)
    }

    /// What exists of a generation so far; `None` if it is not planned.
    pub async fn output(&self, asset: AssetId, generation: Generation) -> Result<Option<Output>, CatalogError> {
        let Some(row) = self.generation_row(asset, generation).await? else { return Ok(None) };
        let counts = match row.is_complete() {
            true => Vec::new(),
            false => self.rows(sql::segments::COUNTS, args![asset, generation]).await?,
        };
        self.read_output(row, counts).await.map(Some)
    }

    /// What there is of the outputs in force of these assets.
    pub async fn outputs(&self, assets: &[AssetId]) -> Result<HashMap<AssetId, Output>, CatalogError> {
        let ids: Vec<String> = assets.iter().map(ToString::to_string).collect();
        let ids = text("generations.asset_id", &ids)?;
        let rows: Vec<GenerationRow> = self.rows(sql::generations::IN_FORCE, args![ids]).await?;
        let mut counts: HashMap<String, Vec<CountRow>> = HashMap::new();
        let growing: Vec<&str> =
            rows.iter().filter(|row| !row.is_complete()).map(|row| row.asset_id.as_str()).collect();
        if !growing.is_empty() {
            let ids = text("generations.asset_id", &growing)?;
            for count in self.rows::<CountRow>(sql::segments::COUNTS_IN_FORCE, args![ids]).await? {
                counts.entry(count.asset_id.clone()).or_default().push(count);
            }
        }
        let mut outputs = HashMap::new();
        for row in rows {
            let (asset, counts) = (parsed("generations.asset_id", &row.asset_id)?, counts.remove(&row.asset_id));
            outputs.insert(asset, self.read_output(row, counts.unwrap_or_default()).await?);
        }
        Ok(outputs)
    }

    async fn read_output(&self, row: GenerationRow, counts: Vec<CountRow>) -> Result<Output, CatalogError> {
        let plan: Plan = document("generations.plan", &row.plan)?;
        // What is complete stays so: its segments, thousands of them, need not be counted each time that it is shown.
        let mut ledger = if row.is_complete() { Ledger::whole(&plan) } else { Ledger::of(counts)? };
        let subtitles: Vec<SubtitleRendition> =
            row.subtitles.map_or(Ok(vec![]), |subtitles| document("generations.subtitles", &subtitles))?;
        if !ledger.is_complete(&plan) {
            let asset = parsed("generations.asset_id", &row.asset_id)?;
            let generation = Generation(count32("generations.generation", row.generation)?);
            ledger.add(self.rows(sql::segments::LATEST, progress::latest(asset, generation)).await?)?;
        }
        let renditions = ledger.progress(&plan, &subtitles);
        let images = row.images.map(|images| document("generations.images", &images)).transpose()?;
        let left_out = document("generations.left_out", &row.left_out)?;
        let loudness = row.loudness.map_or(Ok(vec![]), |loudness| document("generations.loudness", &loudness))?;
        Ok(Output { renditions, images, subtitles, left_out, subtitle_plans: plan.subtitles, loudness })
    }

    async fn generation_row(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> Result<Option<GenerationRow>, CatalogError> {
        self.row(sql::generations::BY_ID, args![asset, generation]).await
    }

    async fn put_part(
        &self,
        job: &LeasedJob,
        sql: Sql,
        part: Option<String>,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
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

/// Inserts a generation that waits for `parts` jobs.
pub(crate) async fn insert(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    plan: &Plan,
    probe: Option<&Probe>,
    parts: usize,
    now: Timestamp,
) -> Result<(), CatalogError> {
    let total: i64 = progress::planned(plan).map(|planned| i64::from(planned.segments)).sum();
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

#[derive(sqlx::FromRow)]
struct GenerationRow {
    asset_id: String,
    generation: i64,
    plan: String,
    images: Option<String>,
    subtitles: Option<String>,
    left_out: String,
    pictures_good: i64,
    pictures_bad: i64,
    pictures_repeated: i64,
    loudness: Option<String>,
    is_complete: i64,
}

impl GenerationRow {
    /// All of it is published.
    fn is_complete(&self) -> bool {
        self.is_complete != 0
    }
}
