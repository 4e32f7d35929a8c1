//! What must hold when many do it at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use catalog_store::CatalogError;
use domain::{AssetState, JobKind, JobSpec};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::harness::{GENERATION, World, at, plan, probe};

const WORKERS: usize = 8;

pub(crate) async fn parallel_claims_hand_out_each_job_once(world: World) {
    for _ in 0..40 {
        world.received().await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let world = world.clone();
        workers.spawn(async move {
            let mut mine = vec![];
            while let Some(job) = world.claim(false, at(1)).await {
                mine.push(job.id);
            }
            mine
        });
    }
    let all: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
}

pub(crate) async fn parallel_publishers_never_share_a_number_and_never_go_back(world: World) {
    const TIMES: usize = 5;
    let asset = processing_chunks(&world, 8).await;
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let world = world.clone();
        workers.spawn(async move {
            let job = world.claim(true, at(1)).await.expect("a job of the generation");
            let mut mine = vec![];
            // Ends since one of those that try at the same time always succeeds.
            while mine.len() < TIMES {
                let before = world.catalog.edition(asset, GENERATION).await.unwrap().expect("it is planned");
                let revision = world.catalog.take_revision(&job, at(2)).await.unwrap();
                if world.catalog.put_in_force(&job, before, (revision, true), at(2)).await.unwrap() {
                    mine.push(u64::from(revision));
                }
            }
            mine
        });
    }
    let mut all: Vec<u64> = workers.join_all().await.into_iter().flatten().collect();
    all.sort_unstable();
    let events = world.catalog.events_of(asset, 0, 1000).await.unwrap();
    let in_force: Vec<u64> = events.iter().filter_map(|event| event.data["revision"].as_u64()).collect();
    assert_eq!(in_force, all, "each once, in rising order");
    assert_eq!(all.len(), WORKERS * TIMES);
}

/// An asset with `count` chunks to make.
async fn processing_chunks(world: &World, count: u32) -> domain::AssetId {
    let asset = world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    let chunk = |chunk| (world.job_id(), JobSpec::Chunk { generation: GENERATION, chunk });
    let jobs: Vec<_> = (0..count).map(chunk).collect();
    world.catalog.settle_probe(&job, &probe(), GENERATION, &plan(), &jobs, at(0)).await.expect("it settles");
    asset
}

pub(crate) async fn the_last_of_many_parallel_parts_publishes_exactly_once(world: World) {
    let asset = processing_chunks(&world, 40).await;
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let world = world.clone();
        workers.spawn(async move {
            while let Some(job) = world.claim(true, at(1)).await {
                world.catalog.settle_part(&job, world.job_id(), at(2)).await.expect("it settles");
            }
        });
    }
    workers.join_all().await;
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    assert_eq!(jobs.iter().filter(|job| job.spec.kind() == JobKind::Publish).count(), 1);
    assert_eq!(world.catalog.unfinished_job_count_of(asset).await.unwrap(), 1);
}

pub(crate) async fn a_reader_never_sees_a_gap_between_events(world: World) {
    let mut writers = JoinSet::new();
    for _ in 0..WORKERS {
        let world = world.clone();
        writers.spawn(async move {
            for _ in 0..10 {
                let asset = world.received().await;
                world.catalog.delete_asset(asset, world.job_id(), at(1)).await.expect("it is deleted");
            }
        });
    }
    let wanted = u64::try_from(WORKERS).expect("small") * 10 * 3;
    let mut seen = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while seen < wanted {
        assert!(tokio::time::Instant::now() < deadline, "only {seen} of {wanted} events");
        for event in world.catalog.events_after(seen, 7).await.unwrap() {
            assert_eq!(event.seq, seen + 1, "an event was skipped");
            seen = event.seq;
        }
    }
    writers.join_all().await;
    assert_eq!(world.catalog.last_event().await.unwrap(), wanted);
}

pub(crate) async fn a_call_dropped_anywhere_leaves_all_or_nothing(world: World) {
    let mut complete = 0;
    for micros in (0..4000).step_by(100) {
        let new = world.new_upload(Some(10));
        world.catalog.create_upload(&new).await.unwrap();
        let finish = world.catalog.finish_upload(new.id, 10, (world.job_id(), world.job_id()), at(1));
        let _ = tokio::time::timeout(Duration::from_micros(micros), finish).await;
        // Waits for a commit that was under way when the call was dropped.
        world.catalog.mark_playable(new.target.expect("not a part").asset, at(1)).await.unwrap();
        let asset = world.catalog.asset(new.target.expect("not a part").asset).await.unwrap().expect("it");
        let jobs = world.catalog.jobs_of(new.target.expect("not a part").asset).await.unwrap().len();
        let events = world.topics(new.target.expect("not a part").asset).await.len();
        match asset.state {
            AssetState::Uploading => assert_eq!((jobs, events), (0, 2)),
            AssetState::Received => assert_eq!((jobs, events), (1, 3)),
            other => panic!("{other}"),
        }
        complete += usize::from(asset.state == AssetState::Received);
    }
    assert!(world.catalog.integrity().await.unwrap().is_sound(), "{complete} were complete");
}

pub(crate) async fn deletion_and_settling_race_without_leftovers(world: World) {
    for _ in 0..40 {
        // A single part: settling it enqueues the publish job, which a deletion at the same time must see.
        let asset = processing_chunks(&world, 1).await;
        let job = world.claim(true, at(1)).await.expect("the part");
        let start = Arc::new(Barrier::new(2));
        let (settler, gate) = (world.clone(), start.clone());
        let settling = async move {
            gate.wait().await;
            match settler.catalog.settle_part(&job, settler.job_id(), at(2)).await {
                Ok(()) | Err(CatalogError::LostLease { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        };
        let deleter = world.clone();
        let deleting = async move {
            start.wait().await;
            assert!(deleter.catalog.delete_asset(asset, deleter.job_id(), at(2)).await.expect("no deadlock"));
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(settling);
        tasks.spawn(deleting);
        tasks.join_all().await;
        let left = world.catalog.jobs_of(asset).await.unwrap();
        let open: Vec<_> =
            left.iter().filter(|job| job.state == domain::JobState::Queued).map(|job| job.spec.kind()).collect();
        assert_eq!(open, [JobKind::Purge]);
        let purge = world.claim(false, at(3)).await.expect("purge");
        world.catalog.settle_purge(&purge, at(3)).await.unwrap();
    }
}
