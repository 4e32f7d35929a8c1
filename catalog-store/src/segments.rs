//! The ledger of committed segments: a row here is the proof that its object exists and is verified.

use domain::presentation::{KeyframeRange, SegmentEntry};
use domain::{AssetId, Generation, RenditionId, Timestamp};

use crate::catalog::{Number, Text};
use crate::engine::{args, column, count, count32, document, json, parsed};
use crate::generations::{PROGRESS_INTERVAL, mark_progress};
use crate::{Catalog, CatalogError, LeasedJob, progress, sql};

/// One committed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRow {
    /// The asset.
    pub asset: AssetId,
    /// The output it belongs to.
    pub generation: Generation,
    /// The rendition.
    pub rendition: RenditionId,
    /// Its number in the rendition, from 0.
    pub index: u32,
    /// Duration on the rendition's timescale.
    pub ticks: u64,
    /// Length of the object.
    pub bytes: u64,
    /// SHA-256 of the object, 64 hexadecimal digits.
    pub sha256: String,
    /// Where its I-frames lie; empty for sound.
    pub keyframes: Vec<KeyframeRange>,
}

impl From<SegmentRow> for SegmentEntry {
    fn from(row: SegmentRow) -> Self {
        Self { ticks: row.ticks, bytes: Some(row.bytes), sha256: Some(row.sha256), keyframes: row.keyframes }
    }
}

impl Catalog {
    /// Commits a segment whose object is durable. Recording the same segment again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::LostLease`]; [`CatalogError::HashMismatch`] if another object is recorded for it.
    pub async fn insert_segment(
        &self,
        job: &LeasedJob,
        segment: &SegmentRow,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let output = (segment.asset, segment.generation);
        let mut tx = self.begin().await?;
        let tells = mark_progress(&mut tx, output, PROGRESS_INTERVAL, now).await?;
        tx.fenced(job, sql::jobs::PROGRESS, args![job.id, job.fence, now]).await?;
        let args = args![
            segment.asset,
            segment.generation,
            &segment.rendition,
            segment.index,
            column(segment.ticks)?,
            column(segment.bytes)?,
            segment.sha256.as_str(),
            json("segments.keyframes", &segment.keyframes)?,
            now
        ];
        if tx.execute(sql::segments::INSERT, args).await? == 0 {
            let key = args![segment.asset, segment.generation, &segment.rendition, segment.index];
            let recorded: Option<Text> = tx.row(sql::segments::HASH, key).await?;
            let recorded = recorded.map(|row| row.text).unwrap_or_default();
            if recorded != segment.sha256 {
                return Err(CatalogError::HashMismatch {
                    rendition: segment.rendition.clone(),
                    index: segment.index,
                    recorded,
                    offered: segment.sha256.clone(),
                });
            }
        }
        if tells {
            progress::push(&mut tx, output, now).await?;
        }
        tx.commit().await
    }

    /// All committed segments of a generation, by rendition and number.
    pub async fn segments(&self, asset: AssetId, generation: Generation) -> Result<Vec<SegmentRow>, CatalogError> {
        let rows: Vec<StoredSegment> = self.rows(sql::segments::OF_GENERATION, args![asset, generation]).await?;
        rows.into_iter().map(SegmentRow::try_from).collect()
    }

    /// Numbers of the committed segments of one rendition from `first` to `last`, both included, in order.
    pub async fn segments_between(
        &self,
        asset: AssetId,
        generation: Generation,
        rendition: &RenditionId,
        (first, last): (u32, u32),
    ) -> Result<Vec<u32>, CatalogError> {
        let args = args![asset, generation, rendition, first, last];
        let rows: Vec<Number> = self.rows(sql::segments::INDICES_BETWEEN, args).await?;
        rows.into_iter().map(|row| count32("segments.segment_index", row.number)).collect()
    }

    /// The committed segments of one rendition, by number.
    pub async fn segments_of(
        &self,
        asset: AssetId,
        generation: Generation,
        rendition: &RenditionId,
    ) -> Result<Vec<SegmentRow>, CatalogError> {
        let args = args![asset, generation, rendition];
        let rows: Vec<StoredSegment> = self.rows(sql::segments::OF_RENDITION, args).await?;
        rows.into_iter().map(SegmentRow::try_from).collect()
    }
}

/// `segments` as stored.
#[derive(sqlx::FromRow)]
struct StoredSegment {
    asset_id: String,
    generation: i64,
    rendition: String,
    segment_index: i64,
    ticks: i64,
    size_bytes: i64,
    sha256: String,
    keyframes: String,
}

impl TryFrom<StoredSegment> for SegmentRow {
    type Error = CatalogError;

    fn try_from(row: StoredSegment) -> Result<Self, CatalogError> {
        Ok(Self {
            asset: parsed("segments.asset_id", &row.asset_id)?,
            generation: Generation(count32("segments.generation", row.generation)?),
            rendition: parsed("segments.rendition", &row.rendition)?,
            index: count32("segments.segment_index", row.segment_index)?,
            ticks: count("segments.ticks", row.ticks)?,
            bytes: count("segments.size_bytes", row.size_bytes)?,
            sha256: row.sha256,
            keyframes: document("segments.keyframes", &row.keyframes)?,
        })
    }
}
