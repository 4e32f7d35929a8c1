//! How jobs end, and what follows from it.

use catalog_store::CatalogError;
use domain::{AssetState, Failure, FailureCode, Generation, JobKind, JobSpec, JobState, LeftOut};

use crate::harness::{GENERATION, World, at, plan, probe};

pub(crate) async fn an_asset_goes_all_the_way_to_ready(world: World) {
    let id = world.processing().await;
    let asset = world.catalog.asset(id).await.unwrap().expect("it");
    assert_eq!((asset.state, asset.generation, asset.is_playable), (AssetState::Processing, Some(GENERATION), false));
    assert_eq!((asset.probe, asset.title.as_deref()), (Some(probe()), Some("A title")));
    assert_eq!(world.catalog.plan(id, GENERATION).await.unwrap(), Some(plan()));
    world.settle_all_parts(at(10)).await;
    let publish = world.claim(false, at(11)).await.expect("publish");
    assert_eq!(publish.spec, JobSpec::Publish { generation: GENERATION });
    world.catalog.settle_publish(&publish, at(12)).await.unwrap();
    let asset = world.catalog.asset(id).await.unwrap().expect("it");
    assert_eq!((asset.state, asset.is_playable), (AssetState::Ready, true));
    assert_eq!(world.catalog.unfinished_job_count().await.unwrap(), 0);
    assert_eq!(world.catalog.unfinished_job_count_of(id).await.unwrap(), 0);
    let counts = world.catalog.job_counts().await.unwrap();
    assert!(counts.iter().all(|count| count.state == JobState::Done));
    assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 6);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn a_settled_probe_settles_again_without_effect(world: World) {
    let asset = world.received().await;
    let first = world.claim(false, at(0)).await.expect("the probe");
    // A worker whose lease ran out after it settled leaves this state: the job runs once more.
    world.settle_probe(&first, at(1)).await;
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    let other = world.received().await;
    let second = world.claim(false, at(2)).await.expect("another probe");
    let again = catalog_store::LeasedJob { asset, ..second };
    world.settle_probe(&again, at(3)).await;
    assert_eq!(world.catalog.jobs_of(asset).await.unwrap(), jobs);
    assert_eq!(world.catalog.asset(other).await.unwrap().expect("it").state, AssetState::Received);
}

pub(crate) async fn a_failure_cancels_the_siblings_and_is_told_to_the_uploader(world: World) {
    let asset = world.processing().await;
    let chunk = world.claim(true, at(1)).await.expect("a chunk");
    let audio = world.claim(false, at(1)).await.expect("audio");
    let failure = Failure::new(FailureCode::Damaged, "the picture cannot be decoded after 3 s");
    world.catalog.fail(&chunk, &failure, at(2)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.failure), (AssetState::Failed, Some(failure)));
    assert_eq!(world.catalog.unfinished_job_count().await.unwrap(), 0);
    assert_eq!((world.claim(true, at(99_999)).await, world.claim(false, at(99_999)).await), (None, None));
    let lost = world.catalog.settle_part(&audio, world.job_id(), at(3)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
    let events = world.catalog.events_of(asset, 0, 100).await.unwrap();
    let last = events.last().expect("an event");
    assert_eq!((last.topic.as_str(), &last.data["failure"]["code"]), ("asset.failed", &"damaged".into()));
}

pub(crate) async fn a_failed_job_of_a_ready_asset_changes_only_itself(world: World) {
    let asset = world.processing().await;
    world.settle_all_parts(at(1)).await;
    let publish = world.claim(false, at(2)).await.expect("publish");
    world.catalog.settle_publish(&publish, at(3)).await.unwrap();
    world.catalog.delete_asset(asset, world.job_id(), at(4)).await.unwrap();
    let purge = world.claim(false, at(5)).await.expect("purge");
    world.catalog.fail(&purge, &Failure::new(FailureCode::Internal, "no"), at(6)).await.unwrap();
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Deleted);
}

pub(crate) async fn a_deletion_cancels_all_work_and_leaves_a_purge(world: World) {
    let asset = world.processing().await;
    let chunk = world.claim(true, at(1)).await.expect("a chunk");
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(2)).await.unwrap());
    let lost = world.catalog.settle_part(&chunk, world.job_id(), at(3)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
    assert_eq!(world.claim(true, at(99_999)).await, None);
    let purge = world.claim(false, at(3)).await.expect("purge");
    assert_eq!((purge.asset, purge.spec.kind()), (asset, JobKind::Purge));
    assert_eq!(world.claim(false, at(3)).await, None);
    assert!(world.catalog.assets(None, 10).await.unwrap().is_empty());
}

pub(crate) async fn deleting_twice_changes_nothing(world: World) {
    let asset = world.received().await;
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(2)).await.unwrap());
    let row = world.catalog.asset(asset).await.unwrap();
    assert!(!world.catalog.delete_asset(asset, world.job_id(), at(3)).await.unwrap());
    assert_eq!(world.catalog.asset(asset).await.unwrap(), row);
    let never = domain::AssetId::from_u128(u128::MAX);
    assert!(!world.catalog.delete_asset(never, world.job_id(), at(3)).await.unwrap());
}

