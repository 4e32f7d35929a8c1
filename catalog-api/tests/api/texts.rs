//! Subtitle files and chapters that are added.

use axum::http::StatusCode;
use domain::presentation::SubtitleRendition;
use domain::text::{BYTES_MAX, COUNT_MAX, Format, Report};
use domain::{Failure, FailureCode, JobKind, JobLane, TextId, Timescale};
use media_store::layout;
use serde_json::{Value, json};

use crate::harness::{Server, at};
use catalog_store::Asset;

const SRT: &str = "1\n00:00:01,000 --> 00:00:02,000\nHi\n";

fn path(asset: &Asset) -> String {
    format!("/api/v1/assets/{}/subtitles", asset.id)
}

impl Server {
    /// Adds a subtitle file.
    pub(crate) async fn text(&self, asset: &Asset) -> TextId {
        let added = self.send_body("POST", &path(asset), SRT).await.created();
        added["id"].as_str().unwrap().parse().unwrap()
    }

    /// Does the work of the job that reads it; without a name, nothing can be shown.
    pub(crate) async fn read(&self, text: TextId, name: Option<&str>) {
        let job = self.claim_texts().await;
        let mut report =
            Report { format: Some(Format::Srt), charset: Some("UTF-8".into()), cues: 1, ..Report::default() };
        report.drop_cue(4, "no time");
        report.reason = if name.is_some() { None } else { Some("no subtitle of the file could be read".into()) };
        let rendition = name.map(|name| SubtitleRendition {
            id: text.rendition(),
            language: None,
            name: name.into(),
            is_forced: false,
            is_sdh: false,
            is_default: false,
            timescale: Timescale::MILLISECONDS,
            segments: vec![],
        });
        self.catalog.put_text(&job, text, &report, rendition.as_ref(), at(5)).await.unwrap();
        self.catalog.settle_texts(&job, at(5)).await.unwrap();
    }

    async fn claim_texts(&self) -> catalog_store::LeasedJob {
        let job = self.claim(JobLane::Urgent).await;
        assert_eq!(job.spec.kind(), JobKind::Texts);
        job
    }

    async fn shown(&self, asset: &Asset) -> Value {
        self.get(&format!("/api/v1/assets/{}", asset.id)).await.ok()
    }
}

#[tokio::test]
async fn a_subtitle_file_is_stored_shown_and_removed() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = path(&asset);
    let answer = server
        .send_body(
            "POST",
            &format!("{path}?language=ger&name=+Deutsch%0A&forced=true&default=true&hearing_impaired=true"),
            SRT,
        )
        .await;
    let location = answer.header("location").unwrap().to_owned();
    let added = answer.created();
    let id = added["id"].as_str().unwrap();
    assert_eq!(location, format!("{path}/{id}"));
    assert_eq!(
        added,
        json!({
            "id": id, "source": "added", "format": null, "language": "de", "name": "Deutsch", "is_forced": true,
            "is_default": true, "is_hearing_impaired": true, "replaces": null, "replaced_by": null,
            "is_convertible": true, "state": "waiting", "reason": null, "rendition": null,
            "report": null,
        })
    );
    let key = layout::text(asset.id, id.parse().unwrap());
    assert_eq!(server.store.get(&key).await.unwrap().as_deref(), Some(SRT.as_bytes()));
    assert_eq!(server.get(&location).await.ok(), added);
    assert_eq!(server.shown(&asset).await["subtitle_languages"], json!(["fr", "de"]));

    server.read(id.parse().unwrap(), Some("Deutsch")).await;
    let shown = server.get(&location).await.ok();
    assert_eq!((&shown["state"], &shown["format"]), (&json!("ready"), &json!("srt")));
    let problems = json!([{ "line": 4, "what": "no time" }]);
    let report = json!({ "charset": "UTF-8", "cues": 1, "dropped": 1, "outside": 0, "problems": problems });
    assert_eq!(shown["report"], report);
    let renditions = server.shown(&asset).await["renditions"].clone();
    assert!(renditions.as_array().unwrap().iter().any(|rendition| rendition["id"] == shown["rendition"]));

    assert_eq!(server.send("DELETE", &location).await.status, StatusCode::NO_CONTENT);
    server.get(&location).await.is_problem(404, "not_found", &location);
    server.send("DELETE", &location).await.is_problem(404, "not_found", &location);
    assert_eq!(server.shown(&asset).await["subtitle_languages"], json!(["fr"]));
    assert_eq!(server.claim_texts().await.asset, asset.id);
}

