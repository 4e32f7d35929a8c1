//! A server with accounts, as people, programs and operators meet it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{self, Asked, PATIENCE, headwater, run, text};

const EMAIL: &str = "root@example.org";
const PASSWORD: &str = "correct horse battery";
const TOKEN: &str = "a-token-of-sixteen-characters";

/// A server that prints a link to its first account.
pub(crate) struct Guarded {
    pub(crate) child: Child,
    pub(crate) url: String,
    pub(crate) link: Option<String>,
    pub(crate) log: std::path::PathBuf,
}

impl Guarded {
    pub(crate) fn start(data_dir: &std::path::Path, is_fresh: bool) -> Self {
        Self::start_with(data_dir, is_fresh, &["--set", "log=debug"])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(data_dir: &std::path::Path, is_fresh: bool, args: &[&str]) -> Self {
        let log = data_dir.with_extension("log");
        let lines = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = headwater(&["serve", "--listen", "127.0.0.1:0", "--access", "accounts", "--data-dir"])
            .arg(data_dir)
            .args(["--set", &format!("upload_tokens=ada:{TOKEN}")])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(lines)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let url = said.next().unwrap().strip_prefix("listening on ").unwrap().to_owned();
        let link = is_fresh.then(|| {
            let line = said.next().unwrap();
            line.strip_prefix("set up the first account within a day: ").unwrap_or_else(|| panic!("{line}")).to_owned()
        });
        Self { child, url, link, log }
    }

    pub(crate) async fn post(&self, path: &str, bearer: Option<&str>, document: &Value) -> (StatusCode, Value) {
        let mut request = Client::new().post(format!("{}{path}", self.url)).json(document);
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        let answer = request.asked().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str, bearer: &str) -> Value {
        let answer = Client::new().get(format!("{}{path}", self.url)).bearer_auth(bearer).asked().await.unwrap();
        answer.json().await.unwrap()
    }

    /// An access token of the first administrator, who is set up with it.
    pub(crate) async fn set_up(&self) -> String {
        let link = self.link.as_deref().unwrap();
        let (page, token) = link.split_once("#token=").unwrap();
        assert_eq!(page, format!("{}/setup", self.url));
        let document = json!({ "token": token, "email": EMAIL, "password": PASSWORD });
        assert_eq!(self.post("/api/v1/auth/setup", None, &document).await.0, StatusCode::NO_CONTENT);
        self.log_in().await
    }

    pub(crate) async fn log_in(&self) -> String {
        let document = json!({ "email": EMAIL, "password": PASSWORD });
        let (status, tokens) = self.post("/api/v1/auth/login", None, &document).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens["access_token"].as_str().unwrap().to_owned()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_one_time_link_sends_a_file_and_says_that_it_is_good_for_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let server = Guarded::start(&temp.path().join("data"), true);
    let admin = server.set_up().await;
    let clip = media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let state = temp.path().join("state");
    for (more, code) in [(&[][..], 0), (&["--json"][..], 0), (&["--wait"][..], 1)] {
        let (status, grant) = server.post("/api/v1/upload-grants", Some(&admin), &json!({})).await;
        assert_eq!(status, StatusCode::CREATED, "{grant}");
        let token = grant["token"].as_str().unwrap();
        let args = ["upload", text(&clip), "--server", &server.url, "--token", token, "--state-dir", text(&state)];
        let done = run(&[&args[..], more].concat());
        let (said, told) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.code(), Some(code), "{said}{told}");
        assert!(told.contains("all of it was sent") && told.contains("cannot be read with this token"), "{told}");
        let assets = server.get("/api/v1/assets", &admin).await;
        let id = assets["data"][0]["id"].as_str().unwrap();
        assert!(said.contains(id), "it says where: {said}");
        if more == ["--json"] {
            let told: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(told["transfer"]["bytes"], std::fs::metadata(&clip).unwrap().len(), "{told}");
        }
        assert!(!said.contains(token) && !told.contains(token), "the secret is told again");
    }
    assert_eq!(server.get("/api/v1/assets", &admin).await["data"].as_array().unwrap().len(), 3, "each was sent once");
}

#[tokio::test]
async fn the_first_start_prints_a_link_and_an_api_key_uploads() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Guarded::start(&data, true);
    let admin = server.set_up().await;

    let clip = media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let refused = run(&["upload", text(&clip), "--server", &server.url]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("give a token with --token or HEADWATER_TOKEN"), "{told}");

