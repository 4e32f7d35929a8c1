//! How many wrong passwords are looked at: in memory of fixed size, however many are tried.
//!
//! Each subject has two cells among many, found by two secret hashes; what both agree on counts. That somebody else falls
//! into one of them changes nothing, and nobody can push a subject out.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

/// Cells of each of the two rows.
const CELLS: usize = 1 << 14;

/// How often.
struct Bound {
    /// As many at once.
    burst: u64,
    /// Then one in this time.
    period_ms: u64,
}

/// Wrong passwords of one asset from one address.
const OF_ADDRESS: Bound = Bound { burst: 20, period_ms: 15_000 };
/// Wrong passwords of one asset, from wherever they come.
const OF_ASSET: Bound = Bound { burst: 300, period_ms: 2_000 };

/// Counts tries by the generic cell rate algorithm: a cell holds when everything that was tried is paid for.
pub(super) struct Attempts {
    hashers: [RandomState; 2],
    begun: Instant,
    paid_at_ms: Mutex<Box<[u64]>>,
}

/// Somebody's try, which counts unless it is [given back](Attempts::give_back).
pub(super) struct Attempt([([usize; 2], Bound); 2]);

impl Attempts {
    pub(super) fn new() -> Self {
        let cells = vec![0; 2 * CELLS].into_boxed_slice();
        let hashers = [RandomState::new(), RandomState::new()];
        Self { hashers, begun: Instant::now(), paid_at_ms: Mutex::new(cells) }
    }

    /// Counts one try of a password that is kept as `hash`; one too many is not counted.
    ///
    /// # Errors
    /// After what time there is room for one.
    pub(super) fn take(&self, hash: &str, neighbourhood: &str) -> Result<Attempt, Duration> {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX / 2);
        let subjects = [(self.places(hash, neighbourhood), OF_ADDRESS), (self.places(hash, ""), OF_ASSET)];
        let mut cells = self.paid_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        let paid_after = |cells: &[u64], places: &[usize; 2], bound: &Bound| {
            places.map(|place| cells[place]).into_iter().min().unwrap_or(0).max(now) + bound.period_ms
        };
        for (places, bound) in &subjects {
            let (after, depth) = (paid_after(&cells, places, bound), bound.burst * bound.period_ms);
            if after - now > depth {
                return Err(Duration::from_millis(after - now - depth));
            }
        }
        for (places, bound) in &subjects {
            let after = paid_after(&cells, places, bound);
            for place in places {
                cells[*place] = cells[*place].max(after);
            }
        }
        Ok(Attempt(subjects))
    }

    /// Takes one try back: it was none to count.
    pub(super) fn give_back(&self, Attempt(subjects): Attempt) {
        let mut cells = self.paid_at_ms.lock().unwrap_or_else(PoisonError::into_inner);
        for (places, bound) in subjects {
            for place in places {
                cells[place] = cells[place].saturating_sub(bound.period_ms);
            }
        }
    }

    fn places(&self, hash: &str, neighbourhood: &str) -> [usize; 2] {
        let place = |row: usize| {
            let hash = self.hashers[row].hash_one((hash, neighbourhood));
            row * CELLS + usize::try_from(hash % CELLS as u64).unwrap_or(0)
        };
        [place(0), place(1)]
    }
}

/// For whom a request is sent: behind proxies that are believed, the nearest address that is none of them.
pub(super) fn viewer(headers: &HeaderMap, peer: Option<IpAddr>, is_proxy: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !is_proxy(peer) {
        return Some(peer);
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev().filter_map(|line| line.to_str().ok());
    let hops = lines.flat_map(|line| line.rsplit(',')).map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let (mut last, mut hops) = (peer, hops.map(|hop| hop.to_canonical()));
    // Ends with the lines.
    while let (true, Some(hop)) = (is_proxy(last), hops.next()) {
        last = hop;
    }
    Some(last)
}

/// What counts as one address: of IPv6 all that one subscriber has.
pub(super) fn neighbourhood(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(four)) => four.to_string(),
        Some(IpAddr::V6(six)) => format!("{:x}", six.to_bits() >> 64),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_at_once_and_then_one_in_a_while() {
        let attempts = Attempts::new();
        let tried = |address: &str| attempts.take("hash", address).map(drop);
        assert!((0..20).all(|_| tried("a").is_ok()));
        assert_eq!(tried("a"), Err(Duration::from_secs(15)));
        assert_eq!(tried("b"), Ok(()), "everybody has their own");
        assert!(attempts.take("other", "a").is_ok(), "so has every asset");
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!((tried("a").is_ok(), tried("a").is_ok()), (true, false));
        tokio::time::advance(Duration::from_secs(15)).await;
        let attempt = attempts.take("hash", "a").expect("there is room for one");
        attempts.give_back(attempt);
        assert_eq!((tried("a").is_ok(), tried("a").is_ok()), (true, false));
    }

    #[tokio::test(start_paused = true)]
    async fn an_asset_is_not_guessed_at_by_many_together() {
        let attempts = Attempts::new();
        let taken = (0..1000).filter(|nth| attempts.take("hash", &format!("address {nth}")).is_ok()).count();
        assert_eq!(taken, 300);
    }

    #[test]
    fn a_proxy_is_believed_about_whom_it_speaks_for_and_nobody_else_is() {
        let of = |peer: &str, lines: &[&'static str]| {
            let lines =
                lines.iter().map(|line| (http::HeaderName::from_static("x-forwarded-for"), line.parse().unwrap()));
            let headers = HeaderMap::from_iter(lines);
            viewer(&headers, peer.parse().ok(), |address| address.is_loopback()).map(|address| address.to_string())
        };
        assert_eq!(of("192.0.2.1", &["192.0.2.9"]).as_deref(), Some("192.0.2.1"));
        assert_eq!(of("127.0.0.1", &["192.0.2.8, 192.0.2.9, 127.0.0.2"]).as_deref(), Some("192.0.2.9"));
        assert_eq!(of("::ffff:127.0.0.1", &["192.0.2.9"]).as_deref(), Some("192.0.2.9"));
        for nothing in [&[][..], &["unknown"]] {
            assert_eq!(of("127.0.0.1", nothing).as_deref(), Some("127.0.0.1"));
        }
        assert_eq!(of("nobody", &["192.0.2.9"]), None);
    }

    #[test]
    fn the_addresses_of_one_subscriber_count_as_one() {
        let of = |text: &str| neighbourhood(text.parse().ok());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
