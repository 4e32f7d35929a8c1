//! The API over a real catalogue and a local folder.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test; helpers are plain functions")]

mod accounts;
mod anything;
mod availability;
mod avatars;
mod catalogue;
mod changes;
mod characters;
mod collections;
mod cues;
mod documents;
mod etags;
mod events;
mod farewell;
mod harness;
mod idempotency;
mod jobs;
mod letters;
mod links;
mod logged;
mod notifications;
mod oidc;
mod pages;
mod passwords;
mod people;
mod pointers;
mod problems;
mod provider;
mod publicity;
mod rates;
mod released;
mod reprocess;
mod rights;
mod roles;
mod texts;
mod uploads;
mod webhooks;

use axum::http::{Request, StatusCode};
use domain::presentation::{Images, Storyboard};
use domain::{Failure, FailureCode, JobLane, LeftOut, MediaTime, Resolution};
use harness::{Server, at};
use serde_json::{Value, json};

#[tokio::test]
async fn a_problem_has_its_title_in_the_language_that_is_asked_for() {
    let server = Server::start().await;
    let asked = async |language: &str| {
        let request = Request::builder().uri("/api/v1/none").header("accept-language", language);
        server.ask(request.body(axum::body::Body::empty()).unwrap()).await
    };
    let french = asked("de, fr-CA;q=0.9, en;q=0.5").await;
    assert_eq!((french.header("content-language"), french.header("vary")), (Some("fr"), Some("Accept-Language")));
    let title = |answer: &harness::Answer| serde_json::from_str::<Value>(&answer.text).unwrap()["title"].clone();
    assert_eq!((title(&french), title(&asked("en, fr").await)), (json!("Introuvable"), json!("Not found")));
    assert_eq!(french.code(), "not_found");
}

#[tokio::test]
async fn an_asset_is_shown_from_the_creation_of_its_upload() {
    let server = Server::start().await;
    let upload = server.upload().await;
    let asset = server.get(&format!("/api/v1/assets/{}", upload.asset)).await.ok();
    assert_eq!(asset["id"], upload.asset.to_string());
    assert_eq!(asset["state"], "uploading");
    assert_eq!(asset["file_name"], "clip.mp4");
    assert_eq!(asset["created_at"], "2027-01-15T08:00:00.000Z");
    for absent in ["playback", "failure", "size", "duration", "video", "title"] {
        assert_eq!(asset[absent], Value::Null, "{absent}");
    }
    assert_eq!(asset["progress"], 0.0);
}

#[tokio::test]
async fn a_probed_asset_tells_what_people_want_to_know() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let shown = server.get(&format!("/api/v1/assets/{}", asset.id)).await.ok();
    let expected = json!({
        "state": "processing", "title": "A title", "size_bytes": 1_572_864, "size": "1.5M",
        "duration_seconds": 30.0, "duration": "00:00:30", "container": "matroska",
        "audio_languages": ["en", "de"], "subtitle_languages": ["fr"], "has_subtitles": true,
        "chapters": [
            { "start_seconds": 0.0, "end_seconds": 10.5, "title": "One" },
            { "start_seconds": 10.5, "end_seconds": 30.0, "title": "Two" },
        ],
        "video": { "codec": "h264", "width": 640, "height": 360, "frame_rate": 29.97,
            "is_variable_rate": false, "is_interlaced": false, "is_hdr": false },
        "playback": null,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
}

#[tokio::test]
async fn playback_appears_as_soon_as_there_is_something_to_play() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = format!("/api/v1/assets/{}", asset.id);
    server.catalog.mark_playable(asset.id, at(1)).await.unwrap();
    let id = asset.playback;
    let playback = json!({
        "playback_id": id, "hls": format!("/v/{id}/master.m3u8"), "watch": format!("/watch/{id}"),
        "poster": null, "preview": null, "blurhash": null, "thumbhash": null, "storyboard": null,
        "storyboard_json": null, "chapters": format!("/v/{id}/chapters.vtt"),
    });
    assert_eq!(server.get(&path).await.ok()["playback"], playback);

    server.finish(&asset, &images()).await;
    let shown = server.get(&path).await.ok();
    assert_eq!(shown["playback"]["poster"], format!("/v/{id}/g1/images/poster.jpg"));
    assert_eq!(shown["playback"]["storyboard"], format!("/v/{id}/storyboard.vtt"));
    assert_eq!(shown["playback"]["storyboard_json"], format!("/v/{id}/storyboard.json"));
    assert_eq!(shown["playback"]["preview"], format!("/v/{id}/g1/images/preview.webp"));
    assert_eq!(shown["playback"]["blurhash"], "LEHV6nWB2yk8pyo0adR*.7kCMdnj");
    assert_eq!(shown["playback"]["thumbhash"], "3OcRJYB4d3h/iIeHeEh3eIhw+j2w");
    assert_eq!((&shown["state"], &shown["progress"]), (&json!("ready"), &json!(1.0)));
}

