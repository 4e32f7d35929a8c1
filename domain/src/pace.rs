//! How fast a rendition is made, and how long the rest of it will take: from the last commits of its segments. Pure.
//!
//! What is measured is what was done, not how long a process has run: so the measure outlives workers, counts all of
//! them together, and a pause (a server that was stopped, a store that was away) is no part of it.

use std::time::Duration;

use crate::Timestamp;

/// Commits that a measure looks at.
pub const WINDOW_COMMITS: usize = 24;

/// Commits without which nothing is measured.
const COMMITS_MIN: usize = 3;

/// A gap of so many times one that is longer than three quarters of all is a pause: what is longer does not count.
const PAUSE_FACTOR: u32 = 4;

/// A gap that is no pause, however fast everything else goes.
const PAUSE_MIN: Duration = Duration::from_secs(2);

/// Silence after which a rendition is not being made.
const SILENCE_MIN: Duration = Duration::from_secs(60);

/// A segment that was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Commit {
    /// When.
    pub at: Timestamp,
    /// How long it plays, on the timescale of its rendition.
    pub ticks: u64,
}

/// The last commits of one rendition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The earliest first.
    commits: Vec<Commit>,
}

impl Pace {
    /// The pace of these commits, of which the last [`WINDOW_COMMITS`] count. Clocks of several machines may have
    /// written them, and one may have been set back: only their order by time matters.
    pub fn of(mut commits: Vec<Commit>) -> Self {
        commits.sort_unstable();
        let first = commits.len().saturating_sub(WINDOW_COMMITS);
        Self { commits: commits.split_off(first) }
    }

    /// Time until `remaining_ticks` more are made, as seen `now`.
    ///
    /// `None` while too little is known, and when nothing has come for so long that nobody seems to work. Zero only
    /// if nothing remains.
    pub fn left(&self, remaining_ticks: u64, now: Timestamp) -> Option<Duration> {
        if remaining_ticks == 0 {
            return Some(Duration::ZERO);
        }
        if self.commits.len() < COMMITS_MIN {
            return None;
        }
        let gaps: Vec<Duration> = self.commits.windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
        let mut sorted = gaps.clone();
        sorted.sort_unstable();
        let usual = sorted[(sorted.len() * 3 / 4).min(sorted.len() - 1)];
        let pause = usual.saturating_mul(PAUSE_FACTOR).max(PAUSE_MIN);
        let silence = now.since(self.commits.last()?.at);
        if silence > pause.saturating_mul(2).max(SILENCE_MIN) {
            return None;
        }
        let active_ms: u128 = gaps.iter().map(|gap| (*gap).min(pause).as_millis()).sum();
        // What the first commit brought was done before the first gap.
        let done: u128 = self.commits.iter().skip(1).map(|commit| u128::from(commit.ticks)).sum();
        if active_ms == 0 || done == 0 {
            return None;
        }
        let needed_ms = u128::from(remaining_ticks).saturating_mul(active_ms) / done;
        // What is under way is not there yet, but it has been worked on since the last commit.
        let left_ms = needed_ms.saturating_sub(silence.min(usual).as_millis()).max(1);
        Some(Duration::from_millis(u64::try_from(left_ms).unwrap_or(u64::MAX)))
    }
}

/// Time until all of several renditions are made, which are made side by side; `None` if it is not known of one.
pub fn until_all(parts: impl IntoIterator<Item = Option<Duration>>) -> Option<Duration> {
    parts.into_iter().try_fold(Duration::ZERO, |longest, left| left.map(|left| left.max(longest)))
}

