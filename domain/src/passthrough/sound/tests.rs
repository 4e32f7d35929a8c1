//! Which sound may be played as it is.

use proptest::prelude::*;

use super::*;
use crate::plan::Limits;
use crate::probe::{Extent, Jump};
use crate::{ByteSize, Plan, Probe};

fn samples(ticks: i64) -> MediaTime {
    MediaTime::new(ticks, Timescale::new(48_000).expect("a rate"))
}

fn ms(ticks: i64) -> MediaTime {
    MediaTime::new(ticks, Timescale::MILLISECONDS)
}

/// Eight seconds of stereo at 48 kHz, 128 kbit/s, from `start` on.
fn track_from(start: i64) -> AudioTrack {
    AudioTrack {
        stream_index: 1,
        codec: "aac".into(),
        sample_rate: 48_000,
        channels: 2,
        extent: Extent { start: samples(start), end: samples(start + 375 * 1024) },
        language: None,
        title: None,
        is_default: true,
        jumps: vec![],
        aac: Some(Aac {
            config: vec![0x11, 0x90, 0x56, 0xe5, 0],
            start: samples(start),
            stray: samples(0),
            frame_count: 375,
            average: Bitrate(128_000),
            peak: Bitrate(140_000),
        }),
    }
}

fn check(change: impl FnOnce(&mut AudioTrack), expected: Result<(), SoundObstacle>) {
    let mut track = track_from(0);
    change(&mut track);
    assert_eq!(plan_sound(&track, ms(0), &Recipe::default()).map(drop), expected, "{track:?}");
}

fn check_aac(change: impl FnOnce(&mut Aac), expected: Result<(), SoundObstacle>) {
    check(|track| change(track.aac.as_mut().expect("it is there")), expected);
}

#[test]
fn plain_sound_is_taken_over() {
    let sound = plan_sound(&track_from(0), ms(0), &Recipe::default()).expect("plain");
    let copied = CopiedSound { sample_rate: 48_000, offset: 0, bitrate_max: Bitrate(144_000) };
    assert_eq!(sound, Sound { frame_count: 375, channels: 2, copied });
}

#[test]
fn other_coding_and_layouts_are_encoded() {
    check(|track| track.aac = None, Err(SoundObstacle::Coding));
    check(|track| track.codec = "mp3".into(), Err(SoundObstacle::Coding));
    check_aac(|aac| aac.config = vec![0x2b, 0x11, 0x88, 0], Err(SoundObstacle::Coding));
    // The configuration says one thing and the decoder another: SBR or PS that are not announced.
    check(|track| track.sample_rate = 96_000, Err(SoundObstacle::Layout));
    check(|track| track.channels = 1, Err(SoundObstacle::Layout));
    let at_22 = |config: Vec<u8>, rate| {
        check(
            |track| {
                track.sample_rate = rate;
                track.aac.as_mut().expect("it is there").config = config;
            },
            Err(SoundObstacle::Layout),
        );
    };
    at_22(vec![0x13, 0x90], 22_050);
    at_22(vec![0x10, 0x90], 88_200);
}

#[test]
fn sound_that_is_not_one_row_of_frames_is_encoded() {
    check_aac(|aac| aac.stray = samples(95), Ok(()));
    check_aac(|aac| aac.stray = samples(96), Err(SoundObstacle::Rhythm));
    check(|track| track.jumps = vec![Jump { position: 1000, shift: ms(40) }], Err(SoundObstacle::Rhythm));
    check_aac(|aac| aac.frame_count = 374, Err(SoundObstacle::Rhythm));
    check_aac(|aac| aac.frame_count = 377, Err(SoundObstacle::Rhythm));
    // The container cuts the last frame short.
    check(|track| track.extent.end = samples(374 * 1024 + 1), Ok(()));
    check(|track| track.extent.end = samples(373 * 1024 + 900), Err(SoundObstacle::Rhythm));
}

#[test]
fn too_many_bits_are_encoded() {
    check_aac(|aac| (aac.average, aac.peak) = (Bitrate(320_000), Bitrate(640_000)), Ok(()));
    check_aac(|aac| aac.average = Bitrate(320_001), Err(SoundObstacle::Bitrate));
    check_aac(|aac| aac.peak = Bitrate(640_001), Err(SoundObstacle::Bitrate));
}

