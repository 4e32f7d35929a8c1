//! Instants as subtitle files write them.

use domain::{MediaTime, Timescale};

/// Largest number of hours; nothing that is played here comes near it.
const HOURS_MAX: i64 = 9999;

/// Longest run of digits of a minute or second: some programs pad to three.
const DIGITS_MAX: usize = 3;

/// `[H:]MM:SS[,mmm]` of SubRip and WebVTT, with a comma or a point before exactly three decimals.
pub(super) fn clock(text: &str) -> Option<MediaTime> {
    let (whole, millis) = match text.split_once([',', '.']) {
        Some((whole, decimals)) if decimals.len() == 3 => (whole, number(decimals, 999)?),
        Some(_) => return None,
        None => (text, 0),
    };
    let mut parts = whole.rsplit(':');
    let (seconds, minutes, hours) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    if parts.next().is_some() {
        return None;
    }
    instant(hours, minutes, seconds, millis)
}

/// `H:MM:SS.cc` of ASS; some programs write a colon before the centiseconds.
pub(super) fn ass(text: &str) -> Option<MediaTime> {
    let mut parts = text.trim().split([':', '.', ',']);
    let (hours, minutes, seconds, decimals) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let unit = match decimals.len() {
        1 => 100,
        2 => 10,
        3 => 1,
        _ => return None,
    };
    instant(hours, minutes, seconds, number(decimals, 999)? * unit)
}

fn instant(hours: &str, minutes: &str, seconds: &str, millis: i64) -> Option<MediaTime> {
    if minutes.len() > DIGITS_MAX || seconds.len() > DIGITS_MAX {
        return None;
    }
    let (hours, minutes, seconds) = (number(hours, HOURS_MAX)?, number(minutes, 59)?, number(seconds, 59)?);
    Some(MediaTime::new(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis, Timescale::MILLISECONDS))
}

/// A decimal number of nothing but digits.
fn number(text: &str, max: i64) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_subrip_and_webvtt() {
        let check = |text: &str, ms: Option<i64>| assert_eq!(clock(text).map(MediaTime::as_ms), ms, "{text}");
        check("00:00:01,234", Some(1234));
        check("1:02:03.004", Some(3_723_004));
        check("02:03.004", Some(123_004));
        check("00:00:013,567", Some(13_567));
        check("00:00:07", Some(7000));
        check("100:00:00.000", Some(360_000_000));
        for broken in ["00:00:03,4560", "02:00:08,90", "00:60:00.000", "00:00:60.000", "1.000", "a:00:00.000"] {
            check(broken, None);
        }
        for broken in ["", ":", "::", "-1:00:00.000", "+1:00.000", "0:0:0:0.000", "99999:00:00.000", "00:00:0000.000"] {
            check(broken, None);
        }
    }

    #[test]
    fn times_of_ass() {
        let check = |text: &str, ms: Option<i64>| assert_eq!(ass(text).map(MediaTime::as_ms), ms, "{text}");
        check("0:00:01.23", Some(1230));
        check(" 0:00:04:56 ", Some(4560));
        check("1:00:00.5", Some(3_600_500));
        check("0:00:01.234", Some(1234));
        for broken in ["Invalid", "", "0:00:01", "0:00:01.2345", "0:61:00.00", "0:00:00:00:00"] {
            check(broken, None);
        }
    }
}
