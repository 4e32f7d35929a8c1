//! MPEG-2 transport streams (ISO/IEC 13818-1) from stored CMAF segments, for players that know nothing else.
//!
//! A segment of the stream is a function of the CMAF segment and its number alone. Every rendition stays a stream of
//! its own, as in CMAF: one program with one elementary stream. Tables come once in each segment, so their
//! continuity counter is the segment's number; the packets of media are spread so that there is a multiple of
//! sixteen of them, and every segment begins with the counter at zero where the one before ended with fifteen.
//!
//! Zero of the presentation is ten seconds on the clock of the stream ([`ZERO_TICKS`]), so that nothing that is decoded
//! before it is shown has a negative time.

mod packet;

use crate::bmff::{self, Fragment, Init, Sample, avc_parameter_sets};
use packet::{Pes, Writer};

/// When the presentation begins, at 90 kHz; what `X-TIMESTAMP-MAP` of subtitles has to name.
pub const ZERO_TICKS: u64 = 900_000;

/// Ticks per second of the stream.
const CLOCK: i128 = 90_000;

/// How many frames earlier a picture is decoded than it would be shown if none came before its turn.
const REORDER_FRAMES: i128 = 3;

/// AAC frames in one PES packet: less than 100 ms, which is as far apart as clock references may be (§2.7.2).
const AUDIO_FRAMES_PER_PES: usize = 4;

/// What an ADTS header takes (ISO/IEC 14496-3 §1.A.3.2).
const ADTS_BYTES: usize = 7;

/// Longest frame that an ADTS header can tell.
const ADTS_FRAME_BYTES_MAX: usize = (1 << 13) - 1;

/// Why a segment has no form as a transport stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TsError {
    /// The initialization segment or the segment cannot be read.
    #[error("the CMAF segment is damaged: {0}")]
    Damaged(String),
    /// Only H.264 and AAC go into a transport stream here (APL 1.5, 2.2).
    #[error("{0} does not go into a transport stream")]
    Codec(String),
    /// A frame or a time does not fit its field.
    #[error("a frame or a time does not fit its field")]
    Overflow,
}

/// True if a rendition with this RFC 6381 codec string can be had as a transport stream.
pub fn is_possible(codecs: &str) -> bool {
    codecs.starts_with("avc1.") || codecs == "mp4a.40.2"
}

/// The segment with this number as a transport stream.
///
/// # Errors
/// If the octets are no CMAF of H.264 or AAC-LC.
pub fn segment(init: &[u8], index: u32, cmaf: &[u8]) -> Result<Vec<u8>, TsError> {
    let damaged = |broken: bmff::Broken| TsError::Damaged(broken.to_string());
    let init = Init::read(init).map_err(damaged)?;
    let fragments = bmff::fragments(cmaf, &init).map_err(damaged)?;
    let counter = u8::try_from(index % 16).unwrap_or(0);
    match &init.entry {
        b"avc1" => {
            let units = pictures(&init, &fragments, cmaf)?;
            Ok(Writer::new(packet::H264, counter).write(&units))
        }
        b"mp4a" => {
            let units = sound(&init, &fragments, cmaf)?;
            Ok(Writer::new(packet::AAC, counter).write(&units))
        }
        other => Err(TsError::Codec(String::from_utf8_lossy(other).into_owned())),
    }
}

/// A stored segment of WebVTT for the clock of the stream.
pub fn subtitles(text: &str) -> String {
    text.replacen("X-TIMESTAMP-MAP=MPEGTS:0,", &format!("X-TIMESTAMP-MAP=MPEGTS:{ZERO_TICKS},"), 1)
}

/// Bits a second of a rendition as a transport stream, estimated from those in CMAF and the PES packets a second.
///
/// Of 188 octets four are the packet's own. A PES packet has a header, and on the average half a packet of stuffing.
pub(crate) fn bandwidth(cmaf: u64, pes_per_second: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let overhead = (pes_per_second.clamp(0.0, 1000.0) * 130.0 * 8.0) as u64;
    cmaf.saturating_mul(188) / 184 + overhead
}

/// PES packets a second of AAC with so many samples a second.
pub(crate) fn audio_pes_rate(sample_rate: u32) -> f64 {
    f64::from(sample_rate) / f64::from(domain::AAC_FRAME_SAMPLES) / 4.0
}

/// A time of the track on the clock of the stream.
fn clock(ticks: i128, timescale: u32) -> Result<u64, TsError> {
    let scaled = (ticks * CLOCK).div_euclid(i128::from(timescale.max(1)));
    // 33 bits, which wrap after 26 hours.
    u64::try_from(scaled + i128::from(ZERO_TICKS)).map(|time| time & ((1 << 33) - 1)).map_err(|_| TsError::Overflow)
}

