//! `Idempotency-Key`: what is asked for under a name is done once, and answered the same each time.
//!
//! One layer around everything that is made by POST (draft-ietf-httpapi-idempotency-key-header-07). The answer is kept
//! for a day, sealed under the key itself, which is not kept: whoever has the database has no answers, and no secrets
//! that they told. What a kill in between means stands in docs/adr/0040.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use catalog_store::idempotency::marked;
use catalog_store::{Catalog, Known, Mark, Named};
use domain::Clock;
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use crate::accounts::{Caller, secret};
use crate::problem::{Asked, Problem, chain, document};
use crate::{Access, State, body, problem};

/// Longest key.
const KEY_BYTES_MAX: usize = 255;
/// Shortest key of what answers with a secret, since the key seals it.
const KEY_BYTES_MIN: usize = 16;
/// Largest body of what is done once.
const BODY_BYTES_MAX: usize = domain::text::BYTES_MAX;
/// Largest answer that is kept.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long somebody may take to do it, before another one may: whoever is slower does nothing any more.
const LOCK: Duration = Duration::from_secs(30);

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The fields of an answer that are kept.
const KEPT: [HeaderName; 5] =
    [header::CONTENT_TYPE, header::LOCATION, header::ETAG, header::CACHE_CONTROL, header::LINK];
