//! The tower service: one request in, one response out, never an error.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use media_store::MediaStore;
use packager::hls::ClipError;
use tower::Service;

use crate::answer::{self, Representation};
use crate::body::Body;
use crate::coding::{self, Coding};
use crate::demand::DemandHook;
use crate::download::{self, Downloads};
use crate::guard;
use crate::library::{Library, Published};
use crate::objects::{self, FetchError, Limits, Object, Objects};
use crate::packed::{Packed, Work};
use crate::policy;
use crate::problem::Problem;
use crate::query::{self, QueryError};
use crate::resource::{self, Resource, Standing, Stored};
use crate::route::{self, Route, RouteError, Target};

/// What a client is to wait before it asks again for something that is not ready, in seconds.
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("2");

/// Limits of an [`Origin`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            library_bytes: 128 << 20,
            wait: Duration::from_secs(8),
            waiters_max: 512,
            reads_max: 64,
        }
    }
}

/// Serves everything below `/v/{playback id}/`. Cheap to clone; clones share their caches.
///
/// Give it requests with their whole path, `/v` included.
#[derive(Clone)]
pub struct Origin {
    library: Arc<Library>,
    objects: Arc<Objects>,
    packed: Arc<Packed>,
    downloads: Arc<Downloads>,
}

impl Origin {
    /// An origin of what lies in `store`, which tells `demand` which planned segments are waited for.
    pub fn new(config: OriginConfig, store: MediaStore, demand: DemandHook) -> Self {
        let OriginConfig { cache_bytes, library_bytes, wait, waiters_max, reads_max } = config;
        let limits = Limits { cache_bytes, reads_max, waiters_max, wait };
        Self {
            library: Arc::new(Library::new(store.clone(), library_bytes)),
            downloads: Arc::new(Downloads::new(store.clone())),
            objects: Arc::new(Objects::new(store, limits, demand)),
            packed: Arc::new(Packed::new()),
        }
    }

    async fn respond(self, head: request::Parts) -> Response<Body> {
        let mut response = self.answer(&head).await;
        if head.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        policy::dress(response.headers_mut());
        response
    }

