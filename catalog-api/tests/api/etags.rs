//! What is set as a whole: two who looked at the same do not overwrite each other unknowingly.

use std::time::Duration;

use axum::http::StatusCode;
use domain::authority::Role;
use domain::{Access, Admission, AssetId};
use serde_json::{Value, json};

use crate::harness::Answer;
use crate::people::{People, Who};

/// What is set, where its tag is read, and two documents that it takes.
struct Thing {
    method: &'static str,
    path: String,
    read: String,
    documents: [Value; 2],
}

impl Thing {
    fn of(path: String, documents: [Value; 2]) -> Self {
        Self { method: "PUT", read: path.clone(), path, documents }
    }

    /// What is answered has the tag of what is read, and not only its version.
    fn is_read(&self) -> bool {
        self.path == self.read || self.read.contains("/assets/")
    }
}

/// An asset, and one of each kind of what is set.
async fn things(people: &People, admin: &Who) -> (AssetId, Vec<Thing>) {
    people.account(Role::Admin, Some("$argon2id$".into())).await;
    let made = async |path: &str, document: Value| {
        let answer = people.post(admin, path, document).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        serde_json::from_str::<Value>(&answer.text).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let asset = people.server.processing().await.id;
    let below = |part: &str| format!("/api/v1/assets/{asset}/{part}");
    let mut channels = vec![];
    for handle in ["news", "films"] {
        channels.push(json!({ "channel": made("/api/v1/channels", json!({ "handle": handle, "name": "A" })).await }));
    }
    let list = made("/api/v1/collections", json!({ "kind": "playlist", "title": "List" })).await;
    let (list, items) = (format!("/api/v1/collections/{list}"), format!("/api/v1/collections/{list}/items"));
    let other = people.asset_of(None).await;
    made(&items, json!({ "asset": other })).await;
    let item = made(&items, json!({ "asset": asset })).await;
    let chapters = |title: &str| json!({ "chapters": [{ "start_seconds": 0.0, "title": title }] });
    let markers = |id: &str| json!({ "markers": [{ "id": id, "start_seconds": 1.0 }] });
    let of_asset =
        |part: &str, documents| Thing { read: format!("/api/v1/assets/{asset}"), ..Thing::of(below(part), documents) };
    let preferences = ["off", "email"].map(|channel| json!({ "asset_ready": channel }));
    let all = vec![
        Thing::of(below("chapters"), [chapters("One"), chapters("Two")]),
        Thing::of(below("markers"), [markers("one"), markers("two")]),
        Thing::of(below("poster"), [json!({ "time_s": 1.5 }), json!({ "time_s": 2.5 })]),
        Thing::of(below("access"), [json!({ "policy": "private" }), json!({ "policy": "internal" })]),
        of_asset(
            "schedule",
            ["2028-01-01", "2028-01-02"].map(|day| json!({ "publish_at": format!("{day}T00:00:00Z") })),
        ),
        of_asset("stage", ["unlisted", "published"].map(|stage| json!({ "stage": stage }))),
        of_asset("channel", channels.try_into().unwrap()),
        Thing { method: "PATCH", ..Thing::of("/api/v1/me/notification-preferences".into(), preferences) },
        Thing {
            method: "PATCH",
            read: list,
            ..Thing::of(format!("{items}/{item}"), [json!({ "position": 0 }), json!({ "position": 1 })])
        },
    ];
    (asset, all)
}

async fn send(people: &People, who: &Who, thing: (&str, &str), document: &Value, field: (&str, &str)) -> Answer {
    // Of two choices of a poster in one moment neither is the younger one.
    people.server.clock.advance(Duration::from_millis(1));
    let fields = [field];
    let fields = if field.1.is_empty() { &[][..] } else { &fields };
    people.send(who, thing, document.clone(), fields).await
}

#[tokio::test]
async fn what_somebody_else_changed_is_not_overwritten_unknowingly() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    for thing in things(&people, &admin).await.1 {
        let (path, [one, other]) = (&thing.path, &thing.documents);
        let set = async |document: &Value, tags: &str| -> Answer {
            send(&people, &admin, (thing.method, path), document, ("if-match", tags)).await
        };
        let read = async || people.get(&admin, &thing.read).await.header("etag").unwrap().to_owned();
        let same = |told: &Answer, read: &str| {
            let version = |tag: &str| tag.trim_matches('"').split('-').next().unwrap().to_owned();
            let told = told.header("etag").unwrap_or_else(|| panic!("{path}: no tag"));
            if thing.is_read() { told == read } else { version(told) == version(read) }
        };
        let first = read().await;
        let changed = set(one, &first).await;
        assert_eq!(changed.status, StatusCode::OK, "{path}: {}", changed.text);
        let second = read().await;
        assert!(first != second && same(&changed, &second), "{path}: {first} {second}");

        for stale in [first.clone(), format!("W/{second}"), "\"0\", \"x\"".into()] {
            let refused = set(other, &stale).await;
            refused.is_problem(412, "changed", path);
            let told = refused.header("etag").unwrap().trim_end_matches('"').to_owned();
            assert!(second.starts_with(&format!("{told}-")), "{path}: {told} {second}");
            assert_eq!(read().await, second, "{path}: nothing was changed");
        }
        for wrong in ["1", "*, \"1\"", "\"1"] {
            set(other, wrong).await.is_problem(400, "invalid_header", path);
        }
        // What was told with the refusal will do, as will a list, anything, and nothing at all.
        let told = set(other, "\"x\"").await.header("etag").unwrap().to_owned();
        for (tags, document) in [(told, other), ("*".into(), one), (String::new(), other)] {
            let changed = set(document, &tags).await;
            assert_eq!(changed.status, StatusCode::OK, "{path} {tags}: {}", changed.text);
            assert!(same(&changed, &read().await), "{path} {tags}");
        }
        let listed = format!("\"x\", {}", read().await);
        assert_eq!(set(one, &listed).await.status, StatusCode::OK, "{path}");

        let known = read().await;
        let again = people.send(&admin, ("GET", &thing.read), Value::Null, &[("if-none-match", &known)]).await;
        assert_eq!((again.status, again.header("etag")), (StatusCode::NOT_MODIFIED, Some(&*known)), "{path}");
    }
    people.stop().await;
}

