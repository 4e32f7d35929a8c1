//! Which pictures of a video are taken, which of them becomes the poster, and how they are stored: pure.

use std::cmp::Ordering;

use domain::ladder::Rung;
use domain::plan::VideoPlan;
use domain::presentation::{Images, Storyboard, Thumbnail};
use domain::{MediaTime, Plan, Resolution, Timescale};
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageError, RgbImage};
use transcoder::{Picture, Shot};

use hashes::Hashes;

pub(crate) mod hashes;
pub(crate) mod preview;
mod score;

/// Candidates for the poster, taken between a tenth and three fifths of the video.
const POSTER_CANDIDATES: u64 = 6;

/// The poster's size is that of the largest rung whose short side is at most this.
const POSTER_SHORT_SIDE_MAX: u32 = 720;

/// Single thumbnails, at regular times.
const THUMBNAILS: u64 = 10;

/// Short side of a thumbnail.
const THUMBNAIL_SHORT_SIDE: u32 = 180;

/// Short side of a storyboard tile.
const TILE_SHORT_SIDE: u32 = 90;

/// Long sides of thumbnails and tiles are at most this many times their short sides.
const ASPECT_MAX: u32 = 4;

/// Tiles in a row, and rows, of a storyboard sheet.
const SHEET_SIDE: u32 = 10;

/// Tiles are this far apart at most while [`TILES_MAX`] allows it.
const TILE_INTERVAL_S_MAX: u64 = 10;

/// Most tiles of a storyboard; beyond it they move further apart.
const TILES_MAX: u64 = 300;

const JPEG_QUALITY: u8 = 82;

/// Pictures of a video up to this length lie so close together that nearly all of the source would be decoded
/// for them a second time: they are taken from the renditions once these are there.
const LAST_SECONDS_MAX: i64 = 100;

/// True if the pictures are taken from the renditions of `plan` instead of from the source.
pub(crate) fn are_last(plan: &Plan) -> bool {
    let length = plan.video.as_ref().map(|video| plan.cadence.frame_rate.instant(video.frame_count));
    length.is_some_and(|length| length.as_ms() <= LAST_SECONDS_MAX * 1000)
}

/// The rung that the poster is taken from, if not from the source: it is as large.
pub(crate) fn poster_rung(video: &VideoPlan) -> Option<&Rung> {
    let small = video.rungs.iter().rfind(|rung| rung.resolution.short_side() <= POSTER_SHORT_SIDE_MAX);
    small.or(video.rungs.first())
}

/// The rung that thumbnails, tiles and the preview are taken from, if not from the source.
pub(crate) fn small_rung(video: &VideoPlan) -> Option<&Rung> {
    let is_enough = |rung: &&Rung| rung.resolution.short_side() >= THUMBNAIL_SHORT_SIDE;
    video.rungs.iter().find(is_enough).or(video.rungs.last())
}

/// A file to store and its name below the images folder.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

/// The best poster so far.
struct Candidate {
    score: f64,
    shot: usize,
    resolution: Resolution,
    jpeg: Vec<u8>,
    hashes: Hashes,
}

/// What a shot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Poster,
    Thumbnail(u64),
    Tile(u64),
}

/// The shots to take of a video, in order of time, and what each is for.
pub(crate) struct Album {
    uses: Vec<Use>,
    /// One per use, in the same order.
    pub(crate) shots: Vec<Shot>,
    interval: MediaTime,
    tile: Resolution,
    tile_count: u64,
    poster: Option<Candidate>,
    thumbnails: Vec<(Thumbnail, Vec<u8>)>,
    tiles: Vec<Option<RgbImage>>,
}

