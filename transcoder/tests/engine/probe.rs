//! What is known of real files, and why hopeless ones are refused.

use std::fmt::Write;

use domain::{FailureCode, Probe, hms};
use libtest_mimic::Trial;
use transcoder::EngineError;

use crate::setup::{engine, open, source_of, trial};

/// Each file of the corpus with what must be found in it.
const FACTS: &[(&str, &str)] = &[
    (
        "a_autoeditor_example.mp4",
        "mp4 | h264 yuv420p 1280x720 sar 1:1 rot 0 30fps 1272 frames 0..42400 | aac 2ch 48000 en 0..42400 | 00:00:42",
    ),
    (
        "a_intel_car-detection.mp4",
        "mp4 | h264 yuv420p 768x432 sar 1:1 rot 0 12.5fps 377 frames 0..30160 | aac 2ch 48000 en 0..30160 | 00:00:30",
    ),
    (
        "a_openshot_sintel_trailer-720p.mp4",
        "mp4 | h264 yuv420p 1280x720 sar 1:1 rot 0 24fps 1253 frames 0..52208 | aac 2ch 48000 und 0..51947 | 00:00:52",
    ),
    (
        "a_sam2_02_cups.mp4",
        "mp4 | h264 yuv420p 1280x720 sar 1:1 rot 0 29.97fps 300 frames 0..10010 | aac 2ch 48000 en 0..10000 | 00:00:10",
    ),
    ("a_sb5_bg.mp4", "mp4 | h264 yuv420p 1920x1080 sar 1:1 rot 0 25fps 437 frames 0..17480 | 00:00:17"),
    (
        "b_androidx_internal_emulator_transformer_output_180_rotated.mp4",
        "mp4 | h264 yuv420p 1280x720 sar 1:1 rot 180 29.97fps 149 frames 0..4972 | aac 2ch 44100 en 0..4969 | 00:00:04",
    ),
    (
        "b_androidx_portrait_4k60.mp4",
        "mp4 | h264 yuvj420p 3840x2160 sar 1:1 rot 90 60.057fps 18 frames 0..300 | aac 2ch 48000 en 0..313 | 00:00:00",
    ),
    (
        "b_mediabunny_rotate-buck-bunny.mp4",
        "mp4 | h264 yuv420p 1920x1080 sar 1:1 rot 90 24fps 45 frames 83..1958 | aac 6ch 48000 en 0..2005 | 00:00:02",
    ),
    (
        "b_torchcodec_nasa_13013_rotated.mp4",
        "mp4 | h264 yuv420p 480x270 sar 1:1 rot 270 29.97fps 17 frames 0..567 | 00:00:00",
    ),
    (
        "c_androidx_sample_edit_list.mp4",
        "QuickTime | hevc yuv420p10le 1920x1080 sar 1:1 rot 90 arib-std-b67 29.98fps variable 77 frames 0..2568 | aac 2ch 44100 und -15..2548 | 00:00:02",
    ),
    (
        "c_mediabunny_cursed-vfr.mp4",
        "mp4 | h264 yuv420p 3026x1386 sar 1:1 rot 0 30.329fps variable 63 frames 0..8726 | 00:00:08",
    ),
    ("c_opencv_tree.avi", "avi | cinepak rgb24 320x240 sar 1:1 rot 0 2.392fps variable 68 frames 0..29600 | 00:00:29"),
    (
        "e_androidx_hdr10-av1.mp4",
        "mp4 | av1 yuv420p10le 720x1280 sar 1:1 rot 0 smpte2084 29.97fps 127 frames 0..4238 | aac 2ch 48000 en 21..4181 | 00:00:04",
    ),
    (
        "e_androidx_hlg10-color-test.mp4",
        "mp4 | hevc yuv420p10le 1920x1080 sar 1:1 rot 0 arib-std-b67 29.99fps 9 frames 0..300 | aac 2ch 48000 en 0..289 | 00:00:00",
    ),
    (
        "e_autoeditor_test_yuv422p.mp4",
        "mp4 | h264 yuv422p 640x360 sar 1:1 rot 0 30fps 60 frames 0..2000 | aac 2ch 44100 und 0..2020 | 00:00:02",
    ),
    ("e_torchcodec_h264_10bits.mp4", "mp4 | h264 yuv420p10le 200x200 sar 1:1 rot 0 30fps 30 frames 0..1000 | 00:00:01"),
    (
        "e_torchcodec_nasa_13013_hdr.mp4",
        "mp4 | hevc yuv420p10le 320x180 sar 1:1 rot 0 smpte2084 25fps 325 frames 0..13000 | 00:00:13",
    ),
    (
        "f_androidx_sample_with_ass_subtitles.mkv",
        "matroska | h264 yuv420p 1080x720 sar 1:1 rot 0 29.99fps 30 frames 67..1035 | ac3 1ch 44100 und 129..1138 | ass und | 00:00:01",
    ),
    (
        "f_androidx_sample_with_overlapping_srt.mkv",
        "matroska | h264 yuv420p 1080x720 sar 1:1 rot 0 29.99fps 30 frames 67..1035 | ac3 1ch 44100 und 129..1138 | subrip und | 00:00:01",
    ),
    (
        "f_androidx_sample_with_pgs_subtitles.mkv",
        "matroska | h264 yuv420p 1080x720 sar 1:1 rot 0 604.167fps 30 frames 0..49 | ac3 1ch 44100 und 0..1009 | hdmv_pgs_subtitle en bitmap | 00:00:01",
    ),
    (
        "f_androidx_sample_with_srt.mkv",
        "matroska | h264 yuv420p 1080x720 sar 1:1 rot 0 29.99fps 30 frames 0..968 | ac3 1ch 44100 und 62..1071 | subrip en | 00:00:01",
    ),
    (
        "f_assembled_ed_3audio_2srt_4chapters.mkv",
        "matroska | h264 yuv420p 1024x576 sar 1:1 rot 0 23.989fps variable 72 frames 0..4000 | aac 2ch 48000 en 8..4019 | mp3 2ch 22050 de 0..9561 | mp3 2ch 22050 es 0..10031 | subrip en | subrip de | 4 chapters | 00:00:10",
    ),
    (
        "f_autoeditor_mov_text.mp4",
        "mp4 | h264 yuv420p 300x200 sar 1:1 rot 0 20fps 40 frames 0..2000 | aac 2ch 44100 und 0..1927 | mov_text und | 00:00:02",
    ),
    (
        "f_torchcodec_nasa_13013.mp4",
        "mp4 | h264 yuv420p 320x180 sar 1:1 rot 0 25fps 325 frames 0..13000 | h264 yuv420p 480x270 sar 1:1 rot 0 29.97fps 390 frames 0..13013 | aac 2ch 8000 en 0..13056 | aac 2ch 16000 en 0..13056 | mov_text en | mov_text en | 00:00:13",
    ),
    (
        "g_androidx_sample_with_chapters.mkv",
        "matroska | h264 yuv444p 320x240 sar 1:1 rot 0 29.998fps 150 frames 0..5000 | aac 1ch 44100 und -23..5015 | 2 chapters | 00:00:05",
    ),
    (
        "g_androidx_sample_with_chapters.mp4",
        "mp4 | h264 yuv420p 1080x720 sar 1:1 rot 0 29.97fps 30 frames 0..1001 | aac 1ch 44100 und 0..1089 | 3 chapters | 00:00:01",
    ),
    ("h_androidx_bbb_6ch_8kHz_opus.ogg", "ogg | opus 6ch 48000 und -6..3000 | 00:00:03"),
    ("h_autoeditor_alac.m4a", "mp4 | alac 1ch 16000 und 0..6625 | 00:00:06"),
    ("h_mediabunny_sample.flac", "flac | flac 2ch 44100 und 0..19714 | 00:00:19"),
    ("h_moviepy_rain.mp3", "mp3 | mp3 2ch 44100 und 0..60500 | 00:01:00"),
    (
        "i_androidx_bear-vp9-odd-dimensions.webm",
        "matroska | vp9 yuv420p 161x121 sar 1:1 rot 0 29.959fps 30 frames 0..1001 | 00:00:01",
    ),
    ("i_mediabunny_sar_2x1.mp4", "mp4 | h264 yuv420p 640x360 sar 2:1 rot 0 30fps 150 frames 0..5000 | 00:00:05"),
    ("i_moviepy_test_video.mp4", "mp4 | h264 yuv444p 1x1 sar 1:1 rot 0 1fps 5 frames 0..5000 | 00:00:05"),
    (
        "i_torchcodec_testsrc2_odd_height_and_width_444.mp4",
        "mp4 | h264 yuv444p 321x241 sar 1:1 rot 0 25fps 25 frames 0..1000 | 00:00:01",
    ),
    (
        "i_torchcodec_testsrc2_odd_height_and_width_vp9.mp4",
        "mp4 | vp9 yuv420p 321x241 sar 1:1 rot 0 25fps 25 frames 0..1000 | 00:00:01",
    ),
    (
        "j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4",
        "mp4 | h264 yuv420p 800x640 sar 1137:800 rot 0 30fps 120 frames 10000..14000 | 00:00:04",
    ),
    (
        "j_androidx_edit_list_positive_shift.mp4",
        "mp4 | h264 yuv420p 1920x1080 sar 1:1 rot 0 30fps 270 frames 1000..10000 | aac 2ch 48000 und 0..10005 | 00:00:10",
    ),
    (
        "j_androidx_sample_shorter_audio.mp4",
        "mp4 | h264 yuvj420p 320x240 sar 1:1 rot 0 60fps 72 frames 0..1200 | aac 1ch 44100 und 0..766 | 00:00:01",
    ),
    (
        "j_mediabunny_edts.mp4",
        "mp4 | h264 yuv420p 854x480 sar 1280:1281 rot 0 25fps 225 frames 0..9000 | aac 2ch 44100 en -1..9000 | 00:00:09",
    ),
    (
        "k_androidx_bbb_176x144_128kbps_15fps_h263.3gp",
        "mp4 | h263 yuv420p 176x144 sar 1:1 rot 0 15fps 15 frames 0..1000 | 00:00:01",
    ),
    (
        "k_androidx_bbb_2500ms.ts",
        "mpegts | mpeg2video yuv420p 1920x1080 sar 1:1 rot 0 24fps variable 58 frames 1525..4025 | mp2 2ch 44100 und 1514..4027 | 00:00:02",
    ),
    (
        "k_androidx_long_1080p_av1.mp4",
        "mp4 | av1 yuv420p 1920x1080 sar 1:1 rot 0 60fps 21766 frames 0..362767 | aac 2ch 48000 und 0..360000 | 00:06:02",
    ),
    (
        "k_androidx_sample.avi",
        "avi | mpeg4 yuv420p 960x400 sar 1:1 rot 0 23.976fps variable 96 frames 0..4087 | mp3 2ch 48000 und 0..4080 | 00:00:04",
    ),
    ("k_kivy_cityCC0.mpg", "mpegps | mpeg2video yuv420p 720x405 sar 1:1 rot 0 25fps 190 frames 540..8140 | 00:00:07"),
    (
        "k_mediabunny_hevc.ts",
        "mpegts | hevc yuv420p 1920x1080 sar 1:1 rot 0 24fps 120 frames 1483..6483 | aac 6ch 48000 en 1483..6497 | 00:00:05",
    ),
    (
        "k_vide_ocean.ogv",
        "ogg | theora yuv420p 320x240 sar 1:1 rot 0 24.9fps 249 frames 0..10000 | vorbis 2ch 44100 und -3..10076 | 00:00:10",
    ),
    (
        "k_vide_ocean.webm",
        "matroska | vp8 yuv420p 1280x720 sar 1:1 rot 0 24.001fps 240 frames 3..10002 | vorbis 2ch 44100 und 0..10092 | 00:00:10",
    ),
    (
        "l_androidx_sample_fragmented.mp4",
        "mp4 | h264 yuv420p 1080x720 sar 1:1 rot 0 29.97fps 30 frames 67..1068 | aac 1ch 44100 und 0..1068 | 00:00:01",
    ),
    (
        "l_androidx_sample_mdat_too_long.mp4",
        "mp4 | h264 yuv420p 1080x720 sar 1:1 rot 0 29.97fps 30 frames 0..1001 | aac 1ch 44100 und 44..1089 | 00:00:01",
    ),
    (
        "l_androidx_sample_missing_stsd.mp4",
        "mp4 | h264 yuv420p 1080x720 sar 1:1 rot 0 29.97fps 30 frames 0..1001 | 00:00:01",
    ),
    (
        "l_mediabunny_annex-b.mp4",
        "mp4 | h264 yuv420p 1920x1080 sar 1:1 rot 0 83.333fps variable 6 frames 0..500 | 00:00:00",
    ),
    (
        "l_moviepy_video_with_failing_audio.mp4",
        "mp4 | h264 yuv420p 640x360 sar 1:1 rot 0 25fps 280 frames 0..11200 | mp3 2ch 44100 und -25..11233 | 00:00:11",
    ),
    ("l_mp4parse_no_timescale.mp4", "mp4 | h264 yuv420p 320x240 sar 1:1 rot 0 30.12fps 182 frames 66..6109 | 00:00:06"),
];

