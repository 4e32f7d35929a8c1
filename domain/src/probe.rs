//! What is known of a source: tracks, times, languages, chapters, orientation, colour.

mod check;
mod fields;
mod jump;

use serde::{Deserialize, Serialize};

pub use check::{NITS_MAX, ProbeFault};
pub use fields::FieldOrder;
pub use jump::{JUMPS_MAX, Jump};

use crate::{Bitrate, ByteSize, FrameRate, Language, MediaTime, Resolution};

/// What the engine found in a source. Times are the container's own, before any shift to zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Short name of the container: `mp4`, `matroska`, `mpegts`, `avi`, `ogg`, `flac` ...
    pub container: String,
    /// Length of the source.
    pub size: ByteSize,
    /// Video tracks in stream order, without attached pictures.
    pub video: Vec<VideoTrack>,
    /// Audio tracks in stream order.
    pub audio: Vec<AudioTrack>,
    /// Subtitle tracks in stream order.
    pub subtitles: Vec<SubtitleTrack>,
    /// Chapters in order of their start.
    pub chapters: Vec<Chapter>,
    /// The container's title, if it carries one; at most [`TEXT_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// The libraries that read it and that will encode it, with their versions; empty where that was not noted.
    #[serde(default)]
    pub libraries: String,
    /// The picture that is attached to a file of sound alone, as a track of one frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cover: Option<VideoTrack>,
}

/// The longest text taken over from a source's metadata, in characters.
pub const TEXT_CHARS_MAX: usize = 500;

/// Most tracks of one source.
pub const TRACKS_MAX: usize = 64;

/// Most chapters of one source.
pub const CHAPTERS_MAX: usize = 10_000;

/// Longest side of a coded picture, in pixels.
pub const SIDE_MAX: u32 = 16_384;

/// Most pictures a second of a video track, over its whole length.
pub const FRAMES_PER_SECOND_MAX: u32 = 240;

/// Most channels of an audio track.
pub const CHANNELS_MAX: u32 = 16;

/// Sample rates of audio tracks, in Hz.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1000..=384_000;

/// Seconds between a container's zero and any time in it: recordings of live streams count from 1970.
pub const SECONDS_MAX: u64 = 1 << 33;

/// How many times as wide as high, or as high as wide, a sample may be.
const ASPECT_MAX: u32 = 20;

/// True for the shape of a sample, as (width, height), that is no lie.
pub fn is_sane_aspect((width, height): (u32, u32)) -> bool {
    width > 0 && height > 0 && width / height < ASPECT_MAX && height / width < ASPECT_MAX
}

/// When the packets of a track play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Presentation time of the first packet.
    pub start: MediaTime,
    /// Presentation time at which the last packet ends.
    pub end: MediaTime,
}

impl Extent {
    /// `end − start`, never negative.
    pub fn duration(self) -> MediaTime {
        self.end.minus(self.start).filter(|time| time.ticks > 0).unwrap_or(MediaTime::new(0, self.end.scale))
    }

    /// Most pictures that can play in it: [`FRAMES_PER_SECOND_MAX`] in every second that has begun, and
    /// in one more, since a single picture is no rate.
    pub fn frames_max(self) -> u64 {
        let duration = self.duration();
        let seconds = u64::try_from(duration.ticks).unwrap_or(0).div_ceil(u64::from(duration.scale.per_second()));
        seconds.saturating_add(1).saturating_mul(u64::from(FRAMES_PER_SECOND_MAX))
    }
}

/// A quarter-turn rotation, clockwise, that a player must apply before showing the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rotation {
    /// Shown as coded.
    #[default]
    #[serde(rename = "0")]
    None,
    /// A quarter turn clockwise.
    #[serde(rename = "90")]
    Quarter,
    /// Upside down.
    #[serde(rename = "180")]
    Half,
    /// A quarter turn counter-clockwise.
    #[serde(rename = "270")]
    ThreeQuarters,
}

/// How the coded picture is turned into the shown one: mirrored first, then rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orientation {
    /// Left and right are exchanged.
    pub is_mirrored: bool,
    /// The turn after the mirroring.
    pub rotation: Rotation,
}

