//! Uploads that are encoded as far as they are there, while the rest still arrives.
//!
//! What is claimed: of a file whose index comes first, segments are committed before its last octet; they are those of
//! a file that came at once; whatever becomes of the upload, nothing is shown before it is complete and nothing is left
//! of one that comes to nothing; other files, and servers that are told not to, are as they were.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use catalog_store::Catalog;
use domain::Generation;
use fixtures::media::{self, ClipSpec};
use fixtures::{Dice, dice};
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::harness::{self, PATIENCE, Server, Upload};
use crate::kill::{assert_nothing_is_left_over, segments, until_idle};
use crate::server::objects;

/// Pieces in which a file is sent.
const PIECES: usize = 24;
const SETTINGS: [&str; 4] = ["--set", "lease_s=5", "--set", "heavy_lanes=1"];
const OFF: [&str; 6] = ["--set", "lease_s=5", "--set", "heavy_lanes=1", "--set", "encode_ahead_s=0"];

/// Closed GOPs of one second of so few bits that the pictures are shown as they are.
const PASSED: [&str; 18] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-b:v",
    "600k",
    "-maxrate",
    "650k",
    "-bufsize",
    "650k",
    "-g",
    "25",
    "-sc_threshold",
    "0",
    "-pix_fmt",
    "yuv420p",
    "-threads:v",
    "1",
];

/// Forty seconds with the index in front and enough octets for a look at the first of them; encoded anew.
fn clip() -> PathBuf {
    clip_of(&["-movflags", "+faststart"], "mp4")
}

/// A minute with the index in front whose pictures are shown as they are.
fn passed() -> PathBuf {
    media::clip(&ClipSpec {
        seconds: 60.0,
        width: 640,
        height: 360,
        audio: vec!["eng"],
        video_args: PASSED.to_vec(),
        extra_args: vec!["-movflags", "+faststart"],
        ..ClipSpec::default()
    })
}

