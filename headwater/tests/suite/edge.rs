//! A server that is a cache in front of another: what plays there plays here, and goes on when that one is away.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use fixtures::media::{self, ClipSpec};
use reqwest::{Client, StatusCode};

use crate::harness::{Server, run, text};

fn edge(folder: &std::path::Path, upstream: &str) -> Server {
    Server::start_with(folder, &["--roles", "origin", "--upstream", upstream])
}

/// Status, entity-tag and octets.
async fn fetched(server: &Server, path: &str) -> (StatusCode, Option<String>, Vec<u8>) {
    let answer = server.get(path).await;
    let etag = answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
    (answer.status(), etag, answer.bytes().await.unwrap().to_vec())
}

/// What the last cache said of an answer.
async fn told(server: &Server, path: &str) -> String {
    let answer = server.get(path).await;
    let mut lines = answer.headers().get_all("cache-status").iter().map(|line| line.to_str().unwrap().to_owned());
    lines.next_back().unwrap_or_default()
}

/// Every address that the playlists of an asset lead to, the multivariant one first.
async fn addresses(server: &Server, master: &str) -> Vec<String> {
    let beside = |of: &str, uri: &str| format!("{}/{uri}", of.rsplit_once('/').unwrap().0);
    let (_, playlist) = m3u8_rs::parse_master_playlist(server.text(master).await.as_bytes()).unwrap();
    let variants = playlist.variants.iter().map(|variant| variant.uri.clone());
    let others = playlist.alternatives.iter().filter_map(|alternative| alternative.uri.clone());
    let mut found = vec![master.to_owned()];
    for uri in variants.chain(others).collect::<BTreeSet<_>>() {
        let media = beside(master, &uri);
        let (_, list) = m3u8_rs::parse_media_playlist(server.text(&media).await.as_bytes()).unwrap();
        let maps = list.segments.iter().filter_map(|segment| Some(segment.map.as_ref()?.uri.clone()));
        let segments = list.segments.iter().map(|segment| segment.uri.clone());
        found.extend(maps.chain(segments).collect::<BTreeSet<_>>().iter().map(|uri| beside(&media, uri)));
        found.push(media);
    }
    found
}

