//! Rules of the playlist at the top.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use domain::plan::FIRST_VARIANT_BITRATE;

use super::reader::{Attributes, LineKind, Lines};
use super::{Report, rules};

/// Tags that stand in no media playlist.
pub(super) const TAGS: &[&str] = &[
    "EXT-X-STREAM-INF",
    "EXT-X-I-FRAME-STREAM-INF",
    "EXT-X-IMAGE-STREAM-INF",
    "EXT-X-SESSION-DATA",
    "EXT-X-SESSION-KEY",
];

/// Highest frame rate, in millionths, with room for rounding (APL 1.19).
const FRAME_RATE_MAX: u64 = 60_001_000;

/// What a shape may differ by, as a share of the width.
const ASPECT_TOLERANCE: u64 = 50;

/// What a playlist at the top names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Multivariant {
    /// `EXT-X-STREAM-INF`.
    pub variants: Vec<Variant>,
    /// `EXT-X-MEDIA`.
    pub renditions: Vec<Rendition>,
    /// `EXT-X-I-FRAME-STREAM-INF`.
    pub iframes: Vec<Iframes>,
    /// How findings call it.
    pub(super) place: String,
    has_session_key: bool,
}

/// A combination of renditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Where its playlist is.
    pub uri: String,
    /// `AUDIO`.
    pub audio: Option<String>,
    /// `BANDWIDTH` and `AVERAGE-BANDWIDTH`.
    pub(super) bandwidth: u64,
    pub(super) average: Option<u64>,
    pub(super) codecs: Vec<String>,
    pub(super) resolution: Option<(u32, u32)>,
    pub(super) line: usize,
}

/// An alternative rendition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// What it is.
    pub kind: Kind,
    /// Where its playlist is; `None` if it is inside the variants.
    pub uri: Option<String>,
    /// `GROUP-ID`.
    pub group: String,
    name: String,
    language: Option<String>,
    is_default: bool,
    line: usize,
}

/// A playlist of I-frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iframes {
    /// Where it is.
    pub uri: String,
    codecs: Vec<String>,
    resolution: Option<(u32, u32)>,
}

/// What a rendition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A variant, with a picture or without.
    Variant,
    /// Sound.
    Audio,
    /// Another picture.
    Video,
    /// Texts.
    Subtitles,
    /// Texts inside the picture.
    Captions,
    /// I-frames.
    Iframes,
}

/// What was declared of a media playlist by the one that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// What it is.
    pub kind: Kind,
    /// All codecs of the variants that have it; empty if nothing was said.
    pub codecs: Vec<String>,
    /// Its size.
    pub resolution: Option<(u32, u32)>,
}

impl Declared {
    /// Nothing was declared.
    pub fn nothing() -> Self {
        Self { kind: Kind::Variant, codecs: Vec::new(), resolution: None }
    }
}

impl Multivariant {
    /// Every media playlist once, with what is declared of it, in the order of the playlist.
    pub fn children(&self) -> Vec<(String, Declared)> {
        let mut children: Vec<(String, Declared)> = Vec::new();
        let mut known = HashSet::new();
        let mut put = |uri: &str, declared: Declared| {
            if known.insert(uri.to_owned()) {
                children.push((uri.to_owned(), declared));
            }
        };
        for one in &self.variants {
            // A variant may be one of the renditions of its own group.
            let is_sound = one.resolution.is_none() && self.renditions.iter().any(|r| r.uri.as_ref() == Some(&one.uri));
            let kind = if is_sound { Kind::Audio } else { Kind::Variant };
            put(&one.uri, Declared { kind, codecs: one.codecs.clone(), resolution: one.resolution });
        }
        for one in &self.renditions {
            let users = self.variants.iter().filter(|variant| variant.audio.as_ref() == Some(&one.group));
            let codecs = match one.kind {
                Kind::Audio => users.flat_map(|variant| variant.codecs.clone()).collect(),
                _ => Vec::new(),
            };
            one.uri
                .iter()
                .for_each(|uri| put(uri, Declared { kind: one.kind, codecs: codecs.clone(), resolution: None }));
        }
        for one in &self.iframes {
            let declared = Declared { kind: Kind::Iframes, codecs: one.codecs.clone(), resolution: one.resolution };
            put(&one.uri, declared);
        }
        children
    }

