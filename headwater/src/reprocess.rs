//! `headwater reprocess`: has assets that are ready made anew under the recipe that the settings give.
//!
//! It only adds jobs to the database: the workers of the servers that share it do the work, and the old output is
//! played until the new one is complete.

use std::process::ExitCode;

use anyhow::Context;
use catalog_store::assets::PAGE_ASSETS_MAX;
use catalog_store::{Asset, Catalog, CatalogError, Reprocess, ReprocessJobs};
use domain::{AssetState, Clock, JobId, Recipe};
use media_store::MediaStore;

use crate::config::Config;
use crate::verify::Name;
use crate::{cli, terminal, wiring};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater reprocess ast_01kb3g5x8yq4v7n2m9d6c0e1r5   one asset, by its id or playback id
  headwater reprocess --all --older-than-recipe        every asset that other settings would make otherwise
  headwater reprocess --all --data-dir /var/lib/headwater

The new output is made by the workers that share the database, behind the work on new uploads, while the old one is
played. It takes the old one's place in one step, once it is complete and verified; the old one is kept for players
for retire_after_s seconds. If it fails, the old one stays, and the API tells why. An asset of which an output is
being made already is left alone.
The recipe is that of the workers' settings; --older-than-recipe compares with the settings of this command.

Exit codes: 0 all that was asked for is under way, 1 something cannot be made anew, 2 wrong usage.";

/// What to make anew.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Assets, by their ids or playback ids
    #[arg(value_name = "ASSET", required_unless_present = "all", conflicts_with = "all")]
    assets: Vec<Name>,
    /// Every asset that is ready
    #[arg(long)]
    all: bool,
    /// Leave those alone that were made under the recipe of these settings
    #[arg(long)]
    older_than_recipe: bool,
}

/// What became of one asset.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Begun(Reprocess),
    /// It was made under this very recipe.
    UpToDate,
    /// Why it cannot be made anew.
    Refused(String),
}

/// Enqueues the work and prints a line for each asset; the exit code is 1 if one cannot be made anew.
///
/// # Errors
/// If data folder, catalogue or storage cannot be read, or there is no such asset.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let scratch = tempfile::tempdir().context("cannot make a folder for temporary files")?;
    // What is there is looked at without being changed; only the wish itself is written.
    let (reader, store) = wiring::to_read(&config, scratch.path()).await?;
    reader.close().await;
    let catalog = wiring::to_add_work(&config).await?;
    let work = Work { catalog, store, recipe: config.recipe(), clock: wiring::clock() };
    let done = work.all(&args).await;
    work.catalog.close().await;
    Ok(ExitCode::from(if done? { cli::DONE } else { cli::FAILED }))
}

struct Work {
    catalog: Catalog,
    store: MediaStore,
    recipe: Recipe,
    clock: std::sync::Arc<dyn Clock>,
}

impl Work {
    /// True if nothing was refused.
    async fn all(&self, args: &Args) -> anyhow::Result<bool> {
        let mut is_fine = true;
        for name in &args.assets {
            let asset = match name {
                Name::Asset(id) => self.catalog.asset(*id).await?.with_context(|| format!("no asset {id}"))?,
                Name::Playback(id) => {
                    let found = self.catalog.asset_by_playback(*id).await?;
                    found.with_context(|| format!("no asset has the playback id {id}"))?
                }
            };
            is_fine &= self.one(args, &asset).await?;
        }
        if !args.all {
            return Ok(is_fine);
        }
        let mut after = None;
        loop {
            // Ends because every page begins behind the one before it.
            let page = self.catalog.assets(after, PAGE_ASSETS_MAX).await?;
            let Some(last) = page.last() else { return Ok(is_fine) };
            after = Some(last.id);
            for asset in page.iter().filter(|asset| asset.state == AssetState::Ready) {
                is_fine &= self.one(args, asset).await?;
            }
        }
    }

    async fn one(&self, args: &Args, asset: &Asset) -> anyhow::Result<bool> {
        let verdict = self.verdict(args, asset).await?;
        terminal::say(&match &verdict {
            Verdict::Begun(Reprocess::Begun(generation)) => {
                format!("new   {}  generation {generation} will be made", asset.id)
            }
            Verdict::Begun(Reprocess::UnderWay(generation)) => {
                format!("busy  {}  generation {generation} is being made", asset.id)
            }
            Verdict::UpToDate => format!("same  {}  was made under this recipe", asset.id),
            Verdict::Refused(reason) => format!("fail  {}  {reason}", asset.id),
        });
        Ok(!matches!(verdict, Verdict::Refused(_)))
    }

    async fn verdict(&self, args: &Args, asset: &Asset) -> anyhow::Result<Verdict> {
        if args.older_than_recipe
            && let Some(generation) = asset.generation
            && let Some(plan) = self.catalog.plan(asset.id, generation).await?
            && !plan.recipe.is_outdated_by(&self.recipe)
        {
            return Ok(Verdict::UpToDate);
        }
        if asset.state == AssetState::Ready && self.store.source_size(asset.source()).await?.is_none() {
            return Ok(Verdict::Refused("its source is not stored any more".into()));
        }
        let now = self.clock.now();
        let mint = || JobId::mint(now, self.clock.entropy());
        let jobs = ReprocessJobs { plan: mint(), retire: mint() };
        match self.catalog.reprocess(asset.id, asset.generation, jobs, now).await {
            Ok(begun) => Ok(Verdict::Begun(begun)),
            Err(CatalogError::NotReady { state, .. }) => Ok(Verdict::Refused(format!("it is {state}, not ready"))),
            // Somebody was faster.
            Err(CatalogError::Replaced { .. }) => Ok(Verdict::UpToDate),
            Err(error @ (CatalogError::NoAsset(_) | CatalogError::TooManyGenerations(_))) => {
                Ok(Verdict::Refused(error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }
}
