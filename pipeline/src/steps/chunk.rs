//! Encodes what a chunk still lacks, one committed segment after the other.

use std::collections::HashSet;

use domain::plan::VideoPlan;
use domain::{Generation, Plan, Span};
use packager::cmaf::VideoConfig;
use tokio::time::Instant;
use transcoder::{ChunkRequest, SegmentWork, VideoSegment};

use super::{Settlement, Step};
use crate::commit::Committer;
use crate::error::JobError;
use crate::metrics::SegmentKind;

pub(super) async fn run(step: &Step<'_>, generation: Generation, chunk: u32) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    let Some(video) = &plan.video else { return Err(JobError::inconsistent("a chunk of a plan without video")) };
    let spans = spans(&plan, chunk)?;
    let work = missing(step, generation, video, &spans).await?;
    if work.is_empty() {
        return Ok(Settlement::Part);
    }
    let probe = step.probe().await?;
    let track = probe.video.into_iter().find(|track| track.stream_index == video.stream_index);
    let track = track.ok_or_else(|| JobError::inconsistent("the planned video track was not probed"))?;
    let request = ChunkRequest {
        track,
        origin: plan.origin,
        recipe: plan.recipe.clone(),
        cadence: plan.cadence,
        frame_count: video.frame_count,
        rungs: video.rungs.clone(),
        work,
    };
    encode(step, generation, &plan, video, request).await?;
    Ok(Settlement::Part)
}

/// The grid cells of one chunk.
fn spans(plan: &Plan, chunk: u32) -> Result<Vec<Span>, JobError> {
    let chunks = plan.chunks();
    let found = chunks.iter().find(|candidate| candidate.index == chunk);
    let chunk = found.ok_or_else(|| JobError::inconsistent(format!("the plan has no chunk {chunk}")))?;
    let cells = chunk.first_segment..chunk.first_segment.saturating_add(chunk.segment_count);
    Ok(plan.video_spans().into_iter().filter(|span| cells.contains(&span.index)).collect())
}

/// What has no row yet; empty once the chunk is complete.
async fn missing(
    step: &Step<'_>,
    generation: Generation,
    video: &VideoPlan,
    spans: &[Span],
) -> Result<Vec<SegmentWork>, JobError> {
    let mut committed: HashSet<(usize, u32)> = HashSet::new();
    for (at, rung) in video.rungs.iter().enumerate() {
        let rows = step.parts.catalog.segments_of(step.job.asset, generation, &rung.id).await?;
        committed.extend(rows.into_iter().map(|row| (at, row.index)));
    }
    let lacks = |span: &Span| (0..video.rungs.len()).map(|at| !committed.contains(&(at, span.index))).collect();
    let work = spans.iter().map(|span| SegmentWork { span: *span, rungs: lacks(span) });
    Ok(work.filter(|work| work.rungs.contains(&true)).collect())
}

async fn encode(
    step: &Step<'_>,
    generation: Generation,
    plan: &Plan,
    video: &VideoPlan,
    request: ChunkRequest,
) -> Result<(), JobError> {
    let mut open: HashSet<(usize, u32)> = HashSet::new();
    for work in &request.work {
        open.extend((0..video.rungs.len()).filter(|at| work.rungs[*at]).map(|at| (at, work.span.index)));
    }
    let wanted = open.len();
    let started = Instant::now();
    let mut session = step.parts.engine.encode_chunk(step.source().await?, request)?;
    let mut committer = Committer::new(step, generation, SegmentKind::Video);
    // Serial on purpose: what is not committed when this worker is killed is at most one segment
    // per rung. Meanwhile the pipe to the engine holds the next one.
    while let Some(segment) = session.next().await? {
        let place = (segment.rung, segment.span.index);
        let Some(rung) = video.rungs.get(segment.rung).filter(|_| open.remove(&place)) else {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        };
        let config = config(plan, rung, &segment);
        committer.video(&rung.id, config, plan.cadence.gop_frames, segment).await?;
    }
    step.parts.metrics.session_ended(SegmentKind::Video, started.elapsed());
    if open.is_empty() { Ok(()) } else { Err(JobError::Incomplete { missing: open.len(), wanted }) }
}

fn config(plan: &Plan, rung: &domain::ladder::Rung, segment: &VideoSegment) -> VideoConfig {
    let rate = plan.cadence.frame_rate;
    VideoConfig {
        resolution: rung.resolution,
        timescale: rate.timescale(),
        frame_ticks: rate.frame_ticks(),
        sps: segment.sps.clone(),
        pps: segment.pps.clone(),
    }
}
