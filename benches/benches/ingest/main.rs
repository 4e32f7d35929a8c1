//! What it costs to take a file: Headwater beside `dd` and two other tus servers, in one run.
//!
//! Every server gets the same file of 512 MiB over the loopback interface in one request, from the same
//! client, into a folder on the same disk. Throughput counts from the creation of the upload to the
//! answer that says all of it arrived; processor time and peak memory are those of the server's process.
//! Then 2,000 uploads of 1 KiB/s are begun, and a file is sent at full speed among them.
//!
//! Peers are found in the folder that `--peers` names; `benches/ingest.sh` makes it.
//!
//! ```text
//! cargo bench -p benches --bench ingest -- [--headwater PROGRAM] [--peers FOLDER] [--mib 512] [--rounds 3]
//!     [--slow 2000] [--only throughput|slow]
//! ```

#![expect(clippy::print_stdout, reason = "a bench reports to its terminal")]
#![expect(clippy::disallowed_methods, reason = "a bench starts the programs it measures")]

mod slow;
mod tus;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use benches::measure::{self, Cost};
use benches::options::{self, Options};
use benches::server::Server;

use crate::slow::Crowd;

const MEBIBYTE: f64 = 1_048_576.0;

/// Processor seconds for 512 MiB that we aim at.
const CPU_AIM_S: f64 = 0.30;
/// Peak memory that we aim at, in MiB.
const PEAK_AIM_MIB: f64 = 24.0;
/// Throughput with `sync=end` relative to `dd` that we aim at.
const DISK_AIM: f64 = 0.90;
/// Memory of one slow upload that we aim at, in KiB.
const SLOW_AIM_KIB: f64 = 64.0;
/// What the fast upload must keep of its throughput among slow ones.
const FAST_AIM: f64 = 0.80;

/// How long slow uploads run before their memory is looked at: several checkpoints.
const SETTLE: Duration = Duration::from_secs(12);
/// What a server does once it listens, such as a look at its engine, does not belong to the upload.
const START: Duration = Duration::from_secs(1);
/// What it does after its answer does.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Longest time for any one program.
const LIMIT: Duration = Duration::from_secs(300);

struct Setting {
    headwater: PathBuf,
    peers: Option<PathBuf>,
    rounds: usize,
    slow_count: usize,
    file: Vec<u8>,
    folder: tempfile::TempDir,
}

/// One way to get the file onto the disk, and what it cost.
#[derive(Default)]
struct Contender {
    name: &'static str,
    costs: Vec<Cost>,
    /// Peaks of anonymous memory: what is left when mapped files, such as libraries, are not counted.
    own_bytes: Vec<u64>,
}

impl Contender {
    fn push(&mut self, (cost, own_bytes): (Cost, u64)) {
        self.costs.push(cost);
        self.own_bytes.push(own_bytes);
    }

    fn own_mib(&self) -> f64 {
        let mut peaks = self.own_bytes.clone();
        peaks.sort_unstable();
        mebibytes(peaks.get(peaks.len() / 2).copied().unwrap_or(0))
    }
}

fn main() -> anyhow::Result<()> {
    let known = ["headwater", "peers", "mib", "rounds", "slow", "only"];
    let options = Options::read(std::env::args().skip(1), &known)?;
    let number = |name, default: usize| options.named(name).map_or(Ok(default), str::parse).context(name);
    let headwater = options::path(options.named("headwater").unwrap_or("target/release/headwater"));
    ensure!(headwater.is_file(), "no {}: build it by `cargo build --release -p headwater`", headwater.display());
    let setting = Setting {
        headwater,
        peers: options.named("peers").map(options::path),
        rounds: number("rounds", 3)?.clamp(1, 20),
        slow_count: number("slow", 2000)?.clamp(1, 4000),
        file: fixtures::media::padded(number("mib", 512)?.clamp(8, 4000) << 20, 1),
        folder: tempfile::tempdir_in(options::path("target")).context("cannot make a scratch folder")?,
    };
    println!("machine    {} processors, load {}", processors(), load());
    if options.named("only") != Some("slow") {
        throughput(&setting)?;
    }
    if options.named("only") != Some("throughput") {
        among_slow_ones(&setting)?;
    }
    Ok(())
}

