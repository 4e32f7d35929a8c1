//! The codec string of a stored video init segment.

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
}
