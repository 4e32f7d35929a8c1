//! Checklist 1.3: concatenation of tus 1.0.0, also of unfinished parts.

use catalog_store::UploadState;
use domain::UploadId;
use ingest::Limits;

use crate::ground::{Answer, eventually};
use crate::wire::{PIECE, Server, at, tus};

impl Server {
    async fn part(&self, length: u64) -> UploadId {
        self.create_with(&[("Upload-Length", &length.to_string()), ("Upload-Concat", "partial")]).await
    }

    /// A part that is complete.
    async fn full_part(&self, text: &str) -> UploadId {
        let part = self.part(text.len() as u64).await;
        assert_eq!(self.patch(part, 0, text).await.status, 204);
        part
    }

    async fn join(&self, parts: &[UploadId]) -> Answer {
        self.call(tus("POST", "/uploads").header("Upload-Concat", concat(parts)).body("")).await
    }

    async fn joined(&self, upload: UploadId) {
        eventually("the parts are joined", || async {
            self.ground.upload(upload).await.state == UploadState::Complete
        })
        .await;
    }
}

fn concat(parts: &[UploadId]) -> String {
    format!("final;{}", parts.iter().map(|part| at(*part)).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn parts_are_joined_in_the_order_of_the_request() {
    let server = Server::new().await;
    let (hello, world) = (server.full_part("hello ").await, server.full_part("world").await);
    for (parts, text) in [([hello, world], "hello world"), ([world, hello], "worldhello ")] {
        let answer = server.join(&parts).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        server.joined(answer.id()).await;
        assert_eq!(server.file(answer.id()).await, text);
    }
}

#[tokio::test]
async fn a_part_may_stand_twice_and_in_several_finals() {
    let server = Server::new().await;
    let part = server.full_part("ab").await;
    let (twice, once) = (server.join(&[part, part]).await.id(), server.join(&[part]).await.id());
    server.joined(twice).await;
    server.joined(once).await;
    assert_eq!((server.file(twice).await, server.file(once).await), ("abab".to_owned(), "ab".to_owned()));
}

#[tokio::test]
async fn the_length_of_a_final_is_the_sum_and_must_not_be_told() {
    let server = Server::new().await;
    let (first, second) = (server.full_part("abc").await, server.part(4).await);
    let whole = server.join(&[first, second]).await.id();
    assert_eq!(server.head(whole).await.header("upload-length"), Some("7"));
    for header in [("Upload-Length", "7"), ("Upload-Defer-Length", "1")] {
        let ask = tus("POST", "/uploads").headers(&[("Upload-Concat", &concat(&[first])), header]).body("");
        assert_eq!(server.call(ask).await.status, 400, "{header:?}");
    }
    let small = Server::with(Limits { size_max: 5, ..Limits::default() }).await;
    let (first, second) = (small.full_part("abc").await, small.full_part("def").await);
    assert_eq!(small.join(&[first, second]).await.status, 413);
}

#[tokio::test]
async fn metadata_of_parts_are_not_inherited() {
    let server = Server::new().await;
    let headers = [("Upload-Length", "0"), ("Upload-Concat", "partial"), ("Upload-Metadata", "filename YQ==")];
    let part = server.create_with(&headers).await;
    let bare = server.join(&[part]).await.id();
    assert_eq!(server.head(bare).await.header("upload-metadata"), None);
    let own = server.create_with(&[("Upload-Concat", &concat(&[part])), ("Upload-Metadata", "filename Yg==")]).await;
    assert_eq!(server.head(own).await.header("upload-metadata"), Some("filename Yg=="));
    assert_eq!(server.ground.asset(own).await.title.as_deref().unwrap_or("b"), "b");
}

#[tokio::test]
async fn patch_of_a_final_is_403_and_changes_nothing() {
    let server = Server::new().await;
    let (first, second) = (server.full_part("abc").await, server.part(3).await);
    let waiting = server.join(&[first, second]).await.id();
    let done = server.join(&[first]).await.id();
    server.joined(done).await;
    for upload in [waiting, done] {
        for offset in [0, 3] {
            let answer = server.patch(upload, offset, "x").await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "final_upload"));
        }
    }
    assert_eq!(server.head(first).await.offset(), Some(3));
    assert_eq!(server.patch(second, 0, "def").await.offset(), Some(3));
    server.joined(waiting).await;
    assert_eq!(server.file(waiting).await, "abcdef");
}

