//! What x264 and FFmpeg's AAC encoder make, packaged here and decoded by FFmpeg.

use std::path::Path;

use domain::{Bitrate, Cadence, FrameRate, ParameterSets, Resolution, Span, Timescale};
use fixtures::media::{self, ClipSpec};
use packager::cmaf::{self, AudioConfig, VideoConfig, VideoSample};
use packager::encryption::{Octets, cbcs, hex};
use packager::verify;

/// What samples are encrypted with.
const KEY: Octets = *b"sixteen octets!!";
const VECTOR: Octets = [7; 16];

/// A picture of an elementary stream.
struct Picture {
    is_idr: bool,
    data: Vec<u8>,
}

/// NAL units between Annex B start codes.
fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let body = &stream[start + 3..end];
        let length = body.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        &body[..length]
    };
    starts.iter().zip(ends).map(unit).collect()
}

/// Parameter sets and pictures of a stream with one slice a picture.
fn read_stream(stream: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<Picture>) {
    let (mut sps, mut pps, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    for unit in nal_units(stream) {
        match unit[0] & 0x1f {
            7 => sps = unit.to_vec(),
            8 => pps = unit.to_vec(),
            kind @ (1 | 5) => {
                let length = u32::try_from(unit.len()).expect("small").to_be_bytes();
                pictures.push(Picture { is_idr: kind == 5, data: [&length[..], unit].concat() });
            }
            _ => {}
        }
    }
    (sps, pps, pictures)
}

#[expect(clippy::disallowed_methods, reason = "the output is read back with a program that is not ours")]
fn run(program: &str, args: &[&str], file: &Path) -> String {
    let output = std::process::Command::new(program).args(args).arg(file).output().expect(program);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// One MD5 for each decoded frame of a stream, in order of presentation.
fn frame_hashes(file: &Path, log_level: &str) -> Vec<String> {
    let script = format!("ffmpeg -v {log_level} -i \"$0\" -fps_mode passthrough -f framemd5 -");
    let text = run("sh", &["-c", &script], file);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned())).collect()
}

/// The same of a file whose samples are encrypted by [`KEY`].
///
/// It comes through a pipe: in a file that it can seek in, FFmpeg 5.1 takes the samples of one fragment for another's.
fn decrypted_hashes(file: &Path) -> Vec<String> {
    let key = hex(&KEY);
    let script = format!("ffmpeg -v warning -decryption_key {key} -i - -fps_mode passthrough -f framemd5 - <\"$0\"");
    let text = run("sh", &["-c", &script], file);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next().map(|hash| hash.trim().to_owned())).collect()
}

/// Presentation times of a file's packets in decode order, counted from the earliest.
///
/// FFmpeg 5.1 moves tracks with negative composition offsets to where the least of them is zero.
fn times(file: &Path) -> Vec<i64> {
    let packets = run("ffprobe", &["-v", "warning", "-show_entries", "packet=pts", "-of", "csv=p=0"], file);
    let times: Vec<i64> = packets.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect();
    let earliest = times.iter().min().copied().unwrap_or(0);
    times.into_iter().map(|time| time - earliest).collect()
}

fn check_video(bframes: &'static str) {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let clip = |container| {
        media::clip(&ClipSpec {
            seconds: 9.6,
            audio: vec![],
            container,
            video_args: x264_args(bframes),
            extra_args: if container == "mp4" { vec!["-video_track_timescale", "25000"] } else { vec![] },
            ..ClipSpec::default()
        })
    };
    let source = clip("h264");
    let (sps, pps, pictures) = read_stream(&std::fs::read(&source).expect("a clip"));
    // An elementary stream has no times; the same pictures in a file of FFmpeg's have.
    let shown = times(&clip("mp4"));
    let config = VideoConfig {
        resolution: Resolution { width: 320, height: 180 },
        timescale: rate.timescale(),
        frame_ticks: rate.frame_ticks(),
        sets: ParameterSets::H264 { sps, pps },
    };
    let cadence = Cadence::for_video(rate);
    let spans = cadence.video_spans(pictures.len() as u64);
    assert_eq!(spans.iter().map(|span| span.count).collect::<Vec<_>>(), [50, 50, 50, 90]);
    let init = cmaf::video_init(&config).expect("an initialization segment");
    verify::init(&init).expect("good");
    let mut sealed = cbcs::init(&init, &[9; 16], &VECTOR).expect("an initialization segment");
    let mut file = init.clone();
    for span in spans {
        let range = usize::try_from(span.first).expect("small")..usize::try_from(span.end()).expect("small");
        let run = pictures[range.clone()].iter().zip(&shown[range]);
        let sample = |(picture, time): (&Picture, &i64)| {
            let frame = u64::try_from(time / 1000).expect("not negative");
            let display = u32::try_from(frame - span.first).expect("in the segment");
            (display, picture.is_idr, picture.data.clone())
        };
        let samples: Vec<(u32, bool, Vec<u8>)> = run.map(sample).collect();
        let samples: Vec<VideoSample<'_>> = samples
            .iter()
            .map(|(display, is_idr, data)| VideoSample { display: *display, is_idr: *is_idr, data })
            .collect();
        let gops = cadence.gops(span);
        let segment = cmaf::video_segment(&config, span, &gops, &samples).expect("a segment");
        verify::video(&segment.bytes, config.sets.codec(), config.frame_ticks, span, &gops).expect("good");
        sealed.extend(cbcs::segment(&init, &segment.bytes, &KEY, &VECTOR).expect("an encrypted segment"));
        file.extend(segment.bytes);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let packaged = folder.path().join("packaged.mp4");
    std::fs::write(&packaged, file).expect("written");

    assert_eq!(times(&packaged), shown);
    assert_eq!(frame_hashes(&packaged, "warning"), frame_hashes(&source, "error"));
    std::fs::write(folder.path().join("sealed.mp4"), sealed).expect("written");
    assert_eq!(decrypted_hashes(&folder.path().join("sealed.mp4")), frame_hashes(&packaged, "warning"));
    let entries = "stream=codec_name,profile,width,height,sample_aspect_ratio,color_space";
    let facts = run("ffprobe", &["-v", "warning", "-show_entries", entries, "-of", "csv=p=0"], &packaged);
    assert_eq!(facts.trim(), "h264,High,320,180,1:1,bt709");
}

