//! The checks themselves, in the order in which the server would meet them.

use std::path::Path;
use std::time::Duration;

use catalog_store::{DeliveryState, OutboxReader, Outgoing};
use domain::{ByteSize, Clock, Timestamp};

use super::{Finding, engine};
use crate::clock::SystemClock;
use crate::config::{Config, Role};
use crate::{cli, machine, wiring};

/// Open files a busy server needs: a descriptor per connection, and some per job.
const OPEN_FILES_MIN: u64 = 4096;
/// Below this much free space uploads fail soon.
const FREE_SPACE_FAIL: u64 = 1 << 30;
/// Below this much free space a long video may not fit.
const FREE_SPACE_WARN: u64 = 20 << 30;
/// What a chunk of a 1080p source takes, with its whole ladder.
const CHUNK_1080P: ByteSize = ByteSize(512 << 20);
/// After how long something that waits to be sent is stuck: the first repetitions are over by then.
const STUCK_AFTER: Duration = Duration::from_secs(3 * 3600);
/// No clock that is right shows a time before this: 2025-01-01.
const EARLIEST_UNIX_MS: i64 = 1_735_689_600_000;

pub(super) async fn all(config: &Config) -> Vec<Finding> {
    let mut findings = engine::all(&config.source_limits(), &config.codecs).await;
    let folder = data_folder(&config.data_dir);
    let is_usable = folder.verdict != super::Verdict::Fail;
    findings.push(folder);
    if is_usable {
        let root = config.data_dir.canonicalize().unwrap_or(config.data_dir.clone());
        findings.push(storage(config, &root).await);
        findings.push(database(config, &root).await);
        findings.extend(purges(config).await);
        findings.extend(outgoing(config).await);
        findings.push(disk(&root));
    }
    findings.push(clock());
    findings.push(limits(config));
    findings.push(encoding(config, machine::available_memory()));
    findings.push(listening(config));
    findings
}

fn told(error: &anyhow::Error) -> String {
    cli::with_causes(error)
}

fn data_folder(root: &Path) -> Finding {
    let name = "data";
    let made = std::fs::create_dir_all(root).and_then(|()| {
        let trial = root.join(".doctor");
        std::fs::write(&trial, b"headwater")?;
        std::fs::remove_file(&trial)
    });
    match made {
        Ok(()) => Finding::ok(name, format!("{} can be written", root.display())),
        Err(error) => Finding::fail(
            name,
            format!("{} cannot be written ({error}); choose another with --data-dir", root.display()),
        ),
    }
}

async fn storage(config: &Config, root: &Path) -> Finding {
    let name = "storage";
    let checked = match wiring::store(config, root).await {
        Ok(store) => store.check().await.map_err(|error| told(&error.into())),
        Err(error) => Err(told(&error)),
    };
    match checked {
        Ok(()) => Finding::ok(name, "an object was written and read back"),
        Err(error) => Finding::fail(name, format!("{error}; check storage_url and its keys")),
    }
}

async fn database(config: &Config, root: &Path) -> Finding {
    let name = "database";
    match wiring::catalog(config, root).await {
        Ok(catalog) => {
            let found = catalog.integrity().await;
            catalog.close().await;
            match found {
                Ok(found) if found.is_sound() => Finding::ok(name, "reachable, schema current, rows consistent"),
                Ok(found) => {
                    Finding::warn(name, format!("rows contradict each other: {found:?}; keep a copy and report this"))
                }
                Err(error) => Finding::fail(name, format!("{}; check database_url", told(&error.into()))),
            }
        }
        Err(error) => Finding::fail(name, format!("{}; check database_url", told(&error))),
    }
}

