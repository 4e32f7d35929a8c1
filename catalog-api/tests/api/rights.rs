//! What is whose: shares, keys, cookies, and what administrators do.

use axum::http::StatusCode;
use catalog_store::{NewUpload, Target};
use domain::authority::{Role, Scope, Standing};
use domain::{Clock, DocumentId, JobId, Stage, UploadId};
use serde_json::{Value, json};

use crate::described::check;
use crate::people::{PASSWORD, People, TOKEN, Who, by_token};

async fn described(people: &People, schema: &str, value: &Value) {
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_shows_what_somebody_may_see() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::User).await);
    let of_ada = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let of_token = people.asset_of(Some("ada".into())).await;
    let of_nobody = people.asset_of(None).await;
    let path = format!("/api/v1/assets/{of_ada}");
    let list = async |who: &Who| ids(&people.get(who, "/api/v1/assets").await.ok());
    assert_eq!(list(&ada).await, [of_ada.to_string()]);
    assert!(list(&bob).await.is_empty());
    people.get(&bob, &path).await.is_problem(404, "not_found", &path);
    let share = format!("{path}/shares/{}", bob.user.unwrap());
    let shared = people.send(&ada, ("PUT", &share), json!({ "standing": "viewer" }), &[]).await.ok();
    described(&people, "Share", &shared).await;
    assert_eq!(list(&bob).await, [of_ada.to_string()]);
    let seen = people.get(&bob, &path).await.ok();
    assert_eq!(seen["owner"], ada.user.unwrap().to_string());
    let playback = people.server.catalog.asset(of_ada).await.unwrap().unwrap().playback;
    let by_playback = format!("/api/v1/assets?playback_id={playback}");
    assert_eq!(ids(&people.get(&bob, &by_playback).await.ok()), [of_ada.to_string()]);
    // To look at and no more.
    let chapters = format!("{path}/chapters");
    let set = async |who: &Who| people.send(who, ("PUT", &chapters), json!({ "chapters": [] }), &[]).await;
    set(&bob).await.is_problem(403, "forbidden", &chapters);
    assert_eq!(people.send(&bob, ("DELETE", &path), Value::Null, &[]).await.code(), "forbidden");
    assert_eq!(people.get(&bob, &format!("{path}/shares")).await.code(), "forbidden");
    people.send(&ada, ("PUT", &share), json!({ "standing": "editor" }), &[]).await.ok();
    set(&bob).await.ok();
    assert_eq!(people.send(&bob, ("DELETE", &path), Value::Null, &[]).await.code(), "forbidden");
    let shares = people.get(&ada, &format!("{path}/shares")).await.ok();
    described(&people, "ShareList", &shares).await;
    assert_eq!(people.send(&ada, ("DELETE", &share), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    assert!(list(&bob).await.is_empty());
    assert_eq!(ids(&people.get(&bob, &by_playback).await.ok()), Vec::<String>::new());
    let everything = [of_nobody, of_token, of_ada].map(|asset| asset.to_string());
    assert_eq!(list(&people.somebody(Role::Moderator).await).await, everything);
    let token = Who { bearer: Some(TOKEN.into()), ..Who::default() };
    assert_eq!(list(&token).await, [of_token.to_string()]);
    assert_eq!(people.send(&ada, ("DELETE", &path), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    people.stop().await;
}

#[tokio::test]
async fn events_tell_of_what_somebody_may_see() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    people.asset_of(None).await;
    let mine = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let other = people.asset_of(Some("somebody else".into())).await;
    let cookie = ada.cookie.clone().unwrap();
    let mut stream = people.server.stream_as("/api/v1/events?after=0", &cookie).await;
    let first = stream.next_event().await;
    assert_eq!((&first.data["asset"], first.id.as_deref()), (&json!(mine.to_string()), Some("2")));
    let late = people.asset_of(ada.user.map(|user| user.to_string())).await;
    assert_eq!(stream.next_event().await.data["asset"], late.to_string(), "nothing of others in between");
    let path = format!("/api/v1/events?asset={other}");
    people.get(&ada, &path).await.is_problem(404, "not_found", "/api/v1/events");
    people.stop().await;
}

#[tokio::test]
async fn what_is_said_in_a_review_and_what_is_not_there_yet_are_for_those_who_work_on_it() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Guest).await);
    let (eve, moderator) = (people.somebody(Role::User).await, people.somebody(Role::Moderator).await);
    let id = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    let now = clock.now();
    let playback = catalog.asset(id).await.unwrap().unwrap().playback;
    for (stage, note) in [(Stage::Draft, "oh"), (Stage::Unlisted, "internal: suspected fraud")] {
        let job = JobId::mint(now, clock.entropy());
        catalog.set_stage(id, (stage, false), (None, Some(note)), "test", job, now).await.unwrap();
    }
    let document = Target::document(id, playback, DocumentId::mint(now, clock.entropy()));
    let upload = NewUpload::whole(UploadId::mint(now, clock.entropy()), document, Some(5), now);
    catalog.create_upload(&upload).await.unwrap();
    catalog.share_asset(id, (bob.user.unwrap(), Standing::Viewer), "test", now).await.unwrap();
    catalog.share_asset(id, (eve.user.unwrap(), Standing::Editor), "test", now).await.unwrap();
    let path = format!("/api/v1/assets/{id}");
    let (documents, list) = (format!("{path}/documents"), format!("/api/v1/assets?playback_id={playback}"));
    let one = format!("{documents}/{}", document.document.unwrap());
    for (who, is_told) in [(&ada, true), (&bob, false), (&eve, true), (&moderator, true)] {
        let note = if is_told { json!("internal: suspected fraud") } else { Value::Null };
        let shown = people.get(who, &path).await.ok();
        described(&people, "Asset", &shown).await;
        assert_eq!(shown["stage_note"], note);
        assert_eq!(people.get(who, &list).await.ok()["data"][0]["stage_note"], note);
        let count = people.get(who, &documents).await.ok()["data"].as_array().unwrap().len();
        assert_eq!(count, usize::from(is_told));
        let status = if is_told { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(people.get(who, &one).await.status, status);
        let mut stream =
            people.server.stream_as("/api/v1/events?after=0&topics=asset.%23", &who.cookie.clone().unwrap()).await;
        let mut told = Vec::new();
        // What is for everybody who sees it comes behind each.
        while told.last().is_none_or(|topic| topic != "asset.access_changed") || told.len() < 2 {
            told.push(stream.next_event().await.data["topic"].as_str().unwrap().to_owned());
        }
        assert_eq!(told.iter().any(|topic| topic == "asset.stage_changed"), is_told, "{told:?}");
    }
    people.stop().await;
}

