//! Files pulled from other addresses, over servers that break off, change their mind or lie.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use catalog_store::UploadState;
use domain::{AssetState, FailureCode, UploadId};
use ingest::{ImportRules, Imports, State};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ground::{Ground, ask_api, eventually, noise, patch};

/// What a server answers to the nth request with this head; then it closes the connection.
type Script = dyn Fn(usize, &str) -> Vec<u8> + Send + Sync;

/// A server of files on this machine. It ends when it is dropped.
struct Origin {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    _serving: JoinSet<()>,
}

impl Origin {
    async fn new(script: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("has one");
        let (script, heads): (Arc<Script>, _) = (Arc::new(script), Arc::new(Mutex::new(Vec::new())));
        let (seen, count) = (Arc::clone(&heads), AtomicUsize::new(0));
        let serve = async move {
            // Ends when the set is dropped.
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = request_head(&mut stream).await;
                seen.lock().expect("not poisoned").push(head.clone());
                let answer = script(count.fetch_add(1, Ordering::Relaxed), &head);
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            }
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve);
        Self { address, heads, _serving: serving }
    }

    /// One connection: the head and the first `pause_at` octets of a body at once, the rest when it is called for.
    async fn halting(head: &str, body: Vec<u8>, pause_at: usize) -> (Self, Arc<Notify>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("has one");
        let (rest, head) = (Arc::new(Notify::new()), format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        let called = Arc::clone(&rest);
        let serve = async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            request_head(&mut stream).await;
            stream.write_all(&[head.as_bytes(), &body[..pause_at]].concat()).await.expect("is read");
            called.notified().await;
            let _ = stream.write_all(&body[pause_at..]).await;
        };
        let mut serving = JoinSet::new();
        serving.spawn(serve);
        (Self { address, heads: Arc::default(), _serving: serving }, rest)
    }

    fn url(&self) -> String {
        format!("http://{}/films/clip.mp4?secret=x", self.address)
    }

    fn head(&self, number: usize) -> String {
        self.heads.lock().expect("not poisoned")[number].clone()
    }

    fn count(&self) -> usize {
        self.heads.lock().expect("not poisoned").len()
    }
}

/// The head of a request in lower case: an unread one would turn the end of the connection into a reset.
async fn request_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 10_000 {
        match stream.read_u8().await {
            Ok(octet) => head.push(octet),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).to_lowercase()
}

