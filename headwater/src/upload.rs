//! `headwater upload`: sends files to a server, and goes on where an earlier run stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use url::{Position, Url};

use crate::{cli, terminal};

mod follow;
mod import;
mod lane;
mod pace;
mod progress;
mod resume;
mod send;
mod setback;
mod source;
mod wire;

/// What the command's help shows below the flags.
pub const EXAMPLES: &str = "\
Examples:
  headwater upload holiday.mp4
  headwater upload *.mov --server https://media.example.org
  headwater upload holiday.mp4 --parallel 4    four parts at the same time, for long ways
  headwater upload holiday.mp4 --wait          until every rendition is ready
  headwater upload holiday.mp4 --wait --json | jq -r .playback.hls
  headwater upload --from-url https://files.example.org/holiday.mp4

A broken connection is tried again. A command that was stopped goes on where it was when it is
given again: nothing that the server has acknowledged is sent twice. Where the server can check
them, requests carry a checksum; what arrives damaged is sent again.

Exit codes:
  0  done
  1  a file could not be sent or (with --wait) cannot be played, or not be followed with this token
  2  wrong usage";

/// Time between two looks at what became of a file.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(400);
/// What is said where a token, such as that of a one-time link, is good for sending and for nothing else.
const HIDDEN: &str =
    "all of it was sent, and the server goes on by itself; how far it is cannot be read with this token";
/// Most parts that a file is sent in.
const PARALLEL_MAX: i64 = 16;

/// What to send, and where.
#[derive(clap::Args)]
pub struct Args {
    /// The files to send, one after the other
    #[arg(required_unless_present = "from_url", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Have the server fetch the file at this address by itself (can be repeated)
    #[arg(long, value_name = "URL")]
    from_url: Vec<Url>,
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Url,
    /// The token that the server wants of those who upload
    #[arg(long, value_name = "TOKEN", env = "HEADWATER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Send each file in so many parts at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=PARALLEL_MAX))]
    parallel: u8,
    /// Send no checksums, even if the server can check them
    #[arg(long)]
    no_checksum: bool,
    /// Follow each file until it is ready to play, with the progress of every rendition
    #[arg(long)]
    wait: bool,
    /// Print one line of JSON for each file: its asset as the server describes it, or the error
    #[arg(long)]
    json: bool,
    /// Give up after this many seconds without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    patience: u64,
    /// Folder that remembers unfinished uploads; by default ~/.local/state/headwater
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the token, which is nobody's business.
        let Self { files, from_url, server, parallel, .. } = self;
        f.debug_struct("Args")
            .field("files", files)
            .field("from_url", from_url)
            .field("server", server)
            .field("parallel", parallel)
            .finish_non_exhaustive()
    }
}

/// What is to arrive on the server.
#[derive(Clone, Debug)]
enum Item {
    /// A file of this machine.
    File(PathBuf),
    /// A file that the server fetches.
    Address(Url),
}

/// A file that arrived.
#[derive(Debug)]
struct Uploaded {
    /// Where the server describes its asset.
    asset_url: Url,
    /// The asset as the server describes it; `None` if the token is not good for looking at it.
    asset: Option<Value>,
    /// What was sent, and what it took.
    figures: Value,
}

