//! Copies of the database of a server that is written to, and putting them back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{self, Server, run, text};

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

fn manifest(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.manifest.json", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_backup_of_a_busy_server_is_there_after_it_is_restored() {
    let temp = tempfile::tempdir().unwrap();
    let (data, copies) = (temp.path().join("data"), temp.path().join("copies"));
    let server = Server::start(&data);
    let stop = Arc::new(AtomicBool::new(false));
    // Four write as fast as they can; what is acknowledged is noted at once.
    let known: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (url, stop, known) = (server.url.clone(), Arc::clone(&stop), Arc::clone(&known));
        writers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let Some(upload) = harness::create(&url, 4, "a.mp4").await else { return };
                known.lock().unwrap().push(upload.asset);
            }
        });
    }
    while known.lock().unwrap().len() < 50 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut before = Vec::new();
    for nth in 0..3 {
        before = known.lock().unwrap().clone();
        let file = copies.join(format!("{nth}.db"));
        let made = tokio::task::block_in_place(|| run(&["backup", text(&file), "--data-dir", text(&data)]));
        assert!(made.status.success(), "{}", told(&made));
    }
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;
    let after = known.lock().unwrap().len();
    assert!(after > before.len(), "it was written to meanwhile");
    let copy = copies.join("2.db");
    let found: Value = serde_json::from_slice(&std::fs::read(manifest(&copy)).unwrap()).unwrap();
    assert!(found["last_event"].as_u64().unwrap() >= before.len() as u64, "{found}");
    let refused = run(&["restore", text(&copy), "--data-dir", text(&data)]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(told(&refused).contains("in use by another headwater process"), "{}", told(&refused));
    server.kill();

    // In a new place, and in that of the server itself.
    for target in [temp.path().join("elsewhere"), data] {
        let restored = run(&["restore", text(&copy), "--data-dir", text(&target)]);
        assert!(restored.status.success(), "{}", told(&restored));
        if !target.join("secrets.key").exists() {
            let refused = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&target)]);
            assert!(!refused.status.success() && told(&refused).contains("put it back"), "{}", told(&refused));
            std::fs::copy(temp.path().join("data/secrets.key"), target.join("secrets.key")).unwrap();
        }
        let server = Server::start(&target);
        let mut missing = 0;
        for asset in &before {
            missing += usize::from(server.get(asset).await.status() != StatusCode::OK);
        }
        assert_eq!(missing, 0, "of {}", before.len());
        let judged = run(&["audit", "verify", "--data-dir", text(&target)]);
        assert!(judged.status.success(), "{}", told(&judged));
    }
    let kept = std::fs::read_dir(temp.path().join("data")).unwrap();
    let kept = kept.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("before-restore"));
    assert_eq!(kept.count(), 1, "what was replaced is kept");
}

#[test]
fn a_copy_that_is_not_what_was_copied_is_refused_and_nothing_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let (data, copies) = (temp.path().join("data"), temp.path().join("copies"));
    drop(Server::start(&data));
    let made = run(&["backup", &format!("{}/", copies.display()), "--data-dir", text(&data)]);
    assert!(made.status.success(), "{}", told(&made));
    let file = std::fs::read_dir(&copies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "db"));
    let file = file.unwrap();
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("headwater-20"), "{}", file.display());
    let again = run(&["backup", text(&file), "--data-dir", text(&data)]);
    assert!(!again.status.success() && told(&again).contains("is there already"), "{}", told(&again));
    let database = data.join("catalog.db");
    let before = std::fs::read(&database).unwrap();
    let refused = |why: &str| {
        let refused = run(&["restore", text(&file), "--data-dir", text(&data)]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(told(&refused).contains(why), "{}", told(&refused));
        assert_eq!(std::fs::read(&database).unwrap(), before);
        assert!(!data.join("catalog.db.restoring").exists());
    };
    let (whole, said) = (std::fs::read(&file).unwrap(), std::fs::read_to_string(manifest(&file)).unwrap());
    let mut spoilt = whole.clone();
    let half = spoilt.len() / 2;
    spoilt[half] ^= 1;
    std::fs::write(&file, &spoilt).unwrap();
    refused("is not what was copied");
    std::fs::write(&file, &whole[..half]).unwrap();
    refused("is not what was copied");
    std::fs::write(&file, &whole).unwrap();
    let mut newer: Value = serde_json::from_str(&said).unwrap();
    newer["schema"] = 9999.into();
    std::fs::write(manifest(&file), newer.to_string()).unwrap();
    refused("use the version of headwater that made it");
    std::fs::remove_file(manifest(&file)).unwrap();
    refused("which says what is in the copy");
    std::fs::write(manifest(&file), &said).unwrap();
    assert!(run(&["restore", text(&file), "--data-dir", text(&data)]).status.success());
    let other = ["--set", "database_url=postgres://nobody@127.0.0.1:1/none", "--data-dir", text(&data)];
    let refused = run(&[&["backup", text(&copies)], &other[..]].concat());
    assert!(!refused.status.success() && told(&refused).contains("pg_dump"), "{}", told(&refused));
}
