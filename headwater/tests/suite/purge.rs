//! Caches in front hear of what changed: from a real server, over kills, and by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::double::{Double, turn};
use crate::harness::{Asked, PATIENCE, Server, headwater, run, text};

const SECRET: &str = "purge_secret=a secret of some length";

/// Waits for a condition, level-triggered.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every tag that came so far, and whether it was taken.
fn tags(double: &Double) -> Vec<String> {
    let lists = double.seen().into_iter().map(|seen| seen.header("surrogate-key").to_owned());
    lists.flat_map(|list| list.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn hook(double: &Double) -> String {
    format!("purge_targets=http:POST:{}/hook", double.url())
}

fn playback(found: &Value) -> String {
    found["playback"]["id"]
        .as_str()
        .map_or_else(|| found["playback"]["hls"].as_str().unwrap().split('/').nth(2).unwrap().to_owned(), str::to_owned)
}

#[tokio::test]
async fn a_publication_a_change_of_access_and_a_deletion_are_told() {
    let (temp, double) = (tempfile::tempdir().unwrap(), Double::new(|_, _| turn(200, "")).await);
    let (data, target) = (temp.path().join("data"), hook(&double));
    let server = Server::start_with(&data, &["--set", &target, "--set", SECRET]);
    let asset = server.upload(&media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() })).await;
    let found = server.settled(&asset).await;
    let id = playback(&found);
    until("the publication is told", async || tags(&double).contains(&format!("list:{id}"))).await;
    let seen = double.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/hook"));
    assert_eq!(seen[0].header("authorization"), "Bearer a secret of some length");
    assert_eq!((seen[0].json()["soft"].clone(), seen[0].json()["removed"].clone()), (true.into(), false.into()));

    let before = double.seen().len();
    let args = ["access", &id, "--policy", "unlisted", "--data-dir", text(&data), "--set", &target];
    assert!(headwater(&args).output().unwrap().status.success());
    until("the change of access is told", async || double.seen().len() > before).await;
    let told = double.seen().pop().unwrap();
    assert_eq!(
        (told.header("surrogate-key"), told.json()["removed"].clone()),
        (format!("asset:{id}").as_str(), true.into())
    );

    until("both notes of it are told", async || server.text("/metrics").await.contains("purge_lag_seconds")).await;
    let before = double.seen().len();
    let gone = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert!(gone.status().is_success(), "{}", gone.status());
    until("the deletion is told", async || double.seen().len() > before).await;
    assert_eq!(double.seen().pop().unwrap().header("surrogate-key"), format!("asset:{id}"));

    let name = target.strip_prefix("purge_targets=").unwrap();
    let metrics = server.text("/metrics").await;
    let line = format!("headwater_purges_total{{target=\"{name}\",outcome=\"told\"}}");
    assert!(metrics.lines().any(|found| found.starts_with(&line)), "{metrics}");
}

#[tokio::test]
async fn what_was_not_taken_when_the_server_was_killed_is_told_after_it() {
    let (temp, status) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU16::new(503)));
    let answered = Arc::clone(&status);
    // Unless all is well, it refuses at first and then does not answer at all.
    let double = Double::new(move |before, _| match answered.load(Ordering::Relaxed) {
        200 => turn(200, ""),
        _ if before < 2 => turn(503, "not now").header("retry-after", "1"),
        _ => turn(200, "").after(Duration::from_secs(600)),
    })
    .await;
    let (data, target) = (temp.path().join("data"), hook(&double));
    let server = Server::start_with(&data, &["--set", &target]);
    let asset = server.upload(&media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() })).await;
    let id = playback(&server.settled(&asset).await);
    until("it was refused, and is being told", async || double.seen().len() == 3).await;
    let complaint = |line: &Value| line["message"] == "a cache was not told of changes";
    assert_eq!(server.log().iter().filter(|line| complaint(line)).count(), 2);
    let judged = run(&["doctor", "--data-dir", text(&data), "--set", &target, "--json"]);
    let report: Value = serde_json::from_slice(&judged.stdout).unwrap();
    let finding = report["findings"].as_array().unwrap().iter().find(|finding| finding["name"] == "purges").unwrap();
    assert_eq!(finding["verdict"], "warn");
    assert!(finding["text"].as_str().unwrap().contains("503 Service Unavailable: not now"), "{finding}");
    server.kill();

    status.store(200, Ordering::Relaxed);
    let server = Server::start_with(&data, &["--set", &target]);
    until("it is told after the kill", async || double.seen().len() > 3).await;
    assert!(tags(&double)[3..].contains(&format!("list:{id}")), "{:?}", tags(&double));
    let fine = format!("headwater_purge_failing{{target=\"{}\"}} 0", target.strip_prefix("purge_targets=").unwrap());
    until("it is known that it went well", async || server.text("/metrics").await.contains(&fine)).await;
}

