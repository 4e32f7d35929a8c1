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

    /// The instant that a text names in RFC 3339, such as `2026-11-21T06:26:59Z` or `2026-11-21T08:26:59.5+02:00`; `None`
    /// if it names none. What is finer than a millisecond is cut off.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let days = date.parse::<crate::about::Date>().ok()?.days();
        let rest = rest.strip_prefix(['T', 't'])?;
        let (time, zone) = rest.split_at(rest.find(['Z', 'z', '+', '-'])?);
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let seconds = match time.split(':').collect::<Vec<_>>()[..] {
            [hour, minute, second] => two(hour, 23)? * 3600 + two(minute, 59)? * 60 + two(second, 59)?,
            _ => return None,
        };
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
        let offset = match zone {
            "Z" | "z" => 0,
            _ => {
                let (hour, minute) = zone.get(1..)?.split_once(':')?;
                let offset = two(hour, 23)? * 3600 + two(minute, 59)? * 60;
                if zone.starts_with('-') { -offset } else { offset }
            }
        };
        Some(Self(((days * 86_400 + seconds - offset) * 1000) + ms))
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

/// A number of two digits, at most `most`.
fn two(text: &str, most: i64) -> Option<i64> {
    let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_two && *number <= most)
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
    fn instants_read_as_they_are_written() {
        for text in ["2026-11-21T06:26:59.000Z", "1970-01-01T00:00:00.000Z", "2000-02-29T23:59:59.999Z"] {
            assert_eq!(Timestamp::from_rfc3339(text).expect(text).rfc3339(), text);
        }
        for (text, ms) in
            [("1970-01-01T02:00:01.5+02:00", 1500), ("1969-12-31T23:00:00-01:00", 0), ("1970-01-01t00:00:00z", 0)]
        {
            assert_eq!(Timestamp::from_rfc3339(text), Some(Timestamp(ms)), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T06:26Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21 06:26:59Z",
            "2026-11-21T06:26:59",
            "2026-11-21T06:26:5é.Z",
            "2026-02-30T00:00:00Z",
            "2026-11-21T06:26:59.Z",
            "2026-11-21T06:26:59+1:0",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_unix_ms(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_unix_ms(951_782_400_123).rfc3339(), "2000-02-29T00:00:00.123Z");
        assert_eq!(Timestamp::from_unix_ms(1_795_242_419_000).rfc3339(), "2026-11-21T06:26:59.000Z");
    }
}
