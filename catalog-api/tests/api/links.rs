//! Upload links: good as long as whoever made them could make them, shown to them alone, and logged.

use axum::http::StatusCode;
use catalog_store::{Terms, UserState};
use domain::authority::{Role, Scope, Standing};
use domain::{Clock, UserId};
use serde_json::{Value, json};

use crate::harness::Answer;
use crate::people::{People, TOKEN, Who};

const GRANTS: &str = "/api/v1/upload-grants";
const TUS: [(&str, &str); 2] = [("tus-resumable", "1.0.0"), ("upload-length", "5")];

/// A link with an upload that is begun by it: where uploads are created, and where this one is.
async fn begun(people: &People, maker: &Who) -> (String, String) {
    let url = people.post(maker, GRANTS, json!({ "uses": 5 })).await.created()["url"].as_str().unwrap().to_owned();
    let created = create(people, &url).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let upload = created.header("location").unwrap().to_owned();
    (url, upload)
}

async fn create(people: &People, url: &str) -> Answer {
    people.send(&Who::default(), ("POST", url), Value::Null, &TUS).await
}

async fn head(people: &People, upload: &str) -> StatusCode {
    people.send(&Who::default(), ("HEAD", upload), Value::Null, &TUS[..1]).await.status
}

/// Nobody creates another upload by it, or gets anywhere with the one that there is.
async fn is_over(people: &People, (url, upload): &(String, String)) {
    assert_eq!(create(people, url).await.code(), "grant_invalid");
    assert_eq!(head(people, upload).await, StatusCode::FORBIDDEN);
    let headers = [TUS[0], ("upload-offset", "0"), ("content-type", "application/offset+octet-stream")];
    let piece = people.send(&Who::default(), ("PATCH", upload), Value::Null, &headers).await;
    assert_eq!((piece.status, piece.code().as_str()), (StatusCode::FORBIDDEN, "grant_invalid"));
}

async fn set_terms(people: &People, user: UserId, role: Role, state: UserState) {
    let catalog = &people.server.catalog;
    let version = catalog.user(user).await.unwrap().unwrap().version;
    let terms = Terms { role, state, quota_bytes: None };
    catalog.set_terms(user, version, &terms, "test", people.server.clock.now()).await.unwrap();
}

#[tokio::test]
async fn a_link_ends_when_its_maker_is_suspended_or_demoted() {
    let people = People::start().await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let ada = people.somebody(Role::Uploader).await;
    let user = ada.user.unwrap();
    let link = begun(&people, &ada).await;
    assert_eq!(head(&people, &link.1).await, StatusCode::OK);
    for (role, state) in [(Role::Uploader, UserState::Suspended), (Role::User, UserState::Active)] {
        set_terms(&people, user, role, state).await;
        is_over(&people, &link).await;
    }
    // It was not taken back: whoever may again has it again.
    set_terms(&people, user, Role::Uploader, UserState::Active).await;
    assert_eq!(head(&people, &link.1).await, StatusCode::OK);
    assert_eq!(create(&people, &link.0).await.status, StatusCode::CREATED);
    people.stop().await;
}

#[tokio::test]
async fn a_link_ends_with_the_key_that_made_it() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let (key, by_key) = people.key_of(ada.user.unwrap(), &[Scope::UploadsCreate]).await;
    let (by_hand, by_token) = (begun(&people, &ada).await, Who { bearer: Some(TOKEN.into()), ..Who::default() });
    let (by_token, link) = (begun(&people, &by_token).await, begun(&people, &by_key).await);
    let shown = people.get(&ada, GRANTS).await.ok();
    let keys: Vec<&Value> = shown["data"].as_array().unwrap().iter().map(|grant| &grant["key"]).collect();
    assert!(keys.len() == 2 && keys.contains(&&json!(key)) && keys.contains(&&Value::Null), "{shown}");
    let revoked = people.send(&ada, ("DELETE", &format!("/api/v1/me/api-keys/{key}")), Value::Null, &[]).await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    is_over(&people, &link).await;
    for other in [by_hand, by_token] {
        assert_eq!(head(&people, &other.1).await, StatusCode::OK, "the others stay");
        assert_eq!(create(&people, &other.0).await.status, StatusCode::CREATED);
    }
    people.stop().await;
}

#[tokio::test]
async fn a_place_for_a_document_ends_with_the_share_by_which_it_was_handed_out() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::User).await);
    let asset = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let (catalog, clock, user) = (&people.server.catalog, &people.server.clock, bob.user.unwrap());
    catalog.share_asset(asset, (user, Standing::Editor), "test", clock.now()).await.unwrap();
    let place = people.post(&bob, &format!("/api/v1/assets/{asset}/documents"), json!({})).await;
    assert_eq!(place.status, StatusCode::CREATED, "{}", place.text);
    let location = place.header("location").unwrap().to_owned();
    let url = place.created()["url"].as_str().unwrap().to_owned();
    let shown = people.get(&bob, &location).await.ok();
    assert_eq!((&shown["asset"], &shown["is_document"]), (&json!(asset), &json!(true)));
    catalog.unshare_asset(asset, user, "test", clock.now()).await.unwrap();
    assert_eq!(create(&people, &url).await.code(), "grant_invalid");
    catalog.share_asset(asset, (user, Standing::Editor), "test", clock.now()).await.unwrap();
    let created = create(&people, &url).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    people.stop().await;
}

