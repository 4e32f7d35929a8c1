//! The work on assets, job by job.

use axum::http::StatusCode;
use domain::authority::{Role, Standing};
use domain::{AssetId, Clock, Failure, FailureCode, JobKind, JobLane};
use serde_json::{Value, json};

use crate::described::check;
use crate::harness::{Server, at};
use crate::people::{People, Who};
use crate::reprocess::ready;

/// Where the jobs of an asset are.
fn list(asset: AssetId) -> String {
    format!("/api/v1/assets/{asset}/jobs")
}

/// The jobs on a page.
async fn rows(server: &Server, path: &str) -> Vec<Value> {
    server.get(path).await.ok()["data"].as_array().unwrap().clone()
}

/// The jobs of a kind among them.
fn of_kind<'a>(jobs: &'a [Value], kind: &str) -> Vec<&'a Value> {
    jobs.iter().filter(|job| job["kind"] == kind).collect()
}

#[tokio::test]
async fn a_job_is_followed_from_its_beginning_to_its_end() {
    let server = Server::start().await;
    let asset = server.received().await.id;
    let job = rows(&server, &list(asset)).await.remove(0);
    let expected = json!({
        "id": job["id"], "kind": "probe", "state": "queued", "lane": "urgent", "asset": asset, "generation": null,
        "chunk": null, "codec": null, "rendition": null, "part": null, "segment": null, "attempts": 0, "failures": 0,
        "created_at": "2027-01-15T08:00:00.000Z", "due_at": "2027-01-15T08:00:00.000Z", "started_at": null,
        "finished_at": null, "worker": null, "failure": null,
    });
    assert_eq!(job, expected);
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    let shown = server.get(&path).await;
    assert_eq!(shown.header("cache-control"), Some("private, no-store"));
    assert_eq!(shown.ok(), job);

    let lease = server.claim(JobLane::Urgent).await;
    let job = server.get(&path).await.ok();
    assert_eq!((&job["state"], &job["attempts"], &job["worker"]), (&json!("running"), &json!(1), &json!("test")));
    assert_eq!(job["started_at"], "2027-01-15T08:00:00.001Z");

    server.catalog.retry(&lease, "s3://bucket/key: connection refused", at(1), at(1)).await.unwrap();
    let again = server.get(&path).await;
    assert!(!again.text.contains("bucket"), "{}", again.text);
    let job = again.ok();
    assert_eq!((&job["state"], &job["failures"], &job["failure"]), (&json!("queued"), &json!(1), &Value::Null));
    assert_eq!((&job["worker"], &job["due_at"]), (&Value::Null, &json!("2027-01-15T08:00:00.001Z")));

    let lease = server.claim(JobLane::Urgent).await;
    let failure = Failure::new(FailureCode::UnknownFormat, "this is not a media file");
    server.catalog.fail(&lease, &failure, at(2)).await.unwrap();
    let job = server.get(&path).await.ok();
    let told = json!({ "code": "unknown_format", "message": "this is not a media file" });
    assert_eq!((&job["state"], &job["attempts"], &job["failure"]), (&json!("failed"), &json!(2), &told));
    assert_eq!((&job["worker"], &job["finished_at"]), (&Value::Null, &json!("2027-01-15T08:00:00.002Z")));
}

#[tokio::test]
async fn the_jobs_of_an_asset_are_newest_first_and_say_what_they_make() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.processing().await;
    let jobs = rows(&server, &list(asset.id)).await;
    let ids: Vec<&str> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one > next), "{ids:?}");
    assert!(jobs.iter().all(|job| job["asset"] == asset.id.to_string()));
    let chunk = of_kind(&jobs, "chunk")[0];
    assert_eq!((&chunk["generation"], &chunk["chunk"], &chunk["lane"]), (&json!(1), &json!(0), &json!("heavy")));
    assert_eq!(of_kind(&jobs, "probe")[0]["state"], "done");

    let lease = server.claim(JobLane::Heavy).await;
    let failure = Failure::new(FailureCode::Damaged, "the file is damaged");
    server.catalog.fail(&lease, &failure, at(2)).await.unwrap();
    let jobs = rows(&server, &list(asset.id)).await;
    assert_eq!(of_kind(&jobs, "images")[0]["failure"]["code"], "cancelled");
    assert_eq!(of_kind(&jobs, "chunk")[0]["failure"]["code"], "damaged");
}

