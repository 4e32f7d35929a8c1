//! The sample tables of one track (ISO/IEC 14496-12 §8.6, §8.7).

use super::{MOVIE_TIMESCALE, ProgressiveError, put};
use crate::bmff::{Fragment, Init};

/// No rotation, no scaling (§6.2.2).
pub(super) const MATRIX: [u8; 36] =
    [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0];

/// Language `und`, three letters of five bits each.
const UNDETERMINED: u16 = 0x55c4;

/// One track as it grows.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) init: Init,
    /// When the first sample is decoded; the next one.
    begins: Option<u64>,
    next: u64,
    /// Runs of equal durations: how many, how long.
    durations: Vec<(u32, u32)>,
    /// Runs of equal presentation offsets.
    shifts: Vec<(u32, i32)>,
    sizes: Vec<u32>,
    /// Numbers of sync samples, from 1; `None` while every sample is one.
    syncs: Option<Vec<u32>>,
    /// Samples of each chunk, and where it lies in the file.
    chunks: Vec<u32>,
    offsets: Vec<u64>,
}

impl Tables {
    pub(super) fn new(init: Init) -> Self {
        Self {
            init,
            begins: None,
            next: 0,
            durations: Vec::new(),
            shifts: Vec::new(),
            sizes: Vec::new(),
            syncs: None,
            chunks: Vec::new(),
            offsets: Vec::new(),
        }
    }

    /// Adds a fragment as a chunk; when it is decoded, in ticks of the movie.
    pub(super) fn add(&mut self, fragment: &Fragment) -> Result<u64, ProgressiveError> {
        let at = fragment.decode_time.ok_or(ProgressiveError::Order("a fragment without decode time"))?;
        if self.begins.is_some() && at != self.next {
            return Err(ProgressiveError::Order("fragments"));
        }
        self.begins.get_or_insert(at);
        for sample in &fragment.samples {
            let number = u32::try_from(self.sizes.len() + 1).map_err(|_| ProgressiveError::TooLong)?;
            match &mut self.syncs {
                Some(syncs) if sample.is_sync => syncs.push(number),
                None if !sample.is_sync => self.syncs = Some((1..number).collect()),
                _ => {}
            }
            self.sizes.push(sample.bytes);
            count(&mut self.durations, sample.duration);
            count(&mut self.shifts, sample.shift);
        }
        self.chunks.push(u32::try_from(fragment.samples.len()).map_err(|_| ProgressiveError::TooLong)?);
        self.next = at.checked_add(fragment.ticks()).ok_or(ProgressiveError::TooLong)?;
        Ok(self.in_movie(at))
    }

    /// Notes where the next chunk lies.
    pub(super) fn place(&mut self, offset: u64) {
        self.offsets.push(offset);
    }

    /// Octets of all tables, about.
    pub(super) fn table_bytes(&self) -> usize {
        let syncs = self.syncs.as_ref().map_or(0, Vec::len);
        4 * (self.sizes.len() + syncs) + 8 * (self.durations.len() + self.shifts.len()) + 20 * self.chunks.len()
    }

    /// When it ends, in ticks of the movie.
    pub(super) fn movie_ticks(&self) -> u64 {
        self.in_movie(self.next)
    }

