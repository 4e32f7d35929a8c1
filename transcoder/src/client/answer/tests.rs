use domain::ladder;
use domain::probe::{AudioTrack, Color, Extent, FieldOrder, Orientation, VideoTrack};
use domain::{Cadence, FrameRate, MediaTime, Recipe, Timescale};
use proptest::prelude::*;

use super::*;
use crate::SegmentWork;
use crate::wire::{Inbox, Writer};

fn request(counts: &[u32]) -> ChunkRequest {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let size = Resolution { width: 64, height: 36 };
    let extent = Extent { start: MediaTime::zero(), end: MediaTime::new(10, Timescale::MILLISECONDS) };
    let mut first = 0;
    let spans: Vec<Span> = counts
        .iter()
        .zip(0..)
        .map(|(&count, index)| {
            let span = Span { index, first, count };
            first = span.end();
            span
        })
        .collect();
    ChunkRequest {
        track: VideoTrack {
            stream_index: 0,
            codec: "h264".into(),
            pixel_format: "yuv420p".into(),
            coded: size,
            sample_aspect: (1, 1),
            orientation: Orientation::default(),
            color: Color::default(),
            field_order: FieldOrder::Progressive,
            extent,
            frame_count: 1,
            measured_rate: rate,
            is_variable_rate: false,
            language: None,
            is_default: true,
            jumps: Vec::new(),
            last_decodable: None,
            avc: None,
        },
        origin: MediaTime::zero(),
        recipe: Recipe::default(),
        cadence: Cadence { frame_rate: rate, gop_frames: 2, cells: vec![] },
        frame_count: first,
        rungs: ladder::rungs(size, rate),
        work: spans.into_iter().map(|span| SegmentWork { span, rungs: vec![true] }).collect(),
    }
}

fn nal(kind: u8) -> Vec<u8> {
    vec![0, 0, 0, 2, kind, 9]
}

fn segment(index: u32, samples: &[(u32, u8)]) -> Message {
    let mut writer = Writer::new(Kind::Video);
    writer.u32(0).u32(index).bytes(&[0x67, 1]).bytes(&[0x68, 1]);
    for &(display, kind) in samples {
        writer.u32(display).bytes(&nal(kind));
    }
    let mut inbox = Inbox::default();
    inbox.tail().extend(writer.finish().expect("short"));
    inbox.take().expect("well-formed").expect("complete")
}

fn check(index: u32, samples: &[(u32, u8)]) -> Result<VideoSegment, Malformed> {
    let checker = Chunk::new(&request(&[4, 2])).expect("a sound request");
    checker.into_reader()(segment(index, samples))
}

#[test]
fn a_segment_in_decode_order_is_taken() {
    let taken = check(0, &[(0, 0x65), (1, 0x41), (2, 0x65), (3, 0x41)]).expect("well-formed");
    assert_eq!(taken.samples.iter().map(|sample| sample.is_idr).collect::<Vec<_>>(), [true, false, true, false]);
}

#[test]
fn segments_that_lie_are_refused() {
    let sound = [(0, 0x65), (1, 0x41), (2, 0x65), (3, 0x41)];
    assert!(check(1, &sound).is_err(), "out of order");
    assert!(check(0, &sound[..3]).is_err(), "a frame is missing");
    assert!(check(0, &[(0, 0x65), (1, 0x41), (2, 0x65), (2, 0x41)]).is_err(), "a frame is doubled");
    assert!(check(0, &[(0, 0x65), (1, 0x41), (2, 0x65), (4, 0x41)]).is_err(), "a frame is outside");
    assert!(check(0, &[(0, 0x41), (1, 0x41), (2, 0x65), (3, 0x41)]).is_err(), "no IDR at the start");
    assert!(check(0, &[(0, 0x65), (1, 0x41), (2, 0x41), (3, 0x41)]).is_err(), "no IDR at the GOP");
    assert!(check(0, &[(0, 0x65), (1, 0x06), (2, 0x65), (3, 0x41)]).is_err(), "an SEI is no slice");
}

