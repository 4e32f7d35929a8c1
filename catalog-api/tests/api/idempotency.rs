//! What is asked for under a name is done once, and answered the same each time.

use std::time::Duration;

use axum::http::{Request, StatusCode};
use catalog_store::{Known, Named};
use domain::Clock;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::harness::Answer;
use crate::people::{People, Who};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";
const KEYS: &str = "/api/v1/me/api-keys";

async fn ask(people: &People, who: &Who, path: &str, document: Value, key: &str) -> Answer {
    people.send(who, ("POST", path), document, &[("idempotency-key", key)]).await
}

fn wanted(name: &str) -> Value {
    json!({ "name": name, "scopes": ["assets:read"] })
}

#[tokio::test]
async fn a_key_that_is_made_twice_under_one_name_is_one_and_told_again() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let first = ask(&people, &ada, KEYS, wanted("ci"), KEY).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = ask(&people, &ada, KEYS, wanted("ci"), &format!("\"{KEY}\"")).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (StatusCode::CREATED, Some("true")));
    assert_eq!((&again.text, again.header("location")), (&first.text, first.header("location")));
    assert_eq!(again.header("cache-control"), first.header("cache-control"));
    // The same fields in another order are the same document.
    let swapped = people
        .server
        .ask(
            Request::post(KEYS)
                .header("cookie", ada.cookie.as_deref().unwrap())
                .header("origin", "https://media.example.org")
                .header("content-type", "application/json")
                .header("idempotency-key", KEY)
                .body(axum::body::Body::from(r#"{ "scopes": ["assets:read"], "name": "ci" }"#))
                .unwrap(),
        )
        .await;
    assert_eq!(swapped.text, first.text);
    assert_eq!(people.get(&ada, KEYS).await.ok()["data"].as_array().unwrap().len(), 1);
    // Nobody finds the key, nor the answer, in the database.
    let told: Value = serde_json::from_str(&first.text).unwrap();
    let database = std::fs::read(people.server.dir.path().join("catalog.db")).unwrap();
    let log = std::fs::read(people.server.dir.path().join("catalog.db-wal")).unwrap_or_default();
    for secret in [told["key"].as_str().unwrap(), KEY] {
        for file in [&database, &log] {
            assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
        }
    }
    people.stop().await;
}

#[tokio::test]
async fn a_name_is_good_for_one_document_of_one_person() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    ask(&people, &ada, KEYS, wanted("one"), KEY).await.created();
    ask(&people, &ada, KEYS, wanted("two"), KEY).await.is_problem(422, "idempotency_key_reused", KEYS);
    let own = ask(&people, &bob, KEYS, wanted("two"), KEY).await;
    assert_eq!((own.header("idempotent-replayed"), own.status), (None, StatusCode::CREATED));
    people.server.clock.advance(Duration::from_secs(24 * 3600 + 1));
    people.server.catalog.prune_named(people.server.clock.now()).await.unwrap();
    ask(&people, &ada, KEYS, wanted("two"), KEY).await.created();
    people.stop().await;
}

#[tokio::test]
async fn what_did_nothing_is_asked_anew_under_the_same_name() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let wrong = json!({ "name": "", "scopes": ["assets:read"] });
    for _ in 0..2 {
        ask(&people, &ada, KEYS, wrong.clone(), KEY).await.is_problem(422, "invalid_body", KEYS);
    }
    ask(&people, &ada, KEYS, wanted("ci"), KEY).await.created();
    for key in ["", "\"\"", "\"open", "short"] {
        ask(&people, &ada, KEYS, wanted("ci"), key).await.is_problem(422, "invalid_idempotency_key", KEYS);
    }
    people.stop().await;
}

#[tokio::test]
async fn what_is_being_done_is_waited_for_and_what_was_done_by_one_who_was_killed_is_not_done_again() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    // As another process has it that is doing it: the same name, the same document.
    let name = ada.user.unwrap().to_string();
    let pieces = |pieces: &[&str]| {
        let text: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| [&(piece.len() as u64).to_be_bytes()[..], piece.as_bytes()].concat())
            .collect();
        hash_of(&text)
    };
    let document = wanted("ci").to_string();
    let (of_name, of_request) =
        (pieces(&["idempotency key", &name, KEY]), pieces(&["POST", KEYS, "application/json", &document]));
    let named = Named { hash: &of_name, principal: &name, fingerprint: &of_request };
    let lock = Duration::from_secs(120);
    let Known::New(mark) = catalog.begin_named(&named, lock, clock.now()).await.unwrap() else { panic!("it is new") };
    let running = ask(&people, &ada, KEYS, wanted("ci"), KEY).await;
    running.is_problem(409, "idempotency_key_in_use", KEYS);
    assert_eq!(running.header("retry-after"), Some("5"));
    catalog_store::idempotency::marked(mark, people.account(Role::User, None)).await;
    clock.advance(lock);
    ask(&people, &ada, KEYS, wanted("ci"), KEY).await.is_problem(409, "idempotency_answer_lost", KEYS);
    assert_eq!(people.get(&ada, KEYS).await.ok()["data"], json!([]));
    people.stop().await;
}

#[tokio::test]
async fn many_at_once_make_one() {
    let people = People::start().await;
    let ada = people.somebody(Role::User).await;
    let asks = (0..8).map(|_| ask(&people, &ada, KEYS, wanted("ci"), KEY));
    let answers = futures::future::join_all(asks).await;
    assert!(
        answers.iter().all(|answer| answer.status == StatusCode::CREATED || answer.code() == "idempotency_key_in_use")
    );
    assert_eq!(people.get(&ada, KEYS).await.ok()["data"].as_array().unwrap().len(), 1);
    people.stop().await;
}

#[tokio::test]
async fn what_becomes_of_uploads_is_done_once_too() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let path = "/api/v1/upload-grants";
    let first = ask(&people, &ada, path, json!({}), KEY).await;
    let again = ask(&people, &ada, path, json!({}), KEY).await;
    assert_eq!((first.status, first.text == again.text), (StatusCode::CREATED, true), "{}", first.text);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    ask(&people, &ada, path, json!({ "uses": 2 }), KEY).await.is_problem(422, "idempotency_key_reused", path);
    let nobody = ask(&people, &Who::default(), path, json!({}), KEY).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    people.stop().await;
}

fn hash_of(octets: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(octets).iter().map(|byte| format!("{byte:02x}")).collect()
}
