//! What the engine can be asked for.

use domain::ladder::Rung;
use domain::loudness::Hundredths;
use domain::probe::{AudioTrack, Jump, VideoTrack};
use domain::{Cadence, MediaTime, Recipe, Resolution, Span};
use serde::{Deserialize, Serialize};

use crate::source_file::Growing;

/// Encode a run of segments of the picture, all rungs from one decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkRequest {
    /// The track to encode, as the probe described it.
    pub track: VideoTrack,
    /// The source's instant that becomes output frame 0.
    pub origin: MediaTime,
    /// The encoder settings.
    pub recipe: Recipe,
    /// Output frame rate and GOPs.
    pub cadence: Cadence,
    /// Output frames of the whole video, not of the chunk.
    pub frame_count: u64,
    /// The rungs, smallest first.
    pub rungs: Vec<Rung>,
    /// The segments, in order of their first frame.
    pub work: Vec<SegmentWork>,
}

/// One segment of a [`ChunkRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentWork {
    /// The frames of the segment.
    pub span: Span,
    /// For each rung of the request whether it still lacks this segment.
    pub rungs: Vec<bool>,
}

/// Encode a few runs of the picture to learn what they cost, and throw the pictures away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureRequest {
    /// The runs as its work, apart from each other; the rungs of each run that are wanted.
    pub picture: ChunkRequest,
    /// Rate factors to try one after the other, each once, instead of the rungs' own; then it is also told how the
    /// pictures look.
    pub crfs: Vec<u8>,
}

/// Tell what the init segments of an output are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadersRequest {
    /// The encoder settings.
    pub recipe: Recipe,
    /// The picture, as it would be encoded; `work` does not matter. `None` without a picture.
    pub video: Option<ChunkRequest>,
    /// Channels of each audio rendition.
    pub audio_channels: Vec<u16>,
}

/// Take over the pictures of a track as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// Index of the stream in the source.
    pub stream_index: u32,
    /// The source's instant that becomes output frame 0.
    pub origin: MediaTime,
    /// Output frame rate and GOPs, which are those of the source.
    pub cadence: Cadence,
    /// Frames of the whole video, not of the missing segments.
    pub frame_count: u64,
    /// The missing segments, in order.
    pub work: Vec<Span>,
}

/// Encode segments of one part of an audio rendition.
///
/// The bytes of a segment depend on everything here but `work`: whichever segments of a part are
/// asked for, alone or together, each comes out the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioRequest {
    /// The track to encode, as the probe described it.
    pub track: AudioTrack,
    /// The source's instant that becomes sample 0.
    pub origin: MediaTime,
    /// The encoder settings.
    pub recipe: Recipe,
    /// Channels of the output: 1, 2, or 6 for 5.1.
    pub channels: u16,
    /// AAC frames of the whole rendition, not of the part.
    pub frame_count: u64,
    /// Decibels by which the sound is made louder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_db: Option<Hundredths>,
    /// The AAC frame that the part begins with. No segment of `work` begins before it.
    pub part_first: u64,
    /// The wanted segments, in AAC frames, in order.
    pub work: Vec<Span>,
}

/// Take over the sound of a track as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioCopyRequest {
    /// Index of the stream in the source.
    pub stream_index: u32,
    /// The source's instant that is zero on the output timeline.
    pub origin: MediaTime,
    /// Samples per second.
    pub sample_rate: u32,
    /// Channels: 1, 2, or 6 for 5.1.
    pub channels: u16,
    /// The AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) that all frames are coded under.
    pub config: Vec<u8>,
    /// Samples from zero to AAC frame 0.
    pub offset: u32,
    /// AAC frames of the whole rendition.
    pub frame_count: u64,
    /// The wanted segments, in AAC frames, in order.
    pub work: Vec<Span>,
}

/// Take still pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PicturesRequest {
    /// The track to look at, as the probe described it.
    pub track: VideoTrack,
    /// The source's instant that is zero on the output timeline.
    pub origin: MediaTime,
    /// The pictures to take, in the order in which they are returned.
    pub shots: Vec<Shot>,
    /// Take the last key frame at or before each shot's time instead of the picture of that time.
    pub only_key_frames: bool,
}

/// One still picture of a [`PicturesRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// When, on the output timeline.
    pub time: MediaTime,
    /// How large.
    pub resolution: Resolution,
}

/// Make one animated picture of several moments, the same number of frames for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewRequest {
    /// The track to look at, as the probe described it.
    pub track: VideoTrack,
    /// The source's instant that is zero on the output timeline.
    pub origin: MediaTime,
    /// How large the picture is.
    pub resolution: Resolution,
    /// Where each moment begins, on the output timeline, in order.
    pub scenes: Vec<MediaTime>,
    /// Frames of each moment.
    pub frames_per_scene: u32,
    /// How long each frame is shown, and how far apart the frames are.
    pub frame_ms: u32,
}

/// Measure the loudness of sound tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoudnessRequest {
    /// The tracks, as the probe described them, all in one pass.
    pub tracks: Vec<AudioTrack>,
}

/// Read text subtitles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtitlesRequest {
    /// The streams to read, all in one pass.
    pub stream_indices: Vec<u32>,
    /// The source's instant that is zero on the output timeline.
    pub origin: MediaTime,
    /// Where the clock of the source jumps, as [`domain::Probe::jumps`] has it.
    pub jumps: Vec<Jump>,
}

/// The first and only message from the client to the engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    /// Address space the child may use.
    pub(crate) memory_bytes: u64,
    /// CPU time the child may use.
    pub(crate) cpu_seconds: u64,
    /// Levels of nice by which the child steps back behind its client.
    pub(crate) niceness: u8,
    /// Most pixels of a picture that is decoded.
    pub(crate) pixels_max: u64,
    /// How much of the source is there, if that is not all.
    #[serde(default)]
    pub(crate) growing: Option<Growing>,
    /// The work itself.
    pub(crate) work: Work,
}

/// Every kind of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    Probe,
    /// Where the samples of these streams lie.
    Reach(Vec<u32>),
    Headers(HeadersRequest),
    Chunk(ChunkRequest),
    Measure(MeasureRequest),
    Copy(CopyRequest),
    Audio(AudioRequest),
    CopyAudio(AudioCopyRequest),
    Pictures(PicturesRequest),
    Preview(PreviewRequest),
    Subtitles(SubtitlesRequest),
    Loudness(LoudnessRequest),
    SelfTest,
}
