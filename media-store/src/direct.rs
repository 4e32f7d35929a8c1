//! Large writes past the page cache.
//!
//! What is uploaded is read again much later, if at all before it is evicted. Written through the page
//! cache it costs a copy, a page for every 4 KiB, and a flush that finds all of it dirty; written past
//! it, it is on the disk when the write returns. Only whole blocks go that way, from an aligned buffer;
//! the ends of a write go through the cache like everything that is small.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use rustix::fs::OFlags;

/// What addresses, offsets and lengths are multiples of: as much as any disk in use asks for.
const BLOCK_BYTES: usize = 4096;
/// Fewer octets than this are cheaper through the cache.
const DIRECT_BYTES_MIN: usize = 256 << 10;
/// Octets that one call of the kernel writes.
const BUFFER_BYTES: usize = 1 << 20;
/// Buffers that are kept for the next writes.
const BUFFERS_KEPT_MAX: usize = 4;

/// Aligned buffers that are free. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl fmt::Debug for Buffers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Buffers").finish_non_exhaustive()
    }
}

/// How the octets of one write reach the disk: head, whole blocks, tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    head_bytes: usize,
    block_bytes: usize,
}

/// Writes pieces one behind the other through the page cache.
pub(crate) type Buffered = fn(&File, u64, &[Bytes]) -> io::Result<()>;

impl Buffers {
    /// Writes `pieces` from `offset`, as much of them as possible past the page cache; the rest, or all
    /// where the file system knows no other way, by `buffered`.
    ///
    /// Nobody else may write to the file meanwhile.
    pub(crate) fn write(&self, file: &File, offset: u64, pieces: &[Bytes], buffered: Buffered) -> io::Result<()> {
        let Some(cut) = cut(offset, pieces.iter().map(Bytes::len).sum()) else { return buffered(file, offset, pieces) };
        let mut rest: VecDeque<Bytes> = pieces.iter().cloned().collect();
        let head = split(&mut rest, cut.head_bytes);
        buffered(file, offset, &head)?;
        let mut at = offset + cut.head_bytes as u64;
        if let Some(_uncached) = Uncached::begin(file)? {
            at += self.write_blocks(file, at, &mut rest, cut.block_bytes)?;
        }
        buffered(file, at, rest.make_contiguous())
    }

    /// Writes `bytes` octets off the front of `rest`, or fewer if the disk wants other blocks than these.
    fn write_blocks(&self, file: &File, offset: u64, rest: &mut VecDeque<Bytes>, bytes: usize) -> io::Result<u64> {
        let mut buffer = lock(&self.0).pop().unwrap_or_else(|| vec![0; BUFFER_BYTES + BLOCK_BYTES]);
        let start = buffer.as_ptr().align_offset(BLOCK_BYTES);
        let aligned = &mut buffer[start..start + BUFFER_BYTES];
        let mut written = 0;
        let mut outcome = Ok(());
        while written < bytes && outcome.is_ok() {
            let step = aligned.len().min(bytes - written);
            fill(&mut aligned[..step], rest);
            match file.write_all_at(&aligned[..step], offset + written as u64) {
                Ok(()) => written += step,
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    rest.push_front(Bytes::copy_from_slice(&aligned[..step]));
                    break;
                }
                Err(error) => outcome = Err(error),
            }
        }
        let mut free = lock(&self.0);
        if free.len() < BUFFERS_KEPT_MAX {
            free.push(buffer);
        }
        outcome.map(|()| written as u64)
    }
}

/// A file whose writes go past the page cache, until dropped.
struct Uncached<'a> {
    file: &'a File,
    flags: OFlags,
}

