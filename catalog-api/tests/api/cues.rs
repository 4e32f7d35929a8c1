//! Subtitles cue by cue, and what is said of them: shown, edited, changed.

use axum::http::StatusCode;
use catalog_store::Asset;
use domain::presentation::{SegmentEntry, SubtitleRendition};
use domain::{Generation, JobLane, RenditionId, Timescale};
use media_store::layout;
use serde_json::{Value, json};

use crate::harness::{Answer, Server, at};

fn below(asset: &Asset, rest: &str) -> String {
    format!("/api/v1/assets/{}/subtitles/{rest}", asset.id)
}

fn cue(start: f64, end: f64, text: &str) -> Value {
    json!({ "start_s": start, "end_s": end, "text": text, "settings": "" })
}

impl Server {
    async fn edit(&self, path: &str, tag: &str, cues: &[Value]) -> Answer {
        self.send_json("PUT", path, &json!({ "cues": cues }), &[("if-match", tag)]).await
    }

    /// A track of the source of an asset, with one cue in it.
    async fn own_track(&self, asset: &Asset) -> RenditionId {
        let id = RenditionId::new("subtitles-0-fr").unwrap();
        let key = layout::subtitle(asset.id, Generation(1), &id, 0);
        let segment =
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:00:03.000 --> 00:00:04.000\nOwn words\n";
        self.store.put_once(&key, segment.into()).await.unwrap();
        let rendition = SubtitleRendition {
            id: id.clone(),
            language: domain::Language::from_code("fr"),
            name: "Français".into(),
            is_forced: false,
            is_sdh: true,
            is_default: false,
            timescale: Timescale::MILLISECONDS,
            segments: vec![SegmentEntry { ticks: 30_000, bytes: None, sha256: None, keyframes: vec![] }],
        };
        let job = self.claim(JobLane::Heavy).await;
        self.catalog.put_subtitles(&job, &[rendition], at(2)).await.unwrap();
        id
    }
}

#[tokio::test]
async fn an_added_file_is_edited_cue_by_cue() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let text = server.text(&asset).await;
    let path = below(&asset, &format!("{text}/cues"));
    let answer = server.get(&path).await;
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(tag, format!("\"{text}\""));
    assert_eq!(answer.ok(), json!({ "cues": [cue(1.0, 2.0, "Hi")] }));
    server
        .send_json("PATCH", &below(&asset, &text.to_string()), &json!({ "name": "Signs" }), &[("if-match", "\"1\"")])
        .await
        .ok();
    let cues = [cue(1.0, 2.0, "Hello"), cue(2.5, 3.25, "<i>Là</i> &amp; ici")];
    for (lines, code) in [
        (vec![], "precondition_required"),
        (vec![("if-match", "\"1\"")], "changed"),
        (vec![("if-match", "1")], "invalid_header"),
    ] {
        let refused = server.send_json("PUT", &path, &json!({ "cues": cues }), &lines).await;
        assert_eq!(refused.code(), code);
        assert_eq!(refused.header("etag"), (code == "changed").then_some(&*tag));
    }
    let refused = server.edit(&path, &tag, &[cue(2.0, 1.0, "x"), cue(0.5, 1.0, "")]).await;
    assert_eq!(refused.code(), "invalid_fields");
    let told: Value = serde_json::from_str(&refused.text).unwrap();
    assert_eq!(told["errors"][0]["pointer"], "/cues/0/end_s");
    let answer = server.edit(&path, &tag, &cues).await;
    let place = answer.header("content-location").unwrap().to_owned();
    let edited = answer.ok();
    assert_eq!(place, below(&asset, edited["id"].as_str().unwrap()));
    assert_eq!(
        (&edited["name"], &edited["state"], &edited["replaces"]),
        (&json!("Signs"), &json!("waiting"), &json!(null))
    );
    assert_eq!(server.get(&format!("{place}/cues")).await.ok(), json!({ "cues": cues }));
    assert_eq!(server.get(&path).await.code(), "not_found", "the one that was edited is taken back");
    assert_eq!(server.edit(&path, &tag, &cues).await.code(), "not_found");
    let listed = server.get(below(&asset, "").trim_end_matches('/')).await.ok();
    let added: Vec<&Value> = listed["data"].as_array().unwrap().iter().filter(|one| one["source"] == "added").collect();
    assert_eq!((added.len(), &added[0]["id"]), (1, &edited["id"]));
}

