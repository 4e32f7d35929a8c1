//! Power is cut before and after every step of the disk: what was acknowledged is still there.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use catalog_store::Catalog;
use domain::UploadId;
use ingest::{Limits, Sessions, State, SyncPolicy};
use media_store::disk::{Disk, Step, Witness};
use media_store::{MediaStore, Staging, StoreConfig};

use crate::ground::{Ground, eventually, noise, patch, request, send, slow_body};

/// What becomes of writes that were not flushed.
#[derive(Clone, Copy, Debug)]
enum Unflushed {
    /// They never reach the disk: neither octets nor names.
    Dropped,
    /// All of them do: this is what a killed process leaves.
    Kept,
    /// Names and lengths do, octets do not: zeros stand in their place.
    Torn,
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The folders and the catalogue at the moment of a power cut, and what the client knew by then.
struct Cut {
    what: String,
    dropped: Files,
    kept: Files,
    torn: Files,
    catalog: Files,
    acknowledged: HashMap<UploadId, u64>,
}

/// A disk that keeps what a power cut would leave.
#[derive(Debug)]
struct Plug {
    root: PathBuf,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// Flushed octets, by inode.
    octets: HashMap<u64, Vec<u8>>,
    /// Flushed names, by folder.
    names: HashMap<PathBuf, BTreeMap<OsString, u64>>,
    acknowledged: HashMap<UploadId, u64>,
    syncs: usize,
    cuts: Vec<Cut>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cuts", self.cuts.len())
    }
}

impl Witness for Plug {
    fn before(&self, step: Step<'_>) -> io::Result<()> {
        self.cut(&format!("before {step:?}"));
        Ok(())
    }

    fn after(&self, step: Step<'_>) {
        let mut memory = self.memory.lock().expect("is whole");
        match step {
            Step::Sync(path) => {
                if let (Ok(meta), Ok(octets)) = (fs::metadata(path), fs::read(path)) {
                    memory.octets.insert(meta.ino(), octets);
                }
            }
            Step::SyncDir(dir) => {
                memory.names.insert(dir.to_owned(), names_in(dir));
            }
            Step::SyncAll(dir) => {
                let names = names_in(dir);
                for (name, inode) in &names {
                    memory.octets.insert(*inode, fs::read(dir.join(name)).unwrap_or_default());
                }
                memory.names.insert(dir.to_owned(), names);
            }
            // The next step may be one of the catalogue, which nobody watches.
            Step::Remove(_) => {
                drop(memory);
                return self.cut(&format!("after {step:?}"));
            }
            _ => return,
        }
        memory.syncs += 1;
        drop(memory);
        self.cut(&format!("after {step:?}"));
    }
}

fn names_in(dir: &Path) -> BTreeMap<OsString, u64> {
    let entries = fs::read_dir(dir).expect("lists").flatten();
    let files =
        entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok().filter(fs::Metadata::is_file)?)));
    files.map(|(name, meta)| (name, meta.ino())).collect()
}

impl Plug {
    fn acknowledge(&self, upload: UploadId, offset: u64) {
        self.memory.lock().expect("is whole").acknowledged.insert(upload, offset);
    }

    fn cut(&self, what: &str) {
        let mut memory = self.memory.lock().expect("is whole");
        let (mut dropped, mut kept, mut torn) = (Files::new(), Files::new(), Files::new());
        for (dir, names) in &memory.names {
            for (name, inode) in names {
                let octets = memory.octets.get(inode).cloned().unwrap_or_default();
                dropped.insert(self.relative(&dir.join(name)), octets);
            }
        }
        for dir in ["uploads", "media/sources"] {
            let dir = self.root.join(dir);
            for (name, inode) in if dir.is_dir() { names_in(&dir) } else { BTreeMap::new() } {
                let octets = fs::read(dir.join(&name)).unwrap_or_default();
                let mut zeroed = memory.octets.get(&inode).cloned().unwrap_or_default();
                zeroed.resize(octets.len(), 0);
                torn.insert(self.relative(&dir.join(&name)), zeroed);
                kept.insert(self.relative(&dir.join(name)), octets);
            }
        }
        // The log before the database: should a checkpoint fall between, the log repeats it.
        let catalog = ["catalog.db-wal", "catalog.db"].map(|name| (name.into(), fs::read(self.root.join(name))));
        let catalog = catalog.into_iter().filter_map(|(name, octets)| Some((name, octets.ok()?))).collect();
        let acknowledged = memory.acknowledged.clone();
        memory.cuts.push(Cut { what: what.to_owned(), dropped, kept, torn, catalog, acknowledged });
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.root).expect("lies below the root").to_owned()
    }
}

