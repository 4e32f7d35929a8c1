//! Capabilities: one-time addresses, obeyed in every request and again at the end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use domain::{ManualClock, Timestamp};
use ingest::gate::Tokens;
use serde_json::{Value, json};

use crate::ground::{Answer, Ground, ask_api, eventually, noise, patch, request};

struct Guarded {
    ground: Ground,
    clock: Arc<ManualClock>,
}

impl Guarded {
    async fn new() -> Self {
        let mut ground = Ground::new().await;
        let clock = Arc::new(ManualClock::at(Timestamp::from_unix_ms(1_795_000_000_000)));
        ground.state.clock = clock.clone();
        ground.state.gate = Arc::new(Tokens::new([("ada".to_owned(), "the-token-of-ada".to_owned())]));
        Self { ground, clock }
    }

    async fn call(&self, method: &str, path: &str, token: &str, document: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::from(document.to_owned())).expect("valid");
        let answer = ask_api(&self.ground.state, request).await;
        (answer.status.as_u16(), serde_json::from_str(&answer.body).unwrap_or_default())
    }

    async fn grant(&self, wanted: &Value) -> Value {
        let (status, grant) = self.call("POST", "/api/v1/upload-grants", "the-token-of-ada", &wanted.to_string()).await;
        assert_eq!(status, 201, "{grant}");
        grant
    }

    async fn create(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.ground.send(request("POST", url, headers, Body::empty())).await
    }
}

fn url(grant: &Value) -> &str {
    grant["url"].as_str().expect("is there")
}

fn at(path: &str, offset: u64, octets: &[u8]) -> Request<Body> {
    let offset = offset.to_string();
    let headers = [("upload-offset", &*offset), ("content-type", "application/offset+octet-stream")];
    request("PATCH", path, &headers, Body::from(octets.to_vec()))
}

#[tokio::test]
async fn a_one_time_address_takes_one_upload_from_somebody_without_a_token() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({})).await;
    let created = guarded.create(url(&grant), &[("upload-length", "5")]).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let path = created.header("location").expect("is there").to_owned();
    assert!(path.contains("?grant=grt_"), "{path}");
    let again = guarded.create(url(&grant), &[("upload-length", "5")]).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (403, "grant_invalid"));
    let upload = path.strip_prefix("/uploads/").and_then(|rest| rest.split('?').next()).expect("an id").parse();
    let upload = upload.expect("an id");
    assert_eq!(guarded.ground.upload(upload).await.owner.as_deref(), Some("ada"), "it counts for who gave it");
    // Without the secret nobody but the owner gets anywhere.
    for request in [request("HEAD", &format!("/uploads/{upload}"), &[], Body::empty()), patch(upload, 0, "abcde")] {
        assert_eq!(guarded.ground.send(request).await.status, 401);
    }
    assert_eq!(guarded.ground.send(request("HEAD", &path, &[], Body::empty())).await.offset(), Some(0));
    let done = guarded.ground.send(at(&path, 0, b"abcde")).await;
    assert_eq!((done.status.as_u16(), done.offset()), (204, Some(5)));
    let secret = grant["token"].as_str().expect("is there");
    assert!(!grant["id"].as_str().expect("is there").contains(secret));
}

#[tokio::test]
async fn a_capability_is_no_key_to_other_uploads_and_to_nothing_else() {
    let guarded = Guarded::new().await;
    let (first, second) = (guarded.grant(&json!({})).await, guarded.grant(&json!({})).await);
    let created = guarded.create(url(&first), &[("upload-length", "5")]).await;
    let path = created.header("location").expect("is there").split('?').next().expect("a path").to_owned();
    let foreign = format!("{path}?grant={}", second["token"].as_str().expect("is there"));
    for request in [request("HEAD", &foreign, &[], Body::empty()), at(&foreign, 0, b"abcde")] {
        assert_eq!(guarded.ground.send(request).await.status, 403);
    }
    let token = second["token"].as_str().expect("is there");
    assert_eq!(guarded.call("POST", "/api/v1/upload-grants", token, "{}").await.0, 403, "it does not beget others");
    let import = json!({ "url": "https://example.org/a.mp4" }).to_string();
    assert_eq!(guarded.call("POST", "/api/v1/imports", token, &import).await.0, 403);
    assert_eq!(guarded.call("POST", "/api/v1/upload-grants", "wrong", "{}").await.0, 401);
}

