//! Subtitle files and chapters that are added through the API, as a player sees them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fixtures::media::{self, ClipSpec};
use m3u8_rs::{AlternativeMediaType, MasterPlaylist};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::check;
use crate::harness::{self, Asked, Server, run, text};
use crate::server::{objects, until};

/// "Где ты был вчера вечером?" in windows-1251, from 1 s to 3 s; a cue after the end; one without times.
const SRT: &[u8] = b"1\r\n00:00:01,000 --> 00:00:03,000\r\n<i>\xc3\xe4\xe5</i> \xf2\xfb \xe1\xfb\xeb \
    \xe2\xf7\xe5\xf0\xe0 \xe2\xe5\xf7\xe5\xf0\xee\xec?\r\n\r\n2\r\n00:09:00,000 --> 00:09:01,000\r\n\xd2\xfb\r\n\r\n\
    3\r\n00:00:bad --> 00:00:04,000\r\n\xff\r\n";

fn clip() -> PathBuf {
    media::clip(&ClipSpec { seconds: 5.0, subtitles: vec!["eng"], chapters: 2, ..ClipSpec::default() })
}

async fn master(server: &Server, hls: &str) -> MasterPlaylist {
    let text = server.text(hls).await;
    m3u8_rs::parse_master_playlist(text.as_bytes()).unwrap().1
}

/// Address of the media playlist of a subtitle track by its name.
async fn track(server: &Server, hls: &str, name: &str) -> Option<String> {
    let folder = hls.rsplit_once('/').unwrap().0;
    let tracks = master(server, hls).await.alternatives.into_iter();
    let mut tracks = tracks.filter(|track| track.media_type == AlternativeMediaType::Subtitles);
    tracks.find(|track| track.name == name).map(|track| format!("{folder}/{}", track.uri.unwrap()))
}

/// The text of all segments of a subtitle track.
async fn cues(server: &Server, playlist: &str) -> String {
    let folder = playlist.rsplit_once('/').unwrap().0;
    let list = m3u8_rs::parse_media_playlist(server.text(playlist).await.as_bytes()).unwrap().1;
    let mut text = String::new();
    for segment in &list.segments {
        text += &server.text(&format!("{folder}/{}", segment.uri)).await;
    }
    text
}

/// Entity-tags of every playlist and segment of picture and sound.
async fn tags(server: &Server, hls: &str) -> BTreeMap<String, String> {
    let folder = hls.rsplit_once('/').unwrap().0;
    let master = master(server, hls).await;
    let variants = master.variants.into_iter().map(|variant| variant.uri);
    let sounds = master.alternatives.into_iter().filter(|track| track.media_type == AlternativeMediaType::Audio);
    let mut tags = BTreeMap::new();
    for uri in variants.chain(sounds.filter_map(|track| track.uri)) {
        let playlist = format!("{folder}/{uri}");
        let below = playlist.rsplit_once('/').unwrap().0.to_owned();
        let list = m3u8_rs::parse_media_playlist(server.text(&playlist).await.as_bytes()).unwrap().1;
        let segments = list.segments.iter().map(|segment| format!("{below}/{}", segment.uri));
        for address in segments.chain([format!("{below}/init.mp4"), playlist.clone()]) {
            let answer = server.get(&address).await;
            assert_eq!(answer.status(), StatusCode::OK, "{address}");
            tags.insert(address, answer.headers()["etag"].to_str().unwrap().to_owned());
        }
    }
    tags
}

async fn add(server: &Server, asset: &str, query: &str, file: &'static [u8]) -> Value {
    let added =
        Client::new().post(format!("{}{asset}/subtitles?{query}", server.url)).body(file).asked().await.unwrap();
    assert_eq!(added.status(), StatusCode::CREATED);
    added.json().await.unwrap()
}

#[tokio::test]
async fn subtitles_are_added_to_a_ready_asset_and_removed_without_touching_its_picture() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let asset = server.upload(&clip()).await;
    let ready = server.settled(&asset).await;
    assert_eq!(ready["state"], "ready", "{ready}");
    let hls = ready["playback"]["hls"].as_str().unwrap().to_owned();
    let before = tags(&server, &hls).await;
    let files = objects(&temp.path().join("data/media/texts"));
    assert!(files.is_empty());

    let added = add(&server, &asset, "language=rus&name=Signs&default=true", SRT).await;
    let address = format!("{asset}/subtitles/{}", added["id"].as_str().unwrap());
    until("the file is read", || async { server.json(&address).await["state"] != "waiting" }).await;
    let shown = server.json(&address).await;
    assert_eq!(shown["state"], "ready", "{shown}");
    assert_eq!((&shown["report"]["charset"], &shown["format"]), (&json!("windows-1251"), &json!("srt")));
    let counts = ["cues", "dropped", "outside"].map(|field| shown["report"][field].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(1)]);

    until("the track is listed", || async { track(&server, &hls, "Signs").await.is_some() }).await;
    let playlist = track(&server, &hls, "Signs").await.unwrap();
    assert!(server.text(&hls).await.contains("NAME=\"Signs\",LANGUAGE=\"ru\",DEFAULT=YES"));
    let text = cues(&server, &playlist).await;
    assert!(text.contains("00:00:01.000 --> 00:00:03.000\n<i>Где</i> ты был вчера вечером?\n"), "{text}");
    assert_eq!(tags(&server, &hls).await, before, "picture and sound are the same");
    assert!(track(&server, &hls, "English").await.is_some(), "the file's own track stays");

    let removed = Client::new().delete(format!("{}{address}", server.url)).asked().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    until("the track is gone", || async { track(&server, &hls, "Signs").await.is_none() }).await;
    let text_objects = || objects(&temp.path().join("data/media/texts"));
    until("its objects are gone", || async { text_objects().is_empty() }).await;
    until("its segments are gone", || async { server.get(&playlist).await.status() == StatusCode::NOT_FOUND }).await;
    assert_eq!(tags(&server, &hls).await, before);
}

