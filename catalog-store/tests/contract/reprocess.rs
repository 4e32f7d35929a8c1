//! Another output of an asset that plays, from the wish to the end of the old one.

use std::time::Duration;

use catalog_store::{CatalogError, Demand, Edition, LeasedJob, NewText, Reprocess, ReprocessJobs, Wanted};
use domain::job::BACKGROUND_STEP;
use domain::presentation::{RETAINED_MAX, Retained};
use domain::{
    AssetId, AssetState, Failure, FailureCode, Generation, JobKind, JobLane, JobSpec, JobState, Probe, TextId,
};

use crate::harness::{GENERATION, World, at, plan, probe, rendition, segment};

const NEXT: Generation = Generation(2);

impl World {
    /// An asset whose first output is in force and complete.
    pub(crate) async fn ready(&self) -> AssetId {
        let asset = self.processing().await;
        self.settle_all_parts(at(10)).await;
        let publish = self.claim(false, at(11)).await.expect("publish");
        self.force(&publish).await;
        self.catalog.settle_publish(&publish, at(12)).await.unwrap();
        asset
    }

    /// Puts the complete document of the job's generation in force.
    pub(crate) async fn force(&self, job: &LeasedJob) {
        let generation = job.spec.generation().expect("it has one");
        let before = self.catalog.edition(job.asset, generation).await.unwrap().expect("it is planned");
        let revision = self.catalog.take_revision(job, at(12)).await.unwrap();
        assert!(self.catalog.put_in_force(job, before, (revision, true), at(12)).await.unwrap());
    }

    fn reprocess_jobs(&self) -> ReprocessJobs {
        ReprocessJobs { plan: self.job_id(), retire: self.job_id() }
    }

    pub(crate) async fn reprocess(&self, asset: AssetId) -> Result<Reprocess, CatalogError> {
        self.catalog.reprocess(asset, None, self.reprocess_jobs(), at(20)).await
    }

    /// A ready asset of which another output is planned: one chunk and one audio job make it.
    async fn replanned(&self) -> AssetId {
        let asset = self.ready().await;
        assert_eq!(self.reprocess(asset).await.unwrap(), Reprocess::Begun(NEXT));
        let job = self.claim(false, at(21)).await.expect("the planning");
        assert_eq!(job.spec, JobSpec::Reprocess { generation: NEXT });
        self.settle_next(&job).await;
        asset
    }

    pub(crate) async fn settle_next(&self, job: &LeasedJob) {
        let generation = job.spec.generation().expect("it has one");
        let parts = [
            JobSpec::Chunk { generation, chunk: 0 },
            JobSpec::Audio { generation, rendition: rendition("audio-0"), part: 0 },
        ];
        let parts = parts.map(|spec| (self.job_id(), spec));
        self.catalog.settle_reprocess(job, &described_anew(), &plan(), &parts, at(22)).await.unwrap();
    }

    pub(crate) async fn is_sound(&self) -> bool {
        self.catalog.integrity().await.unwrap().is_sound()
    }
}

/// The same source, described by a later version.
fn described_anew() -> Probe {
    Probe { libraries: "another".into(), ..probe() }
}

fn broken() -> Failure {
    Failure::new(FailureCode::Damaged, "the file is damaged")
}

pub(crate) async fn another_output_takes_the_place_of_the_one_in_force_in_one_step(world: World) {
    let asset = world.replanned().await;
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation, row.next_generation), (AssetState::Ready, Some(GENERATION), Some(NEXT)));
    assert_eq!(row.probe, Some(probe()), "what is told of the asset is what is in force");
    assert_eq!(world.catalog.probe_of(asset, NEXT).await.unwrap(), Some(described_anew()));
    assert!(world.is_sound().await);
    for heavy in [true, false] {
        let part = world.claim(heavy, at(23)).await.expect("a part");
        world.catalog.settle_part(&part, world.job_id(), at(24)).await.unwrap();
        assert!(world.is_sound().await);
    }
    let publish = world.claim(false, at(25)).await.expect("publish");
    assert_eq!(publish.spec, JobSpec::Publish { generation: NEXT });
    world.force(&publish).await;
    // A worker that is killed here runs the job again.
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation, row.next_generation), (AssetState::Ready, Some(NEXT), None));
    assert_eq!(row.probe, Some(described_anew()));
    assert_eq!(world.catalog.retained(asset).await.unwrap(), [Retained { generation: GENERATION, revision: 1 }]);
    assert!(world.is_sound().await);
    world.catalog.settle_publish(&publish, at(26)).await.unwrap();
    let told = ["asset.reprocessing", "asset.reprocessed"];
    let topics = world.topics(asset).await;
    assert!(told.iter().all(|topic| topics.iter().any(|found| found == topic)), "{topics:?}");
    let retire = world.claim(false, at(27)).await.expect("the removal of the old one");
    assert_eq!(retire.spec, JobSpec::Retire { generation: GENERATION });
    assert!(world.is_sound().await);
}