impl Album {
    /// The shots of the video that `plan` makes; `None` without video.
    pub(crate) fn new(plan: &Plan) -> Option<Self> {
        let video = plan.video.as_ref()?;
        let top = video.rungs.last()?.resolution;
        let poster = poster_rung(video)?.resolution;
        let rate = plan.cadence.frame_rate;
        let last = video.frame_count.saturating_sub(1);
        let frame = |part: u64, of: u64| {
            let frame = u128::from(video.frame_count) * u128::from(part) / u128::from(of.max(1));
            u64::try_from(frame).unwrap_or(last).min(last)
        };
        let (interval_s, tile_count) = tiles(rate.instant(video.frame_count));
        let (thumbnail, tile) = (shrunk(top, THUMBNAIL_SHORT_SIDE), shrunk(top, TILE_SHORT_SIDE));

        let mut wanted: Vec<(u64, Use, Resolution)> = Vec::new();
        for at in 1..=POSTER_CANDIDATES {
            wanted.push((frame(at, 10), Use::Poster, poster));
        }
        for at in 0..THUMBNAILS {
            wanted.push((frame(2 * at + 1, 2 * THUMBNAILS), Use::Thumbnail(at), thumbnail));
        }
        let per_interval = u128::from(rate.num()) * u128::from(interval_s);
        for at in 0..tile_count {
            let frame = u128::from(at) * per_interval / u128::from(rate.den());
            wanted.push((u64::try_from(frame).unwrap_or(last).min(last), Use::Tile(at), tile));
        }
        wanted.sort_by_key(|(frame, ..)| *frame);
        Some(Self {
            uses: wanted.iter().map(|(_, purpose, _)| *purpose).collect(),
            shots: wanted
                .iter()
                .map(|&(frame, _, resolution)| Shot { time: rate.instant(frame), resolution })
                .collect(),
            interval: MediaTime::new(
                i64::try_from(interval_s).unwrap_or(i64::MAX).saturating_mul(1000),
                Timescale::MILLISECONDS,
            ),
            tile,
            tile_count,
            poster: None,
            thumbnails: Vec::new(),
            tiles: vec![None; usize::try_from(tile_count).unwrap_or(0)],
        })
    }

    /// The poster of a file of sound whose attached picture has this size.
    pub(crate) fn of_cover(size: Resolution) -> Self {
        let zero = MediaTime::zero();
        Self {
            uses: vec![Use::Poster],
            shots: vec![Shot { time: zero, resolution: shrunk(size, POSTER_SHORT_SIDE_MAX) }],
            interval: zero,
            tile: Resolution { width: 2, height: 2 },
            tile_count: 0,
            poster: None,
            thumbnails: Vec::new(),
            tiles: Vec::new(),
        }
    }

    /// The places of the shots that are only for the poster, or of all others.
    pub(crate) fn places(&self, is_poster: bool) -> Vec<usize> {
        let uses = self.uses.iter().enumerate();
        uses.filter(|(_, purpose)| (**purpose == Use::Poster) == is_poster).map(|(at, _)| at).collect()
    }

    /// Takes in one picture; pictures nobody asked for, or of the wrong size, are passed over.
    ///
    /// # Errors
    /// [`ImageError`] if a JPEG cannot be written.
    pub(crate) fn add(&mut self, picture: Picture) -> Result<(), ImageError> {
        let (Some(purpose), Some(shot)) = (self.uses.get(picture.shot).copied(), self.shots.get(picture.shot)) else {
            return Ok(());
        };
        let (at, time) = (picture.shot, shot.time);
        let Some(image) = RgbImage::from_raw(picture.resolution.width, picture.resolution.height, picture.rgb) else {
            return Ok(());
        };
        match purpose {
            Use::Poster => {
                let score = score::of(&image);
                // On a tie the earlier shot wins, in whatever order pictures arrive.
                let is_better =
                    |best: &Candidate| score.total_cmp(&best.score).then(best.shot.cmp(&at)) == Ordering::Greater;
                if self.poster.as_ref().is_none_or(is_better) {
                    let (jpeg, hashes) = (jpeg(&image)?, hashes::of(&image));
                    self.poster = Some(Candidate { score, shot: at, resolution: picture.resolution, jpeg, hashes });
                }
            }
            Use::Thumbnail(number) => {
                let file = format!("thumbnail-{number}.jpg");
                self.thumbnails.push((Thumbnail { time, file }, jpeg(&image)?));
            }
            Use::Tile(number) if picture.resolution == self.tile => {
                let slot = usize::try_from(number).ok().and_then(|number| self.tiles.get_mut(number));
                if let Some(slot) = slot {
                    *slot = Some(image);
                }
            }
            Use::Tile(_) => {}
        }
        Ok(())
    }

