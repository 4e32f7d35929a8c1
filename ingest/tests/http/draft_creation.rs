//! Checklist 2.1 to 2.3: how an upload begins in "Resumable Uploads for HTTP", and what is said meanwhile.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use domain::{AssetState, UploadId};
use ingest::interim::{Outbox, line};
use ingest::{Limits, State};
use tokio::io::AsyncWriteExt;

use crate::ground::{Answer, Ground, send, slow_body};
use crate::wire::{PARTIAL, Server, ask, at, draft};

/// Sends a request on a connection that can speak before it answers.
pub(crate) async fn send_with_line(state: &State, mut request: Request<Body>) -> (Answer, Outbox) {
    let (interim, outbox) = line();
    request.extensions_mut().insert(interim);
    (send(state, request).await, outbox)
}

/// What was said before the answer.
pub(crate) async fn said(outbox: &mut Outbox) -> Vec<HeaderMap> {
    let mut said = Vec::new();
    while let Ok(headers) = tokio::time::timeout(std::time::Duration::ZERO, outbox.next()).await {
        said.push(headers);
    }
    said
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(body.into())
        .expect("valid")
}

#[tokio::test]
async fn upload_complete_on_any_method_with_content_begins_an_upload() {
    let server = Server::new().await;
    for method in ["POST", "PUT", "PATCH"] {
        let answer = server.call(ask(method, "/uploads").header("Upload-Complete", "?1").body("abc")).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-complete")), (201, Some("?1")), "{method}");
        assert_eq!(server.file(answer.id()).await, "abc");
    }
    let neither = server.call(ask("POST", "/uploads").body("abc")).await;
    assert_eq!(neither.status, 412, "without a sign of either protocol");
}

#[tokio::test]
async fn fields_of_another_type_count_as_absent() {
    let server = Server::new().await;
    for complete in ["1", "true", "\"?1\"", "?1, ?1"] {
        let answer = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", complete).body("abc")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"), "{complete}");
    }
    let upload = server.careful(None).await;
    for offset in ["\"0\"", "0.0", "-1", "?0", "1000000000000000"] {
        let ask =
            draft(8, "PATCH", at(upload)).headers(&[PARTIAL, ("Upload-Offset", offset), ("Upload-Complete", "?1")]);
        assert_eq!(server.call(ask.body("abc")).await.status, 400, "{offset}");
    }
    let ask =
        draft(8, "PATCH", at(upload)).headers(&[PARTIAL, ("Upload-Offset", "0;a=b"), ("Upload-Complete", "?1;c")]);
    let answer = server.call(ask.header("Upload-Length", "\"seven\"").body("abc")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.offset()),
        (201, Some(3)),
        "parameters are ignored, and so is no length"
    );
}

#[tokio::test]
async fn the_first_104_tells_location_limits_and_version() {
    let ground = Ground::with(Limits { size_max: 1000, ..Limits::default() }).await;
    let headers = [("upload-draft-interop-version", "8"), ("upload-complete", "?1")];
    let (answer, mut outbox) = send_with_line(&ground.state, request("POST", "/uploads", &headers, "abc")).await;
    let first = &said(&mut outbox).await[0];
    assert_eq!(first["upload-draft-interop-version"], "8");
    assert_eq!(first["location"], answer.header("location").expect("is there"), "the same in every answer");
    assert!(first["upload-limit"].to_str().expect("is text").starts_with("max-size=1000, max-age="));
    assert!(!first.contains_key("upload-offset"));
}

#[tokio::test]
async fn no_104_without_a_version_that_is_spoken() {
    let ground = Ground::new().await;
    for version in [None, Some("1"), Some("4"), Some("99"), Some("\"8\"")] {
        let mut headers = vec![("upload-complete", "?1")];
        headers.extend(version.map(|version| ("upload-draft-interop-version", version)));
        let (answer, mut outbox) = send_with_line(&ground.state, request("POST", "/uploads", &headers, "abc")).await;
        assert_eq!((answer.status.as_u16(), said(&mut outbox).await.len()), (201, 0), "{version:?}");
    }
    let tus = crate::ground::request("POST", "/uploads", &[("upload-length", "3")], Body::empty());
    assert!(said(&mut send_with_line(&ground.state, tus).await.1).await.is_empty(), "nor in tus");
}

