//! Sources: from a staged file to an immutable object, and back to a file the engine can read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::AssetId;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};

use crate::error::blocking;
use crate::folder::{Folder, sync_parent};
use crate::store::{Backend, path};
use crate::{Key, MediaStore, StoreError, layout};

/// Smallest part of a multipart upload (S3 wants at least 5 MiB for all but the last).
const PART_BYTES_MIN: u64 = 8 << 20;
/// Parts of a multipart upload; S3 allows 10 000.
const PARTS_MAX: u64 = 9_000;
/// Parts under way at a time: memory is bounded by this many and the one being read.
const PARTS_IN_FLIGHT: usize = 3;

impl MediaStore {
    /// Takes a complete, staged file as the source of an asset; the staged file is gone afterwards.
    ///
    /// Durable when it returns. May be repeated after a crash at any moment: when the source is there
    /// already, what is left of the staged file is removed and that is success.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is neither source nor staged file,
    /// [`StoreError::SourceDiffers`] when both exist and have different sizes.
    pub async fn adopt_source(&self, asset: AssetId, staged: &Path) -> Result<(), StoreError> {
        let (key, staged) = (layout::source(asset), staged.to_owned());
        let stored = self.source_size(asset).await?;
        let found = {
            let staged = staged.clone();
            blocking(move || size_of(&staged)).await.map_err(StoreError::io("stage", &key))?
        };
        match (stored, found) {
            (None, None) => Err(StoreError::Missing { key: key.to_string() }),
            (Some(_), None) => Ok(()),
            (Some(stored_bytes), Some(staged_bytes)) if stored_bytes != staged_bytes => {
                Err(StoreError::SourceDiffers { key: key.to_string(), stored_bytes, staged, staged_bytes })
            }
            (Some(_), Some(_)) => remove_staged(staged, &key).await,
            (None, Some(bytes)) => match &self.inner.backend {
                Backend::Folder(folder) => {
                    let (folder, name) = (folder.clone(), key.clone());
                    blocking(move || adopt(&folder, &staged, &name)).await.map_err(StoreError::io("write", &key))
                }
                Backend::Bucket(_) => {
                    self.upload(&key, &staged, bytes).await?;
                    remove_staged(staged, &key).await
                }
            },
        }
    }

    /// The size of an asset's source in octets; `None` when there is none.
    ///
    /// # Errors
    /// Whatever keeps the store from answering.
    pub async fn source_size(&self, asset: AssetId) -> Result<Option<u64>, StoreError> {
        let key = layout::source(asset);
        match &self.inner.backend {
            Backend::Folder(folder) => {
                let path = folder.path(key.as_str());
                blocking(move || size_of(&path)).await.map_err(StoreError::io("read", &key))
            }
            Backend::Bucket(_) => self.head(&key).await,
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
    pub async fn open_source(&self, asset: AssetId) -> Result<File, StoreError> {
        let key = layout::source(asset);
        match &self.inner.backend {
            Backend::Folder(folder) => {
                let path = folder.path(key.as_str());
                blocking(move || File::open(path)).await.map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => StoreError::Missing { key: key.to_string() },
                    _ => StoreError::io("read", &key)(error),
                })
            }
            Backend::Bucket(scratch) => scratch.open_source(&self.inner.objects, asset, &key).await,
        }
    }

    /// Makes a file that lies elsewhere the source of an asset, without copying it: a symbolic link.
    ///
    /// For work on files the store does not own; the file must stay where it is and unchanged.
    ///
    /// # Errors
    /// [`StoreError::NeedsFolder`] for a bucket; otherwise what kept the link from being made.
    pub async fn link_source(&self, asset: AssetId, file: &Path) -> Result<(), StoreError> {
        let key = layout::source(asset);
        let Backend::Folder(folder) = &self.inner.backend else {
            return Err(StoreError::NeedsFolder { what: "linking a source" });
        };
        let (folder, name, file) = (folder.clone(), key.clone(), file.to_owned());
        blocking(move || link(&folder, &file, &name)).await.map_err(StoreError::io("link", &key))
    }

    async fn upload(&self, key: &Key, staged: &Path, bytes: u64) -> Result<(), StoreError> {
        let failed = |error| StoreError::remote("write", key)(error);
        if bytes <= PART_BYTES_MIN {
            let staged = staged.to_owned();
            let body = blocking(move || fs::read(staged)).await.map_err(StoreError::io("stage", key))?;
            return self.inner.objects.put(&path(key), PutPayload::from(body)).await.map(drop).map_err(failed);
        }
        let part_bytes = part_bytes_of(bytes);
        let upload = self.inner.objects.put_multipart(&path(key)).await.map_err(failed)?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, usize::try_from(part_bytes).unwrap_or(usize::MAX));
        // Dropping a multipart upload leaves its parts behind: every way out of here completes or aborts it.
        match self.upload_parts(key, staged, bytes, part_bytes, &mut upload).await {
            Ok(()) => upload.finish().await.map(drop).map_err(failed),
            Err(error) => {
                if let Err(abort) = upload.abort().await {
                    tracing::warn!(key = %key, error = %abort, "a multipart upload could not be aborted");
                }
                Err(error)
            }
        }
    }

    async fn upload_parts(
        &self,
        key: &Key,
        staged: &Path,
        bytes: u64,
        part_bytes: u64,
        upload: &mut WriteMultipart,
    ) -> Result<(), StoreError> {
        let failed = |error| StoreError::io("stage", key)(error);
        let file = Arc::new({
            let staged = staged.to_owned();
            blocking(move || File::open(staged)).await.map_err(failed)?
        });
        let mut offset = 0;
        while offset < bytes {
            let file = file.clone();
            let length = usize::try_from(part_bytes.min(bytes - offset)).unwrap_or(usize::MAX);
            let part = blocking(move || read_at(&file, offset, length)).await.map_err(failed)?;
            upload.wait_for_capacity(PARTS_IN_FLIGHT).await.map_err(StoreError::remote("write", key))?;
            upload.put(part.into());
            offset += length as u64;
        }
        Ok(())
    }
}

/// Parts as small as S3 allows for a file of this size.
fn part_bytes_of(bytes: u64) -> u64 {
    bytes.div_ceil(PARTS_MAX).next_multiple_of(1 << 20).max(PART_BYTES_MIN)
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut part = vec![0u8; length];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut part, offset)?;
    Ok(part)
}

fn adopt(folder: &Folder, staged: &Path, key: &Key) -> io::Result<()> {
    let target = folder.make_parents(key.as_str())?;
    File::open(staged)?.sync_all()?;
    match fs::rename(staged, &target) {
        Ok(()) => sync_parent(&target).and_then(|()| sync_parent(staged)),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            folder.copy_in(staged, key.as_str())?;
            fs::remove_file(staged)
        }
        Err(error) => Err(error),
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

async fn remove_staged(staged: PathBuf, key: &Key) -> Result<(), StoreError> {
    blocking(move || match fs::remove_file(staged) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
    .await
    .map_err(StoreError::io("stage", key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_any_size_fits_into_the_parts_s3_allows() {
        for bytes in [0, 1, PART_BYTES_MIN, PART_BYTES_MIN * PARTS_MAX, PART_BYTES_MIN * PARTS_MAX + 1, 5 << 40] {
            let part = part_bytes_of(bytes);
            assert!(part >= PART_BYTES_MIN && bytes.div_ceil(part) <= PARTS_MAX, "{bytes}");
        }
    }
}
