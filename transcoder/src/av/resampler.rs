//! Sample rates, formats and channel layouts.
#![expect(unsafe_code, reason = "owner of SwrContext")]

use std::ffi::c_int;
use std::ptr;

use domain::Timescale;
use ffmpeg_next::ffi;

use super::{AvError, Frame, Options, check};

/// Channels of the output at most.
const CHANNELS_MAX: usize = 8;

/// Turns sound of any shape into planar float samples of one rate and one to eight channels.
pub(crate) struct Resampler {
    context: *mut ffi::SwrContext,
    rate: u32,
    channels: usize,
}

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Resampler {}

impl Resampler {
    pub(crate) fn new(rate: u32, channels: u16) -> Self {
        Self { context: ptr::null_mut(), rate, channels: usize::from(channels) }
    }

    /// How long the sound lasts that is still inside, in ticks of `scale`.
    pub(crate) fn delay(&self, scale: Timescale) -> i64 {
        if self.context.is_null() {
            return 0;
        }
        // SAFETY: the context is open.
        unsafe { ffi::swr_get_delay(self.context, i64::from(scale.per_second())) }
    }

    /// Puts silence in, as many samples of the source per channel.
    pub(crate) fn inject_silence(&mut self, samples: u32) -> Result<(), AvError> {
        if self.context.is_null() || samples == 0 {
            return Ok(());
        }
        let samples = c_int::try_from(samples).map_err(|_| AvError::INVALID)?;
        // SAFETY: the context is open.
        check(unsafe { ffi::swr_inject_silence(self.context, samples) }).map(|_| ())
    }

    /// Makes `samples` more output samples, or fewer, out of what would make the next `count` of them.
    pub(crate) fn stretch(&mut self, samples: i64, count: i64) -> Result<(), AvError> {
        if self.context.is_null() {
            return Ok(());
        }
        let int = |value: i64| c_int::try_from(value).map_err(|_| AvError::INVALID);
        // SAFETY: the context is open.
        check(unsafe { ffi::swr_set_compensation(self.context, int(samples)?, int(count)?) }).map(|_| ())
    }

    /// Forgets everything and gets ready for sound like `frame`.
    pub(crate) fn reset(&mut self, frame: &Frame) -> Result<(), AvError> {
        let int = |value: u32| c_int::try_from(value).map_err(|_| AvError::INVALID);
        if self.channels > CHANNELS_MAX {
            return Err(AvError::INVALID);
        }
        // Surround sound is mixed down without exceeding full scale. Equal rates are resampled as well,
        // so that they can be stretched at any time.
        let options = Options::new(&[("rematrix_maxval", "1.0"), ("flags", "+res")]);
        // SAFETY: layouts are plain values here; the context is ours and replaced as a whole.
        unsafe {
            ffi::swr_free(&raw mut self.context);
            let mut from = (*frame.as_ptr()).ch_layout;
            if from.order != ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE {
                from = std::mem::zeroed();
                ffi::av_channel_layout_default(&raw mut from, int(frame.channels())?);
                if from.order != ffi::AVChannelOrder::AV_CHANNEL_ORDER_NATIVE {
                    // No usual layout has this many channels: name them in order, the first two left and right.
                    let mask = 1u64.checked_shl(frame.channels()).unwrap_or(0).wrapping_sub(1) & 0x3_ffff;
                    check(ffi::av_channel_layout_from_mask(&raw mut from, mask))?;
                }
            }
            let mut to: ffi::AVChannelLayout = std::mem::zeroed();
            ffi::av_channel_layout_default(&raw mut to, c_int::try_from(self.channels).map_err(|_| AvError::INVALID)?);
            check(ffi::swr_alloc_set_opts2(
                &raw mut self.context,
                &raw mut to,
                ffi::AVSampleFormat::AV_SAMPLE_FMT_FLTP,
                int(self.rate)?,
                &raw mut from,
                std::mem::transmute::<c_int, ffi::AVSampleFormat>(frame.format()),
                int(frame.sample_rate())?,
                0,
                ptr::null_mut(),
            ))?;
            let mut dictionary = options.0;
            let set = ffi::av_opt_set_dict(self.context.cast(), &raw mut dictionary);
            std::mem::forget(options);
            ffi::av_dict_free(&raw mut dictionary);
            check(set)?;
            check(ffi::swr_init(self.context))?;
        }
        Ok(())
    }

    /// Puts a frame in, or nothing to get out the rest; appends what comes out to one vector per channel.
    pub(crate) fn convert(&mut self, frame: Option<&Frame>, out: &mut [Vec<f32>]) -> Result<usize, AvError> {
        if self.context.is_null() || out.len() != self.channels {
            return Ok(0);
        }
        let count_in = frame.map_or(0, Frame::sample_count);
        let count_in = c_int::try_from(count_in).map_err(|_| AvError::INVALID)?;
        // SAFETY: each output plane has room for `room` more samples, of which libav says how many it
        // wrote; the input planes belong to the frame.
        unsafe {
            let room = check(ffi::swr_get_out_samples(self.context, count_in))?;
            let room_samples = usize::try_from(room).unwrap_or(0);
            let starts: Vec<usize> = out.iter().map(Vec::len).collect();
            let mut planes = [ptr::null_mut::<u8>(); CHANNELS_MAX];
            for (plane, (channel, start)) in planes.iter_mut().zip(out.iter_mut().zip(&starts)) {
                channel.resize(start + room_samples, 0.0);
                *plane = channel.as_mut_ptr().add(*start).cast();
            }
            let input = frame.map_or(ptr::null_mut(), |frame| (*frame.as_ptr()).extended_data.cast::<*const u8>());
            let written = ffi::swr_convert(self.context, planes.as_mut_ptr(), room, input, count_in);
            let count = usize::try_from(written).unwrap_or(0).min(room_samples);
            for (channel, start) in out.iter_mut().zip(&starts) {
                channel.truncate(start + count);
            }
            check(written)?;
            Ok(count)
        }
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: the context is ours, or null.
        unsafe { ffi::swr_free(&raw mut self.context) };
    }
}
