//! Requests that want the same upload at the same time: copies at one offset, and successors of one that stalls.

use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::UploadId;
use fixtures::{Dice, dice, media};
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{self, Server};
use crate::torture::folder_store;
use crate::uploader::assert_exact;

const ROUNDS: u64 = 30;
const COPIES: u64 = 6;
const TRIALS: usize = 100;
/// The 99th percentile is printed; on a loaded machine it says more of the machine than of the server, so what is
/// asserted is only that nobody waits out the five seconds after which a request gives up.
const TAKEOVER_MAX: Duration = Duration::from_secs(4);

fn request(http: &Client, method: Method, server: &Server, upload: &str) -> RequestBuilder {
    http.request(method, format!("{}{upload}", server.url)).header("tus-resumable", "1.0.0")
}

async fn patch(http: &Client, server: &Server, upload: &str, offset: usize, body: Bytes) -> Response {
    let request = request(http, Method::PATCH, server, upload);
    let request = request.header("upload-offset", offset).header("content-type", "application/offset+octet-stream");
    request.body(body).send().await.unwrap()
}

fn id(path: &str) -> UploadId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn of_parallel_copies_at_one_offset_exactly_one_is_kept() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &["--roles", "ingest,api"]);
    let mut dice = Dice::new(dice::seed());
    let (mut kept, mut refused) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let length = usize::try_from(500_000 + dice.below(900_000)).unwrap();
        let files: Vec<Bytes> = (0..COPIES).map(|_| media::padded(length, dice.number()).into()).collect();
        let upload = harness::create(&server.url, length, "clip.mp4").await.unwrap();
        let http: Vec<Client> = files.iter().map(|_| Client::new()).collect();
        let copies = files.iter().zip(&http).map(|(file, http)| patch(http, &server, &upload.path, 0, file.clone()));
        let answers = futures::future::join_all(copies).await;
        let won = answers.iter().zip(&files).filter(|(answer, _)| answer.status() == 204);
        let won: Vec<&Bytes> = won.map(|(_, file)| file).collect();
        assert_eq!(won.len(), 1, "round {round}: {answers:?}");
        for answer in answers.iter().filter(|answer| answer.status() != 204) {
            assert!([409, 423].contains(&answer.status().as_u16()), "round {round}: {answer:?}");
            refused += 1;
        }
        kept.push((id(&upload.path), won[0].clone()));
    }
    println!("{ROUNDS} rounds of {COPIES} copies: {} kept, {refused} refused", kept.len());
    server.kill();
    assert_exact(&format!("sqlite://{}", data.join("catalog.db").display()), folder_store(&data), &kept).await;
}

/// A PATCH that announced `length` bytes, sent `body` and says no more. The server reads it: it asked for the body.
async fn stalled(server: &Server, upload: &str, offset: usize, length: usize, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nhost: localhost\r\ntus-resumable: 1.0.0\r\nexpect: 100-continue\r\n\
         content-type: application/offset+octet-stream\r\nupload-offset: {offset}\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "{:?}", String::from_utf8_lossy(&told));
    stream.write_all(body).await.unwrap();
    stream
}

#[tokio::test]
async fn a_stalled_request_is_taken_over_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    let server = Server::start_with(&data, &["--roles", "ingest,api"]);
    let http = Client::new();
    let (mut by_head, mut by_patch, mut by_delete) = (Vec::new(), Vec::new(), Vec::new());
    let mut kept = Vec::new();
    for trial in 0..TRIALS {
        let file = Bytes::from(media::padded(400_000, trial as u64));
        let upload = harness::create(&server.url, file.len(), "clip.mp4").await.unwrap().path;
        let zombie = stalled(&server, &upload, 0, file.len(), &file[..100_000]).await;
        let begun = Instant::now();
        let head = request(&http, Method::HEAD, &server, &upload).send().await.unwrap();
        by_head.push(begun.elapsed());
        assert_eq!(head.status(), 200);
        let offset: usize = head.headers()["upload-offset"].to_str().unwrap().parse().unwrap();
        assert!(offset <= 100_000, "{offset} bytes of 100000");

        let second = stalled(&server, &upload, offset, file.len() - offset, &[]).await;
        let begun = Instant::now();
        let answer = patch(&http, &server, &upload, offset, file.slice(offset..offset + 1)).await;
        by_patch.push(begun.elapsed());
        assert_eq!((answer.status().as_u16(), &answer.headers()["upload-offset"]), (204, &(offset + 1).into()));

        // Both were told, or hung up on; whatever they still send changes nothing.
        for mut late in [zombie, second] {
            let _ = late.write_all(&file[..1_000]).await;
        }
        let answer = patch(&http, &server, &upload, offset + 1, file.slice(offset + 1..)).await;
        assert_eq!(answer.status(), 204);
        kept.push((id(&upload), file));

        let upload = harness::create(&server.url, 1_000_000, "clip.mp4").await.unwrap().path;
        let _third = stalled(&server, &upload, 0, 1_000_000, &[0; 1_000]).await;
        let begun = Instant::now();
        let answer = request(&http, Method::DELETE, &server, &upload).send().await.unwrap();
        by_delete.push(begun.elapsed());
        assert_eq!(answer.status(), 204);
    }
    for (name, mut times) in [("HEAD", by_head), ("PATCH", by_patch), ("DELETE", by_delete)] {
        times.sort();
        let (p50, p99) = (times[TRIALS / 2], times[TRIALS * 99 / 100 - 1]);
        println!("take-over of a stalled PATCH by {name}: p50 {p50:.1?}, p99 {p99:.1?} of {TRIALS}");
        assert!(p99 < TAKEOVER_MAX, "{name}: {times:?}");
    }
    server.kill();
    assert_exact(&format!("sqlite://{}", data.join("catalog.db").display()), folder_store(&data), &kept).await;
}
