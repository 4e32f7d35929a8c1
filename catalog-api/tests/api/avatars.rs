//! Pictures of people: set, shown, removed, by themselves and by moderators.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog_store::{AuditEntry, CatalogError};
use domain::Clock;
use domain::authority::Role;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, Rgb, RgbImage};
use media_store::layout;
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::{Answer, Server};
use crate::people::{People, Who};

const MINE: &str = "/api/v1/me/avatar";

/// A JPEG of one colour.
fn picture(colour: [u8; 3]) -> Vec<u8> {
    let image = RgbImage::from_pixel(700, 600, Rgb(colour));
    let mut body = Vec::new();
    JpegEncoder::new(&mut body).encode(image.as_raw(), 700, 600, ExtendedColorType::Rgb8).unwrap();
    body
}

async fn put(people: &People, who: &Who, body: Vec<u8>) -> Answer {
    let request = Request::builder().method("PUT").uri(MINE).header("cookie", who.cookie.as_deref().unwrap());
    let request = request.header("host", "media.example.org").header("origin", "https://media.example.org");
    people.server.ask(request.body(Body::from(body)).unwrap()).await
}

async fn delete(people: &People, who: &Who, path: &str) -> Answer {
    people.send(who, ("DELETE", path), Value::Null, &[]).await
}

async fn log(people: &People) -> Result<Vec<AuditEntry>, CatalogError> {
    people.server.catalog.audit_log(None, 10).await
}

#[tokio::test]
async fn a_picture_is_shown_to_everybody_with_an_account_until_it_is_removed() {
    let people = People::start().await;
    let (ada, guest) = (people.somebody(Role::User).await, people.somebody(Role::Guest).await);
    let id = ada.user.unwrap();
    assert_eq!(people.get(&ada, "/api/v1/me").await.ok()["avatar"], Value::Null);
    let theirs = format!("/api/v1/users/{id}/avatar");
    people.get(&guest, &theirs).await.is_problem(404, "not_found", &theirs);

    let me = put(&people, &ada, picture([200, 0, 0])).await.ok();
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"]["Person"], &me, "me");
    let address = me["avatar"].as_str().unwrap().to_owned();
    assert!(address.starts_with(&theirs), "{address}");
    let shown = people.get(&guest, &address).await;
    assert_eq!((shown.status, shown.header("content-type")), (StatusCode::OK, Some("image/jpeg")));
    assert_eq!(shown.header("cache-control"), Some("private, no-cache"));
    assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(shown.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    let seen = image::load_from_memory(&shown.body).unwrap();
    assert_eq!((seen.width(), seen.height()), (512, 512));
    let tag = shown.header("etag").unwrap().to_owned();
    let again = people.send(&guest, ("GET", &address), Value::Null, &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, Some(&*tag)));
    assert_eq!(people.get(&Who::default(), &address).await.status, StatusCode::UNAUTHORIZED);

    // Another one has another address and tag, and the first is in the store no longer.
    let first = people.server.catalog.avatar(id).await.unwrap().unwrap();
    let other = put(&people, &ada, picture([0, 0, 200])).await.ok()["avatar"].as_str().unwrap().to_owned();
    assert_ne!(other, address);
    let changed = people.send(&guest, ("GET", &other), Value::Null, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(people.server.store.head(&layout::avatar(id, first)).await.unwrap(), None);

    let second = people.server.catalog.avatar(id).await.unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(delete(&people, &ada, MINE).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(people.get(&guest, &other).await.status, StatusCode::NOT_FOUND);
    assert_eq!(people.server.store.head(&layout::avatar(id, second)).await.unwrap(), None);
    let log = log(&people).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.action == "user.avatar_removed").count(), 1);
    people.stop().await;
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_the_one_before_stays() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let kept = put(&people, &ada, picture([9, 9, 9])).await.ok()["avatar"].clone();
    let whole = picture([1, 2, 3]);
    put(&people, &ada, b"<svg onload=alert(1)>".to_vec()).await.is_problem(415, "picture_unknown", MINE);
    put(&people, &ada, whole[..whole.len() / 2].to_vec()).await.is_problem(422, "picture_damaged", MINE);
    put(&people, &ada, vec![0xff; (4 << 20) + 1]).await.is_problem(413, "body_too_large", MINE);
    assert_eq!(people.get(&ada, "/api/v1/me").await.ok()["avatar"], kept);
    people.stop().await;
}

#[tokio::test]
async fn a_moderator_removes_the_picture_of_somebody_and_is_named_for_it() {
    let people = People::start().await;
    let (ada, other) = (people.somebody(Role::User).await, people.somebody(Role::Uploader).await);
    let moderator = people.somebody(Role::Moderator).await;
    put(&people, &ada, picture([1, 1, 1])).await.ok();
    let asset = people.asset_of(ada.user.map(|id| id.to_string())).await;
    let path = format!("/api/v1/assets/{asset}");
    let avatar = people.get(&ada, "/api/v1/me").await.ok()["avatar"].clone();
    assert_eq!(people.get(&moderator, &path).await.ok()["owner_avatar"], avatar);

    let theirs = format!("/api/v1/users/{}/avatar", ada.user.unwrap());
    delete(&people, &other, &theirs).await.is_problem(403, "forbidden", &theirs);
    assert_eq!(delete(&people, &moderator, &theirs).await.status, StatusCode::NO_CONTENT);
    assert_eq!(people.get(&ada, "/api/v1/me").await.ok()["avatar"], Value::Null);
    assert_eq!(people.get(&moderator, &path).await.ok()["owner_avatar"], Value::Null);
    let entry = &log(&people).await.unwrap()[0];
    assert_eq!((&*entry.action, entry.subject.clone()), ("user.avatar_removed", ada.user.map(|id| id.to_string())));
    assert_eq!(entry.actor, moderator.user.unwrap().to_string());
    people.stop().await;
}

#[tokio::test]
async fn whoever_leaves_takes_their_picture_along() {
    let people = People::start().await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let ada = people.somebody(Role::User).await;
    put(&people, &ada, picture([1, 1, 1])).await.ok();
    let picture = people.server.catalog.avatar(ada.user.unwrap()).await.unwrap().unwrap();
    let export = people.get(&ada, "/api/v1/me/export").await.ok();
    assert!(export["account"]["avatar"].as_str().unwrap().contains("/avatar?v="));
    let left = people.send(&ada, ("DELETE", "/api/v1/me"), json!({ "assets": "delete" }), &[]).await;
    assert_eq!(left.status, StatusCode::NO_CONTENT, "{}", left.text);
    assert_eq!(people.server.store.head(&layout::avatar(ada.user.unwrap(), picture)).await.unwrap(), None);
    assert!(people.server.catalog.avatars_due(10, people.server.clock.now()).await.unwrap().is_empty());
    people.stop().await;
}

#[tokio::test]
async fn where_there_are_no_accounts_there_are_no_pictures_of_people() {
    let server = Server::start().await;
    server.send_body("PUT", MINE, picture([1, 1, 1])).await.is_problem(404, "accounts_off", MINE);
}