#[tokio::test]
async fn what_somebody_else_changed_is_not_taken_away_unknowingly() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (_, things) = things(&people, &admin).await;
    let kept = ["/access", "/stage", "/notification-preferences"];
    let is_kept = |path: &str| path.contains("/collections/") || kept.iter().any(|end| path.ends_with(end));
    for thing in things.into_iter().filter(|thing| !is_kept(&thing.path)) {
        let path = &thing.path;
        let delete = async |tags: &str| send(&people, &admin, ("DELETE", path), &Value::Null, ("if-match", tags)).await;
        let read = async || people.get(&admin, &thing.read).await.header("etag").unwrap().to_owned();
        let stale = read().await;
        send(&people, &admin, ("PUT", path), &thing.documents[0], ("if-match", &stale)).await.ok();
        let tag = read().await;
        for other in [stale, format!("W/{tag}")] {
            let refused = delete(&other).await;
            assert!(refused.header("etag").is_some(), "{path}");
            refused.is_problem(412, "changed", path);
        }
        delete("1").await.is_problem(400, "invalid_header", path);
        assert_eq!(read().await, tag, "{path}: it is there as it was");
        for tags in [&*tag, "*", ""] {
            let gone = delete(tags).await;
            assert!(gone.status.is_success(), "{path} {tags}: {}", gone.text);
        }
        assert_ne!(read().await, tag, "{path}");
    }
    people.stop().await;
}

