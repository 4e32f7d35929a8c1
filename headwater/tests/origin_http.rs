//! The origin over a real socket: a running server, requests written octet by octet.
//!
//! What a request may do to the framing of a connection cannot be seen below the server, and a proxy in
//! front depends on it. The vectors are those of RFC 9112 and of the usual smuggling batteries.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use domain::presentation::{AudioRendition, SCHEMA, SegmentEntry};
use domain::{AssetId, Bitrate, Cadence, Generation, MediaTime, PlaybackId, Presentation, RenditionId, Timescale};
use fixtures::{Dice, dice};
use media_store::{MediaStore, StoreConfig, layout};
use sha2::{Digest, Sha256};

/// A server that does not answer within this time has failed the test.
const PATIENCE: Duration = Duration::from_secs(20);
/// The one segment there is.
const CONTENT: &[u8] = &[b'x'; 10_000];

/// A server that plays nothing but the origin, and whose database does not exist.
struct Server {
    child: Child,
    address: String,
    _data_dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(settings: &[&str]) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        publish(data_dir.path());
        #[expect(clippy::disallowed_methods, reason = "the test runs the program it tests")]
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(["serve", "--roles", "origin", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir.path());
        for setting in settings {
            command.args(["--set", setting]);
        }
        command.env("HEADWATER_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect("the server says where it listens");
        Self { address: address.to_owned(), child, _data_dir: data_dir }
    }

    /// Runs a command beside the server, on its data; what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        #[expect(clippy::disallowed_methods, reason = "the test runs the program it tests")]
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
        command.args(arguments).env("HEADWATER_DATA_DIR", self._data_dir.path());
        command.env("HEADWATER_DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes `request`, and reads until the server ends the connection or has nothing more to say.
    fn exchange(&self, request: impl AsRef<[u8]>) -> Vec<Reply> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that refuses early may close before all is written.
        let _ = stream.write_all(request.as_ref());
        let mut received = Vec::new();
        let ended = stream.read_to_end(&mut received);
        let request = String::from_utf8_lossy(request.as_ref()).chars().take(200).collect::<String>();
        assert!(ended.is_ok() || !received.is_empty(), "{request:?}: {ended:?}");
        replies(&received)
    }

    /// Sends one request that asks for the end of the connection.
    fn one(&self, method: &str, path: &str, lines: &str) -> Reply {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        let replies = self.exchange(request);
        assert_eq!(replies.len(), 1, "{replies:?}");
        replies.into_iter().next().unwrap()
    }
}

/// A response as it stands on the wire.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is doubled: {}", self.head);
        value
    }
}

/// Splits what was received into responses, by their Content-Length alone.
fn replies(mut received: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut reply = Reply { status, head, body: Vec::new() };
        assert_eq!(reply.header("transfer-encoding"), None, "{}", reply.head);
        received = &received[end + 4..];
        // The next response may follow a HEAD's at once.
        let length: usize = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        if !received.starts_with(b"HTTP/1.1 ") {
            assert!(received.len() >= length || received.is_empty(), "{}", reply.head);
            let (body, rest) = received.split_at(length.min(received.len()));
            (reply.body, received) = (body.to_vec(), rest);
        }
        replies.push(reply);
    }
    assert!(received.is_empty(), "octets without a response: {received:?}");
    replies
}

fn segment_path() -> String {
    format!("/v/{}/g1/audio-0-en/0.m4s", PlaybackId::from_u128(7))
}

