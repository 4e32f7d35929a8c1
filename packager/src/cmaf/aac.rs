//! AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1), read far enough to check it against the plan.

use super::{AudioConfig, CmafError};

/// Sampling frequencies by their index (ISO/IEC 14496-3 table 1.18).
const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8000, 7350];

/// AAC-LC.
const LOW_COMPLEXITY: u8 = 2;

/// Longest config that is taken; real ones have 2 to 8 octets.
const CONFIG_BYTES_MAX: usize = 64;

/// Fails unless `config` describes AAC-LC of the planned rate and number of channels.
pub(super) fn check(config: &AudioConfig) -> Result<(), CmafError> {
    let unusable = |reason| CmafError::Config { what: "AudioSpecificConfig", reason };
    if config.config.len() > CONFIG_BYTES_MAX {
        return Err(unusable("it is too long"));
    }
    let &[first, second, ..] = config.config.as_slice() else { return Err(unusable("it is cut short")) };
    if first >> 3 != LOW_COMPLEXITY {
        return Err(unusable("it is not AAC-LC"));
    }
    let rate = RATES.get(usize::from((first & 7) << 1 | second >> 7));
    if rate != Some(&config.sample_rate.per_second()) {
        return Err(unusable("it states another sample rate"));
    }
    let channels = match second >> 3 & 15 {
        stated @ 1..=6 => u16::from(stated),
        7 => 8,
        _ => return Err(unusable("it states no known channel layout")),
    };
    if channels != config.channels {
        return Err(unusable("it states another number of channels"));
    }
    Ok(())
}
