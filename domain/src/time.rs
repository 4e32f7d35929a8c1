//! Exact media time: integer ticks on a named timescale, never floating point.

use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Ticks per second of one media timeline (90 000 for MPEG-TS, 48 000 for 48 kHz audio).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timescale(NonZeroU32);

impl Timescale {
    /// Microseconds, the unit of libav's `AV_TIME_BASE`.
    pub const MICROSECONDS: Self = Self::of(1_000_000);
    /// Milliseconds.
    pub const MILLISECONDS: Self = Self::of(1000);

    const fn of(per_second: u32) -> Self {
        match NonZeroU32::new(per_second) {
            Some(value) => Self(value),
            None => panic!("a timescale is not zero"),
        }
    }

    /// A timescale of `per_second` ticks a second; `None` for zero.
    pub fn new(per_second: u32) -> Option<Self> {
        NonZeroU32::new(per_second).map(Self)
    }

    /// Ticks in one second.
    pub fn per_second(self) -> u32 {
        self.0.get()
    }
}

/// An instant on a media timeline. `Eq` and `Ord` compare instants (1 s at 90 kHz == 1 s at 48 kHz).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MediaTime {
    /// Whole ticks since the timeline's zero; may be negative.
    pub ticks: i64,
    /// What one tick is.
    pub scale: Timescale,
}

impl MediaTime {
    /// The instant `ticks` after zero on `scale`.
    pub fn new(ticks: i64, scale: Timescale) -> Self {
        Self { ticks, scale }
    }

    /// Zero, on a scale of milliseconds.
    pub fn zero() -> Self {
        Self::new(0, Timescale::MILLISECONDS)
    }

    /// The same instant on scale `to`, rounded toward −∞; `None` on overflow.
    pub fn rescale_floor(self, to: Timescale) -> Option<Self> {
        let (scaled, from) = self.scaled(to);
        i64::try_from(scaled.div_euclid(from)).ok().map(|ticks| Self::new(ticks, to))
    }

    /// The same instant on scale `to`, rounded toward +∞; `None` on overflow.
    pub fn rescale_ceil(self, to: Timescale) -> Option<Self> {
        let (scaled, from) = self.scaled(to);
        i64::try_from(-(-scaled).div_euclid(from)).ok().map(|ticks| Self::new(ticks, to))
    }

    /// The same instant on scale `to`, rounded to nearest, halves upward; `None` on overflow.
    pub fn rescale_round(self, to: Timescale) -> Option<Self> {
        let (scaled, from) = self.scaled(to);
        i64::try_from((2 * scaled + from).div_euclid(2 * from)).ok().map(|ticks| Self::new(ticks, to))
    }

    /// `self − earlier` on this instant's scale, rounded to nearest; `None` on overflow.
    pub fn minus(self, earlier: Self) -> Option<Self> {
        let a = i128::from(self.ticks) * i128::from(earlier.scale.per_second());
        let b = i128::from(earlier.ticks) * i128::from(self.scale.per_second());
        let from = i128::from(earlier.scale.per_second());
        i64::try_from((2 * (a - b) + from).div_euclid(2 * from)).ok().map(|ticks| Self::new(ticks, self.scale))
    }

    /// Seconds, for printing only.
    #[expect(clippy::cast_precision_loss, reason = "text output; arithmetic stays in ticks")]
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.scale.per_second())
    }

    /// Whole milliseconds, rounded to nearest and saturated.
    pub fn as_ms(self) -> i64 {
        self.rescale_round(Timescale::MILLISECONDS).map_or(i64::MAX, |time| time.ticks)
    }

    fn scaled(self, to: Timescale) -> (i128, i128) {
        (i128::from(self.ticks) * i128::from(to.per_second()), i128::from(self.scale.per_second()))
    }
}

impl PartialEq for MediaTime {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MediaTime {}

impl PartialOrd for MediaTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for MediaTime {
    fn cmp(&self, other: &Self) -> Ordering {
        let ours = i128::from(self.ticks) * i128::from(other.scale.per_second());
        let theirs = i128::from(other.ticks) * i128::from(self.scale.per_second());
        ours.cmp(&theirs)
    }
}

/// Frames per second as an exact fraction, such as 30000/1001.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u32, u32)", into = "(u32, u32)")]
pub struct FrameRate {
    num: NonZeroU32,
    den: NonZeroU32,
}

impl FrameRate {
    /// `num / den` frames per second in lowest terms; `None` if either is zero.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let (num, den) = (NonZeroU32::new(num)?, NonZeroU32::new(den)?);
        let common = gcd(num.get(), den.get());
        Some(Self { num: NonZeroU32::new(num.get() / common)?, den: NonZeroU32::new(den.get() / common)? })
    }

