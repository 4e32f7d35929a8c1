//! HEVC (ITU-T H.265): its sequence parameter set, its samples, and what init segments say of them.

use domain::{ParameterSets, Resolution};
use mp4_atom::{HvcCArray, Hvcc};

use super::nal::{Unit, is_idr_of};
use super::sps::{Bits, Color, read_vui, without_emulation_prevention};
use super::{CmafError, NalError};

const NAME: &str = "HEVC sequence parameter set";

/// Types of NAL units (ITU-T H.265 table 7-1): slices, of which two are those of IDR pictures; parameter sets.
const SLICES: std::ops::RangeInclusive<u8> = 0..=31;
const IDR_SLICES: std::ops::RangeInclusive<u8> = 19..=20;
const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;

/// Longest parameter set that is taken: its length must fit 16 bits in the hvcC.
const PARAMETER_SET_BYTES_MAX: usize = 4096;

/// Most sets of reference pictures (§7.4.3.2.1), and pictures in one.
const REFERENCE_SETS_MAX: u32 = 64;
const REFERENCES_MAX: u32 = 16;

/// What an initialization segment repeats from the sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) resolution: Resolution,
    pub(super) sample_aspect: Option<(u16, u16)>,
    pub(super) color: Option<Color>,
    profile_space: u8,
    is_high_tier: bool,
    profile: u8,
    compatibility: u32,
    constraints: [u8; 6],
    level: u8,
    is_nested: bool,
    luma_bits: u8,
    chroma_bits: u8,
}

/// True if the sample is one IDR picture, false if it is another picture.
pub(super) fn is_idr(data: &[u8]) -> Result<bool, NalError> {
    is_idr_of(data, 2, |header| match header >> 1 {
        kind if SLICES.contains(&kind) => Unit::Slice { is_idr: IDR_SLICES.contains(&kind) },
        kind if PARAMETER_SETS.contains(&kind) => Unit::ParameterSet(kind),
        _ => Unit::Other,
    })
}

/// Reads a sequence parameter set, header included.
pub(super) fn parse(unit: &[u8]) -> Result<Sps, CmafError> {
    if unit.len() > PARAMETER_SET_BYTES_MAX {
        return Err(CmafError::Config { what: NAME, reason: "its length is out of bounds" });
    }
    read(unit).ok_or(CmafError::Config { what: NAME, reason: "it is cut short or states what is not expected" })
}

/// §7.3.2.2.1, of 4:2:0 without temporal layers, up to the colour description.
fn read(unit: &[u8]) -> Option<Sps> {
    let payload = without_emulation_prevention(unit.get(2..)?);
    let mut bits = Bits::new(&payload);
    bits.take(4)?; // sps_video_parameter_set_id
    if bits.take(3)? != 0 {
        return None;
    }
    let is_nested = bits.flag()?;
    let mut byte = |count: u32| u8::try_from(bits.take(count)?).ok();
    let (profile_space, is_high_tier, profile) = (byte(2)?, byte(1)? == 1, byte(5)?);
    let compatibility = u32::from_be_bytes([byte(8)?, byte(8)?, byte(8)?, byte(8)?]);
    let constraints = [byte(8)?, byte(8)?, byte(8)?, byte(8)?, byte(8)?, byte(8)?];
    let level = byte(8)?;
    bits.ue()?; // sps_seq_parameter_set_id
    if bits.ue()? != 1 {
        return None;
    }
    let (width, height) = (bits.ue()?, bits.ue()?);
    let mut resolution = Resolution { width, height };
    if bits.flag()? {
        let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
        resolution.width = width.checked_sub(left.checked_add(right)?.checked_mul(2)?)?;
        resolution.height = height.checked_sub(top.checked_add(bottom)?.checked_mul(2)?)?;
    }
    let mut depth = || Some(u8::try_from(bits.ue().filter(|extra| *extra <= 8)?).ok()? + 8);
    let (luma_bits, chroma_bits) = (depth()?, depth()?);
    let order_bits = bits.ue().filter(|extra| *extra <= 12)? + 4;
    bits.take(1)?; // sps_sub_layer_ordering_info_present_flag
    // Sizes of the decoded picture buffer (3), of blocks (4), depths of transforms (2).
    for _ in 0..9 {
        bits.ue()?;
    }
    // Lists of its own are not expected; the default ones need nothing.
    if bits.flag()? && bits.flag()? {
        return None;
    }
    bits.take(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.take(8)?;
        bits.ue()?;
        bits.ue()?;
        bits.take(1)?;
    }
    skip_references(&mut bits, order_bits)?;
    bits.take(2)?; // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
    let (sample_aspect, color) = if bits.flag()? { read_vui(&mut bits)? } else { (None, None) };
    Some(Sps {
        resolution,
        sample_aspect,
        color,
        profile_space,
        is_high_tier,
        profile,
        compatibility,
        constraints,
        level,
        is_nested,
        luma_bits,
        chroma_bits,
    })
}

