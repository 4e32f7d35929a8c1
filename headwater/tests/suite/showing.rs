//! What is shown and when, as a player sees it through the real origin: schedules, the bin, reviews.

use std::time::SystemTime;

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Asked, Server};
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
    let answer = Client::new().request(method, format!("{}{path}", server.url)).json(&document).asked().await.unwrap();
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
    let deleted = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
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

#[tokio::test]
async fn a_reviewer_plays_what_is_submitted_and_nobody_else_does() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let settings = ["--set", "review=true"];
    let server = Server::start_with(&data, &settings);
    let (asset, hls) = shown(&server).await;
    ask(&server, reqwest::Method::PUT, &format!("{asset}/stage"), json!({ "stage": "submitted" })).await;
    until("it is withheld", || async { played(&server, &hls).await.is_none() }).await;

    let preview = ask(&server, reqwest::Method::POST, &format!("{asset}/preview"), Value::Null).await;
    let opened = preview["hls"].as_str().unwrap().to_owned();
    assert_eq!(opened, format!("{}{hls}", preview["prefix"].as_str().unwrap()));
    let whole = played(&server, &opened).await.expect("a reviewer plays it");
    let poster = hls.replace("master.m3u8", "poster.jpg");
    let answer = server.get(&opened.replace("master.m3u8", "poster.jpg")).await;
    assert_eq!((answer.status(), server.get(&poster).await.status()), (StatusCode::OK, StatusCode::NOT_FOUND));
    // What a reviewer was given stays with them: caches that many share keep none of it, nor does the origin.
    for file in ["master.m3u8", "poster.jpg"] {
        let answer = server.get(&opened.replace("master.m3u8", file)).await;
        let kept = answer.headers()["cache-control"].to_str().unwrap().to_owned();
        assert!(kept.starts_with("private") && !answer.headers().contains_key("cdn-cache-control"), "{file}: {kept}");
    }
    assert_eq!(played(&server, &hls).await, None, "it is for nobody else, also after it was played");

    // The ticket is for this asset alone, as it stands, and for as long as it says.
    let (other, other_hls) = shown(&server).await;
    ask(&server, reqwest::Method::PUT, &format!("{other}/stage"), json!({ "stage": "submitted" })).await;
    let prefix = preview["prefix"].as_str().unwrap();
    let claims = prefix.strip_prefix("/t/").unwrap().split_once('.').unwrap();
    for (name, path) in [
        ("another asset", format!("{prefix}{other_hls}")),
        ("another seal", format!("/t/{}.{}{hls}", claims.0, "A".repeat(claims.1.len()))),
        ("no seal", format!("/t/{}.{hls}", claims.0)),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }
    let ends = domain::Timestamp::from_rfc3339(preview["expires_at"].as_str().unwrap()).unwrap().unix_ms();
    assert!(ends > now_ms() + 14 * 60_000 && ends < now_ms() + 16 * 60_000, "{preview}");

    // What is in the bin is opened for nobody, and what is published plays without a ticket, and with one.
    for step in ["approved", "published"] {
        ask(&server, reqwest::Method::PUT, &format!("{asset}/stage"), json!({ "stage": step })).await;
    }
    until("it plays", || async { played(&server, &hls).await.is_some() }).await;
    assert_eq!(played(&server, &opened).await, Some(whole));

    // Without keys of the operator a ticket is good until the server ends.
    server.kill();
    let server = Server::start_with(&data, &settings);
    assert_eq!(server.get(&opened).await.status(), StatusCode::FORBIDDEN);
    let again = ask(&server, reqwest::Method::POST, &format!("{other}/preview"), Value::Null).await;
    assert!(played(&server, again["hls"].as_str().unwrap()).await.is_some());
}

#[tokio::test]
async fn origins_that_know_the_keys_of_the_operator_open_previews_and_others_do_not() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let keys = "token_keys=k1:a key of tokens which is long enough";
    let settings = ["--set", "review=true", "--set", "bin_retention_days=1", "--set", keys];
    let server = Server::start_with(&data, &settings);
    let (asset, hls) = shown(&server).await;
    let preview = ask(&server, reqwest::Method::POST, &format!("{asset}/preview"), Value::Null).await;
    let opened = preview["hls"].as_str().unwrap();
    assert!(played(&server, opened).await.is_some());
    server.kill();
    let server = Server::start_with(&data, &settings);
    assert!(played(&server, opened).await.is_some(), "the keys are the same");
    assert_eq!(played(&server, &hls).await, None);

    let deleted = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    let refused = Client::new().post(format!("{}{asset}/preview", server.url)).asked().await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "asset_not_ready");
}
