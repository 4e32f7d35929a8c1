//! One audio track: decoded and resampled once from its start, encoded segment by segment.
//!
//! Every segment comes from a fresh encoder that is first fed the sound before the segment, so its
//! bytes depend on the sound alone and not on which other segments are made.

use domain::{AAC_FRAME_SAMPLES, FailureCode, MediaTime, Span, Timescale};

use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::AudioRequest;
use crate::av::{AacEncoder, AvError, Decoder, Frame, Packet, Resampler, TimeBase};
use crate::wire::{Kind, Writer};

/// AAC frames of sound that an encoder hears before its segment: with fewer, joins are audible.
const PRE_ROLL_FRAMES: u64 = 16;

/// AAC frames of sound that an encoder hears behind its segment: it looks one frame ahead.
const POST_ROLL_FRAMES: u64 = 2;

/// Samples in an AAC frame.
const FRAME: usize = AAC_FRAME_SAMPLES as usize;

/// How far sound may stray from its time stamps before silence is inserted or sound is dropped, in
/// milliseconds. Below it, stamps are rounded to milliseconds, or simply imprecise.
const DRIFT_MS_MAX: i64 = 60;

/// Consecutive packets that may fail to decode before a source counts as damaged, if none decoded before.
const ERRORS_AT_START_MAX: u32 = 500;

/// Encodes the wanted segments and sends them.
pub(crate) fn encode(source: &Source, request: &AudioRequest, outlet: &Outlet) -> Result<(), Stop> {
    let Some(last) = request.work.last() else { return Ok(()) };
    let mut sound = Sound::open(source, request, outlet)?;
    let end = last.end() + POST_ROLL_FRAMES;
    let mut pcm = Pcm::new(usize::from(request.channels));
    for span in &request.work {
        let from = span.first.saturating_sub(PRE_ROLL_FRAMES);
        pcm.forget_before(from);
        let until = (span.end() + POST_ROLL_FRAMES).min(end);
        while pcm.end_frame() < until {
            // Ends with the sound, or with the segment's.
            if !sound.next(&mut pcm)? {
                break;
            }
            pcm.forget_before(from);
        }
        send_segment(request, *span, &pcm, outlet)?;
    }
    Ok(())
}

/// Encodes one segment from the sound around it; silence where there is none.
fn send_segment(request: &AudioRequest, span: Span, pcm: &Pcm, outlet: &Outlet) -> Result<(), Stop> {
    let recipe = &request.recipe;
    let mut encoder =
        AacEncoder::open(recipe.audio_sample_rate, request.channels, recipe.audio_bitrate).map_err(broken)?;
    let mut writer = Writer::new(Kind::Audio);
    writer.u32(span.index).bytes(encoder.config());
    let mut packet = Packet::empty()?;
    let mut next = span.first;
    let pre_roll = i64::try_from(PRE_ROLL_FRAMES).unwrap_or(0);
    let first = i64::try_from(span.first).unwrap_or(i64::MAX / 2048) - pre_roll;
    let count = i64::from(span.count) + pre_roll + i64::try_from(POST_ROLL_FRAMES).unwrap_or(0);
    let frame_samples = i64::from(AAC_FRAME_SAMPLES);
    for frame in first..first + count {
        let planes = pcm.frame(frame);
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        encoder.send(&planes, frame * frame_samples).map_err(broken)?;
        while encoder.receive(&mut packet).map_err(broken)?.is_some() {
            outlet.step()?;
            // The packet stamped t gives, with the one before it, the samples from t on.
            let at = packet.pts().map(|pts| pts.div_euclid(frame_samples));
            if at.and_then(|at| u64::try_from(at).ok()) == Some(next) && next < span.end() {
                writer.bytes(packet.data());
                next += 1;
            }
        }
    }
    if next != span.end() {
        return Err(Stop::Broken(format!("audio segment {} ends at frame {next}", span.index)));
    }
    Ok(outlet.send(writer)?)
}

fn broken(error: AvError) -> Stop {
    Stop::Broken(format!("the encoder failed: {error}"))
}

/// A window of sound on the output timeline, in samples since its zero.
struct Pcm {
    planes: Vec<Vec<f32>>,
    /// Number of the first AAC frame in the window.
    first_frame: u64,
}

