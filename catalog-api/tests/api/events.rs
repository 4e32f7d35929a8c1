//! Streams of some topics, and how many one may have.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::authority::Role;
use tower::ServiceExt;

use crate::harness::{Server, at};
use crate::people::People;

#[tokio::test]
async fn a_stream_tells_of_the_topics_that_are_asked_for() {
    let server = Server::start().await;
    let asset = server.received().await;
    server.catalog.delete_asset(asset.id, server.job_id(), at(5)).await.unwrap();
    // asset.uploading, asset.received, asset.deleted.
    let first = async |topics: &str| {
        let mut stream = server.stream(&format!("/api/v1/events?after=0&topics={topics}"), None).await;
        stream.next_event().await.data["topic"].clone()
    };
    assert_eq!(first("asset.deleted").await, "asset.deleted");
    assert_eq!(first("job.%23,asset.received").await, "asset.received");
    assert_eq!(first("asset.*").await, "asset.uploading");
    assert_eq!(first("%23").await, "asset.uploading");
    assert_eq!(first("").await, "asset.uploading");
    let mut later = server.stream("/api/v1/events?topics=*.deleted", Some("1")).await;
    assert_eq!(later.next_event().await.data["seq"], 3);
}

#[tokio::test]
async fn somebody_has_so_many_streams_at_once_and_others_still_have_theirs() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    let open = async |cookie: &str| {
        let request = Request::builder().uri("/api/v1/events").header("cookie", cookie).body(Body::empty()).unwrap();
        people.server.router.clone().oneshot(request).await.unwrap()
    };
    let (ada, bob) = (ada.cookie.unwrap(), bob.cookie.unwrap());
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(open(&ada).await);
    }
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    let refused = open(&ada).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "10");
    assert_eq!(open(&bob).await.status(), StatusCode::OK);
    streams.pop();
    assert_eq!(open(&ada).await.status(), StatusCode::OK, "a place is free once a stream is gone");
    people.stop().await;
}
