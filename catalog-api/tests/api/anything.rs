//! Whatever is sent is answered: never by an error of the server, and by a problem document if it is refused.

use axum::body::Body;
use axum::http::{Request, Uri};
use domain::authority::Role;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::harness::Server;
use crate::people::People;

/// Operations by their paths, as they are described.
fn operations() -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        let methods = item.as_object().unwrap().keys().filter(|method| method.len() < 7);
        methods.map(|method| (method.to_ascii_uppercase(), path.clone())).collect()
    };
    // Streams have no end.
    let all = paths.iter().filter(|(path, _)| path.starts_with("/api/v1/") && *path != "/api/v1/events");
    all.flat_map(of).collect()
}

/// Octets that are JSON, nearly so, or not at all.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec!["title", "name", "url", "email", "chapters", "kind", "tags", "\\u0000", "x"]);
    let value = prop::sample::select(vec!["null", "1", "-1e309", "\"x\"", "\"\\u0000\"", "[]", "[null]", "{}", "true"]);
    let members = vec((name, value), 0..4);
    let object = members.prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    });
    prop_oneof![4 => object, 1 => vec(any::<u8>(), 0..64), 1 => Just(Vec::new())]
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!-~&&[^/?#%]]{1,32}",
        "%[0-9A-F]{2}",
        "(ast|col|chn|usr|job|whk|doc)_[0-9a-z]{26}",
        Just("1".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_sent_to_an_operation_is_answered_as_described(
        asked in vec((prop::sample::select(operations()), segment(), segment(), body()), 24),
        kind in prop::sample::select(vec!["application/json", "application/merge-patch+json", "text/plain", ""]),
        (name, value) in (
            prop::sample::select(vec!["if-match", "if-none-match", "idempotency-key", "range", "accept-language", "cookie"]),
            "[ -~]{0,40}",
        ),
        query in "((limit|after|before|q|state|kind|[a-z]{0,4})=[!-~&&[^#]]{0,24})?",
        is_known in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let people = People::start().await;
            let bearer = people.key_of(people.account(Role::Admin, None).await, &domain::authority::Scope::ALL).await.1;
            for ((method, path), first, second, body) in asked {
                let path = filled(&path, &first, &second);
                let Ok(uri) = format!("{path}?{query}").parse::<Uri>() else { continue };
                let mut request = Request::builder().method(&*method).uri(uri).header(name, &value);
                if is_known {
                    request = request.header("authorization", format!("Bearer {}", bearer.bearer.as_deref().unwrap()));
                }
                if !kind.is_empty() {
                    request = request.header("content-type", kind);
                }
                answered(&people.server, request.body(Body::from(body)).unwrap(), &format!("{method} {path}")).await;
            }
            people.stop().await;
        });
    }
}

/// A path whose parameters are these.
fn filled(path: &str, first: &str, second: &str) -> String {
    let mut values = [first, second].into_iter().cycle();
    let parts = path.split('/').map(|part| if part.starts_with('{') { values.next().unwrap_or(first) } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// Held to the description by what asks; here to what goes for all of them.
async fn answered(server: &Server, request: Request<Body>, what: &str) {
    let answer = server.ask(request).await;
    // Providers of identities are asked of, and nobody listens where that of these tests is.
    let is_away = answer.code() == "provider_away";
    assert!(!answer.status.is_server_error() || is_away, "{what}: {} {}", answer.status, answer.text);
    if answer.status.is_client_error() || is_away {
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{what}");
    }
}