impl Pcm {
    fn new(channels: usize) -> Self {
        Self { planes: vec![Vec::new(); channels], first_frame: 0 }
    }

    /// Samples from zero to the end of the window.
    fn end(&self) -> i64 {
        let length = self.planes.first().map_or(0, Vec::len);
        let samples = self.first_frame.saturating_mul(u64::from(AAC_FRAME_SAMPLES));
        i64::try_from(samples.saturating_add(u64::try_from(length).unwrap_or(0))).unwrap_or(i64::MAX)
    }

    /// Number of whole AAC frames from zero to the end of the window.
    fn end_frame(&self) -> u64 {
        self.first_frame + u64::try_from(self.planes.first().map_or(0, Vec::len) / FRAME).unwrap_or(0)
    }

    /// Lets go of what lies before an AAC frame.
    fn forget_before(&mut self, frame: u64) {
        let drop = usize::try_from(frame.saturating_sub(self.first_frame)).unwrap_or(0);
        let drop = drop.min(self.planes.first().map_or(0, Vec::len) / FRAME);
        // Moving the rest to the front is worth it for many frames only.
        if drop >= 256 {
            self.planes.iter_mut().for_each(|plane| {
                plane.drain(..drop * FRAME);
            });
            self.first_frame += u64::try_from(drop).unwrap_or(0);
        }
    }

    /// One AAC frame of samples per channel; silence outside of the window.
    fn frame(&self, frame: i64) -> Vec<Vec<f32>> {
        let at = u64::try_from(frame).ok().and_then(|frame| frame.checked_sub(self.first_frame));
        let start = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| at.checked_mul(FRAME));
        let samples = |plane: &Vec<f32>| {
            let mut samples: Vec<f32> = start
                .and_then(|start| plane.get(start..))
                .map(|rest| rest[..rest.len().min(FRAME)].to_vec())
                .unwrap_or_default();
            samples.resize(FRAME, 0.0);
            samples
        };
        self.planes.iter().map(samples).collect()
    }

    fn add_silence(&mut self, samples: usize) {
        self.planes.iter_mut().for_each(|plane| plane.resize(plane.len() + samples, 0.0));
    }

    /// Takes `samples` away from the end.
    fn shorten(&mut self, samples: usize) {
        self.planes.iter_mut().for_each(|plane| plane.truncate(plane.len().saturating_sub(samples)));
    }

    /// Takes `samples` away at `start` samples behind the window's first.
    fn cut(&mut self, start: usize, samples: usize) {
        self.planes.iter_mut().for_each(|plane| {
            let end = (start + samples).min(plane.len());
            plane.drain(start.min(end)..end);
        });
    }

    fn len(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }
}

/// The track as a row of samples that keeps to its time stamps.
struct Sound<'a> {
    input: crate::av::Input,
    decoder: Decoder,
    resampler: Resampler,
    outlet: &'a Outlet,
    base: TimeBase,
    origin: MediaTime,
    rate: Timescale,
    end: i64,
    packet: Packet,
    frame: Frame,
    /// Samples still to be dropped, since they lie before zero or before what came earlier.
    surplus: i64,
    has_sound: bool,
    errors: u32,
    is_drained: bool,
}

impl<'a> Sound<'a> {
    fn open(source: &Source, request: &AudioRequest, outlet: &'a Outlet) -> Result<Self, Stop> {
        let mut input = source.open()?;
        let index = request.track.stream_index;
        let info = input.stream_info(index);
        let base = info.ok_or_else(|| Stop::refused(FailureCode::Damaged, "the audio track has vanished"))?.time_base;
        input.select(&[index]);
        input.correct(index, &request.track.jumps);
        let decoder = Decoder::open(&input, index, 1)?;
        let rate =
            Timescale::new(request.recipe.audio_sample_rate).ok_or_else(|| Stop::Broken("no sample rate".into()))?;
        let frames = request.frame_count.saturating_add(POST_ROLL_FRAMES);
        Ok(Self {
            input,
            decoder,
            resampler: Resampler::new(rate.per_second(), request.channels),
            outlet,
            base,
            origin: request.origin,
            rate,
            end: i64::try_from(frames.saturating_mul(u64::from(AAC_FRAME_SAMPLES))).unwrap_or(i64::MAX),
            packet: Packet::empty()?,
            frame: Frame::empty()?,
            surplus: 0,
            has_sound: false,
            errors: 0,
            is_drained: false,
        })
    }

