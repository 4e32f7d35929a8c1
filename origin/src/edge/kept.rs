//! Answers that are kept, or that several requests get at once while they arrive; in memory, within a bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use domain::Timestamp;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::fields;
use super::purges::Scope;
use super::terms::Terms;
use super::vary::{self, Spec};
use crate::answer::{self, Representation};
use crate::body::{Body, Content};
use crate::weighed;

/// What an entry costs on top of its content and its headers.
const ENTRY_OVERHEAD_BYTES: u64 = 1024;
/// Guess at the mean size of an entry, by which the cache sizes its tables.
const ENTRY_BYTES_TYPICAL: u64 = 256 << 10;
/// Independent parts of the cache. Few, since an entry has to fit into one part.
const CACHE_SHARDS: usize = 4;
/// Largest answer that is kept.
const KEPT_BYTES_MAX: u64 = 32 << 20;
/// Addresses of which it is remembered what they vary for.
const SPECS_MAX: usize = 64 << 10;
/// How long a failure is remembered by an answer that is given in its place.
const TROUBLE_KEPT: Duration = Duration::from_secs(1);

/// The tags of an answer, with blanks between.
const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");

/// Fields that describe the octets that are here, whatever a 304 says.
const OF_THE_OCTETS: [HeaderName; 5] = [
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
];

/// An answer that more than one request may get.
pub(super) struct Kept {
    status: StatusCode,
    /// Of which the headers are the answer's, as they are kept.
    representation: Representation,
    headers: HeaderMap,
    content: Content,
    pub(super) terms: Terms,
    spec: Spec,
    variant: String,
    /// Until when nobody asks whether it still is what it was, since nobody answered.
    troubled_until: AtomicI64,
}

impl Kept {
    /// An answer of so many octets with these headers, to a request whose headers were `asked`.
    pub(super) fn new(
        status: StatusCode,
        headers: HeaderMap,
        (content, bytes): (Content, u64),
        terms: Terms,
        (spec, asked): (Spec, &HeaderMap),
    ) -> Self {
        let headers = fields::kept(headers);
        let variant = vary::variant(&spec, asked);
        let representation = Representation::relayed(&headers, bytes);
        Self { status, representation, headers, content, terms, spec, variant, troubled_until: AtomicI64::new(0) }
    }

    /// The same with other content: all of it, where it was arriving.
    pub(super) fn with(&self, content: Content) -> Self {
        Self {
            status: self.status,
            representation: self.representation.clone(),
            headers: self.headers.clone(),
            content,
            terms: self.terms,
            spec: Arc::clone(&self.spec),
            variant: self.variant.clone(),
            troubled_until: AtomicI64::new(0),
        }
    }

