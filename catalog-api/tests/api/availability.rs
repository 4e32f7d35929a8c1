//! The bin and schedules, and what the pointer says of them.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use catalog_store::{Asset, Closing};
use domain::authority::{Role, Standing};
use domain::{Access, Admission, Availability, Clock, Stage, Timestamp};
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::{Server, at};
use crate::people::{AccountGate, People, Who, ingest_state};

const DAY: Duration = Duration::from_secs(86_400);

impl Server {
    /// The same with a bin for a day.
    fn with_bin(mut self) -> Self {
        let (catalog, store) = (self.catalog.clone(), self.store.clone());
        let state = catalog_api::State::new(catalog, store, self.clock.clone(), self.shutdown.clone());
        self.router = catalog_api::router(state.with_bin(Some(DAY)));
        self
    }

    async fn published(&self) -> (Asset, String) {
        let asset = self.processing().await;
        self.point(&asset, Access { admission: Admission::Signed, ..Access::default() }).await;
        let path = format!("/api/v1/assets/{}", asset.id);
        (asset, path)
    }
}

async fn described(server: &Server, schema: &str, value: &Value) {
    let document = server.get("/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"][schema], value, schema);
}

#[tokio::test]
async fn what_is_deleted_lies_in_the_bin_and_comes_out_with_who_may_play_it() {
    let server = Server::start().await.with_bin();
    let (asset, path) = server.published().await;
    for _ in 0..2 {
        assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    }
    let access = server.access_of(&asset).await;
    assert!(access.availability.is_withheld && access.admission == Admission::Signed);
    assert_eq!(server.get("/api/v1/assets").await.ok()["data"], json!([]));
    let bin = server.get("/api/v1/bin").await.ok();
    described(&server, "BinPage", &bin).await;
    assert_eq!(bin["data"][0]["asset"]["id"], asset.id.to_string());
    assert_eq!(bin["data"][0]["bin_until"], server.get(&path).await.ok()["bin_until"]);
    let restored = server.send("POST", &format!("{path}/restore")).await.ok();
    described(&server, "Asset", &restored).await;
    assert_eq!(restored["binned_at"], Value::Null);
    let access = server.access_of(&asset).await;
    assert_eq!(access, Access { admission: Admission::Signed, ..Access::default() });
    let again = format!("{path}/restore");
    server.send("POST", &again).await.is_problem(409, "not_binned", &again);
    assert_eq!(server.send("DELETE", &format!("{path}?permanently=true")).await.status, StatusCode::NO_CONTENT);
    server.get(&path).await.is_problem(404, "not_found", &path);
    assert_eq!(server.store.pointer(asset.playback).await.unwrap(), None);
    let early = server.upload().await.asset;
    let path = format!("/api/v1/assets/{early}");
    assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    server.get(&path).await.is_problem(404, "not_found", &path);
}

#[tokio::test]
async fn without_a_bin_what_is_deleted_is_gone_and_a_schedule_is_kept_all_the_same() {
    let server = Server::start().await;
    let (asset, path) = server.published().await;
    let schedule = format!("{path}/schedule");
    let window = json!({ "publish_at": "2027-01-15T08:00:01Z", "expire_at": "2027-01-15T10:00:00+01:00" });
    let put = async |document: &Value| {
        let request = Request::builder().method("PUT").uri(&schedule);
        let request = request.header("content-type", "application/json");
        server.ask(request.body(Body::from(document.to_string())).unwrap()).await
    };
    let shown = put(&window).await.ok();
    assert_eq!(shown["publish_at"], "2027-01-15T08:00:01.000Z");
    assert_eq!(shown["expire_at"], "2027-01-15T09:00:00.000Z");
    let begin = at(0).unix_ms() / 1000;
    let expected = Availability { is_withheld: false, from_s: Some(begin + 1), until_s: Some(begin + 3600) };
    assert_eq!(server.access_of(&asset).await.availability, expected);
    for (wrong, place) in [
        (json!({ "publish_at": "soon" }), "/publish_at"),
        (json!({ "publish_at": "2027-01-15T08:00:01Z", "expire_at": "2027-01-15T08:00:01Z" }), "/expire_at"),
    ] {
        let answer = put(&wrong).await;
        answer.is_problem(422, "invalid_fields", &schedule);
        let problem: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(problem["errors"][0]["pointer"], place);
    }
    assert_eq!(server.send("DELETE", &schedule).await.status, StatusCode::NO_CONTENT);
    assert!(server.access_of(&asset).await.availability.is_always());
    assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    server.get(&path).await.is_problem(404, "not_found", &path);
}

