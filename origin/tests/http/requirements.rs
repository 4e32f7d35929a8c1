//! The tables in docs/reference/origin.md name tests that exist, and all of those that are about HTTP.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("is in a folder")
}

/// `module::name` of every test that stands in the right column of a table.
fn named() -> Vec<String> {
    let page = std::fs::read_to_string(repository().join("docs/reference/origin.md")).expect("reads");
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
        is_marked = line == "#[test]" || line == "#[tokio::test]" || line.starts_with("#[tokio::test(");
    }
    tests
}

/// Where a module lies: `raw` is over a socket, `edge::` before an upstream, `http::` in the binary, others here.
fn file_of(module: &str) -> PathBuf {
    let path = module.replace("::", "/");
    let root = repository();
    match module.split("::").next() {
        Some("raw") => root.join("headwater/tests/origin_http.rs"),
        Some("edge") => root.join("origin/tests").join(format!("{path}.rs")),
        Some("http") => {
            let own = root.join("headwater/src").join(format!("{path}.rs"));
            // Few tests stand in the file of what they test.
            let file = path.strip_suffix("/tests").unwrap_or(&path);
            if own.exists() { own } else { root.join("headwater/src").join(format!("{file}.rs")) }
        }
        _ => {
            let here = root.join("origin/tests/http").join(format!("{path}.rs"));
            if here.exists() { here } else { root.join("origin/src").join(format!("{path}.rs")) }
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let named = named();
    assert!(named.len() > 60, "the tables were not found: {}", named.len());
    for name in named {
        let (module, test) = name.rsplit_once("::").expect("has a module");
        assert!(tests_in(&file_of(module)).contains(test), "{name} does not exist");
    }
}

#[test]
fn every_test_of_http_itself_is_named() {
    let named: BTreeSet<String> = named().into_iter().collect();
    let mut count = 0;
    for module in ["delivery", "range::tests", "conditional"] {
        for test in tests_in(&file_of(module)) {
            count += 1;
            assert!(named.contains(&format!("{module}::{test}")), "{module}::{test} stands in no table");
        }
    }
    assert!(count > 30, "the tests were not found: {count}");
}