#[tokio::test]
async fn later_104s_tell_the_durable_offset_and_no_location() {
    let ground = Ground::with(Limits { checkpoint_bytes: 1, ..Limits::default() }).await;
    let created = [("upload-draft-interop-version", "8"), ("upload-complete", "?0")];
    let upload = send(&ground.state, request("POST", "/uploads", &created, "")).await.id();
    let (sender, body) = slow_body();
    let headers = [
        ("upload-draft-interop-version", "8"),
        ("upload-complete", "?0"),
        ("upload-offset", "0"),
        ("content-type", "application/partial-upload"),
    ];
    let mut append = request("PATCH", &at(upload), &headers, body);
    let (interim, mut outbox) = line();
    append.extensions_mut().insert(interim);
    let appending = send(&ground.state, append);
    let listening = async {
        sender.unbounded_send(Ok(Bytes::from_static(b"abc"))).expect("is read");
        let progress = outbox.next().await;
        assert_eq!(
            (&progress["upload-offset"], &progress["upload-draft-interop-version"]),
            (&"3".parse().expect("valid"), &"8".parse().expect("valid"))
        );
        assert!(!progress.contains_key("location"));
        assert_eq!(ground.upload(upload).await.offset, 3, "what is told is recorded");
        drop(sender);
    };
    let (answer, ()) = tokio::join!(appending, listening);
    assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(3)));
}

#[tokio::test]
async fn a_104_does_not_take_the_place_of_100_continue() {
    let server = Server::new().await;
    let ask = draft(8, "POST", "/uploads").headers(&[
        ("Upload-Complete", "?1"),
        ("Expect", "100-continue"),
        ("Content-Length", "3"),
    ]);
    let mut connection = server.begin(&ask).await;
    let mut interim = connection.next().await;
    // Where the connection can say it, the address comes first.
    if interim.status == 104 {
        interim = connection.next().await;
    }
    assert_eq!(interim.status, 100);
    connection.socket.write_all(b"abc").await.expect("sends");
    assert_eq!(connection.answer().await.status, 201);
}

#[tokio::test]
async fn a_whole_representation_in_one_request_is_complete() {
    let server = Server::new().await;
    for ask in [
        draft(8, "POST", "/uploads").header("Upload-Complete", "?1").body("abc"),
        draft(8, "POST", "/uploads").header("Upload-Complete", "?1").chunks(&["a", "bc"]),
        draft(8, "POST", "/uploads").headers(&[("Upload-Complete", "?1"), ("Upload-Length", "3")]).chunks(&["abc"]),
    ] {
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-complete")), (201, Some("?1")), "{}", answer.body);
        assert_eq!((answer.offset(), answer.header("asset-location").is_some()), (Some(3), true));
        assert_eq!(server.ground.asset(answer.id()).await.state, AssetState::Received);
        assert_eq!(server.file(answer.id()).await, "abc");
    }
    let empty = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", "?1").body("")).await;
    assert_eq!((empty.status.as_u16(), empty.header("upload-complete"), empty.offset()), (201, Some("?1"), Some(0)));
    assert_eq!(server.file(empty.id()).await, "");
}

#[tokio::test]
async fn a_first_part_is_201_with_location_and_limits() {
    let server = Server::new().await;
    let answer = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", "?0").body("abc")).await;
    assert_eq!((answer.status.as_u16(), answer.header("upload-complete")), (201, Some("?0")));
    assert_eq!((answer.offset(), answer.header("location")), (Some(3), Some(&*at(answer.id()))));
    assert!(answer.header("upload-limit").is_some_and(|limit| limit.contains("max-size=")));
    assert_eq!(server.ground.upload(answer.id()).await.length, None);
}

#[tokio::test]
async fn a_careful_creation_brings_nothing_and_learns_the_address() {
    let server = Server::new().await;
    let ask = draft(8, "POST", "/uploads").headers(&[("Upload-Complete", "?0"), ("Upload-Length", "6")]).body("");
    let answer = server.call(ask).await;
    assert_eq!((answer.status.as_u16(), answer.offset()), (201, Some(0)));
    assert!(answer.header("upload-limit").is_some());
    assert_eq!(server.append(answer.id(), 0, "?1", "abcdef").await.header("upload-complete"), Some("?1"));
    assert_eq!(server.file(answer.id()).await, "abcdef");
}

