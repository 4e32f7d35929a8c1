//! Containers, known by their first bytes: the one list of what is played here.

use serde::{Deserialize, Serialize};

use crate::{Failure, FailureCode};

/// Bytes at the start of a source that are looked at.
pub const HEAD_BYTES: usize = 8 << 10;

/// Bytes of an MPEG transport packet; with a time stamp before each in `.m2ts` files.
const TS_PACKET_BYTES: [usize; 2] = [188, 192];

/// What packets of picture and sound are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Container {
    /// QuickTime movie.
    QuickTime,
    /// MP4 and what is built like it: M4A, 3GP.
    Mp4,
    /// Matroska and WebM.
    Matroska,
    /// AVI.
    Avi,
    /// WAVE and RF64.
    Wav,
    /// Flash video.
    Flv,
    /// Ogg.
    Ogg,
    /// FLAC.
    Flac,
    /// MPEG program stream.
    MpegPs,
    /// MPEG transport stream.
    MpegTs,
    /// MPEG audio, layers II and III, without a container.
    Mp3,
    /// AAC in ADTS frames.
    Aac,
}

impl Container {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::QuickTime,
        Self::Mp4,
        Self::Matroska,
        Self::Avi,
        Self::Wav,
        Self::Flv,
        Self::Ogg,
        Self::Flac,
        Self::MpegPs,
        Self::MpegTs,
        Self::Mp3,
        Self::Aac,
    ];

    /// The container of a source that begins with `head`: its first [`HEAD_BYTES`], or all of a shorter one.
    ///
    /// `read` fills a buffer from a place further on and says how many bytes there are; it is asked for what
    /// follows a tag that is larger than the head.
    ///
    /// # Errors
    /// [`FailureCode::UnknownFormat`] with a sentence for the uploader if it is none that is played here.
    pub fn recognise(head: &[u8], read: impl Fn(u64, &mut [u8]) -> usize) -> Result<Self, Failure> {
        if head.is_empty() {
            return Err(Failure::new(FailureCode::UnknownFormat, "the file is empty"));
        }
        if let Some(audio) = after_id3(head, read) {
            return Ok(audio);
        }
        let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
        let boxes: [&[u8]; 9] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp"];
        if at(4, b"ftypqt") {
            Ok(Self::QuickTime)
        } else if boxes.iter().any(|kind| at(4, kind)) {
            Ok(Self::Mp4)
        } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
            Ok(Self::Matroska)
        } else if at(0, b"RIFF") && at(8, b"AVI ") {
            Ok(Self::Avi)
        } else if (at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") {
            Ok(Self::Wav)
        } else if at(0, b"FLV\x01") {
            Ok(Self::Flv)
        } else if at(0, b"OggS") {
            Ok(Self::Ogg)
        } else if at(0, b"fLaC") {
            Ok(Self::Flac)
        } else if at(0, &[0, 0, 1, 0xba]) {
            Ok(Self::MpegPs)
        } else if is_transport_stream(head) {
            Ok(Self::MpegTs)
        } else {
            bare_audio(head).ok_or_else(|| unknown(head))
        }
    }

    /// Its short name, as it stands in a probe.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QuickTime => "QuickTime",
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::Wav => "wav",
            Self::Flv => "flv",
            Self::Ogg => "ogg",
            Self::Flac => "flac",
            Self::MpegPs => "mpegps",
            Self::MpegTs => "mpegts",
            Self::Mp3 => "mp3",
            Self::Aac => "aac",
        }
    }

    /// Media types under which it travels, the usual one first.
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::QuickTime => &["video/quicktime"],
            Self::Mp4 => &["video/mp4", "audio/mp4", "video/3gpp", "audio/3gpp", "audio/x-m4a", "video/x-m4v"],
            Self::Matroska => &["video/matroska", "video/x-matroska", "audio/x-matroska", "video/webm", "audio/webm"],
            Self::Avi => &["video/x-msvideo", "video/avi", "video/vnd.avi"],
            Self::Wav => &["audio/wav", "audio/x-wav", "audio/vnd.wave"],
            Self::Flv => &["video/x-flv"],
            Self::Ogg => &["video/ogg", "audio/ogg", "application/ogg"],
            Self::Flac => &["audio/flac", "audio/x-flac"],
            Self::MpegPs => &["video/mpeg"],
            Self::MpegTs => &["video/mp2t"],
            Self::Mp3 => &["audio/mpeg", "audio/mp3"],
            Self::Aac => &["audio/aac", "audio/x-aac"],
        }
    }
}

/// What follows an ID3 tag, which may be larger than the head.
fn after_id3(head: &[u8], read: impl Fn(u64, &mut [u8]) -> usize) -> Option<Container> {
    let tag = head.strip_prefix(b"ID3")?;
    let size = tag.get(3..7)?.iter().fold(0u64, |size, byte| size << 7 | u64::from(byte & 0x7f));
    let mut next = [0; 4];
    let length = read(size + 10, &mut next);
    let next = &next[..length.min(4)];
    if next.starts_with(b"fLaC") { Some(Container::Flac) } else { bare_audio(next).or(Some(Container::Mp3)) }
}

/// MPEG audio without a container (ISO/IEC 11172-3 §2.4.2.3, ISO/IEC 13818-7 §6.2).
fn bare_audio(head: &[u8]) -> Option<Container> {
    let (&first, rest) = head.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let third = *rest.first()?;
    if first != 0xff || second & 0xe0 != 0xe0 {
        return None;
    }
    let layer = second >> 1 & 3;
    match layer {
        // Layer 0 is ADTS if all twelve bits of its sync word are set and the sample rate exists.
        0 if second & 0xf0 == 0xf0 && third >> 2 & 0xf < 13 => Some(Container::Aac),
        // Layer I is left out: a UTF-16 text begins like it.
        1 | 2 if third >> 4 != 0xf && third >> 2 & 3 != 3 && second >> 3 & 3 != 1 => Some(Container::Mp3),
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
fn unknown(head: &[u8]) -> Failure {
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
    Failure::new(FailureCode::UnknownFormat, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], expected: Result<Container, &str>) {
        let found = Container::recognise(head, |_, _| 0);
        match (&found, expected) {
            (Ok(container), Ok(wanted)) => assert_eq!(*container, wanted),
            (Err(failure), Err(part)) => assert!(failure.message.contains(part), "{}", failure.message),
            _ => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_container_is_known_by_its_first_bytes() {
        check(b"\0\0\0\x20ftypisom", Ok(Container::Mp4));
        check(b"\0\0\0\x14ftypqt  ", Ok(Container::QuickTime));
        check(&[0x1a, 0x45, 0xdf, 0xa3, 1], Ok(Container::Matroska));
        check(b"RIFF\0\0\0\0AVI LIST", Ok(Container::Avi));
        check(b"RIFF\0\0\0\0WAVEfmt ", Ok(Container::Wav));
        check(b"ID3\x04\0\0\0\0\0\0", Ok(Container::Mp3));
        check(&[0xff, 0xfb, 0x90, 0x64], Ok(Container::Mp3));
        check(&[0xff, 0xf1, 0x50, 0x80], Ok(Container::Aac));
        let mut ts = vec![0; 1000];
        (0..5).for_each(|at| ts[at * 188] = 0x47);
        check(&ts, Ok(Container::MpegTs));
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

    #[test]
    fn every_container_has_a_media_type_of_its_own() {
        let mut seen = std::collections::BTreeSet::new();
        for container in Container::ALL {
            for kind in container.media_types() {
                assert!(seen.insert(kind), "{kind} is given twice");
            }
        }
    }
}