#[tokio::test]
async fn what_an_edge_keeps_for_a_year_is_gone_when_its_asset_is_deleted() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    // Each has to know where the other is.
    let place = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let edge_args = ["--roles", "origin", "--upstream", &format!("http://{place}"), "--set", SECRET];
    let edge = Server::start_with(&temp.path().join("edge"), &edge_args);
    let target = format!("purge_targets=edge:{}", edge.url);
    let origin = Server::start_on(&place, &mut headwater(&[]), &data, &["--set", &target, "--set", SECRET]);
    let clip = media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let asset = origin.upload(&clip).await;
    let found = origin.settled(&asset).await;
    let master = found["playback"]["hls"].as_str().unwrap().to_owned();
    let (_, list) = m3u8_rs::parse_master_playlist(edge.text(&master).await.as_bytes()).unwrap();
    let init = format!("{}/init.mp4", list.variants[0].uri.rsplit_once('/').unwrap().0);
    let init = format!("{}/{init}", master.rsplit_once('/').unwrap().0);
    assert_eq!(edge.get(&init).await.status(), StatusCode::OK);
    let kept = async || {
        let answer = edge.get(&init).await;
        let told = answer.headers().get_all("cache-status").iter().next_back().unwrap().to_str().unwrap().to_owned();
        told.starts_with("headwater-edge; hit")
    };
    until("it is kept", kept).await;

    for (secret, status) in [("Bearer wrong", 401), ("", 401)] {
        let asked = Client::new().post(format!("{}/edge/purge", edge.url)).header("authorization", secret);
        assert_eq!(asked.body("{\"all\":true}").asked().await.unwrap().status(), status);
    }
    assert_eq!(edge.get("/edge/purge").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(origin.get("/edge/purge").await.status(), StatusCode::NOT_FOUND);
    assert!(kept().await);

    // By hand, which it takes at once: it has the same again.
    let id = playback(&found);
    let by_hand = run(&["purge", &id, "--data-dir", text(&data), "--set", &target, "--set", SECRET]);
    let told = String::from_utf8(by_hand.stdout).unwrap();
    assert_eq!((by_hand.status.code(), told.trim()), (Some(0), format!("ok    edge:{}  1 tags", edge.url).as_str()));
    assert!(!kept().await);
    until("it is kept again", kept).await;

    let gone = Client::new().delete(format!("{}{asset}", origin.url)).asked().await.unwrap();
    assert!(gone.status().is_success());
    until("nobody gets it any more", async || edge.get(&init).await.status() != StatusCode::OK).await;
}

#[tokio::test]
async fn by_hand_every_asset_can_be_purged_and_what_goes_wrong_is_told() {
    let (temp, double) = (tempfile::tempdir().unwrap(), Double::new(|_, _| turn(403, "no such service")).await);
    let data = temp.path().join("data");
    let fine = Double::new(|before, _| if before == 0 { turn(503, "") } else { turn(200, "{}") }).await;
    let targets = format!("purge_targets=fastly:A@{},fastly:B@{}", fine.url(), double.url());
    let server = Server::start(&data);
    let mut ids = Vec::new();
    for seconds in [2.0, 3.0] {
        let asset = server.upload(&media::clip(&ClipSpec { seconds, ..ClipSpec::default() })).await;
        ids.push(format!("asset:{}", playback(&server.settled(&asset).await)));
    }
    let args = ["purge", "--all", "--data-dir", text(&data), "--set", &targets, "--set", "purge_fastly_token=t"];
    let mut command = headwater(&args);
    let purged = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8(purged.stdout).unwrap();
    assert_eq!(purged.status.code(), Some(1));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], format!("ok    fastly:A@{}  2 tags", fine.url()));
    assert_eq!(lines[1], format!("fail  fastly:B@{}  403 Forbidden: no such service", double.url()));
    let seen = fine.seen();
    assert_eq!((seen.len(), double.seen().len()), (2, 3), "what may pass is tried again, three times at most");
    ids.sort();
    let mut keys: Vec<String> = serde_json::from_value(seen[1].json()["surrogate_keys"].clone()).unwrap();
    keys.sort();
    assert_eq!(keys, ids);
    let nobody = run(&["purge", "--all", "--data-dir", text(&data)]);
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("set purge_targets"));
}
