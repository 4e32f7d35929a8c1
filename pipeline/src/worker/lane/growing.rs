//! Jobs on uploads that are not complete: they give way to everything else, and decide nothing.

use std::time::Duration;

use catalog_store::{CatalogError, LeasedJob};
use tokio::time::sleep;
use transcoder::EngineError;

use super::Lane;
use crate::error::JobError;
use crate::metrics::Outcome;
use crate::retry::Verdict;

/// Time between two looks for something that is worth more than work on an unfinished upload.
const OUTRANKED_EVERY: Duration = Duration::from_millis(500);

/// Octets of an upload that a job waits for, at least, when too few were there.
const MORE_BYTES_MIN: u64 = 1 << 20;

/// Parts of an upload after each of which such a job is tried again.
const MORE_PARTS: u64 = 16;

impl Lane {
    /// Waits until something else is worth more than a job on an upload that is not complete; for ever beside others.
    pub(super) async fn outranked(&self, job: &LeasedJob) {
        if !job.is_ahead {
            return std::future::pending().await;
        }
        let catalog = &self.parts.catalog;
        loop {
            // Ends with the job.
            sleep(OUTRANKED_EVERY).await;
            let waits = catalog.next_job(self.kind, self.parts.clock.now()).await;
            // Once its upload is complete it is work like any other.
            if let Ok(Some(_)) = waits
                && let Ok(Some(_)) = catalog.open_upload_of(job.asset).await
            {
                return;
            }
        }
    }

    /// Has a job on an unfinished upload wait for more of it, or all of it: nothing is decided before.
    pub(super) async fn hold(&self, job: &LeasedJob, error: &JobError, cause: &str) -> Outcome {
        let held = async {
            let upload = self.parts.catalog.open_upload_of(job.asset).await?;
            let needs_bytes = upload.map_or(0, |upload| match error {
                JobError::Engine(EngineError::Early) => {
                    let length = upload.length.unwrap_or(0);
                    upload.offset.saturating_add(MORE_BYTES_MIN.max(length / MORE_PARTS))
                }
                _ => u64::MAX,
            });
            tracing::debug!(error = cause, needs_bytes, "job waits for more of its upload");
            self.parts.catalog.hold(job, cause, needs_bytes, self.parts.clock.now()).await
        };
        match held.await {
            Ok(()) => Outcome::Postponed,
            Err(CatalogError::LostLease { .. }) => self.lost(job).await,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot record that the job waits");
                Outcome::Lost
            }
        }
    }
}

/// True unless the verdict on a job of an unfinished upload stands: only an outage says nothing of the source.
pub(super) fn is_held(error: &JobError, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Forget => false,
        Verdict::Postpone(_) => matches!(error, JobError::Engine(EngineError::Early)),
        Verdict::Retry(_) | Verdict::Replan | Verdict::GoWithout(_) | Verdict::Fail(_) => true,
    }
}
