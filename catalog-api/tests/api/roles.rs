//! The table of who may do what, for every operation of the OpenAPI document, asked of the real routers.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog_store::{
    CollectionText, Grant, Member, NewDelivery, NewIdentity, NewNotification, NewText, NewWebhook, NotificationKind,
    OutboxHold,
};
use domain::authority::{Role, Scope, Standing};
use domain::collection::{Kind, Visibility};
use domain::{
    Admission, ChannelId, Clock, CollectionId, IdentityId, ItemId, JobId, MessageId, NotificationId, TextId, WebhookId,
};
use serde_json::{Value, json};

use crate::harness::{Answer, Server};
use crate::people::{PROVIDER, People, TOKEN, Who, ingest_state};

/// Who asks, in the order of the columns: nobody known, the five roles, a key of an administrator that may read assets
/// only, a token of the configuration, and whoever comes where nobody is asked.
const COLUMNS: [&str; 9] =
    ["anonymous", "guest", "user", "uploader", "moderator", "admin", "reading key", "upload token", "open"];

/// What each may (`+`) and may not (`-`). Assets, where there is one, belong to somebody else; sessions, keys and
/// upload links are the caller's own.
const TABLE: [(&str, &str); 138] = [
    ("addCollectionItem", "- ---++ - - +"),
    ("addSubtitles", "- ---++ - - +"),
    ("beginSecondFactor", "- +++++ - - -"),
    ("changeAsset", "- ---++ - - +"),
    ("changeChannel", "- ---++ - - +"),
    ("changeCollection", "- ---++ - - +"),
    ("changeDocument", "- ---++ - - +"),
    ("changeMe", "- +++++ - - -"),
    ("changeNotificationPreferences", "- +++++ - - -"),
    ("changePassword", "- +++++ - - -"),
    ("changeSubtitles", "- ---++ - - +"),
    ("changeUser", "- ----+ - - -"),
    ("changeWebhook", "- --+++ - - +"),
    ("confirmSecondFactor", "- +++++ - - -"),
    ("createChannel", "- --+++ - - +"),
    ("createCollection", "- -++++ - - +"),
    ("createDocument", "- ---++ - - +"),
    ("createImport", "- --+++ - + +"),
    ("createKey", "- +++++ - - -"),
    ("createPreview", "- ---++ - - +"),
    ("createTicket", "- ---++ + - +"),
    ("createUploadGrant", "- --+++ - + +"),
    ("createUser", "- ----+ - - -"),
    ("createVersion", "- ---++ - - +"),
    ("createWebhook", "- --+++ - - +"),
    ("deleteAsset", "- ---++ - - +"),
    ("deleteChannel", "- ---++ - - +"),
    ("deleteCollection", "- ---++ - - +"),
    ("deleteNotification", "- +++++ - - -"),
    ("deleteUser", "- ----+ - - -"),
    ("deleteWebhook", "- --+++ - - +"),
    ("describe", "+ +++++ + + +"),
    ("describeProblem", "+ +++++ + + +"),
    ("endSession", "- +++++ - - -"),
    ("endSessions", "- +++++ - - -"),
    ("exportMe", "- +++++ - - -"),
    ("finishOidc", "+ +++++ + + -"),
    ("forgotPassword", "+ +++++ + + -"),
    ("leave", "- +++++ - - -"),
    ("linkIdentity", "- +++++ - - -"),
    ("listAssetJobs", "- ---++ + - +"),
    ("listAssets", "- +++++ + + +"),
    ("listAudit", "- ----+ - - -"),
    ("listBin", "- +++++ + + +"),
    ("listChannelAssets", "- +++++ + + +"),
    ("listChannels", "- +++++ + + +"),
    ("listCollectionItems", "- ---++ + - +"),
    ("listCollectionShares", "- ---++ - - -"),
    ("listCollections", "- +++++ + + +"),
    ("listDeliveries", "- --+++ - - +"),
    ("listDocuments", "- ---++ + - +"),
    ("listIdentities", "- +++++ - - -"),
    ("listJobs", "- ---++ + - +"),
    ("listKeys", "- +++++ - - -"),
    ("listNotifications", "- +++++ - - -"),
    ("listProviders", "+ +++++ + + +"),
    ("listReviews", "- +++++ + + +"),
    ("listSessions", "- +++++ - - -"),
    ("listShares", "- ---++ - - -"),
    ("listSubscribedAssets", "- +++++ - - -"),
    ("listSubscriptions", "- +++++ - - -"),
    ("listSubtitles", "- ---++ + - +"),
    ("listUsers", "- ----+ - - -"),
    ("listUploadGrants", "- -++++ - + +"),
    ("listVersions", "- ---++ + - +"),
    ("listWebhooks", "- --+++ - - +"),
    ("logIn", "+ +++++ + + -"),
    ("logOut", "+ +++++ + + -"),
    ("moveCollectionItem", "- ---++ - - +"),
    ("readNotification", "- +++++ - - -"),
    ("readNotifications", "- +++++ - - -"),
    ("refresh", "+ +++++ + + -"),
    ("register", "+ +++++ + + -"),
    ("removeAssetChannel", "- ---++ - - +"),
    ("removeAvatar", "- +++++ - - -"),
    ("removeCollectionItem", "- ---++ - - +"),
    ("removeDocument", "- ---++ - - +"),
    ("removeSecondFactor", "- +++++ - - -"),
    ("removeSubtitles", "- ---++ - - +"),
    ("removeUserAvatar", "- ---++ - - -"),
    ("replayDeliveries", "- --+++ - - +"),
    ("replayDelivery", "- --+++ - - +"),
    ("reprocessAsset", "- ---++ - - +"),
    ("resetPassword", "+ +++++ + + -"),
    ("restoreAsset", "- ---++ - - +"),
    ("restoreVersion", "- ---++ - - +"),
    ("revokeKey", "- +++++ - - -"),
    ("revokeUploadGrant", "- -++++ - + +"),
    ("rotateWebhookSecret", "- --+++ - - +"),
    ("scheduleAsset", "- ---++ - - +"),
    ("search", "- +++++ + + +"),
    ("searchInAsset", "- ---++ + - +"),
    ("sendVerification", "- +++++ - - -"),
    ("setAssetAccess", "- ---++ - - +"),
    ("setAssetChannel", "- ---++ - - +"),
    ("setAvatar", "- +++++ - - -"),
    ("setChapters", "- ---++ - - +"),
    ("setCues", "- ---++ - - +"),
    ("setMarkers", "- ---++ - - +"),
    ("setPoster", "- ---++ - - +"),
    ("setStage", "- ---++ - - +"),
    ("setUp", "+ +++++ + + -"),
    ("shareAsset", "- ---++ - - -"),
    ("shareCollection", "- ---++ - - -"),
    ("showAccess", "+ +++++ + + +"),
    ("showAsset", "- ---++ + - +"),
    ("showAssetAccess", "- ---++ - - +"),
    ("showAvatar", "- +++++ - - -"),
    ("showChannel", "- +++++ + + +"),
    ("showChapters", "- ---++ + - +"),
    ("showCollection", "- ---++ + - +"),
    ("showCues", "- ---++ + - +"),
    ("showDelivery", "- --+++ - - +"),
    ("showDocument", "- ---++ + - +"),
    ("showJob", "- ---++ + - +"),
    ("showKeys", "+ +++++ + + -"),
    ("showMarkers", "- ---++ + - +"),
    ("showMe", "- +++++ - - -"),
    ("showNotificationPreferences", "- +++++ - - -"),
    ("showOidcCode", "+ +++++ + + -"),
    ("showPoster", "- ---++ + - +"),
    ("showSubtitles", "- ---++ + - +"),
    ("showUploadGrant", "- -++++ - + +"),
    ("showUser", "- ----+ - - -"),
    ("showWebhook", "- --+++ - - +"),
    ("startOidc", "+ +++++ + + -"),
    ("streamEvents", "- +++++ + + +"),
    ("subscribe", "- +++++ - - -"),
    ("testWebhook", "- --+++ - - +"),
    ("unlinkIdentity", "- +++++ - - -"),
    ("unscheduleAsset", "- ---++ - - +"),
    ("unsetChapters", "- ---++ - - +"),
    ("unsetMarkers", "- ---++ - - +"),
    ("unsetPoster", "- ---++ - - +"),
    ("unshareAsset", "- ---++ - - -"),
    ("unshareCollection", "- ---++ - - -"),
    ("unsubscribe", "- +++++ - - -"),
    ("verifyEmail", "+ +++++ + + -"),
];

