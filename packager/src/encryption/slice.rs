//! How long the header of an H.264 slice is (ITU-T H.264 §7.3.3): what is encrypted begins behind it.

use crate::bmff::{self, Init};
use crate::cmaf::{Bits, skip_scaling_lists, without_emulation_prevention};

/// Octets of a slice that are looked at for its header.
const LOOKED_AT_BYTES: usize = 512;

/// Most entries of a list of references that a header may have (§7.4.3).
const REFERENCES_MAX: u32 = 32;
/// Most commands in one of its loops.
const COMMANDS_MAX: usize = 66;

/// What of a sequence parameter set decides how a slice header is read.
#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    id: u32,
    has_colour_planes: bool,
    has_chroma: bool,
    frame_number_bits: u32,
    order_type: u32,
    order_bits: u32,
    is_order_delta_zero: bool,
    is_progressive: bool,
}

/// What of a picture parameter set does.
#[derive(Clone, Copy, Debug, Default)]
struct Picture {
    id: u32,
    sequence: u32,
    is_cabac: bool,
    has_field_order: bool,
    references: [u32; 2],
    is_weighted: bool,
    bi_weighting: u32,
    has_deblocking: bool,
    has_redundant: bool,
}

/// Reads the headers of the slices of one track.
pub(super) struct Reader {
    sequences: Vec<Sequence>,
    pictures: Vec<Picture>,
}

impl Reader {
    /// A reader for the parameter sets of this track; `None` if it has none that can be read.
    pub(super) fn new(init: &Init) -> Option<Self> {
        let sets = bmff::avc_parameter_sets(init)?;
        let of_kind = |kind: u8| sets.iter().filter(move |set| set.first().is_some_and(|head| head & 0x1f == kind));
        let sequences: Vec<Sequence> = of_kind(7).map(|unit| sequence(unit)).collect::<Option<_>>()?;
        let pictures: Vec<Picture> = of_kind(8).map(|unit| picture(unit)).collect::<Option<_>>()?;
        (!sequences.is_empty() && !pictures.is_empty()).then_some(Self { sequences, pictures })
    }

    /// Octets from the beginning of a slice, its NAL unit header included, to the end of the octet in which its
    /// header ends; `None` if the header cannot be read.
    pub(super) fn header_bytes(&self, unit: &[u8]) -> Option<usize> {
        let escaped = unit.get(1..unit.len().min(LOOKED_AT_BYTES))?;
        let payload = without_emulation_prevention(escaped);
        let mut bits = Bits::new(&payload);
        self.header(*unit.first()?, &mut bits)?;
        Some(1 + escaped_bytes(escaped, bits.bits_taken().div_ceil(8)))
    }

    /// Takes a slice header.
    fn header(&self, head: u8, bits: &mut Bits<'_>) -> Option<()> {
        let (is_reference, is_idr) = (head >> 5 & 3 != 0, head & 0x1f == 5);
        bits.ue()?; // first_mb_in_slice
        let kind = bits.ue()? % 5;
        let picture = bits.ue()?;
        let picture = self.pictures.iter().find(|one| one.id == picture)?;
        let sequence = self.sequences.iter().find(|one| one.id == picture.sequence)?;
        if sequence.has_colour_planes {
            bits.take(2)?;
        }
        bits.take(sequence.frame_number_bits)?;
        let is_field = !sequence.is_progressive && bits.flag()?;
        if is_field {
            bits.take(1)?; // bottom_field_flag
        }
        if is_idr {
            bits.ue()?; // idr_pic_id
        }
        match sequence.order_type {
            0 => {
                bits.take(sequence.order_bits)?;
                if picture.has_field_order && !is_field {
                    bits.se()?;
                }
            }
            1 if !sequence.is_order_delta_zero => {
                bits.se()?;
                if picture.has_field_order && !is_field {
                    bits.se()?;
                }
            }
            _ => {}
        }
        if picture.has_redundant {
            bits.ue()?;
        }
        let slice = Slice::of(kind)?;
        let references = slice.references(picture, bits)?;
        slice.skip_modifications(bits)?;
        let is_weighted = match slice {
            Slice::P | Slice::Sp => picture.is_weighted,
            Slice::B => picture.bi_weighting == 1,
            Slice::I | Slice::Si => false,
        };
        if is_weighted {
            skip_weights(sequence.has_chroma, &references, bits)?;
        }
        if is_reference {
            skip_marking(is_idr, bits)?;
        }
        if picture.is_cabac && !matches!(slice, Slice::I | Slice::Si) {
            bits.ue()?; // cabac_init_idc
        }
        bits.se()?; // slice_qp_delta
        if slice == Slice::Sp {
            bits.take(1)?;
        }
        if matches!(slice, Slice::Sp | Slice::Si) {
            bits.se()?;
        }
        if picture.has_deblocking && bits.ue()? != 1 {
            bits.se()?;
            bits.se()?;
        }
        Some(())
    }
}

