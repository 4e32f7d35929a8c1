use domain::presentation::{
    AudioRendition, Images, KeyframeRange, SCHEMA, SegmentEntry, Storyboard, SubtitleRendition, VideoRendition,
};
use domain::probe::Chapter;
use domain::{
    AssetId, Bitrate, Cadence, FrameRate, Generation, Language, MediaTime, PlaybackId, Presentation, RenditionId,
    Resolution, Timescale,
};
use m3u8_rs::{MasterPlaylist, MediaPlaylist, MediaPlaylistType};
use proptest::prelude::*;

use super::*;

fn id(name: &str) -> RenditionId {
    RenditionId::new(name).expect("a rendition name")
}

fn scale(per_second: u32) -> Timescale {
    Timescale::new(per_second).expect("not zero")
}

fn segments(ticks: &[u64], gop_ticks: u64, is_measured: bool) -> Vec<SegmentEntry> {
    let entry = |&ticks: &u64| {
        let gops = ticks.div_ceil(gop_ticks.max(1));
        let keyframe = |at: u64| KeyframeRange {
            offset: 24 + at * 30_000,
            length: 9000 + at,
            ticks: gop_ticks.min(ticks - at * gop_ticks),
        };
        SegmentEntry {
            ticks,
            bytes: is_measured.then_some(100_000),
            sha256: is_measured.then(|| "ab".repeat(32)),
            keyframes: if is_measured && gop_ticks > 0 { (0..gops).map(keyframe).collect() } else { vec![] },
        }
    };
    ticks.iter().map(entry).collect()
}

fn video(name: &str, width: u32, height: u32, peak: u64, is_measured: bool) -> VideoRendition {
    let frame_rate = FrameRate::new(30_000, 1001).expect("a rate");
    VideoRendition {
        id: id(name),
        resolution: Resolution { width, height },
        frame_rate,
        codecs: "avc1.64001f".into(),
        peak_bitrate: Bitrate(peak),
        average_bitrate: Bitrate(peak * 4 / 5),
        timescale: frame_rate.timescale(),
        segments: segments(&[60_060, 60_060, 60_060, 180_180, 45_045], 60_060, is_measured),
    }
}

fn audio(name: &str, language: Option<&str>, title: &str, is_default: bool, peak: u64) -> AudioRendition {
    AudioRendition {
        id: id(name),
        language: language.and_then(Language::from_code),
        name: title.into(),
        is_default,
        channels: 2,
        codecs: "mp4a.40.2".into(),
        peak_bitrate: Bitrate(peak),
        average_bitrate: Bitrate(peak - 1000),
        timescale: scale(48_000),
        segments: segments(&[96_256, 96_256, 95_232, 288_768, 72_704], 0, true),
    }
}

fn subtitle(name: &str, language: &str, title: &str) -> SubtitleRendition {
    SubtitleRendition {
        id: id(name),
        language: Language::from_code(language),
        name: title.into(),
        is_forced: false,
        is_sdh: false,
        is_default: false,
        timescale: scale(1000),
        segments: segments(&[2000, 2000, 2000, 6000, 1514], 0, true),
    }
}

fn film() -> Presentation {
    let at = |ms| MediaTime::new(ms, scale(1000));
    let chapter = |start, end, title: &str| Chapter { start: at(start), end: at(end), title: title.into() };
    Presentation {
        schema: SCHEMA,
        asset: AssetId::from_u128(1),
        playback: PlaybackId::from_u128(2),
        generation: Generation(3),
        revision: 1,
        is_complete: Some(true),
        first: None,
        title: Some("A \"film\"".into()),
        duration: at(13_514),
        cadence: Cadence::for_video(FrameRate::new(30_000, 1001).expect("a rate")),
        video: vec![
            video("360p", 640, 360, 900_000, true),
            video("480p", 852, 480, 1_700_000, true),
            video("720p", 1280, 720, 3_400_000, true),
        ],
        audio: vec![
            audio("audio-0-en", Some("eng"), "English", true, 130_000),
            audio("audio-1", None, "Commentary, with \"quotes\"", false, 140_000),
        ],
        subtitles: vec![subtitle("subtitles-0-de", "ger", "Deutsch")],
        chapters: vec![chapter(0, 5000, "One"), chapter(5000, 13_514, "Two")],
        markers: vec![],
        images: Some(Images {
            poster: "poster.jpg".into(),
            poster_resolution: Resolution { width: 640, height: 360 },
            thumbnails: vec![],
            storyboard: Some(Storyboard {
                sheets: vec!["sheet-0.jpg".into()],
                tile: Resolution { width: 160, height: 90 },
                columns: 5,
                rows: 5,
                tile_count: 7,
                interval: at(2000),
            }),
            preview: None,
            blurhash: None,
            thumbhash: None,
            scored: None,
        }),
        files: vec![],
    }
}

