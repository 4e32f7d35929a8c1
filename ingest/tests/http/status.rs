//! What an owner sees of an upload while it goes on.

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use crate::ground::{Ground, eventually, noise, patch, request, send, slow_body};

async fn status(ground: &Ground, upload: domain::UploadId) -> Value {
    let asked = request("GET", &format!("/uploads/{upload}"), &[("accept", "application/json")], Body::empty());
    let answer = ground.send(asked).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    serde_json::from_str(&answer.body).expect("is JSON")
}

#[tokio::test]
async fn the_status_tells_how_far_an_upload_is_and_disturbs_nobody() {
    let ground = Ground::new().await;
    let upload = ground.create(200_000).await;
    let fresh = status(&ground, upload).await;
    assert_eq!((&fresh["state"], &fresh["received"], &fresh["length"]), (&"open".into(), &0.into(), &200_000.into()));
    assert_eq!((&fresh["is_receiving"], &fresh["eta_seconds"]), (&false.into(), &Value::Null));
    let (sender, body) = slow_body();
    let state = ground.state.clone();
    let running = state.tasks.spawn({
        let state = state.clone();
        async move { send(&state, patch(upload, 0, body)).await }
    });
    sender.unbounded_send(Ok(Bytes::from(noise(60_000)))).expect("is taken");
    eventually("the octets are seen", || async { status(&ground, upload).await["received"] == 60_000 }).await;
    let seen = status(&ground, upload).await;
    assert_eq!((&seen["is_receiving"], &seen["stalls"], &seen["hand_overs"]), (&true.into(), &0.into(), &0.into()));
    assert!(seen["durable"].as_u64() <= Some(60_000));
    sender.unbounded_send(Err(std::io::Error::other("gone"))).expect("is taken");
    running.await.expect("ends");
    let broken = status(&ground, upload).await;
    assert_eq!((&broken["durable"], &broken["last_error"]), (&60_000.into(), &"broken off".into()));
    assert_eq!(broken["asset"], ground.asset(upload).await.id.to_string());
    assert_eq!(ground.patch(upload, 60_000, noise(140_000)).await.status, 204);
    let complete = status(&ground, upload).await;
    assert_eq!((&complete["state"], &complete["durable"]), (&"complete".into(), &200_000.into()));
}

#[tokio::test]
async fn a_take_over_is_counted_and_measured() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    let (sender, body) = slow_body();
    let state = ground.state.clone();
    let older = state.tasks.spawn({
        let state = state.clone();
        async move { send(&state, patch(upload, 0, body)).await }
    });
    sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is taken");
    eventually("the octets are seen", || async { status(&ground, upload).await["received"] == 3 }).await;
    assert_eq!(ground.patch(upload, 3, "defghij").await.status, 204);
    assert_eq!(older.await.expect("ends").code(), "taken_over");
    assert_eq!(status(&ground, upload).await["hand_overs"], 1);
    assert_eq!(ground.state.metrics.hand_overs().buckets.iter().sum::<u64>(), 1);
    assert!(ground.state.metrics.syncs().buckets.iter().sum::<u64>() >= 1);
    assert!(ground.state.metrics.received_bytes() >= 10);
}

#[tokio::test]
async fn a_question_and_a_termination_that_end_a_request_are_take_overs_too() {
    let ground = Ground::new().await;
    let take_overs = || ground.state.metrics.hand_overs().buckets.iter().sum::<u64>();
    for (method, status_after, count) in [("HEAD", 200, 1), ("DELETE", 204, 2)] {
        let upload = ground.create(10).await;
        let (sender, body) = slow_body();
        let state = ground.state.clone();
        let older = state.tasks.spawn({
            let state = state.clone();
            async move { send(&state, patch(upload, 0, body)).await }
        });
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is taken");
        eventually("the octets are seen", || async { status(&ground, upload).await["received"] == 3 }).await;
        let newer = ground.send(request(method, &format!("/uploads/{upload}"), &[], Body::empty())).await;
        assert_eq!(newer.status, status_after, "{method}");
        assert!(older.await.expect("ends").status.is_client_error(), "{method}");
        assert_eq!(status(&ground, upload).await["hand_overs"], 1, "{method}");
        assert_eq!(take_overs(), count, "{method}");
        // Nobody is there any more to be taken over from.
        ground.head(upload).await;
        assert_eq!(take_overs(), count, "{method}");
    }
}

#[tokio::test]
async fn the_flush_that_completes_an_upload_is_measured() {
    let ground = Ground::new().await;
    let upload = ground.create(3).await;
    assert_eq!(ground.patch(upload, 0, "abc").await.status, 204);
    assert_eq!(ground.state.metrics.syncs().buckets.iter().sum::<u64>(), 1);
}

/// The documents of the events in a piece of a stream.
fn documents(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
    lines.map(|line| serde_json::from_str(line.trim()).expect("is JSON")).collect()
}

#[tokio::test]
async fn a_stream_begins_with_the_present_and_ends_with_the_upload() {
    let ground = Ground::new().await;
    let upload = ground.create(1000).await;
    ground.patch(upload, 0, noise(400)).await;
    let asked = request("GET", &format!("/uploads/{upload}/events"), &[], Body::empty());
    let response = ingest::router(ground.state.clone()).oneshot(asked).await.expect("is infallible");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    let mut body = response.into_body();
    let first = body.frame().await.expect("an event").expect("reads").into_data().expect("is data");
    let first = documents(std::str::from_utf8(&first).expect("is text"));
    assert_eq!((first.len(), &first[0]["durable"], &first[0]["state"]), (1, &400.into(), &"open".into()));
    ground.patch(upload, 400, noise(600)).await;
    let rest = tokio::time::timeout(std::time::Duration::from_secs(20), body.collect()).await.expect("it ends");
    let rest = rest.expect("reads").to_bytes();
    let last = documents(std::str::from_utf8(&rest).expect("is text")).pop().expect("an event");
    assert_eq!((&last["state"], &last["durable"]), (&"complete".into(), &1000.into()));
}

#[tokio::test]
async fn streams_end_with_the_process_and_unknown_uploads_have_none() {
    let ground = Ground::new().await;
    let upload = ground.create(1000).await;
    let asked = request("GET", &format!("/uploads/{upload}/events"), &[], Body::empty());
    let response = ingest::router(ground.state.clone()).oneshot(asked).await.expect("is infallible");
    ground.state.shutdown.cancel();
    tokio::time::timeout(std::time::Duration::from_secs(20), response.into_body().collect())
        .await
        .expect("it ends")
        .expect("reads");
    let unknown = domain::UploadId::from_u128(9);
    for path in [format!("/uploads/{unknown}"), format!("/uploads/{unknown}/events")] {
        let asked = request("GET", &path, &[("accept", "application/json")], Body::empty());
        assert_eq!(ground.send(asked).await.status, 404);
    }
}
