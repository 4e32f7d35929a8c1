//! A store in a temporary folder with one small asset in it, and an origin before it.

use std::time::Duration;

use bytes::Bytes;
use domain::presentation::{
    AudioRendition, Images, KeyframeRange, Pointer, SegmentEntry, Storyboard, SubtitleRendition, Thumbnail,
    VideoRendition,
};
use domain::probe::Chapter;
use domain::{
    Access, AssetId, Bitrate, Cadence, FrameRate, Generation, Language, MediaTime, PlaybackId, Presentation,
    RenditionId, Resolution, Timescale,
};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use media_store::{Key, MediaStore, StoreConfig, layout};
use origin::access::Gate;
use origin::{DemandHook, Origin, OriginConfig};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

pub(crate) const GENERATION: Generation = Generation(3);
/// Segments of each rendition.
pub(crate) const SEGMENTS: u32 = 3;

pub(crate) fn asset() -> AssetId {
    AssetId::from_u128(1)
}

pub(crate) fn playback() -> PlaybackId {
    PlaybackId::from_u128(7)
}

pub(crate) fn rendition(name: &str) -> RenditionId {
    RenditionId::new(name).unwrap()
}

/// The octets of segment `index`: different for each, none of them compressible to a pattern.
pub(crate) fn content(name: &str, index: u32) -> Bytes {
    let seed = Sha256::digest(format!("{name}/{index}"));
    let block = |at: u32| Sha256::digest([&seed[..], &at.to_be_bytes()].concat());
    (0..125 + index).flat_map(block).collect()
}

pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The presentation of the asset: planned in revision 0, measured in revision 1.
pub(crate) fn presentation(revision: u32) -> Presentation {
    let rate = FrameRate::new(25, 1).unwrap();
    let video_scale = rate.timescale();
    let entry = |name: &str, index: u32, ticks: u64, keyframes: Vec<KeyframeRange>| {
        let content = content(name, index);
        SegmentEntry {
            ticks,
            bytes: (revision > 0).then_some(content.len() as u64),
            sha256: (revision > 0).then(|| sha256(&content)),
            keyframes: if revision > 0 { keyframes } else { vec![] },
        }
    };
    let video_ticks = 50 * u64::from(rate.frame_ticks());
    let keyframe = KeyframeRange { offset: 40, length: 600, ticks: video_ticks };
    let ms = |ms| MediaTime::new(ms, Timescale::MILLISECONDS);
    let tile = Resolution { width: 160, height: 90 };
    Presentation {
        schema: domain::presentation::SCHEMA,
        asset: asset(),
        playback: playback(),
        generation: GENERATION,
        revision,
        is_complete: Some(revision > 0),
        first: None,
        title: Some("Test".into()),
        duration: ms(6000),
        cadence: Cadence::for_video(rate),
        video: vec![VideoRendition {
            id: rendition("720p"),
            resolution: Resolution { width: 1280, height: 720 },
            frame_rate: rate,
            codecs: "avc1.64001f".into(),
            peak_bitrate: Bitrate(3_000_000),
            average_bitrate: Bitrate(2_000_000),
            timescale: video_scale,
            segments: (0..SEGMENTS).map(|index| entry("720p", index, video_ticks, vec![keyframe])).collect(),
        }],
        audio: vec![AudioRendition {
            id: rendition("audio-0-en"),
            language: Language::from_code("en"),
            name: "English".into(),
            is_default: true,
            channels: 2,
            codecs: "mp4a.40.2".into(),
            peak_bitrate: Bitrate(128_000),
            average_bitrate: Bitrate(128_000),
            timescale: Timescale::new(48_000).unwrap(),
            segments: (0..SEGMENTS).map(|index| entry("audio-0-en", index, 96_000, vec![])).collect(),
        }],
        subtitles: if revision == 0 {
            vec![]
        } else {
            vec![SubtitleRendition {
                id: rendition("text-0-de"),
                language: Language::from_code("de"),
                name: "Deutsch".into(),
                is_forced: false,
                is_sdh: false,
                is_default: false,
                timescale: Timescale::MILLISECONDS,
                segments: (0..SEGMENTS).map(|index| entry("text-0-de", index, 2000, vec![])).collect(),
            }]
        },
        chapters: vec![Chapter { start: ms(0), end: ms(6000), title: "All".into() }],
        markers: vec![],
        images: (revision > 0).then(|| Images {
            poster: "poster.jpg".into(),
            poster_resolution: Resolution { width: 1280, height: 720 },
            thumbnails: vec![Thumbnail { time: ms(0), file: "thumbnail-0.jpg".into() }],
            storyboard: Some(Storyboard {
                sheets: vec!["sheet-0.jpg".into()],
                tile,
                columns: 5,
                rows: 5,
                tile_count: 3,
                interval: ms(2000),
            }),
            preview: Some("preview.webp".into()),
            blurhash: None,
            thumbhash: None,
            scored: None,
        }),
        files: vec![],
    }
}

