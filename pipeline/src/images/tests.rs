//! Tests of the choice and composition of pictures.

use domain::ladder::Rung;
use domain::plan::VideoPlan;
use domain::{Bitrate, Cadence, FrameRate, Recipe, RenditionId};

use super::*;

fn size(width: u32, height: u32) -> Resolution {
    Resolution { width, height }
}

fn plan(seconds: u64, top: Resolution) -> Plan {
    let rate = FrameRate::new(25, 1).expect("a rate");
    let rung = Rung {
        id: RenditionId::new("top").expect("a name"),
        resolution: top,
        bitrate_max: Bitrate(1),
        level: 30,
        codec: domain::Codec::H264,
        crf: None,
    };
    Plan {
        recipe: Recipe::default(),
        origin: MediaTime::zero(),
        duration: rate.instant(seconds * 25),
        cadence: Cadence::for_video(rate),
        video: Some(VideoPlan {
            stream_index: 0,
            frame_count: seconds * 25,
            rungs: vec![rung],
            copied: None,
            costs: vec![],
            looks: vec![],
            extra: vec![],
        }),
        audio: vec![],
        subtitles: vec![],
    }
}

/// All pictures of the album: black, but for the shots of which `is_lit` holds.
fn develop(album: &mut Album, is_lit: impl Fn(usize) -> bool) {
    for (shot, Shot { resolution, .. }) in album.shots.clone().into_iter().enumerate() {
        let lit = RgbImage::from_fn(resolution.width, resolution.height, |x, y| {
            image::Rgb([u8::try_from((x * 7 + y * 3) % 256).unwrap_or(0); 3])
        });
        let dark = RgbImage::new(resolution.width, resolution.height);
        let image = if is_lit(shot) { lit } else { dark };
        album.add(Picture { shot, resolution, rgb: image.into_raw() }).expect("encodes");
    }
}

#[test]
fn tiles_are_a_second_apart_until_a_sheet_is_full_and_never_too_many() {
    let check =
        |seconds: i64, expected| assert_eq!(tiles(MediaTime::new(seconds * 1000, Timescale::MILLISECONDS)), expected);
    check(0, (1, 1));
    check(10, (1, 10));
    check(100, (1, 100));
    check(101, (2, 51));
    check(600, (6, 100));
    check(3000, (10, 300));
    check(7200, (24, 300));
    check(43_200, (144, 300));
}

#[test]
fn small_pictures_keep_the_shape_of_the_large_one() {
    assert_eq!(shrunk(size(1920, 1080), 90), size(160, 90));
    assert_eq!(shrunk(size(1080, 1920), 90), size(90, 160));
    assert_eq!(shrunk(size(572, 240), 90), size(214, 90));
    assert_eq!(shrunk(size(2, 2), 90), size(2, 2));
    assert_eq!(shrunk(size(4096, 2), 90), size(8, 2), "squeezed, not endless");
}

#[test]
fn an_album_of_ten_seconds_has_a_poster_ten_thumbnails_and_one_sheet() {
    let mut album = Album::new(&plan(10, size(640, 360))).expect("there is video");
    develop(&mut album, |_| true);
    let (images, files) = album.finish().expect("encodes").expect("pictures came");
    assert_eq!(images.poster_resolution, size(640, 360));
    assert_eq!(images.thumbnails.len(), 10);
    assert!(images.blurhash.is_some_and(|hash| hash.len() == 28) && images.thumbhash.is_some());
    let storyboard = images.storyboard.expect("ten tiles");
    assert_eq!((storyboard.columns, storyboard.rows, storyboard.tile_count), (10, 1, 10));
    assert_eq!(storyboard.tile, size(160, 90));
    let sheet = files.iter().find(|file| file.name == "storyboard-0.jpg").expect("the sheet");
    let sheet = image::load_from_memory(&sheet.body).expect("a JPEG");
    assert_eq!((sheet.width(), sheet.height()), (1600, 90));
    assert_eq!(files.len(), 12);
}

#[test]
fn the_poster_is_not_the_black_one_and_the_same_every_time() {
    let poster = || {
        let mut album = Album::new(&plan(10, size(320, 180))).expect("there is video");
        let lit = album.uses.iter().rposition(|purpose| *purpose == Use::Poster).expect("candidates");
        develop(&mut album, |shot| shot == lit);
        let (_, files) = album.finish().expect("encodes").expect("pictures came");
        files.into_iter().next().expect("the poster").body
    };
    let picture = image::load_from_memory(&poster()).expect("a JPEG").to_luma8();
    assert!(picture.pixels().any(|pixel| pixel.0[0] > 100));
    assert_eq!(poster(), poster());
}

#[test]
fn a_long_video_has_several_sheets_of_the_same_width() {
    let mut album = Album::new(&plan(1500, size(320, 180))).expect("there is video");
    develop(&mut album, |_| true);
    let (images, files) = album.finish().expect("encodes").expect("pictures came");
    let storyboard = images.storyboard.expect("tiles");
    assert_eq!((storyboard.tile_count, storyboard.sheets.len(), storyboard.rows), (150, 2, 10));
    let sizes: Vec<(u32, u32)> = storyboard
        .sheets
        .iter()
        .filter_map(|name| files.iter().find(|file| file.name == *name))
        .map(|file| image::load_from_memory(&file.body).expect("a JPEG"))
        .map(|sheet| (sheet.width(), sheet.height()))
        .collect();
    assert_eq!(sizes, [(1600, 900), (1600, 450)]);
}

#[test]
fn shots_are_in_order_of_time_and_inside_the_video() {
    let album = Album::new(&plan(1, size(320, 180))).expect("there is video");
    assert!(album.shots.is_sorted_by_key(|shot| shot.time));
    assert!(album.shots.iter().all(|shot| shot.time < MediaTime::new(1, Timescale::new(1).expect("not zero"))));
}

#[test]
fn an_album_without_pictures_is_none() {
    let album = Album::new(&plan(10, size(320, 180))).expect("there is video");
    assert!(album.finish().expect("nothing to encode").is_none());
}
