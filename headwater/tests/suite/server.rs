//! One server from its first line to its last, as uploaders, viewers and operators meet it.

use std::time::{Duration, Instant};

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};

use crate::harness::{self, Asked, Server, run, text};

fn clip() -> std::path::PathBuf {
    media::clip(&ClipSpec {
        seconds: 5.0,
        audio: vec!["eng", "fra"],
        subtitles: vec!["eng"],
        chapters: 2,
        ..ClipSpec::default()
    })
}

#[tokio::test]
async fn a_file_goes_in_and_plays_back_until_it_is_deleted() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let asset = server.upload(&clip()).await;
    let found = server.settled(&asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    assert_eq!(found["duration"], "00:00:05");
    assert_eq!(found["has_subtitles"], true);
    assert_eq!(found["audio_languages"], serde_json::json!(["en", "fr"]));
    assert_eq!(found["chapters"].as_array().unwrap().len(), 2);

    let master = found["playback"]["hls"].as_str().unwrap().to_owned();
    let served = played(&server, &master).await;
    assert!(served >= 6, "only {served} segments");

    let deleted = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.status());
    until("the playlist is gone", || async { server.get(&master).await.status() == StatusCode::NOT_FOUND }).await;
    until("no object is left", || async { objects(&temp.path().join("data/media")).is_empty() }).await;
}

