//! Who may play an asset: said by its owner, told in the pointer, and opened by tickets.

use axum::http::StatusCode;
use catalog_store::Asset;
use domain::authority::{Role, Standing};
use domain::{Access, Admission, Clock};
use serde_json::{Value, json};

use crate::described::check;
use crate::people::{People, TOKEN, Who};

impl People {
    /// An asset of somebody that can be played, and nobody said by whom.
    async fn playable(&self, owner: &Who) -> Asset {
        let (catalog, now) = (&self.server.catalog, self.server.clock.now());
        let id = self.asset_of(owner.user.map(|user| user.to_string())).await;
        catalog.mark_playable(id, now).await.unwrap();
        let asset = catalog.asset(id).await.unwrap().unwrap();
        self.server.point(&asset, Access::default()).await;
        asset
    }

    async fn set(&self, who: &Who, asset: &Asset, wanted: Value) -> Value {
        let path = format!("/api/v1/assets/{}/access", asset.id);
        self.send(who, ("PUT", &path), wanted, &[]).await.ok()
    }

    async fn described(&self, schema: &str, value: &Value) {
        let document = self.get(&Who::default(), "/api/v1/openapi.json").await.ok();
        check(&document, &document["components"]["schemas"][schema], value, schema);
    }
}

#[tokio::test]
async fn what_an_owner_says_is_told_to_origins_and_what_came_last_counts() {
    let people = People::start().await;
    let owner = people.somebody(Role::Uploader).await;
    let asset = people.playable(&owner).await;
    let path = format!("/api/v1/assets/{}/access", asset.id);
    let told = people.get(&owner, &path).await.ok();
    assert_eq!(told, json!({ "policy": "public", "pages": [], "encryption": null }));
    let wanted = json!({ "policy": "private", "pages": ["https://example.com", "none"] });
    let told = people.set(&owner, &asset, wanted).await;
    people.described("AssetAccess", &told).await;
    assert_eq!(told["policy"], "private");
    let access = people.server.access_of(&asset).await;
    assert_eq!((&access.admission, access.pages.len()), (&Admission::Private, 2));
    let row = people.server.catalog.audit_log(None, 1).await.unwrap().remove(0);
    assert_eq!((row.action.as_str(), row.subject), ("asset.access_set", Some(asset.id.to_string())));
    assert_eq!((row.actor, row.data), (owner.user.unwrap().to_string(), json!({ "policy": "private" })));

    // An operator changes the pointer past the catalogue: that stays until the owner says something again.
    people.server.point(&asset, Access { admission: Admission::Signed, ..access }).await;
    assert_eq!(people.get(&owner, &path).await.ok()["policy"], "signed");
    let stage = format!("/api/v1/assets/{}/schedule", asset.id);
    people.send(&owner, ("PUT", &stage), json!({ "publish_at": null }), &[]).await.ok();
    assert_eq!(people.server.access_of(&asset).await.admission, Admission::Signed, "what else changes leaves it");
    people.set(&owner, &asset, json!({ "policy": "password", "password": "open sesame" })).await;
    let access = people.server.access_of(&asset).await;
    assert_eq!(access.admission, Admission::Password { hash: "made of open sesame".into() });
    assert!(access.pages.is_empty());
    let told = people.get(&owner, &path).await;
    assert!(!told.text.contains("sesame"), "{}", told.text);
    people.stop().await;
}

#[tokio::test]
async fn what_is_said_before_there_is_anything_to_play_holds_from_the_start() {
    let people = People::start().await;
    let owner = people.somebody(Role::Uploader).await;
    let id = people.asset_of(owner.user.map(|user| user.to_string())).await;
    let asset = people.server.catalog.asset(id).await.unwrap().unwrap();
    assert_eq!(people.set(&owner, &asset, json!({ "policy": "internal" })).await["policy"], "internal");
    let asset = people.server.catalog.asset(id).await.unwrap().unwrap();
    assert_eq!(asset.access_after(None).admission, Admission::Internal, "what the first pointer will say");
    people.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_name() {
    let people = People::start().await;
    let owner = people.somebody(Role::Uploader).await;
    let asset = people.playable(&owner).await;
    let path = format!("/api/v1/assets/{}/access", asset.id);
    let pages: Vec<String> = (0..65).map(|at| format!("https://{at}.example")).collect();
    for (wanted, field) in [
        (json!({ "policy": "password" }), "/password"),
        (json!({ "policy": "password", "password": "" }), "/password"),
        (json!({ "policy": "password", "password": "seven77" }), "/password"),
        (json!({ "policy": "password", "password": "éééé" }), "/password"),
        (json!({ "policy": "password", "password": "a line\nand another" }), "/password"),
        (json!({ "policy": "password", "password": "a".repeat(257) }), "/password"),
        (json!({ "policy": "public", "password": "x" }), "/password"),
        (json!({ "policy": "public", "pages": ["https://example.com/"] }), "/pages/0"),
        (json!({ "policy": "public", "pages": ["none", "*"] }), "/pages/1"),
        (json!({ "policy": "public", "pages": pages }), "/pages"),
    ] {
        let answer = people.send(&owner, ("PUT", &path), wanted.clone(), &[]).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wanted}");
        let problem: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(problem["errors"][0]["pointer"], field, "{wanted}");
    }
    for wanted in [json!({}), json!({ "policy": "secret" }), json!({ "policy": "public", "else": 1 })] {
        let answer = people.send(&owner, ("PUT", &path), wanted.clone(), &[]).await;
        assert!(answer.status.is_client_error(), "{wanted}");
    }
    assert!(people.server.access_of(&asset).await.is_public(), "nothing was changed");
    people.stop().await;
}

