//! Objects read piece by piece: files without a hand-off to another thread, buckets by ranges that stay with
//! one version of the object.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::GetOptions;
use quick_cache::sync::Cache;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::error::blocking;
use crate::store::{Backend, absent, path};
use crate::{Key, MediaStore, StoreError};

/// Descriptors that are kept open between two requests; those that somebody reads from are not counted.
const OPEN_FILES_MAX: usize = 1024;
/// A descriptor this old is looked at again: its file may have been deleted or replaced by another process.
const OPEN_FILE_AGE_MAX: Duration = Duration::from_secs(30);

/// An object of a local folder, open to be read.
#[derive(Debug)]
pub struct ObjectFile {
    file: File,
    bytes: u64,
    opened: Instant,
    /// The file system knows reads that do not wait.
    has_nowait: AtomicBool,
}

impl ObjectFile {
    fn open(path: &std::path::Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = file.metadata()?.len();
        Ok(Some(Self { file, bytes, opened: Instant::now(), has_nowait: AtomicBool::new(true) }))
    }

    /// Octets of the object.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills the beginning of `buffer` with what the system has in memory from `offset` on, without waiting for
    /// the disk; `None` when that is nothing. Never zero octets unless the buffer is empty or the file ended.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_now(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        if !self.has_nowait.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match preadv2(&self.file, &mut [IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(Some(read)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.has_nowait.store(false, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Fills `buffer` from `offset` on. Waits for the disk: not for async threads.
    ///
    /// # Errors
    /// What the system says; also when the file ends before the buffer is full.
    pub fn read_waiting(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// Descriptors of objects that were read lately. Cheap to open again, dear to open each time.
pub(crate) struct OpenFiles(Cache<String, Arc<ObjectFile>>);

impl OpenFiles {
    pub(crate) fn new() -> Self {
        Self(Cache::new(OPEN_FILES_MAX))
    }

    fn get(&self, key: &Key) -> Option<Arc<ObjectFile>> {
        self.0.get(key.as_str()).filter(|file| file.opened.elapsed() < OPEN_FILE_AGE_MAX)
    }

    /// Forgets an object that is written or deleted.
    pub(crate) fn forget(&self, key: &Key) {
        self.0.remove(key.as_str());
    }

    /// Forgets all objects whose keys begin so.
    pub(crate) fn forget_below(&self, prefix: &str) {
        self.0.retain(|key, _| !key.starts_with(prefix));
    }
}

/// A part of a remote object on its way.
pub struct RemoteRead {
    /// Octets of the whole object.
    pub object_bytes: u64,
    /// The store's name for this version of the object, to be given to the next read.
    pub version: Option<String>,
    /// The octets that were asked for, as they come.
    pub pieces: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl MediaStore {
    /// An object of a folder, open to be read; `None` when there is none, and always for a bucket.
    ///
    /// # Errors
    /// Whatever keeps it from being opened.
    pub async fn open_object(&self, key: &Key) -> Result<Option<Arc<ObjectFile>>, StoreError> {
        let Backend::Folder(folder) = &self.inner.backend else { return Ok(None) };
        if let Some(file) = self.inner.open_files.get(key) {
            return Ok(Some(file));
        }
        let place = folder.path(key.as_str());
        let opened = blocking(move || ObjectFile::open(&place)).await.map_err(StoreError::io("open", key))?;
        let Some(file) = opened.map(Arc::new) else { return Ok(None) };
        self.inner.open_files.0.insert(key.as_str().to_owned(), Arc::clone(&file));
        Ok(Some(file))
    }

    /// Begins to read `range` of an object; `None` when there is no such object. With a `version`, only that one
    /// will do.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the object is another version; otherwise what keeps it from being read.
    pub async fn read_remote(
        &self,
        key: &Key,
        range: Range<u64>,
        version: Option<&str>,
    ) -> Result<Option<RemoteRead>, StoreError> {
        let options = GetOptions::new().with_range(Some(range)).with_if_match(version);
        let found = match self.inner.objects.get_opts(&path(key), options).await {
            Err(object_store::Error::Precondition { .. }) => return Err(StoreError::Changed { key: key.to_string() }),
            found => absent(found, key)?,
        };
        let Some(found) = found else { return Ok(None) };
        let (object_bytes, read_version) = (found.meta.size, found.meta.e_tag.clone());
        // A store that ignores the condition must not mix two versions.
        if version.is_some_and(|version| read_version.as_deref() != Some(version)) {
            return Err(StoreError::Changed { key: key.to_string() });
        }
        let key = key.clone();
        let pieces = found.into_stream().map(move |piece| piece.map_err(StoreError::remote("read", &key)));
        Ok(Some(RemoteRead { object_bytes, version: read_version, pieces: pieces.boxed() }))
    }
}
