//! Image playlists: storyboard sheets as a trick play of pictures, in the dialect that Roku and others read
//! (image media playlist specification, version 0.4).

use domain::presentation::{FileEntry, Storyboard};
use domain::{MediaTime, Presentation, Resolution, Timescale};

use super::attribute::List;
use super::{Playlist, bit_rates};

/// Durations with decimals; the tags of this dialect have no version.
const VERSION: u32 = 3;

/// One sheet: what of the time it shows, and how its tiles lie on it.
pub(crate) struct Sheet<'a> {
    pub(crate) file: &'a str,
    pub(crate) start_ms: u64,
    pub(crate) duration_ms: u64,
    pub(crate) columns: u32,
    pub(crate) rows: u32,
}

/// All sheets of a storyboard, in order; the last one ends with the presentation.
pub(crate) fn sheets(storyboard: &Storyboard, duration: MediaTime) -> Vec<Sheet<'_>> {
    let ms = |time: MediaTime| u64::try_from(time.as_ms()).unwrap_or(0);
    let (columns, rows) = (storyboard.columns.max(1), storyboard.rows.max(1));
    let per_sheet = columns.saturating_mul(rows);
    let at = |tile: u32| {
        ms(MediaTime::new(storyboard.interval.ticks.saturating_mul(tile.into()), storyboard.interval.scale))
    };
    let mut found = Vec::new();
    for (number, file) in (0u32..).zip(&storyboard.sheets) {
        let first = number.saturating_mul(per_sheet);
        let tiles = storyboard.tile_count.saturating_sub(first).min(per_sheet);
        let (start_ms, end_ms) = (at(first), at(first.saturating_add(tiles)).min(ms(duration)));
        if end_ms > start_ms {
            let rows = tiles.div_ceil(columns);
            found.push(Sheet { file, start_ms, duration_ms: end_ms - start_ms, columns, rows });
        }
    }
    found
}

/// Peak and mean bit rate of the sheets; `None` if it is not recorded how long they are.
pub(crate) fn rates(presentation: &Presentation, sheets: &[Sheet<'_>]) -> Option<(u64, u64)> {
    let bytes = |file: &str| {
        let is_it = |entry: &&FileEntry| entry.path.strip_prefix("images/") == Some(file);
        presentation.files.iter().find(is_it).map(|entry| entry.bytes)
    };
    let pieces: Option<Vec<(u64, u64)>> = sheets.iter().map(|one| Some((bytes(one.file)?, one.duration_ms))).collect();
    bit_rates(pieces?.into_iter(), Timescale::MILLISECONDS)
}

/// The tag that names the image playlist, if there is one.
pub(super) fn variant(presentation: &Presentation, uri: &str) -> Option<String> {
    let storyboard = presentation.images.as_ref()?.storyboard.as_ref()?;
    let (peak, mean) = rates(presentation, &sheets(storyboard, presentation.duration))?;
    let list = List::of("EXT-X-IMAGE-STREAM-INF").plain("BANDWIDTH", peak).plain("AVERAGE-BANDWIDTH", mean);
    Some(list.plain("RESOLUTION", storyboard.tile).quoted("CODECS", "jpeg").quoted("URI", uri).finish())
}

/// Renders the image playlist, which stands beside the sheets that it names; `None` without a storyboard.
pub fn images(presentation: &Presentation) -> Option<String> {
    let storyboard = presentation.images.as_ref()?.storyboard.as_ref()?;
    let sheets = sheets(storyboard, presentation.duration);
    let longest_ms = sheets.iter().map(|sheet| sheet.duration_ms).max()?;
    let seconds = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let mut out = Playlist::new(VERSION);
    out.line(format!("#EXT-X-TARGETDURATION:{}", longest_ms.div_ceil(1000).max(1)));
    out.line("#EXT-X-MEDIA-SEQUENCE:0");
    out.line("#EXT-X-PLAYLIST-TYPE:VOD");
    out.line("#EXT-X-IMAGES-ONLY");
    let Resolution { width, height } = storyboard.tile;
    let interval = seconds(u64::try_from(storyboard.interval.as_ms()).unwrap_or(0));
    for sheet in sheets {
        out.line(format!("#EXTINF:{},", seconds(sheet.duration_ms)));
        let layout = format!("{}x{}", sheet.columns, sheet.rows);
        let list = List::of("EXT-X-TILES").plain("RESOLUTION", format!("{width}x{height}"));
        out.line(list.plain("LAYOUT", layout).plain("DURATION", &interval).finish());
        out.line(sheet.file);
    }
    out.line("#EXT-X-ENDLIST");
    Some(out.0)
}
