//! What a client reads on the socket, octet by octet.

use std::time::Duration;

use fixtures::{Dice, dice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Limits;
use crate::http::ground::{Ground, LARGE_BYTES, PATIENCE, Seen};

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn offset(&self) -> Option<usize> {
        self.header("upload-offset").map(|value| value.parse().unwrap())
    }
}

/// Takes messages off `text`; whatever is not one fails the test.
fn messages(mut text: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    while !text.is_empty() {
        let (head, rest) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("half a message: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap();
        let status = status.strip_prefix("HTTP/1.").unwrap_or_else(|| panic!("no status line: {status:?}"));
        let status: u16 = status[2..5].parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            (name.to_owned(), value.to_owned())
        };
        let headers = lines.map(header).collect();
        let mut message = Message { status, headers, body: String::new() };
        let length = message.header("content-length").map_or(0, |value| value.parse().unwrap());
        text = match message.header("transfer-encoding") {
            Some(_) => unchunked(rest, &mut message.body),
            None => {
                message.body = rest[..length].to_owned();
                &rest[length..]
            }
        };
        messages.push(message);
    }
    messages
}

/// Takes a chunked body off `text` and gives back what follows.
fn unchunked<'a>(mut text: &'a str, body: &mut String) -> &'a str {
    loop {
        let (size, rest) = text.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
        body.push_str(&rest[..size]);
        assert_eq!(&rest[size..size + 2], "\r\n", "a chunk ends where it says");
        text = &rest[size + 2..];
        if size == 0 {
            return text;
        }
    }
}

async fn connected(ground: &Ground) -> TcpStream {
    TcpStream::connect(ground.address).await.unwrap()
}

/// Reads until the head of a message is there, which has no body; nothing is read beyond it.
async fn head(stream: &mut TcpStream) -> Message {
    messages(&head_text(stream).await).remove(0)
}

async fn head_text(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let octet = tokio::time::timeout(PATIENCE, stream.read_u8()).await.expect("in time").unwrap();
        text.push(char::from(octet));
    }
    text
}

/// Reads to the end of the connection.
async fn all(stream: &mut TcpStream) -> Vec<Message> {
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("in time").unwrap();
    messages(&text)
}

fn statuses(messages: &[Message]) -> Vec<u16> {
    messages.iter().map(|message| message.status).collect()
}

#[tokio::test]
async fn an_announcement_comes_before_100_continue_and_progress_comes_after() {
    let ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    let request = "POST /uploads/announced HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\
        connection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let announced = head(&mut stream).await;
    assert_eq!((announced.status, announced.header("location")), (104, Some("/uploads/upl_1")));
    assert_eq!(head(&mut stream).await.status, 100);
    for (part, offset) in [("abc", 3), ("def", 6)] {
        stream.write_all(part.as_bytes()).await.unwrap();
        if offset < 6 {
            let progress = head(&mut stream).await;
            assert_eq!((progress.status, progress.offset()), (104, Some(offset)));
        }
    }
    let rest = all(&mut stream).await;
    let answer = rest.last().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (201, "6"));
    // The last progress may be overtaken by the answer, and then it is not said at all.
    assert!(rest[..rest.len() - 1].iter().all(|message| message.status == 104), "{rest:?}");
}

#[tokio::test]
async fn progress_reaches_a_client_whose_connection_is_otherwise_idle() {
    let mut ground = Ground::new().await;
    ground.gate.send_replace(false);
    let mut stream = connected(&ground).await;
    let request = "PATCH /uploads/gated HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab";
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    ground.gate.send_replace(true);
    let progress = head(&mut stream).await;
    assert_eq!((progress.status, progress.offset()), (104, Some(2)));
    assert_eq!(ground.next_seen().await, Seen::Began);
}

