//! Checklist 2, map of versions: what clients in the field speak.

use domain::UploadId;
use ingest::interim::line;

use crate::draft_creation::{request, said, send_with_line};
use crate::ground::{Ground, send};
use crate::wire::{PARTIAL, Server, ask, at, draft};

#[tokio::test]
async fn interop_3_speaks_of_upload_incomplete() {
    let server = Server::new().await;
    let created = server.call(draft(3, "POST", "/uploads").header("Upload-Incomplete", "?1").body("ab")).await;
    assert_eq!((created.status.as_u16(), created.offset()), (201, Some(2)));
    assert_eq!((created.header("upload-incomplete"), created.header("upload-complete")), (Some("?1"), None));
    let upload = created.id();
    let head = server.call(draft(3, "HEAD", at(upload))).await;
    assert_eq!((head.status.as_u16(), head.offset(), head.header("upload-incomplete")), (204, Some(2), Some("?1")));
    let append = |offset: u64| draft(3, "PATCH", at(upload)).header("Upload-Offset", offset);
    let more = server.call(append(2).header("Upload-Incomplete", "?1").body("cd")).await;
    assert_eq!((more.status.as_u16(), more.offset(), more.header("upload-incomplete")), (201, Some(4), Some("?1")));
    let elsewhere = server.call(append(1).body("x")).await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.offset(), elsewhere.header("upload-incomplete")),
        (409, Some(4), Some("?1"))
    );
    let done = server.call(append(4).body("ef")).await;
    assert_eq!((done.status.as_u16(), done.offset(), done.header("upload-incomplete")), (201, Some(6), Some("?0")));
    assert_eq!(server.file(upload).await, "abcdef");
    let at_once = server.call(draft(3, "POST", "/uploads").header("Upload-Incomplete", "?0").body("abc")).await;
    assert_eq!((at_once.status.as_u16(), at_once.offset()), (201, Some(3)));
}

