//! What a client asks for, as far as it matters to a cache.

use http::header::{AUTHORIZATION, RANGE};
use http::{HeaderMap, Method, Uri, request};

use super::directives::Directives;
use super::fields::{self, Permission};
use crate::cmcd;

/// A request to be answered from what is kept, or by the upstream.
pub(super) struct Asking {
    pub(super) method: Method,
    /// Path and query, as they are passed on.
    pub(super) target: String,
    /// The same as far as it tells answers apart.
    pub(super) key: String,
    /// As they came.
    pub(super) headers: HeaderMap,
    /// As they are passed on.
    pub(super) onwards: HeaderMap,
    pub(super) is_authorized: bool,
    pub(super) permission: Permission,
    pub(super) is_no_store: bool,
    pub(super) is_only_if_cached: bool,
}

impl Asking {
    /// Reads a request; `id` is ours in `CDN-Loop`. `None` if its path could be read in two ways.
    pub(super) fn read(head: &request::Parts, id: &str) -> Option<Self> {
        let (key, path) = (key(&head.uri)?, head.uri.path());
        let target = head.uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let told = Directives::of_everybody(&head.headers);
        Some(Self {
            method: head.method.clone(),
            target,
            key,
            onwards: fields::onwards(&head.headers, head.version, id),
            is_authorized: head.headers.contains_key(AUTHORIZATION),
            permission: fields::permission(path),
            is_no_store: told.is_no_store,
            is_only_if_cached: told.is_only_if_cached,
            headers: head.headers.clone(),
        })
    }

    /// Whether an answer of another request, taken as it comes, is one to this.
    pub(super) fn is_for_whole(&self) -> bool {
        self.method == Method::GET
            && !self.headers.contains_key(RANGE)
            && fields::unconditional(self.onwards.clone()).len() == self.onwards.len()
    }
}

/// Path and query as far as they tell answers apart. `None` if the path could be read in two ways.
pub(super) fn key(uri: &Uri) -> Option<String> {
    let path = Some(uri.path()).filter(|path| is_plain(path))?;
    // What players tell about themselves changes nothing.
    let query = uri.query().filter(|query| !cmcd::is_all_of(query));
    Some(query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

/// Whether a path means the same to everybody: none of its names is a dot or two, and nothing is a slash that is not
/// written so.
fn is_plain(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains('\\')
        && path.split('/').filter(|name| name.starts_with(['.', '%'])).all(|name| {
            let name = name.to_ascii_lowercase().replace("%2e", ".");
            name != "." && name != ".."
        })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(target: &str) -> Option<Asking> {
        let request = Request::get(target).header("range", "bytes=0-1").body(()).unwrap();
        Asking::read(&request.into_parts().0, "me")
    }

    #[test]
    fn what_players_tell_is_passed_on_but_tells_no_answers_apart() {
        let asking = read("/v/x/0.m4s?CMCD=br%3D5").unwrap();
        assert_eq!((asking.target.as_str(), asking.key.as_str()), ("/v/x/0.m4s?CMCD=br%3D5", "/v/x/0.m4s"));
        assert_eq!(read("/v/x/a.m3u8?container=ts").unwrap().key, "/v/x/a.m3u8?container=ts");
        assert!(!asking.is_for_whole());
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for path in ["/v/../metrics", "/v/%2E%2e/metrics", "/v/.%2e", "/./v", "/v\\..\\x", "/v/."] {
            assert!(read(path).is_none(), "{path}");
        }
        for path in ["/", "/v/..x/...", "//v/x", "/v/a.b%2fc"] {
            assert!(read(path).is_some(), "{path}");
        }
    }
}
