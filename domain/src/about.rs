//! What people say about an asset: its title, what it is about, who made it, and how others call it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::Language;
use crate::search::fold;

/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 255;
/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 5000;
/// Most tags.
pub const TAGS_MAX: usize = 50;
/// Most genres.
pub const GENRES_MAX: usize = 20;
/// Longest tag or genre, in characters.
pub const LABEL_CHARS_MAX: usize = 50;
/// Most languages.
pub const LANGUAGES_MAX: usize = 20;
/// Most names under which others know it.
pub const EXTERNAL_IDS_MAX: usize = 20;
/// Longest name of a scheme, in characters.
pub const SCHEME_CHARS_MAX: usize = 32;
/// Longest id under a scheme, in characters.
pub const EXTERNAL_ID_CHARS_MAX: usize = 128;
/// Most people.
pub const PEOPLE_MAX: usize = 200;
/// Longest name of somebody, in characters.
pub const NAME_CHARS_MAX: usize = 120;
/// Longest name of what somebody did, in characters.
pub const ROLE_CHARS_MAX: usize = 80;

/// What people say about an asset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its title; `None` while the file's own is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about, perhaps over several lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Words under which it is to be found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What kind of work it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub genres: Vec<String>,
    /// Its languages; none while those of its sound are meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<Language>,
    /// The day on which it came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_on: Option<Date>,
    /// How others call it: scheme (`imdb`) and id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external_ids: BTreeMap<String, String>,
    /// Who made it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<Credit>,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// Their name.
    pub name: String,
    /// What they did, such as `director`, or whom they play.
    pub role: String,
}

/// Something that cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What kind of fault it is, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code, detail: detail.into() }
    }
}

impl About {
    /// The same as it is kept: white space made even, what is said twice said once.
    ///
    /// # Errors
    /// Every [`Fault`], in the order of the fields.
    pub fn tidied(self) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        at_most(self.title.as_deref().unwrap_or_default(), TITLE_CHARS_MAX, "/title", &mut faults);
        let title = self.title.map(|text| line(&text)).filter(|text| !text.is_empty());
        let description = self.description.as_deref().unwrap_or_default();
        at_most(description, DESCRIPTION_CHARS_MAX, "/description", &mut faults);
        let description = self.description.map(|text| lines(&text)).filter(|text| !text.is_empty());
        let tags = labels(self.tags, TAGS_MAX, "/tags", &mut faults);
        let genres = labels(self.genres, GENRES_MAX, "/genres", &mut faults);
        let mut languages: Vec<Language> = Vec::new();
        for language in self.languages {
            if !languages.contains(&language) {
                languages.push(language);
            }
        }
        so_many(languages.len(), LANGUAGES_MAX, "/languages", &mut faults);
        so_many(self.external_ids.len(), EXTERNAL_IDS_MAX, "/external_ids", &mut faults);
        for (scheme, id) in self.external_ids.iter().take(EXTERNAL_IDS_MAX) {
            external_id(scheme, id, &mut faults);
        }
        so_many(self.people.len(), PEOPLE_MAX, "/people", &mut faults);
        let each = self.people.into_iter().take(PEOPLE_MAX).enumerate();
        let people: Vec<Credit> = each.map(|(at, credit)| credit.tidied(at, &mut faults)).collect();
        let (released_on, external_ids) = (self.released_on, self.external_ids);
        let about = Self { title, description, tags, genres, languages, released_on, external_ids, people };
        if faults.is_empty() { Ok(about) } else { Err(faults) }
    }
}

impl Credit {
    fn tidied(self, at: usize, faults: &mut Vec<Fault>) -> Self {
        let mut tidied = |field: &str, text: &str, most: usize| {
            let (pointer, tidied) = (format!("/people/{at}/{field}"), line(text));
            if tidied.is_empty() {
                faults.push(Fault::new(&*pointer, "empty", "says nothing"));
            }
            at_most(text, most, &pointer, faults);
            tidied
        };
        Self { name: tidied("name", &self.name, NAME_CHARS_MAX), role: tidied("role", &self.role, ROLE_CHARS_MAX) }
    }
}

