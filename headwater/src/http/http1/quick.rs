//! Requests whose answers are ready: read and answered on a connection that rests, without hyper.
//!
//! Most requests of a busy origin ask for what was answered a moment ago, and cost less to answer than to be told from
//! all others there may be. So the first octets of a request are looked at before hyper is given the connection. A head
//! that is all there, asks by GET or HEAD, and says nothing about the connection or a body is read by the same parser
//! that hyper uses, and if [`Surface::answer_in_lines`] has the answer, it is written. Everything else is hyper's, from
//! the first octet on: also every request that is wrong in any way.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use origin::InLines;
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::line;
use super::patience::Phase;
use super::wire::Wire;
use crate::http::date::Clockface;
use crate::http::outgoing::Outgoing;
use crate::http::request_id;
use crate::http::surface::{AtOnce, Surface};

/// Header lines of a request that is read here.
const LINES_MAX: usize = 64;
/// What most heads of answers take.
const HEAD_BYTES: usize = 1024;
/// What is left of one that is written already.
const REST_BYTES: usize = 256;

/// Answers what is ready on one connection.
pub(super) struct Quick {
    surface: Surface,
    peer: Peer,
    phase: Phase,
    clockface: Clockface,
}

/// What is to become of a connection on which nothing more can be answered here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There are octets of a request for hyper.
    Request {
        /// It asks for a stream of events, which lasts until its client goes.
        is_endless: bool,
    },
    /// The client has nothing more to say.
    End,
}

impl Quick {
    pub(super) fn new(surface: Surface, peer: Peer, phase: Phase) -> Self {
        Self { surface, peer, phase, clockface: Clockface::new() }
    }

    /// Answers requests until one comes that is for hyper, the client goes, or `stop` is cancelled and nothing is asked
    /// for. What is asked for after that is for hyper, which tells clients that it is the last.
    ///
    /// # Errors
    /// Those of an answer that broke off: the connection is of no use any more.
    pub(super) async fn answer_all<S>(&mut self, wire: &mut Wire<S>, stop: &CancellationToken) -> io::Result<Next>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stopped = pin!(stop.cancelled());
        // Ends with the client, the server, or a request for hyper; the runtime makes it wait now and then for others.
        loop {
            if !heard(wire, stopped.as_mut()).await {
                return Ok(Next::End);
            }
            let Some((request, bytes)) = read(wire.heard(), self.peer) else {
                return Ok(Next::Request { is_endless: false });
            };
            let at_once = if stop.is_cancelled() { None } else { self.surface.answer_in_lines(&request) };
            let is_head = request.method() == Method::HEAD;
            let Some(answer) = at_once.and_then(|at_once| self.written(at_once, is_head)) else {
                return Ok(Next::Request { is_endless: request.uri().path().ends_with("/events") });
            };
            wire.take(bytes);
            let at_hand = self.phase.begin();
            send(wire, answer).await?;
            drop(at_hand);
            wire.flush().await?;
        }
    }
}

/// An answer with its head as it goes out.
struct Answer {
    /// The beginning of the head that was written before.
    lines: Bytes,
    /// The rest of the head.
    head: Vec<u8>,
    body: Outgoing,
    /// Octets of the body that go out.
    due: u64,
}

impl Quick {
    /// `None` for an answer that is not measured: that takes a coding which only hyper knows.
    fn written(&mut self, at_once: AtOnce, is_head: bool) -> Option<Answer> {
        let date = self.clockface.at(self.surface.clock().now());
        match at_once {
            AtOnce::Response(response) => of_response(response, is_head, date),
            AtOnce::Lines(answer, id) => Some(of_lines(answer, &id, is_head, date)),
        }
    }
}

