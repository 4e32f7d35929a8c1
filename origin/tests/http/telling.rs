//! What CDNs and players are told beside the content, and what players tell.

use std::time::Duration;

use http::{Method, StatusCode};
use sfv::{Dictionary, List, Parser};

use crate::stage::{Stage, playback, presentation};

const SEGMENT: &str = "g3/720p/0.m4s";

#[tokio::test]
async fn cdns_have_a_header_of_their_own() {
    let stage = Stage::with_everything(1).await;
    for (rest, expected) in [
        (SEGMENT, "max-age=31536000"),
        ("g3/720p/init.mp4", "max-age=31536000"),
        ("g3/images/poster.jpg", "max-age=31536000"),
        ("g3/720p/playlist.m3u8", "max-age=300, stale-while-revalidate=3600, stale-if-error=86400"),
        ("master.m3u8", "max-age=15, stale-while-revalidate=30, stale-if-error=86400"),
    ] {
        assert_eq!(stage.get(rest).await.header("cdn-cache-control"), Some(expected), "{rest}");
    }
    let planned = Stage::with_everything(0).await;
    assert_eq!(planned.get("master.m3u8").await.header("cdn-cache-control"), Some("max-age=2"));
}

#[tokio::test]
async fn shared_lifetimes_are_never_combined_with_stale_answers() {
    let stage = Stage::with_everything(1).await;
    for rest in ["master.m3u8", "g3/720p/playlist.m3u8", SEGMENT, "missing"] {
        let reply = stage.get(rest).await;
        assert!(!reply.header("cache-control").unwrap().contains("s-maxage"), "{rest}");
    }
}

#[tokio::test]
async fn tags_name_asset_generation_and_rendition() {
    let stage = Stage::with_everything(1).await;
    let id = playback();
    for (rest, expected) in [
        (SEGMENT, vec![format!("asset:{id}"), format!("gen:{id}/g3"), format!("rend:{id}/720p")]),
        ("g3/images/poster.jpg", vec![format!("asset:{id}"), format!("gen:{id}/g3")]),
        ("master.m3u8", vec![format!("asset:{id}"), format!("list:{id}")]),
        (
            "g3/720p/playlist.m3u8",
            vec![format!("asset:{id}"), format!("list:{id}"), format!("gen:{id}/g3"), format!("rend:{id}/720p")],
        ),
    ] {
        let reply = stage.get(rest).await;
        assert_eq!(reply.header("surrogate-key"), Some(expected.join(" ").as_str()), "{rest}");
        assert_eq!(reply.header("cache-tag"), Some(expected.join(",").as_str()), "{rest}");
        // Akamai: neither colons nor, until lately, slashes.
        let tokens = expected.join(",").replace(':', "-").replace('/', ".");
        assert_eq!(reply.header("edge-cache-tag"), Some(tokens.as_str()), "{rest}");
    }
}

#[tokio::test]
async fn segments_say_what_comes_next() {
    let stage = Stage::with_everything(1).await;
    for (rest, expected) in [
        (SEGMENT, Some("<1.m4s>; rel=\"next\"")),
        ("g3/audio-0-en/1.m4s", Some("<2.m4s>; rel=\"next\"")),
        ("g3/text-0-de/1.vtt", Some("<2.vtt>; rel=\"next\"")),
        ("g3/720p/2.m4s", None),
        ("g3/720p/init.mp4", None),
        ("master.m3u8", None),
    ] {
        let reply = stage.get(rest).await;
        assert_eq!(reply.header("link"), expected, "{rest}");
        assert_eq!(reply.header("cdn-origin-assist-prefetch-path"), None, "{rest}");
    }
    let asked = [("cdn-origin-assist-prefetch-enabled", "1")];
    for _ in 0..3 {
        let reply = stage.get_with(SEGMENT, &asked).await;
        assert_eq!(reply.header("cdn-origin-assist-prefetch-path"), Some("1.m4s"));
    }
    assert_eq!(stage.get_with("master.m3u8", &asked).await.header("cdn-origin-assist-prefetch-path"), None);
}

#[tokio::test]
async fn media_data_is_told_in_structured_fields() {
    let stage = Stage::with_everything(1).await;
    for (rest, kind, duration_ms) in [
        (SEGMENT, "v", Some(2000)),
        ("g3/audio-0-en/0.m4s", "a", Some(2000)),
        ("g3/text-0-de/0.vtt", "c", Some(2000)),
        ("g3/720p/init.mp4", "i", None),
        ("master.m3u8", "m", None),
        ("g3/720p/playlist.m3u8", "m", None),
    ] {
        let reply = stage.get(rest).await;
        let told: Dictionary = Parser::new(reply.header("cmsd-static").unwrap()).parse_dictionary().unwrap();
        let item = |key: &str| match told.get(key) {
            Some(sfv::ListEntry::Item(item)) => Some(item.bare_item.clone()),
            _ => None,
        };
        assert_eq!(item("ot").unwrap().as_token().unwrap().as_str(), kind, "{rest}");
        let told_ms = item("d").map(|value| i64::from(value.as_integer().unwrap()));
        assert_eq!(told_ms, duration_ms, "{rest}");
        assert_eq!(item("br").is_some(), duration_ms.is_some(), "{rest}");
        let _: List = Parser::new(reply.header("cmsd-dynamic").unwrap()).parse_list().unwrap();
        let _: List = Parser::new(reply.header("cache-status").unwrap()).parse_list().unwrap();
        assert!(reply.header("server-timing").unwrap().starts_with("tier;desc=\""), "{rest}");
    }
}

