//! When the packets of each track play: from the container's index where it lists them all, else by
//! reading every packet, without decoding.

use std::collections::BTreeMap;

use domain::probe::{Aac, Avc, Extent, Jump};
use domain::{FrameRate, MediaTime};

use super::aac::Frames;
use super::avc::Gops;
use super::jumps::{self, Faults, Stamp};
use super::outlet::Outlet;
use super::source::Clock;
use super::{Source, Stop};
use crate::av::{AvError, Input, Packet, StreamInfo, StreamKind, TimeBase};
use crate::cage::policy;

/// Packets at the start among which the first in presentation order is looked for.
const HEAD_PACKETS: usize = 32;

/// Packets that are read at the end of an indexed track; one GOP is expected.
const TAIL_PACKETS_MAX: usize = 5000;

/// A last packet that claims to play longer than this, and ten times longer than the others, lies.
const LAST_PACKET_SECONDS: i64 = 2;

/// Reading errors in a row after which a source counts as ended.
const READ_ERRORS_MAX: usize = 100;

/// When one track plays.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    pub(crate) extent: Extent,
    pub(crate) frame_count: u64,
    pub(crate) rate: FrameRate,
    pub(crate) is_variable: bool,
    /// What its time stamps were corrected by.
    pub(crate) jumps: Vec<Jump>,
    /// What must be known to show the pictures as they are; `None` if that is impossible.
    pub(crate) avc: Option<Avc>,
    /// What must be known to play the sound as it is; `None` if that is impossible.
    pub(crate) aac: Option<Aac>,
}

/// Times of the packets of one track.
#[derive(Debug, Default)]
struct Track {
    times: Vec<i64>,
    /// All packets, of which some hold nothing to show.
    read_count: usize,
    /// Greatest end of a packet, and that packet's claimed duration.
    last: Option<(i64, i64)>,
    /// Decoding times of the first and of the last packet.
    decoding: Option<(i64, i64)>,
    /// The GOPs of an H.264 track that might be shown as it is.
    gops: Option<Gops>,
    /// The frames of an AAC track that might be played as it is.
    frames: Option<Frames>,
}

impl Track {
    fn note(&mut self, packet: &Packet) {
        if let Some(gops) = &mut self.gops {
            gops.packet(packet);
        }
        if let Some(frames) = &mut self.frames {
            frames.packet(packet);
        }
        if packet.is_discarded() || self.times.len() >= policy::INDEX_ENTRIES_MAX {
            return;
        }
        if let Some(time) = packet.dts() {
            self.decoding = Some((self.decoding.map_or(time, |(first, _)| first), time));
        }
        let guess = self.last.map(|(time, duration)| time.saturating_add(duration.max(1)));
        let Some(time) = packet.pts().or(packet.dts()).or(guess) else {
            // A first packet without any time starts at zero.
            return self.push(0, packet.duration());
        };
        self.push(time, packet.duration());
    }

    fn push(&mut self, time: i64, duration: i64) {
        self.times.push(time);
        if self.last.is_none_or(|(last, _)| time >= last) {
            self.last = Some((time, duration));
        }
    }
}

/// The timing of every video and audio track that has packets.
pub(crate) fn timings(source: &Source, streams: &[StreamInfo], outlet: &Outlet) -> Result<BTreeMap<u32, Timing>, Stop> {
    let media: Vec<&StreamInfo> = streams
        .iter()
        .filter(|stream| matches!(stream.kind, StreamKind::Video | StreamKind::Audio) && !stream.is_attached_picture)
        .collect();
    let mut timings = BTreeMap::new();
    if source.is_indexed {
        for stream in &media {
            if let Some(timing) = from_index(source, stream, outlet)? {
                timings.insert(stream.index, timing);
            }
        }
    }
    let unknown: Vec<&StreamInfo> = media.into_iter().filter(|stream| !timings.contains_key(&stream.index)).collect();
    if !unknown.is_empty() {
        timings.extend(from_packets(source, &unknown, outlet)?);
    }
    Ok(timings)
}

