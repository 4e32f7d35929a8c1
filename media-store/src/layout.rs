//! Where every object lies: the only place that formats keys.
//!
//! ```text
//! sources/{asset} | {asset}-{version}
//! media/{asset}/{generation}/{rendition}/init.mp4 | {index}.m4s
//! media/{asset}/{generation}/images/{file}
//! media/{asset}/{generation}/subtitles/{rendition}/{index}.vtt
//! texts/{asset}/{text}
//! documents/{asset}/{document}
//! avatars/{user}/{picture}
//! posters/{asset}/{picture}
//! presentations/{asset}/{generation}-{revision}.json
//! current/{playback}.json
//! ```

use std::fmt;

use domain::{
    AssetId, DocumentId, Generation, PictureId, PlaybackId, RenditionId, SourceId, SourceVersion, TextId, UserId,
};

/// The name of one object. Only this module makes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key as text: path segments of `a-z A-Z 0-9 . _ -` with `/` between them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last path segment.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The rest of the key behind `prefix` and a `/`; `None` unless it lies below it.
    pub fn below(&self, prefix: &Prefix) -> Option<&str> {
        self.0.strip_prefix(prefix.as_str())?.strip_prefix('/')
    }

    /// A key that the store itself listed.
    pub(crate) fn listed(key: String) -> Self {
        Self(key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The common beginning of a family of keys, whole path segments only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix as text, without a trailing `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file name that may not be part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a file name is 1 to 80 characters of a-z, A-Z, 0-9, '.', '_', '-' and does not begin with '.'")]
pub struct FileNameError;

/// One of the sources that an asset has had; the first one has no number.
pub fn source(source: impl Into<SourceId>) -> Key {
    let SourceId { asset, version } = source.into();
    if version == SourceVersion::FIRST {
        return Key(format!("sources/{asset}"));
    }
    Key(format!("sources/{asset}-{version}"))
}

/// The initialisation segment of a video or audio rendition.
pub fn init(asset: AssetId, generation: Generation, rendition: &RenditionId) -> Key {
    Key(format!("media/{asset}/{generation}/{rendition}/init.mp4"))
}

/// Segment number `index` (from 0) of a video or audio rendition.
pub fn segment(asset: AssetId, generation: Generation, rendition: &RenditionId, index: u32) -> Key {
    Key(format!("media/{asset}/{generation}/{rendition}/{index}.m4s"))
}

/// Segment number `index` (from 0) of a subtitle rendition.
pub fn subtitle(asset: AssetId, generation: Generation, rendition: &RenditionId, index: u32) -> Key {
    Key(format!("media/{asset}/{generation}/subtitles/{rendition}/{index}.vtt"))
}

/// All segments of a subtitle rendition.
pub fn subtitle_of(asset: AssetId, generation: Generation, rendition: &RenditionId) -> Prefix {
    Prefix(format!("media/{asset}/{generation}/subtitles/{rendition}"))
}

/// A subtitle file that was added to an asset, as it was sent.
pub fn text(asset: AssetId, text: TextId) -> Key {
    Key(format!("texts/{asset}/{text}"))
}

/// All subtitle files that were added to an asset.
pub fn texts_of(asset: AssetId) -> Prefix {
    Prefix(format!("texts/{asset}"))
}

/// A document that was added to an asset.
pub fn document(asset: AssetId, document: DocumentId) -> Key {
    Key(format!("documents/{asset}/{document}"))
}

/// All documents that were added to an asset.
pub fn documents_of(asset: AssetId) -> Prefix {
    Prefix(format!("documents/{asset}"))
}

/// A picture of somebody, a JPEG.
pub fn avatar(user: UserId, picture: PictureId) -> Key {
    Key(format!("avatars/{user}/{picture}"))
}

/// A picture that was sent to be the poster of an asset, a JPEG.
pub fn poster(asset: AssetId, picture: PictureId) -> Key {
    Key(format!("posters/{asset}/{picture}"))
}

/// All pictures that were sent to be the poster of an asset.
pub fn posters_of(asset: AssetId) -> Prefix {
    Prefix(format!("posters/{asset}"))
}

/// A poster, thumbnail or storyboard sheet.
///
/// # Errors
/// [`FileNameError`] when `file` is not a plain, safe file name.
pub fn image(asset: AssetId, generation: Generation, file: &str) -> Result<Key, FileNameError> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=80).contains(&file.len()) || file.starts_with('.') || !file.bytes().all(is_safe) {
        return Err(FileNameError);
    }
    Ok(Key(format!("media/{asset}/{generation}/images/{file}")))
}

/// All pictures of one generation.
pub fn images_of(asset: AssetId, generation: Generation) -> Prefix {
    Prefix(format!("media/{asset}/{generation}/images"))
}

/// One revision of the presentation of a generation.
pub fn presentation(asset: AssetId, generation: Generation, revision: u32) -> Key {
    Key(format!("presentations/{asset}/{generation}-{revision}.json"))
}

/// Which presentation of an asset a listed key is; `None` if it is none.
pub fn presentation_named(asset: AssetId, key: &Key) -> Option<(Generation, u32)> {
    let (generation, revision) = key.file_name().strip_suffix(".json")?.split_once('-')?;
    let named = (Generation(generation.parse().ok()?), revision.parse().ok()?);
    // Only the one way of writing it counts.
    (presentation(asset, named.0, named.1) == *key).then_some(named)
}

/// The pointer of a playback id: the only object that is ever overwritten.
pub fn pointer(playback: PlaybackId) -> Key {
    Key(format!("current/{playback}.json"))
}

/// All media of an asset, over all generations.
pub fn media_of(asset: AssetId) -> Prefix {
    Prefix(format!("media/{asset}"))
}

/// All media of one generation.
pub fn generation_of(asset: AssetId, generation: Generation) -> Prefix {
    Prefix(format!("media/{asset}/{generation}"))
}

/// All media of one video or audio rendition.
pub fn rendition_of(asset: AssetId, generation: Generation, rendition: &RenditionId) -> Prefix {
    Prefix(format!("media/{asset}/{generation}/{rendition}"))
}

/// All presentations of an asset.
pub fn presentations_of(asset: AssetId) -> Prefix {
    Prefix(format!("presentations/{asset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_design() {
        let (asset, generation) = (AssetId::from_u128(1), Generation(2));
        let rendition = RenditionId::new("720p").expect("a name");
        let id = "ast_00000000000000000000000001";
        let keys = [
            (source(asset), format!("sources/{id}")),
            (source(SourceId { asset, version: SourceVersion(12) }), format!("sources/{id}-12")),
            (init(asset, generation, &rendition), format!("media/{id}/2/720p/init.mp4")),
            (segment(asset, generation, &rendition, 17), format!("media/{id}/2/720p/17.m4s")),
            (subtitle(asset, generation, &rendition, 3), format!("media/{id}/2/subtitles/720p/3.vtt")),
            (text(asset, TextId::from_u128(3)), format!("texts/{id}/txt_00000000000000000000000003")),
            (document(asset, DocumentId::from_u128(3)), format!("documents/{id}/doc_00000000000000000000000003")),
            (
                avatar(UserId::from_u128(4), PictureId::from_u128(5)),
                "avatars/usr_00000000000000000000000004/pic_00000000000000000000000005".into(),
            ),
            (poster(asset, PictureId::from_u128(5)), format!("posters/{id}/pic_00000000000000000000000005")),
            (image(asset, generation, "poster.jpg").expect("a name"), format!("media/{id}/2/images/poster.jpg")),
            (presentation(asset, generation, 1), format!("presentations/{id}/2-1.json")),
            (pointer(PlaybackId::from_u128(1)), "current/plb_00000000000000000000000001.json".into()),
        ];
        for (key, expected) in keys {
            assert_eq!(key.as_str(), expected);
        }
        assert_eq!(source(asset).file_name(), id);
        assert_eq!(presentation_named(asset, &presentation(asset, generation, 1)), Some((generation, 1)));
        assert_eq!(presentation_named(asset, &Key(format!("presentations/{id}/02-1.json"))), None);
        let folder = generation_of(asset, generation);
        assert_eq!(init(asset, generation, &rendition).below(&folder), Some("720p/init.mp4"));
        assert_eq!(init(asset, Generation(22), &rendition).below(&folder), None);
    }

    #[test]
    fn a_file_name_cannot_leave_its_folder() {
        for name in ["", "..", ".hidden", "a/b", "a\\b", "ü.jpg", "a b", "%2e", &"x".repeat(81)] {
            assert_eq!(image(AssetId::from_u128(1), Generation(1), name), Err(FileNameError), "{name:?}");
        }
    }
}
