//! The samples of CMAF, encrypted by scheme `cbcs` of Common Encryption (ISO/IEC 23001-7 §10.4).
//!
//! Of a picture the data of its slices, one block of ten; the lengths, headers and all other NAL units stay clear. Of
//! sound all whole blocks of each frame. Every run of encrypted data begins with the same vector, which stands in the
//! initialization segment beside the identifier of the key.

use aes::Aes128;
use cbc::cipher::{Block, BlockModeEncrypt, KeyIvInit};
use domain::presentation::KeyframeRange;

use super::{KEY_BYTES, Octets, slice};
use crate::bmff::{self, Atom, Broken, Init, Sample};

/// Blocks of ten that are encrypted in a picture, and that are not (§10.4.2).
const CRYPT_BLOCKS: usize = 1;
const SKIP_BLOCKS: usize = 9;

/// Version 1.0 of the scheme.
const SCHEME_VERSION: u32 = 1 << 16;

/// Longest run of clear data that one entry can tell.
const CLEAR_MAX: usize = 0xffff;

/// Entries of one sample whose description still fits the octet that tells its length.
const ENTRIES_MAX: usize = (255 - 2) / ENTRY_BYTES;
const ENTRY_BYTES: usize = 6;

/// Clear octets at the beginning of a slice whose header cannot be read; no header is that long.
const HEADER_BYTES_MAX: usize = 256;

/// Set in a senc whose samples are described run by run (§7.2.2).
const HAS_RUNS: u32 = 2;
/// Set in a trun that says where its data begins (ISO/IEC 14496-12 §8.8.8.1).
const HAS_DATA_OFFSET: u8 = 1;

/// Why a segment cannot be encrypted so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CbcsError {
    /// The initialization segment or the segment cannot be read.
    #[error("the CMAF segment is damaged: {0}")]
    Damaged(String),
    /// Only H.264 and AAC are encrypted so here.
    #[error("{0} is not encrypted by cbcs")]
    Codec(String),
    /// A box would be longer than its length can tell.
    #[error("a box is too long")]
    Overflow,
}

impl From<Broken> for CbcsError {
    fn from(broken: Broken) -> Self {
        Self::Damaged(broken.to_string())
    }
}

/// The initialization segment of what is encrypted by the key with this identifier.
///
/// # Errors
/// If the octets are no initialization segment of H.264 or AAC.
pub fn init(init: &[u8], key_id: &Octets, vector: &Octets) -> Result<Vec<u8>, CbcsError> {
    let read = Init::read(init)?;
    let protected = Protection { kind: kind(&read)?, key_id, vector };
    let path: &[&[u8; 4]] = &[b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    protected.wrap(init, path)
}

/// The segment, encrypted; `init` is its clear initialization segment.
///
/// # Errors
/// If the octets are no CMAF of H.264 or AAC.
pub fn segment(init: &[u8], segment: &[u8], key: &Octets, vector: &Octets) -> Result<Vec<u8>, CbcsError> {
    let init = Init::read(init)?;
    let kind = kind(&init)?;
    let pictures = slice::Reader::new(&init);
    let fragments = bmff::fragments(segment, &init)?;
    let mut data = segment.to_vec();
    let mut out = Vec::with_capacity(segment.len() + segment.len() / 16);
    for atom in bmff::atoms(segment)? {
        let fragment = fragments.iter().find(|one| atom.kind == *b"moof" && one.offset == atom.offset);
        let Some(fragment) = fragment else {
            out.extend_from_slice(data.get(atom.offset..atom.end).unwrap_or_default());
            continue;
        };
        let mut told = Vec::with_capacity(fragment.samples.len());
        for sample in &fragment.samples {
            let runs = match kind {
                Kind::Sound => Vec::new(),
                Kind::Picture => runs(&init, pictures.as_ref(), sample.data(segment))?,
            };
            encrypt(sample, &runs, &mut data, key, vector);
            told.push(runs);
        }
        out.extend_from_slice(&moof(&atom, &told)?);
    }
    Ok(out)
}

/// One I-frame of a segment, encrypted: its moof, and its mdat up to the end of the picture.
///
/// # Errors
/// As [`segment`], and if the range is none of the segment's.
pub fn iframe(
    init: &[u8],
    segment: &[u8],
    range: KeyframeRange,
    key: &Octets,
    vector: &Octets,
) -> Result<Vec<u8>, CbcsError> {
    let outside = || CbcsError::Damaged("the I-frame lies outside of it".into());
    let at = |octets: u64| usize::try_from(octets).map_err(|_| CbcsError::Overflow);
    let rest = segment.get(at(range.offset)?..).ok_or_else(outside)?;
    let fragment = match bmff::atoms(rest)?.as_slice() {
        [moof, mdat, ..] if moof.kind == *b"moof" && mdat.kind == *b"mdat" => rest.get(..mdat.end),
        _ => None,
    };
    let fragment = fragment.ok_or_else(outside)?;
    let mut sealed = self::segment(init, fragment, key, vector)?;
    // All that is new stands before the picture.
    let behind = fragment.len().checked_sub(at(range.length)?).ok_or_else(outside)?;
    sealed.truncate(sealed.len() - behind);
    Ok(sealed)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Picture,
    Sound,
}

fn kind(init: &Init) -> Result<Kind, CbcsError> {
    match &init.entry {
        b"avc1" => Ok(Kind::Picture),
        b"mp4a" => Ok(Kind::Sound),
        other => Err(CbcsError::Codec(String::from_utf8_lossy(other).into_owned())),
    }
}

/// A run of clear octets and one of encrypted ones behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    clear: usize,
    sealed: usize,
}

