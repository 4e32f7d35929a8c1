//! The last place of a track from which pictures can be decoded.

use domain::probe::VideoTrack;
use domain::{MediaTime, Timescale};

use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::av::{AvError, Decoder, Frame, Input, Packet};

/// Seconds before the end at which a picture is looked for first: a chunk goes back as far by itself.
const TRIALS_S: [i64; 3] = [2, 10, 60];

/// The last place is known to within so many seconds.
const EXACT_S: i64 = 10;

/// Packets behind a place that are tried.
const PACKETS_MAX: usize = 600;

/// The last time from which pictures can be decoded; `None` if that is near the end, or the source
/// cannot seek.
pub(crate) fn last_decodable(source: &Source, track: &VideoTrack, outlet: &Outlet) -> Result<Option<MediaTime>, Stop> {
    let mut input = source.open()?;
    let Some(base) = input.stream_info(track.stream_index).map(|info| info.time_base) else { return Ok(None) };
    input.select(&[track.stream_index]);
    input.correct(track.stream_index, &track.jumps);
    let mut trial = Trial { input, track, outlet };
    let second = base.ticks_floor(MediaTime::new(1000, Timescale::MILLISECONDS)).max(1);
    let (start, end) = (base.ticks_floor(track.extent.start), base.ticks_floor(track.extent.end));
    let mut high = end;
    for seconds in TRIALS_S {
        let from = end.saturating_sub(second.saturating_mul(seconds));
        if from <= start || trial.is_decodable(from)? {
            return Ok(None);
        }
        high = from;
    }
    let mut low = start;
    // Halved at most 64 times.
    while high.saturating_sub(low) > second.saturating_mul(EXACT_S) {
        let middle = low + (high - low) / 2;
        if trial.is_decodable(middle)? { low = middle } else { high = middle }
    }
    Ok(Some(base.time(low)))
}

struct Trial<'a> {
    input: Input,
    track: &'a VideoTrack,
    outlet: &'a Outlet,
}

impl Trial<'_> {
    /// True if a decoder that starts near `ticks` gives a picture, or if that cannot be tried.
    fn is_decodable(&mut self, ticks: i64) -> Result<bool, Stop> {
        if self.input.seek(self.track.stream_index, ticks).is_err() {
            return Ok(true);
        }
        let mut decoder = Decoder::open(&self.input, self.track.stream_index, 1)?;
        let (mut packet, mut frame) = (Packet::empty()?, Frame::empty()?);
        for _ in 0..PACKETS_MAX {
            let more = next_packet(&mut self.input, &mut packet)?;
            self.outlet.step()?;
            if decoder.send(more.then_some(&packet)) == Err(AvError::NO_MEMORY) {
                return Err(AvError::NO_MEMORY.into());
            }
            if let Ok(Some(())) = decoder.receive(&mut frame) {
                return Ok(true);
            }
            if !more {
                break;
            }
        }
        Ok(false)
    }
}
