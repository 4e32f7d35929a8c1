//! Hits, ranges and conditions, what answers vary for, freshness, and one request for many clients.

use futures::future::join_all;
use http::Method;

use crate::upstream::{Stage, chunked, not_modified, turn, until};

const BODY: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const LASTING: &str = "Cache-Control: public, max-age=60\nETag: \"one\"\nContent-Type: video/mp4";

#[tokio::test]
async fn what_is_kept_is_answered_without_the_upstream() {
    let stage = Stage::new(|_| Some(turn(200, LASTING, BODY))).await;
    let first = stage.get("/v/a/0.m4s").await;
    assert_eq!((first.status, first.text(), first.told()), (200, BODY, "fwd=uri-miss; fwd-status=200; stored"));
    stage.pass(10);
    let again = stage.get("/v/a/0.m4s").await;
    assert_eq!((again.status, again.text(), again.told()), (200, BODY, "hit; ttl=50"));
    assert_eq!((again.header("via"), again.header("etag")), ("1.1 headwater-edge", "\"one\""));
    let head = stage.ask(Method::HEAD, "/v/a/0.m4s", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.text()), (200, "36", ""));
    assert_eq!(stage.seen().len(), 1);
    assert_eq!(stage.edge.counts()[0], ("hit", 2));
    let request = |path: &str| http::Request::get(path).body(()).unwrap();
    let ready = stage.edge.answer_at_once(&request("/v/a/0.m4s")).expect("a fresh answer is ready");
    assert_eq!((ready.status().as_u16(), &ready.headers()["cache-status"]), (200, &again.headers["cache-status"]));
    assert!(stage.edge.answer_at_once(&request("/v/a/1.m4s")).is_none());
    // What players tell about themselves tells no answers apart.
    assert!(stage.get("/v/a/0.m4s?CMCD=br%3D5").await.told().starts_with("hit"));
    assert!(stage.get("/v/a/0.m4s?x=1").await.told().starts_with("fwd=uri-miss"));
}

#[tokio::test]
async fn the_age_grows_and_ends_what_is_fresh() {
    let lines = "Date: Sun, 06 Nov 1994 08:49:37 GMT\nCache-Control: max-age=60\nAge: 20";
    let stage = Stage::new(move |_| Some(turn(200, lines, BODY))).await;
    stage.get("/a").await;
    stage.pass(39);
    let hit = stage.get("/a").await;
    assert_eq!((hit.header("age"), hit.told()), ("59", "hit; ttl=1"));
    stage.pass(1);
    stage.get("/a").await;
    assert_eq!(stage.seen().len(), 2);
}

#[tokio::test]
async fn ranges_and_conditions_are_answered_from_the_whole() {
    let lines = format!("{LASTING}\nLast-Modified: Sun, 06 Nov 1994 08:00:00 GMT");
    let stage = Stage::new(move |_| Some(turn(200, &lines, BODY))).await;
    // The first already: the upstream is asked for the whole.
    let part = stage.get_with("/a", &[("range", "bytes=2-5")]).await;
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "2345", "bytes 2-5/36"));
    assert_eq!(stage.seen()[0].header("range"), None);
    until("it is kept", async || stage.get("/a").await.told().starts_with("hit")).await;
    for (lines, status, body) in [
        (&[("range", "bytes=30-")][..], 206, "uvwxyz"),
        (&[("range", "bytes=-3")], 206, "xyz"),
        (&[("range", "bytes=36-")], 416, "*"),
        (&[("range", "bytes=0-1"), ("if-range", "\"one\"")], 206, "01"),
        (&[("range", "bytes=0-1"), ("if-range", "\"two\"")], 200, BODY),
        (&[("if-none-match", "\"one\"")], 304, ""),
        (&[("if-none-match", "\"two\"")], 200, BODY),
        (&[("if-modified-since", "Sun, 06 Nov 1994 08:00:00 GMT")], 304, ""),
        (&[("if-modified-since", "Sun, 06 Nov 1994 07:00:00 GMT")], 200, BODY),
        (&[("if-match", "\"two\"")], 412, "*"),
    ] {
        let reply = stage.get_with("/a", lines).await;
        assert_eq!(reply.status, status, "{lines:?}");
        assert!(body == "*" || reply.text() == body, "{lines:?}");
        assert_eq!(reply.headers.contains_key("content-type"), status != 304, "{lines:?}");
    }
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn answers_are_told_apart_by_what_they_vary_for() {
    let stage = Stage::new(|seen| {
        let coding = seen.header("accept-encoding").unwrap_or("none").to_owned();
        Some(turn(200, &format!("{LASTING}\nVary: Accept-Encoding"), &coding).slowly())
    })
    .await;
    let ask = |coding: &'static str| {
        let stage = &stage;
        async move { stage.get_with("/m", &[("accept-encoding", coding)]).await }
    };
    // All at once: it is not known yet that there is more than one answer.
    let replies = join_all(["gzip, br", "br,gzip", "gzip", "gzip", "br"].map(ask)).await;
    let texts: Vec<&str> = replies.iter().map(|reply| reply.text()).collect();
    assert!(["gzip, br", "br,gzip"].contains(&texts[0]) && texts[0] == texts[1], "{texts:?}");
    assert_eq!(&texts[2..], ["gzip", "gzip", "br"]);
    assert_eq!(stage.seen().len(), 3, "one request for each that there is");
    assert!(ask("GZIP,br").await.told().starts_with("hit"));
    assert!(ask("gzip").await.told().starts_with("hit"));
    assert_eq!(stage.get("/m").await.text(), "none");
    assert_eq!(stage.seen().len(), 4);
}

