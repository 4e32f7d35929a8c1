//! Where octets come from: memory, files, blocks of a bucket; and what happens when the bucket misbehaves.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::StatusCode;
use http_body_util::BodyExt;
use media_store::layout;
use origin::OriginConfig;
use tokio::sync::Semaphore;

use crate::bucket::{Bucket, LONG_BYTES, Mood, long};
use crate::stage::{GENERATION, Stage, asset, content, rendition};

const SEGMENT: &str = "g3/720p/0.m4s";

#[tokio::test]
async fn the_second_use_brings_an_object_into_memory() {
    let stage = Stage::with_everything(1).await;
    for expected in ["headwater; hit; detail=disk", "headwater; hit; detail=disk", "headwater; hit"] {
        let reply = stage.get(SEGMENT).await;
        let told = reply.header("cache-status").unwrap();
        assert!(told == expected || told == "headwater; hit", "{told}");
        assert_eq!(reply.body, content("720p", 0));
    }
    assert_eq!(stage.get(SEGMENT).await.header("cache-status"), Some("headwater; hit"));
    assert_eq!(
        stage.get(SEGMENT).await.header("server-timing").unwrap().split(',').next(),
        Some("tier;desc=\"memory\"")
    );
}

#[tokio::test]
async fn an_object_of_any_size_is_read_from_its_file_in_order() {
    let stage = Stage::with_everything(1).await.behind(OriginConfig { cache_bytes: 0, ..OriginConfig::default() });
    let mut published = crate::stage::presentation(1);
    let entry = &mut published.video[0].segments[0];
    (entry.bytes, entry.sha256) = (Some(LONG_BYTES as u64), Some(crate::stage::sha256(&long())));
    published.revision = 2;
    let key = layout::segment(asset(), GENERATION, &rendition("720p"), 0);
    stage.store.delete(&key).await.unwrap();
    stage.put(&key, long()).await;
    stage.publish(&published).await;
    for _ in 0..3 {
        assert_eq!(stage.get(SEGMENT).await.body, long());
        let ranged = stage.get_with(SEGMENT, &[("range", "bytes=1000000-2000000")]).await;
        assert_eq!((ranged.status, ranged.body), (StatusCode::PARTIAL_CONTENT, long().slice(1_000_000..2_000_001)));
        let parts = stage.get_with(SEGMENT, &[("range", "bytes=0-299999, 400000-400009, -5")]).await;
        assert_eq!(parts.status, StatusCode::PARTIAL_CONTENT);
    }
}

/// Takes an answer with the long segment as it comes, and keeps nothing of it.
async fn take(response: http::Response<origin::Body>, expected: &[u8]) {
    assert_eq!(response.headers()["content-length"], expected.len().to_string());
    let (mut body, mut at) = (response.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        assert!(expected[at..].starts_with(&piece));
        at += piece.len();
    }
    assert_eq!(at, expected.len());
}

#[tokio::test]
async fn a_thousand_viewers_of_one_cold_object_share_one_read_of_each_block() {
    let (bucket, expected) = (Bucket::new().await, long());
    bucket.is(Mood::Slow(Duration::from_millis(50)));
    join_all((0..1000).map(|_| async { take(bucket.response(None).await, &expected).await })).await;
    let mut ranges: Vec<_> = bucket.reads().into_iter().map(|(range, _)| range).collect();
    ranges.sort_unstable();
    assert_eq!(ranges, ["bytes=0-1048575", "bytes=1048576-2097151", "bytes=2097152-2621439"]);
}

#[tokio::test]
async fn a_range_reads_only_the_blocks_it_lies_in() {
    let bucket = Bucket::new().await;
    let reply = bucket.get(Some("bytes=1500000-1500099")).await.unwrap();
    assert_eq!((reply.status, reply.body), (StatusCode::PARTIAL_CONTENT, long().slice(1_500_000..1_500_100)));
    bucket.get(Some("bytes=1048570-1048579")).await.unwrap();
    let ranges: Vec<_> = bucket.reads().into_iter().map(|(range, _)| range).collect();
    assert_eq!(ranges, ["bytes=1048576-2097151", "bytes=0-1048575"]);
    // Later blocks must be of the version that the first was of.
    assert_eq!(bucket.reads()[1].1.as_deref(), Some("\"v1\""));
}