#[tokio::test]
async fn what_is_for_none_is_set_once() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (asset, things) = things(&people, &admin).await;
    let friend = people.account(Role::User, None).await;
    let list = things.last().unwrap().read.clone();
    let standing = ["viewer", "editor"].map(|standing| json!({ "standing": standing }));
    let shares = [format!("/api/v1/assets/{asset}"), list].map(|owner| Thing {
        read: format!("{owner}/shares"),
        ..Thing::of(format!("{owner}/shares/{friend}"), standing.clone())
    });
    let parts = ["/chapters", "/markers", "/poster", "/access"];
    let things = things.into_iter().filter(|thing| parts.iter().any(|part| thing.path.ends_with(part)));
    for thing in things.chain(shares) {
        let (path, [one, other]) = (&thing.path, &thing.documents);
        let put = async |document: &Value, tags: &str| -> Answer {
            send(&people, &admin, ("PUT", path), document, ("if-none-match", tags)).await
        };
        for wrong in ["\"1\"", "x", "*, \"1\""] {
            put(one, wrong).await.is_problem(400, "invalid_header", path);
        }
        put(one, "*").await.ok();
        let before = people.get(&admin, &thing.read).await;
        for document in [one, other] {
            let refused = put(document, "*").await;
            refused.is_problem(412, "changed", path);
            let told = refused.header("etag").map(|tag| tag.trim_end_matches('"').to_owned());
            let tag = before.header("etag");
            assert!(told.as_deref().is_none_or(|told| tag.unwrap().starts_with(told)), "{path}: {told:?} {tag:?}");
            assert_eq!(told.is_some(), tag.is_some(), "{path}");
        }
        assert_eq!(people.get(&admin, &thing.read).await.text, before.text, "{path}: nothing was changed");
        put(other, "").await.ok();
        if !path.ends_with("/access") {
            let gone = send(&people, &admin, ("DELETE", path), &Value::Null, ("if-match", "")).await;
            assert!(gone.status.is_success(), "{path}: {}", gone.text);
            put(one, "*").await.ok();
        }
    }
    people.stop().await;
}

#[tokio::test]
async fn a_change_is_in_the_way_of_what_it_changes_and_of_nothing_else() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (asset, things) = things(&people, &admin).await;
    let tag = async |path: &str| people.get(&admin, path).await.header("etag").unwrap().to_owned();
    let (path, below) = (format!("/api/v1/assets/{asset}"), |part: &str| format!("/api/v1/assets/{asset}/{part}"));
    let chapters = tag(&below("chapters")).await;
    let before = tag(&path).await;
    for thing in things.iter().filter(|thing| !thing.path.ends_with("/chapters")) {
        send(&people, &admin, (thing.method, &thing.path), &thing.documents[0], ("if-match", "*")).await.ok();
    }
    assert_eq!(tag(&below("chapters")).await, chapters);
    // What is said has a version of its own, as it had; what is decided of an asset is decided of all that is said.
    people.send(&admin, ("PATCH", &path), json!({ "title": "A" }), &[("if-match", &before)]).await.ok();
    let said = tag(&path).await;
    people.send(&admin, ("PATCH", &path), json!({ "title": "B" }), &[("if-match", &said)]).await.ok();
    let verdict = json!({ "stage": "published" });
    let stale = people.send(&admin, ("PUT", &below("stage")), verdict.clone(), &[("if-match", &said)]).await;
    stale.is_problem(412, "changed", &below("stage"));
    people.send(&admin, ("PUT", &below("stage")), verdict, &[("if-match", stale.header("etag").unwrap())]).await.ok();
    people.stop().await;
}

#[tokio::test]
async fn who_may_play_it_is_at_another_version_when_an_operator_said_it() {
    let people = People::start().await;
    let admin = people.somebody(Role::Admin).await;
    let (id, _) = things(&people, &admin).await;
    let asset = people.server.catalog.asset(id).await.unwrap().unwrap();
    people.server.point(&asset, Access::default()).await;
    let path = format!("/api/v1/assets/{id}/access");
    let first = people.get(&admin, &path).await.header("etag").unwrap().to_owned();
    let said = Access { admission: Admission::Signed, change: 7, ..Access::default() };
    people.server.point(&asset, said).await;
    let wanted = json!({ "policy": "public" });
    let put = async |field: (&str, &str)| send(&people, &admin, ("PUT", &path), &wanted, field).await;
    put(("if-match", &first)).await.is_problem(412, "changed", &path);
    put(("if-none-match", "*")).await.is_problem(412, "changed", &path);
    let second = people.get(&admin, &path).await.header("etag").unwrap().to_owned();
    assert!(second.starts_with("\"7-"), "{second}");
    put(("if-match", &second)).await.ok();
    people.stop().await;
}
