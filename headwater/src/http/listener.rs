//! The listening socket, and which protocol each connection speaks.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use origin::access::Peer;
use tokio::io::{AsyncRead, AsyncWrite, Interest};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::addresses::{Addresses, Counted};
use super::http1;
use super::http2;
use super::surface::Surface;
use super::tls::{self, Tls};
use crate::lifecycle::Lifecycle;

/// Largest request head, in octets: a tus upload's metadata is the longest thing in it.
/// HTTP/2 counts decoded header fields.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Pause after a failed accept, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait in the kernel to be accepted, as tokio has it.
const BACKLOG: u32 = 1024;
/// Once it stops, a connection is over on which nothing has come for so long, and a socket that others share is closed
/// when nobody has come,
const QUIET: Duration = Duration::from_millis(20);
/// or the latter after so long at the latest.
const QUIET_AWAITED: Duration = Duration::from_secs(1);
/// Pause between two looks at a preface that arrives in pieces.
const PREFACE_PAUSE: Duration = Duration::from_millis(10);

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at once.
    pub connections_max: usize,
    /// Of them, those of one address that is not this machine's own; 0 for no bound.
    pub connections_of_one_max: usize,
    /// Time for the head of a request.
    pub header_timeout: Duration,
    /// Time between two requests.
    pub idle_timeout: Duration,
    /// Time without a request after which a connection gives back the memory that requests need, where it does not at
    /// once.
    pub rest_after: Duration,
    /// Octets per second that a client has to take of its answers; 0 for no bound.
    pub drain_rate_min: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_of_one_max: 512,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            rest_after: Duration::from_secs(2),
            drain_rate_min: 4096,
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Tls>,
    limits: Limits,
    places: Arc<Semaphore>,
    addresses: Addresses,
    /// Other processes may listen on the same address.
    is_shared: bool,
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
        Ok(Self::on(TcpListener::bind(address).await?, limits, false))
    }

    /// The same where other processes may listen on the address as well (`SO_REUSEPORT`): the kernel shares
    /// connections out among them. When this one stops, whoever reached it is answered once more.
    ///
    /// # Errors
    /// As [`Listener::bind`]; also where another process listens alone, or another user's does.
    pub async fn bind_shared(address: SocketAddr, limits: Limits) -> std::io::Result<Self> {
        Ok(Self::on(shared(address)?, limits, true))
    }

    fn on(socket: TcpListener, limits: Limits, is_shared: bool) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let addresses = Addresses::new(limits.connections_of_one_max);
        Self { socket, tls: None, limits, places, addresses, is_shared }
    }

    /// Binds another address, for TLS; connections of both count together.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn bind_tls(&self, address: SocketAddr, tls: Tls) -> std::io::Result<Self> {
        let (places, addresses) = (Arc::clone(&self.places), self.addresses.clone());
        let socket = if self.is_shared { shared(address)? } else { TcpListener::bind(address).await? };
        let (limits, is_shared) = (self.limits, self.is_shared);
        Ok(Self { socket, tls: Some(tls), limits, places, addresses, is_shared })
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
        self.accept_all(&surface, &lifecycle).await;
        if self.is_shared {
            // What the kernel gave us goes to nobody else when the socket is closed.
            self.accept_last(&surface, &lifecycle).await;
        }
    }

    async fn accept_all(&self, surface: &Surface, lifecycle: &Lifecycle) {
        // Ends at the soft stop, or when the semaphore is closed, which nobody does.
        loop {
            // A place first, then a connection: what cannot be served waits in the kernel's queue.
            let place = tokio::select! {
                () = lifecycle.soft().cancelled() => return,
                place = Arc::clone(&self.places).acquire_owned() => place,
            };
            let Ok(place) = place else { return };
            let accepted = tokio::select! {
                () = lifecycle.soft().cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address.ip(), place, surface, lifecycle),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts who waits already, until nobody comes for a moment.
    async fn accept_last(&self, surface: &Surface, lifecycle: &Lifecycle) {
        let late = Instant::now() + QUIET_AWAITED;
        // Ends with a pause, with the time, or with the places.
        while Instant::now() < late
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
            && let Ok(Ok((stream, address))) = timeout(QUIET, self.socket.accept()).await
        {
            self.admit(stream, address.ip(), place, surface, lifecycle);
        }
    }

    fn admit(
        &self,
        stream: TcpStream,
        address: IpAddr,
        place: OwnedSemaphorePermit,
        surface: &Surface,
        lifecycle: &Lifecycle,
    ) {
        match self.addresses.count(address) {
            Some(counted) => self.serve(stream, address, (place, counted), surface, lifecycle),
            None => tracing::debug!(%address, "an address has as many connections as it may"),
        }
    }

    fn serve(
        &self,
        stream: TcpStream,
        address: IpAddr,
        place: (OwnedSemaphorePermit, Counted),
        surface: &Surface,
        lifecycle: &Lifecycle,
    ) {
        // Without it a playlist waits for the acknowledgement of its own head.
        let _ = stream.set_nodelay(true);
        let (hard, metrics) = (lifecycle.hard().clone(), Arc::clone(surface.metrics()));
        // Boxed, as are the two below: a future that is moved into another is laid out in it twice.
        let (surface, peer) = (surface.clone(), Peer(address.to_canonical()));
        let limits = self.limits;
        // A client that has not asked for anything is owed nothing, unless another process would have had it.
        let leaving = if self.is_shared { CancellationToken::new() } else { lifecycle.soft().clone() };
        let connection: BoxFuture<'static, ()> = match self.tls.clone() {
            Some(tls) => encrypted(stream, tls, peer, surface.over_tls(), (lifecycle.clone(), leaving), limits).boxed(),
            None => connection(stream, peer, surface, (lifecycle.clone(), leaving), limits).boxed(),
        };
        lifecycle.tracker().spawn(async move {
            metrics.connections().inc();
            // A hard stop drops the connection; what was acknowledged on it is durable.
            hard.run_until_cancelled(connection).await;
            metrics.connections().dec();
            drop(place);
        });
    }
}

