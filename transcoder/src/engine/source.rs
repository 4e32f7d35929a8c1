//! The source: recognised by its first bytes before libav sees it, opened as what it is and nothing else.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use domain::FailureCode;

use super::Stop;
use crate::av::{AvError, Input};

/// Bytes at the start that are looked at.
const HEAD_BYTES: usize = 8 << 10;

/// Bytes of an MPEG transport packet; with a time stamp before each in `.m2ts` files.
const TS_PACKET_BYTES: [usize; 2] = [188, 192];

/// Top-level boxes of an MP4 that are looked at.
const BOXES_MAX: usize = 100_000;

/// A recognised source, which can be opened any number of times.
pub(crate) struct Source {
    file: Arc<File>,
    demuxer: &'static str,
    /// The container's name as people know it.
    pub(crate) container: &'static str,
    /// The container's index, where it has one, lists every packet of the source.
    pub(crate) is_indexed: bool,
}

impl Source {
    /// Looks at the first bytes.
    pub(crate) fn recognise(file: File) -> Result<Self, Stop> {
        let mut head = vec![0; HEAD_BYTES];
        let length = read_up_to(&file, &mut head, 0).map_err(|error| Stop::Broken(format!("no source: {error}")))?;
        head.truncate(length);
        let (demuxer, container) = recognise(&head, |offset, buffer| read_up_to(&file, buffer, offset).unwrap_or(0))?;
        let is_indexed = demuxer == "mov" && !has_fragments(&file);
        Ok(Self { file: Arc::new(file), demuxer, container, is_indexed })
    }

    /// Opens the source anew, at its start.
    pub(crate) fn open(&self) -> Result<Input, Stop> {
        Input::open(Arc::clone(&self.file), self.demuxer).map_err(|error| self.unreadable(error))
    }