#[test]
fn sound_keeps_its_distance_from_zero() {
    let check = |start: i64, origin: i64, expected: Result<(u32, u64), SoundObstacle>| {
        let found = plan_sound(&track_from(start), samples(origin), &Recipe::default());
        assert_eq!(found.map(|sound| (sound.copied.offset, sound.frame_count)), expected, "{start} from {origin}");
    };
    check(0, 0, Ok((0, 375)));
    check(5000, 5000, Ok((0, 375)));
    check(480, 0, Ok((480, 375)));
    check(1023, 0, Ok((1023, 375)));
    check(1024, 0, Err(SoundObstacle::Start));
    check(24_000, 0, Err(SoundObstacle::Start));
    // Priming of 2112 samples: two frames that are not played, and a third that began before zero.
    check(-64, 0, Ok((960, 374)));
    check(-64, -64, Ok((0, 375)));
    // Priming that no container tells of.
    check(-1024, 0, Ok((0, 374)));
    check(-2112, 0, Ok((960, 372)));
    // A millisecond of rounding is none.
    check(-48, 0, Ok((0, 375)));
    check(-49, 0, Ok((975, 374)));
}

#[test]
fn a_plan_takes_sound_over_only_where_the_recipe_allows_it() {
    let probe = |track: AudioTrack| Probe {
        container: "mp4".into(),
        size: ByteSize(1),
        video: vec![],
        audio: vec![track],
        subtitles: vec![],
        chapters: vec![],
        title: None,
        libraries: String::new(),
        cover: None,
    };
    let planned = |track: AudioTrack, audio_passthrough| {
        let recipe = Recipe { audio_passthrough, ..Recipe::default() };
        Plan::new(&probe(track), &recipe, &Limits::default()).expect("can be planned")
    };
    let copied = planned(track_from(0), true);
    assert_eq!(copied.audio[0].copied.as_ref().map(|copied| copied.offset), Some(0));
    assert_eq!(copied.audio_bitrate(&copied.audio[0]), Bitrate(144_000));
    assert_eq!(planned(track_from(0), false).audio[0].copied, None);

    let mut surround = track_from(0);
    surround.channels = 6;
    surround.aac.as_mut().expect("it is there").config = vec![0x11, 0xb0];
    let plan = planned(surround, true);
    let layouts: Vec<_> = plan.audio.iter().map(|audio| (audio.channels, audio.copied.is_some())).collect();
    assert_eq!(layouts, [(2, false), (6, true)], "stereo is mixed from it");

    let mut mono = track_from(0);
    mono.channels = 1;
    mono.aac.as_mut().expect("it is there").config = vec![0x11, 0x88];
    let plan = planned(mono, true);
    assert_eq!((plan.audio.len(), plan.audio[0].channels, &plan.audio[0].copied), (1, 2, &None));
}

proptest! {
    #[test]
    fn every_frame_stays_where_it_was(start in -100_000i64..100_000, origin in -100_000i64..100_000) {
        let track = track_from(start);
        match plan_sound(&track, samples(origin), &Recipe::default()) {
            Ok(sound) => {
                let offset = i64::from(sound.copied.offset);
                prop_assert!(offset < 1024);
                let skipped = 375 - i64::try_from(sound.frame_count).expect("few");
                let moved = offset - (start + skipped * 1024 - origin);
                prop_assert!((0..=48).contains(&moved), "moved by {moved}");
                prop_assert_eq!(skipped > 0 || moved > 0, start < origin, "nothing else is left out");
            }
            Err(SoundObstacle::Start) => prop_assert!(start - origin >= 1024),
            Err(obstacle) => prop_assert!(obstacle == SoundObstacle::Rhythm && origin - start > 374 * 1024),
        }
    }

    #[test]
    fn segments_of_sound_with_an_offset_cover_it_once_and_keep_to_the_picture(
        offset in 0u32..1024,
        frames in 1u64..5000,
        rate in prop::sample::select(vec![44_100u32, 48_000]),
    ) {
        let cadence = crate::Cadence::for_audio();
        let scale = Timescale::new(rate).expect("a rate");
        let spans = cadence.audio_spans_from(offset, scale, frames);
        prop_assert_eq!(spans.iter().map(|span| u64::from(span.count)).sum::<u64>(), frames);
        let at = |frame: u64| MediaTime::new(i64::try_from(frame * 1024).expect("few") + i64::from(offset), scale);
        for (span, boundary) in spans.iter().zip(cadence.boundaries()).skip(1) {
            let picture = cadence.frame_rate.instant(boundary);
            let apart = at(span.first).minus(picture).expect("fits").as_ms().abs();
            prop_assert!(apart <= 12, "{apart} ms from the picture");
        }
        for span in &spans {
            let length = MediaTime::new(i64::from(span.count) * 1024, scale);
            prop_assert!(length.as_ms() < 6500, "rounds to the target duration");
        }
    }
}
