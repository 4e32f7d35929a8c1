//! Storyboards, the pictures above a seek bar, in the two forms that players read.
//!
//! Both name tiles as parts of sheets. WebVTT is what most players take; the JSON has the members that
//! players with a storyboard of their own look for (`url`, `tile_width`, `tile_height`, `duration`, and `tiles`
//! of `start`, `x`, `y`), with a `url` per tile besides, since a long video has several sheets.

use domain::presentation::Storyboard;
use domain::{MediaTime, Resolution};
use serde::Serialize;

use crate::webvtt;

/// One tile: from when to when it is shown, and where it lies.
struct Tile<'a> {
    start_ms: i64,
    end_ms: i64,
    sheet: &'a str,
    x: u32,
    y: u32,
}

#[derive(Serialize)]
struct Document<'a> {
    url: Option<String>,
    tile_width: u32,
    tile_height: u32,
    duration: f64,
    tiles: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    start: f64,
    url: std::borrow::Cow<'a, str>,
    x: u32,
    y: u32,
}

/// The tiles as WebVTT cues that name a part of a sheet: `{prefix}images/{file}#xywh=x,y,w,h`.
///
/// `prefix` is the one given to [`crate::hls::multivariant`].
pub fn vtt(storyboard: &Storyboard, prefix: &str) -> String {
    let mut out = String::from("WEBVTT\n");
    let Resolution { width, height } = storyboard.tile;
    for Tile { start_ms, end_ms, sheet, x, y } in tiles(storyboard) {
        let times = webvtt::timing(start_ms, end_ms);
        out.push_str(&format!("\n{times}\n{prefix}images/{sheet}#xywh={x},{y},{width},{height}\n"));
    }
    out
}

/// The same as JSON; `url` on top is that of the first sheet. Times are seconds, `duration` is the whole video's.
pub fn json(storyboard: &Storyboard, duration: MediaTime, prefix: &str) -> String {
    let url = |sheet: &str| format!("{prefix}images/{sheet}");
    let entry =
        |tile: Tile<'_>| Entry { start: seconds(tile.start_ms), url: url(tile.sheet).into(), x: tile.x, y: tile.y };
    let document = Document {
        url: storyboard.sheets.first().map(|sheet| url(sheet)),
        tile_width: storyboard.tile.width,
        tile_height: storyboard.tile.height,
        duration: seconds(duration.as_ms()),
        tiles: tiles(storyboard).map(entry).collect(),
    };
    serde_json::to_string(&document).expect("text and finite numbers have a JSON form")
}

/// All tiles in order of time, row by row on sheet after sheet.
fn tiles(storyboard: &Storyboard) -> impl Iterator<Item = Tile<'_>> {
    let (columns, rows) = (storyboard.columns.max(1), storyboard.rows.max(1));
    let tile = storyboard.tile;
    let at = move |number: u32| {
        let ticks = storyboard.interval.ticks.saturating_mul(i64::from(number));
        MediaTime::new(ticks, storyboard.interval.scale).as_ms().max(0)
    };
    let places = (0u32..).zip(&storyboard.sheets).flat_map(move |(sheet, name)| {
        let per_sheet = columns.saturating_mul(rows);
        (0..per_sheet).map(move |place| (sheet.saturating_mul(per_sheet).saturating_add(place), place, name))
    });
    places.take_while(|(number, ..)| *number < storyboard.tile_count).map(move |(number, place, sheet)| Tile {
        start_ms: at(number),
        end_ms: at(number.saturating_add(1)),
        sheet,
        x: place % columns * tile.width,
        y: place / columns * tile.height,
    })
}

fn seconds(ms: i64) -> f64 {
    MediaTime::new(ms, domain::Timescale::MILLISECONDS).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use domain::Timescale;

    use super::*;

    fn storyboard() -> Storyboard {
        Storyboard {
            sheets: vec!["sheet-0.jpg".into(), "sheet-1.jpg".into()],
            tile: Resolution { width: 160, height: 90 },
            columns: 2,
            rows: 2,
            tile_count: 5,
            interval: MediaTime::new(2500, Timescale::MILLISECONDS),
        }
    }

    #[test]
    fn tiles_are_parts_of_their_sheets_in_either_form() {
        let expected = "WEBVTT\n\
            \n00:00:00.000 --> 00:00:02.500\ng1/images/sheet-0.jpg#xywh=0,0,160,90\n\
            \n00:00:02.500 --> 00:00:05.000\ng1/images/sheet-0.jpg#xywh=160,0,160,90\n\
            \n00:00:05.000 --> 00:00:07.500\ng1/images/sheet-0.jpg#xywh=0,90,160,90\n\
            \n00:00:07.500 --> 00:00:10.000\ng1/images/sheet-0.jpg#xywh=160,90,160,90\n\
            \n00:00:10.000 --> 00:00:12.500\ng1/images/sheet-1.jpg#xywh=0,0,160,90\n";
        assert_eq!(vtt(&storyboard(), "g1/"), expected);
        let json = json(&storyboard(), MediaTime::new(12_040, Timescale::MILLISECONDS), "g1/");
        let expected = r#"{"url":"g1/images/sheet-0.jpg","tile_width":160,"tile_height":90,"duration":12.04,"tiles":[{"start":0.0,"url":"g1/images/sheet-0.jpg","x":0,"y":0},{"start":2.5,"url":"g1/images/sheet-0.jpg","x":160,"y":0},{"start":5.0,"url":"g1/images/sheet-0.jpg","x":0,"y":90},{"start":7.5,"url":"g1/images/sheet-0.jpg","x":160,"y":90},{"start":10.0,"url":"g1/images/sheet-1.jpg","x":0,"y":0}]}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn there_are_no_more_tiles_than_counted_and_none_without_sheets() {
        assert_eq!(tiles(&Storyboard { tile_count: 0, ..storyboard() }).count(), 0);
        assert_eq!(tiles(&Storyboard { sheets: vec![], ..storyboard() }).count(), 0);
        assert_eq!(tiles(&Storyboard { tile_count: u32::MAX, columns: 0, rows: 0, ..storyboard() }).count(), 2);
        let none = json(&Storyboard { sheets: vec![], ..storyboard() }, MediaTime::zero(), "");
        assert_eq!(none, r#"{"url":null,"tile_width":160,"tile_height":90,"duration":0.0,"tiles":[]}"#);
    }
}
