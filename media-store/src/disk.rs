//! Changes of files that must survive a power cut, in the order in which they happen.
//!
//! A write is durable after the flush of its file, a name after the flush of its folder. Whoever
//! relies on that goes through [`Disk`], so that one [`Witness`] sees every change and every flush:
//! a test can keep what a power cut would have left, or let the disk fail.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::gathered::{Areas, Gathered};

/// Slices that one call of the kernel writes; it takes 1024.
const SLICES_MAX: usize = 64;

/// One change of a file, or one flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A file is made.
    Create(&'a Path),
    /// Octets are written.
    Write(&'a Path),
    /// The end of a file is cut off.
    Cut(&'a Path),
    /// A file gets one more name.
    Link {
        /// The old one.
        from: &'a Path,
        /// The new one.
        to: &'a Path,
    },
    /// A file is removed.
    Remove(&'a Path),
    /// The octets of a file are flushed.
    Sync(&'a Path),
    /// The names in a folder are flushed.
    SyncDir(&'a Path),
    /// Everything in the file system of a folder is flushed.
    SyncAll(&'a Path),
}

/// Sees every step, from whatever thread takes it.
pub trait Witness: Send + Sync + fmt::Debug {
    /// The step is about to be taken; an error is its result, and it is not taken.
    ///
    /// # Errors
    /// Whatever the disk is to say.
    fn before(&self, step: Step<'_>) -> io::Result<()>;

    /// The step was taken.
    fn after(&self, step: Step<'_>);
}

/// The file system; with a witness in tests. Cheap to clone. All methods block.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    witness: Option<Arc<dyn Witness>>,
    areas: Areas,
}

impl Disk {
    /// The file system, watched.
    pub fn watched(witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), areas: Areas::default() }
    }

    /// Makes an empty file, durably; an existing one stays as it is.
    pub(crate) fn create(&self, path: &Path) -> io::Result<()> {
        let make = || OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = self.step(Step::Create(path), make)?;
        self.step(Step::Sync(path), || file.sync_all())?;
        self.sync_parent(path)
    }

    /// Begins to gather octets that go to `offset`.
    pub(crate) fn gather(&self, offset: u64) -> Gathered {
        Gathered::new(offset, self.areas.clone())
    }

    /// Writes what has gathered. Nobody else may write to the file meanwhile.
    pub(crate) fn write(&self, file: &File, path: &Path, gathered: &Gathered) -> io::Result<()> {
        self.step(Step::Write(path), || gathered.write(file, write_all))
    }

    /// Copies up to `bytes` octets from one file to another, without moving them through this process;
    /// file systems that can share blocks do. How many were copied: 0 at the end of `from`.
    pub(crate) fn copy(
        &self,
        (from, from_offset): (&File, u64),
        (to, to_offset, path): (&File, u64, &Path),
        bytes: usize,
    ) -> io::Result<usize> {
        let (mut from_offset, mut to_offset) = (from_offset, to_offset);
        self.step(Step::Write(path), || {
            Ok(rustix::fs::copy_file_range(from, Some(&mut from_offset), to, Some(&mut to_offset), bytes)?)
        })
    }

    pub(crate) fn cut(&self, file: &File, path: &Path, bytes: u64) -> io::Result<()> {
        self.step(Step::Cut(path), || file.set_len(bytes))
    }

    pub(crate) fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step(Step::Sync(path), || file.sync_data())
    }

    pub(crate) fn sync_file_system(&self, dir: &Path) -> io::Result<()> {
        self.step(Step::SyncAll(dir), || Ok(rustix::fs::syncfs(File::open(dir)?)?))
    }

    /// Flushes the entry of `path` in its folder.
    pub(crate) fn sync_parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        parent.map_or(Ok(()), |parent| self.step(Step::SyncDir(parent), || File::open(parent)?.sync_all()))
    }

    /// Gives a file a second name.
    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Link { from, to }, || fs::hard_link(from, to))
    }

    /// Removes a file; absence is success.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(Step::Remove(path), || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
    }

    fn step<T>(&self, step: Step<'_>, take: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(witness) = &self.witness else { return take() };
        witness.before(step)?;
        let taken = take()?;
        witness.after(step);
        Ok(taken)
    }
}

/// Begins to write back what is dirty between `offset` and `offset + bytes`, without waiting for it,
/// so that a later flush finds little to do.
pub(crate) fn start_writeback(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    // The kernel begins the writeback before it looks for clean pages to drop. Pages on their way to
    // the disk are not clean yet, so next to nothing of this range is dropped.
    let bytes = std::num::NonZeroU64::new(bytes);
    Ok(rustix::fs::fadvise(file, offset, bytes, rustix::fs::Advice::DontNeed)?)
}

fn write_all(file: &File, mut offset: u64, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0);
    // Ends because every turn writes at least one octet, or fails.
    while !rest.is_empty() {
        let count = rest.len().min(SLICES_MAX);
        match rustix::io::pwritev(file, &rest[..count], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_number_and_size_are_written_one_behind_the_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let (path, disk) = (dir.path().join("file"), Disk::default());
        disk.create(&path).expect("creates");
        let file = OpenOptions::new().write(true).open(&path).expect("opens");
        let pieces: Vec<Bytes> =
            (0..300u16).map(|at| Bytes::from(vec![at.to_be_bytes()[1]; usize::from(at % 7)])).collect();
        let mut gathered = disk.gather(3);
        pieces.iter().for_each(|piece| gathered.push(piece.clone()));
        disk.write(&file, &path, &gathered).expect("writes");
        disk.write(&file, &path, &disk.gather(0)).expect("writes nothing");
        assert_eq!(fs::read(&path).expect("reads")[3..], pieces.concat());
    }

    #[test]
    fn starting_the_writeback_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        fs::write(&path, vec![7; 1 << 20]).expect("writes");
        let file = File::open(&path).expect("opens");
        start_writeback(&file, 0, 1 << 20).expect("starts");
        assert_eq!(fs::read(&path).expect("reads"), vec![7; 1 << 20]);
    }
}