    /// The same after the origin said that it still is so (RFC 9111 §3.2).
    pub(super) fn freshened(
        &self,
        told: &HeaderMap,
        terms: impl FnOnce(StatusCode, &HeaderMap) -> Option<Terms>,
    ) -> Option<Self> {
        let mut headers = self.headers.clone();
        headers.remove(AGE);
        for name in told.keys() {
            // What describes the octets that are here stays with them.
            if OF_THE_OCTETS.contains(name) {
                continue;
            }
            headers.remove(name);
            for value in told.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let terms = terms(self.status, &headers)?;
        let headers = fields::kept(headers);
        let bytes = self.representation.bytes;
        let representation = Representation::relayed(&headers, bytes);
        Some(Self { representation, headers, terms, ..self.with(self.content.clone()) })
    }

    /// Whether it is the one for a request with these headers.
    pub(super) fn suits(&self, asked: &HeaderMap) -> bool {
        vary::variant(&self.spec, asked) == self.variant
    }

    /// What it varies for.
    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Whether a 304 with these headers is about this answer (RFC 9111 §4.3.4).
    pub(super) fn is_meant_by(&self, told: &HeaderMap) -> bool {
        let opaque = |etag: &HeaderValue| etag.as_bytes().strip_prefix(b"W/").unwrap_or(etag.as_bytes()).to_vec();
        match (told.get(ETAG), self.headers.get(ETAG)) {
            (Some(told), Some(known)) => opaque(told) == opaque(known),
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Asks with `headers` only for what is not the same; `false` where there is nothing to compare.
    pub(super) fn condition(&self, headers: &mut HeaderMap) -> bool {
        let mut is_conditional = false;
        for (of, name) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
            if let Some(value) = self.headers.get(of) {
                headers.insert(name, value.clone());
                is_conditional = true;
            }
        }
        is_conditional
    }

    /// Remembers that nobody answered at `now`.
    pub(super) fn set_troubled(&self, now: Timestamp) {
        self.troubled_until.store(now.plus(TROUBLE_KEPT).unix_ms(), Ordering::Relaxed);
    }

    /// Whether nobody answered a moment ago.
    pub(super) fn is_troubled(&self, now: Timestamp) -> bool {
        now.unix_ms() < self.troubled_until.load(Ordering::Relaxed)
    }

    /// The tags by which it is purged.
    pub(super) fn tags(&self) -> Vec<&[u8]> {
        let lines = self.headers.get_all(SURROGATE_KEY).into_iter();
        lines.flat_map(|line| line.as_bytes().split(|octet| *octet == b' ')).filter(|tag| !tag.is_empty()).collect()
    }

    /// Its status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The answer to a request: by preconditions and ranges, where it is a success.
    pub(super) fn respond(&self, method: &Method, asked: &HeaderMap, now: Timestamp) -> Response<Body> {
        let mut response = if self.status == StatusCode::OK {
            answer::choose(method, asked, &self.representation).respond(&self.representation, &self.content)
        } else {
            self.representation.respond_as(self.status, &self.content)
        };
        if method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        // Refusals of our own making are new.
        let is_refusal = matches!(response.status().as_u16(), 412 | 416) && self.status == StatusCode::OK;
        if !is_refusal {
            response.headers_mut().insert(AGE, HeaderValue::from(self.terms.age(now).as_secs()));
        }
        response
    }

    fn weight(&self) -> u64 {
        // The headers stand there three times: as they came, for a 200 and for a 304.
        let field = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().len() + value.len() + 64) as u64;
        3 * self.headers.iter().map(field).sum::<u64>() + self.representation.bytes + ENTRY_OVERHEAD_BYTES
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<String, Arc<Kept>> for ByBytes {
    fn weight(&self, name: &String, kept: &Arc<Kept>) -> u64 {
        kept.weight() + name.len() as u64
    }
}

/// What is kept. Eviction is quick_cache's (like S3-FIFO), so that a scan does not drive out what is hot.
pub(super) struct Store {
    answers: Cache<String, Arc<Kept>, ByBytes>,
    specs: Cache<String, Spec>,
}

impl Store {
    /// Holds at most about `bytes`.
    pub(super) fn new(bytes: u64) -> Self {
        let answers = weighed::cache(bytes, ENTRY_BYTES_TYPICAL, CACHE_SHARDS, ByBytes);
        Self { answers, specs: Cache::new(SPECS_MAX) }
    }

    /// The name of the answer at `target` for a request with these headers, as far as it is known what it varies for.
    pub(super) fn name(&self, target: &str, asked: &HeaderMap) -> String {
        match self.specs.get(target) {
            Some(spec) => format!("{target}{}", vary::variant(&spec, asked)),
            None => target.to_owned(),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Kept>> {
        self.answers.get(name)
    }

    /// Keeps the answer at `target`, in place of what was there for the same requests.
    pub(super) fn keep(&self, target: &str, kept: &Arc<Kept>) {
        self.answers.insert(format!("{target}{}", kept.variant), Arc::clone(kept));
        self.learn(target, &kept.spec);
    }

    /// Takes notice of what answers at `target` vary for.
    pub(super) fn learn(&self, target: &str, spec: &Spec) {
        if spec.is_empty() {
            self.specs.remove(target);
        } else {
            self.specs.insert(target.to_owned(), Arc::clone(spec));
        }
    }

    /// Forgets what a purge is for; how many answers that were.
    pub(super) fn purge(&self, scope: &Scope) -> usize {
        let purged = AtomicUsize::new(0);
        self.answers.retain(|_, kept| {
            let is_purged = scope.covers(&kept.tags());
            purged.fetch_add(usize::from(is_purged), Ordering::Relaxed);
            !is_purged
        });
        purged.into_inner()
    }

    pub(super) fn forget(&self, name: &str) {
        self.answers.remove(name);
    }

    /// Whether an answer of this size is ever kept.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        bytes <= KEPT_BYTES_MAX && bytes.saturating_mul(2) <= self.answers.shard_capacity()
    }
}
