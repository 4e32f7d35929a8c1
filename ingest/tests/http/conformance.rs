use axum::body::Body;
use domain::AssetState;
use ingest::Limits;

use crate::ground::{Ground, noise, patch, request};

const PIECE: (&str, &str) = ("content-type", "application/offset+octet-stream");

#[tokio::test]
async fn a_file_sent_in_two_pieces_becomes_the_source_of_a_received_asset() {
    let (ground, file) = (Ground::new().await, noise(100_000));
    let upload = ground.create(100_000).await;
    let first = ground.patch(upload, 0, file[..60_000].to_vec()).await;
    assert_eq!((first.status.as_u16(), first.offset()), (204, Some(60_000)));
    assert_eq!(ground.asset(upload).await.state, AssetState::Uploading);
    let second = ground.patch(upload, 60_000, file[60_000..].to_vec()).await;
    assert_eq!((second.status.as_u16(), second.offset()), (204, Some(100_000)));
    let asset = ground.asset(upload).await;
    assert_eq!((asset.state, asset.size.map(|size| size.0)), (AssetState::Received, Some(100_000)));
    assert!(ground.source(asset.id).await == file, "the source is the file");
    assert_eq!(ground.probes().await, [asset.id]);
}

#[tokio::test]
async fn creation_tells_where_the_upload_and_its_asset_are() {
    let ground = Ground::new().await;
    let headers = [("upload-length", "5"), ("upload-metadata", "filename ZmlsbS5tcDQ=,is_x")];
    let answer = ground.send(request("POST", "/uploads", &headers, Body::empty())).await;
    let upload = ground.upload(answer.id()).await;
    assert_eq!(
        answer.header("asset-location"),
        Some(&*format!("/api/v1/assets/{}", upload.target.expect("not a part").asset))
    );
    assert_eq!(answer.header("tus-resumable"), Some("1.0.0"));
    assert_eq!(upload.file_name.as_deref(), Some("film.mp4"));
    assert_eq!(ground.asset(upload.id).await.state, AssetState::Uploading);
}

#[tokio::test]
async fn the_collection_answers_with_and_without_a_slash() {
    let ground = Ground::new().await;
    for path in ["/uploads", "/uploads/"] {
        let answer = ground.send(request("POST", path, &[("upload-length", "1")], Body::empty())).await;
        assert_eq!(answer.status, 201, "{path}");
    }
}

#[tokio::test]
async fn head_tells_offset_length_and_metadata_as_given() {
    let ground = Ground::new().await;
    for metadata in ["filename ZmlsbS5tcDQ=,is_x", "bin AP8NCg==", "a  YQ , b"] {
        let headers = [("upload-length", "5"), ("upload-metadata", metadata)];
        let upload = ground.send(request("POST", "/uploads", &headers, Body::empty())).await.id();
        ground.patch(upload, 0, "abc").await;
        let head = ground.head(upload).await;
        assert_eq!((head.status.as_u16(), head.offset()), (200, Some(3)));
        assert_eq!(head.header("upload-length"), Some("5"));
        assert_eq!(head.header("upload-metadata"), Some(metadata));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert!(head.header("asset-location").is_some());
    }
}

#[tokio::test]
async fn empty_metadata_are_welcome() {
    let ground = Ground::new().await;
    let headers = [("upload-length", "5"), ("upload-metadata", "")];
    let answer = ground.send(request("POST", "/uploads", &headers, Body::empty())).await;
    assert_eq!(answer.status, 201);
    assert_eq!(ground.head(answer.id()).await.header("upload-metadata"), None);
}

