//! The headers of tus 1.0.0: names, strict numbers, checksums, concatenation.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::UploadId;

use crate::UploadError;

pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const TUS_CHECKSUM_ALGORITHM: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(crate) const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(crate) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
pub(crate) const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
pub(crate) const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// The one version of tus that is spoken.
pub(crate) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The extensions of tus that are spoken.
pub(crate) const EXTENSIONS: HeaderValue = HeaderValue::from_static(
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,checksum-trailer,termination,\
     concatenation,concatenation-unfinished",
);
/// The media type of a piece of an upload.
pub(crate) const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";
/// Parts of one final upload: all of them are named in one header, and servers take heads of some 64 KiB.
pub(crate) const PARTS_MAX: usize = 1000;

/// What `Upload-Concat` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Concat {
    /// A part of a file.
    Partial,
    /// One file made of parts, in this order.
    Final(Vec<UploadId>),
}

/// The non-negative integer in a header; `None` when the header is absent.
///
/// Digits only: no sign, no blanks, nothing that overflows 63 bits, not twice.
pub(crate) fn integer(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, UploadError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = |reason| UploadError::Header { header: name.clone(), reason };
    if values.next().is_some() {
        return Err(refused("it is given more than once"));
    }
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.ok_or_else(|| refused("expected a whole number, digits only"))?.parse::<i64>();
    let number = number.ok().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| refused("the number is too large")).map(Some)
}

/// Whether the body is a piece of an upload.
pub(crate) fn is_piece(headers: &HeaderMap) -> bool {
    super::media_type(headers).is_some_and(|essence| essence == OFFSET_OCTET_STREAM)
}

/// Whether the client will tell the length later.
pub(crate) fn defers_length(headers: &HeaderMap) -> Result<bool, UploadError> {
    match text(headers, &UPLOAD_DEFER_LENGTH)? {
        None => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(UploadError::Header { header: UPLOAD_DEFER_LENGTH, reason: "expected 1" }),
    }
}

/// What `Upload-Concat` asks for, and the header as it came.
pub(crate) fn concat(headers: &HeaderMap) -> Result<Option<(Concat, String)>, UploadError> {
    let Some(header) = text(headers, &UPLOAD_CONCAT)? else { return Ok(None) };
    let refused = |reason| UploadError::Header { header: UPLOAD_CONCAT, reason };
    if header == "partial" {
        return Ok(Some((Concat::Partial, header.to_owned())));
    }
    let addresses = header.strip_prefix("final;").ok_or(refused("expected partial, or final; and addresses"))?;
    let parts = addresses.split(' ').filter(|address| !address.is_empty());
    let parts: Option<Vec<UploadId>> = parts.take(PARTS_MAX + 1).map(part).collect();
    let parts = parts.ok_or(refused("an address is not that of an upload here"))?;
    match parts.len() {
        0 => Err(refused("no parts are named")),
        1..=PARTS_MAX => Ok(Some((Concat::Final(parts), header.to_owned()))),
        _ => Err(refused("more than a thousand parts are named")),
    }
}

/// The upload at an address, absolute or relative, whatever path a proxy put before it.
fn part(address: &str) -> Option<UploadId> {
    let path = address.split(['?', '#']).next()?;
    // A list by commas is none: its last address would be taken for all of them.
    if path.contains(',') {
        return None;
    }
    path.trim_end_matches('/').rsplit('/').next()?.parse().ok()
}

/// The text in a header that may be given once; `None` when it is absent.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, UploadError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let refused = |reason| UploadError::Header { header: name.clone(), reason };
    if values.next().is_some() {
        return Err(refused("it is given more than once"));
    }
    value.to_str().map(Some).map_err(|_| refused("only ASCII is allowed"))
}

/// Whether the client names a header among those that it will send behind the body.
pub(crate) fn is_trailer(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(axum::http::header::TRAILER).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|field| field.trim().eq_ignore_ascii_case(name.as_str()))
}

#[cfg(test)]
mod tests {
    use axum::http::header::CONTENT_TYPE;

    use super::super::UPLOAD_OFFSET;
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        values.iter().map(value).collect()
    }

    #[test]
    fn numbers_are_digits_and_nothing_else() {
        let read = |values: &[&str]| integer(&headers(UPLOAD_OFFSET, values), &UPLOAD_OFFSET).ok();
        assert_eq!(read(&[]), Some(None));
        assert_eq!(read(&["0"]), Some(Some(0)));
        assert_eq!(read(&["9223372036854775807"]), Some(Some(i64::MAX.unsigned_abs())));
        for bad in ["", "+0", "-1", "1.0", "0x1", "5 ", "1e3", "١", "9223372036854775808", "99999999999999999999999"] {
            assert_eq!(read(&[bad]), None, "{bad:?}");
        }
        assert_eq!(read(&["1", "1"]), None);
    }

    #[test]
    fn a_piece_is_known_by_its_media_type() {
        let is = |value: &str| is_piece(&headers(CONTENT_TYPE, &[value]));
        assert!(is("application/offset+octet-stream") && is("Application/Offset+Octet-Stream; x=y"));
        assert!(!is("application/octet-stream") && !is("") && !is_piece(&HeaderMap::new()));
    }

    #[test]
    fn parts_are_found_at_absolute_and_relative_addresses() {
        let id = |number| UploadId::from_u128(number);
        let check = |header: String, expected: Vec<UploadId>| {
            let read = concat(&headers(UPLOAD_CONCAT, &[&header])).expect("is understood");
            assert_eq!(read, Some((Concat::Final(expected), header)));
        };
        check(format!("final;/uploads/{} /uploads/{}", id(2), id(1)), vec![id(2), id(1)]);
        check(format!("final;https://example.com/media/uploads/{}?grant=a", id(3)), vec![id(3)]);
        check(format!("final; {} {}/", id(1), id(1)), vec![id(1), id(1)]);
        let partial = concat(&headers(UPLOAD_CONCAT, &["partial"])).expect("is understood");
        assert_eq!(partial, Some((Concat::Partial, "partial".to_owned())));
        let commas = format!("final;/uploads/{},/uploads/{}", id(1), id(2));
        let endless = format!("final;{}", format!("{} ", id(1)).repeat(PARTS_MAX + 1));
        for bad in ["", "final", "final;", "final; ", "Partial", "final;/uploads/x", "final,/a", &*commas, &*endless] {
            assert!(concat(&headers(UPLOAD_CONCAT, &[bad])).is_err(), "{bad:?}");
        }
        assert_eq!(concat(&HeaderMap::new()).ok(), Some(None));
    }

    #[test]
    fn a_length_is_deferred_by_one_and_nothing_else() {
        let read = |values: &[&str]| defers_length(&headers(UPLOAD_DEFER_LENGTH, values)).ok();
        assert_eq!((read(&[]), read(&["1"])), (Some(false), Some(true)));
        for bad in [&["0"][..], &[""], &["true"], &["2"], &["1", "1"]] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn trailers_are_found_by_name() {
        let is = |values: &[&str]| is_trailer(&headers(axum::http::header::TRAILER, values), &UPLOAD_CHECKSUM);
        assert!(is(&["Upload-Checksum"]) && is(&["x, upload-checksum"]) && is(&["x", "UPLOAD-CHECKSUM , y"]));
        assert!(!is(&[]) && !is(&["upload-checksum-2"]));
    }
}
