//! Loudness is what EBU R128 says, judged by a meter that is not ours.

use std::path::Path;
use std::process::Command;

use domain::loudness::Loudness;
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::LoudnessRequest;

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_tone_is_as_loud_as_the_standard_says", a_tone_is_as_loud_as_the_standard_says),
        trial("loudness_is_what_another_meter_says", loudness_is_what_another_meter_says),
        trial("silence_has_no_loudness", silence_has_no_loudness),
        trial("every_track_is_measured_in_one_pass", every_track_is_measured_in_one_pass),
    ]
}

async fn measured(path: &Path) -> Vec<Loudness> {
    let tracks = planned(path).await.probe.audio;
    let session = engine().loudness(open(path), LoudnessRequest { tracks }).expect("a session");
    all(session).await.expect("loudness")
}

fn sound(filter: &str, container: &'static str) -> std::path::PathBuf {
    let audio_args = vec!["-af", filter.to_owned().leak(), "-c:a", "flac"];
    media::clip(&ClipSpec { seconds: 20.0, width: 0, height: 0, container, audio_args, ..ClipSpec::default() })
}

fn assert_near(value: Option<f64>, expected: f64, what: &str) {
    let value = value.unwrap_or_else(|| panic!("no {what}"));
    assert!((value - expected).abs() <= 0.2, "{what}: {value} instead of {expected}");
}

async fn a_tone_is_as_loud_as_the_standard_says() {
    // EBU Tech 3341, test 1: a stereo sine of 1 kHz at -23 dBFS has -23 LUFS.
    let path = sound("aeval=exprs=0.0708*sin(2*PI*1000*t):channel_layout=stereo", "mkv");
    let measured = measured(&path).await;
    assert_eq!(measured.len(), 1);
    assert_near(measured[0].integrated_lufs.map(f64::from), -23.0, "loudness");
    assert_near(measured[0].true_peak_dbtp.map(f64::from), -23.0, "peak");
    assert_near(Some(measured[0].range_lu.into()), 0.0, "range");
}

async fn loudness_is_what_another_meter_says() {
    let generated =
        sound("aeval=exprs=(0.02+0.03*t)*sin(2*PI*(80*t+90*t*t))*lt(mod(t\\,7)\\,6):channel_layout=stereo", "flac");
    let surround = sound(
        "aeval=exprs=0.1*sin(2*PI*900*t)|0|0.2*sin(2*PI*300*t)|0.3*sin(2*PI*60*t)|0.1*sin(2*PI*2000*t)|0:channel_layout=5.1",
        "mkv",
    );
    let real = fixtures::corpus_file("f_torchcodec_nasa_13013.mp4");
    for path in [generated, surround].into_iter().chain(real) {
        let measured = measured(&path).await;
        let (integrated, range, peak) = judged(&path);
        let name = path.display();
        assert_near(measured[0].integrated_lufs.map(f64::from), integrated, &format!("loudness of {name}"));
        assert_near(measured[0].true_peak_dbtp.map(f64::from), peak, &format!("peak of {name}"));
        let off = f64::from(measured[0].range_lu) - range;
        assert!(off.abs() <= 1.0, "range of {name} is {off} LU off");
    }
}

/// Integrated loudness, range and true peak by libavfilter's meter, at the rate that BS.1770 states its filters for.
#[expect(clippy::disallowed_methods, reason = "sound is judged by a program that is not ours")]
fn judged(path: &Path) -> (f64, f64, f64) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-af", "aresample=48000,ebur128=peak=true:framelog=verbose", "-f", "null", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let summary = log.rsplit("Summary:").next().expect("a summary").to_owned();
    let value = |label: &str| -> f64 {
        let words = summary.split_once(label).unwrap_or_else(|| panic!("no {label} in {log}")).1;
        words.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    };
    (value("I:"), value("LRA:"), value("Peak:"))
}

async fn silence_has_no_loudness() {
    let measured = measured(&sound("volume=0", "mkv")).await;
    assert_eq!((measured[0].integrated_lufs, measured[0].true_peak_dbtp), (None, None));
}

async fn every_track_is_measured_in_one_pass() {
    let spec = ClipSpec { audio: vec!["eng", "deu", "fra"], ..ClipSpec::default() };
    let measured = measured(&media::clip(&spec)).await;
    assert_eq!(measured.iter().map(|one| one.stream_index).collect::<Vec<_>>(), [1, 2, 3]);
}