    /// Appends some sound; `false` at the end.
    fn next(&mut self, pcm: &mut Pcm) -> Result<bool, Stop> {
        loop {
            // Ends with a frame, or behind the last packet.
            match self.decoder.receive(&mut self.frame) {
                Ok(Some(())) => {
                    self.outlet.step()?;
                    self.take_frame(pcm)?;
                    return Ok(pcm.end() < self.end);
                }
                Ok(None) if self.is_drained => {
                    self.resample(None, pcm)?;
                    return Ok(false);
                }
                Ok(None) => {}
                Err(error) => self.count(error)?,
            }
            if self.is_drained {
                continue;
            }
            let more = next_packet(&mut self.input, &mut self.packet)?;
            self.outlet.step()?;
            self.is_drained = !more;
            if let Err(error) = self.decoder.send(more.then_some(&self.packet)) {
                self.count(error)?;
            }
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

    fn take_frame(&mut self, pcm: &mut Pcm) -> Result<(), Stop> {
        if self.frame.sample_count() == 0 || self.frame.sample_rate() == 0 {
            return Ok(());
        }
        let due = self.frame.timestamp().and_then(|ticks| {
            self.base
                .time(ticks)
                .minus(self.origin)
                .and_then(|time| time.rescale_round(self.rate))
                .map(|time| time.ticks)
        });
        let is_first = !std::mem::replace(&mut self.has_sound, true);
        let reached = pcm.end().saturating_add(self.resampler.delay()).saturating_sub(self.surplus);
        let off = due.map_or(0, |due| due.saturating_sub(reached));
        let tolerated = i64::from(self.rate.per_second()) * DRIFT_MS_MAX / 1000;
        if is_first || off.saturating_abs() > tolerated || !self.resampler.fits(&self.frame) {
            self.resample(None, pcm)?;
            if is_first || off.saturating_abs() > tolerated {
                self.align(due, pcm);
            }
            self.resampler.reset(&self.frame)?;
        }
        let frame = self.frame.share()?;
        self.frame.clear();
        self.resample(Some(&frame), pcm)
    }

    /// Makes the next sample fall on its time: with silence, or by dropping what is too early.
    fn align(&mut self, due: Option<i64>, pcm: &mut Pcm) {
        let Some(due) = due else { return };
        let off = due.saturating_sub(pcm.end());
        if off > 0 {
            // A lying time stamp far behind the end makes silence up to the end only.
            let silence = off.min(self.end.saturating_sub(pcm.end()).max(0));
            pcm.add_silence(usize::try_from(silence).unwrap_or(0));
            self.surplus = 0;
        } else {
            self.surplus = off.saturating_neg();
        }
    }

    fn resample(&mut self, frame: Option<&Frame>, pcm: &mut Pcm) -> Result<(), Stop> {
        let start = pcm.len();
        let count = self.resampler.convert(frame, &mut pcm.planes)?;
        let drop = usize::try_from(self.surplus).unwrap_or(0).min(count);
        pcm.cut(start, drop);
        self.surplus -= i64::try_from(drop).unwrap_or(0);
        let over = pcm.end().saturating_sub(self.end);
        if over > 0 {
            pcm.shorten(usize::try_from(over).unwrap_or(0).min(count - drop));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_sound_is_silent_outside_of_itself() {
        let mut pcm = Pcm::new(1);
        pcm.planes[0] = (0..300u16).flat_map(|frame| vec![f32::from(frame); FRAME]).collect();
        assert_eq!(pcm.end_frame(), 300);
        pcm.forget_before(290);
        assert_eq!((pcm.end_frame(), pcm.first_frame), (300, 290));
        assert_eq!(pcm.frame(-1)[0], vec![0.0; FRAME]);
        assert_eq!(pcm.frame(300)[0], vec![0.0; FRAME]);
        assert_eq!(pcm.frame(299)[0], vec![299.0; FRAME]);
    }
}
