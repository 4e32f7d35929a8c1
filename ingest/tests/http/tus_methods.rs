//! Checklist 1.2: each method of tus 1.0.0, and its codes.

use std::time::Duration;

use domain::AssetState;
use ingest::Limits;
use tokio::io::AsyncWriteExt;

use crate::ground::eventually;
use crate::wire::{PIECE, Server, ask, at, tus};

const UNKNOWN: &str = "/uploads/upl_00000000000000000000000009";

#[tokio::test]
async fn options_tells_what_is_spoken_and_ignores_the_version_of_the_request() {
    let server = Server::with(Limits { size_max: 1000, ..Limits::default() }).await;
    for version in ["1.0.0", "9.9.9", ""] {
        let answer = server.call(ask("OPTIONS", "/uploads").header("Tus-Resumable", version)).await;
        assert_eq!((answer.status.as_u16(), answer.header("tus-version")), (204, Some("1.0.0")));
        assert_eq!(answer.header("tus-max-size"), Some("1000"));
        assert!(answer.header("tus-extension").is_some_and(|listed| listed.starts_with("creation,")));
    }
}

#[tokio::test]
async fn head_tells_the_offset_always() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    for (at, piece) in [(0, "ab"), (2, "cde"), (5, "")] {
        let head = server.head(upload).await;
        assert_eq!((head.status.as_u16(), head.offset(), head.body.as_str()), (200, Some(at), ""));
        assert_eq!(head.header("upload-length"), Some("5"));
        assert_eq!(server.patch(upload, at, piece).await.status, 204);
    }
    assert_eq!(server.head(upload).await.offset(), Some(5), "also when it is complete");
}

#[tokio::test]
async fn head_of_an_upload_that_is_not_there_tells_no_offset() {
    let server = Server::new().await;
    let ended = server.create(5).await;
    server.call(tus("DELETE", at(ended))).await;
    for (path, status) in [(UNKNOWN.to_owned(), 404), (at(ended), 410), ("/uploads/nonsense".to_owned(), 404)] {
        let head = server.call(tus("HEAD", &path)).await;
        assert_eq!((head.status.as_u16(), head.offset(), head.header("upload-length")), (status, None, None), "{path}");
    }
}

#[tokio::test]
async fn patch_moves_the_offset_by_what_it_brought() {
    let server = Server::new().await;
    let upload = server.create(9).await;
    for (offset, piece) in [(0, "abc"), (3, ""), (3, "defgh"), (8, "i")] {
        let answer = server.patch(upload, offset, piece).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(offset + piece.len() as u64)));
    }
    assert_eq!(server.file(upload).await, "abcdefghi");
}

#[tokio::test]
async fn patch_elsewhere_is_409_with_the_right_offset_and_changes_nothing() {
    let server = Server::new().await;
    let upload = server.create(9).await;
    server.patch(upload, 0, "abc").await;
    for offset in [0, 2, 4, 9, 1000] {
        let answer = server.patch(upload, offset, "xyz").await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (409, Some(3)), "{offset}");
        assert_eq!(answer.code(), "offset_mismatch");
    }
    assert_eq!(server.patch(upload, 3, "defghi").await.status, 204);
    assert_eq!(server.file(upload).await, "abcdefghi");
}

#[tokio::test]
async fn patch_of_an_upload_that_is_not_there_is_404_or_410() {
    let server = Server::new().await;
    let (ended, expired) = (server.create(5).await, server.create(5).await);
    server.call(tus("DELETE", at(ended))).await;
    let state = &server.ground.state;
    state.catalog.close_upload(expired, &catalog_store::Closing::Expired, state.clock.now()).await.expect("closes");
    for (path, status, code) in [
        (UNKNOWN.to_owned(), 404, "upload_not_found"),
        (at(ended), 410, "upload_gone"),
        (at(expired), 410, "upload_expired"),
    ] {
        let ask = tus("PATCH", &path).headers(&[PIECE, ("Upload-Offset", "0")]).body("x");
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
    }
}

#[tokio::test]
async fn patch_keeps_what_came_before_the_connection_broke() {
    let server = Server::new().await;
    let upload = server.create(9).await;
    let head = "PATCH {} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 9\r\n\
                Content-Type: application/offset+octet-stream\r\n\r\nabcd";
    let mut connection = server.begin(&ask("OPTIONS", "/uploads")).await;
    connection.answer().await;
    connection.socket.write_all(head.replace("{}", &at(upload)).as_bytes()).await.expect("sends");
    drop(connection);
    let kept = || async { server.ground.upload(upload).await.offset == 4 };
    eventually("what came is kept", kept).await;
    assert_eq!(server.patch(upload, 4, "efghi").await.status, 204);
    assert_eq!(server.file(upload).await, "abcdefghi");
}

#[tokio::test]
async fn patch_that_brings_nothing_for_too_long_is_given_up() {
    let server = Server::with(Limits { silence_max: Duration::from_millis(50), ..Limits::default() }).await;
    let upload = server.create(9).await;
    let mut connection = server.begin(&ask("OPTIONS", "/uploads")).await;
    connection.answer().await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 9\r\n\
         Content-Type: application/offset+octet-stream\r\n\r\nabcd",
        at(upload)
    );
    connection.socket.write_all(head.as_bytes()).await.expect("sends");
    let answer = connection.answer().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str(), answer.offset()), (408, "stalled", Some(4)));
}