#[test]
fn where_there_are_several_hosts_players_are_steered() {
    let film = film();
    let text = super::multivariant(&film, "g3/", View { is_steered: true, ..View::default() });
    assert!(text.contains("#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\",PATHWAY-ID=\"origin\"\n"), "{text}");
    let named = text.lines().filter(|line| line.contains("STREAM-INF") && !line.contains("IMAGE"));
    assert!(named.clone().count() > 2 && named.clone().all(|line| line.contains("PATHWAY-ID=\"origin\"")), "{text}");
    parse_master(&text);
    assert!(!multivariant(&film, "g3/").contains("PATHWAY-ID"));
}

fn multivariant(film: &Presentation, prefix: &str) -> String {
    super::multivariant(film, prefix, View::default())
}

fn media(film: &Presentation, rendition: &RenditionId) -> Option<String> {
    super::media(film, rendition, View::default())
}

fn iframes(film: &Presentation, rendition: &RenditionId) -> Option<String> {
    super::iframes(film, rendition, View::default())
}

/// Parses with a parser that is not ours, strictly, after checking what it is lenient about.
fn parse_master(text: &str) -> MasterPlaylist {
    check_lines(text);
    let (rest, playlist) = m3u8_rs::parse_master_playlist(text.as_bytes()).expect("a multivariant playlist");
    assert!(rest.is_empty(), "all of it is read");
    playlist
}

fn parse_media(text: &str) -> MediaPlaylist {
    check_lines(text);
    let (rest, playlist) = m3u8_rs::parse_media_playlist(text.as_bytes()).expect("a media playlist");
    assert!(rest.is_empty(), "all of it is read");
    playlist
}

/// Every line is a tag in use here or a plain relative URI, and every attribute list is well formed.
fn check_lines(text: &str) {
    assert!(text.starts_with("#EXTM3U\n") && text.ends_with('\n'));
    for line in text.split_terminator('\n') {
        assert!(!line.is_empty() && !line.chars().any(char::is_control), "{line:?}");
        match line.strip_prefix('#') {
            Some(tag) => assert!(tag.starts_with("EXT"), "{line:?}"),
            None => assert!(line.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-.?=&".contains(&b)), "{line:?}"),
        }
        let has_list = ["-MEDIA:", "-INF:", "-DATA:", "-MAP:", "-START:"].iter().any(|tag| line.contains(tag));
        if let (true, Some((_, list))) = (has_list && line.starts_with('#'), line.split_once(':')) {
            let mut rest = list;
            while !rest.is_empty() {
                let (name, value) = rest.split_once('=').expect(line);
                assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'), "{line:?}");
                let after = match value.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').expect(line).1,
                    None => &value[value.find(',').unwrap_or(value.len())..],
                };
                rest = if after.is_empty() { after } else { after.strip_prefix(',').expect(line) };
            }
        }
    }
}