#[tokio::test]
async fn fifty_clients_that_ask_at_once_make_one_request() {
    let stage = Stage::new(|_| Some(turn(200, LASTING, BODY).slowly())).await;
    let replies = join_all((0..50).map(|_| stage.get("/v/a/0.m4s"))).await;
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.text() == BODY));
    assert_eq!(stage.seen().len(), 1);
    let collapsed = replies.iter().filter(|reply| reply.told().ends_with("collapsed")).count();
    assert_eq!((collapsed, stage.edge.counts()[4]), (49, ("collapsed", 49)));
}

#[tokio::test]
async fn who_leaves_does_not_take_the_answer_from_those_who_wait() {
    let stage = Stage::new(|_| Some(turn(200, LASTING, BODY).slowly())).await;
    let mut first = Box::pin(stage.get("/a"));
    assert!(futures::poll!(&mut first).is_pending());
    let second = stage.get("/a");
    drop(first);
    assert_eq!(second.await.text(), BODY);
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn what_still_is_so_is_not_sent_again() {
    let stage = Stage::new(|seen| match seen.header("if-none-match") {
        Some("\"one\"") => Some(not_modified("Cache-Control: max-age=90\nETag: \"one\"\nX-New: 1")),
        _ => Some(turn(200, LASTING, BODY)),
    })
    .await;
    stage.get("/a").await;
    stage.pass(60);
    let confirmed = stage.get("/a").await;
    assert_eq!((confirmed.status, confirmed.text()), (200, BODY));
    assert_eq!(confirmed.told(), "fwd=stale; fwd-status=304; stored");
    assert_eq!((confirmed.header("x-new"), confirmed.header("cache-control")), ("1", "max-age=90"));
    stage.pass(89);
    assert_eq!(stage.get("/a").await.told(), "hit; ttl=1");
    assert_eq!(stage.seen().len(), 2);
    // It is no longer so.
    stage.now(|_| Some(turn(200, "Cache-Control: max-age=5\nETag: \"two\"", "new")));
    stage.pass(1);
    assert_eq!(stage.get("/a").await.text(), "new");
    assert_eq!(stage.get("/a").await.text(), "new");
    assert_eq!(stage.seen().len(), 3);
}

#[tokio::test]
async fn a_304_about_something_else_is_not_believed() {
    let stage = Stage::new(|seen| match seen.header("if-none-match") {
        Some(_) => Some(not_modified("ETag: \"other\"")),
        None => Some(turn(200, LASTING, BODY)),
    })
    .await;
    stage.get("/a").await;
    stage.pass(60);
    let reply = stage.get("/a").await;
    assert_eq!((reply.status, reply.text(), stage.seen().len()), (200, BODY, 3));
}

#[tokio::test]
async fn a_stale_answer_is_given_while_a_new_one_is_fetched() {
    let lines = "Cache-Control: max-age=10, stale-while-revalidate=30";
    let stage = Stage::new(move |_| Some(turn(200, lines, "old"))).await;
    stage.get("/a").await;
    stage.now(move |_| Some(turn(200, lines, "new").slowly()));
    stage.pass(20);
    let stale = stage.get("/a").await;
    assert_eq!((stale.text(), stale.told()), ("old", "hit; ttl=-10"));
    until("the new one is there", async || stage.get("/a").await.text() == "new").await;
    assert_eq!(stage.seen().len(), 2, "however many were given the old one");
}

#[tokio::test]
async fn what_is_said_to_cdns_goes_before_what_is_said_to_everybody() {
    let lines = "Cache-Control: private, max-age=0\nCDN-Cache-Control: max-age=100";
    let stage = Stage::new(move |_| Some(turn(200, lines, BODY))).await;
    stage.get("/a").await;
    stage.pass(99);
    let hit = stage.get("/a").await;
    assert_eq!((hit.told(), hit.header("cache-control")), ("hit; ttl=1", "private, max-age=0"));
}

#[tokio::test]
async fn an_answer_without_content_or_date_is_kept_too() {
    let stage = Stage::new(|seen| match seen.line.contains("none") {
        true => Some(not_modified("Cache-Control: max-age=60").with_status(204)),
        false => Some(turn(200, "Cache-Control: max-age=60", "")),
    })
    .await;
    for (path, status) in [("/none", 204), ("/none", 204), ("/empty", 200), ("/empty", 200)] {
        let reply = stage.get(path).await;
        assert_eq!((reply.status, reply.text()), (status, ""), "{path}");
        assert_eq!(reply.header("date"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(reply.headers.contains_key("content-length"), status == 200);
    }
    stage.pass(7);
    assert_eq!(stage.get("/none").await.header("age"), "7");
    assert_eq!(stage.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_in_chunks_is_kept_with_its_length() {
    let stage = Stage::new(|_| Some(chunked(LASTING, BODY))).await;
    for _ in 0..2 {
        let reply = stage.get("/a").await;
        assert_eq!((reply.text(), reply.header("content-length")), (BODY, "36"));
    }
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn a_404_is_kept_for_as_long_as_the_upstream_says() {
    let stage = Stage::new(|seen| match seen.line.contains("brief") {
        true => Some(turn(404, "Cache-Control: public, max-age=10", "gone")),
        false => Some(turn(404, "", "gone")),
    })
    .await;
    for path in ["/brief", "/brief", "/silent", "/silent"] {
        let reply = stage.get(path).await;
        assert_eq!((reply.status, reply.text()), (404, "gone"));
    }
    assert_eq!(stage.seen().len(), 3);
    stage.now(|_| Some(turn(200, LASTING, BODY)));
    assert_eq!(stage.get("/silent").await.status, 200);
    stage.pass(10);
    assert_eq!(stage.get("/brief").await.status, 200);
}
