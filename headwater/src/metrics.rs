//! Numbers for Prometheus: requests by route, the job queue, encode speed.

mod edge;
mod outgoing;
mod players;
mod purges;
mod uploads;
mod worker;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog_store::{JobCount, Outgoing};
use domain::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use transcoder::release::{self, Standing};

use crate::http::Route;
use outgoing::OutgoingGauges;
pub use purges::PurgeCounts;

/// Upper edges of the request duration buckets, in seconds: an origin answers in the first ones,
/// a wait for a segment or an upload in the last ones.
const REQUEST_SECONDS: [f64; 10] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0];

/// Statuses of most of the origin's answers.
const FREQUENT_STATUSES: [u16; 3] = [200, 206, 304];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    kind: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FfmpegLabels {
    version: String,
    is_fixed: &'static str,
}

/// All numbers of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    /// The two that the origin's most frequent answers count in, so that they need not be looked up.
    frequent: [OnceLock<(Counter, Histogram)>; FREQUENT_STATUSES.len() * 2],
    connections: Gauge,
    jobs: Family<JobLabels, Gauge>,
    ffmpeg: Family<FfmpegLabels, Gauge>,
    outgoing: OutgoingGauges,
}

impl Metrics {
    /// Numbers at zero; `worker` is what the pipeline counts, `uploads` what ingest does, `players` what players tell
    /// the origin.
    pub fn new(worker: Arc<pipeline::Metrics>, uploads: Arc<ingest::Metrics>, players: Arc<origin::Metrics>) -> Self {
        let mut registry = Registry::with_prefix("headwater");
        let requests = Family::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        let durations = Family::new_with_constructor((|| Histogram::new(REQUEST_SECONDS)) as fn() -> Histogram);
        registry.register("http_request_seconds", "Time from a request's head to its answer's head", durations.clone());
        let connections = Gauge::default();
        registry.register("http_connections", "Connections open now", connections.clone());
        let jobs = Family::default();
        registry.register("jobs", "Jobs in the queue by kind and state", jobs.clone());
        let ffmpeg = Family::default();
        let help = "FFmpeg's version, and whether it holds the fixes of memory errors that are known";
        registry.register("ffmpeg_info", help, ffmpeg.clone());
        let outgoing = OutgoingGauges::registered(&mut registry);
        registry.register_collector(Box::new(worker::WorkerCollector(worker)));
        registry.register_collector(Box::new(players::PlayerCollector(players)));
        registry.register_collector(Box::new(uploads::UploadCollector(uploads)));
        Self { registry, requests, durations, frequent: Default::default(), connections, jobs, ffmpeg, outgoing }
    }

    /// The same, with what an edge counts.
    pub fn with_edge(mut self, edge: origin::Edge) -> Self {
        self.registry.register_collector(Box::new(edge::EdgeCollector(edge)));
        self
    }

    /// The same, with what caches in front are told.
    pub fn with_purges(mut self, counts: Arc<PurgeCounts>) -> Self {
        self.registry.register_collector(Box::new(purges::PurgeCollector(counts)));
        self
    }

    /// Counts one answer of the origin that was ready.
    pub fn answered_at_once(&self, route: Route, method: &http::Method, status: http::StatusCode, took: Duration) {
        let place = FREQUENT_STATUSES.iter().position(|known| *known == status.as_u16());
        let Some(place) = place.filter(|_| method == http::Method::GET) else {
            return self.answered(route, method, status, took);
        };
        let place = place * 2 + usize::from(route == Route::Playlist);
        let (requests, durations) = self.frequent[place].get_or_init(|| {
            // Routes that are not the origin's count as its segments: nobody asks for that.
            let name = if route == Route::Playlist { route.name() } else { Route::Segment.name() };
            let labels = RequestLabels { route: name, method: known(method), status: status.as_u16() };
            let requests = self.requests.get_or_create(&labels).clone();
            (requests, self.durations.get_or_create(&RouteLabels { route: name }).clone())
        });
        requests.inc();
        durations.observe(took.as_secs_f64());
    }

    /// Counts one answered request.
    pub fn answered(&self, route: Route, method: &http::Method, status: http::StatusCode, took: Duration) {
        let labels = RequestLabels { route: route.name(), method: known(method), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&RouteLabels { route: route.name() }).observe(took.as_secs_f64());
    }

    /// Open connections, counted up and down by the listener.
    pub fn connections(&self) -> &Gauge {
        &self.connections
    }

    /// Takes over the present state of the queue.
    pub fn set_jobs(&self, counts: impl IntoIterator<Item = JobCount>) {
        self.jobs.clear();
        for JobCount { kind, state, count } in counts {
            let labels = JobLabels { kind, state: state.as_str() };
            self.jobs.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Takes over how it goes with what is sent to others.
    pub fn set_outgoing(&self, outgoing: &Outgoing, now: Timestamp) {
        self.outgoing.set(outgoing, now);
    }

    /// Says which FFmpeg the engine has, as it told itself.
    pub fn set_ffmpeg(&self, version: &str) {
        let is_fixed = match release::standing(version) {
            Standing::Fixed => "yes",
            Standing::Old => "no",
            Standing::Unknown => "unknown",
        };
        self.ffmpeg.clear();
        self.ffmpeg.get_or_create(&FfmpegLabels { version: version.to_owned(), is_fixed }).set(1);
    }

    /// Everything in the OpenMetrics text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// A method as a label: foreign words would give everybody the power to add series.
fn known(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_jobs_and_encode_speed_are_all_there() {
        let metrics = Metrics::new(Arc::default(), Arc::default(), Arc::default());
        let gone = http::StatusCode::NOT_FOUND;
        metrics.answered(Route::Segment, &http::Method::GET, gone, Duration::from_millis(2));
        for status in [http::StatusCode::OK, http::StatusCode::NOT_FOUND] {
            metrics.answered_at_once(Route::Playlist, &http::Method::GET, status, Duration::ZERO);
        }
        metrics.answered(Route::Page, &http::Method::from_bytes(b"BREW").unwrap(), gone, Duration::ZERO);
        metrics.set_jobs([JobCount { kind: "chunk".into(), state: domain::JobState::Queued, count: 3 }]);
        metrics.set_ffmpeg("5.1.9-0+deb12u1");
        let text = metrics.render();
        for line in [
            "headwater_http_requests_total{route=\"segment\",method=\"GET\",status=\"404\"} 1",
            "headwater_http_requests_total{route=\"page\",method=\"other\",status=\"404\"} 1",
            "headwater_http_requests_total{route=\"playlist\",method=\"GET\",status=\"200\"} 1",
            "headwater_http_requests_total{route=\"playlist\",method=\"GET\",status=\"404\"} 1",
            "headwater_http_request_seconds_bucket{le=\"0.003\",route=\"segment\"} 1",
            "headwater_jobs{kind=\"chunk\",state=\"queued\"} 3",
            "headwater_ffmpeg_info{version=\"5.1.9-0+deb12u1\",is_fixed=\"yes\"} 1",
            "headwater_encoded_media_seconds_total{kind=\"video\"} 0",
            "headwater_encode_session_seconds_total{kind=\"video\"} 0",
            "headwater_upload_hand_over_seconds_bucket{le=\"0.05\"} 0",
            "headwater_upload_sync_seconds_count 0",
            "headwater_upload_stall_seconds_bucket{le=\"3.0\"} 0",
            "headwater_upload_received_bytes_total 0",
            "headwater_player_reports_total 0",
            "headwater_player_buffer_seconds_bucket{le=\"0.5\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
