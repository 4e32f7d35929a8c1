//! One video track as a row of upright pictures, from any place of the source.

use domain::probe::VideoTrack;
use domain::{FailureCode, Resolution};

use super::look;
use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Graph, Input, Packet, TimeBase};

/// Threads of the decoder. Two frames in flight are enough to keep it ahead of the encoders.
const DECODER_THREADS: u8 = 2;

/// Share of frames that may be undecodable before a source counts as damaged, in percent.
const ERRORS_PERCENT_MAX: u64 = 5;

/// Errors that are always tolerated, however short the chunk.
const ERRORS_FREE: u64 = 3;

/// Decodes a track and turns its pictures upright.
pub(crate) struct Pictures<'a> {
    source: &'a Source,
    track: &'a VideoTrack,
    outlet: &'a Outlet,
    input: Input,
    decoder: Decoder,
    graph: Option<Graph>,
    filters: Option<String>,
    base: TimeBase,
    packet: Packet,
    frame: Frame,
    /// The decoder has been told that the stream ended.
    is_drained: bool,
    tally: Tally,
}

/// Counts frames and errors. Errors behind the last good frame do not count: a source that was cut
/// off ends in one.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    good: u64,
    bad: u64,
    bad_since_good: u64,
}

impl Tally {
    fn good(&mut self) {
        self.good += 1;
        self.bad += std::mem::take(&mut self.bad_since_good);
    }

    fn is_damaged(self) -> bool {
        self.bad > ERRORS_FREE && self.bad * 100 > (self.good + self.bad) * ERRORS_PERCENT_MAX
    }
}

impl<'a> Pictures<'a> {
    /// Opens the track at the start of the source; pictures of HDR tracks come out with size `top`.
    pub(crate) fn open(
        source: &'a Source,
        track: &'a VideoTrack,
        top: Resolution,
        outlet: &'a Outlet,
    ) -> Result<Self, Stop> {
        let mut input = source.open()?;
        let info = input.stream_info(track.stream_index);
        let base = info.ok_or_else(|| Stop::refused(FailureCode::Damaged, "the video track has vanished"))?.time_base;
        input.select(&[track.stream_index]);
        let decoder = Decoder::open(&input, track.stream_index, DECODER_THREADS)?;
        Ok(Self {
            source,
            track,
            outlet,
            input,
            decoder,
            graph: None,
            filters: look::filters(track, top, (base.num, base.den)),
            base,
            packet: Packet::empty()?,
            frame: Frame::empty()?,
            is_drained: false,
            tally: Tally::default(),
        })
    }

    /// Leaves out the pictures that can be left out without harm to others, for a quick look.
    pub(crate) fn skip_unreferenced(&mut self) {
        self.decoder.skip_unreferenced();
    }

    pub(crate) fn base(&self) -> TimeBase {
        self.base
    }

    /// Goes back to the start of the source.
    pub(crate) fn rewind(&mut self) -> Result<(), Stop> {
        self.input = self.source.open()?;
        self.input.select(&[self.track.stream_index]);
        self.reset();
        Ok(())
    }

    /// Goes to a place before `ticks`, as near as the container knows; `false` if it cannot seek.
    pub(crate) fn seek(&mut self, ticks: i64) -> bool {
        let sought = self.input.seek(self.track.stream_index, ticks).is_ok();
        self.reset();
        sought
    }

    fn reset(&mut self) {
        self.decoder.flush();
        self.graph = None;
        self.is_drained = false;
        self.tally = Tally::default();
    }

    /// The next picture, with its time as `pts`; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Stop> {
        loop {
            // Ends with a picture, or once the filters have been told that the decoder is empty.
            if let Some(picture) = self.filtered()? {
                return Ok(Some(picture));
            }
            match self.decoded()? {
                Some(()) if self.filters.is_none() => {
                    let picture = self.frame.share()?;
                    self.frame.clear();
                    return Ok(Some(picture));
                }
                Some(()) => self.filter()?,
                None => match self.graph.as_mut() {
                    Some(graph) => {
                        graph.send(None)?;
                        let last = graph.receive()?;
                        if last.is_none() {
                            self.graph = None;
                        }
                        return Ok(last);
                    }
                    None => return Ok(None),
                },
            }
        }
    }

    /// True if more frames were lost than can be overlooked.
    pub(crate) fn is_damaged(&self) -> bool {
        self.tally.is_damaged()
    }

    fn filtered(&mut self) -> Result<Option<Frame>, Stop> {
        match self.graph.as_mut() {
            Some(graph) => Ok(graph.receive()?),
            None => Ok(None),
        }
    }

    fn filter(&mut self) -> Result<(), Stop> {
        let Some(filters) = &self.filters else { return Ok(()) };
        if self.graph.as_ref().is_none_or(|graph| !graph.fits(&self.frame)) {
            // The picture changed its size or format in the middle: what the old chain still holds is lost.
            self.graph = Some(Graph::new(&self.frame, self.base, filters)?);
        }
        if let Some(graph) = self.graph.as_mut() {
            graph.send(Some(&self.frame))?;
        }
        self.frame.clear();
        Ok(())
    }

    /// Decodes into `self.frame` and sets its `pts`; `None` once the decoder is empty for good.
    fn decoded(&mut self) -> Result<Option<()>, Stop> {
        loop {
            // Ends with a frame, or behind the last packet.
            match self.decoder.receive(&mut self.frame) {
                Ok(Some(())) => {
                    self.outlet.step()?;
                    self.tally.good();
                    let Some(time) = self.frame.timestamp() else { continue };
                    self.frame.set_pts(time);
                    return Ok(Some(()));
                }
                Ok(None) if self.is_drained => return Ok(None),
                Ok(None) => {}
                Err(error) => self.count(error)?,
            }
            if self.is_drained {
                continue;
            }
            if next_packet(&mut self.input, &mut self.packet)? {
                self.outlet.step()?;
                // An empty packet says that the picture stays as it is, which it does by itself.
                if self.packet.data().is_empty() {
                    continue;
                }
                if let Err(error) = self.decoder.send(Some(&self.packet)) {
                    self.count(error)?;
                }
            } else {
                self.is_drained = true;
                if let Err(error) = self.decoder.send(None) {
                    self.count(error)?;
                }
            }
        }
    }

    fn count(&mut self, error: AvError) -> Result<(), Stop> {
        if error == AvError::NO_MEMORY {
            return Err(error.into());
        }
        self.tally.bad_since_good += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_off_tail_is_no_damage_but_holes_are() {
        let mut tally = Tally::default();
        (0..100).for_each(|_| tally.good());
        tally.bad_since_good = 50;
        assert!(!tally.is_damaged(), "the end was cut off");
        tally.good();
        assert!(tally.is_damaged(), "the hole is in the middle");
        let short = Tally { good: 2, bad: 3, bad_since_good: 0 };
        assert!(!short.is_damaged(), "a handful is tolerated");
    }
}
