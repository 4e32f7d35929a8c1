//! For a server that looks at requests before the router does, and answers some of them itself.

use axum::http::{HeaderMap, Method};

use crate::cors;
use crate::protocol::METHOD_OVERRIDE;
use crate::protocol::tus::{TUS_RESUMABLE, VERSION};

/// Below this, everything is an upload.
pub(crate) const COLLECTION: &str = "/uploads";

/// Whether the router answers this path, so that an answer in its place needs [`dress`].
pub fn leads_to_uploads(path: &str) -> bool {
    path.strip_prefix(COLLECTION).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The method that counts: the one in `X-HTTP-Method-Override`, whatever request carries it. `None` if that is no
/// name of a method.
pub fn method(headers: &HeaderMap, carrier: &Method) -> Option<Method> {
    match headers.get(METHOD_OVERRIDE) {
        None => Some(carrier.clone()),
        Some(value) => Method::from_bytes(&value.as_bytes().to_ascii_uppercase()).ok(),
    }
}

/// What every answer about uploads carries: without it, a client does not know the server again, and a page of
/// another origin is not even told the status.
pub fn dress(headers: &mut HeaderMap) {
    headers.insert(TUS_RESUMABLE, VERSION);
    cors::expose(headers);
}
