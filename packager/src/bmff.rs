//! Reads ISO base media files (ISO/IEC 14496-12) of any writer: what a track is, and where its samples lie.
//!
//! Unlike [`crate::verify`], which accepts what was written here and nothing else, this takes whatever the standard
//! permits. Every count is bounded by the octets that are there.

mod codec;

pub(crate) use codec::{avc_parameter_sets, is_random_access, units};

/// Most boxes of one level that are looked at.
const BOXES_MAX: usize = 100_000;

/// Most samples of one fragment.
const SAMPLES_MAX: usize = 1_000_000;

/// Set in the flags of a sample that is no sync sample (§8.8.3.1).
const IS_NOT_SYNC: u32 = 1 << 16;

/// Why octets are no such file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// A box is cut short, or its size points outside its parent.
    #[error("the box at byte {0} does not fit")]
    Bounds(usize),
    /// A box that must be there is not.
    #[error("there is no usable {0}")]
    Missing(&'static str),
    /// The samples of a fragment lie outside the file.
    #[error("the samples of the moof at byte {0} are not all there")]
    Samples(usize),
}

/// A box with its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atom<'a> {
    pub(crate) kind: [u8; 4],
    pub(crate) offset: usize,
    pub(crate) body: &'a [u8],
    pub(crate) end: usize,
}

/// All boxes of one level; sizes of 64 bits and to the end of the file are understood.
pub(crate) fn atoms(bytes: &[u8]) -> Result<Vec<Atom<'_>>, Broken> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < BOXES_MAX {
        let rest = bytes.get(at..).unwrap_or_default();
        let broken = Broken::Bounds(at);
        let size = be32(rest, 0).ok_or(broken.clone())?;
        let kind = *rest.get(4..8).and_then(<[u8]>::first_chunk).ok_or(broken.clone())?;
        let (head, size) = match size {
            0 => (8, rest.len()),
            1 => (16, be64(rest, 8).and_then(|size| usize::try_from(size).ok()).ok_or(broken.clone())?),
            size => (8, usize::try_from(size).unwrap_or(usize::MAX)),
        };
        let body = rest.get(head..size).ok_or(broken)?;
        found.push(Atom { kind, offset: at, body, end: at + size });
        at += size;
    }
    Ok(found)
}

/// The body of the first box on this path.
pub(crate) fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter().try_fold(bytes, |bytes, kind| {
        atoms(bytes).ok()?.into_iter().find(|atom| atom.kind == **kind).map(|atom| atom.body)
    })
}

/// What an initialization segment says of its first track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) track_id: u32,
    pub(crate) track_count: usize,
    pub(crate) timescale: u32,
    /// `vide`, `soun` ...
    pub(crate) handler: [u8; 4],
    /// Type of the sample entry, such as `avc1`.
    pub(crate) entry: [u8; 4],
    /// The whole stsd, for those who copy it.
    pub(crate) description: Vec<u8>,
    /// Size of the picture; zeros for sound.
    pub(crate) size: (u32, u32),
    /// Defaults of the trex: duration, octets, flags.
    defaults: [u32; 3],
}

