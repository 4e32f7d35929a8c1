//! What a document is refused for is told with the places of the members at fault.

use domain::authority::Role;
use serde_json::{Value, json};

use crate::harness::Answer;
use crate::people::{PASSWORD, People, Who};
use crate::roles::{existing, operations};

/// Whatever is there, or what is changed by a merge patch.
const ANY: (&str, &str) = ("if-match", "*");

/// The places that a refusal names.
fn places(answer: &Answer) -> Vec<String> {
    let document: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let errors = document["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        assert!(error["code"].is_string() && error["detail"].is_string(), "{error}");
    }
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

/// Refused for what the document says: by status, code and places.
fn check(answer: &Answer, (status, code): (u16, &str), expected: &[&str], told: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{told}: {}", answer.text);
    assert_eq!(places(answer), expected, "{told}: {}", answer.text);
}

#[tokio::test]
async fn every_operation_that_takes_a_document_names_the_member_that_there_should_not_be() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    let mut count = 0;
    for (name, method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        if operation["requestBody"]["content"]["application/json"].is_null()
            && operation["requestBody"]["content"]["application/merge-patch+json"].is_null()
        {
            continue;
        }
        let path = existing(&people, &admin, admin.user.map(|user| user.to_string()), &path).await;
        let code = match &*name {
            // Of which each member is looked at.
            "changeAsset" => "invalid_fields",
            // Takes names of kinds.
            _ => "invalid_body",
        };
        let answer = people.send(&admin, (&method, &path), json!({ "a/b~c": {} }), &[ANY]).await;
        check(&answer, (422, code), &["/a~1b~0c"], &name);
        count += 1;
    }
    assert!(count > 30, "{count}");
    people.stop().await;
}

