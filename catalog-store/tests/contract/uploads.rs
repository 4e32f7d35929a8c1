//! Uploads: offsets only grow, and the end of one is the birth of work.

use catalog_store::{Advance, CatalogError, Closing, NewUpload, UploadKind, UploadState, UploadTerms, finals};
use domain::{AssetId, AssetState, ByteSize, Failure, FailureCode, JobSpec, UploadId};

use crate::harness::{World, at};

fn asset_of(new: &NewUpload) -> AssetId {
    new.target.expect("not a part").asset
}

async fn advance(world: &World, id: UploadId, offset: u64) -> Result<(), CatalogError> {
    let advance = Advance { id, offset, expires_at: None, is_full: false };
    world.catalog.advance_uploads(&[advance], at(1)).await?.pop().expect("an outcome for each")
}

async fn terminate(world: &World, id: UploadId) -> Result<bool, CatalogError> {
    world.catalog.close_upload(id, &Closing::Terminated, at(3)).await
}

pub(crate) async fn an_upload_and_its_asset_are_born_together(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    let upload = world.catalog.upload(new.id).await.unwrap().expect("the upload");
    assert_eq!((upload.state, upload.offset, upload.length), (UploadState::Open, 0, Some(1000)));
    assert_eq!((upload.target, &upload.metadata, &upload.terms), (new.target, &new.metadata, &new.terms));
    let target = new.target.expect("not a part");
    let asset = world.catalog.asset(target.asset).await.unwrap().expect("the asset");
    assert_eq!((asset.state, asset.file_name.as_deref()), (AssetState::Uploading, Some("clip.mp4")));
    assert_eq!(world.catalog.asset_by_playback(target.playback).await.unwrap(), Some(asset));
    assert!(world.catalog.create_upload(&new).await.is_err(), "ids are unique");
}

pub(crate) async fn an_offset_never_runs_backwards_and_never_past_the_length(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    for offset in [0, 400, 400, 999] {
        advance(&world, new.id, offset).await.unwrap();
    }
    for wanted in [998, 1001] {
        let refused = advance(&world, new.id, wanted).await;
        assert!(matches!(refused, Err(CatalogError::Offset { current: 999, .. })), "{refused:?}");
    }
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").offset, 999);
    assert!(matches!(advance(&world, new.id, u64::MAX).await, Err(CatalogError::TooLarge(_))));
}

pub(crate) async fn the_last_byte_makes_the_asset_received_and_enqueues_its_probe_once(world: World) {
    let new = world.new_upload(None);
    world.catalog.create_upload(&new).await.unwrap();
    advance(&world, new.id, 600).await.unwrap();
    for _ in 0..2 {
        world.catalog.finish_upload(new.id, 1000, (world.job_id(), world.job_id()), at(2)).await.unwrap();
    }
    let upload = world.catalog.upload(new.id).await.unwrap().expect("it");
    assert_eq!((upload.state, upload.offset, upload.length), (UploadState::Complete, 1000, Some(1000)));
    let asset = world.catalog.asset(asset_of(&new)).await.unwrap().expect("it");
    assert_eq!((asset.state, asset.size), (AssetState::Received, Some(ByteSize(1000))));
    let jobs = world.catalog.jobs_of(asset_of(&new)).await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.spec.clone()).collect::<Vec<_>>(), [JobSpec::Probe]);
    assert_eq!(world.topics(asset_of(&new)).await, ["asset.uploading", "asset.received"]);
    assert!(world.catalog.open_uploads().await.unwrap().is_empty());
    assert!(!terminate(&world, new.id).await.unwrap(), "what is complete stays");
}

