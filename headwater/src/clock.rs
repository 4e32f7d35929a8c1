//! The system's clock and the system's randomness: the only place that asks for either.

use domain::{Clock, Timestamp};

/// Wall time and unpredictable bytes from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one clock that everything else is handed")]
    fn now(&self) -> Timestamp {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    fn entropy(&self) -> [u8; 16] {
        // The thread's generator is a ChaCha stream seeded by the system: fit for names nobody may guess.
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_of_randomness_differ() {
        assert_ne!(SystemClock.entropy(), SystemClock.entropy());
    }
}
