//! What it costs to serve a segment: Headwater beside nginx, in one run, with one processor each.
//!
//! Both serve the same files with the same headers; the server runs on the first processor, the client on the
//! second. nginx has one worker, sendfile and open_file_cache. Every row is measured in rounds in which the two
//! take turns; the median counts. Requests go to 200 files in turn, over 32 connections. Headwater first serves
//! from its memory, then, started with none, from the system's page cache.
//!
//! Without nginx beside it: the memory that a connection costs on which nothing is asked for (`--only idle`), and what a
//! crowd waits for that asks at once for an object in a bucket (`--only crowd`).
//!
//! ```text
//! cargo bench -p benches --bench origin -- [--headwater PROGRAM] [--seconds 3] [--rounds 3] [--only ROW]
//! ```

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the programs it measures")]

mod client;
mod crowd;
mod idle;
mod peers;
mod site;

use anyhow::{Context, ensure};
use benches::options::{self, Options};

use crate::client::Load;
use crate::peers::Peer;
use crate::site::{Site, Size};

/// One thing that is measured, and the ratio to nginx that we aim at.
struct Row {
    name: &'static str,
    size: Size,
    load: Load,
    aim: f64,
    is_page_cache: bool,
}

const fn row(name: &'static str, size: Size, load: Load, aim: f64) -> Row {
    Row { name, size, load, aim, is_page_cache: false }
}

const ROWS: [Row; 9] = [
    row("2 KiB", Size::Small, Load::Plain, 1.1),
    row("1 MiB", Size::Medium, Load::Plain, 1.4),
    row("1 MB of 4 MiB", Size::Large, Load::Range, 1.1),
    row("304", Size::Small, Load::NotModified, 1.0),
    Row { is_page_cache: true, ..row("2 KiB, page cache", Size::Small, Load::Plain, 0.9) },
    Row { is_page_cache: true, ..row("1 MiB, page cache", Size::Medium, Load::Plain, 0.9) },
    Row { is_page_cache: true, ..row("1 MB of 4 MiB, page cache", Size::Large, Load::Range, 0.9) },
    row("1 MiB, TLS", Size::Medium, Load::Tls, 2.0),
    row("1 MiB, h2c", Size::Medium, Load::Http2, 2.0),
];

/// Requests per second, and processor time of the server per request in microseconds.
#[derive(Clone, Copy, Default)]
struct Figures {
    rate: f64,
    cpu_us: f64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1), &["headwater", "seconds", "rounds", "only"])?;
    let number = |name, default: usize| options.named(name).map_or(Ok(default), str::parse).context(name);
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    ensure!(headwater.is_file(), "no {}: build it by `cargo build --release -p headwater`", headwater.display());
    let (seconds, rounds) = (number("seconds", 3)?.clamp(1, 60), number("rounds", 3)?.clamp(1, 20));
    let folder = tempfile::tempdir_in(options::path("target")).context("cannot make a scratch folder")?;
    let site = Site::build(folder.path())?;
    let nginx = Peer::nginx(folder.path(), &site)?;
    let hot = Peer::headwater(&headwater, folder.path(), "hot", 1 << 30)?;
    let cold = Peer::headwater(&headwater, folder.path(), "cold", 0)?;
    site.check(&nginx)?;
    site.check(&hot)?;
    site.check(&cold)?;
    let is_wanted = |name: &str| options.named("only").is_none_or(|only| only == name);
    println!(
        "{:<28}{:>12}{:>12}{:>8}{:>6}{:>12}{:>12}",
        "", "nginx/s", "ours/s", "ratio", "aim", "nginx us", "ours us"
    );
    for row in &ROWS {
        if !is_wanted(row.name) {
            continue;
        }
        let ours = if row.is_page_cache { &cold } else { &hot };
        let (mut theirs_all, mut ours_all) = (Vec::new(), Vec::new());
        // What is to be in memory comes there first.
        client::run(row.load, ours, &site, row.size, 1, folder.path())?;
        for _ in 0..rounds {
            theirs_all.push(client::run(row.load, &nginx, &site, row.size, seconds, folder.path())?);
            ours_all.push(client::run(row.load, ours, &site, row.size, seconds, folder.path())?);
        }
        let (theirs, ours) = (median(&theirs_all), median(&ours_all));
        let ratio = ours.rate / theirs.rate;
        let verdict = if ratio >= row.aim { "" } else { "  below" };
        println!(
            "{:<28}{:>12.0}{:>12.0}{ratio:>8.2}{:>6.1}{:>12.1}{:>12.1}{verdict}",
            row.name, theirs.rate, ours.rate, row.aim, theirs.cpu_us, ours.cpu_us
        );
    }
    if is_wanted("idle") {
        // One that has served nothing else.
        idle::run(&Peer::headwater(&headwater, folder.path(), "idle", 1 << 26)?)?;
    }
    if is_wanted("crowd") {
        crowd::run(&headwater, folder.path())?;
    }
    Ok(())
}

fn median(figures: &[Figures]) -> Figures {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    Figures {
        rate: middle(figures.iter().map(|figures| figures.rate).collect()),
        cpu_us: middle(figures.iter().map(|figures| figures.cpu_us).collect()),
    }
}
