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
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use domain::UploadId;
use tokio::sync::oneshot;

use crate::disk::{self, Disk};
use crate::error::blocking;
use crate::folder::make_dirs;
use crate::gathered::Gathered;
use crate::lane::{Lane, Outcome};
use crate::multipart;

/// Octets that one step of a scan or a copy handles: a step cannot be interrupted.
const STEP_BYTES: u64 = 64 << 20;
/// Octets that a scan holds in memory.
const SCAN_BUFFER_BYTES: usize = 256 << 10;

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
    disk: Disk,
    gates: Mutex<HashMap<UploadId, Weak<Gate>>>,
}

/// Held during every change of a file; the number is the epoch of the writer that may make changes.
#[derive(Debug, Default)]
struct Gate(Mutex<u64>);

/// The right to write one staged file, until somebody else claims it. Clones share it.
#[derive(Clone, Debug)]
pub struct Writer {
    upload: UploadId,
    path: Arc<Path>,
    file: Arc<File>,
    disk: Disk,
    gate: Arc<Gate>,
    epoch: u64,
    lane: Lane,
}

/// A write under way, or waiting for those before it; it comes to its end also when this is dropped.
#[derive(Debug)]
pub struct Writing {
    done: oneshot::Receiver<Outcome>,
    upload: UploadId,
}

