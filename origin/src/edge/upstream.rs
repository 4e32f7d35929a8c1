//! The origin behind this cache: asked over connections that stay open, with a bound on each wait.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use domain::{Clock, Timestamp};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, HeaderName, IF_RANGE, RANGE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use reqwest::{Client, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::fields;
use crate::objects::FetchError;

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for the head of an answer: an origin may wait some seconds for what is still being encoded.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for each piece of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept open unused: shorter than servers keep theirs.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Connections that are kept open unused.
const IDLE_MAX: usize = 128;
/// Requests that wait for a turn, for each that has one; further ones are refused.
const QUEUE_PER_TURN: usize = 8;
/// Requests for one answer: the first, and those that begin where the one before it broke off.
const ATTEMPTS_MAX: u32 = 3;
/// Pause before another attempt.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nobody is there, or what is there does not speak HTTP.
    Unreachable,
    /// It takes too long.
    Slow,
    /// Too many requests wait already.
    Busy,
    /// It answered with an error, or with what cannot be used.
    Broken,
}

/// The origin.
pub(super) struct Upstream {
    client: Client,
    base: Url,
    secret: Option<(HeaderName, HeaderValue)>,
    clock: Arc<dyn Clock>,
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

/// The head of an answer, and the way to its body.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    /// As they are passed back.
    pub(super) headers: HeaderMap,
    /// Octets of the body, where they are told.
    pub(super) length: Option<u64>,
    /// The end of the body can be told from the end of the connection.
    pub(super) is_delimited: bool,
    pub(super) sent: Timestamp,
    pub(super) received: Timestamp,
    response: Response,
    turn: OwnedSemaphorePermit,
}

impl Upstream {
    /// Asks `base` with at most `requests_max` requests at a time.
    pub(super) fn new(
        base: Url,
        secret: Option<(HeaderName, HeaderValue)>,
        requests_max: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_MAX)
            .redirect(reqwest::redirect::Policy::none())
            // Where requests go is decided by the configuration, not by the environment.
            .no_proxy()
            .build()?;
        let turns = Arc::new(Semaphore::new(requests_max));
        let queue = Arc::new(Semaphore::new(requests_max.saturating_mul(1 + QUEUE_PER_TURN)));
        Ok(Self { client, base, secret, clock, turns, queue })
    }

    /// Asks for `target`, a path with its query, and waits for the head of the answer.
    pub(super) async fn ask(&self, method: &Method, target: &str, headers: &HeaderMap) -> Result<Reply, Trouble> {
        let _place = self.queue.try_acquire().map_err(|_| Trouble::Busy)?;
        let turn = timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| Trouble::Busy)?.map_err(|_| Trouble::Busy)?;
        let mut attempts = 0;
        // Ends with an answer, or with the last attempt.
        loop {
            attempts += 1;
            let sent = self.clock.now();
            match self.send(method, target, headers.clone()).await {
                Ok(response) => return Ok(self.reply(response, turn, sent)),
                Err(trouble) if trouble == Trouble::Slow || attempts == ATTEMPTS_MAX => return Err(trouble),
                // A connection that was kept open may have been closed on its way.
                Err(_) => tokio::time::sleep(PAUSE * attempts).await,
            }
        }
    }

    async fn send(&self, method: &Method, target: &str, mut headers: HeaderMap) -> Result<Response, Trouble> {
        if let Some((name, value)) = &self.secret {
            headers.insert(name, value.clone());
        }
        let mut url = self.base.clone();
        match target.split_once('?') {
            Some((path, query)) => {
                url.set_path(path);
                url.set_query(Some(query));
            }
            None => url.set_path(target),
        }
        let sending = self.client.request(method.clone(), url).headers(headers).send();
        let told = |error: reqwest::Error| {
            let trouble = if error.is_timeout() { Trouble::Slow } else { Trouble::Unreachable };
            tracing::info!(error = &error.without_url() as &dyn std::error::Error, "the upstream gives no answer");
            trouble
        };
        timeout(ANSWER_TIMEOUT, sending).await.map_err(|_| Trouble::Slow)?.map_err(told)
    }

    fn reply(&self, response: Response, turn: OwnedSemaphorePermit, sent: Timestamp) -> Reply {
        let (status, received) = (response.status(), self.clock.now());
        let told = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = if is_bodiless { Some(0) } else { told };
        let is_chunked = response.headers().contains_key(TRANSFER_ENCODING);
        let is_delimited = length.is_some() || is_chunked || response.version() >= Version::HTTP_2;
        let mut headers = fields::back(response.headers(), response.version());
        if !headers.contains_key(DATE) {
            // Whoever passes an answer on says when it came, if it does not say when it was made (RFC 9110 §6.6.1).
            let seconds = u64::try_from(received.unix_ms() / 1000).unwrap_or(0);
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            headers.extend(HeaderValue::from_str(&date).ok().map(|date| (DATE, date)));
        }
        Reply { status, headers, length, is_delimited, sent, received, response, turn }
    }
}

