//! Upstreams that are away, answer with errors, or break off.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use crate::upstream::{Stage, turn, until};

const BODY: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

#[tokio::test]
async fn a_stale_answer_is_better_than_none_if_the_upstream_allows_it() {
    let lines = "Cache-Control: max-age=10, stale-if-error=100";
    let stage = Stage::new(move |_| Some(turn(200, lines, "old"))).await;
    stage.get("/a").await;
    stage.pass(20);
    stage.now(|_| Some(turn(503, "Retry-After: 1", "down")));
    let stale = stage.get("/a").await;
    assert_eq!((stale.status, stale.text()), (200, "old"));
    assert_eq!(stale.told(), "fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error");
    // For a moment nobody is asked again.
    let asked = stage.seen().len();
    assert_eq!(stage.get("/a").await.told(), "hit; ttl=-10");
    assert_eq!(stage.seen().len(), asked);
    stage.pass(2);
    stage.now(|_| None);
    assert_eq!(stage.get("/a").await.text(), "old");
    // It comes back, and is believed at once.
    stage.pass(2);
    stage.now(move |_| Some(turn(200, lines, "new")));
    assert_eq!(stage.get("/a").await.text(), "new");
    // And it is away for longer than it allowed.
    stage.pass(110);
    stage.now(|_| None);
    assert_eq!(stage.get("/a").await.status, 502);
}

#[tokio::test]
async fn an_error_is_told_to_all_who_wait_and_kept_for_nobody() {
    let stage = Stage::new(|_| Some(turn(503, "Cache-Control: max-age=60\nRetry-After: 7", "down").slowly())).await;
    let replies = join_all((0..20).map(|_| stage.get("/a"))).await;
    for reply in &replies {
        assert_eq!((reply.status, reply.text(), reply.header("retry-after")), (503, "down", "7"));
    }
    assert_eq!(stage.seen().len(), 1);
    stage.now(|_| Some(turn(200, "Cache-Control: max-age=60", "up")));
    assert_eq!(stage.get("/a").await.text(), "up");
}

#[tokio::test]
async fn an_upstream_that_is_away_is_told_of_with_what_to_do() {
    let stage = Stage::new(|_| None).await;
    let reply = stage.get("/a").await;
    assert_eq!((reply.status, reply.header("cache-control"), reply.header("retry-after")), (502, "no-store", "5"));
    assert_eq!(reply.told(), "fwd=uri-miss; detail=unreachable");
    assert!(reply.text().contains("upstream_unreachable") && reply.text().contains("look whether it runs"));
    stage.now(|_| Some(turn(200, "Cache-Control: max-age=60", "up")));
    assert_eq!(stage.get("/a").await.text(), "up");
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_nobody_an_answer() {
    let calls = AtomicUsize::new(0);
    let stage = Stage::new(move |_| {
        let is_first = calls.fetch_add(1, Ordering::Relaxed) == 0;
        (!is_first).then(|| turn(200, "Cache-Control: max-age=60", "x"))
    })
    .await;
    assert_eq!(stage.get("/a").await.text(), "x");
    assert_eq!(stage.seen().len(), 2);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_kept() {
    let stage = Stage::new(|_| Some(turn(200, "Cache-Control: max-age=60", BODY).cut(10))).await;
    let broken = stage.get("/a").await;
    assert_eq!((broken.status, broken.body), (200, None));
    stage.now(|_| Some(turn(200, "Cache-Control: max-age=60", BODY)));
    until("it is whole", async || stage.get("/a").await.body.is_some_and(|body| body == BODY)).await;
    assert!(stage.get("/a").await.told().starts_with("hit"));
}

#[tokio::test]
async fn a_body_that_breaks_off_goes_on_where_it_was() {
    let lines = "Cache-Control: max-age=60\nETag: \"one\"";
    let stage = Stage::new(move |seen| match seen.header("range") {
        None => Some(turn(200, lines, BODY).cut(10)),
        Some("bytes=10-") => {
            let lines = format!("{lines}\nContent-Range: bytes 10-35/36");
            Some(turn(206, &lines, &BODY[10..]).cut(5))
        }
        Some(_) => Some(turn(206, &format!("{lines}\nContent-Range: bytes 15-35/36"), &BODY[15..])),
    })
    .await;
    assert_eq!(stage.get("/a").await.text(), BODY);
    let seen = stage.seen();
    let asked: Vec<_> = seen.iter().map(|seen| (seen.header("range"), seen.header("if-range"))).collect();
    assert_eq!(asked, [(None, None), (Some("bytes=10-"), Some("\"one\"")), (Some("bytes=15-"), Some("\"one\""))]);
    until("it is kept", async || stage.get("/a").await.told().starts_with("hit")).await;
    assert_eq!(stage.get("/a").await.text(), BODY);
}

#[tokio::test]
async fn the_rest_of_another_object_is_not_the_rest() {
    let stage = Stage::new(move |seen| match seen.header("range") {
        None => Some(turn(200, "Cache-Control: max-age=60\nETag: \"one\"", BODY).cut(10)),
        Some(_) => {
            let lines = "ETag: \"two\"\nContent-Range: bytes 10-35/36";
            Some(turn(206, lines, &BODY[10..].to_uppercase()))
        }
    })
    .await;
    assert_eq!(stage.get("/a").await.body, None);
}
