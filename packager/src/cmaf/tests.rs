use domain::{Cadence, FrameRate, MediaTime};
use mp4_atom::{Decode, Ftyp, Header, Moof, Moov};
use proptest::prelude::*;

use super::*;
use crate::verify;

/// 160x120 High 1.1 at 25 fps with BT.709 tags, as x264 writes them.
const SPS: [u8; 30] = [
    0x67, 0x64, 0x00, 0x0b, 0xac, 0xd3, 0x0a, 0x11, 0xf9, 0x70, 0x16, 0xa0, 0x20, 0x20, 0x28, 0x00, 0x00, 0x03, 0x00,
    0x08, 0x00, 0x00, 0x03, 0x03, 0x01, 0x90, 0x78, 0xa1, 0x49, 0xc0,
];
const PPS: [u8; 4] = [0x68, 0xef, 0xbc, 0xb0];

fn video_config() -> VideoConfig {
    let rate = FrameRate::new(30_000, 1001).expect("a rate");
    VideoConfig {
        resolution: Resolution { width: 160, height: 120 },
        timescale: rate.timescale(),
        frame_ticks: rate.frame_ticks(),
        sets: ParameterSets::H264 { sps: SPS.to_vec(), pps: PPS.to_vec() },
    }
}

fn audio_config() -> AudioConfig {
    AudioConfig {
        sample_rate: Timescale::new(48_000).expect("not zero"),
        channels: 2,
        config: vec![0x11, 0x90],
        bitrate: Bitrate(128_000),
        offset_ticks: 0,
    }
}

/// One coded picture: an access unit of a single slice of `bytes` octets.
fn picture(is_idr: bool, bytes: u8) -> Vec<u8> {
    let mut data = vec![0, 0, 0, bytes.max(1), if is_idr { 0x65 } else { 0x41 }];
    data.resize(4 + usize::from(bytes.max(1)), bytes);
    data
}

/// A coded picture that owns its data: (display, is_idr, data).
type Owned = (u32, bool, Vec<u8>);

/// GOPs of this length, of which the last may be shorter.
fn gops(span: Span, gop_frames: u32) -> Vec<u32> {
    let frame_rate = FrameRate::new(25, 1).expect("a rate");
    Cadence { frame_rate, gop_frames, cells: vec![] }.gops(span)
}

/// GOPs of I P B B P B B ...: each P picture is shown after the two coded behind it.
fn pictures(span: Span, gop_frames: u32) -> Vec<Owned> {
    let mut out = Vec::new();
    let mut start = 0;
    for frames in gops(span, gop_frames) {
        let rest: Vec<u32> = (1..frames).collect();
        let order = [0].into_iter().chain(rest.chunks(3).flat_map(|run| {
            let (last, before) = run.split_last().expect("chunks are not empty");
            [*last].into_iter().chain(before.iter().copied()).collect::<Vec<_>>()
        }));
        for (at, display) in order.enumerate() {
            let size = u8::try_from(out.len() % 97 + 3).expect("small");
            out.push((start + display, at == 0, picture(at == 0, size)));
        }
        start += frames;
    }
    out
}

fn samples(pictures: &[Owned]) -> Vec<VideoSample<'_>> {
    pictures.iter().map(|(display, is_idr, data)| VideoSample { display: *display, is_idr: *is_idr, data }).collect()
}

fn span(index: u32, first: u64, count: u32) -> Span {
    Span { index, first, count }
}

/// The boxes of a file as an indented list with sizes.
fn outline(bytes: &[u8], depth: usize) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 8) {
        let size = usize::try_from(u32::from_be_bytes(head[..4].try_into().unwrap())).unwrap();
        let kind = String::from_utf8_lossy(&head[4..]).into_owned();
        out.push_str(&format!("{}{kind} {size}\n", "  ".repeat(depth)));
        if ["moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"].contains(&kind.as_str()) {
            out.push_str(&outline(&bytes[at + 8..at + size], depth + 1));
        }
        at += size;
    }
    assert_eq!(at, bytes.len(), "boxes fill their parent");
    out
}

#[test]
fn a_video_track_begins_with_these_boxes() {
    let init = video_init(&video_config()).unwrap();
    insta::assert_snapshot!(outline(&init, 0));
    assert_eq!(verify::init(&init), Ok(()));
    let mut rest = init.as_slice();
    let ftyp = Ftyp::decode(&mut rest).unwrap();
    assert_eq!(format!("{:?} {:?}", ftyp.major_brand, ftyp.compatible_brands), "iso6 [iso6, cmfc, cmf2, mp41]");
    insta::assert_debug_snapshot!(Moov::decode(&mut rest).unwrap());
}

