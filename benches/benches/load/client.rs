//! An HTTP client that keeps its connections and nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// Octets of an answer.
const ANSWER_MAX: usize = 4 << 20;

/// Asks one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    address: String,
    turns: Semaphore,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).context("no JSON")
    }

    /// The version that a change would be of.
    pub(crate) fn tag(&self) -> Option<String> {
        Some(self.headers.get(header::ETAG)?.to_str().ok()?.to_owned())
    }

    /// Fails with any other status.
    pub(crate) fn with(self, wanted: StatusCode) -> anyhow::Result<Self> {
        let said = || String::from_utf8_lossy(&self.body).chars().take(300).collect::<String>();
        anyhow::ensure!(self.status == wanted, "{} instead of {wanted}: {}", self.status.as_u16(), said());
        Ok(self)
    }
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        let idle = Mutex::new(Vec::new());
        Self(Arc::new(Inner { address: address.to_owned(), turns: Semaphore::new(CONNECTIONS), idle }))
    }

    /// Sends a request when a connection is free, and reads the whole answer.
    pub(crate) async fn ask(
        &self,
        (method, path): (&str, &str),
        fields: &[(&str, &str)],
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let _turn = self.0.turns.acquire().await?;
        let mut sender = self.connection().await?;
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.0.address);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let (parts, body) = sender.send_request(request.body(Full::new(body))?).await?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn connection(&self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        // Ends: each turn takes one away.
        loop {
            let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut sender) = idle else { break };
            if !sender.is_closed() && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(&self.0.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        sender.ready().await?;
        Ok(sender)
    }
}
