//! Resumable uploads over HTTP: tus 1.0 with all its extensions, and the IETF draft "Resumable Uploads
//! for HTTP", of one and the same resource.
//!
//! Two promises shape the crate. An offset that a client is told counts octets that are on disk, and
//! never falls. And an upload is only ever complete together with its asset: the offset reaches the
//! length in the same transaction that makes the asset `received` and enqueues its first job.
//!
//! | module | what it does |
//! |---|---|
//! | `router` | which request goes where; what every answer carries |
//! | `protocol` | which protocol a request speaks, and the headers of both |
//! | `create`, `append`, `head`, `terminate`, `fetch` | one file for each kind of request |
//! | `answer`, `error` | what a client is told |
//! | `door` | what a server must know that answers some requests before the router sees them |
//! | `cors` | what pages of other origins may send and read |
//! | `receive` | a body becomes durable octets, in a task that outlives its request |
//! | `session` | who may append: the newest request takes over from a stalled one |
//! | `digest` | the digests that a client may give of its octets |
//! | `interim` | what is said about a request before its final response |
//! | `complete` | a full upload becomes the source of its asset |
//! | `recover` | what a killed process left half done |
//! | `gate`, `grant` | who may do what: principals, and capabilities for people without a name |
//! | `admission`, `turnstile`, `denial` | what is let in, and how much; one after the other; the answer to the rest |
//! | `watch`, `sniff`, `front`, `early` | what is seen of a file while it comes in, and when that is enough to refuse it |
//! | `version`, `document` | uploads that bring another source of an asset, or a document of one |
//! | `import`, `address` | files pulled from other addresses into the same uploads |
//! | `status`, `live`, `metrics` | what its owner, a watcher and an operator see of an upload |
//! | `api` | the routes below `/api/v1` |
//!
//! The crate decodes nothing: it knows containers by their first octets and hands heads of files to a
//! [`Prober`]. It does not know what happens to an asset afterwards.
//!
//! Start with [`State`] and [`router()`].

pub mod address;
mod admission;
mod answer;
mod api;
mod append;
mod committer;
mod complete;
mod concat;
mod cors;
mod create;
mod denial;
pub mod digest;
mod document;
pub mod door;
mod early;
mod error;
mod expire;
mod fetch;
mod front;
#[doc(hidden)]
pub mod fuzzing;
pub mod gate;
mod grant;
mod grants;
mod growth;
mod head;
mod import;
mod intake;
pub mod interim;
mod lasting;
mod live;
pub mod metrics;
mod protocol;
mod receive;
mod recover;
mod router;
mod session;
mod sniff;
mod status;
mod terminate;
mod transfer;
mod turnstile;
mod version;
mod watch;

pub use admission::{Admission, Policy};
pub use api::{ROUTES as API_ROUTES, api};
pub use committer::SyncPolicy;
pub use denial::Denial;
pub use document::DocumentRules;
pub use early::{Finding, Looked, Prober};
pub use error::UploadError;
pub use expire::{janitor, round as look_after};
pub use gate::Gate;
pub use import::{ImportRules, Imports, resume_imports};
pub use interim::Interim;
pub use live::Live;
pub use metrics::Metrics;
pub use recover::recover;
pub use router::{Limits, State, router};
pub use session::Sessions;
pub use sniff::TypePattern;
