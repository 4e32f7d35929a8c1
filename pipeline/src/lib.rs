//! What happens to an asset, step by step, and the worker that claims, renews and settles jobs.
//!
//! | step | from | to |
//! |---|---|---|
//! | ahead | the first part of a source | a plan, and jobs that wait for their octets |
//! | probe | the source | probe, plan, first presentation, the jobs below |
//! | chunk, audio | plan and ledger | the segments that the ledger still lacks |
//! | images, subtitles | the source, or for images of short videos its renditions | poster, thumbnails, storyboard; WebVTT |
//! | publish | the ledger | the verified presentation, and the pointer to it |
//! | texts | added subtitle files and chapters | the presentation once more, with them |
//! | purge | a deleted asset | nothing |
//!
//! Every step may be killed anywhere and run again: what is committed is found, not made twice.
//! The crate knows nothing of HTTP and of who is watching, formats no key and no SQL, and never sees
//! a codec: samples come from the engine, segments are made by the packager.
//!
//! Read [`Worker`] first, then [`run_asset_until_final`], [`export::to_folder`] and [`audit::audit`].
//!
//! ```no_run
//! # async fn example(parts: pipeline::Parts) {
//! use pipeline::{Worker, WorkerConfig};
//! use tokio_util::sync::CancellationToken;
//!
//! let (soft, hard) = (CancellationToken::new(), CancellationToken::new());
//! Worker::new(WorkerConfig::default(), parts).run(soft, hard).await;
//! # }
//! ```

pub mod audit;
mod coding;
mod commit;
mod cues;
mod error;
pub mod export;
mod images;
pub mod metrics;
mod retry;
mod steps;
mod transcode;
mod worker;

pub use metrics::Metrics;
pub use transcode::{Progress, TranscodeError, run_asset_until_final};
pub use worker::{Ahead, Parts, Worker, WorkerConfig};
