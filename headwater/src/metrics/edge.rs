//! What an edge did with requests, as a Prometheus series, read at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// Answers by how they came about.
pub(super) struct EdgeCollector(pub(super) origin::Edge);

impl fmt::Debug for EdgeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EdgeCollector").field(&self.0.counts()).finish()
    }
}

impl Collector for EdgeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Requests by what the edge did: answered from memory, fetched, or failed";
        let mut family = encoder.encode_descriptor("edge_answers", help, None, MetricType::Counter)?;
        for (outcome, count) in self.0.counts() {
            ConstCounter::new(count).encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}
