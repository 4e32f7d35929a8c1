//! Still pictures: the poster, thumbnails, storyboard tiles.

use domain::FailureCode;

use super::decode;
use super::look;
use super::outlet::Outlet;
use super::pick::Grid;
use super::{Source, Stop};
use crate::av::{Frame, Scaler};
use crate::wire::{Kind, Writer};
use crate::{PicturesRequest, Shot};

/// Frames that are decoded behind a key frame to come nearer to the wanted time.
const FRAMES_PER_SHOT_MAX: u32 = 30;

/// Backward steps in seconds when a seek lands behind the wanted time.
const BACKOFF_SECONDS: [u64; 3] = [0, 5, 30];

/// Takes the pictures and sends them, in order; those that cannot be taken are left out.
pub(crate) fn take(source: &Source, request: &PicturesRequest, outlet: &Outlet) -> Result<(), Stop> {
    let largest = request.shots.iter().map(|shot| shot.resolution).max_by_key(|size| size.pixels());
    let Some(largest) = largest else { return Ok(()) };
    let mut track = decode::Pictures::open(source, &request.track, largest, outlet)?;
    // One "frame" a millisecond: the grid only compares times here.
    let rate = domain::FrameRate::new(1000, 1).ok_or_else(|| Stop::Broken("no rate".into()))?;
    let grid = Grid { base: track.base(), origin: request.origin, rate };
    let is_bt709 = look::is_bt709(&request.track);
    let mut taken = 0;
    let mut last: Option<Frame> = None;
    for (at, shot) in request.shots.iter().enumerate() {
        if let Some(frame) = nearest(&mut track, grid, shot)? {
            last = Some(frame);
        }
        // What cannot be reached any more shows what was reached last.
        let Some(frame) = &last else { continue };
        let picture = Scaler::to_rgb24(shot.resolution, is_bt709).scale(frame)?;
        let mut writer = Writer::new(Kind::Picture);
        writer.u32(u32::try_from(at).unwrap_or(u32::MAX)).raw(&picture.rgb_rows());
        outlet.send(writer)?;
        taken += 1;
    }
    if taken == 0 {
        return Err(Stop::refused(FailureCode::Damaged, "not a single picture of the file can be decoded"));
    }
    Ok(())
}

/// The last picture at or before the shot's time, as far as it can be reached cheaply.
fn nearest(track: &mut decode::Pictures<'_>, grid: Grid, shot: &Shot) -> Result<Option<Frame>, Stop> {
    let wanted = u64::try_from(shot.time.as_ms()).unwrap_or(0);
    let latest = i64::try_from(wanted).unwrap_or(i64::MAX);
    let mut first = None;
    for seconds in BACKOFF_SECONDS {
        let from = wanted.saturating_sub(seconds * 1000);
        if from == 0 || !track.seek(grid.ticks(from)) {
            track.rewind()?;
        }
        first = track.next()?;
        if from == 0 || first.as_ref().is_some_and(|frame| grid.slot(frame.pts()) <= latest) {
            break;
        }
    }
    let Some(mut best) = first else { return Ok(None) };
    for _ in 0..FRAMES_PER_SHOT_MAX {
        match track.next()? {
            Some(frame) if grid.slot(frame.pts()) <= latest => best = frame,
            _ => break,
        }
    }
    Ok(Some(best))
}