#[tokio::test]
async fn the_first_octets_may_come_with_the_creation() {
    let ground = Ground::new().await;
    let headers = [("upload-length", "5"), PIECE];
    let part = ground.send(request("POST", "/uploads", &headers, Body::from("abc"))).await;
    assert_eq!((part.status.as_u16(), part.offset()), (201, Some(3)));
    let whole = ground.send(request("POST", "/uploads", &headers, Body::from("abcde"))).await;
    assert_eq!((whole.status.as_u16(), whole.offset()), (201, Some(5)));
    let asset = ground.asset(whole.id()).await;
    assert_eq!((asset.state, ground.source(asset.id).await), (AssetState::Received, b"abcde".to_vec()));
    let nothing = ground.send(request("POST", "/uploads", &headers, Body::empty())).await;
    assert_eq!((nothing.status.as_u16(), nothing.offset()), (201, Some(0)));
    let other = [("upload-length", "5"), ("content-type", "text/plain")];
    let ignored = ground.send(request("POST", "/uploads", &other, Body::from("abc"))).await;
    assert_eq!((ignored.status.as_u16(), ignored.offset()), (201, None));
    let beyond = ground.send(request("POST", "/uploads", &headers, Body::from("abcdef"))).await;
    assert_eq!((beyond.status.as_u16(), beyond.code().as_str()), (413, "beyond_length"));
}

#[tokio::test]
async fn an_empty_file_is_complete_at_once() {
    let ground = Ground::new().await;
    let upload = ground.create(0).await;
    assert_eq!(ground.head(upload).await.offset(), Some(0));
    let asset = ground.asset(upload).await;
    assert_eq!((asset.state, ground.source(asset.id).await), (AssetState::Received, vec![]));
    assert_eq!(ground.patch(upload, 0, "").await.status, 204);
}

#[tokio::test]
async fn options_tells_what_is_spoken_and_asks_for_nothing() {
    let ground = Ground::with(Limits { size_max: 1000, ..Limits::default() }).await;
    for path in ["/uploads", "/uploads/upl_00000000000000000000000001", "/uploads/nonsense"] {
        let preflight = axum::http::Request::builder().method("OPTIONS").uri(path).header("tus-resumable", "9");
        let answer = ground.send(preflight.body(Body::empty()).expect("valid")).await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("tus-version"), Some("1.0.0"));
        assert!(answer.header("tus-extension").is_some_and(|listed| listed.contains("termination")));
        assert_eq!(answer.header("tus-max-size"), Some("1000"));
        let methods = answer.header("access-control-allow-methods").expect("is there");
        assert!(["POST", "HEAD", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)));
        let headers = answer.header("access-control-allow-headers").expect("is there");
        assert!(["upload-offset", "upload-metadata", "authorization"].iter().all(|name| headers.contains(name)));
    }
}

#[tokio::test]
async fn every_answer_may_be_read_by_a_page_of_another_origin() {
    let ground = Ground::new().await;
    let upload = ground.create(5).await;
    for answer in [ground.head(upload).await, ground.patch(upload, 1, "x").await, ground.patch(upload, 0, "x").await] {
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let exposed = answer.header("access-control-expose-headers").expect("is there");
        for name in ["upload-offset", "location", "upload-length", "tus-resumable", "asset-location", "upload-expires"]
        {
            assert!(exposed.contains(name), "{name}");
        }
    }
}

#[tokio::test]
async fn another_version_is_refused_on_every_method_with_the_one_that_is_spoken() {
    let ground = Ground::new().await;
    let upload = ground.create(5).await;
    for (method, version) in [("POST", "0.2.2"), ("HEAD", "1.0"), ("PATCH", ""), ("DELETE", "1.0.0, 2.0.0")] {
        let path = if method == "POST" { "/uploads".to_owned() } else { format!("/uploads/{upload}") };
        let request = axum::http::Request::builder().method(method).uri(path).header("tus-resumable", version);
        let answer = ground.send(request.header("upload-length", "5").body(Body::empty()).expect("valid")).await;
        assert_eq!((answer.status.as_u16(), answer.header("tus-version")), (412, Some("1.0.0")), "{method}");
    }
    assert_eq!(ground.head(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn a_wrong_offset_is_refused_with_the_right_one() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    ground.patch(upload, 0, "abc").await;
    for offset in [0, 2, 4, 11] {
        let answer = ground.patch(upload, offset, "xyz").await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (409, Some(3)), "{offset}");
        assert_eq!(answer.code(), "offset_mismatch");
    }
    assert_eq!(ground.head(upload).await.offset(), Some(3));
}

#[tokio::test]
async fn numbers_that_are_none_are_refused() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    for bad in ["+0", "-1", "", "0x0", "1.0", "9223372036854775808", "99999999999999999999999999"] {
        let path = format!("/uploads/{upload}");
        let append = request("PATCH", &path, &[("upload-offset", bad), PIECE], Body::from("x"));
        assert_eq!(ground.send(append).await.status, 400, "{bad:?}");
        let create = request("POST", "/uploads", &[("upload-length", bad)], Body::empty());
        assert_eq!(ground.send(create).await.status, 400, "{bad:?}");
    }
    let nothing = request("PATCH", &format!("/uploads/{upload}"), &[PIECE], Body::from("x"));
    assert_eq!(ground.send(nothing).await.status, 400);
    assert_eq!(ground.send(request("POST", "/uploads", &[], Body::empty())).await.status, 400);
}

