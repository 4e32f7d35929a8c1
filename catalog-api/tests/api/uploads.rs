//! What another crate answers below `/api/v1` has the habits of the rest.

use axum::body::Body;
use axum::http::Request;
use domain::Role;
use serde_json::{Value, json};

use crate::people::{People, Who};

const OPERATIONS: [&str; 2] = ["/api/v1/imports", "/api/v1/upload-grants"];

#[tokio::test]
async fn errors_about_uploads_are_told_like_all_others() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    for path in OPERATIONS {
        let described = &document["paths"][path]["post"]["responses"];
        let long = json!({ "url": "x".repeat(200_000) }).to_string();
        for (kind, body, status, code, title) in [
            ("text/plain", "{}", 415, "not_json", "Pas du JSON"),
            ("application/json", long.as_str(), 413, "body_too_large", "Contenu trop volumineux"),
            ("application/json", "{", 400, "malformed_body", "Contenu illisible"),
            ("application/json", r#"{"nothing":1}"#, 422, "invalid_body", "Document non compris"),
        ] {
            let request = Request::post(path).header("content-type", kind).header("accept-language", "fr-CA, en;q=0.5");
            let request =
                request.header("cookie", admin.cookie.as_deref().unwrap()).header("host", "media.example.org");
            let request = request.header("origin", "https://media.example.org");
            let answer = people.server.ask(request.body(Body::from(body.to_owned())).unwrap()).await;
            answer.is_problem(status, code, path);
            let told: Value = serde_json::from_str(&answer.text).unwrap();
            assert_eq!(told["title"], title);
            assert_eq!(
                (answer.header("content-language"), answer.header("vary")),
                (Some("fr"), Some("Accept-Language"))
            );
            assert!(described[status.to_string()].is_object(), "{path} {status}");
        }
        let unknown = people.send(&Who::default(), ("POST", path), json!({}), &[("accept-language", "fr")]).await;
        unknown.is_problem(401, "unauthorized", path);
        assert_eq!(serde_json::from_str::<Value>(&unknown.text).unwrap()["title"], "Non connecté");
        // Under a name they are the same, in the language of whoever asks now.
        for (language, title) in [("fr", "Document non compris"), ("en", "Document not understood")] {
            let headers = [("accept-language", language), ("idempotency-key", "a-name-of-some-length")];
            let answer = people.send(&admin, ("POST", path), json!({ "nothing": 1 }), &headers).await;
            answer.is_problem(422, "invalid_body", path);
            assert_eq!(serde_json::from_str::<Value>(&answer.text).unwrap()["title"], title);
            assert_eq!(answer.header("content-language"), Some(language));
        }
    }
    people.stop().await;
}
