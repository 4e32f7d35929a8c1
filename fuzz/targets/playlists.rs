//! Playlists of strangers, as `headwater validate` reads them: nothing breaks the reader.

#![no_main]

use packager::validate::{Declared, Kind, Playlist, Report, Track, read, whole};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    for kind in [Kind::Variant, Kind::Iframes, Kind::Subtitles] {
        let mut report = Report::default();
        match read("a", input, &mut report) {
            Some(Playlist::Multivariant(top)) => {
                top.children();
                whole(&top, &[], &mut report);
                return;
            }
            Some(Playlist::Media(media)) => {
                let _ = Track::new(media, Declared { kind, ..Declared::nothing() }, &mut report);
            }
            None => return,
        }
    }
});
