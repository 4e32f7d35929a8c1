//! How much of a file must be there before its head can be understood, and what the head claims.
//!
//! Only the outermost structure is walked, over octets that are already there: boxes of MP4 (ISO/IEC
//! 14496-12 §4.2), elements of Matroska (RFC 8794 §4 to §6). Nothing here decides what is played.

use std::time::Duration;

use domain::Container;

/// Octets behind an index in which the first pictures and sounds of all tracks are expected.
const SAMPLES_BYTES: u64 = 512 << 10;
/// A head that ends further on than this is not waited for; that of ten hours of film is half as long.
pub(crate) const FRONT_BYTES_MAX: u64 = 16 << 20;
/// Boxes or elements that are walked.
const STEPS_MAX: usize = 1000;

/// What the first octets show of the structure of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Front {
    /// The head is here: the file can be looked at.
    Here(Head),
    /// It can be looked at once this many octets are there.
    After(u64),
    /// The head is at the end, or out of reach.
    AtTheEnd,
}

/// What is known of a head that is here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Head {
    /// An index lists every packet of the whole file.
    pub(crate) is_indexed: bool,
    /// All tracks are named in it.
    pub(crate) names_tracks: bool,
    /// How long the file claims to play.
    pub(crate) claim: Option<Duration>,
}

/// Looks at the structure of a file that begins with `prefix`, which is not all of it.
pub(crate) fn of(container: Container, prefix: &[u8]) -> Front {
    match container {
        Container::Mp4 | Container::QuickTime => mp4(prefix),
        Container::Matroska => matroska(prefix),
        // Packets from the start, each with its time.
        _ => Front::Here(Head { is_indexed: false, names_tracks: false, claim: None }),
    }
}

fn after(bytes: u64) -> Front {
    if bytes <= FRONT_BYTES_MAX { Front::After(bytes) } else { Front::AtTheEnd }
}

/// A box: its kind, where its content begins and where it ends; `None` when its header is not whole.
fn box_at(data: &[u8], at: usize) -> Option<([u8; 4], usize, u64)> {
    let header = data.get(at..)?;
    let size = u64::from(u32::from_be_bytes(*header.first_chunk()?));
    let kind = *header.get(4..)?.first_chunk::<4>()?;
    let start = u64::try_from(at).ok()?;
    match size {
        0 => Some((kind, at + 8, u64::MAX)),
        1 => {
            let size = u64::from_be_bytes(*header.get(8..)?.first_chunk()?);
            Some((kind, at + 16, start.checked_add(size.max(16))?))
        }
        size => Some((kind, at + 8, start + size.max(8))),
    }
}

fn mp4(prefix: &[u8]) -> Front {
    let there = prefix.len() as u64;
    let mut at = 0u64;
    for _ in 0..STEPS_MAX {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let Some((kind, content, end)) = box_at(prefix, start) else { return after(at.saturating_add(SAMPLES_BYTES)) };
        match &kind {
            b"moov" => {
                let wanted = end.saturating_add(SAMPLES_BYTES);
                if wanted > there {
                    return after(wanted);
                }
                let end = usize::try_from(end).unwrap_or(usize::MAX);
                return Front::Here(moov(prefix.get(content..end).unwrap_or_default()));
            }
            // Samples before their index.
            b"mdat" => return Front::AtTheEnd,
            b"moof" => return Front::Here(Head { is_indexed: false, names_tracks: false, claim: None }),
            _ => at = end,
        }
        if at > there.saturating_add(FRONT_BYTES_MAX) {
            return Front::AtTheEnd;
        }
    }
    Front::AtTheEnd
}

fn moov(content: &[u8]) -> Head {
    let (mut at, mut claim, mut is_fragmented) = (0, None, false);
    for _ in 0..STEPS_MAX {
        let Some((kind, inside, end)) = box_at(content, at) else { break };
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(content.len());
        let body = content.get(inside..end).unwrap_or_default();
        match &kind {
            b"mvhd" => claim = mvhd(body),
            b"mvex" => is_fragmented = true,
            _ => {}
        }
        at = end.max(at + 8);
    }
    Head { is_indexed: !is_fragmented, names_tracks: true, claim }
}

