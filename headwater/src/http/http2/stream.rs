//! One request on an HTTP/2 stream, from its head to the last octet of its answer.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use domain::Timestamp;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use ingest::interim::{self, Outbox};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Heard;
use super::body::{RequestBody, Unread};
use crate::http::date;
use crate::http::interim::offer;
use crate::http::outgoing::Outgoing;
use crate::http::surface::Surface;

type Reply = SendResponse<Bytes>;

/// Headers about one HTTP/1 connection; HTTP/2 has its own ways and forbids them.
const CONNECTION_HEADERS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// How long the end of an answer waits for that of a request which nobody reads any more: what is under way comes
/// within a round trip.
const END_AWAITED: Duration = Duration::from_millis(200);

/// Why an answer was not sent to its end.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error("the client reset the stream ({0})")]
    Reset(Reason),
    #[error("the stream broke")]
    Broken(#[from] h2::Error),
    #[error("the answer broke off")]
    Body(#[source] axum::Error),
}

/// Answers one request. A client may leave no room for more of the answer for `room_timeout`, if that is bounded.
pub(super) async fn answer(
    request: Request<RecvStream>,
    mut reply: Reply,
    surface: Surface,
    heard: Heard,
    room_timeout: Option<Duration>,
) {
    let is_head = request.method() == Method::HEAD;
    let sent = async {
        let (response, unread) = response_to(request, &mut reply, surface.clone(), heard).await?;
        send(response, &mut reply, is_head, surface.clock().now(), unread, room_timeout).await
    };
    if let Err(error) = sent.await {
        tracing::debug!(error = &error as &dyn std::error::Error, "stream ended");
    }
}

/// Makes the response; until it is there, says what is to be said before it. Also gives what may be left of the request.
async fn response_to(
    request: Request<RecvStream>,
    reply: &mut Reply,
    surface: Surface,
    heard: Heard,
) -> Result<(Response<Outgoing>, Option<Unread>), Unsent> {
    if let Some(response) = surface.answer_at_once(&request) {
        return Ok((response, unread(request.into_body())));
    }
    let (parts, stream) = request.into_parts();
    let expects = parts.headers.get(header::EXPECT).is_some_and(|value| value.as_bytes() == b"100-continue");
    let mut is_waiting = expects && !stream.is_end_stream();
    let (wanted, mut is_wanted) = oneshot::channel();
    let (body, unread) = RequestBody::new(stream, &parts.headers, is_waiting.then_some(wanted), heard);
    let mut request = Request::from_parts(parts, Body::new(body));
    let mut outbox = offer(&mut request);
    let mut response = pin!(surface.answer(request));
    // Ends with the response or with the stream.
    loop {
        tokio::select! {
            biased;
            response = response.as_mut() => {
                let Ok(response) = response;
                return Ok((response, unread));
            }
            wanted = &mut is_wanted, if is_waiting => {
                is_waiting = false;
                if wanted.is_ok() {
                    reply.send_informational(informational(StatusCode::CONTINUE, HeaderMap::new()))?;
                }
            }
            headers = next_of(&mut outbox) => {
                let status = StatusCode::from_u16(interim::STATUS).expect("104 is a status");
                reply.send_informational(informational(status, headers))?;
            }
            // What a reset leaves undone, the request does without its client or not at all.
            reset = poll_fn(|context| reply.poll_reset(context)) => return Err(Unsent::Reset(reset?)),
        }
    }
}

/// What is left of a request of which nothing was read.
fn unread(stream: RecvStream) -> Option<Unread> {
    if stream.is_end_stream() {
        return None;
    }
    let (sender, receiver) = oneshot::channel();
    sender.send(stream).ok().map(|()| receiver)
}

async fn next_of(outbox: &mut Option<Outbox>) -> HeaderMap {
    match outbox {
        Some(outbox) => outbox.next().await,
        None => pending().await,
    }
}

fn informational(status: StatusCode, headers: HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn send(
    response: Response<Outgoing>,
    reply: &mut Reply,
    is_head: bool,
    now: Timestamp,
    unread: Option<Unread>,
    room_timeout: Option<Duration>,
) -> Result<(), Unsent> {
    let (mut head, body) = response.into_parts();
    for name in &CONNECTION_HEADERS {
        head.headers.remove(name);
    }
    head.headers.entry(header::DATE).or_insert_with(|| date::of(now));
    let is_empty = body.is_end_stream();
    if let Some(length) = body.size_hint().exact().filter(|_| !is_empty) {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    let is_over = is_empty || is_head;
    let mut stream = reply.send_response(Response::from_parts(head, ()), is_over && unread.is_none())?;
    let sent = match unread {
        None if is_over => return Ok(()),
        Some(unread) if is_over => end(&mut stream, unread).await,
        unread => send_body(&mut stream, body, unread, room_timeout).await,
    };
    if let Err(Unsent::Body(_)) = &sent {
        stream.send_reset(Reason::INTERNAL_ERROR);
    }
    sent
}

async fn send_body(
    stream: &mut SendStream<Bytes>,
    mut body: Outgoing,
    mut unread: Option<Unread>,
    room_timeout: Option<Duration>,
) -> Result<(), Unsent> {
    // Ends with the body or with the stream.
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            reset = poll_fn(|context| stream.poll_reset(context)) => return Err(Unsent::Reset(reset?)),
        };
        let frame = match frame {
            Some(frame) => frame.map_err(Unsent::Body)?,
            None => match unread {
                Some(unread) => return end(stream, unread).await,
                None => return Ok(stream.send_data(Bytes::new(), true)?),
            },
        };
        match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                send_data(stream, data, is_last && unread.is_none(), room_timeout).await?;
                match unread.take_if(|_| is_last) {
                    Some(unread) => return end(stream, unread).await,
                    None if is_last => return Ok(()),
                    None => {}
                }
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    return Ok(stream.send_trailers(trailers)?);
                }
            }
        }
    }
}

