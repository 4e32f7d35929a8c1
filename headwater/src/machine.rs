//! How much memory and how many processors this process may count on: the machine's, or those of its control groups.

use std::fs;
use std::path::{Path, PathBuf};

use domain::ByteSize;
use domain::cost::{Budget, Cores};

use crate::config::Config;

/// Where control groups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Control groups that lie within each other, at most.
const CGROUP_DEPTH_MAX: usize = 32;

/// The share of the available memory that encoding may take, in percent: the rest is for the server itself, for sound
/// and pictures, and for what viewers wait for.
const ENCODING_PERCENT: u64 = 75;

/// What the chunks that are encoded at the same time may take: as set, else what the machine has.
pub fn encoding_budget(config: &Config) -> Budget {
    encoding_budget_of(config, available_memory())
}

/// The same on a machine with so much available memory.
pub fn encoding_budget_of(config: &Config, available: Option<u64>) -> Budget {
    let memory = match config.encoding_memory_bytes {
        0 => available.map_or(u64::MAX, |bytes| bytes / 100 * ENCODING_PERCENT),
        set => set,
    };
    let cores = match config.encoding_cores {
        0 => processors(),
        set => set,
    };
    Budget { memory: ByteSize(memory), cores: Cores::whole(cores) }
}

/// Processors that this process may use; control groups and affinity count.
pub fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
}

/// Memory that this process may still take without driving the machine, or its control group, out of it; `None` if
/// the system does not tell.
pub fn available_memory() -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let of_machine = read(Path::new("/proc/meminfo")).and_then(|text| field(&text, "MemAvailable:"));
    let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let of_groups = folders(&own).into_iter().filter_map(|folder| left_in_group(|name| read(&folder.join(name))));
    of_machine.map(|kib| kib.saturating_mul(1024)).into_iter().chain(of_groups).min()
}

/// The folders of the control groups that a process is in, from its own up; empty if the text names none.
fn folders(own: &str) -> Vec<PathBuf> {
    // "0::/a/b" in version 2, "7:memory:/a/b" in version 1.
    let group = own.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => Some((PathBuf::from(CGROUPS), path)),
            _ if controllers.split(',').any(|one| one == "memory") => Some((Path::new(CGROUPS).join("memory"), path)),
            _ => None,
        }
    });
    let Some((root, path)) = group else { return Vec::new() };
    let mut folder = root.join(path.trim_start_matches('/'));
    let mut folders = Vec::new();
    for _ in 0..CGROUP_DEPTH_MAX {
        folders.push(folder.clone());
        if folder == root || !folder.pop() {
            break;
        }
    }
    folders
}

/// What a control group has left; `None` if it has no bound. `file` reads one of its files.
fn left_in_group(file: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |name: &str| file(name)?.trim().parse::<u64>().ok();
    let bound = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes")).unwrap_or(0);
    // Files that are kept in memory and not used give way.
    let idle = file("memory.stat").and_then(|text| field(&text, "inactive_file")).unwrap_or(0);
    Some(bound.saturating_sub(used.saturating_sub(idle)))
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Allows this process as many descriptors as the system lets it: connections and open objects take one each.
pub fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::warn!(descriptors = current, "the number of descriptors could not be raised");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_what_its_bound_leaves_beside_what_is_used() {
        fn group(files: &[(&str, &str)]) -> Option<u64> {
            left_in_group(|name| files.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned()))
        }
        let stat = "anon 5\nfile 90\ninactive_file 80\nactive_file 10\n";
        assert_eq!(group(&[("memory.max", "1000\n"), ("memory.current", "600\n"), ("memory.stat", stat)]), Some(480));
        assert_eq!(group(&[("memory.max", "max\n"), ("memory.current", "600\n")]), None);
        assert_eq!(group(&[("memory.max", "10\n"), ("memory.current", "600\n")]), Some(0));
        assert_eq!(group(&[("memory.limit_in_bytes", "1000"), ("memory.usage_in_bytes", "100")]), Some(900));
        assert_eq!(group(&[]), None);
    }

    #[test]
    fn the_groups_around_a_group_count_as_well() {
        let names = |own: &str| folders(own).iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>();
        assert_eq!(names("0::/a/b\n"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
        assert_eq!(names("0::/\n"), ["/sys/fs/cgroup/"]);
        assert_eq!(
            names("12:cpu,cpuacct:/x\n7:memory:/docker/1\n"),
            ["/sys/fs/cgroup/memory/docker/1", "/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/memory"]
        );
        assert!(names("").is_empty() && names("nonsense\n").is_empty());
        assert!(names(&format!("0::{}", "/x".repeat(100))).len() <= CGROUP_DEPTH_MAX);
    }

    #[test]
    fn this_machine_tells_what_it_has() {
        let available = available_memory().expect("Linux tells");
        assert!(available > 1 << 20, "{available}");
        assert!(processors() >= 1);
        assert_eq!(field("MemTotal:  5 kB\nMemAvailable:   3 kB\n", "MemAvailable:"), Some(3));
    }
}
