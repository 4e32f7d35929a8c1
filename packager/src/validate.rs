//! Judges HLS of any origin: playlists, segments and what they say of each other, as named rules.
//!
//! Rules are those of RFC 8216 with its second edition (draft-pantos-hls-rfc8216bis) and of Apple's HLS authoring
//! specification for on-demand content. Playlists are read by a strict reader of our own, since parsers for players
//! forgive what this is to find. Nothing is fetched here: the caller hands over text and octets, one after the other,
//! and asks for the judgement on the whole at the end.
//!
//! | step | function |
//! |---|---|
//! | the playlist at the top | [`read`] |
//! | each playlist it names | [`read`], then [`Track::new`] with what was declared of it |
//! | its initialization segments and segments, in order | [`Track::init`], [`Track::segment`] |
//! | all together | [`whole`] |
//! | what is about to be published here | [`presentation`] |

mod across;
mod key;
mod media;
mod multivariant;
mod own;
mod reader;
mod rules;
mod track;
mod ts;
mod vtt;

pub use across::whole;
pub use key::{Key, Method};
pub use media::{Map, Media, Segment};
pub use multivariant::{Declared, Iframes, Kind, Multivariant, Rendition, Variant};
pub use own::presentation;
pub use rules::{ALL as RULES, HTTP_CODING, HTTP_REDIRECT, HTTP_STATUS, HTTP_TYPE, KEY_OPENS, Level, Rule};
pub use track::Track;

use reader::Lines;

/// Most characters of a place, and of what is there.
const TEXT_CHARS_MAX: usize = 300;

/// Most findings of one rule at one place; more are counted.
const FINDINGS_PER_RULE_MAX: usize = 5;

/// Most findings of all.
const FINDINGS_MAX: usize = 10_000;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Which file, as it was named to us, with a line where there is one.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    findings: Vec<Finding>,
    /// Findings that were only counted.
    omitted: usize,
}

impl Report {
    /// What was found, in the order in which it was.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many more there were of the same.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// The first breach of a rule that must be kept.
    pub fn violation(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.rule.level == Level::Must)
    }

    /// Adds a finding.
    pub fn add(&mut self, rule: &'static Rule, place: impl Into<String>, what: impl Into<String>) {
        let (place, what) = (printable(&place.into()), printable(&what.into()));
        let file = |place: &str| place.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let alike = self.findings.iter().filter(|other| other.rule == rule && file(&other.place) == file(&place));
        if alike.count() >= FINDINGS_PER_RULE_MAX || self.findings.len() >= FINDINGS_MAX {
            self.omitted += 1;
            return;
        }
        self.findings.push(Finding { rule, place, what });
    }
}

/// What a stranger wrote, for a terminal.
fn printable(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A playlist of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Playlist {
    /// It lists renditions.
    Multivariant(Multivariant),
    /// It lists segments.
    Media(Media),
}

/// Reads a playlist strictly; `None` if it is none at all. `place` is how findings call it.
pub fn read(place: &str, text: &[u8], report: &mut Report) -> Option<Playlist> {
    let lines = Lines::read(place, text, report)?;
    let is_multivariant = lines.has_any(multivariant::TAGS);
    let is_media = lines.has_any(media::TAGS);
    if is_multivariant == is_media {
        let what = if is_media { "it has tags of both kinds" } else { "it has tags of neither kind" };
        report.add(&rules::KIND, place, what);
    }
    match (is_multivariant, is_media) {
        (true, _) => Some(Playlist::Multivariant(multivariant::read(&lines, report))),
        (false, true) => Some(Playlist::Media(media::read(&lines, report))),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests;
