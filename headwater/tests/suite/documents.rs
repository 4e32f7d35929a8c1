//! Documents of an asset: uploaded, handed out by the origin, named, put in order, refused, taken back, killed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fixtures::media::{self, ClipSpec};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::{Asked, Server, append, run, text};
use crate::server::{objects, until};

/// A document that says it is PDF, of so many octets.
fn pdf(seed: u8, bytes: usize) -> Vec<u8> {
    let mut octets = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    octets.extend((0..bytes - octets.len()).map(|at| u8::try_from(at % 251).unwrap() ^ seed));
    octets
}

fn sha256(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds a text to an asset by an API key.
pub(crate) async fn attach(url: &str, key: &str, asset: &str, content: &str) {
    let metadata = format!("filename {},document_of {}", STANDARD.encode("script.txt"), STANDARD.encode(asset));
    let created = Client::new()
        .post(format!("{url}/uploads"))
        .bearer_auth(key)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", content.len())
        .header("upload-metadata", metadata)
        .header("content-type", "application/offset+octet-stream")
        .body(content.to_owned())
        .asked()
        .await
        .unwrap();
    assert_eq!(created.status(), StatusCode::CREATED, "{}", created.text().await.unwrap());
}

/// Creates an upload of a document at `place`: `/uploads`, or an address that was handed out.
async fn create(server: &Server, place: &str, asset: Option<&str>, bytes: usize, name: &str) -> Response {
    let mut metadata = format!("filename {}", STANDARD.encode(name));
    if let Some(asset) = asset {
        metadata.push_str(&format!(",document_of {}", STANDARD.encode(asset.rsplit('/').next().unwrap())));
    }
    let create = Client::new().post(format!("{}{place}", server.url)).header("tus-resumable", "1.0.0");
    create.header("upload-length", bytes).header("upload-metadata", metadata).asked().await.unwrap()
}

/// Adds a document; the answer to its last octet.
async fn add(server: &Server, asset: &str, octets: Vec<u8>, name: &str) -> Response {
    let created = create(server, "/uploads", Some(asset), octets.len(), name).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!(created.headers()["asset-location"], asset, "it is no new asset");
    let upload = created.headers()["location"].to_str().unwrap().to_owned();
    append(&server.url, &upload, 0, octets).await.unwrap()
}

async fn listed(server: &Server, asset: &str) -> Vec<Value> {
    server.json(&format!("{asset}/documents")).await["data"].as_array().unwrap().clone()
}

/// What players are told.
async fn told(server: &Server, folder: &str) -> Vec<Value> {
    let answer = server.get(&format!("{folder}documents.json")).await;
    match answer.status() {
        StatusCode::OK => answer.json::<Value>().await.unwrap()["documents"].as_array().unwrap().clone(),
        _ => Vec::new(),
    }
}

fn names(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|document| document["name"].as_str().unwrap()).collect()
}

async fn change(server: &Server, path: &str, tag: &str, wanted: &Value) -> Response {
    Client::new().patch(format!("{}{path}", server.url)).header("if-match", tag).json(wanted).asked().await.unwrap()
}