#[tokio::test]
async fn a_server_that_asks_nobody_for_a_name_does_nothing_for_pages_of_others() {
    const APP: &str = "https://app.example.org";
    let temp = tempfile::tempdir().unwrap();
    let args = ["--set", &format!("api_origins={APP}"), "--set", "public_url=https://media.example.org"];
    let server = Server::start_with(&temp.path().join("data"), &args);
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Client::new().request(method.parse().unwrap(), format!("{}{path}", server.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.asked().await.unwrap();
        let (status, is_strict) = (answer.status(), answer.headers().contains_key("strict-transport-security"));
        let is_shown = answer.headers().contains_key("access-control-allow-origin");
        let body: serde_json::Value = answer.json().await.unwrap_or_default();
        (status.as_u16(), body["code"].as_str().unwrap_or_default().to_owned(), is_strict, is_shown)
    };
    let evil = ("origin", "https://evil.example");
    for (method, path) in [
        ("POST", "/uploads"),
        ("POST", "/api/v1/collections"),
        ("DELETE", "/api/v1/assets/ast_x"),
        ("POST", "/api/v1/imports"),
        ("POST", "/api/videos/upload/"),
    ] {
        let (status, code, _, is_shown) = ask(method, path, &[evil]).await;
        assert_eq!((status, code.as_str()), (403, "cross_origin"), "{method} {path}");
        assert_eq!(is_shown, path.contains("upload"), "a page may read why its upload is refused: {path}");
        assert_eq!(ask(method, path, &[("sec-fetch-site", "cross-site")]).await.0, 403, "{method} {path}");
        for own in [&[][..], &[("origin", APP)], &[("origin", &server.url)], &[("sec-fetch-site", "same-origin")]] {
            assert_ne!(ask(method, path, own).await.1, "cross_origin", "{method} {path} {own:?}");
        }
    }
    assert_eq!(ask("GET", "/api/v1/assets", &[evil]).await.0, 200, "what it reads no browser shows to the page");
    let tunnelled = [evil, ("x-http-method-override", "DELETE")];
    assert_eq!(ask("GET", "/uploads/upl_x", &tunnelled).await.1, "cross_origin");
    let other = ("host", "evil.example");
    for path in ["/api/v1/assets", "/api/v1/events", "/uploads/upl_x", "/api/v1/openapi.json"] {
        assert_eq!(ask("GET", path, &[other]).await.1, "unknown_host", "{path}");
        assert_ne!(ask("HEAD", path, &[("host", "media.example.org")]).await.0, 403, "{path}");
    }
    for path in ["/healthz", "/metrics", "/", "/v/plb_x/master.m3u8"] {
        let (status, code, is_strict, _) = ask("GET", path, &[other, evil]).await;
        assert!(status != 403 && code != "unknown_host", "{path}: {status}");
        assert_eq!(is_strict, !path.starts_with("/v/"), "people reach it over TLS: {path}");
    }
}

#[tokio::test]
async fn on_postgres_and_s3_the_worker_runs_apart_from_the_front() {
    let temp = tempfile::tempdir().unwrap();
    let s3 = fixtures::services::s3();
    let settings = [
        format!("database_url={}", fixtures::services::postgres_url()),
        format!("storage_url={}", s3.url),
        format!("storage_access_key={}", s3.access_key),
        format!("storage_secret_key={}", s3.secret_key),
        "secret_key=a key of the tests, of 32 characters and more".to_owned(),
    ];
    let with_roles = |roles: &'static str| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        settings.chain(["--roles", roles]).collect::<Vec<_>>()
    };
    let front = Server::start_with(&temp.path().join("front"), &with_roles("ingest,api,origin"));
    let worker = Server::start_with(&temp.path().join("worker"), &with_roles("worker"));
    let asset = front.upload(&clip()).await;
    let found = front.settled(&asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    drop(worker);
    let master = found["playback"]["hls"].as_str().unwrap().to_owned();
    assert!(played(&front, &master).await >= 6);
}

/// Fetches every playlist and every segment; how many segments there were.
async fn played(server: &Server, master: &str) -> usize {
    let folder = master.rsplit_once('/').unwrap().0;
    let (_, playlist) = m3u8_rs::parse_master_playlist(server.text(master).await.as_bytes()).unwrap();
    let variants = playlist.variants.iter().filter(|variant| !variant.is_i_frame).map(|variant| variant.uri.clone());
    let others = playlist.alternatives.iter().filter_map(|alternative| alternative.uri.clone());
    let mut segments = 0;
    for uri in variants.chain(others) {
        let media = format!("{folder}/{uri}");
        let (below, _) = media.rsplit_once('/').unwrap();
        let (_, list) = m3u8_rs::parse_media_playlist(server.text(&media).await.as_bytes()).unwrap();
        assert!(list.end_list, "{uri}");
        if let Some(map) = &list.segments[0].map {
            assert_eq!(server.get(&format!("{below}/{}", map.uri)).await.status(), StatusCode::OK);
        }
        for segment in &list.segments {
            let answer = server.get(&format!("{below}/{}", segment.uri)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{below}/{}", segment.uri);
            assert!(!answer.bytes().await.unwrap().is_empty());
            segments += 1;
        }
    }
    segments
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < harness::PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every file below a folder.
pub(crate) fn objects(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_operator_sees_health_numbers_and_pages() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    assert_eq!(server.json("/healthz").await["status"], "ok");
    assert_eq!(server.json("/readyz").await["parts"]["database"], "ok");
    assert_eq!(server.json("/readyz").await["parts"]["storage"], "ok");
    let page = server.get("/watch/plb_x").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("worker-src 'self' blob:"));
    assert_eq!(page.headers()["cache-control"], "no-cache");
    assert!(page.text().await.unwrap().contains("<html"));
    assert_eq!(server.get("/no/such/page").await.status(), StatusCode::NOT_FOUND);
    let numbers = server.text("/metrics").await;
    for series in [
        "headwater_http_requests_total{route=\"page\"",
        "headwater_jobs_running 0",
        "headwater_encode_session_seconds_total",
    ] {
        assert!(numbers.contains(series), "{series} is missing in\n{numbers}");
    }
}

#[tokio::test]
async fn clients_of_other_platforms_find_what_they_know() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let client = Client::new();
    let create = client.post(format!("{}/api/videos/upload/", server.url)).header("tus-resumable", "1.0.0");
    let created = create.header("upload-length", "5").asked().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    assert!(created.headers()["location"].to_str().unwrap().starts_with("/uploads/"));
    let listed = server.get("/api/movies/?limit=1").await;
    assert_eq!(listed.headers()["deprecation"], "@1795910400");
    assert_eq!(listed.headers()["link"], "</api/v1/assets>; rel=\"successor-version\"");
    let page: serde_json::Value = listed.json().await.unwrap();
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    let one: serde_json::Value = server.get(&format!("/api/videos/{id}/")).await.json().await.unwrap();
    assert_eq!(one["id"], id.as_str());
    let missing = server.get("/api/videos/ast_00000000000000000000000000/").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/nothing/").await.status(), StatusCode::NOT_FOUND);
    let viewer = server.get("/api/docs").await;
    assert!(viewer.status().is_success() && viewer.text().await.unwrap().contains("<html"));
    // Which methods a path takes is said before its body is looked at.
    let with_body = client.get(format!("{}/api/v1/auth/login", server.url)).body("{}").asked().await.unwrap();
    assert_eq!(with_body.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn every_answer_carries_a_request_id_and_a_foreign_one_only_if_harmless() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    for path in ["/healthz", "/", "/api/v1/assets", "/v/plb_x/master.m3u8", "/uploads/upl_x"] {
        let asked = Client::new().get(format!("{}{path}", server.url)).header("x-request-id", "mine-1");
        let answer = asked.asked().await.unwrap();
        assert_eq!(answer.headers()["x-request-id"], "mine-1", "{path}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(server.get(path).await.headers()["x-request-id"].len(), 32, "{path}");
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_shown_the_door() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "header_timeout_s=1"]);
    let address = server.url.strip_prefix("http://").unwrap();
    for dribble in [&b""[..], b"P", b"GET / HTTP/1.1\r\nHost:"] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(dribble).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open after {dribble:?}");
    }
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_a_killed_one_is_not_in_the_way() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let refused = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("in use by another headwater process"), "{told}");
    server.kill();
    Server::start(&data);
}

