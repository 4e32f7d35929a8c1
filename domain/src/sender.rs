//! Whom requests come from, as far as addresses tell.

use std::net::IpAddr;

/// For whom a request is sent that came from `peer`: behind proxies that are believed, the nearest address that is none
/// of them. `lines` are those of `X-Forwarded-For`, in their order; what cannot be read ends them.
pub fn sender<'a>(
    peer: IpAddr,
    lines: impl DoubleEndedIterator<Item = &'a str>,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let hops = lines.rev().flat_map(|line| line.rsplit(',')).map_while(|hop| hop.trim().parse::<IpAddr>().ok());
    let (mut last, mut hops) = (peer.to_canonical(), hops.map(|hop| hop.to_canonical()));
    // Ends with the lines.
    while let (true, Some(hop)) = (is_proxy(last), hops.next()) {
        last = hop;
    }
    last
}

/// What counts as one address: of IPv6 all that one subscriber has.
#[must_use]
pub fn neighbourhood(address: Option<IpAddr>) -> String {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(four)) => four.to_string(),
        Some(IpAddr::V6(six)) => format!("{:x}", six.to_bits() >> 64),
        None => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_believed_about_whom_it_speaks_for_and_nobody_else_is() {
        let of = |peer: &str, lines: &[&str]| {
            sender(peer.parse().unwrap(), lines.iter().copied(), |address| address.is_loopback()).to_string()
        };
        assert_eq!(of("192.0.2.1", &["192.0.2.9"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["192.0.2.8, 192.0.2.9, 127.0.0.2"]), "192.0.2.9");
        assert_eq!(of("127.0.0.1", &["192.0.2.8", "192.0.2.9", "127.0.0.2"]), "192.0.2.9");
        assert_eq!(of("::ffff:127.0.0.1", &["192.0.2.9"]), "192.0.2.9");
        for nothing in [&[][..], &["unknown"]] {
            assert_eq!(of("127.0.0.1", nothing), "127.0.0.1");
        }
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