#[test]
fn a_copy_must_keep_to_the_gops_of_its_source() {
    let cells = vec![vec![1, 3], vec![2]];
    let cadence = Cadence { cells, ..request(&[4, 2]).cadence };
    let work: Vec<Span> = request(&[4, 2]).work.into_iter().map(|work| work.span).collect();
    let copy = CopyRequest { stream_index: 0, origin: MediaTime::zero(), cadence, frame_count: 6, work };
    let check = |samples| Chunk::of_copy(&copy).expect("a sound request").into_reader()(segment(0, samples));
    assert!(check(&[(0, 0x65), (1, 0x65), (3, 0x41), (2, 0x01)]).is_ok());
    assert!(check(&[(0, 0x65), (1, 0x41), (2, 0x65), (3, 0x41)]).is_err(), "an IDR is misplaced");
    assert!(check(&[(0, 0x65), (1, 0x65), (2, 0x65), (3, 0x41)]).is_err(), "there is one IDR too many");
    let short = Cadence { cells: vec![vec![1, 2], vec![2]], ..copy.cadence.clone() };
    assert!(Chunk::of_copy(&CopyRequest { cadence: short, ..copy.clone() }).is_err(), "GOPs of 3 frames in 4");
    assert!(Chunk::of_copy(&CopyRequest { frame_count: 5, ..copy }).is_err(), "a segment ends behind the video");
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    assert!(Chunk::new(&request(&[4, 0])).is_err(), "an empty segment");
    let mut overlapping = request(&[4, 2]);
    overlapping.work[1].span.first = 3;
    assert!(Chunk::new(&overlapping).is_err());
    let mut behind = request(&[4, 2]);
    behind.frame_count = 5;
    assert!(Chunk::new(&behind).is_err());
}

proptest! {
    #[test]
    fn hostile_payloads_are_refused_without_panic(kind in 0usize..5, bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let kinds = [Kind::Video, Kind::Audio, Kind::Picture, Kind::Cue, Kind::Probe];
        let message = Message { kind: kinds[kind], payload: bytes };
        let chunk = request(&[4]);
        prop_assert!(Chunk::new(&chunk).expect("sound").into_reader()(message.clone()).is_err());
        let extent = chunk.track.extent;
        let audio = AudioRequest {
            track: AudioTrack {
                stream_index: 0,
                codec: "aac".into(),
                sample_rate: 48_000,
                channels: 2,
                extent,
                language: None,
                title: None,
                is_default: true,
                jumps: Vec::new(),
                aac: None,
            },
            origin: MediaTime::zero(),
            recipe: Recipe::default(),
            channels: 2,
            frame_count: 200,
            gain_db: None,
            part_first: 0,
            work: vec![Span { index: 0, first: 0, count: 200 }],
        };
        let elsewhere = AudioRequest { part_first: 1, ..audio.clone() };
        prop_assert!(Audio::new(&elsewhere).is_err(), "a segment before its part");
        prop_assert!(Audio::new(&audio).expect("sound").into_reader()(message.clone()).is_err());
        let cues = SubtitlesRequest { stream_indices: vec![1], origin: MediaTime::zero(), jumps: vec![] };
        prop_assert!(Cues::new(&cues).expect("sound").into_reader()(message).is_err());
    }
}

#[test]
fn looks_that_lie_are_refused() {
    let cost = |change: fn(&mut SampleCost)| {
        let mut cost = SampleCost { rung: 0, index: 0, crf: Some(24), bytes: 9, ssim_millionths: Some(1_000_000) };
        change(&mut cost);
        let request = MeasureRequest { picture: request(&[4]), crfs: vec![24, 30] };
        let message = Message { kind: Kind::Cost, payload: serde_json::to_vec(&cost).expect("serialises") };
        let mut read = Costs::new(&request).expect("a sound request").into_reader();
        read(message.clone()).map(|told| (told, read(message).is_err()))
    };
    let (told, is_refused_again) = cost(|_| {}).expect("well-formed");
    assert!(told.crf == Some(24) && is_refused_again, "each look is told once");
    for lie in [
        |cost: &mut SampleCost| cost.crf = Some(25),
        |cost: &mut SampleCost| cost.crf = None,
        |cost: &mut SampleCost| cost.ssim_millionths = Some(1_000_001),
        |cost: &mut SampleCost| cost.ssim_millionths = None,
        |cost: &mut SampleCost| cost.bytes = 0,
    ] {
        assert!(cost(lie).is_err());
    }
    let refused = |crfs: Vec<u8>| Costs::new(&MeasureRequest { picture: request(&[4]), crfs }).is_err();
    assert!(refused(vec![24, 24]) && refused((20..29).collect()) && !refused(vec![]));
}
