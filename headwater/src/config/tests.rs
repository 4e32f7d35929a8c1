use std::path::Path;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn merged(file: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    merge(Some((Path::new("h.toml"), file)), &pairs(environment), &pairs(flags)).map_err(|error| error.to_string())
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let port = |environment: &[(&str, &str)], flags: &[(&str, &str)]| {
        merged("listen = \"127.0.0.1:1\"", environment, flags).unwrap().listen.port()
    };
    assert_eq!(merge(None, &[], &[]).unwrap().listen.port(), 8080);
    assert_eq!(port(&[], &[]), 1);
    assert_eq!(port(&[("HEADWATER_LISTEN", "127.0.0.1:2")], &[]), 2);
    assert_eq!(port(&[("HEADWATER_LISTEN", "127.0.0.1:2")], &[("listen", "127.0.0.1:3")]), 3);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let unknown = |file: &str, environment: &[(&str, &str)]| merged(file, environment, &[]).unwrap_err();
    assert_eq!(unknown("lisen = \"x\"", &[]), "h.toml: unknown key \"lisen\"; did you mean \"listen\"?");
    assert_eq!(
        unknown("", &[("HEADWATER_LEASE", "1")]),
        "HEADWATER_LEASE: unknown key \"lease\"; did you mean \"lease_s\"?"
    );
    assert_eq!(unknown("completely_different_thing = 1", &[]), "h.toml: unknown key \"completely_different_thing\"");
}

#[test]
fn variables_of_the_tests_are_nobodys_settings() {
    merged("", &[("HEADWATER_TEST_POSTGRES_URL", "x"), ("HEADWATER_CORPUS", "y")], &[]).unwrap();
}

#[test]
fn a_wrong_value_is_blamed_on_its_key_and_its_place() {
    let refused = |file: &str, flags: &[(&str, &str)]| merged(file, &[], flags).unwrap_err();
    assert!(refused("listen = \"nowhere\"", &[]).starts_with("h.toml: listen is not usable"));
    assert!(refused("lease_s = \"long\"", &[]).starts_with("h.toml: lease_s is not usable"));
    assert_eq!(refused("", &[("lease_s", "x")]), "--lease-s: lease_s must be a whole number, not \"x\"");
    assert_eq!(
        refused("", &[("passthrough", "maybe")]),
        "--passthrough: passthrough must be true or false, not \"maybe\""
    );
    assert!(!merged("", &[], &[("passthrough", "false")]).unwrap().recipe().passthrough);
    assert!(refused("", &[("ladder_probe", "never")]).contains("ladder_probe is not usable"));
    assert_eq!(merged("", &[], &[("ladder_probe", "always")]).unwrap().recipe().ladder_probe, LadderProbe::Always);
    assert_eq!(merged("", &[], &[]).unwrap().recipe().per_title_db, None);
    assert_eq!(merged("per_title_db = 16", &[], &[]).unwrap().recipe().per_title_db, Some(16));
    assert_eq!(merged("", &[], &[]).unwrap().recipe().loudness_target_lufs, None);
    assert_eq!(merged("loudness_target_lufs = -16", &[], &[]).unwrap().recipe().loudness_target_lufs, Some(-16));
    assert_eq!(
        refused("", &[("loudness_target_lufs", "-9")]),
        "--loudness-target-lufs: loudness_target_lufs must lie between -31 and -10, or be 0, not -9"
    );
    assert_eq!(refused("", &[("per_title_db", "7")]), "--per-title-db: per_title_db must lie between 8 and 25, not 7");
    assert_eq!(refused("codecs = [\"hevc\"]", &[]), "h.toml: codecs must begin with h264, which every player can show");
    assert_eq!(refused("", &[("codecs", "h264,av1,av1")]), "--codecs: codecs must name each codec once");
    assert!(refused("codecs = [\"h264\", \"vp9\"]", &[]).contains("codecs is not usable"));
    for other in ["app.example.org", "https://app.example.org/", "https://App.example.org", "null"] {
        let told = refused("", &[("api_origins", other)]);
        assert!(told.starts_with("--api-origins: api_origins must hold origins such as"), "{told}");
    }
    for list in ["*", "https://app.example.org,http://localhost:5173"] {
        merged("", &[], &[("api_origins", list)]).unwrap();
    }
    let recipe = merged("", &[], &[("codecs", "h264,av1"), ("svtav1_preset", "10")]).unwrap().recipe();
    assert_eq!(recipe.extra_codecs, [ExtraCodec { codec: Codec::Av1, preset: "10".into(), crf: 35 }]);
    assert_eq!(refused("lease_s = 1", &[]), "h.toml: lease_s must lie between 5 and 3600, not 1");
    assert!(refused("roles = [\"cook\"]", &[]).contains("roles is not usable"));
    assert_eq!(refused("roles = []", &[]), "h.toml: roles must name at least one role");
    assert!(refused("storage_url = \"ftp://x\"", &[]).contains("must begin with file:/// or s3://"));
    assert!(refused("listen = ", &[]).starts_with("h.toml is not valid TOML"));
}

#[test]
fn secrets_are_never_printed() {
    let config = merged(
        "storage_secret_key = \"hush\"\ndatabase_url = \"postgres://me:hush@host/db\"",
        &[("HEADWATER_STORAGE_ACCESS_KEY", "hush")],
        &[],
    );
    let printed = effective(&config.unwrap());
    assert!(!printed.contains("hush"), "{printed}");
    assert!(printed.contains("storage_secret_key = \"<hidden>\""), "{printed}");
    assert!(printed.contains("database_url = \"postgres://me:hidden@host/db\""), "{printed}");
}

#[test]
fn what_is_printed_loads_again() {
    let config = merge(None, &[], &[]).unwrap();
    assert_eq!(merged(&effective(&config), &[], &[]).unwrap(), config);
}

#[test]
fn the_sample_file_is_the_table_and_loads_to_the_defaults() {
    let file = std::fs::read_to_string(repository().join("headwater.sample.toml")).unwrap();
    assert_eq!(file, sample(), "write `headwater config --sample` to headwater.sample.toml");
    assert_eq!(merged(&file, &[], &[]).unwrap(), merge(None, &[], &[]).unwrap());
}

#[test]
fn the_reference_page_is_the_table() {
    let page = std::fs::read_to_string(repository().join("docs/reference/config.md")).unwrap();
    assert_eq!(page, reference(), "write `headwater config --reference` to docs/reference/config.md");
}