/// Writes one segment of silence, and publishes it.
#[tokio::main(flavor = "current_thread")]
async fn publish(data_dir: &Path) {
    let (asset, playback, generation) = (AssetId::from_u128(1), PlaybackId::from_u128(7), Generation(1));
    let id = RenditionId::new("audio-0-en").unwrap();
    let config = StoreConfig {
        url: format!("file://{}/media", data_dir.display()),
        access_key: None,
        secret_key: None,
        scratch: data_dir.join("scratch"),
    };
    let store = MediaStore::open(config).await.unwrap();
    store.put_once(&layout::segment(asset, generation, &id, 0), CONTENT.into()).await.unwrap();
    let sha256 = Sha256::digest(CONTENT).iter().map(|byte| format!("{byte:02x}")).collect();
    let entry =
        SegmentEntry { ticks: 96_000, bytes: Some(CONTENT.len() as u64), sha256: Some(sha256), keyframes: vec![] };
    let presentation = Presentation {
        schema: SCHEMA,
        asset,
        playback,
        generation,
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: None,
        duration: MediaTime::new(2, Timescale::new(1).unwrap()),
        cadence: Cadence::for_audio(),
        video: vec![],
        audio: vec![AudioRendition {
            id,
            language: None,
            name: "English".into(),
            is_default: true,
            channels: 2,
            codecs: "mp4a.40.2".into(),
            peak_bitrate: Bitrate(40_000),
            average_bitrate: Bitrate(40_000),
            timescale: Timescale::new(48_000).unwrap(),
            segments: vec![entry],
        }],
        subtitles: vec![],
        chapters: vec![],
        markers: vec![],
        images: None,
        files: vec![],
    };
    let json = serde_json::to_vec(&presentation).unwrap();
    store.put_once(&layout::presentation(asset, generation, 1), json.into()).await.unwrap();
    store.put_pointer(playback, serde_json::to_vec(&presentation.pointer()).unwrap().into()).await.unwrap();
}

#[test]
fn it_serves_without_a_database() {
    let server = Server::start();
    let whole = server.one("GET", &segment_path(), "");
    assert_eq!((whole.status, whole.body.as_slice()), (200, CONTENT));
    let etag = whole.header("etag").unwrap();
    let master = server.one("GET", &format!("/v/{}/master.m3u8", PlaybackId::from_u128(7)), "");
    assert!(master.body.starts_with(b"#EXTM3U"));
    for (method, lines, status, length) in [
        ("GET", "Range: bytes=5-14\r\n".to_owned(), 206, Some("10")),
        ("GET", "Range: bytes=10000-\r\n".into(), 416, None),
        ("GET", format!("If-None-Match: {etag}\r\nRange: bytes=0-1\r\n"), 304, None),
        ("GET", "If-Match: \"x\"\r\n".into(), 412, None),
        ("HEAD", "Range: bytes=0-1\r\n".into(), 200, Some("10000")),
        ("OPTIONS", String::new(), 204, None),
        ("POST", "Content-Length: 0\r\n".into(), 405, None),
    ] {
        let reply = server.one(method, &segment_path(), &lines);
        assert_eq!(reply.status, status, "{method} {lines}");
        assert!(reply.header("date").is_some_and(|date| date.ends_with(" GMT")), "{}", reply.head);
        assert!(reply.header("x-request-id").is_some(), "{}", reply.head);
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{}", reply.head);
        assert!(reply.header("cache-control").is_some(), "{}", reply.head);
        if length.is_some() {
            assert_eq!(reply.header("content-length"), length, "{}", reply.head);
        }
        if matches!(status, 204 | 304) {
            assert_eq!((reply.header("content-length"), reply.body.len()), (None, 0), "{}", reply.head);
        }
    }
}

