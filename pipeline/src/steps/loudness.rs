//! How loud the sound tracks are: measured once per generation, for people and for players.

use std::collections::BTreeSet;

use domain::Generation;
use transcoder::LoudnessRequest;

use super::{Settlement, Step};
use crate::error::JobError;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if parts.catalog.loudness(asset, generation).await?.is_some() {
        return Ok(Settlement::Part);
    }
    let plan = step.plan(generation).await?;
    let planned: BTreeSet<u32> = plan.audio.iter().map(|audio| audio.stream_index).collect();
    let mut tracks = step.probe().await?.audio;
    tracks.retain(|track| planned.contains(&track.stream_index));
    let mut session = parts.engine.loudness(step.source().await?, LoudnessRequest { tracks })?;
    let mut measured = Vec::new();
    while let Some(loudness) = session.next().await? {
        measured.push(loudness);
    }
    parts.catalog.put_loudness(step.job, &measured, parts.clock.now()).await?;
    Ok(Settlement::Part)
}
