use super::*;

const RATE: u32 = 48_000;

/// Fine units of a number of milliseconds.
fn ms(ms: i64) -> i64 {
    ms * FINE * 48
}

fn shape(rate: u32) -> Shape {
    Shape { rate, format: 8, channels: 2 }
}

/// Frames of 1024 samples of which number `n` is stamped `due(n, exact position)`.
fn frames(source_rate: u32, numbers: std::ops::Range<u64>, due: impl Fn(u64, i64) -> i64) -> Vec<Heard<u64>> {
    let heard = |n: u64| {
        let due = Some(due(n, nominal(n * 1024, source_rate, RATE)));
        Heard { frame: n, shape: shape(source_rate), samples: 1024, due }
    };
    numbers.map(heard).collect()
}

/// Everything that comes out, in order.
fn placed(heard: Vec<Heard<u64>>) -> Vec<Placed<u64>> {
    let count = heard.len();
    let mut timeline = Timeline::new(RATE);
    let mut out = Vec::new();
    for heard in heard {
        timeline.push(heard);
        out.extend(std::iter::from_fn(|| timeline.pop()));
    }
    timeline.end();
    out.extend(std::iter::from_fn(|| timeline.pop()));
    assert_eq!(out.len(), count, "every frame comes out");
    assert!(out.windows(2).all(|pair| pair[0].frame < pair[1].frame), "in order");
    out
}

/// Frames that begin runs, with the positions of these.
fn starts(placed: &[Placed<u64>]) -> Vec<(u64, Option<i64>)> {
    placed.iter().filter_map(|one| one.start.map(|start| (one.frame, start.position))).collect()
}

/// Frames at knots, with their positions.
fn knots(placed: &[Placed<u64>]) -> Vec<(u64, i64)> {
    placed.iter().filter_map(|one| one.toward.map(|to| (one.frame + to.samples / 1024, to.position))).collect()
}

/// Milliseconds as Matroska has them.
fn rounded(position: i64) -> i64 {
    (position + ms(1) / 2).div_euclid(ms(1)) * ms(1)
}

#[test]
fn exact_time_stamps_are_kept_exactly() {
    let placed = placed(frames(44_100, 0..2000, |_, exact| exact + ms(7)));
    assert_eq!(starts(&placed), [(0, Some(ms(7)))]);
    for (frame, position) in knots(&placed) {
        assert!((position - ms(7) - nominal(frame * 1024, 44_100, RATE)).abs() <= 1, "frame {frame}");
    }
    assert_eq!(knots(&placed).len(), 11, "46 s hold eleven knots");
}

#[test]
fn rounded_time_stamps_are_known_to_a_fraction_of_a_sample() {
    // Frames of 22.05 kHz repeat their pattern of errors after 20 s: no window of 16 s averages that out.
    for (source_rate, limit) in [(44_100, FINE / 8), (48_000, FINE / 8), (32_000, FINE / 8), (22_050, FINE / 2)] {
        let placed = placed(frames(source_rate, 0..3000, |_, exact| rounded(exact)));
        let start = starts(&placed)[0].1.expect("a position");
        assert!(start.abs() < limit, "{source_rate} Hz starts at {start}");
        for (frame, position) in knots(&placed) {
            let off = position - nominal(frame * 1024, source_rate, RATE);
            assert!(off.abs() < limit, "{source_rate} Hz: frame {frame} is off by {off}");
        }
    }
}

#[test]
fn the_same_knots_are_found_from_everywhere() {
    // Rounded, jittering by up to 8 ms, and too fast by one part in a thousand.
    let due = |n: u64, exact: i64| rounded(exact + exact / 1000 + ms(i64::try_from(n * 7919 % 17).expect("small") - 8));
    let whole = knots(&placed(frames(44_100, 0..4000, due)));
    let rest = knots(&placed(frames(44_100, 1500..4000, due)));
    let common: Vec<_> = whole.iter().filter(|(frame, _)| *frame > 1500 + 2 * 173).collect();
    assert!(common.len() > 10);
    for (frame, position) in common {
        let found = rest.iter().find(|(at, _)| at == frame).unwrap_or_else(|| panic!("no knot at frame {frame}"));
        assert!((found.1 - position).abs() <= 2, "frame {frame}: {} and {position}", found.1);
    }
}

#[test]
fn drifting_time_stamps_are_followed() {
    let placed = placed(frames(48_000, 0..20_000, |_, exact| exact - exact / 2000));
    let starts = starts(&placed);
    assert_eq!(starts.len(), 1, "drift is no jump");
    assert!(starts[0].1.expect("a position").abs() < ms(1) / 2, "it begins where it should: {starts:?}");
    for (frame, position) in knots(&placed) {
        let exact = nominal(frame * 1024, 48_000, RATE);
        let off = position - (exact - exact / 2000);
        assert!(off.abs() < ms(2), "frame {frame} is off by {off}");
    }
}

#[test]
fn a_gap_of_one_frame_begins_a_run() {
    let placed = placed(frames(48_000, 0..1000, |n, exact| {
        rounded(exact + if n < 500 { 0 } else { nominal(1024, RATE, RATE) })
    }));
    let starts = starts(&placed);
    assert_eq!(starts.iter().map(|start| start.0).collect::<Vec<_>>(), [0, 500]);
    let off = starts[1].1.expect("a position") - nominal(501 * 1024, 48_000, RATE);
    assert!(off.abs() < FINE, "off by {off}");
}

#[test]
fn one_lying_time_stamp_is_ignored() {
    for lie in [-5000, -40, 40, 5000] {
        let placed = placed(frames(48_000, 0..1000, |n, exact| exact + if n == 500 { ms(lie) } else { 0 }));
        assert_eq!(starts(&placed), [(0, Some(0))], "{lie} ms");
        assert!(knots(&placed).iter().all(|(frame, position)| *position == nominal(frame * 1024, 48_000, RATE)));
    }
}

#[test]
fn jitter_is_no_gap() {
    let noise = |n: u64| i64::try_from(n * 7919 % 41).expect("small") - 20;
    let placed = placed(frames(48_000, 0..5000, |n, exact| exact + ms(noise(n))));
    assert_eq!(starts(&placed).len(), 1);
}

#[test]
fn sound_without_time_stamps_follows_on() {
    let mut heard = frames(48_000, 0..100, |_, exact| exact);
    heard.iter_mut().for_each(|heard| heard.due = None);
    assert_eq!(starts(&placed(heard)), [(0, None)]);
}

#[test]
fn another_sample_rate_begins_a_run() {
    let mut heard = frames(48_000, 0..100, |_, exact| exact);
    let at = nominal(100 * 1024, 48_000, RATE);
    heard.extend(
        frames(24_000, 0..100, |_, exact| at + exact)
            .into_iter()
            .map(|heard| Heard { frame: heard.frame + 100, ..heard }),
    );
    assert_eq!(starts(&placed(heard)), [(0, Some(0)), (100, Some(at))]);
}
