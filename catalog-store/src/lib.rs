//! The catalogue: assets, uploads, generations, segments, jobs and events, on SQLite or PostgreSQL.
//!
//! | module | what it keeps |
//! |---|---|
//! | [`uploads`], [`finals`] | resumable uploads and how many of their bytes are durable; those that are made of others |
//! | [`grants`], [`imports`] | capabilities to upload; how far imports from other addresses are |
//! | [`accounts`], [`sessions`], [`credentials`], [`second_factor`] | who has an account; what proves who somebody is |
//! | [`identities`] | who somebody is at providers of identities |
//! | [`secrets`] | what is secret in the rows, sealed under a key that is not there |
//! | [`avatars`] | pictures of people |
//! | [`lookup`] | accounts and rows of the audit log by what is looked for |
//! | [`idempotency`] | what is done once however often it is asked for |
//! | [`erasure`] | all that is kept of a person, and that it is erased |
//! | [`notifications`] | what people are told of what happened |
//! | [`shares`] | with whom assets are shared |
//! | [`collections`], [`channels`] | what assets are put together in; where they are published, and who follows it |
//! | [`audit`] | what was done about accounts and rights, sealed |
//! | [`availability`] | the bin, and from when and until when assets are shown |
//! | [`assets`] | one row per asset, from upload to deletion |
//! | [`listing`], [`search`] | assets by what people say of them, and by what is said in them |
//! | [`pages`] | which page of a list is asked for, and where those around it begin |
//! | [`jobs`] | the durable queue: leases, fences, attempts, priorities |
//! | [`settle`] | how each kind of job ends, in one transaction with what it causes |
//! | [`generations`] | plans, images and subtitles of one output |
//! | [`editions`] | which document of a generation is in force |
//! | [`reprocess`] | another output of an asset that plays |
//! | [`versions`] | the sources that an asset has had |
//! | [`documents`] | files that are added to assets for those who play them |
//! | [`texts`] | subtitle files that are added, and chapters that are set |
//! | [`progress`] | how far the renditions are, and how long the rest will take |
//! | [`segments`] | the ledger of committed segments |
//! | [`outbox`] | how far those who read the events for others are: caches in front, webhooks, notifications |
//! | [`parts`] | what has to be there for a change of a part of an asset to be made |
//! | [`purges`] | what caches in front have to know |
//! | [`webhooks`] | whom events are sent to, and what became of each |
//! | [`backup`] | copies of a SQLite database that is in use |
//! | [`events`] | everything that changed, numbered without gaps |
//!
//! Start with [`Catalog`], [`LeasedJob`] and [`Asset`]. This crate knows nothing of HTTP, media or
//! objects, and never asks for the time: `now` is a parameter of everything that writes.
//!
//! Rows are locked in one order everywhere: head of the audit log, account, asset, what is searched, generation, jobs,
//! events. So no two transactions wait for each other in a circle.

mod about;
pub mod accounts;
pub mod ahead;
pub mod assets;
pub mod audit;
pub mod availability;
pub mod avatars;
pub mod backup;
mod catalog;
pub mod channels;
pub mod collections;
pub mod credentials;
pub mod cursors;
pub mod demand;
pub mod documents;
pub mod editions;
mod engine;
pub mod erasure;
mod error;
pub mod events;
pub mod finals;
pub mod generations;
pub mod grants;
pub mod idempotency;
pub mod identities;
pub mod imports;
pub mod integrity;
pub mod jobs;
pub mod listing;
pub mod lookup;
pub mod notifications;
pub mod outbox;
pub mod pages;
pub mod parts;
pub mod progress;
pub mod purges;
pub mod renumber;
pub mod reprocess;
pub mod search;
pub mod second_factor;
pub mod secrets;
pub mod segments;
pub mod sessions;
pub mod settle;
pub mod shares;
mod sql;
pub mod texts;
pub mod uploads;
pub mod versions;
mod warm;
pub mod webhooks;

pub use about::Described;
pub use accounts::{NewUser, Profile, Terms, User, UserState};
pub use ahead::{AheadJob, AheadJobs};
pub use assets::{Asset, NewAsset};
pub use audit::{AuditEntry, AuditFault, AuditVerdict};
pub use catalog::Catalog;
pub use channels::Channel;
pub use collections::{Collection, CollectionText, Item, Member};
pub use credentials::{ApiKey, NewApiKey, Purpose, SigningKey};
pub use demand::{Demand, Wanted};
pub use documents::{Document, DocumentText};
pub use editions::Edition;
pub use error::CatalogError;
pub use events::{Audience, Event, TOPICS};
pub use generations::Output;
pub use grants::{Grant, UnpaidParts};
pub use idempotency::{Known, Mark, Named};
pub use identities::{Identity, NewIdentity};
pub use imports::ImportNote;
pub use integrity::Integrity;
pub use jobs::{Claim, Job, JobCount, JobFailure, JobFilter, LeasedJob, NextJob};
pub use listing::{Filter, Order};
pub use lookup::AuditFilter;
pub use notifications::{NewNotification, Notification, NotificationChannel, NotificationKind};
pub use outbox::{OutboxHold, OutboxReader};
pub use pages::{Listing, PageError, PageInfo, Side};
pub use parts::{Expected, Meant, Part};
pub use progress::{RenditionKind, RenditionProgress};
pub use renumber::Renumbered;
pub use reprocess::{Reprocess, ReprocessJobs, Standing};
pub use search::{Cue, Facet, Found, Hit, Moment, Passage, Search};
pub use secrets::{Sealed, SecretKeys, WeakKey};
pub use segments::SegmentRow;
pub use sessions::{Evidence, NewSession, Proof, RefreshToken, Refreshed, Session};
pub use shares::Share;
pub use texts::{NewText, Replaced, Text, TextFlags};
pub use uploads::{Advance, Closing, NewUpload, Upload, UploadKind, UploadState, UploadTerms};
pub use versions::{Target, Version, VersionState};
pub use webhooks::{
    Attempt, Delivery, DeliveryState, LeasedDelivery, NewDelivery, NewWebhook, Outcome, Outgoing, Webhook,
    WebhookChange,
};