    fn in_movie(&self, ticks: u64) -> u64 {
        let scaled = u128::from(ticks) * u128::from(MOVIE_TIMESCALE) / u128::from(self.init.timescale.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// What all offsets are raised by, so that none is negative: older players know no negative ones.
    fn raise(&self) -> u32 {
        self.shifts.iter().map(|(_, shift)| shift.min(&0).unsigned_abs()).max().unwrap_or(0)
    }

    pub(super) fn render(&self, out: &mut Vec<u8>, number: u32) {
        let (begins, raise) = (self.begins.unwrap_or(0), self.raise());
        let is_picture = self.init.handler == *b"vide";
        put(out, *b"trak", |out| {
            put(out, *b"tkhd", |out| {
                // Version 1; enabled, in the movie, in the preview.
                out.extend_from_slice(&[1, 0, 0, 7]);
                out.extend_from_slice(&[0; 16]);
                out.extend_from_slice(&number.to_be_bytes());
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&self.movie_ticks().to_be_bytes());
                out.extend_from_slice(&[0; 12]);
                out.extend_from_slice(&if is_picture { [0, 0] } else { [1, 0] });
                out.extend_from_slice(&[0; 2]);
                out.extend_from_slice(&MATRIX);
                out.extend_from_slice(&(self.init.size.0 << 16).to_be_bytes());
                out.extend_from_slice(&(self.init.size.1 << 16).to_be_bytes());
            });
            if begins > 0 || raise > 0 {
                self.edits(out, begins, raise);
            }
            put(out, *b"mdia", |out| {
                put(out, *b"mdhd", |out| {
                    out.extend_from_slice(&[1, 0, 0, 0]);
                    out.extend_from_slice(&[0; 16]);
                    out.extend_from_slice(&self.init.timescale.to_be_bytes());
                    out.extend_from_slice(&self.next.saturating_sub(begins).to_be_bytes());
                    out.extend_from_slice(&UNDETERMINED.to_be_bytes());
                    out.extend_from_slice(&[0; 2]);
                });
                put(out, *b"hdlr", |out| {
                    out.extend_from_slice(&[0; 8]);
                    out.extend_from_slice(&self.init.handler);
                    out.extend_from_slice(&[0; 12]);
                    out.extend_from_slice(if is_picture { b"video\0" } else { b"sound\0" });
                });
                put(out, *b"minf", |out| self.information(out, is_picture));
            });
        });
    }

    /// An empty edit up to the first sample, then the track from the time that is shown first (§8.6.6).
    fn edits(&self, out: &mut Vec<u8>, begins: u64, raise: u32) {
        let empty = self.in_movie(begins);
        let mut edits: Vec<(u64, i64)> = Vec::new();
        if empty > 0 {
            edits.push((empty, -1));
        }
        edits.push((self.movie_ticks() - empty, raise.into()));
        put(out, *b"edts", |out| {
            put(out, *b"elst", |out| {
                out.extend_from_slice(&[1, 0, 0, 0]);
                out.extend_from_slice(&u32::try_from(edits.len()).unwrap_or(0).to_be_bytes());
                for (length, media_time) in &edits {
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(&media_time.to_be_bytes());
                    out.extend_from_slice(&0x0001_0000u32.to_be_bytes());
                }
            });
        });
    }

    fn information(&self, out: &mut Vec<u8>, is_picture: bool) {
        if is_picture {
            put(out, *b"vmhd", |out| out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]));
        } else {
            put(out, *b"smhd", |out| out.extend_from_slice(&[0; 8]));
        }
        put(out, *b"dinf", |out| {
            put(out, *b"dref", |out| {
                out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
                put(out, *b"url ", |out| out.extend_from_slice(&[0, 0, 0, 1]));
            });
        });
        put(out, *b"stbl", |out| {
            put(out, *b"stsd", |out| out.extend_from_slice(&self.init.description));
            table(out, *b"stts", 0, self.durations.iter().flat_map(|(count, ticks)| [*count, *ticks]), 2);
            let raise = i64::from(self.raise());
            if self.shifts.iter().any(|(_, shift)| i64::from(*shift) + raise != 0) {
                let raised = |shift: i32| u32::try_from(i64::from(shift) + raise).unwrap_or(0);
                let entries = self.shifts.iter().flat_map(|(count, shift)| [*count, raised(*shift)]);
                table(out, *b"ctts", 0, entries, 2);
            }
            if let Some(syncs) = &self.syncs {
                table(out, *b"stss", 0, syncs.iter().copied(), 1);
            }
            put(out, *b"stsc", |out| self.sample_to_chunk(out));
            put(out, *b"stsz", |out| {
                out.extend_from_slice(&[0; 8]);
                out.extend_from_slice(&u32::try_from(self.sizes.len()).unwrap_or(0).to_be_bytes());
                self.sizes.iter().for_each(|size| out.extend_from_slice(&size.to_be_bytes()));
            });
            put(out, *b"co64", |out| {
                out.extend_from_slice(&[0; 4]);
                out.extend_from_slice(&u32::try_from(self.chunks.len()).unwrap_or(0).to_be_bytes());
                // Before places are known it is as long as it will be.
                let offsets = self.offsets.iter().copied().chain(std::iter::repeat(0)).take(self.chunks.len());
                offsets.for_each(|offset| out.extend_from_slice(&offset.to_be_bytes()));
            });
        });
    }

    fn sample_to_chunk(&self, out: &mut Vec<u8>) {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (number, samples) in (1u32..).zip(&self.chunks) {
            if runs.last().is_none_or(|(_, last)| last != samples) {
                runs.push((number, *samples));
            }
        }
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&u32::try_from(runs.len()).unwrap_or(0).to_be_bytes());
        for (first, samples) in runs {
            [first, samples, 1].iter().for_each(|field| out.extend_from_slice(&field.to_be_bytes()));
        }
    }
}

/// Adds one to the last run if it is of this value, else a new run.
fn count<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value && *count < u32::MAX => *count += 1,
        _ => runs.push((1, value)),
    }
}

/// A full box with entries of `fields` numbers each.
fn table(out: &mut Vec<u8>, kind: [u8; 4], version: u8, numbers: impl Iterator<Item = u32>, fields: usize) {
    put(out, kind, |out| {
        out.extend_from_slice(&[version, 0, 0, 0]);
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        numbers.for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
        let entries = (out.len() - at - 4) / (4 * fields);
        out[at..at + 4].copy_from_slice(&u32::try_from(entries).unwrap_or(0).to_be_bytes());
    });
}
