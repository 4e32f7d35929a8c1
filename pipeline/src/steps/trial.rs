//! Tries a few GOPs of a source before its ladder is decided, where the recipe says so.

use std::collections::HashMap;

use domain::complexity::{self, Cost, Trial};
use domain::{Bitrate, Plan, Probe, Span, Timescale};
use tokio::time::Instant;
use transcoder::{MeasureRequest, SegmentWork};

use super::{Step, chunk};
use crate::error::JobError;
use crate::rates;

/// The plan with only those rungs that a player gains something from, as far as the recipe wants that known.
///
/// A source whose GOPs cannot be tried keeps all rungs: what is wrong with it shows when it is encoded.
pub(super) async fn decide(step: &Step<'_>, probe: &Probe, plan: Plan) -> Result<Plan, JobError> {
    let costs = match complexity::trial(probe, &plan, step.config.has_viewers) {
        Trial::Nothing => return Ok(plan),
        Trial::Known(cost) => vec![cost],
        Trial::Samples => match measure(step, probe, &plan).await {
            Ok(costs) => costs,
            Err(error) if !error.is_decoding() => return Err(error),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no GOP could be tried: all rungs stay");
                return Ok(plan);
            }
        },
    };
    Ok(plan.with_costs(costs))
}

async fn measure(step: &Step<'_>, probe: &Probe, plan: &Plan) -> Result<Vec<Cost>, JobError> {
    let Some(video) = &plan.video else { return Ok(Vec::new()) };
    let started = Instant::now();
    let samples = complexity::samples(plan);
    let wanted: Vec<bool> = (0..video.rungs.len()).map(|at| at < video.encoded_count()).collect();
    let work = samples.iter().map(|span| SegmentWork { span: *span, rungs: wanted.clone() }).collect();
    let mut picture = chunk::request(plan, (video, &video.rungs), probe, work)?;
    // A sample is one GOP, wherever the plan has it.
    picture.cadence.cells.clear();
    let mut session = step.parts.engine.measure(step.source().await?, MeasureRequest { picture })?;
    let mut sizes: HashMap<(usize, u32), u64> = HashMap::new();
    while let Some(cost) = session.next().await? {
        sizes.insert((cost.rung, cost.index), cost.bytes);
    }
    let found = sizes.len();
    let costs = (0..video.encoded_count()).filter_map(|at| {
        let sizes: Option<Vec<(Span, u64)>> =
            samples.iter().map(|span| Some((*span, *sizes.get(&(at, span.index))?))).collect();
        let (average, peak) = rates_of(plan, &sizes?)?;
        Some(Cost { rung: video.rungs[at].id.clone(), average, peak })
    });
    let costs: Vec<Cost> = costs.collect();
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(samples = samples.len(), rungs = costs.len(), elapsed_ms, "GOPs tried");
    let wanted = samples.len() * video.encoded_count();
    if found == wanted { Ok(costs) } else { Err(JobError::Incomplete { missing: wanted - found.min(wanted), wanted }) }
}

/// Mean rate over all samples, and that of the dearest.
fn rates_of(plan: &Plan, sizes: &[(Span, u64)]) -> Option<(Bitrate, Bitrate)> {
    let rate = plan.cadence.frame_rate;
    let scale: Timescale = rate.timescale();
    let ticks = |span: Span| u64::from(span.count) * u64::from(rate.frame_ticks());
    let of = |span: Span, bytes: u64| rates::measure(&[(ticks(span), bytes)], scale).map(|rates| rates.average);
    let (all_ticks, all_bytes) = sizes.iter().fold((0, 0), |(t, b), (span, bytes)| (t + ticks(*span), b + bytes));
    let average = rates::measure(&[(all_ticks, all_bytes)], scale)?.average;
    let peak = sizes.iter().filter_map(|(span, bytes)| of(*span, *bytes)).max()?;
    Some((average, peak.max(average)))
}
