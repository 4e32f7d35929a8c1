use proptest::prelude::*;

use super::*;

/// Compares the selection, printed as `whole`, `416` or `a..b c..d`, with what is expected.
#[track_caller]
fn check_range(header: &str, len: u64, expected: &str) {
    let printed = match select(header.as_bytes(), len) {
        Selection::Whole => "whole".to_owned(),
        Selection::Unsatisfiable => "416".to_owned(),
        Selection::One(part) => format!("{}..{}", part.start, part.end),
        Selection::Many(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| format!("{}..{}", part.start, part.end)).collect();
            parts.join(" ")
        }
    };
    assert_eq!(printed, expected, "{header:?} of {len}");
}

#[test]
fn a_single_range_is_clamped_to_the_representation() {
    check_range("bytes=0-", 10, "0..10");
    check_range("bytes=0-0", 10, "0..1");
    check_range("bytes=2-5", 10, "2..6");
    check_range("bytes=9-9", 10, "9..10");
    check_range("bytes=9-10", 10, "9..10");
    check_range("bytes=5-999999", 10, "5..10");
    check_range("BYTES=1-2", 10, "1..3");
    check_range("bytes= \t1-2 ", 10, "1..3");
}

#[test]
fn a_suffix_is_counted_from_the_end() {
    check_range("bytes=-1", 10, "9..10");
    check_range("bytes=-10", 10, "0..10");
    check_range("bytes=-11", 10, "0..10");
    check_range("bytes=-99999999999999999999999999", 10, "0..10");
    check_range("bytes=-0", 10, "416");
}

#[test]
fn what_lies_behind_the_end_is_unsatisfiable() {
    check_range("bytes=10-", 10, "416");
    check_range("bytes=10-20", 10, "416");
    check_range("bytes=10-20,-0,11-", 10, "416");
}

#[test]
fn numerals_of_any_length_saturate() {
    check_range("bytes=1180591620717411303424-", 10, "416");
    check_range("bytes=0-1180591620717411303424", 10, "0..10");
    check_range("bytes=18446744073709551615-18446744073709551615", 10, "416");
    check_range("bytes=00000000000000000000000000000000001-2", 10, "1..3");
}

#[test]
fn an_unknown_unit_or_a_syntax_error_is_ignored() {
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=10",
        "bytes=abc",
        "bytes=5-2",
        "bytes=1-2-3",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=0-1,x",
        "bytes =0-1",
        " bytes=0-1",
        "items=0-1",
        "bytes:0-1",
        "bytes=0-1;2-3",
    ] {
        check_range(header, 10, "whole");
    }
}

#[test]
fn an_empty_representation_has_no_ranges() {
    check_range("bytes=0-", 0, "416");
    check_range("bytes=0-5", 0, "416");
    check_range("bytes=-0", 0, "416");
    check_range("bytes=-5", 0, "whole");
}

#[test]
fn several_ranges_keep_the_order_of_the_request() {
    check_range("bytes= 0-999, 4500-5499, -1000", 10_000, "0..1000 4500..5500 9000..10000");
    check_range("bytes=5000-5009,0-9", 10_000, "5000..5010 0..10");
    check_range("bytes=0-9,,  ,5000-5009,", 10_000, "0..10 5000..5010");
}

#[test]
fn unsatisfiable_ones_among_several_are_dropped() {
    check_range("bytes=0-9,20000-,5000-5009,-0", 10_000, "0..10 5000..5010");
    check_range("bytes=0-9,20000-", 10_000, "0..10");
}

#[test]
fn ranges_that_overlap_or_nearly_touch_are_joined() {
    check_range("bytes=0-9,5-19", 10_000, "0..20");
    check_range("bytes=0-9,10-19", 10_000, "0..20");
    check_range("bytes=0-9,90-99", 10_000, "0..100");
    check_range("bytes=0-9,91-99", 10_000, "0..10 91..100");
    check_range("bytes=90-99,0-9", 10_000, "0..100");
    check_range("bytes=0-9,5000-5009,8-20", 10_000, "0..21 5000..5010");
    check_range("bytes=0-9,200-209,5000-5009,10-199", 10_000, "0..210 5000..5010");
}

#[test]
fn abuse_is_answered_with_the_whole() {
    check_range(&format!("bytes={}", ["0-"; 4].join(",")), 10_000, "whole");
    check_range(&format!("bytes={}", ["0-0"; 17].join(",")), 10_000, "whole");
    check_range("bytes=,,,,,,,,,,,,,,,,0-1", 10_000, "whole");
    let descending: Vec<_> = (0..9).rev().map(|at| format!("{0}-{0}", at * 1000)).collect();
    check_range(&format!("bytes={}", descending.join(",")), 10_000, "whole");
    let most: Vec<_> = (0..16).map(|at| format!("{0}-{0}", at * 600)).collect();
    assert!(
        matches!(select(format!("bytes={}", most.join(",")).as_bytes(), 10_000), Selection::Many(parts) if parts.len() == 16)
    );
}

#[test]
fn parts_that_cost_more_than_the_whole_are_not_split() {
    check_range("bytes=0-100,300-400", 1000, "0..101 300..401");
    check_range("bytes=0-100,200-300", 301, "whole");
    check_range("bytes=8-40,220-", 5000, "whole");
}

proptest! {
    #[test]
    fn no_header_panics(header in proptest::collection::vec(any::<u8>(), 0..64), len: u64) {
        let _ = select(&header, len);
    }

    #[test]
    fn parts_are_disjoint_and_inside(header in "bytes=([0-9]{0,4}-[0-9]{0,4}[, ]{0,2}){1,12}", len in 0u64..20_000) {
        match select(header.as_bytes(), len) {
            Selection::Whole | Selection::Unsatisfiable => {}
            Selection::One(part) => prop_assert!(part.start < part.end && part.end <= len),
            Selection::Many(mut parts) => {
                prop_assert!(parts.len() >= 2);
                parts.sort_by_key(|part| part.start);
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= len));
                prop_assert!(parts.windows(2).all(|pair| pair[0].end + GAP_MAX < pair[1].start));
                let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
                prop_assert!(sum + PART_OVERHEAD_MAX * (parts.len() as u64) < len);
            }
        }
    }

    #[test]
    fn a_single_range_covers_exactly_what_was_asked(first in 0u64..200, count in 1u64..200, len in 1u64..300) {
        let expected = if first < len { Selection::One(first..(first + count).min(len)) } else { Selection::Unsatisfiable };
        prop_assert_eq!(select(format!("bytes={first}-{}", first + count - 1).as_bytes(), len), expected);
    }
}
