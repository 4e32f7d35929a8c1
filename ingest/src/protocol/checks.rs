//! Digests in headers: `Upload-Checksum` of tus, and the fields of RFC 9530.

use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::fields;
use super::metadata::BASE64;
use super::tus::{UPLOAD_CHECKSUM, is_trailer, text};
use crate::UploadError;
use crate::digest::{Algorithm, Expected};

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
pub(crate) const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
/// The digests of whole files that the server would like to be given.
pub(crate) const WANTED: HeaderValue = HeaderValue::from_static("sha-256=10, sha-512=5");

/// The names that `Upload-Checksum` may bear, for `Tus-Checksum-Algorithm`.
pub(crate) fn algorithms() -> HeaderValue {
    let names = Algorithm::ALL.map(Algorithm::tus_name).join(",");
    HeaderValue::from_str(&names).expect("names of algorithms are ASCII")
}

/// Fails where the octets of a body are coded: they would be kept as they come (RFC 9110 §8.4).
pub(crate) fn uncoded(headers: &HeaderMap) -> Result<(), UploadError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let is_plain = codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_plain { Ok(()) } else { Err(UploadError::Coding) }
}

/// The digests that the content of a request must have, from its headers or its trailers.
pub(crate) fn of_content(headers: &HeaderMap) -> Result<Vec<Expected>, UploadError> {
    let mut checks = of_field(headers, &CONTENT_DIGEST)?;
    if let Some(header) = text(headers, &UPLOAD_CHECKSUM)? {
        checks.push(checksum(header)?);
    }
    Ok(checks)
}

/// The digests that the whole upload must have.
pub(crate) fn of_whole(headers: &HeaderMap) -> Result<Vec<Expected>, UploadError> {
    of_field(headers, &REPR_DIGEST)
}

/// Whether digests of the content come behind it.
pub(crate) fn come_as_trailers(headers: &HeaderMap) -> bool {
    is_trailer(headers, &UPLOAD_CHECKSUM) || is_trailer(headers, &CONTENT_DIGEST)
}

/// The algorithms in which the client wants to be told the digest of the whole, the dearest first; by
/// their names in tus, which an upload's terms record.
pub(crate) fn wanted(headers: &HeaderMap) -> Vec<String> {
    let Some(fields) = fields::dictionary(headers, &WANT_REPR_DIGEST) else { return Vec::new() };
    let preference = |(key, entry): (&sfv::Key, &sfv::ListEntry)| {
        let sfv::ListEntry::Item(item) = entry else { return None };
        let weight = i64::from(item.bare_item.as_integer()?);
        Some((Algorithm::of_field_key(key.as_str())?, weight))
    };
    let mut wanted: Vec<(Algorithm, i64)> =
        fields.iter().filter_map(preference).filter(|(_, weight)| (1..=10).contains(weight)).collect();
    wanted.sort_by_key(|(_, weight)| -weight);
    wanted.into_iter().map(|(algorithm, _)| algorithm.tus_name().to_owned()).collect()
}

/// A digest as the value of `Repr-Digest`; `None` where the algorithm has no key there.
pub(crate) fn field_value(digest: &Expected) -> Option<HeaderValue> {
    let text = format!("{}=:{}:", digest.algorithm.field_key()?, BASE64_STANDARD.encode(&digest.value));
    HeaderValue::from_str(&text).ok()
}

/// The digests of a field, of all algorithms that are known here.
fn of_field(headers: &HeaderMap, name: &HeaderName) -> Result<Vec<Expected>, UploadError> {
    if !headers.contains_key(name) {
        return Ok(Vec::new());
    }
    let refused = |reason| UploadError::Header { header: name.clone(), reason };
    let fields =
        fields::dictionary(headers, name).ok_or(refused("expected algorithms with digests, as sha-256=:...:"))?;
    let mut checks = Vec::new();
    for (key, entry) in &fields {
        // Whoever gives a digest may not know which ones are understood: the others are ignored.
        let Some(algorithm) = Algorithm::of_field_key(key.as_str()) else { continue };
        let value = match entry {
            sfv::ListEntry::Item(item) => item.bare_item.as_byte_sequence(),
            sfv::ListEntry::InnerList(_) => None,
        };
        let value = value.ok_or(refused("a digest is not a byte sequence, as :...:"))?.to_vec();
        checks.push(sized(Expected { algorithm, value }, name)?);
    }
    Ok(checks)
}

