//! What people say about assets, lists by it, and searching.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use catalog_store::{Asset, Cue};
use domain::authority::Role;
use domain::{JobLane, Language};
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::{Answer, Server, at};
use crate::people::People;

impl Server {
    /// Changes what is said about an asset, as it was at `version`.
    pub(crate) async fn patch(&self, path: &str, version: Option<&str>, document: &Value) -> Answer {
        let mut request = Request::builder().method("PATCH").uri(path);
        request = request.header("content-type", "application/merge-patch+json");
        if let Some(version) = version {
            request = request.header("if-match", version);
        }
        self.ask(request.body(Body::from(document.to_string())).unwrap()).await
    }

    pub(crate) async fn titled(&self, title: &str) -> Asset {
        let asset = self.received().await;
        self.patch(&path(&asset), Some("\"1\""), &json!({ "title": title })).await.ok();
        asset
    }

    async fn described(&self, schema: &str, value: &Value) {
        let document = self.get("/api/v1/openapi.json").await.ok();
        check(&document, &document["components"]["schemas"][schema], value, schema);
    }
}

fn path(asset: &Asset) -> String {
    format!("/api/v1/assets/{}", asset.id)
}

fn titles(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|asset| asset["title"].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn what_is_said_is_merged_into_what_was_said() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = path(&asset);
    let before = server.get(&path).await;
    assert_eq!(before.version(), Some(1));
    let said = json!({
        "title": "Système D", "description": "one\ntwo", "tags": ["Été", "ete", "noir"], "genres": ["Drama"],
        "languages": ["fra", "pt-br", "zh-Hant"], "released_on": "1999-03-31", "external_ids": { "imdb": "tt1", "tmdb": "603" },
        "people": [{ "name": "Ada", "role": "director" }],
    });
    let answer = server.patch(&path, Some("\"1\""), &said).await;
    assert_eq!(answer.version(), Some(2));
    let shown = answer.ok();
    server.described("Asset", &shown).await;
    assert_eq!((&shown["tags"], &shown["languages"]), (&json!(["Été", "noir"]), &json!(["fr", "pt-BR", "zh-Hant"])));
    for (language, count) in [("pt", 1), ("pt_BR", 1), ("pt-PT", 0), ("zh-hant", 1), ("zh-Hans", 0), ("fra", 1)] {
        let page = server.get(&format!("/api/v1/assets?language={language}")).await.ok();
        assert_eq!(page["data"].as_array().unwrap().len(), count, "{language}");
    }
    for field in ["title", "description", "genres", "released_on", "external_ids", "people"] {
        assert_eq!(shown[field], said[field], "{field}");
    }
    let change = json!({ "title": null, "external_ids": { "imdb": null, "tvdb": "5" }, "people": null });
    let shown = server.patch(&path, Some("\"2\""), &change).await.ok();
    assert_eq!(shown["title"], "A title", "it is the file's again");
    assert_eq!((&shown["external_ids"], &shown["people"]), (&json!({ "tmdb": "603", "tvdb": "5" }), &json!([])));
    assert_eq!((&shown["description"], &shown["kind"]), (&said["description"], &json!("video")));
    assert_eq!(server.get(&path).await.version(), Some(3));
}

