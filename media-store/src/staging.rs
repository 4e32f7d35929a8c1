//! Files that unfinished uploads grow in, each with at most one writer.
//!
//! Writing is by explicit offset, never by appending, so a repeated write changes nothing. A new
//! [`Writer`] of an upload invalidates the one before it: from that moment on, every write, flush or
//! seal of the older one is refused, even one that is already on its way. The file's length says
//! nothing; what counts is the offset recorded elsewhere after a flush, to which a new writer cuts
//! the file back.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use domain::UploadId;

use crate::error::blocking;
use crate::folder::{make_dirs, sync_parent};

/// Why a staged file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagingError {
    /// A newer writer took over this upload; nothing was changed.
    #[error("another writer took over {upload}")]
    TakenOver {
        /// The upload.
        upload: UploadId,
    },
    /// The file is shorter than the recorded offset, or gone: acknowledged octets are lost.
    #[error("the staged file of {upload} holds {found_bytes} bytes, {expected_bytes} were acknowledged")]
    Lost {
        /// The upload.
        upload: UploadId,
        /// What the file holds.
        found_bytes: u64,
        /// What it should hold at least.
        expected_bytes: u64,
    },
    /// The file system failed.
    #[error("cannot {action} the staged file of {upload}")]
    Io {
        /// `create`, `write`, ...
        action: &'static str,
        /// The upload.
        upload: UploadId,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StagingError {
    /// Whether the disk is full (or over quota).
    pub fn is_out_of_space(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }
}

/// The folder of staged files. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Staging {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    gates: Mutex<HashMap<UploadId, Weak<Gate>>>,
}

/// Held during every change of a file; the number is the epoch of the writer that may make changes.
#[derive(Debug, Default)]
struct Gate(Mutex<u64>);

/// The right to write one staged file, until somebody else claims it.
#[derive(Debug)]
pub struct Writer {
    upload: UploadId,
    path: PathBuf,
    file: Arc<File>,
    gate: Arc<Gate>,
    epoch: u64,
}

impl Staging {
    /// Opens the folder, makes it when it is missing.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir: PathBuf = dir.into();
        let folder = dir.clone();
        blocking(move || make_dirs(&std::path::absolute(folder)?)).await?;
        Ok(Self { inner: Arc::new(Inner { dir, gates: Mutex::default() }) })
    }

    /// Makes an empty file for an upload, durably; an existing one stays as it is.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub async fn create(&self, upload: UploadId) -> Result<(), StagingError> {
        let path = self.path(upload);
        let create = move || {
            OpenOptions::new().write(true).create(true).truncate(false).open(&path)?.sync_all()?;
            sync_parent(&path)
        };
        blocking(create).await.map_err(|source| StagingError::Io { action: "create", upload, source })
    }

    /// Claims the right to write the file of `upload`, which holds `durable_bytes` acknowledged octets.
    ///
    /// Waits for a write that is under way, refuses all later ones of the former writer, and cuts the
    /// file back to `durable_bytes`.
    ///
    /// # Errors
    /// [`StagingError::Lost`] when the file is shorter than that.
    pub async fn writer(&self, upload: UploadId, durable_bytes: u64) -> Result<Writer, StagingError> {
        let (path, gate) = (self.path(upload), self.gate(upload));
        let claim = move || {
            let mut epoch = lock(&gate.0);
            *epoch += 1;
            let file = match OpenOptions::new().write(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(0)),
                other => other?,
            };
            let found_bytes = file.metadata()?.len();
            if found_bytes < durable_bytes {
                return Ok(Err(found_bytes));
            }
            if found_bytes > durable_bytes {
                file.set_len(durable_bytes)?;
            }
            let epoch = *epoch;
            Ok(Ok(Writer { upload, path, file: Arc::new(file), gate: gate.clone(), epoch }))
        };
        let claimed = blocking(claim).await.map_err(|source| StagingError::Io { action: "open", upload, source })?;
        claimed.map_err(|found_bytes| StagingError::Lost { upload, found_bytes, expected_bytes: durable_bytes })
    }

    /// The length of the staged file; `None` when there is none.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub async fn len(&self, upload: UploadId) -> Result<Option<u64>, StagingError> {
        let path = self.path(upload);
        let length = move || match fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        blocking(length).await.map_err(|source| StagingError::Io { action: "measure", upload, source })
    }

    /// Removes the file of an upload and refuses every writer it had; absence is success.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub async fn discard(&self, upload: UploadId) -> Result<(), StagingError> {
        let (path, gate) = (self.path(upload), self.gate(upload));
        let discard = move || {
            let mut epoch = lock(&gate.0);
            *epoch += 1;
            match fs::remove_file(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            }
        };
        blocking(discard).await.map_err(|source| StagingError::Io { action: "remove", upload, source })
    }

    /// Every upload that has a staged file, in no order.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn uploads(&self) -> io::Result<Vec<UploadId>> {
        let dir = self.inner.dir.clone();
        let list = move || {
            let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name()));
            let names = names.collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
        };
        blocking(list).await
    }

    /// Where the file of an upload lies.
    pub fn path(&self, upload: UploadId) -> PathBuf {
        self.inner.dir.join(upload.to_string())
    }

    fn gate(&self, upload: UploadId) -> Arc<Gate> {
        let mut gates = lock(&self.inner.gates);
        // A gate that nobody holds guards nothing: with no writer left, epochs may begin anew.
        if gates.len() >= 64 && gates.len().is_power_of_two() {
            gates.retain(|_, gate| gate.strong_count() > 0);
        }
        if let Some(gate) = gates.get(&upload).and_then(Weak::upgrade) {
            return gate;
        }
        let gate = Arc::new(Gate::default());
        gates.insert(upload, Arc::downgrade(&gate));
        gate
    }
}

