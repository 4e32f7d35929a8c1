//! Segments of sound: complete, exact, and the same whichever are asked for.

use domain::AAC_FRAME_SAMPLES;
use fixtures::media::{self, ClipSpec};
use libtest_mimic::Trial;
use transcoder::{AudioRequest, AudioSegment};

use crate::hearing::{decoded, decoded_channel};
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
        trial(
            "segments_of_a_later_part_do_not_depend_on_each_other",
            segments_of_a_later_part_do_not_depend_on_each_other,
        ),
        trial("a_shift_between_parts_is_seen", a_shift_is_seen),
        trial("sound_of_every_layout_is_taken", sound_of_every_layout_is_taken),
        trial("surround_sound_keeps_its_channels_and_mixes_down", surround_sound_keeps_its_channels_and_mixes_down),
    ];
    trials.extend(CORPUS.iter().map(|file| trial(&format!("all_sound_of_{file}"), move || corpus(file))));
    trials.extend(JOINS.iter().map(|join| trial(&format!("parts_of_{}_join", join.0), move || parts_join(join))));
    trials
}

/// Sources whose parts must join: container, how sound is encoded, and whether both parts are the same.
///
/// They are where time stamps are exact or often enough fall together with samples. Elsewhere a part may
/// begin a fraction of a sample off, and some decoders add noise of their own.
const JOINS: &[(&str, &str, &[&str], bool)] = &[
    ("mp4_44100", "mp4", &["-c:a", "aac", "-ar", "44100"], true),
    ("mp4_48000", "mp4", &["-c:a", "aac", "-ar", "48000"], true),
    ("mp4_22050", "mp4", &["-c:a", "aac", "-ar", "22050"], true),
    ("mkv_44100", "mkv", &["-c:a", "aac", "-ar", "44100"], false),
    ("mkv_48000", "mkv", &["-c:a", "aac", "-ar", "48000"], true),
    ("mkv_mp3", "mkv", &["-c:a", "libmp3lame", "-ar", "44100"], false),
    ("mkv_flac", "mkv", &["-c:a", "flac", "-ar", "44100"], false),
    ("webm_opus", "webm", &["-c:a", "libopus", "-ar", "48000"], true),
    ("webm_vorbis", "webm", &["-c:a", "libvorbis", "-ar", "44100"], false),
    ("ts_44100", "ts", &["-c:a", "aac", "-ar", "44100"], false),
    ("ts_48000", "ts", &["-c:a", "aac", "-ar", "48000"], true),
    ("ts_ac3", "ts", &["-c:a", "ac3", "-ar", "48000"], false),
    ("flv_44100", "flv", &["-c:a", "aac", "-ar", "44100"], false),
    ("avi_mp3", "avi", &["-c:a", "libmp3lame", "-ar", "44100"], true),
    ("mpg_mp2", "mpg", &["-c:a", "mp2", "-ar", "44100"], false),
    ("wav_44100", "wav", &["-c:a", "pcm_s16le", "-ar", "44100"], true),
    ("flac_44100", "flac", &["-c:a", "flac", "-ar", "44100"], true),
    ("ogg_vorbis", "ogg", &["-c:a", "libvorbis", "-ar", "44100"], true),
    ("opus", "opus", &["-c:a", "libopus"], true),
    ("mp3_44100", "mp3", &["-c:a", "libmp3lame", "-ar", "44100"], true),
    ("mp3_vbr", "mp3", &["-c:a", "libmp3lame", "-q:a", "4", "-ar", "44100"], true),
    ("adts_44100", "aac", &["-c:a", "aac", "-ar", "44100"], true),
];

/// How far a part may be shifted against another, in samples of 48 kHz.
const SHIFT_MAX: f32 = 0.15;

/// What two encodings of the same chirp differ by, at most.
const NOISE_MAX: f32 = 0.03;

