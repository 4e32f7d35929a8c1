use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use catalog_store::Catalog;
use domain::AssetState;
use media_store::{MediaStore, Staging, StoreConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::progress::Transfer;
use super::resume::Memory;
use super::source::Source;
use super::*;

/// A server that takes uploads, and a folder for everything.
struct Ground {
    state: ingest::State,
    dir: tempfile::TempDir,
    server: Url,
    _tasks: JoinSet<()>,
}

impl Ground {
    async fn new() -> Self {
        Self::with(ingest::Limits::default()).await
    }

    async fn with(limits: ingest::Limits) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = Catalog::open(&format!("sqlite://{}", dir.path().join("catalog.db").display())).await;
        let catalog = catalog.expect("opens");
        catalog.migrate().await.expect("migrates");
        let config = StoreConfig {
            url: format!("file://{}", dir.path().join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let state = ingest::State {
            catalog,
            store: MediaStore::open(config).await.expect("opens"),
            staging: Staging::open(dir.path().join("uploads")).await.expect("opens"),
            clock: Arc::new(crate::clock::SystemClock),
            limits,
            tasks: Default::default(),
            shutdown: Default::default(),
            sessions: Default::default(),
        };
        let mut tasks = JoinSet::new();
        let server = serve(&mut tasks, ingest::router(state.clone())).await;
        Self { state, dir, server, _tasks: tasks }
    }

    fn file(&self, bytes: usize) -> Source {
        let path = self.dir.path().join("film.mp4");
        let body: Vec<u8> = (0..bytes).map(|at| u8::try_from(at * 31 % 251).expect("fits")).collect();
        std::fs::write(&path, body).expect("writes");
        Source::open(&path).expect("opens")
    }

    async fn send(&self, server: &Url, source: &Source, patience_s: u64) -> anyhow::Result<Url> {
        let client = reqwest::Client::new();
        let display = Transfer::start(&source.name, source.bytes);
        let patience = Duration::from_secs(patience_s);
        tus::send(&client, server, source, &self.memory(source), patience, &display).await
    }

    /// The memory of the file, whatever way leads to the server.
    fn memory(&self, source: &Source) -> Memory {
        Memory::of(&self.dir.path().join("state"), &self.server, source)
    }

    /// The offset that the server has recorded for an upload that was interrupted; waits for the first.
    async fn recorded(&self, upload: &Url) -> u64 {
        let id = upload.path().rsplit('/').next().expect("a path").parse().expect("an upload id");
        for _ in 0..1000 {
            let row = self.state.catalog.upload(id).await.expect("answers").expect("is there");
            if row.offset > 0 {
                return row.offset;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nothing is recorded within ten seconds");
    }

    /// Checks that the one asset is the file.
    async fn check_arrived(&self, source: &Source) {
        let assets = self.state.catalog.assets(None, 10).await.expect("answers");
        assert_eq!(assets.len(), 1, "one file, one asset");
        assert_eq!((assets[0].state, assets[0].file_name.as_deref()), (AssetState::Received, Some("film.mp4")));
        let mut stored = Vec::new();
        let mut file = self.state.store.open_source(assets[0].id).await.expect("opens");
        file.read_to_end(&mut stored).expect("reads");
        assert!(stored == std::fs::read(&source.path).expect("reads"), "the source is the file");
        assert!(self.memory(source).recall().is_none(), "what is complete is forgotten");
    }
}

async fn serve(tasks: &mut JoinSet<()>, router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tasks.spawn(async move { axum::serve(listener, router).await.expect("serves") });
    Url::parse(&format!("http://{address}")).expect("is a url")
}

/// A way to `server` on which the first `cuts` connections break after `bytes` octets each; counts
/// the octets that went through.
async fn bad_line(tasks: &mut JoinSet<()>, server: &Url, cuts: usize, bytes: u64) -> (Url, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let line = Url::parse(&format!("http://{}", listener.local_addr().expect("has an address"))).expect("is a url");
    let target = server.socket_addrs(|| None).expect("has an address")[0];
    let (passed, cuts_left) = (Arc::new(AtomicU64::new(0)), AtomicUsize::new(cuts));
    let count = passed.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let is_cut = cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            let limit = if is_cut { bytes } else { u64::MAX };
            connections.spawn(carry(near, target, limit, count.clone()));
        }
    });
    (line, passed)
}

async fn carry(near: TcpStream, target: std::net::SocketAddr, limit: u64, count: Arc<AtomicU64>) {
    let far = TcpStream::connect(target).await.expect("connects");
    let (near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let onward = async {
        let (mut near_in, mut buffer) = (near_in.take(limit), vec![0u8; 65_536]);
        while let Ok(read @ 1..) = near_in.read(&mut buffer).await {
            count.fetch_add(read as u64, Ordering::SeqCst);
            if far_out.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    // Whichever way ends first takes the other with it.
    tokio::select! {
        () = onward => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
}

#[tokio::test]
async fn a_file_arrives_whole_and_is_forgotten() {
    let ground = Ground::new().await;
    let source = ground.file(3_000_000);
    let asset = ground.send(&ground.server, &source, 10).await.expect("sends");
    assert!(asset.path().starts_with("/api/v1/assets/ast_"), "{asset}");
    ground.check_arrived(&source).await;
}

#[tokio::test]
async fn an_empty_file_arrives() {
    let ground = Ground::new().await;
    let source = ground.file(0);
    ground.send(&ground.server, &source, 10).await.expect("sends");
    ground.check_arrived(&source).await;
}

#[tokio::test]
async fn a_line_that_breaks_again_and_again_costs_little_more_than_the_file() {
    let ground = Ground::new().await;
    let (source, mut tasks) = (ground.file(20_000_000), JoinSet::new());
    let (line, passed) = bad_line(&mut tasks, &ground.server, 6, 2_000_000).await;
    ground.send(&line, &source, 30).await.expect("sends");
    ground.check_arrived(&source).await;
    let passed = passed.load(Ordering::SeqCst);
    // Each cut may lose what lies in the buffers of both sockets. Starting over would pass 32 000 000.
    assert!((20_000_000..26_000_000).contains(&passed), "{passed} octets for a file of 20 000 000");
}

#[tokio::test]
async fn the_next_run_goes_on_where_a_stopped_one_was() {
    let ground = Ground::new().await;
    let (source, mut tasks) = (ground.file(8_000_000), JoinSet::new());
    let (line, passed) = bad_line(&mut tasks, &ground.server, 1, 5_000_000).await;
    {
        let first = ground.send(&line, &source, 30);
        let stop = async {
            while passed.load(Ordering::SeqCst) < 4_000_000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! { _ = first => panic!("the line breaks first"), () = stop => {} }
    }
    let remembered = ground.memory(&source).recall().expect("is remembered");
    assert!(remembered.upload.path().starts_with("/uploads/upl_"));
    // What lies in socket buffers when the first run stops may be lost; what is recorded is not.
    let kept = ground.recorded(&remembered.upload).await;
    let before = passed.load(Ordering::SeqCst);
    ground.send(&line, &source, 30).await.expect("sends");
    ground.check_arrived(&source).await;
    let again = passed.load(Ordering::SeqCst) - before;
    assert!(again < 8_000_000 - kept + 100_000, "{again} octets in the second run, {kept} were there");
}

#[tokio::test]
async fn an_upload_that_the_server_no_longer_knows_begins_anew() {
    let ground = Ground::new().await;
    let source = ground.file(1000);
    let unknown = ground.server.join("/uploads/upl_00000000000000000000000001").expect("is a url");
    let memory = ground.memory(&source);
    memory.remember(&resume::Remembered { upload: unknown.clone(), asset: unknown });
    ground.send(&ground.server, &source, 10).await.expect("sends");
    ground.check_arrived(&source).await;
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_server_and_not_tried_again() {
    let ground = Ground::with(ingest::Limits { size_max: 999, ..Default::default() }).await;
    let refused = ground.send(&ground.server, &ground.file(1000), 10).await.expect_err("is too large");
    assert!(refused.to_string().contains("an upload may have up to 999 octets (413)"), "{refused:#}");
}

#[tokio::test]
async fn patience_ends_when_nobody_answers() {
    let ground = Ground::new().await;
    let nobody = Url::parse("http://127.0.0.1:1").expect("is a url");
    let refused = ground.send(&nobody, &ground.file(1000), 1).await.expect_err("nobody listens");
    assert!(refused.to_string().starts_with("no progress for 1 s"), "{refused:#}");
}

#[tokio::test]
async fn a_file_that_changes_on_the_way_is_not_mixed() {
    let ground = Ground::new().await;
    let source = ground.file(1000);
    ground.file(1001);
    let refused = ground.send(&ground.server, &source, 10).await.expect_err("was changed");
    assert!(refused.to_string().contains("was changed"), "{refused:#}");
}

#[tokio::test]
async fn a_file_is_followed_until_it_is_ready() {
    let looks = Arc::new(AtomicU64::new(0));
    let describe = move || {
        let look = looks.fetch_add(1, Ordering::SeqCst);
        let state = ["received", "processing", "processing", "ready"][usize::try_from(look.min(3)).expect("fits")];
        let renditions = json!([{ "id": "240p", "kind": "video", "segments_done": look, "segments_total": 3 }]);
        async move { json!({ "id": "ast_x", "state": state, "renditions": renditions }).to_string() }
    };
    let mut tasks = JoinSet::new();
    let server = serve(&mut tasks, Router::new().route("/asset", get(describe))).await;
    let (asset, patience) = (server.join("/asset").expect("is a url"), Duration::from_secs(10));
    let seen = follow::until_final(&reqwest::Client::new(), &asset, Duration::from_millis(1), patience).await;
    assert_eq!(seen.expect("is described")["state"], "ready");
}

#[tokio::test]
async fn following_ends_when_nothing_changes() {
    let mut tasks = JoinSet::new();
    let stuck = || async { json!({ "state": "processing" }).to_string() };
    let server = serve(&mut tasks, Router::new().route("/asset", get(stuck))).await;
    let (asset, patience) = (server.join("/asset").expect("is a url"), Duration::from_millis(50));
    let seen = follow::until_final(&reqwest::Client::new(), &asset, Duration::from_millis(1), patience).await;
    assert!(seen.expect_err("is stuck").to_string().starts_with("no progress"));
}

#[test]
fn another_version_of_a_file_is_another_upload() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("film.mp4");
    std::fs::write(&path, b"one").expect("writes");
    let (server, first) = (Url::parse("http://a").expect("is a url"), Source::open(&path).expect("opens"));
    let address = Url::parse("http://a/uploads/x").expect("is a url");
    let remembered = resume::Remembered { upload: address.clone(), asset: address };
    Memory::of(dir.path(), &server, &first).remember(&remembered);
    assert_eq!(Memory::of(dir.path(), &server, &first).recall(), Some(remembered));
    let elsewhere = Url::parse("http://b").expect("is a url");
    assert_eq!(Memory::of(dir.path(), &elsewhere, &first).recall(), None);
    std::fs::write(&path, b"three").expect("writes");
    let second = Source::open(&path).expect("opens");
    assert_eq!(Memory::of(dir.path(), &server, &second).recall(), None);
}
