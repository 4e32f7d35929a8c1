//! Checklist 2.4 to 2.8: asking, appending, ending and limits in "Resumable Uploads for HTTP".

use std::time::Duration;

use domain::UploadId;
use ingest::Limits;
use tokio::io::AsyncWriteExt;

use crate::ground::{Answer, eventually};
use crate::wire::{PARTIAL, Server, ask, at, draft, tus};

const PIECES: &str = "application/offset+octet-stream, application/partial-upload";
const MISMATCH: &str = "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";

impl Server {
    /// Creates an upload that has nothing yet.
    pub(crate) async fn careful(&self, length: Option<u64>) -> UploadId {
        let ask = draft(8, "POST", "/uploads").header("Upload-Complete", "?0").body("");
        let answer = self.call(match length {
            Some(length) => ask.header("Upload-Length", length),
            None => ask,
        });
        answer.await.id()
    }

    pub(crate) async fn append(&self, upload: UploadId, offset: u64, complete: &str, body: &str) -> Answer {
        let ask = draft(8, "PATCH", at(upload)).headers(&[PARTIAL, ("Upload-Complete", complete)]);
        self.call(ask.header("Upload-Offset", offset).body(body)).await
    }

    pub(crate) async fn state_of(&self, upload: UploadId) -> Answer {
        self.call(draft(8, "HEAD", at(upload))).await
    }
}

#[tokio::test]
async fn head_tells_offset_completeness_length_and_limits() {
    let server = Server::with(Limits { size_max: 1000, ..Limits::default() }).await;
    let upload = server.careful(Some(6)).await;
    server.append(upload, 0, "?0", "abc").await;
    for method in ["HEAD", "GET"] {
        let answer = server.call(draft(8, method, at(upload))).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(3)), "{method}");
        assert_eq!((answer.header("upload-complete"), answer.header("upload-length")), (Some("?0"), Some("6")));
        assert!(answer.header("upload-limit").is_some_and(|limit| limit.starts_with("max-size=1000, max-age=")));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("location"), None, "nothing is moved");
    }
    server.append(upload, 3, "?1", "def").await;
    let answer = server.state_of(upload).await;
    assert_eq!((answer.header("upload-complete"), answer.offset()), (Some("?1"), Some(6)));
    let whole = server.call(draft(8, "GET", at(upload))).await;
    assert_eq!((whole.body.as_str(), whole.header("upload-complete"), whole.offset()), ("abcdef", Some("?1"), Some(6)));
}

#[tokio::test]
async fn the_offset_that_was_told_is_accepted() {
    let server = Server::new().await;
    let upload = server.careful(Some(6)).await;
    let mut stalled = server.begin(&ask("OPTIONS", "/uploads")).await;
    stalled.answer().await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nUpload-Offset: 0\r\nContent-Length: 6\r\n\
         Content-Type: application/partial-upload\r\n\r\nabc",
        at(upload)
    );
    stalled.socket.write_all(head.as_bytes()).await.expect("sends");
    eventually("the body is being read", || async { server.ground.state.tasks.len() == 1 }).await;
    let offset = server.state_of(upload).await.offset().expect("is told");
    let rest = &"abcdef"[usize::try_from(offset).expect("fits")..];
    assert_eq!(server.append(upload, offset, "?1", rest).await.header("upload-complete"), Some("?1"));
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn an_upload_whose_octets_are_lost_is_deactivated() {
    let server = Server::new().await;
    let upload = server.careful(Some(6)).await;
    server.append(upload, 0, "?0", "abc").await;
    std::fs::remove_file(server.ground.state.staging.path(upload)).expect("removes");
    assert_eq!(server.state_of(upload).await.status, 410);
    let answer = server.append(upload, 3, "?1", "def").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (410, "upload_lost"));
}