/// What is answered by a secret that is told once.
const TELLS_SECRETS: [&str; 7] = [
    "/api/v1/me/api-keys",
    "/api/v1/me/totp",
    "/api/v1/upload-grants",
    "/api/v1/webhooks",
    "/documents",
    "/secrets",
    "/versions",
];

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// What the layer works with.
#[derive(Clone)]
struct Desk {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

/// The layer around operations of this crate: whoever asks is known already.
pub(crate) async fn once(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    let named = is_named(&request);
    let name = request.extensions().get::<Caller>().filter(|_| named).map(owner_of);
    // Whoever is nobody yet has nothing to be kept under: becoming somebody is bounded in other ways.
    match name.flatten() {
        Some(principal) => answered(&state, &principal, request, next).await.unwrap_or_else(Problem::into_response),
        None => next.run(request).await,
    }
}

/// The layer around operations of other crates below `/api`, who find out themselves who asks.
pub(crate) fn around(state: State, router: Router) -> Router {
    router.layer(middleware::from_fn_with_state(state, once_elsewhere)).layer(middleware::from_fn(problem::entitle))
}

async fn once_elsewhere(Shared(state): Shared<State>, request: Request, next: Next) -> Response {
    if !is_named(&request) {
        return next.run(request).await;
    }
    let asked = Asked::of(&request);
    let (parts, body) = request.into_parts();
    let answer = match principal_of(&state, &parts).await {
        Ok(Some(principal)) => answered(&state, &principal, Request::from_parts(parts, body), next).await,
        // Their own door says what is wrong with it.
        Ok(None) => Ok(next.run(Request::from_parts(parts, body)).await),
        Err(problem) => Err(problem),
    };
    answer.unwrap_or_else(|problem| document(problem, &asked))
}

async fn principal_of(state: &State, parts: &Parts) -> Result<Option<String>, Problem> {
    // Found out when the request was counted.
    if let Some(caller) = parts.extensions.get::<Caller>() {
        return Ok(owner_of(caller));
    }
    Ok(match &state.access {
        Access::Accounts(accounts) => owner_of(&accounts.caller(&parts.method, &parts.uri, &parts.headers).await?),
        // Tokens of the configuration are known to uploads alone: by their hashes they are told apart.
        Access::Open => {
            let token = parts.headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
            Some(format!("open {}", secret::hex(digest::digest(&digest::SHA256, token).as_ref())))
        }
    })
}

fn owner_of(caller: &Caller) -> Option<String> {
    match caller.principal {
        domain::Principal::Anonymous => None,
        _ => Some(caller.actor()),
    }
}

fn is_named(request: &Request) -> bool {
    request.method() == Method::POST && request.headers().contains_key("idempotency-key")
}

async fn answered(state: &State, principal: &str, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let key = key_in(&parts.headers)?;
    let tells_secrets = TELLS_SECRETS.iter().any(|end| parts.uri.path().ends_with(end));
    if tells_secrets && key.len() < KEY_BYTES_MIN {
        return Err(Problem::invalid_idempotency_key(
            "an Idempotency-Key of what answers with a secret has at least 16 characters that nobody can guess",
        ));
    }
    let body = body::read(state, &parts.headers, body, BODY_BYTES_MAX).await?;
    let hash = digested(&[b"idempotency key", principal.as_bytes(), key.as_bytes()]);
    let fingerprint = fingerprint(&parts, &body);
    let desk = Desk { catalog: state.catalog.clone(), clock: Arc::clone(&state.clock), tasks: state.tasks.clone() };
    let named = Named { hash: &hash, principal, fingerprint: &fingerprint };
    let seal = Seal::new(principal, &key, hash.clone());
    match desk.catalog.begin_named(&named, LOCK, desk.clock.now()).await? {
        Known::New(mark) => {
            let request = Request::from_parts(parts, Body::from(body));
            // Goes on when the client is gone: it will ask again.
            let done = desk.tasks.clone().spawn(async move { desk.run(mark, seal, request, next).await });
            done.await.map_err(|_| Problem::internal())
        }
        Known::Running(until) => Err(Problem::idempotency_running(until.since(desk.clock.now()))),
        Known::Other => Err(Problem::idempotency_reused()),
        Known::Unanswered => Err(Problem::idempotency_answer_lost()),
        Known::Answered(sealed) => seal.opened(&sealed).ok_or_else(Problem::idempotency_answer_lost),
    }
}

impl Desk {
    /// Does what is asked for, and keeps the answer if it may have done something.
    async fn run(self, mark: Mark, seal: Seal, request: Request, next: Next) -> Response {
        let asked = Asked::of(&request);
        let mut response = marked(mark.clone(), next.run(request)).await;
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            response = document(problem, &asked);
        }
        if !response.status().is_success() {
            match self.catalog.drop_named(&mark).await {
                // Nothing was done: whoever asks again is answered anew.
                Ok(true) => return response,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "it stays noted that something is being done");
                    return response;
                }
            }
        }
        let (head, body) = response.into_parts();
        let Ok(body) = Limited::new(body, ANSWER_BYTES_MAX).collect().await else {
            return Problem::internal().into_response();
        };
        let body = body.to_bytes();
        if let Some(sealed) = seal.sealed(&head.headers, head.status, &body, &*self.clock)
            && let Err(error) = self.catalog.answer_named(&mark, &sealed).await
        {
            tracing::warn!(error = %chain(&error), "an answer is not kept for those who ask again");
        }
        Response::from_parts(head, Body::from(body))
    }
}

/// The key of a request: a string as RFC 9651 §3.3.3 has it, or bare.
fn key_in(headers: &HeaderMap) -> Result<String, Problem> {
    let wrong = || Problem::invalid_idempotency_key("Idempotency-Key is one string of 1 to 255 printable characters");
    let mut lines = headers.get_all("idempotency-key").iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Err(wrong()) };
    let text = line.to_str().map_err(|_| wrong())?.trim();
    let key = match text.strip_prefix('"') {
        None => text.to_owned(),
        Some(rest) => unquoted(rest).ok_or_else(wrong)?,
    };
    let is_key = (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if is_key { Ok(key) } else { Err(wrong()) }
}

/// What stands behind the first quotation mark, up to one at the end.
fn unquoted(text: &str) -> Option<String> {
    let (mut key, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.push(letters.next().filter(|letter| matches!(letter, '"' | '\\'))?),
            '"' => return letters.next().is_none().then_some(key),
            letter => key.push(letter),
        }
    }
    None
}

/// The same for what means the same: documents are written out anew.
fn fingerprint(parts: &Parts, body: &Bytes) -> String {
    let kind = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let written = serde_json::from_slice::<serde_json::Value>(body).ok().map(|document| document.to_string());
    let content = written.as_deref().map_or(&body[..], str::as_bytes);
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    digested(&[parts.method.as_str().as_bytes(), target.as_bytes(), kind, content])
}

