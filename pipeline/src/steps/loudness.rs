//! How loud the sound tracks are: measured once per generation, for people and for players.

use std::collections::BTreeSet;

use domain::loudness::Loudness;
use domain::probe::AudioTrack;
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
    match both(step, probe, &plan).await {
        Ok((measured, as_stereo)) => {
            let plan = plan.with_loudness(&measured, &as_stereo);
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

/// How loud the planned tracks of the source are, and those of more channels when they are mixed down.
async fn both(step: &Step<'_>, probe: &Probe, plan: &Plan) -> Result<(Vec<Loudness>, Vec<Loudness>), JobError> {
    let measured = measure(step, probe, plan).await?;
    let mut mixed = tracks(probe, plan);
    mixed.retain(|track| track.channels > 2);
    mixed.iter_mut().for_each(|track| track.channels = 2);
    let as_stereo = if mixed.is_empty() { Vec::new() } else { heard(step, mixed).await? };
    Ok((measured, as_stereo))
}

fn tracks(probe: &Probe, plan: &Plan) -> Vec<AudioTrack> {
    let planned: BTreeSet<u32> = plan.audio.iter().map(|audio| audio.stream_index).collect();
    probe.audio.iter().filter(|track| planned.contains(&track.stream_index)).cloned().collect()
}

/// How loud the planned tracks of the source are.
async fn measure(step: &Step<'_>, probe: &Probe, plan: &Plan) -> Result<Vec<Loudness>, JobError> {
    heard(step, tracks(probe, plan)).await
}

async fn heard(step: &Step<'_>, tracks: Vec<AudioTrack>) -> Result<Vec<Loudness>, JobError> {
    let mut session = step.parts.engine.loudness(step.source().await?, LoudnessRequest { tracks })?;
    let mut measured = Vec::new();
    while let Some(loudness) = session.next().await? {
        measured.push(loudness);
    }
    Ok(measured)
}
