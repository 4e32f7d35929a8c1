//! Which rate factor each rung gets, so that every title looks as good as was asked for and no better.
//!
//! One rate factor gives a cartoon more than it needs and grain less. What a factor gives is only known once
//! pictures are encoded; which ones are tried, and what follows from how they look, is decided here.
//! How a picture looks is its structural similarity (SSIM, luma) to what the encoder was given, in decibels:
//! −10 log10(1 − SSIM), so that equal steps are about equal steps to the eye and 0.99 is 20 dB.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::{Plan, RenditionId, Span, complexity};

/// Rate factors that are tried on every sample; others are judged by them.
pub const TRIED: [u8; 3] = [18, 24, 30];

/// Rate factors that a rung may get.
pub const CHOICE: RangeInclusive<u8> = 17..=32;

/// Whole decibels that can be asked for.
pub const TARGETS_DB: RangeInclusive<u8> = 8..=25;

/// The shortest side of a picture that is judged, in pixels: below, there is too little to compare.
const SIDE_MIN: u32 = 64;

/// What may be lost, in hundredths of a decibel, of a quality that no rate factor improves on: the cap of the bit
/// rate decides there, not the factor.
const LOSS_MAX: i64 = 10;

/// One, in millionths.
const MILLION: u32 = 1_000_000;

/// Structural similarity to the original, in hundredths of a decibel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ssim(i64);

impl Ssim {
    /// From the similarity itself in millionths; all that is larger counts as equal.
    pub fn from_millionths(millionths: u32) -> Self {
        let rest = f64::from(MILLION.saturating_sub(millionths)) / f64::from(MILLION);
        // All that is left of nothing is infinitely good.
        let hundredths = (-1000.0 * rest.log10()).round().clamp(0.0, 6000.0);
        #[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
        Self(hundredths as i64)
    }

    /// From whole decibels.
    pub fn from_db(db: u8) -> Self {
        Self(i64::from(db) * 100)
    }

    /// In hundredths of a decibel.
    pub fn hundredths(self) -> i64 {
        self.0
    }
}

/// How a rung looks at one rate factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The rate factor.
    pub crf: u8,
    /// On average over all samples.
    pub ssim: Ssim,
}

/// How a rung looked at each rate factor that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looks {
    /// The rung.
    pub rung: RenditionId,
    /// In order of the rate factors, each of which is there once.
    pub looks: Vec<Look>,
}

/// The pictures that are tried, in order: the first second of as many GOPs as are tried for the ladder. Empty if the
/// recipe does not ask, if there is nothing to encode, or if the pictures are too small to be judged.
pub fn samples(plan: &Plan) -> Vec<Span> {
    let Some(video) = plan.video.as_ref().filter(|_| plan.recipe.per_title_db.is_some()) else { return vec![] };
    let encoded = &video.rungs[..video.encoded_count()];
    if encoded.is_empty() || encoded.iter().any(|rung| rung.resolution.short_side() < SIDE_MIN) {
        return vec![];
    }
    let rate = plan.cadence.frame_rate;
    let second = rate.num().div_ceil(rate.den()).max(1);
    complexity::samples(plan).into_iter().map(|span| Span { count: span.count.min(second), ..span }).collect()
}

/// The largest rate factor at which a rung looks as good as `target`, judged by what was tried.
///
/// Between two factors that were tried the quality is taken to change evenly, and beyond the outermost as between
/// the last two. Where the target cannot be reached, it is the largest that looks as good as can be.
/// `None` if nothing was tried.
pub fn choose(target: Ssim, tried: &[Look]) -> Option<u8> {
    // A smaller factor is as good as a larger one. Where it looks worse, it has spent a capped rate too early, and
    // nobody would take it.
    let mut looks: Vec<Look> = tried.to_vec();
    looks.sort_by_key(|look| look.crf);
    looks.dedup_by_key(|look| look.crf);
    let mut best = Ssim(0);
    for look in looks.iter_mut().rev() {
        best = best.max(look.ssim);
        look.ssim = best;
    }
    let best = at(&looks, *CHOICE.start())?;
    let goal = target.0.min(best - LOSS_MAX);
    CHOICE.rev().find(|crf| at(&looks, *crf).is_some_and(|ssim| ssim >= goal)).or(Some(*CHOICE.start()))
}

/// The quality at a rate factor, in hundredths of a decibel.
fn at(looks: &[Look], crf: u8) -> Option<i64> {
    let pair = looks.windows(2).find(|pair| crf <= pair[1].crf).or_else(|| looks.windows(2).last());
    let Some([from, to]) = pair else { return looks.first().map(|look| look.ssim.0) };
    let (steps, width) = (i64::from(crf) - i64::from(from.crf), i64::from(to.crf) - i64::from(from.crf));
    Some(from.ssim.0 + (to.ssim.0 - from.ssim.0) * steps / width.max(1))
}

impl Plan {
    /// The same plan with a rate factor of its own for each rung that was tried, and with how it looked.
    ///
    /// A smaller rung never gets a larger factor than the next larger one: whoever is shown it is shown less anyway.
    #[must_use]
    pub fn with_looks(mut self, looks: Vec<Looks>) -> Self {
        let (Some(video), Some(db)) = (&mut self.video, self.recipe.per_title_db) else { return self };
        let encoded = video.encoded_count();
        let mut larger = *CHOICE.end();
        for rung in video.rungs[..encoded].iter_mut().rev() {
            let tried = looks.iter().find(|looks| looks.rung == rung.id);
            if let Some(own) = tried.and_then(|tried| choose(Ssim::from_db(db), &tried.looks)) {
                larger = larger.min(own);
                rung.crf = Some(larger);
            }
        }
        video.looks = looks;
        self.add_extra_ladders();
        self
    }
}

#[cfg(test)]
mod tests;
