//! How long an import has its place, and what it brought meanwhile.
//!
//! Places are few. A server that hands out an octet now and then would keep one for ever, so what counts is not
//! whether an import moves but how much it brings on average, over all its connections and the pauses in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{Failure, FailureCode};
use tokio::time::Instant;

use super::super::ImportRules;

/// Watches one import for as long as it has its place. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pace {
    rules: Arc<ImportRules>,
    begun: Instant,
    brought: Arc<AtomicU64>,
}

impl Pace {
    /// The import has its place from here on.
    pub(super) fn begin(rules: &Arc<ImportRules>) -> Self {
        Self { rules: Arc::clone(rules), begun: Instant::now(), brought: Arc::default() }
    }

    /// Octets came, new ones or such as are there already.
    pub(super) fn brought(&self, bytes: u64) {
        self.brought.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Fails when the place is better given to another import.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let ImportRules { rate_min, rate_window, time_max, .. } = *self.rules;
        let (took, brought) = (self.begun.elapsed(), self.brought.load(Ordering::Relaxed));
        let wanted = u128::from(rate_min) * took.as_millis() / 1000;
        let message = if took >= time_max {
            format!("the file did not come within {} seconds", time_max.as_secs())
        } else if took >= rate_window && u128::from(brought) < wanted {
            format!("the server of the file sends less than {rate_min} octets a second")
        } else {
            return Ok(());
        };
        Err(Failure::new(FailureCode::SourceUnavailable, message))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_import_is_given_up_for_its_average_and_for_its_age() {
        let second = Duration::from_secs(1);
        let rules =
            ImportRules { rate_min: 10, rate_window: 60 * second, time_max: 600 * second, ..Default::default() };
        let pace = Pace::begin(&Arc::new(rules));
        let advance = tokio::time::advance;
        advance(59 * second).await;
        assert!(pace.check().is_ok(), "nothing is judged before its time");
        pace.brought(601);
        advance(second).await;
        assert!(pace.check().is_ok());
        advance(second).await;
        assert!(pace.check().is_err_and(|failure| failure.message.contains("less than 10 octets a second")));
        pace.brought(1 << 40);
        assert!(pace.check().is_ok());
        advance(600 * second).await;
        assert!(pace.check().is_err_and(|failure| failure.message.contains("within 600 seconds")));
    }
}
