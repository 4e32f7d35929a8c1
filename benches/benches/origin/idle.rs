//! What a connection costs on which nothing is asked for.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::peers::Peer;
use crate::site::{Site, Size};

/// Connections that are open at a time.
const CONNECTIONS: usize = 1000;
/// Those that a server has had before it is looked at: what it sets up once is no cost of theirs.
const EARLIER: usize = 50;
/// Longer than a connection keeps what requests need.
const SILENCE: Duration = Duration::from_secs(5);
/// What we aim at, in KiB for each.
const AIM_KIB: f64 = 16.0;

/// Opens the connections, asks on each for the same small file, and looks at the server's memory a while later; then
/// once more after each has asked again.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn run(peer: &Peer) -> anyhow::Result<()> {
    drop(opened(peer, EARLIER)?);
    std::thread::sleep(SILENCE);
    let before_bytes = peer.own_bytes()?;
    let each_kib = || anyhow::Ok(peer.own_bytes()?.saturating_sub(before_bytes) as f64 / 1024.0 / CONNECTIONS as f64);
    let mut connections = opened(peer, CONNECTIONS)?;
    let busy = each_kib()?;
    std::thread::sleep(SILENCE);
    let first = each_kib()?;
    for stream in &mut connections {
        ask(stream)?;
    }
    std::thread::sleep(SILENCE);
    let second = each_kib()?;
    println!("\n{CONNECTIONS} connections that have been answered, KiB of the server's own memory for each");
    println!("{:<40}{busy:>8.1}", "at once");
    for (name, kib) in [("after 5 s", first), ("after another answer and 5 s", second)] {
        let verdict = if kib <= AIM_KIB { "" } else { "  above" };
        println!("{name:<40}{kib:>8.1}{AIM_KIB:>6.0}{verdict}");
    }
    Ok(())
}

fn opened(peer: &Peer, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let one = |_| {
        let mut stream = TcpStream::connect(&peer.plain)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        ask(&mut stream)?;
        Ok(stream)
    };
    (0..count).map(one).collect()
}

/// Asks for a small file and takes it.
fn ask(stream: &mut TcpStream) -> anyhow::Result<()> {
    let path = Site::path(Size::Small, 0);
    let request = format!("GET {path} HTTP/1.1\r\nHost: media.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut taken, mut buffer) = (Vec::new(), [0; 8192]);
    // Ends with the answer, or with the connection.
    loop {
        let head = taken.windows(4).position(|octets| octets == b"\r\n\r\n");
        if head.is_some_and(|head| taken.len() >= head + 4 + Size::Small.bytes()) {
            ensure!(taken.starts_with(b"HTTP/1.1 200"), "no answer: {}", String::from_utf8_lossy(&taken));
            return Ok(());
        }
        let octets = stream.read(&mut buffer).context("no answer in time")?;
        ensure!(octets > 0, "the connection was closed");
        taken.extend_from_slice(&buffer[..octets]);
    }
}