/// Sets of short-term (§7.3.7) and of long-term reference pictures.
fn skip_references(bits: &mut Bits<'_>, order_bits: u32) -> Option<()> {
    let mut before = 0;
    for set in 0..bits.ue().filter(|count| *count <= REFERENCE_SETS_MAX)? {
        before = if set > 0 && bits.flag()? {
            bits.take(1)?; // delta_rps_sign
            bits.ue()?;
            let mut count = 0;
            for _ in 0..=before {
                count += u32::from(bits.flag()? || bits.flag()?);
            }
            count
        } else {
            let count = bits.ue()?.checked_add(bits.ue()?).filter(|count| *count <= REFERENCES_MAX)?;
            for _ in 0..count {
                bits.ue()?;
                bits.take(1)?;
            }
            count
        };
    }
    if bits.flag()? {
        for _ in 0..bits.ue().filter(|count| *count <= 32)? {
            bits.take(order_bits + 1)?;
        }
    }
    Some(())
}

impl Sps {
    /// ISO/IEC 14496-15 Annex E.3: `hvc1.1.6.L93.90`.
    pub(super) fn codecs(&self) -> String {
        let space = ["", "A", "B", "C"][usize::from(self.profile_space & 3)];
        let tier = if self.is_high_tier { 'H' } else { 'L' };
        let used = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let constraints: String = self.constraints[..used].iter().map(|byte| format!(".{byte:X}")).collect();
        let compatibility = self.compatibility.reverse_bits();
        format!("hvc1.{space}{}.{compatibility:X}.{tier}{}{constraints}", self.profile, self.level)
    }

    /// HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3.1.2).
    pub(super) fn record(&self, sets: &ParameterSets) -> Result<Hvcc, CmafError> {
        let units = sets.units();
        if !sets.are_sound(PARAMETER_SET_BYTES_MAX) {
            return Err(CmafError::Config { what: "HEVC parameter set", reason: "it is of another type or too long" });
        }
        let array = |(nal_unit_type, unit): (u8, &&[u8])| HvcCArray {
            // The sample entry hvc1 has all of them here.
            completeness: true,
            nal_unit_type,
            nalus: vec![unit.to_vec()],
        };
        Ok(Hvcc {
            general_profile_space: self.profile_space,
            general_tier_flag: self.is_high_tier,
            general_profile_idc: self.profile,
            general_profile_compatibility_flags: self.compatibility.to_be_bytes(),
            general_constraint_indicator_flags: self.constraints,
            general_level_idc: self.level,
            chroma_format_idc: 1,
            bit_depth_luma_minus8: self.luma_bits - 8,
            bit_depth_chroma_minus8: self.chroma_bits - 8,
            num_temporal_layers: 1,
            temporal_id_nested: self.is_nested,
            length_size_minus_one: 3,
            arrays: PARAMETER_SETS.zip(&units).map(array).collect(),
            ..Hvcc::new()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_slice_type_tells_the_kind_of_picture() {
        let unit = |kind: u8| [0, 0, 0, 3, kind << 1, 1, 9];
        let check = |kinds: &[u8], expected| {
            let data: Vec<u8> = kinds.iter().flat_map(|kind| unit(*kind)).collect();
            assert_eq!(is_idr(&data), expected, "{kinds:?}");
        };
        check(&[19], Ok(true));
        check(&[39, 20, 20], Ok(true));
        check(&[1], Ok(false));
        check(&[21], Ok(false));
        check(&[19, 1], Err(NalError::MixedSlices));
        check(&[39], Err(NalError::NoSlice));
        check(&[33, 19], Err(NalError::ParameterSet { kind: 33 }));
        assert_eq!(is_idr(&[0, 0, 0, 1, 38]), Err(NalError::Length { offset: 0 }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(data: Vec<u8>) {
            let _ = (is_idr(&data), parse(&data).map(|sps| sps.codecs()));
        }
    }
}
