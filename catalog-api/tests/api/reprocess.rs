//! Another output of an asset, asked for through the API.

use axum::http::StatusCode;
use domain::{AssetState, Generation, JobLane, JobSpec};
use media_store::layout;
use serde_json::{Value, json};

use crate::harness::{Server, at};
use crate::images;

/// An asset that is ready, with its source stored; its address.
pub(crate) async fn ready(server: &Server) -> (domain::AssetId, String) {
    let asset = server.processing().await;
    server.finish(&asset, &images()).await;
    server.store.put_once(&layout::source(asset.id), "source".into()).await.unwrap();
    (asset.id, format!("/api/v1/assets/{}", asset.id))
}

#[tokio::test]
async fn a_ready_asset_is_processed_again_and_stays_ready() {
    let server = Server::start().await;
    let (id, asset) = ready(&server).await;
    let shown = server.get(&asset).await.ok();
    assert_eq!((&shown["generation"], &shown["reprocessing"]), (&json!(1), &Value::Null));
    let begun = server.send("POST", &format!("{asset}/reprocess")).await;
    assert_eq!((begun.status, begun.header("cache-control")), (StatusCode::ACCEPTED, Some("private, no-store")));
    let begun: Value = serde_json::from_str(&begun.text).unwrap();
    assert_eq!(begun, json!({ "asset": id.to_string(), "generation": 2, "is_new": true }));
    let shown = server.get(&asset).await.ok();
    assert_eq!((&shown["state"], &shown["generation"], &shown["progress"]), (&json!("ready"), &json!(1), &json!(1.0)));
    assert_eq!(shown["reprocessing"]["generation"], 2);
    assert_eq!((&shown["reprocessing"]["progress"], &shown["reprocessing"]["renditions"]), (&json!(0.0), &json!([])));
    assert!(shown["playback"]["hls"].is_string());
    // A request whose answer was lost is repeated.
    for path in ["reprocess", "reprocess?replaces=1"] {
        let again = server.send("POST", &format!("{asset}/{path}")).await;
        assert_eq!(again.status, StatusCode::ACCEPTED, "{}", again.text);
        let again: Value = serde_json::from_str(&again.text).unwrap();
        assert_eq!((&again["generation"], &again["is_new"]), (&json!(2), &json!(false)));
    }
    let jobs = server.catalog.jobs_of(id).await.unwrap();
    let planned = jobs.iter().filter(|job| job.spec == JobSpec::Reprocess { generation: Generation(2) });
    assert_eq!(planned.count(), 1);
}

#[tokio::test]
async fn why_the_new_output_was_given_up_is_shown() {
    let server = Server::start().await;
    let (_, asset) = ready(&server).await;
    server.send("POST", &format!("{asset}/reprocess")).await;
    let job = server.claim(JobLane::Light).await;
    let failure = domain::Failure::new(domain::FailureCode::Damaged, "the file is damaged");
    server.catalog.fail(&job, &failure, at(4)).await.unwrap();
    let shown = server.get(&asset).await.ok();
    assert_eq!(
        (&shown["state"], &shown["failure"], &shown["reprocessing"]),
        (&json!("ready"), &Value::Null, &Value::Null)
    );
    assert_eq!(shown["reprocess_failure"], json!({ "code": "damaged", "message": "the file is damaged" }));
}

#[tokio::test]
async fn what_cannot_be_processed_again_is_refused_with_the_reason() {
    let server = Server::start().await;
    let (id, asset) = ready(&server).await;
    let path = format!("{asset}/reprocess");
    server.send("POST", &format!("{path}?replaces=7")).await.is_problem(409, "generation_replaced", &path);
    server.send("POST", &format!("{path}?replaces=x")).await.is_problem(400, "invalid_query", &path);
    server.send("POST", &format!("{path}?force=1")).await.is_problem(400, "invalid_query", &path);
    server.send("GET", &path).await.is_problem(405, "method_not_allowed", &path);
    server.store.delete(&layout::source(id)).await.unwrap();
    server.send("POST", &path).await.is_problem(409, "source_missing", &path);
    assert_eq!(server.catalog.asset(id).await.unwrap().unwrap().state, AssetState::Ready);

    let busy = server.processing().await;
    server.store.put_once(&layout::source(busy.id), "source".into()).await.unwrap();
    let path = format!("/api/v1/assets/{}/reprocess", busy.id);
    server.send("POST", &path).await.is_problem(409, "asset_not_ready", &path);
    let path = format!("/api/v1/assets/{}/reprocess", domain::AssetId::from_u128(9));
    server.send("POST", &path).await.is_problem(404, "not_found", &path);
    let path = "/api/v1/assets/7/reprocess";
    server.send("POST", path).await.is_problem(400, "invalid_id", path);
}
