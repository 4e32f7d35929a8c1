//! What becomes of a job that failed: again later, given up, or settled without its product.
//!
//! | at fault | becomes |
//! |---|---|
//! | the machine: store, catalogue, disk, no process | postponed, as often as it takes; it counts as nobody's failure |
//! | the machine: it killed the engine | postponed, twenty times: it may lack the memory for this source |
//! | the source, for good | given up at once |
//! | the source, perhaps: a crash, a stall, segments that do not fit | tried three times, then given up |
//! | what is stored, or this program | tried five times where that may help, then the asset fails |
//!
//! Giving up means to go without the product where the asset plays without it, which is recorded; else
//! the asset fails.

use std::time::Duration;

use domain::{Failure, JobKind};
use transcoder::EngineError;

use crate::error::JobError;

/// Failures of this program, or of what is stored, after which a job is given up.
const FAILURES_MAX: u32 = 5;

/// Engine crashes and stalls after which a job is given up: the same source crashes the same code, so
/// fewer tries than for what may be chance.
const ENGINE_FAILURES_MAX: u32 = 3;

/// Runs of a demand that the machine may spoil: a viewer who still waits asks again.
const DEMAND_OUTAGES_MAX: u32 = 3;

/// Runs of a job that may be spoiled once its engine is killed: about a quarter of an hour.
const KILLED_OUTAGES_MAX: u32 = 20;

const BACKOFF_FIRST: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A job that ended in an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// What it does.
    pub(crate) kind: JobKind,
    /// The asset plays without what it makes.
    pub(crate) is_optional: bool,
    /// It takes over pictures or sound of the source as they are.
    pub(crate) is_copy: bool,
    /// Failures before this one, of all workers.
    pub(crate) failures: u32,
    /// Other runs before this one that came to no end: outages, mostly.
    pub(crate) outages: u32,
    /// Outages after which the machine is given up, if anybody waits for the end.
    pub(crate) outages_max: Option<u32>,
}

/// What to do with a job that ended in an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The job is somebody else's, or its asset is gone: touch nothing.
    Forget,
    /// Try again after this time; nobody has failed.
    Postpone(Duration),
    /// Try again after this time.
    Retry(Duration),
    /// Encode what was to be copied: the source's own pictures, or its sound, are no use as they are.
    Replan,
    /// Settle the part without its product; the asset plays without it.
    GoWithout(Failure),
    /// The asset fails.
    Fail(Failure),
}

/// Decides what `error` means for the job of `case`.
///
/// `entropy` spreads the retries of jobs that failed together.
pub(crate) fn verdict(error: &JobError, case: Case, entropy: u8) -> Verdict {
    if matches!(error, JobError::LostLease | JobError::Gone) {
        return Verdict::Forget;
    }
    // Nobody waits for a removal, and giving up would leak the objects.
    let is_purge = case.kind.is_removal();
    if error.is_outage() {
        let killed_max = matches!(error, JobError::Engine(EngineError::Killed { .. })).then_some(KILLED_OUTAGES_MAX);
        let demand_max = (case.kind == JobKind::Demand).then_some(DEMAND_OUTAGES_MAX);
        return match [demand_max, killed_max, case.outages_max].into_iter().flatten().min() {
            Some(max) if case.outages.saturating_add(1) >= max && !is_purge => Verdict::Fail(error.failure(case.kind)),
            _ => Verdict::Postpone(backoff(case.outages, entropy)),
        };
    }
    // A second try copies the same octets; where the engine itself failed it may help.
    let is_lasting = error.is_refusal() || !matches!(error, JobError::Engine(_));
    let is_last = case.failures.saturating_add(1) >= ENGINE_FAILURES_MAX;
    if case.is_copy && (error.is_refusal() || error.is_decoding()) && (is_lasting || is_last) {
        return Verdict::Replan;
    }
    let failures_max = match error {
        _ if error.is_refusal() => 1,
        JobError::Inconsistent { .. } => 1,
        _ if error.is_decoding() => ENGINE_FAILURES_MAX,
        _ => FAILURES_MAX,
    };
    if case.failures.saturating_add(1) < failures_max || is_purge {
        return Verdict::Retry(backoff(case.failures, entropy));
    }
    let failure = error.failure(case.kind);
    // Only what is wrong with the source is a reason to show the rest of it.
    let is_source = error.is_refusal() || error.is_decoding();
    if case.is_optional && is_source { Verdict::GoWithout(failure) } else { Verdict::Fail(failure) }
}

