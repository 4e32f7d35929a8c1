//! The folder in which one server keeps everything, and the lock that keeps a second server out.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// Another process holds the lock.
    #[error(
        "{} is in use by another headwater process; stop that one, or give this one its own folder with --data-dir",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A folder cannot be made, or the lock file cannot be opened.
    #[error("cannot use {} as the data folder", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

/// How often the lock is tried before the folder counts as in use.
const LOCK_ATTEMPTS: u32 = 40;

/// Time between two attempts: two seconds in all.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A data folder, locked for this process until the value is dropped.
///
/// The lock is `flock`, which the kernel releases with the process: after kill -9 nothing is left
/// to clean up.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

/// Where the parts of a data folder lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The SQLite database.
    pub database: PathBuf,
    /// Objects, when they are stored as local files.
    pub media: PathBuf,
    /// Files that may vanish at any restart.
    pub scratch: PathBuf,
    /// Uploads that are not complete.
    pub uploads: PathBuf,
    /// What secrets are sealed with, where the settings name no key; made at the first start.
    #[serde(default)]
    pub secret_key: PathBuf,
    /// Letters, where no mail server is named; made with the first.
    #[serde(default)]
    pub mail: PathBuf,
}

impl Layout {
    /// The parts below `root`.
    pub fn below(root: &Path) -> Self {
        Self {
            database: root.join("catalog.db"),
            media: root.join("media"),
            scratch: root.join("scratch"),
            uploads: root.join("uploads"),
            secret_key: root.join("secrets.key"),
            mail: root.join("mail"),
        }
    }
}

impl DataDir {
    /// Makes the folder and its parts if they are missing, locks it and empties the scratch folder.
    ///
    /// What is made is for its owner alone. A folder that is there keeps its mode, since it may be for other things as
    /// well; its parts are closed to others.
    ///
    /// # Errors
    /// [`DataDirError::InUse`] while another process holds the folder.
    pub fn open(root: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: root.to_owned(), source };
        make(root).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(|source| DataDirError::Io { path: root.clone(), source })?;
        match try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse { path: root }),
            Err(TryLockError::Error(source)) => return Err(DataDirError::Io { path: root, source }),
        }
        let dir = Self { root, _lock: lock };
        dir.prepare().map_err(|source| DataDirError::Io { path: dir.root.clone(), source })?;
        Ok(dir)
    }

    /// The folder itself, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where its parts lie.
    pub fn layout(&self) -> Layout {
        Layout::below(&self.root)
    }

    fn prepare(&self) -> io::Result<()> {
        let layout = self.layout();
        // Whatever a killed process left in scratch belongs to nobody: the lock is ours.
        match fs::remove_dir_all(&layout.scratch) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for part in [&layout.media, &layout.scratch, &layout.uploads] {
            make(part)?;
        }
        for part in [&layout.media, &layout.uploads, &layout.mail] {
            match close(part) {
                Ok(true) => {
                    tracing::info!(folder = %part.display(), "others could look into it: now its owner alone can")
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(folder = %part.display(), %error, "others can look into it, which could not be changed");
                }
            }
        }
        Ok(())
    }
}

/// Makes a folder, and those above it, for their owner alone.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Closes a folder to others; true if it was open to any. What a symbolic link leads to is somebody else's.
fn close(folder: &Path) -> io::Result<bool> {
    let found = match fs::symlink_metadata(folder) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mode = found.permissions().mode();
    if !found.is_dir() || mode & 0o077 == 0 {
        return Ok(false);
    }
    fs::set_permissions(folder, Permissions::from_mode(mode & 0o700)).map(|()| true)
}

/// Locks the file, in a while if need be.
///
/// A process that is killed in the moment in which it starts an engine leaves a child that holds the lock until it
/// runs its own program: whoever is started at once in its place must not be turned away for that.
fn try_lock(lock: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_ATTEMPTS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            ended => return ended,
        }
    }
    lock.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_same_folder_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        let refused = DataDir::open(temp.path()).unwrap_err().to_string();
        assert!(refused.contains("in use by another headwater process"), "{refused}");
        drop(first);
        DataDir::open(temp.path()).unwrap();
    }

    #[test]
    fn a_lock_that_is_given_back_in_a_moment_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let first = DataDir::open(temp.path()).unwrap();
        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| DataDir::open(temp.path()).is_ok());
            std::thread::sleep(3 * LOCK_PAUSE);
            drop(first);
            second.join().unwrap()
        });
        assert!(second);
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone_and_what_an_earlier_version_made_becomes_so() {
        let temp = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let root = temp.path().join("above/data");
        drop(DataDir::open(&root).unwrap());
        let layout = Layout::below(&root);
        for folder in [&root, &layout.media, &layout.uploads, &layout.scratch] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        fs::create_dir(&layout.mail).unwrap();
        for folder in [&root, &layout.media, &layout.uploads, &layout.mail] {
            fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
        }
        drop(DataDir::open(&root).unwrap());
        for folder in [&layout.media, &layout.uploads, &layout.mail] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        assert_eq!(mode(&root), 0o755, "it may be for other things as well");
    }

    #[test]
    fn scratch_is_empty_after_opening() {
        let temp = tempfile::tempdir().unwrap();
        let leftover = temp.path().join("scratch/half");
        fs::create_dir_all(leftover.parent().unwrap()).unwrap();
        fs::write(&leftover, b"x").unwrap();
        DataDir::open(temp.path()).unwrap();
        assert!(!leftover.exists());
    }
}
