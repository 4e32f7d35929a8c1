//! Serves playlists and segments with ranges and conditionals, from the store and memory alone.
//!
//! [`Origin`] is a tower service for everything below `/v/{playback id}/`. A request goes this way:
//!
//! ```text
//! path -> access     a token in it is split off; who may play stands in the pointer
//!      -> route      what is asked for, in words of the presentation; never a path into the store
//!      -> library    playback id -> pointer -> presentation, kept in memory, asked anew every second
//!      -> resource   a text to render with `packager`, or an object with its media type and standing
//!      -> objects    the tiers: memory, files, blocks of a bucket; waits for what is planned, and tells that it waits
//!      -> answer     preconditions, then the range: 200, 206, 304, 412 or 416
//! ```
//!
//! [`Edge`] is the same to clients without a store: a cache in front of another origin.
//! What was answered a moment ago is answered again from [`Origin::answer_at_once`] without any of that, or from
//! [`Origin::answer_in_lines`] where HTTP/1 is written.
//!
//! Entity-tags are hashes of the content, so every replica gives the same. The crate does not know
//! SQL, jobs or libav, nor what octets mean: with the database switched off it serves as before.
//! [`guard::check`] finds, for a whole server, requests that hyper should not have let through.
//!
//! ```no_run
//! # async fn example(store: media_store::MediaStore) {
//! use tower::ServiceExt;
//! let origin = origin::Origin::new(origin::OriginConfig::default(), store, origin::DemandHook::none());
//! let request = http::Request::get("/v/plb_00000000000000000000000007/master.m3u8").body(()).expect("a request");
//! let response = origin.oneshot(request).await.expect("never fails");
//! # }
//! ```

pub mod access;
mod answer;
mod arrivals;
mod body;
mod cmcd;
mod coding;
mod conditional;
mod demand;
mod disposition;
mod download;
mod edge;
mod files;
mod flights;
mod growing;
pub mod guard;
mod library;
mod lines;
mod locked;
mod memory;
pub mod metrics;
mod objects;
mod packed;
mod policy;
mod problem;
mod query;
mod range;
mod ready;
mod refusal;
mod remote;
mod resource;
mod route;
mod service;
mod steering;
mod weighed;

pub use body::Body;
pub use demand::{DemandHook, Wanted};
pub use edge::{Edge, EdgeConfig, EdgeError, check_upstream};
pub use lines::InLines;
pub use metrics::Metrics;
pub use policy::tag_as_token;
pub use service::{Origin, OriginConfig};
pub use steering::{Steering, SteeringError};