/// The duration in a movie header (ISO/IEC 14496-12 §8.2.2).
fn mvhd(body: &[u8]) -> Option<Duration> {
    let (scale, ticks) = match body.first()? {
        0 => {
            let ticks = u64::from(u32::from_be_bytes(*body.get(16..)?.first_chunk()?));
            (*body.get(12..)?.first_chunk()?, if ticks == u64::from(u32::MAX) { 0 } else { ticks })
        }
        _ => (*body.get(20..)?.first_chunk()?, u64::from_be_bytes(*body.get(24..)?.first_chunk()?)),
    };
    let scale = u64::from(u32::from_be_bytes(scale));
    (scale > 0 && ticks > 0 && ticks < u64::MAX).then(|| Duration::from_secs(ticks / scale))
}

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const TRACKS: u64 = 0x1654_AE6B;
const CLUSTER: u64 = 0x1F43_B675;
const TIMESTAMP_SCALE: u64 = 0x2A_D7B1;
const DURATION: u64 = 0x4489;

/// An EBML element: id, where its content begins, its size (`None` when unknown); `None` when its header is not whole.
fn element_at(data: &[u8], at: usize) -> Option<(u64, usize, Option<u64>)> {
    let header = data.get(at..)?;
    let id_bytes = usize::try_from(header.first()?.leading_zeros()).ok()? + 1;
    let id = header.get(..id_bytes).filter(|_| id_bytes <= 4)?.iter().fold(0, |id, byte| id << 8 | u64::from(*byte));
    let rest = header.get(id_bytes..)?;
    let first = *rest.first()?;
    let size_bytes = usize::try_from(first.leading_zeros()).ok()? + 1;
    if size_bytes > 8 {
        return None;
    }
    let mark = 1u64 << (7 * size_bytes);
    let size = rest.get(..size_bytes)?.iter().fold(0u64, |size, byte| size << 8 | u64::from(*byte)) & (mark - 1);
    Some((id, at + id_bytes + size_bytes, (size != mark - 1).then_some(size)))
}

fn matroska(prefix: &[u8]) -> Front {
    let there = prefix.len() as u64;
    let (mut at, mut claim, mut has_tracks) = (0u64, None, false);
    for _ in 0..STEPS_MAX {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let Some((id, content, size)) = element_at(prefix, start) else {
            // Either more has to come, or it is not what it seems.
            return if at.saturating_add(12) > there {
                after(at.saturating_add(SAMPLES_BYTES))
            } else {
                Front::AtTheEnd
            };
        };
        let content_at = content as u64;
        let end = size.and_then(|size| content_at.checked_add(size));
        let body = || end.and_then(|end| prefix.get(content..usize::try_from(end).ok()?));
        match id {
            SEGMENT => {
                at = content_at;
                continue;
            }
            CLUSTER if has_tracks => return Front::Here(Head { is_indexed: false, names_tracks: true, claim }),
            CLUSTER => return Front::AtTheEnd,
            INFO => claim = body().and_then(info),
            TRACKS => has_tracks = true,
            _ => {}
        }
        match end {
            Some(end) => at = end,
            None => return Front::AtTheEnd,
        }
    }
    Front::AtTheEnd
}

