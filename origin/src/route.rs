//! What a request path names, in words of the presentation; never a path into the store.

use domain::{DocumentId, Generation, PlaybackId, RenditionId};
use packager::encryption::Edition;

/// Longest path that is read, in octets.
const PATH_BYTES_MAX: usize = 1024;

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteError {
    /// It is longer than any path of ours.
    #[error("the path is longer than {PATH_BYTES_MAX} octets")]
    TooLong,
    /// It is badly encoded, or tries to leave its folder.
    #[error("the path is not well-formed")]
    Malformed,
    /// There is no such kind of thing.
    #[error("there is nothing at this path")]
    Unknown,
}

/// A path below `/v/`, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The asset's public name.
    pub(crate) playback: PlaybackId,
    /// What of it.
    pub(crate) target: Target,
}

/// What of an asset is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `master.m3u8`.
    Master,
    /// `manifest.mpd`.
    Manifest,
    /// `steering.json`.
    Steering,
    /// `chapters.json`, in Apple's form.
    ChaptersJson,
    /// `chapters.vtt`.
    ChaptersVtt,
    /// `storyboard.vtt`.
    StoryboardVtt,
    /// `storyboard.json`.
    StoryboardJson,
    /// `poster.jpg`: the poster in force.
    Poster,
    /// `{rendition}.mp4`: the picture with its sound in one file.
    Film(RenditionId),
    /// `{rendition}.m4a`: sound alone in one file.
    Sound(RenditionId),
    /// `documents.json`: the documents of the asset.
    Documents,
    /// `documents/{id}`: one of them.
    Document(DocumentId),
    /// `keys/{N}/{number}`: a key of what is encrypted of one generation.
    Key(Generation, u32),
    /// `g{N}/...`: what belongs to one generation.
    Of(Generation, Part),
}

/// A file of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// `{rendition}/playlist.m3u8`.
    Playlist(RenditionId),
    /// `{rendition}/iframes.m3u8`.
    Iframes(RenditionId),
    /// `{rendition}/init.mp4`.
    Init(RenditionId),
    /// `{rendition}/{index}.m4s`.
    Media(RenditionId, u32),
    /// `{rendition}/{index}.ts`, made of the segment with this number.
    Transport(RenditionId, u32),
    /// `{rendition}/{edition}/...`, what is encrypted.
    Locked(Edition, RenditionId, Locked),
    /// `{rendition}/{index}.vtt`.
    Subtitles(RenditionId, u32),
    /// `{rendition}/{index}-ts.vtt`, the same beside transport streams.
    TransportSubtitles(RenditionId, u32),
    /// `images/playlist.m3u8`.
    ImagePlaylist,
    /// `images/{file}`.
    Image(String),
}

/// An encrypted file of one rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locked {
    /// `init-{number}.mp4`, for samples that are encrypted by the key with this number.
    Init(u32),
    /// `{index}.m4s`.
    Media(u32),
    /// `{index}.ts`.
    Transport(u32),
    /// `{index}-{number}.m4s`, an I-frame of a segment.
    Iframe(u32, u32),
}

/// Reads a path as it stands in the request, still percent-encoded.
pub(crate) fn parse(path: &str) -> Result<Route, RouteError> {
    if path.len() > PATH_BYTES_MAX {
        return Err(RouteError::TooLong);
    }
    let segments = path.strip_prefix('/').ok_or(RouteError::Malformed)?.split('/').map(decode);
    let segments: Vec<String> = segments.collect::<Option<_>>().ok_or(RouteError::Malformed)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["v", playback, rest @ ..] = segments.as_slice() else { return Err(RouteError::Unknown) };
    let playback = playback.parse().map_err(|_| RouteError::Unknown)?;
    let target = target(rest).ok_or(RouteError::Unknown)?;
    Ok(Route { playback, target })
}

fn target(segments: &[&str]) -> Option<Target> {
    match *segments {
        ["master.m3u8"] => Some(Target::Master),
        ["manifest.mpd"] => Some(Target::Manifest),
        ["steering.json"] => Some(Target::Steering),
        ["chapters.json"] => Some(Target::ChaptersJson),
        ["chapters.vtt"] => Some(Target::ChaptersVtt),
        ["storyboard.vtt"] => Some(Target::StoryboardVtt),
        ["storyboard.json"] => Some(Target::StoryboardJson),
        ["documents.json"] => Some(Target::Documents),
        ["poster.jpg"] => Some(Target::Poster),
        [file] => match file.rsplit_once('.')? {
            (rendition, "mp4") => Some(Target::Film(RenditionId::new(rendition).ok()?)),
            (rendition, "m4a") => Some(Target::Sound(RenditionId::new(rendition).ok()?)),
            _ => None,
        },
        ["documents", document] => Some(Target::Document(document.parse().ok()?)),
        ["keys", generation, key] => Some(Target::Key(Generation(number(generation)?), number(key)?)),
        [generation, folder, file] => {
            let generation = Generation(number(generation.strip_prefix('g')?)?);
            Some(Target::Of(generation, part(folder, file)?))
        }
        [generation, folder, edition, file] => {
            let generation = Generation(number(generation.strip_prefix('g')?)?);
            let (rendition, edition) = (RenditionId::new(folder).ok()?, edition.parse().ok()?);
            Some(Target::Of(generation, Part::Locked(edition, rendition, locked(file)?)))
        }
        _ => None,
    }
}

