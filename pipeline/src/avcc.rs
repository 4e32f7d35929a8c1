//! What the avcC box of a stored video init segment says.

/// RFC 6381 codec string (`avc1.64001f`) from the avcC box (ISO/IEC 14496-15 §5.3.3.1) of an init
/// segment; `None` if there is no such box.
///
/// The init segment was written and verified here, so the box is looked for, not walked to.
pub(crate) fn codecs(init: &[u8]) -> Option<String> {
    let at = init.windows(4).position(|kind| kind == b"avcC")?;
    match init.get(at + 4..at + 8)? {
        // The version of the record is always 1.
        [1, profile, constraints, level] => Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}")),
        _ => None,
    }
}

/// The sequence and the picture parameter set of the avcC box, if it has one of each.
pub(crate) fn parameter_sets(init: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let at = init.windows(4).position(|kind| kind == b"avcC")?;
    // Behind the version, the profile with its constraints, the level and the size of NAL lengths.
    let rest = init.get(at + 9..)?;
    let (1, rest) = (rest.first()? & 0x1f, rest.get(1..)?) else { return None };
    let (sps, rest) = unit(rest)?;
    let (1, rest) = (*rest.first()?, rest.get(1..)?) else { return None };
    let (pps, _) = unit(rest)?;
    Some((sps.to_vec(), pps.to_vec()))
}

/// A parameter set behind its length in two octets, and what follows.
fn unit(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codec_string_comes_from_the_record() {
        assert_eq!(codecs(b"....avcC\x01\x64\x00\x1f\xff").as_deref(), Some("avc1.64001f"));
        assert_eq!(codecs(b"....avcC\x02\x64\x00\x1f\xff"), None);
        assert_eq!(codecs(b"avcC\x01"), None);
        assert_eq!(codecs(b""), None);
    }

    #[test]
    fn parameter_sets_come_from_the_record() {
        let record = b"....avcC\x01\x64\x00\x1f\xff\xe1\x00\x02\x67\x01\x01\x00\x01\x68\xfd";
        assert_eq!(parameter_sets(record), Some((vec![0x67, 1], vec![0x68])));
        for length in 0..record.len() - 1 {
            assert_eq!(parameter_sets(&record[..length]), None, "{length}");
        }
    }
}
