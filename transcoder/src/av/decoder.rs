//! Decoders of pictures and sound.
#![expect(unsafe_code, reason = "owner of AVCodecContext")]

use std::ptr;

use ffmpeg_next::ffi;

use super::{AvError, Frame, Input, Options, Packet, check};
use crate::cage::policy;

/// An open decoder.
pub(crate) struct Decoder(*mut ffi::AVCodecContext);

// SAFETY: owned, and not tied to a thread.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder for stream `index` with `threads` frame threads.
    pub(crate) fn open(input: &Input, index: u32, threads: u8) -> Result<Self, AvError> {
        let (parameters, time_base) = input.parameters(index).ok_or(AvError::INVALID)?;
        let threads = threads.to_string();
        let mut options = Options::new(&[
            ("codec_whitelist", policy::DECODERS),
            ("max_pixels", &input.pixels_max().to_string()),
            ("threads", &threads),
            ("thread_type", "frame"),
        ]);
        // SAFETY: the parameters live as long as `input`, which is borrowed.
        unsafe { Self::with_parameters(parameters, time_base, &mut options) }
    }

    /// A decoder on one thread for what this encoder gives.
    ///
    /// # Safety
    /// `encoder` is an open context.
    pub(super) unsafe fn of_encoder(encoder: *const ffi::AVCodecContext) -> Result<Self, AvError> {
        let mut options = Options::new(&[("codec_whitelist", policy::DECODERS), ("threads", "1")]);
        // SAFETY: the caller's promise; the parameters are ours and freed here.
        unsafe {
            let mut parameters = ffi::avcodec_parameters_alloc();
            if parameters.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            let told = check(ffi::avcodec_parameters_from_context(parameters, encoder));
            let decoder = told.and_then(|_| Self::with_parameters(parameters, (*encoder).time_base, &mut options));
            ffi::avcodec_parameters_free(&raw mut parameters);
            decoder
        }
    }

    /// # Safety
    /// `parameters` is live.
    unsafe fn with_parameters(
        parameters: *const ffi::AVCodecParameters,
        time_base: ffi::AVRational,
        options: &mut Options,
    ) -> Result<Self, AvError> {
        // SAFETY: the caller's promise; the context is ours.
        unsafe {
            let codec = ffi::avcodec_find_decoder((*parameters).codec_id);
            if codec.is_null() {
                return Err(AvError::DECODER_NOT_FOUND);
            }
            let decoder = Self(ffi::avcodec_alloc_context3(codec));
            if decoder.0.is_null() {
                return Err(AvError::NO_MEMORY);
            }
            check(ffi::avcodec_parameters_to_context(decoder.0, parameters))?;
            (*decoder.0).pkt_timebase = time_base;
            check(ffi::avcodec_open2(decoder.0, codec, &raw mut options.0))?;
            if options.left_over().is_some() {
                return Err(AvError(ffi::AVERROR_OPTION_NOT_FOUND));
            }
            Ok(decoder)
        }
    }

    /// From here on leaves out pictures that no other picture refers to: half the work of most videos.
    pub(crate) fn skip_unreferenced(&mut self) {
        // SAFETY: the context is open; the field may be set at any time.
        unsafe { (*self.0).skip_frame = ffi::AVDiscard::AVDISCARD_NONREF };
    }

    /// From here on decodes nothing but key frames.
    pub(crate) fn skip_to_key_frames(&mut self) {
        // SAFETY: as above.
        unsafe { (*self.0).skip_frame = ffi::AVDiscard::AVDISCARD_NONKEY };
    }

    /// Gives the decoder a packet; `None` ends the stream. `false` if frames must be taken first.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> Result<bool, AvError> {
        // SAFETY: both are live; libav takes its own reference.
        let sent = unsafe { ffi::avcodec_send_packet(self.0, packet.map_or(ptr::null(), |packet| packet.as_ptr())) };
        match check(sent) {
            Ok(_) => Ok(true),
            Err(AvError::AGAIN) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes the next frame; `None` if the decoder needs more packets, or the stream has ended.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> Result<Option<()>, AvError> {
        // SAFETY: both are live; libav clears the frame first.
        match check(unsafe { ffi::avcodec_receive_frame(self.0, frame.as_ptr()) }) {
            Ok(_) => Ok(Some(())),
            Err(AvError::AGAIN | AvError::EOF) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets everything, as after a seek.
    pub(crate) fn flush(&mut self) {
        // SAFETY: the context is open.
        unsafe { ffi::avcodec_flush_buffers(self.0) };
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the context is ours.
        unsafe { ffi::avcodec_free_context(&raw mut self.0) };
    }
}
