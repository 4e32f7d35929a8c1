use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ground::{Ground, eventually, noise};

/// Serves the router on a real socket for as long as the set lives.
async fn listen(ground: &Ground) -> (std::net::SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let router = ingest::router(ground.state.clone());
    let serve = async move { axum::serve(listener, router).await.expect("serves") };
    (address, JoinSet::from_iter([serve]))
}

fn head_of_patch(upload: domain::UploadId, offset: u64, length: usize) -> String {
    format!(
        "PATCH /uploads/{upload} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_connection_that_dies_midway_keeps_what_came() {
    for is_reset in [false, true] {
        let (ground, file) = (Ground::new().await, noise(3 << 20));
        let (address, _server) = listen(&ground).await;
        let upload = ground.create(4 << 20).await;
        let mut connection = TcpStream::connect(address).await.expect("connects");
        connection.write_all(head_of_patch(upload, 0, 4 << 20).as_bytes()).await.expect("sends");
        connection.write_all(&file).await.expect("sends");
        // A reset throws away what the server has not yet read: wait until it was.
        let staged = ground.state.staging.path(upload);
        let length = || std::fs::metadata(&staged).expect("exists").len();
        eventually("the octets came", || async { length() == 3 << 20 }).await;
        if is_reset {
            connection.set_zero_linger().expect("sets");
        }
        drop(connection);
        eventually("the octets are recorded", || async { ground.upload(upload).await.offset == 3 << 20 }).await;
        assert!(std::fs::read(&staged).expect("reads") == file);
    }
}

#[tokio::test]
async fn a_dead_connection_is_taken_over_at_once() {
    let ground = Ground::new().await;
    let (address, _server) = listen(&ground).await;
    let upload = ground.create(6).await;
    let mut dead = TcpStream::connect(address).await.expect("connects");
    dead.write_all((head_of_patch(upload, 0, 6) + "abc").as_bytes()).await.expect("sends");
    eventually("the body is being read", || async { ground.state.tasks.len() == 1 }).await;
    let asked = tokio::time::Instant::now();
    let offset = ground.head(upload).await.offset().expect("has an offset");
    assert!(asked.elapsed().as_millis() < 1000, "{:?}", asked.elapsed());
    let rest = &"abcdef"[usize::try_from(offset).expect("fits")..];
    assert_eq!(ground.patch(upload, offset, rest).await.offset(), Some(6));
    let mut answer = String::new();
    let _ = dead.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 409"), "{answer}");
}

#[tokio::test]
async fn a_refused_request_is_answered_before_its_body_is_asked_for() {
    let ground = Ground::new().await;
    let (address, _server) = listen(&ground).await;
    let upload = ground.create(6).await;
    let mut connection = TcpStream::connect(address).await.expect("connects");
    let head = head_of_patch(upload, 5, 6).replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n");
    connection.write_all(head.as_bytes()).await.expect("sends");
    let mut answer = [0u8; 12];
    connection.read_exact(&mut answer).await.expect("is answered");
    assert_eq!(&answer, b"HTTP/1.1 409");
}
