//! Sound keeps to its time stamps: gaps are filled, late sound starts late, drift does not add up.

use std::path::{Path, PathBuf};
use std::process::Command;

use domain::Span;
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::AudioRequest;

use crate::hearing::{RATE, burst_near, decoded};
use crate::setup::{planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (container, codec) in SOURCES {
        let name = |what: &str| format!("{what}_in_{container}");
        trials.push(trial(&name("gaps_are_filled"), move || gap(container, codec)));
        trials.push(trial(&name("late_sound_starts_late"), move || late(container, codec)));
        trials.push(trial(&name("drifting_time_stamps_are_followed"), move || drift(container, codec)));
    }
    trials.push(trial("sound_is_in_time_at_the_end_of_two_hours", two_hours));
    trials
}

/// Time stamps in samples, in milliseconds, and in ticks of 90 kHz.
const SOURCES: [(&str, &[&str]); 4] = [
    ("mp4", &["-c:a", "aac", "-ar", "44100"]),
    ("mkv", &["-c:a", "aac", "-ar", "48000"]),
    ("mka", &["-c:a", "pcm_s16le", "-ar", "44100"]),
    ("ts", &["-c:a", "aac", "-ar", "48000"]),
];

/// A burst of 10 ms at the start of every second.
const BURSTS: &str =
    "aeval=exprs=0.7*lt(mod(t\\,1)\\,0.01)*sin(2*PI*1000*t):channel_layout=stereo,pan=stereo|c0=c0|c1=c1";

/// How far a burst may be from its time, in seconds.
const OFF_MAX: f64 = 0.002;

/// One AAC frame.
const FRAME_SECONDS: f64 = 1024.0 / 48_000.0;

fn clip(container: &'static str, codec: &'static [&'static str], seconds: f64, filter: &str) -> PathBuf {
    let filter: &'static str = format!("{BURSTS},{filter}").leak();
    let side = if container == "mka" { 0 } else { 64 };
    let audio_args = [&["-af", filter], codec].concat();
    media::clip(&ClipSpec { seconds, width: side, height: side, container, audio_args, ..ClipSpec::default() })
}

/// When the bursts are heard that should begin at these seconds, as seen from the start of the picture.
///
/// In some containers the encoder's first, silent, frame plays before the picture.
async fn heard(path: &Path, seconds: &[f64]) -> Vec<Option<f64>> {
    let source = planned(path).await;
    let segments = source.encode_audio(source.audio(0, |_| true)).await.expect("segments");
    let samples = decoded(&segments);
    let picture = source.probe.main_video().map_or(source.plan.origin, |video| video.extent.start);
    let picture = picture.minus(source.plan.origin).expect("near").as_secs_f64();
    seconds.iter().map(|second| burst_near(&samples, 0, second + picture).map(|time| time - picture)).collect()
}

fn assert_in_time(heard: &[Option<f64>], expected: &[f64], off_max: f64) {
    for (heard, expected) in heard.iter().zip(expected) {
        let off = heard.unwrap_or_else(|| panic!("nothing is heard at {expected} s")) - expected;
        assert!(off.abs() <= off_max, "the burst of {expected} s is {:.1} ms late", off * 1000.0);
    }
}

async fn gap(container: &'static str, codec: &'static [&'static str]) {
    let path = clip(container, codec, 14.0, "aselect=not(between(t\\,5.3\\,7.7))");
    let expected = [1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0];
    assert_in_time(&heard(&path, &expected).await, &expected, OFF_MAX);
    assert_eq!(heard(&path, &[6.0, 7.0]).await, [None, None], "the gap is silent");
}

async fn late(container: &'static str, codec: &'static [&'static str]) {
    let path = clip(container, codec, 8.0, "asetpts=PTS+2.5/TB");
    // Without a picture the sound is the first there is.
    let offset = if container == "mka" { 0.0 } else { 2.5 };
    let expected: Vec<f64> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0].map(|second| second + offset).to_vec();
    assert_in_time(&heard(&path, &expected).await, &expected, OFF_MAX);
}

async fn drift(container: &'static str, codec: &'static [&'static str]) {
    for (factor, filter) in [(1.001, "asetpts=PTS*1.001"), (0.9995, "asetpts=PTS*0.9995")] {
        let path = clip(container, codec, 60.0, filter);
        let expected: Vec<f64> = (1..58).map(|second| f64::from(second) * factor).collect();
        assert_in_time(&heard(&path, &expected).await, &expected, OFF_MAX + 0.002);
    }
}

/// Two hours that drift by 3.6 s: the last parts are in time to an AAC frame.
#[expect(clippy::disallowed_methods, reason = "the source is made by a program that is not ours")]
#[expect(clippy::cast_precision_loss, reason = "frame numbers are small")]
async fn two_hours() {
    const SOURCE_RATE: usize = 8000;
    let folder = tempfile::tempdir().expect("a folder");
    let (raw, path) = (folder.path().join("bursts.raw"), folder.path().join("bursts.mka"));
    let second: Vec<u8> = (0..SOURCE_RATE)
        .map(|at| {
            if at < 80 && at / 4 % 2 == 0 {
                218
            } else if at < 80 {
                38
            } else {
                128
            }
        })
        .collect();
    std::fs::write(&raw, second.repeat(7200)).expect("written");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "u8", "-ar", "8000", "-ac", "1", "-i"])
        .arg(&raw)
        .args(["-af", "asetpts=PTS*1.0005", "-c:a", "pcm_u8"])
        .arg(&path)
        .status();
    assert!(made.expect("Debian's package ffmpeg").success());
    let source = planned(&path).await;
    let (parts, spans) =
        (source.plan.audio_parts(&source.plan.audio[0]), source.plan.audio_spans(&source.plan.audio[0]));
    // The last part may be a short one.
    for part in &parts[parts.len() - 2..] {
        let of_part: Vec<Span> = spans.iter().copied().filter(|span| part.holds(span.index)).collect();
        let (first, end) = (of_part[0].first, of_part[of_part.len() - 1].end());
        let request = AudioRequest { part_first: first, ..source.audio(0, |span| part.holds(span.index)) };
        let samples = decoded(&source.encode_audio(request).await.expect("a part"));
        let inside = |second: &f64| (first as f64 + 40.0..end as f64 - 40.0).contains(&(second * RATE / 1024.0));
        let expected: Vec<f64> = (0..7200).map(|second| f64::from(second) * 1.0005).filter(inside).collect();
        assert!(expected.len() > 3, "{first} to {end}");
        let heard: Vec<Option<f64>> = expected.iter().map(|second| burst_near(&samples, first, *second)).collect();
        assert_in_time(&heard, &expected, FRAME_SECONDS);
    }
}
