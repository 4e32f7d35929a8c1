//! A source on its way into a bucket, part by part, resumable after a crash between any two calls.
//!
//! A journal beside the staged file says which multipart upload it is and which parts the bucket has.
//! It is on disk before the first part is put, so parts that nobody knows of cannot exist: at worst a
//! crash leaves a multipart upload without parts. A line that is lost costs one part put again. What a
//! journal names is either completed or, when the upload is given up, aborted.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::{StreamExt, TryStreamExt, stream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use tokio::sync::Semaphore;

use crate::error::blocking;
use crate::folder::sync_parent;
use crate::scratch::Scratch;
use crate::store::{absent, path};
use crate::{Key, StoreError};

/// What the name of a journal adds to the name of the staged file.
pub(crate) const JOURNAL_SUFFIX: &str = ".parts";
/// The first words of a journal.
const JOURNAL_VERSION: &str = "parts-1";
/// Largest journal that is read: a line for each part that S3 allows, and room to spare.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Smallest part of a multipart upload (S3 wants at least 5 MiB for all but the last).
const PART_BYTES_MIN: u64 = 8 << 20;
/// Parts of a multipart upload; S3 allows 10 000.
const PARTS_MAX: u64 = 9_000;
/// Parts of one source under way at a time.
const PARTS_IN_FLIGHT: usize = 2;
/// Memory for parts under way, over all sources. A part larger than all of it goes alone.
const PARTS_MIB_MAX: u32 = 64;
/// A file shorter than this goes in one piece when it is complete.
const AHEAD_BYTES_MIN: u64 = 3 * PART_BYTES_MIN;

/// What a bucket needs besides its objects.
pub(crate) struct Bucket {
    parts: Arc<dyn MultipartStore>,
    pub(crate) scratch: Scratch,
    memory: Arc<Semaphore>,
    /// Whoever works on a journal holds its lock.
    journals: Mutex<HashMap<PathBuf, Weak<tokio::sync::Mutex<()>>>>,
}

/// What a journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Journal {
    key: Key,
    bytes: u64,
    part_bytes: u64,
    id: String,
    parts: BTreeMap<u64, String>,
}

impl Bucket {
    pub(crate) fn new(parts: Arc<dyn MultipartStore>, scratch: Scratch) -> Self {
        let memory = Arc::new(Semaphore::new(PARTS_MIB_MAX as usize));
        Self { parts, scratch, memory, journals: Mutex::default() }
    }

    /// Puts all of a staged file of `bytes` octets as `key`; the file is gone afterwards.
    pub(crate) async fn put_source(
        &self,
        objects: &Arc<dyn ObjectStore>,
        key: &Key,
        staged: &Path,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let turn = self.turn(staged);
        // Held until the file is gone: whoever would put parts ahead finds nothing to put.
        let _turn = turn.lock().await;
        self.put_whole(objects, key, staged, bytes).await?;
        remove(staged.to_owned(), key).await
    }

    async fn put_whole(
        &self,
        objects: &Arc<dyn ObjectStore>,
        key: &Key,
        staged: &Path,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let journal = read_journal(key, staged).await?;
        if bytes <= PART_BYTES_MIN && journal.is_none() {
            let _memory = self.reserve(bytes).await;
            let staged = staged.to_owned();
            let body = blocking(move || fs::read(staged)).await.map_err(StoreError::io("stage", key))?;
            let put = objects.put(&path(key), PutPayload::from(body)).await;
            return put.map(drop).map_err(StoreError::remote("write", key));
        }
        match self.put_all(key, staged, bytes, journal).await {
            // It was completed and the answer lost, or somebody else aborted it: a rule of the bucket
            // against old unfinished uploads, perhaps.
            Err(error) if is_unknown(&error) => {
                let stored = absent(objects.head(&path(key)).await, key)?;
                if stored.is_some_and(|meta| meta.size == bytes) {
                    return remove_journal(key, staged).await;
                }
                tracing::warn!(key = %key, "a multipart upload is gone and begins anew");
                remove_journal(key, staged).await?;
                self.put_all(key, staged, bytes, None).await
            }
            other => other,
        }
    }

