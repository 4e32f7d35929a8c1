//! What is done differently for each codec.

use domain::{Codec, ParameterSets};

use super::{CmafError, NalError, av1, hevc, nal, sps};

/// True if a decoder can start at the sample and shows nothing that came before it; false if it is another picture.
pub(crate) fn is_sync(codec: Codec, data: &[u8]) -> Result<bool, NalError> {
    match codec {
        Codec::H264 => nal::is_idr(data),
        Codec::Hevc => hevc::is_idr(data),
        Codec::Av1 => av1::is_key(data),
    }
}

/// The RFC 6381 codec string of these parameter sets.
pub(super) fn codecs(sets: &ParameterSets) -> Result<String, CmafError> {
    match sets {
        ParameterSets::H264 { sps, .. } => avc_codecs(sps),
        ParameterSets::Hevc { sps, .. } => Ok(hevc::parse(sps)?.codecs()),
        ParameterSets::Av1 { sequence } => Ok(av1::parse(sequence)?.codecs()),
    }
}

/// ISO/IEC 14496-15 Annex E.3.
fn avc_codecs(sps: &[u8]) -> Result<String, CmafError> {
    sps::check_kind(sps)?;
    match sps {
        [_, profile, constraints, level, ..] => Ok(format!("avc1.{profile:02x}{constraints:02x}{level:02x}")),
        _ => Err(CmafError::Config { what: "sequence parameter set", reason: "it is cut short" }),
    }
}
