//! The multivariant playlist: which renditions there are and how they go together.

use domain::plan::FIRST_VARIANT_BITRATE;
use domain::presentation::{AudioRendition, SubtitleRendition, VideoRendition};
use domain::{Presentation, RenditionId};

mod locked;
mod sound;
mod transport;

use super::attribute::{List, clean};
use super::{Container, Playlist, View, bit_rates};

const SUBTITLE_GROUP: &str = "subtitles";

/// Nothing in use needs more; older versions had attributes that are gone (RFC 8216 §7).
const VERSION: u32 = 6;

/// What subtitles for the deaf and hard of hearing are (HLS authoring specification 4.5).
const SDH: &str = "public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound";

/// A BCP 47 tag for tracks whose language nobody stated.
const UNDETERMINED: &str = "und";

/// The pathway of what a playlist names, where there are others (RFC 8216bis §7).
pub const PATHWAY: &str = "origin";

/// Renders the multivariant playlist.
///
/// It names `{prefix}{rendition}/playlist.m3u8`, `{prefix}{rendition}/iframes.m3u8` and, if there
/// are chapters, `chapters.json` beside itself, and `{prefix}images/playlist.m3u8` for the storyboard. Sound in stereo is one group; where some track is
/// there in more channels, a second group holds these, and every video rendition is listed with
/// both. `BANDWIDTH` is the rendition's peak plus the highest peak in the group, which is the dearest
/// combination a viewer can choose. The variant nearest to 2 Mb/s comes first, of those in the codec
/// that the presentation begins with, or the one that the presentation names; the others follow in the
/// presentation's order, stereo before surround. Without video there is one variant per group:
/// the default audio rendition. Where there are several codecs, `SCORE` says which variants look better.
///
/// A clip's playlists are asked for with a query that names it; chapters are those of the clip, and it has no
/// image playlist.
///
/// As transport streams there are the renditions in H.264 and AAC, at bit rates that are estimated; I-frames are
/// those of the stored segments.
///
/// Encrypted there are the renditions that can be encrypted so, at bit rates that are estimated. Keys are named by the
/// playlists below.
///
/// Where players are steered, all variants are of the pathway [`PATHWAY`].
///
/// Output is deterministic, is valid whatever the titles contain, and ends with a newline.
pub fn multivariant(presentation: &Presentation, prefix: &str, view: View) -> String {
    let cells = view.cells(presentation);
    let part = cells.as_ref().map(|cells| cells.trim(presentation));
    let start = cells.map(|cells| cells.start_line());
    let packed = (view.container == Container::Ts).then(|| transport::estimated(part.as_ref().unwrap_or(presentation)));
    let clear = packed.as_ref().or(part.as_ref()).unwrap_or(presentation);
    let locked = view.lock.map(|lock| locked::estimated(clear, lock));
    render(locked.as_ref().unwrap_or(clear), prefix, view, start)
}

/// Where children lie: below `prefix`, asked for with the query of what is shown.
struct Children<'a> {
    prefix: &'a str,
    view: View,
}

impl Children<'_> {
    fn uri(&self, rendition: &str, file: &str) -> String {
        format!("{}{rendition}/{file}{}", clean(self.prefix), self.view.query())
    }
}

fn render(presentation: &Presentation, prefix: &str, view: View, start: Option<String>) -> String {
    let children = Children { prefix, view };
    // Pictures and I-frames, which need no sound beside them, are as they are stored.
    let stored = Children { prefix, view: view.stored() };
    let audio: Vec<&AudioRendition> = presentation.audio.iter().filter(|one| !one.segments.is_empty()).collect();
    let subtitles: Vec<&SubtitleRendition> =
        presentation.subtitles.iter().filter(|one| !one.segments.is_empty()).collect();
    let video: Vec<&VideoRendition> = presentation.video.iter().filter(|one| !one.segments.is_empty()).collect();
    let groups = sound::groups(&audio);

    let mut out = Playlist::new(VERSION);
    out.line("#EXT-X-INDEPENDENT-SEGMENTS");
    if view.is_steered {
        let list = List::of("EXT-X-CONTENT-STEERING").quoted("SERVER-URI", "steering.json");
        out.line(list.quoted("PATHWAY-ID", PATHWAY).finish());
    }
    start.iter().for_each(|line| out.line(line));
    session_data(&mut out, presentation, &view.stored().query());
    // A lone audio rendition is its own variant and needs no group.
    let is_alone = video.is_empty() && audio.len() == 1;
    if !is_alone {
        groups.iter().for_each(|group| group.render(&mut out, &children));
    }
    render_subtitles(&mut out, &subtitles, &children);
    let has_score = video.iter().any(|one| entry_of(&one.codecs) != entry_of(&video[0].codecs));
    for variant in variants(&video, &groups, presentation.first.as_ref()) {
        let score = variant.score.as_ref().filter(|_| has_score);
        variant.render(&mut out, &children, score, !is_alone, !subtitles.is_empty());
    }
    for rendition in video {
        iframe_variant(&mut out, rendition, &stored);
    }
    super::images::variant(presentation, &stored.uri("images", "playlist.m3u8")).iter().for_each(|line| out.line(line));
    out.0
}

