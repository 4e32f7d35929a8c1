//! Who and what is let in, and what becomes of the rest.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use catalog_store::UploadState;
use domain::plan::Limits as SourceLimits;
use domain::probe::{AudioTrack, Extent};
use domain::{AssetState, ByteSize, Failure, FailureCode, MediaTime, Probe, Timescale};
use ingest::gate::Tokens;
use ingest::{Admission, Finding, Looked, Policy, Prober};

use crate::ground::{Answer, Ground, eventually, noise, patch, request, slow_body};

const MIB: usize = 1 << 20;

pub(crate) fn media_only() -> Policy {
    Policy { types: vec!["video/*".parse().expect("a type"), "audio/*".parse().expect("a type")], ..Policy::default() }
}

pub(crate) async fn ground(policy: Policy, prober: Option<Arc<dyn Prober>>) -> Ground {
    let mut ground = Ground::new().await;
    ground.state.admission = Admission::new(policy, prober);
    ground
}

/// A program, as its first octets tell.
fn program(length: usize) -> Vec<u8> {
    let mut octets = noise(length);
    octets[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    octets
}

fn a_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).expect("fits");
    [&size.to_be_bytes()[..], kind, content].concat()
}

/// The beginning of an MP4 with its index in front, and an MP4 with its index behind.
pub(crate) fn fast_start(length: usize) -> Vec<u8> {
    let mut octets = [a_box(b"ftyp", b"isom"), a_box(b"moov", &[0; 100]), a_box(b"mdat", &[])].concat();
    octets.resize(length, 7);
    octets
}

pub(crate) fn index_behind(length: usize) -> Vec<u8> {
    let mut octets = [a_box(b"ftyp", b"isom"), a_box(b"mdat", &[0; 100])].concat();
    octets.resize(length, 7);
    octets
}

/// A prober that always finds the same and remembers what it was shown.
#[derive(Debug)]
pub(crate) struct Double {
    found: Looked,
    shown: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Double {
    pub(crate) fn new(found: Looked) -> Arc<Self> {
        Arc::new(Self { found, shown: Mutex::default() })
    }

    pub(crate) fn shown(&self) -> usize {
        self.shown.lock().expect("not poisoned").len()
    }
}

impl Prober for Double {
    fn look(&self, file: File) -> Finding<'_> {
        let length = file.metadata().expect("is a file").len();
        let mut octets = vec![0; usize::try_from(length).expect("fits")];
        file.read_exact_at(&mut octets, 0).expect("reads");
        self.shown.lock().expect("not poisoned").push((length, octets));
        Box::pin(std::future::ready(self.found.clone()))
    }
}

pub(crate) fn plays_for(seconds: i64) -> Looked {
    let extent = Extent { start: MediaTime::zero(), end: MediaTime::new(seconds * 1000, Timescale::MILLISECONDS) };
    let audio = AudioTrack {
        stream_index: 0,
        codec: "aac".into(),
        sample_rate: 48_000,
        channels: 2,
        extent,
        language: None,
        title: None,
        is_default: true,
        jumps: vec![],
        aac: None,
    };
    Looked::Understood(Box::new(Probe {
        container: "mp4".into(),
        size: ByteSize(0),
        video: vec![],
        audio: vec![audio],
        subtitles: vec![],
        chapters: vec![],
        title: None,
        libraries: String::new(),
        cover: None,
    }))
}

pub(crate) async fn assert_refused(ground: &Ground, upload: domain::UploadId, part: &str) {
    let head = ground.head(upload).await;
    assert_eq!((head.status.as_u16(), head.offset()), (410, None));
    let later = ground.patch(upload, 0, "x").await;
    assert_eq!((later.status.as_u16(), later.code().as_str()), (410, "upload_refused"));
    assert!(later.body.contains(part), "{}", later.body);
    assert_eq!(ground.upload(upload).await.state, UploadState::Refused);
    let asset = ground.asset(upload).await;
    assert_eq!(asset.state, AssetState::Failed);
    assert!(asset.failure.expect("has a reason").message.contains(part));
    assert!(!ground.state.staging.path(upload).exists(), "its octets are gone");
    assert!(ground.probes().await.is_empty(), "nothing is left to do");
}

