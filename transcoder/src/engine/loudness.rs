//! How loud the sound tracks are, all in one pass over the source.

use std::collections::BTreeMap;

use domain::loudness::{Hundredths, Loudness};
use ebur128::{EbuR128, Mode};

use super::outlet::Outlet;
use super::scan::next_packet;
use super::{Source, Stop};
use crate::LoudnessRequest;
use crate::av::{AvError, Decoder, Frame, Input, Packet, Resampler};
use crate::wire::Kind;

/// Sample rate at which loudness is measured, in Hz: the one that BS.1770 states its filters for.
const RATE: u32 = 48_000;

/// Largest sample that is believed: 60 dB above full scale.
const SAMPLE_MAX: f32 = 1000.0;

/// Measures and sends; tracks that cannot be decoded are left out.
pub(crate) fn measure(source: &Source, request: &LoudnessRequest, outlet: &Outlet) -> Result<(), Stop> {
    let mut input = source.open()?;
    let mut meters: BTreeMap<u32, Meter> = BTreeMap::new();
    for track in &request.tracks {
        if let Some(meter) = Meter::open(&input, track.stream_index, track.channels)? {
            meters.insert(track.stream_index, meter);
        }
    }
    input.select(&meters.keys().copied().collect::<Vec<_>>());
    let mut packet = Packet::empty()?;
    while next_packet(&mut input, &mut packet)? {
        outlet.step()?;
        if let Some(meter) = meters.get_mut(&packet.stream_index()) {
            meter.hear(Some(&packet))?;
        }
    }
    for (stream_index, mut meter) in meters {
        meter.hear(None)?;
        if let Some(loudness) = meter.loudness(stream_index) {
            outlet.json(Kind::Loudness, &loudness)?;
        }
    }
    Ok(())
}

/// Decodes and measures one track.
struct Meter {
    decoder: Decoder,
    resampler: Resampler,
    /// Rate, format and channels that the resampler is ready for.
    shape: Option<(u32, i32, u32)>,
    meter: EbuR128,
    planes: Vec<Vec<f32>>,
    frame: Frame,
    has_sound: bool,
}

impl Meter {
    /// A meter for a stream; `None` if it cannot be decoded.
    fn open(input: &Input, index: u32, channels: u16) -> Result<Option<Self>, Stop> {
        let Ok(decoder) = Decoder::open(input, index, 1) else { return Ok(None) };
        // What is neither mono nor surround is measured as it is heard in stereo.
        let channels = match channels {
            1 => 1,
            6..=8 => 6,
            _ => 2,
        };
        let mode = Mode::I | Mode::LRA | Mode::TRUE_PEAK | Mode::HISTOGRAM;
        let meter = EbuR128::new(channels.into(), RATE, mode);
        Ok(Some(Self {
            decoder,
            resampler: Resampler::new(RATE, channels),
            shape: None,
            meter: meter.map_err(|error| Stop::Broken(format!("no loudness meter: {error}")))?,
            planes: vec![Vec::new(); channels.into()],
            frame: Frame::empty()?,
            has_sound: false,
        }))
    }

    /// Takes a packet, or the end. Damage is passed over.
    fn hear(&mut self, packet: Option<&Packet>) -> Result<(), Stop> {
        if self.decoder.send(packet) == Err(AvError::NO_MEMORY) {
            return Err(AvError::NO_MEMORY.into());
        }
        while let Ok(Some(())) = self.decoder.receive(&mut self.frame) {
            if self.frame.sample_count() == 0 || self.frame.sample_rate() == 0 {
                continue;
            }
            let shape = (self.frame.sample_rate(), self.frame.format(), self.frame.channels());
            if self.shape != Some(shape) {
                self.resampler.convert(None, &mut self.planes)?;
                self.resampler.reset(&self.frame)?;
                self.shape = Some(shape);
            }
            self.resampler.convert(Some(&self.frame), &mut self.planes)?;
            self.frame.clear();
            self.add()?;
        }
        if packet.is_none() {
            self.resampler.convert(None, &mut self.planes)?;
            self.add()?;
        }
        Ok(())
    }

    fn add(&mut self) -> Result<(), Stop> {
        let sane = |sample: &mut f32| {
            *sample = if sample.is_finite() { sample.clamp(-SAMPLE_MAX, SAMPLE_MAX) } else { 0.0 };
        };
        self.planes.iter_mut().flatten().for_each(sane);
        let planes: Vec<&[f32]> = self.planes.iter().map(Vec::as_slice).collect();
        self.has_sound |= planes.iter().any(|plane| !plane.is_empty());
        let added = self.meter.add_frames_planar_f32(&planes);
        added.map_err(|error| Stop::Broken(format!("the loudness meter failed: {error}")))?;
        self.planes.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    /// What was measured; `None` if nothing was heard.
    fn loudness(&self, stream_index: u32) -> Option<Loudness> {
        let channels = 0..u32::try_from(self.planes.len()).unwrap_or(0);
        let peak = channels.filter_map(|channel| self.meter.true_peak(channel).ok()).fold(0.0, f64::max);
        self.has_sound.then_some(Loudness {
            stream_index,
            integrated_lufs: self.meter.loudness_global().ok().and_then(Hundredths::new),
            range_lu: self.meter.loudness_range().ok().and_then(Hundredths::new).unwrap_or(Hundredths::ZERO),
            true_peak_dbtp: Hundredths::new(20.0 * peak.log10()),
        })
    }
}
