//! Leases, fences and attempts.

use std::time::Duration;

use catalog_store::jobs::CRASHES_MAX;
use catalog_store::{CatalogError, LeasedJob};
use domain::{AssetState, Failure, FailureCode, JobKind, JobLane, JobState};

use crate::harness::{LEASE, World, at, segment};

fn is_lost<T: std::fmt::Debug>(result: Result<T, CatalogError>) -> bool {
    matches!(result, Err(CatalogError::LostLease { .. }))
}

const LEASE_MS: i64 = 10_000;

pub(crate) async fn the_most_urgent_job_runs_first_and_heavy_work_is_separate(world: World) {
    world.processing().await;
    let mut light = vec![];
    while let Some(job) = world.claim(false, at(1)).await {
        light.push(job.spec.kind());
    }
    assert_eq!(light, [JobKind::Audio, JobKind::Images]);
    let first = world.claim(true, at(1)).await.expect("chunk 0");
    let second = world.claim(true, at(1)).await.expect("chunk 1");
    assert!(first.spec.priority() > second.spec.priority());
    assert_eq!(world.claim(true, at(1)).await, None);
}

pub(crate) async fn the_next_job_is_the_one_that_a_claim_hands_out(world: World) {
    assert_eq!(world.catalog.next_job(JobLane::Heavy, at(0)).await.unwrap(), None);
    let late = world.processing_at(at(1000)).await;
    let early = world.processing_at(at(1)).await;
    let lost = world.claim(true, at(1001)).await.expect("a chunk");
    for now in [1002, 1003, 30_000, 40_000, 90_000] {
        let next = world.catalog.next_job(JobLane::Heavy, at(now)).await.unwrap().expect("one is due");
        assert!([early, late].contains(&next.asset));
        let claimed = world.claim(true, at(now)).await.expect("the same");
        assert_eq!((next.id, next.spec), (claimed.id, claimed.spec), "{now}");
    }
    assert!(world.catalog.release(&lost, at(90_000)).await.is_err(), "it was handed out anew");
}

pub(crate) async fn an_expired_lease_is_handed_out_again_with_a_new_fence(world: World) {
    world.received().await;
    let first = world.claim(false, at(0)).await.expect("the probe");
    assert_eq!((first.attempt, first.failures), (1, 0));
    assert_eq!(world.claim(false, at(LEASE_MS)).await, None, "the lease still holds");
    let second = world.claim(false, at(LEASE_MS + 1)).await.expect("the probe again");
    assert_eq!((second.id, second.attempt, second.failures), (first.id, 2, 0));
    assert!(second.fence > first.fence);
}

pub(crate) async fn a_heartbeat_keeps_a_lease_and_tells_when_it_is_lost(world: World) {
    world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    assert!(world.catalog.heartbeat(&job, LEASE, at(9_000)).await.unwrap());
    assert_eq!(world.claim(false, at(18_000)).await, None);
    let thief = world.claim(false, at(19_001)).await.expect("the probe again");
    assert!(!world.catalog.heartbeat(&job, LEASE, at(19_002)).await.unwrap());
    assert!(world.catalog.heartbeat(&thief, LEASE, at(19_002)).await.unwrap());
}

pub(crate) async fn a_lost_lease_is_never_completed(world: World) {
    let asset = world.processing().await;
    let late = world.claim(false, at(0)).await.expect("audio");
    let holder = world.claim(false, at(LEASE_MS + 1)).await.expect("audio again");
    assert_eq!(late.id, holder.id);
    let before = (world.catalog.asset(asset).await.unwrap(), world.catalog.jobs_of(asset).await.unwrap());
    let events = world.topics(asset).await;
    let now = at(LEASE_MS + 2);
    assert!(is_lost(world.catalog.settle_part(&late, world.job_id(), now).await));
    assert!(is_lost(world.catalog.settle_publish(&late, now).await));
    assert!(is_lost(world.catalog.settle_purge(&late, now).await));
    assert!(is_lost(world.catalog.retry(&late, "late", now, now).await));
    assert!(is_lost(world.catalog.release(&late, now).await));
    let failure = Failure::new(FailureCode::Damaged, "late");
    assert!(is_lost(world.catalog.fail(&late, &failure, now).await));
    assert_eq!(
        (world.catalog.asset(asset).await.unwrap(), world.catalog.jobs_of(asset).await.unwrap()),
        before,
        "nothing changed"
    );
    assert_eq!(world.topics(asset).await, events, "nothing was told");
    world.catalog.settle_part(&holder, world.job_id(), now).await.expect("the holder settles");
    assert!(is_lost(world.catalog.settle_part(&holder, world.job_id(), now).await), "once");
}

