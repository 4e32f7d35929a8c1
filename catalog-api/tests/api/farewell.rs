//! All that is kept of oneself, to take along; and to be erased.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use domain::AssetState;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::described::check;
use crate::people::{PASSWORD, People, Who, by_token};

const ME: &str = "/api/v1/me";

async fn leave(people: &People, who: &Who, wanted: Value) -> crate::harness::Answer {
    people.send(who, ("DELETE", ME), wanted, &[]).await
}

#[tokio::test]
async fn everything_that_is_kept_is_exported() {
    let people = People::start().await;
    people.somebody(Role::Admin).await;
    let (email, tokens) = people.registered("ada").await;
    let ada = by_token(&tokens);
    people.post(&ada, "/api/v1/me/api-keys", json!({ "name": "ci", "scopes": ["assets:read"] })).await.created();
    let id = people.get(&ada, ME).await.ok()["id"].as_str().unwrap().to_owned();
    let asset = people.asset_of(Some(id.clone())).await;
    let answer = people.get(&ada, &format!("{ME}/export")).await;
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"headwater-export.json\""));
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    let export = answer.ok();
    check(&document, &document["components"]["schemas"]["Export"], &export, "export");
    assert_eq!((&export["account"]["email"], &export["is_complete"]), (&json!(email), &json!(true)));
    assert_eq!(export["assets"][0]["id"], asset.to_string());
    for part in ["uploads", "sessions", "api_keys", "audit_log"] {
        assert!(!export[part].as_array().unwrap().is_empty(), "{part}");
    }
    let actions = export["audit_log"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap());
    assert!(actions.collect::<Vec<_>>().contains(&"user.exported"), "{}", export["audit_log"]);
    // Nothing by which somebody could become them.
    let text = export.to_string();
    assert!(!text.contains("$argon2id$") && !text.contains("hwk_\"") && !text.contains("secret\":"), "{text}");
    people.stop().await;
}

#[tokio::test]
async fn all_that_was_said_of_videos_is_exported() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let asset = people.asset_of(ada.user.map(|id| id.to_string())).await;
    people.document_of(asset).await;
    let path = format!("/api/v1/assets/{asset}");
    let said = json!({
        "title": "A title", "description": "What it is about", "tags": ["one"], "genres": ["drama"],
        "languages": ["fr"], "released_on": "2026-02-03", "external_ids": { "imdb": "tt1" },
        "people": [{ "name": "Grace", "role": "director" }],
    });
    people.send(&ada, ("PATCH", &path), said.clone(), &[("if-match", "*")]).await.ok();
    let put = async |what: &str, document: Value| {
        let answer = people.send(&ada, ("PUT", &format!("{path}/{what}")), document, &[]).await;
        assert!(answer.status.is_success(), "{what}: {}", answer.text);
    };
    put("chapters", json!({ "chapters": [{ "start_seconds": 1.0, "end_seconds": 2.0, "title": "The start" }] })).await;
    let marker = json!({
        "id": "ad", "start_seconds": 3.5, "duration_seconds": null, "class": "sponsor", "attributes": { "X-PRICE": "low" },
    });
    put("markers", json!({ "markers": [marker] })).await;
    put("poster", json!({ "time_s": 4.5 })).await;
    put("access", json!({ "policy": "password", "password": "open sesame now", "pages": ["https://a.example"] })).await;
    put("schedule", json!({ "publish_at": "2030-01-02T03:04:05Z" })).await;
    put("stage", json!({ "stage": "draft", "note": "Not yet" })).await;
    let request = Request::builder().method("POST").uri(format!("{path}/subtitles?language=en&name=Words"));
    let request = request.header("host", "media.example.org").header("cookie", ada.cookie.as_ref().unwrap());
    let request = request.header("origin", "https://media.example.org");
    let file = "1\n00:00:01,000 --> 00:00:02,000\nSpoken\n";
    people.server.ask(request.body(file.into()).unwrap()).await.created();
    let export = people.get(&ada, &format!("{ME}/export")).await.ok();
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"]["Export"], &export, "export");
    let shown = &export["assets"][0];
    for (field, value) in said.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    assert_eq!(shown["chapters"], json!([{ "start_seconds": 1.0, "end_seconds": 2.0, "title": "The start" }]));
    assert_eq!((&shown["chapters_source"], &shown["markers"]), (&json!("added"), &json!([marker])));
    assert_eq!(shown["poster"], json!({ "source": "time", "time_s": 4.5 }));
    assert_eq!(shown["access"], json!({ "policy": "password", "pages": ["https://a.example"] }));
    assert_eq!((&shown["stage"], &shown["stage_note"]), (&json!("draft"), &json!("Not yet")));
    assert!(shown["publish_at"].as_str().unwrap().starts_with("2030-01-02T03:04:05"), "{}", shown["publish_at"]);
    let text = &shown["subtitles"][0];
    assert_eq!((&text["language"], &text["name"]), (&json!("en"), &json!("Words")));
    assert_eq!(text["cues"], json!([{ "start_s": 1.0, "end_s": 2.0, "text": "Spoken", "settings": "" }]));
    assert_eq!((&export["documents"][0]["name"], &export["is_complete"]), (&json!("script.pdf"), &json!(true)));
    assert!(!export.to_string().contains("sesame"), "neither the password nor what is made of it");
    people.stop().await;
}

