//! Re-reads finished segments with a box walk of its own, before they are committed.
//!
//! What is checked here was written from what the caged engine said, so nothing of the writer is
//! reused: boxes are found, counted and measured again in the bytes themselves.

mod reader;

use domain::presentation::KeyframeRange;
use domain::{AAC_FRAME_SAMPLES, Bitrate, Codec, Span, Timescale};

use crate::cmaf::{NalError, coding};
use reader::{Fragment, Reader};

/// What a verified segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Duration on the rendition's timescale.
    pub ticks: u64,
    /// The first sample of every fragment; empty for audio.
    pub keyframes: Vec<KeyframeRange>,
}

/// Why the bytes are not the segment that was planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A box is cut short, or its size points outside its parent.
    #[error("the box at byte {offset} does not fit its parent")]
    Bounds {
        /// Where the box begins.
        offset: usize,
    },
    /// Another box stands where this one belongs.
    #[error("expected {expected} at byte {offset}, found {found}")]
    Order {
        /// Where the box begins.
        offset: usize,
        /// The four-character code that belongs there.
        expected: &'static str,
        /// What is there; `nothing` at the end.
        found: String,
    },
    /// A box that must occur once in its parent does not.
    #[error("expected one {kind} in {parent}, found {count}")]
    Count {
        /// The box.
        kind: &'static str,
        /// Its parent.
        parent: &'static str,
        /// How often it occurs.
        count: usize,
    },
    /// A field is absent or has a value that does not belong there.
    #[error("fragment {fragment}: {what}")]
    Field {
        /// Which fragment, from 0.
        fragment: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A number differs from the plan.
    #[error("fragment {fragment}: {what} is {found}, planned is {expected}")]
    Plan {
        /// Which fragment, from 0.
        fragment: usize,
        /// Which number.
        what: &'static str,
        /// The planned value.
        expected: u64,
        /// The value in the bytes.
        found: u64,
    },
    /// Octets after the last fragment.
    #[error("{bytes} bytes after the last fragment")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The track of an initialization segment has an edit list, which would shift it.
    #[error("the track has an edit list")]
    EditList,
    /// The segment takes more than twice what its rendition declares.
    #[error("{bits} bits are more than the {bits_max} that twice the declared bit rate allows")]
    Bitrate {
        /// Bits of the segment, with all overhead.
        bits: u64,
        /// The most it may have.
        bits_max: u64,
    },
    /// A sample is no coded picture.
    #[error("fragment {fragment}: sample {sample} is not a coded picture")]
    Sample {
        /// Which fragment, from 0.
        fragment: usize,
        /// Which sample of it, from 0.
        sample: usize,
        /// What is wrong.
        #[source]
        source: NalError,
    },
}

/// Checks a media segment of video against its grid cell and the lengths of its GOPs.
///
/// # Errors
/// Unless the bytes are exactly a styp and one moof and mdat per GOP, whose decode times, durations,
/// sample counts and presentation times are those of `span`, and every fragment begins with an IDR picture.
pub fn video(bytes: &[u8], codec: Codec, frame_ticks: u32, span: Span, gops: &[u32]) -> Result<Verified, VerifyError> {
    let mut reader = Reader::new(bytes)?;
    let mut keyframes = Vec::new();
    let mut first = span.first;
    for (at, &frames) in gops.iter().enumerate() {
        let fragment = reader.fragment(at)?;
        check_times(at, &fragment, frame_ticks, first.saturating_mul(u64::from(frame_ticks)), frames)?;
        check_pictures(at, &fragment, codec, frame_ticks)?;
        keyframes.push(fragment.keyframe(frame_ticks));
        first = first.saturating_add(u64::from(frames));
    }
    reader.end()?;
    let (expected, found) = (span.first.saturating_add(u64::from(span.count)), first);
    if found != expected {
        return Err(VerifyError::Plan { fragment: gops.len(), what: "the end of the segment", expected, found });
    }
    Ok(Verified { ticks: u64::from(span.count) * u64::from(frame_ticks), keyframes })
}

