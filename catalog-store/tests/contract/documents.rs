//! Documents of assets: brought by uploads, named, put in order, taken back.

use catalog_store::{CatalogError, Closing, DocumentText, NewUpload, Target, UploadState};
use domain::document::State;
use domain::{AssetId, AssetState, DocumentId, Failure, FailureCode, JobKind, UploadId};

use crate::harness::{World, at};

impl World {
    /// Begins a document of five octets.
    async fn begin_document(
        &self,
        asset: AssetId,
        name: &str,
        max: u32,
    ) -> Result<(DocumentId, UploadId), CatalogError> {
        let playback = self.catalog.asset(asset).await.unwrap().expect("it").playback;
        let id = DocumentId::from_u128(self.fresh());
        let new = NewUpload {
            target: Some(Target::document(asset, playback, id)),
            file_name: Some(name.into()),
            owner: Some("ada".into()),
            documents_max: max,
            now: at(20),
            ..self.new_upload(Some(5))
        };
        self.catalog.create_upload(&new).await?;
        Ok((id, new.id))
    }

    /// Its octets are all there, and somebody looked at them.
    async fn receive_document(&self, upload: UploadId) {
        let described = ("application/pdf", "ab".repeat(32));
        self.catalog.describe_document(upload, (described.0, &described.1)).await.unwrap();
        self.catalog.finish_upload(upload, 5, (self.job_id(), self.job_id()), at(21)).await.unwrap();
    }

    async fn document_of(&self, asset: AssetId, name: &str) -> DocumentId {
        let (id, upload) = self.begin_document(asset, name, 100).await.unwrap();
        self.receive_document(upload).await;
        id
    }

    async fn names_of(&self, asset: AssetId) -> Vec<String> {
        self.catalog.documents(asset).await.unwrap().into_iter().map(|document| document.name).collect()
    }
}

fn said(name: &str, position: Option<u64>) -> DocumentText {
    DocumentText { name: name.into(), description: "what it is".into(), position }
}

pub(crate) async fn a_document_comes_as_an_upload_and_is_shown_once_it_is_whole(world: World) {
    let asset = world.ready().await;
    let (id, upload) = world.begin_document(asset, "script.pdf", 1).await.unwrap();
    let row = world.catalog.upload(upload).await.unwrap().expect("it");
    assert_eq!(row.target.and_then(|target| target.document), Some(id));
    assert_eq!(row.target.map(|target| (target.asset, target.is_version())), Some((asset, false)));
    let begun = world.catalog.document(asset, id).await.unwrap().expect("it");
    assert_eq!((begun.state, begun.name.as_str(), begun.size), (State::Uploading, "script.pdf", None));
    assert!(world.catalog.listed_documents(asset).await.unwrap().is_empty());
    assert_eq!(world.catalog.open_upload_of(asset).await.unwrap(), None, "the asset waits for nothing");
    let refused = world.begin_document(asset, "more.pdf", 1).await;
    assert!(matches!(refused, Err(CatalogError::TooManyDocuments { count_max: 1, .. })), "{refused:?}");
    let early = world.catalog.finish_upload(upload, 5, (world.job_id(), world.job_id()), at(20)).await;
    assert!(matches!(early, Err(CatalogError::Corrupt { .. })), "nobody looked at it: {early:?}");
    world.receive_document(upload).await;
    world.catalog.finish_upload(upload, 5, (world.job_id(), world.job_id()), at(22)).await.unwrap();
    let listed = world.catalog.listed_documents(asset).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, listed[0].media_type.as_str(), listed[0].size_bytes.0), (id, "application/pdf", 5));
    let job = world.claim(false, at(23)).await.expect("it is shown");
    assert_eq!(job.spec.kind(), JobKind::Texts);
    world.catalog.settle_texts(&job, at(23)).await.unwrap();
    assert_eq!(world.claim(false, at(24)).await, None, "and nothing is probed");
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.source_version.0), (AssetState::Ready, 1));
    assert!(world.catalog.versions(asset).await.unwrap().is_empty(), "it is no version");
    assert_eq!(world.catalog.usage_of("ada").await.unwrap().1.0, 5, "it counts");
    assert!(world.is_sound().await);
    let topics = world.topics(asset).await;
    for topic in ["asset.document.uploading", "asset.document.added"] {
        assert!(topics.iter().any(|found| found == topic), "{topic} in {topics:?}");
    }
}

pub(crate) async fn a_document_that_comes_to_nothing_leaves_its_asset_alone(world: World) {
    let asset = world.ready().await;
    for closing in [Closing::Terminated, Closing::Expired] {
        let (id, upload) = world.begin_document(asset, "a.pdf", 100).await.unwrap();
        assert!(world.catalog.close_upload(upload, &closing, at(21)).await.unwrap());
        assert_eq!(world.catalog.document(asset, id).await.unwrap(), None);
        assert_eq!(world.catalog.asset(asset).await.unwrap().expect("it").state, AssetState::Ready);
    }
    let (id, upload) = world.begin_document(asset, "a.exe", 1).await.unwrap();
    let failure = Failure::new(FailureCode::Unsupported, "no");
    assert!(world.catalog.close_upload(upload, &Closing::Refused(failure.clone()), at(22)).await.unwrap());
    let refused = world.catalog.document(asset, id).await.unwrap().expect("why is told");
    assert_eq!((refused.state, refused.failure), (State::Failed, Some(failure)));
    let row = world.catalog.asset(asset).await.unwrap().expect("it");
    assert_eq!((row.state, row.failure), (AssetState::Ready, None));
    assert!(world.catalog.listed_documents(asset).await.unwrap().is_empty());
    world.begin_document(asset, "b.pdf", 1).await.expect("what failed is forgotten when the next one is begun");
    assert_eq!(world.names_of(asset).await, ["b.pdf"]);
    assert!(world.is_sound().await);
    let topics = world.topics(asset).await;
    assert!(
        topics.contains(&"asset.document.ended".to_owned()) && topics.contains(&"asset.document.failed".to_owned())
    );
}

