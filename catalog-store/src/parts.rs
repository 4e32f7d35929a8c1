//! Parts of assets that are changed one by one, and what a change needs to find so that it hides no other.
//!
//! A part has no counter of its own: its version is a digest of what is stored of it, compared in the transaction that
//! changes it, where its row is held.

use domain::PosterChoice;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::assets::AssetRow;
use crate::{Asset, CatalogError};

/// What has to be there for a change to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Anything,
    /// What is at this version.
    Version(u64),
    /// Nothing that somebody set.
    Nothing,
}

/// What is to be changed, and what has to be there. By its id alone whatever is there is meant.
#[derive(Clone, Copy, Debug)]
pub struct Meant<I> {
    pub(crate) id: I,
    pub(crate) expected: Expected,
}

impl<I> From<I> for Meant<I> {
    fn from(id: I) -> Self {
        Self { id, expected: Expected::Anything }
    }
}

impl<I> From<(I, Expected)> for Meant<I> {
    fn from((id, expected): (I, Expected)) -> Self {
        Self { id, expected }
    }
}

/// A part of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its chapters: those that somebody set, or else the file's own.
    Chapters,
    /// Its markers.
    Markers,
    /// What was chosen as its poster.
    Poster,
    /// Who may play it, as the catalogue has it.
    Access,
    /// Where it is shown, from when and until when, its stage, and what is said about it.
    Place,
}

impl Asset {
    /// Tells one state of a part from those before it.
    pub fn version_of(&self, part: Part) -> u64 {
        match part {
            Part::Chapters => match &self.chapters {
                Some(set) => digest(&(true, set)),
                None => digest(&(false, self.probe.as_ref().map(|probe| &probe.chapters))),
            },
            Part::Markers => digest(&self.markers),
            Part::Poster => digest(&self.poster),
            // A number that rises already.
            Part::Access => self.access.as_ref().map_or(0, |access| access.change.unsigned_abs()),
            Part::Place => {
                let window = [self.publish_at, self.expire_at].map(|at| at.map(domain::Timestamp::unix_ms));
                digest(&(self.about_version, self.stage, &self.stage_note, self.channel, window))
            }
        }
    }

    /// Whether somebody set it.
    fn has(&self, part: Part) -> bool {
        match part {
            Part::Chapters => self.chapters.is_some(),
            Part::Markers => !self.markers.is_empty(),
            Part::Poster => !matches!(self.poster, None | Some(PosterChoice::Scored { .. })),
            Part::Access => self.access.is_some(),
            Part::Place => true,
        }
    }
}

impl AssetRow {
    /// Refuses a change of a part, whose row is held, if something else is there than is expected.
    pub(crate) fn check(&self, part: Part, expected: Expected) -> Result<(), CatalogError> {
        if expected == Expected::Anything {
            return Ok(());
        }
        let asset = Asset::try_from(self.clone())?;
        let version = asset.version_of(part);
        match expected {
            Expected::Version(wanted) if wanted != version && part == Part::Place => {
                Err(CatalogError::PlaceChanged { about_version: asset.about_version, place: version })
            }
            Expected::Version(wanted) if wanted != version => Err(CatalogError::Changed { version }),
            Expected::Nothing if asset.has(part) => Err(CatalogError::Exists { version: Some(version) }),
            _ => Ok(()),
        }
    }
}

/// The first octets of a digest of what is stored: so many that no two states of one part have the same.
pub(crate) fn digest(content: &impl Serialize) -> u64 {
    // None of these types fails to be written.
    let text = serde_json::to_vec(content).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}
