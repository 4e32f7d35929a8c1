//! The embedded web pages: the built ones, or one page that says they were not built.

use std::borrow::Cow;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::problem;

#[derive(RustEmbed)]
#[folder = "../web/dist/"]
#[allow_missing = true]
struct Built;

#[derive(RustEmbed)]
#[folder = "placeholder/"]
struct Placeholder;

const HASHED: &str = "public, max-age=31536000, immutable";
const REVALIDATED: &str = "no-cache";

/// Addresses that the pages find their way to by themselves (`web/src/lib/route.ts`).
const NAMES: [&str; 19] = [
    "api/docs",
    "watch",
    "login",
    "register",
    "account",
    "verify",
    "reset",
    "setup",
    "library",
    "bin",
    "search",
    "collections",
    "channels",
    "reviews",
    "notifications",
    "webhooks",
    "admin/users",
    "admin/audit",
    "studio",
];
/// Those with the name of something behind them.
const FOLDERS: [&str; 5] = ["watch", "studio", "collections", "channels", "webhooks"];

/// The pages of this server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pages {
    policy: HeaderValue,
}

impl Pages {
    /// Pages whose players may take media from this server and from `hosts`, by its own scheme and whatever port.
    pub fn new<'a>(hosts: impl Iterator<Item = &'a str>) -> Self {
        let hosts: String = hosts.map(|host| format!(" {host}:*")).collect();
        // Scripts and styles from this server alone; hls.js feeds the video element through `blob:` URLs and runs its
        // demuxer in a worker made from one. Its empty subtitle tracks are `data:` URLs.
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
             font-src 'self'; connect-src 'self'{hosts}; media-src 'self' blob: data:{hosts}; worker-src 'self' blob:; \
             manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
        );
        // A name that no header takes is none that a browser would ask.
        let nothing = HeaderValue::from_static("default-src 'none'");
        Self { policy: HeaderValue::try_from(policy).unwrap_or(nothing) }
    }

    /// Answers a request for a page or one of its files.
    pub(super) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "pages are only read");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let name = path.trim_start_matches('/');
        if let Some(file) = Built::get(name).filter(|_| !name.is_empty()) {
            return self.file_response(name, file, method, headers);
        }
        // The pages find their way by themselves: each of their addresses is answered with the same document.
        let is_in_folder =
            name.split_once('/').is_some_and(|(folder, rest)| FOLDERS.contains(&folder) && !rest.is_empty());
        let is_page = name.is_empty() || name == "index.html" || is_in_folder || NAMES.contains(&name);
        let document = Built::get("index.html").or_else(|| Placeholder::get("index.html"));
        match document {
            Some(document) if is_page => self.file_response("index.html", document, method, headers),
            _ => problem(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address"),
        }
    }

    fn file_response(&self, name: &str, file: EmbeddedFile, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = format!("\"{hash}\"");
        let is_known = headers
            .get(header::IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|known| known.split(',').any(|each| each.trim().trim_start_matches("W/") == tag));
        let length = file.data.len();
        let body = match file.data {
            _ if is_known || method == Method::HEAD => Body::empty(),
            Cow::Borrowed(bytes) => Body::from(bytes),
            Cow::Owned(bytes) => Body::from(bytes),
        };
        let mut response = Response::new(body);
        let sent = response.headers_mut();
        sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
        // Vite puts a hash of the content into the name of everything below assets/.
        let caching = if name.starts_with("assets/") { HASHED } else { REVALIDATED };
        sent.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        sent.insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        // An asset may be shown on some pages only: a player on ours has to say that it is there.
        sent.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            sent.insert(header::ETAG, tag);
        }
        if is_known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else {
            sent.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn got(path: &str) -> Response<Body> {
        Pages::new(std::iter::empty()).answer(&Method::GET, path, &HeaderMap::new())
    }

    #[test]
    fn pages_are_revalidated_and_known_ones_not_sent_again() {
        let page = got("/watch/plb_x");
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(page.headers()[header::CACHE_CONTROL], REVALIDATED);
        assert_eq!(page.headers()[header::REFERRER_POLICY], "same-origin");
        for name in NAMES {
            assert_eq!(got(&format!("/{name}")).status(), StatusCode::OK, "{name}");
        }
        for folder in FOLDERS {
            assert_eq!(got(&format!("/{folder}/x")).status(), StatusCode::OK, "{folder}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_NONE_MATCH, page.headers()[header::ETAG].clone());
        let pages = Pages::new(std::iter::empty());
        assert_eq!(pages.answer(&Method::GET, "/", &headers).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn scripts_come_from_this_server_alone_and_players_may_use_blobs() {
        let policy = got("/").headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'"));
        assert!(policy.contains("script-src 'self';"));
        assert!(policy.contains("media-src 'self' blob:") && policy.contains("worker-src 'self' blob:"));
    }

    #[test]
    fn players_may_go_to_the_hosts_that_they_are_steered_to_and_scripts_may_not() {
        let pages = Pages::new(["a.example.org", "192.0.2.1"].into_iter());
        let page = pages.answer(&Method::GET, "/watch/plb_x", &HeaderMap::new());
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        let parts: Vec<&str> = policy.split(';').filter(|part| part.contains("a.example.org:* 192.0.2.1:*")).collect();
        assert_eq!(parts.len(), 2, "{policy}");
        assert!(
            parts.iter().all(|part| part.starts_with(" connect-src 'self' ") || part.starts_with(" media-src 'self' "))
        );
    }

    #[test]
    fn what_is_not_there_is_said_so() {
        assert_eq!(got("/etc/passwd").status(), StatusCode::NOT_FOUND);
        assert_eq!(got("/../Cargo.toml").status(), StatusCode::NOT_FOUND);
        assert_eq!(got("/admin/x").status(), StatusCode::NOT_FOUND);
        let pages = Pages::new(std::iter::empty());
        assert_eq!(pages.answer(&Method::POST, "/", &HeaderMap::new()).status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn without_built_pages_a_page_says_how_to_build_them() {
        let page = Placeholder::get("index.html").unwrap();
        assert!(String::from_utf8_lossy(&page.data).contains("make web"));
    }
}
