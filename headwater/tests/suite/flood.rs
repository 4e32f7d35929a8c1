//! Thousands of wrong logins, over many names and addresses: what they cost, and who still gets in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::task::JoinSet;

use crate::accounts::Guarded;
use crate::harness::{Asked, PATIENCE};

const ATTEMPTS: usize = 5000;
const CLIENTS: usize = 32;
/// What a process may grow by: Argon2 holds 19 MiB in each of eight places at most.
const GROWTH_KIB_MAX: u64 = 160 << 10;

/// Memory of a process that is in use, in KiB.
fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_costs_bounded_memory_and_keeps_nobody_out() {
    let temp = tempfile::tempdir().unwrap();
    let server = Guarded::start_with(&temp.path().join("data"), true, &["--set", "log=warn"]);
    let admin = server.set_up().await;
    // Warm: what one login needs is there.
    server.log_in().await;
    let before = resident_kib(server.child.id());

    let (next, refused, wrong, busy) =
        (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Arc::new((refused, wrong, busy));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (next, counts, url) = (Arc::clone(&next), Arc::clone(&counts), format!("{}/api/v1/auth/login", server.url));
        clients.spawn(async move {
            let client = Client::new();
            loop {
                // Ends with the attempts.
                let nth = next.fetch_add(1, Ordering::SeqCst);
                if nth >= ATTEMPTS {
                    return;
                }
                // Most come from few addresses with names of their own, some from addresses of their own at few names.
                let (address, name) = match nth % 4 {
                    0 => (format!("10.{}.{}.{}", nth >> 16 & 255, nth >> 8 & 255, nth & 255), nth % 5),
                    _ => (format!("192.0.2.{}", nth % 8), nth),
                };
                let document = json!({ "email": format!("name{name}@example.org"), "password": "a wrong password" });
                let sent = client.post(&url).header("x-forwarded-for", address).json(&document).asked().await;
                let counted = match sent.unwrap().status() {
                    StatusCode::TOO_MANY_REQUESTS => &counts.0,
                    StatusCode::UNAUTHORIZED => &counts.1,
                    StatusCode::SERVICE_UNAVAILABLE => &counts.2,
                    other => panic!("{other}"),
                };
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    // Meanwhile somebody logs in from elsewhere, told to come back now and then.
    let begun = Instant::now();
    let mut entered = 0;
    let mut most = before;
    while entered < 3 || !clients.is_empty() {
        let document = json!({ "email": "root@example.org", "password": "correct horse battery" });
        let request = Client::new().post(format!("{}/api/v1/auth/login", server.url));
        let answer = request.header("x-forwarded-for", "198.51.100.1").json(&document).asked().await.unwrap();
        match answer.status() {
            StatusCode::OK => entered += 1,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {}
            other => panic!("{other}"),
        }
        most = most.max(resident_kib(server.child.id()));
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "{entered} got in, {} clients go on", clients.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let [refused, wrong, busy] = [&counts.0, &counts.1, &counts.2].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(refused + wrong + busy, ATTEMPTS);
    // Of the eight addresses each may try 30 and then one in 2 s; of the five names each 20 and then one in 10 s.
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let most_tried = 8 * (30 + seconds.div_ceil(2)) + 5 * (20 + seconds.div_ceil(10)) + 16;
    assert!(wrong <= most_tried, "{wrong} passwords were tried in {seconds} s, {most_tried} may be");
    let growth = most.saturating_sub(before);
    assert!(growth <= GROWTH_KIB_MAX, "{growth} KiB more than {before}");
    // Sessions that are open know nothing of it, and what failed is counted in few rows.
    assert!(server.get("/api/v1/me", &admin).await["id"].is_string());
    let log = server.get("/api/v1/audit-log?limit=100", &admin).await;
    let failed = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["action"].as_str().is_some_and(|action| action.contains("failed")));
    assert!(failed.count() <= 16, "{log}");
    println!(
        "{wrong} tried, {refused} refused, {busy} told to come back, {growth} KiB more, {} s",
        begun.elapsed().as_secs()
    );
}
