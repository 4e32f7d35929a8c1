//! Pictures that are taken over as they are: which sources allow it, and that not a bit changes.

use std::path::Path;

use domain::passthrough::{self, Obstacle};
use domain::{FailureCode, Span};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{EngineError, VideoSegment};

use crate::setup::{Planned, engine, open, planned_with, trial};

const OPEN_GOPS: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-crf",
    "38",
    "-pix_fmt",
    "yuv420p",
    "-threads:v",
    "1",
    "-x264-params",
    "open-gop=1:keyint=50:min-keyint=50:scenecut=0:bframes=3",
];

/// Real files, and what forbids to show them as they are.
const CORPUS: &[(&str, Option<Obstacle>)] = &[
    ("a_autoeditor_example.mp4", None),
    ("a_intel_car-detection.mp4", Some(Obstacle::Profile)),
    ("a_openshot_sintel_trailer-720p.mp4", Some(Obstacle::Keyframes)),
    ("a_sb5_bg.mp4", None),
    ("b_androidx_portrait_4k60.mp4", Some(Obstacle::Format)),
    ("b_mediabunny_rotate-buck-bunny.mp4", Some(Obstacle::Orientation)),
    ("c_mediabunny_cursed-vfr.mp4", Some(Obstacle::Profile)),
    ("e_autoeditor_test_yuv422p.mp4", Some(Obstacle::Format)),
    ("e_torchcodec_nasa_13013_hdr.mp4", Some(Obstacle::Coding)),
    ("f_androidx_sample_with_srt.mkv", Some(Obstacle::Profile)),
    ("f_assembled_ed_3audio_2srt_4chapters.mkv", Some(Obstacle::Rhythm)),
    ("f_autoeditor_mov_text.mp4", None),
    ("g_androidx_sample_with_chapters.mp4", Some(Obstacle::Profile)),
    ("i_mediabunny_sar_2x1.mp4", Some(Obstacle::Orientation)),
    ("j_androidx_edit_list_positive_shift.mp4", Some(Obstacle::Rhythm)),
    ("j_mediabunny_edts.mp4", Some(Obstacle::Orientation)),
    ("k_androidx_bbb_2500ms.ts", Some(Obstacle::Coding)),
    ("l_androidx_sample_fragmented.mp4", Some(Obstacle::Rhythm)),
    ("l_mediabunny_annex-b.mp4", Some(Obstacle::Coding)),
    ("l_moviepy_video_with_failing_audio.mp4", Some(Obstacle::Keyframes)),
    ("j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4", Some(Obstacle::Orientation)),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials: Vec<Trial> = ["mp4", "mkv", "ts", "flv", "mov"]
        .into_iter()
        .map(|container| trial(&format!("not_a_bit_of_{container}_changes"), move || not_a_bit_changes(container)))
        .collect();
    trials.extend([
        trial("copied_segments_do_not_depend_on_each_other", copied_segments_do_not_depend_on_each_other),
        trial("open_gops_are_not_taken_over", open_gops_are_not_taken_over),
        trial("a_source_that_breaks_its_promise_is_refused", a_source_that_breaks_its_promise_is_refused),
    ]);
    trials.extend(
        CORPUS.iter().map(|(file, expected)| trial(&format!("fitness_of_{file}"), move || fitness(file, *expected))),
    );
    trials
}

fn uneven(container: &'static str) -> ClipSpec {
    ClipSpec { seconds: 11.0, container, video_args: media::UNEVEN_GOPS.to_vec(), ..ClipSpec::default() }
}

/// The slices of a file's picture, found by a program that is not ours.
#[expect(clippy::disallowed_methods, reason = "the source is read by a program that is not ours")]
fn slices(path: &Path) -> Vec<Vec<u8>> {
    let is_annex_b = path.extension().is_some_and(|extension| extension == "ts");
    let filters =
        if is_annex_b { "filter_units=pass_types=1|5" } else { "h264_mp4toannexb,filter_units=pass_types=1|5" };
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-c", "copy", "-bsf:v", filters, "-f", "h264", "-"])
        .output()
        .expect("Debian's package ffmpeg");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stream = output.stdout;
    let starts: Vec<usize> = stream.windows(3).enumerate().filter(|(_, at)| *at == [0, 0, 1]).map(|at| at.0).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let body = &stream[start + 3..end];
        body[..body.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)].to_vec()
    };
    starts.iter().zip(ends).map(unit).collect()
}

