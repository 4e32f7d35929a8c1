//! Whether a source's own pictures can be shown as they are, and what is planned then.
//!
//! Nothing is judged but what players need: a stream that every device decodes, one frame in each
//! place of the output's grid, keyframes near enough to each other to make segments, and no more
//! bits than an encoded rendition of this size might have. What the probe could not see, the copy
//! itself checks again, frame by frame.

mod sound;

pub use sound::{Sound, SoundObstacle, plan_sound};

use crate::ladder::{self, Rung};
use crate::plan::frames_until;
use crate::probe::{Avc, Orientation, VideoTrack};
use crate::{Bitrate, Cadence, MediaTime, Timescale};

/// The highest level, times ten: what phones and television sets decode.
const LEVEL_MAX: u8 = 42;

/// Profiles whose streams every device decodes: Main and High (ITU-T H.264 Annex A).
const PROFILES: [u8; 2] = [77, 100];

/// Baseline, which devices decode only where it keeps to the tools of Main.
const BASELINE: u8 = 66;

/// `constraint_set1_flag`: the stream keeps to Main.
const KEEPS_TO_MAIN: u8 = 0x40;

/// GOPs of this share of the usual 2 s, on average, cost the other renditions too many keyframes.
const GOP_SHARE_MIN: u64 = 4;

/// A run of GOPs may have this many times the cap of an encoded rendition.
const PEAK_FACTOR: u64 = 2;

/// Sound may begin so long before the picture that is to be shown as it is, in milliseconds: encoders of
/// AAC put up to 2112 samples there that nobody recorded. It is cut.
const LEAD_MS_MAX: i64 = 50;

/// Boxes around the pictures take less than this share of their octets.
const OVERHEAD_SHARE: u64 = 50;

/// Why a source's pictures are encoded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// Another codec, open GOPs, several parameter sets, or something that only decoding would show.
    #[error("it is not H.264 in closed GOPs under one pair of parameter sets")]
    Coding,
    /// Not 8 bits of limited range, 4:2:0, progressive.
    #[error("its pictures are not plain 8-bit 4:2:0")]
    Format,
    /// HDR needs tone mapping, and other primaries than BT.709's are converted as well.
    #[error("it is HDR or of a wide gamut")]
    Colour,
    /// A player would have to turn or stretch it.
    #[error("it is turned, mirrored or stretched")]
    Orientation,
    /// No rendition has its size.
    #[error("it is larger than the largest rendition")]
    Size,
    /// Not every device decodes it.
    #[error("not every device decodes its profile or level")]
    Profile,
    /// Frames are missing, doubled or off the even rhythm of the output.
    #[error("its frames are not at even distances from the start")]
    Rhythm,
    /// Keyframes are too far apart for segments, or too close.
    #[error("its keyframes are too far apart or too close")]
    Keyframes,
    /// More bits than an encoded rendition might have.
    #[error("its bit rate is too high for its size")]
    Bitrate,
}

/// What is planned where the source's own pictures are the largest rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passthrough {
    /// The source's instant that becomes zero: where its first track begins, or a little later the picture.
    pub origin: MediaTime,
    /// Segments on the source's keyframes.
    pub cadence: Cadence,
    /// Frames of the source, and so of every rendition.
    pub frame_count: u64,
    /// The renditions, smallest first; the last one is the source's.
    pub rungs: Vec<Rung>,
    /// RFC 6381 codec string of the last one.
    pub codecs: String,
}

