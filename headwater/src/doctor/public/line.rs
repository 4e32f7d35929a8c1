//! Connections to the public address, one for each request, and what comes back on them.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderValue, Request, StatusCode, request};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_platform_verifier::BuilderVerifierExt;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, crypto};
use url::Url;

/// Time for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Time for a whole exchange.
pub(super) const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// Octets of an answer's body that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Octets of a body that are handed over at a time.
pub(super) const PIECE_BYTES: u64 = 16 << 10;
/// The same as a length in memory.
const PIECE_LEN: usize = 16 << 10;

/// The body of a request.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A connection of either kind.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The address is not one of the web.
    #[error("{0} is no address of a web server")]
    Address(Url),
    /// Nobody listens, or nothing gets through.
    #[error("cannot connect to {host}")]
    Connect {
        host: String,
        #[source]
        source: io::Error,
    },
    /// The encryption cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// The request or its answer broke off.
    #[error("the connection broke off")]
    Http(#[from] hyper::Error),
    /// The same on HTTP/2.
    #[error("the HTTP/2 connection broke off")]
    Http2(#[from] h2::Error),
    /// The answer's body broke off.
    #[error("the answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silence(Duration),
    /// The request cannot be written.
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// What came before it.
    pub(super) interim: Vec<(StatusCode, HeaderMap)>,
    pub(super) took: Duration,
}

/// The public address and how to speak to it.
pub(super) struct Site {
    pub(super) base: Url,
    token: Option<HeaderValue>,
}

/// A request whose body was begun and is not going on. Dropping it cuts the connection.
pub(super) struct Held {
    exchange: JoinSet<Result<Answer, Fault>>,
    passed: Arc<AtomicU64>,
}

impl Site {
    pub(super) fn new(base: &Url, token: Option<&str>) -> anyhow::Result<Self> {
        let bearer = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose();
        let mut token = bearer.map_err(|_| anyhow::anyhow!("the token holds characters that no token has"))?;
        token.iter_mut().for_each(|value| value.set_sensitive(true));
        let mut base = base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        Ok(Self { base, token })
    }

    /// True if the address is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// A request in the form that a connection wants.
    pub(super) fn request(&self, method: &str, address: &Url) -> request::Builder {
        let target = &address[url::Position::BeforePath..url::Position::AfterQuery];
        let host = &address[url::Position::BeforeHost..url::Position::AfterPort];
        let request = Request::builder().method(method).uri(target).header(HOST, host);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token),
            None => request,
        }
    }

    /// Opens a connection on which one of `protocols` was agreed; none for the oldest.
    pub(super) async fn connect(&self, protocols: &[&str]) -> Result<Box<dyn Io>, Fault> {
        let host = self.base.host_str().ok_or_else(|| Fault::Address(self.base.clone()))?.to_owned();
        let port = self.base.port_or_known_default().ok_or_else(|| Fault::Address(self.base.clone()))?;
        let refused = |source| Fault::Connect { host: format!("{host}:{port}"), source };
        let silent = |_| refused(io::Error::from(io::ErrorKind::TimedOut));
        let bare = host.trim_matches(['[', ']']);
        let stream = timeout(CONNECT_MAX, TcpStream::connect((bare, port))).await.map_err(silent)?.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        if !self.is_secure() {
            return Ok(Box::new(stream));
        }
        let provider = Arc::new(crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_platform_verifier()?
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| Fault::Address(self.base.clone()))?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = timeout(CONNECT_MAX, handshake).await.map_err(silent)?.map_err(refused)?;
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        if protocols.is_empty() || agreed.is_some_and(|agreed| protocols.iter().any(|one| one.as_bytes() == agreed)) {
            return Ok(Box::new(stream));
        }
        Err(refused(io::Error::new(io::ErrorKind::Unsupported, "the protocol is not offered")))
    }

    /// Sends a request on a connection of its own and reads the answer.
    pub(super) async fn exchange(&self, request: Request<Body>) -> Result<Answer, Fault> {
        let silence = |_| Fault::Silence(EXCHANGE_MAX);
        let io = self.connect(&[]).await?;
        timeout(EXCHANGE_MAX, exchange_on(io, request)).await.map_err(silence)?
    }

    /// Begins a request in the background.
    pub(super) async fn hold(&self, request: Request<Body>, passed: Arc<AtomicU64>) -> Result<Held, Fault> {
        let io = self.connect(&[]).await?;
        let mut exchange = JoinSet::new();
        exchange.spawn(exchange_on(io, request));
        Ok(Held { exchange, passed })
    }
}

