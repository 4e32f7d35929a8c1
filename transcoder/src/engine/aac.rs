//! What is known of an AAC track without decoding it: whether its frames could be played as they are.

use std::collections::VecDeque;

use domain::aac::LowComplexity;
use domain::probe::Aac;
use domain::{AAC_FRAME_SAMPLES, Bitrate, MediaTime, Timescale};

use crate::av::{IndexEntry, Packet, TimeBase};

/// Octets of a frame for each of its channels at most (ISO/IEC 14496-3 §4.5.1.1: 6144 bits).
const FRAME_BYTES_MAX: u64 = 6144 / 8;

/// True for what can be one AAC frame of so many channels, without a header of its own (ADTS).
pub(crate) fn is_frame(data: &[u8], channels: u16) -> bool {
    let has_header = matches!(data, [0xff, second, ..] if second & 0xf0 == 0xf0);
    is_frame_size(u64::try_from(data.len()).unwrap_or(u64::MAX), channels) && !has_header
}

fn is_frame_size(bytes: u64, channels: u16) -> bool {
    (1..=FRAME_BYTES_MAX * u64::from(channels)).contains(&bytes)
}

/// Gathers the frames of one track; becomes useless with the first thing that forbids to take it over.
#[derive(Debug)]
pub(crate) struct Frames {
    config: Vec<u8>,
    stated: LowComplexity,
    base: TimeBase,
    count: u64,
    /// How far time stamps are behind the count of frames, least and most, in samples times `base.den`.
    behind: Option<(i128, i128)>,
    bytes: u64,
    /// The frames of the last second, and their octets.
    second: VecDeque<u64>,
    second_bytes: u64,
    second_bytes_max: u64,
    /// Packets that are not played have followed.
    is_over: bool,
    is_fit: bool,
}

impl Frames {
    /// For a track with this extradata; `None` if that alone forbids it.
    pub(crate) fn of(extradata: &[u8], base: TimeBase) -> Option<Self> {
        Some(Self {
            config: extradata.to_vec(),
            stated: LowComplexity::of(extradata)?,
            base,
            count: 0,
            behind: None,
            bytes: 0,
            second: VecDeque::new(),
            second_bytes: 0,
            second_bytes_max: 0,
            is_over: false,
            is_fit: true,
        })
    }

    /// Takes in the next packet, in the order of the file.
    pub(crate) fn packet(&mut self, packet: &Packet) {
        let is_plain = is_frame(packet.data(), self.stated.channels) && !packet.has_other_config(&self.config);
        if !is_plain || packet.is_corrupt() {
            self.is_fit = false;
        }
        match packet.pts() {
            _ if packet.is_discarded() => self.skip(),
            Some(time) => self.frame(time, u64::try_from(packet.data().len()).unwrap_or(u64::MAX)),
            None => self.is_fit = false,
        }
    }

    /// Takes in all entries of an index, whose times are `shift` too early.
    pub(crate) fn index(&mut self, entries: &[IndexEntry], file_bytes: u64, shift: i64) {
        for entry in entries {
            let end = u64::try_from(entry.position).ok().and_then(|start| start.checked_add(entry.size));
            if end.is_none_or(|end| end > file_bytes) || !is_frame_size(entry.size, self.stated.channels) {
                self.is_fit = false;
            }
            if entry.is_discarded { self.skip() } else { self.frame(entry.timestamp.saturating_add(shift), entry.size) }
        }
    }

    /// A packet that is not played: before all others, or behind them.
    fn skip(&mut self) {
        self.is_over = self.count > 0;
    }

    fn frame(&mut self, time: i64, bytes: u64) {
        self.is_fit &= !self.is_over;
        let rate = i128::from(self.stated.sample_rate);
        let counted = i128::from(self.count) * i128::from(AAC_FRAME_SAMPLES) * i128::from(self.base.den);
        let behind = i128::from(time) * i128::from(self.base.num) * rate - counted;
        self.behind = Some(self.behind.map_or((behind, behind), |(least, most)| (least.min(behind), most.max(behind))));
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        self.second.push_back(bytes);
        self.second_bytes = self.second_bytes.saturating_add(bytes);
        let frames = usize::try_from(self.stated.sample_rate / AAC_FRAME_SAMPLES).unwrap_or(0).max(1);
        if self.second.len() > frames {
            self.second_bytes = self.second_bytes.saturating_sub(self.second.pop_front().unwrap_or(0));
        }
        self.second_bytes_max = self.second_bytes_max.max(self.second_bytes);
    }

