//! What players tell the origin, as Prometheus series, read at each scrape.

use std::fmt;
use std::sync::Arc;

use origin::metrics::{BUFFER_EDGES_MS, Observed, THROUGHPUT_EDGES_KBPS};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Reports, starved buffers, urgent requests, hints, buffers and throughputs of players.
#[derive(Debug)]
pub(super) struct PlayerCollector(pub(super) Arc<origin::Metrics>);

impl Collector for PlayerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let players = &self.0;
        for (name, help, count) in [
            ("player_reports", "Requests with which a player told something (CMCD)", players.reports()),
            ("player_starvations", "Times that a player's buffer ran empty", players.starvations()),
            ("player_startups", "Requests that a player needed to start or to go on", players.startups()),
            ("player_hints", "Objects brought into memory because a player announced them", players.hints()),
        ] {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(family)?;
        }
        let help = "What players had buffered when they asked for an object";
        histogram(&mut encoder, "player_buffer_seconds", help, BUFFER_EDGES_MS, 1e-3, players.buffers())?;
        let help = "Throughput that players measured, in bits per second";
        let edges = THROUGHPUT_EDGES_KBPS;
        histogram(&mut encoder, "player_throughput_bits_per_second", help, edges, 1e3, players.throughputs())
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds and kilobits are far below 2^52")]
fn histogram(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    edges: [u64; 7],
    unit: f64,
    observed: Observed,
) -> fmt::Result {
    let edges = edges.iter().map(|&edge| edge as f64 * unit).chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = edges.zip(observed.buckets).collect();
    let count = observed.buckets.iter().sum();
    let mut series = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    series.encode_histogram::<NoLabelSet>(observed.sum as f64 * unit, count, &buckets, None)
}
