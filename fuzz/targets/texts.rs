//! Subtitle files: nothing in one breaks the reader, and what is read is valid WebVTT that reads back.

#![no_main]

use packager::texts::{Hints, read};
use packager::webvtt;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let reading = read(input, Hints::default());
    assert_eq!(reading.cues.is_empty(), reading.report.reason.is_some());
    let whole = webvtt::whole(&reading.cues);
    assert!(whole.len() <= input.len() * 64 + 1000, "{} octets of {}", whole.len(), input.len());
    assert_eq!(read(whole.as_bytes(), Hints::default()).cues, reading.cues);
});