impl Held {
    /// Waits until `bytes` of the body went to the connection.
    ///
    /// # Errors
    /// With what came instead: an answer before all of them were sent, or nothing for too long.
    pub(super) async fn passed(&mut self, bytes: u64, patience: Duration) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while self.passed.load(Ordering::Relaxed) < bytes {
            if let Some(early) = self.exchange.try_join_next() {
                return Err(match early {
                    Ok(Ok(answer)) => format!("answered before it was sent: {}", answer.said()),
                    Ok(Err(fault)) => super::told(&fault),
                    Err(error) => error.to_string(),
                });
            }
            if Instant::now() >= deadline {
                return Err(format!("{bytes} octets cannot be sent within {} s", patience.as_secs()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// The answer, if one comes within `patience`.
    pub(super) async fn answer(&mut self, patience: Duration) -> Option<Result<Answer, Fault>> {
        timeout(patience, self.exchange.join_next()).await.ok()??.ok()
    }
}

async fn exchange_on(io: Box<dyn Io>, mut request: Request<Body>) -> Result<Answer, Fault> {
    let begun = Instant::now();
    let interim = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&interim);
    hyper::ext::on_informational(&mut request, move |response| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push((response.status(), response.headers().clone()));
    });
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(Fault::Body)?;
        Ok::<_, Fault>((head, body.to_bytes().to_vec()))
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    // A connection that closes leaves the answer that was read from it: nothing is lost with it.
    let answered = tokio::select! {
        biased;
        answered = answer.as_mut() => Some(answered),
        _ = connection.as_mut() => None,
    };
    let (head, body) = match answered {
        Some(answered) => answered?,
        None => answer.await?,
    };
    let interim = std::mem::take(&mut *interim.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Answer { status: head.status, headers: head.headers, body, interim, took: begun.elapsed() })
}

impl Answer {
    /// The text of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The lower-case members of all headers of this name.
    pub(super) fn members(&self, name: &str) -> Vec<String> {
        let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let members = values.flat_map(|value| value.split(',')).map(|member| member.trim().to_ascii_lowercase());
        members.filter(|member| !member.is_empty()).collect()
    }

    /// The offset of the upload.
    pub(super) fn offset(&self) -> Option<u64> {
        self.header("upload-offset")?.parse().ok()
    }

    /// True if the server itself answered: what stands before it does not know this header.
    pub(super) fn is_of_server(&self) -> bool {
        self.headers.contains_key("tus-resumable") || self.headers.contains_key("upload-draft-interop-version")
    }

    /// The status, and the reason where one is given.
    pub(super) fn said(&self) -> String {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match problem["detail"].as_str() {
            Some(detail) => format!("{}: {detail}", self.status),
            None => self.status.to_string(),
        }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("base", &self.base).finish_non_exhaustive()
    }
}

/// No body.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of known length.
pub(super) fn full(octets: Bytes) -> Body {
    Full::new(octets).map_err(|never| match never {}).boxed_unsync()
}

/// A body of known length that stops for a while before its last octets.
pub(super) fn pausing(first: Bytes, pause: Duration, last: Bytes) -> Body {
    let frames = stream::iter([(Duration::ZERO, first), (pause, last)]).then(|(pause, octets)| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(octets))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A body without an announced length that ends with a trailer.
pub(super) fn with_trailer(octets: Bytes, trailer: HeaderMap) -> Body {
    let frames = [Ok(Frame::data(octets)), Ok(Frame::trailers(trailer))];
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

/// A body that stops without end after its octets; counts those that were taken.
pub(super) fn begun(octets: Bytes) -> (Body, Arc<AtomicU64>) {
    let passed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&passed);
    let frames = stream::unfold((octets, 0u64), move |(mut left, taken)| {
        // A piece counts as taken when the next one is asked for: then it was written.
        count.store(taken, Ordering::Relaxed);
        async move {
            if left.is_empty() {
                return std::future::pending().await;
            }
            let piece = left.split_to(left.len().min(PIECE_LEN));
            let taken = taken + piece.len() as u64;
            Some((Ok(Frame::data(piece)), (left, taken)))
        }
    });
    (StreamBody::new(frames).boxed_unsync(), passed)
}