/// Every combination of picture and sound, in the order of the playlist.
fn variants<'a>(
    video: &[&'a VideoRendition],
    groups: &'a [sound::Group<'a>],
    first: Option<&RenditionId>,
) -> Vec<Variant<'a>> {
    if video.is_empty() {
        return groups.iter().map(Variant::of_sound).collect();
    }
    let silent = groups.is_empty().then_some(None);
    let with_sound = |group: Option<&'a sound::Group<'a>>| {
        let mut variants: Vec<Variant> = video.iter().map(|rendition| Variant::of_video(rendition, group)).collect();
        first_to_front(&mut variants, first);
        variants
    };
    silent.into_iter().chain(groups.iter().map(Some)).flat_map(with_sound).collect()
}

/// Moves the variant that players begin with to the front.
///
/// Unless it is named, it is one in the codec of the first rendition, which every player can show: a player that
/// looks at the first variant alone must not find one that it cannot play.
fn first_to_front(variants: &mut [Variant<'_>], named: Option<&RenditionId>) {
    let entry = |one: &Variant<'_>| entry_of(&one.codecs).to_owned();
    let common = variants.first().map(entry);
    let nearest = (0..variants.len())
        .filter(|at| Some(entry(&variants[*at])) == common)
        .min_by_key(|at| variants[*at].bandwidth.abs_diff(FIRST_VARIANT_BITRATE.0));
    let named = named.and_then(|named| variants.iter().position(|one| one.directory == named.to_string()));
    let first = named.or(nearest).unwrap_or(0);
    if let Some(head) = variants.get_mut(..=first) {
        head.rotate_right(1);
    }
}

/// The sample entry of the first codec in the list, such as `avc1`.
fn entry_of(codecs: &str) -> &str {
    codecs.split('.').next().unwrap_or_default()
}

/// How good a picture of this size looks, and at how few bits: first the size, then the codec.
fn score(video: &VideoRendition) -> String {
    let codec = match entry_of(&video.codecs) {
        "av01" => 2,
        "hvc1" => 1,
        _ => 0,
    };
    format!("{}.{codec}", video.resolution.short_side())
}

/// One `EXT-X-STREAM-INF`.
struct Variant<'a> {
    bandwidth: u64,
    average_bandwidth: u64,
    codecs: String,
    /// Resolution and frame rate.
    picture: Option<(String, String)>,
    score: Option<String>,
    group: Option<&'a sound::Group<'a>>,
    directory: String,
}

impl<'a> Variant<'a> {
    fn of_video(video: &VideoRendition, group: Option<&'a sound::Group<'a>>) -> Self {
        let (peak, mean) = group.map_or((0, 0), |group| (group.peak(), group.mean()));
        let sounds = group.map_or_else(Vec::new, sound::Group::codecs);
        let codecs: Vec<&str> = [video.codecs.as_str()].into_iter().chain(sounds).collect();
        Self {
            bandwidth: video.peak_bitrate.0.saturating_add(peak),
            average_bandwidth: video.average_bitrate.0.saturating_add(mean),
            codecs: codecs.join(","),
            picture: Some((video.resolution.to_string(), format!("{:.3}", video.frame_rate.as_f64()))),
            score: Some(score(video)),
            group,
            directory: video.id.to_string(),
        }
    }

    fn of_sound(group: &'a sound::Group<'a>) -> Self {
        Self {
            bandwidth: group.peak(),
            average_bandwidth: group.mean(),
            codecs: group.codecs().join(","),
            picture: None,
            score: None,
            group: Some(group),
            directory: group.default().id.to_string(),
        }
    }

