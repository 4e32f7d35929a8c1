//! Content codings of texts: which one a client wants, and the text in it (RFC 9110 §8.4, §12.5.3).

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How hard brotli tries, of 11, and its window as a power of two: a text is coded once and sent often.
const BROTLI_QUALITY: i32 = 7;
const BROTLI_WINDOW_BITS: i32 = 20;

/// Most members of the header that are read.
const MEMBERS_MAX: usize = 32;

/// How a text is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Coding {
    /// The value of `Content-Encoding`; `None` for a text as it is.
    pub(crate) fn token(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }

    /// `text` in this coding; `None` if it would not be shorter. The same text always gives the same octets.
    pub(crate) fn encode(self, text: &[u8]) -> Option<Bytes> {
        let coded = match self {
            Self::Identity => return None,
            Self::Gzip => gzip(text),
            Self::Brotli => brotli(text),
        };
        // Writing to memory does not fail.
        coded.ok().filter(|coded| coded.len() < text.len()).map(Bytes::from)
    }
}

fn gzip(text: &[u8]) -> std::io::Result<Vec<u8>> {
    // The header has no name and no time, so that every replica writes the same.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text)?;
    encoder.finish()
}

fn brotli(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut coded = Vec::new();
    let params = brotli::enc::BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW_BITS,
        size_hint: text.len(),
        ..Default::default()
    };
    brotli::BrotliCompress(&mut &*text, &mut coded, &params)?;
    Ok(coded)
}

/// The coding that the client likes best; of equals the one that is shortest. As it is if it likes none.
pub(crate) fn negotiate(headers: &HeaderMap) -> Coding {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let members: Vec<(&str, u16)> =
        lines.flat_map(|line| line.split(',')).take(MEMBERS_MAX).filter_map(member).collect();
    let weight = |names: &[&str]| {
        let named = members.iter().find(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)));
        named.or_else(|| members.iter().find(|(name, _)| *name == "*")).map(|(_, weight)| *weight)
    };
    // What is not listed is not wanted, but for identity.
    let (brotli, gzip) = (weight(&["br"]).unwrap_or(0), weight(&["gzip", "x-gzip"]).unwrap_or(0));
    let identity = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("identity")).map_or(0, |(_, q)| *q);
    let best = brotli.max(gzip).max(identity);
    match best {
        0 => Coding::Identity,
        _ if brotli == best => Coding::Brotli,
        _ if gzip == best => Coding::Gzip,
        _ => Coding::Identity,
    }
}

/// One coding with its weight in thousandths; `None` for what is malformed.
fn member(text: &str) -> Option<(&str, u16)> {
    let (name, parameters) = text.split_once(';').map_or((text, None), |(name, rest)| (name, Some(rest)));
    let name = name.trim();
    let weight = match parameters {
        None => 1000,
        Some(parameters) => thousandths(parameters.trim().strip_prefix(['q', 'Q'])?.trim().strip_prefix('=')?.trim())?,
    };
    (!name.is_empty()).then_some((name, weight))
}

/// `0`, `1` or up to three decimals (RFC 9110 §12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(decimals),
        "1" if decimals == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn chosen(lines: &[&str]) -> Coding {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap());
        }
        negotiate(&headers)
    }

    #[test]
    fn the_client_chooses_by_its_weights() {
        use Coding::{Brotli, Gzip, Identity};
        for (line, expected) in [
            ("gzip, deflate, br", Brotli),
            ("gzip, deflate", Gzip),
            ("GZIP", Gzip),
            ("x-gzip", Gzip),
            ("br;q=0.5, gzip;q=0.8", Gzip),
            ("br;q=0.5, gzip", Gzip),
            ("br ; q=0.5 , gzip; Q=0.501", Gzip),
            ("*", Brotli),
            ("br;q=0, *", Gzip),
            ("gzip;q=0, br;q=0, *", Identity),
            ("*;q=0", Identity),
            ("identity;q=0", Identity),
            ("gzip;q=0", Identity),
            ("gzip;q=0.5, identity;q=1", Identity),
            ("identity", Identity),
            ("deflate, zstd", Identity),
            ("", Identity),
            ("gzip;q=2", Identity),
            ("gzip;q=0.0001", Identity),
            ("gzip;level=9", Identity),
        ] {
            assert_eq!(chosen(&[line]), expected, "{line}");
        }
        assert_eq!(chosen(&[]), Identity);
        assert_eq!(chosen(&["gzip", "br"]), Brotli);
    }

    #[test]
    fn a_coded_text_is_shorter_and_reads_back() {
        let text: String = (0..500).map(|at| format!("#EXTINF:6.006000,\n{at}.m4s\n")).collect();
        let (gzip, brotli) =
            (Coding::Gzip.encode(text.as_bytes()).unwrap(), Coding::Brotli.encode(text.as_bytes()).unwrap());
        assert!(brotli.len() < text.len() / 5 && gzip.len() < text.len() / 5, "{} {}", gzip.len(), brotli.len());
        let mut read = String::new();
        flate2::read::GzDecoder::new(&gzip[..]).read_to_string(&mut read).unwrap();
        assert_eq!(read, text);
        let mut read = Vec::new();
        brotli::BrotliDecompress(&mut &brotli[..], &mut read).unwrap();
        assert_eq!(read, text.as_bytes());
        assert_eq!(Coding::Gzip.encode(text.as_bytes()), Some(gzip));
        assert_eq!(Coding::Gzip.encode(b"WEBVTT\n"), None, "it would be longer");
        assert_eq!(Coding::Identity.encode(text.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(line in "[ -~]{0,60}") {
            chosen(&[&line]);
        }
    }
}
