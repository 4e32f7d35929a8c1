//! Sources that are damaged in places, too large, or on a disk that fails.

use std::ffi::OsString;
use std::process::ExitCode;

use domain::{FailureCode, Tally};
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use transcoder::{EngineError, EngineLimits, VideoSegment};

use crate::setup::{all, engine, engine_with, open, planned, source_of, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_probe_of_a_source_that_cannot_be_read_blames_the_disk", a_probe_blames_the_disk),
        trial("a_disk_that_fails_midway_is_neither_damage_nor_the_end", a_disk_that_fails_midway),
        trial("a_damaged_stretch_is_counted_and_shown_as_well_as_it_goes", a_damaged_stretch_is_counted),
        trial("an_undamaged_source_has_nothing_lost_and_nothing_repeated", an_undamaged_source_loses_nothing),
        trial("a_picture_that_is_too_large_is_refused_for_its_size", a_picture_that_is_too_large),
        trial("more_than_240_pictures_a_second_are_refused", more_than_240_pictures_a_second),
    ]
}

/// Becomes an engine below which every octet from the place that the next argument says cannot be read.
pub(crate) fn engine_on_a_bad_disk(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let from = args.next().and_then(|from| from.into_string().ok()).expect("a place");
    let place = SeccompCmpOp::Ge;
    let behind = SeccompCondition::new(3, SeccompCmpArgLen::Qword, place, from.parse().expect("a number"));
    let rule = SeccompRule::new(vec![behind.expect("a condition")]).expect("a rule");
    let (error, arch) = (SeccompAction::Errno(5), std::env::consts::ARCH.try_into().expect("a known processor"));
    let rules = [(libc::SYS_pread64, vec![rule])].into();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, error, arch).expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("the kernel has seccomp");
    transcoder::engine_main(args)
}

fn on_a_bad_disk(from: usize) -> transcoder::Engine {
    engine_with(&["bad-disk", &from.to_string()], EngineLimits::default())
}

async fn a_probe_blames_the_disk() {
    // Without an index every packet is read, so that no place is too far behind.
    let spec = ClipSpec { seconds: 9.0, container: "mkv", ..ClipSpec::default() };
    let bytes = std::fs::read(media::clip(&spec)).expect("a clip");
    for from in [0, 10_000, bytes.len() - 20_000] {
        let error = on_a_bad_disk(from).probe(source_of(&bytes)).await.expect_err("it cannot be read");
        assert!(matches!(error, EngineError::Unreadable), "from {from}: {error:?}");
        assert!(error.is_outage() && error.is_transient());
    }
    on_a_bad_disk(bytes.len() + 1).probe(source_of(&bytes)).await.expect("what is there can be read");
}

async fn a_disk_that_fails_midway() {
    let source = planned(&media::clip(&ClipSpec { seconds: 16.0, ..ClipSpec::default() })).await;
    let request = source.chunk(|_| true);
    let sound = source.encode(request.clone()).await.expect("segments");
    let size = std::fs::metadata(&source.path).expect("a file").len();
    // The index stands behind the media; a place inside that is not covered by what opening reads.
    let bytes = std::fs::read(&source.path).expect("a file");
    let spec = ClipSpec { seconds: 16.0, extra_args: vec!["-movflags", "+faststart"], ..ClipSpec::default() };
    let fast = planned(&media::clip(&spec)).await;
    let half = usize::try_from(size / 2).expect("fits");
    assert!(half < bytes.len());
    let mut session = on_a_bad_disk(half).encode_chunk(open(&fast.path), fast.chunk(|_| true)).expect("a child");
    let mut came: Vec<VideoSegment> = Vec::new();
    let error = loop {
        // Ends with the error, or by the assertion.
        match session.next().await {
            Ok(Some(segment)) => came.push(segment),
            Ok(None) => panic!("all {} segments came from half of a file", came.len()),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, EngineError::Unreadable), "{error:?}");
    assert!(came.len() < sound.len());
    for segment in came {
        assert!(sound.contains(&segment), "segment {} shows what is not there", segment.span.index);
    }
}

async fn tally_of(source: &crate::setup::Planned, file: std::fs::File) -> (usize, Tally) {
    let mut session = engine().encode_chunk(file, source.chunk(|_| true)).expect("a child");
    assert_eq!(session.tally(), None);
    let mut count = 0;
    while session.next().await.expect("segments").is_some() {
        count += 1;
    }
    (count, session.tally().expect("a tally"))
}

async fn a_damaged_stretch_is_counted() {
    let spec = ClipSpec { seconds: 16.0, extra_args: vec!["-movflags", "+faststart"], ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let mut bytes = std::fs::read(&source.path).expect("a file");
    // The index is in front: what follows the first half is picture and sound.
    let hole = bytes.len() / 2..bytes.len() / 2 + bytes.len() / 8;
    bytes[hole].fill(0);
    let (whole, _) = tally_of(&source, open(&source.path)).await;
    let (count, tally) = tally_of(&source, source_of(&bytes)).await;
    assert_eq!(count, whole, "every segment is there");
    assert!((25..100).contains(&tally.bad), "an eighth of 400 pictures: {tally:?}");
    assert!(tally.repeated >= 20, "{tally:?}");
    assert!(tally.is_damaged());
}

async fn an_undamaged_source_loses_nothing() {
    let source = planned(&media::clip(&ClipSpec { seconds: 16.0, ..ClipSpec::default() })).await;
    let frame_count = source.plan.video.as_ref().expect("a picture").frame_count;
    let (_, tally) = tally_of(&source, open(&source.path)).await;
    assert_eq!(tally, Tally { good: frame_count, bad: 0, repeated: 0 });
    // A chunk in the middle counts its own pictures, not those that it was reached by.
    let request = source.chunk(|span| span.index == 3);
    let wanted = u64::from(request.work[0].span.count);
    let mut session = engine().encode_chunk(open(&source.path), request).expect("a child");
    while session.next().await.expect("a segment").is_some() {}
    assert_eq!(session.tally(), Some(Tally { good: wanted, bad: 0, repeated: 0 }));
}

async fn a_picture_that_is_too_large() {
    let limits = EngineLimits { pixels_max: 320 * 180 - 1, ..EngineLimits::default() };
    for container in ["mp4", "mkv", "ts", "avi"] {
        let spec = ClipSpec { seconds: 2.0, container, ..ClipSpec::default() };
        let refused = engine_with(&["engine"], limits.clone()).probe(open(&media::clip(&spec))).await;
        let failure = refused.expect_err("too large").failure();
        assert_eq!(failure.code, FailureCode::LimitExceeded, "{container}: {failure}");
        assert!(failure.message.contains("320x180"), "{failure}");
    }
    let source = planned(&media::clip(&ClipSpec::default())).await;
    let session = engine_with(&["engine"], limits).encode_chunk(open(&source.path), source.chunk(|_| true));
    let failure = all(session.expect("a child")).await.expect_err("too large").failure();
    assert_eq!(failure.code, FailureCode::LimitExceeded);
}

async fn more_than_240_pictures_a_second() {
    let spec = |rate| ClipSpec { seconds: 3.0, width: 64, height: 36, rate, container: "mkv", ..ClipSpec::default() };
    engine().probe(open(&media::clip(&spec("240")))).await.expect("slow motion is no attack");
    let refused = engine().probe(open(&media::clip(&spec("1000")))).await.expect_err("too many");
    assert_eq!(refused.failure().code, FailureCode::LimitExceeded, "{refused}");
}