impl Staging {
    /// Opens the folder, makes it when it is missing.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn open(dir: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open_on(Disk::default(), dir).await
    }

    /// The same on a disk that somebody watches.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn open_on(disk: Disk, dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir: PathBuf = dir.into();
        let folder = dir.clone();
        blocking(move || make_dirs(&std::path::absolute(folder)?)).await?;
        Ok(Self { inner: Arc::new(Inner { dir, disk, gates: Mutex::default() }) })
    }

    /// Makes an empty file for an upload, durably; an existing one stays as it is.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub async fn create(&self, upload: UploadId) -> Result<(), StagingError> {
        let (path, disk) = (self.path(upload), self.inner.disk.clone());
        blocking(move || disk.create(&path)).await.map_err(|source| StagingError::Io {
            action: "create",
            upload,
            source,
        })
    }

    /// Claims the right to write the file of `upload`, which holds `durable_bytes` acknowledged octets.
    ///
    /// Waits for a write that is under way, refuses all later ones of the former writer, and cuts the
    /// file back to `durable_bytes`.
    ///
    /// # Errors
    /// [`StagingError::Lost`] when the file is shorter than that.
    pub async fn writer(&self, upload: UploadId, durable_bytes: u64) -> Result<Writer, StagingError> {
        let (path, gate, disk) = (self.path(upload), self.gate(upload), self.inner.disk.clone());
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
                disk.cut(&file, &path, durable_bytes)?;
            }
            let epoch = *epoch;
            let (path, file, lane) = (path.into(), Arc::new(file), Lane::default());
            Ok(Ok(Writer { upload, path, file, disk, gate: gate.clone(), epoch, lane }))
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
        let (path, gate, disk) = (self.path(upload), self.gate(upload), self.inner.disk.clone());
        let discard = move || {
            let mut epoch = lock(&gate.0);
            *epoch += 1;
            disk.remove(&path)
        };
        blocking(discard).await.map_err(|source| StagingError::Io { action: "remove", upload, source })
    }

    /// Every upload that has a staged file, in no order.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn uploads(&self) -> io::Result<Vec<UploadId>> {
        self.named(|name| name.parse().ok()).await
    }

    /// Every upload of which parts may lie in the bucket: see [`crate::MediaStore::put_source_parts`].
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn transfers(&self) -> io::Result<Vec<UploadId>> {
        self.named(|name| name.strip_suffix(multipart::JOURNAL_SUFFIX)?.parse().ok()).await
    }

    async fn named(&self, read: fn(&str) -> Option<UploadId>) -> io::Result<Vec<UploadId>> {
        let dir = self.inner.dir.clone();
        let list = move || {
            let names = fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name()));
            let names = names.collect::<io::Result<Vec<_>>>()?;
            Ok(names.iter().filter_map(|name| read(name.to_str()?)).collect())
        };
        blocking(list).await
    }

    /// Flushes all staged files at once: cheaper than one by one when they are many.
    ///
    /// # Errors
    /// Whatever the file system says; it does not say which file is to blame.
    pub async fn sync_all(&self) -> io::Result<()> {
        let (dir, disk) = (self.inner.dir.clone(), self.inner.disk.clone());
        blocking(move || disk.sync_file_system(&dir)).await
    }

    /// Shows the octets `range` of a staged file to `visit`, in order and piece by piece; gives the
    /// visitor back. May be dropped between two steps of a few dozen megabytes.
    ///
    /// # Errors
    /// [`StagingError::Io`], also when the file ends before the range does.
    pub async fn scan<V: Send + 'static>(
        &self,
        upload: UploadId,
        range: Range<u64>,
        mut visitor: V,
        visit: fn(&mut V, &[u8]),
    ) -> Result<V, StagingError> {
        let failed = |source| StagingError::Io { action: "read", upload, source };
        let path = self.path(upload);
        let file = Arc::new(blocking(move || File::open(path)).await.map_err(failed)?);
        let mut offset = range.start;
        while offset < range.end {
            let (file, end) = (file.clone(), range.end.min(offset + STEP_BYTES));
            let step = move || {
                let mut buffer = vec![0u8; SCAN_BUFFER_BYTES];
                while offset < end {
                    let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(SCAN_BUFFER_BYTES);
                    file.read_exact_at(&mut buffer[..wanted], offset)?;
                    visit(&mut visitor, &buffer[..wanted]);
                    offset += wanted as u64;
                }
                Ok(visitor)
            };
            visitor = blocking(step).await.map_err(failed)?;
            offset = end;
        }
        Ok(visitor)
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

    /// Begins to gather octets that go to `offset`.
    pub fn gather(&self, offset: u64) -> Gathered {
        self.disk.gather(offset)
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// [`StagingError::TakenOver`] when this writer is no longer the newest; [`StagingError::Io`].
    pub async fn write(&self, gathered: Gathered) -> Result<(), StagingError> {
        self.begin_write(gathered).outcome().await
    }

    /// Begins to write what has gathered, as soon as what was begun before is written. Behind what could not be written
    /// nothing is, until its place is written.
    pub fn begin_write(&self, gathered: Gathered) -> Writing {
        let (writer, offset) = (self.clone(), gathered.offset());
        let write = move || writer.unless_taken_over(|writer| writer.disk.write(&writer.file, &writer.path, &gathered));
        Writing { done: self.lane.add(offset, write), upload: self.upload }
    }

    /// Copies octets of another staged file, from `offset` of that to `at` of this one, without moving
    /// them through this process. How many: less than `bytes` after a few dozen megabytes, 0 at the end
    /// of the other file.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub async fn copy_from(&self, from: &Path, offset: u64, at: u64, bytes: u64) -> Result<u64, StagingError> {
        let from = from.to_owned();
        let step = usize::try_from(bytes.min(STEP_BYTES)).unwrap_or(usize::MAX);
        self.guarded("copy into", move |writer| {
            let from = File::open(from)?;
            writer.disk.copy((&from, offset), (&writer.file, at, &writer.path), step).map(|copied| copied as u64)
        })
        .await
    }

    /// Begins to write back `bytes` octets from `offset`, so that the next flush is short.
    ///
    /// # Errors
    /// [`StagingError::Io`].
    pub async fn start_writeback(&self, offset: u64, bytes: u64) -> Result<(), StagingError> {
        let file = self.file.clone();
        let started = blocking(move || disk::start_writeback(&file, offset, bytes)).await;
        started.map_err(|source| StagingError::Io { action: "write back", upload: self.upload, source })
    }

    /// Cuts the file back to its first `bytes` octets, if it has more.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub async fn cut(&self, bytes: u64) -> Result<(), StagingError> {
        self.guarded("cut", move |writer| {
            let is_longer = writer.file.metadata()?.len() > bytes;
            if is_longer { writer.disk.cut(&writer.file, &writer.path, bytes) } else { Ok(()) }
        })
        .await
    }

    /// Flushes everything written so far to disk. Writing may go on meanwhile.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub async fn sync(&self) -> Result<(), StagingError> {
        let writer = self.clone();
        let flushed = blocking(move || writer.disk.sync(&writer.file, &writer.path)).await;
        flushed.map_err(|source| StagingError::Io { action: "flush", upload: self.upload, source })?;
        self.check()
    }

    /// Proves that nobody else has claimed the file.
    ///
    /// # Errors
    /// [`StagingError::TakenOver`].
    pub fn check(&self) -> Result<(), StagingError> {
        let is_newest = *lock(&self.gate.0) == self.epoch;
        if is_newest { Ok(()) } else { Err(StagingError::TakenOver { upload: self.upload }) }
    }

    /// Proves that the file holds exactly `bytes` octets, flushes it if `is_durable` asks for that, and
    /// gives up writing: from here on nobody can change it.
    ///
    /// # Errors
    /// [`StagingError::Lost`] for another length; otherwise as for [`Writer::write`].
    pub async fn seal(self, bytes: u64, is_durable: bool) -> Result<PathBuf, StagingError> {
        let upload = self.upload;
        let seal = move |writer: &Self| {
            if is_durable {
                writer.disk.sync(&writer.file, &writer.path)?;
            }
            writer.file.metadata().map(|meta| meta.len())
        };
        let found_bytes = self.guarded("flush", seal).await?;
        if found_bytes != bytes {
            return Err(StagingError::Lost { upload, found_bytes, expected_bytes: bytes });
        }
        let mut epoch = lock(&self.gate.0);
        if *epoch != self.epoch {
            return Err(StagingError::TakenOver { upload });
        }
        *epoch += 1;
        drop(epoch);
        Ok(self.path.to_path_buf())
    }

    async fn guarded<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StagingError> {
        let (writer, upload) = (self.clone(), self.upload);
        let done = blocking(move || writer.unless_taken_over(work)).await;
        done.map_err(|source| StagingError::Io { action, upload, source })?.ok_or(StagingError::TakenOver { upload })
    }

    /// `None` when this writer is no longer the newest. Blocks.
    fn unless_taken_over<T>(&self, work: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<Option<T>> {
        // The gate stays locked while the file changes: whoever takes over waits for that and no longer.
        let newest = lock(&self.gate.0);
        if *newest == self.epoch { work(self).map(Some) } else { Ok(None) }
    }
}

impl Writing {
    /// Whether it is over; unlike who waits, who asks is not woken when it is.
    pub fn is_over(&self) -> bool {
        !self.done.is_empty()
    }

    /// Waits until it is over. May be dropped and waited for again, until it has answered.
    ///
    /// # Errors
    /// As for [`Writer::write`].
    pub async fn outcome(&mut self) -> Result<(), StagingError> {
        let upload = self.upload;
        let done = (&mut self.done).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        let done = done.map_err(|source| StagingError::Io { action: "write", upload, source })?;
        done.ok_or(StagingError::TakenOver { upload })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
