//! Where decoded sound belongs on the output timeline: a pure function of time stamps and sample counts.
//!
//! Sound is a row of runs. Within a run samples follow each other without a gap, and time stamps that
//! differ from the count are rounded, jitter or drift. A new run begins where time stamps jump for
//! good, or where rate, format or channels change.
//!
//! Within a run time stamps are believed on average. At fixed instants, the knots, the stamps around
//! say where the sound belongs; from knot to knot it is stretched to fit. A knot depends on the time
//! stamps near it and on nothing else, so decoding from another place of the source finds the same
//! knots, and sound from both places joins.

use std::collections::VecDeque;

/// Units of a position in one sample of the output.
pub(super) const FINE: i64 = 1024;

/// Seconds from knot to knot.
pub(super) const KNOT_SECONDS: i64 = 4;

/// Seconds from a knot to the farthest time stamp it depends on.
pub(super) const REACH_SECONDS: i64 = 2 * KNOT_SECONDS;

/// Frames before and behind a jump whose medians are compared.
const WITNESSES: usize = 8;

/// How far time stamps must jump for a new run, in milliseconds: less than any codec's frame lasts, so
/// that a lost packet becomes silence of its length. Smaller jumps are stretched away.
const JUMP_MS: i64 = 15;

/// Frames that are looked ahead at most: twenty seconds of the shortest usual frames (2.5 ms), with room.
const AHEAD_FRAMES_MAX: usize = 16_384;

/// Samples of all channels that are looked ahead at most: twenty seconds of eight channels at 192 kHz.
const AHEAD_VALUES_MAX: u64 = 20 * 8 * 192_000;

/// What must stay the same within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rate: u32,
    pub(super) format: i32,
    pub(super) channels: u32,
}

/// One decoded frame.
#[derive(Debug)]
pub(super) struct Heard<F> {
    pub(super) frame: F,
    pub(super) shape: Shape,
    /// Samples per channel.
    pub(super) samples: u32,
    /// Where its time stamp puts it.
    pub(super) due: Option<i64>,
}

/// A frame and what is to be done before it is resampled.
#[derive(Debug)]
pub(super) struct Placed<F> {
    pub(super) frame: F,
    pub(super) start: Option<Start>,
    pub(super) toward: Option<Toward>,
}

/// Here a run begins: what is in the resampler is finished first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Where the first sample belongs; `None`, behind the sound before, if no time stamp tells.
    pub(super) position: Option<i64>,
}

/// From here to the next knot the sound is stretched to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Toward {
    /// Samples of the source up to the knot.
    pub(super) samples: u64,
    /// Where the sample at the knot belongs.
    pub(super) position: i64,
}

/// Places frames; those that a knot depends on must have been pushed before a frame comes out.
pub(super) struct Timeline<F> {
    /// Output samples per second.
    rate: u32,
    /// Frames of which it is not known whether they begin a run.
    undecided: VecDeque<Heard<F>>,
    ahead: VecDeque<Member<F>>,
    /// Time stamps of the frames of `ahead`, and of those before them that the next knots depend on.
    stamps: VecDeque<Stamp>,
    /// Samples of all channels in `undecided` and `ahead`.
    values: u64,
    /// The run of the last frame of `ahead`.
    run: Option<Run>,
    /// The run and the cell between knots of the last frame that came out.
    out: Option<(u64, i64)>,
    is_ended: bool,
}

/// A frame as part of its run.
struct Member<F> {
    heard: Heard<F>,
    run: u64,
    /// Samples before it in its run.
    before: u64,
    /// How far its time stamp is behind the count; `None` without a stamp, or if it contradicts all others.
    offset: Option<i64>,
}

/// What a time stamp says of its run.
struct Stamp {
    run: u64,
    /// Where it puts its frame.
    due: i64,
    /// Where the count of samples would, if the run began at zero.
    nominal: i64,
}

struct Run {
    id: u64,
    shape: Shape,
    samples: u64,
    /// Offsets of the last frames.
    recent: VecDeque<i64>,
}

