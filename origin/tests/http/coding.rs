//! Texts in the coding that a client wants, and clips.

use std::io::Read;

use http::{Method, StatusCode};

use crate::stage::{GENERATION, Reply, Stage, asset, content, presentation, rendition};

fn decoded(reply: &Reply) -> Vec<u8> {
    let mut plain = Vec::new();
    match reply.header("content-encoding") {
        None => plain = reply.body.to_vec(),
        Some("gzip") => {
            flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut plain).unwrap();
        }
        Some("br") => brotli::BrotliDecompress(&mut &reply.body[..], &mut plain).unwrap(),
        other => panic!("{other:?}"),
    }
    plain
}

#[tokio::test]
async fn a_playlist_comes_in_the_coding_that_the_client_likes_best() {
    let stage = Stage::with_everything(1).await;
    let plain = stage.get("master.m3u8").await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), (None, Some("accept-encoding")));
    let mut tags = vec![plain.header("etag").unwrap().to_owned()];
    for (line, coding) in [("gzip, deflate, br", "br"), ("gzip;q=1, br;q=0.5", "gzip")] {
        // Twice: made, then from memory.
        for _ in 0..2 {
            let reply = stage.get_with("master.m3u8", &[("accept-encoding", line)]).await;
            assert_eq!((reply.status, reply.header("content-encoding")), (StatusCode::OK, Some(coding)));
            assert_eq!(reply.header("vary"), Some("accept-encoding"));
            assert_eq!(reply.header("content-type"), Some("application/vnd.apple.mpegurl"));
            assert!(reply.body.len() < plain.body.len());
            assert_eq!(decoded(&reply), plain.body);
            let tag = reply.header("etag").unwrap().to_owned();
            assert!(tag.starts_with('"') && tag.len() == 34, "strong: {tag}");
            tags.push(tag);
        }
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "each coding has its own: {tags:?}");
}

#[tokio::test]
async fn conditions_and_ranges_are_about_the_coded_text() {
    let stage = Stage::with_everything(1).await;
    let gzip = ("accept-encoding", "gzip");
    let whole = stage.get_with("master.m3u8", &[gzip]).await;
    let tag = whole.header("etag").unwrap();
    let same = stage.get_with("master.m3u8", &[gzip, ("if-none-match", tag)]).await;
    assert_eq!(
        (same.status, same.header("vary"), same.header("etag")),
        (StatusCode::NOT_MODIFIED, Some("accept-encoding"), Some(tag))
    );
    let other = stage.get_with("master.m3u8", &[("if-none-match", tag)]).await;
    assert_eq!(other.status, StatusCode::OK, "the plain text is another representation");
    let part = stage.get_with("master.m3u8", &[gzip, ("range", "bytes=2-9")]).await;
    assert_eq!((part.status, part.header("content-encoding")), (StatusCode::PARTIAL_CONTENT, Some("gzip")));
    assert_eq!(part.body, whole.body.slice(2..10));
    let head = stage.send(Method::HEAD, "master.m3u8", &[gzip]).await;
    assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
    for lines in [[gzip, ("range", "bytes=99999-")], [gzip, ("if-match", "\"x\"")]] {
        let refused = stage.get_with("master.m3u8", &lines).await;
        assert!(refused.status.is_client_error());
        assert_eq!((refused.header("vary"), refused.header("content-encoding")), (Some("accept-encoding"), None));
    }
}