#[tokio::test]
async fn a_change_is_for_the_version_that_was_read_whatever_is_processed_meanwhile() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = path(&asset);
    server.commit_segment(&asset, "360p", 0).await;
    server.catalog.mark_playable(asset.id, at(1)).await.unwrap();
    server.patch(&path, Some("\"1\""), &json!({ "title": "x" })).await.ok();
    let late = server.patch(&path, Some("\"1\""), &json!({ "title": "y" })).await;
    assert_eq!(late.version(), Some(2));
    late.is_problem(412, "changed", &path);
    server.patch(&path, None, &json!({})).await.is_problem(428, "precondition_required", &path);
    server.patch(&path, Some("\"2\""), &json!([])).await.is_problem(422, "invalid_body", &path);
    let other = server.send_body("PATCH", &path, "{}").await;
    assert_eq!(other.code(), "precondition_required");
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named() {
    let server = Server::start().await;
    let asset = server.received().await;
    let path = path(&asset);
    let wrong = json!({
        "title": "x".repeat(256), "tags": ["?"], "languages": ["xx", "en-x-own"], "state": "ready",
        "people": [{ "name": "", "role": "x" }],
    });
    let answer = server.patch(&path, Some("\"1\""), &wrong).await;
    answer.is_problem(422, "invalid_fields", &path);
    let problem: Value = serde_json::from_str(&answer.text).unwrap();
    let places = |problem: &Value| -> Vec<String> {
        problem["errors"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(places(&problem), ["/state", "/languages/0", "/languages/1"], "what is of no form first");
    let wrong = json!({ "title": "x".repeat(256), "tags": ["?"], "people": [{ "name": "", "role": "x" }] });
    let problem: Value = serde_json::from_str(&server.patch(&path, Some("\"1\""), &wrong).await.text).unwrap();
    assert_eq!(places(&problem), ["/title", "/tags/0", "/people/0/name"]);
    let ids = json!({ "external_ids": { "imdb": "tt1" } });
    server.patch(&path, Some("\"1\""), &ids).await.ok();
    let other = server.received().await;
    let path = self::path(&other);
    let taken = server.patch(&path, Some("\"1\""), &ids).await;
    taken.is_problem(409, "external_id_taken", &path);
    let problem: Value = serde_json::from_str(&taken.text).unwrap();
    assert_eq!(places(&problem), ["/external_ids/imdb"]);
    assert!(!taken.text.contains(&asset.id.to_string()));
}

#[tokio::test]
async fn lists_are_filtered_and_sorted_and_their_cursors_are_good_for_them_only() {
    let server = Server::start().await;
    for (title, tag, day) in [("b", "Red", "2001-01-01"), ("C", "red", "1999-01-01"), ("a", "blue", "2000-01-01")] {
        let asset = server.received().await;
        let said = json!({ "title": title, "tags": [tag], "released_on": day });
        server.patch(&path(&asset), Some("\"1\""), &said).await.ok();
    }
    for (query, expected) in [
        ("sort=title", vec!["a", "b", "C"]),
        ("sort=-title", vec!["C", "b", "a"]),
        ("sort=created_at", vec!["b", "C", "a"]),
        ("sort=-released_on", vec!["b", "a", "C"]),
        ("tag=RED", vec!["C", "b"]),
        ("tag=RED&sort=title", vec!["b", "C"]),
        ("released_after=2000-01-01&sort=released_on", vec!["a", "b"]),
        ("released_before=1999-12-31", vec!["C"]),
        ("state=received&type=video", vec![]),
        ("owner=somebody", vec![]),
    ] {
        assert_eq!(titles(&server.get(&format!("/api/v1/assets?{query}")).await.ok()), expected, "{query}");
    }
    let first = server.get("/api/v1/assets?sort=title&limit=1&tag=red").await;
    let link = first.header("link").unwrap().to_owned();
    let first = first.ok();
    server.described("AssetPage", &first).await;
    let next = first["page"]["next"].as_str().unwrap();
    assert_eq!(link, format!("</api/v1/assets?sort=title&limit=1&tag=red&after={next}>; rel=\"next\""));
    let page = server.get(&format!("/api/v1/assets?sort=title&limit=1&tag=red&after={next}")).await.ok();
    assert_eq!((titles(&page), &page["page"]["has_more"]), (vec!["C"], &json!(false)));
    for other in ["sort=title&tag=blue", "sort=-title&tag=red", "sort=title"] {
        let answer = server.get(&format!("/api/v1/assets?{other}&after={next}")).await;
        answer.is_problem(422, "invalid_cursor", "/api/v1/assets");
    }
}

#[tokio::test]
async fn a_search_tells_what_it_found_and_where() {
    let server = Server::start().await;
    let said = server.processing().await;
    let job = server.claim(JobLane::Heavy).await;
    let cue =
        |start_s: i64, text: &str| Cue { start_ms: start_s * 1000, end_ms: start_s * 1000 + 500, text: text.into() };
    let cues = [cue(1, "Bonjour"), cue(63, "un <b>système</b> solaire")];
    server.catalog.put_transcript(&job, ("txt", Language::from_code("fr").as_ref()), &cues, at(2)).await.unwrap();
    let titled = server.titled("Le Système <D>").await;
    let page = server.get("/api/v1/search?q=systeme&facets=true").await.ok();
    server.described("HitPage", &page).await;
    let hits = page["data"].as_array().unwrap();
    let found: Vec<&str> = hits.iter().map(|hit| hit["asset"]["id"].as_str().unwrap()).collect();
    assert_eq!(found, [titled.id.to_string(), said.id.to_string()], "the title before what is said");
    let part = |text: &str, is_match: bool| json!({ "text": text, "is_match": is_match });
    let parts = json!([part("Le ", false), part("Système", true), part(" <D>", false)]);
    assert_eq!(hits[0]["snippets"], json!([{ "field": "title", "parts": parts }]));
    assert_eq!(hits[0]["moments"], json!([]));
    let parts = json!([part("un <b>", false), part("système", true), part("</b> solaire", false)]);
    let moment = json!({
        "start_seconds": 63.0, "end_seconds": 63.5, "language": "fr", "source": "txt", "parts": parts,
    });
    assert_eq!(hits[1]["moments"], json!([moment]));
    assert_eq!(page["facets"]["kinds"], json!([{ "value": "video", "count": 1 }]));
    assert_eq!(page["facets"]["languages"][0], json!({ "value": "de", "count": 1 }), "those of the sound");
    let inside = format!("{}/search?q=systeme+solaire", path(&said));
    let page = server.get(&inside).await.ok();
    server.described("MomentPage", &page).await;
    assert_eq!(page["data"][0]["start_seconds"], 63.0);
    assert_eq!(server.get(&format!("{}/search?q=absent", path(&said))).await.ok()["data"], json!([]));
}

#[tokio::test]
async fn a_search_forgives_slips_where_it_finds_little_and_its_pages_go_on_so() {
    let server = Server::start().await;
    for number in 0..5 {
        server.titled(&format!("Documentary {number}")).await;
    }
    let page = server.get("/api/v1/search?q=documentery&limit=2").await;
    let mut next = page.header("link").unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    let page = page.ok();
    assert_eq!((&page["is_forgiving"], page["data"].as_array().unwrap().len()), (&json!(true), 2));
    let mut seen = titles_of_hits(&page);
    for _ in 0..2 {
        let page = server.get(&next).await;
        let link = page
            .header("link")
            .filter(|link| link.contains("\"next\""))
            .and_then(|link| link.split(['<', '>']).nth(1))
            .map(str::to_owned);
        seen.extend(titles_of_hits(&page.ok()));
        next = link.unwrap_or_default();
    }
    let expected: Vec<String> = (0..5).rev().map(|number| format!("Documentary {number}")).collect();
    assert_eq!((seen, next), (expected, String::new()));
    let exact = server.get("/api/v1/search?q=documentary&limit=2").await.ok();
    assert_eq!(exact["is_forgiving"], false);
    let after = exact["page"]["next"].as_str().unwrap();
    let other = server.get(&format!("/api/v1/search?q=other&limit=2&after={after}")).await;
    other.is_problem(422, "invalid_cursor", "/api/v1/search");
}

fn titles_of_hits(page: &Value) -> Vec<String> {
    let hits = page["data"].as_array().unwrap().iter();
    hits.map(|hit| hit["asset"]["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn no_query_is_an_error() {
    let server = Server::start().await;
    server.titled("A title").await;
    for query in [
        "",
        "%22",
        "-",
        "*",
        "%27%22%5C%00",
        "(a+OR+b)+NEAR",
        "a:b%26%7C!%3C-%3E",
        "%F0%9F%8E%AC",
        "%22a+b",
        "title%3Ax*",
    ] {
        let answer = server.get(&format!("/api/v1/search?q={query}&facets=true")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    }
    let long = "a".repeat(401);
    server.get(&format!("/api/v1/search?q={long}")).await.is_problem(400, "invalid_query", "/api/v1/search");
}

#[tokio::test]
async fn a_search_finds_what_somebody_may_see() {
    let people = People::start().await;
    let (ada, bob) = (people.somebody(Role::Uploader).await, people.somebody(Role::Uploader).await);
    let mine = people.asset_of(ada.user.map(|user| user.to_string())).await;
    let path = format!("/api/v1/assets/{mine}");
    let said = json!({ "title": "Secret dragon", "tags": ["hidden"] });
    people.send(&ada, ("PATCH", &path), said.clone(), &[("if-match", "\"1\"")]).await.ok();
    people.send(&bob, ("PATCH", &path), said, &[("if-match", "\"2\"")]).await.is_problem(404, "not_found", &path);
    let found = async |who, query: &str| {
        let page = people.get(who, &format!("/api/v1/search?facets=true&q={query}")).await.ok();
        (page["data"].as_array().unwrap().len(), page["facets"]["tags"].as_array().unwrap().len())
    };
    assert_eq!(found(&ada, "dragon").await, (1, 1));
    for query in ["dragon", "dragn", "hidden", "clip"] {
        assert_eq!(found(&bob, query).await, (0, 0), "{query}");
    }
    let inside = format!("{path}/search?q=x");
    people.get(&bob, &inside).await.is_problem(404, "not_found", &format!("{path}/search"));
    assert_eq!(found(&people.somebody(Role::Moderator).await, "dragon").await, (1, 1));
    people.stop().await;
}

#[tokio::test]
async fn a_member_that_occurs_twice_is_refused_by_its_name() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = path(&asset);
    let marker =
        |attributes: &str| format!(r#"{{"markers":[{{"id":"ad","start_seconds":1,"attributes":{{{attributes}}}}}]}}"#);
    for (method, path, document, name) in [
        ("PUT", format!("{path}/access"), r#"{"policy":"private","policy":"public"}"#.to_owned(), "policy"),
        ("PATCH", path.clone(), r#"{"title":"a","title":"b"}"#.to_owned(), "title"),
        ("PATCH", path.clone(), r#"{"external_ids":{"imdb":"tt1","imdb":"tt2"}}"#.to_owned(), "imdb"),
        ("POST", "/api/v1/collections".into(), r#"{"kind":"playlist","title":"a","title":"a"}"#.to_owned(), "title"),
        ("PUT", format!("{path}/markers"), marker(r#""X-A":1,"X-A":2"#), "X-A"),
        ("PUT", format!("{path}/chapters"), r#"{"chapters":[],"chapters":[]}"#.to_owned(), "chapters"),
    ] {
        let request = Request::builder().method(method).uri(&path).header("if-match", "*");
        let request = request.header("content-type", "application/json").body(Body::from(document)).unwrap();
        let answer = server.ask(request).await;
        assert!(answer.text.contains(&format!("duplicate field `{name}`")), "{method} {path}: {}", answer.text);
        answer.is_problem(422, "invalid_body", &path);
    }
    assert_eq!(server.get(&format!("{path}/access")).await.ok()["policy"], "public", "as it was");
    assert_eq!(server.get(&format!("{path}/markers")).await.ok()["markers"], json!([]));
}
