//! How the catalogue's API answers under load: 100,000 assets, 50,000 accounts, readers and writers at a fixed rate.
//!
//! ```text
//! cargo bench -p benches --bench load -- [--headwater PROGRAM] [--assets 100000] [--users 50000]
//!     [--rates 500,2000] [--seconds 30] [--warm 0] [--url postgres://...] [--keep FILE]
//! ```
//! Server and client share the machine. Requests come when they are due, whether or not earlier ones are answered, and
//! a time counts from when a request was due: a server that stalls is not asked less. Nine of ten only read. Without
//! `--url` the database is a SQLite file; `--keep` names one that is seeded once and used again. What is measured
//! is a server that has just started; with `--warm` one that was asked for so many seconds before, at the lowest of the
//! rates and at [`WARM_RATE`] at most.

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the program it measures")]

mod client;
mod mix;
mod seed;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benches::options::{self, Options};
use benches::server::Server;
use benches::words::Dice;
use catalog_store::Catalog;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::mix::{Kind, Viewer};

/// What 95 of 100 answers should take at most, at the first rate.
const AIM: Duration = Duration::from_millis(20);
/// Accounts that are logged in.
const VIEWERS: usize = 200;
/// Seals the secrets of a database, so that one that is kept can be used again.
const SECRET_KEY: &str = "the key of a bench, for all its servers";
/// Requests per second before it is measured, at most.
const WARM_RATE: u32 = 300;
/// Requests that wait for their answer at most; more are errors.
const WAITING_MAX: usize = 4000;

/// What came of one kind of request.
#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    faults: BTreeMap<String, usize>,
}

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let known = ["headwater", "assets", "users", "rates", "seconds", "warm", "url", "keep"];
    let options = Options::read(std::env::args().skip(1), &known)?;
    let number = |name: &str, usual: usize| options.named(name).map_or(Ok(usual), str::parse).context("a number");
    let (assets, users) = (number("assets", 100_000)?.max(1000), number("users", 50_000)?.max(1000));
    let seconds = number("seconds", 30)?.clamp(1, 600);
    let warm = number("warm", 0)?.min(600);
    let rates = options.named("rates").unwrap_or("500,2000").split(',').map(|rate| rate.trim().parse::<u32>());
    let rates = rates.collect::<Result<Vec<_>, _>>().context("rates are numbers with commas between")?;
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    ensure!(headwater.is_file(), "no {}: build it by `cargo build --release -p headwater`", headwater.display());
    let folder = tempfile::tempdir_in(options::path("target")).context("cannot make a scratch folder")?;
    let file = options.named("keep").map_or(folder.path().join("catalog.db"), options::path);
    let url = options.named("url").map_or(format!("sqlite://{}", file.display()), str::to_owned);

    let catalog = Catalog::open(&url).await?;
    catalog.migrate().await?;
    seed::seed(&catalog, assets, users).await?;
    catalog.close().await;

    let server = start(&headwater, folder.path(), &url)?;
    let client = Client::new(&server.address);
    let mut dice = Dice::new(99);
    let mut viewers = Vec::new();
    for index in 0..VIEWERS {
        viewers.push(Arc::new(Viewer::log_in(&client, index, assets, &mut dice).await?));
    }
    let warm_rate = rates.iter().min().copied().unwrap_or(WARM_RATE).min(WARM_RATE);
    if warm > 0 {
        at_rate(&client, &viewers, warm_rate, warm, assets, &mut dice).await;
        println!("asked for {warm} s at {warm_rate} requests/s first, which is not counted");
    }
    for rate in rates {
        let cpu_s = server.cpu_s()?;
        let tallies = at_rate(&client, &viewers, rate, seconds, assets, &mut dice).await;
        report(&tallies, rate, seconds, server.cpu_s()? - cpu_s, server.resident_bytes()?);
    }
    Ok(())
}

