//! The sequence parameter set (ITU-T H.264 §7.3.2.1.1), read as far as its colour description.

use domain::Resolution;

use super::CmafError;

/// What an initialization segment repeats from the sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sps {
    /// Size of the picture after cropping.
    pub(super) resolution: Resolution,
    /// 1 for 4:2:0.
    pub(super) chroma_format: u8,
    /// Bits of a luma sample.
    pub(super) luma_bits: u8,
    /// Bits of a chroma sample.
    pub(super) chroma_bits: u8,
    /// Every picture is a whole frame, never a field or a mixture of two.
    pub(super) is_progressive: bool,
    /// Width of a sample over its height, when stated.
    pub(super) sample_aspect: Option<(u16, u16)>,
    /// Colour, when stated.
    pub(super) color: Option<Color>,
}

/// Code points of ISO/IEC 23091-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color {
    pub(super) primaries: u8,
    pub(super) transfer: u8,
    pub(super) matrix: u8,
    pub(super) is_full_range: bool,
}

/// Longest parameter set that is taken: its length must fit 16 bits in the avcC.
const PARAMETER_SET_BYTES_MAX: usize = 4096;

const NAME: &str = "sequence parameter set";

/// Fails unless `unit` is a sequence parameter set of a plausible length.
pub(super) fn check_kind(unit: &[u8]) -> Result<(), CmafError> {
    check_unit(unit, 7, NAME)
}

/// Fails unless `unit` is a picture parameter set of a plausible length.
pub(super) fn check_pps(unit: &[u8]) -> Result<(), CmafError> {
    check_unit(unit, 8, "picture parameter set")
}

fn check_unit(unit: &[u8], kind: u8, what: &'static str) -> Result<(), CmafError> {
    match unit {
        [header, _, ..] if header & 0x9f == kind && unit.len() <= PARAMETER_SET_BYTES_MAX => Ok(()),
        [header, ..] if header & 0x9f != kind => {
            Err(CmafError::Config { what, reason: "the NAL unit is of another type" })
        }
        _ => Err(CmafError::Config { what, reason: "its length is out of bounds" }),
    }
}

/// Reads a sequence parameter set, header included.
pub(super) fn parse(unit: &[u8]) -> Result<Sps, CmafError> {
    check_kind(unit)?;
    read(unit).ok_or(CmafError::Config { what: NAME, reason: "it is cut short or states impossible values" })
}

