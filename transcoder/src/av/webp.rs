//! Animated WebP.
#![expect(unsafe_code, reason = "sets fields of an AVCodecContext")]

use std::ffi::c_int;

use domain::Resolution;
use ffmpeg_next::ffi;

use super::encoder::Encoder;
use super::frame::pixel_format;
use super::{AvError, Frame, Packet};

/// Quality of the lossy encoder, of 100.
const QUALITY: &str = "60";

/// Collects frames and gives the whole file at the end; it repeats for ever.
pub(crate) struct AnimatedWebp(Encoder);

impl AnimatedWebp {
    pub(crate) fn open(resolution: Resolution) -> Result<Self, AvError> {
        let side = |pixels: u32| c_int::try_from(pixels).map_err(|_| AvError::INVALID);
        let (width, height) = (side(resolution.width)?, side(resolution.height)?);
        // SAFETY: only plain fields are set; the format was looked up by libav.
        let encoder = unsafe {
            Encoder::open(c"libwebp_anim", &[("quality", QUALITY)], |context| {
                context.width = width;
                context.height = height;
                context.pix_fmt = std::mem::transmute::<c_int, ffi::AVPixelFormat>(pixel_format(c"rgb32"));
                // A tick is a millisecond.
                context.time_base = ffi::AVRational { num: 1, den: 1000 };
            })?
        };
        Ok(Self(encoder))
    }

    /// Shows a picture of 32-bit RGB from `ms` on.
    pub(crate) fn send(&mut self, frame: &mut Frame, ms: i64) -> Result<(), AvError> {
        frame.forget_origin();
        frame.set_pts(ms);
        self.0.send(Some(frame))
    }

    /// The whole file.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, AvError> {
        self.0.send(None)?;
        let mut packet = Packet::empty()?;
        match self.0.receive(&mut packet)? {
            Some(()) => Ok(packet.data().to_vec()),
            None => Err(AvError::INVALID),
        }
    }
}
