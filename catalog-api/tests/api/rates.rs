//! How often the API may be asked, and what those are told who ask too often, or by a token that is nobody's.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog_api::ClientAddress;
use catalog_api::rates::Rates;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::harness::{Answer, Server};
use crate::people::{People, Who};

/// A server on which everybody may ask three times a minute.
async fn frugal() -> Server {
    let mut server = Server::start().await;
    let (catalog, store) = (server.catalog.clone(), server.store.clone());
    let state = catalog_api::State::new(catalog, store, server.clock.clone(), server.shutdown.clone());
    server.router = catalog_api::router(state.with_rates(Rates::new(3, Vec::new())));
    server
}

async fn asked(server: &Server, from: &str) -> Answer {
    let mut request = Request::builder().uri("/api/v1/assets").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ClientAddress(from.parse().unwrap()));
    server.ask(request).await
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_come_back() {
    let server = frugal().await;
    for left in [2, 1, 0] {
        let answer = asked(&server, "192.0.2.1").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=60"));
        assert!(answer.header("ratelimit").unwrap().starts_with(&format!("\"default\";r={left};t=")));
    }
    let refused = asked(&server, "192.0.2.1").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, Some("20")));
    assert_eq!(refused.headers.get_all("ratelimit").iter().collect::<Vec<_>>(), ["\"default\";r=0;t=20"]);
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!(problem["code"], "too_many_requests");
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!(problem["violated-policies"], json!(["default"]));
    assert_eq!(asked(&server, "192.0.2.2").await.status, StatusCode::OK, "others have their own");
    server.clock.advance(Duration::from_secs(20));
    assert_eq!(asked(&server, "192.0.2.1").await.status, StatusCode::OK);
}

#[tokio::test]
async fn somebody_has_a_bound_of_their_own_wherever_they_ask_from() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    let left = async |who: &Who, from: &str| {
        let answer = people.send(who, ("GET", "/api/v1/me"), Value::Null, &[("x-forwarded-for", from)]).await;
        let told = answer.header("ratelimit").unwrap().to_owned();
        told.split(';').nth(1).unwrap().trim_start_matches("r=").parse::<u32>().unwrap()
    };
    let most = catalog_api::rates::PER_MINUTE;
    assert_eq!(left(&ada, "192.0.2.1").await, most - 1);
    assert_eq!(left(&ada, "192.0.2.2").await, most - 2);
    assert_eq!(left(&bob, "192.0.2.1").await, most - 1);
    // Operations of uploads, and those with a bound of their own, tell it as well.
    let uploads = people.post(&bob, "/api/v1/upload-grants", json!({})).await;
    assert!(uploads.header("ratelimit").unwrap().starts_with("\"local\";"), "{:?}", uploads.headers);
    let login = people.logged_in("nobody@example.org", "x").await;
    let told: Vec<_> = login.headers.get_all("ratelimit-policy").iter().map(|line| line.to_str().unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("\"login\";") && told[1].starts_with("\"local\";"), "{told:?}");
    people.stop().await;
}

#[tokio::test]
async fn a_token_that_is_nobodys_is_told_so_unless_nobody_is_asked_for_one() {
    let people = People::start().await;
    let (_, tokens) = people.registered("ada").await;
    let old = Who { bearer: Some(tokens["access_token"].as_str().unwrap().to_owned()), ..Who::default() };
    assert_eq!(people.get(&old, "/api/v1/assets").await.status, StatusCode::OK);
    people.server.clock.advance(Duration::from_secs(16 * 60));
    let made_up = Who { bearer: Some("a-token-that-nobody-ever-made".into()), ..Who::default() };
    for who in [&old, &made_up] {
        for (method, path) in [("GET", "/api/v1/assets"), ("GET", "/api/v1/me"), ("POST", "/api/v1/collections")] {
            let answer = people.send(who, (method, path), Value::Null, &[]).await;
            answer.is_problem(401, "invalid_token", path);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        }
        assert_eq!(people.get(who, "/api/v1/access").await.status, StatusCode::OK);
    }
    // Clients that renew a token may still send the one that is over.
    let renewed = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(people.post(&old, "/api/v1/auth/refresh", renewed).await.status, StatusCode::OK);
    let nobody = people.get(&Who::default(), "/api/v1/me").await;
    nobody.is_problem(401, "unauthorized", "/api/v1/me");
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    people.stop().await;
}
