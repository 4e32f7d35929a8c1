//! `headwater audit`: checks the log of what was done about accounts and rights. It only reads.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use catalog_store::{AuditVerdict, Catalog};

use crate::config::Config;
use crate::{cli, config, terminal};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater audit verify
  headwater audit verify --expect 3f1c...   the seal that an earlier check printed has to be in the log

Every row of the log is sealed together with the one before it. What is changed, removed or put between is found.
Whoever can write to the database can seal it all anew; keep the printed seal elsewhere to find that out too.

Exit codes: 0 the log is whole, 1 it was tampered with, 2 wrong usage.";

/// What is done with the log.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Read the whole log and check every seal
    Verify {
        /// Folder for database, objects and unfinished uploads
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// A seal that has to be in the log
        #[arg(long, value_name = "SEAL")]
        expect: Option<String>,
    },
}

impl What {
    /// The settings that flags say.
    pub fn flags(&self) -> Vec<(String, String)> {
        let Self::Verify { data_dir, .. } = self;
        data_dir.iter().map(|dir| ("data_dir".into(), dir.to_string_lossy().into_owned())).collect()
    }
}

/// Checks the log and prints what was found.
///
/// # Errors
/// If the database cannot be read.
pub async fn run(what: What, config: Config) -> anyhow::Result<ExitCode> {
    let What::Verify { expect, .. } = what;
    let url = config.database_address(&config.data_dir);
    let catalog = Catalog::open_to_read(&url).await;
    let shown = config::without_password(&url);
    let catalog = catalog.with_context(|| format!("cannot open the database at {shown}"))?;
    let verdict = catalog.audit_verify().await.context("cannot read the log")?;
    let is_there = match &expect {
        Some(seal) => catalog.has_audit_seal(seal).await.context("cannot read the log")?,
        None => true,
    };
    catalog.close().await;
    Ok(ExitCode::from(told(&verdict, expect.as_deref().filter(|_| !is_there))))
}

fn told(verdict: &AuditVerdict, missing: Option<&str>) -> u8 {
    match (&verdict.fault, missing) {
        (Some(fault), _) => {
            terminal::say(&format!("fail  row {}: {}", fault.seq, fault.problem));
            cli::FAILED
        }
        (None, Some(seal)) => {
            terminal::say(&format!("fail  no row has the seal {seal}: the log was sealed anew"));
            cli::FAILED
        }
        (None, None) => {
            let head = if verdict.head.is_empty() { "none" } else { &verdict.head };
            terminal::say(&format!("ok    {} rows, seal {head}", verdict.entries));
            cli::DONE
        }
    }
}
