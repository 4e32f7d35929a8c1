//! Lines and attribute lists as RFC 8216 §4.1 and §4.2 define them, without mercy.

use super::{Report, rules};

/// Most lines that are read.
const LINES_MAX: usize = 1_000_000;

/// A playlist as lines; those that mean nothing are left out.
pub(super) struct Lines<'a> {
    pub(super) place: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// One line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) kind: LineKind<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum LineKind<'a> {
    /// Without its `#`; the value is what follows the colon.
    Tag {
        name: &'a str,
        value: &'a str,
    },
    Uri(&'a str),
}

impl<'a> Lines<'a> {
    /// The lines of a playlist; `None` if it is none.
    pub(super) fn read(place: &'a str, text: &'a [u8], report: &mut Report) -> Option<Self> {
        let (text, has_mark) = text.strip_prefix(b"\xef\xbb\xbf").map_or((text, false), |rest| (rest, true));
        if has_mark {
            report.add(&rules::UTF8, place, "it begins with a byte order mark");
        }
        let Ok(text) = std::str::from_utf8(text) else {
            report.add(&rules::UTF8, place, "it is not UTF-8");
            return None;
        };
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.split('\n')).take(LINES_MAX) {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if let Some(bad) = line.chars().find(|c| c.is_control()) {
                report.add(&rules::UTF8, format!("{place}:{number}"), format!("control character {bad:?}"));
            }
            if number == 1 && line != "#EXTM3U" {
                report.add(&rules::EXTM3U, format!("{place}:1"), "the first line is not #EXTM3U");
                if !text.contains("#EXT") {
                    return None;
                }
            }
            let kind = match line.strip_prefix("#EXT") {
                Some(_) => {
                    let (name, value) = line[1..].split_once(':').unwrap_or((&line[1..], ""));
                    LineKind::Tag { name, value }
                }
                // Comments, and lines without anything.
                None if line.starts_with('#') || line.is_empty() => continue,
                None => LineKind::Uri(line),
            };
            if let LineKind::Uri(uri) = kind
                && (uri.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}', '\t']))
            {
                report.add(&rules::URI, format!("{place}:{number}"), format!("{uri:?} is no URI"));
            }
            lines.push(Line { number, kind });
        }
        Some(Self { place, lines })
    }

    pub(super) fn at(&self, number: usize) -> String {
        format!("{}:{number}", self.place)
    }

    /// All tags with this name: numbers and values.
    pub(super) fn tags(&self, wanted: &str) -> impl Iterator<Item = (usize, &'a str)> {
        self.lines.iter().filter_map(move |line| match line.kind {
            LineKind::Tag { name, value } if name == wanted => Some((line.number, value)),
            _ => None,
        })
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tags(name).next().is_some()
    }

    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.has(name))
    }

    /// The value of a tag that stands there at most once.
    pub(super) fn once(&self, name: &str, report: &mut Report) -> Option<(usize, &'a str)> {
        let mut found = self.tags(name);
        let first = found.next();
        if let Some((number, _)) = found.next() {
            report.add(&rules::ONCE, self.at(number), format!("{name} stands there twice"));
        }
        first
    }

    /// Checks `EXT-X-VERSION` against what the tags in use need, and why.
    pub(super) fn check_version(&self, needed: u64, reason: &str, report: &mut Report) {
        let stated = self.once("EXT-X-VERSION", report);
        let version = stated.map_or(Some(1), |(_, value)| value.parse::<u64>().ok());
        let place = stated.map_or_else(|| self.place.to_owned(), |(number, _)| self.at(number));
        match version {
            None => report.add(&rules::VERSION, place, "EXT-X-VERSION is no number"),
            Some(version) if version < needed => {
                report.add(&rules::VERSION, place, format!("version {version} has no {reason}, which needs {needed}"));
            }
            Some(_) => {}
        }
    }
}