#[tokio::test]
async fn what_is_not_shown_yet_is_there_only_for_those_who_may_change_it() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::User).await);
    let asset = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let path = format!("/api/v1/assets/{asset}");
    let put = async |who: &Who, path: &str, document: Value| people.send(who, ("PUT", path), document, &[]).await;
    put(&ada, &format!("{path}/shares/{}", bob.user.unwrap()), json!({ "standing": "viewer" })).await.ok();
    people.get(&bob, &path).await.ok();
    let schedule = format!("{path}/schedule");
    assert_eq!(put(&bob, &schedule, json!({})).await.code(), "forbidden");
    let in_an_hour = people.server.clock_now().plus(Duration::from_secs(3600)).rfc3339();
    put(&ada, &schedule, json!({ "publish_at": in_an_hour })).await.ok();
    people.get(&bob, &path).await.is_problem(404, "not_found", &path);
    people.get(&ada, &path).await.ok();
    // From the first whole second on.
    people.server.clock.advance(Duration::from_secs(3601));
    people.get(&bob, &path).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn a_draft_is_submitted_reviewed_and_published() {
    let mut people = People::start().await;
    let (ada, mod_) = (people.somebody(Role::Uploader).await, people.somebody(Role::Moderator).await);
    people.server.catalog.set_first_stage(Stage::Draft).await.unwrap();
    let server = &people.server;
    let (catalog, store) = (server.catalog.clone(), server.store.clone());
    let state = catalog_api::State::new(catalog, store, server.clock.clone(), server.shutdown.clone());
    let state = state.with_access(catalog_api::Access::Accounts(people.accounts.clone())).with_review(true);
    people.server.router = catalog_api::router(state);
    let asset = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let path = format!("/api/v1/assets/{asset}/stage");
    let put = async |who: &Who, stage: &str| {
        people.send(who, ("PUT", &path), json!({ "stage": stage, "note": "so" }), &[]).await
    };
    let refused = put(&ada, "published").await;
    refused.is_problem(409, "invalid_transition", &path);
    let problem: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!(problem["allowed"], json!(["submitted"]));
    put(&ada, "submitted").await.ok();
    assert_eq!(put(&ada, "approved").await.code(), "forbidden", "nobody reviews what is their own");
    for (who, count) in [(&ada, 1), (&mod_, 1), (&people.somebody(Role::Uploader).await, 0)] {
        let waiting = people.get(who, "/api/v1/reviews").await.ok();
        described(&people.server, "CardPage", &waiting).await;
        assert_eq!(waiting["data"].as_array().unwrap().len(), count);
    }
    put(&mod_, "rejected").await.ok();
    assert_eq!(put(&ada, "published").await.code(), "invalid_transition");
    put(&ada, "submitted").await.ok();
    let seen = async |version: u32| {
        people.send(&mod_, ("PUT", &path), json!({ "stage": "approved", "version": version }), &[]).await
    };
    seen(0).await.is_problem(422, "invalid_fields", &path);
    seen(2).await.is_problem(409, "other_version", &path);
    assert_eq!(people.get(&ada, &format!("/api/v1/assets/{asset}")).await.ok()["stage"], "submitted");
    seen(1).await.ok();
    let shown = put(&ada, "published").await.ok();
    described(&people.server, "Asset", &shown).await;
    assert_eq!((&shown["stage"], &shown["stage_note"]), (&json!("published"), &json!("so")));
    let draft = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let path = format!("/api/v1/assets/{draft}/stage");
    people.send(&mod_, ("PUT", &path), json!({ "stage": "published" }), &[]).await.ok();
    people.send(&ada, ("PUT", &path), json!({ "stage": "gone" }), &[]).await.is_problem(422, "invalid_body", &path);
    people.stop().await;
}

#[tokio::test]
async fn another_file_is_looked_at_unless_whoever_brings_it_may_review() {
    let mut people = People::start().await;
    let (ada, mod_) = (people.somebody(Role::Uploader).await, people.somebody(Role::Moderator).await);
    let (id, _) = crate::reprocess::ready(&people.server).await;
    let (catalog, now) = (people.server.catalog.clone(), people.server.clock.now());
    catalog.share_asset(id, (ada.user.unwrap(), Standing::Owner), "test", now).await.unwrap();
    let code = base64::engine::general_purpose::STANDARD.encode(id.to_string());
    let headers =
        [("tus-resumable", "1.0.0"), ("upload-length", "5"), ("upload-metadata", &format!("replaces {code}"))];
    for (who, has_review, expected) in [(&ada, true, true), (&mod_, true, false), (&ada, false, false)] {
        let gate = std::sync::Arc::new(AccountGate(people.accounts.clone()));
        let mut state = ingest_state(&people.server, gate).await;
        state.admission = ingest::Admission::new(ingest::Policy { has_review, ..ingest::Policy::default() }, None);
        people.server.router = ingest::router(state);
        let created = people.send(who, ("POST", "/uploads"), Value::Null, &headers).await;
        assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
        let version = catalog.versions(id).await.unwrap().remove(0);
        assert_eq!(version.needs_review, expected);
        let upload = version.upload.expect("it is on its way");
        assert!(catalog.close_upload(upload, &Closing::Terminated, now).await.unwrap());
    }
    people.stop().await;
}

impl Server {
    fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }
}
