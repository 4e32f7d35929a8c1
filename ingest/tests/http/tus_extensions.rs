//! Checklist 1.3: each extension of tus 1.0.0 but concatenation.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use catalog_store::Closing;
use domain::AssetState;
use ingest::Limits;
use tokio::io::AsyncWriteExt;

use crate::ground::eventually;
use crate::wire::{PIECE, Server, ask, at, tus};

const SHA1_OF_HELLO_WORLD: &str = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";

#[tokio::test]
async fn creation_makes_an_upload_at_its_location() {
    let server = Server::new().await;
    let created = server.call(tus("POST", "/uploads").header("Upload-Length", 5).body("")).await;
    assert_eq!((created.status.as_u16(), created.header("location")), (201, Some(&*at(created.id()))));
    assert_eq!(server.head(created.id()).await.offset(), Some(0));
    assert_eq!(server.ground.asset(created.id()).await.state, AssetState::Uploading);
}

#[tokio::test]
async fn creation_defer_length_is_settled_once() {
    let server = Server::new().await;
    let upload = server.create_with(&[("Upload-Defer-Length", "1")]).await;
    server.patch(upload, 0, "abc").await;
    let settle = |length: &str, offset: u64| {
        tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Length", length)]).header("Upload-Offset", offset)
    };
    for bad in ["2", "-1", "+6", "x"] {
        assert_eq!(server.call(settle(bad, 3).body("")).await.status, 400, "{bad}");
    }
    assert_eq!(server.head(upload).await.header("upload-defer-length"), Some("1"));
    assert_eq!(server.call(settle("6", 3).body("d")).await.offset(), Some(4));
    let changed = server.call(settle("7", 4).body("e")).await;
    assert_eq!((changed.status.as_u16(), changed.code().as_str()), (400, "inconsistent_length"));
    assert_eq!(server.head(upload).await.header("upload-length"), Some("6"));
    assert_eq!(server.call(settle("6", 4).body("ef")).await.offset(), Some(6), "the same again is no change");
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn creation_defer_length_may_be_settled_by_a_request_without_octets() {
    let server = Server::new().await;
    let upload = server.create_with(&[("Upload-Defer-Length", "1")]).await;
    server.patch(upload, 0, "abc").await;
    let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Length", "3"), ("Upload-Offset", "3")]).body("");
    assert_eq!(server.call(patch).await.offset(), Some(3));
    assert_eq!(server.ground.asset(upload).await.state, AssetState::Received);
    assert_eq!(server.file(upload).await, "abc");
}

#[tokio::test]
async fn creation_with_upload_tells_the_offset() {
    let server = Server::new().await;
    for (body, offset) in [("", 0), ("abc", 3), ("abcde", 5)] {
        let ask = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), PIECE]).body(body);
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (201, Some(offset)));
        assert_eq!(server.head(answer.id()).await.offset(), Some(offset));
    }
    let ask = tus("POST", "/uploads").headers(&[("Upload-Defer-Length", "1"), PIECE]).chunks(&["abc", "de"]);
    assert_eq!(server.call(ask).await.offset(), Some(5), "also without any length");
}

#[tokio::test]
async fn creation_with_upload_is_refused_before_its_body_is_asked_for() {
    let server = Server::with(Limits { size_max: 1000, ..Limits::default() }).await;
    let upload = server.create(5).await;
    let expecting = |ask: crate::wire::Ask| ask.header("Expect", "100-continue").header("Content-Length", 5);
    let refused = [
        (tus("POST", "/uploads").headers(&[("Upload-Length", "1001"), PIECE]), 413),
        (tus("POST", "/uploads").headers(&[("Upload-Length", "+5"), PIECE]), 400),
        (tus("POST", "/uploads").headers(&[("Upload-Length", "4"), PIECE]), 413),
        (ask("POST", "/uploads").headers(&[("Upload-Length", "5"), PIECE]), 412),
        (tus("PATCH", at(upload)).headers(&[("Upload-Offset", "1"), PIECE]), 409),
    ];
    for (ask, status) in refused {
        let mut connection = server.begin(&expecting(ask)).await;
        assert_eq!(connection.next().await.status, status, "the first answer is the last");
    }
    let welcome = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), PIECE]);
    let mut connection = server.begin(&expecting(welcome)).await;
    assert_eq!(connection.next().await.status, 100);
    connection.socket.write_all(b"abcde").await.expect("sends");
    assert_eq!(connection.answer().await.offset(), Some(5));
}

#[tokio::test]
async fn creation_takes_a_body_of_another_type_for_none() {
    let server = Server::new().await;
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let ask = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), ("Content-Type", kind)]).body("abcde");
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (201, None), "{kind}");
        assert_eq!(server.head(answer.id()).await.offset(), Some(0));
    }
}

#[tokio::test]
async fn expiration_answers_410_for_what_has_expired() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    server.patch(upload, 0, "abc").await;
    let state = &server.ground.state;
    assert!(state.catalog.close_upload(upload, &Closing::Expired, state.clock.now()).await.expect("closes"));
    for method in ["HEAD", "PATCH", "DELETE"] {
        let answer = server.call(tus(method, at(upload)).headers(&[PIECE, ("Upload-Offset", "3")])).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (410, None), "{method}");
    }
    assert_eq!(server.call(ask("GET", at(upload))).await.code(), "upload_expired");
    assert!(!state.staging.path(upload).exists());
}

