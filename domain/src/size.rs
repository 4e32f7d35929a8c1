//! Amounts with their unit: octets, bits per second, pixels.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A number of octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    /// As people read it, with K, M, G or T for powers of 1024: `999`, `1.5K`, `12.0M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 4] = ["K", "M", "G", "T"];
        if self.0 < 1024 {
            return write!(f, "{}", self.0);
        }
        // Tenths, rounded to nearest; the next unit is taken once this one would print 1024.0.
        let mut unit_bytes = 1024u128;
        for (at, unit) in UNITS.iter().enumerate() {
            let tenths = (u128::from(self.0) * 10 + unit_bytes / 2) / unit_bytes;
            if tenths < 10_240 || at == UNITS.len() - 1 {
                return write!(f, "{}.{}{unit}", tenths / 10, tenths % 10);
            }
            unit_bytes *= 1024;
        }
        Ok(())
    }
}

/// A rate in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bitrate(pub u64);

/// A picture size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Resolution {
    /// The smaller of the two sides: the "p" number that names a rung.
    pub fn short_side(self) -> u32 {
        self.width.min(self.height)
    }

    /// The larger of the two sides.
    pub fn long_side(self) -> u32 {
        self.width.max(self.height)
    }

    /// Width times height.
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Width and height exchanged, as after a quarter turn.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_print_in_the_unit_people_expect() {
        let check = |bytes: u64, text: &str| assert_eq!(ByteSize(bytes).to_string(), text);
        check(0, "0");
        check(1023, "1023");
        check(1024, "1.0K");
        check(1536, "1.5K");
        check(1024 * 1024 - 1, "1.0M");
        check(12 * 1024 * 1024, "12.0M");
        check(5 << 30, "5.0G");
        check(3 << 40, "3.0T");
        check(u64::MAX, "16777216.0T");
    }
}
