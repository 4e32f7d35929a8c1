//! Clients that other people wrote, against a running server: tus-js-client, tuspy, curl and Node's own HTTP.
//!
//! Each test runs the real program and looks at what arrived. A program that is missing is a failure; only Node may be
//! left out, where `make test` says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use domain::UploadId;
use fixtures::media;
use serde_json::{Value, json};

use crate::harness::{Server, text};
use crate::torture::folder_store;
use crate::uploader::assert_exact;

/// Two and a half chunks of 8 MiB.
const FILE_BYTES: usize = 20 << 20;
const CHUNK_BYTES: usize = 8 << 20;

/// A server, a file for it, and a place for what clients remember.
struct Ground {
    temp: tempfile::TempDir,
    server: Server,
    file: PathBuf,
    bytes: Bytes,
}

impl Ground {
    fn new(bytes: usize) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let server = Server::start_with(&temp.path().join("data"), &["--roles", "ingest,api"]);
        let bytes = Bytes::from(media::padded(bytes, bytes as u64));
        let file = temp.path().join("clip.mp4");
        std::fs::write(&file, &bytes).unwrap();
        Self { temp, server, file, bytes }
    }

    fn path(&self, name: &str) -> String {
        self.temp.path().join(name).display().to_string()
    }

    /// The upload at this URL became an asset with exactly the file's bytes, and nothing else did.
    async fn assert_arrived(self, url: &str) {
        let id: UploadId = url.rsplit('/').next().unwrap().parse().unwrap();
        let data = self.temp.path().join("data");
        self.server.kill();
        let catalog = format!("sqlite://{}", data.join("catalog.db").display());
        assert_exact(&catalog, folder_store(&data), &[(id, self.bytes)]).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests run other people's programs")]
fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap_or_else(|error| panic!("cannot run {program}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "tools/test.sh says where the virtual environment is")]
fn tuspy_python() -> String {
    std::env::var("HEADWATER_TEST_TUSPY").expect("HEADWATER_TEST_TUSPY is not set: run through `make test`")
}

/// `make test` says so where there is no Node.
#[expect(clippy::disallowed_methods, reason = "the test is told what the machine lacks")]
pub(crate) fn node_is_left_out() -> bool {
    std::env::var("HEADWATER_TEST_NODE").is_ok_and(|value| value == "skip")
}

fn in_repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).display().to_string()
}

/// What a script reports on its last line.
fn reported(output: &Output) -> Value {
    let words = || format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8_lossy(&output.stdout).lines().last().map(str::to_owned);
    let line = line.unwrap_or_else(|| panic!("no report: {}", words()));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {}", words()))
}

/// Uploads with tus-js-client; options as web/e2e/tus.mjs has them.
fn tus_js(ground: &Ground, options: &Value) -> Value {
    let script = in_repository("web/e2e/tus.mjs");
    let output = run("node", &[&script, &ground.server.url, text(&ground.file), &options.to_string()]);
    let report = reported(&output);
    let is_expected = output.status.success() || report["died"].is_number();
    assert!(is_expected, "{report} {}", String::from_utf8_lossy(&output.stderr));
    report
}

/// How many requests of this method were made.
fn count(report: &Value, method: &str) -> usize {
    report["requests"].as_array().unwrap().iter().filter(|request| request["method"] == method).count()
}

async fn check_tus_js(options: Value, posts: usize, patches: usize) {
    if node_is_left_out() {
        return;
    }
    let ground = Ground::new(FILE_BYTES);
    let report = tus_js(&ground, &options);
    assert_eq!((count(&report, "POST"), count(&report, "PATCH")), (posts, patches), "{report}");
    ground.assert_arrived(report["url"].as_str().unwrap()).await;
}

#[tokio::test]
async fn tus_js_client_uploads_a_whole_file() {
    check_tus_js(json!({}), 1, 1).await;
}

#[tokio::test]
async fn tus_js_client_uploads_in_chunks_of_8_mib() {
    check_tus_js(json!({ "chunkSize": CHUNK_BYTES }), 1, 3).await;
}

#[tokio::test]
async fn tus_js_client_uploads_four_parts_in_parallel() {
    check_tus_js(json!({ "parallelUploads": 4 }), 5, 4).await;
}

#[tokio::test]
async fn tus_js_client_sends_data_with_the_creation() {
    check_tus_js(json!({ "uploadDataDuringCreation": true }), 1, 0).await;
}

#[tokio::test]
async fn tus_js_client_sends_data_with_the_creation_and_goes_on_in_chunks() {
    check_tus_js(json!({ "uploadDataDuringCreation": true, "chunkSize": CHUNK_BYTES }), 1, 2).await;
}

#[tokio::test]
async fn tus_js_client_sends_a_stream_of_unknown_length() {
    check_tus_js(json!({ "stream": true, "chunkSize": CHUNK_BYTES }), 1, 3).await;
}

/// Kills the client behind its first chunk and starts it again.
async fn check_tus_js_resumes(protocol: Option<&str>) {
    if node_is_left_out() {
        return;
    }
    let ground = Ground::new(FILE_BYTES);
    let mut options = json!({ "chunkSize": CHUNK_BYTES, "memory": ground.path("memory.json") });
    if let Some(protocol) = protocol {
        options["protocol"] = protocol.into();
    }
    let mut mortal = options.clone();
    mortal["dieAt"] = CHUNK_BYTES.into();
    assert_eq!(tus_js(&ground, &mortal)["died"], CHUNK_BYTES);
    let report = tus_js(&ground, &options);
    assert_eq!((count(&report, "POST"), count(&report, "HEAD")), (0, 1), "{report}");
    // The client sends its next chunk while it is told of the last: more than that one may have arrived.
    let resumed_from = report["resumedFrom"].as_u64().unwrap();
    assert!(resumed_from >= CHUNK_BYTES as u64, "{report}");
    ground.assert_arrived(report["url"].as_str().unwrap()).await;
}

#[tokio::test]
async fn tus_js_client_resumes_after_a_restart_of_the_client() {
    check_tus_js_resumes(None).await;
}

#[tokio::test]
async fn tus_js_client_speaks_ietf_draft_03() {
    check_tus_js(json!({ "protocol": "ietf-draft-03" }), 1, 1).await;
}

#[tokio::test]
async fn tus_js_client_speaks_ietf_draft_03_in_chunks() {
    check_tus_js(json!({ "protocol": "ietf-draft-03", "chunkSize": CHUNK_BYTES }), 1, 3).await;
}

#[tokio::test]
async fn tus_js_client_speaks_ietf_draft_05() {
    check_tus_js(json!({ "protocol": "ietf-draft-05" }), 1, 1).await;
}

#[tokio::test]
async fn tus_js_client_speaks_ietf_draft_05_with_data_at_creation() {
    let options = json!({ "protocol": "ietf-draft-05", "chunkSize": CHUNK_BYTES, "uploadDataDuringCreation": true });
    check_tus_js(options, 1, 2).await;
}

#[tokio::test]
async fn tus_js_client_resumes_in_ietf_draft_03_and_05() {
    check_tus_js_resumes(Some("ietf-draft-03")).await;
    check_tus_js_resumes(Some("ietf-draft-05")).await;
}

fn tuspy(ground: &Ground, options: &Value) -> Value {
    let script = in_repository("headwater/tests/clients/tuspy_upload.py");
    let output = run(&tuspy_python(), &[&script, &ground.server.url, text(&ground.file), &options.to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    reported(&output)
}

#[tokio::test]
async fn tuspy_uploads_a_whole_file_without_metadata() {
    let ground = Ground::new(FILE_BYTES);
    let report = tuspy(&ground, &json!({}));
    assert_eq!(report["offset"], FILE_BYTES);
    ground.assert_arrived(report["url"].as_str().unwrap()).await;
}

#[tokio::test]
async fn tuspy_uploads_chunks_with_checksums_and_metadata() {
    let ground = Ground::new(FILE_BYTES);
    let options = json!({ "chunk_size": 3 << 20, "upload_checksum": true, "metadata": { "filename": "Fähre 1.mp4", "empty": "" } });
    let report = tuspy(&ground, &options);
    ground.assert_arrived(report["url"].as_str().unwrap()).await;
}

#[tokio::test]
async fn tuspy_resumes_after_a_restart_of_the_client() {
    let ground = Ground::new(FILE_BYTES);
    let mut options = json!({ "chunk_size": 3 << 20, "memory": ground.path("memory.json") });
    options["stop_at"] = json!(7 << 20);
    let first = tuspy(&ground, &options);
    options["stop_at"] = Value::Null;
    let second = tuspy(&ground, &options);
    assert_eq!((&second["url"], &second["resumed_from"]), (&first["url"], &first["offset"]));
    assert!(second["resumed_from"].as_u64().unwrap() >= 7 << 20, "{second}");
    ground.assert_arrived(second["url"].as_str().unwrap()).await;
}
