//! What players tell about themselves.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::viewers::cmcd(input));
