//! What the service as a whole lets be done to it: API4, API6, API7, API8, API9, API10.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Client;
use serde_json::{Value, json};

use super::{PASSWORD, Stage, id_in};
use crate::harness::Asked;

#[tokio::test]
async fn api4_unrestricted_resource_consumption() {
    let stage = Stage::start(&["--set", "upload_size_max=1000000", "--set", "upload_open_max=3"]).await;
    let ada = stage.person("ada", "uploader").await;
    // Bodies, heads, numbers and depths have bounds.
    let long = "x".repeat(20 << 10);
    let reply = stage.ask("PATCH", "/api/v1/me", &ada.token, json!({ "bio": long }), &[("if-match", "\"1\"")]).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    let deep = format!("{}{}", "[".repeat(8000), "]".repeat(8000));
    let request = Client::new()
        .post(format!("{}/api/v1/auth/login", stage.server.url))
        .header("content-type", "application/json");
    assert!(request.body(deep).asked().await.unwrap().status().is_client_error());
    for query in ["limit=1000000", "limit=0", "limit=-1", "limit=99999999999999999999999"] {
        let status = stage.get(&format!("/api/v1/assets?{query}"), &ada.token).await.status;
        assert!(matches!(status, 400 | 422), "{query}: {status}");
    }
    let status =
        stage.get(&format!("/api/v1/search?q={}", "a ".repeat(2000).replace(' ', "+")), &ada.token).await.status;
    assert!((400..500).contains(&status) || status == 200, "{status}");
    let huge = "a".repeat(200 << 10);
    let reply = Client::new().get(format!("{}/api/v1/me", stage.server.url)).header("x-huge", huge).asked().await;
    assert!(reply.is_err() || reply.unwrap().status().as_u16() == 431);
    // What one account may have of everything.
    for (path, most, document) in [
        ("/api/v1/me/api-keys", 50, json!({ "name": "x", "scopes": ["assets:read"] })),
        ("/api/v1/webhooks", 16, json!({ "url": "https://example.org/" })),
    ] {
        let mut made = 0;
        let last = loop {
            let reply = stage.post(path, &ada.token, document.clone()).await;
            match reply.status {
                201 => made += 1,
                _ => break reply,
            }
            assert!(made <= most, "{path}");
        };
        assert_eq!((made, last.status), (most, 409), "{path}: {}", last.text);
    }
    let too_large = [("tus-resumable", "1.0.0"), ("upload-length", "1000001")];
    assert_eq!(stage.ask("POST", "/uploads", &ada.token, Value::Null, &too_large).await.status, 413);
    for _ in 0..3 {
        stage.upload(&ada.token).await;
    }
    let one_more = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
    let reply = stage.ask("POST", "/uploads", &ada.token, Value::Null, &one_more).await;
    assert!(matches!(reply.status, 409 | 413 | 429 | 507), "{} {}", reply.status, reply.text);
    // Streams of one account.
    let mut streams = Vec::new();
    let refused = loop {
        let request = Client::new().get(format!("{}/api/v1/events", stage.server.url)).bearer_auth(&ada.token);
        let answer = request.asked().await.unwrap();
        match answer.status().as_u16() {
            200 => streams.push(answer),
            status => break status,
        }
        assert!(streams.len() < 200);
    };
    assert!(matches!(refused, 429 | 503), "{refused}");
    for token in [&ada.token, &stage.admin] {
        let reply = stage.get("/api/v1/me", token).await;
        assert_eq!(reply.status, 200, "everything else goes on beside them: {}", reply.text);
    }
    let others = Client::new().get(format!("{}/api/v1/events", stage.server.url)).bearer_auth(&stage.admin);
    assert_eq!(others.asked().await.unwrap().status(), 200, "others have places of their own");
    drop(streams);
}

