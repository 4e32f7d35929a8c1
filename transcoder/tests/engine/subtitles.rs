//! Text subtitles.

use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{Cue, SubtitlesRequest};

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("cues_of_all_tracks_come_in_one_pass", cues_of_all_tracks_come_in_one_pass),
        trial("overlapping_and_ass_cues_are_kept", overlapping_and_ass_cues_are_kept),
        trial(
            "cues_follow_the_picture_where_the_clock_starts_anew",
            cues_follow_the_picture_where_the_clock_starts_anew,
        ),
        trial("bitmap_subtitles_give_nothing", bitmap_subtitles_give_nothing),
    ]
}

async fn cues(path: &std::path::Path) -> Vec<Cue> {
    let source = planned(path).await;
    let stream_indices = source.probe.subtitles.iter().map(|track| track.stream_index).collect();
    let jumps = source.probe.jumps().to_vec();
    let request = SubtitlesRequest { stream_indices, origin: source.plan.origin, jumps };
    all(engine().subtitles(open(path), request).expect("a session")).await.expect("cues")
}

async fn cues_of_all_tracks_come_in_one_pass() {
    for container in ["mp4", "mkv"] {
        let spec = ClipSpec { seconds: 6.0, subtitles: vec!["eng", "fra"], container, ..ClipSpec::default() };
        let cues = cues(&media::clip(&spec)).await;
        let streams: std::collections::BTreeSet<u32> = cues.iter().map(|cue| cue.stream_index).collect();
        assert_eq!(streams.len(), 2, "{container}");
        assert!(cues.len() >= 4 && cues.iter().all(|cue| cue.start < cue.end && !cue.ass.is_empty()), "{cues:?}");
    }
}

/// A file behind whose end its clusters stand once more, as where a recording was broken off and begun again.
async fn cues_follow_the_picture_where_the_clock_starts_anew() {
    const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
    let spec = ClipSpec {
        seconds: 6.0,
        subtitles: vec!["eng"],
        chapters: 2,
        container: "mkv",
        // Without lengths, which would end before the second part, and without an index.
        extra_args: vec!["-live", "1"],
        ..ClipSpec::default()
    };
    let path = media::clip(&spec);
    let one = std::fs::read(&path).expect("a clip");
    let clusters = one.windows(4).position(|id| id == CLUSTER).expect("a cluster");
    let folder = tempfile::tempdir().expect("a folder");
    let twice = folder.path().join("twice.mkv");
    std::fs::write(&twice, [&one, &one[clusters..]].concat()).expect("room");
    let (once, source) = (planned(&path).await, planned(&twice).await);
    assert!(!source.probe.jumps().is_empty(), "the clock starts anew");
    let seconds = source.plan.duration.as_secs_f64();
    assert!((11.9..12.3).contains(&seconds), "plays for {seconds} s");
    // The second part begins where the picture of the first one ends.
    let (first, both) = (cues(&path).await, cues(&twice).await);
    assert!(first.len() >= 2 && both.len() == first.len() * 2, "{both:?}");
    for (cue, again) in first.iter().zip(&both[first.len()..]) {
        let apart = again.start.as_ms() - cue.start.as_ms();
        assert!((5950..6150).contains(&apart) && again.ass == cue.ass, "{cue:?} {again:?}");
    }
    assert_eq!(both[..first.len()], first[..]);
    assert_eq!(source.probe.chapters, once.probe.chapters, "they count from the first timeline");
    assert_eq!(once.probe.chapters.len(), 2);
}

async fn overlapping_and_ass_cues_are_kept() {
    for (file, count) in
        [("f_androidx_sample_with_overlapping_srt.mkv", 2), ("f_androidx_sample_with_ass_subtitles.mkv", 1)]
    {
        let Some(path) = fixtures::corpus_file(file) else { return };
        let cues = cues(&path).await;
        assert!(cues.len() >= count, "{file}: {cues:?}");
    }
}

async fn bitmap_subtitles_give_nothing() {
    let Some(path) = fixtures::corpus_file("f_androidx_sample_with_pgs_subtitles.mkv") else { return };
    assert_eq!(cues(&path).await, []);
}