    /// What was found; `None` if the track cannot be taken over.
    pub(crate) fn finish(self) -> Option<Aac> {
        let (least, most) = self.behind.filter(|_| self.is_fit)?;
        let (rate, den) = (u128::from(self.stated.sample_rate), i128::from(self.base.den));
        let samples = |scaled: i128| {
            let scale = Timescale::new(self.stated.sample_rate)?;
            Some(MediaTime::new(i64::try_from(scaled.div_euclid(den)).ok()?, scale))
        };
        let per_second = |bytes: u64, frames: u64| {
            let samples = u128::from(frames) * u128::from(AAC_FRAME_SAMPLES);
            let bits = (u128::from(bytes) * 8 * rate).checked_div(samples)?;
            u64::try_from(bits).ok().map(Bitrate)
        };
        let average = per_second(self.bytes, self.count)?;
        let peak = per_second(self.second_bytes_max, u64::try_from(self.second.len()).ok()?)?;
        Some(Aac {
            config: self.config,
            // The middle, to the nearest sample.
            start: samples((least + most + den) / 2)?,
            stray: samples((most - least) / 2 + den - 1)?,
            frame_count: self.count,
            average,
            peak: peak.max(average),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: TimeBase = TimeBase { num: 1, den: 48_000 };
    const CONFIG: [u8; 2] = [0x11, 0x90];

    fn gathered(base: TimeBase, times: impl IntoIterator<Item = i64>) -> Option<Aac> {
        let mut frames = Frames::of(&CONFIG, base)?;
        times.into_iter().for_each(|time| frames.frame(time, 341));
        frames.finish()
    }

    #[test]
    fn an_even_row_is_exact_and_has_its_rate() {
        let aac = gathered(BASE, (0..1000).map(|at| -64 + at * 1024)).expect("a row");
        assert_eq!((aac.start.ticks, aac.stray.ticks, aac.frame_count), (-64, 0, 1000));
        assert_eq!((aac.average.0, aac.peak.0), (127_875, 127_875));
    }

    #[test]
    fn rounding_to_milliseconds_is_averaged_away() {
        for first in [-1024, 0, 355, 480_000] {
            let times = (0..1000).map(|at| (first + at * 1024 + 24i64).div_euclid(48));
            let aac = gathered(TimeBase { num: 1, den: 1000 }, times).expect("a row");
            let off = aac.start.ticks - first;
            assert!(off.abs() <= 16, "{first}: {off} samples off");
            assert!(aac.stray.ticks <= 24, "{first}: {:?}", aac.stray);
        }
    }

    #[test]
    fn a_gap_a_repeat_and_drift_stray() {
        let stray = |times: Vec<i64>| gathered(BASE, times).expect("a row").stray.ticks;
        assert_eq!(stray((0..100).map(|at| at * 1024 + if at < 50 { 0 } else { 1024 }).collect()), 512);
        assert_eq!(stray((0..100).map(|at| at * 1024 - if at < 50 { 0 } else { 300 }).collect()), 150);
        assert_eq!(stray((0..1000).map(|at| at * 1025).collect()), 500);
    }

    #[test]
    fn the_peak_is_that_of_a_second() {
        let mut frames = Frames::of(&CONFIG, BASE).expect("a config");
        (0..460i64).for_each(|at| frames.frame(at * 1024, if (100..123).contains(&at) { 600 } else { 300 }));
        let aac = frames.finish().expect("a row");
        assert_eq!((aac.average.0, aac.peak.0), (118_125, 168_750));
    }

    #[test]
    fn packets_that_are_not_played_are_none_in_the_middle() {
        let gather = |what: &str| {
            let mut frames = Frames::of(&CONFIG, BASE).expect("a config");
            for (kind, time) in what.chars().zip((-2048..).step_by(1024)) {
                if kind == 'd' { frames.skip() } else { frames.frame(time, 300) }
            }
            frames.finish().map(|aac| (aac.start.ticks, aac.frame_count))
        };
        assert_eq!(gather("ddxxx"), Some((0, 3)));
        assert_eq!(gather("ddxxxdd"), Some((0, 3)));
        assert_eq!(gather("ddxxdx"), None);
        assert_eq!(gather("dd"), None);
    }

    #[test]
    fn a_header_and_a_size_that_cannot_be_are_no_frame() {
        assert!(is_frame(&[0x21; 300], 2) && is_frame(&[0x21; 1536], 2));
        assert!(!is_frame(&[], 2) && !is_frame(&[0x21; 1537], 2) && !is_frame(&[0xff, 0xf1, 0x4c, 0x80], 2));
    }
}
