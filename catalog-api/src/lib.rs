//! The JSON API over the catalogue: assets with their subtitles and chapters, deletion, and the stream of events.
//!
//! | module | what it answers |
//! |---|---|
//! | [`router`](router()) | which path does what: the whole surface on one page |
//! | `assets` | one asset, pages of assets, deletion |
//! | `subtitles` | subtitle files: added, shown, removed |
//! | `chapters` | chapters: set, replaced, given back to the file |
//! | `markers` | markers: set, replaced, removed |
//! | `body` | bodies of requests, of bounded size, number and time |
//! | `events` | what changes, as server-sent events with replay |
//! | `view` | how an asset looks in JSON |
//! | `problem` | every error, as a problem document (RFC 9457) |
//!
//! It knows nothing of uploads, media or players: those URLs are only named here, not served, and subtitle files
//! are stored unread.
//! Its surface is described by `openapi.json`, which a test compares with the router.

mod assets;
mod body;
mod chapters;
mod events;
mod markers;
mod problem;
mod reprocess;
mod router;
mod subtitles;
mod view;

pub use router::{ROUTES, State, router};
