//! The router over a fresh catalogue and store, and builders of assets in every state.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use catalog_store::{Asset, Catalog, Claim, LeasedJob, NewAsset, NewUpload, SegmentRow, Target};
use domain::loudness::{Hundredths, Loudness};
use domain::plan::{Limits, Plan};
use domain::presentation::{Images, Pointer, SCHEMA};
use domain::probe::{AudioTrack, Chapter, Color, Extent, FieldOrder, Orientation, SubtitleTrack, VideoTrack};
use domain::{
    Access, AssetId, ByteSize, Clock, FrameRate, Generation, JobId, JobKind, JobLane, JobSpec, Language, ManualClock,
    MediaTime, PlaybackId, Probe, Recipe, RenditionId, Resolution, Timescale, Timestamp, UploadId,
};
use fixtures::contract::{Contract, Exchange};
use http_body_util::BodyExt;
use media_store::{MediaStore, StoreConfig};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// What every answer of these tests is held to.
pub(crate) static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::new(include_str!("../../openapi.json")));

const GENERATION: Generation = Generation(1);
/// How long a stream may take to say what it must.
const PATIENCE: Duration = Duration::from_secs(30);

/// The instant `ms` milliseconds after the story begins.
pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

pub(crate) struct Server {
    pub(crate) catalog: Catalog,
    pub(crate) store: MediaStore,
    pub(crate) shutdown: CancellationToken,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) router: Router,
    pub(crate) dir: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
        Self::start_in(dir, &url).await
    }

    /// The same on another database.
    pub(crate) async fn start_on(url: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), url).await
    }

    async fn start_in(dir: tempfile::TempDir, url: &str) -> Self {
        let catalog = Catalog::open(url).await.unwrap();
        catalog.migrate().await.unwrap();
        catalog
            .unlock(catalog_store::SecretKeys::new("a key of the tests, of 32 characters and more", []).unwrap())
            .await
            .unwrap();
        let config = StoreConfig {
            url: format!("file://{}", dir.path().join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let store = MediaStore::open(config).await.unwrap();
        let (clock, shutdown) = (Arc::new(ManualClock::at(at(0))), CancellationToken::new());
        let state = catalog_api::State::new(catalog.clone(), store.clone(), clock.clone(), shutdown.clone());
        Self { catalog, store, shutdown, clock, router: catalog_api::router(state), dir }
    }

    /// The answer to any request, held to the description of the API.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let media = head.headers.get("content-type").map(|media| media.as_bytes().ends_with(b"json"));
        let (mut sent, mut body) = (None, body);
        if media == Some(true) {
            let octets = body.collect().await.unwrap().to_bytes();
            body = Body::from(octets.clone());
            sent = Some(octets);
        }
        let response = self.router.clone().oneshot(Request::from_parts(head, body)).await.unwrap();
        let answer = Answer::of(response).await;
        let exchange = Exchange {
            method: &method,
            path: &path,
            sent: sent.as_deref(),
            status: answer.status.as_u16(),
            headers: &answer.headers,
            body: Some(&answer.body),
        };
        CONTRACT.check(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
        answer
    }

    /// The answer whose body is not read to its end: that of a stream.
    pub(crate) async fn begun(&self, request: Request<Body>) -> Response<Body> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let exchange = Exchange {
            method: &method,
            path: &path,
            sent: None,
            status: response.status().as_u16(),
            headers: response.headers(),
            body: None,
        };
        CONTRACT.check(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
        response
    }

    async fn answer(&self, method: &str, path: &str, last_event: Option<&str>) -> Response<Body> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        self.begun(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        self.send_body(method, path, Body::empty()).await
    }

    /// Likewise, with a body.
    pub(crate) async fn send_body(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        self.ask(request).await
    }

    /// Likewise, said to be JSON, whatever it is.
    pub(crate) async fn send_as_json(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        self.ask(request.header("content-type", "application/json").body(body.into()).unwrap()).await
    }

    /// Likewise, with a document and more headers.
    pub(crate) async fn send_json(
        &self,
        method: &str,
        path: &str,
        document: &Value,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        request = request.header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(document.to_string())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path).await
    }

    /// The status alone: a stream's body never ends.
    pub(crate) async fn head_of(&self, method: &str, path: &str) -> StatusCode {
        self.answer(method, path, None).await.status()
    }

    /// Likewise, but `None` if no HTTP parser would let this target through.
    pub(crate) async fn status_if_valid(&self, method: &str, target: &str) -> Option<StatusCode> {
        target.parse::<Uri>().ok()?;
        Some(self.head_of(method, target).await)
    }

    pub(crate) async fn stream(&self, path: &str, last_event: Option<&str>) -> EventStream {
        let response = self.answer("GET", path, last_event).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        EventStream { body: response.into_body(), text: String::new() }
    }

    /// The same as somebody with a cookie.
    pub(crate) async fn stream_as(&self, path: &str, cookie: &str) -> EventStream {
        self.stream_by(path, ("cookie", cookie)).await
    }

    /// The same with this header.
    pub(crate) async fn stream_by(&self, path: &str, (name, value): (&str, &str)) -> EventStream {
        let request = Request::builder().uri(path).header(name, value).body(Body::empty()).unwrap();
        let response = self.begun(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        EventStream { body: response.into_body(), text: String::new() }
    }

    pub(crate) fn job_id(&self) -> JobId {
        JobId::mint(at(0), self.clock.entropy())
    }

    fn asset_id(&self) -> AssetId {
        // Each a millisecond younger than the last, as ids sort by birth.
        self.clock.advance(Duration::from_millis(1));
        AssetId::mint(self.clock.now(), self.clock.entropy())
    }

    /// An unfinished upload of this name.
    pub(crate) async fn upload_of(&self, owner: String) -> UploadId {
        let target = Target::new(self.asset_id(), PlaybackId::mint(self.clock.entropy()));
        let id = UploadId::mint(at(0), self.clock.entropy());
        let new = NewUpload { owner: Some(owner), ..NewUpload::whole(id, target, Some(1000), at(0)) };
        self.catalog.create_upload(&new).await.unwrap();
        id
    }

    /// The target of a new upload.
    pub(crate) async fn upload(&self) -> Target {
        let target = Target::new(self.asset_id(), PlaybackId::mint(self.clock.entropy()));
        let id = UploadId::mint(at(0), self.clock.entropy());
        let new = NewUpload { file_name: Some("clip.mp4".into()), ..NewUpload::whole(id, target, None, at(0)) };
        self.catalog.create_upload(&new).await.unwrap();
        target
    }

    pub(crate) async fn received(&self) -> Asset {
        self.received_at(at(0)).await
    }

    pub(crate) async fn received_at(&self, now: Timestamp) -> Asset {
        let asset = self.asset_id();
        let playback = PlaybackId::mint(self.clock.entropy());
        let size = probe().size;
        let new = NewAsset { asset, playback, file_name: None, size, job: self.job_id(), now };
        self.catalog.create_received_asset(&new).await.unwrap();
        self.catalog.asset(asset).await.unwrap().unwrap()
    }

    pub(crate) async fn claim(&self, lane: JobLane) -> LeasedJob {
        let claim = Claim { worker: "test", lane, lease: Duration::from_secs(60), now: at(1) };
        self.catalog.claim(&claim).await.unwrap().unwrap()
    }

    /// An asset whose plan has one chunk job and one images job.
    pub(crate) async fn processing(&self) -> Asset {
        let asset = self.received().await;
        let job = self.claim(JobLane::Urgent).await;
        let plan = Plan::new(&probe(), &Recipe::default(), &Limits::default()).unwrap();
        let parts = [
            JobSpec::Chunk { generation: GENERATION, chunk: 0 },
            JobSpec::Images { generation: GENERATION, is_last: false },
        ];
        let parts = parts.map(|spec| (self.job_id(), spec));
        self.catalog.settle_probe(&job, &probe(), GENERATION, &plan, &parts, at(1)).await.unwrap();
        asset
    }

    /// Has origins told who may play an asset, as a publication tells them.
    pub(crate) async fn point(&self, asset: &Asset, access: Access) {
        let pointer = Pointer {
            schema: SCHEMA,
            asset: asset.id,
            generation: GENERATION,
            revision: 1,
            turn: 0,
            is_complete: Some(true),
            retained: Vec::new(),
            documents: Vec::new(),
            access,
        };
        self.store.put_pointer(asset.playback, serde_json::to_vec(&pointer).unwrap().into()).await.unwrap();
    }

    /// What they are told.
    pub(crate) async fn access_of(&self, asset: &Asset) -> Access {
        let pointer = self.store.pointer(asset.playback).await.unwrap().expect("a pointer");
        serde_json::from_slice::<Pointer>(&pointer).unwrap().access
    }

    pub(crate) async fn commit_segment(&self, asset: &Asset, rendition: &str, index: u32) {
        let job = self.claim(JobLane::Heavy).await;
        self.commit(&job, rendition, index, 1, at(1)).await;
        assert_eq!(job.asset, asset.id);
    }

    /// Commits a segment of the job's asset.
    pub(crate) async fn commit(&self, job: &LeasedJob, rendition: &str, index: u32, ticks: u64, now: Timestamp) {
        let row = SegmentRow {
            asset: job.asset,
            generation: GENERATION,
            rendition: RenditionId::new(rendition).unwrap(),
            index,
            ticks,
            bytes: 1,
            sha256: "ab".repeat(32),
            keyframes: vec![],
        };
        self.catalog.insert_segment(job, &row, now).await.unwrap();
    }

    /// Settles all that is left of an asset that is processing.
    pub(crate) async fn finish(&self, asset: &Asset, images: &Images) {
        let chunk = self.claim(JobLane::Heavy).await;
        self.catalog.settle_part(&chunk, self.job_id(), at(2)).await.unwrap();
        let job = self.claim(JobLane::Light).await;
        assert_eq!((job.asset, job.spec.kind()), (asset.id, JobKind::Images));
        self.catalog.put_images(&job, images, at(2)).await.unwrap();
        self.catalog.put_loudness(&job, &[loudness()], at(2)).await.unwrap();
        self.catalog.settle_part(&job, self.job_id(), at(2)).await.unwrap();
        // The publish job is due at 2 ms, after the claims of this harness.
        let claim = Claim { worker: "test", lane: JobLane::Urgent, lease: Duration::from_secs(60), now: at(3) };
        let publish = self.catalog.claim(&claim).await.unwrap().unwrap();
        self.catalog.settle_publish(&publish, at(3)).await.unwrap();
    }
}

/// How loud the default sound track is.
fn loudness() -> Loudness {
    let number = |value| Hundredths::new(value).unwrap();
    Loudness {
        stream_index: 1,
        integrated_lufs: Some(number(-16.23)),
        range_lu: number(7.5),
        true_peak_dbtp: Some(number(-1.0)),
    }
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The same as text, as far as it is text.
    pub(crate) text: String,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body).into_owned();
        Self { status: head.status, headers: head.headers, body, text }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The version that the tag begins with.
    pub(crate) fn version(&self) -> Option<u64> {
        let tag = self.header("etag")?.trim_matches('"');
        tag.split('-').next()?.parse().ok()
    }

    /// The JSON of a success.
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_str(&self.text).unwrap()
    }

    /// The code of a problem; what was answered, if it is none.
    pub(crate) fn code(&self) -> String {
        let document: Value = serde_json::from_str(&self.text).unwrap_or_default();
        document["code"].as_str().map_or_else(|| format!("{} {}", self.status, self.text), str::to_owned)
    }

    /// The JSON of what was made.
    pub(crate) fn created(self) -> Value {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn is_problem(&self, status: u16, code: &str, instance: &str) {
        assert_eq!(self.status.as_u16(), status, "{instance}: {}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{instance}");
        let document: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!((&document["code"], &document["status"]), (&Value::from(code), &Value::from(status)), "{instance}");
        let kind = match code {
            "too_many_attempts" => "https://iana.org/assignments/http-problem-types#quota-exceeded".to_owned(),
            code => format!("/api/problems/{code}"),
        };
        assert_eq!((&document["type"], &document["instance"]), (&kind.into(), &instance.into()));
        assert!(document["title"].is_string() && document["detail"].as_str().is_some_and(|text| !text.is_empty()));
    }
}

