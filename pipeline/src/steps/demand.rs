//! Encodes what a viewer waits for, and a little more: the same segments that the batch jobs would make.

use std::time::Duration;

use domain::{Generation, RenditionId};

use super::{Settlement, Step, audio, chunk, copy};
use crate::error::JobError;

/// Segments that are encoded behind the one that was asked for: players ask for them next.
const LOOK_AHEAD: u32 = 2;

/// A demand that was not repeated for so long is nobody's any more.
const FRESH: Duration = Duration::from_secs(10);

pub(super) async fn run(
    step: &Step<'_>,
    generation: Generation,
    rendition: &RenditionId,
    segment: u32,
) -> Result<Settlement, JobError> {
    let waited = step.parts.clock.now().since(step.job.due);
    if waited > FRESH {
        tracing::debug!(rendition.id = %rendition, segment, "nobody waits any more");
        return Ok(Settlement::Demand);
    }
    let plan = step.plan(generation).await?;
    let wanted = segment..=segment.saturating_add(LOOK_AHEAD);
    let codec = plan.video.as_ref().and_then(|video| video.rung(rendition)).map(|rung| rung.codec);
    match codec {
        Some(codec) => {
            let ladder = plan.video.as_ref().map_or(&[][..], |video| video.ladder(codec));
            let is_it = |at: usize| ladder.get(at).is_some_and(|rung| rung.id == *rendition);
            let mut spans = plan.video_spans();
            spans.retain(|span| wanted.contains(&span.index));
            let engine = &step.parts.engine;
            if plan.video.as_ref().and_then(|video| video.copied_rung()).is_some_and(|copied| copied.id == *rendition) {
                copy::copy_missing(step, engine, generation, &plan, spans).await?;
            } else {
                chunk::encode_missing(step, engine, generation, (&plan, codec), &spans, is_it).await?;
            }
        }
        None => {
            let is_wanted = |index| wanted.contains(&index);
            audio::encode_missing(step, &step.parts.engine, generation, &plan, rendition, is_wanted).await?;
        }
    }
    Ok(Settlement::Demand)
}