/// Whole seconds for people, rounded up: zero only when nothing is left.
pub fn seconds(left: Duration) -> u64 {
    left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    /// Commits of a second of media each, at these moments.
    fn pace(moments_ms: impl IntoIterator<Item = i64>) -> Pace {
        Pace::of(moments_ms.into_iter().map(|ms| Commit { at: at(ms), ticks: 1000 }).collect())
    }

    fn left(pace: &Pace, remaining: u64, now_ms: i64) -> Option<u64> {
        pace.left(remaining, at(now_ms)).map(seconds)
    }

    #[test]
    fn a_steady_pace_gives_the_time_that_is_left() {
        let steady = pace((0..10).map(|at| at * 2000));
        assert_eq!(left(&steady, 5000, 18_000), Some(10));
        assert_eq!(left(&steady, 5000, 19_000), Some(9), "it counts down between commits");
        assert_eq!(left(&steady, 5000, 25_000), Some(8), "but not further than to the next");
        assert_eq!(left(&steady, 0, 18_000), Some(0));
        assert_eq!(left(&steady, 1, 20_000), Some(1), "not zero while something is left");
    }

    #[test]
    fn it_is_unknown_before_anything_is_measured_and_when_nobody_works() {
        assert_eq!(left(&Pace::default(), 1, 0), None);
        assert_eq!(left(&pace([0, 1000]), 1, 1000), None);
        assert_eq!(left(&pace([5, 5, 5]), 1, 5), None, "no time has passed");
        let steady = pace((0..10).map(|at| at * 2000));
        assert!(left(&steady, 5000, 18_000 + 60_000).is_some());
        assert_eq!(left(&steady, 5000, 18_000 + 60_001), None);
        let slow = pace((0..10).map(|at| at * 100_000));
        assert!(left(&slow, 5000, 900_000 + 700_000).is_some(), "slow is not silent");
    }

    #[test]
    fn a_pause_is_no_part_of_the_pace() {
        let mut moments: Vec<i64> = (0..10).map(|at| at * 2000).collect();
        moments.extend((0..10).map(|at| 3_600_000 + at * 2000));
        let paused = pace(moments);
        let told = left(&paused, 10_000, 3_618_000).expect("it is known");
        assert!((20..=24).contains(&told), "{told}: an hour of rest counts as one long gap");
    }

    #[test]
    fn what_was_long_ago_does_not_count() {
        // Ten times slower since a while.
        let mut moments: Vec<i64> = (0..100).map(|at| at * 100).collect();
        moments.extend((1..=30).map(|at| 9900 + at * 1000));
        assert_eq!(left(&pace(moments), 10_000, 39_900), Some(10));
    }

    #[test]
    fn segments_of_unequal_length_count_by_what_they_play() {
        let commits = [(0, 2000), (4000, 2000), (8000, 2000), (20_000, 6000), (32_000, 6000)];
        let commits = commits.map(|(ms, ticks)| Commit { at: at(ms), ticks });
        assert_eq!(left(&Pace::of(commits.to_vec()), 6000, 32_000), Some(12));
    }

    #[test]
    fn a_clock_that_is_set_back_gives_no_nonsense() {
        let set_back = pace([10_000, 12_000, 14_000, 3000, 5000, 7000]);
        let told = left(&set_back, 10_000, 7000).expect("it is known");
        assert!((10..=40).contains(&told), "{told}");
    }

    #[test]
    fn renditions_side_by_side_take_as_long_as_the_longest() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(until_all([seconds(3), seconds(9), seconds(0)]), seconds(9));
        assert_eq!(until_all([seconds(3), None]), None);
        assert_eq!(until_all([]), seconds(0));
    }

    proptest! {
        #[test]
        fn it_is_zero_exactly_when_nothing_remains_and_never_overflows(
            commits in proptest::collection::vec((any::<i64>(), any::<u64>()), 0..40),
            remaining: u64,
            now: i64,
        ) {
            let commits = commits.into_iter().map(|(ms, ticks)| Commit { at: Timestamp::from_unix_ms(ms), ticks });
            let left = Pace::of(commits.collect()).left(remaining, Timestamp::from_unix_ms(now));
            prop_assert_eq!(left == Some(Duration::ZERO), remaining == 0);
        }
    }
}
