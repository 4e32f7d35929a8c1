//! One timeline for a source whose time stamps start anew in its middle.
#![expect(unsafe_code, reason = "seeks in AVFormatContext")]

use std::collections::BTreeMap;
use std::ffi::CStr;

use domain::probe::Jump;
use ffmpeg_next::ffi;

use super::{AvError, Input, Packet, check};

/// A place that is searched for is known well enough once it lies within so many bytes.
const PLACE_BYTES: u64 = 16 << 10;

/// How long after it was decoded a picture of MPEG's streams may be shown, in seconds.
const REORDER_SECONDS_MAX: i64 = 10;

/// Steps back to a key frame, each twice as long as the one before: 64 MiB in all.
const KEY_STEPS_MAX: u32 = 12;

/// Packets that are read behind a place to learn its time.
const PACKETS_MAX: usize = 2000;

/// Demuxers that go on reading from any byte.
const BYTE_DEMUXERS: [&CStr; 2] = [c"mpegts", c"mpeg"];

/// What is added to the time stamps of each stream, in its ticks.
#[derive(Debug, Default)]
pub(super) struct Shifts(BTreeMap<u32, Stream>);

#[derive(Debug)]
struct Stream {
    /// Positions, rising, with the shift from there on.
    jumps: Vec<(u64, i64)>,
    /// That of the last packet, for packets that do not know their position.
    current: i64,
}

impl Stream {
    fn at(&mut self, position: Option<u64>) -> i64 {
        if let Some(position) = position {
            let passed = self.jumps.partition_point(|(at, _)| *at <= position);
            self.current = passed.checked_sub(1).map_or(0, |at| self.jumps[at].1);
        }
        self.current
    }
}

impl Shifts {
    pub(super) fn apply(&mut self, packet: &mut Packet) {
        if let Some(stream) = self.0.get_mut(&packet.stream_index()) {
            packet.shift(stream.at(packet.position()));
        }
    }
}

impl Input {
    /// From here on shifts the time stamps of stream `index`, and seeks by them.
    pub(crate) fn correct(&mut self, index: u32, jumps: &[Jump]) {
        let Some(base) = self.stream_info(index).map(|info| info.time_base).filter(|_| !jumps.is_empty()) else {
            return;
        };
        let jumps = jumps.iter().map(|jump| (jump.position, base.ticks_floor(jump.shift))).collect();
        self.shifts.0.insert(index, Stream { jumps, current: 0 });
    }

    /// Corrects the time stamps of a packet that was read.
    pub(super) fn put_right(&mut self, packet: &mut Packet) {
        if self.has_places()
            && let Some(base) = self.stream_time_base(packet.stream_index())
        {
            let second = i64::from(base.den / base.num.max(1));
            packet.forget_pts_outside(-second..=second.saturating_mul(REORDER_SECONDS_MAX));
        }
        self.shifts.apply(packet);
    }

    /// True if time stamps of stream `index` are shifted.
    pub(super) fn is_corrected(&self, index: u32) -> bool {
        self.shifts.0.contains_key(&index)
    }

    /// True for a source that can be read on from any byte.
    pub(super) fn has_places(&self) -> bool {
        // SAFETY: the context is open, and a demuxer's name is a static string.
        let name = unsafe { CStr::from_ptr((*(*self.context).iformat).name) };
        BYTE_DEMUXERS.contains(&name)
    }

    /// Moves to the last place that is known to lie before `ticks`, by halving the bytes.
    ///
    /// libav does the same, but with time stamps as they are in the file: it loses its way where they
    /// start anew or wrap.
    pub(super) fn seek_by_places(&mut self, index: u32, ticks: i64) -> Result<(), AvError> {
        let (mut low, mut high) = (0, self.size());
        // Halved at most 64 times.
        while high.saturating_sub(low) > PLACE_BYTES {
            let middle = low + (high - low) / 2;
            match self.time_behind(index, middle, false)? {
                Some(time) if time <= ticks => low = middle,
                _ => high = middle,
            }
        }
        // Back to where a decoder can start, in steps that grow: GOPs are long in time, not in steps.
        for step in 0..KEY_STEPS_MAX {
            let from = low.saturating_sub((PLACE_BYTES << step) - PLACE_BYTES);
            if from == 0 || self.time_behind(index, from, true)?.is_some_and(|time| time <= ticks) {
                return self.go_to(from);
            }
        }
        self.go_to(0)
    }

    /// The time of the first packet of stream `index` behind a place, or of the first that a decoder can
    /// start with; `None` if there is none near.
    fn time_behind(&mut self, index: u32, position: u64, is_key: bool) -> Result<Option<i64>, AvError> {
        self.go_to(position)?;
        let mut packet = Packet::empty()?;
        for _ in 0..PACKETS_MAX {
            match self.read(&mut packet) {
                Ok(true) if packet.stream_index() == index && (!is_key || packet.is_key()) => {
                    if let Some(time) = packet.dts().or(packet.pts()) {
                        return Ok(Some(time));
                    }
                }
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error @ (AvError::NO_MEMORY | AvError::UNREADABLE)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(None)
    }

    fn go_to(&mut self, position: u64) -> Result<(), AvError> {
        // Packets behind it that do not know their position belong to the timeline of this place.
        self.shifts.0.values_mut().for_each(|stream| {
            stream.at(Some(position));
        });
        let position = i64::try_from(position).map_err(|_| AvError::INVALID)?;
        // SAFETY: the context is open.
        check(unsafe { ffi::av_seek_frame(self.context, -1, position, ffi::AVSEEK_FLAG_BYTE) }).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_shifted_by_the_jump_before_it() {
        let mut stream = Stream { jumps: vec![(100, 7), (200, -3)], current: 0 };
        let at = |stream: &mut Stream, position| stream.at(position);
        assert_eq!(at(&mut stream, Some(99)), 0);
        assert_eq!(at(&mut stream, Some(100)), 7);
        assert_eq!(at(&mut stream, None), 7, "a packet without a position belongs to the one before");
        assert_eq!(at(&mut stream, Some(1000)), -3);
        assert_eq!(at(&mut stream, Some(0)), 0, "after a seek");
    }
}
