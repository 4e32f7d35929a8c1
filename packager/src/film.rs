//! A film of nine seconds with all its objects, for tests: two qualities, sound, subtitles, a chapter.

use std::collections::BTreeMap;

use domain::presentation::{
    AudioRendition, FileEntry, Images, SCHEMA, SegmentEntry, Storyboard, SubtitleRendition, VideoRendition,
};
use domain::probe::Chapter;
use domain::{
    AssetId, Bitrate, Cadence, FrameRate, Generation, Language, MediaTime, ParameterSets, PlaybackId, Presentation,
    RenditionId, Resolution, TARGET_DURATION_S, Timescale,
};

use crate::cmaf::{self, AudioConfig, Segment, VideoConfig, VideoSample};
use crate::hls::{self, View};
use crate::{rates, webvtt};

/// 160x120 High 1.1 at 25 fps with BT.709 tags, as x264 writes them.
pub(crate) const SPS: [u8; 30] = [
    0x67, 0x64, 0x00, 0x0b, 0xac, 0xd3, 0x0a, 0x11, 0xf9, 0x70, 0x16, 0xa0, 0x20, 0x20, 0x28, 0x00, 0x00, 0x03, 0x00,
    0x08, 0x00, 0x00, 0x03, 0x03, 0x01, 0x90, 0x78, 0xa1, 0x49, 0xc0,
];
pub(crate) const PPS: [u8; 4] = [0x68, 0xef, 0xbc, 0xb0];

/// Frames of the picture, 25 of them a second.
pub(crate) const FRAMES: u64 = 230;

/// Files by their path below the folder of the film.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

pub(crate) fn id(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a name")
}

fn cadence() -> Cadence {
    Cadence::for_video(FrameRate::new(25, 1).expect("a rate"))
}

fn entry(segment: &Segment) -> SegmentEntry {
    SegmentEntry {
        ticks: segment.ticks,
        bytes: Some(segment.bytes.len() as u64),
        sha256: Some("ab".repeat(32)),
        keyframes: segment.keyframes.clone(),
    }
}

fn measured(segments: &[SegmentEntry], timescale: Timescale) -> (Bitrate, Bitrate) {
    let sizes: Vec<(u64, u64)> = segments.iter().map(|one| (one.ticks, one.bytes.expect("measured"))).collect();
    let rates = rates::measure(&sizes, timescale, TARGET_DURATION_S).expect("not empty");
    (rates.peak, rates.average)
}

/// The picture in one quality: I, then each P shown before the B that precedes it in the file.
fn video(name: &str, picture_bytes: usize, files: &mut Files) -> VideoRendition {
    let cadence = cadence();
    let rate = cadence.frame_rate;
    let config = VideoConfig {
        resolution: Resolution { width: 160, height: 120 },
        timescale: rate.timescale(),
        frame_ticks: rate.frame_ticks(),
        sets: ParameterSets::H264 { sps: SPS.to_vec(), pps: PPS.to_vec() },
    };
    files.insert(format!("{name}/init.mp4"), cmaf::video_init(&config).expect("an init segment"));
    let mut entries = Vec::new();
    for span in cadence.video_spans(FRAMES) {
        let gops = cadence.gops(span);
        let starts: Vec<u32> = gops.iter().scan(0, |at, gop| Some(std::mem::replace(at, *at + gop))).collect();
        let pictures: Vec<(u32, bool, Vec<u8>)> = (0..span.count)
            .map(|at| {
                let (start, frames) = starts.iter().zip(&gops).rev().find(|(start, _)| **start <= at).expect("a GOP");
                // Pairs behind the IDR picture are coded in the other order, but for a last one without a partner.
                let place = at - start;
                let display = match place {
                    0 => 0,
                    odd if odd % 2 == 1 && odd + 1 < *frames => odd + 1,
                    even if even % 2 == 0 => even - 1,
                    alone => alone,
                };
                let length = u8::try_from(picture_bytes).expect("short");
                let mut data = vec![0, 0, 0, length, if place == 0 { 0x65 } else { 0x41 }];
                data.resize(4 + picture_bytes, u8::try_from(at % 200).expect("small") + 1);
                (start + display, place == 0, data)
            })
            .collect();
        let samples: Vec<VideoSample<'_>> = pictures
            .iter()
            .map(|(display, is_idr, data)| VideoSample { display: *display, is_idr: *is_idr, data })
            .collect();
        let segment = cmaf::video_segment(&config, span, &gops, &samples).expect("a segment");
        entries.push(entry(&segment));
        files.insert(format!("{name}/{}.m4s", span.index), segment.bytes);
    }
    let (peak_bitrate, average_bitrate) = measured(&entries, config.timescale);
    VideoRendition {
        id: id(name),
        resolution: config.resolution,
        frame_rate: rate,
        codecs: "avc1.64000b".into(),
        peak_bitrate,
        average_bitrate,
        timescale: config.timescale,
        segments: entries,
    }
}

