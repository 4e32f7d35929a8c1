//! How loud the sound tracks are: measured once per generation, for people and for players.

use std::collections::BTreeSet;

use domain::loudness::Loudness;
use domain::{Generation, Plan, Probe};
use transcoder::LoudnessRequest;

use super::{Settlement, Step};
use crate::error::JobError;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    let (parts, asset) = (step.parts, step.job.asset);
    if parts.catalog.loudness(asset, generation).await?.is_some() {
        return Ok(Settlement::Part);
    }
    let measured = measure(step, &step.probe().await?, &step.plan(generation).await?).await?;
    parts.catalog.put_loudness(step.job, &measured, parts.clock.now()).await?;
    Ok(Settlement::Part)
}

/// The plan with what each track needs to be as loud as the recipe wants it.
///
/// Sound that cannot be decoded stays as it is: what is wrong with it shows when it is encoded.
pub(super) async fn decide(step: &Step<'_>, probe: &Probe, plan: Plan) -> Result<Plan, JobError> {
    if !plan.needs_loudness() {
        return Ok(plan);
    }
    match measure(step, probe, &plan).await {
        Ok(measured) => {
            let plan = plan.with_loudness(&measured);
            for audio in &plan.audio {
                let gain_db = audio.gain_db.map_or(0.0, f64::from);
                tracing::info!(rendition = %audio.id, gain_db, "loudness decided");
            }
            Ok(plan)
        }
        Err(error) if !error.is_decoding() => Err(error),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "sound cannot be measured: it stays as loud");
            Ok(plan)
        }
    }
}

/// How loud the planned tracks of the source are.
async fn measure(step: &Step<'_>, probe: &Probe, plan: &Plan) -> Result<Vec<Loudness>, JobError> {
    let planned: BTreeSet<u32> = plan.audio.iter().map(|audio| audio.stream_index).collect();
    let tracks = probe.audio.iter().filter(|track| planned.contains(&track.stream_index)).cloned().collect();
    let mut session = step.parts.engine.loudness(step.source().await?, LoudnessRequest { tracks })?;
    let mut measured = Vec::new();
    while let Some(loudness) = session.next().await? {
        measured.push(loudness);
    }
    Ok(measured)
}