#[tokio::test]
async fn an_edit_of_a_track_is_shown_instead_of_it_until_it_is_removed() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let track = server.own_track(&asset).await;
    let path = below(&asset, &format!("{track}/cues"));
    let answer = server.get(&path).await;
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(answer.ok(), json!({ "cues": [cue(3.0, 4.0, "Own words")] }));
    let edited = server.edit(&path, &tag, &[cue(3.0, 4.5, "Other words")]).await.ok();
    assert_eq!(
        (&edited["language"], &edited["name"], &edited["is_hearing_impaired"], &edited["replaces"]),
        (&json!("fr"), &json!("Français"), &json!(true), &json!(track))
    );
    let listed = || async { server.get(below(&asset, "").trim_end_matches('/')).await.ok()["data"].clone() };
    assert_eq!(listed().await[0]["replaced_by"], edited["id"]);
    assert_eq!(server.get(&path).await.code(), "subtitle_replaced");
    assert_eq!(server.edit(&path, &tag, &[cue(3.0, 4.0, "x")]).await.code(), "subtitle_replaced");
    // An edit of the edit stands for the same track.
    let place = below(&asset, edited["id"].as_str().unwrap());
    let next = server.get(&format!("{place}/cues")).await.header("etag").unwrap().to_owned();
    let again = server.edit(&format!("{place}/cues"), &next, &[cue(3.0, 4.5, "Third words")]).await.ok();
    assert_eq!((&again["replaces"], &listed().await[0]["replaced_by"]), (&json!(track), &again["id"]));
    let place = below(&asset, again["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &place).await.status, StatusCode::NO_CONTENT);
    assert_eq!(listed().await[0]["replaced_by"], Value::Null);
    assert_eq!(server.get(&path).await.ok(), json!({ "cues": [cue(3.0, 4.0, "Own words")] }));
    for (name, code) in [("subtitles-9-xx", "not_found"), ("Nothing", "invalid_id")] {
        assert_eq!(server.get(&below(&asset, &format!("{name}/cues"))).await.code(), code);
    }
}

#[tokio::test]
async fn what_is_said_of_a_subtitle_file_is_changed() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let text = server.text(&asset).await;
    server.read(text, Some("text")).await;
    let path = below(&asset, &text.to_string());
    let before = server.get(&path).await;
    assert_eq!(before.version(), Some(1));
    let before = before.ok();
    let change =
        async |tag: &'static str, change: Value| server.send_json("PATCH", &path, &change, &[("if-match", tag)]).await;
    let wanted =
        json!({ "language": "ger", "name": " Für  Gehörlose ", "is_hearing_impaired": true, "is_default": true });
    let answer = change("\"1\"", wanted).await;
    assert_eq!(answer.version(), Some(2));
    let after = answer.ok();
    assert_eq!(
        (&after["language"], &after["name"], &after["is_hearing_impaired"], &after["is_default"], &after["is_forced"]),
        (&json!("de"), &json!("Für Gehörlose"), &json!(true), &json!(true), &json!(false))
    );
    assert_eq!(
        (&after["state"], &after["rendition"], &after["report"]),
        (&json!("ready"), &before["rendition"], &before["report"])
    );
    let bare = change("\"2\"", json!({ "name": null, "language": null, "is_default": false })).await.ok();
    assert_eq!(
        (&bare["name"], &bare["language"], &bare["is_hearing_impaired"]),
        (&json!(null), &json!(null), &json!(true))
    );
    for (tag, wanted, code) in [
        ("\"2\"", json!({}), "changed"),
        ("\"3\"", json!({ "language": "klingon" }), "invalid_fields"),
        ("\"3\"", json!({ "name": "x".repeat(101) }), "invalid_fields"),
        ("\"3\"", json!({ "charset": "utf-8" }), "invalid_body"),
        ("\"3\"", json!({ "is_forced": null, "state": "ready" }), "invalid_body"),
    ] {
        assert_eq!(change(tag, wanted.clone()).await.code(), code, "{wanted}");
    }
}
