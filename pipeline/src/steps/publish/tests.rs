//! Tests of the checks between the ledger and a presentation.

use domain::plan::AudioPlan;
use domain::{AssetId, Cadence, JobSpec, MediaTime, Plan, PlaybackId, Recipe, Timescale};

use super::*;

fn entry(ticks: u64) -> SegmentEntry {
    SegmentEntry { ticks, bytes: None, sha256: None, keyframes: vec![] }
}

fn row(index: u32, ticks: u64, bytes: u64) -> SegmentRow {
    SegmentRow {
        asset: AssetId::from_u128(1),
        generation: Generation(1),
        rendition: RenditionId::new("240p").expect("a name"),
        index,
        ticks,
        bytes,
        sha256: format!("{index:064}"),
        keyframes: vec![],
    }
}

/// A planned presentation with three sound tracks of two segments each.
fn planned() -> Presentation {
    let (asset, playback) = (AssetId::from_u128(1), PlaybackId::from_u128(2));
    let audio = |number: u32| AudioPlan {
        id: RenditionId::new(format!("audio-{number}")).expect("a name"),
        stream_index: number,
        frame_count: 200,
        channels: 2,
        language: None,
        name: format!("Audio {number}"),
        copied: None,
        gain_db: None,
    };
    let plan = Plan {
        recipe: Recipe::default(),
        origin: MediaTime::zero(),
        duration: MediaTime::new(4267, Timescale::MILLISECONDS),
        cadence: Cadence::for_audio(),
        video: None,
        audio: (0..3).map(audio).collect(),
        subtitles: vec![],
    };
    Presentation::planned(asset, playback, Generation(1), &plan)
}

fn committed(planned: &AudioRendition) -> Vec<SegmentRow> {
    (0u32..).zip(&planned.segments).map(|(index, entry)| row(index, entry.ticks, 1000)).collect()
}

fn missing(id: &RenditionId) -> LeftOut {
    let spec = JobSpec::Audio { generation: Generation(1), rendition: id.clone(), part: 0 };
    LeftOut::of(&spec, Failure::new(FailureCode::Damaged, "broken"))
}

#[test]
fn a_sound_track_that_was_left_out_is_missing_and_the_next_becomes_the_default() {
    let planned = planned();
    assert_eq!(planned.audio[0].segments.len(), 2);
    let mut rows = Rows::new();
    rows.insert(planned.audio[0].id.clone(), committed(&planned.audio[0])[..1].to_vec());
    rows.insert(planned.audio[1].id.clone(), committed(&planned.audio[1]));
    rows.insert(planned.audio[2].id.clone(), committed(&planned.audio[2]));
    let left_out = [missing(&planned.audio[0].id)];
    let found = measured_audio(&planned, &mut rows, &left_out).expect("two are complete");
    let names: Vec<(&str, bool)> = found.iter().map(|audio| (audio.id.as_str(), audio.is_default)).collect();
    assert_eq!(names, [("audio-1", true), ("audio-2", false)]);
}

#[test]
fn an_incomplete_sound_track_of_which_nobody_said_so_is_refused() {
    let planned = planned();
    let mut rows = Rows::new();
    rows.insert(planned.audio[0].id.clone(), committed(&planned.audio[0])[..1].to_vec());
    for at in [1, 2] {
        rows.insert(planned.audio[at].id.clone(), committed(&planned.audio[at]));
    }
    let refused = measured_audio(&planned, &mut rows, &[]);
    assert!(matches!(refused, Err(JobError::Inconsistent { .. })), "{refused:?}");
}

#[test]
fn rows_of_an_unknown_rendition_are_refused() {
    let planned = planned();
    let mut rows = Rows::new();
    rows.insert(RenditionId::new("stranger").expect("a name"), committed(&planned.audio[0]));
    let left_out: Vec<LeftOut> = planned.audio.iter().map(|audio| missing(&audio.id)).collect();
    assert!(measured_audio(&planned, &mut rows, &left_out).is_err());
}

#[test]
fn damage_is_judged_over_the_whole_source() {
    let bad_minute = Tally { good: 0, bad: 1500, repeated: 1500 };
    let good_hour = Tally { good: 88_500, bad: 0, repeated: 0 };
    assert!(judge(good_hour.plus(bad_minute)).is_ok());
    match judge(bad_minute) {
        Err(JobError::Refused(failure)) => assert_eq!(failure.code, FailureCode::Damaged),
        other => panic!("{other:?}"),
    }
}

fn check(rows: Vec<SegmentRow>) -> Option<u64> {
    let planned = [entry(2000), entry(2000), entry(1000)];
    complete(&planned, rows).map(|segments| segments.iter().filter_map(|segment| segment.bytes).sum())
}

#[test]
fn all_planned_rows_in_any_order_are_complete() {
    assert_eq!(check(vec![row(2, 1000, 100), row(0, 2000, 300), row(1, 2000, 100)]), Some(500));
}

#[test]
fn a_missing_doubled_empty_or_misplaced_row_is_not_complete() {
    assert_eq!(check(vec![]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1), row(3, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1), row(1, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 0), row(2, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 1999, 1), row(2, 1000, 1)]), None);
}
