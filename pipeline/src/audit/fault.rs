//! What can be wrong with a stored asset, and what to do about it.

use std::fmt::Display;

use serde::Serialize;

/// Kinds of faults; stable names for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The asset was being changed.
    Changing,
    /// The source is not there.
    SourceMissing,
    /// The source has another length than was received.
    SourceDiffers,
    /// The asset can be played, but nothing says how.
    PointerMissing,
    /// The pointer is damaged, or somebody else's.
    PointerUnreadable,
    /// The pointer names the plan of an asset that is ready.
    PointerBehind,
    /// The pointer names another presentation than the one that the catalogue has in force.
    PointerElsewhere,
    /// The presentation in force is not there.
    PresentationMissing,
    /// The presentation in force is damaged, or somebody else's.
    PresentationUnreadable,
    /// The presentation tells another story than plan and ledger.
    PresentationDiffers,
    /// A row is damaged.
    RowUnreadable,
    /// A segment of a ready asset is not in the ledger.
    RowMissing,
    /// The ledger has a segment that was never planned.
    RowStray,
    /// Plan and ledger disagree on a segment.
    RowDiffers,
    /// An object is not there.
    ObjectMissing,
    /// An object cannot be read.
    ObjectUnreadable,
    /// An object holds other octets than were recorded.
    ObjectDiffers,
    /// An object is what was recorded, but not what belongs there.
    ObjectInvalid,
    /// An object that nothing speaks of.
    Stranger,
    /// A segment was made by another version of the encoder, so it cannot be compared.
    OtherEncoder,
    /// A segment cannot be encoded again.
    EncodingFailed,
    /// Encoding a segment again gives other octets.
    NotReproducible,
}

impl Fault {
    /// What to do about it: a sentence for the operator.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Changing => "Run the command again when the asset is not being worked on.",
            Self::SourceMissing | Self::SourceDiffers => {
                "What is encoded plays without it; put the source back from a copy, or it can never be encoded again."
            }
            Self::PointerMissing | Self::PointerUnreadable | Self::PointerBehind => {
                "Put the pointer back from a copy of the storage; without one, upload the file again."
            }
            Self::PresentationMissing | Self::PresentationUnreadable | Self::PresentationDiffers => {
                "Put the presentation back from a copy of the storage; without one, `headwater reprocess` makes the \
                 asset anew from its source."
            }
            Self::PointerElsewhere => {
                "Database and storage are of different times, as after one of them was put back from a copy: stop the \
                 servers, run `headwater renumber`, and start them; what the database says is published then."
            }
            Self::RowUnreadable | Self::RowMissing | Self::RowStray | Self::RowDiffers => {
                "Restore the database from a copy, and check its disk; without a copy, upload the file again."
            }
            Self::ObjectMissing | Self::ObjectDiffers => {
                "Put the object back from a copy of the storage, and check its disk; without one, `headwater reprocess` \
                 makes what is encoded anew from the source, and what was added to the asset has to be added again."
            }
            Self::ObjectUnreadable => "Check the disk and the permissions of the storage, then run the command again.",
            Self::ObjectInvalid => {
                "It was stored like this: upload the file again, delete this asset, and please report it."
            }
            Self::Stranger => {
                "A killed worker leaves such objects behind; nothing plays it, so it may be deleted to free its room."
            }
            Self::OtherEncoder => "Run --reencode on a machine with the libraries that the asset was encoded with.",
            Self::EncodingFailed => "Run `headwater doctor`; if it is content, check the source, and then report it.",
            Self::NotReproducible => {
                "The stored segment is intact and plays; compare the FFmpeg and x264 of this machine with those it \
                 was encoded on, and check the memory of both."
            }
        }
    }

    pub(super) fn finding(self, place: impl Display, problem: impl Into<String>) -> Finding {
        Finding { fault: self, place: place.to_string(), problem: problem.into(), advice: self.advice() }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub fault: Fault,
    /// Where: a key of the store, or what a row is about.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it.
    pub advice: &'static str,
}