#[tokio::test]
async fn the_bounds_of_a_capability_hold_for_its_upload() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "max_bytes": 10, "uses": 3, "types": ["video/*"], "max_duration_s": 9 })).await;
    let larger = guarded.create(url(&grant), &[("upload-length", "11")]).await;
    assert_eq!((larger.status.as_u16(), larger.code().as_str()), (413, "upload_too_large"));
    let deferred = guarded.create(url(&grant), &[("upload-defer-length", "1")]).await;
    let path = deferred.header("location").expect("is there");
    assert_eq!(guarded.ground.send(at(path, 0, &[7; 11])).await.status, 413);
    let sniffed = guarded.create(url(&grant), &[("upload-length", "8")]).await;
    let path = sniffed.header("location").expect("is there");
    let refused = guarded.ground.send(at(path, 0, b"fLaC0123")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (415, "upload_refused"));
    assert!(refused.body.contains("video/*"), "{}", refused.body);
    let id = path.strip_prefix("/uploads/").and_then(|rest| rest.split('?').next()).expect("an id");
    let asset = guarded.ground.asset(id.parse().expect("an id")).await.id;
    let terms = guarded.ground.state.catalog.terms_of_source(asset.into()).await.expect("answers").expect("is there");
    assert_eq!(terms.duration_s_max, Some(9), "the probe of the whole file obeys it too");
}

#[tokio::test]
async fn a_capability_that_is_taken_back_ends_its_upload_at_once() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({})).await;
    let created = guarded.create(url(&grant), &[("upload-length", "100000")]).await;
    let path = created.header("location").expect("is there").to_owned();
    assert_eq!(guarded.ground.send(at(&path, 0, &noise(50_000))).await.status, 204);
    // While the last octets are on their way.
    let (sender, body) = crate::ground::slow_body();
    sender.unbounded_send(Ok(noise(10).into())).expect("is taken");
    let headers = [("upload-offset", "50000"), ("content-type", "application/offset+octet-stream")];
    let last = request("PATCH", &path, &headers, body);
    let revoke = async {
        let id = grant["id"].as_str().expect("is there");
        let path = format!("/api/v1/upload-grants/{id}");
        assert_eq!(guarded.call("DELETE", &path, "the-token-of-ada", "").await.0, 204);
        sender.unbounded_send(Ok(noise(49_990).into())).expect("is taken");
        drop(sender);
    };
    let (last, ()) = tokio::join!(guarded.ground.send(last), revoke);
    assert_eq!((last.status.as_u16(), last.code().as_str()), (403, "grant_invalid"), "asked again at the end");
    let head = guarded.ground.send(request("HEAD", &path, &[], Body::empty())).await;
    assert_eq!(head.status, 403);
    assert!(guarded.ground.probes().await.is_empty(), "nothing became of it");
}

fn path(created: &Answer) -> &str {
    assert_eq!(created.status, 201, "{}", created.body);
    created.header("location").expect("is there")
}

const PARTIAL: (&str, &str) = ("upload-concat", "partial");
const DEFERRED: (&str, &str) = ("upload-defer-length", "1");

fn joining(parts: &[&Answer]) -> String {
    let paths: Vec<&str> = parts.iter().map(|part| path(part).split('?').next().expect("a path")).collect();
    format!("final;{}", paths.join(" "))
}