#[tokio::test]
async fn what_is_no_medium_is_refused_after_its_first_mib() {
    let ground = ground(media_only(), None).await;
    let upload = ground.create(50 << 30).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from(program(MIB + 1)))).expect("is taken");
    // The body stays open: the answer comes while 50 GiB are still to be sent.
    let answer = tokio::time::timeout(Duration::from_secs(20), ground.patch(upload, 0, body)).await.expect("at once");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "upload_refused"));
    assert!(answer.body.contains("a program"), "{}", answer.body);
    drop(sender);
    assert_refused(&ground, upload, "a program").await;
    assert_eq!(ground.state.metrics.refusals(), [("upload_refused", 1)]);
}

#[tokio::test]
async fn a_small_file_is_looked_at_when_it_is_complete() {
    let ground = ground(media_only(), None).await;
    for (octets, part) in [(&b"<!doctype html><html></html>"[..], "a web page"), (b"%PDF-1.7\n1 0 obj", "a PDF")] {
        let upload = ground.create(octets.len() as u64).await;
        let first = ground.patch(upload, 0, octets[..5].to_vec()).await;
        assert_eq!((first.status.as_u16(), first.offset()), (204, Some(5)));
        let last = ground.patch(upload, 5, octets[5..].to_vec()).await;
        assert_eq!((last.status.as_u16(), last.code().as_str()), (415, "upload_refused"));
        assert_refused(&ground, upload, part).await;
    }
}

#[tokio::test]
async fn an_empty_file_is_left_to_its_probe() {
    let ground = ground(media_only(), None).await;
    let upload = ground.create(0).await;
    assert_eq!(ground.asset(upload).await.state, AssetState::Received);
}

#[tokio::test]
async fn a_look_is_not_evaded_by_checksums() {
    let ground = ground(media_only(), None).await;
    let (upload, octets) = (ground.create(50 << 20).await, program(2 * MIB));
    let answer = ground.send(checked(upload, &octets, octets.clone().into())).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "upload_refused"));
    assert_refused(&ground, upload, "a program").await;
}

#[tokio::test]
async fn every_real_file_passes_and_no_text_does() {
    let folder = fixtures::corpus();
    let Ok(entries) = std::fs::read_dir(&folder) else { return };
    let ground = ground(media_only(), None).await;
    let mut passed = 0;
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_empty = path.metadata().expect("is there").len() == 0;
        if name == "README.md" || is_empty {
            continue;
        }
        let octets = std::fs::read(&path).expect("reads");
        let upload = ground.create(octets.len() as u64).await;
        let status = ground.patch(upload, 0, octets).await.status.as_u16();
        let is_medium = !name.starts_with("t_") && name != "m_payloads_ssrf_ffmpeg.avi";
        assert_eq!(status, if is_medium { 204 } else { 415 }, "{name}");
        passed += u32::from(is_medium);
    }
    assert!(passed > 50, "{passed}");
}

#[tokio::test]
async fn a_file_that_is_too_long_is_refused_while_it_still_comes() {
    let policy = Policy { source: SourceLimits { duration_s_max: 60, ..SourceLimits::default() }, ..media_only() };
    let prober = Double::new(plays_for(61));
    let ground = ground(policy, Some(prober.clone())).await;
    let (upload, octets) = (ground.create(64 << 20).await, fast_start(2 * MIB));
    let first = ground.patch(upload, 0, octets.clone()).await;
    assert!(first.status == 204 || first.code() == "upload_refused", "{}", first.body);
    eventually("it is refused", || async { ground.upload(upload).await.state == UploadState::Refused }).await;
    assert_refused(&ground, upload, "00:01:01").await;
    let shown = prober.shown.lock().expect("not poisoned");
    let [(length, seen)] = &shown[..] else { panic!("{} looks", shown.len()) };
    // The engine sees a file of the announced length that begins like this one.
    assert_eq!(*length, 64 << 20);
    let there = seen.iter().rposition(|octet| *octet != 0).expect("not empty") + 1;
    assert!(there >= MIB && octets[..there] == seen[..there], "{there}");
}

