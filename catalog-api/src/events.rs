//! What changes, as server-sent events (WHATWG HTML §9.2) with replay.
//!
//! A stream begins after `Last-Event-ID` or `?after=`, else with what happens next. It reads the
//! event table, never a queue: a slow client costs nothing, and a lost connection loses nothing. It ends with what let
//! its client in: a session, an account, a key.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use catalog_store::{Catalog, CatalogError};
use domain::authority::Action;
use domain::{AssetId, Principal, Topics};
use futures::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::State;
use crate::accounts::Caller;
use crate::assets::asset_id;
use crate::door::{Pass, any_asset_for};
use crate::problem::{Problem, chain};

/// Silence after which a comment proves that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(3);
/// How long an event of another process may stay unseen.
const POLL: Duration = Duration::from_secs(1);
/// Rest after a wake-up, so that a burst of changes is read at once.
const QUIET: Duration = Duration::from_millis(50);
/// How long a stream goes on before its client is asked again who it is; before events it always is.
const ASKED_EVERY: Duration = Duration::from_secs(5);
/// How long a stream lasts where one has to be somebody: then the client comes back, and is asked who it is.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Event streams that may be open at the same time; one more is told to come back later.
const STREAMS_MAX: usize = 512;
/// Those of one principal, so that nobody takes the places of all others.
const STREAMS_OF_ONE_MAX: usize = 16;
/// Events read at once.
const BATCH_EVENTS: u32 = 100;

/// Which events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    asset: Option<String>,
    topics: Option<String>,
    after: Option<u64>,
}

/// Who has how many streams open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    of_each: Arc<Mutex<HashMap<String, usize>>>,
}

/// The right to one stream, given back with it.
struct Place {
    _permit: OwnedSemaphorePermit,
    of_each: Arc<Mutex<HashMap<String, usize>>>,
    name: Option<String>,
}

impl Places {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(STREAMS_MAX)), of_each: Arc::default() }
    }

    /// A place for this name; whoever has none shares all places with the others.
    fn take(&self, name: Option<String>) -> Result<Place, Problem> {
        let permit = self.all.clone().try_acquire_owned().map_err(|_| Problem::too_many_streams())?;
        if let Some(name) = &name {
            let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
            let open = of_each.entry(name.clone()).or_default();
            if *open == STREAMS_OF_ONE_MAX {
                return Err(Problem::too_many_own_streams(STREAMS_OF_ONE_MAX));
            }
            *open += 1;
        }
        Ok(Place { _permit: permit, of_each: Arc::clone(&self.of_each), name })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(name) = &self.name else { return };
        let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = of_each.get_mut(name) {
            *open -= 1;
            if *open == 0 {
                of_each.remove(name);
            }
        }
    }
}

/// One event, as it is sent.
#[derive(Serialize)]
struct EventView<'a> {
    seq: u64,
    at: String,
    topic: &'a str,
    asset: Option<AssetId>,
    data: &'a serde_json::Value,
}

