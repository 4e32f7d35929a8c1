//! One lie at a time.

use super::*;
use crate::probe::{Color, FieldOrder, Orientation};
use crate::{ByteSize, FrameRate, Resolution, Timescale};

fn extent(end_s: i64) -> Extent {
    let second = |at| MediaTime::new(at, Timescale::new(1).expect("not zero"));
    Extent { start: second(0), end: second(end_s) }
}

fn video() -> VideoTrack {
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 1920, height: 1080 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color { transfer: Some("iec61966-2-1".into()), ..Color::default() },
        field_order: FieldOrder::Progressive,
        extent: extent(10),
        frame_count: 250,
        measured_rate: FrameRate::new(25, 1).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: vec![],
        last_decodable: None,
        avc: None,
    }
}

fn audio() -> AudioTrack {
    AudioTrack {
        stream_index: 1,
        codec: "aac".into(),
        sample_rate: 48_000,
        channels: 2,
        extent: extent(10),
        language: Language::from_code("eng"),
        title: Some("Commentary".into()),
        is_default: true,
        jumps: vec![],
        aac: None,
    }
}

fn subtitle(stream_index: u32) -> SubtitleTrack {
    SubtitleTrack {
        stream_index,
        codec: "subrip".into(),
        is_text: true,
        language: None,
        title: None,
        is_default: false,
        is_forced: false,
        is_sdh: false,
    }
}

fn chapter(at: i64, title: &str) -> Chapter {
    Chapter { start: extent(at).end, end: extent(at + 1).end, title: title.into() }
}

fn sound() -> Probe {
    Probe {
        container: "matroska".into(),
        size: ByteSize(1000),
        video: vec![video()],
        audio: vec![audio()],
        subtitles: vec![subtitle(2)],
        chapters: vec![chapter(0, ""), chapter(1, "Second")],
        title: Some("Holiday".into()),
        libraries: String::new(),
        cover: None,
    }
}

fn refused(lie: impl FnOnce(&mut Probe)) -> ProbeFault {
    let mut probe = sound();
    lie(&mut probe);
    probe.check().expect_err("a lie")
}

#[test]
fn an_honest_description_is_taken() {
    assert_eq!(sound().check(), Ok(()));
    let mut probe = sound();
    probe.cover = Some(VideoTrack { stream_index: 3, ..video() });
    probe.video[0].color.peak_nits = Some(NITS_MAX);
    assert_eq!(probe.check(), Ok(()));
}

#[test]
fn texts_that_could_do_harm_are_refused() {
    refused(|probe| probe.container = "hls".into());
    refused(|probe| probe.title = Some("a\u{1b}[2J".into()));
    refused(|probe| probe.title = Some(String::new()));
    refused(|probe| probe.audio[0].title = Some("x".repeat(TEXT_CHARS_MAX + 1)));
    refused(|probe| probe.chapters[0].title = "a\nb".into());
    refused(|probe| probe.video[0].codec = "h264\"\n#EXT-X-ENDLIST".into());
    refused(|probe| probe.video[0].pixel_format = "y".repeat(41));
    refused(|probe| probe.video[0].color.matrix = Some("bt709,scale=1:1".into()));
    let lie = serde_json::from_str("\"en\\\",URI=\\\"x\"").expect("a string");
    refused(|probe| probe.audio[0].language = Some(lie));
}

#[test]
fn counts_and_numbers_out_of_range_are_refused() {
    refused(|probe| probe.audio[0].jumps = vec![Jump { position: 0, shift: MediaTime::zero() }; JUMPS_MAX + 1]);
    let many = refused(|probe| probe.subtitles = (2..70).map(subtitle).collect());
    assert_eq!(many.to_string(), "the file has 70 tracks, more than the 64 allowed here");
    refused(|probe| probe.chapters = vec![chapter(0, ""); CHAPTERS_MAX + 1]);
    refused(|probe| probe.chapters.reverse());
    refused(|probe| probe.audio[0].stream_index = 0);
    refused(|probe| probe.audio[0].stream_index = 64);
    refused(|probe| probe.cover = Some(video()));
    refused(|probe| probe.video[0].color.peak_nits = Some(0));
    refused(|probe| probe.video[0].color.peak_nits = Some(NITS_MAX + 1));
    refused(|probe| probe.video[0].coded.width = 0);
    refused(|probe| probe.video[0].coded.height = SIDE_MAX + 1);
    refused(|probe| probe.video[0].sample_aspect = (1, 0));
    refused(|probe| probe.video[0].sample_aspect = (100, 1));
    refused(|probe| probe.video[0].extent.start = extent(11).end);
    refused(|probe| probe.video[0].extent.end.ticks = i64::MAX);
    refused(|probe| probe.audio[0].extent.start.ticks = i64::MIN);
    refused(|probe| probe.audio[0].sample_rate = 0);
    refused(|probe| probe.audio[0].channels = 17);
}

#[test]
fn more_than_240_pictures_a_second_are_refused() {
    let mut probe = sound();
    probe.video[0].frame_count = 240 * 11;
    assert_eq!(probe.check(), Ok(()));
    let fault = refused(|probe| probe.video[0].frame_count = 240 * 11 + 1);
    assert!(matches!(fault, ProbeFault::TooMany { found: 2641, max: 2640, .. }), "{fault}");
}
