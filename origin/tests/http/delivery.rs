//! What exists is delivered: whole, in part, or not at all where the client has it already.

use http::{Method, StatusCode};

use crate::stage::{SEGMENTS, Stage, content, sha256};

const SEGMENT: &str = "g3/720p/1.m4s";

fn etag() -> String {
    format!("\"{}\"", &sha256(&content("720p", 1))[..32])
}

#[tokio::test]
async fn a_segment_is_served_whole() {
    let stage = Stage::with_everything(1).await;
    let reply = stage.get(SEGMENT).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.body, content("720p", 1));
    assert_eq!(reply.header("content-type"), Some("video/mp4"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(reply.header("etag"), Some(etag().as_str()));
    assert_eq!(reply.header("transfer-encoding"), None);
    assert_eq!(reply.header("vary"), None);
}

#[tokio::test]
async fn every_kind_of_file_has_its_type() {
    let stage = Stage::with_everything(1).await;
    for (rest, expected) in [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("chapters.json", "application/json"),
        ("chapters.vtt", "text/vtt"),
        ("storyboard.vtt", "text/vtt"),
        ("storyboard.json", "application/json"),
        ("g3/720p/playlist.m3u8", "application/vnd.apple.mpegurl"),
        ("g3/720p/iframes.m3u8", "application/vnd.apple.mpegurl"),
        ("g3/720p/init.mp4", "video/mp4"),
        ("g3/audio-0-en/init.mp4", "audio/mp4"),
        ("g3/audio-0-en/2.m4s", "audio/mp4"),
        ("g3/text-0-de/playlist.m3u8", "application/vnd.apple.mpegurl"),
        ("g3/text-0-de/0.vtt", "text/vtt"),
        ("poster.jpg", "image/jpeg"),
        ("g3/images/poster.jpg", "image/jpeg"),
        ("g3/images/thumbnail-0.jpg", "image/jpeg"),
        ("g3/images/sheet-0.jpg", "image/jpeg"),
        ("g3/images/preview.webp", "image/webp"),
    ] {
        let reply = stage.get(rest).await;
        assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, Some(expected)), "{rest}");
        assert!(!reply.body.is_empty(), "{rest}");
    }
}

/// Everything that a playlist names, as a player would resolve it.
fn named(folder: &str, playlist: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(playlist).unwrap();
    let attributes = text.lines().filter_map(|line| line.split_once("URI=\"")?.1.split_once('"').map(|uri| uri.0));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    attributes.chain(lines).map(|uri| format!("{folder}{uri}")).collect()
}

#[tokio::test]
async fn a_player_finds_whatever_the_playlists_name() {
    let stage = Stage::with_everything(1).await;
    let mut open = vec!["master.m3u8".to_owned()];
    let mut seen = 0;
    while let Some(rest) = open.pop() {
        let reply = stage.get(&rest).await;
        assert_eq!(reply.status, StatusCode::OK, "{rest}");
        seen += 1;
        if let Some((folder, _)) = rest.strip_suffix(".m3u8").map(|_| rest.rsplit_once('/').unwrap_or(("", &rest))) {
            let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            open.extend(named(&folder, &reply.body));
        }
    }
    // Master, three playlists with their segments, one of I-frames with its own, and each time the init segment.
    assert!(seen >= 1 + 4 + 4 * SEGMENTS + 3, "only {seen} files");
}

#[tokio::test]
async fn one_range_is_one_part() {
    let stage = Stage::with_everything(1).await;
    let whole = content("720p", 1);
    let len = whole.len();
    for (range, expected) in [
        ("bytes=0-", 0..len),
        ("bytes=0-0", 0..1),
        ("bytes=10-19", 10..20),
        ("bytes=-7", len - 7..len),
        ("bytes=4000-99999999999999999999999", 4000..len),
    ] {
        // Twice: from the store, then from memory.
        for _ in 0..2 {
            let reply = stage.get_with(SEGMENT, &[("range", range)]).await;
            assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT, "{range}");
            assert_eq!(reply.body, whole.slice(expected.clone()), "{range}");
            let content_range = format!("bytes {}-{}/{len}", expected.start, expected.end - 1);
            assert_eq!(reply.header("content-range"), Some(content_range.as_str()));
            assert_eq!(reply.header("etag"), Some(etag().as_str()));
            assert_eq!(reply.header("content-type"), Some("video/mp4"));
            assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        }
    }
}

