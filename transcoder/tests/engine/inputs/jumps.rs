//! Time stamps that start anew, wrap, or lie: nothing is lost and nothing freezes.

use std::fs;
use std::path::{Path, PathBuf};

use domain::{Resolution, Span};
use fixtures::media;
use libtest_mimic::Trial;

use super::{color_at, shots, source};
use crate::setup::{Planned, trial};

/// Grey that rises by 4 with every half second.
const STAIRS: &str =
    "color=c=black:size=160x90:rate=25:duration=8,format=yuv420p,geq=lum='40+4*floor(N/12.5)':cb=128:cr=128";
const TONE: &str = "sine=frequency=440:sample_rate=48000:duration=8";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("joined_transport_streams_play_one_after_the_other", joined_transport_streams),
        trial("joined_program_streams_play_one_after_the_other", joined_program_streams),
        trial("a_clock_that_jumps_ahead_leaves_no_hole", a_clock_that_jumps_ahead),
        trial("a_clock_that_wraps_goes_on", a_clock_that_wraps_goes_on),
        trial("a_single_wrong_stamp_does_no_harm", a_single_wrong_stamp_does_no_harm),
        trial("chunks_behind_the_last_decodable_picture_start_there", a_damaged_second_half),
    ]
}

fn stairs(container: &str, codec: &[&str], extra: &[&str]) -> PathBuf {
    let mut args = vec!["-f", "lavfi", "-i", STAIRS, "-f", "lavfi", "-i", TONE];
    args.extend(codec);
    args.extend(extra);
    media::made(container, &args)
}

const H264: &[&str] = &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25", "-c:a", "aac"];
const MPEG2: &[&str] = &["-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-g", "12", "-c:a", "mp2"];

/// Grey values at the middle of the half seconds that begin at these times.
async fn greys(source: &Planned, times_ms: &[i64]) -> Vec<u8> {
    let middles: Vec<i64> = times_ms.iter().map(|time| time + 240).collect();
    let pictures = shots(source, &middles, Resolution { width: 160, height: 90 }).await;
    pictures.iter().map(|picture| color_at(picture, (50, 50), 8)[1]).collect()
}

/// All of it, exactly as long, in order, with every segment the same whichever are asked for.
async fn check_doubled(path: &Path) {
    let source = source(path).await;
    let seconds = source.plan.duration.as_secs_f64();
    assert!((15.9..16.3).contains(&seconds), "{} plays for {seconds} s", path.display());
    let greys = greys(&source, &[500, 4000, 7500, 8500, 12_000, 15_500]).await;
    for (first, second) in greys[..3].iter().zip(&greys[3..]) {
        assert!(first.abs_diff(*second) <= 6, "the parts are alike: {greys:?}");
    }
    assert!(greys[2] > greys[1] + 20 && greys[1] > greys[0] + 20, "the stairs rise: {greys:?}");
    let together = source.encode(source.chunk(|_| true)).await.expect("segments");
    let last = u32::try_from(source.plan.video_spans().len()).expect("fits") - 1;
    let alone = source.encode(source.chunk(|span: &Span| span.index == last)).await.expect("a segment");
    assert!(alone.iter().all(|segment| together.contains(segment)), "a seek behind the jump finds its place");
    let sound = source.encode_audio(source.audio(0, |_| true)).await.expect("sound");
    let loud = sound.iter().flat_map(|segment| &segment.frames).filter(|frame| frame.len() > 40).count();
    let all: usize = sound.iter().map(|segment| segment.frames.len()).sum();
    assert!(loud * 100 > all * 95, "the tone sounds in {loud} of {all} frames");
}

async fn doubled(container: &str, codec: &[&str]) {
    let one = fs::read(stairs(container, codec, &[])).expect("a clip");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("doubled");
    fs::write(&path, [one.clone(), one].concat()).expect("room");
    check_doubled(&path).await;
}

async fn joined_transport_streams() {
    doubled("ts", H264).await;
    doubled("ts", MPEG2).await;
}

async fn joined_program_streams() {
    doubled("vob", MPEG2).await;
}

