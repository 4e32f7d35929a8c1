//! A server under measurement: its start, its processor time, its memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::measure;

/// Clock ticks per second in `/proc/*/stat`: `USER_HZ`, 100 on every architecture in use.
const TICKS_PER_S: f64 = 100.0;

/// Lines a server may write before the one with its address.
const LINES_MAX: usize = 100;

/// Time between two looks at the memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(10);

/// Longest wait for that line.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        measure::stop(&mut self.child);
    }
}

impl Server {
    /// Starts a program that says `listening on http://ADDRESS`; what else it says goes to `log`.
    ///
    /// # Errors
    /// If it cannot be started, or does not listen within a minute.
    pub fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let file = fs::File::create(log)?;
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().context("cannot start")?;
        let out = child.stdout.take().context("no standard output")?;
        let mut server = Self { child, address: String::new() };
        let started = Instant::now();
        for line in BufReader::new(out).lines().take(LINES_MAX) {
            if let Some((_, address)) = line?.split_once("listening on http://") {
                server.address = address.trim().to_owned();
                return Ok(server);
            }
            ensure!(started.elapsed() < START_LIMIT, "it does not come up");
        }
        bail!("it ended: {}", fs::read_to_string(log)?)
    }

    /// User and system time of its process so far, in seconds; without its children.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    ///
    /// # Errors
    /// If it is gone; so with the others.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, rest) = text.rsplit_once(')').context("no stat")?;
        let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(ticks as f64 / TICKS_PER_S)
    }

    /// Begins to look for the peak of its memory anew.
    ///
    /// # Errors
    /// If it is gone.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    /// The most memory it held since then, in octets: everything, also the pages of the program itself.
    ///
    /// # Errors
    /// If it is gone.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmHWM:")
    }

    /// The memory it holds at this moment, in octets.
    ///
    /// # Errors
    /// If it is gone.
    pub fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most anonymous memory it is seen to hold until `is_over`, in octets.
    pub fn own_peak_bytes(&self, is_over: &AtomicBool) -> u64 {
        let mut peak = 0;
        while !is_over.load(Ordering::Relaxed) {
            // A process that is gone fails the upload, which tells more.
            peak = peak.max(self.memory("RssAnon:").unwrap_or(0));
            std::thread::sleep(SAMPLE_INTERVAL);
        }
        peak
    }

    fn memory(&self, key: &str) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)).context("no such line")?;
        let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }
}
