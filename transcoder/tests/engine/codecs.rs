//! Segments in other codecs than H.264: complete, on the same boundaries, and the same every time.

use domain::{Codec, ExtraCodec, ParameterSets};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{ChunkRequest, VideoSegment};

use crate::setup::{Planned, engine, planned, planned_with, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![trial("the_engine_tells_what_it_can_encode", the_engine_tells_what_it_can_encode)];
    for codec in [Codec::Hevc, Codec::Av1] {
        let named = |what: &str| format!("{codec}_{what}");
        trials.extend([
            trial(&named("segments_are_whole_and_the_same_every_time"), move || whole_and_again(codec)),
            trial(&named("begins_its_gops_where_the_source_does"), move || uneven(codec)),
            trial(&named("takes_rests_of_one_frame_and_small_pictures"), move || small(codec)),
            trial(&named("takes_a_1080p_picture_inside_its_cage"), move || large(codec)),
        ]);
        let of = |file: &'static str| trial(&format!("{codec}_of_{file}"), move || corpus(codec, file));
        trials.extend(CORPUS.iter().map(|file| of(file)));
    }
    trials
}

/// Rotated, wide colours in ten bits, odd sizes, joined stills.
const CORPUS: &[&str] = &[
    "b_torchcodec_nasa_13013_rotated.mp4",
    "e_torchcodec_nasa_13013_hdr.mp4",
    "i_torchcodec_testsrc2_odd_height_and_width_444.mp4",
    "k_androidx_sample.avi",
];

async fn corpus(codec: Codec, file: &'static str) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    let mut source = planned(&path).await;
    let mut request = in_codec(&mut source, codec);
    request.work.truncate(2);
    let segments = source.encode(request.clone()).await.unwrap_or_else(|error| panic!("{error}"));
    check(&request, &segments, codec);
}

fn in_codec(source: &mut Planned, codec: Codec) -> ChunkRequest {
    let preset = if codec == Codec::Hevc { "ultrafast" } else { "12" };
    source.plan.recipe.extra_codecs = vec![ExtraCodec { codec, preset: preset.into(), crf: 40 }];
    let mut request = source.chunk(|_| true);
    request.rungs = request.rungs.iter().filter_map(|rung| rung.in_codec(codec)).collect();
    request.recipe = source.plan.recipe.clone();
    for work in &mut request.work {
        work.rungs = vec![true; request.rungs.len()];
    }
    request
}

fn check(request: &ChunkRequest, segments: &[VideoSegment], codec: Codec) {
    assert_eq!(segments.len(), request.work.len() * request.rungs.len());
    for segment in segments {
        assert_eq!(segment.samples.len(), segment.span.count as usize);
        assert_eq!(segment.sets.codec(), codec);
        let gops = request.cadence.gops(segment.span);
        let starts: Vec<u32> = gops.iter().scan(0, |next, gop| Some(std::mem::replace(next, *next + gop))).collect();
        let keys = segment.samples.iter().zip(0..).filter(|(sample, _)| sample.is_idr);
        assert_eq!(keys.map(|(_, at)| at).collect::<Vec<u32>>(), starts, "segment {}", segment.span.index);
        let same = segments.iter().find(|other| other.rung == segment.rung).expect("itself at least");
        assert_eq!(same.sets, segment.sets, "one init segment fits all of a rung");
    }
}

async fn whole_and_again(codec: Codec) {
    let spec = ClipSpec { seconds: 9.0, width: 640, height: 360, ..ClipSpec::default() };
    let mut source = planned(&media::clip(&spec)).await;
    let request = in_codec(&mut source, codec);
    let mut segments = source.encode(request.clone()).await.expect("segments");
    check(&request, &segments, codec);
    segments.sort_by_key(|segment| (segment.rung, segment.span.index));
    // Alone, each comes out as among the others.
    let last = request.work.len() - 1;
    let mut alone = ChunkRequest { work: vec![request.work[last].clone()], ..request };
    alone.work[0].rungs[0] = false;
    let again = source.encode(alone).await.expect("a segment");
    assert_eq!(again.len(), 1);
    assert!(segments.contains(&again[0]), "a second run gives other bytes");
}

async fn uneven(codec: Codec) {
    let spec = ClipSpec {
        seconds: 11.0,
        width: 320,
        height: 180,
        video_args: media::UNEVEN_GOPS.to_vec(),
        ..ClipSpec::default()
    };
    let mut source = planned_with(&media::clip(&spec), true).await;
    assert!(!source.plan.cadence.cells.is_empty(), "the source is copied");
    let request = in_codec(&mut source, codec);
    let segments = source.encode(request.clone()).await.expect("segments");
    check(&request, &segments, codec);
}

async fn small(codec: Codec) {
    // A segment of 50 frames, and a second one of a single frame, at a slow rate.
    for (seconds, rate, width, height) in [(0.04, "25", 160, 90), (6.2, "5", 114, 64), (2.04, "50", 66, 130)] {
        let spec = ClipSpec { seconds, rate, width, height, ..ClipSpec::default() };
        let mut source = planned(&media::clip(&spec)).await;
        let request = in_codec(&mut source, codec);
        assert_eq!(request.rungs.len(), 1);
        let segments = source.encode(request.clone()).await.unwrap_or_else(|error| panic!("{width}x{height}: {error}"));
        check(&request, &segments, codec);
    }
}

async fn large(codec: Codec) {
    let spec = ClipSpec { seconds: 0.6, width: 1920, height: 1080, ..ClipSpec::default() };
    let mut source = planned(&media::clip(&spec)).await;
    let request = in_codec(&mut source, codec);
    assert_eq!(request.rungs.len(), 5);
    let segments = source.encode(request.clone()).await.expect("segments");
    check(&request, &segments, codec);
}

async fn the_engine_tells_what_it_can_encode() {
    let report = engine().self_test().await.expect("a report");
    let codecs: Vec<Codec> = report.encoders.iter().map(|(codec, _)| *codec).collect();
    assert_eq!(codecs, [Codec::H264, Codec::Hevc, Codec::Av1]);
    let kinds = ParameterSets::Av1 { sequence: vec![] };
    assert!(!kinds.are_sound(1), "nothing is no sequence header");
}