#[tokio::test]
async fn all_jobs_are_narrowed_by_state_and_kind() {
    let server = Server::start().await;
    server.processing().await;
    let running = server.claim(JobLane::Heavy).await;
    server.processing().await;
    let ids = async |query: &str| -> Vec<String> {
        let rows = rows(&server, &format!("/api/v1/jobs{query}")).await;
        rows.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("").await.len(), 6);
    assert_eq!(ids("?state=running").await, [running.id.to_string()]);
    assert_eq!((ids("?kind=chunk").await.len(), ids("?kind=chunk&state=queued").await.len()), (2, 1));
    assert_eq!((ids("?state=failed").await.len(), ids("?kind=retire").await.len()), (0, 0));
    let page = server.get("/api/v1/jobs?limit=1&kind=chunk").await.ok();
    let next = page["page"]["next"].as_str().unwrap();
    assert_eq!(ids(&format!("?limit=1&kind=chunk&after={next}")).await, [running.id.to_string()]);
    for (query, status, code) in [
        (format!("?after={next}"), 422, "invalid_cursor"),
        (format!("?kind=chunk&state=queued&after={next}"), 422, "invalid_cursor"),
        ("?state=cancelled".into(), 400, "invalid_query"),
        ("?kind=video".into(), 400, "invalid_query"),
        ("?kind=".into(), 400, "invalid_query"),
        ("?asset=x".into(), 400, "invalid_query"),
        ("?limit=101".into(), 400, "invalid_query"),
    ] {
        server.get(&format!("/api/v1/jobs{query}")).await.is_problem(status, code, "/api/v1/jobs");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told() {
    let server = Server::start().await;
    let missing = format!("/api/v1/jobs/{}", domain::JobId::from_u128(7));
    server.get(&missing).await.is_problem(404, "not_found", &missing);
    let none = list(AssetId::from_u128(7));
    server.get(&none).await.is_problem(404, "not_found", &none);
    for path in ["/api/v1/jobs/7", "/api/v1/assets/7/jobs"] {
        server.get(path).await.is_problem(400, "invalid_id", path);
    }
    let asset = server.processing().await.id;
    let chunk = of_kind(&rows(&server, &list(asset)).await, "chunk")[0]["id"].as_str().unwrap().to_owned();
    server.catalog.delete_asset(asset, server.job_id(), at(0)).await.unwrap();
    server.get(&list(asset)).await.is_problem(404, "not_found", &list(asset));
    // Whoever runs the server still sees what is done about it, until all is removed.
    let shown = server.get(&format!("/api/v1/jobs/{chunk}")).await.ok();
    assert_eq!(shown["failure"]["message"], "cancelled: the asset was deleted");
    let purge = rows(&server, "/api/v1/jobs?kind=purge").await.remove(0)["id"].as_str().unwrap().to_owned();
    let lease = server.claim(JobLane::Light).await;
    assert_eq!((lease.spec.kind(), lease.id.to_string()), (JobKind::Purge, purge.clone()));
    server.catalog.settle_purge(&lease, at(2)).await.unwrap();
    for gone in [chunk, purge] {
        let path = format!("/api/v1/jobs/{gone}");
        server.get(&path).await.is_problem(404, "not_found", &path);
    }
}

#[tokio::test]
async fn whoever_has_an_asset_made_anew_is_told_by_which_job() {
    let server = Server::start().await;
    let (id, asset) = ready(&server).await;
    let begun = server.send("POST", &format!("{asset}/reprocess")).await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
    let location = begun.header("location").unwrap().to_owned();
    let job = server.get(&location).await.ok();
    assert_eq!((&job["kind"], &job["generation"], &job["asset"]), (&json!("reprocess"), &json!(2), &json!(id)));
    assert_eq!(rows(&server, &list(id)).await[0]["id"], job["id"]);
    // A request whose answer was lost is answered by the same one.
    let again = server.send("POST", &format!("{asset}/reprocess")).await;
    assert_eq!((again.status, again.header("location")), (StatusCode::ACCEPTED, Some(&*location)));
    let named = [("idempotency-key", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"")];
    for _ in 0..2 {
        let once = server.send_json("POST", &format!("{asset}/reprocess"), &Value::Null, &named).await;
        assert_eq!((once.status, once.header("location")), (StatusCode::ACCEPTED, Some(&*location)));
    }
}

#[tokio::test]
async fn work_on_an_asset_is_for_those_who_may_change_it() {
    let people = People::start().await;
    let server = &people.server;
    let asset = server.received().await.id;
    server.claim(JobLane::Urgent).await;
    let shared = async |role: Role, standing: Standing| -> Who {
        let who = people.somebody(role).await;
        let share = (who.user.unwrap(), standing);
        server.catalog.share_asset(asset, share, "test", server.clock.now()).await.unwrap();
        who
    };
    let admin = people.somebody(Role::Admin).await;
    let page = people.get(&admin, &list(asset)).await.ok();
    assert_eq!(page["data"][0]["worker"], "test");
    let path = format!("/api/v1/jobs/{}", page["data"][0]["id"].as_str().unwrap());
    for who in [
        shared(Role::Guest, Standing::Editor).await,
        shared(Role::User, Standing::Owner).await,
        people.somebody(Role::Moderator).await,
    ] {
        let told = people.get(&who, &list(asset)).await.ok();
        assert_eq!(told["data"][0]["worker"], Value::Null, "names of machines are for administrators");
        assert_eq!(people.get(&who, &path).await.ok(), told["data"][0]);
    }
    let viewer = shared(Role::Uploader, Standing::Viewer).await;
    people.get(&viewer, &list(asset)).await.is_problem(403, "forbidden", &list(asset));
    let stranger = people.somebody(Role::Uploader).await;
    people.get(&stranger, &list(asset)).await.is_problem(404, "not_found", &list(asset));
    for who in [&viewer, &stranger] {
        people.get(who, &path).await.is_problem(404, "not_found", &path);
        people.get(who, "/api/v1/jobs").await.is_problem(403, "forbidden", "/api/v1/jobs");
    }
    let moderator = people.somebody(Role::Moderator).await;
    let all = people.get(&moderator, "/api/v1/jobs").await.ok();
    assert_eq!(all["data"][0]["worker"], Value::Null);
    let document = people.get(&moderator, "/api/v1/openapi.json").await.ok();
    check(&document, &document["components"]["schemas"]["JobPage"], &all, "jobs");
    people.stop().await;
}