/// A chirp from 100 Hz to 3.2 kHz, 50 Hz more in each second: no two places sound alike, and none lies where
/// AAC has noise instead of tones.
const CHIRP: &str = "aeval=exprs=0.25*sin(2*PI*(100*t+25*t*t)):channel_layout=stereo,pan=stereo|c0=c0|c1=c1";

fn check_complete(request: &AudioRequest, segments: &[AudioSegment]) {
    assert_eq!(segments.iter().map(|segment| segment.span).collect::<Vec<_>>(), request.work);
    for segment in segments {
        assert_eq!(segment.frames.len(), segment.span.count as usize);
        assert_eq!(segment.config, segments[0].config);
        // AAC-LC, 48 kHz, stereo or 5.1 (ISO/IEC 14496-3 §1.6.2.1).
        assert_eq!(segment.config[..2], if request.channels == 6 { [0x11, 0xb0] } else { [0x11, 0x90] });
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

async fn segments_of_a_later_part_do_not_depend_on_each_other() {
    let spec = ClipSpec { seconds: 32.0, width: 0, height: 0, container: "mkv", ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let part = |is_wanted: &dyn Fn(u32) -> bool| AudioRequest {
        gain_db: None,
        part_first: source.plan.audio_spans(&source.plan.audio[0])[4].first,
        ..source.audio(0, |span| span.index >= 4 && is_wanted(span.index))
    };
    let together = source.encode_audio(part(&|_| true)).await.expect("segments");
    assert!(together.len() > 2);
    for wanted in &together {
        let alone = source.encode_audio(part(&|index| index == wanted.span.index)).await.expect("a segment");
        assert!(alone == [wanted.clone()], "segment {} depends on its neighbours", wanted.span.index);
    }
}

/// Encodes a chirp as one part, and from its middle on as another: both must sound the same.
async fn parts_join(&(name, container, codec, is_same): &(&str, &'static str, &[&'static str], bool)) {
    let with_picture = matches!(container, "mkv" | "mp4" | "ts" | "avi" | "flv" | "mpg");
    let side = if with_picture { 64 } else { 0 };
    let spec = ClipSpec {
        seconds: 62.0,
        width: side,
        height: side,
        container,
        audio_args: [&["-af", CHIRP], codec].concat(),
        ..ClipSpec::default()
    };
    let source = planned(&media::clip(&spec)).await;
    let whole = source.encode_audio(source.audio(0, |_| true)).await.expect("one part");
    let spans = source.plan.audio_spans(&source.plan.audio[0]);
    for first in [6, 8] {
        let request = source.audio(0, |span| span.index >= first);
        let request = AudioRequest { part_first: spans[usize::try_from(first).expect("small")].first, ..request };
        let later = source.encode_audio(request).await.expect("a later part");
        let place = usize::try_from(first).expect("small");
        // Not the end: there the chirp breaks off, and the slightest noise tells encoders otherwise.
        let end = whole.len() - 1;
        if is_same {
            assert!(whole[place..end] == later[..end - place], "{name}: the parts are not the same");
        }
        let (joined, single) = (decoded(&[&whole[..place], &later[..end - place]].concat()), decoded(&whole[..end]));
        assert_eq!(joined.len(), single.len());
        let off = joined.iter().zip(&single).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= NOISE_MAX, "{name}: samples around the join are {off} off");
        let first = usize::try_from(u64::from(AAC_FRAME_SAMPLES) * spans[place].first).expect("small");
        let shift = shift(&joined[first..], &single[first..]);
        assert!(shift.abs() <= SHIFT_MAX, "{name}: what is behind the join is shifted by {shift} samples");
    }
}

/// How many samples later `a` is than `b`, by least squares over the slope of `b`.
fn shift(a: &[f32], b: &[f32]) -> f32 {
    let slopes = b.windows(3).map(|around| (around[2] - around[0]) / 2.0);
    let products = slopes.zip(a.iter().zip(b).skip(1)).map(|(slope, (a, b))| ((b - a) * slope, slope * slope));
    let (product, square) = products.fold((0.0, 0.0), |sums, one| (sums.0 + one.0, sums.1 + one.1));
    product / square
}

async fn a_shift_is_seen() {
    let wave = |at: f32| (0.05 * at).sin();
    let row = |by: f32| (0..2000u16).map(|at| wave(f32::from(at) - by)).collect::<Vec<_>>();
    for by in [-1.0, -0.2, 0.0, 0.5] {
        assert!((shift(&row(by), &row(0.0)) - by).abs() < 0.02, "a shift by {by}");
    }
}

async fn sound_of_every_layout_is_taken() {
    for layout in ["mono", "2.1", "quad", "5.1", "7.1"] {
        let filter = format!("aformat=channel_layouts={layout}");
        let audio_args = vec!["-af", filter.leak(), "-c:a", "flac"];
        let spec = ClipSpec { seconds: 1.0, width: 0, height: 0, container: "mkv", audio_args, ..ClipSpec::default() };
        let source = planned(&media::clip(&spec)).await;
        let has_surround = matches!(layout, "5.1" | "7.1");
        assert_eq!(source.plan.audio.len(), if has_surround { 2 } else { 1 }, "{layout}");
        for at in 0..source.plan.audio.len() {
            let request = source.audio(at, |_| true);
            let segments =
                source.encode_audio(request.clone()).await.unwrap_or_else(|error| panic!("{layout}: {error}"));
            check_complete(&request, &segments);
        }
    }
}

/// Loudness of the stereo and of each of the six surround channels of a 5.1 source, as mean squares.
async fn levels(pan: &str) -> (f32, [f32; 6]) {
    let filter = format!("aeval=exprs=0.5*sin(2*PI*500*t),pan=5.1|{pan}");
    let audio_args = vec!["-af", filter.leak(), "-c:a", "flac"];
    let spec = ClipSpec { seconds: 1.0, width: 0, height: 0, container: "mkv", audio_args, ..ClipSpec::default() };
    let source = planned(&media::clip(&spec)).await;
    let mean_square = |samples: Vec<f32>| {
        let count: f32 = samples.iter().map(|_| 1.0).sum();
        samples.iter().map(|sample| sample * sample).sum::<f32>() / count
    };
    let stereo = source.encode_audio(source.audio(0, |_| true)).await.expect("stereo");
    let surround = source.encode_audio(source.audio(1, |_| true)).await.expect("surround");
    let channel = |channel| mean_square(decoded_channel(&surround, 6, channel));
    (mean_square(decoded(&stereo)), std::array::from_fn(|at| channel(u8::try_from(at).expect("small"))))
}

async fn surround_sound_keeps_its_channels_and_mixes_down() {
    let (left, channels) = levels("FL=c0").await;
    assert!((channels[0] - 0.125).abs() < 0.01 && channels[1..].iter().all(|level| *level < 1e-4), "{channels:?}");
    let (centre, channels) = levels("FC=c0").await;
    assert!((channels[2] - 0.125).abs() < 0.01 && channels[0] < 1e-4, "{channels:?}");
    assert!((centre / left - 0.5).abs() < 0.02, "the centre is mixed in 3 dB lower, not by {}", centre / left);
    let (behind, channels) = levels("BL=c0").await;
    assert!((channels[4] - 0.125).abs() < 0.01, "{channels:?}");
    assert!((behind / left - 0.5).abs() < 0.02, "so is what is behind");
    let (low, _) = levels("LFE=c0").await;
    assert!(low < 1e-5, "low frequencies are left out");
    // Not at full scale, where the encoder turns the sound down by itself.
    let (all, _) = levels("FL=1.8*c0|FR=1.8*c0|FC=1.8*c0|LFE=1.8*c0|BL=1.8*c0|BR=1.8*c0").await;
    assert!((all - 0.405).abs() < 0.02, "what is loud in all channels is no louder in stereo: {all}");
}