impl Writer {
    /// The upload that is written.
    pub fn upload(&self) -> UploadId {
        self.upload
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `pieces` one behind the other, beginning at `offset`.
    ///
    /// # Errors
    /// [`StagingError::TakenOver`] when this writer is no longer the newest; [`StagingError::Io`].
    pub async fn write_at(&self, offset: u64, pieces: Vec<Bytes>) -> Result<(), StagingError> {
        self.guarded("write", move |file| {
            let mut at = offset;
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        })
        .await
    }

    /// Flushes everything written so far to disk.
    ///
    /// # Errors
    /// As for [`Writer::write_at`].
    pub async fn sync(&self) -> Result<(), StagingError> {
        self.guarded("flush", |file| file.sync_data()).await
    }

    /// Flushes the file, proves that it holds exactly `bytes` octets, and gives up writing: from here
    /// on nobody can change it.
    ///
    /// # Errors
    /// [`StagingError::Lost`] for another length; otherwise as for [`Writer::write_at`].
    pub async fn seal(self, bytes: u64) -> Result<PathBuf, StagingError> {
        let upload = self.upload;
        let found_bytes = self
            .guarded("flush", |file| {
                file.sync_all()?;
                file.metadata().map(|meta| meta.len())
            })
            .await?;
        if found_bytes != bytes {
            return Err(StagingError::Lost { upload, found_bytes, expected_bytes: bytes });
        }
        let mut epoch = lock(&self.gate.0);
        if *epoch != self.epoch {
            return Err(StagingError::TakenOver { upload });
        }
        *epoch += 1;
        drop(epoch);
        Ok(self.path)
    }

    async fn guarded<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StagingError> {
        let (file, gate, epoch, upload) = (self.file.clone(), self.gate.clone(), self.epoch, self.upload);
        // The gate stays locked while the file changes: whoever takes over waits for that and no longer.
        let guarded = move || {
            let newest = lock(&gate.0);
            if *newest == epoch { work(&file).map(Some) } else { Ok(None) }
        };
        let done = blocking(guarded).await.map_err(|source| StagingError::Io { action, upload, source })?;
        done.ok_or(StagingError::TakenOver { upload })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