#[tokio::test]
async fn the_body_of_a_patch_must_be_a_piece() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    for kind in ["application/octet-stream", "text/plain", ""] {
        let headers = [("upload-offset", "0"), ("content-type", kind)];
        let answer = ground.send(request("PATCH", &format!("/uploads/{upload}"), &headers, Body::from("x"))).await;
        assert_eq!(answer.status, 415);
    }
    assert_eq!(ground.head(upload).await.offset(), Some(0));
}

#[tokio::test]
async fn nothing_goes_beyond_the_announced_length() {
    let ground = Ground::new().await;
    let upload = ground.create(5).await;
    let known = ground.patch(upload, 0, "abcdef").await;
    assert_eq!((known.status.as_u16(), known.offset()), (413, Some(0)));
    let pieces = ["abc", "def"].map(Ok::<_, std::io::Error>);
    let chunked = ground.patch(upload, 0, Body::from_stream(futures::stream::iter(pieces))).await;
    assert_eq!((chunked.status.as_u16(), chunked.offset()), (413, Some(3)));
    assert_eq!(ground.patch(upload, 3, "de").await.offset(), Some(5));
    let more = ground.patch(upload, 5, "f").await;
    assert_eq!((more.status.as_u16(), more.offset()), (413, Some(5)));
    let lost_answer = ground.patch(upload, 5, "").await;
    assert_eq!((lost_answer.status.as_u16(), lost_answer.offset()), (204, Some(5)));
    assert_eq!(ground.probes().await.len(), 1);
}

#[tokio::test]
async fn an_upload_larger_than_the_limit_is_refused_before_it_begins() {
    let ground = Ground::with(Limits { size_max: 1000, ..Limits::default() }).await;
    for (length, status) in [("1000", 201), ("1001", 413), ("9223372036854775807", 413)] {
        let answer = ground.send(request("POST", "/uploads", &[("upload-length", length)], Body::empty())).await;
        assert_eq!(answer.status.as_u16(), status, "{length}");
    }
}

#[tokio::test]
async fn who_announced_no_length_is_told_the_limit_that_was_lowered() {
    let mut ground = Ground::new().await;
    let deferred = request("POST", "/uploads", &[("upload-defer-length", "1")], Body::empty());
    let upload = ground.send(deferred).await.id();
    assert_eq!(ground.patch(upload, 0, vec![7; 2000]).await.offset(), Some(2000));
    ground.state.limits.size_max = 1000;
    let (sender, unsized_body) = crate::ground::slow_body();
    sender.unbounded_send(Ok(vec![7; 100].into())).expect("is taken");
    drop(sender);
    for body in [Body::from(vec![7; 100]), unsized_body] {
        let refused = ground.patch(upload, 2000, body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "upload_too_large"));
        assert!(refused.body.contains("an upload may have up to 1000 octets"), "{}", refused.body);
        assert_eq!(ground.head(upload).await.offset(), Some(2000));
    }
}

#[tokio::test]
async fn too_many_open_uploads_are_refused_until_one_is_closed() {
    let ground = Ground::with(Limits { open_uploads_max: 2, ..Limits::default() }).await;
    let upload = ground.create(5).await;
    ground.create(5).await;
    let create = || request("POST", "/uploads", &[("upload-length", "5")], Body::empty());
    let refused = ground.send(create()).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "too_many_uploads"));
    assert!(refused.header("retry-after").is_some());
    ground.patch(upload, 0, "abcde").await;
    assert_eq!(ground.send(create()).await.status, 201);
}

