//! The multivariant playlist: which renditions there are and how they go together.

use domain::Presentation;
use domain::plan::FIRST_VARIANT_BITRATE;
use domain::presentation::{AudioRendition, SubtitleRendition, VideoRendition};

use super::attribute::{List, clean};
use super::{Playlist, bit_rates};

const AUDIO_GROUP: &str = "audio";
const SUBTITLE_GROUP: &str = "subtitles";

/// A BCP 47 tag for tracks whose language nobody stated.
const UNDETERMINED: &str = "und";

/// Renders the multivariant playlist.
///
/// It names `{prefix}{rendition}/playlist.m3u8`, `{prefix}{rendition}/iframes.m3u8` and, if there
/// are chapters, `chapters.json` beside itself. `BANDWIDTH` is the rendition's peak plus the highest
/// peak of any audio rendition, which is the dearest combination a viewer can choose. The variant
/// nearest to 2 Mb/s comes first, the others follow in the presentation's order. Without video
/// there is one variant: the default audio rendition.
///
/// Output is deterministic, is valid whatever the titles contain, and ends with a newline.
pub fn multivariant(presentation: &Presentation, prefix: &str) -> String {
    let audio: Vec<&AudioRendition> = presentation.audio.iter().filter(|one| !one.segments.is_empty()).collect();
    let subtitles: Vec<&SubtitleRendition> =
        presentation.subtitles.iter().filter(|one| !one.segments.is_empty()).collect();
    let video: Vec<&VideoRendition> = presentation.video.iter().filter(|one| !one.segments.is_empty()).collect();
    // A lone audio rendition is its own variant and needs no group.
    let groups = Groups {
        audio: if video.is_empty() && audio.len() == 1 { &[] } else { &audio },
        subtitles: &subtitles,
        prefix,
    };

    let mut out = Playlist::new();
    out.line("#EXT-X-INDEPENDENT-SEGMENTS");
    session_data(&mut out, presentation);
    groups.render(&mut out);
    let sound = Sound::of(&audio);
    let mut variants: Vec<Variant> = video.iter().map(|rendition| Variant::of_video(rendition, &sound)).collect();
    if variants.is_empty() {
        variants.extend(audio.iter().find(|one| one.is_default).or(audio.first()).map(|one| sound.variant(one)));
    }
    let first = variants.iter().enumerate().min_by_key(|(_, one)| one.bandwidth.abs_diff(FIRST_VARIANT_BITRATE.0));
    let first = first.map_or(0, |(at, _)| at);
    if let Some(head) = variants.get_mut(..=first) {
        head.rotate_right(1);
    }
    for variant in &variants {
        variant.render(&mut out, &groups);
    }
    for rendition in video {
        iframe_variant(&mut out, rendition, prefix);
    }
    out.0
}

/// What the choice of sound adds to every variant.
struct Sound {
    peak: u64,
    mean: u64,
    codecs: Vec<String>,
}

impl Sound {
    fn of(audio: &[&AudioRendition]) -> Self {
        let mut codecs: Vec<String> = Vec::new();
        for rendition in audio {
            if !codecs.contains(&rendition.codecs) {
                codecs.push(rendition.codecs.clone());
            }
        }
        let peak = audio.iter().map(|one| one.peak_bitrate.0).max().unwrap_or(0);
        let mean = audio.iter().map(|one| one.average_bitrate.0).max().unwrap_or(0);
        Self { peak, mean, codecs }
    }

    fn variant(&self, audio: &AudioRendition) -> Variant {
        Variant {
            bandwidth: self.peak,
            average_bandwidth: self.mean,
            codecs: self.codecs.join(","),
            picture: None,
            directory: audio.id.to_string(),
        }
    }
}

/// One `EXT-X-STREAM-INF`.
struct Variant {
    bandwidth: u64,
    average_bandwidth: u64,
    codecs: String,
    /// Resolution and frame rate.
    picture: Option<(String, String)>,
    directory: String,
}

impl Variant {
    fn of_video(video: &VideoRendition, sound: &Sound) -> Self {
        let codecs: Vec<&str> =
            [video.codecs.as_str()].into_iter().chain(sound.codecs.iter().map(String::as_str)).collect();
        Self {
            bandwidth: video.peak_bitrate.0.saturating_add(sound.peak),
            average_bandwidth: video.average_bitrate.0.saturating_add(sound.mean),
            codecs: codecs.join(","),
            picture: Some((video.resolution.to_string(), format!("{:.3}", video.frame_rate.as_f64()))),
            directory: video.id.to_string(),
        }
    }

