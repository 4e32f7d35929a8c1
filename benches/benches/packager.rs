//! What packaging costs: the playlists of a long film, and one segment of a 1080p rendition.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::presentation::{AudioRendition, KeyframeRange, SCHEMA, SegmentEntry, SubtitleRendition, VideoRendition};
use domain::{
    AssetId, Bitrate, Cadence, FrameRate, Generation, MediaTime, PlaybackId, Presentation, RenditionId, Resolution,
    Span, Timescale,
};
use packager::cmaf::{self, AudioConfig, VideoConfig, VideoSample};
use packager::webvtt::{self, Cue};
use packager::{hls, verify};

const HOURS: u64 = 2;

fn id(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a rendition name")
}

fn scale(per_second: u32) -> Timescale {
    Timescale::new(per_second).expect("not zero")
}

fn rate() -> FrameRate {
    FrameRate::new(30_000, 1001).expect("a rate")
}

fn entries(spans: &[Span], frame_ticks: u64, cadence: Option<&Cadence>) -> Vec<SegmentEntry> {
    let entry = |span: &Span| SegmentEntry {
        ticks: u64::from(span.count) * frame_ticks,
        bytes: Some(2_000_000),
        sha256: Some("00".repeat(32)),
        keyframes: cadence.map_or(vec![], |cadence| {
            let range =
                |count: u32| KeyframeRange { offset: 24, length: 90_000, ticks: u64::from(count) * frame_ticks };
            cadence.gops(*span).into_iter().map(range).collect()
        }),
    };
    spans.iter().map(entry).collect()
}

fn film() -> Presentation {
    let cadence = Cadence::for_video(rate());
    let frames = HOURS * 3600 * 30_000 / 1001;
    let video = |name: &str, width, height, bits: u64| VideoRendition {
        id: id(name),
        resolution: Resolution { width, height },
        frame_rate: rate(),
        codecs: "avc1.640028".into(),
        peak_bitrate: Bitrate(bits),
        average_bitrate: Bitrate(bits),
        timescale: rate().timescale(),
        segments: entries(&cadence.video_spans(frames), u64::from(rate().frame_ticks()), Some(&cadence)),
    };
    let audio = AudioRendition {
        id: id("audio-0-en"),
        language: None,
        name: "English".into(),
        is_default: true,
        channels: 2,
        codecs: "mp4a.40.2".into(),
        peak_bitrate: Bitrate(130_000),
        average_bitrate: Bitrate(128_000),
        timescale: scale(48_000),
        segments: entries(&cadence.audio_spans(scale(48_000), HOURS * 3600 * 48_000 / 1024), 1024, None),
    };
    let subtitles = SubtitleRendition {
        id: id("subtitles-0-en"),
        language: None,
        name: "English".into(),
        is_forced: false,
        is_sdh: false,
        is_default: false,
        timescale: scale(1000),
        segments: entries(&cadence.video_spans(frames), 33, None),
    };
    Presentation {
        schema: SCHEMA,
        asset: AssetId::from_u128(1),
        playback: PlaybackId::from_u128(2),
        generation: Generation(1),
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: Some("A film".into()),
        duration: MediaTime::new(7200, scale(1)),
        cadence: cadence.clone(),
        video: vec![
            video("360p", 640, 360, 900_000),
            video("720p", 1280, 720, 3_500_000),
            video("1080p", 1920, 1080, 6_500_000),
        ],
        audio: vec![audio],
        subtitles: vec![subtitles],
        chapters: vec![],
        markers: vec![],
        images: None,
        files: vec![],
    }
}

fn playlists(criterion: &mut Criterion) {
    let film = film();
    let mut group = criterion.benchmark_group("playlists of a two-hour film");
    group.bench_function("multivariant", |bencher| {
        bencher.iter(|| hls::multivariant(black_box(&film), "g1/", hls::View::default()))
    });
    group.bench_function("media", |bencher| {
        bencher.iter(|| hls::media(black_box(&film), &id("1080p"), hls::View::default()))
    });
    group.bench_function("iframes", |bencher| {
        bencher.iter(|| hls::iframes(black_box(&film), &id("1080p"), hls::View::default()))
    });
    group.finish();
}

/// Three GOPs of 60 frames at about 6 Mb/s: (display, is_idr, data) in decode order.
fn pictures(span: Span, gop_frames: u32) -> Vec<(u32, bool, Vec<u8>)> {
    let picture = |display: u32| {
        let is_idr = display.is_multiple_of(gop_frames);
        let bytes: u32 = if is_idr { 150_000 } else { 23_000 };
        let mut data = bytes.to_be_bytes().to_vec();
        data.push(if is_idr { 0x65 } else { 0x41 });
        data.resize(4 + usize::try_from(bytes).expect("small"), 7);
        (display, is_idr, data)
    };
    (0..span.count).map(picture).collect()
}

fn segments(criterion: &mut Criterion) {
    let cadence = Cadence::for_video(rate());
    let span = Span {
        index: 10,
        first: cadence.boundaries().nth(10).expect("there is no end"),
        count: 3 * cadence.gop_frames,
    };
    let config = VideoConfig {
        resolution: Resolution { width: 1920, height: 1080 },
        timescale: rate().timescale(),
        frame_ticks: rate().frame_ticks(),
        sets: domain::ParameterSets::H264 { sps: vec![], pps: vec![] },
    };
    let (gops, pictures) = (cadence.gops(span), pictures(span, cadence.gop_frames));
    let samples: Vec<VideoSample<'_>> = pictures
        .iter()
        .map(|(display, is_idr, data)| VideoSample { display: *display, is_idr: *is_idr, data })
        .collect();
    let segment = cmaf::video_segment(&config, span, &gops, &samples).expect("a segment");
    let mut group = criterion.benchmark_group("a 6 s segment");
    group.throughput(Throughput::Bytes(segment.bytes.len() as u64));
    group.bench_function("write video", |bencher| {
        bencher.iter(|| cmaf::video_segment(&config, span, &gops, black_box(&samples)));
    });
    group.bench_function("verify video", |bencher| {
        bencher.iter(|| verify::video(black_box(&segment.bytes), config.sets.codec(), config.frame_ticks, span, &gops));
    });

    let config = AudioConfig {
        sample_rate: scale(48_000),
        channels: 2,
        config: vec![0x11, 0x90],
        bitrate: Bitrate(128_000),
        offset_ticks: 0,
    };
    let span = Span { index: 10, first: 2813, count: 281 };
    let frames = vec![[7u8; 341].as_slice(); 281];
    let bytes = cmaf::audio_segment(&config, span, &frames).expect("a segment").bytes.len();
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("write audio", |bencher| {
        bencher.iter(|| cmaf::audio_segment(&config, span, black_box(&frames)));
    });
    group.finish();
}

fn subtitles(criterion: &mut Criterion) {
    let at = |ms| MediaTime::new(ms, scale(1000));
    let cues: Vec<Cue> = (0..1500)
        .map(|number| Cue {
            start: at(number * 4800),
            end: at(number * 4800 + 3000),
            text: webvtt::from_ass(r"{\i1}Some words{\i0} that someone says,\Non two lines."),
            settings: String::new(),
        })
        .collect();
    let mut group = criterion.benchmark_group("subtitles of a two-hour film");
    group.bench_function("one segment", |bencher| {
        bencher.iter(|| webvtt::segment(black_box(&cues), at(3_600_000), at(3_606_000)));
    });
    group.bench_function("whole", |bencher| bencher.iter(|| webvtt::whole(black_box(&cues))));
    group.finish();
}

criterion_group!(benches, playlists, segments, subtitles);
criterion_main!(benches);
