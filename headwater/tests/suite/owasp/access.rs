//! Who somebody is, what is theirs, and what they may: API1, API2, API3, API5.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{PASSWORD, Stage, id_in};

#[tokio::test]
async fn api1_broken_object_level_authorization() {
    let stage = Stage::start(&[]).await;
    let (ada, eve) = (stage.person("ada", "uploader").await, stage.person("eve", "uploader").await);
    let (_, asset) = stage.upload(&ada.token).await;
    let made = async |path: &str, document| id_in(&stage.post(path, &ada.token, document).await);
    let collection = made("/api/v1/collections", json!({ "kind": "playlist", "title": "Mine" })).await;
    let channel = made("/api/v1/channels", json!({ "handle": "ada", "name": "Ada" })).await;
    let webhook = made("/api/v1/webhooks", json!({ "url": "https://example.org/hook" })).await;
    let key = made("/api/v1/me/api-keys", json!({ "name": "x", "scopes": ["assets:read"] })).await;
    let grant = made("/api/v1/upload-grants", json!({})).await;
    let sessions = stage.get("/api/v1/me/sessions", &ada.token).await.json();
    let session = sessions["data"][0]["id"].as_str().unwrap().to_owned();
    let text = json!({ "title": "Eve was here" });
    let attempts = [
        ("GET", asset.clone(), Value::Null),
        ("PATCH", asset.clone(), text.clone()),
        ("DELETE", asset.clone(), Value::Null),
        ("PUT", format!("{asset}/shares/{}", eve.id), json!({ "standing": "owner" })),
        ("PUT", format!("{asset}/chapters"), json!({ "chapters": [{ "start_s": 0, "title": "x" }] })),
        ("PUT", format!("{asset}/schedule"), json!({})),
        ("PUT", format!("{asset}/stage"), json!({ "stage": "archived" })),
        ("POST", format!("{asset}/reprocess"), json!({})),
        ("POST", format!("{asset}/restore"), Value::Null),
        ("GET", format!("{asset}/subtitles"), Value::Null),
        ("GET", format!("{asset}/search?q=x"), Value::Null),
        ("GET", format!("/api/v1/collections/{collection}"), Value::Null),
        ("PATCH", format!("/api/v1/collections/{collection}"), text.clone()),
        ("DELETE", format!("/api/v1/collections/{collection}"), Value::Null),
        ("GET", format!("/api/v1/collections/{collection}/items"), Value::Null),
        ("PUT", format!("/api/v1/collections/{collection}/shares/{}", eve.id), json!({ "standing": "owner" })),
        ("PATCH", format!("/api/v1/channels/{channel}"), json!({ "name": "Eve" })),
        ("DELETE", format!("/api/v1/channels/{channel}"), Value::Null),
        ("GET", format!("/api/v1/webhooks/{webhook}"), Value::Null),
        ("PATCH", format!("/api/v1/webhooks/{webhook}"), json!({ "url": "https://evil.example/" })),
        ("POST", format!("/api/v1/webhooks/{webhook}/secrets"), json!({})),
        ("GET", format!("/api/v1/webhooks/{webhook}/deliveries"), Value::Null),
        ("DELETE", format!("/api/v1/webhooks/{webhook}"), Value::Null),
        ("DELETE", format!("/api/v1/me/api-keys/{key}"), Value::Null),
        ("DELETE", format!("/api/v1/me/sessions/{session}"), Value::Null),
        ("GET", format!("/api/v1/upload-grants/{grant}"), Value::Null),
        ("DELETE", format!("/api/v1/upload-grants/{grant}"), Value::Null),
        ("GET", format!("/api/v1/users/{}", ada.id), Value::Null),
        ("DELETE", format!("/api/v1/users/{}", ada.id), Value::Null),
    ];
    for (method, path, document) in attempts {
        let reply = stage.ask(method, &path, &eve.token, document, &[("if-match", "\"1\"")]).await;
        assert!(matches!(reply.status, 403 | 404), "{method} {path}: {} {}", reply.status, reply.text);
        assert!(!reply.text.contains("Mine") && !reply.text.contains("whsec_"), "{method} {path}: {}", reply.text);
    }
    // Whoever guesses learns nothing: what is not theirs is answered as what is not there.
    let unknown = stage.get("/api/v1/assets/ast_00000000000000000000000007", &eve.token).await;
    let known = stage.get(&asset, &eve.token).await;
    assert_eq!(
        (known.status, known.code(), known.json()["detail"].clone()),
        (404, unknown.code(), unknown.json()["detail"].clone())
    );
    for list in [
        "assets",
        "assets?state=uploading",
        "search?q=mine",
        "collections",
        "webhooks",
        "bin",
        "me/api-keys",
        "upload-grants",
    ] {
        let listed = stage.get(&format!("/api/v1/{list}"), &eve.token).await.json();
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(0), "{list}: {listed}");
    }
    assert_eq!(stage.get(&asset, &ada.token).await.status, 200, "nothing happened to it");
    assert_eq!(stage.get(&format!("/api/v1/webhooks/{webhook}"), &ada.token).await.status, 200);
}

