//! The sources that an asset has had: another one, back to an earlier one, and the end of those that are not kept.

use catalog_store::{CatalogError, Closing, NewUpload, Target, Version, VersionState};
use domain::{
    AssetId, AssetState, Failure, FailureCode, Generation, JobSpec, SourceId, SourceVersion, Stage, UploadId,
};

use crate::harness::{GENERATION, World, at, probe};

const SECOND: SourceVersion = SourceVersion(2);

impl World {
    /// Begins another source of 500 octets.
    async fn begin_version(&self, asset: AssetId) -> Result<UploadId, CatalogError> {
        self.begin_version_to_review(asset, false).await
    }

    async fn begin_version_to_review(&self, asset: AssetId, needs_review: bool) -> Result<UploadId, CatalogError> {
        let playback = self.catalog.asset(asset).await.unwrap().expect("it").playback;
        let whole = self.new_upload(Some(500));
        let new = NewUpload {
            target: Some(Target::next_version(asset, playback)),
            file_name: Some("better.mp4".into()),
            owner: Some("ada".into()),
            needs_review,
            now: at(20),
            ..whole
        };
        self.catalog.create_upload(&new).await?;
        Ok(new.id)
    }

    /// Its octets are all there.
    async fn receive_version(&self, upload: UploadId) {
        self.catalog.finish_upload(upload, 500, (self.job_id(), self.job_id()), at(21)).await.unwrap();
    }

    /// Its output is made and put in force.
    async fn publish_version(&self, asset: AssetId) {
        let job = self.claim(false, at(22)).await.expect("the planning");
        assert!(matches!(job.spec, JobSpec::Reprocess { .. }), "{:?}", job.spec);
        self.settle_next(&job).await;
        for heavy in [true, false] {
            let part = self.claim(heavy, at(23)).await.expect("a part");
            self.catalog.settle_part(&part, self.job_id(), at(24)).await.unwrap();
        }
        let publish = self.claim(false, at(25)).await.expect("publish");
        self.force(&publish).await;
        self.catalog.settle_publish(&publish, at(26)).await.unwrap();
        let texts = self.claim(false, at(27)).await.expect("what is said in it is read");
        assert!(matches!(texts.spec, JobSpec::Texts { .. }), "{:?}", texts.spec);
        self.catalog.settle_texts(&texts, at(27)).await.unwrap();
        assert!(self.is_sound().await);
        assert_eq!(self.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Ready);
    }

    /// A ready asset with another source in force.
    async fn second_version(&self) -> AssetId {
        let asset = self.ready().await;
        let upload = self.begin_version(asset).await.unwrap();
        self.receive_version(upload).await;
        self.publish_version(asset).await;
        asset
    }

    /// A ready asset in this stage whose next source has to be looked at, until it is in force.
    async fn unseen_version(&self, stage: Stage) -> AssetId {
        let asset = self.ready().await;
        self.put(asset, Stage::Draft).await;
        if stage != Stage::Draft {
            self.put(asset, stage).await;
        }
        let upload = self.begin_version_to_review(asset, true).await.unwrap();
        self.receive_version(upload).await;
        assert_eq!(self.stage_of(asset).await, (stage, None), "the old one stays as it is");
        self.publish_version(asset).await;
        asset
    }

    /// What somebody who may review says, of what is shown or waits for them.
    async fn put(&self, asset: AssetId, stage: Stage) {
        self.catalog.set_stage(asset, (stage, false), (None, None), "test", self.job_id(), at(19)).await.unwrap();
        while let Some(job) = self.claim(false, at(19)).await {
            self.catalog.settle_texts(&job, at(19)).await.unwrap();
        }
    }

    async fn stage_of(&self, asset: AssetId) -> (Stage, Option<String>) {
        let asset = self.catalog.asset(asset).await.unwrap().expect("it");
        (asset.stage, asset.stage_note)
    }

    async fn versions_of(&self, asset: AssetId) -> Vec<(u32, VersionState)> {
        let known = self.catalog.versions(asset).await.unwrap();
        known.into_iter().map(|version: Version| (version.version.0, version.state)).collect()
    }
}

