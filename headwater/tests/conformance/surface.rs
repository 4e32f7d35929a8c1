//! What the surface itself has to say about uploads.

use crate::wire::{PIECE, Server, ask, at, tus};

#[tokio::test]
async fn a_method_without_a_body_may_carry_one_that_has_one() {
    let server = Server::new().await;
    let upload = server.create(6).await;
    for (carrier, offset, body) in [("GET", 0, "ab"), ("OPTIONS", 2, "cd"), ("HEAD", 4, "ef")] {
        let headers = [PIECE, ("X-HTTP-Method-Override", "PATCH")];
        let ask = tus(carrier, at(upload)).headers(&headers).header("Upload-Offset", offset).body(body);
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(offset + 2)), "{carrier}: {}", answer.body);
    }
    assert_eq!(server.file(upload).await, "abcdef");
}

#[tokio::test]
async fn a_refusal_of_the_surface_is_known_as_one_of_the_server_and_may_be_read_by_any_page() {
    let server = Server::new().await;
    let upload = server.create(6).await;
    let long = "x".repeat(70_000);
    for (ask, status) in [
        (tus("GET", at(upload)).body("abc"), 400),
        (tus("GET", at(upload)).header("X-HTTP-Method-Override", "HEAD").body("abc"), 400),
        (tus("POST", "/uploads").header("Host", "another.example").body("abc"), 400),
        (tus("HEAD", format!("{}?{}", at(upload), "x".repeat(9000))), 414),
        (tus("PATCH", at(upload)).headers(&[PIECE]).header("X-Long", &long).body("abc"), 431),
    ] {
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.header("tus-resumable")), (status, Some("1.0.0")));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{status}");
        assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("upload-offset")));
    }
    for (path, status) in [("/uploadsx", 404), ("/healthz", 200)] {
        let elsewhere = server.call(ask("GET", path)).await;
        assert_eq!((elsewhere.status.as_u16(), elsewhere.header("tus-resumable")), (status, None), "{path}");
    }
}

#[tokio::test]
async fn as_many_parts_as_a_final_upload_may_have_can_be_named() {
    let server = Server::new().await;
    let part = server.create_with(&[("Upload-Length", "2"), ("Upload-Concat", "partial")]).await;
    server.patch(part, 0, "ab").await;
    let joined = |count: usize| {
        let parts = vec![at(part); count].join(" ");
        tus("POST", "/uploads").header("Upload-Concat", format!("final;{parts}")).body("")
    };
    let answer = server.call(joined(1000)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let more = server.call(joined(1001)).await;
    assert_eq!((more.status.as_u16(), more.code().as_str()), (400, "invalid_header"));
}
