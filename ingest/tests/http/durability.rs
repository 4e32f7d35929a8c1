//! When octets are flushed, what a failing disk costs, and what is verified before anything counts.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use catalog_store::UploadState;
use domain::AssetState;
use http_body_util::StreamBody;
use ingest::digest::{Algorithm, Hasher};
use ingest::{Limits, State, SyncPolicy};
use media_store::Staging;
use media_store::disk::{Disk, Step, Witness};

use crate::ground::{Answer, Ground, eventually, noise, patch, request, send, slow_body};

/// Counts what the disk does, and is full or broken on demand.
#[derive(Debug, Default)]
struct Meter {
    writes: AtomicUsize,
    file_syncs: AtomicUsize,
    whole_syncs: AtomicUsize,
    is_full: AtomicBool,
    fails_next_write: AtomicBool,
    fails_sync: AtomicBool,
    is_held: AtomicBool,
    seen: Mutex<Vec<&'static str>>,
}

impl Witness for Meter {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
        // A disk that takes its time.
        for _ in 0..10_000 {
            if !matches!(step, Step::Sync(_)) || !is(&self.is_held) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match step {
            Step::Write(_) if self.fails_next_write.swap(false, Ordering::SeqCst) => {
                Err(io::Error::from_raw_os_error(5))
            }
            Step::Write(path) if is(&self.is_full) => {
                // A part of it still fits, and stays.
                let file = std::fs::OpenOptions::new().write(true).open(path)?;
                file.set_len(file.metadata()?.len() + 1000)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Step::Sync(_) | Step::SyncAll(_) if is(&self.fails_sync) => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }

    fn after(&self, step: Step<'_>) {
        let mut seen = self.seen.lock().expect("is whole");
        let (count, name) = match step {
            Step::Write(_) => (&self.writes, "write"),
            Step::Sync(_) => (&self.file_syncs, "sync"),
            Step::SyncAll(_) => (&self.whole_syncs, "sync all"),
            _ => return,
        };
        count.fetch_add(1, Ordering::SeqCst);
        seen.push(name);
    }
}

async fn metered(limits: Limits) -> (Ground, Arc<Meter>) {
    let (mut ground, meter) = (Ground::with(limits).await, Arc::new(Meter::default()));
    let staging = Staging::open_on(Disk::watched(meter.clone()), ground.dir.path().join("uploads")).await;
    ground.state = State { staging: staging.expect("opens"), ..ground.state.clone() };
    (ground, meter)
}

fn eager(sync: SyncPolicy) -> Limits {
    Limits { sync, checkpoint_bytes: 64 << 10, checkpoint_interval: Duration::from_millis(1), ..Limits::default() }
}

#[tokio::test]
async fn each_policy_flushes_when_it_says() {
    for (sync, during, at_end) in
        [(SyncPolicy::Interval, true, true), (SyncPolicy::End, false, true), (SyncPolicy::None, false, false)]
    {
        let (ground, meter) = metered(eager(sync)).await;
        let upload = ground.create(4_000_000).await;
        meter.file_syncs.store(0, Ordering::SeqCst);
        let (sender, body) = slow_body();
        let request = ground.patch(upload, 0, body);
        let watch = async {
            for piece in noise(2_400_000).chunks(60_000) {
                sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
            }
            eventually("the octets are written", || async { meter.writes.load(Ordering::SeqCst) > 0 }).await;
            if sync != SyncPolicy::End {
                eventually("octets are recorded", || async { ground.upload(upload).await.offset == 2_400_000 }).await;
            }
            assert_eq!(meter.file_syncs.load(Ordering::SeqCst) > 0, during, "{sync:?}");
            drop(sender);
        };
        let (answer, ()) = tokio::join!(request, watch);
        assert_eq!(answer.offset(), Some(2_400_000), "{}", answer.body);
        assert_eq!(meter.file_syncs.load(Ordering::SeqCst) > 0, at_end, "{sync:?}");
    }
}

#[tokio::test]
async fn many_uploads_share_their_flushes() {
    const UPLOADS: usize = 120;
    let (ground, meter) = metered(Limits::default()).await;
    let mut uploads = Vec::new();
    for _ in 0..UPLOADS {
        uploads.push(ground.create(10).await);
    }
    let before = (meter.file_syncs.load(Ordering::SeqCst), meter.whole_syncs.load(Ordering::SeqCst));
    meter.is_held.store(true, Ordering::SeqCst);
    let requests = futures::future::join_all(uploads.iter().map(|upload| ground.patch(*upload, 0, "abcde")));
    let release = async {
        eventually("all are written", || async { meter.writes.load(Ordering::SeqCst) == UPLOADS }).await;
        meter.is_held.store(false, Ordering::SeqCst);
    };
    let (answers, ()) = tokio::join!(requests, release);
    assert!(answers.iter().all(|answer| answer.offset() == Some(5)), "{answers:?}");
    let singles = meter.file_syncs.load(Ordering::SeqCst) - before.0;
    let all = meter.whole_syncs.load(Ordering::SeqCst) - before.1;
    assert!(singles <= UPLOADS / 2 && all >= 1, "{singles} flushes of files, {all} of the file system");
}

#[tokio::test]
async fn a_slow_upload_is_flushed_seldom_but_flushed() {
    let interval = Duration::from_millis(10);
    let (ground, meter) = metered(Limits { checkpoint_interval: interval, ..Limits::default() }).await;
    let upload = ground.create(100_000).await;
    meter.file_syncs.store(0, Ordering::SeqCst);
    let (sender, body) = slow_body();
    let begun = std::time::Instant::now();
    let request = ground.patch(upload, 0, body);
    let drip = async {
        for piece in noise(30_000).chunks(100) {
            sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let recorded = ground.upload(upload).await.offset;
        assert!(recorded > 0, "nothing is recorded while octets come slowly");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(request, drip);
    assert_eq!(answer.offset(), Some(30_000));
    // Few octets wait for eight intervals, and the end of the body is one more.
    let flushes_max = begun.elapsed().as_millis() / (interval.as_millis() * 8) + 2;
    let flushes = meter.file_syncs.load(Ordering::SeqCst);
    assert!(flushes as u128 <= flushes_max, "{flushes} flushes, {flushes_max} expected at most");
}

#[tokio::test]
async fn small_pieces_are_written_together() {
    let (ground, meter) = metered(Limits::default()).await;
    let upload = ground.create(100_000).await;
    let (sender, body) = slow_body();
    for piece in noise(99_000).chunks(100) {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
    }
    drop(sender);
    assert_eq!(ground.patch(upload, 0, body).await.offset(), Some(99_000));
    assert!(meter.writes.load(Ordering::SeqCst) <= 4, "{:?}", meter.seen);
}

#[tokio::test]
async fn a_large_body_in_odd_pieces_is_written_octet_for_octet() {
    let (ground, meter) = metered(Limits::default()).await;
    let file = noise(7_654_321);
    let upload = ground.create(file.len() as u64).await;
    let mut offset = 0;
    // The second request begins within a block, and so do most pieces.
    for (end, piece_bytes) in [(2_345_678, 77_777), (file.len(), 333_333)] {
        let (sender, body) = slow_body();
        for piece in file[offset..end].chunks(piece_bytes) {
            sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
        }
        drop(sender);
        assert_eq!(ground.patch(upload, offset as u64, body).await.offset(), Some(end as u64));
        offset = end;
    }
    assert_eq!(ground.source(ground.asset(upload).await.id).await, file);
    assert!(meter.writes.load(Ordering::SeqCst) < 30, "pieces are written together");
}

#[tokio::test]
async fn a_full_disk_takes_nothing_back_and_the_upload_goes_on_when_there_is_room() {
    let (ground, meter) = metered(eager(SyncPolicy::Interval)).await;
    let (upload, file) = (ground.create(400_000).await, noise(400_000));
    let (sender, body) = slow_body();
    let request = ground.patch(upload, 0, body);
    let fill = async {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(&file[..200_000]))).expect("is read");
        eventually("octets are recorded", || async { ground.upload(upload).await.offset == 200_000 }).await;
        meter.is_full.store(true, Ordering::SeqCst);
        sender.unbounded_send(Ok(Bytes::copy_from_slice(&file[200_000..300_000]))).expect("is read");
    };
    let (answer, ()) = tokio::join!(request, fill);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (507, "out_of_space"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(staged_bytes(&ground, upload), 200_000, "what is not recorded takes no room");
    let head = ground.head(upload).await;
    assert_eq!((head.status.as_u16(), head.offset()), (200, Some(200_000)));
    meter.is_full.store(false, Ordering::SeqCst);
    ground.patch(upload, 200_000, file[200_000..].to_vec()).await;
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

fn staged_bytes(ground: &Ground, upload: domain::UploadId) -> u64 {
    ground.state.staging.path(upload).metadata().expect("is there").len()
}

#[tokio::test]
async fn a_whole_takes_no_room_on_a_full_disk_and_is_put_together_when_there_is_some() {
    let (ground, meter) = metered(eager(SyncPolicy::Interval)).await;
    let file = noise(300_000);
    let mut parts = Vec::new();
    for octets in file.chunks(150_000) {
        let headers = [("upload-length", "150000"), ("upload-concat", "partial")];
        let part = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
        assert_eq!(ground.patch(part, 0, octets.to_vec()).await.offset(), Some(150_000));
        parts.push(format!("/uploads/{part}"));
    }
    meter.is_full.store(true, Ordering::SeqCst);
    let concat = format!("final;{}", parts.join(" "));
    let created = ground.send(request("POST", "/uploads", &[("upload-concat", &*concat)], Body::empty())).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let whole = created.id();
    for _ in 0..2 {
        assert_eq!(ground.upload(whole).await.state, UploadState::Open);
        assert_eq!(staged_bytes(&ground, whole), 0, "the catalogue may need it");
        ingest::look_after(&ground.state).await.expect("goes");
    }
    meter.is_full.store(false, Ordering::SeqCst);
    ingest::look_after(&ground.state).await.expect("goes");
    assert_eq!(ground.upload(whole).await.state, UploadState::Complete);
    assert!(ground.source(ground.asset(whole).await.id).await == file);
}

#[tokio::test]
async fn a_full_disk_gets_some_of_what_is_not_recorded_back_for_the_catalogue() {
    let (ground, meter) = metered(Limits { sync: SyncPolicy::End, ..Limits::default() }).await;
    let (upload, file) = (ground.create(20_000_000).await, noise(20_000_000));
    let (sender, body) = slow_body();
    let request = ground.patch(upload, 0, body);
    let fill = async {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(&file[..12_000_000]))).expect("is read");
        eventually("octets are written", || async { staged_bytes(&ground, upload) > 8 << 20 }).await;
        meter.is_full.store(true, Ordering::SeqCst);
        sender.unbounded_send(Ok(Bytes::copy_from_slice(&file[12_000_000..]))).expect("is read");
    };
    let (answer, ()) = tokio::join!(request, fill);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (507, "out_of_space"));
    let staged = staged_bytes(&ground, upload);
    let offset = ground.head(upload).await.offset().expect("is there");
    assert_eq!(staged, offset);
    assert!((4 << 20..=8_000_000).contains(&offset), "{offset}: 4 MiB are given back, the rest is kept");
    meter.is_full.store(false, Ordering::SeqCst);
    let from = usize::try_from(offset).expect("fits");
    ground.patch(upload, offset, file[from..].to_vec()).await;
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

#[tokio::test]
async fn what_could_not_be_recorded_is_cut_off_at_once() {
    let (ground, meter) = metered(Limits::default()).await;
    let upload = ground.create(10_000_000).await;
    meter.fails_sync.store(true, Ordering::SeqCst);
    let answer = ground.patch(upload, 0, noise(9_000_000)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "storage_unavailable"));
    assert_eq!(staged_bytes(&ground, upload), 0);
    assert_eq!(ground.head(upload).await.offset(), Some(0));
    meter.fails_sync.store(false, Ordering::SeqCst);
    let octets = noise(9_000_000);
    let wrong = checksum(Algorithm::Sha1, b"else");
    assert_eq!(ground.send(checked(upload, 0, &wrong, octets.clone().into())).await.status.as_u16(), 460);
    assert_eq!(staged_bytes(&ground, upload), 0);
    assert_eq!(ground.patch(upload, 0, octets).await.offset(), Some(9_000_000));
}

#[tokio::test]
async fn what_comes_behind_a_write_that_failed_is_not_written_in_its_place() {
    for sync in [SyncPolicy::Interval, SyncPolicy::End, SyncPolicy::None] {
        let (ground, meter) = metered(Limits { sync, ..Limits::default() }).await;
        let (upload, file) = (ground.create(5_000_000).await, noise(5_000_000));
        let (sender, body) = slow_body();
        meter.fails_next_write.store(true, Ordering::SeqCst);
        for piece in file[..3_000_000].chunks(65_536) {
            sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
        }
        drop(sender);
        let answer = ground.patch(upload, 0, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "storage_unavailable"), "{sync:?}");
        assert_eq!(ground.head(upload).await.offset(), Some(0), "{sync:?}");
        ground.patch(upload, 0, file.clone()).await;
        assert!(ground.source(ground.asset(upload).await.id).await == file, "{sync:?}");
    }
}