    fn render(&self, out: &mut Playlist, groups: &Groups<'_>) {
        let mut list = List::of("EXT-X-STREAM-INF")
            .plain("BANDWIDTH", self.bandwidth)
            .plain("AVERAGE-BANDWIDTH", self.average_bandwidth)
            .quoted("CODECS", &self.codecs);
        if let Some((resolution, frame_rate)) = &self.picture {
            list = list.plain("RESOLUTION", resolution).plain("FRAME-RATE", frame_rate);
        }
        if !groups.audio.is_empty() {
            list = list.quoted("AUDIO", AUDIO_GROUP);
        }
        if !groups.subtitles.is_empty() {
            list = list.quoted("SUBTITLES", SUBTITLE_GROUP);
        }
        out.line(list.plain("CLOSED-CAPTIONS", "NONE").finish());
        out.line(format!("{}{}/playlist.m3u8", clean(groups.prefix), self.directory));
    }
}

/// The alternatives that every variant shares.
struct Groups<'a> {
    audio: &'a [&'a AudioRendition],
    subtitles: &'a [&'a SubtitleRendition],
    prefix: &'a str,
}

impl Groups<'_> {
    fn render(&self, out: &mut Playlist) {
        let default = self.audio.iter().position(|one| one.is_default).unwrap_or(0);
        let names = unique(self.audio.iter().map(|one| one.name.as_str()), "Audio");
        for (at, (rendition, name)) in self.audio.iter().zip(names).enumerate() {
            let list = List::of("EXT-X-MEDIA")
                .plain("TYPE", "AUDIO")
                .quoted("GROUP-ID", AUDIO_GROUP)
                .quoted("NAME", &name)
                .quoted("LANGUAGE", rendition.language.as_ref().map_or(UNDETERMINED, domain::Language::tag))
                .yes_or_no("DEFAULT", at == default)
                .yes_or_no("AUTOSELECT", true)
                .quoted("CHANNELS", &rendition.channels.to_string());
            out.line(list.quoted("URI", &format!("{}{}/playlist.m3u8", self.prefix, rendition.id)).finish());
        }
        // RFC 8216 §4.3.4.1.1 allows one default in a group.
        let default = self.subtitles.iter().position(|one| one.is_default);
        let names = unique(self.subtitles.iter().map(|one| one.name.as_str()), "Subtitles");
        for (at, (rendition, name)) in self.subtitles.iter().zip(names).enumerate() {
            let list = List::of("EXT-X-MEDIA")
                .plain("TYPE", "SUBTITLES")
                .quoted("GROUP-ID", SUBTITLE_GROUP)
                .quoted("NAME", &name)
                .quoted("LANGUAGE", rendition.language.as_ref().map_or(UNDETERMINED, domain::Language::tag))
                .yes_or_no("DEFAULT", Some(at) == default)
                .yes_or_no("AUTOSELECT", true)
                .yes_or_no("FORCED", rendition.is_forced);
            out.line(list.quoted("URI", &format!("{}{}/playlist.m3u8", self.prefix, rendition.id)).finish());
        }
    }
}

/// Names as they will be printed, each different from the others (RFC 8216 §4.3.4.1.1).
fn unique<'a>(names: impl Iterator<Item = &'a str>, fallback: &str) -> Vec<String> {
    let mut taken: Vec<String> = Vec::new();
    for name in names {
        let cleaned = clean(name);
        let base = if cleaned.is_empty() { fallback.to_owned() } else { cleaned };
        // One of n + 1 candidates is free when n are taken.
        let mut candidates =
            (1..=taken.len() + 1).map(|at| if at == 1 { base.clone() } else { format!("{at}. {base}") });
        let free = candidates.find(|name| !taken.contains(&clean(name)));
        taken.push(free.map_or(base, |name| clean(&name)));
    }
    taken
}

fn session_data(out: &mut Playlist, presentation: &Presentation) {
    let title = clean(presentation.title.as_deref().unwrap_or_default());
    if !title.is_empty() {
        out.line(
            List::of("EXT-X-SESSION-DATA").quoted("DATA-ID", "com.apple.hls.title").quoted("VALUE", &title).finish(),
        );
    }
    if !presentation.chapters.is_empty() {
        let list = List::of("EXT-X-SESSION-DATA").quoted("DATA-ID", "com.apple.hls.chapters");
        out.line(list.quoted("URI", "chapters.json").finish());
    }
}

fn iframe_variant(out: &mut Playlist, video: &VideoRendition, prefix: &str) {
    let Some(keyframes) = super::media::keyframes(video) else { return };
    let pieces = keyframes.iter().map(|(_, range)| (range.length, range.ticks));
    let Some((peak, mean)) = bit_rates(pieces, video.timescale) else { return };
    let list = List::of("EXT-X-I-FRAME-STREAM-INF")
        .plain("BANDWIDTH", peak)
        .plain("AVERAGE-BANDWIDTH", mean)
        .quoted("CODECS", &video.codecs)
        .plain("RESOLUTION", video.resolution)
        .quoted("URI", &format!("{prefix}{}/iframes.m3u8", video.id));
    out.line(list.finish());
}
