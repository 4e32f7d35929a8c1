//! The DASH manifest (ISO/IEC 23009-1) of a presentation: the same segments under the same names.
//!
//! Every set has a `SegmentTimeline`, since segments of sound differ by an AAC frame. Nothing is refined per
//! representation that holds for the whole set.
//!
//! Samples that are encrypted (`cbcs`) by one key are signalled as ISO/IEC 23001-7 §11.1 wants it, without a key system:
//! players are given the key otherwise. A clear beginning, or another key, would need a period of its own.

mod xml;

use std::ops::Range;

use domain::presentation::{AudioRendition, SegmentEntry, SubtitleRendition, VideoRendition};
use domain::{EncryptionMethod, MediaTime, Presentation, TARGET_DURATION_S, Timescale};

use crate::encryption::{Lock, Octets, hex};
use crate::hls::View;
use crate::hls::images::{rates, sheets};
use xml::Element;

/// What players wait for before they begin: the first segments are that long.
const BUFFER: &str = "PT2S";

const PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019";
const ROLES: &str = "urn:mpeg:dash:role:2011";
const CHANNELS: &str = "urn:mpeg:dash:23003:3:audio_channel_configuration:2011";
const TILES: &str = "http://dashif.org/guidelines/thumbnail_tile";

const PROTECTION: &str = "urn:mpeg:dash:mp4protection:2011";

/// Names of segments, with the identifier of the representation for a folder.
const FOLDER: &str = "$RepresentationID$/";
const SEGMENT: &str = "$Number$.m4s";
const TEXT: &str = "$RepresentationID$/$Number$.vtt";

/// Whether there is a manifest of an asset that is encrypted so.
pub fn is_possible(lock: Lock) -> bool {
    lock.method() == EncryptionMethod::Cbcs && lock.has_one_key()
}

/// Renders the manifest. It names everything below `prefix`, as [`crate::hls::multivariant`] does.
///
/// A clip begins with the first of its segments, whose times stay those of the whole.
pub fn manifest(presentation: &Presentation, prefix: &str, view: View) -> String {
    let cells = view.cells(presentation);
    let (begins, ends) = cells.as_ref().map_or((MediaTime::zero(), presentation.duration), |cells| cells.span());
    let shown = Shown {
        presentation,
        prefix,
        lock: view.lock,
        begins,
        range: &|segments, timescale| {
            cells.as_ref().map_or(0..segments.len(), |cells| cells.range(segments, timescale))
        },
    };
    let length = ends.minus(begins).unwrap_or(presentation.duration);
    let mut period = Element::of("Period").with("id", 0).with("start", "PT0S");
    let sets = shown.sets();
    let count = sets.len();
    period = period.children(sets);
    if view.clip.is_none() {
        period = period.children(thumbnails(presentation, prefix, count));
    }
    let title = presentation.title.as_deref().filter(|title| !title.trim().is_empty());
    let information = title.map(|title| Element::of("ProgramInformation").child(Element::of("Title").text(title)));
    let root = Element::of("MPD")
        .with("xmlns", "urn:mpeg:dash:schema:mpd:2011")
        .with_some("xmlns:cenc", view.lock.map(|_| "urn:mpeg:cenc:2013"))
        .with("profiles", PROFILES)
        .with("type", "static")
        .with("minBufferTime", BUFFER)
        .with("maxSegmentDuration", format!("PT{}S", TARGET_DURATION_S + 1))
        .with("mediaPresentationDuration", duration(length))
        .children(information)
        .child(period);
    root.document()
}

/// ISO 8601, in seconds.
fn duration(time: MediaTime) -> String {
    let ms = u64::try_from(time.as_ms()).unwrap_or(0);
    format!("PT{}.{:03}S", ms / 1000, ms % 1000)
}

/// What of a presentation is in the manifest.
struct Shown<'a> {
    presentation: &'a Presentation,
    prefix: &'a str,
    /// How it is encrypted; `None` if it is not.
    lock: Option<Lock>,
    begins: MediaTime,
    /// Which segments of a rendition.
    range: &'a dyn Fn(&[SegmentEntry], Timescale) -> Range<usize>,
}

