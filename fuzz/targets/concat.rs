//! `Upload-Concat`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ingest::fuzzing::concat(input));
