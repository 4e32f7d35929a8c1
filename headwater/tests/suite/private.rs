//! Fifty ways into a video that one may not play, asked of an origin whose database is gone and of an edge before it:
//! each is refused without an octet of the media. And the ways of those who may: each plays.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fixtures::media::{self, ClipSpec};
use serde_json::{Value, json};

use crate::accounts::Guarded;
use crate::documents::attach;
use crate::harness::{Server, headwater, run, text};
use crate::server::until;

const KEY: (&str, &str) = ("k1", "a key of tokens which is long enough");
const PASSWORD: &str = "open sesame, says the viewer";
const SETTINGS: [&str; 2] = [
    "token_keys=k1:a key of tokens which is long enough",
    "content_key_secrets=a secret that nobody could guess in a lifetime",
];
/// What begins or stands in everything that is served of a video.
const MARKS: [&[u8]; 8] = [b"#EXTM3U", b"<MPD", b"WEBVTT", b"ftyp", b"moof", b"mdat", b"\xff\xd8\xff", b"\x47\x40\x00"];

/// One way in.
struct Way {
    name: String,
    method: &'static str,
    target: String,
    lines: Vec<String>,
}

fn way(name: impl Into<String>, target: impl Into<String>) -> Way {
    Way { name: name.into(), method: "GET", target: target.into(), lines: Vec::new() }
}

impl Way {
    fn with(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Asks as a client that writes what it likes.
fn asked(server: &str, way: &Way) -> Reply {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let has_host = way.lines.iter().any(|line| line.starts_with("Host:"));
    let host = if has_host { "" } else { "Host: media.example.org\r\n" };
    let lines: String = way.lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{} {} HTTP/1.1\r\n{host}Connection: close\r\n{lines}\r\n", way.method, way.target);
    stream.write_all(head.as_bytes()).unwrap();
    let mut octets = Vec::new();
    let _ = stream.read_to_end(&mut octets);
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(octets.len());
    let head = String::from_utf8_lossy(&octets[..end]).into_owned();
    // An end without an answer refuses what is no request.
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(400);
    Reply { status, head, body: octets[(end + 4).min(octets.len())..].to_vec() }
}

/// A token as docs/access.md describes it.
fn token(claims: &str, key: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(claims);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), claims.as_bytes());
    format!("{claims}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
}

fn now_s() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "tokens end by the clock of the server")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn good(playback: &str) -> String {
    token(&format!("k={};e={};n={};p=/v/{playback}/", KEY.0, now_s() + 3600, now_s() - 5), KEY.1)
}

fn basic(password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("anybody:{password}")))
}

