//! The codecs of pictures, and what their decoders must know before the first one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How the pictures of a rendition are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// AVC, ITU-T H.264: what every device decodes.
    #[default]
    H264,
    /// HEVC, ITU-T H.265.
    Hevc,
    /// AV1, of the Alliance for Open Media.
    Av1,
}

impl Codec {
    /// The name used in settings, in names of renditions and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::Hevc => "hevc",
            Self::Av1 => "av1",
        }
    }

    /// True for the codec that every rendition has unless it says otherwise.
    pub fn is_h264(&self) -> bool {
        *self == Self::H264
    }

    /// What a picture of the same quality takes, in percent of H.264, by rule of thumb.
    pub fn share_percent(self) -> u64 {
        match self {
            Self::H264 => 100,
            Self::Hevc => 75,
            Self::Av1 => 65,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a decoder must know before the first picture: units without start code, length or padding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterSets {
    /// Of H.264.
    H264 {
        /// The sequence parameter set.
        sps: Vec<u8>,
        /// The picture parameter set.
        pps: Vec<u8>,
    },
    /// Of HEVC.
    Hevc {
        /// The video parameter set.
        vps: Vec<u8>,
        /// The sequence parameter set.
        sps: Vec<u8>,
        /// The picture parameter set.
        pps: Vec<u8>,
    },
    /// Of AV1.
    Av1 {
        /// The sequence header: an OBU with its header and size.
        sequence: Vec<u8>,
    },
}

impl ParameterSets {
    /// Whose they are.
    pub fn codec(&self) -> Codec {
        match self {
            Self::H264 { .. } => Codec::H264,
            Self::Hevc { .. } => Codec::Hevc,
            Self::Av1 { .. } => Codec::Av1,
        }
    }

    /// All of them, in the order in which a decoder wants them.
    pub fn units(&self) -> Vec<&[u8]> {
        match self {
            Self::H264 { sps, pps } => vec![sps, pps],
            Self::Hevc { vps, sps, pps } => vec![vps, sps, pps],
            Self::Av1 { sequence } => vec![sequence],
        }
    }

    /// True if each is what it claims to be by its header, and none longer than `bytes_max`.
    pub fn are_sound(&self, bytes_max: usize) -> bool {
        let kinds: &[u8] = match self {
            Self::H264 { .. } => &[7, 8],
            Self::Hevc { .. } => &[32, 33, 34],
            Self::Av1 { .. } => &[1],
        };
        let kind = |unit: &[u8]| match self {
            Self::H264 { .. } => unit.first().map(|byte| byte & 0x1f),
            Self::Hevc { .. } => unit.first().map(|byte| byte >> 1 & 0x3f),
            Self::Av1 { .. } => unit.first().map(|byte| byte >> 3 & 0x0f),
        };
        let units = self.units();
        units.iter().zip(kinds).all(|(unit, wanted)| unit.len() <= bytes_max && kind(unit) == Some(*wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_are_known_by_their_headers() {
        let check = |sets: ParameterSets, expected| assert_eq!(sets.are_sound(4), expected, "{sets:?}");
        check(ParameterSets::H264 { sps: vec![0x67, 1], pps: vec![0x68, 1] }, true);
        check(ParameterSets::H264 { sps: vec![0x68, 1], pps: vec![0x67, 1] }, false);
        check(ParameterSets::H264 { sps: vec![0x67; 5], pps: vec![0x68, 1] }, false);
        check(ParameterSets::Hevc { vps: vec![0x40, 1], sps: vec![0x42, 1], pps: vec![0x44, 1] }, true);
        check(ParameterSets::Hevc { vps: vec![0x40, 1], sps: vec![], pps: vec![0x44, 1] }, false);
        check(ParameterSets::Av1 { sequence: vec![0x0a, 2, 0, 0] }, true);
        check(ParameterSets::Av1 { sequence: vec![0x12, 0] }, false);
    }
}
