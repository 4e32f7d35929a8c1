//! `headwater reprocess` as an operator runs it: beside a working server, whose viewers go on.

use fixtures::media::{self, ClipSpec};
use reqwest::StatusCode;

use crate::harness::{PATIENCE, Server, run, text};

/// All media playlists of a multivariant playlist, as paths.
async fn playlists(server: &Server, master: &str) -> Vec<String> {
    let folder = master.rsplit_once('/').unwrap().0;
    let text = server.text(master).await;
    let quoted = |line: &str| line.split_once("URI=\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    let named =
        text.lines().filter_map(|line| if line.starts_with('#') { quoted(line) } else { Some(line.to_owned()) });
    named.filter(|name| name.ends_with("playlist.m3u8")).map(|name| format!("{folder}/{name}")).collect()
}

/// The bytes of everything that a media playlist names.
async fn played(server: &Server, playlist: &str) -> Vec<Vec<u8>> {
    let folder = playlist.rsplit_once('/').unwrap().0;
    let mut played = Vec::new();
    for line in server.text(playlist).await.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let answer = server.get(&format!("{folder}/{line}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{folder}/{line}");
        played.push(answer.bytes().await.unwrap().to_vec());
    }
    assert!(!played.is_empty(), "{playlist}");
    played
}

#[tokio::test]
async fn viewers_go_on_while_an_asset_is_processed_anew_through_a_crash() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let clip = media::clip(&ClipSpec { seconds: 9.0, ..ClipSpec::default() });
    let server = Server::start(&data);
    let address = server.upload(&clip).await;
    let found = server.settled(&address).await;
    let (id, master) = (found["id"].as_str().unwrap(), found["playback"]["hls"].as_str().unwrap().to_owned());
    let old = playlists(&server, &master).await;
    let mut before = Vec::new();
    for playlist in &old {
        before.push(played(&server, playlist).await);
    }
    let reprocess = |args: &[&str]| {
        let output = run(&[&["reprocess"], args, &["--data-dir", text(&data)]].concat());
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = reprocess(&["--all", "--older-than-recipe"]);
    assert_eq!((code, told.starts_with("same  ")), (0, true), "{told}");

    // Other settings, as after an upgrade, and a server that dies while they are put to use.
    server.kill();
    let settings = ["--set", "x264_crf=35", "--set", "passthrough=false"];
    let server = Server::start_with(&data, &settings);
    let (code, told) = reprocess(&[&["--all", "--older-than-recipe"], &settings[..]].concat());
    assert_eq!((code, told.trim()), (0, format!("new   {id}  generation 2 will be made").as_str()));
    let (code, told) = reprocess(&[id]);
    assert!(code == 0 && (told.starts_with("busy  ") || told.starts_with("new   ")), "{told}");
    let begun = std::time::Instant::now();
    while server.json(&address).await["reprocessing"]["progress"].as_f64().unwrap_or(0.0) == 0.0 {
        assert!(begun.elapsed() < PATIENCE, "{}", server.json(&address).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(playlists(&server, &master).await, old, "nothing of the new output is shown");
    for (playlist, before) in old.iter().zip(&before) {
        assert_eq!(&played(&server, playlist).await, before, "{playlist}");
    }
    server.kill();
    let server = Server::start_with(&data, &settings);
    let begun = std::time::Instant::now();
    while server.json(&address).await["generation"] != 2 {
        assert!(begun.elapsed() < PATIENCE, "{}", server.json(&address).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let mut new = old.clone();
    while new == old {
        assert!(begun.elapsed() < PATIENCE, "the pointer never follows");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        new = playlists(&server, &master).await;
    }
    assert!(new.iter().all(|playlist| playlist.contains("/g2/")), "{new:?}");
    for playlist in &new {
        played(&server, playlist).await;
    }
    for (playlist, before) in old.iter().zip(&before) {
        assert_eq!(&played(&server, playlist).await, before, "a player that began with it: {playlist}");
    }
    let output = run(&["verify", id, "--reencode", "2", "--data-dir", text(&data)]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_cannot_be_processed_anew_is_told() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    assert_eq!(run(&["reprocess"]).status.code(), Some(2), "an asset or --all");
    let nowhere = run(&["reprocess", "--all", "--data-dir", text(&data)]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(!data.exists());
    assert_eq!(run(&["migrate", "--data-dir", text(&data)]).status.code(), Some(0));
    let unknown = run(&["reprocess", "ast_00000000000000000000000001", "--data-dir", text(&data)]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no asset ast_"));
    let none = run(&["reprocess", "--all", "--data-dir", text(&data)]);
    assert_eq!((none.status.code(), none.stdout.as_slice()), (Some(0), &b""[..]));
}
