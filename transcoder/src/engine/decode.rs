//! One video track as a row of upright pictures, from any place of the source.

use std::collections::VecDeque;
use std::ops::Range;

use domain::probe::VideoTrack;
use domain::{FailureCode, Resolution};

use super::look::{self, Shape};
use super::outlet::Outlet;
use super::scan::next_packet;
use super::source::Clock;
use super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Graph, Input, Packet, TimeBase};

/// Threads of the decoder. Two frames in flight are enough to keep it ahead of the encoders.
const DECODER_THREADS: u8 = 2;

/// Errors behind the last picture that are put down to a source that was cut off; more are damage.
const CUT_OFF_ERRORS_MAX: u64 = 50;

/// Packets behind a place that was sought which are passed over while no decoder can start there.
const WAIT_PACKETS_MAX: u32 = 600;

/// Time stamps this far outside of the track's extent are wrong, in seconds.
const STRAY_SECONDS_MAX: i64 = 2;

/// A time this far ahead of what is due is only believed when the next one agrees, in seconds: where clocks
/// may jump, longer pauses were closed, save those of the picture alone.
const LEAP_SECONDS: i64 = 10;

/// Decodes a track and turns its pictures upright.
pub(crate) struct Pictures<'a> {
    source: &'a Source,
    track: &'a VideoTrack,
    outlet: &'a Outlet,
    input: Input,
    decoder: Decoder,
    /// What the filters are made for, and these, if any are needed.
    chain: Option<(Shape, Option<Graph>)>,
    /// Upright pictures that are waiting to be taken.
    ready: VecDeque<Frame>,
    top: Resolution,
    /// The container states the shape of samples, whatever the pictures say.
    is_aspect_fixed: bool,
    /// Of the packets.
    base: TimeBase,
    /// Of the upright pictures.
    picture_base: TimeBase,
    /// When the next picture is due, if that is known, and how long a picture usually lasts.
    due: Option<i64>,
    usual_ticks: i64,
    /// When the next picture is due if the last one's time was right, though it leapt.
    leapt: Option<i64>,
    /// Packets that may still be passed over until one is found from which a decoder can start.
    wait: u32,
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
        let info = info.ok_or_else(|| Stop::refused(FailureCode::Damaged, "the video track has vanished"))?;
        let base = info.time_base;
        input.select(&[track.stream_index]);
        input.correct(track.stream_index, &track.jumps);
        let decoder = Decoder::open(&input, track.stream_index, DECODER_THREADS)?;
        let pictures = Self {
            source,
            track,
            outlet,
            input,
            decoder,
            chain: None,
            ready: VecDeque::new(),
            top,
            is_aspect_fixed: info.is_aspect_fixed,
            base,
            picture_base: look::picture_base(track, base),
            due: None,
            leapt: None,
            usual_ticks: base.ticks_floor(track.measured_rate.instant(1)).max(1),
            wait: 0,
            packet: Packet::empty()?,
            frame: Frame::empty()?,
            is_drained: false,
            reached: i64::MIN,
            counts: Counts::new(i64::MIN..i64::MAX),
        };
        Ok(Self { due: pictures.start(), ..pictures })
    }

    /// When the first picture is due.
    fn start(&self) -> Option<i64> {
        Some(self.base.ticks_floor(self.track.extent.start))
    }

    /// Leaves out the pictures that can be left out without harm to others, for a quick look.
    pub(crate) fn skip_unreferenced(&mut self) {
        self.decoder.skip_unreferenced();
    }

    /// Decodes nothing but key frames.
    pub(crate) fn skip_to_key_frames(&mut self) {
        self.decoder.skip_to_key_frames();
    }

    /// Seconds per tick of the track's own times.
    pub(crate) fn base(&self) -> TimeBase {
        self.base
    }

    /// Seconds per tick of the pictures' times.
    pub(crate) fn picture_base(&self) -> TimeBase {
        self.picture_base
    }

    /// Counts what lies in this part of the track, in its ticks, and nothing else.
    pub(crate) fn count_in(&mut self, wanted: Range<i64>) {
        self.counts = Counts::new(wanted);
    }

    /// Goes back to the start of the source.
    pub(crate) fn rewind(&mut self) -> Result<(), Stop> {
        self.input = self.source.open()?;
        self.input.select(&[self.track.stream_index]);
        self.input.correct(self.track.stream_index, &self.track.jumps);
        self.reset();
        self.counts.has_sought = false;
        self.due = self.start();
        Ok(())
    }

    /// Goes to a place before `ticks`, as near as the container knows; `false` if it cannot seek.
    pub(crate) fn seek(&mut self, ticks: i64) -> bool {
        let ticks = ticks.div_euclid(i64::from(self.picture_base.den / self.base.den).max(1));
        let sought = self.input.seek(self.track.stream_index, ticks).is_ok();
        self.reset();
        self.wait = WAIT_PACKETS_MAX;
        sought
    }

    fn reset(&mut self) {
        self.decoder.flush();
        self.chain = None;
        self.ready.clear();
        self.due = None;
        self.leapt = None;
        self.wait = 0;
        self.is_drained = false;
        self.reached = i64::MIN;
        self.counts = Counts { has_sought: true, ..Counts::new(self.counts.wanted.clone()) };
    }

    /// The next picture, with its time as `pts`; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Stop> {
        loop {
            // Ends with a picture, or once the decoder and the filters are empty.
            if let Some(picture) = self.ready.pop_front() {
                return Ok(Some(picture));
            }
            if let Some((_, Some(graph))) = self.chain.as_mut()
                && let Some(picture) = graph.receive()?
            {
                return Ok(Some(picture));
            }
            match self.decoded()? {
                Some(()) => self.filter()?,
                None if self.chain.is_none() => return Ok(None),
                None => self.end_chain()?,
            }
        }
    }

    /// How many pictures were decoded since the last seek, and how many could not be.
    pub(crate) fn counted(&self) -> (u64, u64) {
        self.counts.total()
    }

    /// Gives the decoded picture to the filters, if it needs any.
    fn filter(&mut self) -> Result<(), Stop> {
        let shape = self.shape();
        if self.chain.as_ref().is_none_or(|(made_for, _)| *made_for != shape) {
            // The picture changed its size or format in the middle: what the old filters hold comes first.
            self.end_chain()?;
            let filters = look::filters(self.track, self.top, self.base, shape);
            let graph = filters.map(|filters| Graph::new(&self.frame, self.base, &filters)).transpose()?;
            self.chain = Some((shape, graph));
        }
        match self.chain.as_mut() {
            Some((_, Some(graph))) => graph.send(Some(&self.frame))?,
            _ => self.ready.push_back(self.frame.share()?),
        }
        self.frame.clear();
        Ok(())
    }

    fn shape(&self) -> Shape {
        let stated = self.frame.sample_aspect();
        let stated =
            u32::try_from(stated.0).ok().zip(u32::try_from(stated.1).ok()).filter(|(num, den)| *num > 0 && *den > 0);
        Shape {
            width: self.frame.width(),
            height: self.frame.height(),
            format: self.frame.format(),
            aspect: stated.filter(|_| !self.is_aspect_fixed).unwrap_or(self.track.sample_aspect),
        }
    }

    /// Takes what the filters still hold, a few pictures at most, and lets go of them.
    fn end_chain(&mut self) -> Result<(), Stop> {
        if let Some((_, Some(mut graph))) = self.chain.take() {
            graph.send(None)?;
            while let Some(picture) = graph.receive()? {
                self.ready.push_back(picture);
            }
        }
        Ok(())
    }

    /// The time of the decoded picture: its own, or the one that is due if that is missing or a lie.
    /// `None` if nothing is due, behind a seek.
    fn time(&mut self) -> Option<i64> {
        let second = i64::from(self.base.den / self.base.num.max(1));
        let slack = second.saturating_mul(STRAY_SECONDS_MAX);
        let extent = self.track.extent;
        let earliest = self.base.ticks_floor(extent.start).saturating_sub(slack);
        let latest = self.base.ticks_floor(extent.end).saturating_add(slack);
        let stated = self.frame.timestamp().filter(|time| (earliest..=latest).contains(time));
        let (Some(time), Some(due), Clock::Jumps) = (stated, self.due, self.source.clock) else {
            return stated.or(self.due);
        };
        // A leap is believed once two pictures in a row agree on it.
        let leaps = |due: i64| {
            time < due.saturating_sub(second) || time > due.saturating_add(second.saturating_mul(LEAP_SECONDS))
        };
        let is_lone = leaps(due) && self.leapt.is_none_or(leaps);
        self.leapt = is_lone.then_some(time.saturating_add(self.usual_ticks));
        Some(if is_lone { due } else { time })
    }

    /// Decodes into `self.frame` and sets its `pts`; `None` once the decoder is empty for good.
    fn decoded(&mut self) -> Result<Option<()>, Stop> {
        loop {
            // Ends with a frame, or behind the last packet.
            match self.decoder.receive(&mut self.frame) {
                Ok(Some(())) => {
                    self.outlet.step()?;
                    let Some(time) = self.time() else { continue };
                    self.counts.good(time);
                    self.due = Some(time.saturating_add(self.usual_ticks));
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
                if self.wait > 0 && !self.packet.is_key() {
                    self.wait -= 1;
                    continue;
                }
                self.wait = 0;
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
