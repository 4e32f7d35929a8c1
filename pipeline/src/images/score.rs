//! How good a picture is as a poster: not black, not white, with contrast and detail.

use image::RgbImage;

/// Pixels looked at along each side; a coarse grid tells enough.
const SAMPLES_PER_SIDE: u32 = 96;

/// A score from 0 upward; a black, white or single-coloured picture scores about 0.
///
/// The standard deviation of luma (contrast) and the mean step between neighbours (detail) count
/// for it, a mean far from the middle against it.
pub(super) fn of(image: &RgbImage) -> f64 {
    let (columns, rows) = (image.width().min(SAMPLES_PER_SIDE), image.height().min(SAMPLES_PER_SIDE));
    let mut lumas = Vec::with_capacity((columns * rows) as usize);
    for row in 0..rows {
        for column in 0..columns {
            let [r, g, b] = image.get_pixel(column * image.width() / columns, row * image.height() / rows).0;
            lumas.push((f64::from(r) * 299.0 + f64::from(g) * 587.0 + f64::from(b) * 114.0) / 1000.0);
        }
    }
    let count = f64::from(columns * rows).max(1.0);
    let mean = lumas.iter().sum::<f64>() / count;
    let deviation = (lumas.iter().map(|luma| (luma - mean).powi(2)).sum::<f64>() / count).sqrt();
    let detail = lumas.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>() / count;
    // 1 in the middle of the range, falling to 0 at black and at white.
    let exposure = 1.0 - ((mean - 127.5).abs() / 127.5).powi(2);
    (deviation + detail) * exposure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(luma: u8) -> RgbImage {
        RgbImage::from_pixel(64, 36, image::Rgb([luma; 3]))
    }

    #[test]
    fn black_white_and_grey_lose_against_a_picture() {
        let gradient = RgbImage::from_fn(64, 36, |x, y| image::Rgb([u8::try_from(x * 3 + y).unwrap_or(255); 3]));
        for luma in [0, 255, 128] {
            assert!(of(&gradient) > of(&flat(luma)) + 1.0);
        }
    }

    #[test]
    fn a_dim_scene_loses_against_a_lit_one() {
        let scene =
            |scale: u32| RgbImage::from_fn(64, 36, |x, _| image::Rgb([u8::try_from(x * scale / 8).unwrap_or(255); 3]));
        assert!(of(&scene(24)) > of(&scene(2)));
    }

    #[test]
    fn a_picture_of_one_pixel_has_a_score() {
        assert!(of(&RgbImage::new(1, 1)).is_finite());
    }
}
