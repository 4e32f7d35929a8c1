//! Collections in order, channels and those who follow them.

use axum::http::StatusCode;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::Answer;
use crate::people::{People, TOKEN, Who};

async fn described(people: &People, schema: &str, value: &Value) {
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

async fn put(people: &People, who: &Who, path: &str, document: Value) -> Answer {
    people.send(who, ("PUT", path), document, &[]).await
}

async fn patch(people: &People, who: &Who, path: &str, document: Value) -> Answer {
    people.send(who, ("PATCH", path), document, &[("if-match", "\"1\"")]).await
}

async fn delete(people: &People, who: &Who, path: &str) -> StatusCode {
    people.send(who, ("DELETE", path), Value::Null, &[]).await.status
}

fn owned_by(who: &Who) -> Option<String> {
    who.user.map(|user| user.to_string())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_playlist_is_filled_put_in_order_and_shared() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::User).await);
    let wanted = json!({ "kind": "playlist", "title": " My  list ", "description": "x" });
    let made = people.post(&ada, "/api/v1/collections", wanted).await;
    let (path, version) = (made.header("location").unwrap().to_owned(), made.version());
    let made = made.created();
    described(&people, "Collection", &made).await;
    assert_eq!((&made["title"], &made["visibility"], version), (&json!("My list"), &json!("private"), Some(1)));
    assert_eq!(made["owner"], ada.user.unwrap().to_string());
    let items = format!("{path}/items");
    let mut made = vec![];
    for position in [Value::Null, Value::Null, json!(0)] {
        let asset = people.asset_of(owned_by(&ada)).await;
        let mut wanted = json!({ "asset": asset.to_string() });
        if !position.is_null() {
            wanted["position"] = position;
        }
        let item = people.post(&ada, &items, wanted).await;
        let place = item.header("location").unwrap().to_owned();
        let item = item.created();
        described(&people, "CollectionItem", &item).await;
        assert_eq!(item["asset"]["id"], asset.to_string());
        made.push((text(&item["id"]), place));
    }
    let order = async |who: &Who| {
        let page = people.get(who, &items).await.ok();
        page["data"].as_array().unwrap().iter().map(|item| text(&item["id"])).collect::<Vec<_>>()
    };
    assert_eq!(order(&ada).await, [2, 0, 1].map(|at: usize| made[at].0.clone()));
    let moved = people.send(&ada, ("PATCH", &made[2].1), json!({ "position": 1 }), &[]).await.ok();
    assert_eq!(moved["position"], 1);
    assert_eq!(order(&ada).await, [0, 2, 1].map(|at: usize| made[at].0.clone()));
    let page = people.get(&ada, &format!("{items}?limit=2")).await;
    let next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    described(&people, "ItemPage", &page.ok()).await;
    let last = people.get(&ada, &next).await.ok();
    assert_eq!((text(&last["data"][0]["id"]), &last["page"]["has_more"]), (made[1].0.clone(), &json!(false)));

    people.get(&bob, &path).await.is_problem(404, "not_found", &path);
    let share = format!("{path}/shares/{}", bob.user.unwrap());
    let shared = put(&people, &ada, &share, json!({ "standing": "viewer" })).await.ok();
    described(&people, "Share", &shared).await;
    described(&people, "ShareList", &people.get(&ada, &format!("{path}/shares")).await.ok()).await;
    people.get(&bob, &path).await.ok();
    assert!(order(&bob).await.is_empty(), "the list, but not what is not theirs to see");
    let foreign = people.asset_of(owned_by(&ada)).await;
    let wanted = json!({ "asset": foreign.to_string() });
    assert_eq!(people.post(&bob, &items, wanted.clone()).await.code(), "forbidden");
    put(&people, &ada, &share, json!({ "standing": "editor" })).await.ok();
    assert_eq!(people.post(&bob, &items, wanted).await.code(), "not_found", "an asset that they do not see");
    people.send(&bob, ("PATCH", &made[0].1), json!({ "position": 2 }), &[]).await.ok();
    assert_eq!(delete(&people, &bob, &path).await, StatusCode::FORBIDDEN);
    assert_eq!(delete(&people, &ada, &share).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&people, &ada, &share).await, StatusCode::NOT_FOUND);
    assert_eq!(delete(&people, &ada, &made[0].1).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&people, &ada, &made[0].1).await, StatusCode::NOT_FOUND);
    assert_eq!(delete(&people, &ada, &path).await, StatusCode::NO_CONTENT);
    people.get(&ada, &path).await.is_problem(404, "not_found", &path);
    people.stop().await;
}

