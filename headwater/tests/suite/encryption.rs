//! Encrypted assets as FFmpeg plays them: the same frames as clear, and nothing without the key.

use std::path::Path;
use std::process::{Command, Output};

use fixtures::media::{self, ClipSpec};

use crate::harness::{Server, headwater, text};

const SETTING: &str = "content_key_secrets=a secret that nobody could guess in a lifetime";

/// The MD5 of each decoded frame of a stream, by FFmpeg, and what it complains of.
#[expect(clippy::disallowed_methods, reason = "the output is read with a program that is not ours")]
fn decoded(input: &str, stream: &str) -> (Vec<String>, String) {
    // Its `crypto:` cannot ask twice over one connection, and says so.
    let options = if input.contains(".m3u8") { vec!["-http_persistent", "0"] } else { vec![] };
    let output = Command::new("ffmpeg")
        .args(["-v", "warning"])
        .args(options)
        .args(["-i", input, "-map", stream, "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    read(&output)
}

/// The same of a file whose samples are encrypted, with a key or without.
///
/// It comes through a pipe: in a file that it can seek in, FFmpeg 5.1 takes the samples of one fragment for another's.
#[expect(clippy::disallowed_methods, reason = "the output is read with a program that is not ours")]
fn decrypted(key: Option<&str>, file: &Path) -> (Vec<String>, String) {
    let options = key.map_or(vec![], |key| vec!["-decryption_key", key]);
    let output = Command::new("ffmpeg")
        .args(["-v", "warning"])
        .args(options)
        .args(["-i", "-", "-map", "0", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .expect("Debian's package ffmpeg");
    read(&output)
}

fn read(output: &Output) -> (Vec<String>, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let hashes = lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect();
    (hashes, String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// The same where FFmpeg must not complain.
fn frames(input: &str, stream: &str) -> Vec<String> {
    let (hashes, complaints) = decoded(input, stream);
    assert_eq!(complaints, "", "{input}");
    hashes
}

/// Runs `headwater access` beside the server; what it says, and whether it did it.
fn access(data_dir: &str, args: &[&str]) -> (bool, String) {
    let output = headwater(&["access", "--data-dir", data_dir]).args(args).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).trim().to_owned())
}

/// What `headwater validate` finds, which must be nothing that has to be kept.
fn judge(url: &str) {
    let output = headwater(&["validate", url, "--json"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{url}: {told}");
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(report["checked"]["segments"].as_u64().unwrap() > 10, "{report:#}");
    let rules: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["rule"].as_str().unwrap()).collect();
    assert!(rules.iter().all(|rule| *rule == "across.peak-to-average"), "{url}: {report:#}");
}

#[tokio::test]
async fn ffmpeg_plays_what_is_encrypted_to_the_same_frames() {
    let temp = tempfile::tempdir().unwrap();
    let data_dir = temp.path().join("data");
    let server = Server::start_with(&data_dir, &["--set", SETTING]);
    let spec = ClipSpec { seconds: 10.0, width: 640, height: 360, audio: vec!["eng"], ..ClipSpec::default() };
    let found = server.settled(&server.upload(&media::clip(&spec)).await).await;
    let playback = found["playback"]["playback_id"].as_str().unwrap();
    let base = format!("{}/v/{playback}", server.url);
    let video = format!("{base}/g1/360p/playlist.m3u8");
    let audio = format!("{base}/g1/audio-0-en/playlist.m3u8");
    let (pictures, sound) = (frames(&video, "0:v:0"), frames(&audio, "0:a:0"));
    assert!(pictures.len() >= 250 && sound.len() >= 460, "{} {}", pictures.len(), sound.len());

    let (is_done, told) = access(text(&data_dir), &[playback, "--encrypt", "cbcs"]);
    assert!(!is_done && told.contains("set content_key_secrets"), "{told}");
    let set = |args: &[&str], expected: &str| {
        let told = access(text(&data_dir), &[&[playback, "--set", SETTING][..], args].concat());
        assert_eq!(told, (true, expected.to_owned()));
    };
    let settled = || tokio::time::sleep(std::time::Duration::from_millis(1500));

    set(&["--encrypt", "aes-128"], "public, encrypted by aes-128");
    settled().await;
    assert_eq!(frames(&video, "0:v:0"), pictures);
    assert_eq!(frames(&audio, "0:a:0"), sound);
    assert_eq!(frames(&format!("{video}?container=ts"), "0:v:0"), pictures);
    assert_eq!(frames(&format!("{audio}?container=ts"), "0:a:0"), sound);
    for form in ["master.m3u8", "master.m3u8?container=ts", "master.m3u8?start=3&end=7"] {
        judge(&format!("{base}/{form}"));
    }
    assert_eq!(server.get(&format!("/v/{playback}/g1/360p/0.m4s")).await.status(), 404);

    let rotated = "public, encrypted by aes-128 after 2 s, another key each 6 s";
    set(&["--encrypt", "aes-128", "--clear-lead", "2", "--rotate", "6"], rotated);
    settled().await;
    let playlist = server.text(&format!("/v/{playback}/g1/360p/playlist.m3u8")).await;
    assert_eq!(playlist.matches("#EXT-X-KEY:").count(), 2, "{playlist}");
    assert_eq!(frames(&video, "0:v:0"), pictures);
    assert_eq!(frames(&format!("{audio}?container=ts"), "0:a:0"), sound);
    judge(&format!("{base}/master.m3u8"));

    set(&["--encrypt", "cbcs"], "public, encrypted by cbcs");
    settled().await;
    judge(&format!("{base}/master.m3u8"));
    let key = server.get(&format!("/v/{playback}/keys/1/0")).await.bytes().await.unwrap();
    let key: String = key.iter().map(|octet| format!("{octet:02x}")).collect();
    let (stream, clear) = (["360p", "audio-0-en"], [&pictures, &sound]);
    for (at, name) in stream.into_iter().enumerate() {
        let file = temp.path().join(format!("{name}.mp4"));
        std::fs::write(&file, sealed(&server, &format!("/v/{playback}/g1/{name}")).await).unwrap();
        let (with, complaints) = decrypted(Some(&key), &file);
        assert_eq!((&with, complaints.as_str()), (clear[at], ""), "{name}");
        assert_ne!(&decrypted(None, &file).0, clear[at], "{name} without its key");
    }

    set(&["--encrypt", "none"], "public");
    settled().await;
    assert_eq!(frames(&video, "0:v:0"), pictures);
}

/// All that a playlist names, one after the other.
async fn sealed(server: &Server, folder: &str) -> Vec<u8> {
    let playlist = server.text(&format!("{folder}/playlist.m3u8")).await;
    let map = playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\"")).unwrap();
    let segments = playlist.lines().filter(|line| !line.starts_with('#'));
    let mut out = Vec::new();
    for uri in std::iter::once(map.trim_end_matches('"')).chain(segments) {
        let part = server.get(&format!("{folder}/{uri}")).await;
        assert_eq!(part.status(), 200, "{uri}");
        out.extend_from_slice(&part.bytes().await.unwrap());
    }
    out
}