#[tokio::test]
async fn lengths_that_contradict_each_other_are_an_inconsistent_upload_length() {
    let server = Server::new().await;
    let post = |complete: &str, length: &str, body: &str| {
        let headers = [("Upload-Complete", complete), ("Upload-Length", length)];
        draft(8, "POST", "/uploads").headers(&headers).body(body)
    };
    let check = |answer: Answer| {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "inconsistent_length"));
        assert!(answer.body.contains("https://iana.org/assignments/http-problem-types#inconsistent-upload-length"));
        assert_eq!(answer.header("upload-complete"), Some("?0"));
    };
    check(server.call(post("?1", "4", "abc")).await);
    let too_long = server.call(post("?1", "999999999999999", "abc")).await;
    assert_eq!((too_long.status.as_u16(), too_long.code().as_str()), (413, "upload_too_large"));
    assert!(too_long.header("upload-limit").is_some(), "tells the limits, whatever else is wrong");
    check(server.call(post("?1", "2", "abc")).await);
    let upload = server.careful(Some(6)).await;
    check(server.append(upload, 0, "?1", "abc").await);
    let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?0"), ("Upload-Length", "7")];
    check(server.call(draft(8, "PATCH", at(upload)).headers(&headers).body("abc")).await);
    let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?1")];
    check(server.call(draft(8, "PATCH", at(upload)).headers(&headers).chunks(&["abc"])).await);
    assert_eq!(
        server.append(upload, 3, "?1", "def").await.header("upload-complete"),
        Some("?1"),
        "the rest still counts"
    );
}

#[tokio::test]
async fn the_length_is_recorded_when_it_is_told_or_implied() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    assert_eq!(server.state_of(upload).await.header("upload-length"), None);
    let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?0"), ("Upload-Length", "6")];
    server.call(draft(8, "PATCH", at(upload)).headers(&headers).body("abc")).await;
    assert_eq!(server.state_of(upload).await.header("upload-length"), Some("6"));
    let implied = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", "?1").body("abcd")).await.id();
    assert_eq!(server.state_of(implied).await.header("upload-length"), Some("4"));
}

#[tokio::test]
async fn what_is_said_of_the_representation_is_kept() {
    let server = Server::new().await;
    let headers = [
        ("Upload-Complete", "?0"),
        ("Content-Type", "video/mp4"),
        ("Content-Disposition", "inline; filename=\"film.mp4\"; filename*=UTF-8''film%20%C3%A4.mp4"),
    ];
    let upload = server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await.id();
    let recorded = server.ground.upload(upload).await;
    assert_eq!(recorded.file_name.as_deref(), Some("film ä.mp4"));
    assert_eq!(recorded.terms.media_type.as_deref(), Some("video/mp4"));
}

#[tokio::test]
async fn a_content_coding_is_refused_because_nobody_would_undo_it() {
    let server = Server::new().await;
    let headers = [("Upload-Complete", "?1"), ("Content-Encoding", "gzip")];
    let answer = server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await;
    assert_eq!((answer.status.as_u16(), answer.header("accept-encoding")), (415, Some("identity")));
    let headers = [("Upload-Complete", "?1"), ("Content-Encoding", "identity")];
    assert_eq!(server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await.status, 201);
}

#[tokio::test]
async fn offsets_count_what_is_left_after_the_transfer_coding() {
    let server = Server::new().await;
    let ask = draft(8, "POST", "/uploads").header("Upload-Complete", "?0").chunks(&["abc", "de"]);
    assert_eq!(server.call(ask).await.offset(), Some(5));
}

#[tokio::test]
async fn addresses_cannot_be_guessed() {
    let server = Server::new().await;
    let ids: Vec<u128> = {
        let mut ids = Vec::new();
        for _ in 0..20 {
            let digits = server.careful(None).await.to_string();
            ids.push(digits.bytes().skip(4 + 12).fold(0u128, |value, byte| value << 8 | u128::from(byte)));
        }
        ids
    };
    let distinct: std::collections::HashSet<u128> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "the part that does not tell the time differs");
    assert_eq!(server.call(draft(8, "HEAD", at(UploadId::from_u128(7)))).await.status, 404);
}