/// 1 s, doubled with every failure up to a minute, give or take a quarter.
fn backoff(failures: u32, entropy: u8) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(1 << failures.min(16)).min(BACKOFF_MAX);
    doubled * 3 / 4 + doubled * u32::from(entropy) / 512
}

#[cfg(test)]
mod tests {
    use catalog_store::{Catalog, CatalogError};
    use domain::FailureCode;
    use media_store::StoreError;

    use super::*;

    const CHUNK: Case =
        Case { kind: JobKind::Chunk, is_optional: false, is_copy: false, failures: 0, outages: 0, outages_max: None };
    const SOUND: Case = Case { kind: JobKind::Audio, is_optional: true, ..CHUNK };

    fn outages() -> [JobError; 6] {
        let source = || std::io::Error::other("the disk is away");
        let store = StoreError::Io { action: "write", key: "media/1".into(), source: source() };
        [
            JobError::Store(store),
            JobError::Catalog(closed_database()),
            JobError::Engine(EngineError::Start { source: source() }),
            JobError::Engine(EngineError::Unreadable),
            JobError::Scratch(source()),
            JobError::Outpaced,
        ]
    }

    fn closed_database() -> CatalogError {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!("sqlite://{}", folder.path().join("catalog.db").display());
            let catalog = Catalog::open(&url).await.expect("a database");
            catalog.close().await;
            catalog.unfinished_job_count().await.expect_err("nobody answers")
        })
    }

    fn crash() -> JobError {
        JobError::Engine(EngineError::Crashed { status: "signal: 11".into(), log: String::new() })
    }

    fn pause(verdict: Verdict) -> Option<u64> {
        match verdict {
            Verdict::Retry(after) | Verdict::Postpone(after) => Some(after.as_secs()),
            _ => None,
        }
    }

    #[test]
    fn an_outage_is_waited_out_whatever_the_job_and_however_long_it_lasts() {
        for error in outages() {
            for case in [CHUNK, SOUND] {
                for outages in [0, 4, 1000] {
                    let verdict = verdict(&error, Case { outages, ..case }, 0);
                    assert!(
                        matches!(verdict, Verdict::Postpone(after) if after <= BACKOFF_MAX),
                        "{error}: {verdict:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn somebody_who_waits_for_the_end_learns_of_an_outage() {
        for error in outages() {
            let case = |outages| Case { outages, outages_max: Some(5), ..SOUND };
            assert_eq!([0, 3].map(|outages| pause(verdict(&error, case(outages), 128))), [Some(1), Some(8)]);
            assert!(matches!(verdict(&error, case(4), 0), Verdict::Fail(_)), "never without sound");
        }
    }

    #[test]
    fn a_demand_is_not_kept_through_an_outage() {
        let errors = outages();
        let demand = |outages| verdict(&errors[0], Case { kind: JobKind::Demand, outages, ..CHUNK }, 128);
        assert_eq!([0, 1, 2].map(demand).map(pause), [Some(1), Some(2), None]);
    }

    #[test]
    fn a_crash_is_retried_with_growing_pauses_and_then_given_up() {
        let after = |failures| verdict(&crash(), Case { failures, ..CHUNK }, 128);
        assert_eq!([0, 1, 2].map(after).map(pause), [Some(1), Some(2), None]);
        assert!(matches!(after(2), Verdict::Fail(failure) if failure.code == FailureCode::EngineCrashed));
        assert!(matches!(verdict(&crash(), Case { failures: 2, ..SOUND }, 0), Verdict::GoWithout(_)));
    }

    #[test]
    fn a_fault_of_ours_is_no_reason_to_leave_something_out() {
        let ours = JobError::inconsistent("a planned asset has no probe");
        assert!(matches!(verdict(&ours, SOUND, 0), Verdict::Fail(_)));
        let unreadable = || JobError::Document(serde_json::from_str::<u8>("x").expect_err("no number"));
        assert!(matches!(verdict(&unreadable(), SOUND, 0), Verdict::Retry(_)));
        assert!(matches!(verdict(&unreadable(), Case { failures: 4, ..SOUND }, 0), Verdict::Fail(_)));
    }

    #[test]
    fn pauses_differ_between_jobs_and_are_bounded() {
        assert!(backoff(3, 0) < backoff(3, 255));
        assert!(backoff(40, 255) <= BACKOFF_MAX * 5 / 4);
    }

    #[test]
    fn a_refused_source_fails_at_once_and_an_optional_part_is_left_out() {
        let failure = || Failure::new(FailureCode::Damaged, "broken");
        for refused in [JobError::Refused(failure()), JobError::Engine(EngineError::Refused(failure()))] {
            assert_eq!(verdict(&refused, CHUNK, 0), Verdict::Fail(failure()));
            assert_eq!(verdict(&refused, SOUND, 0), Verdict::GoWithout(failure()));
        }
    }

    #[test]
    fn what_cannot_be_taken_over_is_encoded_instead() {
        for copied in [Case { kind: JobKind::Copy, is_copy: true, ..CHUNK }, Case { is_copy: true, ..SOUND }] {
            let copy = |error: &JobError, failures| verdict(error, Case { failures, ..copied }, 0);
            let refused = EngineError::Refused(Failure::new(FailureCode::Damaged, "a frame is missing"));
            assert_eq!(copy(&refused.into(), 0), Verdict::Replan);
            assert_eq!(copy(&JobError::Incomplete { missing: 1, wanted: 2 }, 0), Verdict::Replan);
            assert!(matches!(copy(&crash(), 0), Verdict::Retry(_)));
            assert_eq!(copy(&crash(), 2), Verdict::Replan);
            outages().iter().for_each(|error| assert!(matches!(copy(error, 4), Verdict::Postpone(_))));
        }
    }

    #[test]
    fn a_lost_lease_touches_nothing_and_a_purge_never_gives_up() {
        assert_eq!(verdict(&JobError::LostLease, Case { failures: 9, ..SOUND }, 0), Verdict::Forget);
        let purge = Case { kind: JobKind::Purge, failures: 1000, outages: 1000, outages_max: Some(5), ..CHUNK };
        assert!(matches!(verdict(&crash(), purge, 0), Verdict::Retry(_)));
        outages().iter().for_each(|error| assert!(matches!(verdict(error, purge, 0), Verdict::Postpone(_))));
    }

    #[test]
    fn a_killed_engine_is_the_machines_fault_but_not_for_ever() {
        let killed = JobError::Engine(EngineError::Killed { log: String::new() });
        let after = |outages| verdict(&killed, Case { outages, ..CHUNK }, 0);
        assert!(matches!(after(0), Verdict::Postpone(_)));
        assert!(matches!(after(KILLED_OUTAGES_MAX - 2), Verdict::Postpone(_)));
        let Verdict::Fail(failure) = after(KILLED_OUTAGES_MAX - 1) else { panic!("it is given up") };
        assert_eq!(failure.code, FailureCode::Internal);
        assert!(failure.message.contains("memory"), "{failure}");
        let patient = Case { outages: 2, outages_max: Some(3), ..CHUNK };
        assert!(matches!(verdict(&killed, patient, 0), Verdict::Fail(_)), "the smaller bound counts");
    }
}