#[tokio::test]
async fn each_of_several_ranges_is_read_from_its_own_block() {
    for (ranges, expected) in [
        ("0-99, 2097152-2097251", [0..100, 2_097_152..2_097_252]),
        ("2097152-2097251, 0-99", [2_097_152..2_097_252, 0..100]),
        ("500000-1048999, 1500000-1500099", [500_000..1_049_000, 1_500_000..1_500_100]),
    ] {
        let (bucket, permits) = (Bucket::new().await, Arc::new(Semaphore::new(0)));
        // The first block is still on its way when the answer begins.
        bucket.is(Mood::Holds(permits.clone()));
        let answer = bucket.response(Some(&format!("bytes={ranges}"))).await;
        permits.add_permits(100);
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let (mut at, content) = (0, long());
        for part in expected {
            let head = format!("content-range: bytes {}-{}/{LONG_BYTES}\r\n\r\n", part.start, part.end - 1);
            let found = body[at..].windows(head.len()).position(|window| window.eq_ignore_ascii_case(head.as_bytes()));
            at += found.expect("a part has a head") + head.len();
            assert!(body[at..].starts_with(&content[part]), "{ranges}");
        }
    }
}

#[tokio::test]
async fn octets_are_passed_on_as_they_come() {
    let (bucket, permits) = (Bucket::new().await, Arc::new(Semaphore::new(0)));
    bucket.is(Mood::Holds(permits.clone()));
    let viewers = join_all((0..3).map(|_| bucket.response(None))).await;
    let mut bodies: Vec<_> = viewers.into_iter().map(http::Response::into_body).collect();
    for body in &mut bodies {
        // The bucket still holds the rest of the block.
        assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
    }
    permits.add_permits(100);
    for body in bodies {
        body.collect().await.unwrap();
    }
    assert_eq!(bucket.reads().len(), 3);
}

#[tokio::test]
async fn a_read_that_broke_off_goes_on_where_it_stopped() {
    let bucket = Bucket::new().await;
    bucket.is(Mood::BreaksOff(700_000));
    let reply = bucket.get(None).await.unwrap();
    assert!(reply.body == long());
    let resumed = bucket.reads().iter().any(|(range, _)| range.starts_with("bytes=700000-"));
    assert!(resumed, "{:?}", bucket.reads());
}

#[tokio::test]
async fn a_store_that_is_down_is_503_until_it_is_back() {
    let bucket = Bucket::new().await;
    bucket.is(Mood::Down);
    let reply = bucket.get(None).await.unwrap();
    assert_eq!((reply.status, reply.header("cache-control")), (StatusCode::SERVICE_UNAVAILABLE, Some("no-store")));
    bucket.is(Mood::Well);
    assert!(bucket.get(None).await.unwrap().body == long());
}

#[tokio::test]
async fn a_store_that_lies_poisons_nothing() {
    let bucket = Bucket::new().await;
    bucket.is(Mood::Lies);
    // The first block pins a version, and the next is another's.
    assert!(bucket.get(None).await.is_err());
    bucket.is(Mood::Well);
    assert!(bucket.get(None).await.unwrap().body == long());
    let bucket = Bucket::new().await;
    bucket.is(Mood::Longer);
    assert_eq!(bucket.get(None).await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    bucket.is(Mood::Well);
    assert!(bucket.get(None).await.unwrap().body == long());
}

#[tokio::test]
async fn memory_too_small_for_a_block_does_not_double_the_reads() {
    let bucket = Bucket::new().await.behind(OriginConfig { cache_bytes: 1000, ..OriginConfig::default() }).await;
    assert!(bucket.get(None).await.unwrap().body == long());
    assert!(bucket.reads().len() <= 5, "{:?}", bucket.reads());
}

#[tokio::test]
async fn a_client_that_only_asks_whether_it_is_current_is_answered_at_once() {
    let stage = Stage::with_everything(1).await;
    let etag = format!("\"{}\"", &crate::stage::sha256(&content("720p", 0))[..32]);
    let known = [("if-none-match", etag.as_str())];
    assert_eq!(stage.get_with(SEGMENT, &known).await.status, StatusCode::NOT_MODIFIED);
    let request = http::Request::get(format!("/v/{}/{SEGMENT}", crate::stage::playback()));
    let revalidating = request.header("if-none-match", &etag).body(()).unwrap();
    assert_eq!(stage.origin.answer_at_once(&revalidating).unwrap().status(), StatusCode::NOT_MODIFIED);
    // Nobody has asked for the content yet, so it is not at hand.
    let whole = http::Request::get(revalidating.uri().clone()).body(()).unwrap();
    assert!(stage.origin.answer_at_once(&whole).is_none());
    for _ in 0..2 {
        assert_eq!(stage.get(SEGMENT).await.status, StatusCode::OK);
    }
    assert_eq!(stage.origin.answer_at_once(&whole).unwrap().status(), StatusCode::OK);
    assert_eq!(stage.origin.answer_at_once(&revalidating).unwrap().status(), StatusCode::NOT_MODIFIED);
}
