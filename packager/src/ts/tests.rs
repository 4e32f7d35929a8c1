use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::film;
use crate::validate::{Declared, Playlist, Report, Track, read};

fn made(name: &str, index: u32) -> Vec<u8> {
    let (_, files) = film::film();
    segment(&files[&format!("{name}/init.mp4")], index, &files[&format!("{name}/{index}.m4s")]).expect("a segment")
}

/// The payload of each PES packet, and the counters of each PID in order.
fn taken_apart(stream: &[u8]) -> (Vec<Vec<u8>>, BTreeMap<u16, Vec<u8>>) {
    let (mut units, mut counters): (Vec<Vec<u8>>, BTreeMap<u16, Vec<u8>>) = Default::default();
    for packet in stream.chunks(188) {
        assert_eq!((packet.len(), packet[0]), (188, 0x47));
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        assert_ne!(packet[3] & 0x10, 0, "every packet has a payload");
        counters.entry(pid).or_default().push(packet[3] & 0x0f);
        let field = if packet[3] & 0x20 == 0 { 0 } else { 1 + usize::from(packet[4]) };
        if pid == 0x100 {
            if packet[1] & 0x40 != 0 {
                units.push(Vec::new());
            }
            units.last_mut().expect("a start").extend_from_slice(&packet[4 + field..]);
        }
    }
    (units, counters)
}

#[test]
fn counters_go_on_from_segment_to_segment() {
    for name in ["low", "high", "audio-0-en"] {
        let stream: Vec<u8> = (0..4).flat_map(|index| made(name, index)).collect();
        for (pid, counters) in taken_apart(&stream).1 {
            let expected: Vec<u8> = (0..16).cycle().take(counters.len()).collect();
            assert_eq!(counters, expected, "{name} PID {pid}");
        }
    }
}

