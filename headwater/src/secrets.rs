//! `headwater secrets`: goes on where the key to the secrets in the database is lost.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use catalog_store::Catalog;

use crate::config::{self, Config};
use crate::data_dir::DataDir;
use crate::{cli, terminal, wiring};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater secrets forget --yes
  headwater secrets forget --yes --data-dir /var/lib/headwater

Secrets in the database are sealed under secret_key, or the file secrets.key in the data folder. Where both are lost,
this gives up what nobody can open any more: second factors are asked for no longer (their owners are told), sessions
of programs end, webhooks are disabled until they are given another secret, imports that run end. Passwords, API keys
and sessions of browsers stay. The server must not be running; its next start makes another key.

Exit codes: 0 done, 1 it could not be, and nothing was changed, 2 wrong usage.";

/// What is done about secrets.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Give up all secrets that are sealed, since their key is lost
    Forget {
        /// Folder for database, objects and unfinished uploads
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// Yes, the key is lost
        #[arg(long, required = true)]
        yes: bool,
    },
}

impl What {
    /// The settings that flags say.
    pub fn flags(&self) -> Vec<(String, String)> {
        let Self::Forget { data_dir, .. } = self;
        data_dir.iter().map(|dir| ("data_dir".into(), dir.to_string_lossy().into_owned())).collect()
    }
}

/// Gives up what cannot be opened, and prints what that was.
///
/// # Errors
/// If a server is running on the data folder, or the database cannot be written.
pub async fn run(_: What, config: Config) -> anyhow::Result<ExitCode> {
    let data_dir = DataDir::open(&config.data_dir)?;
    let address = config.database_address(data_dir.root());
    let shown = config::without_password(&address);
    let catalog = Catalog::open(&address).await.with_context(|| format!("cannot open the database {shown}"))?;
    catalog.migrate().await.with_context(|| format!("cannot bring {shown} to this version's schema"))?;
    let is_sealed = catalog.has_secret_key().await.context("cannot read the database")?;
    ensure!(is_sealed, "no secret in {shown} is sealed: start the server");
    let (factors, webhooks) = catalog.forget_secrets(wiring::clock().now()).await.context("cannot write")?;
    catalog.close().await;
    terminal::say(&format!("ok    {factors} second factors given up, {webhooks} webhooks disabled"));
    Ok(ExitCode::from(cli::DONE))
}