    async fn answer(&self, head: &request::Parts) -> Response<Body> {
        if let Err(violation) = guard::check_bodiless(&head.method, &head.headers) {
            return violation.respond(head.version);
        }
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return options(),
            _ => return refused_method(),
        }
        match self.serve(head).await {
            Ok(response) => response,
            Err(refusal) => refusal.respond(),
        }
    }

    async fn serve(&self, head: &request::Parts) -> Result<Response<Body>, Refusal> {
        let route = route::parse(head.uri.path())?;
        let published = self.library.find(route.playback).await.map_err(|_| Refusal::Unavailable)?;
        let published = published.ok_or(Refusal::UnknownPlayback)?;
        let published = self.shown_to(&route, published).await?;
        let is_complete = published.presentation.is_complete();
        let absent = Refusal::absent(is_complete);
        let resource = resource::resolve(&published.presentation, route.target.clone()).ok_or(absent)?;
        let cache_control = policy::cache_control(&resource, is_complete);
        match resource {
            Resource::Text(text) => {
                let view = text.seen(query::parse(head.uri.query())?);
                view.clip.map_or(Ok(()), |clip| clip.check(&published.presentation)).map_err(QueryError::Clip)?;
                let object = self.objects.rendered(&published, &text, view).await?.ok_or(absent)?;
                let name = objects::name_of(&published, &text, view);
                Ok(self.negotiated(head, &name, text.media_type(), cache_control, object).await)
            }
            Resource::Download(plan) => self.serve_download(head, plan, cache_control).await,
            Resource::Packed(wanted) => self.serve_packed(head, &route, &wanted, cache_control).await,
            Resource::Stored(stored) => self.serve_stored(head, route, &stored, cache_control).await,
        }
    }

    /// The presentation that a request is about: the one in force, or an earlier one that its player began with.
    async fn shown_to(&self, route: &Route, published: Arc<Published>) -> Result<Arc<Published>, Refusal> {
        match route.target {
            Target::Of(generation, _) if generation != published.presentation.generation => {
                let earlier = self.library.find_earlier(&published, generation).await;
                Ok(earlier.map_err(|_| Refusal::Unavailable)?.unwrap_or(published))
            }
            _ => Ok(published),
        }
    }

    async fn serve_stored(
        &self,
        head: &request::Parts,
        route: Route,
        stored: &Stored,
        cache_control: &'static str,
    ) -> Result<Response<Body>, Refusal> {
        if stored.media_type == resource::WEBVTT {
            let object = self.object(route, stored).await?;
            return Ok(self.negotiated(head, stored.key.as_str(), stored.media_type, cache_control, object).await);
        }
        if let Standing::Measured { bytes, etag } = &stored.standing {
            // All but the content is known without reading it.
            let (media_type, etag, bytes) = (stored.media_type, etag.clone(), *bytes);
            let representation = Representation { media_type, cache_control, etag, bytes, coding: None };
            let answer = answer::choose(&head.method, &head.headers, &representation);
            if !answer.needs_content() {
                return Ok(answer.respond(&representation, Bytes::new()));
            }
        }
        let object = self.object(route, stored).await?;
        Ok(finish(head, stored.media_type, cache_control, None, object))
    }

    /// One file over all segments, read as it is sent.
    async fn serve_download(
        &self,
        head: &request::Parts,
        plan: download::Plan,
        cache_control: &'static str,
    ) -> Result<Response<Body>, Refusal> {
        let file = self.downloads.file(&plan).await?;
        let (media_type, etag, bytes) = (plan.media_type, plan.etag.clone(), file.bytes());
        let representation = Representation { media_type, cache_control, etag, bytes, coding: None };
        let disposition = plan.disposition.clone();
        let answer = answer::choose(&head.method, &head.headers, &representation);
        let mut response = answer.respond_from(&representation, |range| {
            let length = range.end - range.start;
            Body::stream(self.downloads.stream(plan, file, range), length)
        });
        if response.status().is_success() {
            response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
        }
        Ok(response)
    }

    /// A segment in another container, made of the stored one unless it is in memory.
    async fn serve_packed(
        &self,
        head: &request::Parts,
        route: &Route,
        wanted: &resource::Packed,
        cache_control: &'static str,
    ) -> Result<Response<Body>, Refusal> {
        let name = format!("{}#ts", wanted.segment.key);
        let object = match self.packed.get(&name) {
            Some(object) => object,
            None => {
                let segment = self.object(route.clone(), &wanted.segment).await?.bytes;
                let work = match &wanted.init {
                    Some(init) => {
                        let init = self.object(route.clone(), init).await?.bytes;
                        Work::Media { init, index: wanted.index, segment }
                    }
                    None => Work::Text(segment),
                };
                self.packed.make(name.clone(), work).await.ok_or(Refusal::Broken)?
            }
        };
        match wanted.media_type {
            resource::WEBVTT => Ok(self.negotiated(head, &name, wanted.media_type, cache_control, object).await),
            media_type => Ok(finish(head, media_type, cache_control, None, object)),
        }
    }

    /// A text in the coding that the client likes best.
    async fn negotiated(
        &self,
        head: &request::Parts,
        name: &str,
        media_type: &'static str,
        cache_control: &'static str,
        text: Object,
    ) -> Response<Body> {
        let (object, coding) = self.objects.coded(name, text, coding::negotiate(&head.headers)).await;
        finish(head, media_type, cache_control, Some(coding), object)
    }

    /// The object, after a wait if it is still being encoded.
    async fn object(&self, route: Route, stored: &Stored) -> Result<Object, Refusal> {
        match self.objects.stored(stored).await? {
            Some(object) => Ok(object),
            None if matches!(stored.standing, Standing::Planned(_)) => Ok(self.objects.awaited(stored).await?),
            // It was committed, so either the asset or this part has been deleted within the last second, or it is lost.
            None => match self.library.find_afresh(route.playback).await {
                Ok(None) => Err(Refusal::UnknownPlayback),
                Ok(Some(published)) if resource::resolve(&published.presentation, route.target).is_none() => {
                    Err(Refusal::NoSuchPart)
                }
                Ok(Some(_)) => {
                    tracing::error!(playback.id = %route.playback, key = %stored.key, "committed object is missing");
                    Err(Refusal::Broken)
                }
                Err(_) => Err(Refusal::Unavailable),
            },
        }
    }
}