/// An answer as hyper writes it.
fn of_response(response: Response<Outgoing>, is_head: bool, date: &HeaderValue) -> Option<Answer> {
    let bytes = response.body().size_hint().exact()?;
    let (status, headers) = (response.status(), response.headers());
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let reason = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
    for (name, value) in headers {
        line(&mut head, name, value.as_bytes());
    }
    if !headers.contains_key(header::DATE) {
        line(&mut head, &header::DATE, date.as_bytes());
    }
    let has_no_length = is_head || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT);
    if !has_no_length && !headers.contains_key(header::CONTENT_LENGTH) {
        line(&mut head, &header::CONTENT_LENGTH, bytes.to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let due = if is_head { 0 } else { bytes };
    Some(Answer { lines: Bytes::new(), head, body: response.into_body(), due })
}

fn of_lines(answer: InLines, id: &HeaderValue, is_head: bool, date: &HeaderValue) -> Answer {
    let mut head = Vec::with_capacity(REST_BYTES);
    line(&mut head, &header::DATE, date.as_bytes());
    line(&mut head, &request_id::HEADER, id.as_bytes());
    if let Some(bytes) = answer.bytes {
        line(&mut head, &header::CONTENT_LENGTH, bytes.to_string().as_bytes());
    }
    if let Some(range) = answer.range {
        line(&mut head, &header::CONTENT_RANGE, range.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    let due = if is_head { 0 } else { answer.body.size_hint().exact().unwrap_or(0) };
    Answer { lines: answer.lines, head, body: Outgoing::Origin(answer.body), due }
}

/// Writes an answer.
async fn send<S>(wire: &mut Wire<S>, answer: Answer) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Answer { lines, head, mut body, mut due } = answer;
    let mut head = [&lines[..], &head[..]];
    // Ends with the body: each turn sends a piece of it, the first one with the head.
    while due > 0 {
        let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        let octets = frame.into_data().unwrap_or_default();
        due = due.checked_sub(octets.len() as u64).ok_or(io::ErrorKind::InvalidData)?;
        let [lines, rest] = std::mem::take(&mut head);
        write(wire, [lines, rest, &octets]).await?;
    }
    let [lines, rest] = head;
    write(wire, [lines, rest, &[]]).await
}

/// Waits for the first octets of a request; false when none come any more, or `stopped` is done. What lies in the socket
/// is read before that: whoever asked is answered.
pub(super) async fn heard<S>(wire: &mut Wire<S>, mut stopped: Pin<&mut impl Future<Output = ()>>) -> bool
where
    S: AsyncRead + Unpin,
{
    poll_fn(|context| match wire.poll_heard(context) {
        Poll::Pending => stopped.as_mut().poll(context).map(|()| false),
        Poll::Ready(Ok(has_more)) => Poll::Ready(has_more),
        Poll::Ready(Err(error)) => {
            tracing::debug!(%error, "nothing more is heard of a client");
            Poll::Ready(false)
        }
    })
    .await
}

/// Reads a request that is all there and may be answered here, and how many octets it takes.
fn read(octets: &Bytes, peer: Peer) -> Option<(Request<()>, usize)> {
    let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut head = httparse::Request::new(&mut []);
    let httparse::Status::Complete(bytes) = head.parse_with_uninit_headers(octets, &mut lines).ok()? else {
        return None;
    };
    let method = match head.method? {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        _ => return None,
    };
    let target = head.path.filter(|target| head.version == Some(1) && target.starts_with('/'))?;
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        if is_for_hyper(&name, line.value) {
            return None;
        }
        headers.append(name, HeaderValue::from_maybe_shared(octets.slice_ref(line.value)).ok()?);
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(octets.slice_ref(target.as_bytes())).ok()?;
    *request.headers_mut() = headers;
    if target.starts_with("/t/") {
        request.extensions_mut().insert(peer);
    }
    Some((request, bytes))
}

/// Whether a header line says something about the connection or a body.
fn is_for_hyper(name: &HeaderName, value: &[u8]) -> bool {
    match *name {
        header::CONNECTION => !value.eq_ignore_ascii_case(b"keep-alive"),
        header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::UPGRADE | header::EXPECT => true,
        _ => false,
    }
}

/// Writes all, in as few steps as the socket takes.
async fn write<S>(wire: &mut Wire<S>, mut pieces: [&[u8]; 3]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Ends when all is written: each turn writes some of it.
    while pieces.iter().any(|piece| !piece.is_empty()) {
        let written = poll_fn(|context| Pin::new(&mut *wire).poll_write_vectored(context, &pieces.map(IoSlice::new)));
        let mut written = match written.await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => written,
        };
        for piece in &mut pieces {
            let taken = written.min(piece.len());
            *piece = &piece[taken..];
            written -= taken;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Context;

    use axum::body::Body as AnyBody;
    use http_body::{Frame, SizeHint};
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::http::http1::patience::Patience;
    use crate::http::listener::Limits;

    fn peer() -> Peer {
        Peer([127, 0, 0, 1].into())
    }

    fn asked(text: &str) -> Option<(Request<()>, usize)> {
        read(&Bytes::copy_from_slice(text.as_bytes()), peer())
    }

    #[test]
    fn a_plain_request_is_read_to_its_end_and_no_further() {
        let text = "GET /v/a/1.m4s?x=1 HTTP/1.1\r\nHost: a\r\nX-Two:  b \r\nx-two: c\r\nConnection: Keep-Alive\r\n\r\n";
        let (request, bytes) = asked(&format!("{text}GET /v")).unwrap();
        assert_eq!(
            (bytes, request.method(), request.uri().to_string()),
            (text.len(), &Method::GET, "/v/a/1.m4s?x=1".into())
        );
        let two: Vec<_> = request.headers().get_all("x-two").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!((two, request.headers()["host"].as_bytes()), (vec![&b"b"[..], b"c"], &b"a"[..]));
        assert!(request.extensions().get::<Peer>().is_none());
        let (request, _) = asked("HEAD /t/x/v/a HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!((request.method(), request.extensions().get::<Peer>().is_some()), (&Method::HEAD, true));
    }

    #[test]
    fn whatever_is_out_of_the_ordinary_is_for_hyper() {
        for head in [
            "",
            "GET /v/a HTTP/1.1\r\nHost: a\r\n",
            "GET /v/a HTTP/1.0\r\nHost: a\r\n\r\n",
            "POST /v/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "get /v/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/v/a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, upgrade\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost : a\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET /v/a HTTP/1.1\r\nHost: a\u{0}\r\n\r\n",
            "GET /v/\"<a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /v/a b HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            assert!(asked(head).is_none(), "{head:?}");
        }
        let lines = "x: y\r\n".repeat(LINES_MAX + 1);
        assert!(asked(&format!("GET /v/a HTTP/1.1\r\n{lines}\r\n")).is_none());
    }

    /// A body that promises so many octets, and gives these pieces.
    struct Promise(u64, VecDeque<io::Result<Bytes>>);

    impl Body for Promise {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Ready(self.1.pop_front().map(|piece| piece.map(Frame::data)))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    /// What goes out of an answer, and what becomes of it.
    async fn sent(response: Response<AnyBody>, is_head: bool) -> (String, io::Result<()>) {
        // Smaller than any answer: each write takes some of it.
        let (near, mut far) = tokio::io::duplex(16);
        let patience = Patience::new(&Limits::default());
        let (mut wire, _speaker) = Wire::new(near, patience);
        let date = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT");
        let answer = of_response(response.map(Outgoing::Other), is_head, &date).unwrap();
        let sending = async move { send(&mut wire, answer).await };
        let mut text = String::new();
        let (outcome, read) = tokio::join!(sending, far.read_to_string(&mut text));
        read.unwrap();
        (text, outcome)
    }

    #[tokio::test]
    async fn an_answer_goes_out_whole_with_its_date_and_length() {
        let dated = "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        let answer = |status: u16| Response::builder().status(status).header("etag", "\"a\"");
        let (text, outcome) = sent(answer(200).body("0123456789".repeat(5).into()).unwrap(), false).await;
        assert!(outcome.is_ok());
        let body = "0123456789".repeat(5);
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\netag: \"a\"\r\n{dated}content-length: 50\r\n\r\n{body}"));
        let own = answer(206).header("content-length", "3").header("date", "Tue, 01 Jan 2030 00:00:00 GMT");
        let (text, _) = sent(own.body("abc".into()).unwrap(), false).await;
        let head =
            "HTTP/1.1 206 Partial Content\r\netag: \"a\"\r\ncontent-length: 3\r\ndate: Tue, 01 Jan 2030 00:00:00 GMT";
        assert_eq!(text, format!("{head}\r\n\r\nabc"));
        let (text, _) = sent(answer(304).body(AnyBody::empty()).unwrap(), false).await;
        assert_eq!(text, format!("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n{dated}\r\n"));
        let (text, _) = sent(answer(200).header("content-length", "9").body(AnyBody::empty()).unwrap(), true).await;
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 9\r\n{dated}\r\n"));
    }

    #[test]
    fn lines_that_are_written_already_are_completed() {
        let (date, id) = (HeaderValue::from_static("today"), HeaderValue::from_static("7"));
        let answer = |status, bytes, range| InLines {
            status,
            lines: Bytes::from_static(b"HTTP/1.1 000\r\netag: \"a\"\r\n"),
            bytes,
            range,
            body: origin::Body::from(Bytes::from_static(b"abc")),
        };
        let told = "date: today\r\nx-request-id: 7\r\n";
        let range = || Some(HeaderValue::from_static("bytes 0-2/9"));
        let of_part = "content-length: 3\r\ncontent-range: bytes 0-2/9\r\n";
        for (status, bytes, range, last) in [
            (StatusCode::OK, Some(3), None, "content-length: 3\r\n"),
            (StatusCode::NOT_MODIFIED, None, None, ""),
            (StatusCode::PARTIAL_CONTENT, Some(3), range(), of_part),
        ] {
            for is_head in [false, true] {
                let answer = of_lines(answer(status, bytes, range.clone()), &id, is_head, &date);
                let head = String::from_utf8(answer.head).unwrap();
                assert_eq!(head, format!("{told}{last}\r\n"));
                assert_eq!((&answer.lines[..12], answer.due), (&b"HTTP/1.1 000"[..], if is_head { 0 } else { 3 }));
            }
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_ends_the_connection() {
        let gone = || Err(io::Error::other("the store is gone"));
        for (bytes, pieces) in [(6, vec![Ok("abc".into()), gone()]), (6, vec![Ok("abc".into())])] {
            let body = AnyBody::new(Promise(bytes, pieces.into()));
            let (text, outcome) = sent(Response::new(body), false).await;
            assert!(text.ends_with("content-length: 6\r\n\r\nabc") && outcome.is_err(), "{text}");
        }
        let (text, outcome) = sent(Response::new(AnyBody::new(Promise(2, vec![Ok("abc".into())].into()))), false).await;
        assert!(text.is_empty() && outcome.is_err(), "more than was promised: {text}");
    }
}
