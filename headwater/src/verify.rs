//! `headwater verify`: reads everything again that is stored, and says what is wrong with it.
//!
//! Nothing is locked and nothing is changed, so a server may work on the same data meanwhile.

mod progress;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use catalog_store::assets::PAGE_ASSETS_MAX;
use domain::{AssetId, ByteSize, PlaybackId};
use pipeline::Parts;
use pipeline::audit::{self, AuditError, Finding, Options, Report};

use crate::config::Config;
use crate::{cli, terminal, wiring};
use progress::Display;

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater verify ast_01kb3g5x8yq4v7n2m9d6c0e1r5      one asset, by its id or playback id
  headwater verify --all --data-dir /var/lib/headwater every asset
  headwater verify --all --reencode 3                  and encode three segments of each again
  headwater verify --all --json | jq -r '.findings[] | [.fault, .place] | @tsv'

Every object is read and compared with the hash that was recorded of it, every segment is taken apart, and
pointer, presentation, ledger and plan are compared with one another. What is found is told with what to do
about it. Nothing is changed, nothing is locked: the server may go on working on the same data.
--reencode proves that the source still gives the same segments; it takes as long as encoding them.

Exit codes: 0 all is as it was stored, 1 something is not or cannot be read, 2 wrong usage.";

/// What to look at.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Assets, by their ids or playback ids
    #[arg(value_name = "ASSET", required_unless_present = "all", conflicts_with = "all")]
    assets: Vec<Name>,
    /// Every asset
    #[arg(long)]
    all: bool,
    /// Encode N segments of each asset again, chosen at random, and compare their hashes
    #[arg(long, value_name = "N", default_value_t = 0)]
    reencode: usize,
    /// Print one JSON document for each asset, one on a line
    #[arg(long)]
    json: bool,
}

/// An asset as people name it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name {
    /// By its id.
    Asset(AssetId),
    /// By the name under which it is served.
    Playback(PlaybackId),
}

impl FromStr for Name {
    type Err = domain::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with(PlaybackId::PREFIX) {
            text.parse().map(Self::Playback)
        } else {
            text.parse().map(Self::Asset)
        }
    }
}

/// What was found of all assets together.
#[derive(Default)]
struct Tally {
    assets: u64,
    objects: u64,
    bytes: u64,
    unsound: u64,
}

/// Looks at the assets and prints what was found; the exit code is 1 if that is anything.
///
/// # Errors
/// If data folder, catalogue or storage cannot be read, or there is no such asset.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    // What a bucket's sources are fetched into; gone with this process.
    let scratch = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    let (catalog, store) = wiring::to_read(&config, scratch.path()).await?;
    let engine = wiring::engine(&config.source_limits())?;
    let parts = Parts { catalog, store, engine, clock: wiring::clock(), metrics: std::sync::Arc::default() };
    let looked = look(&args, &parts).await;
    parts.catalog.close().await;
    let tally = looked?;
    if !args.json && tally.assets != 1 {
        let Tally { assets, objects, bytes, unsound } = tally;
        terminal::say(&format!(
            "{assets} assets, {objects} objects, {} read: {unsound} with findings",
            ByteSize(bytes)
        ));
    }
    Ok(ExitCode::from(if tally.unsound > 0 { cli::FAILED } else { cli::DONE }))
}

async fn look(args: &Args, parts: &Parts) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    for name in &args.assets {
        let asset = match name {
            Name::Asset(asset) => *asset,
            Name::Playback(playback) => {
                let found = parts.catalog.asset_by_playback(*playback).await?;
                found.with_context(|| format!("no asset has the playback id {playback}"))?.id
            }
        };
        one(args, parts, asset, &mut tally).await?;
    }
    if !args.all {
        return Ok(tally);
    }
    let mut after = None;
    loop {
        // Ends because every page begins behind the one before it.
        let page = parts.catalog.assets(after, PAGE_ASSETS_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for asset in page {
            match one(args, parts, asset.id, &mut tally).await {
                // Deleted and forgotten meanwhile.
                Err(AuditError::NoAsset(_)) => {}
                looked => looked?,
            }
        }
    }
    Ok(tally)
}

async fn one(args: &Args, parts: &Parts, asset: AssetId, tally: &mut Tally) -> Result<(), AuditError> {
    let mut display = Display::start(asset);
    let report = audit::audit(parts, asset, Options { reencode: args.reencode }, |now| display.update(now)).await;
    display.end();
    let report = report?;
    tally.assets += 1;
    tally.objects += report.objects;
    tally.bytes += report.bytes;
    tally.unsound += u64::from(!report.is_sound());
    if args.json {
        // A report of numbers and text always has a JSON form.
        terminal::say(&serde_json::to_string(&report).unwrap_or_default());
    } else {
        terminal::say(&human(&report));
    }
    Ok(())
}

/// A line for the asset, and three for each finding.
fn human(report: &Report) -> String {
    let Report { asset, state, objects, reencoded, .. } = report;
    let verdict = if report.is_sound() { "ok" } else { "fail" };
    let mut text = format!("{verdict:<5} {asset}  {state}, {objects} objects, {}", ByteSize(report.bytes));
    if *reencoded > 0 {
        text += &format!(", {reencoded} encoded again");
    }
    if let Some(title) = &report.title {
        text += &format!("  {}", printable(title));
    }
    for Finding { place, problem, advice, .. } in &report.findings {
        text += &format!("\n      {}\n        {}\n        {advice}", printable(place), printable(problem));
    }
    if report.findings_left_out > 0 {
        text += &format!("\n      and {} more", report.findings_left_out);
    }
    text
}

/// Names come from uploaders: they may not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_named_by_either_of_its_ids() {
        let (asset, playback) = (AssetId::from_u128(1), PlaybackId::from_u128(2));
        assert!(matches!(asset.to_string().parse(), Ok(Name::Asset(found)) if found == asset));
        assert!(matches!(playback.to_string().parse(), Ok(Name::Playback(found)) if found == playback));
        assert!("holiday".parse::<Name>().is_err());
    }

    #[test]
    fn a_title_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
