//! Uploads: offsets only grow, and the end of one is the birth of work.

use catalog_store::{CatalogError, UploadState};
use domain::{AssetState, ByteSize, JobSpec};

use crate::harness::{World, at};

pub(crate) async fn an_upload_and_its_asset_are_born_together(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    let upload = world.catalog.upload(new.id).await.unwrap().expect("the upload");
    assert_eq!((upload.state, upload.offset, upload.length), (UploadState::Open, 0, Some(1000)));
    assert_eq!((upload.asset, upload.playback, upload.metadata), (new.asset, new.playback, new.metadata.clone()));
    let asset = world.catalog.asset(new.asset).await.unwrap().expect("the asset");
    assert_eq!((asset.state, asset.file_name.as_deref()), (AssetState::Uploading, Some("clip.mp4")));
    assert_eq!(world.catalog.asset_by_playback(new.playback).await.unwrap(), Some(asset));
    assert!(world.catalog.create_upload(&new).await.is_err(), "ids are unique");
}

pub(crate) async fn an_offset_never_runs_backwards_and_never_past_the_length(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    for offset in [0, 400, 400, 999] {
        world.catalog.advance_upload(new.id, offset, at(1)).await.unwrap();
    }
    for wanted in [998, 1001] {
        let refused = world.catalog.advance_upload(new.id, wanted, at(2)).await;
        assert!(matches!(refused, Err(CatalogError::Offset { current: 999, .. })), "{refused:?}");
    }
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").offset, 999);
    assert!(matches!(world.catalog.advance_upload(new.id, u64::MAX, at(2)).await, Err(CatalogError::TooLarge(_))));
}

pub(crate) async fn the_last_byte_makes_the_asset_received_and_enqueues_its_probe_once(world: World) {
    let new = world.new_upload(None);
    world.catalog.create_upload(&new).await.unwrap();
    world.catalog.advance_upload(new.id, 600, at(1)).await.unwrap();
    for _ in 0..2 {
        world.catalog.finish_upload(new.id, 1000, world.job_id(), at(2)).await.unwrap();
    }
    let upload = world.catalog.upload(new.id).await.unwrap().expect("it");
    assert_eq!((upload.state, upload.offset, upload.length), (UploadState::Complete, 1000, Some(1000)));
    let asset = world.catalog.asset(new.asset).await.unwrap().expect("it");
    assert_eq!((asset.state, asset.size), (AssetState::Received, Some(ByteSize(1000))));
    let jobs = world.catalog.jobs_of(new.asset).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.spec.clone()).collect::<Vec<_>>(), [JobSpec::Probe]);
    assert_eq!(world.topics(new.asset).await, ["asset.uploading", "asset.received"]);
    assert!(world.catalog.open_uploads().await.unwrap().is_empty());
    assert!(!world.catalog.terminate_upload(new.id, at(3)).await.unwrap(), "what is complete stays");
}

pub(crate) async fn an_upload_of_another_length_is_not_complete(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    let refused = world.catalog.finish_upload(new.id, 999, world.job_id(), at(1)).await;
    assert!(matches!(refused, Err(CatalogError::Offset { .. })), "{refused:?}");
    assert_eq!(world.catalog.asset(new.asset).await.unwrap().expect("it").state, AssetState::Uploading);
    assert_eq!(world.catalog.open_uploads().await.unwrap().len(), 1);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn a_terminated_upload_takes_no_bytes_and_deletes_its_asset(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    assert!(world.catalog.terminate_upload(new.id, at(1)).await.unwrap());
    assert!(!world.catalog.terminate_upload(new.id, at(1)).await.unwrap());
    let closed = |result| matches!(result, Err(CatalogError::UploadClosed { state: UploadState::Terminated, .. }));
    assert!(closed(world.catalog.advance_upload(new.id, 10, at(2)).await));
    assert!(closed(world.catalog.finish_upload(new.id, 1000, world.job_id(), at(2)).await));
    assert_eq!(world.catalog.asset(new.asset).await.unwrap().expect("it").state, AssetState::Deleted);
    let unknown = world.new_upload(None).id;
    assert!(matches!(world.catalog.terminate_upload(unknown, at(1)).await, Err(CatalogError::NoUpload(_))));
}

pub(crate) async fn a_deleted_asset_ends_its_upload(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    assert!(world.catalog.delete_asset(new.asset, world.job_id(), at(1)).await.unwrap());
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").state, UploadState::Terminated);
    assert!(matches!(
        world.catalog.finish_upload(new.id, 1000, world.job_id(), at(2)).await,
        Err(CatalogError::UploadClosed { .. })
    ));
}
