//! One file to download from the stored segments: moov first, then the samples as they are (ISO/IEC 14496-12).
//!
//! Nothing is encoded again and nothing has to be in memory but the sample tables: [`File`] says of every octet of
//! the file whether it is in the header, which is computed, or in which segment it lies. The caller reads the
//! movie fragments of every segment once, in order, and hands them to [`Builder`].

mod tables;

use std::ops::Range;

use crate::bmff::{self, Init, be32};
use tables::Tables;

/// Ticks per second of the movie, in which tracks are told to be long.
const MOVIE_TIMESCALE: u32 = 90_000;

/// Most octets of a header: some ten hours of picture and sound.
const HEADER_BYTES_MAX: usize = 64 << 20;

/// Most octets of a moof; more are taken for damage.
const MOOF_BYTES_MAX: u64 = 4 << 20;

/// Most boxes in front of the first moof.
const LEADING_BOXES_MAX: usize = 8;

/// Octets of the header of an mdat with a size of 64 bits.
const MDAT_HEADER_BYTES: u64 = 16;

/// Why segments do not make a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgressiveError {
    /// An initialization segment or a fragment cannot be read.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The samples of a fragment do not lie one behind the other, or a fragment does not go on where the last ended.
    #[error("the samples of {0} are not in order")]
    Order(&'static str),
    /// The tables would be too long.
    #[error("the film is too long for one file")]
    TooLong,
}

/// Where octets of the file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The header, computed.
    Header(Range<usize>),
    /// A segment of the track with this number.
    Segment {
        /// Number of the track, in the order in which they were given.
        track: usize,
        /// Number of the segment.
        segment: u32,
        /// Octets of it.
        range: Range<u64>,
    },
}

/// A run of samples as it lies in one segment.
#[derive(Clone, Debug)]
struct Run {
    track: usize,
    segment: u32,
    range: Range<u64>,
    /// When it is decoded, in ticks of the movie.
    at: u64,
}

/// A file that is known down to the octet, but not in memory.
#[derive(Debug)]
pub struct File {
    header: Vec<u8>,
    runs: Vec<Run>,
    /// Where each run ends in the file.
    ends: Vec<u64>,
}

impl File {
    /// The header: everything in front of the samples.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Length of the whole.
    pub fn bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.header.len() as u64)
    }

    /// Memory that it takes, about.
    pub fn memory_bytes(&self) -> u64 {
        (self.header.len() + self.runs.len() * (size_of::<Run>() + size_of::<u64>())) as u64
    }

    /// What the octets `range` are made of, in order.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + '_ {
        let header_bytes = self.header.len() as u64;
        let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(self.header.len());
        let header = (range.start < range.end.min(header_bytes)).then(|| Piece::Header(at(range.start)..at(range.end)));
        let first = self.ends.partition_point(|end| *end <= range.start);
        let rest = self.runs.iter().zip(&self.ends).skip(first).map_while(move |(run, &end)| {
            let begins = end - (run.range.end - run.range.start);
            let (from, to) = (range.start.max(begins), range.end.min(end));
            (from < to).then(|| {
                let within = run.range.start + (from - begins)..run.range.start + (to - begins);
                Piece::Segment { track: run.track, segment: run.segment, range: within }
            })
        });
        header.into_iter().chain(rest)
    }
}

/// Collects the sample tables of a file.
#[derive(Debug)]
pub struct Builder {
    tracks: Vec<Tables>,
    runs: Vec<Run>,
}

impl Builder {
    /// A file with these tracks, each told by its initialization segment.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn new(inits: &[&[u8]]) -> Result<Self, ProgressiveError> {
        let track = |bytes: &&[u8]| Init::read(bytes).map(Tables::new).map_err(damaged("an initialization segment"));
        Ok(Self { tracks: inits.iter().map(track).collect::<Result<_, _>>()?, runs: Vec::new() })
    }

    /// Adds one fragment of a segment. `moof` is that box, which lies at `offset` of the segment.
    ///
    /// Fragments of one track come in order; tracks may come in any.
    ///
    /// # Errors
    /// If it cannot be read, or does not go on where the last one ended.
    pub fn fragment(&mut self, track: usize, segment: u32, offset: u64, moof: &[u8]) -> Result<(), ProgressiveError> {
        let tables = self.tracks.get_mut(track).ok_or(ProgressiveError::Order("a track"))?;
        let fragment = bmff::first_fragment(moof, &tables.init).map_err(damaged("a fragment"))?;
        let begins = fragment.samples.first().map_or(0, |sample| sample.offset as u64);
        let mut end = begins;
        for sample in &fragment.samples {
            if sample.offset as u64 != end {
                return Err(ProgressiveError::Order("a fragment"));
            }
            end += u64::from(sample.bytes);
        }
        let at = tables.add(&fragment)?;
        self.runs.push(Run { track, segment, range: offset + begins..offset + end, at });
        let samples: usize = self.tracks.iter().map(Tables::table_bytes).sum();
        if samples > HEADER_BYTES_MAX { Err(ProgressiveError::TooLong) } else { Ok(()) }
    }

    /// The file: runs of all tracks in order of time, so that a player has what it needs next to each other.
    ///
    /// # Errors
    /// If a time does not fit its field.
    pub fn finish(self) -> Result<File, ProgressiveError> {
        let Self { mut tracks, mut runs } = self;
        runs.sort_by_key(|run| (run.at, run.track));
        // The length of the header does not depend on the offsets in it.
        let length = header(&tracks, 0)?.len() as u64;
        let mut at = length;
        let mut ends = Vec::with_capacity(runs.len());
        for run in &runs {
            if let Some(track) = tracks.get_mut(run.track) {
                track.place(at);
            }
            at += run.range.end - run.range.start;
            ends.push(at);
        }
        let header = header(&tracks, at - length)?;
        Ok(File { header, runs, ends })
    }
}