#[test]
fn an_audio_track_begins_with_these_boxes() {
    let init = audio_init(&audio_config()).unwrap();
    insta::assert_snapshot!(outline(&init, 0));
    assert_eq!(verify::init(&init), Ok(()));
    let mut rest = init.as_slice();
    Ftyp::decode(&mut rest).unwrap();
    insta::assert_debug_snapshot!(Moov::decode(&mut rest).unwrap());
}

#[test]
fn a_segment_holds_one_fragment_per_gop() {
    let span = span(3, 180, 7);
    let pictures = pictures(span, 4);
    let segment = video_segment(&video_config(), span, &gops(span, 4), &samples(&pictures)).unwrap();
    insta::assert_snapshot!(outline(&segment.bytes, 0));
    assert_eq!(segment.ticks, 7 * 1001);
    assert_eq!(segment.keyframes.iter().map(|range| range.ticks).collect::<Vec<_>>(), [4 * 1001, 3 * 1001]);
    for (range, gop) in segment.keyframes.iter().zip([&pictures[..4], &pictures[4..]]) {
        let start = usize::try_from(range.offset).unwrap();
        let end = start + usize::try_from(range.length).unwrap();
        assert_eq!(&segment.bytes[start + 4..start + 8], b"moof");
        assert!(segment.bytes[start..end].ends_with(&gop[0].2));
        let moof = Moof::decode(&mut &segment.bytes[start..]).unwrap();
        assert_eq!(moof.traf[0].tfhd.default_sample_duration, Some(1001));
    }
}

#[test]
fn a_codec_string_comes_from_the_parameter_set() {
    let codecs = |sps: &[u8]| codecs(&ParameterSets::H264 { sps: sps.to_vec(), pps: PPS.to_vec() });
    assert_eq!(codecs(&SPS).unwrap(), "avc1.64000b");
    assert!(codecs(&[0x67, 0x64]).is_err());
    assert!(codecs(&PPS).is_err());
}

#[test]
fn samples_that_are_not_the_plan_are_refused() {
    let span = span(0, 0, 8);
    let check = |change: &dyn Fn(&mut Vec<Owned>), expected: &str| {
        let mut pictures = pictures(span, 4);
        change(&mut pictures);
        let error = video_segment(&video_config(), span, &gops(span, 4), &samples(&pictures)).unwrap_err();
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        assert_eq!(format!("{error}{source}"), expected);
    };
    check(&|all| all.truncate(7), "expected 8 samples, got 7");
    check(&|all| all[4] = (4, false, picture(false, 9)), "GOP 1 does not begin with an IDR picture");
    check(&|all| all[0].0 = 1, "GOP 0 does not begin with an IDR picture");
    check(&|all| all[6] = (all[6].0, true, picture(true, 9)), "sample 6 is an IDR picture inside a GOP");
    check(&|all| all[0].1 = false, "sample 0 is marked is_idr=false against its slice type");
    check(&|all| all[2].0 = all[1].0, "GOP 0 does not show each of its frames once");
    check(&|all| all[7].0 = 2, "GOP 1 does not show each of its frames once");
    check(&|all| all[7].0 = u32::MAX, "GOP 1 does not show each of its frames once");
    check(&|all| all[3].2.clear(), "sample 3 is empty");
    check(
        &|all| all[3].2.truncate(6),
        "sample 3 is not a coded picture: the NAL unit at byte 0 has a length that does not fit",
    );
    check(
        &|all| all[5].2.extend([0, 0, 0, 2, 0x67, 1]),
        "sample 5 is not a coded picture: a parameter set (NAL unit type 7) inside the sample",
    );
    check(&|all| all[1].2 = vec![0; SAMPLE_BYTES_MAX + 1], "a sample of 16777217 bytes exceeds the limit of 16777216");
}

