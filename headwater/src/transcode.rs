//! `headwater transcode`: a file into a static HLS folder, without a server.
//!
//! The folder carries its own small data folder, `.headwater`, while work is under way: the same
//! database, jobs and segment ledger that a server has. That is what makes a killed run resumable,
//! and why this command has no pipeline of its own.

mod folder;
mod progress;
mod sidecars;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use catalog_store::{Asset, Catalog, NewAsset};
use domain::{AssetState, ByteSize, Clock, JobId};
use media_store::MediaStore;
use pipeline::TranscodeError;

use crate::config::Config;
use crate::lifecycle::{Lifecycle, Stop};
use crate::{cli, probe, terminal, wiring};
use folder::Folder;
use progress::Display;

/// Runs of a job that a disk may spoil before somebody at a terminal is told: about a quarter of a minute.
const OUTAGES_MAX: u32 = 5;

/// What to transcode, and where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The media file
    file: PathBuf,
    /// Folder for the result; made if missing
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Add a subtitle file (SRT, WebVTT or ASS), perhaps with its language: film.srt:de (can be repeated)
    #[arg(long = "subtitles", value_name = "FILE[:LANG]")]
    subtitles: Vec<String>,
    /// Encode every rendition, even where the source's own pictures or sound could be taken as they are
    #[arg(long)]
    no_passthrough: bool,
    /// Give every rendition the rate factor at which it looks this good: SSIM in decibels, 8 to 25; 0 for the same
    /// factor everywhere
    #[arg(long, value_name = "DB")]
    per_title: Option<u8>,
    /// Bring every sound track to this loudness (EBU R128), in LUFS, such as -16; 0 leaves it as it is
    #[arg(long, value_name = "LUFS", allow_hyphen_values = true)]
    loudness: Option<i8>,
    /// Codecs to encode in, instead of the configured ones: h264 and perhaps hevc and av1, separated by commas
    #[arg(long, value_name = "LIST")]
    codecs: Option<String>,
}

impl Args {
    /// The settings that its flags stand for.
    pub(crate) fn flags(&self) -> Vec<(String, String)> {
        let passthrough = self.no_passthrough.then(|| ("passthrough".to_owned(), "false".to_owned()));
        let codecs = self.codecs.clone().map(|codecs| ("codecs".to_owned(), codecs));
        let per_title = self.per_title.map(|db| ("per_title_db".to_owned(), db.to_string()));
        let loudness = self.loudness.map(|lufs| ("loudness_target_lufs".to_owned(), lufs.to_string()));
        passthrough.into_iter().chain(per_title).chain(loudness).chain(codecs).collect()
    }
}

/// Runs the command.
///
/// # Errors
/// If the machine fails. A source that cannot be played and a folder that is refused are reported
/// on standard error and by the exit code.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let source = args.file.canonicalize().with_context(|| format!("cannot open {}", args.file.display()))?;
    let size = ByteSize(probe::open(&source)?.metadata()?.len());
    let sidecars = sidecars::read(&args.subtitles)?;
    let config = embedded(config);
    let clock = wiring::clock();
    let folder = match Folder::open(&args.output, &source, &config.recipe(), &*clock) {
        Ok(folder) => folder,
        Err(folder::FolderError::Refused { reason }) => {
            terminal::complain(&format!("headwater: {}: {reason}", args.output.display()));
            return Ok(ExitCode::from(cli::MISUSED));
        }
        Err(error) => return Err(error.into()),
    };
    let root = folder.data_dir().root();
    let (catalog, store) = (wiring::catalog(&config, root).await?, wiring::store(&config, root).await?);
    let asset = folder.asset();
    if catalog.asset(asset).await?.is_none() {
        store.link_source(asset, &source).await.context("cannot link the source")?;
        let file_name = source.file_name().map(|name| name.to_string_lossy().into_owned());
        let (now, job) = (clock.now(), JobId::mint(clock.now(), clock.entropy()));
        let playback = folder.playback();
        catalog.create_received_asset(&NewAsset { asset, playback, file_name, size, job, now }).await?;
    }
    sidecars::add(&sidecars, asset, &catalog, &store, &*clock).await?;
    let worked = work(&config, &folder, &catalog, &store, &clock).await;
    let end = match worked {
        Ok(Some(asset)) => {
            sidecars::report(&sidecars, asset.id, &catalog).await?;
            finish(&folder, &catalog, &store, asset).await
        }
        Ok(None) => Ok(End::Stopped),
        Err(error) => Err(error),
    };
    catalog.close().await;
    match end? {
        End::Complete => {
            let master = args.output.join("master.m3u8");
            folder.complete().context("cannot remove the working files")?;
            terminal::say(&format!("{}", master.display()));
            Ok(ExitCode::from(cli::DONE))
        }
        End::Failed(reason) => {
            folder.give_up().context("cannot remove the working files")?;
            terminal::complain(&format!("headwater: {}: {reason}", args.file.display()));
            Ok(ExitCode::from(cli::FAILED))
        }
        End::Stopped => {
            terminal::complain("headwater: stopped; the same command goes on where this run ended");
            Ok(ExitCode::from(cli::FAILED))
        }
    }
}

enum End {
    Complete,
    Failed(String),
    Stopped,
}

/// Everything in the folder, whatever the settings for a server say.
fn embedded(config: Config) -> Config {
    Config {
        database_url: String::new(),
        storage_url: String::new(),
        storage_access_key: String::new(),
        storage_secret_key: String::new(),
        ..config
    }
}

/// Runs a worker until the asset is final or a signal stops it; shows progress meanwhile.
async fn work(
    config: &Config,
    folder: &Folder,
    catalog: &Catalog,
    store: &MediaStore,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Option<Asset>> {
    let worker = wiring::worker(config, folder.data_dir(), catalog, store, clock, Arc::default(), false).await?;
    let worker = worker.with_outages_max(OUTAGES_MAX);
    let lifecycle = Lifecycle::new();
    let (asset, soft, hard) = (folder.asset(), lifecycle.soft().clone(), lifecycle.hard().clone());
    let running = lifecycle.tracker().spawn(async move {
        let mut display = Display::start();
        let ended = pipeline::run_asset_until_final(&worker, asset, soft.clone(), hard, |progress| {
            display.update(progress);
        })
        .await;
        display.end();
        // Nothing is left to do: what waits for a signal need not wait any longer.
        soft.cancel();
        ended
    });
    let stop = lifecycle.run(config.shutdown_deadline()).await?;
    if stop == Stop::CutOff && !running.is_finished() {
        return Ok(None);
    }
    match running.await.context("the worker panicked")? {
        Ok(asset) => Ok(Some(asset)),
        Err(TranscodeError::Stopped) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn finish(folder: &Folder, catalog: &Catalog, store: &MediaStore, asset: Asset) -> anyhow::Result<End> {
    if asset.state == AssetState::Ready {
        folder.begin_export()?;
        pipeline::export::to_folder(catalog, store, asset.id, folder.root()).await?;
        return Ok(End::Complete);
    }
    let reason = asset.failure.map_or_else(|| "it cannot be played".to_owned(), |failure| failure.message);
    Ok(End::Failed(reason))
}
