//! Jobs as they are told to people.

use catalog_store::{Job, JobFailure, JobFilter, Reprocess, ReprocessJobs};
use domain::{Failure, FailureCode, Generation, JobKind, JobLane, JobState};

use crate::harness::{GENERATION, LEASE, World, at};
use crate::pages::check_both_ways;

/// The job of the asset that was added first.
async fn first(world: &World, asset: domain::AssetId) -> Job {
    let id = world.catalog.jobs_of(asset).await.unwrap()[0].id;
    world.catalog.job(id).await.unwrap().expect("it is there")
}

pub(crate) async fn a_job_tells_where_it_stands_and_since_when(world: World) {
    let asset = world.received().await;
    let job = first(&world, asset).await;
    assert_eq!((job.state, job.attempts, job.failures, &*job.lane), (JobState::Queued, 0, 0, "urgent"));
    assert_eq!((job.created_at, job.run_at), (at(0), at(0)));
    assert_eq!((job.started_at, job.finished_at, job.worker, job.failure), (None, None, None, None));

    let lease = world.claim(false, at(5)).await.expect("the probe");
    assert!(world.catalog.heartbeat(&lease, LEASE, at(9)).await.unwrap());
    let job = first(&world, asset).await;
    assert_eq!((job.state, job.attempts, job.worker.as_deref()), (JobState::Running, 1, Some("worker")));
    assert_eq!((job.started_at, job.finished_at), (Some(at(5)), None), "a heartbeat begins nothing");

    world.catalog.retry(&lease, "a bucket is away", at(50), at(10)).await.unwrap();
    let job = first(&world, asset).await;
    assert_eq!((job.state, job.attempts, job.failures, job.run_at), (JobState::Queued, 1, 1, at(50)));
    assert_eq!((job.worker, job.failure, job.finished_at), (None, None, None), "it has not failed");
    assert_eq!(job.error.as_deref(), Some("a bucket is away"));

    let lease = world.claim(false, at(50)).await.expect("the probe again");
    world.settle_probe(&lease, at(60)).await;
    let job = first(&world, asset).await;
    assert_eq!((job.state, job.attempts, job.failures), (JobState::Done, 2, 1));
    assert_eq!((job.started_at, job.finished_at), (Some(at(50)), Some(at(60))));
    assert_eq!((job.worker, job.failure), (None, None));
}

pub(crate) async fn a_job_that_failed_says_why_and_so_do_those_that_went_with_it(world: World) {
    let asset = world.processing().await;
    let chunk = world.claim(true, at(1)).await.expect("a chunk");
    let failure = Failure::new(FailureCode::Damaged, "the file is damaged");
    world.catalog.fail(&chunk, &failure, at(2)).await.unwrap();
    let told = |code: &str, message: &str| Some(JobFailure { code: Some(code.into()), message: message.into() });
    for job in world.catalog.jobs_of(asset).await.unwrap() {
        let expected = match job.spec.kind() {
            JobKind::Probe => None,
            _ if job.id == chunk.id => told("damaged", "the file is damaged"),
            _ => told("cancelled", "cancelled: the asset failed"),
        };
        assert_eq!(job.failure, expected, "{job:?}");
        assert!(job.finished_at.is_some() && job.worker.is_none());
    }
}

pub(crate) async fn jobs_of_an_earlier_schema_say_what_is_known_of_them(world: World) {
    let asset = world.received().await;
    let probe = world.claim(false, at(1)).await.expect("the probe");
    world.catalog.fail(&probe, &Failure::new(FailureCode::NoMedia, "no picture, no sound"), at(2)).await.unwrap();
    world.tamper("update jobs set started_at = null, failure_code = null").await;
    let job = first(&world, asset).await;
    assert_eq!(job.failure, Some(JobFailure { code: None, message: "no picture, no sound".into() }));
    assert_eq!((job.started_at, job.finished_at), (None, Some(at(2))));
}

pub(crate) async fn jobs_stay_until_the_last_object_of_their_asset_is_removed(world: World) {
    let asset = world.ready().await;
    let made = world.catalog.jobs_of(asset).await.unwrap();
    assert!(made.len() > 4 && made.iter().all(|job| job.state == JobState::Done));
    let purge = world.job_id();
    world.catalog.delete_asset(asset, purge, at(20)).await.unwrap();
    assert_eq!(world.catalog.jobs_of(asset).await.unwrap().len(), made.len() + 1);
    let lease = world.claim(false, at(21)).await.expect("the purge");
    assert_eq!(lease.id, purge);
    world.catalog.settle_purge(&lease, at(22)).await.unwrap();
    assert_eq!(world.catalog.job(purge).await.unwrap(), None);
    assert_eq!(world.catalog.jobs_of(asset).await.unwrap(), []);
}

pub(crate) async fn the_job_that_plans_another_output_is_known(world: World) {
    let asset = world.ready().await;
    let jobs = ReprocessJobs { plan: world.job_id(), retire: world.job_id() };
    let next = Generation(2);
    assert_eq!(world.catalog.planning_job(asset, next).await.unwrap(), None);
    let begun = world.catalog.reprocess(asset, None, jobs, at(20)).await.unwrap();
    assert_eq!(begun, Reprocess::Begun(next));
    assert_eq!(world.catalog.planning_job(asset, next).await.unwrap(), Some(jobs.plan));
    assert_eq!(world.catalog.planning_job(asset, GENERATION).await.unwrap(), None, "it came of the upload");
    assert_eq!(world.catalog.job(jobs.retire).await.unwrap(), None, "that is not decided yet");
}

pub(crate) async fn pages_of_jobs_go_both_ways(world: World) {
    let assets = [world.processing().await, world.processing().await, world.received().await];
    let running = world.claim(true, at(1)).await.expect("a chunk");
    let failing = world.claim(true, at(1)).await.expect("another");
    let failure = Failure::new(FailureCode::Damaged, "the file is damaged");
    world.catalog.fail(&failing, &failure, at(2)).await.unwrap();
    world.claim_in(JobLane::Urgent, at(2)).await.expect("a probe");
    let mut all = vec![];
    for asset in assets {
        let mut jobs = world.catalog.jobs_of(asset).await.unwrap();
        jobs.reverse();
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        for limit in 1..=3 {
            check_both_ways("jobs of an asset", &ids, limit, async |side, limit| {
                let page = world.catalog.list_jobs_of(asset, side, limit).await.unwrap();
                page.iter().map(|job| job.id).collect()
            })
            .await;
        }
        all.extend(jobs);
    }
    assert!(all.iter().any(|job| job.id == running.id));
    all.sort_by_key(|job| std::cmp::Reverse(job.id));
    let states = [None, Some(JobState::Queued), Some(JobState::Running), Some(JobState::Done), Some(JobState::Failed)];
    let mut found = 0;
    for state in states {
        for kind in [None, Some(JobKind::Probe), Some(JobKind::Chunk), Some(JobKind::Images), Some(JobKind::Purge)] {
            let is_meant = |job: &&Job| {
                state.is_none_or(|state| job.state == state) && kind.is_none_or(|kind| job.spec.kind() == kind)
            };
            let expected: Vec<_> = all.iter().filter(is_meant).map(|job| job.id).collect();
            found += expected.len();
            for limit in 1..=3 {
                let what = format!("{kind:?} {state:?}");
                check_both_ways(&what, &expected, limit, async |side, limit| {
                    let page = world.catalog.list_jobs(JobFilter { state, kind }, side, limit).await.unwrap();
                    page.iter().map(|job| job.id).collect()
                })
                .await;
            }
        }
    }
    assert!(found > 3 * all.len(), "{found} of {}", all.len());
}
