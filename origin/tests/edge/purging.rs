//! What is purged by its tags is asked for again, and nothing brings it back.

use crate::upstream::{Stage, turn, until};

const LASTING: &str = "Cache-Control: public, max-age=600\nETag: \"one\"";

fn tagged(path: &str) -> String {
    let tags = match path {
        "/a" => "asset:1 list:1",
        "/b" => "asset:1 gen:1/g1",
        _ => "asset:2",
    };
    format!("{LASTING}\nSurrogate-Key: {tags}")
}

#[tokio::test]
async fn what_carries_a_tag_is_forgotten_and_nothing_else() {
    let stage = Stage::new(|seen| {
        let path = seen.line.split(' ').nth(1).unwrap();
        Some(turn(200, &tagged(path), "x"))
    })
    .await;
    let told = async |path: &str| stage.get(path).await.told().split([';', '=']).next().unwrap().to_owned();
    for path in ["/a", "/b", "/c"] {
        stage.get(path).await;
        until("it is kept", async || told(path).await == "hit").await;
    }
    assert_eq!(stage.edge.purge(&["list:1", "asset:"]), 1);
    assert_eq!([told("/a").await, told("/b").await, told("/c").await], ["fwd", "hit", "hit"]);
    assert_eq!(stage.edge.purge(&["asset:1"]), 2);
    assert_eq!([told("/a").await, told("/b").await, told("/c").await], ["fwd", "fwd", "hit"]);
    assert_eq!(stage.edge.purge(&["asset:3"]), 0);
    assert_eq!(stage.edge.purge_all(), 3);
    assert_eq!(told("/c").await, "fwd");
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_its_purge_is_given_and_not_kept() {
    let stage = Stage::new(|_| Some(turn(200, &tagged("/a"), "old").slowly())).await;
    let mut first = Box::pin(stage.get("/a"));
    assert!(futures::poll!(&mut first).is_pending());
    until("it is asked for", async || stage.seen().len() == 1).await;
    assert_eq!(stage.edge.purge(&["asset:1"]), 0, "it is not there yet");
    assert_eq!(first.await.text(), "old");
    stage.now(|_| Some(turn(200, &tagged("/a"), "new")));
    until("the new one is brought", async || stage.get("/a").await.text() == "new").await;
    assert_eq!(stage.get("/a").await.text(), "new");
}

#[tokio::test]
async fn a_confirmation_that_was_asked_for_before_a_purge_keeps_nothing() {
    let stage = Stage::new(|_| Some(turn(200, &tagged("/a"), "old"))).await;
    stage.get("/a").await;
    until("it is kept", async || stage.get("/a").await.told().starts_with("hit")).await;
    stage.pass(601);
    stage.now(|_| Some(crate::upstream::not_modified(&tagged("/a")).slowly()));
    let before = stage.seen().len();
    let mut second = Box::pin(stage.get("/a"));
    assert!(futures::poll!(&mut second).is_pending());
    until("it is asked for", async || stage.seen().len() > before).await;
    assert_eq!(stage.edge.purge(&["asset:1"]), 1);
    assert_eq!(second.await.text(), "old");
    stage.now(|_| Some(turn(200, &tagged("/a"), "new")));
    until("the new one is brought", async || stage.get("/a").await.text() == "new").await;
}