/// The kinds of slice of table 7-6.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slice {
    P,
    B,
    I,
    Sp,
    Si,
}

impl Slice {
    fn of(kind: u32) -> Option<Self> {
        [Self::P, Self::B, Self::I, Self::Sp, Self::Si].get(usize::try_from(kind).ok()?).copied()
    }

    /// Lengths of the lists of references that it uses.
    fn references(self, picture: &Picture, bits: &mut Bits<'_>) -> Option<Vec<u32>> {
        if self == Self::B {
            bits.take(1)?; // direct_spatial_mv_pred_flag
        }
        let lists = match self {
            Self::P | Self::Sp => 1,
            Self::B => 2,
            Self::I | Self::Si => return Some(Vec::new()),
        };
        let mut lengths = picture.references.get(..lists)?.to_vec();
        if bits.flag()? {
            for length in &mut lengths {
                *length = bits.ue()?.checked_add(1)?;
            }
        }
        lengths.iter().all(|length| *length <= REFERENCES_MAX).then_some(lengths)
    }

    /// Takes ref_pic_list_modification (§7.3.3.1).
    fn skip_modifications(self, bits: &mut Bits<'_>) -> Option<()> {
        let lists = match self {
            Self::P | Self::Sp => 1,
            Self::B => 2,
            Self::I | Self::Si => 0,
        };
        for _ in 0..lists {
            if bits.flag()? {
                commands(bits, |command, bits| match command {
                    0..=2 => bits.ue().map(|_| false),
                    3 => Some(true),
                    _ => None,
                })?;
            }
        }
        Some(())
    }
}

/// Takes commands until one says that it is the last.
fn commands(bits: &mut Bits<'_>, take: impl Fn(u32, &mut Bits<'_>) -> Option<bool>) -> Option<()> {
    for _ in 0..COMMANDS_MAX {
        let command = bits.ue()?;
        if take(command, bits)? {
            return Some(());
        }
    }
    None
}

/// Takes pred_weight_table (§7.3.3.2).
fn skip_weights(has_chroma: bool, references: &[u32], bits: &mut Bits<'_>) -> Option<()> {
    bits.ue()?;
    if has_chroma {
        bits.ue()?;
    }
    for _ in 0..references.iter().sum() {
        for (is_there, numbers) in [(true, 2), (has_chroma, 4)] {
            if is_there && bits.flag()? {
                for _ in 0..numbers {
                    bits.se()?;
                }
            }
        }
    }
    Some(())
}

/// Takes dec_ref_pic_marking (§7.3.3.3).
fn skip_marking(is_idr: bool, bits: &mut Bits<'_>) -> Option<()> {
    if is_idr {
        return bits.take(2).map(drop);
    }
    if !bits.flag()? {
        return Some(());
    }
    commands(bits, |command, bits| match command {
        0 => Some(true),
        1 | 2 | 4 | 6 => bits.ue().map(|_| false),
        3 => bits.ue().and_then(|_| bits.ue()).map(|_| false),
        5 => Some(false),
        _ => None,
    })
}

/// Reads a sequence parameter set (§7.3.2.1.1).
fn sequence(unit: &[u8]) -> Option<Sequence> {
    let payload = without_emulation_prevention(unit.get(1..)?);
    let mut bits = Bits::new(&payload);
    let profile = bits.take(8)?;
    bits.take(16)?;
    let mut found = Sequence { id: bits.ue()?, has_chroma: true, ..Sequence::default() };
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        let chroma = bits.ue()?;
        found.has_colour_planes = chroma == 3 && bits.flag()?;
        found.has_chroma = chroma != 0 && !found.has_colour_planes;
        bits.ue()?;
        bits.ue()?;
        bits.take(1)?;
        if bits.flag()? {
            skip_scaling_lists(&mut bits, if chroma == 3 { 12 } else { 8 })?;
        }
    }
    found.frame_number_bits = bits.ue().filter(|bits| *bits <= 12)? + 4;
    found.order_type = bits.ue()?;
    match found.order_type {
        0 => found.order_bits = bits.ue().filter(|bits| *bits <= 12)? + 4,
        1 => {
            found.is_order_delta_zero = bits.flag()?;
            bits.se()?;
            bits.se()?;
            for _ in 0..bits.ue().filter(|&count| count <= 255)? {
                bits.se()?;
            }
        }
        _ => {}
    }
    bits.ue()?; // max_num_ref_frames
    bits.take(1)?;
    bits.ue()?;
    bits.ue()?;
    found.is_progressive = bits.flag()?;
    Some(found)
}