#[tokio::test]
async fn api2_broken_authentication() {
    let stage = Stage::start(&[]).await;
    let ada = stage.person("ada", "user").await;
    assert_eq!(stage.get("/api/v1/me", &ada.token).await.status, 200);
    // Tokens that somebody made up, or made another of.
    let (signed, mac) = ada.token.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let coded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let keys = stage.get("/.well-known/jwks.json", "").await.json();
    let public = URL_SAFE_NO_PAD.decode(keys["keys"][0]["x"].as_str().unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut changed = read(claims);
        changed[name] = value;
        format!("{head}.{}.{mac}", coded(&changed))
    };
    let header = |algorithm: &str| {
        let mut changed = read(head);
        changed["alg"] = json!(algorithm);
        coded(&changed)
    };
    let by_public = {
        let message = format!("{}.{claims}", header("HS256"));
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
        let mac = aws_lc_rs::hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()))
    };
    let other_key = {
        let mut changed = read(head);
        changed["kid"] = json!("../../etc/passwd");
        format!("{}.{claims}.{mac}", coded(&changed))
    };
    for (what, token) in [
        ("no rule", format!("{}.{claims}.", header("none"))),
        ("no rule, with a signature", format!("{}.{claims}.{mac}", header("none"))),
        ("the public key as a secret", by_public),
        ("another key", other_key),
        ("another person", with("sub", json!("usr_00000000000000000000000007"))),
        ("another role", with("role", json!("admin"))),
        ("another end", with("exp", json!(9_999_999_999_u64))),
        ("no signature", format!("{signed}.")),
        ("half of it", ada.token[..ada.token.len() / 2].to_owned()),
        ("the refresh token", ada.refresh.clone()),
        ("a key that is none", "hwk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned()),
    ] {
        assert_eq!(stage.get("/api/v1/me", &token).await.status, 401, "{what}");
    }
    for path in [format!("/api/v1/me?access_token={}", ada.token), format!("/api/v1/me?token={}", ada.token)] {
        assert_eq!(stage.get(&path, "").await.status, 401, "tokens in addresses are none");
    }
    // A refresh token that is used twice ends the session for both.
    let refresh = async |token: &str| stage.post("/api/v1/auth/refresh", "", json!({ "refresh_token": token })).await;
    let next = refresh(&ada.refresh).await.json()["refresh_token"].as_str().unwrap().to_owned();
    let third = refresh(&next).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(stage.get("/api/v1/me", &third).await.status, 200);
    assert_eq!(refresh(&ada.refresh).await.code(), "invalid_refresh_token");
    assert_eq!(stage.get("/api/v1/me", &third).await.status, 401, "somebody has it who should not");
    // Nobody tries passwords for long, whatever address they seem to come from.
    let mut answers = Vec::new();
    for nth in 0..30 {
        answers.push(stage.log_in(&ada.email, "a wrong password", &format!("203.0.113.{nth}")).await.status);
    }
    let tried = answers.iter().filter(|status| **status == 401).count();
    assert!(tried <= 20 && answers.ends_with(&[429]), "{answers:?}");
    // Who has an account is told to nobody.
    let known = stage.log_in("root@example.org", "a wrong password", "203.0.113.200").await;
    let unknown = stage.log_in("nobody@example.org", "a wrong password", "203.0.113.201").await;
    assert_eq!((known.status, known.code()), (unknown.status, unknown.code()));
    for path in ["/api/v1/auth/forgot-password", "/api/v1/auth/register"] {
        let asked = async |email: &str| {
            let mut document = json!({ "email": email });
            if path.ends_with("register") {
                document["password"] = json!(PASSWORD);
            }
            let reply = stage.post(path, "", document).await;
            (reply.status, reply.text)
        };
        assert_eq!(asked("root@example.org").await, asked("nobody@example.org").await, "{path}");
    }
    for weak in ["short", "aaaaaaaaaaaa", "weak@example.org"] {
        let document = json!({ "email": "weak@example.org", "password": weak });
        assert_eq!(stage.post("/api/v1/auth/register", "", document).await.code(), "weak_password", "{weak}");
    }
    // What ends, ends at once.
    let bob = stage.person("bob", "user").await;
    let wanted = json!({ "name": "x", "scopes": ["account:read"] });
    let key = stage.post("/api/v1/me/api-keys", &bob.token, wanted).await.json();
    let secret = key["key"].as_str().unwrap();
    assert_eq!(stage.get("/api/v1/me", secret).await.status, 200);
    let path = format!("/api/v1/me/api-keys/{}", key["id"].as_str().unwrap());
    stage.ask("DELETE", &path, &bob.token, Value::Null, &[]).await;
    assert_eq!(stage.get("/api/v1/me", secret).await.status, 401);
    stage.post("/api/v1/auth/logout", &bob.token, Value::Null).await;
    assert_eq!(stage.get("/api/v1/me", &bob.token).await.status, 401);
}