/// Runs `headwater access` beside the server.
fn access(data: &Path, playback: &str, args: &[&str], input: &str) {
    let mut child = headwater(&["access", playback, "--data-dir", text(data), "--set", SETTINGS[1]])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// A video, and every address at which something of it is served.
struct Video {
    asset: String,
    playback: String,
    /// Below `/v/{playback}/`.
    files: Vec<String>,
}

impl Video {
    fn at(&self, file: &str) -> String {
        format!("/v/{}/{file}", self.playback)
    }

    /// The id of its document.
    fn document(&self) -> &str {
        self.files.iter().find_map(|file| file.strip_prefix("documents/")).unwrap()
    }

    fn first(&self, end: &str) -> &str {
        let found = self.files.iter().find(|file| file.ends_with(end));
        found.unwrap_or_else(|| panic!("{end} is not among {:?}", self.files))
    }
}

/// Every text below `/v/` in a document.
fn addresses(document: &Value, found: &mut BTreeSet<String>) {
    match document {
        Value::String(text) if text.starts_with("/v/") => drop(found.insert(text.clone())),
        Value::Array(all) => all.iter().for_each(|one| addresses(one, found)),
        Value::Object(all) => all.values().for_each(|one| addresses(one, found)),
        _ => {}
    }
}

/// What there is of a video for those who ask with this before the path: nothing, or a token.
fn video(server: &str, prefix: &str, document: &Value) -> Video {
    let playback = document["playback"]["playback_id"].as_str().unwrap().to_owned();
    let mut found = BTreeSet::new();
    addresses(document, &mut found);
    let below = format!("/v/{playback}/");
    let mut files: BTreeSet<String> =
        found.iter().filter_map(|path| path.strip_prefix(&below)).map(str::to_owned).collect();
    files.extend(["master.m3u8", "manifest.mpd", "poster.jpg"].map(str::to_owned));
    let read = |file: &str| asked(server, &way(file, format!("{prefix}{below}{file}")));
    let (_, master) = m3u8_rs::parse_master_playlist(&read("master.m3u8").body).unwrap();
    let variants = master.variants.iter().map(|variant| variant.uri.clone());
    let others = master.alternatives.iter().filter_map(|alternative| alternative.uri.clone());
    for uri in variants.chain(others) {
        let folder = uri.rsplit_once('/').unwrap().0.to_owned();
        let (_, list) = m3u8_rs::parse_media_playlist(&read(&uri).body).unwrap();
        files
            .extend(list.segments.iter().filter_map(|segment| Some(format!("{folder}/{}", segment.map.as_ref()?.uri))));
        files.extend(list.segments.iter().map(|segment| format!("{folder}/{}", segment.uri)));
        files.insert(uri);
    }
    // What is there beside it, as the origin tells it.
    let beside: Value = serde_json::from_slice(&read("documents.json").body).unwrap();
    let beside = beside["documents"].as_array().unwrap();
    files.extend(beside.iter().map(|document| document["url"].as_str().unwrap().to_owned()));
    files.insert("documents.json".to_owned());
    let rendition = files.iter().find_map(|file| file.strip_suffix("p/playlist.m3u8").map(|file| format!("{file}p")));
    let name = rendition.unwrap().rsplit('/').next().unwrap().to_owned();
    files.extend([format!("{name}.mp4"), "master.m3u8?container=ts".into(), "master.m3u8?start=0&end=2".into()]);
    let files: Vec<String> = files.into_iter().filter(|file| read(file).status == 200).collect();
    let asset = document["id"].as_str().unwrap().to_owned();
    Video { asset, playback, files }
}

/// Each file, as anybody would ask for it.
fn plainly(video: &Video) -> Vec<Way> {
    video.files.iter().map(|file| way(format!("plainly {file}"), video.at(file))).collect()
}

/// Other spellings of a path, and other places of what lies behind it.
fn by_path(video: &Video, open: &Video) -> Vec<Way> {
    let (id, segment) = (&video.playback, video.first(".m4s"));
    let (asset, folder) = (&video.asset, segment.rsplit_once('/').unwrap().0);
    let document = video.document();
    let targets = [
        ("an encoded slash", format!("/v/{id}%2F{segment}")),
        ("an encoded slash twice", format!("/v/{id}%252F{segment}")),
        ("encoded letters", format!("/%76/{id}/{segment}")),
        ("an encoded id", format!("/v/%70{}/{segment}", &id[1..])),
        ("two slashes", format!("//v//{id}//{segment}")),
        ("a dot", format!("/v/./{id}/./{segment}")),
        ("up from an open one", format!("/v/{}/../{id}/{segment}", open.playback)),
        ("up from an open one, encoded", format!("/v/{}/%2e%2e/{id}/{segment}", open.playback)),
        ("up from an open one, encoded twice", format!("/v/{}/..%2f{id}%2f{segment}", open.playback)),
        ("up from a picture", format!("/v/{}/images/../../{id}/{segment}", open.playback)),
        ("backslashes", format!("/v/{}/..\\{id}\\{segment}", open.playback)),
        ("a semicolon", format!("/v/{id};x=y/{segment};x=y")),
        ("NUL", format!("/v/{id}/{segment}%00")),
        ("NUL and another end", format!("/v/{id}/{segment}%00.jpg")),
        ("a slash at the end", format!("/v/{id}/{segment}/")),
        ("capitals", format!("/V/{}/{segment}", id.to_uppercase())),
        ("blanks around", format!("/v/{id}%20/{segment}%20")),
        ("a fragment", format!("/v/{id}/{segment}#x")),
        ("the next generation", format!("/v/{id}/{}", segment.replacen("g1", "g2", 1))),
        ("generation zero", format!("/v/{id}/{}", segment.replacen("g1", "g0", 1))),
        ("the id of the asset", format!("/v/{asset}/{segment}")),
        ("the object of a segment", format!("/media/{asset}/1/{}", segment.trim_start_matches("g1/"))),
        ("the object below the origin", format!("/v/{id}/../../media/{asset}/1/{}", segment.trim_start_matches("g1/"))),
        ("the object of a document", format!("/documents/{asset}/{document}")),
        ("the object of a document below the origin", format!("/v/{id}/../../documents/{asset}/{document}")),
        ("a document by the id of the asset", format!("/v/{asset}/documents/{document}")),
        ("a document of another, open one", format!("/v/{}/documents/{document}", open.playback)),
        ("a document up from an open one", format!("/v/{}/documents/../../{id}/documents/{document}", open.playback)),
        ("a document up, encoded", format!("/v/{}/documents/..%2f..%2f{id}%2fdocuments%2f{document}", open.playback)),
        ("a document and another end", format!("/v/{id}/documents/{document}/x.pdf")),
        ("the folder of documents", format!("/v/{id}/documents/")),
        ("the documents by the API", format!("/api/v1/assets/{asset}/documents/{document}")),
        ("the source", format!("/sources/{asset}")),
        ("the source below the origin", format!("/v/{id}/sources/{asset}")),
        ("the pointer", format!("/current/{id}.json")),
        ("the pointer below the origin", format!("/v/current/{id}.json")),
        ("the presentation", format!("/presentations/{asset}/1-1.json")),
        ("a folder", format!("/v/{id}/{folder}/")),
        ("the database", "/v/../catalog.db".to_owned()),
        ("an absolute target", format!("http://media.example.org/v/{id}/{segment}")),
        ("an absolute target elsewhere", format!("http://127.0.0.1/v/{id}/{segment}")),
        ("the API", format!("/api/v1/assets/{asset}")),
        ("the uploads", format!("/uploads/{asset}")),
    ];
    targets.map(|(name, target)| way(name, target)).into()
}

/// What a client may say of itself.
fn by_header(video: &Video, open: &Video, tags: &[(String, String)]) -> Vec<Way> {
    let (segment, master) = (video.at(video.first(".m4s")), video.at("master.m3u8"));
    let document = video.at(&format!("documents/{}", video.document()));
    let mut ways: Vec<Way> = [
        "Range: bytes=0-",
        "Range: bytes=0-0",
        "Range: bytes=-16",
        "Range: bytes=0-1,4-5",
        "If-None-Match: *",
        "If-Match: *",
        "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT",
        "Origin: https://media.example.org",
        "Origin: null",
        "Referer: https://media.example.org/",
        "Host: 127.0.0.1",
        "Host: localhost",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost",
        "X-HTTP-Method-Override: HEAD",
        "Via: 1.1 headwater-edge",
        "CDN-Loop: headwater",
        "X-Headwater-Secret: anything",
        "Cookie: headwater=hws_anything",
        "Cookie: hdnts=exp=9999999999~acl=/*~hmac=00",
        "Cookie: CloudFront-Policy=x; CloudFront-Signature=y; CloudFront-Key-Pair-Id=z",
        "Authorization: Bearer hwk_anything",
        "Accept-Encoding: identity;q=0",
        "Cache-Control: only-if-cached",
        "Upgrade: h2c",
    ]
    .into_iter()
    .flat_map(|line| {
        let others = [("playlist", &master), ("document", &document)];
        let others = others.map(|(what, target)| way(format!("{line}, {what}"), target).with(line));
        std::iter::once(way(line, &segment).with(line)).chain(others)
    })
    .collect();
    for (file, tag) in tags {
        ways.push(way(format!("a known tag of {file}"), video.at(file)).with(format!("If-None-Match: {tag}")));
        ways.push(
            way(format!("a known tag and a range of {file}"), video.at(file))
                .with(format!("If-Range: {tag}"))
                .with("Range: bytes=0-3"),
        );
    }
    for line in ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"] {
        ways.push(way(line, "/v/nothing").with(format!("{line}: {segment}")));
    }
    for method in ["HEAD", "POST", "PUT", "DELETE", "PATCH", "get", "PROPFIND", "QUERY"] {
        ways.push(way(format!("by {method}"), &segment).by(method).with("Content-Length: 0"));
        ways.push(way(format!("a document by {method}"), &document).by(method).with("Content-Length: 0"));
    }
    let overridden = way("another method in a header", &segment).by("POST").with("Content-Length: 0");
    ways.push(overridden.with("X-HTTP-Method-Override: GET"));
    ways.push(way("two hosts", &segment).with("Host: a").with("Host: b"));
    ways.push(way("the host of another", open.at("nothing")).with(format!("Host: x{segment}")));
    for query in ["?container=ts", "?start=0&end=1", "?token=", "?_HLS_skip=YES", "?password=x", "?auth=1&admin=true"] {
        ways.push(way(format!("the query {query}"), format!("{master}{query}")));
    }
    ways
}

