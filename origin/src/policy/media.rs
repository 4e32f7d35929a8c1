//! What CDNs and players are told about one object of a presentation: its tags, what comes next, what it is.

use domain::presentation::SegmentEntry;
use domain::{Presentation, RenditionId, Timescale};
use http::{HeaderMap, HeaderName};
use packager::encryption::Lock;

use crate::resource::{Resource, Standing};
use crate::route::{Locked, Part, Route, Target};

/// Tags by which a CDN purges: Fastly and Varnish divide them by blanks, Cloudflare, CloudFront and Akamai by commas.
///
/// `asset:` names the playback id, which the path tells anyhow; the asset's own id is nobody's business outside.
pub(super) fn tag(route: &Route, resource: &Resource, headers: &mut HeaderMap) {
    const BY_BLANKS: HeaderName = HeaderName::from_static("surrogate-key");
    const BY_COMMAS: HeaderName = HeaderName::from_static("cache-tag");
    const AS_TOKENS: HeaderName = HeaderName::from_static("edge-cache-tag");
    let playback = route.playback;
    let mut tags = vec![format!("asset:{playback}")];
    let is_list = matches!(resource, Resource::Text(_) | Resource::Documents) || route.target == Target::Poster;
    if is_list || matches!(resource, Resource::Download(_) | Resource::Document(_)) {
        // Segments stay what they are; these show something else once another document is in force.
        tags.push(format!("list:{playback}"));
    }
    if let Target::Of(generation, part) = &route.target {
        tags.push(format!("gen:{playback}/g{generation}"));
        tags.extend(rendition_of(part).map(|rendition| format!("rend:{playback}/{rendition}")));
    }
    super::insert(headers, BY_BLANKS, &tags.join(" "));
    super::insert(headers, BY_COMMAS, &tags.join(","));
    let tokens: Vec<String> = tags.iter().map(|tag| as_token(tag)).collect();
    super::insert(headers, AS_TOKENS, &tokens.join(","));
}

/// A tag as Akamai takes it, which allows no colons in them, and did not allow slashes.
pub fn as_token(tag: &str) -> String {
    tag.replace(':', "-").replace('/', ".")
}

/// The file that a player will want after this one, relative to it; none after the last and for what has no order.
pub(super) fn next_of(route: &Route, presentation: &Presentation, lock: Option<Lock>) -> Option<String> {
    let Target::Of(_, part) = &route.target else { return None };
    let (index, extension) = match part {
        // What follows a clear beginning may lie elsewhere.
        Part::Media(..) | Part::Transport(..) if lock.is_some() => return None,
        Part::Media(_, index) => (*index, "m4s"),
        Part::Subtitles(_, index) => (*index, "vtt"),
        Part::Transport(_, index) => (*index, "ts"),
        Part::Locked(_, _, Locked::Media(index)) => (*index, "m4s"),
        Part::Locked(_, _, Locked::Transport(index)) => (*index, "ts"),
        _ => return None,
    };
    let (entries, _) = entries(presentation, rendition_of(part)?)?;
    let next = index.checked_add(1)?;
    entries.get(usize::try_from(next).ok()?).map(|_| format!("{next}.{extension}"))
}

/// What the object is, in the words of CTA-5006: its kind, and of a segment its duration and bit rate.
pub(super) fn cmsd(route: &Route, resource: &Resource, presentation: &Presentation) -> String {
    let part = match &route.target {
        Target::Of(_, part) => part,
        Target::Key(..) => return "ot=k,sf=h,st=v".into(),
        Target::Poster => return "ot=o,sf=h,st=v".into(),
        _ => return "ot=m,sf=h,st=v".into(),
    };
    let is_sound = |rendition: &RenditionId| presentation.audio.iter().any(|audio| audio.id == *rendition);
    let kind = match part {
        Part::Init(_) | Part::Locked(_, _, Locked::Init(_)) => "i",
        Part::Subtitles(..) | Part::TransportSubtitles(..) => "c",
        Part::Media(rendition, _) | Part::Transport(rendition, _) | Part::Locked(_, rendition, _)
            if is_sound(rendition) =>
        {
            "a"
        }
        Part::Media(..) | Part::Transport(..) | Part::Locked(..) => "v",
        Part::Image(_) => "o",
        _ => "m",
    };
    let index = match part {
        Part::Media(_, index)
        | Part::Transport(_, index)
        | Part::Subtitles(_, index)
        | Part::TransportSubtitles(_, index)
        | Part::Locked(_, _, Locked::Media(index) | Locked::Transport(index)) => usize::try_from(*index).ok(),
        _ => None,
    };
    let timed = index.zip(rendition_of(part)).and_then(|(index, rendition)| {
        let (entries, scale) = entries(presentation, rendition)?;
        Some(u128::from(entries.get(index)?.ticks) * 1000 / u128::from(scale.per_second()))
    });
    let mut told = format!("ot={kind},sf=h,st=v");
    if let Some(duration_ms) = timed.filter(|duration_ms| *duration_ms > 0) {
        told.push_str(&format!(",d={duration_ms}"));
        if let Resource::Stored(stored) = resource
            && let Standing::Measured { bytes, .. } = stored.standing
        {
            told.push_str(&format!(",br={}", u128::from(bytes) * 8 / duration_ms));
        }
    }
    told
}

fn rendition_of(part: &Part) -> Option<&RenditionId> {
    match part {
        Part::Playlist(rendition)
        | Part::Iframes(rendition)
        | Part::Init(rendition)
        | Part::Media(rendition, _)
        | Part::Transport(rendition, _)
        | Part::Subtitles(rendition, _)
        | Part::TransportSubtitles(rendition, _)
        | Part::Locked(_, rendition, _) => Some(rendition),
        Part::Image(_) | Part::ImagePlaylist => None,
    }
}

fn entries<'a>(presentation: &'a Presentation, rendition: &RenditionId) -> Option<(&'a [SegmentEntry], Timescale)> {
    let video = presentation.video.iter().map(|video| (&video.id, video.segments.as_slice(), video.timescale));
    let audio = presentation.audio.iter().map(|audio| (&audio.id, audio.segments.as_slice(), audio.timescale));
    let texts = presentation.subtitles.iter().map(|text| (&text.id, text.segments.as_slice(), text.timescale));
    let mut all = video.chain(audio).chain(texts);
    all.find(|(id, ..)| *id == rendition).map(|(_, entries, scale)| (entries, scale))
}