/// Every operation: its name, method and path.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, String)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            // An alias becomes what it stands for before anybody is asked for anything.
            if operation["deprecated"] == true {
                continue;
            }
            let name = operation["operationId"].as_str().unwrap().to_owned();
            operations.push((name, method.to_uppercase(), path.clone()));
        }
    }
    operations.sort();
    operations
}

/// True if the caller was told that they may not, or that what they ask for is not there for them.
fn is_refused(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// A path of which every part exists: assets of somebody else, and what is the caller's own.
pub(crate) async fn existing(people: &People, who: &Who, name: Option<String>, path: &str) -> String {
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    let mut path = path.to_owned();
    if path.starts_with("/api/v1/upload-grants/") {
        let id = format!("{:032x}", u128::from_be_bytes(clock.entropy()));
        let grant = Grant {
            id: id.clone(),
            owner: name,
            key: None,
            bytes_max: None,
            duration_s_max: None,
            types: vec![],
            origin: None,
            uses_left: 1,
            expires_at: clock.now().plus(std::time::Duration::from_secs(60)),
            is_revoked: false,
            created_at: clock.now(),
            asset: None,
            is_document: false,
        };
        catalog.create_grant(&grant).await.unwrap();
        return path.replace("{id}", &id);
    }
    if path.contains("{collection}") {
        path = in_collection(people, path).await;
    }
    if path.contains("{channel}") {
        let id = ChannelId::mint(clock.now(), clock.entropy());
        let handle = format!("c{:x}", u128::from_be_bytes(clock.entropy()) >> 64);
        catalog.create_channel((id, &handle), ("x", ""), Some("somebody else"), clock.now()).await.unwrap();
        if let Some(user) = who.user.filter(|_| path.contains("/subscriptions/")) {
            catalog.subscribe(user, id, clock.now()).await.unwrap();
        }
        path = path.replace("{channel}", &id.to_string());
    }
    if path.contains("{id}") {
        let asset = people.asset_of(Some("somebody else".into())).await;
        path = path.replace("{id}", &asset.to_string()).replace("{version}", "1");
        if path.contains("{subtitle}") {
            let id = TextId::mint(clock.now(), clock.entropy());
            let new = NewText {
                id,
                asset,
                language: None,
                name: None,
                charset: None,
                is_forced: false,
                is_default: false,
                is_sdh: false,
                replaces: None,
            };
            let job = JobId::mint(clock.now(), clock.entropy());
            let srt = "1\n00:00:01,000 --> 00:00:02,000\nHi\n";
            people.server.store.put_once(&media_store::layout::text(asset, id), srt.into()).await.unwrap();
            catalog.add_text(&new, job, clock.now()).await.unwrap();
            path = path.replace("{subtitle}", &id.to_string());
        }
        if path.contains("{document}") {
            path = path.replace("{document}", &people.document_of(asset).await.to_string());
        }
        if path.contains("{user}") {
            let user = people.account(Role::User, None).await;
            catalog.share_asset(asset, (user, Standing::Viewer), "test", clock.now()).await.unwrap();
            path = path.replace("{user}", &user.to_string());
        }
    }
    path = path.replace("{code}", "not_found");
    if path.contains("{job}") {
        let asset = people.server.received().await.id;
        let job = catalog.jobs_of(asset).await.unwrap()[0].id;
        path = path.replace("{job}", &job.to_string());
    }
    if path.contains("{playback}") {
        let asset = people.asset_of(Some("somebody else".into())).await;
        let (job, only_theirs) = (JobId::mint(clock.now(), clock.entropy()), (Admission::Private, Vec::new()));
        catalog.set_access(asset, only_theirs, "test", job, clock.now()).await.unwrap();
        let playback = catalog.asset(asset).await.unwrap().unwrap().playback;
        path = path.replace("{playback}", &playback.to_string());
    }
    if path.contains("{user}") {
        let user = people.account(Role::User, None).await;
        if path.ends_with("/avatar") {
            people.avatar_of(user).await;
        }
        path = path.replace("{user}", &user.to_string());
    }
    let anybody = match who.user {
        Some(user) => user,
        None => people.account(Role::User, None).await,
    };
    if path.contains("{session}") {
        people.session_of(anybody).await;
        let session = catalog.sessions_of(anybody, clock.now()).await.unwrap()[0].id;
        path = path.replace("{session}", &session.to_string());
    }
    path = path.replace("{provider}", PROVIDER);
    if path.contains("{identity}") {
        let id = IdentityId::mint(clock.now(), clock.entropy());
        let (provider, issuer, subject) = (PROVIDER.into(), "https://id.example.org".into(), id.to_string());
        catalog.link_identity(&NewIdentity { id, provider, issuer, subject }, anybody, clock.now()).await.unwrap();
        path = path.replace("{identity}", &id.to_string());
    }
    if path.contains("{webhook}") {
        let id = WebhookId::mint(clock.now(), clock.entropy());
        let (owner, topics) = (anybody.to_string(), Default::default());
        let (url, description, secret) = ("https://example.org/".into(), String::new(), "whsec_AAAA".into());
        let webhook = NewWebhook { id, owner, url, description, topics, secret };
        catalog.create_webhook(&webhook, clock.now()).await.unwrap();
        let message = MessageId::mint(clock.now(), clock.entropy());
        let (topic, payload) = ("webhook.test".into(), "{}".into());
        let new = NewDelivery { id: message, webhook: id, seq: None, topic, payload };
        catalog.send_message(&new, clock.now()).await.unwrap();
        path = path.replace("{webhook}", &id.to_string()).replace("{message}", &message.to_string());
    }
    if path.contains("{notification}") {
        let id = NotificationId::mint(clock.now(), clock.entropy());
        let hold = OutboxHold { reader: "@test", holder: "test" };
        let known = catalog.hold_reader(hold, std::time::Duration::from_secs(60), clock.now()).await.unwrap().unwrap();
        let kind = NotificationKind::AssetReady;
        let seq = known.seq + 1;
        let new = NewNotification { id, user: anybody, seq, kind, asset: None, data: json!({}), by_mail: false };
        catalog.notify(hold, seq, &[new], clock.now()).await.unwrap();
        path = path.replace("{notification}", &id.to_string());
    }
    if path.contains("{key}") {
        let (key, _) = people.key_of(anybody, &[Scope::AssetsRead]).await;
        path = path.replace("{key}", &key.to_string());
    }
    path
}

/// A path in a collection of somebody else, with one asset in it.
async fn in_collection(people: &People, path: String) -> String {
    let (catalog, clock) = (&people.server.catalog, &people.server.clock);
    let id = CollectionId::mint(clock.now(), clock.entropy());
    let text = CollectionText { title: "x".into(), description: String::new(), visibility: Visibility::Private };
    let owner = Some("somebody else");
    catalog.create_collection((id, Kind::Playlist), &text, owner, clock.now()).await.unwrap();
    let asset = people.asset_of(Some("somebody else".into())).await;
    let item = (ItemId::mint(clock.now(), clock.entropy()), Member::Asset(asset));
    let item = catalog.put_item(id, item, None, clock.now()).await.unwrap();
    let mut path = path.replace("{collection}", &id.to_string()).replace("{item}", &item.id.to_string());
    if path.contains("{user}") {
        let user = people.account(Role::User, None).await;
        catalog.share_collection(id, (user, Standing::Viewer), "test", clock.now()).await.unwrap();
        path = path.replace("{user}", &user.to_string());
    }
    path
}

#[tokio::test]
async fn every_operation_is_for_those_in_the_table_and_nobody_else() {
    let people = People::start().await;
    // Somebody who can log in stays an administrator, whoever is deleted here.
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let document = people.get(&Who::default(), "/api/v1/openapi.json").await.ok();
    let operations = operations(&document);
    let described: BTreeSet<&str> = operations.iter().map(|(name, _, _)| name.as_str()).collect();
    let tabled: BTreeSet<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(described, tabled, "every operation has a row, and every row an operation");
    let mut wrong = Vec::new();
    for (name, method, path) in &operations {
        let row = TABLE.iter().find(|(known, _)| known == name).unwrap().1.replace(' ', "");
        assert_eq!(row.len(), COLUMNS.len(), "{name}");
        for (column, may) in COLUMNS.iter().zip(row.chars()).take(COLUMNS.len() - 1) {
            // Fresh each time: some operations end what proves who asks.
            let who = match *column {
                "anonymous" => Who::default(),
                "upload token" => Who { bearer: Some(TOKEN.into()), ..Who::default() },
                "reading key" => people.key_of(people.account(Role::Admin, None).await, &[Scope::AssetsRead]).await.1,
                role => people.somebody(role.parse().unwrap()).await,
            };
            let own = who.user.map(|user| user.to_string()).or((*column == "upload token").then(|| "ada".to_owned()));
            let path = existing(&people, &who, own, path).await;
            let status = asked(&people, &who, method, &path).await;
            assert!(status.header("ratelimit").is_some_and(|told| told.starts_with('"')), "{name} tells no bound");
            if is_refused(&status) == (may == '+') {
                wrong.push(format!("{name} by {column}: {} {}", status.status, status.code()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    people.stop().await;
}

/// The answer to an operation whose document, if it takes one, says nothing.
async fn asked(people: &People, who: &Who, method: &str, path: &str) -> Answer {
    if path == "/api/v1/events" {
        // A stream has no end: its head is all that counts.
        return people.send(who, ("HEAD", path), Value::Null, &[]).await;
    }
    // From another address each time, as far as throttling is concerned.
    let nth = u128::from_be_bytes(people.server.clock.entropy());
    let from = format!("2001:db8:{:x}::1", nth % 0xffff);
    let document = if matches!(method, "GET" | "DELETE") { Value::Null } else { json!({}) };
    people.send(who, (method, path), document, &[("if-match", "\"1\""), ("x-forwarded-for", &from)]).await
}

#[tokio::test]
async fn where_nobody_is_asked_everything_is_open_but_what_needs_accounts() {
    let server = Server::start().await;
    let ingest = ingest_state(&server, Arc::new(ingest::gate::Open)).await;
    let document = server.get("/api/v1/openapi.json").await.ok();
    for (name, method, path) in operations(&document) {
        let may = TABLE.iter().find(|(known, _)| *known == name).unwrap().1.ends_with('+');
        if path.starts_with("/api/v1/imports") || path.starts_with("/api/v1/upload-grants") {
            let request = Request::builder().method(&*method).uri(path.replace("{id}", "none"));
            let request = request.header("content-type", "application/json").body(Body::from("{}")).unwrap();
            let answer = tower::ServiceExt::oneshot(ingest::api(ingest.clone()), request).await.unwrap();
            let is_asked = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert!(!is_asked && may, "{name}");
            continue;
        }
        if path == "/api/v1/events" {
            assert_eq!(server.head_of("HEAD", &path).await, StatusCode::OK);
            continue;
        }
        let answer = server.send(&method, &path.replace("{id}", "ast_00000000000000000000000007")).await;
        assert_eq!(answer.code() != "accounts_off", may, "{name}: {}", answer.text);
        assert!(!matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), "{name}");
    }
}
