//! What becomes of a job that failed: again later, given up, or settled without its product.

use std::time::Duration;

use domain::{Failure, JobKind};

use crate::error::JobError;

/// Recorded errors after which a job is given up.
const FAILURES_MAX: u32 = 5;

/// Recorded engine crashes and stalls after which a job is given up: the same source crashes the
/// same code, so more tries than for a store or database that may come back.
const ENGINE_FAILURES_MAX: u32 = 3;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// What to do with a job that ended in an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The job is somebody else's, or its asset is gone: touch nothing.
    Forget,
    /// Try again after this time.
    Retry(Duration),
    /// Settle the part without its product; the asset plays without it.
    GoWithout(Failure),
    /// The asset fails.
    Fail(Failure),
}

/// Decides after `error` in a job that had `failures` recorded errors before this one.
///
/// `entropy` spreads the retries of jobs that failed together.
pub(crate) fn verdict(error: &JobError, kind: JobKind, is_optional: bool, failures: u32, entropy: u8) -> Verdict {
    let failure = match error {
        JobError::LostLease | JobError::Gone => return Verdict::Forget,
        JobError::Refused(failure) => failure.clone(),
        JobError::Inconsistent { .. } => error.failure(kind),
        JobError::Engine(cause) if !cause.is_transient() => cause.failure(),
        _ => {
            let limit = if error.is_decoding() { ENGINE_FAILURES_MAX } else { FAILURES_MAX };
            // Nobody waits for the removal of a deleted asset, and giving up would leak its objects.
            if failures + 1 < limit || kind == JobKind::Purge {
                return Verdict::Retry(backoff(failures, entropy));
            }
            error.failure(kind)
        }
    };
    if is_optional { Verdict::GoWithout(failure) } else { Verdict::Fail(failure) }
}

/// 1 s, doubled with every failure up to a minute, give or take a quarter.
fn backoff(failures: u32, entropy: u8) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    doubled * 3 / 4 + doubled * u32::from(entropy) / 512
}

#[cfg(test)]
mod tests {
    use domain::FailureCode;

    use super::*;

    fn broken_store() -> JobError {
        JobError::Panicked
    }

    #[test]
    fn a_transient_error_is_retried_with_growing_pauses_and_then_given_up() {
        let pause = |failures| match verdict(&broken_store(), JobKind::Chunk, false, failures, 128) {
            Verdict::Retry(after) => Some(after.as_secs()),
            _ => None,
        };
        assert_eq!([0, 1, 2, 3].map(pause), [Some(1), Some(2), Some(4), Some(8)]);
        assert_eq!(pause(4), None);
        assert!(matches!(verdict(&broken_store(), JobKind::Chunk, false, 4, 0), Verdict::Fail(_)));
    }

    #[test]
    fn pauses_differ_between_jobs_and_are_bounded() {
        assert!(backoff(3, 0) < backoff(3, 255));
        assert!(backoff(40, 255) <= BACKOFF_MAX * 5 / 4);
    }

    #[test]
    fn a_refused_source_fails_at_once_and_an_optional_part_is_left_out() {
        let refused = JobError::Refused(Failure::new(FailureCode::Damaged, "broken"));
        let failure = Failure::new(FailureCode::Damaged, "broken");
        assert_eq!(verdict(&refused, JobKind::Chunk, false, 0, 0), Verdict::Fail(failure.clone()));
        assert_eq!(verdict(&refused, JobKind::Images, true, 0, 0), Verdict::GoWithout(failure));
    }

    #[test]
    fn a_lost_lease_touches_nothing_and_a_purge_never_gives_up() {
        assert_eq!(verdict(&JobError::LostLease, JobKind::Audio, true, 9, 0), Verdict::Forget);
        assert!(matches!(verdict(&broken_store(), JobKind::Purge, false, 1000, 0), Verdict::Retry(_)));
    }
}
