//! From a target and a presentation to what is behind it: a text to render, or an object of the store.

use domain::document::{self, Listed};
use domain::presentation::SegmentEntry;
use domain::{AssetId, DocumentId, EncryptionMethod, Presentation, RenditionId, Timescale};
use http::HeaderValue;
use media_store::{Key, layout};
use packager::encryption::Lock;
use packager::hls::View;
use packager::{chapters, dash, hls, storyboard, ts, webvtt};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::demand::Wanted;
use crate::disposition;
use crate::download;
use crate::locked::{Sealed, Shape};
use crate::route::{Locked, Part, Target};

/// Hexadecimal digits of the hash in an entity-tag: 128 bits.
const ETAG_DIGITS: usize = 32;

/// The media type of subtitles, the only stored objects that are text.
pub(crate) const WEBVTT: &str = "text/vtt";

/// What a target stands for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Resource {
    /// A document that follows from the presentation.
    Text(Text),
    /// An object of the store.
    Stored(Stored),
    /// A stored segment in another container, or encrypted.
    Packed(Packed),
    /// The key with this number.
    Key(u32),
    /// Which host to take it from.
    Steering,
    /// One file over all segments.
    Download(download::Plan),
    /// The documents of the asset.
    Documents,
    /// One of them.
    Document(Handed),
}

/// A document that is handed out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Handed {
    /// The object.
    pub(crate) stored: Stored,
    /// `Content-Disposition`.
    pub(crate) disposition: HeaderValue,
}

/// A stored segment in another container, or encrypted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Packed {
    /// The segment.
    pub(crate) segment: Stored,
    /// Its number.
    pub(crate) index: u32,
    /// Its initialization segment; `None` where it is not needed.
    pub(crate) init: Option<Stored>,
    /// What becomes of it.
    pub(crate) form: Form,
    /// The media type of what becomes of it.
    pub(crate) media_type: &'static str,
}

/// What becomes of a stored segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A transport stream, or text beside one.
    Transport,
    /// Encrypted.
    Locked(Sealed),
}

/// A document that follows from the presentation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Text {
    /// The multivariant playlist.
    Master,
    /// The DASH manifest.
    Manifest,
    /// Chapters in Apple's form.
    ChaptersJson,
    /// Chapters as WebVTT.
    ChaptersVtt,
    /// Storyboard tiles as WebVTT.
    StoryboardVtt,
    /// Storyboard tiles as JSON.
    StoryboardJson,
    /// The media playlist of a rendition.
    Playlist(RenditionId),
    /// The I-frame playlist of a rendition.
    Iframes(RenditionId),
    /// The image playlist.
    Images,
}

/// An object of the store.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Where it lies.
    pub(crate) key: Key,
    /// Its media type.
    pub(crate) media_type: &'static str,
    /// What the presentation tells of it.
    pub(crate) standing: Standing,
}

/// What a presentation tells of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// Committed, and measured: length and strong entity-tag.
    Measured {
        /// Octets.
        bytes: u64,
        /// The entity-tag.
        etag: HeaderValue,
    },
    /// Committed, not measured.
    Committed,
    /// It will be there once it is encoded, unless it is there already. Names the segment, if it is one that
    /// can be asked for.
    Planned(Option<Wanted>),
}

impl Text {
    /// What of `view` matters to it.
    pub(crate) fn seen(&self, view: View) -> View {
        match self {
            Self::StoryboardVtt | Self::StoryboardJson | Self::Images => View::default(),
            _ => view,
        }
    }

    /// Whether it says how segments are encrypted.
    pub(crate) fn names_keys(&self) -> bool {
        matches!(self, Self::Master | Self::Manifest | Self::Playlist(_) | Self::Iframes(_))
    }