impl Setting {
    /// A folder that is empty, and a disk that has nothing left to do.
    fn fresh(&self) -> anyhow::Result<PathBuf> {
        let folder = self.folder.path().join("data");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir(&folder)?;
        measure::run(&mut Command::new("sync"), LIMIT, self.folder.path())?;
        Ok(folder)
    }

    fn headwater(&self, data: &Path, settings: &[&str]) -> Command {
        let mut command = Command::new(&self.headwater);
        command.args(["serve", "--listen", "127.0.0.1:0", "--roles", "ingest", "--data-dir"]).arg(data);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// What the file costs a server, and the peak of the anonymous memory of that.
    fn sent_to(&self, command: &mut Command) -> anyhow::Result<(Cost, u64)> {
        let server = Server::start(command, &self.log())?;
        std::thread::sleep(START);
        server.forget_peak()?;
        let (before_s, began) = (server.cpu_s()?, Instant::now());
        let is_over = AtomicBool::new(false);
        let (sent, own_bytes) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| server.own_peak_bytes(&is_over));
            let path = tus::create(&server.address, self.file.len());
            let sent = path.and_then(|path| tus::append(&server.address, &path, &self.file));
            let wall_s = began.elapsed().as_secs_f64();
            std::thread::sleep(AFTERMATH);
            is_over.store(true, Ordering::Relaxed);
            (sent.map(|()| wall_s), watch.join().unwrap_or(0))
        });
        let cost = Cost { cpu_s: server.cpu_s()? - before_s, wall_s: sent?, memory_bytes: server.peak_bytes()? };
        Ok((cost, own_bytes))
    }

    /// `dd` from memory to the disk, past the page cache, to the last octet.
    fn dd(&self) -> anyhow::Result<Cost> {
        let source = self.folder.path().join("source");
        if !source.exists() {
            std::fs::write(&source, &self.file)?;
        }
        let target = self.fresh()?.join("target");
        // Read once, so that what is measured is writing.
        std::fs::read(&source)?;
        let mut command = Command::new("dd");
        command.arg(format!("if={}", source.display())).arg(format!("of={}", target.display()));
        command.args(["bs=1M", "oflag=direct", "conv=fdatasync"]);
        Ok(measure::run(&mut command, LIMIT, self.folder.path())?)
    }

    fn peer(&self, program: &str, arguments: &[&str]) -> Option<Command> {
        let found = self.peers.as_ref()?.join(program);
        let mut command = if found.extension().is_some_and(|kind| kind == "mjs") {
            let mut node = Command::new("node");
            node.arg(&found).env("NODE_ENV", "production");
            node
        } else {
            Command::new(&found)
        };
        command.args(arguments);
        found.is_file().then_some(command)
    }
}

fn throughput(setting: &Setting) -> anyhow::Result<()> {
    let names = ["dd oflag=direct,fdatasync", "headwater sync=none", "headwater sync=interval", "headwater sync=end"];
    let peers = ["@tus/server 2.4", "tusd 2 core"];
    let named = |name| Contender { name, ..Contender::default() };
    let mut contenders: Vec<Contender> = names.into_iter().chain(peers).map(named).collect();
    for _ in 0..setting.rounds {
        // In turn, so that a change of the machine's mood meets all of them.
        contenders[0].costs.push(setting.dd()?);
        for (contender, policy) in contenders[1..4].iter_mut().zip(["none", "interval", "end"]) {
            let data = setting.fresh()?;
            let mut command = setting.headwater(&data, &[&format!("upload_sync={policy}")]);
            contender.push(setting.sent_to(&mut command)?);
        }
        for (contender, program) in contenders[4..].iter_mut().zip(["tus-node-server/server.mjs", "tusd/tusd"]) {
            let data = setting.fresh()?;
            if let Some(mut command) = setting.peer(program, &[&data.display().to_string()]) {
                contender.push(setting.sent_to(&mut command).with_context(|| contender.name)?);
            }
        }
    }
    report(setting, &contenders);
    Ok(())
}

