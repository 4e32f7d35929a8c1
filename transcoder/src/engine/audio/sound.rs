//! A track as a row of samples that keeps to its time stamps, from any place of the source.

use domain::probe::AudioTrack;
use domain::{AAC_FRAME_SAMPLES, MediaTime, Timescale};

use super::super::outlet::Outlet;
use super::super::{Source, Stop};
use super::feed::Feed;
use super::pcm::Pcm;
use super::timeline::{FINE, Heard, KNOT_SECONDS, Placed, REACH_SECONDS, Shape, Start, Timeline, Toward, nominal};
use crate::av::{Frame, Resampler, TimeBase};

/// How long before the wanted sound decoding begins, in seconds: all that the last knot before it depends
/// on, and time for decoders and resamplers to forget where they began.
const LEAD_SECONDS: i64 = KNOT_SECONDS + REACH_SECONDS + 1;

/// How much faster or slower sound may be made between two knots: one part in so many.
const STRETCH_MAX: i64 = 20;

/// Which sound is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The source's instant that is sample 0.
    pub(super) origin: MediaTime,
    /// Samples per second of the output.
    pub(super) rate: Timescale,
    /// Channels of the output.
    pub(super) channels: u16,
    /// The first wanted AAC frame.
    pub(super) first: u64,
    /// The AAC frame behind the last one that can be wanted.
    pub(super) end: u64,
}

/// Decodes, places and resamples.
pub(super) struct Sound<'a> {
    feed: Feed<'a>,
    timeline: Timeline<Frame>,
    resampler: Resampler,
    base: TimeBase,
    /// What a position of zero is on the source's timeline, in fine units.
    origin: i64,
    rate: u32,
    /// Fine units per second.
    fine: Timescale,
    end: i64,
    /// Where sound without any time stamp begins, until some sound has.
    track_start: Option<i64>,
    /// Samples still to be dropped, since they lie before the window or before what came earlier.
    surplus: i64,
    is_ended: bool,
}

impl<'a> Sound<'a> {
    /// Goes to the place, and returns the window for it with nothing in it.
    pub(super) fn open(
        source: &'a Source,
        track: &'a AudioTrack,
        place: Place,
        outlet: &'a Outlet,
    ) -> Result<(Self, Pcm), Stop> {
        let mut feed = Feed::open(source, track, outlet)?;
        let rate = place.rate.per_second();
        let per_second = u32::try_from(FINE).ok().and_then(|fine| rate.checked_mul(fine));
        let fine = per_second.and_then(Timescale::new).ok_or_else(|| Stop::Broken("no sample rate".into()))?;
        let samples = i64::try_from(place.first.saturating_mul(u64::from(AAC_FRAME_SAMPLES))).unwrap_or(i64::MAX);
        let lead = MediaTime::new(samples.saturating_sub(LEAD_SECONDS * i64::from(rate)), place.rate);
        let from = lead.minus(MediaTime::new(place.origin.ticks.saturating_neg(), place.origin.scale));
        if let Some(from) = from.filter(|from| place.first > 0 && *from > track.extent.start) {
            feed.go_before(from)?;
        }
        let end = i64::try_from(place.end.saturating_mul(u64::from(AAC_FRAME_SAMPLES))).unwrap_or(i64::MAX);
        let origin = place.origin.rescale_round(fine).map_or(0, |time| time.ticks);
        let sound = Self {
            base: feed.base(),
            feed,
            timeline: Timeline::new(rate),
            resampler: Resampler::new(rate, place.channels),
            origin,
            rate,
            fine,
            end,
            track_start: track.extent.start.rescale_round(fine).map(|time| time.ticks.saturating_sub(origin)),
            surplus: 0,
            is_ended: false,
        };
        Ok((sound, Pcm::new(place.channels, place.first)))
    }

    /// Appends some sound; `false` at the end.
    pub(super) fn next(&mut self, pcm: &mut Pcm) -> Result<bool, Stop> {
        loop {
            // Ends with a placed frame, or behind the last one.
            if let Some(placed) = self.timeline.pop() {
                self.take(&placed, pcm)?;
                return Ok(pcm.end() < self.end);
            }
            if self.is_ended {
                self.resample(None, pcm)?;
                return Ok(false);
            }
            match self.feed.next()? {
                Some(frame) => self.timeline.push(self.heard(frame)),
                None => {
                    self.timeline.end();
                    self.is_ended = true;
                }
            }
        }
    }

    fn heard(&self, frame: Frame) -> Heard<Frame> {
        let time = frame.timestamp().and_then(|ticks| self.base.time(ticks).rescale_round(self.fine));
        Heard {
            shape: Shape { rate: frame.sample_rate(), format: frame.format(), channels: frame.channels() },
            samples: u32::try_from(frame.sample_count()).unwrap_or(u32::MAX),
            due: time.map(|time| time.ticks.saturating_sub(self.origin)),
            frame,
        }
    }