/// Colour as the bitstream or container states it, in FFmpeg's names (`bt709`, `smpte2084`, `tv`); `None` when unstated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Color {
    /// Colour primaries.
    pub primaries: Option<String>,
    /// Transfer characteristics.
    pub transfer: Option<String>,
    /// Matrix coefficients.
    pub matrix: Option<String>,
    /// `tv` (limited) or `pc` (full).
    pub range: Option<String>,
    /// Luminance of the brightest pixel in cd/m², as the mastering metadata states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_nits: Option<u32>,
}

impl Color {
    /// True for PQ (SMPTE ST 2084) and HLG (ARIB STD-B67) pictures, which need tone mapping.
    pub fn is_hdr(&self) -> bool {
        matches!(self.transfer.as_deref(), Some("smpte2084" | "arib-std-b67"))
    }

    /// True for pictures of standard range whose primaries reach beyond those of BT.709.
    pub fn is_wide(&self) -> bool {
        let primaries = self.primaries.as_deref();
        let is_wide = match (primaries, self.matrix.as_deref()) {
            (Some(primaries), _) => matches!(primaries, "bt2020" | "smpte431" | "smpte432"),
            (None, matrix) => matches!(matrix, Some("bt2020nc" | "bt2020c")),
        };
        is_wide && !self.is_hdr()
    }
}

/// One video track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoTrack {
    /// Index of the stream in its container.
    pub stream_index: u32,
    /// FFmpeg's name of the codec: `h264`, `hevc`, `vp9` ...
    pub codec: String,
    /// FFmpeg's name of the pixel format: `yuv420p`, `yuv420p10le` ...
    pub pixel_format: String,
    /// Size of the coded picture.
    pub coded: Resolution,
    /// Width of a sample divided by its height, as (numerator, denominator), both above zero.
    pub sample_aspect: (u32, u32),
    /// Turn and mirroring to apply.
    pub orientation: Orientation,
    /// Stated colour.
    pub color: Color,
    /// Whether frames hold two fields, judged by the pictures, and which was taken first.
    #[serde(default, alias = "is_interlaced", deserialize_with = "fields::stated")]
    pub field_order: FieldOrder,
    /// When its packets play.
    pub extent: Extent,
    /// Number of packets that hold a picture to show.
    pub frame_count: u64,
    /// Measured rate: frames over time for a constant rate, one over the median gap for a variable one.
    pub measured_rate: FrameRate,
    /// More than 1 % of the gaps between frames differ from the others.
    pub is_variable_rate: bool,
    /// Language, if stated.
    pub language: Option<Language>,
    /// The container marks it as default.
    pub is_default: bool,
    /// Places where its time stamps start anew or lie, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
    /// The last time from which pictures can be decoded, where that is well before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decodable: Option<MediaTime>,
    /// What must be known to show its pictures as they are; `None` unless it is H.264 in closed GOPs
    /// under one pair of parameter sets, as far as can be told without decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avc: Option<Avc>,
}

/// An H.264 track that consists of closed GOPs, each of which begins with an IDR picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Avc {
    /// Its only sequence parameter set: a NAL unit of at least four octets, without start code.
    pub sps: Vec<u8>,
    /// Its only picture parameter set, in the same form.
    pub pps: Vec<u8>,
    /// Furthest that a frame lies from its place at the output rate, counted from the first frame.
    pub stray: MediaTime,
    /// Mean bit rate.
    pub average: Bitrate,
    /// Highest bit rate of any run of GOPs of 2 s, the shortest that make a segment.
    pub peak: Bitrate,
    /// Frames of each GOP, in order.
    pub gops: Vec<u32>,
}

impl Avc {
    /// `profile_idc`, the constraint flags with the first in the highest bit, and `level_idc`, which is ten
    /// times the level (ITU-T H.264 §7.4.2.1.1).
    pub fn profile(&self) -> (u8, u8, u8) {
        match self.sps.as_slice() {
            [_, profile, constraints, level, ..] => (*profile, *constraints, *level),
            _ => (0, 0, 0),
        }
    }
}

impl VideoTrack {
    /// Size at which the picture is meant to be seen: sample aspect applied to the width, then turned.
    pub fn display(&self) -> Resolution {
        let (num, den) = (u64::from(self.sample_aspect.0.max(1)), u64::from(self.sample_aspect.1.max(1)));
        let width = ((u64::from(self.coded.width) * num * 2 + den) / (den * 2)).clamp(1, u64::from(u32::MAX));
        let shown = Resolution { width: u32::try_from(width).unwrap_or(u32::MAX), height: self.coded.height };
        match self.orientation.rotation {
            Rotation::None | Rotation::Half => shown,
            Rotation::Quarter | Rotation::ThreeQuarters => shown.turned(),
        }
    }
}

