//! An uploader that never gives up and believes nothing: whatever a server tells it is held against what it
//! was told before and against what it sent.
//!
//! It makes one request per step, so that a test can break the line, or the server, under exactly that request.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use catalog_store::Catalog;
use domain::{AssetId, AssetState, JobSpec, UploadId};
use media_store::{MediaStore, StoreConfig};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

/// How a file is brought to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// tus.
    Tus,
    /// tus, with a checksum for each piece: a piece is taken whole or not at all.
    Checked,
    /// tus, with the length told at the end.
    Deferred,
    /// tus, with the length told by a request of its own, when every byte is there.
    Late,
    /// The IETF draft, interop version 8.
    Draft,
    /// tus, in three parts that are put together at the end.
    Parts,
}

impl Manner {
    pub(crate) const ALL: [Self; 6] = [Self::Tus, Self::Parts, Self::Draft, Self::Checked, Self::Deferred, Self::Late];
}

/// What an uploader is about to do, or does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Creates an upload, or a part.
    Creating,
    /// Asks where the upload stands.
    Asking,
    /// Appends bytes that are not the last.
    Appending,
    /// Appends the last bytes of a part.
    FinishingPart,
    /// Appends the last bytes of the file.
    Finishing,
    /// Has parts put together.
    Concatenating,
    /// Has nothing left to do.
    Done,
}

/// One upload on the server.
#[derive(Debug, Default)]
struct Resource {
    /// The bytes of the file that it takes.
    range: Range<usize>,
    path: Option<String>,
    /// Where the next byte goes; `None` after anything went wrong: then it has to be asked for.
    at: Option<usize>,
    /// The largest offset that the server ever told.
    acknowledged: usize,
    /// The end of the furthest piece that was ever sent.
    sent: usize,
    is_done: bool,
}

/// One file on its way.
pub(crate) struct Uploader {
    http: Client,
    file: Bytes,
    pub(crate) manner: Manner,
    resources: Vec<Resource>,
    /// Path of the upload that the asset comes from.
    finished: Option<String>,
    /// The final upload, between its creation and its completion.
    joined: Option<String>,
    phase: watch::Sender<Phase>,
    /// How often which answer came.
    pub(crate) answers: BTreeMap<String, u64>,
}

const DRAFT: &str = "8";
const PARTS: usize = 3;

impl Uploader {
    pub(crate) fn new(file: Bytes, manner: Manner) -> Self {
        // A connection per request: each can then be broken by itself.
        let http = Client::builder().pool_max_idle_per_host(0).http1_only().timeout(Duration::from_secs(60));
        let parts = if manner == Manner::Parts { PARTS } else { 1 };
        let edge = |index: usize| file.len() * index / parts;
        let resource = |index| Resource { range: edge(index)..edge(index + 1), ..Resource::default() };
        Self {
            http: http.build().unwrap(),
            resources: (0..parts).map(resource).collect(),
            file,
            manner,
            finished: None,
            joined: None,
            phase: watch::Sender::new(Phase::Creating),
            answers: BTreeMap::new(),
        }
    }

    /// Says what the uploader does, from now on.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The upload that became an asset, and the file it got.
    pub(crate) fn done(&self) -> (UploadId, Bytes) {
        let path = self.finished.as_ref().expect("it is done");
        (path.rsplit('/').next().unwrap().parse().unwrap(), self.file.clone())
    }

    /// What the next step does, if it sends at most `piece_max` bytes.
    pub(crate) fn next(&self, piece_max: usize) -> Phase {
        if self.finished.is_some() {
            return Phase::Done;
        }
        let Some(resource) = self.resources.iter().find(|resource| !resource.is_done) else {
            return Phase::Concatenating;
        };
        match (&resource.path, resource.at) {
            (None, _) => Phase::Creating,
            (_, None) => Phase::Asking,
            (_, Some(at)) if resource.range.len() - at > piece_max => Phase::Appending,
            (_, Some(at)) if self.manner == Manner::Late && at < resource.range.len() => Phase::Appending,
            _ if self.manner == Manner::Parts => Phase::FinishingPart,
            _ => Phase::Finishing,
        }
    }

    /// How many bytes the server is not known to have.
    pub(crate) fn left(&self) -> usize {
        let left = |resource: &Resource| resource.range.len() - resource.at.unwrap_or(resource.acknowledged);
        self.resources.iter().filter(|resource| !resource.is_done).map(left).sum()
    }

