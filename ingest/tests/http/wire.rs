//! A server on a real socket, and a client that writes requests octet by octet: nothing between the
//! test and the router tidies a header up, adds one or follows a rule on its own.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use domain::UploadId;
use ingest::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::ground::{Answer, Ground};
use crate::listen;

/// How long any one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The media type of a piece in tus.
pub(crate) const PIECE: (&str, &str) = ("Content-Type", "application/offset+octet-stream");
/// The media type of a piece in the draft.
pub(crate) const PARTIAL: (&str, &str) = ("Content-Type", "application/partial-upload");

/// A server that listens for as long as it lives.
pub(crate) struct Server {
    pub(crate) ground: Ground,
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

/// A request as it will be written.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Sent,
}

#[derive(Clone)]
enum Sent {
    Nothing,
    Whole(Vec<u8>),
    Chunks { pieces: Vec<Vec<u8>>, trailers: Vec<(String, String)> },
}

/// A request that speaks tus 1.0.0.
pub(crate) fn tus(method: &str, path: impl ToString) -> Ask {
    ask(method, path).header("Tus-Resumable", "1.0.0")
}

/// A request that speaks the draft, at this interop version.
pub(crate) fn draft(version: u8, method: &str, path: impl ToString) -> Ask {
    ask(method, path).header("Upload-Draft-Interop-Version", version)
}

/// A request that says nothing of its protocol.
pub(crate) fn ask(method: &str, path: impl ToString) -> Ask {
    Ask { method: method.to_owned(), path: path.to_string(), headers: Vec::new(), body: Sent::Nothing }
}

/// The path of an upload.
pub(crate) fn at(upload: UploadId) -> String {
    format!("/uploads/{upload}")
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn headers(self, pairs: &[(&str, &str)]) -> Self {
        pairs.iter().fold(self, |ask, (name, value)| ask.header(name, value))
    }

    /// A body whose length is told.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Sent::Whole(body.as_ref().to_vec());
        self
    }

    /// A body whose length is not told.
    pub(crate) fn chunks(mut self, pieces: &[&str]) -> Self {
        let pieces = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        self.body = Sent::Chunks { pieces, trailers: Vec::new() };
        self
    }

    /// A header behind a body whose length is not told.
    pub(crate) fn trailer(mut self, name: &str, value: impl ToString) -> Self {
        let Sent::Chunks { trailers, .. } = &mut self.body else { panic!("only chunks have trailers") };
        trailers.push((name.to_owned(), value.to_string()));
        self
    }

    fn written(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: upload.example\r\n", self.method, self.path);
        let framing = match &self.body {
            Sent::Nothing => None,
            Sent::Whole(body) => Some(format!("Content-Length: {}\r\n", body.len())),
            Sent::Chunks { .. } => Some("Transfer-Encoding: chunked\r\n".to_owned()),
        };
        let line = |(name, value): &(String, String)| format!("{name}: {value}\r\n");
        text.extend(self.headers.iter().map(line));
        text += &framing.unwrap_or_default();
        let mut octets = (text + "\r\n").into_bytes();
        match &self.body {
            Sent::Nothing => {}
            Sent::Whole(body) => octets.extend(body),
            Sent::Chunks { pieces, trailers } => {
                for piece in pieces {
                    octets.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                    octets.extend(piece);
                    octets.extend(b"\r\n");
                }
                octets.extend(b"0\r\n");
                octets.extend(trailers.iter().map(line).collect::<String>().as_bytes());
                octets.extend(b"\r\n");
            }
        }
        octets
    }
}

