//! `headwater doctor`: is this machine fit, or a public address, and if not, what to do.

mod cdn;
mod checks;
mod engine;
mod public;

use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use url::Url;

use crate::config::Config;
use crate::{cli, terminal};

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater doctor                                    this machine
  headwater doctor --url https://media.example.org    what a proxy does to uploads
  headwater doctor --url https://media.example.org --json | jq -r .verdict
  headwater doctor --cdn https://media.example.org/v/plb_.../master.m3u8   what a CDN makes of playback

With --url a small upload is created through that address, cut off midway, gone on with and
deleted; nothing is made of it. Run it from where the uploads come from.

Exit codes: 0 fit, perhaps with warnings, 1 a check failed, 2 wrong usage.";

/// What to look at.
#[derive(clap::Args)]
pub struct Args {
    /// Check uploads through this public address instead of this machine
    #[arg(long, value_name = "URL")]
    url: Option<Url>,
    /// Check what players and CDNs need, beginning at this address of a multivariant playlist
    #[arg(long, value_name = "URL", conflicts_with = "url")]
    cdn: Option<Url>,
    /// The token that the server behind --url wants of those who upload
    #[arg(long, value_name = "TOKEN", env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print one JSON document instead of lines
    #[arg(long)]
    json: bool,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token, which is nobody's business.
        f.debug_struct("Args")
            .field("url", &self.url)
            .field("cdn", &self.cdn)
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

impl Args {
    /// True if this machine and its settings are looked at.
    pub fn is_local(&self) -> bool {
        self.url.is_none() && self.cdn.is_none()
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    /// The server would not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found, and what to do about it unless it is well.
    pub text: String,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, text: text.into() }
    }

    fn warn(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warn, text: text.into() }
    }

    fn fail(name: &'static str, text: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Fail, text: text.into() }
    }

    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        format!("{verdict:<5} {:<10} {}", self.name, self.text)
    }
}

/// Checks this machine and prints what was found; the exit code is 1 if a check failed.
///
/// # Errors
/// Never by itself: what goes wrong is a finding.
pub async fn run(args: Args, config: Config) -> anyhow::Result<ExitCode> {
    let findings = checks::all(&config).await;
    Ok(told(&args, &findings))
}

/// The same for a public address.
///
/// # Errors
/// If the token cannot be one.
pub async fn run_public(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(master) = &args.cdn {
        return Ok(told(&args, &cdn::all(master).await?));
    }
    let Some(url) = &args.url else { return Ok(ExitCode::from(cli::MISUSED)) };
    let token = args.token.as_deref().filter(|token| !token.is_empty());
    let findings = public::all(url, token, public::Tempo::default()).await?;
    Ok(told(&args, &findings))
}

fn told(args: &Args, findings: &[Finding]) -> ExitCode {
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    if args.json {
        let url = args.url.as_ref().or(args.cdn.as_ref()).map(Url::as_str);
        terminal::say(&json!({ "url": url, "verdict": worst, "findings": findings }).to_string());
    } else {
        findings.iter().for_each(|finding| terminal::say(&finding.line()));
    }
    ExitCode::from(if worst == Verdict::Fail { cli::FAILED } else { cli::DONE })
}
