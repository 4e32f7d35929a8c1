//! Damaged files, each through an engine in its cage.

#![no_main]

libfuzzer_sys::fuzz_target!(
    // This program is its own engine: an engine must become one before anything else happens.
    init: fuzz::engine::run_if_asked(),
    |input: &[u8]| fuzz::engine::probe(input)
);
