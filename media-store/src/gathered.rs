//! Octets that gather for one write, large ones past the page cache.
//!
//! What is uploaded is read again much later, if at all before it is evicted. Written through the page
//! cache it costs a copy, a page for every 4 KiB, and a flush that finds all of it dirty; written past
//! it, it is on the disk when the write returns. The disk takes whole blocks from aligned memory. So
//! octets are copied there as they come, while the processor has them at hand, and whoever brought them
//! has its buffer back at once. Ends that are no whole blocks, and all that is small, go through the
//! cache.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use rustix::fs::OFlags;

/// What addresses, offsets and lengths are multiples of: as much as any disk in use asks for.
const BLOCK_BYTES: usize = 4096;
/// Fewer octets than this are cheaper through the cache, and lie where they came.
const AREA_WORTH_BYTES: usize = 128 << 10;
/// Octets of one write: whole blocks, enough to keep a disk busy, few enough for many uploads at once.
pub const WRITE_BYTES: usize = 2 << 20;
/// Areas in use at a time; beyond that, octets lie where they came.
const AREAS_MAX: usize = 64;
/// Areas that are kept for the next writes: what one body takes.
const AREAS_KEPT_MAX: usize = 3;
/// So few octets are not worth the large buffer they may be a part of.
const DETACHED_BYTES_MAX: usize = 8 << 10;

/// Octets for one place in a staged file: [`Writer::gather`](crate::staging::Writer::gather) begins them.
pub struct Gathered {
    offset: u64,
    bytes: usize,
    area: Option<Area>,
    /// What comes behind the area; everything when there is none.
    pieces: Vec<Bytes>,
    areas: Areas,
}

/// Memory out of which the disk takes whole blocks.
struct Area {
    memory: Vec<u8>,
    /// As far behind the beginning of a block as the octets are in the file.
    start: usize,
    end: usize,
    /// The end of the last block that fits.
    full: usize,
    areas: Areas,
}

/// The areas of one disk. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Areas(Arc<Mutex<Shelf>>);

#[derive(Default)]
struct Shelf {
    free: Vec<Vec<u8>>,
    in_use: usize,
}

impl Gathered {
    pub(crate) fn new(offset: u64, areas: Areas) -> Self {
        Self { offset, bytes: 0, area: None, pieces: Vec::new(), areas }
    }

    /// Where the first octet goes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the octet behind the last one goes.
    pub fn end(&self) -> u64 {
        self.offset + self.bytes as u64
    }

    /// How many octets there are.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds octets at the end.
    pub fn push(&mut self, mut octets: Bytes) {
        self.bytes += octets.len();
        if self.area.is_none() && self.bytes >= AREA_WORTH_BYTES {
            self.area = self.areas.take(self.offset);
            self.move_pieces();
        }
        if let Some(area) = &mut self.area
            && self.pieces.is_empty()
        {
            area.take(&mut octets);
        }
        if !octets.is_empty() {
            self.pieces.push(detached(octets));
        }
    }

    /// Takes the octets off that are more than a write, or no whole block of the file any more; they begin the next one.
    ///
    /// Writes that end where a block ends need not pass through the page cache.
    #[must_use]
    pub fn split_off_rest(&mut self) -> Self {
        let rest_bytes = match self.area.as_ref().filter(|area| area.is_full()) {
            Some(area) => self.bytes - area.octets().len(),
            None => usize::try_from(self.end() % BLOCK_BYTES as u64).unwrap_or(0).min(self.bytes),
        };
        let mut rest = Self::new(self.end() - rest_bytes as u64, self.areas.clone());
        let mut taken = Vec::new();
        let mut missing = rest_bytes;
        while missing > 0
            && let Some(mut last) = self.pieces.pop()
        {
            let piece = last.split_off(last.len().saturating_sub(missing));
            missing -= piece.len();
            taken.push(piece);
            if !last.is_empty() {
                self.pieces.push(last);
            }
        }
        if let Some(area) = &mut self.area {
            taken.push(area.split_off(missing));
        }
        taken.into_iter().rev().filter(|piece| !piece.is_empty()).for_each(|piece| rest.push(piece));
        self.bytes -= rest.bytes;
        rest
    }

