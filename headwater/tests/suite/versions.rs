//! Another source of an asset that plays, under the same address: put in its place, gone back from, refused, killed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Asked, Server, append, run, text};
use crate::server::{objects, until};

/// A clip of so many seconds: what is played tells by its length which one it is.
pub(crate) fn clip(seconds: u32) -> PathBuf {
    media::clip(&ClipSpec { seconds: f64::from(seconds), ..ClipSpec::default() })
}

/// Creates an upload that names the asset; its path.
async fn replacing(server: &Server, asset: &str, bytes: usize, name: &str) -> String {
    use base64::Engine as _;
    let code = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let id = asset.rsplit('/').next().unwrap();
    let create = Client::new().post(format!("{}/uploads", server.url)).header("tus-resumable", "1.0.0");
    let create = create.header("upload-length", bytes);
    let create = create.header("upload-metadata", format!("filename {},replaces {}", code(name), code(id)));
    let created = create.asked().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED, "{}", created.text().await.unwrap());
    assert_eq!(created.headers()["asset-location"], asset, "it is no new asset");
    created.headers()["location"].to_str().unwrap().to_owned()
}

/// Sends a whole file as the next version.
pub(crate) async fn replace(server: &Server, asset: &str, file: &Path) {
    let bytes = std::fs::read(file).unwrap();
    let upload = replacing(server, asset, bytes.len(), file.file_name().unwrap().to_str().unwrap()).await;
    let sent = append(&server.url, &upload, 0, bytes).await.unwrap();
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
}

pub(crate) async fn versions(server: &Server, asset: &str) -> Vec<Value> {
    server.json(&format!("{asset}/versions")).await["data"].as_array().unwrap().clone()
}

pub(crate) async fn state_of(server: &Server, asset: &str, version: u64) -> String {
    let all = versions(server, asset).await;
    let found = all.iter().find(|one| one["version"] == version);
    found.map_or_else(|| "gone".to_owned(), |one| one["state"].as_str().unwrap().to_owned())
}

/// What a player gets that begins now: how long it plays in seconds, rounded, and every octet of it.
pub(crate) async fn played(server: &Server, hls: &str) -> (String, BTreeMap<String, Vec<u8>>) {
    try_played(server, hls).await.unwrap_or_else(|gone| panic!("{gone} is named and not there"))
}

/// The same, or the address of which there is nothing any more.
pub(crate) async fn try_played(server: &Server, hls: &str) -> Result<(String, BTreeMap<String, Vec<u8>>), String> {
    let folder = hls.rsplit_once('/').unwrap().0;
    let (_, master) = m3u8_rs::parse_master_playlist(server.text(hls).await.as_bytes()).unwrap();
    let variant = master.variants.iter().find(|variant| !variant.is_i_frame).unwrap();
    let media = format!("{folder}/{}", variant.uri);
    let below = media.rsplit_once('/').unwrap().0.to_owned();
    let get = async |path: String| {
        let answer = server.get(&path).await;
        if answer.status() == StatusCode::NOT_FOUND {
            return Err(path);
        }
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        Ok(answer.bytes().await.unwrap().to_vec())
    };
    let (_, list) = m3u8_rs::parse_media_playlist(&get(media).await?).unwrap();
    assert!(list.end_list);
    let mut octets = BTreeMap::new();
    for segment in &list.segments {
        let path = format!("{below}/{}", segment.uri);
        octets.insert(path.clone(), get(path).await?);
    }
    let seconds: f32 = list.segments.iter().map(|segment| segment.duration).sum();
    Ok((format!("{seconds:.0}"), octets))
}

/// Waits until a player that begins now gets what plays for so long.
pub(crate) async fn until_played(server: &Server, hls: &str, seconds: u32) {
    let seconds = seconds.to_string();
    until(&format!("{seconds} s are played"), || async { played(server, hls).await.0 == seconds }).await;
}

