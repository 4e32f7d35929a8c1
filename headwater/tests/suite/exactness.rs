//! Every frame where the plan puts it, from a file to a static folder.

use std::path::Path;

use fixtures::media::{self, ClipSpec};

use crate::check::{self, Report};
use crate::harness::{run, text};

/// Transcodes a file and reads the whole result back.
fn checked(source: &Path) -> Report {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let done = run(&["transcode", text(source), "-o", text(&out)]);
    assert_eq!(done.status.code(), Some(0), "{}: {}", source.display(), String::from_utf8_lossy(&done.stderr));
    check::check(&out)
}

/// Every rendition of `report` has this many frames at this rate, in segments of the planned number.
fn assert_frames(report: &Report, frames: usize, rate: (u64, u64), segments: usize) {
    for rendition in &report.renditions {
        assert_eq!(rendition.frames, frames, "{report:?}");
        assert_eq!(u64::from(rendition.timescale) * rate.1, rendition.frame_ticks * rate.0, "{report:?}");
        assert_eq!(rendition.segments, segments, "{report:?}");
        assert!(rendition.width % 2 == 0 && rendition.height % 2 == 0, "{report:?}");
    }
}

/// Sound ends within one AAC frame of where it should.
fn assert_sound_ends(report: &Report, seconds: f64) {
    let ends = report.audio_duration_s.unwrap();
    assert!((ends - seconds).abs() <= 1024.0 / 48_000.0 + 1e-6, "sound ends at {ends}, not {seconds}");
}

#[test]
fn a_whole_rate_gives_every_frame_its_place() {
    let spec =
        ClipSpec { seconds: 9.0, width: 640, height: 480, chapters: 3, subtitles: vec!["eng"], ..ClipSpec::default() };
    let report = checked(&media::clip(&spec));
    assert_frames(&report, 225, (25, 1), 4);
    assert_sound_ends(&report, 9.0);
    assert_eq!(report.video_duration_s, Some(9.0));
    let mut names: Vec<&str> = report.renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["240p", "360p", "480p"]);
    assert_eq!((report.chapter_count, report.subtitle_languages), (3, vec!["en".to_owned()]));
}

#[test]
fn a_fractional_rate_gives_every_frame_its_place() {
    let spec = ClipSpec { seconds: 7.0, rate: "30000/1001", audio: vec!["eng", "deu"], ..ClipSpec::default() };
    let report = checked(&media::clip(&spec));
    assert_frames(&report, 210, (30_000, 1001), 3);
    assert_eq!(report.audio_languages, ["en", "de"]);
}

#[test]
fn sound_alone_is_cut_without_a_gap() {
    let spec = ClipSpec { seconds: 9.0, width: 0, height: 0, container: "m4a", ..ClipSpec::default() };
    let report = checked(&media::clip(&spec));
    assert!(report.renditions.is_empty());
    assert_sound_ends(&report, 9.0);
}

/// One MD5 for each decoded frame of a file, in order of presentation.
#[expect(clippy::disallowed_methods, reason = "pictures are compared by a program that is not ours")]
fn frame_hashes(file: &Path) -> Vec<String> {
    let decoded = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    assert!(decoded.status.success(), "{}", String::from_utf8_lossy(&decoded.stderr));
    let text = String::from_utf8_lossy(&decoded.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned())).collect()
}

/// The segments of a rendition as one file.
fn joined(rendition: &Path) -> tempfile::NamedTempFile {
    let mut whole = std::fs::read(rendition.join("init.mp4")).unwrap();
    for index in 0.. {
        let Ok(segment) = std::fs::read(rendition.join(format!("{index}.m4s"))) else { break };
        whole.extend(segment);
    }
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), whole).unwrap();
    file
}

fn plain(container: &'static str, rate: &'static str) -> std::path::PathBuf {
    let spec = ClipSpec { seconds: 11.0, width: 640, height: 360, rate, container, ..ClipSpec::default() };
    media::clip(&ClipSpec { video_args: media::UNEVEN_GOPS.to_vec(), ..spec })
}

