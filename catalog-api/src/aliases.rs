//! Paths that clients of other platforms know, beside our own.
//!
//! An alias is the operation it stands for, under another name: the path is replaced before anything else looks at the
//! request, so rights, limits and answers are the same. Answers to it carry `Deprecation` (RFC 9745) and a link to the
//! path that stays; the description marks it.

use std::sync::LazyLock;

use http::header::{ALLOW, HeaderName, LINK};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use serde_json::{Map, Value, json};

/// Aliases, without the slash that many of those platforms have at the end, and what they stand for. `{…}` is one
/// segment, the same in both; `{user}` is whoever asks, where what the alias stands for is about nobody else.
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
    ("/api/v1/notifications/user/{user}", "/api/v1/me/notifications"),
    ("/api/v1/notifications/{notification}/read", "/api/v1/me/notifications/{notification}/read"),
    ("/api/v1/notifications/preferences/{user}", "/api/v1/me/notification-preferences"),
];

/// By which other method those platforms ask for what we have: alias, theirs, ours.
const METHODS: &[(&str, Method, Method)] = &[
    ("/api/v1/notifications/{notification}/read", Method::PATCH, Method::PUT),
    ("/api/v1/notifications/preferences/{user}", Method::PUT, Method::PATCH),
];

/// Whom a path names that is about whoever asks. Stands in the extensions of a request; the door holds it against the
/// caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) String);

/// Since when they are deprecated: from the beginning, 2026-11-29.
const DEPRECATION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("deprecation"), HeaderValue::from_static("@1795910400"));

/// The description of all operations, as JSON (OpenAPI 3.1).
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../openapi.json");
    // A test proves that it is JSON.
    serde_json::from_str(text).map_or_else(|_| text.to_owned(), |document| with_aliases(document).to_string())
});

/// An alias that was asked for, and the path that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    alias: &'static str,
    target: String,
}

/// What `request` asks for by an alias, after that was replaced.
pub fn resolve<B>(request: &mut Request<B>) -> Option<Resolved> {
    let (alias, target, named) = target(request.uri().path())?;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("{target}{query}")).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    if let Some(method) = method_of(alias, request.method()) {
        *request.method_mut() = method;
    }
    if let Some(named) = named {
        request.extensions_mut().insert(named);
    }
    Some(Resolved { alias, target })
}

impl Resolved {
    /// Marks the answer; where it tells the methods that the path takes, those of the alias are told as well.
    pub fn mark(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION.0, DEPRECATION.1);
        if let Ok(link) = HeaderValue::try_from(format!("<{}>; rel=\"successor-version\"", self.target)) {
            headers.append(LINK, link);
        }
        let Some(allow) = headers.get(ALLOW).and_then(|allow| allow.to_str().ok()) else { return };
        let others = METHODS.iter().filter(|(known, ..)| *known == self.alias).map(|(_, theirs, _)| theirs.as_str());
        let all = [allow].into_iter().chain(others).collect::<Vec<_>>().join(",");
        if let Ok(all) = HeaderValue::try_from(all) {
            headers.insert(ALLOW, all);
        }
    }
}

/// Which alias a path is, what it stands for, and whom it names.
fn target(path: &str) -> Option<(&'static str, String, Option<Named>)> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ALIASES.iter().find_map(|(alias, target)| {
        let Some((before, name, after)) = placeholder(alias) else {
            return (*alias == path).then(|| (*alias, (*target).to_owned(), None));
        };
        let segment = path.strip_prefix(before)?.strip_suffix(after)?;
        let is_one = !segment.is_empty() && !segment.contains('/');
        let named = (!target.contains(name)).then(|| Named(segment.to_owned()));
        is_one.then(|| (*alias, target.replace(name, segment), named))
    })
}

/// What stands before the placeholder of an alias, the placeholder, and what stands behind it.
fn placeholder(alias: &str) -> Option<(&str, &str, &str)> {
    let (from, end) = (alias.find('{')?, alias.find('}')? + 1);
    Some((&alias[..from], &alias[from..end], &alias[end..]))
}

/// The method that `method` is by this alias, if it is another one.
fn method_of(alias: &str, method: &Method) -> Option<Method> {
    METHODS.iter().find(|(known, theirs, _)| *known == alias && theirs == method).map(|(.., ours)| ours.clone())
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
        add_methods(&mut operations, alias);
        // Whose it is is part of the path only here.
        let whose = placeholder(alias).is_some_and(|(_, name, _)| !target.contains(name));
        for operation in operations.values_mut().filter_map(Value::as_object_mut) {
            let name = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            let name = format!("{name}Alias{}", nth + 1);
            operation.insert("operationId".into(), name.into());
            operation.insert("deprecated".into(), true.into());
            operation.insert("tags".into(), json!(["Aliases"]));
            if whose {
                let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
                parameters.as_array_mut().into_iter().for_each(|parameters| parameters.push(user()));
            }
            let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
            responses.into_iter().flat_map(Map::values_mut).for_each(|response| mark_described(response, &shared));
            operation
                .insert("description".into(), format!("Another name of {target}, for clients that know it.").into());
        }
        paths.insert(format!("{alias}/"), operations.into());
    }
    document
}