    /// True if some of the content is encrypted for all we know.
    pub fn is_encrypted(&self) -> bool {
        self.has_session_key
    }

    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.place)
    }
}

pub(super) fn read(lines: &Lines<'_>, report: &mut Report) -> Multivariant {
    let mut found = Multivariant {
        place: lines.place.to_owned(),
        has_session_key: lines.has("EXT-X-SESSION-KEY"),
        ..Multivariant::default()
    };
    let (mut groups, mut scores, mut captions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ranges, mut ids) = (Vec::new(), BTreeMap::new());
    for (at, line) in lines.lines.iter().enumerate() {
        let LineKind::Tag { name, value } = line.kind else { continue };
        let place = lines.at(line.number);
        match name {
            "EXT-X-STREAM-INF" => {
                let list = Attributes::read(place.clone(), value, report);
                let uri = match lines.lines.get(at + 1).map(|line| line.kind) {
                    Some(LineKind::Uri(uri)) => uri.to_owned(),
                    _ => {
                        report.add(&rules::URI, place.clone(), "no URI follows the variant");
                        continue;
                    }
                };
                let variant = variant(&list, &place, line.number, uri, report);
                for (attribute, kind) in
                    [("AUDIO", Kind::Audio), ("VIDEO", Kind::Video), ("SUBTITLES", Kind::Subtitles)]
                {
                    let group = list.quoted(attribute, report);
                    groups.extend(group.map(|group| (kind, group.to_owned(), place.clone())));
                }
                // It is a string where it names a group and a word where there is none.
                let none = value.contains("CLOSED-CAPTIONS=NONE");
                if list.has("CLOSED-CAPTIONS") && !none {
                    let group = list.quoted("CLOSED-CAPTIONS", report);
                    groups.extend(group.map(|group| (Kind::Captions, group.to_owned(), place.clone())));
                }
                captions.push((none, place.clone()));
                scores.push((list.has("SCORE"), place.clone()));
                let _ = list.millionths("SCORE", report);
                if variant.resolution.is_some() {
                    ranges.push((list.plain("VIDEO-RANGE", report).map(str::to_owned), place.clone()));
                }
                stable_id(&list, "STABLE-VARIANT-ID", &variant.uri, &place, &mut ids, report);
                found.variants.push(variant);
            }
            "EXT-X-MEDIA" => {
                let list = Attributes::read(place.clone(), value, report);
                found.renditions.extend(rendition(&list, &place, line.number, report));
            }
            "EXT-X-I-FRAME-STREAM-INF" => {
                let list = Attributes::read(place.clone(), value, report);
                found.iframes.extend(iframes(&list, &place, report));
            }
            _ => {}
        }
    }
    check_groups(&found, &groups, report);
    check_all_or_none(&rules::SCORE, "SCORE", &scores, report);
    check_all_or_none(&rules::CAPTIONS, "CLOSED-CAPTIONS=NONE", &captions, report);
    check_ranges(&ranges, report);
    check_session_data(lines, report);
    check_whole(lines, &found, report);
    lines.check_version(1, "", report);
    if lines.tags("EXT-X-DEFINE").any(|(_, value)| value.starts_with("QUERYPARAM")) {
        lines.check_version(11, "EXT-X-DEFINE:QUERYPARAM", report);
    } else if lines.has("EXT-X-DEFINE") {
        lines.check_version(8, "EXT-X-DEFINE", report);
    }
    found
}