#[tokio::test]
async fn parts_under_a_capability_hold_no_more_than_its_uses_allow() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "max_bytes": 10 })).await;
    let part = async |length: &str| guarded.create(url(&grant), &[("upload-length", length), PARTIAL]).await;
    let parts = [part("6").await, part("4").await];
    let refused = part("1").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "upload_too_large"));
    // What is given up makes room again.
    assert_eq!(guarded.ground.send(request("DELETE", path(&parts[1]), &[], Body::empty())).await.status, 204);
    let parts = [&parts[0], &part("4").await];
    for (part, octets) in parts.into_iter().zip([&b"abcdef"[..], b"ghij"]) {
        assert_eq!(guarded.ground.send(at(path(part), 0, octets)).await.offset(), Some(octets.len() as u64));
    }
    let whole = guarded.create(url(&grant), &[("upload-concat", &joining(&parts))]).await;
    eventually("the whole is complete", || async { guarded.ground.probes().await.len() == 1 }).await;
    let id = path(&whole).strip_prefix("/uploads/").and_then(|path| path.split('?').next()).expect("an id");
    let asset = guarded.ground.asset(id.parse().expect("an id")).await.id;
    assert_eq!(guarded.ground.source(asset).await, b"abcdefghij");
    assert_eq!(part("1").await.code(), "grant_invalid", "it was used");
}

#[tokio::test]
async fn parts_of_unknown_length_under_a_capability_are_held_to_it_as_they_grow() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "max_bytes": 10 })).await;
    let parts = [
        guarded.create(url(&grant), &[DEFERRED, PARTIAL]).await,
        guarded.create(url(&grant), &[DEFERRED, PARTIAL]).await,
    ];
    // The use is spent before the parts grow, which makes no difference.
    let whole = guarded.create(url(&grant), &[("upload-concat", &joining(&[&parts[0], &parts[1]]))]).await;
    let settled = |part: &Answer, octets: &[u8]| {
        let mut request = at(path(part), 0, octets);
        request.headers_mut().insert("upload-length", octets.len().into());
        request
    };
    assert_eq!(guarded.ground.send(settled(&parts[0], b"abcdef")).await.offset(), Some(6));
    for request in [settled(&parts[1], b"ghijk"), at(path(&parts[1]), 0, b"ghijk")] {
        let refused = guarded.ground.send(request).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (413, "upload_too_large"));
    }
    let head = guarded.ground.send(request("HEAD", path(&parts[1]), &[], Body::empty())).await;
    assert_eq!(head.offset(), Some(0), "nothing of it is kept");
    assert_eq!(guarded.ground.send(settled(&parts[1], b"ghij")).await.offset(), Some(4));
    let head = async || guarded.ground.send(request("HEAD", path(&whole), &[], Body::empty())).await;
    eventually("the whole is complete", || async { head().await.offset() == Some(10) }).await;
}

#[tokio::test]
async fn parts_under_a_capability_are_so_many_and_no_way_to_hand_files_on() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({})).await;
    let part = async |length: &str| guarded.create(url(&grant), &[("upload-length", length), PARTIAL]).await;
    let first = part("3").await;
    assert_eq!(guarded.ground.send(at(path(&first), 0, b"abc")).await.offset(), Some(3));
    let read = guarded.ground.send(request("GET", path(&first), &[], Body::empty())).await;
    assert_eq!((read.status.as_u16(), read.code().as_str()), (403, "forbidden"));
    let by_ada = [("authorization", "Bearer the-token-of-ada")];
    let own = path(&first).split('?').next().expect("a path");
    assert_eq!(guarded.ground.send(request("GET", own, &by_ada, Body::empty())).await.body, "abc");
    for _ in 1..64 {
        assert_eq!(part("0").await.status, 201);
    }
    let refused = part("0").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_open_uploads"));
}