#[tokio::test]
async fn octets_that_could_not_be_flushed_are_not_acknowledged() {
    let (ground, meter) = metered(Limits::default()).await;
    let upload = ground.create(10).await;
    meter.fails_sync.store(true, Ordering::SeqCst);
    let answer = ground.patch(upload, 0, "abcde").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "storage_unavailable"));
    assert_eq!(ground.head(upload).await.offset(), Some(0));
    meter.fails_sync.store(false, Ordering::SeqCst);
    assert_eq!(ground.patch(upload, 0, "abcde").await.offset(), Some(5));
}

fn checksum(algorithm: Algorithm, octets: &[u8]) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(octets);
    format!("{} {}", algorithm.tus_name(), BASE64_STANDARD.encode(hasher.finish()))
}

fn checked(upload: domain::UploadId, offset: u64, checksum: &str, body: Body) -> axum::http::Request<Body> {
    let mut request = patch(upload, offset, body);
    request.headers_mut().insert("upload-checksum", checksum.parse().expect("is a value"));
    request
}

#[tokio::test]
async fn octets_with_a_checksum_count_only_when_it_is_right() {
    for algorithm in Algorithm::ALL {
        let ground = Ground::with(eager(SyncPolicy::Interval)).await;
        let (upload, file) = (ground.create(300_000).await, noise(300_000));
        let wrong = checksum(algorithm, &file[1..200_001]);
        let answer = ground.send(checked(upload, 0, &wrong, file[..200_000].to_vec().into())).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (460, "checksum_mismatch"), "{algorithm:?}");
        assert_eq!(ground.head(upload).await.offset(), Some(0), "{algorithm:?}");
        for range in [0..200_000, 200_000..300_000] {
            let right = checksum(algorithm, &file[range.clone()]);
            let answer =
                ground.send(checked(upload, range.start as u64, &right, file[range.clone()].to_vec().into())).await;
            assert_eq!(answer.offset(), Some(range.end as u64), "{algorithm:?}: {}", answer.body);
        }
        assert!(ground.source(ground.asset(upload).await.id).await == file);
    }
}

