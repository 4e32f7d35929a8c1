//! Codes by time (RFC 6238): six digits, every 30 seconds, by HMAC-SHA-1 as all programs for it have them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use domain::Timestamp;

/// How long one code is shown.
const STEP_MS: i64 = 30_000;
/// Steps that clocks may differ by.
const SKEW: i64 = 1;
/// What the digits of base 32 are (RFC 4648 §6).
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step whose code this is, if it is one of now.
pub(crate) fn step_of(secret: &[u8], code: &str, now: Timestamp) -> Option<i64> {
    let present = now.unix_ms().div_euclid(STEP_MS);
    // All are compared, so that the time it takes tells nothing.
    let matching = |step: &i64| verify_slices_are_equal(code_at(secret, *step).as_bytes(), code.as_bytes()).is_ok();
    (present - SKEW..=present + SKEW).filter(matching).fold(None, |_, step| Some(step))
}

/// The code of a step.
pub(crate) fn code_at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let mac = hmac::sign(&key, &step.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac.last().copied().unwrap_or(0) & 0x0f);
    let number =
        mac.get(at..at + 4).and_then(|four| four.first_chunk::<4>()).map_or(0, |four| u32::from_be_bytes(*four));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// A secret as people type it.
pub(crate) fn base32(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().div_ceil(5) * 8);
    for five in octets.chunks(5) {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte)) << (8 * (5 - five.len()));
        let digits = (five.len() * 8).div_ceil(5);
        for at in 0..digits {
            let digit = usize::try_from(bits >> (35 - 5 * at) & 31).unwrap_or(0);
            text.push(char::from(DIGITS[digit]));
        }
    }
    text
}

/// What stands in hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 6238, appendix B, of which the last six digits.
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(code_at(SECRET, seconds / 30), code, "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_for_a_minute_and_a_half() {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let step = 1_111_111_109 / 30;
        for (seconds, expected) in [(-61, None), (-30, Some(step)), (0, Some(step)), (30, Some(step)), (61, None)] {
            assert_eq!(step_of(SECRET, "081804", at(1_111_111_109 + seconds)), expected, "{seconds}");
        }
        for wrong in ["", "081805", "0818040", "81804"] {
            assert_eq!(step_of(SECRET, wrong, at(1_111_111_109)), None, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_written_in_base_32() {
        // RFC 4648 §10, without padding.
        for (octets, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"), // typos: ignore
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(octets.as_bytes()), text);
        }
        assert_eq!(unhex("00ff7f"), [0, 255, 127]);
    }
}
