//! Durable writes into a local folder: an object is whole and on disk, or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::RwLock;

use crate::disk::Disk;
use crate::error::blocking;

/// Where unfinished files lie, below the root so that a rename never crosses a file system.
const UNFINISHED: &str = ".unfinished";
/// Names that are tried for an unfinished file before giving up; each failure means a leftover or a race.
const NAMES_TRIED_MAX: u32 = 10_000;
/// Buffer for comparing and copying files.
const BUFFER_BYTES: usize = 1 << 20;

/// A folder that objects are kept in. All methods that are not asynchronous block.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    disk: Disk,
    serial: AtomicU64,
    /// Shared by writes from when they are asked for until they have ended.
    writes: Arc<RwLock<()>>,
}

impl Folder {
    /// Opens `root`, makes it when it is missing, proves that it can be written, and removes what
    /// crashed writers left behind.
    pub(crate) fn open(root: &Path, disk: Disk) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let folder = Self { root: fs::canonicalize(root)?, disk, serial: AtomicU64::new(0), writes: Arc::default() };
        let unfinished = folder.root.join(UNFINISHED);
        fs::create_dir_all(&unfinished)?;
        // Proves that the folder can be written.
        fs::remove_file(folder.unfinished()?.1)?;
        for entry in fs::read_dir(&unfinished)? {
            remove_if_ownerless(&entry?.path())?;
        }
        Ok(folder)
    }

    /// Opens an existing `root` and leaves everything in it as it is.
    pub(crate) fn open_to_read(root: &Path) -> io::Result<Self> {
        let root = fs::canonicalize(root)?;
        Ok(Self { root, disk: Disk::default(), serial: AtomicU64::new(0), writes: Arc::default() })
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The file of an object.
    pub(crate) fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Runs a write. Whoever asks for it may stop waiting; the write goes on.
    pub(crate) async fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let held = self.writes.clone().read_owned().await;
        blocking(move || {
            let done = work();
            drop(held);
            done
        })
        .await
    }

    /// Waits until the writes that were asked for before have ended, also those that nobody waits for any more:
    /// what is deleted then stays deleted. Writes of other processes are not known here.
    pub(crate) async fn writes_ended(&self) {
        drop(self.writes.write().await);
    }

    /// Writes `body` as `key`, replacing what is there. Durable and atomic.
    pub(crate) fn write(&self, key: &str, body: &[u8]) -> io::Result<()> {
        let (mut file, unfinished) = self.unfinished()?;
        let written = file.write_all(body).and_then(|()| file.sync_all());
        self.publish(written, &unfinished, key)
    }

    /// Whether `key` exists with exactly `body`; if so it is durable when this returns.
    pub(crate) fn holds(&self, key: &str, body: &[u8]) -> io::Result<bool> {
        let path = self.path(key);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() != body.len() as u64 {
            return Ok(false);
        }
        let mut buffer = vec![0u8; BUFFER_BYTES.min(body.len())];
        for piece in body.chunks(BUFFER_BYTES) {
            let read = &mut buffer[..piece.len()];
            file.read_exact(read)?;
            if read != piece {
                return Ok(false);
            }
        }
        // Its writer may have been killed between the rename and the flush of the directory.
        sync_parent(&path)?;
        Ok(true)
    }

    /// Copies a file from elsewhere to `key`. Durable and atomic.
    fn copy_in(&self, from: &Path, key: &str) -> io::Result<()> {
        let (mut file, unfinished) = self.unfinished()?;
        let copied = File::open(from).and_then(|mut from| io::copy(&mut from, &mut file)).and_then(|_| file.sync_all());
        self.publish(copied, &unfinished, key)
    }

    /// Moves a file from elsewhere to `key`. Durable and atomic.
    ///
    /// The old name goes when the new one is on disk: between two folders, a rename may be flushed by halves.
    pub(crate) fn move_in(&self, from: &Path, key: &str) -> io::Result<()> {
        let target = self.make_parents(key)?;
        self.disk.sync(&File::open(from)?, from)?;
        match self.disk.link(from, &target) {
            Ok(()) => self.disk.sync_parent(&target)?,
            // Another file system, or one without second names.
            Err(_) => self.copy_in(from, key)?,
        }
        self.disk.remove(from)
    }

    /// Makes the parents of `key`, durably.
    pub(crate) fn make_parents(&self, key: &str) -> io::Result<PathBuf> {
        let path = self.path(key);
        if let Some(parent) = path.parent() {
            make_dirs(parent)?;
        }
        Ok(path)
    }

    /// Deletes `key`; absence is success.
    pub(crate) fn delete(&self, key: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.path(key)))
    }

    /// Deletes everything below `prefix`; absence is success.
    pub(crate) fn delete_tree(&self, prefix: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(self.path(prefix)))
    }

    /// A new file to write to, locked for as long as it is open.
    fn unfinished(&self) -> io::Result<(File, PathBuf)> {
        for _ in 0..NAMES_TRIED_MAX {
            let serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let path = self.root.join(UNFINISHED).join(format!("{}-{serial}", std::process::id()));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => file,
                // A process with the same id lives elsewhere, or died here.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            file.lock()?;
            // Somebody who opened the folder may have taken the file for a leftover before it was locked.
            if file.metadata()?.nlink() > 0 {
                return Ok((file, path));
            }
        }
        Err(io::Error::other("no free name for an unfinished file"))
    }

    fn publish(&self, written: io::Result<()>, unfinished: &Path, key: &str) -> io::Result<()> {
        let published = written.and_then(|()| {
            let path = self.make_parents(key)?;
            fs::rename(unfinished, &path)?;
            sync_parent(&path)
        });
        if published.is_err() {
            let _ = fs::remove_file(unfinished);
        }
        published
    }
}

/// Makes `dir` and its missing parents; each new entry is flushed to disk.
pub(crate) fn make_dirs(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        make_dirs(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => sync_parent(dir),
        // Another writer was faster; its flush may still be under way, so flush too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => sync_parent(dir),
        Err(error) => Err(error),
    }
}

/// Flushes the directory entry of `path` to disk.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes an unfinished file that no living writer holds the lock of.
fn remove_if_ownerless(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        // Its writer has just finished.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    match file.try_lock() {
        Ok(()) => absent_is_fine(fs::remove_file(path)),
        Err(fs::TryLockError::WouldBlock) => Ok(()),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_dead_writers_are_removed_and_those_of_living_ones_are_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path(), Disk::default()).expect("opens");
        let dead = dir.path().join(UNFINISHED).join("1-0");
        fs::write(&dead, b"half").expect("a file");
        let (mut file, alive) = folder.unfinished().expect("a file");
        file.write_all(b"being written").expect("writes");
        Folder::open(dir.path(), Disk::default()).expect("opens");
        assert!(!dead.exists() && alive.exists());
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::open(dir.path(), Disk::default()).expect("opens");
        fs::write(dir.path().join("media"), b"a file where a folder should be").expect("a file");
        assert!(folder.write("media/a/b", b"x").is_err());
        assert_eq!(fs::read_dir(dir.path().join(UNFINISHED)).expect("lists").count(), 0);
    }
}
