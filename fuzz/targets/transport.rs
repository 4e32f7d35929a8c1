//! What a transport stream is made of: a segment that goes into one comes out of it whole.
//!
//! An input is an initialization segment behind its length in two octets, and a segment.

#![no_main]

use packager::ts;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((init, segment)) = fuzz::pair(input) else { return };
    if let Ok(stream) = ts::segment(init, 0, segment) {
        assert_eq!(stream.len() % 188, 0);
        assert!(stream.chunks(188).all(|packet| packet[0] == 0x47));
    }
});
