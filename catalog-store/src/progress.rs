//! How far the renditions of an output are, and how long the rest will take.

use std::collections::HashMap;
use std::time::Duration;

use domain::pace::{self, Commit, Pace, WINDOW_COMMITS};
use domain::presentation::SubtitleRendition;
use domain::{AAC_FRAME_SAMPLES, AssetId, Generation, Plan, RenditionId, Timestamp};
use serde_json::json;

use crate::catalog::{Text, Tx};
use crate::engine::{Arg, args, count, count32, document, parsed};
use crate::{CatalogError, sql};

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

/// How much of a rendition is committed.
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
    /// How long the segments in the ledger play, on the rendition's timescale.
    pub done_ticks: u64,
    /// How long all of it plays.
    pub total_ticks: u64,
    /// How fast segments came lately; nothing once all are there.
    pub pace: Pace,
}

impl RenditionProgress {
    /// The share that is done, 0 to 1, by how long it plays; 1 exactly when every segment is there.
    pub fn share(&self) -> f64 {
        if self.done >= self.total {
            return 1.0;
        }
        // Above 2^53 ticks the share is off by less than anybody sees.
        #[expect(clippy::cast_precision_loss, reason = "a share is for people")]
        let share = self.done_ticks as f64 / self.total_ticks.max(1) as f64;
        share.clamp(0.0, 0.999)
    }

    /// Time until every segment is there; `None` while that is not known.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        if self.done >= self.total {
            return Some(Duration::ZERO);
        }
        self.pace.left(self.total_ticks.saturating_sub(self.done_ticks).max(1), now)
    }
}

/// Whole seconds until every segment of all these is there; `None` while that is not known.
pub fn seconds_left(renditions: &[RenditionProgress], now: Timestamp) -> Option<u64> {
    if renditions.is_empty() {
        return None;
    }
    pace::until_all(renditions.iter().map(|rendition| rendition.left(now))).map(pace::seconds)
}

/// A rendition whose segments the ledger counts.
pub(crate) struct Planned<'a> {
    id: &'a RenditionId,
    kind: RenditionKind,
    pub(crate) segments: u32,
    ticks: u64,
}

/// Every rendition whose segments the ledger counts, with how much there will be of it.
pub(crate) fn planned(plan: &Plan) -> impl Iterator<Item = Planned<'_>> {
    let length = |spans: Vec<domain::Span>| u32::try_from(spans.len()).unwrap_or(u32::MAX);
    let video_segments = length(plan.video_spans());
    let frame_ticks = u64::from(plan.cadence.frame_rate.frame_ticks());
    let video = plan.video.iter().flat_map(move |video| {
        let ticks = video.frame_count.saturating_mul(frame_ticks);
        video.ladders().flatten().map(move |rung| Planned {
            id: &rung.id,
            kind: RenditionKind::Video,
            segments: video_segments,
            ticks,
        })
    });
    video.chain(plan.audio.iter().map(move |audio| Planned {
        id: &audio.id,
        kind: RenditionKind::Audio,
        segments: length(plan.audio_spans(audio)),
        ticks: audio.frame_count.saturating_mul(u64::from(AAC_FRAME_SAMPLES)),
    }))
}

/// What the ledger holds of an output, summed up.
pub(crate) struct Ledger {
    /// Segments and ticks.
    counts: HashMap<RenditionId, (u32, u64)>,
    latest: HashMap<RenditionId, Vec<Commit>>,
}

impl Ledger {
    pub(crate) fn of(rows: Vec<CountRow>) -> Result<Self, CatalogError> {
        let mut counts = HashMap::new();
        for row in rows {
            let done = (count32("segments.count", row.number)?, count("segments.ticks", row.ticks)?);
            counts.insert(parsed("segments.rendition", &row.rendition)?, done);
        }
        Ok(Self { counts, latest: HashMap::new() })
    }

    /// Of an output that is complete.
    pub(crate) fn whole(plan: &Plan) -> Self {
        let counts = planned(plan).map(|planned| (planned.id.clone(), (planned.segments, planned.ticks))).collect();
        Self { counts, latest: HashMap::new() }
    }

