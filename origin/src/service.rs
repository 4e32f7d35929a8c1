//! The tower service: one request in, one response out, never an error.

mod forms;

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use domain::{Access, PlaybackId};
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY};
use http::uri::Authority;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri, request};
use media_store::{Change, Listener, MediaStore};
use packager::encryption::Lock;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::forms::Known;
use crate::access::{Claim, Gate, Opened, Passage, Peer, Ticket};
use crate::answer::{self, Answer, Representation};
use crate::body::{Body, Content};
use crate::cmcd;
use crate::demand::DemandHook;
use crate::download::Downloads;
use crate::guard;
use crate::library::{Library, Published};
use crate::lines::InLines;
use crate::memory::Object;
use crate::metrics::Metrics;
use crate::objects::{Limits, Objects};
use crate::packed::Packed;
use crate::policy::{self, Tier};
use crate::ready::{Ready, ReadyAnswers};
use crate::refusal::{Refusal, options, refused_method};
use crate::resource::{self, Resource, Standing, Stored};
use crate::route::{self, Part, Route, Target};
use crate::steering::Steering;

/// Objects that are fetched at a time because players will ask for them.
const HINTS_MAX: usize = 32;

/// Limits of an [`Origin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginConfig {
    /// Memory for segments, images and playlists, in octets.
    pub cache_bytes: u64,
    /// Memory for presentations, in octets.
    pub library_bytes: u64,
    /// Longest time a request waits for a segment that is not encoded yet.
    pub wait: Duration,
    /// Most requests that wait so at a time; further ones are told to come back.
    pub waiters_max: usize,
    /// Most objects that are read from the store at a time.
    pub reads_max: usize,
    /// The hosts that players are steered between; `None` if there is nothing to choose.
    pub steering: Option<Steering>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            library_bytes: 128 << 20,
            wait: Duration::from_secs(8),
            waiters_max: 512,
            reads_max: 64,
            steering: None,
        }
    }
}

/// Serves everything below `/v/{playback id}/`. Cheap to clone; clones share their caches.
///
/// Give it requests with their whole path, `/v` included.
#[derive(Clone)]
pub struct Origin(Arc<Parts>);

struct Parts {
    gate: Gate,
    steering: Option<Steering>,
    metrics: Arc<Metrics>,
    /// Fetches that hints ask for, and how many there may be.
    hinted: (TaskTracker, Arc<Semaphore>),
    library: Arc<Library>,
    objects: Arc<Objects>,
    packed: Arc<Packed>,
    downloads: Arc<Downloads>,
    ready: ReadyAnswers,
    /// Hears what this process publishes; kept for as long as there is an origin.
    _listener: Arc<Listener>,
}

impl Origin {
    /// An origin of what lies in `store`, which tells `demand` which planned segments are waited for.
    pub fn new(config: OriginConfig, store: MediaStore, demand: DemandHook) -> Self {
        Self::behind(config, store, demand, Gate::without_keys())
    }

    /// The same with a gate that knows keys: it decides who may play what is not public.
    pub fn behind(config: OriginConfig, store: MediaStore, demand: DemandHook, gate: Gate) -> Self {
        let OriginConfig { cache_bytes, library_bytes, wait, waiters_max, reads_max, steering } = config;
        let limits = Limits { cache_bytes, reads_max, waiters_max, wait };
        let library = Arc::new(Library::new(store.clone(), library_bytes));
        let objects = Arc::new(Objects::new(store.clone(), limits, demand));
        let listener = listener(&library, &objects);
        store.listen(&listener);
        let (packed, downloads) = (Arc::new(Packed::new()), Arc::new(Downloads::new(store)));
        let ready = ReadyAnswers::new(library.epoch());
        let hinted = (TaskTracker::new(), Arc::new(Semaphore::new(HINTS_MAX)));
        let metrics = Arc::default();
        let _listener = listener;
        Self(Arc::new(Parts { gate, steering, metrics, hinted, library, objects, packed, downloads, ready, _listener }))
    }