#[test]
fn an_impossible_span_is_refused() {
    let config = video_config();
    assert!(matches!(video_segment(&config, span(0, 0, 0), &[], &[]), Err(CmafError::FrameCount { frames: 0 })));
    let huge = span(0, 0, u32::MAX);
    assert!(matches!(video_segment(&config, huge, &[u32::MAX], &[]), Err(CmafError::FrameCount { .. })));
    let late = span(0, u64::MAX - 4, 4);
    let late_pictures = pictures(late, 4);
    assert!(matches!(video_segment(&config, late, &[4], &samples(&late_pictures)), Err(CmafError::Overflow)));
    let short = span(0, 0, 4);
    let wrong = |gops: &[u32]| {
        matches!(
            video_segment(&config, short, gops, &samples(&pictures(short, 4))),
            Err(CmafError::Gops { expected: 4, .. })
        )
    };
    assert!(wrong(&[3]) && wrong(&[4, 0]) && wrong(&[2, 3]) && wrong(&[]));
    assert!(matches!(audio_segment(&audio_config(), span(0, u64::MAX, 1), &[&[1]]), Err(CmafError::Overflow)));
}

#[test]
fn a_configuration_that_is_not_the_plan_is_refused() {
    let check = |config: VideoConfig, expected: &str| {
        assert_eq!(video_init(&config).unwrap_err().to_string(), expected);
    };
    let with = |sps: &[u8], pps: &[u8]| VideoConfig {
        sets: ParameterSets::H264 { sps: sps.to_vec(), pps: pps.to_vec() },
        ..video_config()
    };
    let size = Resolution { width: 160, height: 122 };
    check(
        VideoConfig { resolution: size, ..video_config() },
        "the sequence parameter set states 160x120, the plan 160x122",
    );
    check(with(&PPS, &PPS), "unusable sequence parameter set: the NAL unit is of another type");
    check(with(&SPS, &SPS), "unusable picture parameter set: the NAL unit is of another type");
    check(with(&SPS[..7], &PPS), "unusable sequence parameter set: it is cut short or states impossible values");

    let check = |config: AudioConfig, expected: &str| {
        assert_eq!(audio_init(&config).unwrap_err().to_string(), expected);
    };
    let with = |config: &[u8]| AudioConfig { config: config.to_vec(), ..audio_config() };
    check(with(&[0x11]), "unusable AudioSpecificConfig: it is cut short");
    check(with(&[0x2b, 0x92]), "unusable AudioSpecificConfig: it is not AAC-LC");
    check(with(&[0x12, 0x10]), "unusable AudioSpecificConfig: it states another sample rate");
    check(with(&[0x11, 0x88]), "unusable AudioSpecificConfig: it states another number of channels");
    check(with(&[0x11; 65]), "unusable AudioSpecificConfig: it is too long");
}

#[test]
fn gops_of_any_length_make_a_segment() {
    let span = span(2, 31, 9);
    let lengths = [1, 5, 3];
    let mut pictures: Vec<Owned> = Vec::new();
    let mut start = 0;
    for frames in lengths {
        pictures.extend((0..frames).map(|at| (start + at, at == 0, picture(at == 0, 9))));
        start += frames;
    }
    let segment = video_segment(&video_config(), span, &lengths, &samples(&pictures)).unwrap();
    let ticks: Vec<u64> = segment.keyframes.iter().map(|range| range.ticks / 1001).collect();
    assert_eq!(ticks, [1, 5, 3]);
    assert!(verify::video(&segment.bytes, Codec::H264, 1001, span, &lengths).is_ok());
    assert!(verify::video(&segment.bytes, Codec::H264, 1001, span, &[1, 5]).is_err());
    assert!(verify::video(&segment.bytes, Codec::H264, 1001, span, &[6, 3]).is_err());
}

#[test]
fn an_audio_segment_is_one_fragment() {
    let frames: Vec<Vec<u8>> = (1..=281u32).map(|at| vec![0x21; usize::try_from(at % 200 + 1).unwrap()]).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let span = span(5, 844, 281);
    let segment = audio_segment(&audio_config(), span, &frames).unwrap();
    assert_eq!((segment.ticks, segment.keyframes.len()), (281 * 1024, 0));
    let verified = verify::audio(&segment.bytes, span, 0).unwrap();
    assert_eq!(verified.ticks, segment.ticks);
    let file = [audio_init(&audio_config()).unwrap(), segment.bytes].concat();
    let times = read_by_others(&file);
    assert_eq!(times.first(), Some(&(844 * 1024, 844 * 1024, true)));
    assert_eq!(times.last(), Some(&(1124 * 1024, 1124 * 1024, true)));
    assert!(matches!(audio_segment(&audio_config(), span, &[]), Err(CmafError::SampleCount { .. })));
    assert!(matches!(audio_segment(&audio_config(), Span { count: 1, ..span }, &[&[]]), Err(CmafError::Empty { .. })));
}