fn report(setting: &Setting, contenders: &[Contender]) {
    let mib = mebibytes(setting.file.len() as u64);
    let title = format!("{mib:.0} MiB, median of {}", setting.rounds);
    println!("\n{title:<28}{:>9}{:>9}{:>11}{:>11}", "MiB/s", "CPU s", "peak MiB", "its own");
    for contender in contenders {
        if contender.costs.is_empty() {
            println!("{:<28}not measured: it could not be installed", contender.name);
            continue;
        }
        let cost = Cost::median(&contender.costs);
        let speed = mib / cost.wall_s;
        let (name, peak_mib) = (contender.name, mebibytes(cost.memory_bytes));
        println!("{name:<28}{speed:>9.0}{:>9.2}{peak_mib:>11.1}{:>11.1}", cost.cpu_s, contender.own_mib());
    }
    println!("its own: without mapped files, such as the program and its libraries");
    let median = |at: usize| Cost::median(&contenders[at].costs);
    println!("\n{:<44}{:>9}{:>9}", "", "found", "aim");
    for (at, policy) in [(1, "none"), (2, "interval"), (3, "end")] {
        let cost = median(at);
        at_most(&format!("CPU s for 512 MiB, sync={policy}"), cost.cpu_s * 512.0 / mib, CPU_AIM_S);
        at_most(&format!("peak MiB, sync={policy}"), mebibytes(cost.memory_bytes), PEAK_AIM_MIB);
        at_most(&format!("peak MiB of its own, sync={policy}"), contenders[at].own_mib(), PEAK_AIM_MIB);
    }
    at_least("throughput / dd, sync=end", median(0).wall_s / median(3).wall_s, DISK_AIM);
    for peer in contenders[4..].iter().filter(|peer| !peer.costs.is_empty()) {
        // None of the peers makes sure that anything is on the disk.
        let ratio = Cost::median(&peer.costs).wall_s / median(1).wall_s;
        at_least(&format!("throughput / {}, sync=none", peer.name), ratio, 1.0);
    }
}

fn among_slow_ones(setting: &Setting) -> anyhow::Result<()> {
    let count = setting.slow_count;
    let data = setting.fresh()?;
    let places = format!("connections_max={}", count + 16);
    let server = Server::start(&mut setting.headwater(&data, &[&places]), &setting.log())?;
    let fast = || -> anyhow::Result<f64> {
        let mut times = Vec::new();
        for _ in 0..setting.rounds {
            let began = Instant::now();
            let path = tus::create(&server.address, setting.file.len())?;
            tus::append(&server.address, &path, &setting.file)?;
            times.push(Cost { wall_s: began.elapsed().as_secs_f64(), ..Cost::default() });
        }
        Ok(mebibytes(setting.file.len() as u64) / Cost::median(&times).wall_s)
    };
    let alone = fast()?;
    let before_bytes = server.resident_bytes()?;
    let crowd = Crowd::begin(&server.address, count, &setting.file)?;
    std::thread::sleep(SETTLE);
    let (crowd_bytes, cpu_s, began) = (server.resident_bytes()?, server.cpu_s()?, Instant::now());
    std::thread::sleep(SETTLE);
    let busy = (server.cpu_s()? - cpu_s) / began.elapsed().as_secs_f64();
    let beside = fast()?;
    let each_kib = mebibytes(crowd_bytes.saturating_sub(before_bytes)) * 1024.0 / count as f64;
    println!("\n{count} uploads of {} B/s beside a fast one", slow::BYTES_PER_S);
    println!("{:<44}{:>9.1}", "resident before them, MiB", mebibytes(before_bytes));
    println!("{:<44}{:>9.1}", "resident with them, MiB", mebibytes(crowd_bytes));
    println!("{:<44}{:>9.2}", "processors that they keep busy", busy);
    println!("{:<44}{:>9}", "slow uploads cut off", crowd.lost_count());
    println!("{:<44}{alone:>9.0}", "fast upload alone, MiB/s");
    println!("{:<44}{beside:>9.0}", "fast upload beside them, MiB/s");
    println!("\n{:<44}{:>9}{:>9}", "", "found", "aim");
    at_most("KiB for each slow upload", each_kib, SLOW_AIM_KIB);
    at_least("throughput kept by the fast one", beside / alone, FAST_AIM);
    at_most("slow uploads cut off", crowd.lost_count() as f64, 0.0);
    Ok(())
}

fn at_most(name: &str, found: f64, aim: f64) {
    let verdict = if found <= aim { "met" } else { "missed" };
    println!("{name:<44}{found:>9.2}{aim:>9.2}  {verdict}");
}

fn at_least(name: &str, found: f64, aim: f64) {
    let verdict = if found >= aim { "met" } else { "missed" };
    println!("{name:<44}{found:>9.2}{aim:>9.2}  {verdict}");
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MEBIBYTE
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// What else the machine was doing: a figure above the number of processors spoils wall times.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