/// The runs of one picture (§9.5.2): a slice is encrypted from the first octet behind its header on.
fn runs(init: &Init, pictures: Option<&slice::Reader>, data: &[u8]) -> Result<Vec<Run>, CbcsError> {
    let length_bytes = init.nal_length_bytes();
    let mut runs = Vec::new();
    let (mut clear, mut taken) = (0usize, 0usize);
    for unit in bmff::units(data, length_bytes) {
        taken += length_bytes + unit.len();
        let is_slice = unit.first().is_some_and(|head| matches!(head & 0x1f, 1 | 5));
        let header = || pictures.and_then(|pictures| pictures.header_bytes(unit)).unwrap_or(HEADER_BYTES_MAX);
        let head = if is_slice { header().min(unit.len()) } else { unit.len() };
        let sealed = unit.len() - head;
        clear += length_bytes + head;
        // Less than a block is never encrypted.
        if sealed < KEY_BYTES {
            clear += sealed;
            continue;
        }
        while clear > CLEAR_MAX {
            runs.push(Run { clear: CLEAR_MAX, sealed: 0 });
            clear -= CLEAR_MAX;
        }
        runs.push(Run { clear, sealed });
        clear = 0;
    }
    if taken != data.len() {
        return Err(CbcsError::Damaged("a NAL unit does not fit its sample".into()));
    }
    // What cannot be described stays clear: the rest of a picture in more than forty slices.
    while runs.len() + clear.div_ceil(CLEAR_MAX) > ENTRIES_MAX {
        let last = runs.pop().ok_or(CbcsError::Overflow)?;
        clear += last.clear + last.sealed;
    }
    while clear > 0 {
        runs.push(Run { clear: clear.min(CLEAR_MAX), sealed: 0 });
        clear -= clear.min(CLEAR_MAX);
    }
    Ok(runs)
}

/// Encrypts a sample where it lies; without runs all its whole blocks (§9.7).
fn encrypt(sample: &Sample, runs: &[Run], file: &mut [u8], key: &Octets, vector: &Octets) {
    let length = usize::try_from(sample.bytes).unwrap_or(usize::MAX);
    let Some(data) = file.get_mut(sample.offset..sample.offset.saturating_add(length)) else { return };
    if runs.is_empty() {
        return encrypt_run(data, CRYPT_BLOCKS, 0, key, vector);
    }
    let mut rest = data;
    for run in runs {
        let Some((sealed, after)) = rest.get_mut(run.clear..).and_then(|rest| rest.split_at_mut_checked(run.sealed))
        else {
            return;
        };
        encrypt_run(sealed, CRYPT_BLOCKS, SKIP_BLOCKS, key, vector);
        rest = after;
    }
}