/// One line with single blanks between words.
pub fn line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Several lines without characters that control anything; a blank stands for each, so that no words are joined.
pub fn lines(text: &str) -> String {
    let even = text.replace("\r\n", "\n").replace('\r', "\n");
    let plain: String = even.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    plain.trim().to_owned()
}

/// Notes a fault if a text, as it was sent and before it is made even, has more characters.
pub fn at_most(text: &str, chars_max: usize, pointer: &str, faults: &mut Vec<Fault>) {
    if text.chars().count() > chars_max {
        faults.push(Fault::new(pointer, "too_long", format!("has at most {chars_max} characters")));
    }
}

fn so_many(count: usize, most: usize, pointer: &str, faults: &mut Vec<Fault>) {
    if count > most {
        faults.push(Fault::new(pointer, "too_many", format!("has at most {most} entries")));
    }
}

/// Each label once, however it is written.
fn labels(given: Vec<String>, most: usize, pointer: &str, faults: &mut Vec<Fault>) -> Vec<String> {
    so_many(given.len(), most, pointer, faults);
    let (mut labels, mut keys) = (Vec::new(), HashSet::new());
    for (at, label) in given.into_iter().take(most).enumerate() {
        let place = format!("{pointer}/{at}");
        let tidied = line(&label);
        let key = label_key(&tidied);
        if key.is_empty() {
            faults.push(Fault::new(place, "empty", "holds no letter and no digit"));
            continue;
        }
        at_most(&label, LABEL_CHARS_MAX, &place, faults);
        if keys.insert(key) {
            labels.push(tidied);
        }
    }
    labels
}

/// How labels are compared: `Science-Fiction` and `science fiction` are one.
pub fn label_key(label: &str) -> String {
    fold(label)
}

fn external_id(scheme: &str, id: &str, faults: &mut Vec<Fault>) {
    let pointer = format!("/external_ids/{}", scheme.replace('~', "~0").replace('/', "~1"));
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    if scheme.is_empty() || scheme.len() > SCHEME_CHARS_MAX || !scheme.chars().all(is_name) {
        let detail = format!("a scheme is 1 to {SCHEME_CHARS_MAX} of a-z, 0-9, _, . and -");
        faults.push(Fault::new(&*pointer, "invalid_scheme", detail));
    }
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
    if id.is_empty() || id.chars().count() > EXTERNAL_ID_CHARS_MAX || !id.chars().all(is_plain) {
        let detail = format!("an id is 1 to {EXTERNAL_ID_CHARS_MAX} characters without blanks");
        faults.push(Fault::new(pointer, "invalid_id", detail));
    }
}

/// A day of the Gregorian calendar, written `YYYY-MM-DD` (RFC 3339 full-date). Sorts as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        // Civil date to days after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let (year, month) = (i64::from(self.year) - i64::from(self.month <= 2), i64::from(self.month));
        let (era, yoe) = (year.div_euclid(400), year.rem_euclid(400));
        let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(self.day) - 1;
        let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
        era * 146_097 + doe - 719_468
    }
}

/// A text that names no day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written YYYY-MM-DD, such as 1999-03-31")]
pub struct NoDate;

impl std::str::FromStr for Date {
    type Err = NoDate;

    fn from_str(text: &str) -> Result<Self, NoDate> {
        let is_digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = text.split('-');
        let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoDate);
        };
        if !(is_digits(year, 4) && is_digits(month, 2) && is_digits(day, 2)) {
            return Err(NoDate);
        }
        let date = Self {
            year: year.parse().map_err(|_| NoDate)?,
            month: month.parse().map_err(|_| NoDate)?,
            day: day.parse().map_err(|_| NoDate)?,
        };
        if date.day >= 1 && date.day <= days_in(date.year, date.month) { Ok(date) } else { Err(NoDate) }
    }
}

/// 0 for what is no month.
fn days_in(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => 0,
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
