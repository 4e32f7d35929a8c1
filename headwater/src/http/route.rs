//! The bounded set of routes by which requests are counted.

/// Who answers a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Playlists and documents of the origin.
    Playlist,
    /// Segments, pictures and subtitles of the origin.
    Segment,
    /// Uploads.
    Upload,
    /// The event stream of the catalogue.
    Events,
    /// The rest of the catalogue.
    Api,
    /// The process lives.
    Health,
    /// The process can serve.
    Ready,
    /// Numbers for Prometheus.
    Metrics,
    /// What an edge has is purged.
    Purge,
    /// Web pages and their files.
    Page,
}

impl Route {
    /// The route of a request path.
    pub fn of(path: &str) -> Self {
        let is_below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/edge/purge" => Self::Purge,
            "/api/v1/events" => Self::Events,
            "/api/docs" => Self::Page,
            _ if (is_below("/v") || is_below("/t")) && (path.ends_with(".m3u8") || path.ends_with(".json")) => {
                Self::Playlist
            }
            _ if is_below("/v") || is_below("/t") => Self::Segment,
            "/api/v1/imports" | "/api/v1/upload-grants" => Self::Upload,
            _ if is_below("/uploads") || is_grant(path) => Self::Upload,
            _ if is_below("/api") || path == "/.well-known/jwks.json" => Self::Api,
            _ => Self::Page,
        }
    }

    /// Whether it leads to what viewers are shown, which an edge passes on: not to operations, nor to the catalogue
    /// and uploads, which an origin may leave open to those who reach it.
    pub fn is_content(self) -> bool {
        matches!(self, Self::Playlist | Self::Segment | Self::Page)
    }

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Playlist => "playlist",
            Self::Segment => "segment",
            Self::Upload => "upload",
            Self::Events => "events",
            Self::Api => "api",
            Self::Health => "health",
            Self::Ready => "ready",
            Self::Metrics => "metrics",
            Self::Purge => "purge",
            Self::Page => "page",
        }
    }
}

/// Whether a path names one upload link: what else is below them leads nowhere, and the API says so.
fn is_grant(path: &str) -> bool {
    path.strip_prefix("/api/v1/upload-grants/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_one_route() {
        let check = |path: &str, name: &str| assert_eq!(Route::of(path).name(), name, "{path}");
        check("/v/plb_x/master.m3u8", "playlist");
        check("/v/plb_x/g1/720p/3.m4s", "segment");
        check("/t/token/v/plb_x/master.m3u8", "playlist");
        check("/t/token/v/plb_x/g1/720p/3.m4s", "segment");
        check("/video", "page");
        check("/uploads", "upload");
        check("/uploads/upl_x", "upload");
        check("/uploadsx", "page");
        check("/api/v1/imports", "upload");
        check("/api/v1/upload-grants/x", "upload");
        for nowhere in ["/api/v1/imports/", "/api/v1/imports/x", "/api/v1/upload-grants/", "/api/v1/upload-grants/x/y"]
        {
            check(nowhere, "api");
        }
        check("/api/v1/assets", "api");
        check("/.well-known/jwks.json", "api");
        check("/api/v1/events", "events");
        check("/readyz", "ready");
        check("/edge/purge", "purge");
        check("/edge/purge/x", "page");
        check("/watch/plb_x", "page");
    }
}
