//! When an answer was made (RFC 9110 §6.6.1).

use std::time::{Duration, UNIX_EPOCH};

use domain::Timestamp;
use http::HeaderValue;

/// The value of `Date` at `now`.
pub(super) fn of(now: Timestamp) -> HeaderValue {
    let since_epoch = Duration::from_millis(u64::try_from(now.unix_ms()).unwrap_or(0));
    let text = httpdate::fmt_http_date(UNIX_EPOCH + since_epoch);
    HeaderValue::try_from(text).expect("a date is a header value")
}

/// The same, made once for each second.
#[derive(Debug)]
pub(super) struct Clockface {
    second: i64,
    value: HeaderValue,
}

impl Clockface {
    /// One that has not been looked at.
    pub(super) fn new() -> Self {
        Self { second: -1, value: HeaderValue::from_static("") }
    }

    /// The value of `Date` at `now`.
    pub(super) fn at(&mut self, now: Timestamp) -> &HeaderValue {
        let second = now.unix_ms().div_euclid(1000);
        if second != self.second {
            (self.second, self.value) = (second, of(now));
        }
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clockface_shows_the_second_it_is_looked_at_in() {
        let mut clockface = Clockface::new();
        for (ms, shown) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (999, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1000, "Thu, 01 Jan 1970 00:00:01 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_500, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ] {
            assert_eq!(clockface.at(Timestamp::from_unix_ms(ms)), shown);
        }
    }
}