    let wanted = json!({ "name": "ci", "scopes": ["uploads:create", "assets:read"] });
    let (status, key) = server.post("/api/v1/me/api-keys", Some(&admin), &wanted).await;
    assert_eq!(status, StatusCode::CREATED, "{key}");
    let key = key["key"].as_str().unwrap();
    let done = run(&["upload", text(&clip), "--server", &server.url, "--token", key, "--wait"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let assets = server.get("/api/v1/assets", key).await;
    let me = server.get("/api/v1/me", &admin).await;
    assert_eq!((&assets["data"][0]["owner"], &assets["data"][0]["state"]), (&me["id"], &json!("ready")));

    // Whoever has the address plays, and learns nothing else.
    let playback = assets["data"][0]["playback"]["hls"].as_str().unwrap();
    let played = Client::new().get(format!("{}{playback}", server.url)).asked().await.unwrap();
    assert_eq!(played.status(), StatusCode::OK);
    let hidden = Client::new().get(format!("{}/api/v1/assets", server.url)).asked().await.unwrap();
    assert_eq!(
        (hidden.status(), hidden.headers()["www-authenticate"].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "Bearer")
    );

    // Tokens of the configuration upload as before, and see what came of it.
    let done = run(&["upload", text(&clip), "--server", &server.url, "--token", TOKEN, "--wait"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(server.get("/api/v1/assets", TOKEN).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_secret_or_personal_is_not_in_the_log() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Guarded::start(&data, true);
    let admin = server.set_up().await;
    let wanted = json!({ "email": "ada@example.org", "password": "another long password", "name": "Ada" });
    server.post("/api/v1/auth/register", None, &wanted).await;
    server.post("/api/v1/auth/login", None, &json!({ "email": "ada@example.org", "password": "wrong password" })).await;
    let (_, tokens) = server.post("/api/v1/auth/login", None, &wanted_login()).await;
    let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
    server.post("/api/v1/auth/refresh", None, &json!({ "refresh_token": refresh })).await;
    let (_, key) =
        server.post("/api/v1/me/api-keys", Some(&admin), &json!({ "name": "ci", "scopes": ["assets:read"] })).await;
    let key = key["key"].as_str().unwrap().to_owned();
    server.get("/api/v1/assets", &key).await;
    server.post("/api/v1/auth/forgot-password", None, &json!({ "email": "ada@example.org" })).await;
    let mail = data.join("mail");
    crate::server::until("the letters are written", || async { crate::server::objects(&mail).len() >= 2 }).await;
    let letters = crate::server::objects(&mail);
    let link = server.link.clone().unwrap();
    let setup = link.split_once("#token=").unwrap().1.to_owned();
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("session begun") && log.contains("letter delivered"), "{log}");
    for secret in [
        EMAIL,
        PASSWORD,
        "ada@example.org",
        "another long password",
        "wrong password",
        TOKEN,
        &admin,
        &refresh,
        &key,
        &setup,
        "hwt_",
        "hwr_",
        "hwk_",
        "hws_",
        "$argon2id",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    #[cfg(unix)]
    for letter in letters {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(letter).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

fn wanted_login() -> Value {
    json!({ "email": "ada@example.org", "password": "another long password" })
}

#[tokio::test]
async fn pages_of_named_origins_use_the_api_by_tokens() {
    const APP: &str = "https://app.example.org";
    let temp = tempfile::tempdir().unwrap();
    let args = ["--set", &format!("api_origins={APP}")];
    let server = Guarded::start_with(&temp.path().join("data"), true, &args);
    let admin = server.set_up().await;
    let ask = async |method: Method, path: &str, origin: &str, bearer: Option<&str>| {
        let mut request = Client::new().request(method, format!("{}{path}", server.url)).header("origin", origin);
        request = request.header("access-control-request-method", "POST");
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let answer = request.asked().await.unwrap();
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("access-control-allow-credentials"), None);
        (answer.status(), header("access-control-allow-origin"))
    };
    let app = Some(APP.to_owned());
    for path in ["/api/v1/assets", "/api/v1/events", "/api/v1/imports", "/api/v1/upload-grants/x", "/api/v1/auth/login"]
    {
        assert_eq!(ask(Method::OPTIONS, path, APP, None).await, (StatusCode::OK, app.clone()), "{path}");
        assert_eq!(ask(Method::OPTIONS, path, "https://evil.example", None).await.1, None, "{path}");
    }
    for path in ["/api/v1/assets", "/api/v1/imports"] {
        let method = if path.ends_with("imports") { Method::POST } else { Method::GET };
        assert_eq!(ask(method, path, APP, None).await, (StatusCode::UNAUTHORIZED, app.clone()), "{path}");
    }
    assert_eq!(ask(Method::GET, "/api/v1/assets", APP, Some(&admin)).await, (StatusCode::OK, app));
    assert_eq!(ask(Method::GET, "/api/v1/assets", "https://evil.example", Some(&admin)).await.1, None);
}

#[tokio::test]
async fn the_audit_log_is_checked_beside_the_running_server() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Guarded::start(&data, true);
    server.set_up().await;
    let check = |more: &[&str]| {
        let args = [&["audit", "verify", "--data-dir", text(&data)], more].concat();
        let output = run(&args);
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = check(&[]);
    assert_eq!(code, Some(0), "{told}");
    let seal = told.trim().rsplit(' ').next().unwrap().to_owned();
    server.log_in().await;
    assert_eq!(check(&["--expect", &seal]).0, Some(0), "it is still there");
    let (code, told) = check(&["--expect", "0000"]);
    assert_eq!(code, Some(1), "{told}");
    drop(server);
    // Set up once, the server goes on without a link.
    let again = Guarded::start(&data, false);
    again.log_in().await;
}

#[tokio::test]
async fn an_address_that_others_reach_asks_for_accounts_unless_open_is_said() {
    let temp = tempfile::tempdir().unwrap();
    for (name, access, asks) in [("auto", &[][..], true), ("open", &["--access", "open"], false)] {
        let data = temp.path().join(name);
        let log = data.with_extension("log");
        let mut child = headwater(&["serve", "--listen", "0.0.0.0:0", "--data-dir", text(&data)])
            .args(access)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let port = said.next().unwrap().rsplit(':').next().unwrap().to_owned();
        let begun = std::time::Instant::now();
        let answer = Client::new().get(format!("http://127.0.0.1:{port}/api/v1/assets")).asked().await;
        let status = answer.unwrap().status();
        let _ = child.kill();
        let _ = child.wait();
        assert!(begun.elapsed() < PATIENCE);
        assert_eq!(status == StatusCode::UNAUTHORIZED, asks, "{name}: {status}");
        let warned = std::fs::read_to_string(&log).unwrap().contains("open to everyone");
        assert_eq!(warned, !asks, "{name}");
    }
    let server = harness::Server::start(&temp.path().join("local"));
    assert_eq!(server.json("/api/v1/access").await["access"], "open");
}

#[tokio::test]
async fn clients_of_other_platforms_read_of_themselves_by_the_paths_that_they_know() {
    let temp = tempfile::tempdir().unwrap();
    let server = Guarded::start(&temp.path().join("data"), true);
    let admin = server.set_up().await;
    let me = server.get("/api/users/profile/", &admin).await;
    let id = me["id"].as_str().unwrap();
    // Making a key is told to whose account it is.
    let wanted = json!({ "name": "ci", "scopes": ["assets:read"] });
    assert_eq!(server.post("/api/v1/me/api-keys", Some(&admin), &wanted).await.0, StatusCode::CREATED);
    let told = format!("/api/v1/notifications/user/{id}");
    let begun = std::time::Instant::now();
    let found = loop {
        if let Some(found) = server.get(&told, &admin).await["data"].get(0) {
            break found["id"].as_str().unwrap().to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let send = async |method: Method, path: String, document: Option<Value>| {
        let mut request = Client::new().request(method, format!("{}{path}", server.url)).bearer_auth(&admin);
        if let Some(document) = &document {
            request = request.json(document);
        }
        let answer = request.asked().await.unwrap();
        assert_eq!(answer.headers()["deprecation"], "@1795910400", "{path}");
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    let read = format!("/api/v1/notifications/{found}/read");
    let other = Client::new().get(format!("{}{read}", server.url)).bearer_auth(&admin).asked().await.unwrap();
    assert_eq!(other.headers()["allow"], "PUT,PATCH");
    let (status, shown) = send(Method::PATCH, read, None).await;
    assert_eq!((status, &shown["is_read"]), (StatusCode::OK, &json!(true)));
    let preferences = format!("/api/v1/notifications/preferences/{id}");
    let (status, shown) = send(Method::PUT, preferences.clone(), Some(json!({ "asset_shared": "off" }))).await;
    assert_eq!((status, &shown["asset_shared"]), (StatusCode::OK, &json!("off")));
    assert_eq!(server.get(&preferences, &admin).await, server.get("/api/v1/me/notification-preferences", &admin).await);
    // Of others nothing is there, for administrators neither.
    let other = format!("{}{}", &id[..id.len() - 1], if id.ends_with('0') { '1' } else { '0' });
    for kind in ["user", "preferences"] {
        let other = format!("/api/v1/notifications/{kind}/{other}");
        let (status, problem) = send(Method::GET, other, None).await;
        assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("not_found")), "{problem}");
    }
}