/// Chains the blocks that are encrypted; what is left of a block stays as it is.
fn encrypt_run(data: &mut [u8], crypt: usize, skip: usize, key: &Octets, vector: &Octets) {
    let mut cipher = cbc::Encryptor::<Aes128>::new(&(*key).into(), &(*vector).into());
    for (at, block) in data.chunks_exact_mut(KEY_BYTES).enumerate() {
        if at % (crypt + skip) < crypt
            && let Ok(block) = <&mut Block<Aes128>>::try_from(block)
        {
            cipher.encrypt_block(block);
        }
    }
}

/// What a sample description says of the encryption.
struct Protection<'a> {
    kind: Kind,
    key_id: &'a Octets,
    vector: &'a Octets,
}

impl Protection<'_> {
    /// The boxes of one level, the entries of the stsd that `path` leads to wrapped.
    fn wrap(&self, bytes: &[u8], path: &[&[u8; 4]]) -> Result<Vec<u8>, CbcsError> {
        let Some((first, rest)) = path.split_first() else { return self.description(bytes) };
        let mut out = Vec::with_capacity(bytes.len() + 128);
        for atom in bmff::atoms(bytes)? {
            if atom.kind == **first {
                put(&mut out, atom.kind, &[&self.wrap(atom.body, rest)?])?;
            } else {
                put(&mut out, atom.kind, &[atom.body])?;
            }
        }
        Ok(out)
    }

    /// The body of a stsd with its entries wrapped (ISO/IEC 14496-12 §8.12).
    fn description(&self, body: &[u8]) -> Result<Vec<u8>, CbcsError> {
        let head = body.get(..8).ok_or(Broken::Missing("stsd"))?;
        let mut out = head.to_vec();
        for entry in bmff::atoms(&body[8..])? {
            let wrapped = if self.kind == Kind::Picture { b"encv" } else { b"enca" };
            let information = self.information(entry.kind)?;
            put(&mut out, *wrapped, &[entry.body, &information])?;
        }
        Ok(out)
    }

    /// The sinf.
    fn information(&self, format: [u8; 4]) -> Result<Vec<u8>, CbcsError> {
        let (mut body, mut tenc, mut schi, mut out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        put(&mut body, *b"frma", &[&format])?;
        put(&mut body, *b"schm", &[&[0; 4], b"cbcs", &SCHEME_VERSION.to_be_bytes()])?;
        // Only a pattern needs version 1 (§8.2). Encrypted, without a vector for each sample, by a key of this name.
        let (version, pattern) = match self.kind {
            Kind::Picture => (1, u8::try_from(CRYPT_BLOCKS << 4 | SKIP_BLOCKS).map_err(|_| CbcsError::Overflow)?),
            Kind::Sound => (0, 0),
        };
        let vector_bytes = u8::try_from(KEY_BYTES).map_err(|_| CbcsError::Overflow)?;
        tenc.extend_from_slice(&[version, 0, 0, 0, 0, pattern, 1, 0]);
        tenc.extend_from_slice(self.key_id);
        tenc.push(vector_bytes);
        tenc.extend_from_slice(self.vector);
        put(&mut schi, *b"tenc", &[&tenc])?;
        put(&mut body, *b"schi", &[&schi])?;
        put(&mut out, *b"sinf", &[&body])?;
        Ok(out)
    }
}

