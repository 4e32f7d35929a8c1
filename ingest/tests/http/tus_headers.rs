//! Checklist 1.1: each header of tus 1.0.0.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ingest::digest::{Algorithm, Hasher};

use crate::wire::{PIECE, Server, ask, at, tus};

#[tokio::test]
async fn tus_resumable_is_demanded_on_every_method_and_told_in_every_answer() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    for (method, path) in
        [("POST", "/uploads".to_owned()), ("HEAD", at(upload)), ("PATCH", at(upload)), ("DELETE", at(upload))]
    {
        for version in [None, Some(""), Some("1.0"), Some("0.2.2"), Some("1.0.0, 2.0.0")] {
            let plain = ask(method, &path).headers(&[PIECE, ("Upload-Length", "5"), ("Upload-Offset", "0")]);
            let stated = version.map_or(plain.clone(), |version| plain.header("Tus-Resumable", version));
            // A question has no body.
            let asked = if method == "HEAD" { stated } else { stated.body("abc") };
            let answer = server.call(asked).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("tus-version")),
                (412, Some("1.0.0")),
                "{method} {version:?}"
            );
            assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
        }
    }
    let head = server.head(upload).await;
    assert_eq!((head.offset(), head.header("tus-resumable")), (Some(0), Some("1.0.0")), "nothing was processed");
    for ask in [tus("POST", "/uploads"), tus("PATCH", at(upload)), tus("GET", "/uploads"), ask("OPTIONS", "/uploads")] {
        assert_eq!(server.call(ask).await.header("tus-resumable"), Some("1.0.0"));
    }
}

#[tokio::test]
async fn tus_version_is_told_by_options_and_by_a_refusal_of_the_version() {
    let server = Server::new().await;
    assert_eq!(server.call(ask("OPTIONS", "/uploads")).await.header("tus-version"), Some("1.0.0"));
    let refused = server.call(ask("POST", "/uploads").header("Tus-Resumable", "2.0.0").body("")).await;
    assert_eq!((refused.status.as_u16(), refused.header("tus-version")), (412, Some("1.0.0")));
    assert_eq!(refused.code(), "unsupported_version");
}

#[tokio::test]
async fn tus_extension_lists_every_extension() {
    let options = Server::new().await.call(ask("OPTIONS", "/uploads")).await;
    let listed = "creation,creation-with-upload,creation-defer-length,expiration,checksum,checksum-trailer,termination,\
                  concatenation,concatenation-unfinished";
    assert_eq!(options.header("tus-extension"), Some(listed));
}

#[tokio::test]
async fn tus_max_size_is_a_number_in_options() {
    let server = Server::with(ingest::Limits { size_max: 1234, ..Default::default() }).await;
    assert_eq!(server.call(ask("OPTIONS", "/uploads")).await.header("tus-max-size"), Some("1234"));
}

#[tokio::test]
async fn upload_offset_is_a_non_negative_integer() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    let patch = |offset: &str| tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", offset)]).body("x");
    for bad in ["+0", "-1", "", "0x0", "1.0", "0 0", "9223372036854775808", "99999999999999999999999999"] {
        let answer = server.call(patch(bad)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"), "{bad:?}");
    }
    let twice = server.call(patch("0").header("Upload-Offset", "0")).await;
    assert_eq!(twice.status, 400);
    let missing = server.call(tus("PATCH", at(upload)).headers(&[PIECE]).body("x")).await;
    assert_eq!(missing.status, 400);
    assert_eq!(server.call(patch("0")).await.offset(), Some(1));
}

#[tokio::test]
async fn upload_length_is_a_non_negative_integer() {
    let server = Server::new().await;
    for bad in ["+5", "-1", "", "5.0", "five", "9223372036854775808", "18446744073709551621"] {
        let answer = server.call(tus("POST", "/uploads").header("Upload-Length", bad).body("")).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_header"), "{bad:?}");
    }
    assert_eq!(server.head(server.create(7).await).await.header("upload-length"), Some("7"));
}

#[tokio::test]
async fn x_http_method_override_is_the_method_whatever_carries_it() {
    let server = Server::new().await;
    let upload = server.create(6).await;
    for (carrier, offset, body) in [("POST", 0, "ab"), ("GET", 2, "cd"), ("DELETE", 4, "ef")] {
        let headers = [("X-HTTP-Method-Override", "PATCH"), PIECE];
        let ask = tus(carrier, at(upload)).headers(&headers).header("Upload-Offset", offset).body(body);
        assert_eq!(server.call(ask).await.offset(), Some(offset + 2), "{carrier}");
    }
    let options = server.call(ask("PATCH", at(upload)).header("X-HTTP-Method-Override", "OPTIONS")).await;
    assert_eq!((options.status.as_u16(), options.header("tus-version")), (204, Some("1.0.0")));
    let ended = server.call(tus("POST", at(upload)).header("X-HTTP-Method-Override", "delete")).await;
    assert_eq!(ended.status, 204);
    assert_eq!(server.head(upload).await.status, 410);
    let nonsense = server.call(tus("POST", "/uploads").header("X-HTTP-Method-Override", "a b")).await;
    assert_eq!(nonsense.status, 400);
}

