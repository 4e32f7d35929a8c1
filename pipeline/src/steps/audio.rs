//! Encodes what an audio rendition still lacks, one committed segment after the other.

use std::collections::HashSet;

use domain::{Generation, Plan, RenditionId};
use packager::cmaf::AudioConfig;
use tokio::time::Instant;
use transcoder::{AudioRequest, Engine};

use super::{Settlement, Step};
use crate::commit::Committer;
use crate::error::JobError;
use crate::metrics::SegmentKind;

pub(super) async fn run(step: &Step<'_>, generation: Generation, id: &RenditionId) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    encode_missing(step, &step.batch_engine(), generation, &plan, id, |_| true).await?;
    Ok(Settlement::Part)
}

/// Encodes those of the wanted segments that have no row yet, and commits them.
pub(super) async fn encode_missing(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    plan: &Plan,
    id: &RenditionId,
    is_wanted: impl Fn(u32) -> bool,
) -> Result<(), JobError> {
    let audio = plan.audio_rendition(id);
    let audio = audio.ok_or_else(|| JobError::inconsistent(format!("the plan has no rendition {id}")))?;
    let rows = step.parts.catalog.segments_of(step.job.asset, generation, id).await?;
    let committed: HashSet<u32> = rows.into_iter().map(|row| row.index).collect();
    let mut work = plan.audio_spans(audio);
    work.retain(|span| is_wanted(span.index) && !committed.contains(&span.index));
    if work.is_empty() {
        return Ok(());
    }
    let probe = step.probe().await?;
    let track = probe.audio.into_iter().find(|track| track.stream_index == audio.stream_index);
    let track = track.ok_or_else(|| JobError::inconsistent("the planned audio track was not probed"))?;
    let request = AudioRequest {
        track,
        origin: plan.origin,
        recipe: plan.recipe.clone(),
        channels: audio.channels,
        frame_count: audio.frame_count,
        work,
    };
    encode(step, engine, generation, plan, id, request).await
}

async fn encode(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    plan: &Plan,
    id: &RenditionId,
    request: AudioRequest,
) -> Result<(), JobError> {
    let mut open: HashSet<u32> = request.work.iter().map(|span| span.index).collect();
    let (wanted, channels) = (open.len(), request.channels);
    let started = Instant::now();
    let mut session = engine.encode_audio(step.source().await?, request)?;
    let mut committer = Committer::new(step, generation, SegmentKind::Audio);
    while let Some(segment) = session.next().await? {
        if !open.remove(&segment.span.index) {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        }
        let config = AudioConfig {
            sample_rate: plan.audio_timescale(),
            channels,
            config: segment.config.clone(),
            bitrate: plan.recipe.audio_bitrate,
        };
        committer.audio(id, config, segment).await?;
    }
    step.parts.metrics.session_ended(SegmentKind::Audio, started.elapsed());
    if open.is_empty() { Ok(()) } else { Err(JobError::Incomplete { missing: open.len(), wanted }) }
}
