//! How loud sound is, as EBU R128 has it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How loud one track of a source is, over its whole length (EBU R128, ITU-R BS.1770).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loudness {
    /// Index of the stream in its container.
    pub stream_index: u32,
    /// Integrated loudness in LUFS; `None` for silence.
    pub integrated_lufs: Option<Hundredths>,
    /// Loudness range in LU (EBU Tech 3342).
    pub range_lu: Hundredths,
    /// Highest true peak of any channel in dBTP; `None` for silence.
    pub true_peak_dbtp: Option<Hundredths>,
}

/// A number with two decimals; in JSON a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Hundredths(i32);

impl Hundredths {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest number: nothing that is measured comes near it.
    const MAX: f64 = 100_000.0;

    /// `value`, rounded; `None` for infinities, for what is no number, and beyond ±100 000.
    pub fn new(value: f64) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be small and finite")]
        (value.abs() <= Self::MAX).then(|| Self((value * 100.0).round() as i32))
    }
}

/// Not a number with two decimals.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a number between -100000 and 100000 is wanted")]
pub struct OutOfRange;

impl TryFrom<f64> for Hundredths {
    type Error = OutOfRange;

    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value).ok_or(OutOfRange)
    }
}

impl From<Hundredths> for f64 {
    fn from(value: Hundredths) -> Self {
        Self::from(value.0) / 100.0
    }
}

/// With one decimal, as people read loudness.
impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", f64::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_reads_back_from_its_json() {
        let loudness = Loudness {
            stream_index: 1,
            integrated_lufs: Hundredths::new(-16.234),
            range_lu: Hundredths::new(7.0).expect("small"),
            true_peak_dbtp: None,
        };
        let json = serde_json::to_string(&loudness).expect("serialises");
        assert_eq!(json, r#"{"stream_index":1,"integrated_lufs":-16.23,"range_lu":7.0,"true_peak_dbtp":null}"#);
        assert_eq!(serde_json::from_str::<Loudness>(&json).expect("reads back"), loudness);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        assert_eq!([f64::NAN, f64::NEG_INFINITY, 1e9].map(Hundredths::new), [None; 3]);
        assert_eq!(Hundredths::new(-0.16).expect("small").to_string(), "-0.2");
        assert!(serde_json::from_str::<Hundredths>("1e300").is_err());
    }
}
