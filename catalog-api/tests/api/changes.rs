//! What every change by `PATCH`, and every deletion, has in common, whatever it is of.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use domain::authority::Role;
use serde_json::{Value, json};

use crate::harness::Answer;
use crate::people::{People, Who};

/// Something that can be changed: where, and a change that it takes.
struct Thing {
    path: String,
    change: Value,
}

/// One of each kind, all of which this administrator may change.
async fn things(people: &People, admin: &Who) -> Vec<Thing> {
    // Somebody who can log in has to be able to decide about accounts.
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let server = &people.server;
    let made = async |path: &str, document: Value| {
        let answer = people.post(admin, path, document).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.header("location").unwrap().to_owned()
    };
    let asset = people.asset_of(admin.user.map(|user| user.to_string())).await;
    let document = people.document_of(asset).await;
    // Apart in time, so that the claims of the harness find what they expect.
    server.clock.advance(Duration::from_millis(1));
    let shown = server.processing().await;
    let texts = format!("/api/v1/assets/{}/subtitles", shown.id);
    let request = Request::builder().method("POST").uri(&texts).header("host", "media.example.org");
    let request =
        request.header("cookie", admin.cookie.as_ref().unwrap()).header("origin", "https://media.example.org");
    let added = server.ask(request.body("1\n00:00:01,000 --> 00:00:02,000\nHello\n".into()).unwrap()).await.created();
    let other = people.account(Role::User, None).await;
    let webhook = made("/api/v1/webhooks", json!({ "url": "https://example.org/hook" })).await;
    let channel = made("/api/v1/channels", json!({ "handle": "news", "name": "News" })).await;
    let list = made("/api/v1/collections", json!({ "kind": "playlist", "title": "List" })).await;
    let thing = |path: String, change: Value| Thing { path, change };
    vec![
        thing("/api/v1/me".into(), json!({ "name": "Ada", "bio": "Counts." })),
        thing(format!("/api/v1/users/{other}"), json!({ "role": "uploader", "state": "active" })),
        thing(webhook, json!({ "url": "https://example.org/other", "is_enabled": false })),
        thing(channel, json!({ "name": "Other news" })),
        thing(list, json!({ "title": "Other list", "visibility": "internal" })),
        thing(
            format!("{texts}/{}", added["id"].as_str().unwrap()),
            json!({ "is_forced": true, "is_default": true, "is_hearing_impaired": true }),
        ),
        thing(format!("/api/v1/assets/{asset}/documents/{document}"), json!({ "name": "other.pdf" })),
        thing(format!("/api/v1/assets/{asset}"), json!({ "title": "Other" })),
    ]
}

#[tokio::test]
async fn a_change_is_made_where_if_match_names_what_is_there() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for Thing { path, change } in things(&people, &admin).await {
        let patch = async |tags: &str, change: &Value| -> Answer {
            people.send(&admin, ("PATCH", &path), change.clone(), &[("if-match", tags)]).await
        };
        let tag = people.get(&admin, &path).await.header("etag").unwrap().to_owned();
        for wrong in ["1", "*, \"1\"", "\"1"] {
            patch(wrong, &change).await.is_problem(400, "invalid_header", &path);
        }
        for other in [format!("W/{tag}"), "\"99\", \"x\"".to_owned()] {
            let refused = patch(&other, &change).await;
            // The version alone: a change is meant for that, whatever else the document tells.
            let version = tag.split_once('-').map(|(version, _)| format!("{version}\""));
            assert_eq!(refused.header("etag"), version.as_deref(), "{path}");
            refused.is_problem(412, "changed", &path);
        }
        let changed = patch(&format!("\"99\", {tag}"), &change).await;
        assert_eq!(changed.status, StatusCode::OK, "{path}: {}", changed.text);
        assert_ne!(changed.header("etag"), Some(&*tag), "{path}");
        let any = patch("*", &change).await;
        assert_eq!(any.status, StatusCode::OK, "{path}: {}", any.text);
    }
    people.stop().await;
}

