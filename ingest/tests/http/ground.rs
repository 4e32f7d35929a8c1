//! A server of its own for each test, and short ways to speak to it.

use std::io::Read;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use catalog_store::{Asset, Catalog, Claim, Upload};
use domain::{AssetId, JobLane, JobSpec, ManualClock, Timestamp, UploadId};
use fixtures::contract::{Contract, Exchange};
use futures::channel::mpsc;
use http_body_util::BodyExt;
use ingest::{Limits, Sessions, State};
use media_store::{MediaStore, Staging, StoreConfig};
use tower::ServiceExt;

/// What every answer below `/api` is held to.
static CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::new(include_str!("../../../catalog-api/openapi.json")));

/// A server with everything it needs in a folder that goes away with it.
pub(crate) struct Ground {
    pub(crate) state: State,
    pub(crate) dir: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = Catalog::open(&format!("sqlite://{}", dir.path().join("catalog.db").display())).await;
        let catalog = catalog.expect("opens");
        catalog.migrate().await.expect("migrates");
        let keys = catalog_store::SecretKeys::new("a key of the tests, of 32 characters and more", [])
            .expect("it is long enough");
        catalog.unlock(keys).await.expect("it is unlocked");
        let config = StoreConfig {
            url: format!("file://{}", dir.path().join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let state = State {
            catalog,
            store: MediaStore::open(config).await.expect("opens"),
            staging: Staging::open(dir.path().join("uploads")).await.expect("opens"),
            clock: Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_795_000_000_000))),
            limits,
            tasks: Default::default(),
            shutdown: Default::default(),
            sessions: Sessions::default(),
            gate: Arc::new(ingest::gate::Open),
            admission: ingest::Admission::default(),
            live: ingest::Live::default(),
            metrics: Arc::default(),
            imports: ingest::Imports::default(),
        };
        Self { state, dir }
    }

    /// The same folders, catalogue and time, as a new process finds them.
    pub(crate) async fn restarted(&self) -> State {
        let state = State {
            staging: Staging::open(self.dir.path().join("uploads")).await.expect("opens"),
            tasks: Default::default(),
            shutdown: Default::default(),
            sessions: Sessions::default(),
            live: ingest::Live::default(),
            ..self.state.clone()
        };
        ingest::recover(&state).await.expect("recovers");
        state
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.state, request).await
    }

    /// Creates an upload of `length` octets.
    pub(crate) async fn create(&self, length: u64) -> UploadId {
        let length = length.to_string();
        let answer = self.send(request("POST", "/uploads", &[("upload-length", &length)], Body::empty())).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.id()
    }

    pub(crate) async fn patch(&self, upload: UploadId, offset: u64, body: impl Into<Body>) -> Answer {
        self.send(patch(upload, offset, body)).await
    }

    pub(crate) async fn head(&self, upload: UploadId) -> Answer {
        self.send(request("HEAD", &format!("/uploads/{upload}"), &[], Body::empty())).await
    }

    pub(crate) async fn upload(&self, upload: UploadId) -> Upload {
        self.state.catalog.upload(upload).await.expect("answers").expect("exists")
    }

    pub(crate) async fn asset(&self, upload: UploadId) -> Asset {
        let asset = self.upload(upload).await.target.expect("not a part").asset;
        self.state.catalog.asset(asset).await.expect("answers").expect("exists")
    }

    /// The source of an asset.
    pub(crate) async fn source(&self, asset: AssetId) -> Vec<u8> {
        let mut body = Vec::new();
        self.state.store.open_source(asset).await.expect("opens").read_to_end(&mut body).expect("reads");
        body
    }

    /// The assets of all queued probe jobs.
    pub(crate) async fn probes(&self) -> Vec<AssetId> {
        let mut assets = Vec::new();
        let now = self.state.clock.now();
        for lane in [JobLane::Urgent, JobLane::Light] {
            let claim = Claim { worker: "test", lane, lease: Duration::from_secs(60), now };
            while let Some(job) = self.state.catalog.claim(&claim).await.expect("answers") {
                assert_eq!(job.spec, JobSpec::Probe);
                assets.push(job.asset);
            }
        }
        assets
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("is ASCII"))
    }

    pub(crate) fn offset(&self) -> Option<u64> {
        self.header("upload-offset").map(|value| value.parse().expect("a number"))
    }

    /// The id of the upload that was created.
    pub(crate) fn id(&self) -> UploadId {
        let location = self.header("location").expect("has a location");
        location.strip_prefix("/uploads/").expect("is relative").parse().expect("an id")
    }

    /// The stable code of the problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem: serde_json::Value = serde_json::from_str(&self.body).expect("is JSON");
        assert_eq!(problem["status"], self.status.as_u16());
        problem["code"].as_str().expect("has a code").to_owned()
    }
}

pub(crate) async fn send(state: &State, request: Request<Body>) -> Answer {
    let response = ingest::router(state.clone()).oneshot(request).await.expect("is infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("reads").to_bytes();
    let body = String::from_utf8(body.to_vec()).expect("is text");
    Answer { status: parts.status, headers: parts.headers, body }
}

/// What is answered below `/api`, held to the description of the API.
pub(crate) async fn ask_api(state: &State, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let sent = body.collect().await.expect("reads").to_bytes();
    let request = Request::from_parts(parts, Body::from(sent.clone()));
    let response = ingest::api(state.clone()).oneshot(request).await.expect("is infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("reads").to_bytes();
    let exchange = Exchange {
        method: &method,
        path: &path,
        sent: Some(&sent),
        status: parts.status.as_u16(),
        headers: &parts.headers,
        body: Some(&body),
    };
    CONTRACT.check(&exchange).unwrap_or_else(|wrong| panic!("{wrong}"));
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// A request that speaks tus 1.0.0.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("tus-resumable", "1.0.0");
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).body(body).expect("valid")
}

pub(crate) fn patch(upload: UploadId, offset: u64, body: impl Into<Body>) -> Request<Body> {
    let offset = offset.to_string();
    let headers = [("upload-offset", &*offset), ("content-type", "application/offset+octet-stream")];
    request("PATCH", &format!("/uploads/{upload}"), &headers, body.into())
}

/// A body that a test feeds piece by piece; an error breaks it off, dropping the sender ends it.
pub(crate) fn slow_body() -> (mpsc::UnboundedSender<std::io::Result<Bytes>>, Body) {
    let (sender, receiver) = mpsc::unbounded();
    (sender, Body::from_stream(receiver))
}

/// `length` octets that differ from place to place.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let step = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        Some(state.to_be_bytes()[0])
    };
    (0..length).scan(7u64, |state, _| step(state)).collect()
}

/// Waits until `fact` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut fact: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !fact().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
