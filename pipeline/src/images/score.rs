//! How good a picture is as a poster: not black, not white, not blurred, with contrast and detail.

use image::RgbImage;

/// Pixels looked at along each side; a coarse grid tells enough.
const SAMPLES_PER_SIDE: u32 = 96;

/// Variance of the Laplacian at which a picture counts as half as sharp as it could be.
///
/// Pictures in focus have several hundred and more at the size of a poster, those that are out of focus or
/// caught in a fade or a fast pan a few dozen.
const HALF_SHARP: f64 = 100.0;

/// What is left of the score of a picture without a single edge: it is still better than a black one.
const SHARPNESS_MIN: f64 = 0.1;

/// A score from 0 upward; a black, white or single-coloured picture scores about 0.
///
/// The standard deviation of luma (contrast) and the mean step between neighbours (detail) count
/// for it, a mean far from the middle and a lack of edges (blur) against it.
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
    let edges = laplacian_variance(image);
    let sharpness = SHARPNESS_MIN + (1.0 - SHARPNESS_MIN) * edges / (edges + HALF_SHARP);
    (deviation + detail) * exposure * sharpness
}

/// The variance of the Laplacian of luma over all inner pixels: what is left of a picture without its slow
/// changes. Blur takes it away, whatever the picture shows.
fn laplacian_variance(image: &RgbImage) -> f64 {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let lumas: Vec<i32> = image.pixels().map(|pixel| luma(pixel.0)).collect();
    let (mut sum, mut squares, mut count) = (0i64, 0i64, 0u32);
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            let around = lumas[at - 1] + lumas[at + 1] + lumas[at - width] + lumas[at + width];
            let bend = i64::from(4 * lumas[at] - around);
            (sum, squares, count) = (sum + bend, squares + bend * bend, count + 1);
        }
    }
    let count = f64::from(count.max(1));
    // At most 2^24 pixels with squares below 2^20 each: exact in an i64, and near enough in an f64.
    let mean = exact(sum) / count;
    exact(squares) / count - mean * mean
}

fn luma([r, g, b]: [u8; 3]) -> i32 {
    (i32::from(r) * 299 + i32::from(g) * 587 + i32::from(b) * 114) / 1000
}

#[expect(clippy::cast_precision_loss, reason = "a score needs no more than 52 bits")]
fn exact(number: i64) -> f64 {
    number as f64
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
    fn a_blurred_picture_loses_against_a_sharp_one_and_wins_against_black() {
        let sharp = RgbImage::from_fn(320, 180, |x, y| {
            let is_light = (x / 16 + y / 12) % 2 == 0;
            image::Rgb([if is_light { 200 } else { 60 }; 3])
        });
        let blurred = image::imageops::blur(&sharp, 3.0);
        assert!(laplacian_variance(&sharp) > 20.0 * laplacian_variance(&blurred));
        assert!(of(&sharp) > 1.5 * of(&blurred), "{} {}", of(&sharp), of(&blurred));
        assert!(of(&blurred) > of(&flat(0)) + 1.0);
        // More contrast does not make up for it.
        let faint = RgbImage::from_fn(320, 180, |x, y| {
            let is_light = (x / 16 + y / 12) % 2 == 0;
            image::Rgb([if is_light { 180 } else { 80 }; 3])
        });
        assert!(of(&faint) > of(&image::imageops::blur(&sharp, 6.0)));
    }

    #[test]
    fn a_picture_of_one_pixel_has_a_score() {
        assert!(of(&RgbImage::new(1, 1)).is_finite());
    }
}
