//! The ten of OWASP's API Security Top 10 (2023), each tried in several ways against a real server with accounts.
//!
//! docs/reference/security.md says for each what protects from it; a test holds that page against these names.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::accounts::Guarded;
use crate::harness::Asked;

mod access;
mod service;

const PASSWORD: &str = "a password that is long enough";

/// A server with accounts, and its administrator.
struct Stage {
    server: Guarded,
    admin: String,
    _temp: tempfile::TempDir,
}

/// Somebody who is logged in by tokens.
struct Person {
    id: String,
    email: String,
    token: String,
    refresh: String,
}

struct Reply {
    status: u16,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Stage {
    async fn start(args: &[&str]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let server = Guarded::start_with(&temp.path().join("data"), true, args);
        let admin = server.set_up().await;
        Self { server, admin, _temp: temp }
    }

    async fn ask(&self, method: &str, path: &str, token: &str, document: Value, headers: &[(&str, &str)]) -> Reply {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = Client::new().request(method, format!("{}{path}", self.server.url));
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        if !document.is_null() {
            request = request.json(&document);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.asked().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Reply { status, headers, text: answer.text().await.unwrap_or_default() }
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.ask("GET", path, token, Value::Null, &[]).await
    }

    async fn post(&self, path: &str, token: &str, document: Value) -> Reply {
        self.ask("POST", path, token, document, &[]).await
    }

    async fn log_in(&self, email: &str, password: &str, from: &str) -> Reply {
        let document = json!({ "email": email, "password": password });
        self.ask("POST", "/api/v1/auth/login", "", document, &[("x-forwarded-for", from)]).await
    }

    async fn person(&self, name: &str, role: &str) -> Person {
        let email = format!("{name}@example.org");
        let wanted = json!({ "email": email, "name": name, "role": role, "password": PASSWORD });
        let made = self.post("/api/v1/users", &self.admin, wanted).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let tokens = self.log_in(&email, PASSWORD, "198.51.100.7").await.json();
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let id = made.json()["id"].as_str().unwrap().to_owned();
        Person { id, email, token: text("access_token"), refresh: text("refresh_token") }
    }

    /// An upload that is begun: its path, and the path of its video.
    async fn upload(&self, token: &str) -> (String, String) {
        let headers = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
        let begun = self.ask("POST", "/uploads", token, Value::Null, &headers).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        (begun.header("location").to_owned(), begun.header("asset-location").to_owned())
    }
}

fn id_in(reply: &Reply) -> String {
    assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.text);
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_page_about_security_names_tests_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(folder.join("../docs/reference/security.md")).unwrap();
    let here = concat!(include_str!("owasp/access.rs"), include_str!("owasp/service.rs"));
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words
            .filter(|word| {
                word.starts_with("api") && word[3..].starts_with(|c: char| c.is_ascii_digit()) && word.contains('_')
            })
            .map(str::to_owned)
            .collect()
    };
    let tests: BTreeSet<String> =
        names(here).into_iter().filter(|name| here.contains(&format!("async fn {name}()"))).collect();
    assert_eq!(tests.len(), 10);
    assert_eq!(names(&page), tests);
    // Every other test that the page names is somewhere as well.
    let mut sources = String::new();
    let mut folders = vec![folder.join("..")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().filter_map(Result::ok) {
            let (path, name) = (entry.path(), entry.file_name());
            let is_skipped = ["target", "node_modules", ".git", "web", "docs"].iter().any(|skipped| name == *skipped);
            match path.is_dir() {
                true if !is_skipped => folders.push(path),
                false if path.extension().is_some_and(|end| end == "rs") => {
                    sources.push_str(&std::fs::read_to_string(path).unwrap())
                }
                _ => {}
            }
        }
    }
    let quoted = page.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
    for name in quoted {
        let test = name.rsplit("::").next().unwrap();
        assert!(sources.contains(&format!("fn {test}(")), "{name} is no test");
    }
}