    /// Makes the next request, with at most `piece_max` bytes of the file; `None` when the line broke.
    pub(crate) async fn step(&mut self, url: &str, piece_max: usize) -> Option<()> {
        let phase = self.next(piece_max);
        self.phase.send_replace(phase);
        let index = self.resources.iter().position(|resource| !resource.is_done);
        match phase {
            Phase::Done => Some(()),
            Phase::Concatenating => self.join(url).await,
            Phase::Creating => self.create(url, index.unwrap()).await,
            Phase::Asking => self.ask(url, index.unwrap()).await,
            _ => self.append(url, index.unwrap(), piece_max).await,
        }?;
        self.phase.send_replace(self.next(piece_max));
        Some(())
    }

    /// Steps until there is nothing left to do, whatever happens to the server at `url` in between.
    pub(crate) async fn run(&mut self, url: &str, piece_max: usize) {
        while self.next(piece_max) != Phase::Done {
            if self.step(url, piece_max).await.is_none() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = self.http.request(method, url);
        match self.manner {
            Manner::Draft => request.header("upload-draft-interop-version", DRAFT),
            _ => request.header("tus-resumable", "1.0.0"),
        }
    }

    async fn send(&mut self, what: &str, request: RequestBuilder) -> Option<Response> {
        let answer = request.send().await.ok()?;
        *self.answers.entry(format!("{what} {}", answer.status().as_u16())).or_default() += 1;
        Some(answer)
    }

    async fn create(&mut self, url: &str, index: usize) -> Option<()> {
        let length = self.resources[index].range.len();
        let metadata = format!("filename {}", STANDARD.encode("clip.mp4"));
        let request = self.request(Method::POST, &format!("{url}/uploads"));
        let request = match self.manner {
            Manner::Draft => request.header("upload-complete", "?0").header("upload-length", length),
            Manner::Deferred | Manner::Late => {
                request.header("upload-defer-length", 1).header("upload-metadata", metadata)
            }
            Manner::Parts => request.header("upload-concat", "partial").header("upload-length", length),
            _ => request.header("upload-length", length).header("upload-metadata", metadata),
        };
        let answer = self.send("POST", request).await?;
        assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
        self.resources[index].path = Some(location(&answer, url));
        self.resources[index].at = Some(0);
        Some(())
    }

    async fn ask(&mut self, url: &str, index: usize) -> Option<()> {
        let path = self.resources[index].path.clone().unwrap();
        let request = self.request(Method::HEAD, &format!("{url}{path}"));
        let answer = self.send("HEAD", request).await?;
        if answer.status() == 423 {
            return Some(());
        }
        assert!(answer.status().is_success(), "{:?} {path}: {answer:?}", self.manner);
        let at = number(answer.headers(), "upload-offset").expect("HEAD tells the offset");
        let resource = &mut self.resources[index];
        resource.learn(at);
        resource.at = Some(at);
        let is_complete = answer.headers().get("upload-complete").map(|value| value == "?1");
        // As clients of tus tell it.
        let is_at_end = number(answer.headers(), "upload-length") == Some(at);
        self.ends(index, is_complete.unwrap_or(is_at_end));
        Some(())
    }

    async fn append(&mut self, url: &str, index: usize, piece_max: usize) -> Option<()> {
        let resource = &mut self.resources[index];
        // Whatever becomes of the request, the place is unknown until an answer tells it.
        let at = resource.at.take().unwrap();
        let end = resource.range.len().min(at.saturating_add(piece_max));
        let is_last = end == resource.range.len() && (self.manner != Manner::Late || at == end);
        resource.sent = resource.sent.max(end);
        let (path, range) = (resource.path.clone().unwrap(), resource.range.clone());
        let body = self.file.slice(range.start + at..range.start + end);
        let mut request = self.request(Method::PATCH, &format!("{url}{path}")).header("upload-offset", at);
        request = match self.manner {
            Manner::Draft => request
                .header("content-type", "application/partial-upload")
                .header("upload-complete", if is_last { "?1" } else { "?0" }),
            _ => request.header("content-type", "application/offset+octet-stream"),
        };
        if self.manner == Manner::Checked {
            request = request.header("upload-checksum", format!("sha256 {}", STANDARD.encode(Sha256::digest(&body))));
        }
        if matches!(self.manner, Manner::Deferred | Manner::Late) && is_last {
            request = request.header("upload-length", range.len());
        }
        let answer = self.send("PATCH", request.body(body)).await?;
        let told = number(answer.headers(), "upload-offset");
        if answer.status().is_success() {
            assert!(told.is_none_or(|told| told == end), "{at}..{end} was taken, but the offset is {told:?}");
            assert!(told.is_some() || self.manner == Manner::Draft, "no offset in {answer:?}");
            self.resources[index].learn(end);
            self.resources[index].at = Some(end);
            self.ends(index, is_last);
        } else {
            // Somebody else appends (a copy of a request of ours), or did; or the server is still storing the file.
            let status = answer.status().as_u16();
            assert!([409, 423, 503].contains(&status), "{status}: {:?}", answer.text().await);
            if let Some(told) = told {
                self.resources[index].learn(told);
            }
        }
        Some(())
    }

    async fn join(&mut self, url: &str) -> Option<()> {
        if let Some(path) = self.joined.clone() {
            let request = self.request(Method::HEAD, &format!("{url}{path}"));
            let answer = self.send("HEAD", request).await?;
            assert!(answer.status().is_success() || answer.status() == 423, "{answer:?}");
            if number(answer.headers(), "upload-offset") == Some(self.file.len()) {
                self.finished = Some(path);
            } else {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            return Some(());
        }
        let parts: Vec<&str> = self.resources.iter().map(|part| part.path.as_deref().unwrap()).collect();
        let metadata = format!("filename {}", STANDARD.encode("clip.mp4"));
        let request = self.request(Method::POST, &format!("{url}/uploads"));
        let request = request.header("upload-concat", format!("final;{}", parts.join(" ")));
        let answer = self.send("POST final", request.header("upload-metadata", metadata)).await?;
        if answer.status() != 423 {
            assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
            self.joined = Some(location(&answer, url));
        }
        Some(())
    }

    fn ends(&mut self, index: usize, is_done: bool) {
        self.resources[index].is_done = is_done;
        if is_done && self.manner != Manner::Parts {
            self.finished.clone_from(&self.resources[index].path);
        }
    }
}

impl Resource {
    fn learn(&mut self, offset: usize) {
        assert!(offset >= self.acknowledged, "the offset fell from {} to {offset}: {self:?}", self.acknowledged);
        assert!(offset <= self.sent, "the offset is {offset}, but nothing behind {} was sent: {self:?}", self.sent);
        self.acknowledged = offset;
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<usize> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The path in `Location`, which may be absolute.
fn location(answer: &Response, url: &str) -> String {
    let location = answer.headers()["location"].to_str().unwrap();
    location.strip_prefix(url).unwrap_or(location).to_owned()
}

/// Asserts that each of these uploads became one asset with one probe job and exactly these bytes, and that nothing
/// else did. No worker may have run. Call it when the server is gone.
pub(crate) async fn assert_exact(catalog: &str, store: StoreConfig, uploads: &[(UploadId, Bytes)]) {
    let catalog = Catalog::open(catalog).await.unwrap();
    let store = MediaStore::open(store).await.unwrap();
    for (id, file) in uploads {
        let upload = catalog.upload(*id).await.unwrap().unwrap();
        let asset = upload.target.expect("what became an asset has one").asset;
        let jobs: Vec<JobSpec> = catalog.jobs_of(asset).await.unwrap().into_iter().map(|job| job.spec).collect();
        assert_eq!(jobs, [JobSpec::Probe], "{upload:?}");
        assert_eq!(sha256_of(&store, asset).await, hex(&Sha256::digest(file)), "{upload:?}");
    }
    let assets = catalog.assets(None, 10_000).await.unwrap();
    let received = assets.iter().filter(|asset| asset.state == AssetState::Received);
    assert_eq!(received.count(), uploads.len(), "assets are doubled or lost");
    let counts = catalog.job_counts().await.unwrap();
    let probes: u64 = counts.iter().filter(|count| count.kind == "probe").map(|count| count.count).sum();
    assert_eq!(probes, uploads.len() as u64, "jobs are doubled or lost");
    let integrity = catalog.integrity().await.unwrap();
    assert!(integrity.is_sound(), "{integrity:?}");
    catalog.close().await;
}

async fn sha256_of(store: &MediaStore, asset: AssetId) -> String {
    let mut source = store.open_source(asset).await.unwrap();
    let hashed = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        source.read_to_end(&mut bytes).unwrap();
        hex(&Sha256::digest(&bytes))
    });
    hashed.await.unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