    /// What players told so far.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// Takes notice of what a player that was let in tells about itself. What it says that it will ask for next is
    /// brought into memory, as far as there is room: nobody waits for that.
    fn listen_to_player(&self, path: &str, uri: &Uri, headers: &HeaderMap) {
        let Some(told) = cmcd::read(uri, headers) else { return };
        self.0.metrics.heard(&told);
        let session = told.session.as_deref().unwrap_or_default();
        let (buffer_ms, throughput_kbps, bitrate_kbps) = (told.buffer_ms, told.throughput_kbps, told.bitrate_kbps);
        if told.has_starved {
            tracing::info!(session, path, buffer_ms, throughput_kbps, bitrate_kbps, "a player's buffer ran empty");
        } else {
            tracing::debug!(session, path, buffer_ms, throughput_kbps, bitrate_kbps, "player report");
        }
        let next = told.next.as_deref().and_then(|next| cmcd::resolve(path, next));
        let Some(next) = next.and_then(|path| route::parse(&path).ok()) else { return };
        let Ok(Route { playback, .. }) = route::parse(path) else { return };
        let Ok(turn) = Arc::clone(&self.0.hinted.1).try_acquire_owned() else { return };
        let (origin, range) = (self.clone(), told.next_range);
        self.0.hinted.0.spawn(async move {
            origin.fetch_ahead(playback, next, range).await;
            drop(turn);
        });
    }

    /// Brings into memory what `route` leads to, if it is an object that is there. It was announced to us by somebody
    /// who may play `playback`; what else they may play is not known.
    async fn fetch_ahead(&self, playback: PlaybackId, route: Route, range: Option<Range<u64>>) {
        let Ok(Some(published)) = self.0.library.find(route.playback).await else { return };
        if route.playback != playback && !Gate::is_open(published.access()) {
            return;
        }
        let Ok(opened) = self.opened(published.access(), &route, None) else { return };
        let lock = opened.map(|opened| opened.lock);
        // What is made of a segment needs all of it.
        let (stored, range) = match resource::resolve(&published.presentation, route.target, lock) {
            Some(Resource::Stored(stored)) => (stored, range),
            Some(Resource::Packed(wanted)) => (wanted.segment, None),
            _ => return,
        };
        self.0.metrics.hinted();
        self.0.objects.warm(&stored, range).await;
    }

