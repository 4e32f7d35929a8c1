use domain::Encryption;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::encryption::Edition;
use crate::film;
use crate::hls::Clip;

/// Reads the document with a parser that is not ours: the start tags with their attributes, and all text.
fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let (mut tags, mut texts, mut depth) = (Vec::new(), Vec::new(), 0i32);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(tag) => {
                depth += 1;
                tag.attributes().for_each(|attribute| drop(attribute.expect("an attribute")));
                tags.push(String::from_utf8_lossy(&tag).into_owned());
            }
            Event::Empty(tag) => {
                tag.attributes().for_each(|attribute| drop(attribute.expect("an attribute")));
                tags.push(String::from_utf8_lossy(&tag).into_owned());
            }
            Event::End(_) => depth -= 1,
            Event::Text(text) => texts.push(String::from_utf8_lossy(&text).trim().to_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    (tags, texts.into_iter().filter(|text| !text.is_empty()).collect())
}

#[test]
fn a_film_has_this_manifest() {
    let (film, _) = film::film();
    let text = manifest(&film, "g1/", View::default());
    insta::assert_snapshot!(text);
    let (tags, _) = parsed(&text);
    let count = |name: &str| tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).count();
    assert_eq!((count("AdaptationSet"), count("Representation")), (4, 5));
}

#[test]
fn codecs_are_sets_of_their_own() {
    let (mut film, _) = film::film();
    let mut other = film.video[1].clone();
    (other.id, other.codecs) = (film::id("high-hevc"), "hvc1.1.6.L93.90".into());
    film.video.push(other);
    let (tags, _) = parsed(&manifest(&film, "", View::default()));
    let sets = tags.iter().filter(|tag| tag.starts_with("AdaptationSet") && tag.contains("\"video\"")).count();
    assert_eq!(sets, 2);
}

#[test]
fn a_clip_keeps_the_times_of_its_segments() {
    let (film, _) = film::film();
    let clip = Clip::parse(Some("2.5"), Some("5")).expect("a clip");
    let text = manifest(&film, "", View { clip, ..View::default() });
    let (tags, _) = parsed(&text);
    assert!(text.contains("mediaPresentationDuration=\"PT4.000S\""), "{text}");
    let first = tags.iter().find(|tag| tag.starts_with("SegmentTemplate")).expect("a template");
    assert!(first.contains("startNumber=\"1\""), "{first}");
    let scale = u64::from(film.video[0].timescale.per_second());
    assert!(first.contains(&format!("presentationTimeOffset=\"{}\"", 2 * scale)), "{first}");
    assert!(tags.contains(&format!("S t=\"{0}\" d=\"{0}\" r=\"1\"", 2 * scale)), "{tags:?}");
    assert!(!text.contains("image/jpeg"));
}

#[test]
fn samples_that_are_encrypted_name_their_key_and_lie_elsewhere() {
    let policy = Encryption { method: EncryptionMethod::Cbcs, clear_lead_s: 0, rotate_s: 0 };
    let lock = Lock::new(policy, Edition::new([0xab; 8]));
    assert!(is_possible(lock));
    let (mut film, _) = film::film();
    film.video[0].codecs = "hvc1.1.6.L93.90".into();
    let (tags, _) = parsed(&manifest(&film, "g1/", View { lock: Some(lock), ..View::default() }));
    let of = |name: &str| tags.iter().filter(|tag| tag.split(' ').next() == Some(name)).collect::<Vec<_>>();
    let id = u128::from_be_bytes(lock.key_id(&film, 0));
    let digits = format!("{id:032x}");
    let written = of("ContentProtection")[0].rsplit_once("cenc:default_KID=\"").unwrap().1.trim_end_matches('"');
    assert_eq!(written.replace('-', ""), digits);
    assert_eq!(written.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    let sets = of("AdaptationSet").iter().filter(|tag| tag.contains("video/mp4") || tag.contains("audio/mp4")).count();
    assert_eq!(of("ContentProtection").len(), sets);
    assert!(of("ContentProtection").iter().all(|tag| tag.contains("mp4protection:2011\" value=\"cbcs\"")));
    assert!(of("MPD")[0].contains("xmlns:cenc=\"urn:mpeg:cenc:2013\""));
    let templates = of("SegmentTemplate");
    let inits =
        templates.iter().filter(|tag| tag.contains("\"g1/$RepresentationID$/abababababab/init-0.mp4\"")).count();
    let media =
        templates.iter().filter(|tag| tag.contains("\"g1/$RepresentationID$/abababababab/$Number$.m4s\"")).count();
    assert_eq!((inits, media), (sets, sets));
    assert!(!tags.iter().any(|tag| tag.contains("hvc1")), "of these samples cannot be encrypted");
    for (clear_lead_s, rotate_s) in [(2, 0), (0, 6)] {
        assert!(!is_possible(Lock::new(Encryption { clear_lead_s, rotate_s, ..policy }, Edition::new([0; 8]))));
    }
    let whole = Encryption { method: EncryptionMethod::Aes128, ..policy };
    assert!(!is_possible(Lock::new(whole, Edition::new([0; 8]))), "DASH has no such method");
}

#[test]
fn no_title_breaks_the_manifest() {
    for title in ["<&>\"']]>", "\u{0}\u{b}\u{ffff}\n", "🎬 <!-- -->", &"\"".repeat(10_000)] {
        let (mut film, _) = film::film();
        film.title = Some(title.to_owned());
        film.audio[0].name = title.to_owned();
        film.subtitles[0].name = title.to_owned();
        let (tags, _) = parsed(&manifest(&film, "", View::default()));
        assert!(tags.len() > 20);
    }
}

#[test]
fn what_has_no_picture_has_no_set_of_pictures() {
    let (mut film, _) = film::film();
    (film.video, film.images, film.title) = (vec![], None, None);
    film.subtitles.clear();
    let (tags, texts) = parsed(&manifest(&film, "", View::default()));
    assert_eq!(tags.iter().filter(|tag| tag.starts_with("AdaptationSet")).count(), 1);
    assert_eq!(texts, ["English"]);
}

#[test]
fn a_clip_behind_the_end_of_a_track_has_no_set_of_it() {
    let (mut film, _) = film::film();
    film.audio[0].segments.truncate(1);
    let sets = |start: &str| {
        let clip = Clip::parse(Some(start), None).expect("a clip");
        let (tags, _) = parsed(&manifest(&film, "", View { clip, ..View::default() }));
        tags.iter().filter(|tag| tag.starts_with("AdaptationSet") && tag.contains("\"audio\"")).count()
    };
    assert_eq!((sets("0"), sets("8")), (1, 0));
}
