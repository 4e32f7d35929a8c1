//! One video track as a row of upright pictures, from any place of the source.

use std::ops::Range;

use domain::probe::VideoTrack;
use domain::{FailureCode, Resolution};

use super::look;
use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Graph, Input, Packet, TimeBase};

/// Threads of the decoder. Two frames in flight are enough to keep it ahead of the encoders.
const DECODER_THREADS: u8 = 2;

/// Errors behind the last picture that are put down to a source that was cut off; more are damage.
const CUT_OFF_ERRORS_MAX: u64 = 50;

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
    /// Time of the latest packet.
    reached: i64,
    counts: Counts,
}

/// Counts pictures and errors of the part of the track that somebody wants.
///
/// Errors before the first picture after a seek do not count: what they refer to was not decoded.
#[derive(Clone, Debug)]
struct Counts {
    /// In ticks of the track; what lies outside was decoded for the sake of others, and is theirs to count.
    wanted: Range<i64>,
    good: u64,
    bad: u64,
    bad_since_good: u64,
    has_sought: bool,
    has_picture: bool,
}

impl Counts {
    fn new(wanted: Range<i64>) -> Self {
        Self { wanted, good: 0, bad: 0, bad_since_good: 0, has_sought: false, has_picture: false }
    }

    fn good(&mut self, time: i64) {
        self.has_picture = true;
        self.bad += std::mem::take(&mut self.bad_since_good);
        if self.wanted.contains(&time) {
            self.good += 1;
        }
    }

    fn bad(&mut self, time: i64) {
        let is_lost = self.has_picture || !self.has_sought;
        if is_lost && self.wanted.contains(&time) {
            self.bad_since_good += 1;
        }
    }

    /// Pictures that were decoded, and those that could not be.
    fn total(&self) -> (u64, u64) {
        let tail = Some(self.bad_since_good).filter(|errors| *errors > CUT_OFF_ERRORS_MAX);
        (self.good, self.bad + tail.unwrap_or(0))
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
        source.check_size(track.coded)?;
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
            reached: i64::MIN,
            counts: Counts::new(i64::MIN..i64::MAX),
        })
    }

    /// Leaves out the pictures that can be left out without harm to others, for a quick look.
    pub(crate) fn skip_unreferenced(&mut self) {
        self.decoder.skip_unreferenced();
    }

    pub(crate) fn base(&self) -> TimeBase {
        self.base
    }

    /// Counts what lies in this part of the track, in its ticks, and nothing else.
    pub(crate) fn count_in(&mut self, wanted: Range<i64>) {
        self.counts = Counts::new(wanted);
    }

    /// Goes back to the start of the source.
    pub(crate) fn rewind(&mut self) -> Result<(), Stop> {
        self.input = self.source.open()?;
        self.input.select(&[self.track.stream_index]);
        self.reset();
        self.counts.has_sought = false;
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
        self.reached = i64::MIN;
        self.counts = Counts { has_sought: true, ..Counts::new(self.counts.wanted.clone()) };
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

    /// How many pictures were decoded since the last seek, and how many could not be.
    pub(crate) fn counted(&self) -> (u64, u64) {
        self.counts.total()
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
                    let Some(time) = self.frame.timestamp() else { continue };
                    self.counts.good(time);
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
                self.reached = self.packet.pts().or(self.packet.dts()).unwrap_or(self.reached);
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
        self.counts.bad(self.reached);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(counts: &mut Counts, run: &str) -> (u64, u64) {
        for (time, letter) in (0..).zip(run.chars()) {
            if letter == 'x' { counts.bad(time) } else { counts.good(time) }
        }
        counts.total()
    }

    #[test]
    fn holes_count_and_a_cut_off_tail_does_not() {
        let all = || Counts::new(i64::MIN..i64::MAX);
        assert_eq!(counted(&mut all(), "..xx..x."), (5, 3));
        assert_eq!(counted(&mut all(), "xx.."), (2, 2));
        assert_eq!(counted(&mut all(), &format!("..{}", "x".repeat(50))), (2, 0), "the end was cut off");
        assert_eq!(counted(&mut all(), &format!("..{}", "x".repeat(51))), (2, 51), "half of it is damaged");
    }

    #[test]
    fn after_a_seek_nothing_counts_before_the_first_picture() {
        let mut counts = Counts { has_sought: true, ..Counts::new(i64::MIN..i64::MAX) };
        assert_eq!(counted(&mut counts, "xxx.x."), (2, 1));
    }

    #[test]
    fn only_what_is_wanted_counts() {
        assert_eq!(counted(&mut Counts::new(3..6), ".x..x.x."), (2, 1));
    }
}
