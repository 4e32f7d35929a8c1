//! Pictures: turned, odd, deep, uneven, black, of strange samples.

use std::fs;
use std::path::{Path, PathBuf};

use fixtures::media::{self, ClipSpec};

use super::{Result, described, transcoded};

/// One row of four colours above another: what stands where is seen from any corner.
const QUARTERS: &str = "color=c=red:size=160x90:rate=25:duration=1[a];color=c=lime:size=160x90:rate=25:duration=1[b];\
                        color=c=blue:size=160x90:rate=25:duration=1[c];color=c=white:size=160x90:rate=25:duration=1[d];\
                        [a][b]hstack[top];[c][d]hstack[bottom];[top][bottom]vstack";

/// Corners as (x, y) with y downward, and their colours.
const CORNERS: [((i32, i32), [u8; 3]); 4] =
    [((-1, -1), [255, 0, 0]), ((1, -1), [0, 255, 0]), ((-1, 1), [0, 0, 255]), ((1, 1), [255, 255, 255])];

#[test]
fn regression_03_a_file_that_was_cut_off_plays_for_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    for container in ["mp4", "mkv", "ts"] {
        let extra_args = if container == "mp4" { vec!["-movflags", "+faststart"] } else { vec![] };
        let whole = media::clip(&ClipSpec { seconds: 8.0, container, extra_args, ..ClipSpec::default() });
        let bytes = fs::read(&whole).unwrap();
        let half = folder.path().join("half").with_extension(container);
        fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
        let seconds = transcoded(&half).report.video_duration_s.unwrap();
        assert!((2.0..6.0).contains(&seconds), "{container}: {seconds} s of half of 8 s");
    }
}

