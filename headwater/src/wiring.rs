//! From the configuration to the parts that the other crates offer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use catalog_store::Catalog;
use domain::plan::Limits;
use domain::{Clock, Codec};
use media_store::{MediaStore, Staging, StoreConfig};
use pipeline::{Ahead, Worker, WorkerConfig};
use transcoder::{Engine, EngineConfig, EngineLimits};

pub mod accounts;
mod demand;
mod early;
mod secrets;
pub mod tickets;

use crate::clock::SystemClock;
pub use demand::demand;

use crate::config::{self, AccessMode, Config, Role};
use crate::data_dir::{DataDir, Layout};
use crate::http::Pages;
use crate::metrics::PurgeCounts;
use crate::purge::teller::Teller;
use crate::webhook::fan::Fan;
use crate::webhook::sender::Sender;
use crate::{cli, machine, terminal};

/// The clock of this process.
pub fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// An engine whose children are this very program, within the limits for sources.
///
/// # Errors
/// If the system does not tell which program this is.
pub fn engine(limits: &Limits) -> anyhow::Result<Engine> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let limits = EngineLimits { pixels_max: limits.pixels_max, ..EngineLimits::default() };
    Ok(Engine::new(EngineConfig { program, args: vec!["engine".into()], limits }))
}

/// The object store of a data folder, as the configuration places it.
///
/// # Errors
/// If the address is not understood or the folder cannot be made.
pub async fn store(config: &Config, data_dir: &Path) -> anyhow::Result<MediaStore> {
    let store = store_config(config, data_dir, &Layout::below(data_dir).scratch);
    let shown = config::without_password(&store.url);
    MediaStore::open(store).await.with_context(|| format!("cannot open the storage at {shown}"))
}

fn store_config(config: &Config, data_dir: &Path, scratch: &Path) -> StoreConfig {
    let set = |value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    StoreConfig {
        url: config.storage_address(data_dir),
        access_key: set(&config.storage_access_key),
        secret_key: set(&config.storage_secret_key),
        scratch: scratch.to_owned(),
    }
}

/// The data folder, which must be there unless nothing of it is needed.
pub(crate) fn existing(config: &Config) -> anyhow::Result<PathBuf> {
    let folder = &config.data_dir;
    match folder.canonicalize() {
        Ok(root) => Ok(root),
        // With database and storage elsewhere, nothing of it is needed.
        Err(_) if !config.database_url.is_empty() && !config.storage_url.is_empty() => Ok(folder.clone()),
        Err(error) => {
            let told = format!("cannot read the data folder {}; name another with --data-dir", folder.display());
            Err(error).context(told)
        }
    }
}

/// Database and object store of a data folder, only to be read: without its lock, so beside the server that has it.
///
/// # Errors
/// If there is no such folder, or one of them cannot be opened or has another version's schema.
pub async fn to_read(config: &Config, scratch: &Path) -> anyhow::Result<(Catalog, MediaStore)> {
    let root = existing(config)?;
    let address = config.database_address(&root);
    let shown = config::without_password(&address);
    let catalog = Catalog::open_to_read(&address).await.with_context(|| format!("cannot read the database {shown}"))?;
    let store = store_config(config, &root, scratch);
    let shown = config::without_password(&store.url);
    let store = MediaStore::open_to_read(store).await.with_context(|| format!("cannot read the storage at {shown}"))?;
    Ok((catalog, store))
}

/// The database of a data folder, to add work to it: without the folder's lock, so beside the server that has it.
///
/// # Errors
/// If there is no such folder, or the database cannot be opened or has another version's schema.
pub async fn to_add_work(config: &Config) -> anyhow::Result<Catalog> {
    // It must be there already, and be of this version.
    to_look_up(config).await?.close().await;
    let address = config.database_address(&existing(config)?);
    let shown = config::without_password(&address);
    Catalog::open(&address).await.with_context(|| format!("cannot open the database {shown}"))
}

