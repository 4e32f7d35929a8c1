use super::*;
use crate::ByteSize;
use crate::probe::{Color, Extent, FieldOrder, Orientation, VideoTrack};
use crate::{Resolution, Timescale};

fn ms(ticks: i64) -> MediaTime {
    MediaTime::new(ticks, Timescale::MILLISECONDS)
}

fn video(start_ms: i64, end_ms: i64, num: u32, den: u32) -> VideoTrack {
    VideoTrack {
        stream_index: 0,
        codec: "h264".into(),
        pixel_format: "yuv420p".into(),
        coded: Resolution { width: 1280, height: 720 },
        sample_aspect: (1, 1),
        orientation: Orientation::default(),
        color: Color::default(),
        field_order: FieldOrder::Progressive,
        extent: Extent { start: ms(start_ms), end: ms(end_ms) },
        frame_count: 0,
        measured_rate: FrameRate::new(num, den).expect("a rate"),
        is_variable_rate: false,
        language: None,
        is_default: true,
        jumps: Vec::new(),
        last_decodable: None,
        avc: None,
    }
}

fn audio_track(stream_index: u32, start_ms: i64, end_ms: i64, language: &str, is_default: bool) -> AudioTrack {
    AudioTrack {
        stream_index,
        codec: "aac".into(),
        sample_rate: 48_000,
        channels: 2,
        extent: Extent { start: ms(start_ms), end: ms(end_ms) },
        language: Language::from_code(language),
        title: None,
        is_default,
        jumps: Vec::new(),
        aac: None,
    }
}

fn probe(video: Vec<VideoTrack>, audio: Vec<AudioTrack>) -> Probe {
    let container = "mp4".into();
    Probe {
        container,
        size: ByteSize(1),
        video,
        audio,
        subtitles: vec![],
        chapters: vec![],
        title: None,
        libraries: "5.1.9".into(),
        cover: None,
    }
}

fn planned(probe: &Probe) -> Plan {
    Plan::new(probe, &Recipe::default(), &Limits::default()).expect("can be planned")
}

#[test]
fn the_earliest_track_sets_the_origin() {
    let plan = planned(&probe(vec![video(10_000, 20_000, 25, 1)], vec![audio_track(1, 9_900, 20_050, "eng", true)]));
    assert_eq!(plan.origin, ms(9_900));
    assert_eq!(plan.duration, ms(10_150));
    assert_eq!(plan.video.as_ref().map(|video| video.frame_count), Some(253), "10.1 s at 25 fps, rounded");
    assert_eq!(plan.audio[0].frame_count, (10_150u64 * 48).div_ceil(1024));
}

#[test]
fn the_default_track_leads_and_names_are_unique() {
    let tracks = vec![
        audio_track(1, 0, 1000, "eng", false),
        audio_track(2, 0, 1000, "ger", true),
        audio_track(3, 0, 1000, "eng", false),
    ];
    let plan = planned(&probe(vec![], tracks));
    let names: Vec<_> = plan.audio.iter().map(|audio| (audio.id.as_str(), audio.name.as_str())).collect();
    assert_eq!(names, [("audio-0-de", "Deutsch"), ("audio-1-en", "English"), ("audio-2-en", "English 2")]);
}

#[test]
fn surround_sound_is_kept_beside_stereo() {
    let mut tracks = vec![audio_track(1, 0, 1000, "eng", true), audio_track(2, 0, 1000, "ger", false)];
    let mut channels = |channels: u16| {
        tracks[1].channels = channels;
        let plan = planned(&probe(vec![], tracks.clone()));
        plan.audio.iter().map(|audio| (audio.id.to_string(), audio.name.clone(), audio.channels)).collect::<Vec<_>>()
    };
    let stereo = [("audio-0-en".into(), "English".into(), 2), ("audio-1-de".into(), "Deutsch".into(), 2)];
    for few_or_many in [1, 2, 3, 4, 5, 9, 16] {
        assert_eq!(channels(few_or_many), stereo);
    }
    for surround in 6..=8 {
        assert_eq!(channels(surround)[..2], stereo);
        assert_eq!(channels(surround)[2..], [("audio-1-de-surround".into(), "Deutsch".into(), 6)]);
    }
}

