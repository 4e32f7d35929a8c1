//! What the engine gives back.

use domain::{Codec, MediaTime, ParameterSets, Resolution, Span};
use serde::{Deserialize, Serialize};

/// One segment of one rung, encoded or taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSegment {
    /// Index of the rung in the request; 0 in answer to a [`CopyRequest`](crate::CopyRequest).
    pub rung: usize,
    /// The frames it covers.
    pub span: Span,
    /// What a decoder must know before the first picture.
    pub sets: ParameterSets,
    /// One sample per frame, in decode order.
    pub samples: Vec<VideoSample>,
}

/// One coded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoSample {
    /// Number of the frame inside its segment, in presentation order.
    pub display: u32,
    /// A decoder can start here.
    pub is_idr: bool,
    /// NAL units, each after its length in four bytes, neither parameter sets nor SEI; or the OBUs of AV1,
    /// without temporal delimiters.
    pub data: Vec<u8>,
}

/// What one run of pictures takes at one rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleCost {
    /// Index of the rung in the request.
    pub rung: usize,
    /// Number of the run, as its span has it.
    pub index: u32,
    /// The rate factor that was tried; `None` for the rung's own.
    pub crf: Option<u8>,
    /// Octets of the coded pictures.
    pub bytes: u64,
    /// Mean structural similarity of their luma to what was encoded, in millionths; told where rate factors are tried.
    pub ssim_millionths: Option<u32>,
}

/// What the init segments of an output are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// For each rung of the request.
    pub video: Vec<ParameterSets>,
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of each audio rendition of the request.
    pub audio: Vec<Vec<u8>>,
}

/// One encoded segment of an audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioSegment {
    /// The AAC frames it covers.
    pub span: Span,
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1), the same for every segment of a track.
    pub config: Vec<u8>,
    /// Raw AAC frames of 1024 samples each, without ADTS headers.
    pub frames: Vec<Vec<u8>>,
}

/// One still picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Index of the shot in the request.
    pub shot: usize,
    /// Size of the picture.
    pub resolution: Resolution,
    /// Red, green and blue, a byte each, row by row without padding.
    pub rgb: Vec<u8>,
}

/// An animated picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// How many frames it shows; equal ones are made one.
    pub frame_count: u32,
    /// The whole file: a WebP that repeats for ever.
    pub webp: Vec<u8>,
}

/// One subtitle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// The stream it comes from.
    pub stream_index: u32,
    /// When it appears, on the output timeline.
    pub start: MediaTime,
    /// When it disappears; never before `start`.
    pub end: MediaTime,
    /// The text field of an ASS dialogue line, with override codes in braces and `\N` for line breaks.
    pub ass: String,
}

/// What the engine could and could not do inside its cage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageReport {
    /// Namespaces that the child has to itself: of `network`, `ipc` and `user` those that the kernel gave.
    pub namespaces: Vec<String>,
    /// The limits on its resources.
    pub limits: Vec<CageLimit>,
    /// The kernel's version of Landlock; 0 without it.
    pub landlock_abi: i32,
    /// Its level of nice.
    pub niceness: i32,
    /// How far Landlock is enforced: `fully`, `partially` or `not`.
    pub landlock: String,
    /// Everything that was tried.
    pub trials: Vec<CageTrial>,
    /// Version of the engine's libav and of its x264, such as `5.1.9-0+deb12u1 with x264 - core 164 r3095`.
    pub libav: String,
    /// Encoders and decoders that Headwater counts on and this libav lacks.
    pub codecs_missing: Vec<String>,
    /// Codecs of pictures that this libav can encode, with the encoder of each.
    #[serde(default)]
    pub encoders: Vec<(Codec, String)>,
}

/// One limit on the resources of a caged child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageLimit {
    /// What is limited, such as `address space`.
    pub name: String,
    /// To how much: octets, seconds or a number.
    pub max: u64,
}

/// One thing that was tried inside the cage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CageTrial {
    /// What was tried, such as `open a file`.
    pub name: String,
    /// The cage forbade it.
    pub is_denied: bool,
    /// What the system answered.
    pub answer: String,
}

impl CageReport {
    /// True if everything that was tried was denied.
    pub fn is_tight(&self) -> bool {
        !self.trials.is_empty() && self.trials.iter().all(|trial| trial.is_denied)
    }
}