pub(crate) async fn another_source_takes_the_place_of_the_one_in_force_which_is_kept(world: World) {
    let asset = world.ready().await;
    assert!(world.catalog.versions(asset).await.unwrap().is_empty(), "of an only source the asset tells");
    let upload = world.begin_version(asset).await.unwrap();
    let target = world.catalog.upload(upload).await.unwrap().expect("it").target.expect("an asset");
    assert_eq!(target.source(), SourceId { asset, version: SECOND });
    assert_eq!(world.versions_of(asset).await, [(2, VersionState::Uploading), (1, VersionState::Ready)]);
    assert!(world.is_sound().await);
    world.receive_version(upload).await;
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!(
        (row.state, row.generation, row.source_version),
        (AssetState::Ready, Some(GENERATION), SourceVersion(1))
    );
    let next = row.next_generation.expect("it is made");
    assert_eq!(world.catalog.source_of(asset, Some(next)).await.unwrap().version, SECOND, "also before it is planned");
    assert!(world.is_sound().await);
    world.publish_version(asset).await;
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!(
        (row.generation, row.source_version, row.file_name.as_deref()),
        (Some(next), SECOND, Some("better.mp4"))
    );
    assert_eq!(row.size.map(|size| size.0), Some(500));
    assert_eq!(world.catalog.probe_of(asset, GENERATION).await.unwrap(), Some(probe()), "the old one keeps its own");
    let known = world.catalog.versions(asset).await.unwrap();
    assert_eq!((known[0].owner.as_deref(), known[0].generation), (Some("ada"), Some(next)));
    assert_eq!((known[1].state, known[1].generation), (VersionState::Ready, Some(GENERATION)));
    assert_eq!((known[0].duration_ms, known[1].duration_ms), (Some(30_000), Some(30_000)));
    assert_eq!(world.claim(false, at(1_000_000)).await, None, "nothing removes what is kept");
    assert_eq!(world.catalog.retained(asset).await.unwrap().len(), 1);
    let topics = world.topics(asset).await;
    for topic in ["asset.version.uploading", "asset.version.processing", "asset.version.published"] {
        assert!(topics.iter().any(|found| found == topic), "{topic} in {topics:?}");
    }
}

pub(crate) async fn an_earlier_source_is_gone_back_to_in_one_step(world: World) {
    let asset = world.second_version().await;
    let newer = world.catalog.asset(asset).await.unwrap().expect("it");
    let refused = world.catalog.restore_version(asset, (SECOND, true), "test", world.job_id(), at(30)).await;
    assert!(matches!(refused, Err(CatalogError::VersionInForce { .. })), "{refused:?}");
    let refused = world.catalog.restore_version(asset, (SourceVersion(3), true), "test", world.job_id(), at(30)).await;
    assert!(matches!(refused, Err(CatalogError::NoVersion { .. })), "{refused:?}");
    world.catalog.restore_version(asset, (SourceVersion(1), true), "test", world.job_id(), at(31)).await.unwrap();
    let log = world.catalog.audit_log(None, 10).await.unwrap();
    let told = (log[0].action.as_str(), log[0].subject.clone(), log[0].data.to_string());
    assert_eq!(told, ("asset.version_restored", Some(asset.to_string()), r#"{"version":1}"#.to_owned()));
    assert_eq!(log.len(), 1, "what was refused is no row");
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.generation, row.source_version, row.turn), (Some(GENERATION), SourceVersion(1), newer.turn + 1));
    assert_eq!((row.size.map(|size| size.0), row.probe), (Some(1000), Some(probe())));
    assert!(world.is_sound().await);
    let publish = world.claim(false, at(32)).await.expect("it is shown");
    assert_eq!(publish.spec, JobSpec::Texts { generation: GENERATION });
    world.catalog.settle_texts(&publish, at(33)).await.unwrap();
    // And forth again.
    world.catalog.restore_version(asset, (SECOND, true), "test", world.job_id(), at(34)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.generation, row.source_version, row.turn), (newer.generation, SECOND, newer.turn + 2));
    assert_eq!(row.file_name.as_deref(), Some("better.mp4"));
    assert!(world.topics(asset).await.contains(&"asset.version.restored".to_owned()));
    assert!(world.is_sound().await);
}

pub(crate) async fn another_source_that_nobody_looked_at_waits_for_a_review(world: World) {
    let asset = world.unseen_version(Stage::Published).await;
    let (stage, note) = world.stage_of(asset).await;
    assert_eq!(stage, Stage::Submitted);
    assert!(note.expect("it says why").contains("new version"));
    assert!(world.catalog.asset(asset).await.unwrap().expect("it").availability().is_withheld);
    let waiting = world.catalog.assets_to_review(None, None, 10).await.unwrap();
    assert_eq!(waiting.iter().map(|asset| asset.id).collect::<Vec<_>>(), [asset]);
    let topics = world.topics(asset).await;
    let at_once: Vec<&str> = topics.iter().map(String::as_str).filter(|topic| !topic.starts_with("asset.up")).collect();
    let told = ["asset.stage_changed", "asset.access_changed", "asset.version.published"];
    assert!(at_once.windows(3).any(|three| three == told), "{topics:?}");
    // Looked at, it can be gone back to without anybody.
    world.put(asset, Stage::Published).await;
    for version in [SourceVersion(1), SECOND] {
        world.catalog.restore_version(asset, (version, false), "test", world.job_id(), at(40)).await.unwrap();
        assert_eq!(world.stage_of(asset).await.0, Stage::Published, "{version:?}");
    }
}

