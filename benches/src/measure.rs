//! Processor time, wall time and peak memory of a program and everything it starts.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks per second in `/proc/*/stat`: `USER_HZ`, 100 on every architecture in use.
const TICKS_PER_S: f64 = 100.0;

/// Octets in a page of `/proc/*/statm` on x86-64, and on arm64 as Debian builds it.
const PAGE_BYTES: u64 = 4096;

/// Time between two looks at the processes: short enough for wall times and memory peaks of seconds.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

/// How much of what a failed program said is repeated.
const TAIL_BYTES: usize = 2000;

/// What a run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// User and system time of all processes, in seconds.
    pub cpu_s: f64,
    /// From start to end, in seconds.
    pub wall_s: f64,
    /// The most memory that all processes held at one moment, in octets; shared pages counted once.
    pub memory_bytes: u64,
}

impl Cost {
    /// Both one after the other: times add up, the larger peak stays.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self {
            cpu_s: self.cpu_s + next.cpu_s,
            wall_s: self.wall_s + next.wall_s,
            memory_bytes: self.memory_bytes.max(next.memory_bytes),
        }
    }

    /// The middle of several runs, each figure by itself; zero for none.
    pub fn median(runs: &[Self]) -> Self {
        let middle = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        let mut peaks: Vec<u64> = runs.iter().map(|run| run.memory_bytes).collect();
        peaks.sort_unstable();
        Self {
            cpu_s: middle(runs.iter().map(|run| run.cpu_s).collect()),
            wall_s: middle(runs.iter().map(|run| run.wall_s).collect()),
            memory_bytes: peaks.get(peaks.len() / 2).copied().unwrap_or(0),
        }
    }
}

/// Why there is no cost to report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The program cannot be started or watched.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program says that it failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// The program.
        program: String,
        /// The end of what it wrote to standard error.
        said: String,
    },
    /// The program took too long and was killed.
    #[error("{program} was killed after {limit:?}: {said}")]
    TimedOut {
        /// The program.
        program: String,
        /// Its time.
        limit: Duration,
        /// The end of what it wrote to standard error.
        said: String,
    },
}

/// Runs `command` to its end and measures it; its output goes to files in `scratch`.
///
/// Nothing else may be started by this process meanwhile: processor time is what the kernel has
/// added up for all children that ended, or, if a grandchild was orphaned, what was last seen of it.
///
/// # Errors
/// If the program cannot be started, fails, or does not end within `limit`; then it is killed.
pub fn run(command: &mut Command, limit: Duration, scratch: &Path) -> Result<Cost, MeasureError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |source| MeasureError::Run { program: program.clone(), source };
    let log = scratch.join("stderr.txt");
    let error_file = File::create(&log).map_err(failed)?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(error_file);
    let before_s = children_cpu_s().map_err(failed)?;
    let started = Instant::now();
    let mut child = command.spawn().map_err(failed)?;
    let mut watch = Watch::default();
    let (status, wall) = loop {
        watch.look(child.id());
        if let Some(status) = child.try_wait().map_err(failed)? {
            break (status, started.elapsed());
        }
        if started.elapsed() > limit {
            stop(&mut child);
            return Err(MeasureError::TimedOut { program, limit, said: tail(&log) });
        }
        std::thread::sleep(SAMPLE_INTERVAL);
    };
    if !status.success() {
        return Err(MeasureError::Failed { program, said: tail(&log) });
    }
    let reaped_s = children_cpu_s().map_err(failed)? - before_s;
    Ok(Cost { cpu_s: reaped_s.max(watch.cpu_s()), wall_s: wall.as_secs_f64(), memory_bytes: watch.peak_bytes })
}

/// Kills a child and waits for its end; it may have ended already.
pub fn stop(child: &mut Child) {
    // A failure means that there is nothing left to kill or to wait for.
    let _ = child.kill();
    let _ = child.wait();
}