fn clip_of(extra: &[&'static str], container: &'static str) -> PathBuf {
    media::clip(&ClipSpec {
        seconds: 40.0,
        width: 640,
        height: 360,
        audio: vec!["eng"],
        container,
        extra_args: extra.to_vec(),
        ..ClipSpec::default()
    })
}

/// Sends `part` of a file in pieces; the offset that was reached.
async fn send(server: &Server, upload: &Upload, bytes: &[u8], (from, to): (usize, usize)) -> usize {
    let mut at = from;
    while at < to {
        let end = (at + bytes.len().div_ceil(PIECES)).min(to);
        let sent = harness::append(&server.url, &upload.path, at, bytes[at..end].to_vec()).await.unwrap();
        assert_eq!(sent.status(), StatusCode::NO_CONTENT);
        at = end;
    }
    at
}

/// Segments committed of all renditions.
fn done(found: &Value) -> u64 {
    let renditions = found["renditions"].as_array().unwrap().iter();
    renditions.map(|one| one["segments_done"].as_u64().unwrap()).sum()
}

/// Waits until something of an unfinished upload is committed.
async fn begun(server: &Server, asset: &str) -> Value {
    let begun = Instant::now();
    loop {
        let found = server.json(asset).await;
        if done(&found) > 0 {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "nothing is made of {found}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing more can be made of what is there: the same segments for two seconds.
async fn settled_ahead(server: &Server, asset: &str) -> Value {
    let (begun, mut last, mut since) = (Instant::now(), 0, Instant::now());
    loop {
        let found = server.json(asset).await;
        if done(&found) != last {
            (last, since) = (done(&found), Instant::now());
        }
        if last > 0 && since.elapsed() > Duration::from_secs(4) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Hashes of what a server makes of a file that comes at once and is not looked at before.
async fn undisturbed(temp: &Path, bytes: &[u8]) -> BTreeMap<String, String> {
    let data = temp.join("calm");
    let server = Server::start_with(&data, &OFF);
    let upload = harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap();
    send(&server, &upload, bytes, (0, bytes.len())).await;
    assert_eq!(server.settled(&upload.asset).await["state"], "ready");
    until_idle(&server).await;
    server.kill();
    segments(&data).await
}

async fn pointer(server: &Server, data: &Path) -> StatusCode {
    let catalog = Catalog::open(&format!("sqlite://{}", data.join("catalog.db").display())).await.unwrap();
    let playback = catalog.assets(None, 2).await.unwrap().remove(0).playback;
    catalog.close().await;
    server.get(&format!("/v/{playback}/master.m3u8")).await.status()
}

#[tokio::test]
async fn segments_are_committed_before_the_last_octet_and_are_those_of_an_undisturbed_run() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip()).unwrap();
    let calm = undisturbed(temp.path(), &bytes).await;
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &SETTINGS);
    let upload = harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap();
    let half = send(&server, &upload, &bytes, (0, bytes.len() * 2 / 3)).await;
    let found = settled_ahead(&server, &upload.asset).await;
    assert_eq!((&found["state"], &found["playback"]), (&Value::from("uploading"), &Value::Null), "{found}");
    assert_eq!(found["generation"], 1);
    let ahead = done(&found);
    // The first chunk of both sizes at least, and not what is not there.
    assert!(ahead >= 6, "{found}");
    assert!(found["progress"].as_f64().unwrap() < 0.9, "{found}");
    assert_eq!(pointer(&server, &data).await, StatusCode::NOT_FOUND, "nothing is shown");
    assert_eq!(harness::offset(&server.url, &upload.path).await, Some(half));

    send(&server, &upload, &bytes, (half, bytes.len())).await;
    let found = server.settled(&upload.asset).await;
    assert_eq!((&found["state"], &found["generation"]), (&Value::from("ready"), &Value::from(1)), "{found}");
    until_idle(&server).await;
    println!("{ahead} of {} segments were there before the last octet", calm.len());
    let log = server.log();
    server.kill();
    assert_eq!(segments(&data).await, calm);
    assert_nothing_is_left_over(&data).await;
    let doubled: u64 =
        crate::kill::encoded(&log).values().flat_map(|counts| counts.values()).map(|count| count - 1).sum();
    assert!(doubled <= 4, "{doubled} segments were encoded twice");
}

#[tokio::test]
async fn pictures_that_are_shown_as_they_are_are_taken_over_before_the_last_octet() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(passed()).unwrap();
    let calm = undisturbed(temp.path(), &bytes).await;
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &SETTINGS);
    let upload = harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap();
    let half = send(&server, &upload, &bytes, (0, bytes.len() * 2 / 3)).await;
    let found = settled_ahead(&server, &upload.asset).await;
    let top = found["renditions"].as_array().unwrap().iter().find(|one| one["id"] == "360p").unwrap();
    assert!(top["segments_done"].as_u64().unwrap() >= 3, "{found}");
    send(&server, &upload, &bytes, (half, bytes.len())).await;
    let found = server.settled(&upload.asset).await;
    assert_eq!((&found["state"], &found["generation"]), (&Value::from("ready"), &Value::from(1)), "{found}");
    let log = server.log();
    assert!(log.iter().any(|line| line["copied"] == "360p"), "it is shown as it is");
    until_idle(&server).await;
    server.kill();
    assert_eq!(segments(&data).await, calm);
}

#[tokio::test]
async fn a_source_whose_end_is_not_like_its_beginning_is_planned_anew_and_nothing_is_left_of_the_guess() {
    let temp = tempfile::tempdir().unwrap();
    let mut bytes = std::fs::read(passed()).unwrap();
    // A second of noise holds the begin of a GOP: the pictures cannot be shown as they are.
    let noise = bytes.len() * 800 / 1000..bytes.len() * 818 / 1000;
    bytes[noise].iter_mut().for_each(|octet| *octet ^= 0x5a);
    let calm = undisturbed(temp.path(), &bytes).await;
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &SETTINGS);
    let upload = harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap();
    let half = send(&server, &upload, &bytes, (0, bytes.len() * 2 / 3)).await;
    begun(&server, &upload.asset).await;
    send(&server, &upload, &bytes, (half, bytes.len())).await;
    let found = server.settled(&upload.asset).await;
    assert_eq!((&found["state"], &found["generation"]), (&Value::from("ready"), &Value::from(2)), "{found}");
    until_idle(&server).await;
    server.kill();
    assert_nothing_is_left_over(&data).await;
    // How libav conceals what is lost differs from run to run, also of complete files.
    let sound = |segments: BTreeMap<String, String>| -> BTreeMap<String, String> {
        let is_hit = |name: &str| ["/9", "/10"].iter().any(|end| name.ends_with(end));
        segments.into_iter().filter(|(name, _)| !is_hit(name)).collect()
    };
    assert_eq!(sound(segments(&data).await), sound(calm));
}

