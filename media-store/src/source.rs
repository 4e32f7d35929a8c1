//! Sources: from a staged file to an immutable object, and back to a file the engine can read.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use domain::SourceId;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use crate::error::blocking;
use crate::folder::{Folder, sync_parent};
use crate::store::{Backend, absent, path};
use crate::{Key, MediaStore, StoreError, layout, multipart};

impl MediaStore {
    /// Takes a complete, staged file as a source of an asset; the staged file is gone afterwards.
    ///
    /// Durable when it returns. May be repeated after a crash at any moment: when the source is there
    /// already, what is left of the staged file is removed and that is success.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is neither source nor staged file,
    /// [`StoreError::SourceDiffers`] when both exist and do not hold the same; then neither is changed.
    pub async fn adopt_source(&self, source: impl Into<SourceId>, staged: &Path) -> Result<(), StoreError> {
        self.adopt(&layout::source(source), staged).await
    }

    /// The same for any other file that was uploaded.
    ///
    /// # Errors
    /// As for [`MediaStore::adopt_source`].
    pub async fn adopt(&self, key: &Key, staged: &Path) -> Result<(), StoreError> {
        let (key, staged) = (key.clone(), staged.to_owned());
        let stored = self.size(&key).await?;
        let found = {
            let staged = staged.clone();
            blocking(move || size_of(&staged)).await.map_err(StoreError::io("stage", &key))?
        };
        match (stored, found) {
            (None, None) => Err(StoreError::Missing { key: key.to_string() }),
            (Some(_), None) => match &self.inner.backend {
                Backend::Folder(_) => Ok(()),
                Backend::Bucket(bucket) => bucket.forget_journal(&key, &staged).await,
            },
            // Read whole, since what is staged goes: of an earlier attempt that was cut off, or a stranger's.
            (Some(stored_bytes), Some(staged_bytes))
                if stored_bytes != staged_bytes || !self.holds_file(&key, &staged).await? =>
            {
                Err(StoreError::SourceDiffers { key: key.to_string(), stored_bytes, staged, staged_bytes })
            }
            (Some(_), Some(_)) => {
                if let Backend::Bucket(bucket) = &self.inner.backend {
                    bucket.forget_journal(&key, &staged).await?;
                }
                multipart::remove(staged, &key).await
            }
            (None, Some(bytes)) => match &self.inner.backend {
                Backend::Folder(folder) => {
                    let (folder, name) = (folder.clone(), key.clone());
                    let adopt = move || folder.move_in(&staged, name.as_str());
                    blocking(adopt).await.map_err(StoreError::io("write", &key))
                }
                Backend::Bucket(bucket) => bucket.put_source(&self.inner.objects, &key, &staged, bytes).await,
            },
        }
    }

    /// True if the object has the octets of the file.
    async fn holds_file(&self, key: &Key, file: &Path) -> Result<bool, StoreError> {
        let Some(found) = absent(self.inner.objects.get(&path(key)).await, key)? else { return Ok(false) };
        let (mut stored, mut at, file) = (found.into_stream(), 0u64, file.to_owned());
        let file = blocking(move || File::open(file).map(Arc::new)).await.map_err(StoreError::io("stage", key))?;
        while let Some(piece) = stored.try_next().await.map_err(StoreError::remote("read", key))? {
            let (file, from) = (file.clone(), at);
            at += piece.len() as u64;
            if !blocking(move || has_at(&file, &piece, from)).await.map_err(StoreError::io("stage", key))? {
                return Ok(false);
            }
        }
        let bytes = blocking(move || file.metadata()).await.map_err(StoreError::io("stage", key))?.len();
        Ok(bytes == at)
    }