#[tokio::test]
async fn nothing_is_kept_or_recorded_of_a_checked_body_that_breaks_off() {
    let ground = Ground::with(eager(SyncPolicy::Interval)).await;
    let (upload, file) = (ground.create(300_000).await, noise(300_000));
    let (sender, body) = slow_body();
    for piece in file[..200_000].chunks(10_000) {
        sender.unbounded_send(Ok(Bytes::copy_from_slice(piece))).expect("is read");
    }
    sender.unbounded_send(Err(io::ErrorKind::ConnectionReset.into())).expect("is read");
    let answer = ground.send(checked(upload, 0, &checksum(Algorithm::Sha1, &file[..200_000]), body)).await;
    assert_eq!((answer.status.as_u16(), answer.offset()), (400, Some(0)));
    assert_eq!((ground.upload(upload).await.offset, staged_bytes(&ground, upload)), (0, 0));
    assert_eq!(ground.patch(upload, 0, file.clone()).await.offset(), Some(300_000));
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

/// A body with a checksum behind it.
fn trailed(octets: &[u8], trailers: Option<&str>) -> Body {
    let data = octets.chunks(9_000).map(|piece| http_body::Frame::data(Bytes::copy_from_slice(piece)));
    let trailers = trailers.map(|value| {
        let value = HeaderValue::from_str(value).expect("is a value");
        http_body::Frame::trailers(HeaderMap::from_iter([("upload-checksum".parse().expect("is a name"), value)]))
    });
    let frames: Vec<_> = data.chain(trailers).map(Ok::<_, io::Error>).collect();
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

#[tokio::test]
async fn a_checksum_in_the_trailer_is_verified_before_anything_is_recorded() {
    let ground = Ground::with(eager(SyncPolicy::Interval)).await;
    let (upload, file) = (ground.create(200_000).await, noise(200_000));
    let send = async |octets: &[u8], trailer: Option<&str>| -> Answer {
        let mut request = patch(upload, 0, trailed(octets, trailer));
        request.headers_mut().insert("trailer", HeaderValue::from_static("Upload-Checksum"));
        ground.send(request).await
    };
    let wrong = send(&file[..100_000], Some(&checksum(Algorithm::Sha256, b"else"))).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (460, "checksum_mismatch"));
    let absent = send(&file[..100_000], None).await;
    assert_eq!((absent.status.as_u16(), absent.code().as_str()), (400, "invalid_header"));
    assert_eq!(ground.head(upload).await.offset(), Some(0));
    let right = send(&file, Some(&checksum(Algorithm::Sha256, &file))).await;
    assert_eq!(right.offset(), Some(200_000), "{}", right.body);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

#[tokio::test]
async fn a_file_without_its_announced_digest_is_refused_and_never_becomes_a_source() {
    let file = noise(100_000);
    for (announced, is_right) in [(&file[..], true), (b"another file", false)] {
        let ground = Ground::new().await;
        let digest = checksum(Algorithm::Sha256, announced);
        let digest = format!("sha-256=:{}:", digest.split(' ').nth(1).expect("has a value"));
        let headers = [("upload-length", "100000"), ("repr-digest", &*digest)];
        let upload = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
        ground.patch(upload, 0, file[..60_000].to_vec()).await;
        let end = ground.patch(upload, 60_000, file[60_000..].to_vec()).await;
        let asset = ground.asset(upload).await;
        if is_right {
            assert_eq!((end.offset(), asset.state), (Some(100_000), AssetState::Received), "{}", end.body);
            continue;
        }
        assert_eq!((end.status.as_u16(), end.code().as_str()), (410, "upload_refused"));
        assert_eq!(ground.upload(upload).await.state, UploadState::Refused);
        assert_eq!((asset.state, ground.probes().await), (AssetState::Failed, vec![]));
        assert!(asset.failure.expect("has a reason").message.contains("sha256"));
        assert!(!ground.state.staging.path(upload).exists());
        assert_eq!(ground.state.store.source_size(asset.id).await.expect("answers"), None);
    }
}

#[tokio::test]
async fn a_length_told_when_all_octets_are_there_is_not_seen_before_the_asset() {
    let (ground, meter) = metered(Limits { handover_max: Duration::ZERO, ..Limits::default() }).await;
    let deferred = request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty());
    let upload = ground.send(deferred).await.id();
    assert_eq!(ground.patch(upload, 0, "abcdef").await.offset(), Some(6));
    let settle = || {
        let mut request = patch(upload, 6, "");
        request.headers_mut().insert("upload-length", HeaderValue::from_static("6"));
        request
    };
    meter.is_held.store(true, Ordering::SeqCst);
    let answer = ground.send(settle()).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "completing"));
    assert_eq!(answer.offset(), Some(6), "what was acknowledged stays so");
    let head = ground.head(upload).await;
    assert_eq!((head.status.as_u16(), head.offset(), head.header("upload-length")), (200, Some(6), None));
    assert_eq!(head.header("upload-defer-length"), Some("1"));
    assert_eq!(ground.asset(upload).await.state, AssetState::Uploading);
    meter.is_held.store(false, Ordering::SeqCst);
    eventually("it is complete", || async { ground.upload(upload).await.state == UploadState::Complete }).await;
    assert_eq!(ground.send(settle()).await.offset(), Some(6), "a lost answer is repeated");
    assert_eq!(ground.probes().await.len(), 1);
}

