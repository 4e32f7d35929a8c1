//! Webhooks hear of what happened: from a real server, and over kills in the middle of a message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::double::{Double, turn};
use crate::harness::{self, Asked, PATIENCE, Server};

/// Waits for a condition, level-triggered.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn settings(double: &Double) -> [String; 4] {
    let port = format!("webhook_ports={}", double.address.port());
    ["--set".into(), "webhook_networks=127.0.0.0/8".into(), "--set".into(), port]
}

async fn made(server: &Server, double: &Double) -> Value {
    let wanted = json!({ "url": format!("{}/hook", double.url()), "topics": ["asset.*"] });
    let answer = Client::new().post(format!("{}/api/v1/webhooks", server.url)).json(&wanted).asked().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

#[tokio::test]
async fn what_happened_while_the_server_was_killed_again_and_again_is_sent_and_nothing_is_sent_for_another() {
    let temp = tempfile::tempdir().unwrap();
    // Slow at first, so that kills meet messages in the middle.
    let is_slow = Arc::new(AtomicBool::new(true));
    let slow = Arc::clone(&is_slow);
    let double = Double::new(move |before, _| match (slow.load(Ordering::Relaxed), before % 3) {
        (true, 2) => turn(200, "").after(Duration::from_secs(600)),
        _ => turn(200, ""),
    })
    .await;
    let data = temp.path().join("data");
    let settings = settings(&double);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut server = Server::start_with(&data, &settings);
    made(&server, &double).await;
    let mut uploads = 0;
    for _ in 0..4 {
        let before = double.seen().len();
        for _ in 0..3 {
            harness::create(&server.url, 4, "a.mp4").await.unwrap();
            uploads += 1;
        }
        until("a message is on its way", async || double.seen().len() > before).await;
        server.kill();
        server = Server::start_with(&data, &settings);
    }
    is_slow.store(false, Ordering::Relaxed);
    let sent = || {
        let mut by_event: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
        for seen in double.seen() {
            let seq = seen.json()["data"]["seq"].as_u64().unwrap();
            by_event.entry(seq).or_default().insert(seen.header("webhook-id").to_owned());
        }
        by_event
    };
    until("every event is sent", async || sent().len() == uploads).await;
    assert!(sent().values().all(|ids| ids.len() == 1), "an event is one message, however often it is sent");
    assert_eq!(sent().keys().copied().collect::<Vec<_>>(), (1..=uploads as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_message_to_try_a_webhook_out_is_sent_and_what_became_of_it_is_shown() {
    let temp = tempfile::tempdir().unwrap();
    let double = Double::new(|_, _| turn(202, "")).await;
    let settings = settings(&double);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let server = Server::start_with(&temp.path().join("data"), &settings);
    let made = made(&server, &double).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    let sent = Client::new().post(format!("{}{path}/test", server.url)).asked().await.unwrap();
    assert_eq!(sent.status(), StatusCode::ACCEPTED);
    let sent: Value = sent.json().await.unwrap();
    let one = format!("{path}/deliveries/{}", sent["id"].as_str().unwrap());
    until("it was taken", async || server.json(&one).await["state"] == "delivered").await;
    let known = server.json(&one).await;
    assert_eq!((&known["log"][0]["status"], known["log"].as_array().unwrap().len()), (&json!(202), 1));
    assert_eq!(double.seen()[0].json(), known["payload"]);
    // Into a private network that is not allowed nothing goes.
    let other = Server::start_with(&temp.path().join("other"), &settings[2..]);
    let made = self::made(&other, &double).await;
    let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    Client::new().post(format!("{}{path}/test", other.url)).asked().await.unwrap();
    let list = format!("{path}/deliveries");
    until("it was tried", async || other.json(&list).await["data"][0]["attempts"] == 1).await;
    let told = other.json(&list).await["data"][0]["log"][0]["error"].as_str().unwrap().to_owned();
    assert!(told.contains("private network"), "{told}");
    assert_eq!(double.seen().len(), 1);
}
