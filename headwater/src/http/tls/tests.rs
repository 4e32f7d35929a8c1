//! Two certificates for `localhost`, made by OpenSSL for a hundred years, and clients that trust both.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::*;
use crate::http::ground::{Ground, PATIENCE};

const FIRST: [&str; 2] = [include_str!("cert1.pem"), include_str!("key1.pem")];
const SECOND: [&str; 2] = [include_str!("cert2.pem"), include_str!("key2.pem")];

struct Folder {
    certificate: PathBuf,
    key: PathBuf,
    clients: PathBuf,
    _folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        let (certificate, key, clients) = (path("cert.pem"), path("key.pem"), path("clients.pem"));
        let files = Self { certificate, key, clients, _folder: folder };
        files.write(FIRST);
        files
    }

    fn write(&self, [certificate, key]: [&str; 2]) {
        std::fs::write(&self.certificate, certificate).unwrap();
        std::fs::write(&self.key, key).unwrap();
    }

    fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }

    fn load(&self) -> Result<Tls, TlsError> {
        Tls::load(&self.certificate, &self.key, None)
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

async fn connect(address: SocketAddr, protocol: &[u8]) -> TlsStream<TcpStream> {
    connect_as(address, protocol, None).await.unwrap()
}

/// A connection of a client that shows this certificate.
async fn connect_as(
    address: SocketAddr,
    protocol: &[u8],
    client: Option<[&str; 2]>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(der(FIRST[0])).unwrap();
    roots.add(der(SECOND[0])).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => config.with_no_client_auth(),
        Some([certificate, key]) => config
            .with_client_auth_cert(vec![der(certificate)], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket).await
}

/// What a client is told, if it is let in; whoever is not is told so when it reads.
async fn told(address: SocketAddr, client: Option<[&str; 2]>) -> std::io::Result<String> {
    let mut stream = connect_as(address, b"http/1.1", client).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The certificate that a new connection gets.
async fn shown(address: SocketAddr) -> CertificateDer<'static> {
    let stream = connect(address, b"http/1.1").await;
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

#[tokio::test]
async fn answers_over_tls_ask_browsers_to_come_back_over_tls_but_not_to_localhost() {
    let ground = Ground::encrypted(Folder::new().load().unwrap()).await;
    for (host, is_asked) in [("media.example.org", true), ("127.0.0.1:8443", true), ("localhost:8443", false)] {
        let mut stream = connect(ground.address, b"http/1.1").await;
        let request = format!("GET /uploads/refused HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.contains("strict-transport-security: max-age=31536000\r\n"), is_asked, "{answer}");
    }
    let plain = Ground::new().await;
    let mut stream = TcpStream::connect(plain.address).await.unwrap();
    stream.write_all(b"GET /uploads/refused HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && !answer.contains("strict-transport"), "{answer}");
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls() {
    let ground = Ground::encrypted(Folder::new().load().unwrap()).await;
    let mut http1 = connect(ground.address, b"http/1.1").await;
    http1.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    http1.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"ok\""), "{answer}");

    let http2 = connect(ground.address, HTTP2).await;
    assert_eq!(http2.get_ref().1.alpn_protocol(), Some(HTTP2));
    let (mut client, connection) = h2::client::handshake(http2).await.unwrap();
    ground.lifecycle.tracker().spawn(connection);
    let request = http::Request::get("https://localhost/healthz").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let files = Folder::new();
    let tls = files.load().unwrap();
    let ground = Ground::encrypted(tls.clone()).await;
    ground.lifecycle.tracker().spawn(tls.watch(ground.lifecycle.soft().clone()));
    assert_eq!(shown(ground.address).await, der(FIRST[0]));
    let before = connect(ground.address, b"http/1.1").await;
    // The file's time has to differ, and a certificate without its key is no use.
    tokio::time::sleep(Duration::from_millis(20)).await;
    files.write([SECOND[0], FIRST[1]]);
    tokio::time::sleep(LOOK_INTERVAL + LOOK_INTERVAL / 2).await;
    assert_eq!(shown(ground.address).await, der(FIRST[0]));
    // What could not be used is looked at again, even if the files' times stay as they are.
    let times = files.paths().map(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    files.write(SECOND);
    for (file, time) in files.paths().iter().zip(times) {
        std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
    }
    let begun = tokio::time::Instant::now();
    while shown(ground.address).await != der(SECOND[0]) {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Whoever was connected still is.
    let mut before = before;
    before.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    before.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn only_clients_that_an_authority_vouches_for_are_let_in() {
    let files = Folder::new();
    std::fs::write(&files.clients, FIRST[0]).unwrap();
    let tls = Tls::load(&files.certificate, &files.key, Some(&files.clients)).unwrap();
    let ground = Ground::encrypted(tls.clone()).await;
    ground.lifecycle.tracker().spawn(tls.watch(ground.lifecycle.soft().clone()));
    assert!(told(ground.address, Some(FIRST)).await.unwrap().starts_with("HTTP/1.1 200"));
    for stranger in [None, Some(SECOND)] {
        assert!(told(ground.address, stranger).await.is_err(), "{}", stranger.is_some());
    }
    // Another authority takes over while the server runs.
    tokio::time::sleep(Duration::from_millis(20)).await;
    std::fs::write(&files.clients, SECOND[0]).unwrap();
    let begun = tokio::time::Instant::now();
    while told(ground.address, Some(SECOND)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(told(ground.address, Some(FIRST)).await.is_err());
}

#[test]
fn a_file_without_an_authority_lets_nobody_in() {
    let files = Folder::new();
    std::fs::write(&files.clients, "").unwrap();
    let error = Tls::load(&files.certificate, &files.key, Some(&files.clients)).unwrap_err();
    assert!(matches!(error, TlsError::Clients { .. }), "{error}");
}

#[test]
fn files_that_hold_no_certificate_are_told() {
    let files = Folder::new();
    files.write([SECOND[0], FIRST[1]]);
    assert!(matches!(files.load(), Err(TlsError::Unusable(_))));
    files.write(["nothing", FIRST[1]]);
    assert!(files.load().is_err());
    std::fs::remove_file(&files.key).unwrap();
    files.write([FIRST[0], ""]);
    assert!(matches!(files.load(), Err(TlsError::File { .. })));
}