pub(crate) async fn stream(
    Shared(state): Shared<State>,
    caller: Caller,
    parts: Parts,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::unreadable_query(&error.body_text()))?;
    let asset = query.asset.as_deref().map(asset_id).transpose()?;
    let topics: Topics = query
        .topics
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|error: domain::TopicsError| Problem::invalid_parameter(error.to_string()))?;
    let confined_to = caller.confined_to();
    if let Some(asset) = asset.filter(|_| confined_to.is_some()) {
        any_asset_for(&state, &caller, asset, Action::ReadAsset).await?;
    }
    let place = state.streams.take(caller.principal.name())?;
    // Subscribed before the first read, so nothing between the two is missed.
    let changed = state.catalog.changed();
    let resumed = resume_point(&parts.headers)?;
    if [resumed, query.after].into_iter().flatten().any(|seq| i64::try_from(seq).is_err()) {
        return Err(Problem::invalid_query("after and Last-Event-ID are numbers of events"));
    }
    let (seq, is_reset) = beginning(&state.catalog, resumed.or(query.after)).await?;
    let mut first = Event::default().retry(RECONNECT);
    if is_reset {
        first = first.event("reset").data("{}");
    }
    // Where nobody is asked, nobody can be out.
    let is_asked = caller.principal != Principal::Unasked;
    let reader = Reader {
        changed,
        asset,
        topics,
        me: caller.principal.member().map(|member| member.id),
        confined_to,
        ends_at: is_asked.then(|| Instant::now() + LIFE),
        pass: is_asked.then(|| Pass::new(caller, Action::FollowEvents, &parts)),
        asked_at: Instant::now(),
        seq,
        ready: VecDeque::from([first]),
        state,
        _place: place,
    };
    let sse = Sse::new(reader.into_stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive"));
    let mut response = sse.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    // nginx would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The last event that a returning client has seen.
fn resume_point(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let seq = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    seq.map(Some).ok_or_else(|| Problem::invalid_query("Last-Event-ID is the number of an event"))
}

/// After which event to begin, and whether some of those asked for are not there any more.
async fn beginning(catalog: &Catalog, asked: Option<u64>) -> Result<(u64, bool), CatalogError> {
    let last = catalog.last_event().await?;
    match asked {
        None => Ok((last, false)),
        Some(asked) if asked > last => Ok((last, true)),
        Some(asked) => {
            let first_kept = catalog.first_event().await?.unwrap_or(last + 1);
            // Numbers have no gaps but those that a restore leaves: who has seen one in there has seen what is not so.
            let is_of_lost_time = asked >= first_kept && asked < last && !catalog.has_event(asked).await?;
            Ok((asked, asked + 1 < first_kept || is_of_lost_time))
        }
    }
}

/// Reads the event table for one client.
struct Reader {
    state: State,
    changed: watch::Receiver<u64>,
    asset: Option<AssetId>,
    topics: Topics,
    /// Who it is: what is for somebody else alone is not shown.
    me: Option<domain::UserId>,
    /// Only what this name sees.
    confined_to: Option<String>,
    ends_at: Option<Instant>,
    /// What let the client in.
    pass: Option<Pass>,
    /// When it was last asked for.
    asked_at: Instant,
    seq: u64,
    ready: VecDeque<Event>,
    /// Counts the stream until it ends.
    _place: Place,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, async |mut reader| {
            let event = reader.next().await?;
            Some((Ok(event), reader))
        })
    }

    /// The next event; `None` at shutdown, when the catalogue fails, and when what let the client in holds no longer:
    /// the client will come back.
    async fn next(&mut self) -> Option<Event> {
        // Ends with an event, at shutdown, or when the client is gone and drops the stream.
        loop {
            if self.state.shutdown.is_cancelled() || self.ends_at.is_some_and(|end| end <= Instant::now()) {
                return None;
            }
            if self.asked_at.elapsed() >= ASKED_EVERY && !self.still_holds().await {
                return None;
            }
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let has_more = match self.read().await {
                Ok(has_more) => has_more,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "an event stream ends early");
                    return None;
                }
            };
            if self.ready.is_empty() {
                // Of all that was read nothing is for this client: what comes behind it may be.
                if !has_more {
                    self.wait().await;
                }
            } else if !self.still_holds().await {
                return None;
            }
        }
    }

    /// Whether what let the client in still does.
    async fn still_holds(&mut self) -> bool {
        self.asked_at = Instant::now();
        match &self.pass {
            Some(pass) => pass.still_holds(&self.state).await,
            None => true,
        }
    }

    /// Reads on; whether there may be more at once.
    async fn read(&mut self) -> Result<bool, CatalogError> {
        // Asked first: what comes meanwhile is read the next time.
        let State { catalog, clock, .. } = &self.state;
        let last = if self.confined_to.is_some() { catalog.last_event().await? } else { 0 };
        let events = match (self.asset, &self.confined_to) {
            (Some(asset), None) => catalog.events_of(asset, self.seq, BATCH_EVENTS).await?,
            (None, None) => catalog.events_after(self.seq, BATCH_EVENTS).await?,
            (_, Some(name)) => catalog.events_seen_by(name, self.seq, BATCH_EVENTS, clock.now()).await?,
        };
        let is_all = events.len() < usize::try_from(BATCH_EVENTS).unwrap_or(usize::MAX);
        for event in events {
            self.seq = event.seq;
            let is_for_another = event.user.is_some() && event.user != self.me;
            let is_of_another = self.asset.is_some() && self.asset != event.asset;
            if is_for_another || is_of_another || !self.topics.has(&event.topic) {
                continue;
            }
            let view = EventView {
                seq: event.seq,
                at: event.at.rfc3339(),
                topic: &event.topic,
                asset: event.asset,
                data: &event.data,
            };
            let text = serde_json::to_string(&view).unwrap_or_default();
            self.ready.push_back(Event::default().id(event.seq.to_string()).data(text));
        }
        if is_all {
            // What nobody shows need not be read again.
            self.seq = self.seq.max(last);
        }
        Ok(!is_all)
    }

    /// Until something may have happened. Whichever branch loses, nothing is lost with it.
    async fn wait(&mut self) {
        tokio::select! {
            () = self.state.shutdown.cancelled() => return,
            () = tokio::time::sleep(POLL) => return,
            // Fails once the catalogue is gone; the next read says so.
            _ = self.changed.changed() => {}
        }
        tokio::select! {
            () = self.state.shutdown.cancelled() => {}
            () = tokio::time::sleep(QUIET) => {}
        }
    }
}
