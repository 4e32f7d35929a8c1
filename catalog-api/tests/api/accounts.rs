//! Accounts from the first letter to the last session.

use std::time::Duration;

use aws_lc_rs::signature::{ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog_api::Algorithm;
use domain::authority::Role;
use serde_json::{Value, json};

use crate::described::check;
use crate::people::{PASSWORD, People, Who, by_token, link_in};

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";

async fn described(people: &People, schema: &str, value: &Value) {
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

#[tokio::test]
async fn somebody_registers_logs_in_and_is_known_by_the_token() {
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    described(&people, "SessionTokens", &tokens).await;
    assert_eq!((&tokens["expires_in"], &tokens["token_type"]), (&json!(900), &json!("Bearer")));
    let answer = people.get(&by_token(&tokens), "/api/v1/me").await;
    assert_eq!((answer.version(), answer.header("cache-control")), (Some(1), Some("private, no-store")));
    let me = answer.ok();
    described(&people, "Person", &me).await;
    assert_eq!((&me["email"], &me["role"], &me["name"]), (&json!(email), &json!("user"), &json!("ada")));
    let nobody = people.get(&Who::default(), "/api/v1/me").await;
    assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
    nobody.is_problem(401, "unauthorized", "/api/v1/me");
    people.server.clock.advance(Duration::from_secs(899));
    people.get(&by_token(&tokens), "/api/v1/me").await.ok();
    people.server.clock.advance(Duration::from_secs(1));
    people.get(&by_token(&tokens), "/api/v1/me").await.is_problem(401, "invalid_token", "/api/v1/me");
    people.stop().await;
}

#[tokio::test]
async fn a_registration_is_answered_alike_whether_or_not_there_is_an_account() {
    let people = People::start().await;
    let wanted = json!({ "email": "Ada@example.org", "password": PASSWORD, "language": "fr" });
    let answers = [
        people.post(&Who::default(), "/api/v1/auth/register", wanted.clone()).await,
        people.post(&Who::default(), "/api/v1/auth/register", wanted).await,
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::ACCEPTED, r#"{"status":"accepted"}"#));
    }
    let letters = people.letters(2).await;
    let holding = |words: &str| letters.iter().filter(|letter| letter.contains(words)).count();
    assert_eq!((holding("/verify#token"), holding("https://media.example.org/reset")), (1, 1), "{letters:?}");
    for field in ["MIME-Version: 1.0\r\n", "\r\nMessage-ID: <", "\r\nDate: "] {
        assert_eq!(holding(field), 2, "{field}");
    }
    let verify = letters.iter().find(|letter| letter.contains("/verify#token")).unwrap();
    let token = json!({ "token": link_in(verify) });
    let path = "/api/v1/auth/verify-email";
    assert_eq!(people.post(&Who::default(), path, token.clone()).await.status, StatusCode::NO_CONTENT);
    people.post(&Who::default(), path, token).await.is_problem(410, "invalid_link", path);
    let tokens = people.logged_in("ada@EXAMPLE.org", PASSWORD).await.ok();
    assert_eq!(tokens["user"]["is_email_verified"], true);
    people.stop().await;
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_told_alike() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    for (email, password) in [(&*email, "wrong password!"), ("nobody@example.org", PASSWORD), ("", "")] {
        let answer = people.logged_in(email, password).await;
        assert!(answer.header("ratelimit").is_some() && answer.header("ratelimit-policy").is_some());
        answer.is_problem(401, "invalid_credentials", LOGIN);
    }
    people.stop().await;
}

#[tokio::test]
async fn documents_that_are_none_are_refused_without_repeating_them() {
    let people = People::start().await;
    for (path, document, code) in [
        (LOGIN, json!({ "email": "a@b.example", "password": 7 }), "invalid_body"),
        (LOGIN, json!({ "email": "a@b.example", "password": "x", "role": "admin" }), "invalid_body"),
        (LOGIN, json!(["a@b.example", "secret-in-a-list"]), "invalid_body"),
        ("/api/v1/auth/register", json!({ "email": "no address", "password": PASSWORD }), "invalid_body"),
        ("/api/v1/auth/register", json!({ "email": "a@b.example", "password": "short" }), "weak_password"),
        ("/api/v1/auth/register", json!({ "email": "a@b.example", "password": "a@b.example" }), "weak_password"),
        (REFRESH, json!({ "refresh_token": "hwr_unknown" }), "invalid_refresh_token"),
        (REFRESH, json!({ "refresh_token": "x".repeat(1000) }), "invalid_refresh_token"),
        ("/api/v1/auth/verify-email", json!({ "token": "hwt_unknown" }), "invalid_link"),
        (
            "/api/v1/auth/setup",
            json!({ "token": "hwt_x", "email": "a@b.example", "password": PASSWORD }),
            "invalid_link",
        ),
    ] {
        let answer = people.post(&Who::default(), path, document).await;
        assert!(!answer.text.contains("secret-in-a-list"), "{}", answer.text);
        assert_eq!(answer.code(), code, "{path}");
    }
    let form = people.send(&Who::default(), ("POST", LOGIN), Value::Null, &[("content-type", "text/plain")]).await;
    form.is_problem(415, "not_json", LOGIN);
    people.stop().await;
}

#[tokio::test]
async fn a_refresh_token_is_rotated_and_its_second_use_ends_the_session() {
    let people = People::start().await;
    let (_, first) = people.registered("ada").await;
    let refresh = async |token: &Value| people.post(&Who::default(), REFRESH, json!({ "refresh_token": token })).await;
    let second = refresh(&first["refresh_token"]).await.ok();
    described(&people, "SessionTokens", &second).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // The answer was lost on the way.
    people.server.clock.advance(Duration::from_secs(29));
    let again = refresh(&first["refresh_token"]).await.ok();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    people.get(&by_token(&again), "/api/v1/me").await.ok();
    let third = refresh(&second["refresh_token"]).await.ok();
    people.get(&by_token(&third), "/api/v1/me").await.ok();
    // Somebody else has the first one.
    refresh(&first["refresh_token"]).await.is_problem(401, "invalid_refresh_token", REFRESH);
    people.get(&by_token(&third), "/api/v1/me").await.is_problem(401, "invalid_token", "/api/v1/me");
    refresh(&third["refresh_token"]).await.is_problem(401, "invalid_refresh_token", REFRESH);
    people.stop().await;
}

#[tokio::test]
async fn a_session_ends_after_a_week_of_silence() {
    let people = People::start().await;
    let (_, first) = people.registered("ada").await;
    let refresh = async |token: &Value| people.post(&Who::default(), REFRESH, json!({ "refresh_token": token })).await;
    people.server.clock.advance(Duration::from_secs(7 * 24 * 3600 - 1));
    let second = refresh(&first["refresh_token"]).await.ok();
    people.server.clock.advance(Duration::from_secs(7 * 24 * 3600));
    refresh(&second["refresh_token"]).await.is_problem(401, "invalid_refresh_token", REFRESH);
    people.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let people = People::start().await;
    let (email, first) = people.registered("ada").await;
    let second = people.logged_in(&email, PASSWORD).await.ok();
    let (one, two) = (by_token(&first), by_token(&second));
    let list = people.get(&two, "/api/v1/me/sessions").await.ok();
    described(&people, "SessionList", &list).await;
    let current: Vec<bool> =
        list["data"].as_array().unwrap().iter().map(|session| session["is_current"].as_bool().unwrap()).collect();
    assert_eq!(current.iter().filter(|current| **current).count(), 1);
    assert_eq!(current.len(), 2);
    let path = format!("/api/v1/me/sessions/{}", first["session"].as_str().unwrap());
    assert_eq!(people.send(&two, ("DELETE", &path), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    people.send(&two, ("DELETE", &path), Value::Null, &[]).await.is_problem(404, "not_found", &path);
    assert_eq!(people.get(&one, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(people.post(&two, "/api/v1/auth/logout", Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(people.get(&two, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    // By the refresh token, for those whose access token is over.
    let third = people.logged_in(&email, PASSWORD).await.ok();
    let token = json!({ "refresh_token": third["refresh_token"] });
    people.post(&Who::default(), "/api/v1/auth/logout", token).await;
    assert_eq!(people.get(&by_token(&third), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    people.stop().await;
}

#[tokio::test]
async fn whoever_comes_while_the_database_is_damaged_is_asked_to_come_back() {
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    for name in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
        let path = people.server.dir.path().join(name);
        let length = std::fs::metadata(&path).unwrap().len();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let noise = vec![0xaa; usize::try_from(length).unwrap()];
        std::os::unix::fs::FileExt::write_all_at(&file, &noise, 0).unwrap();
    }
    let token = format!("hwt_{}", "a".repeat(43));
    for (path, wanted) in [
        (LOGIN, json!({ "email": email, "password": PASSWORD })),
        (REFRESH, json!({ "refresh_token": tokens["refresh_token"] })),
        ("/api/v1/auth/register", json!({ "email": "new@example.org", "password": PASSWORD })),
        ("/api/v1/auth/reset-password", json!({ "token": token, "password": PASSWORD })),
    ] {
        let answer = people.post(&Who::default(), path, wanted).await;
        assert_eq!(answer.header("retry-after"), Some("5"), "{path}: {}", answer.text);
        answer.is_problem(503, "catalog_unavailable", path);
    }
}

/// The code that a device shows now, by RFC 6238 and RFC 4648 as the test understands them.
pub(crate) fn shown(secret: &str, now: domain::Timestamp) -> String {
    let digits = secret.bytes().map(|digit| if digit >= b'A' { digit - b'A' } else { digit - b'2' + 26 });
    let bits: String = digits.map(|digit| format!("{digit:05b}")).collect();
    let octets: Vec<u8> = bits
        .as_bytes()
        .chunks_exact(8)
        .map(|eight| u8::from_str_radix(std::str::from_utf8(eight).unwrap(), 2).unwrap())
        .collect();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &octets);
    let mac = aws_lc_rs::hmac::sign(&key, &(now.unix_ms() / 30_000).to_be_bytes());
    let at = usize::from(mac.as_ref()[19] & 15);
    let number = u32::from_be_bytes(mac.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_once_it_is_confirmed() {
    use domain::Clock;
    let people = People::start().await;
    let (email, tokens) = people.registered("ada").await;
    let (who, path) = (by_token(&tokens), "/api/v1/me/totp");
    people.post(&who, path, json!({ "password": "not the present one" })).await.is_problem(403, "forbidden", path);
    let begun = people.post(&who, path, json!({ "password": PASSWORD })).await.ok();
    described(&people, "SecondFactor", &begun).await;
    let secret = begun["secret"].as_str().unwrap().to_owned();
    people.logged_in(&email, PASSWORD).await.ok();
    let confirm = async |code: &str| people.send(&who, ("PUT", path), json!({ "code": code }), &[]).await;
    confirm("000000").await.is_problem(401, "invalid_code", path);
    let confirmed = confirm(&shown(&secret, people.server.clock.now())).await.ok();
    described(&people, "RecoveryCodes", &confirmed).await;
    let log_in = async |code: Option<&str>| {
        let wanted = json!({ "email": email, "password": PASSWORD, "code": code });
        people.post(&Who::default(), LOGIN, wanted).await
    };
    log_in(None).await.is_problem(401, "code_required", LOGIN);
    assert_eq!(log_in(Some(&shown(&secret, people.server.clock.now()))).await.code(), "invalid_code", "it was used");
    people.server.clock.advance(Duration::from_secs(30));
    let code = shown(&secret, people.server.clock.now());
    assert_eq!(log_in(Some(&code)).await.ok()["user"]["has_second_factor"], true);
    assert_eq!(log_in(Some(&code)).await.code(), "invalid_code", "only once");
    let spare = confirmed["recovery_codes"][3].as_str().unwrap().to_lowercase();
    log_in(Some(&spare)).await.ok();
    assert_eq!(log_in(Some(&spare)).await.code(), "invalid_code", "only once");
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(log_in(Some("123456")).await.code());
    }
    assert_eq!(codes.last().unwrap(), "too_many_attempts", "{codes:?}");
    let removal = "/api/v1/me/totp/removal";
    assert_eq!(people.post(&who, removal, json!({ "password": PASSWORD })).await.status, StatusCode::NO_CONTENT);
    log_in(None).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn a_profile_is_changed_at_the_version_that_was_read() {
    let people = People::start().await;
    let (_, tokens) = people.registered("ada").await;
    let (who, path) = (by_token(&tokens), "/api/v1/me");
    let wanted = json!({ "name": "  Ada \n Lovelace ", "bio": "Counts.", "language": "fra" });
    let change =
        async |version: &str| people.send(&who, ("PATCH", path), wanted.clone(), &[("if-match", version)]).await;
    people.send(&who, ("PATCH", path), wanted.clone(), &[]).await.is_problem(428, "precondition_required", path);
    let stale = change("\"7\"").await;
    assert_eq!(stale.version(), Some(1));
    stale.is_problem(412, "changed", path);
    let changed = change("\"1\"").await;
    assert_eq!(changed.version(), Some(2));
    let changed = changed.ok();
    assert_eq!((&changed["name"], &changed["language"]), (&json!("Ada Lovelace"), &json!("fr")));
    let cleared = people.send(&who, ("PATCH", path), json!({ "language": null }), &[("if-match", "\"2\"")]).await.ok();
    assert_eq!((&cleared["language"], &cleared["bio"]), (&Value::Null, &json!("Counts.")));
    people.stop().await;
}

#[tokio::test]
async fn hashes_of_another_system_are_taken_and_written_anew_at_the_first_login() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let wanted = json!({ "email": "old@example.org", "password_hash": bcrypt, "role": "uploader" });
    let made = people.post(&admin, "/api/v1/users", wanted).await;
    assert!(made.header("location").is_some_and(|at| at.starts_with("/api/v1/users/usr_")));
    let made = made.created();
    described(&people, "Person", &made).await;
    assert_eq!(made["role"], "uploader");
    assert_eq!(people.logged_in("old@example.org", "U*V").await.code(), "invalid_credentials");
    people.logged_in("old@example.org", "U*U").await.ok();
    let stored = people.server.catalog.user_by_email("old@example.org").await.unwrap().unwrap().password.unwrap();
    assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
    people.logged_in("old@example.org", "U*U").await.ok();
    let twice = json!({ "email": "old@example.org", "password": PASSWORD });
    people.post(&admin, "/api/v1/users", twice).await.is_problem(409, "email_taken", "/api/v1/users");
    let plain = json!({ "email": "new@example.org", "password_hash": "md5:abc" });
    people.post(&admin, "/api/v1/users", plain).await.is_problem(422, "invalid_body", "/api/v1/users");
    people.stop().await;
}

#[tokio::test]
async fn a_flood_of_logins_is_told_to_wait_by_account_and_by_address() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    let wanted = json!({ "email": email, "password": "wrong password!" });
    let tried = async |from: &str| {
        people.send(&Who::default(), ("POST", LOGIN), wanted.clone(), &[("x-forwarded-for", from)]).await
    };
    let mut codes = Vec::new();
    for at in 0..22 {
        codes.push(tried(&format!("192.0.2.{at}")).await.code());
    }
    assert_eq!(codes[..20].iter().filter(|code| *code == "invalid_credentials").count(), 20, "{codes:?}");
    assert_eq!(codes[20..], ["too_many_attempts", "too_many_attempts"], "one account, many addresses");
    let waits = tried("192.0.2.99").await;
    let seconds: u32 = waits.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{seconds}");
    waits.is_problem(429, "too_many_attempts", LOGIN);
    let problem: Value = serde_json::from_str(&waits.text).unwrap();
    assert_eq!(problem["violated-policies"], json!(["login-account"]));
    let bounds: Vec<_> = waits.headers.get_all("ratelimit").iter().map(|bound| bound.to_str().unwrap()).collect();
    assert!(bounds.iter().any(|bound| bound.starts_with("\"login\";r=29;t=")), "{bounds:?}");
    assert!(bounds.iter().any(|bound| bound.starts_with("\"login-account\";r=0;t=")), "{bounds:?}");
    people.server.clock.advance(Duration::from_secs(10));
    assert_eq!(tried("192.0.2.99").await.code(), "invalid_credentials", "one more after a while");
    let mut refused = 0;
    for at in 0..32 {
        let wanted = json!({ "email": format!("nobody-{at}@example.org"), "password": "x" });
        let answer =
            people.send(&Who::default(), ("POST", LOGIN), wanted, &[("x-forwarded-for", "198.51.100.7")]).await;
        refused += usize::from(answer.code() == "too_many_attempts");
    }
    assert_eq!(refused, 2, "one address, many accounts");
    people.stop().await;
}

#[tokio::test]
async fn an_address_that_letters_reach_has_to_be_confirmed_before_it_is_used() {
    // Nobody listens there: the letter stays where it is, which the answer does not tell.
    let people = People::start_with(|settings| {
        settings.mail = catalog_api::MailRoute::Smtp("smtp://127.0.0.1:9".into());
    })
    .await;
    let wanted = json!({ "email": "ada@example.org", "password": PASSWORD });
    assert_eq!(people.post(&Who::default(), "/api/v1/auth/register", wanted).await.status, StatusCode::ACCEPTED);
    people.logged_in("ada@example.org", PASSWORD).await.is_problem(403, "email_not_verified", LOGIN);
    people.stop().await;
}

#[tokio::test]
async fn where_registration_is_closed_administrators_invite() {
    let people = People::start_with(|settings| settings.is_registration_open = false).await;
    let wanted = json!({ "email": "ada@example.org", "password": PASSWORD });
    let path = "/api/v1/auth/register";
    people.post(&Who::default(), path, wanted).await.is_problem(403, "registration_closed", path);
    let access = people.get(&Who::default(), "/api/v1/access").await.ok();
    assert_eq!(access, json!({ "access": "accounts", "is_registration_open": false }));
    let admin = people.somebody(Role::Admin).await;
    people.post(&admin, "/api/v1/users", json!({ "email": "ada@example.org" })).await.created();
    let letters = people.letters(1).await;
    let wanted = json!({ "token": link_in(&letters[0]), "password": PASSWORD });
    assert_eq!(
        people.post(&Who::default(), "/api/v1/auth/reset-password", wanted).await.status,
        StatusCode::NO_CONTENT
    );
    people.logged_in("ada@example.org", PASSWORD).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn the_first_administrator_is_set_up_by_a_link_that_is_good_once() {
    let people = People::start().await;
    let unused = people.accounts.setup_link().await.unwrap().unwrap();
    let link = people.accounts.setup_link().await.unwrap().unwrap();
    assert!(link.starts_with("https://media.example.org/setup#token=hwt_"), "{link}");
    let (path, email) = ("/api/v1/auth/setup", "root@example.org");
    let wanted = |link: &str| json!({ "token": link_in(link), "email": email, "password": PASSWORD, "name": "Root" });
    people.post(&Who::default(), path, wanted(&unused)).await.is_problem(410, "invalid_link", path);
    assert_eq!(people.post(&Who::default(), path, wanted(&link)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(people.accounts.setup_link().await.unwrap(), None, "there is somebody");
    assert_eq!(people.logged_in(email, PASSWORD).await.ok()["user"]["role"], "admin");
    // Nor does who has no link that is good learn that the address has an account.
    people.post(&Who::default(), path, wanted(&link)).await.is_problem(410, "invalid_link", path);
    people.stop().await;
}

/// The header and claims of a token, checked with the published keys alone.
fn opened(token: &str, keys: &Value) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let header: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let (message, signature) = (format!("{}.{}", parts[0], parts[1]), decoded(parts[2]));
    let field = |name: &str| decoded(key[name].as_str().unwrap());
    match key["kty"].as_str().unwrap() {
        "OKP" => UnparsedPublicKey::new(&ED25519, field("x")).verify(message.as_bytes(), &signature).unwrap(),
        _ => RsaPublicKeyComponents { n: field("n"), e: field("e") }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature)
            .unwrap(),
    }
    (header, serde_json::from_slice(&decoded(parts[1])).unwrap())
}

#[tokio::test]
async fn tokens_are_signed_by_the_keys_that_are_published() {
    for (algorithm, name) in [(Algorithm::EdDsa, "EdDSA"), (Algorithm::Rs256, "RS256")] {
        let people = People::start_with(|settings| settings.algorithm = algorithm).await;
        let (_, tokens) = people.registered("ada").await;
        let keys = people.get(&Who::default(), "/.well-known/jwks.json").await.ok();
        described(&people, "KeySet", &keys).await;
        assert!(!keys.to_string().contains("\"d\""), "no private part is published");
        let (header, claims) = opened(tokens["access_token"].as_str().unwrap(), &keys);
        assert_eq!((&header["alg"], &header["typ"]), (&json!(name), &json!("JWT")));
        assert_eq!((&claims["aud"], &claims["role"]), (&json!("headwater"), &json!("user")));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
        people.stop().await;
    }
}

#[tokio::test]
async fn a_token_that_was_changed_is_worth_nothing() {
    let people = People::start().await;
    let (_, tokens) = people.registered("ada").await;
    let token = tokens["access_token"].as_str().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let with = |header: Value, change: &dyn Fn(&mut Value), signature: &str| {
        let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        change(&mut claims);
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{signature}", encoded(&header), encoded(&claims))
    };
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    let kid = &header["kid"];
    for forged in [
        with(header.clone(), &|claims| claims["role"] = json!("admin"), parts[2]),
        with(json!({ "alg": "none", "kid": kid }), &|_| {}, ""),
        with(json!({ "alg": "HS256", "kid": kid }), &|_| {}, parts[2]),
        with(json!({ "alg": "EdDSA", "kid": "other" }), &|_| {}, parts[2]),
        with(json!({ "alg": "EdDSA" }), &|_| {}, parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        "a.b.c".into(),
        "...".into(),
        "x".repeat(5000),
    ] {
        let who = Who { bearer: Some(forged.clone()), ..Who::default() };
        assert_eq!(people.get(&who, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "{forged}");
    }
    people.get(&by_token(&tokens), "/api/v1/me").await.ok();
    people.stop().await;
}

#[tokio::test]
async fn signing_keys_change_every_month_and_overlap() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    let kid = async || {
        let tokens = people.logged_in(&email, PASSWORD).await.ok();
        let keys = people.get(&Who::default(), "/.well-known/jwks.json").await.ok();
        let (header, _) = opened(tokens["access_token"].as_str().unwrap(), &keys);
        (header["kid"].clone(), keys["keys"].as_array().unwrap().len(), tokens)
    };
    let (first, count, _) = kid().await;
    assert_eq!(count, 1);
    people.server.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let soon = tokio_util::sync::CancellationToken::new();
    let tidied = async || {
        let tidy = people.accounts.clone().tidy(soon.clone());
        // One round, and then it rests for an hour.
        let _ = tokio::time::timeout(Duration::from_millis(500), tidy).await;
    };
    tidied().await;
    let (still, count, tokens) = kid().await;
    assert_eq!((&still, count), (&first, 2), "the new one is published before it signs");
    people.server.clock.advance(Duration::from_secs(3600));
    let (second, _, _) = kid().await;
    assert_ne!(second, first);
    assert_eq!(people.get(&by_token(&tokens), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "it is over");
    people.stop().await;
}

#[tokio::test]
async fn logins_that_fail_are_written_down_by_account_and_counted() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    for _ in 0..3 {
        people.logged_in(&email, "not the password").await.is_problem(401, "invalid_credentials", "/api/v1/auth/login");
    }
    people.logged_in("nobody@example.org", "not the password").await;
    people.accounts.write_failures().await.unwrap();
    people.accounts.write_failures().await.unwrap();
    let log = people.server.catalog.audit_log(None, 100).await.unwrap();
    let failed: Vec<_> = log.iter().filter(|entry| entry.action == "login.failed").collect();
    let of_ada = failed.iter().find(|entry| entry.subject.is_some()).unwrap();
    let of_nobody = failed.iter().find(|entry| entry.subject.is_none()).unwrap();
    assert_eq!((failed.len(), &of_ada.data["count"], &of_nobody.data["count"]), (2, &json!(3), &json!(1)));
    assert!(!log.iter().any(|entry| entry.data.to_string().contains("example.org")), "no address is written");
    people.stop().await;
}

#[tokio::test]
async fn a_change_of_whatever_is_there_is_done_however_many_change_it() {
    let people = People::start().await;
    let admin = people.account(Role::Admin, Some("$argon2id$".into())).await;
    let (admin, user) = (people.session_of(admin).await, people.somebody(Role::Uploader).await);
    let id = user.user.unwrap();
    let (mine, theirs) = ("/api/v1/me".to_owned(), format!("/api/v1/users/{id}"));
    let mut changes = Vec::new();
    for nth in 0..6_u64 {
        changes.push((&user, &mine, json!({ "name": format!("name {nth}") })));
        changes.push((&admin, &theirs, json!({ "quota_bytes": nth + 1 })));
    }
    let sent = changes.into_iter().map(|(who, path, document)| {
        let people = &people;
        async move { people.send(who, ("PATCH", path), document, &[("if-match", "*")]).await }
    });
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert_eq!(people.get(&admin, &theirs).await.version(), Some(13), "each was done, one after another");
    let stale = people.send(&user, ("PATCH", &mine), json!({ "name": "x" }), &[("if-match", "\"12\"")]).await;
    stale.is_problem(412, "changed", &mine);
    people.stop().await;
}

#[tokio::test]
async fn a_cookie_is_bound_to_tls_where_this_process_ends_it() {
    let people = People::start_with(|settings| settings.public_url = None).await;
    let (email, _) = people.registered("ada").await;
    let cookie = async |is_encrypted: bool| {
        let document = json!({ "email": email, "password": PASSWORD, "cookie": true }).to_string();
        // A browser that says no more of where the page is from.
        let request = Request::post(LOGIN).header("content-type", "application/json");
        let request = request.header("host", "media.example.org").header("sec-fetch-site", "same-origin");
        let mut request = request.body(Body::from(document)).unwrap();
        if is_encrypted {
            request.extensions_mut().insert(catalog_api::Encrypted);
        }
        let answer = people.server.ask(request).await;
        answer.header("set-cookie").unwrap().to_owned()
    };
    let (secure, plain) = (cookie(true).await, cookie(false).await);
    assert!(secure.starts_with("__Host-headwater=hws_") && secure.ends_with("; Secure"), "{secure}");
    assert!(plain.starts_with("headwater=hws_") && !plain.contains("Secure"), "{plain}");
    people.stop().await;
}