#[tokio::test]
async fn nobody_speaks_before_the_answer_on_http_1_0() {
    let ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    stream.write_all(b"POST /uploads/announced HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
    assert_eq!(statuses(&all(&mut stream).await), [201]);
}

#[tokio::test]
async fn an_answer_under_way_is_not_interrupted() {
    let ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    let request = "GET /uploads/streamed HTTP/1.1\r\nhost: a\r\n";
    stream.write_all(format!("{request}\r\n{request}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let read = all(&mut stream).await;
    assert_eq!(statuses(&read), [200, 200]);
    let whole: String = (0..50).map(|number| format!("chunk {number};")).collect();
    assert!(read.iter().all(|message| message.body == whole));
}

#[tokio::test]
async fn pipelined_requests_are_spoken_about_one_after_the_other() {
    let ground = Ground::new().await;
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let mut below = |end: usize| usize::try_from(dice.below(end as u64)).unwrap();
    for _ in 0..20 {
        let mut sent = String::new();
        let count = 1 + below(11);
        let lengths: Vec<usize> = (0..count).map(|_| below(100_000)).collect();
        for (number, length) in lengths.iter().enumerate() {
            let path = ["announced", "counted"][below(2)];
            let end = if number + 1 == lengths.len() { "connection: close\r\n" } else { "" };
            sent += &format!("POST /uploads/{path} HTTP/1.1\r\nhost: a\r\nx-name: {number}\r\n{end}");
            sent += &format!("content-length: {length}\r\n\r\n{}", "x".repeat(*length));
        }
        let (mut read, mut write) = connected(&ground).await.into_split();
        let writing = async {
            let mut rest = sent.as_bytes();
            while !rest.is_empty() {
                let piece = rest.len().min(1 + below(30_000));
                write.write_all(&rest[..piece]).await.unwrap();
                rest = &rest[piece..];
            }
        };
        let mut text = String::new();
        let reading = tokio::time::timeout(PATIENCE, read.read_to_string(&mut text));
        let ((), read) = tokio::join!(writing, reading);
        read.unwrap_or_else(|_| panic!("not in time with seed {seed}")).unwrap();
        check_order(&messages(&text), &lengths, seed);
    }
}

/// Every answer is there, in order, and before each stands only what was said about the same request.
fn check_order(read: &[Message], lengths: &[usize], seed: u64) {
    let mut answered = 0;
    let mut offset = 0;
    for message in read {
        assert_eq!(message.header("x-name"), Some(answered.to_string().as_str()), "seed {seed}: {message:?}");
        if message.status == 104 {
            let said = message.offset().unwrap_or(0);
            assert!(said >= offset && said <= lengths[answered], "seed {seed}: {message:?}");
            offset = said;
        } else {
            assert_eq!((message.status, &message.body), (201, &lengths[answered].to_string()));
            (answered, offset) = (answered + 1, 0);
        }
    }
    assert_eq!(answered, lengths.len());
}

#[tokio::test]
async fn a_client_that_does_not_read_can_still_send_and_reads_whole_messages_later() {
    const CHUNKS: usize = 40_000;
    let mut ground = Ground::new().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // So small that what the server says fills it, and it must stop in the middle of a block.
    socket.set_recv_buffer_size(1).unwrap();
    let mut stream = socket.connect(ground.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let length = CHUNKS * 16;
    let request = "POST /uploads/announced HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
    let request = format!("{request}content-length: {length}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..CHUNKS {
        stream.write_all(&[7; 16]).await.unwrap();
    }
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::Whole(length, None));
    let read = all(&mut stream).await;
    let answer = read.last().unwrap();
    assert_eq!((answer.status, answer.body.clone()), (201, length.to_string()));
    let said = &read[..read.len() - 1];
    assert_eq!(said[0].header("location"), Some("/uploads/upl_1"));
    let offsets: Vec<usize> = said.iter().filter_map(Message::offset).collect();
    assert!(offsets.is_sorted() && offsets.len() + 1 == said.len(), "{offsets:?}");
}

#[tokio::test]
async fn trailers_arrive_with_the_body() {
    let mut ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    let request = "POST /uploads/counted HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: digest\r\n\r\n\
        3\r\nabc\r\n0\r\ndigest: sum\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::Whole(3, Some("sum".to_owned())));
}

#[tokio::test]
async fn a_soft_stop_waits_for_the_answer_and_then_closes() {
    let mut ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    let request = "POST /uploads/announced HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(ground.next_seen().await, Seen::Began);
    ground.lifecycle.soft().cancel();
    stream.write_all(b"b").await.unwrap();
    let read = all(&mut stream).await;
    assert_eq!(read.last().map(|answer| (answer.status, answer.body.as_str())), Some((201, "2")));
}

/// Announces a body that never ends and is refused.
async fn refused(ground: &Ground) -> TcpStream {
    let mut stream = connected(ground).await;
    let request = "PATCH /uploads/refused HTTP/1.1\r\nhost: a\r\ncontent-length: 53687091200\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let ground = Ground::new().await;
    let mut stream = refused(&ground).await;
    // More than the sockets hold, and sent before anything is read.
    for _ in 0..32 {
        stream.write_all(&vec![7; 1 << 20]).await.expect("the server takes what still comes");
    }
    let read = all(&mut stream).await;
    assert_eq!((statuses(&read), read[0].body.as_str()), (vec![413], "too large"));
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_cut_off() {
    let ground = Ground::new().await;
    let mut stream = refused(&ground).await;
    let mut sent_mib = 0;
    while stream.write_all(&vec![7; 1 << 20]).await.is_ok() {
        sent_mib += 1;
        assert!(sent_mib < 1024, "nobody takes that much");
    }
}

#[tokio::test]
async fn a_connection_with_nothing_left_to_read_is_closed_at_once() {
    let ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    let request = "POST /uploads/counted HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc";
    stream.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(statuses(&all(&mut stream).await), [201]);
    ground.lifecycle.soft().cancel();
    ground.lifecycle.tracker().close();
    // The client holds its end open: a connection that lingers would be waited for.
    let first = tokio::time::timeout(Duration::from_secs(3), ground.lifecycle.tracker().wait()).await;
    assert!(first.is_ok(), "the connection is still there");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let ground = Ground::new().await;
    for (bytes, status) in [(48_000, 200), (70_000, 431)] {
        let mut stream = connected(&ground).await;
        let request = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
        let request = format!("{request}x-large: {}\r\n\r\n", "x".repeat(bytes));
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(statuses(&all(&mut stream).await), [status], "{bytes}");
    }
}

/// A listener whose connections rest at once, and a connection that does.
async fn resting() -> (Ground, TcpStream) {
    let rest_after = Duration::from_millis(1);
    let ground = Ground::with(Limits { rest_after, ..Limits::default() }).await;
    let mut stream = connected(&ground).await;
    ask(&mut stream, "/healthz").await;
    (ground, stream)
}

/// Asks, waits for the answer, and gives the connection time to rest.
async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    answered(stream).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Reads one answer.
async fn answered(stream: &mut TcpStream) {
    let head = head_text(stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut body)).await.expect("in time").unwrap();
}

#[tokio::test]
async fn a_connection_that_rested_answers_as_before_however_the_next_request_comes() {
    let (_ground, mut stream) = resting().await;
    ask(&mut stream, "/healthz").await;
    for octet in "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".bytes() {
        stream.write_all(&[octet]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    answered(&mut stream).await;
    // More than is taken of a connection that rests, and two requests with a part of a third.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let long = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(5000));
    let short = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(format!("{long}{short}{}", &short[..10]).as_bytes()).await.unwrap();
    answered(&mut stream).await;
    answered(&mut stream).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(&short.as_bytes()[10..]).await.unwrap();
    answered(&mut stream).await;
}

#[tokio::test]
async fn a_connection_that_rests_at_once_answers_as_before() {
    let ground = Ground::with(Limits { rest_after: PATIENCE, ..Limits::default() }).await;
    let mut stream = connected(&ground).await;
    for _ in 0..3 {
        ask(&mut stream, "/healthz").await;
    }
    // Several at once, a body, and an end that was asked for.
    let short = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(short.repeat(3).as_bytes()).await.unwrap();
    for _ in 0..3 {
        answered(&mut stream).await;
    }
    let upload = "POST /uploads/counted HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(format!("{upload}{last}").as_bytes()).await.unwrap();
    let statuses = statuses(&all(&mut stream).await);
    assert_eq!(statuses.iter().filter(|status| **status != 104).collect::<Vec<_>>(), [&201, &200]);
}

#[tokio::test]
async fn the_rest_of_a_body_is_no_request_however_late_it_comes() {
    let (_ground, mut stream) = resting().await;
    let body = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let head = format!("POST /uploads/refused HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len() + 5);
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"12345").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The server may have closed the connection by now; if it has not, this is no request to it.
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
    assert_eq!(statuses(&all(&mut stream).await).len(), 1);
}

#[tokio::test]
async fn a_connection_that_rests_ends_with_its_client_and_with_the_server() {
    let (_ground, mut stream) = resting().await;
    stream.shutdown().await.unwrap();
    assert_eq!(all(&mut stream).await, vec![]);
    let (ground, mut stream) = resting().await;
    ground.lifecycle.soft().cancel();
    assert_eq!(all(&mut stream).await, vec![]);
}

/// Connections that are accepted, and on which nothing has come.
async fn accepted(ground: &Ground) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(connected(ground).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    streams
}

const LAST_TEXT: &str = "POST /uploads/counted HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
const LAST: &[u8] = LAST_TEXT.as_bytes();
/// A body of unknown length.
const CHUNKED: &str = "transfer-encoding: chunked";

#[tokio::test]
async fn what_came_before_a_stop_is_answered() {
    let ground = Ground::new().await;
    let mut streams = accepted(&ground).await;
    for stream in &mut streams {
        stream.write_all(LAST).await.unwrap();
    }
    ground.lifecycle.soft().cancel();
    for stream in &mut streams {
        assert_eq!(statuses(&all(stream).await).last(), Some(&201));
    }
}

#[tokio::test]
async fn whoever_came_to_a_socket_that_is_shared_is_answered_once_more() {
    let ground = Ground::shared().await;
    let mut streams = accepted(&ground).await;
    ground.lifecycle.soft().cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for stream in &mut streams {
        // All of them before anything is read, and only the first is answered.
        stream.write_all(&LAST.repeat(3)).await.unwrap();
        let answers: Vec<_> = all(stream).await.into_iter().filter(|message| message.status != 104).collect();
        assert_eq!((statuses(&answers), answers[0].header("connection")), (vec![201], Some("close")));
    }
}

#[tokio::test]
async fn whoever_has_asked_for_nothing_is_owed_nothing_at_a_stop() {
    let ground = Ground::new().await;
    let mut streams = accepted(&ground).await;
    ground.lifecycle.soft().cancel();
    for stream in &mut streams {
        assert_eq!(all(stream).await, vec![]);
    }
}

#[tokio::test]
async fn a_client_that_has_said_all_it_has_to_say_is_answered() {
    let mut ground = Ground::new().await;
    ground.gate.send_replace(false);
    let mut stream = connected(&ground).await;
    let gated = "POST /uploads/gated HTTP/1.1\r\nhost: x\r\n";
    stream.write_all(format!("{gated}content-length: 3\r\n\r\nabc").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    ground.gate.send_replace(true);
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::Whole(3, None));
    assert_eq!(statuses(&all(&mut stream).await).last(), Some(&201));
    // One that ends in the middle is not.
    let mut stream = connected(&ground).await;
    stream.write_all(format!("{gated}content-length: 4\r\n\r\nabc").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(ground.next_seen().await, Seen::Began);
    assert_eq!(ground.next_seen().await, Seen::BrokenOff(3));
}

#[tokio::test]
async fn a_stream_of_events_ends_when_its_client_goes() {
    let mut ground = Ground::new().await;
    let mut stream = connected(&ground).await;
    stream.write_all(b"GET /uploads/endless/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(head_text(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert!(ground.seen.try_recv().is_err(), "it is listened to");
    drop(stream);
    assert_eq!(ground.next_seen().await, Seen::Left);
}

#[tokio::test]
async fn the_body_of_a_request_that_is_refused_behind_another_is_no_request() {
    let ground = Ground::new().await;
    let request = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    for first in [request, LAST_TEXT] {
        for refused in ["PATCH /uploads/refused", "GET /healthz", "POST /unknown"] {
            let length = format!("content-length: {}", request.len());
            let chunk = format!("{:x}\r\n{request}\r\n0\r\n\r\n", request.len());
            for (length, body) in [
                (length.clone(), request.to_owned()),
                (format!("{length}\r\nexpect: 100-continue"), request.to_owned()),
                (CHUNKED.to_owned(), chunk.clone()),
                // Cut off in the middle of a chunk.
                (CHUNKED.to_owned(), format!("99\r\n{request}")),
            ] {
                let mut stream = connected(&ground).await;
                let head = format!("{first}{refused} HTTP/1.1\r\nhost: x\r\n{length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(30)).await;
                // The server may have closed the connection by now; if it has not, this is no request to it.
                let _ = stream.write_all(body.as_bytes()).await;
                let _ = stream.shutdown().await;
                let read = all(&mut stream).await;
                let answers = read.iter().filter(|message| message.status != 104).count();
                assert_eq!(answers, 2, "{refused} {length}: {:?}", statuses(&read));
            }
        }
    }
}

#[tokio::test]
async fn an_answer_is_not_lost_with_requests_that_come_behind_the_last_one() {
    let ground = Ground::new().await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(ground.address).await.unwrap();
    let last = "GET /uploads/large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let beyond = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n".repeat(10_000);
    let _ = stream.write_all(format!("{last}{beyond}").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut octets = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut octets)).await.expect("in time").unwrap();
    assert!(octets.len() > LARGE_BYTES && octets.ends_with(&[7; 100]), "{}", octets.len());
}

#[tokio::test]
async fn a_refusal_before_a_body_that_is_on_its_way_leaves_the_connection_and_another_says_that_it_ends() {
    let ground = Ground::new().await;
    let refused = |lines: &str| format!("PATCH /uploads/refused HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n");
    for (lines, body) in [("content-length: 3", "abc"), (CHUNKED, "3\r\nabc\r\n0\r\n\r\n")] {
        let mut stream = connected(&ground).await;
        for _ in 0..3 {
            stream.write_all(refused(lines).as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            stream.write_all(body.as_bytes()).await.unwrap();
            let head = head_text(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 413") && !head.contains("connection:"), "{lines}: {head}");
            let mut body = vec![0; "too large".len()];
            stream.read_exact(&mut body).await.unwrap();
        }
    }
    for lines in ["content-length: 3", CHUNKED, "content-length: 1000000", "content-length: 3\r\nexpect: 100-continue"]
    {
        let mut stream = connected(&ground).await;
        stream.write_all(refused(lines).as_bytes()).await.unwrap();
        let read = all(&mut stream).await;
        let answer = read.last().unwrap();
        assert_eq!((answer.status, answer.header("connection")), (413, Some("close")), "{lines}");
    }
}
