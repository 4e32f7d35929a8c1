//! Files as people have them, and files that nobody has.

use domain::MediaTime;
use proptest::prelude::*;

use super::*;
use crate::webvtt;

fn text_of(file: &[u8]) -> Reading {
    read(file, Hints::default())
}

/// Start and end in milliseconds, settings and text of each cue.
fn cues(reading: &Reading) -> Vec<(i64, i64, &str, &str)> {
    let cue = |cue: &Cue| (cue.start.as_ms(), cue.end.as_ms());
    let cues = reading.cues.iter().map(|one| (cue(one).0, cue(one).1, one.settings.as_str(), one.text.as_str()));
    cues.collect()
}

fn texts(file: &str) -> Vec<String> {
    text_of(file.as_bytes()).cues.into_iter().map(|cue| cue.text).collect()
}

/// A SubRip file with one cue.
fn srt(text: &str) -> String {
    format!("1\n00:00:01,000 --> 00:00:02,000\n{text}\n")
}

#[test]
fn every_file_of_the_corpus_gives_its_valid_cues() {
    /// File, form, cues, dropped ones, and the last cue with its start in milliseconds.
    type Expected = (&'static str, Format, usize, u32, (i64, &'static str));
    let table: [Expected; 9] = [
        ("srt_typical.srt", Format::Srt, 3, 0, (7_204_567, "This is the third subtitle.")),
        ("srt_typical_bad_timestamps.srt", Format::Srt, 1, 2, (0, "This is the first subtitle.")),
        ("srt_typical_with_tags.srt", Format::Srt, 14, 0, (24_567, "This is a line.")),
        ("ssa_invalid_timecodes.ass", Format::Ass, 2, 6, (16_560, "This is the last subtitle.")),
        ("ssa_typical.ass", Format::Ass, 3, 0, (4560, "This is the third subtitle, with a comma.")),
        ("webvtt_typical.vtt", Format::Vtt, 2, 0, (2345, "This is the second subtitle.")),
        ("webvtt_with_bom.vtt", Format::Vtt, 2, 0, (2345, "This is the second subtitle.")),
        ("webvtt_with_positioning.vtt", Format::Vtt, 8, 0, (14_000, "This is the eighth subtitle.")),
        ("arabic", Format::Vtt, 1, 0, (11_000, "Payload")),
    ];
    for (name, format, count, dropped, (start_ms, text)) in table {
        let name = if name == "arabic" { "t_vttjs_arabic.vtt".to_owned() } else { format!("t_androidx_{name}") };
        let Some(file) = fixtures::corpus_file(&name) else { return };
        let reading = text_of(&std::fs::read(file).expect("the corpus is readable"));
        let last = reading.cues.last().expect("it has cues");
        assert_eq!((last.start.as_ms(), last.text.as_str()), (start_ms, text), "{name}");
        assert_eq!((reading.report.format, reading.cues.len()), (Some(format), count), "{name}");
        assert_eq!((reading.report.dropped, reading.report.reason.as_deref()), (dropped, None), "{name}");
        assert_eq!(u32::try_from(reading.report.problems.len()), Ok(dropped), "{name}");
    }
}

#[test]
fn positions_of_webvtt_are_kept_in_the_words_of_the_present_standard() {
    let check = |settings: &str, expected: &str| {
        let file = format!("WEBVTT\n\n00:00.000 --> 00:01.000 {settings}\nx\n");
        assert_eq!(text_of(file.as_bytes()).cues[0].settings, expected, "{settings}");
    };
    check("position:60%,end align:start size:35%", "position:60%,line-right align:start size:35%");
    check("position:10 align:end", "align:end");
    check("line:45%,end align:middle", "line:45%,end align:center");
    check("line:-10 vertical:rl", "line:-10 vertical:rl");
    check("position:70%,line-right", "position:70%,line-right");
    check("region:fred line:0 line:9 size:101% position:100.5% colour:red line", "line:0");
    check("size:100.0% line:--1", "size:100.0%");
}

