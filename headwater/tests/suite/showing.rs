//! What is shown and when, as a player sees it through the real origin: schedules, the bin, reviews.

use std::time::SystemTime;

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;
use crate::server::until;

/// A server with an asset that is ready; its path in the API and its playlist.
async fn shown(server: &Server) -> (String, String) {
    let clip = media::clip(&ClipSpec { seconds: 3.0, ..ClipSpec::default() });
    let asset = server.upload(&clip).await;
    let found = server.settled(&asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    let hls = found["playback"]["hls"].as_str().unwrap().to_owned();
    (asset, hls)
}

/// Everything that a player fetches; `None` if it is told that there is nothing.
async fn played(server: &Server, hls: &str) -> Option<Vec<Vec<u8>>> {
    let folder = hls.rsplit_once('/').unwrap().0;
    let master = fetched(server, hls).await?;
    let (_, master) = m3u8_rs::parse_master_playlist(&master).unwrap();
    let media = format!("{folder}/{}", master.variants.iter().find(|one| !one.is_i_frame).unwrap().uri);
    let list = fetched(server, &media).await?;
    let below = media.rsplit_once('/').unwrap().0.to_owned();
    let (_, list) = m3u8_rs::parse_media_playlist(&list).unwrap();
    let mut octets = Vec::new();
    for segment in &list.segments {
        octets.push(fetched(server, &format!("{below}/{}", segment.uri)).await?);
    }
    Some(octets)
}

async fn fetched(server: &Server, path: &str) -> Option<Vec<u8>> {
    let answer = server.get(path).await;
    match answer.status() {
        StatusCode::OK => Some(answer.bytes().await.unwrap().to_vec()),
        StatusCode::NOT_FOUND => None,
        other => panic!("{other} for {path}"),
    }
}

async fn ask(server: &Server, method: reqwest::Method, path: &str, document: Value) -> Value {
    let answer = Client::new().request(method, format!("{}{path}", server.url)).json(&document).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{status} {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[expect(clippy::disallowed_methods, reason = "the schedule is held against the clock that the server has")]
fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn rfc3339(unix_ms: i64) -> String {
    domain::Timestamp::from_unix_ms(unix_ms).rfc3339()
}

#[tokio::test]
async fn a_scheduled_asset_appears_and_disappears_at_its_times() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let (asset, hls) = shown(&server).await;
    let whole = played(&server, &hls).await.unwrap();
    let schedule = format!("{asset}/schedule");
    let hour = 3_600_000;
    ask(&server, reqwest::Method::PUT, &schedule, json!({ "publish_at": rfc3339(now_ms() + hour) })).await;
    until("it is withheld", || async { played(&server, &hls).await.is_none() }).await;
    let refused = server.get(&hls).await.json::<Value>().await.unwrap();
    assert_eq!(refused["code"], "not_available");

    let publish_at = now_ms() + 3_000;
    ask(&server, reqwest::Method::PUT, &schedule, json!({ "publish_at": rfc3339(publish_at) })).await;
    until("it appears", || async {
        let found = played(&server, &hls).await;
        // Whoever got it asked when its time had come.
        assert!(found.is_none() || now_ms() >= publish_at, "it was played before its time");
        found.is_some()
    })
    .await;
    assert_eq!(played(&server, &hls).await.unwrap(), whole);

    let expire_at = now_ms() + 4_000;
    let window = json!({ "publish_at": rfc3339(publish_at), "expire_at": rfc3339(expire_at) });
    ask(&server, reqwest::Method::PUT, &schedule, window).await;
    until("it disappears", || async {
        let asked_at = now_ms();
        let found = server.get(&hls).await;
        assert!(found.status() == StatusCode::NOT_FOUND || asked_at < expire_at, "it was played after its time");
        found.status() == StatusCode::NOT_FOUND
    })
    .await;
    assert!(now_ms() + 1_000 >= expire_at, "it disappeared before its time, seconds apart");
    assert_eq!(played(&server, &hls).await, None);
    ask(&server, reqwest::Method::DELETE, &schedule, json!({})).await;
    until("it is shown again", || async { played(&server, &hls).await.is_some() }).await;
}

#[tokio::test]
async fn a_binned_asset_stops_and_plays_again_under_the_same_address_once_it_is_restored() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let settings = ["--set", "bin_retention_days=1"];
    let server = Server::start_with(&data, &settings);
    let (asset, hls) = shown(&server).await;
    let whole = played(&server, &hls).await.unwrap();
    let deleted = Client::new().delete(format!("{}{asset}", server.url)).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    until("it stops", || async { played(&server, &hls).await.is_none() }).await;
    // A server that was killed meanwhile does not show it either.
    server.kill();
    let server = Server::start_with(&data, &settings);
    assert_eq!(played(&server, &hls).await, None);
    assert_eq!(server.json("/api/v1/bin").await["data"].as_array().unwrap().len(), 1);
    ask(&server, reqwest::Method::POST, &format!("{asset}/restore"), json!({})).await;
    until("it plays again", || async { played(&server, &hls).await.is_some() }).await;
    assert_eq!(played(&server, &hls).await.unwrap(), whole);
}

#[tokio::test]
async fn what_has_to_be_reviewed_does_not_play_before_it_is_approved_and_published() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &["--set", "review=true"]);
    let (asset, hls) = shown(&server).await;
    assert_eq!(server.json(&asset).await["stage"], "draft");
    assert_eq!(played(&server, &hls).await, None);
    let stage = format!("{asset}/stage");
    for step in ["submitted", "approved"] {
        ask(&server, reqwest::Method::PUT, &stage, json!({ "stage": step })).await;
        assert_eq!(played(&server, &hls).await, None, "{step} is not played");
    }
    ask(&server, reqwest::Method::PUT, &stage, json!({ "stage": "published" })).await;
    until("it plays", || async { played(&server, &hls).await.is_some() }).await;
    ask(&server, reqwest::Method::PUT, &stage, json!({ "stage": "archived" })).await;
    until("it stops", || async { played(&server, &hls).await.is_none() }).await;
}