pub(crate) async fn the_old_output_waits_for_its_players_and_then_goes_with_its_ledger(world: World) {
    let asset = world.ready().await;
    assert_eq!(world.reprocess(asset).await.unwrap(), Reprocess::Begun(NEXT));
    let job = world.claim(false, at(21)).await.expect("the planning");
    world.catalog.settle_reprocess(&job, &probe(), &plan(), &[(world.job_id(), chunk(NEXT))], at(22)).await.unwrap();
    let part = world.claim(true, at(23)).await.expect("the part");
    world.catalog.settle_part(&part, world.job_id(), at(24)).await.unwrap();
    let publish = world.claim(false, at(25)).await.expect("publish");
    world.force(&publish).await;
    world.catalog.settle_publish(&publish, at(26)).await.unwrap();
    let retire = world.claim(false, at(27)).await.expect("the removal");
    let standing = world.catalog.generations(asset).await.unwrap();
    assert_eq!(standing.iter().map(|one| one.replaced_at).collect::<Vec<_>>(), [Some(at(12)), None]);
    // Kept for players: nobody who waits for work to end waits for that.
    world.catalog.postpone(&retire, "kept", at(60_000), at(28)).await.unwrap();
    assert_eq!(world.catalog.unfinished_job_count_of(asset).await.unwrap(), 0);
    assert_eq!(world.claim(false, at(59_999)).await, None);
    let retire = world.claim(false, at(60_000)).await.expect("its time has come");
    assert!(world.catalog.drop_generation(&retire, at(60_001)).await.unwrap());
    assert_eq!(world.catalog.plan(asset, GENERATION).await.unwrap(), None);
    assert!(world.catalog.segments(asset, GENERATION).await.unwrap().is_empty());
    assert!(world.catalog.drop_generation(&retire, at(60_002)).await.unwrap(), "a second run changes nothing");
    world.catalog.settle_retired(&retire, at(60_003)).await.unwrap();
    assert!(world.catalog.plan(asset, NEXT).await.unwrap().is_some());
    assert!(world.catalog.retained(asset).await.unwrap().is_empty());
    assert!(world.is_sound().await);
}

fn chunk(generation: Generation) -> JobSpec {
    JobSpec::Chunk { generation, chunk: 0 }
}

pub(crate) async fn an_output_that_fails_leaves_the_asset_ready_on_the_old_one(world: World) {
    let asset = world.replanned().await;
    let part = world.claim(true, at(23)).await.expect("a chunk");
    let row = catalog_store::SegmentRow { generation: NEXT, ..segment(asset, "360p", 0) };
    world.catalog.insert_segment(&part, &row, at(23)).await.unwrap();
    world.catalog.fail(&part, &broken(), at(24)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation, row.next_generation), (AssetState::Ready, Some(GENERATION), None));
    assert_eq!((row.failure, row.reprocess_failure), (None, Some(broken())));
    assert!(world.topics(asset).await.contains(&"asset.reprocess_failed".to_owned()));
    assert!(world.is_sound().await);
    let retire = world.claim(false, at(25)).await.expect("the removal of what was made");
    assert_eq!(retire.spec, JobSpec::Retire { generation: NEXT }, "its other parts are cancelled");
    assert_eq!(world.claim(false, at(25)).await, None);
    assert!(world.catalog.drop_generation(&retire, at(26)).await.unwrap());
    world.catalog.settle_retired(&retire, at(26)).await.unwrap();
    assert_eq!(world.catalog.unfinished_job_count_of(asset).await.unwrap(), 0);
    // Another try gets another number, and the reason goes.
    assert_eq!(world.reprocess(asset).await.unwrap(), Reprocess::Begun(Generation(3)));
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").reprocess_failure, None);
    assert!(world.is_sound().await);
}

pub(crate) async fn a_planning_that_fails_leaves_the_asset_ready_too(world: World) {
    let asset = world.ready().await;
    world.reprocess(asset).await.unwrap();
    let job = world.claim(false, at(21)).await.expect("the planning");
    world.catalog.fail(&job, &broken(), at(22)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.next_generation, row.reprocess_failure), (AssetState::Ready, None, Some(broken())));
    let late = world.catalog.settle_reprocess(&job, &probe(), &plan(), &[], at(23)).await;
    assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
    assert!(world.is_sound().await);
}