fn audio(files: &mut Files) -> AudioRendition {
    let timescale = Timescale::new(48_000).expect("not zero");
    let config = AudioConfig {
        sample_rate: timescale,
        channels: 2,
        config: vec![0x11, 0x90],
        bitrate: Bitrate(128_000),
        offset_ticks: 0,
    };
    files.insert("audio-0-en/init.mp4".into(), cmaf::audio_init(&config).expect("an init segment"));
    let mut entries = Vec::new();
    for span in cadence().audio_spans(timescale, FRAMES * 48_000 / 25 / 1024 + 1) {
        let frames: Vec<Vec<u8>> = (0..span.count).map(|at| vec![u8::try_from(at % 251).expect("small"); 60]).collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let segment = cmaf::audio_segment(&config, span, &frames).expect("a segment");
        entries.push(entry(&segment));
        files.insert(format!("audio-0-en/{}.m4s", span.index), segment.bytes);
    }
    let (peak_bitrate, average_bitrate) = measured(&entries, timescale);
    AudioRendition {
        id: id("audio-0-en"),
        language: Language::from_code("en"),
        name: "English".into(),
        is_default: true,
        channels: 2,
        codecs: "mp4a.40.2".into(),
        peak_bitrate,
        average_bitrate,
        timescale,
        segments: entries,
    }
}

fn subtitles(files: &mut Files) -> SubtitleRendition {
    let at = |ms: u64| MediaTime::new(i64::try_from(ms).expect("small"), Timescale::MILLISECONDS);
    let cue = |start, end, text: &str| webvtt::Cue { start, end, text: text.into(), settings: String::new() };
    let cues = [cue(at(500), at(1500), "One"), cue(at(3500), at(4500), "Two"), cue(at(7000), at(9000), "Three")];
    let mut entries = Vec::new();
    let mut from = 0;
    for span in cadence().video_spans(FRAMES) {
        let to = from + u64::from(span.count) * 40;
        let text = webvtt::segment(&cues, at(from), at(to));
        entries.push(SegmentEntry {
            ticks: to - from,
            bytes: Some(text.len() as u64),
            sha256: Some("cd".repeat(32)),
            keyframes: vec![],
        });
        files.insert(format!("subtitles-0-en/{}.vtt", span.index), text.into());
        from = to;
    }
    SubtitleRendition {
        id: id("subtitles-0-en"),
        language: Language::from_code("en"),
        name: "English".into(),
        is_forced: false,
        is_sdh: true,
        is_default: false,
        timescale: Timescale::MILLISECONDS,
        segments: entries,
    }
}

fn sheet(name: &str) -> FileEntry {
    FileEntry { path: format!("images/{name}"), bytes: 5000, sha256: "ef".repeat(32) }
}

/// The film and its objects, without playlists.
pub(crate) fn film() -> (Presentation, Files) {
    let mut files = Files::new();
    let ms = |ms| MediaTime::new(ms, Timescale::MILLISECONDS);
    let chapter = Chapter { start: ms(0), end: ms(9200), title: "All of it".into() };
    let presentation = Presentation {
        schema: SCHEMA,
        asset: AssetId::from_u128(1),
        playback: PlaybackId::from_u128(2),
        generation: Generation(1),
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: Some("A \"film\"\n& <more>".into()),
        duration: ms(9216),
        cadence: cadence(),
        video: vec![video("low", 90, &mut files), video("high", 240, &mut files)],
        audio: vec![audio(&mut files)],
        subtitles: vec![subtitles(&mut files)],
        chapters: vec![chapter],
        markers: vec![],
        images: Some(Images {
            poster: "poster.jpg".into(),
            poster_resolution: Resolution { width: 160, height: 120 },
            thumbnails: vec![],
            storyboard: Some(Storyboard {
                sheets: vec!["sheet-0.jpg".into(), "sheet-1.jpg".into()],
                tile: Resolution { width: 160, height: 120 },
                columns: 2,
                rows: 2,
                tile_count: 5,
                interval: ms(2000),
            }),
            preview: None,
            blurhash: None,
            thumbhash: None,
            scored: None,
        }),
        files: ["sheet-0.jpg", "sheet-1.jpg"].map(sheet).to_vec(),
    };
    (presentation, files)
}

/// The film with all its playlists, as a folder.
pub(crate) fn folder() -> Files {
    let (film, mut files) = film();
    let view = View::default();
    files.insert("master.m3u8".into(), hls::multivariant(&film, "", view).into());
    for name in ["low", "high", "audio-0-en", "subtitles-0-en"] {
        files.insert(format!("{name}/playlist.m3u8"), hls::media(&film, &id(name), view).expect("a playlist").into());
    }
    for name in ["low", "high"] {
        files.insert(format!("{name}/iframes.m3u8"), hls::iframes(&film, &id(name), view).expect("a playlist").into());
    }
    files
}
