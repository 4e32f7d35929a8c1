use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Request as AxumRequest, State};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use http::{HeaderValue, StatusCode};
use tokio::task::JoinSet;

use super::*;
use crate::doctor::Verdict;
use crate::upload::tests::ground::Ground;
use crate::upload::tests::serve;

const TEMPO: Tempo = Tempo {
    settling: Duration::from_millis(300),
    early_answer: Duration::from_millis(300),
    recording: Duration::from_millis(300),
    speed_bytes: 256 << 10,
};

/// What a proxy does to what passes.
#[derive(Clone, Copy, Debug, Default)]
struct Manners {
    /// It collects whole requests.
    is_buffering: bool,
    /// It takes no longer bodies.
    body_bytes_max: Option<u64>,
    /// It gives up on longer ones when it has seen so much of them.
    counted_bytes_max: Option<usize>,
    /// It says that uploads are here.
    location: Option<&'static str>,
    /// It lets only `GET`, `POST` and `OPTIONS` through.
    is_prim: bool,
    /// It does not let the method in a header through either.
    is_deaf: bool,
    /// It drops these headers of requests.
    drops: &'static [&'static str],
    /// It drops these headers of answers.
    hides: &'static [&'static str],
    /// It has a CORS header of its own.
    is_meddling: bool,
    /// It answers preflights itself, and takes the CORS headers off everything else.
    is_shy: bool,
    /// It turns statuses it does not know into 502.
    is_narrow: bool,
    /// It answers every request itself.
    answers: Option<u16>,
}

#[derive(Clone)]
struct Proxy {
    manners: Manners,
    server: Url,
    client: reqwest::Client,
    /// Requests whose upload was asked for.
    passed: Arc<AtomicU64>,
}

