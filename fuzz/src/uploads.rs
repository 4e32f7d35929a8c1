//! A server in memory that is fed raw bytes.
//!
//! Inputs are bytes as a client might write them on a connection. Where they say `UPLOAD`, the id of an upload that is
//! open at that moment takes its place, so that requests can meet something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use catalog_store::Catalog;
use domain::{ManualClock, Timestamp};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use ingest::{Limits, State};
use media_store::{MediaStore, Staging, StoreConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// Stands for the id of an open upload.
const PLACEHOLDER: &[u8] = b"UPLOAD";
/// Connections after which a server is thrown away with all it remembers.
const CONNECTIONS_MAX: u32 = 2_000;
/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// A connection whose client has said everything ends within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server in memory, and the threads it runs on.
struct Ground {
    router: Router,
    connections: u32,
    upload: Option<Vec<u8>>,
    _folder: tempfile::TempDir,
}

static GROUND: Mutex<Option<(Runtime, Ground)>> = Mutex::new(None);

/// Plays `input` over one connection of a server, which may refuse it but not break: no status 500, no endless wait.
///
/// # Panics
///
/// When it does break.
pub fn play(input: &[u8]) {
    let mut ground = GROUND.lock().unwrap_or_else(PoisonError::into_inner);
    if ground.as_ref().is_some_and(|(_, ground)| ground.connections >= CONNECTIONS_MAX) {
        *ground = None;
    }
    let (runtime, ground) = ground.get_or_insert_with(|| {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = threads.expect("threads");
        let ground = runtime.block_on(Ground::new());
        (runtime, ground)
    });
    runtime.block_on(ground.play(input));
}

impl Ground {
    async fn new() -> Self {
        // In memory where there is such a place: durability is not the question here.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let below = |name: &str| folder.path().join(name);
        let catalog = Catalog::open(&format!("sqlite://{}", below("catalog.db").display())).await.expect("opens");
        catalog.migrate().await.expect("migrates");
        let config = StoreConfig {
            url: format!("file://{}", below("media").display()),
            access_key: None,
            secret_key: None,
            scratch: below("scratch"),
        };
        let state = State {
            catalog,
            store: MediaStore::open(config).await.expect("opens"),
            staging: Staging::open(below("uploads")).await.expect("opens"),
            clock: Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_795_000_000_000))),
            limits: Limits { silence_max: Duration::from_secs(5), ..Limits::default() },
            tasks: Default::default(),
            shutdown: Default::default(),
            sessions: Default::default(),
            gate: Arc::new(ingest::gate::Open),
            admission: Default::default(),
            live: Default::default(),
            metrics: Arc::default(),
            imports: Default::default(),
        };
        Self { router: ingest::router(state), connections: 0, upload: None, _folder: folder }
    }

    async fn play(&mut self, input: &[u8]) {
        let upload = match self.upload.take() {
            Some(upload) => upload,
            None => self.created().await,
        };
        let input = replaced(input, PLACEHOLDER, &upload);
        let answer = self.heard(&input).await;
        self.connections += 1;
        assert!(!has_line(&answer, b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
        // An upload that was completed, or ended, serves no more.
        let head = [b"HEAD /uploads/", upload.as_slice(), b" HTTP/1.1\r\nTus-Resumable: 1.0.0\r\n\r\n"].concat();
        let told = String::from_utf8_lossy(&self.heard(&head).await).to_ascii_lowercase();
        let is_fresh = told.starts_with("http/1.1 200") && told.contains("upload-offset: 0\r\n");
        self.upload = is_fresh.then_some(upload);
    }

    /// The id of a new upload of 40 bytes.
    async fn created(&self) -> Vec<u8> {
        let request = b"POST /uploads HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 40\r\n\r\n";
        let answer = String::from_utf8_lossy(&self.heard(request).await).into_owned();
        let location = answer.lines().find_map(|line| line.strip_prefix("location: /uploads/"));
        location.unwrap_or_else(|| panic!("no upload can be created: {answer}")).trim().as_bytes().to_vec()
    }

    /// Everything the server answers to a client that writes these bytes and no more.
    async fn heard(&self, written: &[u8]) -> Vec<u8> {
        let (client, server) = tokio::io::duplex(64 << 10);
        let service = TowerToHyperService::new(self.router.clone());
        let serving =
            hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let (reading, mut writing) = tokio::io::split(client);
        let client = async {
            let _ = writing.write_all(written).await;
            let _ = writing.shutdown().await;
        };
        let mut answer = Vec::new();
        let mut reading = reading.take(ANSWER_BYTES_MAX);
        let all = async {
            // Either side may find fault with the other: what counts is what was answered until then.
            let _ = tokio::join!(serving, client, reading.read_to_end(&mut answer));
        };
        tokio::time::timeout(PATIENCE, all).await.expect("a connection that says no more comes to its end");
        answer
    }
}

fn has_line(text: &[u8], beginning: &[u8]) -> bool {
    text.windows(beginning.len()).any(|window| window == beginning)
}

fn replaced(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    // Each turn takes at least one byte.
    while let Some(&first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(what) {
            out.extend(with);
            rest = behind;
        } else {
            out.push(first);
            rest = &rest[1..];
        }
    }
    out
}