/// Reads every packet of the source; a second time, corrected, where time stamps start anew or lie.
fn from_packets(source: &Source, streams: &[&StreamInfo], outlet: &Outlet) -> Result<BTreeMap<u32, Timing>, Stop> {
    let mut stamps = Vec::new();
    let mut tracks = read_tracks(source, streams, None, &mut stamps, outlet)?;
    let mut faults = match source.clock {
        Clock::Counts => Faults::default(),
        Clock::StartsAnew => jumps::find(&stamps, false),
        Clock::Jumps => jumps::find(&stamps, true),
    };
    drop(stamps);
    if !faults.jumps.is_empty() || !faults.strays.is_empty() {
        tracks = read_tracks(source, streams, Some(&faults), &mut Vec::new(), outlet)?;
    }
    let timing = |stream: &&StreamInfo| {
        let track = tracks.remove(&stream.index)?;
        let count = u64::try_from(track.times.len()).unwrap_or(0);
        let jumps = faults.jumps.remove(&stream.index).unwrap_or_default();
        // What has time stamps that had to be corrected is not taken as it is.
        let gops = track.gops.filter(|_| jumps.is_empty());
        let aac = track.frames.filter(|_| jumps.is_empty()).and_then(Frames::finish);
        let timing = timing(stream, track.times, track.last?, count, gops)?;
        Some((stream.index, Timing { jumps, aac, ..timing }))
    };
    Ok(streams.iter().filter_map(timing).collect())
}

fn read_tracks(
    source: &Source,
    streams: &[&StreamInfo],
    faults: Option<&Faults>,
    stamps: &mut Vec<Stamp>,
    outlet: &Outlet,
) -> Result<BTreeMap<u32, Track>, Stop> {
    let mut input = source.open()?;
    let indices: Vec<u32> = streams.iter().map(|stream| stream.index).collect();
    input.select(&indices);
    if let Some(faults) = faults {
        faults.jumps.iter().for_each(|(index, jumps)| input.correct(*index, jumps));
    }
    let bases: BTreeMap<u32, TimeBase> = streams.iter().map(|stream| (stream.index, stream.time_base)).collect();
    let track = |stream: &&StreamInfo| {
        let (gops, frames) = (gops(&input, stream), frames(&input, stream));
        (stream.index, Track { gops, frames, ..Track::default() })
    };
    let mut tracks: BTreeMap<u32, Track> = streams.iter().map(track).collect();
    let mut packet = Packet::empty()?;
    while next_packet(&mut input, &mut packet)? {
        outlet.step()?;
        let index = packet.stream_index();
        let (Some(track), Some(base)) = (tracks.get_mut(&index), bases.get(&index)) else { continue };
        let ordinal = track.read_count;
        track.read_count += 1;
        if faults.is_some_and(|faults| faults.strays.contains(&(index, ordinal))) {
            continue;
        }
        track.note(&packet);
        if faults.is_none() && source.clock != Clock::Counts && stamps.len() < policy::INDEX_ENTRIES_MAX {
            stamps.extend(stamp(&packet, ordinal, *base));
        }
    }
    Ok(tracks)
}

/// What the packet says of its time; `None` if nothing.
fn stamp(packet: &Packet, ordinal: usize, base: TimeBase) -> Option<Stamp> {
    let shown = packet.pts().or(packet.dts())?;
    let decoded = packet.dts().unwrap_or(shown);
    let ticks = |ticks: i64| {
        let scaled = i128::from(ticks) * i128::from(base.num) * i128::from(jumps::SCALE);
        i64::try_from(scaled.div_euclid(i128::from(base.den))).unwrap_or(i64::MAX / 4)
    };
    Some(Stamp {
        stream: packet.stream_index(),
        ordinal,
        position: packet.position(),
        decoded: ticks(decoded),
        shown: ticks(shown),
        duration: ticks(packet.duration()),
    })
}

/// Gathers the GOPs of an H.264 track; `None` for others, or if its parameter sets forbid to show it as it is.
fn gops(input: &Input, stream: &StreamInfo) -> Option<Gops> {
    let is_avc = stream.kind == StreamKind::Video && stream.codec == "h264";
    is_avc.then(|| Gops::of(&input.extradata(stream.index))).flatten()
}

/// Gathers the frames of an AAC track; `None` for others, or if its configuration forbids to play it as it is.
fn frames(input: &Input, stream: &StreamInfo) -> Option<Frames> {
    let is_aac = stream.kind == StreamKind::Audio && stream.codec == "aac";
    is_aac.then(|| Frames::of(&input.extradata(stream.index), stream.time_base)).flatten()
}

