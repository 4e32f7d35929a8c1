//! The only crate that calls libav: probe, decode once, filter, encode or copy, inside a caged child process.
//!
//! Two halves share one vocabulary ([`request`] and [`output`]). The client half, [`Engine`] and
//! [`Session`], runs in the server: it starts a child, asks it for one piece of work and checks every
//! byte that comes back. The engine half, [`engine_main`], runs in that child: it loads libav, which no other
//! process does, locks itself into a cage (no path, no socket, no new process), decodes and encodes, and sends
//! segments back.
//!
//! [`start_pages`] has nothing to do with that: it stands here since no other crate calls C.
//!
//! The crate does not know assets, jobs, storage, or how segments are packaged or named.
//! Read [`Engine`], [`ChunkRequest`] and [`VideoSegment`] first.
//!
//! ```no_run
//! # async fn example() -> Result<(), transcoder::EngineError> {
//! use transcoder::{Engine, EngineConfig, EngineLimits};
//!
//! // The program is one whose `engine` argument calls `transcoder::engine_main`.
//! let program = "/usr/bin/headwater".into();
//! let engine = Engine::new(EngineConfig { program, args: vec!["engine".into()], limits: EngineLimits::default() });
//! let source = std::fs::File::open("holiday.mp4").expect("a readable file");
//! let probe = engine.probe(source).await?;
//! println!("{} video tracks", probe.video.len());
//! # Ok(())
//! # }
//! ```

mod av;
mod cage;
mod client;
mod engine;
mod error;
#[doc(hidden)]
pub mod fuzzing;
pub mod output;
pub mod release;
pub mod request;
mod source_file;
pub mod start_pages;
mod wire;

pub use client::{Engine, EngineConfig, EngineLimits, Session};
pub use engine::{engine_main, rendition_track};
pub use error::EngineError;
pub use output::{
    AudioSegment, CageLimit, CageReport, CageTrial, Cue, Headers, Picture, Preview, SampleCost, VideoSample,
    VideoSegment,
};
pub use request::{
    AudioCopyRequest, AudioRequest, ChunkRequest, CopyRequest, HeadersRequest, LoudnessRequest, MeasureRequest,
    PicturesRequest, PreviewRequest, SegmentWork, Shot, SubtitlesRequest,
};
pub use source_file::Growing;