#[test]
fn a_player_that_looks_at_the_first_variant_alone_can_play_it() {
    let mut film = film();
    // Nearer to 2 Mb/s than any in H.264.
    for (name, codecs) in [("720p-hevc", "hvc1.1.6.L93.90"), ("720p-av1", "av01.0.05M.08")] {
        film.video.push(VideoRendition { codecs: codecs.into(), ..video(name, 1280, 720, 1_860_000, true) });
    }
    let playlist = parse_master(&multivariant(&film, ""));
    let plain: Vec<_> = playlist.variants.iter().filter(|one| !one.is_i_frame).collect();
    let codecs: Vec<_> = plain.iter().map(|one| one.codecs.clone().expect("codecs")).collect();
    assert_eq!(plain[0].uri, "480p/playlist.m3u8");
    assert_eq!(codecs[1], "avc1.64001f,mp4a.40.2");
    assert_eq!(codecs[3..], ["hvc1.1.6.L93.90,mp4a.40.2", "av01.0.05M.08,mp4a.40.2"]);
    let scores: Vec<_> = plain.iter().map(|one| attribute(one, "SCORE")).collect();
    assert_eq!(scores, ["480.0", "360.0", "720.0", "720.1", "720.2"], "on all of them");
}

/// An attribute that the parser does not know.
fn attribute(variant: &m3u8_rs::VariantStream, name: &str) -> String {
    variant.other_attributes.as_ref().and_then(|others| others.get(name)).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn subtitles_for_the_deaf_say_so() {
    let mut film = film();
    film.subtitles.push(SubtitleRendition { is_sdh: true, ..subtitle("subtitles-1-de", "ger", "Deutsch (SDH)") });
    let playlist = parse_master(&multivariant(&film, ""));
    let told: Vec<_> = playlist.alternatives.iter().map(|one| one.characteristics.as_deref()).collect();
    let sdh = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";
    assert_eq!(told, [None, None, None, Some(sdh)]);
}

#[test]
fn every_playlist_has_the_lowest_version_that_has_its_tags() {
    let film = film();
    let version = |text: &str| parse_media(text).version;
    assert_eq!(version(&media(&film, &id("360p")).expect("video")), Some(6));
    assert_eq!(version(&media(&film, &id("subtitles-0-de")).expect("subtitles")), Some(3));
    assert_eq!(version(&iframes(&film, &id("360p")).expect("I-frames")), Some(5));
}

#[test]
fn a_film_has_this_multivariant_playlist() {
    let text = multivariant(&film(), "g3/");
    insta::assert_snapshot!(text);
    let playlist = parse_master(&text);
    assert!(playlist.independent_segments);
    let variants: Vec<_> = playlist.variants.iter().filter(|one| !one.is_i_frame).collect();
    let first = variants.first().expect("three variants");
    assert_eq!(first.bandwidth, 1_700_000 + 140_000, "nearest to 2 Mb/s, with the dearest sound");
    assert!(variants.iter().all(|one| one.audio.as_deref() == Some("audio")));
    assert_eq!(playlist.alternatives.iter().filter(|one| one.default).count(), 1);
    assert_eq!(playlist.variants.len() - variants.len(), 3, "an I-frame playlist for each");
}

#[test]
fn players_begin_with_the_variant_that_the_presentation_names() {
    let film = Presentation { first: Some(id("720p")), ..film() };
    let names = |text: &str| -> Vec<String> {
        let variants = parse_master(text).variants;
        variants.into_iter().filter(|one| !one.is_i_frame).map(|one| one.uri).collect()
    };
    assert_eq!(names(&multivariant(&film, ""))[0], "720p/playlist.m3u8");
    let unknown = Presentation { first: Some(id("4320p")), ..film.clone() };
    let usual = Presentation { first: None, ..film };
    assert_eq!(names(&multivariant(&unknown, "")), names(&multivariant(&usual, "")));
}

#[test]
fn a_film_has_these_media_playlists() {
    let film = film();
    for name in ["360p", "audio-0-en", "subtitles-0-de"] {
        let text = media(&film, &id(name)).expect("a rendition");
        insta::assert_snapshot!(format!("media {name}"), text);
        let playlist = parse_media(&text);
        assert!(playlist.end_list);
        assert_eq!(playlist.playlist_type, Some(MediaPlaylistType::Vod));
        assert_eq!(playlist.segments.len(), 5);
        assert_eq!(playlist.segments[0].map.is_some(), name != "subtitles-0-de");
    }
    assert_eq!(media(&film, &id("nothing")), None);
}

#[test]
fn a_film_has_this_iframe_playlist() {
    let text = iframes(&film(), &id("360p")).expect("a measured rendition");
    insta::assert_snapshot!(text);
    let playlist = parse_media(&text);
    assert!(playlist.i_frames_only);
    assert_eq!(playlist.segments.len(), 7);
    assert_eq!(
        playlist.segments[4].byte_range.as_ref().map(|range| (range.length, range.offset)),
        Some((9001, Some(30_024)))
    );
}

#[test]
fn what_is_not_measured_has_no_iframe_playlist() {
    let mut film = film();
    film.video[1] = video("480p", 852, 480, 1_700_000, false);
    assert_eq!(iframes(&film, &id("480p")), None);
    assert_eq!(iframes(&film, &id("audio-0-en")), None);
    assert!(!multivariant(&film, "").contains("480p/iframes.m3u8"));
    assert!(multivariant(&film, "").contains("360p/iframes.m3u8"));
}

#[test]
fn a_film_without_sound_has_no_audio_group() {
    let silent = Presentation { audio: vec![], subtitles: vec![], chapters: vec![], title: None, ..film() };
    let text = multivariant(&silent, "");
    let playlist = parse_master(&text);
    assert!(playlist.alternatives.is_empty() && playlist.session_data.is_empty());
    assert!(playlist.variants.iter().all(|one| one.codecs.as_deref() == Some("avc1.64001f")));
    assert!(!text.contains("AUDIO"));
}

/// A film whose English track is there in 5.1 as well.
fn surround_film() -> Presentation {
    let mut film = film();
    let surround = audio("audio-0-en-surround", Some("eng"), "English", false, 330_000);
    film.audio.push(AudioRendition { channels: 6, ..surround });
    film
}

#[test]
fn surround_sound_is_a_group_of_its_own() {
    let text = multivariant(&surround_film(), "g3/");
    insta::assert_snapshot!(text);
    let playlist = parse_master(&text);
    let variants: Vec<_> = playlist.variants.iter().filter(|one| !one.is_i_frame).collect();
    let groups: Vec<_> = variants.iter().map(|one| one.audio.as_deref().expect("a group")).collect();
    assert_eq!(groups, ["audio", "audio", "audio", "surround", "surround", "surround"]);
    assert_eq!(variants[0].bandwidth, 1_700_000 + 140_000);
    assert_eq!(variants[3].bandwidth, 1_700_000 + 330_000);
    let members = |group: &str| -> Vec<_> {
        let members = playlist.alternatives.iter().filter(|one| one.group_id == group);
        members.map(|one| (one.name.clone(), one.channels.clone().expect("a number"), one.default)).collect()
    };
    let commentary = ("Commentary, with \u{201d}quotes\u{201d}".to_owned(), "2".to_owned(), false);
    assert_eq!(members("audio"), [("English".into(), "2".into(), true), commentary.clone()]);
    assert_eq!(members("surround"), [("English".into(), "6".into(), true), commentary]);
}

#[test]
fn surround_sound_alone_has_a_variant_per_group() {
    let mut sound = Presentation { video: vec![], ..surround_film() };
    sound.audio.remove(1);
    let playlist = parse_master(&multivariant(&sound, ""));
    let variants: Vec<_> = playlist.variants.iter().map(|one| (one.uri.as_str(), one.audio.as_deref())).collect();
    assert_eq!(
        variants,
        [("audio-0-en/playlist.m3u8", Some("audio")), ("audio-0-en-surround/playlist.m3u8", Some("surround"))]
    );
}

#[test]
fn sound_alone_is_its_own_variant() {
    let mut sound = Presentation { video: vec![], ..film() };
    let text = multivariant(&sound, "g1/");
    let playlist = parse_master(&text);
    assert_eq!(playlist.variants.len(), 1);
    assert_eq!(playlist.variants[0].uri, "g1/audio-0-en/playlist.m3u8");
    assert_eq!(playlist.variants[0].codecs.as_deref(), Some("mp4a.40.2"));
    assert_eq!(playlist.alternatives.len(), 3);
    sound.audio.truncate(1);
    sound.subtitles.clear();
    let text = multivariant(&sound, "");
    let playlist = parse_master(&text);
    assert!(playlist.alternatives.is_empty(), "one rendition needs no group");
    assert_eq!(playlist.variants[0].uri, "audio-0-en/playlist.m3u8");
}

#[test]
fn names_in_a_group_differ_even_after_cleaning() {
    let mut film = film();
    film.audio[0].name = "A\"".into();
    film.audio[1].name = "A\u{201d}\n".into();
    film.audio.push(audio("audio-2", None, "\u{7}", false, 2000));
    let playlist = parse_master(&multivariant(&film, ""));
    let names: Vec<&str> = playlist.alternatives.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["A\u{201d}", "2. A\u{201d}", "Audio", "Deutsch"]);
}

