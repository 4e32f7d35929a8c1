//! Checklist 1.4: what clients in the field do, and what a server must therefore never do.

use std::time::Duration;

use axum::body::Bytes;
use domain::AssetState;
use ingest::Limits;

use crate::ground::{Ground, eventually, slow_body};
use crate::wire::{PIECE, Server, ask, at, tus};

/// Clients keep the address of an upload on 423 and ask again; on any other failure they forget it.
#[tokio::test]
async fn head_of_an_upload_that_cannot_be_had_is_423_and_never_5xx() {
    let ground = Ground::with(Limits { handover_max: Duration::ZERO, ..Limits::default() }).await;
    let upload = ground.create(6).await;
    let (sender, body) = slow_body();
    let appending = ground.patch(upload, 0, body);
    let asking = async {
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
        eventually("the body is being read", || async { sender.is_empty() }).await;
        let head = ground.head(upload).await;
        assert_eq!((head.status.as_u16(), head.header("retry-after"), head.offset()), (423, Some("1"), None));
        // It was asked to leave, and may have done so.
        drop(sender);
    };
    tokio::join!(appending, asking);
}

/// A client that reads an offset equal to the length reports success without any further request.
#[tokio::test]
async fn offset_reaches_the_length_only_together_with_the_asset() {
    let ground = Ground::with(Limits { checkpoint_interval: Duration::from_millis(1), ..Limits::default() }).await;
    let upload = ground.create(5).await;
    let (sender, body) = slow_body();
    sender.unbounded_send(Ok(Bytes::from_static(b"abcde"))).expect("is read");
    let appending = ground.patch(upload, 0, body);
    let watching = async {
        eventually("all but one are recorded", || async { ground.upload(upload).await.offset == 4 }).await;
        assert_eq!(ground.asset(upload).await.state, AssetState::Uploading);
        drop(sender);
    };
    let (answer, ()) = tokio::join!(appending, watching);
    assert_eq!((answer.offset(), ground.head(upload).await.offset()), (Some(5), Some(5)));
    assert_eq!(ground.asset(upload).await.state, AssetState::Received);
}

/// The only answers after which clients try again are 409, 423 and 5xx.
#[tokio::test]
async fn what_is_worth_another_try_is_answered_so() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    assert_eq!(server.patch(upload, 2, "x").await.status, 409);
    server.ground.state.shutdown.cancel();
    let stopping = server.patch(upload, 0, "abcde").await;
    assert_eq!((stopping.status.as_u16(), stopping.header("retry-after")), (503, Some("2")));
    assert_eq!(server.head(upload).await.status, 200, "an upload that is asked for is never forgotten");
}

#[tokio::test]
async fn a_whole_file_may_come_in_one_patch_of_unknown_length() {
    let server = Server::new().await;
    let upload = server.create(9).await;
    let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0")]).chunks(&["abc", "defg", "hi"]);
    assert_eq!(server.call(patch).await.offset(), Some(9));
    assert_eq!(server.file(upload).await, "abcdefghi");
}

#[tokio::test]
async fn an_empty_upload_metadata_header_is_no_metadata() {
    let server = Server::new().await;
    for empty in ["", "   "] {
        let upload = server.create_with(&[("Upload-Length", "5"), ("Upload-Metadata", empty)]).await;
        assert_eq!(server.head(upload).await.header("upload-metadata"), None);
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_send_and_read_every_header() {
    let server = Server::new().await;
    let preflight = ask("OPTIONS", "/uploads")
        .headers(&[("Origin", "https://a.example"), ("Access-Control-Request-Method", "PATCH")]);
    let answer = server.call(preflight).await;
    let list = |name: &str| -> Vec<String> {
        answer.header(name).expect("is there").split(',').map(|item| item.trim().to_ascii_lowercase()).collect()
    };
    let methods = list("access-control-allow-methods");
    assert!(
        ["post", "head", "patch", "delete", "get", "put"].iter().all(|method| methods.contains(&(*method).to_owned()))
    );
    let sent = list("access-control-allow-headers");
    for name in
        "tus-resumable upload-length upload-offset upload-metadata upload-defer-length upload-concat upload-checksum \
                 upload-complete upload-incomplete upload-draft-interop-version x-http-method-override authorization \
                 x-request-id content-type content-disposition content-digest repr-digest want-repr-digest range"
            .split_whitespace()
    {
        assert!(sent.contains(&name.to_owned()), "{name}");
    }
    let upload = server.create(5).await;
    for answer in [server.head(upload).await, server.patch(upload, 3, "x").await, answer] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let exposed = answer.header("access-control-expose-headers").expect("is there");
        for name in "upload-offset location upload-length upload-metadata upload-expires upload-concat upload-checksum \
                     upload-defer-length tus-version tus-resumable tus-max-size tus-extension tus-checksum-algorithm \
                     upload-complete upload-incomplete upload-limit repr-digest retry-after asset-location x-request-id"
            .split_whitespace()
        {
            assert!(exposed.split(", ").any(|listed| listed == name), "{name}");
        }
    }
}

#[tokio::test]
async fn a_missing_answer_to_the_last_patch_may_be_asked_for_again() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    for _ in 0..2 {
        let again = server.patch(upload, 0, "abcde").await;
        assert!([204, 409].contains(&again.status.as_u16()), "{}", again.body);
        assert_eq!(again.offset(), Some(5));
    }
    assert_eq!(server.patch(upload, 5, "").await.status, 204);
    assert_eq!(server.ground.probes().await.len(), 1);
}
