//! How two workers compare with one: the same ladder twice, one after the other on one processor, then side by side
//! on two.
//!
//! Beside it the same for ffmpeg with one thread, to tell what the machine itself loses when both processors are busy.
//!
//! ```text
//! cargo bench -p benches --bench scaling -- [FILE] [--headwater PROGRAM] [--rounds N] [--limit-s 900]
//! ```
//! Without a file it takes 20 s of 720p.

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the programs it measures")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benches::measure;
use benches::options::{self, Options};
use fixtures::media::{self, ClipSpec};

/// What two engines should gain over one.
const AIM: f64 = 1.8;

fn main() -> anyhow::Result<()> {
    let options = Options::read(std::env::args().skip(1), &["headwater", "rounds", "limit-s"])?;
    let limit = options.named("limit-s").map_or(Ok(900), str::parse).context("limit-s")?;
    let limit = Duration::from_secs(limit);
    let rounds: usize = options.named("rounds").map_or(Ok(3), str::parse).context("rounds")?;
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    ensure!(headwater.is_file(), "no {}: build it by `cargo build --release -p headwater`", headwater.display());
    let made = || media::clip(&ClipSpec { seconds: 20.0, width: 1280, height: 720, ..ClipSpec::default() });
    let file = options.plain_path().unwrap_or_else(made);
    let folder = tempfile::tempdir().context("cannot make a scratch folder")?;
    let ours = |out: &Path| {
        let mut command = Command::new(&headwater);
        command.args(["transcode", "--no-passthrough"]).arg(&file).arg("-o").arg(out);
        command
    };
    let peer = |out: &Path| {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-y", "-threads", "1", "-i"]).arg(&file);
        command.args(["-an", "-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-f", "mp4"]).arg(out);
        command
    };
    println!("{:<28}{:>14}{:>14}{:>9}", "wall s, median", "one by one", "side by side", "gain");
    let gain = median("headwater transcode", rounds, &ours, folder.path(), limit)?;
    let control = median("ffmpeg, one thread", rounds, &peer, folder.path(), limit)?;
    let verdict = if gain >= AIM { "met" } else { "missed" };
    println!("\n{:<44}{:>9}{:>9}", "", "found", "aim");
    println!("{:<44}{gain:>9.2}{AIM:>9.2}  {verdict}", "gain of two engines over one");
    println!("{:<44}{:>9.2}", "of what the machine lets ffmpeg gain", gain / control);
    Ok(())
}

/// How much shorter two runs side by side are.
fn median(
    name: &str,
    rounds: usize,
    command: &(impl Fn(&Path) -> Command + Sync),
    folder: &Path,
    limit: Duration,
) -> anyhow::Result<f64> {
    let mut found = Vec::new();
    for _ in 0..rounds.max(1) {
        let one_by_one = run(command, folder, [0, 0], limit, false)?;
        let side_by_side = run(command, folder, [0, 1], limit, true)?;
        found.push((one_by_one, side_by_side));
    }
    found.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
    let (one_by_one, side_by_side) = found[found.len() / 2];
    println!("{name:<28}{one_by_one:>14.2}{side_by_side:>14.2}{:>9.2}", one_by_one / side_by_side);
    Ok(one_by_one / side_by_side)
}

/// Seconds that two runs take, each on a processor of its own number.
fn run(
    command: &(impl Fn(&Path) -> Command + Sync),
    folder: &Path,
    processors: [usize; 2],
    limit: Duration,
    at_once: bool,
) -> anyhow::Result<f64> {
    let one = |at: usize| -> anyhow::Result<()> {
        let out: PathBuf = folder.join(format!("out-{at}"));
        let plain = command(&out);
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", &processors[at].to_string()]).arg(plain.get_program()).args(plain.get_args());
        measure::run(&mut pinned, limit, folder)?;
        if out.is_dir() {
            std::fs::remove_dir_all(&out)?
        } else {
            std::fs::remove_file(&out)?
        }
        Ok(())
    };
    let started = Instant::now();
    if at_once {
        std::thread::scope(|scope| {
            let runs = [0, 1].map(|at| scope.spawn(move || one(at)));
            runs.into_iter().try_for_each(|run| run.join().map_err(|_| anyhow::anyhow!("a run panicked"))?)
        })?;
    } else {
        one(0)?;
        one(1)?;
    }
    Ok(started.elapsed().as_secs_f64())
}