#[tokio::test]
async fn links_are_listed_page_by_page_and_shown_to_whoever_made_them_alone() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Uploader).await);
    let mut made = Vec::new();
    for bytes in 11..=13 {
        let answer = people.post(&ada, GRANTS, json!({ "max_bytes": bytes })).await;
        let location = answer.header("location").unwrap().to_owned();
        made.push((location, answer.created()));
        people.server.clock.advance(std::time::Duration::from_millis(1));
    }
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    let described = |name: &str, shown: &Value| {
        crate::described::check(&document, &document["components"]["schemas"][name], shown, name);
    };
    let (mut seen, mut next) = (Vec::new(), Some(format!("{GRANTS}?limit=2")));
    while let Some(path) = next {
        let answer = people.get(&ada, &path).await;
        let link = answer.header("link").filter(|link| link.contains("rel=\"next\""));
        let link = link.map(|link| link[1..].split('>').next().unwrap().to_owned());
        for grant in &made {
            assert!(!answer.text.contains(grant.1["token"].as_str().unwrap()), "the secret is told once");
        }
        let page = answer.ok();
        described("UploadGrantPage", &page);
        assert_eq!(page["page"]["has_more"], link.is_some());
        seen.extend(page["data"].as_array().unwrap().iter().map(|grant| grant["max_bytes"].as_u64().unwrap()));
        next = link;
    }
    assert_eq!(seen, [13, 12, 11], "the newest first");
    let (location, grant) = &made[0];
    let shown = people.get(&ada, location).await.ok();
    described("ListedUploadGrant", &shown);
    assert_eq!((&shown["id"], &shown["state"], &shown["uses_left"]), (&grant["id"], &json!("open"), &json!(1)));
    let both = people.get(&ada, &format!("{GRANTS}?after=x&before=x")).await;
    both.is_problem(422, "invalid_parameter", GRANTS);
    for wrong in ["limit=0", "limit=101", "limit=x"] {
        people.get(&ada, &format!("{GRANTS}?{wrong}")).await.is_problem(400, "invalid_query", GRANTS);
    }
    for side in ["after", "before"] {
        people.get(&ada, &format!("{GRANTS}?{side}=x")).await.is_problem(422, "invalid_cursor", GRANTS);
    }
    // To anybody else it is not there.
    for other in [&bob, &people.somebody(Role::Admin).await] {
        assert_eq!(people.get(other, GRANTS).await.ok()["data"], json!([]));
        for method in ["GET", "DELETE"] {
            people.send(other, (method, location), Value::Null, &[]).await.is_problem(404, "not_found", location);
        }
    }
    assert_eq!(create(&people, grant["url"].as_str().unwrap()).await.status, StatusCode::CREATED);
    assert_eq!(people.get(&ada, location).await.ok()["state"], "used");
    let export = people.get(&ada, "/api/v1/me/export").await.ok();
    described("Export", &export);
    assert_eq!(export["upload_grants"][2], people.get(&ada, location).await.ok(), "the same goes along");
    assert_eq!(people.send(&ada, ("DELETE", location), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(people.get(&ada, location).await.ok()["state"], "revoked");
    people.stop().await;
}

#[tokio::test]
async fn what_is_done_with_links_is_logged() {
    let people = People::start().await;
    let (ada, admin) = (people.somebody(Role::Uploader).await, people.somebody(Role::Admin).await);
    let grant = people.post(&ada, GRANTS, json!({})).await.created();
    let id = grant["id"].as_str().unwrap();
    for _ in 0..2 {
        let revoked = people.send(&ada, ("DELETE", &format!("{GRANTS}/{id}")), Value::Null, &[]).await;
        assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    }
    let log = people.get(&admin, &format!("/api/v1/audit-log?target={id}")).await.ok();
    let rows: Vec<_> = log["data"].as_array().unwrap().iter().map(|row| (&row["action"], &row["actor"])).collect();
    let actor = json!(ada.user.unwrap());
    let (created, revoked) = (json!("upload_grant.created"), json!("upload_grant.revoked"));
    assert_eq!(rows, [(&revoked, &actor), (&created, &actor)], "what was done before is no row: {log}");
    assert!(!log.to_string().contains(grant["token"].as_str().unwrap()));
    people.stop().await;
}

#[tokio::test]
async fn numbers_that_cannot_be_meant_are_named() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let answer = people.post(&ada, GRANTS, json!({ "max_bytes": -1, "uses": 1.5, "types": ["a/b", "x"] })).await;
    answer.is_problem(422, "invalid_fields", GRANTS);
    let told: Value = serde_json::from_str(&answer.text).unwrap();
    let pointers: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/uses", "/max_bytes", "/types/1"], "{told}");
    let asset = people.asset_of(ada.user.map(|user| user.to_string())).await;
    for path in ["documents", "versions"].map(|list| format!("/api/v1/assets/{asset}/{list}")) {
        for wrong in [json!({ "max_bytes": -1 }), json!({ "expires_in_s": 0 })] {
            people.post(&ada, &path, wrong).await.is_problem(422, "invalid_fields", &path);
        }
    }
    people.stop().await;
}
