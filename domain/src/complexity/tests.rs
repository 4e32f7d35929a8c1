use proptest::prelude::*;

use super::*;
use crate::plan::Limits;
use crate::probe::{Avc, Color, Extent, FieldOrder, Orientation, VideoTrack};
use crate::{ByteSize, FrameRate, MediaTime, Recipe, Resolution, Timescale};

fn probe(height: u32, seconds: i64, bytes: u64) -> Probe {
    let track = VideoTrack {
        stream_index: 0,
        codec: "vp9".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: height * 16 / 9, height },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::Progressive,
        extent: Extent { start: MediaTime::zero(), end: MediaTime::new(seconds * 1000, Timescale::MILLISECONDS) },
        frame_count: 0,
        measured_rate: FrameRate::new(25, 1).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: Vec::new(),
        last_decodable: None,
        avc: None::<Avc>,
    };
    Probe {
        container: "mkv".into(),
        size: ByteSize(bytes),
        video: vec![track],
        audio: vec![],
        subtitles: vec![],
        chapters: vec![],
        title: None,
        libraries: String::new(),
        cover: None,
    }
}

/// A minute of 1080p at 25 frames a second.
pub(crate) fn plan_1080p() -> Plan {
    plan_of(&probe(1080, 60, 1 << 20), LadderProbe::Off)
}

fn plan_of(probe: &Probe, ladder_probe: LadderProbe) -> Plan {
    let recipe = Recipe { ladder_probe, ..Recipe::default() };
    Plan::new(probe, &recipe, &Limits::default()).expect("can be planned")
}

/// The rungs that stay of 1080p when its five rungs cost so many kbit/s.
fn check(kbit: [u64; 5], expected: &str) {
    let plan = plan_of(&probe(1080, 60, 1 << 20), LadderProbe::Always);
    let rungs = &plan.video.as_ref().expect("a picture").rungs;
    let cost = |(rung, kbit): (&crate::ladder::Rung, u64)| Cost {
        rung: rung.id.clone(),
        average: Bitrate(kbit * 1000),
        peak: Bitrate(kbit * 1300),
    };
    let costs: Vec<Cost> = rungs.iter().zip(kbit).map(cost).collect();
    let video = plan.with_costs(costs.clone()).video.expect("a picture");
    let kept: Vec<&str> = video.rungs.iter().map(|rung| rung.id.as_str()).collect();
    assert_eq!(kept.join(" "), expected, "{kbit:?}");
    assert_eq!(video.costs, costs, "what was measured is recorded, also of rungs that are gone");
}

#[test]
fn rungs_that_save_too_little_are_left_out() {
    check([377, 715, 1095, 2200, 4100], "240p 360p 480p 720p 1080p");
    check([25, 34, 43, 66, 120], "1080p");
    check([200, 300, 390, 450, 500], "360p 1080p");
    check([500, 700, 900, 1000, 3000], "240p 360p 720p 1080p");
    check([150, 250, 300, 900, 1500], "480p 720p 1080p");
}

#[test]
fn a_source_that_spares_its_bits_is_tried_and_a_generous_one_is_not() {
    let asked = |bytes, ladder_probe, is_awaited| {
        let probe = probe(1080, 60, bytes);
        trial(&probe, &plan_of(&probe, ladder_probe), is_awaited)
    };
    let trial_of = |bytes, ladder_probe| asked(bytes, ladder_probe, false);
    // 1 and 8 Mbit/s.
    let (sparing, generous) = (7_500_000, 60_000_000);
    assert_eq!(trial_of(sparing, LadderProbe::Auto), Trial::Samples);
    assert_eq!(trial_of(generous, LadderProbe::Auto), Trial::Nothing);
    assert_eq!(trial_of(generous, LadderProbe::Always), Trial::Samples);
    assert_eq!(trial_of(sparing, LadderProbe::Off), Trial::Nothing);
    // A viewer who waits is not kept waiting, unless somebody wants it so.
    assert_eq!(asked(sparing, LadderProbe::Auto, true), Trial::Nothing);
    assert_eq!(asked(sparing, LadderProbe::Always, true), Trial::Samples);
}

#[test]
fn nothing_is_tried_where_nothing_can_be_left_out() {
    let small = probe(240, 60, 1000);
    assert_eq!(trial(&small, &plan_of(&small, LadderProbe::Always), false), Trial::Nothing);
}