#[tokio::test]
async fn upload_defer_length_is_one_and_told_until_the_length_is_known() {
    let server = Server::new().await;
    for bad in ["0", "2", "true", ""] {
        let answer = server.call(tus("POST", "/uploads").header("Upload-Defer-Length", bad).body("")).await;
        assert_eq!(answer.status, 400, "{bad:?}");
    }
    let deferred = server.create_with(&[("Upload-Defer-Length", "1")]).await;
    let head = server.head(deferred).await;
    assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), (Some("1"), None));
    let patch = tus("PATCH", at(deferred)).headers(&[PIECE, ("Upload-Offset", "0"), ("Upload-Length", "9")]);
    assert_eq!(server.call(patch.body("abc")).await.status, 204);
    let head = server.head(deferred).await;
    assert_eq!((head.header("upload-defer-length"), head.header("upload-length")), (None, Some("9")));
    assert_eq!(server.head(server.create(1).await).await.header("upload-defer-length"), None);
}

#[tokio::test]
async fn upload_metadata_is_echoed_byte_for_byte() {
    let server = Server::new().await;
    for metadata in ["filename ZmlsbS5tcDQ=,is_x", "bin AP8NCg==", "a  YQ , b", "empty ", "k \u{20}"] {
        let upload = server.create_with(&[("Upload-Length", "5"), ("Upload-Metadata", metadata)]).await;
        // HTTP itself drops blanks at the end of a line.
        assert_eq!(server.head(upload).await.header("upload-metadata"), Some(metadata.trim_end()), "{metadata:?}");
    }
    for bad in ["a YQ==,a YQ==", "a YQ==,", ",a YQ==", "a ***", "a Y Q", "a é"] {
        let ask = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), ("Upload-Metadata", bad)]).body("");
        assert_eq!(server.call(ask).await.status, 400, "{bad:?}");
    }
    let nasty = server.create_with(&[("Upload-Length", "5"), ("Upload-Metadata", "filename Li4vLi4vYQBi")]).await;
    assert_eq!(server.ground.upload(nasty).await.file_name.as_deref(), Some("ab"), "sanitised where it is used");
}

#[tokio::test]
async fn upload_expires_is_a_date_in_every_answer_about_an_upload_that_will_expire() {
    let server =
        Server::with(ingest::Limits { expiry: Some(std::time::Duration::from_secs(3600)), ..Default::default() }).await;
    let created = server.call(tus("POST", "/uploads").header("Upload-Length", 5).body("")).await;
    let upload = created.id();
    let expires_at = server.ground.upload(upload).await.expires_at.expect("expires").unix_ms();
    assert_eq!(expires_at, server.ground.state.clock.now().unix_ms() + 3_600_000);
    // 1 795 003 600 s after the epoch, as RFC 9110 writes it.
    let date = Some("Wed, 18 Nov 2026 12:06:40 GMT");
    let (patched, asked) = (server.patch(upload, 0, "abc").await, server.head(upload).await);
    for answer in [created, patched, asked] {
        assert_eq!(answer.header("upload-expires"), date);
    }
    let done = server.patch(upload, 3, "de").await;
    assert_eq!((done.status.as_u16(), done.header("upload-expires")), (204, None), "what is complete does not expire");
    let part = server.create_with(&[("Upload-Length", "3"), ("Upload-Concat", "partial")]).await;
    assert_eq!(server.patch(part, 0, "abc").await.header("upload-expires"), date, "unless it is a part");
    let forever = Server::with(ingest::Limits { expiry: None, ..Default::default() }).await;
    let upload = forever.create(5).await;
    assert_eq!(forever.patch(upload, 0, "a").await.header("upload-expires"), None);
}

#[tokio::test]
async fn upload_expires_is_told_with_a_refused_piece_too() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    let date = server.head(upload).await.header("upload-expires").map(str::to_owned);
    assert!(date.is_some());
    let piece = |offset: u64| tus("PATCH", at(upload)).headers(&[PIECE]).header("Upload-Offset", offset);
    let wrong = format!("sha256 {}", BASE64_STANDARD.encode([0; 32]));
    for (ask, status) in [
        (piece(3).body("abc"), 409),
        (piece(0).header("Upload-Checksum", wrong).body("abc"), 460),
        (piece(0).body("abcdef"), 413),
        (tus("PATCH", at(upload)).header("Upload-Offset", 0).body("abc"), 415),
        (tus("PATCH", at(upload)).headers(&[PIECE]).body("abc"), 400),
    ] {
        let answer = server.call(ask).await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-expires")), (status, date.as_deref()));
    }
    let part = server.create_with(&[("Upload-Length", "3"), ("Upload-Concat", "partial")]).await;
    for ended in [upload, part] {
        assert_eq!(server.call(tus("DELETE", at(ended))).await.status, 204);
        let answer = server.patch(ended, 0, "abc").await;
        assert_eq!((answer.status.as_u16(), answer.header("upload-expires")), (410, None), "it does not expire again");
    }
}