/// Whether the caches in front take what they are told; nothing where there are none.
async fn purges(config: &Config) -> Option<Finding> {
    let name = "purges";
    if config.purge_targets.is_empty() {
        return None;
    }
    let known = match wiring::to_look_up(config).await {
        Ok(catalog) => {
            let known = catalog.purge_targets().await;
            catalog.close().await;
            known.map_err(|error| told(&error.into()))
        }
        Err(error) => Err(told(&error)),
    };
    let known = match known {
        Ok(known) => known,
        Err(error) => return Some(Finding::warn(name, format!("nobody knows whether they were told: {error}"))),
    };
    let mut troubles = Vec::new();
    for target in &config.purge_targets {
        match known.iter().find(|known| known.name == *target) {
            None => troubles.push(format!("{target} was never told of anything: run a worker with this setting")),
            Some(OutboxReader { failing_since: Some(since), failures, error, .. }) => {
                let error = error.as_deref().unwrap_or("it does not answer");
                troubles.push(format!("{target} has not taken {failures} purges since {}: {error}", since.rfc3339()));
            }
            Some(_) => {}
        }
    }
    Some(match troubles.is_empty() {
        true => Finding::ok(name, format!("{} caches in front are told of changes", config.purge_targets.len())),
        false => Finding::warn(name, troubles.join("; ")),
    })
}

/// Whether what is sent to webhooks and by mail is taken; nothing where nobody is sent anything.
async fn outgoing(config: &Config) -> Option<Finding> {
    let catalog = wiring::to_look_up(config).await.ok()?;
    let found = catalog.outgoing().await;
    catalog.close().await;
    match found {
        Ok(found) if found.webhooks == 0 && found.letters == 0 => None,
        Ok(found) => Some(judged(&found, SystemClock.now())),
        Err(error) => {
            Some(Finding::warn("messages", format!("nobody knows what waits to be sent: {}", told(&error.into()))))
        }
    }
}

fn judged(found: &Outgoing, now: Timestamp) -> Finding {
    let name = "messages";
    let is_stuck = |since: &Timestamp| now.since(*since) > STUCK_AFTER;
    let mut troubles = Vec::new();
    if let Some(since) = found.oldest_message.filter(is_stuck) {
        let count = found.of(DeliveryState::Pending);
        troubles
            .push(format!("{count} messages wait for webhooks, one since {}: see their deliveries", since.rfc3339()));
    }
    if let Some(since) = found.oldest_letter.filter(is_stuck) {
        let count = found.letters;
        troubles.push(format!("{count} letters wait, one since {}: check smtp_url", since.rfc3339()));
    }
    if found.webhooks_off > 0 {
        let Outgoing { webhooks, webhooks_off, .. } = found;
        troubles.push(format!("{webhooks_off} of {webhooks} webhooks are off: their owners know why"));
    }
    match troubles.is_empty() {
        true => Finding::ok(name, format!("{} webhooks and all letters are sent what they are due", found.webhooks)),
        false => Finding::warn(name, troubles.join("; ")),
    }
}

fn disk(root: &Path) -> Finding {
    let name = "disk";
    let free = match rustix::fs::statvfs(root) {
        Ok(system) => system.f_bavail.saturating_mul(system.f_frsize),
        Err(error) => return Finding::warn(name, format!("cannot ask for free space: {error}")),
    };
    let text = format!("{} free", ByteSize(free));
    match free {
        ..FREE_SPACE_FAIL => Finding::fail(name, format!("{text}: make room, uploads will be refused")),
        FREE_SPACE_FAIL..FREE_SPACE_WARN => {
            Finding::warn(name, format!("{text}: a long video needs several times its size"))
        }
        _ => Finding::ok(name, text),
    }
}

/// What the video chunks that are encoded at once may take, and where that comes from.
fn encoding(config: &Config, available: Option<u64>) -> Finding {
    let name = "encoding";
    let budget = machine::encoding_budget_of(config, available);
    let memory = match (config.encoding_memory_bytes, available) {
        (0, None) => "any memory, since the system does not tell what is free".to_owned(),
        (0, Some(_)) => format!("{} of memory, three quarters of what is free", budget.memory),
        _ => format!("{} of memory as set", budget.memory),
    };
    let cores = if config.encoding_cores == 0 { "all there are" } else { "as set" };
    let text = format!(
        "up to {} chunks at once in {memory}, and {} processors, {cores}",
        config.heavy_lane_count(),
        budget.cores
    );
    if budget.memory < CHUNK_1080P {
        let advice = "chunks of 1080p run one at a time and may be killed for want of memory; free some, or set \
                      encoding_memory_bytes";
        return Finding::warn(name, format!("{text}; {advice}"));
    }
    if available.is_some_and(|available| budget.memory.0 > available) {
        return Finding::warn(name, format!("{text}; more memory than is free: lower encoding_memory_bytes"));
    }
    Finding::ok(name, text)
}