#[test]
fn regression_06_turned_and_mirrored_pictures_come_upright() {
    let args = ["-f", "lavfi", "-i", QUARTERS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"];
    let plain = fs::read(media::made("mp4", &args)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (a, b, c, d) in [
        (1, 0, 0, 1),
        (0, 1, -1, 0),
        (-1, 0, 0, -1),
        (0, -1, 1, 0),
        (-1, 0, 0, 1),
        (1, 0, 0, -1),
        (0, 1, 1, 0),
        (0, -1, -1, 0),
    ] {
        let path = folder.path().join("turned.mp4");
        fs::write(&path, with_matrix(&plain, [a, b, c, d])).unwrap();
        let result = transcoded(&path);
        let is_upright = a == 0;
        assert_eq!(result.size(), if is_upright { (180, 320) } else { (320, 180) }, "{a} {b} {c} {d}");
        let pixels = result.pictures("rgb24");
        for ((x, y), color) in CORNERS {
            // ISO/IEC 14496-12 §8.2.2: a point goes to (a·x + c·y, b·x + d·y).
            let found = pixel(&result, &pixels, (a * x + c * y, b * x + d * y));
            let is_near = found.iter().zip(color).all(|(found, color)| found.abs_diff(color) < 40);
            assert!(is_near, "{a} {b} {c} {d}: {found:?} where {color:?} belongs");
        }
    }
}

/// The pixel in the middle of the quarter that a corner names.
fn pixel(result: &Result, pixels: &[u8], (x, y): (i32, i32)) -> [u8; 3] {
    let (width, height) = result.size();
    let part = |sign: i32, side: usize| if sign < 0 { side / 4 } else { side * 3 / 4 };
    let at = (part(y, height) * width + part(x, width)) * 3;
    *pixels[at..].first_chunk().unwrap()
}

/// The file with another display matrix in its only track header (ISO/IEC 14496-12 §8.3.2).
fn with_matrix(file: &[u8], [a, b, c, d]: [i32; 4]) -> Vec<u8> {
    let mut file = file.to_vec();
    let header = file.windows(4).position(|kind| kind == b"tkhd").unwrap() + 4;
    let one = 1 << 16;
    for (at, value) in [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30].into_iter().enumerate() {
        let start = header + 40 + at * 4;
        file[start..start + 4].copy_from_slice(&i32::to_be_bytes(value));
    }
    file
}

fn pattern(container: &str, source: &str, args: &[&str]) -> PathBuf {
    media::made(container, &[&["-f", "lavfi", "-i", source], args].concat())
}

#[test]
fn regression_07_odd_sizes_lose_one_row_at_most() {
    let check = |size: &str, codec: &[&str], expected: (usize, usize)| {
        let source = format!("testsrc2=size={size}:rate=25:duration=0.4");
        assert_eq!(transcoded(&pattern("mkv", &source, codec)).size(), expected, "{size}");
    };
    check("1164x767", &["-c:v", "mpeg4"], (1164, 766));
    check("1920x1079", &["-c:v", "mpeg4"], (1920, 1078));
    check("161x121", &["-c:v", "libx264", "-pix_fmt", "yuv444p"], (160, 120));
    check("3x1001", &["-c:v", "ffv1"], (2, 1000));
}

#[test]
fn regression_08_ten_bits_become_eight() {
    for (codec, format) in [("libx264", "yuv420p10le"), ("libx264", "yuv422p10le"), ("ffv1", "yuv444p12le")] {
        let path = pattern("mkv", "testsrc2=size=320x180:rate=25:duration=1", &["-c:v", codec, "-pix_fmt", format]);
        // The check wants yuv420p of every rendition.
        assert_eq!(transcoded(&path).largest().frames, 25, "{format}");
    }
}

#[test]
fn regression_09_hdr_is_tagged_as_what_it_has_become() {
    let color = ["-color_primaries", "bt2020", "-colorspace", "bt2020nc", "-color_range", "tv"];
    for transfer in ["smpte2084", "arib-std-b67"] {
        let args = [&["-c:v", "ffv1", "-pix_fmt", "yuv420p10le", "-color_trc", transfer], &color[..]].concat();
        let result = transcoded(&pattern("mkv", "testsrc2=size=320x180:rate=25:duration=1", &args));
        let playlist = result.folder().join(&result.report.renditions[0].id).join("playlist.m3u8");
        let tags = described(&playlist, "color_range,color_space,color_transfer,color_primaries");
        assert_eq!(tags[..4], ["tv", "bt709", "bt709", "bt709"], "{transfer}");
    }
}

#[test]
fn regression_10_fractional_rates_do_not_drift() {
    let seconds = 600;
    let picture = format!("color=c=gray:size=32x32:rate=24000/1001:duration={seconds}");
    let sound = format!("sine=sample_rate=44100:duration={seconds}");
    let codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "240", "-c:a", "aac", "-b:a", "32k"];
    let path = pattern("mkv", &picture, &[&["-f", "lavfi", "-i", &sound][..], &codecs].concat());
    let report = transcoded(&path).report;
    let rendition = &report.renditions[0];
    assert_eq!((rendition.timescale, rendition.frame_ticks), (24_000, 1001));
    assert!(rendition.frames.abs_diff(14_386) <= 1, "{} frames", rendition.frames);
    let (video, audio) = (report.video_duration_s.unwrap(), report.audio_duration_s.unwrap());
    assert!((video - 600.0).abs() < 0.06 && (audio - 600.0).abs() < 0.06, "picture {video} s, sound {audio} s");
}

/// Frames come at 0, 1, 4, 5, 8, 9 ... thirtieths of a second, each of its own grey.
#[test]
fn regression_11_uneven_frames_show_when_they_are_due() {
    let source = "color=c=black:size=64x64:rate=30:duration=6,format=yuv420p,geq=lum='20+N':cb=128:cr=128,\
                  select='lt(mod(n,4),2)'";
    let path = pattern("mkv", source, &["-fps_mode", "passthrough", "-c:v", "ffv1"]);
    let result = transcoded(&path);
    let rendition = result.largest();
    assert_eq!(u64::from(rendition.timescale), rendition.frame_ticks * 30, "{:?}", result.report);
    let grey = result.pictures("gray");
    let shown: Vec<u8> = grey.chunks_exact(64 * 64).map(|frame| frame[32 * 64 + 32]).collect();
    for (at, found) in (0u8..).zip(&shown) {
        let due = 20 + if at % 4 < 2 { at } else { at - at % 4 + 1 };
        // As luma of limited range, decoded to grey of full range.
        let expected = (f64::from(due.saturating_sub(16)) * 255.0 / 219.0).round();
        assert!((f64::from(*found) - expected).abs() <= 3.0, "frame {at} shows {found}, not {expected}");
    }
    assert!((178..=180).contains(&shown.len()), "{} frames of 6 s", shown.len());
}

#[test]
fn regression_16_a_poster_is_neither_black_nor_blurred() {
    let scenes = "color=c=black:size=320x180:rate=25:duration=5[a];\
                  testsrc2=size=320x180:rate=25:duration=3,boxblur=20[b];testsrc2=size=320x180:rate=25:duration=7[c];\
                  [a][b][c]concat=n=3";
    let poster =
        transcoded(&pattern("mkv", scenes, &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"]))
            .poster();
    let mean = poster.iter().map(|value| usize::from(*value)).sum::<usize>() / poster.len();
    assert!(mean > 40, "a mean of {mean} is black");
    // Blurred test pictures have no neighbours this different.
    let sharpest = poster.windows(4).map(|pixels| pixels[0].abs_diff(pixels[3])).max().unwrap();
    assert!(sharpest > 120, "the greatest step is {sharpest}");
}

#[test]
fn regression_16_the_first_frame_has_a_tile_of_its_own() {
    let scenes = "color=c=red:size=320x180:rate=25:duration=1[a];color=c=blue:size=320x180:rate=25:duration=3[b];[a][b]concat=n=2";
    let result =
        transcoded(&pattern("mkv", scenes, &["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"]));
    let sheet =
        super::decoded(&result.folder().join("images/storyboard-0.jpg"), &["-f", "rawvideo", "-pix_fmt", "rgb24"]);
    assert!(sheet[0] > 200 && sheet[2] < 60, "the storyboard begins with {:?}", &sheet[..3]);
}

#[test]
fn regression_20_strange_samples_become_square() {
    let args = ["-vf", "setsar=5120/5123", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "ultrafast"];
    let result = transcoded(&pattern("mp4", "testsrc2=size=1280x720:rate=25:duration=1", &args));
    for rendition in &result.report.renditions {
        let playlist = result.folder().join(&rendition.id).join("playlist.m3u8");
        let aspect = described(&playlist, "sample_aspect_ratio");
        assert!(aspect.iter().all(|aspect| aspect == "1:1" || aspect == "N/A"), "{}: {aspect:?}", rendition.id);
        // The same shape on all rungs, to the pixel that even sizes cost.
        let width = rendition.height * 1280 * 5120 / 5123 / 720;
        assert!(rendition.width.abs_diff(width) <= 2, "{}: {}x{}", rendition.id, rendition.width, rendition.height);
    }
}

/// A movie header with a timescale of zero, which divides what trusts it.
#[test]
fn regression_20_a_timescale_of_zero_is_no_division() {
    let mut bytes = fs::read(media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() })).unwrap();
    let header = bytes.windows(4).position(|kind| kind == b"mvhd").unwrap();
    bytes[header + 16..header + 20].fill(0);
    let folder = tempfile::tempdir().unwrap();
    let path: &Path = &folder.path().join("zero.mp4");
    fs::write(path, bytes).unwrap();
    let seconds = transcoded(path).report.video_duration_s.unwrap();
    assert!((seconds - 2.0).abs() < 0.05, "plays for {seconds} s");
}