/// A server on such a disk.
struct Scene {
    base: Ground,
    state: State,
    plug: Arc<Plug>,
}

fn limits(sync: SyncPolicy) -> Limits {
    Limits { sync, checkpoint_bytes: 32 << 10, checkpoint_interval: Duration::from_millis(2), ..Limits::default() }
}

fn store_in(dir: &Path) -> StoreConfig {
    let url = format!("file://{}", dir.join("media").display());
    StoreConfig { url, access_key: None, secret_key: None, scratch: dir.join("scratch") }
}

impl Scene {
    async fn new(sync: SyncPolicy) -> Self {
        let base = Ground::with(limits(sync)).await;
        let root = fs::canonicalize(base.dir.path()).expect("exists");
        let plug = Arc::new(Plug { root: root.clone(), memory: Mutex::default() });
        let disk = Disk::watched(plug.clone());
        let state = State {
            store: MediaStore::open_on(disk.clone(), store_in(&root)).await.expect("opens"),
            staging: Staging::open_on(disk, root.join("uploads")).await.expect("opens"),
            ..base.state.clone()
        };
        Self { base, state, plug }
    }

    /// Sends all of `file` in pieces that break off, go on and end, and remembers every acknowledgement.
    async fn upload(&self, file: &[u8], headers: &[(&str, &str)]) -> UploadId {
        let length = file.len().to_string();
        let headers = [&[("upload-length", &*length)], headers].concat();
        let created = send(&self.state, request("POST", "/uploads", &headers, Body::empty())).await;
        assert_eq!(created.status, 201, "{}", created.body);
        let upload = created.id();
        self.plug.acknowledge(upload, 0);
        let (sender, body) = slow_body();
        let broken = send(&self.state, patch(upload, 0, body));
        let feed = async {
            let mut sent = 0;
            for piece in file[..file.len() / 2].chunks(file.len() / 6) {
                sent += piece.len() as u64;
                sender.unbounded_send(Ok(axum::body::Bytes::copy_from_slice(piece))).expect("is read");
                if self.state.limits.sync != SyncPolicy::End {
                    eventually("octets are recorded", || async { self.base.upload(upload).await.offset == sent }).await;
                }
            }
            sender.unbounded_send(Err(io::ErrorKind::ConnectionReset.into())).expect("is read");
        };
        let (broken, ()) = tokio::join!(broken, feed);
        self.plug.acknowledge(upload, broken.offset().expect("has an offset"));
        let path = format!("/uploads/{upload}");
        let at = send(&self.state, request("HEAD", &path, &[], Body::empty())).await.offset().expect("has an offset");
        self.plug.acknowledge(upload, at);
        let from = usize::try_from(at).expect("fits");
        let rest = send(&self.state, patch(upload, at, file[from..].to_vec())).await;
        assert_eq!(rest.offset(), Some(file.len() as u64), "{}", rest.body);
        self.plug.acknowledge(upload, file.len() as u64);
        upload
    }

