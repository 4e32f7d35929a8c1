//! What the side-by-side benches share: running a program and saying what it cost.
//!
//! The benches themselves are the targets beside this library: `packager` (criterion), `transcode`
//! (against ffmpeg) and `first_segment` (a whole server). Run them by `cargo bench -p benches --bench NAME`.
//! Linux only: processor time and memory are read from `/proc`.

pub mod measure;
pub mod options;
pub mod server;
pub mod words;