pub(crate) async fn an_earlier_source_that_nobody_looked_at_waits_for_a_review(world: World) {
    // The first was rejected, the second was shown.
    let asset = world.unseen_version(Stage::Draft).await;
    assert_eq!(world.stage_of(asset).await, (Stage::Draft, None), "nobody has to look at a draft");
    world.put(asset, Stage::Published).await;
    world.catalog.restore_version(asset, (SourceVersion(1), false), "test", world.job_id(), at(40)).await.unwrap();
    let (stage, note) = world.stage_of(asset).await;
    assert_eq!(stage, Stage::Submitted);
    assert!(note.expect("it says why").contains("earlier version"));
    assert!(world.is_sound().await);
    // Whoever may review goes back without.
    world.put(asset, Stage::Rejected).await;
    world.catalog.restore_version(asset, (SECOND, false), "test", world.job_id(), at(41)).await.unwrap();
    world.put(asset, Stage::Published).await;
    world.catalog.restore_version(asset, (SourceVersion(1), true), "test", world.job_id(), at(42)).await.unwrap();
    assert_eq!(world.stage_of(asset).await.0, Stage::Published);
}

pub(crate) async fn a_source_that_comes_to_nothing_leaves_the_one_in_force(world: World) {
    let asset = world.ready().await;
    let failure = Failure::new(FailureCode::NoMedia, "this is no video");
    // Its octets are refused while they come.
    let upload = world.begin_version(asset).await.unwrap();
    assert!(world.catalog.close_upload(upload, &Closing::Refused(failure.clone()), at(21)).await.unwrap());
    assert_eq!(world.versions_of(asset).await, [(2, VersionState::Failed), (1, VersionState::Ready)]);
    // It cannot be processed.
    let upload = world.begin_version(asset).await.unwrap();
    assert_eq!(world.versions_of(asset).await, [(3, VersionState::Uploading), (1, VersionState::Ready)], "forgotten");
    world.receive_version(upload).await;
    let job = world.claim(false, at(22)).await.expect("the planning");
    world.catalog.fail(&job, &failure, at(23)).await.unwrap();
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.generation, row.next_generation), (AssetState::Ready, Some(GENERATION), None));
    assert_eq!((row.source_version, row.reprocess_failure, row.failure), (SourceVersion(1), None, None));
    let known = world.catalog.versions(asset).await.unwrap();
    assert_eq!((known[0].state, known[0].failure.as_ref()), (VersionState::Failed, Some(&failure)));
    assert!(world.is_sound().await);
    let retire = world.claim(false, at(24)).await.expect("what is left of it is removed");
    let generation = retire.spec.generation().expect("its output");
    let source = world.catalog.source_to_remove(asset, generation).await.unwrap();
    assert_eq!(source, Some(SourceId { asset, version: SourceVersion(3) }));
    assert!(world.catalog.drop_generation(&retire, at(25)).await.unwrap());
    world.catalog.settle_retired(&retire, at(26)).await.unwrap();
    assert_eq!(world.versions_of(asset).await, [(3, VersionState::Failed), (1, VersionState::Ready)], "it is told why");
    assert_eq!(world.catalog.upload(upload).await.unwrap(), None, "nobody pays for it");
    assert!(world.topics(asset).await.contains(&"asset.version.failed".to_owned()));
}

pub(crate) async fn an_upload_that_is_given_up_leaves_no_version(world: World) {
    let asset = world.ready().await;
    let upload = world.begin_version(asset).await.unwrap();
    assert!(world.catalog.close_upload(upload, &Closing::Expired, at(21)).await.unwrap());
    assert_eq!(world.versions_of(asset).await, [(1, VersionState::Ready)]);
    assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Ready);
    assert!(world.is_sound().await);
}