fn answer(status: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// The first octet that a request asks for.
fn asked(head: &str) -> usize {
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
    range.map_or(0, |range| range.trim_end_matches('-').trim().parse().expect("a number"))
}

/// The rest of `file` from where the request wants it, as a server with ranges answers; cut after `bytes`.
fn ranged(head: &str, file: &[u8], etag: &str, bytes: usize) -> Vec<u8> {
    let from = asked(head);
    let rest = &file[from..];
    let tag = ("etag", etag.to_owned());
    let length = ("content-length", rest.len().to_string());
    let body = &rest[..bytes.min(rest.len())];
    if from == 0 {
        return answer("200 OK", &[tag, length], body);
    }
    let range = format!("bytes {from}-{}/{}", file.len() - 1, file.len());
    answer("206 Partial Content", &[tag, length, ("content-range", range)], body)
}

async fn ground() -> Ground {
    let mut ground = Ground::new().await;
    ground.state.imports = Imports::new(ImportRules {
        networks: vec!["127.0.0.0/8".parse().expect("a network")],
        pause: Duration::from_millis(5),
        attempts_max: 4,
        ..ImportRules::default()
    });
    ground
}

async fn post(state: &State, document: Value) -> (u16, Option<String>, Value) {
    let request = Request::post("/api/v1/imports").header("content-type", "application/json");
    let request = request.body(Body::from(document.to_string())).expect("valid");
    let answer = ask_api(state, request).await;
    let location = answer.header("location").map(str::to_owned);
    (answer.status.as_u16(), location, serde_json::from_str(&answer.body).unwrap_or_default())
}

async fn import(ground: &Ground, url: &str) -> UploadId {
    let (status, location, document) = post(&ground.state, json!({ "url": url })).await;
    assert_eq!(status, 202, "{document}");
    let location = location.expect("is there");
    location.strip_prefix("/uploads/").expect("is relative").parse().expect("an id")
}

async fn ended(ground: &Ground, upload: UploadId) -> UploadState {
    eventually("the import ends", || async { ground.upload(upload).await.state != UploadState::Open }).await;
    ground.upload(upload).await.state
}

async fn failure(ground: &Ground, upload: UploadId) -> String {
    assert_eq!(ended(ground, upload).await, UploadState::Refused);
    let asset = ground.asset(upload).await;
    assert_eq!(asset.state, AssetState::Failed);
    let failure = asset.failure.expect("has a reason");
    assert_eq!(failure.code, FailureCode::SourceUnavailable);
    failure.message
}

#[tokio::test]
async fn a_file_is_pulled_into_an_upload_like_any_other() {
    let file = noise(3_000_000);
    let served = file.clone();
    let origin = Origin::new(move |_, head| ranged(head, &served, "\"v1\"", usize::MAX)).await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    let (upload, asset) = (ground.upload(upload).await, ground.asset(upload).await);
    assert!(ground.source(asset.id).await == file);
    assert_eq!((upload.length, upload.file_name.as_deref()), (Some(3_000_000), Some("clip.mp4")));
    assert_eq!(ground.probes().await, [asset.id]);
    assert!(origin.head(0).contains("accept-encoding: identity"));
}

#[tokio::test]
async fn a_broken_transfer_goes_on_where_it_stands_if_the_file_is_the_same() {
    let file = noise(3_000_000);
    let served = file.clone();
    let origin =
        Origin::new(move |n, head| ranged(head, &served, "\"v1\"", if n < 3 { 900_000 } else { usize::MAX })).await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
    assert_eq!(origin.count(), 4);
    for number in 1..4 {
        let head = origin.head(number);
        assert!(head.contains("if-range: \"v1\"") && asked(&head) == number * 900_000, "{head}");
    }
}

#[tokio::test]
async fn a_server_without_ranges_sends_again_what_is_there_already() {
    let file = noise(2_000_000);
    let served = file.clone();
    let origin = Origin::new(move |n, _| {
        let headers = [("etag", "\"v1\"".to_owned()), ("content-length", served.len().to_string())];
        answer("200 OK", &headers, &served[..if n == 0 { 1_200_000 } else { served.len() }])
    })
    .await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_never_mixed_with_itself() {
    let (first, second) = (noise(2_000_000), vec![9; 2_000_000]);
    let origin = Origin::new(move |n, head| match n {
        0 => ranged(head, &first, "\"v1\"", 1_000_000),
        _ => answer("200 OK", &[("etag", "\"v2\"".into()), ("content-length", second.len().to_string())], &second),
    })
    .await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert!(failure(&ground, upload).await.contains("changed"));
}

#[tokio::test]
async fn what_cannot_be_told_to_be_the_same_is_not_gone_on_with() {
    let origin = Origin::new(|_, _| answer("200 OK", &[("content-length", "2000000".into())], &noise(1_000_000))).await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert!(failure(&ground, upload).await.contains("cannot go on"));
}

#[tokio::test]
async fn a_file_of_unknown_length_ends_with_its_last_chunk() {
    let chunked = |body: &str| answer("200 OK", &[("transfer-encoding", "chunked".into())], body.as_bytes());
    let origin = Origin::new(move |_, _| chunked("5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n")).await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdefgh");
    let endless = Origin::new(|_, _| answer("200 OK", &[], b"abc")).await;
    let upload = import(&ground, &endless.url()).await;
    assert!(failure(&ground, upload).await.contains("how long"), "a broken connection would look like the end");
}

/// The octets from where a request wants them, at most `bytes` of them, as a server sends that cuts files up.
fn cut_up(head: &str, file: &[u8], bytes: usize) -> Vec<u8> {
    let from = asked(head);
    let end = file.len().min(from + bytes);
    let range = format!("bytes {from}-{}/{}", end - 1, file.len());
    answer(
        "206 Partial Content",
        &[("etag", "\"v1\"".into()), ("content-range", range), ("content-length", (end - from).to_string())],
        &file[from..end],
    )
}

/// All of `file` in one chunk, cut off after `bytes`: its end is not there.
fn unended(file: &[u8], bytes: usize) -> Vec<u8> {
    let body = [format!("{:x}\r\n", file.len()).as_bytes(), &file[..bytes]].concat();
    answer("200 OK", &[("etag", "\"v1\"".into()), ("transfer-encoding", "chunked".into())], &body)
}

#[tokio::test]
async fn a_piece_that_ends_early_is_not_the_end_of_the_file() {
    let file = noise(1_000_000);
    let served = file.clone();
    let origin = Origin::new(move |n, head| match n {
        // The length is not known when the first connection breaks.
        0 => unended(&served, 500_000),
        _ => cut_up(head, &served, 100_000),
    })
    .await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert_eq!(ground.upload(upload).await.length, Some(1_000_000));
    assert!(ground.source(ground.asset(upload).await.id).await == file);
    assert_eq!(origin.count(), 6);
}

#[tokio::test]
async fn an_import_that_hardly_moves_is_given_up() {
    let slow = ImportRules { rate_min: 1 << 20, rate_window: Duration::from_millis(50), ..ImportRules::default() };
    let long = ImportRules { rate_min: 0, time_max: Duration::from_millis(50), ..ImportRules::default() };
    for (rules, reason) in [(slow, "less than 1048576 octets a second"), (long, "did not come within")] {
        // One octet for each connection: never an attempt that brings nothing.
        let origin = Origin::new(|_, head| ranged(head, &noise(3_000_000), "\"v1\"", 1)).await;
        let mut ground = ground().await;
        let networks = vec!["127.0.0.0/8".parse().expect("a network")];
        ground.state.imports = Imports::new(ImportRules { networks, pause: Duration::from_millis(2), ..rules });
        let upload = import(&ground, &origin.url()).await;
        assert!(failure(&ground, upload).await.contains(reason));
    }
}

#[tokio::test]
async fn one_principal_does_not_take_the_places_of_all() {
    let (held, rest) = Origin::halting("content-length: 600000", noise(600_000), 300_000).await;
    let quick = Origin::new(|_, head| ranged(head, &noise(1000), "\"v1\"", usize::MAX)).await;
    let waiting = Origin::new(|_, head| ranged(head, &noise(1000), "\"v1\"", usize::MAX)).await;
    let mut ground = ground().await;
    let tokens = [("ada", "token-of-ada-lovelace"), ("bob", "token-of-bob-the-builder")];
    let owned = tokens.map(|(name, token)| (name.to_owned(), token.to_owned()));
    ground.state.gate = Arc::new(ingest::gate::Tokens::new(owned.into_iter()));
    let networks = vec!["127.0.0.0/8".parse().expect("a network")];
    ground.state.imports =
        Imports::new(ImportRules { networks, at_once_max: 2, of_one_max: 1, ..ImportRules::default() });
    let begin = async |token: &str, origin: &Origin| {
        let request = Request::post("/api/v1/imports").header("content-type", "application/json");
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::from(json!({ "url": origin.url() }).to_string())).expect("valid");
        let answer = ask_api(&ground.state, request).await;
        let location = answer.header("location").expect("is there");
        location.strip_prefix("/uploads/").expect("is relative").parse::<UploadId>().expect("an id")
    };
    let first = begin(tokens[0].1, &held).await;
    eventually("the first is under way", || async { ground.upload(first).await.length.is_some() }).await;
    let second = begin(tokens[0].1, &waiting).await;
    let other = begin(tokens[1].1, &quick).await;
    assert_eq!(ended(&ground, other).await, UploadState::Complete);
    assert_eq!(waiting.count(), 0, "another place is free, but not for the same principal");
    rest.notify_one();
    for upload in [first, second] {
        assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    }
}

#[tokio::test]
async fn a_file_of_unknown_length_is_whole_when_only_its_end_was_missed() {
    let headers = [("transfer-encoding", "chunked".into()), ("etag", "\"v1\"".into())];
    let unended = answer("200 OK", &headers, b"5\r\nabcde\r\n3\r\nfgh\r\n");
    for (total, is_whole) in [(8, true), (7, false)] {
        let unended = unended.clone();
        let origin = Origin::new(move |n, _| match n {
            0 => unended.clone(),
            _ => {
                answer("416 Range Not Satisfiable", &[("content-range", format!("bytes */{total}"))], b"no such range")
            }
        })
        .await;
        let ground = ground().await;
        let upload = import(&ground, &origin.url()).await;
        if is_whole {
            assert_eq!(ended(&ground, upload).await, UploadState::Complete);
            assert_eq!(ground.source(ground.asset(upload).await.id).await, b"abcdefgh");
        } else {
            assert!(failure(&ground, upload).await.contains("changed"));
        }
        assert_eq!(asked(&origin.head(1)), 8);
    }
}

#[tokio::test]
async fn an_answer_that_will_not_get_better_ends_the_import() {
    let ground = ground().await;
    let check = async |answer: Vec<u8>, part: &str, requests: usize| {
        let origin = Origin::new(move |_, _| answer.clone()).await;
        let upload = import(&ground, &origin.url()).await;
        let reason = failure(&ground, upload).await;
        assert!(reason.contains(part), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
        assert_eq!(origin.count(), requests, "{reason}");
    };
    check(answer("404 Not Found", &[], b""), "404", 1).await;
    check(answer("302 Found", &[("location", "http://127.0.0.2/other".into())], b""), "another host", 1).await;
    check(answer("302 Found", &[("location", "/films/clip.mp4".into())], b""), "too often", 6).await;
    check(
        answer("200 OK", &[("content-encoding", "gzip".into()), ("content-length", "3".into())], b"abc"),
        "compressed",
        1,
    )
    .await;
    check(answer("503 Service Unavailable", &[], b""), "503", 4).await;
}

#[tokio::test]
async fn an_import_survives_the_end_of_its_process() {
    let file = noise(3_000_000);
    let served = file.clone();
    let gate = Arc::new(AtomicUsize::new(0));
    let is_open = Arc::clone(&gate);
    let origin = Origin::new(move |_, head| match is_open.load(Ordering::Relaxed) {
        // The server is away after the first octets.
        0 if asked(head) > 0 => answer("503 Service Unavailable", &[], b""),
        0 => ranged(head, &served, "\"v1\"", 1_000_000),
        _ => ranged(head, &served, "\"v1\"", usize::MAX),
    })
    .await;
    let mut ground = ground().await;
    ground.state.imports = Imports::new(ImportRules {
        networks: vec!["127.0.0.0/8".parse().expect("a network")],
        pause: Duration::from_secs(60),
        ..ImportRules::default()
    });
    let upload = import(&ground, &origin.url()).await;
    eventually("the first octets are safe", || async { ground.upload(upload).await.offset == 1_000_000 }).await;
    ground.state.shutdown.cancel();
    ground.state.tasks.close();
    ground.state.tasks.wait().await;
    gate.store(1, Ordering::Relaxed);
    let state = ground.restarted().await;
    ingest::resume_imports(&state).await.expect("goes on");
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
}

#[tokio::test]
async fn private_addresses_are_refused_before_anything_is_connected() {
    let origin = Origin::new(|_, _| answer("200 OK", &[("content-length", "1".into())], b"x")).await;
    let ground = Ground::new().await;
    let port = origin.address.port();
    for host in ["127.0.0.1", "localhost", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
        let (status, _, problem) = post(&ground.state, json!({ "url": format!("http://{host}:{port}/x") })).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("address_refused")), "{host}: {problem}");
    }
    for url in ["file:///etc/passwd", "ftp://example.org/x", "http://a:b@example.org/x", "nonsense"] {
        let (status, _, problem) = post(&ground.state, json!({ "url": url })).await;
        assert_eq!((status, problem["code"].as_str()), (422, Some("address_refused")), "{url}");
    }
    assert_eq!(origin.count(), 0);
    assert!(ground.state.catalog.open_uploads().await.expect("answers").is_empty());
}