/// Ends an answer whose request nobody reads any more. A stream on which both have ended is closed: what the client
/// has under way would come too late to be told what is wrong with it, and a reset would come before it has all.
async fn end(stream: &mut SendStream<Bytes>, mut unread: Unread) -> Result<(), Unsent> {
    // Whoever still has the body reads it: nobody waits for that.
    if let Ok(request) = unread.try_recv() {
        let reset = tokio::select! {
            _ = timeout(END_AWAITED, discard(request)) => None,
            reset = poll_fn(|context| stream.poll_reset(context)) => Some(reset),
        };
        if let Some(reset) = reset {
            return Err(Unsent::Reset(reset?));
        }
    }
    Ok(stream.send_data(Bytes::new(), true)?)
}

/// Takes what comes of a request until its end.
async fn discard(mut request: RecvStream) -> Result<(), h2::Error> {
    // Ends with the request; its caller waits only so long.
    while let Some(data) = request.data().await {
        request.flow_control().release_capacity(data?.len())?;
    }
    request.trailers().await.map(drop)
}

/// Sends `data` as the client makes room for it, so that none of it waits twice.
async fn send_data(
    stream: &mut SendStream<Bytes>,
    mut data: Bytes,
    is_last: bool,
    room_timeout: Option<Duration>,
) -> Result<(), Unsent> {
    if data.is_empty() && is_last {
        return Ok(stream.send_data(data, true)?);
    }
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = poll_fn(|context| stream.poll_capacity(context));
        let room = match room_timeout {
            Some(room_timeout) => timeout(room_timeout, room).await,
            None => Ok(room.await),
        };
        let room = match room {
            Ok(Some(room)) => room?,
            Ok(None) => return Err(Unsent::Reset(Reason::STREAM_CLOSED)),
            Err(_) => {
                stream.send_reset(Reason::CANCEL);
                return Err(Unsent::Reset(Reason::CANCEL));
            }
        };
        let piece = data.split_to(room.min(data.len()));
        stream.send_data(piece, is_last && data.is_empty())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    /// What comes of an answer that the client leaves no room for, for a long time.
    async fn sent_late(room_timeout: Option<Duration>) -> Result<(), Unsent> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let tasks = TaskTracker::new();
        let client = h2::client::Builder::new().initial_window_size(4).handshake::<_, Bytes>(far);
        let (client, server) = tokio::join!(client, h2::server::handshake(near));
        let ((mut client, connection), mut server) = (client.unwrap(), server.unwrap());
        tasks.spawn(connection);
        let (response, _) = client.send_request(Request::get("http://localhost/").body(()).unwrap(), true).unwrap();
        let (_, mut reply) = server.accept().await.unwrap().unwrap();
        tasks.spawn(async move { while server.accept().await.is_some() {} });
        let mut stream = reply.send_response(Response::new(()), false).unwrap();
        let mut body = response.await.unwrap().into_body();
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            while let Some(Ok(octets)) = body.data().await {
                body.flow_control().release_capacity(octets.len()).unwrap();
            }
        });
        send_data(&mut stream, Bytes::from_static(b"0123456789"), true, room_timeout).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_no_room_is_reset_if_there_is_a_bound() {
        assert!(matches!(sent_late(Some(Duration::from_secs(120))).await, Err(Unsent::Reset(Reason::CANCEL))));
        assert!(sent_late(None).await.is_ok());
    }
}
