//! A server that logs everything it can, through everything that has a secret in it: none is in the log, nor in the log
//! of what was done, nor in the metrics.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use fixtures::media::{self, ClipSpec};
use reqwest::{Client, redirect};
use serde_json::{Value, json};

use crate::accounts::Guarded;
use crate::double::{Double, turn};
use crate::harness::{Asked, headwater, run, text};
use crate::provider::{CLIENT, Provider};

const PASSWORD: &str = "another long password 1";
const NEXT_PASSWORD: &str = "another long password 2";
const SECRET_KEY: &str = "the key of secrets, of 32 characters and more";
const TOKEN_KEY: &str = "a key of tokens which is long enough";
const CONTENT_KEY: &str = "a secret that nobody could guess in a lifetime";

/// All that must not be found, by what it is.
#[derive(Default)]
struct Secrets(BTreeMap<String, String>);

impl Secrets {
    fn keep(&mut self, what: &str, secret: &str) -> String {
        assert!(secret.len() >= 6, "{what} is no secret: {secret:?}");
        self.0.insert(what.to_owned(), secret.to_owned());
        secret.to_owned()
    }

    /// Those that stand in a text.
    fn found_in(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, secret)| text.contains(secret.as_str())).map(|(what, _)| what.as_str()).collect()
    }
}

