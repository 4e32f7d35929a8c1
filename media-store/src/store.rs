//! The store: put once, get, list, delete, and the pointers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use domain::PlaybackId;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};

use crate::changes::{Change, Changes, Listener};
use crate::config::{Place, place};
use crate::disk::Disk;
use crate::error::blocking;
use crate::folder::Folder;
use crate::multipart::Bucket;
use crate::reading::OpenFiles;
use crate::scratch::Scratch;
use crate::{Key, Prefix, StoreConfig, StoreError, layout};

/// Largest object that is read into memory as a whole.
pub const OBJECT_BYTES_MAX: u64 = 256 << 20;
/// Objects on one page of a listing.
pub const PAGE_OBJECTS: usize = 1000;

/// Objects of the media pipeline, in a local folder or in a bucket. Cheap to clone.
#[derive(Clone)]
pub struct MediaStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Reads and lists go here for both kinds of store; writes and deletes only for buckets.
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) backend: Backend,
    pub(crate) open_files: OpenFiles,
    pub(crate) changes: Changes,
}

pub(crate) enum Backend {
    Folder(Arc<Folder>),
    Bucket(Bucket),
}

impl Inner {
    fn new(objects: Arc<dyn ObjectStore>, backend: Backend) -> Self {
        Self { objects, backend, open_files: OpenFiles::new(), changes: Changes::default() }
    }
}

/// What [`MediaStore::put_once`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// The object was written.
    Written,
    /// The very same object existed already.
    AlreadyThere,
}

/// One object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: Key,
    /// Its size.
    pub bytes: u64,
}

/// A part of a listing, in order of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// At most [`PAGE_OBJECTS`] objects.
    pub objects: Vec<Object>,
    /// Where the next page begins: pass it to [`MediaStore::list`]; `None` on the last page.
    pub next: Option<Key>,
}

impl fmt::Debug for MediaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaStore({})", self.place())
    }
}