#[test]
fn a_request_that_could_be_read_in_two_ways_is_refused() {
    let server = Server::start();
    let path = segment_path();
    let host = "Host: localhost\r\n";
    // Answers that are ready must not be given to such requests either.
    for _ in 0..4 {
        assert_eq!(server.one("GET", &path, "").status, 200);
    }
    for (name, head) in [
        ("no Host", String::new()),
        ("two Hosts", "Host: a\r\nHost: a\r\n".into()),
        ("a Host that is none", "Host: a b\r\n".into()),
        ("an empty Host", "Host: \r\n".into()),
        ("a body on GET", format!("{host}Content-Length: 5\r\n")),
        ("a chunked body on GET", format!("{host}Transfer-Encoding: chunked\r\n")),
        ("both lengths", format!("{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("two lengths", format!("{host}Content-Length: 0\r\nContent-Length: 5\r\n")),
        ("a list of lengths", format!("{host}Content-Length: 0, 0\r\n")),
        ("a signed length", format!("{host}Content-Length: +0\r\n")),
        ("a coding that is not ours", format!("{host}Transfer-Encoding: xchunked\r\n")),
        ("chunked, but not last", format!("{host}Transfer-Encoding: chunked, identity\r\n")),
        ("space before the colon", format!("{host}Range : bytes=0-1\r\n")),
        ("a folded line", format!("{host}Range: bytes=0-1,\r\n 5-6\r\n")),
        ("a bare CR", format!("{host}Accept: a\rb\r\n")),
        ("a NUL", format!("{host}Accept: a\0b\r\n")),
    ] {
        // Whatever follows on the connection must not be taken for a request.
        let request = format!("GET {path} HTTP/1.1\r\n{head}\r\n0\r\n\r\nGET {path} HTTP/1.1\r\n{host}\r\n");
        let replies = server.exchange(request);
        assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [400], "{name}: {replies:?}");
    }
    let request = format!("GET {path} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    let replies = server.exchange(request);
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [400], "a coding in HTTP/1.0");
    let replies = server.exchange(b"NOT A REQUEST\r\n\r\n");
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [400], "no request at all");
}

#[test]
fn a_head_has_a_longest_length() {
    let server = Server::start();
    let path = segment_path();
    assert_eq!(server.one("GET", &format!("{path}?{}", "a".repeat(9000)), "").status, 414);
    for (count, status) in [(90, 200), (128, 431), (200, 431)] {
        let lines: String = (0..count).map(|at| format!("X-{at}: 1\r\n")).collect();
        assert_eq!(server.one("GET", &path, &lines).status, status, "{count} lines");
    }
    assert_eq!(server.one("GET", &path, &format!("X: {}\r\n", "a".repeat(40_000))).status, 200);
    assert_eq!(server.one("GET", &path, &format!("X: {}\r\n", "a".repeat(200_000))).status, 431);
}

#[test]
fn other_forms_of_a_request_are_understood() {
    let server = Server::start();
    let path = segment_path();
    let absolute = server.one("GET", &format!("http://localhost{path}"), "");
    assert_eq!((absolute.status, absolute.body.as_slice()), (200, CONTENT));
    let old = server.exchange(format!("GET {path} HTTP/1.0\r\n\r\n"));
    assert_eq!((old.len(), old[0].status, old[0].body.as_slice()), (1, 200, CONTENT));
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let server = Server::start();
    let path = segment_path();
    let request = |method: &str, lines: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let row = [
        request("HEAD", ""),
        request("GET", "Range: bytes=0-4\r\n"),
        request("GET", "Range: bytes=99999-\r\n"),
        request("OPTIONS", ""),
        request("GET", "Connection: close\r\n"),
    ];
    let replies = server.exchange(row.concat());
    let seen: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(seen, [200, 206, 416, 204, 200]);
    assert_eq!((replies[0].body.len(), replies[1].body.as_slice()), (0, &CONTENT[..5]));
    assert_eq!(replies[4].body, CONTENT);
}

/// What two answers to the same request have in common, in any order.
fn lasting(reply: &Reply) -> (u16, Vec<String>, &[u8]) {
    let changing = ["date", "x-request-id", "server-timing", "cmsd-dynamic", "connection"];
    let is_lasting = |line: &&str| !changing.iter().any(|name| line.starts_with(&format!("{name}:")));
    let mut lines: Vec<_> = reply.head.lines().filter(is_lasting).map(str::to_owned).collect();
    lines.sort_unstable();
    (reply.status, lines, &reply.body)
}