impl Shown<'_> {
    /// Whether anything is shown of a rendition with these segments.
    fn has(&self, segments: &[SegmentEntry], timescale: Timescale) -> bool {
        !(self.range)(segments, timescale).is_empty()
    }

    /// Whether a rendition with these codecs can be had.
    fn is_possible(&self, codecs: &str) -> bool {
        self.lock.is_none_or(|lock| lock.is_possible(codecs))
    }

    /// By which key samples are encrypted, in front of everything else about a set.
    fn protection(&self) -> Option<Element> {
        let id = self.lock?.key_id(self.presentation, 0);
        let element = Element::of("ContentProtection").with("schemeIdUri", PROTECTION).with("value", "cbcs");
        Some(element.with("cenc:default_KID", uuid(&id)))
    }

    /// The patterns of a set's initialization segments and segments.
    fn names(&self) -> (String, String) {
        match self.lock.map(|lock| lock.edition()) {
            None => (format!("{FOLDER}init.mp4"), format!("{FOLDER}{SEGMENT}")),
            Some(edition) => (format!("{FOLDER}{edition}/init-0.mp4"), format!("{FOLDER}{edition}/{SEGMENT}")),
        }
    }

    fn sets(&self) -> Vec<Element> {
        let mut sets: Vec<Element> = Vec::new();
        let is_shown = |one: &&VideoRendition| self.has(&one.segments, one.timescale) && self.is_possible(&one.codecs);
        let mut pictures: Vec<&VideoRendition> = self.presentation.video.iter().filter(is_shown).collect();
        // Players do not switch between codecs, so each has a set of its own.
        while let Some(first) = pictures.first().copied() {
            let is_like = |one: &&VideoRendition| {
                let entry = |one: &VideoRendition| one.codecs.split('.').next().map(str::to_owned);
                entry(one) == entry(first) && one.timescale == first.timescale && has_same_times(one, first)
            };
            let (alike, others): (Vec<_>, Vec<_>) = pictures.into_iter().partition(is_like);
            sets.push(self.pictures(&alike, sets.len()));
            pictures = others;
        }
        let is_heard = |one: &&AudioRendition| self.has(&one.segments, one.timescale) && self.is_possible(&one.codecs);
        for one in self.presentation.audio.iter().filter(is_heard) {
            sets.push(self.sound(one, sets.len()));
        }
        for one in self.presentation.subtitles.iter().filter(|one| self.has(&one.segments, one.timescale)) {
            sets.push(self.text(one, sets.len()));
        }
        sets
    }

    fn pictures(&self, alike: &[&VideoRendition], number: usize) -> Element {
        let mut set = Element::of("AdaptationSet")
            .with("id", number)
            .with("contentType", "video")
            .with("mimeType", "video/mp4")
            .with("segmentAlignment", "true")
            .with("startWithSAP", 1)
            .children(self.protection());
        if let Some(first) = alike.first() {
            let (init, media) = self.names();
            set = set.child(self.template(&first.segments, first.timescale, Some(&init), &media));
        }
        for one in alike {
            let rate = one.frame_rate;
            let rate = if rate.den() == 1 { rate.num().to_string() } else { format!("{}/{}", rate.num(), rate.den()) };
            let representation = Element::of("Representation")
                .with("id", &one.id)
                .with("codecs", &one.codecs)
                .with("bandwidth", one.peak_bitrate.0)
                .with("width", one.resolution.width)
                .with("height", one.resolution.height)
                .with("frameRate", rate)
                .with("sar", "1:1");
            set = set.child(representation);
        }
        set
    }

    fn sound(&self, one: &AudioRendition, number: usize) -> Element {
        let channels = Element::of("AudioChannelConfiguration")
            .with("schemeIdUri", CHANNELS)
            // ISO/IEC 23001-8: up to 5.1 the number of the layout is the number of its channels.
            .with("value", one.channels);
        let set = Element::of("AdaptationSet")
            .with("id", number)
            .with("contentType", "audio")
            .with("mimeType", "audio/mp4")
            .with("lang", one.language.as_ref().map_or("und", domain::Language::tag))
            .with("segmentAlignment", "true")
            .with("startWithSAP", 1);
        let (init, media) = self.names();
        set.children(self.protection())
            .child(role(if one.is_default { "main" } else { "alternate" }))
            .child(Element::of("Label").text(&one.name))
            .child(self.template(&one.segments, one.timescale, Some(&init), &media))
            .child(
                Element::of("Representation")
                    .with("id", &one.id)
                    .with("codecs", &one.codecs)
                    .with("bandwidth", one.peak_bitrate.0)
                    .with("audioSamplingRate", one.timescale.per_second())
                    .child(channels),
            )
    }

    fn text(&self, one: &SubtitleRendition, number: usize) -> Element {
        let bytes: u64 = one.segments.iter().filter_map(|segment| segment.bytes).sum();
        let ticks: u64 = one.segments.iter().map(|segment| segment.ticks).sum();
        let scale = u64::from(one.timescale.per_second());
        let bandwidth = bytes.saturating_mul(8).saturating_mul(scale).checked_div(ticks).unwrap_or(0).max(1);
        let value = match (one.is_forced, one.is_sdh) {
            (true, _) => "forced-subtitle",
            (_, true) => "caption",
            _ => "subtitle",
        };
        let set = Element::of("AdaptationSet")
            .with("id", number)
            .with("contentType", "text")
            .with("mimeType", "text/vtt")
            .with("lang", one.language.as_ref().map_or("und", domain::Language::tag))
            .with("segmentAlignment", "true");
        set.child(role(value))
            .child(Element::of("Label").text(&one.name))
            .child(self.template(&one.segments, one.timescale, None, TEXT))
            .child(Element::of("Representation").with("id", &one.id).with("bandwidth", bandwidth))
    }

    fn template(&self, segments: &[SegmentEntry], timescale: Timescale, init: Option<&str>, media: &str) -> Element {
        let range = (self.range)(segments, timescale);
        let before: u64 = segments.iter().take(range.start).map(|segment| segment.ticks).sum();
        let offset = self.begins.rescale_round(timescale).map_or(0, |begins| begins.ticks);
        let mut timeline = Element::of("SegmentTimeline");
        let mut runs: Vec<(u64, u32)> = Vec::new();
        for segment in segments.iter().take(range.end).skip(range.start) {
            match runs.last_mut() {
                Some((ticks, count)) if *ticks == segment.ticks => *count += 1,
                _ => runs.push((segment.ticks, 1)),
            }
        }
        for (at, (ticks, count)) in runs.into_iter().enumerate() {
            let mut run = Element::of("S");
            if at == 0 {
                run = run.with("t", before);
            }
            run = run.with("d", ticks);
            timeline = timeline.child(if count > 1 { run.with("r", count - 1) } else { run });
        }
        let mut template = Element::of("SegmentTemplate")
            .with("timescale", timescale.per_second())
            .with("startNumber", range.start)
            .with("presentationTimeOffset", offset);
        if let Some(init) = init {
            template = template.with("initialization", format!("{}{init}", self.prefix));
        }
        template.with("media", format!("{}{media}", self.prefix)).child(timeline)
    }
}

