//! libav behind safe types: what the engine needs of it, and nothing else.
//!
//! Every owner of a C object is one small struct that frees it on drop; every pointer that leaves a
//! function is tied to a borrow. The bindings come from `ffmpeg-next`; its own wrappers are not used,
//! since they hide left-over options, stream discarding, channel layouts and the open callback.

mod decoder;
mod encoder;
mod frame;
mod graph;
mod input;
mod late;
mod light;
mod resampler;
mod scaler;
mod similarity;
mod subtitle;
mod webp;

use std::ffi::{CStr, CString, c_char, c_int};

use domain::Codec;
use ffmpeg_next::ffi;

use crate::cage::policy;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::{AacEncoder, VideoEncoder, VideoSettings};
pub(crate) use frame::{Frame, Packet};
pub(crate) use graph::Graph;
pub(crate) use input::{IndexEntry, Input, StreamInfo, StreamKind, TimeBase};
pub(crate) use late::load;
pub(crate) use resampler::Resampler;
pub(crate) use scaler::Scaler;
pub(crate) use similarity::Similarity;
pub(crate) use subtitle::SubtitleDecoder;
pub(crate) use webp::AnimatedWebp;

/// What every installation must be able to encode.
const ENCODERS: [&CStr; 2] = [c"libx264", c"aac"];

/// What people upload: a server without one of these refuses whole classes of files.
const DECODERS: [&CStr; 16] = [
    c"h264",
    c"hevc",
    c"vp8",
    c"vp9",
    c"libdav1d",
    c"mpeg2video",
    c"mpeg4",
    c"png",
    c"aac",
    c"ac3",
    c"mp3",
    c"opus",
    c"vorbis",
    c"flac",
    c"subrip",
    c"mov_text",
];

/// The release of libav that is loaded and, as far as it tells, of its x264: `5.1.9 with x264 - core 164 r3095`.
///
/// Other versions may encode the same pictures to other bytes.
#[expect(unsafe_code, reason = "libav returns a static string")]
pub(crate) fn version() -> String {
    // SAFETY: the string is static and terminated.
    let libav = unsafe { CStr::from_ptr(ffi::av_version_info()) }.to_string_lossy().into_owned();
    match encoder::x264_version() {
        Some(x264) => format!("{libav} with {x264}"),
        None => libav,
    }
}

/// Encoders and decoders that are counted on but not there.
#[expect(unsafe_code, reason = "libav looks codecs up by C strings")]
pub(crate) fn codecs_missing() -> Vec<String> {
    // SAFETY: the names are terminated; the answers are only compared with null.
    let no_encoder = |name: &&CStr| unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) }.is_null();
    // SAFETY: as above.
    let no_decoder = |name: &&CStr| unsafe { ffi::avcodec_find_decoder_by_name(name.as_ptr()) }.is_null();
    let encoders = ENCODERS.into_iter().filter(no_encoder);
    encoders.chain(DECODERS.into_iter().filter(no_decoder)).map(|name| name.to_string_lossy().into_owned()).collect()
}

/// The codecs of pictures that can be encoded, with libav's encoder of each.
#[expect(unsafe_code, reason = "libav looks codecs up by C strings")]
pub(crate) fn encoders() -> Vec<(Codec, String)> {
    let all = [Codec::H264, Codec::Hevc, Codec::Av1].map(|codec| (codec, encoder::name(codec)));
    // SAFETY: the names are terminated; the answers are only compared with null.
    let is_there = |name: &CStr| !unsafe { ffi::avcodec_find_encoder_by_name(name.as_ptr()) }.is_null();
    let there = all.into_iter().filter(|(_, name)| is_there(name));
    there.map(|(codec, name)| (codec, name.to_string_lossy().into_owned())).collect()
}

/// An error code of libav.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct AvError(pub(crate) c_int);