#[tokio::test]
async fn a_length_told_when_all_octets_are_there_is_none_when_more_octets_come() {
    let ground = Ground::new().await;
    let deferred = request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty());
    let upload = ground.send(deferred).await.id();
    ground.patch(upload, 0, "abcdef").await;
    for body in [Body::from("g"), trailed(b"g", None)] {
        let mut beyond = patch(upload, 6, body);
        beyond.headers_mut().insert("upload-length", HeaderValue::from_static("6"));
        let answer = ground.send(beyond).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "beyond_length"));
        assert_eq!((ground.upload(upload).await.length, ground.upload(upload).await.offset), (None, 6));
    }
    assert_eq!(ground.patch(upload, 6, "g").await.offset(), Some(7), "its length is still open");
}

#[tokio::test]
async fn what_a_slow_completion_tells_is_on_the_disk() {
    let (ground, meter) = metered(Limits { handover_max: Duration::ZERO, ..Limits::default() }).await;
    let upload = ground.create(6).await;
    assert_eq!(ground.patch(upload, 0, "abc").await.offset(), Some(3));
    meter.is_held.store(true, Ordering::SeqCst);
    let answer = ground.patch(upload, 3, "def").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "completing"));
    assert_eq!(answer.offset(), Some(3), "the rest is not flushed");
    meter.is_held.store(false, Ordering::SeqCst);
    eventually("it is complete", || async { ground.upload(upload).await.state == UploadState::Complete }).await;
}