#[tokio::test]
async fn an_api_key_is_told_once_and_does_what_its_scopes_say() {
    let people = People::start().await;
    let ada = people.somebody(Role::Uploader).await;
    let path = "/api/v1/me/api-keys";
    let wanted = json!({ "name": "ci", "scopes": ["uploads:create"], "expires_in_days": 1 });
    let made = people.post(&ada, path, wanted).await;
    let location = made.header("location").unwrap().to_owned();
    let made = made.created();
    described(&people, "ApiKey", &made).await;
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(made["prefix"].as_str().unwrap()), "{made}");
    let list = people.get(&ada, path).await;
    assert!(!list.text.contains(key));
    described(&people, "KeyList", &list.ok()).await;
    let by_key = Who { bearer: Some(key.to_owned()), ..Who::default() };
    let grants = "/api/v1/upload-grants";
    assert_eq!(people.post(&by_key, grants, json!({})).await.status, StatusCode::CREATED);
    let created = people
        .send(&by_key, ("POST", "/uploads"), Value::Null, &[("tus-resumable", "1.0.0"), ("upload-length", "5")])
        .await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let asset = created.header("asset-location").unwrap().to_owned();
    assert_eq!(
        people.get(&ada, &asset).await.ok()["owner"],
        ada.user.unwrap().to_string(),
        "what a key uploads is its owner's"
    );
    assert_eq!(people.get(&by_key, &asset).await.code(), "forbidden", "it lacks the scope to read");
    assert_eq!(people.get(&by_key, path).await.code(), "forbidden");
    assert_eq!(people.post(&by_key, path, json!({ "name": "x", "scopes": ["users:admin"] })).await.code(), "forbidden");
    people.server.clock.advance(std::time::Duration::from_secs(24 * 3600));
    assert_eq!(people.post(&by_key, grants, json!({})).await.status, StatusCode::UNAUTHORIZED, "it is over");
    assert_eq!(people.send(&ada, ("DELETE", &location), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    for wrong in [
        json!({ "name": "", "scopes": ["assets:read"] }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["all"] }),
        json!({ "name": "x", "scopes": ["assets:read"], "expires_in_days": 0 }),
    ] {
        people.post(&ada, path, wrong).await.is_problem(422, "invalid_body", path);
    }
    let (id, reading) = people.key_of(ada.user.unwrap(), &[Scope::AssetsRead]).await;
    people.get(&reading, "/api/v1/assets").await.ok();
    people.send(&ada, ("DELETE", &format!("{path}/{id}")), Value::Null, &[]).await;
    assert_eq!(people.get(&reading, "/api/v1/assets").await.status, StatusCode::UNAUTHORIZED, "it was taken back");
    people.stop().await;
}