impl<'a> Uncached<'a> {
    /// `None` where the file system has no such writes.
    fn begin(file: &'a File) -> io::Result<Option<Self>> {
        let flags = rustix::fs::fcntl_getfl(file)?;
        match rustix::fs::fcntl_setfl(file, flags | OFlags::DIRECT) {
            Ok(()) => Ok(Some(Self { file, flags })),
            Err(rustix::io::Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Uncached<'_> {
    fn drop(&mut self) {
        // It could be set, so it can be taken back; a write that finds it still there is refused.
        let _ = rustix::fs::fcntl_setfl(self.file, self.flags);
    }
}

/// `None` when the write is not worth it.
fn cut(offset: u64, bytes: usize) -> Option<Cut> {
    let block_bytes = BLOCK_BYTES as u64;
    let head_bytes = usize::try_from(offset.next_multiple_of(block_bytes) - offset).ok()?;
    let rest = bytes.checked_sub(head_bytes)?;
    (rest >= DIRECT_BYTES_MIN).then_some(Cut { head_bytes, block_bytes: rest - rest % BLOCK_BYTES })
}

/// Takes the first `bytes` octets off `rest`, which holds as many.
fn split(rest: &mut VecDeque<Bytes>, mut bytes: usize) -> Vec<Bytes> {
    let mut head = Vec::new();
    while bytes > 0
        && let Some(first) = rest.front_mut()
    {
        let piece = first.split_to(bytes.min(first.len()));
        bytes -= piece.len();
        if first.is_empty() {
            rest.pop_front();
        }
        head.push(piece);
    }
    head
}

/// Copies octets off the front of `rest`, which holds as many, until `buffer` is full.
fn fill(mut buffer: &mut [u8], rest: &mut VecDeque<Bytes>) {
    while !buffer.is_empty()
        && let Some(first) = rest.front_mut()
    {
        let step = first.len().min(buffer.len());
        let (now, later) = std::mem::take(&mut buffer).split_at_mut(step);
        first.copy_to_slice(now);
        buffer = later;
        if first.is_empty() {
            rest.pop_front();
        }
    }
}

fn lock(free: &Mutex<Vec<Vec<u8>>>) -> MutexGuard<'_, Vec<Vec<u8>>> {
    free.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    /// Writes pieces of such lengths from `offset` into a file that has `had_bytes`, and compares.
    fn check(had_bytes: usize, offset: usize, lengths: &[usize]) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let mut expected = vec![1; had_bytes];
        fs::write(&path, &expected).expect("writes");
        let mut octets = (0..251u8).cycle();
        let pieces: Vec<Bytes> = lengths.iter().map(|length| octets.by_ref().take(*length).collect()).collect();
        let file = OpenOptions::new().write(true).open(&path).expect("opens");
        Buffers::default().write(&file, offset as u64, &pieces, one_by_one).expect("writes");
        // The file is as usable as before.
        file.write_all_at(b"end", (offset + lengths.iter().sum::<usize>()) as u64).expect("writes");
        expected.resize(expected.len().max(offset), 0);
        expected.truncate(offset);
        expected.extend(pieces.concat());
        expected.extend(b"end");
        let found = fs::read(&path).expect("reads");
        assert!(found.starts_with(&expected), "{had_bytes} {offset} {lengths:?}");
    }

    fn one_by_one(file: &File, mut offset: u64, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            file.write_all_at(piece, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }

    #[test]
    fn octets_stand_where_they_belong_whatever_the_ends_of_a_write_are() {
        check(0, 0, &[]);
        check(0, 0, &[1 << 20]);
        check(0, 0, &[(3 << 20) + 1]);
        check(5000, 5000, &[100_000, 1, 0, 200_000, 999_999]);
        check(4096, 4096, &[DIRECT_BYTES_MIN]);
        check(4097, 4097, &[DIRECT_BYTES_MIN + 4095]);
        check(4097, 4097, &[4094, DIRECT_BYTES_MIN + 1]);
        check(9_000_000, 1_234_567, &[65_536; 40]);
        check(0, 1 << 20, &[777; 2000]);
    }

    #[test]
    fn only_whole_blocks_of_large_writes_go_past_the_cache() {
        let plan = |head_bytes, block_bytes| Some(Cut { head_bytes, block_bytes });
        assert_eq!(cut(0, DIRECT_BYTES_MIN - 1), None);
        assert_eq!(cut(0, DIRECT_BYTES_MIN), plan(0, DIRECT_BYTES_MIN));
        assert_eq!(cut(1, DIRECT_BYTES_MIN), None);
        assert_eq!(cut(1, DIRECT_BYTES_MIN + 5000), plan(4095, DIRECT_BYTES_MIN));
        assert_eq!(cut(4095, 10), None);
    }

    #[test]
    fn buffers_are_used_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let (file, buffers) = (File::create(path).expect("creates"), Buffers::default());
        for round in 0..3 {
            let piece = Bytes::from(vec![7; 1 << 20]);
            buffers.write(&file, round << 20, &[piece], one_by_one).expect("writes");
        }
        assert!(lock(&buffers.0).len() <= 1);
    }
}
