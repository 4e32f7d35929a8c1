//! Playlists of a part of a presentation.

use super::*;

fn view(start: &str, end: Option<&str>) -> View {
    View { clip: Clip::parse(Some(start), end).expect("a clip"), ..View::default() }
}

/// The segments that a playlist names, and its tag for where to begin.
fn shown(film: &Presentation, name: &str, view: View) -> (Vec<String>, Option<String>) {
    let text = super::super::media(film, &id(name), view).expect("a rendition");
    let start = text.lines().find_map(|line| line.strip_prefix("#EXT-X-START:")).map(str::to_owned);
    (parse_media(&text).segments.into_iter().map(|segment| segment.uri).collect(), start)
}

#[test]
fn a_clip_is_the_whole_segments_that_hold_it_on_one_grid() {
    // Video segments begin at 0, 2.002, 4.004, 6.006 and 12.012 s.
    let film = film();
    for (start, end, indices, offset) in [
        ("3", Some("5"), 1..3, "0.998"),
        ("2.002", Some("4.004"), 1..2, "0.000"),
        ("0:00:04.5", None, 2..5, "0.496"),
        ("0", Some("1000"), 0..5, "0.000"),
        ("13", Some("13.2"), 4..5, "0.988"),
    ] {
        for (name, extension) in [("360p", "m4s"), ("720p", "m4s"), ("audio-1", "m4s"), ("subtitles-0-de", "vtt")] {
            let (segments, tag) = shown(&film, name, view(start, end));
            let expected: Vec<String> = indices.clone().map(|index| format!("{index}.{extension}")).collect();
            assert_eq!(segments, expected, "{name} {start}");
            assert_eq!(tag, Some(format!("TIME-OFFSET={offset},PRECISE=YES")), "{name} {start}");
        }
    }
}

#[test]
fn sound_with_fewer_segments_than_the_picture_still_has_one() {
    let mut film = film();
    // A short rest is joined to the segment before it.
    let rest = film.audio[0].segments.pop().expect("a segment");
    film.audio[0].segments[3].ticks += rest.ticks;
    assert_eq!(shown(&film, "audio-0-en", view("13", None)).0, ["3.m4s"]);
    film.audio[0].segments[3].ticks -= rest.ticks;
    film.audio[0].segments.push(rest);
    film.audio[0].segments.extend(segments(&[1024, 1024], 0, true));
    assert_eq!(shown(&film, "audio-0-en", view("13", None)).0, ["4.m4s", "5.m4s", "6.m4s"], "all that is left");
}

#[test]
fn a_clip_behind_the_end_of_a_track_shows_nothing_of_it() {
    let mut film = film();
    film.audio.truncate(1);
    film.audio[0].segments.truncate(2);
    film.subtitles[0].segments.truncate(1);
    film.video[2].segments.truncate(3);
    let (early, late) = (view("3", Some("4")), view("7", None));
    for (name, lasts) in [("audio-0-en", true), ("subtitles-0-de", false), ("720p", true), ("360p", true)] {
        assert_eq!(super::super::media(&film, &id(name), early).is_some(), lasts, "{name}");
    }
    for name in ["audio-0-en", "subtitles-0-de", "720p"] {
        assert_eq!(super::super::media(&film, &id(name), late), None, "{name}");
    }
    assert_eq!(super::super::iframes(&film, &id("720p"), late), None);
    assert_eq!(shown(&film, "360p", late).0, ["3.m4s", "4.m4s"]);
    let text = super::super::multivariant(&film, "", late);
    let playlist = parse_master(&text);
    assert!(playlist.alternatives.is_empty(), "neither sound nor subtitles are left: {text}");
    assert!(!text.contains("720p") && text.contains("360p/playlist.m3u8"), "{text}");
    assert!(!text.contains("AUDIO=") && !text.contains("SUBTITLES="), "{text}");
}

#[test]
fn iframes_of_a_clip_are_those_of_its_segments() {
    let film = film();
    let text = super::super::iframes(&film, &id("360p"), view("6.5", Some("7"))).expect("I-frames");
    let uris: Vec<String> = parse_media(&text).segments.into_iter().map(|segment| segment.uri).collect();
    assert_eq!(uris, ["3.m4s"; 3]);
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=0.494,PRECISE=YES\n"));
}

#[test]
fn the_clip_is_carried_to_every_child() {
    let film = film();
    let text = super::super::multivariant(&film, "g3/", view("0:00:03", Some("5.50")));
    insta::assert_snapshot!(text);
    let playlist = parse_master(&text);
    let carried = |uri: &str| assert!(uri.ends_with("?start=3&end=5.5"), "{uri}");
    playlist.variants.iter().for_each(|one| carried(&one.uri));
    playlist.alternatives.iter().for_each(|one| carried(one.uri.as_deref().expect("a playlist")));
    assert!(text.contains("#EXT-X-START:TIME-OFFSET=0.998,PRECISE=YES\n"));
}

#[test]
fn chapters_of_a_clip_count_from_its_first_segment() {
    let film = film();
    let told = |view: View| -> Vec<(i64, i64, String)> {
        let chapters = view.chapters(&film).into_iter();
        chapters.map(|one| (one.start.as_ms(), one.end.as_ms(), one.title)).collect()
    };
    assert_eq!(told(View::default()).len(), 2);
    let both = [(0, 996, "One".to_owned()), (996, 2002, "Two".to_owned())];
    assert_eq!(told(view("4.5", Some("5"))), both);
    assert_eq!(told(view("6.1", None)), [(0, 7508, "Two".into())]);
}

#[test]
fn a_clip_behind_the_end_is_none() {
    let film = film();
    let check = |start: &str| Clip::parse(Some(start), None).expect("a time").expect("a clip").check(&film);
    assert_eq!(check("13.5"), Ok(()));
    assert_eq!(check("13.514"), Err(ClipError::Outside));
    assert_eq!(check("100:00:00"), Err(ClipError::Outside));
}

#[test]
fn transport_streams_are_asked_for_all_the_way_down() {
    let mut film = film();
    film.video
        .push(VideoRendition { codecs: "hvc1.1.6.L93.90".into(), ..video("720p-hevc", 1280, 720, 900_000, true) });
    let view = View { container: Container::Ts, ..view("3", Some("5")) };
    let text = super::super::multivariant(&film, "g3/", view);
    let playlist = parse_master(&text);
    let (frames, variants): (Vec<_>, Vec<_>) = playlist.variants.iter().partition(|one| one.is_i_frame);
    assert_eq!((variants.len(), frames.len()), (3, 3), "no HEVC");
    assert!(variants.iter().all(|one| one.uri.ends_with("/playlist.m3u8?container=ts&start=3&end=5")), "{text}");
    assert!(frames.iter().all(|one| one.uri.ends_with("/iframes.m3u8?start=3&end=5")), "{text}");
    let stored = parse_master(&super::super::multivariant(&film, "g3/", View { container: Container::Cmaf, ..view }));
    assert!(variants[0].bandwidth > stored.variants[0].bandwidth, "packets have headers");
    assert_eq!(shown(&film, "audio-1", view).0, ["1.ts", "2.ts"]);
    assert_eq!(shown(&film, "subtitles-0-de", view).0, ["1-ts.vtt", "2-ts.vtt"]);
    assert_eq!(super::super::media(&film, &id("720p-hevc"), view), None);
}