async fn remove(server: &Server, path: &str) {
    let gone = Client::new().delete(format!("{}{path}", server.url)).asked().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_document_is_uploaded_handed_out_named_and_taken_back() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &["--set", "documents_max=3", "--set", "document_size_max=300000"]);
    let asset = server.upload(&media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() })).await;
    // One comes before anything plays, in two pieces.
    let script = pdf(1, 200_000);
    let created = create(&server, "/uploads", Some(&asset), script.len(), "Système D.pdf").await;
    let upload = created.headers()["location"].to_str().unwrap().to_owned();
    append(&server.url, &upload, 0, script[..90_000].to_vec()).await.unwrap();
    let coming = listed(&server, &asset).await;
    assert_eq!((&coming[0]["state"], &coming[0]["received_bytes"]), (&json!("uploading"), &json!(90_000)));
    let sent = append(&server.url, &upload, 90_000, script[90_000..].to_vec()).await.unwrap();
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    let hls = server.settled(&asset).await["playback"]["hls"].as_str().unwrap().to_owned();
    let folder = hls.replace("master.m3u8", "");
    until("it is told of", || async { told(&server, &folder).await.len() == 1 }).await;
    let shown = listed(&server, &asset).await.remove(0);
    assert_eq!(
        (&shown["state"], &shown["media_type"], &shown["size_bytes"], &shown["sha256"]),
        (&json!("ready"), &json!("application/pdf"), &json!(200_000), &json!(sha256(&script)))
    );
    let url = shown["url"].as_str().unwrap().to_owned();
    let answer = server.get(&url).await;
    let header = |answer: &Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), StatusCode::OK);
    let tag = header(&answer, "etag");
    assert_eq!(tag, format!("\"{}\"", &sha256(&script)[..32]));
    assert_eq!(
        header(&answer, "content-disposition"),
        "attachment; filename=\"Syst_me D.pdf\"; filename*=UTF-8''Syst%C3%A8me%20D.pdf"
    );
    assert_eq!(header(&answer, "content-type"), "application/pdf");
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert!(header(&answer, "content-security-policy").starts_with("sandbox;"));
    assert_eq!(answer.bytes().await.unwrap(), script);
    let part =
        Client::new().get(format!("{}{url}", server.url)).header("range", "bytes=100-299").header("if-range", &tag);
    let part = part.asked().await.unwrap();
    assert_eq!(
        (part.status(), header(&part, "content-range")),
        (StatusCode::PARTIAL_CONTENT, "bytes 100-299/200000".into())
    );
    assert!(header(&part, "content-disposition").starts_with("attachment"));
    assert_eq!(part.bytes().await.unwrap(), script[100..300]);
    let known = Client::new().get(format!("{}{url}", server.url)).header("if-none-match", &tag).asked().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);

    // Another one by an address that was handed out, a text whose name says that it is a page.
    let place = Client::new().post(format!("{}{asset}/documents", server.url)).json(&json!({})).asked().await.unwrap();
    let place: Value = place.json().await.unwrap();
    let place = place["url"].as_str().unwrap();
    let notes = b"Notes on the film.\n".to_vec();
    let created = create(&server, place, None, notes.len(), "notes.html").await;
    assert_eq!(created.status(), StatusCode::CREATED, "{}", created.text().await.unwrap());
    let upload = created.headers()["location"].to_str().unwrap().to_owned();
    append(&server.url, &upload, 0, notes.clone()).await.unwrap();
    let again = create(&server, place, None, 5, "x.txt").await;
    assert_eq!(again.status(), StatusCode::FORBIDDEN, "it was good for one");
    until("both are told of", || async { told(&server, &folder).await.len() == 2 }).await;
    let both = listed(&server, &asset).await;
    assert_eq!(names(&both), ["Système D.pdf", "notes.html"]);
    let path = format!("{asset}/documents/{}", both[1]["id"].as_str().unwrap());
    let page = server.get(both[1]["url"].as_str().unwrap()).await;
    assert_eq!(header(&page, "content-type"), "text/plain");
    assert!(header(&page, "content-disposition").contains("filename=\"notes.html.txt\""));
    let wanted = json!({ "name": "Notes.md", "description": "What was thought of it.", "position": 0 });
    let changed = change(&server, &path, "\"1\"", &wanted).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert!(header(&changed, "etag").starts_with("\"2-"), "{changed:?}");
    let players = told(&server, &folder).await;
    assert_eq!(names(&players), ["Notes.md", "Système D.pdf"], "the pointer follows at once");
    assert_eq!(players[0]["description"], "What was thought of it.");
    assert_eq!(change(&server, &path, "\"1\"", &wanted).await.status(), StatusCode::PRECONDITION_FAILED);
    let ended = Client::new().delete(format!("{}{upload}", server.url)).header("tus-resumable", "1.0.0");
    assert_eq!(ended.asked().await.unwrap().status(), StatusCode::FORBIDDEN, "it has become a document");

    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
    assert_eq!(objects(&data.join("media/documents")).len(), 2);
    remove(&server, &path).await;
    assert_eq!(names(&told(&server, &folder).await), ["Système D.pdf"]);
    assert_eq!(server.get(both[1]["url"].as_str().unwrap()).await.status(), StatusCode::NOT_FOUND);
    until("its octets are gone", || async { objects(&data.join("media/documents")).len() == 1 }).await;
    // The asset is the same all the while, and takes its documents along.
    assert_eq!(server.json(&asset).await["state"], "ready");
    let deleted = Client::new().delete(format!("{}{asset}", server.url)).asked().await.unwrap();
    assert!(deleted.status().is_success());
    until("no object is left", || async { objects(&data.join("media")).is_empty() }).await;
}

