//! A data folder of an earlier version, opened by this one.

use serde_json::json;

use crate::harness::{Server, run, text};

/// Made by `an_earlier_database_is_written` in catalog-store/tests/contract/upgrades.rs: schema 19, with rows in every
/// table.
const EARLIER: &[u8] = include_bytes!("upgrade/earlier.db");

#[tokio::test]
async fn a_server_starts_on_an_earlier_database_and_lists_its_assets() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("catalog.db"), EARLIER).unwrap();
    let server = Server::start(&data);
    let listed = server.json("/api/v1/assets?sort=created_at").await;
    let assets = listed["data"].as_array().unwrap();
    assert_eq!(assets.len(), 4, "{listed}");
    let [ready, uploading, failed, _] = &assets[..] else { unreachable!() };
    assert_eq!(
        (&ready["state"], &ready["title"], &ready["duration"]),
        (&json!("ready"), &json!("A title"), &json!("00:00:30"))
    );
    assert_eq!((&uploading["state"], &uploading["file_name"]), (&json!("uploading"), &json!("étude.mkv")));
    assert_eq!((&failed["state"], &failed["failure"]["code"]), (&json!("failed"), &json!("no_media")));
    let found = server.json("/api/v1/search?q=title").await;
    let hits = found["data"].as_array().unwrap();
    assert!(hits.iter().any(|hit| hit["asset"]["id"] == ready["id"]), "it is found by its title: {found}");
    let only = server.json(&format!("/api/v1/assets/{}/versions", ready["id"].as_str().unwrap())).await;
    assert_eq!((&only["data"][0]["version"], &only["data"][0]["is_in_force"]), (&json!(1), &json!(true)));
    server.kill();
    let doctor = run(&["migrate", "--data-dir", text(&data)]);
    assert_eq!(doctor.status.code(), Some(0), "there is nothing left to bring up to date");
}