pub(crate) async fn only_a_ready_asset_is_made_anew_and_one_output_at_a_time(world: World) {
    let unknown = world.reprocess(AssetId::from_u128(99)).await;
    assert!(matches!(unknown, Err(CatalogError::NoAsset(_))), "{unknown:?}");
    let busy = world.processing().await;
    let refused = world.reprocess(busy).await;
    assert!(matches!(refused, Err(CatalogError::NotReady { state: AssetState::Processing, .. })), "{refused:?}");
    world.catalog.delete_asset(busy, world.job_id(), at(1)).await.unwrap();
    let deleted = world.reprocess(busy).await;
    assert!(matches!(deleted, Err(CatalogError::NoAsset(_))), "{deleted:?}");
    let purge = world.claim(false, at(2)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(2)).await.unwrap();

    let asset = world.replanned().await;
    let jobs = world.catalog.jobs_of(asset).await.unwrap().len();
    for only in [None, Some(GENERATION)] {
        let again = world.catalog.reprocess(asset, only, world.reprocess_jobs(), at(30)).await.unwrap();
        assert_eq!(again, Reprocess::UnderWay(NEXT));
    }
    assert_eq!(world.catalog.jobs_of(asset).await.unwrap().len(), jobs);
    let other = world.catalog.reprocess(asset, Some(NEXT), world.reprocess_jobs(), at(30)).await;
    assert!(matches!(other, Err(CatalogError::Replaced { in_force: Some(GENERATION), .. })), "{other:?}");
}

pub(crate) async fn only_so_many_old_outputs_are_kept(world: World) {
    let asset = world.ready().await;
    for number in 2.. {
        let generation = Generation(number);
        match world.reprocess(asset).await {
            Ok(begun) => assert_eq!(begun, Reprocess::Begun(generation)),
            Err(refused) => {
                assert!(matches!(refused, CatalogError::TooManyGenerations(_)), "{refused:?}");
                assert_eq!(world.catalog.retained(asset).await.unwrap().len(), RETAINED_MAX);
                break;
            }
        }
        let job = claim_kind(&world, JobKind::Reprocess).await;
        world
            .catalog
            .settle_reprocess(&job, &probe(), &plan(), &[(world.job_id(), chunk(generation))], at(22))
            .await
            .unwrap();
        let part = world.claim(true, at(23)).await.expect("the part");
        world.catalog.settle_part(&part, world.job_id(), at(24)).await.unwrap();
        let publish = claim_kind(&world, JobKind::Publish).await;
        world.force(&publish).await;
        world.catalog.settle_publish(&publish, at(26)).await.unwrap();
    }
    assert!(world.is_sound().await);
}

/// Claims what is due until it is of this kind; removals are put off.
async fn claim_kind(world: &World, kind: JobKind) -> LeasedJob {
    for _ in 0..10 {
        let job = world.claim(false, at(50)).await.expect("a job");
        if job.spec.kind() == kind {
            return job;
        }
        assert_eq!(job.spec.kind(), JobKind::Retire);
        world.catalog.postpone(&job, "kept", at(90_000), at(50)).await.unwrap();
    }
    panic!("no {kind:?}");
}

pub(crate) async fn work_on_what_plays_already_comes_after_newcomers(world: World) {
    let asset = world.replanned().await;
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    let of_next = jobs.iter().filter(|job| job.spec.kind() == JobKind::Chunk && job.spec.generation() == Some(NEXT));
    let priorities: Vec<i32> = of_next.map(|job| job.priority).collect();
    assert_eq!(priorities, [chunk(NEXT).priority() - BACKGROUND_STEP]);
    let newcomer = world.processing_at(at(25)).await;
    for _ in 0..2 {
        assert_eq!(world.claim(true, at(26)).await.expect("a chunk").asset, newcomer);
    }
    assert_eq!(world.claim(true, at(26)).await.expect("a chunk").asset, asset);
}

pub(crate) async fn deleting_an_asset_ends_the_output_that_was_being_made(world: World) {
    let asset = world.replanned().await;
    let part = world.claim(true, at(23)).await.expect("a chunk");
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(24)).await.unwrap());
    assert!(!world.catalog.heartbeat(&part, Duration::from_secs(9), at(25)).await.unwrap());
    let purge = world.claim(false, at(26)).await.expect("the purge");
    assert_eq!(purge.spec, JobSpec::Purge);
    assert_eq!(world.claim(false, at(26)).await, None);
    world.catalog.settle_purge(&purge, at(27)).await.unwrap();
    assert!(world.catalog.generations(asset).await.unwrap().is_empty());
    assert!(world.is_sound().await);
}

