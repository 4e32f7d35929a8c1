//! Raw bytes on a connection: request lines, headers, bodies, several requests in a row.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::uploads::play(input));
