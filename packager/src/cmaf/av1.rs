//! AV1 (AV1 Bitstream & Decoding Process Specification): its sequence header, its samples, and what init
//! segments say of them (AV1 Codec ISO Media File Format Binding).

use domain::Resolution;
use mp4_atom::Av1c;

use super::sps::{Bits, Color};
use super::{CmafError, NalError};

const NAME: &str = "AV1 sequence header";

/// Types of OBUs (§6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;

/// What a sequence header says where it says nothing of colour (§6.4.2).
const UNSPECIFIED: u8 = 2;

/// What an initialization segment repeats from the sequence header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) resolution: Resolution,
    pub(super) color: Option<Color>,
    level: u8,
    is_high_tier: bool,
    is_deep: bool,
    is_full_range: bool,
    sample_position: u8,
    unit: Vec<u8>,
}

/// One OBU with its place.
struct Obu<'a> {
    kind: u8,
    body: &'a [u8],
    /// Header and size field included.
    length: usize,
}

/// Reads the OBU that `data` begins with; it must state its size.
fn obu(data: &[u8]) -> Option<Obu<'_>> {
    let (header, mut at) = (*data.first()?, 1);
    let has_size = header & 2 != 0;
    if header & 0x80 != 0 || !has_size {
        return None;
    }
    at += usize::from(header & 4 != 0);
    let mut size = 0u64;
    for shift in 0..8 {
        let byte = *data.get(at)?;
        at += 1;
        size |= u64::from(byte & 0x7f) << (shift * 7);
        if byte & 0x80 == 0 {
            let end = at.checked_add(usize::try_from(size).ok()?)?;
            return Some(Obu { kind: header >> 3 & 0x0f, body: data.get(at..end)?, length: end });
        }
    }
    None
}

/// True if the sample shows a key frame that a decoder can start at, false if it shows another picture.
pub(super) fn is_key(data: &[u8]) -> Result<bool, NalError> {
    let (mut has_sequence, mut is_key, mut shown) = (false, None, 0);
    let mut at = 0;
    // Every round consumes at least an OBU's header and size.
    while at < data.len() {
        let unit = obu(&data[at..]).ok_or(NalError::Obu { offset: at })?;
        match unit.kind {
            SEQUENCE_HEADER => has_sequence = true,
            kind @ (TEMPORAL_DELIMITER | TILE_LIST) => return Err(NalError::Stray { kind }),
            FRAME_HEADER | FRAME => {
                // show_existing_frame, frame_type, show_frame (§5.9.2).
                let first = *unit.body.first().ok_or(NalError::Obu { offset: at })?;
                let is_repeated = first & 0x80 != 0;
                let is_shown = is_repeated || first & 0x10 != 0;
                shown += u32::from(is_shown);
                is_key.get_or_insert(!is_repeated && first & 0x60 == 0 && is_shown && has_sequence);
            }
            _ => {}
        }
        at += unit.length;
    }
    let is_key = is_key.ok_or(NalError::NoSlice)?;
    if shown == 1 { Ok(is_key) } else { Err(NalError::Shown { shown }) }
}

/// Reads a sequence header, with the header of its OBU.
pub(super) fn parse(unit: &[u8]) -> Result<Sequence, CmafError> {
    let whole = obu(unit).filter(|obu| obu.kind == SEQUENCE_HEADER && obu.length == unit.len());
    let read = whole.and_then(|obu| read(unit, obu.body));
    read.ok_or(CmafError::Config { what: NAME, reason: "it is cut short or states what is not expected" })
}

/// §5.5.1, of the Main profile.
fn read(unit: &[u8], body: &[u8]) -> Option<Sequence> {
    let mut bits = Bits::new(body);
    // seq_profile, still_picture, reduced_still_picture_header.
    if (bits.take(3)?, bits.take(1)?, bits.take(1)?) != (0, 0, 0) {
        return None;
    }
    let model_bits = skip_timing(&mut bits)?;
    let (level, is_high_tier) = read_operating_points(&mut bits, model_bits)?;
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let resolution = Resolution { width: bits.take(width_bits)? + 1, height: bits.take(height_bits)? + 1 };
    skip_tools(&mut bits)?;
    let is_deep = bits.flag()?;
    if bits.flag()? {
        return None; // monochrome
    }
    let color = if bits.flag()? {
        let mut point = || u8::try_from(bits.take(8)?).ok();
        Some((point()?, point()?, point()?))
    } else {
        None
    };
    let is_full_range = bits.flag()?;
    let sample_position = u8::try_from(bits.take(2)?).ok()?;
    let known = color.filter(|(primaries, ..)| *primaries != UNSPECIFIED);
    let color = known.map(|(primaries, transfer, matrix)| Color { primaries, transfer, matrix, is_full_range });
    let unit = unit.to_vec();
    Some(Sequence { resolution, color, level, is_high_tier, is_deep, is_full_range, sample_position, unit })
}