#[tokio::test]
async fn the_offset_never_decreases() {
    let server = Server::with(Limits { silence_max: Duration::from_millis(20), ..Limits::default() }).await;
    let upload = server.careful(Some(6)).await;
    let mut highest = 0;
    let attempts =
        [(0, "?0", "ab"), (0, "?0", "xx"), (2, "?0", ""), (9, "?0", "x"), (2, "?0", "cd"), (1, "?1", "bcdef")];
    for (offset, complete, body) in attempts {
        server.append(upload, offset, complete, body).await;
        let stands_at = server.state_of(upload).await.offset().expect("is told");
        assert!(stands_at >= highest, "{stands_at} after {highest}");
        highest = stands_at;
    }
    assert_eq!((highest, server.append(upload, 4, "?1", "ef").await.offset()), (4, Some(6)));
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn append_demands_its_media_type() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    for kind in ["application/octet-stream", "application/offset+octet-stream", ""] {
        let headers = [("Content-Type", kind), ("Upload-Offset", "0"), ("Upload-Complete", "?1")];
        let answer = server.call(draft(8, "PATCH", at(upload)).headers(&headers).body("abc")).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-complete")), (415, Some("?0")), "{kind}");
        assert_eq!(answer.header("accept-patch"), Some(PIECES), "RFC 5789 section 2.2");
    }
    assert_eq!(server.state_of(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn append_demands_offset_and_completeness() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    for headers in [[PARTIAL, ("Upload-Offset", "0")], [PARTIAL, ("Upload-Complete", "?1")]] {
        let answer = server.call(draft(8, "PATCH", at(upload)).headers(&headers).body("abc")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"));
    }
    let unstated = server.call(ask("PATCH", at(upload)).headers(&[PARTIAL, ("Upload-Offset", "0")]).body("abc")).await;
    assert_eq!(unstated.status, 400, "the media type alone tells which protocol is spoken");
}

#[tokio::test]
async fn append_elsewhere_is_409_with_the_right_offset() {
    let server = Server::new().await;
    let upload = server.careful(Some(9)).await;
    server.append(upload, 0, "?0", "abc").await;
    for offset in [0, 2, 4, 100] {
        let answer = server.append(upload, offset, "?1", "x").await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (409, Some(3)));
        assert_eq!(answer.header("upload-complete"), Some("?0"));
        assert_eq!(answer.code(), "offset_mismatch");
        let problem: serde_json::Value = serde_json::from_str(&answer.body).expect("is JSON");
        assert_eq!(problem["type"], MISMATCH);
        assert_eq!((&problem["expected-offset"], &problem["provided-offset"]), (&3.into(), &offset.into()));
    }
    server.append(upload, 3, "?1", "defghi").await;
    let complete = server.append(upload, 3, "?1", "defghi").await;
    assert_eq!(
        (complete.status.as_u16(), complete.offset(), complete.header("upload-complete")),
        (409, Some(9), Some("?0"))
    );
}

#[tokio::test]
async fn append_of_the_rest_is_answered_like_the_creation_would_have_been() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    let partial = server.append(upload, 0, "?0", "abc").await;
    assert_eq!(
        (partial.status.as_u16(), partial.header("upload-complete"), partial.offset()),
        (204, Some("?0"), Some(3))
    );
    let rest = server.append(upload, 3, "?1", "def").await;
    let at_once = server.call(draft(8, "POST", "/uploads").header("Upload-Complete", "?1").body("abcdef")).await;
    for answer in [&rest, &at_once] {
        assert_eq!(
            (answer.status.as_u16(), answer.header("upload-complete"), answer.offset()),
            (201, Some("?1"), Some(6))
        );
        assert!(answer.header("asset-location").is_some());
    }
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn append_of_nothing_completes() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    server.append(upload, 0, "?0", "abc").await;
    assert_eq!(server.state_of(upload).await.header("upload-complete"), Some("?0"));
    assert_eq!(server.append(upload, 3, "?1", "").await.header("upload-complete"), Some("?1"));
    assert_eq!(server.state_of(upload).await.header("upload-length"), Some("3"));
    assert_eq!(server.file(upload).await, "abc");
}

/// Nothing more can come, whatever the client says: the server may complete an upload, and tells so.
#[tokio::test]
async fn append_up_to_the_known_length_completes() {
    let server = Server::new().await;
    let upload = server.careful(Some(6)).await;
    assert_eq!(server.append(upload, 0, "?0", "abc").await.header("upload-complete"), Some("?0"));
    assert_eq!(server.append(upload, 3, "?0", "def").await.header("upload-complete"), Some("?1"));
    let last = server.append(upload, 6, "?1", "").await;
    assert_eq!((last.status.as_u16(), last.header("upload-complete"), last.offset()), (201, Some("?1"), Some(6)));
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn append_beyond_the_length_is_refused_and_ends_the_upload() {
    let server = Server::new().await;
    let headers = [PARTIAL, ("Upload-Offset", "2"), ("Upload-Complete", "?0")];
    for is_length_told in [true, false] {
        let upload = server.careful(Some(5)).await;
        assert_eq!(server.append(upload, 0, "?0", "ab").await.status, 204);
        let ask = draft(8, "PATCH", at(upload)).headers(&headers);
        let answer = server.call(if is_length_told { ask.body("cdef") } else { ask.chunks(&["cd", "ef"]) }).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "beyond_length"));
        assert!(answer.body.contains("http-problem-types#inconsistent-upload-length"), "{}", answer.body);
        assert_eq!(answer.header("upload-complete"), Some("?0"));
        assert_eq!(server.state_of(upload).await.status, 410, "{is_length_told}");
        assert_eq!(server.append(upload, 2, "?1", "cde").await.code(), "upload_refused");
    }
}

#[tokio::test]
async fn a_final_answer_that_was_lost_is_repeated() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    let first = server.append(upload, 0, "?1", "abc").await;
    for _ in 0..2 {
        let again = server.append(upload, 3, "?1", "").await;
        assert_eq!(again.status, first.status);
        for header in ["upload-complete", "upload-offset", "location", "asset-location"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    let more = server.append(upload, 3, "?1", "d").await;
    assert_eq!((more.status.as_u16(), more.code().as_str(), more.offset()), (400, "upload_complete", Some(3)));
    assert_eq!(server.ground.probes().await.len(), 1);
}

#[tokio::test]
async fn delete_deactivates_and_ends_what_is_under_way() {
    let server = Server::new().await;
    let upload = server.careful(Some(6)).await;
    let mut appending = server.begin(&ask("OPTIONS", "/uploads")).await;
    appending.answer().await;
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nUpload-Offset: 0\r\nContent-Length: 6\r\n\
         Content-Type: application/partial-upload\r\n\r\nabc",
        at(upload)
    );
    appending.socket.write_all(head.as_bytes()).await.expect("sends");
    eventually("the body is being read", || async { server.ground.state.tasks.len() == 1 }).await;
    assert_eq!(server.call(draft(8, "DELETE", at(upload))).await.status, 204);
    assert_eq!(appending.answer().await.status, 409);
    assert_eq!(server.state_of(upload).await.status, 410);
    assert_eq!(server.call(draft(8, "DELETE", at(upload))).await.status, 410);
}