#[tokio::test]
async fn a_look_that_speaks_for_a_file_or_tells_nothing_stops_nobody() {
    let unclear = Looked::Unclear("crashed".into());
    let damaged = Looked::Refused(Failure::new(FailureCode::Damaged, "it was probably cut off"));
    for found in [plays_for(10), unclear, damaged] {
        let prober = Double::new(found);
        let ground = ground(media_only(), Some(prober.clone())).await;
        let (upload, octets) = (ground.create(4 << 20).await, fast_start(4 * MIB));
        assert_eq!(ground.patch(upload, 0, octets[..2 * MIB].to_vec()).await.status, 204);
        eventually("it was looked at", || async { prober.shown() == 1 }).await;
        let last = ground.patch(upload, 2 << 20, octets[2 * MIB..].to_vec()).await;
        assert_eq!((last.status.as_u16(), last.offset()), (204, Some(4 << 20)));
        assert_eq!(ground.asset(upload).await.state, AssetState::Received);
    }
}

#[tokio::test]
async fn a_file_without_tracks_is_refused_when_its_head_names_them_all() {
    let prober = Double::new(Looked::Refused(Failure::new(FailureCode::NoMedia, "neither a picture nor sound")));
    let ground = ground(media_only(), Some(prober)).await;
    let upload = ground.create(64 << 20).await;
    ground.patch(upload, 0, fast_start(2 * MIB)).await;
    eventually("it is refused", || async { ground.upload(upload).await.state == UploadState::Refused }).await;
    assert_refused(&ground, upload, "neither a picture nor sound").await;
}

#[tokio::test]
async fn a_body_that_pauses_while_it_is_refused_is_told_the_reason() {
    let prober = Double::new(Looked::Refused(Failure::new(FailureCode::NoMedia, "neither a picture nor sound")));
    let ground = ground(media_only(), Some(prober)).await;
    let (upload, octets) = (ground.create(64 << 20).await, fast_start(2 * MIB));
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from(octets))).expect("is taken");
    let pausing = async {
        let file = ground.state.staging.path(upload);
        let is_closed = || async { ground.upload(upload).await.state == UploadState::Refused && !file.exists() };
        eventually("the upload is closed, its file is gone", is_closed).await;
        sender.unbounded_send(Ok(Bytes::from(vec![7; 2 * MIB]))).expect("is taken");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(ground.patch(upload, 0, body), pausing);
    // On 423, clients would try again, find nothing, and begin the same file once more.
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "upload_refused"), "{}", answer.body);
    assert_refused(&ground, upload, "neither a picture nor sound").await;
}

#[tokio::test]
async fn an_index_at_the_end_is_not_guessed_at() {
    let prober = Double::new(plays_for(1_000_000));
    let ground = ground(media_only(), Some(prober.clone())).await;
    let (upload, octets) = (ground.create(3 << 20).await, index_behind(3 * MIB));
    for at in 0..3 {
        let piece = octets[at * MIB..(at + 1) * MIB].to_vec();
        assert_eq!(ground.patch(upload, (at * MIB) as u64, piece).await.status, 204);
    }
    assert_eq!(prober.shown(), 0);
    assert_eq!(ground.asset(upload).await.state, AssetState::Received);
}

fn as_ada(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert("authorization", "Bearer the-token-of-ada".parse().expect("a value"));
    request
}

fn as_bob(mut request: Request<Body>) -> Request<Body> {
    request.headers_mut().insert("authorization", "Bearer the-token-of-bob".parse().expect("a value"));
    request
}

async fn guarded(policy: Policy) -> Ground {
    let mut ground = ground(policy, None).await;
    let tokens = [("ada", "the-token-of-ada"), ("bob", "the-token-of-bob")];
    ground.state.gate = Arc::new(Tokens::new(tokens.map(|(name, token)| (name.to_owned(), token.to_owned()))));
    ground
}

