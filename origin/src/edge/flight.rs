//! One request to the upstream per answer, however many ask for it: the first sends it, all get the octets as they
//! come, and it goes on when any of them leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::Timestamp;
use http::header::{COOKIE, HeaderMap, SET_COOKIE};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::{Semaphore, watch};
use tokio::time::{timeout, timeout_at};

use super::Shield;
use super::asking::Asking;
use super::directives::Directives;
use super::fields;
use super::kept::Kept;
use super::purges::Moment;
use super::terms::{Asked, Standing, Terms};
use super::upstream::{Incoming, Reply, Trouble};
use super::vary;
use crate::body::Content;
use crate::growing::Growing;
use crate::memory::Object;
use crate::objects::FetchError;

/// Largest answer that is collected before it is passed on, since nobody tells how long it is.
const COLLECTED_BYTES_MAX: usize = 1 << 20;
/// Time for collecting it.
const COLLECTING_TIME: Duration = Duration::from_secs(2);
/// Time for an answer that is kept to come whole.
const FILLING_TIME: Duration = Duration::from_secs(600);
/// Largest document about an error that is given to all who wait.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// How long it is remembered that an answer is not for more than one.
const LONELY_FOR: Duration = Duration::from_secs(30);
/// The same where it is so only for want of room.
const CROWDED_FOR: Duration = Duration::from_secs(1);
/// Octets per permit of the room for what arrives.
const ROOM_UNIT_BYTES: u64 = 1024;

/// What came of a request to the upstream.
#[derive(Clone)]
pub(super) enum Landed {
    /// An answer for all that it suits; how it came.
    Shared(Arc<Kept>, Way),
    /// An answer for one of those who wait: the others have to ask for theirs.
    Alone(Arc<Mutex<Option<Live>>>),
    /// None, or one that tells of an error.
    Failed(Trouble, Option<Document>),
}

/// An answer that tells of an error.
#[derive(Clone)]
pub(super) struct Document {
    pub(super) kept: Arc<Kept>,
    /// It is not only for the request that the flight began with.
    pub(super) is_for_all: bool,
}

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It was not there.
    New,
    /// What was there is no longer so.
    Changed,
    /// What was there still is so.
    Confirmed,
}

/// An answer that is on its way to one client.
pub(super) struct Live {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) length: Option<u64>,
    /// What was read of it already.
    pub(super) begun: Vec<Bytes>,
    pub(super) rest: Incoming,
}

type Landing = watch::Receiver<Option<Landed>>;

/// Requests to the upstream under way, by the name of what they bring. There are at most as many as may wait for a
/// turn.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<String, Landing>>);

impl Flights {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Landing>> {
        // The table is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flight that somebody has joined.
pub(super) enum Joined {
    /// It had landed in the meantime.
    Found(Arc<Kept>),
    /// It is under way; whether it began with this request.
    Flying(Landing, bool),
}

/// Takes a flight out of the table, however it ends.
struct Flight {
    shield: Arc<Shield>,
    name: String,
    /// The name by which it is known once it is known what the answer varies for.
    other_name: Option<String>,
    landing: watch::Sender<Option<Landed>>,
    /// When it began, among the purges.
    began: Moment,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut table = self.shield.flights.lock();
        table.remove(&self.name);
        self.other_name.as_ref().map(|name| table.remove(name));
    }
}

/// Joins the flight that brings `name`, or begins one.
pub(super) fn join(shield: &Arc<Shield>, asking: &Arc<Asking>, name: &str) -> Joined {
    let mut table = shield.flights.lock();
    if let Some(landing) = table.get(name) {
        return Joined::Flying(landing.clone(), false);
    }
    // It may have landed between the look into memory and this one.
    let stale = match shield.store.get(name) {
        Some(kept) if kept.terms.standing(shield.clock.now()) == Standing::Fresh => return Joined::Found(kept),
        other => other,
    };
    let (landing, landed) = watch::channel(None);
    table.insert(name.to_owned(), landed.clone());
    drop(table);
    let began = shield.purges.moment();
    let flight = Flight { shield: Arc::clone(shield), name: name.to_owned(), other_name: None, landing, began };
    let asking = Arc::clone(asking);
    // A task of its own: nobody who leaves takes it along, and each of its waits has a bound.
    shield.tasks.spawn(async move { flight.fly(&asking, stale).await });
    Joined::Flying(landed, true)
}

/// Waits until it is known what came of a flight.
pub(super) async fn landed(mut landing: Landing) -> Landed {
    match landing.wait_for(Option::is_some).await {
        Ok(landed) => landed.clone().unwrap_or(Landed::Failed(Trouble::Broken, None)),
        Err(_) => Landed::Failed(Trouble::Broken, None),
    }
}

impl Flight {
    fn land(&self, landed: Landed) {
        self.landing.send_replace(Some(landed));
    }

