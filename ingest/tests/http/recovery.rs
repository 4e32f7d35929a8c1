use domain::AssetState;

use crate::ground::{Ground, eventually, patch, request, send};

#[tokio::test]
async fn octets_behind_the_acknowledged_ones_are_cut_off_after_a_crash() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    ground.patch(upload, 0, "abc").await;
    // A killed process may have written more than it recorded.
    std::fs::write(ground.state.staging.path(upload), b"abcXXXXXX").expect("writes");
    let state = ground.restarted().await;
    let head = send(&state, request("HEAD", &format!("/uploads/{upload}"), &[], "".into())).await;
    assert_eq!(head.offset(), Some(3));
    assert_eq!(send(&state, patch(upload, 3, "def")).await.offset(), Some(6));
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdef");
}

/// Leaves things as a process does that is killed between storing the source and recording it.
async fn adopted_but_not_recorded(ground: &Ground) -> domain::UploadId {
    let upload = ground.create(3).await;
    ground.patch(upload, 0, "ab").await;
    let staged = ground.state.staging.path(upload);
    std::fs::write(&staged, b"abc").expect("writes");
    ground.state.store.adopt_source(ground.asset(upload).await.id, &staged).await.expect("adopts");
    upload
}

#[tokio::test]
async fn a_source_stored_but_not_recorded_is_recorded_at_the_next_start() {
    let ground = Ground::new().await;
    let upload = adopted_but_not_recorded(&ground).await;
    let state = ground.restarted().await;
    let asset = ground.asset(upload).await;
    assert_eq!(asset.state, AssetState::Received);
    assert_eq!(ground.probes().await, [asset.id]);
    ingest::recover(&state).await.expect("may be repeated");
    assert!(ground.probes().await.is_empty());
}

#[tokio::test]
async fn a_source_stored_but_not_recorded_is_recorded_by_the_next_request() {
    for method in ["HEAD", "PATCH"] {
        let ground = Ground::new().await;
        let upload = adopted_but_not_recorded(&ground).await;
        if method == "HEAD" {
            assert_eq!(ground.head(upload).await.offset(), Some(3));
        } else {
            let answer = ground.patch(upload, 2, "c").await;
            assert_eq!((answer.status.as_u16(), answer.offset()), (409, Some(3)));
        }
        assert_eq!(ground.asset(upload).await.state, AssetState::Received);
        assert_eq!(ground.probes().await.len(), 1);
    }
}

#[tokio::test]
async fn an_empty_upload_that_was_not_completed_is_completed_at_the_next_start() {
    let ground = Ground::new().await;
    let upload = ground.create(1).await;
    let (row, now) = (ground.upload(upload).await, ground.state.clock.now());
    let target = catalog_store::Target::new(domain::AssetId::from_u128(1), domain::PlaybackId::from_u128(1));
    let empty = catalog_store::NewUpload::whole(domain::UploadId::from_u128(1), target, Some(0), now);
    ground.state.staging.create(empty.id).await.expect("creates");
    ground.state.catalog.create_upload(&empty).await.expect("creates");
    ground.restarted().await;
    assert_eq!(ground.asset(empty.id).await.state, AssetState::Received);
    assert_eq!(ground.upload(upload).await, row, "an upload that waits for octets is left alone");
}

#[tokio::test]
async fn an_empty_upload_that_was_not_completed_is_not_told_to_be_complete() {
    let ground = Ground::new().await;
    let target = catalog_store::Target::new(domain::AssetId::from_u128(1), domain::PlaybackId::from_u128(1));
    let now = ground.state.clock.now();
    let empty = catalog_store::NewUpload::whole(domain::UploadId::from_u128(1), target, Some(0), now);
    ground.state.staging.create(empty.id).await.expect("creates");
    ground.state.catalog.create_upload(&empty).await.expect("creates");
    let head = ground.head(empty.id).await;
    assert_eq!((head.status.as_u16(), head.offset(), head.header("retry-after")), (423, None, Some("1")));
    // Being asked for it is enough to have it completed.
    eventually("it is complete", || async { ground.head(empty.id).await.offset() == Some(0) }).await;
    assert_eq!(ground.asset(empty.id).await.state, AssetState::Received);
}

#[tokio::test]
async fn staged_files_of_no_open_upload_are_removed_at_the_next_start() {
    let ground = Ground::new().await;
    let open = ground.create(6).await;
    let orphan = domain::UploadId::from_u128(9);
    ground.state.staging.create(orphan).await.expect("creates");
    ground.restarted().await;
    assert!(!ground.state.staging.path(orphan).exists());
    assert!(ground.state.staging.path(open).exists());
}

#[tokio::test]
async fn an_upload_whose_octets_are_lost_is_gone_and_can_be_terminated() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    ground.patch(upload, 0, "abc").await;
    std::fs::write(ground.state.staging.path(upload), b"a").expect("writes");
    assert_eq!(ground.patch(upload, 3, "def").await.status, 410);
    std::fs::remove_file(ground.state.staging.path(upload)).expect("removes");
    let state = ground.restarted().await;
    let head = send(&state, request("HEAD", &format!("/uploads/{upload}"), &[], "".into())).await;
    assert_eq!((head.status.as_u16(), head.offset()), (410, None));
    let delete = send(&state, request("DELETE", &format!("/uploads/{upload}"), &[], "".into())).await;
    assert_eq!(delete.status, 204);
    assert_eq!(ground.asset(upload).await.state, AssetState::Deleted);
}

#[tokio::test]
async fn a_failing_catalogue_never_makes_head_a_server_error() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    ground.state.catalog.close().await;
    let head = ground.head(upload).await;
    assert_eq!((head.status.as_u16(), head.offset()), (423, None));
    assert!(head.header("retry-after").is_some());
    let append = ground.patch(upload, 0, "abc").await;
    assert_eq!((append.status.as_u16(), append.code().as_str()), (503, "storage_unavailable"));
}
