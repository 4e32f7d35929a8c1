//! Which request goes where, and what every answer carries.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use catalog_store::Catalog;
use domain::{Clock, UploadId};
use media_store::{MediaStore, Staging};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::protocol::{EXTENSIONS, METHOD_OVERRIDE, TUS_EXTENSION, TUS_MAX_SIZE, TUS_RESUMABLE, TUS_VERSION, VERSION};
use crate::{Sessions, UploadError, append, create, head, terminate};

const COLLECTION: &str = "/uploads";
const COLLECTION_METHODS: &str = "OPTIONS, POST";
const UPLOAD_METHODS: &str = "OPTIONS, HEAD, PATCH, DELETE";
const CORS_METHODS: HeaderValue = HeaderValue::from_static("POST, HEAD, PATCH, DELETE, OPTIONS");
const CORS_REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, tus-resumable, upload-checksum, upload-complete, upload-concat, \
     upload-defer-length, upload-draft-interop-version, upload-length, upload-metadata, upload-offset, \
     x-http-method-override, x-request-id, x-requested-with",
);
const CORS_RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "asset-location, location, retry-after, tus-checksum-algorithm, tus-extension, tus-max-size, tus-resumable, \
     tus-version, upload-checksum, upload-complete, upload-concat, upload-defer-length, upload-expires, \
     upload-length, upload-limit, upload-metadata, upload-offset, x-request-id",
);
/// How long a browser may remember the answer to a preflight.
const CORS_MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

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

async fn serve(Extract(state): Extract<State>, request: Request) -> Response {
    let mut response = match method(request.headers(), request.method()) {
        Ok(Method::OPTIONS) => options(&state),
        Ok(Method::HEAD) => {
            let answer = dispatch(&state, Method::HEAD, request).await;
            answer.unwrap_or_else(UploadError::into_head_response)
        }
        Ok(method) => dispatch(&state, method, request).await.into_response(),
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(TUS_RESUMABLE, VERSION);
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, CORS_RESPONSE_HEADERS);
    response
}

/// The method that counts: the one in the override header, whatever request carries it.
fn method(headers: &HeaderMap, carrier: &Method) -> Result<Method, UploadError> {
    let Some(value) = headers.get(METHOD_OVERRIDE) else { return Ok(carrier.clone()) };
    let refused = |_| UploadError::Header { header: METHOD_OVERRIDE, reason: "expected the name of a method" };
    Method::from_bytes(&value.as_bytes().to_ascii_uppercase()).map_err(refused)
}

async fn dispatch(state: &State, method: Method, request: Request) -> Result<Response, UploadError> {
    let (parts, body) = request.into_parts();
    let name = parts.uri.path().strip_prefix(COLLECTION).unwrap_or_default().trim_start_matches('/');
    let allowed = if name.is_empty() { COLLECTION_METHODS } else { UPLOAD_METHODS };
    if !allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        return Err(UploadError::Method { allowed });
    }
    if parts.headers.get(TUS_RESUMABLE) != Some(&VERSION) {
        return Err(UploadError::Version);
    }
    if name.is_empty() {
        return create::create(state, &parts.headers, body).await;
    }
    let upload: UploadId = name.parse().map_err(|_| UploadError::NotFound)?;
    match method {
        Method::HEAD => head::head(state, upload).await,
        Method::PATCH => append::append(state, upload, &parts.headers, body).await,
        _ => terminate::terminate(state, upload).await,
    }
}

fn options(state: &State) -> Response {
    let headers = [
        (TUS_VERSION, VERSION),
        (TUS_EXTENSION, EXTENSIONS),
        (TUS_MAX_SIZE, state.limits.size_max.into()),
        (ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, CORS_REQUEST_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, CORS_MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers, Body::empty()).into_response()
}
