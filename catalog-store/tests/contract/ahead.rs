//! Work on uploads that are not complete: held until its octets are recorded, kept or taken back at the end.

use catalog_store::{Advance, AheadJob, AheadJobs, CatalogError, Claim, Closing, LeasedJob, NewText, NewUpload};
use domain::{
    AssetId, AssetState, Failure, FailureCode, Generation, JobKind, JobLane, JobSpec, JobState, TextId, UploadId,
};

use crate::harness::{GENERATION, LEASE, World, at, plan, probe, rendition, segment};

/// Octets of every upload here.
const LENGTH: u64 = 1000;

impl World {
    fn ahead_jobs(&self) -> AheadJobs {
        AheadJobs { plan: self.job_id(), remove: self.job_id() }
    }

    async fn uploading(&self) -> (UploadId, AssetId) {
        let new: NewUpload = self.new_upload(Some(LENGTH));
        self.catalog.create_upload(&new).await.unwrap();
        (new.id, new.target.expect("a whole file").asset)
    }

    async fn advance(&self, id: UploadId, offset: u64) {
        let advance = Advance { id, offset, expires_at: None, is_full: false };
        self.catalog.advance_uploads(&[advance], at(1)).await.unwrap().remove(0).unwrap();
    }

    async fn claim_ahead(&self, lane: JobLane, ms: i64) -> Option<LeasedJob> {
        let claim = Claim { worker: "worker", lane, lease: LEASE, now: at(ms) };
        let seen = self.catalog.next_ahead(lane, at(ms)).await.unwrap();
        let job = self.catalog.claim_ahead(&claim).await.unwrap();
        assert_eq!(seen.map(|seen| seen.id), job.as_ref().map(|job| job.id));
        job
    }

    /// The parts of a generation, the first chunk and the sound each after so many octets.
    fn held(&self, chunk: u64, sound: u64) -> Vec<AheadJob> {
        let needs = |spec: &JobSpec| match spec {
            JobSpec::Chunk { chunk: 0, .. } => Some(chunk),
            JobSpec::Audio { .. } => Some(sound),
            _ => None,
        };
        let job = |(id, spec): (_, JobSpec)| AheadJob { id, needs_bytes: needs(&spec), spec };
        self.parts().into_iter().map(job).collect()
    }

    /// An upload of half its octets of which the first chunk may be made, and no more.
    async fn planned_ahead(&self) -> (UploadId, AssetId) {
        let (upload, asset) = self.uploading().await;
        assert!(self.catalog.begin_ahead(upload, 100, self.ahead_jobs(), at(0)).await.unwrap());
        self.advance(upload, 500).await;
        let job = self.claim_ahead(JobLane::Light, 1).await.expect("the planning");
        assert!(job.is_ahead && job.spec == JobSpec::Ahead { generation: GENERATION });
        let (probe, plan) = (probe(), plan());
        self.catalog.settle_ahead(&job, Some((&probe, &plan)), &self.held(400, 600), at(2)).await.unwrap();
        (upload, asset)
    }

    async fn received_after(&self, upload: UploadId) -> LeasedJob {
        self.catalog.finish_upload(upload, LENGTH, (self.job_id(), self.job_id()), at(5)).await.unwrap();
        let job = self.claim(false, at(6)).await.expect("the probe");
        assert_eq!(job.spec, JobSpec::Probe);
        job
    }

    async fn states(&self, asset: AssetId) -> Vec<(JobKind, JobState)> {
        let jobs = self.catalog.jobs_of(asset).await.unwrap();
        jobs.into_iter().map(|job| (job.spec.kind(), job.state)).collect()
    }
}

