//! Measured bit rates of a rendition, from the sizes of its segments.

use domain::presentation::SegmentEntry;
use domain::{Bitrate, Presentation, Timescale};

use crate::hls;

/// Peak and mean rate of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Largest rate of any run of segments that lasts 0.5 to 1.5 target durations (RFC 8216 §4.3.4.2).
    pub peak: Bitrate,
    /// All octets over all time.
    pub average: Bitrate,
}

/// Rates of the segments `(ticks, bytes)`, in order; `None` if they last no time.
///
/// Both are rounded up. A rendition shorter than half a target duration counts as one run.
pub fn measure(segments: &[(u64, u64)], timescale: Timescale, target_s: u32) -> Option<Rates> {
    let scale = u128::from(timescale.per_second());
    let rate = |ticks: u64, bytes: u64| {
        let bits = u128::from(bytes) * 8 * scale;
        (ticks > 0).then(|| Bitrate(u64::try_from(bits.div_ceil(u128::from(ticks))).unwrap_or(u64::MAX)))
    };
    let sum = |segments: &[(u64, u64)]| segments.iter().fold((0, 0), |(t, b), (ticks, bytes)| (t + ticks, b + bytes));
    let (ticks, bytes) = sum(segments);
    let average = rate(ticks, bytes)?;
    let target = u64::from(timescale.per_second()) * u64::from(target_s);
    let mut peak = None;
    for first in 0..segments.len() {
        let (mut ticks, mut bytes) = (0, 0);
        for segment in &segments[first..] {
            (ticks, bytes) = (ticks + segment.0, bytes + segment.1);
            if 2 * ticks > 3 * target {
                break;
            }
            if 2 * ticks >= target {
                peak = peak.max(rate(ticks, bytes));
            }
        }
    }
    Some(Rates { peak: peak.unwrap_or(average).max(average), average })
}

/// Measures every rendition of which all segments are there, by the target duration that its playlist states.
pub fn fill(presentation: &mut Presentation) {
    let target_s = hls::target_duration_s(presentation);
    for one in &mut presentation.video {
        if let Some(rates) = of(&one.segments, one.timescale, target_s) {
            (one.peak_bitrate, one.average_bitrate) = (rates.peak, rates.average);
        }
    }
    for one in &mut presentation.audio {
        if let Some(rates) = of(&one.segments, one.timescale, target_s) {
            (one.peak_bitrate, one.average_bitrate) = (rates.peak, rates.average);
        }
    }
}

/// Rates of these segments; `None` unless all are there.
pub(crate) fn of(segments: &[SegmentEntry], timescale: Timescale, target_s: u32) -> Option<Rates> {
    let sizes: Option<Vec<(u64, u64)>> = segments.iter().map(|segment| Some((segment.ticks, segment.bytes?))).collect();
    measure(&sizes?, timescale, target_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(segments: &[(u64, u64)], expected: Option<(u64, u64)>) {
        let scale = Timescale::new(1000).expect("not zero");
        let found = measure(segments, scale, 6).map(|rates| (rates.peak.0, rates.average.0));
        assert_eq!(found, expected, "{segments:?}");
    }

    #[test]
    fn the_peak_is_that_of_the_densest_run_near_the_target_duration() {
        check(&[(6000, 6000), (6000, 12_000), (6000, 6000)], Some((16_000, 10_667)));
        // 2 s segments are too short to count alone.
        check(&[(2000, 4000), (2000, 1000), (2000, 1000), (6000, 6000)], Some((10_000, 8000)));
    }

    #[test]
    fn a_film_is_measured_by_the_target_that_its_playlists_state() {
        let (mut film, _) = crate::film::film();
        let stated = film.clone();
        for one in &mut film.video {
            (one.peak_bitrate, one.average_bitrate) = (Bitrate(1), Bitrate(1));
        }
        fill(&mut film);
        assert_eq!(film, stated);
        film.video[0].segments[0].bytes = None;
        film.video[0].peak_bitrate = Bitrate(7);
        fill(&mut film);
        assert_eq!(film.video[0].peak_bitrate, Bitrate(7), "what is not there yet is not measured");
    }

    #[test]
    fn a_rendition_of_one_short_segment_has_one_rate() {
        check(&[(40, 100)], Some((20_000, 20_000)));
        check(&[], None);
    }
}
