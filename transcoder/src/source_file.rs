//! The source's descriptor, which remembers whether it could be read, and how much of it is there.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

/// A source that is still being written: only its first octets may be read, and they do not change any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growing {
    /// How many octets are there.
    pub there: u64,
    /// How many there will be.
    pub length: u64,
}

/// An open source. An error of the disk or the network below it is not the file's fault: libav would
/// take it for damage or for the end, so it is remembered here and asked for by whoever goes on.
pub(crate) struct SourceFile {
    file: File,
    growing: Option<Growing>,
    has_failed: AtomicBool,
    /// What is not there yet is taken for zeros.
    is_foreseeing: AtomicBool,
}

impl SourceFile {
    pub(crate) fn new(file: File, growing: Option<Growing>) -> Self {
        Self { file, growing, has_failed: AtomicBool::new(false), is_foreseeing: AtomicBool::new(false) }
    }

    /// How much of the source is there, if that is not all.
    pub(crate) fn growing(&self) -> Option<Growing> {
        self.growing
    }

    /// Has octets that are not there yet read as zeros until what is returned is dropped: for whoever wants to know
    /// what the index says of samples, not what they hold.
    pub(crate) fn foresee(&self) -> Foresight<'_> {
        self.is_foreseeing.store(true, Ordering::Relaxed);
        Foresight(self)
    }

    /// True from the first failed read on.
    pub(crate) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Length of the source.
    ///
    /// By seeking, since the cage has no call that could also look at a path. Reads name their place.
    pub(crate) fn size(&self) -> io::Result<u64> {
        if let Some(growing) = self.growing {
            return Ok(growing.length);
        }
        self.noted((&self.file).seek(SeekFrom::End(0)))
    }

    /// Reads some bytes from `offset` on; 0 at the end.
    ///
    /// Places that no file has are behind the end: the system calls them errors, and hostile files name them.
    /// What is not there yet cannot be read.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = u64::try_from(buffer.len()).ok().and_then(|length| offset.checked_add(length));
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Ok(0);
        }
        let Some(growing) = self.growing else { return self.read_there(buffer, offset) };
        let room = |end: u64| usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        if offset >= growing.length || buffer.is_empty() {
            return Ok(0);
        }
        if offset >= growing.there {
            if !self.is_foreseeing.load(Ordering::Relaxed) {
                return self.noted(Err(ErrorKind::WouldBlock.into()));
            }
            let length = room(growing.length);
            buffer[..length].fill(0);
            return Ok(length);
        }
        let length = room(growing.there);
        match self.read_there(&mut buffer[..length], offset)? {
            // Shorter than was promised.
            0 => self.noted(Err(ErrorKind::UnexpectedEof.into())),
            length => Ok(length),
        }
    }

    fn read_there(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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

/// While it lives, what is not there yet reads as zeros.
pub(crate) struct Foresight<'a>(&'a SourceFile);

impl Drop for Foresight<'_> {
    fn drop(&mut self) {
        self.0.is_foreseeing.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_yet_is_never_taken_for_data_or_for_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source");
        // The file is longer than what may be read, as a staged one is between a write and its flush.
        std::fs::write(&path, b"octetsgarbage").expect("room");
        let open = |there| SourceFile::new(File::open(&path).expect("a file"), Some(Growing { there, length: 20 }));
        let mut buffer = [7; 16];
        let growing = open(6);
        assert_eq!(growing.size().expect("it is announced"), 20);
        assert_eq!(growing.read_at(&mut buffer, 2).expect("readable"), 4, "not an octet further");
        assert_eq!(&buffer[..5], b"tets\x07");
        assert_eq!(growing.read_at(&mut buffer, 20).expect("the end is known"), 0);
        assert!(!growing.has_failed());
        {
            let _foresight = growing.foresee();
            assert_eq!(growing.read_at(&mut buffer, 6).expect("as zeros"), 14);
            assert_eq!(buffer[..14], [0; 14]);
            assert!(!growing.has_failed());
        }
        assert!(growing.read_up_to(&mut buffer, 2).is_err() && growing.has_failed());
        let cut = open(15);
        assert_eq!(cut.read_at(&mut buffer, 6).expect("readable"), 7);
        assert!(cut.read_at(&mut buffer, 13).is_err(), "it is shorter than was promised");
    }

    #[test]
    fn a_failed_read_is_remembered_and_the_end_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source");
        std::fs::write(&path, b"octets").expect("room");
        let sound = SourceFile::new(File::open(&path).expect("a file"), None);
        let mut buffer = [0; 16];
        assert_eq!(sound.read_up_to(&mut buffer, 2).expect("readable"), 4);
        for behind in [6, 1 << 62, i64::MAX.unsigned_abs() - 1, 1 << 63, u64::MAX] {
            assert_eq!(sound.read_at(&mut buffer, behind).expect("readable"), 0, "{behind}");
            assert_eq!(sound.read_up_to(&mut buffer, behind).expect("readable"), 0, "{behind}");
        }
        assert!(!sound.has_failed());
        let unreadable = SourceFile::new(File::create(&path).expect("a file"), None);
        assert!(unreadable.read_at(&mut buffer, 0).is_err());
        assert!(unreadable.has_failed());
    }
}
