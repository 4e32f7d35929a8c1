//! Webhooks as their owners keep them; that they are sent is tested where they are.

use axum::http::StatusCode;
use catalog_store::{Attempt, Audience, Outcome, TOPICS};
use domain::Clock;
use domain::authority::{Role, Scope};
use serde_json::{Value, json};
use std::time::Duration;

use crate::described::check;
use crate::people::{People, Who};

const PATH: &str = "/api/v1/webhooks";

async fn described(people: &People, schema: &str, value: &Value) {
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

async fn made(people: &People, who: &Who) -> (String, Value) {
    let wanted = json!({ "url": "https://example.org/hook", "topics": ["asset.*", "webhook.#"] });
    let answer = people.post(who, PATH, wanted).await;
    let location = answer.header("location").unwrap_or_default().to_owned();
    assert_eq!(answer.version(), Some(1), "{}", answer.text);
    (location, answer.created())
}

/// `asset.progress` is for those who look on.
#[test]
fn every_topic_that_is_sent_is_in_the_table_of_the_documentation() {
    let page = include_str!("../../../docs/webhooks.md");
    for line in page.lines().filter(|line| line.starts_with("| `asset.") || line.starts_with("| `account.")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" |").map(str::trim).collect();
        for name in cells[0].trim_start_matches("| ").split(", ").map(|name| name.trim().trim_matches('`')) {
            let expected = match Audience::of(name) {
                Audience::Viewers => "all",
                Audience::Editors => "editors",
                Audience::One => "one",
            };
            assert_eq!(cells[2], expected, "{name}");
        }
    }
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
    let told: Vec<&str> = rows.flat_map(|(names, _)| names.split(", ")).map(|name| name.trim_matches('`')).collect();
    let untold: Vec<_> =
        TOPICS.iter().filter(|(topic, _)| *topic != "asset.progress" && !told.contains(topic)).collect();
    assert!(untold.is_empty(), "docs/webhooks.md does not tell of {untold:?}");
    let unknown: Vec<_> =
        told.iter().filter(|name| name.contains('.') && !TOPICS.iter().any(|(topic, _)| topic == *name)).collect();
    assert!(unknown.is_empty(), "docs/webhooks.md tells of {unknown:?}");
}

#[tokio::test]
async fn a_webhook_is_made_shown_changed_and_removed_and_its_secret_is_told_once() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let (path, made) = made(&people, &ada).await;
    described(&people, "Webhook", &made).await;
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert!(made["public_key"].as_str().unwrap().starts_with("whpk_"));
    let list = people.get(&ada, PATH).await;
    assert!(!list.text.contains(secret));
    described(&people, "WebhookList", &list.ok()).await;
    let shown = people.get(&ada, &path).await;
    assert_eq!((shown.version(), shown.text.contains(secret)), (Some(1), false));
    let change = json!({ "description": "Ours", "topics": null, "is_enabled": false });
    let patch = async |tag: &str| people.send(&ada, ("PATCH", &path), change.clone(), &[("if-match", tag)]).await;
    let changed = patch("\"1\"").await.ok();
    described(&people, "ListedWebhook", &changed).await;
    assert_eq!((&changed["description"], &changed["topics"]), (&json!("Ours"), &json!([])));
    assert_eq!((&changed["is_enabled"], &changed["disabled_reason"]), (&json!(false), &json!("by its owner")));
    patch("\"1\"").await.is_problem(412, "changed", &path);
    people.send(&ada, ("PATCH", &path), change.clone(), &[]).await.is_problem(428, "precondition_required", &path);
    let rotated = people.post(&ada, &format!("{path}/secrets"), json!({ "overlap_hours": 2 })).await.created();
    described(&people, "Webhook", &rotated).await;
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["previous_secret_until"], "2027-01-15T10:00:00.000Z");
    let long = people.post(&ada, &format!("{path}/secrets"), json!({ "overlap_hours": 169 })).await;
    long.is_problem(422, "invalid_body", &format!("{path}/secrets"));
    assert_eq!(people.send(&ada, ("DELETE", &path), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    people.get(&ada, &path).await.is_problem(404, "not_found", &path);
    people.stop().await;
}

#[tokio::test]
async fn a_webhook_of_somebody_else_is_not_there() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Admin).await);
    let (path, _) = made(&people, &ada).await;
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/test")),
        ("GET", format!("{path}/deliveries")),
    ] {
        people.send(&bob, (method, &path), Value::Null, &[]).await.is_problem(404, "not_found", &path);
    }
    assert_eq!(people.get(&bob, PATH).await.ok()["data"], json!([]));
    // A key needs the scope for it.
    let (_, key) = people.key_of(ada.user.unwrap(), &[Scope::AssetsRead]).await;
    people.get(&key, &path).await.is_problem(403, "forbidden", &path);
    let (_, key) = people.key_of(ada.user.unwrap(), &[Scope::WebhooksAdmin]).await;
    people.get(&key, &path).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn addresses_and_topics_that_cannot_be_are_refused() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    for url in [
        "",
        "example.org",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://a:b@example.org/",
        "https://example.org:8443/",
        "http://example.org:22/",
        "https://example.org/#x",
        "https://",
        &format!("https://example.org/{}", "x".repeat(2000)),
    ] {
        people.post(&ada, PATH, json!({ "url": url })).await.is_problem(422, "invalid_body", PATH);
    }
    for wrong in [
        json!({ "url": "https://example.org/", "topics": ["asset."] }),
        json!({ "url": "https://example.org/", "topics": vec!["a"; 17] }),
        json!({ "url": "https://example.org/", "description": "x".repeat(201) }),
        json!({ "url": "https://example.org/", "secret": "whsec_mine" }),
        json!({ "topics": [] }),
    ] {
        people.post(&ada, PATH, wrong).await.is_problem(422, "invalid_body", PATH);
    }
    for _ in 0..16 {
        made(&people, &ada).await;
    }
    let more = people.post(&ada, PATH, json!({ "url": "https://example.org/" })).await;
    more.is_problem(409, "too_many_webhooks", PATH);
    people.stop().await;
}

