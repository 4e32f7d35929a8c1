//! Walks the boxes of a segment (ISO/IEC 14496-12 §4.2, §8.8).

use domain::presentation::KeyframeRange;

use super::VerifyError;

/// Set in the flags of a sample that is no sync sample (§8.8.3.1).
const IS_NOT_SYNC: u32 = 1 << 16;

/// Most samples of one fragment: bounds what a wrong count may make us allocate.
const SAMPLES_MAX: u32 = 100_000;

/// One moof and its mdat.
pub(super) struct Fragment<'a> {
    pub(super) decode_time: u64,
    pub(super) samples: Vec<Sample<'a>>,
    /// Where the moof begins.
    offset: usize,
    /// Where the first sample ends.
    first_end: usize,
}

/// One sample with the values that apply to it.
pub(super) struct Sample<'a> {
    pub(super) duration_ticks: u32,
    pub(super) offset_ticks: i32,
    pub(super) is_sync: bool,
    pub(super) data: &'a [u8],
}

impl Fragment<'_> {
    /// The range from the moof to the end of the first sample.
    pub(super) fn keyframe(&self, frame_ticks: u32) -> KeyframeRange {
        KeyframeRange {
            offset: self.offset as u64,
            length: self.first_end.saturating_sub(self.offset) as u64,
            ticks: self.samples.len() as u64 * u64::from(frame_ticks),
        }
    }
}

/// Reads fragments one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads the styp.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, VerifyError> {
        let mut reader = Self { bytes, at: 0 };
        reader.expect("styp")?;
        Ok(reader)
    }

    /// Reads the next moof and mdat.
    pub(super) fn fragment(&mut self, number: usize) -> Result<Fragment<'a>, VerifyError> {
        let moof = self.expect("moof")?;
        let mdat = self.expect("mdat")?;
        let field = |what| VerifyError::Field { fragment: number, what };
        only(&moof, "mfhd", "moof")?;
        let traf = only(&moof, "traf", "moof")?;
        let header = Defaults::read(only(&traf, "tfhd", "traf")?.body).ok_or(field("the tfhd is damaged"))?;
        let decode_time = decode_time(only(&traf, "tfdt", "traf")?.body).ok_or(field("the tfdt is damaged"))?;
        let run = Run::read(only(&traf, "trun", "traf")?.body, &header).ok_or(field("the trun is damaged"))?;
        if moof.offset.checked_add(run.data_offset) != Some(mdat.body_offset) {
            return Err(field("the samples do not begin with the mdat"));
        }
        let mut rest = mdat.body;
        let mut samples = Vec::with_capacity(run.entries.len());
        for entry in run.entries {
            let length = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
            let (data, after) = rest.split_at_checked(length).ok_or(field("the samples exceed the mdat"))?;
            rest = after;
            let is_sync = entry.flags & IS_NOT_SYNC == 0;
            samples.push(Sample {
                duration_ticks: entry.duration_ticks,
                offset_ticks: entry.offset_ticks,
                is_sync,
                data,
            });
        }
        if !rest.is_empty() {
            return Err(field("the mdat holds more than the samples"));
        }
        let first_bytes = samples.first().map_or(0, |sample| sample.data.len());
        Ok(Fragment { decode_time, samples, offset: moof.offset, first_end: mdat.body_offset + first_bytes })
    }

    /// Fails if anything is left.
    pub(super) fn end(self) -> Result<(), VerifyError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            bytes => Err(VerifyError::Trailing { bytes }),
        }
    }

    fn expect(&mut self, expected: &'static str) -> Result<Box4<'a>, VerifyError> {
        let offset = self.at;
        let found = if offset == self.bytes.len() { None } else { Some(read_box(self.bytes, offset, 0)?) };
        match found {
            Some(found) if found.kind == expected.as_bytes() => {
                self.at = found.end();
                Ok(found)
            }
            other => Err(VerifyError::Order {
                offset,
                expected,
                found: other.map_or("nothing".into(), |found| String::from_utf8_lossy(&found.kind).into_owned()),
            }),
        }
    }
}

/// See [`super::init`].
pub(super) fn init(bytes: &[u8]) -> Result<(), VerifyError> {
    let mut reader = Reader { bytes, at: 0 };
    reader.expect("ftyp")?;
    let moov = reader.expect("moov")?;
    only(&moov, "mvhd", "moov")?;
    let trak = only(&moov, "trak", "moov")?;
    let mvex = only(&moov, "mvex", "moov")?;
    only(&mvex, "trex", "mvex")?;
    only(&trak, "mdia", "trak")?;
    match children(&trak)?.iter().filter(|child| child.kind == *b"edts").count() {
        0 => reader.end(),
        _ => Err(VerifyError::EditList),
    }
}

