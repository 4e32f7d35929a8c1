//! WebVTT (W3C): as a browser reads it, without styles and regions.

use domain::MediaTime;
use domain::text::Report;

use super::line::Lines;
use super::{Collector, markup, time};
use crate::webvtt::Cue;

/// The cue that lines are being added to.
struct Open<'a> {
    line: u32,
    start: MediaTime,
    end: MediaTime,
    settings: String,
    lines: Vec<&'a str>,
}

/// Reads every line with an arrow as the beginning of a cue, and the lines up to a blank one as its text.
///
/// So headers, identifiers, comments, styles and regions are what stands outside of cues. A time map of
/// HLS is not applied: the file is for the whole asset, which begins at zero.
pub(super) fn read(text: &str, report: &mut Report) -> Vec<Cue> {
    let mut collector = Collector::new(report);
    let mut open: Option<Open<'_>> = None;
    for (line, content) in Lines::new(text) {
        if content.contains("-->") {
            close(open.take(), &mut collector);
            open = begin(line, content);
            if open.is_none() {
                collector.drop(line, "not the times of a subtitle", content);
            }
        } else if content.trim().is_empty() {
            close(open.take(), &mut collector);
        } else if let Some(open) = &mut open {
            open.lines.push(content);
        }
    }
    close(open, &mut collector);
    collector.cues
}

fn begin(line: u32, content: &str) -> Option<Open<'_>> {
    let (start, rest) = content.split_once("-->")?;
    let mut words = rest.split_whitespace();
    let (start, end) = (time::clock(start.trim())?, time::clock(words.next()?)?);
    let settings = settings(words);
    (start < end).then_some(Open { line, start, end, settings, lines: Vec::new() })
}

fn close(open: Option<Open<'_>>, collector: &mut Collector<'_>) {
    let Some(Open { line, start, end, settings, lines }) = open else { return };
    let text = markup::from_vtt(&lines.join("\n"));
    collector.push(line, Cue { start, end, text, settings });
}

/// Those settings that are valid, in the words of the present standard, each at most once.
fn settings<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut kept: Vec<(&str, String)> = Vec::new();
    for word in words {
        let Some((name, value)) = word.split_once(':') else { continue };
        let value = match name {
            "vertical" => one_of(value, &[("rl", "rl"), ("lr", "lr")]).map(str::to_owned),
            "line" => with_alignment(value, line_offset, &[("start", "start"), CENTER, MIDDLE, ("end", "end")]),
            "position" => with_alignment(value, percentage, &POSITION_ALIGNMENTS),
            "size" => percentage(value),
            "align" => one_of(value, &ALIGNMENTS).map(str::to_owned),
            // Regions are not kept, so nothing may refer to them.
            _ => None,
        };
        if let Some(value) = value
            && !kept.iter().any(|(known, _)| *known == name)
        {
            kept.push((name, value));
        }
    }
    kept.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(" ")
}

const CENTER: (&str, &str) = ("center", "center");
/// An older word.
const MIDDLE: (&str, &str) = ("middle", "center");
const ALIGNMENTS: [(&str, &str); 6] =
    [("start", "start"), CENTER, MIDDLE, ("end", "end"), ("left", "left"), ("right", "right")];
const POSITION_ALIGNMENTS: [(&str, &str); 6] = [
    ("line-left", "line-left"),
    CENTER,
    MIDDLE,
    ("line-right", "line-right"),
    ("start", "line-left"),
    ("end", "line-right"),
];

/// The present word for `value`; `None` if it is none of the known ones.
fn one_of(value: &str, known: &[(&str, &'static str)]) -> Option<&'static str> {
    known.iter().find(|(name, _)| *name == value).map(|(_, word)| *word)
}

/// `value[,alignment]`; an unknown alignment spoils the setting.
fn with_alignment(
    value: &str,
    read: fn(&str) -> Option<String>,
    alignments: &[(&str, &'static str)],
) -> Option<String> {
    match value.split_once(',') {
        Some((value, alignment)) => Some(format!("{},{}", read(value)?, one_of(alignment, alignments)?)),
        None => read(value),
    }
}

/// A whole number of lines, negative from the bottom, or a percentage.
fn line_offset(value: &str) -> Option<String> {
    if value.ends_with('%') {
        return percentage(value);
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let is_number = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.to_owned())
}

/// `0%` to `100%`, with decimals.
fn percentage(value: &str) -> Option<String> {
    let number = value.strip_suffix('%')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole_number: u32 = whole.parse().ok().filter(|_| is_digits(whole) && is_digits(decimals))?;
    let is_within = whole_number < 100 || (whole_number == 100 && decimals.bytes().all(|digit| digit == b'0'));
    is_within.then(|| value.to_owned())
}