/// A moof whose traf describes the runs of its samples; data follow as far behind it as before.
fn moof(atom: &Atom<'_>, told: &[Vec<Run>]) -> Result<Vec<u8>, CbcsError> {
    let boxes = auxiliary(told)?;
    let grown: usize = boxes.iter().map(Vec::len).sum();
    let mut out = Vec::new();
    let mut body = Vec::new();
    for child in bmff::atoms(atom.body)? {
        if child.kind != *b"traf" {
            put(&mut body, child.kind, &[child.body])?;
            continue;
        }
        let mut traf = Vec::new();
        for part in bmff::atoms(child.body)? {
            match &part.kind {
                b"trun" => put(&mut traf, part.kind, &[&moved(part.body, grown)?])?,
                b"tfhd" if part.body.get(3).is_some_and(|flags| flags & 1 != 0) => {
                    return Err(CbcsError::Damaged("its data have an address of their own".into()));
                }
                _ => put(&mut traf, part.kind, &[part.body])?,
            }
        }
        boxes.iter().for_each(|one| traf.extend_from_slice(one));
        put(&mut body, *b"traf", &[&traf])?;
        if let [_, saio, senc] = boxes.as_slice() {
            // The traf ends with its senc, whose first entry stands behind head, flags and count.
            let at = 8 + body.len() - senc.len() + 16;
            let field = body.len() - senc.len() - 4;
            debug_assert_eq!(saio.len(), 20);
            let at = u32::try_from(at).map_err(|_| CbcsError::Overflow)?;
            body.get_mut(field..field + 4).ok_or(CbcsError::Overflow)?.copy_from_slice(&at.to_be_bytes());
        }
    }
    put(&mut out, *b"moof", &[&body])?;
    Ok(out)
}

/// A trun whose data begin so many octets later.
fn moved(body: &[u8], octets: usize) -> Result<Vec<u8>, CbcsError> {
    let mut body = body.to_vec();
    if body.get(3).is_some_and(|flags| flags & HAS_DATA_OFFSET != 0) {
        let offset = bmff::be32(&body, 8).ok_or(Broken::Missing("trun"))?.cast_signed();
        let moved = i32::try_from(octets).ok().and_then(|octets| offset.checked_add(octets));
        let moved = moved.ok_or(CbcsError::Overflow)?;
        body.get_mut(8..12).ok_or(CbcsError::Overflow)?.copy_from_slice(&moved.to_be_bytes());
    }
    Ok(body)
}

/// saiz, saio without its value, and senc; of sound, whose samples have nothing to tell, an empty senc alone (§7).
fn auxiliary(told: &[Vec<Run>]) -> Result<Vec<Vec<u8>>, CbcsError> {
    let count = u32::try_from(told.len()).map_err(|_| CbcsError::Overflow)?.to_be_bytes();
    let mut senc = Vec::new();
    if told.iter().all(Vec::is_empty) {
        put(&mut senc, *b"senc", &[&[0; 4], &count])?;
        return Ok(vec![senc]);
    }
    let (mut saiz, mut saio) = (Vec::new(), Vec::new());
    let (mut sizes, mut entries) = (Vec::new(), Vec::new());
    for runs in told {
        sizes.push(u8::try_from(2 + ENTRY_BYTES * runs.len()).map_err(|_| CbcsError::Overflow)?);
        entries.extend_from_slice(&u16::try_from(runs.len()).map_err(|_| CbcsError::Overflow)?.to_be_bytes());
        for run in runs {
            entries.extend_from_slice(&u16::try_from(run.clear).map_err(|_| CbcsError::Overflow)?.to_be_bytes());
            entries.extend_from_slice(&u32::try_from(run.sealed).map_err(|_| CbcsError::Overflow)?.to_be_bytes());
        }
    }
    // No size that all have, so each has its own.
    put(&mut saiz, *b"saiz", &[&[0; 4], &[0], &count, &sizes])?;
    put(&mut saio, *b"saio", &[&[0; 4], &1u32.to_be_bytes(), &[0; 4]])?;
    put(&mut senc, *b"senc", &[&HAS_RUNS.to_be_bytes(), &count, &entries])?;
    Ok(vec![saiz, saio, senc])
}

/// Appends a box.
fn put(out: &mut Vec<u8>, kind: [u8; 4], body: &[&[u8]]) -> Result<(), CbcsError> {
    let length = 8 + body.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&u32::try_from(length).map_err(|_| CbcsError::Overflow)?.to_be_bytes());
    out.extend_from_slice(&kind);
    body.iter().for_each(|part| out.extend_from_slice(part));
    Ok(())
}