#[tokio::test]
async fn progress_is_shown_per_rendition() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.commit_segment(&asset, "360p", 0).await;
    let shown = server.get(&format!("/api/v1/assets/{}", asset.id)).await.ok();
    let renditions = shown["renditions"].as_array().unwrap();
    let of = |id: &str| renditions.iter().find(|rendition| rendition["id"] == id).unwrap();
    let expected = json!({
        "id": "360p", "kind": "video", "segments_done": 1, "segments_total": 7, "share": 0.0, "seconds_left": null,
    });
    assert_eq!((of("360p"), &shown["seconds_left"]), (&expected, &Value::Null), "one segment tells no pace");
    assert_eq!(of("audio-0-en")["kind"], "audio");
    let total: u64 = renditions.iter().map(|rendition| rendition["segments_total"].as_u64().unwrap()).sum();
    assert_eq!(shown["progress"].as_f64().unwrap(), (1000.0 / total as f64).round() / 1000.0);
}

#[tokio::test]
async fn the_time_that_is_left_is_told_once_it_is_known() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = format!("/api/v1/assets/{}", asset.id);
    let job = server.claim(JobLane::Heavy).await;
    // At 29.97 frames a second 7 of 30 s in 6 s; the clock of the server stands at the last of them.
    for index in 0..7 {
        server.commit(&job, "360p", index, 30_000, at(1000 * i64::from(index) - 6000)).await;
    }
    let shown = server.get(&path).await.ok();
    let of = |id: &str| shown["renditions"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone();
    assert_eq!((&of("360p")["share"], &of("360p")["seconds_left"]), (&json!(1.0), &json!(0)));
    assert_eq!(of("audio-0-en")["seconds_left"], Value::Null);

    let next = server.processing().await;
    let job = server.claim(JobLane::Heavy).await;
    for index in 0..4 {
        server.commit(&job, "360p", index, 60_060, at(1000 * i64::from(index) - 3000)).await;
    }
    let shown = server.get(&format!("/api/v1/assets/{}", next.id)).await.ok();
    let renditions = shown["renditions"].as_array().unwrap();
    let video = renditions.iter().find(|one| one["id"] == "360p").unwrap();
    assert_eq!((&video["share"], &video["seconds_left"]), (&json!(0.267), &json!(11)), "{video}");
    assert_eq!(shown["seconds_left"], Value::Null, "of the sound nothing is known");
}

#[tokio::test]
async fn a_failed_asset_says_why() {
    let server = Server::start().await;
    let asset = server.received().await;
    let job = server.claim(JobLane::Urgent).await;
    let failure = Failure::new(FailureCode::UnknownFormat, "this is not a media file");
    server.catalog.fail(&job, &failure, at(2)).await.unwrap();
    let shown = server.get(&format!("/api/v1/assets/{}", asset.id)).await.ok();
    assert_eq!(shown["failure"], json!({ "code": "unknown_format", "message": "this is not a media file" }));
}