#[test]
fn pictures_in_order_play_at_their_planned_times() {
    check_video("0");
}

#[test]
fn reordered_pictures_play_at_their_planned_times() {
    check_video("3");
}

fn x264_args(bframes: &'static str) -> Vec<&'static str> {
    vec![
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-profile:v",
        "high",
        "-threads",
        "1",
        "-g",
        "50",
        "-keyint_min",
        "50",
        "-sc_threshold",
        "0",
        "-bf",
        bframes,
        "-flags",
        "+cgop",
        "-vf",
        "setsar=1",
        "-pix_fmt",
        "yuv420p",
        "-colorspace",
        "bt709",
        "-color_primaries",
        "bt709",
        "-color_trc",
        "bt709",
        "-color_range",
        "tv",
    ]
}

/// Frames of an ADTS stream, without their headers (ISO/IEC 14496-3 §1.A.3.2).
fn adts_frames(stream: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = stream;
    while let [0xff, b, _, c, d, e, ..] = rest {
        let header = if b & 1 == 0 { 9 } else { 7 };
        let length = usize::from(c & 3) << 11 | usize::from(*d) << 3 | usize::from(e >> 5);
        frames.push(&rest[header..length]);
        rest = &rest[length..];
    }
    frames
}

#[test]
fn aac_frames_play_at_their_planned_times() {
    let source = media::clip(&ClipSpec { seconds: 9.0, width: 0, height: 0, container: "aac", ..ClipSpec::default() });
    let stream = std::fs::read(&source).expect("a clip");
    let frames = adts_frames(&stream);
    let config = AudioConfig {
        sample_rate: Timescale::new(48_000).expect("not zero"),
        channels: 2,
        config: vec![0x11, 0x90],
        bitrate: Bitrate(96_000),
        offset_ticks: 0,
    };
    let init = cmaf::audio_init(&config).expect("an initialization segment");
    let mut sealed = cbcs::init(&init, &[9; 16], &VECTOR).expect("an initialization segment");
    let mut file = init.clone();
    let spans: Vec<Span> = Cadence::for_audio().audio_spans(config.sample_rate, frames.len() as u64);
    assert!(spans.len() > 3);
    for span in spans {
        let first = usize::try_from(span.first).expect("small");
        let run = &frames[first..first + usize::try_from(span.count).expect("small")];
        let segment = cmaf::audio_segment(&config, span, run).expect("a segment");
        verify::audio(&segment.bytes, span, 0).expect("good");
        sealed.extend(cbcs::segment(&init, &segment.bytes, &KEY, &VECTOR).expect("an encrypted segment"));
        file.extend(segment.bytes);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let packaged = folder.path().join("packaged.mp4");
    std::fs::write(&packaged, file).expect("written");

    let planned: Vec<i64> = (0i64..).map(|at| at * 1024).take(frames.len()).collect();
    assert_eq!(times(&packaged), planned);
    assert_eq!(frame_hashes(&packaged, "warning"), frame_hashes(&source, "error"));
    std::fs::write(folder.path().join("sealed.mp4"), sealed).expect("written");
    assert_eq!(decrypted_hashes(&folder.path().join("sealed.mp4")), frame_hashes(&packaged, "warning"));
}