    /// Sends all of `file` before anybody knows that it is all: with tus a request without octets tells the length,
    /// in the draft the end of the body does.
    async fn upload_unannounced(&self, file: &[u8], is_draft: bool) -> UploadId {
        let length = file.len() as u64;
        let first = if is_draft { draft("POST", "/uploads", "?0", Body::empty()) } else { deferred() };
        let upload = send(&self.state, first).await.id();
        self.plug.acknowledge(upload, 0);
        let path = format!("/uploads/{upload}");
        let (sender, body) = slow_body();
        sender.unbounded_send(Ok(axum::body::Bytes::copy_from_slice(file))).expect("is read");
        let appended = async {
            if is_draft {
                return send(&self.state, draft("PATCH", &path, "?1", body)).await;
            }
            send(&self.state, patch(upload, 0, body)).await;
            self.plug.acknowledge(upload, length);
            send(&self.state, settling(upload, length, length, Body::empty())).await
        };
        let end = async {
            eventually("octets are recorded", || async { self.base.upload(upload).await.offset == length }).await;
            drop(sender);
        };
        let (answer, ()) = tokio::join!(appended, end);
        assert_eq!(answer.offset(), Some(length), "{}", answer.body);
        self.plug.acknowledge(upload, length);
        upload
    }

    fn cuts(&self) -> Vec<Cut> {
        std::mem::take(&mut self.plug.memory.lock().expect("is whole").cuts)
    }
}

fn deferred() -> Request<Body> {
    request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty())
}

/// Tells the length with the octets from `offset` on.
fn settling(upload: UploadId, offset: u64, length: u64, body: Body) -> Request<Body> {
    let mut request = patch(upload, offset, body);
    request.headers_mut().insert("upload-length", length.into());
    request
}

/// A request of the draft that begins an upload, or appends at its beginning.
fn draft(method: &str, path: &str, completes: &str, body: Body) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("upload-draft-interop-version", "8");
    let request = request.header("upload-complete", completes).header("content-type", "application/partial-upload");
    let request = if method == "PATCH" { request.header("upload-offset", "0") } else { request };
    request.body(body).expect("valid")
}

/// The server as it starts again after `cut`.
async fn revived(scene: &Scene, cut: &Cut, unflushed: Unflushed) -> Ground {
    let dir = tempfile::tempdir().expect("a folder");
    let files = match unflushed {
        Unflushed::Dropped => &cut.dropped,
        Unflushed::Kept => &cut.kept,
        Unflushed::Torn => &cut.torn,
    };
    for (path, octets) in files.iter().chain(&cut.catalog) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("makes");
        fs::write(path, octets).expect("writes");
    }
    let catalog = Catalog::open(&format!("sqlite://{}", dir.path().join("catalog.db").display())).await;
    let state = State {
        catalog: catalog.expect("opens"),
        store: MediaStore::open(store_in(dir.path())).await.expect("opens"),
        staging: Staging::open(dir.path().join("uploads")).await.expect("opens"),
        tasks: Default::default(),
        shutdown: Default::default(),
        sessions: Sessions::default(),
        ..scene.base.state.clone()
    };
    ingest::recover(&state).await.expect("recovers");
    Ground { state, dir }
}

/// Checks that nothing acknowledged is lost, goes on with each upload and checks the end of it.
async fn check(scene: &Scene, cut: &Cut, unflushed: Unflushed, files: &[Vec<u8>]) {
    let what = format!("{unflushed:?}, {}", cut.what);
    let ground = revived(scene, cut, unflushed).await;
    let file_of = |length: u64| files.iter().find(|file| file.len() as u64 == length).expect("one of the files");
    for (upload, acknowledged) in &cut.acknowledged {
        let head = ground.head(*upload).await;
        let offset = head.offset().unwrap_or_else(|| panic!("{what}: {head:?}"));
        assert!(offset >= *acknowledged, "{what}: {acknowledged} octets were acknowledged, {offset} are left");
        let file = file_of(ground.upload(*upload).await.length.expect("is known"));
        let from = usize::try_from(offset).expect("fits");
        if offset < file.len() as u64 {
            let staged = fs::read(ground.state.staging.path(*upload)).expect("is staged");
            assert!(staged[..from] == file[..from], "{what}: the first {offset} octets are the client's");
            let rest = ground.patch(*upload, offset, file[from..].to_vec()).await;
            assert_eq!(rest.offset(), Some(file.len() as u64), "{what}: {}", rest.body);
        }
        let source = ground.source(ground.asset(*upload).await.id).await;
        assert!(source == *file, "{what}: the source is the file");
    }
    let mut probes = ground.probes().await;
    for upload in cut.acknowledged.keys() {
        let asset = ground.asset(*upload).await.id;
        let at = probes.iter().position(|probe| *probe == asset);
        probes.remove(at.unwrap_or_else(|| panic!("{what}: nothing will probe {asset}")));
    }
    // An empty upload needs no more than its creation, acknowledged or not; nothing else is there.
    for probe in probes {
        let asset = ground.state.catalog.asset(probe).await.expect("answers").expect("exists");
        assert_eq!(asset.size.map(|size| size.0), Some(0), "{what}: a job twice, or an asset of nobody");
    }
    ground.state.catalog.close().await;
}