#[test]
fn every_picture_is_an_access_unit_with_its_times() {
    let (units, _) = taken_apart(&made("low", 1));
    assert_eq!(units.len(), 50);
    let time = |field: &[u8]| {
        let [a, b, c, d, e] = field.first_chunk::<5>().expect("a time").map(u64::from);
        (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1
    };
    let mut shown = Vec::new();
    for (number, unit) in (0u64..).zip(&units) {
        assert_eq!(unit[..4], [0, 0, 1, 0xe0]);
        let (pts, dts) = (time(&unit[9..]), time(&unit[14..]));
        assert_eq!(dts, ZERO_TICKS + 180_000 + number * 3600 - 3 * 3600);
        assert!(pts >= dts);
        shown.push(pts);
        let data = &unit[19..];
        assert!(data.starts_with(&[0, 0, 0, 1, 9, 0xf0]), "it begins with a delimiter");
        let has_sets = data[6..].starts_with(&[&[0, 0, 0, 1][..], &film::SPS, &[0, 0, 0, 1], &film::PPS].concat());
        assert_eq!(has_sets, number == 0);
    }
    shown.sort_unstable();
    let expected: Vec<u64> = (0..50).map(|number| ZERO_TICKS + 180_000 + number * 3600).collect();
    assert_eq!(shown, expected);
}

#[test]
fn sound_is_frames_behind_headers_that_tell_their_length() {
    let (units, _) = taken_apart(&made("audio-0-en", 0));
    let mut frames = 0;
    for unit in &units {
        assert_eq!(unit[..4], [0, 0, 1, 0xc0]);
        assert_eq!(usize::from(u16::from_be_bytes([unit[4], unit[5]])), unit.len() - 6);
        let mut rest = &unit[14..];
        while let [0xff, 0xf1, a, b, c, d, 0xfc, ..] = rest {
            assert_eq!((a >> 6, a >> 2 & 0x0f, (a & 1) << 2 | b >> 6), (1, 3, 2), "AAC-LC, 48 kHz, stereo");
            let length = usize::from(b & 3) << 11 | usize::from(*c) << 3 | usize::from(d >> 5);
            assert_eq!(length, 67);
            rest = &rest[length..];
            frames += 1;
        }
        assert!(rest.is_empty());
    }
    assert_eq!(frames, 94);
}

#[test]
fn the_stream_breaks_no_rule() {
    let (film, _) = film::film();
    for name in ["high", "audio-0-en"] {
        let mut report = Report::default();
        let view = crate::hls::View { container: crate::hls::Container::Ts, ..Default::default() };
        let text = crate::hls::media(&film, &film::id(name), view).expect("a playlist");
        assert!(text.contains("\n3.ts\n") && !text.contains("EXT-X-MAP"), "{text}");
        let Some(Playlist::Media(media)) = read(name, text.as_bytes(), &mut report) else { panic!("{text}") };
        let mut track = Track::new(media, Declared::nothing(), &mut report);
        (0..4).for_each(|index| track.segment(&format!("{index}.ts"), &made(name, index), &mut report));
        assert_eq!(report.findings(), []);
    }
}

#[track_caller]
fn check(rule: &str, break_it: impl Fn(&mut Vec<u8>)) {
    let (film, _) = film::film();
    let mut report = Report::default();
    let view = crate::hls::View { container: crate::hls::Container::Ts, ..Default::default() };
    let text = crate::hls::media(&film, &film::id("low"), view).expect("a playlist");
    let Some(Playlist::Media(media)) = read("low", text.as_bytes(), &mut report) else { panic!("{text}") };
    let mut track = Track::new(media, Declared::nothing(), &mut report);
    for index in 0..4 {
        let mut octets = made("low", index);
        if index == 1 {
            break_it(&mut octets);
        }
        track.segment(&format!("{index}.ts"), &octets, &mut report);
    }
    assert!(report.findings().iter().any(|finding| finding.rule.id == rule), "{rule}: {report:#?}");
}

#[test]
fn broken_streams_are_told_apart() {
    check("ts.sync", |octets| octets[188 * 5] = 0x46);
    check("ts.sync", |octets| octets.truncate(1000));
    check("ts.pat", |octets| drop(octets.drain(..188)));
    check("ts.pat", |octets| drop(octets.drain(188..376)));
    check("ts.continuity", |octets| drop(octets.drain(188 * 6..188 * 7)));
    check("ts.pts", |octets| *octets = made("low", 3));
}

#[test]
fn what_is_no_cmaf_of_h264_or_aac_is_refused() {
    let (_, files) = film::film();
    let (init, octets) = (&files["low/init.mp4"], &files["low/0.m4s"]);
    assert!(matches!(segment(octets, 0, octets), Err(TsError::Damaged(_))));
    assert!(matches!(segment(init, 0, init), Err(TsError::Damaged(_))));
    let mut hevc = init.clone();
    let at = hevc.windows(4).position(|four| four == b"avc1").map(|_| ()).and_then(|()| {
        // The first is a brand of the file only if it is listed there.
        hevc.windows(4).rposition(|four| four == b"avc1")
    });
    let at = at.expect("a sample entry");
    hevc[at..at + 4].copy_from_slice(b"hvc1");
    assert_eq!(segment(&hevc, 0, octets), Err(TsError::Codec("hvc1".into())));
    assert!(is_possible("avc1.64001f") && is_possible("mp4a.40.2") && !is_possible("hvc1.1.6.L93.90"));
}

#[test]
fn subtitles_are_moved_to_the_clock_of_the_stream() {
    let text = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nMPEGTS:0,\n";
    let moved = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nMPEGTS:0,\n";
    assert_eq!(subtitles(text), moved);
}

proptest! {
    #[test]
    fn units_of_any_length_are_packed_whole(lengths in proptest::collection::vec(0usize..700, 1..40)) {
        let unit = |length: &usize| Pes { pts: 10, dts: 5, is_sync: false, data: vec![7; *length] };
        let units: Vec<Pes> = lengths.iter().map(unit).collect();
        let stream = Writer::new(packet::H264, 3).write(&units);
        let (found, counters) = taken_apart(&stream);
        let found: Vec<usize> = found.iter().map(|unit| unit.len() - 19).collect();
        prop_assert_eq!(found, lengths);
        prop_assert_eq!(counters[&0x100].len() % 16, 0);
    }

    #[test]
    fn no_octets_panic(octets: Vec<u8>, at in 0usize..5000, to: u8) {
        let (_, files) = film::film();
        let init = &files["low/init.mp4"];
        let _ = segment(init, 0, &octets);
        let mut changed = files["low/0.m4s"].clone();
        let at = at % changed.len();
        changed[at] = to;
        let _ = segment(init, 0, &changed);
    }
}
