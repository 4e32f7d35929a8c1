//! Text subtitles.

use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{Cue, SubtitlesRequest};

use crate::setup::{all, engine, open, planned, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("cues_of_all_tracks_come_in_one_pass", cues_of_all_tracks_come_in_one_pass),
        trial("overlapping_and_ass_cues_are_kept", overlapping_and_ass_cues_are_kept),
        trial("bitmap_subtitles_give_nothing", bitmap_subtitles_give_nothing),
    ]
}

async fn cues(path: &std::path::Path) -> Vec<Cue> {
    let source = planned(path).await;
    let stream_indices = source.probe.subtitles.iter().map(|track| track.stream_index).collect();
    let request = SubtitlesRequest { stream_indices, origin: source.plan.origin };
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
