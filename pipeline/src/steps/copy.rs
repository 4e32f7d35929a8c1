//! Takes over what a chunk still lacks of the rendition that shows the source's own pictures.

use std::collections::HashSet;

use domain::plan::VideoPlan;
use domain::{Generation, Plan, Span};
use transcoder::{CopyRequest, Engine};

use super::{Settlement, Step, chunk};
use crate::commit::Committer;
use crate::error::JobError;
use crate::metrics::SegmentKind;

pub(super) async fn run(step: &Step<'_>, generation: Generation, number: u32) -> Result<Settlement, JobError> {
    let plan = step.plan(generation).await?;
    let spans = chunk::spans(&plan, number)?;
    copy_missing(step, &step.batch_engine(), generation, &plan, spans).await?;
    Ok(Settlement::Part)
}

/// What the engine must know to take over `work`.
pub(crate) fn request(plan: &Plan, video: &VideoPlan, work: Vec<Span>) -> CopyRequest {
    CopyRequest {
        stream_index: video.stream_index,
        origin: plan.origin,
        cadence: plan.cadence.clone(),
        frame_count: video.frame_count,
        work,
    }
}

/// Takes over those of the segments that have no row yet, and commits them.
pub(super) async fn copy_missing(
    step: &Step<'_>,
    engine: &Engine,
    generation: Generation,
    plan: &Plan,
    mut work: Vec<Span>,
) -> Result<(), JobError> {
    let video = plan.video.as_ref().and_then(|video| Some((video, video.copied_rung()?)));
    let (video, rung) = video.ok_or_else(|| JobError::inconsistent("a copy in a plan that encodes everything"))?;
    let rows = step.parts.catalog.segments_of(step.job.asset, generation, &rung.id).await?;
    let committed: HashSet<u32> = rows.into_iter().map(|row| row.index).collect();
    work.retain(|span| !committed.contains(&span.index));
    if work.is_empty() {
        return Ok(());
    }
    let mut open: HashSet<u32> = work.iter().map(|span| span.index).collect();
    let wanted = open.len();
    let (engine, source) = step.open(engine).await?;
    let mut session = engine.copy(source, request(plan, video, work))?;
    let mut committer = Committer::new(step, generation, SegmentKind::Copied);
    while let Some(segment) = session.next().await? {
        if !open.remove(&segment.span.index) {
            return Err(JobError::inconsistent("the engine sent a segment that nobody asked for"));
        }
        let (config, gops) = (chunk::config(plan, rung, segment.sets.clone()), plan.cadence.gops(segment.span));
        committer.video(&rung.id, config, gops, rung.bitrate_max, segment).await?;
    }
    if open.is_empty() { Ok(()) } else { Err(JobError::Incomplete { missing: open.len(), wanted }) }
}
