//! One listener, and who answers which path.
//!
//! ```text
//! /v/...                         origin       (straight to its service: no router in between)
//! /v/... and pages               edge         (where this process is a cache in front of another origin)
//! /edge/purge                    what an edge has is purged by its tags
//! /uploads, /uploads/...         ingest; also /api/v1/imports and /api/v1/upload-grants
//! /api/...                       catalog-api; for pages of other origins as `cors` lets them
//! /healthz, /readyz, /metrics    operations
//! everything else                the embedded web pages
//! ```
//!
//! `listener` tells HTTP/1 from HTTP/2; `http1` and `http2` serve one connection each and both can send
//! interim responses.

mod addresses;
pub(crate) mod cors;
mod date;
mod drain;
#[cfg(test)]
mod ground;
mod health;
mod http1;
mod http2;
mod interim;
mod listener;
mod outgoing;
mod pages;
mod problem;
mod purge;
mod request_id;
mod route;
mod strangers;
mod surface;
mod tls;

pub use health::{Health, Probe};
pub use listener::{Limits, Listener};
pub use outgoing::Outgoing;
pub use pages::Pages;
pub use purge::PurgeDoor;
pub(crate) use purge::{PATH as PURGE_PATH, TAGS_MAX as PURGED_TAGS_MAX};
pub use route::Route;
pub use strangers::{Strangers, Unwelcome};
pub use surface::{Parts, Surface};
pub use tls::{Tls, TlsError};