fn creation(length: u64) -> Request<Body> {
    request("POST", "/uploads", &[("upload-length", &length.to_string())], Body::empty())
}

#[tokio::test]
async fn every_method_asks_who_is_there_and_only_the_owner_is_let_in() {
    let ground = guarded(Policy::default()).await;
    let created = ground.send(as_ada(creation(5))).await;
    assert_eq!(created.status, 201);
    let (upload, path) = (created.id(), created.header("location").expect("is there").to_owned());
    assert_eq!(ground.upload(upload).await.owner.as_deref(), Some("ada"));
    let json = [("accept", "application/json")];
    let requests = || {
        vec![
            request("HEAD", &path, &[], Body::empty()),
            patch(upload, 0, "abc"),
            request("GET", &path, &json, Body::empty()),
            request("GET", &format!("{path}/events"), &[], Body::empty()),
            request("DELETE", &path, &[], Body::empty()),
        ]
    };
    for request in requests() {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = ground.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, Some("Bearer")), "{what}");
    }
    assert_eq!(ground.send(creation(5)).await.code(), "unauthorized");
    for request in requests() {
        let answer = ground.send(as_bob(request)).await;
        assert_eq!(answer.status, 403);
    }
    let preflight = Request::builder().method("OPTIONS").uri(&path).body(Body::empty()).expect("valid");
    assert_eq!(ground.send(preflight).await.status, 204, "a preflight carries no token");
    assert_eq!(ground.send(as_ada(patch(upload, 0, "abc"))).await.offset(), Some(3));
    assert_eq!(ground.send(as_ada(request("DELETE", &path, &[], Body::empty()))).await.status, 204);
}

#[tokio::test]
async fn a_quota_is_reserved_when_an_upload_is_created() {
    let ground = guarded(Policy { quota_bytes: Some(100), ..Policy::default() }).await;
    let first = ground.send(as_ada(creation(60))).await;
    assert_eq!(first.status, 201);
    let refused = ground.send(as_ada(creation(41))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "quota_exceeded"));
    assert_eq!(ground.send(as_bob(creation(100))).await.status, 201, "each has a quota of their own");
    assert_eq!(ground.send(as_ada(creation(40))).await.status, 201);
    let path = first.header("location").expect("is there");
    ground.send(as_ada(request("DELETE", path, &[], Body::empty()))).await;
    assert_eq!(ground.send(as_ada(creation(60))).await.status, 201, "what is given up is free again");
}

#[tokio::test]
async fn a_length_told_late_counts_like_any_other() {
    let ground = guarded(Policy { quota_bytes: Some(100), ..Policy::default() }).await;
    let deferred = request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty());
    let deferred = ground.send(as_ada(deferred)).await.id();
    let settle = |length: &str| {
        let headers =
            [("upload-offset", "0"), ("upload-length", length), ("content-type", "application/offset+octet-stream")];
        request("PATCH", &format!("/uploads/{deferred}"), &headers, Body::from("a"))
    };
    let refused = ground.send(as_ada(settle("101"))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "quota_exceeded"));
    assert_eq!(ground.upload(deferred).await.length, None);
    assert_eq!(ground.send(as_ada(settle("40"))).await.status, 204);
    assert_eq!(ground.send(as_ada(creation(61))).await.code(), "quota_exceeded");
    assert_eq!(ground.send(as_ada(creation(60))).await.status, 201);
}

async fn part(ground: &Ground, length: Option<u64>) -> domain::UploadId {
    let length = length.map_or(("upload-defer-length", "1".into()), |length| ("upload-length", length.to_string()));
    let headers = [(length.0, &*length.1), ("upload-concat", "partial")];
    let created = ground.send(as_ada(request("POST", "/uploads", &headers, Body::empty()))).await;
    assert_eq!(created.status, 201, "{}", created.body);
    created.id()
}

fn joining(parts: &[domain::UploadId]) -> Request<Body> {
    let parts: Vec<String> = parts.iter().map(|part| format!("/uploads/{part}")).collect();
    as_ada(request("POST", "/uploads", &[("upload-concat", &format!("final;{}", parts.join(" ")))], Body::empty()))
}