pub(crate) async fn a_retried_job_waits_for_its_time_and_counts_its_failures(world: World) {
    world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    world.catalog.retry(&job, "no disk space", at(5_000), at(1)).await.unwrap();
    assert_eq!(world.catalog.jobs_of(job.asset).await.unwrap()[0].error.as_deref(), Some("no disk space"));
    assert_eq!(world.claim(false, at(4_999)).await, None);
    let again = world.claim(false, at(5_000)).await.expect("its time has come");
    assert_eq!((again.attempt, again.failures), (2, 1));
}

pub(crate) async fn a_postponed_job_waits_for_its_time_and_counts_no_failure(world: World) {
    world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    world.catalog.retry(&job, "the engine crashed", at(1), at(1)).await.unwrap();
    let job = world.claim(false, at(1)).await.expect("the probe again");
    world.catalog.postpone(&job, "the store is away", at(5_000), at(2)).await.unwrap();
    let row = &world.catalog.jobs_of(job.asset).await.unwrap()[0];
    assert_eq!((row.state, row.error.as_deref()), (JobState::Queued, Some("the store is away")));
    assert_eq!(world.claim(false, at(4_999)).await, None);
    let again = world.claim(false, at(5_000)).await.expect("its time has come");
    assert_eq!((again.attempt, again.failures), (3, 1));
    assert!(is_lost(world.catalog.postpone(&job, "late", at(6_000), at(6_000)).await));
}

pub(crate) async fn a_released_job_is_due_at_once_and_the_attempt_does_not_count(world: World) {
    world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    world.catalog.release(&job, at(1)).await.unwrap();
    let again = world.claim(false, at(1)).await.expect("the probe again");
    assert_eq!((again.attempt, again.failures), (1, 0));
    assert!(again.fence > job.fence);
}

/// Claims the same job until somebody is given nothing; how often it was handed out.
async fn crash_until_refused(world: &World, heavy: bool) -> u32 {
    let mut handed_out = 0;
    while world.claim(heavy, at(i64::from(handed_out) * (LEASE_MS + 1))).await.is_some() {
        handed_out += 1;
        assert!(handed_out < 1000, "it is never given up");
    }
    handed_out
}

pub(crate) async fn a_job_whose_workers_vanish_is_given_up(world: World) {
    let asset = world.received().await;
    assert_eq!(crash_until_refused(&world, false).await, CRASHES_MAX + 1);
    let asset = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!(asset.state, AssetState::Failed);
    assert_eq!(asset.failure.map(|failure| failure.code), Some(FailureCode::EngineCrashed));
    assert_eq!(world.catalog.jobs_of(asset.id).await.unwrap()[0].state, JobState::Failed);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn progress_forgives_crashes(world: World) {
    let asset = world.processing().await;
    let mut now = 0;
    let mut claim = async || -> LeasedJob {
        now += LEASE_MS + 1;
        world.claim(true, at(now)).await.expect("chunk 0")
    };
    for index in 0..2 * CRASHES_MAX {
        let job = claim().await;
        world.catalog.insert_segment(&job, &segment(asset, "360p", index), at(0)).await.unwrap();
    }
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Processing);
}

pub(crate) async fn leases_of_an_ended_process_can_be_claimed_at_once(world: World) {
    world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    assert_eq!(world.catalog.expire_leases("somebody else", at(1)).await.unwrap(), 0);
    assert_eq!(world.claim(false, at(1)).await, None);
    assert_eq!(world.catalog.expire_leases("worker", at(1)).await.unwrap(), 1);
    assert_eq!(world.claim(false, at(1)).await.expect("at once").id, job.id);
}

pub(crate) async fn the_next_due_instant_is_known(world: World) {
    assert_eq!(world.catalog.next_due(JobLane::Urgent).await.unwrap(), None);
    world.received().await;
    assert_eq!(world.catalog.next_due(JobLane::Urgent).await.unwrap(), Some(at(0)));
    let job = world.claim(false, at(5)).await.expect("the probe");
    let expiry = at(5).plus(LEASE).plus(Duration::from_millis(1));
    assert_eq!(world.catalog.next_due(JobLane::Urgent).await.unwrap(), Some(expiry));
    world.catalog.retry(&job, "later", at(777), at(6)).await.unwrap();
    assert_eq!(world.catalog.next_due(JobLane::Urgent).await.unwrap(), Some(at(777)));
    assert_eq!(world.catalog.next_due(JobLane::Heavy).await.unwrap(), None);
}
