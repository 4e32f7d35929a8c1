//! What the configuration record of a stored video init segment says.

use domain::ParameterSets;
use packager::cmaf;

/// RFC 6381 codec string (`avc1.64001f`) of an init segment; `None` if it has no record, or one that cannot be read.
pub(crate) fn codecs(init: &[u8]) -> Option<String> {
    cmaf::codecs(&parameter_sets(init)?).ok()
}

/// The parameter sets of the avcC, hvcC or av1C box, if it has one of each.
///
/// The init segment was written and verified here, so the box is looked for, not walked to.
pub(crate) fn parameter_sets(init: &[u8]) -> Option<ParameterSets> {
    let record = |kind: &[u8; 4]| {
        let at = init.windows(4).position(|window| window == kind)?;
        let length = init.get(at.checked_sub(4)?..at)?;
        let length = usize::try_from(u32::from_be_bytes(*length.first_chunk()?)).ok()?;
        init.get(at + 4..at.checked_sub(4)?.checked_add(length)?)
    };
    if let Some(record) = record(b"avcC") {
        return avc(record);
    }
    if let Some(record) = record(b"hvcC") {
        return hevc(record);
    }
    // Version, profile and level, sample format, delay: then the sequence header (AV1 in ISO base media files §2.3).
    let sequence = record(b"av1C")?.get(4..).filter(|sequence| !sequence.is_empty())?.to_vec();
    Some(ParameterSets::Av1 { sequence })
}

/// ISO/IEC 14496-15 §5.3.3.1.2.
fn avc(record: &[u8]) -> Option<ParameterSets> {
    // Behind the version, the profile with its constraints, the level and the size of NAL lengths.
    let rest = record.get(5..)?;
    let (1, rest) = (rest.first()? & 0x1f, rest.get(1..)?) else { return None };
    let (sps, rest) = unit(rest)?;
    let (1, rest) = (*rest.first()?, rest.get(1..)?) else { return None };
    let (pps, _) = unit(rest)?;
    Some(ParameterSets::H264 { sps: sps.to_vec(), pps: pps.to_vec() })
}

/// ISO/IEC 14496-15 §8.3.3.1.2: three arrays of one unit each.
fn hevc(record: &[u8]) -> Option<ParameterSets> {
    let (3, mut rest) = (*record.get(22)?, record.get(23..)?) else { return None };
    let mut next = || {
        let (1, body) = (u16::from_be_bytes(*rest.get(1..3)?.first_chunk()?), rest.get(3..)?) else { return None };
        let (found, after) = unit(body)?;
        rest = after;
        Some(found.to_vec())
    };
    Some(ParameterSets::Hevc { vps: next()?, sps: next()?, pps: next()? })
}

/// A parameter set behind its length in two octets, and what follows.
fn unit(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8], record: &[u8]) -> Vec<u8> {
        let length = u32::try_from(record.len() + 8).expect("short").to_be_bytes();
        [&[9; 4], &length[..], kind, record].concat()
    }

    fn check(kind: &[u8], record: &[u8], expected: &ParameterSets) {
        let init = boxed(kind, record);
        assert_eq!(parameter_sets(&init).as_ref(), Some(expected));
        for length in 0..init.len() {
            assert_eq!(parameter_sets(&init[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_codec_string_comes_from_the_record() {
        let record = b"\x01\x64\x00\x1f\xff\xe1\x00\x05\x67\x64\x00\x1f\x01\x01\x00\x01\x68\xfd";
        assert_eq!(codecs(&boxed(b"avcC", record)).as_deref(), Some("avc1.64001f"));
        assert_eq!(codecs(b"avcC\x01"), None);
        assert_eq!(codecs(b""), None);
    }

    #[test]
    fn parameter_sets_come_from_the_record() {
        let sets = ParameterSets::H264 { sps: vec![0x67, 1], pps: vec![0x68] };
        check(b"avcC", b"\x01\x64\x00\x1f\xff\xe1\x00\x02\x67\x01\x01\x00\x01\x68", &sets);
        let arrays = b"\x03\xa0\x00\x01\x00\x01\x40\xa1\x00\x01\x00\x01\x42\xa2\x00\x01\x00\x01\x44";
        let sets = ParameterSets::Hevc { vps: vec![0x40], sps: vec![0x42], pps: vec![0x44] };
        check(b"hvcC", &[&[1; 22][..], arrays].concat(), &sets);
        check(b"av1C", b"\x81\x00\x0c\x00\x0a\x01\x00", &ParameterSets::Av1 { sequence: vec![0x0a, 1, 0] });
    }
}
