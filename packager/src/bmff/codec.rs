//! What a sample description says of its codec, and which samples a decoder can begin with.

use super::Init;

/// objectTypeIndication of MPEG-4 audio (ISO/IEC 14496-1 table 5).
const MPEG4_AUDIO: u8 = 0x40;

impl Init {
    /// The RFC 6381 codec string of the track, such as `avc1.64001f`.
    ///
    /// `None` for an entry without a readable configuration. Of codecs whose strings have many spellings it is the
    /// sample entry alone, such as `hvc1`.
    pub(crate) fn codecs(&self) -> Option<String> {
        let entry = std::str::from_utf8(&self.entry).ok()?.trim_end();
        match &self.entry {
            b"avc1" | b"avc3" => match self.configuration(b"avcC")? {
                [_, profile, constraints, level, ..] => {
                    Some(format!("{entry}.{profile:02x}{constraints:02x}{level:02x}"))
                }
                _ => None,
            },
            b"mp4a" => self.audio_object().map(|kind| format!("mp4a.40.{kind}")),
            _ => Some(entry.to_owned()),
        }
    }

    /// The AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of an MPEG-4 track.
    pub(crate) fn audio_config(&self) -> Option<&[u8]> {
        let esds = self.configuration(b"esds")?.get(4..)?;
        let elementary = descriptor(esds, 3)?;
        // The number, then flags that announce further fields (ISO/IEC 14496-1 §7.2.6.5).
        let flags = *elementary.get(2)?;
        let mut rest = elementary.get(3..)?;
        if flags & 0x80 != 0 {
            rest = rest.get(2..)?;
        }
        if flags & 0x40 != 0 {
            rest = rest.get(1 + usize::from(*rest.first()?)..)?;
        }
        if flags & 0x20 != 0 {
            rest = rest.get(2..)?;
        }
        let decoder = descriptor(rest, 4)?;
        if *decoder.first()? != MPEG4_AUDIO {
            return None;
        }
        descriptor(decoder.get(13..)?, 5)
    }

    fn audio_object(&self) -> Option<u8> {
        match self.audio_config()? {
            [first, second, ..] if first >> 3 == 31 => Some(32 + ((first & 7) << 3 | second >> 5)),
            [first, ..] => Some(first >> 3),
            [] => None,
        }
    }

    /// Octets of the length in front of each NAL unit.
    pub(crate) fn nal_length_bytes(&self) -> usize {
        let at = |config: Option<&[u8]>, at: usize| config.and_then(|config| config.get(at)).map(|byte| byte & 3);
        let avc = at(self.configuration(b"avcC"), 4);
        usize::from(avc.or_else(|| at(self.configuration(b"hvcC"), 21)).unwrap_or(3)) + 1
    }
}

/// The body of the descriptor with this tag at the start of `bytes` (ISO/IEC 14496-1 §8.3.3).
fn descriptor(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let (&found, rest) = bytes.split_first()?;
    let mut length = 0usize;
    for (at, byte) in rest.iter().take(4).enumerate() {
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return rest.get(at + 1..at + 1 + length).filter(|_| found == tag);
        }
    }
    None
}

/// NAL units behind their lengths; ends at the first length that does not fit.
pub(crate) fn units(data: &[u8], length_bytes: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, body) = rest.split_at_checked(length_bytes)?;
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let (unit, after) = body.split_at_checked(length)?;
        rest = after;
        Some(unit)
    })
}

/// Whether a decoder can begin with this sample, by its own slices; `None` where these cannot be told.
pub(crate) fn is_random_access(init: &Init, data: &[u8]) -> Option<bool> {
    let slices: Vec<bool> = match &init.entry {
        b"avc1" | b"avc3" => {
            let kinds = units(data, init.nal_length_bytes()).filter_map(|unit| unit.first().map(|head| head & 0x1f));
            kinds.filter(|kind| (1..=5).contains(kind)).map(|kind| kind == 5).collect()
        }
        b"hvc1" | b"hev1" => {
            let kinds =
                units(data, init.nal_length_bytes()).filter_map(|unit| unit.first().map(|head| head >> 1 & 0x3f));
            kinds.filter(|kind| *kind < 32).map(|kind| (16..=21).contains(&kind)).collect()
        }
        _ => return None,
    };
    (!slices.is_empty()).then(|| slices.iter().all(|is_idr| *is_idr))
}

/// The picture parameter and sequence parameter sets of an `avcC`.
pub(crate) fn avc_parameter_sets(init: &Init) -> Option<Vec<Vec<u8>>> {
    let record = init.configuration(b"avcC")?;
    let mut sets = Vec::new();
    let mut rest = record.get(5..)?;
    for mask in [0x1f, 0xff] {
        let (&count, body) = rest.split_first()?;
        rest = body;
        for _ in 0..count & mask {
            let (length, body) = rest.split_first_chunk::<2>()?;
            let (unit, after) = body.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            sets.push(unit.to_vec());
            rest = after;
        }
    }
    Some(sets)
}
