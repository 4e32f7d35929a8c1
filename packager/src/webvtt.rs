//! WebVTT (W3C): subtitles whole and in segments, chapters.

mod ass;

use domain::probe::Chapter;
use domain::{MediaTime, Timescale};

pub(crate) use ass::Writer;
pub use ass::from_ass;

/// One text that is shown for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cue {
    /// When it appears, on the presentation's timeline.
    pub start: MediaTime,
    /// When it disappears.
    pub end: MediaTime,
    /// WebVTT cue text: `&`, `<` and `>` are escaped or part of a tag; see [`from_ass`].
    pub text: String,
    /// Where it appears: settings of WebVTT such as `line:10% align:start`; empty for the usual place.
    pub settings: String,
}

/// RFC 8216 §3.5: cue times count from the zero of the media's timestamps.
const TIMESTAMP_MAP: &str = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";

/// How long a chapter without a usable end is shown, in milliseconds.
const CHAPTER_MS: i64 = 1000;

/// The words of a cue on one line, without tags and escapes (WebVTT §3.3).
pub fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut is_tag = false;
    for c in text.chars() {
        match c {
            '<' => is_tag = true,
            '>' if is_tag => is_tag = false,
            _ if is_tag => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    // The escaped ampersand last, since it may begin what looks like an escape.
    for (escape, c) in [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", " "), ("&lrm;", ""), ("&rlm;", ""), ("&amp;", "&")] {
        out = out.replace(escape, c);
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The segment that covers `[from, to)`.
///
/// It holds every cue that is visible at any time in between. A cue that crosses an edge stands
/// unchanged in each segment it touches, as RFC 8216 §3.5 demands; players know it by its times.
pub fn segment(cues: &[Cue], from: MediaTime, to: MediaTime) -> String {
    let visible = cues.iter().filter(|cue| cue.start < to && cue.end > from);
    render(TIMESTAMP_MAP, visible)
}

/// All cues as one file, for download and for players that do not read segments.
pub fn whole(cues: &[Cue]) -> String {
    render("", cues.iter())
}

/// Chapters as a WebVTT file of kind `chapters`.
///
/// A chapter without a title is called by its number; one that does not end after its start lasts
/// until the next one, or for a second.
pub fn chapters(chapters: &[Chapter]) -> String {
    let mut out = String::from("WEBVTT\n");
    for (at, chapter) in chapters.iter().enumerate() {
        let start = chapter.start.as_ms().max(0);
        let next = chapters.get(at + 1).map(|next| next.start.as_ms());
        let ends = [Some(chapter.end.as_ms()), next, Some(start.saturating_add(CHAPTER_MS))];
        let end = ends.into_iter().flatten().find(|&end| end > start).unwrap_or(start);
        let words: Vec<&str> = chapter.title.split(|c: char| c.is_whitespace() || c.is_control()).collect();
        let title = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        let title = if title.is_empty() { format!("Chapter {}", at + 1) } else { escape(&title) };
        out.push_str(&format!("\n{}\n{}\n{title}\n", at + 1, timing(start, end)));
    }
    out
}

fn render<'a>(header: &str, cues: impl Iterator<Item = &'a Cue>) -> String {
    let mut cues: Vec<(i64, i64, &str, String)> = cues.filter_map(payload).collect();
    cues.sort_by_key(|(start, end, ..)| (*start, *end));
    let mut out = format!("WEBVTT\n{header}");
    for (start, end, settings, text) in cues {
        let gap = if settings.is_empty() { "" } else { " " };
        out.push_str(&format!("\n{}{gap}{settings}\n{text}\n", timing(start, end)));
    }
    out
}

/// What is written of a cue; `None` if it would be empty or never visible.
fn payload(cue: &Cue) -> Option<(i64, i64, &str, String)> {
    let (start, end) = (cue.start.as_ms().max(0), cue.end.as_ms());
    // A blank line ends a cue and an arrow begins another one, so neither may come from its text.
    let lines: Vec<&str> = cue.text.split(['\n', '\r', '\0']).filter(|line| !line.trim().is_empty()).collect();
    let text = lines.join("\n").replace("-->", "--&gt;");
    // Settings stand on the line of the times and may hold no arrow either.
    let settings = if cue.settings.contains(['\n', '\r']) || cue.settings.contains("-->") { "" } else { &cue.settings };
    (end > start && !text.is_empty()).then_some((start, end, settings, text))
}

/// `HH:MM:SS.mmm --> HH:MM:SS.mmm`; hours may take more than two digits.
pub(crate) fn timing(start_ms: i64, end_ms: i64) -> String {
    format!("{} --> {}", timestamp(start_ms), timestamp(end_ms))
}

pub(crate) fn timestamp(ms: i64) -> String {
    format!("{}.{:03}", domain::hms(MediaTime::new(ms, Timescale::MILLISECONDS)), ms % 1000)
}

pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_escaped(&mut out, c));
    out
}

/// Adds a character so that it is text and no markup.
pub(crate) fn push_escaped(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests;
