//! What a crowd waits for that asks at once for an object which lies in a bucket far away.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use media_store::layout;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::peers::Peer;
use crate::site;

/// Who asks at once.
const VIEWERS: usize = 1000;
/// What the bucket takes before each answer.
const LATENCY: Duration = Duration::from_millis(50);
/// Objects that one viewer alone asks for, one after the other.
const ALONE: u32 = 5;
/// A segment of sound, and one of pictures that is a block.
const SIZES: [usize; 2] = [64 << 10, 1 << 20];
/// What we aim at: the slowest hundredth of the crowd beside one viewer alone.
const AIM: f64 = 2.0;

/// Objects by key, and how often each was read.
#[derive(Default)]
struct Bucket(Mutex<HashMap<String, (Bytes, u32)>>);

/// When somebody had the first octet and the last, from when all asked.
type Times = (Duration, Duration);

/// Measures and reports.
pub(crate) fn run(headwater: &Path, folder: &Path) -> anyhow::Result<()> {
    // Both ends of a thousand connections are more descriptors than a shell allows.
    let limit = format!("--nofile={}:", 4 * VIEWERS);
    let status = Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &limit]).status();
    ensure!(status.context("cannot run prlimit")?.success(), "no descriptors for a thousand connections");
    println!(
        "\n{VIEWERS} viewers of one cold object, {} ms away; ms to the first and the last octet",
        LATENCY.as_millis()
    );
    println!(
        "{:<12}{:>16}{:>16}{:>16}{:>8}{:>6}{:>8}",
        "", "one alone", "half of all", "99 of 100", "ratio", "aim", "reads"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    SIZES.iter().try_for_each(|bytes| runtime.block_on(measured(headwater, folder, *bytes)))
}

async fn measured(headwater: &Path, folder: &Path, bytes: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let bucket = Arc::new(filled(bytes)?);
    let mut tasks = JoinSet::new();
    let served = Arc::clone(&bucket);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, Arc::clone(&served)));
        }
    });
    let (headwater, folder) = (headwater.to_owned(), folder.to_owned());
    let settings = [
        format!("storage_url=s3://bkt?endpoint=http://{address}&region=here"),
        "storage_access_key=access".into(),
        "storage_secret_key=secret".into(),
        format!("connections_max={}", 2 * VIEWERS),
    ];
    let name = format!("crowd-{bytes}");
    // It may ask the bucket before it listens.
    let started = move || Peer::headwater_with(&headwater, &folder, &name, &settings, 1 << 30);
    let peer = tokio::task::spawn_blocking(started).await??;
    // What leads to all objects is known.
    ask(&peer, 0, bytes, 1).await?;
    let mut alone = Vec::new();
    for index in 1..=ALONE {
        alone.extend(ask(&peer, index, bytes, 1).await?);
    }
    let all = ask(&peer, ALONE + 1, bytes, VIEWERS).await?;
    let reads = bucket.reads(ALONE + 1);
    let (one, half, most) = (place(&alone, 0.5), place(&all, 0.5), place(&all, 0.99));
    let text = |(first, last): (f64, f64)| format!("{first:.0} {last:.0}");
    let ratio = most.1 / one.1;
    let verdict = if ratio <= AIM && reads == 1 { "" } else { "  above" };
    println!(
        "{:<12}{:>16}{:>16}{:>16}{ratio:>8.2}{AIM:>6.1}{reads:>8}{verdict}",
        format!("{} KiB", bytes >> 10),
        text(one),
        text(half),
        text(most)
    );
    // The server keeps its connections to the bucket for as long as it runs.
    tokio::task::spawn_blocking(move || drop(peer)).await?;
    tasks.abort_all();
    Ok(())
}