/// A socket for an address that other processes may listen on.
fn shared(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What a connection ends with, and what it ends with before anything was asked.
pub(super) type Stops = (Lifecycle, CancellationToken);

async fn connection(stream: TcpStream, peer: Peer, surface: Surface, stops: Stops, limits: Limits) {
    match opening(&stream, &stops.1, limits.header_timeout).await {
        Ok(Some(protocol)) => speak(protocol, stream, peer, surface, &stops, limits).await,
        Ok(None) => tracing::debug!("the client left without a word, or the server"),
        Err(_) => tracing::debug!("the client does not say what it speaks"),
    }
}

/// What the client speaks; `None` when it goes without a word, or the server does.
async fn opening(
    stream: &TcpStream,
    leaving: &CancellationToken,
    patience: Duration,
) -> Result<Option<Protocol>, Elapsed> {
    let mut said = pin!(timeout(patience, protocol_of(stream)));
    tokio::select! {
        said = said.as_mut() => said,
        // What lies in the socket may not have been heard of yet.
        () = leaving.cancelled() => Ok(timeout(QUIET, said.as_mut()).await.ok().and_then(Result::ok).flatten()),
    }
}

/// With TLS, the handshake settles which protocol is spoken.
async fn encrypted(stream: TcpStream, tls: Tls, peer: Peer, surface: Surface, stops: Stops, limits: Limits) {
    let shaken = tokio::select! {
        () = stops.1.cancelled() => return,
        shaken = timeout(limits.header_timeout, tls.acceptor().accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
            let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
            speak(protocol, stream, peer, surface, &stops, limits).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "no TLS handshake"),
        Err(_) => tracing::debug!("no TLS handshake in time"),
    }
}

async fn speak<S>(protocol: Protocol, stream: S, peer: Peer, surface: Surface, stops: &Stops, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match protocol {
        Protocol::Http1 => Box::pin(http1::serve(stream, peer, surface, stops, limits)).await,
        Protocol::Http2 => Box::pin(http2::serve(stream, peer, surface, &stops.0, limits)).await,
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
