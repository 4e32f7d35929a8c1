//! What the origin itself costs per request: the answer to a segment that is in memory, without HTTP around it, and
//! with a token in its path.
//!
//! The difference between the last two is what a verified token costs; we aim at 1 µs at most.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::presentation::{SCHEMA, SegmentEntry, VideoRendition};
use domain::{
    Access, Admission, AssetId, Bitrate, Cadence, FrameRate, Generation, ManualClock, MediaTime, PlaybackId,
    Presentation, RenditionId, Resolution, Timescale, Timestamp,
};
use media_store::{MediaStore, StoreConfig, layout};
use origin::access::{Gate, Grant, KeyRing, mint, open};
use origin::{DemandHook, Origin, OriginConfig};
use tower::ServiceExt;

const SEGMENT_BYTES: usize = 1 << 20;

/// What it costs to verify a token that was never seen before: its MAC, its claims, the path. We aim at 1 µs at most.
fn tokens(criterion: &mut Criterion) {
    let ring = KeyRing::new(&["a:0123456789abcdef0123456789abcdef"]).expect("a key");
    let prefix = format!("/v/{}/", PlaybackId::from_u128(8));
    let path = format!("{prefix}g1/720p/0.m4s");
    let grant =
        Grant { expires_s: 2000, begins_s: 0, prefix, session: Some("s-1".into()), network: None, is_preview: false };
    let token = mint(&grant, &ring).expect("a token");
    criterion.bench_function("token/verified anew", |bencher| {
        bencher.iter(|| open(black_box(&token), &ring, black_box(&path), None, 1000).expect("it opens"));
    });
}

fn answers(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (origin, paths) = runtime.block_on(stage(folder.path()));
    let _entered = runtime.enter();
    for (name, path) in paths {
        let request = http::Request::get(path).header("host", "media.example").body(()).expect("a request");
        // The long way first, until the answer is ready.
        for _ in 0..4 {
            runtime.block_on(origin.clone().oneshot(request.clone())).expect("never fails");
        }
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                match origin.answer_at_once(black_box(&request)) {
                    Some(response) => drop(black_box(response)),
                    // Once a second, and once in 64 requests.
                    None => drop(runtime.block_on(origin.clone().oneshot(request.clone()))),
                }
            });
        });
    }
}

async fn stage(folder: &std::path::Path) -> (Origin, Vec<(&'static str, String)>) {
    let config = StoreConfig {
        url: format!("file://{}/media", folder.display()),
        access_key: None,
        secret_key: None,
        scratch: folder.join("scratch"),
    };
    let store = MediaStore::open(config).await.expect("a store");
    let ring = KeyRing::new(&["a:0123456789abcdef0123456789abcdef"]).expect("a key");
    let gate = Gate::new(Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_000_000))), ring.clone());
    let mut paths = Vec::new();
    for (name, number, admission) in
        [("answer/public", 7, Admission::Public), ("answer/with a token", 8, Admission::Signed)]
    {
        let playback = PlaybackId::from_u128(number);
        publish(&store, AssetId::from_u128(number), playback, admission).await;
        let path = format!("/v/{playback}/g1/720p/0.m4s");
        let prefix = format!("/v/{playback}/");
        let grant = Grant { expires_s: 2000, begins_s: 0, prefix, session: None, network: None, is_preview: false };
        let token = mint(&grant, &ring).expect("a token");
        paths.push((name, if number == 7 { path } else { format!("/t/{token}{path}") }));
    }
    (Origin::behind(OriginConfig::default(), store, DemandHook::none(), gate), paths)
}

async fn publish(store: &MediaStore, asset: AssetId, playback: PlaybackId, admission: Admission) {
    let rate = FrameRate::new(25, 1).expect("a frame rate");
    let id = RenditionId::new("720p").expect("a rendition");
    let segment = SegmentEntry {
        ticks: 50 * u64::from(rate.frame_ticks()),
        bytes: Some(SEGMENT_BYTES as u64),
        sha256: Some("0".repeat(64)),
        keyframes: vec![],
    };
    let presentation = Presentation {
        schema: SCHEMA,
        asset,
        playback,
        generation: Generation(1),
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: None,
        duration: MediaTime::new(2000, Timescale::MILLISECONDS),
        cadence: Cadence::for_video(rate),
        video: vec![VideoRendition {
            id: id.clone(),
            resolution: Resolution { width: 1280, height: 720 },
            frame_rate: rate,
            codecs: "avc1.64001f".into(),
            peak_bitrate: Bitrate(3_000_000),
            average_bitrate: Bitrate(2_000_000),
            timescale: rate.timescale(),
            segments: vec![segment],
        }],
        audio: vec![],
        subtitles: vec![],
        chapters: vec![],
        markers: vec![],
        images: None,
        files: vec![],
    };
    let mut pointer = presentation.pointer();
    pointer.access = Access { admission, ..Access::default() };
    let json = |value: serde_json::Result<Vec<u8>>| bytes::Bytes::from(value.expect("JSON"));
    let key = layout::segment(asset, Generation(1), &id, 0);
    store.put_once(&key, vec![7; SEGMENT_BYTES].into()).await.expect("written");
    let key = layout::presentation(asset, Generation(1), 1);
    store.put_once(&key, json(serde_json::to_vec(&presentation))).await.expect("written");
    store.put_pointer(playback, json(serde_json::to_vec(&pointer))).await.expect("written");
}

criterion_group!(benches, tokens, answers);
criterion_main!(benches);