/// Tokens that open nothing here.
fn by_token(video: &Video, open: &Video) -> Vec<Way> {
    let (id, segment, now) = (&video.playback, video.first(".m4s"), now_s());
    let (right, others) = (good(id), good(&open.playback));
    let claims = format!("k={};e={};n={};p=/v/{id}/", KEY.0, now + 3600, now - 5);
    let (body, mac) = right.split_once('.').unwrap();
    let of = |claims: String| token(&claims, KEY.1);
    let jwt = |head: Value, mac: &str| {
        let claims = json!({ "sub": id, "aud": "v", "exp": now + 3600, "kid": KEY.0 });
        let coded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{mac}", coded(&head), coded(&claims))
    };
    let tokens = [
        ("of another video", others.clone()),
        ("over", of(format!("k={};e={};n={};p=/v/{id}/", KEY.0, now - 1, now - 60))),
        ("over for long", of(format!("k={};e=1;n=0;p=/v/{id}/", KEY.0))),
        ("not good yet", of(format!("k={};e={};n={};p=/v/{id}/", KEY.0, now + 3600, now + 600))),
        ("under another key", token(&claims, "another key of tokens")),
        ("under no key", token(&claims, "")),
        ("under a key of another name", of(claims.replace("k=k1", "k=k2"))),
        ("without the name of a key", of(claims.replace("k=k1;", ""))),
        ("without an end", of(format!("k={};n={};p=/v/{id}/", KEY.0, now - 5))),
        ("with an end that is no number", of(format!("k={};e=never;n=0;p=/v/{id}/", KEY.0))),
        ("with a huge end", of(format!("k={};e=99999999999999999999999;n=0;p=/v/{id}/", KEY.0))),
        ("without a path", of(format!("k={};e={};n={}", KEY.0, now + 3600, now - 5))),
        (
            "for a file whose name begins alike",
            of(claims.replace(&format!("p=/v/{id}/"), &format!("p=/v/{id}/{segment}x"))),
        ),
        ("for a folder whose name begins alike", of(claims.replace(&format!("p=/v/{id}/"), &format!("p=/v/{id}0/")))),
        ("for a path from elsewhere", of(claims.replace("p=/v/", "p=/x/v/"))),
        ("for a network elsewhere", of(format!("{claims};a=192.0.2.0/24"))),
        ("with a network that is none", of(format!("{claims};a=anything"))),
        ("without a signature", body.to_owned()),
        ("with an empty signature", format!("{body}.")),
        ("with half a signature", format!("{body}.{}", &mac[..mac.len() / 2])),
        ("with a longer signature", format!("{body}.{mac}AAAA")),
        ("with the signature of another", format!("{body}.{}", others.split_once('.').unwrap().1)),
        ("with other claims", format!("{}.{mac}", URL_SAFE_NO_PAD.encode(claims.replace("k1;e=", "k1;e=9")))),
        ("with a second path", format!("{}.{mac}", URL_SAFE_NO_PAD.encode(format!("{claims};p=/v/")))),
        ("of a reviewer, under another key", token(&format!("{claims};w=1"), "another key of tokens")),
        ("made a reviewer's", format!("{}.{mac}", URL_SAFE_NO_PAD.encode(format!("{claims};w=1")))),
        ("signed as plain text", format!("{claims}.{mac}")),
        ("by no rule", jwt(json!({ "alg": "none", "kid": KEY.0 }), "")),
        ("by HS256", jwt(json!({ "alg": "HS256", "kid": KEY.0 }), mac)),
        ("empty", String::new()),
        ("of dots", "..".to_owned()),
        ("of a hundred thousand letters", "a".repeat(6000)),
    ];
    let mut ways: Vec<Way> = tokens
        .into_iter()
        .flat_map(|(name, token)| {
            let document = format!("/t/{token}/v/{id}/documents/{}", video.document());
            [
                way(format!("a token {name}"), format!("/t/{token}/v/{id}/{segment}")),
                way(format!("a token {name}, for a document"), document),
            ]
        })
        .collect();
    ways.extend([
        way("two tokens, the right one of another video", format!("/t/{others}/t/{others}/v/{id}/{segment}")),
        way("a token of another video, and up", format!("/t/{others}/v/{}/../{id}/{segment}", open.playback)),
        way(
            "a token of another video, and up encoded",
            format!("/t/{others}/v/{}/%2e%2e/{id}/{segment}", open.playback),
        ),
        way("a token at a place where none is", format!("/v/{id}/t/{right}/{segment}")),
        way("a token in the query", format!("/v/{id}/{segment}?token={right}")),
        way("a token in a cookie", format!("/v/{id}/{segment}")).with(format!("Cookie: token={right}")),
        way("a token in a header", format!("/v/{id}/{segment}")).with(format!("Authorization: Bearer {right}")),
        way(
            "a signed address that is none",
            format!("/v/{id}/{segment}?Expires={}&Signature=x&Key-Pair-Id=k1", now + 60),
        ),
        way(
            "a token for a network, and a word of a proxy",
            format!("/t/{}/v/{id}/{segment}", of(format!("{claims};a=192.0.2.0/24"))),
        )
        .with("X-Forwarded-For: 192.0.2.7"),
    ]);
    ways
}

