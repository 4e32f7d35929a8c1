//! Which host players are told to take.

use domain::{Access, Admission};
use http::{Method, StatusCode};
use origin::{OriginConfig, Steering};

use crate::refusals::assert_problem;
use crate::stage::Stage;

async fn stage() -> Stage {
    let steering = Steering::new(&["cdn-a:https://a.example.org", "cdn-b:https://b.example.org"], 300).unwrap();
    Stage::with_everything(1).await.behind(OriginConfig { steering, ..OriginConfig::default() })
}

fn order(reply: &crate::stage::Reply) -> Vec<String> {
    let manifest: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    manifest["PATHWAY-PRIORITY"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_playlist_names_a_manifest_that_says_which_host_to_take() {
    let stage = stage().await;
    let playlist = stage.get("master.m3u8").await;
    assert!(String::from_utf8_lossy(&playlist.body).contains("#EXT-X-CONTENT-STEERING:SERVER-URI=\"steering.json\""));
    let reply = stage.get("steering.json").await;
    assert_eq!((reply.status, order(&reply)), (StatusCode::OK, vec!["cdn-a".into(), "cdn-b".into(), "origin".into()]));
    assert_eq!(reply.header("content-type"), Some("application/vnd.apple.steering-list"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=150"));
    assert_eq!(stage.send(Method::HEAD, "steering.json", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_player_that_cannot_play_the_smallest_rendition_is_sent_elsewhere() {
    let stage = stage().await;
    // Picture and sound peak at 3.128 Mb/s.
    for (throughput, expected) in [(3_128_000, ["cdn-a", "cdn-b", "origin"]), (3_127_999, ["cdn-b", "origin", "cdn-a"])]
    {
        let reply = stage.get(&format!("steering.json?_HLS_pathway=%22cdn-a%22&_HLS_throughput={throughput}")).await;
        assert_eq!(order(&reply), expected);
        assert_eq!(reply.header("cache-control"), Some("no-store"), "it is for this player");
    }
}

#[tokio::test]
async fn without_other_hosts_there_is_nothing_to_say() {
    let stage = Stage::with_everything(1).await;
    assert_problem(&stage.get("steering.json").await, StatusCode::NOT_FOUND, "not_found");
    let playlist = stage.get("master.m3u8").await;
    assert!(!String::from_utf8_lossy(&playlist.body).contains("STEERING"));
}

#[tokio::test]
async fn who_may_not_play_is_not_steered() {
    let stage = stage().await;
    stage.allow(&Access { admission: Admission::Signed, ..Access::default() }).await;
    assert_problem(&stage.get("steering.json").await, StatusCode::FORBIDDEN, "token_needed");
}
