//! Rights to an asset, as nobody gave them.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::viewers::tokens(input));