/// The slices of segments, in order.
fn slices_of(segments: &[VideoSegment]) -> Vec<Vec<u8>> {
    let mut slices = Vec::new();
    for sample in segments.iter().flat_map(|segment| &segment.samples) {
        let mut rest = sample.data.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (slice, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            slices.push(slice.to_vec());
            rest = after;
        }
    }
    slices
}

async fn not_a_bit_changes(container: &'static str) {
    let path = media::clip(&uneven(container));
    let source = planned_with(&path, true).await;
    let video = source.plan.video.as_ref().expect("a picture");
    assert!(video.copied.is_some(), "{:?}", source.probe.main_video());
    assert_eq!(source.plan.cadence.cells, [vec![40], vec![40], vec![30], vec![40, 75], vec![50]]);
    let segments = source.take_over(source.copy(|_| true)).await.expect("segments");
    let spans: Vec<Span> = segments.iter().map(|segment| segment.span).collect();
    assert_eq!(spans, source.plan.video_spans());
    assert!(segments.iter().all(|segment| segment.sets == segments[0].sets));
    let displays = segments.iter().flat_map(|segment| segment.samples.iter().map(|sample| sample.display));
    assert!(displays.zip(0..).any(|(display, at)| display != at), "the fixture reorders pictures");
    assert!(slices_of(&segments) == slices(&path), "{container}: the pictures differ");
}

async fn copied_segments_do_not_depend_on_each_other() {
    for container in ["mp4", "mkv", "ts"] {
        let source: Planned = planned_with(&media::clip(&uneven(container)), true).await;
        let together = source.take_over(source.copy(|_| true)).await.expect("segments");
        let mut apart = Vec::new();
        for segment in &together {
            let wanted = segment.span.index;
            apart.extend(source.take_over(source.copy(|span| span.index == wanted)).await.expect(container));
        }
        assert!(apart == together, "{container}");
        let ends = source.take_over(source.copy(|span| span.index % 4 == 0)).await.expect("segments");
        assert!(ends == [together[0].clone(), together[4].clone()], "{container}");
    }
}

async fn open_gops_are_not_taken_over() {
    for container in ["mp4", "mkv"] {
        // The first picture is an IDR picture, the other keyframes are not: one GOP, too long for a segment.
        let spec = ClipSpec { seconds: 8.0, container, video_args: OPEN_GOPS.to_vec(), ..ClipSpec::default() };
        let source = planned_with(&media::clip(&spec), true).await;
        assert_eq!(source.plan.video.as_ref().and_then(|video| video.copied.as_ref()), None, "{container}");
    }
}

async fn a_source_that_breaks_its_promise_is_refused() {
    let source = planned_with(&media::clip(&uneven("mp4")), true).await;
    let refused = |request| async {
        match source.take_over(request).await {
            Err(EngineError::Refused(failure)) => {
                assert_eq!(failure.code, FailureCode::Damaged);
                failure.message
            }
            other => panic!("{other:?}"),
        }
    };
    let mut other_gops = source.copy(|_| true);
    other_gops.cadence.cells[3] = vec![41, 74];
    assert!(refused(other_gops).await.contains("a keyframe is not at its place"));
    let mut other_start = source.copy(|_| true);
    other_start.work[1].first += 1;
    other_start.work[1].count -= 1;
    other_start.cadence.cells[1] = vec![39];
    assert!(refused(other_start).await.contains("a keyframe is not at its place"));
    let mut longer = source.copy(|span| span.index == 4);
    longer.work[0].count += 1;
    longer.cadence.cells[4] = vec![51];
    longer.frame_count += 1;
    assert!(refused(longer).await.contains("it ends early"));
}

async fn fitness(file: &str, expected: Option<Obstacle>) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    let probe = engine().probe(open(&path)).await.expect("a probe");
    let track = probe.main_video().expect("a picture");
    assert_eq!(passthrough::plan(track, probe.origin()).err(), expected, "{:?}", track.avc);
}