/// What came back, with the whole body.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    async fn read(response: Response<origin::Body>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    /// The headers but for those that depend on when and where from they were served.
    pub(crate) fn timeless(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        for name in ["server-timing", "cmsd-dynamic", "cache-status"] {
            headers.remove(name);
        }
        headers
    }

    #[track_caller]
    fn assert_same(self, other: &Self) {
        for name in ["server-timing", "cmsd-dynamic", "cache-status"] {
            assert!(self.headers.contains_key(name) && other.headers.contains_key(name), "{self:?}");
        }
        assert_eq!((self.status, self.timeless(), &self.body), (other.status, other.timeless(), &other.body));
    }

    /// A header that is there exactly once, or nothing.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        assert!(self.headers.get_all(name).iter().count() <= 1, "{name} is doubled: {self:?}");
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) struct Stage {
    pub(crate) store: MediaStore,
    pub(crate) origin: Origin,
    config: StoreConfig,
    _dir: tempfile::TempDir,
}

impl Stage {
    /// A store with every object of the asset in it, and the given revision in force.
    pub(crate) async fn with_everything(revision: u32) -> Self {
        let stage = Self::with_nothing_encoded(revision).await;
        for name in ["720p", "audio-0-en"] {
            stage.put(&layout::init(asset(), GENERATION, &rendition(name)), b"ftyp and moov".as_slice().into()).await;
            for index in 0..SEGMENTS {
                stage.put_segment(name, index).await;
            }
        }
        for index in 0..SEGMENTS {
            let key = layout::subtitle(asset(), GENERATION, &rendition("text-0-de"), index);
            stage.put(&key, content("text-0-de", index)).await;
        }
        for file in ["poster.jpg", "thumbnail-0.jpg", "sheet-0.jpg", "preview.webp", "unlisted.jpg"] {
            stage.put(&layout::image(asset(), GENERATION, file).unwrap(), content(file, 0)).await;
        }
        stage
    }

