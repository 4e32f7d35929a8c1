//! A cache in front of another origin: it answers from memory what it may, and asks the upstream for the rest, once
//! however many ask.
//!
//! ```text
//! request -> asking      what matters of it; what has been here before is refused
//!         -> kept        answers in memory, by address and by what they vary for
//!         -> terms       fresh, stale but usable, or to be asked for (RFC 9111, 5861, 9213)
//!         -> flight      one request to the upstream per answer; all who wait share the growing body
//!         -> upstream    the client, its bounds, and the way to go on where a body broke off
//! ```
//!
//! What is not for more than one client, or too large, is passed through.
//! Directives of requests do not make the edge ask the upstream: nobody can wear it out with them. `no-store` and
//! `only-if-cached` are heeded.

mod asking;
mod directives;
mod fields;
mod flight;
mod kept;
mod purges;
mod terms;
mod upstream;
mod vary;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use domain::{Clock, Timestamp};
use futures::{Stream, StreamExt, stream};
use http::header::{HeaderMap, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use quick_cache::sync::Cache;
use reqwest::Url;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tower::Service;

use self::asking::Asking;
use self::flight::{Flights, Joined, Landed, Live, Way};
use self::kept::{Kept, Store};
use self::purges::{Purges, Scope};
use self::terms::Standing;
use self::upstream::{Incoming, Trouble, Upstream};
use crate::access::Gate;
use crate::body::{Body, Part};
use crate::guard;
use crate::objects::FetchError;
use crate::policy;
use crate::problem::Problem;
use crate::refusal::{Refusal, options, refused_method};

/// Answers that are passed through at a time.
const PASSES_MAX: usize = 512;
/// Addresses of which it is remembered that their answers are not for more than one.
const LONELY_MAX: usize = 16 << 10;
/// Rounds in which a request waits for an answer and finds that it is not the one for it.
const ROUNDS_MAX: usize = 3;
/// What a client is to wait before it asks again, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");
/// What an edge did with requests, as [`Edge::counts`] names it.
const OUTCOMES: [&str; 7] = ["hit", "stale", "miss", "revalidated", "collapsed", "passed", "failed"];

/// Settings of an [`Edge`].
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The origin's address: a scheme (`http` or `https`), a host, and a port if it is not the scheme's.
    pub upstream: String,
    /// A header that is sent with each request to it, by which it knows this edge.
    pub secret: Option<(HeaderName, HeaderValue)>,
    /// Memory for answers, in octets; what arrives takes half as much again at most.
    pub cache_bytes: u64,
    /// Most requests to the upstream that wait for an answer, or bring one for several, at a time.
    pub requests_max: usize,
}

/// Why an edge cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The address of the upstream is not one.
    #[error("the upstream must be http:// or https:// with a host and nothing behind it, not {0:?}")]
    Upstream(String),
    /// The client cannot be made.
    #[error("cannot make a client for the upstream")]
    Client(#[from] reqwest::Error),
}