#[tokio::test]
async fn a_file_in_parts_takes_no_more_quota_than_in_one_piece() {
    // As many octets as the whole quota: told with the parts, or with the last octet of the last one.
    for lengths in [[Some(60), Some(40)], [Some(60), None]] {
        let ground = guarded(Policy { quota_bytes: Some(100), ..Policy::default() }).await;
        let parts = [part(&ground, lengths[0]).await, part(&ground, lengths[1]).await];
        let whole = ground.send(joining(&parts)).await;
        assert_eq!(whole.status, 201, "{}", whole.body);
        assert_eq!(ground.send(joining(&parts)).await.id(), whole.id(), "the same request takes nothing more");
        assert_eq!(ground.send(as_ada(creation(41))).await.status, 413);
        ground.send(as_ada(patch(parts[0], 0, vec![7; 60]))).await;
        let mut last = patch(parts[1], 0, vec![8; 40]);
        last.headers_mut().insert("upload-length", "40".parse().expect("a value"));
        assert_eq!(ground.send(as_ada(last)).await.offset(), Some(40));
        let is_complete = || async { ground.upload(whole.id()).await.state == UploadState::Complete };
        eventually("the whole is complete", is_complete).await;
        assert_eq!(ground.send(as_ada(creation(1))).await.code(), "quota_exceeded", "100 octets are there");
        let again = ground.send(joining(&[parts[1], parts[0]])).await;
        assert_eq!(again.code(), "quota_exceeded", "another file of the same parts is another file");
    }
}

#[tokio::test]
async fn an_upload_of_unknown_length_is_held_to_the_quota_as_it_grows() {
    let ground = guarded(Policy { quota_bytes: Some(100), ..Policy::default() }).await;
    let created =
        ground.send(as_ada(request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty()))).await;
    let upload = created.id();
    assert_eq!(ground.send(as_ada(patch(upload, 0, vec![7; 60]))).await.offset(), Some(60));
    let refused = ground.send(as_ada(patch(upload, 60, vec![7; 41]))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "quota_exceeded"));
    assert_eq!(ground.send(as_ada(creation(41))).await.status, 413, "what came counts");
    let path = format!("/uploads/{upload}");
    let offset = async || {
        let head = ground.send(as_ada(request("HEAD", &path, &[], Body::empty()))).await;
        head.offset().expect("it is still there")
    };
    // What had come is kept, and what there was no quota for is not.
    assert_eq!(offset().await, 60);
    assert_eq!(ground.send(as_ada(patch(upload, 60, vec![7; 50]))).await.code(), "quota_exceeded");
    assert_eq!(offset().await, 60);
    assert_eq!(ground.send(as_ada(patch(upload, 60, vec![7; 40]))).await.offset(), Some(100), "the rest is there");
}

fn deferred() -> Request<Body> {
    as_ada(request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty()))
}

#[tokio::test]
async fn an_upload_of_unknown_length_grows_to_the_quota_and_not_beyond() {
    const QUOTA: u64 = 5_000_000;
    for checkpoint_bytes in [512 << 10, 16 << 20] {
        let mut ground = guarded(Policy { quota_bytes: Some(QUOTA), ..Policy::default() }).await;
        ground.state.limits.checkpoint_bytes = checkpoint_bytes;
        let upload = ground.send(deferred()).await.id();
        let refused = ground.send(as_ada(patch(upload, 0, noise(30_000_000)))).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "quota_exceeded"));
        assert_eq!(ground.upload(upload).await.offset, QUOTA);
        let staged = ground.state.staging.path(upload).metadata().expect("is there").len();
        assert_eq!(staged, QUOTA, "what was refused takes no room");
        let more = ground.send(as_ada(patch(upload, QUOTA, noise(9_000_000)))).await;
        assert_eq!((more.status.as_u16(), more.code().as_str()), (413, "quota_exceeded"));
        assert_eq!(ground.upload(upload).await.offset, QUOTA);
        let mut end = as_ada(patch(upload, QUOTA, Body::empty()));
        end.headers_mut().insert("upload-length", QUOTA.into());
        assert_eq!(ground.send(end).await.offset(), Some(QUOTA), "it may end there");
        assert_eq!(ground.upload(upload).await.state, UploadState::Complete);
    }
}

