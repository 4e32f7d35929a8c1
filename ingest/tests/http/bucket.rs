//! Sources in a bucket: parts go ahead, and an outage or a crash at the end costs nothing.

use std::time::Duration;

use axum::body::Body;
use domain::{AssetState, UploadId};
use ingest::{Limits, Sessions, State};
use media_store::{MediaStore, Staging, StoreConfig};

use crate::ground::{Ground, eventually, noise, patch, request, send, slow_body};

const MIB: usize = 1 << 20;

/// A server whose sources are kept in a bucket of a real S3 server.
async fn ground() -> Ground {
    let s3 = fixtures::services::s3();
    let limits = Limits { checkpoint_bytes: 2 << 20, ..Limits::default() };
    let mut ground = Ground::with(limits).await;
    let config = StoreConfig {
        url: s3.url,
        access_key: Some(s3.access_key),
        secret_key: Some(s3.secret_key),
        scratch: ground.dir.path().join("scratch"),
    };
    ground.state = State { store: MediaStore::open(config).await.expect("opens"), ..ground.state.clone() };
    ground
}

fn journal(ground: &Ground, upload: UploadId) -> std::path::PathBuf {
    ground.dir.path().join("uploads").join(format!("{upload}.parts"))
}

/// How many parts the journal of an upload names.
fn parts(ground: &Ground, upload: UploadId) -> usize {
    std::fs::read_to_string(journal(ground, upload)).map_or(0, |text| text.lines().count().saturating_sub(2))
}

#[tokio::test]
async fn parts_are_put_while_the_rest_still_arrives() {
    let (ground, file) = (ground().await, noise(40 * MIB));
    let upload = ground.create(file.len() as u64).await;
    let (sender, body) = slow_body();
    let request = ground.patch(upload, 0, body);
    let feed = async {
        for piece in file[..30 * MIB].chunks(MIB / 2) {
            sender.unbounded_send(Ok(axum::body::Bytes::copy_from_slice(piece))).expect("is read");
        }
        eventually("three parts are in the bucket", || async { parts(&ground, upload) == 3 }).await;
        assert_eq!(ground.asset(upload).await.state, AssetState::Uploading);
        for piece in file[30 * MIB..].chunks(MIB / 2) {
            sender.unbounded_send(Ok(axum::body::Bytes::copy_from_slice(piece))).expect("is read");
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(request, feed);
    assert_eq!(answer.offset(), Some(file.len() as u64), "{}", answer.body);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
    assert!(!journal(&ground, upload).exists() && !ground.state.staging.path(upload).exists());
    assert_eq!(ground.probes().await.len(), 1);
}

#[tokio::test]
async fn a_crash_while_parts_are_put_costs_none_of_them() {
    let (mut ground, file) = (ground().await, noise(40 * MIB));
    let upload = ground.create(file.len() as u64).await;
    assert_eq!(ground.patch(upload, 0, file[..20 * MIB].to_vec()).await.offset(), Some(20 * MIB as u64));
    eventually("two parts are in the bucket", || async { parts(&ground, upload) == 2 }).await;
    // Another process: nothing of the first one's memory.
    ground.state = State {
        staging: Staging::open(ground.dir.path().join("uploads")).await.expect("opens"),
        tasks: Default::default(),
        sessions: Sessions::default(),
        ..ground.state.clone()
    };
    ingest::recover(&ground.state).await.expect("recovers");
    assert_eq!(ground.head(upload).await.offset(), Some(20 * MIB as u64));
    let last = ground.patch(upload, 20 * MIB as u64, file[20 * MIB..].to_vec()).await;
    assert_eq!(last.offset(), Some(file.len() as u64), "{}", last.body);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

#[tokio::test]
async fn parts_of_an_upload_that_is_given_up_are_removed() {
    let (ground, file) = (ground().await, noise(20 * MIB));
    let upload = ground.create(40 * MIB as u64).await;
    ground.patch(upload, 0, file).await;
    eventually("two parts are in the bucket", || async { parts(&ground, upload) == 2 }).await;
    let path = format!("/uploads/{upload}");
    assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
    ingest::look_after(&ground.state).await.expect("looks after");
    assert!(!journal(&ground, upload).exists());
}

/// A store that takes connections and never says a word.
async fn silent_store(ground: &Ground) -> (MediaStore, tokio::net::TcpListener) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let config = StoreConfig {
        url: format!("s3://bkt?endpoint=http://{}", listener.local_addr().expect("has one")),
        access_key: Some("a".into()),
        secret_key: Some("b".into()),
        scratch: ground.dir.path().join("scratch"),
    };
    (MediaStore::open(config).await.expect("opens"), listener)
}

#[tokio::test]
async fn neither_a_start_nor_a_termination_waits_for_a_store_that_is_away() {
    let mut ground = Ground::new().await;
    let (store, _listener) = silent_store(&ground).await;
    ground.state.store = store;
    let upload = ground.create(40 * MIB as u64).await;
    let text = format!("parts-1 {} {} sources/x\nid\n", 40 * MIB, 8 * MIB);
    std::fs::write(journal(&ground, upload), &text).expect("writes");
    let path = format!("/uploads/{upload}");
    let given_up = async {
        assert_eq!(ground.send(request("DELETE", &path, &[], Body::empty())).await.status, 204);
        ground.restarted().await
    };
    tokio::time::timeout(Duration::from_secs(20), given_up).await.expect("nobody waits for the store");
    assert!(journal(&ground, upload).exists(), "its parts are not forgotten");
}

#[tokio::test]
async fn a_source_put_but_not_recorded_is_recorded_by_the_next_start() {
    for is_staged in [false, true] {
        let ground = ground().await;
        let upload = ground.create(3).await;
        // As left by a process that was killed behind the put, or in front of its record.
        send(&ground.state, patch(upload, 0, "ab")).await;
        let staged = ground.state.staging.path(upload);
        std::fs::write(&staged, b"abc").expect("writes");
        ground.state.store.adopt_source(ground.asset(upload).await.id, &staged).await.expect("adopts");
        if is_staged {
            std::fs::write(&staged, b"abc").expect("writes");
            let advance = catalog_store::Advance { id: upload, offset: 2, expires_at: None, is_full: true };
            let now = ground.state.clock.now();
            ground.state.catalog.advance_uploads(&[advance], now).await.expect("answers").remove(0).expect("advances");
        }
        let restarted = State { sessions: Sessions::default(), tasks: Default::default(), ..ground.state.clone() };
        ingest::recover(&restarted).await.expect("recovers");
        eventually("it is received", || async { ground.asset(upload).await.state == AssetState::Received }).await;
        assert_eq!(ground.probes().await.len(), 1);
        let gone = || async { !staged.exists() };
        tokio::time::timeout(Duration::from_secs(5), eventually("nothing is left", gone)).await.expect("is gone");
    }
}