#[test]
fn a_source_shown_as_it_is_keeps_every_picture() {
    let temp = tempfile::tempdir().unwrap();
    for (container, rate) in [("mp4", "25"), ("mkv", "30000/1001"), ("ts", "24000/1001")] {
        let (source, out) = (plain(container, rate), temp.path().join(container));
        assert_eq!(run(&["transcode", text(&source), "-o", text(&out)]).status.code(), Some(0));
        check::check(&out);
        let hashes = frame_hashes(&source);
        assert!(hashes.len() > 250);
        assert!(frame_hashes(joined(&out.join("360p")).path()) == hashes, "{container}: other pictures");
    }
}

/// One MD5 for each coded frame of the sound of a file.
#[expect(clippy::disallowed_methods, reason = "sound is compared by a program that is not ours")]
fn sound_hashes(file: &Path) -> Vec<String> {
    let read = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-c", "copy", "-f", "framemd5", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned())).collect()
}

#[test]
fn sound_played_as_it_is_keeps_every_frame() {
    let temp = tempfile::tempdir().unwrap();
    for container in ["mp4", "mkv", "mov"] {
        let (source, out) = (plain(container, "30000/1001"), temp.path().join(container));
        assert_eq!(run(&["transcode", text(&source), "-o", text(&out)]).status.code(), Some(0));
        assert_sound_ends(&check::check(&out), 11.0);
        let (made, own) = (sound_hashes(joined(&out.join("audio-0-en")).path()), sound_hashes(&source));
        assert!(made.len() > 510 && own.ends_with(&made), "{container}: other frames");
    }
}

#[test]
fn a_source_is_encoded_where_that_is_asked_for() {
    let temp = tempfile::tempdir().unwrap();
    let (source, out) = (plain("mp4", "25"), temp.path().join("out"));
    let done = run(&["transcode", text(&source), "-o", text(&out), "--no-passthrough"]);
    assert_eq!(done.status.code(), Some(0));
    assert!(frame_hashes(joined(&out.join("360p")).path()) != frame_hashes(&source), "it was not encoded");
    let sound = sound_hashes(joined(&out.join("audio-0-en")).path());
    assert!(!sound_hashes(&source).ends_with(&sound), "its sound was not encoded");
}

#[test]
fn other_codecs_show_the_same_frames_beside_h264() {
    let temp = tempfile::tempdir().unwrap();
    let source = media::clip(&ClipSpec { seconds: 7.0, width: 640, height: 360, ..ClipSpec::default() });
    let out = temp.path().join("out");
    let fast = ["--set", "x265_preset=ultrafast", "--set", "svtav1_preset=12"];
    let done = run(&[&["transcode", text(&source), "-o", text(&out), "--codecs", "h264,hevc,av1"], &fast[..]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    let report = check::check(&out);
    assert_frames(&report, 175, (25, 1), 3);
    let mut names: Vec<&str> = report.renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["240p", "240p-av1", "240p-hevc", "360p", "360p-av1", "360p-hevc"]);
    for name in names {
        assert_eq!(frame_hashes(joined(&out.join(name)).path()).len(), 175, "{name}");
    }
}

#[test]
fn surround_sound_is_there_beside_stereo() {
    let audio_args = vec!["-af", "pan=5.1|FL=c0|FC=c0|BR=c0", "-c:a", "ac3"];
    let spec = ClipSpec { seconds: 7.0, audio: vec!["eng", "deu"], audio_args, ..ClipSpec::default() };
    let report = checked(&media::clip(&spec));
    assert_frames(&report, 175, (25, 1), 3);
    assert_sound_ends(&report, 7.0);
    assert_eq!(report.audio_languages, ["en", "de"]);
    assert_eq!(report.audio_channels, ["2", "2", "6", "6"]);
}

#[test]
fn a_real_file_keeps_its_frames() {
    let Some(file) = fixtures::corpus_file("a_sam2_02_cups.mp4") else { return };
    let report = checked(&file);
    assert_frames(&report, 300, (30_000, 1001), 4);
}
