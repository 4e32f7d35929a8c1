//! How many connections each address has: one client must not take all there are.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that one subscriber has to themselves are those behind these.
const IPV6_PREFIX_BITS: u32 = 64;

/// Connections by address. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    each_max: usize,
}

/// A connection that is counted until this is dropped, if it is.
#[derive(Debug)]
pub(super) struct Counted(Option<(Addresses, IpAddr)>);

impl Addresses {
    /// Each may have so many; 0 for no bound.
    pub(super) fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// Counts a connection from `address`; `None` when it has as many as it may. Those of a proxy on this machine are
    /// of many clients, and not counted.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        if self.each_max == 0 || address.to_canonical().is_loopback() {
            return Some(Counted(None));
        }
        let address = network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Counted(Some((self.clone(), address))))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((addresses, address)) = &self.0 else { return };
        let mut counts = addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(address);
            }
        }
    }
}

fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> IPV6_PREFIX_BITS << IPV6_PREFIX_BITS).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_so_many_and_gets_them_back() {
        let addresses = Addresses::new(2);
        let count = |address: &str| addresses.count(address.parse().unwrap());
        let (first, second) = (count("192.0.2.1").unwrap(), count("::ffff:192.0.2.1").unwrap());
        assert!(count("192.0.2.1").is_none());
        let _other = count("192.0.2.2").unwrap();
        let _six = (count("2001:db8::1").unwrap(), count("2001:db8::2").unwrap());
        assert!(count("2001:db8::ffff:1").is_none() && count("2001:db8:0:1::1").is_some());
        drop((first, second));
        assert!(count("192.0.2.1").is_some());
        assert!(!addresses.counts.lock().unwrap().contains_key(&"192.0.2.1".parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn proxies_on_this_machine_are_not_counted_and_without_a_bound_nobody_is() {
        for (each_max, address) in [(1, "127.0.0.1"), (1, "::1"), (1, "::ffff:127.0.0.2"), (0, "192.0.2.1")] {
            let addresses = Addresses::new(each_max);
            let counted: Vec<_> = (0..3).map(|_| addresses.count(address.parse().unwrap())).collect();
            assert!(counted.iter().all(Option::is_some), "{address}");
            assert!(addresses.counts.lock().unwrap().is_empty());
        }
    }
}