pub(crate) async fn one_source_is_on_its_way_at_a_time_and_only_to_a_ready_asset(world: World) {
    let busy = world.processing().await;
    assert!(matches!(world.begin_version(busy).await, Err(CatalogError::NotReady { .. })));
    world.catalog.delete_asset(busy, world.job_id(), at(9)).await.unwrap();
    let purge = world.claim(false, at(9)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(9)).await.unwrap();
    assert!(matches!(world.begin_version(busy).await, Err(CatalogError::NoAsset(_))));
    let asset = world.ready().await;
    let upload = world.begin_version(asset).await.unwrap();
    assert!(matches!(world.begin_version(asset).await, Err(CatalogError::VersionUnderWay(_))));
    world.receive_version(upload).await;
    assert!(matches!(world.begin_version(asset).await, Err(CatalogError::VersionUnderWay(_))));
    world.receive_version(upload).await;
    assert_eq!(world.versions_of(asset).await.len(), 2, "finished twice, begun once");
}

pub(crate) async fn sources_beyond_those_that_are_kept_are_removed_with_what_they_took(world: World) {
    let asset = world.second_version().await;
    let mint = || world.job_id();
    assert_eq!(world.catalog.remove_surplus_versions(2, mint, at(30)).await.unwrap(), 0);
    let upload = world.begin_version(asset).await.unwrap();
    world.receive_version(upload).await;
    world.publish_version(asset).await;
    assert_eq!(world.catalog.remove_surplus_versions(2, mint, at(31)).await.unwrap(), 1);
    assert_eq!(world.catalog.remove_surplus_versions(2, mint, at(31)).await.unwrap(), 0);
    let expected = [(3, VersionState::Ready), (2, VersionState::Ready), (1, VersionState::Removing)];
    assert_eq!(world.versions_of(asset).await, expected);
    let refused = world.catalog.restore_version(asset, (SourceVersion(1), true), "test", world.job_id(), at(32)).await;
    assert!(matches!(refused, Err(CatalogError::NoVersion { .. })), "{refused:?}");
    assert!(world.is_sound().await);
    let retire = world.claim(false, at(33)).await.expect("the removal");
    assert_eq!(retire.spec, JobSpec::Retire { generation: GENERATION });
    let first = SourceId { asset, version: SourceVersion(1) };
    assert_eq!(world.catalog.source_to_remove(asset, GENERATION).await.unwrap(), Some(first));
    assert!(world.catalog.drop_generation(&retire, at(34)).await.unwrap());
    world.catalog.settle_retired(&retire, at(35)).await.unwrap();
    assert_eq!(world.versions_of(asset).await, expected[..2]);
    assert_eq!(world.catalog.usage_of("ada").await.unwrap().1.0, 1000, "two of 500 octets are kept");
    assert!(world.is_sound().await);
}

pub(crate) async fn another_source_is_wanted_more_than_another_output_of_the_old_one(world: World) {
    let asset = world.ready().await;
    let upload = world.begin_version(asset).await.unwrap();
    world.reprocess(asset).await.unwrap();
    let given_up = world.catalog.asset(asset).await.unwrap().expect("it").next_generation.expect("it is made");
    world.receive_version(upload).await;
    let next = world.catalog.asset(asset).await.unwrap().expect("it").next_generation.expect("it is made");
    assert!(next > given_up);
    assert!(world.is_sound().await);
    let source = async |generation: Generation| world.catalog.source_of(asset, Some(generation)).await.unwrap().version;
    assert_eq!((source(next).await, source(GENERATION).await), (SECOND, SourceVersion(1)));
    let asked = world.reprocess(asset).await.unwrap();
    assert_eq!(asked, catalog_store::Reprocess::UnderWay(next));
}

pub(crate) async fn a_deleted_asset_takes_its_sources_along(world: World) {
    let asset = world.second_version().await;
    let upload = world.begin_version(asset).await.unwrap();
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(30)).await.unwrap());
    let closed = world.catalog.finish_upload(upload, 500, (world.job_id(), world.job_id()), at(31)).await;
    assert!(matches!(closed, Err(CatalogError::UploadClosed { .. })), "{closed:?}");
    let row = world.catalog.asset(asset).await.unwrap().expect("its id");
    assert_eq!(row.source_version_taken, SourceVersion(3), "the purge knows how many sources there were");
    let purge = world.claim(false, at(32)).await.expect("the purge");
    world.catalog.settle_purge(&purge, at(33)).await.unwrap();
    assert!(world.catalog.versions(asset).await.unwrap().is_empty());
    assert_eq!(world.tables_with("better.mp4").await, Vec::<String>::new());
}
