//! What changes who sees what, and what is done to videos, is in the audit log by the name of whoever did it.

use axum::http::StatusCode;
use catalog_store::{NewUpload, Target};
use domain::authority::Role;
use domain::{AssetId, Clock, JobId, PlaybackId, UploadId};
use serde_json::{Value, json};

use crate::people::{People, Who};

/// Whatever is there.
const ANY: (&str, &str) = ("if-match", "*");

/// What was done by somebody, in order: the action, and to what.
async fn done(people: &People, who: &Who) -> Vec<(String, String)> {
    let admin = people.somebody(Role::Admin).await;
    let path = format!("/api/v1/audit-log?limit=100&actor={}", who.user.unwrap());
    let log = people.get(&admin, &path).await.ok();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = log["data"].as_array().unwrap().iter().rev();
    let rows = rows.map(|row| (text(&row["action"]), text(&row["subject"])));
    rows.filter(|(action, _)| !action.starts_with("session.")).collect()
}

#[tokio::test]
async fn what_a_moderator_does_is_logged_by_their_name() {
    let people = People::start().await;
    let (ada, moderator) = (people.somebody(Role::Uploader).await, people.somebody(Role::Moderator).await);
    let asset = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let path = format!("/api/v1/assets/{asset}");
    let ask = async |method: &str, path: &str, document: Value| {
        let answer = people.send(&moderator, (method, path), document, &[ANY]).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
        answer
    };
    let made = async |path: &str, document: Value| {
        let made = ask("POST", path, document).await.created();
        made["id"].as_str().unwrap().to_owned()
    };
    let channel = made("/api/v1/channels", json!({ "handle": "films", "name": "Films" })).await;
    let list = made("/api/v1/collections", json!({ "kind": "playlist", "title": "x" })).await;
    let (collection, bob) = (format!("/api/v1/collections/{list}"), people.account(Role::User, None).await);
    let share = format!("{collection}/shares/{bob}");
    for (method, path, document) in [
        ("PUT", format!("{path}/channel"), json!({ "channel": channel })),
        ("DELETE", format!("{path}/channel"), Value::Null),
        ("PUT", format!("{path}/stage"), json!({ "stage": "archived", "note": "because" })),
        ("PUT", format!("{path}/schedule"), json!({ "expire_at": "2099-01-01T00:00:00Z" })),
        ("DELETE", format!("{path}/schedule"), Value::Null),
        // Neither is a matter of who sees what.
        ("PATCH", path.clone(), json!({ "title": "x" })),
        ("PATCH", collection.clone(), json!({ "title": "y" })),
        ("PATCH", collection.clone(), json!({ "visibility": "internal" })),
        ("PUT", share.clone(), json!({ "standing": "viewer" })),
        ("DELETE", share, Value::Null),
        ("DELETE", collection, Value::Null),
        ("PUT", format!("/api/v1/me/subscriptions/{channel}"), Value::Null),
        ("DELETE", format!("/api/v1/channels/{channel}"), Value::Null),
        ("DELETE", path, Value::Null),
    ] {
        ask(method, &path, document).await;
    }
    let asset = asset.to_string();
    let expected = [
        ("channel.created", &channel),
        ("asset.channel_set", &asset),
        ("asset.channel_set", &asset),
        ("asset.stage_set", &asset),
        ("asset.scheduled", &asset),
        ("asset.scheduled", &asset),
        ("collection.visibility_set", &list),
        ("collection.shared", &bob.to_string()),
        ("collection.unshared", &bob.to_string()),
        ("collection.deleted", &list),
        ("channel.deleted", &channel),
        ("asset.deleted", &asset),
    ];
    assert_eq!(done(&people, &moderator).await, expected.map(|(action, subject)| (action.into(), subject.clone())));
    let verdict = people.server.catalog.audit_verify().await.unwrap();
    assert_eq!(verdict.fault, None);
    people.stop().await;
}

#[tokio::test]
async fn a_video_that_its_owner_gives_up_with_its_upload_or_by_leaving_is_logged() {
    let people = People::start().await;
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let ada = people.somebody(Role::Uploader).await;
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    let (now, name) = (clock.now(), ada.user.unwrap().to_string());
    let asset = AssetId::mint(now, clock.entropy());
    let target = Target::new(asset, PlaybackId::mint(clock.entropy()));
    let upload = UploadId::mint(now, clock.entropy());
    let new = NewUpload { owner: Some(name.clone()), ..NewUpload::whole(upload, target, Some(5), now) };
    catalog.create_upload(&new).await.unwrap();
    let job = || JobId::mint(now, clock.entropy());
    catalog.finish_upload(upload, 5, (job(), job()), now).await.unwrap();
    let path = format!("/uploads/{upload}");
    let answer = people.send(&ada, ("DELETE", &path), Value::Null, &[("tus-resumable", "1.0.0")]).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let other = people.asset_of(Some(name.clone())).await;
    let leave = people.send(&ada, ("DELETE", "/api/v1/me"), json!({ "assets": "delete" }), &[]).await;
    assert!(leave.status.is_success(), "{}", leave.text);
    let expected = [("asset.deleted", asset.to_string()), ("asset.deleted", other.to_string()), ("user.erased", name)];
    assert_eq!(done(&people, &ada).await, expected.map(|(action, subject)| (action.to_owned(), subject)));
    assert_eq!(catalog.audit_verify().await.unwrap().fault, None);
    people.stop().await;
}
