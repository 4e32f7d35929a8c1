//! How caches in front are told of changes, as Prometheus series, read at each scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// What was told to one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counted {
    told: u64,
    tags: u64,
    failed: u64,
    given_up: u64,
    is_failing: bool,
    lag: Duration,
}

/// What was told, by target; there are as many as the settings name.
#[derive(Debug, Default)]
pub struct PurgeCounts(Mutex<BTreeMap<String, Counted>>);

impl PurgeCounts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Counted>> {
        // The table is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, target: &str, change: impl FnOnce(&mut Counted)) {
        change(self.lock().entry(target.to_owned()).or_default());
    }

    /// A target has taken so many tags.
    pub(crate) fn told(&self, target: &str, tags: usize) {
        self.change(target, |counted| {
            counted.told += 1;
            counted.tags += tags as u64;
            counted.is_failing = false;
        });
    }

    /// A target has not taken what it was told.
    pub(crate) fn failed(&self, target: &str) {
        self.change(target, |counted| {
            counted.failed += 1;
            counted.is_failing = true;
        });
    }

    /// It was given up to tell a target of something.
    pub(crate) fn given_up(&self, target: &str) {
        self.change(target, |counted| counted.given_up += 1);
    }

    /// Whether the last attempt failed.
    pub(crate) fn set_failing(&self, target: &str, is_failing: bool) {
        self.change(target, |counted| counted.is_failing = is_failing);
    }

    /// How long ago that happened which a target is to be told next.
    pub(crate) fn set_lag(&self, target: &str, lag: Duration) {
        self.change(target, |counted| counted.lag = lag);
    }
}

/// The series of [`PurgeCounts`].
#[derive(Debug)]
pub(super) struct PurgeCollector(pub(super) Arc<PurgeCounts>);

impl Collector for PurgeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let counted = self.0.lock().clone();
        let help = "Batches of purges by the cache they were for and what came of them";
        let mut family = encoder.encode_descriptor("purges", help, None, MetricType::Counter)?;
        for (target, one) in &counted {
            for (outcome, count) in [("told", one.told), ("failed", one.failed), ("given_up", one.given_up)] {
                let labels = [("target", target.as_str()), ("outcome", outcome)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Tags that caches were told to purge";
        let mut family = encoder.encode_descriptor("purged_tags", help, None, MetricType::Counter)?;
        for (target, one) in &counted {
            ConstCounter::new(one.tags).encode(family.encode_family(&[("target", target.as_str())])?)?;
        }
        let help = "Whether the last attempt to tell a cache failed";
        let mut family = encoder.encode_descriptor("purge_failing", help, None, MetricType::Gauge)?;
        for (target, one) in &counted {
            let gauge = ConstGauge::new(i64::from(one.is_failing));
            gauge.encode(family.encode_family(&[("target", target.as_str())])?)?;
        }
        let help = "Seconds since the change that a cache is to be told of next; 0 if there is none";
        let mut family = encoder.encode_descriptor("purge_lag_seconds", help, None, MetricType::Gauge)?;
        for (target, one) in &counted {
            let gauge = ConstGauge::new(one.lag.as_secs_f64());
            gauge.encode(family.encode_family(&[("target", target.as_str())])?)?;
        }
        Ok(())
    }
}