/// Each hopeless file with the kind of refusal.
const REFUSALS: &[(&str, FailureCode)] = &[
    ("l_androidx_sample_malformed_free_box.mp4", FailureCode::Damaged),
    ("l_mp4parse_chunk_out_of_range.mp4", FailureCode::Damaged),
    ("l_moviepy_result.webm", FailureCode::UnknownFormat),
    ("m_payloads_read_passwd.avi", FailureCode::NoMedia),
    ("m_payloads_ssrf_ffmpeg.avi", FailureCode::UnknownFormat),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("an_empty_file_is_refused_with_a_sentence", an_empty_file_is_refused_with_a_sentence),
        trial("a_playlist_in_disguise_is_refused", a_playlist_in_disguise_is_refused),
        trial("random_bytes_behind_every_magic_end_in_a_refusal", random_bytes_behind_every_magic_end_in_a_refusal),
    ];
    for (file, expected) in FACTS {
        trials.push(trial(&format!("facts_of_{file}"), move || facts(file, expected)));
    }
    for (file, code) in REFUSALS {
        trials.push(trial(&format!("refusal_of_{file}"), move || refusal(file, *code)));
    }
    trials
}

async fn facts(file: &str, expected: &str) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    let probe = engine().probe(open(&path)).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(describe(&probe), expected);
}

