//! Interlaced pictures: recognised by what they show, and every field shown.

use domain::probe::FieldOrder;
use domain::{Probe, Resolution, Span};
use fixtures::media;
use libtest_mimic::Trial;

use super::{shots, source};
use crate::setup::{engine, open, trial};

/// A bar that moves 8 columns in each of 50 pictures a second.
const BAR: &str = "color=c=gray:size=720x576:rate=50:duration=8,format=yuv420p[a];\
                   color=c=white:size=40x576:rate=50:duration=8,format=yuv420p[b];[a][b]overlay=x='mod(n*8,720)':shortest=1";

/// Flags and coding of MPEG-2 for pictures that hold fields.
const AS_FIELDS: [&str; 6] = ["-c:v", "mpeg2video", "-q:v", "2", "-flags:v", "+ildct+ilme"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("fields_are_recognised_and_all_shown", fields_are_recognised_and_all_shown),
        trial("fields_that_nobody_states_are_recognised", fields_that_nobody_states_are_recognised),
        trial("whole_pictures_that_are_stated_as_fields_stay_whole", whole_pictures_stay_whole),
        trial("segments_of_interlaced_pictures_do_not_depend_on_each_other", segments_do_not_depend_on_each_other),
    ]
}

/// A clip of the bar; `weave` makes a frame of each two pictures.
fn bar(container: &str, weave: Option<&str>, codec: &[&str]) -> std::path::PathBuf {
    let filter = match weave {
        Some(order) => format!("{BAR},tinterlace=mode={order}"),
        None => format!("{BAR},fps=25"),
    };
    let mut args = vec!["-f", "lavfi", "-i", &filter];
    args.extend(codec);
    media::made(container, &args)
}

async fn probed(path: &std::path::Path) -> Probe {
    engine().probe(open(path)).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn fields_are_recognised_and_all_shown() {
    for (weave, order, top) in
        [("interleave_top", FieldOrder::TopFirst, "1"), ("interleave_bottom", FieldOrder::BottomFirst, "0")]
    {
        let codec = [&AS_FIELDS[..], &["-top", top]].concat();
        let source = source(&bar("ts", Some(weave), &codec)).await;
        let track = source.probe.main_video().expect("a video");
        assert_eq!(track.field_order, order);
        assert_eq!(source.plan.cadence.frame_rate.to_string(), "50", "each field is a picture");
        let size = Resolution { width: 720, height: 576 };
        let pictures = shots(&source, &[0, 2000, 2020, 2040, 2060], size).await;
        let bars: Vec<u32> = pictures.iter().skip(1).map(|picture| left_edge(&picture.rgb)).collect();
        let steps: Vec<u32> = bars.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert!(steps.iter().all(|step| (4..=12).contains(step)), "{order:?}: the bar stands at {bars:?}");
    }
}

/// Column at which the bar begins in the middle row.
fn left_edge(rgb: &[u8]) -> u32 {
    let row = &rgb[288 * 720 * 3..289 * 720 * 3];
    let edge = (1..720).find(|column| row[column * 3] > 130 && row[(column - 1) * 3] <= 130);
    u32::try_from(edge.expect("a bar")).expect("fits")
}

async fn fields_that_nobody_states_are_recognised() {
    let probe = probed(&bar("mkv", Some("interleave_top"), &["-c:v", "ffv1", "-field_order", "progressive"])).await;
    assert_eq!(probe.video[0].field_order, FieldOrder::TopFirst);
    let whole = probed(&bar("mkv", None, &["-c:v", "ffv1"])).await;
    assert_eq!(whole.video[0].field_order, FieldOrder::Progressive);
}

async fn whole_pictures_stay_whole() {
    let source = source(&bar("ts", None, &[&AS_FIELDS[..], &["-top", "1"]].concat())).await;
    assert_eq!(source.probe.video[0].field_order, FieldOrder::Progressive);
    assert_eq!(source.plan.cadence.frame_rate.to_string(), "25");
}

async fn segments_do_not_depend_on_each_other() {
    let codec = [&AS_FIELDS[..], &["-top", "1", "-g", "12"]].concat();
    let source = source(&bar("ts", Some("interleave_top"), &codec)).await;
    let together = source.encode(source.chunk(|_| true)).await.expect("segments");
    let frames: u32 = together.iter().filter(|segment| segment.rung == 0).map(|segment| segment.span.count).sum();
    assert!((398..=400).contains(&frames), "{frames} of 400 fields");
    let last = u32::try_from(source.plan.video_spans().len()).expect("fits") - 1;
    let alone = source.encode(source.chunk(|span: &Span| span.index == last)).await.expect("a segment");
    for segment in &alone {
        assert!(together.contains(segment), "segment {last} of rung {} depends on its neighbours", segment.rung);
    }
}