async fn pass(State(proxy): State<Proxy>, request: AxumRequest) -> Response {
    let manners = proxy.manners;
    let (mut head, body) = request.into_parts();
    let announced = head.headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if let Some(status) = manners.answers {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    if manners.body_bytes_max.is_some_and(|most| announced.is_some_and(|bytes| bytes > most)) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    let is_known = ["GET", "POST", "OPTIONS"].contains(&head.method.as_str());
    if manners.is_prim && !is_known || manners.is_deaf && head.headers.contains_key("x-http-method-override") {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    for name in manners.drops.iter().chain(&["host", "trailer", "transfer-encoding"]) {
        head.headers.remove(*name);
    }
    let body = if manners.is_buffering {
        match axum::body::to_bytes(body, 64 << 20).await {
            Ok(body) => reqwest::Body::from(body),
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
    } else {
        reqwest::Body::wrap_stream(counted(body, manners.counted_bytes_max.unwrap_or(usize::MAX)))
    };
    let is_bared = manners.is_shy && head.method != "OPTIONS";
    let target = proxy.server.join(head.uri.path()).expect("joins");
    let request = proxy.client.request(head.method, target).headers(head.headers).body(body);
    let broken = if manners.counted_bytes_max.is_some() { 413 } else { 502 };
    let Ok(answer) = request.send().await else {
        return StatusCode::from_u16(broken).expect("a status").into_response();
    };
    proxy.passed.fetch_add(1, Ordering::Relaxed);
    let mut returned = returned(manners, answer);
    if is_bared {
        returned.headers_mut().remove("access-control-allow-origin");
        returned.headers_mut().remove("access-control-expose-headers");
    }
    returned
}

/// A body that breaks off when it has more octets.
fn counted(body: AxumBody, most: usize) -> impl futures::Stream<Item = std::io::Result<Bytes>> {
    body.into_data_stream().scan(0, move |seen, piece| {
        *seen += piece.as_ref().map_or(0, Bytes::len);
        let is_too_much = *seen > most;
        let piece =
            if is_too_much { Err(std::io::Error::other("too much")) } else { piece.map_err(std::io::Error::other) };
        std::future::ready(Some(piece))
    })
}

fn returned(manners: Manners, answer: reqwest::Response) -> Response {
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    if manners.is_narrow && status.canonical_reason().is_none() {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    headers.remove("transfer-encoding");
    manners.hides.iter().for_each(|name| drop(headers.remove(*name)));
    if let (Some(host), Some(location)) = (manners.location, headers.get("location").cloned()) {
        let location = format!("{host}{}", location.to_str().expect("is text"));
        headers.insert("location", HeaderValue::from_str(&location).expect("a value"));
    }
    if manners.is_meddling {
        headers.append("access-control-allow-origin", HeaderValue::from_static("*"));
    }
    (status, headers, AxumBody::from_stream(answer.bytes_stream())).into_response()
}

/// The report on a server behind a proxy of these manners; checks that no upload is left behind.
async fn report(manners: Manners) -> Vec<Finding> {
    let (ground, mut tasks) = (Ground::new().await, JoinSet::new());
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("builds");
    let proxy = Proxy { manners, server: ground.server.clone(), client, passed: Arc::default() };
    let url = serve(&mut tasks, Router::new().fallback(pass).with_state(proxy)).await;
    let findings = all(&url, None, TEMPO).await.expect("reports");
    let left = ground.state.catalog.open_uploads().await.expect("answers");
    if findings.iter().any(|finding| finding.name == "cleanup" && finding.verdict == Verdict::Ok) {
        assert!(left.is_empty(), "{left:?}\n{findings:#?}");
    }
    let assets = ground.state.catalog.assets(None, 10).await.expect("answers");
    assert!(assets.iter().all(|asset| asset.state == domain::AssetState::Deleted), "nothing becomes of a trial");
    findings
}

/// Checks that exactly these findings are not well, and what they say.
async fn check(manners: Manners, expected: &[(&str, Verdict, &str)]) {
    let findings = report(manners).await;
    // The proxy double itself speaks HTTP/1.1, and drops 104s and trailers as most proxies do.
    let is_given = |name: &str| ["104", "trailer"].contains(&name);
    let found: Vec<(&str, Verdict)> = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Ok && !is_given(finding.name))
        .map(|finding| (finding.name, finding.verdict))
        .collect();
    let wanted: Vec<(&str, Verdict)> = expected.iter().map(|(name, verdict, _)| (*name, *verdict)).collect();
    assert_eq!(found, wanted, "{manners:?}\n{findings:#?}");
    for (name, _, text) in expected {
        let finding = findings.iter().find(|finding| finding.name == *name).expect("is there");
        assert!(finding.text.contains(text), "{text:?} is missing in {finding:#?}");
    }
}

#[tokio::test]
async fn a_server_without_a_proxy_is_well() {
    let ground = Ground::new().await;
    let findings = all(&ground.server, None, TEMPO).await.expect("reports");
    let is_well = |finding: &&Finding| finding.verdict == Verdict::Ok;
    // The server of this test is a plain one that has no say before the answer.
    let amiss: Vec<&Finding> = findings.iter().filter(|finding| !is_well(finding) && finding.name != "104").collect();
    assert!(amiss.is_empty(), "{amiss:#?}");
    let names: Vec<&str> = findings.iter().map(|finding| finding.name).collect();
    let all = ["reach", "cors", "create", "location", "methods", "body size", "streaming", "resume"];
    assert_eq!(names[..8], all);
    assert_eq!(names[8..], ["checksum", "trailer", "104", "http/2", "cleanup"]);
    assert!(ground.state.catalog.open_uploads().await.expect("answers").is_empty());
}

#[tokio::test]
async fn a_proxy_that_does_nothing_wrong_is_not_blamed() {
    check(Manners::default(), &[]).await;
}

#[tokio::test]
async fn what_most_proxies_drop_is_told_as_a_warning() {
    let findings = report(Manners::default()).await;
    for (name, text) in [("104", "do not get through"), ("trailer", "trailers are dropped")] {
        let finding = findings.iter().find(|finding| finding.name == name).expect("is there");
        assert_eq!(finding.verdict, Verdict::Warn, "{finding:#?}");
        assert!(finding.text.contains(text), "{finding:#?}");
    }
}

#[tokio::test]
async fn a_proxy_that_collects_requests_is_found_out() {
    let buffering = Manners { is_buffering: true, ..Manners::default() };
    check(buffering, &[("streaming", Verdict::Fail, "proxy_request_buffering off")]).await;
}

#[tokio::test]
async fn the_largest_body_is_measured() {
    let limited = Manners { body_bytes_max: Some(1 << 20), ..Manners::default() };
    check(limited, &[("body size", Verdict::Fail, "more than about 1.0M are refused (413")]).await;
}

#[tokio::test]
async fn a_limit_that_is_not_announced_is_found_by_sending() {
    let counting = Manners { counted_bytes_max: Some(150_000), ..Manners::default() };
    check(counting, &[("body size", Verdict::Fail, "a request of 256.0K is refused while it is sent (413")]).await;
}

#[tokio::test]
async fn an_upload_that_is_said_to_be_elsewhere_is_found_out() {
    let elsewhere = Manners { location: Some("http://headwater.internal:8080"), ..Manners::default() };
    check(elsewhere, &[("location", Verdict::Fail, "http://headwater.internal:8080/uploads/upl_")]).await;
}

#[tokio::test]
async fn blocked_methods_are_told_with_what_works_instead() {
    let prim = Manners { is_prim: true, ..Manners::default() };
    check(prim, &[("methods", Verdict::Warn, "HEAD (405 Method Not Allowed), PATCH (405")]).await;
}

#[tokio::test]
async fn methods_that_are_blocked_in_both_ways_end_the_trial() {
    let deaf = Manners { is_prim: true, is_deaf: true, ..Manners::default() };
    let findings = report(deaf).await;
    let methods = findings.iter().find(|finding| finding.name == "methods").expect("is there");
    assert_eq!(methods.verdict, Verdict::Fail);
    assert!(methods.text.contains("so is X-HTTP-Method-Override"), "{methods:#?}");
    assert!(!findings.iter().any(|finding| finding.name == "resume"), "nothing else is tried");
    let cleanup = findings.last().expect("is there");
    assert_eq!((cleanup.name, cleanup.verdict), ("cleanup", Verdict::Warn));
}

#[tokio::test]
async fn missing_and_doubled_cors_headers_are_told() {
    let hides = &["access-control-expose-headers", "access-control-allow-origin"];
    let hidden = Manners { hides, ..Manners::default() };
    check(hidden, &[("cors", Verdict::Warn, "access-control-expose-headers lacks location")]).await;
    let meddling = Manners { is_meddling: true, ..Manners::default() };
    check(meddling, &[("cors", Verdict::Warn, "access-control-allow-origin is there twice")]).await;
}

#[tokio::test]
async fn cors_headers_that_only_preflights_have_are_told() {
    let shy = Manners { is_shy: true, ..Manners::default() };
    let text = "access-control-allow-origin is missing in answers to POST, HEAD, PATCH, DELETE; \
                access-control-expose-headers lacks location, upload-offset in answers to POST";
    check(shy, &[("cors", Verdict::Warn, text)]).await;
}

#[tokio::test]
async fn a_dropped_checksum_and_a_changed_status_are_told_apart() {
    let dropping = Manners { drops: &["upload-checksum"], ..Manners::default() };
    check(dropping, &[("checksum", Verdict::Warn, "does not reach the server")]).await;
    let narrow = Manners { is_narrow: true, ..Manners::default() };
    check(narrow, &[("checksum", Verdict::Warn, "status 460 becomes 502")]).await;
}

#[tokio::test]
async fn an_offset_that_does_not_come_back_is_named() {
    let hiding = Manners { hides: &["upload-offset"], ..Manners::default() };
    check(hiding, &[("methods", Verdict::Fail, "without Upload-Offset")]).await;
}

#[tokio::test]
async fn an_address_without_uploads_is_told_as_such() {
    let findings = report(Manners { answers: Some(404), ..Manners::default() }).await;
    let last = findings.last().expect("is there");
    assert_eq!((last.name, last.verdict), ("create", Verdict::Fail));
    assert!(last.text.contains("is the path right?"), "{last:#?}");
    let nobody = Url::parse("http://127.0.0.1:1").expect("is a url");
    let findings = all(&nobody, None, TEMPO).await.expect("reports");
    assert_eq!((findings.len(), findings[0].name, findings[0].verdict), (1, "reach", Verdict::Fail));
    assert!(findings[0].text.contains("cannot connect to 127.0.0.1:1"), "{}", findings[0].text);
}

#[tokio::test]
async fn a_redirection_is_named() {
    let redirect = || async { (StatusCode::MOVED_PERMANENTLY, [("location", "https://media.example.org/uploads")]) };
    let mut tasks = JoinSet::new();
    let url = serve(&mut tasks, Router::new().fallback(redirect)).await;
    let findings = all(&url, None, TEMPO).await.expect("reports");
    assert!(findings[0].text.contains("redirects to https://media.example.org/uploads"), "{}", findings[0].text);
}