/// Sends the files one after the other; a file that fails does not keep the next from being sent.
///
/// # Errors
/// When nothing can be sent at all; a single file's failure is told on standard error and by the exit
/// code.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let wire = wire::Wire::new(&args.server, args.token.as_deref().filter(|token| !token.is_empty()))?;
    let mut code = cli::DONE;
    let files = args.files.iter().cloned().map(Item::File);
    for item in files.chain(args.from_url.iter().cloned().map(Item::Address)) {
        match upload(&wire, &args, &item).await {
            Ok(uploaded) => {
                terminal::say(&report(&args, &item, &uploaded));
                match &uploaded.asset {
                    Some(asset) if asset["state"] == "failed" => {
                        let reason = asset["failure"]["message"].as_str().unwrap_or("the server gives no reason");
                        terminal::complain(&format!("headwater: {item}: cannot be played: {reason}"));
                        code = cli::FAILED;
                    }
                    Some(_) => {}
                    None => {
                        terminal::complain(&format!("headwater: {item}: {HIDDEN}"));
                        if args.wait {
                            code = cli::FAILED;
                        }
                    }
                }
            }
            Err(error) => {
                if args.json {
                    terminal::say(&json!({ "file": item.to_string(), "error": cli::with_causes(&error) }).to_string());
                }
                terminal::complain(&format!("headwater: {item}: {}", cli::with_causes(&error)));
                code = cli::FAILED;
            }
        }
    }
    Ok(ExitCode::from(code))
}

/// Brings one file to the server and, if wanted, follows it until it is ready.
async fn upload(wire: &wire::Wire, args: &Args, item: &Item) -> anyhow::Result<Uploaded> {
    let patience = Duration::from_secs(args.patience);
    let (asset_url, figures) = match item {
        Item::File(file) => {
            let source = source::Source::open(file)?;
            let memory = resume::Memory::of(&state_dir(args), &args.server, &source);
            let parallel = usize::from(args.parallel);
            let display = progress::Transfer::start(&source.name, source.bytes);
            let manner = send::Manner { parallel, is_checked: !args.no_checksum, patience };
            let sent = send::Send { wire, source: &source, memory: &memory, manner, display: &display }.run().await;
            display.end(sent.is_ok());
            (sent?, display.figures())
        }
        Item::Address(address) => {
            let display = progress::Transfer::start(&item.to_string(), 0);
            let fetched = import::run(wire, address, FOLLOW_INTERVAL, patience, &display).await;
            display.end(fetched.is_ok());
            (fetched?, display.figures())
        }
    };
    let asset = if args.wait {
        follow::until_final(wire, &asset_url, FOLLOW_INTERVAL, patience).await?
    } else {
        follow::look(wire, &asset_url).await.context("the file arrived, but its asset cannot be read")?
    };
    Ok(Uploaded { asset_url, asset, figures })
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => file.display().fmt(f),
            // Without user, password and what stands behind `?`: often secrets.
            Self::Address(address) => {
                let place = &address[Position::BeforeHost..Position::AfterPath];
                write!(f, "{}://{place}", address.scheme())
            }
        }
    }
}

fn state_dir(args: &Args) -> PathBuf {
    let home = || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".local/state/headwater");
    args.state_dir.clone().unwrap_or_else(home)
}

/// What is printed of a file that arrived.
fn report(args: &Args, item: &Item, uploaded: &Uploaded) -> String {
    let absolute = |name: &str| {
        let path = uploaded.asset.as_ref()?["playback"][name].as_str()?;
        args.server.join(path).ok().map(String::from)
    };
    if args.json {
        let mut asset = uploaded.asset.clone().unwrap_or_else(|| json!({}));
        asset["file"] = json!(item.to_string());
        asset["asset_url"] = json!(uploaded.asset_url);
        asset["hls_url"] = json!(absolute("hls"));
        asset["watch_url"] = json!(absolute("watch"));
        asset["transfer"] = uploaded.figures.clone();
        return asset.to_string();
    }
    let mut rows = vec![("file".to_owned(), item.to_string())];
    match &uploaded.asset {
        Some(asset) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            rows.extend([("asset".to_owned(), text(&asset["id"])), ("state".to_owned(), text(&asset["state"]))]);
        }
        None => rows.push(("state".to_owned(), "sent".to_owned())),
    }
    rows.push(("details".to_owned(), uploaded.asset_url.to_string()));
    rows.extend(["watch", "hls"].into_iter().filter_map(|name| Some((name.to_owned(), absolute(name)?))));
    terminal::table(&rows).trim_end().to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
