//! Segments of sound: complete, exact, and the same whichever are asked for.

use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{AudioRequest, AudioSegment};

use crate::setup::{planned, trial};

/// Files whose every track must encode: surround, mono, gaps, offsets, every codec, broken ones.
const CORPUS: &[&str] = &[
    "b_mediabunny_rotate-buck-bunny.mp4",
    "f_androidx_sample_with_srt.mkv",
    "f_assembled_ed_3audio_2srt_4chapters.mkv",
    "f_torchcodec_nasa_13013.mp4",
    "g_androidx_sample_with_chapters.mkv",
    "h_androidx_bbb_6ch_8kHz_opus.ogg",
    "h_autoeditor_alac.m4a",
    "h_mediabunny_sample.flac",
    "h_moviepy_rain.mp3",
    "k_androidx_bbb_2500ms.ts",
    "k_androidx_sample.avi",
    "k_mediabunny_hevc.ts",
    "k_vide_ocean.ogv",
    "l_moviepy_video_with_failing_audio.mp4",
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("segments_of_sound_do_not_depend_on_each_other", segments_of_sound_do_not_depend_on_each_other),
        trial("sound_of_every_layout_is_taken", sound_of_every_layout_is_taken),
    ];
    trials.extend(CORPUS.iter().map(|file| trial(&format!("all_sound_of_{file}"), move || corpus(file))));
    trials
}

fn check_complete(request: &AudioRequest, segments: &[AudioSegment]) {
    assert_eq!(segments.iter().map(|segment| segment.span).collect::<Vec<_>>(), request.work);
    for segment in segments {
        assert_eq!(segment.frames.len(), segment.span.count as usize);
        assert_eq!(segment.config, segments[0].config);
        // AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 §1.6.2.1).
        assert_eq!(segment.config[..2], [0x11, 0x90]);
    }
}

async fn corpus(file: &str) {
    let Some(path) = fixtures::corpus_file(file) else { return };
    let source = planned(&path).await;
    for at in 0..source.plan.audio.len() {
        let request = source.audio(at, |_| true);
        let segments = source.encode_audio(request.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        check_complete(&request, &segments);
    }
}

async fn segments_of_sound_do_not_depend_on_each_other() {
    let spec = ClipSpec { seconds: 14.0, audio_args: vec!["-c:a", "aac", "-ar", "44100"], ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let together = source.encode_audio(source.audio(0, |_| true)).await.expect("segments");
    for wanted in &together {
        let alone = source.encode_audio(source.audio(0, |span| *span == wanted.span)).await.expect("a segment");
        assert!(alone == [wanted.clone()], "segment {} depends on its neighbours", wanted.span.index);
    }
}

async fn sound_of_every_layout_is_taken() {
    for layout in ["mono", "2.1", "quad", "5.1", "7.1"] {
        let filter = format!("aformat=channel_layouts={layout}");
        let audio_args = vec!["-af", filter.leak(), "-c:a", "flac"];
        let spec = ClipSpec { seconds: 1.0, width: 0, height: 0, container: "mkv", audio_args, ..ClipSpec::default() };
        let source = planned(&media::clip(&spec)).await;
        let request = source.audio(0, |_| true);
        let segments = source.encode_audio(request.clone()).await.unwrap_or_else(|error| panic!("{layout}: {error}"));
        check_complete(&request, &segments);
    }
}
