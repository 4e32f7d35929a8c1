//! The table of complaints in docs/reference/inputs.md names tests that exist, and all of them.

use std::collections::BTreeSet;
use std::path::Path;

/// Complaints, each of which needs a test.
const CASES: u32 = 20;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Number of the case and names of its tests, of every row of the table.
fn rows() -> Vec<(u32, Vec<String>)> {
    let page = std::fs::read_to_string(repository().join("docs/reference/inputs.md")).unwrap();
    let (_, table) = page.split_once("## Twenty complaints").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let row = |line: &str| {
        let mut cells = line.trim().strip_prefix('|')?.split('|').map(str::trim);
        let case = cells.next()?.parse().ok()?;
        let tests = cells.nth(1)?.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((case, tests))
    };
    table.lines().filter_map(row).collect()
}

/// Names that look like tests in any file of tests.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<_> =
        ["headwater", "transcoder", "pipeline", "catalog-store", "ingest", "packager", "media-store"]
            .iter()
            .map(|name| repository().join(name).join("tests"))
            .filter(|folder| folder.is_dir())
            .collect();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.extend(tests_in(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

/// Functions of a file, and the texts that name trials.
fn tests_in(text: &str) -> Vec<String> {
    let is_name = |word: &str| {
        word.len() > 8 && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
    };
    let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
    let trials = text.split('"').skip(1).step_by(2);
    functions.chain(trials).filter(|word| is_name(word)).map(str::to_owned).collect()
}

#[test]
fn every_complaint_has_tests_and_all_of_them_exist() {
    let (rows, tests) = (rows(), tests());
    assert_eq!(rows.iter().map(|(case, _)| *case).collect::<Vec<_>>(), (1..=CASES).collect::<Vec<_>>());
    for (case, named) in rows {
        assert!(!named.is_empty(), "case {case} has no test");
        for name in named {
            assert!(tests.contains(&name), "case {case}: there is no test {name}");
        }
    }
}

#[test]
fn every_test_of_a_complaint_stands_in_the_table() {
    let named: BTreeSet<String> = rows().into_iter().flat_map(|(_, tests)| tests).collect();
    let numbered = tests().into_iter().filter(|name| name.starts_with("regression_"));
    let missing: Vec<String> = numbered.filter(|name| !named.contains(name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}