    /// The size of an asset's source in octets; `None` when there is none.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    pub async fn source_size(&self, source: impl Into<SourceId>) -> Result<Option<u64>, StoreError> {
        self.size(&layout::source(source)).await
    }

    /// The same of any object.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    pub async fn size(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        match &self.inner.backend {
            Backend::Folder(folder) => {
                let path = folder.path(key.as_str());
                blocking(move || size_of(&path)).await.map_err(StoreError::io("read", key))
            }
            Backend::Bucket(_) => self.head(key).await,
        }
    }

    /// Opens the source of an asset for reading; the file is the caller's own, with its own position.
    ///
    /// From a bucket it is fetched once into scratch space, however many ask at a time, and kept there
    /// until room is needed.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no source, [`StoreError::TooLarge`] when it does not fit
    /// into scratch space.
    pub async fn open_source(&self, source: impl Into<SourceId>) -> Result<File, StoreError> {
        self.open_uploaded(&layout::source(source)).await
    }

    /// The same of any other file that was uploaded.
    ///
    /// # Errors
    /// As for [`MediaStore::open_source`].
    pub async fn open_uploaded(&self, key: &Key) -> Result<File, StoreError> {
        match &self.inner.backend {
            Backend::Folder(folder) => {
                let path = folder.path(key.as_str());
                blocking(move || File::open(path)).await.map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => StoreError::Missing { key: key.to_string() },
                    _ => StoreError::io("read", key)(error),
                })
            }
            Backend::Bucket(bucket) => bucket.scratch.open_source(&self.inner.objects, key).await,
        }
    }

    /// Makes a file that lies elsewhere the source of an asset, without copying it: a symbolic link.
    ///
    /// For work on files the store does not own; the file must stay where it is and unchanged.
    ///
    /// # Errors
    /// [`StoreError::NeedsFolder`] for a bucket; otherwise what kept the link from being made.
    pub async fn link_source(&self, source: impl Into<SourceId>, file: &Path) -> Result<(), StoreError> {
        let key = layout::source(source);
        let Backend::Folder(folder) = &self.inner.backend else {
            return Err(StoreError::NeedsFolder { what: "linking a source" });
        };
        let (folder, name, file) = (folder.clone(), key.clone(), file.to_owned());
        blocking(move || link(&folder, &file, &name)).await.map_err(StoreError::io("link", &key))
    }

    /// Puts what is durable of a staged file into the bucket ahead of time: all whole parts of its first
    /// `durable_bytes` octets that are not there yet. [`MediaStore::adopt_source`] then has less to do.
    ///
    /// Nothing happens for a folder, and for a file of few parts. `length` is that of the whole file and
    /// never changes. May be dropped, fail or be killed at any moment, and repeated.
    ///
    /// # Errors
    /// Whatever keeps the parts from being put.
    pub async fn put_source_parts(
        &self,
        key: &Key,
        staged: &Path,
        durable_bytes: u64,
        length: u64,
    ) -> Result<(), StoreError> {
        match &self.inner.backend {
            Backend::Folder(_) => Ok(()),
            Backend::Bucket(bucket) => bucket.put_parts_ahead(key, staged, durable_bytes, length).await,
        }
    }

    /// Removes from the bucket what [`MediaStore::put_source_parts`] left there of an upload that was
    /// given up; `staged` is where its file lay. Absence is success.
    ///
    /// # Errors
    /// Whatever keeps it from being removed; then try again later.
    pub async fn abandon_source(&self, staged: &Path) -> Result<(), StoreError> {
        match &self.inner.backend {
            Backend::Folder(_) => Ok(()),
            Backend::Bucket(bucket) => bucket.abandon(staged).await,
        }
    }
}

/// True if these octets stand in the file at this place.
fn has_at(file: &File, piece: &[u8], at: u64) -> io::Result<bool> {
    let mut own = vec![0; piece.len()];
    match file.read_exact_at(&mut own, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| own == piece),
    }
}

fn link(folder: &Folder, file: &Path, key: &Key) -> io::Result<()> {
    let (file, target) = (fs::canonicalize(file)?, folder.make_parents(key.as_str())?);
    match std::os::unix::fs::symlink(&file, &target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::read_link(&target).is_ok_and(|linked| linked == file) { Ok(()) } else { Err(error) }
        }
        Ok(()) => sync_parent(&target),
        Err(error) => Err(error),
    }
}

fn size_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(meta.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