#[tokio::test]
async fn a_complete_upload_does_not_wait_for_one_that_is_encoded_ahead() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip()).unwrap();
    // Slow enough that a chunk of it does not end by itself meanwhile.
    let slow = ["--set", "heavy_lanes=1", "--set", "x264_preset=slower"];
    let server = Server::start_with(&temp.path().join("data"), &slow);
    let unfinished = harness::create(&server.url, bytes.len(), "slow.mp4").await.unwrap();
    send(&server, &unfinished, &bytes, (0, bytes.len() - 1)).await;
    begun(&server, &unfinished.asset).await;
    let id = unfinished.asset.rsplit('/').next().unwrap().to_owned();
    let is_of =
        |line: &Value, asset: &str, kind: &str| line["span"]["asset.id"] == asset && line["span"]["job.kind"] == kind;
    let begun = Instant::now();
    while !server.log().iter().any(|line| line["message"] == "job started" && is_of(line, &id, "chunk")) {
        assert!(begun.elapsed() < PATIENCE, "no chunk begins");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let other = server.upload(&media::clip(&ClipSpec::default())).await;
    assert_eq!(server.settled(&other).await["state"], "ready");
    let found = server.json(&unfinished.asset).await;
    assert!(found["state"] == "uploading" && found["progress"].as_f64().unwrap() < 0.9, "{found}");
    let released = |line: &Value| line["outcome"] == "released" && is_of(line, &id, "chunk");
    assert!(server.log().iter().any(released), "the chunk was given back");
    // Nothing is lost by that.
    send(&server, &unfinished, &bytes, (bytes.len() - 1, bytes.len())).await;
    assert_eq!(server.settled(&unfinished.asset).await["state"], "ready");
}