fn codecs(list: &Attributes<'_>, place: &str, report: &mut Report) -> Vec<String> {
    let Some(text) = list.quoted("CODECS", report) else {
        report.add(&rules::CODECS, place, "CODECS is missing");
        return Vec::new();
    };
    let parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
    let is_full = |part: &String| match part.split('.').next().unwrap_or_default() {
        "avc1" | "avc3" => part.len() == 11 && part[5..].bytes().all(|byte| byte.is_ascii_hexdigit()),
        "mp4a" => part.split('.').count() >= 3,
        "" => false,
        _ => true,
    };
    if let Some(bad) = parts.iter().find(|part| !is_full(part)) {
        report.add(&rules::CODECS, place, format!("CODECS=\"{text}\" has {bad:?}, which is not in full"));
    }
    parts
}

/// True if one of the codecs is of a picture.
fn has_picture(codecs: &[String]) -> bool {
    let entries = ["avc1", "avc3", "hvc1", "hev1", "dvh1", "dvhe", "av01", "vp09", "vp08", "mjpg"];
    codecs.iter().any(|codec| entries.contains(&codec.split('.').next().unwrap_or_default()))
}

fn variant(list: &Attributes<'_>, place: &str, line: usize, uri: String, report: &mut Report) -> Variant {
    let bandwidth = list.integer("BANDWIDTH", report);
    if bandwidth.is_none_or(|bits| bits == 0) {
        report.add(&rules::BANDWIDTH, place, "BANDWIDTH is missing or nothing");
    }
    let average = list.integer("AVERAGE-BANDWIDTH", report);
    match (average, bandwidth) {
        (None, _) => report.add(&rules::AVERAGE_BANDWIDTH, place, "AVERAGE-BANDWIDTH is missing"),
        (Some(average), Some(peak)) if average > peak => {
            report.add(&rules::AVERAGE_BANDWIDTH, place, format!("the average {average} is above the peak {peak}"));
        }
        _ => {}
    }
    let codecs = codecs(list, place, report);
    let resolution = list.resolution("RESOLUTION", report);
    check_picture(&codecs, resolution, place, report);
    let frame_rate = list.millionths("FRAME-RATE", report);
    match frame_rate {
        None if has_picture(&codecs) => report.add(&rules::FRAME_RATE, place, "FRAME-RATE is missing"),
        Some(rate) if rate == 0 || rate > FRAME_RATE_MAX => {
            report.add(&rules::FRAME_RATE, place, "FRAME-RATE is nothing or above 60");
        }
        _ => {}
    }
    let audio = list.quoted("AUDIO", report).map(str::to_owned);
    Variant { uri, audio, bandwidth: bandwidth.unwrap_or(0), average, codecs, resolution, line }
}

fn check_picture(codecs: &[String], resolution: Option<(u32, u32)>, place: &str, report: &mut Report) {
    match (has_picture(codecs), resolution) {
        (true, None) => report.add(&rules::RESOLUTION, place, "RESOLUTION is missing"),
        (false, Some(_)) if !codecs.is_empty() => {
            report.add(&rules::RESOLUTION, place, "RESOLUTION is stated, but no codec of a picture");
        }
        _ => {}
    }
}

fn rendition(list: &Attributes<'_>, place: &str, line: usize, report: &mut Report) -> Option<Rendition> {
    let mut bad = |what: &str| report.add(&rules::MEDIA, place, what);
    for required in ["TYPE", "GROUP-ID", "NAME"] {
        if !list.has(required) {
            bad(&format!("{required} is missing"));
        }
    }
    let kind = match list.plain("TYPE", report)? {
        "AUDIO" => Kind::Audio,
        "VIDEO" => Kind::Video,
        "SUBTITLES" => Kind::Subtitles,
        "CLOSED-CAPTIONS" => Kind::Captions,
        other => {
            report.add(&rules::MEDIA, place, format!("TYPE={other} is not known"));
            return None;
        }
    };
    let uri = list.quoted("URI", report).map(str::to_owned);
    let (is_default, is_chosen) = (list.yes("DEFAULT", report), list.yes("AUTOSELECT", report));
    let mut bad = |what: &str| report.add(&rules::MEDIA, place, what);
    if is_default && list.has("AUTOSELECT") && !is_chosen {
        bad("DEFAULT=YES with AUTOSELECT=NO");
    }
    match kind {
        Kind::Captions if uri.is_some() => bad("closed captions have no URI"),
        Kind::Captions if !list.has("INSTREAM-ID") => bad("INSTREAM-ID is missing"),
        Kind::Subtitles if uri.is_none() => bad("subtitles need a URI"),
        _ => {}
    }
    if list.has("FORCED") && kind != Kind::Subtitles {
        bad("FORCED is for subtitles");
    }
    if uri.as_deref() == Some("") {
        bad("the URI is empty");
    }
    let language = list.quoted("LANGUAGE", report).map(str::to_owned);
    if kind != Kind::Video && language.as_deref().is_none_or(str::is_empty) {
        report.add(&rules::LANGUAGE, place, "LANGUAGE is missing");
    }
    let group = list.quoted("GROUP-ID", report).unwrap_or_default().to_owned();
    let name = list.quoted("NAME", report).unwrap_or_default().to_owned();
    stable_id(list, "STABLE-RENDITION-ID", uri.as_deref().unwrap_or(&name), place, &mut BTreeMap::new(), report);
    Some(Rendition { kind, uri, group, name, language, is_default, line })
}

