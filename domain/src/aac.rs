//! AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1), read as far as plain AAC-LC goes.

/// Sampling frequencies by their index (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// AAC-LC, and SBR (ISO/IEC 14496-3 table 1.17).
const LOW_COMPLEXITY: u64 = 2;
const SBR: u64 = 5;

/// syncExtensionType that announces SBR behind the rest.
const SYNC_EXTENSION: u64 = 0x2b7;

/// Channels by the channel configuration (ISO/IEC 14496-3 table 1.19); 0 is a layout of its own.
const CHANNELS: [u16; 8] = [0, 1, 2, 3, 4, 5, 6, 8];

/// What the config of a plain AAC-LC stream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LowComplexity {
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels: one of the layouts that have a number of their own.
    pub channels: u16,
}

impl LowComplexity {
    /// Reads `config`; `None` unless it is AAC-LC in frames of 1024 samples, without SBR or PS and without
    /// anything that is not understood here.
    ///
    /// Ten bits that say that there is no SBR may follow, as FFmpeg's encoder writes them.
    pub fn of(config: &[u8]) -> Option<Self> {
        let mut bits = Bits { bytes: config, at: 0 };
        if bits.take(5)? != LOW_COMPLEXITY {
            return None;
        }
        let sample_rate = *RATES.get(usize::try_from(bits.take(4)?).ok()?)?;
        let channels = *CHANNELS.get(usize::try_from(bits.take(4)?).ok()?).filter(|channels| **channels > 0)?;
        // frameLengthFlag, dependsOnCoreCoder, extensionFlag.
        if bits.take(3)? != 0 {
            return None;
        }
        if bits.left() >= 17 && bits.peek(11) == Some(SYNC_EXTENSION) {
            let (_, kind, has_sbr) = (bits.take(11)?, bits.take(5)?, bits.take(1)?);
            if kind != SBR || has_sbr != 0 {
                return None;
            }
        }
        // The rest is padding.
        while bits.left() > 0 {
            if bits.take(bits.left().min(8))? != 0 {
                return None;
            }
        }
        Some(Self { sample_rate, channels })
    }
}

/// Bits, the highest of each octet first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    fn peek(&self, count: usize) -> Option<u64> {
        let bit = |at: usize| self.bytes.get(at / 8).map(|byte| u64::from(byte >> (7 - at % 8) & 1));
        (self.at..self.at + count).try_fold(0, |value, at| Some(value << 1 | bit(at)?))
    }

    fn take(&mut self, count: usize) -> Option<u64> {
        let value = self.peek(count)?;
        self.at += count;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(config: &[u8], expected: Option<(u32, u16)>) {
        let found = LowComplexity::of(config).map(|read| (read.sample_rate, read.channels));
        assert_eq!(found, expected, "{config:02x?}");
    }

    #[test]
    fn plain_aac_lc_is_read() {
        check(&[0x11, 0x90], Some((48_000, 2)));
        check(&[0x12, 0x10], Some((44_100, 2)));
        check(&[0x11, 0x88], Some((48_000, 1)));
        check(&[0x11, 0xb0], Some((48_000, 6)));
        check(&[0x11, 0x90, 0x56, 0xe5, 0x00], Some((48_000, 2)));
        check(&[0x11, 0x90, 0, 0], Some((48_000, 2)));
    }

    #[test]
    fn everything_else_is_not() {
        check(&[], None);
        check(&[0x11], None);
        // HE-AAC and HE-AAC v2, said outright.
        check(&[0x2b, 0x11, 0x88, 0x00], None);
        check(&[0xeb, 0x09, 0x88, 0x00], None);
        // SBR behind the config of AAC-LC.
        check(&[0x13, 0x10, 0x56, 0xe5, 0x80], None);
        check(&[0x11, 0x90, 0x56, 0xe5, 0x9d, 0x80], None);
        // Main profile, frames of 960 samples, a layout of its own, a rate of its own, unknown bits behind.
        check(&[0x09, 0x90], None);
        check(&[0x11, 0x94], None);
        check(&[0x11, 0x80], None);
        check(&[0x17, 0x80, 0x17, 0x70, 0x10], None);
        check(&[0x11, 0x90, 0x01], None);
    }

    proptest! {
        #[test]
        fn whatever_is_read_has_a_rate_and_channels(config in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Some(read) = LowComplexity::of(&config) {
                prop_assert!(RATES.contains(&read.sample_rate) && CHANNELS[1..].contains(&read.channels));
                prop_assert_eq!(config[0] >> 3, 2);
            }
        }
    }
}