#[tokio::test]
async fn api6_unrestricted_access_to_sensitive_business_flows() {
    let stage = Stage::start(&["--set", "trusted_proxies=192.0.2.1/32"]).await;
    // Accounts and letters by the hundred, with an address that somebody makes up each time.
    let mut statuses = BTreeSet::new();
    let mut taken = 0;
    for nth in 0..40 {
        let from = format!("203.0.113.{nth}");
        let document = json!({ "email": format!("bot{nth}@example.org"), "password": PASSWORD });
        let reply = stage.ask("POST", "/api/v1/auth/register", "", document, &[("x-forwarded-for", &from)]).await;
        taken += usize::from(reply.status == 202);
        statuses.insert(reply.status);
    }
    assert!(taken <= 12, "{taken} accounts by one address");
    assert_eq!(statuses, BTreeSet::from([202, 429]));
    let reply = stage.post("/api/v1/auth/forgot-password", "", json!({ "email": "root@example.org" })).await;
    assert_eq!(reply.status, 429, "letters are counted together");
    assert!(reply.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
    // A link to upload is good for as often as it says, and for no other origin's purse.
    let grant = stage.post("/api/v1/upload-grants", &stage.admin, json!({ "uses": 1, "max_bytes": 10 })).await.json();
    let token = grant["token"].as_str().unwrap();
    let upload = async |length: &str| {
        stage
            .ask("POST", "/uploads", token, Value::Null, &[("tus-resumable", "1.0.0"), ("upload-length", length)])
            .await
            .status
    };
    assert!(matches!(upload("11").await, 403 | 413));
    assert_eq!(upload("5").await, 201);
    assert!(matches!(upload("5").await, 401 | 403 | 410), "used up");
    // The link to the first account was used: nobody else sets one up.
    let token = stage.server.link.as_deref().unwrap().split_once("#token=").unwrap().1;
    let document = json!({ "token": token, "email": "second@example.org", "password": PASSWORD });
    assert_eq!(stage.post("/api/v1/auth/setup", "", document).await.code(), "invalid_link");
}

/// Counts who comes, and answers each with these octets.
struct Trap {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Trap {
    fn on(address: &str, answer: &'static [u8], repeat: usize) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    for _ in 0..repeat {
                        if stream.write_all(answer).is_err() {
                            return;
                        }
                    }
                    let _ = stream.shutdown(Shutdown::Write);
                    let _ = stream.read(&mut [0; 4096]);
                });
            }
        });
        Self { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api7_server_side_request_forgery() {
    let inner = Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret", 1);
    let plain = Stage::start(&[]).await;
    let port = inner.port;
    let addresses = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0177.0.0.1:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0.0.0.0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://[64:ff9b::7f00:1]:{port}/"),
        format!("http://[2002:7f00:1::]:{port}/"),
        format!("http://user:password@127.0.0.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://192.168.0.1/".to_owned(),
        "http://[fd00::1]/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1:25/_HELO".to_owned(),
        "ftp://127.0.0.1/x".to_owned(),
        "data:text/plain,x".to_owned(),
        format!("http://127.0.0.1:{port}\r\nHost: x/"),
        "http://".to_owned(),
    ];
    for url in &addresses {
        let reply = plain.post("/api/v1/imports", &plain.admin, json!({ "url": url })).await;
        assert!((400..500).contains(&reply.status) || reply.status == 503, "{url}: {} {}", reply.status, reply.text);
        assert!(!reply.text.contains("secret") && !reply.text.contains("root:"), "{url}: {}", reply.text);
    }
    // Webhooks are looked at when they are sent: nothing goes to a private network.
    let hook = plain.post("/api/v1/webhooks", &plain.admin, json!({ "url": "http://127.0.0.1:80/" })).await;
    if hook.status == 201 {
        let test = format!("/api/v1/webhooks/{}/test", id_in(&hook));
        let message = plain.post(&test, &plain.admin, json!({})).await.json();
        let log = format!("/api/v1/webhooks/{}/deliveries/{}", id_in(&hook), message["id"].as_str().unwrap());
        crate::server::until("it was not sent", || async {
            let log = plain.get(&log, &plain.admin).await.json();
            log["log"][0]["error"].as_str().is_some_and(|error| error.contains("private network"))
        })
        .await;
    }
    assert_eq!(inner.visits(), 0, "somebody was asked");
    // One that may be asked leads to one that may not.
    let text: &str =
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n").leak();
    let outer = Trap::on("127.0.0.2", text.as_bytes(), 1);
    let open = Stage::start(&["--set", "import_networks=127.0.0.2/32"]).await;
    let wanted = json!({ "url": format!("http://127.0.0.2:{}/a.mp4", outer.port) });
    let import = open.post("/api/v1/imports", &open.admin, wanted).await;
    assert_eq!(import.status, 202, "{}", import.text);
    let asset = format!("/api/v1/assets/{}", import.json()["asset"].as_str().unwrap());
    crate::server::until("the import ends", || async {
        open.get(&asset, &open.admin).await.json()["state"] == "failed"
    })
    .await;
    assert!(outer.visits() > 0, "the first was asked");
    assert_eq!(inner.visits(), 0, "the redirect was followed");
}

#[tokio::test]
async fn api8_security_misconfiguration() {
    let stage = Stage::start(&[]).await;
    let ada = stage.person("ada", "user").await;
    let marks = [
        "panicked",
        "src/",
        ".rs:",
        "sqlx",
        "no such column",
        "syntax error",
        "cargo/registry",
        "RUST_BACKTRACE",
        "stack backtrace",
    ];
    for (method, path, token) in [
        ("GET", "/", ""),
        ("GET", "/login", ""),
        ("GET", "/api/v1/me", ""),
        ("GET", "/api/v1/me", ada.token.as_str()),
        ("GET", "/api/v1/assets/x", ada.token.as_str()),
        ("GET", "/api/v1/assets?after=x%00", ada.token.as_str()),
        ("GET", "/api/v1/none", ""),
        ("GET", "/v/plb_x/master.m3u8", ""),
        ("GET", "/none", ""),
        ("TRACE", "/api/v1/me", ada.token.as_str()),
        ("DELETE", "/api/v1/access", ""),
        ("POST", "/api/v1/auth/login", ""),
    ] {
        let origin = [("origin", "https://evil.example"), ("x-probe", "from-the-request")];
        let reply = stage.ask(method, path, token, Value::Null, &origin).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{method} {path}");
        assert!(reply.status < 500 || reply.status == 501, "{method} {path}: {}", reply.text);
        assert_eq!(reply.header("server"), "", "{path} says what it runs on");
        assert_eq!(reply.header("x-powered-by"), "");
        assert!(!reply.text.contains("from-the-request"), "{method} {path} echoes its head");
        let leak = marks.iter().find(|mark| reply.text.contains(**mark) && path.starts_with("/api"));
        assert!(leak.is_none(), "{method} {path}: {leak:?} in {}", reply.text);
        if path.starts_with("/api") {
            assert_eq!(reply.header("cross-origin-resource-policy"), "same-origin", "{method} {path}");
            assert!(reply.header("permissions-policy").contains("camera=()"), "{method} {path}");
            let allowed = reply.header("access-control-allow-origin");
            assert!(
                !["*", "https://evil.example"].contains(&allowed)
                    || reply.header("access-control-allow-credentials") != "true"
            );
        }
        if token == ada.token && reply.status == 200 {
            assert!(reply.header("cache-control").contains("no-store"), "{path}: {}", reply.header("cache-control"));
        }
    }
    let page = stage.get("/login", "").await;
    let policy = page.header("content-security-policy");
    for part in ["default-src", "frame-ancestors", "script-src 'self'"] {
        assert!(policy.contains(part) || policy.contains("default-src 'self'"), "{part} is missing in {policy}");
    }
    assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src *"), "{policy}");
    // Nothing of the machine is served.
    for path in [
        "/.env",
        "/.git/config",
        "/catalog.db",
        "/secrets.key",
        "/headwater.toml",
        "/data/catalog.db",
        "/mail/",
        "/..%2fsecrets.key",
        "/assets/../../secrets.key",
        "/uploads/",
        "/debug/pprof",
        "/server-status",
    ] {
        let reply = stage.get(path, "").await;
        assert!(matches!(reply.status, 400 | 401 | 403 | 404 | 405), "{path}: {}", reply.status);
    }
    // A cookie is out of reach of scripts, and of pages of others.
    let document = json!({ "email": ada.email, "password": PASSWORD, "cookie": true });
    let origin = [("origin", stage.server.url.as_str())];
    let reply = stage.ask("POST", "/api/v1/auth/login", "", document.clone(), &origin).await;
    let cookie = reply.header("set-cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let crossed = [("cookie", pair), ("origin", "https://evil.example")];
    assert_eq!(stage.ask("POST", "/api/v1/me/verification", "", Value::Null, &crossed).await.code(), "cross_origin");
    let crossed = [("origin", "https://evil.example")];
    assert_eq!(stage.ask("POST", "/api/v1/auth/login", "", document, &crossed).await.code(), "cross_origin");
    let simple =
        Client::new().post(format!("{}/api/v1/auth/login", stage.server.url)).header("content-type", "text/plain");
    assert_eq!(simple.body("{}").asked().await.unwrap().status(), 415, "a form of another page is no document");
}

#[tokio::test]
async fn api9_improper_inventory_management() {
    let stage = Stage::start(&[]).await;
    let document = stage.get("/api/v1/openapi.json", "").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 60);
    // What is described asks who somebody is, or says that it does not.
    let (mut asked, mut old) = (0, 0);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let is_open = operation["security"].as_array().is_some_and(Vec::is_empty);
            let filled = path
                .split('/')
                .map(|part| if part.starts_with('{') { "x" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            if is_open || filled.contains("/auth/") {
                continue;
            }
            let reply = stage.ask(&method.to_uppercase(), &filled, "", Value::Null, &[]).await;
            // What leads to uploads asks for its protocol first; whoever has no session ends none.
            let ends_none = reply.status == 204 && path.trim_end_matches('/').ends_with("/logout");
            let is_refused = reply.status == 401 || (reply.status == 412 && path.contains("upload")) || ends_none;
            assert!(is_refused, "{method} {path} is open to everybody: {}", reply.status);
            asked += 1;
            if operation["deprecated"] == true {
                old += 1;
                assert!(!reply.header("deprecation").is_empty(), "{path} does not say that it is old");
            }
        }
    }
    assert!(asked > 70 && old > 0, "{asked} {old}");
    // And nothing else is there.
    for path in [
        "/api",
        "/api/",
        "/api/v0/assets",
        "/api/v2/assets",
        "/api/v1beta/assets",
        "/api/internal/users",
        "/api/v1/admin",
        "/api/v1/debug",
        "/api/v1/config",
        "/api/v1/users/usr_00000000000000000000000007/impersonate",
        "/api/v1/me/token",
        "/api/users",
        "/api/accounts",
        "/graphql",
        "/actuator",
        "/actuator/env",
        "/swagger.json",
        "/v2/api-docs",
        "/rpc",
        "/admin/console",
    ] {
        let reply = stage.get(path, &stage.admin).await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn api10_unsafe_consumption_of_apis() {
    // A provider of identities that sends a flood, one that leads elsewhere, one that sends nonsense.
    let inner = Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 1);
    let flood = Trap::on(
        "127.0.0.1",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n{\"issuer\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        20_000,
    );
    let text: &str =
        format!("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n", inner.port).leak();
    let astray = Trap::on("127.0.0.1", text.as_bytes(), 1);
    let nonsense = Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<html></html", 1);
    let liar = Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Length: 125\r\n\r\n{\"issuer\":\"https://evil.example\",\"authorization_endpoint\":\"https://e/\",\"token_endpoint\":\"https://e/\",\"jwks_uri\":\"https://e/\"}   ", 1);
    let named = [("flood", &flood), ("astray", &astray), ("nonsense", &nonsense), ("liar", &liar)];
    let providers: Vec<String> =
        named.iter().map(|(name, trap)| format!("{name} http://127.0.0.1:{} headwater", trap.port)).collect();
    // A source that is no video, one that lies about its length, one without an end.
    let page = Trap::on(
        "127.0.0.1",
        b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 26\r\n\r\n<html><script>1</script>   ",
        1,
    );
    let huge =
        Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 99999999999\r\n\r\n", 1);
    let endless = Trap::on("127.0.0.1", b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\n\r\n", 100_000);
    let providers = format!("oidc_providers={}", providers.join(","));
    let stage = Stage::start(&[
        "--set",
        &providers,
        "--set",
        "import_networks=127.0.0.0/8",
        "--set",
        "upload_size_max=1000000",
    ])
    .await;
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (name, trap) in named {
        let answer = client.get(format!("{}/api/v1/auth/oidc/{name}", stage.server.url)).asked().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap();
        assert_eq!((answer.status().as_u16(), location), (302, "/login?error=oidc_away"), "{name}");
        assert_eq!(trap.visits(), 1, "{name}");
    }
    assert_eq!(inner.visits(), 0, "a redirect is not followed");
    for (name, trap) in [("a page", &page), ("too much", &huge), ("no end", &endless)] {
        let wanted = json!({ "url": format!("http://127.0.0.1:{}/film.mp4", trap.port) });
        let begun = stage.post("/api/v1/imports", &stage.admin, wanted).await;
        assert_eq!(begun.status, 202, "{name}: {}", begun.text);
        let asset = format!("/api/v1/assets/{}", begun.json()["asset"].as_str().unwrap());
        crate::server::until(name, || async { stage.get(&asset, &stage.admin).await.json()["state"] == "failed" })
            .await;
    }
    assert_eq!(stage.get("/api/v1/me", &stage.admin).await.status, 200, "everything else goes on");
}
