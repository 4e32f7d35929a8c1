//! Texts: subtitle files that people add to an asset, and what became of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Largest file that is taken, in octets. The subtitles of a film have a tenth of a MiB.
pub const BYTES_MAX: usize = 4 << 20;

/// Most texts of one asset.
pub const COUNT_MAX: usize = 64;

/// Longest name that a menu shows, in characters.
pub const NAME_CHARS_MAX: usize = 100;

/// Most places of one file that a [`Report`] points at; what lies beyond is only counted.
pub const PROBLEMS_MAX: usize = 20;

/// The form of a subtitle file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// SubRip.
    Srt,
    /// WebVTT.
    Vtt,
    /// Advanced SubStation Alpha, and SubStation Alpha before it.
    Ass,
}

impl Format {
    /// The name used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Ass => "ass",
        }
    }
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is stored and will be read once the asset is understood.
    Waiting,
    /// It is a subtitle rendition of the asset.
    Ready,
    /// Nothing can be shown of it; its [`Report`] says why.
    Unusable,
}

impl State {
    /// The name used in the API and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Unusable => "unusable",
        }
    }

    /// The state with this name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Ready, Self::Unusable].into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its form; `None` if it has none that is known.
    pub format: Option<Format>,
    /// The character set it was read in, by its name in the Encoding Standard.
    pub charset: Option<String>,
    /// Cues that are shown.
    pub cues: u32,
    /// Cues that could not be read and are left out.
    pub dropped: u32,
    /// Cues left out because they begin after the end of the asset.
    pub outside: u32,
    /// Where cues could not be read: the first [`PROBLEMS_MAX`] places.
    pub problems: Vec<Problem>,
    /// Why nothing of it is shown, for the uploader.
    pub reason: Option<String>,
}

/// Something in a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The line, counted from 1.
    pub line: u32,
    /// What is wrong there.
    pub what: String,
}

impl Report {
    /// Counts a cue as dropped and notes the place, if there is room for it.
    pub fn drop_cue(&mut self, line: u32, what: impl Into<String>) {
        self.dropped = self.dropped.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { line, what: what.into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_name_that_reads_back() {
        for name in ["waiting", "ready", "unusable"] {
            assert_eq!(State::from_name(name).expect("a state").to_string(), name);
        }
        assert_eq!(State::from_name("done"), None);
    }

    #[test]
    fn a_report_counts_everything_and_shows_the_first_places() {
        let mut report = Report::default();
        for line in 1..=100 {
            report.drop_cue(line, "no time");
        }
        assert_eq!((report.dropped, report.problems.len()), (100, PROBLEMS_MAX));
        assert_eq!(report.problems[0], Problem { line: 1, what: "no time".into() });
    }
}