#[test]
fn chunks_cover_all_segments_once() {
    let plan = planned(&probe(vec![video(0, 600_000, 30_000, 1001)], vec![]));
    let segments = plan.video_spans().len();
    let chunks = plan.chunks();
    assert_eq!(chunks.iter().map(|chunk| chunk.segment_count as usize).sum::<usize>(), segments);
    assert_eq!(chunks[0], Chunk { index: 0, first_segment: 0, segment_count: 3 });
    assert_eq!(chunks[1], Chunk { index: 1, first_segment: 3, segment_count: 10 });
}

#[test]
fn parts_of_the_sound_cover_all_segments_once() {
    let plan = planned(&probe(vec![], vec![audio_track(0, 0, 3_600_000, "eng", true)]));
    let parts = plan.audio_parts(&plan.audio[0]);
    let segments = plan.audio_spans(&plan.audio[0]).len();
    assert_eq!(parts.iter().map(|part| part.segment_count as usize).sum::<usize>(), segments);
    for (part, index) in parts.iter().zip(0..) {
        assert_eq!((part.index, part.first_segment), (index, index * 50));
        assert!(part.holds(index * 50) && !part.holds(index * 50 + part.segment_count));
    }
}

#[test]
fn what_cannot_play_is_refused_with_a_reason() {
    let refuse = |probe: &Probe| Plan::new(probe, &Recipe::default(), &Limits::default()).expect_err("refused").code;
    assert_eq!(refuse(&probe(vec![], vec![])), FailureCode::NoMedia);
    assert_eq!(refuse(&probe(vec![], vec![audio_track(0, 0, 0, "eng", true)])), FailureCode::NoMedia);
    assert_eq!(refuse(&probe(vec![], vec![audio_track(0, 0, 50_000_000, "eng", true)])), FailureCode::LimitExceeded);
}

#[test]
fn a_picture_of_too_many_pixels_is_refused_whichever_track_holds_it() {
    let mut source = probe(vec![video(0, 5000, 25, 1), video(0, 5000, 25, 1)], vec![]);
    source.video[1].coded = Resolution { width: 4096, height: 2160 };
    source.video[1].is_default = false;
    let pixels = source.video[1].coded.pixels();
    let planned = |pixels_max| Plan::new(&source, &Recipe::default(), &Limits { pixels_max, ..Limits::default() });
    assert!(planned(pixels).is_ok());
    assert_eq!(planned(pixels - 1).expect_err("refused").code, FailureCode::LimitExceeded);
}

#[test]
fn a_plan_reads_back_from_its_json() {
    let plan = planned(&probe(vec![video(0, 5000, 24_000, 1001)], vec![audio_track(1, 0, 5000, "eng", true)]));
    let json = serde_json::to_string(&plan).expect("serialises");
    assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads back"), plan);
}

#[test]
fn another_codec_gets_the_same_sizes_for_less_and_none_too_small() {
    let extra = |codec| ExtraCodec { codec, preset: "fast".into(), crf: 30 };
    let recipe = Recipe { extra_codecs: vec![extra(Codec::Av1), extra(Codec::Hevc)], crf: 21, ..Recipe::default() };
    let planned = |track: VideoTrack| {
        Plan::new(&probe(vec![track], vec![]), &recipe, &Limits::default())
            .expect("can be planned")
            .video
            .expect("video")
    };
    let of_720p = planned(video(0, 5000, 25, 1));
    let shown = |codec: Codec| -> Vec<String> {
        of_720p.ladder(codec).iter().map(|rung| format!("{} {}", rung.id, rung.bitrate_max.0 / 1000)).collect()
    };
    assert_eq!(shown(Codec::H264), ["240p 400", "360p 900", "480p 1600", "720p 3500"]);
    assert_eq!(shown(Codec::Hevc), ["240p-hevc 300", "360p-hevc 675", "480p-hevc 1200", "720p-hevc 2625"]);
    assert_eq!(shown(Codec::Av1), ["240p-av1 260", "360p-av1 585", "480p-av1 1040", "720p-av1 2275"]);
    assert_eq!(of_720p.ladders().count(), 3);
    assert_eq!((recipe.coding(Codec::H264), recipe.coding(Codec::Av1)), (("veryfast", 21), ("fast", 30)));
    let mut tiny = video(0, 5000, 25, 1);
    tiny.coded = Resolution { width: 100, height: 62 };
    assert_eq!(planned(tiny).ladders().count(), 1, "an encoder would refuse it");
}
