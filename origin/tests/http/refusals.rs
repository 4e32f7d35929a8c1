//! What does not exist, is damaged or must not be asked for.

use http::{Method, StatusCode};
use media_store::layout;

use crate::stage::{GENERATION, Stage, asset, content, playback, presentation, rendition};

#[track_caller]
pub(crate) fn assert_problem(reply: &crate::stage::Reply, status: StatusCode, code: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(document["status"], status.as_u16());
    assert_eq!(document["code"], code);
    assert!(!document["detail"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_not_in_the_presentation_is_404_for_a_short_while() {
    let stage = Stage::with_everything(1).await;
    for rest in [
        "other.m3u8",
        "g2/720p/0.m4s",
        "g4/720p/playlist.m3u8",
        "g3/1080p/0.m4s",
        "g3/720p/3.m4s",
        "g3/720p/0.vtt",
        "g3/720p/4294967295.m4s",
        "g3/text-0-de/init.mp4",
        "g3/text-0-de/0.m4s",
        "g3/audio-0-en/iframes.m3u8",
        "g3/images/unlisted.jpg",
        "g3/images/init.mp4",
    ] {
        let reply = stage.get(rest).await;
        assert_problem(&reply, StatusCode::NOT_FOUND, "not_found");
        assert_eq!(reply.header("cache-control"), Some("public, max-age=10"), "{rest}");
    }
}

#[tokio::test]
async fn what_may_still_come_is_404_for_a_second() {
    let stage = Stage::with_nothing_encoded(0).await;
    for rest in [
        "storyboard.vtt",
        "storyboard.json",
        "g3/720p/iframes.m3u8",
        "g3/images/poster.jpg",
        "g3/text-0-de/playlist.m3u8",
    ] {
        let reply = stage.get(rest).await;
        assert_problem(&reply, StatusCode::NOT_FOUND, "not_found");
        assert_eq!(reply.header("cache-control"), Some("public, max-age=1"), "{rest}");
    }
}

#[tokio::test]
async fn an_unknown_playback_id_is_404() {
    let stage = Stage::with_everything(1).await;
    for id in ["plb_00000000000000000000000008", "plb_0000000000000000000000000u", "PLB_00000000000000000000000007", ""]
    {
        let reply = stage.send_to(Method::GET, &format!("/v/{id}/master.m3u8"), &[]).await;
        assert!(reply.status.is_client_error(), "{id}");
    }
    // Not even with the id of the asset, which is not a secret.
    let reply = stage.send_to(Method::GET, &format!("/v/{}/master.m3u8", asset()), &[]).await;
    assert_problem(&reply, StatusCode::NOT_FOUND, "not_found");
    let reply = stage.send_to(Method::GET, "/v/plb_00000000000000000000000008/master.m3u8", &[]).await;
    assert_problem(&reply, StatusCode::NOT_FOUND, "unknown_playback");
    assert_eq!(reply.header("cache-control"), Some("public, max-age=1"));
}

#[tokio::test]
async fn ways_out_of_the_folder_are_refused() {
    let stage = Stage::with_everything(1).await;
    let id = playback();
    for path in [
        format!("/v/{id}/../../etc/passwd"),
        format!("/v/{id}/g3/images/..%2f..%2f..%2fcurrent%2f{id}.json"),
        format!("/v/{id}/g3/%2e%2e/%2e%2e/0.m4s"),
        format!("/v/{id}/g3/images/%00poster.jpg"),
        format!("/v/{id}/g3/images/..%5cposter.jpg"),
        format!("/v/{id}/g3//0.m4s"),
        format!("/v/{id}/g3/images/%zz"),
        format!("//v/{id}/master.m3u8"),
    ] {
        let reply = stage.send_to(Method::GET, &path, &[]).await;
        assert_problem(&reply, StatusCode::BAD_REQUEST, "bad_path");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
    let path = format!("/v/{id}/g3/images/{}", "a".repeat(1024));
    assert_problem(&stage.send_to(Method::GET, &path, &[]).await, StatusCode::URI_TOO_LONG, "target_too_long");
}

#[tokio::test]
async fn other_methods_are_405() {
    let stage = Stage::with_everything(1).await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE"] {
        let reply = stage.send(method.parse().unwrap(), "master.m3u8", &[]).await;
        assert_problem(&reply, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_get_with_a_body_ends_the_connection() {
    let stage = Stage::with_everything(1).await;
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        for line in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            let reply = stage.send(method.clone(), "master.m3u8", &[line]).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST);
            assert_eq!(reply.header("connection"), Some("close"));
        }
    }
    let reply = stage.get_with("master.m3u8", &[("content-length", "0")]).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_committed_object_that_is_lost_or_damaged_is_never_served() {
    let stage = Stage::with_everything(1).await;
    let rendition = rendition("720p");
    stage.store.delete(&layout::segment(asset(), GENERATION, &rendition, 0)).await.unwrap();
    let damaged = layout::segment(asset(), GENERATION, &rendition, 1);
    stage.store.delete(&damaged).await.unwrap();
    stage.put(&damaged, content("720p", 1).slice(1..)).await;
    for rest in ["g3/720p/0.m4s", "g3/720p/1.m4s"] {
        let reply = stage.get(rest).await;
        assert_problem(&reply, StatusCode::INTERNAL_SERVER_ERROR, "damaged");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_presentation_under_a_false_name_is_not_served() {
    let stage = Stage::with_everything(1).await;
    let other = domain::PlaybackId::from_u128(8);
    let pointer = serde_json::to_vec(&presentation(1).pointer()).unwrap();
    stage.store.put_pointer(other, pointer.into()).await.unwrap();
    let reply = stage.send_to(Method::GET, &format!("/v/{other}/master.m3u8"), &[]).await;
    assert_problem(&reply, StatusCode::SERVICE_UNAVAILABLE, "storage_unavailable");
    assert_eq!(reply.header("retry-after"), Some("2"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}
