//! The whole HTTP surface on one page: which part answers a path, and what every answer carries.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use catalog_api::{Asked, ClientAddress, Encrypted, aliases, entitled};
use catalog_store::Catalog;
use domain::Clock;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use ingest::door;
use origin::access::Peer;
use origin::guard::{self, Violation};
use tower::ServiceExt;
use tracing::Instrument;

use super::health::Health;
use super::listener::HEAD_BYTES_MAX;
use super::outgoing::Outgoing;
use super::pages::Pages;
use super::problem::problem;
use super::purge::PurgeDoor;
use super::request_id;
use super::route::Route;
use super::strangers::{Strangers, Unwelcome};
use crate::metrics::Metrics;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
/// What no page here has a use for.
const NO_SENSORS: &str = "camera=(), microphone=(), geolocation=(), payment=(), usb=()";
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// For a year after each answer browsers come over TLS alone, to every port of the name (RFC 6797).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What the surface is made of; a role that is not played leaves its part out.
pub struct Parts {
    /// `/v/...`
    pub origin: Option<origin::Origin>,
    /// All that viewers are shown, where this process is a cache in front of another origin.
    pub edge: Option<origin::Edge>,
    /// `/edge/purge`, of that cache
    pub purge: Option<PurgeDoor>,
    /// `/uploads/...`
    pub ingest: Option<Router>,
    /// `/api/...`
    pub api: Option<Router>,
    /// The web pages, where they are shown.
    pub pages: Option<Pages>,
    /// `/healthz`, `/readyz`
    pub health: Health,
    /// `/metrics`
    pub metrics: Arc<Metrics>,
    /// Asked for the job queue at each scrape.
    pub catalog: Option<Catalog>,
    /// What an open server goes by when browsers ask; `None` where it is asked who somebody is.
    pub strangers: Option<Strangers>,
    /// People reach the server over TLS that something in front ends.
    pub is_behind_tls: bool,
    /// For request ids.
    pub clock: Arc<dyn Clock>,
}

/// Answers every request of the process. Cheap to clone.
#[derive(Clone)]
pub struct Surface {
    parts: Arc<Parts>,
    /// What it answers goes over TLS.
    is_encrypted: bool,
}

/// An answer that was ready.
pub(super) enum AtOnce {
    /// As it is.
    Response(Response<Outgoing>),
    /// With header lines that are written already, and its `X-Request-Id`.
    Lines(origin::InLines, HeaderValue),
}

