//! Files that are refused before they are complete, by the real engine in its cage.

use std::time::{Duration, Instant};

use fixtures::media::{self, ClipSpec};
use serde_json::Value;

use crate::harness::{self, Asked, Server, append, create};

/// What is sent of each file before it is judged.
const FIRST_BYTES: usize = 3 << 19;

/// 30 s at two megabits a second: far more than the first octets hold.
fn film(container: &'static str, extra_args: Vec<&'static str>) -> Vec<u8> {
    let mut spec = ClipSpec { seconds: 30.0, width: 640, height: 360, container, extra_args, ..ClipSpec::default() };
    spec.video_args.extend([
        "-b:v",
        "2M",
        "-minrate",
        "2M",
        "-maxrate",
        "2M",
        "-bufsize",
        "2M",
        "-x264-params",
        "nal-hrd=cbr",
    ]);
    spec.video_args.retain(|arg| !matches!(*arg, "-crf" | "20"));
    let film = std::fs::read(media::clip(&spec)).unwrap();
    assert!(film.len() > 2 * FIRST_BYTES, "{container}: {}", film.len());
    film
}

/// The asset's state after the first octets of a film, as soon as it is not `uploading` or the look is over.
async fn judged(server: &Server, film: &[u8]) -> (harness::Upload, Value) {
    let upload = create(&server.url, film.len(), "film").await.unwrap();
    let sent = append(&server.url, &upload.path, 0, film[..FIRST_BYTES].to_vec()).await.unwrap();
    assert!(sent.status() == 204 || sent.status() == 413, "{}", sent.status());
    let begun = Instant::now();
    // Ends with the look, or with the test.
    loop {
        let status = status(server, &upload.path).await;
        let is_closing = status["head"] == "refused" && status["state"] == "open";
        if !is_closing && !matches!(status["head"].as_str(), Some("not_seen_yet" | "being_looked_at")) {
            return (upload, status);
        }
        assert!(begun.elapsed() < harness::PATIENCE, "{status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn status(server: &Server, upload: &str) -> Value {
    let asked = reqwest::Client::new().get(format!("{}{upload}", server.url)).header("accept", "application/json");
    asked.asked().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_film_that_is_too_long_is_refused_after_its_first_octets() {
    let temp = tempfile::tempdir().unwrap();
    let films = [
        ("mp4", film("mp4", vec!["-movflags", "+faststart"]), "10"),
        // Its first octets play for less than this: what its head says counts.
        ("matroska", film("mkv", vec![]), "20"),
        // The look begins somewhere behind the first MiB, which plays for three seconds and a half.
        ("fragmented mp4", film("mp4", vec!["-movflags", "frag_keyframe+empty_moov"]), "1"),
        ("transport stream", film("ts", vec![]), "1"),
    ];
    for (name, film, seconds) in &films {
        let limit = format!("source_duration_s_max={seconds}");
        let server = Server::start_with(&temp.path().join(name.replace(' ', "-")), &["--set", &limit]);
        let (upload, status) = judged(&server, film).await;
        assert_eq!(
            (status["state"].as_str(), status["head"].as_str()),
            (Some("refused"), Some("refused")),
            "{name}: {status}"
        );
        let asset = server.json(&upload.asset).await;
        assert_eq!(
            (asset["state"].as_str(), asset["failure"]["code"].as_str()),
            (Some("failed"), Some("limit_exceeded"))
        );
        let reason = asset["failure"]["message"].as_str().unwrap();
        assert!(reason.contains("the file plays for"), "{name}: {reason}");
        // The answer comes before the body is read, and reaches the client all the same.
        let rest = append(&server.url, &upload.path, FIRST_BYTES, film[FIRST_BYTES..].to_vec()).await.unwrap();
        assert_eq!(rest.status(), 410, "{name}");
        let problem: Value = rest.json().await.unwrap();
        assert_eq!((problem["code"].as_str(), problem["detail"].as_str()), (Some("upload_refused"), Some(reason)));
        let numbers = server.text("/metrics").await;
        assert!(numbers.contains("headwater_upload_refusals_total{code=\"upload_refused\"} 1"), "{numbers}");
    }
}

#[tokio::test]
async fn a_picture_that_is_too_large_is_refused_after_its_first_octets() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "source_pixels_max=230399"]);
    for film in [film("mp4", vec!["-movflags", "+faststart"]), film("mkv", vec![]), film("ts", vec![])] {
        let (upload, status) = judged(&server, &film).await;
        assert_eq!(status["state"], "refused", "{status}");
        let asset = server.json(&upload.asset).await;
        assert!(asset["failure"]["message"].as_str().unwrap().contains("640x360"), "{asset}");
    }
}

#[tokio::test]
async fn a_film_within_its_limits_is_looked_at_and_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "source_duration_s_max=31"]);
    let film = film("mp4", vec!["-movflags", "+faststart"]);
    let (upload, status) = judged(&server, &film).await;
    assert_eq!((status["state"].as_str(), status["head"].as_str()), (Some("open"), Some("fine")), "{status}");
    let rest = append(&server.url, &upload.path, FIRST_BYTES, film[FIRST_BYTES..].to_vec()).await.unwrap();
    assert_eq!(rest.status(), 204);
    assert_eq!(server.settled(&upload.asset).await["state"], "ready");
}

#[tokio::test]
async fn tokens_of_the_configuration_guard_uploads_and_imports() {
    let temp = tempfile::tempdir().unwrap();
    let tokens = "upload_tokens=ada:a-token-of-sixteen-characters";
    let server = Server::start_with(&temp.path().join("data"), &["--set", tokens]);
    let client = reqwest::Client::new();
    let document = r#"{"url":"http://127.0.0.1:9/film.mp4"}"#;
    for (path, body) in [("/uploads", ""), ("/api/v1/imports", document), ("/api/v1/upload-grants", "{}")] {
        let asked = || {
            let request = client.post(format!("{}{path}", server.url)).header("tus-resumable", "1.0.0");
            request.header("upload-length", "5").header("content-type", "application/json").body(body)
        };
        let refused = asked().asked().await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), refused.headers()["www-authenticate"].to_str().unwrap()),
            (401, "Bearer")
        );
        let answer = asked().bearer_auth("a-token-of-sixteen-characters").asked().await.unwrap();
        // The address is private, so the import is refused for another reason.
        assert_eq!(answer.status(), if path.ends_with("imports") { 422 } else { 201 }, "{path}");
    }
}