/// In groups, as the identifier of a key is written.
fn uuid(octets: &Octets) -> String {
    let digits = hex(octets);
    let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32)].join("-")
}

fn role(value: &str) -> Element {
    Element::of("Role").with("schemeIdUri", ROLES).with("value", value)
}

fn has_same_times(a: &VideoRendition, b: &VideoRendition) -> bool {
    a.segments.len() == b.segments.len() && a.segments.iter().zip(&b.segments).all(|(a, b)| a.ticks == b.ticks)
}

/// The storyboard as a set of tiled pictures; `None` without one, or if its sheets are not numbered.
fn thumbnails(presentation: &Presentation, prefix: &str, number: usize) -> Option<Element> {
    let storyboard = presentation.images.as_ref()?.storyboard.as_ref()?;
    let sheets = sheets(storyboard, presentation.duration);
    let (first, last) = (sheets.first()?, sheets.last()?);
    let (stem, ending) = first.file.split_once("0.")?;
    let is_numbered = sheets.iter().enumerate().all(|(at, sheet)| sheet.file == format!("{stem}{at}.{ending}"));
    let bandwidth = rates(presentation, &sheets).map_or(0, |(peak, _)| peak);
    if !is_numbered || bandwidth == 0 {
        return None;
    }
    let mut timeline = Element::of("SegmentTimeline");
    if sheets.len() > 1 {
        let whole = Element::of("S").with("t", 0).with("d", first.duration_ms);
        timeline = timeline.child(if sheets.len() > 2 { whole.with("r", sheets.len() - 2) } else { whole });
    }
    // A sheet lasts as long as all its places would, whether they are taken or not: players divide it evenly.
    let places = u64::from(first.columns) * u64::from(first.rows);
    let interval_ms = u64::try_from(storyboard.interval.as_ms()).unwrap_or(0);
    timeline = timeline.child(Element::of("S").with("t", last.start_ms).with("d", places * interval_ms));
    let template = Element::of("SegmentTemplate")
        .with("timescale", 1000)
        .with("startNumber", 0)
        .with("media", format!("{prefix}images/{stem}$Number$.{ending}"))
        .child(timeline);
    let (width, height) = (storyboard.tile.width * first.columns, storyboard.tile.height * first.rows);
    let tiles = Element::of("EssentialProperty")
        .with("schemeIdUri", TILES)
        .with("value", format!("{}x{}", first.columns, first.rows));
    let representation = Element::of("Representation")
        .with("id", "images")
        .with("bandwidth", bandwidth)
        .with("width", width)
        .with("height", height)
        .child(tiles);
    let set =
        Element::of("AdaptationSet").with("id", number).with("contentType", "image").with("mimeType", "image/jpeg");
    Some(set.child(template).child(representation))
}

#[cfg(test)]
mod tests;
