//! Which request goes where, and what every answer carries.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use catalog_store::Catalog;
use domain::{Clock, UploadId};
use media_store::{MediaStore, Staging};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::committer::SyncPolicy;
use crate::gate::{self, Entrant, Gate, Pass};
use crate::import::Imports;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::protocol::draft::{self, Interop};
use crate::protocol::tus::{EXTENSIONS, TUS_CHECKSUM_ALGORITHM, TUS_EXTENSION, TUS_MAX_SIZE, TUS_VERSION, VERSION};
use crate::protocol::{ACCEPT_PATCH, Dialect, METHOD_OVERRIDE, PIECES, checks};
use crate::{Interim, Sessions, UploadError, answer, append, cors, create, door, fetch, head, status, terminate};

/// What lies below an upload: its live status.
const EVENTS: &str = "/events";

/// The bounds of every upload.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest upload, in octets.
    pub size_max: u64,
    /// Unfinished uploads at a time.
    pub open_uploads_max: usize,
    /// Longest `Upload-Metadata`, in octets.
    pub metadata_bytes_max: usize,
    /// How long a body may send nothing before it is given up.
    pub silence_max: Duration,
    /// How long a request waits for the one that it takes over from.
    pub handover_max: Duration,
    /// Octets received after which they are flushed and recorded.
    pub checkpoint_bytes: u64,
    /// Time after which octets received are flushed and recorded.
    pub checkpoint_interval: Duration,
    /// When octets that were received are flushed to the disk.
    pub sync: SyncPolicy,
    /// How long nothing may come before an upload is given up; `None` for ever.
    pub expiry: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size_max: 1 << 40,
            open_uploads_max: 10_000,
            metadata_bytes_max: 16 << 10,
            silence_max: Duration::from_secs(60),
            handover_max: Duration::from_secs(5),
            checkpoint_bytes: 16 << 20,
            checkpoint_interval: Duration::from_secs(1),
            sync: SyncPolicy::default(),
            expiry: Some(Duration::from_secs(7 * 24 * 60 * 60)),
        }
    }
}

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct State {
    /// Where uploads and assets are recorded.
    pub catalog: Catalog,
    /// Where complete sources go.
    pub store: MediaStore,
    /// Where unfinished uploads grow; no other process may use the same folder.
    pub staging: Staging,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// The bounds of every upload.
    pub limits: Limits,
    /// Bodies are received in tasks of this tracker: wait for it before the process ends.
    pub tasks: TaskTracker,
    /// When cancelled, bodies end early; what came of them is kept and acknowledged.
    pub shutdown: CancellationToken,
    /// Begin with `Sessions::default()`.
    pub sessions: Sessions,
    /// Who may upload.
    pub gate: Arc<dyn Gate>,
    /// What may be uploaded, and how much of it.
    pub admission: Admission,
    /// What is happening to uploads at present.
    pub live: Live,
    /// How long things took, and how often.
    pub metrics: Arc<Metrics>,
    /// What is pulled from other addresses.
    pub imports: Imports,
}

/// Serves `/uploads` and `/uploads/{id}`.
///
/// Answers preflights and carries its own CORS headers: any origin may upload, without credentials.
/// Bodies must reach it as they come, neither buffered nor limited.
pub fn router(state: State) -> Router {
    Router::new()
        .route("/uploads", any(serve))
        .route("/uploads/", any(serve))
        .route("/uploads/{*rest}", any(serve))
        .with_state(state)
}

/// A request that was let in.
pub(crate) struct Call {
    /// The protocol it speaks.
    pub(crate) dialect: Dialect,
    pub(crate) headers: HeaderMap,
    /// Who sends it.
    pub(crate) entrant: Entrant,
    interim: Option<Interim>,
}

impl Call {
    /// Where this client finds an upload.
    pub(crate) fn location(&self, upload: UploadId) -> Result<HeaderValue, UploadError> {
        HeaderValue::try_from(self.entrant.location(upload)).map_err(|_| UploadError::Internal)
    }

    /// What speaks before the answer, to a client that stated which version it would understand.
    pub(crate) fn interim(&self) -> Option<(Interop, &Interim)> {
        match self.dialect {
            Dialect::Draft(Some(version)) => Some((version, self.interim.as_ref()?)),
            _ => None,
        }
    }
}