#[tokio::test]
async fn options_tells_the_limits() {
    let server = Server::with(Limits { size_max: 1000, expiry: None, ..Limits::default() }).await;
    assert_eq!(server.call(ask("OPTIONS", "/uploads")).await.header("upload-limit"), Some("max-size=1000"));
    let boundless = Limits { size_max: i64::MAX.unsigned_abs(), expiry: None, ..Limits::default() };
    let server = Server::with(boundless).await;
    assert_eq!(server.call(ask("OPTIONS", "/uploads")).await.header("upload-limit"), Some("min-size=0"));
}

#[tokio::test]
async fn options_tells_which_pieces_are_accepted() {
    let server = Server::new().await;
    for path in ["/uploads".to_owned(), at(server.careful(None).await)] {
        let answer = server.call(ask("OPTIONS", path)).await;
        assert_eq!(answer.header("accept-patch"), Some(PIECES));
        assert!(answer.header("access-control-expose-headers").is_some_and(|exposed| exposed.contains("accept-patch")));
    }
}

#[tokio::test]
async fn append_to_a_complete_upload_contradicts_its_length() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    assert_eq!(server.append(upload, 0, "?1", "abc").await.status, 201);
    let more = server.append(upload, 3, "?1", "d").await;
    assert_eq!((more.status.as_u16(), more.code().as_str(), more.offset()), (400, "upload_complete", Some(3)));
    assert!(more.body.contains("http-problem-types#inconsistent-upload-length"), "{}", more.body);
    assert_eq!(more.header("upload-complete"), Some("?0"), "the answer is not that of the file");
    assert_eq!(server.file(upload).await, "abc");
}

#[tokio::test]
async fn content_too_large_comes_with_the_limits() {
    let server = Server::with(Limits { size_max: 5, ..Limits::default() }).await;
    for ask in [
        draft(8, "POST", "/uploads").header("Upload-Complete", "?1").body("abcdef"),
        draft(8, "POST", "/uploads").headers(&[("Upload-Complete", "?0"), ("Upload-Length", "6")]).body(""),
        draft(8, "POST", "/uploads").header("Upload-Complete", "?1").chunks(&["abc", "def"]),
    ] {
        let answer = server.call(ask).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("upload-limit")),
            (413, Some("max-size=5")),
            "{}",
            answer.body
        );
        assert_eq!(answer.header("upload-complete"), Some("?0"));
    }
}

#[tokio::test]
async fn a_newer_request_ends_the_one_before_it() {
    let server = Server::new().await;
    for method in ["HEAD", "PATCH", "DELETE"] {
        let upload = server.careful(Some(6)).await;
        let mut older = server.begin(&ask("OPTIONS", "/uploads")).await;
        older.answer().await;
        let head = format!(
            "PATCH {} HTTP/1.1\r\nHost: x\r\nUpload-Complete: ?1\r\nUpload-Offset: 0\r\nContent-Length: 6\r\n\
             Content-Type: application/partial-upload\r\n\r\n",
            at(upload)
        );
        older.socket.write_all(head.as_bytes()).await.expect("sends");
        eventually("the body is being read", || async { server.ground.state.tasks.len() == 1 }).await;
        let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?1")];
        let newer = match method {
            "PATCH" => server.call(draft(8, method, at(upload)).headers(&headers).body("abcdef")).await,
            _ => server.call(draft(8, method, at(upload))).await,
        };
        assert!(newer.status.is_success(), "{method}: {}", newer.body);
        let ended = older.answer().await;
        assert_eq!((ended.status.as_u16(), ended.code().as_str()), (409, "taken_over"), "{method}");
    }
}

#[tokio::test]
async fn both_protocols_speak_of_one_upload() {
    let server = Server::new().await;
    let upload = server.create(9).await;
    assert_eq!(server.append(upload, 0, "?0", "abc").await.offset(), Some(3));
    assert_eq!(server.patch(upload, 3, "def").await.offset(), Some(6));
    assert_eq!(server.state_of(upload).await.offset(), Some(6));
    assert_eq!(server.append(upload, 6, "?1", "ghi").await.header("upload-complete"), Some("?1"));
    assert_eq!(server.head(upload).await.offset(), Some(9));
    let other = server.careful(None).await;
    assert_eq!(server.head(other).await.header("upload-defer-length"), Some("1"));
    assert_eq!(server.call(tus("DELETE", at(other))).await.status, 204);
}
