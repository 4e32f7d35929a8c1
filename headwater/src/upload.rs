//! `headwater upload`: sends files to a server, and goes on where an earlier run stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use url::Url;

use crate::{cli, terminal};

mod follow;
mod progress;
mod resume;
mod source;
mod tus;

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater upload holiday.mp4
  headwater upload *.mov --server https://media.example.org
  headwater upload holiday.mp4 --wait                 until every rendition is ready
  headwater upload holiday.mp4 --wait --json | jq -r .playback.hls

A broken connection is tried again. A command that was stopped goes on where it was when it is given again:
nothing that the server has acknowledged is sent twice.

Exit codes: 0 done, 1 a file could not be sent or (with --wait) cannot be played, 2 wrong usage.";

/// Time between two looks at what became of a file.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(400);

/// What to send, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The files to send, one after the other
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Url,
    /// Follow each file until it is ready to play, with the progress of every rendition
    #[arg(long)]
    wait: bool,
    /// Print one line of JSON for each file: its asset as the server describes it
    #[arg(long)]
    json: bool,
    /// Give up after this many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Folder that remembers unfinished uploads; by default ~/.local/state/headwater
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

/// A file that arrived.
#[derive(Debug)]
pub struct Uploaded {
    /// The file.
    pub file: PathBuf,
    /// Where the server describes its asset.
    pub asset_url: Url,
    /// The asset as the server describes it.
    pub asset: Value,
}

/// Sends the files one after the other; a file that fails does not keep the next from being sent.
///
/// # Errors
/// When nothing can be sent at all; a single file's failure is told on standard error and by the exit
/// code.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).build()?;
    let mut code = cli::DONE;
    for file in &args.files {
        match upload(&client, &args, file.clone()).await {
            Ok(uploaded) => {
                terminal::say(&report(&args, &uploaded));
                if uploaded.asset["state"] == "failed" {
                    let reason = uploaded.asset["failure"]["message"].as_str().unwrap_or("the server gives no reason");
                    terminal::complain(&format!("headwater: {}: cannot be played: {reason}", file.display()));
                    code = cli::FAILED;
                }
            }
            Err(error) => {
                terminal::complain(&format!("headwater: {}: {error:#}", file.display()));
                code = cli::FAILED;
            }
        }
    }
    Ok(ExitCode::from(code))
}

/// Sends one file and, if wanted, follows it until it is ready.
async fn upload(client: &reqwest::Client, args: &Args, file: PathBuf) -> anyhow::Result<Uploaded> {
    let source = source::Source::open(&file)?;
    let patience = Duration::from_secs(args.patience);
    let memory = resume::Memory::of(&state_dir(args), &args.server, &source);
    let bar = progress::Transfer::start(&source.name, source.bytes);
    let sent = tus::send(client, &args.server, &source, &memory, patience, &bar).await;
    bar.end(sent.is_ok());
    let asset_url = sent?;
    let asset = if args.wait {
        follow::until_final(client, &asset_url, FOLLOW_INTERVAL, patience).await?
    } else {
        follow::look(client, &asset_url).await.context("the file arrived, but its asset cannot be read")?
    };
    Ok(Uploaded { file, asset_url, asset })
}

fn state_dir(args: &Args) -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".local/state/headwater");
    args.state_dir.clone().unwrap_or_else(home)
}

/// What is printed of a file that arrived.
fn report(args: &Args, uploaded: &Uploaded) -> String {
    let absolute = |name: &str| {
        let path = uploaded.asset["playback"][name].as_str()?;
        args.server.join(path).ok().map(String::from)
    };
    if args.json {
        let mut asset = uploaded.asset.clone();
        asset["file"] = json!(uploaded.file);
        asset["asset_url"] = json!(uploaded.asset_url);
        asset["hls_url"] = json!(absolute("hls"));
        asset["watch_url"] = json!(absolute("watch"));
        return asset.to_string();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = vec![
        ("file".to_owned(), uploaded.file.display().to_string()),
        ("asset".to_owned(), text(&uploaded.asset["id"])),
        ("state".to_owned(), text(&uploaded.asset["state"])),
        ("details".to_owned(), uploaded.asset_url.to_string()),
    ];
    rows.extend(["watch", "hls"].into_iter().filter_map(|name| Some((name.to_owned(), absolute(name)?))));
    terminal::table(&rows).trim_end().to_owned()
}

#[cfg(test)]
mod tests;
