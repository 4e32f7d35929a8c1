//! How a piece of engine work can fail.

use std::time::Duration;

use domain::{Failure, FailureCode};

use crate::wire::Malformed;

/// Why the engine gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The source's fault; no retry mends it.
    #[error("the engine refused the source: {0}")]
    Refused(Failure),
    /// The child ended without saying that it is done.
    #[error("the engine ended unexpectedly ({status}): {log}")]
    Crashed {
        /// Exit code or signal.
        status: String,
        /// The end of what it wrote to its standard error.
        log: String,
    },
    /// Somebody else killed the child with a signal that cannot be handled: the system for want of memory, or an
    /// operator. The cage's own limits end it in other ways.
    #[error("the engine was killed, by the system for want of memory or by an operator: {log}")]
    Killed {
        /// The end of what it wrote to its standard error.
        log: String,
    },
    /// The child was killed because it made no progress or used up its time.
    #[error("the engine made no progress for {} s: {log}", after.as_secs())]
    Stalled {
        /// How long the client waited.
        after: Duration,
        /// The end of what it wrote to its standard error.
        log: String,
    },
    /// The child sent something that no healthy engine sends; it was killed.
    #[error("the engine broke the protocol: {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// The source could not be read: the fault of the disk or the network below it.
    #[error("the source cannot be read")]
    Unreadable,
    /// The source is still being written, and the work needs more of it than is there.
    #[error("the source is not there yet as far as it is needed")]
    Early,
    /// The child could not be started.
    #[error("cannot start the engine")]
    Start {
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl From<Malformed> for EngineError {
    fn from(malformed: Malformed) -> Self {
        Self::Protocol { what: malformed.0 }
    }
}

impl EngineError {
    /// What the uploader is told once retries are used up.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(failure) => failure.clone(),
            Self::Crashed { .. } | Self::Protocol { .. } => Failure::new(
                FailureCode::EngineCrashed,
                "the file made the decoder fail; it is probably damaged: try to export or record it again",
            ),
            Self::Stalled { .. } => Failure::new(
                FailureCode::EngineStalled,
                "the file kept the decoder busy without giving pictures or sound; it is probably damaged",
            ),
            Self::Killed { .. } => Failure::new(
                FailureCode::Internal,
                "the server's transcoder was killed again and again, most likely for want of memory; the operator should \
                 give it more or run fewer jobs at a time",
            ),
            Self::Unreadable | Self::Early => {
                Failure::new(FailureCode::Internal, "the server could not read the file it keeps; try again later")
            }
            Self::Start { .. } => {
                Failure::new(FailureCode::Internal, "the server could not start its transcoder; try again later")
            }
        }
    }

    /// True if neither the source nor the engine is at fault but the machine: a later try may succeed,
    /// however many have failed.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Killed { .. } | Self::Unreadable | Self::Early | Self::Start { .. })
    }

    /// True if the same request may succeed another time.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}
