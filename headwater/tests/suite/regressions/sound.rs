//! Sound and text: joins, layouts, no sound, late sound, offsets, bitmap subtitles.

use std::fs;
use std::path::PathBuf;

use fixtures::media::{self, ClipSpec};

use super::transcoded;

/// Samples a second of every audio rendition.
const RATE: usize = 48_000;

fn sound(container: &str, source: &str, args: &[&str]) -> PathBuf {
    media::made(container, &[&["-f", "lavfi", "-i", source], args].concat())
}

/// Root mean square of one channel's samples.
fn loudness(samples: &[i16], channel: usize) -> f64 {
    let of_channel = samples.iter().skip(channel).step_by(2);
    let (count, sum) =
        of_channel.fold((0.0, 0.0), |(count, sum), sample| (count + 1.0, sum + f64::from(*sample).powi(2)));
    (sum / f64::max(count, 1.0)).sqrt()
}

/// A sine has no steps: the second difference of samples stays below what its pitch allows.
#[test]
fn regression_12_segments_of_sound_join_without_a_click() {
    let samples =
        transcoded(&sound("m4a", "sine=frequency=440:sample_rate=48000:duration=20", &["-c:a", "aac", "-b:a", "192k"]))
            .samples();
    let left: Vec<f64> = samples.iter().step_by(2).map(|sample| f64::from(*sample)).collect();
    // Away from the begin and the end of the tone, which are steps in themselves.
    let inner = &left[RATE / 2..RATE * 19];
    let peak = inner.iter().copied().fold(0.0, f64::max);
    let bend = (2.0 * std::f64::consts::PI * 440.0 / 48_000.0f64).powi(2) * peak;
    let worst = inner.windows(3).map(|three| (three[0] - 2.0 * three[1] + three[2]).abs()).fold(0.0, f64::max);
    assert!(peak > 1000.0 && worst < bend * 4.0, "a step of {worst} where {bend} is due");
}

#[test]
fn regression_13_every_channel_layout_becomes_stereo() {
    for layout in ["mono", "2.1", "3.0", "quad", "5.0", "5.1", "5.1(side)", "6.1", "7.1", "hexagonal"] {
        let source = format!("sine=duration=2:sample_rate=44100,aformat=channel_layouts={layout}");
        let result = transcoded(&sound("wav", &source, &["-c:a", "pcm_s16le"]));
        let samples = result.samples();
        assert!(samples.len().abs_diff(2 * 2 * RATE) < 4096, "{layout}: {} samples", samples.len());
        for channel in [0, 1] {
            assert!(loudness(&samples[RATE..], channel) > 100.0, "{layout}: channel {channel} is silent");
        }
    }
}

#[test]
fn regression_14_a_picture_needs_no_sound_and_sound_no_picture() {
    let silent = transcoded(&media::clip(&ClipSpec { audio: Vec::new(), ..ClipSpec::default() })).report;
    assert_eq!((silent.audio_duration_s, silent.video_duration_s), (None, Some(4.0)));
    let alone =
        transcoded(&media::clip(&ClipSpec { width: 0, height: 0, container: "m4a", ..ClipSpec::default() })).report;
    assert!(alone.renditions.is_empty() && alone.audio_duration_s.is_some());
}

#[test]
fn regression_14_the_cover_of_music_is_its_poster() {
    for codec in ["mjpeg", "png"] {
        let cover = ["-f", "lavfi", "-i", "color=c=orange:size=600x600:duration=0.04", "-map", "0", "-map", "1"];
        let codecs = ["-c:a", "libmp3lame", "-c:v", codec, "-disposition:v", "attached_pic", "-id3v2_version", "3"];
        let result = transcoded(&sound("mp3", "sine=duration=3", &[&cover[..], &codecs].concat()));
        assert!(result.report.renditions.is_empty(), "a cover is no video");
        let pixel = &result.poster()[..3];
        assert!(pixel[0] > 230 && (150..180).contains(&pixel[1]) && pixel[2] < 30, "{codec}: {pixel:?} is not orange");
    }
}

#[test]
fn regression_15_sound_that_starts_late_stays_late() {
    for container in ["mkv", "mp4", "ts"] {
        let late = ["-itsoffset", "3", "-f", "lavfi", "-i", "sine=frequency=440:duration=5", "-map", "0", "-map", "1"];
        let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"];
        let path = media::made(
            container,
            &[&["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8"], &late[..], &codecs].concat(),
        );
        let samples = transcoded(&path).samples();
        assert!(loudness(&samples[..RATE * 2 * 29 / 10], 0) < 20.0, "{container}: sound before its time");
        let begin = samples.iter().step_by(2).position(|sample| sample.abs() > 200).unwrap();
        assert!(begin.abs_diff(RATE * 3) < RATE / 20, "{container}: sound begins at sample {begin}");
    }
}

#[test]
fn regression_17_subtitles_keep_their_distance_to_a_picture_that_starts_late() {
    let spec = ClipSpec { seconds: 10.0, subtitles: vec!["eng"], container: "mkv", ..ClipSpec::default() };
    let plain = media::clip(&spec);
    let late = media::clip(&ClipSpec { extra_args: vec!["-output_ts_offset", "37"], ..spec });
    let cues = |path| {
        let result = transcoded(path);
        let playlist = result.folder().join("subtitles-0-en/playlist.m3u8");
        let folder = playlist.parent().unwrap();
        let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let texts = files.iter().filter(|file| file.extension().is_some_and(|end| end == "vtt"));
        texts.map(|file| fs::read_to_string(file).unwrap()).collect::<String>()
    };
    let (expected, found) = (cues(&plain), cues(&late));
    assert!(expected.contains("eng cue 5") && expected.contains("00:00:00.1"), "{expected}");
    assert_eq!(found, expected);
}

/// A presentation without objects, and the end of its display set, as a PGS file holds them.
#[test]
fn regression_18_bitmap_subtitles_are_left_out() {
    let segment = |time: u32, kind: u8, body: &[u8]| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [b"PG", &time.to_be_bytes()[..], &[0; 4], &[kind], &length, body].concat()
    };
    let composition = [&640u16.to_be_bytes()[..], &360u16.to_be_bytes(), &[0x10, 0, 0, 0x80, 0, 0, 0]].concat();
    let set = |time: u32| [segment(time, 0x16, &composition), segment(time, 0x80, &[])].concat();
    let subtitles = [set(90_000), set(180_000), set(270_000)].concat();
    let picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=4", "-f", "sup", "-i", "RAW"];
    let codecs =
        ["-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:s", "copy"];
    let path = media::encoded("mkv", &subtitles, &[&picture[..], &codecs].concat());
    let report = transcoded(&path).report;
    assert_eq!((report.video_duration_s, report.subtitle_languages), (Some(4.0), Vec::new()));
    let said = crate::harness::run(&["probe", crate::harness::text(&path)]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("pictures: left out"), "the probe says so");
}
