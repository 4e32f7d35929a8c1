//! Encodes what a part of an audio rendition still lacks, one committed segment after the other.

use std::collections::HashSet;

use domain::plan::AudioPlan;
use domain::{Generation, Plan, RenditionId, Span};
use packager::cmaf::AudioConfig;
use tokio::time::Instant;
use transcoder::{AudioRequest, Engine};

use super::{Settlement, Step};
use crate::commit::Committer;
use crate::error::JobError;
use crate::metrics::SegmentKind;

pub(super) async fn run(
    step: &Step<'_>,
    generation: Generation,
    id: &RenditionId,
    part: u32,
) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    let parts = plan.audio_parts(rendition(&plan, id)?);
    let part = parts.into_iter().find(|candidate| candidate.index == part);
    let part = part.ok_or_else(|| JobError::inconsistent(format!("{id} has no such part")))?;
    encode_missing(step, &step.batch_engine(), generation, &plan, id, |segment| part.holds(segment)).await?;
    Ok(Settlement::Part)
}

/// Encodes those of the wanted segments that have no row yet, part by part, and commits them.
pub(super) async fn encode_missing(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    plan: &Plan,
    id: &RenditionId,
    is_wanted: impl Fn(u32) -> bool,
) -> Result<(), JobError> {
    let audio = rendition(plan, id)?;
    let rows = step.parts.catalog.segments_of(step.job.asset, generation, id).await?;
    let committed: HashSet<u32> = rows.into_iter().map(|row| row.index).collect();
    let spans = plan.audio_spans(audio);
    for part in plan.audio_parts(audio) {
        let of_part: Vec<Span> = spans.iter().copied().filter(|span| part.holds(span.index)).collect();
        let part_first = of_part.first().map_or(0, |span| span.first);
        let lacks = |span: &Span| is_wanted(span.index) && !committed.contains(&span.index);
        let work: Vec<Span> = of_part.into_iter().filter(lacks).collect();
        if work.is_empty() {
            continue;
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
            part_first,
            work,
        };
        encode(step, engine, generation, plan, id, request).await?;
    }
    Ok(())
}

fn rendition<'a>(plan: &'a Plan, id: &RenditionId) -> Result<&'a AudioPlan, JobError> {
    let audio = plan.audio_rendition(id);
    audio.ok_or_else(|| JobError::inconsistent(format!("the plan has no rendition {id}")))
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
    let (engine, source) = step.open(engine).await?;
    let mut session = engine.encode_audio(source, request)?;
    let mut committer = Committer::new(step, generation, SegmentKind::Audio);
    while let Some(segment) = session.next().await? {
        if !open.remove(&segment.span.index) {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        }
        let config = AudioConfig {
            sample_rate: plan.audio_timescale(),
            channels,
            config: segment.config.clone(),
            bitrate: plan.recipe.audio_bitrate_of(channels),
        };
        committer.audio(id, config, segment).await?;
    }
    step.parts.metrics.session_ended(SegmentKind::Audio, started.elapsed());
    if open.is_empty() { Ok(()) } else { Err(JobError::Incomplete { missing: open.len(), wanted }) }
}
