//! Tries a few GOPs of a source before its rate factors and its ladder are decided, where the recipe says so.

use std::collections::{BTreeMap, HashMap};

use domain::complexity::{self, Cost, Trial};
use domain::per_title::{self, Look, Looks, Ssim};
use domain::plan::VideoPlan;
use domain::{Bitrate, Plan, Probe, Span, TARGET_DURATION_S, Timescale};
use packager::rates;
use tokio::time::Instant;
use transcoder::{MeasureRequest, SegmentWork};

use super::{Step, chunk};
use crate::error::JobError;

/// The plan with rate factors that suit the source, and only those rungs that a player gains something from, as far
/// as the recipe wants that known.
///
/// A source whose GOPs cannot be tried keeps all rungs and the recipe's factor: what is wrong with it shows when it
/// is encoded.
pub(super) async fn decide(step: &Step<'_>, probe: &Probe, plan: Plan) -> Result<Plan, JobError> {
    // First, since what a rung costs depends on its factor.
    let plan = rate_factors(step, probe, plan).await?;
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

/// The plan with a rate factor for each rung by how a few seconds look, if the recipe asks for a quality.
async fn rate_factors(step: &Step<'_>, probe: &Probe, plan: Plan) -> Result<Plan, JobError> {
    let samples = per_title::samples(&plan);
    if samples.is_empty() {
        return Ok(plan);
    }
    match judge(step, probe, &plan, &samples).await {
        Ok(looks) => {
            let plan = plan.with_looks(looks);
            let rungs = plan.video.iter().flat_map(|video| &video.rungs);
            let chosen: Vec<String> = rungs.filter_map(|rung| Some(format!("{} {}", rung.id, rung.crf?))).collect();
            tracing::info!(crfs = chosen.join(", "), "rate factors chosen");
            Ok(plan)
        }
        Err(error) if !error.is_decoding() => Err(error),
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no picture could be judged: the usual rate factor"
            );
            Ok(plan)
        }
    }
}

/// How each rung looks at the rate factors that are tried, over all samples.
async fn judge(step: &Step<'_>, probe: &Probe, plan: &Plan, samples: &[Span]) -> Result<Vec<Looks>, JobError> {
    let Some(video) = &plan.video else { return Ok(Vec::new()) };
    let started = Instant::now();
    let request = request(plan, video, probe, samples, &per_title::TRIED)?;
    let mut session = step.parts.engine.measure(step.source().await?, request)?;
    let frames: HashMap<u32, u64> = samples.iter().map(|span| (span.index, span.count.into())).collect();
    // Similarity times frames, and frames, of each rung and factor.
    let mut sums: BTreeMap<(usize, u8), (u64, u64)> = BTreeMap::new();
    let mut found = 0;
    while let Some(cost) = session.next().await? {
        let told = cost.crf.zip(cost.ssim_millionths).zip(frames.get(&cost.index));
        let ((crf, ssim), frames) =
            told.ok_or_else(|| JobError::inconsistent("the engine judged what nobody asked for"))?;
        let sum = sums.entry((cost.rung, crf)).or_default();
        *sum = (sum.0 + u64::from(ssim) * frames, sum.1 + frames);
        found += 1;
    }
    let wanted = samples.len() * video.encoded_count() * per_title::TRIED.len();
    if found != wanted {
        return Err(JobError::Incomplete { missing: wanted - found.min(wanted), wanted });
    }
    let look = |((_, crf), (ssim, frames)): (&(usize, u8), &(u64, u64))| {
        let mean = u32::try_from(ssim / frames.max(&1)).unwrap_or(0);
        Look { crf: *crf, ssim: Ssim::from_millionths(mean) }
    };
    let looks = (0..video.encoded_count()).map(|at| Looks {
        rung: video.rungs[at].id.clone(),
        looks: sums.range((at, 0)..=(at, u8::MAX)).map(look).collect(),
    });
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(samples = samples.len(), rungs = video.encoded_count(), elapsed_ms, "rate factors tried");
    Ok(looks.collect())
}

/// A request to encode these runs of pictures at every rung that is encoded at all.
fn request(
    plan: &Plan,
    video: &VideoPlan,
    probe: &Probe,
    samples: &[Span],
    crfs: &[u8],
) -> Result<MeasureRequest, JobError> {
    let wanted: Vec<bool> = (0..video.rungs.len()).map(|at| at < video.encoded_count()).collect();
    let work = samples.iter().map(|span| SegmentWork { span: *span, rungs: wanted.clone() }).collect();
    let mut picture = chunk::request(plan, (video, &video.rungs), probe, work)?;
    // A sample is one GOP, wherever the plan has it.
    picture.cadence.cells.clear();
    Ok(MeasureRequest { picture, crfs: crfs.to_vec() })
}

async fn measure(step: &Step<'_>, probe: &Probe, plan: &Plan) -> Result<Vec<Cost>, JobError> {
    let Some(video) = &plan.video else { return Ok(Vec::new()) };
    let started = Instant::now();
    let samples = complexity::samples(plan);
    let request = request(plan, video, probe, &samples, &[])?;
    let mut session = step.parts.engine.measure(step.source().await?, request)?;
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
    let of = |span: Span, bytes: u64| {
        rates::measure(&[(ticks(span), bytes)], scale, TARGET_DURATION_S).map(|rates| rates.average)
    };
    let (all_ticks, all_bytes) = sizes.iter().fold((0, 0), |(t, b), (span, bytes)| (t + ticks(*span), b + bytes));
    let average = rates::measure(&[(all_ticks, all_bytes)], scale, TARGET_DURATION_S)?.average;
    let peak = sizes.iter().filter_map(|(span, bytes)| of(*span, *bytes)).max()?;
    Some((average, peak.max(average)))
}
