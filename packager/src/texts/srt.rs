//! SubRip: a counter, a line with two times, lines of text, a blank line.

use domain::text::Report;

use super::line::{Lines, is_timing};
use super::{Collector, markup, time};
use crate::webvtt::Cue;

/// The cue that lines are being added to. Without times, it is one that is left out.
struct Open<'a> {
    line: u32,
    times: Option<(domain::MediaTime, domain::MediaTime)>,
    lines: Vec<&'a str>,
}

/// Reads what follows a line with times, up to the next one, as the text between them.
///
/// Blank lines need not be where they should: players that stop at the first one lose text.
pub(super) fn read(text: &str, report: &mut Report) -> Vec<Cue> {
    let mut collector = Collector::new(report);
    let mut open: Option<Open<'_>> = None;
    for (line, content) in Lines::new(text) {
        if is_timing(content) {
            if let Some(before) = open.take() {
                close(before, true, &mut collector);
            }
            open = Some(Open { line, times: times(content), lines: Vec::new() });
            if open.as_ref().is_some_and(|open| open.times.is_none()) {
                collector.drop(line, "not the times of a subtitle", content);
            }
        } else if let Some(open) = open.as_mut().filter(|open| open.times.is_some()) {
            open.lines.push(content.trim());
        }
    }
    if let Some(last) = open {
        close(last, false, &mut collector);
    }
    collector.cues
}

/// `start --> end`, with coordinates behind it in some files.
fn times(line: &str) -> Option<(domain::MediaTime, domain::MediaTime)> {
    let (start, rest) = line.split_once("-->")?;
    let end = rest.split_whitespace().next()?;
    let (start, end) = (time::clock(start.trim())?, time::clock(end)?);
    (start < end).then_some((start, end))
}

fn close(open: Open<'_>, is_followed: bool, collector: &mut Collector<'_>) {
    let Some((start, end)) = open.times else { return };
    let mut lines = open.lines;
    trim_end(&mut lines);
    // The counter of the next cue, which stands before its times.
    if is_followed && lines.last().is_some_and(|line| line.bytes().all(|byte| byte.is_ascii_digit())) {
        lines.pop();
        trim_end(&mut lines);
    }
    let text = markup::from_srt(&lines.join("\n"));
    collector.push(open.line, Cue { start, end, text, settings: String::new() });
}

fn trim_end(lines: &mut Vec<&str>) {
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
}