    /// Nobody else may write to the file meanwhile.
    pub(crate) fn write(&self, file: &File, buffered: Buffered) -> io::Result<()> {
        let mut at = self.offset;
        if let Some(area) = &self.area {
            area.write(file, at)?;
            at += area.octets().len() as u64;
        }
        buffered(file, at, &self.pieces)
    }

    /// Moves what came before there was an area into it: less than fits.
    fn move_pieces(&mut self) {
        if let Some(area) = &mut self.area {
            self.pieces.drain(..).for_each(|mut piece| area.take(&mut piece));
        }
    }
}

/// Writes pieces one behind the other through the page cache.
pub(crate) type Buffered = fn(&File, u64, &[Bytes]) -> io::Result<()>;

impl fmt::Debug for Gathered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Gathered").field("offset", &self.offset).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Area {
    /// Takes as much off the front of `octets` as there is room for.
    fn take(&mut self, octets: &mut Bytes) {
        let step = octets.len().min(self.full - self.end);
        octets.copy_to_slice(&mut self.memory[self.end..self.end + step]);
        self.end += step;
    }

    /// Takes the last `bytes` octets off, of which there are as many.
    fn split_off(&mut self, bytes: usize) -> Bytes {
        let end = self.end;
        self.end -= bytes;
        Bytes::copy_from_slice(&self.memory[self.end..end])
    }

    fn is_full(&self) -> bool {
        self.end == self.full
    }

    fn octets(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    fn write(&self, file: &File, offset: u64) -> io::Result<()> {
        let octets = self.octets();
        let head_bytes = octets.as_ptr().align_offset(BLOCK_BYTES).min(octets.len());
        let (head, rest) = octets.split_at(head_bytes);
        let (blocks, tail) = rest.split_at(rest.len() - rest.len() % BLOCK_BYTES);
        let at = offset + head.len() as u64;
        file.write_all_at(head, offset)?;
        if !is_written_past_the_cache(file, blocks, at)? {
            file.write_all_at(blocks, at)?;
        }
        file.write_all_at(tail, at + blocks.len() as u64)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let mut shelf = lock(&self.areas.0);
        shelf.in_use -= 1;
        if shelf.free.len() < AREAS_KEPT_MAX {
            shelf.free.push(std::mem::take(&mut self.memory));
        }
    }
}

impl Areas {
    /// One for octets that go to `offset`; `None` when too many are in use.
    fn take(&self, offset: u64) -> Option<Area> {
        let mut shelf = lock(&self.0);
        if shelf.in_use == AREAS_MAX {
            return None;
        }
        shelf.in_use += 1;
        let memory = shelf.free.pop().unwrap_or_else(|| vec![0; WRITE_BYTES + BLOCK_BYTES]);
        let behind_block = usize::try_from(offset % BLOCK_BYTES as u64).unwrap_or(0);
        let aligned = memory.as_ptr().align_offset(BLOCK_BYTES);
        let start = aligned + behind_block;
        Some(Area { memory, start, end: start, full: aligned + WRITE_BYTES, areas: self.clone() })
    }
}

impl fmt::Debug for Areas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Areas").finish_non_exhaustive()
    }
}