pub(crate) async fn an_upload_of_another_length_is_not_complete(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    let refused = world.catalog.finish_upload(new.id, 999, (world.job_id(), world.job_id()), at(1)).await;
    assert!(matches!(refused, Err(CatalogError::Offset { .. })), "{refused:?}");
    assert_eq!(world.catalog.asset(asset_of(&new)).await.unwrap().expect("it").state, AssetState::Uploading);
    assert_eq!(world.catalog.open_uploads().await.unwrap().len(), 1);
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn a_terminated_upload_takes_no_bytes_and_deletes_its_asset(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    assert!(terminate(&world, new.id).await.unwrap());
    assert!(!terminate(&world, new.id).await.unwrap());
    let closed = |result| matches!(result, Err(CatalogError::UploadClosed { state: UploadState::Terminated, .. }));
    assert!(closed(advance(&world, new.id, 10).await));
    assert!(closed(world.catalog.finish_upload(new.id, 1000, (world.job_id(), world.job_id()), at(2)).await));
    assert_eq!(world.catalog.asset(asset_of(&new)).await.unwrap().expect("it").state, AssetState::Deleted);
    let unknown = world.new_upload(None).id;
    assert!(matches!(terminate(&world, unknown).await, Err(CatalogError::NoUpload(_))));
}

pub(crate) async fn a_deleted_asset_ends_its_upload(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    assert!(world.catalog.delete_asset(asset_of(&new), world.job_id(), at(1)).await.unwrap());
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").state, UploadState::Terminated);
    assert!(matches!(
        world.catalog.finish_upload(new.id, 1000, (world.job_id(), world.job_id()), at(2)).await,
        Err(CatalogError::UploadClosed { .. })
    ));
}

pub(crate) async fn several_uploads_advance_together_and_a_refused_one_disturbs_no_other(world: World) {
    let (first, second) = (world.new_upload(Some(1000)), world.new_upload(None));
    for new in [&first, &second] {
        world.catalog.create_upload(new).await.unwrap();
    }
    let advance = |id, offset| Advance { id, offset, expires_at: Some(at(9)), is_full: false };
    let unknown = world.new_upload(None).id;
    let advances = [advance(second.id, 7), advance(first.id, 1001), advance(unknown, 1), advance(first.id, 5)];
    let outcomes = world.catalog.advance_uploads(&advances, at(1)).await.unwrap();
    assert!(outcomes[0].is_ok() && outcomes[3].is_ok(), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(CatalogError::Offset { wanted: 1001, .. })), "{outcomes:?}");
    assert!(matches!(outcomes[2], Err(CatalogError::NoUpload(_))), "{outcomes:?}");
    for (id, offset) in [(first.id, 5), (second.id, 7)] {
        let upload = world.catalog.upload(id).await.unwrap().expect("it");
        assert_eq!((upload.offset, upload.expires_at), (offset, Some(at(9))));
    }
}

pub(crate) async fn a_length_is_announced_once(world: World) {
    let new = world.new_upload(None);
    world.catalog.create_upload(&new).await.unwrap();
    advance(&world, new.id, 600).await.unwrap();
    // One that is reached would make the upload look complete.
    for wanted in [599, 600] {
        let too_short = world.catalog.set_upload_length(new.id, wanted, at(1)).await;
        assert!(matches!(too_short, Err(CatalogError::Offset { current: 600, .. })), "{too_short:?}");
    }
    for _ in 0..2 {
        world.catalog.set_upload_length(new.id, 1000, at(1)).await.unwrap();
    }
    assert!(world.catalog.set_upload_length(new.id, 1001, at(1)).await.is_err());
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").length, Some(1000));
}

pub(crate) async fn a_part_has_no_asset_and_can_be_given_up_when_it_is_complete(world: World) {
    let part = world.new_part(10, at(50));
    world.catalog.create_upload(&part).await.unwrap();
    world.catalog.finish_upload(part.id, 10, (world.job_id(), world.job_id()), at(1)).await.unwrap();
    let stored = world.catalog.upload(part.id).await.unwrap().expect("it");
    assert_eq!((stored.state, stored.target, stored.kind), (UploadState::Complete, None, part.kind));
    assert!(world.catalog.uploads_due_to_expire(at(49), 10).await.unwrap().is_empty());
    assert_eq!(world.catalog.uploads_due_to_expire(at(50), 10).await.unwrap(), [stored]);
    assert!(world.catalog.close_upload(part.id, &Closing::Expired, at(50)).await.unwrap());
    assert_eq!(world.catalog.upload(part.id).await.unwrap().expect("a tombstone").state, UploadState::Expired);
    assert_eq!(world.catalog.prune_parts(at(51)).await.unwrap(), 1);
    assert_eq!(world.catalog.upload(part.id).await.unwrap(), None);
}

pub(crate) async fn a_refused_upload_fails_its_asset_with_the_reason(world: World) {
    let new = world.new_upload(Some(1000));
    world.catalog.create_upload(&new).await.unwrap();
    let failure = Failure { code: FailureCode::UnknownFormat, message: "not a media file".into() };
    assert!(world.catalog.close_upload(new.id, &Closing::Refused(failure.clone()), at(1)).await.unwrap());
    assert!(!world.catalog.close_upload(new.id, &Closing::Refused(failure.clone()), at(2)).await.unwrap());
    let upload = world.catalog.upload(new.id).await.unwrap().expect("it");
    assert_eq!((upload.state, upload.failure), (UploadState::Refused, Some(failure.clone())));
    let asset = world.catalog.asset(asset_of(&new)).await.unwrap().expect("it");
    assert_eq!((asset.state, asset.failure), (AssetState::Failed, Some(failure)));
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}

