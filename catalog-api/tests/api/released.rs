//! What was released stays: the description of the API against the one of the last release.

mod rules;

use std::collections::BTreeSet;

use serde_json::Value;

const RELEASED: &str = include_str!("../../openapi.released.json");
const PRESENT: &str = include_str!("../../openapi.json");
const ON_PURPOSE: &str = include_str!("../../openapi.breaks.txt");

#[test]
fn what_was_released_is_still_answered() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let found: BTreeSet<String> = rules::breaks(&read(RELEASED), &read(PRESENT)).into_iter().collect();
    let line = |line: &'static str| line.split_once('#').map_or(line, |(before, _)| before).trim().to_owned();
    let wanted: BTreeSet<String> = ON_PURPOSE.lines().map(line).filter(|line| !line.is_empty()).collect();
    let new: Vec<&String> = found.difference(&wanted).collect();
    assert!(new.is_empty(), "clients of the released API would break:\n{}\nSee docs/api.md, Changes.", joined(&new));
    let gone: Vec<&String> = wanted.difference(&found).collect();
    assert!(gone.is_empty(), "openapi.breaks.txt tells of what is not so:\n{}", joined(&gone));
}

fn joined(lines: &[&String]) -> String {
    lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}
