//! Encodes what a chunk still lacks, one committed segment after the other.

use std::collections::HashSet;

use domain::ladder::Rung;
use domain::plan::VideoPlan;
use domain::probe::VideoTrack;
use domain::{Codec, Generation, ParameterSets, Plan, Probe, Span, Tally};
use packager::cmaf::VideoConfig;
use tokio::time::Instant;
use transcoder::{ChunkRequest, Engine, SegmentWork};

use super::{Settlement, Step};
use crate::commit::Committer;
use crate::error::JobError;
use crate::metrics::SegmentKind;

pub(super) async fn run(step: &Step<'_>, generation: Generation, chunk: u32) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    let Some(video) = &plan.video else { return Err(JobError::inconsistent("a chunk of a plan without video")) };
    let (spans, ladder) = (spans(&plan, chunk)?, Codec::H264);
    // The head of what players begin with, before its other qualities: a viewer can start.
    let head = if chunk == 0 && step.config.has_viewers { video.first_rung() } else { None };
    if let (Some(rung), Some(first)) = (head, spans.first()) {
        encode_missing(step, &step.parts.engine, generation, (&plan, ladder), &[*first], |at| at == rung).await?;
    }
    let tally = encode_missing(step, &step.batch_engine(), generation, (&plan, ladder), &spans, |_| true).await?;
    // What was decoded ahead for somebody who waits is not counted: here the same pictures are decoded for
    // all. Nor is a run that is killed right before this: nothing decodes its segments again.
    if let Some(tally) = tally {
        step.parts.catalog.add_tally(step.job, tally, step.parts.clock.now()).await?;
    }
    Ok(Settlement::Part)
}

/// Encodes a chunk in another codec, when the rest is there.
pub(super) async fn run_extra(
    step: &Step<'_>,
    generation: Generation,
    codec: Codec,
    chunk: u32,
) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    let left_out = step.parts.catalog.left_out(step.job.asset, generation).await?;
    if left_out.iter().any(|missing| missing.codec == Some(codec)) {
        // Another chunk failed for good: what is made here would never be shown.
        return Ok(Settlement::Part);
    }
    let spans = spans(&plan, chunk)?;
    // The same pictures were counted when they were encoded in H.264.
    encode_missing(step, &step.batch_engine(), generation, (&plan, codec), &spans, |_| true).await?;
    Ok(Settlement::Part)
}

/// Encodes those segments of the wanted rungs of a ladder that have no row yet, and commits them; how the
/// decoding went.
pub(super) async fn encode_missing(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    (plan, codec): (&Plan, Codec),
    spans: &[Span],
    is_wanted: impl Fn(usize) -> bool,
) -> Result<Option<Tally>, JobError> {
    let Some(video) = &plan.video else { return Err(JobError::inconsistent("a picture of a plan without video")) };
    let rungs = video.ladder(codec);
    // The source's own pictures are the business of another job.
    let encoded = if codec.is_h264() { video.encoded_count() } else { rungs.len() };
    let work = missing(step, generation, rungs, spans, |at| at < encoded && is_wanted(at)).await?;
    if work.is_empty() {
        return Ok(None);
    }
    let request = request(plan, (video, rungs), &step.probe().await?, work)?;
    encode(step, engine, generation, plan, request).await
}

/// What the engine must know of a picture to encode `work`.
pub(crate) fn request(
    plan: &Plan,
    (video, rungs): (&VideoPlan, &[Rung]),
    probe: &Probe,
    work: Vec<SegmentWork>,
) -> Result<ChunkRequest, JobError> {
    let track = probe.video.iter().find(|track| track.stream_index == video.stream_index);
    let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
    Ok(ChunkRequest {
        // The plan has taken from it what there is to take.
        track: VideoTrack { avc: None, ..track.clone() },
        origin: plan.origin,
        recipe: plan.recipe.clone(),
        cadence: plan.cadence.clone(),
        frame_count: video.frame_count,
        rungs: rungs.to_vec(),
        work,
    })
}

/// The grid cells of one chunk.
pub(super) fn spans(plan: &Plan, chunk: u32) -> Result<Vec<Span>, JobError> {
    let chunks = plan.chunks();
    let found = chunks.iter().find(|candidate| candidate.index == chunk);
    let chunk = found.ok_or_else(|| JobError::inconsistent(format!("the plan has no chunk {chunk}")))?;
    let cells = chunk.first_segment..chunk.first_segment.saturating_add(chunk.segment_count);
    Ok(plan.video_spans().into_iter().filter(|span| cells.contains(&span.index)).collect())
}

/// What has no row yet; empty once all of it is committed.
async fn missing(
    step: &Step<'_>,
    generation: Generation,
    rungs: &[Rung],
    spans: &[Span],
    is_wanted: impl Fn(usize) -> bool,
) -> Result<Vec<SegmentWork>, JobError> {
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Ok(vec![]) };
    let range = (first.index, last.index);
    let mut committed: HashSet<(usize, u32)> = HashSet::new();
    for (at, rung) in rungs.iter().enumerate().filter(|(at, _)| is_wanted(*at)) {
        let done = step.parts.catalog.segments_between(step.job.asset, generation, &rung.id, range).await?;
        committed.extend(done.into_iter().map(|index| (at, index)));
    }
    let lacks =
        |span: &Span| (0..rungs.len()).map(|at| is_wanted(at) && !committed.contains(&(at, span.index))).collect();
    let work = spans.iter().map(|span| SegmentWork { span: *span, rungs: lacks(span) });
    Ok(work.filter(|work| work.rungs.contains(&true)).collect())
}

async fn encode(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    plan: &Plan,
    request: ChunkRequest,
) -> Result<Option<Tally>, JobError> {
    let mut open: HashSet<(usize, u32)> = HashSet::new();
    let rungs = request.rungs.clone();
    for work in &request.work {
        open.extend((0..rungs.len()).filter(|at| work.rungs[*at]).map(|at| (at, work.span.index)));
    }
    let wanted = open.len();
    let started = Instant::now();
    let (engine, source) = step.open(engine).await?;
    let mut session = engine.encode_chunk(source, request)?;
    let mut committer = Committer::new(step, generation, SegmentKind::Video);
    // Serial on purpose: what is not committed when this worker is killed is at most one segment
    // per rung. Meanwhile the pipe to the engine holds the next one.
    while let Some(segment) = session.next().await? {
        let place = (segment.rung, segment.span.index);
        let Some(rung) = rungs.get(segment.rung).filter(|_| open.remove(&place)) else {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        };
        let config = config(plan, rung, segment.sets.clone());
        committer.video(&rung.id, config, plan.cadence.gops(segment.span), rung.bitrate_max, segment).await?;
    }
    step.parts.metrics.session_ended(SegmentKind::Video, started.elapsed());
    if !open.is_empty() {
        return Err(JobError::Incomplete { missing: open.len(), wanted });
    }
    Ok(session.tally())
}

/// How the segments of a rung are packaged.
pub(crate) fn config(plan: &Plan, rung: &Rung, sets: ParameterSets) -> VideoConfig {
    let rate = plan.cadence.frame_rate;
    VideoConfig { resolution: rung.resolution, timescale: rate.timescale(), frame_ticks: rate.frame_ticks(), sets }
}
