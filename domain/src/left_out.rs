//! What a generation lacks, since it could not be made.

use serde::{Deserialize, Serialize};

use crate::{Codec, Failure, JobKind, JobSpec, RenditionId};

/// One part of a source that is not in its output, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The kind of work that failed: `audio`, `subtitles`, `images`, `extra`.
    pub kind: JobKind,
    /// The rendition that is missing; `None` if the work makes several, or none.
    pub rendition: Option<RenditionId>,
    /// The codec that is missing; `None` if it is not all of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<Codec>,
    /// Why.
    pub reason: Failure,
}

impl LeftOut {
    /// What is missing without the product of this work.
    pub fn of(spec: &JobSpec, reason: Failure) -> Self {
        let rendition = match spec {
            JobSpec::Audio { rendition, .. } => Some(rendition.clone()),
            _ => None,
        };
        let codec = match spec {
            JobSpec::Extra { codec, .. } => Some(*codec),
            _ => None,
        };
        Self { kind: spec.kind(), rendition, codec, reason }
    }
}
