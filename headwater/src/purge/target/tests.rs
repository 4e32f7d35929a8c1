use std::time::Duration;

use domain::{ManualClock, PlaybackId, Timestamp};

use super::*;
use crate::purge::change::Tag;
use crate::purge::double::{Double, Seen, turn};

const SECRET: &str = "a secret of some length";

fn playback() -> PlaybackId {
    PlaybackId::from_u128(7)
}

fn tags() -> Vec<Tag> {
    vec![Tag::asset(playback()), Tag::generation(playback(), 3)]
}

fn purge(manner: Manner) -> Purge {
    Purge { tags: tags(), manner }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::from_unix_ms(1_796_040_309_000))
}

/// A target as the settings make it, `{}` being the address of the double.
fn target(named: &str, url: &str, is_soft: bool) -> Target {
    let set = [
        ("purge_targets", named.replace("{}", url)),
        ("purge_soft", is_soft.to_string()),
        ("purge_secret", SECRET.to_owned()),
        ("purge_fastly_token", "fastly-token".to_owned()),
        ("purge_cloudflare_token", "cloudflare-token".to_owned()),
        ("purge_akamai_credentials", "akab-client:client-secret=:akab-access".to_owned()),
    ];
    let set: Vec<(String, String)> = set.map(|(key, value)| (key.to_owned(), value)).to_vec();
    crate::config::merge(None, &[], &set).unwrap().purge_targets().unwrap().remove(0)
}

/// What a target asks for a purge, of which it takes the answer.
async fn asked(named: &str, is_soft: bool, manner: Manner, answer: &'static str) -> Vec<Seen> {
    let double = Double::new(move |_, _| turn(200, answer)).await;
    target(named, &double.url(), is_soft).tell(&purge(manner), &clock()).await.unwrap();
    double.seen()
}

fn one(seen: Vec<Seen>) -> Seen {
    let [one] = &seen[..] else { panic!("{seen:?}") };
    one.clone()
}

#[tokio::test]
async fn fastly_is_told_of_keys_that_become_stale_or_go() {
    let keys =
        serde_json::json!({ "surrogate_keys": [format!("asset:{}", playback()), format!("gen:{}/g3", playback())] });
    for (is_soft, manner, soft) in
        [(true, Manner::Changed, "1"), (true, Manner::Removed, ""), (false, Manner::Changed, "")]
    {
        let seen = one(asked("fastly:SU1Z0@{}", is_soft, manner, "{\"asset:x\":\"1-2-3\"}").await);
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/service/SU1Z0/purge"));
        assert_eq!((seen.header("fastly-key"), seen.header("fastly-soft-purge")), ("fastly-token", soft));
        assert_eq!((seen.header("content-type"), seen.json()), ("application/json", keys.clone()));
    }
}

