//! Pictures that people send: decoded within bounds, turned upright, made as large as is needed, and written anew.
//!
//! What is stored is never what was sent: nothing of its metadata, such as where it was taken, and nothing that a
//! browser could take for something else is left. The decoders are in Rust without `unsafe` of ours; they run one
//! picture at a time, on a thread that may take its time.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, DynamicImage, ExtendedColorType, ImageDecoder, ImageError, ImageFormat, Limits, RgbImage,
};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::problem::Problem;

/// Largest picture that is taken, in octets.
pub(crate) const BYTES_MAX: usize = 4 << 20;
/// Most pixels of one: those of a camera of 24 megapixels.
const PIXELS_MAX: u64 = 25_000_000;
/// Octets that a decoder may ask for: 25 megapixels with four samples, and as much again to work with.
const MEMORY_BYTES_MAX: u64 = 200 << 20;
/// Shortest side of one.
const SIDE_MIN: u32 = 16;
/// Pictures that are decoded at the same time.
const AT_ONCE: usize = 1;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
const JPEG_QUALITY: u8 = 88;

/// What becomes of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fit {
    /// Its middle, as a square with at most this side.
    Square(u32),
    /// All of it, with sides of at most this.
    Within(u32),
}

/// Why a picture cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// It is of no form that is read.
    Unknown,
    /// It cannot be decoded, or ends too early.
    Damaged,
    /// It moves.
    Animated,
    /// It has too many pixels.
    TooLarge,
    /// It has too few.
    TooSmall,
}

/// Where pictures wait for their turn.
#[derive(Clone, Debug)]
pub(crate) struct Studio(Arc<Semaphore>);

impl Studio {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// The picture in `content` as a JPEG without metadata.
    pub(crate) async fn remade(&self, content: Bytes, fit: Fit) -> Result<Bytes, Problem> {
        let turn = timeout(PATIENCE, Arc::clone(&self.0).acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or_else(Problem::busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let made = remade(&content, fit);
            // Kept to the end of the work, also when nobody waits for it any more.
            drop(turn);
            made
        });
        match done.await {
            Ok(made) => made.map(Bytes::from).map_err(Problem::from),
            // A picture that breaks the decoder is no picture.
            Err(_) => Err(Unfit::Damaged.into()),
        }
    }
}

impl From<Unfit> for Problem {
    fn from(unfit: Unfit) -> Self {
        let (status, code, detail) = match unfit {
            Unfit::Unknown => {
                let detail = "the body is no picture that is read here: JPEG, PNG, WebP and GIF are";
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "picture_unknown", detail)
            }
            Unfit::Damaged => {
                (StatusCode::UNPROCESSABLE_ENTITY, "picture_damaged", "the picture is damaged, or cut off")
            }
            Unfit::Animated => {
                (StatusCode::UNPROCESSABLE_ENTITY, "picture_animated", "the picture moves: send one that does not")
            }
            Unfit::TooLarge => {
                (StatusCode::UNPROCESSABLE_ENTITY, "picture_too_large", "a picture has at most 25 million pixels")
            }
            Unfit::TooSmall => {
                (StatusCode::UNPROCESSABLE_ENTITY, "picture_too_small", "a picture has at least 16 pixels each way")
            }
        };
        Self::of_picture(status, code, detail)
    }
}

impl From<ImageError> for Unfit {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooLarge,
            _ => Self::Damaged,
        }
    }
}

fn remade(content: &[u8], fit: Fit) -> Result<Vec<u8>, Unfit> {
    let (image, orientation) = decoded(content)?;
    let mut image = fitted(image, fit);
    // A square stays in the middle however it is turned, and sides are bounded alike.
    image.apply_orientation(orientation);
    let rgb = flat(image);
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
    write(encoder, &rgb)?;
    Ok(jpeg)
}

fn write(mut encoder: JpegEncoder<&mut Vec<u8>>, rgb: &RgbImage) -> Result<(), ImageError> {
    encoder.encode(rgb.as_raw(), rgb.width(), rgb.height(), ExtendedColorType::Rgb8)
}

fn decoded(content: &[u8]) -> Result<(DynamicImage, Orientation), Unfit> {
    let read = || Cursor::new(content);
    match image::guess_format(content) {
        // The decoder makes up what is missing of a file that is cut off.
        Ok(ImageFormat::Jpeg) if !has_end(content) => Err(Unfit::Damaged),
        Ok(ImageFormat::Jpeg) => still(JpegDecoder::new(read())?),
        Ok(ImageFormat::Png) => {
            let decoder = PngDecoder::with_limits(read(), limits())?;
            if decoder.is_apng()? { Err(Unfit::Animated) } else { still(decoder) }
        }
        Ok(ImageFormat::WebP) => {
            let decoder = WebPDecoder::new(read())?;
            if decoder.has_animation() { Err(Unfit::Animated) } else { still(decoder) }
        }
        Ok(ImageFormat::Gif) => {
            let first = still(GifDecoder::new(read())?)?;
            let mut decoder = GifDecoder::new(read())?;
            decoder.set_limits(limits())?;
            match decoder.into_frames().nth(1) {
                None => Ok(first),
                Some(Ok(_)) => Err(Unfit::Animated),
                Some(Err(error)) => Err(error.into()),
            }
        }
        _ => Err(Unfit::Unknown),
    }
}

/// What a decoder makes of a picture whose size is bounded, and how that is to be turned.
fn still(mut decoder: impl ImageDecoder) -> Result<(DynamicImage, Orientation), Unfit> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Unfit::TooLarge);
    }
    if width.min(height) < SIDE_MIN {
        return Err(Unfit::TooSmall);
    }
    let mut limits = limits();
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    // What says nothing that can be read says nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder)?, orientation))
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MEMORY_BYTES_MAX);
    limits
}

/// Whether the picture of a JPEG comes to its end (ITU-T T.81 §B.1.1.3): behind the first scan, since a small picture
/// in its metadata has an end of its own.
fn has_end(content: &[u8]) -> bool {
    let mut at = 2;
    // Ends with the file: each round goes on by at least two octets.
    while let Some(&[0xff, marker, high, low]) = content.get(at..at + 4) {
        if marker == 0xda {
            return content[at..].windows(2).any(|pair| pair == [0xff, 0xd9]);
        }
        // Fill bytes may stand before a marker.
        at += if marker == 0xff { 1 } else { 2 + usize::from(u16::from_be_bytes([high, low])).max(2) };
    }
    false
}

fn fitted(image: DynamicImage, fit: Fit) -> DynamicImage {
    let (width, height) = (image.width(), image.height());
    match fit {
        Fit::Square(most) => {
            let side = width.min(height);
            let square = image.crop_imm((width - side) / 2, (height - side) / 2, side, side);
            if side > most { square.resize_exact(most, most, FilterType::Lanczos3) } else { square }
        }
        Fit::Within(most) if width.max(height) > most => image.resize(most, most, FilterType::Lanczos3),
        Fit::Within(_) => image,
    }
}

/// The picture on white where it lets something through.
fn flat(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut flat = RgbImage::new(image.width(), image.height());
    for (to, from) in flat.pixels_mut().zip(image.pixels()) {
        let [red, green, blue, alpha] = from.0.map(u16::from);
        let over = |sample: u16| u8::try_from((sample * alpha + 255 * (255 - alpha) + 127) / 255).unwrap_or(255);
        to.0 = [red, green, blue].map(over);
    }
    flat
}

#[cfg(test)]
mod tests;