pub(crate) async fn what_uploads_reserve_is_known(world: World) {
    let owned = |length| NewUpload { owner: Some("ada".into()), ..world.new_upload(Some(length)) };
    let (first, second, other) = (owned(1000), owned(500), world.new_upload(Some(7)));
    for new in [&first, &second, &other] {
        world.catalog.create_upload(new).await.unwrap();
    }
    advance(&world, first.id, 400).await.unwrap();
    assert_eq!(world.catalog.reserved_bytes().await.unwrap(), 600 + 500 + 7);
    world.catalog.finish_upload(second.id, 500, (world.job_id(), world.job_id()), at(1)).await.unwrap();
    assert_eq!(world.catalog.usage_of("ada").await.unwrap(), (1, ByteSize(1500)));
    assert_eq!(world.catalog.usage_of("nobody").await.unwrap(), (0, ByteSize(0)));
}

pub(crate) async fn parts_count_as_the_whole_that_took_them(world: World) {
    let owned = |new: NewUpload| NewUpload { owner: Some("eve".into()), ..new };
    let parts = [owned(world.new_part(4, at(50))), owned(NewUpload { length: None, ..world.new_part(0, at(50)) })];
    for part in &parts {
        world.catalog.create_upload(part).await.unwrap();
    }
    advance(&world, parts[1].id, 6).await.unwrap();
    let ids = [parts[0].id, parts[1].id, parts[0].id];
    let used = async || world.catalog.usage_of("eve").await.unwrap().1.0;
    let of_parts = async || world.catalog.bytes_of(&ids).await.unwrap().0;
    assert_eq!((used().await, of_parts().await), (10, 10));
    let terms = UploadTerms { parts: ids.to_vec(), ..UploadTerms::default() };
    let whole = NewUpload { kind: UploadKind::Final, terms, ..owned(world.new_upload(None)) };
    world.catalog.create_upload(&whole).await.unwrap();
    assert_eq!((used().await, of_parts().await), (10, 10), "a whole of unknown length takes nothing");
    world.catalog.set_upload_length(whole.id, 14, at(1)).await.unwrap();
    assert_eq!((used().await, of_parts().await), (14, 0));
    assert!(terminate(&world, whole.id).await.unwrap());
    assert_eq!((used().await, of_parts().await), (10, 10));
}

pub(crate) async fn what_is_full_stays_full_and_does_not_expire(world: World) {
    let new = NewUpload { expires_at: Some(at(10)), ..world.new_upload(Some(1000)) };
    world.catalog.create_upload(&new).await.unwrap();
    let due = async || world.catalog.uploads_due_to_expire(at(10), 10).await.unwrap().len();
    assert_eq!(due().await, 1);
    for is_full in [true, false] {
        let advance = Advance { id: new.id, offset: 999, expires_at: None, is_full };
        world.catalog.advance_uploads(&[advance], at(1)).await.unwrap().remove(0).unwrap();
    }
    let upload = world.catalog.upload(new.id).await.unwrap().expect("it");
    assert_eq!((upload.offset, upload.is_full, upload.state), (999, true, UploadState::Open));
    assert_eq!((upload.full_length(), due().await), (Some(1000), 0));
}

pub(crate) async fn without_a_length_an_upload_is_full_where_it_stands(world: World) {
    let new = world.new_upload(None);
    world.catalog.create_upload(&new).await.unwrap();
    let full_length = async || world.catalog.upload(new.id).await.unwrap().expect("it").full_length();
    for (is_full, expected) in [(false, None), (true, Some(600))] {
        let advance = Advance { id: new.id, offset: 600, expires_at: None, is_full };
        world.catalog.advance_uploads(&[advance], at(1)).await.unwrap().remove(0).unwrap();
        assert_eq!(full_length().await, expected);
    }
    let empty = world.new_upload(Some(0));
    world.catalog.create_upload(&empty).await.unwrap();
    assert_eq!(world.catalog.upload(empty.id).await.unwrap().expect("it").full_length(), Some(0));
    world.catalog.finish_upload(new.id, 600, (world.job_id(), world.job_id()), at(2)).await.unwrap();
    assert_eq!(world.catalog.upload(new.id).await.unwrap().expect("it").length, Some(600));
}

