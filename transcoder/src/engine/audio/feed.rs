//! One audio track as a row of decoded frames, from any place of the source.

use domain::probe::AudioTrack;
use domain::{FailureCode, MediaTime};

use super::super::outlet::Outlet;
use super::super::scan::next_packet;
use super::super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Input, Packet, StreamKind, TimeBase};

/// Consecutive packets that may fail to decode before a source counts as damaged, if none decoded before.
const ERRORS_AT_START_MAX: u32 = 500;

/// How far before the wanted place to seek, in seconds, attempt by attempt: containers seek to where
/// the picture can be decoded, and some to the wrong place. The last attempt reads from the beginning.
const BACKOFF_SECONDS: [i64; 4] = [1, 6, 30, 120];

/// Decodes a track.
pub(super) struct Feed<'a> {
    source: &'a Source,
    outlet: &'a Outlet,
    track: &'a AudioTrack,
    input: Input,
    decoder: Decoder,
    base: TimeBase,
    packet: Packet,
    frame: Frame,
    /// A frame that was decoded to see where a seek led, and is still to be given out.
    landed: Option<Frame>,
    /// Packets before this time, in ticks, are not even decoded.
    skip_before: Option<i64>,
    /// One was skipped.
    skips: bool,
    has_sound: bool,
    errors: u32,
    is_drained: bool,
}

impl<'a> Feed<'a> {
    /// Opens the track at the start of the source.
    pub(super) fn open(source: &'a Source, track: &'a AudioTrack, outlet: &'a Outlet) -> Result<Self, Stop> {
        let index = track.stream_index;
        let mut input = source.open()?;
        let info = input.stream_info(index);
        let base = info.ok_or_else(|| Stop::refused(FailureCode::Damaged, "the audio track has vanished"))?.time_base;
        input.select(&[index]);
        input.correct(index, &track.jumps);
        let decoder = Decoder::open(&input, index, 1)?;
        Ok(Self {
            source,
            outlet,
            track,
            input,
            decoder,
            base,
            packet: Packet::empty()?,
            frame: Frame::empty()?,
            landed: None,
            skip_before: None,
            skips: false,
            has_sound: false,
            errors: 0,
            is_drained: false,
        })
    }

    /// Goes to a place before `time`, from which every later frame comes out as if read from the beginning.
    ///
    /// Only where time stamps behind a seek are the ones that the container holds: else the packets
    /// from the beginning to that place are read, but not decoded.
    pub(super) fn go_before(&mut self, time: MediaTime) -> Result<(), Stop> {
        let latest = self.base.ticks_floor(time);
        // Where time stamps start anew, a place behind a seek does not tell which time it is.
        if self.source.has_stamps_everywhere && self.track.jumps.is_empty() {
            let (guide, base) = self.guide();
            for seconds in BACKOFF_SECONDS {
                let back = seconds.saturating_mul(i64::from(time.scale.per_second()));
                let target = MediaTime::new(time.ticks.saturating_sub(back), time.scale);
                self.reset();
                if self.input.seek(guide, base.ticks_floor(target)).is_err() {
                    break;
                }
                match self.next()? {
                    Some(frame) if frame.timestamp().is_some_and(|ticks| ticks <= latest) => {
                        self.landed = Some(frame);
                        return Ok(());
                    }
                    // Too late, or nothing to decode up to the end: go back further.
                    _ => {}
                }
            }
        }
        self.input = self.source.open()?;
        self.input.select(&[self.track.stream_index]);
        self.input.correct(self.track.stream_index, &self.track.jumps);
        self.reset();
        self.skip_before = Some(latest);
        Ok(())
    }

    /// The stream by which to seek, and its ticks: that of the picture where the index lists it alone.
    fn guide(&self) -> (u32, TimeBase) {
        let streams = (0..self.input.stream_count()).filter_map(|index| self.input.stream_info(index));
        let mut pictures = streams.filter(|info| info.kind == StreamKind::Video && !info.is_attached_picture);
        let picture = pictures.next().filter(|_| self.source.seeks_by_picture);
        picture.map_or((self.track.stream_index, self.base), |info| (info.index, info.time_base))
    }

    fn reset(&mut self) {
        self.decoder.flush();
        self.landed = None;
        self.skip_before = None;
        self.skips = false;
        self.is_drained = false;
    }

    pub(super) fn base(&self) -> TimeBase {
        self.base
    }

    /// The next frame that holds samples; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Stop> {
        if let Some(frame) = self.landed.take() {
            return Ok(Some(frame));
        }
        loop {
            // Ends with a frame, or behind the last packet.
            match self.decoder.receive(&mut self.frame) {
                Ok(Some(())) => {
                    self.outlet.step()?;
                    if self.frame.sample_count() == 0 || self.frame.sample_rate() == 0 {
                        continue;
                    }
                    self.has_sound = true;
                    let frame = self.frame.share()?;
                    self.frame.clear();
                    return Ok(Some(frame));
                }
                Ok(None) if self.is_drained => return Ok(None),
                Ok(None) => {}
                Err(error) => self.count(error)?,
            }
            if !self.is_drained {
                self.decode()?;
            }
        }
    }

    /// Gives the decoder the next packet, or tells it that there is none.
    fn decode(&mut self) -> Result<(), Stop> {
        let more = next_packet(&mut self.input, &mut self.packet)?;
        self.outlet.step()?;
        self.is_drained = !more;
        if let Some(limit) = self.skip_before.filter(|_| more) {
            self.skips |= self.packet.pts().or(self.packet.dts()).is_some_and(|time| time < limit);
            // A packet without a time stamp plays near the one before it.
            if self.skips && self.packet.pts().or(self.packet.dts()).is_none_or(|time| time < limit) {
                return Ok(());
            }
            self.skip_before = None;
        }
        match self.decoder.send(more.then_some(&self.packet)) {
            Ok(_) => Ok(()),
            Err(error) => self.count(error),
        }
    }

    /// A damaged packet leaves a hole, which the next time stamp turns into silence.
    fn count(&mut self, error: AvError) -> Result<(), Stop> {
        self.errors += 1;
        if error == AvError::NO_MEMORY {
            return Err(error.into());
        }
        if !self.has_sound && self.errors > ERRORS_AT_START_MAX {
            return Err(Stop::refused(FailureCode::Damaged, "the sound of the file is damaged"));
        }
        Ok(())
    }
}
