//! `headwater doctor`: is this machine fit, and if not, what to do.

mod checks;

use std::process::ExitCode;

use crate::config::Config;
use crate::{cli, terminal};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but not as well or as safely as it could.
    Warn,
    /// The server would not work.
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        format!("{verdict:<5} {:<9} {}", self.name, self.text)
    }
}

/// Runs every check and prints a line for each; the exit code is 1 if one of them failed.
///
/// # Errors
/// Never by itself: what goes wrong is a finding.
pub async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let findings = checks::all(&config).await;
    for finding in &findings {
        terminal::say(&finding.line());
    }
    let is_unfit = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(ExitCode::from(if is_unfit { cli::FAILED } else { cli::DONE }))
}
