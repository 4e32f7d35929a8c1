//! Range and If-Range, as they come from clients.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::viewers::range(input));
