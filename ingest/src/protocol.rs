//! The headers of the protocol: names, strict numbers, metadata.

use std::collections::HashSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::UploadError;

pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const TUS_EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const TUS_MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(crate) const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
pub(crate) const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
pub(crate) const METHOD_OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
pub(crate) const ASSET_LOCATION: HeaderName = HeaderName::from_static("asset-location");

/// The one version of tus that is spoken.
pub(crate) const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
/// The extensions of tus that are spoken.
pub(crate) const EXTENSIONS: HeaderValue = HeaderValue::from_static("creation,creation-with-upload,termination");
/// The media type of a piece of an upload.
pub(crate) const OFFSET_OCTET_STREAM: &str = "application/offset+octet-stream";
/// Longest file name that is kept, in characters.
const FILE_NAME_CHARS_MAX: usize = 255;

/// The standard alphabet; padding is welcome, not required.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

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
    let value = headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.map(|value| value.split(';').next().unwrap_or(value).trim());
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(OFFSET_OCTET_STREAM))
}

/// What a client says of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The header, byte for byte as the client sent it.
    pub(crate) header: String,
    /// The file's name without any folder, if the client gave one.
    pub(crate) file_name: Option<String>,
}

/// Reads `Upload-Metadata`; an absent or empty header is empty metadata.
pub(crate) fn metadata(headers: &HeaderMap, bytes_max: usize) -> Result<Metadata, UploadError> {
    let refused = |reason| UploadError::Header { header: UPLOAD_METADATA, reason };
    let mut header = String::new();
    for value in headers.get_all(UPLOAD_METADATA) {
        let value = value.to_str().map_err(|_| refused("only ASCII is allowed; values are base64"))?;
        if !header.is_empty() {
            header.push(',');
        }
        header.push_str(value);
    }
    if header.len() > bytes_max {
        return Err(UploadError::MetadataTooLong { bytes_max });
    }
    let (mut keys, mut file_name, mut name) = (HashSet::new(), None, None);
    let pairs = if header.trim().is_empty() { None } else { Some(header.split(',')) };
    for pair in pairs.into_iter().flatten() {
        let (key, value) = pair.trim().split_once(' ').unwrap_or((pair.trim(), ""));
        if key.is_empty() {
            return Err(refused("a key is empty"));
        }
        let value = BASE64.decode(value.trim()).map_err(|_| refused("a value is not base64"))?;
        match key {
            "filename" => file_name = Some(value),
            "name" => name = Some(value),
            _ => {}
        }
        if !keys.insert(key) {
            return Err(refused("a key is given twice"));
        }
    }
    let file_name = file_name.or(name).and_then(|name| plain_name(&name));
    Ok(Metadata { header, file_name })
}

/// A name fit to be shown: no folders, no control characters, not endless; `None` if nothing is left.
fn plain_name(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let base = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base.chars().filter(|char| !char.is_control()).take(FILE_NAME_CHARS_MAX).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
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
    fn metadata_is_kept_byte_for_byte() {
        for header in ["", "filename ZmlsbS5tcDQ=", "a YQ==,b,c Yw", "is_x, filename  Zg== ", "bin AP8NCg=="] {
            let read = metadata(&headers(UPLOAD_METADATA, &[header]), 100).expect("is metadata");
            assert_eq!(read.header, header.trim_end_matches(|_| false));
        }
        assert_eq!(metadata(&HeaderMap::new(), 100).expect("absent is empty"), Metadata::default());
    }

    #[test]
    fn malformed_metadata_is_refused() {
        for header in ["a YQ==,a YQ==", ",", "a YQ==,", " ,a", "a ***", "a Y Q", "a é"] {
            assert!(metadata(&headers(UPLOAD_METADATA, &[header]), 100).is_err(), "{header:?}");
        }
        let long = format!("a {}", "A".repeat(100));
        let refused = metadata(&headers(UPLOAD_METADATA, &[&long]), 100);
        assert!(matches!(refused, Err(UploadError::MetadataTooLong { bytes_max: 100 })));
    }

    #[test]
    fn a_file_name_loses_folders_and_control_characters() {
        let check = |name: &[u8], expected: Option<&str>| {
            let header = format!("filename {}", BASE64.encode(name));
            let read = metadata(&headers(UPLOAD_METADATA, &[&header]), 10_000).expect("is metadata");
            assert_eq!(read.file_name.as_deref(), expected);
        };
        check("Ferien 2026.mp4".as_bytes(), Some("Ferien 2026.mp4"));
        check(b"../../etc/passwd", Some("passwd"));
        check(b"C:\\clips\\a.mov", Some("a.mov"));
        check(b"a\r\nb\0.mp4", Some("ab.mp4"));
        check(b"dir/", None);
        check(&[0xff, b'a'], Some("\u{fffd}a"));
        check("ü".repeat(300).as_bytes(), Some(&"ü".repeat(255)));
    }

    #[test]
    fn a_piece_is_known_by_its_media_type() {
        let is = |value: &str| is_piece(&headers(axum::http::header::CONTENT_TYPE, &[value]));
        assert!(is("application/offset+octet-stream") && is("Application/Offset+Octet-Stream; x=y"));
        assert!(!is("application/octet-stream") && !is("") && !is_piece(&HeaderMap::new()));
    }
}