/// The duration in a segment's information (RFC 9559 §5.1.2).
fn info(content: &[u8]) -> Option<Duration> {
    let (mut at, mut scale, mut ticks) = (0, 1_000_000.0, None);
    for _ in 0..STEPS_MAX {
        let Some((id, inside, size)) = element_at(content, at) else { break };
        let Some(body) = size.and_then(|size| content.get(inside..inside.checked_add(usize::try_from(size).ok()?)?))
        else {
            break;
        };
        match (id, body.len()) {
            (TIMESTAMP_SCALE, 1..=6) => {
                // Six octets at most: every such number is exact as a float.
                scale = body.iter().fold(0.0, |scale, byte| scale * 256.0 + f64::from(*byte));
            }
            (DURATION, 4) => ticks = body.first_chunk().map(|bytes| f64::from(f32::from_be_bytes(*bytes))),
            (DURATION, 8) => ticks = body.first_chunk().map(|bytes| f64::from_be_bytes(*bytes)),
            _ => {}
        }
        at = inside + body.len();
    }
    let seconds = ticks? * scale / 1e9;
    Duration::try_from_secs_f64(seconds).ok().filter(|claim| !claim.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_box(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len() + 8).expect("fits");
        [&size.to_be_bytes()[..], kind, content].concat()
    }

    fn movie_header(seconds: u32) -> Vec<u8> {
        let mut content = vec![0; 100];
        content[12..16].copy_from_slice(&1000u32.to_be_bytes());
        content[16..20].copy_from_slice(&(seconds * 1000).to_be_bytes());
        a_box(b"mvhd", &content)
    }

    fn head(is_indexed: bool, claim_s: u64) -> Front {
        Front::Here(Head { is_indexed, names_tracks: true, claim: Some(Duration::from_secs(claim_s)) })
    }

    #[test]
    fn an_mp4_is_ready_when_its_index_and_some_samples_are_there() {
        let front =
            [a_box(b"ftyp", b"isom"), a_box(b"moov", &movie_header(90)), a_box(b"mdat", &vec![0; 1 << 20])].concat();
        assert_eq!(mp4(&front), head(true, 90));
        let wanted = (12 + 8 + 108) as u64 + SAMPLES_BYTES;
        assert_eq!(mp4(&front[..1000]), Front::After(wanted));
        assert_eq!(mp4(&front[..24]), Front::After(wanted));
        let fragmented = [movie_header(7), a_box(b"mvex", &[])].concat();
        let front = [a_box(b"ftyp", b"isom"), a_box(b"moov", &fragmented), vec![0; 1 << 20]].concat();
        assert_eq!(mp4(&front), head(false, 7));
        let behind = [a_box(b"ftyp", b"isom"), a_box(b"mdat", &[0; 100])].concat();
        assert_eq!(mp4(&behind), Front::AtTheEnd);
        let far = [&u32::MAX.to_be_bytes()[..], b"free", &[0; 100]].concat();
        assert_eq!(mp4(&far), Front::AtTheEnd);
    }

    fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
        let size = u32::try_from(content.len()).expect("fits") | 0x1000_0000;
        [id, &size.to_be_bytes()[..], content].concat()
    }

    #[test]
    fn a_matroska_is_ready_when_its_first_cluster_begins() {
        let information = [
            element(&[0x2a, 0xd7, 0xb1], &1_000_000u32.to_be_bytes()),
            element(&[0x44, 0x89], &90_000.0f32.to_be_bytes()),
        ]
        .concat();
        let start = [
            element(&[0x1a, 0x45, 0xdf, 0xa3], &[0; 10]),
            vec![0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            element(&[0x15, 0x49, 0xa9, 0x66], &information),
        ]
        .concat();
        let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[0; 20]);
        let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &[0; 20]);
        assert_eq!(matroska(&[&start[..], &tracks, &cluster].concat()), head(false, 90));
        assert_eq!(matroska(&[&start[..], &cluster, &tracks].concat()), Front::AtTheEnd);
        let unfinished = [&start[..], &tracks[..12]].concat();
        assert_eq!(matroska(&unfinished), Front::After((start.len() + tracks.len()) as u64 + SAMPLES_BYTES));
    }

    #[test]
    fn nonsense_ends() {
        for byte in [0u8, 1, 0x7f, 0x80, 0xff] {
            let noise = vec![byte; 4096];
            let _ = (mp4(&noise), matroska(&noise), moov(&noise), info(&noise), mvhd(&noise));
        }
    }
}