#[tokio::test]
async fn a_part_carries_what_the_whole_would() {
    let stage = Stage::with_everything(1).await;
    for rest in [SEGMENT, "master.m3u8"] {
        let whole = stage.get(rest).await;
        let mut expected = whole.timeless();
        expected.remove("content-length");
        let etag = whole.header("etag").unwrap();
        for lines in [&[("range", "bytes=0-9")][..], &[("range", "bytes=0-9"), ("if-range", etag)]] {
            let part = stage.get_with(rest, lines).await;
            assert_eq!((part.status, part.header("content-length")), (StatusCode::PARTIAL_CONTENT, Some("10")));
            let mut headers = part.timeless();
            for name in ["content-length", "content-range"] {
                assert!(headers.remove(name).is_some(), "{rest}: {name}");
            }
            assert_eq!(headers, expected, "{rest} {lines:?}");
        }
    }
}

#[tokio::test]
async fn ranges_that_become_one_are_one_part() {
    let stage = Stage::with_everything(1).await;
    let whole = content("720p", 1);
    for (range, expected) in [
        ("bytes=0-9,5-19", 0..20),
        ("bytes=0-9,60-99", 0..100),
        ("bytes=3-4,999999-", 3..5),
        ("bytes=999999-, -2", whole.len() - 2..whole.len()),
    ] {
        let reply = stage.get_with(SEGMENT, &[("range", range)]).await;
        assert_eq!((reply.status, &reply.body), (StatusCode::PARTIAL_CONTENT, &whole.slice(expected)), "{range}");
        assert_eq!(reply.header("content-type"), Some("video/mp4"), "{range}");
        assert!(reply.header("content-range").is_some(), "{range}");
    }
}

#[tokio::test]
async fn ranges_are_offered_wherever_there_are_octets_and_no_date_of_change_is_told() {
    let stage = Stage::with_everything(1).await;
    let etag = etag();
    for (method, rest, lines, offered) in [
        (Method::GET, SEGMENT, vec![], Some("bytes")),
        (Method::GET, "master.m3u8", vec![], Some("bytes")),
        (Method::HEAD, SEGMENT, vec![], Some("bytes")),
        (Method::GET, SEGMENT, vec![("range", "bytes=0-1")], Some("bytes")),
        (Method::GET, SEGMENT, vec![("if-none-match", etag.as_str())], None),
    ] {
        let reply = stage.send(method.clone(), rest, &lines).await;
        assert_eq!(reply.header("accept-ranges"), offered, "{method} {rest} {lines:?}");
        // What is told by tags alone cannot lie in the future, nor differ between replicas.
        assert_eq!(reply.header("last-modified"), None, "{method} {rest}");
        assert!(!reply.header("etag").unwrap().starts_with("W/"), "{method} {rest}");
    }
}

#[tokio::test]
async fn ranges_fetched_at_once_make_the_whole() {
    let stage = Stage::with_everything(1).await;
    let whole = content("720p", 1);
    let pieces = (0..whole.len()).step_by(100).map(async |start| {
        let range = format!("bytes={start}-{}", start + 99);
        stage.get_with(SEGMENT, &[("range", &range), ("if-range", &etag())]).await.body
    });
    assert_eq!(futures::future::join_all(pieces).await.concat(), whole);
}

#[tokio::test]
async fn several_ranges_are_a_multipart_body() {
    let stage = Stage::with_everything(1).await;
    let whole = content("720p", 1);
    let reply = stage.get_with(SEGMENT, &[("range", "bytes=2000-2009, 0-9, -10")]).await;
    assert_eq!(reply.status, StatusCode::PARTIAL_CONTENT);
    assert_eq!(reply.header("content-range"), None);
    let boundary = reply.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert!(!boundary.contains('"'));

    let len = whole.len();
    let mut expected = Vec::new();
    for range in [2000..2010, 0..10, len - 10..len] {
        let head = format!(
            "--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes {}-{}/{len}\r\n\r\n",
            range.start,
            range.end - 1
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&whole[range]);
        expected.extend_from_slice(b"\r\n");
    }
    expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    assert_eq!(reply.body, expected);
}

#[tokio::test]
async fn ranges_not_understood_or_abusive_give_the_whole() {
    let stage = Stage::with_everything(1).await;
    let many = format!("bytes={}", ["0-"; 50].join(","));
    for range in ["bytes=abc", "bytes=5-2", "items=0-1", "bytes", many.as_str()] {
        let reply = stage.get_with(SEGMENT, &[("range", range)]).await;
        assert_eq!((reply.status, reply.body), (StatusCode::OK, content("720p", 1)), "{range}");
    }
    let reply = stage.get_with(SEGMENT, &[("range", "bytes=0-1"), ("range", "bytes=0-1")]).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_range_behind_the_end_is_416() {
    let stage = Stage::with_everything(1).await;
    let len = content("720p", 1).len();
    for range in [format!("bytes={len}-"), "bytes=-0".into(), "bytes=1180591620717411303424-".into()] {
        let reply = stage.get_with(SEGMENT, &[("range", &range)]).await;
        assert_eq!(reply.status, StatusCode::RANGE_NOT_SATISFIABLE, "{range}");
        assert_eq!(reply.header("content-range"), Some(format!("bytes */{len}").as_str()));
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("etag"), None);
    }
}