fn iframes(list: &Attributes<'_>, place: &str, report: &mut Report) -> Option<Iframes> {
    if list.integer("BANDWIDTH", report).is_none_or(|bits| bits == 0) {
        report.add(&rules::BANDWIDTH, place, "BANDWIDTH is missing or nothing");
    }
    let codecs = codecs(list, place, report);
    let resolution = list.resolution("RESOLUTION", report);
    check_picture(&codecs, resolution, place, report);
    let uri = list.quoted("URI", report).filter(|uri| !uri.is_empty());
    if uri.is_none() {
        report.add(&rules::URI, place, "the I-frame playlist has no URI");
    }
    Some(Iframes { uri: uri?.to_owned(), codecs, resolution })
}

/// The same URI has the same id, and the id has none but the permitted characters.
fn stable_id(
    list: &Attributes<'_>,
    name: &str,
    uri: &str,
    place: &str,
    ids: &mut BTreeMap<String, String>,
    report: &mut Report,
) {
    let Some(id) = list.quoted(name, report) else { return };
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=.-_".contains(&byte)) {
        report.add(&rules::STABLE_ID, place, format!("{name}=\"{id}\" has other characters"));
    }
    let known = ids.entry(uri.to_owned()).or_insert_with(|| id.to_owned());
    if known != id {
        report.add(&rules::STABLE_ID, place, format!("{uri} has the ids {known} and {id}"));
    }
}

fn check_groups(found: &Multivariant, used: &[(Kind, String, String)], report: &mut Report) {
    let mut groups: BTreeMap<(Kind, &str), Vec<&Rendition>> = BTreeMap::new();
    for one in &found.renditions {
        groups.entry((one.kind, one.group.as_str())).or_default().push(one);
    }
    for (kind, group, place) in used {
        if !groups.contains_key(&(*kind, group.as_str())) {
            report.add(&rules::GROUPS, place, format!("there is no group \"{group}\" of this type"));
        }
    }
    let mut first: BTreeMap<Kind, (&str, BTreeSet<_>)> = BTreeMap::new();
    for ((kind, group), members) in &groups {
        let place = found.at(members[0].line);
        let names: BTreeSet<_> = members.iter().map(|one| (one.name.as_str(), one.language.as_deref())).collect();
        if members.iter().map(|one| one.name.as_str()).collect::<BTreeSet<_>>().len() < members.len() {
            report.add(&rules::GROUP_MEMBERS, place.clone(), format!("two members of \"{group}\" have the same name"));
        }
        if members.iter().filter(|one| one.is_default).count() > 1 {
            report.add(&rules::GROUP_MEMBERS, place.clone(), format!("\"{group}\" has more than one default"));
        }
        let (other, known) = first.entry(*kind).or_insert_with(|| (group, names.clone()));
        if *known != names {
            report.add(&rules::GROUP_MEMBERS, place, format!("\"{group}\" has other members than \"{other}\""));
        }
    }
}

