//! An origin with one public and one signed asset, which is asked in every way that a header or a path can be wrong.
//!
//! Whatever is asked, an answer is one that the protocol has for it: never a 5xx, never other octets than those of the
//! object, never an asset to somebody without a right to it.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use domain::presentation::{SCHEMA, SegmentEntry, VideoRendition};
use domain::{
    Access, Admission, AssetId, Bitrate, Cadence, FrameRate, Generation, ManualClock, MediaTime, PlaybackId,
    Presentation, RenditionId, Resolution, Timescale, Timestamp,
};
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, COOKIE, HOST, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use media_store::{MediaStore, StoreConfig, layout};
use origin::access::{Akamai, CloudFront, Gate, KeyRing, Mux, PublicKeys};
use origin::{DemandHook, Origin, OriginConfig};
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Octets of the segment that is asked for.
const SEGMENT_BYTES: usize = 5_000;
/// The same moment, always: seconds since 1970.
const NOW_S: u64 = 1_795_000_000;
/// What signs tokens of ours: a name and a secret.
const KEY: (&str, &str) = ("k1", "0123456789abcdef0123456789abcdef");
/// What signs Akamai's tokens.
const AKAMAI_KEY: &str = "00112233445566778899aabbccddeeff";
/// Whose signatures CloudFront and Mux would make; nobody has the other half.
const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
     MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoDXWfHA9bnRdk6Cxmk4W\n\
     YVxVIFFwkF/DX26qDVXAIXuNreINtYMeDfSqZk+JZlNGEdpRO8LeP0ymlFqdfkkV\n\
     sfnAgD0soZL/fflJvGtVON+blMxfdux8OcXiYoQpa9SS7l01fJ72HxWO6CGJpLon\n\
     9yXaFctjBBfQeRh54U2nOOxX45geOgypV5+Je5xRWMVRG0Bk8CxprscW/oUvngDG\n\
     uRiVBZCrIB70+CUzAqXTtP3RPcLJTza2+p754zirp3PbaeMySiqPt4RsChBdLSJH\n\
     ZkvFjR4cdkEujKOW44Dy36ikIqtjNlw8Qe1PjVG6FHhT+Br6+UrmMlPQwMDZHa71\n\
     NwIDAQAB\n\
     -----END PUBLIC KEY-----";

struct Ground {
    runtime: Runtime,
    origin: Origin,
    _folder: tempfile::TempDir,
}

static GROUND: LazyLock<Ground> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let origin = runtime.block_on(origin(folder.path()));
    Ground { runtime, origin, _folder: folder }
});

async fn origin(folder: &std::path::Path) -> Origin {
    let media = folder.join("media");
    std::fs::create_dir_all(&media).expect("a folder");
    let url = format!("file://{}", media.display());
    let config = StoreConfig { url, access_key: None, secret_key: None, scratch: folder.join("scratch") };
    let store = MediaStore::open(config).await.expect("opens");
    for (asset, playback, admission) in [(1, open(), Admission::Public), (2, signed(), Admission::Signed)] {
        let shown = presentation(AssetId::from_u128(asset), playback);
        let json = |value: Result<Vec<u8>, serde_json::Error>| Bytes::from(value.expect("JSON"));
        let segment = layout::segment(shown.asset, shown.generation, &shown.video[0].id, 0);
        store.put_once(&segment, content()).await.expect("put");
        let place = layout::presentation(shown.asset, shown.generation, 1);
        store.put_once(&place, json(serde_json::to_vec(&shown))).await.expect("put");
        let mut pointer = shown.pointer();
        pointer.access = Access { admission, ..Access::default() };
        store.put_pointer(playback, json(serde_json::to_vec(&pointer))).await.expect("put");
    }
    let mut keys = PublicKeys::default();
    keys.add("K1", PEM).expect("a key");
    let ring = KeyRing::new(&[format!("{}:{}", KEY.0, KEY.1)]).expect("a key");
    let clock = ManualClock::at(Timestamp::from_unix_ms(i64::try_from(NOW_S * 1000).expect("a time")));
    let gate = Gate::new(Arc::new(clock), ring)
        .with_verifier(Akamai::new(&[AKAMAI_KEY], "").expect("a key"))
        .with_verifier(CloudFront::new(keys.clone()))
        .with_verifier(Mux::new(keys));
    Origin::behind(OriginConfig::default(), store, DemandHook::none(), gate)
}

fn presentation(asset: AssetId, playback: PlaybackId) -> Presentation {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let hash = "00".repeat(32);
    let ticks = 50 * u64::from(rate.frame_ticks());
    let segment = SegmentEntry { ticks, bytes: Some(SEGMENT_BYTES as u64), sha256: Some(hash), keyframes: vec![] };
    Presentation {
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
            id: RenditionId::new("720p").expect("a name"),
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
    }
}

fn content() -> Bytes {
    (0..SEGMENT_BYTES).map(|at| u8::try_from(at % 251).expect("small")).collect()
}

fn open() -> PlaybackId {
    PlaybackId::from_u128(7)
}

fn signed() -> PlaybackId {
    PlaybackId::from_u128(8)
}

