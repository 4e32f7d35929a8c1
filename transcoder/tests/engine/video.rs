//! Segments of the picture: complete, exact, and the same whichever are asked for.

use domain::{Bitrate, Recipe, Span};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{ChunkRequest, VideoSegment};

use crate::setup::{Planned, planned, trial};

/// Files that must encode completely: rotated, uneven, ten bits, HDR, odd, tiny, offset, every container.
const CORPUS: &[&str] = &[
    "b_androidx_portrait_4k60.mp4",
    "b_torchcodec_nasa_13013_rotated.mp4",
    "c_androidx_sample_edit_list.mp4",
    "c_mediabunny_cursed-vfr.mp4",
    "e_androidx_hlg10-color-test.mp4",
    "e_autoeditor_test_yuv422p.mp4",
    "e_torchcodec_h264_10bits.mp4",
    "e_torchcodec_nasa_13013_hdr.mp4",
    "f_androidx_sample_with_srt.mkv",
    "g_androidx_sample_with_chapters.mkv",
    "i_androidx_bear-vp9-odd-dimensions.webm",
    "i_mediabunny_sar_2x1.mp4",
    "i_moviepy_test_video.mp4",
    "i_torchcodec_testsrc2_odd_height_and_width_444.mp4",
    "j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
    "j_androidx_sample_shorter_audio.mp4",
    "k_androidx_bbb_176x144_128kbps_15fps_h263.3gp",
    "k_androidx_bbb_2500ms.ts",
    "k_androidx_sample.avi",
    "k_mediabunny_hevc.ts",
    "k_vide_ocean.ogv",
    "l_androidx_sample_fragmented.mp4",
    "l_mediabunny_annex-b.mp4",
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("every_frame_of_an_mp4_is_encoded_once", || whole(ClipSpec { seconds: 9.0, ..ClipSpec::default() })),
        trial("segments_do_not_depend_on_each_other_in_mp4", || {
            independent(ClipSpec { seconds: 16.0, video_args: LONG_GOP.to_vec(), ..ClipSpec::default() })
        }),
        trial("segments_do_not_depend_on_each_other_in_a_transport_stream", || {
            independent(ClipSpec {
                seconds: 16.0,
                container: "ts",
                video_args: LONG_GOP.to_vec(),
                ..ClipSpec::default()
            })
        }),
        trial("the_first_picture_of_a_segment_is_as_fine_as_the_other_key_frames", key_frames_are_alike),
        trial("a_rung_that_is_not_wanted_is_not_made", a_rung_that_is_not_wanted_is_not_made),
        trial("a_source_that_vanishes_behind_its_head_is_refused_or_shown", a_cut_off_source_still_plays),
    ];
    trials.extend(CORPUS.iter().map(|file| trial(&format!("all_frames_of_{file}"), move || corpus(file, 3))));
    trials.push(trial("all_frames_of_the_begin_of_a_long_file", || corpus("k_androidx_long_1080p_av1.mp4", 1)));
    trials
}

/// Key frames ten seconds apart, with open GOPs: the worst case for starting in the middle.
const LONG_GOP: &[&str] =
    &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "250", "-x264-params", "open-gop=1:scenecut=0"];

/// Every segment of every rung is there once, whole, with one pair of parameter sets per rung.
fn check_complete(request: &ChunkRequest, segments: &[VideoSegment]) {
    for (rung, named) in request.rungs.iter().enumerate() {
        let spans: Vec<Span> =
            segments.iter().filter(|segment| segment.rung == rung).map(|segment| segment.span).collect();
        let wanted: Vec<Span> = request.work.iter().filter(|work| work.rungs[rung]).map(|work| work.span).collect();
        assert_eq!(spans, wanted, "{}", named.id);
        let mut sets = segments.iter().filter(|segment| segment.rung == rung).map(|segment| &segment.sets);
        let first = sets.next();
        assert!(sets.all(|set| Some(set) == first), "{}: one init segment must fit all", named.id);
    }
    for segment in segments {
        assert_eq!(segment.samples.len(), segment.span.count as usize);
        assert!(segment.samples[0].is_idr);
    }
}

