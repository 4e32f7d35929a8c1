//! Viewers who are ahead of the encoder: what they go to is made first, and it is what would have been made anyway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fixtures::media::{self, ClipSpec};
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{PATIENCE, Server};

/// One lane for the batch work, as on a small machine.
const SETTINGS: [&str; 2] = ["--set", "heavy_lanes=1"];

/// A minute in two qualities: two chunks, and the viewer goes to the end of the second.
fn clip() -> std::path::PathBuf {
    media::clip(&ClipSpec { seconds: 60.0, width: 640, height: 360, audio: vec!["eng", "fra"], ..ClipSpec::default() })
}

/// The asset as soon as it has something to play.
async fn playable(server: &Server, asset: &str) -> Value {
    let begun = Instant::now();
    loop {
        let found = server.json(asset).await;
        if found["playback"]["hls"].is_string() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE && found["state"] != "failed", "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Segments committed of each rendition.
fn done(found: &Value) -> BTreeMap<String, u64> {
    let renditions = found["renditions"].as_array().unwrap().iter();
    renditions.map(|one| (one["id"].as_str().unwrap().into(), one["segments_done"].as_u64().unwrap())).collect()
}

/// The hash that the entity-tag of a segment is made of.
async fn tag(server: &Server, path: &str) -> String {
    let begun = Instant::now();
    loop {
        let answer = server.get(path).await;
        if answer.status() == StatusCode::OK {
            return answer.headers()["etag"].to_str().unwrap().to_owned();
        }
        // A player tries again as well.
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(begun.elapsed() < PATIENCE, "{path} does not come");
    }
}

#[tokio::test]
async fn a_viewer_who_goes_ahead_gets_what_would_have_been_made_anyway() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start_with(&temp.path().join("data"), &SETTINGS);
    let asset = server.upload(&clip()).await;
    let found = playable(&server, &asset).await;
    let master = found["playback"]["hls"].as_str().unwrap().to_owned();
    let folder = format!("{}/g1", master.rsplit_once('/').unwrap().0);
    // Init segments are there before anything is encoded.
    for rendition in ["240p", "360p", "audio-0-en", "audio-1-fr"] {
        let init = server.get(&format!("{folder}/{rendition}/init.mp4")).await;
        assert_eq!(init.status(), StatusCode::OK, "{rendition}");
    }
    let begun = Instant::now();
    let (picture, sound) = (format!("{folder}/360p/11.m4s"), format!("{folder}/audio-1-fr/11.m4s"));
    let early = tokio::join!(tag(&server, &picture), tag(&server, &sound));
    println!("seek to an unencoded place answered after {:.2?}", begun.elapsed());
    let ahead = done(&server.json(&asset).await);
    assert!(ahead["240p"] < 11, "the batch work was not faster: {ahead:?}");

    let found = server.settled(&asset).await;
    assert_eq!(found["state"], "ready", "{found}");
    assert_eq!(early, tokio::join!(tag(&server, &picture), tag(&server, &sound)));
    let numbers = server.text("/metrics").await;
    let demands = numbers.lines().find(|line| line.starts_with("headwater_jobs{") && line.contains("kind=\"demand\""));
    assert!(demands.is_some_and(|line| line.contains("state=\"done\"")), "no demand was met:\n{numbers}");
}