#[tokio::test]
async fn two_uploads_of_unknown_length_cannot_both_grow_into_the_last_of_the_quota() {
    const QUOTA: u64 = 9_000_000;
    let mut ground = guarded(Policy { quota_bytes: Some(QUOTA), ..Policy::default() }).await;
    ground.state.limits.checkpoint_bytes = 512 << 10;
    let uploads = [ground.send(deferred()).await.id(), ground.send(deferred()).await.id()];
    let (first, first_body) = slow_body();
    let (second, second_body) = slow_body();
    let asking = |upload, body| ground.send(as_ada(patch(upload, 0, body)));
    let feeding = async {
        // Ends when both bodies are dropped, or at 20 MB, which is more than twice the quota.
        for _ in 0..200 {
            let taken = [&first, &second].map(|sender| sender.unbounded_send(Ok(Bytes::from(noise(100_000)))).is_ok());
            if taken == [false; 2] {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop((first, second));
    };
    let (one, other, ()) = tokio::join!(asking(uploads[0], first_body), asking(uploads[1], second_body), feeding);
    assert_eq!((one.code(), other.code()), ("quota_exceeded".into(), "quota_exceeded".into()));
    let offsets = [ground.upload(uploads[0]).await.offset, ground.upload(uploads[1]).await.offset];
    assert!(offsets[0] + offsets[1] <= QUOTA, "{offsets:?}");
    // What one of them was given ahead and did not use is free again.
    let left = QUOTA - offsets[0] - offsets[1];
    assert_eq!(ground.send(as_ada(creation(left + 1))).await.code(), "quota_exceeded");
    assert_eq!(ground.send(as_ada(creation(left))).await.status, 201);
}

/// As [`patch`], with the checksum of these octets.
fn checked(upload: domain::UploadId, octets: &[u8], body: Body) -> Request<Body> {
    let mut hasher = ingest::digest::Hasher::new(ingest::digest::Algorithm::Sha1);
    hasher.update(octets);
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hasher.finish());
    let mut request = patch(upload, 0, body);
    request.headers_mut().insert("upload-checksum", format!("sha1 {digest}").parse().expect("a value"));
    request
}

#[tokio::test]
async fn a_quota_is_not_evaded_by_checksums() {
    let ground = guarded(Policy { quota_bytes: Some(1 << 20), ..Policy::default() }).await;
    let deferred = || request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty());
    let octets = noise(3 << 20);
    let upload = ground.send(as_ada(deferred())).await.id();
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from(octets.clone()))).expect("is taken");
    // The body stays open: who has no quota is told so before everything was sent.
    let answer = ground.send(as_ada(checked(upload, &octets, body)));
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("at once");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "quota_exceeded"));
    drop(sender);
    // A right checksum does not make octets count that there is no quota for.
    let answer = ground.send(as_ada(checked(upload, &octets, octets.clone().into()))).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "quota_exceeded"));
    assert_eq!(ground.upload(upload).await.offset, 0);
    let fits = &octets[..1 << 20];
    let answer = ground.send(as_ada(checked(upload, fits, fits.to_vec().into()))).await;
    assert_eq!(answer.offset(), Some(1 << 20), "{}", answer.body);
}

#[tokio::test]
async fn what_is_no_medium_is_refused_early_although_its_checksum_is_still_to_come() {
    let ground = ground(media_only(), None).await;
    let (upload, octets) = (ground.create(50 << 20).await, program(2 * MIB));
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from(octets.clone()))).expect("is taken");
    let answer = ground.send(checked(upload, &octets, body));
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.expect("at once");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "upload_refused"));
    drop(sender);
    assert_refused(&ground, upload, "a program").await;
}