fn segment_of(playback: PlaybackId) -> String {
    format!("/v/{playback}/g1/720p/0.m4s")
}

/// Asks for `target` with these headers; `None` if that cannot be written down.
fn asked(target: &str, headers: &[(HeaderName, &[u8])]) -> Option<(StatusCode, Response<()>, Bytes)> {
    let mut request = Request::builder().uri(target).header(HOST, "media.example").body(()).ok()?;
    for (name, value) in headers {
        request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let ground = &*GROUND;
    let answer = ground.runtime.block_on(async {
        let response = match ground.origin.answer_at_once(&request) {
            Some(ready) => ready,
            None => ground.origin.clone().oneshot(request).await.unwrap_or_else(|never| match never {}),
        };
        let (head, body) = response.into_parts();
        let octets = body.collect().await.expect("a body that comes to its end").to_bytes();
        (head.status, Response::from_parts(head, ()), octets)
    });
    let (status, head, octets) = &answer;
    assert!(!status.is_server_error(), "{status} for {target}");
    if let Some(length) = head.headers().get(CONTENT_LENGTH) {
        assert_eq!(length.to_str().expect("digits"), octets.len().to_string(), "{target}");
    }
    Some(answer)
}

fn lines(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|octet| *octet == b'\n')
}

/// A `Range`, and behind a line break an `If-Range`.
pub fn range(input: &[u8]) {
    let names = [RANGE, IF_RANGE];
    let headers: Vec<_> = names.into_iter().zip(lines(input)).collect();
    let Some((status, head, octets)) = asked(&segment_of(open()), &headers) else { return };
    let whole = content();
    match status {
        StatusCode::OK => assert_eq!(octets, whole),
        StatusCode::RANGE_NOT_SATISFIABLE => assert_eq!(head.headers()[CONTENT_RANGE], "bytes */5000"),
        StatusCode::PARTIAL_CONTENT => match head.headers().get(CONTENT_RANGE) {
            // Several parts take no more than the whole.
            None => assert!(octets.len() <= whole.len()),
            Some(told) => {
                let told = told.to_str().expect("text").strip_prefix("bytes ").expect("octets");
                let (first, last) = told.strip_suffix("/5000").and_then(|told| told.split_once('-')).expect("a range");
                let (first, last): (usize, usize) = (first.parse().expect("digits"), last.parse().expect("digits"));
                assert_eq!(octets, whole[first..=last]);
            }
        },
        other => panic!("{other} for a range"),
    }
}

/// Preconditions, one on each line.
pub fn conditions(input: &[u8]) {
    let names = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE, IF_NONE_MATCH];
    let headers: Vec<_> = names.into_iter().zip(lines(input)).filter(|(_, value)| !value.is_empty()).collect();
    let Some((status, _, octets)) = asked(&segment_of(open()), &headers) else { return };
    match status.as_u16() {
        200 => assert_eq!(octets, content()),
        304 => assert!(octets.is_empty()),
        206 | 412 | 416 => {}
        other => panic!("{other} for preconditions"),
    }
}

/// Rights to an asset that needs one: signed by nobody, or by us over claims that are anything.
///
/// The first octet tells where the rest stands.
pub fn tokens(input: &[u8]) {
    let Some((&place, rest)) = input.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let path = segment_of(signed());
    let cookie = |text: &str| asked(&path, &[(COOKIE, text.as_bytes())]);
    let (answer, is_signed) = match place % 6 {
        0 => (asked(&format!("/t/{text}{path}"), &[]), false),
        1 => {
            let claims = URL_SAFE_NO_PAD.encode(rest);
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY.1.as_bytes()), claims.as_bytes());
            (asked(&format!("/t/{claims}.{}{path}", URL_SAFE_NO_PAD.encode(mac)), &[]), true)
        }
        2 => (asked(&format!("{path}?{text}"), &[]), false),
        3 => (cookie(&text), false),
        4 => {
            let key: Vec<u8> = (0..16).map(|at| at * 0x11).collect();
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), rest);
            let digits: String = mac.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
            (cookie(&format!("hdnts={text}~hmac={digits}")), true)
        }
        _ => (asked(&text, &[]), false),
    };
    let Some((status, _, octets)) = answer else { return };
    let shows = status.is_success() && octets == content();
    // Without a right there is nothing but what is open to everybody.
    assert!(is_signed || !shows || place % 6 == 5 && text.contains(&open().to_string()), "{status} without a right");
}

/// What players tell, in a header of each kind and in the query.
pub fn cmcd(input: &[u8]) {
    let names = ["cmcd-request", "cmcd-object", "cmcd-status", "cmcd-session"].map(HeaderName::from_static);
    let headers: Vec<_> = names.into_iter().zip(lines(input)).collect();
    if let Some((status, ..)) = asked(&segment_of(open()), &headers) {
        assert_eq!(status, StatusCode::OK);
    }
    let escaped: String = input.iter().map(|octet| format!("%{octet:02X}")).collect();
    if let Some((status, ..)) = asked(&format!("{}?CMCD={escaped}", segment_of(open())), &[]) {
        assert_eq!(status, StatusCode::OK);
    }
}
