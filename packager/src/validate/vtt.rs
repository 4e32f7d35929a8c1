//! Rules of segments of WebVTT.

use super::{Report, rules};

/// Checks one segment.
pub(super) fn check(place: &str, bytes: &[u8], report: &mut Report) {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return report.add(&rules::VTT, place, "it is not UTF-8");
    };
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = (1..).zip(text.split('\n'));
    let first = lines.next().map_or("", |(_, line)| line);
    if first.strip_prefix("WEBVTT").is_none_or(|rest| !rest.is_empty() && !rest.starts_with([' ', '\t'])) {
        return report.add(&rules::VTT, place, "it does not begin with WEBVTT");
    }
    let mut map = None;
    for (number, line) in lines.by_ref() {
        if line.is_empty() {
            break;
        }
        if line.contains("-->") {
            report.add(&rules::VTT, format!("{place}:{number}"), "no blank line follows the header");
        }
        map = map.or_else(|| line.strip_prefix("X-TIMESTAMP-MAP="));
    }
    match map {
        None => report.add(&rules::VTT_MAP, place, "X-TIMESTAMP-MAP is missing"),
        Some(map) if !is_map(map) => report.add(&rules::VTT_MAP, place, format!("X-TIMESTAMP-MAP={map} is malformed")),
        Some(_) => {}
    }
    check_cues(place, lines, report);
}

/// `MPEGTS:` a number and `LOCAL:` a time, in either order.
fn is_map(map: &str) -> bool {
    let parts: Vec<&str> = map.split(',').collect();
    let local = parts.iter().find_map(|part| part.strip_prefix("LOCAL:")).and_then(time_ms);
    let media = parts.iter().find_map(|part| part.strip_prefix("MPEGTS:")).and_then(|ticks| ticks.parse::<u64>().ok());
    parts.len() == 2 && local.is_some() && media.is_some()
}

fn check_cues<'a>(place: &str, lines: impl Iterator<Item = (usize, &'a str)>, report: &mut Report) {
    let (mut block, mut latest) = (0usize, 0u64);
    for (number, line) in lines {
        if line.is_empty() {
            block = 0;
            continue;
        }
        block += 1;
        let Some((start, rest)) = line.split_once("-->") else { continue };
        let mut bad = |what: String| report.add(&rules::VTT, format!("{place}:{number}"), what);
        if block > 2 {
            bad("times stand inside the text of a cue".into());
            continue;
        }
        let end = rest.trim_start().split([' ', '\t']).next().unwrap_or_default();
        match (time_ms(start.trim()), time_ms(end)) {
            (Some(start), Some(end)) if start < end => {
                if start < latest {
                    bad("the cue begins before the one in front of it".into());
                }
                latest = latest.max(start);
            }
            (Some(_), Some(_)) => bad(format!("the cue ends before it begins: {line:?}")),
            _ => bad(format!("{line:?} are no times of a cue")),
        }
    }
}

/// `[HH:]MM:SS.mmm`.
fn time_ms(text: &str) -> Option<u64> {
    let (whole, millis) = text.split_once('.')?;
    let digits = |part: &str, least: usize, most: usize| {
        ((least..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())).then_some(())?;
        part.parse::<u64>().ok()
    };
    let fields: Vec<&str> = whole.split(':').collect();
    let (hours, minutes, seconds) = match fields.as_slice() {
        [hours, minutes, seconds] => (digits(hours, 2, 9)?, minutes, seconds),
        [minutes, seconds] => (0, minutes, seconds),
        _ => return None,
    };
    let (minutes, seconds) = (digits(minutes, 2, 2)?, digits(seconds, 2, 2)?);
    let millis = digits(millis, 3, 3)?;
    (minutes < 60 && seconds < 60).then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}