#[tokio::test]
async fn a_whole_whose_capability_is_taken_back_meanwhile_is_refused_for_good() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({})).await;
    let by_ada = ("authorization", "Bearer the-token-of-ada");
    let part = guarded.create("/uploads", &[("upload-length", "3"), ("upload-concat", "partial"), by_ada]).await;
    let part = part.header("location").expect("is there").to_owned();
    let concat = format!("final;{part}");
    let whole = guarded.create(url(&grant), &[("upload-concat", &concat)]).await;
    assert_eq!(whole.status, 201, "{}", whole.body);
    let id = grant["id"].as_str().expect("is there");
    let revoked = guarded.call("DELETE", &format!("/api/v1/upload-grants/{id}"), "the-token-of-ada", "").await;
    assert_eq!(revoked.0, 204);
    let mut last = at(&part, 0, b"abc");
    last.headers_mut().insert(by_ada.0, by_ada.1.parse().expect("a value"));
    assert_eq!(guarded.ground.send(last).await.offset(), Some(3));
    let finals = async || guarded.ground.state.catalog.open_finals().await.expect("answers");
    eventually("nobody tries again", || async { finals().await.is_empty() }).await;
    assert!(guarded.ground.probes().await.is_empty());
    let id = whole.header("location").and_then(|path| path.strip_prefix("/uploads/")?.split('?').next());
    let refused = guarded.ground.upload(id.expect("an id").parse().expect("an id")).await;
    assert!(refused.failure.is_some_and(|failure| failure.message.contains("taken back")));
}

#[tokio::test]
async fn a_capability_ends_in_time() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "expires_in_s": 60, "uses": 2 })).await;
    let created = guarded.create(url(&grant), &[("upload-length", "5")]).await;
    let path = created.header("location").expect("is there");
    guarded.clock.advance(Duration::from_secs(60));
    assert_eq!(guarded.ground.send(at(path, 0, b"abcde")).await.code(), "grant_invalid");
    assert_eq!(guarded.create(url(&grant), &[("upload-length", "5")]).await.code(), "grant_invalid");
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_use_it() {
    let guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "origin": "https://a.example" })).await;
    for headers in [&[("upload-length", "5")][..], &[("upload-length", "5"), ("origin", "https://b.example")]] {
        assert_eq!(guarded.create(url(&grant), headers).await.code(), "grant_invalid");
    }
    let created = guarded.create(url(&grant), &[("upload-length", "5"), ("origin", "https://a.example")]).await;
    assert_eq!(created.status, 201);
    let path = created.header("location").expect("is there");
    let mut appended = at(path, 0, b"abcde");
    appended.headers_mut().insert("origin", "https://b.example".parse().expect("a value"));
    assert_eq!(guarded.ground.send(appended).await.status, 403);
}

#[tokio::test]
async fn a_document_that_is_not_understood_gives_nothing() {
    let guarded = Guarded::new().await;
    let (none, unmeant) = ((400, Some("malformed_body")), (422, Some("invalid_body")));
    for (document, expected) in [
        ("", none),
        ("{\"uses\":", none),
        (&format!("{{\"types\":[\"{}\"]}}", "x".repeat(20_000)), (413, Some("body_too_large"))),
        ("[]", unmeant),
        ("{\"max_size\":1}", unmeant),
        ("{\"uses\":1,\"uses\":1000}", unmeant),
        ("{\"uses\":0}", (422, Some("invalid_fields"))),
    ] {
        let (status, problem) = guarded.call("POST", "/api/v1/upload-grants", "the-token-of-ada", document).await;
        assert_eq!((status, problem["code"].as_str()), expected, "{problem}");
        assert_eq!(problem["instance"], "/api/v1/upload-grants");
    }
    assert_eq!(guarded.call("PUT", "/api/v1/upload-grants", "the-token-of-ada", "").await.0, 405);
    for (id, expected) in [("0".repeat(32), 404), ("unknown".into(), 404), ("%FF".into(), 400), ("g".repeat(32), 404)] {
        for method in ["GET", "DELETE"] {
            let path = format!("/api/v1/upload-grants/{id}");
            let (status, problem) = guarded.call(method, &path, "the-token-of-ada", "").await;
            assert_eq!((status, &problem["instance"]), (expected, &path.into()), "{problem}");
        }
    }
}

