//! Preconditions, as they come from caches.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::viewers::conditions(input));