/// Samples with their decode times, which have to be there.
fn timed(fragments: &[Fragment]) -> Result<Vec<(i128, Sample)>, TsError> {
    let mut out = Vec::new();
    for fragment in fragments {
        let mut at = i128::from(fragment.decode_time.ok_or(TsError::Damaged("it has no decode time".into()))?);
        for sample in &fragment.samples {
            out.push((at, *sample));
            at += i128::from(sample.duration);
        }
    }
    Ok(out)
}

/// One access unit in Annex B form for each picture (ITU-T H.264 Annex B, ISO/IEC 13818-1 §2.14).
fn pictures(init: &Init, fragments: &[Fragment], file: &[u8]) -> Result<Vec<Pes>, TsError> {
    const START: [u8; 4] = [0, 0, 0, 1];
    /// An access unit delimiter that permits every slice type.
    const DELIMITER: [u8; 6] = [0, 0, 0, 1, 9, 0xf0];
    let sets = avc_parameter_sets(init).ok_or(TsError::Damaged("it has no parameter sets".into()))?;
    let length_bytes = init.nal_length_bytes();
    let mut out = Vec::new();
    let mut last = i128::MIN / 2;
    for (decode, sample) in timed(fragments)? {
        let data = sample.data(file);
        let mut unit = Vec::with_capacity(data.len() + 64);
        unit.extend_from_slice(&DELIMITER);
        if sample.is_sync {
            for set in &sets {
                unit.extend_from_slice(&START);
                unit.extend_from_slice(set);
            }
        }
        let mut taken = 0;
        for nal in bmff::units(data, length_bytes) {
            taken += length_bytes + nal.len();
            // Its own delimiter stands in front already.
            if nal.first().is_some_and(|head| head & 0x1f != 9) {
                unit.extend_from_slice(&START);
                unit.extend_from_slice(nal);
            }
        }
        if taken != data.len() {
            return Err(TsError::Damaged("a NAL unit does not fit its sample".into()));
        }
        let shown = decode + i128::from(sample.shift);
        let earlier = decode - REORDER_FRAMES * i128::from(sample.duration);
        // Deeper reordering than ours, as sources that are played as they are may have it, must not turn time back.
        last = earlier.min(shown).max(last.saturating_add(1));
        if last > shown {
            return Err(TsError::Codec("H.264 that is reordered too far".into()));
        }
        let (pts, dts) = (clock(shown, init.timescale)?, clock(last, init.timescale)?);
        out.push(Pes { pts, dts, is_sync: sample.is_sync, data: unit });
    }
    Ok(out)
}

/// AAC frames behind ADTS headers, some to a PES packet.
fn sound(init: &Init, fragments: &[Fragment], file: &[u8]) -> Result<Vec<Pes>, TsError> {
    let config = init.audio_config().ok_or(TsError::Damaged("it has no AudioSpecificConfig".into()))?;
    let (object, rate, channels) = match config {
        [first, second, ..] => (first >> 3, (first & 7) << 1 | second >> 7, second >> 3 & 0x0f),
        _ => return Err(TsError::Damaged("its AudioSpecificConfig is cut short".into())),
    };
    if object != 2 || rate > 12 || !(1..=7).contains(&channels) {
        return Err(TsError::Codec(format!("AAC of object type {object}")));
    }
    let mut out = Vec::new();
    for run in timed(fragments)?.chunks(AUDIO_FRAMES_PER_PES) {
        let mut data = Vec::new();
        for (_, sample) in run {
            let frame = sample.data(file);
            let length = frame.len() + ADTS_BYTES;
            if length > ADTS_FRAME_BYTES_MAX {
                return Err(TsError::Overflow);
            }
            let part = |shift: usize, mask: usize| u8::try_from(length >> shift & mask).unwrap_or(0);
            // MPEG-4, no checksum, a buffer of unknown fullness, one block of raw data.
            data.extend_from_slice(&[
                0xff,
                0xf1,
                (object - 1) << 6 | rate << 2 | channels >> 2,
                (channels & 3) << 6 | part(11, 3),
                part(3, 0xff),
                part(0, 7) << 5 | 0x1f,
                0xfc,
            ]);
            data.extend_from_slice(frame);
        }
        let time = clock(run.first().map_or(0, |(decode, _)| *decode), init.timescale)?;
        out.push(Pes { pts: time, dts: time, is_sync: true, data });
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
