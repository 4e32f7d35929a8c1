//! What people are told of what happened, in the pages and by letters.

use std::time::Duration;

use axum::http::StatusCode;
use catalog_store::{NotificationChannel, NotificationKind};
use domain::Clock;
use domain::authority::{Role, Standing};
use serde_json::{Value, json};

use crate::described::check;
use crate::people::{PASSWORD, People, Who};

const PATH: &str = "/api/v1/me/notifications";
const PREFERENCES: &str = "/api/v1/me/notification-preferences";

async fn described(people: &People, schema: &str, value: &Value) {
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

/// Waits until somebody has so many notifications.
async fn told(people: &People, who: &Who, count: usize) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let page = people.get(who, PATH).await.ok();
        if page["data"].as_array().unwrap().len() >= count {
            return page;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn share(people: &People, who: &Who) {
    let asset = people.asset_of(Some("somebody else".into())).await;
    let (catalog, now) = (&people.server.catalog, people.server.clock.now());
    catalog.share_asset(asset, (who.user.unwrap(), Standing::Viewer), "test", now).await.unwrap();
}

#[tokio::test]
async fn what_happened_is_told_read_and_removed() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    share(&people, &ada).await;
    share(&people, &ada).await;
    let page = told(&people, &ada, 2).await;
    described(&people, "NotificationPage", &page).await;
    assert_eq!((&page["unread_count"], &page["data"][0]["kind"]), (&json!(2), &json!("asset_shared")));
    assert_eq!(page["data"][0]["data"], json!({ "standing": "viewer" }));
    assert_eq!(people.get(&bob, PATH).await.ok()["data"], json!([]));
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    let read = people.post(&ada, &format!("{PATH}/read"), json!({ "ids": [id] })).await.ok();
    described(&people, "NotificationsRead", &read).await;
    assert_eq!(read, json!({ "read_count": 1, "unread_count": 1 }));
    let unread = people.get(&ada, &format!("{PATH}?unread=true")).await.ok();
    assert_eq!((unread["data"].as_array().unwrap().len(), &unread["data"][0]["is_read"]), (1, &json!(false)));
    let first = people.get(&ada, &format!("{PATH}?limit=1")).await;
    assert!(first.header("link").unwrap().contains("limit=1&after="));
    let next = first.ok()["page"]["next"].as_str().unwrap().to_owned();
    assert_eq!(people.get(&ada, &format!("{PATH}?after={next}")).await.ok()["data"].as_array().unwrap().len(), 1);
    assert_eq!(people.post(&ada, &format!("{PATH}/read"), json!({})).await.ok()["unread_count"], 0);
    let one = format!("{PATH}/{id}");
    // Once is enough, and when it was stays.
    let path = format!("{one}/read");
    let read = people.send(&ada, ("PUT", &path), Value::Null, &[]).await.ok();
    described(&people, "Notification", &read).await;
    assert_eq!((&read["id"], &read["is_read"]), (&json!(id), &json!(true)));
    assert_eq!(people.send(&ada, ("PUT", &path), Value::Null, &[]).await.ok(), read);
    people.send(&bob, ("PUT", &path), Value::Null, &[]).await.is_problem(404, "not_found", &path);
    people.send(&bob, ("DELETE", &one), Value::Null, &[]).await.is_problem(404, "not_found", &one);
    assert_eq!(people.send(&ada, ("DELETE", &one), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    for query in ["limit=0", "unread=maybe"] {
        people.get(&ada, &format!("{PATH}?{query}")).await.is_problem(400, "invalid_query", PATH);
    }
    // A place of a list is none of another one, nor of somebody else's.
    for (who, query) in
        [(&ada, "after=x".to_owned()), (&ada, format!("unread=true&after={next}")), (&bob, format!("after={next}"))]
    {
        people.get(who, &format!("{PATH}?{query}")).await.is_problem(422, "invalid_cursor", PATH);
    }
    people.stop().await;
}

#[tokio::test]
async fn people_are_told_as_they_want_to_be() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let preferences = people.get(&ada, PREFERENCES).await.ok();
    described(&people, "NotificationPreferences", &preferences).await;
    assert_eq!((&preferences["asset_shared"], &preferences["account_security"]), (&json!("app"), &json!("email")));
    let change = async |wanted: Value| people.send(&ada, ("PATCH", PREFERENCES), wanted, &[]).await;
    for wrong in [json!({ "asset_shared": "post" }), json!({ "weather": "app" }), json!({ "digest": "app" })] {
        change(wrong).await.is_problem(422, "invalid_body", PREFERENCES);
    }
    assert_eq!(change(json!({ "asset_shared": "off" })).await.ok()["asset_shared"], "off");
    share(&people, &ada).await;
    change(json!({ "asset_shared": "email" })).await.ok();
    share(&people, &ada).await;
    let letters = people.letters(1).await;
    assert!(letters[0].contains("A video is shared with you"), "{}", letters[0]);
    assert!(letters[0].contains("https://media.example.org/"), "{}", letters[0]);
    people.stop().await;
}

#[tokio::test]
async fn what_changes_an_account_is_written_to_whose_it_is() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    people.post(&ada, "/api/v1/me/api-keys", json!({ "name": "ci", "scopes": ["assets:read"] })).await.created();
    let letters = people.letters(1).await;
    assert!(
        letters[0].contains("Your account was changed") && letters[0].contains("an API key was made"),
        "{}",
        letters[0]
    );
    assert_eq!(told(&people, &ada, 1).await["data"][0]["data"]["action"], "key.created");
    people.stop().await;
}

#[tokio::test]
async fn whose_address_somebody_else_gives_has_one_letter_and_no_news_of_a_change() {
    let people = People::start().await;
    let (admin, ada) = (people.somebody(Role::Admin).await, people.somebody(Role::User).await);
    let email = format!("{}@example.org", ada.user.unwrap());
    let wanted = json!({ "email": email, "password": PASSWORD });
    let again = people.post(&Who::default(), "/api/v1/auth/register", wanted).await;
    assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text);
    people.post(&admin, "/api/v1/users", json!({ "email": email })).await.is_problem(
        409,
        "email_taken",
        "/api/v1/users",
    );
    // What is told comes in order, so nothing of the two comes behind this.
    people.post(&ada, "/api/v1/me/api-keys", json!({ "name": "ci", "scopes": ["assets:read"] })).await.created();
    let page = told(&people, &ada, 1).await;
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["data"][0]["data"]["action"]),
        (1, &json!("key.created"))
    );
    let letters = people.letters(2).await;
    let holding = |words: &str| letters.iter().filter(|letter| letter.contains(words)).count();
    assert_eq!((letters.len(), holding("You have an account already"), holding("an API key was made")), (2, 1, 1));
    people.stop().await;
}