#[tokio::test]
async fn a_capability_ends_with_the_token_of_who_gave_it() {
    let mut guarded = Guarded::new().await;
    let grant = guarded.grant(&json!({ "uses": 2 })).await;
    let created = guarded.create(url(&grant), &[("upload-length", "5")]).await;
    guarded.ground.state.gate = Arc::new(Tokens::new([("bob".to_owned(), "the-token-of-bob".to_owned())]));
    assert_eq!(guarded.create(url(&grant), &[("upload-length", "5")]).await.code(), "grant_invalid");
    let refused = guarded.ground.send(at(path(&created), 0, b"abcde")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "grant_invalid"));
    let shown = format!("/api/v1/upload-grants/{}", grant["id"].as_str().expect("is there"));
    for method in ["GET", "DELETE"] {
        assert_eq!(guarded.call(method, &shown, "the-token-of-bob", "").await.0, 404, "it is of somebody else");
    }
}

#[tokio::test]
async fn the_list_goes_on_where_a_page_ends_and_nowhere_that_is_made_up() {
    use base64::Engine;
    let guarded = Guarded::new().await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(guarded.grant(&json!({})).await["id"].as_str().expect("is there").to_owned());
    }
    let list = async |query: &str| {
        guarded.call("GET", &format!("/api/v1/upload-grants?limit=2{query}"), "the-token-of-ada", "").await
    };
    let (mut found, mut cursors, mut query) = (Vec::new(), Vec::new(), String::new());
    // Ends because each page begins behind the one before it.
    loop {
        let (status, page) = list(&query).await;
        assert_eq!(status, 200, "{page}");
        found.extend(
            page["data"].as_array().expect("a list").iter().map(|grant| grant["id"].as_str().map(str::to_owned)),
        );
        let Some(next) = page["page"]["next"].as_str() else { break };
        cursors.push(next.to_owned());
        query = format!("&after={next}");
    }
    made.sort_unstable();
    let mut ids: Vec<String> = found.into_iter().flatten().collect();
    ids.sort_unstable();
    assert_eq!((ids, cursors.len()), (made, 2), "each of them once");
    let forged = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("123456781800000000000.0a");
    let longer = format!("{}A", cursors[0]);
    for wrong in [&*forged, "", "x", &cursors[0][1..], &longer] {
        let (status, problem) = list(&format!("&after={wrong}")).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_cursor")), "{wrong}");
    }
}

#[tokio::test]
async fn of_two_that_come_at_once_for_the_last_use_one_is_told_that_it_was_used() {
    let guarded = Guarded::new().await;
    for _ in 0..8 {
        let grant = guarded.grant(&json!({})).await;
        let length = [("upload-length", "5")];
        let (one, other) = tokio::join!(guarded.create(url(&grant), &length), guarded.create(url(&grant), &length));
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 403], "{} {}", one.body, other.body);
    }
    let spent: ingest::UploadError = catalog_store::CatalogError::GrantSpent("0a".into()).into();
    assert_eq!(spent.status_and_code().1, "grant_invalid", "not an error of ours");
}

#[tokio::test]
async fn an_asset_that_is_not_there_is_named_as_what_is_missing() {
    let guarded = Guarded::new().await;
    let named = |field: &str| {
        use base64::Engine;
        let id = base64::engine::general_purpose::STANDARD.encode("ast_00000000000000000000000007");
        format!("{field} {id}")
    };
    for field in ["replaces", "document_of"] {
        let headers =
            [("upload-length", "5"), ("upload-metadata", &*named(field)), ("authorization", "Bearer the-token-of-ada")];
        let refused = guarded.create("/uploads", &headers).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (404, "asset_not_found"), "{}", refused.body);
    }
}