#[tokio::test]
async fn uploads_belong_to_who_created_them() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Uploader).await);
    let tus = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
    let created = people.send(&ada, ("POST", "/uploads"), Value::Null, &tus).await;
    let path = created.header("location").unwrap().to_owned();
    let head = async |who: &Who| people.send(who, ("HEAD", &path), Value::Null, &tus[..1]).await.status;
    assert_eq!(head(&ada).await, StatusCode::OK);
    assert_eq!(head(&bob).await, StatusCode::FORBIDDEN);
    assert_eq!(head(&people.somebody(Role::Admin).await).await, StatusCode::FORBIDDEN);
    assert_eq!(head(&Who::default()).await, StatusCode::UNAUTHORIZED);
    for who in [Who::default(), people.somebody(Role::User).await] {
        let refused = people.send(&who, ("POST", "/uploads"), Value::Null, &tus).await.status;
        assert!(matches!(refused, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{who:?}: {refused}");
    }
    let token = Who { bearer: Some(TOKEN.into()), ..Who::default() };
    assert_eq!(people.send(&token, ("POST", "/uploads"), Value::Null, &tus).await.status, StatusCode::CREATED);
    people.stop().await;
}

#[tokio::test]
async fn a_quota_of_an_account_bounds_its_uploads() {
    let people = People::start().await;
    let (admin, ada) = (people.somebody(Role::Admin).await, people.somebody(Role::Uploader).await);
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let path = format!("/api/v1/users/{}", ada.user.unwrap());
    let wanted = json!({ "quota_bytes": 7 });
    people.send(&admin, ("PATCH", &path), wanted, &[("if-match", "\"1\"")]).await.ok();
    let create = async |length: &str| {
        people
            .send(&ada, ("POST", "/uploads"), Value::Null, &[("tus-resumable", "1.0.0"), ("upload-length", length)])
            .await
    };
    assert_eq!(create("5").await.status, StatusCode::CREATED);
    assert_eq!(create("3").await.code(), "quota_exceeded");
    assert_eq!(create("2").await.status, StatusCode::CREATED);
    let cleared = json!({ "quota_bytes": null });
    people.send(&admin, ("PATCH", &path), cleared, &[("if-match", "\"2\"")]).await.ok();
    assert_eq!(create("100").await.status, StatusCode::CREATED);
    people.stop().await;
}

#[tokio::test]
async fn a_browser_gets_a_cookie_that_works_for_pages_of_this_server_only() {
    let people = People::start().await;
    let (email, _) = people.registered("ada").await;
    let wanted = json!({ "email": email, "password": PASSWORD, "cookie": true });
    let login = "/api/v1/auth/login";
    let from = |origin: &'static str| [("origin", origin)];
    let evil = people.send(&Who::default(), ("POST", login), wanted.clone(), &from("https://evil.example")).await;
    evil.is_problem(403, "cross_origin", login);
    let plain = people.send(&Who::default(), ("POST", login), wanted.clone(), &from("http://media.example.org")).await;
    assert!(plain.header("set-cookie").unwrap().starts_with("headwater=hws_"), "without TLS");
    let answer = people.send(&Who::default(), ("POST", login), wanted, &from("https://media.example.org")).await;
    let cookie = answer.header("set-cookie").unwrap().to_owned();
    assert!(
        cookie.starts_with("__Host-headwater=hws_") && cookie.contains("; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    let tokens = answer.ok();
    described(&people, "SessionTokens", &tokens).await;
    assert_eq!((&tokens["access_token"], &tokens["refresh_token"]), (&Value::Null, &Value::Null));
    let pair = cookie.split(';').next().unwrap().to_owned();
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("cookie", &pair));
        people.send(&Who::default(), (method, path), Value::Null, &headers).await
    };
    assert_eq!(ask("GET", "/api/v1/me", &[]).await.ok()["email"], email);
    let sessions = "/api/v1/me/sessions";
    for headers in [&[][..], &from("https://evil.example"), &from("null"), &[("sec-fetch-site", "cross-site")]] {
        ask("DELETE", sessions, headers).await.is_problem(403, "cross_origin", sessions);
    }
    assert_eq!(ask("DELETE", sessions, &from("https://media.example.org")).await.status, StatusCode::NO_CONTENT);
    let out = ask("POST", "/api/v1/auth/logout", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    let cleared: Vec<_> = out.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(cleared.len() == 2 && cleared.iter().all(|value| value.contains("Max-Age=0")), "{cleared:?}");
    assert_eq!(ask("GET", "/api/v1/me", &[]).await.status, StatusCode::UNAUTHORIZED);
    people.stop().await;
}

#[tokio::test]
async fn who_is_suspended_is_out_at_once_and_who_changes_roles_too() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let (email, tokens) = people.registered("ada").await;
    let (who, id) = (by_token(&tokens), tokens["user"]["id"].as_str().unwrap().to_owned());
    let path = format!("/api/v1/users/{id}");
    let tus = [("tus-resumable", "1.0.0"), ("upload-length", "5")];
    assert_eq!(people.send(&who, ("POST", "/uploads"), Value::Null, &tus).await.status, StatusCode::FORBIDDEN);
    let change = async |version: u32, wanted: Value| {
        people.send(&admin, ("PATCH", &path), wanted, &[("if-match", &format!("\"{version}\""))]).await
    };
    change(1, json!({ "role": "uploader" })).await.ok();
    assert_eq!(
        people.send(&who, ("POST", "/uploads"), Value::Null, &tus).await.status,
        StatusCode::CREATED,
        "with the same token"
    );
    change(1, json!({ "role": "admin" })).await.is_problem(412, "changed", &path);
    change(2, json!({ "state": "suspended" })).await.ok();
    assert_eq!(people.get(&who, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    let token = json!({ "refresh_token": tokens["refresh_token"] });
    assert_eq!(people.post(&Who::default(), "/api/v1/auth/refresh", token).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(people.logged_in(&email, PASSWORD).await.code(), "account_suspended");
    assert_eq!(people.logged_in(&email, "wrong password!").await.code(), "invalid_credentials");
    change(3, json!({ "state": "active" })).await.ok();
    for bytes in [1 << 63, u64::MAX] {
        change(4, json!({ "quota_bytes": bytes })).await.is_problem(422, "invalid_body", &path);
    }
    assert_eq!(change(4, json!({ "quota_bytes": i64::MAX })).await.ok()["quota_bytes"], i64::MAX);
    people.logged_in(&email, PASSWORD).await.ok();
    assert_eq!(people.send(&admin, ("DELETE", &path), Value::Null, &[]).await.status, StatusCode::NO_CONTENT);
    people.get(&admin, &path).await.is_problem(404, "not_found", &path);
    assert_eq!(people.logged_in(&email, PASSWORD).await.code(), "invalid_credentials");
    people.stop().await;
}

#[tokio::test]
async fn lists_of_accounts_and_of_the_log_are_paged_by_sealed_cursors() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for _ in 0..4 {
        people.server.clock.advance(std::time::Duration::from_millis(1));
        people.account(Role::User, None).await;
    }
    for (path, schema) in [("/api/v1/users", "PersonPage"), ("/api/v1/audit-log", "AuditPage")] {
        let (mut seen, mut next) = (Vec::new(), format!("{path}?limit=2"));
        // Ends with the last page.
        loop {
            let answer = people.get(&admin, &next).await;
            let link = answer.header("link").map(str::to_owned);
            let page = answer.ok();
            described(&people, schema, &page).await;
            seen.extend(page["data"].as_array().unwrap().iter().map(|row| row.to_string()));
            let Some(after) = page["page"]["next"].as_str() else { break };
            next = format!("{path}?limit=2&after={after}");
            assert!(link.unwrap().starts_with(&format!("<{next}>; rel=\"next\"")));
        }
        assert!(seen.len() >= 5, "{seen:?}");
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), seen.len(), "no row twice");
        let other = if path.ends_with("users") { "/api/v1/audit-log" } else { "/api/v1/users" };
        let page = people.get(&admin, &format!("{other}?limit=1")).await.ok();
        let foreign = page["page"]["next"].as_str().unwrap();
        for after in [foreign, "x", "usr_00000000000000000000000007"] {
            people.get(&admin, &format!("{path}?after={after}")).await.is_problem(422, "invalid_cursor", path);
        }
    }
    people.stop().await;
}

#[tokio::test]
async fn administrators_look_for_accounts_and_for_rows_of_the_log() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (email, tokens) = people.registered("ada").await;
    let ada = people.get(&by_token(&tokens), "/api/v1/me").await.ok()["id"].as_str().unwrap().to_owned();
    people.registered("adam").await;
    let found = async |query: &str| {
        let page = people.get(&admin, &format!("/api/v1/users?{query}")).await.ok();
        page["data"].as_array().unwrap().iter().map(|one| one["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("q=ADA").await, ["adam@example.org", &email]);
    assert_eq!(found("q=adam%40ex").await, ["adam@example.org"]);
    assert_eq!(found(&format!("q={ada}")).await, [&*email]);
    assert_eq!(found("q=example").await, Vec::<String>::new());
    assert_eq!(found("q=%20").await.len(), 3, "nothing is asked for");
    let first = people.get(&admin, "/api/v1/users?q=ada&limit=1").await.ok();
    let after = first["page"]["next"].as_str().unwrap();
    assert_eq!(found(&format!("q=ada&limit=1&after={after}")).await, [&*email]);
    let other = format!("/api/v1/users?q=adam&after={after}");
    people.get(&admin, &other).await.is_problem(422, "invalid_cursor", "/api/v1/users");
    let long = format!("/api/v1/users?q={}", "a".repeat(201));
    people.get(&admin, &long).await.is_problem(400, "invalid_query", "/api/v1/users");

    let log = "/api/v1/audit-log";
    let actions = async |query: &str| {
        let page = people.get(&admin, &format!("{log}?{query}")).await.ok();
        page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["action"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(actions(&format!("target={ada}&action=session.")).await, ["session.begun"]);
    assert_eq!(actions(&format!("actor={ada}&action=session.begun")).await.len(), 1);
    assert!(actions(&format!("target={ada}")).await.contains(&"user.created".to_owned()));
    assert_eq!(actions("to=2020-01-01T00:00:00Z").await, Vec::<String>::new());
    assert!(!actions("from=2020-01-01T00:00:00Z").await.is_empty());
    people.get(&admin, &format!("{log}?from=yesterday")).await.is_problem(422, "invalid_parameter", log);
    let first = people.get(&admin, &format!("{log}?action=user.&limit=1")).await.ok();
    let after = first["page"]["next"].as_str().unwrap();
    assert!(actions(&format!("action=user.&after={after}")).await.iter().all(|action| action.starts_with("user.")));
    people.get(&admin, &format!("{log}?after={after}")).await.is_problem(422, "invalid_cursor", log);
    people.stop().await;
}

#[tokio::test]
async fn what_is_done_about_rights_is_in_the_log_without_what_is_personal() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (_, tokens) = people.registered("ada").await;
    people.post(&by_token(&tokens), "/api/v1/me/api-keys", json!({ "name": "ci", "scopes": ["assets:read"] })).await;
    let log = people.get(&admin, "/api/v1/audit-log?limit=100").await;
    for secret in ["ada@example.org", PASSWORD, "hwk_", "hwr_", "hws_", "eyJ"] {
        assert!(!log.text.contains(secret), "{secret} in {}", log.text);
    }
    let log = log.ok();
    let actions: Vec<&str> =
        log["data"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["user.created", "session.begun", "key.created", "signing_key.renewed"] {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    let verdict = people.server.catalog.audit_verify().await.unwrap();
    assert_eq!((verdict.fault, verdict.entries), (None, actions.len() as u64));
    people.stop().await;
}
