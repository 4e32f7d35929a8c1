//! `headwater renumber`: what `headwater restore` does by itself, for databases that other programs put back.

use std::process::ExitCode;

use anyhow::Context;
use catalog_store::{Catalog, Renumbered};
use domain::JobId;

use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::{cli, terminal, wiring};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater renumber --config /etc/headwater.toml
  headwater renumber --set database_url=postgres://hw@db/hw --data-dir /var/lib/headwater

Once after every pg_restore, with all servers stopped: a copy of the database does not know what was numbered and
published after it was made, but the storage and the caches in front do. From here on numbers are given that were never
used, outputs that were being made beside one in force are begun anew, and everything that plays is published again as
the database says it is, soon after the first server starts. All of it is done, or nothing. Done without need, it costs
that work and nothing else. The SQLite database that `headwater restore` puts back has had this done.

Exit codes: 0 done, 1 it could not be, and nothing was changed, 2 wrong usage.";

/// Gives the database numbers that were never used, and prints what was done.
///
/// # Errors
/// If a server is running on the data folder, the database cannot be written, or the clock is wrong.
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::open(&config.data_dir)?;
    let address = config.database_address(data_dir.root());
    let shown = config::without_password(&address);
    let done = database(&address).await.with_context(|| format!("cannot number {shown} anew"))?;
    terminal::say(&told(done));
    Ok(ExitCode::from(cli::DONE))
}

/// Brings the database at an address to this version's schema, and gives it numbers that were never used.
pub(crate) async fn database(address: &str) -> anyhow::Result<Renumbered> {
    let catalog = Catalog::open(address).await?;
    let done = renumbered(&catalog).await;
    catalog.close().await;
    done
}

async fn renumbered(catalog: &Catalog) -> anyhow::Result<Renumbered> {
    catalog.migrate().await?;
    let clock = wiring::clock();
    let now = clock.now();
    Ok(catalog.renumber(|| JobId::mint(now, clock.entropy()), now).await?)
}

/// What was done, as a line.
pub(crate) fn told(done: Renumbered) -> String {
    let Renumbered { published, begun } = done;
    format!("ok    numbered anew: {published} assets will be published again, {begun} outputs are begun anew")
}
