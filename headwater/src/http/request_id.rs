//! The name of one request, in its response and in every log line about it.

use domain::Clock;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that carries it.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken over from a client.
const BYTES_MAX: usize = 128;

/// The client's id if it is a short run of harmless characters, else a new one.
pub(super) fn of(headers: &HeaderMap, clock: &dyn Clock) -> HeaderValue {
    let is_harmless = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    match headers.get(HEADER) {
        Some(id) if (1..=BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_harmless) => id.clone(),
        _ => minted(clock),
    }
}

fn minted(clock: &dyn Clock) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let octets = clock.entropy();
    let mut digits = [0; 32];
    for (pair, octet) in digits.chunks_exact_mut(2).zip(octets) {
        pair[0] = DIGITS[usize::from(octet >> 4)];
        pair[1] = DIGITS[usize::from(octet & 15)];
    }
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_is_echoed_and_any_other_replaced() {
        let clock = domain::ManualClock::at(domain::Timestamp::from_unix_ms(0));
        let answered = |sent: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_str(sent).unwrap());
            of(&headers, &clock).to_str().unwrap().to_owned()
        };
        assert_eq!(answered("trace-1.a:b_c"), "trace-1.a:b_c");
        assert_eq!(answered("two words").len(), 32);
        assert_eq!(answered("").len(), 32);
        assert_eq!(answered(&"x".repeat(129)).len(), 32);
    }
}