/// What the owner of an import sees of it.
async fn status(ground: &Ground, upload: UploadId) -> Value {
    let path = format!("/uploads/{upload}");
    let asked = crate::ground::request("GET", &path, &[("accept", "application/json")], Body::empty());
    serde_json::from_str(&ground.send(asked).await.body).expect("is JSON")
}

#[tokio::test]
async fn a_question_does_not_interrupt_an_import() {
    let file = noise(600_000);
    // Nothing tells whether the file is still the same: a transfer that ends early cannot go on.
    let (origin, rest) = Origin::halting("content-length: 600000", file.clone(), 300_000).await;
    let ground = ground().await;
    let upload = import(&ground, &origin.url()).await;
    eventually("the first octets are seen", || async { status(&ground, upload).await["received"] == 300_000 }).await;
    let draft = Request::get(format!("/uploads/{upload}")).header("upload-draft-interop-version", "8");
    let draft = ground.send(draft.body(Body::empty()).expect("valid")).await;
    for answer in [ground.head(upload).await, draft] {
        assert!(answer.status.is_success() && answer.offset() <= Some(300_000), "{answer:?}");
        assert_eq!(answer.header("upload-length"), Some("600000"));
    }
    rest.notify_one();
    assert_eq!(ended(&ground, upload).await, UploadState::Complete);
    assert!(ground.source(ground.asset(upload).await.id).await == file);
    assert_eq!(ground.head(upload).await.offset(), Some(600_000));
}

