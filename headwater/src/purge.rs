//! The caches in front hear of it when what an address shows changes: `purge_targets` (docs/adr/0033).
//!
//! | module | what it is |
//! |---|---|
//! | `change` | from the events of the catalogue to the tags that are to be purged |
//! | `target` | a cache, or the API of one, as the settings name it; what it is asked, and what its answer means |
//! | `teller` | the task that tells each target, again and again until it has taken it, within bounds |
//!
//! `headwater purge` tells them by hand, at once.

pub(crate) mod change;
#[cfg(test)]
pub(crate) mod double;
pub(crate) mod target;
pub(crate) mod teller;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use catalog_store::Catalog;
use catalog_store::assets::PAGE_ASSETS_MAX;
use domain::Clock;

use self::change::{Manner, Purge, Tag};
use self::target::{Target, Trouble};
use crate::config::Config;
use crate::verify::Name;
use crate::{cli, terminal, wiring};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater purge plb_01kb3g5x8yq4v7n2m9d6c0e1r5     everything of one asset, by its id or playback id
  headwater purge --all                              everything of every asset
  headwater purge plb_... --gone                     and let no cache show it once more while it looks

A running server tells purge_targets of every publication, deletion and change of access by itself; this is for what
it did not know of. Caches that can are told to look whether what they have still is so (purge_soft).
Exit codes: 0 all targets have taken it, 1 one has not, or there is none, 2 wrong usage.";

/// How often a target is asked by hand.
const ATTEMPTS_MAX: u32 = 3;
/// Pause before it is asked again, unless it says how long.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest such pause: somebody sits there.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// What to purge.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Assets, by their ids or playback ids
    #[arg(value_name = "ASSET", required_unless_present = "all", conflicts_with = "all")]
    assets: Vec<Name>,
    /// Every asset
    #[arg(long)]
    all: bool,
    /// Have it removed even where it could be marked as stale
    #[arg(long)]
    gone: bool,
}

/// Tells every target of what is asked for, and prints a line for each; the exit code is 1 if one does not take it.
///
/// # Errors
/// If there are no targets, the database cannot be read, or there is no such asset.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let targets = config.purge_targets()?;
    ensure!(!targets.is_empty(), "there is nobody to tell: set purge_targets");
    let tags = tags(&args, &config).await?;
    let manner = if args.gone { Manner::Removed } else { Manner::Changed };
    let clock = wiring::clock();
    let mut is_fine = true;
    for target in &targets {
        let told = told(target, &tags, manner, &*clock).await;
        is_fine &= told.is_ok();
        terminal::say(&match told {
            Ok(()) => format!("ok    {}  {} tags", target.name, tags.len()),
            Err(trouble) => format!("fail  {}  {trouble}", target.name),
        });
    }
    Ok(ExitCode::from(if is_fine { cli::DONE } else { cli::FAILED }))
}

async fn told(target: &Target, tags: &[Tag], manner: Manner, clock: &dyn Clock) -> Result<(), Trouble> {
    for batch in tags.chunks(target.tags_max()) {
        let purge = Purge { tags: batch.to_vec(), manner };
        let mut attempts = 1;
        // Ends with success, or with the attempts.
        while let Err(trouble) = target.tell(&purge, clock).await {
            if attempts == ATTEMPTS_MAX {
                return Err(trouble);
            }
            attempts += 1;
            tokio::time::sleep(trouble.retry_after.unwrap_or(PAUSE).min(PAUSE_MAX)).await;
        }
    }
    Ok(())
}

async fn tags(args: &Args, config: &Config) -> anyhow::Result<Vec<Tag>> {
    let playbacks = args.assets.iter().map(|name| match name {
        Name::Playback(id) => Some(Tag::asset(*id)),
        Name::Asset(_) => None,
    });
    // Nothing has to be looked up, nor to exist any more.
    if let (false, Some(tags)) = (args.all, playbacks.collect()) {
        return Ok(tags);
    }
    let catalog = wiring::to_look_up(config).await?;
    let tags = looked_up(args, &catalog).await;
    catalog.close().await;
    tags
}

async fn looked_up(args: &Args, catalog: &Catalog) -> anyhow::Result<Vec<Tag>> {
    let mut tags = Vec::new();
    for name in &args.assets {
        tags.push(Tag::asset(match name {
            Name::Playback(id) => *id,
            Name::Asset(id) => catalog.asset(*id).await?.with_context(|| format!("no asset {id}"))?.playback,
        }));
    }
    if !args.all {
        return Ok(tags);
    }
    let mut after = None;
    loop {
        // Ends because every page begins behind the one before it.
        let page = catalog.assets(after, PAGE_ASSETS_MAX).await?;
        let Some(last) = page.last() else { return Ok(tags) };
        after = Some(last.id);
        tags.extend(page.iter().map(|asset| Tag::asset(asset.playback)));
    }
}