impl Init {
    /// Reads a moov.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Broken> {
        let moov = atoms(bytes)?.into_iter().find(|atom| atom.kind == *b"moov").ok_or(Broken::Missing("moov"))?.body;
        let children = atoms(moov)?;
        let tracks: Vec<&Atom<'_>> = children.iter().filter(|atom| atom.kind == *b"trak").collect();
        let trak = tracks.first().ok_or(Broken::Missing("trak"))?.body;
        let tkhd = find(trak, &[b"tkhd"]).ok_or(Broken::Missing("tkhd"))?;
        let mdhd = find(trak, &[b"mdia", b"mdhd"]).ok_or(Broken::Missing("mdhd"))?;
        let hdlr = find(trak, &[b"mdia", b"hdlr"]).ok_or(Broken::Missing("hdlr"))?;
        let stsd = find(trak, &[b"mdia", b"minf", b"stbl", b"stsd"]).ok_or(Broken::Missing("stsd"))?;
        let long = |body: &[u8]| body.first() == Some(&1);
        let track_id = be32(tkhd, if long(tkhd) { 20 } else { 12 }).ok_or(Broken::Missing("tkhd"))?;
        let timescale = be32(mdhd, if long(mdhd) { 20 } else { 12 }).filter(|scale| *scale > 0);
        let entry =
            atoms(stsd.get(8..).unwrap_or_default())?.first().copied().ok_or(Broken::Missing("sample entry"))?;
        let handler = *hdlr.get(8..12).and_then(<[u8]>::first_chunk).ok_or(Broken::Missing("hdlr"))?;
        let side = |at| entry.body.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |two| u16::from_be_bytes(*two));
        let size = if handler == *b"vide" { (side(24).into(), side(26).into()) } else { (0, 0) };
        let trex = find(moov, &[b"mvex", b"trex"]).unwrap_or_default();
        let defaults = [12, 16, 20].map(|at| be32(trex, at).unwrap_or(0));
        Ok(Self {
            track_id,
            track_count: tracks.len(),
            timescale: timescale.ok_or(Broken::Missing("mdhd"))?,
            handler,
            entry: entry.kind,
            description: stsd.to_vec(),
            size,
            defaults,
        })
    }

    /// The configuration box of this kind in the sample entry, such as `avcC`.
    pub(crate) fn configuration(&self, kind: &[u8; 4]) -> Option<&[u8]> {
        let entry = atoms(self.description.get(8..)?).ok()?.first().copied()?;
        // Fields before the boxes: 78 octets of a picture, 28 of sound (§12.1.3, §12.2.3).
        let fields = if self.handler == *b"vide" { 78 } else { 28 };
        find(entry.body.get(fields..)?, &[kind])
    }
}

/// One moof with its samples.
#[derive(Clone, Debug)]
pub(crate) struct Fragment {
    /// Where the moof begins.
    pub(crate) offset: usize,
    pub(crate) track_id: u32,
    pub(crate) decode_time: Option<u64>,
    pub(crate) samples: Vec<Sample>,
}

/// One sample with the values that apply to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Where its octets begin in the file.
    pub(crate) offset: usize,
    pub(crate) bytes: u32,
    pub(crate) duration: u32,
    /// Presentation minus decode time.
    pub(crate) shift: i32,
    pub(crate) is_sync: bool,
}

impl Sample {
    /// Its octets.
    pub(crate) fn data<'a>(&self, file: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        file.get(self.offset..self.offset.saturating_add(length)).unwrap_or_default()
    }
}

impl Fragment {
    /// Ticks of all its samples.
    pub(crate) fn ticks(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }
}

/// All fragments of a media segment, the samples of the first track of each.
pub(crate) fn fragments(bytes: &[u8], init: &Init) -> Result<Vec<Fragment>, Broken> {
    let mut fragments = Vec::new();
    let mut left = SAMPLES_MAX;
    for moof in atoms(bytes)?.into_iter().filter(|atom| atom.kind == *b"moof") {
        let one = fragment(&moof, init)?;
        left = left.checked_sub(one.samples.len()).ok_or(Broken::Samples(moof.offset))?;
        fragments.push(one);
    }
    for one in &fragments {
        if one.samples.iter().any(|sample| sample.bytes > 0 && sample.data(bytes).is_empty()) {
            return Err(Broken::Samples(one.offset));
        }
    }
    if fragments.is_empty() { Err(Broken::Missing("moof")) } else { Ok(fragments) }
}

/// The fragment at the very beginning, of which what follows the moof need not be there.
pub(crate) fn first_fragment(bytes: &[u8], init: &Init) -> Result<Fragment, Broken> {
    let size = be32(bytes, 0).and_then(|size| usize::try_from(size).ok()).ok_or(Broken::Bounds(0))?;
    let moof = atoms(bytes.get(..size).ok_or(Broken::Bounds(0))?)?;
    match moof.first() {
        Some(moof) if moof.kind == *b"moof" => fragment(moof, init),
        _ => Err(Broken::Missing("moof")),
    }
}

