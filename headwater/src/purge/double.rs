//! A server that notes what it is asked, and answers as it is told; for tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// The value of a header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: &'static str,
    pub(crate) wait: Duration,
}

/// An answer with this status and body.
pub(crate) fn turn(status: u16, body: &'static str) -> Turn {
    Turn { status, headers: Vec::new(), body, wait: Duration::ZERO }
}

impl Turn {
    /// The same with a header more.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The same after a while.
    pub(crate) fn after(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}

type Script = Arc<dyn Fn(usize, &Seen) -> Turn + Send + Sync>;

/// The server.
pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _server: JoinSet<()>,
}

impl Double {
    /// Answers by `script`, which is told how many requests were before.
    pub(crate) async fn new(script: impl Fn(usize, &Seen) -> Turn + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (seen, script): (Arc<Mutex<Vec<Seen>>>, Script) = (Arc::default(), Arc::new(script));
        let noted = Arc::clone(&seen);
        let router = axum::Router::new().fallback(move |request: Request| {
            let (noted, script) = (Arc::clone(&noted), Arc::clone(&script));
            async move {
                let (head, body) = request.into_parts();
                let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
                let target = head.uri.to_string();
                let one = Seen { method: head.method, target, headers: head.headers, body };
                let before = {
                    let mut noted = noted.lock().unwrap();
                    noted.push(one.clone());
                    noted.len() - 1
                };
                let turn = script(before, &one);
                tokio::time::sleep(turn.wait).await;
                let mut response = Response::new(Body::from(turn.body));
                *response.status_mut() = StatusCode::from_u16(turn.status).unwrap();
                for (name, value) in turn.headers {
                    response.headers_mut().insert(name, value.parse().unwrap());
                }
                response
            }
        });
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(socket, router).await.unwrap() });
        Self { address, seen, _server: server }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}
