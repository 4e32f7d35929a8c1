//! Plans an output from the first part of a source, while the rest is still on its way.
//!
//! The plan takes for granted that what is not there yet is like what is there. The probe of the complete source
//! shows whether it is: then what was made meanwhile is kept, else it is removed. So nothing here is ever shown.

use catalog_store::AheadJob;
use domain::complexity::{self, Trial};
use domain::{Generation, Plan, Probe, ahead, per_title};
use transcoder::EngineError;

use super::{Foreseen, Settlement, Step, probe};
use crate::error::JobError;

/// How often a source is looked at of which too little is there, before it has to be complete.
const LOOKS_MAX: u32 = 4;

pub(super) async fn run(step: &Step<'_>, generation: Generation) -> Result<Settlement, JobError> {
    match foresee(step, generation).await {
        Ok(Some(foreseen)) => {
            let (planned, permitted) =
                (foreseen.jobs.len(), foreseen.jobs.iter().filter(|job| job.needs_bytes.is_some()));
            tracing::info!(jobs = planned, ahead = permitted.count(), "upload planned ahead of its end");
            Ok(Settlement::Ahead(Some(Box::new(foreseen))))
        }
        Ok(None) => Ok(Settlement::Ahead(None)),
        Err(JobError::Engine(EngineError::Early)) if step.job.attempt < LOOKS_MAX => Err(EngineError::Early.into()),
        Err(error @ (JobError::LostLease | JobError::Gone)) => Err(error),
        Err(error) if error.is_outage() && !matches!(error, JobError::Engine(EngineError::Early)) => Err(error),
        // What is wrong with the source shows when it is complete.
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "an upload cannot be planned ahead");
            Ok(Settlement::Ahead(None))
        }
    }
}

/// `None` if the source must be complete first.
async fn foresee(step: &Step<'_>, generation: Generation) -> Result<Option<Foreseen>, JobError> {
    let Some(config) = &step.config.ahead else { return Ok(None) };
    let (engine, source) = step.open(&step.parts.engine).await?;
    let probe = engine.probe(source).await?;
    let Some(plan) = planned(step, &probe).await? else { return Ok(None) };
    let streams = probe.video.iter().map(|track| track.stream_index);
    let streams = streams.chain(probe.audio.iter().map(|track| track.stream_index)).collect();
    let (engine, source) = step.open(&step.parts.engine).await?;
    let reach = engine.reach(source, streams).await?;
    let jobs = probe::jobs(&plan, &probe, generation).into_iter().map(|spec| {
        let needs = ahead::needs(&plan, &reach, &spec).filter(|(_, begin_s)| *begin_s < config.seconds_max);
        AheadJob { id: step.mint(), spec, needs_bytes: needs.map(|(bytes, _)| bytes) }
    });
    let jobs = jobs.collect();
    Ok(Some(Foreseen { probe, plan, jobs }))
}

/// The plan that the probe of the complete source is expected to lead to; `None` if that takes trials of places that
/// are not there yet.
async fn planned(step: &Step<'_>, probe: &Probe) -> Result<Option<Plan>, JobError> {
    let plan = probe::untried(step, probe, &step.config.recipe).await?;
    if !per_title::samples(&plan).is_empty() || plan.needs_loudness() {
        return Ok(None);
    }
    match complexity::trial(probe, &plan, step.config.has_viewers) {
        Trial::Samples => Ok(None),
        Trial::Nothing => Ok(Some(plan)),
        Trial::Known(cost) => Ok(Some(plan.with_costs(vec![cost]))),
    }
}