impl MediaStore {
    /// Opens the store that `config` names; a local folder is made when it is missing.
    ///
    /// # Errors
    /// [`StoreError::Config`] for an unusable URL, [`StoreError::Open`] when the folder cannot be
    /// written. A bucket is not contacted: see [`MediaStore::check`].
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_on(Disk::default(), config).await
    }

    /// The same on a disk that somebody watches.
    ///
    /// # Errors
    /// As for [`MediaStore::open`].
    pub async fn open_on(disk: Disk, config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_with(config, |root| Folder::open(root, disk)).await
    }

    async fn open_with(
        config: StoreConfig,
        open: impl FnOnce(&std::path::Path) -> std::io::Result<Folder> + Send + 'static,
    ) -> Result<Self, StoreError> {
        let opened = |place: String| move |source| StoreError::Open { place, source };
        let inner = match place(&config)? {
            Place::Folder(root) => {
                let name = root.display().to_string();
                let folder = blocking(move || open(&root)).await.map_err(opened(name))?;
                let objects = LocalFileSystem::new_with_prefix(folder.root())
                    .map_err(|error| StoreError::Config { reason: error.to_string() })?;
                Inner::new(Arc::new(objects), Backend::Folder(Arc::new(folder)))
            }
            Place::Bucket { objects, parts } => {
                let name = config.scratch.display().to_string();
                let scratch = Scratch::open(config.scratch).await.map_err(opened(name))?;
                Inner::new(objects, Backend::Bucket(Bucket::new(parts, scratch)))
            }
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Opens a store only to read it: nothing is made, tried out or tidied up by that. Do not write to it.
    ///
    /// Whoever writes to the same place may go on doing so.
    ///
    /// # Errors
    /// As for [`MediaStore::open`], also when a local folder does not exist.
    pub async fn open_to_read(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_with(config, Folder::open_to_read).await
    }

    /// Proves that the store answers: one read of an object that need not exist.
    ///
    /// # Errors
    /// Whatever keeps it from answering.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.pointer(PlaybackId::from_u128(0)).await.map(drop)
    }

    /// Whether this is a local folder.
    pub fn is_folder(&self) -> bool {
        matches!(self.inner.backend, Backend::Folder(_))
    }

    /// The file of an object, for linking or copying without reading it; `None` for a bucket.
    ///
    /// It must only be read. Whether it exists is for the caller to see.
    pub fn local_path(&self, key: &Key) -> Option<PathBuf> {
        match &self.inner.backend {
            Backend::Folder(folder) => Some(folder.path(key.as_str())),
            Backend::Bucket(_) => None,
        }
    }

    /// Writes an immutable object. When this returns, it survives a power cut.
    ///
    /// An object without a row in the catalog is garbage of a killed worker: should it differ from
    /// `body`, it is replaced. Callers never put two different bodies that a row speaks of.
    ///
    /// # Errors
    /// [`StoreError`] with the key; the object is then absent or whole, never partial.
    pub async fn put_once(&self, key: &Key, body: Bytes) -> Result<Put, StoreError> {
        let put = match &self.inner.backend {
            Backend::Folder(folder) => {
                let (writer, name) = (folder.clone(), key.clone());
                let put = move || {
                    if writer.holds(name.as_str(), &body)? {
                        return Ok(Put::AlreadyThere);
                    }
                    writer.write(name.as_str(), &body).map(|()| Put::Written)
                };
                folder.writing(put).await.map_err(StoreError::io("write", key))
            }
            Backend::Bucket(_) => self.put_remote(key, body).await.map(|()| Put::Written),
        };
        self.inner.open_files.forget(key);
        self.inner.changes.tell(&Change::Put(key));
        put
    }

    /// The whole object; `None` when there is none.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`OBJECT_BYTES_MAX`]; otherwise what kept it from being read.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let Some(found) = absent(self.inner.objects.get(&path(key)).await, key)? else { return Ok(None) };
        let bytes = found.meta.size;
        if bytes > OBJECT_BYTES_MAX {
            return Err(StoreError::TooLarge { key: key.to_string(), bytes, bytes_max: OBJECT_BYTES_MAX });
        }
        found.bytes().await.map(Some).map_err(StoreError::remote("read", key))
    }

    /// The octets `range` of an object; `None` when there is no such object.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a range longer than [`OBJECT_BYTES_MAX`]; an empty range, or one
    /// that begins behind the object's end, is an error, one that ends behind it is cut short.
    pub async fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>, StoreError> {
        let bytes = range.end.saturating_sub(range.start);
        if bytes > OBJECT_BYTES_MAX {
            return Err(StoreError::TooLarge { key: key.to_string(), bytes, bytes_max: OBJECT_BYTES_MAX });
        }
        let options = GetOptions::new().with_range(Some(range));
        let Some(found) = absent(self.inner.objects.get_opts(&path(key), options).await, key)? else {
            return Ok(None);
        };
        found.bytes().await.map(Some).map_err(StoreError::remote("read", key))
    }

    /// The size of an object in octets; `None` when there is none.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    pub async fn head(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        Ok(absent(self.inner.objects.head(&path(key)).await, key)?.map(|meta| meta.size))
    }

    /// Deletes an object; absence is success. In a folder, also what this process was asked to write before.
    ///
    /// # Errors
    /// Whatever keeps it from being deleted.
    pub async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        let deleted = match &self.inner.backend {
            Backend::Folder(folder) => {
                folder.writes_ended().await;
                let (folder, name) = (folder.clone(), key.clone());
                blocking(move || folder.delete(name.as_str())).await.map_err(StoreError::io("delete", key))
            }
            Backend::Bucket(_) => match self.inner.objects.delete(&path(key)).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(StoreError::remote("delete", key)(error)),
            },
        };
        self.inner.open_files.forget(key);
        deleted
    }

    /// One page of the objects below `prefix`, in order of keys, beginning behind `after`.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    pub async fn list(&self, prefix: &Prefix, after: Option<&Key>) -> Result<Page, StoreError> {
        let whole = Path::from(prefix.as_str());
        let mut found = match after {
            Some(after) => self.inner.objects.list_with_offset(Some(&whole), &path(after)),
            None => self.inner.objects.list(Some(&whole)),
        };
        // A bucket lists in order of keys, a folder in none: keep the smallest keys of what comes.
        let mut page = BTreeMap::new();
        while let Some(meta) = found.try_next().await.map_err(StoreError::remote("list", prefix))? {
            page.insert(String::from(meta.location), meta.size);
            if page.len() > PAGE_OBJECTS {
                if !self.is_folder() {
                    break;
                }
                if page.len() > 2 * PAGE_OBJECTS {
                    let cut = page.keys().nth(PAGE_OBJECTS + 1).cloned();
                    cut.map(|cut| page.split_off(&cut));
                }
            }
        }
        let has_more = page.len() > PAGE_OBJECTS;
        let object = |(key, bytes)| Object { key: Key::listed(key), bytes };
        let objects: Vec<Object> = page.into_iter().take(PAGE_OBJECTS).map(object).collect();
        let next = objects.last().filter(|_| has_more).map(|last| last.key.clone());
        Ok(Page { objects, next })
    }

    /// Deletes every object below `prefix`; absence is success. May be repeated after a crash.
    ///
    /// In a folder, what this process was asked to write before is deleted as well, also where whoever asked has
    /// stopped waiting.
    ///
    /// # Errors
    /// Whatever keeps them from being deleted; some are then gone, some not.
    pub async fn delete_prefix(&self, prefix: &Prefix) -> Result<(), StoreError> {
        if let Backend::Folder(folder) = &self.inner.backend {
            folder.writes_ended().await;
            let (folder, name) = (folder.clone(), prefix.clone());
            let deleted = blocking(move || folder.delete_tree(name.as_str())).await;
            self.inner.open_files.forget_below(prefix.as_str());
            return deleted.map_err(StoreError::io("delete", prefix));
        }
        let mut after = None;
        // Ends because every page begins behind the one before it.
        loop {
            let page = self.list(prefix, after.as_ref()).await?;
            let keys: Vec<_> = page.objects.iter().map(|object| Ok(path(&object.key))).collect();
            let deleted = self.inner.objects.delete_stream(futures::stream::iter(keys).boxed());
            deleted.try_for_each(|_| async { Ok(()) }).await.map_err(StoreError::remote("delete", prefix))?;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Points a playback id at a document, replacing what it pointed to. Atomic and durable: a reader
    /// sees the old or the new document, never a mixture.
    ///
    /// # Errors
    /// Whatever keeps it from being written; the old document then stays.
    pub async fn put_pointer(&self, playback: PlaybackId, body: Bytes) -> Result<(), StoreError> {
        let key = layout::pointer(playback);
        let put = match &self.inner.backend {
            Backend::Folder(folder) => {
                let (writer, name) = (folder.clone(), key.clone());
                let put = folder.writing(move || writer.write(name.as_str(), &body));
                put.await.map_err(StoreError::io("write", &key))
            }
            Backend::Bucket(_) => self.put_remote(&key, body).await,
        };
        self.inner.changes.tell(&Change::Pointer(playback));
        put
    }

    /// What a playback id points to; `None` when it points to nothing.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    pub async fn pointer(&self, playback: PlaybackId) -> Result<Option<Bytes>, StoreError> {
        self.get(&layout::pointer(playback)).await
    }

    /// Makes a playback id point to nothing; absence is success.
    ///
    /// # Errors
    /// Whatever keeps it from being deleted.
    pub async fn delete_pointer(&self, playback: PlaybackId) -> Result<(), StoreError> {
        let deleted = self.delete(&layout::pointer(playback)).await;
        self.inner.changes.tell(&Change::Pointer(playback));
        deleted
    }

    /// Calls `listener` after each change that this process makes, for as long as it is kept. It must return at
    /// once. What other processes change it does not hear of.
    pub fn listen(&self, listener: &Arc<Listener>) {
        self.inner.changes.listen(listener);
    }

    async fn put_remote(&self, key: &Key, body: Bytes) -> Result<(), StoreError> {
        self.inner.objects.put(&path(key), body.into()).await.map(drop).map_err(StoreError::remote("write", key))
    }

    fn place(&self) -> String {
        match &self.inner.backend {
            Backend::Folder(folder) => folder.root().display().to_string(),
            Backend::Bucket(_) => self.inner.objects.to_string(),
        }
    }
}

/// The key as the object store writes it; our keys need no escaping.
pub(crate) fn path(key: &Key) -> Path {
    Path::from(key.as_str())
}

/// Turns "there is no such object" into `None`.
pub(crate) fn absent<T>(found: object_store::Result<T>, key: &Key) -> Result<Option<T>, StoreError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(StoreError::remote("read", key)(error)),
    }
}
