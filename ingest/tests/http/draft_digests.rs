//! Checklist 2.9: digests of content and of the whole (RFC 9530).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use domain::AssetState;
use ingest::digest::{Algorithm, Hasher};

use crate::wire::{PARTIAL, PIECE, Server, at, draft, tus};

/// The digest of `text` as a member of a digest field.
fn field(algorithm: Algorithm, text: &str) -> String {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(text.as_bytes());
    format!("{}=:{}:", algorithm.field_key().expect("has a key"), BASE64_STANDARD.encode(hasher.finish()))
}

#[tokio::test]
async fn content_that_has_not_its_digest_is_not_appended() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    let append = |digest: String, body: &str| {
        let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?0"), ("Content-Digest", &digest)];
        draft(8, "PATCH", at(upload)).headers(&headers).body(body)
    };
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.field_key().is_some()) {
        let answer = server.call(append(field(algorithm, "abc"), "abd")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str(), answer.offset()),
            (400, "checksum_mismatch", Some(0))
        );
        assert!(answer.body.contains("http-problem-types#digest-mismatching-values"));
        assert_eq!(answer.header("upload-complete"), Some("?0"));
    }
    let both = format!("{}, {}", field(Algorithm::Sha256, "abc"), field(Algorithm::Md5, "abd"));
    assert_eq!(server.call(append(both, "abc")).await.status, 400, "all that are given must match");
    for malformed in ["sha-256=abc", "sha-256=:AAAA:", "?"] {
        assert_eq!(server.call(append(malformed.to_owned(), "abc")).await.status, 400, "{malformed}");
    }
    assert_eq!(server.state_of(upload).await.offset(), Some(0));
    let unknown = format!("{}, id-sha-256=:AAAA:", field(Algorithm::Sha512, "abc"));
    assert_eq!(server.call(append(unknown, "abc")).await.offset(), Some(3), "unknown ones are ignored");
}

#[tokio::test]
async fn content_of_a_creation_is_verified_too() {
    let server = Server::new().await;
    for (body, status) in [("abc", 201), ("abd", 400)] {
        let headers = [("Upload-Complete", "?1"), ("Content-Digest", &field(Algorithm::Sha256, "abc"))];
        let answer = server.call(draft(8, "POST", "/uploads").headers(&headers).body(body)).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
    assert_eq!(server.ground.probes().await.len(), 1);
}

#[tokio::test]
async fn content_digest_may_come_as_a_trailer() {
    let server = Server::new().await;
    let upload = server.careful(None).await;
    let append = |pieces: &[&str]| {
        let headers = [PARTIAL, ("Upload-Offset", "0"), ("Upload-Complete", "?1"), ("Trailer", "Content-Digest")];
        draft(8, "PATCH", at(upload)).headers(&headers).chunks(pieces)
    };
    let digest = field(Algorithm::Sha256, "abcdef");
    let wrong = server.call(append(&["abc", "deg"]).trailer("Content-Digest", &digest)).await;
    assert_eq!((wrong.status.as_u16(), wrong.offset()), (400, Some(0)));
    let right = server.call(append(&["abc", "def"]).trailer("Content-Digest", &digest)).await;
    assert_eq!((right.status.as_u16(), right.header("upload-complete")), (201, Some("?1")), "{}", right.body);
}

#[tokio::test]
async fn a_whole_that_has_not_its_digest_is_refused_when_it_is_complete() {
    let server = Server::new().await;
    for (rest, is_right) in [("def", true), ("deg", false)] {
        let digest = field(Algorithm::Sha256, "abcdef");
        let headers = [("Upload-Complete", "?0"), ("Repr-Digest", &*digest)];
        let upload = server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await.id();
        let answer = server.append(upload, 3, "?1", rest).await;
        assert_eq!(answer.header("upload-complete"), Some("?1"), "{}", answer.body);
        assert_eq!(answer.status.is_success(), is_right, "{}", answer.body);
        let asset = server.ground.asset(upload).await;
        assert_eq!(asset.state, if is_right { AssetState::Received } else { AssetState::Failed });
        if !is_right {
            assert_eq!(answer.code(), "upload_refused");
            assert_eq!(server.state_of(upload).await.status, 410, "the upload has failed");
        }
    }
    assert_eq!(server.ground.probes().await.len(), 1);
}

#[tokio::test]
async fn a_whole_in_tus_may_be_given_its_digest_too() {
    let server = Server::new().await;
    let digest = field(Algorithm::Sha512, "abc");
    for (body, status) in [("abc", 204), ("abd", 410)] {
        let upload = server.create_with(&[("Upload-Length", "3"), ("Repr-Digest", &digest)]).await;
        let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0")]).body(body);
        let answer = server.call(patch).await;
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

#[tokio::test]
async fn the_digest_that_is_wanted_is_told_with_the_final_answer() {
    let server = Server::new().await;
    let want = ("Want-Repr-Digest", "sha-512=1, sha-256=5, x=10");
    let at_once =
        server.call(draft(8, "POST", "/uploads").headers(&[("Upload-Complete", "?1"), want]).body("abc")).await;
    assert_eq!(at_once.header("repr-digest"), Some(&*field(Algorithm::Sha256, "abc")));
    let upload = server.careful(None).await;
    let append = |offset: u64, complete: &str| {
        draft(8, "PATCH", at(upload))
            .headers(&[PARTIAL, ("Upload-Complete", complete), want])
            .header("Upload-Offset", offset)
    };
    assert_eq!(server.call(append(0, "?0").body("abc")).await.header("repr-digest"), None, "not of a part");
    for body in ["def", ""] {
        let answer = server.call(append(if body.is_empty() { 6 } else { 3 }, "?1").body(body)).await;
        assert_eq!(answer.header("repr-digest"), Some(&*field(Algorithm::Sha256, "abcdef")));
    }
    let headers = [("Upload-Complete", "?0"), ("Want-Repr-Digest", "sha=1")];
    let early = server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await.id();
    let answer = server.append(early, 3, "?1", "def").await;
    assert_eq!(answer.header("repr-digest"), Some(&*field(Algorithm::Sha1, "abcdef")), "a wish of the creation stands");
    let given = field(Algorithm::Sha512, "abc");
    let headers = [("Upload-Complete", "?1"), want, ("Repr-Digest", &*given)];
    let known = server.call(draft(8, "POST", "/uploads").headers(&headers).body("abc")).await;
    assert_eq!(known.header("repr-digest"), Some(&*given), "one that was verified is not computed again");
}

#[tokio::test]
async fn options_tells_which_digests_are_welcome() {
    let server = Server::new().await;
    let options = server.call(crate::wire::ask("OPTIONS", "/uploads")).await;
    assert_eq!(options.header("want-repr-digest"), Some("sha-256=10, sha-512=5"));
}
