//! What a client says of its file: `Upload-Metadata` of tus, `Content-Disposition` of HTTP.

use std::collections::HashSet;

use axum::http::header::CONTENT_DISPOSITION;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::UploadError;

pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// Longest file name that is kept, in characters.
const FILE_NAME_CHARS_MAX: usize = 255;
/// Longest media type that is kept, in octets.
const MEDIA_TYPE_BYTES_MAX: usize = 127;

/// The standard alphabet; padding is welcome, not required.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client says of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The header, byte for byte as the client sent it.
    pub(crate) header: String,
    /// The file's name without any folder, if the client gave one.
    pub(crate) file_name: Option<String>,
    /// The file's media type as the client has it, if it looks like one.
    pub(crate) media_type: Option<String>,
    /// The asset of which it is another source, as the client names it.
    pub(crate) replaces: Option<String>,
    /// The asset of which it is a document.
    pub(crate) document_of: Option<String>,
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
    let mut keys = HashSet::new();
    let (mut file_name, mut name, mut media_type) = (None, None, None);
    let (mut replaces, mut document_of) = (None, None);
    let plain = |value: Vec<u8>| Some(String::from_utf8_lossy(&value).trim().to_owned());
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
            "replaces" => replaces = plain(value),
            "document_of" => document_of = plain(value),
            "filetype" => media_type = plain_media_type(&value),
            _ => {}
        }
        if !keys.insert(key) {
            return Err(refused("a key is given twice"));
        }
    }
    if replaces.is_some() && document_of.is_some() {
        return Err(refused("it is either another version of an asset or a document of one"));
    }
    let file_name = file_name.or(name).and_then(|name| plain_name(&name));
    Ok(Metadata { header, file_name, media_type, replaces, document_of })
}

/// A name fit to be shown: no folders, no control characters, not endless; `None` if nothing is left.
fn plain_name(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let base = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = base.chars().filter(|char| !char.is_control()).take(FILE_NAME_CHARS_MAX).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// A media type fit to be recorded; parameters are dropped.
pub(crate) fn plain_media_type(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let essence = text.split(';').next().unwrap_or(text).trim().to_ascii_lowercase();
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let (kind, subtype) = essence.split_once('/')?;
    (essence.len() <= MEDIA_TYPE_BYTES_MAX && is_token(kind) && is_token(subtype)).then_some(essence)
}

/// The file's name in `Content-Disposition` (RFC 6266), whatever the disposition; `filename*` counts most.
pub(crate) fn disposed_name(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(CONTENT_DISPOSITION)?.as_bytes();
    let (mut plain, mut extended) = (None, None);
    for (key, value) in parameters(header) {
        match key.as_str() {
            "filename" => plain = Some(value),
            "filename*" => extended = extended_value(&value),
            _ => {}
        }
    }
    plain_name(&extended.or(plain)?)
}

/// The parameters behind the first semicolon, quotes removed, keys in lower case.
fn parameters(header: &[u8]) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut part) = (Vec::new(), Vec::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    let end = [b';'];
    for &byte in header.iter().chain(&end) {
        match byte {
            _ if is_escaped => {
                part.push(byte);
                is_escaped = false;
            }
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b';' if !is_quoted => {
                let part = std::mem::take(&mut part);
                if let Some(at) = part.iter().position(|byte| *byte == b'=') {
                    let key = String::from_utf8_lossy(&part[..at]).trim().to_ascii_lowercase();
                    found.push((key, part[at + 1..].trim_ascii().to_vec()));
                }
            }
            byte => part.push(byte),
        }
    }
    found
}

/// The octets of an extended parameter in UTF-8 (RFC 8187); `None` for any other character set.
fn extended_value(value: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(value).ok()?;
    let (charset, rest) = text.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let (mut octets, mut rest) = (Vec::new(), encoded.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digits = [*high, *low];
                octets.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                tail
            }
            (b'%', _) => return None,
            (byte, tail) => {
                octets.push(*byte);
                tail
            }
        };
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        values.iter().map(value).collect()
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
    fn a_media_type_is_kept_if_it_is_one() {
        let check = |value: &str, expected: Option<&str>| {
            let header = format!("filetype {}", BASE64.encode(value));
            let read = metadata(&headers(UPLOAD_METADATA, &[&header]), 10_000).expect("is metadata");
            assert_eq!(read.media_type.as_deref(), expected, "{value:?}");
        };
        check("video/mp4", Some("video/mp4"));
        check("Video/MP4; codecs=avc1", Some("video/mp4"));
        for other in ["", "video", "video/", "/mp4", "a/b/c", "video/m p4", "video/\u{e4}"] {
            check(other, None);
        }
        check(&format!("video/{}", "x".repeat(200)), None);
    }

    #[test]
    fn a_file_name_is_found_in_the_disposition() {
        let check = |header: &str, expected: Option<&str>| {
            assert_eq!(disposed_name(&headers(CONTENT_DISPOSITION, &[header])).as_deref(), expected, "{header}");
        };
        check("inline; filename=\"file name.jpg\"; filename*=UTF-8''file%20%e2%82%ac.jpg", Some("file \u{20ac}.jpg"));
        check("attachment;FileName=a.mp4", Some("a.mp4"));
        check(r#"inline; filename="a\"b;c.mp4""#, Some("a\"b;c.mp4"));
        check("inline; filename=\"../../etc/passwd\"", Some("passwd"));
        check("inline; filename*=iso-8859-1'en'%a3.mp4; filename=b.mp4", Some("b.mp4"));
        for nothing in
            ["inline", "inline; filename", "inline; filename*=UTF-8''%zz", "inline; filename=\"\"", "filename"]
        {
            check(nothing, None);
        }
    }
}
