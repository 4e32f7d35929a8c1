//! One listener, and who answers which path.
//!
//! ```text
//! /v/...                         origin       (straight to its service: no router in between)
//! /uploads, /uploads/...         ingest
//! /api/...                       catalog-api
//! /healthz, /readyz, /metrics    operations
//! everything else                the embedded web pages
//! ```

mod health;
mod listener;
mod pages;
mod problem;
mod request_id;
mod route;
mod surface;

pub use health::{Health, Probe};
pub use listener::{Limits, Listener};
pub use route::Route;
pub use surface::{Parts, Surface};
