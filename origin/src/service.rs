//! The tower service: one request in, one response out, never an error.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, request};
use media_store::MediaStore;
use tower::Service;

use crate::answer::{self, Representation};
use crate::body::Body;
use crate::demand::DemandHook;
use crate::guard;
use crate::library::{Library, Published};
use crate::objects::{FetchError, Limits, Object, Objects};
use crate::policy;
use crate::problem::Problem;
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
}

impl Origin {
    /// An origin of what lies in `store`, which tells `demand` which planned segments are waited for.
    pub fn new(config: OriginConfig, store: MediaStore, demand: DemandHook) -> Self {
        let OriginConfig { cache_bytes, library_bytes, wait, waiters_max, reads_max } = config;
        let limits = Limits { cache_bytes, reads_max, waiters_max, wait };
        Self {
            library: Arc::new(Library::new(store.clone(), library_bytes)),
            objects: Arc::new(Objects::new(store, limits, demand)),
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
                let object = self.objects.rendered(&published, &text).await?.ok_or(absent)?;
                Ok(finish(head, text.media_type(), cache_control, object))
            }
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
        if let Standing::Measured { bytes, etag } = &stored.standing {
            // All but the content is known without reading it.
            let (media_type, etag, bytes) = (stored.media_type, etag.clone(), *bytes);
            let representation = Representation { media_type, cache_control, etag, bytes };
            let answer = answer::choose(&head.method, &head.headers, &representation);
            if !answer.needs_content() {
                return Ok(answer.respond(&representation, Bytes::new()));
            }
        }
        let object = self.object(route, stored).await?;
        Ok(finish(head, stored.media_type, cache_control, object))
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
    object: Object,
) -> Response<Body> {
    let Object { bytes: content, etag } = object;
    let representation = Representation { media_type, cache_control, etag, bytes: content.len() as u64 };
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
