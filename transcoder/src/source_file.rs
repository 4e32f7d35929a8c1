//! The source's descriptor, which remembers whether it could be read.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open source. An error of the disk or the network below it is not the file's fault: libav would
/// take it for damage or for the end, so it is remembered here and asked for by whoever goes on.
pub(crate) struct SourceFile {
    file: File,
    has_failed: AtomicBool,
}

impl SourceFile {
    pub(crate) fn new(file: File) -> Self {
        Self { file, has_failed: AtomicBool::new(false) }
    }

    /// True from the first failed read on.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Length of the source.
    ///
    /// By seeking, since the cage has no call that could also look at a path. Reads name their place.
    pub(crate) fn size(&self) -> io::Result<u64> {
        self.noted((&self.file).seek(SeekFrom::End(0)))
    }

    /// Reads some bytes from `offset` on; 0 at the end.
    ///
    /// Places that no file has are behind the end: the system calls them errors, and hostile files name them.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = u64::try_from(buffer.len()).ok().and_then(|length| offset.checked_add(length));
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Ok(0);
        }
        loop {
            // Ends with the first answer that is not an interruption by a signal.
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return self.noted(read),
            }
        }
    }

    /// Fills `buffer` from `offset` on, as far as the source goes.
    pub(crate) fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset.saturating_add(u64::try_from(filled).unwrap_or(0)))? {
                // Ends at the end of the file, or with a full buffer.
                0 => break,
                length => filled += length,
            }
        }
        Ok(filled)
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if result.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_is_remembered_and_the_end_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source");
        std::fs::write(&path, b"octets").expect("room");
        let sound = SourceFile::new(File::open(&path).expect("a file"));
        let mut buffer = [0; 16];
        assert_eq!(sound.read_up_to(&mut buffer, 2).expect("readable"), 4);
        for behind in [6, 1 << 62, i64::MAX.unsigned_abs() - 1, 1 << 63, u64::MAX] {
            assert_eq!(sound.read_at(&mut buffer, behind).expect("readable"), 0, "{behind}");
            assert_eq!(sound.read_up_to(&mut buffer, behind).expect("readable"), 0, "{behind}");
        }
        assert!(!sound.has_failed());
        let unreadable = SourceFile::new(File::create(&path).expect("a file"));
        assert!(unreadable.read_at(&mut buffer, 0).is_err());
        assert!(unreadable.has_failed());
    }
}