    fn unreadable(&self, error: AvError) -> Stop {
        let container = self.container;
        if error == AvError::NO_MEMORY {
            return Stop::refused(
                FailureCode::LimitExceeded,
                "the file needs more memory to be read than is allowed here",
            );
        }
        let hint = if self.demuxer == "mov" {
            "its index is missing or damaged, as happens when a recording or a copy was cut off"
        } else {
            "its head is damaged"
        };
        Stop::refused(FailureCode::Damaged, format!("the file looks like {container} but cannot be read: {hint}"))
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + u64::try_from(filled).unwrap_or(0)) {
            // Ends at the end of the file, or with a full buffer.
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// libav's demuxer and the container's name for a file that begins with `head`.
fn recognise(head: &[u8], read: impl Fn(u64, &mut [u8]) -> usize) -> Result<(&'static str, &'static str), Stop> {
    if head.is_empty() {
        return Err(Stop::refused(FailureCode::UnknownFormat, "the file is empty"));
    }
    if let Some(audio) = after_id3(head, read) {
        return Ok(audio);
    }
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let found = if at(4, b"ftypqt") {
        ("mov", "QuickTime")
    } else if [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp"]
        .iter()
        .any(|kind| at(4, *kind))
    {
        ("mov", "mp4")
    } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        ("matroska", "matroska")
    } else if at(0, b"RIFF") && at(8, b"AVI ") {
        ("avi", "avi")
    } else if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") {
        ("wav", "wav")
    } else if at(0, b"FLV\x01") {
        ("flv", "flv")
    } else if at(0, b"OggS") {
        ("ogg", "ogg")
    } else if at(0, b"fLaC") {
        ("flac", "flac")
    } else if at(0, &[0, 0, 1, 0xba]) {
        ("mpeg", "mpegps")
    } else if is_transport_stream(head) {
        ("mpegts", "mpegts")
    } else if let Some(audio) = bare_audio(head) {
        audio
    } else {
        return Err(unknown(head));
    };
    Ok(found)
}

/// What follows an ID3 tag, which may be larger than the head.
fn after_id3(head: &[u8], read: impl Fn(u64, &mut [u8]) -> usize) -> Option<(&'static str, &'static str)> {
    let tag = head.strip_prefix(b"ID3")?;
    let size = tag.get(3..7)?.iter().fold(0u64, |size, byte| size << 7 | u64::from(byte & 0x7f));
    let mut next = [0; 4];
    let length = read(size + 10, &mut next);
    let next = &next[..length];
    if next.starts_with(b"fLaC") { Some(("flac", "flac")) } else { bare_audio(next).or(Some(("mp3", "mp3"))) }
}

/// MPEG audio without a container (ISO/IEC 11172-3 §2.4.2.3, ISO/IEC 13818-7 §6.2).
fn bare_audio(head: &[u8]) -> Option<(&'static str, &'static str)> {
    let (&first, rest) = head.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let third = *rest.first()?;
    if first != 0xff || second & 0xe0 != 0xe0 {
        return None;
    }
    let layer = second >> 1 & 3;
    match layer {
        // Layer 0 is ADTS if all twelve bits of its sync word are set and the sample rate exists.
        0 if second & 0xf0 == 0xf0 && third >> 2 & 0xf < 13 => Some(("aac", "aac")),
        // Layer I is left out: a UTF-16 text begins like it.
        1 | 2 if third >> 4 != 0xf && third >> 2 & 3 != 3 && second >> 3 & 3 != 1 => Some(("mp3", "mp3")),
        _ => None,
    }
}

fn is_transport_stream(head: &[u8]) -> bool {
    let is_sync = |packet: usize, start: usize| {
        (0..5).all(|at| head.get(start + at * packet).is_none_or(|byte| *byte == 0x47)) && head.len() > start + packet
    };
    TS_PACKET_BYTES.iter().any(|&packet| (0..packet).any(|start| is_sync(packet, start)))
}

/// Why a file that is none of the containers is refused.
fn unknown(head: &[u8]) -> Stop {
    let text: String =
        String::from_utf8_lossy(&head[..head.len().min(512)]).trim_start_matches('\u{feff}').to_lowercase();
    let text = text.trim_start();
    let is_playlist =
        ["#extm3u", "ffconcat", "[playlist]", "<mpd", "<asx", "<smil"].iter().any(|start| text.starts_with(start));
    let is_image =
        [&b"\x89PNG"[..], b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF"].iter().any(|magic| head.starts_with(magic));
    let sentence = if is_playlist {
        "the file is a playlist, which only points to other files; upload the video itself"
    } else if is_image {
        "the file is a picture, not a video or a sound recording"
    } else if head.starts_with(b"PK\x03\x04") || head.starts_with(b"Rar!") || head.starts_with(&[0x1f, 0x8b]) {
        "the file is an archive; unpack it and upload the video inside"
    } else if !head.iter().take(512).any(|byte| *byte == 0) && std::str::from_utf8(&head[..head.len().min(256)]).is_ok()
    {
        "the file is a text, not a video or a sound recording"
    } else {
        "the file is no video or sound format that is known here; MP4, MOV, MKV, WebM, TS, MPEG, AVI, FLV, Ogg, WAV, MP3, \
         FLAC and AAC are"
    };
    Stop::refused(FailureCode::UnknownFormat, sentence)
}

/// True if an MP4 has fragments, whose packets its index does not list.
fn has_fragments(file: &File) -> bool {
    let mut offset = 0u64;
    for _ in 0..BOXES_MAX {
        let mut header = [0; 16];
        let Ok(length) = read_up_to(file, &mut header, offset) else { return true };
        let Some((size, kind)) = header.first_chunk::<4>().zip(header.get(4..8)).filter(|_| length >= 8) else {
            return false;
        };
        if kind == b"moof" {
            return true;
        }
        let size = match u32::from_be_bytes(*size) {
            0 => return false,
            1 if length == 16 => header.last_chunk::<8>().map_or(0, |size| u64::from_be_bytes(*size)),
            size => u64::from(size),
        };
        match offset.checked_add(size) {
            Some(next) if size >= 8 => offset = next,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], expected: Result<&str, &str>) {
        let found = recognise(head, |_, _| 0);
        match (&found, expected) {
            (Ok((demuxer, _)), Ok(name)) => assert_eq!(*demuxer, name),
            (Err(Stop::Refused(failure)), Err(part)) => assert!(failure.message.contains(part), "{}", failure.message),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_container_is_known_by_its_first_bytes() {
        check(b"\0\0\0\x20ftypisom", Ok("mov"));
        check(&[0x1a, 0x45, 0xdf, 0xa3, 1], Ok("matroska"));
        check(b"RIFF\0\0\0\0AVI LIST", Ok("avi"));
        check(b"RIFF\0\0\0\0WAVEfmt ", Ok("wav"));
        check(b"ID3\x04\0\0\0\0\0\0", Ok("mp3"));
        check(&[0xff, 0xfb, 0x90, 0x64], Ok("mp3"));
        check(&[0xff, 0xf1, 0x50, 0x80], Ok("aac"));
        let mut ts = vec![0; 1000];
        (0..5).for_each(|at| ts[at * 188] = 0x47);
        check(&ts, Ok("mpegts"));
    }

    #[test]
    fn what_is_no_medium_is_refused_with_a_reason() {
        check(b"", Err("empty"));
        check(b"#EXTM3U\nfile:///etc/passwd\n", Err("playlist"));
        check(b"\xef\xbb\xbf#EXTM3U\n", Err("playlist"));
        check(b"ffconcat version 1.0\nfile 'secret.ts'\n", Err("playlist"));
        check(b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", Err("text"));
        check(&[0xff, 0xfe, b'#', 0, b'E', 0], Err("no video"));
        check(b"\x89PNG\r\n\x1a\n", Err("picture"));
        check(b"PK\x03\x04", Err("archive"));
    }
}
