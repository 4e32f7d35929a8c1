//! The pipeline's counters as Prometheus series, read at each scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pipeline::metrics::{JOB_SECONDS, SegmentKind};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

const KINDS: [SegmentKind; 4] = [SegmentKind::Video, SegmentKind::Copied, SegmentKind::Audio, SegmentKind::Subtitles];

/// Encode speed is `encoded_media_seconds` over `encode_session_seconds` of the same time.
#[derive(Debug)]
pub(super) struct WorkerCollector(pub(super) Arc<pipeline::Metrics>);

impl Collector for WorkerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let running = ConstGauge::new(i64::try_from(self.0.jobs_running()).unwrap_or(i64::MAX));
        running.encode(encoder.encode_descriptor(
            "jobs_running",
            "Jobs this process runs now",
            None,
            MetricType::Gauge,
        )?)?;
        self.segments(&mut encoder)?;
        self.runs(&mut encoder)
    }
}

impl WorkerCollector {
    fn segments(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let family = encoder.encode_descriptor("segments", "Segments committed", None, MetricType::Counter)?;
        self.by_kind(family, |kind| self.0.segments(kind).count)?;
        let family =
            encoder.encode_descriptor("segment_bytes", "Octets of committed segments", None, MetricType::Counter)?;
        self.by_kind(family, |kind| self.0.segments(kind).bytes)?;
        let help = "Media time of committed segments";
        let family = encoder.encode_descriptor("encoded_media_seconds", help, None, MetricType::Counter)?;
        self.by_kind(family, |kind| seconds(self.0.segments(kind).media_ms))?;
        let help = "Time that encoding sessions were open";
        let family = encoder.encode_descriptor("encode_session_seconds", help, None, MetricType::Counter)?;
        self.by_kind(family, |kind| seconds(self.0.encode_ms(kind)))
    }

    fn by_kind<N>(&self, mut family: MetricEncoder<'_>, value: impl Fn(SegmentKind) -> N) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        for kind in KINDS {
            ConstCounter::new(value(kind)).encode(family.encode_family(&[("kind", kind.as_str())])?)?;
        }
        Ok(())
    }

    fn runs(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let mut family = encoder.encode_descriptor("job_runs", "Runs of jobs by outcome", None, MetricType::Counter)?;
        for (kind, outcome, count) in self.0.outcomes() {
            let labels = [("kind", kind.as_str()), ("outcome", outcome.as_str())];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        let mut family =
            encoder.encode_descriptor("job_seconds", "Durations of job runs", None, MetricType::Histogram)?;
        for (kind, durations) in self.0.durations() {
            let edges = JOB_SECONDS.iter().map(|&edge| Duration::from_secs(edge).as_secs_f64()).chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = edges.zip(durations.buckets).collect();
            let count = durations.buckets.iter().sum();
            let labels = [("kind", kind.as_str())];
            let mut series = family.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(durations.sum.as_secs_f64(), count, &buckets, None)?;
        }
        Ok(())
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
