//! What the fuzz targets stand on: an upload server in memory, an origin, and an engine in its cage.

pub mod engine;
pub mod uploads;
pub mod viewers;

/// An initialization segment, which stands behind its length in two octets, and a segment.
pub fn pair(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = input.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    Some(rest.split_at(length))
}
