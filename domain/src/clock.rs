//! Time and chance, the two things a pure program cannot make for itself, passed in from outside.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// A wall-clock instant, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `unix_ms` milliseconds after the Unix epoch.
    pub fn from_unix_ms(unix_ms: i64) -> Self {
        Self(unix_ms)
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0
    }

    /// This instant moved `duration` into the future; saturates at the end of time.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Time from `earlier` to this instant; zero when `earlier` lies in the future.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, such as `2026-11-21T06:26:59.000Z`.
    pub fn rfc3339(self) -> String {
        let days = self.0.div_euclid(86_400_000);
        let ms = self.0.rem_euclid(86_400_000);
        // Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + i64::from(month <= 2);
        let (hour, minute, second, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

impl Timestamp {
    /// The instant that RFC 3339 writes like this, to the millisecond; `None` if it writes none. A leap second is the
    /// one before it.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            let digits = text.get(range)?;
            if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let octets = text.as_bytes();
        let is_at = |at: usize, wanted: &[u8]| octets.get(at).is_some_and(|octet| wanted.contains(octet));
        if !(is_at(4, b"-") && is_at(7, b"-") && is_at(10, b"Tt ") && is_at(13, b":") && is_at(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?.min(59));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if !(1..=12).contains(&month) || !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 {
            return None;
        }
        if octets.get(17).is_none_or(|octet| *octet > b'6') {
            return None;
        }
        let rest = text.get(19..)?;
        let digits = rest.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let (fraction, zone) = match digits {
            0 => ("", rest),
            digits => (rest.get(1..1 + digits)?, rest.get(1 + digits..)?),
        };
        let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let offset_minutes = match zone.as_bytes() {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|d| d.is_ascii_digit()) => {
                let two = |tens: u8, ones: u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
                let (hours, minutes) = (two(*h1, *h2), two(*m1, *m2));
                if hours > 23 || minutes > 59 {
                    return None;
                }
                if *sign == b'-' { -(hours * 60 + minutes) } else { hours * 60 + minutes }
            }
            _ => return None,
        };
        // Civil date to days after the same source as above.
        let y = year - i64::from(month <= 2);
        let era = y.div_euclid(400);
        let yoe = y - era * 400;
        let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
        let minutes = days * 1440 + hour * 60 + minute - offset_minutes;
        Some(Self((minutes * 60 + second) * 1000 + ms))
    }
}

/// The source of wall time and of randomness; `SystemClock` in the binary is the only real one.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
    /// 16 unpredictable bytes, for ids that nobody may guess.
    fn entropy(&self) -> [u8; 16];
}

/// A clock that stands still until told otherwise, with counted "entropy"; for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, u128)>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new((now, 1)))
    }

    /// Moves the clock forward by `duration`.
    pub fn advance(&self, duration: std::time::Duration) {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.0 = state.0.plus(duration);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    fn entropy(&self) -> [u8; 16] {
        let mut state = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.1 = state.1.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(1);
        state.1.to_be_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_unix_ms(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_unix_ms(951_782_400_123).rfc3339(), "2000-02-29T00:00:00.123Z");
        assert_eq!(Timestamp::from_unix_ms(1_795_242_419_000).rfc3339(), "2026-11-21T06:26:59.000Z");
    }

    #[test]
    fn an_instant_is_read_as_it_is_printed_and_in_other_zones() {
        for unix_ms in [0, 951_782_400_123, 1_795_242_419_000, -1, -62_135_596_800_000, 253_402_300_799_999] {
            let instant = Timestamp::from_unix_ms(unix_ms);
            assert_eq!(Timestamp::parse_rfc3339(&instant.rfc3339()), Some(instant), "{}", instant.rfc3339());
        }
        let read = |text| Timestamp::parse_rfc3339(text).map(Timestamp::rfc3339);
        assert_eq!(read("2026-11-29t05:40:00z").as_deref(), Some("2026-11-29T05:40:00.000Z"));
        assert_eq!(read("2026-11-29T05:40:00.5+01:30").as_deref(), Some("2026-11-29T04:10:00.500Z"));
        assert_eq!(read("2026-12-31T23:59:60-00:01").as_deref(), Some("2027-01-01T00:00:59.000Z"));
        for wrong in [
            "",
            "2026-11-29",
            "2026-11-29T05:40Z",
            "2026-11-29T05:40:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-29T24:00:00Z",
            "2026-11-29T00:60:00Z",
            "2026-11-29T00:00:70Z",
            "2026-11-29T00:00:00.Z",
            "2026-11-29T00:00:00+1:00",
            "+026-11-29T00:00:00Z",
            "2026-11-29T00:00:00\u{e9}",
            "2026-11-29T00:00:00+24:00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
