//! Paths that clients of other platforms know, beside our own.
//!
//! An alias is the operation it stands for, under another name: the path is replaced before anything else looks at the
//! request, so rights, limits and answers are the same. Answers to it carry `Deprecation` (RFC 9745) and a link to the
//! path that stays; the description marks it.

use std::sync::LazyLock;

use http::header::{HeaderName, LINK};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Uri};
use serde_json::{Map, Value, json};

/// Aliases, without the slash that many of those platforms have at the end, and what they stand for. `{id}` is one
/// segment, the same in both.
pub const ALIASES: &[(&str, &str)] = &[
    ("/api/movies", "/api/v1/assets"),
    ("/api/movies/{id}", "/api/v1/assets/{id}"),
    ("/api/videos", "/api/v1/assets"),
    ("/api/videos/upload", "/uploads"),
    ("/api/videos/{id}", "/api/v1/assets/{id}"),
    ("/api/posts/media", "/api/v1/assets"),
    ("/api/posts/media/upload", "/uploads"),
    ("/api/users/register", "/api/v1/auth/register"),
    ("/api/users/login", "/api/v1/auth/login"),
    ("/api/users/logout", "/api/v1/auth/logout"),
    ("/api/users/token/refresh", "/api/v1/auth/refresh"),
    ("/api/users/profile", "/api/v1/me"),
    ("/api/v1/auth/me", "/api/v1/me"),
];

/// Since when they are deprecated: from the beginning, 2026-11-29.
const DEPRECATION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("deprecation"), HeaderValue::from_static("@1795910400"));

/// The description of all operations, as JSON (OpenAPI 3.1).
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../openapi.json");
    // A test proves that it is JSON.
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |document| with_aliases(document).to_string())
});

/// Which path `request` asks for by an alias, after it was replaced.
pub fn resolve<B>(request: &mut Request<B>) -> Option<String> {
    let target = target(request.uri().path())?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{target}{query}")).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(target)
}

/// Marks the answer to a request that named `target` by an alias.
pub fn mark(headers: &mut HeaderMap, target: &str) {
    headers.insert(DEPRECATION.0, DEPRECATION.1);
    if let Ok(link) = HeaderValue::try_from(format!("<{target}>; rel=\"successor-version\"")) {
        headers.append(LINK, link);
    }
}

/// What a path stands for, if it is an alias.
fn target(path: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ALIASES.iter().find_map(|(alias, target)| {
        let Some((before, after)) = alias.split_once("{id}") else {
            return (*alias == path).then(|| (*target).to_owned());
        };
        let id = path.strip_prefix(before)?.strip_suffix(after)?;
        (!id.is_empty() && !id.contains('/')).then(|| target.replace("{id}", id))
    })
}

/// Describes every alias as what it stands for, deprecated.
fn with_aliases(mut document: Value) -> Value {
    let shared = document["components"]["responses"].clone();
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (nth, (alias, target)) in ALIASES.iter().enumerate() {
        let mut operations = match paths.get(*target) {
            Some(Value::Object(operations)) => operations.clone(),
            // Uploads speak protocols of their own.
            _ => Map::from_iter([("post".to_owned(), upload())]),
        };
        for operation in operations.values_mut().filter_map(Value::as_object_mut) {
            let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            let name = format!("{name}Alias{}", nth + 1);
            operation.insert("operationId".into(), name.into());
            operation.insert("deprecated".into(), true.into());
            operation.insert("tags".into(), json!(["Aliases"]));
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            responses.into_iter().flat_map(Map::values_mut).for_each(|response| mark_described(response, &shared));
            operation
                .insert("description".into(), format!("Another name of {target}, for clients that know it.").into());
        }
        paths.insert(format!("{alias}/"), operations.into());
    }
    document
}

/// Describes what [`mark`] adds to an answer; one of the `shared` ones becomes one of its own.
fn mark_described(response: &mut Value, shared: &Value) {
    if let Some(name) = response["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        *response = shared[name].clone();
    }
    let deprecation = json!({
        "description": "Since when (RFC 9745).",
        "required": true,
        "schema": { "type": "string", "pattern": "^@[0-9]+$" },
    });
    let link = json!({
        "description": "The path that stays, rel=\"successor-version\", and other pages of a list.",
        "required": true,
        "schema": { "type": "string" },
    });
    response["headers"]["Deprecation"] = deprecation;
    response["headers"]["Link"] = link;
}

fn upload() -> Value {
    json!({
        "operationId": "createUpload",
        "summary": "Begin an upload (tus or IETF resumable upload)",
        "responses": { "default": { "description": "As /uploads answers: docs/reference/uploads.md." } },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_other_platforms_lead_to_ours() {
        for (asked, expected) in [
            ("/api/movies/", Some("/api/v1/assets")),
            ("/api/movies", Some("/api/v1/assets")),
            ("/api/movies/ast_1/", Some("/api/v1/assets/ast_1")),
            ("/api/videos/upload/", Some("/uploads")),
            ("/api/videos/ast_1?fields=a%20b", Some("/api/v1/assets/ast_1?fields=a%20b")),
            ("/api/videos/ast_1/like/", None),
            ("/api/videos//", None),
            ("/api/v1/auth/me", Some("/api/v1/me")),
            ("/api/v1/assets/", None),
            ("/movies/", None),
        ] {
            let mut request = Request::builder().uri(format!("http://host{asked}")).body(()).unwrap();
            let is_alias = resolve(&mut request).is_some();
            assert_eq!(is_alias, expected.is_some(), "{asked}");
            let path = request.uri().path_and_query().unwrap().as_str();
            assert_eq!(path, expected.unwrap_or(asked), "{asked}");
        }
    }

    #[test]
    fn no_alias_hides_a_path_of_ours_and_every_one_is_described() {
        let document: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
        let described: Value = serde_json::from_str(&DOCUMENT).unwrap();
        for (alias, target) in ALIASES {
            assert!(document["paths"].get(*alias).is_none(), "{alias}");
            assert!(*target == "/uploads" || document["paths"].get(*target).is_some(), "{target}");
            let operations = described["paths"][format!("{alias}/")].as_object().unwrap();
            assert!(operations.values().all(|operation| operation["deprecated"] == true), "{alias}");
        }
    }

    #[test]
    fn an_answer_says_which_path_stays() {
        let mut headers = HeaderMap::new();
        mark(&mut headers, "/api/v1/me");
        assert_eq!(headers["deprecation"], "@1795910400");
        assert_eq!(headers["link"], "</api/v1/me>; rel=\"successor-version\"");
    }
}
