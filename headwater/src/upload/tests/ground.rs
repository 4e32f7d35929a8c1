//! The real upload server on a port of this machine, with a folder for everything.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use catalog_store::Catalog;
use domain::AssetState;
use media_store::{MediaStore, Staging, StoreConfig};
use tokio::task::JoinSet;
use url::Url;

use super::super::resume::Memory;
use super::super::source::Source;
use super::{Manner, Send, Transfer, Wire, film, serve};

/// A server that takes uploads, and a folder for everything.
pub(crate) struct Ground {
    pub(crate) state: ingest::State,
    pub(super) dir: tempfile::TempDir,
    pub(crate) server: Url,
    _tasks: JoinSet<()>,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A server that is set up in another way.
    pub(super) async fn with(change: impl FnOnce(&mut ingest::State)) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = Catalog::open(&format!("sqlite://{}", dir.path().join("catalog.db").display())).await;
        let catalog = catalog.expect("opens");
        catalog.migrate().await.expect("migrates");
        let keys = catalog_store::SecretKeys::new("a key of the tests, of 32 characters and more", []);
        catalog.unlock(keys.expect("it is long enough")).await.expect("it is unlocked");
        let config = StoreConfig {
            url: format!("file://{}", dir.path().join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        };
        let mut state = ingest::State {
            catalog,
            store: MediaStore::open(config).await.expect("opens"),
            staging: Staging::open(dir.path().join("uploads")).await.expect("opens"),
            clock: Arc::new(crate::clock::SystemClock),
            limits: ingest::Limits::default(),
            tasks: Default::default(),
            shutdown: Default::default(),
            sessions: Default::default(),
            gate: Arc::new(ingest::gate::Open),
            admission: Default::default(),
            live: Default::default(),
            metrics: Default::default(),
            imports: Default::default(),
        };
        change(&mut state);
        let mut tasks = JoinSet::new();
        let router = ingest::router(state.clone()).merge(ingest::api(state.clone()));
        let server = serve(&mut tasks, router).await;
        Self { state, dir, server, _tasks: tasks }
    }

    pub(super) fn file(&self, bytes: usize) -> Source {
        film(self.dir.path(), bytes)
    }

    pub(super) async fn send(&self, server: &Url, source: &Source, manner: Manner) -> anyhow::Result<Url> {
        let (wire, display) = (Wire::new(server, None)?, Transfer::start(&source.name, source.bytes));
        let memory = self.memory(source);
        Send { wire: &wire, source, memory: &memory, manner, display: &display }.run().await
    }

    /// The memory of the file, whatever way leads to the server.
    pub(super) fn memory(&self, source: &Source) -> Memory {
        Memory::of(&self.dir.path().join("state"), &self.server, source)
    }

    /// The offset that the server has recorded for an upload that was interrupted; waits for the first.
    pub(super) async fn recorded(&self, upload: &Url) -> u64 {
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
    pub(super) async fn check_arrived(&self, source: &Source) {
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