/// Reads a picture parameter set (§7.3.2.2); `None` for one with groups of slices.
fn picture(unit: &[u8]) -> Option<Picture> {
    let payload = without_emulation_prevention(unit.get(1..)?);
    let mut bits = Bits::new(&payload);
    let mut found = Picture { id: bits.ue()?, sequence: bits.ue()?, ..Picture::default() };
    found.is_cabac = bits.flag()?;
    found.has_field_order = bits.flag()?;
    bits.ue().filter(|groups| *groups == 0)?;
    found.references = [bits.ue()?.checked_add(1)?, bits.ue()?.checked_add(1)?];
    found.is_weighted = bits.flag()?;
    found.bi_weighting = bits.take(2)?;
    bits.se()?;
    bits.se()?;
    bits.se()?;
    found.has_deblocking = bits.flag()?;
    bits.take(1)?;
    found.has_redundant = bits.flag()?;
    Some(found)
}

/// How many octets hold so many of the payload, with those that keep start codes out of it.
fn escaped_bytes(escaped: &[u8], payload_bytes: usize) -> usize {
    let (mut zeros, mut left) = (0, payload_bytes);
    for (at, byte) in escaped.iter().enumerate() {
        if left == 0 {
            return at;
        }
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        left -= 1;
    }
    escaped.len()
}

#[cfg(test)]
mod tests {
    use fixtures::media::{self, ClipSpec};
    use proptest::prelude::*;

    use super::*;

    impl Reader {
        fn of(units: &[&[u8]]) -> Option<Self> {
            let of_kind = |kind: u8| units.iter().filter(move |unit| unit[0] & 0x1f == kind);
            let sequences = of_kind(7).map(|unit| sequence(unit)).collect::<Option<_>>()?;
            let pictures = of_kind(8).map(|unit| picture(unit)).collect::<Option<_>>()?;
            Some(Self { sequences, pictures })
        }
    }

    /// NAL units between Annex B start codes.
    fn units(stream: &[u8]) -> Vec<&[u8]> {
        let starts: Vec<usize> =
            stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([stream.len()]);
        let unit = |(start, end): (&usize, usize)| {
            let body = &stream[start + 3..end];
            let length = body.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            &body[..length]
        };
        starts.iter().zip(ends).map(unit).collect()
    }

    /// Of arithmetic-coded slices the rest of the octet in which the header ends is ones (§7.3.4).
    fn check(x264: &'static [&'static str]) {
        let video_args = [&["-c:v", "libx264", "-threads", "1"], x264].concat();
        let spec = ClipSpec { seconds: 4.0, audio: vec![], container: "h264", video_args, ..ClipSpec::default() };
        let stream = std::fs::read(media::clip(&spec)).expect("a clip");
        let units = units(&stream);
        let reader = Reader::of(&units).expect("parameter sets");
        let slices = units.iter().filter(|unit| matches!(unit[0] & 0x1f, 1 | 5));
        let (mut read, mut not_aligned) = (0, 0);
        for slice in slices {
            let payload = without_emulation_prevention(&slice[1..slice.len().min(LOOKED_AT_BYTES)]);
            let mut bits = Bits::new(&payload);
            reader.header(slice[0], &mut bits).expect("a slice header");
            let rest = (8 - u32::try_from(bits.bits_taken() % 8).expect("small")) % 8;
            not_aligned += u32::from(rest > 0);
            assert_eq!(bits.take(rest), Some((1 << rest) - 1), "{x264:?}: slice {read}");
            assert!(reader.header_bytes(slice).is_some_and(|bytes| bytes < 64 && bytes <= slice.len()));
            read += 1;
        }
        assert!(read >= 90 && not_aligned > read / 3, "{read} slices, {not_aligned} of them tell something");
    }

    #[test]
    fn headers_end_where_arithmetic_coding_begins() {
        check(&["-preset", "veryfast", "-profile:v", "high", "-bf", "3"]);
        check(&["-preset", "slow", "-x264-params", "ref=8:bframes=5:b-pyramid=normal:weightp=2:weightb=1"]);
        check(&["-preset", "fast", "-x264-params", "slices=4:no-deblock=1:keyint=10"]);
        check(&["-preset", "fast", "-profile:v", "main", "-x264-params", "interlaced=1:bframes=2"]);
    }

    #[test]
    fn octets_that_keep_start_codes_out_are_counted() {
        assert_eq!(escaped_bytes(&[1, 2, 3], 2), 2);
        assert_eq!(escaped_bytes(&[0, 0, 3, 1, 2], 2), 2);
        assert_eq!(escaped_bytes(&[0, 0, 3, 1, 2], 3), 4);
        assert_eq!(escaped_bytes(&[0, 0, 3, 0, 0, 3, 5], 5), 7);
        assert_eq!(escaped_bytes(&[1], 5), 1);
    }

    proptest! {
        #[test]
        fn no_octets_panic(unit: Vec<u8>, sps: Vec<u8>, pps: Vec<u8>) {
            let _ = (sequence(&sps), picture(&pps));
            let reader = Reader { sequences: vec![Sequence::default()], pictures: vec![Picture::default()] };
            if let Some(bytes) = reader.header_bytes(&unit) {
                prop_assert!(bytes <= unit.len());
            }
        }
    }
}
