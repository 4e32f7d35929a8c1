//! What is asked for under a name is done once, whenever the server is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use fixtures::{Dice, dice};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Asked, Server};

/// Kills in the middle of a request.
const KILLS: usize = 8;
/// Longest time between a request and the kill: most take less.
const DELAY: Duration = Duration::from_millis(12);

async fn ask(url: &str, key: &str) -> Option<(StatusCode, bool, Value)> {
    let wanted = json!({ "url": format!("https://example.org/{key}") });
    let request = Client::new().post(format!("{url}/api/v1/webhooks")).header("idempotency-key", key).json(&wanted);
    let answer = request.asked().await.ok()?;
    let (status, is_replayed) = (answer.status(), answer.headers().contains_key("idempotent-replayed"));
    Some((status, is_replayed, answer.json().await.ok()?))
}

#[tokio::test]
async fn what_is_asked_for_again_after_a_kill_is_there_once() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let seed = dice::seed();
    println!("HEADWATER_TEST_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut server = Server::start(&data);
    let (mut secrets, mut outcomes) = (BTreeMap::new(), BTreeMap::<String, usize>::new());
    for nth in 0..KILLS {
        let key = format!("a-name-of-some-length-{nth}");
        let (url, delay) = (server.url.clone(), dice.moment(DELAY));
        let (first, ()) = tokio::join!(ask(&url, &key), async move {
            tokio::time::sleep(delay).await;
            server.kill();
        });
        server = Server::start(&data);
        let (status, is_replayed, told) = ask(&server.url, &key).await.unwrap();
        *outcomes.entry(format!("{status} {} {is_replayed}", told["code"])).or_default() += 1;
        assert!(matches!(status, StatusCode::CREATED | StatusCode::CONFLICT), "{told}");
        if let Some((StatusCode::CREATED, _, made)) = first {
            // What was acknowledged is told again, its secret too.
            assert!(is_replayed && told == made, "{status} {told}");
        }
        if status == StatusCode::CREATED {
            secrets.insert(told["url"].as_str().unwrap().to_owned(), told["secret"].clone());
        }
    }
    println!("{outcomes:?}");
    let list = server.json("/api/v1/webhooks").await;
    let mut counts = BTreeMap::<String, usize>::new();
    for webhook in list["data"].as_array().unwrap() {
        *counts.entry(webhook["url"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(secrets.keys().all(|url| counts.contains_key(url)), "what was answered is there");
}
