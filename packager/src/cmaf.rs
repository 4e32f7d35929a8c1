//! CMAF (ISO/IEC 23000-19) tracks from coded samples: initialization and media segments.
//!
//! Every time in a segment is computed from the grid, so a segment depends on its own samples and
//! its number alone: the decode time of frame `i` is `i` frame durations, the composition offset is
//! whatever is left to its presentation time (negative for frames shown before their turn, as the
//! brand `cmf2` allows), and there is no edit list. One fragment (moof and mdat) holds one GOP.

mod aac;
mod av1;
mod boxes;
pub(crate) mod coding;
mod fragment;
mod hevc;
mod init;
pub(crate) mod nal;
mod sps;

use domain::presentation::KeyframeRange;
use domain::{AAC_FRAME_SAMPLES, Bitrate, Codec, ParameterSets, Resolution, Span, Timescale};

pub(crate) use sps::{Bits, skip_scaling_lists, without_emulation_prevention};

/// Most octets one coded picture or audio frame may have.
pub const SAMPLE_BYTES_MAX: usize = 16 << 20;

/// Most octets one segment may have.
pub const SEGMENT_BYTES_MAX: usize = 128 << 20;

/// Most frames one segment may have.
pub const SEGMENT_FRAMES_MAX: u32 = 10_000;

/// What decides the initialization segment of a video rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoConfig {
    /// Size of the picture after cropping; must be the one the sequence parameter set states.
    pub resolution: Resolution,
    /// Ticks per second.
    pub timescale: Timescale,
    /// Ticks of one frame.
    pub frame_ticks: u32,
    /// What a decoder must know before the first picture.
    pub sets: ParameterSets,
}

/// What decides the initialization segment of an audio rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// Samples per second, at most 65 535; also the timescale.
    pub sample_rate: Timescale,
    /// Number of channels.
    pub channels: u16,
    /// The AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of an AAC-LC stream.
    pub config: Vec<u8>,
    /// Nominal bit rate.
    pub bitrate: Bitrate,
    /// Ticks from zero to the first AAC frame; less than one frame.
    pub offset_ticks: u32,
}

/// One coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoSample<'a> {
    /// Number of the frame inside its segment, in presentation order.
    pub display: u32,
    /// The picture is an IDR picture, or a key frame of AV1.
    pub is_idr: bool,
    /// NAL units, each behind its length in four octets, without parameter sets; or the OBUs of AV1, without
    /// temporal delimiters.
    pub data: &'a [u8],
}

/// A finished media segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The whole object: styp, then one moof and mdat per fragment.
    pub bytes: Vec<u8>,
    /// Duration on the rendition's timescale.
    pub ticks: u64,
    /// The first sample of every fragment, for I-frame playlists; empty for audio.
    pub keyframes: Vec<KeyframeRange>,
}