fn check_all_or_none(rule: &'static rules::Rule, what: &str, given: &[(bool, String)], report: &mut Report) {
    if given.iter().any(|(has, _)| *has)
        && let Some((_, place)) = given.iter().find(|(has, _)| !has)
    {
        report.add(rule, place, format!("{what} is on other variants, but not on this one"));
    }
}

fn check_ranges(ranges: &[(Option<String>, String)], report: &mut Report) {
    for (range, place) in ranges {
        if let Some(other) = range.as_deref().filter(|range| !["SDR", "HLG", "PQ"].contains(range)) {
            report.add(&rules::VIDEO_RANGE, place, format!("VIDEO-RANGE={other} is not known"));
        }
    }
    let is_wide = |range: &Option<String>| range.as_deref().is_some_and(|range| range != "SDR");
    if ranges.iter().any(|(range, _)| is_wide(range)) {
        for (_, place) in ranges.iter().filter(|(range, _)| range.is_none()) {
            report.add(&rules::VIDEO_RANGE, place, "VIDEO-RANGE is missing beside variants that are not SDR");
        }
    }
}

fn check_session_data(lines: &Lines<'_>, report: &mut Report) {
    let mut known = BTreeSet::new();
    for (number, value) in lines.tags("EXT-X-SESSION-DATA") {
        let place = lines.at(number);
        let list = Attributes::read(place.clone(), value, report);
        let id = list.quoted("DATA-ID", report);
        if id.is_none() || list.has("VALUE") == list.has("URI") {
            report.add(&rules::SESSION_DATA, place.clone(), "it needs DATA-ID, and VALUE or URI");
        }
        let _ = (list.quoted("VALUE", report), list.quoted("URI", report));
        if !known.insert((id, list.quoted("LANGUAGE", report))) {
            report.add(&rules::SESSION_DATA, place, "another has the same DATA-ID and LANGUAGE");
        }
    }
}

fn check_whole(lines: &Lines<'_>, found: &Multivariant, report: &mut Report) {
    let pictures: Vec<&Variant> = found.variants.iter().filter(|variant| variant.resolution.is_some()).collect();
    let place = || lines.place.to_owned();
    if found.variants.is_empty() {
        report.add(&rules::BANDWIDTH, place(), "there is no variant");
    }
    if !pictures.is_empty() && found.iframes.is_empty() {
        report.add(&rules::IFRAMES, place(), "there is no I-frame playlist");
    }
    if !lines.has("EXT-X-INDEPENDENT-SEGMENTS") {
        report.add(&rules::INDEPENDENT, place(), "EXT-X-INDEPENDENT-SEGMENTS is missing");
    }
    if pictures.iter().map(|variant| &variant.uri).collect::<BTreeSet<_>>().len() == 1 {
        report.add(&rules::SEVERAL, place(), "there is one variant alone");
    }
    let Some(first) = pictures.first() else { return };
    let entry = |variant: &Variant| variant.codecs.first().and_then(|codec| codec.split('.').next()).map(str::to_owned);
    let distance = |variant: &Variant| variant.bandwidth.abs_diff(FIRST_VARIANT_BITRATE.0);
    let like_it = pictures.iter().filter(|other| other.audio == first.audio && entry(other) == entry(first));
    if let Some(nearer) = like_it.min_by_key(|other| distance(other)).filter(|other| distance(other) < distance(first))
    {
        let what = format!("the first variant has {} b/s, {} has {}", first.bandwidth, nearer.uri, nearer.bandwidth);
        report.add(&rules::FIRST_VARIANT, lines.at(first.line), what);
    }
    let size = |variant: &Variant| variant.resolution.map(|(width, height)| (u64::from(width), u64::from(height)));
    let Some((width, height)) = size(first) else { return };
    for other in &pictures {
        let Some((w, h)) = size(other) else { continue };
        // Sizes are even, so that small pictures are a little off.
        if (w * height).abs_diff(width * h) > (w * height) / ASPECT_TOLERANCE + 2 * height.max(h) {
            report.add(&rules::ASPECT, lines.at(other.line), format!("{w}x{h} beside {width}x{height}"));
        }
    }
}
