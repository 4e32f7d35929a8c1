//! Walks an animated WebP (RIFF container, Google's "WebP Container Specification"), as far as a picture is
//! told from something else: nothing the child says is believed.

use domain::Resolution;

use crate::wire::Malformed;

/// Flags of a VP8X chunk: transparency and animation. Profiles and metadata are never asked for.
const ALPHA: u8 = 0x10;
const ANIMATION: u8 = 0x02;

/// How many frames the file shows; 1 for a still one.
///
/// Anything but pictures inside a canvas of this size is refused.
pub(super) fn frame_count(file: &[u8], canvas: Resolution) -> Result<u32, Malformed> {
    let bad = || Malformed::new("not a WebP file of the wanted size");
    let (head, body) = file.split_at_checked(12).ok_or_else(bad)?;
    let is_whole = number(head, 4, 4).and_then(|size| usize::try_from(size).ok()) == Some(file.len() - 8);
    if !is_whole || !head.starts_with(b"RIFF") || !head.ends_with(b"WEBP") {
        return Err(bad());
    }
    let mut chunks = Chunks(body);
    let (kind, extended) = chunks.next()?.ok_or_else(bad)?;
    if matches!(&kind, b"VP8 " | b"VP8L") {
        return if chunks.0.is_empty() { Ok(1) } else { Err(bad()) };
    }
    let flags = *extended.first().ok_or_else(bad)?;
    let size = number(extended, 4, 3).zip(number(extended, 7, 3)).map(|(width, height)| (width + 1, height + 1));
    let is_expected = size == Some((canvas.width, canvas.height)) && flags & !(ALPHA | ANIMATION) == 0;
    if kind != *b"VP8X" || extended.len() != 10 || !is_expected {
        return Err(bad());
    }
    if flags & ANIMATION == 0 {
        return pictures(chunks).map(|()| 1);
    }
    match chunks.next()? {
        Some((kind, settings)) if kind == *b"ANIM" && settings.len() == 6 => {}
        _ => return Err(bad()),
    }
    let mut count = 0u32;
    while let Some((kind, frame)) = chunks.next()? {
        let place = |at| number(frame, at, 3);
        let (Some(x), Some(y), Some(width), Some(height)) = (place(0), place(3), place(6), place(9)) else {
            return Err(bad());
        };
        let fits = 2 * x + width < canvas.width && 2 * y + height < canvas.height;
        let data = frame.get(16..).ok_or_else(bad)?;
        if kind != *b"ANMF" || !fits {
            return Err(bad());
        }
        pictures(Chunks(data))?;
        count = count.saturating_add(1);
    }
    if count == 0 { Err(bad()) } else { Ok(count) }
}

/// One picture, perhaps with its transparency before it, and nothing else.
fn pictures(mut chunks: Chunks<'_>) -> Result<(), Malformed> {
    let mut chunk = chunks.next()?;
    if chunk.is_some_and(|(kind, _)| kind == *b"ALPH") {
        chunk = chunks.next()?;
    }
    match chunk {
        Some((kind, data)) if matches!(&kind, b"VP8 " | b"VP8L") && !data.is_empty() && chunks.0.is_empty() => Ok(()),
        _ => Err(Malformed::new("a frame of a WebP file is no picture")),
    }
}

/// The name of a chunk and what it holds.
type Chunk<'a> = ([u8; 4], &'a [u8]);

/// Chunks that are not read yet.
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The next chunk: its name and what it holds. Chunks are padded to an even length.
    fn next(&mut self) -> Result<Option<Chunk<'a>>, Malformed> {
        let broken = || Malformed::new("a chunk of a WebP file does not fit");
        if self.0.is_empty() {
            return Ok(None);
        }
        let (kind, rest) = self.0.split_first_chunk::<4>().ok_or_else(broken)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| broken())?;
        let (data, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        self.0 = if length % 2 == 1 { rest.split_first().ok_or_else(broken)?.1 } else { rest };
        Ok(Some((*kind, data)))
    }
}

/// A little-endian number of `count` octets.
fn number(bytes: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = bytes.get(at..at.checked_add(count)?)?;
    Some(digits.iter().rev().fold(0, |number, digit| number << 8 | u32::from(*digit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CANVAS: Resolution = Resolution { width: 320, height: 180 };

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).expect("short").to_le_bytes();
        let mut chunk = [kind.as_slice(), &length, data].concat();
        chunk.resize(chunk.len().next_multiple_of(2), 0);
        chunk
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"RIFF", &[b"WEBP".as_slice(), &chunks.concat()].concat())
    }

    fn head(flags: u8) -> Vec<u8> {
        chunk(b"VP8X", &[flags, 0, 0, 0, 63, 1, 0, 179, 0, 0])
    }

    fn frame(x: u8, inside: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"ANMF", &[&[x, 0, 0, 0, 0, 0, 9, 0, 0, 9, 0, 0, 125, 0, 0, 0], inside.concat().as_slice()].concat())
    }

    fn picture() -> Vec<u8> {
        chunk(b"VP8 ", b"pic")
    }

    fn check(chunks: &[Vec<u8>], expected: Option<u32>) {
        assert_eq!(frame_count(&riff(chunks), CANVAS).ok(), expected, "{chunks:?}");
    }

    #[test]
    fn frames_are_counted() {
        let anim = chunk(b"ANIM", &[0; 6]);
        check(&[picture()], Some(1));
        check(&[head(0), picture()], Some(1));
        let with_alpha = frame(0, &[chunk(b"ALPH", b"a"), chunk(b"VP8L", b"pic")]);
        check(&[head(ANIMATION), anim.clone(), frame(155, &[picture()]), with_alpha], Some(2));
        check(&[head(ANIMATION), anim], None);
    }

    #[test]
    fn whatever_is_no_picture_is_refused() {
        let anim = chunk(b"ANIM", &[0; 6]);
        check(&[], None);
        check(&[head(ANIMATION), frame(0, &[picture()])], None);
        check(&[head(ANIMATION | 0x08), anim.clone(), frame(0, &[picture()])], None);
        check(&[head(ANIMATION), anim.clone(), frame(156, &[picture()])], None);
        check(&[head(ANIMATION), anim.clone(), frame(0, &[picture(), picture()])], None);
        check(&[head(ANIMATION), anim.clone(), frame(0, &[picture()]), chunk(b"EXIF", b"where")], None);
        check(&[picture(), chunk(b"XMP ", b"who")], None);
        let whole = riff(&[head(ANIMATION), anim, frame(0, &[picture()])]);
        assert!(frame_count(&whole, Resolution { width: 322, ..CANVAS }).is_err());
        for length in 0..whole.len() {
            assert!(frame_count(&whole[..length], CANVAS).is_err(), "{length}");
        }
        assert!(frame_count(&[whole, vec![0]].concat(), CANVAS).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes: Vec<u8>) {
            let _ = frame_count(&bytes, CANVAS);
            let length = u32::try_from(bytes.len() + 4).expect("short").to_le_bytes();
            bytes.splice(0..0, [b"RIFF".as_slice(), &length, b"WEBP"].concat());
            let _ = frame_count(&bytes, CANVAS);
        }
    }
}