impl Surface {
    /// A surface made of `parts`.
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), is_encrypted: false }
    }

    /// The same for connections with TLS.
    pub(super) fn over_tls(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), is_encrypted: true }
    }

    /// The numbers of this process.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.parts.metrics
    }

    /// The clock of this process.
    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// The answer to a request of the origin or the edge that is ready, without a span or a task: most requests of a
    /// busy server are such, and cost hardly more than to write the answer.
    pub(super) fn answer_at_once<B>(&self, request: &Request<B>) -> Option<Response<Outgoing>> {
        let begun = Instant::now();
        let route = self.route_at_once(request)?;
        let id = || request_id::of(request.headers(), &*self.parts.clock);
        let response = match &self.parts.edge {
            Some(edge) => {
                let mut response = edge.answer_at_once(request)?;
                response.headers_mut().insert(request_id::HEADER, id());
                response
            }
            None => self.parts.origin.as_ref()?.answer_at_once_as(request, id)?,
        };
        let id = response.headers().get(request_id::HEADER);
        self.answered_at_once((route, request.method()), response.status(), id, begun);
        Some(response.map(Outgoing::Origin))
    }

    /// The same for HTTP/1: most of the head is written already.
    pub(super) fn answer_in_lines<B>(&self, request: &Request<B>) -> Option<AtOnce> {
        let begun = Instant::now();
        let Some(origin) = self.parts.origin.as_ref().filter(|_| self.parts.edge.is_none()) else {
            return self.answer_at_once(request).map(AtOnce::Response);
        };
        let route = self.route_at_once(request)?;
        let answer = origin.answer_in_lines(request)?;
        let id = request_id::of(request.headers(), &*self.parts.clock);
        self.answered_at_once((route, request.method()), answer.status, Some(&id), begun);
        Some(AtOnce::Lines(answer, id))
    }

    /// The route of a request that may be answered at once.
    fn route_at_once<B>(&self, request: &Request<B>) -> Option<Route> {
        let path = request.uri().path();
        let route = Route::of(path);
        let is_played = path.starts_with("/v/") || path.starts_with("/t/");
        let is_known = is_played || self.parts.edge.is_some() && route.is_content();
        let is_sound = || head_bytes(request) <= HEAD_BYTES_MAX && guard::check(request).is_ok();
        (is_known && is_sound()).then_some(route)
    }

    fn answered_at_once(
        &self,
        (route, method): (Route, &Method),
        status: StatusCode,
        id: Option<&HeaderValue>,
        begun: Instant,
    ) {
        self.parts.metrics.answered_at_once(route, method, status, begun.elapsed());
        tracing::debug!(request.id = ?id, route = route.name(), %method, status = status.as_u16(), "request answered at once");
    }

    /// Answers one request; never fails.
    pub async fn answer(self, mut request: Request<Body>) -> Result<Response<Outgoing>, Infallible> {
        let begun = Instant::now();
        let id = request_id::of(request.headers(), &*self.parts.clock);
        request.headers_mut().insert(request_id::HEADER, id.clone());
        if self.is_encrypted {
            // Never by a header, which anybody could send.
            request.extensions_mut().insert(Encrypted);
        }
        let is_strict = (self.is_encrypted || self.parts.is_behind_tls) && !is_for_localhost(&request);
        let by_alias = aliases::resolve(&mut request);
        let (route, method) = (Route::of(request.uri().path()), request.method().clone());
        let span = tracing::info_span!(
            "request",
            request.id = id.to_str().unwrap_or_default(),
            route = route.name(),
            method = %method,
        );
        let response = match self.refusal(route, &request) {
            None => self.dispatch(route, request).instrument(span.clone()).await,
            Some(refusal) => told(asked_of_api(&request), refusal).await.map(Outgoing::Other),
        };
        let took = begun.elapsed();
        self.parts.metrics.answered(route, &method, response.status(), took);
        let _entered = span.enter();
        let elapsed_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // A 503 with Retry-After is an answer, such as "not encoded yet": nothing is amiss.
        if response.status().is_server_error() && !response.headers().contains_key(header::RETRY_AFTER) {
            tracing::warn!(status = response.status().as_u16(), elapsed_ms, "request failed");
        } else {
            tracing::debug!(status = response.status().as_u16(), elapsed_ms, "request answered");
        }
        let is_media = self.parts.edge.is_some() || matches!(route, Route::Playlist | Route::Segment);
        let mut response = dressed(response, id, (route, is_media));
        if is_strict && !is_media {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        if let Some(resolved) = by_alias {
            resolved.mark(response.headers_mut());
        }
        Ok(response)
    }

    /// The answer to a request that nobody should see.
    fn refusal(&self, route: Route, request: &Request<Body>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let is_upload = self.parts.ingest.is_some() && door::leads_to_uploads(path);
        // No cache stands before the API: there a path tells first which methods it takes.
        let check = if path.starts_with("/api/") { guard::check_target } else { guard::check };
        let checked = match check(request) {
            // A `GET` may carry a `PATCH` of an upload with its body, where nothing else gets through.
            Err(Violation::Body) if is_upload => match door::method(request.headers(), request.method()) {
                Some(method) => guard::check_as(request, &method),
                None => Err(Violation::Body),
            },
            checked => checked,
        };
        let mut refusal = match checked {
            _ if head_bytes(request) > HEAD_BYTES_MAX => too_large(),
            Ok(()) => {
                let unwelcome = self.unwelcome(route, request)?;
                problem(StatusCode::FORBIDDEN, unwelcome.code(), &unwelcome.to_string())
            }
            Err(violation) => violation.respond(request.version()),
        };
        if is_upload {
            door::dress(refusal.headers_mut());
        }
        Some(refusal)
    }

    /// Why an open server does not do what a browser asks of it; playback, pages and operations are for everybody.
    fn unwelcome(&self, route: Route, request: &Request<Body>) -> Option<Unwelcome> {
        let strangers = self.parts.strangers.as_ref()?;
        let method = match route {
            Route::Upload => door::method(request.headers(), request.method()),
            Route::Api | Route::Events => Some(request.method().clone()),
            Route::Playlist | Route::Segment | Route::Page | Route::Health | Route::Ready => return None,
            Route::Metrics | Route::Purge => return None,
        };
        // What is no method is refused behind this, and changes nothing.
        strangers.check(request, &method.unwrap_or(Method::POST)).err()
    }

    async fn dispatch(&self, route: Route, request: Request<Body>) -> Response<Outgoing> {
        if let Some(edge) = self.parts.edge.as_ref().filter(|_| route.is_content()) {
            return match edge.clone().oneshot(request).await {
                Ok(response) => response.map(Outgoing::Origin),
                Err(never) => match never {},
            };
        }
        match (route, &self.parts.origin) {
            (Route::Playlist | Route::Segment, Some(origin)) => match origin.clone().oneshot(request).await {
                Ok(response) => response.map(Outgoing::Origin),
                Err(never) => match never {},
            },
            _ => self.dispatch_other(route, request).await.map(Outgoing::Other),
        }
    }

    async fn dispatch_other(&self, route: Route, mut request: Request<Body>) -> Response<Body> {
        let parts = &self.parts;
        if let Some(Peer(address)) = request.extensions().get::<Peer>().copied() {
            request.extensions_mut().insert(ClientAddress(address));
        }
        match route {
            Route::Playlist | Route::Segment => not_played("origin"),
            Route::Upload => match &parts.ingest {
                Some(router) => through(router, request).await,
                None => told(asked_of_api(&request), not_played("ingest")).await,
            },
            Route::Api | Route::Events => match &parts.api {
                Some(router) => through(router, request).await,
                None => told(asked_of_api(&request), not_played("api")).await,
            },
            Route::Health => Health::live(),
            Route::Ready => parts.health.ready().await,
            Route::Metrics => self.numbers().await,
            Route::Purge => match &parts.purge {
                Some(door) => door.answer(request).await,
                None => problem(StatusCode::NOT_FOUND, "no_edge", "this server is no cache in front of another"),
            },
            Route::Page => match &parts.pages {
                Some(pages) => pages.answer(request.method(), request.uri().path(), request.headers()),
                None => not_played("api"),
            },
        }
    }

    async fn numbers(&self) -> Response<Body> {
        if let Some(catalog) = &self.parts.catalog {
            match catalog.job_counts().await {
                Ok(counts) => self.parts.metrics.set_jobs(counts),
                // The other numbers are worth having without these.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the job queue could not be counted")
                }
            }
            match catalog.outgoing().await {
                Ok(outgoing) => self.parts.metrics.set_outgoing(&outgoing, self.parts.clock.now()),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "messages could not be counted")
                }
            }
        }
        let mut response = Response::new(Body::from(self.parts.metrics.render()));
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// Whether a request is for a name that stands for whatever machine it is said on: to be strict about it would be to be
/// strict about every other server there.
fn is_for_localhost<B>(request: &Request<B>) -> bool {
    let line = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = line.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// What the target and the header fields take, as HTTP/1 writes them.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let field_bytes = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    target_bytes + request.headers().iter().map(field_bytes).sum::<usize>()
}

