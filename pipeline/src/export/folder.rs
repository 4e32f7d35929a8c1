//! The folder an export grows in: whole files only, the same result however often it is repeated.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use media_store::{Key, MediaStore};

use super::ExportError;

pub(super) struct Folder {
    root: PathBuf,
    /// Folders whose entries changed and are not synced.
    touched: BTreeSet<PathBuf>,
    file_count: usize,
    bytes: u64,
}

impl Folder {
    pub(super) async fn open(root: PathBuf) -> Result<Self, ExportError> {
        let made = root.clone();
        blocking(root.clone(), move || fs::create_dir_all(made)).await?;
        let touched = root.parent().filter(|parent| !parent.as_os_str().is_empty()).map(Path::to_owned);
        Ok(Self { root, touched: touched.into_iter().collect(), file_count: 0, bytes: 0 })
    }

    /// Places a stored object at `path` below the root: linked where possible, else copied.
    pub(super) async fn object(&mut self, store: &MediaStore, key: &Key, path: &str) -> Result<(), ExportError> {
        let target = self.target(path);
        if let Some(source) = store.local_path(key) {
            let file = target.clone();
            let linked = blocking(target.clone(), move || link(&source, &file)).await?;
            if let Some(bytes) = linked {
                self.count(bytes);
                return Ok(());
            }
        }
        let body = store.get(key).await?.ok_or_else(|| ExportError::Missing { key: key.to_string() })?;
        self.put(target, body).await
    }

    /// Writes a file at `path` below the root, unless it has these bytes already.
    pub(super) async fn write(&mut self, path: &str, body: Bytes) -> Result<(), ExportError> {
        let target = self.target(path);
        self.put(target, body).await
    }

    /// Returns once all that was placed survives a power cut.
    pub(super) async fn sync(&mut self) -> Result<(), ExportError> {
        let folders = std::mem::take(&mut self.touched);
        blocking(self.root.clone(), move || folders.iter().try_for_each(|folder| File::open(folder)?.sync_all())).await
    }

    pub(super) fn file_count(&self) -> usize {
        self.file_count
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn put(&mut self, target: PathBuf, body: Bytes) -> Result<(), ExportError> {
        self.count(u64::try_from(body.len()).unwrap_or(u64::MAX));
        let file = target.clone();
        blocking(target, move || write(&file, &body)).await
    }

    fn target(&mut self, path: &str) -> PathBuf {
        let target = self.root.join(path);
        // New folders are entries of the root, new files of their folder.
        self.touched.insert(self.root.clone());
        self.touched.extend(target.parent().map(Path::to_owned));
        target
    }

    fn count(&mut self, bytes: u64) {
        self.file_count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Links `source` to `target`; its size, or `None` if the file systems do not allow it.
fn link(source: &Path, target: &Path) -> io::Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt;
    let Ok(stored) = fs::metadata(source) else { return Ok(None) };
    if fs::metadata(target).is_ok_and(|found| (found.dev(), found.ino()) == (stored.dev(), stored.ino())) {
        return Ok(Some(stored.len()));
    }
    let temporary = prepare(target)?;
    // Another file system, or one without links: the caller copies.
    if fs::hard_link(source, &temporary).is_err() {
        return Ok(None);
    }
    fs::rename(&temporary, target)?;
    Ok(Some(stored.len()))
}

fn write(target: &Path, body: &[u8]) -> io::Result<()> {
    if fs::read(target).is_ok_and(|found| found == body) {
        return Ok(());
    }
    let temporary = prepare(target)?;
    let mut file = File::create_new(&temporary)?;
    file.write_all(body)?;
    file.sync_all()?;
    fs::rename(&temporary, target)
}

/// A free name beside `target`, in a folder that exists.
fn prepare(target: &Path) -> io::Result<PathBuf> {
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(".tmp");
    let temporary = parent.join(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(temporary),
    }
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ExportError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
    done.map_err(|source| ExportError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_only_when_it_differs_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("a/b.txt");
        write(&target, b"one").expect("writes");
        let before = fs::metadata(&target).expect("is there").modified().expect("has a time");
        write(&target, b"one").expect("writes");
        assert_eq!(fs::metadata(&target).expect("is there").modified().expect("has a time"), before);
        write(&target, b"two").expect("writes");
        assert_eq!(fs::read(&target).expect("reads"), b"two");
        assert_eq!(fs::read_dir(dir.path().join("a")).expect("lists").count(), 1);
    }

    #[test]
    fn a_link_replaces_another_file_and_is_repeatable() {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, target) = (dir.path().join("source"), dir.path().join("out/target"));
        fs::write(&source, b"media").expect("writes");
        write(&target, b"old").expect("writes");
        for _ in 0..2 {
            assert_eq!(link(&source, &target).expect("links"), Some(5));
            assert_eq!(fs::read(&target).expect("reads"), b"media");
        }
        assert_eq!(fs::read_dir(dir.path().join("out")).expect("lists").count(), 1);
        assert_eq!(link(&dir.path().join("absent"), &target).expect("no error"), None);
    }
}
