//! How often something may be tried, by whom: in memory of fixed size, however many try.
//!
//! Each subject has two cells among many, found by two secret hashes; what both agree on counts. That somebody else
//! falls into one of them changes nothing, and nobody can push a subject out.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::Timestamp;

/// Cells of each of the two rows.
const CELLS: usize = 1 << 15;

/// How often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// Its name in header fields.
    pub(crate) name: &'static str,
    /// As many at once.
    pub(crate) burst: u32,
    /// Then one in this time.
    pub(crate) period_ms: i64,
}

/// Passwords for one account.
pub(crate) const LOGIN_OF_ACCOUNT: Policy = Policy { name: "login-account", burst: 20, period_ms: 10_000 };
/// Passwords from one address.
pub(crate) const LOGIN: Policy = Policy { name: "login", burst: 30, period_ms: 2000 };
/// Codes of the second factor of one account.
pub(crate) const CODES: Policy = Policy { name: "codes", burst: 5, period_ms: 300_000 };
/// Tokens and links shown by one address.
pub(crate) const TOKENS: Policy = Policy { name: "tokens", burst: 60, period_ms: 1000 };
/// Letters asked for by one address.
pub(crate) const LETTERS: Policy = Policy { name: "letters", burst: 10, period_ms: 60_000 };
/// Letters to one address.
pub(crate) const LETTERS_TO: Policy = Policy { name: "letters-to", burst: 3, period_ms: 600_000 };

/// What is left after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    policy: &'static str,
    burst: u32,
    window_s: i64,
    pub(crate) is_exceeded: bool,
    remaining: u32,
    /// Until there is one more, if there is none; else until there are all.
    pub(crate) reset_s: u32,
}

impl Allowance {
    /// Tells it as the IETF draft on RateLimit fields has it.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let Self { policy, burst, window_s, remaining, reset_s, .. } = self;
        let fields = [
            ("ratelimit-policy", format!("\"{policy}\";q={burst};w={window_s}")),
            ("ratelimit", format!("\"{policy}\";r={remaining};t={reset_s}")),
        ];
        for (name, value) in fields {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (HeaderName::from_static(name), value)));
        }
    }
}

/// Counts tries. By the generic cell rate algorithm: a cell holds when everything that was tried is paid for.
pub(crate) struct Throttle {
    hashers: [RandomState; 2],
    paid_at: Mutex<Box<[i64]>>,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        let cells = vec![0; 2 * CELLS].into_boxed_slice();
        Self { hashers: [RandomState::new(), RandomState::new()], paid_at: Mutex::new(cells) }
    }

    /// Counts one try of `subject`; one too many is not counted.
    pub(crate) fn take(&self, policy: &Policy, subject: &str, now: Timestamp) -> Allowance {
        let places = self.places(policy, subject);
        let now = now.unix_ms();
        let mut cells = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let before = places.map(|place| cells[place]).into_iter().min().unwrap_or(0).max(now);
        let after = before + policy.period_ms;
        let depth = i64::from(policy.burst) * policy.period_ms;
        let is_exceeded = after - now > depth;
        if !is_exceeded {
            for place in places {
                cells[place] = cells[place].max(after);
            }
        }
        let remaining = if is_exceeded { 0 } else { (depth - (after - now)) / policy.period_ms };
        let reset_ms = if is_exceeded { after - now - depth } else { after - now };
        Allowance {
            policy: policy.name,
            burst: policy.burst,
            window_s: depth / 1000,
            is_exceeded,
            remaining: u32::try_from(remaining).unwrap_or(0),
            reset_s: u32::try_from((reset_ms + 999) / 1000).unwrap_or(u32::MAX).max(1),
        }
    }

    /// Takes one try back: it was none to count.
    pub(crate) fn give_back(&self, policy: &Policy, subject: &str) {
        let places = self.places(policy, subject);
        let mut cells = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        for place in places {
            cells[place] -= policy.period_ms;
        }
    }

    fn places(&self, policy: &Policy, subject: &str) -> [usize; 2] {
        let place = |row: usize| {
            let hash = self.hashers[row].hash_one((policy.name, subject));
            row * CELLS + usize::try_from(hash % CELLS as u64).unwrap_or(0)
        };
        [place(0), place(1)]
    }
}

/// What counts as one address: of IPv6 all that one subscriber has.
pub(crate) fn neighbourhood(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(four)) => four.to_string(),
        Some(IpAddr::V6(six)) => format!("{:x}", six.to_bits() >> 64),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: Policy = Policy { name: "three", burst: 3, period_ms: 1000 };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    #[test]
    fn so_many_at_once_and_then_one_in_a_while() {
        let throttle = Throttle::new();
        let tried = |subject: &str, ms| !throttle.take(&THREE, subject, at(ms)).is_exceeded;
        assert_eq!([0, 0, 0, 0].map(|ms| tried("ada", ms)), [true, true, true, false]);
        assert!(tried("bob", 0), "everybody has their own");
        assert!(!tried("ada", 999) && tried("ada", 1000) && !tried("ada", 1000));
        throttle.give_back(&THREE, "ada");
        assert!(tried("ada", 1000) && !tried("ada", 1000));
    }

    #[test]
    fn a_flood_of_others_takes_nothing_from_one() {
        let throttle = Throttle::new();
        for _ in 0..3 {
            throttle.take(&THREE, "ada", at(0));
        }
        for other in 0..3000 {
            throttle.take(&THREE, &format!("other-{other}"), at(0));
        }
        assert!(throttle.take(&THREE, "ada", at(0)).is_exceeded, "nobody is pushed out");
        let refused = (0..1000).filter(|other| throttle.take(&THREE, &format!("new-{other}"), at(0)).is_exceeded);
        assert!(refused.count() < 10, "two cells are seldom both somebody else's");
    }

    #[test]
    fn what_is_left_is_told() {
        let throttle = Throttle::new();
        let mut headers = HeaderMap::new();
        throttle.take(&THREE, "ada", at(0)).write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"three\";q=3;w=3");
        assert_eq!(headers["ratelimit"], "\"three\";r=2;t=1");
        for _ in 0..2 {
            throttle.take(&THREE, "ada", at(0));
        }
        let refused = throttle.take(&THREE, "ada", at(100));
        assert_eq!((refused.is_exceeded, refused.remaining, refused.reset_s), (true, 0, 1));
    }

    #[test]
    fn the_addresses_of_one_subscriber_count_as_one() {
        let of = |text: &str| neighbourhood(text.parse().ok());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