pub(crate) async fn documents_are_named_and_put_in_order(world: World) {
    let asset = world.ready().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(world.document_of(asset, name).await);
    }
    let change = async |id, version, said: DocumentText| {
        world.catalog.change_document((asset, id), version, &said, world.job_id(), at(30)).await
    };
    let moved = change(ids[3], 1, said("d", Some(0))).await.unwrap().expect("it");
    assert_eq!((moved.version, moved.description.as_str()), (2, "what it is"));
    assert_eq!(world.names_of(asset).await, ["d", "a", "b", "c"]);
    let stale = change(ids[3], 1, said("x", None)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 2 })), "{stale:?}");
    change(ids[0], 1, said("a", Some(99))).await.unwrap().expect("it");
    assert_eq!(world.names_of(asset).await, ["d", "b", "c", "a"]);
    change(ids[1], 1, said("B", Some(2))).await.unwrap().expect("it");
    assert_eq!(world.names_of(asset).await, ["d", "c", "B", "a"]);
    world.document_of(asset, "e").await;
    assert_eq!(world.names_of(asset).await, ["d", "c", "B", "a", "e"], "a new one stands behind the others");
    let listed = world.catalog.listed_documents(asset).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["d", "c", "B", "a", "e"]);
    let unknown = change(DocumentId::from_u128(world.fresh()), 1, said("x", None)).await.unwrap();
    assert_eq!(unknown, None);
    assert!(world.topics(asset).await.contains(&"asset.document.changed".to_owned()));
}

pub(crate) async fn a_document_is_taken_back_with_what_brings_it(world: World) {
    let asset = world.ready().await;
    let kept = world.document_of(asset, "kept").await;
    let gone = world.document_of(asset, "gone").await;
    let (coming, upload) = world.begin_document(asset, "coming", 100).await.unwrap();
    let job = world.claim(false, at(23)).await.expect("they are shown");
    world.catalog.settle_texts(&job, at(23)).await.unwrap();
    let stale = world.catalog.remove_document((asset, gone), Some(2), world.job_id(), at(30)).await;
    assert!(matches!(stale, Err(CatalogError::Changed { version: 1 })), "{stale:?}");
    assert!(world.catalog.document(asset, gone).await.unwrap().is_some());
    for (id, version) in [(gone, Some(1)), (coming, None)] {
        assert!(world.catalog.remove_document((asset, id), version, world.job_id(), at(30)).await.unwrap());
        assert!(!world.catalog.remove_document((asset, id), version, world.job_id(), at(30)).await.unwrap());
        assert_eq!(world.catalog.document(asset, id).await.unwrap(), None);
    }
    assert_eq!(world.catalog.upload(upload).await.unwrap().expect("it").state, UploadState::Terminated);
    assert_eq!(world.catalog.usage_of("ada").await.unwrap().1.0, 5, "what is taken back counts no more");
    assert_eq!(world.catalog.listed_documents(asset).await.unwrap().len(), 1);
    assert_eq!(world.catalog.removed_documents(asset).await.unwrap(), [gone, coming]);
    let job = world.claim(false, at(31)).await.expect("their objects are removed");
    assert_eq!(job.spec.kind(), JobKind::Texts);
    for id in [kept, gone, coming] {
        world.catalog.forget_document(&job, id, at(32)).await.unwrap();
    }
    world.catalog.settle_texts(&job, at(32)).await.unwrap();
    assert!(world.catalog.removed_documents(asset).await.unwrap().is_empty());
    assert_eq!(world.names_of(asset).await, ["kept"], "what was not taken back is not forgotten");
    assert!(world.topics(asset).await.contains(&"asset.document.removed".to_owned()));
    assert!(world.is_sound().await);
}

pub(crate) async fn documents_go_with_their_asset(world: World) {
    let asset = world.ready().await;
    world.document_of(asset, "a").await;
    let (_, upload) = world.begin_document(asset, "b", 100).await.unwrap();
    assert!(world.catalog.delete_asset(asset, world.job_id(), at(30)).await.unwrap());
    assert_eq!(world.catalog.upload(upload).await.unwrap().expect("it").state, UploadState::Terminated);
    let late = world.begin_document(asset, "c", 100).await;
    assert!(matches!(late, Err(CatalogError::NoAsset(_))), "{late:?}");
    let purge = world.claim(false, at(31)).await.expect("its objects are removed");
    assert_eq!(purge.spec.kind(), JobKind::Purge);
    world.catalog.settle_purge(&purge, at(32)).await.unwrap();
    assert!(world.catalog.documents(asset).await.unwrap().is_empty());
    assert_eq!(world.catalog.usage_of("ada").await.unwrap().1.0, 0);
    assert!(world.is_sound().await);
}

pub(crate) async fn a_document_may_come_before_anything_plays(world: World) {
    let asset = world.received().await;
    world.document_of(asset, "early").await;
    let probe = world.claim(false, at(23)).await.expect("the probe");
    assert_eq!(probe.spec.kind(), JobKind::Probe, "nothing is published yet, so nothing is published anew");
    assert_eq!(world.catalog.listed_documents(asset).await.unwrap().len(), 1);
    assert!(world.is_sound().await);
}
