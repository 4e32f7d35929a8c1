//! The task that tells targets of what changed, from the place where each stands in the events.
//!
//! A place moves once its target has taken what lies before it, or it was given up to tell it: so everything is told
//! at least once, whatever is killed. Targets do not wait for each other, but for one thing: what stands before a
//! target in the settings is nearer to the origin, and is told first, or the outer one would ask it for what is old.

use std::sync::Arc;
use std::time::Duration;

use catalog_store::{Catalog, CatalogError, OutboxHold, OutboxReader};
use domain::{Clock, Timestamp};
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::change::{self, Batch};
use super::target::{Target, Trouble};
use crate::metrics::PurgeCounts;

/// Time between an event and the purge: origins look once a second whether something else is published, and who is
/// killed right behind an event did not do yet what it tells of.
pub(crate) const SETTLE: Duration = Duration::from_secs(3);
/// Time between two looks for events.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For how long one process has the right to tell a target.
const HOLD: Duration = Duration::from_secs(60);
/// Time between two looks whether another process has given up the right.
const HOLD_EVERY: Duration = Duration::from_secs(5);
/// Pause after the first failure; it doubles with each.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, but for those that a target asks for.
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// What a target has not taken for so long is given up: it has expired in most caches by then.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);
/// Events that are nothing to a target, after which its place is recorded anyhow.
const NOISE_MAX: u64 = 500;
/// How long a target waits for those before it.
const INNER_PATIENCE: Duration = Duration::from_secs(30);

/// Tells targets what changed.
pub(crate) struct Teller {
    pub(crate) catalog: Catalog,
    pub(crate) clock: Arc<dyn Clock>,
    /// The nearest to the origin first.
    pub(crate) targets: Vec<Target>,
    /// The name of this process: the same after it was killed and started anew.
    pub(crate) holder: String,
    pub(crate) counts: Arc<PurgeCounts>,
}

/// What this process knows of a target that it has the right to tell.
struct Held {
    known: OutboxReader,
    /// Where it looks on: behind events that are nothing to the target.
    seq: u64,
    until: Timestamp,
}

impl Teller {
    /// Tells all targets until `soft` is cancelled.
    pub(crate) async fn run(self, soft: CancellationToken) {
        join_all((0..self.targets.len()).map(|at| self.tell_one(at, &soft))).await;
    }

    async fn tell_one(&self, at: usize, soft: &CancellationToken) {
        let mut held = None;
        // Ends with the soft signal; a purge that is cut off is told again.
        while !soft.is_cancelled() {
            let pause = match soft.run_until_cancelled(self.step(at, &mut held)).await {
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    tracing::warn!(
                        target.name = self.targets[at].name,
                        error = &error as &dyn std::error::Error,
                        "the catalogue does not tell what to purge"
                    );
                    HOLD_EVERY
                }
                None => break,
            };
            let _ = soft.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        if held.is_some() {
            // Another process need not wait for the lease; if that cannot be written, it will.
            let _ = self.catalog.release_reader(self.hold(at)).await;
        }
    }

    fn hold(&self, at: usize) -> OutboxHold<'_> {
        OutboxHold { reader: &self.targets[at].name, holder: &self.holder }
    }

    /// Does what there is to do, and says how long to wait then.
    async fn step(&self, at: usize, held: &mut Option<Held>) -> Result<Duration, CatalogError> {
        let (target, now) = (&self.targets[at], self.clock.now());
        let mine = match held.take().filter(|held| now.plus(HOLD / 2) < held.until) {
            Some(mine) => mine,
            None => match self.catalog.hold_reader(self.hold(at), HOLD, now).await? {
                Some(known) => Held { seq: known.seq, known, until: now.plus(HOLD) },
                None => return Ok(HOLD_EVERY),
            },
        };
        let mine = held.insert(mine);
        self.counts.set_failing(&target.name, mine.known.failures > 0);
        if now < mine.known.retry_at {
            return Ok(mine.known.retry_at.since(now).min(HOLD_EVERY));
        }
        let Some(batch) = change::next(&self.catalog, mine.seq, target.tags_max(), now).await? else {
            self.counts.set_lag(&target.name, Duration::ZERO);
            return Ok(LOOK_EVERY);
        };
        if batch.purges.is_empty() {
            mine.seq = batch.upto;
            if batch.upto - mine.known.seq >= NOISE_MAX && self.catalog.note_told(self.hold(at), batch.upto).await? {
                mine.known.seq = batch.upto;
            }
            return Ok(Duration::ZERO);
        }
        self.counts.set_lag(&target.name, now.since(batch.at));
        if self.waits_for_inner(at, &batch, now).await? {
            return Ok(LOOK_EVERY);
        }
        let told = self.tell(target, &batch).await;
        self.settle(at, held, &batch, told).await
    }

    /// Whether a target before this one is to be told of the same first.
    async fn waits_for_inner(&self, at: usize, batch: &Batch, now: Timestamp) -> Result<bool, CatalogError> {
        if at == 0 || batch.at.plus(INNER_PATIENCE) < now {
            return Ok(false);
        }
        let known = self.catalog.purge_targets().await?;
        let is_behind = |inner: &Target| {
            known.iter().any(|one| one.name == inner.name && one.failures == 0 && one.seq < batch.last)
        };
        Ok(self.targets[..at].iter().any(is_behind))
    }

    async fn tell(&self, target: &Target, batch: &Batch) -> Result<(), Trouble> {
        for purge in &batch.purges {
            target.tell(purge, &*self.clock).await?;
        }
        Ok(())
    }

    /// Records what came of telling a target.
    async fn settle(
        &self,
        at: usize,
        held: &mut Option<Held>,
        batch: &Batch,
        told: Result<(), Trouble>,
    ) -> Result<Duration, CatalogError> {
        let (target, now) = (&self.targets[at], self.clock.now());
        let tags: usize = batch.purges.iter().map(|purge| purge.tags.len()).sum();
        let name = target.name.as_str();
        // Whatever is recorded is looked at anew.
        let known = held.take().map(|held| held.known);
        let trouble = match told {
            Ok(()) => {
                self.catalog.note_told(self.hold(at), batch.upto).await?;
                self.counts.told(name, tags);
                tracing::info!(target.name = name, tags, seq = batch.upto, "caches told of changes");
                return Ok(Duration::ZERO);
            }
            Err(trouble) => trouble,
        };
        let failures = known.as_ref().map_or(0, |known| known.failures);
        let since = known.and_then(|known| known.failing_since).unwrap_or(now);
        self.counts.failed(name);
        if since.plus(GIVE_UP_AFTER) < now && self.catalog.give_up_telling(self.hold(at), batch.upto).await? {
            self.counts.given_up(name);
            tracing::error!(target.name = name, tags, seq = batch.upto, %trouble,
                "it is given up to tell a cache of changes: purge it by hand");
        } else {
            tracing::warn!(target.name = name, tags, failures = failures + 1, %trouble, "a cache was not told of changes");
        }
        let retry_at = now.plus(pause(failures, trouble.retry_after));
        self.catalog.note_untold(self.hold(at), &trouble.to_string(), retry_at, now).await?;
        Ok(Duration::ZERO)
    }
}

/// Pause after so many failures before this one: as long as the target asks for, at least.
fn pause(failures: u32, retry_after: Option<Duration>) -> Duration {
    let doubled = PAUSE.saturating_mul(2u32.saturating_pow(failures.min(16)));
    doubled.min(PAUSE_MAX).max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests;