impl<F> Timeline<F> {
    pub(super) fn new(rate: u32) -> Self {
        let (undecided, ahead, stamps) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { rate, undecided, ahead, stamps, values: 0, run: None, out: None, is_ended: false }
    }

    pub(super) fn push(&mut self, heard: Heard<F>) {
        self.values += values(&heard);
        self.undecided.push_back(heard);
        if self.undecided.len() > WITNESSES {
            self.decide();
        }
    }

    /// No more frames come.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
        while !self.undecided.is_empty() {
            self.decide();
        }
    }

    /// The next frame; `None` if more must be pushed first, or after the last one.
    pub(super) fn pop(&mut self) -> Option<Placed<F>> {
        let front = self.ahead.front()?;
        let run = front.run;
        let (mut start, mut toward) = (None, None);
        if self.out.is_none_or(|(last, _)| last != run) {
            let cell = self.first_cell(run);
            if !self.reaches(run, cell.map(|cell| cell.saturating_add(1 + 2 * REACH_SECONDS / KNOT_SECONDS))) {
                return None;
            }
            // There is nothing before the start: the stamps of a whole window behind it tell.
            let behind = self.near(run, |stamp| stamp.nominal - self.reach());
            start = Some(Start { position: extrapolated(&behind, self.reach(), self.rate) });
            toward = cell.and_then(|cell| self.toward(run, cell));
            self.out = Some((run, cell.unwrap_or(i64::MIN)));
        } else if let Some(cell) = self.cell(front).filter(|cell| self.out.is_some_and(|(_, last)| *cell > last)) {
            if !self.reaches(run, Some(cell.saturating_add(1 + REACH_SECONDS / KNOT_SECONDS))) {
                return None;
            }
            toward = self.toward(run, cell);
            self.out = Some((run, cell));
        }
        self.forget(run);
        let heard = self.ahead.pop_front()?.heard;
        self.values = self.values.saturating_sub(values(&heard));
        Some(Placed { frame: heard.frame, start, toward })
    }

    /// Moves the first undecided frame to its run.
    fn decide(&mut self) {
        let Some(heard) = self.undecided.pop_front() else { return };
        let verdict = self.run.as_ref().map_or(Verdict::Jumps, |run| run.judge(&heard, &self.undecided, self.rate));
        let next = self.run.as_ref().map_or(0, |run| run.id + 1);
        if verdict == Verdict::Jumps {
            self.run = Some(Run { id: next, shape: heard.shape, samples: 0, recent: VecDeque::new() });
        }
        let Some(run) = self.run.as_mut() else { return };
        let offset = if verdict == Verdict::Lies { None } else { run.offset(&heard, 0, self.rate) };
        if let Some(offset) = offset {
            run.recent.push_back(offset);
            if run.recent.len() > WITNESSES {
                run.recent.pop_front();
            }
        }
        let (id, before) = (run.id, run.samples);
        if let Some(due) = offset.and(heard.due) {
            self.stamps.push_back(Stamp { run: id, due, nominal: nominal(before, run.shape.rate, self.rate) });
        }
        run.samples += u64::from(heard.samples);
        self.ahead.push_back(Member { heard, run: id, before, offset });
    }

    /// The position of knot number `index`.
    fn knot(&self, index: i64) -> i64 {
        index.saturating_mul(KNOT_SECONDS * FINE * i64::from(self.rate))
    }

    fn reach(&self) -> i64 {
        self.knot(REACH_SECONDS / KNOT_SECONDS)
    }

    /// Number of the last knot at or before a frame, by its time stamp.
    fn cell(&self, member: &Member<F>) -> Option<i64> {
        let due = member.offset.and(member.heard.due)?;
        Some(due.div_euclid(self.knot(1)))
    }

    /// The cell in which a run begins, by the first time stamp in it.
    fn first_cell(&self, run: u64) -> Option<i64> {
        self.members(run).find_map(|member| self.cell(member))
    }

    fn members(&self, run: u64) -> impl Iterator<Item = &Member<F>> {
        self.ahead.iter().take_while(move |member| member.run == run)
    }

    /// Output samples, in fine units, that the source's samples before a frame make unstretched.
    fn nominal(&self, member: &Member<F>) -> i64 {
        nominal(member.before, member.heard.shape.rate, self.rate)
    }

    /// True if everything of a run up to a knot is there.
    fn reaches(&self, run: u64, knot: Option<i64>) -> bool {
        let is_over = self.is_ended || self.ahead.back().is_some_and(|last| last.run != run);
        let is_full = self.ahead.len() >= AHEAD_FRAMES_MAX || self.values >= AHEAD_VALUES_MAX;
        let is_there = knot.is_some_and(|knot| {
            let last = self.ahead.iter().rev().find_map(|member| member.offset.and(member.heard.due));
            last.is_some_and(|due| due >= self.knot(knot))
        });
        is_over || is_full || is_there
    }

    /// The next knot of a run whose first frame here lies in `cell`; `None` if the run ends before it.
    fn toward(&self, run: u64, cell: i64) -> Option<Toward> {
        let first = self.ahead.front()?;
        let (index, at) = self
            .members(run)
            .filter_map(|member| Some((self.cell(member)?, member)))
            .find(|(index, member)| *index > cell && member.before > first.before)?;
        let near = self.near(run, |stamp| stamp.due.saturating_sub(self.knot(index)));
        let offset = smoothed(&near, self.reach())?;
        let position = self.nominal(at).saturating_add(offset);
        Some(Toward { samples: at.before - first.before, position })
    }

    /// Offsets of the time stamps of a run that are less than the reach away from a place, and their distances.
    fn near(&self, run: u64, distance: impl Fn(&Stamp) -> i64) -> Vec<(i64, i64)> {
        let (stamps, reach) = (self.stamps.iter().filter(|stamp| stamp.run == run), self.reach());
        let near = stamps.map(|stamp| (stamp.due.saturating_sub(stamp.nominal), distance(stamp)));
        near.filter(|(_, distance)| distance.saturating_abs() < reach).collect()
    }

    /// Lets go of the time stamps that no knot depends on which is still to come.
    fn forget(&mut self, run: u64) {
        let Some((_, cell)) = self.out else { return };
        let oldest = self.knot(cell.saturating_add(1)).saturating_sub(self.reach());
        while self.stamps.front().is_some_and(|stamp| stamp.run < run || stamp.due <= oldest) {
            self.stamps.pop_front();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The frame continues its run.
    Continues,
    /// The frame continues its run, but its time stamp is to be ignored.
    Lies,
    /// The frame begins another run.
    Jumps,
}

impl Run {
    /// How far the time stamp of a frame, `ahead` samples behind the run's last, is behind the count.
    fn offset<F>(&self, heard: &Heard<F>, ahead: u64, rate: u32) -> Option<i64> {
        heard.due.map(|due| due.saturating_sub(nominal(self.samples + ahead, self.shape.rate, rate)))
    }

    /// What the frame that comes next means, judged by those behind it.
    fn judge<F>(&self, heard: &Heard<F>, behind: &VecDeque<Heard<F>>, rate: u32) -> Verdict {
        if heard.shape != self.shape {
            return Verdict::Jumps;
        }
        let Some((usual, spread)) = usual_of(self.recent.iter().copied().collect()) else { return Verdict::Continues };
        let Some(offset) = self.offset(heard, 0, rate) else { return Verdict::Continues };
        let limit = (JUMP_MS * FINE * i64::from(rate) / 1000).max(spread.saturating_mul(3));
        let is_off = |offset: i64, limit: i64| offset.saturating_sub(usual).saturating_abs() > limit;
        if !is_off(offset, limit) {
            return Verdict::Continues;
        }
        let mut offsets = vec![offset];
        let mut ahead = u64::from(heard.samples);
        for next in behind.iter().take(WITNESSES - 1).take_while(|next| next.shape == self.shape) {
            offsets.extend(self.offset(next, ahead, rate));
            ahead += u64::from(next.samples);
        }
        match usual_of(offsets) {
            // Stamps that are always far apart must jump farther.
            Some((then, spread)) if is_off(then, limit.max(spread.saturating_mul(3))) => Verdict::Jumps,
            _ => Verdict::Lies,
        }
    }
}

/// Fine units that `samples` of the source last at the output's `rate`.
pub(super) fn nominal(samples: u64, source_rate: u32, rate: u32) -> i64 {
    let fine = i128::from(samples) * i128::from(rate) * i128::from(FINE) / i128::from(source_rate.max(1));
    i64::try_from(fine).unwrap_or(i64::MAX)
}

fn values<F>(heard: &Heard<F>) -> u64 {
    u64::from(heard.samples) * u64::from(heard.shape.channels)
}

/// The mean of offsets near their median, weighted by distances up to `half`.
///
/// Rounded time stamps repeat a pattern of errors. Weights that fall smoothly to nothing at both ends
/// make it matter little where in the pattern the frames begin: 16 s of AAC at 44.1 kHz, rounded to
/// milliseconds in a pattern of 10 s, come out right to a twentieth of a sample.
fn smoothed(near: &[(i64, i64)], half: i64) -> Option<i64> {
    fitted(near, half).map(|(mean, _)| mean)
}

/// The offset at the early end of a window, from a line through the offsets in it if these drift by a
/// millisecond or more. What drifts less is their mean: a line would multiply the errors of rounding.
fn extrapolated(near: &[(i64, i64)], half: i64, rate: u32) -> Option<i64> {
    let (mean, drift) = fitted(near, half)?;
    let drift = if drift.abs() >= FINE * i64::from(rate) / 1000 { drift } else { 0 };
    Some(mean.saturating_sub(drift))
}

/// The weighted mean of offsets near their median, and how far they drift over half the window.
fn fitted(near: &[(i64, i64)], half: i64) -> Option<(i64, i64)> {
    let (usual, spread) = usual_of(near.iter().map(|(offset, _)| *offset).collect())?;
    let limit = i128::from(spread.saturating_mul(3).max(FINE));
    let unit = (half / 1000).max(1);
    let point = |(offset, distance): &(i64, i64)| {
        let off = i128::from(offset.saturating_sub(usual));
        // At most 1000, as far as weights are concerned.
        let distance = i128::from(distance / unit);
        let weight = (1_000_000 - distance * distance).max(0).pow(2);
        (off.abs() <= limit).then_some((weight, distance, off))
    };
    let points: Vec<(i128, i128, i128)> = near.iter().filter_map(point).collect();
    let weights: i128 = points.iter().map(|(weight, ..)| weight).sum();
    if weights == 0 {
        return Some((usual, 0));
    }
    let mean_of = |value: &dyn Fn(i128, i128) -> i128| {
        let sum: i128 = points.iter().map(|(weight, distance, off)| weight * value(*distance, *off)).sum();
        (2 * sum + weights).div_euclid(2 * weights)
    };
    let (mean, place) = (mean_of(&|_, off| off), mean_of(&|distance, _| distance));
    let (squares, products) = (
        mean_of(&|distance, _| (distance - place).pow(2)),
        mean_of(&|distance, off| (distance - place) * (off - mean)),
    );
    let drift = if squares > 0 { 1000 * products / squares } else { 0 };
    Some((usual.saturating_add(i64::try_from(mean).ok()?), i64::try_from(drift).ok()?))
}

/// Median of some offsets, and their median distance from it.
fn usual_of(offsets: Vec<i64>) -> Option<(i64, i64)> {
    let usual = median(offsets.clone())?;
    let spread = median(offsets.into_iter().map(|offset| offset.saturating_sub(usual).saturating_abs()).collect())?;
    Some((usual, spread))
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests;