/// The address of an upstream.
///
/// # Errors
/// [`EdgeError::Upstream`].
fn address(upstream: &str) -> Result<Url, EdgeError> {
    let wrong = || EdgeError::Upstream(upstream.to_owned());
    let url: Url = upstream.parse().map_err(|_| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    (is_bare && is_anonymous && is_http).then_some(url).ok_or_else(wrong)
}

/// Checks the address of an upstream.
///
/// # Errors
/// [`EdgeError::Upstream`].
pub fn check_upstream(upstream: &str) -> Result<(), EdgeError> {
    address(upstream).map(drop)
}

/// A caching shield: a tower service that answers GET and HEAD of any path. Cheap to clone; clones share their cache.
#[derive(Clone)]
pub struct Edge(Arc<Shield>);

struct Shield {
    clock: Arc<dyn Clock>,
    gate: Gate,
    upstream: Arc<Upstream>,
    store: Store,
    purges: Purges,
    flights: Flights,
    lonely: Cache<String, Timestamp>,
    /// For what arrives.
    room: Arc<Semaphore>,
    passes: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Our name in `CDN-Loop`: of this process, so that edges may stand behind one another.
    id: String,
    counts: [AtomicU64; OUTCOMES.len()],
}

impl Edge {
    /// An edge before the origin that `config` names; of `gate` only the secret counts that requests have to carry.
    ///
    /// # Errors
    /// [`EdgeError`].
    pub fn new(config: EdgeConfig, gate: Gate, clock: Arc<dyn Clock>) -> Result<Self, EdgeError> {
        let base = address(&config.upstream)?;
        let upstream = Upstream::new(base, config.secret, config.requests_max, Arc::clone(&clock))?;
        let id = format!("{}-{:016x}", fields::NAME, u128::from_be_bytes(clock.entropy()) >> 64);
        Ok(Self(Arc::new(Shield {
            clock,
            gate,
            upstream: Arc::new(upstream),
            store: Store::new(config.cache_bytes),
            purges: Purges::default(),
            flights: Flights::default(),
            lonely: Cache::new(LONELY_MAX),
            room: Arc::new(Semaphore::new(flight::room_units(config.cache_bytes / 2))),
            passes: Arc::new(Semaphore::new(PASSES_MAX)),
            tasks: TaskTracker::new(),
            id,
            counts: Default::default(),
        })))
    }

    /// The answer to a request, if it is kept and fresh. Nothing is waited for, and of the request no more is looked
    /// at than decides it; `None` means no more than that the request has to be served.
    pub fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let (shield, method, headers) = (&self.0, request.method(), request.headers());
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        guard::check_bodiless(method, headers).ok()?;
        shield.gate.check_cdn(request.uri(), headers).ok()?;
        let key = asking::key(request.uri())?;
        let kept = shield.store.get(&shield.store.name(&key, headers))?;
        let is_fresh = kept.terms.standing(shield.clock.now()) == Standing::Fresh;
        is_fresh.then(|| shield.hit(method, headers, &kept, "hit"))
    }

    /// Forgets every answer that carries one of these tags in `Surrogate-Key`; how many there were. What arrives is
    /// given to those who wait for it, and not kept.
    pub fn purge<T: AsRef<str>>(&self, tags: &[T]) -> usize {
        self.0.purge(Scope::Tags(tags.iter().map(|tag| tag.as_ref().as_bytes().into()).collect()))
    }

    /// Forgets every answer; how many there were.
    pub fn purge_all(&self) -> usize {
        self.0.purge(Scope::All)
    }

    /// What was done with requests so far, by name.
    pub fn counts(&self) -> [(&'static str, u64); OUTCOMES.len()] {
        std::array::from_fn(|at| (OUTCOMES[at], self.0.counts[at].load(Ordering::Relaxed)))
    }
}

impl<B> Service<Request<B>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shield = Arc::clone(&self.0);
        let (head, _) = request.into_parts();
        Box::pin(async move {
            let mut response = shield.answer(&head).await;
            if head.method == Method::HEAD {
                *response.body_mut() = Body::empty();
            }
            Ok(response)
        })
    }
}

const LOOP: Problem = Problem {
    status: StatusCode::LOOP_DETECTED,
    code: "loop",
    detail: "the upstream of this edge leads back to it: set `upstream` to the address of the origin itself",
    cache_control: policy::NO_STORE,
};
const BAD_PATH: Problem = Problem {
    status: StatusCode::BAD_REQUEST,
    code: "bad_path",
    detail: "the path is not well-formed",
    cache_control: policy::NO_STORE,
};
const NOT_KEPT: Problem = Problem {
    status: StatusCode::GATEWAY_TIMEOUT,
    code: "not_kept",
    detail: "this is not kept here, and the request does not want it from elsewhere (only-if-cached)",
    cache_control: policy::NO_STORE,
};

impl Trouble {
    fn problem(self) -> Problem {
        let (status, code, detail) = match self {
            Self::Unreachable => (
                StatusCode::BAD_GATEWAY,
                "upstream_unreachable",
                "the origin behind this edge cannot be reached: look whether it runs, and whether `upstream` names it",
            ),
            Self::Broken => (
                StatusCode::BAD_GATEWAY,
                "upstream_broken",
                "the origin behind this edge gave an answer that cannot be used: its log tells more",
            ),
            Self::Slow => (
                StatusCode::GATEWAY_TIMEOUT,
                "upstream_slow",
                "the origin behind this edge takes too long: ask again, and look at its load",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many requests wait for the origin behind this edge already: ask again",
            ),
        };
        Problem { status, code, detail, cache_control: policy::NO_STORE }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
            Self::Slow => "slow",
            Self::Busy => "busy",
        }
    }
}

fn told(problem: Problem) -> Response<Body> {
    let mut response: Response<Body> = problem.respond();
    policy::dress(response.headers_mut());
    response
}

