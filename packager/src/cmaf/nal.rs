//! NAL units behind four-octet lengths (ISO/IEC 14496-15 §5.3), read only as far as packaging needs.

/// What is wrong with the NAL units of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NalError {
    /// A length points past the end of the sample, or is zero.
    #[error("the NAL unit at byte {offset} has a length that does not fit")]
    Length {
        /// Where the length field begins.
        offset: usize,
    },
    /// The forbidden bit of a NAL unit header is set.
    #[error("the NAL unit at byte {offset} has a damaged header")]
    Header {
        /// Where the length field begins.
        offset: usize,
    },
    /// A parameter set inside a sample of an `avc1` track (ISO/IEC 14496-15 §5.4.2.1.2).
    #[error("a parameter set (NAL unit type {kind}) inside the sample")]
    ParameterSet {
        /// 7 or 8.
        kind: u8,
    },
    /// Slices of an IDR and of another picture in one sample.
    #[error("slices of two kinds of picture")]
    MixedSlices,
    /// An OBU whose size does not fit, or is missing.
    #[error("the OBU at byte {offset} has a size that does not fit")]
    Obu {
        /// Where the OBU begins.
        offset: usize,
    },
    /// An OBU that belongs between samples (AV1 in ISO base media files §2.4).
    #[error("an OBU of type {kind} inside the sample")]
    Stray {
        /// Its type.
        kind: u8,
    },
    /// A sample of AV1 shows exactly one picture.
    #[error("{shown} shown pictures in one sample")]
    Shown {
        /// How many.
        shown: u32,
    },
    /// No slice at all.
    #[error("no slice of a picture")]
    NoSlice,
}

/// True if the sample is one IDR picture, false if it is another picture.
pub(crate) fn is_idr(data: &[u8]) -> Result<bool, NalError> {
    let mut is_idr = None;
    let mut rest = data;
    // Every round consumes at least the four octets of a length.
    while !rest.is_empty() {
        let offset = data.len() - rest.len();
        let broken = NalError::Length { offset };
        let (length, body) = rest.split_first_chunk::<4>().ok_or(broken)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken)?;
        let (unit, after) = body.split_at_checked(length).ok_or(broken)?;
        let header = *unit.first().ok_or(broken)?;
        if header & 0x80 != 0 {
            return Err(NalError::Header { offset });
        }
        // ITU-T H.264 table 7-1.
        let slice = match header & 0x1f {
            1..=4 => Some(false),
            5 => Some(true),
            kind @ (7 | 8 | 13 | 15) => return Err(NalError::ParameterSet { kind }),
            _ => None,
        };
        match (is_idr, slice) {
            (Some(before), Some(now)) if before != now => return Err(NalError::MixedSlices),
            (None, Some(_)) => is_idr = slice,
            _ => {}
        }
        rest = after;
    }
    is_idr.ok_or(NalError::NoSlice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn units(units: &[&[u8]]) -> Vec<u8> {
        units.iter().flat_map(|unit| [&[0, 0, 0, u8::try_from(unit.len()).expect("short")], *unit].concat()).collect()
    }

    #[test]
    fn the_slice_type_tells_the_kind_of_picture() {
        let check = |data: &[u8], expected| assert_eq!(is_idr(data), expected);
        check(&units(&[&[0x65, 1]]), Ok(true));
        check(&units(&[&[0x09, 0xf0], &[0x06, 5], &[0x65, 1], &[0x65, 2]]), Ok(true));
        check(&units(&[&[0x41, 1]]), Ok(false));
        check(&units(&[&[0x01, 1]]), Ok(false));
        check(&units(&[&[0x65, 1], &[0x41, 1]]), Err(NalError::MixedSlices));
        check(&units(&[&[0x06, 1]]), Err(NalError::NoSlice));
        check(&units(&[&[0x67, 1], &[0x65, 1]]), Err(NalError::ParameterSet { kind: 7 }));
        check(&units(&[&[0x65, 1], &[0x68, 1]]), Err(NalError::ParameterSet { kind: 8 }));
        check(&units(&[&[0xe5, 1]]), Err(NalError::Header { offset: 0 }));
        check(&[], Err(NalError::NoSlice));
    }

    #[test]
    fn a_length_that_does_not_fit_is_named_by_its_place() {
        assert_eq!(is_idr(&[0, 0, 0, 2, 0x65]), Err(NalError::Length { offset: 0 }));
        assert_eq!(is_idr(&[0, 0, 0, 1, 0x65, 0, 0, 0, 0]), Err(NalError::Length { offset: 5 }));
        assert_eq!(is_idr(&[0, 0, 0, 1, 0x65, 0, 0]), Err(NalError::Length { offset: 5 }));
        assert_eq!(is_idr(&[0xff; 4]), Err(NalError::Length { offset: 0 }));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(data: Vec<u8>) {
            let _ = is_idr(&data);
        }
    }
}
