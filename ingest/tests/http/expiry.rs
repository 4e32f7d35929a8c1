//! What nobody comes back for is given up, remembered for a while, and forgotten.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use catalog_store::UploadState;
use domain::{AssetState, ManualClock, Timestamp, UploadId};
use ingest::{Limits, State};

use crate::ground::{Ground, eventually, request, slow_body};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A server whose clock the test winds, where uploads expire after a week.
async fn wound() -> (Ground, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_795_000_000_000)));
    let limits = Limits { expiry: Some(7 * DAY), checkpoint_interval: Duration::from_millis(1), ..Limits::default() };
    let mut ground = Ground::with(limits).await;
    ground.state = State { clock: clock.clone(), ..ground.state.clone() };
    (ground, clock)
}

async fn look_after(ground: &Ground) {
    ingest::look_after(&ground.state).await.expect("looks after");
}

async fn part(ground: &Ground, octets: &'static str) -> UploadId {
    let length = octets.len().to_string();
    let headers = [("upload-length", &*length), ("upload-concat", "partial")];
    let part = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
    ground.patch(part, 0, octets).await;
    part
}

#[tokio::test]
async fn an_upload_expires_when_nothing_came_for_its_time_and_each_octet_renews_it() {
    let (ground, clock) = wound().await;
    let (silent, active, done) = (ground.create(6).await, ground.create(6).await, ground.create(3).await);
    let (asked, late) = (ground.create(6).await, ground.create(6).await);
    ground.patch(silent, 0, "abc").await;
    ground.patch(done, 0, "abc").await;
    clock.advance(4 * DAY);
    ground.patch(active, 0, "abc").await;
    clock.advance(3 * DAY);
    assert_eq!(ground.head(asked).await.status, 410, "also before anybody looked after it");
    assert_eq!(ground.patch(late, 0, "abcdef").await.code(), "upload_expired");
    assert!(![asked, late].iter().any(|upload| ground.state.staging.path(*upload).exists()));
    look_after(&ground).await;
    let head = ground.head(silent).await;
    assert_eq!((head.status.as_u16(), head.offset()), (410, None));
    let append = ground.patch(silent, 3, "def").await;
    assert_eq!((append.status.as_u16(), append.code().as_str()), (410, "upload_expired"));
    assert_eq!(ground.asset(silent).await.state, AssetState::Deleted);
    assert!(!ground.state.staging.path(silent).exists());
    assert_eq!(ground.head(active).await.offset(), Some(3));
    assert_eq!(ground.head(done).await.offset(), Some(3), "what is complete does not expire");
    clock.advance(4 * DAY);
    look_after(&ground).await;
    assert_eq!(ground.head(active).await.status, 410);
}

