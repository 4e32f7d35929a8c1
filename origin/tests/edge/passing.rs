//! What is for one client only, what is too large, loops, and methods that there are not.

use futures::future::join_all;
use http::Method;

use crate::upstream::{Stage, not_modified, turn};

#[tokio::test]
async fn what_is_for_one_client_is_never_given_to_another() {
    for lines in [
        "Cache-Control: private, max-age=60",
        "Cache-Control: no-store",
        "Cache-Control: max-age=60\nVary: *",
        "Cache-Control: max-age=60\nSet-Cookie: a=b",
    ] {
        let stage = Stage::new(move |seen| {
            let who = seen.header("x-who").unwrap_or_default().to_owned();
            Some(turn(200, lines, &who).slowly())
        })
        .await;
        let who: Vec<String> = (0..5).map(|at| at.to_string()).collect();
        let asked: Vec<[(&str, &str); 1]> = who.iter().map(|who| [("x-who", who.as_str())]).collect();
        for _ in 0..2 {
            let replies = join_all(asked.iter().map(|lines| stage.get_with("/a", lines))).await;
            let texts: Vec<&str> = replies.iter().map(|reply| reply.text()).collect();
            assert_eq!(texts, who, "{lines}");
        }
        assert_eq!(stage.seen().len(), 10, "{lines}");
    }
}

#[tokio::test]
async fn what_was_asked_for_by_somebody_who_left_is_for_nobody() {
    let stage = Stage::new(|seen| {
        let who = seen.header("cookie").unwrap_or_default().to_owned();
        let status = if seen.line.contains("error") { 503 } else { 200 };
        Some(turn(status, "Cache-Control: private", &who).slowly())
    })
    .await;
    for path in ["/a", "/error"] {
        let mut first = Box::pin(stage.get_with(path, &[("cookie", "one")]));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(stage.get_with(path, &[("cookie", "two")]));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        let reply = second.await;
        assert!(!reply.text().contains("one"), "{path}: {}", reply.text());
    }
    // Who began it gets it as it is.
    let reply = stage.get_with("/error", &[("cookie", "three")]).await;
    assert_eq!((reply.status, reply.text()), (503, "three"));
}

#[tokio::test]
async fn an_answer_to_somebody_who_is_known_is_theirs_unless_it_is_public() {
    let stage = Stage::new(|seen| {
        let lines = if seen.line.contains("public") {
            "Cache-Control: public, max-age=60"
        } else {
            "Cache-Control: max-age=60"
        };
        Some(turn(200, lines, "x"))
    })
    .await;
    for path in ["/own", "/public"] {
        stage.get_with(path, &[("authorization", "Basic eA==")]).await;
        stage.get_with(path, &[("authorization", "Basic eQ==")]).await;
    }
    assert_eq!(stage.seen().len(), 3);
    assert_eq!(stage.seen()[0].header("authorization"), Some("Basic eA=="));
}

#[tokio::test]
async fn an_answer_under_a_token_is_kept_no_longer_than_the_token_holds() {
    // k=a;e=784111787;n=0;p=/v/x/: ten seconds from the beginning.
    let path = "/t/az1hO2U9Nzg0MTExNzg3O249MDtwPS92L3gv.bWFj/v/x/0.m4s";
    let stage = Stage::new(|_| Some(turn(200, "Cache-Control: public, max-age=3600, stale-if-error=3600", "x"))).await;
    stage.get(path).await;
    stage.pass(9);
    assert!(stage.get(path).await.told().starts_with("hit"));
    stage.now(|_| Some(turn(403, "Cache-Control: no-store", "no")));
    stage.pass(1);
    assert_eq!(stage.get(path).await.status, 403);
    stage.now(|_| None);
    assert_eq!(stage.get(path).await.status, 502);
}

#[tokio::test]
async fn what_is_too_large_to_keep_is_passed_through_with_its_ranges() {
    let large = "x".repeat(40 << 20);
    let stage = Stage::new(move |seen| {
        let lines = "Cache-Control: public, max-age=60\nETag: \"big\"";
        Some(match (seen.header("range"), seen.header("if-none-match")) {
            (_, Some("\"big\"")) => not_modified("ETag: \"big\""),
            (Some("bytes=5-9"), _) => turn(206, &format!("{lines}\nContent-Range: bytes 5-9/41943040"), "xxxxx"),
            _ => turn(200, lines, &large),
        })
    })
    .await;
    let part = stage.get_with("/big", &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "xxxxx", "bytes 5-9/41943040"));
    let whole = stage.get("/big").await;
    assert_eq!((whole.status, whole.text().len()), (200, 40 << 20));
    assert_eq!(stage.get_with("/big", &[("if-none-match", "\"big\"")]).await.status, 304);
    let last = stage.seen().pop().unwrap();
    assert_eq!(last.header("if-none-match"), Some("\"big\""));
    assert_eq!(stage.edge.counts()[5], ("passed", 3));
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let large = "x".repeat(8 << 20);
    let stage = Stage::with(2, move |seen| {
        let lines = if seen.line.contains("own") { "Cache-Control: no-store" } else { "Cache-Control: max-age=60" };
        Some(turn(200, lines, &large))
    })
    .await;
    let mut lazy = Vec::new();
    for path in ["/shared", "/shared", "/own", "/own", "/own", "/own"] {
        lazy.push(stage.unread(path).await);
    }
    for path in ["/shared", "/own", "/another"] {
        assert_eq!(stage.get(path).await.text().len(), 8 << 20, "{path}");
    }
    drop(lazy);
}