#[test]
fn what_is_ready_is_the_same_on_the_wire_as_what_is_made() {
    let server = Server::start();
    let path = segment_path();
    let etag = server.one("GET", &path, "").header("etag").unwrap().to_owned();
    let asked = [
        ("GET", String::new()),
        ("HEAD", String::new()),
        ("GET", "Range: bytes=5-9\r\n".to_owned()),
        ("GET", "Range: bytes=-1\r\nCMCD-Request: bl=800\r\n".to_owned()),
        ("GET", "Range: bytes=99999-\r\n".to_owned()),
        ("GET", format!("If-None-Match: {etag}\r\n")),
        ("HEAD", format!("If-None-Match: {etag}\r\n")),
        ("GET", "If-Match: \"another\"\r\n".to_owned()),
        ("GET", "Connection: keep-alive\r\n".to_owned()),
    ];
    // Until memory has it.
    for _ in 0..4 {
        server.one("GET", &path, "");
    }
    // The end of a connection is hyper's to say, and so are these answers.
    let made: Vec<_> = asked.iter().map(|(method, lines)| server.one(method, &path, lines)).collect();
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    let mut below = |end: usize| usize::try_from(dice.below(end as u64)).unwrap();
    for _ in 0..20 {
        let picked: Vec<usize> = (0..40).map(|_| below(asked.len())).collect();
        let request = |(method, lines): &(&str, String)| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut text: String = picked.iter().map(|at| request(&asked[*at])).collect();
        text += &format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut rest, bytes_max) = (text.as_bytes(), 1 + below(400));
        // Some connections by the piece, some in a row: a head may end anywhere.
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + below(bytes_max)));
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_micros(below(300) as u64));
            rest = after;
        }
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        let replies = replies(&received);
        assert_eq!(replies.len(), picked.len() + 1, "seed {seed}");
        for (at, reply) in picked.iter().zip(&replies) {
            assert_eq!(lasting(reply), lasting(&made[*at]), "seed {seed}: {:?}", asked[*at]);
        }
    }
}

#[test]
fn ways_out_of_the_folder_lead_nowhere() {
    let server = Server::start();
    let id = PlaybackId::from_u128(7);
    for path in [
        format!("/v/{id}/../../catalog.db"),
        format!("/v/{id}/g1/images/..%2f..%2f..%2fcatalog.db"),
        format!("/v/{id}/g1/audio-0-en/%2e%2e/%2e%2e/0.m4s"),
        format!("/v/{id}/g1/images/%00"),
        format!("/v/{id}/%252e%252e/%252e%252e"),
        "/v/../current/".into(),
        "//v/".into(),
    ] {
        let status = server.one("GET", &path, "").status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}

#[test]
fn lines_that_end_with_a_bare_line_feed_are_understood() {
    let server = Server::start();
    let replies = server.exchange(format!("GET {} HTTP/1.1\nHost: a\nConnection: close\n\n", segment_path()));
    assert_eq!((replies.len(), replies[0].status, replies[0].body.as_slice()), (1, 200, CONTENT));
}

#[test]
fn a_signed_asset_opens_with_a_token_and_its_keys_change_while_it_is_served() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    let write = |names: &[&str]| {
        let lines = names.iter().map(|name| format!("{name}:{name}0123456789abcdef0123456789abcdef\n"));
        std::fs::write(keys.path(), format!("# keys\n{}", lines.collect::<String>())).unwrap();
    };
    write(&["old"]);
    let setting = format!("token_keys_file={}", keys.path().display());
    let server = Server::start_with(&[&setting]);
    let (id, path) = (PlaybackId::from_u128(7).to_string(), segment_path());
    assert_eq!(server.run(&["access", &id]), "public");
    for _ in 0..3 {
        assert_eq!(server.one("GET", &path, "").status, 200);
    }
    assert_eq!(server.run(&["access", &id, "--policy", "signed"]), "signed");
    until("the policy is seen", || server.one("GET", &path, "").status == 403);
    let master = server.run(&["token", &id, "--for-s", "600", "--set", &setting]);
    let token = master.strip_suffix(&format!("/v/{id}/master.m3u8")).expect("a path with a token in it").to_owned();
    let with_token = |token: &str, lines: &str| server.one("GET", &format!("{token}{path}"), lines);
    for _ in 0..4 {
        let reply = with_token(&token, "");
        assert_eq!((reply.status, reply.body.as_slice()), (200, CONTENT));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(with_token(&token, "Range: bytes=0-9\r\n").status, 206);
        let plain = server.one("GET", &path, "");
        assert_eq!((plain.status, plain.header("cache-control")), (403, Some("no-store")));
    }
    assert!(server.one("GET", &master, "").body.starts_with(b"#EXTM3U"));
    let mut forged = token.clone();
    forged.replace_range(10..11, if &token[10..11] == "A" { "B" } else { "A" });
    assert_eq!(with_token(&forged, "").status, 403);
    write(&["new", "old"]);
    let next = server.run(&["token", &id, "--set", &setting]);
    let next = next.strip_suffix(&format!("/v/{id}/master.m3u8")).unwrap().to_owned();
    until("the new key is taken up", || with_token(&next, "").status == 200);
    assert_eq!(with_token(&token, "").status, 200);
    write(&["new"]);
    until("the old key is given up", || with_token(&token, "").status == 403);
    assert_eq!(with_token(&next, "").status, 200);
}

