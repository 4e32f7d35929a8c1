//! Every error as a problem document (RFC 9457) with a stable code.

use std::borrow::Cow;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use catalog_store::CatalogError;
use domain::authority::Refusal;
use domain::throttle::{Allowance, Policy};
use media_store::StoreError;
use serde::Serialize;

use self::fields::FieldError;
use self::titles::Tongue;
use crate::accounts::tell;
use crate::describe::quoted_place;
use crate::documents::quoted;

mod accounts;
mod fields;
pub(crate) mod kinds;
mod query;
pub(crate) mod titles;

/// What problem documents are.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// Longest problem document of another crate: a few sentences.
const DOCUMENT_BYTES_MAX: usize = 16 << 10;

/// An error, told to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    /// What programs match on; never changes its meaning.
    code: &'static str,
    /// One sentence for people.
    detail: Box<str>,
    retry_after_s: Option<u32>,
    /// The bound that was reached, and what is left of it.
    bound: Option<Box<(Policy, Allowance)>>,
    /// What a change would have to name, with its quotes.
    tag: Option<Box<str>>,
    /// What is wrong with fields of the document.
    errors: Vec<FieldError>,
    /// What would be possible instead.
    allowed: Vec<&'static str>,
}

/// The document as it is sent.
#[derive(Serialize)]
struct Document<'a> {
    r#type: Cow<'static, str>,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The bounds that were reached, by the names that `RateLimit` has for them (draft-ietf-httpapi-ratelimit-headers).
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    violated_policies: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    allowed: &'a [&'static str],
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into().into_boxed_str(),
            retry_after_s: None,
            bound: None,
            tag: None,
            errors: Vec::new(),
            allowed: Vec::new(),
        }
    }

    /// What programs match on.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn invalid_id(error: &domain::IdError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_id", error.to_string())
    }

    pub(crate) fn invalid_query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", detail)
    }

    /// A query that is not of the form that is described, as its reader says it.
    pub(crate) fn unreadable_query(told: &str) -> Self {
        Self::invalid_query(query::plain(told))
    }

    /// A part of the query can be read, but not be meant.
    pub(crate) fn invalid_parameter(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_parameter", detail)
    }

    pub(crate) fn invalid_cursor() -> Self {
        let detail = catalog_store::PageError::Cursor.to_string();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_cursor", detail)
    }

    pub(crate) fn invalid_path(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", detail)
    }

    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        let detail = format!("the body has at most {bytes_max} octets here");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    pub(crate) fn body_too_slow(patience: Duration) -> Self {
        let detail = format!("the body did not arrive within {} s", patience.as_secs());
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    }

    pub(crate) fn too_many_bodies() -> Self {
        let detail = "too many files are being added at this moment, try again later";
        Self { retry_after_s: Some(2), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies", detail) }
    }

    pub(crate) fn unknown_language() -> Self {
        let detail = "language is a BCP 47 tag or an ISO 639 code, such as de";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown_language", detail)
    }

    pub(crate) fn not_text() -> Self {
        let detail =
            "the body is no text: subtitle files are SubRip (SRT), WebVTT or ASS; pictures cannot be converted";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "not_text", detail)
    }

    /// A picture cannot be taken.
    pub(crate) fn of_picture(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self::new(status, code, detail)
    }

    pub(crate) fn subtitle_replaced() -> Self {
        let detail = "another subtitle is shown instead of it by now: edit that";
        Self::new(StatusCode::CONFLICT, "subtitle_replaced", detail)
    }

    pub(crate) fn subtitle_lost() -> Self {
        Self::new(StatusCode::CONFLICT, "subtitle_lost", "the stored file is lost: add it again")
    }

    pub(crate) fn asset_failed() -> Self {
        Self::new(StatusCode::CONFLICT, "asset_failed", "the asset has failed: nothing can be added to it")
    }

    pub(crate) fn not_played(detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, "asset_not_ready", detail)
    }

    pub(crate) fn not_shown() -> Self {
        let detail = "the asset is not shown: it lies in the bin, is not published, or is scheduled for another time; \
            moderators open it by a preview";
        Self::new(StatusCode::CONFLICT, "not_shown", detail)
    }

    pub(crate) fn no_tickets() -> Self {
        let detail = "this server has no key that origins know: set token_keys there and here";
        Self::new(StatusCode::CONFLICT, "previews_off", detail)
    }

    pub(crate) fn no_passwords() -> Self {
        Self::new(StatusCode::CONFLICT, "passwords_off", "this server sets no passwords of assets")
    }

    pub(crate) fn version_not_ready(state: domain::AssetState) -> Self {
        let detail = format!("the asset is {state}: only one that is ready takes another version");
        Self::new(StatusCode::CONFLICT, "asset_not_ready", detail)
    }

    pub(crate) fn version_under_way() -> Self {
        let detail = "another version of the asset is on its way: wait for it, or end its upload";
        Self::new(StatusCode::CONFLICT, "version_under_way", detail)
    }

    pub(crate) fn not_binned() -> Self {
        Self::new(StatusCode::CONFLICT, "not_binned", "the asset does not lie in the bin")
    }

    pub(crate) fn no_source() -> Self {
        let detail = "the source of the asset is not stored any more: it cannot be processed again";
        Self::new(StatusCode::CONFLICT, "source_missing", detail)
    }

    pub(crate) fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on the server")
    }

    pub(crate) fn not_json() -> Self {
        let detail = "send the document as Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
    }

    pub(crate) fn too_many_streams() -> Self {
        let detail = "too many event streams are open, try again later";
        Self { retry_after_s: Some(10), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail) }
    }

    pub(crate) fn invalid_idempotency_key(detail: &'static str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_idempotency_key", detail)
    }

    pub(crate) fn idempotency_reused() -> Self {
        let detail = "something else was asked for under this Idempotency-Key: take another key";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
    }

    pub(crate) fn idempotency_running(left: Duration) -> Self {
        let detail = "what was asked for under this Idempotency-Key is still being done";
        // Most of it takes no second; the rest of the lock is for those who were killed.
        let seconds = u32::try_from(left.as_secs()).unwrap_or(5).clamp(1, 5);
        Self { retry_after_s: Some(seconds), ..Self::new(StatusCode::CONFLICT, "idempotency_key_in_use", detail) }
    }

    pub(crate) fn idempotency_answer_lost() -> Self {
        let detail =
            "what was asked for under this Idempotency-Key was done, and the answer is lost: look at what is there";
        Self::new(StatusCode::CONFLICT, "idempotency_answer_lost", detail)
    }

    pub(crate) fn too_many_own_streams(most: usize) -> Self {
        let detail = format!("you have {most} event streams open already: end one");
        Self { retry_after_s: Some(10), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_own_streams", detail) }
    }
}