    fn render(
        &self,
        out: &mut Playlist,
        children: &Children<'_>,
        score: Option<&String>,
        has_groups: bool,
        has_subtitles: bool,
    ) {
        let mut list = List::of("EXT-X-STREAM-INF")
            .plain("BANDWIDTH", self.bandwidth)
            .plain("AVERAGE-BANDWIDTH", self.average_bandwidth);
        if let Some(score) = score {
            list = list.plain("SCORE", score);
        }
        list = list.quoted("CODECS", &self.codecs);
        if let Some((resolution, frame_rate)) = &self.picture {
            // All that is encoded has a standard dynamic range.
            list = list.plain("RESOLUTION", resolution).plain("FRAME-RATE", frame_rate).plain("VIDEO-RANGE", "SDR");
        }
        list = list.quoted("STABLE-VARIANT-ID", &self.directory).quoted("NAME", &self.directory);
        if children.view.is_steered {
            list = list.quoted("PATHWAY-ID", PATHWAY);
        }
        if let Some(group) = self.group.filter(|_| has_groups) {
            list = list.quoted("AUDIO", group.id);
        }
        if has_subtitles {
            list = list.quoted("SUBTITLES", SUBTITLE_GROUP);
        }
        out.line(list.plain("CLOSED-CAPTIONS", "NONE").finish());
        out.line(children.uri(&self.directory, "playlist.m3u8"));
    }
}

fn render_subtitles(out: &mut Playlist, subtitles: &[&SubtitleRendition], children: &Children<'_>) {
    // RFC 8216 §4.3.4.1.1 allows one default in a group.
    let default = subtitles.iter().position(|one| one.is_default);
    let names = unique(subtitles.iter().map(|one| one.name.as_str()), "Subtitles");
    for (at, (rendition, name)) in subtitles.iter().zip(names).enumerate() {
        let list = List::of("EXT-X-MEDIA")
            .plain("TYPE", "SUBTITLES")
            .quoted("GROUP-ID", SUBTITLE_GROUP)
            .quoted("NAME", &name)
            .quoted("LANGUAGE", rendition.language.as_ref().map_or(UNDETERMINED, domain::Language::tag))
            .yes_or_no("DEFAULT", Some(at) == default)
            .yes_or_no("AUTOSELECT", true)
            .yes_or_no("FORCED", rendition.is_forced);
        let list = if rendition.is_sdh { list.quoted("CHARACTERISTICS", SDH) } else { list };
        let id = rendition.id.as_str();
        out.line(list.quoted("STABLE-RENDITION-ID", id).quoted("URI", &children.uri(id, "playlist.m3u8")).finish());
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

fn session_data(out: &mut Playlist, presentation: &Presentation, query: &str) {
    let title = clean(presentation.title.as_deref().unwrap_or_default());
    if !title.is_empty() {
        out.line(
            List::of("EXT-X-SESSION-DATA").quoted("DATA-ID", "com.apple.hls.title").quoted("VALUE", &title).finish(),
        );
    }
    if !presentation.chapters.is_empty() {
        let list = List::of("EXT-X-SESSION-DATA").quoted("DATA-ID", "com.apple.hls.chapters");
        out.line(list.quoted("URI", &format!("chapters.json{query}")).finish());
    }
}

fn iframe_variant(out: &mut Playlist, video: &VideoRendition, children: &Children<'_>) {
    let Some(keyframes) = super::media::keyframes(video) else { return };
    let pieces = keyframes.iter().map(|(_, range)| (range.length, range.ticks));
    let Some((peak, mean)) = bit_rates(pieces, video.timescale) else { return };
    let list = List::of("EXT-X-I-FRAME-STREAM-INF")
        .plain("BANDWIDTH", peak)
        .plain("AVERAGE-BANDWIDTH", mean)
        .quoted("CODECS", &video.codecs)
        .plain("RESOLUTION", video.resolution)
        .plain("VIDEO-RANGE", "SDR")
        .quoted("STABLE-VARIANT-ID", &format!("{}.iframes", video.id));
    let list = if children.view.is_steered { list.quoted("PATHWAY-ID", PATHWAY) } else { list };
    out.line(list.quoted("URI", &children.uri(video.id.as_str(), "iframes.m3u8")).finish());
}