#[tokio::test]
async fn an_imported_upload_takes_octets_from_nobody_else_and_can_be_given_up() {
    let origin = Origin::new(|n, head| match n {
        0 => ranged(head, &noise(2_000_000), "\"v1\"", 1_000_000),
        _ => answer("503 Service Unavailable", &[], b""),
    })
    .await;
    let mut ground = ground().await;
    ground.state.imports = Imports::new(ImportRules {
        networks: vec!["127.0.0.0/8".parse().expect("a network")],
        pause: Duration::from_millis(100),
        attempts_max: 1000,
        ..ImportRules::default()
    });
    let upload = import(&ground, &origin.url()).await;
    eventually("the first octets are safe", || async { ground.upload(upload).await.offset == 1_000_000 }).await;
    assert_eq!(ground.patch(upload, 1_000_000, "x").await.status, 403);
    assert_eq!(ground.send(patch(upload, 5, "x")).await.status, 403);
    let path = format!("/uploads/{upload}");
    let status = status(&ground, upload).await;
    assert!(status["import"]["url"].as_str().is_some_and(|url| url.ends_with("/films/clip.mp4")), "{status}");
    let gone = ground.send(crate::ground::request("DELETE", &path, &[], Body::empty())).await;
    assert_eq!(gone.status, 204);
    ground.state.tasks.close();
    tokio::time::timeout(Duration::from_secs(20), ground.state.tasks.wait()).await.expect("the puller ends");
}
