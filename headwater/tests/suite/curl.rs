//! curl, as a person types it: create, send, be told to wait, check, break off, go on.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::UploadId;
use fixtures::media;
use sha2::{Digest, Sha256};

use crate::clients::node_is_left_out;
use crate::harness::{Server, text};
use crate::torture::folder_store;
use crate::uploader::assert_exact;

/// What curl printed: the heads of all answers, and what it says of the transfer.
struct Told {
    heads: String,
    /// `%{http_code} %{size_upload}`
    status: u16,
    sent: usize,
}

impl Told {
    /// A header of the last answer.
    fn header(&self, name: &str) -> &str {
        let value = |line: &'_ str| {
            let (key, _) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(key.len() + 1)
        };
        let line = self.heads.lines().rev().find(|line| value(line).is_some());
        let line = line.unwrap_or_else(|| panic!("no {name} in {}", self.heads));
        line[value(line).unwrap()..].trim()
    }

    fn offset(&self) -> usize {
        self.header("upload-offset").parse().unwrap()
    }
}

/// `curl ARGS`, with `input` where an argument says `@-`.
#[expect(clippy::disallowed_methods, reason = "the test is about curl")]
fn curl(args: &[&str], input: &[u8]) -> Told {
    let mut child = Command::new("curl")
        .args(["--silent", "--show-error", "--output", "/dev/stderr", "--dump-header", "-"])
        .args(["--write-out", "\n%{http_code} %{size_upload}"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run curl: {error}"));
    // curl may have its answer before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let (heads, last) = printed.rsplit_once('\n').unwrap();
    let (status, sent) = last.split_once(' ').unwrap();
    Told { heads: heads.to_owned(), status: status.parse().unwrap(), sent: sent.parse().unwrap() }
}

struct Ground {
    temp: tempfile::TempDir,
    server: Server,
    bytes: Bytes,
}

const TUS: [&str; 2] = ["--header", "Tus-Resumable: 1.0.0"];
const TYPE: &str = "Content-Type: application/offset+octet-stream";

impl Ground {
    fn new(bytes: usize) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let server = Server::start_with(&temp.path().join("data"), &["--roles", "ingest,api"]);
        let bytes = Bytes::from(media::padded(bytes, 1));
        std::fs::write(temp.path().join("clip.mp4"), &bytes).unwrap();
        Self { temp, server, bytes }
    }

    fn file(&self) -> String {
        format!("@{}", text(&self.temp.path().join("clip.mp4")))
    }

    fn create(&self) -> String {
        let length = format!("Upload-Length: {}", self.bytes.len());
        let uploads = format!("{}/uploads", self.server.url);
        let told = curl(&[&TUS[..], &["--request", "POST", "--header", &length, &uploads]].concat(), &[]);
        assert_eq!(told.status, 201, "{}", told.heads);
        format!("{}{}", self.server.url, told.header("location"))
    }

    fn head(&self, url: &str) -> usize {
        let told = curl(&[&TUS[..], &["--head", url]].concat(), &[]);
        assert_eq!(told.status, 200, "{}", told.heads);
        told.offset()
    }

    async fn assert_arrived(self, url: &str) {
        let id: UploadId = url.rsplit('/').next().unwrap().parse().unwrap();
        let data = self.temp.path().join("data");
        self.server.kill();
        let catalog = format!("sqlite://{}", data.join("catalog.db").display());
        assert_exact(&catalog, folder_store(&data), &[(id, self.bytes)]).await;
    }
}

fn patch(url: &str, offset: usize, body: &str, more: &[&str], input: &[u8]) -> Told {
    let offset = format!("Upload-Offset: {offset}");
    let args = ["--request", "PATCH", "--header", TYPE, "--header", &offset, "--data-binary", body, url];
    curl(&[&TUS[..], &args, more].concat(), input)
}

#[tokio::test]
async fn curl_uploads_a_file_and_waits_to_be_told_to_go_on() {
    let ground = Ground::new(4 << 20);
    let url = ground.create();
    let told = patch(&url, 0, &ground.file(), &["--header", "Expect: 100-continue", "--expect100-timeout", "60"], &[]);
    assert!(told.heads.starts_with("HTTP/1.1 100 Continue"), "{}", told.heads);
    assert_eq!((told.status, told.offset()), (204, 4 << 20), "{}", told.heads);
    ground.assert_arrived(&url).await;
}

#[tokio::test]
async fn curl_learns_before_it_sends_a_byte_that_its_request_is_wrong() {
    let ground = Ground::new(4 << 20);
    let url = ground.create();
    let expect = ["--header", "Expect: 100-continue", "--expect100-timeout", "60"];
    let told = patch(&url, 77, &ground.file(), &expect, &[]);
    assert_eq!((told.status, told.sent), (409, 0), "{}", told.heads);
    let gone = format!("{}/uploads/upl_00000000000000000000000007", ground.server.url);
    let told = patch(&gone, 0, &ground.file(), &expect, &[]);
    assert_eq!((told.status, told.sent), (404, 0), "{}", told.heads);
    assert_eq!(ground.head(&url), 0);
}

#[tokio::test]
async fn curl_sends_a_checksum_and_a_wrong_one_keeps_nothing() {
    let ground = Ground::new(1 << 20);
    let url = ground.create();
    let of = |bytes: &[u8]| format!("Upload-Checksum: sha256 {}", STANDARD.encode(Sha256::digest(bytes)));
    let told = patch(&url, 0, &ground.file(), &["--header", &of(b"another file")], &[]);
    assert_eq!(told.status, 460, "{}", told.heads);
    assert_eq!(ground.head(&url), 0);
    let told = patch(&url, 0, &ground.file(), &["--header", &of(&ground.bytes)], &[]);
    assert_eq!((told.status, told.offset()), (204, 1 << 20), "{}", told.heads);
    ground.assert_arrived(&url).await;
}

/// curl cannot send trailers; Node can.
#[tokio::test]
async fn node_sends_a_checksum_as_a_trailer_and_a_wrong_one_keeps_nothing() {
    if node_is_left_out() {
        return;
    }
    let ground = Ground::new(1 << 20);
    let url = ground.create();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/trailer.mjs");
    let status = |checksum: &str| {
        #[expect(clippy::disallowed_methods, reason = "the test is about a client that sends trailers")]
        let output = Command::new("node").arg(&script).args([&url, &ground.file()[1..], checksum]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let of = |bytes: &[u8]| format!("sha256 {}", STANDARD.encode(Sha256::digest(bytes)));
    assert_eq!(status(&of(b"another file")), "460");
    assert_eq!(ground.head(&url), 0);
    assert_eq!(status(&of(&ground.bytes)), "204");
    ground.assert_arrived(&url).await;
}

#[tokio::test]
async fn curl_breaks_off_and_goes_on_where_the_server_stands() {
    let ground = Ground::new(8 << 20);
    let url = ground.create();
    let told = patch(&url, 0, &ground.file(), &["--limit-rate", "3M", "--max-time", "1"], &[]);
    assert!(told.status < 200, "the server answered before the end: {}", told.heads);
    let offset = ground.head(&url);
    assert!((1..8 << 20).contains(&offset), "{offset}");
    let told = patch(&url, offset, "@-", &[], &ground.bytes[offset..]);
    assert_eq!((told.status, told.offset()), (204, 8 << 20), "{}", told.heads);
    ground.assert_arrived(&url).await;
}

#[tokio::test]
async fn curl_uploads_in_one_request_of_the_ietf_draft_and_sees_where_it_could_resume() {
    for (version, line) in [("--http1.1", "HTTP/1.1 104"), ("--http2-prior-knowledge", "HTTP/2 104")] {
        let ground = Ground::new(2 << 20);
        let told = curl(
            &[
                version,
                "--header",
                "Upload-Draft-Interop-Version: 8",
                "--header",
                "Upload-Complete: ?1",
                "--header",
                "Content-Type: video/mp4",
                "--data-binary",
                &ground.file(),
                &format!("{}/uploads", ground.server.url),
            ],
            &[],
        );
        assert!((200..300).contains(&told.status), "{}", told.heads);
        assert!(told.heads.lines().any(|head| head.starts_with(line)), "{}", told.heads);
        let location = told.header("location").to_owned();
        assert_eq!(told.header("upload-complete"), "?1");
        ground.assert_arrived(&location).await;
    }
}
