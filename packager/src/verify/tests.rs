use domain::{Bitrate, ParameterSets, Resolution, Timescale};
use proptest::prelude::*;

use super::*;
use crate::cmaf::{self, AudioConfig, Segment, VideoConfig, VideoSample};

const TICKS: u32 = 1000;
const SPAN: Span = Span { index: 1, first: 50, count: 6 };
const GOPS: &[u32] = &[3, 3];

fn segment() -> Segment {
    let config = VideoConfig {
        resolution: Resolution { width: 160, height: 120 },
        timescale: Timescale::new(25_000).expect("not zero"),
        frame_ticks: TICKS,
        sets: ParameterSets::H264 { sps: Vec::new(), pps: Vec::new() },
    };
    let data = |is_idr| vec![0, 0, 0, 3, if is_idr { 0x65 } else { 0x41 }, 1, 2];
    let order = [(0, true), (2, false), (1, false), (3, true), (5, false), (4, false)];
    let all: Vec<(u32, bool, Vec<u8>)> = order.map(|(display, is_idr)| (display, is_idr, data(is_idr))).into();
    let samples: Vec<VideoSample<'_>> =
        all.iter().map(|(display, is_idr, data)| VideoSample { display: *display, is_idr: *is_idr, data }).collect();
    cmaf::video_segment(&config, SPAN, GOPS, &samples).expect("a segment")
}

fn audio_segment() -> Segment {
    let config = AudioConfig {
        sample_rate: Timescale::new(48_000).expect("not zero"),
        channels: 2,
        config: vec![0x11, 0x90],
        bitrate: Bitrate(128_000),
        offset_ticks: 0,
    };
    cmaf::audio_segment(&config, SPAN, &[&[1u8, 2, 3][..]; 6]).expect("a segment")
}

/// Where the `nth` box of a kind begins, found by its name.
fn find(bytes: &[u8], kind: &[u8; 4], nth: usize) -> usize {
    let mut places = bytes.windows(4).enumerate().filter(|(_, window)| window == kind).map(|(at, _)| at - 4);
    places.nth(nth).expect("a box of this kind")
}

#[test]
fn a_good_segment_is_confirmed() {
    let segment = segment();
    let verified = video(&segment.bytes, Codec::H264, TICKS, SPAN, GOPS).expect("good");
    assert_eq!((verified.ticks, verified.keyframes), (segment.ticks, segment.keyframes));
    assert_eq!(audio(&audio_segment().bytes, SPAN, 0).expect("good").ticks, 6 * 1024);
}

#[test]
fn every_fault_is_named() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = segment().bytes;
        change(&mut bytes);
        let error = video(&bytes, Codec::H264, TICKS, SPAN, GOPS).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    };
    let moof = find(&segment().bytes, b"moof", 0);
    let second = find(&segment().bytes, b"moof", 1);
    check(&|bytes| bytes.clear(), "expected styp at byte 0, found nothing");
    check(&|bytes| bytes.push(0), "1 bytes after the last fragment");
    check(&|bytes| bytes.truncate(second), &format!("expected moof at byte {second}, found nothing"));
    check(
        &|bytes| bytes.truncate(bytes.len() - 1),
        &format!("the box at byte {} does not fit its parent", find(&segment().bytes, b"mdat", 1)),
    );
    check(
        &|bytes| bytes[moof + 4..moof + 8].copy_from_slice(b"free"),
        &format!("expected moof at byte {moof}, found free"),
    );
    check(
        &|bytes| {
            let at = find(bytes, b"tfdt", 1);
            bytes[at + 4] = b'x'
        },
        "expected one tfdt in traf, found 0",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"tfdt", 1);
            bytes[at + 19] ^= 1
        },
        "fragment 1: the decode time is 53001, planned is 53000",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"tfhd", 0);
            bytes[at + 19] ^= 1
        },
        "fragment 0: the duration of a sample is 1001, planned is 1000",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"tfhd", 0);
            bytes[at + 21] = 0
        },
        "fragment 0: a sync flag disagrees with the slice type",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 15] = 2
        },
        "fragment 0: the trun is damaged",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 19] ^= 1
        },
        "fragment 0: the samples do not begin with the mdat",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 27] += 1
        },
        "fragment 0: the samples exceed the mdat",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 27] -= 1
        },
        "fragment 0: the mdat holds more than the samples",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 31] = 1
        },
        "fragment 0: the IDR picture is not shown first",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"trun", 0);
            bytes[at + 39] ^= 1
        },
        "fragment 0: frames are not shown at even distances",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"mdat", 1);
            bytes[at + 12] = 0x41
        },
        "fragment 1: the IDR picture is not the first sample alone",
    );
    check(
        &|bytes| {
            let at = find(bytes, b"mdat", 0);
            bytes[at + 12] = 0x67
        },
        "fragment 0: sample 0 is not a coded picture",
    );
    let other = Span { count: 7, ..SPAN };
    assert_eq!(
        video(&segment().bytes, Codec::H264, TICKS, other, &[3, 3, 1]).expect_err("a frame is missing").to_string(),
        format!("expected moof at byte {}, found nothing", segment().bytes.len())
    );
}

#[test]
fn an_audio_fault_is_named() {
    let check = |span: Span, expected: &str| {
        assert_eq!(audio(&audio_segment().bytes, span, 0).expect_err(expected).to_string(), expected);
    };
    check(Span { count: 5, ..SPAN }, "fragment 0: the number of samples is 6, planned is 5");
    check(Span { first: 49, ..SPAN }, "fragment 0: the decode time is 51200, planned is 50176");
}

#[test]
fn a_segment_may_take_twice_the_declared_rate_and_no_more() {
    let scale = Timescale::new(1000).expect("not zero");
    let check = |bytes, ticks| bitrate(bytes, ticks, scale, Bitrate(400_000));
    assert_eq!(check(600_000, 6000), Ok(()));
    let error = check(600_001, 6000).expect_err("too much");
    assert_eq!(error.to_string(), "4800008 bits are more than the 4800000 that twice the declared bit rate allows");
    // The last frame of a video, on its own.
    assert_eq!(check(100_000, 40), Ok(()));
    assert!(check(100_001, 40).is_err());
    assert!(bitrate(u64::MAX, u64::MAX, scale, Bitrate(u64::MAX)).is_ok(), "and nothing overflows");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, count in 0u32..20, gop in 0u32..20) {
        let span = Span { index: 0, first: u64::MAX, count };
        let _ = video(&bytes, Codec::H264, u32::MAX, span, &[gop, 1]);
        let _ = audio(&bytes, span, 0);
        let _ = init(&bytes);
    }

    #[test]
    fn no_changed_byte_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let (mut picture, mut sound) = (segment().bytes, audio_segment().bytes);
        for (at, value) in changes {
            let place = at.index(picture.len());
            picture[place] = value;
            let place = at.index(sound.len());
            sound[place] = value;
        }
        let _ = video(&picture, Codec::H264, TICKS, SPAN, GOPS);
        let _ = audio(&sound, SPAN, 0);
    }
}