async fn check_all(scene: &Scene, files: &[Vec<u8>], at_least: usize) {
    let cuts = scene.cuts();
    assert!(cuts.len() >= at_least, "only {} moments at which power could be cut", cuts.len());
    for cut in &cuts {
        for unflushed in [Unflushed::Dropped, Unflushed::Kept, Unflushed::Torn] {
            check(scene, cut, unflushed, files).await;
        }
    }
}

#[tokio::test]
async fn a_power_cut_at_any_step_loses_no_acknowledged_octet_and_doubles_nothing() {
    for sync in [SyncPolicy::Interval, SyncPolicy::End] {
        let (scene, file) = (Scene::new(sync).await, noise(300_000));
        scene.upload(&file, &[]).await;
        check_all(&scene, &[file], if sync == SyncPolicy::End { 15 } else { 25 }).await;
    }
}

#[tokio::test]
async fn a_power_cut_while_digests_are_verified_or_nothing_comes_at_all_is_no_different() {
    use base64::Engine as _;
    let (scene, file) = (Scene::new(SyncPolicy::Interval).await, noise(100_000));
    let mut hasher = ingest::digest::Hasher::new(ingest::digest::Algorithm::Sha256);
    hasher.update(&file);
    let digest = format!("sha-256=:{}:", base64::prelude::BASE64_STANDARD.encode(hasher.finish()));
    scene.upload(&file, &[("repr-digest", &digest)]).await;
    let empty = send(&scene.state, request("POST", "/uploads", &[("upload-length", "0")], Body::empty())).await;
    scene.plug.acknowledge(empty.id(), 0);
    check_all(&scene, &[file, Vec::new()], 20).await;
}

/// As [`check`], of an upload whose length only its client knows.
async fn check_unannounced(scene: &Scene, cut: &Cut, unflushed: Unflushed, file: &[u8]) {
    let what = format!("{unflushed:?}, {}", cut.what);
    let ground = revived(scene, cut, unflushed).await;
    for (upload, acknowledged) in &cut.acknowledged {
        let head = ground.head(*upload).await;
        let offset = head.offset().unwrap_or_else(|| panic!("{what}: {head:?}"));
        assert!(offset >= *acknowledged, "{what}: {acknowledged} octets were acknowledged, {offset} are left");
        // With this, a client would be content.
        let is_told_complete = head.header("upload-length") == head.header("upload-offset");
        if !is_told_complete {
            let from = usize::try_from(offset).expect("fits");
            let last = settling(*upload, offset, file.len() as u64, file[from..].to_vec().into());
            let last = ground.send(last).await;
            assert_eq!(last.offset(), Some(file.len() as u64), "{what}: {}", last.body);
        }
        let asset = ground.asset(*upload).await;
        assert_eq!(asset.state, domain::AssetState::Received, "{what}");
        assert!(ground.source(asset.id).await == *file, "{what}: the source is the file");
        assert_eq!(ground.probes().await, [asset.id], "{what}: one job");
    }
    ground.state.catalog.close().await;
}

