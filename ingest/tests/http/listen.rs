//! The socket of a server. The suite of the binary has another one of this name, in front of which stands all that
//! stands before uploads there: the same tests run over both.

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves on a port of this machine until the task is dropped.
pub(crate) async fn serve(router: Router) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    let serve = async move { axum::serve(listener, router).await.expect("serves") };
    (address, JoinSet::from_iter([serve]))
}