#[tokio::test]
async fn what_was_sent_is_shown_and_can_be_sent_again() {
    let people = People::start().await;
    let (ada, catalog) = (people.somebody(Role::Uploader).await, people.server.catalog.clone());
    let (path, _) = made(&people, &ada).await;
    let test = format!("{path}/test");
    let sent = people.send(&ada, ("POST", &test), Value::Null, &[]).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED);
    let sent: Value = serde_json::from_str(&sent.text).unwrap();
    described(&people, "Delivery", &sent).await;
    assert_eq!((&sent["topic"], &sent["payload"]["type"]), (&json!("webhook.test"), &json!("webhook.test")));
    let now = people.server.clock.now();
    let leased = catalog.claim_delivery("a", Duration::from_secs(60), now).await.unwrap().unwrap();
    let attempt = Attempt { at: now, status: Some(500), error: Some("500".into()), elapsed_ms: 3 };
    catalog.settle_delivery(&leased, attempt, Outcome::Failed { disable: None }, now).await.unwrap();
    people.server.clock.advance(Duration::from_secs(1));
    people.send(&ada, ("POST", &test), Value::Null, &[]).await;
    let deliveries = format!("{path}/deliveries");
    let page = people.get(&ada, &format!("{deliveries}?limit=1")).await;
    assert!(page.header("link").unwrap().contains("limit=1&after="));
    let page = page.ok();
    described(&people, "DeliveryPage", &page).await;
    assert_eq!((&page["data"][0]["state"], &page["page"]["has_more"]), (&json!("pending"), &json!(true)));
    let rest = people.get(&ada, &format!("{deliveries}?after={}", page["page"]["next"].as_str().unwrap())).await.ok();
    assert_eq!(rest["data"][0]["id"], sent["id"]);
    let failed = people.get(&ada, &format!("{deliveries}?state=failed")).await.ok();
    assert_eq!(
        failed["data"][0]["log"][0],
        json!({ "at": now.rfc3339(), "status": 500, "error": "500", "elapsed_ms": 3 })
    );
    let one = format!("{deliveries}/{}", sent["id"].as_str().unwrap());
    assert_eq!(people.get(&ada, &one).await.ok()["state"], "failed");
    let replay = people.send(&ada, ("POST", &format!("{one}/replay")), Value::Null, &[]).await;
    assert_eq!(replay.status, StatusCode::ACCEPTED);
    assert_eq!(people.get(&ada, &one).await.ok()["state"], "pending");
    let many = format!("{path}/replay");
    let replayed = people.post(&ada, &many, json!({ "since": "2027-01-15T00:00:00Z", "state": "failed" })).await;
    assert_eq!((replayed.status, &*replayed.text), (StatusCode::ACCEPTED, r#"{"count":0}"#));
    for wrong in [json!({}), json!({ "since": "yesterday" }), json!({ "since": now.rfc3339(), "state": "pending" })] {
        people.post(&ada, &many, wrong).await.is_problem(422, "invalid_body", &many);
    }
    for query in ["limit=0", "state=x"] {
        people.get(&ada, &format!("{deliveries}?{query}")).await.is_problem(400, "invalid_query", &deliveries);
    }
    people.get(&ada, &format!("{deliveries}?after=x")).await.is_problem(422, "invalid_cursor", &deliveries);
    people.stop().await;
}
