//! What ingest counts as Prometheus series, read at each scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ingest::metrics::Observed;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Take-overs, syncs, stalls, octets and refusals of uploads.
#[derive(Debug)]
pub(super) struct UploadCollector(pub(super) Arc<ingest::Metrics>);

impl Collector for UploadCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Time that a request waited for the one it took an upload over from";
        histogram(&mut encoder, "upload_hand_over_seconds", help, self.0.hand_overs())?;
        histogram(&mut encoder, "upload_sync_seconds", "Time that a flush of staged octets took", self.0.syncs())?;
        let help = "Silences of three seconds or more within a body";
        histogram(&mut encoder, "upload_stall_seconds", help, self.0.stalls())?;
        let help = "Octets taken from the bodies of uploads";
        let family = encoder.encode_descriptor("upload_received_bytes", help, None, MetricType::Counter)?;
        ConstCounter::new(self.0.received_bytes()).encode(family)?;
        let help = "Uploads and requests on them that were not allowed, by the problem's code";
        let mut family = encoder.encode_descriptor("upload_refusals", help, None, MetricType::Counter)?;
        for (code, count) in self.0.refusals() {
            ConstCounter::new(count).encode(family.encode_family(&[("code", code)])?)?;
        }
        Ok(())
    }
}

fn histogram(encoder: &mut DescriptorEncoder, name: &str, help: &str, observed: Observed) -> fmt::Result {
    let edges = observed.edges_ms.iter().map(|&edge| Duration::from_millis(edge).as_secs_f64()).chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = edges.zip(observed.buckets).collect();
    let count = observed.buckets.iter().sum();
    let mut series = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    series.encode_histogram::<NoLabelSet>(observed.sum.as_secs_f64(), count, &buckets, None)
}
