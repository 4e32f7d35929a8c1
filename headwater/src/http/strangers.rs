//! What pages of others may have browsers do to a server that asks nobody who they are.
//!
//! Whoever reaches such a server may do everything, and a browser on the same machine reaches it for any page that it
//! shows. So nothing is changed for a page of another origin, unless the operator names that; and where only this
//! machine reaches the server, it is asked by its own names alone: a page that has its name lead to 127.0.0.1 (DNS
//! rebinding) would be of the same origin, but its name is not ours. Names of one label are nobody's in the public DNS. Programs that are no browsers send neither
//! `Origin` nor `Sec-Fetch-Site`, and are not concerned.

use std::net::IpAddr;

use catalog_api::is_same_origin;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Uri, header};

use super::cors::ANY;

/// What an open server goes by.
#[derive(Clone, Debug)]
pub struct Strangers {
    /// Where people reach the pages, if that is set.
    pub public_url: Option<String>,
    /// Origins whose pages may use the API.
    pub origins: Vec<String>,
    /// True if only this machine can reach the server.
    pub is_local: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwelcome {
    /// It is for another name.
    #[error(
        "this server asks nobody who they are and is known as localhost alone: set public_url to where people reach it, or ask for accounts (access)"
    )]
    Host,
    /// A page of another origin wants to change something.
    #[error("a page of another origin cannot change anything here: name its origin in api_origins")]
    CrossOrigin,
}

impl Unwelcome {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Host => "unknown_host",
            Self::CrossOrigin => "cross_origin",
        }
    }
}

impl Strangers {
    /// Whether a request that means `method` may be answered.
    ///
    /// # Errors
    /// [`Unwelcome`] if not.
    pub fn check<B>(&self, request: &Request<B>, method: &Method) -> Result<(), Unwelcome> {
        let (uri, headers) = (request.uri(), request.headers());
        if self.is_local && host_of(uri, headers).is_some_and(|host| !self.is_own(host.host())) {
            return Err(Unwelcome::Host);
        }
        let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_safe && self.is_foreign(uri, headers) { Err(Unwelcome::CrossOrigin) } else { Ok(()) }
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        let is_one_label = !host.contains(['.', ':']);
        is_one_label || is_loopback(host) || self.is_public(host)
    }

    fn is_public(&self, host: &str) -> bool {
        let public = self.public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
        public.is_some_and(|url| url.host().is_some_and(|public| public.eq_ignore_ascii_case(host)))
    }

    fn is_foreign(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        if is_same_origin(uri, headers, self.public_url.as_deref()) {
            return false;
        }
        match headers.get(header::ORIGIN) {
            Some(origin) => {
                let is_known = self.origins.iter().any(|known| known == ANY || origin == known.as_str());
                // A page that this machine serves to itself, such as one that is being written.
                let host = || origin.to_str().ok()?.parse::<Uri>().ok()?.host().map(str::to_owned);
                let is_near = || self.is_local && host().is_some_and(|host| is_loopback(&host));
                !is_known && !is_near()
            }
            // Old browsers send neither with a form; what they send is no JSON, and creates no upload.
            None => headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site"),
        }
    }
}

/// Whether a name or an address is that of this machine to itself.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The host and port that a request is for; HTTP/1.0 may say nothing of it.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let line = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse().ok());
    line.or_else(|| uri.authority().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strangers(public_url: Option<&str>, origins: &[&str], is_local: bool) -> Strangers {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        Strangers { public_url: public_url.map(str::to_owned), origins, is_local }
    }

    fn checked(strangers: &Strangers, method: Method, headers: &[(&str, &str)]) -> Result<(), Unwelcome> {
        let mut request = Request::builder().method(method.clone()).uri("/api/v1/assets");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        strangers.check(&request.body(()).unwrap(), &method)
    }

    #[test]
    fn a_server_that_only_this_machine_reaches_is_asked_by_its_own_names() {
        let local = strangers(None, &[], true);
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "studio:8080",
            "localhost.",
            "media.localhost:8080",
            "127.0.0.1:8080",
            "127.9.9.9",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert_eq!(checked(&local, Method::GET, &[("host", own)]), Ok(()), "{own}");
        }
        for other in
            ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "evil.localhosts"]
        {
            assert_eq!(checked(&local, Method::GET, &[("host", other)]), Err(Unwelcome::Host), "{other}");
        }
        assert_eq!(checked(&local, Method::GET, &[]), Ok(()), "HTTP/1.0");
        let named = strangers(Some("https://media.example.org"), &[], true);
        assert_eq!(checked(&named, Method::GET, &[("host", "Media.example.org")]), Ok(()));
        assert_eq!(checked(&named, Method::GET, &[("host", "example.org")]), Err(Unwelcome::Host));
        // Others reach it by whatever name they have for it.
        assert_eq!(checked(&strangers(None, &[], false), Method::GET, &[("host", "media.lan")]), Ok(()));
    }

    #[test]
    fn nothing_is_changed_for_pages_of_other_origins() {
        let own = ("host", "localhost:8080");
        let check = |origins: &[&str], headers: &[(&str, &str)], expected: Result<(), Unwelcome>| {
            for is_local in [true, false] {
                let headers = [&[own], headers].concat();
                let strangers = strangers(None, origins, is_local);
                assert_eq!(checked(&strangers, Method::POST, &headers), expected, "{headers:?}");
                assert_eq!(checked(&strangers, Method::GET, &headers), Ok(()), "what changes nothing is answered");
            }
        };
        let refused = Err(Unwelcome::CrossOrigin);
        check(&[], &[], Ok(()));
        check(&[], &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8080")], Ok(()));
        check(&[], &[("sec-fetch-site", "none")], Ok(()));
        check(&[], &[("origin", "http://localhost:8080")], Ok(()));
        check(&[], &[("origin", "http://localhost.evil.example:5173")], refused);
        check(&[], &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], refused);
        check(&[], &[("origin", "null")], refused);
        check(&[], &[("sec-fetch-site", "cross-site")], refused);
        check(&[], &[("sec-fetch-site", "same-site")], refused);
        let named = ("origin", "https://app.example.org");
        check(&["https://app.example.org"], &[named, ("sec-fetch-site", "cross-site")], Ok(()));
        check(&["https://other.example.org"], &[named], refused);
        check(&[ANY], &[named], Ok(()));
        // Pages that this machine serves to itself are as near as the server.
        for near in ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:3000"] {
            let headers = [own, ("origin", near), ("sec-fetch-site", "same-site")];
            assert_eq!(checked(&strangers(None, &[], true), Method::POST, &headers), Ok(()), "{near}");
            assert_eq!(checked(&strangers(None, &[], false), Method::POST, &headers), refused, "{near}");
        }
    }
}
