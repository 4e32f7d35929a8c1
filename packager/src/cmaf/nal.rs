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

/// What a NAL unit is to somebody who looks for pictures.
pub(super) enum Unit {
    /// A slice of a picture, of an IDR picture or not.
    Slice {
        /// Of an IDR picture.
        is_idr: bool,
    },
    /// A parameter set of this type: those are in the initialization segment alone.
    ParameterSet(u8),
    /// Anything else.
    Other,
}

/// True if the sample is one IDR picture, false if it is another picture.
pub(crate) fn is_idr(data: &[u8]) -> Result<bool, NalError> {
    // ITU-T H.264 table 7-1.
    is_idr_of(data, 1, |header| match header & 0x1f {
        kind @ 1..=5 => Unit::Slice { is_idr: kind == 5 },
        kind @ (7 | 8 | 13 | 15) => Unit::ParameterSet(kind),
        _ => Unit::Other,
    })
}

/// The same for any codec whose units have lengths of four octets and headers of `header_bytes`; `kind` tells a
/// unit by the first octet of its header.
pub(super) fn is_idr_of(data: &[u8], header_bytes: usize, kind: impl Fn(u8) -> Unit) -> Result<bool, NalError> {
    let mut found = None;
    let mut rest = data;
    // Every round consumes at least the four octets of a length.
    while !rest.is_empty() {
        let offset = data.len() - rest.len();
        let broken = NalError::Length { offset };
        let (length, body) = rest.split_first_chunk::<4>().ok_or(broken)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| broken)?;
        let (unit, after) = body.split_at_checked(length).ok_or(broken)?;
        let header = *unit.get(..header_bytes).and_then(<[u8]>::first).ok_or(broken)?;
        if header & 0x80 != 0 {
            return Err(NalError::Header { offset });
        }
        match (found, kind(header)) {
            (_, Unit::ParameterSet(kind)) => return Err(NalError::ParameterSet { kind }),
            (Some(before), Unit::Slice { is_idr }) if before != is_idr => return Err(NalError::MixedSlices),
            (None, Unit::Slice { is_idr }) => found = Some(is_idr),
            _ => {}
        }
        rest = after;
    }
    found.ok_or(NalError::NoSlice)
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
