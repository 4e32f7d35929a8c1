//! What is read of coded pictures before they are believed, codec by codec.
//!
//! Whoever packages them reads more; here it is enough that nothing of another kind comes through.

use domain::{Codec, ParameterSets};

use super::answer::PARAMETER_SET_BYTES_MAX;
use crate::wire::{Malformed, Reader};

/// What a decoder must know of a segment, unit by unit.
pub(super) fn parameter_sets(codec: Codec, reader: &mut Reader<'_>) -> Result<ParameterSets, Malformed> {
    let mut unit = || reader.bytes(PARAMETER_SET_BYTES_MAX).map(<[u8]>::to_vec);
    let sets = match codec {
        Codec::H264 => ParameterSets::H264 { sps: unit()?, pps: unit()? },
        Codec::Hevc => ParameterSets::Hevc { vps: unit()?, sps: unit()?, pps: unit()? },
        Codec::Av1 => ParameterSets::Av1 { sequence: unit()? },
    };
    if sets.are_sound(PARAMETER_SET_BYTES_MAX) { Ok(sets) } else { Err(Malformed::new("not parameter sets")) }
}

/// Walks the units of a sample; true if a decoder can start at it.
pub(super) fn is_sync(codec: Codec, data: &[u8]) -> Result<bool, Malformed> {
    match codec {
        Codec::H264 => slices(data, |header| match header & 0x1f {
            5 => Some(true),
            1 => Some(false),
            _ => None,
        }),
        // ITU-T H.265 table 7-1: IDR pictures, and all other slices.
        Codec::Hevc => slices(data, |header| match header >> 1 & 0x3f {
            19 | 20 => Some(true),
            0..=31 => Some(false),
            _ => None,
        }),
        // A sample that begins with a sequence header is a key frame; the first octet is the header's type.
        Codec::Av1 => match data.first().map(|header| header >> 3 & 0x0f) {
            Some(1) => Ok(true),
            Some(3 | 6) => Ok(false),
            _ => Err(Malformed::new("a sample begins with something that is not a picture")),
        },
    }
}

/// Whether all NAL units are slices of an IDR picture, or of another one, as `kind` tells by their first octet.
fn slices(data: &[u8], kind: impl Fn(u8) -> Option<bool>) -> Result<bool, Malformed> {
    let mut reader = data;
    let (mut slices, mut idr_slices) = (0, 0);
    while !reader.is_empty() {
        let (length, rest) = reader.split_first_chunk::<4>().ok_or_else(|| Malformed::new("broken NAL length"))?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (nal, rest) = rest.split_at_checked(length).ok_or_else(|| Malformed::new("broken NAL length"))?;
        match nal.first().and_then(|header| kind(*header)) {
            Some(is_idr) => (slices, idr_slices) = (slices + 1, idr_slices + u32::from(is_idr)),
            None => return Err(Malformed::new("a sample holds something that is not a slice")),
        }
        reader = rest;
    }
    if slices == 0 || (idr_slices != 0 && idr_slices != slices) {
        return Err(Malformed::new("a sample holds no slice, or slices of two kinds"));
    }
    Ok(idr_slices > 0)
}
