//! A tus server in memory that can be told to fail: a double for what a real one does rarely.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingest::digest::{Algorithm, Hasher};
use serde_json::json;
use tokio::task::JoinSet;
use url::Url;

use super::serve;

/// The running double. Cheap to clone.
#[derive(Clone)]
pub(super) struct Double {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    uploads: BTreeMap<String, Upload>,
    faults: Vec<Fault>,
    /// `METHOD offset length` of each request that carried octets, and `METHOD path` of the others.
    requests: Vec<String>,
    headers: BTreeMap<&'static str, &'static str>,
}

#[derive(Clone, Default)]
struct Upload {
    octets: Vec<u8>,
    length: usize,
    concat: Option<String>,
    digest: Option<String>,
}

/// An answer in place of the right one.
pub(super) struct Fault {
    method: &'static str,
    /// Requests of this method that are answered rightly before.
    after: usize,
    times: usize,
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    code: &'static str,
    /// Only bodies that are longer than this.
    above_bytes: usize,
}

/// A fault of the server itself.
pub(super) fn fault(method: &'static str, status: u16, code: &'static str) -> Fault {
    Fault { method, after: 0, times: 1, status, headers: vec![("tus-resumable", "1.0.0")], code, above_bytes: 0 }
}

/// A fault of something before the server.
pub(super) fn foreign(method: &'static str, status: u16) -> Fault {
    Fault { headers: Vec::new(), ..fault(method, status, "") }
}

impl Fault {
    pub(super) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    pub(super) fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    pub(super) fn above(self, above_bytes: usize) -> Self {
        Self { above_bytes, times: usize::MAX, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn answer(&self) -> Response {
        let status = StatusCode::from_u16(self.status).expect("a status");
        let problem = json!({ "code": self.code, "detail": format!("told to say {}", self.status) }).to_string();
        let body = if self.code.is_empty() { String::new() } else { problem };
        let mut response = (status, body).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(*name, value.parse().expect("a value"));
        }
        response
    }
}

impl Double {
    /// Serves on a port of its own.
    pub(super) async fn start(tasks: &mut JoinSet<()>) -> (Self, Url) {
        let headers = BTreeMap::from([
            ("tus-version", "1.0.0"),
            ("tus-extension", "creation,termination,checksum,concatenation"),
            ("tus-checksum-algorithm", "sha1,sha256,crc32c"),
            ("tus-max-size", "1000000000"),
        ]);
        let double = Self { inner: Arc::new(Mutex::new(Inner { headers, ..Inner::default() })) };
        let url = serve(tasks, Router::new().fallback(answer).with_state(double.clone())).await;
        (double, url)
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.inner.lock().expect("is whole").faults.push(fault);
    }

    /// What `OPTIONS` answers in this header; empty for nothing.
    pub(super) fn say(&self, header: &'static str, value: &'static str) {
        let mut inner = self.inner.lock().expect("is whole");
        if value.is_empty() {
            inner.headers.remove(header)
        } else {
            inner.headers.insert(header, value)
        };
    }

    pub(super) fn requests(&self, method: &str) -> Vec<String> {
        let inner = self.inner.lock().expect("is whole");
        inner.requests.iter().filter(|request| request.starts_with(method)).cloned().collect()
    }

    /// How many uploads there are that are no parts, and how many parts.
    pub(super) fn count(&self) -> (usize, usize) {
        let inner = self.inner.lock().expect("is whole");
        let parts = inner.uploads.values().filter(|upload| upload.concat.as_deref() == Some("partial")).count();
        (inner.uploads.len() - parts, parts)
    }

    /// The octets of the one complete upload that is no part, and the digest that was given of it.
    pub(super) fn arrived(&self) -> (Vec<u8>, Option<String>) {
        let inner = self.inner.lock().expect("is whole");
        let is_whole = |upload: &&Upload| upload.concat.as_deref() != Some("partial");
        let whole: Vec<&Upload> = inner.uploads.values().filter(is_whole).collect();
        assert_eq!(whole.len(), 1, "one file, one upload");
        assert_eq!(whole[0].octets.len(), whole[0].length, "is complete");
        (whole[0].octets.clone(), whole[0].digest.clone())
    }

