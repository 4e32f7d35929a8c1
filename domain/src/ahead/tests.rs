use proptest::prelude::*;

use super::*;
use crate::plan::{AudioPlan, VideoPlan};
use crate::{Cadence, FrameRate, Generation, Recipe, RenditionId};

const GENERATION: Generation = Generation(1);

fn ms(ms: i64) -> MediaTime {
    MediaTime::new(ms, Timescale::MILLISECONDS)
}

/// A minute of picture and sound that begins at `origin`.
fn plan(origin: MediaTime) -> Plan {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let rungs = crate::ladder::rungs(crate::Resolution { width: 640, height: 360 }, rate);
    let video = VideoPlan {
        stream_index: 0,
        frame_count: 1500,
        rungs,
        copied: None,
        costs: vec![],
        looks: vec![],
        extra: vec![],
    };
    let id = RenditionId::new("audio-0").expect("a name");
    let audio = AudioPlan {
        id,
        stream_index: 1,
        frame_count: 2813,
        channels: 2,
        language: None,
        name: "Audio".into(),
        copied: None,
        gain_db: None,
    };
    Plan {
        recipe: Recipe::default(),
        origin,
        duration: ms(60_000),
        cadence: Cadence::for_video(rate),
        video: Some(video),
        audio: vec![audio],
        subtitles: vec![],
    }
}

fn jobs(plan: &Plan) -> Vec<JobSpec> {
    let chunks = plan.chunks().into_iter().map(|chunk| JobSpec::Chunk { generation: GENERATION, chunk: chunk.index });
    let rendition = plan.audio[0].id.clone();
    let sound = JobSpec::Audio { generation: GENERATION, rendition, part: 0 };
    chunks.chain([sound]).collect()
}

/// When the last picture of a job is shown, or its last sound heard, on the source's timeline.
fn end_of(plan: &Plan, job: &JobSpec) -> MediaTime {
    let end = match job {
        JobSpec::Chunk { chunk, .. } => {
            let chunk = plan.chunks()[usize::try_from(*chunk).expect("few")];
            let last = chunk.first_segment + chunk.segment_count - 1;
            let span = plan.video_spans()[usize::try_from(last).expect("few")];
            plan.cadence.frame_rate.instant(span.end())
        }
        _ => ms(i64::try_from(plan.audio[0].frame_count * 1024 * 1000).expect("short") / 48_000),
    };
    ms(end.as_ms() + plan.origin.as_ms())
}

#[test]
fn samples_in_order_permit_chunk_after_chunk() {
    // 1000 octets a second, behind an index of 500.
    let samples = (0..60i64).map(|second| (ms(second * 1000), 500 + 1000 * (u64::try_from(second).expect("few") + 1)));
    let (plan, reach) = (plan(ms(0)), Reach::of(samples).expect("short"));
    assert!(reach.is_sound(60_500) && !reach.is_sound(60_499));
    let need: Vec<_> = jobs(&plan).iter().map(|job| needs(&plan, &reach, job).expect("a part")).collect();
    // The first chunk ends at 6 s, the margin is three, and the second that is touched counts as a whole.
    assert_eq!(need, [(10_500, 0), (60_500, 6), (60_500, 0)]);
    assert_eq!(needs(&plan, &reach, &JobSpec::Images { generation: GENERATION, is_last: false }), None);
    assert_eq!(needs(&plan, &reach, &JobSpec::Loudness { generation: GENERATION }), None);
}

#[test]
fn sound_behind_all_pictures_permits_nothing_before_it_is_there() {
    let pictures = (0..60i64).map(|second| (ms(second * 1000), u64::try_from(second + 1).expect("few") * 1000));
    let sound = (0..60i64).map(|second| (ms(second * 1000), 60_000 + u64::try_from(second + 1).expect("few") * 10));
    let (plan, reach) = (plan(ms(0)), Reach::of(pictures.chain(sound)).expect("short"));
    let first = needs(&plan, &reach, &JobSpec::Chunk { generation: GENERATION, chunk: 0 });
    assert_eq!(first, Some((60_100, 0)));
}

#[test]
fn a_source_without_samples_permits_nothing_and_absurd_times_are_not_told_of() {
    let reach = Reach::of([]).expect("nothing is too late");
    assert_eq!(needs(&plan(ms(0)), &reach, &JobSpec::Chunk { generation: GENERATION, chunk: 0 }), None);
    assert_eq!(Reach::of([(ms(i64::MAX), 1)]), None);
    assert_eq!(Reach::of([(ms(i64::MIN), 1)]).and_then(|reach| reach.until(ms(0))), Some(1));
}

proptest! {
    /// Whatever the interleaving: every sample, of any track, that is decoded before the end of what a job makes lies
    /// in the octets that it waits for, and so do those that are decoded a little later.
    #[test]
    fn a_permitted_job_has_every_sample_that_it_can_need(
        samples in prop::collection::vec((-5_000i64..70_000, 0u64..1_000_000), 1..300),
        origin in -2_000i64..2_000,
    ) {
        let plan = plan(ms(origin));
        let reach = Reach::of(samples.iter().map(|(time, end)| (ms(*time), *end))).expect("short");
        prop_assert!(reach.is_sound(1_000_000));
        for job in jobs(&plan) {
            let (need, _) = needs(&plan, &reach, &job).expect("samples");
            let end = end_of(&plan, &job).as_ms();
            for (time, sample_end) in &samples {
                prop_assert!(*time > end + 2_000 || *sample_end <= need, "{job:?}: {time} ends at {sample_end} > {need}");
            }
        }
    }

    /// What a prefix permits, every longer one permits as well, and the whole permits all.
    #[test]
    fn a_longer_prefix_permits_no_less(
        samples in prop::collection::vec((0i64..60_000, 0u64..1_000_000), 1..300),
        there in 0u64..1_000_000, more in 0u64..1_000_000,
    ) {
        let plan = plan(ms(0));
        let reach = Reach::of(samples.iter().map(|(time, end)| (ms(*time), *end))).expect("short");
        let permitted = |there: u64| {
            jobs(&plan).into_iter().filter(|job| needs(&plan, &reach, job).is_some_and(|(need, _)| need <= there)).count()
        };
        prop_assert!(permitted(there) <= permitted(there + more));
        prop_assert_eq!(permitted(1_000_000), jobs(&plan).len());
    }
}