#[tokio::test]
async fn checksum_that_does_not_match_is_460_and_nothing_is_kept() {
    let server = Server::new().await;
    let upload = server.create(22).await;
    let patch = |offset: u64, body: &str| {
        let headers = [PIECE, ("Upload-Checksum", SHA1_OF_HELLO_WORLD)];
        tus("PATCH", at(upload)).headers(&headers).header("Upload-Offset", offset).body(body)
    };
    let mismatch = server.call(patch(0, "hello wOrld")).await;
    assert_eq!((mismatch.status.as_u16(), mismatch.offset()), (460, Some(0)));
    assert_eq!(mismatch.code(), "checksum_mismatch");
    assert_eq!(server.head(upload).await.offset(), Some(0));
    assert_eq!(server.call(patch(0, "hello world")).await.offset(), Some(11));
    assert_eq!(server.call(patch(11, "hello worlds")).await.status, 413);
    assert_eq!(server.call(patch(11, "hello worlt")).await.status, 460);
    assert_eq!(server.ground.asset(upload).await.state, AssetState::Uploading, "the last octets are no exception");
    assert_eq!(server.call(patch(11, "hello world")).await.offset(), Some(22));
    assert_eq!(server.file(upload).await, "hello worldhello world");
}

#[tokio::test]
async fn checksum_of_an_unknown_algorithm_is_400_and_nothing_is_kept() {
    let server = Server::new().await;
    let upload = server.create(11).await;
    for checksum in ["sha3 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "crc64 AAAA"] {
        let headers = [PIECE, ("Upload-Checksum", checksum), ("Upload-Offset", "0")];
        let answer = server.call(tus("PATCH", at(upload)).headers(&headers).body("hello world")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"));
    }
    assert_eq!(server.head(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn checksum_of_a_patch_that_is_cut_keeps_nothing() {
    let server = Server::with(Limits { checkpoint_bytes: 1, ..Limits::default() }).await;
    let upload = server.create(11).await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 11\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Checksum: {SHA1_OF_HELLO_WORLD}\r\n\r\nhello",
        at(upload)
    );
    let mut connection = server.begin(&ask("OPTIONS", "/uploads")).await;
    connection.answer().await;
    connection.socket.write_all(head.as_bytes()).await.expect("sends");
    eventually("the body is being read", || async { server.ground.state.tasks.len() == 1 }).await;
    drop(connection);
    eventually("the body is over", || async { server.ground.state.tasks.is_empty() }).await;
    assert_eq!(server.head(upload).await.offset(), Some(0), "what cannot be verified is not kept");
    assert_eq!(server.patch(upload, 0, "hello world").await.offset(), Some(11));
}

#[tokio::test]
async fn checksum_of_the_first_octets_is_verified_too() {
    let server = Server::new().await;
    let create = |body: &str| {
        let headers = [PIECE, ("Upload-Length", "22"), ("Upload-Checksum", SHA1_OF_HELLO_WORLD)];
        tus("POST", "/uploads").headers(&headers).body(body)
    };
    let right = server.call(create("hello world")).await;
    assert_eq!((right.status.as_u16(), right.offset()), (201, Some(11)));
    let wrong = server.call(create("hello wOrld")).await;
    assert_eq!((wrong.status.as_u16(), wrong.header("location")), (460, None));
    assert_eq!(server.ground.state.catalog.open_uploads().await.expect("answers").len(), 1, "nothing is left of it");
}

#[tokio::test]
async fn checksum_trailer_is_verified_like_the_header() {
    let server = Server::new().await;
    let upload = server.create(22).await;
    let patch = |offset: u64, pieces: &[&str]| {
        let headers = [PIECE, ("Trailer", "Upload-Checksum")];
        tus("PATCH", at(upload)).headers(&headers).header("Upload-Offset", offset).chunks(pieces)
    };
    let wrong = server.call(patch(0, &["hello ", "wOrld"]).trailer("Upload-Checksum", SHA1_OF_HELLO_WORLD)).await;
    assert_eq!(wrong.status, 460, "{}", wrong.body);
    let unknown = server.call(patch(0, &["hello world"]).trailer("Upload-Checksum", "sha3 AAAA")).await;
    assert_eq!(unknown.status, 400);
    let missing = server.call(patch(0, &["hello world"])).await;
    assert_eq!((missing.status.as_u16(), missing.code().as_str()), (400, "invalid_header"));
    assert_eq!(server.head(upload).await.offset(), Some(0));
    let right = server.call(patch(0, &["hello ", "world"]).trailer("Upload-Checksum", SHA1_OF_HELLO_WORLD)).await;
    assert_eq!((right.status.as_u16(), right.offset()), (204, Some(11)), "{}", right.body);
    let crc = format!("crc32c {}", BASE64_STANDARD.encode([0xc9, 0x94, 0x65, 0xaa]));
    let last = server.call(patch(11, &["hello world"]).trailer("Upload-Checksum", crc)).await;
    assert_eq!((last.status.as_u16(), last.offset()), (204, Some(22)), "{}", last.body);
    assert_eq!(server.file(upload).await, "hello worldhello world");
}

#[tokio::test]
async fn termination_frees_what_the_upload_held() {
    let server = Server::with(Limits { open_uploads_max: 1, ..Limits::default() }).await;
    let upload = server.create(5).await;
    server.patch(upload, 0, "abc").await;
    let create = || tus("POST", "/uploads").header("Upload-Length", 5).body("");
    assert_eq!(server.call(create()).await.status, 503);
    assert_eq!(server.call(tus("DELETE", at(upload))).await.status, 204);
    assert!(!server.ground.state.staging.path(upload).exists());
    assert_eq!(server.call(create()).await.status, 201);
}