/// A body on its way. One of a whole object with a strong entity-tag goes on where it broke off.
pub(super) struct Incoming {
    upstream: Arc<Upstream>,
    response: Response,
    turn: Option<OwnedSemaphorePermit>,
    length: Option<u64>,
    at: u64,
    attempts: u32,
    /// What to ask with to go on.
    more: Option<(String, HeaderMap)>,
}

impl Reply {
    /// The body of the answer to a GET of `target` with these headers.
    pub(super) fn body(self, upstream: &Arc<Upstream>, target: &str, asked: &HeaderMap) -> Incoming {
        let etag = self.headers.get(ETAG).filter(|etag| is_strong(etag) && self.status == StatusCode::OK);
        let more = etag.filter(|_| self.length.is_some()).map(|etag| {
            let mut headers = fields::unconditional(asked.clone());
            headers.insert(IF_RANGE, etag.clone());
            (target.to_owned(), headers)
        });
        let Self { response, turn, length, .. } = self;
        Incoming { upstream: Arc::clone(upstream), response, turn: Some(turn), length, at: 0, attempts: 1, more }
    }
}

pub(super) fn is_strong(etag: &HeaderValue) -> bool {
    etag.as_bytes().starts_with(b"\"")
}

impl Incoming {
    /// Gives the turn back: whoever takes the octets decides how long that takes.
    pub(super) fn give_turn_back(&mut self) {
        self.turn = None;
    }

    /// The next octets; `None` behind the last of a body that came whole.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        // Ends with octets, with the end, or with the last attempt.
        loop {
            let failure = match timeout(PIECE_TIMEOUT, self.response.chunk()).await {
                Ok(Ok(Some(piece))) if piece.is_empty() => continue,
                Ok(Ok(Some(piece))) => {
                    self.at += piece.len() as u64;
                    if self.length.is_some_and(|length| self.at > length) {
                        return Err(FetchError::Upstream);
                    }
                    return Ok(Some(piece));
                }
                Ok(Ok(None)) if self.length.is_none_or(|length| self.at == length) => return Ok(None),
                Ok(Ok(None) | Err(_)) => FetchError::Upstream,
                Err(_) => FetchError::Slow,
            };
            tracing::info!(bytes = self.at, attempts = self.attempts, "an answer of the upstream broke off");
            self.go_on().await.ok_or(failure)?;
        }
    }

    /// Asks for the rest. `None` where there is no other attempt, or what comes is not the rest.
    async fn go_on(&mut self) -> Option<()> {
        let (target, headers) = self.more.as_ref()?;
        let (Some(length), true) = (self.length, self.attempts < ATTEMPTS_MAX) else { return None };
        self.attempts += 1;
        tokio::time::sleep(PAUSE * self.attempts).await;
        let mut headers = headers.clone();
        headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={}-", self.at)).ok()?);
        let response = self.upstream.send(&Method::GET, target, headers.clone()).await.ok()?;
        let expected = format!("bytes {}-{}/{length}", self.at, length.checked_sub(1)?);
        let is_rest = response.status() == StatusCode::PARTIAL_CONTENT
            && response.headers().get(CONTENT_RANGE).is_some_and(|told| told.as_bytes() == expected.as_bytes())
            && response.headers().get(ETAG) == headers.get(IF_RANGE);
        self.response = response;
        is_rest.then_some(())
    }
}