    fn take(&mut self, placed: &Placed<Frame>, pcm: &mut Pcm) -> Result<(), Stop> {
        if let Some(start) = placed.start {
            self.resample(None, pcm)?;
            self.start(start, &placed.frame, pcm)?;
        }
        if let Some(toward) = placed.toward {
            self.stretch(toward, placed.frame.sample_rate(), pcm)?;
        }
        self.resample(Some(&placed.frame), pcm)
    }

    /// Begins a run: makes its first sample fall on its place.
    fn start(&mut self, start: Start, frame: &Frame, pcm: &mut Pcm) -> Result<(), Stop> {
        self.resampler.reset(frame)?;
        self.surplus = 0;
        let Some(position) = start.position.or(self.track_start.take()) else { return Ok(()) };
        self.track_start = None;
        let silence = phase(position, frame.sample_rate(), self.rate);
        let first = position.saturating_sub(nominal(silence.into(), frame.sample_rate(), self.rate));
        self.align(first.saturating_add(FINE / 2).div_euclid(FINE), pcm);
        self.resampler.inject_silence(silence)?;
        Ok(())
    }

    /// Makes the next sample fall on sample `due`: with silence, or by dropping what is too early.
    fn align(&mut self, due: i64, pcm: &mut Pcm) {
        let off = due.saturating_sub(pcm.end());
        if off > 0 {
            // A lying time stamp far behind the end makes silence up to the end only.
            let silence = off.min(self.end.saturating_sub(pcm.end()).max(0));
            pcm.add_silence(usize::try_from(silence).unwrap_or(0));
        } else {
            self.surplus = off.saturating_neg();
        }
    }

    /// Makes the sound up to the next knot longer or shorter, if it would be off by a sample or more.
    fn stretch(&mut self, toward: Toward, source_rate: u32, pcm: &Pcm) -> Result<(), Stop> {
        let reached = pcm.end().saturating_sub(self.surplus).saturating_mul(FINE);
        let reached = reached.saturating_add(self.resampler.delay(self.fine));
        let needed = toward.position.saturating_sub(reached);
        let off = needed.saturating_sub(nominal(toward.samples, source_rate, self.rate)) / FINE;
        let needed = needed / FINE;
        if off == 0 || needed <= 0 {
            return Ok(());
        }
        let off = off.clamp(-needed / STRETCH_MAX, needed / STRETCH_MAX);
        Ok(self.resampler.stretch(off, needed)?)
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

/// Samples of silence before a run that begins at `position`, with which it begins on a whole sample
/// of the output, to one 147th for 44.1 to 48 kHz.
///
/// So does every run of the same source, wherever it begins: their resamplers work alike, since their
/// pattern of phases repeats after as many samples as the rates have in lowest terms.
fn phase(position: i64, source_rate: u32, rate: u32) -> u32 {
    let (mut a, mut common) = (source_rate.max(1), rate.max(1));
    // Euclid's algorithm: the remainders fall strictly.
    while a != 0 {
        (a, common) = (common % a, a);
    }
    let (source, output) = (i128::from(source_rate.max(1) / common), i128::from(rate / common));
    // The position in parts of an output sample, of which each sample of the source lasts `output`.
    let parts = (2 * i128::from(position) * source + i128::from(FINE)).div_euclid(2 * i128::from(FINE));
    let samples = (0..source).find(|samples| (parts - samples * output).rem_euclid(source) == 0);
    samples.and_then(|samples| u32::try_from(samples).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_begins_on_a_whole_sample() {
        // Sample n of 44.1 kHz falls on n * 160 / 147 of 48 kHz.
        for sample in 0..2000u32 {
            let position = nominal(sample.into(), 44_100, 48_000);
            assert_eq!(phase(position, 44_100, 48_000), sample % 147, "sample {sample}");
        }
        assert_eq!(phase(123_456, 48_000, 48_000), 0);
        assert_eq!(phase(-FINE, 24_000, 48_000), 0);
        assert_eq!(phase(FINE, 96_000, 48_000), 0);
        assert_eq!(phase(FINE / 2, 96_000, 48_000), 1);
        for position in (-5 * FINE..5 * FINE).step_by(37) {
            let first = position - nominal(phase(position, 44_100, 48_000).into(), 44_100, 48_000);
            let off = (first + FINE / 2).rem_euclid(FINE) - FINE / 2;
            assert!(off.abs() <= FINE / 294 + 1, "{position} begins {off} off a sample");
        }
    }
}