/// Checks a media segment of audio against its grid cell, on a track whose first AAC frame begins `offset_ticks`
/// behind zero.
///
/// # Errors
/// Unless the bytes are exactly a styp and one moof and mdat with the AAC frames of `span`.
pub fn audio(bytes: &[u8], span: Span, offset_ticks: u32) -> Result<Verified, VerifyError> {
    let mut reader = Reader::new(bytes)?;
    let fragment = reader.fragment(0)?;
    let begins = span.first.saturating_mul(u64::from(AAC_FRAME_SAMPLES)).saturating_add(u64::from(offset_ticks));
    check_times(0, &fragment, AAC_FRAME_SAMPLES, begins, span.count)?;
    for sample in &fragment.samples {
        if !sample.is_sync || sample.offset_ticks != 0 {
            return Err(VerifyError::Field { fragment: 0, what: "an audio sample depends on another" });
        }
    }
    reader.end()?;
    Ok(Verified { ticks: u64::from(span.count) * u64::from(AAC_FRAME_SAMPLES), keyframes: Vec::new() })
}

/// Checks that a segment of so many octets and ticks stays within twice the declared bit rate of its rendition.
///
/// A segment of less than a second counts as one of a second: an encoder may spend at once what its
/// buffer (VBV, ITU-T H.264 Annex C) has saved up for it.
///
/// # Errors
/// [`VerifyError::Bitrate`] if it does not.
pub fn bitrate(bytes: u64, ticks: u64, timescale: Timescale, declared: Bitrate) -> Result<(), VerifyError> {
    let per_second = u128::from(timescale.per_second());
    let bits = u128::from(bytes) * 8;
    let bits_max = (2 * u128::from(declared.0)).saturating_mul(u128::from(ticks).max(per_second)) / per_second;
    if bits <= bits_max {
        return Ok(());
    }
    let shown = |bits: u128| u64::try_from(bits).unwrap_or(u64::MAX);
    Err(VerifyError::Bitrate { bits: shown(bits), bits_max: shown(bits_max) })
}

/// Checks that `bytes` are one ftyp and one moov with a single track and without an edit list.
///
/// # Errors
/// If they are not; the sample description itself is not looked into.
pub fn init(bytes: &[u8]) -> Result<(), VerifyError> {
    reader::init(bytes)
}

fn check_times(
    at: usize,
    fragment: &Fragment<'_>,
    frame_ticks: u32,
    begins: u64,
    frames: u32,
) -> Result<(), VerifyError> {
    let plan = |what, expected, found| {
        if expected == found { Ok(()) } else { Err(VerifyError::Plan { fragment: at, what, expected, found }) }
    };
    plan("the number of samples", u64::from(frames), fragment.samples.len() as u64)?;
    plan("the decode time", begins, fragment.decode_time)?;
    for sample in &fragment.samples {
        plan("the duration of a sample", u64::from(frame_ticks), u64::from(sample.duration_ticks))?;
    }
    if fragment.samples.iter().any(|sample| sample.data.is_empty()) {
        return Err(VerifyError::Field { fragment: at, what: "a sample is empty" });
    }
    Ok(())
}

/// The first sample is a sync sample and IDR picture shown first; no other is; all frames are shown once.
fn check_pictures(at: usize, fragment: &Fragment<'_>, codec: Codec, frame_ticks: u32) -> Result<(), VerifyError> {
    let field = |what| VerifyError::Field { fragment: at, what };
    let mut shown = Vec::with_capacity(fragment.samples.len());
    for (number, sample) in fragment.samples.iter().enumerate() {
        let is_idr = coding::is_sync(codec, sample.data).map_err(|source| VerifyError::Sample {
            fragment: at,
            sample: number,
            source,
        })?;
        if is_idr != (number == 0) {
            return Err(field("the IDR picture is not the first sample alone"));
        }
        if sample.is_sync != is_idr {
            return Err(field("a sync flag disagrees with the slice type"));
        }
        let decode_ticks = i64::try_from(number).unwrap_or(i64::MAX).saturating_mul(i64::from(frame_ticks));
        shown.push(decode_ticks.saturating_add(i64::from(sample.offset_ticks)));
    }
    if shown.first() != Some(&0) {
        return Err(field("the IDR picture is not shown first"));
    }
    shown.sort_unstable();
    let is_even = shown.iter().zip((0i64..).step_by(usize::try_from(frame_ticks.max(1)).unwrap_or(1)));
    if is_even.into_iter().any(|(shown, expected)| *shown != expected) {
        return Err(field("frames are not shown at even distances"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
