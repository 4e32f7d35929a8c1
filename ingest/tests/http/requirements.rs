//! The table of requirements in docs/reference/uploads.md names tests that exist, and all of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `module::name` of every test that stands in the right column of a table.
fn named() -> Vec<String> {
    let page = crate_folder().parent().expect("is in a folder").join("docs/reference/uploads.md");
    let page = std::fs::read_to_string(page).expect("reads");
    let (_, tables) = page.split_once("## Every requirement and its test").expect("has the tables");
    let rows = tables.lines().filter_map(|line| line.trim().strip_suffix('|')?.rsplit_once('|'));
    let names = rows.flat_map(|(_, tests)| tests.split('`').filter(|name| name.contains("::")).map(str::to_owned));
    names.collect()
}

/// The functions of a file that are tests.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut tests = BTreeSet::new();
    let mut is_marked = false;
    for line in text.lines().map(str::trim) {
        let is_function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = is_function.and_then(|rest| rest.split_once('(')).filter(|_| is_marked) {
            tests.insert(name.to_owned());
        }
        is_marked = line == "#[test]" || line == "#[tokio::test]";
    }
    tests
}

/// Where a module lies: among these tests, or in the crate.
fn file_of(module: &str) -> PathBuf {
    let here = crate_folder().join("tests/http").join(format!("{module}.rs"));
    if here.exists() { here } else { crate_folder().join("src").join(format!("{}.rs", module.replace("::", "/"))) }
}

#[test]
fn every_test_that_is_named_exists() {
    let named = named();
    assert!(named.len() > 100, "the tables were not found: {}", named.len());
    for name in named {
        let (module, test) = name.rsplit_once("::").expect("has a module");
        assert!(tests_in(&file_of(module)).contains(test), "{name} does not exist");
    }
}

#[test]
fn every_conformance_test_is_named() {
    let named: BTreeSet<String> = named().into_iter().collect();
    let mut count = 0;
    for entry in std::fs::read_dir(crate_folder().join("tests/http")).expect("lists") {
        let path = entry.expect("reads").path();
        let module = path.file_stem().expect("has a name").to_string_lossy().into_owned();
        if !module.starts_with("tus_") && !module.starts_with("draft_") {
            continue;
        }
        for test in tests_in(&path) {
            count += 1;
            assert!(named.contains(&format!("{module}::{test}")), "{module}::{test} stands in no table");
        }
    }
    assert!(count > 80, "the tests were not found: {count}");
}