#[tokio::test]
async fn what_is_missing_of_another_form_or_given_twice_is_named() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let asset = people.asset_of(None).await;
    let (chapters, markers) = (format!("/api/v1/assets/{asset}/chapters"), format!("/api/v1/assets/{asset}/markers"));
    // Counted as it was sent, not as it is kept.
    let padded = format!("a{}", " ".repeat(500));
    for (method, path, document, expected) in [
        ("POST", "/api/v1/auth/login", json!({ "email": "a" }), "/password"),
        ("POST", "/api/v1/auth/login", json!({ "email": "a", "password": 7 }), "/password"),
        ("POST", "/api/v1/users", json!({ "email": "a@b.example", "role": "king" }), "/role"),
        ("POST", "/api/v1/me/api-keys", json!({ "name": "a", "scopes": ["assets:read", "none"] }), "/scopes"),
        ("POST", "/api/v1/webhooks", json!({ "url": "https://a.example", "topics": ["a", 7] }), "/topics/1"),
        ("POST", "/api/v1/collections", json!({ "kind": "opera", "title": "x" }), "/kind"),
        ("POST", "/api/v1/me/api-keys", json!({ "name": padded, "scopes": ["assets:read"] }), "/name"),
        ("PUT", &chapters, json!({ "chapters": [{ "start_seconds": 0, "title": padded }] }), "/chapters/0/title"),
        ("POST", "/api/v1/me/notifications/read", json!({ "ids": ["x"] }), "/ids/0"),
        ("POST", "/api/v1/upload-grants", json!({ "types": [7] }), "/types/0"),
        ("POST", "/api/v1/imports", json!({ "file_name": "x" }), "/url"),
        ("PUT", &chapters, json!({}), "/chapters"),
        ("PUT", &chapters, json!({ "chapters": [{ "start_seconds": 0 }] }), "/chapters/0/title"),
        (
            "PUT",
            &chapters,
            json!({ "chapters": [{ "start_seconds": 0, "title": "" }, { "start_seconds": "1", "title": "" }] }),
            "/chapters/1/start_seconds",
        ),
        ("PUT", &chapters, json!({ "chapters": [{ "start_seconds": 0, "title": "", "end": 1 }] }), "/chapters/0/end"),
        (
            "PUT",
            &markers,
            json!({ "markers": [{ "id": "a", "start_seconds": 0, "attributes": { "X-A/B": true } }] }),
            "/markers/0/attributes/X-A~1B",
        ),
    ] {
        let answer = people.send(&admin, (method, path), document.clone(), &[]).await;
        check(&answer, (422, "invalid_body"), &[expected], &format!("{path} {document}"));
    }
    for (path, document, expected) in [
        ("/api/v1/collections", json!({ "kind": "playlist", "title": padded }), "/title"),
        ("/api/v1/channels", json!({ "handle": "padded", "name": padded }), "/name"),
    ] {
        let answer = people.post(&admin, path, document).await;
        check(&answer, (422, "invalid_fields"), &[expected], path);
    }
    let twice = r#"{"chapters":[{"start_seconds":0,"title":"a"},{"title":"b","title":"c","start_seconds":1}]}"#;
    let open = crate::harness::Server::start().await;
    let path = format!("/api/v1/assets/{}/chapters", open.received().await.id);
    let told = |text: &str| open.send_as_json("PUT", &path, text.to_owned());
    check(&told(twice).await, (422, "invalid_body"), &["/chapters/1/title"], twice);
    check(&told("{").await, (400, "malformed_body"), &[], "{");
    check(&told("[]").await, (422, "invalid_body"), &[""], "[]");
    people.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_of_an_asset_is_named() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let asset = people.asset_of(None).await;
    let chapter = |start: f64, title: &str| json!({ "start_seconds": start, "title": title });
    let marker = |id: &str, start: f64| json!({ "id": id, "start_seconds": start });
    let long = "x".repeat(501);
    for (path, document, expected) in [
        (
            "chapters",
            json!({ "chapters": [chapter(-1.0, ""), chapter(1.0, ""), chapter(2.0, &long), chapter(1e300, "")] }),
            &["/chapters/0/start_seconds", "/chapters/2/title", "/chapters/3/start_seconds"][..],
        ),
        (
            "chapters",
            json!({ "chapters": [{ "start_seconds": 5, "end_seconds": 5, "title": "x" }] }),
            &["/chapters/0/end_seconds"],
        ),
        (
            "chapters",
            json!({ "chapters": [chapter(9.0, "a"), chapter(1.0, "b"), chapter(9.0, "c"), chapter(1.0001, "d")] }),
            &["/chapters/3/start_seconds", "/chapters/2/start_seconds"],
        ),
        ("chapters", json!({ "chapters": vec![chapter(1.0, ""); 2001] }), &["/chapters"]),
        (
            "markers",
            json!({ "markers": [marker("", 0.0), marker("a", 0.0), marker("b", -1.0)] }),
            &["/markers/0/id", "/markers/2/start_seconds"],
        ),
        ("markers", json!({ "markers": [marker("a", 0.0), marker("b", 1.0), marker("a", 2.0)] }), &["/markers/2/id"]),
        (
            "markers",
            json!({ "markers": [{ "id": "a", "start_seconds": 0, "attributes": { "X-A": -1, "x/b": 1, "X-C": "a\tb" } }] }),
            &["/markers/0/attributes/X-A", "/markers/0/attributes/X-C", "/markers/0/attributes/x~1b"],
        ),
        ("poster", json!({ "time_s": -1 }), &["/time_s"]),
        ("shares/usr_00000000000000000000000007", json!({ "standing": "stranger" }), &["/standing"]),
    ] {
        let path = format!("/api/v1/assets/{asset}/{path}");
        let answer = people.send(&admin, ("PUT", &path), document.clone(), &[]).await;
        check(&answer, (422, "invalid_body"), expected, &path);
    }
    let many = json!({ "chapters": vec![chapter(-1.0, ""); 60] });
    let answer = people.send(&admin, ("PUT", &format!("/api/v1/assets/{asset}/chapters")), many, &[]).await;
    assert_eq!(places(&answer).len(), 50, "all that are told at once");
    people.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_of_people_and_what_is_theirs_is_named() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (asset, other) = (people.asset_of(None).await, people.account(Role::User, None).await);
    let playlist = people.post(&admin, "/api/v1/collections", json!({ "kind": "playlist", "title": "x" })).await;
    let collection = format!("/api/v1/collections/{}", playlist.created()["id"].as_str().unwrap());
    let webhook = people.post(&admin, "/api/v1/webhooks", json!({ "url": "https://a.example" })).await;
    let webhook = format!("/api/v1/webhooks/{}", webhook.created()["id"].as_str().unwrap());
    let (items, shares) = (format!("{collection}/items"), format!("{collection}/shares/{other}"));
    let (secrets, replay) = (format!("{webhook}/secrets"), format!("{webhook}/replay"));
    let (user, long) = (format!("/api/v1/users/{other}"), "x".repeat(2001));
    let (body, account) = ("invalid_body", "a@b.example");
    let hook = |url: &str| json!({ "url": url });
    for (method, path, document, code, expected) in [
        ("POST", "/api/v1/users", json!({ "email": "none" }), body, &["/email"][..]),
        ("POST", "/api/v1/users", json!({ "email": account, "name": long }), body, &["/name"]),
        ("POST", "/api/v1/users", json!({ "email": account, "language": "xx" }), body, &["/language"]),
        ("POST", "/api/v1/users", json!({ "email": account, "password": "x" }), "weak_password", &["/password"]),
        ("POST", "/api/v1/users", json!({ "email": account, "password_hash": "x" }), body, &["/password_hash"]),
        (
            "POST",
            "/api/v1/users",
            json!({ "email": account, "password": PASSWORD, "password_hash": "x" }),
            body,
            &["/password_hash"],
        ),
        ("PATCH", &user, json!({ "quota_bytes": u64::MAX }), body, &["/quota_bytes"]),
        ("PATCH", "/api/v1/me", json!({ "bio": long }), body, &["/bio"]),
        ("POST", "/api/v1/me/api-keys", json!({ "name": " ", "scopes": [] }), body, &["/name", "/scopes"]),
        (
            "POST",
            "/api/v1/me/api-keys",
            json!({ "name": "a", "scopes": ["assets:read"], "expires_in_days": 0 }),
            body,
            &["/expires_in_days"],
        ),
        (
            "PATCH",
            "/api/v1/me/notification-preferences",
            json!({ "asset_ready": "loud", "digest": "app", "no/kind": "off", "asset_failed": "off" }),
            body,
            &["/asset_ready", "/digest", "/no~1kind"],
        ),
        ("POST", "/api/v1/webhooks", hook("ftp://a.example"), body, &["/url"]),
        (
            "POST",
            "/api/v1/webhooks",
            json!({ "url": "https://a.example", "description": long }),
            body,
            &["/description"],
        ),
        (
            "POST",
            "/api/v1/webhooks",
            json!({ "url": "https://a.example", "topics": ["asset.*", "A"] }),
            body,
            &["/topics/1"],
        ),
        (
            "POST",
            "/api/v1/webhooks",
            json!({ "url": "https://a.example", "topics": vec!["a"; 500] }),
            body,
            &["/topics"],
        ),
        ("PATCH", &webhook, hook("https://a:b@c.example"), body, &["/url"]),
        ("POST", &secrets, json!({ "overlap_hours": 1000 }), body, &["/overlap_hours"]),
        ("POST", &replay, json!({ "since": "yesterday" }), body, &["/since"]),
        ("POST", &replay, json!({ "since": "2026-11-29T05:40:00Z", "state": "lost" }), body, &["/state"]),
        ("POST", &items, json!({}), body, &["/asset", "/season"]),
        ("POST", &items, json!({ "asset": asset, "season": "x" }), body, &["/asset", "/season"]),
        ("PUT", &shares, json!({ "standing": "stranger" }), body, &["/standing"]),
        ("POST", "/api/v1/channels", json!({ "handle": "?", "name": "x" }), "invalid_fields", &["/handle"]),
        ("POST", "/api/v1/imports", hook("file:///etc/passwd"), "address_refused", &["/url"]),
        (
            "POST",
            "/api/v1/upload-grants",
            json!({ "uses": 0, "types": ["video/*", "x"] }),
            "invalid_fields",
            &["/uses", "/types/1"],
        ),
    ] {
        let answer = people.send(&admin, (method, path), document.clone(), &[ANY]).await;
        check(&answer, (422, code), expected, &format!("{path} {document}"));
    }
    let answer = people.post(&admin, &items, json!({ "asset": "x" })).await;
    check(&answer, (400, "invalid_id"), &["/asset"], &items);
    let long = json!({ "x".repeat(16_000): 1 });
    for path in ["/api/v1/upload-grants", "/api/v1/collections"] {
        let answer = people.post(&admin, path, long.clone()).await;
        check(&answer, (422, "invalid_body"), &[""], path);
    }
    people.stop().await;
}
