//! A window of decoded sound on the output timeline.

use domain::AAC_FRAME_SAMPLES;

/// Samples in an AAC frame.
const FRAME: usize = AAC_FRAME_SAMPLES as usize;

/// AAC frames that are let go of at once: moving the rest to the front is not worth it for fewer.
const FORGET_FRAMES_MIN: usize = 256;

/// One row of samples per channel, from a whole AAC frame on.
pub(super) struct Pcm {
    pub(super) planes: Vec<Vec<f32>>,
    /// Number of the first AAC frame in the window.
    first_frame: u64,
}

impl Pcm {
    /// An empty window at an AAC frame.
    pub(super) fn new(channels: u16, first_frame: u64) -> Self {
        Self { planes: vec![Vec::new(); usize::from(channels)], first_frame }
    }

    /// Samples per channel in the window.
    pub(super) fn len(&self) -> usize {
        self.planes.first().map_or(0, Vec::len)
    }

    /// Samples from zero to the end of the window.
    pub(super) fn end(&self) -> i64 {
        let samples = self.first_frame.saturating_mul(u64::from(AAC_FRAME_SAMPLES));
        i64::try_from(samples.saturating_add(u64::try_from(self.len()).unwrap_or(0))).unwrap_or(i64::MAX)
    }

    /// Number of whole AAC frames from zero to the end of the window.
    pub(super) fn end_frame(&self) -> u64 {
        self.first_frame + u64::try_from(self.len() / FRAME).unwrap_or(0)
    }

    /// Lets go of what lies before an AAC frame.
    pub(super) fn forget_before(&mut self, frame: u64) {
        let drop = usize::try_from(frame.saturating_sub(self.first_frame)).unwrap_or(0);
        let drop = drop.min(self.len() / FRAME);
        if drop >= FORGET_FRAMES_MIN {
            self.cut(0, drop * FRAME);
            self.first_frame += u64::try_from(drop).unwrap_or(0);
        }
    }

    /// One AAC frame of samples per channel; silence outside of the window.
    pub(super) fn frame(&self, frame: i64) -> Vec<Vec<f32>> {
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

    pub(super) fn add_silence(&mut self, samples: usize) {
        self.planes.iter_mut().for_each(|plane| plane.resize(plane.len() + samples, 0.0));
    }

    /// Takes `samples` away from the end.
    pub(super) fn shorten(&mut self, samples: usize) {
        self.planes.iter_mut().for_each(|plane| plane.truncate(plane.len().saturating_sub(samples)));
    }

    /// Takes `samples` away at `start` samples behind the window's first.
    pub(super) fn cut(&mut self, start: usize, samples: usize) {
        self.planes.iter_mut().for_each(|plane| {
            let end = (start + samples).min(plane.len());
            plane.drain(start.min(end)..end);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_sound_is_silent_outside_of_itself() {
        let mut pcm = Pcm::new(1, 0);
        pcm.planes[0] = (0..300u16).flat_map(|frame| vec![f32::from(frame); FRAME]).collect();
        assert_eq!(pcm.end_frame(), 300);
        pcm.forget_before(290);
        assert_eq!((pcm.end_frame(), pcm.first_frame), (300, 290));
        assert_eq!(pcm.frame(-1)[0], vec![0.0; FRAME]);
        assert_eq!(pcm.frame(300)[0], vec![0.0; FRAME]);
        assert_eq!(pcm.frame(299)[0], vec![299.0; FRAME]);
    }

    #[test]
    fn a_window_may_begin_anywhere() {
        let mut pcm = Pcm::new(2, 1000);
        assert_eq!((pcm.end_frame(), pcm.end()), (1000, 1_024_000));
        pcm.add_silence(FRAME + 1);
        assert_eq!((pcm.end_frame(), pcm.end()), (1001, 1_025_025));
    }
}