#[tokio::test]
async fn tickets_are_for_those_whom_the_policy_means() {
    let people = People::start().await;
    let owner = people.somebody(Role::Uploader).await;
    let (friend, stranger) = (people.somebody(Role::User).await, people.somebody(Role::User).await);
    let moderator = people.somebody(Role::Moderator).await;
    let token = Who { bearer: Some(TOKEN.into()), ..Who::default() };
    let asset = people.playable(&owner).await;
    let (catalog, now) = (&people.server.catalog, people.server.clock.now());
    catalog.share_asset(asset.id, (friend.user.unwrap(), Standing::Viewer), "test", now).await.unwrap();
    let path = format!("/api/v1/playback/{}/ticket", asset.playback);
    let (ok, no, unknown) = (StatusCode::OK, StatusCode::NOT_FOUND, StatusCode::UNAUTHORIZED);
    // Owner, friend, moderator, stranger, upload token, nobody known.
    for (wanted, statuses) in [
        (json!({ "policy": "private" }), [ok, ok, ok, no, no, unknown]),
        (json!({ "policy": "internal" }), [ok, ok, ok, ok, no, unknown]),
        (json!({ "policy": "signed" }), [ok, ok, ok, no, no, unknown]),
        (json!({ "policy": "password", "password": "eight888" }), [ok, ok, ok, no, no, unknown]),
        (json!({ "policy": "unlisted" }), [ok, ok, ok, ok, ok, unknown]),
        (json!({ "policy": "public" }), [ok, ok, ok, ok, ok, unknown]),
    ] {
        people.set(&owner, &asset, wanted.clone()).await;
        let callers = [&owner, &friend, &moderator, &stranger, &token, &Who::default()];
        for (at, (who, expected)) in callers.into_iter().zip(statuses).enumerate() {
            let answer = people.post(who, &path, Value::Null).await;
            assert_eq!(answer.status, expected, "{wanted} by {at}: {}", answer.text);
        }
    }
    let ticket = people.post(&friend, &path, Value::Null).await.ok();
    people.described("Ticket", &ticket).await;
    assert_eq!(ticket["hls"], format!("/t/Viewer-{0}/v/{0}/master.m3u8", asset.playback));
    // That it is published in a channel shows it to everybody, and lets nobody else play it.
    people.set(&owner, &asset, json!({ "policy": "private" })).await;
    let channel = domain::ChannelId::mint(now, people.server.clock.entropy());
    catalog.create_channel((channel, "films"), ("Films", ""), None, now).await.unwrap();
    catalog.set_channel(asset.id, Some(channel), "test", now).await.unwrap();
    let shown = people.get(&stranger, &format!("/api/v1/assets/{}", asset.id)).await;
    assert_eq!(shown.status, StatusCode::OK, "otherwise nothing is shown");
    assert_eq!(people.post(&stranger, &path, Value::Null).await.status, no);
    // What cannot be played is opened for nobody, and an id that nobody has is told like one of others.
    let unknown = format!("/api/v1/playback/{}/ticket", domain::PlaybackId::from_u128(7));
    let (theirs, none) =
        (people.post(&stranger, &path, Value::Null).await, people.post(&stranger, &unknown, Value::Null).await);
    assert_eq!((theirs.status, theirs.code()), (none.status, none.code()));
    people.stop().await;
}

#[tokio::test]
async fn what_is_not_shown_is_opened_by_no_ticket() {
    let people = People::start().await;
    let (owner, stranger) = (people.somebody(Role::Uploader).await, people.somebody(Role::User).await);
    let asset = people.playable(&owner).await;
    let (catalog, now) = (&people.server.catalog, people.server.clock.now());
    let job = || domain::JobId::mint(now, people.server.clock.entropy());
    let path = format!("/api/v1/playback/{}/ticket", asset.playback);
    people.set(&owner, &asset, json!({ "policy": "internal" })).await;
    let hour = std::time::Duration::from_secs(3600);
    let check = async |is_shown: bool, why: &str| {
        let (theirs, others) =
            (people.post(&owner, &path, Value::Null).await, people.post(&stranger, &path, Value::Null).await);
        if is_shown {
            assert_eq!((theirs.status, others.status), (StatusCode::OK, StatusCode::OK), "{why}: {}", theirs.text);
        } else {
            theirs.is_problem(409, "not_shown", &path);
            others.is_problem(404, "not_found", &path);
        }
    };
    check(true, "as it is").await;
    catalog.set_stage(asset.id, (domain::Stage::Draft, false), (None, None), "test", job(), now).await.unwrap();
    check(false, "a draft").await;
    catalog.set_stage(asset.id, (domain::Stage::Unlisted, false), (None, None), "test", job(), now).await.unwrap();
    catalog.set_window(asset.id, (Some(now.plus(hour)), None), "test", job(), now).await.unwrap();
    check(false, "too early").await;
    catalog.set_window(asset.id, (None, Some(now)), "test", job(), now).await.unwrap();
    check(false, "too late").await;
    catalog.set_window(asset.id, (None, None), "test", job(), now).await.unwrap();
    check(true, "shown again").await;
    catalog.bin_asset((asset.id, None), now, "test", job(), now).await.unwrap();
    check(false, "thrown away").await;
    people.stop().await;
}
