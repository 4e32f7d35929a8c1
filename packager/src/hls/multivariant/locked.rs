//! What of a presentation can be had encrypted, and at which bit rates.

use domain::presentation::{AudioRendition, VideoRendition};
use domain::{Bitrate, EncryptionMethod, Presentation};

use crate::encryption::Lock;

/// Bits that a segment grows by at most where it is encrypted whole: a block of padding.
const PADDING_BITS: u64 = 16 * 8;
/// Octets by which the description of encrypted samples grows a fragment, and for each picture in it: one run for its
/// slice, and one for what may follow.
const FRAGMENT_BYTES: u64 = 56;
const PICTURE_BYTES: u64 = 1 + 2 + 2 * 6;

/// The presentation with the renditions that can be encrypted so alone, at the rates that they have then.
///
/// They are estimated: how many slices a picture has is not known before it is read.
pub(super) fn estimated(stored: &Presentation, lock: Lock) -> Presentation {
    let video = |one: &VideoRendition| {
        let bits = match lock.method() {
            EncryptionMethod::Aes128 => PADDING_BITS,
            EncryptionMethod::Cbcs => (pictures_a_second(one) * PICTURE_BYTES + FRAGMENT_BYTES) * 8,
        };
        let (peak_bitrate, average_bitrate) = (more(one.peak_bitrate, bits), more(one.average_bitrate, bits));
        let (id, codecs, segments) = (one.id.clone(), one.codecs.clone(), one.segments.clone());
        VideoRendition { id, codecs, segments, peak_bitrate, average_bitrate, ..*one }
    };
    let audio = |one: &AudioRendition| {
        let peak_bitrate = more(one.peak_bitrate, PADDING_BITS);
        let average_bitrate = more(one.average_bitrate, PADDING_BITS);
        let (id, codecs, segments) = (one.id.clone(), one.codecs.clone(), one.segments.clone());
        let (language, name) = (one.language.clone(), one.name.clone());
        AudioRendition { id, language, name, codecs, segments, peak_bitrate, average_bitrate, ..*one }
    };
    Presentation {
        title: stored.title.clone(),
        cadence: stored.cadence.clone(),
        first: stored.first.clone(),
        video: stored.video.iter().filter(|one| lock.is_possible(&one.codecs)).map(video).collect(),
        audio: stored.audio.iter().filter(|one| lock.is_possible(&one.codecs)).map(audio).collect(),
        subtitles: stored.subtitles.clone(),
        chapters: stored.chapters.clone(),
        markers: Vec::new(),
        images: stored.images.clone(),
        files: stored.files.clone(),
        ..*stored
    }
}

fn pictures_a_second(video: &VideoRendition) -> u64 {
    let rate = video.frame_rate.timescale().per_second();
    u64::from(rate.div_ceil(video.frame_rate.frame_ticks().max(1)))
}

fn more(rate: Bitrate, bits: u64) -> Bitrate {
    Bitrate(rate.0.saturating_add(bits))
}
