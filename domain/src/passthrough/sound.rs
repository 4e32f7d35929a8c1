//! Whether a source's own sound can be played as it is, and where its frames are on the output timeline.
//!
//! The sound is taken over frame by frame. Its frames keep their own distance from zero, which is less than
//! one frame and need not be a frame's start on any grid; no sample moves against the picture.

use crate::aac::LowComplexity;
use crate::plan::{CopiedSound, SURROUND_CHANNELS};
use crate::probe::{Aac, AudioTrack};
use crate::{AAC_FRAME_SAMPLES, Bitrate, MediaTime, Recipe, Timescale};

/// Rates that every device plays.
const RATES: [u32; 2] = [44_100, 48_000];

/// Time stamps may stray this far from an even row of frames, in milliseconds: containers round them.
const STRAY_MS_MAX: i64 = 2;

/// The sound may have this many times the bits of an encoded rendition, as a fraction: 320 kbit/s for 128.
const COST_FACTOR: (u64, u64) = (5, 2);

/// A second may have this many times what the sound may have on average.
const PEAK_FACTOR: u64 = 2;

/// Bits that the boxes around the frames take in a second.
const BOXES_BITS: u64 = 4000;

/// Why a track's sound is encoded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SoundObstacle {
    /// Another codec, HE-AAC, no configuration, or packets that are not plain frames of one stream.
    #[error("it is not AAC-LC under one configuration")]
    Coding,
    /// Another rate, other channels, or not those that the configuration states.
    #[error("it is not 44.1 or 48 kHz of two or six channels")]
    Layout,
    /// Gaps, overlaps, jumps, drift, or fewer frames than it claims to last.
    #[error("its frames are not at even distances")]
    Rhythm,
    /// There is nothing to play between zero and its first frame.
    #[error("it begins later than what plays with it")]
    Start,
    /// More bits than an encoded rendition might have.
    #[error("its bit rate is too high")]
    Bitrate,
}

/// The source's own frames as a rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// How many of them are played.
    pub frame_count: u64,
    /// Channels.
    pub channels: u16,
    /// Where they are.
    pub copied: CopiedSound,
}

/// Plans to play the sound of `track` as it is, on a timeline whose zero is the source's instant `origin`.
///
/// # Errors
/// What forbids it.
pub fn plan_sound(track: &AudioTrack, origin: MediaTime, recipe: &Recipe) -> Result<Sound, SoundObstacle> {
    let aac = track.aac.as_ref().filter(|_| track.codec == "aac").ok_or(SoundObstacle::Coding)?;
    let stated = LowComplexity::of(&aac.config).ok_or(SoundObstacle::Coding)?;
    let is_as_stated = (stated.sample_rate, stated.channels) == (track.sample_rate, track.channels);
    let is_usual = matches!(stated.channels, 2 | SURROUND_CHANNELS) && RATES.contains(&stated.sample_rate);
    let scale = Timescale::new(stated.sample_rate).filter(|_| is_as_stated && is_usual).ok_or(SoundObstacle::Layout)?;
    if !track.jumps.is_empty() || aac.stray >= MediaTime::new(STRAY_MS_MAX, Timescale::MILLISECONDS) {
        return Err(SoundObstacle::Rhythm);
    }
    let (offset, frame_count) = place(track, aac, origin, scale)?;
    let cap = recipe.audio_bitrate_of(stated.channels).0.saturating_mul(COST_FACTOR.0) / COST_FACTOR.1;
    if aac.average.0 > cap || aac.peak.0 > cap.saturating_mul(PEAK_FACTOR) {
        return Err(SoundObstacle::Bitrate);
    }
    let bitrate_max = Bitrate(aac.peak.0.saturating_add(BOXES_BITS));
    let copied = CopiedSound { sample_rate: stated.sample_rate, offset, bitrate_max };
    Ok(Sound { frame_count, channels: stated.channels, copied })
}

/// Samples from zero to the first frame that begins there or later, and how many frames there are from it on.
fn place(track: &AudioTrack, aac: &Aac, origin: MediaTime, scale: Timescale) -> Result<(u32, u64), SoundObstacle> {
    let samples = |time: MediaTime| {
        let time = time.minus(origin)?.rescale_round(scale)?;
        Some(time.ticks)
    };
    let frame = i64::from(AAC_FRAME_SAMPLES);
    // Rounded time stamps put the sound that begins at zero a little before it.
    let slack = i64::from(scale.per_second()) / 1000;
    let begins = samples(aac.start).ok_or(SoundObstacle::Rhythm)?;
    if begins >= frame {
        return Err(SoundObstacle::Start);
    }
    let before = begins.saturating_neg().saturating_sub(slack).max(0);
    let skipped = before / frame + i64::from(before % frame > 0);
    let offset = begins.saturating_add(skipped.saturating_mul(frame)).max(0);
    let skipped = u64::try_from(skipped).map_err(|_| SoundObstacle::Rhythm)?;
    let frame_count = aac.frame_count.checked_sub(skipped).filter(|count| *count > 0).ok_or(SoundObstacle::Rhythm)?;
    // The last frame may be cut short by the container, and no more than that.
    let length = i64::try_from(frame_count).ok().and_then(|count| count.checked_mul(frame));
    let ends = length.and_then(|length| length.checked_add(offset)).ok_or(SoundObstacle::Rhythm)?;
    let claimed = samples(track.extent.end).ok_or(SoundObstacle::Rhythm)?;
    let spare = ends.saturating_sub(claimed);
    if !(-2 * slack..frame + 2 * slack).contains(&spare) {
        return Err(SoundObstacle::Rhythm);
    }
    Ok((u32::try_from(offset).map_err(|_| SoundObstacle::Rhythm)?, frame_count))
}

#[cfg(test)]
mod tests;