/// Reads the next packet, over damaged places; `false` at the end. A source that cannot be read is
/// neither.
pub(crate) fn next_packet(input: &mut Input, packet: &mut Packet) -> Result<bool, Stop> {
    for _ in 0..READ_ERRORS_MAX {
        match input.read(packet) {
            Ok(more) => return Ok(more),
            Err(error @ (AvError::NO_MEMORY | AvError::UNREADABLE)) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(false)
}

/// Takes the decoding times from the index, and the presentation times of the first and the last
/// packets from these packets; `None` if the index is of no use.
fn from_index(source: &Source, stream: &StreamInfo, outlet: &Outlet) -> Result<Option<Timing>, Stop> {
    let mut input = source.open()?;
    let size = input.size();
    let is_whole = |position: i64, bytes: u64| {
        u64::try_from(position).ok().and_then(|start| start.checked_add(bytes)).is_some_and(|end| end <= size)
    };
    let entries = input.index(stream.index);
    let mut times: Vec<i64> = entries
        .iter()
        .filter(|entry| !entry.is_discarded && is_whole(entry.position, entry.size))
        .map(|entry| entry.timestamp)
        .collect();
    let Some((&first_time, &last_time)) = times.first().zip(times.last()) else { return Ok(None) };
    if !times.is_sorted_by(|a, b| a < b) {
        return Ok(None);
    }
    input.select(&[stream.index]);
    let mut packet = Packet::empty()?;
    let mut head = Track::default();
    while head.times.len() < HEAD_PACKETS && next_packet(&mut input, &mut packet)? {
        outlet.step()?;
        head.note(&packet);
    }
    let Some(&first) = head.times.iter().min() else { return Ok(None) };
    let mut tail = Track { last: head.last, ..Track::default() };
    {
        // Only when the last packets play is of interest, and the index tells that.
        let _foresight = source.foresee();
        if input.seek(stream.index, last_time).is_err() {
            return Ok(None);
        }
        while tail.times.len() < TAIL_PACKETS_MAX && next_packet(&mut input, &mut packet)? {
            outlet.step()?;
            tail.note(&packet);
        }
    }
    let Some(mut last) = tail.last else { return Ok(None) };
    if source.is_growing() && stream.kind == StreamKind::Video {
        last.1 = foreseen(last.1, &times);
    }
    // Edit lists and lies make packets differ from the index: then the packets are right.
    if head.decoding.map(|(first, _)| first) != Some(first_time)
        || tail.decoding.map(|(_, last)| last) != Some(last_time)
    {
        return Ok(None);
    }
    // The index holds decoding times; shifted to the first presentation time they have the same gaps.
    let shift = first.saturating_sub(times[0]);
    times.iter_mut().for_each(|time| *time = time.saturating_add(shift));
    let count = u64::try_from(times.len()).unwrap_or(0);
    let mut gops = gops(&input, stream);
    if let Some(gops) = &mut gops {
        gops.index(source, &entries, size);
    }
    let aac = frames(&input, stream).and_then(|mut frames| {
        frames.index(&entries, size, shift);
        frames.finish()
    });
    Ok(timing(stream, times, last, count, gops).map(|timing| Timing { aac, ..timing }))
}

/// How long a last picture is shown that is not there: where the index does not say, libav takes a picture's duration from
/// its octets, and half of it from zeros. 0 for the usual duration.
fn foreseen(claimed: i64, times: &[i64]) -> i64 {
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    if median(&gaps).is_some_and(|usual| claimed < usual) { 0 } else { claimed }
}

/// Extent, count and rate from the times of all packets and the last one's (time, duration).
fn timing(
    stream: &StreamInfo,
    mut times: Vec<i64>,
    last: (i64, i64),
    frame_count: u64,
    gops: Option<Gops>,
) -> Option<Timing> {
    times.sort_unstable();
    times.dedup();
    let first = *times.first()?;
    let base = stream.time_base;
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    let stated = || {
        let (num, den) = stream.frame_rate;
        let (num, den) = (i128::from(num), i128::from(den));
        // Ticks of one frame at the rate that the container states.
        (num > 0 && den > 0).then(|| den * i128::from(base.den) / (num * i128::from(base.num)).max(1))
    };
    let median = median(&gaps).or_else(|| stated().and_then(|ticks| i64::try_from(ticks).ok()));
    let (last_time, claimed) = last;
    let second = base.ticks_floor(MediaTime::new(1000, domain::Timescale::MILLISECONDS)).max(1);
    let usual = median.filter(|ticks| *ticks > 0).unwrap_or((second / 25).max(1));
    let longest = second.saturating_mul(LAST_PACKET_SECONDS).max(usual.saturating_mul(10));
    let duration = if claimed <= 0 || claimed > longest { usual } else { claimed };
    let end = last_time.max(first).saturating_add(duration);
    let (rate, is_variable) = rate(&gaps, usual, base);
    let avc = gops.and_then(|gops| gops.finish(&times, base, rate));
    Some(Timing {
        extent: Extent { start: base.time(first), end: base.time(end) },
        frame_count,
        rate,
        is_variable,
        jumps: Vec::new(),
        avc,
        aac: None,
    })
}

fn median(gaps: &[i64]) -> Option<i64> {
    let mut sorted = gaps.to_vec();
    let middle = sorted.len() / 2;
    (!sorted.is_empty()).then(|| *sorted.select_nth_unstable(middle).1)
}

/// Frames over time: over the whole track if the gaps are even, else over the gaps near the usual one.
fn rate(gaps: &[i64], usual: i64, base: TimeBase) -> (FrameRate, bool) {
    // More than a tick and a half, and more than a tenth: rounding to ticks makes gaps of n and n + 1.
    let is_odd = |gap: &&i64| {
        let off = gap.saturating_sub(usual).saturating_abs();
        off > 1 && i128::from(off) * 10 > i128::from(usual)
    };
    let odd = gaps.iter().filter(is_odd).count();
    let is_variable = odd * 100 > gaps.len();
    if gaps.is_empty() {
        return (fraction(i128::from(base.den), i128::from(usual) * i128::from(base.num)), false);
    }
    let counted: Vec<i128> =
        gaps.iter().filter(|gap| !is_variable || !is_odd(gap)).map(|gap| i128::from(*gap)).collect();
    let (count, ticks) = (i128::try_from(counted.len()).unwrap_or(1), counted.iter().sum::<i128>());
    (fraction(count * i128::from(base.den), ticks * i128::from(base.num)), is_variable)
}

/// `num / den` as a rate, as exactly as 32 bits allow.
fn fraction(num: i128, den: i128) -> FrameRate {
    let (mut a, mut b) = (num.max(1), den.max(1));
    // Euclid's algorithm: the remainders fall strictly.
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let (mut num, mut den) = (num.max(1) / a, den.max(1) / a);
    // Halved at most 128 times.
    while num > i128::from(u32::MAX) || den > i128::from(u32::MAX) {
        (num, den) = ((num / 2).max(1), (den / 2).max(1));
    }
    let part = |value: i128| u32::try_from(value).unwrap_or(u32::MAX).max(1);
    FrameRate::new(part(num), part(den)).unwrap_or_else(|| FrameRate::new(25, 1).expect("25 and 1 are not zero"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[i64], base: (u32, u32), expected: (&str, bool)) {
        let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let usual = median(&gaps).unwrap_or(1);
        let (rate, is_variable) = rate(&gaps, usual, TimeBase { num: base.0, den: base.1 });
        assert_eq!((rate.to_string().as_str(), is_variable), expected);
    }

    #[test]
    fn an_even_rate_is_exact_over_the_whole_track() {
        check(&(0..100).map(|frame| frame * 1001).collect::<Vec<_>>(), (1, 30_000), ("29.97", false));
        check(&(0..1000).map(|frame| frame * 1000 / 24).collect::<Vec<_>>(), (1, 1000), ("24", false));
        check(&(0..10).collect::<Vec<_>>(), (1001, 24_000), ("23.976", false));
    }

    #[test]
    fn an_uneven_rate_is_that_of_the_usual_gap() {
        let times: Vec<i64> = (0..100).map(|frame| frame * 40 + if frame % 10 == 9 { 20 } else { 0 }).collect();
        check(&times, (1, 1000), ("25", true));
    }

    #[test]
    fn numbers_that_do_not_fit_are_rounded() {
        let rate = fraction(1 << 40, (1 << 35) + 1);
        assert!((rate.as_f64() - 32.0).abs() < 0.001);
    }
}
