//! A run of segments of the sound as the source holds them, frame by frame, not decoded.
//!
//! Every frame must be where the plan says: one in each place behind the first, all under the track's one
//! configuration. With the first that is not, the source is refused, and whoever asked encodes it instead.

use domain::{AAC_FRAME_SAMPLES, FailureCode, MediaTime, Span, Timescale};

use super::aac::is_frame;
use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::AudioCopyRequest;
use crate::av::{Input, Packet, StreamKind, TimeBase};
use crate::wire::{Kind, Writer};

/// How far before the wanted frame reading starts, in seconds, attempt by attempt: containers seek to where
/// the picture can be decoded, and some to the wrong place. The last attempt starts at the very beginning.
const BACKOFF_SECONDS: [u64; 4] = [0, 2, 10, 60];

/// A time stamp may lie this far from its frame's place, in samples: more than what is taken for rounding.
const STRAY_SAMPLES_MAX: i64 = 256;

/// Takes over the wanted segments and sends them.
pub(crate) fn copy(source: &Source, request: &AudioCopyRequest, outlet: &Outlet) -> Result<(), Stop> {
    let mut frames = Frames::open(source, request, outlet)?;
    for span in &request.work {
        frames.go_to(span.first)?;
        let mut writer = Writer::new(Kind::Audio);
        writer.u32(span.index).bytes(&request.config);
        frames.take(*span, &mut writer)?;
        outlet.send(writer)?;
    }
    Ok(())
}

/// The source does not keep what its probe promised.
fn otherwise(what: &str) -> Stop {
    Stop::refused(FailureCode::Damaged, format!("the sound of the file cannot be taken over as it is: {what}"))
}

/// Places of frames on the output timeline.
#[derive(Clone, Copy, Debug)]
struct Row {
    base: TimeBase,
    origin: MediaTime,
    rate: u32,
    offset: u32,
}

impl Row {
    /// Which frame a time stamp belongs to, and how many samples it is behind its place.
    fn slot(self, ticks: i64) -> (i64, i64) {
        let (num, den, rate) = (i128::from(self.base.num), i128::from(self.base.den), i128::from(self.rate));
        let scale = i128::from(self.origin.scale.per_second());
        // Samples times `den * scale`.
        let time = i128::from(ticks) * num * rate * scale - i128::from(self.origin.ticks) * rate * den;
        let samples = (2 * time + den * scale).div_euclid(2 * den * scale) - i128::from(self.offset);
        let frame = i128::from(AAC_FRAME_SAMPLES);
        let slot = (2 * samples + frame).div_euclid(2 * frame);
        let narrow = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        (narrow(slot), narrow(samples - slot * frame))
    }

    /// When frame `slot` begins in the source.
    fn time(self, slot: u64) -> Option<MediaTime> {
        let samples = i64::try_from(slot).ok()?.checked_mul(i64::from(AAC_FRAME_SAMPLES))?;
        let time = MediaTime::new(samples.checked_add(i64::from(self.offset))?, Timescale::new(self.rate)?);
        time.minus(MediaTime::new(self.origin.ticks.checked_neg()?, self.origin.scale))
    }
}

/// The coded frames of one track, one of them at hand.
struct Frames<'a> {
    source: &'a Source,
    request: &'a AudioCopyRequest,
    outlet: &'a Outlet,
    input: Input,
    row: Row,
    packet: Packet,
    /// The place of the frame at hand; `None` before the first and behind the last.
    slot: Option<i64>,
    /// How far the time stamp of the frame at hand is off.
    stray: i64,
}

impl<'a> Frames<'a> {
    fn open(source: &'a Source, request: &'a AudioCopyRequest, outlet: &'a Outlet) -> Result<Self, Stop> {
        let mut input = source.open()?;
        let index = request.stream_index;
        let base = input.stream_info(index).ok_or_else(|| otherwise("the track has vanished"))?.time_base;
        if input.extradata(index) != request.config {
            return Err(otherwise("its configuration differs"));
        }
        input.select(&[index]);
        let row = Row { base, origin: request.origin, rate: request.sample_rate, offset: request.offset };
        Ok(Self { source, request, outlet, input, row, packet: Packet::empty()?, slot: None, stray: 0 })
    }

