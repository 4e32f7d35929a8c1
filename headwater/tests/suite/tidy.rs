//! Rules of the code base that a machine can check: who may depend on whom, and how files look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Crates of this repository, and which of the others each may use.
const EDGES: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("packager", &["domain"]),
    ("transcoder", &["domain"]),
    ("media-store", &["domain"]),
    ("catalog-store", &["domain"]),
    ("ingest", &["catalog-store", "domain", "media-store"]),
    ("pipeline", &["catalog-store", "domain", "media-store", "packager", "transcoder"]),
    ("origin", &["domain", "media-store", "packager"]),
    ("catalog-api", &["catalog-store", "domain", "media-store", "packager"]),
    (
        "headwater",
        &[
            "catalog-api",
            "catalog-store",
            "domain",
            "ingest",
            "media-store",
            "origin",
            "packager",
            "pipeline",
            "transcoder",
        ],
    ),
    ("fixtures", &[]),
    ("benches", &["domain", "media-store", "origin", "packager", "pipeline", "transcoder", "catalog-store"]),
];

/// Foreign crates that one of ours wraps; nobody else may use them.
const WRAPPED: [(&str, &str); 3] =
    [("ffmpeg-next", "transcoder"), ("sqlx", "catalog-store"), ("object_store", "media-store")];

const LINES_MAX: usize = 600;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// (package, its dependency, the dependency's kind: normal, build or dev)
fn dependencies() -> Vec<(String, String, String)> {
    #[expect(clippy::disallowed_methods, reason = "the question is cargo's to answer")]
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&asked.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("normal").to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    let edges = |package: &serde_json::Value| {
        let name = text(&package["name"]);
        let each =
            |dependency: &serde_json::Value| (name.clone(), text(&dependency["name"]), text(&dependency["kind"]));
        package["dependencies"].as_array().unwrap().iter().map(each).collect::<Vec<_>>()
    };
    packages.iter().flat_map(edges).collect()
}

/// Files of the repository's crates with this ending, and their text.
fn files(ending: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = EDGES.iter().map(|(name, _)| repository().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == ending) {
                let shown = path.strip_prefix(repository()).unwrap().to_owned();
                found.push((shown, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Lines of code (no comments) that hold `needle`, in the files that `is_allowed` does not excuse.
fn offenders(needle: &str, is_allowed: impl Fn(&str) -> bool) -> Vec<String> {
    let mut offenders = Vec::new();
    for (path, text) in files("rs") {
        let path = path.display().to_string();
        // This file holds every needle in order to look for it.
        if path.ends_with("suite/tidy.rs") || is_allowed(&path) {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            if line.contains(needle) && !line.trim_start().starts_with("//") {
                offenders.push(format!("{path}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    offenders
}

fn assert_none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

#[test]
fn crates_depend_on_each_other_only_along_the_drawn_edges() {
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    let mut strays = BTreeSet::new();
    for (package, dependency, kind) in dependencies() {
        let Some(known) = allowed.get(package.as_str()) else {
            strays.insert(format!("{package} is not drawn at all"));
            continue;
        };
        let is_ours = allowed.contains_key(dependency.as_str());
        let is_fixture = dependency == "fixtures" && (kind == "dev" || package == "benches");
        // Tests may compose what their crate must not know.
        let is_excused = is_fixture || kind == "dev";
        if is_ours && !known.contains(&dependency.as_str()) && !is_excused {
            strays.insert(format!("{package} -> {dependency} ({kind})"));
        }
    }
    assert_none("edges that ARCHITECTURE.md does not allow", strays.into_iter().collect());
}

#[test]
fn each_foreign_engine_is_wrapped_once() {
    let owner: BTreeMap<&str, &str> = WRAPPED.into_iter().collect();
    let strays = dependencies().into_iter().filter_map(|(package, dependency, _)| {
        let wrapper = owner.get(dependency.as_str())?;
        (package != *wrapper).then(|| format!("{package} -> {dependency}, which belongs to {wrapper}"))
    });
    assert_none("foreign crates outside their wrapper", strays.collect());
}

#[test]
fn files_are_short_and_named_after_their_role() {
    let banned = ["mod.rs", "utils.rs", "helpers.rs", "common.rs", "types.rs", "util.rs", "misc.rs"];
    let mut offenders = Vec::new();
    for (path, text) in files("rs") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if banned.contains(&name.as_str()) {
            offenders.push(format!("{}: a module is named after its role", path.display()));
        }
        if text.lines().count() > LINES_MAX {
            offenders.push(format!("{}: longer than {LINES_MAX} lines", path.display()));
        }
    }
    assert_none("file rules", offenders);
}

#[test]
fn every_crate_begins_with_what_it_is() {
    let roots = |path: &Path| path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let silent = files("rs").into_iter().filter(|(path, text)| roots(path) && !text.starts_with("//!"));
    assert_none("crate roots without a doc", silent.map(|(path, _)| path.display().to_string()).collect());
}

#[test]
fn nothing_is_left_undone_or_switched_off() {
    for needle in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "#[allow("] {
        assert_none(needle, offenders(needle, |_| false));
    }
}

#[test]
fn unsafe_code_stays_in_the_transcoder() {
    let strays = [
        offenders("unsafe {", |path| path.starts_with("transcoder/")),
        offenders("unsafe fn", |path| path.starts_with("transcoder/")),
    ];
    assert_none("unsafe code", strays.concat());
}

#[test]
fn time_and_environment_are_asked_for_in_one_place_each() {
    assert_none(
        "the system clock",
        offenders("SystemTime::now()", |path| path == "headwater/src/clock.rs" || path.contains("/tests/")),
    );
    let may_read = |path: &str| {
        path.starts_with("headwater/src/config")
            || path.starts_with("fixtures/")
            || path.starts_with("benches/")
            || path.contains("/tests/")
            || path.ends_with("build.rs")
    };
    for needle in ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("] {
        assert_none("the environment", offenders(needle, may_read));
    }
}

#[test]
fn object_keys_are_formatted_in_the_layout_only() {
    for needle in ["\"sources/{", "\"media/{", "\"texts/{", "\"documents/{asset}/{", "\"presentations/{", "\"current/{"]
    {
        assert_none("object keys", offenders(needle, |path| path == "media-store/src/layout.rs"));
    }
}

#[test]
fn sql_stays_in_the_catalogue_store() {
    for needle in ["\"select ", "\"insert into ", "\"delete from ", "\"create table "] {
        assert_none("SQL", offenders(needle, |path| path.starts_with("catalog-store/")));
    }
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places = ["\"/work/", "\"/home/", "\"/root/", "\"/Users/"];
    for needle in places {
        assert_none("machine paths", offenders(needle, |_| false));
    }
    for (path, text) in files("toml") {
        assert!(!places.iter().any(|place| text.contains(place)), "{} names a machine path", path.display());
    }
}