/// Describes what [`Resolved::mark`] adds to an answer; one of the `shared` ones becomes one of its own.
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

/// Describes operations by the methods that clients of `alias` know as well.
fn add_methods(operations: &mut Map<String, Value>, alias: &str) {
    for (_, theirs, ours) in METHODS.iter().filter(|(known, ..)| *known == alias) {
        let Some(mut operation) = operations.get(&ours.as_str().to_ascii_lowercase()).cloned() else { continue };
        let name = operation["operationId"].as_str().map(|name| format!("{name}By{theirs}"));
        operation["operationId"] = name.into();
        operations.insert(theirs.as_str().to_ascii_lowercase(), operation);
    }
}

fn user() -> Value {
    json!({
        "name": "user",
        "in": "path",
        "required": true,
        "description": "Whoever asks: of others nothing is there.",
        "schema": { "$ref": "#/components/schemas/UserId" },
    })
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

    const PREFERENCES: &str = "/api/v1/me/notification-preferences";

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
    fn what_is_about_whoever_asks_keeps_whom_the_path_named() {
        for (method, asked, (expected, to), named) in [
            ("GET", "/api/v1/notifications/user/usr_1", ("GET", "/api/v1/me/notifications"), Some("usr_1")),
            ("PUT", "/api/v1/notifications/preferences/usr_1/", ("PATCH", PREFERENCES), Some("usr_1")),
            ("GET", "/api/v1/notifications/preferences/usr_1", ("GET", PREFERENCES), Some("usr_1")),
            ("PATCH", "/api/v1/notifications/ntf_1/read", ("PUT", "/api/v1/me/notifications/ntf_1/read"), None),
            ("PUT", "/api/movies/ast_1", ("PUT", "/api/v1/assets/ast_1"), None),
        ] {
            let mut request = Request::builder().method(method).uri(asked).body(()).unwrap();
            assert_eq!(resolve(&mut request).unwrap().target, to, "{asked}");
            assert_eq!((request.method().as_str(), request.uri().path()), (expected, to), "{asked}");
            assert_eq!(request.extensions().get(), named.map(|named| Named(named.to_owned())).as_ref(), "{asked}");
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
            let told: Vec<&str> = operations
                .values()
                .flat_map(|operation| operation["parameters"].as_array().into_iter().flatten())
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let name = placeholder(alias).map(|(_, name, _)| name.trim_matches(['{', '}']));
            let expected = operations.len() * usize::from(name.is_some());
            assert!(told.len() == expected && told.iter().all(|told| Some(*told) == name), "{alias}: {told:?}");
        }
    }

    #[test]
    fn what_is_asked_for_by_another_method_is_described_and_about_whoever_asks() {
        let described: Value = serde_json::from_str(&DOCUMENT).unwrap();
        for (alias, theirs, ours) in METHODS {
            let of = |method: &Method| &described["paths"][format!("{alias}/")][method.as_str().to_ascii_lowercase()];
            assert!(of(theirs).is_object() && of(ours).is_object(), "{alias}");
            assert_ne!(of(theirs)["operationId"], of(ours)["operationId"], "{alias}");
        }
        // The door of this crate holds the name against the caller, and no other does.
        let of_whoever_asks =
            ALIASES.iter().filter(|(alias, target)| alias.contains("{user}") && !target.contains('{'));
        assert!(of_whoever_asks.clone().count() > 0);
        assert!(of_whoever_asks.clone().all(|(_, target)| target.starts_with("/api/v1/me/")));
    }

    #[test]
    fn an_answer_says_which_path_stays() {
        let mut headers = HeaderMap::new();
        let resolved = |path: &str| resolve(&mut Request::builder().uri(path).body(()).unwrap()).unwrap();
        resolved("/api/v1/auth/me").mark(&mut headers);
        assert_eq!(headers["deprecation"], "@1795910400");
        assert_eq!(headers["link"], "</api/v1/me>; rel=\"successor-version\"");
        assert!(!headers.contains_key("allow"));
        let allowed = |path: &str, ours: &'static str| {
            let mut headers = HeaderMap::from_iter([(ALLOW, HeaderValue::from_static(ours))]);
            resolved(path).mark(&mut headers);
            headers.remove(ALLOW).unwrap()
        };
        assert_eq!(allowed("/api/v1/notifications/ntf_1/read", "PUT"), "PUT,PATCH");
        assert_eq!(allowed("/api/v1/auth/me", "GET,HEAD"), "GET,HEAD");
    }
}
