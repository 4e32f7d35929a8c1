//! Decoders of text subtitles.
#![expect(unsafe_code, reason = "owner of AVCodecContext and AVSubtitle")]

use ffmpeg_next::ffi;

use super::{AvError, Input, Options, Packet, check, text};
use crate::cage::policy;

/// Rectangles that are read of one subtitle.
const RECTANGLES_MAX: u32 = 64;

/// An open subtitle decoder.
pub(crate) struct SubtitleDecoder(*mut ffi::AVCodecContext);

/// What one packet says.
pub(crate) struct DecodedSubtitle {
    /// Milliseconds from the packet's time to the text's appearance.
    pub(crate) start_ms: u32,
    /// Milliseconds from the packet's time to its disappearance; `None` if the packet does not say.
    pub(crate) end_ms: Option<u32>,
    /// ASS dialogue lines as libav writes them: `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`.
    pub(crate) lines: Vec<String>,
}

impl SubtitleDecoder {
    /// A decoder for stream `index`.
    pub(crate) fn open(input: &Input, index: u32) -> Result<Self, AvError> {
        let (parameters, time_base) = input.parameters(index).ok_or(AvError::INVALID)?;
        let mut options = Options::new(&[("codec_whitelist", policy::DECODERS)]);
        // SAFETY: the parameters live as long as `input`, which is borrowed; the context is ours.
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

    /// Decodes one packet; `None` if it holds no text.
    pub(crate) fn decode(&mut self, packet: &Packet) -> Result<Option<DecodedSubtitle>, AvError> {
        // SAFETY: a zeroed AVSubtitle is valid; libav fills it only if `got` is set, and then it is freed here.
        unsafe {
            let mut subtitle: ffi::AVSubtitle = std::mem::zeroed();
            let mut got = 0;
            check(ffi::avcodec_decode_subtitle2(self.0, &raw mut subtitle, &raw mut got, packet.as_ptr()))?;
            if got == 0 {
                return Ok(None);
            }
            let mut lines = Vec::new();
            for at in 0..subtitle.num_rects.min(RECTANGLES_MAX) {
                let rectangle = *subtitle.rects.add(at as usize);
                lines.extend(text((*rectangle).ass));
            }
            let end_ms = Some(subtitle.end_display_time).filter(|end| *end > 0 && *end != u32::MAX);
            let decoded = DecodedSubtitle { start_ms: subtitle.start_display_time, end_ms, lines };
            ffi::avsubtitle_free(&raw mut subtitle);
            Ok(Some(decoded))
        }
    }
}

impl Drop for SubtitleDecoder {
    fn drop(&mut self) {
        // SAFETY: the context is ours.
        unsafe { ffi::avcodec_free_context(&raw mut self.0) };
    }
}
