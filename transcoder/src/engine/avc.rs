//! What is known of an H.264 track without decoding it: whether its pictures could be shown as they are.

use domain::ladder;
use domain::probe::Avc;
use domain::{Bitrate, Cadence, FrameRate, MediaTime};

use super::Source;
use super::nal::{Coding, Framing, Meaning, PARAMETER_SET_BYTES_MAX};
use crate::av::{IndexEntry, Packet, TimeBase};

/// GOPs of one track: 12 hours with two keyframes a second, with room.
const GOPS_MAX: usize = 100_000;

/// Keyframes of an index whose pictures are looked at, spread over the whole track.
const KEYFRAMES_LOOKED_AT: usize = 256;

/// NAL units at the start of a keyframe among which its first slice is looked for.
const UNITS_LOOKED_AT: usize = 32;

/// One GOP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gop {
    frames: u32,
    bytes: u64,
}

/// Gathers the GOPs of one track; becomes useless with the first thing that forbids to take it over.
#[derive(Debug)]
pub(crate) struct Gops {
    coding: Coding,
    gops: Vec<Gop>,
    is_fit: bool,
}

impl Gops {
    /// For a track with this extradata; `None` if that alone forbids it.
    pub(crate) fn of(extradata: &[u8]) -> Option<Self> {
        Some(Self { coding: Coding::of(extradata)?, gops: Vec::new(), is_fit: true })
    }

    /// Takes in the next packet, in the order of the file.
    pub(crate) fn packet(&mut self, packet: &Packet) {
        if !self.is_fit {
            return;
        }
        let data = packet.data();
        match self.coding.is_idr(data).filter(|_| !packet.is_discarded() && !packet.is_corrupt()) {
            Some(is_idr) => self.picture(is_idr, data.len()),
            None => self.is_fit = false,
        }
    }

    /// Takes in all entries of an index; of some keyframes the source is asked whether they are IDR pictures.
    /// Those that are not there yet are taken to be like the others.
    pub(crate) fn index(&mut self, source: &Source, entries: &[IndexEntry], file_bytes: u64) {
        let is_whole = |entry: &IndexEntry| {
            let end = u64::try_from(entry.position).ok().and_then(|start| start.checked_add(entry.size));
            !entry.is_discarded && end.is_some_and(|end| end <= file_bytes)
        };
        if !entries.iter().all(is_whole) {
            self.is_fit = false;
            return;
        }
        let keyframes: Vec<&IndexEntry> = entries.iter().filter(|entry| entry.is_key).collect();
        let step = keyframes.len().div_ceil(KEYFRAMES_LOOKED_AT).max(1);
        let is_there = |entry: &IndexEntry| {
            u64::try_from(entry.position).is_ok_and(|start| source.is_there(start.saturating_add(entry.size)))
        };
        let mut asked = keyframes.iter().step_by(step).filter(|entry| is_there(entry));
        self.is_fit &= asked.all(|entry| self.begins_with_idr(source, entry));
        for entry in entries {
            self.picture(entry.is_key, usize::try_from(entry.size).unwrap_or(usize::MAX));
        }
    }

    fn picture(&mut self, is_idr: bool, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let has_room = self.gops.len() < GOPS_MAX;
        match self.gops.last_mut() {
            _ if is_idr && has_room => self.gops.push(Gop { frames: 1, bytes }),
            Some(gop) if !is_idr => {
                gop.frames = gop.frames.saturating_add(1);
                gop.bytes = gop.bytes.saturating_add(bytes);
            }
            _ => self.is_fit = false,
        }
    }

    /// True if the first slice of this sample is that of an IDR picture.
    fn begins_with_idr(&self, source: &Source, entry: &IndexEntry) -> bool {
        let Framing::Lengths(width) = self.coding.framing else { return false };
        let Ok(mut at) = u64::try_from(entry.position) else { return false };
        let end = at.saturating_add(entry.size);
        let mut unit = vec![0; PARAMETER_SET_BYTES_MAX];
        for _ in 0..UNITS_LOOKED_AT {
            let mut head = [0; 8];
            if at >= end || !source.read_exact_at(&mut head[4 - width..=4], at) {
                return false;
            }
            let [a, b, c, d, kind, ..] = head;
            let length = u32::from_be_bytes([a, b, c, d]);
            let begun = at.saturating_add(u64::try_from(width).unwrap_or(0));
            let mut meaning = self.coding.meaning(&[kind]);
            let whole = usize::try_from(length).ok().and_then(|length| unit.get_mut(..length));
            // Parameter sets are compared as a whole: their first byte alone is not the track's.
            if let (Meaning::Forbidding, Some(whole)) = (meaning, whole)
                && source.read_exact_at(whole, begun)
            {
                meaning = self.coding.meaning(whole);
            }
            match meaning {
                Meaning::Slice { is_idr } => return is_idr,
                Meaning::Forbidding => return false,
                Meaning::Aside => at = begun.saturating_add(length.into()),
            }
        }
        false
    }