#[tokio::test]
async fn a_stop_lets_the_answer_in_flight_finish_and_takes_nothing_new() {
    let temp = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&temp.path().join("data"), &["--set", "shutdown_deadline_s=30"]);
    let upload = harness::create(&server.url, 4, "slow.mp4").await.unwrap();
    let (sender, body) = futures::channel::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(4);
    let mut sender = sender;
    let sent = Client::new()
        .patch(format!("{}{}", server.url, upload.path))
        .header("tus-resumable", "1.0.0")
        .header("upload-offset", "0")
        .header("content-type", "application/offset+octet-stream")
        .body(reqwest::Body::wrap_stream(body))
        .asked();
    let (answer, ()) = tokio::join!(sent, async {
        sender.try_send(Ok(b"ab".to_vec())).unwrap();
        until("the first half is durable", || async {
            objects(&temp.path().join("data/uploads"))
                .iter()
                .any(|file| std::fs::metadata(file).is_ok_and(|file| file.len() == 2))
        })
        .await;
        server.terminate();
        let address = server.url.strip_prefix("http://").unwrap().to_owned();
        until("nothing new is taken", || async { tokio::net::TcpStream::connect(&address).await.is_err() }).await;
        // The server may have ended the body by itself: what it has is kept, the rest can be sent later.
        let _ = sender.try_send(Ok(b"cd".to_vec()));
        sender.close_channel();
    });
    // Whether the upload was let finish or told to come back: the uploader got an answer, and no byte is lost.
    let answer = answer.unwrap();
    assert!(matches!(answer.status().as_u16(), 204 | 503), "{}", answer.status());
    assert_eq!(server.ended().code(), Some(0));
    let again = Server::start(&temp.path().join("data"));
    assert!(harness::offset(&again.url, &upload.path).await.unwrap() >= 2);
}

#[tokio::test]
async fn an_open_event_stream_does_not_hold_up_a_stop() {
    let temp = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(&temp.path().join("data"), &["--set", "shutdown_deadline_s=200"]);
    let stream = server.get("/api/v1/events").await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    server.terminate();
    assert_eq!(server.ended().code(), Some(0));
}

#[tokio::test]
async fn a_role_that_is_not_played_answers_so() {
    let temp = tempfile::tempdir().unwrap();
    let unreachable = ["--roles", "origin", "--set", "database_url=postgres://nobody@127.0.0.1:1/none"];
    let server = Server::start_with(&temp.path().join("data"), &unreachable);
    assert_eq!(server.get("/readyz").await.status(), StatusCode::OK, "an origin needs no database");
    let answer = server.json("/api/v1/assets").await;
    assert_eq!(answer["code"], "role_not_played");
    assert_eq!(server.get("/v/plb_00000000000000000000000007/master.m3u8").await.status(), StatusCode::NOT_FOUND);
}
