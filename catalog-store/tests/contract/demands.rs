//! Segments that viewers wait for.

use catalog_store::jobs::CRASHES_MAX;
use catalog_store::{Demand, Wanted};
use domain::job::WATCHED_PRIORITY;
use domain::{AssetId, AssetState, JobKind, JobLane, JobSpec, JobState};

use crate::harness::{GENERATION, LEASE, World, at, rendition, segment};

fn wanted(asset: AssetId, name: &str, segment: u32) -> Wanted {
    Wanted { asset, generation: GENERATION, rendition: rendition(name), segment }
}

pub(crate) async fn a_demanded_segment_comes_before_everything_and_its_chunk_before_other_chunks(world: World) {
    let asset = world.processing().await;
    let demand = world.catalog.demand(&wanted(asset, "360p", 5), world.job_id(), at(1)).await.unwrap();
    assert_eq!(demand, Demand::Enqueued);
    let job = world.claim_in(JobLane::Urgent, at(1)).await.expect("the demand");
    assert_eq!(job.spec, JobSpec::Demand { generation: GENERATION, rendition: rendition("360p"), segment: 5 });
    assert_eq!(job.due, at(1));
    let chunk = world.claim(true, at(1)).await.expect("a chunk");
    assert_eq!(chunk.spec, JobSpec::Chunk { generation: GENERATION, chunk: 1 }, "the one with the segment is first");
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    assert!(jobs.iter().any(|job| job.id == chunk.id && job.priority == WATCHED_PRIORITY));
    world.catalog.settle_demand(&job, at(2)).await.unwrap();
    // What is settled may be asked for again, as long as it is not there.
    let again = world.catalog.demand(&wanted(asset, "240p", 6), world.job_id(), at(3)).await.unwrap();
    assert_eq!(again, Demand::Enqueued);
}

pub(crate) async fn a_segment_is_demanded_once_however_often_it_is_asked_for(world: World) {
    let asset = world.processing().await;
    for now in [1, 2, 3] {
        let demand = world.catalog.demand(&wanted(asset, "audio-0", 4), world.job_id(), at(now)).await.unwrap();
        assert_eq!(demand, Demand::Enqueued);
    }
    let job = world.claim_in(JobLane::Urgent, at(3)).await.expect("the demand");
    assert_eq!(job.due, at(3), "it is as fresh as the last time it was asked for");
    assert_eq!(world.claim_in(JobLane::Urgent, at(9)).await, None);
    // While it runs it is asked for again, and still there is one.
    world.catalog.demand(&wanted(asset, "audio-0", 4), world.job_id(), at(9)).await.unwrap();
    assert_eq!(world.claim_in(JobLane::Urgent, at(9)).await, None);
}

pub(crate) async fn what_is_there_or_about_to_come_is_not_demanded(world: World) {
    let asset = world.processing().await;
    let demand = async |name: &str, index| {
        world.catalog.demand(&wanted(asset, name, index), world.job_id(), at(1)).await.unwrap()
    };
    let chunk = world.claim(true, at(1)).await.expect("chunk 0");
    assert_eq!(demand("360p", 0).await, Demand::Coming, "the running chunk begins with it");
    assert_eq!(demand("240p", 0).await, Demand::Enqueued, "the other qualities take a while");
    world.catalog.insert_segment(&chunk, &segment(asset, "360p", 0), at(1)).await.unwrap();
    assert_eq!(demand("360p", 0).await, Demand::Coming, "it is committed");
    assert_eq!(demand("360p", 1).await, Demand::Enqueued, "it is next, but with all its qualities");
    let sound = world.claim_in(JobLane::Light, at(1)).await.expect("the sound");
    assert_eq!(sound.spec.kind(), JobKind::Audio);
    assert_eq!(demand("audio-0", 0).await, Demand::Coming, "it is next");
    assert_eq!(demand("audio-0", 1).await, Demand::Enqueued, "one more lies before it");
}