async fn refusal(file: &str, code: FailureCode) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    match engine().probe(open(&path)).await {
        Err(EngineError::Refused(failure)) => assert_eq!(failure.code, code, "{failure}"),
        other => panic!("{other:?}"),
    }
}

/// One line with everything that matters.
fn describe(probe: &Probe) -> String {
    let mut text = probe.container.clone();
    for video in &probe.video {
        let rotation = serde_json::to_string(&video.orientation.rotation).expect("JSON").replace('"', "");
        let _ = write!(
            text,
            " | {} {} {} sar {}:{} rot {rotation} {}{}{}fps{} {} frames {}..{}",
            video.codec,
            video.pixel_format,
            video.coded,
            video.sample_aspect.0,
            video.sample_aspect.1,
            if video.is_interlaced() { "interlaced " } else { "" },
            video
                .color
                .transfer
                .as_deref()
                .filter(|_| video.color.is_hdr())
                .map_or(String::new(), |hdr| format!("{hdr} ")),
            video.measured_rate,
            if video.is_variable_rate { " variable" } else { "" },
            video.frame_count,
            video.extent.start.as_ms(),
            video.extent.end.as_ms(),
        );
    }
    for audio in &probe.audio {
        let language = audio.language.as_ref().map_or("und", |language| language.tag());
        let (start, end) = (audio.extent.start.as_ms(), audio.extent.end.as_ms());
        let _ = write!(text, " | {} {}ch {} {language} {start}..{end}", audio.codec, audio.channels, audio.sample_rate);
    }
    for subtitle in &probe.subtitles {
        let language = subtitle.language.as_ref().map_or("und", |language| language.tag());
        let _ = write!(text, " | {} {language}{}", subtitle.codec, if subtitle.is_text { "" } else { " bitmap" });
    }
    if !probe.chapters.is_empty() {
        let _ = write!(text, " | {} chapters", probe.chapters.len());
    }
    let _ = write!(text, " | {}", hms(probe.duration()));
    text
}

