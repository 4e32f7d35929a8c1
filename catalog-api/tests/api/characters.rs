//! Control characters in every parameter of the description, on both engines: refused, and never an error of ours.

use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::Server;

/// Texts that some engine, or some reader of an address, might stumble over; all of them are answered.
const ODD: [&str; 9] = ["%", "''", "%22", "%5C", "%C3%28", "%F0%9F%92%A9", "%E2%80%AE", "%09%0A", "*"];

/// Method, path, and the names of its parameters in the query.
fn operations(document: &Value) -> Vec<(String, String, Vec<String>)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_elsewhere = path.starts_with("/api/v1/imports") || path.starts_with("/api/v1/upload-grants");
            if is_elsewhere || path == "/api/v1/events" || operation["deprecated"] == true {
                continue;
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let in_query = parameters.iter().filter(|one| one["in"] == "query");
            let names = in_query.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            found.push((method.to_uppercase(), path.clone(), names));
        }
    }
    found
}

/// The path with `value` for every id in it.
fn filled(path: &str, value: &str) -> String {
    let part = |part: &str| if part.starts_with('{') { value.to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

async fn check(server: Server) {
    let document = server.get("/api/v1/openapi.json").await.ok();
    for (method, path, names) in operations(&document) {
        let known = filled(&path, "ast_00000000000000000000000007");
        for name in &names {
            for refused in ["%00", "a%00", "%01b", "%1f", "%7F"] {
                let asked = format!("{known}?{name}={refused}");
                let answer = server.send(&method, &asked).await;
                // What is only there with accounts is refused before anything is looked at.
                if answer.code() == "accounts_off" {
                    continue;
                }
                if name == "q" {
                    assert!(answer.status.as_u16() < 500, "any text is searched for: {asked} {}", answer.text);
                    continue;
                }
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (StatusCode::BAD_REQUEST, "invalid_query"),
                    "{method} {asked}"
                );
            }
            for odd in ODD {
                let asked = format!("{known}?{name}={odd}");
                let answer = server.send(&method, &asked).await;
                assert!(answer.status.as_u16() < 500, "{method} {asked}: {}", answer.text);
            }
        }
        if !path.contains('{') {
            continue;
        }
        for value in ["%00", "ast_%00", "a%1Fb"] {
            let asked = filled(&path, value);
            let answer = server.send(&method, &asked).await;
            assert!(answer.status.is_client_error(), "{method} {asked}: {} {}", answer.status, answer.text);
        }
        for odd in ODD {
            let asked = filled(&path, odd);
            let answer = server.send(&method, &asked).await;
            assert!(answer.status.as_u16() < 500, "{method} {asked}: {}", answer.text);
        }
    }
    // Nor does a document bring what a database cannot hold.
    for (path, field) in [("collections", "title"), ("channels", "name"), ("webhooks", "description")] {
        let document = json!({ field: "a\0b", "kind": "playlist", "handle": "abc", "url": "https://example.org/" });
        let request = Request::post(format!("/api/v1/{path}")).header("content-type", "application/json");
        let answer = server.ask(request.body(document.to_string().into()).unwrap()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields"),
            "{path}"
        );
        assert!(answer.text.contains(&format!("\"/{field}\"")), "{}", answer.text);
    }
}

#[tokio::test]
async fn no_parameter_holds_a_control_character_on_sqlite() {
    check(Server::start().await).await;
}

#[tokio::test]
async fn no_parameter_holds_a_control_character_on_postgres() {
    check(Server::start_on(&fixtures::services::postgres_url()).await).await;
}