async fn whole(spec: ClipSpec) {
    let source = planned(&media::clip(&spec)).await;
    let request = source.chunk(|_| true);
    let segments = source.encode(request.clone()).await.expect("segments");
    check_complete(&request, &segments);
    let frames: u32 = segments.iter().filter(|segment| segment.rung == 0).map(|segment| segment.span.count).sum();
    assert_eq!(frames, 225);
}

async fn corpus(file: &str, segments: u32) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    let source = planned(&path).await;
    let request = source.chunk(|span| span.index < segments);
    let segments = source.encode(request.clone()).await.unwrap_or_else(|error| panic!("{error}"));
    check_complete(&request, &segments);
}

async fn independent(spec: ClipSpec) {
    let source: Planned = planned(&media::clip(&spec)).await;
    let mut together = source.encode(source.chunk(|_| true)).await.expect("segments");
    together.sort_by_key(|segment| (segment.span.index, segment.rung));
    let mut apart = Vec::new();
    for wanted in 0..u32::try_from(source.plan.video_spans().len()).expect("fits") {
        let mut one = source.encode(source.chunk(|span| span.index == wanted)).await.expect("a segment");
        one.sort_by_key(|segment| segment.rung);
        apart.extend(one);
    }
    for (a, b) in together.iter().zip(&apart) {
        assert_eq!((a.rung, a.span), (b.rung, b.span));
        assert!(a == b, "segment {} of rung {} depends on its neighbours", a.span.index, a.rung);
    }
    assert_eq!(together.len(), apart.len());
}

async fn key_frames_are_alike() {
    let mut source = planned(&media::clip(&ClipSpec { seconds: 12.0, ..ClipSpec::default() })).await;
    // Only with macroblock-tree analysis, which the fastest preset does not have, did they differ.
    source.plan.recipe.preset = Recipe::default().preset;
    // Nor must a buffer model hold down what comes later.
    let video = source.plan.video.as_mut().expect("a video");
    video.rungs.iter_mut().for_each(|rung| rung.bitrate_max = Bitrate(50_000_000));
    let within = source.encode(source.chunk(|span| span.index == 3)).await.expect("segments");
    let gop = u64::from(source.plan.cadence.gop_frames);
    let mut begins = source.chunk(|span| span.index == 3);
    for work in &mut begins.work {
        work.span =
            Span { first: work.span.first + gop, count: work.span.count - source.plan.cadence.gop_frames, ..work.span };
    }
    let begins = source.encode(begins).await.expect("segments");
    let at = usize::try_from(gop).expect("a few frames");
    for (within, begins) in within.iter().zip(&begins) {
        // The same picture, between two others and at the beginning.
        let (later, first) = (within.samples[at].data.len(), begins.samples[0].data.len());
        assert!(within.samples[at].is_idr && later * 9 < first * 10 && first * 9 < later * 10, "{later} {first}");
    }
    assert_eq!(within.len(), begins.len());
}

async fn a_rung_that_is_not_wanted_is_not_made() {
    let spec = ClipSpec { width: 1280, height: 720, ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let all = source.encode(source.chunk(|_| true)).await.expect("segments");
    let mut request = source.chunk(|_| true);
    for (at, work) in request.work.iter_mut().enumerate() {
        for (rung, is_wanted) in work.rungs.iter_mut().enumerate() {
            *is_wanted = (at + rung) % 2 == 0;
        }
    }
    let some = source.encode(request.clone()).await.expect("segments");
    check_complete(&request, &some);
    assert!(some.iter().all(|segment| all.contains(segment)), "a part is made like the whole");
}

async fn a_cut_off_source_still_plays() {
    let spec = ClipSpec { seconds: 6.0, container: "mkv", ..ClipSpec::default() };
    let bytes = std::fs::read(media::clip(&spec)).expect("a clip");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.mkv");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("room");
    let source = planned(&path).await;
    let seconds = source.plan.duration.as_secs_f64();
    assert!((1.0..5.0).contains(&seconds), "{seconds} s of half of 6 s");
    let request = source.chunk(|_| true);
    check_complete(&request, &source.encode(request.clone()).await.expect("segments"));
}
