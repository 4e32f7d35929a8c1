//! `GET /uploads/{id}` as JSON, and `GET /uploads/{id}/events`: what is going on with an upload.
//!
//! Both read the catalogue and what this process keeps in memory, take no turn and disturb nobody.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use catalog_store::{Upload, UploadState};
use domain::{AssetId, DocumentId, Failure, Timestamp, UploadId};
use futures::Stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::error::Causes;
use crate::gate::Pass;
use crate::live::{Look, Snapshot};
use crate::{Denial, State, UploadError, document, import};

/// Time between two looks at what is in memory.
const STEP: Duration = Duration::from_millis(250);
/// Time after which the catalogue is asked again, for what other processes did.
const POLL: Duration = Duration::from_secs(2);
/// How long a stream goes on before its client is asked again who it is; before an event it always is.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// Silence after which a comment proves that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(3);

/// An upload, as its owner sees it. Fields are only ever added.
#[derive(Debug, PartialEq, Serialize)]
struct Status {
    id: String,
    state: &'static str,
    asset: Option<AssetId>,
    /// Which of its documents it brings, if it does.
    document: Option<DocumentId>,
    file_name: Option<String>,
    length: Option<u64>,
    /// Octets that came; those above `durable` would have to be sent again after a crash.
    received: u64,
    durable: u64,
    is_receiving: bool,
    rate_bytes_per_second: u64,
    eta_seconds: Option<u64>,
    stalls: u32,
    stalled_seconds: f64,
    hand_overs: u32,
    last_error: Option<String>,
    /// How far the look into the file's head is.
    head: &'static str,
    failure: Option<Failure>,
    import: Option<Import>,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
}

/// Where an upload is pulled from.
#[derive(Debug, PartialEq, Serialize)]
struct Import {
    /// Without its query, which may hold a secret.
    url: String,
    /// Attempts in a row that brought nothing.
    attempts: u32,
    error: Option<String>,
}

/// Whether a client that asks for an upload wants to know of it rather than to have it.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let ranges =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let mut essences = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    essences.any(|essence| essence.eq_ignore_ascii_case("application/json"))
}

