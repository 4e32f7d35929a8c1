//! Logins that failed, counted until they are written down.
//!
//! A login is not made to wait for the log, or it would tell by its time whether there is such an account. What is
//! counted is written once a minute, one row for each account, so that a flood is a number and not many rows.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use catalog_store::CatalogError;
use domain::UserId;
use tokio_util::sync::CancellationToken;

use super::Accounts;

/// Accounts that are told apart until the next row; those beyond are counted together.
const ACCOUNTS_MAX: usize = 1024;
/// Time between two rows of one account.
const WRITTEN_EVERY: Duration = Duration::from_secs(60);

/// Counts of logins that failed; `None` is for addresses that have no account.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Option<UserId>, u64>>);

impl Failures {
    /// Counts one.
    pub(crate) fn count(&self, user: Option<UserId>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let user = user.filter(|user| counts.len() < ACCOUNTS_MAX || counts.contains_key(&Some(*user)));
        *counts.entry(user).or_default() += 1;
    }

    fn take(&self) -> HashMap<Option<UserId>, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put_back(&self, user: Option<UserId>, count: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(user).or_default() += count;
    }
}

impl Accounts {
    /// Writes down logins that failed, once a minute and at the end, until `soft` is cancelled.
    pub async fn note_failures(self, soft: CancellationToken) {
        // Ends with the soft signal, after what was counted by then.
        loop {
            let is_over = soft.run_until_cancelled(tokio::time::sleep(WRITTEN_EVERY)).await.is_none();
            if let Err(error) = self.write_failures().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed logins cannot be written down");
            }
            if is_over {
                return;
            }
        }
    }

    /// Writes down the logins that failed so far.
    ///
    /// # Errors
    /// When the catalogue does not answer; what could not be written is counted on.
    pub async fn write_failures(&self) -> Result<(), CatalogError> {
        let mut counts = self.0.failures.take().into_iter();
        while let Some((user, count)) = counts.next() {
            let written = self.0.catalog.note_failed_logins(user, count, self.0.clock.now()).await;
            if let Err(error) = written {
                self.0.failures.put_back(user, count);
                counts.for_each(|(user, count)| self.0.failures.put_back(user, count));
                return Err(error);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_over_many_accounts_is_counted_in_bounds() {
        let failures = Failures::default();
        for id in 0..5000 {
            failures.count(Some(UserId::from_u128(id % 3000)));
        }
        failures.count(None);
        let counts = failures.take();
        assert!(counts.len() <= ACCOUNTS_MAX + 1);
        assert_eq!(counts.values().sum::<u64>(), 5001);
        assert_eq!(counts[&Some(UserId::from_u128(0))], 2);
        assert!(failures.take().is_empty());
    }
}