#[tokio::test]
async fn a_source_is_replaced_and_gone_back_to_under_the_same_address() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let asset = server.upload(&clip(4)).await;
    let found = server.settled(&asset).await;
    let hls = found["playback"]["hls"].as_str().unwrap().to_owned();
    let (seconds, first) = played(&server, &hls).await;
    assert_eq!(seconds, "4");
    let only = versions(&server, &asset).await;
    assert_eq!((only.len(), &only[0]["is_in_force"], &only[0]["version"]), (1, &json!(true), &json!(1)));
    let text_of_a_person = "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:05,000 --> 00:00:06,000\nLate\n";
    let added = Client::new().post(format!("{}{asset}/subtitles?language=en", server.url)).body(text_of_a_person);
    assert_eq!(added.asked().await.unwrap().status(), StatusCode::CREATED);

    // Asked for as a capability, as a page without a token would.
    let place = Client::new().post(format!("{}{asset}/versions", server.url)).json(&json!({})).asked().await.unwrap();
    assert_eq!(place.status(), StatusCode::CREATED);
    let place: Value = place.json().await.unwrap();
    let bytes = std::fs::read(clip(7)).unwrap();
    let create = Client::new().post(format!("{}{}", server.url, place["url"].as_str().unwrap()));
    let create = create.header("tus-resumable", "1.0.0").header("upload-length", bytes.len());
    let created = create.asked().await.unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!(created.headers()["asset-location"], asset.as_str());
    let upload = created.headers()["location"].to_str().unwrap().to_owned();
    let half = bytes.len() / 2;
    append(&server.url, &upload, 0, bytes[..half].to_vec()).await.unwrap();
    assert_eq!(state_of(&server, &asset, 2).await, "uploading");
    assert_eq!(played(&server, &hls).await, ("4".to_owned(), first.clone()), "the old one plays meanwhile");
    append(&server.url, &upload, half, bytes[half..].to_vec()).await.unwrap();
    until_played(&server, &hls, 7).await;
    let shown = server.json(&asset).await;
    assert_eq!(
        (&shown["version"], &shown["duration"], &shown["state"]),
        (&json!(2), &json!("00:00:07"), &json!("ready"))
    );
    assert_eq!(shown["playback"]["hls"], hls.as_str());
    let (_, second) = played(&server, &hls).await;
    for (path, octets) in &first {
        assert_eq!(
            &server.get(path).await.bytes().await.unwrap().to_vec(),
            octets,
            "a player that began before: {path}"
        );
    }
    let subtitles = shown["subtitles"].as_array().unwrap();
    assert!(subtitles.iter().any(|one| one["state"] == "ready"), "{subtitles:?}");

    let back = Client::new().post(format!("{}{asset}/versions/1/restore", server.url)).asked().await.unwrap();
    assert_eq!(back.status(), StatusCode::OK);
    let back: Value = back.json().await.unwrap();
    assert_eq!((&back["version"], &back["is_in_force"]), (&json!(1), &json!(true)));
    until_played(&server, &hls, 4).await;
    assert_eq!(played(&server, &hls).await.1, first, "not an octet of it is made anew");
    let forth = Client::new().post(format!("{}{asset}/versions/2/restore", server.url)).asked().await.unwrap();
    assert_eq!(forth.status(), StatusCode::OK);
    until_played(&server, &hls, 7).await;
    assert_eq!(played(&server, &hls).await.1, second);
    let again = Client::new().post(format!("{}{asset}/versions/2/restore", server.url)).asked().await.unwrap();
    assert_eq!(again.status(), StatusCode::CONFLICT);
    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

    let deleted = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert!(deleted.status().is_success());
    until("no object is left", || async { objects(&data.join("media")).is_empty() }).await;
}