fn fragment(moof: &Atom<'_>, init: &Init) -> Result<Fragment, Broken> {
    let traf = find(moof.body, &[b"traf"]).ok_or(Broken::Missing("traf"))?;
    let tfhd = find(traf, &[b"tfhd"]).ok_or(Broken::Missing("tfhd"))?;
    let header = Header::read(tfhd, moof.offset, init.defaults).ok_or(Broken::Missing("tfhd"))?;
    let decode_time = find(traf, &[b"tfdt"]).and_then(|body| match body.first()? {
        1 => be64(body, 4),
        _ => be32(body, 4).map(u64::from),
    });
    let mut samples = Vec::new();
    let mut next = header.base;
    for run in atoms(traf)?.iter().filter(|atom| atom.kind == *b"trun") {
        next = header.run(run.body, next, &mut samples).ok_or(Broken::Missing("trun"))?;
    }
    Ok(Fragment { offset: moof.offset, track_id: header.track_id, decode_time, samples })
}

/// A tfhd: where data offsets count from, and what applies to samples without values of their own.
struct Header {
    track_id: u32,
    base: usize,
    defaults: [u32; 3],
}

/// Reads fields that are there if a flag is set.
struct Fields<'a> {
    body: &'a [u8],
    flags: u32,
    at: usize,
}

impl Fields<'_> {
    fn next(&mut self, flag: u32) -> Option<Option<u32>> {
        if self.flags & flag == 0 {
            return Some(None);
        }
        self.at += 4;
        be32(self.body, self.at - 4).map(Some)
    }
}

impl Header {
    fn read(body: &[u8], moof_offset: usize, defaults: [u32; 3]) -> Option<Self> {
        let flags = be32(body, 0)? & 0x00ff_ffff;
        let track_id = be32(body, 4)?;
        let (base, at) = match flags & 1 {
            0 => (moof_offset, 8),
            _ => (usize::try_from(be64(body, 8)?).ok()?, 16),
        };
        let mut fields = Fields { body, flags, at };
        fields.next(2)?;
        let [duration, size, sample_flags] = defaults;
        let own = [fields.next(8)?.unwrap_or(duration), fields.next(0x10)?.unwrap_or(size)];
        Some(Self { track_id, base, defaults: [own[0], own[1], fields.next(0x20)?.unwrap_or(sample_flags)] })
    }

    /// Adds the samples of a trun whose data begins at `next` unless it says otherwise; where the data ends.
    fn run(&self, body: &[u8], next: usize, samples: &mut Vec<Sample>) -> Option<usize> {
        let head = be32(body, 0)?;
        let count = usize::try_from(be32(body, 4)?).ok().filter(|count| samples.len() + count <= SAMPLES_MAX)?;
        let mut fields = Fields { body, flags: head & 0x00ff_ffff, at: 8 };
        let mut offset = match fields.next(1)? {
            Some(offset) => self.base.checked_add_signed(isize::try_from(offset.cast_signed()).ok()?)?,
            None => next,
        };
        let mut first_flags = fields.next(4)?;
        // Samples without fields of their own take no room, so their number is bounded by the constant alone.
        for _ in 0..count {
            let duration = fields.next(0x100)?.unwrap_or(self.defaults[0]);
            let bytes = fields.next(0x200)?.unwrap_or(self.defaults[1]);
            let own = fields.next(0x400)?;
            let shift = fields.next(0x800)?.unwrap_or(0).cast_signed();
            let flags = first_flags.take().or(own).unwrap_or(self.defaults[2]);
            samples.push(Sample { offset, bytes, duration, shift, is_sync: flags & IS_NOT_SYNC == 0 });
            offset = offset.checked_add(usize::try_from(bytes).ok()?)?;
        }
        Some(offset)
    }
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

pub(crate) fn be64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|eight| u64::from_be_bytes(*eight))
}

#[cfg(test)]
mod tests;