#[tokio::test]
async fn only_subtitles_that_can_be_shown_count_and_the_others_say_why() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let text = server.text(&asset).await;
    server.read(text, None).await;
    let shown = server.shown(&asset).await;
    let seen: Vec<_> =
        shown["subtitles"].as_array().unwrap().iter().map(|one| (&one["state"], &one["reason"])).collect();
    let pictures = "it consists of pictures (hdmv_pgs_subtitle), which cannot be turned into text";
    let (waiting, unusable) = (json!("waiting"), json!("unusable"));
    let reasons = [json!(null), json!(pictures), json!("no subtitle of the file could be read")];
    assert_eq!(seen, [(&waiting, &reasons[0]), (&unusable, &reasons[1]), (&unusable, &reasons[2])]);
    assert_eq!((&shown["has_subtitles"], &shown["subtitle_languages"]), (&json!(true), &json!(["fr"])));

    // The job for the file's own text found none in it.
    server.finish(&asset, &crate::images()).await;
    let shown = server.shown(&asset).await;
    assert_eq!(shown["subtitles"][0]["reason"], "it holds no text that could be read");
    assert_eq!((&shown["has_subtitles"], &shown["subtitle_languages"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn what_is_certainly_no_subtitle_file_is_refused_at_once() {
    let server = Server::start().await;
    let asset = server.received().await;
    let path = path(&asset);
    server.send_body("POST", &path, "").await.is_problem(422, "invalid_body", &path);
    server.send_body("POST", &path, " \r\n\t ").await.is_problem(422, "invalid_body", &path);
    server.send_body("POST", &path, vec![b' '; BYTES_MAX + 1]).await.is_problem(413, "body_too_large", &path);
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\0\0\0\x01\0".as_slice();
    server.send_body("POST", &path, png).await.is_problem(422, "not_text", &path);
    for query in ["name=".to_owned() + &"x".repeat(101), "charset=".to_owned() + &"x".repeat(41), "format=srt".into()] {
        server.send_body("POST", &format!("{path}?{query}"), SRT).await.is_problem(400, "invalid_query", &path);
    }
    assert!(server.catalog.texts(asset.id).await.unwrap().is_empty());
    let stored = server.store.list(&layout::texts_of(asset.id), None).await.unwrap();
    assert!(stored.objects.is_empty(), "{stored:?}");
}

#[tokio::test]
async fn a_failed_asset_takes_no_subtitles_and_no_asset_takes_too_many() {
    let server = Server::start().await;
    let full = server.received().await;
    for _ in 0..COUNT_MAX {
        server.text(&full).await;
    }
    server.send_body("POST", &path(&full), SRT).await.is_problem(409, "too_many_subtitles", &path(&full));
    let stored = server.store.list(&layout::texts_of(full.id), None).await.unwrap();
    assert_eq!(stored.objects.len(), COUNT_MAX, "the refused one is not kept");

    let job = server.claim(JobLane::Urgent).await;
    server.catalog.fail(&job, &Failure::new(FailureCode::NoMedia, "no"), at(2)).await.unwrap();
    server.send_body("POST", &path(&full), SRT).await.is_problem(409, "asset_failed", &path(&full));
    let chapters = format!("/api/v1/assets/{}/chapters", full.id);
    server.send_as_json("PUT", &chapters, r#"{"chapters":[]}"#).await.is_problem(409, "asset_failed", &chapters);
}

#[tokio::test]
async fn chapters_are_set_replaced_removed_and_given_back_to_the_file() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.catalog.mark_playable(asset.id, at(1)).await.unwrap();
    let path = format!("/api/v1/assets/{}/chapters", asset.id);
    let own = server.get(&path).await.ok();
    assert_eq!((&own["source"], own["chapters"].as_array().unwrap().len()), (&json!("file"), 2));

    let wanted = json!({ "chapters": [
        { "start_seconds": 20.0004, "title": "" },
        { "start_seconds": 0, "end_seconds": 5.5, "title": " The\nbeginning " },
        { "start_seconds": 31, "title": "after the end" },
    ] });
    let expected = json!({ "source": "added", "chapters": [
        { "start_seconds": 0.0, "end_seconds": 5.5, "title": "The beginning" },
        { "start_seconds": 20.0, "end_seconds": 30.0, "title": "Chapter 2" },
    ] });
    assert_eq!(server.send_as_json("PUT", &path, wanted.to_string()).await.ok(), expected);
    assert_eq!(server.get(&path).await.ok(), expected);
    let shown = server.shown(&asset).await;
    assert_eq!((&shown["chapters"], &shown["chapters_source"]), (&expected["chapters"], &json!("added")));

    let none = server.send_as_json("PUT", &path, r#"{"chapters":[]}"#).await.ok();
    assert_eq!(none, json!({ "source": "added", "chapters": [] }));
    assert_eq!(server.shown(&asset).await["playback"]["chapters"], Value::Null);
    for _ in 0..2 {
        assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(server.get(&path).await.ok(), own);
    }
}

#[tokio::test]
async fn markers_are_set_replaced_and_removed() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.catalog.mark_playable(asset.id, at(1)).await.unwrap();
    let path = format!("/api/v1/assets/{}/markers", asset.id);
    let none = json!({ "markers": [] });
    assert_eq!(server.get(&path).await.ok(), none);

    let attributes = json!({ "X-ORG-EXAMPLE-KIND": "advert, long", "X-PRICE": 1.25 });
    let wanted = json!({ "markers": [
        { "id": "credits", "start_seconds": 25.0004, "duration_seconds": 60 },
        { "id": "intro", "start_seconds": 0, "duration_seconds": 5.5, "class": "org.example", "attributes": attributes },
        { "id": "late", "start_seconds": 31 },
        { "id": "goal", "start_seconds": 7 },
    ] });
    let nothing = json!({});
    let expected = json!({ "markers": [
        { "id": "intro", "start_seconds": 0.0, "duration_seconds": 5.5, "class": "org.example", "attributes": attributes },
        { "id": "goal", "start_seconds": 7.0, "duration_seconds": null, "class": null, "attributes": nothing },
        { "id": "credits", "start_seconds": 25.0, "duration_seconds": 5.0, "class": null, "attributes": nothing },
    ] });
    assert_eq!(server.send_as_json("PUT", &path, wanted.to_string()).await.ok(), expected);
    assert_eq!(server.get(&path).await.ok(), expected);
    for _ in 0..2 {
        assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
        assert_eq!(server.get(&path).await.ok(), none);
    }
}

#[tokio::test]
async fn markers_that_cannot_be_said_are_refused() {
    let server = Server::start().await;
    let asset = server.received().await;
    let path = format!("/api/v1/assets/{}/markers", asset.id);
    let one = |fields: &str| format!(r#"{{"markers":[{{{fields}}}]}}"#);
    let with = |attributes: &str| one(&format!(r#""id":"a","start_seconds":0,"attributes":{{{attributes}}}"#));
    let many: Vec<String> = (0..1001).map(|at| format!(r#"{{"id":"{at}","start_seconds":0}}"#)).collect();
    let attributes: Vec<String> = (0..33).map(|at| format!(r#""X-{at}":0"#)).collect();
    server.send_as_json("PUT", &path, "").await.is_problem(400, "malformed_body", &path);
    for body in [
        r#"{"markers":[],"more":1}"#.into(),
        one(r#""start_seconds":0"#),
        one(r#""id":"","start_seconds":0"#),
        one(r#""id":"two\nlines","start_seconds":0"#),
        one(r#""id":"a \" quote","start_seconds":0"#),
        one(r#""id":"a","start_seconds":-1"#),
        one(r#""id":"a","start_seconds":0,"duration_seconds":-1"#),
        one(r#""id":"a","start_seconds":0,"class":" ""#),
        one(r#""id":"a","start_seconds":0},{"id":"a","start_seconds":1"#),
        one(&format!(r#""id":"{}","start_seconds":0"#, "x".repeat(251))),
        with(r#""x-lower":"a""#),
        with(r#""START-DATE":"a""#),
        with(r#""X-A":"a\tb""#),
        with(r#""X-A":-1"#),
        with(r#""X-A":1e300"#),
        with(r#""X-A":true"#),
        with(&attributes.join(",")),
        format!(r#"{{"markers":[{}]}}"#, many.join(",")),
    ] {
        server.send_as_json("PUT", &path, body).await.is_problem(422, "invalid_body", &path);
    }
    assert_eq!(server.catalog.asset(asset.id).await.unwrap().unwrap().markers, []);
    let unknown = "/api/v1/assets/ast_00000000000000000000000000/markers";
    for (method, body) in [("GET", ""), ("PUT", r#"{"markers":[]}"#), ("DELETE", "")] {
        server.send_body(method, unknown, body).await.is_problem(404, "not_found", unknown);
    }
}

#[tokio::test]
async fn documents_that_do_not_say_that_they_are_json_are_refused() {
    let server = Server::start().await;
    let asset = server.received().await;
    let document = server.get("/api/v1/openapi.json").await.ok();
    for (method, operation, body) in [
        ("PUT", "chapters", r#"{"chapters":[]}"#),
        ("PUT", "markers", r#"{"markers":[]}"#),
        ("POST", "versions", "{}"),
        ("POST", "documents", "{}"),
    ] {
        let path = format!("/api/v1/assets/{}/{operation}", asset.id);
        server.send_body(method, &path, body).await.is_problem(415, "not_json", &path);
        let described = &document["paths"][format!("/api/v1/assets/{{id}}/{operation}")][method.to_lowercase()];
        assert!(described["responses"]["415"].is_object(), "{method} {operation}");
    }
}

#[tokio::test]
async fn chapters_that_cannot_be_meant_are_refused() {
    let server = Server::start().await;
    let asset = server.received().await;
    let path = format!("/api/v1/assets/{}/chapters", asset.id);
    let one = |fields: &str| format!(r#"{{"chapters":[{{{fields}}}]}}"#);
    let long = one(&format!(r#""start_seconds":0,"title":"{}""#, "x".repeat(501)));
    let many = vec![r#"{"start_seconds":0,"title":""}"#; 2001].join(",");
    server.send_as_json("PUT", &path, "").await.is_problem(400, "malformed_body", &path);
    for body in [
        "[]".into(),
        r#"{"chapters":[],"more":1}"#.into(),
        one(r#""title":"no start""#),
        one(r#""start_seconds":-1,"title":"x""#),
        one(r#""start_seconds":1e300,"title":"x""#),
        one(r#""start_seconds":"1","title":"x""#),
        one(r#""start_seconds":5,"end_seconds":5,"title":"x""#),
        r#"{"chapters":[{"start_seconds":1,"title":"a"},{"start_seconds":1.0001,"title":"b"}]}"#.into(),
        format!(r#"{{"chapters":[{many}]}}"#),
        long,
    ] {
        server.send_as_json("PUT", &path, body).await.is_problem(422, "invalid_body", &path);
    }
    let large = format!(r#"{{"chapters":[],"padding":"{}"}}"#, "x".repeat(1 << 20));
    server.send_as_json("PUT", &path, large).await.is_problem(413, "body_too_large", &path);
    assert_eq!(server.catalog.asset(asset.id).await.unwrap().unwrap().chapters, None);
}
