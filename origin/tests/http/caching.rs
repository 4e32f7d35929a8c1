//! What is kept in memory, for how long, and what is waited for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::Presentation;
use domain::presentation::Images;
use futures::future::join_all;
use http::StatusCode;
use media_store::layout;
use origin::{DemandHook, OriginConfig, Wanted};

use crate::stage::{GENERATION, Stage, asset, content, playback, presentation, rendition};

/// Lets `time` pass for the origin, at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn playlists_are_settled_only_when_processing_has_ended() {
    let stage = Stage::with_everything(0).await;
    let expected = "public, max-age=2";
    for rest in ["master.m3u8", "g3/720p/playlist.m3u8", "chapters.json", "chapters.vtt"] {
        assert_eq!(stage.get(rest).await.header("cache-control"), Some(expected), "{rest}");
    }
    stage.publish(&presentation(1)).await;
    pass(Duration::from_secs(2)).await;
    let expected = "public, max-age=300, stale-while-revalidate=3600, stale-if-error=86400";
    for rest in ["g3/720p/playlist.m3u8", "g3/text-0-de/playlist.m3u8", "storyboard.vtt"] {
        assert_eq!(stage.get(rest).await.header("cache-control"), Some(expected), "{rest}");
    }
    // What tells of subtitles and chapters must not be kept for long: both may be added at any time.
    let expected = "public, max-age=15, stale-while-revalidate=30, stale-if-error=86400";
    for rest in ["master.m3u8", "chapters.json", "chapters.vtt", "poster.jpg"] {
        assert_eq!(stage.get(rest).await.header("cache-control"), Some(expected), "{rest}");
    }
}

#[tokio::test]
async fn a_later_revision_that_is_not_complete_is_not_settled() {
    let stage = Stage::with_everything(0).await;
    let revised = Presentation { revision: 3, subtitles: presentation(1).subtitles, ..presentation(0) };
    stage.publish(&revised).await;
    let master = stage.get("master.m3u8").await;
    assert_eq!(master.header("cache-control"), Some("public, max-age=2"));
    assert!(String::from_utf8_lossy(&master.body).contains("TYPE=SUBTITLES"));
    assert_eq!(stage.get("g3/720p/9.m4s").await.header("cache-control"), Some("public, max-age=1"));
}