    /// Frames in [`den`](Self::den) seconds.
    pub fn num(self) -> u32 {
        self.num.get()
    }

    /// Seconds that [`num`](Self::num) frames take.
    pub fn den(self) -> u32 {
        self.den.get()
    }

    /// Frames per second, for printing only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num.get()) / f64::from(self.den.get())
    }

    /// A timescale on which one frame lasts a whole number of ticks: the numerator for
    /// fractional rates (30000 for 30000/1001), else a thousand times it (25000 for 25).
    pub fn timescale(self) -> Timescale {
        let wanted = if self.den.get() == 1 { self.num.get().saturating_mul(1000) } else { self.num.get() };
        Timescale::of(wanted)
    }

    /// Ticks of one frame on [`timescale`](Self::timescale).
    pub fn frame_ticks(self) -> u32 {
        if self.den.get() == 1 { 1000 } else { self.den.get() }
    }

    /// The instant at which frame number `frame` is shown, exactly.
    pub fn instant(self, frame: u64) -> MediaTime {
        let ticks = i64::try_from(u128::from(frame) * u128::from(self.frame_ticks())).unwrap_or(i64::MAX);
        MediaTime::new(ticks, self.timescale())
    }
}

impl fmt::Display for FrameRate {
    /// As people write it: `25`, `29.97`, `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.as_f64());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl TryFrom<(u32, u32)> for FrameRate {
    type Error = &'static str;

    fn try_from((num, den): (u32, u32)) -> Result<Self, Self::Error> {
        Self::new(num, den).ok_or("a frame rate has no zero")
    }
}

impl From<FrameRate> for (u32, u32) {
    fn from(rate: FrameRate) -> Self {
        (rate.num(), rate.den())
    }
}

/// A duration as `HH:MM:SS`, rounded down to the second; hours may take more than two digits.
pub fn hms(duration: MediaTime) -> String {
    let seconds = duration.ticks.max(0) / i64::from(duration.scale.per_second());
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(ticks: i64, per_second: u32) -> MediaTime {
        MediaTime::new(ticks, Timescale::new(per_second).expect("not zero"))
    }

    #[test]
    fn instants_compare_across_scales() {
        assert_eq!(time(90_000, 90_000), time(48_000, 48_000));
        assert!(time(1, 3) < time(334, 1000));
        assert!(time(-1, 3) < time(0, 1));
    }

    #[test]
    fn a_duration_prints_past_a_day() {
        assert_eq!(hms(time(3_661_999, 1000)), "01:01:01");
        assert_eq!(hms(time(360_000, 1)), "100:00:00");
        assert_eq!(hms(time(-5, 1)), "00:00:00");
    }

    #[test]
    fn a_frame_lasts_whole_ticks() {
        let ntsc = FrameRate::new(30_000, 1001).expect("a rate");
        assert_eq!((ntsc.timescale().per_second(), ntsc.frame_ticks()), (30_000, 1001));
        let pal = FrameRate::new(50, 2).expect("a rate");
        assert_eq!((pal.timescale().per_second(), pal.frame_ticks()), (25_000, 1000));
        assert_eq!(ntsc.to_string(), "29.97");
        assert_eq!(FrameRate::new(25, 2).expect("a rate").to_string(), "12.5");
    }

    proptest! {
        #[test]
        fn rounding_brackets_the_instant(ticks in -(1i64 << 40)..1 << 40, from in 1u32..200_000, to in 1u32..200_000) {
            let exact = time(ticks, from);
            let to = Timescale::new(to).expect("not zero");
            let (floor, ceil, round) = (
                exact.rescale_floor(to).expect("fits"),
                exact.rescale_ceil(to).expect("fits"),
                exact.rescale_round(to).expect("fits"),
            );
            prop_assert!(floor <= exact && exact <= ceil);
            prop_assert!(ceil.ticks - floor.ticks <= 1);
            prop_assert!(round == floor || round == ceil);
        }

        #[test]
        fn the_difference_to_oneself_is_nothing(ticks: i64, scale in 1u32..) {
            prop_assert_eq!(time(ticks, scale).minus(time(ticks, scale)), Some(time(0, 1)));
        }
    }
}
