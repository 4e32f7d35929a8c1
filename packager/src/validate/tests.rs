//! A good film passes; each copy that is broken in one way is told apart by the name of its rule.

use proptest::prelude::*;

use super::*;
use crate::film::{self, Files};

/// Judges a folder as the command does.
fn judge(files: &Files) -> Report {
    let mut report = Report::default();
    let empty = Vec::new();
    let get = |path: &str| files.get(path).unwrap_or(&empty);
    match read("master.m3u8", get("master.m3u8"), &mut report) {
        Some(Playlist::Multivariant(top)) => {
            let mut tracks = Vec::new();
            for (uri, declared) in top.children() {
                let Some(Playlist::Media(media)) = read(&uri, get(&uri), &mut report) else { continue };
                let folder = uri.split_once('/').map_or("", |(folder, _)| folder).to_owned();
                let track = Track::new(media, declared, &mut report);
                tracks.push((uri, segments(files, &folder, track, &mut report)));
            }
            whole(&top, &tracks, &mut report);
        }
        Some(Playlist::Media(media)) => {
            let track = Track::new(media, Declared::nothing(), &mut report);
            segments(files, "", track, &mut report);
        }
        None => {}
    }
    report
}

fn segments(files: &Files, folder: &str, mut track: Track, report: &mut Report) -> Track {
    let media = track.media().clone();
    let path = |uri: &str| format!("{folder}/{uri}").trim_start_matches('/').to_owned();
    let octets = |uri: &str, range: &Option<std::ops::Range<u64>>| -> Vec<u8> {
        let whole = files.get(&path(uri)).cloned().unwrap_or_default();
        let at = |offset: u64| usize::try_from(offset).expect("small").min(whole.len());
        range.as_ref().map_or(whole.clone(), |range| whole[at(range.start)..at(range.end)].to_vec())
    };
    let mut map = None;
    for segment in &media.segments {
        if segment.map != map {
            map = segment.map;
            let wanted = &media.maps[map.expect("a map")];
            track.init(&path(&wanted.uri), &octets(&wanted.uri, &wanted.range), report);
        }
        track.segment(&path(&segment.uri), &octets(&segment.uri, &segment.range), report);
    }
    track
}

fn names(report: &Report) -> Vec<&'static str> {
    let mut names: Vec<_> = report.findings().iter().map(|finding| finding.rule.id).collect();
    names.dedup();
    names
}

#[test]
fn a_film_of_ours_breaks_no_rule() {
    let report = judge(&film::folder());
    assert_eq!(report.findings(), [], "{report:#?}");
    let (film, _) = film::film();
    assert_eq!(presentation(&film).findings(), []);
}

#[test]
fn a_plan_is_not_blamed_for_what_is_not_measured_yet() {
    let (mut film, _) = film::film();
    film.is_complete = Some(false);
    let video = film.video.iter_mut().flat_map(|one| one.segments.iter_mut());
    for segment in video.chain(film.audio.iter_mut().flat_map(|one| one.segments.iter_mut())) {
        (segment.bytes, segment.sha256) = (None, None);
        segment.keyframes.clear();
    }
    assert_eq!(presentation(&film).findings(), []);
}

/// Replaces text in a file.
fn edit(files: &mut Files, path: &str, from: &str, to: &str) {
    let text = String::from_utf8(files[path].clone()).expect("text");
    assert!(text.contains(from), "{path} has no {from:?}:\n{text}");
    files.insert(path.into(), text.replace(from, to).into());
}

/// The place of `needle` in a file.
fn place(files: &Files, path: &str, needle: &[u8]) -> usize {
    files[path].windows(needle.len()).position(|window| window == needle).expect("it is there")
}

#[track_caller]
fn check(rule: &str, break_it: impl Fn(&mut Files)) {
    let mut files = film::folder();
    break_it(&mut files);
    let report = judge(&files);
    assert!(names(&report).contains(&rule), "expected {rule}, found {report:#?}");
    let finding = report.findings().iter().find(|finding| finding.rule.id == rule).expect("just found");
    assert!(!finding.place.is_empty() && !finding.what.is_empty() && !finding.rule.advice.is_empty());
}

