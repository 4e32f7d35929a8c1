//! Which rungs a player gains something from, by what a few GOPs of the source cost at each of them.
//!
//! A screen recording costs nearly as much at 480p as at 1080p, and little at both: whoever can take the
//! one can take the other, so the smaller ones are encoded, stored and listed for nobody. What a GOP costs
//! is only known once it is encoded; which GOPs are tried, and what follows from their sizes, is decided here.

use serde::{Deserialize, Serialize};

use crate::ladder::LEAST_BITRATE;
use crate::plan::VideoPlan;
use crate::{Bitrate, Plan, Probe, RenditionId, Span};

/// GOPs that are tried, spread evenly over the source.
pub const SAMPLES_MAX: usize = 4;

/// A smaller rung that costs more than this share of the next larger one, in percent, is left out: those of
/// natural pictures cost 45 to 68 % of it.
const SHARE_PERCENT_MAX: u64 = 75;

/// Bits that a source spends on a pixel, in millionths, from which on [`LadderProbe::Auto`] does not try.
/// Cameras spend more, slides and screen recordings less.
const MICROBITS_PER_PIXEL_MAX: u128 = 30_000;

/// How many times the rate of its source, sound and all, an encoded rung costs at most: sources may be coded
/// by a better codec, or slower. The dearest case of those measured, AV1 of a still picture, took 1.6 times.
const REENCODED_FACTOR: u128 = 2;

/// Whether GOPs are tried before the ladder is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LadderProbe {
    /// Never: the ladder follows from the size of the picture.
    #[default]
    Off,
    /// Where nobody waits, and the source itself spends so few bits that rungs may be left out. Where
    /// somebody does, the ladder follows from what is known without encoding.
    Auto,
    /// Always, at the cost of some seconds before an asset can be played.
    Always,
}

impl LadderProbe {
    /// True for the setting that leaves everything as it is.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// What the tried GOPs cost at one rung, or what it is known to cost at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The rung.
    pub rung: RenditionId,
    /// Over all of them.
    pub average: Bitrate,
    /// Of the dearest.
    pub peak: Bitrate,
}

/// What is to be tried before a plan is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Nothing: every rung stays.
    Nothing,
    /// Nothing, since the largest rung costs so little at most that no other is needed.
    Known(Cost),
    /// The GOPs of [`samples`].
    Samples,
}

/// What has to be tried for this plan of this source, while somebody waits for it to be playable or not.
pub fn trial(probe: &Probe, plan: &Plan, is_awaited: bool) -> Trial {
    let Some(video) = plan.video.as_ref().filter(|video| video.rungs.len() > 1) else { return Trial::Nothing };
    if plan.recipe.ladder_probe.is_off() {
        return Trial::Nothing;
    }
    // What is known holds for the recipe's own rate factor and for larger ones.
    let is_known = video.rungs.last().and_then(|rung| rung.crf).is_none_or(|crf| crf >= plan.recipe.crf);
    if let Some(cost) = largest(probe, plan, video).filter(|cost| is_known && cost.peak <= LEAST_BITRATE) {
        return Trial::Known(cost);
    }
    let is_tried = match plan.recipe.ladder_probe {
        LadderProbe::Off => false,
        LadderProbe::Auto => !is_awaited && is_sparing(probe, plan),
        LadderProbe::Always => true,
    };
    if is_tried { Trial::Samples } else { Trial::Nothing }
}

/// What the largest rung costs at most: the source's own rate where that is copied, else a multiple of all
/// that the source holds.
fn largest(probe: &Probe, plan: &Plan, video: &VideoPlan) -> Option<Cost> {
    let rung = video.rungs.last()?;
    if video.copied.is_some() {
        return Some(Cost { rung: rung.id.clone(), average: rung.bitrate_max, peak: rung.bitrate_max });
    }
    let ms = u128::try_from(plan.duration.as_ms()).ok().filter(|ms| *ms > 0)?;
    let rate = (u128::from(probe.size.0) * 8000).div_ceil(ms).saturating_mul(REENCODED_FACTOR);
    let rate = Bitrate(u64::try_from(rate).ok()?);
    Some(Cost { rung: rung.id.clone(), average: rate, peak: rate })
}

/// True if the source spends few bits on its pictures: at most what all its octets make over its duration.
fn is_sparing(probe: &Probe, plan: &Plan) -> bool {
    let Some((video, track)) = plan.video.as_ref().zip(probe.main_video()) else { return false };
    let bits = u128::from(probe.size.0) * 8;
    let pixels = u128::from(track.display().pixels()) * u128::from(video.frame_count);
    bits.saturating_mul(1_000_000) < pixels.saturating_mul(MICROBITS_PER_PIXEL_MAX)
}

/// The GOPs that are tried: whole ones as the plan has them, or their first two seconds, in order.
pub fn samples(plan: &Plan) -> Vec<Span> {
    let spans = plan.video_spans();
    let frames = plan.video.as_ref().map_or(0, |video| video.frame_count);
    let parts = u64::try_from(SAMPLES_MAX).unwrap_or(1) * 2;
    let middles = (1..parts).step_by(2).map(|odd| u128::from(frames) * u128::from(odd) / u128::from(parts));
    let mut samples: Vec<Span> = Vec::new();
    for middle in middles {
        let found = spans.iter().find(|span| u128::from(span.end()) > middle);
        if let Some(span) = found.filter(|span| samples.last().is_none_or(|last| last.index < span.index)) {
            let gop = plan.cadence.gops(*span).first().copied().unwrap_or(span.count);
            samples.push(Span { count: gop.min(plan.cadence.gop_frames.max(1)), ..*span });
        }
    }
    samples
}

impl Plan {
    /// The same plan with only those rungs that a player gains something from, and with what is known of them.
    ///
    /// The largest rung stays. One below is left out where the next larger one that stays costs no more than
    /// the smallest rung may at all, or where it costs nearly as much as that one. A rung of which nothing is
    /// known is judged by its neighbours.
    #[must_use]
    pub fn with_costs(mut self, costs: Vec<Cost>) -> Self {
        if let Some(video) = &mut self.video {
            keep_useful(video, &costs);
            video.costs = costs;
        }
        self.add_extra_ladders();
        self
    }
}

fn keep_useful(video: &mut VideoPlan, costs: &[Cost]) {
    let copied = video.copied_rung().cloned();
    let cost = |id: &RenditionId| {
        let known = copied.as_ref().filter(|rung| rung.id == *id).map(|rung| (rung.bitrate_max, rung.bitrate_max));
        costs.iter().find(|cost| cost.rung == *id).map(|cost| (cost.average, cost.peak)).or(known)
    };
    let mut larger: Option<(Bitrate, Bitrate)> = None;
    let mut kept = Vec::with_capacity(video.rungs.len());
    for rung in video.rungs.drain(..).rev() {
        let own = cost(&rung.id);
        let is_useful = match (larger, own) {
            (Some((_, peak)), _) if peak <= LEAST_BITRATE => false,
            (Some((above, _)), Some((average, _))) => {
                u128::from(average.0) * 100 <= u128::from(above.0) * u128::from(SHARE_PERCENT_MAX)
            }
            _ => true,
        };
        if is_useful {
            larger = own;
            kept.push(rung);
        }
    }
    kept.reverse();
    video.rungs = kept;
}

#[cfg(test)]
pub(crate) mod tests;
