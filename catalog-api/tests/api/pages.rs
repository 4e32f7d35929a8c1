//! Pages of every list, forwards and backwards.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::StatusCode;
use catalog_store::notifications::READER;
use catalog_store::{Cue, Demand, OutboxHold, Wanted};
use domain::authority::{Role, Standing};
use domain::{About, AssetId, Clock, Generation, JobId, JobLane, RenditionId, Stage};
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::{Answer, at};
use crate::people::{People, Who};

/// Rows of each list, at least.
const ROWS: usize = 7;

/// A list: its address, and the path that describes it.
struct List {
    path: String,
    described: &'static str,
}

impl List {
    fn new(path: impl Into<String>, described: &'static str) -> Self {
        Self { path: path.into(), described }
    }

    /// The address of a page of it.
    fn page(&self, limit: usize, cursor: Option<(&str, &str)>) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        let cursor = cursor.map(|(side, cursor)| format!("&{side}={cursor}")).unwrap_or_default();
        format!("{}{separator}limit={limit}{cursor}", self.path)
    }

    /// What problems name.
    fn instance(&self) -> &str {
        self.path.split('?').next().unwrap()
    }
}

/// A page as it was answered: its rows, and the cursors of those around it, which `Link` has as well.
struct Turned {
    rows: Vec<Value>,
    next: Option<String>,
    prev: Option<String>,
}

impl Turned {
    async fn to(people: &People, who: &Who, path: &str) -> Self {
        let answer: Answer = people.get(who, path).await;
        let link = answer.header("link").map(str::to_owned);
        let page = answer.ok();
        let cursor = |name: &str| page["page"][name].as_str().map(str::to_owned);
        let (next, prev) = (cursor("next"), cursor("prev"));
        assert_eq!(page["page"]["has_more"], next.is_some(), "{path}: {page}");
        let around = [("after", &next, "next"), ("before", &prev, "prev")];
        let links = around.into_iter().filter_map(|(side, cursor, rel)| {
            let asked = path.split('&').filter(|pair| !pair.starts_with("after=") && !pair.starts_with("before="));
            let asked = asked.collect::<Vec<_>>().join("&");
            Some(format!("<{asked}&{side}={}>; rel=\"{rel}\"", cursor.as_ref()?))
        });
        let links: Vec<String> = links.collect();
        assert_eq!(link, (!links.is_empty()).then(|| links.join(", ")), "{path}");
        Self { rows: page["data"].as_array().unwrap().clone(), next, prev }
    }

    /// The pages of a list from the first to the last.
    async fn all(people: &People, who: &Who, list: &List, limit: usize) -> Vec<Self> {
        let mut pages = vec![Self::to(people, who, &list.page(limit, None)).await];
        assert_eq!(pages[0].prev, None, "{}: nothing is before the first", list.path);
        while let Some(next) = pages.last().unwrap().next.clone() {
            pages.push(Self::to(people, who, &list.page(limit, Some(("after", &next)))).await);
            assert!(pages.len() < 100, "{} ends", list.path);
        }
        pages
    }

    /// Those before it, up to the first.
    async fn before(&self, people: &People, who: &Who, list: &List, limit: usize) -> Vec<Self> {
        let (mut pages, mut prev) = (vec![], self.prev.clone());
        while let Some(cursor) = prev {
            let page = Self::to(people, who, &list.page(limit, Some(("before", &cursor)))).await;
            prev = page.prev.clone();
            pages.insert(0, page);
            assert!(pages.len() < 100, "{} begins", list.path);
        }
        pages
    }
}

fn rows(pages: &[Turned]) -> Vec<Value> {
    pages.iter().flat_map(|page| page.rows.clone()).collect()
}