    /// Puts the whole parts of the first `durable_bytes` octets.
    pub(crate) async fn put_parts_ahead(
        &self,
        key: &Key,
        staged: &Path,
        durable_bytes: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        if bytes < AHEAD_BYTES_MIN || durable_bytes < part_bytes_of(bytes) {
            return Ok(());
        }
        let turn = self.turn(staged);
        let _turn = turn.lock().await;
        let file = staged.to_owned();
        if !blocking(move || file.try_exists()).await.map_err(StoreError::io("stage", key))? {
            return Ok(());
        }
        let journal = read_journal(key, staged).await?;
        let whole_parts = durable_bytes / part_bytes_of(bytes);
        match self.put_parts(key, staged, bytes, journal, 0..whole_parts).await {
            Err(error) if is_unknown(&error) => remove_journal(key, staged).await,
            other => other.map(drop),
        }
    }

    /// Aborts the multipart upload that the journal of a staged file names.
    pub(crate) async fn abandon(&self, staged: &Path) -> Result<(), StoreError> {
        let turn = self.turn(staged);
        let _turn = turn.lock().await;
        let name = staged.display().to_string();
        let file = staged.to_owned();
        let Some(journal) = blocking(move || load(&file)).await.map_err(StoreError::io("abandon", &name))? else {
            return Ok(());
        };
        match self.parts.abort_multipart(&path(&journal.key), &journal.id).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => remove_journal(&journal.key, staged).await,
            Err(error) => Err(StoreError::remote("abandon", &journal.key)(error)),
        }
    }

    /// Removes the journal of a source that is stored.
    pub(crate) async fn forget_journal(&self, key: &Key, staged: &Path) -> Result<(), StoreError> {
        let turn = self.turn(staged);
        let _turn = turn.lock().await;
        remove_journal(key, staged).await
    }

    async fn put_all(&self, key: &Key, staged: &Path, bytes: u64, journal: Option<Journal>) -> Result<(), StoreError> {
        let count = bytes.div_ceil(part_bytes_of(bytes));
        let journal = self.put_parts(key, staged, bytes, journal, 0..count).await?;
        let parts = journal.parts.into_values().map(|content_id| PartId { content_id }).collect();
        let completed = self.parts.complete_multipart(&path(key), &journal.id, parts).await;
        completed.map_err(StoreError::remote("write", key))?;
        remove_journal(key, staged).await
    }

    /// Puts those of the parts `wanted` that the journal does not name yet.
    async fn put_parts(
        &self,
        key: &Key,
        staged: &Path,
        bytes: u64,
        journal: Option<Journal>,
        wanted: Range<u64>,
    ) -> Result<Journal, StoreError> {
        let failed = |error| StoreError::io("stage", key)(error);
        // A journal of another file is of no use; its parts are aborted with it.
        let journal = match journal {
            Some(journal) if journal.bytes == bytes && journal.part_bytes == part_bytes_of(bytes) => Some(journal),
            Some(stale) => {
                let _ = self.parts.abort_multipart(&path(key), &stale.id).await;
                remove_journal(key, staged).await?;
                None
            }
            None => None,
        };
        let mut journal = match journal {
            Some(journal) => journal,
            None => self.begin(key, staged, bytes).await?,
        };
        let path_of_staged = staged.to_owned();
        let file = Arc::new(blocking(move || File::open(path_of_staged)).await.map_err(failed)?);
        let missing: Vec<u64> = wanted.filter(|index| !journal.parts.contains_key(index)).collect();
        let part_bytes = journal.part_bytes;
        let id = journal.id.clone();
        let put = |index| {
            let range = index * part_bytes..bytes.min((index + 1) * part_bytes);
            self.put_part(key, &id, index, file.clone(), range)
        };
        let mut puts = stream::iter(missing).map(put).buffer_unordered(PARTS_IN_FLIGHT);
        while let Some((index, content_id)) = puts.try_next().await? {
            let (line, file) = (format!("{index} {content_id}\n"), staged.to_owned());
            // Not flushed: a line that a power cut takes means that this part is put once more.
            let append = move || OpenOptions::new().append(true).open(journal_of(&file))?.write_all(line.as_bytes());
            blocking(append).await.map_err(failed)?;
            journal.parts.insert(index, content_id);
        }
        Ok(journal)
    }

    async fn put_part(
        &self,
        key: &Key,
        id: &str,
        index: u64,
        file: Arc<File>,
        range: Range<u64>,
    ) -> Result<(u64, String), StoreError> {
        let length = range.end - range.start;
        let _memory = self.reserve(length).await;
        let read = move || {
            let mut part = vec![0u8; usize::try_from(length).map_err(io::Error::other)?];
            file.read_exact_at(&mut part, range.start)?;
            Ok(part)
        };
        let part = blocking(read).await.map_err(StoreError::io("stage", key))?;
        let number = usize::try_from(index).unwrap_or(usize::MAX);
        let put = self.parts.put_part(&path(key), &id.to_owned(), number, part.into()).await;
        put.map(|part| (index, part.content_id)).map_err(StoreError::remote("write", key))
    }

    /// Begins a multipart upload; its journal is on disk when this returns.
    async fn begin(&self, key: &Key, staged: &Path, bytes: u64) -> Result<Journal, StoreError> {
        let id = self.parts.create_multipart(&path(key)).await.map_err(StoreError::remote("write", key))?;
        let part_bytes = part_bytes_of(bytes);
        let journal = Journal { key: key.clone(), bytes, part_bytes, id, parts: BTreeMap::new() };
        let (head, file) = (journal.head(), journal_of(staged));
        let write = move || {
            let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(&file)?;
            out.write_all(head.as_bytes())?;
            out.sync_all()?;
            sync_parent(&file)
        };
        blocking(write).await.map_err(StoreError::io("stage", key))?;
        Ok(journal)
    }

    /// Room in memory for `bytes` octets of parts, until it is dropped.
    async fn reserve(&self, bytes: u64) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX).clamp(1, PARTS_MIB_MAX);
        // The semaphore is never closed.
        self.memory.acquire_many(mib).await.ok()
    }

    fn turn(&self, staged: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut journals = lock(&self.journals);
        journals.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = journals.get(staged).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        journals.insert(staged.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

impl Journal {
    fn head(&self) -> String {
        let Self { key, bytes, part_bytes, id, .. } = self;
        format!("{JOURNAL_VERSION} {bytes} {part_bytes} {key}\n{id}\n")
    }

    /// `None` for anything that this version does not write, such as a head cut short.
    fn parse(text: &str) -> Option<Self> {
        // What stands behind the last line break was being written when the process ended.
        let (whole, _) = text.rsplit_once('\n')?;
        let mut lines = whole.split('\n');
        let mut head = lines.next()?.splitn(4, ' ');
        if head.next()? != JOURNAL_VERSION {
            return None;
        }
        let (bytes, part_bytes) = (head.next()?.parse().ok()?, head.next()?.parse().ok()?);
        let key = Key::listed(head.next()?.to_owned());
        let id = lines.next().filter(|id| !id.is_empty())?.to_owned();
        let part = |line: &str| {
            let (index, content_id) = line.split_once(' ')?;
            Some((index.parse().ok()?, content_id.to_owned()))
        };
        // A power cut may leave lines of zeros: their parts are put again.
        Some(Self { key, bytes, part_bytes, id, parts: lines.filter_map(part).collect() })
    }
}

/// Parts as small as S3 allows for a file of this size.
fn part_bytes_of(bytes: u64) -> u64 {
    bytes.div_ceil(PARTS_MAX).next_multiple_of(1 << 20).max(PART_BYTES_MIN)
}

fn journal_of(staged: &Path) -> PathBuf {
    let mut name = staged.as_os_str().to_owned();
    name.push(JOURNAL_SUFFIX);
    name.into()
}

async fn read_journal(key: &Key, staged: &Path) -> Result<Option<Journal>, StoreError> {
    let file = staged.to_owned();
    let journal = blocking(move || load(&file)).await.map_err(StoreError::io("stage", key))?;
    Ok(journal.filter(|journal| journal.key == *key))
}

/// Reads a journal and cuts off a line that was never finished, so that the next one stands alone.
fn load(staged: &Path) -> io::Result<Option<Journal>> {
    let file = match OpenOptions::new().read(true).write(true).open(journal_of(staged)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let bytes = file.metadata()?.len();
    if bytes > JOURNAL_BYTES_MAX {
        return Err(io::Error::other("a journal of parts is too long"));
    }
    let mut text = vec![0u8; usize::try_from(bytes).map_err(io::Error::other)?];
    file.read_exact_at(&mut text, 0)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
        text.truncate(whole);
    }
    Ok(Journal::parse(&String::from_utf8_lossy(&text)))
}

async fn remove_journal(key: &Key, staged: &Path) -> Result<(), StoreError> {
    remove(journal_of(staged), key).await
}

/// Removes a file; absence is success.
pub(crate) async fn remove(file: PathBuf, key: &Key) -> Result<(), StoreError> {
    let remove = move || match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    blocking(remove).await.map_err(StoreError::io("stage", key))
}

/// Whether the bucket knows nothing of the multipart upload.
fn is_unknown(error: &StoreError) -> bool {
    matches!(error, StoreError::Remote { source: object_store::Error::NotFound { .. }, .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