fn now_s() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the provider's tokens are good by the clock of the server")]
    let now = std::time::SystemTime::now();
    i64::try_from(now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// The code that a device shows now (RFC 6238).
fn code(secret: &str, now_s: i64) -> String {
    let digits = secret.bytes().map(|digit| if digit >= b'A' { digit - b'A' } else { digit - b'2' + 26 });
    let bits: String = digits.map(|digit| format!("{digit:05b}")).collect();
    let octets: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|eight| u8::from_str_radix(std::str::from_utf8(eight).unwrap(), 2).unwrap())
        .collect();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &octets);
    let mac = aws_lc_rs::hmac::sign(&key, &(now_s / 30).to_be_bytes());
    let at = usize::from(mac.as_ref()[19] & 15);
    let number = u32::from_be_bytes(mac.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The secrets of the links in all letters.
fn links(data: &std::path::Path) -> Vec<String> {
    let letters =
        crate::server::objects(&data.join("mail")).into_iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let plain = letters.map(|letter| letter.replace("=\r\n", "").replace("=3D", "="));
    plain.filter_map(|letter| Some(letter.split_once("#token=")?.1.split_whitespace().next()?.to_owned())).collect()
}

async fn ask(server: &Guarded, method: &str, path: &str, bearer: &str, document: Value) -> (StatusCode, Value) {
    let request = Client::new().request(method.parse().unwrap(), format!("{}{path}", server.url)).bearer_auth(bearer);
    let answer = request.json(&document).asked().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_the_log_of_a_server_that_logs_everything() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let (provider, receiver) = (Provider::start(now_s()).await, Double::new(|_, _| turn(204, "")).await);
    let mut secrets = Secrets::default();
    let args = [
        "log=trace".to_owned(),
        format!("secret_key={}", secrets.keep("the key of secrets", SECRET_KEY)),
        format!("token_keys=k1:{}", secrets.keep("the key of tokens", TOKEN_KEY)),
        format!("content_key_secrets={}", secrets.keep("the secret of content keys", CONTENT_KEY)),
        format!("oidc_providers=corp {} {} Corp", provider.issuer(), CLIENT.0),
        format!("oidc_secrets=corp:{}", secrets.keep("the secret of the client", CLIENT.1)),
        "oidc_registration=corp".to_owned(),
        "webhook_networks=127.0.0.0/8".to_owned(),
        format!("webhook_ports={}", receiver.address.port()),
    ];
    let args: Vec<&str> = args.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let server = Guarded::start_with(&data, true, &args);
    secrets.keep("the link to the first account", server.link.as_deref().unwrap().split_once("#token=").unwrap().1);
    let admin = secrets.keep("an access token", &server.set_up().await);
    secrets.keep("the address of the administrator", "root@example.org");
    secrets.keep("the password of the administrator", "correct horse battery");
    secrets.keep("an upload token", "a-token-of-sixteen-characters");

    // Somebody registers, confirms, logs in, goes on, sets a second factor, forgets, resets.
    let email = secrets.keep("a mail address", "ada.lovelace@example.org");
    secrets.keep("a password", PASSWORD);
    secrets.keep("the next password", NEXT_PASSWORD);
    secrets.keep("a wrong password", "a password that is wrong");
    let post = async |path: &str, document: Value| server.post(path, None, &document).await;
    post("/api/v1/auth/register", json!({ "email": email, "password": PASSWORD, "name": "Ada" })).await;
    crate::server::until("a letter comes", || async { !links(&data).is_empty() }).await;
    for link in links(&data) {
        secrets.keep("a link in a letter", &link);
        post("/api/v1/auth/verify-email", json!({ "token": link })).await;
    }
    post("/api/v1/auth/login", json!({ "email": email, "password": "a password that is wrong" })).await;
    let (status, tokens) = post("/api/v1/auth/login", json!({ "email": email, "password": PASSWORD })).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let refresh = secrets.keep("a refresh token", tokens["refresh_token"].as_str().unwrap());
    let (_, tokens) = post("/api/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
    secrets.keep("the next refresh token", tokens["refresh_token"].as_str().unwrap());
    let token = secrets.keep("the next access token", tokens["access_token"].as_str().unwrap());
    let (_, factor) = ask(&server, "POST", "/api/v1/me/totp", &token, json!({ "password": PASSWORD })).await;
    let factor = secrets.keep("the secret of a second factor", factor["secret"].as_str().unwrap());
    let (status, codes) =
        ask(&server, "PUT", "/api/v1/me/totp", &token, json!({ "code": code(&factor, now_s()) })).await;
    assert_eq!(status, StatusCode::OK, "{codes}");
    for (nth, one) in codes["recovery_codes"].as_array().unwrap().iter().enumerate() {
        secrets.keep(&format!("recovery code {nth}"), one.as_str().unwrap());
    }
    let spare = codes["recovery_codes"][0].as_str().unwrap();
    let (status, _) = post("/api/v1/auth/login", json!({ "email": email, "password": PASSWORD, "code": spare })).await;
    assert_eq!(status, StatusCode::OK);
    let known = links(&data).len();
    post("/api/v1/auth/forgot-password", json!({ "email": email })).await;
    crate::server::until("another letter comes", || async { links(&data).len() > known }).await;
    for (nth, link) in links(&data).into_iter().enumerate() {
        secrets.keep(&format!("link {nth}"), &link);
        post("/api/v1/auth/reset-password", json!({ "token": link, "password": NEXT_PASSWORD })).await;
    }

    // A browser, by a provider.
    let browser = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let start = browser.get(format!("{}/api/v1/auth/oidc/corp", server.url)).asked().await.unwrap();
    let trip = start.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    secrets.keep("the cookie of an attempt", trip.split_once('=').unwrap().1);
    let departure = start.headers()["location"].to_str().unwrap().to_owned();
    secrets.keep("an address of the provider", "grace.hopper@corp.example");
    let person =
        json!({ "sub": "grace-1", "email": "grace.hopper@corp.example", "email_verified": true, "name": "Grace" });
    let back = provider.agrees(&departure, person);
    for (name, value) in back.query_pairs().filter(|(name, _)| matches!(&**name, "code" | "state")) {
        secrets.keep(&format!("{name} of an attempt"), &value);
    }
    let url = format!("{}{}?{}", server.url, back.path(), back.query().unwrap());
    let ended = browser.get(url).header("cookie", &trip).asked().await.unwrap();
    assert_eq!(ended.headers()["location"], "/");
    let cookies = ended.headers().get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let cookie = cookies.filter_map(|value| value.split(';').next()?.split_once("=hws_")).next().unwrap();
    let cookie = format!("hws_{}", cookie.1);
    secrets.keep("the cookie of a session", &cookie);
    let me = browser
        .get(format!("{}/api/v1/me", server.url))
        .header("cookie", format!("headwater={cookie}"))
        .asked()
        .await
        .unwrap();
    assert_eq!(me.status(), StatusCode::OK);

    // Keys, webhooks, links to upload, a video that plays by a token and by a password.
    let wanted = json!({ "name": "ci", "scopes": ["uploads:create", "assets:read"] });
    let (_, key) = ask(&server, "POST", "/api/v1/me/api-keys", &admin, wanted).await;
    let key = secrets.keep("an API key", key["key"].as_str().unwrap());
    let wanted = json!({ "url": format!("{}/hook?{}=x", receiver.url(), secrets.keep("the query of a webhook", "sesame-of-the-hook")) });
    let (_, hook) = ask(&server, "POST", "/api/v1/webhooks", &admin, wanted).await;
    secrets.keep("the secret of a webhook", hook["secret"].as_str().unwrap());
    let path = format!("/api/v1/webhooks/{}", hook["id"].as_str().unwrap());
    let (_, rotated) = ask(&server, "POST", &format!("{path}/secrets"), &admin, json!({})).await;
    secrets.keep("the next secret of a webhook", rotated["secret"].as_str().unwrap());
    ask(&server, "POST", &format!("{path}/test"), &admin, json!({})).await;
    crate::server::until("the webhook hears of it", || async { !receiver.seen().is_empty() }).await;
    let clip = media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let args = ["upload", text(&clip), "--server", &server.url, "--token", &key];
    let done = tokio::task::block_in_place(|| run(&args));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let assets = server.get("/api/v1/assets", &admin).await;
    let asset = format!("/api/v1/assets/{}", assets["data"][0]["id"].as_str().unwrap());
    crate::server::until("it is ready", || async { server.get(&asset, &admin).await["state"] == "ready" }).await;
    let ready = server.get(&asset, &admin).await;
    let playback = ready["playback"]["playback_id"].as_str().unwrap();
    let (_, grant) = ask(&server, "POST", "/api/v1/upload-grants", &admin, json!({})).await;
    let grant = secrets.keep("a link to upload", grant["token"].as_str().unwrap());
    let upload = Client::new().post(format!("{}/uploads", server.url)).bearer_auth(&grant);
    let begun = upload.header("tus-resumable", "1.0.0").header("upload-length", "5").asked().await.unwrap();
    assert_eq!(begun.status(), StatusCode::CREATED);
    let set = |args: &[&str]| {
        let mut command = headwater(&["access", playback, "--data-dir", text(&data)]);
        command.args(["--set", &format!("content_key_secrets={CONTENT_KEY}")]).args(args);
        assert!(command.output().unwrap().status.success());
    };
    set(&["--policy", "signed", "--encrypt", "aes-128"]);
    let signed = headwater(&["token", playback, "--session", "a-viewer-by-name"])
        .env("HEADWATER_TOKEN_KEYS", format!("k1:{TOKEN_KEY}"))
        .output()
        .unwrap();
    let signed = String::from_utf8(signed.stdout).unwrap().trim().to_owned();
    secrets.keep("a token to play", signed.split('/').nth(2).unwrap());
    let plays = async |path: &str| {
        let answer = Client::new().get(format!("{}{path}", server.url)).asked().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap())
    };
    crate::server::until("it plays", || async { plays(&signed).await.0 == StatusCode::OK }).await;
    let folder = signed.rsplit_once('/').unwrap().0;
    assert_eq!(plays(&format!("{folder}/keys/1/0")).await.0, StatusCode::OK);
    plays(&format!(
        "/v/{playback}/master.m3u8?token={}",
        secrets.keep("a token in a query", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln")
    ))
    .await;
    let wrong = Client::new()
        .get(format!("{}/v/{playback}/master.m3u8", server.url))
        .basic_auth("x", Some("a password that is wrong"));
    wrong.asked().await.unwrap();

    // What was written of all that.
    let log = std::fs::read_to_string(&server.log).unwrap();
    assert!(log.contains("TRACE") && log.contains("session begun") && log.contains("identity"), "it says everything");
    let answer = async |path: &str| {
        let request = Client::new().get(format!("{}{path}", server.url)).bearer_auth(&admin);
        request.asked().await.unwrap().text().await.unwrap()
    };
    let (journal, metrics) = (answer("/api/v1/audit-log?limit=100").await, answer("/metrics").await);
    assert!(journal.contains("session.begun") && metrics.contains("headwater_"), "{journal}");
    for (place, text) in [("the log", &log), ("the audit log", &journal), ("the metrics", &metrics)] {
        let found = secrets.found_in(text);
        let lines: Vec<&str> = text.lines().filter(|line| !secrets.found_in(line).is_empty()).take(8).collect();
        assert!(found.is_empty(), "in {place}: {found:?}\n{}", lines.join("\n"));
    }
    assert!(secrets.0.len() > 35, "{}", secrets.0.len());
}