pub(crate) async fn what_no_plan_has_cannot_be_demanded(world: World) {
    let asset = world.processing().await;
    let demand = async |wanted: &Wanted| world.catalog.demand(wanted, world.job_id(), at(1)).await.unwrap();
    assert_eq!(demand(&wanted(asset, "360p", 7)).await, Demand::Nothing, "there are seven segments");
    assert_eq!(demand(&wanted(asset, "audio-0", 7)).await, Demand::Nothing);
    assert_eq!(demand(&wanted(asset, "4320p", 0)).await, Demand::Nothing);
    let next = Wanted { generation: domain::Generation(GENERATION.0 + 1), ..wanted(asset, "360p", 0) };
    assert_eq!(demand(&next).await, Demand::Nothing);
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(2)).await.unwrap());
    assert_eq!(demand(&wanted(asset, "360p", 5)).await, Demand::Nothing);
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    assert!(jobs.iter().all(|job| job.spec.kind() != JobKind::Demand));
}

pub(crate) async fn one_asset_cannot_demand_without_bound(world: World) {
    let asset = world.processing().await;
    let mut full = 0;
    for (name, index) in ["240p", "360p", "audio-0"].iter().flat_map(|name| (0..7).map(move |index| (name, index))) {
        let demand = world.catalog.demand(&wanted(asset, name, index), world.job_id(), at(1)).await.unwrap();
        full += u32::from(demand == Demand::Full);
    }
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    let demands = jobs.iter().filter(|job| job.spec.kind() == JobKind::Demand && job.state == JobState::Queued);
    assert_eq!((demands.count(), full), (16, 5));
}

pub(crate) async fn waiting_raises_a_job_above_newcomers(world: World) {
    let old = world.processing().await;
    let first = world.claim(true, at(1)).await.expect("chunk 0 of the old asset");
    assert_eq!(first.asset, old);
    world.catalog.settle_part(&first, world.job_id(), at(1)).await.unwrap();
    // Two minutes later chunk 1 of the old asset counts for more than chunk 0 of a new one.
    let minutes = |minutes: i64| at(minutes * 60_000);
    let new = world.processing_at(minutes(2)).await;
    let next = world.claim(true, minutes(2)).await.expect("a chunk");
    assert_eq!((next.asset, next.spec), (old, JobSpec::Chunk { generation: GENERATION, chunk: 1 }));
    assert_eq!(world.claim(true, minutes(2)).await.expect("a chunk").asset, new);
}

/// On PostgreSQL alone: processes that share a SQLite file look at the queue now and then.
pub(crate) async fn work_that_another_process_adds_is_heard_of(world: World) {
    let other = world.another_process().await;
    let mut commits = world.catalog.changed();
    let hears = async {
        tokio::select! {
            ended = world.catalog.listen() => panic!("{ended:?}"),
            changed = commits.changed() => changed.unwrap(),
        }
    };
    let adds = async {
        // Whoever begins to listen is not told of what was added before: add until it is heard.
        loop {
            other.received().await;
        }
    };
    tokio::select! {
        () = hears => {}
        () = adds => {}
    }
    other.catalog.close().await;
}

pub(crate) async fn a_demand_whose_workers_vanish_takes_no_asset_with_it(world: World) {
    let asset = world.processing().await;
    let (wanted, lease_ms) = (wanted(asset, "360p", 5), i64::try_from(LEASE.as_millis()).unwrap());
    world.catalog.demand(&wanted, world.job_id(), at(1)).await.unwrap();
    let claim = async |round: u32| {
        let now = at(1 + i64::from(round) * (lease_ms + 1));
        world.claim_in(JobLane::Urgent, now).await.map(|job| (job.spec.kind(), now))
    };
    for round in 0..=CRASHES_MAX {
        assert_eq!(claim(round).await.map(|(kind, _)| kind), Some(JobKind::Demand), "claim {round}");
    }
    assert_eq!(claim(CRASHES_MAX + 1).await, None);
    let state = world.catalog.asset(asset).await.unwrap().expect("it").state;
    assert_eq!(state, AssetState::Processing, "the batch goes on");
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    let states = |kind| jobs.iter().filter(move |job| job.spec.kind() == kind).map(|job| job.state);
    assert_eq!(states(JobKind::Demand).collect::<Vec<_>>(), [JobState::Failed]);
    assert!(states(JobKind::Chunk).all(|state| state == JobState::Queued));
    let again = world.catalog.demand(&wanted, world.job_id(), at(10_000_000)).await.unwrap();
    assert_eq!(again, Demand::Enqueued, "it may be asked for again");
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}
