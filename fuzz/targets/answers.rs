//! What an engine writes into the server's socket, if somebody else has taken it over.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| transcoder::fuzzing::answers(input));