impl Problem {
    /// A way that there is not.
    fn illegal_stage(illegal: &domain::stage::IllegalStage) -> Self {
        let allowed = illegal.allowed.iter().map(|stage| stage.as_str()).collect();
        Self { allowed, ..Self::new(StatusCode::CONFLICT, "invalid_transition", illegal.to_string()) }
    }

    /// What a collection or a channel does not take.
    fn of_collections(error: &CatalogError) -> Self {
        let (status, code) = match error {
            CatalogError::Unfit { .. } => (StatusCode::CONFLICT, "item_unfit"),
            CatalogError::AlreadyIn(_) => (StatusCode::CONFLICT, "already_in_collection"),
            CatalogError::TooManyItems(_) => (StatusCode::CONFLICT, "too_many_items"),
            CatalogError::HandleTaken => (StatusCode::CONFLICT, "handle_taken"),
            CatalogError::TooManyChannels => (StatusCode::CONFLICT, "too_many_channels"),
            CatalogError::TooManySubscriptions => (StatusCode::CONFLICT, "too_many_subscriptions"),
            _ => (StatusCode::CONFLICT, "too_many_shares"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoAsset(_) => return Self::not_found("there is no such asset"),
            CatalogError::AssetFailed(_) => return Self::asset_failed(),
            CatalogError::Stage(illegal) => return Self::illegal_stage(&illegal),
            CatalogError::OtherSource(_) => return Self::new(StatusCode::CONFLICT, "other_version", error.to_string()),
            CatalogError::NoCollection(_) => return Self::not_found("there is no such collection"),
            CatalogError::NoChannel(_) => return Self::not_found("there is no such channel"),
            CatalogError::Unfit { .. }
            | CatalogError::AlreadyIn(_)
            | CatalogError::TooManyItems(_)
            | CatalogError::TooManyCollectionShares(_)
            | CatalogError::HandleTaken
            | CatalogError::TooManyChannels
            | CatalogError::TooManySubscriptions => return Self::of_collections(&error),
            CatalogError::NoUser(_) => return Self::not_found("there is no such account"),
            CatalogError::AccountGone(_) => return Refusal::Unknown.into(),
            CatalogError::NotInForce => return Self::invalid_credentials(),
            CatalogError::Changed { version } => return Self::changed(&quoted(version)),
            CatalogError::PlaceChanged { about_version, place } => {
                return Self::changed(&quoted_place(about_version, place));
            }
            CatalogError::Exists { version } => return Self::exists(version.map(quoted).as_deref()),
            CatalogError::EmailTaken(_) => return Self::email_taken(),
            CatalogError::LastAdmin => return Self::last_admin(),
            CatalogError::VideosLeft(_) => return Self::busy(),
            CatalogError::IdentityTaken => return Self::identity_taken(),
            CatalogError::TooManyIdentities => return Self::too_many_identities(),
            CatalogError::LastWayIn => return Self::last_way_in(),
            CatalogError::TooManyKeys(_) => return Self::too_many_keys(),
            CatalogError::ExternalIdTaken { scheme } => return Self::external_id_taken(&scheme),
            CatalogError::TooManyShares(_) => return Self::too_many_shares(),
            CatalogError::NoWebhook(_) => return Self::not_found("there is no such webhook of yours"),
            CatalogError::TooManyWebhooks => {
                let detail =
                    format!("there are at most {} webhooks: remove one", catalog_store::webhooks::WEBHOOKS_MAX);
                return Self::new(StatusCode::CONFLICT, "too_many_webhooks", detail);
            }
            CatalogError::TooManyMessages(_) => {
                let detail = "too much waits for this webhook: wait until some of it is taken";
                return Self::new(StatusCode::CONFLICT, "too_many_messages", detail);
            }
            CatalogError::NotReady { state, .. } => {
                let detail = format!("the asset is {state}: only one that is ready can be processed again");
                return Self::new(StatusCode::CONFLICT, "asset_not_ready", detail);
            }
            CatalogError::Replaced { in_force, .. } => {
                let detail = match in_force {
                    Some(generation) => format!("generation {generation} of the asset is in force"),
                    None => "no generation of the asset is in force".to_owned(),
                };
                return Self::new(StatusCode::CONFLICT, "generation_replaced", detail);
            }
            CatalogError::VersionUnderWay(_) => return Self::version_under_way(),
            CatalogError::NoVersion { version, .. } => {
                let detail = format!("version {version} of the asset is not kept");
                return Self::new(StatusCode::CONFLICT, "version_not_kept", detail);
            }
            CatalogError::VersionInForce { version, .. } => {
                let detail = format!("version {version} of the asset is in force already");
                return Self::new(StatusCode::CONFLICT, "version_in_force", detail);
            }
            CatalogError::TooManyVersions(_) => {
                let detail = "the asset has had as many versions as it may";
                return Self::new(StatusCode::CONFLICT, "too_many_versions", detail);
            }
            CatalogError::TooManyGenerations(_) => {
                let detail = "too many generations of the asset are kept for players: wait until one is removed";
                return Self::new(StatusCode::CONFLICT, "too_many_generations", detail);
            }
            CatalogError::TooManyDocuments { count_max, .. } => {
                let detail = format!("an asset has at most {count_max} documents: remove one");
                return Self::new(StatusCode::CONFLICT, "too_many_documents", detail);
            }
            CatalogError::TooManyTexts(_) => {
                let detail = format!("an asset has at most {} subtitle files: remove one", domain::text::COUNT_MAX);
                return Self::new(StatusCode::CONFLICT, "too_many_subtitles", detail);
            }
            _ => {}
        }
        if error.is_reference_gone() {
            // Rare, and worth a look if it is not: then a reference was not looked for.
            tracing::warn!(error = %chain(&error), "something was deleted while it was referred to");
            return Self::not_found("what this refers to was deleted meanwhile");
        }
        if error.is_transient() || error.is_breakdown() {
            match error.is_breakdown() {
                true => tracing::error!(error = %chain(&error), "the catalogue has broken down"),
                false => tracing::warn!(error = %chain(&error), "the catalogue is away"),
            }
            let detail = "the catalogue cannot be reached, try again later";
            return Self {
                retry_after_s: Some(5),
                ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "catalog_unavailable", detail)
            };
        }
        tracing::error!(error = %chain(&error), "the catalogue failed");
        Self::internal()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = %chain(&error), "the store failed");
        let detail = "the storage cannot be reached, try again later";
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable", detail) }
    }
}