    /// The document; `None` when the presentation has no such thing.
    pub(crate) fn render(&self, presentation: &Presentation, view: View) -> Option<String> {
        let prefix = format!("g{}/", presentation.generation);
        match self {
            Self::Master => Some(hls::multivariant(presentation, &prefix, view)),
            Self::Manifest => Some(dash::manifest(presentation, &prefix, view)),
            Self::Images => hls::images(presentation),
            Self::ChaptersJson => Some(chapters::apple_json(&view.chapters(presentation))),
            Self::ChaptersVtt => Some(webvtt::chapters(&view.chapters(presentation))),
            Self::StoryboardVtt => {
                let tiles = presentation.images.as_ref()?.storyboard.as_ref()?;
                Some(storyboard::vtt(tiles, &prefix))
            }
            Self::StoryboardJson => {
                let tiles = presentation.images.as_ref()?.storyboard.as_ref()?;
                Some(storyboard::json(tiles, presentation.duration, &prefix))
            }
            Self::Playlist(rendition) => hls::media(presentation, rendition, view),
            Self::Iframes(rendition) => hls::iframes(presentation, rendition, view),
        }
    }

    /// Its media type.
    pub(crate) fn media_type(&self) -> &'static str {
        match self {
            Self::Master | Self::Playlist(_) | Self::Iframes(_) | Self::Images => "application/vnd.apple.mpegurl",
            Self::Manifest => "application/dash+xml",
            Self::ChaptersJson | Self::StoryboardJson => "application/json",
            Self::ChaptersVtt | Self::StoryboardVtt => WEBVTT,
        }
    }
}

/// What `target` stands for in `presentation`, which is encrypted by `lock`; `None` when it is not part of it.
pub(crate) fn resolve(presentation: &Presentation, target: Target, lock: Option<Lock>) -> Option<Resource> {
    let part = match target {
        Target::Master => return Some(Resource::Text(Text::Master)),
        Target::Manifest => return Some(Resource::Text(Text::Manifest)),
        Target::Steering => return Some(Resource::Steering),
        // They stand in the pointer: see `document`.
        Target::Documents | Target::Document(_) => return None,
        Target::ChaptersJson => return Some(Resource::Text(Text::ChaptersJson)),
        Target::ChaptersVtt => return Some(Resource::Text(Text::ChaptersVtt)),
        Target::StoryboardVtt => return Some(Resource::Text(Text::StoryboardVtt)),
        Target::StoryboardJson => return Some(Resource::Text(Text::StoryboardJson)),
        Target::Poster => return image(presentation, &presentation.images.as_ref()?.poster).map(Resource::Stored),
        Target::Film(rendition) => return download::plan(presentation, &rendition, false).map(Resource::Download),
        Target::Sound(rendition) => return download::plan(presentation, &rendition, true).map(Resource::Download),
        Target::Key(generation, number) => {
            let is_one = generation == presentation.generation && lock?.has_key(presentation, number);
            return is_one.then_some(Resource::Key(number));
        }
        Target::Of(generation, part) => (generation == presentation.generation).then_some(part)?,
    };
    let stored = match part {
        Part::Playlist(rendition) => return Some(Resource::Text(Text::Playlist(rendition))),
        Part::Iframes(rendition) => return Some(Resource::Text(Text::Iframes(rendition))),
        Part::ImagePlaylist => return Some(Resource::Text(Text::Images)),
        Part::Init(rendition) => init(presentation, &rendition)?,
        Part::Media(rendition, index) => media(presentation, &rendition, index)?,
        Part::Transport(rendition, index) => {
            return transport(presentation, &rendition, index).map(Resource::Packed);
        }
        Part::TransportSubtitles(rendition, index) => {
            let segment = subtitles(presentation, &rendition, index)?;
            let form = Form::Transport;
            return Some(Resource::Packed(Packed { segment, index, init: None, form, media_type: WEBVTT }));
        }
        Part::Locked(edition, rendition, part) => {
            let lock = lock.filter(|lock| lock.edition() == edition)?;
            return locked(presentation, rendition, part, lock).map(Resource::Packed);
        }
        Part::Subtitles(rendition, index) => subtitles(presentation, &rendition, index)?,
        Part::Image(file) => image(presentation, &file)?,
    };
    Some(Resource::Stored(stored))
}