fn part(folder: &str, file: &str) -> Option<Part> {
    match (folder, file) {
        ("images", "playlist.m3u8") => return Some(Part::ImagePlaylist),
        ("images", file) => return Some(Part::Image(file.to_owned())),
        _ => {}
    }
    let rendition = RenditionId::new(folder).ok()?;
    match file {
        "playlist.m3u8" => Some(Part::Playlist(rendition)),
        "iframes.m3u8" => Some(Part::Iframes(rendition)),
        "init.mp4" => Some(Part::Init(rendition)),
        _ => match file.split_once('.')? {
            (index, "m4s") => Some(Part::Media(rendition, number(index)?)),
            (index, "ts") => Some(Part::Transport(rendition, number(index)?)),
            (index, "vtt") => match index.strip_suffix("-ts") {
                Some(index) => Some(Part::TransportSubtitles(rendition, number(index)?)),
                None => Some(Part::Subtitles(rendition, number(index)?)),
            },
            _ => None,
        },
    }
}

fn locked(file: &str) -> Option<Locked> {
    let (name, ending) = file.split_once('.')?;
    match (ending, name.split_once('-')) {
        ("mp4", Some(("init", key))) => Some(Locked::Init(number(key)?)),
        ("m4s", Some((index, iframe))) => Some(Locked::Iframe(number(index)?, number(iframe)?)),
        ("m4s", None) => Some(Locked::Media(number(name)?)),
        ("ts", None) => Some(Locked::Transport(number(name)?)),
        _ => None,
    }
}