/// Plans to show the pictures of `track` as they are, in a source whose first track begins at `origin`.
///
/// # Errors
/// What forbids it.
pub fn plan(track: &VideoTrack, origin: MediaTime) -> Result<Passthrough, Obstacle> {
    let avc = track.avc.as_ref().filter(|_| track.codec == "h264").ok_or(Obstacle::Coding)?;
    let rate = ladder::output_rate(track.measured_rate);
    let mut rungs = ladder::rungs(track.display(), rate);
    check_look(track)?;
    check_profile(avc)?;
    let origin = origin_of(track, avc, origin)?;
    let cadence = cadence(track, avc)?;
    let top = rungs.last_mut().filter(|rung| rung.resolution == track.coded).ok_or(Obstacle::Size)?;
    let cap = top.bitrate_max;
    if avc.average > cap || avc.peak.0 > cap.0.saturating_mul(PEAK_FACTOR) {
        return Err(Obstacle::Bitrate);
    }
    let peak = Bitrate(avc.peak.0.saturating_add(avc.peak.0 / OVERHEAD_SHARE).max(1));
    let (profile, constraints, level) = avc.profile();
    top.level = level;
    for rung in &mut rungs {
        // A smaller picture that costs more than the source gains nothing.
        rung.bitrate_max = if rung.resolution == track.coded { peak } else { rung.bitrate_max.min(peak) };
    }
    let codecs = format!("avc1.{profile:02x}{constraints:02x}{level:02x}");
    Ok(Passthrough { origin, cadence, frame_count: track.frame_count, rungs, codecs })
}

fn check_look(track: &VideoTrack) -> Result<(), Obstacle> {
    if track.color.is_hdr() || track.color.is_wide() {
        return Err(Obstacle::Colour);
    }
    // A copy has the time stamps of the container, and all of its packets.
    if !track.jumps.is_empty() || track.last_decodable.is_some() {
        return Err(Obstacle::Rhythm);
    }
    if track.pixel_format != "yuv420p" || track.is_interlaced() || track.color.range.as_deref() == Some("pc") {
        return Err(Obstacle::Format);
    }
    if track.orientation != Orientation::default() || track.sample_aspect.0 != track.sample_aspect.1 {
        return Err(Obstacle::Orientation);
    }
    Ok(())
}

fn check_profile(avc: &Avc) -> Result<(), Obstacle> {
    let (profile, constraints, level) = avc.profile();
    let is_plain = PROFILES.contains(&profile) || profile == BASELINE && constraints & KEEPS_TO_MAIN != 0;
    if is_plain && level <= LEVEL_MAX { Ok(()) } else { Err(Obstacle::Profile) }
}

/// From where every frame of the source is nearer to its own place on the output's grid than to any other:
/// `earliest`, or the start of the picture if little is lost by that.
fn origin_of(track: &VideoTrack, avc: &Avc, earliest: MediaTime) -> Result<MediaTime, Obstacle> {
    let rate = ladder::output_rate(track.measured_rate);
    let start = track.extent.start;
    let micros = |time: MediaTime| time.rescale_ceil(Timescale::MICROSECONDS).map(|time| time.ticks);
    let is_even = |origin: MediaTime| {
        let off = || micros(start.minus(origin)?)?.checked_add(micros(avc.stray)?)?.checked_mul(2);
        off().zip(micros(rate.instant(1))).is_some_and(|(off, frame)| off < frame)
    };
    // The last frame counts as long as the others, whatever its packet claims.
    let is_whole = |origin: MediaTime| {
        let end = track.extent.end.minus(origin).map(|end| frames_until(end, rate));
        end.is_some_and(|end| end.abs_diff(track.frame_count) <= 1)
    };
    let lead = start.minus(earliest).filter(|lead| lead.as_ms() <= LEAD_MS_MAX);
    let mut origins = [Some(earliest), lead.map(|_| start)].into_iter().flatten();
    origins.find(|origin| is_even(*origin) && is_whole(*origin)).ok_or(Obstacle::Rhythm)
}

fn cadence(track: &VideoTrack, avc: &Avc) -> Result<Cadence, Obstacle> {
    let rate = ladder::output_rate(track.measured_rate);
    let frames: u64 = avc.gops.iter().map(|gop| u64::from(*gop)).sum();
    if frames != track.frame_count {
        return Err(Obstacle::Rhythm);
    }
    let cadence = Cadence::on_keyframes(rate, &avc.gops).ok_or(Obstacle::Keyframes)?;
    let rest = u64::try_from(avc.gops.len().saturating_sub(1)).unwrap_or(u64::MAX);
    let is_sparse = rest.saturating_mul(u64::from(cadence.gop_frames)) <= frames.saturating_mul(GOP_SHARE_MIN);
    if is_sparse { Ok(cadence) } else { Err(Obstacle::Keyframes) }
}

#[cfg(test)]
mod tests;