/// Where the movie fragments of a segment lie in it, without their data.
///
/// For segments that are in memory; of others [`moof_bytes`] tells how long the box is that begins at a known place.
pub fn moofs(segment: &[u8]) -> Vec<Range<u64>> {
    let atoms = bmff::atoms(segment).unwrap_or_default();
    atoms.iter().filter(|atom| atom.kind == *b"moof").map(|atom| atom.offset as u64..atom.end as u64).collect()
}

/// Length of the moof that begins with these octets; `None` if it is none.
pub fn moof_bytes(head: &[u8]) -> Option<u64> {
    let size = be32(head, 0).map(u64::from)?;
    (head.get(4..8)? == b"moof" && (16..=MOOF_BYTES_MAX).contains(&size)).then_some(size)
}

/// Where the first moof of a segment lies, of which only the beginning is there; `None` if that is too short to tell.
pub fn first_moof(head: &[u8]) -> Option<Range<u64>> {
    let mut at = 0usize;
    // A segment begins with a styp, perhaps with an index; every box has eight octets at least.
    for _ in 0..LEADING_BOXES_MAX {
        let rest = head.get(at..)?;
        if let Some(bytes) = moof_bytes(rest) {
            return Some(at as u64..at as u64 + bytes);
        }
        let size = usize::try_from(be32(rest, 0)?).ok().filter(|size| *size >= 8)?;
        at = at.checked_add(size)?;
    }
    None
}

fn damaged(what: &'static str) -> impl Fn(bmff::Broken) -> ProgressiveError {
    move |why| ProgressiveError::Damaged { what, why: why.to_string() }
}

fn put(out: &mut Vec<u8>, kind: [u8; 4], body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    body(out);
    // Headers are bounded far below 4 GiB.
    let size = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Everything in front of `mdat_bytes` octets of samples.
fn header(tracks: &[Tables], mdat_bytes: u64) -> Result<Vec<u8>, ProgressiveError> {
    let has_picture = tracks.iter().any(|track| track.init.handler == *b"vide");
    let brands: &[&[u8; 4]] =
        if has_picture { &[b"isom", b"iso2", b"avc1", b"mp41"] } else { &[b"M4A ", b"isom", b"iso2", b"mp42"] };
    let mut out = Vec::new();
    put(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(brands[0]);
        out.extend_from_slice(&512u32.to_be_bytes());
        brands.iter().for_each(|brand| out.extend_from_slice(*brand));
    });
    let lengths: Vec<u64> = tracks.iter().map(Tables::movie_ticks).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    put(&mut out, *b"moov", |out| {
        put(out, *b"mvhd", |out| {
            // Version 1; made and changed at no time that is known.
            out.extend_from_slice(&[1, 0, 0, 0]);
            out.extend_from_slice(&[0; 16]);
            out.extend_from_slice(&MOVIE_TIMESCALE.to_be_bytes());
            out.extend_from_slice(&longest.to_be_bytes());
            out.extend_from_slice(&0x0001_0000u32.to_be_bytes());
            out.extend_from_slice(&0x0100u16.to_be_bytes());
            out.extend_from_slice(&[0; 10]);
            out.extend_from_slice(&tables::MATRIX);
            out.extend_from_slice(&[0; 24]);
            out.extend_from_slice(&u32::try_from(tracks.len() + 1).unwrap_or(u32::MAX).to_be_bytes());
        });
        for (number, track) in (1u32..).zip(tracks) {
            track.render(out, number);
        }
    });
    if out.len() > HEADER_BYTES_MAX {
        return Err(ProgressiveError::TooLong);
    }
    // With a size of 64 bits in any case, so that the header is equally long for all films.
    out.extend_from_slice(&1u32.to_be_bytes());
    out.extend_from_slice(b"mdat");
    out.extend_from_slice(&(mdat_bytes + MDAT_HEADER_BYTES).to_be_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests;
