//! Encodes what a part of an audio rendition still lacks, or takes it over from the source, one committed segment
//! after the other.

use std::collections::HashSet;
use std::fs::File;

use domain::plan::AudioPlan;
use domain::probe::AudioTrack;
use domain::{Generation, Plan, Probe, RenditionId, Span};
use packager::cmaf::AudioConfig;
use tokio::time::Instant;
use transcoder::{AudioCopyRequest, AudioRequest, AudioSegment, Engine, Session};

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
        encode(step, engine, generation, (plan, audio), part_first, work).await?;
    }
    Ok(())
}

/// The track of the source that a rendition is made of.
pub(super) fn track<'a>(audio: &AudioPlan, probe: &'a Probe) -> Option<&'a AudioTrack> {
    probe.audio.iter().find(|track| track.stream_index == audio.stream_index)
}

/// What decides the init segment of an audio rendition with this AudioSpecificConfig.
pub(crate) fn config(plan: &Plan, audio: &AudioPlan, config: Vec<u8>) -> AudioConfig {
    AudioConfig {
        sample_rate: plan.audio_timescale(audio),
        channels: audio.channels,
        config,
        bitrate: plan.audio_bitrate(audio),
        offset_ticks: audio.offset(),
    }
}

/// Starts to make segments of the part that begins with AAC frame `part_first`, as the plan says: encoded, or
/// the source's own.
pub(crate) fn session(
    engine: &Engine,
    source: File,
    (plan, audio): (&Plan, &AudioPlan),
    probe: &Probe,
    part_first: u64,
    work: Vec<Span>,
) -> Result<Session<AudioSegment>, JobError> {
    let track = track(audio, probe);
    let track = track.ok_or_else(|| JobError::inconsistent("the planned audio track was not probed"))?;
    let Some(copied) = &audio.copied else {
        let request = AudioRequest {
            track: track.clone(),
            origin: plan.origin,
            recipe: plan.recipe.clone(),
            channels: audio.channels,
            frame_count: audio.frame_count,
            gain_db: audio.gain_db,
            part_first,
            work,
        };
        return Ok(engine.encode_audio(source, request)?);
    };
    let aac = track.aac.as_ref().ok_or_else(|| JobError::inconsistent("sound to take over without a configuration"))?;
    let request = AudioCopyRequest {
        stream_index: audio.stream_index,
        origin: plan.origin,
        sample_rate: copied.sample_rate,
        channels: audio.channels,
        config: aac.config.clone(),
        offset: copied.offset,
        frame_count: audio.frame_count,
        work,
    };
    Ok(engine.copy_audio(source, request)?)
}

fn rendition<'a>(plan: &'a Plan, id: &RenditionId) -> Result<&'a AudioPlan, JobError> {
    let audio = plan.audio_rendition(id);
    audio.ok_or_else(|| JobError::inconsistent(format!("the plan has no rendition {id}")))
}

async fn encode(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    (plan, audio): (&Plan, &AudioPlan),
    part_first: u64,
    work: Vec<Span>,
) -> Result<(), JobError> {
    let mut open: HashSet<u32> = work.iter().map(|span| span.index).collect();
    let wanted = open.len();
    let started = Instant::now();
    let ((engine, source), probe) = (step.open(engine).await?, step.probe().await?);
    let mut session = session(&engine, source, (plan, audio), &probe, part_first, work)?;
    let kind = if audio.copied.is_some() { SegmentKind::Copied } else { SegmentKind::Audio };
    let mut committer = Committer::new(step, generation, kind);
    while let Some(segment) = session.next().await? {
        if !open.remove(&segment.span.index) {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        }
        committer.audio(&audio.id, config(plan, audio, segment.config.clone()), segment).await?;
    }
    step.parts.metrics.session_ended(kind, started.elapsed());
    if open.is_empty() { Ok(()) } else { Err(JobError::Incomplete { missing: open.len(), wanted }) }
}