#[tokio::test]
async fn a_power_cut_between_the_last_octet_and_the_length_is_no_different() {
    for is_draft in [false, true] {
        let (scene, file) = (Scene::new(SyncPolicy::Interval).await, noise(100_000));
        scene.upload_unannounced(&file, is_draft).await;
        let cuts = scene.cuts();
        assert!(cuts.len() >= 12, "only {} moments at which power could be cut", cuts.len());
        for cut in &cuts {
            for unflushed in [Unflushed::Dropped, Unflushed::Kept, Unflushed::Torn] {
                check_unannounced(&scene, cut, unflushed, &file).await;
            }
        }
    }
}

#[tokio::test]
async fn a_power_cut_under_many_uploads_at_once_is_no_different() {
    let scene = Scene::new(SyncPolicy::Interval).await;
    let files: Vec<Vec<u8>> = (0..6).map(|at| noise(40_000 + at)).collect();
    futures::future::join_all(files.iter().map(|file| scene.upload(file, &[]))).await;
    let cuts = scene.cuts();
    // Every third moment: there are several hundred.
    for cut in cuts.iter().step_by(3) {
        check(&scene, cut, Unflushed::Dropped, &files).await;
    }
}

#[tokio::test]
async fn a_power_cut_during_a_concatenation_is_no_different() {
    let (scene, whole) = (Scene::new(SyncPolicy::Interval).await, noise(150_000));
    let (first, second) = whole.split_at(60_000);
    let partial = [("upload-concat", "partial")];
    let parts = [scene.upload(first, &partial).await, scene.upload(second, &partial).await];
    scene.cuts();
    scene.plug.memory.lock().expect("is whole").acknowledged.clear();
    let concat = format!("final;/uploads/{} /uploads/{}", parts[0], parts[1]);
    let create = || request("POST", "/uploads", &[("upload-concat", &*concat)], Body::empty());
    let created = send(&scene.state, create()).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let cuts = scene.cuts();
    assert!(cuts.len() >= 8, "only {} moments at which power could be cut", cuts.len());
    for cut in &cuts {
        for unflushed in [Unflushed::Dropped, Unflushed::Kept, Unflushed::Torn] {
            let what = format!("{unflushed:?}, {}", cut.what);
            let ground = revived(&scene, cut, unflushed).await;
            // Its answer did not come: the client asks once more.
            let is_known = ground.state.catalog.upload(created.id()).await.expect("answers").is_some();
            let again = ground.send(create()).await;
            assert_eq!(again.status, 201, "{what}: {}", again.body);
            assert!(!is_known || again.id() == created.id(), "{what}: the first one was given up");
            eventually(&what, || async { ground.head(again.id()).await.offset() == Some(150_000) }).await;
            let asset = ground.asset(again.id()).await.id;
            assert!(ground.source(asset).await == whole, "{what}: the source is the parts in their order");
            assert_eq!(ground.probes().await, [asset], "{what}: one asset, one job");
            ground.state.catalog.close().await;
        }
    }
}

#[tokio::test]
async fn the_double_bites_what_is_never_flushed_is_lost() {
    let (scene, file) = (Scene::new(SyncPolicy::None).await, noise(300_000));
    scene.upload(&file, &[]).await;
    let mut lost = 0;
    for cut in scene.cuts() {
        let ground = revived(&scene, &cut, Unflushed::Dropped).await;
        for (upload, acknowledged) in &cut.acknowledged {
            let offset = ground.head(*upload).await.offset().unwrap_or(0);
            let staged = fs::read(ground.state.staging.path(*upload)).unwrap_or_default();
            let has_all = offset >= *acknowledged && staged.len() as u64 >= *acknowledged;
            lost += usize::from(!has_all && ground.upload(*upload).await.state == catalog_store::UploadState::Open);
        }
        // A killed process, on the other hand, loses nothing of it.
        check(&scene, &cut, Unflushed::Kept, std::slice::from_ref(&file)).await;
    }
    assert!(lost > 0, "without flushes, a power cut costs acknowledged octets");
}