/// Why samples do not make a segment, or a configuration no initialization segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CmafError {
    /// The plan wants another number of frames.
    #[error("expected {expected} samples, got {found}")]
    SampleCount {
        /// Frames of the span.
        expected: u32,
        /// Samples given.
        found: usize,
    },
    /// The plan itself is out of bounds.
    #[error("a segment of {frames} frames is not between 1 and {SEGMENT_FRAMES_MAX}")]
    FrameCount {
        /// Frames of the span.
        frames: u32,
    },
    /// The planned GOPs are not the span.
    #[error("GOPs of {frames} frames do not make a segment of {expected}")]
    Gops {
        /// Frames of all GOPs.
        frames: u64,
        /// Frames of the span.
        expected: u32,
    },
    /// A GOP does not begin with an IDR picture, or begins with one that is not shown first.
    #[error("GOP {gop} does not begin with an IDR picture")]
    MissingIdr {
        /// Which GOP of the segment, from 0.
        gop: u32,
    },
    /// An IDR picture in the middle of a GOP.
    #[error("sample {sample} is an IDR picture inside a GOP")]
    StrayIdr {
        /// Index of the sample in decode order.
        sample: u32,
    },
    /// What a sample says of itself and what its NAL units are do not agree.
    #[error("sample {sample} is marked is_idr={is_idr} against its slice type")]
    IdrMark {
        /// Index of the sample in decode order.
        sample: u32,
        /// The mark.
        is_idr: bool,
    },
    /// The display numbers of a GOP are not each of its frames once.
    #[error("GOP {gop} does not show each of its frames once")]
    DisplayOrder {
        /// Which GOP of the segment, from 0.
        gop: u32,
    },
    /// The NAL units of a sample are damaged or of a kind that does not belong there.
    #[error("sample {sample} is not a coded picture")]
    Sample {
        /// Index of the sample in decode order.
        sample: u32,
        /// What is wrong.
        #[source]
        source: NalError,
    },
    /// A sample or a segment exceeds its bound.
    #[error("{what} of {bytes} bytes exceeds the limit of {max}")]
    TooLarge {
        /// Which thing.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// A sample without a byte.
    #[error("sample {sample} is empty")]
    Empty {
        /// Index of the sample in decode order.
        sample: u32,
    },
    /// A parameter set or AudioSpecificConfig is unusable.
    #[error("unusable {what}: {reason}")]
    Config {
        /// Which part of the configuration.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The picture is coded at another size than planned.
    #[error("the sequence parameter set states {stated}, the plan {planned}")]
    Size {
        /// Size in the bitstream.
        stated: Resolution,
        /// Size in the configuration.
        planned: Resolution,
    },
    /// A time does not fit its field.
    #[error("a time does not fit its field")]
    Overflow,
    /// A box cannot be written.
    #[error("cannot write a box")]
    Box(#[from] mp4_atom::Error),
}

pub use nal::NalError;

/// The initialization segment of a video rendition: ftyp and moov, a function of `config` alone.
///
/// # Errors
/// If the parameter sets cannot be read or do not state the planned size.
pub fn video_init(config: &VideoConfig) -> Result<Vec<u8>, CmafError> {
    init::video(config)
}

/// The initialization segment of an audio rendition, a function of `config` alone.
///
/// # Errors
/// If `config` is not AAC-LC of the stated rate and number of channels.
pub fn audio_init(config: &AudioConfig) -> Result<Vec<u8>, CmafError> {
    init::audio(config)
}

/// The media segment of one grid cell of video; `samples` are in decode order.
///
/// # Errors
/// If the samples are not exactly the frames of `span` in closed GOPs of these lengths, or damaged.
pub fn video_segment(
    config: &VideoConfig,
    span: Span,
    gops: &[u32],
    samples: &[VideoSample<'_>],
) -> Result<Segment, CmafError> {
    check_count(span, samples.len())?;
    check_gops(span, gops)?;
    check_pictures(config.sets.codec(), gops, samples)?;
    let mut writer = fragment::Writer::new(samples.iter().map(|sample| sample.data.len()))?;
    let mut keyframes = Vec::new();
    let mut done = 0u32;
    for &frames in gops {
        let run = samples.iter().skip(index(done)).take(index(frames));
        let run = (done..).zip(run).map(|(decode, sample)| fragment::Sample {
            data: sample.data,
            offset_frames: Some(i64::from(sample.display) - i64::from(decode)),
        });
        let first = span.first.checked_add(u64::from(done)).ok_or(CmafError::Overflow)?;
        let range = writer.fragment(&fragment::Header {
            // Frame numbers rise over the whole track.
            sequence: first.checked_add(1).ok_or(CmafError::Overflow)?,
            first_frame: first,
            offset_ticks: 0,
            frame_ticks: config.frame_ticks,
            samples: run.collect(),
        })?;
        keyframes.push(range);
        done += frames;
    }
    Ok(Segment { bytes: writer.finish(), ticks: ticks(span, config.frame_ticks), keyframes })
}

/// The media segment of one grid cell of audio: `frames` are the AAC frames of `span`, raw.
///
/// # Errors
/// If there are more or fewer frames than planned, or one is empty or too large.
pub fn audio_segment(config: &AudioConfig, span: Span, frames: &[&[u8]]) -> Result<Segment, CmafError> {
    check_count(span, frames.len())?;
    for (sample, data) in (0u32..).zip(frames) {
        check_size(sample, data)?;
    }
    let mut writer = fragment::Writer::new(frames.iter().map(|data| data.len()))?;
    writer.fragment(&fragment::Header {
        sequence: u64::from(span.index) + 1,
        first_frame: span.first,
        offset_ticks: config.offset_ticks,
        frame_ticks: AAC_FRAME_SAMPLES,
        samples: frames.iter().map(|data| fragment::Sample { data, offset_frames: None }).collect(),
    })?;
    Ok(Segment { bytes: writer.finish(), ticks: ticks(span, AAC_FRAME_SAMPLES), keyframes: Vec::new() })
}

/// The RFC 6381 codec string of a stream with these parameter sets, such as `avc1.64001f`.
///
/// # Errors
/// If they cannot be read.
pub fn codecs(sets: &ParameterSets) -> Result<String, CmafError> {
    coding::codecs(sets)
}

fn check_count(span: Span, found: usize) -> Result<(), CmafError> {
    if !(1..=SEGMENT_FRAMES_MAX).contains(&span.count) {
        return Err(CmafError::FrameCount { frames: span.count });
    }
    if index(span.count) != found {
        return Err(CmafError::SampleCount { expected: span.count, found });
    }
    Ok(())
}

/// The GOPs are the span, cut up.
fn check_gops(span: Span, gops: &[u32]) -> Result<(), CmafError> {
    let frames = gops.iter().map(|gop| u64::from(*gop)).sum::<u64>();
    if frames != u64::from(span.count) || gops.contains(&0) {
        return Err(CmafError::Gops { frames, expected: span.count });
    }
    Ok(())
}

fn check_size(sample: u32, data: &[u8]) -> Result<(), CmafError> {
    if data.is_empty() {
        return Err(CmafError::Empty { sample });
    }
    if data.len() > SAMPLE_BYTES_MAX {
        return Err(CmafError::TooLarge { what: "a sample", bytes: data.len(), max: SAMPLE_BYTES_MAX });
    }
    Ok(())
}

/// Every GOP is closed: it begins with an IDR picture shown first, and shows each of its frames once.
fn check_pictures(codec: Codec, gops: &[u32], samples: &[VideoSample<'_>]) -> Result<(), CmafError> {
    let mut rest = (0u32..).zip(samples);
    let mut start = 0u32;
    for (gop, &frames) in (0u32..).zip(gops) {
        let mut is_shown = vec![false; index(frames)];
        for (sample, picture) in rest.by_ref().take(index(frames)) {
            check_size(sample, picture.data)?;
            let is_idr = coding::is_sync(codec, picture.data).map_err(|source| CmafError::Sample { sample, source })?;
            if is_idr != picture.is_idr {
                return Err(CmafError::IdrMark { sample, is_idr: picture.is_idr });
            }
            match (sample == start, is_idr && picture.display == start) {
                (true, false) => return Err(CmafError::MissingIdr { gop }),
                (false, _) if is_idr => return Err(CmafError::StrayIdr { sample }),
                _ => {}
            }
            let place = picture.display.checked_sub(start).and_then(|at| is_shown.get_mut(index(at)));
            match place {
                Some(place) if !*place => *place = true,
                _ => return Err(CmafError::DisplayOrder { gop }),
            }
        }
        start += frames;
    }
    Ok(())
}

fn ticks(span: Span, frame_ticks: u32) -> u64 {
    u64::from(span.count) * u64::from(frame_ticks)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
