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

/// A connection that is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    pub(super) fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// Counts a connection from `address`; `None` when it has as many as it may.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        let address = network_of(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Counted { addresses: self.clone(), address })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
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
}