/// Passwords that are none.
fn by_password(video: &Video) -> Vec<Way> {
    let target = video.at(video.first(".m4s"));
    let document = video.at(&format!("documents/{}", video.document()));
    let coded = |text: &str| format!("Authorization: Basic {}", STANDARD.encode(text));
    let lines = [
        ("wrong", basic("open sesame")),
        ("empty", basic("")),
        ("without a colon", coded(PASSWORD)),
        ("as the name", coded(&format!("{PASSWORD}:"))),
        ("in capitals", basic(&PASSWORD.to_uppercase())),
        ("with a blank more", basic(&format!("{PASSWORD} "))),
        ("with NUL", basic(&format!("{PASSWORD}\0"))),
        ("the key of tokens", basic(KEY.1)),
        ("uncoded", format!("Authorization: Basic anybody:{PASSWORD}")),
        ("as a bearer's", format!("Authorization: Bearer {PASSWORD}")),
        ("for a proxy", basic(PASSWORD).replace("Authorization", "Proxy-Authorization")),
        ("in a cookie", format!("Cookie: password={}", STANDARD.encode(PASSWORD))),
    ];
    let ways = lines.into_iter().flat_map(|(name, line)| {
        [
            way(format!("a password, {name}"), &target).with(&line),
            way(format!("a password, {name}, for a document"), &document).with(&line),
        ]
    });
    ways.collect()
}

