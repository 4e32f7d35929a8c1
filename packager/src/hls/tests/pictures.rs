//! Image playlists.

use domain::presentation::FileEntry;

use super::*;
use crate::hls::images as images_of;

/// 7 tiles of 2 s in sheets of 2 by 2, of which the last is cut by the end of the film.
fn with_sheets() -> Presentation {
    let mut film = film();
    let storyboard = film.images.as_mut().and_then(|images| images.storyboard.as_mut()).expect("a storyboard");
    (storyboard.columns, storyboard.rows) = (2, 2);
    storyboard.sheets = vec!["sheet-0.jpg".into(), "sheet-1.jpg".into()];
    let entry = |(name, bytes): (&str, u64)| FileEntry { path: format!("images/{name}"), bytes, sha256: String::new() };
    film.files = [("sheet-0.jpg", 8000), ("sheet-1.jpg", 5514)].map(entry).to_vec();
    film
}

#[test]
fn a_film_has_this_image_playlist() {
    let text = images_of(&with_sheets()).expect("a storyboard");
    insta::assert_snapshot!(text);
    let playlist = parse_media(&text);
    let lengths: Vec<f32> = playlist.segments.iter().map(|segment| segment.duration).collect();
    assert_eq!(lengths, [8.0, 5.514]);
}

#[test]
fn the_image_playlist_is_named_once_its_sheets_are_measured() {
    let film = with_sheets();
    let text = multivariant(&film, "g3/");
    let line = text.lines().find(|line| line.starts_with("#EXT-X-IMAGE-STREAM-INF:")).expect("a tag");
    let expected =
        "BANDWIDTH=8000,AVERAGE-BANDWIDTH=8000,RESOLUTION=160x90,CODECS=\"jpeg\",URI=\"g3/images/playlist.m3u8\"";
    assert_eq!(line.split_once(':').expect("attributes").1, expected);
    parse_master(&text);
    assert!(!multivariant(&Presentation { files: vec![], ..film.clone() }, "").contains("IMAGE-STREAM"));
    assert_eq!(images_of(&Presentation { images: None, ..film }), None);
}