    /// Reads the next frame that is played.
    fn next(&mut self) -> Result<(), Stop> {
        self.slot = None;
        // Ends at the latest with the source.
        while next_packet(&mut self.input, &mut self.packet)? {
            self.outlet.step()?;
            if self.packet.has_other_config(&self.request.config) {
                return Err(otherwise("its configuration changes"));
            }
            if self.packet.is_discarded() {
                continue;
            }
            let time = self.packet.pts().ok_or_else(|| otherwise("a frame has no time"))?;
            let (slot, stray) = self.row.slot(time);
            (self.slot, self.stray) = (Some(slot), stray);
            break;
        }
        Ok(())
    }

    /// Makes frame `first` the one at hand.
    fn go_to(&mut self, first: u64) -> Result<(), Stop> {
        let wanted = i64::try_from(first).unwrap_or(i64::MAX);
        if self.slot == Some(wanted) {
            return Ok(());
        }
        if self.source.has_stamps_everywhere {
            let (guide, base) = self.guide();
            for seconds in BACKOFF_SECONDS {
                let back = seconds * u64::from(self.request.sample_rate) / u64::from(AAC_FRAME_SAMPLES);
                let Some(from) = first.checked_sub(back).filter(|from| *from > 0) else { break };
                let Some(time) = self.row.time(from) else { break };
                if self.input.seek(guide, base.ticks_floor(time)).is_err() {
                    break;
                }
                self.next()?;
                if self.slot.is_some_and(|slot| slot <= wanted) {
                    return self.skip_to(wanted);
                }
            }
        }
        self.input = self.source.open()?;
        self.input.select(&[self.request.stream_index]);
        self.next()?;
        self.skip_to(wanted)
    }

    /// The stream by which to seek, and its ticks: that of the picture where the index lists it alone.
    fn guide(&self) -> (u32, TimeBase) {
        let streams = (0..self.input.stream_count()).filter_map(|index| self.input.stream_info(index));
        let mut pictures = streams.filter(|info| info.kind == StreamKind::Video && !info.is_attached_picture);
        let picture = pictures.next().filter(|_| self.source.seeks_by_picture);
        picture.map_or((self.request.stream_index, self.row.base), |info| (info.index, info.time_base))
    }

    fn skip_to(&mut self, wanted: i64) -> Result<(), Stop> {
        // Ends at the latest with the source.
        while self.slot.is_some_and(|slot| slot < wanted) {
            self.next()?;
        }
        if self.slot == Some(wanted) { Ok(()) } else { Err(otherwise("a frame is not at its place")) }
    }

    /// Moves the frames of a segment into the message, and makes the one behind them that at hand.
    fn take(&mut self, span: Span, writer: &mut Writer) -> Result<(), Stop> {
        for at in span.first..span.end() {
            let slot = self.slot.ok_or_else(|| otherwise("it ends early"))?;
            if u64::try_from(slot) != Ok(at) || self.stray.saturating_abs() > STRAY_SAMPLES_MAX {
                return Err(otherwise("a frame is missing, doubled or off its place"));
            }
            let data = self.packet.data();
            if self.packet.is_corrupt() || !is_frame(data, self.request.channels) {
                return Err(otherwise("a frame is damaged or coded differently"));
            }
            writer.bytes(data);
            self.next()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_tells_the_frame_and_how_far_it_is_off() {
        let origin = MediaTime::new(1500, Timescale::MILLISECONDS);
        let row = Row { base: TimeBase { num: 1, den: 1000 }, origin, rate: 48_000, offset: 960 };
        assert_eq!(row.slot(1520), (0, 0));
        assert_eq!(row.slot(1541), (1, -16));
        assert_eq!(row.slot(1499), (-1, 16));
        assert_eq!(row.time(3).map(|time| time.as_ms()), Some(1584));
        let exact = Row { base: TimeBase { num: 1, den: 44_100 }, origin: MediaTime::zero(), rate: 44_100, offset: 0 };
        for slot in 0..1000 {
            assert_eq!(exact.slot(slot * 1024), (slot, 0));
        }
    }
}
