//! Passwords that are reset and changed, also at the same time.

use axum::http::StatusCode;
use serde_json::json;

use crate::people::{PASSWORD, People, Who, by_token, link_in};

#[tokio::test]
async fn a_forgotten_password_is_reset_once_and_ends_all_sessions() {
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    let forgot = "/api/v1/auth/forgot-password";
    for email in [&*email, "nobody@example.org"] {
        let answer = people.post(&Who::default(), forgot, json!({ "email": email })).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, r#"{"status":"accepted"}"#));
    }
    let letters = people.letters(2).await;
    let letter = letters.iter().find(|letter| letter.contains("/reset#token")).unwrap();
    let reset = "/api/v1/auth/reset-password";
    let wanted = json!({ "token": link_in(letter), "password": "another long password" });
    assert_eq!(people.post(&Who::default(), reset, wanted.clone()).await.status, StatusCode::NO_CONTENT);
    people.post(&Who::default(), reset, wanted).await.is_problem(410, "invalid_link", reset);
    assert_eq!(people.get(&by_token(&tokens), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(people.logged_in(&email, PASSWORD).await.code(), "invalid_credentials");
    people.logged_in(&email, "another long password").await.ok();
    people.stop().await;
}

#[tokio::test]
async fn nobody_stays_in_by_the_password_that_was_reset_at_the_same_time() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    people.post(&Who::default(), "/api/v1/auth/forgot-password", json!({ "email": email })).await;
    let letters = people.letters(2).await;
    let letter = letters.iter().find(|letter| letter.contains("/reset#token")).unwrap();
    let wanted = json!({ "token": link_in(letter), "password": "another long password" });
    let who = Who::default();
    let reset = people.post(&who, "/api/v1/auth/reset-password", wanted);
    let logins = futures::future::join_all((0..6).map(|_| people.logged_in(&email, PASSWORD)));
    let (reset, logins) = tokio::join!(reset, logins);
    assert_eq!(reset.status, StatusCode::NO_CONTENT, "{}", reset.text);
    for login in logins {
        if login.status == StatusCode::OK {
            let left = people.get(&by_token(&login.ok()), "/api/v1/me").await;
            assert_eq!(left.status, StatusCode::UNAUTHORIZED, "it began before the reset, which ended it");
        } else {
            assert_eq!(login.code(), "invalid_credentials");
        }
    }
    people.stop().await;
}

#[tokio::test]
async fn a_password_is_changed_by_who_knows_the_present_one() {
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    let other = people.logged_in(&email, PASSWORD).await.ok();
    let (who, path) = (by_token(&tokens), "/api/v1/me/password");
    let change = async |current: &str| {
        let wanted = json!({ "current": current, "password": "another long password" });
        people.send(&who, ("PUT", path), wanted, &[]).await
    };
    change("not the present one").await.is_problem(403, "forbidden", path);
    assert_eq!(change(PASSWORD).await.status, StatusCode::NO_CONTENT);
    people.get(&who, "/api/v1/me").await.ok();
    assert_eq!(people.get(&by_token(&other), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    people.stop().await;
}

#[tokio::test]
async fn of_those_who_change_a_password_at_the_same_time_one_is_first() {
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    let (who, path) = (by_token(&tokens), "/api/v1/me/password");
    let change = async |nth: usize| {
        let wanted = json!({ "current": PASSWORD, "password": format!("long password number {nth}") });
        people.send(&who, ("PUT", path), wanted, &[]).await
    };
    let answers = futures::future::join_all((0..6).map(change)).await;
    let taken: Vec<usize> = (0..6).filter(|nth| answers[*nth].status == StatusCode::NO_CONTENT).collect();
    assert_eq!(taken.len(), 1, "{taken:?}");
    for (_, answer) in answers.into_iter().enumerate().filter(|(nth, _)| *nth != taken[0]) {
        answer.is_problem(403, "forbidden", path);
    }
    people.logged_in(&email, &format!("long password number {}", taken[0])).await.ok();
    people.stop().await;
}