pub(crate) async fn work_on_an_upload_waits_for_its_octets_in_lanes_of_its_own(world: World) {
    let (upload, asset) = world.uploading().await;
    assert!(world.catalog.begin_ahead(upload, 100, world.ahead_jobs(), at(0)).await.unwrap());
    assert!(!world.catalog.begin_ahead(upload, 100, world.ahead_jobs(), at(0)).await.unwrap(), "once is enough");
    world.advance(upload, 99).await;
    assert_eq!(world.claim_ahead(JobLane::Light, 1).await, None);
    world.advance(upload, 100).await;
    assert_eq!(world.claim(false, at(1)).await, None, "no worker that cannot read it gets it");
    let job = world.claim_ahead(JobLane::Light, 1).await.expect("the planning");
    let (probe, plan) = (probe(), plan());
    world.catalog.settle_ahead(&job, Some((&probe, &plan)), &world.held(400, 600), at(2)).await.unwrap();
    let found = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((found.state, found.generation, found.probe), (AssetState::Uploading, Some(GENERATION), None));
    assert_eq!(world.catalog.probe_of(asset, GENERATION).await.unwrap(), Some(probe));

    world.advance(upload, 599).await;
    assert_eq!(world.claim(true, at(3)).await, None);
    let chunk = world.claim_ahead(JobLane::Heavy, 3).await.expect("its octets are there");
    assert_eq!(chunk.spec, JobSpec::Chunk { generation: GENERATION, chunk: 0 });
    assert_eq!(world.claim_ahead(JobLane::Heavy, 3).await, None, "the other chunk needs all");
    assert_eq!(world.claim_ahead(JobLane::Light, 3).await, None, "the sound is not there yet");
    world.catalog.insert_segment(&chunk, &segment(asset, "360p", 0), at(4)).await.unwrap();
    let done = world.catalog.progress(asset).await.unwrap();
    assert!(done.iter().any(|one| one.id == rendition("360p") && one.done == 1), "{done:?}");
}

pub(crate) async fn a_job_that_needs_more_than_it_thought_waits_for_that_or_for_the_end(world: World) {
    let (upload, _) = world.planned_ahead().await;
    let chunk = world.claim_ahead(JobLane::Heavy, 3).await.expect("the chunk");
    world.catalog.hold(&chunk, "too early", 700, at(4)).await.unwrap();
    assert_eq!(world.claim_ahead(JobLane::Heavy, 5).await, None);
    world.advance(upload, 700).await;
    let chunk = world.claim_ahead(JobLane::Heavy, 5).await.expect("again");
    assert_eq!(chunk.failures, 0);
    world.catalog.hold(&chunk, "it cannot be decoded", u64::MAX, at(6)).await.unwrap();
    world.advance(upload, LENGTH - 1).await;
    assert_eq!(world.claim_ahead(JobLane::Heavy, 7).await, None);
    let stale = world.catalog.hold(&chunk, "once more", 1, at(8)).await;
    assert!(matches!(stale, Err(CatalogError::LostLease { .. })), "{stale:?}");
}

pub(crate) async fn a_job_whose_workers_vanish_waits_for_the_whole_source(world: World) {
    let (_, asset) = world.planned_ahead().await;
    let step = i64::try_from(LEASE.as_millis()).unwrap() + 1;
    for round in 0..=i64::from(catalog_store::jobs::CRASHES_MAX) {
        assert!(world.claim_ahead(JobLane::Heavy, 3 + round * step).await.is_some(), "{round}");
    }
    let later = 3 + (i64::from(catalog_store::jobs::CRASHES_MAX) + 10) * step;
    let claim = Claim { worker: "worker", lane: JobLane::Heavy, lease: LEASE, now: at(later) };
    assert_eq!(world.catalog.claim_ahead(&claim).await.unwrap(), None);
    assert_eq!(world.claim_ahead(JobLane::Heavy, later + step).await, None);
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Uploading);
}

