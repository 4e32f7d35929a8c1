//! `headwater doctor --url` and `headwater upload` against the whole server as it runs.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::harness::{Server, headwater, run, text};

/// A certificate for `localhost` that nobody trusts who is not told to.
fn certificate(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/tls").join(file)
}

/// Serves TLS for the server at `url`, HTTP/2 and HTTP/1.1 alike; the address with its scheme.
async fn encrypted(tasks: &mut JoinSet<()>, url: &str) -> String {
    let chain = vec![CertificateDer::from_pem_file(certificate("certificate.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(certificate("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = url.strip_prefix("http://").unwrap().to_owned();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            connections.spawn(async move {
                // A client that does not trust the certificate goes away here.
                let Ok(mut near) = acceptor.accept(near).await else { return };
                let mut far = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn a_server_that_nothing_stands_before_is_well_in_every_point() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let told = run(&["doctor", "--url", &server.url, "--json"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["verdict"], "ok", "{report:#}");
    assert_eq!(told.status.code(), Some(0));
    let names: Vec<&str> =
        report["findings"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for name in
        ["location", "methods", "cors", "body size", "streaming", "resume", "checksum", "trailer", "104", "http/2"]
    {
        assert!(names.contains(&name), "{name} is missing in {names:?}");
    }
    let http2 = report["findings"].as_array().unwrap().iter().find(|one| one["name"] == "http/2").unwrap();
    assert!(http2["text"].as_str().unwrap().contains("/s, HTTP/1.1 "), "{http2}");
    let assets = server.json("/api/v1/assets").await;
    assert_eq!(assets["data"], serde_json::json!([]), "nothing is left of the trial");
}

#[test]
fn an_address_where_nobody_listens_fails_in_one_line() {
    let told = run(&["doctor", "--url", "http://127.0.0.1:1"]);
    assert_eq!(told.status.code(), Some(1));
    let line = String::from_utf8(told.stdout).unwrap();
    assert!(line.starts_with("fail  reach      cannot connect to 127.0.0.1:1"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[tokio::test]
async fn a_file_goes_in_parts_and_its_figures_are_told() {
    let temp = tempfile::tempdir().unwrap();
    let server = Server::start(&temp.path().join("data"));
    let clip = fixtures::media::clip(&fixtures::media::ClipSpec {
        seconds: 6.0,
        width: 1280,
        height: 720,
        ..fixtures::media::ClipSpec::default()
    });
    // Long enough for two parts, and still a film: what follows the last box is free space.
    let mut octets = std::fs::read(&clip).unwrap();
    let missing = (3u32 << 20).saturating_sub(u32::try_from(octets.len()).unwrap()).max(8);
    octets.extend_from_slice(&missing.to_be_bytes());
    octets.extend_from_slice(b"free");
    octets.resize(octets.len() + usize::try_from(missing).unwrap() - 8, 0);
    let file = temp.path().join("film.mp4");
    std::fs::write(&file, &octets).unwrap();
    let state = temp.path().join("state");
    let args =
        ["upload", text(&file), "--server", &server.url, "--parallel", "2", "--json", "--state-dir", text(&state)];
    let told = run(&args);
    assert_eq!(told.status.code(), Some(0), "{}", String::from_utf8_lossy(&told.stderr));
    let asset: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(asset["transfer"]["parts"], 2, "{asset:#}");
    assert_eq!(asset["transfer"]["sent_bytes"], octets.len());
    assert_eq!(asset["file_name"], "film.mp4");
    let settled = server.settled(asset["asset_url"].as_str().unwrap().strip_prefix(&server.url).unwrap()).await;
    assert_eq!(settled["state"], "ready", "{settled:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_address_is_looked_at_on_both_versions_of_http() {
    let temp = tempfile::tempdir().unwrap();
    let (server, mut tasks) = (Server::start(&temp.path().join("data")), JoinSet::new());
    let url = encrypted(&mut tasks, &server.url).await;
    let args = ["doctor", "--url", &url, "--json"];
    let mut trusting = headwater(&args);
    trusting.env("SSL_CERT_FILE", certificate("certificate.pem"));
    let told = tokio::task::spawn_blocking(move || trusting.output().unwrap()).await.unwrap();
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["verdict"], "ok", "{report:#}");
    let http2 = report["findings"].as_array().unwrap().iter().find(|one| one["name"] == "http/2").unwrap();
    assert!(http2["text"].as_str().unwrap().contains("/s, HTTP/1.1 "), "{http2}");
    let mut doubting = headwater(&args);
    let told = tokio::task::spawn_blocking(move || doubting.output().unwrap()).await.unwrap();
    assert_eq!(told.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert!(report["findings"][0]["text"].as_str().unwrap().contains("invalid peer certificate"), "{report:#}");
}