#[tokio::test]
async fn an_asset_says_what_it_lacks_and_why() {
    let server = Server::start().await;
    let asset = server.processing().await;
    let path = format!("/api/v1/assets/{}", asset.id);
    assert_eq!(server.get(&path).await.ok()["left_out"], json!([]));
    let job = server.claim(JobLane::Light).await;
    let missing = LeftOut::of(&job.spec, Failure::new(FailureCode::Damaged, "no picture can be decoded"));
    server.catalog.settle_without(&job, &missing, server.job_id(), at(2)).await.unwrap();
    let reason = json!({ "code": "damaged", "message": "no picture can be decoded" });
    let expected = json!([{ "kind": "images", "rendition": null, "reason": reason }]);
    assert_eq!(server.get(&path).await.ok()["left_out"], expected);
}

#[tokio::test]
async fn pages_are_newest_first_and_linked() {
    let server = Server::start().await;
    let mut made = vec![];
    for _ in 0..5 {
        made.insert(0, server.received().await.id.to_string());
    }
    let mut path = "/api/v1/assets?limit=2".to_owned();
    let mut seen: Vec<String> = vec![];
    for round in 0..3 {
        let answer = server.get(&path).await;
        let link = answer.header("link").map(str::to_owned);
        let page = answer.ok();
        seen.extend(page["data"].as_array().unwrap().iter().map(|asset| asset["id"].as_str().unwrap().to_owned()));
        assert_eq!(page["page"]["has_more"], round < 2);
        assert_eq!(link.as_ref().is_some_and(|link| link.contains("rel=\"next\"")), round < 2);
        let Some(next) = page["page"]["next"].as_str() else { continue };
        path = format!("/api/v1/assets?limit=2&after={next}");
        assert!(link.unwrap().starts_with(&format!("<{path}>; rel=\"next\"")));
    }
    assert_eq!(seen, made);
}

#[tokio::test]
async fn an_asset_is_found_by_its_playback_id() {
    let server = Server::start().await;
    server.received().await;
    let asset = server.received().await;
    let page = server.get(&format!("/api/v1/assets?playback_id={}", asset.playback)).await.ok();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["id"], asset.id.to_string());
    let unknown = domain::PlaybackId::from_u128(99);
    let page = server.get(&format!("/api/v1/assets?playback_id={unknown}")).await.ok();
    assert_eq!(page["data"], json!([]));
}