    /// True if there is nothing left whose pace could matter.
    pub(crate) fn is_complete(&self, plan: &Plan) -> bool {
        planned(plan).all(|planned| self.done(planned.id).0 >= planned.segments)
    }

    /// Adds when the last segments were committed.
    pub(crate) fn add(&mut self, rows: Vec<LatestRow>) -> Result<(), CatalogError> {
        for row in rows {
            let commit =
                Commit { at: Timestamp::from_unix_ms(row.created_at), ticks: count("segments.ticks", row.ticks)? };
            self.latest.entry(parsed("segments.rendition", &row.rendition)?).or_default().push(commit);
        }
        Ok(())
    }

    /// Video, audio, then subtitles, which are there as a whole or not at all.
    pub(crate) fn progress(mut self, plan: &Plan, subtitles: &[SubtitleRendition]) -> Vec<RenditionProgress> {
        let mut renditions = Vec::new();
        for Planned { id, kind, segments, ticks } in planned(plan) {
            let (done, done_ticks) = self.done(id);
            let is_done = done >= segments;
            let pace = self.latest.remove(id).filter(|_| !is_done).map(Pace::of).unwrap_or_default();
            let id = id.clone();
            renditions.push(RenditionProgress {
                id,
                kind,
                done,
                total: segments,
                done_ticks,
                total_ticks: ticks,
                pace,
            });
        }
        renditions.extend(subtitles.iter().map(|subtitle| {
            let total = u32::try_from(subtitle.segments.len()).unwrap_or(u32::MAX);
            let ticks = subtitle.segments.iter().fold(0u64, |sum, segment| sum.saturating_add(segment.ticks));
            RenditionProgress {
                id: subtitle.id.clone(),
                kind: RenditionKind::Subtitles,
                done: total,
                total,
                done_ticks: ticks,
                total_ticks: ticks,
                pace: Pace::default(),
            }
        }));
        renditions
    }

    fn done(&self, id: &RenditionId) -> (u32, u64) {
        self.counts.get(id).copied().unwrap_or_default()
    }
}

/// The arguments of the statement that reads the last commits.
pub(crate) fn latest(asset: AssetId, generation: Generation) -> Vec<Arg> {
    args![asset, generation, u32::try_from(WINDOW_COMMITS).unwrap_or(u32::MAX)]
}

/// Adds a progress event that counts the segments visible to this transaction.
pub(crate) async fn push(
    tx: &mut Tx,
    (asset, generation): (AssetId, Generation),
    now: Timestamp,
) -> Result<(), CatalogError> {
    let row: Option<Text> = tx.row(sql::generations::PLAN, args![asset, generation]).await?;
    let Some(row) = row else { return Ok(()) };
    let plan: Plan = document("generations.plan", &row.text)?;
    let mut ledger = Ledger::of(tx.rows(sql::segments::COUNTS, args![asset, generation]).await?)?;
    ledger.add(tx.rows(sql::segments::LATEST, latest(asset, generation)).await?)?;
    let renditions = ledger.progress(&plan, &[]);
    let sum = |count: fn(&RenditionProgress) -> u32| renditions.iter().map(|one| u64::from(count(one))).sum::<u64>();
    let each = renditions.iter().map(|one| {
        json!({
            "id": one.id, "segments_done": one.done, "segments_total": one.total, "share": thousandths(one.share()),
            "seconds_left": one.left(now).map(pace::seconds),
        })
    });
    let data = json!({
        "generation": generation, "segments_done": sum(|one| one.done), "segments_total": sum(|one| one.total),
        "seconds_left": seconds_left(&renditions, now), "renditions": each.collect::<Vec<_>>(),
    });
    tx.event(now, "asset.progress", asset, data);
    Ok(())
}

fn thousandths(share: f64) -> f64 {
    (share * 1000.0).round() / 1000.0
}

/// How much of a rendition the ledger holds.
#[derive(sqlx::FromRow)]
pub(crate) struct CountRow {
    pub(crate) asset_id: String,
    rendition: String,
    number: i64,
    ticks: i64,
}

/// When a segment was committed.
#[derive(sqlx::FromRow)]
pub(crate) struct LatestRow {
    rendition: String,
    ticks: i64,
    created_at: i64,
}
