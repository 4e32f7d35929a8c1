//! Finds where the time stamps of a source start anew or lie: a pure function of all stamps.

use std::collections::{BTreeMap, BTreeSet};

use domain::probe::{JUMPS_MAX, Jump};
use domain::{MediaTime, Timescale};

/// Ticks per second of [`Stamp`]s: MPEG's own.
pub(crate) const SCALE: u32 = 90_000;

/// How far stamps of one track may run backwards before they begin a new timeline.
const BACK: i64 = SCALE as i64 / 2;

/// How far they may run ahead of all tracks.
const AHEAD: i64 = SCALE as i64 * 10;

/// Packets behind a jump among which the other tracks' jumps are looked for.
const LOOK_PACKETS: usize = 5000;

/// The beginning of a new timeline is the earliest stamp of its first second.
const BEGINNING: i64 = SCALE as i64;

/// When one packet says that it is decoded and shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) stream: u32,
    /// How many packets of its track were read before it.
    pub(crate) ordinal: usize,
    /// Where it begins in the file, if the demuxer knows.
    pub(crate) position: Option<u64>,
    pub(crate) decoded: i64,
    pub(crate) shown: i64,
    pub(crate) duration: i64,
}

/// Shifts beyond it are none that a clock can need: MPEG's wraps after a day.
const SHIFT_MAX: i64 = SCALE as i64 * 86_400 * 366;

/// One track while its stamps are followed.
#[derive(Clone, Copy, Debug, Default)]
struct Lane {
    shift: i64,
    /// When the last packet was decoded, shifted.
    last: Option<i64>,
    /// When the last packet in order of presentation ends, shifted.
    end: i64,
}

impl Lane {
    fn accept(&mut self, stamp: &Stamp) {
        self.last = Some(stamp.decoded.saturating_add(self.shift));
        self.end = self.end.max(stamp.shown.saturating_add(stamp.duration).saturating_add(self.shift));
    }

    /// True if a time goes on where this lane, or all of them, have come to.
    fn is_followed_by(&self, time: i64, reach: i64) -> bool {
        self.last.is_none_or(|last| time >= last - BACK && time <= last.max(reach).saturating_add(AHEAD))
    }
}

/// What is wrong with the stamps of a source.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// The jumps of each track that has any.
    pub(crate) jumps: BTreeMap<u32, Vec<Jump>>,
    /// Single wrong stamps of packets that do not know their position: track and ordinal.
    pub(crate) strays: BTreeSet<(u32, usize)>,
}

/// Finds the faults.
///
/// `is_gapless` says that a pause of more than [`AHEAD`] in all tracks is a jump too: clocks of transport
/// and program streams may be set to anything, those of other containers only start anew.
pub(crate) fn find(stamps: &[Stamp], is_gapless: bool) -> Faults {
    let following = following(stamps);
    let mut lanes: BTreeMap<u32, Lane> = BTreeMap::new();
    let mut jumps: BTreeMap<u32, Vec<(u64, i64)>> = BTreeMap::new();
    let mut strays = BTreeSet::new();
    let mut newest = 0;
    for (at, stamp) in stamps.iter().enumerate() {
        let lane = lanes.entry(stamp.stream).or_default().to_owned();
        let reach = lanes.values().filter_map(|lane| lane.last).max().unwrap_or(i64::MIN);
        let shifted = stamp.decoded.saturating_add(lane.shift);
        let next = following[at].map(|next| &stamps[next]);
        let mut moved = lane;
        if !lane.is_followed_by(shifted, reach) {
            let is_sane = stamp.decoded.unsigned_abs() <= SHIFT_MAX.unsigned_abs();
            let Some(position) = stamp.position.filter(|_| is_sane) else {
                if is_stray(&lane, stamp, next, reach) {
                    strays.insert((stamp.stream, stamp.ordinal));
                }
                continue;
            };
            let found = jumps.entry(stamp.stream).or_default();
            if found.len() + 2 > JUMPS_MAX {
                continue;
            }
            if is_stray(&lane, stamp, next, reach) {
                let due = lane.last.unwrap_or(shifted).saturating_add(stamp.duration.max(0));
                found.push((position, due.saturating_sub(stamp.decoded)));
                found.push((position.saturating_add(1), lane.shift));
                moved.last = Some(due);
                lanes.insert(stamp.stream, moved);
                continue;
            }
            let is_pause = lane.last.is_some_and(|last| shifted >= last);
            if !is_pause || is_gapless {
                // Where another track has jumped already, this one belongs to the same timeline.
                if !lane.is_followed_by(stamp.decoded.saturating_add(newest), reach) || newest == lane.shift {
                    newest = shift(&lanes, &stamps[at..]);
                }
                moved.shift = newest;
                found.push((position, newest));
            }
        }
        moved.accept(stamp);
        lanes.insert(stamp.stream, moved);
    }
    let scale = Timescale::new(SCALE).unwrap_or(Timescale::MILLISECONDS);
    let jump = |(position, ticks): (u64, i64)| Jump { position, shift: MediaTime::new(ticks, scale) };
    let some = jumps.into_iter().filter(|(_, jumps)| !jumps.is_empty());
    let jumps = some.map(|(stream, jumps)| (stream, jumps.into_iter().map(jump).collect())).collect();
    Faults { jumps, strays }
}

