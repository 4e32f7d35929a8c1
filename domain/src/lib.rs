//! The words of Headwater as types: pure data and pure functions, no IO, no async, no clock.
//!
//! | word | type |
//! |---|---|
//! | asset: one video or audio item, from upload to deletion | [`AssetId`], [`AssetState`] |
//! | source: the uploaded file as received, immutable once complete | described by a [`Probe`] |
//! | grid: all segment boundaries, as integer frame numbers | [`Cadence`], [`Span`] |
//! | ladder, rendition: the set of output qualities; one of them | [`ladder`], [`RenditionId`] |
//! | segment: unit of delivery and of commit | [`Span`], [`presentation::SegmentEntry`] |
//! | chunk: unit of work, a run of segments over all video renditions | [`plan::Chunk`] |
//! | part: unit of work of the sound, a run of segments of one audio rendition | [`plan::AudioPart`] |
//! | fragment: one moof+mdat inside a segment, one per GOP | [`Cadence::gops`] |
//! | recipe: everything that decides the output bytes | [`Recipe`] |
//! | version: one of the sources that an asset has had | [`SourceVersion`] |
//! | generation: one complete output of an asset under one recipe | [`Generation`] |
//! | presentation: the published document of one generation | [`Presentation`] |
//! | text: a subtitle file that somebody adds to an asset | [`TextId`], [`text::Report`] |
//! | about: what people say of an asset; query: what somebody searches for | [`About`], [`search::Query`] |
//! | collection: what assets are put together in; channel: under which name they are published | [`collection::Kind`], [`ChannelId`] |
//! | principal: who asks, and what they may do | [`Principal`], [`authorize`] |
//! | job, lease: durable background work; the time-limited right to run it | [`JobSpec`], [`JobState`] |
//!
//! Read [`Probe`], [`Plan`] and [`Presentation`] first: everything else serves the way between them.
//!
//! ```
//! use domain::{Cadence, FrameRate};
//!
//! // 10 s at 25 fps: three quick segments of 2 s, then one that takes the remaining 4 s.
//! let cadence = Cadence::for_video(FrameRate::new(25, 1).expect("25 fps is a rate"));
//! let frames: Vec<u32> = cadence.video_spans(250).iter().map(|span| span.count).collect();
//! assert_eq!(frames, [50, 50, 50, 100]);
//! ```

pub mod aac;
pub mod about;
pub mod access;
pub mod ahead;
mod asset;
pub mod authority;
pub mod chapters;
mod clock;
mod codec;
pub mod collection;
pub mod complexity;
pub mod container;
pub mod cost;
pub mod document;
mod grid;
mod id;
pub mod job;
pub mod ladder;
mod language;
mod left_out;
pub mod loudness;
pub mod markers;
pub mod members;
pub mod misfit;
pub mod pace;
pub mod passthrough;
pub mod per_title;
pub mod plan;
pub mod poster;
pub mod presentation;
pub mod probe;
mod recipe;
pub mod search;
mod sender;
mod size;
pub mod stage;
mod tally;
pub mod text;
pub mod throttle;
mod time;
mod topics;

pub use about::About;
pub use access::{Access, Admission, Availability, Encryption, EncryptionMethod};
pub use asset::{AssetEvent, AssetKind, AssetState, Failure, FailureCode, IllegalTransition};
pub use authority::{Principal, Role, authorize};
pub use clock::{Clock, ManualClock, Timestamp};
pub use codec::{Codec, ParameterSets};
pub use container::Container;
pub use grid::{AAC_FRAME_SAMPLES, Cadence, Span, TARGET_DURATION_S};
pub use id::{
    AssetId, ChannelId, CollectionId, DocumentId, Generation, IdError, IdentityId, ItemId, JobId, KeyId, MessageId,
    NotificationId, PictureId, PlaybackId, RenditionId, SessionId, SourceId, SourceVersion, TextId, UploadId, UserId,
    WebhookId,
};
pub use job::{JobKind, JobLane, JobSpec, JobState};
pub use language::Language;
pub use left_out::LeftOut;
pub use plan::Plan;
pub use poster::PosterChoice;
pub use presentation::Presentation;
pub use probe::{Probe, ProbeFault};
pub use recipe::{ExtraCodec, Recipe, RecipeId};
pub use sender::{neighbourhood, sender};
pub use size::{Bitrate, ByteSize, Resolution};
pub use stage::Stage;
pub use tally::Tally;
pub use time::{FrameRate, MediaTime, Timescale, hms};
pub use topics::{PATTERN_BYTES_MAX, PATTERNS_MAX, Topics, TopicsError};