#[tokio::test]
async fn more_requests_than_may_wait_are_refused_at_once() {
    let stage = Stage::with(1, |_| Some(turn(200, "Cache-Control: no-store", "x").slowly())).await;
    let paths: Vec<String> = (0..12).map(|at| format!("/{at}")).collect();
    let replies = join_all(paths.iter().map(|path| stage.get(path))).await;
    let count = |status: u16| replies.iter().filter(|reply| reply.status == status).count();
    // One that is asked, and eight that wait.
    assert_eq!((count(200), count(503)), (9, 3));
    let refused = replies.iter().find(|reply| reply.status == 503).unwrap();
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("5", "no-store"));
    assert_eq!(stage.get("/0").await.status, 200);
}

#[tokio::test]
async fn a_request_that_was_here_before_is_refused() {
    let stage = Stage::new(|_| Some(turn(200, "Cache-Control: no-store", "x"))).await;
    stage.get_with("/a", &[("cdn-loop", "other.example"), ("via", "1.1 other")]).await;
    let seen = stage.seen().pop().unwrap();
    let way = seen.header("cdn-loop").unwrap().to_owned();
    assert!(way.starts_with("other.example, headwater-edge-"), "{way}");
    let vias: Vec<_> = seen.header("via").into_iter().collect();
    assert_eq!(vias, ["1.1 other"], "ours is in a line of its own");
    let looped = stage.get_with("/a", &[("cdn-loop", &way)]).await;
    assert_eq!((looped.status, looped.header("cache-control")), (508, "no-store"));
    assert!(looped.text().contains("set `upstream` to the address of the origin itself"));
    assert_eq!(stage.seen().len(), 1);
}

#[tokio::test]
async fn only_reading_is_served_and_only_at_plain_paths() {
    let stage = Stage::new(|_| Some(turn(200, "", "x"))).await;
    let refused = stage.ask(Method::POST, "/a", &[]).await;
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
    assert_eq!(stage.ask(Method::OPTIONS, "/a", &[]).await.status, 204);
    assert_eq!(stage.get_with("/a", &[("content-length", "5")]).await.status, 400);
    assert_eq!(stage.get("/v/%2e%2e/metrics").await.status, 400);
    assert_eq!(stage.seen().len(), 0);
    let head = stage.ask(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, head.header("content-length")), (200, "1"));
    assert!(stage.seen()[0].line.starts_with("HEAD /a "));
}

#[tokio::test]
async fn what_belongs_to_one_connection_stays_there() {
    let lines =
        "Cache-Control: max-age=60\nConnection: X-Mine\nX-Mine: 1\nKeep-Alive: timeout=5\nServer-Timing: a\nX-Kept: 1";
    let stage = Stage::new(move |_| Some(turn(200, lines, "x"))).await;
    let asked = [("connection", "x-yours"), ("x-yours", "1"), ("te", "trailers"), ("x-passed", "1")];
    let reply = stage.get_with("/a", &asked).await;
    for name in ["connection", "x-mine", "keep-alive", "server-timing"] {
        assert!(!reply.headers.contains_key(name), "{name}");
    }
    assert_eq!(reply.header("x-kept"), "1");
    let seen = stage.seen().pop().unwrap();
    assert_eq!([seen.header("x-yours"), seen.header("te"), seen.header("x-passed")], [None, None, Some("1")]);
    assert!(seen.header("host").unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_request_may_ask_for_what_is_here_only_and_leave_no_trace() {
    let stage = Stage::new(|_| Some(turn(200, "Cache-Control: max-age=60", "x"))).await;
    let only = [("cache-control", "only-if-cached")];
    assert_eq!(stage.get_with("/a", &only).await.status, 504);
    stage.get_with("/a", &[("cache-control", "no-store")]).await;
    assert_eq!(stage.get_with("/a", &only).await.status, 504);
    stage.get("/a").await;
    assert_eq!(stage.get_with("/a", &only).await.status, 200);
    assert!(stage.get_with("/a", &[("cache-control", "no-cache")]).await.told().starts_with("hit"));
}
