//! H.264 NAL units: from start codes or other lengths to lengths of four bytes, without what no player needs.

/// Kinds of NAL units (ITU-T H.264 table 7-1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// Slices in three parts, which only the Extended profile has.
const PARTITIONS: std::ops::RangeInclusive<u8> = 2..=4;

/// Longest parameter set that is taken over.
pub(crate) const PARAMETER_SET_BYTES_MAX: usize = 1024;

/// How NAL units are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Start codes before each (ITU-T H.264 Annex B).
    StartCodes,
    /// The length before each, in so many bytes (ISO/IEC 14496-15 §5.3.3).
    Lengths(usize),
}

/// The NAL units of `stream`; `None` if a length does not fit.
fn units(stream: &[u8], framing: Framing) -> Option<Vec<&[u8]>> {
    match framing {
        Framing::StartCodes => Some(between_start_codes(stream)),
        Framing::Lengths(width) => behind_lengths(stream, width),
    }
}

pub(super) fn between_start_codes(stream: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            if let Some(start) = start {
                units.push(&stream[start..at]);
            }
            start = Some(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    units.extend(start.map(|start| &stream[start..]));
    // The zero before a four-byte start code belongs to the code, not to the unit before it.
    for unit in &mut units {
        while let Some((0, rest)) = unit.split_last() {
            *unit = rest;
        }
    }
    units
}

fn behind_lengths(stream: &[u8], width: usize) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    let mut rest = stream;
    // Every round takes at least the octets of a length.
    while !rest.is_empty() {
        let (length, body) = rest.split_at_checked(width.max(1))?;
        let (unit, after) = body.split_at_checked(big_endian(length)?)?;
        units.push(unit);
        rest = after;
    }
    Some(units)
}

/// A number of up to four bytes.
fn big_endian(bytes: &[u8]) -> Option<usize> {
    let number = bytes.iter().try_fold(0u32, |sum, byte| Some(sum.checked_mul(256)? | u32::from(*byte)))?;
    usize::try_from(number).ok()
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1f)
}

/// The parameter sets among an encoder's headers.
pub(crate) fn parameter_sets(headers: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let units = between_start_codes(headers);
    let find = |wanted| units.iter().find(|unit| kind(unit) == wanted).map(|unit| unit.to_vec());
    Some((find(SPS)?, find(PPS)?))
}

/// The slices of a frame that x264 coded, each after its length in four bytes. SEI, delimiters and
/// repeated parameter sets are left out: they would name the encoder, or contradict the init segment.
pub(crate) fn sample(frame: &[u8]) -> Vec<u8> {
    let units = between_start_codes(frame);
    joined(units.into_iter().filter(|unit| matches!(kind(unit), SLICE | IDR_SLICE)), frame.len())
}

pub(super) fn joined<'a>(units: impl Iterator<Item = &'a [u8]>, bytes: usize) -> Vec<u8> {
    let mut sample = Vec::with_capacity(bytes + 16);
    for unit in units {
        sample.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
        sample.extend_from_slice(unit);
    }
    sample
}

/// How the pictures of a source are coded: under one pair of parameter sets, from start to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Coding {
    pub(crate) framing: Framing,
    pub(crate) sps: Vec<u8>,
    pub(crate) pps: Vec<u8>,
}

/// What one NAL unit means for taking over the picture that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A slice; of an IDR picture or of another one.
    Slice { is_idr: bool },
    /// Nothing that a player needs.
    Aside,
    /// Something that forbids it.
    Forbidding,
}

impl Coding {
    /// Reads what a container keeps of a track: an AVCDecoderConfigurationRecord (ISO/IEC 14496-15
    /// §5.3.3.1.2), or parameter sets behind start codes. `None` unless it holds exactly one of each.
    pub(crate) fn of(extradata: &[u8]) -> Option<Self> {
        let (framing, units) = match extradata {
            [1, _, _, _, lengths, rest @ ..] => {
                let width = usize::from(lengths & 3) + 1;
                (Framing::Lengths(width), record(rest)?)
            }
            _ => (Framing::StartCodes, between_start_codes(extradata)),
        };
        let only = |wanted: u8| {
            let mut found = units.iter().filter(|unit| kind(unit) == wanted);
            let first = found.next()?;
            found.all(|other| other == first).then(|| first.to_vec())
        };
        let coding = Self { framing, sps: only(SPS)?, pps: only(PPS)? };
        let fits = |set: &[u8], min: usize| (min..=PARAMETER_SET_BYTES_MAX).contains(&set.len());
        (fits(&coding.sps, 4) && fits(&coding.pps, 2) && framing != Framing::Lengths(3)).then_some(coding)
    }

    /// What a NAL unit means; of slices and asides the first bytes are enough.
    pub(crate) fn meaning(&self, unit: &[u8]) -> Meaning {
        match kind(unit) {
            SLICE => Meaning::Slice { is_idr: false },
            IDR_SLICE => Meaning::Slice { is_idr: true },
            SPS if unit != self.sps => Meaning::Forbidding,
            PPS if unit != self.pps => Meaning::Forbidding,
            kind if PARTITIONS.contains(&kind) => Meaning::Forbidding,
            _ => Meaning::Aside,
        }
    }