/// The database of a data folder, only to be read.
///
/// # Errors
/// As [`to_add_work`].
pub async fn to_look_up(config: &Config) -> anyhow::Result<Catalog> {
    let address = config.database_address(&existing(config)?);
    let shown = config::without_password(&address);
    Catalog::open_to_read(&address).await.with_context(|| format!("cannot read the database {shown}"))
}

/// The database of a data folder, as the configuration places it, brought to this version's schema, with the key to
/// its secrets.
///
/// # Errors
/// If it cannot be reached, was written by a newer version, or its secrets are sealed under another key.
pub async fn catalog(config: &Config, data_dir: &Path) -> anyhow::Result<Catalog> {
    let address = config.database_address(data_dir);
    let shown = config::without_password(&address);
    let catalog = Catalog::open(&address).await.with_context(|| format!("cannot open the database {shown}"))?;
    catalog.migrate().await.with_context(|| format!("cannot bring {shown} to this version's schema"))?;
    secrets::unlock(config, data_dir, &catalog).await?;
    Ok(catalog)
}

/// A worker over these parts; with viewers it does first what they wait for. Leases that an earlier run of the same data folder left behind end here.
///
/// # Errors
/// If the data folder or the database cannot be used.
pub async fn worker(
    config: &Config,
    data_dir: &DataDir,
    catalog: &Catalog,
    store: &MediaStore,
    clock: &Arc<dyn Clock>,
    metrics: Arc<pipeline::Metrics>,
    has_viewers: bool,
) -> anyhow::Result<Worker> {
    let name = worker_name(data_dir, &**clock)?;
    // The folder's lock is ours, so whoever held these leases is dead: their jobs need not wait.
    let expired = catalog.expire_leases(&name, clock.now()).await.context("cannot end the leases of the last run")?;
    if expired > 0 {
        tracing::info!(jobs = expired, "jobs of a killed run go on");
    }
    let engine = engine(&config.source_limits())?;
    check_encoders(config, &engine).await?;
    let ahead = if config.encodes_ahead() && has_viewers {
        let staging = Staging::open(data_dir.layout().uploads).await.context("cannot open the uploads folder")?;
        Some(Ahead { staging, seconds_max: config.encode_ahead_s.into() })
    } else {
        None
    };
    let settings = WorkerConfig {
        ahead,
        name,
        urgent_lanes: usize::try_from(config.urgent_lanes).unwrap_or(1),
        heavy_lanes: config.heavy_lane_count(),
        light_lanes: usize::try_from(config.light_lanes).unwrap_or(1),
        has_viewers,
        lease: config.lease(),
        // Jobs are given back before the deadline cuts them off, so that nobody waits for their leases.
        grace: config.shutdown_deadline() * 3 / 4,
        budget: machine::encoding_budget(config),
        retire_after: config.retire_after(),
        recipe: config.recipe(),
        limits: config.source_limits(),
        ..WorkerConfig::default()
    };
    let parts =
        pipeline::Parts { catalog: catalog.clone(), store: store.clone(), engine, clock: Arc::clone(clock), metrics };
    Ok(Worker::new(settings, parts))
}

/// Fails unless this machine can encode in every configured codec.
async fn check_encoders(config: &Config, engine: &Engine) -> anyhow::Result<()> {
    // What everybody needs, `doctor` looks after; starting a child costs time.
    if config.recipe().extra_codecs.is_empty() {
        return Ok(());
    }
    let report = engine.self_test().await.context("cannot ask the engine for its encoders")?;
    refuse_without_encoder(&config.codecs, &report.encoders)
}

fn refuse_without_encoder(codecs: &[Codec], encoders: &[(Codec, String)]) -> anyhow::Result<()> {
    match codecs.iter().find(|codec| !encoders.iter().any(|(there, _)| there == *codec)) {
        Some(codec) => anyhow::bail!(
            "codecs names {codec}, but the FFmpeg of this machine has no encoder for it; \
             take it out, or install FFmpeg's libraries with libx265 and libsvtav1"
        ),
        None => Ok(()),
    }
}

