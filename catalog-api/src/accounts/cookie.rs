//! The cookie by which the pages stay logged in, and what keeps pages of others from using it.

use axum::http::{HeaderMap, HeaderValue, Uri, header};

use super::{SESSION_LIFE_MAX, secret};

/// Over TLS: browsers send such a name back only to the host that set it, and only over TLS.
const SECURE: &str = "__Host-headwater";
/// Without TLS.
const PLAIN: &str = "headwater";

/// The secret in the cookie of a request.
pub(crate) fn presented(headers: &HeaderMap) -> Option<&str> {
    let lines = || headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let named = |name: &str| {
        let pairs = lines().flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    };
    named(SECURE).or_else(|| named(PLAIN)).filter(|value| secret::looks_like(value, secret::COOKIE))
}

/// The field that gives a browser its cookie. Scripts cannot read it.
pub(crate) fn issued(secret: &str, is_secure: bool) -> Option<HeaderValue> {
    let life_s = SESSION_LIFE_MAX.as_secs();
    let (name, also) = if is_secure { (SECURE, "; Secure") } else { (PLAIN, "") };
    let text = format!("{name}={secret}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Lax{also}");
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The fields that take it away again.
pub(crate) fn cleared() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static("__Host-headwater=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"),
        HeaderValue::from_static("headwater=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"),
    ]
}

/// Whether a request comes from a page of this server. A browser says where a page is from with everything that
/// changes something, and no page can make it lie.
pub fn is_same_origin(uri: &Uri, headers: &HeaderMap, public_url: Option<&str>) -> bool {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin") {
        return true;
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    if public_url.is_some_and(|url| origin.eq_ignore_ascii_case(url)) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(|authority| authority.as_str()));
    let of_origin = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host.map(str::to_ascii_lowercase) == of_origin.map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_the_one_of_tls_comes_first() {
        let found = |cookie: &str| presented(&headers(&[("cookie", cookie)])).map(str::to_owned);
        assert_eq!(found("a=b; headwater=hws_x; c=d").as_deref(), Some("hws_x"));
        assert_eq!(found("headwater=hws_x; __Host-headwater=hws_y").as_deref(), Some("hws_y"));
        for none in ["", "headwater", "headwater=", "headwater=other", "xheadwater=hws_x", "headwater =hws_x"] {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn a_cookie_is_hidden_from_scripts_and_bound_to_tls_where_there_is_any() {
        let text = |is_secure| issued("hws_x", is_secure).unwrap().to_str().unwrap().to_owned();
        assert_eq!(text(false), "headwater=hws_x; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax");
        let secure = text(true);
        assert!(secure.starts_with("__Host-headwater=hws_x; Path=/;") && secure.ends_with("; Secure"), "{secure}");
    }

    #[test]
    fn only_pages_of_this_server_are_of_the_same_origin() {
        let check = |pairs: &[(&'static str, &str)], public: Option<&str>, expected: bool| {
            assert_eq!(is_same_origin(&Uri::from_static("/x"), &headers(pairs), public), expected, "{pairs:?}");
        };
        check(&[("sec-fetch-site", "same-origin")], None, true);
        check(
            &[("sec-fetch-site", "cross-site"), ("host", "h.example"), ("origin", "https://evil.example")],
            None,
            false,
        );
        check(&[("host", "h.example"), ("origin", "https://h.example")], None, true);
        check(&[("host", "h.example:8080"), ("origin", "http://h.example:8080")], None, true);
        check(&[("host", "h.example"), ("origin", "https://h.example.evil")], None, false);
        check(&[("host", "h.example"), ("origin", "null")], None, false);
        check(&[("host", "h.example")], None, false);
        check(&[("host", "inner"), ("origin", "https://h.example")], Some("https://h.example"), true);
        check(&[("origin", "null")], None, false);
        let absolute = Uri::from_static("https://h.example/x");
        assert!(is_same_origin(&absolute, &headers(&[("origin", "https://h.example")]), None));
    }
}
