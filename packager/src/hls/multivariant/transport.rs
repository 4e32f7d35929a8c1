//! What of a presentation goes into transport streams, and at which bit rates.

use domain::presentation::{AudioRendition, SubtitleRendition, VideoRendition};
use domain::{Bitrate, Presentation};

use crate::ts;

/// The presentation with the renditions that go into transport streams alone.
///
/// How long their segments will be is not known before they are made, so bit rates are estimated from those stored.
pub(super) fn estimated(stored: &Presentation) -> Presentation {
    let video = |one: &VideoRendition| {
        let rate = one.frame_rate.as_f64();
        let (peak_bitrate, average_bitrate) = rates(one.peak_bitrate, one.average_bitrate, rate);
        let (id, codecs, segments) = (one.id.clone(), one.codecs.clone(), one.segments.clone());
        VideoRendition { id, codecs, segments, peak_bitrate, average_bitrate, ..*one }
    };
    let audio = |one: &AudioRendition| {
        let rate = ts::audio_pes_rate(one.timescale.per_second());
        let (peak_bitrate, average_bitrate) = rates(one.peak_bitrate, one.average_bitrate, rate);
        let (id, codecs, segments) = (one.id.clone(), one.codecs.clone(), one.segments.clone());
        let (language, name) = (one.language.clone(), one.name.clone());
        AudioRendition { id, language, name, codecs, segments, peak_bitrate, average_bitrate, ..*one }
    };
    let subtitles: Vec<SubtitleRendition> = stored.subtitles.clone();
    Presentation {
        title: stored.title.clone(),
        cadence: stored.cadence.clone(),
        first: stored.first.clone(),
        video: stored.video.iter().filter(|one| ts::is_possible(&one.codecs)).map(video).collect(),
        audio: stored.audio.iter().filter(|one| ts::is_possible(&one.codecs)).map(audio).collect(),
        subtitles,
        chapters: stored.chapters.clone(),
        markers: Vec::new(),
        images: stored.images.clone(),
        files: stored.files.clone(),
        ..*stored
    }
}

fn rates(peak: Bitrate, mean: Bitrate, pes_per_second: f64) -> (Bitrate, Bitrate) {
    (Bitrate(ts::bandwidth(peak.0, pes_per_second)), Bitrate(ts::bandwidth(mean.0, pes_per_second)))
}