/// Adds this cache to those that the answer came through.
fn mark(mut response: Response<Body>, status: &str) -> Response<Body> {
    fields::append(response.headers_mut(), fields::CACHE_STATUS, &format!("{}; {status}", fields::NAME));
    response
}

impl Shield {
    fn count(&self, outcome: &str) {
        if let Some(at) = OUTCOMES.iter().position(|name| *name == outcome) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn purge(&self, scope: Scope) -> usize {
        let scope = Arc::new(scope);
        // Remembered first: what is put while the store is looked through is looked at by whoever puts it.
        self.purges.remember(Arc::clone(&scope));
        self.store.purge(&scope)
    }

    async fn answer(self: &Arc<Self>, head: &request::Parts) -> Response<Body> {
        if let Err(violation) = guard::check_bodiless(&head.method, &head.headers) {
            return violation.respond(head.version);
        }
        if let Err(denied) = self.gate.check_cdn(&head.uri, &head.headers) {
            return Refusal::Denied(denied).respond();
        }
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => {
                let mut response = options();
                policy::dress(response.headers_mut());
                return response;
            }
            _ => return refused_method(),
        }
        if fields::has_looped(&head.headers, &self.id) {
            return told(LOOP);
        }
        let Some(mut asking) = Asking::read(head, &self.id) else { return told(BAD_PATH) };
        // The secret between a client and this edge is none of the upstream's.
        asking.onwards.remove(self.gate.secret_header());
        self.serve(&Arc::new(asking)).await
    }

    async fn serve(self: &Arc<Self>, asking: &Arc<Asking>) -> Response<Body> {
        for _ in 0..ROUNDS_MAX {
            let name = self.store.name(&asking.key, &asking.headers);
            let kept = self.store.get(&name);
            if let Some(response) = kept.as_ref().and_then(|kept| self.from_memory(asking, &name, kept)) {
                return response;
            }
            if asking.is_only_if_cached {
                return mark(told(NOT_KEPT), "fwd=request; detail=only-if-cached");
            }
            let is_alone = asking.is_no_store
                || asking.method == Method::HEAD && kept.is_none()
                || self.lonely.get(&name).is_some_and(|until| self.clock.now() < until);
            if is_alone {
                break;
            }
            let (landing, is_first) = match flight::join(self, asking, &name) {
                Joined::Found(kept) => return self.hit(&asking.method, &asking.headers, &kept, "hit"),
                Joined::Flying(landing, is_first) => (landing, is_first),
            };
            match flight::landed(landing).await {
                Landed::Shared(found, way) if found.suits(&asking.headers) => {
                    return self.brought(asking, &found, way, is_first);
                }
                // It is another variant: now it is known what it varies for.
                Landed::Shared(..) => {}
                Landed::Alone(live) => {
                    // It answers the request that the flight began with: nobody else may see it.
                    let taken = || live.lock().unwrap_or_else(PoisonError::into_inner).take();
                    match (is_first && asking.is_for_whole()).then(taken).flatten() {
                        Some(live) => return self.relay(live, "fwd=uri-miss"),
                        None => break,
                    }
                }
                Landed::Failed(trouble, document) => {
                    let document = document.filter(|document| is_first || document.is_for_all);
                    return self.failed(asking, kept, trouble, document.map(|document| document.kept));
                }
            }
        }
        self.pass(asking).await
    }

    /// The answer that is kept, if it may be given as it is.
    fn from_memory(self: &Arc<Self>, asking: &Arc<Asking>, name: &str, kept: &Arc<Kept>) -> Option<Response<Body>> {
        let now = self.clock.now();
        let hit = |outcome| Some(self.hit(&asking.method, &asking.headers, kept, outcome));
        match kept.terms.standing(now) {
            Standing::Fresh => hit("hit"),
            Standing::Refreshable => {
                if !kept.is_troubled(now) && !asking.is_only_if_cached {
                    // Nobody waits for it.
                    let _ = flight::join(self, asking, name);
                }
                hit("stale")
            }
            Standing::Stale { is_better_than_nothing: true } if kept.is_troubled(now) => hit("stale"),
            Standing::Stale { .. } | Standing::Over => None,
        }
    }

    fn hit(&self, method: &Method, asked: &HeaderMap, kept: &Kept, outcome: &str) -> Response<Body> {
        self.count(outcome);
        let now = self.clock.now();
        let response = kept.respond(method, asked, now);
        mark(response, &format!("hit; ttl={}", kept.terms.ttl_s(now)))
    }