    /// Loses every upload whose name ends so.
    pub(super) fn lose(&self, end: &str) {
        self.inner.lock().expect("is whole").uploads.retain(|name, _| !name.ends_with(end));
    }
}

async fn answer(State(double): State<Double>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let overriding = head.headers.get("x-http-method-override").and_then(|value| value.to_str().ok());
    let method = overriding.unwrap_or(head.method.as_str()).to_owned();
    let announced = text(&head.headers, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let (carrier, path) = (head.method.to_string(), head.uri.path().to_owned());
    if let Some(refused) = double.refused(&carrier, announced) {
        return refused;
    }
    let Ok(body) = to_bytes(Body::new(body), 1 << 30).await else { return StatusCode::BAD_REQUEST.into_response() };
    let mut inner = double.inner.lock().expect("is whole");
    let offset = text(&head.headers, "upload-offset").unwrap_or_default();
    let shown = if method == "PATCH" { format!("PATCH {offset} {}", body.len()) } else { format!("{method} {path}") };
    inner.requests.push(shown);
    let mut response = inner.right(&method, &path, &head.headers, &body);
    response.headers_mut().insert("tus-resumable", "1.0.0".parse().expect("a value"));
    response
}

impl Double {
    fn refused(&self, method: &str, announced: usize) -> Option<Response> {
        let mut inner = self.inner.lock().expect("is whole");
        let is_meant = |fault: &&mut Fault| {
            fault.method == method && fault.times > 0 && (fault.above_bytes == 0 || announced > fault.above_bytes)
        };
        let fault = inner.faults.iter_mut().find(is_meant)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        let answer = fault.answer();
        inner.requests.push(format!("refused {method} {announced}"));
        Some(answer)
    }
}

impl Inner {
    fn right(&mut self, method: &str, path: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let name = path.trim_start_matches("/uploads").trim_start_matches('/').to_owned();
        match method {
            "OPTIONS" => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                for (name, value) in &self.headers {
                    response.headers_mut().insert(*name, value.parse().expect("a value"));
                }
                response
            }
            "POST" => self.create(headers),
            "HEAD" => match self.uploads.get(&name) {
                Some(upload) => (StatusCode::OK, [("upload-offset", upload.octets.len())].map(head)).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            "PATCH" => self.append(&name, headers, body),
            "DELETE" if self.uploads.remove(&name).is_some() => StatusCode::NO_CONTENT.into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn create(&mut self, headers: &HeaderMap) -> Response {
        let concat = text(headers, "upload-concat").map(str::to_owned);
        let parts = concat.as_deref().and_then(|concat| concat.strip_prefix("final;")).map(str::to_owned);
        let octets: Vec<u8> = match parts {
            None => Vec::new(),
            Some(parts) => {
                let parts = parts.split(' ').map(|part| self.uploads.get(part.rsplit('/').next().unwrap_or_default()));
                match parts.collect::<Option<Vec<_>>>() {
                    Some(parts) => parts.iter().flat_map(|part| part.octets.iter().copied()).collect(),
                    None => return StatusCode::NOT_FOUND.into_response(),
                }
            }
        };
        let length = text(headers, "upload-length").map_or(octets.len(), |length| length.parse().expect("a number"));
        let name = format!("upl_{}", self.uploads.len() + self.requests.len());
        let digest = text(headers, "repr-digest").map(str::to_owned);
        self.uploads.insert(name.clone(), Upload { octets, length, concat, digest });
        let headers =
            [("location", format!("/uploads/{name}")), ("asset-location", format!("/api/v1/assets/ast_{name}"))];
        (StatusCode::CREATED, headers).into_response()
    }

    fn append(&mut self, name: &str, headers: &HeaderMap, body: &[u8]) -> Response {
        let Some(upload) = self.uploads.get_mut(name) else { return StatusCode::NOT_FOUND.into_response() };
        if text(headers, "upload-offset") != Some(&upload.octets.len().to_string()) {
            return StatusCode::CONFLICT.into_response();
        }
        if let Some((algorithm, value)) = text(headers, "upload-checksum").and_then(|sum| sum.split_once(' ')) {
            let mut hasher = Hasher::new(Algorithm::of_tus_name(algorithm).expect("is announced"));
            hasher.update(body);
            assert_eq!(STANDARD.encode(hasher.value()), value, "the checksum is right");
        }
        upload.octets.extend_from_slice(body);
        (StatusCode::NO_CONTENT, [("upload-offset", upload.octets.len())].map(head)).into_response()
    }
}

fn head((name, value): (&'static str, usize)) -> (&'static str, String) {
    (name, value.to_string())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