fn too_large() -> Response<Body> {
    let detail = format!("the head of a request takes {HEAD_BYTES_MAX} octets at most");
    problem(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", &detail)
}

fn dressed(mut response: Response<Outgoing>, id: HeaderValue, (route, is_media): (Route, bool)) -> Response<Outgoing> {
    let headers = response.headers_mut();
    headers.insert(request_id::HEADER, id);
    if is_media {
        // The origin says itself what its answers need, and they are many; so does the one behind an edge.
        return response;
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    // Documents that are not pages have nothing to run and nowhere to be framed.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(PERMISSIONS_POLICY).or_insert(HeaderValue::from_static(NO_SENSORS));
    // Nobody's picture or script is what the API answers; pages of other origins read it by CORS. Pictures of people may
    // be shown anywhere.
    let is_picture = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"image/"));
    if matches!(route, Route::Api | Route::Events | Route::Upload) && !is_picture {
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    }
    response
}

async fn through(router: &Router, request: Request<Body>) -> Response<Body> {
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn asked_of_api(request: &Request<Body>) -> Option<Asked> {
    let path = request.uri().path();
    (path.starts_with("/api/") || door::leads_to_uploads(path)).then(|| Asked::of(request))
}

/// A problem that was met before the API or uploads, told as the API tells its own.
async fn told(asked: Option<Asked>, problem: Response<Body>) -> Response<Body> {
    match asked {
        Some(asked) => entitled(&asked, problem).await,
        None => problem,
    }
}

fn not_played(role: &str) -> Response<Body> {
    problem(StatusCode::NOT_FOUND, "role_not_played", &format!("this server does not play the role \"{role}\""))
}