#[tokio::test]
async fn addresses_of_no_upload_are_not_found() {
    let ground = Ground::new().await;
    let long = "x".repeat(300);
    for id in ["upl_00000000000000000000000009", "%00", "..", &long, "ast_00000000000000000000000001", "a/b", "upl_ü"]
    {
        let path = format!("/uploads/{}", id.replace('ü', "%C3%BC"));
        for method in ["HEAD", "DELETE"] {
            let answer = ground.send(request(method, &path, &[], Body::empty())).await;
            assert_eq!((answer.status.as_u16(), answer.offset()), (404, None), "{method} {id}");
        }
        let answer = ground.send(request("PATCH", &path, &[("upload-offset", "0"), PIECE], Body::from("x"))).await;
        assert_eq!((answer.status.as_u16(), answer.offset()), (404, None), "PATCH {id}");
    }
}

#[tokio::test]
async fn a_method_that_makes_no_sense_is_refused_with_those_that_do() {
    let ground = Ground::new().await;
    let upload = format!("/uploads/{}", ground.create(5).await);
    for (method, path) in
        [("POST", &*upload), ("PUT", &upload), ("GET", "/uploads"), ("HEAD", "/uploads"), ("PATCH", "/uploads")]
    {
        let answer = ground.send(request(method, path, &[], Body::empty())).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(answer.header("allow").is_some());
    }
}

#[tokio::test]
async fn the_overriding_method_counts_whatever_carries_it() {
    let ground = Ground::new().await;
    let upload = ground.create(6).await;
    for (carrier, offset, body) in [("POST", "0", "abc"), ("GET", "3", "de"), ("PUT", "5", "f")] {
        let headers = [("x-http-method-override", "patch"), ("upload-offset", offset), PIECE];
        let answer = ground.send(request(carrier, &format!("/uploads/{upload}"), &headers, Body::from(body))).await;
        assert_eq!(answer.status, 204, "{carrier}");
    }
    let headers = [("x-http-method-override", "HEAD")];
    let head = ground.send(request("PATCH", &format!("/uploads/{upload}"), &headers, Body::empty())).await;
    assert_eq!((head.status.as_u16(), head.offset()), (200, Some(6)));
}

#[tokio::test]
async fn a_terminated_upload_is_gone() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    ground.patch(upload, 0, "abc").await;
    let path = format!("/uploads/{upload}");
    let delete = || request("DELETE", &path, &[], Body::empty());
    assert_eq!(ground.send(delete()).await.status, 204);
    assert_eq!(ground.send(delete()).await.status, 410);
    let head = ground.head(upload).await;
    assert_eq!((head.status.as_u16(), head.offset(), head.body.as_str()), (410, None, ""));
    assert_eq!(ground.patch(upload, 3, "def").await.status, 410);
    assert!(!ground.state.staging.path(upload).exists());
    assert_eq!(ground.asset(upload).await.state, AssetState::Deleted);
}

#[tokio::test]
async fn terminating_a_complete_upload_deletes_its_asset() {
    let ground = Ground::new().await;
    let upload = ground.create(3).await;
    ground.patch(upload, 0, "abc").await;
    let answer = ground.send(request("DELETE", &format!("/uploads/{upload}"), &[], Body::empty())).await;
    assert_eq!(answer.status, 204);
    assert_eq!(ground.head(upload).await.status, 410);
    assert_eq!(ground.asset(upload).await.state, AssetState::Deleted);
}

#[tokio::test]
async fn an_upload_whose_asset_is_deleted_takes_nothing_more() {
    let ground = Ground::new().await;
    let upload = ground.create(10).await;
    let (asset, now) = (ground.asset(upload).await.id, ground.state.clock.now());
    ground.state.catalog.delete_asset(asset, domain::JobId::from_u128(1), now).await.expect("deletes");
    assert_eq!(ground.send(patch(upload, 0, "abc")).await.status, 410);
    assert!(!ground.state.staging.path(upload).exists());
}