/// One audio track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioTrack {
    /// Index of the stream in its container.
    pub stream_index: u32,
    /// FFmpeg's name of the codec: `aac`, `opus`, `mp3` ...
    pub codec: String,
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u16,
    /// When its packets play.
    pub extent: Extent,
    /// Language, if stated.
    pub language: Option<Language>,
    /// Title, if stated; at most [`TEXT_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// The container marks it as default.
    pub is_default: bool,
    /// Places where its time stamps start anew or lie, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
    /// What must be known to play its sound as it is; `None` unless it is AAC whose configuration the
    /// container keeps, in a row of frames, as far as can be told without decoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aac: Option<Aac>,
}

/// An AAC track that consists of frames of 1024 samples, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aac {
    /// Its AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
    pub config: Vec<u8>,
    /// When the first frame plays, in samples: from where all frames together are nearest to their time stamps.
    /// What an encoder put before the sound, and the container says is not played, does not count.
    pub start: MediaTime,
    /// Furthest that a time stamp lies from its frame's place behind the first.
    pub stray: MediaTime,
    /// Frames that are played.
    pub frame_count: u64,
    /// Mean bit rate.
    pub average: Bitrate,
    /// Highest bit rate of any second.
    pub peak: Bitrate,
}

/// One subtitle track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtitleTrack {
    /// Index of the stream in its container.
    pub stream_index: u32,
    /// FFmpeg's name of the codec: `subrip`, `mov_text`, `ass`, `hdmv_pgs_subtitle` ...
    pub codec: String,
    /// True for text that becomes WebVTT; false for bitmaps, which do not.
    pub is_text: bool,
    /// Language, if stated.
    pub language: Option<Language>,
    /// Title, if stated; at most [`TEXT_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// The container marks it as default.
    pub is_default: bool,
    /// The container marks it as forced.
    pub is_forced: bool,
    /// The container marks it as made for the deaf and hard of hearing.
    #[serde(default)]
    pub is_sdh: bool,
}

/// One chapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chapter {
    /// Where it begins.
    pub start: MediaTime,
    /// Where it ends.
    pub end: MediaTime,
    /// Its title, possibly empty; at most [`TEXT_CHARS_MAX`] characters.
    pub title: String,
}

impl Probe {
    /// The video track to show: the default one, else the largest, else the first. `None` without video.
    pub fn main_video(&self) -> Option<&VideoTrack> {
        // `max_by_key` keeps the last of equals; reversed, that is the first in stream order.
        self.video.iter().rev().max_by_key(|track| (track.is_default, track.coded.pixels()))
    }

    /// Where the clock of the file jumps, for tracks of which nothing of their own is known: as the main video has it,
    /// or the first audio track. Empty where it does not.
    ///
    /// Chapters need none: they stand in the head of a file and count from its first timeline.
    pub fn jumps(&self) -> &[Jump] {
        let of_sound = || self.audio.first().map_or(&[][..], |track| &track.jumps);
        self.main_video().map_or_else(of_sound, |track| &track.jumps)
    }

    /// The instant that becomes zero: the earliest start of the main video and all audio tracks.
    pub fn origin(&self) -> MediaTime {
        let video = self.main_video().map(|track| track.extent.start);
        let audio = self.audio.iter().map(|track| track.extent.start);
        video.into_iter().chain(audio).min().unwrap_or(MediaTime::zero())
    }

    /// Time from the [`origin`](Self::origin) to the last end of the main video and all audio tracks.
    pub fn duration(&self) -> MediaTime {
        let video = self.main_video().map(|track| track.extent.end);
        let audio = self.audio.iter().map(|track| track.extent.end);
        let end = video.into_iter().chain(audio).max().unwrap_or(MediaTime::zero());
        end.minus(self.origin()).unwrap_or(MediaTime::zero())
    }

    /// True if there is a picture or sound to play.
    pub fn has_media(&self) -> bool {
        !self.video.is_empty() || !self.audio.is_empty()
    }
}