#[tokio::test]
async fn a_deleted_asset_is_gone_and_cannot_be_played() {
    let server = Server::start().await;
    let asset = server.processing().await;
    server.store.put_pointer(asset.playback, "{}".into()).await.unwrap();
    let path = format!("/api/v1/assets/{}", asset.id);
    for _ in 0..2 {
        let answer = server.send("DELETE", &path).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    assert_eq!(server.store.pointer(asset.playback).await.unwrap(), None);
    assert_eq!(server.catalog.unfinished_job_count_of(asset.id).await.unwrap(), 1, "the purge");
    server.get(&path).await.is_problem(404, "not_found", &path);
    assert_eq!(server.get("/api/v1/assets").await.ok()["data"], json!([]));
    let found = server.get(&format!("/api/v1/assets?playback_id={}", asset.playback)).await.ok();
    assert_eq!(found["data"], json!([]));
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = Server::start().await;
    let unknown = domain::AssetId::from_u128(7);
    let upload = domain::UploadId::from_u128(7);
    let text = domain::TextId::from_u128(7);
    let cases = [
        ("GET", "/api".to_owned(), 404, "not_found"),
        ("GET", "/api/v2/assets".to_owned(), 404, "not_found"),
        ("GET", format!("/api/v1/assets/{unknown}"), 404, "not_found"),
        ("DELETE", format!("/api/v1/assets/{unknown}"), 404, "not_found"),
        ("GET", "/api/v1/assets/7".to_owned(), 400, "invalid_id"),
        ("GET", format!("/api/v1/assets/{upload}"), 400, "invalid_id"),
        ("DELETE", "/api/v1/assets/%00".to_owned(), 400, "invalid_id"),
        ("GET", "/api/v1/assets/%FF".to_owned(), 400, "invalid_path"),
        ("GET", "/api/v1/assets?limit=0".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?limit=101".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?limit=many".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?color=red".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?after=x".to_owned(), 422, "invalid_cursor"),
        ("GET", "/api/v1/assets?sort=size".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?released_after=soon".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/assets?state=deleted".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/search".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/search?q=x&limit=101".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/search?q=x&after=x".to_owned(), 422, "invalid_cursor"),
        ("GET", format!("/api/v1/assets/{unknown}/search?q=x"), 404, "not_found"),
        ("PATCH", format!("/api/v1/assets/{unknown}"), 404, "not_found"),
        ("GET", format!("/api/v1/assets?playback_id={unknown}"), 400, "invalid_id"),
        ("GET", "/api/v1/events?asset=x".to_owned(), 400, "invalid_id"),
        ("GET", "/api/v1/events?after=-1".to_owned(), 400, "invalid_query"),
        ("GET", "/api/v1/events?topics=asset.".to_owned(), 422, "invalid_parameter"),
        ("GET", "/api/v1/events?topics=a,b,Asset".to_owned(), 422, "invalid_parameter"),
        ("GET", format!("/api/v1/assets/{unknown}/subtitles"), 404, "not_found"),
        ("GET", format!("/api/v1/assets/{unknown}/subtitles/7"), 400, "invalid_id"),
        ("DELETE", format!("/api/v1/assets/{unknown}/subtitles/{text}"), 404, "not_found"),
        ("POST", format!("/api/v1/assets/{unknown}/subtitles"), 404, "not_found"),
        ("POST", format!("/api/v1/assets/{unknown}/subtitles?language=xx"), 422, "unknown_language"),
        ("POST", format!("/api/v1/assets/{unknown}/subtitles?forced=perhaps"), 400, "invalid_query"),
        ("GET", format!("/api/v1/assets/{unknown}/chapters"), 404, "not_found"),
        ("PUT", format!("/api/v1/assets/{unknown}/chapters"), 404, "not_found"),
        ("DELETE", format!("/api/v1/assets/{unknown}/chapters"), 404, "not_found"),
        ("POST", "/api/v1/assets".to_owned(), 405, "method_not_allowed"),
        ("PUT", format!("/api/v1/assets/{unknown}"), 405, "method_not_allowed"),
    ];
    for (method, path, status, code) in cases {
        let answer = server.send(method, &path).await;
        if status == 405 {
            assert!(answer.header("allow").is_some_and(|allow| allow.contains("GET")), "{path}");
        }
        answer.is_problem(status, code, path.split('?').next().unwrap());
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    #[test]
    fn no_request_whatever_breaks_the_server(
        method in proptest::sample::select(vec!["GET", "HEAD", "DELETE", "POST", "PUT", "PATCH", "OPTIONS"]),
        path in "(/api)?(/v1)?(/assets|/search|/events|/[a-z%.]{0,8})?(/[!-~]{0,32})?(/subtitles|/chapters)?(/[!-~]{0,32})?",
        query in "(limit|after|asset|playback_id|q|tag|sort|language|[a-z]{0,4})=[!-~]{0,32}",
    ) {
        let uri = format!("/{}?{query}", path.trim_start_matches('/'));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Some(status) = Server::start().await.status_if_valid(method, &uri).await else { return };
            assert!(!status.is_server_error(), "{method} {uri}: {status}");
        });
    }
}

#[tokio::test]
async fn a_closed_catalogue_is_told_as_unavailable_without_internals() {
    let server = Server::start().await;
    server.catalog.close().await;
    let answer = server.get("/api/v1/assets").await;
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(!answer.text.contains("pool"), "{}", answer.text);
    answer.is_problem(503, "catalog_unavailable", "/api/v1/assets");
}

#[tokio::test]
async fn changing_documents_are_not_kept() {
    let server = Server::start().await;
    let asset = server.received().await;
    for path in ["/api/v1/assets".to_owned(), format!("/api/v1/assets/{}", asset.id)] {
        assert_eq!(server.get(&path).await.header("cache-control"), Some("private, no-store"), "{path}");
        let head = server.send("HEAD", &path).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
    }
}

mod described {
    use super::*;

    /// Follows a reference; a schema that may be null stands for what it is otherwise.
    fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
        let schema = schema["oneOf"].get(0).unwrap_or(schema);
        match schema["$ref"].as_str() {
            Some(name) => document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("no {name}")),
            None => schema,
        }
    }

    /// Every field of `value` is described, every described field is there.
    pub(crate) fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
        let schema = resolved(document, schema);
        match value {
            Value::Object(fields) => {
                let Some(known) = schema["properties"].as_object() else { return };
                let names: Vec<_> = fields.keys().collect();
                let mut described: Vec<_> = known.keys().collect();
                described.sort();
                let mut sorted = names.clone();
                sorted.sort();
                assert_eq!(sorted, described, "{place}");
                for (name, value) in fields {
                    check(document, &known[name], value, &format!("{place}.{name}"));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| check(document, &schema["items"], item, place)),
            Value::Null => {}
            _ => {
                let word = match value {
                    Value::String(_) => "string",
                    Value::Bool(_) => "boolean",
                    _ => "number",
                };
                let types = schema["type"].to_string().replace("integer", "number");
                assert!(types.contains(word), "{place} is a {word}, not {types}");
            }
        }
    }

    #[tokio::test]
    async fn the_description_names_exactly_the_routes() {
        let document = Server::start().await.get("/api/v1/openapi.json").await.ok();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().unwrap();
        let is_alias =
            |operations: &&Value| operations.as_object().unwrap().values().all(|one| one["deprecated"] == true);
        let described: Vec<(String, Vec<String>)> = paths
            .iter()
            .filter(|(_, operations)| !is_alias(operations))
            .map(|(path, operations)| (path.clone(), operations.as_object().unwrap().keys().cloned().collect()))
            .collect();
        // One description for all of /api/v1, whichever crate answers.
        let own = catalog_api::ROUTES.iter().map(|(path, methods)| {
            (path.to_string(), methods.iter().map(|(method, _)| method.to_string()).collect::<Vec<_>>())
        });
        let of_ingest = ingest::API_ROUTES
            .iter()
            .map(|(path, methods)| (path.to_string(), methods.iter().map(ToString::to_string).collect::<Vec<_>>()));
        let mut routes: Vec<(String, Vec<String>)> = own.chain(of_ingest).collect();
        routes.iter_mut().for_each(|(_, methods)| methods.sort());
        routes.sort();
        assert_eq!(described, routes);
    }

    /// Every link leads to an operation that there is, and fills in all that this cannot do without.
    #[tokio::test]
    async fn links_lead_to_operations_by_what_answers_hold() {
        let document = Server::start().await.get("/api/v1/openapi.json").await.ok();
        let paths = document["paths"].as_object().unwrap();
        let all = || paths.values().flat_map(|methods| methods.as_object().unwrap().values());
        let mut count = 0;
        for operation in all() {
            for answer in operation["responses"].as_object().unwrap().values() {
                for (name, link) in answer["links"].as_object().into_iter().flatten() {
                    count += 1;
                    let target =
                        all().find(|one| one["operationId"] == link["operationId"] && one["deprecated"] != true);
                    let target = target.unwrap_or_else(|| panic!("{name}: there is no such operation"));
                    let wanted = target["parameters"].as_array().unwrap();
                    let given = link["parameters"].as_object().unwrap();
                    let mut required = wanted.iter().filter(|one| one["required"] == true);
                    assert!(required.all(|one| given.contains_key(one["name"].as_str().unwrap())), "{name}: {given:?}");
                    for (parameter, source) in given {
                        assert!(wanted.iter().any(|one| one["name"] == *parameter), "{name}: {parameter}");
                        let source = source.as_str().unwrap();
                        let place = source.strip_prefix("$response.body#/");
                        if let Some(place) = place {
                            check_place(&document, &answer["content"]["application/json"]["schema"], place);
                        } else if let Some(header) = source.strip_prefix("$response.header.") {
                            assert!(answer["headers"][header].is_object(), "{name}: {header}");
                        } else {
                            let parameter = source.strip_prefix("$request.path.").unwrap();
                            let known = operation["parameters"].as_array().unwrap();
                            assert!(known.iter().any(|one| one["name"] == parameter), "{name}: {parameter}");
                        }
                    }
                }
            }
        }
        assert!(count > 40, "{count} links");
    }

    /// The schema has what a pointer names.
    fn check_place(document: &Value, schema: &Value, place: &str) {
        let mut schema = resolved(document, schema);
        for step in place.split('/') {
            let below = if step == "0" { &schema["items"] } else { &schema["properties"][step] };
            assert!(below.is_object(), "{place}: {step}");
            schema = resolved(document, below);
        }
    }

    #[test]
    fn examples_are_what_they_are_examples_of() {
        let count = harness::CONTRACT.check_examples().unwrap();
        assert!(count > 100, "only {count} were found");
    }

    #[tokio::test]
    async fn every_described_operation_is_routed_and_no_other() {
        let server = Server::start().await;
        for (route, methods) in catalog_api::ROUTES {
            for method in ["get", "post", "put", "patch", "delete"] {
                // Each its own, since some are deleted.
                let asset = server.received().await;
                let text = server.text(&asset).await;
                let path = route.replace("{id}", &asset.id.to_string()).replace("{subtitle}", &text.to_string());
                let path = path.replace("{code}", "not_found");
                let is_described = methods.iter().any(|(known, _)| *known == method);
                if is_described && *route == "/api/v1/events" {
                    // Its body never ends.
                    assert_eq!(server.head_of("GET", &path).await, StatusCode::OK);
                    continue;
                }
                let answer = server.send(&method.to_uppercase(), &path).await;
                assert_eq!(answer.status != StatusCode::METHOD_NOT_ALLOWED, is_described, "{method} {path}");
                let is_of_accounts = answer.code() == "accounts_off";
                assert!(answer.status != StatusCode::NOT_FOUND || is_of_accounts, "{method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn an_asset_looks_as_described() {
        let server = Server::start().await;
        let document = server.get("/api/v1/openapi.json").await.ok();
        let asset = server.processing().await;
        server.catalog.mark_playable(asset.id, at(1)).await.unwrap();
        server.finish(&asset, &images()).await;
        let subtitles = format!("/api/v1/assets/{}/subtitles", asset.id);
        let text = server.text(&asset).await;
        server.read(text, Some("text")).await;
        let list = server.get(&subtitles).await.ok();
        check(&document, &document["components"]["schemas"]["SubtitleList"], &list, "subtitles");
        let one = server.get(&format!("{subtitles}/{text}")).await.ok();
        check(&document, &document["components"]["schemas"]["Subtitle"], &one, "subtitle");
        let chapters = server.get(&format!("/api/v1/assets/{}/chapters", asset.id)).await.ok();
        check(&document, &document["components"]["schemas"]["ChapterList"], &chapters, "chapters");
        let page = server.get("/api/v1/assets").await.ok();
        let loudness = json!({ "integrated_lufs": -16.23, "range_lu": 7.5, "true_peak_dbtp": -1.0 });
        assert_eq!(page["data"][0]["audio"][0]["loudness"], loudness);
        assert_eq!(page["data"][0]["audio"][1]["loudness"], Value::Null);
        check(&document, &document["components"]["schemas"]["AssetPage"], &page, "page");
        // Some problems have more members than others.
        let problem: Value = serde_json::from_str(&server.get("/api/v1/none").await.text).unwrap();
        let described = &document["components"]["schemas"]["Problem"];
        assert!(problem.as_object().unwrap().keys().all(|name| described["properties"][name].is_object()));
        let required = described["required"].as_array().unwrap();
        assert!(required.iter().all(|name| problem[name.as_str().unwrap()] != Value::Null));
    }
}

mod streamed {
    use super::*;

    #[tokio::test]
    async fn a_stream_tells_what_happens_next_and_who_was_away_is_told_the_rest() {
        let server = Server::start().await;
        let before = server.received().await;
        let mut live = server.stream("/api/v1/events", None).await;
        let asset = server.received().await;
        let first = live.next_event().await;
        assert_eq!((first.id.as_deref(), first.name.as_deref()), (Some("3"), None));
        assert_eq!((&first.data["topic"], &first.data["asset"]), (&json!("asset.uploading"), &json!(asset.id)));
        assert_eq!(live.next_event().await.data["data"], json!({ "state": "received", "size_bytes": 1_572_864 }));

        let mut late = server.stream("/api/v1/events", Some("1")).await;
        assert_eq!(late.next_event().await.data["seq"], 2);
        let mut one = server.stream(&format!("/api/v1/events?after=0&asset={}", before.id), None).await;
        assert_eq!(
            (one.next_event().await.data["seq"].as_u64(), one.next_event().await.data["seq"].as_u64()),
            (Some(1), Some(2))
        );
        server.catalog.delete_asset(before.id, server.job_id(), at(5)).await.unwrap();
        assert_eq!(one.next_event().await.data["topic"], "asset.deleted");
    }

    #[tokio::test]
    async fn a_client_is_told_when_events_it_asks_for_are_gone() {
        let server = Server::start().await;
        server.received().await;
        server.catalog.prune_events(at(1)).await.unwrap();
        server.received_at(at(2)).await;
        let mut stream = server.stream("/api/v1/events?after=0", None).await;
        assert_eq!(stream.next_event().await.name.as_deref(), Some("reset"));
        assert_eq!(stream.next_event().await.data["seq"], 3);
    }

    #[tokio::test]
    async fn a_shutdown_ends_the_streams() {
        let server = Server::start().await;
        let mut stream = server.stream("/api/v1/events", None).await;
        server.shutdown.cancel();
        stream.ends().await;
    }

    #[tokio::test]
    async fn a_silent_stream_beats_every_15_seconds() {
        let server = Server::start().await;
        let mut stream = server.stream("/api/v1/events", None).await;
        // From here on the clock jumps to the next timer whenever everybody waits.
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        stream.next_comment().await;
        let silence = start.elapsed().as_millis();
        assert!((14_900..=15_100).contains(&silence), "{silence} ms");
    }
}

pub(crate) fn images() -> Images {
    let tile = Resolution { width: 160, height: 90 };
    Images {
        poster: "poster.jpg".into(),
        poster_resolution: Resolution { width: 640, height: 360 },
        thumbnails: vec![],
        storyboard: Some(Storyboard {
            sheets: vec!["sheet-0.jpg".into()],
            tile,
            columns: 5,
            rows: 5,
            tile_count: 10,
            interval: MediaTime::zero(),
        }),
        preview: Some("preview.webp".into()),
        blurhash: Some("LEHV6nWB2yk8pyo0adR*.7kCMdnj".into()),
        thumbhash: Some("3OcRJYB4d3h/iIeHeEh3eIhw+j2w".into()),
        scored: None,
    }
}
