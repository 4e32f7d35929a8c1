//! The listening socket and its connections, HTTP/1 and HTTP/2 alike.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::surface::Surface;
use crate::lifecycle::Lifecycle;

/// Largest request head, in octets: a tus upload's metadata is the longest thing in it.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header lines of one request.
const HEADERS_MAX: usize = 100;
/// The same bound for HTTP/2, where it counts decoded header fields.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Concurrent HTTP/2 streams of one connection.
const STREAMS_MAX: u32 = 128;
/// Pause after a failed accept, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// An HTTP/2 peer is asked for a sign of life this often.
const PING_INTERVAL: Duration = Duration::from_secs(30);

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

/// Runs hyper's per-stream tasks on the process's tracker, so that a stop waits for them.
#[derive(Clone, Debug)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
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
        let connection = connection(stream, surface.clone(), lifecycle.clone(), self.limits);
        let (hard, metrics) = (lifecycle.hard().clone(), Arc::clone(surface.metrics()));
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
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        surface.clone().answer(request)
    });
    let mut builder = auto::Builder::new(Tracked(lifecycle.tracker().clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL);
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // hyper's own timeout starts once the protocol is known; a client that never says is ended here.
    let mut silence = pin!(tokio::time::sleep(limits.header_timeout));
    let (mut is_watched, mut is_draining) = (true, false);
    // Ends with the connection: after a soft stop it closes once its requests are answered.
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = silence.as_mut(), if is_watched => {
                if !has_asked.load(Ordering::Relaxed) {
                    return;
                }
                is_watched = false;
            }
            () = lifecycle.soft().cancelled(), if !is_draining => {
                is_draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