    /// The files to store and their description; `None` if not even a poster came.
    ///
    /// # Errors
    /// [`ImageError`] if a JPEG cannot be written.
    pub(crate) fn finish(mut self) -> Result<Option<(Images, Vec<File>)>, ImageError> {
        let Some(poster) = self.poster.take() else { return Ok(None) };
        let mut files = vec![File { name: "poster.jpg".into(), body: poster.jpeg }];
        self.thumbnails.sort_by_key(|(thumbnail, _)| thumbnail.time);
        let mut thumbnails = Vec::new();
        for (thumbnail, body) in std::mem::take(&mut self.thumbnails) {
            files.push(File { name: thumbnail.file.clone(), body });
            thumbnails.push(thumbnail);
        }
        let storyboard = self.storyboard(&mut files)?;
        let images = Images {
            poster: "poster.jpg".into(),
            poster_resolution: poster.resolution,
            thumbnails,
            storyboard,
            preview: None,
            blurhash: poster.hashes.blurhash,
            thumbhash: Some(poster.hashes.thumbhash),
            scored: None,
        };
        Ok(Some((images, files)))
    }

    fn storyboard(mut self, files: &mut Vec<File>) -> Result<Option<Storyboard>, ImageError> {
        // One tile tells nothing that the poster does not.
        if self.tile_count < 2 || self.tiles.iter().all(Option::is_none) {
            return Ok(None);
        }
        let mut sheets = Vec::new();
        let mut previous = None;
        for (number, tiles) in self.tiles.chunks_mut((SHEET_SIDE * SHEET_SIDE) as usize).enumerate() {
            let count = u32::try_from(tiles.len()).unwrap_or(SHEET_SIDE * SHEET_SIDE);
            let (columns, rows) = (count.min(SHEET_SIDE), count.div_ceil(SHEET_SIDE));
            // The first sheet is as wide as the others, so that every sheet has the same columns.
            let columns = if number > 0 { SHEET_SIDE } else { columns };
            let mut sheet = RgbImage::new(columns * self.tile.width, rows * self.tile.height);
            for (at, tile) in (0u32..).zip(tiles) {
                // A missing picture is shown by the one before it.
                previous = tile.take().or(previous);
                if let Some(tile) = &previous {
                    let (x, y) = (at % SHEET_SIDE * self.tile.width, at / SHEET_SIDE * self.tile.height);
                    image::imageops::replace(&mut sheet, tile, i64::from(x), i64::from(y));
                }
            }
            let name = format!("storyboard-{number}.jpg");
            files.push(File { name: name.clone(), body: jpeg(&sheet)? });
            sheets.push(name);
        }
        let tile_count = u32::try_from(self.tile_count).unwrap_or(u32::MAX);
        Ok(Some(Storyboard {
            sheets,
            tile: self.tile,
            columns: tile_count.min(SHEET_SIDE),
            rows: tile_count.div_ceil(SHEET_SIDE).min(SHEET_SIDE),
            tile_count,
            interval: self.interval,
        }))
    }
}

/// Seconds between tiles, and how many there are: a tile a second up to 100, then up to ten
/// seconds apart up to [`TILES_MAX`].
fn tiles(duration: MediaTime) -> (u64, u64) {
    let seconds = u64::try_from(duration.rescale_ceil(Timescale::MILLISECONDS).map_or(0, |time| time.ticks))
        .unwrap_or(0)
        .div_ceil(1000)
        .max(1);
    let close = seconds.div_ceil(u64::from(SHEET_SIDE * SHEET_SIDE)).min(TILE_INTERVAL_S_MAX);
    let interval = close.max(seconds.div_ceil(TILES_MAX)).max(1);
    (interval, seconds.div_ceil(interval))
}

/// `size` scaled down to this short side, even on both sides; never enlarged, never longer than
/// [`ASPECT_MAX`] times as wide (a stranger picture is squeezed).
fn shrunk(size: Resolution, short: u32) -> Resolution {
    let short = short.min(size.short_side());
    let exact = u64::from(size.long_side()) * u64::from(short) / u64::from(size.short_side().max(1));
    let long = u32::try_from(exact).unwrap_or(u32::MAX).clamp(short, short.saturating_mul(ASPECT_MAX));
    let even = |side: u32| (side & !1).max(2);
    let upright = Resolution { width: even(long), height: even(short) };
    if size.width >= size.height { upright } else { upright.turned() }
}

/// A picture as it is stored.
///
/// # Errors
/// [`ImageError`] if it cannot be written.
pub(crate) fn jpeg(image: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut body = Vec::new();
    JpegEncoder::new_with_quality(&mut body, JPEG_QUALITY).encode(
        image.as_raw(),
        image.width(),
        image.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(body)
}

#[cfg(test)]
mod tests;
