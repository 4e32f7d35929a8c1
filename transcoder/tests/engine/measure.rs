//! What a few GOPs cost: exactly what they take as segments.

use std::collections::BTreeMap;

use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{EngineError, MeasureRequest, SampleCost};

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_sample_costs_what_its_segment_takes", a_sample_costs_what_its_segment_takes),
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
    let session = engine().measure(open(&source.path), MeasureRequest { picture }).expect("a session");
    let costs: Vec<SampleCost> = all(session).await.expect("costs");
    let told: BTreeMap<(usize, u32), u64> = costs.iter().map(|cost| ((cost.rung, cost.index), cost.bytes)).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(told, taken);
}

async fn samples_that_contradict_themselves_are_not_tried() {
    let source = planned(&media::clip(&ClipSpec::default())).await;
    let mut picture = source.chunk(|_| true);
    picture.work[0].rungs.push(true);
    let refused = engine().measure(open(&source.path), MeasureRequest { picture });
    assert!(matches!(refused, Err(EngineError::Protocol { .. })));
}