#[tokio::test]
async fn cloudflare_is_told_of_tags_and_has_to_say_that_it_succeeded() {
    let seen = one(asked("cloudflare:023e105f@{}", true, Manner::Changed, r#"{"success":true,"errors":[]}"#).await);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/zones/023e105f/purge_cache"));
    assert_eq!(seen.header("authorization"), "Bearer cloudflare-token");
    let tags = serde_json::json!({ "tags": [format!("asset:{}", playback()), format!("gen:{}/g3", playback())] });
    assert_eq!(seen.json(), tags);
    let double = Double::new(|_, _| turn(200, r#"{"success":false,"errors":[{"code":1134}]}"#)).await;
    let told = target("cloudflare:a@{}", &double.url(), true).tell(&purge(Manner::Changed), &clock()).await;
    assert!(told.unwrap_err().to_string().contains("1134"));
}

#[tokio::test]
async fn akamai_is_told_of_tags_without_colons_in_signed_requests() {
    for (is_soft, manner, way) in
        [(true, Manner::Changed, "invalidate"), (true, Manner::Removed, "delete"), (false, Manner::Changed, "delete")]
    {
        let seen = one(asked("akamai:akab-host.example@{}", is_soft, manner, r#"{"httpStatus":201}"#).await);
        assert_eq!((seen.method.as_str(), seen.target), ("POST", format!("/ccu/v3/{way}/tag/production")));
        let objects = [format!("asset-{}", playback()), format!("gen-{}.g3", playback())];
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&seen.body).unwrap()["objects"],
            serde_json::json!(objects)
        );
        let signed = seen.headers["authorization"].to_str().unwrap();
        let begin =
            "EG1-HMAC-SHA256 client_token=akab-client;access_token=akab-access;timestamp=20261130T12:05:09+0000;nonce=";
        assert!(signed.starts_with(begin) && signed.contains(";signature="), "{signed}");
    }
    let usual = target("akamai:akab-host.example", "", true);
    let asks = usual.asks(&purge(Manner::Changed), &clock()).unwrap();
    assert_eq!(asks[0].url.as_str(), "https://akab-host.example/ccu/v3/invalidate/tag/production");
}

#[tokio::test]
async fn the_apis_are_where_their_documentation_says() {
    for (named, url) in [
        ("fastly:SU1Z0", "https://api.fastly.com/service/SU1Z0/purge"),
        ("cloudflare:023e", "https://api.cloudflare.com/client/v4/zones/023e/purge_cache"),
        ("edge:https://edge.example", "https://edge.example/edge/purge"),
        ("http:BAN:http://varnish:6081/", "http://varnish:6081/"),
    ] {
        let asks = target(named, "", true).asks(&purge(Manner::Changed), &clock()).unwrap();
        assert_eq!((asks.len(), asks[0].url.as_str()), (1, url), "{named}");
    }
}

#[tokio::test]
async fn an_edge_is_told_with_the_secret() {
    let seen = one(asked("edge:{}/", true, Manner::Changed, "{}").await);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/edge/purge"));
    assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
    assert_eq!(seen.json()["tags"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_hook_is_told_in_headers_and_with_post_in_a_document() {
    let list = format!("asset:{} gen:{}/g3", playback(), playback());
    let seen = one(asked("http:PURGE:{}/any", true, Manner::Changed, "").await);
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.body.as_str()), ("PURGE", "/any", ""));
    assert_eq!([seen.header("surrogate-key"), seen.header("xkey-softpurge")], [&list, &list]);
    let seen = one(asked("http:POST:{}/hook", true, Manner::Removed, "").await);
    assert_eq!((seen.header("xkey-purge"), seen.header("xkey-softpurge")), (list.as_str(), ""));
    let prefixes = [format!("/v/{}/", playback()), format!("/v/{}/g3/", playback())];
    let tags: Vec<&str> = list.split(' ').collect();
    let document = serde_json::json!({ "tags": tags, "prefixes": prefixes, "soft": false, "removed": true });
    assert_eq!(seen.json(), document);
}

#[tokio::test]
async fn a_hook_with_a_path_in_it_is_told_of_one_beginning_after_the_other() {
    let seen = asked("http:PURGE:{}{path}", true, Manner::Changed, "").await;
    let targets: Vec<&str> = seen.iter().map(|seen| seen.target.as_str()).collect();
    assert_eq!(targets, [format!("/v/{}/*", playback()), format!("/v/{}/g3/*", playback())]);
}

#[tokio::test]
async fn what_is_not_taken_is_told_with_its_reason_and_for_how_long() {
    for (status, header, retry_after) in [
        (429, Some("7"), Some(7)),
        (503, Some("99999"), Some(3600)),
        (429, Some("Sun, 06 Nov 1994 08:49:37 GMT"), None),
        (500, Some("7"), None),
        (401, None, None),
        (302, None, None),
    ] {
        let double = Double::new(move |_, _| {
            let answer = turn(status, "{\"msg\":\n \"no\"}");
            header.map_or(answer.clone(), |value| answer.header("retry-after", value))
        })
        .await;
        let told = target("fastly:a@{}", &double.url(), true).tell(&purge(Manner::Changed), &clock()).await;
        let trouble = told.unwrap_err();
        assert_eq!(trouble.retry_after, retry_after.map(Duration::from_secs), "{status}");
        assert!(trouble.to_string().starts_with(&status.to_string()), "{trouble}");
        assert!(trouble.to_string().ends_with("{\"msg\": \"no\"}"), "{trouble}");
    }
}

#[tokio::test]
async fn a_target_that_does_not_answer_is_left_in_time() {
    let double = Double::new(|_, _| turn(200, "").after(Duration::from_secs(600))).await;
    let mut target = target("http:POST:{}/hook", &double.url(), true);
    assert_eq!(target.patience, ANSWER_TIMEOUT);
    target.patience = Duration::from_millis(100);
    let trouble = target.tell(&purge(Manner::Changed), &clock()).await.unwrap_err();
    assert!(trouble.to_string().contains("timed out"), "{trouble}");
    assert_eq!((double.seen().len(), trouble.retry_after), (1, None));
}

#[tokio::test]
async fn nobody_there_is_a_trouble_that_tells_no_address() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = target("http:PURGE:http://{}/hushhush", &closed.to_string(), true);
    let trouble = target.tell(&purge(Manner::Changed), &clock()).await.unwrap_err().to_string();
    assert!(trouble.contains("onnect") && !trouble.contains("hushhush"), "{trouble}");
}