fn start(headwater: &Path, folder: &Path, url: &str) -> anyhow::Result<Server> {
    let mut command = Command::new(headwater);
    command.args(["serve", "--roles", "api", "--access", "accounts", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(folder.join("data")).env("HEADWATER_DATABASE_URL", url).env("HEADWATER_SECRET_KEY", SECRET_KEY);
    Server::start(&mut command, &folder.join("server.log"))
}

/// Sends what is due when it is due, and waits for the answers.
async fn at_rate(
    client: &Client,
    viewers: &[Arc<Viewer>],
    rate: u32,
    seconds: usize,
    assets: usize,
    dice: &mut Dice,
) -> BTreeMap<Kind, Tally> {
    let tallies: Arc<Mutex<BTreeMap<Kind, Tally>>> = Arc::default();
    let mut waiting = JoinSet::new();
    let begun = Instant::now();
    let total = rate.saturating_mul(u32::try_from(seconds).unwrap_or(u32::MAX));
    for index in 0..total {
        let due = begun + Duration::from_secs(1) * index / rate;
        tokio::time::sleep_until(due.into()).await;
        while waiting.try_join_next().is_some() {}
        let kind = Kind::drawn(dice);
        let viewer = viewers[usize::try_from(dice.throw()).unwrap_or(0) % viewers.len()].clone();
        let (client, tallies, mut dice) = (client.clone(), tallies.clone(), Dice::new(dice.throw() | 1));
        if waiting.len() >= WAITING_MAX {
            note(&tallies, kind, Err("not sent: too many wait".into()));
            continue;
        }
        waiting.spawn(async move {
            let outcome = viewer.ask(&client, kind, assets, &mut dice).await;
            note(&tallies, kind, outcome.map(|()| due.elapsed()).map_err(|error| format!("{error:#}")));
        });
    }
    while waiting.join_next().await.is_some() {}
    std::mem::take(&mut *tallies.lock().unwrap_or_else(PoisonError::into_inner))
}

fn note(tallies: &Mutex<BTreeMap<Kind, Tally>>, kind: Kind, outcome: Result<Duration, String>) {
    let mut tallies = tallies.lock().unwrap_or_else(PoisonError::into_inner);
    let tally = tallies.entry(kind).or_default();
    match outcome {
        Ok(time) => tally.times.push(time),
        Err(fault) => *tally.faults.entry(fault).or_default() += 1,
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(tallies: &BTreeMap<Kind, Tally>, rate: u32, seconds: usize, cpu_s: f64, resident: u64) {
    println!("\n{:<36}{:>8}{:>9}{:>9}{:>9}{:>9}{:>7}", "ms", "count", "median", "p95", "p99", "worst", "failed");
    let mut all = Tally::default();
    for (kind, tally) in tallies {
        line(kind.name(), tally);
        all.times.extend(&tally.times);
        for (fault, count) in &tally.faults {
            *all.faults.entry(format!("{}: {fault}", kind.name())).or_default() += count;
        }
    }
    let p95 = line("all", &all);
    let per_request_us = cpu_s * 1e6 / all.times.len().max(1) as f64;
    println!("server: {per_request_us:.0} us of processor time per request, {:.0} MiB", resident as f64 / 1_048_576.0);
    for (fault, count) in all.faults.iter().take(20) {
        println!("failed {count} times: {fault}");
    }
    let verdict = if p95 <= AIM && all.faults.is_empty() { "met" } else { "missed" };
    println!("{rate} requests/s for {seconds} s, aim p95 {} ms and no failure: {verdict}", AIM.as_millis());
}

/// Prints a line; the 95th percentile.
fn line(what: &str, tally: &Tally) -> Duration {
    let mut times = tally.times.clone();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len().saturating_sub(1).min(times.len() * share / 100)).copied();
    let ms = |share| at(share).unwrap_or_default().as_secs_f64() * 1000.0;
    let failed: usize = tally.faults.values().sum();
    println!("{what:<36}{:>8}{:>9.1}{:>9.1}{:>9.1}{:>9.1}{failed:>7}", times.len(), ms(50), ms(95), ms(99), ms(100));
    at(95).unwrap_or_default()
}
