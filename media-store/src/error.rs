//! What can go wrong with an object, and whether asking again may help.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Whether a failed operation may succeed when repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Never,
    /// Worth another try after this long.
    After(Duration),
}

/// How long to leave a store alone that did not answer.
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Why an operation on the store failed. Absence of an object is never an error of a read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The storage URL or its options make no sense.
    #[error("unusable storage url: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// The storage cannot be opened.
    #[error("cannot open storage at {place}")]
    Open {
        /// Folder or bucket.
        place: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A local object cannot be read or written.
    #[error("cannot {action} {key}")]
    Io {
        /// `read`, `write`, `delete`, ...
        action: &'static str,
        /// The object or prefix.
        key: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The object store refused or did not answer.
    #[error("cannot {action} {key}")]
    Remote {
        /// `read`, `write`, `delete`, ...
        action: &'static str,
        /// The object or prefix.
        key: String,
        /// Why.
        #[source]
        source: object_store::Error,
    },
    /// The object is no longer the one that reading began with.
    #[error("{key} was changed while it was read")]
    Changed {
        /// The object.
        key: String,
    },
    /// There is neither a source nor a staged file to make it from.
    #[error("{key} does not exist")]
    Missing {
        /// The object.
        key: String,
    },
    /// Larger than what may be held in memory or in scratch space.
    #[error("{key} has {bytes} bytes, the limit is {bytes_max}")]
    TooLarge {
        /// The object.
        key: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A source exists already and is not the staged file.
    #[error("{key} holds another file, of {stored_bytes} bytes; the staged file {staged} has {staged_bytes}")]
    SourceDiffers {
        /// The source.
        key: String,
        /// Its size.
        stored_bytes: u64,
        /// The staged file.
        staged: PathBuf,
        /// The size of the staged file.
        staged_bytes: u64,
    },
    /// What was asked for makes no sense on this kind of store.
    #[error("{what} needs a storage in a local folder")]
    NeedsFolder {
        /// The operation.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    ///
    /// The S3 client has already repeated single requests for a short while; the one layer above that
    /// repeats whole steps (the job queue, the uploading client) follows this hint.
    pub fn retry(&self) -> Retry {
        use object_store::Error as Remote;
        match self {
            Self::Config { .. }
            | Self::Missing { .. }
            | Self::TooLarge { .. }
            | Self::SourceDiffers { .. }
            | Self::NeedsFolder { .. } => Retry::Never,
            Self::Remote { source, .. } => match source {
                Remote::InvalidPath { .. }
                | Remote::NotSupported { .. }
                | Remote::NotImplemented { .. }
                | Remote::UnknownConfigurationKey { .. } => Retry::Never,
                _ => Retry::After(RETRY_DELAY),
            },
            Self::Open { .. } | Self::Io { .. } | Self::Changed { .. } => Retry::After(RETRY_DELAY),
        }
    }

    /// Turns an error of `action` on `key` into this type.
    pub(crate) fn io(action: &'static str, key: impl ToString) -> impl FnOnce(io::Error) -> Self {
        let key = key.to_string();
        move |source| Self::Io { action, key, source }
    }

    /// Turns an error of `action` on `key` into this type.
    pub(crate) fn remote(action: &'static str, key: impl ToString) -> impl FnOnce(object_store::Error) -> Self {
        let key = key.to_string();
        move |source| Self::Remote { action, key, source }
    }
}

/// Runs blocking file work on a thread made for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)))
}