/// Decode time, presentation time and sync flag of every sample, by a reader that shares no code with the writer.
fn read_by_others(file: &[u8]) -> Vec<(i64, i64, bool)> {
    let mp4 = re_mp4::Mp4::read_bytes(file).expect("a fragmented file");
    let track = mp4.tracks().get(&1).expect("track 1");
    let read = |sample: &re_mp4::Sample| {
        // It takes the offsets of a version 1 trun for unsigned, so a negative one is 2^32 too large.
        let offset = u32::try_from(sample.composition_timestamp - sample.decode_timestamp).expect("32 bits");
        (sample.decode_timestamp, sample.decode_timestamp + i64::from(offset.cast_signed()), sample.is_sync)
    };
    track.samples.iter().map(read).collect()
}

/// A permutation of a GOP that keeps the first picture first.
fn shuffled(frames: u32, keys: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (1..frames).collect();
    order.sort_by_key(|at| keys.get(usize::try_from(*at).unwrap() % keys.len().max(1)).copied().unwrap_or(0));
    [0].into_iter().chain(order).collect()
}

proptest! {
    #[test]
    fn what_is_written_reads_back_as_the_plan(
        gop_frames in 1u32..70,
        first in 0u64..20_000_000,
        count in 1u32..220,
        keys in proptest::collection::vec(any::<u32>(), 1..70),
        sizes in proptest::collection::vec(1u8..120, 1..20),
    ) {
        let config = video_config();
        let span = span(0, first, count);
        let gops = gops(span, gop_frames);
        let mut pictures: Vec<Owned> = Vec::new();
        let mut start = 0;
        for &frames in &gops {
            for display in shuffled(frames, &keys) {
                let size = sizes[pictures.len() % sizes.len()];
                pictures.push((start + display, display == 0, picture(display == 0, size)));
            }
            start += frames;
        }
        let segment = video_segment(&config, span, &gops, &samples(&pictures)).unwrap();
        let again = video_segment(&config, span, &gops, &samples(&pictures)).unwrap();
        prop_assert_eq!(&segment, &again);

        let verified = verify::video(&segment.bytes, Codec::H264, config.frame_ticks, span, &gops).unwrap();
        prop_assert_eq!(verified.ticks, segment.ticks);
        prop_assert_eq!(verified.keyframes, segment.keyframes);

        let file = [video_init(&config).unwrap(), segment.bytes.clone()].concat();
        let frame = i64::from(config.frame_ticks);
        let first = i64::try_from(span.first).unwrap();
        let expected: Vec<(i64, i64, bool)> = pictures.iter().zip(0i64..).map(|((display, is_idr, _), at)| {
            ((first + at) * frame, (first + i64::from(*display)) * frame, *is_idr)
        }).collect();
        prop_assert_eq!(read_by_others(&file), expected);

        let mut rest = segment.bytes.as_slice();
        let mut numbers = Vec::new();
        while !rest.is_empty() {
            let header = Header::decode(&mut rest).unwrap();
            let body = header.size.unwrap();
            if header.kind == mp4_atom::FourCC::new(b"moof") {
                let offset = segment.bytes.len() - rest.len() - 8;
                numbers.push(Moof::decode(&mut &segment.bytes[offset..]).unwrap().mfhd.sequence_number);
            }
            rest = &rest[body..];
        }
        prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

#[test]
fn twelve_hours_fit_every_field() {
    let rate = FrameRate::new(60_000, 1001).expect("a rate");
    let config = VideoConfig { timescale: rate.timescale(), frame_ticks: rate.frame_ticks(), ..video_config() };
    let first = 12 * 3600 * 60 / 120 * 120;
    let span = span(7000, first, 120);
    let pictures = pictures(span, 120);
    let segment = video_segment(&config, span, &[120], &samples(&pictures)).unwrap();
    verify::video(&segment.bytes, Codec::H264, config.frame_ticks, span, &[120]).unwrap();
    let start = MediaTime::new(i64::try_from(first * 1001).unwrap(), config.timescale);
    assert!(start.as_secs_f64() > 43_000.0);
}