#[tokio::test]
async fn api3_broken_object_property_level_authorization() {
    let stage = Stage::start(&[]).await;
    let ada = stage.person("ada", "uploader").await;
    let (_, asset) = stage.upload(&ada.token).await;
    let tag = [("if-match", "\"1\"")];
    // Fields that nobody sets for themselves.
    let more = [
        ("role", json!("admin")),
        ("state", json!("active")),
        ("quota_bytes", json!(1_u64 << 50)),
        ("is_email_verified", json!(true)),
        ("has_second_factor", json!(false)),
        ("id", json!("usr_00000000000000000000000007")),
        ("email", json!("root@example.org")),
        ("password", json!("x")),
        ("totp", json!(null)),
        ("__proto__", json!({ "role": "admin" })),
    ];
    for (name, value) in more {
        let reply = stage.ask("PATCH", "/api/v1/me", &ada.token, json!({ "name": "Ada", name: value }), &tag).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "invalid_body"), "{name}: {}", reply.text);
    }
    for (name, value) in [("role", json!("admin")), ("is_email_verified", json!(true)), ("state", json!("active"))] {
        let document = json!({ "email": "new@example.org", "password": PASSWORD, name: value });
        assert_eq!(stage.post("/api/v1/auth/register", "", document).await.status, 422, "{name}");
    }
    for (name, value) in [
        ("owner", json!("usr_00000000000000000000000007")),
        ("state", json!("ready")),
        ("playback_id", json!("plb_00000000000000000000000007")),
        ("stage", json!("published")),
        ("size_bytes", json!(1)),
        ("generation", json!(7)),
    ] {
        let reply = stage.ask("PATCH", &asset, &ada.token, json!({ "title": "x", name: value }), &tag).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text);
    }
    let person = stage.get("/api/v1/me", &ada.token).await.json();
    assert_eq!((&person["role"], &person["name"]), (&json!("uploader"), &json!("ada")), "nothing of it was done");
    // A user does not change terms, not even their own.
    for document in [json!({ "role": "admin" }), json!({ "quota_bytes": null })] {
        let path = format!("/api/v1/users/{}", ada.id);
        assert_eq!(stage.ask("PATCH", &path, &ada.token, document, &tag).await.status, 403);
    }
    // What answers hold: no hash, no secret, and of others nothing that is theirs alone.
    let hook = json!({ "url": "https://example.org/hook" });
    stage.post("/api/v1/webhooks", &ada.token, hook).await;
    let wanted = json!({ "name": "x", "scopes": ["assets:read"] });
    let key = stage.post("/api/v1/me/api-keys", &ada.token, wanted).await.json();
    let key = key["key"].as_str().unwrap();
    stage.post("/api/v1/me/totp", &ada.token, json!({ "password": PASSWORD })).await;
    for (path, token) in [
        ("/api/v1/me", &ada.token),
        ("/api/v1/me/export", &ada.token),
        ("/api/v1/me/api-keys", &ada.token),
        ("/api/v1/me/sessions", &ada.token),
        ("/api/v1/webhooks", &ada.token),
        ("/api/v1/users", &stage.admin),
        ("/api/v1/audit-log", &stage.admin),
        (asset.as_str(), &ada.token),
    ] {
        let reply = stage.get(path, token).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        for word in
            ["$argon2", "password\"", "hash\":\"$", "\"totp", "whsec_", key, "chain_key", "secret\"", "sealed:1:"]
        {
            assert!(!reply.text.contains(word), "{word} is in {path}: {}", reply.text);
        }
    }
    let log = stage.get("/api/v1/audit-log", &stage.admin).await;
    assert!(!log.text.contains("example.org"), "the log names nobody: {}", log.text);
}