#[test]
fn a_copied_rung_that_costs_next_to_nothing_needs_no_trial_and_no_other_rung() {
    let source = probe(1080, 60, 1 << 20);
    let mut plan = plan_of(&source, LadderProbe::Auto);
    let video = plan.video.as_mut().expect("a picture");
    video.copied = Some("avc1.640028".into());
    video.rungs.last_mut().expect("a rung").bitrate_max = Bitrate(90_000);
    let Trial::Known(cost) = trial(&source, &plan, true) else { panic!("its rate is known") };
    assert_eq!((cost.rung.as_str(), cost.peak), ("1080p", Bitrate(90_000)));
    let video = plan.with_costs(vec![cost]).video.expect("a picture");
    assert_eq!(video.rungs.iter().map(|rung| rung.id.as_str()).collect::<Vec<_>>(), ["1080p"]);
    assert_eq!(video.encoded_count(), 0);
}

#[test]
fn a_source_that_holds_next_to_nothing_needs_one_rung() {
    // 200 and 210 kbit/s, sound included.
    let kept = |bytes| {
        let source = probe(1080, 60, bytes);
        let plan = plan_of(&source, LadderProbe::Auto);
        match trial(&source, &plan, true) {
            Trial::Known(cost) => plan.with_costs(vec![cost]).video.expect("a picture").rungs.len(),
            _ => plan.video.expect("a picture").rungs.len(),
        }
    };
    assert_eq!((kept(1_500_000), kept(1_575_000)), (1, 5));
}

#[test]
fn a_plan_without_costs_reads_and_writes_as_before() {
    let plan = plan_of(&probe(1080, 60, 1 << 20), LadderProbe::Off);
    let json = serde_json::to_string(&plan).expect("serialises");
    assert!(!json.contains("costs") && !json.contains("ladder_probe"), "{json}");
    assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads back"), plan);
}

proptest! {
    #[test]
    fn the_largest_rung_stays_and_neighbours_differ(
        height in 2u32..2160,
        kbit in prop::collection::vec((1u64..10_000, 1u64..3), 5),
    ) {
        let plan = plan_of(&probe(height, 60, 1 << 20), LadderProbe::Always);
        let before = plan.video.clone().expect("a picture").rungs;
        let costs: Vec<Cost> = before
            .iter()
            .zip(&kbit)
            .map(|(rung, (kbit, factor))| Cost {
                rung: rung.id.clone(),
                average: Bitrate(kbit * 1000),
                peak: Bitrate(kbit * factor * 1000),
            })
            .collect();
        let after = plan.clone().with_costs(costs.clone());
        let rungs = after.video.clone().expect("a picture").rungs;
        prop_assert_eq!(rungs.last(), before.last());
        prop_assert!(rungs.iter().all(|rung| before.contains(rung)));
        prop_assert_eq!(after.video_spans(), plan.video_spans(), "the grid does not depend on the ladder");
        let of = |rung: &crate::ladder::Rung| costs.iter().find(|cost| cost.rung == rung.id).expect("measured");
        for pair in rungs.windows(2) {
            let (small, large) = (of(&pair[0]), of(&pair[1]));
            prop_assert!(small.average.0 * 100 <= large.average.0 * SHARE_PERCENT_MAX);
            prop_assert!(large.peak > LEAST_BITRATE);
        }
        prop_assert_eq!(after.clone().with_costs(costs), after, "a second look changes nothing");
    }

    #[test]
    fn samples_are_whole_gops_of_the_plan_spread_over_it(seconds in 1i64..40_000) {
        let plan = plan_of(&probe(720, seconds, 1 << 20), LadderProbe::Always);
        let (spans, samples) = (plan.video_spans(), samples(&plan));
        prop_assert!((1..=SAMPLES_MAX).contains(&samples.len()));
        for sample in &samples {
            let span = spans.iter().find(|span| span.index == sample.index).expect("a planned segment");
            prop_assert!(sample.first == span.first && sample.count <= span.count);
            prop_assert!((1..=plan.cadence.gop_frames).contains(&sample.count));
        }
        prop_assert!(samples.windows(2).all(|pair| pair[0].end() <= pair[1].first));
        if spans.len() > 40 {
            prop_assert_eq!(samples.len(), SAMPLES_MAX);
        }
    }
}