    /// Keeps an answer, unless it was purged since it was asked for.
    fn keep(&self, asking: &Asking, whole: &Arc<Kept>) {
        let (store, purges) = (&self.shield.store, &self.shield.purges);
        store.keep(&asking.key, whole);
        // Looked at behind it: a purge that comes between the two finds it there.
        if purges.have_reached(self.began, &whole.tags()) {
            store.forget(&store.name(&asking.key, &asking.headers));
        }
    }

    fn now(&self) -> Timestamp {
        self.shield.clock.now()
    }

    async fn fly(self, asking: &Asking, stale: Option<Arc<Kept>>) {
        let stale = stale.filter(|kept| kept.terms.standing(self.now()) != Standing::Over);
        let plain = fields::unconditional(asking.onwards.clone());
        let mut headers = plain.clone();
        let is_conditional = stale.as_ref().is_some_and(|kept| kept.condition(&mut headers));
        let upstream = &self.shield.upstream;
        let mut reply = upstream.ask(&Method::GET, &asking.target, &headers).await;
        if let (Ok(answer), Some(kept), true) = (&reply, &stale, is_conditional)
            && answer.status == StatusCode::NOT_MODIFIED
        {
            let terms = |status: StatusCode, headers: &HeaderMap| terms(asking, status, headers, answer);
            if let Some(fresh) = kept.freshened(&answer.headers, terms).filter(|_| kept.is_meant_by(&answer.headers)) {
                let fresh = Arc::new(fresh);
                self.keep(asking, &fresh);
                return self.land(Landed::Shared(fresh, Way::Confirmed));
            }
            // It speaks of another answer, or takes this one's terms back: the whole is needed.
            reply = upstream.ask(&Method::GET, &asking.target, &plain).await;
        }
        match reply {
            Err(trouble) => {
                if let Some(kept) = &stale {
                    kept.set_troubled(self.now());
                }
                self.land(Landed::Failed(trouble, None));
            }
            Ok(reply) if is_error(reply.status) => {
                if let Some(kept) = &stale {
                    kept.set_troubled(self.now());
                }
                let told = self.error(asking, reply, &plain).await;
                self.land(Landed::Failed(Trouble::Broken, told));
            }
            Ok(reply) if reply.status == StatusCode::NOT_MODIFIED => self.land(Landed::Failed(Trouble::Broken, None)),
            Ok(reply) => {
                let way = if stale.is_some() { Way::Changed } else { Way::New };
                self.bring(asking, reply, &plain, way).await;
            }
        }
    }

    /// The document about an error, if it is short.
    async fn error(&self, asking: &Asking, reply: Reply, headers: &HeaderMap) -> Option<Document> {
        let (status, answered) = (reply.status, reply.headers.clone());
        let mut rest = reply.body(&self.shield.upstream, &asking.target, headers);
        let (pieces, Ok(true)) = collect(&mut rest, ERROR_BYTES_MAX).await else { return None };
        let is_private = Directives::of_everybody(&answered).is_private || answered.contains_key(SET_COOKIE);
        let is_for_all = !is_private && !asking.is_authorized && !asking.headers.contains_key(COOKIE);
        let terms = Terms::of_once(self.now());
        let told = kept(status, answered, pieces, terms, (Arc::new([]), &asking.headers));
        Some(Document { kept: Arc::new(told), is_for_all })
    }

    /// Passes an answer on, and keeps it if it may be kept.
    async fn bring(mut self, asking: &Asking, reply: Reply, headers: &HeaderMap, way: Way) {
        let shield = Arc::clone(&self.shield);
        let store = &shield.store;
        let terms = terms(asking, reply.status, &reply.headers, &reply).filter(|_| reply.is_delimited);
        let spec = vary::spec(&reply.headers);
        let (status, length, answered) = (reply.status, reply.length, reply.headers.clone());
        let room = room(&self.shield.room, length.unwrap_or(COLLECTED_BYTES_MAX as u64));
        let mut rest = reply.body(&self.shield.upstream, &asking.target, headers);
        let is_small = store.takes(length.unwrap_or(0));
        let is_crowded = room.is_none() && terms.is_some() && spec.is_some() && is_small;
        let (Some(terms), Some(spec), Some(room), true) = (terms, spec, room, is_small) else {
            let time = if is_crowded { CROWDED_FOR } else { LONELY_FOR };
            return self.leave(Live { status, headers: answered, length, begun: Vec::new(), rest }, time);
        };
        let Some(length) = length else {
            // Octets are handed to those who wait once all are there: then it is known how many there are.
            return match collect(&mut rest, COLLECTED_BYTES_MAX).await {
                (pieces, Ok(true)) => {
                    let whole = kept(status, answered, pieces, terms, (spec, &asking.headers));
                    self.settle(asking, Arc::new(whole), way);
                }
                (begun, Ok(false)) => {
                    self.leave(Live { status, headers: answered, length: None, begun, rest }, LONELY_FOR);
                }
                (_, Err(_)) => self.land(Landed::Failed(Trouble::Broken, None)),
            };
        };
        let growing = Arc::new(Growing::within(room));
        let content = (Content::Growing(Arc::clone(&growing)), length);
        let arriving = Arc::new(Kept::new(status, answered, content, terms, (spec, &asking.headers)));
        self.rename(asking, &arriving);
        self.land(Landed::Shared(Arc::clone(&arriving), way));
        let end = timeout(FILLING_TIME, fill(&growing, &mut rest)).await.unwrap_or(Err(FetchError::Slow));
        if end.is_ok() {
            let bytes = growing.joined();
            let whole = arriving.with(Content::Memory(Arc::new(object(bytes))));
            self.keep(asking, &Arc::new(whole));
        }
        growing.end(end);
    }