/// An event as a browser would see it.
pub(crate) struct SentEvent {
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Value,
}

/// An open event stream.
pub(crate) struct EventStream {
    body: Body,
    text: String,
}

impl EventStream {
    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("the stream says something");
            self.text.push_str(std::str::from_utf8(frame?.unwrap().data_ref().unwrap()).unwrap());
        }
    }

    pub(crate) async fn next_event(&mut self) -> SentEvent {
        loop {
            let block = self.block().await.expect("the stream goes on");
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned());
            if let Some(data) = field("data:") {
                return SentEvent {
                    id: field("id:"),
                    name: field("event:"),
                    data: serde_json::from_str(&data).unwrap(),
                };
            }
        }
    }

    pub(crate) async fn next_comment(&mut self) {
        while !self.block().await.expect("the stream goes on").starts_with(':') {}
    }

    pub(crate) async fn ends(&mut self) {
        self.rest().await;
    }

    /// All that is still said until the end.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        let read = async {
            while let Some(block) = self.block().await {
                rest.push_str(&block);
                rest.push('\n');
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the stream ends");
        rest
    }
}

/// 30 s at 29.97 fps that begin at 2 s, two languages, subtitles, and two chapters.
fn probe() -> Probe {
    let ms = |ms: i64| MediaTime::new(ms, Timescale::MILLISECONDS);
    let extent = Extent { start: ms(2000), end: ms(32_000) };
    let video = VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 640, height: 360 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::Progressive,
        extent,
        frame_count: 899,
        measured_rate: FrameRate::new(30_000, 1001).unwrap(),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: Vec::new(),
        last_decodable: None,
        avc: None,
    };
    let audio = |stream_index, code| AudioTrack {
        stream_index,
        codec: "opus".into(),
        sample_rate: 48_000,
        channels: 2,
        extent,
        language: Language::from_code(code),
        title: None,
        is_default: stream_index == 1,
        jumps: Vec::new(),
        aac: None,
    };
    let subtitles = |stream_index, codec: &str, language| SubtitleTrack {
        stream_index,
        codec: codec.into(),
        is_text: codec == "subrip",
        language: Language::from_code(language),
        title: None,
        is_default: false,
        is_forced: false,
        is_sdh: false,
    };
    let chapter = |start, end, title: &str| Chapter { start: ms(start), end: ms(end), title: title.into() };
    Probe {
        container: "matroska".into(),
        size: ByteSize(1_572_864),
        video: vec![video],
        audio: vec![audio(1, "eng"), audio(2, "ger"), audio(3, "eng")],
        subtitles: vec![subtitles(4, "subrip", "fra"), subtitles(5, "hdmv_pgs_subtitle", "spa")],
        chapters: vec![chapter(2000, 12_500, "One"), chapter(12_500, 32_000, "Two")],
        title: Some("A title".into()),
        libraries: String::new(),
        cover: None,
    }
}