    /// Whether a packet is one IDR picture or one other picture; `None` if it is neither, or is coded
    /// in a way that forbids to take it over.
    pub(crate) fn is_idr(&self, packet: &[u8]) -> Option<bool> {
        let mut is_idr = None;
        let mut pictures = 0;
        for unit in units(packet, self.framing)? {
            match (self.meaning(unit), is_idr) {
                (Meaning::Forbidding, _) => return None,
                (Meaning::Slice { is_idr: found }, Some(before)) if found != before => return None,
                (Meaning::Slice { is_idr: found }, _) => {
                    is_idr = Some(found);
                    // The first slice of a picture begins with macroblock 0, coded as a single bit.
                    pictures += usize::from(unit.get(1).is_some_and(|byte| byte & 0x80 != 0));
                }
                (Meaning::Aside, _) => {}
            }
        }
        is_idr.filter(|_| pictures == 1)
    }

    /// The slices of a packet, each after its length in four bytes.
    pub(crate) fn sample(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let units = units(packet, self.framing)?;
        let slices = units.into_iter().filter(|unit| matches!(self.meaning(unit), Meaning::Slice { .. }));
        Some(joined(slices, packet.len()))
    }
}

/// The parameter sets of a decoder configuration record, from their count on.
fn record(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    let (count, mut rest) = bytes.split_first()?;
    for _ in 0..count & 0x1f {
        let (unit, after) = counted(rest)?;
        units.push(unit);
        rest = after;
    }
    let (count, mut rest) = rest.split_first()?;
    for _ in 0..*count {
        let (unit, after) = counted(rest)?;
        units.push(unit);
        rest = after;
    }
    Some(units)
}

/// A unit behind its length in two bytes, and what follows it.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RECORD: &[u8] =
        &[1, 100, 0, 31, 0xff, 0xe1, 0, 5, 0x67, 100, 0, 31, 9, 1, 0, 3, 0x68, 2, 3, 0xfd, 0xf8, 0xf8, 0];

    #[test]
    fn slices_stay_and_all_else_goes() {
        let frame = [0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x06, 5, 1, 9, 0x80, 0, 0, 0, 1, 0x65, 1, 2, 0, 0, 1, 0x65, 3];
        assert_eq!(sample(&frame), [0, 0, 0, 3, 0x65, 1, 2, 0, 0, 0, 2, 0x65, 3]);
    }

    #[test]
    fn parameter_sets_are_found_behind_an_sei() {
        let headers = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x06, 5];
        assert_eq!(parameter_sets(&headers), Some((vec![0x67, 1], vec![0x68, 2])));
        assert_eq!(parameter_sets(&[0, 0, 1, 0x67, 1]), None);
    }

    #[test]
    fn a_track_with_one_pair_of_parameter_sets_can_be_taken_over() {
        let coding = Coding::of(RECORD).expect("a record");
        assert_eq!(coding.framing, Framing::Lengths(4));
        assert_eq!((coding.sps.as_slice(), coding.pps.as_slice()), (&RECORD[8..13], &RECORD[16..19]));
        let start_codes = [&[0, 0, 0, 1], &RECORD[8..13], &[0, 0, 1], &RECORD[16..19]].concat();
        let found = Coding::of(&start_codes).expect("parameter sets");
        assert_eq!(found, Coding { framing: Framing::StartCodes, ..coding });
    }

    #[test]
    fn none_or_two_different_parameter_sets_cannot() {
        assert_eq!(Coding::of(&[]), None);
        assert_eq!(Coding::of(&RECORD[..12]), None);
        let twice = |second: [u8; 3]| [&RECORD[..13], &[2, 0, 3, 0x68, 2, 3, 0, 3], &second].concat();
        assert!(Coding::of(&twice([0x68, 2, 3])).is_some());
        assert_eq!(Coding::of(&twice([0x68, 9, 9])), None);
        let mut odd_lengths = RECORD.to_vec();
        odd_lengths[4] = 0xfe;
        assert_eq!(Coding::of(&odd_lengths), None);
    }

    #[test]
    fn a_packet_is_one_picture_under_the_tracks_parameter_sets() {
        let coding = Coding::of(RECORD).expect("a record");
        let packet = |units: &[&[u8]]| {
            units
                .iter()
                .flat_map(|unit| [&[0, 0, 0, u8::try_from(unit.len()).expect("short")], *unit].concat())
                .collect()
        };
        let check = |units: &[&[u8]], expected| {
            let packet: Vec<u8> = packet(units);
            assert_eq!(coding.is_idr(&packet), expected, "{units:?}");
        };
        let (sps, pps) = (coding.sps.as_slice(), coding.pps.as_slice());
        check(&[sps, pps, &[0x06, 5], &[0x65, 0x88]], Some(true));
        check(&[&[0x65, 0x88], &[0x65, 0x40]], Some(true));
        check(&[&[0x41, 0x9a]], Some(false));
        check(&[&[0x06, 5]], None);
        check(&[&[0x65, 0x88], &[0x41, 0x40]], None);
        check(&[&[0x41, 0x9a], &[0x41, 0x9a]], None);
        check(&[&[0x67, 100, 0, 32, 9], &[0x65, 0x88]], None);
        check(&[&[0x42, 0x88]], None);
        let whole: Vec<u8> = packet(&[sps, &[0x06, 5], &[0x65, 0x88]]);
        assert_eq!(coding.sample(&whole), Some(vec![0, 0, 0, 2, 0x65, 0x88]));
        assert_eq!(coding.is_idr(&whole[..whole.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(extradata: Vec<u8>, packet: Vec<u8>, width in 1usize..5) {
            let _ = Coding::of(&extradata);
            for framing in [Framing::StartCodes, Framing::Lengths(width)] {
                let coding = Coding { framing, sps: vec![0x67, 1], pps: vec![0x68, 1] };
                let _ = (coding.is_idr(&packet), coding.sample(&packet));
            }
        }
    }
}
