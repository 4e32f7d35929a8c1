//! How the decoding of pictures went, and when a source counts as damaged.

use serde::{Deserialize, Serialize};

/// Share of pictures that may be undecodable before a source counts as damaged, in percent.
const BAD_PERCENT_MAX: u64 = 5;

/// Undecodable pictures that are always tolerated, however short the source.
const BAD_FREE: u64 = 3;

/// Counts of one run of pictures, such as a chunk; added up over all runs they judge a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Pictures of the source that were decoded.
    pub good: u64,
    /// Pictures of the source that could not be decoded.
    pub bad: u64,
    /// Pictures of the output that show the same picture of the source as the one before.
    pub repeated: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            good: self.good.saturating_add(other.good),
            bad: self.bad.saturating_add(other.bad),
            repeated: self.repeated.saturating_add(other.repeated),
        }
    }

    /// True if more was lost than can be overlooked: above 5 %, and more than three pictures.
    pub fn is_damaged(self) -> bool {
        let all = u128::from(self.good) + u128::from(self.bad);
        self.bad > BAD_FREE && u128::from(self.bad) * 100 > all * u128::from(BAD_PERCENT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(good: u64, bad: u64) -> Tally {
        Tally { good, bad, repeated: 0 }
    }

    #[test]
    fn one_bad_minute_of_an_hour_is_overlooked_and_ten_are_not() {
        let minute = |bad| tally(1500 - bad, bad);
        let hour = |bad_minutes| {
            (0..60).map(|at| minute(if at < bad_minutes { 1500 } else { 0 })).fold(tally(0, 0), Tally::plus)
        };
        assert!(minute(1500).is_damaged());
        assert!(!hour(1).is_damaged());
        assert!(!hour(3).is_damaged(), "exactly 5 %");
        assert!(hour(10).is_damaged());
    }

    #[test]
    fn a_handful_is_tolerated_however_short_the_source() {
        assert!(!tally(2, 3).is_damaged());
        assert!(tally(2, 4).is_damaged());
        assert!(!tally(0, 0).is_damaged());
        assert!(!tally(u64::MAX, 4).plus(tally(u64::MAX, 0)).is_damaged());
    }
}