/// The present status as a document.
pub(crate) async fn show(state: &State, id: UploadId) -> Result<Response, UploadError> {
    let upload = state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?;
    let status = Status::of(state, &upload).await?;
    let mut response = text(&status).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The status as server-sent events (WHATWG HTML §9.2): the present one first, then each that differs.
///
/// Every event is whole, so a client that comes back has missed nothing. It ends with what let its client in.
pub(crate) async fn events(state: &State, id: UploadId, pass: Pass) -> Result<Response, UploadError> {
    let upload = state.catalog.upload(id).await?.ok_or(UploadError::NotFound)?;
    let place = state.live.streams.clone().try_acquire_owned().map_err(|_| Denial::TooManyStreams)?;
    let watcher = Watcher {
        state: state.clone(),
        upload,
        pass,
        let_in_at: Instant::now(),
        seen: None,
        version: None,
        asked_at: Instant::now(),
        is_over: false,
        count: 0,
        _place: place,
    };
    let sse = Sse::new(watcher.into_stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive"));
    let mut response = sse.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One client that watches one upload.
struct Watcher {
    state: State,
    upload: Upload,
    /// What let the client in.
    pass: Pass,
    /// When it was last asked for.
    let_in_at: Instant,
    seen: Option<Status>,
    version: Option<u64>,
    asked_at: Instant,
    is_over: bool,
    count: u64,
    /// Counts the stream until it ends.
    _place: OwnedSemaphorePermit,
}

impl Watcher {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, async |mut watcher| {
            let event = watcher.next().await?;
            Some((Ok(event), watcher))
        })
    }

    /// The next event; `None` after the last one, at a stop, when the catalogue fails, and when what let the client in
    /// holds no longer: the client comes back.
    async fn next(&mut self) -> Option<Event> {
        // Ends with an event, or when nothing can change any more, or when the client drops the stream.
        while !self.is_over && !self.state.shutdown.is_cancelled() {
            let read = self.read().await;
            let is_due = matches!(read, Ok(Some(_))) || self.let_in_at.elapsed() >= ASKED_EVERY;
            if is_due && let Err(error) = self.ask_again().await {
                tracing::debug!(error = %Causes(&error), "a stream of events ends with what let its client in");
                return None;
            }
            match read {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {
                    // Nothing is lost with a sleep that a stop cuts short.
                    let _ = self.state.shutdown.run_until_cancelled(tokio::time::sleep(STEP)).await;
                }
                Err(error) => {
                    tracing::warn!(error = %Causes(&error), "a stream of events ends early");
                    return None;
                }
            }
        }
        None
    }

    async fn ask_again(&mut self) -> Result<(), UploadError> {
        self.let_in_at = Instant::now();
        self.pass.still_holds(&self.state, &self.upload).await
    }

    async fn read(&mut self) -> Result<Option<Event>, UploadError> {
        let version = self.state.live.snapshot(self.upload.id).map(|seen| seen.version);
        let is_due = self.seen.is_none() || version != self.version || self.asked_at.elapsed() >= POLL;
        if !is_due {
            return Ok(None);
        }
        (self.version, self.asked_at) = (version, Instant::now());
        self.upload = self.state.catalog.upload(self.upload.id).await?.ok_or(UploadError::NotFound)?;
        let status = Status::of(&self.state, &self.upload).await?;
        if self.seen.as_ref() == Some(&status) {
            return Ok(None);
        }
        self.is_over = self.upload.state != UploadState::Open;
        self.count += 1;
        let mut event = Event::default().event("status").id(self.count.to_string()).data(text(&status));
        if self.count == 1 {
            event = event.retry(RECONNECT);
        }
        self.seen = Some(status);
        Ok(Some(event))
    }
}

impl Status {
    async fn of(state: &State, upload: &Upload) -> Result<Self, UploadError> {
        let import = match &upload.terms.url {
            Some(url) => {
                let note = state.catalog.import_note(upload.id).await?;
                Some(Import { url: import::shown(url), attempts: note.attempts, error: note.error })
            }
            None => None,
        };
        let live = state.live.snapshot(upload.id);
        Ok(Self::made(upload, live.as_ref(), import))
    }

    fn made(upload: &Upload, live: Option<&Snapshot>, import: Option<Import>) -> Self {
        let is_open = upload.state == UploadState::Open;
        let rate = live.filter(|_| is_open).map_or(0.0, |live| live.rate.max(0.0));
        let rate = Duration::try_from_secs_f64(rate).unwrap_or(Duration::MAX).as_secs();
        let left = upload.length.map(|length| length.saturating_sub(upload.offset));
        Self {
            id: upload.id.to_string(),
            state: upload.state.as_str(),
            asset: upload.target.map(|target| target.asset),
            document: document::of(upload),
            file_name: upload.file_name.clone(),
            length: upload.length,
            received: live.map_or(0, |live| live.received).max(upload.offset),
            durable: upload.offset,
            is_receiving: is_open && live.is_some_and(|live| live.is_receiving),
            rate_bytes_per_second: rate,
            eta_seconds: left.filter(|left| is_open && rate > 0 && *left > 0).map(|left| left.div_ceil(rate)),
            stalls: live.map_or(0, |live| live.stalls),
            stalled_seconds: live.map_or(0.0, |live| (live.stalled.as_secs_f64() * 10.0).round() / 10.0),
            hand_overs: live.map_or(0, |live| live.hand_overs),
            last_error: live.and_then(|live| live.last_error.clone()),
            head: head(upload, live),
            failure: upload.failure.clone(),
            import,
            created_at: upload.created_at.rfc3339(),
            updated_at: upload.updated_at.rfc3339(),
            expires_at: upload.expires_at.map(Timestamp::rfc3339),
        }
    }
}

fn head(upload: &Upload, live: Option<&Snapshot>) -> &'static str {
    match live.map(|live| &live.look) {
        _ if upload.state == UploadState::Refused => "refused",
        None | Some(Look::Ahead) => "not_seen_yet",
        Some(Look::At(_)) => "incomplete",
        Some(Look::Running) => "being_looked_at",
        Some(Look::Fine) => "fine",
        Some(Look::AtTheEnd) => "shown_when_complete",
        Some(Look::Refused(_)) => "refused",
    }
}

fn text(status: &Status) -> String {
    // Every field has a form in JSON.
    serde_json::to_string(status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_json_gets_json() {
        let asked = |accept: &str| {
            let value = HeaderValue::from_str(accept).expect("a value");
            is_asked_for(&HeaderMap::from_iter([(ACCEPT, value)]))
        };
        assert!(asked("application/json") && asked("text/html, Application/JSON;q=0.9"));
        assert!(!asked("*/*") && !asked("video/mp4, application/*") && !asked(""));
        assert!(!is_asked_for(&HeaderMap::new()));
    }
}