#[tokio::test]
async fn a_deletion_is_done_where_if_match_names_what_is_there() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let mut things = things(&people, &admin).await;
    // With the account of whoever asks the rest would be gone.
    things.rotate_left(1);
    for Thing { path, .. } in things {
        let farewell = if path == "/api/v1/me" { json!({ "assets": "delete" }) } else { Value::Null };
        let delete = async |path: &str, tags: &str| -> Answer {
            people.send(&admin, ("DELETE", path), farewell.clone(), &[("if-match", tags)]).await
        };
        let shown = people.get(&admin, &path).await;
        let tag = shown.header("etag").unwrap().to_owned();
        let mut places = vec![path.clone()];
        if path.contains("/ast_") && !path.contains("/subtitles/") && !path.contains("/documents/") {
            places.push(format!("{path}?permanently=true"));
        }
        for place in &places {
            delete(place, "*, \"1\"").await.is_problem(400, "invalid_header", &path);
            for other in [format!("W/{tag}"), "\"999\", \"x\"".to_owned()] {
                delete(place, &other).await.is_problem(412, "changed", &path);
            }
        }
        assert_eq!(people.get(&admin, &path).await.header("etag"), Some(&*tag), "{path} is there as it was");
        let gone = delete(&path, &format!("\"999\", {tag}")).await;
        assert_eq!(gone.status, StatusCode::NO_CONTENT, "{path}: {}", gone.text);
        assert_ne!(people.get(&admin, &path).await.status, StatusCode::OK, "{path}");
    }
    people.stop().await;
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for Thing { path, change } in things(&people, &admin).await {
        let get = async |method: &str, tags: &str| -> Answer {
            people.send(&admin, (method, &path), Value::Null, &[("if-none-match", tags)]).await
        };
        let shown = people.get(&admin, &path).await;
        let tag = shown.header("etag").unwrap().to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            for method in ["GET", "HEAD"] {
                let answer = get(method, &known).await;
                assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "{method} {path} {known}");
                assert_eq!((answer.text.as_str(), answer.header("etag")), ("", Some(&*tag)), "{path}");
                assert_eq!(answer.header("cache-control"), shown.header("cache-control"), "{path}");
                assert_eq!(answer.header("content-type"), None, "{path}");
            }
        }
        let version = format!("{}\"", tag.split_once('-').unwrap().0);
        for other in ["\"99\"", "99", "\"1", version.as_str()] {
            assert_eq!(get("GET", other).await.status, StatusCode::OK, "{path} {other}");
            let head = get("HEAD", other).await;
            assert_eq!((head.status, head.header("etag")), (StatusCode::OK, Some(&*tag)), "{path} {other}");
        }
        people.send(&admin, ("PATCH", &path), change, &[("if-match", &tag)]).await.ok();
        assert_eq!(get("GET", &tag).await.status, StatusCode::OK, "{path}: it changed");
        // Who may not see it is not told that it is the same.
        let nobody = people.send(&Who::default(), ("GET", &path), Value::Null, &[("if-none-match", "*")]).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    people.stop().await;
}

#[tokio::test]
async fn a_client_is_never_told_that_it_has_what_has_changed_without_anybody_changing_it() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let asset = people.server.processing().await;
    let path = format!("/api/v1/assets/{}", asset.id);
    let tag = people.get(&admin, &path).await.header("etag").unwrap().to_owned();
    people.server.commit_segment(&asset, "360p", 0).await;
    let again = people.send(&admin, ("GET", &path), Value::Null, &[("if-none-match", &tag)]).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_ne!(again.header("etag"), Some(&*tag));
    // A change is meant for what people said, which is as it was.
    people.send(&admin, ("PATCH", &path), json!({ "title": "A" }), &[("if-match", &tag)]).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn what_changes_nothing_leaves_the_version_and_null_is_taken_where_it_means_something() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for Thing { path, change } in things(&people, &admin).await {
        let patch = async |change: Value| -> Answer {
            people.send(&admin, ("PATCH", &path), change, &[("if-match", "*")]).await
        };
        patch(change.clone()).await.ok();
        let tag = people.get(&admin, &path).await.header("etag").unwrap().to_owned();
        for same in [json!({}), change.clone()] {
            let answer = patch(same.clone()).await;
            assert_eq!((answer.status, answer.header("etag")), (StatusCode::OK, Some(&*tag)), "{path} {same}");
        }
        // All that is said of an asset may be taken back.
        for member in change.as_object().unwrap().keys().filter(|member| *member != "title" || !path.contains("/ast_"))
        {
            let refused = patch(json!({ member: null })).await;
            assert!(refused.text.contains(&format!("\"{member} is not")), "{}", refused.text);
            refused.is_problem(422, "invalid_body", &path);
        }
        assert_eq!(people.get(&admin, &path).await.header("etag"), Some(&*tag), "{path}");
    }
    people.stop().await;
}

