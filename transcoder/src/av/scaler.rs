//! Scaling and pixel formats.
#![expect(unsafe_code, reason = "owner of SwsContext")]

use std::ffi::{CStr, c_int};
use std::ptr;

use domain::Resolution;
use ffmpeg_next::ffi;

use super::frame::pixel_format;
use super::{AvError, Frame, check};

/// Neutral value of swscale's contrast and saturation.
const UNITY: c_int = 1 << 16;

/// Scales frames of any shape to one shape.
pub(crate) struct Scaler {
    context: *mut ffi::SwsContext,
    /// What the context was made for: width, height, format, full range.
    source: Option<(u32, u32, c_int, bool)>,
    target: Resolution,
    format: c_int,
    is_bt709: bool,
    flags: c_int,
}

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Scaler {}

impl Scaler {
    /// To 8-bit 4:2:0 of limited range, with the matrix that the source has.
    pub(crate) fn to_yuv420p(target: Resolution, is_bt709: bool) -> Self {
        Self::new(target, c"yuv420p", is_bt709, ffi::SWS_BICUBIC)
    }

    /// To 8-bit RGB; areas are averaged, as thumbnails are much smaller than their source.
    pub(crate) fn to_rgb24(target: Resolution, is_bt709: bool) -> Self {
        Self::new(target, c"rgb24", is_bt709, ffi::SWS_AREA)
    }

    /// To 32-bit RGB in the order of bytes that this machine has; areas are averaged.
    pub(crate) fn to_rgb32(target: Resolution, is_bt709: bool) -> Self {
        Self::new(target, c"rgb32", is_bt709, ffi::SWS_AREA)
    }

    fn new(target: Resolution, format: &CStr, is_bt709: bool, flags: c_int) -> Self {
        let format = pixel_format(format);
        Self { context: ptr::null_mut(), source: None, target, format, is_bt709, flags }
    }

    /// True if the frame needs no scaling.
    pub(crate) fn is_identity(&self, frame: &Frame) -> bool {
        (frame.width(), frame.height()) == (self.target.width, self.target.height)
            && frame.format() == self.format
            && !frame.is_full_range()
    }

    /// A scaled copy, with the same timestamp; or the frame itself, shared, if nothing is to be done.
    pub(crate) fn scale(&mut self, frame: &Frame) -> Result<Frame, AvError> {
        if self.is_identity(frame) {
            return frame.share();
        }
        let source = (frame.width(), frame.height(), frame.format(), frame.is_full_range());
        if self.source != Some(source) {
            self.configure(source)?;
        }
        let mut scaled = Frame::picture(self.format, self.target.width, self.target.height)?;
        // SAFETY: the context was made for exactly these two shapes.
        unsafe {
            let (from, to) = (frame.as_ptr(), scaled.as_ptr());
            let height = ffi::sws_scale(
                self.context,
                (&raw const (*from).data).cast(),
                (&raw const (*from).linesize).cast(),
                0,
                (*from).height,
                (&raw const (*to).data).cast(),
                (&raw const (*to).linesize).cast(),
            );
            check(height)?;
        }
        scaled.set_pts(frame.pts());
        scaled.set_limited_range();
        Ok(scaled)
    }

    fn configure(&mut self, source: (u32, u32, c_int, bool)) -> Result<(), AvError> {
        let side = |pixels: u32| c_int::try_from(pixels).map_err(|_| AvError::INVALID);
        let (width, height, format, is_full) = source;
        let flags = if self.flags == ffi::SWS_AREA { self.flags | ffi::SWS_ACCURATE_RND } else { self.flags };
        // SAFETY: the old context is ours; formats were set by libav or looked up by name.
        unsafe {
            ffi::sws_freeContext(self.context);
            self.source = None;
            self.context = ffi::sws_getContext(
                side(width)?,
                side(height)?,
                std::mem::transmute::<c_int, ffi::AVPixelFormat>(format),
                side(self.target.width)?,
                side(self.target.height)?,
                std::mem::transmute::<c_int, ffi::AVPixelFormat>(self.format),
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            if self.context.is_null() {
                return Err(AvError::INVALID);
            }
            let matrix = if self.is_bt709 { ffi::SWS_CS_ITU709 } else { ffi::SWS_CS_ITU601 };
            let table = ffi::sws_getCoefficients(matrix);
            let full = c_int::from(is_full);
            // Fails for pairs of formats to which none of it applies.
            ffi::sws_setColorspaceDetails(self.context, table, full, table, 0, 0, UNITY, UNITY);
        }
        self.source = Some(source);
        Ok(())
    }
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: the context is ours, or null.
        unsafe { ffi::sws_freeContext(self.context) };
    }
}