#[tokio::test]
async fn whoever_leaves_is_gone_and_their_videos_go_to_an_administrator() {
    let people = People::start().await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let (email, tokens) = people.registered("ada").await;
    let ada = by_token(&tokens);
    let id = people.get(&ada, ME).await.ok()["id"].as_str().unwrap().to_owned();
    let asset = people.asset_of(Some(id.clone())).await;
    people.server.clock.advance(Duration::from_secs(11 * 60));
    leave(&people, &ada, json!({ "assets": "transfer" })).await.is_problem(403, "forbidden", ME);
    let wrong = leave(&people, &ada, json!({ "assets": "transfer", "password": "not mine at all" })).await;
    wrong.is_problem(403, "forbidden", ME);
    leave(&people, &ada, json!({ "password": PASSWORD })).await.is_problem(422, "invalid_body", ME);
    let left = leave(&people, &ada, json!({ "assets": "transfer", "password": PASSWORD })).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text);
    assert_eq!(people.get(&ada, ME).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(people.logged_in(&email, PASSWORD).await.code(), "invalid_credentials");
    let owner = people.server.catalog.asset(asset).await.unwrap().unwrap().owner.unwrap();
    assert!(owner.starts_with("usr_") && owner != id, "{owner}");
    assert_eq!(people.server.catalog.audit_verify().await.unwrap().fault, None);
    // The address is free again.
    people.registered("ada").await;
    people.stop().await;
}

#[tokio::test]
async fn whoever_just_logged_in_leaves_without_a_password_and_can_take_their_videos_along() {
    let people = People::start().await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let ada = people.somebody(Role::Uploader).await;
    let mut assets = Vec::new();
    for _ in 0..3 {
        assets.push(people.asset_of(ada.user.map(|id| id.to_string())).await);
    }
    let other = people.asset_of(Some("somebody else".into())).await;
    assert_eq!(leave(&people, &ada, json!({ "assets": "delete" })).await.status, StatusCode::NO_CONTENT);
    for asset in assets {
        assert_eq!(people.server.catalog.asset(asset).await.unwrap().unwrap().state, AssetState::Deleted);
    }
    assert_eq!(people.server.catalog.asset(other).await.unwrap().unwrap().state, AssetState::Uploading);
    people.stop().await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let asset = people.asset_of(admin.user.map(|id| id.to_string())).await;
    leave(&people, &admin, json!({ "assets": "delete" })).await.is_problem(409, "last_admin", ME);
    assert_eq!(people.server.catalog.asset(asset).await.unwrap().unwrap().state, AssetState::Uploading);
    people.stop().await;
}