/// A number in the one form we print, so that each object has one address.
fn number(digits: &str) -> Option<u32> {
    let is_canonical = digits == "0" || !digits.starts_with('0');
    (is_canonical && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Decodes one path segment, once. `None` for bad escapes and for whatever could mean another folder.
fn decode(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' { hex(bytes.next()?)? << 4 | hex(bytes.next()?)? } else { byte });
    }
    let is_plain = |byte: &u8| !matches!(byte, b'/' | b'\\') && !byte.is_ascii_control();
    let is_here = !matches!(decoded.as_slice(), b"" | b"." | b"..");
    (is_here && decoded.iter().all(is_plain)).then(|| String::from_utf8(decoded).ok())?
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn playback() -> PlaybackId {
        PlaybackId::from_u128(7)
    }

    /// Parses a path below the playback id.
    fn parse_below(rest: &str) -> Result<Target, RouteError> {
        parse(&format!("/v/{}/{rest}", playback())).map(|route| route.target)
    }

    fn rendition(name: &str) -> RenditionId {
        RenditionId::new(name).unwrap()
    }

    #[test]
    fn every_kind_of_file_has_one_address() {
        let of = |part| Ok(Target::Of(Generation(3), part));
        assert_eq!(parse_below("master.m3u8"), Ok(Target::Master));
        assert_eq!(parse_below("manifest.mpd"), Ok(Target::Manifest));
        assert_eq!(parse_below("steering.json"), Ok(Target::Steering));
        assert_eq!(parse_below("720p.mp4"), Ok(Target::Film(rendition("720p"))));
        assert_eq!(parse_below("audio-0-en.m4a"), Ok(Target::Sound(rendition("audio-0-en"))));
        assert_eq!(parse_below("g3/images/playlist.m3u8"), of(Part::ImagePlaylist));
        assert_eq!(parse_below("chapters.json"), Ok(Target::ChaptersJson));
        assert_eq!(parse_below("chapters.vtt"), Ok(Target::ChaptersVtt));
        assert_eq!(parse_below("storyboard.vtt"), Ok(Target::StoryboardVtt));
        assert_eq!(parse_below("storyboard.json"), Ok(Target::StoryboardJson));
        assert_eq!(parse_below("poster.jpg"), Ok(Target::Poster));
        assert_eq!(parse_below("g3/720p/playlist.m3u8"), of(Part::Playlist(rendition("720p"))));
        assert_eq!(parse_below("g3/720p/iframes.m3u8"), of(Part::Iframes(rendition("720p"))));
        assert_eq!(parse_below("g3/audio-0-en/init.mp4"), of(Part::Init(rendition("audio-0-en"))));
        assert_eq!(parse_below("g3/720p/0.m4s"), of(Part::Media(rendition("720p"), 0)));
        assert_eq!(parse_below("g3/720p/4294967295.m4s"), of(Part::Media(rendition("720p"), u32::MAX)));
        assert_eq!(parse_below("g3/text-0-de/12.vtt"), of(Part::Subtitles(rendition("text-0-de"), 12)));
        assert_eq!(parse_below("g3/720p/7.ts"), of(Part::Transport(rendition("720p"), 7)));
        assert_eq!(parse_below("g3/text-0-de/7-ts.vtt"), of(Part::TransportSubtitles(rendition("text-0-de"), 7)));
        assert_eq!(parse_below("g3/images/poster.jpg"), of(Part::Image("poster.jpg".into())));
        assert_eq!(parse_below("documents.json"), Ok(Target::Documents));
        let document = DocumentId::from_u128(3);
        assert_eq!(parse_below(&format!("documents/{document}")), Ok(Target::Document(document)));
        assert_eq!(parse_below("keys/3/12"), Ok(Target::Key(Generation(3), 12)));
        let locked = |part| of(Part::Locked("00ab12cd34ef".parse().unwrap(), rendition("720p"), part));
        assert_eq!(parse_below("g3/720p/00ab12cd34ef/init-2.mp4"), locked(Locked::Init(2)));
        assert_eq!(parse_below("g3/720p/00ab12cd34ef/7.m4s"), locked(Locked::Media(7)));
        assert_eq!(parse_below("g3/720p/00ab12cd34ef/7.ts"), locked(Locked::Transport(7)));
        assert_eq!(parse_below("g3/720p/00ab12cd34ef/7-2.m4s"), locked(Locked::Iframe(7, 2)));
        assert_eq!(parse_below("g3/720p/%30%2em4s"), of(Part::Media(rendition("720p"), 0)));
    }

    #[test]
    fn other_spellings_name_nothing() {
        for rest in [
            "master.M3U8",
            "master.m3u8.bak",
            "720P.mp4",
            ".mp4",
            "720p.mkv",
            "g03/720p/0.m4s",
            "g/720p/0.m4s",
            "3/720p/0.m4s",
            "g3/720p/00.m4s",
            "g3/720p/+1.m4s",
            "g3/720p/-1.m4s",
            "g3/720p/4294967296.m4s",
            "g3/720p/.m4s",
            "g3/720p/1.m4s.m4s",
            "g3/720P/1.m4s",
            "g3/720p/01.ts",
            "g3/720p/1-ts.m4s",
            "g3/720p/-ts.vtt",
            "g3/720p",
            "g3/720p/1/1.m4s",
            "g3/720p/00AB12CD34EF/7.m4s",
            "g3/720p/00ab12cd34ef0/7.m4s",
            "g3/720p/00ab12cd34ef/init.mp4",
            "g3/720p/00ab12cd34ef/07.m4s",
            "g3/720p/00ab12cd34ef/7-0.ts",
            "g3/720p/00ab12cd34ef/7.vtt",
            "documents",
            "documents/3",
            "documents/doc_00000000000000000000000003.pdf",
            "documents/DOC_00000000000000000000000003",
            "keys/g3/0",
            "keys/3/00",
            "keys/3",
            "%252e%252e/secret",
        ] {
            assert_eq!(parse_below(rest), Err(RouteError::Unknown), "{rest}");
        }
        assert_eq!(parse("/v/plb_short/master.m3u8"), Err(RouteError::Unknown));
        assert_eq!(parse("/healthz"), Err(RouteError::Unknown));
    }

    #[test]
    fn ways_out_of_the_folder_are_refused() {
        for rest in [
            "../master.m3u8",
            "./master.m3u8",
            "g3/%2e%2E/0.m4s",
            "g3//0.m4s",
            "g3/images/..%2f..%2fetc%2fpasswd",
            "g3/images/..%5c..%5cboot.ini",
            "g3/images/..\\boot.ini",
            "g3/images/a%00.jpg",
            "g3/images/a%0a.jpg",
            "g3/images/%ff%fe.jpg",
            "g3/images/%",
            "g3/images/%2",
            "g3/images/%zz",
            "g3/images/",
            "",
        ] {
            assert_eq!(parse_below(rest), Err(RouteError::Malformed), "{rest}");
        }
        assert_eq!(parse("*"), Err(RouteError::Malformed));
        assert_eq!(parse(&format!("/v/{}", "a".repeat(PATH_BYTES_MAX))), Err(RouteError::TooLong));
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "\\PC{0,80}") {
            let _ = parse(&path);
            let _ = parse_below(&path);
        }
    }
}
