//! Doors for the fuzz targets: each reads one kind of header from any bytes and checks what may be concluded.
//!
//! A line feed in the input separates lines of the same header. Nothing here is for programs: no names, no stability.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, TRAILER};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::digest::Hasher;
use crate::protocol::{self, Dialect, UPLOAD_LENGTH, UPLOAD_OFFSET, checks, draft, fields, metadata, tus};

/// What a structured field can hold at most (RFC 9651 §3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;
/// Octets of metadata that are read.
const METADATA_BYTES_MAX: usize = 512;

/// These lines, as far as HTTP lets them be header values at all.
fn headers(input: &[u8], names: &[HeaderName]) -> HeaderMap {
    let lines = input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    lines.flat_map(|line| names.iter().map(move |name| (name.clone(), line.clone()))).collect()
}

/// `Upload-Metadata`, and the name in `Content-Disposition`.
pub fn metadata(input: &[u8]) {
    let headers = headers(input, &[metadata::UPLOAD_METADATA, CONTENT_DISPOSITION, CONTENT_TYPE]);
    if let Ok(read) = metadata::metadata(&headers, METADATA_BYTES_MAX) {
        let lines: Vec<&[u8]> = headers.get_all(metadata::UPLOAD_METADATA).iter().map(HeaderValue::as_bytes).collect();
        assert!(read.header.len() <= METADATA_BYTES_MAX, "more was read than allowed");
        if let [line] = lines[..] {
            assert_eq!(read.header.as_bytes(), line, "metadata changed on its way");
        }
        // What was taken once is taken again, to the same end.
        let again = HeaderMap::from_iter([(
            metadata::UPLOAD_METADATA,
            HeaderValue::from_str(&read.header).expect("an echo is a header value"),
        )]);
        assert_eq!(metadata::metadata(&again, METADATA_BYTES_MAX).ok(), Some(read.clone()));
        read.file_name.iter().for_each(|name| assert_is_plain(name));
    }
    metadata::disposed_name(&headers).iter().for_each(|name| assert_is_plain(name));
    let _ = protocol::media_type(&headers);
}

fn assert_is_plain(name: &str) {
    assert!(!name.is_empty() && !name.contains(['/', '\\']) && !name.contains(char::is_control), "{name:?}");
}

/// The structured fields of the IETF draft, and the strict numbers of tus beside them.
pub fn structured_fields(input: &[u8]) {
    let names = [UPLOAD_OFFSET, UPLOAD_LENGTH, draft::UPLOAD_COMPLETE, draft::UPLOAD_INTEROP];
    let headers = headers(input, &names);
    let number = fields::integer(&headers, &UPLOAD_OFFSET);
    assert!(number.is_none_or(|number| number <= INTEGER_MAX), "{number:?}");
    let truth = fields::boolean(&headers, &draft::UPLOAD_COMPLETE);
    assert!(number.is_none() || truth.is_none(), "one item of two types");
    if let Ok(Some(strict)) = tus::integer(&headers, &UPLOAD_OFFSET) {
        // Whatever is a number to tus is one to the draft too, unless it is too long for it.
        let digits = headers[UPLOAD_OFFSET].len();
        assert!(digits > 15 || number == Some(strict), "{strict} against {number:?}");
    }
    let _ = fields::dictionary(&headers, &UPLOAD_OFFSET);
    let Ok(Some(dialect)) = Dialect::of(&headers) else { return };
    let _ = draft::check_question(dialect, &headers);
    if let Dialect::Draft(version) = dialect {
        let is_last = draft::completes(&headers, version).unwrap_or(false);
        let _ = draft::length(&headers, number.unwrap_or(0), number, is_last, None);
    }
}

/// `Upload-Concat`.
pub fn concat(input: &[u8]) {
    let headers = headers(input, &[tus::UPLOAD_CONCAT, tus::UPLOAD_DEFER_LENGTH]);
    let _ = tus::defers_length(&headers);
    if let Ok(Some((asked, echo))) = tus::concat(&headers) {
        assert_eq!(echo.as_bytes(), headers[tus::UPLOAD_CONCAT].as_bytes(), "the header changed on its way");
        if let tus::Concat::Final(parts) = asked {
            assert!(!parts.is_empty() && parts.len() <= echo.len(), "{} parts of {echo:?}", parts.len());
        }
    }
}

/// `Upload-Checksum`, `Content-Digest`, `Repr-Digest` and `Want-Repr-Digest`.
pub fn digests(input: &[u8]) {
    let names = [tus::UPLOAD_CHECKSUM, checks::CONTENT_DIGEST, checks::REPR_DIGEST, checks::WANT_REPR_DIGEST, TRAILER];
    let all = headers(input, &names);
    let _ = (checks::wanted(&all), checks::come_as_trailers(&all));
    // Each by itself: what one refuses must not hide the other.
    for name in &names {
        let headers = headers(input, std::slice::from_ref(name));
        let found = [checks::of_content(&headers), checks::of_whole(&headers)];
        for expected in found.into_iter().flatten().flatten() {
            let mut hasher = Hasher::new(expected.algorithm);
            hasher.update(input);
            let is_met = hasher.matches(&expected);
            assert!(!is_met || expected.value.len() == expected.algorithm.digest_bytes(), "half a digest matches");
            let written =
                checks::field_value(&expected).map(|value| HeaderMap::from_iter([(checks::REPR_DIGEST, value)]));
            if let Some(written) = written {
                assert_eq!(checks::of_whole(&written).ok(), Some(vec![expected]), "a digest changed on its way");
            }
        }
    }
}