/// One of the documents that a pointer tells of; `None` when it does not.
pub(crate) fn document(asset: AssetId, listed: &[Listed], id: DocumentId) -> Option<Resource> {
    let document = listed.iter().find(|document| document.id == id)?;
    let media_type = document::served_as(&document.media_type);
    let standing = Standing::Measured { bytes: document.size_bytes.0, etag: etag(&document.sha256)? };
    let name = document::file_name(&disposition::plain(&document.name, document::NAMELESS), media_type);
    let stored = Stored { key: layout::document(asset, id), media_type, standing };
    Some(Resource::Document(Handed { stored, disposition: disposition::attachment(&name) }))
}

/// What is told of the documents of an asset, relative to `documents.json`.
pub(crate) fn documents(listed: &[Listed]) -> String {
    let one = |document: &Listed| {
        json!({
            "id": document.id, "name": document.name, "description": document.description,
            "media_type": document.media_type, "size_bytes": document.size_bytes, "sha256": document.sha256,
            "url": format!("documents/{}", document.id),
        })
    };
    json!({ "documents": listed.iter().map(one).collect::<Vec<_>>() }).to_string()
}

fn init(presentation: &Presentation, rendition: &RenditionId) -> Option<Stored> {
    let (media_type, _) = coded(presentation, rendition)?;
    let standing = if presentation.is_complete() { Standing::Committed } else { Standing::Planned(None) };
    Some(Stored { key: layout::init(presentation.asset, presentation.generation, rendition), media_type, standing })
}

fn media(presentation: &Presentation, rendition: &RenditionId, index: u32) -> Option<Stored> {
    let (media_type, entries) = coded(presentation, rendition)?;
    let (asset, generation) = (presentation.asset, presentation.generation);
    let wanted = || Wanted { asset, generation, rendition: rendition.clone(), segment: index };
    let standing = match standing(entries.get(usize::try_from(index).ok()?)?) {
        Standing::Planned(_) => Standing::Planned(Some(wanted())),
        known => known,
    };
    Some(Stored { key: layout::segment(asset, generation, rendition, index), media_type, standing })
}

fn transport(presentation: &Presentation, rendition: &RenditionId, index: u32) -> Option<Packed> {
    let video = presentation.video.iter().find(|video| video.id == *rendition).map(|video| &video.codecs);
    let audio = || presentation.audio.iter().find(|audio| audio.id == *rendition).map(|audio| &audio.codecs);
    video.or_else(audio).filter(|codecs| ts::is_possible(codecs))?;
    let (segment, init) = (media(presentation, rendition, index)?, Some(init(presentation, rendition)?));
    Some(Packed { segment, index, init, form: Form::Transport, media_type: "video/mp2t" })
}

/// Whether an asset that is encrypted keeps this to itself: what would show its picture or sound clear.
pub(crate) fn is_withheld(presentation: &Presentation, target: &Target, lock: Lock) -> bool {
    match target {
        Target::Manifest => !dash::is_possible(lock),
        Target::Film(_) | Target::Sound(_) => true,
        Target::Of(_, Part::Media(rendition, index) | Part::Transport(rendition, index)) => {
            timed(presentation, rendition)
                .is_some_and(|(segments, timescale, _)| lock.key_of(segments, timescale, *index).is_some())
        }
        _ => false,
    }
}

/// Segments of a video or audio rendition, their timescale and codecs.
fn timed<'a>(
    presentation: &'a Presentation,
    rendition: &RenditionId,
) -> Option<(&'a [SegmentEntry], Timescale, &'a str)> {
    let video = presentation.video.iter().map(|one| (&one.id, &one.segments, one.timescale, &one.codecs));
    let audio = presentation.audio.iter().map(|one| (&one.id, &one.segments, one.timescale, &one.codecs));
    let found = video.chain(audio).find(|(id, ..)| *id == rendition);
    found.map(|(_, segments, timescale, codecs)| (segments.as_slice(), timescale, codecs.as_str()))
}