/// An attribute list.
pub(super) struct Attributes<'a> {
    place: String,
    list: Vec<(&'a str, Value<'a>)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Quoted(&'a str),
    Plain(&'a str),
}

impl<'a> Attributes<'a> {
    /// Reads a list; what is malformed is reported and left out.
    pub(super) fn read(place: String, text: &'a str, report: &mut Report) -> Self {
        let mut list: Vec<(&str, Value<'_>)> = Vec::new();
        let mut rest = text;
        let mut bad = |what: String| report.add(&rules::ATTRIBUTES, place.clone(), what);
        // Every round consumes at least the equals sign.
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else {
                bad(format!("{rest:?} has no value"));
                break;
            };
            let is_name = !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-');
            if !is_name {
                bad(format!("{name:?} is no name of an attribute"));
            }
            let (value, tail) = match after.strip_prefix('"') {
                Some(quoted) => match quoted.split_once('"') {
                    Some((inner, tail)) => (Value::Quoted(inner), tail),
                    None => {
                        bad(format!("the value of {name} has no closing quote"));
                        break;
                    }
                },
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (Value::Plain(&after[..end]), &after[end..])
                }
            };
            if let Value::Plain(plain) = value
                && (plain.is_empty() || plain.contains(['"', ' ', '\t']))
            {
                bad(format!("{name}={plain} is empty or has quotes or spaces"));
            }
            if list.iter().any(|(known, _)| *known == name) {
                bad(format!("{name} stands there twice"));
            } else if is_name {
                list.push((name, value));
            }
            rest = match tail.strip_prefix(',') {
                Some("") => {
                    bad("the list ends with a comma".into());
                    ""
                }
                Some(tail) => tail,
                None if tail.is_empty() => "",
                None => {
                    bad(format!("{tail:?} follows the value of {name}"));
                    break;
                }
            };
        }
        Self { place, list }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.list.iter().any(|(known, _)| *known == name)
    }

    fn value(&self, name: &str) -> Option<Value<'a>> {
        self.list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A quoted string.
    pub(super) fn quoted(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        match self.value(name)? {
            Value::Quoted(text) => Some(text),
            Value::Plain(text) => {
                report.add(&rules::ATTRIBUTES, self.place.clone(), format!("{name}={text} wants quotes"));
                Some(text)
            }
        }
    }

    /// An enumerated string, or any value without quotes.
    pub(super) fn plain(&self, name: &str, report: &mut Report) -> Option<&'a str> {
        match self.value(name)? {
            Value::Plain(text) => Some(text),
            Value::Quoted(text) => {
                report.add(&rules::ATTRIBUTES, self.place.clone(), format!("{name}=\"{text}\" wants no quotes"));
                Some(text)
            }
        }
    }

    /// A decimal integer.
    pub(super) fn integer(&self, name: &str, report: &mut Report) -> Option<u64> {
        let text = self.plain(name, report)?;
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        self.or_bad(number, name, text, "no decimal integer", report)
    }

    /// A decimal number in millionths.
    pub(super) fn millionths(&self, name: &str, report: &mut Report) -> Option<u64> {
        let text = self.plain(name, report)?;
        self.or_bad(millionths(text), name, text, "no decimal number", report)
    }

    /// Width and height.
    pub(super) fn resolution(&self, name: &str, report: &mut Report) -> Option<(u32, u32)> {
        let text = self.plain(name, report)?;
        let size = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
        self.or_bad(size.filter(|(width, height)| *width > 0 && *height > 0), name, text, "no resolution", report)
    }

    /// `YES` or `NO`; absence is `NO`.
    pub(super) fn yes(&self, name: &str, report: &mut Report) -> bool {
        let Some(text) = self.plain(name, report) else { return false };
        let value = match text {
            "YES" => Some(true),
            "NO" => Some(false),
            _ => None,
        };
        self.or_bad(value, name, text, "neither YES nor NO", report).unwrap_or(false)
    }

    fn or_bad<T>(&self, value: Option<T>, name: &str, text: &str, what: &str, report: &mut Report) -> Option<T> {
        if value.is_none() {
            report.add(&rules::ATTRIBUTES, self.place.clone(), format!("{name}={text} is {what}"));
        }
        value
    }
}

/// A decimal number without sign in millionths; further decimals are cut.
pub(super) fn millionths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(decimals) {
        return None;
    }
    let decimals: String = decimals.chars().chain("000000".chars()).take(6).collect();
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(decimals.parse().ok()?)
}