pub(crate) async fn a_purged_asset_leaves_only_its_id_until_it_is_forgotten(world: World) {
    let asset = world.processing().await;
    assert!(!world.catalog.forget_asset(asset, at(1)).await.unwrap(), "it lives");
    world.catalog.delete_asset(asset, world.job_id(), at(1)).await.unwrap();
    let purge = world.claim(false, at(2)).await.expect("purge");
    world.catalog.settle_purge(&purge, at(3)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("its id");
    assert_eq!((row.state, row.probe, row.generation, row.title), (AssetState::Deleted, None, None, None));
    assert_eq!(world.catalog.plan(asset, GENERATION).await.unwrap(), None);
    assert!(world.catalog.jobs_of(asset).await.unwrap().is_empty());
    assert!(world.catalog.forget_asset(asset, at(4)).await.unwrap());
    assert_eq!(world.catalog.asset(asset).await.unwrap(), None);
}

pub(crate) async fn an_illegal_step_leaves_nothing_behind(world: World) {
    let asset = world.received().await;
    let job = world.claim(false, at(0)).await.expect("the probe");
    // No pipeline does this: a received asset cannot be published.
    let publish = JobSpec::Publish { generation: GENERATION };
    let job = catalog_store::LeasedJob { spec: publish, ..job };
    let before = (world.catalog.asset(asset).await.unwrap(), world.catalog.last_event().await.unwrap());
    let refused = world.catalog.settle_publish(&job, at(1)).await;
    assert!(matches!(refused, Err(CatalogError::Illegal(_))), "{refused:?}");
    let refused = world.catalog.settle_part(&job, world.job_id(), at(1)).await;
    assert!(matches!(refused, Err(CatalogError::NoGeneration(_))), "{refused:?}");
    assert_eq!((world.catalog.asset(asset).await.unwrap(), world.catalog.last_event().await.unwrap()), before);
    assert_eq!(world.catalog.jobs_of(asset).await.unwrap()[0].state, JobState::Running);
}

pub(crate) async fn an_asset_is_playable_once(world: World) {
    let asset = world.processing().await;
    assert!(world.catalog.mark_playable(asset, at(1)).await.unwrap());
    assert!(!world.catalog.mark_playable(asset, at(2)).await.unwrap());
    assert!(world.catalog.asset(asset).await.unwrap().expect("it").is_playable);
    world.catalog.delete_asset(asset, world.job_id(), at(3)).await.unwrap();
    assert!(!world.catalog.mark_playable(asset, at(4)).await.unwrap());
    assert!(!world.catalog.asset(asset).await.unwrap().expect("it").is_playable);
}

pub(crate) async fn what_a_generation_lacks_is_known_and_the_last_part_publishes_it(world: World) {
    let asset = world.processing().await;
    let lacks = async || world.catalog.output(asset, GENERATION).await.unwrap().expect("it").left_out;
    assert_eq!(lacks().await, []);
    for _ in 0..2 {
        let chunk = world.claim(true, at(1)).await.expect("a chunk");
        world.catalog.settle_part(&chunk, world.job_id(), at(2)).await.unwrap();
    }
    let reason = Failure::new(FailureCode::Damaged, "the sound cannot be decoded");
    let mut missing = vec![];
    for _ in 0..2 {
        let job = world.claim(false, at(3)).await.expect("sound, then pictures");
        let lack = LeftOut::of(&job.spec, reason.clone());
        world.catalog.settle_without(&job, &lack, world.job_id(), at(4)).await.unwrap();
        let again = world.catalog.settle_without(&job, &lack, world.job_id(), at(4)).await;
        assert!(matches!(again, Err(CatalogError::LostLease { .. })), "{again:?}");
        missing.push(lack);
    }
    let found: Vec<_> =
        missing.iter().map(|lack| (lack.kind, lack.rendition.as_ref().map(ToString::to_string))).collect();
    assert_eq!(found, [(JobKind::Audio, Some("audio-0".to_owned())), (JobKind::Images, None)]);
    assert_eq!(lacks().await, missing);
    assert_eq!(world.catalog.left_out(asset, GENERATION).await.unwrap(), missing);
    let publish = world.claim(false, at(5)).await.expect("publish");
    assert_eq!(publish.spec, JobSpec::Publish { generation: GENERATION });
}

pub(crate) async fn a_generation_that_is_planned_anew_takes_the_place_of_the_old_one(world: World) {
    let asset = world.processing().await;
    let (first, second) =
        (world.claim(true, at(1)).await.expect("a chunk"), world.claim(true, at(1)).await.expect("it"));
    let next = Generation(GENERATION.0 + 1);
    let rendition = crate::harness::rendition("audio-0");
    let jobs = [(world.job_id(), JobSpec::Audio { generation: next, rendition, part: 0 })];
    world.catalog.settle_replanned(&first, next, &plan(), &jobs, world.job_id(), at(2)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation), (AssetState::Processing, Some(next)));
    assert_eq!(world.catalog.plan(asset, next).await.unwrap(), Some(plan()));
    let lost = world.catalog.settle_replanned(&second, next, &plan(), &jobs, world.job_id(), at(3)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
    assert_eq!(world.claim(true, at(99_999)).await, None, "the old chunks are cancelled");
    let audio = world.claim(false, at(4)).await.expect("the only new job that makes something");
    assert_eq!(audio.spec.generation(), Some(next));
    world.catalog.settle_part(&audio, world.job_id(), at(5)).await.unwrap();
    let publish = world.claim(false, at(6)).await.expect("publish");
    world.catalog.settle_publish(&publish, at(7)).await.unwrap();
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Ready);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}