#[test]
fn an_origin_behind_a_cdn_answers_nobody_else() {
    let server = Server::start_with(&["origin_secrets=a secret of the CDN,the secret before"]);
    for (line, status) in [
        ("", 403),
        ("X-Origin-Secret: guess\r\n", 403),
        ("X-Origin-Secret: a secret of the CDN\r\n", 200),
        ("X-Origin-Secret: the secret before\r\n", 200),
        ("", 403),
    ] {
        assert_eq!(server.one("GET", &segment_path(), line).status, status, "{line}");
    }
}

/// Waits for a condition, level-triggered, with a bound.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The checks of `doctor --cdn` that came out so.
fn checks(report: &str, verdict: &str) -> Vec<String> {
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] == verdict);
    findings.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_doctor_finds_nothing_wrong_with_the_origin_itself() {
    let server = Server::start();
    let master = format!("http://{}/v/{}/master.m3u8", server.address, PlaybackId::from_u128(7));
    let report = server.run(&["doctor", "--cdn", &master, "--json"]);
    assert_eq!(checks(&report, "fail"), [""; 0]);
    assert_eq!(checks(&report, "warn"), ["hit"], "there is no cache in front");
    assert!(checks(&report, "ok").len() >= 14, "{report}");
}

#[test]
fn a_doctor_finds_what_a_poor_server_does_wrong() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let master = format!("http://{}/master.m3u8", listener.local_addr().unwrap());
    // Everything is there, whole, and for ever; it has no tag and says nothing of other pages.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let _ = reader.read_line(&mut line);
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {
                head.clear();
            }
            let body = if line.contains("master") {
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmedia.m3u8\n"
            } else if line.contains("media") {
                "#EXTM3U\n#EXTINF:1,\n0.m4s\n"
            } else {
                "0123456789"
            };
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
            if !line.starts_with("HEAD") {
                let _ = stream.write_all(body.as_bytes());
            }
        }
    });
    #[expect(clippy::disallowed_methods, reason = "the test runs the program it tests")]
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_headwater"));
    let output = command.args(["doctor", "--cdn", &master, "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let failed = checks(&String::from_utf8(output.stdout).unwrap(), "fail");
    for check in ["kept", "etag", "range", "range-end", "cors-200", "cors-206", "absent"] {
        assert!(failed.iter().any(|name| name == check), "{check} is not among {failed:?}");
    }
    assert!(!failed.iter().any(|name| name == "length" || name == "head"), "{failed:?}");
}