#[tokio::test]
async fn api5_broken_function_level_authorization() {
    let stage = Stage::start(&[]).await;
    let (user, uploader) = (stage.person("user", "user").await, stage.person("up", "uploader").await);
    let moderator = stage.person("mod", "moderator").await;
    let wanted = json!({ "name": "x", "scopes": ["assets:read"] });
    let key = stage.post("/api/v1/me/api-keys", &stage.admin, wanted).await.json();
    let key = key["key"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/users/{}", user.id);
    let new = json!({ "email": "x@example.org", "role": "admin", "password": PASSWORD });
    let ways = [
        ("GET", "/api/v1/users".to_owned(), Value::Null),
        ("POST", "/api/v1/users".to_owned(), new.clone()),
        ("PATCH", path.clone(), json!({ "role": "admin" })),
        ("DELETE", path.clone(), Value::Null),
        ("GET", "/api/v1/audit-log".to_owned(), Value::Null),
    ];
    for (who, token) in [
        ("user", &user.token),
        ("uploader", &uploader.token),
        ("moderator", &moderator.token),
        ("key", &key),
        ("nobody", &String::new()),
    ] {
        for (method, path, document) in &ways {
            for headers in [
                vec![("if-match", "\"1\"")],
                vec![("if-match", "\"1\""), ("x-http-method-override", "GET"), ("x-original-url", "/api/v1/me")],
                vec![
                    ("if-match", "\"1\""),
                    ("x-role", "admin"),
                    ("x-user-id", "1"),
                    ("x-forwarded-user", "root@example.org"),
                ],
            ] {
                let reply = stage.ask(method, path, token, document.clone(), &headers).await;
                assert!(matches!(reply.status, 401 | 403), "{method} {path} by {who}: {} {}", reply.status, reply.text);
            }
        }
        // Other spellings of the same path.
        for path in [
            "/api/v1/users/",
            "/api/v1//users",
            "/API/v1/users",
            "/api/v1/users%2f",
            "/api/v1/./users",
            "/api/v1/me/../users",
            "/api/v1/users;x",
            "/api/v1/users.json",
            "/api/v1/%75sers",
        ] {
            let reply = stage.get(path, token).await;
            assert!(matches!(reply.status, 401 | 403 | 404), "{path} by {who}: {}", reply.status);
            assert!(!reply.text.contains("root@example.org"), "{path} by {who}");
        }
    }
    // Less than a user may: an upload, a webhook, a link for others.
    for (path, document) in [
        ("/api/v1/webhooks", json!({ "url": "https://example.org/" })),
        ("/api/v1/upload-grants", json!({})),
        ("/api/v1/imports", json!({ "url": "https://example.org/a.mp4" })),
    ] {
        assert_eq!(stage.post(path, &user.token, document).await.status, 403, "{path}");
    }
    let headers = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
    assert_eq!(stage.ask("POST", "/uploads", &user.token, Value::Null, &headers).await.status, 403);
    // A key does what its scopes say, and makes no other keys.
    assert_eq!(stage.get("/api/v1/assets", &key).await.status, 200);
    for (method, path) in [
        ("POST", "/api/v1/me/api-keys"),
        ("PUT", "/api/v1/me/password"),
        ("DELETE", "/api/v1/me"),
        ("POST", "/api/v1/me/totp"),
    ] {
        assert_eq!(stage.ask(method, path, &key, json!({}), &[]).await.status, 403, "{method} {path}");
    }
    // What was somebody's right a moment ago is not any more.
    let demoted = format!("/api/v1/users/{}", moderator.id);
    let tag = stage.get(&demoted, &stage.admin).await.header("etag").to_owned();
    let changed = stage.ask("PATCH", &demoted, &stage.admin, json!({ "role": "guest" }), &[("if-match", &tag)]).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let (_, asset) = stage.upload(&uploader.token).await;
    assert_eq!(stage.get(&asset, &moderator.token).await.status, 404);
}