    /// What was found, for a track whose frames are shown at `times`, sorted; `None` if it cannot be
    /// taken over.
    pub(crate) fn finish(self, times: &[i64], base: TimeBase, measured: FrameRate) -> Option<Avc> {
        let frames: u64 = self.gops.iter().map(|gop| u64::from(gop.frames)).sum();
        if !self.is_fit || u64::try_from(times.len()).ok() != Some(frames) {
            return None;
        }
        let rate = ladder::output_rate(measured);
        let (average, peak) = bit_rates(&self.gops, rate)?;
        let stray = stray(times, base, rate)?;
        Some(Avc {
            sps: self.coding.sps,
            pps: self.coding.pps,
            stray,
            average,
            peak,
            gops: self.gops.iter().map(|gop| gop.frames).collect(),
        })
    }
}

/// Furthest that a frame lies from its place at `rate`, counted from the first one; rounded up to ticks.
fn stray(times: &[i64], base: TimeBase, rate: FrameRate) -> Option<MediaTime> {
    let first = i128::from(*times.first()?);
    // One tick lasts base.num / base.den seconds, one frame rate.den / rate.num.
    let (num, den) = (i128::from(base.den) * i128::from(rate.den()), i128::from(base.num) * i128::from(rate.num()));
    let off = |(at, time): (i128, &i64)| ((i128::from(*time) - first) * den - at * num).abs();
    let furthest = (0i128..).zip(times).map(off).max()?;
    i64::try_from((furthest + den - 1).div_euclid(den)).ok().map(|ticks| base.time(ticks))
}

/// Mean bit rate, and the highest of any run of GOPs that lasts about 2 s.
fn bit_rates(gops: &[Gop], rate: FrameRate) -> Option<(Bitrate, Bitrate)> {
    let per_second = |gops: &[Gop]| {
        let bytes: u128 = gops.iter().map(|gop| u128::from(gop.bytes)).sum();
        let frames: u128 = gops.iter().map(|gop| u128::from(gop.frames)).sum();
        let bits = bytes * 8 * u128::from(rate.num());
        let rate = bits.checked_div(frames * u128::from(rate.den()))?;
        Some(Bitrate(u64::try_from(rate).unwrap_or(u64::MAX)))
    };
    let average = per_second(gops)?;
    let enough = u64::from(Cadence::for_video(rate).gop_frames);
    let run = |first: usize| {
        let mut frames = 0;
        let long = |gop: &Gop| {
            frames += u64::from(gop.frames);
            frames >= enough
        };
        let last = gops[first..].iter().position(long)?;
        per_second(&gops[first..=first + last])
    };
    let peak = (0..gops.len()).filter_map(run).max().unwrap_or(average);
    Some((average, peak.max(average)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate::new(num, den).expect("a rate")
    }

    fn check_stray(times: &[i64], base: (u32, u32), at: (u32, u32), expected_ms: i64) {
        let stray = stray(times, TimeBase { num: base.0, den: base.1 }, rate(at.0, at.1)).expect("frames");
        assert_eq!(stray.as_ms(), expected_ms, "{times:?}");
    }

    #[test]
    fn even_frames_stray_by_rounding_only() {
        let even: Vec<i64> = (0..1000).map(|frame| 7000 + frame * 1001).collect();
        check_stray(&even, (1, 30_000), (30_000, 1001), 0);
        let rounded: Vec<i64> = (0..1000).map(|frame| frame * 1001 / 30).collect();
        check_stray(&rounded, (1, 1000), (30_000, 1001), 1);
    }

    #[test]
    fn a_missing_a_late_and_a_drifting_frame_stray() {
        check_stray(&[0, 40, 120, 160], (1, 1000), (25, 1), 40);
        check_stray(&[0, 40, 95, 120], (1, 1000), (25, 1), 15);
        let drift: Vec<i64> = (0..1000).map(|frame| frame * 41).collect();
        check_stray(&drift, (1, 1000), (25, 1), 999);
    }

    #[test]
    fn a_peak_is_that_of_two_seconds() {
        let gop = |frames, bytes| Gop { frames, bytes };
        let rates = |gops: &[Gop]| bit_rates(gops, rate(25, 1)).map(|(average, peak)| (average.0, peak.0));
        assert_eq!(rates(&[gop(50, 1000); 3]), Some((4000, 4000)));
        assert_eq!(rates(&[gop(25, 1000), gop(25, 4000), gop(25, 1000), gop(25, 1000)]), Some((14_000, 20_000)));
        assert_eq!(rates(&[gop(10, 500)]), Some((10_000, 10_000)));
        assert_eq!(rates(&[]), None);
    }

    #[test]
    fn a_track_that_does_not_begin_with_an_idr_picture_is_unfit() {
        let record = [1, 100, 0, 31, 0xff, 0xe1, 0, 4, 0x67, 100, 0, 31, 1, 0, 2, 0x68, 2];
        let gather = |idrs: &[bool]| {
            let mut gops = Gops::of(&record).expect("parameter sets");
            idrs.iter().for_each(|is_idr| gops.picture(*is_idr, 10));
            let times: Vec<i64> = (0..4).collect();
            gops.finish(&times, TimeBase { num: 1, den: 25 }, rate(25, 1)).map(|avc| avc.gops)
        };
        assert_eq!(gather(&[true, false, true, false]), Some(vec![2, 2]));
        assert_eq!(gather(&[false, true, false, false]), None);
        assert_eq!(gather(&[true, false, false]), None, "four frames have a time, three a picture");
    }
}