/// Assets that can be found, published in a channel and put into a collection.
async fn videos(people: &People, who: &Who, channel: &str, list: &str) {
    let (owner, clock) = (who.user.unwrap().to_string(), &people.server.clock);
    for number in 0..ROWS {
        let asset = people.asset_of(Some(owner.clone())).await;
        let about = About { title: Some(format!("Documentary {number}")), ..About::default() };
        people.server.catalog.set_about(asset, 1, &about, clock.now()).await.unwrap();
        let channel = Some(channel.parse().unwrap());
        people.server.catalog.set_channel(asset, channel, "test", clock.now()).await.unwrap();
        let item = people.post(who, &format!("/api/v1/collections/{list}/items"), json!({ "asset": asset })).await;
        assert_eq!(item.status, StatusCode::CREATED, "{}", item.text);
    }
}

/// An asset in which a word is said again and again, and of which a viewer waits for many parts.
async fn said(people: &People) -> AssetId {
    let server = &people.server;
    let asset = server.processing().await;
    let job = server.claim(JobLane::Heavy).await;
    let cue = |at: i64| Cue { start_ms: at * 1000, end_ms: at * 1000 + 500, text: format!("filler words {at}") };
    let cues: Vec<Cue> = (0..900).map(cue).collect();
    server.catalog.put_transcript(&job, ("txt", None), &cues, at(2)).await.unwrap();
    let (generation, rendition) = (Generation(1), RenditionId::new("audio-0-en").unwrap());
    for segment in 0..u32::try_from(ROWS).unwrap() {
        let wanted = Wanted { asset: asset.id, generation, rendition: rendition.clone(), segment };
        let demand = server.catalog.demand(&wanted, server.job_id(), at(2)).await.unwrap();
        assert_eq!(demand, Demand::Enqueued, "{segment}");
    }
    asset.id
}

