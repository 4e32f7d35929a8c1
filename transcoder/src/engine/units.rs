//! From what an encoder gives to parameter sets and samples, codec by codec.

use domain::{Codec, ParameterSets};

use super::nal;

/// HEVC's types of NAL units (ITU-T H.265 table 7-1): the last kind of slice, and parameter sets.
const SLICE_LAST: u8 = 31;
const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;

/// AV1's types of OBUs (§6.2.2) that a sample does without.
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const METADATA: u8 = 5;
const PADDING: u8 = 15;

/// The parameter sets among an encoder's headers; `None` if one is missing.
pub(super) fn parameter_sets(codec: Codec, headers: &[u8]) -> Option<ParameterSets> {
    match codec {
        Codec::H264 => nal::parameter_sets(headers).map(|(sps, pps)| ParameterSets::H264 { sps, pps }),
        Codec::Hevc => {
            let units = nal::between_start_codes(headers);
            let find = |wanted| units.iter().find(|unit| hevc_kind(unit) == wanted).map(|unit| unit.to_vec());
            Some(ParameterSets::Hevc { vps: find(VPS)?, sps: find(SPS)?, pps: find(PPS)? })
        }
        Codec::Av1 => {
            let units = obus(headers)?;
            let sequence = units.iter().find(|(kind, _)| *kind == SEQUENCE_HEADER)?;
            Some(ParameterSets::Av1 { sequence: sequence.1.to_vec() })
        }
    }
}

/// A coded frame without what no player needs; `None` if it is not one.
pub(super) fn sample(codec: Codec, frame: &[u8]) -> Option<Vec<u8>> {
    match codec {
        Codec::H264 => Some(nal::sample(frame)),
        Codec::Hevc => {
            let units = nal::between_start_codes(frame);
            let slices = units.into_iter().filter(|unit| hevc_kind(unit) <= SLICE_LAST);
            Some(nal::joined(slices, frame.len()))
        }
        Codec::Av1 => {
            let is_wanted = |kind: u8| !matches!(kind, TEMPORAL_DELIMITER | METADATA | PADDING);
            let units = obus(frame)?.into_iter().filter(|(kind, _)| is_wanted(*kind));
            Some(units.flat_map(|(_, unit)| unit).copied().collect())
        }
    }
}

fn hevc_kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte >> 1 & 0x3f)
}

/// The OBUs of a stream, each with its type, its header and its size; `None` if a size is missing or does not fit.
fn obus(stream: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut units = Vec::new();
    let mut rest = stream;
    // Every round takes at least a header and a size.
    while let Some(&header) = rest.first() {
        if header & 2 == 0 {
            return None;
        }
        let mut at = 1 + usize::from(header & 4 != 0);
        let mut size = 0usize;
        // A size has up to eight octets of seven bits (§4.10.5).
        for shift in 0..8 {
            let byte = *rest.get(at)?;
            at += 1;
            size |= usize::from(byte & 0x7f) << (shift * 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (unit, after) = rest.split_at_checked(at.checked_add(size)?)?;
        units.push((header >> 3 & 0x0f, unit));
        rest = after;
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn slices_of_hevc_stay_and_all_else_goes() {
        let frame = [0, 0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x4e, 1, 5, 0, 0, 1, 0x26, 1, 9, 0, 0, 1, 0x02, 1, 8];
        assert_eq!(sample(Codec::Hevc, &frame), Some(vec![0, 0, 0, 3, 0x26, 1, 9, 0, 0, 0, 3, 0x02, 1, 8]));
    }

    #[test]
    fn parameter_sets_of_hevc_are_found() {
        let headers = [0, 0, 0, 1, 0x40, 1, 7, 0, 0, 0, 1, 0x42, 1, 8, 0, 0, 1, 0x44, 1, 9];
        let expected = ParameterSets::Hevc { vps: vec![0x40, 1, 7], sps: vec![0x42, 1, 8], pps: vec![0x44, 1, 9] };
        assert_eq!(parameter_sets(Codec::Hevc, &headers), Some(expected));
        assert_eq!(parameter_sets(Codec::Hevc, &headers[..14]), None);
    }

    #[test]
    fn a_sample_of_av1_has_no_delimiter() {
        let frame = [0x12, 0, 0x0a, 2, 1, 2, 0x2a, 1, 0, 0x32, 1, 0x10];
        assert_eq!(sample(Codec::Av1, &frame), Some(vec![0x0a, 2, 1, 2, 0x32, 1, 0x10]));
        assert_eq!(parameter_sets(Codec::Av1, &frame), Some(ParameterSets::Av1 { sequence: vec![0x0a, 2, 1, 2] }));
        assert_eq!(sample(Codec::Av1, &frame[..4]), None);
        assert_eq!(sample(Codec::Av1, &[0x30, 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
                let _ = (sample(codec, &bytes), parameter_sets(codec, &bytes));
            }
        }
    }
}