/// An error with its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // Ends with the chain; errors are built inside out, so it has no circle.
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

impl IntoResponse for Problem {
    /// Without a body: only [`render`] knows the path that the document names.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the documents of all problems.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => rendered(problem, response, &asked),
        None => response,
    }
}

/// Gives the problem documents of another crate their titles in the language of whoever asks, and says what they are
/// about.
pub(crate) async fn entitle(request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    entitled(&asked, next.run(request).await).await
}

/// The same of an answer that was given to `asked` before the API was reached. What is no problem document stays as it
/// is.
pub async fn entitled(asked: &Asked, response: Response) -> Response {
    if response.headers().get(header::CONTENT_TYPE).is_none_or(|kind| kind != PROBLEM_JSON) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(told) = to_bytes(body, DOCUMENT_BYTES_MAX).await else {
        return document(Problem::internal(), asked);
    };
    let Ok(mut fields) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&told) else {
        return Response::from_parts(head, told.into());
    };
    let code = fields.get("code").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    // What has no title here keeps the one it came with.
    if let Some(title) = titles::title(&code, asked.tongue) {
        if fields.get("type").is_some_and(|kind| kind == kinds::NONE) {
            fields.insert("type".to_owned(), kinds::of(&code).into());
        }
        fields.insert("title".to_owned(), title.into());
        say_tongue(&mut head.headers, asked.tongue);
    }
    fields.insert("instance".to_owned(), asked.uri.path().into());
    fields.extend(asked.id().map(|id| ("request_id".to_owned(), id.into())));
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, serde_json::Value::Object(fields).to_string().into())
}