fn filled(bytes: usize) -> anyhow::Result<Bucket> {
    let bucket = Bucket::default();
    let content = Bytes::from(vec![7; bytes]);
    let (presentation, keys) = site::in_one_rendition(ALONE + 2, &content);
    let put = |key: &media_store::Key, body: Bytes| bucket.lock().insert(key.to_string(), (body, 0));
    put(
        &layout::presentation(presentation.asset, presentation.generation, 1),
        serde_json::to_vec(&presentation)?.into(),
    );
    put(&layout::pointer(presentation.playback), serde_json::to_vec(&presentation.pointer())?.into());
    for key in keys {
        put(&key, content.clone());
    }
    Ok(bucket)
}

impl Bucket {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (Bytes, u32)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often a segment was read.
    fn reads(&self, index: u32) -> u32 {
        let end = format!("/{index}.m4s");
        self.lock().iter().find(|(key, _)| key.ends_with(&end)).map_or(0, |(_, (_, reads))| *reads)
    }
}

/// Answers reads, whole or in part, each after a while.
async fn serve(stream: TcpStream, bucket: Arc<Bucket>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut range) = (String::new(), None);
        // Ends with the head, or with the client.
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(' ') {
                None => break,
                Some(("range:", value)) => range = value.strip_prefix("bytes=").map(str::to_owned),
                Some((_, rest)) if path.is_empty() => {
                    let target = rest.split([' ', '?']).next().unwrap_or_default();
                    target.trim_start_matches("/bkt/").clone_into(&mut path);
                }
                Some(_) => {}
            }
        }
        tokio::time::sleep(LATENCY).await;
        let found = bucket.lock().get_mut(&path).map(|(body, reads)| {
            *reads += 1;
            body.clone()
        });
        let Some(whole) = found else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        let asked = range.as_deref().and_then(|range| range.split_once('-'));
        let bounds = asked.and_then(|(first, last)| Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1)));
        let (start, end) = bounds.map_or((0, whole.len()), |(start, end)| (start, end.min(whole.len())));
        let (status, length) = (if bounds.is_some() { "206 Partial Content" } else { "200 OK" }, end - start);
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\netag: \"v1\"\r\n\
             last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-range: bytes {start}-{}/{}\r\n\r\n",
            end.saturating_sub(1),
            whole.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&whole[start..end]).await?;
    }
}

/// Has so many viewers ask for a segment at once, each on a connection of its own.
async fn ask(peer: &Peer, index: u32, bytes: usize, viewers: usize) -> anyhow::Result<Vec<Times>> {
    let (path, barrier) = (site::path_in_one_rendition(index), Arc::new(Barrier::new(viewers)));
    let mut asking = JoinSet::new();
    for _ in 0..viewers {
        let (mut stream, barrier) = (TcpStream::connect(&peer.plain).await?, Arc::clone(&barrier));
        let request = format!("GET {path} HTTP/1.1\r\nHost: media.example\r\n\r\n");
        asking.spawn(async move {
            barrier.wait().await;
            let begun = Instant::now();
            stream.write_all(request.as_bytes()).await?;
            let (mut head, mut octets) = (Vec::new(), [0; 16384]);
            // Ends with the head, or with the connection.
            let left = loop {
                let taken = stream.read(&mut octets).await?;
                ensure!(taken > 0, "the connection was closed");
                head.extend_from_slice(&octets[..taken]);
                if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head[..end]));
                    let body = head.len() - end - 4;
                    if body > 0 {
                        break bytes - body;
                    }
                }
            };
            let first = begun.elapsed();
            let taken = tokio::io::copy(&mut stream.take(left as u64), &mut tokio::io::sink()).await?;
            ensure!(taken == left as u64, "an answer broke off");
            Ok((first, begun.elapsed()))
        });
    }
    asking.join_all().await.into_iter().collect()
}

/// The times, in milliseconds, that this share of all does not exceed; each by itself.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a short list"
)]
fn place(times: &[Times], share: f64) -> (f64, f64) {
    let of = |mut times: Vec<Duration>| {
        times.sort_unstable();
        let at = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
        times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
    };
    (of(times.iter().map(|(first, _)| *first).collect()), of(times.iter().map(|(_, last)| *last).collect()))
}
