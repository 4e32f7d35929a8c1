//! Markers as date ranges (RFC 8216 §4.3.2.7), and the dates that these need.
//!
//! What is recorded has no date, so it begins with the year 2000 in every playlist: dates say where on the timeline of
//! the whole something is, in a clip too.

use std::collections::HashSet;

use domain::markers::{self, Marker, MarkerValue};
use domain::{MediaTime, Presentation, Timestamp};

use super::Playlist;
use super::attribute::{List, clean};

/// 2000-01-01T00:00:00Z, in milliseconds since 1970. Zero itself is what some players take for no date at all.
const ZERO_UNIX_MS: i64 = 946_684_800_000;

const MILLIONTHS: u64 = 1_000_000;

/// The instant `time` of a presentation as a date.
fn date(time: MediaTime) -> String {
    Timestamp::from_unix_ms(ZERO_UNIX_MS.saturating_add(time.as_ms())).rfc3339()
}

/// Writes the date of the first segment, if the playlists of this presentation have dates (all must then, §6.2.4).
pub(super) fn clock(out: &mut Playlist, presentation: &Presentation, begins: MediaTime) {
    if !presentation.markers.is_empty() {
        out.line(format!("#EXT-X-PROGRAM-DATE-TIME:{}", date(begins)));
    }
}

/// Writes the markers of which something is within a span.
pub(super) fn ranges(out: &mut Playlist, presentation: &Presentation, (begins, ends): (MediaTime, MediaTime)) {
    let mut names = HashSet::new();
    for marker in &presentation.markers {
        let id = clean(&marker.id);
        let over_ms = marker.start.as_ms().saturating_add(marker.duration.map_or(0, MediaTime::as_ms));
        let is_within = marker.start < ends && over_ms >= begins.as_ms();
        if is_within && !id.is_empty() && names.insert(id) {
            out.line(range(marker));
        }
    }
}

fn range(marker: &Marker) -> String {
    let mut list = List::of("EXT-X-DATERANGE").quoted("ID", &marker.id);
    if let Some(class) = marker.class.as_deref().filter(|class| !clean(class).is_empty()) {
        list = list.quoted("CLASS", class);
    }
    list = list.quoted("START-DATE", &date(marker.start));
    if let Some(ms) = marker.duration.and_then(|lasts| u64::try_from(lasts.as_ms()).ok()) {
        list = list.plain("DURATION", decimal(ms.saturating_mul(MILLIONTHS / 1000)));
    }
    for (name, value) in marker.attributes.iter().filter(|(name, _)| markers::is_attribute_name(name)) {
        list = match value {
            MarkerValue::Text(text) => list.quoted(name, text),
            MarkerValue::Millionths(number) => list.plain(name, decimal(*number)),
        };
    }
    list.finish()
}

/// A number in decimal digits, without those that say nothing.
fn decimal(millionths: u64) -> String {
    let text = format!("{}.{:06}", millionths / MILLIONTHS, millionths % MILLIONTHS);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::Timescale;
    use proptest::prelude::*;

    use super::*;
    use crate::film;
    use crate::hls::{self, Clip, View};
    use crate::validate::{self, Playlist as Read, Report};

    fn marker(id: &str, start_ms: i64, duration_ms: Option<i64>) -> Marker {
        let ms = |ticks| MediaTime::new(ticks, Timescale::MILLISECONDS);
        let attributes = BTreeMap::from([
            ("X-ORG-EXAMPLE".to_owned(), MarkerValue::Text("a, b=c".into())),
            ("X-PRICE".to_owned(), MarkerValue::Millionths(1_250_000)),
        ]);
        let (start, duration) = (ms(start_ms), duration_ms.map(ms));
        Marker { id: id.into(), start, duration, class: Some("org.example".into()), attributes }
    }

    fn film_with(markers: Vec<Marker>) -> Presentation {
        Presentation { markers, ..film::film().0 }
    }

    #[test]
    fn markers_are_date_ranges_in_playlists_that_all_have_dates() {
        let film = film_with(vec![marker("intro", 0, Some(1500)), marker("goal", 4250, None)]);
        let text = hls::media(&film, &film::id("low"), View::default()).expect("a playlist");
        let expected = concat!(
            "#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z\n",
            "#EXT-X-DATERANGE:ID=\"intro\",CLASS=\"org.example\",START-DATE=\"2000-01-01T00:00:00.000Z\",DURATION=1.5,",
            "X-ORG-EXAMPLE=\"a, b=c\",X-PRICE=1.25\n",
            "#EXT-X-DATERANGE:ID=\"goal\",CLASS=\"org.example\",START-DATE=\"2000-01-01T00:00:04.250Z\",",
            "X-ORG-EXAMPLE=\"a, b=c\",X-PRICE=1.25\n",
        );
        assert!(text.contains(expected), "{text}");
        for name in ["audio-0-en", "subtitles-0-en"] {
            let text = hls::media(&film, &film::id(name), View::default()).expect("a playlist");
            assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:00.000Z\n"), "{text}");
        }
        let text = hls::iframes(&film, &film::id("low"), View::default()).expect("a playlist");
        assert!(text.contains("PROGRAM-DATE-TIME") && !text.contains("DATERANGE"), "{text}");
        let text = hls::media(&film::film().0, &film::id("low"), View::default()).expect("a playlist");
        assert!(!text.contains("DATE"), "{text}");
    }

    #[test]
    fn a_clip_keeps_the_dates_of_the_whole() {
        let film = film_with(vec![
            marker("before", 0, Some(1000)),
            marker("across", 1000, Some(2000)),
            marker("after", 8000, None),
        ]);
        let view = View { clip: Clip::parse(Some("3"), Some("5")).expect("a clip"), ..View::default() };
        let text = hls::media(&film, &film::id("low"), view).expect("a playlist");
        assert!(text.contains("#EXT-X-PROGRAM-DATE-TIME:2000-01-01T00:00:02.000Z\n"), "{text}");
        assert_eq!(text.matches("DATERANGE").count(), 1, "{text}");
        assert!(text.contains("ID=\"across\""), "{text}");
    }

    proptest! {
        #[test]
        fn no_text_makes_an_invalid_playlist(id: String, class: Option<String>, name: String, value: String, start in 0i64..9000) {
            let attributes = BTreeMap::from([(name, MarkerValue::Text(value.clone())), ("X-A".into(), MarkerValue::Text(value))]);
            let broken = Marker { id, class, attributes, ..marker("", start, Some(500)) };
            let film = film_with(vec![broken.clone(), broken]);
            let text = hls::media(&film, &film::id("low"), View::default()).expect("a playlist");
            let mut report = Report::default();
            let read = validate::read("low", text.as_bytes(), &mut report);
            prop_assert!(matches!(read, Some(Read::Media(_))));
            prop_assert_eq!(report.findings(), &[], "{}", text);
            prop_assert!(m3u8_rs::parse_media_playlist_res(text.as_bytes()).is_ok());
        }
    }
}