#[tokio::test]
async fn an_asset_plays_through_an_edge_octet_by_octet_and_while_its_origin_is_away() {
    let temp = tempfile::tempdir().unwrap();
    let origin = Server::start(&temp.path().join("data"));
    let clip =
        media::clip(&ClipSpec { seconds: 5.0, audio: vec!["eng"], subtitles: vec!["eng"], ..ClipSpec::default() });
    let found = origin.settled(&origin.upload(&clip).await).await;
    assert_eq!(found["state"], "ready", "{found}");
    let master = found["playback"]["hls"].as_str().unwrap().to_owned();

    let edge = edge(&temp.path().join("edge"), &origin.url);
    assert!(!temp.path().join("edge").exists(), "an edge has no data folder");
    let addresses = addresses(&edge, &master).await;
    assert!(addresses.len() > 10, "{addresses:?}");
    let mut kept = Vec::new();
    for address in &addresses {
        let here = fetched(&edge, address).await;
        assert_eq!(here.0, StatusCode::OK, "{address}");
        assert_eq!(here, fetched(&origin, address).await, "{address}");
        kept.push(here);
    }
    for address in &addresses {
        let told = told(&edge, address).await;
        assert!(told.starts_with("headwater-edge; hit; ttl="), "{address}: {told}");
    }
    let segment = addresses.iter().find(|address| address.ends_with(".m4s")).unwrap();
    let url = format!("{}{segment}", edge.url);
    let part = Client::new().get(&url).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    let whole = &kept[addresses.iter().position(|address| address == segment).unwrap()].2;
    assert_eq!(part.bytes().await.unwrap(), whole[10..20]);

    let judged = run(&["doctor", "--cdn", &format!("{}{master}", edge.url), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let wrong: Vec<_> = findings.iter().filter(|finding| finding["verdict"] != "ok").collect();
    assert!(wrong.is_empty() && findings.len() > 10, "{wrong:?}");
    for (path, status) in [("/api/v1/assets", 404), ("/uploads/x", 404), ("/watch/x", 200)] {
        assert_eq!(edge.get(path).await.status(), status, "{path}");
    }

    origin.kill();
    for (address, before) in addresses.iter().zip(&kept) {
        assert_eq!(&fetched(&edge, address).await, before, "{address} while the origin is away");
    }
    let absent = edge.get(&format!("{segment}x")).await;
    assert_eq!(absent.status(), StatusCode::BAD_GATEWAY);
    assert!(absent.headers().contains_key("retry-after") && absent.headers()["cache-control"] == "no-store");
    let problem: serde_json::Value = absent.json().await.unwrap();
    assert_eq!(problem["code"], "upstream_unreachable");

    assert_eq!(edge.get("/readyz").await.status(), StatusCode::OK);
    let metrics = edge.text("/metrics").await;
    let hits = metrics.lines().find(|line| line.starts_with("headwater_edge_answers_total{outcome=\"hit\"}"));
    assert!(hits.is_some_and(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap() > 10), "{metrics}");
}

#[tokio::test]
async fn a_body_whose_length_nobody_tells_passes_through_whole() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 40;
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", upstream.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in upstream.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            for at in 0..PIECES {
                let piece = vec![b'a' + u8::try_from(at % 26).unwrap(); PIECE];
                let _ = stream.write_all(format!("{PIECE:x}\r\n").as_bytes());
                let _ = stream.write_all(&piece);
                let _ = stream.write_all(b"\r\n");
            }
            let _ = stream.write_all(b"0\r\n\r\n");
        }
    });
    let temp = tempfile::tempdir().unwrap();
    let edge = edge(&temp.path().join("edge"), &url);
    for _ in 0..2 {
        let answer = edge.get("/anything").await;
        assert_eq!((answer.status(), answer.headers().get("content-length")), (StatusCode::OK, None));
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), PIECE * PIECES);
        assert!((0..PIECES).all(|at| usize::from(body[at * PIECE] - b'a') == at % 26));
    }
}

#[test]
fn an_edge_plays_no_other_role_and_needs_an_address() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("data");
    for (args, told) in [
        (&["--upstream", "http://127.0.0.1:1"][..], "upstream has no store to work on: with it, set `--roles origin`"),
        (&["--roles", "origin,api", "--upstream", "http://127.0.0.1:1"], "set `--roles origin`"),
        (&["--roles", "origin", "--upstream", "origin.example.org"], "the upstream must be http:// or https://"),
        (&["--roles", "origin", "--upstream", "http://a/path"], "the upstream must be http:// or https://"),
        (&["--roles", "origin", "--set", "upstream_secret=x"], "upstream_secret needs upstream"),
    ] {
        let output = run(&[&["serve", "--data-dir", text(&folder)], args].concat());
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {complaint}");
        assert!(complaint.contains(told), "{args:?}: {complaint}");
    }
    assert!(!folder.exists());
    let help = run(&["serve", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("--upstream <URL>"));
}

#[tokio::test]
async fn an_edge_tells_its_origin_who_it_is() {
    let temp = tempfile::tempdir().unwrap();
    let secret = "upstream_secret=a secret between the two";
    let guarded = ["--roles", "origin", "--set", "origin_secrets=a secret between the two"];
    let origin = Server::start_with(&temp.path().join("data"), &guarded);
    let path = "/v/plb_00000000000000000000000007/master.m3u8";
    assert_eq!(origin.get(path).await.status(), StatusCode::FORBIDDEN);
    let stranger = edge(&temp.path().join("stranger"), &origin.url);
    assert_eq!(stranger.get(path).await.status(), StatusCode::FORBIDDEN);
    let args = ["--roles", "origin", "--upstream", &origin.url, "--set", secret];
    let known = Server::start_with(&temp.path().join("known"), &args);
    assert_eq!(known.get(path).await.status(), StatusCode::NOT_FOUND);
    // Edges may stand behind one another.
    let second = edge(&temp.path().join("second"), &known.url);
    assert_eq!(second.get(path).await.status(), StatusCode::NOT_FOUND);
}