#[tokio::test]
async fn a_letter_of_the_week_comes_once() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    share(&people, &ada).await;
    told(&people, &ada, 1).await;
    // 2027-01-15 is a Friday; the next Monday at nine is three days and an hour away.
    people.server.clock.advance(Duration::from_secs(3 * 24 * 3600 + 3700));
    let letters = people.letters(1).await;
    assert!(letters[0].contains("Your week") && letters[0].contains("is shared with you"), "{}", letters[0]);
    share(&people, &ada).await;
    told(&people, &ada, 2).await;
    people.server.clock.advance(Duration::from_secs(7 * 24 * 3600));
    assert_eq!(people.letters(2).await.len(), 2, "and the next one a week later");
    people.stop().await;
}

#[tokio::test]
async fn a_letter_of_the_week_waits_for_its_time() {
    let people = People::start().await;
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    // Whose letters come at once, behind those that the looks before them had written.
    let eve = people.account(Role::User, None).await;
    catalog.set_channels(eve, &[(NotificationKind::Digest, NotificationChannel::Off)]).await.unwrap();
    let weekly_after_two_looks = async |count: usize| {
        for more in [1, 2] {
            clock.advance(Duration::from_secs(61));
            catalog.set_password(eve, "$argon2id$x", None, clock.now()).await.unwrap();
            people.letters(count + more).await;
        }
        let letters = people.letters(count + 2).await;
        letters.iter().filter(|letter| letter.contains("Your week")).count()
    };
    // Friday, eight o'clock.
    share(&people, &ada).await;
    told(&people, &ada, 1).await;
    assert_eq!(weekly_after_two_looks(0).await, 0, "not with the first thing that is not read");
    // Monday, a little past nine.
    clock.advance(Duration::from_secs(3 * 24 * 3600 + 3600));
    assert_eq!(people.letters(3).await.iter().filter(|letter| letter.contains("Your week")).count(), 1);
    share(&people, &bob).await;
    told(&people, &bob, 1).await;
    assert_eq!(weekly_after_two_looks(3).await, 1, "who had nothing to read at that time waits for the next");
    clock.advance(Duration::from_secs(2 * 24 * 3600));
    share(&people, &bob).await;
    told(&people, &bob, 2).await;
    assert_eq!(weekly_after_two_looks(5).await, 1, "and nothing comes in between");
    people.stop().await;
}
