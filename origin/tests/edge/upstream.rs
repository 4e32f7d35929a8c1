//! An upstream on a real socket that answers as it is told, and an edge before it whose time stands still.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::{Clock, ManualClock, Timestamp};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use origin::access::Gate;
use origin::{Edge, EdgeConfig};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request as the upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    /// The value of a header, if it came.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What the upstream does with one request.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    head: String,
    body: Vec<u8>,
    /// Octets of the body after which the connection ends.
    cut: Option<usize>,
    wait: Duration,
}

/// An answer with this status, these header lines and this body, whose length is told.
pub(crate) fn turn(status: u16, lines: &str, body: &str) -> Turn {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\n{}Content-Length: {length}\r\n\r\n", crlf(lines));
    Turn { head, body: body.into(), cut: None, wait: Duration::ZERO }
}

/// The same, in chunks.
pub(crate) fn chunked(lines: &str, body: &str) -> Turn {
    let head = format!("HTTP/1.1 200 X\r\n{}Transfer-Encoding: chunked\r\n\r\n", crlf(lines));
    let body = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    Turn { head, body: body.into(), cut: None, wait: Duration::ZERO }
}

/// A 304.
pub(crate) fn not_modified(lines: &str) -> Turn {
    Turn { head: format!("HTTP/1.1 304 X\r\n{}\r\n", crlf(lines)), body: vec![], cut: None, wait: Duration::ZERO }
}

impl Turn {
    /// The same, cut off after so many octets of the body.
    pub(crate) fn cut(self, octets: usize) -> Self {
        Self { cut: Some(octets), ..self }
    }

    /// The same with another status in place of 304.
    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { head: self.head.replacen("304", &status.to_string(), 1), ..self }
    }

    /// The same, after a while, and with its body after another.
    pub(crate) fn slowly(self) -> Self {
        Self { wait: Duration::from_millis(100), ..self }
    }
}

fn crlf(lines: &str) -> String {
    lines.lines().map(|line| format!("{}\r\n", line.trim())).collect()
}

type Script = Arc<dyn Fn(&Seen) -> Option<Turn> + Send + Sync>;

/// An upstream, and an edge before it.
pub(crate) struct Stage {
    pub(crate) edge: Edge,
    pub(crate) clock: Arc<ManualClock>,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Mutex<Script>>,
    _server: JoinSet<()>,
}

/// What an edge answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// `None` if it broke off.
    pub(crate) body: Option<Bytes>,
}

impl Reply {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What the edge says of itself.
    pub(crate) fn told(&self) -> &str {
        self.header("cache-status").strip_prefix("headwater-edge; ").unwrap_or_default()
    }

    /// The body, as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("a whole body")).unwrap()
    }
}

impl Stage {
    /// An upstream that answers by `script`; `None` ends the connection without an answer.
    pub(crate) async fn new(script: impl Fn(&Seen) -> Option<Turn> + Send + Sync + 'static) -> Self {
        Self::with(32, script).await
    }

    /// The same with so many requests upstream at a time.
    pub(crate) async fn with(
        requests_max: usize,
        script: impl Fn(&Seen) -> Option<Turn> + Send + Sync + 'static,
    ) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = format!("http://{}", socket.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Arc::new(script)));
        let mut server = JoinSet::new();
        let (noted, played) = (Arc::clone(&seen), Arc::clone(&script));
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = socket.accept().await {
                connections.spawn(serve(stream, Arc::clone(&noted), Arc::clone(&played)));
            }
        });
        // Sunday, 6 November 1994, 08:49:37 GMT.
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(784_111_777_000)));
        let config = EdgeConfig { upstream, secret: None, cache_bytes: 64 << 20, requests_max };
        let edge = Edge::new(config, Gate::without_keys(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        Self { edge, clock, seen, script, _server: server }
    }

    /// From here on the upstream answers by `script`.
    pub(crate) fn now(&self, script: impl Fn(&Seen) -> Option<Turn> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// What the upstream has seen so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Lets so many seconds pass.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// An answer of which nobody has read anything.
    pub(crate) async fn unread(&self, path: &str) -> http::Response<origin::Body> {
        let request = Request::get(path).header("host", "edge.test").body(()).unwrap();
        self.edge.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, lines: &[(&str, &str)]) -> Reply {
        self.ask(Method::GET, path, lines).await
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, lines: &[(&str, &str)]) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("host", "edge.test");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let answered = self.edge.clone().oneshot(request.body(()).unwrap());
        let response = tokio::time::timeout(PATIENCE, answered).await.expect("an answer").unwrap();
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("an end");
        let (status, body) = (head.status.as_u16(), body.ok().map(http_body_util::Collected::to_bytes));
        assert_ne!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
        Reply { status, headers: head.headers, body }
    }
}

async fn serve(stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, script: Arc<Mutex<Script>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    // Ends with the connection.
    while let Ok(Some(line)) = lines.next_line().await {
        let mut headers = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        let request = Seen { line, headers };
        let script = Arc::clone(&script.lock().unwrap());
        seen.lock().unwrap().push(request.clone());
        let Some(turn) = script(&request) else { return };
        tokio::time::sleep(turn.wait).await;
        let _ = write.write_all(turn.head.as_bytes()).await;
        tokio::time::sleep(turn.wait).await;
        let body = if request.line.starts_with("HEAD") { &[][..] } else { &turn.body };
        let sent = turn.cut.unwrap_or(body.len()).min(body.len());
        let _ = write.write_all(&body[..sent]).await;
        if turn.cut.is_some() {
            return;
        }
    }
}

/// Waits for a condition, level-triggered, with a bound.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