#[test]
fn markup_of_subrip_becomes_what_webvtt_has() {
    let check = |text: &str, expected: &str| assert_eq!(texts(&srt(text)), [expected], "{text}");
    check("<i>slanted</i> & <b>bold</b>", "<i>slanted</i> &amp; <b>bold</b>");
    check("<b><i>crossed</b></i> out", "<b><i>crossed</i></b> out");
    check("<font color=\"#ff0000\">red</font>", "red");
    check("{\\an8}top {\\i1}slanted{\\i0} { \\an2} stays", "top <i>slanted</i> { \\an2} stays");
    check("I <3 you, a < b > c, <unknown>", "I &lt;3 you, a &lt; b &gt; c, &lt;unknown&gt;");
    check("one<br/>two\nthree", "one\ntwo\nthree");
    check("Tom &amp; Jerry &nbsp;&lt;&bogus; &#233;", "Tom &amp; Jerry \u{a0}&lt;&amp;bogus; é");
    check("<EM>loud</EM>", "<i>loud</i>");
    check("unclosed <i>to the end", "unclosed <i>to the end</i>");
}

#[test]
fn markup_of_webvtt_is_written_anew() {
    let check = |text: &str, expected: &str| {
        let file = format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n");
        assert_eq!(texts(&file), [expected], "{text}");
    };
    check("<v.loud Mary & Joe>Hi", "<v.loud Mary &amp; Joe>Hi</v>");
    check("<c.yellow.bg_blue>text</c>", "<c.yellow.bg_blue>text</c>");
    check("<ruby>漢<rt>kan</rt></ruby>", "<ruby>漢<rt>kan</rt></ruby>");
    check("<00:00:00.500>later", "<00:00:00.500>later");
    check("<script>alert(1)</script>", "alert(1)");
    check("<i>a</b></i>", "<i>a</i>");
    check("<lang en\"GB>colour</lang>", "<lang en\"GB>colour</lang>");
    check("a &lt;b&gt; &amp; & c", "a &lt;b&gt; &amp; &amp; c");
}

#[test]
fn a_cue_without_anything_to_see_is_dropped_and_told() {
    let reading = text_of(srt("<i></i>{\\an8}").as_bytes());
    assert_eq!((reading.cues.len(), reading.report.dropped), (0, 1));
    assert_eq!(reading.report.reason.as_deref(), Some("no subtitle of the file could be read"));
}

#[test]
fn subrip_with_blank_lines_in_wrong_places_loses_no_text() {
    let file = "1\n00:00:01,000 --> 00:00:02,000\n\nfirst\n\nstill first\n2\n00:00:03,000 --> 00:00:04,000\n\
                second\n00:00:05,000 --> 00:00:06,000\n3\n\n4\n00:00:07,000 --> 00:00:08,000\nlast";
    assert_eq!(texts(file), ["first\nstill first", "second", "3", "last"]);
}

#[test]
fn a_broken_time_drops_its_cue_with_its_text() {
    let file = "1\n00:00:01,000 -> 00:00:02,000\nlost\n\n2\n00:00:03,000 --> 00:00:02,000\nbackwards\n\n\
                3\n00:00:05,000 --> 00:00:06,000 X1:100 X2:200\nkept\n";
    let reading = text_of(file.as_bytes());
    assert_eq!(cues(&reading), [(5000, 6000, "", "kept")]);
    let problems: Vec<_> = reading.report.problems.iter().map(|one| (one.line, one.what.as_str())).collect();
    assert_eq!(
        problems,
        [
            (2, "not the times of a subtitle: \"00:00:01,000 -> 00:00:02,000\""),
            (6, "not the times of a subtitle: \"00:00:03,000 --> 00:00:02,000\"")
        ]
    );
}

#[test]
fn styles_regions_comments_and_headers_of_webvtt_are_no_text() {
    let file = "WEBVTT - title\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\nREGION\nid:fred\n\n\
                STYLE\n::cue { background: url(http://host/) }\n\nNOTE\nnothing\n\nname\n\
                00:01.000 --> 00:02.000\nfirst\n00:03.000 --> 00:04.000\nsecond\n";
    assert_eq!(texts(file), ["first", "second"]);
}