    /// Lets those who ask from here on find this flight by what its answer varies for.
    fn rename(&mut self, asking: &Asking, arriving: &Kept) {
        let mut table = self.shield.flights.lock();
        self.shield.store.learn(&asking.key, arriving.spec());
        let name = self.shield.store.name(&asking.key, &asking.headers);
        if name != self.name && !table.contains_key(&name) {
            table.insert(name.clone(), self.landing.subscribe());
            self.other_name = Some(name);
        }
    }

    fn settle(&self, asking: &Asking, whole: Arc<Kept>, way: Way) {
        self.keep(asking, &whole);
        self.land(Landed::Shared(whole, way));
    }

    /// Gives an answer to the one it was asked for, and lets others ask for theirs for so long; what was kept before it
    /// is no longer so.
    fn leave(&self, live: Live, time: Duration) {
        self.shield.store.forget(&self.name);
        self.shield.lonely.insert(self.name.clone(), self.now().plus(time));
        self.land(Landed::Alone(Arc::new(Mutex::new(Some(live)))));
    }
}

/// Errors in whose place an older answer may be given (RFC 5861 §4).
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

fn terms(asking: &Asking, status: StatusCode, headers: &HeaderMap, reply: &Reply) -> Option<Terms> {
    let asked = Asked {
        is_authorized: asking.is_authorized,
        sent: reply.sent,
        received: reply.received,
        ends: asking.permission.ends,
    };
    Terms::of(status, headers, asked).filter(|_| !asking.permission.is_for_some)
}

/// Room for so many octets, if there is any.
fn room(room: &Arc<Semaphore>, bytes: u64) -> Option<tokio::sync::OwnedSemaphorePermit> {
    let units = u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).ok()?;
    Arc::clone(room).try_acquire_many_owned(units).ok()
}

/// Units of room for so many octets.
pub(super) fn room_units(bytes: u64) -> usize {
    usize::try_from(bytes / ROOM_UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

async fn fill(growing: &Growing, rest: &mut Incoming) -> Result<(), FetchError> {
    // Ends with the body, which is no longer than it was said to be.
    while let Some(piece) = rest.next().await? {
        growing.push(piece);
    }
    Ok(())
}

/// What comes of a body until it ends, is too long or takes too long; `true` if that is all of it.
async fn collect(rest: &mut Incoming, bytes_max: usize) -> (Vec<Bytes>, Result<bool, FetchError>) {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    let late = tokio::time::Instant::now() + COLLECTING_TIME;
    // Ends with the body, with the piece that is too much, or with the time.
    while bytes <= bytes_max {
        // A wait that is given up loses nothing: the piece stays where it is.
        match timeout_at(late, rest.next()).await {
            Ok(Ok(Some(piece))) => {
                bytes += piece.len();
                pieces.push(piece);
            }
            Ok(Ok(None)) => return (pieces, Ok(true)),
            Ok(Err(error)) => return (pieces, Err(error)),
            Err(_) => break,
        }
    }
    (pieces, Ok(false))
}

fn object(bytes: Bytes) -> Object {
    Object { bytes, etag: HeaderValue::from_static("") }
}

/// An answer of which all octets are there.
fn kept(
    status: StatusCode,
    headers: HeaderMap,
    pieces: Vec<Bytes>,
    terms: Terms,
    of: (vary::Spec, &HeaderMap),
) -> Kept {
    let bytes: Bytes = pieces.concat().into();
    let length = bytes.len() as u64;
    Kept::new(status, headers, (Content::Memory(Arc::new(object(bytes))), length), terms, of)
}
