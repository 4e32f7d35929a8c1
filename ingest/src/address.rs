//! Which addresses this server asks things of on behalf of others: public ones, unless the operator allows more.
//!
//! A name is resolved once per attempt and the connection goes to what it resolved to, so that it
//! cannot mean one address when it is checked and another when it is used.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How long a name may take to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest address.
const URL_BYTES_MAX: usize = 4096;

/// Why nothing is imported from an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It is no URL.
    #[error("the address is not a URL")]
    Malformed,
    /// It is too long.
    #[error("the address is longer than 4096 octets")]
    TooLong,
    /// It is of another kind.
    #[error("only http and https addresses are imported from")]
    Scheme,
    /// It says who asks.
    #[error("an address must not hold a user name or a password")]
    Credentials,
    /// It leads nowhere.
    #[error("the address names no host")]
    NoHost,
    /// It leads into a network that is not allowed.
    #[error("{0} is an address inside a private network, from which nothing is imported")]
    Private(IpAddr),
    /// Another time may be better.
    #[error("the host name of the address cannot be resolved")]
    Unresolved,
}

/// Reads an address; says nothing yet of what its host's name resolves to.
pub(crate) fn parsed(text: &str) -> Result<Url, AddressError> {
    if text.len() > URL_BYTES_MAX {
        return Err(AddressError::TooLong);
    }
    let url = Url::parse(text.trim()).map_err(|_| AddressError::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(AddressError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    Ok(url)
}

/// Where a URL leads, all of it checked: one address that is not allowed spoils the rest.
///
/// # Errors
/// [`AddressError`], if it leads nowhere, or into a private network that is not among those `allowed`.
pub async fn resolved(url: &Url, allowed: &[IpNet]) -> Result<Vec<SocketAddr>, AddressError> {
    let port = url.port_or_known_default().ok_or(AddressError::NoHost)?;
    let addresses: Vec<SocketAddr> = match url.host().ok_or(AddressError::NoHost)? {
        Host::Ipv4(ip) => vec![(ip, port).into()],
        Host::Ipv6(ip) => vec![(ip, port).into()],
        Host::Domain(name) => {
            let resolved = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, port))).await;
            resolved.map_err(|_| AddressError::Unresolved)?.map_err(|_| AddressError::Unresolved)?.collect()
        }
    };
    if addresses.is_empty() {
        return Err(AddressError::Unresolved);
    }
    match addresses.iter().find(|address| !is_allowed(address.ip(), allowed)) {
        Some(address) => Err(AddressError::Private(address.ip())),
        None => Ok(addresses),
    }
}

fn is_allowed(ip: IpAddr, allowed: &[IpNet]) -> bool {
    // An IPv4 address in the clothes of an IPv6 one is judged by what it is.
    let ip = ip.to_canonical();
    is_public(ip) || allowed.iter().any(|network| network.contains(&ip))
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Not in a special block (IANA IPv4 Special-Purpose Address Registry, RFC 6890).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (198, 18..=19, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 175, 48)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !is_special
}

/// Global unicast (RFC 4291 §2.5.4) outside of the special blocks in it; what embeds an IPv4 address is
/// judged by that one.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let embedded = |at: usize| {
        let [a, b] = segments[at].to_be_bytes();
        let [c, d] = segments[at + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // NAT64.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(embedded(6)),
        // 6to4.
        [0x2002, ..] => is_public_v4(embedded(1)),
        // Teredo, benchmarking, ORCHID and the rest of the IETF's block; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// Resolves every name to the addresses that were checked, and asks nobody.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// A client that connects to these addresses, whatever it is asked for, and follows nothing.
pub fn client_to(addresses: Vec<SocketAddr>) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        // A proxy would connect to wherever it likes.
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .dns_resolver(Arc::new(Checked(addresses)))
}

/// Whether a redirect stays where it is.
pub(crate) fn is_same_origin(from: &Url, to: &Url) -> bool {
    from.origin() == to.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_and_special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!is_allowed(text.parse().expect("an address"), &[]), "{text}");
        }
    }

    #[test]
    fn the_open_internet_is_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::101:101",
            "::ffff:1.1.1.1",
            "2002:101:101::1",
            "2001:4860::8888",
        ] {
            assert!(is_allowed(text.parse().expect("an address"), &[]), "{text}");
        }
    }

    #[test]
    fn the_operator_may_allow_networks() {
        let allowed: Vec<IpNet> =
            vec!["127.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
        let is = |text: &str| is_allowed(text.parse().expect("an address"), &allowed);
        assert!(is("127.0.0.1") && is("::ffff:127.0.0.1") && is("fd12::1"));
        assert!(!is("10.0.0.1") && !is("::1"));
    }

    #[test]
    fn only_plain_web_addresses_are_read() {
        let check =
            |text: &str, error: AddressError| assert_eq!(parsed(text).expect_err("is refused"), error, "{text}");
        assert!(parsed(" https://example.org/a.mp4?b=c ").is_ok());
        check("file:///etc/passwd", AddressError::Scheme);
        check("ftp://example.org/x", AddressError::Scheme);
        check("gopher://127.0.0.1/_x", AddressError::Scheme);
        check("https://ada:secret@example.org/", AddressError::Credentials);
        check("example.org/a.mp4", AddressError::Malformed);
        check("http://", AddressError::Malformed);
        check(&format!("http://example.org/{}", "x".repeat(5000)), AddressError::TooLong);
    }

    #[tokio::test]
    async fn numbers_in_any_notation_are_judged_by_the_address_they_mean() {
        for text in ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/"]
        {
            let url = parsed(text).expect("a URL");
            let refused = resolved(&url, &[]).await;
            assert!(matches!(refused, Err(AddressError::Private(_))), "{text}: {refused:?}");
        }
        let name = parsed("http://localhost:81/").expect("a URL");
        assert!(matches!(resolved(&name, &[]).await, Err(AddressError::Private(_))), "a name is resolved first");
        let allowed = ["127.0.0.0/8".parse().expect("a network"), "::1/128".parse().expect("a network")];
        let addresses = resolved(&name, &allowed).await.expect("is allowed");
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 81));
    }

    #[test]
    fn a_redirect_may_not_leave_its_origin() {
        let same = |from: &str, to: &str| is_same_origin(&parsed(from).expect("a URL"), &parsed(to).expect("a URL"));
        assert!(same("https://a.example/x", "https://a.example:443/y?z"));
        assert!(!same("https://a.example/", "http://a.example/") && !same("http://a.example/", "http://b.example/"));
        assert!(!same("http://a.example:80/", "http://a.example:81/"));
    }
}