/// What is wrong with an answer to somebody who may not; nothing if it is a refusal.
fn fault(reply: &Reply, secrets: &[Vec<u8>]) -> Option<String> {
    // 400, 405, 406 and 414 refuse what nobody could be given, whoever asks, and 429 whoever guesses; 504 is what a cache that may not ask says.
    let may_not_ask = reply.status == 504 && reply.head.contains("detail=only-if-cached");
    if !may_not_ask && !matches!(reply.status, 400 | 401 | 403 | 404 | 405 | 406 | 414 | 429 | 431 | 501 | 505) {
        return Some(reply.head.clone());
    }
    let holds = |piece: &[u8]| reply.body.windows(piece.len()).any(|found| found == piece);
    if let Some(mark) = MARKS.iter().find(|mark| holds(mark)) {
        return Some(format!("{} {:?} in its body", reply.status, String::from_utf8_lossy(mark)));
    }
    secrets.iter().any(|piece| holds(piece)).then(|| format!("{} with octets of the media", reply.status))
}

/// The same over HTTP/2, as curl asks.
#[expect(clippy::disallowed_methods, reason = "a client that speaks HTTP/2 with prior knowledge")]
fn status_over_http2(server: &str, target: &str, lines: &[&str]) -> (u16, Vec<u8>) {
    let headers = lines.iter().flat_map(|line| ["--header", line]);
    let output = Command::new("curl")
        .args(["--silent", "--http2-prior-knowledge", "--path-as-is", "--write-out", "\n%{http_version} %{http_code}"])
        .args(headers)
        .arg(format!("http://{server}{target}"))
        .output()
        .unwrap();
    let end = output.stdout.iter().rposition(|byte| *byte == b'\n').unwrap();
    let told = String::from_utf8_lossy(&output.stdout[end + 1..]).into_owned();
    let (version, status) = told.split_once(' ').unwrap();
    assert_eq!(version, "2");
    (status.parse().unwrap(), output.stdout[..end].to_vec())
}