impl AvError {
    pub(crate) const EOF: Self = Self(ffi::AVERROR_EOF);
    pub(crate) const AGAIN: Self = Self(ffi::AVERROR(libc::EAGAIN));
    pub(crate) const NO_MEMORY: Self = Self(ffi::AVERROR(libc::ENOMEM));
    pub(crate) const INVALID: Self = Self(ffi::AVERROR_INVALIDDATA);
    pub(crate) const ENCODER_NOT_FOUND: Self = Self(ffi::AVERROR_ENCODER_NOT_FOUND);
    pub(crate) const DECODER_NOT_FOUND: Self = Self(ffi::AVERROR_DECODER_NOT_FOUND);
    /// The source could not be read; no code of libav's own.
    pub(crate) const UNREADABLE: Self = Self(c_int::MIN);
}

#[expect(unsafe_code, reason = "libav writes its message into a buffer")]
impl std::fmt::Display for AvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = [0u8; 128];
        // SAFETY: the buffer is live and its length is passed; libav terminates what it writes.
        unsafe { ffi::av_strerror(self.0, text.as_mut_ptr().cast::<c_char>(), text.len() - 1) };
        let text = CStr::from_bytes_until_nul(&text).map_or_else(|_| "error".into(), CStr::to_string_lossy);
        write!(f, "{text} ({})", self.0)
    }
}

impl std::fmt::Debug for AvError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AvError({self})")
    }
}

impl std::error::Error for AvError {}

/// `code`, or the error it stands for.
fn check(code: c_int) -> Result<c_int, AvError> {
    if code < 0 { Err(AvError(code)) } else { Ok(code) }
}

/// Prepares libav; call once, inside the cage, after [`load`].
#[expect(unsafe_code, reason = "global settings of libav")]
pub(crate) fn init() {
    // SAFETY: plain setters, called before any other use of libav and before any thread.
    unsafe {
        ffi::av_log_set_level(ffi::AV_LOG_ERROR);
        ffi::av_max_alloc(policy::ALLOCATION_BYTES_MAX);
    }
}

/// Text for libav; anything behind a zero byte is cut off.
fn c_text(text: &str) -> CString {
    let clean = text.split('\0').next().unwrap_or("");
    CString::new(clean).unwrap_or_default()
}

/// Text of libav, which may be null.
///
/// # Safety
/// `text` is null or points to a terminated string that lives for the call.
#[expect(unsafe_code, reason = "reads a C string")]
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Options for libav, of which those it did not know can be listed.
#[repr(transparent)]
struct Options(*mut ffi::AVDictionary);

#[expect(unsafe_code, reason = "dictionaries are C objects")]
impl Options {
    fn new(entries: &[(&str, &str)]) -> Self {
        let mut options = Self(std::ptr::null_mut());
        for (key, value) in entries {
            let (key, value) = (c_text(key), c_text(value));
            // SAFETY: libav copies both strings; the dictionary pointer is ours.
            unsafe { ffi::av_dict_set(&raw mut options.0, key.as_ptr(), value.as_ptr(), 0) };
        }
        options
    }

    /// The first option that nobody took.
    fn left_over(&self) -> Option<String> {
        // SAFETY: an empty key with this flag matches any entry; the entry lives as long as `self`.
        unsafe {
            let entry = ffi::av_dict_get(self.0, c"".as_ptr(), std::ptr::null(), ffi::AV_DICT_IGNORE_SUFFIX);
            if entry.is_null() { None } else { text((*entry).key) }
        }
    }
}

#[expect(unsafe_code, reason = "frees the C object")]
impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: the dictionary is ours, or null.
        unsafe { ffi::av_dict_free(&raw mut self.0) };
    }
}

/// A value of `dictionary`, which may be null.
///
/// # Safety
/// `dictionary` is null or a live dictionary.
#[expect(unsafe_code, reason = "dictionaries are C objects")]
unsafe fn dictionary_value(dictionary: *const ffi::AVDictionary, key: &CStr) -> Option<String> {
    // SAFETY: the caller's promise; the entry is read before anything can change the dictionary.
    unsafe {
        let entry = ffi::av_dict_get(dictionary, key.as_ptr(), std::ptr::null(), 0);
        if entry.is_null() { None } else { text((*entry).value) }
    }
}