pub(crate) async fn a_creation_with_a_known_repeat_key_happens_once(world: World) {
    let first = NewUpload { repeat_key: Some("key".into()), ..world.new_upload(Some(1)) };
    let second = NewUpload { repeat_key: Some("key".into()), ..world.new_upload(Some(1)) };
    world.catalog.create_upload(&first).await.unwrap();
    assert!(world.catalog.create_upload(&second).await.is_err());
    assert_eq!(world.catalog.upload_by_repeat_key("key").await.unwrap().expect("the first").id, first.id);
    assert_eq!(world.catalog.upload_by_repeat_key("other").await.unwrap(), None);
    assert_eq!(world.catalog.asset(asset_of(&second)).await.unwrap(), None, "nothing is left of the second");
    for _ in 0..2 {
        world.catalog.create_upload(&world.new_upload(Some(1))).await.unwrap();
    }
}

pub(crate) async fn open_finals_are_known_and_their_parts_expire_when_taken(world: World) {
    let parts = [world.new_part(4, at(50)), world.new_part(6, at(20))];
    for part in &parts {
        world.catalog.create_upload(part).await.unwrap();
        world
            .catalog
            .finish_upload(part.id, part.length.unwrap(), (world.job_id(), world.job_id()), at(1))
            .await
            .unwrap();
    }
    let ids: Vec<UploadId> = parts.iter().map(|part| part.id).collect();
    let terms = UploadTerms { parts: ids.clone(), ..UploadTerms::default() };
    let whole = NewUpload { kind: UploadKind::Final, terms, ..world.new_upload(Some(10)) };
    world.catalog.create_upload(&whole).await.unwrap();
    let finals = world.catalog.open_finals().await.unwrap();
    assert_eq!(finals.iter().map(|upload| (upload.id, &upload.terms.parts)).collect::<Vec<_>>(), [(whole.id, &ids)]);
    world.catalog.finish_upload(whole.id, 10, (world.job_id(), world.job_id()), at(2)).await.unwrap();
    assert!(world.catalog.open_finals().await.unwrap().is_empty());
    world.catalog.expire_parts_at(&[ids[0], ids[1], ids[0], whole.id], at(30)).await.unwrap();
    let expiry = async |id| world.catalog.upload(id).await.unwrap().expect("it").expires_at;
    assert_eq!((expiry(ids[0]).await, expiry(ids[1]).await), (Some(at(30)), Some(at(20))), "never later than before");
    assert_eq!(expiry(whole.id).await, None, "only parts expire when they are complete");
}

pub(crate) async fn a_final_that_waits_is_refused_with_the_part_that_is_given_up(world: World) {
    let complete = async |part: &NewUpload| {
        let jobs = (world.job_id(), world.job_id());
        world.catalog.finish_upload(part.id, part.length.unwrap(), jobs, at(1)).await.unwrap();
    };
    // Whether the first and the second part are complete when the second is given up, and whether the whole waits.
    for (completed, waits) in
        [([true, false], true), ([false, false], true), ([false, true], true), ([true, true], false)]
    {
        let parts = [world.new_part(4, at(50)), world.new_part(6, at(50))];
        let final_of = |parts: &[&NewUpload]| {
            let terms = UploadTerms { parts: parts.iter().map(|part| part.id).collect(), ..UploadTerms::default() };
            NewUpload { kind: UploadKind::Final, terms, ..world.new_upload(Some(10)) }
        };
        let (whole, other) = (final_of(&[&parts[0], &parts[1]]), final_of(&[&parts[0]]));
        for new in parts.iter().chain([&whole, &other]) {
            world.catalog.create_upload(new).await.unwrap();
        }
        for (part, _) in parts.iter().zip(completed).filter(|(_, is_complete)| *is_complete) {
            complete(part).await;
        }
        let close =
            async || world.catalog.close_upload_with_finals(parts[1].id, &Closing::Terminated, at(3)).await.unwrap();
        let refused = if waits { vec![whole.id] } else { Vec::new() };
        assert_eq!((close().await, close().await), (Some(refused), None), "{completed:?}");
        let (whole, other) = (whole, world.catalog.upload(other.id).await.unwrap().expect("it"));
        let asset = world.catalog.asset(asset_of(&whole)).await.unwrap().expect("it");
        let whole = world.catalog.upload(whole.id).await.unwrap().expect("it");
        let expected = if waits {
            (UploadState::Refused, Some(finals::part_given_up()), AssetState::Failed)
        } else {
            (UploadState::Open, None, AssetState::Uploading)
        };
        assert_eq!((whole.state, whole.failure, asset.state), expected, "{completed:?}");
        assert_eq!(other.state, UploadState::Open, "it has no such part");
    }
    assert!(world.catalog.integrity().await.unwrap().is_sound());
}
