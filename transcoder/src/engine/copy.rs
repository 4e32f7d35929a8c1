//! A run of segments of the picture as the source holds them: cut at its keyframes, not decoded.
//!
//! Every frame must be where the plan says: one in each place of the grid, IDR pictures where GOPs
//! begin, all under the track's one pair of parameter sets. With the first that is not, the source is
//! refused, and whoever asked encodes it instead.

use domain::{FailureCode, Span};

use super::nal::Coding;
use super::outlet::Outlet;
use super::pick::Grid;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::CopyRequest;
use crate::av::{Input, Packet};
use crate::wire::{Kind, Writer};

/// How far before the wanted keyframe reading starts, in seconds, attempt by attempt. Containers seek
/// by decoding time, and some to the wrong place; the last attempt starts at the very beginning.
const BACKOFF_SECONDS: [u64; 5] = [0, 1, 4, 15, 60];

/// Takes over the wanted segments and sends them.
pub(crate) fn copy(source: &Source, request: &CopyRequest, outlet: &Outlet) -> Result<(), Stop> {
    let mut pictures = Pictures::open(source, request, outlet)?;
    for span in &request.work {
        pictures.go_to(span.first)?;
        let mut writer = Writer::new(Kind::Video);
        writer.u32(0).u32(span.index).bytes(&pictures.coding.sps).bytes(&pictures.coding.pps);
        pictures.take(*span, &request.cadence.gops(*span), &mut writer)?;
        outlet.send(writer)?;
    }
    Ok(())
}

/// The source does not keep what its probe promised.
fn otherwise(what: &str) -> Stop {
    Stop::refused(FailureCode::Damaged, format!("the pictures of the file cannot be taken over as they are: {what}"))
}

/// The coded pictures of one track, one of them at hand.
struct Pictures<'a> {
    source: &'a Source,
    request: &'a CopyRequest,
    outlet: &'a Outlet,
    input: Input,
    coding: Coding,
    grid: Grid,
    packet: Packet,
    /// The place on the grid of the picture at hand; `None` before the first and behind the last.
    slot: Option<i64>,
    /// Nothing was read yet.
    is_fresh: bool,
}

impl<'a> Pictures<'a> {
    fn open(source: &'a Source, request: &'a CopyRequest, outlet: &'a Outlet) -> Result<Self, Stop> {
        let mut input = source.open()?;
        let index = request.stream_index;
        let base = input.stream_info(index).ok_or_else(|| otherwise("the track has vanished"))?.time_base;
        let coding = Coding::of(&input.extradata(index)).ok_or_else(|| otherwise("its parameter sets differ"))?;
        input.select(&[index]);
        let grid = Grid { base, origin: request.origin, rate: request.cadence.frame_rate };
        Ok(Self { source, request, outlet, input, coding, grid, packet: Packet::empty()?, slot: None, is_fresh: true })
    }

    /// Reads the next picture.
    fn next(&mut self) -> Result<(), Stop> {
        self.slot = None;
        self.is_fresh = false;
        if next_packet(&mut self.input, &mut self.packet)? {
            self.outlet.step()?;
            let time = self.packet.pts().ok_or_else(|| otherwise("a picture has no time"))?;
            self.slot = Some(self.grid.slot(time));
        }
        Ok(())
    }

    /// Makes the picture of frame `first`, where a GOP begins, the one at hand.
    fn go_to(&mut self, first: u64) -> Result<(), Stop> {
        let wanted = i64::try_from(first).unwrap_or(i64::MAX);
        if self.slot == Some(wanted) {
            return Ok(());
        }
        let rate = self.grid.rate;
        for seconds in BACKOFF_SECONDS {
            let frames = seconds * u64::from(rate.num()).div_ceil(u64::from(rate.den()));
            let Some(from) = first.checked_sub(frames).filter(|from| *from > 0) else { break };
            self.is_fresh = false;
            if self.input.seek(self.request.stream_index, self.grid.ticks(from)).is_err() {
                break;
            }
            self.next()?;
            if self.slot.is_some_and(|slot| slot <= wanted) {
                return self.skip_to(wanted);
            }
        }
        if !self.is_fresh {
            self.input = self.source.open()?;
            self.input.select(&[self.request.stream_index]);
        }
        self.next()?;
        self.skip_to(wanted)
    }

    /// Passes over the pictures before `wanted`; all of them are coded before it, since GOPs are closed.
    fn skip_to(&mut self, wanted: i64) -> Result<(), Stop> {
        // Ends at the latest with the source.
        while self.slot.is_some_and(|slot| slot < wanted) {
            self.next()?;
        }
        if self.slot == Some(wanted) { Ok(()) } else { Err(otherwise("a keyframe is not at its place")) }
    }

    /// Moves the pictures of a segment into the message, and makes the one behind them that at hand.
    fn take(&mut self, span: Span, gops: &[u32], writer: &mut Writer) -> Result<(), Stop> {
        let first = i64::try_from(span.first).unwrap_or(i64::MAX);
        let mut is_shown = vec![false; usize::try_from(span.count).unwrap_or(0)];
        let mut starts = gops.iter().scan(0, |next, gop| Some(std::mem::replace(next, *next + gop))).peekable();
        for at in 0..span.count {
            let slot = self.slot.ok_or_else(|| otherwise("it ends early"))?;
            let display = u32::try_from(slot.saturating_sub(first)).ok();
            let place = display.and_then(|display| is_shown.get_mut(usize::try_from(display).ok()?));
            match place {
                Some(is_shown) if !*is_shown => *is_shown = true,
                _ => return Err(otherwise("a frame is missing, doubled or off its place")),
            }
            let data = self.packet.data();
            let is_idr = self.coding.is_idr(data).filter(|_| !self.packet.is_discarded() && !self.packet.is_corrupt());
            let is_idr = is_idr.ok_or_else(|| otherwise("a picture is damaged or coded differently"))?;
            let begins_gop = starts.next_if_eq(&at).is_some();
            if is_idr != begins_gop || (is_idr && display != Some(at)) {
                return Err(otherwise("a keyframe is not at its place"));
            }
            let sample = self.coding.sample(data).ok_or_else(|| otherwise("a picture is damaged"))?;
            writer.u32(display.unwrap_or(at)).bytes(&sample);
            self.next()?;
        }
        Ok(())
    }
}