#[test]
fn a_longer_segment_raises_the_target_duration() {
    let mut film = film();
    film.subtitles[0].segments = segments(&[8501], 0, true);
    assert_eq!(parse_media(&media(&film, &id("subtitles-0-de")).expect("subtitles")).target_duration, 9);
    assert_eq!(parse_media(&media(&film, &id("360p")).expect("video")).target_duration, 6);
}

/// `EXTINF` values in microseconds.
fn durations(text: &str) -> Vec<u64> {
    let values = text.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
    values.map(|value| value.trim_end_matches(',').replace('.', "").parse().expect("six decimals")).collect()
}

proptest! {
    #[test]
    fn durations_add_up_exactly(per_second in 1u32..200_000, ticks in proptest::collection::vec(1u64..2_000_000, 1..300)) {
        let mut film = film();
        film.video[0].timescale = scale(per_second);
        film.video[0].segments = segments(&ticks, 0, false);
        let text = media(&film, &id("360p")).expect("video");
        let durations = durations(&text);
        let tick_us = 1_000_000.0 / f64::from(per_second);
        let target = parse_media(&text).target_duration;
        let (mut sum_us, mut sum_ticks) = (0u64, 0u64);
        for (micros, ticks) in durations.iter().zip(&ticks) {
            sum_us += micros;
            sum_ticks += ticks;
            let exact = sum_ticks as f64 * tick_us;
            prop_assert!((sum_us as f64 - exact).abs() <= 1.0, "{sum_us} {exact}");
            prop_assert!((micros + 500_000) / 1_000_000 <= target);
        }
        prop_assert_eq!(durations.len(), ticks.len());
    }

    #[test]
    fn no_title_breaks_a_playlist(title: String, name in any::<String>(), wild in "[\"\\r\\n\\\\,=\u{0}-\u{1f}\u{85}\u{2028}🎬é#]{0,40}") {
        for text in [title, name, wild.clone(), wild.repeat(300)] {
            let mut film = film();
            film.title = Some(text.clone());
            film.audio[1].name = text.clone();
            film.subtitles[0].name = text.clone();
            film.chapters[0].title = text;
            let playlist = parse_master(&multivariant(&film, ""));
            prop_assert_eq!(playlist.variants.len(), 6);
            prop_assert_eq!(playlist.alternatives.len(), 3);
            prop_assert!(playlist.unknown_tags.is_empty());
        }
    }
}

mod clips;
mod pictures;

#[test]
fn pictures_and_sound_state_one_target_though_a_cell_of_sound_is_a_frame_longer() {
    let mut film = film();
    for one in &mut film.video {
        one.segments[3].ticks = 194_990; // 6.4997 s
    }
    for one in &mut film.audio {
        one.segments[3].ticks = 305 * 1024; // 6.5067 s
    }
    let names = ["360p", "720p", "audio-0-en"];
    for text in names.iter().map(|name| media(&film, &id(name))).chain([iframes(&film, &id("360p"))]) {
        let text = text.expect("a playlist");
        assert!(text.contains("#EXT-X-TARGETDURATION:7\n"), "{text}");
    }
    assert_eq!(target_duration_s(&film), 7);
}