#[tokio::test]
async fn a_source_that_cannot_be_used_leaves_the_one_in_force() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &["--set", "upload_types=*/*"]);
    let asset = server.upload(&clip(4)).await;
    let hls = server.settled(&asset).await["playback"]["hls"].as_str().unwrap().to_owned();
    let before = played(&server, &hls).await;
    let letter = temp.path().join("letter.mp4");
    std::fs::write(&letter, "this is no video\n".repeat(1000)).unwrap();
    let bytes = std::fs::read(&letter).unwrap();
    let upload = replacing(&server, &asset, bytes.len(), "letter.mp4").await;
    append(&server.url, &upload, 0, bytes).await;
    until("the failure is told", || async { state_of(&server, &asset, 2).await == "failed" }).await;
    let failed = versions(&server, &asset).await;
    assert!(failed[0]["failure"]["message"].as_str().is_some(), "{failed:?}");
    let shown = server.json(&asset).await;
    assert_eq!((&shown["state"], &shown["version"], &shown["failure"]), (&json!("ready"), &json!(1), &Value::Null));
    assert_eq!(played(&server, &hls).await, before);
    until("nothing of it is left", || async { objects(&data.join("media/sources")).len() == 1 }).await;
    // What is given up before its end leaves nothing but the old one.
    let upload = replacing(&server, &asset, 1000, "given-up.mp4").await;
    let ended = Client::new().delete(format!("{}{upload}", server.url)).header("tus-resumable", "1.0.0");
    assert_eq!(ended.asked().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(versions(&server, &asset).await.len(), 1);
    assert_eq!(played(&server, &hls).await, before);
}

#[tokio::test]
async fn a_subtitle_that_does_not_fit_one_version_comes_back_with_another() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let asset = server.upload(&clip(4)).await;
    let hls = server.settled(&asset).await["playback"]["hls"].as_str().unwrap().to_owned();
    let srt = "1\n00:00:05,000 --> 00:00:06,000\nBehind the fourth second\n";
    let added = Client::new().post(format!("{}{asset}/subtitles?language=en&name=Late", server.url)).body(srt);
    let added: Value = added.asked().await.unwrap().json().await.unwrap();
    let text = format!("{asset}/subtitles/{}", added["id"].as_str().unwrap());
    let stands = |state: &'static str, is_listed: bool| {
        let (server, text, hls) = (&server, &text, &hls);
        move || async move {
            let shown = server.json(text).await;
            shown["state"] == state && server.text(hls).await.contains("NAME=\"Late\"") == is_listed
        }
    };
    until("it is set aside", stands("unusable", false)).await;
    let reason = server.json(&text).await["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("begin after the end"), "{reason}");
    replace(&server, &asset, &clip(7)).await;
    until_played(&server, &hls, 7).await;
    until("it is shown with the longer one", stands("ready", true)).await;
    let found = server.json(&format!("{asset}/search?q=fourth")).await;
    let parts = found["data"][0]["parts"].as_array().unwrap();
    let said: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(said, "Behind the fourth second");
    for (version, seconds, state) in [(1, 4, "unusable"), (2, 7, "ready")] {
        let turn =
            Client::new().post(format!("{}{asset}/versions/{version}/restore", server.url)).asked().await.unwrap();
        assert_eq!(turn.status(), StatusCode::OK);
        until_played(&server, &hls, seconds).await;
        until("it goes with the version", stands(state, state == "ready")).await;
    }
}

#[tokio::test]
async fn a_server_that_is_killed_between_versions_goes_on_and_keeps_two_of_them() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    // Players have as little time as can be set, so that what is surplus goes while this looks.
    let settings = ["--set", "retire_after_s=60", "--set", "keep_versions=2"];
    let mut server = Server::start_with(&data, &settings);
    let asset = server.upload(&clip(4)).await;
    let hls = server.settled(&asset).await["playback"]["hls"].as_str().unwrap().to_owned();
    for (version, seconds) in [(2, 7), (3, 5)] {
        replace(&server, &asset, &clip(seconds)).await;
        // Anywhere in its processing.
        server.kill();
        server = Server::start_with(&data, &settings);
        until_played(&server, &hls, seconds).await;
        assert_eq!(state_of(&server, &asset, version).await, "ready");
        server.kill();
        server = Server::start_with(&data, &settings);
    }
    until("the first one is gone", || async { state_of(&server, &asset, 1).await == "gone" }).await;
    assert_eq!(objects(&data.join("media/sources")).len(), 2);
    let gone = Client::new().post(format!("{}{asset}/versions/1/restore", server.url)).asked().await.unwrap();
    assert_eq!(gone.status(), StatusCode::CONFLICT);
    let back = Client::new().post(format!("{}{asset}/versions/2/restore", server.url)).asked().await.unwrap();
    assert_eq!(back.status(), StatusCode::OK);
    // What was answered survives, and is shown by whoever comes next.
    server.kill();
    let server = Server::start_with(&data, &settings);
    until_played(&server, &hls, 7).await;
    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}
