//! Markers: moments and spans of an asset that somebody named, for programs rather than for people.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{MediaTime, Timescale};

/// Most markers of an asset.
pub const COUNT_MAX: usize = 1000;
/// Most attributes of one.
pub const ATTRIBUTES_MAX: usize = 32;
/// Longest text of any kind in one, in characters.
pub const MARKER_TEXT_CHARS_MAX: usize = 250;

/// What a name of an attribute begins with.
const PREFIX: &str = "X-";

/// A moment or a span, on the timeline of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Its name, which no other marker of the asset has.
    pub id: String,
    /// When it begins.
    pub start: MediaTime,
    /// How long it lasts; `None` if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<MediaTime>,
    /// What kind of thing it is, such as `org.example.advert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What else is known of it, under names such as `X-ORG-EXAMPLE-PRICE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, MarkerValue>,
}

/// What an attribute of a marker says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkerValue {
    /// A text.
    Text(String),
    /// A number that is not negative, in millionths.
    Millionths(u64),
}

/// Whether a text can be said of a marker as it stands: short, not empty, and without what would end a quotation or a
/// line.
pub fn is_text(text: &str) -> bool {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\u{2028}' | '\u{2029}' | '\u{feff}');
    // White space that is not one blank between words would be changed by whoever writes it down.
    let is_tidy = text.split(' ').all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
    is_tidy && text.chars().count() <= MARKER_TEXT_CHARS_MAX && text.chars().all(is_plain)
}

/// Whether a text is the name of an attribute that clients may give meaning to.
pub fn is_attribute_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    text.strip_prefix(PREFIX).is_some_and(|rest| !rest.is_empty())
        && text.len() <= MARKER_TEXT_CHARS_MAX
        && text.bytes().all(is_plain)
}

/// The markers of an asset that lasts so long: those that begin within it, none beyond its end, in order.
pub fn shown(set: &[Marker], duration: MediaTime) -> Vec<Marker> {
    let ms = |ticks| MediaTime::new(ticks, Timescale::MILLISECONDS);
    let end_ms = duration.as_ms();
    let mut names = HashSet::new();
    let mut shown: Vec<Marker> = set
        .iter()
        .filter(|one| (0..end_ms).contains(&one.start.as_ms()) && names.insert(one.id.as_str()))
        .take(COUNT_MAX)
        .map(|one| {
            let start_ms = one.start.as_ms();
            let lasts = one.duration.map(|lasts| ms(lasts.as_ms().clamp(0, end_ms - start_ms)));
            Marker { start: ms(start_ms), duration: lasts, ..one.clone() }
        })
        .collect();
    shown.sort_by_key(|one| one.start);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ticks: i64) -> MediaTime {
        MediaTime::new(ticks, Timescale::MILLISECONDS)
    }

    fn marker(id: &str, start: i64, duration: Option<i64>) -> Marker {
        Marker { id: id.into(), start: ms(start), duration: duration.map(ms), class: None, attributes: BTreeMap::new() }
    }

    #[test]
    fn what_is_shown_lies_within_the_asset_in_order_and_once() {
        let set = [
            marker("b", 5000, Some(9000)),
            marker("a", 1000, None),
            marker("b", 2000, None),
            marker("late", 10_000, None),
        ];
        assert_eq!(shown(&set, ms(10_000)), [marker("a", 1000, None), marker("b", 5000, Some(5000))]);
        assert_eq!(shown(&set, MediaTime::zero()), []);
    }

    #[test]
    fn texts_and_names_are_those_that_need_no_escape() {
        for (text, expected) in [
            ("intro", true),
            ("two words, a=b 🎬", true),
            ("", false),
            (" x", false),
            ("a  b", false),
            ("a\u{a0}b", false),
            ("a\"b", false),
            ("a\nb", false),
            ("\u{feff}a", false),
        ] {
            assert_eq!(is_text(text), expected, "{text:?}");
        }
        assert!(is_text(&"é".repeat(MARKER_TEXT_CHARS_MAX)) && !is_text(&"é".repeat(MARKER_TEXT_CHARS_MAX + 1)));
        for (name, expected) in
            [("X-A", true), ("X-COM-EXAMPLE-1", true), ("X-", false), ("x-a", false), ("ID", false), ("X-A B", false)]
        {
            assert_eq!(is_attribute_name(name), expected, "{name}");
        }
    }

    #[test]
    fn it_is_written_in_few_words() {
        let attributes = BTreeMap::from([
            ("X-A".to_owned(), MarkerValue::Text("b".into())),
            ("X-N".to_owned(), MarkerValue::Millionths(1_500_000)),
        ]);
        let marker = Marker { attributes, class: Some("c".into()), ..marker("a", 1, None) };
        let json = serde_json::to_string(&marker).unwrap();
        assert!(
            json.ends_with(r#""class":"c","attributes":{"X-A":{"text":"b"},"X-N":{"millionths":1500000}}}"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Marker>(&json).unwrap(), marker);
    }
}
