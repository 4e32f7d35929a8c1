//! Resumable uploads over HTTP: tus 1.0 with creation, creation-with-upload and termination.
//!
//! Two promises shape the crate. An offset that a client is told counts octets that are on disk, and
//! never falls. And an upload is only ever complete together with its asset: the offset reaches the
//! length in the same transaction that makes the asset `received` and enqueues its first job.
//!
//! | module | what it does |
//! |---|---|
//! | `router` | which request goes where; what every answer carries |
//! | `protocol` | headers: names, strict numbers, metadata |
//! | `create`, `append`, `head`, `terminate` | one file for each kind of request |
//! | `receive` | a body becomes durable octets, in a task that outlives its request |
//! | `session` | who may append: the newest request takes over from a stalled one |
//! | `interim` | what is said about a request before its final response |
//! | `complete` | a full upload becomes the source of its asset |
//! | `recover` | what a killed process left half done |
//!
//! The crate does not look into the octets and does not know what happens to an asset afterwards.
//!
//! Start with [`State`] and [`router()`].

mod append;
mod complete;
mod create;
mod error;
mod head;
pub mod interim;
mod protocol;
mod receive;
mod recover;
mod router;
mod session;
mod terminate;

pub use error::UploadError;
pub use interim::Interim;
pub use recover::recover;
pub use router::{Limits, State, router};
pub use session::Sessions;