#[test]
fn dialogue_of_ass_is_read_in_the_stated_order_or_the_usual_one() {
    let file = "[Events]\nFormat: Start, End, Text\nDialogue: 0:00:01.00,0:00:02.00,Hi, {\\i1}there{\\i0}\\Nagain\n\
                Comment: 0:00:03.00,0:00:04.00,no\n[Fonts]\nDialogue: 0:00:05.00,0:00:06.00,no\n";
    assert_eq!(texts(file), ["Hi, <i>there</i>\nagain"]);
    let file = "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,usual, order\nDialogue: 0,0:00:01.00";
    let reading = text_of(file.as_bytes());
    assert_eq!(cues(&reading), [(1000, 2000, "", "usual, order")]);
    assert_eq!(reading.report.dropped, 1);
}

#[test]
fn cues_are_in_order_of_time() {
    let file = "00:00:05,000 --> 00:00:06,000\nlater\n\n00:00:01,000 --> 00:00:09,000\nlong\n\n\
                00:00:01,000 --> 00:00:02,000\nshort\n";
    assert_eq!(texts(file), ["short", "long", "later"]);
}

#[test]
fn what_is_no_subtitle_file_is_told() {
    for file in ["", "\n\n", "hello", "{\"json\": 1}", "WEBVTTX\n\nhello"] {
        let reading = text_of(file.as_bytes());
        assert!(reading.report.reason.is_some_and(|reason| reason.contains("neither SubRip")), "{file:?}");
    }
    assert!(text_of(b"WEBVTT").report.reason.is_some_and(|reason| reason.contains("no subtitle")));
}

#[test]
fn endless_files_are_cut() {
    let file: String = (0..CUES_MAX + 10).map(|_| "00:01,000 --> 00:02,000\nx\n").collect();
    let reading = text_of(file.as_bytes());
    assert_eq!((reading.cues.len(), reading.report.dropped), (CUES_MAX, 10));
    assert_eq!(texts(&srt(&"a".repeat(100_000)))[0].len(), 4000);
}

mod charsets {
    use encoding_rs::{BIG5, EUC_KR, Encoding, GBK, ISO_8859_2, SHIFT_JIS, WINDOWS_1251, WINDOWS_1252, WINDOWS_1253};
    use encoding_rs::{KOI8_R, WINDOWS_1255, WINDOWS_1256};

    use super::*;

    fn language(tag: &str) -> Option<Language> {
        Language::from_code(tag)
    }

    #[track_caller]
    fn check(encoding: &'static Encoding, tag: Option<&str>, words: &str) {
        let (bytes, _, has_errors) = encoding.encode(words);
        assert!(!has_errors, "{} has all of it", encoding.name());
        let mut file = b"1\r\n00:00:01,000 --> 00:00:02,000\r\n".to_vec();
        file.extend_from_slice(&bytes);
        let language = tag.and_then(language);
        let reading = read(&file, Hints { language: language.as_ref(), charset: None });
        assert_eq!(reading.cues.first().map(|cue| cue.text.as_str()), Some(words), "{}", encoding.name());
        let stated = read(&file, Hints { language: None, charset: Some(encoding.name()) });
        assert_eq!(stated.cues, reading.cues);
    }

    #[test]
    fn legacy_character_sets_are_detected() {
        check(WINDOWS_1252, Some("fr"), "Où est passée la forêt ? Là-bas, près du château.");
        check(WINDOWS_1252, None, "Das Mädchen läuft über die Straße, schön und groß.");
        check(WINDOWS_1251, None, "Где ты был вчера вечером? Я тебя ждал весь день.");
        check(KOI8_R, Some("ru"), "Где ты был вчера вечером? Я тебя ждал весь день.");
        check(WINDOWS_1256, Some("ar"), "أين كنت الليلة الماضية؟ كنت في انتظارك طوال اليوم.");
        check(WINDOWS_1255, Some("he"), "איפה היית אתמול בערב? חיכיתי לך כל היום.");
        check(WINDOWS_1253, Some("el"), "Πού ήσουν χθες το βράδυ; Σε περίμενα όλη μέρα.");
        check(ISO_8859_2, Some("pl"), "Gdzie byłeś wczoraj wieczorem? Czekałem cały dzień.");
        check(SHIFT_JIS, Some("ja"), "昨日の夜はどこにいたの？一日中待っていたよ。");
        check(EUC_KR, Some("ko"), "어젯밤에 어디 있었어? 하루 종일 기다렸어.");
        check(GBK, Some("zh"), "你昨晚在哪里？我等了你一整天。");
        check(BIG5, Some("zh"), "你昨晚在哪裡？我等了你一整天。");
    }

