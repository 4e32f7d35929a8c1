//! A catalogue, a store and a worker in a temporary folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use catalog_store::{Asset, Catalog, NewAsset};
use domain::presentation::Pointer;
use domain::{AssetId, ByteSize, Clock, Generation, JobId, Plan, PlaybackId, Presentation, Recipe, Timestamp};
use media_store::{MediaStore, StoreConfig, layout};
use pipeline::{Metrics, Parts, Worker, WorkerConfig, run_asset_until_final};
use tokio_util::sync::CancellationToken;
use transcoder::{Engine, EngineConfig, EngineLimits};

/// Real time, and ids that differ.
struct TestClock(AtomicU64);

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "leases and retries run in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_unix_ms(i64::try_from(since.as_millis()).expect("fits"))
    }

    fn entropy(&self) -> [u8; 16] {
        let count = u128::from(self.0.fetch_add(1, Ordering::Relaxed));
        (count.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes()
    }
}

pub(crate) struct Rig {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) parts: Parts,
    pub(crate) config: WorkerConfig,
}

impl Rig {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        Self::with_engine(std::env::current_exe()?).await
    }

    pub(crate) async fn with_engine(program: PathBuf) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let catalog = Catalog::open(&format!("sqlite://{}", dir.path().join("catalog.db").display())).await?;
        catalog.migrate().await?;
        let store = MediaStore::open(StoreConfig {
            url: format!("file://{}", dir.path().join("media").display()),
            access_key: None,
            secret_key: None,
            scratch: dir.path().join("scratch"),
        })
        .await?;
        let engine =
            Engine::new(EngineConfig { program, args: vec!["engine".into()], limits: EngineLimits::default() });
        let clock = Arc::new(TestClock(AtomicU64::new(1)));
        let parts = Parts { catalog, store, engine, clock, metrics: Arc::new(Metrics::new()) };
        let config = WorkerConfig {
            name: "test".into(),
            lease: Duration::from_secs(20),
            grace: Duration::ZERO,
            ..WorkerConfig::default()
        };
        Ok(Self { dir, parts, config })
    }

    /// One whose worker makes outputs by this recipe.
    pub(crate) async fn with(recipe: Recipe) -> anyhow::Result<Self> {
        let mut rig = Self::new().await?;
        rig.config.recipe = recipe;
        Ok(rig)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn worker(&self) -> Worker {
        Worker::new(self.config.clone(), self.parts.clone())
    }

    /// An asset whose source is this file.
    pub(crate) async fn receive(&self, file: &Path) -> anyhow::Result<AssetId> {
        let (now, clock) = (self.now(), &self.parts.clock);
        let asset = AssetId::mint(now, clock.entropy());
        let new = NewAsset {
            asset,
            playback: PlaybackId::mint(clock.entropy()),
            file_name: file.file_name().map(|name| name.to_string_lossy().into_owned()),
            size: ByteSize(std::fs::metadata(file)?.len()),
            job: JobId::mint(now, clock.entropy()),
            now,
        };
        self.parts.store.link_source(asset, file).await?;
        self.parts.catalog.create_received_asset(&new).await?;
        Ok(asset)
    }

    /// Works until the asset is final.
    pub(crate) async fn finish(&self, asset: AssetId) -> anyhow::Result<Asset> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let worker = self.worker();
        let done = run_asset_until_final(&worker, asset, soft, hard, |_| {});
        Ok(tokio::time::timeout(Duration::from_secs(240), done).await.context("the asset never became final")??)
    }

    /// Works until `is_enough`, then drops everything at once, as a killed process would.
    pub(crate) async fn work_until(&self, asset: AssetId, is_enough: impl Fn(u32) -> bool) -> anyhow::Result<u32> {
        let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
        let (worker, stop) = (self.worker(), hard.clone());
        let mut done = 0;
        let stopped = run_asset_until_final(&worker, asset, soft, hard, |progress| {
            done = progress.renditions.iter().map(|rendition| rendition.done).sum();
            if is_enough(done) {
                stop.cancel();
            }
        })
        .await;
        anyhow::ensure!(matches!(stopped, Err(pipeline::TranscodeError::Stopped)), "it was over too soon");
        self.parts.catalog.expire_leases("test", self.now()).await?;
        Ok(done)
    }

    /// A new source from `spec`, worked on until ready.
    pub(crate) async fn ready(&self, file: &Path) -> anyhow::Result<(Asset, Plan, Presentation)> {
        let asset = self.receive(file).await?;
        let asset = self.finish(asset).await?;
        anyhow::ensure!(asset.state == domain::AssetState::Ready, "{:?} {:?}", asset.state, asset.failure);
        anyhow::ensure!(self.parts.catalog.unfinished_job_count().await? == 0);
        let plan = self.parts.catalog.plan(asset.id, Generation(1)).await?.context("no plan")?;
        let presentation = self.published(&asset).await?.context("nothing is published")?;
        Ok((asset, plan, presentation))
    }

    pub(crate) async fn published(&self, asset: &Asset) -> anyhow::Result<Option<Presentation>> {
        let Some(pointer) = self.parts.store.pointer(asset.playback).await? else { return Ok(None) };
        let pointer: Pointer = serde_json::from_slice(&pointer)?;
        let key = layout::presentation(pointer.asset, pointer.generation, pointer.revision);
        let body = self.parts.store.get(&key).await?.context("the pointer names nothing")?;
        Ok(Some(serde_json::from_slice(&body)?))
    }

    /// Hash of each committed segment.
    pub(crate) async fn ledger(&self, asset: AssetId) -> anyhow::Result<BTreeMap<(String, u32), String>> {
        self.ledger_of(asset, Generation(1)).await
    }

    pub(crate) async fn ledger_of(
        &self,
        asset: AssetId,
        generation: Generation,
    ) -> anyhow::Result<BTreeMap<(String, u32), String>> {
        let rows = self.parts.catalog.segments(asset, generation).await?;
        Ok(rows.into_iter().map(|row| ((row.rendition.to_string(), row.index), row.sha256)).collect())
    }

    /// Every file of the store, with its bytes.
    pub(crate) fn files(&self) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.dir.path().join("media")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), std::fs::read(&path)?);
                }
            }
        }
        Ok(files)
    }
}

/// Runs an async test.
pub(crate) fn run(test: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}