/// A box with its place in the file.
struct Box4<'a> {
    kind: [u8; 4],
    offset: usize,
    body_offset: usize,
    body: &'a [u8],
}

impl Box4<'_> {
    fn end(&self) -> usize {
        self.body_offset + self.body.len()
    }
}

/// The box at `at` within `bytes`, which themselves begin at `base`.
fn read_box(bytes: &[u8], at: usize, base: usize) -> Result<Box4<'_>, VerifyError> {
    let offset = base + at;
    let broken = VerifyError::Bounds { offset };
    let rest = bytes.get(at..).unwrap_or_default();
    let (Some(size), Some(kind)) = (be32(rest, 0), rest.get(4..8).and_then(|kind| kind.try_into().ok())) else {
        return Err(broken);
    };
    // Sizes of 0 (to the end of the file) and 1 (64 bits) are never written, so they are refused.
    match usize::try_from(size).ok().and_then(|size| rest.get(8..size)) {
        Some(body) => Ok(Box4 { kind, offset, body_offset: offset + 8, body }),
        None => Err(broken),
    }
}

fn children<'a>(parent: &Box4<'a>) -> Result<Vec<Box4<'a>>, VerifyError> {
    let mut found = Vec::new();
    let mut at = 0;
    // Every box has at least eight octets, so this ends.
    while at < parent.body.len() {
        let child = read_box(parent.body, at, parent.body_offset)?;
        at = child.end() - parent.body_offset;
        found.push(child);
    }
    Ok(found)
}

/// The only child of this kind.
fn only<'a>(parent: &Box4<'a>, kind: &'static str, name: &'static str) -> Result<Box4<'a>, VerifyError> {
    let mut found: Vec<_> = children(parent)?.into_iter().filter(|child| child.kind == kind.as_bytes()).collect();
    match (found.len(), found.pop()) {
        (1, Some(child)) => Ok(child),
        (count, _) => Err(VerifyError::Count { kind, parent: name, count }),
    }
}

/// Values of a tfhd that apply to every sample without its own.
struct Defaults {
    duration_ticks: Option<u32>,
    bytes: Option<u32>,
    flags: Option<u32>,
}

impl Defaults {
    fn read(body: &[u8]) -> Option<Self> {
        let flags = be32(body, 0)?;
        // Track 1, offsets from the moof, and no base-data-offset.
        if be32(body, 4)? != 1 || flags & 0x02_0000 == 0 || flags & 1 != 0 {
            return None;
        }
        let mut at = 8;
        let mut next = |bit: u32| -> Option<Option<u32>> {
            if flags & bit == 0 {
                return Some(None);
            }
            at += 4;
            be32(body, at - 4).map(Some)
        };
        next(2)?; // sample_description_index
        Some(Self { duration_ticks: next(8)?, bytes: next(0x10)?, flags: next(0x20)? })
    }
}

struct Run {
    data_offset: usize,
    entries: Vec<Entry>,
}

struct Entry {
    duration_ticks: u32,
    bytes: u32,
    flags: u32,
    offset_ticks: i32,
}

impl Run {
    fn read(body: &[u8], defaults: &Defaults) -> Option<Self> {
        let head = be32(body, 0)?;
        let (version, flags) = (head >> 24, head & 0x00ff_ffff);
        let count = be32(body, 4).filter(|&count| count <= SAMPLES_MAX)?;
        if version > 1 || flags & 1 == 0 {
            return None;
        }
        let data_offset = usize::try_from(be32(body, 8)?).ok()?;
        let mut at = 12;
        let mut next = |bit: u32| -> Option<Option<u32>> {
            if flags & bit == 0 {
                return Some(None);
            }
            at += 4;
            be32(body, at - 4).map(Some)
        };
        let mut first_flags = next(4)?;
        let mut entries = Vec::new();
        for _ in 0..count {
            let duration_ticks = next(0x100)?.or(defaults.duration_ticks)?;
            let bytes = next(0x200)?.or(defaults.bytes)?;
            let own_flags = next(0x400)?;
            let offset = next(0x800)?.unwrap_or(0);
            let offset_ticks = if version == 0 { i32::try_from(offset).ok()? } else { offset.cast_signed() };
            let flags = first_flags.take().or(own_flags).or(defaults.flags)?;
            entries.push(Entry { duration_ticks, bytes, flags, offset_ticks });
        }
        (at == body.len()).then_some(Self { data_offset, entries })
    }
}

fn decode_time(body: &[u8]) -> Option<u64> {
    match (body.first()?, body.len()) {
        (0, 8) => be32(body, 4).map(u64::from),
        (1, 12) => Some(u64::from_be_bytes(body.get(4..12)?.try_into().ok()?)),
        _ => None,
    }
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}