#[tokio::test]
async fn chapters_are_set_removed_and_given_back_while_the_asset_is_ready() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let asset = server.upload(&clip()).await;
    let ready = server.settled(&asset).await;
    let folder = ready["playback"]["hls"].as_str().unwrap().rsplit_once('/').unwrap().0.to_owned();
    let chapters = format!("{}{asset}/chapters", server.url);
    let served = || async { server.text(&format!("{folder}/chapters.vtt")).await };
    let own = served().await;
    assert_eq!(own.matches("-->").count(), 2);

    let wanted = json!({ "chapters": [{ "start_seconds": 1.5, "title": "Middle <b>" }] });
    let set = Client::new().put(&chapters).json(&wanted).asked().await.unwrap();
    assert_eq!(set.status(), StatusCode::OK);
    let expected = "WEBVTT\n\n1\n00:00:01.500 --> 00:00:05.000\nMiddle &lt;b&gt;\n";
    until("they are served", || async { served().await == expected }).await;

    let none = Client::new().put(&chapters).json(&json!({ "chapters": [] })).asked().await.unwrap();
    assert_eq!(none.status(), StatusCode::OK);
    until("there are none", || async { served().await == "WEBVTT\n" }).await;
    let given_back = Client::new().delete(&chapters).asked().await.unwrap();
    assert_eq!(given_back.status(), StatusCode::NO_CONTENT);
    until("the file's own are back", || async { served().await == own }).await;
}

#[tokio::test]
async fn markers_are_date_ranges_in_playlists_that_break_no_rule() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let asset = server.upload(&clip()).await;
    let ready = server.settled(&asset).await;
    let hls = ready["playback"]["hls"].as_str().unwrap().to_owned();
    let before = tags(&server, &hls).await;
    let master = master(&server, &hls).await;
    let playlist = format!("{}/{}", hls.rsplit_once('/').unwrap().0, master.variants[0].uri);
    let markers = format!("{}{asset}/markers", server.url);
    let wanted = json!({ "markers": [
        { "id": "goal", "start_seconds": 1.5, "duration_seconds": 2, "attributes": { "X-ORG-EXAMPLE": "one, two" } },
    ] });
    let set = Client::new().put(&markers).json(&wanted).asked().await.unwrap();
    assert_eq!(set.status(), StatusCode::OK);
    let expected =
        "#EXT-X-DATERANGE:ID=\"goal\",START-DATE=\"2000-01-01T00:00:01.500Z\",DURATION=2,X-ORG-EXAMPLE=\"one, two\"\n";
    until("they are served", || async { server.text(&playlist).await.contains(expected) }).await;
    let judged = run(&["validate", &format!("{}{hls}", server.url)]);
    assert_eq!(judged.status.code(), Some(0), "{}", String::from_utf8_lossy(&judged.stdout));

    let removed = Client::new().delete(&markers).asked().await.unwrap();
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    until("they are gone", || async { !server.text(&playlist).await.contains("DATE") }).await;
    assert_eq!(tags(&server, &hls).await, before, "nothing else has changed");
}

#[tokio::test]
async fn subtitles_added_before_the_upload_is_complete_are_there_from_the_start() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let bytes = std::fs::read(clip()).unwrap();
    let upload = harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap();
    let added = add(&server, &upload.asset, "language=ru", SRT).await;
    assert_eq!(added["state"], "waiting");
    harness::append(&server.url, &upload.path, 0, bytes).await.unwrap();
    let ready = server.settled(&upload.asset).await;
    assert_eq!((&ready["state"], &ready["subtitle_languages"]), (&json!("ready"), &json!(["en", "ru"])));
    let hls = ready["playback"]["hls"].as_str().unwrap();
    until("the track is listed", || async { track(&server, hls, "русский").await.is_some() }).await;

    let deleted = Client::new().delete(format!("{}{}", server.url, upload.asset)).asked().await.unwrap();
    assert!(deleted.status().is_success());
    until("no object is left", || async { objects(&temp.path().join("data/media")).is_empty() }).await;
}

#[test]
fn a_static_folder_has_the_subtitles_that_were_given_beside_the_file() {
    let temp = tempfile::tempdir().unwrap();
    let (out, file, noise) = (temp.path().join("out"), temp.path().join("signs.srt"), temp.path().join("noise.srt"));
    std::fs::write(&file, SRT).unwrap();
    std::fs::write(&noise, "no subtitles").unwrap();
    let (file, noise) = (format!("{}:rus", text(&file)), text(&noise).to_owned());
    let source = clip();
    let given = ["--subtitles", &file, "--subtitles", &noise];
    let done = run(&[&["transcode", text(&source), "-o", text(&out)], &given[..]].concat());
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{told}");
    assert!(told.contains("signs.srt: 1 subtitles shown, 2 left out, the first in line 10:"), "{told}");
    assert!(told.contains("noise.srt: left out: the file is neither SubRip"), "{told}");
    let report = check::check(&out);
    assert_eq!(report.subtitle_languages, ["en", "ru"]);
    let metadata: Value = serde_json::from_slice(&std::fs::read(out.join("metadata.json")).unwrap()).unwrap();
    assert_eq!(metadata["subtitle_languages"], json!(["en", "ru"]));

    let refused = run(&["transcode", text(&source), "-o", text(&out), "--subtitles", "no/such.srt:klingon"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("\"klingon\" is no language"));
}