    #[test]
    fn utf_8_and_utf_16_are_known_with_and_without_a_mark() {
        let file = srt("Größe и 漢字 🎬");
        let wide = |big: bool| -> Vec<u8> {
            let order = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            file.encode_utf16().flat_map(order).collect()
        };
        let marked = |mark: &[u8], rest: Vec<u8>| [mark.to_vec(), rest].concat();
        let files = [
            ("UTF-8", file.clone().into_bytes()),
            ("UTF-8", marked(b"\xef\xbb\xbf", file.clone().into_bytes())),
            ("UTF-16LE", wide(false)),
            ("UTF-16LE", marked(b"\xff\xfe", wide(false))),
            ("UTF-16BE", wide(true)),
            ("UTF-16BE", marked(b"\xfe\xff", wide(true))),
        ];
        for (charset, bytes) in files {
            let reading = text_of(&bytes);
            assert_eq!(cues(&reading), [(1000, 2000, "", "Größe и 漢字 🎬")], "{charset}");
            assert_eq!(reading.report.charset.as_deref(), Some(charset));
        }
    }

    #[test]
    fn an_unknown_character_set_is_told() {
        let reading = read(srt("x").as_bytes(), Hints { language: None, charset: Some("klingon-1") });
        assert!(reading.cues.is_empty());
        assert!(reading.report.reason.is_some_and(|reason| reason.contains("\"klingon-1\" is not known")));
    }
}

/// Pieces that files are made of, well-formed or not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("00:00:01,000 --> 00:00:02,000\n".to_owned()),
        Just("00:01.000 --> 00:02.000 line:0 align:middle\n".to_owned()),
        Just("Dialogue: 0,0:00:01.00,0:00:02.00,D,,0,0,0,,".to_owned()),
        "(<[/]?(b|i|v|c|ruby|x)[ .]?>|\\{\\\\(i1|p1|an8)\\}|&[a-z#0-9]{0,6};|-->|->|\\\\N){1,4}",
        "[0-9:,.]{1,14}",
        "\\PC{0,12}",
    ];
    let head = prop_oneof![Just(""), Just("WEBVTT\n\n"), Just("[Events]\n"), Just("1\n")];
    (head, proptest::collection::vec(piece, 0..40)).prop_map(|(head, pieces)| format!("{head}{}", pieces.concat()))
}

/// What every reading must be, whatever the file was.
fn check_sound(reading: &Reading, file_bytes: usize) {
    assert_eq!(reading.cues.is_empty(), reading.report.reason.is_some());
    assert!(reading.cues.windows(2).all(|pair| pair[0].start <= pair[1].start));
    let mut bytes = 0;
    for cue in &reading.cues {
        assert!(cue.start < cue.end && cue.start >= MediaTime::zero() && !cue.text.trim().is_empty());
        bytes += cue.text.len() + cue.settings.len();
    }
    // An octet may become a character reference, and an opened tag is closed.
    assert!(bytes <= file_bytes * 12 + 1000, "{bytes} of {file_bytes}");
    let whole = webvtt::whole(&reading.cues);
    let again = text_of(whole.as_bytes());
    assert_eq!(again.cues, reading.cues, "what is written reads back");
}

proptest! {
    #[test]
    fn no_file_whatever_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let reading = text_of(&bytes);
        prop_assert_eq!(reading.cues.is_empty(), reading.report.reason.is_some());
    }

    #[test]
    fn what_is_read_is_valid_webvtt(file in pieces()) {
        check_sound(&text_of(file.as_bytes()), file.len());
    }
}
