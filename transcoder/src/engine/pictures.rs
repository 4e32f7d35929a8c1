//! Still pictures: the poster, thumbnails, storyboard tiles.

use domain::{FailureCode, MediaTime};

use super::decode;
use super::look;
use super::outlet::Outlet;
use super::pick::Grid;
use super::priority;
use super::{Source, Stop};
use crate::PicturesRequest;
use crate::av::{Frame, Scaler};
use crate::wire::{Kind, Writer};

/// Frames that are decoded behind a key frame to come nearer to the wanted time.
const FRAMES_PER_SHOT_MAX: u32 = 30;

/// A shot this close behind the last one is reached by decoding on instead of seeking, in milliseconds.
const STEP_MS_MAX: i64 = 2500;

/// Frames that are decoded from one shot to a close one: a step's worth at 120 a second.
const FRAMES_PER_STEP_MAX: u32 = 300;

/// Backward steps in seconds when a seek lands behind the wanted time.
const BACKOFF_SECONDS: [u64; 3] = [0, 5, 30];

/// Takes the pictures and sends them, in order; those that cannot be taken are left out.
pub(crate) fn take(source: &Source, request: &PicturesRequest, outlet: &Outlet) -> Result<(), Stop> {
    priority::step_back(priority::STEP);
    let largest = request.shots.iter().map(|shot| shot.resolution).max_by_key(|size| size.pixels());
    let Some(largest) = largest else { return Ok(()) };
    let mut track = decode::Pictures::open(source, &request.track, largest, outlet)?;
    let is_bt709 = look::is_bt709(&request.track);
    if request.only_key_frames {
        track.skip_to_key_frames();
    } else {
        track.skip_unreferenced();
    }
    let mut reel = Reel::new(track, request.origin)?;
    let mut taken = 0;
    for (at, shot) in request.shots.iter().enumerate() {
        reel.wind(shot.time.as_ms())?;
        // What cannot be reached any more shows what was reached last.
        let Some(frame) = reel.held() else { continue };
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

/// A track that is wound from shot to shot. Nothing is decoded twice for shots in order of time that
/// lie close together.
pub(super) struct Reel<'a> {
    track: decode::Pictures<'a>,
    grid: Grid,
    /// The last picture at or before the latest shot, as far as it could be reached cheaply.
    held: Option<Frame>,
    /// The picture after it, if it has been decoded.
    ahead: Option<Frame>,
}

impl<'a> Reel<'a> {
    /// A reel at the start of `track`, with nothing held yet; `origin` is the instant zero of its times.
    pub(super) fn new(track: decode::Pictures<'a>, origin: MediaTime) -> Result<Self, Stop> {
        // One "frame" a millisecond: the grid only compares times here.
        let rate = domain::FrameRate::new(1000, 1).ok_or_else(|| Stop::Broken("no rate".into()))?;
        let grid = Grid { base: track.picture_base(), origin, rate };
        Ok(Self { track, grid, held: None, ahead: None })
    }

    /// The picture that is held.
    pub(super) fn held(&self) -> Option<&Frame> {
        self.held.as_ref()
    }

    /// When the picture that is held is shown.
    pub(super) fn position_ms(&self) -> Option<i64> {
        self.held.as_ref().map(|frame| self.grid.slot(frame.pts()))
    }

    /// Moves on to a time. If it cannot be reached, what was held stays.
    pub(super) fn wind(&mut self, ms: i64) -> Result<(), Stop> {
        let wanted = ms.max(0);
        let slot = |frame: &Frame| self.grid.slot(frame.pts());
        let (held, ahead) = (self.held.as_ref().map(slot), self.ahead.as_ref().map(slot));
        match held {
            Some(held) if held <= wanted && wanted - ahead.unwrap_or(held) <= STEP_MS_MAX => {
                self.advance(wanted, FRAMES_PER_STEP_MAX)
            }
            _ => self.seek(wanted),
        }
    }

    /// Decodes on until the next picture lies behind `wanted`, for at most `frames_max` pictures.
    fn advance(&mut self, wanted: i64, frames_max: u32) -> Result<(), Stop> {
        for _ in 0..frames_max {
            let next = match self.ahead.take() {
                Some(frame) => Some(frame),
                None => self.track.next()?,
            };
            match next {
                Some(frame) if self.grid.slot(frame.pts()) <= wanted => self.held = Some(frame),
                behind => {
                    self.ahead = behind;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Goes to the key frame before `wanted` and on from there.
    fn seek(&mut self, wanted: i64) -> Result<(), Stop> {
        self.ahead = None;
        let wanted_ms = u64::try_from(wanted).unwrap_or(0);
        let mut first = None;
        for seconds in BACKOFF_SECONDS {
            let from = wanted_ms.saturating_sub(seconds * 1000);
            if from == 0 || !self.track.seek(self.grid.ticks(from)) {
                self.track.rewind()?;
            }
            first = self.track.next()?;
            if from == 0 || first.as_ref().is_some_and(|frame| self.grid.slot(frame.pts()) <= wanted) {
                break;
            }
        }
        // Even a picture that comes late is better than none.
        self.held = first.or(self.held.take());
        self.advance(wanted, FRAMES_PER_SHOT_MAX)
    }
}
