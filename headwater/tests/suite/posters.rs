//! The poster that somebody chooses, as a page shows it: by a moment, by a picture, over another output, and taken back.

use std::path::{Path, PathBuf};

use fixtures::media::{self, ClipSpec, Picture};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Asked, Server, run, text};
use crate::server::{objects, until};

/// Pictures that differ from moment to moment.
fn clip() -> PathBuf {
    media::clip(&ClipSpec { seconds: 6.0, picture: Picture::Scenes, ..ClipSpec::default() })
}

/// What is shown at a path: its entity-tag and its octets.
async fn picture(server: &Server, path: &str) -> (String, Vec<u8>) {
    let answer = server.get(path).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    assert_eq!(answer.headers()["content-type"], "image/jpeg");
    let tag = answer.headers()["etag"].to_str().unwrap().to_owned();
    (tag, answer.bytes().await.unwrap().to_vec())
}

/// Width and height of a JPEG, from its frame header.
fn size(jpeg: &[u8]) -> (u16, u16) {
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("a frame");
    let number = |at: usize| u16::from_be_bytes([jpeg[frame + at], jpeg[frame + at + 1]]);
    (number(7), number(5))
}

async fn choose(server: &Server, asset: &str, wanted: Option<reqwest::Body>, is_json: bool) -> Value {
    let url = format!("{}{asset}/poster", server.url);
    let request = match wanted {
        None => Client::new().delete(url),
        Some(body) if is_json => Client::new().put(url).header("content-type", "application/json").body(body),
        Some(body) => Client::new().put(url).header("content-type", "image/jpeg").body(body),
    };
    let answer = request.asked().await.unwrap();
    let (status, told) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{told}");
    serde_json::from_str(&told).unwrap()
}

async fn until_published(server: &Server, asset: &str) -> Value {
    let poster = format!("{asset}/poster");
    until("the poster is published", || async { server.json(&poster).await["is_published"] == true }).await;
    server.json(&poster).await
}

fn verified(data: &Path, asset: &str) {
    let output = run(&["verify", asset, "--data-dir", text(data)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Files below the media of all generations that somebody chose as posters.
fn chosen(data: &Path) -> Vec<String> {
    let all = objects(&data.join("media/media"));
    let names = all.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("poster-")).collect()
}

#[tokio::test]
async fn a_poster_is_chosen_kept_over_another_output_and_given_back() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let asset = server.upload(&clip()).await;
    let ready = server.settled(&asset).await;
    assert_eq!(ready["state"], "ready", "{ready}");
    let id = ready["id"].as_str().unwrap();
    let stays = format!("{}/poster.jpg", ready["playback"]["hls"].as_str().unwrap().rsplit_once('/').unwrap().0);
    let scored = picture(&server, &stays).await;
    assert_eq!(picture(&server, ready["playback"]["poster"].as_str().unwrap()).await.1, scored.1);
    let shown = server.json(&format!("{asset}/poster")).await;
    assert_eq!((&shown["source"], &shown["is_published"]), (&json!("scored"), &json!(true)));
    assert_eq!(shown["candidates"].as_array().unwrap().len(), 10);
    let last = shown["candidates"][9].clone();

    // A moment: another picture under the same address, as large and so as sharp as the scored one.
    let wished = json!({ "time_s": last["time_s"] });
    let told = choose(&server, &asset, Some(wished.to_string().into()), true).await;
    assert_eq!((&told["source"], &told["time_s"]), (&json!("time"), &last["time_s"]));
    let published = until_published(&server, &asset).await;
    until("the address shows it", || async { picture(&server, &stays).await.0 != scored.0 }).await;
    let moment = picture(&server, &stays).await;
    assert_eq!(size(&moment.1), size(&scored.1));
    assert_eq!(picture(&server, published["poster"].as_str().unwrap()).await, moment);
    let playback = server.json(&asset).await["playback"].clone();
    assert_eq!(playback["poster"], published["poster"]);
    assert_ne!(playback["thumbhash"], ready["playback"]["thumbhash"]);
    assert_eq!(picture(&server, ready["playback"]["poster"].as_str().unwrap()).await, scored, "the other one stays");
    assert_eq!(chosen(&data).len(), 1);
    verified(&data, id);

    // A picture that is sent, of another size.
    let sent = picture(&server, last["thumbnail"].as_str().unwrap()).await.1;
    assert_eq!(choose(&server, &asset, Some(sent.clone().into()), false).await["source"], "picture");
    let published = until_published(&server, &asset).await;
    until("the address shows it", || async { size(&picture(&server, &stays).await.1) == size(&sent) }).await;
    let of_sent = picture(&server, &stays).await;
    until("the one before is removed", || async { chosen(&data).len() == 1 }).await;
    verified(&data, id);

    // Another output shows it too.
    let begun = Client::new().post(format!("{}{asset}/reprocess", server.url)).asked().await.unwrap();
    assert_eq!(begun.status(), StatusCode::ACCEPTED, "{}", begun.text().await.unwrap());
    until("the other output is in force", || async { server.json(&asset).await["generation"] == 2 }).await;
    let again = until_published(&server, &asset).await;
    assert!(again["poster"].as_str().unwrap().contains("/g2/") && again["poster"] != published["poster"], "{again}");
    until("the pointer follows", || async { picture(&server, again["poster"].as_str().unwrap()).await == of_sent })
        .await;
    assert_eq!(picture(&server, &stays).await, of_sent);

    // Back to the scored one; nothing of the others is left among what is in force, nor of what was sent.
    assert_eq!(choose(&server, &asset, None, true).await["source"], "scored");
    let last = until_published(&server, &asset).await;
    assert!(last["poster"].as_str().unwrap().ends_with("/poster.jpg"));
    until("the address shows it", || async { size(&picture(&server, &stays).await.1) == size(&scored.1) }).await;
    until("what was sent is gone", || async { objects(&data.join("media/posters")).is_empty() }).await;
    verified(&data, id);

    let removed = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    until("nothing is left", || async { objects(&data.join("media/media")).is_empty() }).await;
}

#[tokio::test]
async fn a_poster_that_is_wished_for_before_there_is_anything_to_see_is_there_from_the_start() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let asset = server.upload(&clip()).await;
    choose(&server, &asset, Some(json!({ "time_s": 1.0 }).to_string().into()), true).await;
    // Killed in the middle: the wish stays.
    server.kill();
    let server = Server::start(&data);
    let ready = server.settled(&asset).await;
    assert_eq!(ready["state"], "ready", "{ready}");
    let published = until_published(&server, &asset).await;
    assert!(published["poster"].as_str().unwrap().ends_with("/poster-1000.jpg"), "{published}");
    assert!(picture(&server, published["poster"].as_str().unwrap()).await.1.len() > 1000);
    verified(&data, ready["id"].as_str().unwrap());

    let url = format!("{}{asset}/poster", server.url);
    let refused = |body: &'static str, kind: &'static str| {
        let request = Client::new().put(&url).header("content-type", kind).body(body);
        async move { request.asked().await.unwrap().json::<Value>().await.unwrap()["code"].as_str().unwrap().to_owned() }
    };
    assert_eq!(refused(r#"{"time_s":60}"#, "application/json").await, "invalid_body");
    assert_eq!(refused(r#"{"time_s":"now"}"#, "application/json").await, "invalid_body");
    assert_eq!(refused("no picture", "image/png").await, "picture_unknown");
    assert_eq!(server.json(&format!("{asset}/poster")).await["poster"], published["poster"]);
}