fn address(server: &Server) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_an_octet_of_what_they_may_not_play_and_everybody_else_plays() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let spec = ClipSpec { seconds: 2.0, audio: vec!["eng"], subtitles: vec!["eng"], ..ClipSpec::default() };
    let clip = media::clip(&spec);
    let owner = Guarded::start(&data, true);
    let admin = owner.set_up().await;
    let wanted = json!({ "name": "up", "scopes": ["uploads:create", "assets:read", "assets:write"] });
    let (_, key) = owner.post("/api/v1/me/api-keys", Some(&admin), &wanted).await;
    let upload = |clip: &Path| {
        let args = ["upload", text(clip), "--server", &owner.url, "--token", key["key"].as_str().unwrap(), "--wait"];
        let done = tokio::task::block_in_place(|| run(&args));
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    // The one that everybody may play is another film: of those that are private nothing is in it.
    let other = media::clip(&ClipSpec { seconds: 3.0, width: 480, height: 270, ..spec });
    let (mut documents, mut known) = (Vec::new(), BTreeSet::new());
    for clip in [&clip, &clip, &clip, &other] {
        upload(clip);
        let assets = owner.get("/api/v1/assets", &admin).await;
        let ids = assets["data"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap().to_owned());
        let id = ids.into_iter().find(|id| known.insert(id.clone())).unwrap();
        let document = owner.get(&format!("/api/v1/assets/{id}"), &admin).await;
        assert_eq!(document["state"], "ready", "{document}");
        let script = format!("The script of {id}, which is for those who may play it.\n").repeat(20);
        attach(&owner.url, key["key"].as_str().unwrap(), &id, &script).await;
        let master = document["playback"]["hls"].as_str().unwrap();
        let beside = format!("{}{}", owner.url, master.replace("master.m3u8", "documents.json"));
        until("the document is told of", || async {
            let told: Value = reqwest::get(&beside).await.unwrap().json().await.unwrap();
            told["documents"].as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
        documents.push(document);
    }
    let at = owner.url.trim_start_matches("http://").to_owned();
    let videos: Vec<Video> = documents.iter().map(|document| video(&at, "", document)).collect();
    drop(owner);
    let [signed, locked, sealed, open] = <[Video; 4]>::try_from(videos).unwrap_or_else(|_| panic!("four videos"));
    access(&data, &signed.playback, &["--policy", "signed"], "");
    access(&data, &locked.playback, &["--policy", "password"], PASSWORD);
    access(&data, &sealed.playback, &["--policy", "private", "--encrypt", "aes-128"], "");

    // Nothing but the store and the keys is left to decide by.
    let mut args = vec!["--roles", "origin", "--set", "database_url=postgres://nobody@127.0.0.1:1/none"];
    args.extend(SETTINGS.iter().flat_map(|setting| ["--set", *setting]));
    let origin = Server::start_with(&data, &args);
    let edge = Server::start_with(&temp.path().join("edge"), &["--roles", "origin", "--upstream", &origin.url]);
    let (origin, edge) = (&address(&origin), &address(&edge));

    tokio::task::block_in_place(|| {
        // Those who may play, first: whatever is remembered of them is remembered.
        let (mut secrets, mut tags, mut played) = (Vec::new(), Vec::new(), 0);
        let key = "keys/1/0".to_owned();
        // What is encrypted has other addresses than it had before.
        let clear = sealed.files;
        let sealed = video(origin, &format!("/t/{}", good(&sealed.playback)), &documents[2]);
        assert!(sealed.files.len() > 8, "{:?}", sealed.files);
        for (server, video, lines) in [
            (origin, &signed, vec![]),
            (origin, &locked, vec![basic(PASSWORD)]),
            (origin, &sealed, vec![]),
            (origin, &open, vec![]),
            (edge, &signed, vec![]),
            (edge, &locked, vec![basic(PASSWORD)]),
            (edge, &open, vec![]),
        ] {
            let is_sealed = video.playback == sealed.playback;
            for file in video.files.iter().chain(is_sealed.then_some(&key)) {
                let target = match lines.is_empty() && video.playback != open.playback {
                    true => format!("/t/{}{}", good(&video.playback), video.at(file)),
                    false => video.at(file),
                };
                let way = Way { lines: lines.clone(), ..way(file, target) };
                let reply = asked(server, &way);
                assert_eq!(reply.status, 200, "{file} of {}: {}", video.playback, reply.head);
                played += 1;
                if reply.body.len() > 200 && !file.contains("m3u8") {
                    let middle = reply.body.len() / 2;
                    secrets.push(reply.body[middle..middle + 48].to_vec());
                }
                if file.contains("keys/") {
                    secrets.push(reply.body.clone());
                }
                if video.playback == signed.playback && tags.len() < 6 {
                    let tag = reply
                        .head
                        .lines()
                        .find_map(|line| line.to_ascii_lowercase().starts_with("etag: ").then(|| line[6..].to_owned()));
                    tags.extend(tag.map(|tag| (file.clone(), tag)));
                }
            }
        }
        assert!(played > 60, "{played}");
        assert!(tags.len() == 6, "{tags:?}");
        // What lies in an open video is the same picture: only what others have is theirs to lose.
        let shown: Vec<Vec<u8>> = open.files.iter().map(|file| asked(origin, &way(file, open.at(file))).body).collect();
        secrets
            .retain(|piece| !shown.iter().any(|body| body.windows(piece.len()).any(|found| found == piece.as_slice())));

        assert!(secrets.len() > 20, "{} of {played} are theirs alone", secrets.len());

        let mut faults = Vec::new();
        let mut tried = BTreeSet::new();
        let gone: Vec<&String> = clear.iter().filter(|file| !sealed.files.contains(file)).collect();
        assert!(gone.iter().any(|file| file.ends_with(".m4s")), "{gone:?}");
        for video in [&signed, &locked, &sealed] {
            let mut ways = plainly(video);
            ways.push(way("the key", video.at(&key)));
            if video.playback == sealed.playback {
                let right = good(&video.playback);
                for file in &gone {
                    ways.push(way(format!("in clear {file}"), video.at(file)));
                    ways.push(way(format!("in clear, with a token, {file}"), format!("/t/{right}{}", video.at(file))));
                }
            }
            ways.extend(by_path(video, &open));
            ways.extend(by_header(video, &open, &tags));
            ways.extend(by_token(video, &open));
            ways.extend(by_password(video));
            for server in [origin, edge] {
                for way in &ways {
                    let reply = asked(server, way);
                    let fault = fault(&reply, &secrets);
                    faults.extend(fault.map(|fault| {
                        format!("{} of {}: {} {}: {fault}", way.name, video.playback, way.method, way.target)
                    }));
                    tried.insert(way.name.clone());
                }
                for (target, lines) in [
                    (video.at("master.m3u8"), vec![]),
                    (video.at(video.first(".m4s")), vec!["Range: bytes=0-9"]),
                    (format!("/t/{}{}", good(&open.playback), video.at(video.first(".m4s"))), vec![]),
                ] {
                    let (status, body) = status_over_http2(server, &target, &lines);
                    let reply = Reply { status, head: format!("HTTP/2 {status}"), body };
                    faults.extend(fault(&reply, &secrets).map(|fault| format!("HTTP/2 {target}: {fault}")));
                    tried.insert(format!("HTTP/2 {}", lines.len()));
                }
            }
        }
        assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), tried.len(), faults.join("\n"));
        assert!(tried.len() >= 150, "{} ways were tried", tried.len());
        println!("{} ways were tried at three videos, on the origin and through an edge", tried.len());
    });
}