/// What tells the caches in front of changes; `None` if there are none.
///
/// # Errors
/// If the data folder cannot be used, or no client be made.
pub(crate) fn teller(
    config: &Config,
    data_dir: &DataDir,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
    counts: &Arc<PurgeCounts>,
) -> anyhow::Result<Option<Teller>> {
    let targets = config.purge_targets()?;
    if targets.is_empty() {
        return Ok(None);
    }
    let holder = worker_name(data_dir, &**clock)?;
    let (catalog, clock, counts) = (catalog.clone(), Arc::clone(clock), Arc::clone(counts));
    Ok(Some(Teller { catalog, clock, targets, holder, counts }))
}

/// What turns events into messages to webhooks, and what sends these.
///
/// # Errors
/// If the data folder cannot be used.
pub(crate) fn webhooks(
    config: &Config,
    data_dir: &DataDir,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Fan, Sender)> {
    let holder = worker_name(data_dir, &**clock)?;
    let (catalog, clock) = (catalog.clone(), Arc::clone(clock));
    // A worker apart does not see by its own address whether the API asks for accounts: it has to be told.
    let is_said = config.has(Role::Api) || config.access == AccessMode::Open;
    let is_open = is_said && !config.has_accounts();
    let fan = Fan { catalog: catalog.clone(), clock: Arc::clone(&clock), holder: holder.clone(), is_open };
    Ok((fan, Sender { catalog, clock, holder, rules: config.webhook_rules() }))
}

/// Admission by the configured rules, with the engine to look into heads of files.
///
/// # Errors
/// As [`engine`].
pub fn admission(config: &Config) -> anyhow::Result<ingest::Admission> {
    let prober = early::EngineProber::new(&engine(&config.source_limits())?);
    Ok(ingest::Admission::new(config.admission(), Some(Arc::new(prober))))
}

/// The origin over this storage, which tells `demand` what viewers wait for.
pub fn origin(
    config: &Config,
    store: MediaStore,
    demand: origin::DemandHook,
    gate: origin::access::Gate,
) -> origin::Origin {
    let (cache_bytes, steering) = (config.origin_cache_bytes, config.steering().ok().flatten());
    let config = origin::OriginConfig { cache_bytes, steering, ..origin::OriginConfig::default() };
    origin::Origin::behind(config, store, demand, gate)
}

/// The web pages, whose players may go where they are steered to.
pub fn pages(config: &Config) -> Pages {
    let steering = config.steering().ok().flatten();
    Pages::new(steering.iter().flat_map(origin::Steering::hosts))
}

/// The name of the worker that works from this data folder: made once, so that a server that was
/// killed finds its own leases again.
///
/// # Errors
/// If the folder cannot be read or written.
pub fn worker_name(data_dir: &DataDir, clock: &dyn Clock) -> anyhow::Result<String> {
    let file = data_dir.root().join("worker");
    if let Some(name) =
        fs::read_to_string(&file).ok().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
    {
        return Ok(name);
    }
    let name = format!("worker-{:032x}", u128::from_be_bytes(clock.entropy()));
    // By rename: a server killed here leaves no name or a whole one.
    let half = file.with_extension("new");
    fs::write(&half, &name).and_then(|()| fs::rename(&half, &file)).context("cannot name the worker")?;
    Ok(name)
}

/// `headwater migrate`: brings the database to this version's schema and ends.
///
/// # Errors
/// As [`catalog`]; or if a server is using the data folder.
pub async fn migrate(config: Config) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::open(&config.data_dir)?;
    let catalog = catalog(&config, data_dir.root()).await?;
    catalog.close().await;
    let shown = config::without_password(&config.database_address(data_dir.root()));
    terminal::say(&format!("{shown} has this version's schema"));
    Ok(ExitCode::from(cli::DONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_codec_without_an_encoder_is_an_error_that_names_it() {
        let x264 = [(Codec::H264, "libx264".to_owned())];
        assert!(refuse_without_encoder(&[Codec::H264], &x264).is_ok());
        let refused = refuse_without_encoder(&[Codec::H264, Codec::Av1], &x264).expect_err("there is none");
        assert!(refused.to_string().starts_with("codecs names av1, but"), "{refused}");
    }
}