fn locked(presentation: &Presentation, rendition: RenditionId, part: Locked, lock: Lock) -> Option<Packed> {
    let (segments, timescale, codecs) = timed(presentation, &rendition)?;
    lock.is_possible(codecs).then_some(())?;
    let is_sample = lock.method() == EncryptionMethod::Cbcs;
    let clear = init(presentation, &rendition)?;
    let key = |index| lock.key_of(segments, timescale, index);
    let sealed = |number, shape| Form::Locked(Sealed { lock, rendition: rendition.clone(), number, shape });
    match part {
        Locked::Init(number) => {
            let is_one = is_sample && lock.has_key(presentation, number);
            is_one.then_some(())?;
            let media_type = clear.media_type;
            Some(Packed { segment: clear, index: 0, init: None, form: sealed(number, Shape::Init), media_type })
        }
        Locked::Media(index) => {
            let segment = media(presentation, &rendition, index)?;
            let (init, media_type) = (is_sample.then_some(clear), segment.media_type);
            Some(Packed { segment, index, init, form: sealed(key(index)?, Shape::Whole), media_type })
        }
        Locked::Iframe(index, iframe) => {
            let segment = media(presentation, &rendition, index)?;
            let entry = segments.get(usize::try_from(index).ok()?)?;
            let range = *entry.keyframes.get(usize::try_from(iframe).ok()?)?;
            let (init, media_type) = (is_sample.then_some(clear), segment.media_type);
            Some(Packed { segment, index, init, form: sealed(key(index)?, Shape::Iframe(range)), media_type })
        }
        Locked::Transport(index) => {
            let packed = transport(presentation, &rendition, index).filter(|_| !is_sample)?;
            Some(Packed { form: sealed(key(index)?, Shape::Transport), ..packed })
        }
    }
}

/// The media type and segments of a video or audio rendition.
fn coded<'a>(presentation: &'a Presentation, rendition: &RenditionId) -> Option<(&'static str, &'a [SegmentEntry])> {
    let video = presentation.video.iter().find(|video| video.id == *rendition);
    let audio = || presentation.audio.iter().find(|audio| audio.id == *rendition);
    video
        .map(|video| ("video/mp4", video.segments.as_slice()))
        .or_else(|| audio().map(|audio| ("audio/mp4", audio.segments.as_slice())))
}

fn subtitles(presentation: &Presentation, rendition: &RenditionId, index: u32) -> Option<Stored> {
    let subtitles = presentation.subtitles.iter().find(|subtitles| subtitles.id == *rendition)?;
    let standing = standing(subtitles.segments.get(usize::try_from(index).ok()?)?);
    let key = layout::subtitle(presentation.asset, presentation.generation, rendition, index);
    Some(Stored { key, media_type: WEBVTT, standing })
}

fn image(presentation: &Presentation, file: &str) -> Option<Stored> {
    let is_known = presentation.images.as_ref()?.files().any(|known| known == file);
    let key = layout::image(presentation.asset, presentation.generation, file).ok().filter(|_| is_known)?;
    let media_type = match file.rsplit_once('.') {
        Some((_, "png")) => "image/png",
        Some((_, "webp")) => "image/webp",
        _ => "image/jpeg",
    };
    Some(Stored { key, media_type, standing: Standing::Committed })
}

fn standing(entry: &SegmentEntry) -> Standing {
    match (entry.bytes, entry.sha256.as_deref()) {
        (Some(bytes), Some(sha256)) => match etag(sha256) {
            Some(etag) => Standing::Measured { bytes, etag },
            None => Standing::Committed,
        },
        _ => Standing::Planned(None),
    }
}

/// The strong entity-tag of content with this hash; the same on every replica.
pub(crate) fn etag(sha256: &str) -> Option<HeaderValue> {
    let digits = sha256.get(..ETAG_DIGITS)?;
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then(|| HeaderValue::from_str(&format!("\"{digits}\"")).ok())?
}

/// The strong entity-tag of `content`, computed.
pub(crate) fn etag_of(content: &[u8]) -> HeaderValue {
    let digits: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    etag(&digits).expect("a digest has 64 hexadecimal digits")
}