/// Reads `Upload-Checksum`: the name of an algorithm, a space, the digest in base64.
fn checksum(header: &str) -> Result<Expected, UploadError> {
    let refused = |reason| UploadError::Header { header: UPLOAD_CHECKSUM, reason };
    let (name, value) = header.trim().split_once(' ').ok_or(refused("expected an algorithm and a digest in base64"))?;
    let unknown = "the algorithm is not supported: see Tus-Checksum-Algorithm in the answer to OPTIONS";
    let algorithm = Algorithm::of_tus_name(name).ok_or(refused(unknown))?;
    let value = BASE64.decode(value.trim()).map_err(|_| refused("the digest is not base64"))?;
    sized(Expected { algorithm, value }, &UPLOAD_CHECKSUM)
}

fn sized(expected: Expected, header: &HeaderName) -> Result<Expected, UploadError> {
    if expected.value.len() == expected.algorithm.digest_bytes() {
        return Ok(expected);
    }
    Err(UploadError::Header { header: header.clone(), reason: "the digest has not the length of its algorithm" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().expect("a value"))).collect()
    }

    fn sha1_of_hello_world() -> Expected {
        let value = BASE64.decode("Kq5sNclPz7QV2+lfQIuc6R7oRu0=").expect("is base64");
        Expected { algorithm: Algorithm::Sha1, value }
    }

    #[test]
    fn a_checksum_of_tus_is_an_algorithm_and_base64() {
        let read = |line: &str| of_content(&headers(UPLOAD_CHECKSUM, &[line])).ok();
        assert_eq!(read("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="), Some(vec![sha1_of_hello_world()]));
        assert_eq!(read("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0"), Some(vec![sha1_of_hello_world()]));
        for bad in ["", "sha1", "sha1 ", "sha3 AAAA", "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1 AAAA", "sha1 ****"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let twice = headers(UPLOAD_CHECKSUM, &["sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="; 2]);
        assert!(of_content(&twice).is_err());
    }

    #[test]
    fn digest_fields_may_name_several_algorithms_and_unknown_ones() {
        let crc = Expected { algorithm: Algorithm::Crc32c, value: vec![0, 0, 0, 0] };
        let lines = ["sha=:Kq5sNclPz7QV2+lfQIuc6R7oRu0=:, adler=:AA==:", "crc32c=:AAAAAA==:"];
        assert_eq!(of_content(&headers(CONTENT_DIGEST, &lines)).ok(), Some(vec![sha1_of_hello_world(), crc]));
        assert_eq!(of_whole(&headers(REPR_DIGEST, &["unixsum=:AA==:"])).ok(), Some(vec![]));
        for bad in ["sha=Kq5s", "sha=\"x\"", "sha-256=:AAAA:", "=", "sha=(:AA==:)", "sha"] {
            assert!(of_whole(&headers(REPR_DIGEST, &[bad])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn wishes_are_ordered_by_their_weight() {
        let read = |line: &str| wanted(&headers(WANT_REPR_DIGEST, &[line]));
        assert_eq!(read("md5=1, sha-256=9, sha-512=3, x=10"), ["sha256", "sha512", "md5"]);
        assert!(read("sha-256=0, sha-512=11, md5=?1").is_empty());
        assert_eq!(wanted(&headers(WANT_REPR_DIGEST, &[WANTED.to_str().expect("is ASCII")])).len(), 2);
    }

    #[test]
    fn what_is_told_can_be_read_back() {
        let told = field_value(&sha1_of_hello_world()).expect("has a key");
        assert_eq!(told, "sha=:Kq5sNclPz7QV2+lfQIuc6R7oRu0=:");
        assert_eq!(of_whole(&HeaderMap::from_iter([(REPR_DIGEST, told)])).ok(), Some(vec![sha1_of_hello_world()]));
        assert_eq!(algorithms(), "sha256,sha512,blake3,crc32c,sha1,md5");
    }
}
