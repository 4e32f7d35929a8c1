//! Sources fetched from a bucket, kept in local files without a name.
//!
//! A file without a name needs no cleaning up: the kernel frees it when the last descriptor closes,
//! whether the process ends well or not. Each reader opens its own view through `/proc/self/fd`.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::OnceCell;

use crate::error::blocking;
use crate::store::{absent, path};
use crate::{Key, StoreError};

/// Scratch space for sources of a bucket; the least recently used make room for new ones.
const SCRATCH_BYTES_MAX: u64 = 256 << 30;

/// The scratch space.
pub(crate) struct Scratch {
    dir: PathBuf,
    bytes_max: u64,
    uses: AtomicU64,
    slots: Mutex<HashMap<Key, Arc<Slot>>>,
}

#[derive(Default)]
struct Slot {
    file: OnceCell<File>,
    /// Reserved or used; 0 while nothing is known of the source.
    bytes: AtomicU64,
    last_use: AtomicU64,
}

impl Scratch {
    pub(crate) async fn open(dir: PathBuf) -> io::Result<Self> {
        Self::open_with(dir, SCRATCH_BYTES_MAX).await
    }

    async fn open_with(dir: PathBuf, bytes_max: u64) -> io::Result<Self> {
        let folder = dir.clone();
        blocking(move || std::fs::create_dir_all(folder)).await?;
        Ok(Self { dir, bytes_max, uses: AtomicU64::new(0), slots: Mutex::default() })
    }

    /// The source under `key` as a file of the caller's own.
    pub(crate) async fn open_source(&self, objects: &Arc<dyn ObjectStore>, key: &Key) -> Result<File, StoreError> {
        let slot = self.lock().entry(key.clone()).or_default().clone();
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let fetched = slot.file.get_or_try_init(|| self.fetch(objects, key, &slot)).await;
        let file = match fetched {
            Ok(file) => file.try_clone(),
            Err(error) => {
                self.forget_if_idle(key, &slot);
                return Err(error);
            }
        };
        // A cloned descriptor shares its position with every other clone; reopening does not.
        let reopen = |file: File| File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        blocking(move || file.and_then(reopen)).await.map_err(StoreError::io("read", key))
    }

    async fn fetch(&self, objects: &Arc<dyn ObjectStore>, key: &Key, slot: &Arc<Slot>) -> Result<File, StoreError> {
        let found = absent(objects.get(&path(key)).await, key)?;
        let Some(found) = found else { return Err(StoreError::Missing { key: key.to_string() }) };
        let bytes = found.meta.size;
        if bytes > self.bytes_max {
            return Err(StoreError::TooLarge { key: key.to_string(), bytes, bytes_max: self.bytes_max });
        }
        let reserved = Reserved::new(slot, bytes);
        self.make_room(key);
        let dir = self.dir.clone();
        let file = blocking(move || tempfile::tempfile_in(dir)).await.map_err(StoreError::io("fetch", key))?;
        let (file, mut offset, mut body) = (Arc::new(file), 0, found.into_stream());
        while let Some(piece) = body.try_next().await.map_err(StoreError::remote("fetch", key))? {
            let (file, at) = (file.clone(), offset);
            offset += piece.len() as u64;
            blocking(move || file.write_all_at(&piece, at)).await.map_err(StoreError::io("fetch", key))?;
        }
        let file = Arc::into_inner(file).ok_or_else(|| io::Error::other("a write is still under way"));
        let whole =
            file.and_then(|file| if offset == bytes { Ok(file) } else { Err(io::ErrorKind::UnexpectedEof.into()) });
        let whole = whole.map_err(StoreError::io("fetch", key))?;
        reserved.keep();
        Ok(whole)
    }

    /// Forgets the least recently used sources until all that remain fit.
    ///
    /// Readers keep what they have open. Sources still being fetched are never forgotten, so many at
    /// a time may exceed the bound for a while.
    fn make_room(&self, newcomer: &Key) {
        let mut slots = self.lock();
        let used = |slots: &HashMap<Key, Arc<Slot>>| -> u64 {
            slots.values().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum()
        };
        while used(&slots) > self.bytes_max {
            let idle = slots.iter().filter(|(key, slot)| *key != newcomer && slot.file.initialized());
            let oldest = idle.min_by_key(|(_, slot)| slot.last_use.load(Ordering::Relaxed)).map(|(key, _)| key.clone());
            match oldest {
                Some(oldest) => slots.remove(&oldest),
                None => break,
            };
        }
    }

    fn forget_if_idle(&self, key: &Key, slot: &Arc<Slot>) {
        let mut slots = self.lock();
        // Two owners, the map and the caller: nobody else is waiting for this source.
        if Arc::strong_count(slot) <= 2 && !slot.file.initialized() {
            slots.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Scratch space set aside for a source; given back unless the source arrives.
struct Reserved<'a>(Option<&'a Slot>);

impl<'a> Reserved<'a> {
    fn new(slot: &'a Slot, bytes: u64) -> Self {
        slot.bytes.store(bytes, Ordering::Relaxed);
        Self(Some(slot))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.0 {
            slot.bytes.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use domain::AssetId;
    use object_store::memory::InMemory;

    use super::*;
    use crate::layout;

    async fn scratch_of(bytes_max: u64) -> (tempfile::TempDir, Scratch, Arc<dyn ObjectStore>) {
        let dir = tempfile::tempdir().expect("a folder");
        let scratch = Scratch::open_with(dir.path().join("scratch"), bytes_max).await.expect("opens");
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        for asset in 1..=3u8 {
            let key = layout::source(AssetId::from_u128(asset.into()));
            objects.put(&path(&key), vec![asset; 100].into()).await.expect("puts");
        }
        (dir, scratch, objects)
    }

    async fn read(scratch: &Scratch, objects: &Arc<dyn ObjectStore>, asset: u128) -> Result<Vec<u8>, StoreError> {
        let asset = AssetId::from_u128(asset);
        let mut file = scratch.open_source(objects, &layout::source(asset)).await?;
        let mut body = Vec::new();
        file.read_to_end(&mut body).expect("reads");
        Ok(body)
    }

    #[tokio::test]
    async fn a_source_is_fetched_once_and_each_reader_begins_at_its_start() {
        let (_dir, scratch, objects) = scratch_of(1000).await;
        assert_eq!(read(&scratch, &objects, 1).await.expect("reads"), [1; 100]);
        objects.delete(&path(&layout::source(AssetId::from_u128(1)))).await.expect("deletes");
        assert_eq!(read(&scratch, &objects, 1).await.expect("reads"), [1; 100]);
    }

    #[tokio::test]
    async fn the_least_recently_used_source_makes_room() {
        let (_dir, scratch, objects) = scratch_of(250).await;
        for asset in [1, 2, 1, 3] {
            read(&scratch, &objects, asset).await.expect("reads");
        }
        let mut kept: Vec<_> = scratch.lock().keys().cloned().collect();
        kept.sort();
        assert_eq!(kept, [1, 3].map(|asset| layout::source(AssetId::from_u128(asset))));
    }

    #[tokio::test]
    async fn a_source_that_cannot_fit_or_does_not_exist_is_refused_and_leaves_no_trace() {
        let (_dir, scratch, objects) = scratch_of(99).await;
        assert!(matches!(read(&scratch, &objects, 1).await, Err(StoreError::TooLarge { .. })));
        assert!(matches!(read(&scratch, &objects, 9).await, Err(StoreError::Missing { .. })));
        assert!(scratch.lock().is_empty());
    }
}
