//! Which sources may be shown as they are.

use super::*;
use crate::plan::Limits;
use crate::probe::{Color, Extent, FieldOrder, Jump, Rotation};
use crate::{ByteSize, FrameRate, Plan, Probe, Recipe, Resolution};

fn ms(ticks: i64) -> MediaTime {
    MediaTime::new(ticks, Timescale::MILLISECONDS)
}

/// Eight seconds of 720p at 25 fps in GOPs of 2 s, 1 Mb/s.
fn track() -> VideoTrack {
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 1280, height: 720 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::Progressive,
        jumps: vec![],
        last_decodable: None,
        extent: Extent { start: ms(0), end: ms(8000) },
        frame_count: 200,
        measured_rate: FrameRate::new(25, 1).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        avc: Some(Avc {
            sps: vec![0x67, 100, 0, 31],
            pps: vec![0x68, 1],
            stray: ms(1),
            average: Bitrate(1_000_000),
            peak: Bitrate(2_000_000),
            gops: vec![50; 4],
        }),
    }
}

fn check(change: impl FnOnce(&mut VideoTrack), expected: Result<(), Obstacle>) {
    let mut track = track();
    change(&mut track);
    assert_eq!(plan(&track, ms(0)).map(drop), expected);
}

/// The same for what only H.264 has.
fn check_avc(change: impl FnOnce(&mut Avc), expected: Result<(), Obstacle>) {
    check(|track| change(track.avc.as_mut().expect("it is there")), expected);
}

#[test]
fn a_plain_source_becomes_the_largest_rendition() {
    let plan = plan(&track(), ms(0)).expect("plain");
    assert_eq!(plan.cadence.cells, [[50], [50], [50], [50]]);
    assert_eq!((plan.frame_count, plan.codecs.as_str()), (200, "avc1.64001f"));
    let rungs: Vec<_> = plan.rungs.iter().map(|rung| (rung.id.as_str(), rung.bitrate_max.0)).collect();
    assert_eq!(rungs, [("240p", 400_000), ("360p", 900_000), ("480p", 1_600_000), ("720p", 2_040_000)]);
}

#[test]
fn no_smaller_rendition_costs_more_than_the_source() {
    let mut track = track();
    track.avc.as_mut().expect("it is there").peak = Bitrate(500_000);
    let plan = plan(&track, ms(0)).expect("plain");
    assert!(plan.rungs.iter().all(|rung| rung.bitrate_max.0 <= 510_000), "{:?}", plan.rungs);
}

#[test]
fn another_look_or_coding_is_encoded() {
    check(|_| {}, Ok(()));
    check(|track| track.avc = None, Err(Obstacle::Coding));
    check(|track| track.codec = "hevc".into(), Err(Obstacle::Coding));
    check(|track| track.pixel_format = "yuv422p".into(), Err(Obstacle::Format));
    check(|track| track.color.range = Some("pc".into()), Err(Obstacle::Format));
    check(|track| track.field_order = FieldOrder::TopFirst, Err(Obstacle::Format));
    check(|track| track.color.transfer = Some("arib-std-b67".into()), Err(Obstacle::Colour));
    check(|track| track.color.primaries = Some("bt2020".into()), Err(Obstacle::Colour));
    check(|track| track.color.primaries = Some("smpte432".into()), Err(Obstacle::Colour));
    check(|track| track.orientation.rotation = Rotation::Quarter, Err(Obstacle::Orientation));
    check(|track| track.sample_aspect = (2, 1), Err(Obstacle::Orientation));
    check(|track| track.coded = Resolution { width: 2560, height: 1440 }, Err(Obstacle::Size));
    check_avc(|avc| avc.sps[1] = 110, Err(Obstacle::Profile));
    check_avc(|avc| avc.sps[1] = 66, Err(Obstacle::Profile));
    check_avc(|avc| avc.sps[1..3].copy_from_slice(&[66, 0xc0]), Ok(()));
    check_avc(|avc| avc.sps[3] = 51, Err(Obstacle::Profile));
}

#[test]
fn frames_off_the_grid_are_encoded() {
    check_avc(|avc| avc.stray = ms(19), Ok(()));
    check_avc(|avc| avc.stray = ms(20), Err(Obstacle::Rhythm));
    check(|track| track.extent.end = ms(8040), Ok(()));
    check(|track| track.extent.end = ms(8080), Err(Obstacle::Rhythm));
    check(|track| track.frame_count = 199, Err(Obstacle::Rhythm));
    check(|track| track.jumps = vec![Jump { position: 1000, shift: ms(40) }], Err(Obstacle::Rhythm));
    check(|track| track.last_decodable = Some(ms(7000)), Err(Obstacle::Rhythm));
    check_avc(|avc| avc.gops = vec![50, 50, 50], Err(Obstacle::Rhythm));
}

#[test]
fn sound_that_begins_a_little_before_the_picture_is_cut() {
    let check = |start: i64, expected: Result<i64, Obstacle>| {
        let mut track = track();
        track.extent = Extent { start: ms(start), end: ms(start + 8000) };
        assert_eq!(plan(&track, ms(0)).map(|plan| plan.origin.as_ms()), expected, "{start} ms");
    };
    check(0, Ok(0));
    check(18, Ok(0));
    check(19, Ok(19));
    check(50, Ok(50));
    check(51, Err(Obstacle::Rhythm));
}

#[test]
fn keyframes_must_make_segments_and_not_waste_bits() {
    check_avc(|avc| avc.gops = vec![162, 38], Ok(()));
    check_avc(|avc| avc.gops = vec![163, 37], Err(Obstacle::Keyframes));
    check_avc(|avc| avc.gops = [vec![13; 15], vec![5]].concat(), Ok(()));
    check_avc(|avc| avc.gops = vec![10; 20], Err(Obstacle::Keyframes));
}

#[test]
fn too_many_bits_for_the_size_are_encoded() {
    check_avc(|avc| avc.average = Bitrate(3_500_000), Ok(()));
    check_avc(|avc| avc.average = Bitrate(3_500_001), Err(Obstacle::Bitrate));
    check_avc(|avc| avc.peak = Bitrate(7_000_000), Ok(()));
    check_avc(|avc| avc.peak = Bitrate(7_000_001), Err(Obstacle::Bitrate));
}

#[test]
fn a_plan_copies_only_where_the_recipe_allows_it() {
    let probe = Probe {
        container: "mp4".into(),
        size: ByteSize(1),
        video: vec![track()],
        audio: vec![],
        subtitles: vec![],
        chapters: vec![],
        title: None,
        libraries: String::new(),
        cover: None,
    };
    let planned = |passthrough| {
        let recipe = Recipe { passthrough, ..Recipe::default() };
        Plan::new(&probe, &recipe, &Limits::default()).expect("can be planned")
    };
    let video = planned(true).video.expect("a picture");
    assert_eq!(video.copied_rung().map(|rung| rung.id.as_str()), Some("720p"));
    assert_eq!((video.encoded_count(), video.rungs.len()), (3, 4));
    let encoded = planned(false);
    assert!(encoded.cadence.cells.is_empty());
    let video = encoded.video.expect("a picture");
    assert_eq!((video.copied_rung(), video.encoded_count()), (None, 4));
}
