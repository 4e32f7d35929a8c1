use domain::ladder::Rung;
use domain::plan::{AudioPlan, VideoPlan};
use domain::{Cadence, Failure, FailureCode, FrameRate, JobKind, Recipe};

use super::*;

fn rendition(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a name")
}

fn plan() -> Plan {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let resolution = Resolution { width: 320, height: 180 };
    let audio = |number: u32| AudioPlan {
        id: rendition(&format!("audio-{number}")),
        stream_index: number + 1,
        frame_count: 469,
        channels: 2,
        language: None,
        name: format!("Audio {number}"),
        copied: None,
        gain_db: None,
    };
    Plan {
        recipe: Recipe::default(),
        origin: MediaTime::zero(),
        duration: rate.instant(250),
        cadence: Cadence::for_video(rate),
        video: Some(VideoPlan {
            copied: None,
            costs: vec![],
            looks: vec![],
            extra: vec![],
            stream_index: 0,
            frame_count: 250,
            rungs: vec![Rung {
                id: rendition("180p"),
                resolution,
                bitrate_max: Bitrate(400_000),
                level: 12,
                codec: Codec::H264,
                crf: None,
            }],
        }),
        audio: vec![audio(0), audio(1)],
        subtitles: vec![],
    }
}

/// A ready generation with every row, and its presentation.
fn sound() -> (Output, Presentation) {
    let (asset, playback, generation) = (AssetId::from_u128(1), PlaybackId::from_u128(2), Generation(1));
    let plan = plan();
    let mut presentation = Presentation {
        revision: 1,
        is_complete: Some(true),
        ..Presentation::planned(asset, playback, generation, &plan)
    };
    let mut rows = Vec::new();
    let coded = presentation.video.iter_mut().map(|video| (&video.id, &mut video.segments));
    for (id, entries) in coded.chain(presentation.audio.iter_mut().map(|audio| (&audio.id, &mut audio.segments))) {
        for (index, entry) in (0u32..).zip(entries) {
            let row = SegmentRow {
                asset,
                generation,
                rendition: id.clone(),
                index,
                ticks: entry.ticks,
                bytes: 1000,
                sha256: format!("{index:064}"),
                keyframes: vec![],
            };
            *entry = row.clone().into();
            rows.push(row);
        }
    }
    (
        Output {
            asset,
            playback,
            generation,
            is_ready: true,
            plan,
            rows,
            images: None,
            subtitles: vec![],
            left_out: vec![],
        },
        presentation,
    )
}

/// What is found after a change.
fn check(change: impl FnOnce(&mut Output, &mut Presentation), expected: &[(Fault, &str)]) -> Inventory {
    let (mut output, mut presentation) = sound();
    change(&mut output, &mut presentation);
    let inventory = take(&output, Some(&presentation));
    let found: Vec<(Fault, &str)> = inventory
        .findings
        .iter()
        .map(|finding| (finding.fault, finding.place.rsplit_once(' ').map_or(finding.place.as_str(), |it| it.1)))
        .collect();
    assert_eq!(found, expected, "{:?}", inventory.findings);
    inventory
}

const DOCUMENT: &str = "presentations/ast_00000000000000000000000001/1-1.json";

#[test]
fn a_sound_generation_gives_no_finding_and_everything_is_looked_for() {
    let inventory = check(|_, _| {}, &[]);
    let (output, _) = sound();
    assert_eq!(inventory.expected.len(), output.rows.len() + 3, "each segment, and an init segment per rendition");
    assert!(inventory.expected.iter().filter(|expected| expected.sha256.is_some()).count() == output.rows.len());
}

#[test]
fn a_lost_row_is_named_and_its_object_still_compared() {
    let inventory = check(|output, _| drop(output.rows.remove(2)), &[(Fault::RowMissing, "2")]);
    assert!(inventory.expected.iter().any(|it| it.key.as_str().ends_with("180p/2.m4s") && it.sha256.is_some()));
    check(
        |output, _| output.rows.retain(|row| row.rendition.as_str() != "180p" || row.index > 1),
        &[(Fault::RowMissing, "0"), (Fault::RowMissing, "1")],
    );
}