/// For each packet the next one of its track.
fn following(stamps: &[Stamp]) -> Vec<Option<usize>> {
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut following = vec![None; stamps.len()];
    for (at, stamp) in stamps.iter().enumerate().rev() {
        following[at] = seen.insert(stamp.stream, at);
    }
    following
}

/// True for a stamp that does not follow when the next one does: it alone is wrong.
fn is_stray(lane: &Lane, stamp: &Stamp, next: Option<&Stamp>, reach: i64) -> bool {
    let (Some(next), Some(last)) = (next, lane.last) else { return true };
    let next_shifted = next.decoded.saturating_add(lane.shift);
    let is_nearer_to_last = next_shifted.abs_diff(last) < next.decoded.abs_diff(stamp.decoded);
    is_nearer_to_last && lane.is_followed_by(next_shifted, reach)
}

/// What makes the timeline that begins with the first of `stamps` begin where the old one ends.
fn shift(lanes: &BTreeMap<u32, Lane>, stamps: &[Stamp]) -> i64 {
    let Some(first) = stamps.first() else { return 0 };
    let mut old = lanes.clone();
    let mut begin = first.shown;
    let mut changed: Vec<u32> = vec![first.stream];
    for stamp in stamps.iter().take(LOOK_PACKETS) {
        let is_early = (stamp.decoded.abs_diff(first.decoded)) < BEGINNING.unsigned_abs();
        if changed.contains(&stamp.stream) {
            if is_early {
                begin = begin.min(stamp.shown);
            }
            continue;
        }
        // Tracks lie beside each other in the file by their time, so the old part of another track ends soon.
        let Some(lane) = old.get_mut(&stamp.stream) else { continue };
        if lane.is_followed_by(stamp.decoded.saturating_add(lane.shift), i64::MIN) {
            lane.accept(stamp);
        } else {
            changed.push(stamp.stream);
            if is_early {
                begin = begin.min(stamp.shown);
            }
        }
    }
    let end = old.values().filter(|lane| lane.last.is_some()).map(|lane| lane.end).max().unwrap_or(0);
    end.saturating_sub(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = SCALE as i64;

    /// Picture and sound of a part, packets of 40 ms side by side, from `start`.
    fn part(stamps: &mut Vec<Stamp>, start: i64, packets: i64) {
        for at in 0..packets {
            for stream in [0, 1] {
                let position = u64::try_from(stamps.len()).ok().map(|count| count * 188);
                let decoded = start + at * 3600 + if stream == 1 { 1000 } else { 0 };
                let shown = decoded + if stream == 0 { 7200 } else { 0 };
                stamps.push(Stamp { stream, ordinal: 0, position, decoded, shown, duration: 3600 });
            }
        }
    }

    fn jumps(stamps: &[Stamp], stream: u32) -> Vec<(u64, i64)> {
        let found = find(stamps, true).jumps;
        found.get(&stream).into_iter().flatten().map(|jump| (jump.position, jump.shift.ticks)).collect()
    }

    #[test]
    fn stamps_that_go_on_have_no_jumps() {
        let mut stamps = Vec::new();
        part(&mut stamps, 5 * SECOND, 200);
        part(&mut stamps, 18 * SECOND, 200);
        assert!(find(&stamps, true).jumps.is_empty(), "a gap of 5 s is no jump");
    }

    #[test]
    fn a_part_that_starts_anew_follows_the_one_before_it() {
        let mut stamps = Vec::new();
        part(&mut stamps, 0, 100);
        part(&mut stamps, 0, 100);
        // The picture ends at 4 s and 80 ms; the sound of the second part begins first, at 1000 ticks.
        let shift = 100 * 3600 + 7200 - 1000;
        assert_eq!(jumps(&stamps, 0), [(200 * 188, shift)]);
        assert_eq!(jumps(&stamps, 1), [(201 * 188, shift)]);
    }

    #[test]
    fn a_track_that_lags_behind_keeps_its_own_jump() {
        let mut stamps = Vec::new();
        part(&mut stamps, 100 * SECOND, 100);
        let sound = stamps.split_off(192).into_iter().filter(|stamp| stamp.stream == 1);
        let (sound, mut second): (Vec<Stamp>, Vec<Stamp>) = (sound.collect(), Vec::new());
        part(&mut second, 7 * SECOND, 100);
        let late = second.split_off(3);
        stamps.extend(second.into_iter().filter(|stamp| stamp.stream == 0));
        stamps.extend(sound);
        stamps.extend(late);
        for (at, stamp) in (0..).zip(stamps.iter_mut()) {
            stamp.position = Some(at * 188);
        }
        let (picture, sound) = (jumps(&stamps, 0), jumps(&stamps, 1));
        assert_eq!((picture.len(), sound.len()), (1, 1), "{picture:?} {sound:?}");
        assert_eq!(picture[0].1, sound[0].1, "both belong to one new timeline");
        assert!(picture[0].0 < sound[0].0);
    }

    #[test]
    fn a_single_wrong_stamp_is_put_right() {
        for wrong in [9000 * SECOND, 0, -100 * SECOND] {
            let mut stamps = Vec::new();
            part(&mut stamps, 50 * SECOND, 100);
            stamps[100].decoded = wrong;
            stamps[100].shown = wrong;
            let due = stamps[98].decoded + 3600;
            assert_eq!(jumps(&stamps, 0), [(100 * 188, due - wrong), (100 * 188 + 1, 0)], "{wrong}");
            assert!(jumps(&stamps, 1).is_empty());
            stamps[100].position = None;
            stamps[100].ordinal = 50;
            let faults = find(&stamps, true);
            assert!(faults.jumps.is_empty() && faults.strays.contains(&(0, 50)) && faults.strays.len() == 1);
        }
    }

    #[test]
    fn a_pause_is_a_jump_only_where_clocks_may_be_set() {
        let mut stamps = Vec::new();
        part(&mut stamps, 0, 100);
        part(&mut stamps, 3600 * SECOND, 100);
        assert_eq!(find(&stamps, true).jumps.len(), 2);
        assert!(find(&stamps, false).jumps.is_empty(), "slides stay as long as they are meant to");
        part(&mut stamps, 0, 100);
        assert_eq!(find(&stamps, false).jumps.len(), 2);
    }

    #[test]
    fn jumps_are_bounded() {
        let mut stamps = Vec::new();
        (0..3000).for_each(|_| part(&mut stamps, 0, 30));
        assert!(find(&stamps, true).jumps.values().all(|jumps| jumps.len() <= JUMPS_MAX));
    }
}
