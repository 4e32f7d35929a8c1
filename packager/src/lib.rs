//! Coded samples to CMAF segments; a presentation to HLS playlists, WebVTT and chapters.
//!
//! Everything here is a pure function: no IO, no clock, no threads, and the same input always gives
//! the same bytes. The crate knows nothing of libav, of where objects are stored and of how they are
//! served; it does not decode a picture either, it only reads the headers that packaging needs.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`cmaf`] | H.264 and AAC samples of one grid cell | initialization and media segments |
//! | [`verify`] | the bytes of a finished segment | proof that it holds what the plan says |
//! | [`validate`] | playlists and segments of anyone | breaches of named rules |
//! | [`hls`] | a [`domain::Presentation`] | multivariant, media and I-frame playlists |
//! | [`rates`] | sizes and durations of segments | peak and average bit rate |
//! | [`ts`] | stored segments | transport streams for old players |
//! | [`encryption`] | stored segments and a key | encrypted segments |
//! | [`dash`] | a presentation | a DASH manifest |
//! | [`progressive`] | the fragments of stored segments | one MP4 file to download, without copying it |
//! | [`texts`] | subtitle files in any form and character set | cues, and what was left out |
//! | [`webvtt`] | cues, chapters | WebVTT, segmented or whole |
//! | [`chapters`] | chapters | the JSON that Apple's players read |
//! | [`storyboard`] | tiles on sheets | WebVTT and JSON for the seek bar |
//!
//! Read [`cmaf::VideoConfig`], [`cmaf::Segment`] and [`hls::multivariant`] first.
//!
//! ```
//! use domain::MediaTime;
//! use packager::webvtt::{self, Cue};
//!
//! let text = webvtt::from_ass(r"{\an8}Hi\Nthere");
//! let cue = Cue { start: MediaTime::zero(), end: MediaTime::zero(), text, settings: String::new() };
//! assert_eq!(cue.text, "Hi\nthere");
//! ```

mod bmff;
pub mod chapters;
pub mod cmaf;
pub mod dash;
pub mod encryption;
#[cfg(test)]
mod film;
pub mod hls;
pub mod progressive;
pub mod rates;
pub mod storyboard;
pub mod texts;
pub mod ts;
pub mod validate;
pub mod verify;
pub mod webvtt;
