//! H.264 NAL units: from start codes to lengths, without what no player needs.

/// Kinds of NAL units (ITU-T H.264 table 7-1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// The NAL units between the start codes of `stream` (ITU-T H.264 Annex B).
fn units(stream: &[u8]) -> Vec<&[u8]> {
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

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1f)
}

/// The parameter sets among an encoder's headers.
pub(crate) fn parameter_sets(headers: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let units = units(headers);
    let find = |wanted| units.iter().find(|unit| kind(unit) == wanted).map(|unit| unit.to_vec());
    Some((find(SPS)?, find(PPS)?))
}

/// The slices of a coded frame, each after its length in four bytes. SEI, delimiters and repeated
/// parameter sets are left out: they would name the encoder, or contradict the init segment.
pub(crate) fn sample(frame: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(frame.len() + 16);
    for unit in units(frame).into_iter().filter(|unit| matches!(kind(unit), SLICE | IDR_SLICE)) {
        sample.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
        sample.extend_from_slice(unit);
    }
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