#[tokio::test]
async fn an_upload_that_somebody_works_on_does_not_expire() {
    let (ground, clock) = wound().await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    let request = ground.patch(upload, 0, body);
    let janitor = async {
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
        eventually("the body is being read", || async { sender.is_empty() }).await;
        clock.advance(8 * DAY);
        look_after(&ground).await;
        sender.unbounded_send(Ok(Bytes::from_static(b"def"))).expect("is read");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(request, janitor);
    assert_eq!(answer.offset(), Some(6), "{}", answer.body);
}

#[tokio::test]
async fn parts_expire_too_but_not_while_a_whole_waits_for_them() {
    let (ground, clock) = wound().await;
    let (lonely, waited_for) = (part(&ground, "abc").await, part(&ground, "def").await);
    let headers = [("upload-length", "3"), ("upload-concat", "partial")];
    let late = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
    let concat = format!("final;/uploads/{waited_for} /uploads/{late}");
    let whole = ground.send(request("POST", "/uploads", &[("upload-concat", &*concat)], Body::empty())).await.id();
    clock.advance(4 * DAY);
    ground.patch(late, 0, "gh").await;
    clock.advance(4 * DAY);
    assert_eq!(ground.head(whole).await.status, 200, "it has the time that its parts have");
    look_after(&ground).await;
    assert_eq!(ground.head(lonely).await.status, 410);
    assert_eq!(ground.head(waited_for).await.status, 200);
    ground.patch(late, 2, "i").await;
    eventually("the whole is complete", || async { ground.upload(whole).await.state == UploadState::Complete }).await;
    assert_eq!(ground.source(ground.asset(whole).await.id).await, b"defghi");
    // Taken parts are kept for another hour, in case another whole wants them.
    eventually("the parts are released", || async {
        ground.upload(late).await.expires_at.is_some_and(|expiry| expiry < ground.state.clock.now().plus(DAY))
    })
    .await;
    look_after(&ground).await;
    assert_eq!(ground.head(late).await.status, 200);
    clock.advance(Duration::from_secs(2 * 60 * 60));
    look_after(&ground).await;
    assert_eq!(ground.head(late).await.status, 410);
    assert!(!ground.state.staging.path(late).exists());
    // Nobody remembers a part for ever.
    clock.advance(31 * DAY);
    look_after(&ground).await;
    assert_eq!(ground.head(late).await.status, 404);
    assert_eq!(ground.head(whole).await.offset(), Some(6), "the whole needs none of them");
}

#[tokio::test]
async fn a_whole_that_finds_no_room_is_given_up_in_time_and_its_parts_with_it() {
    let (mut ground, clock) = wound().await;
    let headers = [("upload-defer-length", "1"), ("upload-concat", "partial")];
    let part = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
    ground.patch(part, 0, "abc").await;
    let concat = format!("final;/uploads/{part}");
    let whole = ground.send(request("POST", "/uploads", &[("upload-concat", &*concat)], Body::empty())).await;
    assert!(whole.header("upload-expires").is_some());
    let policy = ingest::Policy { disk_reserve_bytes: 1 << 60, ..ingest::Policy::default() };
    ground.state.admission = ingest::Admission::new(policy, None);
    let mut settled = crate::ground::patch(part, 3, "");
    settled.headers_mut().insert("upload-length", "3".parse().expect("a value"));
    assert_eq!(ground.send(settled).await.offset(), Some(3));
    look_after(&ground).await;
    assert_eq!(ground.upload(whole.id()).await.state, UploadState::Open, "there may be room tomorrow");
    assert_eq!(ground.state.staging.len(whole.id()).await.expect("answers"), Some(0), "nothing was copied in vain");
    clock.advance(8 * DAY);
    for _ in 0..2 {
        look_after(&ground).await;
    }
    assert_eq!(ground.upload(whole.id()).await.state, UploadState::Expired);
    assert_eq!(ground.upload(part).await.state, UploadState::Expired);
}

#[tokio::test]
async fn the_file_of_an_upload_whose_asset_was_deleted_is_swept_away() {
    let (ground, _clock) = wound().await;
    let (upload, other) = (ground.create(6).await, ground.create(6).await);
    ground.patch(upload, 0, "abc").await;
    let (asset, now) = (ground.asset(upload).await.id, ground.state.clock.now());
    let job = domain::JobId::mint(now, ground.state.clock.entropy());
    assert!(ground.state.catalog.delete_asset(asset, job, now).await.expect("answers"));
    look_after(&ground).await;
    assert!(!ground.state.staging.path(upload).exists());
    assert!(ground.state.staging.path(other).exists());
}

#[tokio::test]
async fn a_source_that_a_crash_left_without_its_record_goes_with_the_upload() {
    for is_expired in [true, false] {
        let (ground, clock) = wound().await;
        let upload = ground.create(6).await;
        ground.patch(upload, 0, "abc").await;
        // Killed when the source had its name and the staged file still had its own.
        let asset = ground.asset(upload).await.id;
        let staged = ground.state.staging.path(upload);
        std::fs::copy(&staged, staged.with_extension("kept")).expect("copies");
        ground.state.store.adopt_source(asset, &staged).await.expect("adopts");
        std::fs::rename(staged.with_extension("kept"), &staged).expect("renames");
        if is_expired {
            clock.advance(8 * DAY);
            look_after(&ground).await;
        } else {
            let path = format!("/uploads/{upload}");
            assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
        }
        assert!(!staged.exists());
        assert_eq!(ground.state.store.source_size(asset).await.expect("answers"), None, "{is_expired}");
    }
}

#[tokio::test]
async fn the_janitor_ends_with_the_server() {
    let (ground, _clock) = wound().await;
    ground.state.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), ingest::janitor(ground.state.clone())).await.expect("ends");
}
