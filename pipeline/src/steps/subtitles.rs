//! Text subtitles to segmented WebVTT, one playlist over the whole duration per track.

use std::collections::HashMap;

use domain::presentation::{SegmentEntry, SubtitleRendition};
use domain::{Generation, Plan, RenditionId, Timescale};
use futures::{StreamExt, TryStreamExt};
use media_store::layout;
use transcoder::{Cue, SubtitlesRequest};

use super::{Settlement, Step, transcripts};
use crate::commit::{blocking, sha256_hex};
use crate::cues;
use crate::error::JobError;
use crate::metrics::SegmentKind;

/// Most cues that are read of all tracks together; the rest of the source is not listened to.
const CUES_READ_MAX: usize = 500_000;

/// Segments that are stored at the same time: they are tiny, and each waits for the disk.
const PUTS_IN_FLIGHT: usize = 8;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if !parts.catalog.subtitles(asset, generation).await?.is_empty() {
        return Ok(Settlement::Part);
    }
    let plan = step.plan(generation).await?;
    let mut read = read(step, &plan).await?;
    let mut renditions = Vec::new();
    let replaced = transcripts::replaced(step, generation).await?;
    for planned in &plan.subtitles {
        let found = read.remove(&planned.stream_index).unwrap_or_default();
        let (cadence, duration) = (plan.cadence.clone(), plan.duration);
        if found.is_empty() {
            // A menu entry that never shows a word helps nobody.
            tracing::info!(rendition.id = %planned.id, "subtitle track left out: it has no text");
            continue;
        }
        // A track whose cues all lie outside the picture stays: the source has that language.
        let cut = move || {
            let cues = cues::clean(found, duration);
            Ok((cues::spoken(&cues), cues::segments(&cues, &cadence, duration)))
        };
        let (spoken, segments) = blocking(cut).await?;
        let entries = store(step, generation, &planned.id, segments).await?;
        let source = (planned.id.as_str(), planned.language.as_ref());
        let found: &[catalog_store::Cue] = if replaced.contains(&planned.id) { &[] } else { &spoken };
        parts.catalog.put_transcript(step.job, source, found, parts.clock.now()).await?;
        renditions.push(SubtitleRendition {
            id: planned.id.clone(),
            language: planned.language.clone(),
            name: planned.name.clone(),
            is_forced: planned.is_forced,
            is_sdh: planned.is_sdh,
            is_default: false,
            timescale: Timescale::MILLISECONDS,
            segments: entries,
        });
    }
    parts.catalog.put_subtitles(step.job, &renditions, parts.clock.now()).await?;
    Ok(Settlement::Part)
}

/// Stores the segments of one rendition; what a presentation says of them.
pub(super) async fn store(
    step: &Step<'_>,
    generation: Generation,
    rendition: &RenditionId,
    segments: Vec<cues::Segment>,
) -> Result<Vec<SegmentEntry>, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    let keyed = (0u32..).map(|index| layout::subtitle(asset, generation, rendition, index)).zip(segments);
    let put = |(key, segment): (media_store::Key, cues::Segment)| async move {
        let (ticks, body) = (segment.ticks, bytes::Bytes::from(segment.body));
        let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let sha256 = sha256_hex(&body);
        parts.store.put_once(&key, body).await?;
        parts.metrics.segment_committed(SegmentKind::Subtitles, bytes, ticks);
        Ok(SegmentEntry { ticks, bytes: Some(bytes), sha256: Some(sha256), keyframes: vec![] })
    };
    futures::stream::iter(keyed).map(put).buffered(PUTS_IN_FLIGHT).try_collect().await
}

/// All cues by stream.
async fn read(step: &Step<'_>, plan: &Plan) -> Result<HashMap<u32, Vec<Cue>>, JobError> {
    let stream_indices: Vec<u32> = plan.subtitles.iter().map(|track| track.stream_index).collect();
    let mut read: HashMap<u32, Vec<Cue>> = HashMap::new();
    if stream_indices.is_empty() {
        return Ok(read);
    }
    let jumps = step.probe().await?.jumps().to_vec();
    let request = SubtitlesRequest { stream_indices, origin: plan.origin, jumps };
    let mut session = step.batch_engine().subtitles(step.source().await?, request)?;
    let mut count = 0;
    while let Some(cue) = session.next().await? {
        count += 1;
        if count > CUES_READ_MAX {
            tracing::warn!(cues_max = CUES_READ_MAX, "subtitles cut short");
            break;
        }
        read.entry(cue.stream_index).or_default().push(cue);
    }
    Ok(read)
}
