//! What is known of real files, and why hopeless ones are refused.

use std::fmt::Write;

use domain::{FailureCode, Probe, hms};
use libtest_mimic::Trial;
use transcoder::EngineError;

use crate::setup::{engine, open, source_of, trial};

/// Each file of the corpus with what must be found in it.
const FACTS: &[(&str, &str)] = &[
    ("a_autoeditor_example.mp4", ""),
    ("a_intel_car-detection.mp4", ""),
    ("a_openshot_sintel_trailer-720p.mp4", ""),
    ("a_sam2_02_cups.mp4", ""),
    ("a_sb5_bg.mp4", ""),
    ("b_androidx_internal_emulator_transformer_output_180_rotated.mp4", ""),
    ("b_androidx_portrait_4k60.mp4", ""),
    ("b_mediabunny_rotate-buck-bunny.mp4", ""),
    ("b_torchcodec_nasa_13013_rotated.mp4", ""),
    ("c_androidx_sample_edit_list.mp4", ""),
    ("c_mediabunny_cursed-vfr.mp4", ""),
    ("c_opencv_tree.avi", ""),
    ("e_androidx_hdr10-av1.mp4", ""),
    ("e_androidx_hlg10-color-test.mp4", ""),
    ("e_autoeditor_test_yuv422p.mp4", ""),
    ("e_torchcodec_h264_10bits.mp4", ""),
    ("e_torchcodec_nasa_13013_hdr.mp4", ""),
    ("f_androidx_sample_with_ass_subtitles.mkv", ""),
    ("f_androidx_sample_with_overlapping_srt.mkv", ""),
    ("f_androidx_sample_with_pgs_subtitles.mkv", ""),
    ("f_androidx_sample_with_srt.mkv", ""),
    ("f_assembled_ed_3audio_2srt_4chapters.mkv", ""),
    ("f_autoeditor_mov_text.mp4", ""),
    ("f_torchcodec_nasa_13013.mp4", ""),
    ("g_androidx_sample_with_chapters.mkv", ""),
    ("g_androidx_sample_with_chapters.mp4", ""),
    ("h_androidx_bbb_6ch_8kHz_opus.ogg", ""),
    ("h_autoeditor_alac.m4a", ""),
    ("h_mediabunny_sample.flac", ""),
    ("h_moviepy_rain.mp3", ""),
    ("i_androidx_bear-vp9-odd-dimensions.webm", ""),
    ("i_mediabunny_sar_2x1.mp4", ""),
    ("i_moviepy_test_video.mp4", ""),
    ("i_torchcodec_testsrc2_odd_height_and_width_444.mp4", ""),
    ("i_torchcodec_testsrc2_odd_height_and_width_vp9.mp4", ""),
    ("j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4", ""),
    ("j_androidx_edit_list_positive_shift.mp4", ""),
    ("j_androidx_sample_shorter_audio.mp4", ""),
    ("j_mediabunny_edts.mp4", ""),
    ("k_androidx_bbb_176x144_128kbps_15fps_h263.3gp", ""),
    ("k_androidx_bbb_2500ms.ts", ""),
    ("k_androidx_long_1080p_av1.mp4", ""),
    ("k_androidx_sample.avi", ""),
    ("k_kivy_cityCC0.mpg", ""),
    ("k_mediabunny_hevc.ts", ""),
    ("k_vide_ocean.ogv", ""),
    ("k_vide_ocean.webm", ""),
    ("l_androidx_sample_fragmented.mp4", ""),
    ("l_androidx_sample_mdat_too_long.mp4", ""),
    ("l_androidx_sample_missing_stsd.mp4", ""),
    ("l_mediabunny_annex-b.mp4", ""),
    ("l_moviepy_video_with_failing_audio.mp4", ""),
    ("l_mp4parse_no_timescale.mp4", ""),
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
            if video.is_interlaced { "interlaced " } else { "" },
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
