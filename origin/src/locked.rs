//! Stored segments, encrypted on their way out.

use bytes::Bytes;
use domain::presentation::KeyframeRange;
use domain::{EncryptionMethod, Presentation, RenditionId};
use packager::encryption::cbcs::CbcsError;
use packager::encryption::{Lock, Octets, aes128, cbcs};
use packager::ts::{self, TsError};

use crate::access::Opened;

/// Which encrypted form of a stored segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) lock: Lock,
    pub(crate) rendition: RenditionId,
    /// The number of the key.
    pub(crate) number: u32,
    pub(crate) shape: Shape,
}

/// What of a segment is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The initialization segment, which names the key.
    Init,
    /// All of it.
    Whole,
    /// One of its I-frames.
    Iframe(KeyframeRange),
    /// All of it as a transport stream.
    Transport,
}

/// What it is encrypted with.
#[derive(Clone, Copy)]
pub(crate) struct Seal {
    method: EncryptionMethod,
    key: Octets,
    key_id: Octets,
    vector: Octets,
}

/// Why a stored segment has no encrypted form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Transport(#[from] TsError),
    #[error(transparent)]
    Samples(#[from] CbcsError),
    #[error("the I-frame lies outside of its segment")]
    Range,
}

impl Sealed {
    /// Its name among all forms of the segment.
    pub(crate) fn name(&self) -> String {
        let shape = match self.shape {
            Shape::Init => "init".to_owned(),
            Shape::Whole => "m4s".to_owned(),
            Shape::Iframe(range) => format!("i{}", range.offset),
            Shape::Transport => "ts".to_owned(),
        };
        format!("{}-{}-{shape}", self.lock.edition(), self.number)
    }

    /// What it is encrypted with, in this presentation.
    pub(crate) fn seal(&self, opened: &Opened<'_>, presentation: &Presentation) -> Seal {
        let Self { lock, rendition, number, .. } = self;
        Seal {
            method: lock.method(),
            key: opened.key(presentation, *number),
            key_id: lock.key_id(presentation, *number),
            vector: lock.vector(presentation, rendition, *number),
        }
    }
}

impl Seal {
    /// Encrypts the segment with this number; `init` is empty where it is not needed.
    pub(crate) fn apply(&self, shape: Shape, init: &Bytes, index: u32, segment: &[u8]) -> Result<Vec<u8>, SealError> {
        let Self { method, key, key_id, vector } = self;
        match (method, shape) {
            (_, Shape::Init) => Ok(cbcs::init(segment, key_id, vector)?),
            (_, Shape::Transport) => Ok(aes128::seal(&ts::segment(init, index, segment)?, key, vector)),
            (EncryptionMethod::Aes128, Shape::Whole) => Ok(aes128::seal(segment, key, vector)),
            (EncryptionMethod::Aes128, Shape::Iframe(range)) => {
                Ok(aes128::seal(cut(segment, range).ok_or(SealError::Range)?, key, vector))
            }
            (EncryptionMethod::Cbcs, Shape::Whole) => Ok(cbcs::segment(init, segment, key, vector)?),
            (EncryptionMethod::Cbcs, Shape::Iframe(range)) => Ok(cbcs::iframe(init, segment, range, key, vector)?),
        }
    }
}

fn cut(segment: &[u8], range: KeyframeRange) -> Option<&[u8]> {
    let start = usize::try_from(range.offset).ok()?;
    segment.get(start..start.checked_add(usize::try_from(range.length).ok()?)?)
}
