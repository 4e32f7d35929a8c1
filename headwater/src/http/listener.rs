//! The listening socket, and which protocol each connection speaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::surface::Surface;
use super::{http1, http2};
use crate::lifecycle::Lifecycle;

/// Largest request head, in octets: a tus upload's metadata is the longest thing in it.
/// HTTP/2 counts decoded header fields.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of one request.
pub(super) const HEADERS_MAX: usize = 100;
/// Pause after a failed accept, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks at a preface that arrives in pieces.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once.
    pub connections_max: usize,
    /// Time for the head of a request.
    pub header_timeout: Duration,
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: Limits,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Listener {
    /// Binds `address`; port 0 takes any free one.
    ///
    /// # Errors
    /// If the address is taken or not this machine's.
    pub async fn bind(address: SocketAddr, limits: Limits) -> std::io::Result<Self> {
        Ok(Self { socket: TcpListener::bind(address).await?, limits })
    }

    /// The address it listens on, with its real port.
    ///
    /// # Errors
    /// If the system does not know.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts connections until the soft stop.
    pub async fn run(self, surface: Surface, lifecycle: Lifecycle) {
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        // Ends at the soft stop, or when the semaphore is closed, which nobody does.
        loop {
            // A place first, then a connection: what cannot be served waits in the kernel's queue.
            let place = tokio::select! {
                () = lifecycle.soft().cancelled() => return,
                place = Arc::clone(&places).acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                () = lifecycle.soft().cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => self.serve(stream, place, &surface, &lifecycle),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit, surface: &Surface, lifecycle: &Lifecycle) {
        // Without it a playlist waits for the acknowledgement of its own head.
        let _ = stream.set_nodelay(true);
        let (hard, metrics) = (lifecycle.hard().clone(), Arc::clone(surface.metrics()));
        // Boxed, as are the two below: a future that is moved into another is laid out in it twice.
        let connection = Box::pin(connection(stream, surface.clone(), lifecycle.clone(), self.limits));
        lifecycle.tracker().spawn(async move {
            metrics.connections().inc();
            // A hard stop drops the connection; what was acknowledged on it is durable.
            hard.run_until_cancelled(connection).await;
            metrics.connections().dec();
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, surface: Surface, lifecycle: Lifecycle, limits: Limits) {
    let protocol = tokio::select! {
        // A client that has not asked for anything is owed nothing.
        () = lifecycle.soft().cancelled() => return,
        protocol = tokio::time::timeout(limits.header_timeout, protocol_of(&stream)) => protocol,
    };
    match protocol {
        Ok(Some(Protocol::Http1)) => Box::pin(http1::serve(stream, surface, &lifecycle, limits)).await,
        Ok(Some(Protocol::Http2)) => Box::pin(http2::serve(stream, surface, &lifecycle, limits)).await,
        Ok(None) => tracing::debug!("the client left without a word"),
        Err(_) => tracing::debug!("the client does not say what it speaks"),
    }
}

/// Looks at what the client says first and leaves it there; `None` when it says nothing and goes.
async fn protocol_of(stream: &TcpStream) -> Option<Protocol> {
    let mut opening = [0; http2::PREFACE.len()];
    // Ends with the preface or the first octet that is none of it; its caller waits only so long.
    loop {
        let has_said_all = stream.ready(Interest::READABLE).await.ok()?.is_read_closed();
        let seen = stream.peek(&mut opening).await.ok()?;
        if seen == 0 {
            return None;
        }
        if opening[..seen] != http2::PREFACE[..seen] {
            return Some(Protocol::Http1);
        }
        if seen == opening.len() {
            return Some(Protocol::Http2);
        }
        if has_said_all {
            // Part of a preface is no request of either: HTTP/1 knows what to do with it.
            return Some(Protocol::Http1);
        }
        // The socket stays readable as long as these octets lie there: it cannot be waited for.
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
