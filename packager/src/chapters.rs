//! Chapters as the JSON document that `com.apple.hls.chapters` points to.
//!
//! The form is Apple's "Providing JSON chapters": an array of objects with `start-time` and
//! `duration` in seconds and `titles` per language.

use domain::probe::Chapter;
use serde::Serialize;

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "start-time")]
    start_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    titles: [Title<'a>; 1],
}

#[derive(Serialize)]
struct Title<'a> {
    language: &'static str,
    title: &'a str,
}

/// Renders chapters as Apple's JSON, one entry each and in the same order.
///
/// Times are rounded to milliseconds. The language is `und`, since containers do not state one.
/// A chapter that does not end after its start is given no duration.
pub fn apple_json(chapters: &[Chapter]) -> String {
    let entries: Vec<Entry<'_>> = chapters.iter().map(entry).collect();
    serde_json::to_string(&entries).expect("text and finite numbers have a JSON form")
}

fn entry(chapter: &Chapter) -> Entry<'_> {
    let duration = chapter.end.minus(chapter.start).map(domain::MediaTime::as_ms).filter(|&ms| ms > 0);
    Entry {
        start_time: seconds(chapter.start.as_ms().max(0)),
        duration: duration.map(seconds),
        titles: [Title { language: "und", title: &chapter.title }],
    }
}

#[expect(clippy::cast_precision_loss, reason = "text output; a double is exact to the millisecond for 285 000 years")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{MediaTime, Timescale};

    fn chapter(start_ms: i64, end_ms: i64, title: &str) -> Chapter {
        let at = |ms| MediaTime::new(ms, Timescale::MILLISECONDS);
        Chapter { start: at(start_ms), end: at(end_ms), title: title.into() }
    }

    #[test]
    fn chapters_have_start_duration_and_title() {
        let json = apple_json(&[chapter(0, 1500, "One"), chapter(1500, 4000, "\"Two\"\n</script>")]);
        assert_eq!(
            json,
            concat!(
                r#"[{"start-time":0.0,"duration":1.5,"titles":[{"language":"und","title":"One"}]},"#,
                r#"{"start-time":1.5,"duration":2.5,"titles":[{"language":"und","title":"\"Two\"\n</script>"}]}]"#
            )
        );
    }

    #[test]
    fn a_chapter_without_an_end_has_no_duration() {
        let json = apple_json(&[chapter(-20, i64::MIN, "x")]);
        assert_eq!(json, r#"[{"start-time":0.0,"titles":[{"language":"und","title":"x"}]}]"#);
        assert_eq!(apple_json(&[]), "[]");
    }
}
