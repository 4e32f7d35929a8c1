//! What side data says of the light of a picture.
#![expect(unsafe_code, reason = "reads libav's side data")]

use domain::probe::NITS_MAX;
use ffmpeg_next::ffi;

use super::Frame;

/// Where `AVMasteringDisplayMetadata` holds its greatest luminance, a fraction, and whether it does:
/// behind eight fractions of chromaticities and one of the least luminance.
const LUMINANCE_AT: usize = 72;
const HAS_LUMINANCE_AT: usize = 84;

/// Bytes of the fields of `AVDOVIDecoderConfigurationRecord`, one each.
const DOLBY_PROFILE_AT: usize = 2;
const DOLBY_BASE_AT: usize = 7;

/// Luminance of the brightest pixel, from the content light level, else from the mastering display.
fn peak(content: Option<&[u8]>, mastering: Option<&[u8]>) -> Option<u32> {
    let word = |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk::<4>().map(|word| u32::from_ne_bytes(*word));
    let level = content.and_then(|bytes| word(bytes, 0));
    let display = mastering.filter(|bytes| word(bytes, HAS_LUMINANCE_AT).is_some_and(|has| has != 0));
    let display = display.and_then(|bytes| word(bytes, LUMINANCE_AT)?.checked_div(word(bytes, LUMINANCE_AT + 4)?));
    [level, display].into_iter().flatten().find(|nits| (1..=NITS_MAX).contains(nits))
}

/// Side data of a stream.
///
/// # Safety
/// `stream` is live, and stays so while the bytes are used.
unsafe fn of_stream<'a>(stream: *const ffi::AVStream, kind: ffi::AVPacketSideDataType) -> Option<&'a [u8]> {
    let mut size = 0;
    // SAFETY: the caller's promise; libav tells the length of what it returns.
    unsafe {
        let data = ffi::av_stream_get_side_data(stream, kind, &raw mut size);
        (!data.is_null()).then(|| std::slice::from_raw_parts(data, size))
    }
}

/// Luminance of the brightest pixel in cd/m², as the container states it.
///
/// # Safety
/// `stream` is live.
pub(super) unsafe fn stream_peak(stream: *const ffi::AVStream) -> Option<u32> {
    // SAFETY: the caller's promise; the bytes are not kept.
    unsafe {
        peak(
            of_stream(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
            of_stream(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
        )
    }
}

/// The Dolby Vision profile of a stream whose pictures mean nothing without Dolby's own processing.
///
/// Profile 5, and profile 10 without compatibility, code another colour space; all others hold pictures
/// that are HDR10, HLG or of standard range in themselves.
///
/// # Safety
/// `stream` is live.
pub(super) unsafe fn dolby_only(stream: *const ffi::AVStream) -> Option<u8> {
    // SAFETY: the caller's promise; the bytes are not kept.
    let record = unsafe { of_stream(stream, ffi::AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF) }?;
    let (profile, base) = (*record.get(DOLBY_PROFILE_AT)?, *record.get(DOLBY_BASE_AT)?);
    (profile == 5 || profile == 10 && base == 0).then_some(profile)
}

impl Frame {
    /// Luminance of the brightest pixel in cd/m², as the bitstream states it.
    pub(crate) fn peak_nits(&self) -> Option<u32> {
        let side = |kind: ffi::AVFrameSideDataType| {
            // SAFETY: the frame is live; the bytes belong to it and are not kept.
            unsafe {
                let side = ffi::av_frame_get_side_data(self.as_ptr(), kind);
                (!side.is_null() && !(*side).data.is_null())
                    .then(|| std::slice::from_raw_parts((*side).data, (*side).size))
            }
        };
        peak(
            side(ffi::AVFrameSideDataType::AV_FRAME_DATA_CONTENT_LIGHT_LEVEL),
            side(ffi::AVFrameSideDataType::AV_FRAME_DATA_MASTERING_DISPLAY_METADATA),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_believed_before_the_display() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let content = words(&[1200, 300]);
        let mut display = vec![0; LUMINANCE_AT];
        display.extend(words(&[40_000_000, 10_000, 1, 1]));
        assert_eq!(peak(Some(&content), Some(&display)), Some(1200));
        assert_eq!(peak(Some(&words(&[0, 0])), Some(&display)), Some(4000));
        assert_eq!(peak(None, Some(&display[..80])), None, "cut off");
        assert_eq!(peak(Some(&words(&[70_000, 0])), None), None, "a lie");
    }
}
