//! How many wrong passwords of assets are looked at.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::throttle::{Policy, Throttle};
use tokio::time::Instant;

/// Wrong passwords of one asset from one address.
const OF_ADDRESS: Policy = Policy { name: "address", burst: 20, period_ms: 15_000 };
/// Wrong passwords of one asset, from wherever they come.
const OF_ASSET: Policy = Policy { name: "asset", burst: 300, period_ms: 2_000 };

/// Counts tries.
pub(super) struct Attempts {
    begun: Instant,
    throttle: Mutex<Throttle>,
}

/// Somebody's try, which counts unless it is [given back](Attempts::give_back).
pub(super) struct Attempt([(&'static Policy, String); 2]);

impl Attempts {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), throttle: Mutex::default() }
    }

    /// Counts one try of a password that is kept as `hash`; one too many is not counted.
    ///
    /// # Errors
    /// After what time there is room for one.
    pub(super) fn take(&self, hash: &str, neighbourhood: &str) -> Result<Attempt, Duration> {
        let now_ms = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX / 2);
        let attempt = Attempt([(&OF_ADDRESS, format!("{neighbourhood} {hash}")), (&OF_ASSET, hash.to_owned())]);
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, (policy, subject)) in attempt.0.iter().enumerate() {
            let allowance = throttle.take(policy, subject, now_ms);
            if allowance.is_exceeded {
                attempt.0[..at].iter().for_each(|(policy, subject)| throttle.give_back(policy, subject));
                return Err(Duration::from_millis(allowance.reset_ms));
            }
        }
        Ok(attempt)
    }

    /// Takes one try back: it was none to count.
    pub(super) fn give_back(&self, Attempt(counted): Attempt) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().for_each(|(policy, subject)| throttle.give_back(policy, subject));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_then_one_in_a_while() {
        let attempts = Attempts::new();
        let tried = |address: &str| attempts.take("hash", address).map(drop);
        assert!((0..20).all(|_| tried("a").is_ok()));
        assert_eq!(tried("a"), Err(Duration::from_secs(15)));
        assert_eq!(tried("b"), Ok(()), "everybody has their own");
        assert!(attempts.take("other", "a").is_ok(), "so has every asset");
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!((tried("a").is_ok(), tried("a").is_ok()), (true, false));
        tokio::time::advance(Duration::from_secs(15)).await;
        let attempt = attempts.take("hash", "a").expect("there is room for one");
        attempts.give_back(attempt);
        assert_eq!((tried("a").is_ok(), tried("a").is_ok()), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_asset_is_not_guessed_at_by_many_together() {
        let attempts = Attempts::new();
        let tried = |nth: u32| attempts.take("hash", &format!("address {nth}"));
        assert_eq!((0..1000).filter(|nth| tried(*nth).is_ok()).count(), 300);
        // What was refused for all of them counts for none.
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!((0..20).filter(|_| tried(999).is_ok()).count(), 20);
    }
}