    /// A store with nothing but a presentation in force.
    pub(crate) async fn with_nothing_encoded(revision: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            url: format!("file://{}/media", dir.path().display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let store = MediaStore::open(config.clone()).await.unwrap();
        let limits = OriginConfig { wait: Duration::from_millis(800), waiters_max: 2, ..OriginConfig::default() };
        let origin = Origin::new(limits, store.clone(), DemandHook::none());
        let stage = Self { origin, store, config, _dir: dir };
        stage.publish(&presentation(revision)).await;
        stage
    }

    /// The same store behind an origin that tells `demand` what is waited for.
    pub(crate) fn telling(self, demand: DemandHook) -> Self {
        let config = OriginConfig { wait: Duration::from_millis(800), ..OriginConfig::default() };
        Self { origin: Origin::new(config, self.store.clone(), demand), ..self }
    }

    /// The same store behind another origin.
    pub(crate) fn behind(self, config: OriginConfig) -> Self {
        Self { origin: Origin::new(config, self.store.clone(), DemandHook::none()), ..self }
    }

    /// The same store behind an origin with this gate.
    pub(crate) fn guarded(self, gate: Gate) -> Self {
        let origin = Origin::behind(OriginConfig::default(), self.store.clone(), DemandHook::none(), gate);
        Self { origin, ..self }
    }

    /// Says who may play the asset, and how it is encrypted.
    pub(crate) async fn allow(&self, access: &Access) {
        let pointer = Pointer { access: access.clone(), ..presentation(1).pointer() };
        self.store.put_pointer(playback(), serde_json::to_vec(&pointer).unwrap().into()).await.unwrap();
    }

    /// Publishes as another process would.
    pub(crate) async fn publish_elsewhere(&self, presentation: &Presentation) {
        publish(&MediaStore::open_to_read(self.config.clone()).await.unwrap(), presentation).await;
    }

    pub(crate) async fn publish(&self, presentation: &Presentation) {
        publish(&self.store, presentation).await;
    }
    pub(crate) async fn put(&self, key: &Key, body: Bytes) {
        self.store.put_once(key, body).await.unwrap();
    }

    pub(crate) async fn put_segment(&self, name: &str, index: u32) {
        self.put(&layout::segment(asset(), GENERATION, &rendition(name), index), content(name, index)).await;
    }

    /// Sends a request for a path below the playback id.
    pub(crate) async fn send(&self, method: Method, rest: &str, lines: &[(&str, &str)]) -> Reply {
        self.send_to(method, &format!("/v/{}/{rest}", playback()), lines).await
    }

    /// Sends a request, and checks what every response has to carry.
    pub(crate) async fn send_to(&self, method: Method, path: &str, lines: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(method.clone()).uri(path);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        let ready = self.origin.answer_at_once(&request).map(Reply::read);
        // Once is enough of what is counted.
        let is_told = path.contains("CMCD") || lines.iter().any(|(name, _)| name.starts_with("cmcd"));
        let in_lines = if is_told { None } else { self.origin.answer_in_lines(&request) };
        let in_lines = in_lines.map(|answer| Reply::read(of_lines(answer)));
        let reply = Reply::read(self.origin.clone().oneshot(request).await.unwrap()).await;
        // What is ready is what would have been made.
        if let Some(ready) = ready {
            ready.await.assert_same(&reply);
        }
        if let Some(in_lines) = in_lines {
            in_lines.await.assert_same(&reply);
        }
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{reply:?}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        assert_eq!(reply.header("cross-origin-resource-policy"), Some("cross-origin"), "{reply:?}");
        assert_eq!(reply.header("timing-allow-origin"), Some("*"), "{reply:?}");
        assert!(reply.header("access-control-expose-headers").unwrap().contains("Content-Range"), "{reply:?}");
        assert!(reply.header("cache-control").is_some(), "{reply:?}");
        match reply.status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => assert_eq!(reply.header("content-length"), None),
            _ if method == Method::HEAD => assert!(reply.header("content-length").is_some()),
            _ => assert_eq!(reply.header("content-length"), Some(reply.body.len().to_string().as_str())),
        }
        reply
    }

    pub(crate) async fn get(&self, rest: &str) -> Reply {
        self.send(Method::GET, rest, &[]).await
    }

    pub(crate) async fn get_with(&self, rest: &str, lines: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, rest, lines).await
    }
}

/// The answer that somebody reads who is sent these lines.
fn of_lines(answer: origin::InLines) -> Response<origin::Body> {
    let mut response = Response::builder().status(answer.status);
    let (first, lines) = std::str::from_utf8(&answer.lines).unwrap().split_once("\r\n").unwrap();
    assert_eq!(first, format!("HTTP/1.1 {}", answer.status));
    for line in lines.split_inclusive("\r\n") {
        let (name, value) = line.strip_suffix("\r\n").unwrap().split_once(": ").unwrap();
        response = response.header(name, value);
    }
    let bytes = answer.bytes.map(|bytes| (CONTENT_LENGTH, HeaderValue::from(bytes)));
    let range = answer.range.map(|range| (CONTENT_RANGE, range));
    let mut response = response.body(answer.body).unwrap();
    response.headers_mut().extend(bytes.into_iter().chain(range));
    response
}

async fn publish(store: &MediaStore, presentation: &Presentation) {
    let key = layout::presentation(presentation.asset, presentation.generation, presentation.revision);
    store.put_once(&key, serde_json::to_vec(presentation).unwrap().into()).await.unwrap();
    let pointer = serde_json::to_vec(&presentation.pointer()).unwrap();
    store.put_pointer(presentation.playback, pointer.into()).await.unwrap();
}