#[tokio::test]
async fn patch_beyond_the_length_is_413_and_never_recorded() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    let told = server.patch(upload, 0, "abcdef").await;
    assert_eq!((told.status.as_u16(), told.code().as_str(), told.offset()), (413, "beyond_length", Some(0)));
    let patch = |offset: u64| tus("PATCH", at(upload)).headers(&[PIECE]).header("Upload-Offset", offset);
    let untold = server.call(patch(0).chunks(&["abc", "def"])).await;
    assert_eq!(untold.status, 413);
    let stands_at = server.head(upload).await.offset().expect("stands");
    assert!(stands_at <= 3, "{stands_at}");
    let rest = &"abcde"[usize::try_from(stands_at).expect("fits")..];
    assert_eq!(server.patch(upload, stands_at, rest).await.offset(), Some(5));
    assert_eq!(server.patch(upload, 5, "f").await.status, 413);
    assert_eq!(server.file(upload).await, "abcde");
}

#[tokio::test]
async fn post_tells_the_length_or_defers_it_but_not_both() {
    let server = Server::new().await;
    for headers in [&[][..], &[("Upload-Length", "5"), ("Upload-Defer-Length", "1")]] {
        let answer = server.call(tus("POST", "/uploads").headers(headers).body("")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"), "{headers:?}");
    }
    for headers in [[("Upload-Length", "5")], [("Upload-Defer-Length", "1")]] {
        let answer = server.call(tus("POST", "/uploads").headers(&headers).body("")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location").is_some()), (201, true));
    }
}

#[tokio::test]
async fn post_of_more_than_tus_max_size_is_413() {
    let server = Server::with(Limits { size_max: 1000, ..Limits::default() }).await;
    for (length, status) in [("1000", 201), ("1001", 413), ("9223372036854775807", 413)] {
        let answer = server.call(tus("POST", "/uploads").header("Upload-Length", length).body("")).await;
        assert_eq!(answer.status, status, "{length}");
    }
    let deferred = server.create_with(&[("Upload-Defer-Length", "1")]).await;
    let patch = tus("PATCH", at(deferred)).headers(&[PIECE, ("Upload-Offset", "0"), ("Upload-Length", "1001")]);
    assert_eq!(server.call(patch.body("a")).await.status, 413, "nor is it settled later");
}

#[tokio::test]
async fn post_of_no_octets_is_complete_at_once() {
    let server = Server::new().await;
    let upload = server.create(0).await;
    assert_eq!(server.head(upload).await.offset(), Some(0));
    assert_eq!(server.ground.asset(upload).await.state, AssetState::Received);
    assert_eq!(server.file(upload).await, "");
}

#[tokio::test]
async fn delete_ends_unfinished_and_finished_uploads() {
    let server = Server::new().await;
    let (unfinished, finished) = (server.create(5).await, server.create(5).await);
    server.patch(unfinished, 0, "abc").await;
    server.patch(finished, 0, "abcde").await;
    for upload in [unfinished, finished] {
        assert_eq!(server.call(tus("DELETE", at(upload))).await.status, 204);
        for method in ["HEAD", "DELETE", "PATCH"] {
            let ask = tus(method, at(upload)).headers(&[PIECE, ("Upload-Offset", "0")]);
            assert_eq!(server.call(ask).await.status, 410, "{method}");
        }
        assert_eq!(server.call(ask("GET", at(upload))).await.status, 410);
        assert_eq!(server.ground.asset(upload).await.state, AssetState::Deleted);
        assert!(!server.ground.state.staging.path(upload).exists());
    }
    assert_eq!(server.call(tus("DELETE", UNKNOWN)).await.status, 404);
}

#[tokio::test]
async fn get_returns_the_finished_file() {
    let server = Server::new().await;
    let metadata = "filename ZmlsbSDDpC5tcDQ=,filetype dmlkZW8vbXA0";
    let upload = server.create_with(&[("Upload-Length", "10"), ("Upload-Metadata", metadata)]).await;
    server.patch(upload, 0, "01234").await;
    let growing = server.call(ask("GET", at(upload))).await;
    assert_eq!((growing.status.as_u16(), growing.offset(), growing.body.as_str()), (204, Some(5), ""));
    server.patch(upload, 5, "56789").await;
    for ask in [ask("GET", at(upload)), tus("GET", at(upload))] {
        let whole = server.call(ask).await;
        assert_eq!((whole.status.as_u16(), whole.body.as_str()), (200, "0123456789"));
        assert_eq!(whole.header("content-type"), Some("video/mp4"));
        assert_eq!(whole.header("content-disposition"), Some("attachment; filename*=UTF-8''film%20%C3%A4.mp4"));
        assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));
    }
    let part = server.call(ask("GET", at(upload)).header("Range", "bytes=3-5")).await;
    assert_eq!((part.status.as_u16(), part.body.as_str()), (206, "345"));
    assert_eq!(part.header("content-range"), Some("bytes 3-5/10"));
    let outside = server.call(ask("GET", at(upload)).header("Range", "bytes=10-")).await;
    assert_eq!((outside.status.as_u16(), outside.header("content-range")), (416, Some("bytes */10")));
    let own = server.create_with(&[("Upload-Length", "5"), ("Upload-Concat", "partial")]).await;
    server.patch(own, 0, "abcde").await;
    let of_part = server.call(ask("GET", at(own)).header("Range", "bytes=1-3")).await;
    assert_eq!((of_part.status.as_u16(), of_part.body.as_str()), (206, "bcd"), "parts are files too");
    let page = server.create_with(&[("Upload-Length", "0"), ("Upload-Metadata", "filetype dGV4dC9odG1s")]).await;
    let page = server.call(ask("GET", at(page))).await;
    assert_eq!(page.header("content-type"), Some("application/octet-stream"), "never a page of this origin");
}
