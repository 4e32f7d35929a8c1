//! `headwater transcode` beside ffmpeg on the same source, in one run.
//!
//! Peers: (a) one ffmpeg process that decodes once and makes every rendition through a split filter
//! graph, (b) one ffmpeg process for each rendition, one after the other. Both use the rungs, the
//! x264 options and the audio that Headwater uses, and write CMAF segments of 6 s. They may use as
//! many encoder threads as x264 likes: Headwater takes one for each of its encoders, but ffmpeg 5.1
//! would be left with one processor.
//!
//! ```text
//! cargo bench -p benches --bench transcode -- [FILE] [--headwater PROGRAM] [--rounds 3] [--limit-s 1800]
//!     [--vmaf FFMPEG]
//! ```
//! `--vmaf` names an ffmpeg with libvmaf, which Debian's has not: both are then judged by that too.

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the programs it compares")]

mod peer;
mod quality;
mod source;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use benches::measure::{self, Cost};
use benches::options::{self, Options};
use fixtures::media::{self, ClipSpec};

use quality::Quality;
use source::Source;

const MEBIBYTE: f64 = 1_048_576.0;

/// What is compared, and how.
struct Setting {
    source: Source,
    headwater: PathBuf,
    /// Longest time for any one program.
    limit: Duration,
    scratch: PathBuf,
    /// An ffmpeg with libvmaf.
    vmaf: Option<PathBuf>,
}

/// Costs of all rounds of the three ways.
#[derive(Default)]
struct Costs {
    headwater: Vec<Cost>,
    one_graph: Vec<Cost>,
    one_each: Vec<Cost>,
}

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1), &["headwater", "rounds", "limit-s", "vmaf"])?;
    let number = |name, default: u32| options.named(name).map_or(Ok(default), str::parse).context(name);
    let rounds = number("rounds", 3)?.clamp(1, 20);
    let limit = Duration::from_secs(number("limit-s", 1800)?.into());
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    if !headwater.is_file() {
        bail!(
            "no {}: build it by `cargo build --release -p headwater`, or name it by --headwater",
            headwater.display()
        );
    }
    let folder = tempfile::tempdir().context("cannot make a scratch folder")?;
    let path = options.plain_path().unwrap_or_else(clip);
    let source = Source::probe(&path.canonicalize().with_context(|| format!("cannot open {}", path.display()))?)?;
    let vmaf = options.named("vmaf").map(options::path);
    let setting =
        Setting { source, headwater: headwater.canonicalize()?, limit, scratch: folder.path().to_owned(), vmaf };
    println!("source     {}", setting.source);
    println!("machine    {} processors, load {}", processors(), load());

    let mut costs = Costs::default();
    for round in 1..=rounds {
        // In turn, so that a change of the machine's mood meets all three.
        costs.headwater.push(setting.headwater(&setting.fresh("headwater")?)?);
        costs.one_graph.push(peer::one_graph(&setting, &setting.fresh("one-graph")?)?);
        costs.one_each.push(peer::one_each(&setting, &setting.fresh("one-each")?)?);
        println!("round {round} of {rounds} done, load {}", load());
    }
    report_costs(&costs);
    report_quality(&setting)
}

impl Setting {
    fn headwater(&self, out: &Path) -> anyhow::Result<Cost> {
        let mut command = Command::new(&self.headwater);
        command.arg("transcode").arg(&self.source.path).arg("-o").arg(out);
        Ok(measure::run(&mut command, self.limit, &self.scratch)?)
    }

    /// An empty folder of this name, emptied if a round before this one filled it.
    fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.scratch.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        Ok(folder)
    }
}

fn report_costs(costs: &Costs) {
    let [ours, graph, each] = [&costs.headwater, &costs.one_graph, &costs.one_each].map(|runs| Cost::median(runs));
    println!("\n{:<28}{:>9}{:>9}{:>11}", "median", "CPU s", "wall s", "peak MiB");
    let row = |name: &str, cost: Cost| {
        println!("{name:<28}{:>9.2}{:>9.2}{:>11.0}", cost.cpu_s, cost.wall_s, mebibytes(cost.memory_bytes));
    };
    row("headwater transcode", ours);
    row("(a) ffmpeg, one graph", graph);
    row("(b) ffmpeg, one each", each);
    println!("\n{:<28}{:>9}{:>9}", "ratio", "found", "aim");
    let ratio = |name: &str, found: f64, aim: f64| {
        let verdict = if found <= aim { "met" } else { "missed" };
        println!("{name:<28}{found:>9.3}{aim:>9.2}  {verdict}");
    };
    ratio("CPU / (a)", ours.cpu_s / graph.cpu_s, 0.93);
    ratio("wall / (a)", ours.wall_s / graph.wall_s, 0.88);
    ratio("CPU / (b)", ours.cpu_s / each.cpu_s, 0.65);
    ratio("peak memory, MiB", mebibytes(ours.memory_bytes), 700.0);
}

fn report_quality(setting: &Setting) -> anyhow::Result<()> {
    println!(
        "\n{:<10}{:>13}{:>13}{:>8}{:>11}{:>11}{:>10}{:>9}",
        "rendition", "bytes", "(a) bytes", "ratio", "SSIM", "(a) SSIM", "diff", "frames"
    );
    let (mut sizes, mut peer_sizes) = (0, 0);
    for rung in &setting.source.rungs {
        let name = rung.id.as_str();
        let ours = Quality::of(setting, &setting.scratch.join("headwater").join(name), rung)?;
        let peer = Quality::of(setting, &setting.scratch.join("one-graph").join(name), rung)?;
        sizes += ours.bytes;
        peer_sizes += peer.bytes;
        println!(
            "{name:<10}{:>13}{:>13}{:>8.3}{:>11.5}{:>11.5}{:>+10.5}{:>9}",
            ours.bytes,
            peer.bytes,
            quotient(ours.bytes, peer.bytes),
            ours.ssim,
            peer.ssim,
            ours.ssim - peer.ssim,
            ours.frames,
        );
        if let (Some(own), Some(other)) = (ours.vmaf, peer.vmaf) {
            println!("{:<10}VMAF {own:.2}, (a) {other:.2}, {:+.2} (aim: within 0.5)", "", own - other);
        }
        if ours.frames != peer.frames {
            println!("{:<10}(a) has {} frames", "", peer.frames);
        }
    }
    println!("{:<10}{sizes:>13}{peer_sizes:>13}{:>8.3}", "all video", quotient(sizes, peer_sizes));
    println!("aim: SSIM within 0.002 and size within 2 % of (a) for each rendition");
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBIBYTE
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn quotient(ours: u64, peer: u64) -> f64 {
    ours as f64 / peer as f64
}

/// 12 s of 1080p at 30 fps with sound.
fn clip() -> PathBuf {
    media::clip(&ClipSpec { seconds: 12.0, width: 1920, height: 1080, rate: "30", ..ClipSpec::default() })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What else the machine was doing: a figure above the number of processors spoils wall times.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