/// The members of a request's document that may be left out and are never null.
fn never_null(described: &Value, operation: &str) -> Vec<String> {
    let followed = |schema: &Value| match schema["$ref"].as_str() {
        Some(place) => described.pointer(place.trim_start_matches('#')).unwrap().clone(),
        None => schema.clone(),
    };
    let takes_null = |schema: &Value| {
        let schema = followed(schema);
        let choices = ["anyOf", "oneOf"].iter().filter_map(|kind| schema[kind].as_array()).flatten();
        let kinds = choices.map(|choice| followed(choice)["type"].clone()).chain([schema["type"].clone()]);
        let is_value = schema["enum"].as_array().is_some_and(|values| values.contains(&Value::Null));
        is_value || kinds.into_iter().any(|kind| kind.to_string().contains("\"null\""))
    };
    let operation = described.pointer(operation).unwrap();
    let schema = followed(&operation["requestBody"]["content"]["application/json"]["schema"]);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let optional = schema["properties"].as_object().unwrap().iter();
    let optional = optional.filter(|(name, schema)| !required.contains(&json!(name)) && !takes_null(schema));
    optional.map(|(name, _)| name.clone()).collect()
}

#[tokio::test]
async fn what_may_be_left_out_is_not_null_where_that_is_not_described() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let described = people.get(&admin, "/api/v1/openapi.json").await.ok();
    let things = things(&people, &admin).await;
    let at = |part: &str| things.iter().map(|thing| &thing.path).find(|path| path.contains(part)).unwrap();
    let (webhook, list) = (at("/webhooks/"), at("/collections/"));
    let mut tried = 0;
    for (template, path, document) in [
        (
            "auth/register",
            "/api/v1/auth/register".to_owned(),
            json!({ "email": "a@x.org", "password": "long enough 1" }),
        ),
        ("auth/login", "/api/v1/auth/login".to_owned(), json!({ "email": "a@x.org", "password": "long enough 1" })),
        ("users", "/api/v1/users".to_owned(), json!({ "email": "a@x.org" })),
        ("channels", "/api/v1/channels".to_owned(), json!({ "handle": "other", "name": "Other" })),
        ("collections", "/api/v1/collections".to_owned(), json!({ "kind": "playlist", "title": "Other" })),
        ("collections/{collection}/items", format!("{list}/items"), json!({})),
        ("webhooks", "/api/v1/webhooks".to_owned(), json!({ "url": "https://example.org/third" })),
        ("webhooks/{webhook}/secrets", format!("{webhook}/secrets"), json!({})),
        ("webhooks/{webhook}/replay", format!("{webhook}/replay"), json!({ "since": "2026-01-01T00:00:00Z" })),
    ] {
        let operation = format!("/paths/{}/post", format!("/api/v1/{template}").replace('/', "~1"));
        for member in never_null(&described, &operation) {
            let mut with_null = document.clone();
            with_null[&member] = Value::Null;
            let refused = people.post(&admin, &path, with_null).await;
            assert!(refused.text.contains(&format!("\"{member} is not")), "{path} {member}: {}", refused.text);
            refused.is_problem(422, "invalid_body", &path);
            tried += 1;
        }
    }
    assert!(tried >= 17, "{tried}");
    people.stop().await;
}
