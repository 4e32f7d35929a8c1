//! `Upload-Checksum`, `Content-Digest`, `Repr-Digest`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ingest::fuzzing::digests(input));