pub(crate) async fn viewers_of_the_old_output_demand_nothing_of_the_new_one(world: World) {
    let asset = world.replanned().await;
    for generation in [GENERATION, NEXT] {
        let wanted = Wanted { asset, generation, rendition: rendition("360p"), segment: 4 };
        let demand = world.catalog.demand(&wanted, world.job_id(), at(23)).await.unwrap();
        assert_eq!(demand, Demand::Nothing, "{generation}");
    }
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    assert!(jobs.iter().all(|job| job.spec.kind() != JobKind::Demand));
}

pub(crate) async fn a_text_that_comes_while_another_output_is_made_is_in_both(world: World) {
    let asset = world.replanned().await;
    for heavy in [true, false] {
        let part = world.claim(heavy, at(23)).await.expect("a part");
        world.catalog.settle_part(&part, world.job_id(), at(24)).await.unwrap();
    }
    let publish = world.claim_in(JobLane::Urgent, at(25)).await.expect("publish");
    let before = world.catalog.edition(asset, NEXT).await.unwrap().expect("it is planned");
    let revision = world.catalog.take_revision(&publish, at(25)).await.unwrap();
    let new = NewText {
        id: TextId::from_u128(1),
        asset,
        language: None,
        name: None,
        charset: None,
        is_forced: false,
        is_default: false,
        is_sdh: false,
        replaces: None,
    };
    world.catalog.add_text(&new, world.job_id(), at(26)).await.unwrap();
    let texts = world.claim_in(JobLane::Urgent, at(27)).await.expect("texts");
    assert_eq!(texts.spec, JobSpec::Texts { generation: GENERATION }, "it goes to what is played");
    // The document was built before: it does not come into force.
    assert!(!world.catalog.put_in_force(&publish, before, (revision, true), at(27)).await.unwrap());
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").generation, Some(GENERATION));
    world.force(&publish).await;
    // What would have been published of the old output comes too late, and is not needed.
    let late = world.catalog.take_revision(&texts, at(28)).await;
    assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
    let stale = Edition { revision: 1, is_complete: true, wishes: 1 };
    let late = world.catalog.put_in_force(&texts, stale, (9, true), at(28)).await;
    assert!(matches!(late, Err(CatalogError::NoAsset(_) | CatalogError::LostLease { .. })), "{late:?}");
    let jobs = world.catalog.jobs_of(asset).await.unwrap();
    assert!(jobs.iter().all(|job| job.spec.kind() != JobKind::Texts || job.state == JobState::Failed), "{jobs:?}");
    world.catalog.settle_publish(&publish, at(29)).await.unwrap();
    assert!(world.is_sound().await);
}

pub(crate) async fn an_output_that_is_planned_anew_stays_behind_the_one_in_force(world: World) {
    let asset = world.replanned().await;
    let part = world.claim(true, at(23)).await.expect("a chunk");
    let third = Generation(3);
    let jobs = [(world.job_id(), chunk(third))];
    world.catalog.settle_replanned(&part, third, &plan(), &jobs, world.job_id(), at(24)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation, row.next_generation), (AssetState::Ready, Some(GENERATION), Some(third)));
    assert_eq!(world.catalog.probe_of(asset, third).await.unwrap(), Some(described_anew()));
    assert!(world.is_sound().await);
    let retire = world.claim(false, at(25)).await.expect("the removal of the second");
    assert_eq!(retire.spec, JobSpec::Retire { generation: NEXT });
    assert!(world.catalog.drop_generation(&retire, at(25)).await.unwrap());
    world.catalog.settle_retired(&retire, at(25)).await.unwrap();
    let part = world.claim(true, at(26)).await.expect("its chunk");
    world.catalog.fail(&part, &broken(), at(27)).await.unwrap();
    let retire = world.claim(false, at(28)).await.expect("the removal of the third");
    assert_eq!(retire.spec, JobSpec::Retire { generation: third });
    assert!(world.is_sound().await);
}

pub(crate) async fn what_is_in_force_or_to_be_is_never_removed(world: World) {
    let asset = world.replanned().await;
    let part = world.claim(true, at(23)).await.expect("a chunk");
    assert!(!world.catalog.drop_generation(&part, at(24)).await.unwrap(), "it is to be in force");
    assert!(world.catalog.plan(asset, NEXT).await.unwrap().is_some());
    world.claim(true, at(20_000)).await.expect("the same chunk");
    let late = world.catalog.drop_generation(&part, at(20_001)).await;
    assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
}
