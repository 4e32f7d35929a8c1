//! A part of an audio rendition: decoded and resampled from its start, encoded segment by segment.
//!
//! Every segment comes from a fresh encoder that is first fed the sound before the segment, so its
//! bytes depend on the sound alone and not on which other segments are made. Sound always begins at
//! the same place before the part, and where parts meet both hear the same.

mod feed;
mod pcm;
mod sound;
mod timeline;

use domain::loudness::Hundredths;
use domain::{AAC_FRAME_SAMPLES, Span, Timescale};

use super::outlet::Outlet;
use super::{Source, Stop};
use crate::AudioRequest;
use crate::av::{AacEncoder, AvError, Packet};
use crate::wire::{Kind, Writer};
use pcm::Pcm;
use sound::{Place, Sound};

/// AAC frames of sound that an encoder hears before its segment: with fewer, joins are audible.
const PRE_ROLL_FRAMES: u64 = 16;

/// AAC frames of sound that an encoder hears behind its segment: it looks one frame ahead.
const POST_ROLL_FRAMES: u64 = 2;

/// Encodes the wanted segments and sends them.
pub(crate) fn encode(source: &Source, request: &AudioRequest, outlet: &Outlet) -> Result<(), Stop> {
    if request.work.is_empty() {
        return Ok(());
    }
    let rate = Timescale::new(request.recipe.audio_sample_rate);
    let place = Place {
        origin: request.origin,
        rate: rate.ok_or_else(|| Stop::Broken("no sample rate".into()))?,
        channels: request.channels,
        first: request.part_first.saturating_sub(PRE_ROLL_FRAMES),
        end: request.frame_count.saturating_add(POST_ROLL_FRAMES),
    };
    let (mut sound, mut pcm) = Sound::open(source, &request.track, place, outlet)?;
    for span in &request.work {
        let from = span.first.saturating_sub(PRE_ROLL_FRAMES);
        pcm.forget_before(from);
        let until = span.end() + POST_ROLL_FRAMES;
        while pcm.end_frame() < until {
            // Ends with the sound, or with the segment's.
            if !sound.next(&mut pcm)? {
                break;
            }
            pcm.forget_before(from);
        }
        send_segment(request, *span, &pcm, outlet)?;
    }
    Ok(())
}

/// Encodes one segment from the sound around it; silence where there is none.
fn send_segment(request: &AudioRequest, span: Span, pcm: &Pcm, outlet: &Outlet) -> Result<(), Stop> {
    let recipe = &request.recipe;
    let bitrate = recipe.audio_bitrate_of(request.channels);
    let mut encoder = AacEncoder::open(recipe.audio_sample_rate, request.channels, bitrate).map_err(broken)?;
    let mut writer = Writer::new(Kind::Audio);
    writer.u32(span.index).bytes(encoder.config());
    let mut packet = Packet::empty()?;
    let mut next = span.first;
    let pre_roll = i64::try_from(PRE_ROLL_FRAMES).unwrap_or(0);
    let first = i64::try_from(span.first).unwrap_or(i64::MAX / 2048) - pre_roll;
    let count = i64::from(span.count) + pre_roll + i64::try_from(POST_ROLL_FRAMES).unwrap_or(0);
    let frame_samples = i64::from(AAC_FRAME_SAMPLES);
    let gain = request.gain_db.map(amplitude);
    for frame in first..first + count {
        let mut planes = pcm.frame(frame);
        if let Some(gain) = gain {
            planes.iter_mut().flatten().for_each(|sample| *sample *= gain);
        }
        let planes: Vec<&[f32]> = planes.iter().map(Vec::as_slice).collect();
        encoder.send(&planes, frame * frame_samples).map_err(broken)?;
        while encoder.receive(&mut packet).map_err(broken)?.is_some() {
            outlet.step()?;
            // The packet stamped t gives, with the one before it, the samples from t on.
            let at = packet.pts().map(|pts| pts.div_euclid(frame_samples));
            if at.and_then(|at| u64::try_from(at).ok()) == Some(next) && next < span.end() {
                writer.bytes(packet.data());
                next += 1;
            }
        }
    }
    if next != span.end() {
        return Err(Stop::Broken(format!("audio segment {} ends at frame {next}", span.index)));
    }
    Ok(outlet.send(writer)?)
}

/// The factor that samples are multiplied by.
fn amplitude(gain_db: Hundredths) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "samples have no more digits")]
    let factor = gain_db.to_amplitude() as f32;
    factor
}

fn broken(error: AvError) -> Stop {
    Stop::Broken(format!("the encoder failed: {error}"))
}
