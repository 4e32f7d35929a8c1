//! Real files that nobody here made: each becomes a playable, exact folder, or is refused for a reason.
//!
//! The corpus lies beside the checkout; in CI its absence is a failure (`fixtures::corpus_file`).
//! Lengths are what the packets of a file hold, as `ffprobe -show_packets` counts them from the
//! earliest start of picture and sound.

use std::path::Path;

use crate::check;
use crate::harness::{run, text};

/// What a file must give.
#[derive(Debug, Default)]
struct Expected {
    /// Size of the largest rendition; `None` for sound alone.
    size: Option<(u64, u64)>,
    /// Where the picture ends, in seconds.
    picture_ends: Option<f64>,
    /// Where the last sound ends, in seconds.
    sound_ends: Option<f64>,
    /// Languages of the sound, default first.
    sounds: &'static [&'static str],
    /// Languages of the subtitles.
    texts: &'static [&'static str],
    chapters: usize,
}

fn gives(file: &str, expected: Expected) {
    let Some(source) = fixtures::corpus_file(file) else { return };
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let done = run(&["transcode", text(&source), "-o", text(&out)]);
    let said = String::from_utf8_lossy(&done.stderr);
    if done.status.code() != Some(0) {
        note(file, &format!("{expected:?}"), &said);
    }
    assert_eq!(done.status.code(), Some(0), "{file}: {said}");
    let judged = run(&["validate", text(&out)]);
    assert_eq!(judged.status.code(), Some(0), "{file}: {}", String::from_utf8_lossy(&judged.stdout));
    let report = check::check(&out);
    note(file, &format!("{expected:?}"), &got(&report));
    let largest = report.renditions.iter().max_by_key(|rendition| rendition.width * rendition.height);
    assert_eq!(largest.map(|rendition| (rendition.width, rendition.height)), expected.size, "{file}");
    let frame_s = largest.map_or(0.0, |rendition| seconds(rendition.frame_ticks) / f64::from(rendition.timescale));
    assert_near(file, "picture", report.video_duration_s, expected.picture_ends, frame_s);
    assert_near(file, "sound", report.audio_duration_s, expected.sound_ends, 1024.0 / 48_000.0);
    assert_eq!(report.audio_languages, expected.sounds, "{file}: languages of the sound");
    assert_eq!(report.subtitle_languages, expected.texts, "{file}: languages of the subtitles");
    assert_eq!(report.chapter_count, expected.chapters, "{file}: chapters");
}

/// A report in the words of [`Expected`].
fn got(report: &check::Report) -> String {
    let largest = report.renditions.iter().max_by_key(|rendition| rendition.width * rendition.height);
    let size = largest.map(|rendition| (rendition.width, rendition.height));
    let (picture_ends, sound_ends) = (report.video_duration_s, report.audio_duration_s);
    format!(
        "size: {size:?}, picture_ends: {picture_ends:?}, sound_ends: {sound_ends:?}, sounds: {:?}, texts: {:?}, chapters: {}",
        report.audio_languages, report.subtitle_languages, report.chapter_count
    )
}

/// Leaves a row of the table of all files, which `tools/corpus-table.sh` puts together.
fn note(file: &str, expected: &str, got: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/corpus");
    std::fs::create_dir_all(&folder).unwrap();
    let got = got.lines().next_back().unwrap_or_default();
    std::fs::write(folder.join(format!("{file}.row")), format!("| {file} | {expected} | {got} |\n")).unwrap();
}

/// A file that must be refused, with this code and a reason.
fn is_refused(file: &str, code: &str) {
    let Some(source) = fixtures::corpus_file(file) else { return };
    let done = run(&["probe", "--json", text(&source)]);
    let said = String::from_utf8_lossy(&done.stderr);
    note(file, &format!("refused: {code}"), &said);
    assert_eq!(done.status.code(), Some(1), "{file}: {said}");
    assert!(said.contains(code), "{file}: {said}");
}

#[test]
fn l_and_m_hopeless_files_are_refused_for_the_right_reason() {
    is_refused("l_androidx_sample_malformed_free_box.mp4", "damaged");
    is_refused("l_mp4parse_chunk_out_of_range.mp4", "damaged");
    is_refused("l_moviepy_result.webm", "empty");
    is_refused("m_payloads_read_passwd.avi", "neither a picture nor sound");
    is_refused("m_payloads_ssrf_ffmpeg.avi", "playlist");
}

/// Its index is sound, but twelve of its 182 pictures cannot be decoded, which is more than one in twenty.
#[test]
fn l_no_timescale() {
    let file = "l_mp4parse_no_timescale.mp4";
    let Some(source) = fixtures::corpus_file(file) else { return };
    let temp = tempfile::tempdir().unwrap();
    let done = run(&["transcode", text(&source), "-o", text(&temp.path().join("out"))]);
    let said = String::from_utf8_lossy(&done.stderr);
    note(file, "refused: pictures cannot be decoded", &said);
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("12 of 182 pictures of the file cannot be decoded"), "{said}");
}