fn read(unit: &[u8]) -> Option<Sps> {
    let payload = without_emulation_prevention(unit.get(1..)?);
    let mut bits = Bits::new(&payload);
    let profile = bits.take(8)?;
    bits.take(16)?; // constraint flags, level
    bits.ue()?; // seq_parameter_set_id
    let (mut chroma_format, mut luma_bits, mut chroma_bits) = (1, 8, 8);
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma_format = bits.ue().filter(|&format| format <= 3)?;
        if chroma_format == 3 {
            bits.take(1)?;
        }
        luma_bits = bits.ue().filter(|&extra| extra <= 6)? + 8;
        chroma_bits = bits.ue().filter(|&extra| extra <= 6)? + 8;
        bits.take(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    skip_picture_order(&mut bits)?;
    bits.ue()?; // max_num_ref_frames
    bits.take(1)?; // gaps_in_frame_num_value_allowed_flag
    let (resolution, is_progressive) = read_resolution(&mut bits, chroma_format)?;
    let (sample_aspect, color) = if bits.flag()? { read_vui(&mut bits)? } else { (None, None) };
    Some(Sps {
        resolution,
        chroma_format: u8::try_from(chroma_format).ok()?,
        luma_bits: u8::try_from(luma_bits).ok()?,
        chroma_bits: u8::try_from(chroma_bits).ok()?,
        is_progressive,
        sample_aspect,
        color,
    })
}

/// Takes the scaling lists of a parameter set (§7.3.2.1.1.1).
pub(crate) fn skip_scaling_lists(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8i64, 8i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.se()? + 256).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

fn skip_picture_order(bits: &mut Bits<'_>) -> Option<()> {
    bits.ue()?; // log2_max_frame_num_minus4
    match bits.ue()? {
        0 => bits.ue().map(drop),
        1 => {
            bits.take(1)?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue().filter(|&count| count <= 255)? {
                bits.se()?;
            }
            Some(())
        }
        2 => Some(()),
        _ => None,
    }
}

/// Size after cropping, and whether all pictures are frames.
fn read_resolution(bits: &mut Bits<'_>, chroma_format: u32) -> Option<(Resolution, bool)> {
    let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.ue()?.checked_add(1)?.checked_mul(16)?;
    let is_progressive = bits.flag()?;
    let fields = if is_progressive { 1 } else { 2 };
    let height = map_units.checked_mul(fields)?;
    if !is_progressive {
        bits.take(1)?; // mb_adaptive_frame_field_flag
    }
    bits.take(1)?; // direct_8x8_inference_flag
    if !bits.flag()? {
        return Some((Resolution { width, height }, is_progressive));
    }
    // Table 6-1: chroma samples are half as wide in 4:2:0 and 4:2:2, half as high in 4:2:0.
    let unit_x = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma_format == 1 { 2 * fields } else { fields };
    let (left, right, top, bottom) = (bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?);
    let width = width.checked_sub(left.checked_add(right)?.checked_mul(unit_x)?).filter(|&side| side > 0)?;
    let height = height.checked_sub(top.checked_add(bottom)?.checked_mul(unit_y)?).filter(|&side| side > 0)?;
    Some((Resolution { width, height }, is_progressive))
}

/// Shape of samples, colour.
pub(super) type Vui = (Option<(u16, u16)>, Option<Color>);

/// Annex E.1.1, up to the colour description; table E-1 for the aspect ratio.
pub(super) fn read_vui(bits: &mut Bits<'_>) -> Option<Vui> {
    const EXTENDED: u32 = 255;
    let mut aspect = None;
    if bits.flag()? {
        aspect = match bits.take(8)? {
            1 => Some((1, 1)),
            EXTENDED => Some((u16::try_from(bits.take(16)?).ok()?, u16::try_from(bits.take(16)?).ok()?)),
            // Unspecified, or a ratio that is not written here; only 1:1 matters to a reader of this.
            0 => None,
            _ => Some((0, 0)),
        };
    }
    if bits.flag()? {
        bits.take(1)?; // overscan_appropriate_flag
    }
    let mut color = None;
    if bits.flag()? {
        bits.take(3)?; // video_format
        let is_full_range = bits.flag()?;
        if bits.flag()? {
            let mut point = || u8::try_from(bits.take(8)?).ok();
            color = Some(Color { primaries: point()?, transfer: point()?, matrix: point()?, is_full_range });
        }
    }
    Some((aspect, color))
}

/// The payload of a NAL unit without the octets that keep start codes out of it (§7.4.1).
pub(crate) fn without_emulation_prevention(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut zeros = 0;
    for &byte in data {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads bits from the most significant on.
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        Some(self.take(1)? == 1)
    }

    /// Bits that were taken.
    pub(crate) fn bits_taken(&self) -> usize {
        self.at
    }

    /// An unsigned Exp-Golomb code (§9.1).
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        ((1u64 << zeros) + u64::from(self.take(zeros)?) - 1).try_into().ok()
    }

    /// A signed Exp-Golomb code (§9.1.1).
    pub(crate) fn se(&mut self) -> Option<i64> {
        let code = i64::from(self.ue()?);
        Some(if code % 2 == 0 { -(code / 2) } else { code / 2 + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 1920x1080 High 4.0 at 25 fps with BT.709 tags, as x264 writes it.
    const SPS_1080: [u8; 30] = [
        0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x5a, 0x80, 0x80, 0x80, 0xa0, 0x00,
        0x00, 0x03, 0x00, 0x20, 0x00, 0x00, 0x06, 0x41, 0xe3, 0x06, 0x32, 0xc0,
    ];

    #[test]
    fn a_parameter_set_of_x264_is_understood() {
        let sps = parse(&SPS_1080).expect("a parameter set");
        assert_eq!(sps.resolution, Resolution { width: 1920, height: 1080 });
        assert_eq!((sps.chroma_format, sps.luma_bits, sps.chroma_bits), (1, 8, 8));
        assert!(sps.is_progressive);
        assert_eq!(sps.sample_aspect, Some((1, 1)));
        assert_eq!(sps.color, Some(Color { primaries: 1, transfer: 1, matrix: 1, is_full_range: false }));
    }

    #[test]
    fn another_nal_unit_is_refused() {
        for unit in [&[][..], &[0x67], &[0x68, 0, 0], &[0xe7, 0, 0], &[0x67, 100, 0, 31], &[0x67; 5000]] {
            assert!(matches!(parse(unit), Err(CmafError::Config { .. })), "{unit:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut data in proptest::collection::vec(any::<u8>(), 2..200)) {
            data[0] = 0x67;
            let _ = parse(&data);
        }
    }
}
