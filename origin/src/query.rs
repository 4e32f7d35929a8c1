//! What the query of a request asks for: a part of the video, another container. Everything else in it is left to others.

use packager::hls::{Clip, ClipError, Container, View};

/// Longest query that is read, in octets.
const QUERY_BYTES_MAX: usize = 4096;

/// Why a query asks for nothing that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueryError {
    /// It is longer than any query that is answered.
    #[error("the query is longer than {QUERY_BYTES_MAX} octets")]
    TooLong,
    /// A parameter of ours stands there twice.
    #[error("a parameter is given twice")]
    Doubled,
    /// There is no such container.
    #[error("there is no such container")]
    Container,
    /// `start` and `end` are no clip.
    #[error(transparent)]
    Clip(#[from] ClipError),
}

/// Reads `start`, `end` and `container`; parameters that are not known, such as those of a CDN, mean nothing.
pub(crate) fn parse(query: Option<&str>) -> Result<View, QueryError> {
    let query = query.unwrap_or_default();
    if query.len() > QUERY_BYTES_MAX {
        return Err(QueryError::TooLong);
    }
    let (mut start, mut end, mut container) = (None, None, None);
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "start" => &mut start,
            "end" => &mut end,
            "container" => &mut container,
            _ => continue,
        };
        // Colons are the only characters of a time that some clients escape.
        if place.replace(value.replace("%3A", ":").replace("%3a", ":")).is_some() {
            return Err(QueryError::Doubled);
        }
    }
    let container = match container.as_deref() {
        None | Some("cmaf") => Container::Cmaf,
        Some("ts") => Container::Ts,
        Some(_) => return Err(QueryError::Container),
    };
    Ok(View { clip: Clip::parse(start.as_deref(), end.as_deref())?, container, ..View::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn clip(start: &str, end: &str) -> View {
        View { clip: Clip::parse(Some(start), Some(end)).unwrap(), ..View::default() }
    }

    #[test]
    fn a_clip_is_read_from_among_other_parameters() {
        assert_eq!(parse(None), Ok(View::default()));
        assert_eq!(parse(Some("")), Ok(View::default()));
        assert_eq!(parse(Some("token=a=b&starts=5&x")), Ok(View::default()));
        assert_eq!(parse(Some("token=x&start=10&end=20.5")), Ok(clip("10", "20.5")));
        assert_eq!(parse(Some("container=ts&token=x")).unwrap().container, Container::Ts);
        assert_eq!(parse(Some("container=cmaf")), Ok(View::default()));
        assert_eq!(parse(Some("end=0%3A01%3a00&start=0:00:30")), Ok(clip("30", "60")));
    }

    #[test]
    fn nonsense_is_told_apart() {
        for (query, error) in [
            ("start", QueryError::Clip(ClipError::Time)),
            ("start=&end=5", QueryError::Clip(ClipError::Time)),
            ("start=-5", QueryError::Clip(ClipError::Time)),
            ("start=5&end=abc", QueryError::Clip(ClipError::Time)),
            ("start=20&end=10", QueryError::Clip(ClipError::Empty)),
            ("start=5&start=6", QueryError::Doubled),
            ("container=mkv", QueryError::Container),
        ] {
            assert_eq!(parse(Some(query)), Err(error), "{query}");
        }
        assert_eq!(parse(Some(&"a".repeat(QUERY_BYTES_MAX + 1))), Err(QueryError::TooLong));
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "\\PC{0,60}") {
            let _ = parse(Some(&query));
        }
    }
}
