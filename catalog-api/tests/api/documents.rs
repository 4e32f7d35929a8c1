//! Documents of assets: asked for, shown, named, put in order, removed.

use axum::http::StatusCode;
use catalog_store::{NewUpload, Target};
use domain::presentation::Pointer;
use domain::{AssetId, Clock, DocumentId, UploadId};
use serde_json::{Value, json};

use crate::harness::{Answer, Server, at};

impl Server {
    /// A document of an asset, all of which is there.
    pub(crate) async fn document_of(&self, asset: AssetId, name: &str) -> DocumentId {
        let (now, playback) = (self.clock.now(), self.catalog.asset(asset).await.unwrap().unwrap().playback);
        let id = DocumentId::mint(now, self.clock.entropy());
        let new = NewUpload {
            file_name: Some(name.into()),
            ..NewUpload::whole(
                UploadId::mint(now, self.clock.entropy()),
                Target::document(asset, playback, id),
                Some(5),
                now,
            )
        };
        self.catalog.create_upload(&new).await.unwrap();
        self.catalog.describe_document(new.id, ("application/pdf", &"ab".repeat(32))).await.unwrap();
        self.catalog.finish_upload(new.id, 5, (self.job_id(), self.job_id()), now).await.unwrap();
        id
    }

    async fn change(&self, path: &str, version: Option<&str>, change: Value) -> Answer {
        let headers: Vec<(&str, &str)> = version.map(|version| ("if-match", version)).into_iter().collect();
        self.send_json("PATCH", path, &change, &headers).await
    }
}

#[tokio::test]
async fn a_document_is_shown_named_put_in_order_and_removed() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.catalog.mark_playable(asset.id, at(2)).await.unwrap();
    let all = format!("/api/v1/assets/{}/documents", asset.id);
    assert_eq!(
        server.get(&all).await.ok(),
        json!({ "data": [], "page": { "next": null, "prev": null, "has_more": false } })
    );
    let (script, slides) =
        (server.document_of(asset.id, "script.pdf").await, server.document_of(asset.id, "slides.pdf").await);
    let listed = server.get(&all).await.ok();
    assert_eq!(listed["data"][0]["id"], json!(script));
    assert_eq!((&listed["data"][1]["id"], &listed["data"][1]["position"]), (&json!(slides), &json!(1)));
    let path = format!("{all}/{script}");
    let answer = server.get(&path).await;
    assert_eq!(answer.version(), Some(1));
    let shown = answer.ok();
    let expected = json!({
        "id": script, "state": "ready", "name": "script.pdf", "description": "", "position": 0,
        "media_type": "application/pdf", "received_bytes": null, "size_bytes": 5, "size": "5",
        "sha256": "ab".repeat(32), "url": format!("/v/{}/documents/{script}", asset.playback), "failure": null,
        "created_at": shown["created_at"], "updated_at": shown["updated_at"],
    });
    assert_eq!(shown, expected);
    let change = json!({ "name": "a/Le  scénario.pdf", "description": " All of it. ", "position": 9 });
    let answer = server.change(&path, Some("\"1\""), change).await;
    assert_eq!(answer.version(), Some(2));
    let changed = answer.ok();
    assert_eq!(
        (&changed["name"], &changed["description"], &changed["position"]),
        (&json!("Le scénario.pdf"), &json!("All of it."), &json!(1))
    );
    let answer = server.change(&path, Some("\"2\""), json!({ "description": null })).await.ok();
    assert_eq!((&answer["description"], &answer["name"]), (&json!(""), &json!("Le scénario.pdf")));
    for (version, change, status, code) in [
        (None, json!({}), StatusCode::PRECONDITION_REQUIRED, "precondition_required"),
        (Some("\"1\""), json!({}), StatusCode::PRECONDITION_FAILED, "changed"),
        (Some("\"3\""), json!({ "name": " / " }), StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields"),
        (Some("\"3\""), json!({ "name": "x".repeat(201) }), StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields"),
        (Some("\"3\""), json!({ "description": "x".repeat(501) }), StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields"),
        (Some("\"3\""), json!({ "position": -1 }), StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"),
        (Some("\"3\""), json!({ "sha256": "x" }), StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"),
    ] {
        let answer = server.change(&path, version, change.clone()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{change}");
    }
    assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    for method in ["GET", "DELETE"] {
        assert_eq!(server.send(method, &path).await.code(), "not_found");
    }
    assert_eq!(server.get(&all).await.ok()["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_pointer_follows_a_change_at_once() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let script = server.document_of(asset.id, "script.pdf").await;
    server.point(&asset, domain::Access::default()).await;
    let pointed = async || -> Pointer {
        serde_json::from_slice(&server.store.pointer(asset.playback).await.unwrap().unwrap()).unwrap()
    };
    let bare = pointed().await;
    let path = format!("/api/v1/assets/{}/documents/{script}", asset.id);
    server.change(&path, Some("\"1\""), json!({ "name": "Script.pdf" })).await.ok();
    let documents = pointed().await.documents;
    assert_eq!((documents.len(), documents[0].name.as_str(), documents[0].size_bytes.0), (1, "Script.pdf", 5));
    assert_eq!(server.send("DELETE", &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(pointed().await, bare);
}

#[tokio::test]
async fn a_place_to_upload_a_document_to_is_good_for_that_alone() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = format!("/api/v1/assets/{}/documents", asset.id);
    let place = server.send_json("POST", &path, &json!({ "max_bytes": 9 }), &[]).await.created();
    let id = place["grant"].as_str().unwrap();
    let grant = server.catalog.grant(id).await.unwrap().unwrap();
    assert_eq!((grant.asset, grant.is_document, grant.uses_left, grant.bytes_max), (Some(asset.id), true, 1, Some(9)));
    assert!(place["url"].as_str().unwrap().starts_with("/uploads?grant=grt_"));
    let refused = server.send_json("POST", &path, &json!({ "expires_in_s": 0 }), &[]).await;
    assert_eq!(refused.code(), "invalid_fields");
}
