//! Subtitle files as people have them: SubRip, WebVTT and ASS in any character set, to cues.
//!
//! Nothing in a file can make the reading fail. What cannot be understood is left out, cue by cue, and
//! the [`Report`] says how much that was and where. Work and memory are proportional to the file, whose
//! size is for the caller to bound.

mod ass;
mod charset;
mod line;
mod markup;
mod srt;
mod time;
mod vtt;

use domain::Language;
use domain::text::{Format, Report};

use crate::webvtt::Cue;
use line::{Lines, excerpt};

/// Most cues of one file; the rest is left out. A film has about 1500.
pub const CUES_MAX: usize = 50_000;

/// Lines that are looked at for what only ASS has.
const HEAD_LINES: usize = 100;

/// A file that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Its valid cues, in order of time.
    pub cues: Vec<Cue>,
    /// What was found; [`Report::reason`] is there exactly if there are no cues.
    pub report: Report,
}

/// What is known of a file besides its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints<'a> {
    /// The language; it tells apart character sets that look alike.
    pub language: Option<&'a Language>,
    /// The character set, if somebody stated it: a label of the Encoding Standard such as `windows-1251`.
    pub charset: Option<&'a str>,
}

/// Reads a subtitle file.
///
/// The character set is the stated one, else that of the byte order mark, else UTF-8 or UTF-16 if the
/// file is that, else the most likely one. Cue text comes out as WebVTT, with nothing in it but tags
/// that WebVTT knows; times are those of the file.
pub fn read(bytes: &[u8], hints: Hints<'_>) -> Reading {
    let (text, charset) = match charset::decode(bytes, hints) {
        Ok(decoded) => decoded,
        Err(reason) => return unusable(Report::default(), reason),
    };
    let format = format_of(&text);
    let mut report = Report { format, charset: Some(charset.to_owned()), ..Report::default() };
    let mut cues = match format {
        Some(Format::Srt) => srt::read(&text, &mut report),
        Some(Format::Vtt) => vtt::read(&text, &mut report),
        Some(Format::Ass) => ass::read(&text, &mut report),
        None => {
            let reason = "the file is neither SubRip (SRT), WebVTT nor ASS: it holds no times of subtitles";
            return unusable(report, reason.into());
        }
    };
    cues.sort_by_key(|cue| (cue.start, cue.end));
    if cues.is_empty() {
        return unusable(report, "no subtitle of the file could be read".into());
    }
    report.cues = u32::try_from(cues.len()).unwrap_or(u32::MAX);
    Reading { cues, report }
}

fn unusable(report: Report, reason: String) -> Reading {
    Reading { cues: vec![], report: Report { reason: Some(reason), ..report } }
}

/// Tells the form by what only it has; names and media types of files are too often wrong.
fn format_of(text: &str) -> Option<Format> {
    let first = Lines::new(text).map(|(_, line)| line).find(|line| !line.trim().is_empty())?;
    if let Some(rest) = first.strip_prefix("WEBVTT")
        && rest.chars().next().is_none_or(char::is_whitespace)
    {
        return Some(Format::Vtt);
    }
    let is_ass = |line: &str| {
        let line = line.trim_start().to_ascii_lowercase();
        ["[script info]", "[events]", "dialogue:"].iter().any(|mark| line.starts_with(mark))
    };
    if Lines::new(text).take(HEAD_LINES).any(|(_, line)| is_ass(line)) {
        return Some(Format::Ass);
    }
    Lines::new(text).any(|(_, line)| line::is_timing(line)).then_some(Format::Srt)
}

/// Collects the cues of one file.
struct Collector<'a> {
    cues: Vec<Cue>,
    report: &'a mut Report,
}

impl<'a> Collector<'a> {
    fn new(report: &'a mut Report) -> Self {
        Self { cues: Vec::new(), report }
    }

    /// Adds the cue that begins in this line, unless it shows nothing or there are too many.
    fn push(&mut self, line: u32, mut cue: Cue) {
        // A blank line would end the cue where it is written.
        let lines: Vec<&str> = cue.text.split('\n').filter(|line| !line.trim().is_empty()).collect();
        cue.text = lines.join("\n");
        if cue.text.is_empty() {
            self.report.drop_cue(line, "it has no text");
        } else if self.cues.len() >= CUES_MAX {
            self.report.drop_cue(line, format!("only {CUES_MAX} subtitles are read"));
        } else {
            self.cues.push(cue);
        }
    }

    /// Counts a cue that cannot be read because of `found`.
    fn drop(&mut self, line: u32, what: &str, found: &str) {
        self.report.drop_cue(line, format!("{what}: {}", excerpt(found)));
    }
}

#[cfg(test)]
mod tests;