#[tokio::test]
async fn head_of_a_final_tells_an_offset_only_when_it_is_joined() {
    let server = Server::new().await;
    let (first, second) = (server.full_part("abc").await, server.part(3).await);
    let whole = server.join(&[first, second]).await.id();
    let head = server.head(whole).await;
    assert_eq!((head.status.as_u16(), head.offset(), head.header("upload-length")), (200, None, Some("6")));
    server.patch(second, 0, "def").await;
    server.joined(whole).await;
    let head = server.head(whole).await;
    assert_eq!((head.offset(), head.header("upload-length")), (Some(6), Some("6")));
}

#[tokio::test]
async fn head_of_a_part_tells_its_offset_and_what_it_is() {
    let server = Server::new().await;
    let part = server.part(5).await;
    server.patch(part, 0, "abc").await;
    let head = server.head(part).await;
    assert_eq!((head.offset(), head.header("upload-length")), (Some(3), Some("5")));
    assert_eq!(head.header("upload-concat"), Some("partial"));
    assert_eq!(head.header("asset-location"), None, "a part is no asset");
    assert_eq!(server.ground.probes().await, [], "nor is it looked at");
}

#[tokio::test]
async fn the_length_of_a_final_is_left_out_while_that_of_a_part_is_unknown() {
    let server = Server::new().await;
    let part = server.create_with(&[("Upload-Defer-Length", "1"), ("Upload-Concat", "partial")]).await;
    let whole = server.join(&[part]).await.id();
    let head = server.head(whole).await;
    assert_eq!((head.header("upload-length"), head.offset()), (None, None));
    let patch = tus("PATCH", at(part)).headers(&[PIECE, ("Upload-Offset", "0"), ("Upload-Length", "3")]);
    assert_eq!(server.call(patch.body("abc")).await.status, 204);
    server.joined(whole).await;
    let head = server.head(whole).await;
    assert_eq!((head.header("upload-length"), head.offset()), (Some("3"), Some(3)));
}

#[tokio::test]
async fn upload_concat_is_echoed_as_it_was_received() {
    let server = Server::new().await;
    let part = server.full_part("abc").await;
    for header in [format!("final;{}", at(part)), format!("final; https://a.example/x{}  {}", at(part), at(part))] {
        let whole = server.create_with(&[("Upload-Concat", &header)]).await;
        assert_eq!(server.head(whole).await.header("upload-concat"), Some(&*header));
    }
}

#[tokio::test]
async fn unfinished_parts_may_be_joined_and_the_last_octet_completes_the_whole() {
    let server = Server::new().await;
    let (first, second) = (server.part(3).await, server.part(3).await);
    let whole = server.join(&[first, second]).await.id();
    for (part, offset, text) in [(second, 0, "de"), (first, 0, "abc"), (second, 2, "f")] {
        assert_eq!(server.ground.upload(whole).await.state, UploadState::Open);
        assert_eq!(server.patch(part, offset, text).await.status, 204);
    }
    server.joined(whole).await;
    assert_eq!(server.file(whole).await, "abcdef");
    assert_eq!(server.ground.probes().await, [server.ground.asset(whole).await.id]);
}

#[tokio::test]
async fn what_is_no_part_cannot_be_joined() {
    let server = Server::new().await;
    let whole = server.create(3).await;
    let ended = server.full_part("abc").await;
    assert_eq!(server.call(tus("DELETE", at(ended))).await.status, 204);
    for upload in [whole, ended, UploadId::from_u128(9)] {
        let answer = server.join(&[upload]).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_part"), "{upload}");
    }
    let part = server.full_part("abc").await;
    let content = tus("POST", "/uploads").headers(&[("Upload-Concat", &concat(&[part])), PIECE]).body("x");
    assert_eq!(server.call(content).await.status, 400);
}

#[tokio::test]
async fn a_repeated_request_finds_the_final_that_the_first_one_made() {
    let server = Server::new().await;
    let (first, second) = (server.full_part("abc").await, server.full_part("def").await);
    let whole = server.join(&[first, second]).await;
    let again = server.join(&[first, second]).await;
    assert_eq!((whole.id(), again.status.as_u16()), (again.id(), 201));
    server.joined(whole.id()).await;
    assert_eq!(server.join(&[first, second]).await.id(), whole.id());
    assert_eq!(server.ground.probes().await.len(), 1, "one file, one asset, one job");
}