/// Timing and the model of the decoder; bits of the model's delays, where it is there.
fn skip_timing(bits: &mut Bits<'_>) -> Option<Option<u32>> {
    if !bits.flag()? {
        return Some(None);
    }
    bits.take(32)?;
    bits.take(32)?;
    if bits.flag()? {
        bits.ue()?; // num_ticks_per_picture_minus_1, whose code is that of Exp-Golomb
    }
    if !bits.flag()? {
        return Some(None);
    }
    let delay_bits = bits.take(5)? + 1;
    bits.take(32)?;
    bits.take(10)?;
    Some(Some(delay_bits))
}

/// Level and tier of the first operating point.
fn read_operating_points(bits: &mut Bits<'_>, model_bits: Option<u32>) -> Option<(u8, bool)> {
    let has_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        let level = u8::try_from(bits.take(5)?).ok()?;
        let is_high_tier = level > 7 && bits.flag()?;
        if let Some(delay_bits) = model_bits
            && bits.flag()?
        {
            bits.take(delay_bits)?;
            bits.take(delay_bits)?;
            bits.take(1)?;
        }
        if has_delay && bits.flag()? {
            bits.take(4)?;
        }
        first.get_or_insert((level, is_high_tier));
    }
    first
}

/// The tools of the encoder.
fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
    if bits.flag()? {
        bits.take(7)?; // lengths of frame numbers
    }
    bits.take(3)?; // large superblocks, filter intra, intra edge filter
    bits.take(4)?; // interintra, masked, warped, dual filter
    let has_order = bits.flag()?;
    if has_order {
        bits.take(2)?;
    }
    let is_chosen = bits.flag()?;
    let may_be_screen = is_chosen || bits.flag()?;
    if may_be_screen && !bits.flag()? {
        bits.take(1)?; // seq_force_integer_mv
    }
    if has_order {
        bits.take(3)?;
    }
    bits.take(3).map(drop) // superres, cdef, restoration
}

impl Sequence {
    /// Codecs parameter string (AV1 in ISO base media files §5): `av01.0.04M.08`, with the colour if it is
    /// not BT.709 of limited range.
    pub(super) fn codecs(&self) -> String {
        let tier = if self.is_high_tier { 'H' } else { 'M' };
        let depth = if self.is_deep { 10 } else { 8 };
        let short = format!("av01.0.{:02}{tier}.{depth:02}", self.level);
        let plain = Color { primaries: 1, transfer: 1, matrix: 1, is_full_range: false };
        let unknown = Color { is_full_range: self.is_full_range, ..plain };
        let color = self.color.unwrap_or(unknown);
        if color == plain && self.sample_position == 0 {
            return short;
        }
        let Color { primaries, transfer, matrix, is_full_range } = color;
        let (position, range) = (self.sample_position, u8::from(is_full_range));
        format!("{short}.0.11{position}.{primaries:02}.{transfer:02}.{matrix:02}.{range}")
    }

    /// AV1CodecConfigurationRecord (§2.3.3).
    pub(super) fn record(&self) -> Av1c {
        Av1c {
            seq_profile: 0,
            seq_level_idx_0: self.level,
            seq_tier_0: self.is_high_tier,
            high_bitdepth: self.is_deep,
            twelve_bit: false,
            monochrome: false,
            chroma_subsampling_x: true,
            chroma_subsampling_y: true,
            chroma_sample_position: self.sample_position,
            initial_presentation_delay: None,
            config_obus: self.unit.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEQUENCE: [u8; 3] = [0x0a, 1, 0];
    const KEY: [u8; 3] = [0x32, 1, 0x10];
    const HIDDEN: [u8; 3] = [0x32, 1, 0x20];
    const INTER: [u8; 3] = [0x32, 1, 0x30];
    const REPEATED: [u8; 3] = [0x1a, 1, 0x80];

    #[test]
    fn a_sample_shows_one_picture() {
        let check = |units: &[[u8; 3]], expected| assert_eq!(is_key(&units.concat()), expected, "{units:?}");
        check(&[SEQUENCE, KEY], Ok(true));
        check(&[KEY], Ok(false));
        check(&[INTER], Ok(false));
        check(&[HIDDEN, INTER], Ok(false));
        check(&[REPEATED], Ok(false));
        check(&[HIDDEN], Err(NalError::Shown { shown: 0 }));
        check(&[INTER, INTER], Err(NalError::Shown { shown: 2 }));
        check(&[SEQUENCE], Err(NalError::NoSlice));
        assert_eq!(is_key(&[0x12, 0, 0x32, 1, 0x10]), Err(NalError::Stray { kind: 2 }));
        assert_eq!(is_key(&[0x32, 9, 0x10]), Err(NalError::Obu { offset: 0 }));
        assert_eq!(is_key(&[0x30, 0x10]), Err(NalError::Obu { offset: 0 }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(data: Vec<u8>) {
            let _ = (is_key(&data), parse(&data).map(|sequence| sequence.codecs()));
        }
    }
}