    /// An answer of the upstream that is there, or arrives.
    fn brought(&self, asking: &Asking, kept: &Kept, way: Way, is_first: bool) -> Response<Body> {
        let (outcome, why, status) = match way {
            Way::New => ("miss", "uri-miss", kept.status().as_u16()),
            Way::Changed => ("miss", "stale", kept.status().as_u16()),
            Way::Confirmed => ("revalidated", "stale", 304),
        };
        self.count(if is_first { outcome } else { "collapsed" });
        let collapsed = if is_first { "" } else { "; collapsed" };
        let response = kept.respond(&asking.method, &asking.headers, self.clock.now());
        mark(response, &format!("fwd={why}; fwd-status={status}; stored{collapsed}"))
    }

    /// The upstream gives no answer, or one that tells of an error.
    fn failed(
        &self,
        asking: &Asking,
        kept: Option<Arc<Kept>>,
        trouble: Trouble,
        document: Option<Arc<Kept>>,
    ) -> Response<Body> {
        let now = self.clock.now();
        let why = if kept.is_some() { "stale" } else { "uri-miss" };
        let fwd_status =
            document.as_ref().map_or(String::new(), |told| format!("; fwd-status={}", told.status().as_u16()));
        if let Some(kept) = kept.filter(|kept| kept.terms.covers_errors(now)) {
            self.count("stale");
            let response = kept.respond(&asking.method, &asking.headers, now);
            return mark(
                response,
                &format!("fwd=stale{fwd_status}; ttl={}; detail=stale-if-error", kept.terms.ttl_s(now)),
            );
        }
        self.count("failed");
        let response = match document {
            Some(document) => document.respond(&asking.method, &asking.headers, now),
            None => {
                let mut response = told(trouble.problem());
                response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
                response
            }
        };
        mark(response, &format!("fwd={why}{fwd_status}; detail={}", trouble.detail()))
    }

    /// Asks the upstream for this client alone.
    async fn pass(&self, asking: &Asking) -> Response<Body> {
        match self.upstream.ask(&asking.method, &asking.target, &asking.onwards).await {
            Err(trouble) => self.failed(asking, None, trouble, None),
            Ok(reply) => {
                let (status, length, headers) = (reply.status, reply.length, reply.headers.clone());
                let rest = reply.body(&self.upstream, &asking.target, &asking.onwards);
                let why = if asking.is_no_store { "fwd=request" } else { "fwd=uri-miss" };
                if asking.method == Method::HEAD {
                    return self.passed(status, headers, Body::empty(), why);
                }
                self.relay(Live { status, headers, length, begun: Vec::new(), rest }, why)
            }
        }
    }

    /// Passes an answer on to this client alone, as fast as it takes it.
    fn relay(&self, live: Live, why: &str) -> Response<Body> {
        let Live { status, headers, length, begun, mut rest } = live;
        let is_empty = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || length == Some(0);
        if is_empty {
            return self.passed(status, headers, Body::empty(), why);
        }
        let Ok(place) = Arc::clone(&self.passes).try_acquire_owned() else {
            return self.failed_for_want_of_room(why);
        };
        // From here on the client decides how long it takes: others need the turn.
        rest.give_turn_back();
        let pieces = stream::iter(begun.into_iter().map(Ok)).chain(pieces(rest, place));
        let part = Part::Stream(pieces.boxed());
        let body = match length {
            Some(length) => Body::part(part, length),
            None => Body::unmeasured(part),
        };
        self.passed(status, headers, body, why)
    }

    fn failed_for_want_of_room(&self, why: &str) -> Response<Body> {
        self.count("failed");
        let mut response = told(Trouble::Busy.problem());
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
        mark(response, &format!("{why}; detail=busy"))
    }

    fn passed(&self, status: StatusCode, headers: HeaderMap, body: Body, why: &str) -> Response<Body> {
        self.count("passed");
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        mark(response, &format!("{why}; fwd-status={}", status.as_u16()))
    }
}

/// What is left of a body, one piece at a time.
fn pieces(rest: Incoming, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, FetchError>> {
    stream::unfold(Some((rest, place)), |state| async move {
        let (mut rest, place) = state?;
        match rest.next().await {
            Ok(piece) => Some((Ok(piece?), Some((rest, place)))),
            Err(error) => Some((Err(error), None)),
        }
    })
}
