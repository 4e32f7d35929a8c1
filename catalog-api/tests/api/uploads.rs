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

#[tokio::test]
async fn errors_of_uploads_themselves_are_told_in_the_language_of_whoever_asks() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let unknown = "/uploads/upl_00000000000000000000000007";
    let tus = ("tus-resumable", "1.0.0");
    for (who, method, path, headers, status, code, title) in [
        (&Who::default(), "POST", "/uploads", vec![tus], 401, "unauthorized", "Non connecté"),
        (&ada, "POST", "/uploads", vec![], 412, "unsupported_version", "Version du protocole non prise en charge"),
        (&ada, "POST", "/uploads?grant=grt_x", vec![tus], 403, "grant_invalid", "Lien d'envoi non valide"),
        (&ada, "DELETE", unknown, vec![tus], 404, "upload_not_found", "Envoi introuvable"),
        (&ada, "PUT", unknown, vec![tus], 405, "method_not_allowed", "Méthode non autorisée"),
    ] {
        let headers = [headers, vec![("accept-language", "fr-CA, en;q=0.5")]].concat();
        let answer = people.send(who, (method, path), Value::Null, &headers).await;
        answer.is_problem(status, code, path.split('?').next().unwrap());
        let told: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(told["title"], title);
        assert_eq!((answer.header("content-language"), answer.header("vary")), (Some("fr"), Some("Accept-Language")));
        assert_eq!(answer.header("tus-resumable"), Some("1.0.0"), "what every answer about uploads carries");
    }
    // What is told besides stays.
    let created = people.send(&ada, ("POST", "/uploads"), Value::Null, &[tus, ("upload-length", "5")]).await;
    let path = created.header("location").unwrap();
    let headers = [tus, ("upload-offset", "3"), ("content-type", "application/offset+octet-stream")];
    let refused = people.send(&ada, ("PATCH", path), Value::Null, &headers).await;
    let told: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!((refused.status.as_u16(), &told["code"]), (409, &json!("offset_mismatch")));
    assert_eq!((&told["expected-offset"], refused.header("upload-offset")), (&json!(0), Some("0")));
    assert!(told["type"].as_str().unwrap().ends_with("mismatching-upload-offset"), "{told}");
    let head = people.send(&ada, ("HEAD", unknown), Value::Null, &[tus]).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (404, ""));
    people.stop().await;
}
