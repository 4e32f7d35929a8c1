//! Which octets of the file an answer brings.

use axum::http::{StatusCode, Version};
use catalog_store::ImportNote;
use reqwest::Response;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, LAST_MODIFIED, TRANSFER_ENCODING,
};

use super::{CHANGED, Trouble, final_};

/// Where the octets of an answer's body belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Octets at the beginning that are there already.
    pub(super) skip: u64,
    /// Octets that count; `None` for all of them.
    pub(super) bytes: Option<u64>,
    /// The length of the whole file; `None` if the server does not know it either.
    pub(super) length: Option<u64>,
    /// The end of the body is the end of the file.
    pub(super) ends_file: bool,
}

/// A header of an answer.
pub(super) fn text(answer: &Response, name: &HeaderName) -> Option<String> {
    answer.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What tells whether the file is still the same: a strong `ETag`, else its date.
pub(super) fn validator(answer: &Response) -> Option<String> {
    let etag = text(answer, &ETAG).filter(|etag| etag.starts_with('"'));
    etag.or_else(|| text(answer, &LAST_MODIFIED))
}

/// What an answer to a request for everything from `offset` on brings. Fails if it is not the file that was begun.
pub(super) fn of(answer: &Response, offset: u64, note: &ImportNote) -> Result<Extent, Trouble> {
    let coding = text(answer, &CONTENT_ENCODING).filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    if coding.is_some() {
        return Err(final_("the server of the file sends it compressed only"));
    }
    if answer.status() == StatusCode::PARTIAL_CONTENT {
        // Also where it was asked by `If-Range`: servers and caches ignore that.
        return if is_of_same(answer, note) { piece(answer, offset) } else { Err(final_(CHANGED)) };
    }
    // The whole file: either it cannot be cut there, or it is another one.
    if offset > 0 && validator(answer) != note.validator {
        return Err(final_(CHANGED));
    }
    Ok(Extent { skip: offset, bytes: None, length: length_of_whole(answer)?, ends_file: true })
}

/// Whether a piece is of the file that was begun (RFC 9110 §15.3.7.3). With it comes the tag that the whole would have had;
/// a date need not be said again.
fn is_of_same(answer: &Response, note: &ImportNote) -> bool {
    match note.validator.as_deref() {
        Some(tag) if tag.starts_with('"') => text(answer, &ETAG).as_deref() == Some(tag),
        Some(date) => text(answer, &LAST_MODIFIED).is_none_or(|told| told == date),
        None => false,
    }
}

/// A piece may end before the file does (RFC 9110 §15.3.7): what it says of the file counts, not its own length.
fn piece(answer: &Response, offset: u64) -> Result<Extent, Trouble> {
    let strange = || final_("the server of the file sends a piece nobody asked for");
    let (start, end, total) = text(answer, &CONTENT_RANGE).as_deref().and_then(range).ok_or_else(strange)?;
    if start != offset {
        return Err(final_(CHANGED));
    }
    let bytes = (end - start).saturating_add(1);
    if stated_length(answer)?.is_some_and(|stated| stated != bytes) {
        return Err(strange());
    }
    let ends_file = total == Some(end.saturating_add(1));
    Ok(Extent { skip: 0, bytes: Some(bytes), length: total, ends_file })
}

/// `bytes 5-9/10` as (5, 9, Some(10)); `None` for a range that is none.
fn range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let is_possible = start <= end && total.is_none_or(|total| end < total);
    is_possible.then_some((start, end, total))
}

/// The length that an answer tells which has nothing from where it was asked: `bytes */10` as 10.
pub(super) fn length_of_nothing(answer: &Response) -> Option<u64> {
    text(answer, &CONTENT_RANGE)?.strip_prefix("bytes */")?.trim().parse().ok()
}

fn stated_length(answer: &Response) -> Result<Option<u64>, Trouble> {
    let length = text(answer, &CONTENT_LENGTH).map(|bytes| bytes.trim().parse());
    length.transpose().map_err(|_| final_("the server of the file sends a length that is none"))
}

/// The length of a file that is sent from its beginning; `None` if its end is marked all the same.
fn length_of_whole(answer: &Response) -> Result<Option<u64>, Trouble> {
    if let Some(bytes) = stated_length(answer)? {
        return Ok(Some(bytes));
    }
    let is_chunked = text(answer, &TRANSFER_ENCODING).is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    // Without either, a broken connection looks like the end of the file.
    if is_chunked || answer.version() >= Version::HTTP_2 {
        return Ok(None);
    }
    Err(final_("the server of the file does not say how long it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_strictly() {
        assert_eq!(range("bytes 5-9/10"), Some((5, 9, Some(10))));
        assert_eq!(range("bytes 5-7/10"), Some((5, 7, Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((5, 9, None)));
        for wrong in ["", "bytes */10", "bytes 5-9", "items 5-9/10", "bytes x-9/10", "bytes 5-9/x", "bytes 5-/10"] {
            assert_eq!(range(wrong), None, "{wrong}");
        }
        for impossible in ["bytes 5-4/10", "bytes 5-10/10", "bytes 5-9/7"] {
            assert_eq!(range(impossible), None, "{impossible}");
        }
    }

    fn answer(status: u16, headers: &[(&str, &str)]) -> Response {
        let answer = axum::http::Response::builder().status(status);
        let answer = headers.iter().fold(answer, |answer, (name, value)| answer.header(*name, *value));
        answer.body("").expect("an answer").into()
    }

    #[test]
    fn a_piece_is_of_the_file_that_was_begun() {
        let date = "Mon, 01 Jan 2024 00:00:00 GMT";
        for (validator, header, is_same) in [
            ("\"v1\"", Some(("etag", "\"v1\"")), true),
            ("\"v1\"", Some(("etag", "\"v2\"")), false),
            ("\"v1\"", Some(("etag", "W/\"v1\"")), false),
            ("\"v1\"", Some(("last-modified", date)), false),
            ("\"v1\"", None, false),
            (date, Some(("last-modified", date)), true),
            (date, Some(("last-modified", "Tue, 02 Jan 2024 00:00:00 GMT")), false),
            (date, None, true),
        ] {
            let note = ImportNote { validator: Some(validator.to_owned()), ..ImportNote::default() };
            let headers = [Some(("content-range", "bytes 500-999/1000")), header].into_iter().flatten();
            let answer = answer(206, &headers.collect::<Vec<_>>());
            assert_eq!(of(&answer, 500, &note).is_ok(), is_same, "{validator} {header:?}");
        }
    }

    #[test]
    fn a_piece_tells_the_length_of_the_file_and_not_its_own() {
        let note = ImportNote { validator: Some("\"v1\"".into()), ..ImportNote::default() };
        let check = |range: &str, length: &str, expected: Option<Extent>| {
            let answer = answer(206, &[("content-range", range), ("content-length", length), ("etag", "\"v1\"")]);
            assert_eq!(of(&answer, 500, &note).ok(), expected, "{range} of {length} octets");
        };
        let extent = |bytes, length, ends_file| Some(Extent { skip: 0, bytes: Some(bytes), length, ends_file });
        check("bytes 500-999/1000", "500", extent(500, Some(1000), true));
        check("bytes 500-599/1000", "100", extent(100, Some(1000), false));
        check("bytes 500-599/*", "100", extent(100, None, false));
        check("bytes 400-999/1000", "600", None);
        check("bytes 500-599/1000", "500", None);
        assert_eq!(length_of_nothing(&answer(416, &[("content-range", "bytes */1000")])), Some(1000));
        assert_eq!(length_of_nothing(&answer(416, &[("content-range", "bytes */*")])), None);
    }
}