async fn a_clock_that_jumps_ahead() {
    let first = fs::read(stairs("ts", H264, &[])).expect("a clip");
    let second = fs::read(stairs("ts", H264, &["-output_ts_offset", "40000"])).expect("a clip");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ahead.ts");
    fs::write(&path, [first, second].concat()).expect("room");
    check_doubled(&path).await;
}

/// 33 bits at 90 kHz wrap after 95 443.7 s.
async fn a_clock_that_wraps_goes_on() {
    let source = source(&stairs("ts", H264, &["-output_ts_offset", "95437"])).await;
    let seconds = source.plan.duration.as_secs_f64();
    assert!((7.9..8.2).contains(&seconds), "plays for {seconds} s");
    let greys = greys(&source, &[500, 4000, 7000]).await;
    assert!(greys[2] > greys[1] + 15 && greys[1] > greys[0] + 15, "the stairs rise: {greys:?}");
}

/// The stamps of one packet of the picture are set to something else.
async fn a_single_wrong_stamp_does_no_harm() {
    let whole = fs::read(stairs("ts", MPEG2, &["-bf", "0"])).expect("a clip");
    for wrong in [0, 90_000 * 3000] {
        let mut bytes = whole.clone();
        let at = stamps_of_picture(&bytes)[100];
        write_stamp(&mut bytes, at, wrong);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stray.ts");
        fs::write(&path, bytes).expect("room");
        let source = source(&path).await;
        let seconds = source.plan.duration.as_secs_f64();
        assert!((7.9..8.2).contains(&seconds), "plays for {seconds} s");
        let greys = greys(&source, &[3000, 4000, 5000]).await;
        assert!(greys[2] > greys[1] + 4 && greys[1] > greys[0] + 4, "nothing stands still: {greys:?}");
        assert_eq!(
            source.encode(source.chunk(|_| true)).await.expect("segments").len(),
            source.plan.video_spans().len()
        );
    }
}

/// Where the presentation time stamps of the picture's packets lie (ISO/IEC 13818-1 §2.4.3.6).
fn stamps_of_picture(stream: &[u8]) -> Vec<usize> {
    let packets = stream.chunks_exact(188).enumerate().filter_map(|(at, packet)| {
        let adaptation = if packet[3] & 0x20 == 0 { 0 } else { usize::from(packet[4]) + 1 };
        let payload = 4 + adaptation;
        let begins = packet[1] & 0x40 != 0 && packet.get(payload..payload + 4)? == [0, 0, 1, 0xe0];
        (begins && packet[payload + 7] & 0x80 != 0).then_some(at * 188 + payload + 9)
    });
    packets.collect()
}

/// Writes 33 bits between their markers.
fn write_stamp(stream: &mut [u8], at: usize, time: u64) {
    let byte = |value: u64| u8::try_from(value & 0xff).expect("one byte");
    stream[at] = (stream[at] & 0xf0) | byte((time >> 29) & 0x0e) | 1;
    stream[at + 1] = byte(time >> 22);
    stream[at + 2] = byte((time >> 14) & 0xfe) | 1;
    stream[at + 3] = byte(time >> 7);
    stream[at + 4] = byte((time << 1) & 0xfe) | 1;
}

/// The index of the second half of the file is there, but its pictures are zeros.
async fn a_damaged_second_half() {
    let picture = "testsrc2=size=160x90:rate=25:duration=150";
    let args = ["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", "-g", "50"];
    let mut bytes = fs::read(media::made("mp4", &args)).expect("a clip");
    let index = bytes.windows(4).rposition(|kind| kind == b"moov").expect("an index") - 4;
    bytes[index / 2..index].fill(0);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("damaged.mp4");
    fs::write(&path, bytes).expect("room");
    let source = source(&path).await;
    let last = source.probe.video[0].last_decodable.expect("the end cannot be decoded").as_secs_f64();
    assert!((50.0..85.0).contains(&last), "the last picture lies near {last} s");
    let end = u32::try_from(source.plan.video_spans().len()).expect("fits") - 1;
    let segments = source.encode(source.chunk(|span| span.index == end)).await.expect("the last picture stands");
    assert_eq!(segments.len(), source.plan.video.as_ref().expect("a video").rungs.len());
}