#[tokio::test]
async fn what_is_no_document_is_refused_and_costs_the_asset_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &["--set", "documents_max=2", "--set", "document_size_max=300000"]);
    let clip = media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() });
    let asset = server.upload(&clip).await;
    server.settled(&asset).await;
    let film = std::fs::read(&clip).unwrap();
    for (octets, name) in [
        (b"MZ\x90\0\x03\0\0\0 a program".to_vec(), "slides.pdf"),
        (b"<!DOCTYPE html><html><script>alert(1)</script></html>".to_vec(), "notes.txt"),
        (b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>".to_vec(), "a.svg"),
        (film[..4096].to_vec(), "film.pdf"),
    ] {
        let refused = add(&server, &asset, octets, name).await;
        assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{name}");
        let failed = listed(&server, &asset).await;
        assert_eq!((failed.len(), &failed[0]["state"]), (1, &json!("failed")), "{name}");
        assert!(
            failed[0]["failure"]["message"].as_str().is_some_and(|told| told.contains("not accepted")),
            "{failed:?}"
        );
        assert_eq!(failed[0]["url"], Value::Null);
    }
    let large = create(&server, "/uploads", Some(&asset), 300_001, "large.pdf").await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    for seed in [1, 2] {
        assert_eq!(add(&server, &asset, pdf(seed, 1000), "a.pdf").await.status(), StatusCode::NO_CONTENT);
    }
    let third = create(&server, "/uploads", Some(&asset), 1000, "c.pdf").await;
    assert_eq!(third.status(), StatusCode::CONFLICT);
    assert_eq!(third.json::<Value>().await.unwrap()["code"], "too_many_documents");
    let nothing = create(&server, "/uploads", Some("/api/v1/assets/ast_00000000000000000000000007"), 5, "a.pdf").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    // What is given up leaves nothing.
    let first = format!("{asset}/documents/{}", listed(&server, &asset).await[0]["id"].as_str().unwrap());
    remove(&server, &first).await;
    until("there is room again", || async {
        let created = create(&server, "/uploads", Some(&asset), 1000, "d.pdf").await;
        let is_made = created.status() == StatusCode::CREATED;
        if is_made {
            let upload = created.headers()["location"].to_str().unwrap().to_owned();
            let ended = Client::new().delete(format!("{}{upload}", server.url)).header("tus-resumable", "1.0.0");
            assert_eq!(ended.asked().await.unwrap().status(), StatusCode::NO_CONTENT);
        }
        is_made
    })
    .await;
    assert_eq!(listed(&server, &asset).await.len(), 1);
    let shown = server.json(&asset).await;
    assert_eq!((&shown["state"], &shown["version"], &shown["failure"]), (&json!("ready"), &json!(1), &Value::Null));
    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[tokio::test]
async fn a_server_that_is_killed_loses_no_document_and_keeps_none_that_was_taken_back() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let mut server = Server::start(&data);
    let asset = server.upload(&media::clip(&ClipSpec { seconds: 2.0, ..ClipSpec::default() })).await;
    let hls = server.settled(&asset).await["playback"]["hls"].as_str().unwrap().to_owned();
    let folder = hls.replace("master.m3u8", "");
    let mut kept = Vec::new();
    for seed in 0..4u8 {
        let octets = pdf(seed, 150_000);
        let created = create(&server, "/uploads", Some(&asset), octets.len(), &format!("{seed}.pdf")).await;
        let upload = created.headers()["location"].to_str().unwrap().to_owned();
        append(&server.url, &upload, 0, octets[..50_000].to_vec()).await.unwrap();
        server.kill();
        server = Server::start(&data);
        let at = crate::harness::offset(&server.url, &upload).await.unwrap();
        assert_eq!(at, 50_000, "what was acknowledged is there");
        // Killed at any moment of its end: with the answer, or somewhere before it.
        let sending = append(&server.url, &upload, at, octets[at..].to_vec());
        match seed {
            0 => drop(sending.await.unwrap()),
            _ => {
                let pause = std::time::Duration::from_millis(7 * u64::from(seed));
                let _ = tokio::time::timeout(pause, sending).await;
            }
        }
        server.kill();
        server = Server::start(&data);
        // Whoever is not answered asks where it stands, and goes on.
        until("all of it is there", || async {
            let at = crate::harness::offset(&server.url, &upload).await.unwrap();
            if at < octets.len() {
                append(&server.url, &upload, at, octets[at..].to_vec()).await;
            }
            at == octets.len()
        })
        .await;
        kept.push(octets);
    }
    until("all are told of", || async { told(&server, &folder).await.len() == 4 }).await;
    let documents = told(&server, &folder).await;
    for (document, octets) in documents.iter().zip(&kept) {
        assert_eq!(document["sha256"], sha256(octets).as_str());
        let found = server.get(&format!("{folder}{}", document["url"].as_str().unwrap())).await;
        assert_eq!(found.bytes().await.unwrap(), octets.as_slice());
    }
    for document in &documents[..2] {
        remove(&server, &format!("{asset}/documents/{}", document["id"].as_str().unwrap())).await;
        server.kill();
        server = Server::start(&data);
    }
    until("what was taken back is gone", || async { objects(&data.join("media/documents")).len() == 2 }).await;
    until("and told of no more", || async { told(&server, &folder).await.len() == 2 }).await;
    let id = asset.rsplit('/').next().unwrap();
    let verified = run(&["verify", id, "--data-dir", text(&data)]);
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));
}
