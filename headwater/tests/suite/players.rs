//! Players that nobody here wrote, on every form in which an asset is served: GStreamer with its old and its new
//! demultiplexers, and mpv. Chromium, hls.js and Shaka Player have a test of their own, FFmpeg is everywhere.

use std::process::Command;

use fixtures::media::{self, ClipSpec};

use crate::harness::Server;

/// Seconds a player may take for ten seconds that it need not wait for.
const PATIENCE_S: &str = "60";

/// Pictures a second.
const RATE: usize = 25;
/// Pictures that mpv may count more or fewer, where it begins and ends.
const PICTURES_OFF: usize = 3;
/// Seconds that may be missing in front and at the end together.
const SECONDS_OFF: f64 = 0.5;

/// What players are given, how many seconds of it there are, and to which of GStreamer's players.
const FORMS: [(&str, u8, &[&str]); 5] = [
    ("master.m3u8", 10, &["playbin", "playbin3"]),
    ("master.m3u8?container=ts", 10, &["playbin"]),
    ("master.m3u8?start=2.5&end=6", 4, &["playbin3"]),
    ("manifest.mpd", 10, &["playbin3"]),
    ("360p.mp4", 10, &[]),
];

/// What a program says, on whichever of its outputs; it must succeed.
#[expect(clippy::disallowed_methods, reason = "players are programs that are not ours")]
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new("timeout")
        .args([PATIENCE_S, program])
        .args(args)
        .env("GST_REGISTRY_FORK", "no")
        .output()
        .expect("coreutils' timeout");
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words).into_owned();
    let last: Vec<&str> = words.lines().rev().take(20).collect();
    assert!(output.status.success(), "{program} {args:?}: {}: {last:#?}", output.status);
    words
}

/// How many seconds of picture and of sound reach GStreamer's sinks, from the first to the last.
fn by_gstreamer(player: &str, url: &str) -> [f64; 2] {
    let sink = |name: &str| format!("{name}-sink=fakesink name={name} silent=false sync=false");
    // The element that would draw subtitles is in yet another package.
    let sinks = ["video", "audio", "text"].map(sink);
    let uri = format!("uri={url}");
    let words = said("gst-launch-1.0", &["-v", player, &uri, &sinks[0], &sinks[1], &sinks[2]]);
    let complaints: Vec<&str> =
        words.lines().filter(|line| line.starts_with("WARNING") || line.starts_with("ERROR")).collect();
    assert!(complaints.is_empty(), "{player} {url}: {complaints:#?}");
    ["video", "audio"].map(|name| {
        let arrived = format!("chain   ******* ({name}:");
        let mut times = words.lines().filter(|line| line.contains(&arrived)).filter_map(pts_s);
        let first = times.next().unwrap_or_else(|| panic!("{player} {url}: no {name}"));
        times.next_back().unwrap_or(first) - first
    })
}

/// The time stamp in a line, which is `pts: H:MM:SS.fraction`, in seconds.
fn pts_s(line: &str) -> Option<f64> {
    let (_, rest) = line.split_once("pts: ")?;
    let mut parts = rest.split(',').next()?.split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// The number of the last picture that mpv shows; it must not speak of an error.
fn by_mpv(url: &str) -> usize {
    let quiet = ["--no-config", "--ytdl=no", "--vo=null", "--ao=null", "--ao-null-untimed", "--untimed"];
    let status = ["--msg-level=all=warn,statusline=status", "--term-status-msg=picture ${estimated-frame-number};"];
    let words = said("mpv", &[&quiet[..], &status, &[url]].concat());
    let last = words.rsplit("picture ").find_map(|rest| rest.split_once(';')?.0.parse().ok());
    let other: Vec<&str> =
        words.split(['\r', '\n']).filter(|line| line.contains("error") || line.contains("warn")).collect();
    assert!(other.is_empty(), "{url}: {other:#?}");
    last.unwrap_or_else(|| panic!("{url}: mpv shows nothing: {words}"))
}

#[tokio::test]
async fn gstreamer_and_mpv_play_every_form_to_its_end() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let spec = ClipSpec {
        seconds: 10.0,
        width: 640,
        height: 360,
        audio: vec!["eng", "fra"],
        subtitles: vec!["eng"],
        container: "mkv",
        ..ClipSpec::default()
    };
    let found = server.settled(&server.upload(&media::clip(&spec)).await).await;
    let playback = found["playback"]["playback_id"].as_str().unwrap();
    for (form, seconds, players) in FORMS {
        let url = format!("{}/v/{playback}/{form}", server.url);
        for player in players {
            let found = by_gstreamer(player, &url);
            let due = f64::from(seconds);
            let is_all = found.iter().all(|found| (due - found).abs() <= SECONDS_OFF);
            assert!(is_all, "{player} {form}: {found:?} s of picture and sound instead of {due}");
        }
        let last = by_mpv(&url);
        assert!(last.abs_diff(usize::from(seconds) * RATE) <= PICTURES_OFF, "mpv {form}: the last picture is {last}");
    }
}
