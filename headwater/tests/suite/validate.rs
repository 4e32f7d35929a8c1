//! `headwater validate` on what is made here, served and in a folder, and on copies that are broken; and every form in
//! which the same segments are served, read by FFmpeg.

use std::fs;
use std::path::Path;
use std::process::Command;

use fixtures::media::{self, ClipSpec};
use serde_json::Value;

use crate::harness::{Server, run, text};

/// Frames of the picture: ten seconds of 25 a second.
const FRAMES: usize = 250;

fn clip() -> std::path::PathBuf {
    media::clip(&ClipSpec {
        seconds: 10.0,
        width: 640,
        height: 360,
        audio: vec!["eng", "fra"],
        subtitles: vec!["eng"],
        chapters: 2,
        container: "mkv",
        ..ClipSpec::default()
    })
}

/// Exit code, standard output and standard error.
fn validate(args: &[&str]) -> (i32, String, String) {
    let output = run(&[&["validate"], args].concat());
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), told(&output.stdout), told(&output.stderr))
}

/// The MD5 of each decoded frame of a stream, by FFmpeg, which must not complain.
#[expect(clippy::disallowed_methods, reason = "the output is read with a program that is not ours")]
fn frames(input: &str, stream: &str) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-i", input, "-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.trim().is_empty(), "{input}: {complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

#[tokio::test]
async fn what_is_served_breaks_no_rule_in_any_form() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let found = server.settled(&server.upload(&clip()).await).await;
    let playback = found["playback"]["playback_id"].as_str().unwrap();
    let base = format!("{}/v/{playback}", server.url);
    for rest in [
        "master.m3u8",
        "master.m3u8?start=2.5&end=0:00:07",
        "master.m3u8?container=ts",
        "g1/360p/playlist.m3u8?container=ts&start=3",
    ] {
        let (code, told, errors) = validate(&[&format!("{base}/{rest}"), "--json"]);
        assert_eq!(code, 0, "{rest}: {told}{errors}");
        let report: Value = serde_json::from_str(&told).unwrap();
        assert!(report["checked"]["segments"].as_u64().unwrap() > 0, "{report:#}");
        let rules: Vec<&str> =
            report["findings"].as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap()).collect();
        assert!(rules.iter().all(|rule| *rule == "across.peak-to-average"), "{rest}: {report:#}");
    }
    let stored = frames(&format!("{base}/g1/360p/playlist.m3u8"), "0:v:0");
    assert!((FRAMES..=FRAMES + 1).contains(&stored.len()), "{} frames", stored.len());
    assert_eq!(frames(&format!("{base}/g1/360p/playlist.m3u8?container=ts"), "0:v:0"), stored);
    assert_eq!(frames(&format!("{base}/manifest.mpd"), "0:v:1"), stored);
    let sound = frames(&format!("{base}/g1/audio-0-en/playlist.m3u8"), "0:a:0");
    assert_eq!(frames(&format!("{base}/g1/audio-0-en/playlist.m3u8?container=ts"), "0:a:0"), sound);
    one_file(&base, &stored, &sound, temp.path()).await;
    // The second segment is two seconds of fifty frames, and so is the third.
    assert_eq!(frames(&format!("{base}/g1/360p/playlist.m3u8?start=2.5&end=6"), "0:v:0"), stored[50..150]);
}

/// The film as one file, whole and in parts, and its sound alone.
async fn one_file(base: &str, stored: &[String], sound: &[String], folder: &Path) {
    let client = reqwest::Client::new();
    let whole = client.get(format!("{base}/360p.mp4")).send().await.unwrap();
    let header = |name: &str| whole.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("video/mp4"));
    assert!(header("content-disposition").unwrap().starts_with("attachment; filename=\""), "{:?}", whole.headers());
    let (tag, length) = (header("etag").unwrap(), header("content-length").unwrap());
    let octets = whole.bytes().await.unwrap();
    assert_eq!(octets.len().to_string(), length);
    let file = folder.join("film.mp4");
    fs::write(&file, &octets).unwrap();
    assert_eq!(frames(text(&file), "0:v:0"), stored);
    assert_eq!(frames(text(&file), "0:a:0"), sound);
    assert_eq!(octets[36..40], *b"moov", "the index comes first");
    for (from, to) in [(0, 99), (30_000, 39_999), (octets.len() - 1, octets.len() - 1)] {
        let range = format!("bytes={from}-{to}");
        let request = client.get(format!("{base}/360p.mp4")).header("range", range).header("if-range", &tag);
        let part = request.send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes {from}-{to}/{}", octets.len()));
        assert_eq!(part.bytes().await.unwrap(), octets[from..=to]);
    }
    let again = client.get(format!("{base}/360p.mp4")).header("if-none-match", &tag).send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(frames(&format!("{base}/audio-0-en.m4a"), "0:a:0"), sound);
    assert_eq!(client.get(format!("{base}/4320p.mp4")).send().await.unwrap().status(), 404);
}

#[test]
fn a_folder_is_judged_and_what_is_broken_in_it_is_told_with_advice() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("hls");
    let made = run(&["transcode", text(&clip()), "-o", text(&folder)]);
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let (code, told, errors) = validate(&[text(&folder)]);
    assert_eq!(code, 0, "{told}{errors}");
    assert!(told.lines().last().unwrap().contains("0 violations"), "{told}");

    let segment = folder.join("240p/1.m4s");
    let good = fs::read(&segment).unwrap();
    fs::write(&segment, &good[..good.len() / 2]).unwrap();
    let (code, told, _) = validate(&[text(&folder)]);
    assert_eq!(code, 1, "{told}");
    for part in ["MUST segment.boxes (ISO/IEC 14496-12)", "240p/1.m4s: ", "Deliver whole segments"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    fs::write(&segment, &good).unwrap();
    fs::remove_file(folder.join("audio-0-en/0.m4s")).unwrap();
    let (code, told, _) = validate(&[text(&folder.join("master.m3u8")), "--json"]);
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &report["findings"][0]["rule"]), (1, &Value::from("http.status")), "{report:#}");

    fs::write(folder.join("outside.m3u8"), "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1.0,\n../secret.ts\n#EXT-X-ENDLIST\n").unwrap();
    fs::write(temp.path().join("secret.ts"), "G").unwrap();
    let (code, told, _) = validate(&[text(&folder.join("outside.m3u8"))]);
    assert!(code == 1 && told.contains("is outside of the folder"), "{told}");
}

#[test]
fn what_is_no_playlist_is_2() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("master.m3u8"), "<html>").unwrap();
    assert_eq!(validate(&[text(temp.path())]).0, 2);
    assert_eq!(validate(&[text(&temp.path().join("missing"))]).0, 2);
    assert_eq!(validate(&["http://127.0.0.1:1/master.m3u8"]).0, 2);
    assert_eq!(validate(&[]).0, 2);
}

#[test]
fn every_rule_stands_in_the_reference() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/validate.md");
    let page = fs::read_to_string(page).unwrap();
    let row = |rule: &&packager::validate::Rule| {
        format!("| `{}` | {} | {} | {} |", rule.id, rule.level.name(), rule.source, rule.advice)
    };
    let missing: Vec<String> = packager::validate::RULES.iter().map(row).filter(|row| !page.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert_eq!(page.matches("\n| `").count(), packager::validate::RULES.len(), "and no others");
}
