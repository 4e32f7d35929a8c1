//! A picture in a few characters, to be shown while it loads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;

/// Longest side of the picture that is hashed; a ThumbHash takes no larger one.
const SIDE_MAX: u32 = 100;

/// Waves of a BlurHash across and down a picture that is wide; exchanged for one that is high.
const WAVES: (u32, u32) = (4, 3);

/// Both hashes of a poster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// In its own alphabet of base 83.
    pub(crate) blurhash: Option<String>,
    /// In base 64.
    pub(crate) thumbhash: String,
}

/// The hashes of a picture; the same for the same pixels.
pub(crate) fn of(image: &RgbImage) -> Hashes {
    let (width, height) = (image.width().max(1), image.height().max(1));
    let long = width.max(height).max(SIDE_MAX);
    let side = |side: u32| (side * SIDE_MAX / long).max(1);
    let small = image::imageops::thumbnail(image, side(width), side(height));
    let rgba: Vec<u8> = small.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], u8::MAX]).collect();
    let (across, down) = if width >= height { WAVES } else { (WAVES.1, WAVES.0) };
    let blurhash = blurhash::encode(across, down, small.width(), small.height(), &rgba).ok();
    let thumbhash = thumbhash::rgba_to_thumb_hash(small.width() as usize, small.height() as usize, &rgba);
    Hashes { blurhash, thumbhash: STANDARD.encode(thumbhash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dark on the left, red on the right.
    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| image::Rgb([u8::try_from(x * 255 / width).unwrap_or(255), 10, 10]))
    }

    #[test]
    fn the_hashes_are_those_of_the_picture() {
        let hashes = of(&picture(640, 360));
        assert_eq!(hashes, of(&picture(640, 360)));
        let blurhash = hashes.blurhash.expect("it has pixels");
        assert_eq!(blurhash.len(), 4 + 2 * 4 * 3, "one colour and eleven waves");
        let shown = blurhash::decode(&blurhash, 32, 18, 1.0).expect("reads back");
        let red = |x: usize| shown[(9 * 32 + x) * 4];
        assert!(red(2) + 80 < red(29), "{} {}", red(2), red(29));

        let thumbhash = STANDARD.decode(hashes.thumbhash).expect("base 64");
        let aspect = thumbhash::thumb_hash_to_approximate_aspect_ratio(&thumbhash).expect("a shape");
        assert!((1.5..2.0).contains(&aspect), "{aspect}");
        let (width, _, shown) = thumbhash::thumb_hash_to_rgba(&thumbhash).expect("reads back");
        assert!(shown[0] + 80 < shown[(width - 1) * 4]);
    }

    #[test]
    fn pictures_of_any_shape_have_hashes() {
        for (width, height) in [(1, 1), (2, 1000), (4096, 2), (90, 160)] {
            let hashes = of(&picture(width, height));
            assert!(hashes.blurhash.is_some() && hashes.thumbhash.len() > 6, "{width}x{height}: {hashes:?}");
        }
    }
}