/// Somebody who sees everything, and whose every list has rows.
async fn filled(people: &People) -> (Who, Vec<List>) {
    let said = said(people).await;
    let who = people.somebody(Role::Admin).await;
    let (clock, catalog, user) = (&people.server.clock, &people.server.catalog, who.user.unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (mut channels, mut collections) = (vec![], vec![]);
    let webhook =
        people.post(&who, "/api/v1/webhooks", json!({ "url": "https://example.org/h", "topics": ["*"] })).await;
    let webhook = text(&webhook.created()["id"]);
    for number in 0..ROWS {
        clock.advance(Duration::from_millis(1));
        people.account(Role::User, None).await;
        let channel = json!({ "handle": format!("channel{number}"), "name": "Name" });
        channels.push(text(&people.post(&who, "/api/v1/channels", channel).await.created()["id"]));
        let follow = format!("/api/v1/me/subscriptions/{}", channels[number]);
        people.send(&who, ("PUT", &follow), Value::Null, &[]).await;
        let collection = json!({ "kind": "playlist", "title": "Title" });
        collections.push(text(&people.post(&who, "/api/v1/collections", collection).await.created()["id"]));
        assert_eq!(people.post(&who, "/api/v1/upload-grants", json!({})).await.status, StatusCode::CREATED);
        let sent = people.send(&who, ("POST", &format!("/api/v1/webhooks/{webhook}/test")), Value::Null, &[]).await;
        assert_eq!(sent.status, StatusCode::ACCEPTED);
        let job = || JobId::mint(clock.now(), clock.entropy());
        let binned = people.asset_of(Some(user.to_string())).await;
        catalog.bin_asset((binned, None), clock.now(), "test", job(), clock.now()).await.unwrap();
        let waiting = people.asset_of(Some("somebody else".into())).await;
        for stage in [Stage::Draft, Stage::Submitted] {
            catalog.set_stage(waiting, (stage, false), (None, None), "test", job(), clock.now()).await.unwrap();
        }
        catalog.share_asset(waiting, (user, Standing::Viewer), "test", clock.now()).await.unwrap();
    }
    videos(people, &who, &channels[0], &collections[0]).await;
    let lists = vec![
        List::new("/api/v1/assets", "/api/v1/assets"),
        List::new("/api/v1/assets?sort=title", "/api/v1/assets"),
        List::new("/api/v1/assets?sort=-released_on", "/api/v1/assets"),
        List::new(format!("/api/v1/assets?owner={user}&sort=created_at"), "/api/v1/assets"),
        List::new(format!("/api/v1/assets/{said}/jobs"), "/api/v1/assets/{id}/jobs"),
        List::new(format!("/api/v1/assets/{said}/search?q=filler"), "/api/v1/assets/{id}/search"),
        List::new("/api/v1/audit-log", "/api/v1/audit-log"),
        List::new(format!("/api/v1/audit-log?actor={user}"), "/api/v1/audit-log"),
        List::new("/api/v1/bin", "/api/v1/bin"),
        List::new("/api/v1/channels", "/api/v1/channels"),
        List::new(format!("/api/v1/channels/{}/assets", channels[0]), "/api/v1/channels/{channel}/assets"),
        List::new("/api/v1/collections", "/api/v1/collections"),
        List::new(format!("/api/v1/collections/{}/items", collections[0]), "/api/v1/collections/{collection}/items"),
        List::new("/api/v1/jobs", "/api/v1/jobs"),
        List::new("/api/v1/jobs?kind=demand", "/api/v1/jobs"),
        List::new("/api/v1/jobs?state=queued&kind=demand", "/api/v1/jobs"),
        List::new("/api/v1/me/notifications", "/api/v1/me/notifications"),
        List::new("/api/v1/me/subscriptions", "/api/v1/me/subscriptions"),
        List::new("/api/v1/me/subscriptions/assets", "/api/v1/me/subscriptions/assets"),
        List::new("/api/v1/reviews", "/api/v1/reviews"),
        List::new("/api/v1/search?q=documentary", "/api/v1/search"),
        List::new("/api/v1/search?q=documentery", "/api/v1/search"),
        List::new("/api/v1/upload-grants", "/api/v1/upload-grants"),
        List::new("/api/v1/users", "/api/v1/users"),
        List::new("/api/v1/users?q=user", "/api/v1/users"),
        List::new(format!("/api/v1/webhooks/{webhook}/deliveries"), "/api/v1/webhooks/{webhook}/deliveries"),
    ];
    // Until all that happened is told, so that nothing comes into a list meanwhile.
    let (begun, hold) = (std::time::Instant::now(), OutboxHold { reader: READER, holder: "test" });
    let last = catalog.last_event().await.unwrap();
    while catalog.hold_reader(hold, Duration::from_secs(60), clock.now()).await.unwrap().unwrap().seq < last {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (who, lists)
}

#[tokio::test]
async fn every_list_goes_forwards_and_backwards() {
    let people = People::start().await;
    let (who, lists) = filled(&people).await;
    let document = people.get(&who, "/api/v1/openapi.json").await.ok();
    for list in &lists {
        for limit in [2, 3] {
            let pages = Turned::all(&people, &who, list, limit).await;
            let all = rows(&pages);
            assert!(pages.len() > 2 && all.len() >= ROWS, "{}: {}", list.path, all.len());
            let last = pages.last().unwrap();
            let before = last.before(&people, &who, list, limit).await;
            let seen = [rows(&before), last.rows.clone()].concat();
            assert_eq!(seen, all, "{} by {limit}", list.path);
            // A page that is asked for by what is behind it is the page that was there.
            let (turned, back) = (&pages[pages.len() - 2], before.last().unwrap());
            assert_eq!((&turned.rows, &turned.next, &turned.prev), (&back.rows, &back.next, &back.prev));
        }
        let shown = people.get(&who, &list.page(2, None)).await.ok();
        let schema = "/responses/200/content/application~1json/schema";
        check(&document, document["paths"][list.described]["get"].pointer(schema).unwrap(), &shown, &list.path);
    }
    let lists: BTreeSet<&str> = lists.iter().map(|list| list.described).collect();
    let with = |name: &str| -> BTreeSet<&str> {
        let paths = document["paths"].as_object().unwrap().iter().filter(|(_, operations)| {
            let operation = &operations["get"];
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let is_ours = operation["deprecated"] != true && operation["operationId"] != "streamEvents";
            is_ours && parameters.into_iter().any(|parameter| parameter["name"] == name)
        });
        paths.map(|(path, _)| path.as_str()).collect()
    };
    assert_eq!((with("after"), with("before")), (lists.clone(), lists));
    people.stop().await;
}

#[tokio::test]
async fn a_cursor_is_asked_for_alone_and_of_its_list() {
    let people = People::start().await;
    let (who, lists) = filled(&people).await;
    let mut cursors = vec![];
    for list in &lists {
        let first = Turned::to(&people, &who, &list.page(2, None)).await;
        cursors.push(first.next.unwrap());
    }
    for (list, (own, other)) in lists.iter().zip(cursors.iter().zip(cursors.iter().cycle().skip(1))) {
        let both = people.get(&who, &list.page(2, Some(("before", &format!("{own}&after={own}"))))).await;
        both.is_problem(422, "invalid_parameter", list.instance());
        let told: Value = serde_json::from_str(&both.text).unwrap();
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("after") && detail.contains("before"), "{detail}");
        for cursor in [other, "x", "", &own[1..]] {
            let wrong = people.get(&who, &list.page(2, Some(("before", cursor)))).await;
            wrong.is_problem(422, "invalid_cursor", list.instance());
        }
        // Nothing is before the first row, and somebody who goes there is led nowhere.
        let first = Turned::to(&people, &who, &list.page(1, None)).await.next.unwrap();
        let before = Turned::to(&people, &who, &list.page(1, Some(("before", &first)))).await;
        assert_eq!((before.rows.len(), before.next, before.prev), (0, None, None), "{}", list.path);
    }
    people.stop().await;
}

#[tokio::test]
async fn what_comes_and_goes_meanwhile_moves_no_other_row() {
    let people = People::start().await;
    let (who, lists) = filled(&people).await;
    let of = |path: &str| lists.iter().find(|list| list.described == path).unwrap();
    let asset = people.asset_of(None).await;
    for (list, made) in [
        (of("/api/v1/channels"), Some(json!({ "handle": "another", "name": "Another" }))),
        (of("/api/v1/collections/{collection}/items"), Some(json!({ "asset": asset, "position": 0 }))),
        (of("/api/v1/collections"), Some(json!({ "kind": "playlist", "title": "Another" }))),
        (of("/api/v1/me/notifications"), None),
        (of("/api/v1/me/subscriptions"), None),
        (of("/api/v1/assets"), None),
    ] {
        let remove = async |row: &Value| {
            let path = format!("{}/{}", list.path, row["id"].as_str().unwrap());
            let gone = people.send(&who, ("DELETE", &path), Value::Null, &[]).await;
            assert_eq!(gone.status, StatusCode::NO_CONTENT, "{path}: {}", gone.text);
        };
        let id = |row: &Value| row["id"].clone();
        let pages = Turned::all(&people, &who, list, 2).await;
        let all: Vec<Value> = rows(&pages).iter().map(id).collect();
        let last = pages.last().unwrap();
        // The row whose place is carried, one right before it, and one further away.
        let named = last.rows.first().unwrap();
        let gone = [named, pages[1].rows.last().unwrap(), pages[0].rows.first().unwrap()];
        for row in gone {
            remove(row).await;
        }
        let is_kept = |row: &&Value| !gone.iter().any(|one| id(one) == **row);
        if let Some(document) = made {
            people.server.clock.advance(Duration::from_millis(1));
            assert_eq!(people.post(&who, &list.path, document).await.status, StatusCode::CREATED);
        }
        let before = rows(&last.before(&people, &who, list, 2).await);
        let old: Vec<Value> = before.iter().map(id).filter(|row| all.contains(row)).collect();
        let shown: Vec<Value> = all[..all.len() - last.rows.len()].iter().filter(is_kept).cloned().collect();
        assert_eq!(old, shown, "{}", list.path);
    }
    people.stop().await;
}
