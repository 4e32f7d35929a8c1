//! The socket of a server as the binary has it: its listener, its connections, its guard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use headwater::clock::SystemClock;
use headwater::http::{Health, Limits, Listener, Parts, Surface};
use headwater::lifecycle::Lifecycle;
use headwater::metrics::Metrics;
use tokio::task::JoinSet;

/// Serves on a port of this machine until the task is dropped.
pub(crate) async fn serve(router: Router) -> (SocketAddr, JoinSet<()>) {
    let limits = Limits { connections_max: 64, header_timeout: Duration::from_secs(30), ..Limits::default() };
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), limits).await.expect("binds");
    let address = listener.address().expect("has an address");
    let lifecycle = Lifecycle::new();
    let surface = Surface::new(Parts {
        origin: None,
        edge: None,
        purge: None,
        ingest: Some(router),
        api: None,
        pages: None,
        health: Health::new(lifecycle.soft().clone(), Vec::new()),
        metrics: Arc::new(Metrics::new(Arc::default(), Arc::default(), Arc::default())),
        catalog: None,
        strangers: None,
        is_behind_tls: false,
        clock: Arc::new(SystemClock),
    });
    (address, JoinSet::from_iter([listener.run(surface, lifecycle)]))
}