pub(crate) async fn a_plan_that_holds_goes_on_as_work_like_any_other(world: World) {
    let (upload, asset) = world.planned_ahead().await;
    let chunk = world.claim_ahead(JobLane::Heavy, 3).await.expect("the chunk");
    let job = world.received_after(upload).await;
    // Its octets are there, its plan is not confirmed: nothing more begins.
    assert_eq!(world.claim_ahead(JobLane::Light, 7).await, None);
    assert_eq!(world.claim(true, at(7)).await, None);
    let probe = probe();
    world.catalog.settle_adopted(&job, &probe, GENERATION, &[], world.job_id(), at(8)).await.unwrap();
    let found = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((found.state, found.generation, found.probe), (AssetState::Processing, Some(GENERATION), Some(probe)));
    // The one that runs is not disturbed.
    world.catalog.settle_part(&chunk, world.job_id(), at(9)).await.unwrap();
    let mut kinds = Vec::new();
    for heavy in [true, false, false] {
        let part = world.claim(heavy, at(10)).await.expect("a part");
        assert!(!part.is_ahead);
        kinds.push(part.spec.kind());
        world.catalog.settle_part(&part, world.job_id(), at(11)).await.unwrap();
    }
    assert_eq!(kinds, [JobKind::Chunk, JobKind::Audio, JobKind::Images]);
    assert_eq!(world.claim(false, at(12)).await.expect("the last part is done").spec.kind(), JobKind::Publish);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn what_is_made_before_the_plan_is_known_to_hold_is_not_published(world: World) {
    let (upload, asset) = world.uploading().await;
    assert!(world.catalog.begin_ahead(upload, 1, world.ahead_jobs(), at(0)).await.unwrap());
    world.advance(upload, 999).await;
    let job = world.claim_ahead(JobLane::Light, 1).await.expect("the planning");
    let (probe, plan) = (probe(), plan());
    let all = world.parts().into_iter().map(|(id, spec)| AheadJob { id, spec, needs_bytes: Some(10) });
    world.catalog.settle_ahead(&job, Some((&probe, &plan)), &all.collect::<Vec<_>>(), at(2)).await.unwrap();
    for lane in [JobLane::Heavy, JobLane::Heavy, JobLane::Light, JobLane::Light] {
        let part = world.claim_ahead(lane, 3).await.expect("a part");
        world.catalog.settle_part(&part, world.job_id(), at(4)).await.unwrap();
    }
    assert!(world.states(asset).await.iter().all(|(kind, _)| *kind != JobKind::Publish));
    let job = world.received_after(upload).await;
    world.catalog.settle_adopted(&job, &probe, GENERATION, &[], world.job_id(), at(8)).await.unwrap();
    assert_eq!(world.claim(false, at(9)).await.expect("all is there").spec.kind(), JobKind::Publish);
}

pub(crate) async fn a_plan_that_does_not_hold_is_removed_with_all_that_was_made(world: World) {
    let (upload, asset) = world.planned_ahead().await;
    let chunk = world.claim_ahead(JobLane::Heavy, 3).await.expect("the chunk");
    world.catalog.insert_segment(&chunk, &segment(asset, "360p", 0), at(4)).await.unwrap();
    let job = world.received_after(upload).await;
    let next = Generation(2);
    let parts = [(world.job_id(), JobSpec::Chunk { generation: next, chunk: 0 })];
    world.catalog.settle_probe(&job, &probe(), next, &plan(), &parts, at(8)).await.unwrap();
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").generation, Some(next));
    let lost = world.catalog.settle_part(&chunk, world.job_id(), at(9)).await;
    assert!(matches!(lost, Err(CatalogError::LostLease { .. })), "{lost:?}");
    let retire = world.claim(false, at(10)).await.expect("the removal");
    assert_eq!(retire.spec, JobSpec::Retire { generation: GENERATION });
    assert!(world.catalog.drop_generation(&retire, at(11)).await.unwrap());
    assert_eq!(world.catalog.segments(asset, GENERATION).await.unwrap(), []);
    world.catalog.settle_retired(&retire, at(12)).await.unwrap();
    assert_eq!(world.claim(true, at(13)).await.expect("the new plan").spec.generation(), Some(next));
    assert_eq!(world.claim_ahead(JobLane::Heavy, 13).await, None);
}

pub(crate) async fn an_upload_that_comes_to_nothing_has_its_work_removed(world: World) {
    let failure = Failure::new(FailureCode::Damaged, "not the announced digest");
    let closings = [
        (Closing::Terminated, JobKind::Purge, AssetState::Deleted),
        (Closing::Expired, JobKind::Purge, AssetState::Deleted),
        (Closing::Refused(failure), JobKind::Retire, AssetState::Failed),
    ];
    for (closing, removal, state) in closings {
        let (upload, asset) = world.planned_ahead().await;
        let chunk = world.claim_ahead(JobLane::Heavy, 3).await.expect("the chunk");
        world.catalog.insert_segment(&chunk, &segment(asset, "360p", 0), at(4)).await.unwrap();
        assert!(world.catalog.close_upload(upload, &closing, at(5)).await.unwrap());
        let late = world.catalog.insert_segment(&chunk, &segment(asset, "360p", 1), at(6)).await;
        assert!(matches!(late, Err(CatalogError::LostLease { .. })), "{late:?}");
        let job = world.claim(false, at(7)).await.expect("the removal");
        assert_eq!((job.asset, job.spec.kind()), (asset, removal));
        if removal == JobKind::Purge {
            world.catalog.settle_purge(&job, at(8)).await.unwrap();
        } else {
            assert!(world.catalog.drop_generation(&job, at(8)).await.unwrap());
            world.catalog.settle_retired(&job, at(8)).await.unwrap();
        }
        assert_eq!(world.catalog.segments(asset, GENERATION).await.unwrap(), []);
        let found = world.catalog.asset(asset).await.unwrap().expect("its row");
        assert_eq!((found.state, found.generation), (state, None));
        // Its address goes on to tell what became of it, and nothing else.
        let upload = world.catalog.upload(upload).await.unwrap().expect("a tombstone");
        assert!(removal == JobKind::Retire || (upload.metadata.is_empty() && upload.file_name.is_none()), "{upload:?}");
        assert_eq!(world.catalog.unfinished_job_count().await.unwrap(), 0);
        assert!(world.catalog.integrity().await.unwrap().is_sound());
    }
}

pub(crate) async fn planning_that_is_late_ends_with_the_upload(world: World) {
    let (upload, asset) = world.uploading().await;
    assert!(world.catalog.begin_ahead(upload, 100, world.ahead_jobs(), at(0)).await.unwrap());
    world.advance(upload, 500).await;
    let late = world.claim_ahead(JobLane::Light, 1).await.expect("the planning");
    let job = world.received_after(upload).await;
    let (probe, plan) = (probe(), plan());
    let settled = world.catalog.settle_ahead(&late, Some((&probe, &plan)), &world.held(1, 1), at(6)).await;
    assert!(matches!(settled, Err(CatalogError::LostLease { .. })), "{settled:?}");
    world.settle_probe(&job, at(7)).await;
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").generation, Some(GENERATION));
    world.settle_all_parts(at(8)).await;
}

pub(crate) async fn only_so_many_uploads_are_worked_on_at_a_time(world: World) {
    let mut uploads = Vec::new();
    for _ in 0..catalog_store::ahead::AHEAD_UPLOADS_MAX {
        let (upload, _) = world.uploading().await;
        assert!(world.catalog.begin_ahead(upload, 100, world.ahead_jobs(), at(0)).await.unwrap());
        uploads.push(upload);
    }
    let (another, _) = world.uploading().await;
    assert!(!world.catalog.begin_ahead(another, 100, world.ahead_jobs(), at(1)).await.unwrap());
    assert!(world.catalog.close_upload(uploads[0], &Closing::Terminated, at(2)).await.unwrap());
    assert!(world.catalog.begin_ahead(another, 100, world.ahead_jobs(), at(3)).await.unwrap());
    let (late, _) = world.uploading().await;
    assert!(world.catalog.begin_ahead(late, 100, world.ahead_jobs(), at(601_000)).await.unwrap(), "the others rest");
}

pub(crate) async fn a_text_that_comes_during_the_upload_waits_for_its_end(world: World) {
    let (_, asset) = world.planned_ahead().await;
    let new = NewText {
        id: TextId::from_u128(77),
        asset,
        language: None,
        name: None,
        charset: None,
        is_forced: false,
        is_default: false,
        is_sdh: false,
        replaces: None,
    };
    world.catalog.add_text(&new, world.job_id(), at(3)).await.unwrap();
    assert!(world.states(asset).await.iter().all(|(kind, _)| *kind != JobKind::Texts));
}
