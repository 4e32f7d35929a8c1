//! Why a job did not reach its end.

use catalog_store::CatalogError;
use domain::{Failure, FailureCode, JobKind, RenditionId};
use media_store::{Retry, StoreError};
use packager::cmaf::CmafError;
use packager::verify::VerifyError;
use transcoder::EngineError;

/// Why a job did not reach its end. What follows from it is decided in `retry`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JobError {
    /// The source is at fault; no retry mends it.
    #[error("the source is refused: {0}")]
    Refused(Failure),
    /// Somebody else has the job, or it was cancelled.
    #[error("the lease is lost")]
    LostLease,
    /// The asset or its generation no longer exists.
    #[error("the asset is gone")]
    Gone,
    /// The engine crashed, stalled or refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine was done before everything that was asked for had come.
    #[error("the engine left out {missing} of {wanted} segments")]
    Incomplete {
        /// Segments that did not come.
        missing: usize,
        /// Segments that were asked for.
        wanted: usize,
    },
    /// Samples from the engine do not make the planned segment.
    #[error("cannot package segment {index} of {rendition}")]
    Package {
        /// Which rendition.
        rendition: RenditionId,
        /// Which segment.
        index: u32,
        /// Why.
        #[source]
        source: CmafError,
    },
    /// A packaged segment is not the planned one.
    #[error("segment {index} of {rendition} does not pass verification")]
    Verify {
        /// Which rendition.
        rendition: RenditionId,
        /// Which segment.
        index: u32,
        /// Why.
        #[source]
        source: VerifyError,
    },
    /// A picture cannot be written as JPEG.
    #[error("cannot write a picture")]
    Picture(#[from] image::ImageError),
    /// A temporary file cannot be written.
    #[error("cannot write a temporary file")]
    Scratch(#[from] std::io::Error),
    /// Others published so often meanwhile that no document was built in time.
    #[error("other documents came into force too often meanwhile")]
    Outpaced,
    /// An output that is to be removed is still the one that is pointed to.
    #[error("the output is still shown")]
    StillShown,
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalogue failed.
    #[error(transparent)]
    Catalog(CatalogError),
    /// What is stored contradicts itself; no retry mends it.
    #[error("what is stored contradicts itself: {what}")]
    Inconsistent {
        /// The contradiction.
        what: String,
    },
    /// A document has no JSON form, or a stored one cannot be read.
    #[error("unreadable document")]
    Document(#[from] serde_json::Error),
    /// A computation on another thread panicked.
    #[error("a computation panicked")]
    Panicked,
}

impl JobError {
    /// A contradiction in what is stored.
    pub(crate) fn inconsistent(what: impl Into<String>) -> Self {
        Self::Inconsistent { what: what.into() }
    }

    /// True if the source is at fault for good.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Engine(error) => !error.is_transient(),
            _ => false,
        }
    }

    /// True if the machine is at fault, and the same work may succeed once it is well again.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_outage(),
            Self::Store(error) => matches!(error.retry(), Retry::After(_)),
            Self::Catalog(error) => error.is_transient(),
            Self::Scratch(_) => true,
            // Others publish as well: this one comes after them.
            Self::Outpaced => true,
            // Whoever publishes what replaced it will point to that.
            Self::StillShown => true,
            _ => false,
        }
    }

    /// True if working on this very source went wrong, rather than a store, the catalogue or the machine.
    pub(crate) fn is_decoding(&self) -> bool {
        match self {
            Self::Engine(error) => !error.is_outage(),
            Self::Incomplete { .. } | Self::Package { .. } | Self::Verify { .. } => true,
            Self::Picture(_) | Self::Panicked => true,
            _ => false,
        }
    }
    /// What the uploader is told once this error is final.
    pub(crate) fn failure(&self, kind: JobKind) -> Failure {
        match self {
            Self::Refused(failure) => failure.clone(),
            Self::Engine(error) => error.failure(),
            Self::Incomplete { .. } | Self::Package { .. } | Self::Verify { .. } | Self::Panicked => Failure::new(
                FailureCode::EngineCrashed,
                "the file could not be turned into a complete video; it is probably damaged: try to export or record it again",
            ),
            _ => Failure::new(
                FailureCode::Internal,
                format!("the server could not finish its work on this file (step: {}); try again later", kind.as_str()),
            ),
        }
    }
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::LostLease { .. } => Self::LostLease,
            CatalogError::NoAsset(_) | CatalogError::NoGeneration(_) => Self::Gone,
            CatalogError::HashMismatch { .. } => Self::Inconsistent { what: error.to_string() },
            other => Self::Catalog(other),
        }
    }
}