/// What an error says of the request that met it.
pub struct Asked {
    uri: Uri,
    tongue: Tongue,
    /// As the server that stands around this one calls the request, in its log, too.
    id: Option<HeaderValue>,
}

impl Asked {
    /// What is to be said of `request`.
    pub fn of(request: &Request) -> Self {
        let id = request.headers().get("x-request-id").cloned();
        Self { uri: request.uri().clone(), tongue: Tongue::of(request.headers()), id }
    }

    fn id(&self) -> Option<&str> {
        self.id.as_ref().and_then(|id| id.to_str().ok())
    }
}

/// The answer with the document of a problem that a request met.
pub(crate) fn document(problem: Problem, asked: &Asked) -> Response {
    let response = problem.status.into_response();
    rendered(problem, response, asked)
}

fn rendered(problem: Problem, response: Response, asked: &Asked) -> Response {
    let document = Document {
        r#type: if problem.bound.is_some() { kinds::QUOTA_EXCEEDED.into() } else { kinds::of(problem.code) },
        title: titles::title(problem.code, asked.tongue).or(problem.status.canonical_reason()).unwrap_or("Error"),
        status: problem.status.as_u16(),
        code: problem.code,
        detail: &problem.detail,
        instance: asked.uri.path(),
        request_id: asked.id(),
        violated_policies: problem.bound.as_deref().map(|(policy, _)| [policy.name]),
        errors: &problem.errors,
        allowed: &problem.allowed,
    };
    let text = serde_json::to_string(&document).unwrap_or_default();
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    say_tongue(&mut head.headers, asked.tongue);
    if problem.status == StatusCode::UNAUTHORIZED {
        let is_wrong = problem.code == "invalid_token";
        let challenge = if is_wrong { "Bearer error=\"invalid_token\"" } else { "Bearer" };
        head.headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    let tag = problem.tag.and_then(|tag| HeaderValue::try_from(&*tag).ok());
    head.headers.extend(tag.map(|tag| (header::ETAG, tag)));
    if let Some((policy, allowance)) = problem.bound.as_deref() {
        tell(policy, allowance, &mut head.headers);
    }
    if let Some(seconds) = problem.retry_after_s {
        head.headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Response::from_parts(head, axum::body::Body::from(text))
}

pub(super) fn say_tongue(headers: &mut HeaderMap, tongue: Tongue) {
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(tongue.tag()));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Language"));
}