#[tokio::test]
async fn texts_are_negotiated_and_media_are_not() {
    let stage = Stage::with_everything(1).await;
    for rest in ["chapters.json", "chapters.vtt", "storyboard.vtt", "storyboard.json", "g3/text-0-de/0.vtt"] {
        let reply = stage.get_with(rest, &[("accept-encoding", "br")]).await;
        assert_eq!((reply.status, reply.header("vary")), (StatusCode::OK, Some("accept-encoding")), "{rest}");
        assert_eq!(decoded(&reply), stage.get(rest).await.body, "{rest}");
    }
    for rest in ["g3/720p/0.m4s", "g3/720p/init.mp4", "g3/images/poster.jpg"] {
        let reply = stage.get_with(rest, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!((reply.header("vary"), reply.header("content-encoding")), (None, None), "{rest}");
    }
}

#[tokio::test]
async fn a_clip_is_a_trimmed_playlist_over_the_same_segments() {
    let stage = Stage::with_everything(1).await;
    for _ in 0..2 {
        // There is no end of clips: none is kept.
        let reply = stage.get_with("master.m3u8?start=2.5&end=4", &[("accept-encoding", "br")]).await;
        assert_eq!(reply.header("cache-status"), Some("headwater; fwd=uri-miss; detail=rendered"));
    }
    let reply = stage.get("master.m3u8?start=2.5&end=0:00:04&utm_source=x").await;
    assert_eq!(reply.status, StatusCode::OK);
    let master = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(master.contains("g3/720p/playlist.m3u8?start=2.5&end=4\n"), "{master}");
    for (rest, file) in [
        ("g3/720p/playlist.m3u8?start=2.5&end=4", "1.m4s"),
        ("g3/audio-0-en/playlist.m3u8?end=4&start=2.5", "1.m4s"),
        ("g3/text-0-de/playlist.m3u8?start=2.5&end=4", "1.vtt"),
    ] {
        let text = String::from_utf8(stage.get(rest).await.body.to_vec()).unwrap();
        let files: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(files, [file], "{rest}");
        assert!(text.contains("#EXT-X-START:TIME-OFFSET=0.500,PRECISE=YES\n"), "{text}");
    }
}

#[tokio::test]
async fn nonsense_is_no_clip() {
    let stage = Stage::with_everything(1).await;
    for query in ["start=x", "start=-1", "end=", "start=3&end=2", "start=6", "start=99:00", "start=1&start=2", "end=0"]
    {
        for rest in ["master.m3u8", "g3/720p/playlist.m3u8"] {
            let reply = stage.get(&format!("{rest}?{query}")).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
            assert_eq!(reply.header("cache-control"), Some("no-store"));
            let document: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(document["code"], "bad_clip");
        }
    }
    assert_eq!(stage.get("g3/720p/0.m4s?start=x").await.status, StatusCode::OK, "segments know no clips");
}

#[tokio::test]
async fn a_manifest_names_the_same_segments() {
    let stage = Stage::with_everything(1).await;
    let reply = stage.get_with("manifest.mpd", &[("accept-encoding", "gzip")]).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, Some("application/dash+xml")));
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    let manifest = String::from_utf8(decoded(&reply)).unwrap();
    assert!(manifest.contains("media=\"g3/$RepresentationID$/$Number$.m4s\""), "{manifest}");
    let images = stage.get("g3/images/playlist.m3u8").await;
    assert_eq!(images.header("content-type"), Some("application/vnd.apple.mpegurl"));
    assert!(String::from_utf8(images.body.to_vec()).unwrap().ends_with("\nsheet-0.jpg\n#EXT-X-ENDLIST\n"));
}

#[tokio::test]
async fn subtitles_beside_transport_streams_count_from_their_zero() {
    let stage = Stage::with_nothing_encoded(1).await;
    let text = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:00:00.100 --> 00:00:01.000\nHi\n".repeat(30);
    let text = &text[..content("text-0-de", 0).len().min(text.len())];
    let key = media_store::layout::subtitle(asset(), GENERATION, &rendition("text-0-de"), 0);
    let mut published = presentation(1);
    published.subtitles[0].segments[0].bytes = Some(text.len() as u64);
    published.revision = 2;
    stage.publish(&published).await;
    stage.put(&key, text.to_owned().into()).await;
    for _ in 0..2 {
        let reply = stage.get_with("g3/text-0-de/0-ts.vtt", &[("accept-encoding", "gzip")]).await;
        assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, Some("text/vtt")));
        let moved = String::from_utf8(decoded(&reply)).unwrap();
        assert_eq!(moved, text.replacen("MPEGTS:0,", "MPEGTS:900000,", 1));
    }
}

#[tokio::test]
async fn what_cannot_be_packed_is_damaged_and_what_is_not_there_is_404() {
    let stage = Stage::with_everything(1).await;
    let playlist = stage.get("g3/720p/playlist.m3u8?container=ts").await;
    assert!(String::from_utf8(playlist.body.to_vec()).unwrap().contains("\n0.ts\n"));
    // The segments of the stage are no CMAF.
    assert_eq!(stage.get("g3/720p/0.ts").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    for rest in ["g3/720p/3.ts", "g3/text-0-de/0.ts", "g3/720p/0-ts.vtt", "g2/720p/0.ts"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
    assert_eq!(stage.get("master.m3u8?container=mkv").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_file_that_its_segments_do_not_make_is_damaged() {
    let stage = Stage::with_everything(1).await;
    // The segments of the stage are no CMAF.
    for rest in ["720p.mp4", "audio-0-en.m4a"] {
        let reply = stage.get(rest).await;
        assert_eq!((reply.status, reply.header("content-disposition")), (StatusCode::INTERNAL_SERVER_ERROR, None));
    }
    for rest in ["audio-0-en.mp4", "720p.m4a", "text-0-de.m4a"] {
        assert_eq!(stage.get(rest).await.status, StatusCode::NOT_FOUND, "{rest}");
    }
    let planned = Stage::with_nothing_encoded(0).await;
    assert_eq!(planned.get("720p.mp4").await.status, StatusCode::NOT_FOUND, "not before it is complete");
}