#[test]
fn rows_that_were_never_planned_are_named() {
    check(|output, _| output.rows[0].index = 99, &[(Fault::RowMissing, "0"), (Fault::RowStray, "99")]);
    check(
        |output, _| output.rows.push(SegmentRow { rendition: rendition("900p"), ..output.rows[0].clone() }),
        &[(Fault::RowStray, "900p")],
    );
}

#[test]
fn rows_of_another_length_or_hash_are_named() {
    check(|output, _| output.rows[1].ticks += 1, &[(Fault::RowDiffers, "1")]);
    check(|output, _| output.rows[1].sha256 = "f".repeat(64), &[(Fault::PresentationDiffers, "1")]);
}

#[test]
fn a_presentation_that_tells_another_story_is_named() {
    check(|_, it| it.duration = MediaTime::zero(), &[(Fault::PresentationDiffers, DOCUMENT)]);
    check(|_, it| it.video[0].resolution.width = 2, &[(Fault::PresentationDiffers, DOCUMENT)]);
    check(|_, it| it.cadence.gop_frames += 1, &[(Fault::PresentationDiffers, DOCUMENT)]);
    // One cell differs, and with it the sum.
    check(
        |_, it| it.audio[0].segments[1].ticks += 1,
        &[(Fault::PresentationDiffers, "1"), (Fault::PresentationDiffers, DOCUMENT)],
    );
    check(|_, it| drop(it.video[0].segments.pop()), &[(Fault::PresentationDiffers, DOCUMENT)]);
}

#[test]
fn text_that_does_not_last_the_whole_is_named() {
    let text = |ticks: u64| SubtitleRendition {
        id: rendition("subtitles-0"),
        language: None,
        name: "Subtitles".into(),
        is_default: false,
        is_forced: false,
        is_sdh: false,
        timescale: Timescale::MILLISECONDS,
        segments: vec![SegmentEntry { ticks, bytes: Some(9), sha256: Some("0".repeat(64)), keyframes: vec![] }],
    };
    let inventory = check(|_, it| it.subtitles.push(text(10_000)), &[]);
    assert!(inventory.expected.iter().any(|it| it.key.as_str().ends_with("subtitles/subtitles-0/0.vtt")));
    check(|_, it| it.subtitles.push(text(9_999)), &[(Fault::PresentationDiffers, DOCUMENT)]);
}

#[test]
fn a_sound_track_is_missed_unless_it_was_left_out() {
    let give_up = |output: &mut Output, it: &mut Presentation| {
        output.rows.retain(|row| row.rendition.as_str() != "audio-1" || row.index == 0);
        it.audio.pop();
    };
    let reason = Failure::new(FailureCode::Damaged, "broken");
    let left_out = LeftOut { kind: JobKind::Audio, rendition: Some(rendition("audio-1")), codec: None, reason };
    check(
        |output, it| {
            give_up(output, it);
            output.left_out.push(left_out);
        },
        &[],
    );
    let (mut output, mut it) = sound();
    give_up(&mut output, &mut it);
    let found: Vec<Fault> = take(&output, Some(&it)).findings.into_iter().map(|finding| finding.fault).collect();
    assert_eq!(found.first(), Some(&Fault::PresentationDiffers));
    assert!(found.len() > 1 && found[1..].iter().all(|fault| *fault == Fault::RowMissing), "{found:?}");
}

#[test]
fn what_is_still_being_made_is_not_missed() {
    let (mut output, _) = sound();
    output.is_ready = false;
    output.rows.truncate(2);
    let planned = Presentation::planned(output.asset, output.playback, output.generation, &output.plan);
    // With a text that was added meanwhile, the plan has a later revision.
    for revision in [0, 3] {
        let planned = Presentation { revision, ..planned.clone() };
        let inventory = take(&output, Some(&planned));
        assert_eq!(inventory.findings, []);
        assert_eq!(inventory.expected.len(), 3, "two segments and the init segment they play after");
    }
}