async fn an_empty_file_is_refused_with_a_sentence() {
    let error = engine().probe(source_of(b"")).await.expect_err("nothing to probe");
    assert_eq!(error.failure().code, FailureCode::UnknownFormat);
    assert_eq!(error.failure().message, "the file is empty");
}

async fn a_playlist_in_disguise_is_refused() {
    for text in ["#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "ffconcat version 1.0\nfile 'secret.ts'\n"] {
        let error = engine().probe(source_of(text.as_bytes())).await.expect_err("a playlist");
        assert!(error.failure().message.contains("playlist"), "{error}");
    }
}

async fn random_bytes_behind_every_magic_end_in_a_refusal() {
    let magics: [&[u8]; 10] = [
        b"\0\0\0\x18ftypisom\0\0\0\0isomiso2",
        &[0x1a, 0x45, 0xdf, 0xa3],
        b"RIFF\xff\xff\0\0AVI LIST",
        b"RIFF\xff\xff\0\0WAVEfmt ",
        b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
        b"OggS",
        b"fLaC",
        &[0, 0, 1, 0xba],
        b"ID3\x04\0\0\0\0\0\0",
        &[0xff, 0xfb, 0x90, 0x64],
    ];
    for magic in magics {
        let mut seed = 1u64;
        let noise = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed.to_le_bytes()[7]
        });
        let bytes: Vec<u8> = magic.iter().copied().chain(noise.take(20_000)).collect();
        match engine().probe(source_of(&bytes)).await {
            // Noise after the magic of bare audio may decode as noise.
            Ok(_) | Err(EngineError::Refused(_)) => {}
            Err(error) => panic!("{magic:?}: {error:?}"),
        }
    }
}
