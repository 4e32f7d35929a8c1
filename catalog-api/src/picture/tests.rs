use image::codecs::gif::GifEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{Frame, ImageEncoder, Rgb, RgbaImage};

use super::*;

/// Its left half red, its right half blue.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) })
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    let mut body = Vec::new();
    write(JpegEncoder::new_with_quality(&mut body, 95), image).unwrap();
    body
}

/// The same with metadata that says how it is to be turned, and where it was taken.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"GPS 48.8584 N 2.2945 E");
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

fn png(image: &RgbaImage) -> Vec<u8> {
    let mut body = Vec::new();
    PngEncoder::new(&mut body)
        .write_image(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgba8)
        .unwrap();
    body
}

fn webp(image: &RgbImage) -> Vec<u8> {
    let mut body = Vec::new();
    WebPEncoder::new_lossless(&mut body)
        .encode(image.as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
        .unwrap();
    body
}

fn gif(frames: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let frame = |at: usize| {
        Frame::new(RgbaImage::from_pixel(40, 40, image::Rgba([u8::try_from(at * 50).unwrap(), 200, 10, 255])))
    };
    GifEncoder::new(&mut body).encode_frames((0..frames).map(frame)).unwrap();
    body
}

/// A WebP of one frame that says that it moves.
fn moving_webp(image: &RgbImage) -> Vec<u8> {
    let (whole, size) = (webp(image), |at: u32| (at - 1).to_le_bytes());
    let (width, height) = (size(image.width()), size(image.height()));
    let chunk = |name: &[u8], body: &[u8]| {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let padding = if body.len() % 2 == 1 { &b"\0"[..] } else { b"" };
        [name, &length, body, padding].concat()
    };
    let frame = [&[0; 6][..], &width[..3], &height[..3], &[100, 0, 0, 0], &whole[12..]].concat();
    let extended = [&[2, 0, 0, 0], &width[..3], &height[..3]].concat();
    let chunks = [chunk(b"VP8X", &extended), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)].concat();
    chunk(b"RIFF", &[b"WEBP", &chunks[..]].concat())
}

fn made(content: &[u8], fit: Fit) -> RgbImage {
    let body = remade(content, fit).unwrap();
    assert_eq!(image::guess_format(&body).unwrap(), ImageFormat::Jpeg);
    image::load_from_memory(&body).unwrap().into_rgb8()
}

fn is_near(pixel: &Rgb<u8>, wanted: [u8; 3]) -> bool {
    pixel.0.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) < 24)
}

#[test]
fn every_form_becomes_a_square_of_the_middle() {
    let wide = halves(1200, 700);
    let all = [
        jpeg(&wide),
        webp(&wide),
        png(&DynamicImage::ImageRgb8(wide.clone()).into_rgba8()),
        with_exif(&jpeg(&wide), 1),
    ];
    for content in all {
        let square = made(&content, Fit::Square(512));
        assert_eq!(square.dimensions(), (512, 512));
        assert!(is_near(square.get_pixel(20, 256), [220, 20, 20]), "{:?}", square.get_pixel(20, 256));
        assert!(is_near(square.get_pixel(490, 256), [20, 20, 220]));
    }
    assert_eq!(made(&gif(1), Fit::Square(512)).dimensions(), (40, 40), "nothing is enlarged");
    assert_eq!(made(&jpeg(&wide), Fit::Within(600)).dimensions(), (600, 350));
    assert_eq!(made(&jpeg(&wide), Fit::Within(2000)).dimensions(), (1200, 700));
}

#[test]
fn it_is_turned_upright_and_nothing_of_its_metadata_is_left() {
    let content = with_exif(&jpeg(&halves(600, 300)), 6);
    let whole = remade(&content, Fit::Within(2000)).unwrap();
    assert!(!whole.windows(4).any(|four| four == b"Exif" || four == b"GPS "));
    // A quarter turn to the right: what was left is on top.
    let upright = made(&content, Fit::Within(2000));
    assert_eq!(upright.dimensions(), (300, 600));
    assert!(is_near(upright.get_pixel(150, 20), [220, 20, 20]) && is_near(upright.get_pixel(150, 580), [20, 20, 220]));
    let square = made(&content, Fit::Square(200));
    assert!(is_near(square.get_pixel(100, 10), [220, 20, 20]) && is_near(square.get_pixel(100, 190), [20, 20, 220]));
}

#[test]
fn what_lets_something_through_lies_on_white() {
    let clear = RgbaImage::from_pixel(64, 64, image::Rgba([200, 0, 0, 0]));
    assert!(is_near(made(&png(&clear), Fit::Square(64)).get_pixel(32, 32), [255, 255, 255]));
    let half = RgbaImage::from_pixel(64, 64, image::Rgba([0, 0, 0, 128]));
    assert!(is_near(made(&png(&half), Fit::Square(64)).get_pixel(32, 32), [127, 127, 127]));
}

#[test]
fn what_is_cut_off_moves_or_is_something_else_is_refused() {
    let image = halves(300, 200);
    let (png, jpeg) = (png(&DynamicImage::ImageRgb8(image.clone()).into_rgba8()), jpeg(&image));
    for whole in [jpeg.clone(), with_exif(&jpeg, 6), png, webp(&image), gif(1)] {
        assert!(remade(&whole, Fit::Square(512)).is_ok());
        for part in [whole.len() / 2, whole.len() - whole.len() / 8, 24] {
            let refused = remade(&whole[..part], Fit::Square(512)).unwrap_err();
            assert_eq!(refused, Unfit::Damaged, "{part} of {} octets", whole.len());
        }
    }
    assert_eq!(remade(&gif(2), Fit::Square(512)), Err(Unfit::Animated));
    assert_eq!(remade(&moving_webp(&image), Fit::Square(512)), Err(Unfit::Animated));
    let page = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    for other in [&page[..], b"", b"GIF", b"%PDF-1.7", b"BM\0\0\0\0\0\0\0\0", b"II*\0\0\0\0\0"] {
        assert_eq!(remade(other, Fit::Square(512)), Err(Unfit::Unknown), "{other:?}");
    }
}

#[test]
fn pictures_of_too_many_or_too_few_pixels_are_refused_before_they_are_decoded() {
    // A small file that says that it is large: its header is changed, and nothing of what it announces is there.
    let mut large = jpeg(&halves(64, 64));
    let frame = large.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    large[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(remade(&large, Fit::Square(512)), Err(Unfit::TooLarge));
    let mut gif = gif(1);
    gif[6..10].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(remade(&gif, Fit::Square(512)), Err(Unfit::TooLarge));
    assert_eq!(remade(&jpeg(&halves(64, 8)), Fit::Square(512)), Err(Unfit::TooSmall));
}

#[test]
fn no_octets_break_it() {
    let whole = with_exif(&jpeg(&halves(48, 32)), 6);
    for at in 0..whole.len() {
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        let _ = remade(&broken, Fit::Square(64));
    }
}