#[tokio::test]
async fn what_players_tell_is_counted_and_changes_no_answer() {
    let stage = Stage::with_everything(1).await;
    let plain = stage.get(SEGMENT).await;
    let path = format!("/v/{}/{SEGMENT}?CMCD=bl%3D21300%2Cbs%2Cmtp%3D25400%2Csid%3D%22s-1%22", playback());
    for _ in 0..4 {
        let told = stage.send_to(Method::GET, &path, &[]).await;
        assert_eq!((told.status, told.timeless(), told.body), (plain.status, plain.timeless(), plain.body.clone()));
    }
    stage.get_with(SEGMENT, &[("cmcd-request", "bl=800,su"), ("cmcd-status", "nonsense(")]).await;
    let metrics = stage.origin.metrics();
    // The stage asks twice where an answer is ready.
    assert!((5..=10).contains(&metrics.reports()), "{}", metrics.reports());
    assert!(metrics.starvations() >= 4 && metrics.startups() >= 1);
    assert!(metrics.buffers().buckets[1] >= 1 && metrics.throughputs().sum >= 4 * 25_400);
}

#[tokio::test]
async fn what_a_player_announces_is_in_memory_when_it_asks() {
    let stage = Stage::with_everything(1).await;
    stage.get_with(SEGMENT, &[("cmcd-request", "nor=\"1.m4s\"")]).await;
    let begun = tokio::time::Instant::now();
    while stage.origin.metrics().hints() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let reply = stage.get("g3/720p/1.m4s").await;
    assert_eq!((reply.status, reply.header("cache-status")), (StatusCode::OK, Some("headwater; hit")));
    // What does not exist, or leads elsewhere, is no hint.
    for next in ["9.m4s", "https%3A%2F%2Felsewhere.example%2F1.m4s", "..%2F..%2F..%2F..%2F1.m4s"] {
        stage.get_with(SEGMENT, &[("cmcd-request", &format!("nor=\"{next}\""))]).await;
    }
    assert_eq!(stage.origin.metrics().hints(), 1);
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_what_it_needs() {
    let stage = Stage::with_everything(1).await;
    let etag = stage.get(SEGMENT).await.header("etag").unwrap().to_owned();
    for (rest, lines, status) in [
        (SEGMENT, vec![], StatusCode::OK),
        (SEGMENT, vec![("range", "bytes=0-9")], StatusCode::PARTIAL_CONTENT),
        (SEGMENT, vec![("if-none-match", etag.as_str())], StatusCode::NOT_MODIFIED),
        (SEGMENT, vec![("range", "bytes=99999999-")], StatusCode::RANGE_NOT_SATISFIABLE),
        (SEGMENT, vec![("if-match", "\"x\"")], StatusCode::PRECONDITION_FAILED),
        ("missing", vec![], StatusCode::NOT_FOUND),
    ] {
        let reply = stage.get_with(rest, &lines).await;
        assert_eq!(reply.status, status);
        let exposed = reply.header("access-control-expose-headers").unwrap();
        for name in [
            "Content-Length",
            "Content-Range",
            "Accept-Ranges",
            "Date",
            "ETag",
            "Server-Timing",
            "CMSD-Static",
            "CMSD-Dynamic",
        ] {
            assert!(exposed.split(", ").any(|one| one == name), "{name}");
        }
    }
    let preflight = presentation(1);
    let path = format!("/v/{}/master.m3u8", preflight.playback);
    let reply = stage.send_to(Method::OPTIONS, &path, &[("origin", "https://page.example")]).await;
    for name in ["Range", "If-Range", "Authorization", "CMCD-Request", "CMCD-Object", "CMCD-Status", "CMCD-Session"] {
        assert!(reply.header("access-control-allow-headers").unwrap().contains(name), "{name}");
    }
}

#[tokio::test]
async fn every_error_says_how_long_it_holds() {
    let stage = Stage::with_everything(1).await;
    let long = format!("/v/{}", "a".repeat(2000));
    for (method, path, lines, status, expected) in [
        (Method::GET, "missing", vec![], 404, "public, max-age=10"),
        (Method::GET, SEGMENT, vec![("range", "bytes=99999999-")], 416, "no-store"),
        (Method::GET, SEGMENT, vec![("if-match", "\"x\"")], 412, "no-store"),
        (Method::POST, SEGMENT, vec![], 405, "no-store"),
        (Method::GET, SEGMENT, vec![("content-length", "3")], 400, "no-store"),
        (Method::GET, "g3/%2e%2e/0.m4s", vec![], 400, "no-store"),
    ] {
        let reply = stage.send(method, path, &lines).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (status, Some(expected)), "{path}");
        assert_eq!(reply.header("cdn-cache-control"), None, "{path}");
    }
    let reply = stage.send_to(Method::GET, &long, &[]).await;
    assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (414, Some("no-store")));
}