#[tokio::test]
async fn a_small_file_that_came_damaged_is_sent_again_and_not_refused() {
    let ground = ground(media_only(), None).await;
    let (right, damaged) = (fast_start(1000), program(1000));
    let upload = ground.create(1000).await;
    let answer = ground.send(checked(upload, &right, damaged.into())).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (460, "checksum_mismatch"));
    assert_eq!(ground.send(checked(upload, &right, right.clone().into())).await.offset(), Some(1000));
}

#[tokio::test]
async fn two_that_come_at_once_cannot_both_take_the_last_place() {
    let ground = guarded(Policy { quota_bytes: Some(100), ..Policy::default() }).await;
    let answers = futures::future::join_all((0..8).map(|_| ground.send(as_ada(creation(60))))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "nor does nobody get it");
    let others = futures::future::join_all((0..40).map(|_| ground.send(as_ada(creation(1))))).await;
    assert!(others.iter().all(|answer| answer.status == 201), "nobody is counted twice: {others:?}");
}

#[tokio::test]
async fn two_that_come_at_once_cannot_both_take_the_last_room_of_the_disk() {
    let mut ground = ground(Policy::default(), None).await;
    let disk = rustix::fs::statvfs(ground.dir.path()).expect("answers");
    let free = disk.f_bavail * disk.f_frsize;
    // Others use the same disk: half of it is left to them, and one upload takes more than half of the rest.
    let policy = Policy { disk_reserve_bytes: free / 2, ..Policy::default() };
    ground.state.admission = Admission::new(policy, None);
    let answers = futures::future::join_all((0..8).map(|_| ground.send(creation(free / 10 * 3)))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 201 || answer.code() == "out_of_space"), "{answers:?}");
}

#[tokio::test]
async fn a_principal_may_have_so_many_open_uploads() {
    let ground = guarded(Policy { open_uploads_max: Some(1), ..Policy::default() }).await;
    let first = ground.send(as_ada(creation(3))).await;
    let refused = ground.send(as_ada(creation(3))).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_open_uploads"));
    assert!(refused.header("retry-after").is_some());
    ground.send(as_ada(patch(first.id(), 0, "abc"))).await;
    assert_eq!(ground.send(as_ada(creation(3))).await.status, 201, "a complete one is not open");
}

#[tokio::test]
async fn without_room_nothing_is_read_of_a_body() {
    let ground = ground(Policy { disk_reserve_bytes: 1 << 60, ..Policy::default() }, None).await;
    let unread = Body::from_stream(futures::stream::poll_fn(|_| -> std::task::Poll<Option<std::io::Result<Bytes>>> {
        panic!("an octet of the body is asked for: a client that waits for 100 Continue would send it")
    }));
    let headers =
        [("upload-length", "5"), ("content-type", "application/offset+octet-stream"), ("expect", "100-continue")];
    let refused = ground.send(request("POST", "/uploads", &headers, unread)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (507, "out_of_space"));
    assert_eq!(refused.header("retry-after"), Some("30"));
    let ground = crate::admission::ground(Policy { disk_reserve_bytes: 1, ..Policy::default() }, None).await;
    assert_eq!(ground.send(creation(5)).await.status, 201);
    let endless: Answer = ground.send(creation(1 << 40)).await;
    assert_eq!(endless.status, 507, "there is no tebibyte here");
}

#[tokio::test]
async fn a_body_that_crawls_is_cut_off_and_keeps_what_came() {
    let policy = Policy { rate_min: 1000, rate_window: Duration::from_millis(200), ..Policy::default() };
    let ground = ground(policy, None).await;
    let upload = ground.create(1 << 20).await;
    let (sender, body) = slow_body();
    let feed = async {
        // Ends when the body is dropped.
        while sender.unbounded_send(Ok(Bytes::from_static(b"x"))).is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (answer, ()) = tokio::join!(ground.patch(upload, 0, body), feed);
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (408, "too_slow"));
    let offset = ground.head(upload).await.offset().expect("is there");
    assert!(offset >= 5, "{offset}");
}
