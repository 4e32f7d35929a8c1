//! The client against a double that fails on purpose, and against the real server behind a bad line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::progress::Transfer;
use super::resume::{Memory, Progress};
use super::send::{Manner, Send};
use super::source::Source;
use super::wire::Wire;
use super::*;

mod double;
pub(crate) mod ground;
mod real;
mod trouble;

/// A file that looks like a film to whoever reads its first octets.
fn film(dir: &std::path::Path, bytes: usize) -> Source {
    let head = b"\0\0\0\x18ftypisom\0\0\x02\0isommp41\0\0\0\0mdat";
    let mut body: Vec<u8> = (0..bytes).map(|at| u8::try_from(at * 31 % 251).expect("fits")).collect();
    let known = head.len().min(bytes);
    body[..known].copy_from_slice(&head[..known]);
    let path = dir.join("film.mp4");
    std::fs::write(&path, body).expect("writes");
    Source::open(&path).expect("opens")
}

fn manner(parallel: usize, patience_s: u64) -> Manner {
    Manner { parallel, is_checked: true, patience: Duration::from_secs(patience_s) }
}

/// Serves on a port of its own.
pub(crate) async fn serve(tasks: &mut JoinSet<()>, router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tasks.spawn(async move { axum::serve(listener, router).await.expect("serves") });
    Url::parse(&format!("http://{address}")).expect("is a url")
}

/// A way to `server` on which the first `cuts` connections break after `bytes` octets each; counts
/// the octets that went through.
async fn bad_line(tasks: &mut JoinSet<()>, server: &Url, cuts: usize, bytes: u64) -> (Url, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let line = Url::parse(&format!("http://{}", listener.local_addr().expect("has an address"))).expect("is a url");
    let target = server.socket_addrs(|| None).expect("has an address")[0];
    let (passed, cuts_left) = (Arc::new(AtomicU64::new(0)), AtomicUsize::new(cuts));
    let count = passed.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((near, _)) = listener.accept().await {
            let is_cut = cuts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            let limit = if is_cut { bytes } else { u64::MAX };
            connections.spawn(carry(near, target, limit, count.clone()));
        }
    });
    (line, passed)
}

async fn carry(near: TcpStream, target: std::net::SocketAddr, limit: u64, count: Arc<AtomicU64>) {
    let far = TcpStream::connect(target).await.expect("connects");
    let (near_in, mut near_out) = near.into_split();
    let (mut far_in, mut far_out) = far.into_split();
    let onward = async {
        let (mut near_in, mut buffer) = (near_in.take(limit), vec![0u8; 65_536]);
        while let Ok(read @ 1..) = near_in.read(&mut buffer).await {
            count.fetch_add(read as u64, Ordering::SeqCst);
            if far_out.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    // Whichever way ends first takes the other with it.
    tokio::select! {
        () = onward => {}
        _ = tokio::io::copy(&mut far_in, &mut near_out) => {}
    }
}
