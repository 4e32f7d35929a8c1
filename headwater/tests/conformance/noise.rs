//! Requests that no client would send, over everything that stands before uploads.
//!
//! The fuzz target of the same requests drives the router alone; this walks the way that they take in the binary.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fixtures::{Dice, dice};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wire::{Server, at};

/// Connections that are played.
const ROUNDS: usize = 300;
/// Changes to one input.
const CHANGES_MAX: u64 = 4;
/// How long a connection may last whose client has said everything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Stands for the id of an upload, as in the fuzz targets.
const PLACEHOLDER: &str = "UPLOAD";

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Raw requests that mean something.
fn seeds(upload: &str) -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/requests");
    let files = std::fs::read_dir(folder).expect("is there").map(|entry| entry.expect("reads").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let text = |file| String::from_utf8_lossy(&std::fs::read(file).expect("reads")).into_owned();
    // Most seeds have no Host, which every request must have here.
    let hosted = |text: String| match text.to_lowercase().contains("\nhost:") {
        true => text,
        false => text.replace(" HTTP/1.1\r\n", " HTTP/1.1\r\nHost: upload.example\r\n"),
    };
    files.into_iter().map(|file| hosted(text(file)).replace(PLACEHOLDER, upload).into_bytes()).collect()
}

fn index(dice: &mut Dice, end: usize) -> usize {
    usize::try_from(dice.below(end.max(1) as u64)).expect("fits")
}

/// Octets changed, dropped and doubled, and stretches of another input.
fn changed(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[index(dice, seeds.len())].clone();
    for _ in 0..dice.below(CHANGES_MAX + 1) {
        let at = index(dice, input.len());
        let end = (at + 1 + index(dice, 40)).min(input.len());
        match dice.below(5) {
            0 => input[at] = u8::try_from(dice.below(256)).expect("fits"),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..at, input[at..end].to_vec())),
            3 => input.truncate(end),
            _ => {
                let other = &seeds[index(dice, seeds.len())];
                let from = index(dice, other.len());
                let stretch = other[from..(from + 60).min(other.len())].to_vec();
                drop(input.splice(at..end, stretch));
            }
        }
        if input.is_empty() {
            break;
        }
    }
    input
}

#[tokio::test]
async fn nothing_that_a_client_writes_breaks_the_server() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        tell(panic);
    }));
    let server = Server::new().await;
    let upload = server.create(40).await;
    let seeds = seeds(&upload.to_string());
    let seed = dice::seed();
    let mut dice = Dice::new(seed);
    for round in 0..ROUNDS {
        let input = changed(&mut dice, &seeds);
        let mut stream = TcpStream::connect(server.address).await.expect("connects");
        // The server may end the connection before all of it is said.
        let _ = stream.write_all(&input).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        let told = || format!("seed {seed}, round {round}: {:?}", String::from_utf8_lossy(&input));
        assert!(read.is_ok(), "the connection does not end: {}", told());
        assert!(!answer.windows(12).any(|window| window == b"HTTP/1.1 500"), "{}", told());
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "{}", told());
    }
    assert!(server.head(upload).await.status.as_u16() < 500, "seed {seed}: {}", at(upload));
}
