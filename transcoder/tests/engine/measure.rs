//! What a few GOPs cost: exactly what they take as segments.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use domain::ParameterSets;
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{EngineError, MeasureRequest, SampleCost, VideoSegment};

use crate::setup::{Planned, all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_sample_costs_what_its_segment_takes", a_sample_costs_what_its_segment_takes),
        trial("a_larger_rate_factor_looks_worse_and_costs_less", a_larger_rate_factor_looks_worse_and_costs_less),
        trial("what_is_judged_is_what_a_player_sees", what_is_judged_is_what_a_player_sees),
        trial("samples_that_contradict_themselves_are_not_tried", samples_that_contradict_themselves_are_not_tried),
    ]
}

async fn a_sample_costs_what_its_segment_takes() {
    let spec = ClipSpec { seconds: 9.0, width: 640, height: 360, ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    // Two segments of one GOP each, with another one between them.
    let mut picture = source.chunk(|span| span.index == 0 || span.index == 2);
    picture.work[1].rungs[0] = false;
    let segments = source.encode(picture.clone()).await.expect("segments");
    let taken: BTreeMap<(usize, u32), u64> = segments
        .iter()
        .map(|segment| {
            let bytes = segment.samples.iter().map(|sample| sample.data.len() as u64).sum();
            ((segment.rung, segment.span.index), bytes)
        })
        .collect();
    let session = engine().measure(open(&source.path), MeasureRequest { picture, crfs: vec![] }).expect("a session");
    let costs: Vec<SampleCost> = all(session).await.expect("costs");
    let told: BTreeMap<(usize, u32), u64> = costs.iter().map(|cost| ((cost.rung, cost.index), cost.bytes)).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told, taken);
}

async fn samples_that_contradict_themselves_are_not_tried() {
    let source = planned(&media::clip(&ClipSpec::default())).await;
    let mut picture = source.chunk(|_| true);
    picture.work[0].rungs.push(true);
    let refused = engine().measure(open(&source.path), MeasureRequest { picture, crfs: vec![] });
    assert!(matches!(refused, Err(EngineError::Protocol { .. })));
    let picture = source.chunk(|_| true);
    let refused = engine().measure(open(&source.path), MeasureRequest { picture, crfs: vec![24, 24] });
    assert!(matches!(refused, Err(EngineError::Protocol { .. })));
}

/// Two seconds of the clip at these rate factors.
async fn judged(source: &Planned, crfs: &[u8]) -> Vec<SampleCost> {
    let picture = source.chunk(|span| span.index == 1);
    let session = engine().measure(open(&source.path), MeasureRequest { picture, crfs: crfs.to_vec() });
    let mut costs = all(session.expect("a session")).await.expect("costs");
    costs.sort_by_key(|cost| (cost.rung, cost.crf));
    costs
}

async fn a_larger_rate_factor_looks_worse_and_costs_less() {
    let spec = ClipSpec { seconds: 6.0, width: 640, height: 360, ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let costs = judged(&source, &[18, 30]).await;
    assert_eq!(costs, judged(&source, &[18, 30]).await, "the same again");
    assert_eq!(costs.len(), 4);
    for pair in costs.chunks(2) {
        assert_eq!((pair[0].crf, pair[1].crf), (Some(18), Some(30)));
        assert!(pair[0].bytes > pair[1].bytes && pair[0].ssim_millionths > pair[1].ssim_millionths, "{pair:?}");
        assert!(pair.iter().all(|cost| cost.ssim_millionths.is_some_and(|ssim| ssim > 500_000)), "{pair:?}");
    }
}

/// The similarity that is told is the one that ffmpeg finds between a segment and the scaled source.
async fn what_is_judged_is_what_a_player_sees() {
    let spec = ClipSpec { seconds: 6.0, width: 640, height: 360, ..ClipSpec::default() };
    let mut source = planned(&media::clip(&spec)).await;
    let top = source.plan.video.as_ref().expect("a video").rungs.len() - 1;
    let costs = judged(&source, &[27]).await;
    source.plan.video.as_mut().expect("a video").rungs[top].crf = Some(27);
    let segments = source.encode(source.chunk(|span| span.index == 1)).await.expect("segments");
    let segment = segments.iter().find(|segment| segment.rung == top).expect("the largest");
    let stream = annex_b(segment);
    assert_eq!(costs[top].bytes, segment.samples.iter().map(|sample| sample.data.len() as u64).sum::<u64>());
    let coded = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(coded.path(), stream).expect("room");
    let first = segment.span.first;
    let graph = format!(
        "[1:v]trim=start_frame={first}:end_frame={},setpts=N,settb=1[o];[0:v]setpts=N,settb=1[c];[c][o]ssim",
        segment.span.end()
    );
    let told = f64::from(costs[top].ssim_millionths.expect("judged")) / 1e6;
    let found = similarity(coded.path(), &source.path, &graph);
    assert!((found - told).abs() < 2e-6, "{told} is told, {found} is found");
}

/// The similarity of the luma that ffmpeg finds between a stream and a file.
#[expect(clippy::disallowed_methods, reason = "pictures are judged by a program that is not ours")]
fn similarity(stream: &Path, file: &Path, graph: &str) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-f", "h264", "-i"])
        .arg(stream)
        .arg("-i")
        .arg(file)
        .args(["-filter_complex", graph, "-f", "null", "-"])
        .output()
        .expect("ffmpeg runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let luma = log.split("SSIM Y:").nth(1).and_then(|rest| rest.split(' ').next());
    luma.and_then(|luma| luma.parse().ok()).unwrap_or_else(|| panic!("{log}"))
}

fn annex_b(segment: &VideoSegment) -> Vec<u8> {
    let ParameterSets::H264 { sps, pps } = &segment.sets else { panic!("not H.264") };
    let mut stream = [&[0, 0, 0, 1], sps.as_slice(), &[0, 0, 0, 1], pps.as_slice()].concat();
    for sample in &segment.samples {
        let mut rest = sample.data.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            stream.extend([&[0, 0, 0, 1], unit].concat());
            rest = after;
        }
    }
    stream
}