#[tokio::test]
async fn tus_checksum_algorithm_lists_lower_case_names_with_sha1() {
    let options = Server::new().await.call(ask("OPTIONS", "/uploads")).await;
    let names: Vec<&str> = options.header("tus-checksum-algorithm").expect("is there").split(',').collect();
    for name in ["sha1", "sha256", "sha512", "md5", "crc32c", "blake3"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())));
}

#[tokio::test]
async fn upload_checksum_is_an_algorithm_and_base64() {
    let server = Server::new().await;
    for algorithm in Algorithm::ALL {
        let upload = server.create(11).await;
        let mut hasher = Hasher::new(algorithm);
        hasher.update(b"hello world");
        let checksum = format!("{} {}", algorithm.tus_name(), BASE64_STANDARD.encode(hasher.finish()));
        let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0"), ("Upload-Checksum", &checksum)]);
        let answer = server.call(patch.body("hello world")).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (204, Some(11)), "{checksum}");
    }
    let upload = server.create(11).await;
    for bad in ["", "sha1", "sha1 ****", "sha1 AAAA", "Sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0="] {
        let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0"), ("Upload-Checksum", bad)]);
        assert_eq!(server.call(patch.body("hello world")).await.status, 400, "{bad:?}");
    }
    assert_eq!(server.head(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn upload_concat_is_partial_or_final_with_addresses() {
    let server = Server::new().await;
    for bad in ["", "final", "final;", "final;/uploads/nonsense", "partial;x", "whole"] {
        let ask = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), ("Upload-Concat", bad)]).body("");
        assert_eq!(server.call(ask).await.status, 400, "{bad:?}");
    }
    let part = server.create_with(&[("Upload-Length", "3"), ("Upload-Concat", "partial")]).await;
    assert_eq!(server.head(part).await.header("upload-concat"), Some("partial"));
    server.patch(part, 0, "abc").await;
    for address in [at(part), format!("https://media.example/prefix{}", at(part)), part.to_string()] {
        let concat = format!("final;{address}");
        let whole = server.create_with(&[("Upload-Concat", &concat)]).await;
        assert_eq!(server.head(whole).await.header("upload-concat"), Some(&*concat), "as it came");
    }
}

#[tokio::test]
async fn content_type_of_a_patch_is_offset_octet_stream() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    for kind in ["application/octet-stream", "text/plain", "application/partial-upload", ""] {
        let patch = tus("PATCH", at(upload)).headers(&[("Content-Type", kind), ("Upload-Offset", "0")]).body("x");
        let answer = server.call(patch).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (415, "invalid_content_type"), "{kind}");
    }
    let patch = tus("PATCH", at(upload)).header("Upload-Offset", 0).body("x");
    assert_eq!(server.call(patch).await.status, 415);
    assert_eq!(server.head(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn a_body_that_is_compressed_is_refused_and_nothing_of_it_kept() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    for coding in ["gzip", "br", "identity, gzip"] {
        let patch = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0"), ("Content-Encoding", coding)]);
        let post = tus("POST", "/uploads").headers(&[("Upload-Length", "5"), PIECE, ("Content-Encoding", coding)]);
        for ask in [patch, post] {
            let answer = server.call(ask.body("abc")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (415, "unsupported_content_coding"),
                "{coding}"
            );
        }
    }
    assert_eq!(server.head(upload).await.offset(), Some(0));
    let plain = tus("PATCH", at(upload)).headers(&[PIECE, ("Upload-Offset", "0"), ("Content-Encoding", "identity")]);
    assert_eq!(server.call(plain.body("abc")).await.status, 204);
}

#[tokio::test]
async fn cache_control_of_a_head_is_no_store() {
    let server = Server::new().await;
    let upload = server.create(5).await;
    assert_eq!(server.head(upload).await.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn location_is_relative_and_in_every_201() {
    let server = Server::new().await;
    let part = server.create_with(&[("Upload-Length", "0"), ("Upload-Concat", "partial")]).await;
    let concat = format!("final;{}", at(part));
    let asks = [
        tus("POST", "/uploads").header("Upload-Length", 5).body(""),
        tus("POST", "/uploads/").headers(&[("Upload-Length", "5"), PIECE]).body("abc"),
        tus("POST", "/uploads").headers(&[("Upload-Length", "5"), ("Upload-Concat", "partial")]).body(""),
        tus("POST", "/uploads").header("Upload-Concat", concat).body(""),
    ];
    for ask in asks {
        let answer = server.call(ask).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.header("location"), Some(&*at(answer.id())));
    }
}
