//! The JSON API over the catalogue: assets, deletion, and the stream of events.
//!
//! | module | what it answers |
//! |---|---|
//! | [`router`](router()) | which path does what: the whole surface on one page |
//! | `assets` | one asset, pages of assets, deletion |
//! | `events` | what changes, as server-sent events with replay |
//! | `view` | how an asset looks in JSON |
//! | `problem` | every error, as a problem document (RFC 9457) |
//!
//! It knows nothing of uploads, media or players: those URLs are only named here, not served.
//! Its surface is described by `openapi.json`, which a test compares with the router.

mod assets;
mod events;
mod problem;
mod router;
mod view;

pub use router::{ROUTES, State, router};
