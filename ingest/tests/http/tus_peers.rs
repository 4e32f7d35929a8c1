//! Checklist 1.5: where other servers fail.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::ground::{eventually, noise};
use crate::wire::{PIECE, Server, ask, at, tus};

#[tokio::test]
async fn a_patch_without_an_offset_is_400() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    let answer = server.call(tus("PATCH", at(upload)).headers(&[PIECE]).body("x")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"));
}

#[tokio::test]
async fn an_empty_patch_of_a_complete_upload_is_204() {
    let server = Server::new().await;
    let upload = server.create(3).await;
    server.patch(upload, 0, "abc").await;
    assert_eq!(
        (server.patch(upload, 3, "").await.status.as_u16(), server.patch(upload, 3, "x").await.status.as_u16()),
        (204, 413)
    );
}

#[tokio::test]
async fn binary_metadata_come_back_unharmed() {
    let server = Server::new().await;
    let upload = server.create_with(&[("Upload-Length", "5"), ("Upload-Metadata", "bin AP8NCg==")]).await;
    assert_eq!(server.head(upload).await.header("upload-metadata"), Some("bin AP8NCg=="));
}

#[tokio::test]
async fn a_body_of_unknown_length_never_goes_beyond_the_upload() {
    let server = Server::new().await;
    let upload = server.create(100_000).await;
    let piece = "x".repeat(150_000);
    let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0")]).chunks(&[&piece, &piece]);
    assert_eq!(server.call(patch).await.status, 413);
    let offset = server.head(upload).await.offset().expect("stands");
    assert!(offset < 100_000, "{offset}");
}

/// Cut by FIN and by RST, also in the middle of a chunk.
#[tokio::test]
async fn an_abort_keeps_every_octet_that_came() {
    for is_reset in [false, true] {
        let (server, file) = (Server::new().await, noise(3 << 20));
        let upload = server.create(4 << 20).await;
        let mut connection = server.begin(&ask("OPTIONS", "/uploads")).await;
        connection.answer().await;
        let head = format!(
            "PATCH {} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {}\r\n\
             Content-Type: application/offset+octet-stream\r\n\r\n",
            at(upload),
            4 << 20
        );
        connection.socket.write_all(head.as_bytes()).await.expect("sends");
        connection.socket.write_all(&file).await.expect("sends");
        if is_reset {
            // A reset throws away what the server has not yet read.
            let came = || async { server.ground.upload(upload).await.offset == 3 << 20 };
            eventually("the octets are recorded", came).await;
            connection.socket.set_zero_linger().expect("sets");
        }
        drop(connection);
        eventually("the octets are recorded", || async { server.ground.upload(upload).await.offset == 3 << 20 }).await;
    }
}

#[tokio::test]
async fn names_that_are_no_uploads_are_not_found() {
    let server = Server::new().await;
    for name in ["%00", "..%2f..%2fetc%2fpasswd", &"x".repeat(300), "%ff%fe", "a/b/c", "upl_", "%E2%82%AC"] {
        for method in ["HEAD", "PATCH", "DELETE", "GET"] {
            let ask = tus(method, format!("/uploads/{name}")).headers(&[PIECE, ("Upload-Offset", "0")]);
            assert_eq!(server.call(ask).await.status, 404, "{method} {name}");
        }
    }
}

#[tokio::test]
async fn metadata_that_are_too_long_are_refused_with_a_reason() {
    let server = Server::new().await;
    let long = format!("a {}", "A".repeat(48 << 10));
    let ask = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), ("Upload-Metadata", &long)]).body("");
    let answer = server.call(ask).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (431, "metadata_too_long"));
}

#[tokio::test]
async fn a_dead_connection_does_not_lock_its_upload() {
    let server = Server::new().await;
    let upload = server.create(6).await;
    let mut dead = server.begin(&ask("OPTIONS", "/uploads")).await;
    dead.answer().await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 6\r\n\
         Content-Type: application/offset+octet-stream\r\n\r\nabc",
        at(upload)
    );
    dead.socket.write_all(head.as_bytes()).await.expect("sends");
    eventually("the body is being read", || async { server.ground.state.tasks.len() == 1 }).await;
    let asked = std::time::Instant::now();
    let offset = server.head(upload).await.offset().expect("is told at once");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let rest = &"abcdef"[usize::try_from(offset).expect("fits")..];
    assert_eq!(server.patch(upload, offset, rest).await.offset(), Some(6));
}
