//! The catalogue: assets, uploads, generations, segments, jobs and events, on SQLite or PostgreSQL.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`uploads`] | resumable uploads and how many of their bytes are durable |
//! | [`grants`], [`imports`] | capabilities to upload; how far imports from other addresses are |
//! | [`assets`] | one row per asset, from upload to deletion |
//! | [`jobs`] | the durable queue: leases, fences, attempts, priorities |
//! | [`settle`] | how each kind of job ends, in one transaction with what it causes |
//! | [`generations`] | plans, images and subtitles of one output |
//! | [`editions`] | which document of a generation is in force |
//! | [`reprocess`] | another output of an asset that plays |
//! | [`texts`] | subtitle files that are added, and chapters that are set |
//! | [`progress`] | how far the renditions are, and how long the rest will take |
//! | [`segments`] | the ledger of committed segments |
//! | [`purges`] | how far the caches in front were told of what changed |
//! | [`events`] | everything that changed, numbered without gaps |
//!
//! Start with [`Catalog`], [`LeasedJob`] and [`Asset`]. This crate knows nothing of HTTP, media or
//! objects, and never asks for the time: `now` is a parameter of everything that writes.
//!
//! Rows are locked in one order everywhere: asset, generation, jobs, events. So no two transactions
//! wait for each other in a circle.

pub mod ahead;
pub mod assets;
mod catalog;
pub mod demand;
pub mod editions;
mod engine;
mod error;
pub mod events;
pub mod generations;
pub mod grants;
pub mod imports;
pub mod integrity;
pub mod jobs;
pub mod progress;
pub mod purges;
pub mod reprocess;
pub mod segments;
pub mod settle;
mod sql;
pub mod texts;
pub mod uploads;

pub use ahead::{AheadJob, AheadJobs};
pub use assets::{Asset, NewAsset};
pub use catalog::Catalog;
pub use demand::{Demand, Wanted};
pub use editions::Edition;
pub use error::CatalogError;
pub use events::Event;
pub use generations::Output;
pub use grants::{Grant, UnpaidParts};
pub use imports::ImportNote;
pub use integrity::Integrity;
pub use jobs::{Claim, Job, JobCount, LeasedJob, NextJob};
pub use progress::{RenditionKind, RenditionProgress};
pub use purges::{PurgeHold, PurgeTarget};
pub use reprocess::{Reprocess, ReprocessJobs, Standing};
pub use segments::SegmentRow;
pub use texts::{NewText, Text};
pub use uploads::{Advance, Closing, NewUpload, Target, Upload, UploadKind, UploadState, UploadTerms};