/// Six minutes of 1080p60 cost too much here: what is planned, and `all_frames_of` its first segment in
/// the engine's tests.
#[test]
fn k_long() {
    let file = "k_androidx_long_1080p_av1.mp4";
    let Some(source) = fixtures::corpus_file(file) else { return };
    let done = run(&["probe", text(&source)]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let facts = ["00:06:02", "1920x1080", "60 fps", "21766 frames"];
    note(
        file,
        &format!("{facts:?}"),
        &said.lines().find(|line| line.contains("fps")).unwrap_or_default().replace("  ", " "),
    );
    assert!(facts.iter().all(|fact| said.contains(fact)), "{said}");
}

#[expect(clippy::cast_precision_loss, reason = "ticks of one frame are few")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64
}

fn assert_near(file: &str, what: &str, got: Option<f64>, expected: Option<f64>, tolerance_s: f64) {
    match (got, expected) {
        (Some(got), Some(expected)) => {
            // Half a millisecond for the rounding of the figures in this file.
            let off = (got - expected).abs();
            assert!(off <= tolerance_s + 5e-4, "{file}: the {what} ends at {got} s, expected {expected} s");
        }
        (got, expected) => assert_eq!(got, expected, "{file}: {what}"),
    }
}

/// One test per file: `name: "file", field: value, ...;`
macro_rules! corpus {
    ($($name:ident: $file:literal $(, $field:ident: $value:expr)*;)*) => {
        $(
            #[test]
            fn $name() {
                gives($file, Expected { $($field: $value,)* ..Expected::default() });
            }
        )*
    };
}

