//! How loud sound is, as EBU R128 has it.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::Plan;

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

/// Loudness that sound can be brought to, in LUFS. Broadcasters ask for -23 (EBU R128), streaming services for -14 to
/// -18.
pub const TARGETS_LUFS: RangeInclusive<i8> = -31..=-10;

/// Highest true peak of sound that was made louder, in dBTP (EBU R128 s2: lossy coding adds peaks of its own).
const TRUE_PEAK_MAX_DBTP: f64 = -1.0;

/// Most that sound is made louder or softer, in decibels: what is nearly silent is meant to be.
const GAIN_MAX_DB: f64 = 20.0;

/// Decibels by which a track has to be made louder to come to `target_lufs`; `None` for silence.
///
/// One factor for the whole track, so that loud and soft passages keep their distance. It is made no louder than its
/// peaks permit: a track with a wide range stays below the target rather than being clipped or compressed.
pub fn gain(measured: &Loudness, target_lufs: i8) -> Option<Hundredths> {
    let wanted = f64::from(target_lufs) - f64::from(measured.integrated_lufs?);
    let room = measured.true_peak_dbtp.map_or(0.0, |peak| TRUE_PEAK_MAX_DBTP - f64::from(peak));
    // What peaks too high already is not made softer for that alone.
    Hundredths::new(wanted.min(room.max(0.0)).clamp(-GAIN_MAX_DB, GAIN_MAX_DB))
}

impl Plan {
    /// The same plan with a gain for each rendition whose track was measured, if the recipe asks for a loudness.
    ///
    /// `as_stereo` is what tracks of more channels come to when they are mixed down.
    #[must_use]
    pub fn with_loudness(mut self, measured: &[Loudness], as_stereo: &[Loudness]) -> Self {
        let Some(target) = self.recipe.loudness_target_lufs else { return self };
        for audio in &mut self.audio {
            let heard = if audio.channels > 2 { [].iter().chain(measured) } else { as_stereo.iter().chain(measured) };
            let own = heard.into_iter().find(|loudness| loudness.stream_index == audio.stream_index);
            audio.gain_db = own.and_then(|loudness| gain(loudness, target)).filter(|gain| *gain != Hundredths::ZERO);
        }
        self
    }

    /// True if the loudness of its sound decides what is made of it.
    pub fn needs_loudness(&self) -> bool {
        self.recipe.loudness_target_lufs.is_some() && !self.audio.is_empty()
    }
}

/// A number with two decimals; in JSON a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Hundredths(i32);

impl Hundredths {
    /// As a factor of amplitude, where it is in decibels.
    pub fn to_amplitude(self) -> f64 {
        10f64.powf(f64::from(self) / 20.0)
    }

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

    fn hundredths(value: f64) -> Hundredths {
        Hundredths::new(value).expect("a number")
    }

    fn measured(integrated: f64, peak: f64) -> Loudness {
        Loudness {
            stream_index: 1,
            integrated_lufs: Some(hundredths(integrated)),
            range_lu: hundredths(5.0),
            true_peak_dbtp: Some(hundredths(peak)),
        }
    }

    #[test]
    fn sound_is_brought_to_its_target_as_far_as_its_peaks_permit() {
        let check = |loudness: &Loudness, target, expected| {
            assert_eq!(gain(loudness, target), Some(hundredths(expected)), "{loudness:?} to {target}");
        };
        check(&measured(-30.0, -20.0), -16, 14.0);
        check(&measured(-10.0, -0.5), -16, -6.0);
        check(&measured(-20.5, -3.0), -16, 2.0);
        check(&measured(-20.0, 1.5), -16, 0.0);
        check(&measured(-16.0, -9.0), -16, 0.0);
        check(&measured(-69.0, -60.0), -16, 20.0);
    }

    #[test]
    fn silence_stays_silent() {
        let silence = Loudness { integrated_lufs: None, true_peak_dbtp: None, ..measured(0.0, 0.0) };
        assert_eq!(gain(&silence, -16), None);
    }

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