/// What is remembered of a process and its descendants while they run.
#[derive(Default)]
struct Watch {
    ticks: HashMap<u32, u64>,
    peak_bytes: u64,
}

impl Watch {
    fn look(&mut self, root: u32) {
        let all = processes();
        let mut family = HashSet::from([root]);
        // A tree of n processes is at most n deep, so this ends when no child is left to add.
        loop {
            let more: Vec<u32> = all.iter().filter(|one| family.contains(&one.parent)).map(|one| one.id).collect();
            let size = family.len();
            family.extend(more);
            if family.len() == size {
                break;
            }
        }
        let (mut private, mut shared) = (0, 0);
        for one in all.iter().filter(|one| family.contains(&one.id)) {
            self.ticks.insert(one.id, one.ticks);
            let memory = memory_of(one.id).unwrap_or_default();
            private += memory.private_bytes;
            shared = shared.max(memory.shared_bytes);
        }
        self.peak_bytes = self.peak_bytes.max(private + shared);
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn cpu_s(&self) -> f64 {
        self.ticks.values().sum::<u64>() as f64 / TICKS_PER_S
    }
}

struct Process {
    id: u32,
    parent: u32,
    ticks: u64,
}

fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| process(entry.file_name().to_str()?.parse().ok()?)).collect()
}

fn process(id: u32) -> Option<Process> {
    let fields = stat_fields(&PathBuf::from(format!("/proc/{id}/stat")))?;
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Process { id, parent, ticks: number(11)? + number(12)? })
}

/// Fields of a `stat` file from the state on: what comes before is a name that may hold anything.
fn stat_fields(path: &Path) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

#[derive(Default)]
struct Memory {
    private_bytes: u64,
    shared_bytes: u64,
}

fn memory_of(id: u32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let mut pages = text.split_whitespace().skip(1).map(|field| field.parse::<u64>().unwrap_or(0));
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some(Memory { private_bytes: resident.saturating_sub(shared) * PAGE_BYTES, shared_bytes: shared * PAGE_BYTES })
}

/// Processor time of all children of this process that have ended, and of theirs.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn children_cpu_s() -> io::Result<f64> {
    let fields = stat_fields(Path::new("/proc/self/stat")).ok_or(io::ErrorKind::InvalidData)?;
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let ticks = number(13).zip(number(14)).ok_or(io::ErrorKind::InvalidData)?;
    Ok((ticks.0 + ticks.1) as f64 / TICKS_PER_S)
}

fn tail(path: &Path) -> String {
    let said = fs::read(path).unwrap_or_default();
    let start = said.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(said.get(start..).unwrap_or_default()).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "the thing under test runs programs")]
    fn shell(script: &str, limit: Duration) -> Result<Cost, MeasureError> {
        let scratch = tempfile::tempdir().unwrap();
        run(Command::new("sh").args(["-c", script]), limit, scratch.path())
    }

    #[test]
    fn work_of_a_child_counts() {
        let script = "sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; sleep 0.1";
        let cost = shell(script, Duration::from_secs(60)).unwrap();
        assert!(cost.cpu_s > 0.05 && cost.wall_s > 0.1, "{cost:?}");
        assert!(cost.memory_bytes > 100_000, "{cost:?}");
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = shell("echo broken >&2; exit 3", Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "sh failed: broken");
        let error = shell("echo slow >&2; exec sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(matches!(error, MeasureError::TimedOut { .. }));
    }

    #[test]
    fn the_middle_of_three_is_taken() {
        let cost = |cpu_s, wall_s, memory_bytes| Cost { cpu_s, wall_s, memory_bytes };
        let runs = [cost(3.0, 1.0, 5), cost(1.0, 9.0, 7), cost(2.0, 2.0, 6)];
        assert_eq!(Cost::median(&runs), cost(2.0, 2.0, 6));
        assert_eq!(runs[0].then(runs[1]), cost(4.0, 10.0, 7));
        assert_eq!(Cost::median(&[]), Cost::default());
    }
}