// The file of three languages was cut: of its four chapters two begin before its packets end.
corpus! {
    a_screen_recording: "a_autoeditor_example.mp4", size: Some((1280, 720)), picture_ends: Some(42.4), sound_ends: Some(42.4), sounds: &["en"];
    a_camera_of_12_5_frames_a_second: "a_intel_car-detection.mp4", size: Some((768, 432)), picture_ends: Some(30.16), sound_ends: Some(30.16), sounds: &["en"];
    a_film_trailer: "a_openshot_sintel_trailer-720p.mp4", size: Some((1280, 720)), picture_ends: Some(52.208), sound_ends: Some(51.947);
    a_clip_with_a_timecode_track: "a_sam2_02_cups.mp4", size: Some((1280, 720)), picture_ends: Some(10.01), sound_ends: Some(10.0), sounds: &["en"];
    a_silent_background: "a_sb5_bg.mp4", size: Some((1920, 1080)), picture_ends: Some(17.48);
    b_upside_down: "b_androidx_internal_emulator_transformer_output_180_rotated.mp4", size: Some((1280, 720)), picture_ends: Some(4.972), sound_ends: Some(4.969), sounds: &["en"];
    b_phone_held_upright: "b_androidx_portrait_4k60.mp4", size: Some((1080, 1920)), picture_ends: Some(0.3), sound_ends: Some(0.313), sounds: &["en"];
    b_turned_with_surround_sound: "b_mediabunny_rotate-buck-bunny.mp4", size: Some((1080, 1920)), picture_ends: Some(1.958), sound_ends: Some(2.005), sounds: &["en"];
    b_turned_clockwise: "b_torchcodec_nasa_13013_rotated.mp4", size: Some((270, 480)), picture_ends: Some(0.567);
    c_phone_with_edit_list: "c_androidx_sample_edit_list.mp4", size: Some((1080, 1920)), picture_ends: Some(2.584), sound_ends: Some(2.564);
    c_gaps_of_5_to_1570_ms: "c_mediabunny_cursed-vfr.mp4", size: Some((2358, 1080)), picture_ends: Some(8.726);
    c_dropped_frames: "c_opencv_tree.avi", size: Some((320, 240)), picture_ends: Some(29.6);
    e_hdr10_in_av1: "e_androidx_hdr10-av1.mp4", size: Some((720, 1280)), picture_ends: Some(4.238), sound_ends: Some(4.181), sounds: &["en"];
    e_hlg_in_hevc: "e_androidx_hlg10-color-test.mp4", size: Some((1920, 1080)), picture_ends: Some(0.3), sound_ends: Some(0.289), sounds: &["en"];
    e_chroma_4_2_2: "e_autoeditor_test_yuv422p.mp4", size: Some((640, 360)), picture_ends: Some(2.0), sound_ends: Some(2.02);
    e_ten_bits: "e_torchcodec_h264_10bits.mp4", size: Some((200, 200)), picture_ends: Some(1.0);
    e_hdr10_in_hevc: "e_torchcodec_nasa_13013_hdr.mp4", size: Some((320, 180)), picture_ends: Some(13.0);
    f_ass_subtitles: "f_androidx_sample_with_ass_subtitles.mkv", size: Some((1080, 720)), picture_ends: Some(0.968), sound_ends: Some(1.071);
    f_overlapping_subtitles: "f_androidx_sample_with_overlapping_srt.mkv", size: Some((1080, 720)), picture_ends: Some(0.968), sound_ends: Some(1.071);
    f_bitmap_subtitles_are_left_out: "f_androidx_sample_with_pgs_subtitles.mkv", size: Some((1080, 720)), picture_ends: Some(0.049), sound_ends: Some(1.009);
    f_srt_subtitles: "f_androidx_sample_with_srt.mkv", size: Some((1080, 720)), picture_ends: Some(0.968), sound_ends: Some(1.071), texts: &["en"];
    f_three_languages: "f_assembled_ed_3audio_2srt_4chapters.mkv", size: Some((1024, 576)), picture_ends: Some(4.0), sound_ends: Some(10.031), sounds: &["en", "de", "es"], texts: &["en", "de"], chapters: 2;
    f_mov_text_subtitles: "f_autoeditor_mov_text.mp4", size: Some((300, 200)), picture_ends: Some(2.0), sound_ends: Some(1.927);
    f_two_pictures: "f_torchcodec_nasa_13013.mp4", size: Some((480, 270)), picture_ends: Some(13.013), sound_ends: Some(13.056), sounds: &["en", "en"], texts: &["en", "en"];
    g_matroska_chapters: "g_androidx_sample_with_chapters.mkv", size: Some((320, 240)), picture_ends: Some(5.023), sound_ends: Some(5.038), chapters: 2;
    g_quicktime_chapters: "g_androidx_sample_with_chapters.mp4", size: Some((1080, 720)), picture_ends: Some(1.001), sound_ends: Some(1.089), chapters: 3;
    h_six_channels_of_opus: "h_androidx_bbb_6ch_8kHz_opus.ogg", sound_ends: Some(3.006);
    h_alac: "h_autoeditor_alac.m4a", sound_ends: Some(6.625);
    h_cover_art_is_no_picture: "h_mediabunny_sample.flac", sound_ends: Some(19.714);
    h_mp3: "h_moviepy_rain.mp3", sound_ends: Some(60.5);
    i_odd_vp9: "i_androidx_bear-vp9-odd-dimensions.webm", size: Some((160, 120)), picture_ends: Some(1.001);
    i_wide_samples: "i_mediabunny_sar_2x1.mp4", size: Some((1280, 360)), picture_ends: Some(5.0);
    i_one_pixel: "i_moviepy_test_video.mp4", size: Some((2, 2)), picture_ends: Some(5.0);
    i_odd_4_4_4: "i_torchcodec_testsrc2_odd_height_and_width_444.mp4", size: Some((320, 240)), picture_ends: Some(1.0);
    i_odd_on_both_sides: "i_torchcodec_testsrc2_odd_height_and_width_vp9.mp4", size: Some((320, 240)), picture_ends: Some(1.0);
    j_starts_at_ten_seconds: "j_androidx_bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4", size: Some((1136, 640)), picture_ends: Some(4.0);
    j_starts_late: "j_androidx_edit_list_positive_shift.mp4", size: Some((1920, 1080)), picture_ends: Some(10.0), sound_ends: Some(10.005);
    j_shorter_sound: "j_androidx_sample_shorter_audio.mp4", size: Some((320, 240)), picture_ends: Some(1.2), sound_ends: Some(0.766);
    j_edit_list: "j_mediabunny_edts.mp4", size: Some((852, 480)), picture_ends: Some(9.001), sound_ends: Some(9.001), sounds: &["en"];
    k_h263: "k_androidx_bbb_176x144_128kbps_15fps_h263.3gp", size: Some((176, 144)), picture_ends: Some(1.0);
    k_transport_stream: "k_androidx_bbb_2500ms.ts", size: Some((1920, 1080)), picture_ends: Some(2.511), sound_ends: Some(2.513);
    k_avi: "k_androidx_sample.avi", size: Some((960, 400)), picture_ends: Some(4.087), sound_ends: Some(4.08);
    k_program_stream: "k_kivy_cityCC0.mpg", size: Some((720, 404)), picture_ends: Some(7.6);
    k_hevc_in_a_transport_stream: "k_mediabunny_hevc.ts", size: Some((1920, 1080)), picture_ends: Some(5.0), sound_ends: Some(5.013), sounds: &["en"];
    k_theora: "k_vide_ocean.ogv", size: Some((320, 240)), picture_ends: Some(10.003), sound_ends: Some(10.079);
    l_claims_forty_hours: "l_androidx_sample_fragmented.mp4", size: Some((1080, 720)), picture_ends: Some(1.068), sound_ends: Some(1.068);
    l_samples_beyond_the_end: "l_androidx_sample_mdat_too_long.mp4", size: Some((1080, 720)), picture_ends: Some(1.001), sound_ends: Some(1.089);
    l_sound_without_a_description: "l_androidx_sample_missing_stsd.mp4", size: Some((1080, 720)), picture_ends: Some(1.001);
    l_cut_off_after_half_a_second: "l_mediabunny_annex-b.mp4", size: Some((1920, 1080)), picture_ends: Some(0.5);
    l_sound_that_breaks_off: "l_moviepy_video_with_failing_audio.mp4", size: Some((640, 360)), picture_ends: Some(11.225), sound_ends: Some(11.258);
    k_vp8: "k_vide_ocean.webm", size: Some((1280, 720)), picture_ends: Some(10.002), sound_ends: Some(10.092);
}