#[tokio::test]
async fn a_collection_is_changed_for_the_version_that_was_read_and_seen_as_it_says() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    let make = async |kind: &str| {
        let made = people.post(&ada, "/api/v1/collections", json!({ "kind": kind, "title": kind })).await;
        text(&made.created()["id"])
    };
    let (series, season) = (make("series").await, make("season").await);
    let path = format!("/api/v1/collections/{series}");
    let changed = patch(&people, &ada, &path, json!({ "visibility": "internal", "description": null })).await;
    assert_eq!(changed.version(), Some(2));
    described(&people, "Collection", &changed.ok()).await;
    patch(&people, &ada, &path, json!({})).await.is_problem(412, "changed", &path);
    let wrong = people.send(&ada, ("PATCH", &path), json!({ "title": " " }), &[("if-match", "\"2\"")]).await;
    wrong.is_problem(422, "invalid_fields", &path);
    let list = people.get(&bob, "/api/v1/collections?kind=series").await.ok();
    described(&people, "CollectionPage", &list).await;
    assert_eq!(list["data"][0]["id"], series);
    let items = format!("{path}/items");
    people.post(&ada, &items, json!({ "season": season })).await.created();
    people.post(&ada, &items, json!({ "season": season })).await.is_problem(409, "already_in_collection", &items);
    people.post(&ada, &items, json!({ "season": series })).await.is_problem(409, "item_unfit", &items);
    people.post(&ada, &items, json!({})).await.is_problem(422, "invalid_body", &items);
    people.post(&ada, &items, json!({ "asset": "x" })).await.is_problem(400, "invalid_id", &items);
    let shown = people.get(&ada, &items).await.ok();
    assert_eq!((&shown["data"][0]["season"]["id"], &shown["data"][0]["asset"]), (&json!(season), &Value::Null));
    assert_eq!(people.get(&bob, &items).await.ok()["data"], json!([]), "the season is private");
    for wrong in [json!({ "kind": "film", "title": "x" }), json!({ "kind": "series" })] {
        let answer = people.post(&ada, "/api/v1/collections", wrong).await;
        answer.is_problem(422, "invalid_body", "/api/v1/collections");
    }
    people.stop().await;
}

#[tokio::test]
async fn a_channel_shows_its_assets_to_everybody_and_its_followers_their_newest() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Guest).await);
    let channels = "/api/v1/channels";
    let made = people.post(&ada, channels, json!({ "handle": "@Ada.L", "name": "Ada" })).await;
    let path = made.header("location").unwrap().to_owned();
    let made = made.created();
    described(&people, "Channel", &made).await;
    assert_eq!(made["handle"], "ada.l");
    let again = people.post(&ada, channels, json!({ "handle": "ada.l", "name": "x" })).await;
    again.is_problem(409, "handle_taken", channels);
    let wrong = people.post(&ada, channels, json!({ "handle": "a b", "name": "x" })).await;
    wrong.is_problem(422, "invalid_fields", channels);
    let found = people.get(&bob, "/api/v1/channels?handle=ADA.L").await.ok();
    described(&people, "ChannelPage", &found).await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    let changed = patch(&people, &ada, &path, json!({ "name": "Ada L." })).await.ok();
    assert_eq!(changed["name"], "Ada L.");
    assert_eq!(patch(&people, &bob, &path, json!({ "name": "x" })).await.status, StatusCode::FORBIDDEN);

    let asset = people.asset_of(owned_by(&ada)).await;
    let place = format!("/api/v1/assets/{asset}/channel");
    let follow = format!("/api/v1/me/subscriptions/{}", text(&made["id"]));
    let wanted = json!({ "channel": made["id"] });
    let feed = "/api/v1/me/subscriptions/assets";
    assert_eq!(put(&people, &bob, &follow, Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(people.get(&bob, feed).await.ok()["data"], json!([]));
    people.get(&bob, &format!("/api/v1/assets/{asset}")).await.is_problem(
        404,
        "not_found",
        &format!("/api/v1/assets/{asset}"),
    );
    let shown = put(&people, &ada, &place, wanted.clone()).await.ok();
    assert_eq!(shown["channel"], made["id"]);
    for list in [format!("{path}/assets"), feed.to_owned()] {
        let page = people.get(&bob, &list).await.ok();
        described(&people, "CardPage", &page).await;
        assert_eq!(page["data"][0]["id"], asset.to_string(), "{list}");
    }
    people.get(&bob, &format!("/api/v1/assets/{asset}")).await.ok();
    assert_eq!(people.get(&bob, "/api/v1/search?q=clip").await.ok()["data"], json!([]), "it has no such name");
    let followed = people.get(&bob, "/api/v1/me/subscriptions").await.ok();
    described(&people, "ChannelPage", &followed).await;
    assert_eq!(followed["data"][0]["subscribers"], 1);
    let token = Who { bearer: Some(TOKEN.into()), ..Who::default() };
    assert_eq!(people.get(&token, feed).await.status, StatusCode::FORBIDDEN);
    assert_eq!(delete(&people, &ada, &place).await, StatusCode::NO_CONTENT);
    assert_eq!(people.get(&bob, feed).await.ok()["data"], json!([]));
    assert_eq!(delete(&people, &bob, &follow).await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&people, &bob, &follow).await, StatusCode::NOT_FOUND);

    let mallory = people.somebody(Role::Uploader).await;
    let own = people.asset_of(owned_by(&mallory)).await;
    let refused = put(&people, &mallory, &format!("/api/v1/assets/{own}/channel"), wanted).await;
    assert_eq!(refused.code(), "forbidden", "a channel of somebody else");
    assert_eq!(delete(&people, &ada, &path).await, StatusCode::NO_CONTENT);
    people.get(&ada, &path).await.is_problem(404, "not_found", &path);
    people.stop().await;
}