/// A breach that text in a playlist makes.
#[track_caller]
fn check_text(rule: &str, path: &str, from: &str, to: &str) {
    check(rule, |files| edit(files, path, from, to));
}

const TOP: &str = "master.m3u8";
const LOW: &str = "low/playlist.m3u8";

#[test]
fn broken_playlists_at_the_top_are_told_apart() {
    for (rule, from, to) in [
        ("playlist.utf8", "#EXTM3U", "\u{feff}#EXTM3U"),
        ("playlist.utf8", "NAME=\"English\"", "NAME=\"Eng\u{7}lish\""),
        ("playlist.extm3u", "#EXTM3U", "#EXTM3U8"),
        ("playlist.version", "#EXT-X-VERSION:6", "#EXT-X-VERSION:six"),
        ("playlist.version", "#EXT-X-INDEPENDENT", "#EXT-X-DEFINE:QUERYPARAM=\"t\"\n#EXT-X-INDEPENDENT"),
        ("playlist.once", "#EXT-X-VERSION:6", "#EXT-X-VERSION:6\n#EXT-X-VERSION:6"),
        ("playlist.attributes", "CODECS=\"avc1.64000b,mp4a.40.2\"", "CODECS=avc1.64000b"),
        ("playlist.attributes", "GROUP-ID=\"audio\"", "GROUP-ID=\"audio"),
        ("playlist.attributes", "FRAME-RATE=25.000", "FRAME-RATE=25.000,FRAME-RATE=25.000"),
        ("playlist.attributes", "FRAME-RATE=25.000", "FRAME-RATE=25.000, "),
        ("playlist.attributes", "RESOLUTION=160x120", "RESOLUTION=160*120"),
        ("playlist.attributes", "DEFAULT=YES", "DEFAULT=yes"),
        ("playlist.uri", "\nlow/playlist.m3u8", "\nlow/play list.m3u8"),
        ("playlist.uri", "\nlow/playlist.m3u8", ""),
        ("playlist.kind", "#EXT-X-INDEPENDENT", "#EXT-X-TARGETDURATION:6\n#EXT-X-INDEPENDENT"),
        ("multivariant.bandwidth", ":BANDWIDTH=", ":BAND-WIDTH="),
        ("multivariant.average-bandwidth", "AVERAGE-BANDWIDTH=", "AVERAGE-WIDTH="),
        ("multivariant.average-bandwidth", "AVERAGE-BANDWIDTH=", "AVERAGE-BANDWIDTH=9"),
        ("multivariant.codecs", "CODECS=\"avc1.64000b,mp4a.40.2\",", ""),
        ("multivariant.codecs", "CODECS=\"avc1.64000b,", "CODECS=\","),
        ("multivariant.codecs", "avc1.64000b,mp4a.40.2", "avc1,mp4a.40.2"),
        ("multivariant.resolution", "RESOLUTION=160x120,FRAME-RATE", "FRAME-RATE"),
        ("multivariant.frame-rate", "FRAME-RATE=25.000,", ""),
        ("multivariant.frame-rate", "FRAME-RATE=25.000,", "FRAME-RATE=90.000,"),
        ("multivariant.groups", "AUDIO=\"audio\"", "AUDIO=\"other\""),
        ("multivariant.groups", "SUBTITLES=\"subtitles\"", "SUBTITLES=\"audio\""),
        ("multivariant.media", "TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"English\"", "TYPE=AUDIO,GROUP-ID=\"audio\""),
        ("multivariant.media", "DEFAULT=YES,AUTOSELECT=YES", "DEFAULT=YES,AUTOSELECT=NO"),
        ("multivariant.media", "CHANNELS=\"2\"", "CHANNELS=\"2\",FORCED=NO"),
        ("multivariant.language", "LANGUAGE=\"en\",", ""),
        ("multivariant.captions", "CLOSED-CAPTIONS=NONE\nhigh", "NAME2=NONE\nhigh"),
        ("multivariant.score", "STABLE-VARIANT-ID=\"low\"", "STABLE-VARIANT-ID=\"low\",SCORE=1.0"),
        ("multivariant.stable-id", "STABLE-VARIANT-ID=\"low\"", "STABLE-VARIANT-ID=\"l ow\""),
        ("multivariant.session-data", "VALUE=", "VALVE="),
        ("multivariant.session-data", "com.apple.hls.chapters", "com.apple.hls.chapters\",VALUE=\"x"),
        ("multivariant.video-range", "VIDEO-RANGE=SDR", "VIDEO-RANGE=HDR"),
        ("multivariant.independent", "#EXT-X-INDEPENDENT-SEGMENTS\n", ""),
        ("multivariant.iframes", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-SOME"),
    ] {
        check_text(rule, TOP, from, to);
    }
    check("multivariant.group-members", |files| {
        let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"English\",LANGUAGE=\"en\"\n#EXT-X-STREAM-INF:";
        edit(files, TOP, "#EXT-X-STREAM-INF:", media);
    });
    check("multivariant.aspect", |files| {
        edit(
            files,
            TOP,
            "RESOLUTION=160x120,FRAME-RATE=25.000,VIDEO-RANGE=SDR,STABLE-VARIANT-ID=\"low\"",
            "RESOLUTION=160x160,FRAME-RATE=25.000",
        )
    });
}

#[test]
fn broken_lists_of_segments_are_told_apart() {
    for (rule, from, to) in [
        ("playlist.version", "#EXT-X-VERSION:6", "#EXT-X-VERSION:5"),
        ("playlist.version", "#EXT-X-VERSION:6\n", ""),
        ("media.target-duration", "#EXT-X-TARGETDURATION:6\n", ""),
        ("media.target-duration", "#EXT-X-TARGETDURATION:6", "#EXT-X-TARGETDURATION:1"),
        ("media.target-six", "#EXT-X-TARGETDURATION:6", "#EXT-X-TARGETDURATION:10"),
        ("media.extinf", "#EXTINF:2.000000,", "#EXTINF:two,"),
        ("media.extinf", "#EXTINF:2.000000,\n1.m4s", "1.m4s"),
        ("media.extinf", "#EXTINF:2.000000,", "#EXTINF:2.000000"),
        ("media.endlist", "#EXT-X-ENDLIST", ""),
        ("media.playlist-type", "#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-PLAYLIST-TYPE:EVENT"),
        ("media.map", "#EXT-X-MAP:URI=\"init.mp4\"\n", ""),
        ("media.byterange", "1.m4s", "#EXT-X-BYTERANGE:100\n1.m4s"),
        ("media.start", "#EXT-X-MAP", "#EXT-X-START:TIME-OFFSET=100.0\n#EXT-X-MAP"),
        ("media.daterange", "#EXT-X-MAP", "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-01T00:00:00Z\"\n#EXT-X-MAP"),
        ("media.key", "#EXT-X-MAP", "#EXT-X-KEY:METHOD=AES-128\n#EXT-X-MAP"),
        ("media.key", "#EXT-X-MAP", "#EXT-X-KEY:METHOD=ROT13,URI=\"k\"\n#EXT-X-MAP"),
        ("media.key", "#EXT-X-MAP", "#EXT-X-KEY:METHOD=NONE,URI=\"k\"\n#EXT-X-MAP"),
        ("media.key", "#EXTINF:3.2", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x0102\n#EXTINF:3.2"),
        ("media.key", "#EXTINF:3.2", "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\",KEYFORMATVERSIONS=\"1,2\"\n#EXTINF:3.2"),
        ("media.key", "#EXT-X-MAP", "#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXT-X-MAP"),
        ("across.target-duration", "#EXT-X-TARGETDURATION:6", "#EXT-X-TARGETDURATION:5"),
        ("across.duration", "#EXTINF:3.200000,", "#EXTINF:29.200000,"),
        ("across.discontinuities", "#EXTINF:3.200000,", "#EXT-X-DISCONTINUITY\n#EXTINF:3.200000,"),
        (
            "across.alignment",
            "#EXTINF:2.000000,\n1.m4s\n#EXTINF:2.000000,",
            "#EXTINF:2.500000,\n1.m4s\n#EXTINF:1.500000,",
        ),
        ("segment.extinf", "#EXTINF:3.200000,", "#EXTINF:3.100000,"),
        ("segment.tfdt", "1.m4s", "0.m4s"),
        ("segment.boxes", "1.m4s", "missing.m4s"),
    ] {
        check_text(rule, LOW, from, to);
    }
    check("media.empty", |files| {
        let header = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-ENDLIST\n";
        files.insert(LOW.into(), header.into());
    });
    check("across.track-length", |files| {
        edit(files, "audio-0-en/playlist.m3u8", "#EXTINF:3.221", "#EXTINF:29.221");
    });
    check_text("media.iframes-only", "low/iframes.m3u8", "#EXT-X-I-FRAMES-ONLY\n", "");
    check_text("media.iframes-only", LOW, "#EXT-X-MAP", "#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP");
}

#[test]
fn broken_segments_are_told_apart() {
    let cut = |files: &mut Files, path: &str, bytes: usize| {
        files.get_mut(path).expect("a segment").truncate(bytes);
    };
    check("segment.boxes", |files| cut(files, "low/1.m4s", 900));
    check("segment.boxes", |files| {
        files.insert("low/1.m4s".into(), b"<html>not found</html>".to_vec());
    });
    check("segment.init", |files| cut(files, "low/init.mp4", 200));
    check("segment.tfdt", |files| {
        let at = place(files, "low/2.m4s", b"tfdt") + 8;
        let octets = files.get_mut("low/2.m4s").expect("a segment");
        let last = octets[at - 4] as usize * 4 + at + 3;
        octets[last] ^= 0x40;
        octets[last - 1] ^= 0x40;
    });
    check("segment.idr", |files| {
        let at = place(files, "low/1.m4s", b"mdat") + 8;
        files.get_mut("low/1.m4s").expect("a segment")[at] = 0x41;
    });
    check("segment.track", |files| {
        let at = place(files, "low/1.m4s", b"tfhd") + 11;
        files.get_mut("low/1.m4s").expect("a segment")[at] = 7;
    });
    check("segment.codecs", |files| edit(files, TOP, "avc1.64000b", "avc1.640028"));
    check("segment.codecs", |files| edit(files, TOP, "mp4a.40.2", "mp4a.40.5"));
    check("segment.resolution", |files| edit(files, TOP, "160x120", "320x240"));
    check("segment.iframe-range", |files| edit(files, "low/iframes.m3u8", "@24", "@32"));
    check("segment.iframe-range", |files| {
        let text = String::from_utf8(files["low/iframes.m3u8"].clone()).expect("text");
        let shorter = |line: &str| match line.strip_prefix("#EXT-X-BYTERANGE:").and_then(|range| range.split_once('@'))
        {
            Some((length, at)) => format!("#EXT-X-BYTERANGE:{}@{at}\n", length.parse::<u64>().expect("a number") - 1),
            None => format!("{line}\n"),
        };
        files.insert("low/iframes.m3u8".into(), text.lines().map(shorter).collect::<String>().into());
    });
    check("across.time-range", |files| {
        // Half a second of sound is missing in front: every segment is the one behind, and says so.
        for (path, shift) in
            [("audio-0-en/0.m4s", 1u8), ("audio-0-en/1.m4s", 1), ("audio-0-en/2.m4s", 1), ("audio-0-en/3.m4s", 1)]
        {
            let at = place(files, path, b"tfdt");
            let octets = files.get_mut(path).expect("a segment");
            let length = if octets[at + 4] == 1 { 8 } else { 4 };
            // The octet that counts 65 536 ticks, more than a second.
            octets[at + 8 + length - 3] += shift;
        }
    });
}

#[test]
fn the_tables_of_a_transport_stream_may_come_by_themselves() {
    const TABLES_BYTES: usize = 2 * 188;
    let film = film::folder();
    let list = String::from_utf8(film[LOW].clone()).expect("text");
    let list = list.replace(".m4s", ".ts").replace("init.mp4", "tables.ts");
    let mut files = Files::from([("master.m3u8".to_owned(), list.clone().into_bytes())]);
    for index in 0..u32::try_from(list.matches("#EXTINF").count()).expect("a few") {
        let cmaf = &film[&format!("low/{index}.m4s")];
        let transport = crate::ts::segment(&film["low/init.mp4"], index, cmaf).expect("a transport stream");
        let (tables, media) = transport.split_at(TABLES_BYTES);
        files.insert("tables.ts".into(), tables.to_vec());
        files.insert(format!("{index}.ts"), media.to_vec());
    }
    let report = judge(&files);
    assert!(names(&report).iter().all(|name| !name.starts_with("ts.")), "{report:#?}");
    // Without them, and with half of them.
    let mut without = files.clone();
    edit(&mut without, "master.m3u8", "#EXT-X-MAP:URI=\"tables.ts\"\n", "");
    assert!(names(&judge(&without)).contains(&"ts.pat"));
    files.get_mut("tables.ts").expect("just made").truncate(TABLES_BYTES / 2);
    assert!(names(&judge(&files)).contains(&"ts.pat"));
}

#[test]
fn bit_rates_that_were_not_measured_are_told_apart() {
    let film = film::folder();
    let top = String::from_utf8(film[TOP].clone()).expect("text");
    let stated = |name: &str| -> u64 {
        let at = top.find(&format!("{name}=")).expect("a rate") + name.len() + 1;
        top[at..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().expect("a number")
    };
    let (peak, average) = (stated(":BANDWIDTH"), stated("AVERAGE-BANDWIDTH"));
    let with = |name: &str, from: u64, to: u64| {
        let (from, to) = (format!("{name}={from},"), format!("{name}={to},"));
        move |files: &mut Files| edit(files, TOP, &from, &to)
    };
    check("across.peak", with(":BANDWIDTH", peak, peak * 8 / 10));
    check("across.peak-overstated", with(":BANDWIDTH", peak, peak * 2));
    check("across.average", with("AVERAGE-BANDWIDTH", average, average * 8 / 10));
}

#[test]
fn broken_subtitles_are_told_apart() {
    const TEXT: &str = "subtitles-0-en/0.vtt";
    for (rule, from, to) in [
        ("vtt.syntax", "WEBVTT", "WEB VTT"),
        ("vtt.syntax", " --> 00:00:01.500", " -> 00:00:01.500 -->"),
        ("vtt.syntax", " --> 00:00:01.500", " --> 00:00:00.400"),
        ("vtt.syntax", "00:00:00.500", "00:00:00,500"),
        ("vtt.timestamp-map", "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n", ""),
        ("vtt.timestamp-map", "MPEGTS:0", "MPEGTS:zero"),
    ] {
        check_text(rule, TEXT, from, to);
    }
    check("vtt.syntax", |files| {
        files.insert(TEXT.into(), vec![0xff, 0xfe, 0, 1]);
    });
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
    assert!(RULES.iter().all(|rule| rule.advice.ends_with('.') && !rule.source.is_empty()));
}

#[test]
fn a_thousand_findings_alike_are_counted() {
    let mut report = Report::default();
    for line in 0..1000 {
        report.add(&rules::EXTINF, format!("a.m3u8:{line}"), "x");
    }
    report.add(&rules::EXTINF, "b.m3u8:1", "x");
    assert_eq!((report.findings().len(), report.omitted()), (FINDINGS_PER_RULE_MAX + 1, 1000 - FINDINGS_PER_RULE_MAX));
}

proptest! {
    #[test]
    fn no_text_and_no_octets_panic(text in "(#EXT(M3U|INF:|-X-(MEDIA|STREAM-INF|MAP|BYTERANGE|KEY|START):)?|[A-Z]{1,4}=|\"|,|@|[0-9.]{1,4}|\n|\\PC){0,60}", octets: Vec<u8>) {
        let mut report = Report::default();
        let _ = read("a.m3u8", text.as_bytes(), &mut report);
        let _ = read("a.m3u8", &octets, &mut report);
        vtt::check("a.vtt", text.as_bytes(), &mut report);
        vtt::check("a.vtt", &octets, &mut report);
    }

    #[test]
    fn no_change_of_an_octet_panics(at in 0usize..6000, to: u8, length in 0usize..6000) {
        for path in ["low/init.mp4", "low/1.m4s", "audio-0-en/init.mp4", "audio-0-en/0.m4s"] {
            let mut files = film::folder();
            let octets = files.get_mut(path).expect("a file");
            octets.truncate(length.max(1));
            let at = at % octets.len();
            octets[at] = to;
            judge(&files);
        }
    }
}