fn clock() -> Finding {
    let now = SystemClock.now();
    let text = now.rfc3339();
    if now.unix_ms() < EARLIEST_UNIX_MS {
        Finding::fail("clock", format!("{text} lies in the past; set the clock, leases and ids depend on it"))
    } else {
        Finding::ok("clock", text)
    }
}

fn limits(config: &Config) -> Finding {
    let name = "limits";
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = OPEN_FILES_MIN.max(u64::from(config.connections_max) * 2);
    let text = format!("{files} open files, {processors} processors, {} heavy lanes", config.heavy_lane_count());
    if files < wanted {
        Finding::warn(name, format!("{text}: raise the limit of open files to {wanted} (ulimit -n) for many viewers"))
    } else {
        Finding::ok(name, text)
    }
}

fn listening(config: &Config) -> Finding {
    let name = "access";
    let is_open = !config.listen.ip().is_loopback() && (config.has(Role::Ingest) || config.has(Role::Api));
    if is_open {
        Finding::warn(name, format!("{}: everyone who can reach it may upload and delete", config.listen))
    } else {
        Finding::ok(name, format!("{}: this machine only", config.listen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_folder_that_cannot_be_written_fails_with_advice() {
        let finding = data_folder(Path::new("/proc/headwater"));
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.text.contains("--data-dir"), "{}", finding.text);
    }

    fn told(set: &[(&str, &str)], available: Option<u64>) -> Finding {
        let set: Vec<(String, String)> = set.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        encoding(&crate::config::merge(None, &[], &set).unwrap(), available)
    }

    #[test]
    fn what_encoding_may_take_is_told_with_where_it_comes_from() {
        let lanes = ("heavy_lanes", "3");
        let derived = told(&[lanes], Some(8 << 30));
        assert_eq!(derived.verdict, Verdict::Ok);
        let processors = machine::processors();
        assert_eq!(
            derived.text,
            format!(
                "up to 3 chunks at once in 6.0G of memory, three quarters of what is free, and {processors} processors, \
                 all there are"
            )
        );
        let set = told(&[lanes, ("encoding_memory_bytes", "2147483648"), ("encoding_cores", "5")], Some(8 << 30));
        assert_eq!(set.text, "up to 3 chunks at once in 2.0G of memory as set, and 5 processors, as set");
        assert!(told(&[], None).text.contains("the system does not tell"));
    }

    #[test]
    fn too_little_memory_for_encoding_and_more_than_there_is_are_warned_of() {
        let small = told(&[], Some(512 << 20));
        assert_eq!(small.verdict, Verdict::Warn);
        assert!(small.text.contains("384.0M of memory"), "{}", small.text);
        let large = told(&[("encoding_memory_bytes", "9000000000")], Some(8 << 30));
        assert_eq!(large.verdict, Verdict::Warn);
        assert!(large.text.contains("lower encoding_memory_bytes"), "{}", large.text);
    }

    #[test]
    fn what_waits_for_long_is_warned_of() {
        let at = |hours: i64| Timestamp::from_unix_ms(hours * 3_600_000);
        let messages = vec![(DeliveryState::Pending, 2)];
        let found = Outgoing { messages, oldest_message: Some(at(8)), webhooks: 2, ..Outgoing::default() };
        assert_eq!(judged(&found, at(10)).verdict, Verdict::Ok);
        let stuck = judged(&found, at(12));
        assert_eq!(stuck.verdict, Verdict::Warn);
        assert!(stuck.text.contains("2 messages wait"), "{}", stuck.text);
        let letters = Outgoing { letters: 1, oldest_letter: Some(at(0)), ..Outgoing::default() };
        assert!(judged(&letters, at(12)).text.contains("smtp_url"));
        let off = Outgoing { webhooks: 2, webhooks_off: 1, ..Outgoing::default() };
        assert!(judged(&off, at(12)).text.contains("1 of 2 webhooks are off"));
    }

    #[test]
    fn the_clock_of_this_machine_is_believed() {
        assert_eq!(clock().verdict, Verdict::Ok);
    }
}