#[tokio::test]
async fn a_subtitle_track_removed_a_moment_ago_is_not_called_damaged() {
    let stage = Stage::with_everything(1).await;
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::OK);
    let revised = Presentation { revision: 2, subtitles: vec![], ..presentation(1) };
    stage.publish(&revised).await;
    for index in 0..3 {
        stage.store.delete(&layout::subtitle(asset(), GENERATION, &rendition("text-0-de"), index)).await.unwrap();
    }
    assert_eq!(stage.get("g3/text-0-de/0.vtt").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_new_revision_of_this_process_is_seen_at_once() {
    let stage = Stage::with_everything(0).await;
    let planned = stage.get("master.m3u8").await;
    stage.publish(&presentation(1)).await;
    assert_ne!(stage.get("master.m3u8").await.body, planned.body);
    stage.store.delete_pointer(playback()).await.unwrap();
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_poster_in_force_has_an_address_that_stays() {
    let stage = Stage::with_everything(1).await;
    let (scored, whole) = (stage.get("poster.jpg").await, presentation(1));
    assert_eq!(scored.body, stage.get("g3/images/poster.jpg").await.body);
    assert!(scored.header("surrogate-key").unwrap().contains("list:"), "it is purged with what changes");
    let key = layout::image(asset(), GENERATION, "poster-1500.jpg").unwrap();
    stage.store.put_once(&key, Bytes::from_static(b"another picture")).await.unwrap();
    let images = Images { poster: "poster-1500.jpg".into(), ..whole.images.clone().unwrap() };
    stage.publish(&Presentation { revision: 2, images: Some(images), ..whole }).await;
    let chosen = stage.get("poster.jpg").await;
    assert_eq!(chosen.body, "another picture");
    assert_ne!(chosen.header("etag"), scored.header("etag"));
}

#[tokio::test]
async fn a_new_revision_of_another_process_is_seen_within_a_second() {
    let stage = Stage::with_everything(0).await;
    let planned = stage.get("master.m3u8").await;
    stage.publish_elsewhere(&presentation(1)).await;
    assert_eq!(stage.get("master.m3u8").await.body, planned.body, "read again within the second");
    pass(Duration::from_millis(1001)).await;
    let settled = stage.get("master.m3u8").await;
    assert_ne!(settled.body, planned.body);
    assert_ne!(settled.header("etag"), planned.header("etag"));
}

#[tokio::test]
async fn a_deleted_asset_is_gone_within_a_second() {
    let stage = Stage::with_everything(1).await;
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::OK);
    stage.store.delete_pointer(playback()).await.unwrap();
    pass(Duration::from_millis(1001)).await;
    for rest in ["master.m3u8", "g3/720p/0.m4s", "g3/images/poster.jpg"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
}

#[tokio::test]
async fn an_asset_deleted_a_moment_ago_is_not_called_damaged() {
    let stage = Stage::with_everything(1).await;
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::OK);
    stage.store.delete_pointer(playback()).await.unwrap();
    stage.store.delete_prefix(&layout::media_of(asset())).await.unwrap();
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_asset_is_found_within_a_second_of_its_publication() {
    let stage = Stage::with_everything(1).await;
    let pointer = stage.store.pointer(playback()).await.unwrap().unwrap();
    stage.store.delete_pointer(playback()).await.unwrap();
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::NOT_FOUND);
    stage.store.put_pointer(playback(), pointer).await.unwrap();
    pass(Duration::from_millis(1001)).await;
    assert_eq!(stage.get("master.m3u8").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_was_confirmed_lately_outlives_a_failing_store() {
    let stage = Stage::with_everything(1).await;
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::OK);
    stage.store.put_pointer(playback(), Bytes::from_static(b"{")).await.unwrap();
    for _ in 0..3 {
        pass(Duration::from_secs(60)).await;
        assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::OK);
    }
    pass(Duration::from_secs(600)).await;
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_hot_segment_comes_from_memory() {
    let stage = Stage::with_everything(1).await;
    for _ in 0..2 {
        assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::OK);
    }
    stage.store.delete(&layout::segment(asset(), GENERATION, &rendition("720p"), 0)).await.unwrap();
    assert_eq!(stage.get("g3/720p/0.m4s").await.body, content("720p", 0));
}

#[tokio::test]
async fn memory_has_a_bound() {
    let stage = Stage::with_everything(1).await;
    let config = OriginConfig { cache_bytes: 1000, library_bytes: 0, ..OriginConfig::default() };
    let stage = stage.behind(config);
    assert_eq!(stage.get("g3/720p/0.m4s").await.body, content("720p", 0));
    stage.store.delete(&layout::segment(asset(), GENERATION, &rendition("720p"), 0)).await.unwrap();
    assert_eq!(stage.get("g3/720p/0.m4s").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn entity_tags_are_equal_on_every_replica_and_in_every_revision() {
    let (planned, first, second) =
        (Stage::with_everything(0).await, Stage::with_everything(1).await, Stage::with_everything(1).await);
    for rest in ["g3/720p/0.m4s", "g3/audio-0-en/1.m4s", "g3/720p/init.mp4"] {
        let tags = join_all([planned.get(rest), first.get(rest), second.get(rest)]).await;
        let tags: Vec<_> = tags.iter().map(|reply| reply.header("etag").unwrap().to_owned()).collect();
        assert!(tags.iter().all(|tag| *tag == tags[0] && tag.len() == 34), "{rest}: {tags:?}");
    }
    for rest in ["master.m3u8", "g3/720p/playlist.m3u8", "chapters.vtt", "g3/text-0-de/0.vtt", "g3/images/poster.jpg"] {
        let (first, second) = (first.get(rest).await, second.get(rest).await);
        assert_eq!(first.header("etag").unwrap(), second.header("etag").unwrap(), "{rest}");
    }
}

#[tokio::test]
async fn a_segment_that_is_being_encoded_is_waited_for() {
    let stage = Stage::with_nothing_encoded(0).await;
    let encode = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        stage.put_segment("720p", 0).await;
    };
    let ranged = stage.get_with("g3/720p/0.m4s", &[("range", "bytes=0-9")]);
    let (whole, ranged, ()) = tokio::join!(stage.get("g3/720p/0.m4s"), ranged, encode);
    assert_eq!((whole.status, whole.body), (StatusCode::OK, content("720p", 0)));
    assert_eq!(whole.headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!((ranged.status, ranged.body), (StatusCode::PARTIAL_CONTENT, content("720p", 0).slice(..10)));
}

#[tokio::test]
async fn what_is_waited_for_is_told_once_however_many_wait() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = told.clone();
    let hook = DemandHook::new(move |wanted: Wanted| list.lock().unwrap().push((wanted.rendition, wanted.segment)));
    let stage = Stage::with_nothing_encoded(0).await.telling(hook);
    let encode = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        stage.put_segment("720p", 1).await;
    };
    let gets = join_all((0..5).map(|_| stage.get("g3/720p/1.m4s")));
    let (replies, ()) = tokio::join!(gets, encode);
    assert!(replies.iter().all(|reply| reply.status == StatusCode::OK));
    stage.get("g3/720p/1.m4s").await;
    stage.get("g3/720p/init.mp4").await;
    let told = told.lock().unwrap();
    let told: Vec<_> = told.iter().map(|(rendition, segment)| (rendition.as_str(), *segment)).collect();
    assert_eq!(told, [("720p", 1)], "not what is there, nor what is no segment");
}

#[tokio::test]
async fn a_segment_that_does_not_come_in_time_is_503() {
    let stage = Stage::with_nothing_encoded(0).await;
    for rest in ["g3/720p/0.m4s", "g3/audio-0-en/init.mp4"] {
        let reply = stage.get(rest).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), Some("2"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(std::str::from_utf8(&reply.body).unwrap().contains("not_encoded_yet"));
    }
}

#[tokio::test]
async fn only_so_many_requests_wait() {
    let stage = Stage::with_nothing_encoded(0).await;
    let replies = join_all((0..5).map(|_| stage.get("g3/720p/0.m4s"))).await;
    let busy = |reply: &&crate::stage::Reply| std::str::from_utf8(&reply.body).unwrap().contains("\"busy\"");
    assert!(replies.iter().all(|reply| reply.status == StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(replies.iter().filter(busy).count(), 3, "two may wait");
}
