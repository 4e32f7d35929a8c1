//! A database that is older than its storage: what viewers see follows it, and no address gets other content.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use m3u8_rs::AlternativeMediaType;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Asked, Server, run, text};
use crate::server::until;
use crate::versions::{clip, played, replace, state_of, try_played, until_played, versions};

const CUES: &str = "1\n00:00:00,500 --> 00:00:01,500\nHello\n";

/// Adds subtitles under this name and waits until players see them.
async fn say(server: &Server, asset: &str, hls: &str, name: &str) {
    let added = Client::new().post(format!("{}{asset}/subtitles?language=en&name={name}", server.url)).body(CUES);
    assert_eq!(added.asked().await.unwrap().status(), StatusCode::CREATED);
    until(&format!("{name} is seen"), || async { said(server, hls).await.contains(name) }).await;
}

/// The names of the subtitles that players see.
async fn said(server: &Server, hls: &str) -> BTreeSet<String> {
    let (_, master) = m3u8_rs::parse_master_playlist(server.text(hls).await.as_bytes()).unwrap();
    let subtitles = master.alternatives.into_iter().filter(|one| one.media_type == AlternativeMediaType::Subtitles);
    subtitles.map(|one| one.name).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn restored(copy: &Path, data: &Path) {
    let done = run(&["restore", text(copy), "--data-dir", text(data)]);
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(told.contains("numbered anew: 1 assets will be published again"), "{told}");
}

/// What stands under an address that was seen is what stood there, or nothing.
async fn assert_unchanged(server: &Server, seen: &BTreeMap<String, Vec<u8>>) {
    for (path, octets) in seen {
        let answer = server.get(path).await;
        match answer.status() {
            StatusCode::OK => assert_eq!(answer.bytes().await.unwrap(), octets[..], "{path} has other octets"),
            status => assert!(status == StatusCode::NOT_FOUND || status == StatusCode::GONE, "{status} {path}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_viewers_see_what_the_database_says_and_no_number_is_given_again() {
    let temp = tempfile::tempdir().unwrap();
    let (data, copy) = (temp.path().join("data"), temp.path().join("copy.db"));
    let server = Server::start(&data);
    let asset = server.upload(&clip(4)).await;
    let found = server.settled(&asset).await;
    let hls = found["playback"]["hls"].as_str().unwrap().to_owned();
    say(&server, &asset, &hls, "before").await;
    let (_, mut seen) = played(&server, &hls).await;
    let made = run(&["backup", text(&copy), "--data-dir", text(&data)]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The storage goes on, further than the copy will count for long.
    for name in ["lost-1", "lost-2", "lost-3"] {
        say(&server, &asset, &hls, name).await;
    }
    replace(&server, &asset, &clip(7)).await;
    until_played(&server, &hls, 7).await;
    let back = format!("{}{asset}/versions/1/restore", server.url);
    assert_eq!(Client::new().post(back).asked().await.unwrap().status(), StatusCode::OK);
    until_played(&server, &hls, 4).await;
    let forth = format!("{}{asset}/versions/2/restore", server.url);
    assert_eq!(Client::new().post(forth).asked().await.unwrap().status(), StatusCode::OK);
    until_played(&server, &hls, 7).await;
    seen.extend(played(&server, &hls).await.1);
    server.kill();

    for (round, seconds) in [(1, 9), (2, 6)] {
        restored(&copy, &data);
        let server = Server::start(&data);
        // A player may begin with the output that only the lost time knew, in the moment before it is taken away.
        until("what the copy knows is played", || async {
            try_played(&server, &hls).await.is_ok_and(|(seconds, _)| seconds == "4")
        })
        .await;
        until("what was lost is gone", || async { said(&server, &hls).await == names(&["before"]) }).await;
        say(&server, &asset, &hls, "after").await;
        assert_eq!(said(&server, &hls).await, names(&["before", "after"]), "round {round}");
        let chapters = Client::new().put(format!("{}{asset}/chapters", server.url));
        let chapters = chapters.json(&json!({ "chapters": [{ "start_seconds": 0, "title": "anew" }] }));
        assert!(chapters.asked().await.unwrap().status().is_success());
        let shown = format!("{}/chapters.json", hls.rsplit_once('/').unwrap().0);
        until("the chapter is seen", || async {
            let answer = server.get(&shown).await;
            answer.status() == StatusCode::OK && answer.text().await.unwrap().contains("anew")
        })
        .await;

        // A file that takes its place is stored, made and shown under names that nothing had.
        replace(&server, &asset, &clip(seconds)).await;
        until_played(&server, &hls, seconds).await;
        let all = versions(&server, &asset).await;
        let newest = all.first().unwrap();
        assert_eq!((&newest["is_in_force"], &newest["state"]), (&json!(true), &json!("ready")), "{all:?}");
        let number = newest["version"].as_u64().unwrap();
        assert!(number > 2, "2 was stored by then: {all:?}");
        assert_eq!(state_of(&server, &asset, number).await, "ready");
        let (_, octets) = played(&server, &hls).await;
        assert!(octets.keys().all(|path| !seen.contains_key(path)), "an address is used again");
        seen.extend(octets);
        assert_unchanged(&server, &seen).await;
        let id = asset.rsplit('/').next().unwrap();
        let verified = run(&["verify", id, "--json", "--data-dir", text(&data)]);
        let report: Value = serde_json::from_slice(&verified.stdout).unwrap();
        let faults: BTreeSet<&str> =
            report["findings"].as_array().unwrap().iter().map(|one| one["fault"].as_str().unwrap()).collect();
        assert!(faults.iter().all(|fault| *fault == "stranger"), "{report:#}");
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_program_put_back_is_numbered_anew_by_a_command() {
    let temp = tempfile::tempdir().unwrap();
    let (data, copy) = (temp.path().join("data"), temp.path().join("copy.db"));
    let server = Server::start(&data);
    let asset = server.upload(&clip(4)).await;
    let found = server.settled(&asset).await;
    let hls = found["playback"]["hls"].as_str().unwrap().to_owned();
    let refused = run(&["renumber", "--data-dir", text(&data)]);
    assert_eq!(refused.status.code(), Some(1), "while the server runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by another headwater process"));
    assert!(run(&["backup", text(&copy), "--data-dir", text(&data)]).status.success());
    for name in ["lost-1", "lost-2"] {
        say(&server, &asset, &hls, name).await;
    }
    server.kill();
    // As somebody would who knows files only.
    for end in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("catalog.db{end}")));
    }
    std::fs::copy(&copy, data.join("catalog.db")).unwrap();
    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.code() == Some(1) && told.contains("run `headwater renumber`"), "{told}");
    let done = run(&["renumber", "--data-dir", text(&data)]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let server = Server::start(&data);
    until("what was lost is gone", || async { said(&server, &hls).await.is_empty() }).await;
    say(&server, &asset, &hls, "after").await;
    assert_eq!(said(&server, &hls).await, names(&["after"]));
}