impl Server {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let ground = Ground::with(limits).await;
        let (address, task) = listen::serve(ingest::router(ground.state.clone())).await;
        Self { ground, address, _task: task }
    }

    /// Sends a request on a connection of its own and reads the final answer.
    pub(crate) async fn call(&self, ask: Ask) -> Answer {
        let mut connection = self.begin(&ask).await;
        connection.answer().await
    }

    /// Sends a request, and leaves the answer to be read.
    pub(crate) async fn begin(&self, ask: &Ask) -> Connection {
        let mut socket = TcpStream::connect(self.address).await.expect("connects");
        socket.write_all(&ask.written()).await.expect("sends");
        Connection { socket, is_head: ask.method == "HEAD", read: Vec::new() }
    }

    /// Creates an upload of tus.
    pub(crate) async fn create(&self, length: u64) -> UploadId {
        self.create_with(&[("Upload-Length", &length.to_string())]).await
    }

    /// The same with these headers.
    pub(crate) async fn create_with(&self, headers: &[(&str, &str)]) -> UploadId {
        let answer = self.call(tus("POST", "/uploads").headers(headers).body("")).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.id()
    }

    /// Appends with tus.
    pub(crate) async fn patch(&self, upload: UploadId, offset: u64, body: &str) -> Answer {
        self.call(tus("PATCH", at(upload)).headers(&[PIECE]).header("Upload-Offset", offset).body(body)).await
    }

    /// Asks with tus.
    pub(crate) async fn head(&self, upload: UploadId) -> Answer {
        self.call(tus("HEAD", at(upload))).await
    }

    /// The file that an upload became.
    pub(crate) async fn file(&self, upload: UploadId) -> String {
        let asset = self.ground.asset(upload).await;
        String::from_utf8(self.ground.source(asset.id).await).expect("is text")
    }
}

/// One request and its answers.
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    is_head: bool,
    read: Vec<u8>,
}

impl Connection {
    /// The final answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        // Ends with the final answer or the test's patience: a server says little before it.
        loop {
            let answer = tokio::time::timeout(PATIENCE, self.next()).await.expect("is answered in time");
            if !answer.status.is_informational() {
                return answer;
            }
        }
    }

    /// The next answer, interim or final.
    pub(crate) async fn next(&mut self) -> Answer {
        let head = self.until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).expect("the head is text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("has a status");
        let status: StatusCode = status.parse().expect("is a status");
        let pair = |line: &str| {
            let (name, value) = line.split_once(':').expect("is a header");
            let name = HeaderName::from_bytes(name.as_bytes()).expect("is a name");
            (name, HeaderValue::from_str(value.trim()).expect("is a value"))
        };
        let headers: HeaderMap = lines.map(pair).collect();
        let has_body = !self.is_head && !status.is_informational() && status != 204;
        let body = if has_body { self.body(&headers).await } else { Vec::new() };
        Answer { status, headers, body: String::from_utf8(body).expect("is text") }
    }

    async fn body(&mut self, headers: &HeaderMap) -> Vec<u8> {
        let Some(length) = headers.get("content-length") else {
            assert_eq!(headers.get("transfer-encoding").expect("the body has an end"), "chunked");
            let mut body = Vec::new();
            // Ends with the chunk of no octets.
            loop {
                let size = self.until(b"\r\n").await;
                let size = std::str::from_utf8(&size).expect("is text").trim();
                let size = usize::from_str_radix(size, 16).expect("is a size");
                let chunk = self.exactly(size + 2).await;
                if size == 0 {
                    return body;
                }
                body.extend(&chunk[..size]);
            }
        };
        let length = length.to_str().expect("is text").parse().expect("is a number");
        self.exactly(length).await
    }

    async fn until(&mut self, end: &[u8]) -> Vec<u8> {
        // Ends when the server closes at the latest.
        loop {
            if let Some(at) = self.read.windows(end.len()).position(|window| window == end) {
                return self.read.drain(..at + end.len()).collect();
            }
            self.more().await;
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) {
        let mut buffer = [0; 8192];
        let bytes = tokio::time::timeout(PATIENCE, self.socket.read(&mut buffer)).await.expect("answers in time");
        let bytes = bytes.expect("reads");
        assert!(bytes > 0, "the server closed after {:?}", String::from_utf8_lossy(&self.read));
        self.read.extend(&buffer[..bytes]);
    }
}
