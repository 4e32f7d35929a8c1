//! Tests of the checks between the ledger and a presentation.

use super::*;

fn entry(ticks: u64) -> SegmentEntry {
    SegmentEntry { ticks, bytes: None, sha256: None, keyframes: vec![] }
}

fn row(index: u32, ticks: u64, bytes: u64) -> SegmentRow {
    SegmentRow {
        asset: AssetId::from_u128(1),
        generation: Generation(1),
        rendition: RenditionId::new("240p").expect("a name"),
        index,
        ticks,
        bytes,
        sha256: format!("{index:064}"),
        keyframes: vec![],
    }
}

fn check(rows: Vec<SegmentRow>) -> Option<u64> {
    let planned = [entry(2000), entry(2000), entry(1000)];
    let scale = Timescale::new(1000).expect("not zero");
    complete(&planned, rows, scale).map(|(_, rates)| rates.average.0)
}

#[test]
fn all_planned_rows_in_any_order_are_complete() {
    assert_eq!(check(vec![row(2, 1000, 100), row(0, 2000, 300), row(1, 2000, 100)]), Some(800));
}

#[test]
fn a_missing_doubled_empty_or_misplaced_row_is_not_complete() {
    assert_eq!(check(vec![]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1), row(3, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 1), row(1, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 2000, 0), row(2, 1000, 1)]), None);
    assert_eq!(check(vec![row(0, 2000, 1), row(1, 1999, 1), row(2, 1000, 1)]), None);
}
