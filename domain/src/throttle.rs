//! How often something may be tried, by whom: in memory of fixed size, however many try.
//!
//! Each subject has two cells among many, found by two secret hashes; what both agree on counts. That somebody else
//! falls into one of them changes nothing, and nobody can push a subject out.

use std::hash::{BuildHasher, RandomState};

/// Cells of each of the two rows.
const CELLS: usize = 1 << 15;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in header fields; tries under two names never count together.
    pub name: &'static str,
    /// As many at once.
    pub burst: u32,
    /// Then one in this time.
    pub period_ms: i64,
}

/// What is left after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The try was one too many, and is not counted.
    pub is_exceeded: bool,
    /// As many more at once.
    pub remaining: u32,
    /// Until there is one more, if there is none; else until there are all.
    pub reset_ms: u64,
}

impl Allowance {
    /// The same time in whole seconds, at least one.
    #[must_use]
    pub fn reset_s(&self) -> u32 {
        u32::try_from(self.reset_ms.div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }
}

/// Counts tries. By the generic cell rate algorithm: a cell holds when everything that was tried is paid for.
pub struct Throttle {
    hashers: [RandomState; 2],
    paid_at_ms: Box<[i64]>,
}

impl Default for Throttle {
    fn default() -> Self {
        let cells = vec![0; 2 * CELLS].into_boxed_slice();
        Self { hashers: [RandomState::new(), RandomState::new()], paid_at_ms: cells }
    }
}

impl std::fmt::Debug for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Throttle")
    }
}

impl Throttle {
    /// Counts one try of `subject`; one too many is not counted. `now_ms` is of one clock for all tries.
    pub fn take(&mut self, policy: &Policy, subject: &str, now_ms: i64) -> Allowance {
        let places = self.places(policy, subject);
        let before = places.map(|place| self.paid_at_ms[place]).into_iter().min().unwrap_or(0).max(now_ms);
        let after = before.saturating_add(policy.period_ms);
        let (owed, depth) = (after - now_ms, i64::from(policy.burst) * policy.period_ms);
        let is_exceeded = owed > depth;
        if !is_exceeded {
            for place in places {
                self.paid_at_ms[place] = self.paid_at_ms[place].max(after);
            }
        }
        let (remaining, reset_ms) =
            if is_exceeded { (0, owed - depth) } else { ((depth - owed) / policy.period_ms, owed) };
        Allowance {
            is_exceeded,
            remaining: u32::try_from(remaining).unwrap_or(0),
            reset_ms: u64::try_from(reset_ms).unwrap_or(0),
        }
    }

    /// Takes one try back: it was none to count.
    pub fn give_back(&mut self, policy: &Policy, subject: &str) {
        for place in self.places(policy, subject) {
            self.paid_at_ms[place] -= policy.period_ms;
        }
    }

    fn places(&self, policy: &Policy, subject: &str) -> [usize; 2] {
        let place = |row: usize| {
            let hash = self.hashers[row].hash_one((policy.name, subject));
            row * CELLS + usize::try_from(hash % CELLS as u64).unwrap_or(0)
        };
        [place(0), place(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Policy = Policy { name: "three", burst: 3, period_ms: 1000 };

    #[test]
    fn so_many_at_once_and_then_one_in_a_while() {
        let mut throttle = Throttle::default();
        let mut tried = |subject: &str, ms: i64| !throttle.take(&THREE, subject, 1_800_000_000_000 + ms).is_exceeded;
        assert_eq!([0, 0, 0, 0].map(|ms| tried("ada", ms)), [true, true, true, false]);
        assert!(tried("bob", 0), "everybody has their own");
        assert!(!tried("ada", 999) && tried("ada", 1000) && !tried("ada", 1000));
        throttle.give_back(&THREE, "ada");
        let mut tried = |subject: &str, ms: i64| !throttle.take(&THREE, subject, 1_800_000_000_000 + ms).is_exceeded;
        assert!(tried("ada", 1000) && !tried("ada", 1000));
    }

    #[test]
    fn a_flood_of_others_takes_nothing_from_one() {
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            throttle.take(&THREE, "ada", 0);
        }
        for other in 0..3000 {
            throttle.take(&THREE, &format!("other-{other}"), 0);
        }
        assert!(throttle.take(&THREE, "ada", 0).is_exceeded, "nobody is pushed out");
        let refused = (0..1000).filter(|other| throttle.take(&THREE, &format!("new-{other}"), 0).is_exceeded);
        assert!(refused.count() < 10, "two cells are seldom both somebody else's");
    }

    #[test]
    fn what_is_left_is_told() {
        let mut throttle = Throttle::default();
        let first = throttle.take(&THREE, "ada", 0);
        assert_eq!(first, Allowance { is_exceeded: false, remaining: 2, reset_ms: 1000 });
        for _ in 0..2 {
            throttle.take(&THREE, "ada", 0);
        }
        let refused = throttle.take(&THREE, "ada", 100);
        assert_eq!((refused.is_exceeded, refused.remaining, refused.reset_ms, refused.reset_s()), (true, 0, 900, 1));
    }
}
