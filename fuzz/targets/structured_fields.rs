//! The structured fields of the IETF draft: offsets, booleans, lengths, versions, dispositions.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ingest::fuzzing::structured_fields(input));
