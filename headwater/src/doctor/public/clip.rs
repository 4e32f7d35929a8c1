//! What is uploaded on trial: the beginning of a film that never ends, made here.

use bytes::Bytes;

/// Octets of the two boxes' heads.
const HEAD_BYTES: usize = 40;

/// `bytes` octets from `start` of an MP4 file of `length` octets: its type, then one box of noise. It
/// looks like a film to whoever examines the first octets, and it can never be played.
pub(super) fn octets(length: u64, start: u64, bytes: u64) -> Bytes {
    let head = head(length);
    let octet = |at: u64| match usize::try_from(at).ok().and_then(|at| head.get(at)) {
        Some(octet) => *octet,
        None => noise(at),
    };
    (start..start + bytes).map(octet).collect::<Vec<u8>>().into()
}

fn head(length: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..24].copy_from_slice(b"\0\0\0\x18ftypisom\0\0\x02\0isommp41");
    // A length of 1 says that the real one follows in 64 bits.
    head[24..32].copy_from_slice(b"\0\0\0\x01mdat");
    head[32..].copy_from_slice(&length.saturating_sub(24).max(16).to_be_bytes());
    head
}

/// An octet that depends on its place, so that a shifted one is noticed.
fn noise(at: u64) -> u8 {
    let mixed = (at / 8).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed.to_be_bytes()[usize::try_from(at % 8).unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_is_cut_from_the_same_file() {
        let whole = octets(1 << 30, 0, 10_000);
        assert_eq!(&whole[4..12], b"ftypisom");
        assert_eq!(&whole[28..32], b"mdat");
        assert_eq!(whole[32..40], ((1u64 << 30) - 24).to_be_bytes());
        for (start, bytes) in [(0, 3), (20, 30), (39, 2), (5000, 5000)] {
            let expected =
                whole.slice(usize::try_from(start).expect("fits")..usize::try_from(start + bytes).expect("fits"));
            assert_eq!(octets(1 << 30, start, bytes), expected);
        }
        let counts = whole[40..].iter().fold([0u32; 256], |mut counts, octet| {
            counts[usize::from(*octet)] += 1;
            counts
        });
        assert!(counts.iter().all(|count| *count < 120), "is noise");
    }
}
