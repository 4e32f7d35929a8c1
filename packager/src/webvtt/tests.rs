use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> MediaTime {
    MediaTime::new(ms, Timescale::MILLISECONDS)
}

fn cue(start_ms: i64, end_ms: i64, text: &str) -> Cue {
    Cue { start: at(start_ms), end: at(end_ms), text: text.into(), settings: String::new() }
}

#[test]
fn a_segment_holds_the_cues_visible_in_it() {
    let cues = [
        cue(0, 1000, "gone"),
        cue(1500, 2500, "crosses in"),
        cue(2000, 4000, "<i>inside</i>"),
        cue(3999, 5000, "crosses out"),
        cue(4000, 5000, "later"),
    ];
    assert_eq!(
        segment(&cues, at(2000), at(4000)),
        "WEBVTT\n\
         X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\
         \n\
         00:00:01.500 --> 00:00:02.500\n\
         crosses in\n\
         \n\
         00:00:02.000 --> 00:00:04.000\n\
         <i>inside</i>\n\
         \n\
         00:00:03.999 --> 00:00:05.000\n\
         crosses out\n"
    );
    assert_eq!(segment(&[], at(0), at(1)), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n");
}

#[test]
fn the_whole_file_is_in_order_and_without_dead_cues() {
    let cues = [
        cue(360_000_000, 360_001_000, "hundred hours"),
        cue(5000, 5000, "no time"),
        cue(5000, 4000, "backwards"),
        cue(-500, 700, "early"),
        cue(3000, 4000, " \n "),
        cue(1000, 2000, "one\n\n-->\n\r\ntwo"),
    ];
    assert_eq!(
        whole(&cues),
        "WEBVTT\n\n\
         00:00:00.000 --> 00:00:00.700\nearly\n\n\
         00:00:01.000 --> 00:00:02.000\none\n--&gt;\ntwo\n\n\
         100:00:00.000 --> 100:00:01.000\nhundred hours\n"
    );
}

#[test]
fn settings_stand_behind_the_times() {
    let placed = |settings: &str| Cue { settings: settings.into(), ..cue(1000, 2000, "top") };
    assert_eq!(
        whole(&[placed("line:0 align:start")]),
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000 line:0 align:start\ntop\n"
    );
    assert_eq!(whole(&[placed("line:0\n\nforged")]), "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\ntop\n");
}

#[test]
fn chapters_without_title_or_end_get_one() {
    let chapter = |start, end, title: &str| Chapter { start: at(start), end: at(end), title: title.into() };
    let all = [chapter(0, 1000, "A <b>\n--> x"), chapter(1000, 0, ""), chapter(3000, 3000, "End")];
    assert_eq!(
        chapters(&all),
        "WEBVTT\n\n\
         1\n00:00:00.000 --> 00:00:01.000\nA &lt;b&gt; --&gt; x\n\n\
         2\n00:00:01.000 --> 00:00:03.000\nChapter 2\n\n\
         3\n00:00:03.000 --> 00:00:04.000\nEnd\n"
    );
}

/// Cues of a file as (timing line, text), by the rules of the WebVTT parser: blocks between blank lines.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = text.split("\n\n").map(|block| block.trim_end_matches('\n'));
    assert!(blocks.next().is_some_and(|head| head.starts_with("WEBVTT")));
    blocks
        .filter(|block| !block.is_empty())
        .map(|block| {
            let (timing, text) = block.split_once('\n').expect("a timing line and a text");
            assert!(timing.contains(" --> ") && !text.contains("-->"), "{block:?}");
            (timing.to_owned(), text.to_owned())
        })
        .collect()
}

proptest! {
    #[test]
    fn segments_together_hold_every_cue(times in proptest::collection::vec((0i64..20_000, 1i64..9000), 0..30)) {
        let cues: Vec<Cue> = times.iter().map(|&(start, length)| cue(start, start + length, "x")).collect();
        let mut in_segments: Vec<_> =
            (0..8).flat_map(|at_segment| blocks(&segment(&cues, at(at_segment * 4000), at(at_segment * 4000 + 4000)))).collect();
        let mut in_whole = blocks(&whole(&cues));
        in_segments.sort();
        in_segments.dedup();
        in_whole.sort();
        in_whole.dedup();
        prop_assert_eq!(in_segments, in_whole);
    }

    #[test]
    fn no_text_breaks_a_file(texts in proptest::collection::vec(any::<String>(), 1..5), wild in r"(\n|\r|-->|[ -~]|\\N|\{|\}){0,30}") {
        let escaped: Vec<Cue> = texts.iter().chain([&wild]).map(|text| cue(0, 1000, &from_ass(text))).collect();
        let raw: Vec<Cue> = texts.iter().chain([&wild]).map(|text| cue(0, 1000, text)).collect();
        for cues in [escaped, raw] {
            prop_assert!(blocks(&whole(&cues)).len() <= cues.len());
        }
        let chapter = |text: &String| Chapter { start: at(0), end: at(1), title: text.clone() };
        let all: Vec<Chapter> = texts.iter().map(chapter).collect();
        prop_assert_eq!(chapters(&all).matches("-->").count(), all.len());
    }
}

#[test]
fn words_are_plain_without_tags_and_escapes() {
    for (text, expected) in [
        ("<v Ada>Fish &amp; <i>chips</i>\n&lt;b&gt;", "Fish & chips <b>"),
        ("&amp;lt; a\u{0}&nbsp;b", "&lt; a b"),
        ("<i", ""),
        ("", ""),
    ] {
        assert_eq!(plain(text), expected, "{text}");
    }
}