#[tokio::test]
async fn interop_5_has_no_media_type_and_acknowledges_with_201() {
    let server = Server::new().await;
    let created = server.call(draft(5, "POST", "/uploads").header("Upload-Complete", "?0").body("ab")).await;
    assert_eq!(
        (created.status.as_u16(), created.offset(), created.header("upload-complete")),
        (201, Some(2), Some("?0"))
    );
    let upload = created.id();
    let append = |offset: u64, complete: &str| {
        draft(5, "PATCH", at(upload)).header("Upload-Offset", offset).header("Upload-Complete", complete)
    };
    let more = server.call(append(2, "?0").body("cd")).await;
    assert_eq!((more.status.as_u16(), more.offset(), more.header("upload-complete")), (201, Some(4), Some("?0")));
    let done = server.call(append(4, "?1").body("ef")).await;
    assert_eq!((done.status.as_u16(), done.offset(), done.header("upload-complete")), (201, Some(6), Some("?1")));
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn interop_6_has_a_media_type_and_calls_its_age_expires() {
    let server = Server::new().await;
    let headers = [("Upload-Complete", "?0"), ("Upload-Length", "4")];
    let created = server.call(draft(6, "POST", "/uploads").headers(&headers).body("ab")).await;
    assert!(created.header("upload-limit").is_some_and(|limit| limit.contains(", expires=604")));
    let upload = created.id();
    let append = draft(6, "PATCH", at(upload)).headers(&[("Upload-Offset", "2"), ("Upload-Complete", "?1")]).body("cd");
    assert_eq!(server.call(append.clone()).await.status, 415);
    let done = server.call(append.headers(&[PARTIAL])).await;
    assert_eq!((done.status.as_u16(), done.offset(), done.header("upload-complete")), (201, Some(4), Some("?1")));
    let more = draft(6, "PATCH", at(upload)).headers(&[PARTIAL, ("Upload-Offset", "4"), ("Upload-Complete", "?0")]);
    let more = server.call(more.body("ef")).await;
    assert_eq!((more.status.as_u16(), more.code().as_str()), (400, "upload_complete"));
    assert!(more.body.contains("http-problem-types#completed-upload"));
}

#[tokio::test]
async fn interop_8_is_the_newest() {
    let server = Server::new().await;
    let created = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", "?0").body("ab")).await;
    assert!(created.header("upload-limit").is_some_and(|limit| limit.contains(", max-age=604")));
    let headers = [PARTIAL, ("Upload-Offset", "2"), ("Upload-Complete", "?0")];
    let more = server.call(draft(8, "PATCH", at(created.id())).headers(&headers).body("cd")).await;
    assert_eq!((more.status.as_u16(), more.header("upload-complete")), (204, Some("?0")));
}

#[tokio::test]
async fn old_versions_forbid_state_in_questions() {
    let server = Server::new().await;
    let upload = server.careful(Some(5)).await;
    for (version, header, status) in [
        (3, "Upload-Incomplete", 400),
        (5, "Upload-Complete", 400),
        (6, "Upload-Complete", 400),
        (8, "Upload-Complete", 204),
    ] {
        let head = server.call(draft(version, "HEAD", at(upload)).header(header, "?1")).await;
        assert_eq!(head.status, status, "{version}");
    }
    let refused = server.call(draft(5, "DELETE", at(upload)).header("Upload-Offset", 0)).await;
    assert_eq!(refused.status, 400);
    let begun = server
        .call(draft(8, "POST", "/uploads").headers(&[("Upload-Complete", "?1"), ("Upload-Offset", "0")]).body("x"));
    assert_eq!(begun.await.status, 400, "nor does a creation bear an offset");
}

#[tokio::test]
async fn every_version_is_answered_with_its_own_number() {
    let ground = Ground::new().await;
    for (version, completes) in
        [("3", "upload-incomplete"), ("5", "upload-complete"), ("6", "upload-complete"), ("8", "upload-complete")]
    {
        let headers = [("upload-draft-interop-version", version), (completes, "?1")];
        let (answer, mut outbox) = send_with_line(&ground.state, request("POST", "/uploads", &headers, "abc")).await;
        let said = said(&mut outbox).await;
        assert_eq!((answer.status.as_u16(), said.is_empty()), (201, false), "{version}");
        assert!(said.iter().all(|said| said["upload-draft-interop-version"] == version), "{version}");
    }
}

#[tokio::test]
async fn interop_3_is_told_nothing_of_progress() {
    let ground = Ground::with(ingest::Limits { checkpoint_bytes: 1, ..Default::default() }).await;
    let headers = [("upload-draft-interop-version", "3"), ("upload-incomplete", "?1")];
    let upload = send(&ground.state, request("POST", "/uploads", &headers, "")).await.id();
    let headers = [("upload-draft-interop-version", "3"), ("upload-incomplete", "?1"), ("upload-offset", "0")];
    let mut append = request("PATCH", &at(upload), &headers, "abc");
    let (interim, mut outbox) = line();
    append.extensions_mut().insert(interim);
    assert_eq!(send(&ground.state, append).await.offset(), Some(3));
    assert!(said(&mut outbox).await.is_empty());
}

/// Once it is no draft any more, nothing names the protocol in a question.
#[tokio::test]
async fn a_question_that_names_no_protocol_is_in_that_of_its_upload() {
    let server = Server::new().await;
    let created = server.call(ask("POST", "/uploads").headers(&[("Upload-Complete", "?0"), ("Upload-Length", "6")]));
    let upload = created.await.id();
    assert_eq!(server.append(upload, 0, "?0", "abc").await.status, 204);
    for method in ["HEAD", "GET"] {
        let answer = server.call(ask(method, at(upload))).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(3)), "{method}");
        assert_eq!(answer.header("upload-complete"), Some("?0"), "{method}");
    }
    assert_eq!(server.call(ask("PATCH", at(upload)).header("Upload-Offset", 3).body("def")).await.status, 412);
    assert_eq!(server.append(upload, 3, "?1", "def").await.status, 201);
    assert_eq!(server.call(ask("HEAD", at(upload))).await.header("upload-complete"), Some("?1"));
    let file = server.call(ask("GET", at(upload))).await;
    assert_eq!((file.body.as_str(), file.header("upload-complete")), ("abcdef", Some("?1")));
    assert_eq!(server.call(ask("DELETE", at(upload))).await.status, 204);
    assert_eq!(server.call(ask("HEAD", at(upload))).await.status, 410);
    assert_eq!(server.call(ask("DELETE", at(UploadId::from_u128(7)))).await.status, 404);

    let of_tus = server.create(6).await;
    for method in ["HEAD", "DELETE", "PATCH"] {
        let answer = server.call(ask(method, at(of_tus))).await;
        assert_eq!((answer.status.as_u16(), answer.header("tus-version")), (412, Some("1.0.0")), "{method}");
    }
    assert_eq!(server.call(ask("GET", at(of_tus))).await.header("upload-complete"), None);
}
