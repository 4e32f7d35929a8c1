//! Advanced SubStation Alpha: the dialogue lines of the section `[Events]`.

use domain::text::Report;

use super::line::Lines;
use super::{Collector, time};
use crate::webvtt::{self, Cue};

/// Which fields of a dialogue line are which.
struct Fields {
    count: usize,
    start: usize,
    end: usize,
    text: usize,
}

impl Default for Fields {
    /// `Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text`
    fn default() -> Self {
        Self { count: 10, start: 1, end: 2, text: 9 }
    }
}

impl Fields {
    /// The order that a `Format:` line states; `None` unless it names all that is needed.
    fn stated(names: &str) -> Option<Self> {
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let place = |wanted: &str| names.iter().position(|name| name == wanted);
        Some(Self { count: names.len(), start: place("start")?, end: place("end")?, text: place("text")? })
    }
}

/// Reads dialogue lines; fonts, styles, drawings, comments and attachments are not looked at.
pub(super) fn read(text: &str, report: &mut Report) -> Vec<Cue> {
    let mut collector = Collector::new(report);
    let mut fields = Fields::default();
    // Some files have no section headers at all.
    let mut is_in_events = true;
    for (line, content) in Lines::new(text) {
        let content = content.trim();
        if content.starts_with('[') {
            is_in_events = content.eq_ignore_ascii_case("[events]");
            continue;
        }
        if !is_in_events {
            continue;
        }
        if let Some(names) = after(content, "Format:") {
            fields = Fields::stated(names).unwrap_or_default();
        } else if let Some(values) = after(content, "Dialogue:") {
            match dialogue(values, &fields) {
                Ok(cue) => collector.push(line, cue),
                Err(what) => collector.drop(line, what, values),
            }
        }
    }
    collector.cues
}

fn after<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = line.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start())
}

fn dialogue(values: &str, fields: &Fields) -> Result<Cue, &'static str> {
    // The text comes last and may hold commas.
    let values: Vec<&str> = values.splitn(fields.count, ',').collect();
    let value = |at: usize| values.get(at).copied().ok_or("fields are missing");
    let (start, end) = (time::ass(value(fields.start)?), time::ass(value(fields.end)?));
    let (Some(start), Some(end)) = (start, end) else { return Err("not the times of a subtitle") };
    if start >= end {
        return Err("it does not end after it begins");
    }
    Ok(Cue { start, end, text: webvtt::from_ass(value(fields.text)?), settings: String::new() })
}