#[tokio::test]
async fn nothing_is_left_of_an_upload_that_is_terminated_or_fails_its_digest() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let bytes = std::fs::read(clip()).unwrap();
    let server = Server::start_with(&data, &SETTINGS);

    let given_up = harness::create(&server.url, bytes.len(), "given-up.mp4").await.unwrap();
    send(&server, &given_up, &bytes, (0, bytes.len() * 2 / 3)).await;
    begun(&server, &given_up.asset).await;
    let request = Client::new().delete(format!("{}{}", server.url, given_up.path)).header("tus-resumable", "1.0.0");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    until_idle(&server).await;
    let gone = Client::new().head(format!("{}{}", server.url, given_up.path)).header("tus-resumable", "1.0.0");
    assert_eq!(gone.send().await.unwrap().status(), StatusCode::GONE, "what is left is that it is gone");

    // The draft's digest of the whole, which these octets do not have.
    let wrong = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let created = Client::new()
        .post(format!("{}/uploads", server.url))
        .header("upload-draft-interop-version", "6")
        .header("upload-complete", "?0")
        .header("upload-length", bytes.len())
        .header("content-type", "video/mp4")
        .header("repr-digest", format!("sha-256=:{wrong}:"))
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED);
    let header = |name: &str| created.headers()[name].to_str().unwrap().to_owned();
    let path = header("location").trim_start_matches(server.url.as_str()).to_owned();
    let refused = Upload { path, asset: header("asset-location") };
    send(&server, &refused, &bytes, (0, bytes.len() * 2 / 3)).await;
    begun(&server, &refused.asset).await;
    let rest = bytes[bytes.len() * 2 / 3..].to_vec();
    let answer = harness::append(&server.url, &refused.path, bytes.len() * 2 / 3, rest).await.unwrap();
    assert!(answer.status().is_client_error(), "{}", answer.status());
    let found = server.settled(&refused.asset).await;
    assert_eq!((&found["state"], &found["playback"]), (&Value::from("failed"), &Value::Null), "{found}");
    until_idle(&server).await;
    server.kill();

    let catalog = Catalog::open(&format!("sqlite://{}", data.join("catalog.db").display())).await.unwrap();
    assert!(catalog.integrity().await.unwrap().is_sound());
    for asset in catalog.assets(None, 10).await.unwrap() {
        assert_eq!(asset.generation, None);
        assert_eq!(catalog.segments(asset.id, Generation(1)).await.unwrap(), []);
    }
    catalog.close().await;
    assert_eq!(objects(&data.join("media")), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn kills_while_an_upload_is_encoded_lose_nothing_and_double_nothing() {
    let seed = dice::seed();
    println!("HEADWATER_TEST_SEED={seed}");
    let temp = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip()).unwrap();
    let calm = undisturbed(temp.path(), &bytes).await;
    let data = temp.path().join("killed");
    let (mut dice, kills) = (Dice::new(seed), 4);
    let mut upload: Option<Upload> = None;
    // Each life gets a fifth of the file and is killed at some moment of working on it.
    for life in 1..=kills {
        let server = Server::start_with(&data, &SETTINGS);
        let known = match upload.clone() {
            Some(known) => known,
            None => harness::create(&server.url, bytes.len(), "clip.mp4").await.unwrap(),
        };
        upload = Some(known.clone());
        let at = harness::offset(&server.url, &known.path).await.unwrap();
        send(&server, &known, &bytes, (at, bytes.len() * life / (kills + 1))).await;
        tokio::time::sleep(Duration::from_millis(dice.below(3000))).await;
        server.kill();
    }
    let (server, upload) = (Server::start_with(&data, &SETTINGS), upload.unwrap());
    let at = harness::offset(&server.url, &upload.path).await.unwrap();
    let ahead = begun(&server, &upload.asset).await;
    assert_eq!(ahead["state"], "uploading");
    send(&server, &upload, &bytes, (at, bytes.len())).await;
    assert_eq!(server.settled(&upload.asset).await["state"], "ready");
    until_idle(&server).await;
    let log = server.log();
    server.kill();
    assert_nothing_is_left_over(&data).await;
    assert_eq!(segments(&data).await, calm);
    for (rendition, counts) in crate::kill::encoded(&log) {
        let doubled: u64 = counts.values().map(|count| count - 1).sum();
        println!("{rendition}: {doubled} segments encoded again in {kills} kills");
        // One for each kill, and one for the engine that was let go for the sake of the upload's end.
        assert!(doubled <= u64::try_from(kills).unwrap() + 1, "{rendition}: {counts:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_told_not_to_and_files_without_an_index_in_front_wait_for_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let cases = [
        ("off", clip(), &OFF[..]),
        ("index-last", clip_of(&[], "mp4"), &SETTINGS[..]),
        ("fragments", clip_of(&["-movflags", "+frag_keyframe+empty_moov"], "mp4"), &SETTINGS[..]),
        ("matroska", clip_of(&[], "mkv"), &SETTINGS[..]),
    ];
    for (name, clip, settings) in cases {
        let data = temp.path().join(name);
        let bytes = std::fs::read(clip).unwrap();
        assert!(bytes.len() > 3 << 20, "{name} is long enough to be looked at");
        let server = Server::start_with(&data, &[settings, &["--set", "x264_preset=ultrafast"]].concat());
        let upload = harness::create(&server.url, bytes.len(), name).await.unwrap();
        let half = send(&server, &upload, &bytes, (0, bytes.len() * 2 / 3)).await;
        // Long enough for the look, and for a plan that nobody may make.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let found = server.json(&upload.asset).await;
        assert_eq!((&found["generation"], done(&found)), (&Value::Null, 0), "{name}: {found}");
        send(&server, &upload, &bytes, (half, bytes.len())).await;
        let found = server.settled(&upload.asset).await;
        assert_eq!(
            (&found["state"], &found["generation"]),
            (&Value::from("ready"), &Value::from(1)),
            "{name}: {found}"
        );
    }
}
