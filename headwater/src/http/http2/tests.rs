//! What a client of h2 sees.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use origin::access::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{PREFACE, STREAM_WINDOW_BYTES, serve};
use crate::http::Limits;
use crate::http::ground::{Ground, LARGE_BYTES, PATIENCE, Seen};

/// A client on one connection, which runs until it is dropped.
struct Client {
    requests: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
}

impl Client {
    async fn new(ground: &Ground) -> Self {
        Self::with(ground, &mut client::Builder::new()).await
    }

    async fn with(ground: &Ground, builder: &mut client::Builder) -> Self {
        let stream = TcpStream::connect(ground.address).await.unwrap();
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        let mut running = JoinSet::new();
        running.spawn(connection);
        Self { requests, connection: running }
    }

    /// Sends a head; the body is to follow.
    async fn begin(&mut self, method: Method, path: &str, headers: &[(&'static str, &str)]) -> Exchange {
        let mut request = Request::builder().method(method).version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.uri(format!("http://localhost{path}")).body(()).unwrap();
        self.requests = self.requests.clone().ready().await.unwrap();
        let (answer, body) = self.requests.send_request(request, false).unwrap();
        Exchange { answer, body }
    }

    /// A request without a body, and its answer to the end.
    async fn ask(&mut self, method: Method, path: &str) -> (Response<()>, Bytes) {
        let mut exchange = self.begin(method, path, &[]).await;
        exchange.send(b"", true);
        exchange.answered().await
    }

    /// How the connection ended.
    async fn ended(&mut self) -> Result<(), h2::Error> {
        let ended = tokio::time::timeout(PATIENCE, self.connection.join_next()).await.expect("in time");
        ended.unwrap().unwrap()
    }
}

struct Exchange {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

impl Exchange {
    fn send(&mut self, data: &[u8], is_last: bool) {
        self.body.send_data(Bytes::copy_from_slice(data), is_last).unwrap();
    }

    /// Sends as the server makes room, and fails when it makes none.
    async fn send_in_time(&mut self, mut data: Bytes) {
        while !data.is_empty() {
            self.body.reserve_capacity(data.len());
            let room = tokio::time::timeout(PATIENCE, poll_fn(|context| self.body.poll_capacity(context)));
            let room = room.await.expect("room in time").unwrap().unwrap();
            self.body.send_data(data.split_to(room.min(data.len())), false).unwrap();
        }
    }

    async fn informed(&mut self) -> Response<()> {
        let informed = poll_fn(|context| self.answer.poll_informational(context));
        tokio::time::timeout(PATIENCE, informed).await.expect("in time").unwrap().unwrap()
    }

    async fn answered(self) -> (Response<()>, Bytes) {
        let answer = tokio::time::timeout(PATIENCE, self.answer).await.expect("in time").unwrap();
        let (head, mut body) = answer.into_parts();
        (Response::from_parts(head, ()), read(&mut body).await)
    }
}

async fn read(body: &mut RecvStream) -> Bytes {
    let mut whole = Vec::new();
    while let Some(data) = tokio::time::timeout(PATIENCE, body.data()).await.expect("in time") {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        whole.extend_from_slice(&data);
    }
    whole.into()
}

fn offset(informed: &Response<()>) -> (u16, &str) {
    (informed.status().as_u16(), informed.headers()["upload-offset"].to_str().unwrap())
}

#[tokio::test]
async fn what_is_said_before_the_answer_arrives_before_it() {
    let ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/announced", &[]).await;
    let announced = exchange.informed().await;
    assert_eq!(announced.status().as_u16(), 104);
    assert_eq!(announced.headers()["location"], "/uploads/upl_1");
    exchange.send(b"abc", false);
    assert_eq!(offset(&exchange.informed().await), (104, "3"));
    exchange.send(b"def", false);
    assert_eq!(offset(&exchange.informed().await), (104, "6"));
    exchange.send(b"", true);
    let (answer, body) = exchange.answered().await;
    assert_eq!((answer.status(), &body[..]), (StatusCode::CREATED, &b"6"[..]));
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked_when_somebody_wants_it() {
    let ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let expectation = [("expect", "100-continue")];
    let mut exchange = client.begin(Method::POST, "/uploads/announced", &expectation).await;
    let mut heard = [exchange.informed().await.status().as_u16(), exchange.informed().await.status().as_u16()];
    heard.sort_unstable();
    assert_eq!(heard, [100, 104]);
    ground.gate.send_replace(false);
    let mut exchange = client.begin(Method::POST, "/uploads/gated", &expectation).await;
    let early = tokio::time::timeout(Duration::from_millis(50), exchange.informed()).await;
    assert!(early.is_err(), "nobody wants this body yet: {early:?}");
    ground.gate.send_replace(true);
    assert_eq!(exchange.informed().await.status(), StatusCode::CONTINUE);
}

#[tokio::test]
async fn trailers_arrive_with_the_body() {
    let mut ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/counted", &[]).await;
    exchange.send(b"abc", false);
    let trailers = HeaderMap::from_iter([("digest".parse().unwrap(), HeaderValue::from_static("sum"))]);
    exchange.body.send_trailers(trailers).unwrap();
    assert_eq!(exchange.answered().await.0.status(), StatusCode::CREATED);
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::Whole(3, Some("sum".to_owned())));
}

#[tokio::test]
async fn a_stream_that_is_reset_did_not_send_its_body_to_the_end() {
    let mut ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        ground.gate.send_replace(true);
        let mut exchange = client.begin(Method::POST, "/uploads/detached", &[]).await;
        assert_eq!(ground.next_seen().await, Seen::Began, "{reason:?}");
        exchange.send(b"abc", false);
        assert_eq!(offset(&exchange.informed().await), (104, "3"));
        exchange.body.send_reset(reason);
        assert_eq!(ground.next_seen().await, Seen::BrokenOff(3), "{reason:?}");
    }
    let (answer, _) = client.ask(Method::GET, "/healthz").await;
    assert_eq!(answer.status(), StatusCode::OK, "the connection lives on");
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_broken_off() {
    let mut ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/detached", &[("content-length", "5")]).await;
    assert_eq!(ground.next_seen().await, Seen::Began);
    exchange.send(b"abc", true);
    // Octets that came in the frame with the false end are not trusted either.
    assert_eq!(ground.next_seen().await, Seen::BrokenOff(0));
}

#[tokio::test]
async fn a_client_may_send_far_ahead_of_a_server_that_is_busy() {
    let mut ground = Ground::new().await;
    ground.gate.send_replace(false);
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/gated", &[]).await;
    let window = usize::try_from(STREAM_WINDOW_BYTES).unwrap();
    exchange.send_in_time(Bytes::from(vec![1; window])).await;
    exchange.body.reserve_capacity(1);
    let more = tokio::time::timeout(Duration::from_millis(50), poll_fn(|context| exchange.body.poll_capacity(context)));
    assert!(more.await.is_err(), "and no further");
    ground.gate.send_replace(true);
    exchange.send_in_time(Bytes::from(vec![1; 4 * window])).await;
    exchange.send(b"", true);
    assert_eq!(exchange.answered().await.1, (5 * window).to_string());
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::Whole(5 * window, None));
}

#[tokio::test]
async fn a_thousand_small_frames_that_wait_do_not_end_the_connection() {
    let ground = Ground::new().await;
    ground.gate.send_replace(false);
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/gated", &[]).await;
    for _ in 0..1000 {
        exchange.send_in_time(Bytes::from_static(b"x")).await;
        tokio::task::yield_now().await;
    }
    let (answer, _) = client.ask(Method::GET, "/healthz").await;
    assert_eq!(answer.status(), StatusCode::OK);
    ground.gate.send_replace(true);
    exchange.send(b"", true);
    assert_eq!(exchange.answered().await.1, "1000");
}

#[tokio::test]
async fn an_answer_is_sent_as_the_client_makes_room_for_it() {
    let ground = Ground::new().await;
    let mut client = Client::with(&ground, client::Builder::new().initial_window_size(1000)).await;
    let (answer, body) = client.ask(Method::GET, "/uploads/large").await;
    assert_eq!(answer.headers()["content-length"], LARGE_BYTES.to_string());
    assert!(body.len() == LARGE_BYTES && body.iter().all(|octet| *octet == 7));
    let whole: String = (0..50).map(|number| format!("chunk {number};")).collect();
    assert_eq!(client.ask(Method::GET, "/uploads/streamed").await.1, whole);
}

#[tokio::test]
async fn answers_are_dressed_for_http_2() {
    let ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let (answer, body) = client.ask(Method::HEAD, "/uploads/large").await;
    assert_eq!((answer.status(), body.len()), (StatusCode::OK, 0));
    assert_eq!(answer.headers()["content-length"], LARGE_BYTES.to_string());
    assert!(httpdate::parse_http_date(answer.headers()["date"].to_str().unwrap()).is_ok());
    let (answer, _) = client.ask(Method::GET, "/uploads/old-fashioned").await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(!answer.headers().contains_key("connection") && !answer.headers().contains_key("keep-alive"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::GET, "/healthz", &[("x-large", &"x".repeat(70_000))]).await;
    exchange.send(b"", true);
    let (answer, _) = exchange.answered().await;
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn a_soft_stop_waits_for_the_answers_and_then_closes() {
    let mut ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let mut exchange = client.begin(Method::POST, "/uploads/counted", &[]).await;
    assert_eq!(ground.next_seen().await, Seen::Began);
    ground.lifecycle.soft().cancel();
    tokio::time::sleep(Duration::from_millis(30)).await;
    exchange.send(b"late", true);
    assert_eq!(exchange.answered().await.1, "4");
    assert!(client.ended().await.is_ok());
}

#[tokio::test]
async fn a_hard_stop_ends_everything() {
    let mut ground = Ground::new().await;
    let mut client = Client::new(&ground).await;
    let exchange = client.begin(Method::POST, "/uploads/counted", &[]).await;
    assert_eq!(ground.next_seen().await, Seen::Began);
    ground.lifecycle.soft().cancel();
    ground.lifecycle.hard().cancel();
    ground.lifecycle.tracker().close();
    tokio::time::timeout(PATIENCE, ground.lifecycle.tracker().wait()).await.expect("no task is left");
    assert!(tokio::time::timeout(PATIENCE, exchange.answer).await.expect("in time").is_err());
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_shown_the_door() {
    let limits = Limits { connections_max: 8, header_timeout: Duration::from_millis(200), ..Limits::default() };
    let ground = Ground::with(limits).await;
    let mut client = Client::new(&ground).await;
    let _ = client.ended().await;
    // Neither half a preface nor a preface alone keeps a connection open.
    for opening in [&PREFACE[..10], &PREFACE[..]] {
        let mut stream = TcpStream::connect(ground.address).await.unwrap();
        stream.write_all(opening).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {opening:?}");
    }
}

#[tokio::test]
async fn a_preface_in_pieces_is_a_preface() {
    let ground = Ground::new().await;
    let mut stream = TcpStream::connect(ground.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for octet in PREFACE {
        stream.write_all(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    // An empty SETTINGS frame; the server's own comes back.
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let mut frame = [0; 9];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut frame)).await.expect("in time").unwrap();
    assert_eq!(frame[3], 4, "{frame:?}");
}

#[tokio::test]
async fn a_client_that_says_part_of_a_preface_and_no_more_is_let_go() {
    // Its own patience is longer than the test's.
    let ground = Ground::with(Limits { connections_max: 64, header_timeout: 10 * PATIENCE, ..Limits::default() }).await;
    for said in ["P", "PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(ground.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Reset or closed: both are an end.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect(said);
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame of the only stream, or of the connection.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let stream = u8::from(matches!(kind, DATA | HEADERS | RST_STREAM));
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// The next frame of these kinds: kind, flags and payload.
async fn next_frame(far: &mut DuplexStream, kinds: &[u8]) -> (u8, u8, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        far.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]).try_into().unwrap()];
        far.read_exact(&mut payload).await.unwrap();
        if kinds.contains(&head[3]) {
            return (head[3], head[4], payload);
        }
    }
}

/// What a client hears that asks for what is refused unread, and sends `rest` once it has all of the answer but
/// its end.
async fn heard_after(rest: &[u8]) -> (u8, u8, Vec<u8>) {
    let ground = Ground::new().await;
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let (surface, lifecycle) = (ground.surface.clone(), ground.lifecycle.clone());
    let peer = Peer(Ipv4Addr::LOCALHOST.into());
    ground.lifecycle.tracker().spawn(async move { serve(near, peer, surface, &lifecycle, Limits::default()).await });
    // POST, http, the path and the authority; then content-length: 1 (RFC 7541, without its table).
    let head = b"\x83\x86\x04\x10/uploads/refused\x01\x09localhost\x0f\x0d\x011";
    let opening = [&PREFACE[..], &frame(SETTINGS, 0, b""), &frame(HEADERS, END_HEADERS, head)].concat();
    far.write_all(&opening).await.unwrap();
    assert_eq!(next_frame(&mut far, &[DATA, RST_STREAM]).await, (DATA, 0, b"too large".to_vec()));
    far.write_all(rest).await.unwrap();
    next_frame(&mut far, &[DATA, RST_STREAM, PING]).await
}

#[tokio::test(start_paused = true)]
async fn what_a_client_still_sends_when_it_is_answered_is_looked_at_before_the_answer_ends() {
    let end = (DATA, END_STREAM, Vec::new());
    let error = (RST_STREAM, 0, u32::from(Reason::PROTOCOL_ERROR).to_be_bytes().to_vec());
    assert_eq!(heard_after(&frame(DATA, END_STREAM, b"1")).await, end);
    assert_eq!(heard_after(b"").await, end, "after a while, whatever comes");
    assert_eq!(heard_after(&frame(DATA, END_STREAM, b"test")).await, error, "more than announced");
    // A pseudo-header field (:method) in trailers that are not the end either.
    let trailers = [frame(DATA, 0, b"1"), frame(HEADERS, END_HEADERS, b"\x83")].concat();
    assert_eq!(heard_after(&trailers).await, error);
    // Nothing is owed to a client that has left the stream; the connection goes on.
    let left = [frame(RST_STREAM, 0, &[0, 0, 0, 8]), frame(PING, 0, b"are you?")].concat();
    assert_eq!(heard_after(&left).await, (PING, 1, b"are you?".to_vec()));
}
