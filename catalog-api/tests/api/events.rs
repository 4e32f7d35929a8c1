//! Streams of some topics, and how many one may have.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog_store::{Terms, UserState};
use domain::Clock;
use domain::authority::{Role, Scope, Standing};
use serde_json::Value;

use crate::harness::{Server, at};
use crate::people::{People, Who};

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
async fn a_stream_finds_what_is_asked_for_behind_much_that_is_not() {
    let server = Server::start().await;
    let asset = server.received().await;
    for _ in 0..120 {
        server.received().await;
    }
    server.catalog.delete_asset(asset.id, server.job_id(), at(5)).await.unwrap();
    let mut stream = server.stream("/api/v1/events?after=0&topics=asset.deleted", None).await;
    assert_eq!(stream.next_event().await.data["topic"], "asset.deleted");
}

#[tokio::test]
async fn who_saw_what_a_restore_took_back_is_told_to_read_anew() {
    let server = Server::start().await;
    server.received().await;
    let last = server.catalog.last_event().await.unwrap();
    server.catalog.renumber(|| server.job_id(), at(0)).await.unwrap();
    server.received().await;
    let from = async |seen: u64| {
        let mut stream = server.stream("/api/v1/events", Some(&seen.to_string())).await;
        let event = stream.next_event().await;
        (event.name, event.data["seq"].as_u64())
    };
    let next = server.catalog.events_after(last, 1).await.unwrap()[0].seq;
    assert!(next > last + 2, "{next} {last}");
    assert_eq!(from(last).await, (None, Some(next)), "nothing that it saw is lost");
    for lost in [last + 1, next - 1] {
        assert_eq!(from(lost).await.0.as_deref(), Some("reset"), "{lost}");
    }
}

#[tokio::test]
async fn somebody_has_so_many_streams_at_once_and_others_still_have_theirs() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    let open = async |cookie: &str| {
        let request = Request::builder().uri("/api/v1/events").header("cookie", cookie).body(Body::empty()).unwrap();
        people.server.begun(request).await
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

#[tokio::test]
async fn streams_end_with_the_session_the_key_and_the_account_that_opened_them() {
    let people = People::start().await;
    let server = &people.server;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let user = people.account(Role::Uploader, None).await;
    let (one, other) = (people.session_of(user).await, people.session_of(user).await);
    let (key, by_key) = people.key_of(user, &[Scope::AssetsRead, Scope::UploadsCreate]).await;
    let upload = server.upload_of(user.to_string()).await;
    let paths = ["/api/v1/events".to_owned(), format!("/uploads/{upload}/events")];
    let open = async |who: &Who| {
        let mut streams = Vec::new();
        for path in &paths {
            streams.push(people.stream(who, path).await);
        }
        streams
    };
    let (mut of_one, mut of_other, mut of_key) = (open(&one).await, open(&other).await, open(&by_key).await);
    let share = async || {
        let asset = people.asset_of(Some("somebody else".into())).await;
        server.catalog.share_asset(asset, (user, Standing::Viewer), "test", server.clock.now()).await.unwrap();
    };
    let out = people.post(&one, "/api/v1/auth/logout", Value::Null).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{}", out.text);
    assert!(server.catalog.revoke_api_key(user, key, server.clock.now()).await.unwrap());
    share().await;
    for stream in of_one.iter_mut().chain(&mut of_key) {
        assert!(!stream.rest().await.contains("asset.shared"), "nothing is told after that");
    }
    while of_other[0].next_event().await.data["topic"] != "asset.shared" {}
    let version = server.catalog.user(user).await.unwrap().unwrap().version;
    let terms = Terms { role: Role::Uploader, state: UserState::Suspended, quota_bytes: None };
    server.catalog.set_terms(user, version, &terms, "test", server.clock.now()).await.unwrap();
    share().await;
    for stream in &mut of_other {
        assert!(!stream.rest().await.contains("asset.shared"), "nothing is told after that");
    }
    people.stop().await;
}

#[tokio::test]
async fn every_topic_is_described() {
    let server = Server::start().await;
    let document = server.get("/api/v1/openapi.json").await.ok();
    let text = document["components"]["schemas"]["Event"]["properties"]["topic"]["description"].as_str().unwrap();
    for (topic, _) in catalog_store::TOPICS {
        assert!(text.contains(&format!("`{topic}`")), "{topic}");
    }
    assert_eq!(text.matches('`').count() / 2, catalog_store::TOPICS.len() + 1, "no other is, besides `asset.`");
}