fn finish(
    head: &request::Parts,
    media_type: &'static str,
    cache_control: &'static str,
    coding: Option<Coding>,
    object: Object,
) -> Response<Body> {
    let Object { bytes: content, etag } = object;
    let representation = Representation { media_type, cache_control, etag, bytes: content.len() as u64, coding };
    answer::choose(&head.method, &head.headers, &representation).respond(&representation, content)
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

/// Why there is nothing to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The path is not one of ours.
    BadPath(RouteError),
    /// The query asks for no clip that there is.
    BadQuery(QueryError),
    /// Nothing is published under this playback id, or not any more.
    UnknownPlayback,
    /// The presentation has no such part.
    NoSuchPart,
    /// The presentation has no such part, but may get it when processing ends.
    NoSuchPartYet,
    /// Planned, but not encoded in time.
    NotYet,
    /// Too many requests wait.
    Busy,
    /// The store does not answer.
    Unavailable,
    /// What was published is damaged.
    Broken,
}

impl Refusal {
    fn absent(is_complete: bool) -> Self {
        if is_complete { Self::NoSuchPart } else { Self::NoSuchPartYet }
    }

    fn problem(self) -> Problem {
        use StatusCode as Status;
        let (status, code, detail, cache_control) = match self {
            Self::BadPath(RouteError::TooLong) => {
                (Status::URI_TOO_LONG, "target_too_long", "the path is too long", policy::NO_STORE)
            }
            Self::BadPath(RouteError::Malformed) => {
                (Status::BAD_REQUEST, "bad_path", "the path is not well-formed", policy::NO_STORE)
            }
            Self::BadQuery(QueryError::TooLong) => {
                (Status::URI_TOO_LONG, "target_too_long", "the query is too long", policy::NO_STORE)
            }
            Self::BadQuery(QueryError::Container) => {
                (Status::BAD_REQUEST, "bad_container", "containers are cmaf and ts", policy::NO_STORE)
            }
            Self::BadQuery(error) => (Status::BAD_REQUEST, "bad_clip", query_detail(error), policy::NO_STORE),
            Self::BadPath(RouteError::Unknown) | Self::NoSuchPart => {
                (Status::NOT_FOUND, "not_found", "there is nothing at this address", policy::ABSENT)
            }
            Self::NoSuchPartYet => {
                (Status::NOT_FOUND, "not_found", "there is nothing at this address yet", policy::ABSENT_FOR_NOW)
            }
            Self::UnknownPlayback => {
                (Status::NOT_FOUND, "unknown_playback", "nothing is published here", policy::ABSENT_FOR_NOW)
            }
            Self::NotYet => {
                (Status::SERVICE_UNAVAILABLE, "not_encoded_yet", "this part is still being encoded", policy::NO_STORE)
            }
            Self::Busy => (Status::SERVICE_UNAVAILABLE, "busy", "too many requests wait already", policy::NO_STORE),
            Self::Unavailable => {
                (Status::SERVICE_UNAVAILABLE, "storage_unavailable", "the storage does not answer", policy::NO_STORE)
            }
            Self::Broken => (Status::INTERNAL_SERVER_ERROR, "damaged", "this part is damaged", policy::NO_STORE),
        };
        Problem { status, code, detail, cache_control }
    }

    fn respond(self) -> Response<Body> {
        let mut response = self.problem().respond();
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
        }
        response
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        Self::BadPath(error)
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        Self::BadQuery(error)
    }
}

/// What people read of a clip that is none.
fn query_detail(error: QueryError) -> &'static str {
    match error {
        QueryError::Clip(ClipError::Empty) => "a clip ends after it begins",
        QueryError::Clip(ClipError::Outside) => "the clip begins after the end of the video",
        QueryError::Doubled => "a parameter may stand there once",
        _ => "a clip begins and ends at seconds, such as 90.5, or at hh:mm:ss",
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store | FetchError::Slow => Self::Unavailable,
            FetchError::Corrupt => Self::Broken,
            FetchError::Busy => Self::Busy,
            FetchError::NotYet => Self::NotYet,
        }
    }
}

fn options() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    policy::permit(response.headers_mut());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(policy::NO_STORE));
    response
}

fn refused_method() -> Response<Body> {
    let problem = Problem {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: "method_not_allowed",
        detail: "only GET, HEAD and OPTIONS are served here",
        cache_control: policy::NO_STORE,
    };
    let mut response: Response<Body> = problem.respond();
    response.headers_mut().insert(ALLOW, policy::METHODS);
    response
}
