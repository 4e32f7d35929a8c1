//! Which source frame each output frame shows.

use domain::{FrameRate, MediaTime};

use crate::av::TimeBase;

/// Where source times fall on the grid of output frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) base: TimeBase,
    pub(crate) origin: MediaTime,
    pub(crate) rate: FrameRate,
}

impl Grid {
    /// The output frame nearest to the source tick, halves upward; saturates.
    pub(crate) fn slot(self, ticks: i64) -> i64 {
        // Time since the origin is a fraction over base.den * origin.scale; every factor has at most 64
        // or 32 bits and `ticks * num` is the only one that could overflow, so it saturates.
        let scale = i128::from(self.origin.scale.per_second());
        let time = i128::from(ticks).saturating_mul(i128::from(self.base.num)).saturating_mul(scale);
        let origin = i128::from(self.origin.ticks) * i128::from(self.base.den);
        let num = time.saturating_sub(origin).saturating_mul(i128::from(self.rate.num()));
        let den = i128::from(self.base.den) * scale * i128::from(self.rate.den());
        let slot = num.saturating_mul(2).saturating_add(den).div_euclid(2 * den);
        i64::try_from(slot).unwrap_or(if slot < 0 { i64::MIN } else { i64::MAX })
    }

    /// The source tick at or before output frame `slot`.
    pub(crate) fn ticks(self, slot: u64) -> i64 {
        let time = self.rate.instant(slot);
        let scale = i128::from(time.scale.per_second());
        let sum =
            i128::from(self.origin.ticks) * scale + i128::from(time.ticks) * i128::from(self.origin.scale.per_second());
        let den = i128::from(self.origin.scale.per_second()) * scale * i128::from(self.base.num);
        let ticks = sum.saturating_mul(i128::from(self.base.den)).div_euclid(den);
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
    }
}

/// Turns source frames in order into output frames at a constant rate: output frame n shows the last
/// source frame whose slot is at most n. Frames before the first source frame show that one, frames
/// after the last source frame show the last one.
pub(crate) struct Picker<F> {
    next: u64,
    end: u64,
    /// The frame on show, and since which slot.
    held: Option<(F, i64)>,
}

impl<F> Picker<F> {
    /// For output frames `next` to `end − 1`.
    pub(crate) fn new(next: u64, end: u64) -> Self {
        Self { next, end, held: None }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.next >= self.end
    }

    /// Takes the next source frame; the output frames that are settled by it go to `show`.
    pub(crate) fn push<E>(&mut self, frame: F, slot: i64, show: impl FnMut(u64, &F) -> Result<(), E>) -> Result<(), E> {
        // Times that run backwards count as the time before.
        let slot = self.held.as_ref().map_or(slot, |(_, held)| slot.max(*held));
        if self.held.is_some() {
            self.show_until(u64::try_from(slot).unwrap_or(0), show)?;
        }
        self.held = Some((frame, slot));
        Ok(())
    }

    /// The source has ended.
    pub(crate) fn finish<E>(&mut self, show: impl FnMut(u64, &F) -> Result<(), E>) -> Result<(), E> {
        self.show_until(self.end, show)
    }

    fn show_until<E>(&mut self, slot: u64, mut show: impl FnMut(u64, &F) -> Result<(), E>) -> Result<(), E> {
        let Some((frame, _)) = &self.held else { return Ok(()) };
        while self.next < slot.min(self.end) {
            show(self.next, frame)?;
            self.next += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::Timescale;

    use super::*;

    fn picks(slots: &[i64], next: u64, end: u64) -> Vec<i64> {
        let mut picker = Picker::new(next, end);
        let mut shown = Vec::new();
        for slot in slots {
            picker.push(*slot, *slot, |at, frame| push(&mut shown, next, at, *frame)).expect("infallible");
        }
        picker.finish(|at, frame| push(&mut shown, next, at, *frame)).expect("infallible");
        assert!(picker.is_complete());
        shown
    }

    fn push(shown: &mut Vec<i64>, next: u64, at: u64, frame: i64) -> Result<(), ()> {
        assert_eq!(at, next + u64::try_from(shown.len()).expect("fits"), "every output frame exactly once");
        shown.push(frame);
        Ok(())
    }

    #[test]
    fn every_output_frame_shows_the_last_source_frame_that_has_begun() {
        assert_eq!(picks(&[0, 1, 2], 0, 3), [0, 1, 2]);
        assert_eq!(picks(&[0, 3], 0, 5), [0, 0, 0, 3, 3], "a gap repeats");
        assert_eq!(picks(&[0, 1, 1, 2], 0, 3), [0, 1, 2], "of two in one slot the later shows");
        assert_eq!(picks(&[2, 3], 0, 4), [2, 2, 2, 3], "a late start repeats the first");
        assert_eq!(picks(&[-2, -1, 0, 1], 0, 2), [0, 1], "what lies before is dropped");
        assert_eq!(picks(&[8, 9, 10, 11, 12], 10, 12), [10, 11], "a chunk begins behind its pre-roll");
        assert_eq!(picks(&[0, 5, 4, 6], 0, 7), [0, 0, 0, 0, 0, 4, 6], "time does not run backwards");
    }

    #[test]
    fn slots_round_to_the_nearest_frame() {
        let rate = FrameRate::new(30_000, 1001).expect("a rate");
        let origin = MediaTime::new(10_000, Timescale::MILLISECONDS);
        let grid = Grid { base: TimeBase { num: 1, den: 90_000 }, origin, rate };
        assert_eq!(grid.slot(900_000), 0);
        assert_eq!(grid.slot(900_000 + 3003), 1);
        assert_eq!(grid.slot(900_000 + 1502), 1);
        assert_eq!(grid.slot(900_000 + 1501), 0);
        assert_eq!(grid.slot(900_000 - 3003), -1);
        assert_eq!(grid.ticks(1), 903_003);
        assert_eq!(grid.slot(grid.ticks(100_000)), 100_000);
    }
}