#[tokio::test]
async fn the_last_request_may_be_repeated_when_its_answer_was_lost() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    ground.patch(upload, 0, "abc").await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"def"))).expect("is read");
    drop(sender);
    let state = ground.state.clone();
    let lost = tokio::task::JoinSet::from_iter([async move { send(&state, patch(upload, 3, body)).await }]);
    eventually("the upload is complete", || async { ground.upload(upload).await.state == UploadState::Complete }).await;
    drop(lost);
    let again = ground.patch(upload, 3, "def").await;
    assert_eq!((again.status.as_u16(), again.offset()), (409, Some(6)), "{}", again.body);
    assert_eq!(ground.head(upload).await.offset(), Some(6));
    assert_eq!(ground.patch(upload, 6, "").await.offset(), Some(6));
    assert_eq!(ground.probes().await.len(), 1);
}

#[tokio::test]
async fn a_file_of_the_same_length_that_lies_in_the_place_of_a_source_is_not_taken_for_it() {
    let ground = Ground::new().await;
    for stranger in [&b"strange"[..], b"another one"] {
        let upload = ground.create(7).await;
        let asset = ground.asset(upload).await.id;
        let file = ground.dir.path().join("stranger");
        std::fs::write(&file, stranger).expect("writes");
        ground.state.store.adopt_source(asset, &file).await.expect("is stored");
        let answer = ground.patch(upload, 0, "my file").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (410, "upload_refused".to_owned()), "{}", answer.body);
        assert!(answer.body.contains("another file is stored where this one belongs"), "{}", answer.body);
        assert_eq!(ground.source(asset).await, stranger, "it is somebody's");
        assert_eq!(ground.asset(upload).await.state, AssetState::Failed);
        assert!(!ground.state.staging.path(upload).exists());
    }
}
