//! Bytes to text, whatever character set somebody's editor wrote.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use domain::Language;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::Hints;
use super::line::excerpt;

/// The text of a file and the name of its character set in the Encoding Standard; else why it is unknown.
///
/// What the character set does not know becomes U+FFFD.
pub(super) fn decode(bytes: &[u8], hints: Hints<'_>) -> Result<(String, &'static str), String> {
    let stated = match hints.charset {
        Some(label) => Some(Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            format!("the character set {} is not known: leave it out, and it is detected", excerpt(label))
        })?),
        None => None,
    };
    // A mark at the beginning is believed before anything else, as browsers do.
    let (encoding, mark_bytes) = match Encoding::for_bom(bytes) {
        Some(marked) => marked,
        None => (stated.unwrap_or_else(|| guess(bytes, hints.language)), 0),
    };
    let (text, _) = encoding.decode_without_bom_handling(bytes.get(mark_bytes..).unwrap_or_default());
    Ok((text.into_owned(), encoding.name()))
}

fn guess(bytes: &[u8], language: Option<&Language>) -> &'static Encoding {
    if let Some(wide) = utf16_of(bytes) {
        return wide;
    }
    if std::str::from_utf8(bytes).is_ok() {
        return UTF_8;
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(language.and_then(country), Utf8Detection::Deny)
}

/// UTF-16 without a mark: digits and line ends have a zero in every second octet, and no other character
/// set that subtitles come in has zeros at all.
fn utf16_of(bytes: &[u8]) -> Option<&'static Encoding> {
    let zeros = |parity: usize| bytes.iter().skip(parity).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if odd > 2 * even {
        Some(UTF_16LE)
    } else if even > 2 * odd {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// The country whose pages the detector knows to be written in this language; it asks for the last part
/// of a host name, which tells apart character sets that differ in few places. Chinese is written in two.
fn country(language: &Language) -> Option<&'static [u8]> {
    let country: &[u8] = match language.primary() {
        "ar" => b"sa",
        "bg" => b"bg",
        "bs" | "hr" => b"hr",
        "cs" => b"cz",
        "el" => b"gr",
        "et" => b"ee",
        "fa" => b"ir",
        "he" => b"il",
        "hu" => b"hu",
        "ja" => b"jp",
        "ko" => b"kr",
        "lt" => b"lt",
        "lv" => b"lv",
        "pl" => b"pl",
        "ro" => b"ro",
        "ru" => b"ru",
        "sk" => b"sk",
        "sl" => b"si",
        "sr" => b"rs",
        "th" => b"th",
        "tr" => b"tr",
        "uk" => b"ua",
        "vi" => b"vn",
        _ => return None,
    };
    Some(country)
}