async fn serve(Extract(state): Extract<State>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut response = match method(&parts.headers, &parts.method) {
        Ok(Method::OPTIONS) => options(&state),
        Ok(method) => {
            parts.method = method.clone();
            let dialect = Dialect::of(&parts.headers);
            // An answer that no protocol is known for is the same in both, but for what only tus has to say.
            let mut spoken = dialect.as_ref().ok().copied().flatten().unwrap_or(Dialect::Tus);
            match dispatch(&state, dialect, &mut spoken, parts, body).await {
                Ok(response) => response,
                Err(error) if method == Method::HEAD => {
                    let mut response = error.softened().into_answer(spoken, &state.limits);
                    *response.body_mut() = Body::empty();
                    response.headers_mut().remove(CONTENT_TYPE);
                    response
                }
                Err(error) => error.into_answer(spoken, &state.limits),
            }
        }
        Err(error) => error.into_response(),
    };
    door::dress(response.headers_mut());
    response
}

fn method(headers: &HeaderMap, carrier: &Method) -> Result<Method, UploadError> {
    let reason = "expected the name of a method";
    door::method(headers, carrier).ok_or(UploadError::Header { header: METHOD_OVERRIDE, reason })
}

/// The methods of the collection, of an upload, and of what lies below it.
fn allowed(name: &str, is_draft: bool) -> &'static str {
    match name {
        // The draft makes an upload of any request that has content.
        "" if is_draft => "OPTIONS, POST, PUT, PATCH",
        "" => "OPTIONS, POST",
        name if name.ends_with(EVENTS) => "OPTIONS, GET",
        _ => "OPTIONS, HEAD, GET, PATCH, DELETE",
    }
}

async fn dispatch(
    state: &State,
    dialect: Result<Option<Dialect>, UploadError>,
    spoken: &mut Dialect,
    mut parts: Parts,
    body: Body,
) -> Result<Response, UploadError> {
    let path = parts.uri.path().to_owned();
    let name = path.strip_prefix(door::COLLECTION).unwrap_or_default().trim_start_matches('/');
    let allowed = allowed(name, matches!(spoken, Dialect::Draft(_)));
    let method = parts.method.clone();
    if !allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(UploadError::Method { allowed });
    }
    let dialect = dialect?;
    let (name, has_events) = name.strip_suffix(EVENTS).map_or((name, false), |name| (name, true));
    let upload = match name {
        "" => None,
        name => Some(name.parse::<UploadId>().map_err(|_| UploadError::NotFound)?),
    };
    let is_unnamed = dialect.is_none();
    if is_unnamed && (upload.is_none() || method == Method::PATCH) {
        return Err(UploadError::Version);
    }
    let entrant = Box::pin(gate::enter(state, &parts, &method, upload)).await?;
    if let Some(upload) = upload.filter(|_| is_unnamed && !has_events) {
        let upload = state.catalog.upload(upload).await?.ok_or(UploadError::NotFound)?;
        *spoken = Dialect::of_unnamed(&method, &upload)?;
    }
    let dialect = *spoken;
    let interim = parts.extensions.remove::<Interim>();
    let pass = has_events.then(|| Pass::new(&parts));
    let call = Call { dialect, headers: parts.headers, entrant, interim };
    if let (Some(upload), Some(pass)) = (upload, pass) {
        return Box::pin(status::events(state, upload, pass)).await;
    }
    // Boxed but for the one that lasts: it does not take as much memory as the largest of the others.
    match (upload, method) {
        (None, _) => Box::pin(create::create(state, &call, body)).await,
        (Some(upload), Method::HEAD) => Box::pin(head::head(state, &call, upload)).await,
        (Some(upload), Method::GET) if status::is_asked_for(&call.headers) => {
            Box::pin(status::show(state, upload)).await
        }
        (Some(upload), Method::GET) => Box::pin(fetch::fetch(state, &call, upload)).await,
        (Some(upload), Method::PATCH) => match append::append(state, &call, upload, body).await {
            Err(error) => Ok(Box::pin(answer::refused_piece(state, call.dialect, upload, error)).await),
            taken => taken,
        },
        (Some(upload), _) => Box::pin(terminate::terminate(state, &call, upload)).await,
    }
}

fn options(state: &State) -> Response {
    let now = state.clock.now();
    let expires_at = state.limits.expiry.map(|expiry| now.plus(expiry));
    let headers = [
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, state.limits.size_max.into()),
        (TUS_CHECKSUM_ALGORITHM, checks::algorithms()),
        (checks::WANT_REPR_DIGEST, checks::WANTED),
        (ACCEPT_PATCH, PIECES),
        (draft::UPLOAD_LIMIT, draft::limit(Some(Interop::V8), &state.limits, expires_at, now)),
    ];
    let mut response = (StatusCode::NO_CONTENT, headers, Body::empty()).into_response();
    cors::permit(response.headers_mut());
    response
}