    /// The answer to a request, if it is ready but for the octets, and those are at hand: what was served a moment
    /// ago mostly is. Nothing is waited for; `None` means no more than that the request has to be served.
    pub fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let mut response = self.ready_response(request)?;
        response.headers_mut().remove(policy::REQUEST_ID);
        Some(response)
    }

    /// The same with `X-Request-Id`, for which there is a place already.
    pub fn answer_at_once_as<B>(
        &self,
        request: &Request<B>,
        id: impl FnOnce() -> HeaderValue,
    ) -> Option<Response<Body>> {
        let mut response = self.ready_response(request)?;
        response.headers_mut().insert(policy::REQUEST_ID, id());
        Some(response)
    }

    /// The same for HTTP/1, with header lines that are written already.
    pub fn answer_in_lines<B>(&self, request: &Request<B>) -> Option<InLines> {
        let (ready, answer, content) = self.ready_answer(request)?;
        answer.in_lines(&ready.representation, &ready.lines, &content)
    }

    fn ready_response<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let (ready, answer, content) = self.ready_answer(request)?;
        Some(answer.respond(&ready.representation, &content))
    }

    fn ready_answer<B>(&self, request: &Request<B>) -> Option<(Arc<Ready>, Answer, Content)> {
        let (method, headers) = (request.method(), request.headers());
        if (method != Method::GET && method != Method::HEAD) || !policy::is_plain(request.uri(), headers) {
            return None;
        }
        guard::check_bodiless(method, headers).ok()?;
        let (path, ticket) = self.0.gate.enter(request.uri(), headers, peer(request.extensions())).ok()?;
        let ready = self.0.ready.get(path).filter(|ready| ticket.is_there() || !ready.needs_token)?;
        if !ready.representation.suits(headers) {
            return None;
        }
        let answer = answer::choose(method, headers, &ready.representation);
        let content = match &answer {
            Answer::NotModified | Answer::Head => Content::None,
            Answer::Whole | Answer::Part(_) => ready.content()?,
            Answer::Parts(_) | Answer::PreconditionFailed | Answer::Unsatisfiable => return None,
        };
        if !content.is_at_hand(answer.range(ready.representation.bytes)) {
            return None;
        }
        self.listen_to_player(path, request.uri(), headers);
        Some((ready, answer, content))
    }

    async fn respond(self, head: request::Parts) -> Response<Body> {
        let begun = Instant::now();
        let entered = self.0.gate.enter(&head.uri, &head.headers, peer(&head.extensions));
        let mut response = match entered {
            Ok((path, ticket)) => self.answer(&head, path, ticket).await,
            Err(denied) => Refusal::Denied(denied).respond(),
        };
        if head.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        policy::dress(response.headers_mut());
        policy::time(response.headers_mut(), begun.elapsed());
        response
    }

    /// `path` is what is left of the request's without a token of ours.
    async fn answer(&self, head: &request::Parts, path: &str, ticket: Ticket) -> Response<Body> {
        if let Err(violation) = guard::check_bodiless(&head.method, &head.headers) {
            return violation.respond(head.version);
        }
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return options(),
            _ => return refused_method(),
        }
        match self.serve(head, path, ticket).await {
            Ok(response) => response,
            Err(refusal) => refusal.respond(),
        }
    }

    async fn serve(&self, head: &request::Parts, path: &str, ticket: Ticket) -> Result<Response<Body>, Refusal> {
        let route = route::parse(path)?;
        let current = self.0.library.find(route.playback).await.map_err(|_| Refusal::Unavailable)?;
        let current = current.ok_or(Refusal::UnknownPlayback)?;
        let (access, claim) = (current.access(), self.claim(head, path, route.playback));
        let passage = self.0.gate.admit(access, ticket, &claim).await.map_err(Refusal::Denied)?;
        self.listen_to_player(path, &head.uri, &head.headers);
        let published = self.shown_to(&route, Arc::clone(&current)).await?;
        let absent = Refusal::absent(published.presentation.is_complete());
        let opened = self.opened(access, &route, head.uri.query())?;
        let lock = opened.map(|opened| opened.lock);
        if lock.is_some_and(|lock| resource::is_withheld(&published.presentation, &route.target, lock)) {
            return Err(Refusal::Encrypted);
        }
        let resource = resource_of(&published, &route, lock).ok_or(absent)?;
        // Neither is the same for everybody.
        let is_personal = matches!(resource, Resource::Key(_) | Resource::Steering);
        let mut described = policy::describe(&route, &resource, &published.presentation, lock);
        policy::restrict(access, passage, &mut described);
        let (representation, content) = match resource {
            Resource::Text(text) => self.text(head, &published, &text, opened, described).await?.ok_or(absent)?,
            Resource::Packed(wanted) => {
                let opened = opened.map(|opened| (opened, &*published));
                self.packed(head, &route, &wanted, opened, described).await?
            }
            Resource::Key(number) => self.key(opened, &published, number, described)?,
            Resource::Steering => self.steered(head, &published, passage, described)?,
            Resource::Download(plan) => self.download(plan, described).await?,
            Resource::Documents => Self::documents(&published, described),
            Resource::Document(handed) => {
                let (mut representation, content) = self.content(head, &route, &handed.stored, described).await?;
                representation.add_to_content(CONTENT_DISPOSITION, handed.disposition);
                representation.add_to_content(CONTENT_SECURITY_POLICY, policy::SANDBOX);
                (representation, content)
            }
            Resource::Stored(stored) if stored.media_type == resource::WEBVTT => {
                let (object, tier) = self.object(&route, &stored).await?;
                let known = Known { name: stored.key.as_str(), media_type: stored.media_type, is_kept: true };
                self.negotiated(head, known, object, tier, described).await
            }
            Resource::Stored(stored) => self.content(head, &route, &stored, described).await?,
        };
        let mut answer =
            answer::choose(&head.method, &head.headers, &representation).respond(&representation, &content);
        policy::assist(&head.headers, answer.headers_mut());
        let may_stay = access.availability.is_always()
            && !is_personal
            && passage == Passage::Open
            && access.pages.is_empty()
            && self.0.objects.stays(&content);
        if may_stay && head.uri.query().is_none_or(cmcd::is_all_of) {
            let kept = served_from(representation, Tier::of_kept(&content));
            let needs_token = !Gate::is_open(access);
            self.0.ready.keep(path, &current.freshness, &kept, &content, needs_token);
        }
        Ok(answer)
    }

    /// How the asset is encrypted, if it is, in the edition that is asked for: keys name theirs in the query.
    fn opened(&self, access: &Access, route: &Route, query: Option<&str>) -> Result<Option<Opened<'_>>, Refusal> {
        let edition = match &route.target {
            Target::Of(_, Part::Locked(edition, ..)) => Some(*edition),
            Target::Key(..) => {
                let named = query.and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("of=")));
                named.map(str::parse).transpose().map_err(|_| Refusal::NoSuchPart)?
            }
            _ => None,
        };
        Ok(self.0.gate.content().open(access, edition)?)
    }

    fn claim<'a>(&self, head: &'a request::Parts, path: &'a str, playback: PlaybackId) -> Claim<'a> {
        let (query, headers, address) = (head.uri.query(), &head.headers, peer(&head.extensions));
        let authority = head.uri.authority().map(Authority::as_str);
        Claim { path, query, headers, authority, playback, address, now_s: self.0.gate.now_s() }
    }

    /// A stored object and where its octets are, as far as they are needed.
    async fn content(
        &self,
        head: &request::Parts,
        route: &Route,
        stored: &Stored,
        described: HeaderMap,
    ) -> Result<(Representation, Content), Refusal> {
        let objects = &self.0.objects;
        if let Standing::Measured { bytes, etag } = &stored.standing {
            // All but the content is known without reading it.
            let mut representation = Representation::new(stored.media_type, etag.clone(), *bytes, described);
            let answer = answer::choose(&head.method, &head.headers, &representation);
            if !answer.needs_content() {
                return Ok((served_from(representation, Tier::Unread), Content::None));
            }
            let Some(mut content) = objects.measured(stored, *bytes).await? else {
                return Err(self.missing(route, stored).await);
            };
            let tier = Tier::of(&content, answer.range(*bytes));
            objects.begin(&mut content, answer.begins_at()).await?;
            representation = served_from(representation, tier);
            return Ok((representation, content));
        }
        let (object, tier) = self.object(route, stored).await?;
        let bytes = object.bytes.len() as u64;
        let whole = Representation::new(stored.media_type, object.etag.clone(), bytes, described);
        Ok((served_from(whole, tier), Content::Memory(object)))
    }

    /// A stored object as a whole, after a wait if it is still being encoded.
    async fn object(&self, route: &Route, stored: &Stored) -> Result<(Arc<Object>, Tier), Refusal> {
        let objects = &self.0.objects;
        match objects.stored_in(stored).await? {
            Some(found) => Ok(found),
            None if matches!(stored.standing, Standing::Planned(_)) => {
                Ok((objects.awaited(stored).await?, Tier::Awaited))
            }
            None => Err(self.missing(route, stored).await),
        }
    }

    /// Why an object that was committed is not there: either the asset or this part has been deleted within the
    /// last second, or it is lost.
    async fn missing(&self, route: &Route, stored: &Stored) -> Refusal {
        let library = &self.0.library;
        let found = if self.0.objects.is_missing(&stored.key) {
            library.find(route.playback).await
        } else {
            library.find_afresh(route.playback).await
        };
        match found {
            Ok(None) => Refusal::UnknownPlayback,
            Ok(Some(published)) if !self.is_part(&published, route) => Refusal::NoSuchPart,
            Ok(Some(_)) => {
                if !self.0.objects.is_missing(&stored.key) {
                    tracing::error!(playback.id = %route.playback, key = %stored.key, "committed object is missing");
                    self.0.objects.set_missing(&stored.key);
                }
                Refusal::Broken
            }
            Err(_) => Refusal::Unavailable,
        }
    }

    /// Whether what is published has what `route` leads to.
    fn is_part(&self, published: &Published, route: &Route) -> bool {
        let opened = self.opened(published.access(), route, None);
        let lock = opened.map(|opened| opened.map(|opened| opened.lock));
        lock.is_ok_and(|lock| resource_of(published, route, lock).is_some())
    }

    /// The presentation that a request is about: the one in force, or an earlier one that its player began with.
    async fn shown_to(&self, route: &Route, published: Arc<Published>) -> Result<Arc<Published>, Refusal> {
        match route.target {
            Target::Of(generation, _) | Target::Key(generation, _)
                if generation != published.presentation.generation =>
            {
                let earlier = self.0.library.find_earlier(&published, generation).await;
                Ok(earlier.map_err(|_| Refusal::Unavailable)?.unwrap_or(published))
            }
            _ => Ok(published),
        }
    }
}

/// What `route` leads to, in what is published; `None` when that has no such part.
fn resource_of(published: &Published, route: &Route, lock: Option<Lock>) -> Option<Resource> {
    match route.target {
        Target::Documents => Some(Resource::Documents),
        Target::Document(id) => resource::document(published.presentation.asset, published.documents(), id),
        _ => resource::resolve(&published.presentation, route.target.clone(), lock),
    }
}

fn served_from(mut representation: Representation, tier: Tier) -> Representation {
    for (name, value) in tier.headers() {
        representation.add(name, &HeaderValue::from_static(value));
    }
    representation
}

fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}

/// What this process publishes is seen at once; what others publish, within a second.
fn listener(library: &Arc<Library>, objects: &Arc<Objects>) -> Arc<Listener> {
    let (library, objects) = (Arc::clone(library), Arc::clone(objects));
    Arc::new(move |change: &Change<'_>| match change {
        Change::Put(key) => objects.put(key),
        Change::Pointer(playback) => library.expire(*playback),
    })
}

impl<B> Service<Request<B>> for Origin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let origin = self.clone();
        let (head, _) = request.into_parts();
        Box::pin(async move { Ok(origin.respond(head).await) })
    }
}
