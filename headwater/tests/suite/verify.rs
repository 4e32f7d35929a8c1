//! `headwater verify` as an operator runs it: beside a working server, on its data, and on PostgreSQL and S3.

use std::fs;
use std::path::Path;

use fixtures::media::{self, ClipSpec};
use serde_json::Value;

use crate::harness::{Server, run, text};

fn clip() -> std::path::PathBuf {
    media::clip(&ClipSpec {
        seconds: 5.0,
        subtitles: vec!["eng"],
        chapters: 2,
        container: "mkv",
        ..ClipSpec::default()
    })
}

/// Exit code, standard output and standard error.
fn verify(args: &[&str]) -> (i32, String, String) {
    let output = run(&[&["verify"], args].concat());
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), told(&output.stdout), told(&output.stderr))
}

#[tokio::test]
async fn damage_is_found_beside_a_working_server_and_told_with_advice() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start(&data);
    let found = server.settled(&server.upload(&clip()).await).await;
    let (asset, playback) = (found["id"].as_str().unwrap(), found["playback"]["playback_id"].as_str().unwrap());
    let at = ["--data-dir", text(&data)];

    let (code, told, errors) = verify(&[&[asset, "--reencode", "2"], &at[..]].concat());
    assert_eq!(code, 0, "{told}{errors}");
    assert!(told.starts_with(&format!("ok    {asset}  ready, ")), "{told}");
    assert!(told.contains("2 encoded again"), "{told}");
    assert_eq!(verify(&[&[playback], &at[..]].concat()).0, 0);

    let segment = data.join(format!("media/media/{asset}/1/audio-0-en/0.m4s"));
    damage(&segment);
    let (code, told, _) = verify(&[&[asset], &at[..]].concat());
    assert_eq!(code, 1);
    for part in ["fail  ", "audio-0-en/0.m4s", "SHA-256", "Put the object back"] {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
    let (code, told, _) = verify(&[&["--all", "--json"], &at[..]].concat());
    let report: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!((code, &report["findings"][0]["fault"]), (1, &Value::from("object_differs")), "{report:#}");
    assert_eq!(report["asset"], asset);
    damage(&segment);

    // The same at rest, without a trace.
    drop(server);
    let before = names(&data);
    let (code, told, errors) = verify(&[&["--all"], &at[..]].concat());
    assert_eq!(code, 0, "{told}{errors}");
    assert!(told.contains("ok    "), "{told}");
    let after = names(&data);
    let made: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    assert!(made.iter().all(|name| name.contains("catalog.db-")), "{made:?}");
}

/// Changes one bit of a file; twice is not at all.
fn damage(file: &Path) {
    let mut body = fs::read(file).unwrap();
    *body.last_mut().unwrap() ^= 1;
    fs::write(file, body).unwrap();
}

/// All files below a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { names.extend(self::names(&path)) } else { names.push(path.display().to_string()) }
    }
    names
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let temp = tempfile::tempdir().unwrap();
    assert_eq!(verify(&[]).0, 2, "an asset or --all");
    assert_eq!(verify(&["holiday"]).0, 2, "no id");
    let nowhere = temp.path().join("nowhere");
    let (code, _, told) = verify(&["--all", "--data-dir", text(&nowhere)]);
    assert_eq!(code, 1);
    assert!(told.contains("cannot read the data folder") && told.contains("--data-dir"), "{told}");
    assert!(!nowhere.exists());

    let data = temp.path().join("data");
    assert_eq!(run(&["migrate", "--data-dir", text(&data)]).status.code(), Some(0));
    let unknown = "ast_00000000000000000000000001";
    let (code, _, told) = verify(&[unknown, "--data-dir", text(&data)]);
    assert_eq!(code, 1);
    assert!(told.contains(&format!("no asset {unknown}")), "{told}");
    let (code, told, errors) = verify(&["--all", "--data-dir", text(&data)]);
    assert_eq!((code, told.trim()), (0, "0 assets, 0 objects, 0 read: 0 with findings"), "{errors}");
}

#[tokio::test]
async fn assets_on_postgres_and_s3_are_read_by_settings_alone() {
    let temp = tempfile::tempdir().unwrap();
    let s3 = fixtures::services::s3();
    let settings = [
        format!("database_url={}", fixtures::services::postgres_url()),
        format!("storage_url={}", s3.url),
        format!("storage_access_key={}", s3.access_key),
        format!("storage_secret_key={}", s3.secret_key),
    ];
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let server = Server::start_with(&temp.path().join("data"), &settings);
    let found = server.settled(&server.upload(&clip()).await).await;
    assert_eq!(found["state"], "ready", "{found}");
    let nowhere = temp.path().join("nowhere");
    let args = [&["--all", "--reencode", "1", "--data-dir", text(&nowhere)], settings.as_slice()].concat();
    let (code, told, errors) = verify(&args);
    assert_eq!(code, 0, "{told}{errors}");
    assert!(told.contains("1 encoded again") && !nowhere.exists(), "{told}");
}