#[tokio::test]
async fn a_client_that_has_it_is_told_so() {
    let stage = Stage::with_everything(1).await;
    for rest in [SEGMENT, "master.m3u8", "g3/720p/init.mp4"] {
        let full = stage.get(rest).await;
        let etag = full.header("etag").unwrap();
        for method in [Method::GET, Method::HEAD] {
            let lines = [("if-none-match", etag), ("range", "bytes=0-1")];
            let reply = stage.send(method, rest, &lines).await;
            assert_eq!(reply.status, StatusCode::NOT_MODIFIED, "{rest}");
            assert!(reply.body.is_empty());
            assert_eq!(reply.header("etag"), Some(etag));
            assert_eq!(reply.header("cache-control"), full.header("cache-control"));
            for name in ["content-type", "content-range", "accept-ranges", "last-modified"] {
                assert_eq!(reply.header(name), None, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn preconditions_decide_before_the_range() {
    let stage = Stage::with_everything(1).await;
    let etag = etag();
    for (lines, expected) in [
        ([("if-match", etag.as_str()), ("range", "bytes=0-1")], StatusCode::PARTIAL_CONTENT),
        ([("if-match", "\"x\""), ("range", "bytes=0-1")], StatusCode::PRECONDITION_FAILED),
        ([("if-match", "*"), ("if-none-match", &etag)], StatusCode::NOT_MODIFIED),
        ([("if-none-match", "\"x\""), ("range", "bytes=0-1")], StatusCode::PARTIAL_CONTENT),
        ([("if-range", etag.as_str()), ("range", "bytes=0-1")], StatusCode::PARTIAL_CONTENT),
        ([("if-range", "\"x\""), ("range", "bytes=0-1")], StatusCode::OK),
        ([("if-range", "\"x\""), ("range", "bytes=999999-")], StatusCode::OK),
        ([("if-range", "Sun, 06 Nov 1994 08:49:37 GMT"), ("range", "bytes=0-1")], StatusCode::OK),
        ([("if-range", "\"x\""), ("accept", "*/*")], StatusCode::OK),
        ([("if-modified-since", "Sun, 06 Nov 2094 08:49:37 GMT"), ("accept", "*/*")], StatusCode::OK),
        ([("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), ("accept", "*/*")], StatusCode::OK),
    ] {
        let reply = stage.get_with(SEGMENT, &lines).await;
        assert_eq!(reply.status, expected, "{lines:?}");
        if expected == StatusCode::PRECONDITION_FAILED {
            assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        }
    }
}

#[tokio::test]
async fn preconditions_do_not_matter_where_there_is_nothing() {
    let stage = Stage::with_everything(1).await;
    for lines in [[("if-none-match", "*")], [("if-match", "\"x\"")]] {
        assert_eq!(stage.get_with("g3/720p/99.m4s", &lines).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let stage = Stage::with_everything(1).await;
    for rest in [SEGMENT, "g3/720p/init.mp4", "g3/images/poster.jpg", "master.m3u8", "chapters.json", "g3/720p/99.m4s"]
    {
        let get = stage.get(rest).await;
        let head = stage.send(Method::HEAD, rest, &[("range", "bytes=0-1")]).await;
        assert_eq!(head.status, get.status, "{rest}");
        assert_eq!(head.timeless(), get.timeless(), "{rest}");
        assert!(head.body.is_empty(), "{rest}");
    }
}

#[tokio::test]
async fn options_answers_a_preflight() {
    let stage = Stage::with_everything(1).await;
    for rest in [SEGMENT, "nothing/here"] {
        let lines = [("origin", "https://example.com"), ("access-control-request-headers", "range")];
        let reply = stage.send(Method::OPTIONS, rest, &lines).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        assert_eq!(reply.header("allow"), Some("GET, HEAD, OPTIONS"));
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
        assert!(reply.header("access-control-allow-headers").unwrap().contains("Range"));
        assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    }
}

#[tokio::test]
async fn the_query_does_not_matter() {
    let stage = Stage::with_everything(1).await;
    let reply = stage.get(&format!("{SEGMENT}?CMCD=bl%3D21300%2Csid%3D%226e2fb550%22")).await;
    assert_eq!((reply.status, reply.body), (StatusCode::OK, content("720p", 1)));
}