/// False when the file system knows no such writes, or wants other blocks than these.
fn is_written_past_the_cache(file: &File, blocks: &[u8], offset: u64) -> io::Result<bool> {
    if blocks.is_empty() {
        return Ok(true);
    }
    let Some(_uncached) = Uncached::begin(file)? else { return Ok(false) };
    match file.write_all_at(blocks, offset) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(false),
        outcome => outcome.map(|()| true),
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

/// A copy of few octets that lie in a large buffer, so that a slow upload does not hold on to that.
fn detached(octets: Bytes) -> Bytes {
    if octets.len() <= DETACHED_BYTES_MAX { Bytes::copy_from_slice(&octets) } else { octets }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    /// Writes pieces of such lengths from `offset` into a file that has as many octets, in one write or, where `cut`
    /// says so, in as many as whole blocks allow; and compares.
    fn check(offset: usize, lengths: &[usize], cut: bool) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("file");
        let mut expected = vec![1; offset];
        fs::write(&path, &expected).expect("writes");
        let file = OpenOptions::new().write(true).open(&path).expect("opens");
        let mut octets = (0..251u8).cycle();
        let mut gathered = Gathered::new(offset as u64, Areas::default());
        for length in lengths {
            let piece: Bytes = octets.by_ref().take(*length).collect();
            expected.extend_from_slice(&piece);
            gathered.push(piece);
            if cut && gathered.len() >= 1 << 20 {
                let rest = gathered.split_off_rest();
                assert_eq!((gathered.end() % 4096, gathered.end()), (0, rest.offset), "{offset} {lengths:?}");
                std::mem::replace(&mut gathered, rest).write(&file, one_by_one).expect("writes");
            }
        }
        assert_eq!(gathered.end(), expected.len() as u64, "{offset} {lengths:?}");
        gathered.write(&file, one_by_one).expect("writes");
        // The file is as usable as before.
        file.write_all_at(b"end", expected.len() as u64).expect("writes");
        expected.extend(b"end");
        assert!(fs::read(&path).expect("reads") == expected, "{offset} {lengths:?} {cut}");
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
        for cut in [false, true] {
            check(0, &[], cut);
            check(0, &[1 << 20], cut);
            check(0, &[(3 << 20) + 1], cut);
            check(5000, &[100_000, 1, 0, 200_000, 999_999], cut);
            check(4096, &[AREA_WORTH_BYTES], cut);
            check(4097, &[AREA_WORTH_BYTES - 1, 1, 4094], cut);
            check(4097, &[4094, AREA_WORTH_BYTES + 1], cut);
            check(1_234_567, &[65_536; 90], cut);
            check(1 << 20, &[777; 4000], cut);
            check(17, &[WRITE_BYTES - 1, 300_000, 2_000_001, 5], cut);
        }
    }

    #[test]
    fn a_rest_of_less_than_a_block_is_all_that_is_left_over() {
        let mut gathered = Gathered::new(4000, Areas::default());
        gathered.push(Bytes::from_static(&[7; 90]));
        let rest = gathered.split_off_rest();
        assert_eq!((gathered.len(), rest.offset, rest.len()), (0, 4000, 90));
        gathered = rest;
        gathered.push(Bytes::from_static(&[8; 10]));
        let rest = gathered.split_off_rest();
        assert_eq!((gathered.end(), rest.offset, rest.len()), (4096, 4096, 4));
    }

    #[test]
    fn what_is_more_than_a_write_begins_the_next_ones() {
        let mut gathered = Gathered::new(4100, Areas::default());
        gathered.push(Bytes::from(vec![7; 3 * WRITE_BYTES]));
        let mut ends = Vec::new();
        while gathered.len() >= WRITE_BYTES {
            let rest = gathered.split_off_rest();
            assert!(gathered.pieces.is_empty() && gathered.end() == rest.offset);
            ends.push(gathered.end() - 4096);
            gathered = rest;
        }
        let bytes = WRITE_BYTES as u64;
        assert_eq!((ends, gathered.end()), (vec![bytes, 2 * bytes, 3 * bytes], 4100 + 3 * bytes));
    }

    #[test]
    fn areas_are_bounded_and_used_again() {
        let areas = Areas::default();
        let large = Bytes::from(vec![7; AREA_WORTH_BYTES]);
        let begin = |areas: &Areas| {
            let mut gathered = Gathered::new(0, areas.clone());
            gathered.push(large.clone());
            gathered
        };
        let many: Vec<Gathered> = (0..=AREAS_MAX).map(|_| begin(&areas)).collect();
        assert_eq!(many.iter().filter(|gathered| gathered.area.is_some()).count(), AREAS_MAX);
        assert!(many.iter().all(|gathered| gathered.len() == AREA_WORTH_BYTES));
        drop(many);
        let shelf = lock(&areas.0);
        assert_eq!((shelf.in_use, shelf.free.len()), (0, AREAS_KEPT_MAX));
        let kept = shelf.free.last().map(|memory| memory.as_ptr());
        drop(shelf);
        assert_eq!(begin(&areas).area.as_ref().map(|area| area.memory.as_ptr()), kept);
    }
}