/// Of all pieces, each with its length, so that no two lists are alike.
fn digested(pieces: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for piece in pieces {
        context.update(&(piece.len() as u64).to_be_bytes());
        context.update(piece);
    }
    secret::hex(context.finish().as_ref())
}

/// Keeps answers from everybody who does not know the key that they were asked for under.
struct Seal {
    key: Option<LessSafeKey>,
    hash: String,
}

impl Seal {
    fn new(principal: &str, key: &str, hash: String) -> Self {
        let own = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        let sealing = hmac::sign(&own, format!("headwater idempotency seal\n{principal}").as_bytes());
        Self { key: UnboundKey::new(&AES_256_GCM, sealing.as_ref()).ok().map(LessSafeKey::new), hash }
    }

    fn sealed(&self, headers: &HeaderMap, status: StatusCode, body: &Bytes, clock: &dyn Clock) -> Option<String> {
        let field = |name: &HeaderName| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_owned()));
        let headers = KEPT.iter().filter_map(field).collect();
        let kept = Kept { status: status.as_u16(), headers, body: String::from_utf8(body.to_vec()).ok()? };
        let mut octets = serde_json::to_vec(&kept).ok()?;
        let nonce: [u8; NONCE_LEN] = clock.entropy().get(..NONCE_LEN)?.try_into().ok()?;
        let aad = Aad::from(self.hash.as_bytes());
        self.key.as_ref()?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut octets).ok()?;
        Some(STANDARD_NO_PAD.encode([&nonce[..], &octets].concat()))
    }

    fn opened(&self, sealed: &str) -> Option<Response> {
        let octets = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, octets) = octets.split_at_checked(NONCE_LEN)?;
        let (nonce, mut octets) = (Nonce::try_assume_unique_for_key(nonce).ok()?, octets.to_vec());
        let aad = Aad::from(self.hash.as_bytes());
        let plain = self.key.as_ref()?.open_in_place(nonce, aad, &mut octets).ok()?;
        let kept: Kept = serde_json::from_slice(plain).ok()?;
        let mut response = Response::new(Body::from(kept.body));
        *response.status_mut() = StatusCode::from_u16(kept.status).ok()?;
        for (name, value) in kept.headers {
            let (name, value) = (HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
            response.headers_mut().insert(name, value);
        }
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> Option<String> {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), value.parse().expect("a value"))]);
        key_in(&headers).ok()
    }

    #[test]
    fn a_key_is_a_string_or_bare() {
        assert_eq!(key("\"8e03978e-40d5\"").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key("8e03978e-40d5").as_deref(), Some("8e03978e-40d5"));
        assert_eq!(key(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        for wrong in ["", "\"\"", "\"a", "\"a\"b", r#""a\b""#, &"x".repeat(256)] {
            assert_eq!(key(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_opens_for_the_key_that_sealed_it_only() {
        let clock = domain::ManualClock::at(domain::Timestamp::from_unix_ms(0));
        let headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static("/x"))]);
        let seal = |key: &str| Seal::new("ada", key, "hash".into());
        let sealed = seal("k").sealed(&headers, StatusCode::CREATED, &Bytes::from_static(b"whsec_x"), &clock);
        let sealed = sealed.expect("it is sealed");
        assert!(
            !sealed.contains("whsec_x") && !STANDARD_NO_PAD.decode(&sealed).expect("base 64").ends_with(b"whsec_x")
        );
        let opened = seal("k").opened(&sealed).expect("it opens");
        assert_eq!(
            (opened.status(), &opened.headers()["location"]),
            (StatusCode::CREATED, &HeaderValue::from_static("/x"))
        );
        assert_eq!(opened.headers()["idempotent-replayed"], "true");
        assert!(seal("l").opened(&sealed).is_none() && seal("k").opened("AAAA").is_none());
        assert!(Seal::new("bob", "k", "hash".into()).opened(&sealed).is_none());
    }
}
