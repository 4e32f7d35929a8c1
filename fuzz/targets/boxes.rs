//! Segments of strangers, as `headwater validate` reads them, and of the store, as one file is made of them: nothing
//! breaks a reader of boxes.
//!
//! An input is an initialization segment behind its length in two octets, and a segment.

#![no_main]

use packager::progressive;
use packager::validate::{Declared, Kind, Playlist, Report, Track, read};

const LIST: &[u8] =
    b"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:2,\na\n#EXT-X-ENDLIST\n";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((init, segment)) = fuzz::pair(input) else { return };
    for kind in [Kind::Variant, Kind::Iframes, Kind::Subtitles] {
        let mut report = Report::default();
        let Some(Playlist::Media(media)) = read("a", LIST, &mut report) else { unreachable!("it is a list") };
        let mut track = Track::new(media, Declared { kind, ..Declared::nothing() }, &mut report);
        track.init("i", init, &mut report);
        track.segment("s", segment, &mut report);
    }
    if let Ok(mut builder) = progressive::Builder::new(&[init]) {
        for moof in progressive::moofs(segment) {
            let at = |offset: u64| usize::try_from(offset).expect("within the segment");
            // A builder that has refused something is of no use any more.
            let Ok(()) = builder.fragment(0, 0, moof.start, &segment[at(moof.start)..at(moof.end)]) else { return };
        }
        if let Ok(file) = builder.finish() {
            file.pieces(0..file.bytes()).for_each(drop);
        }
    }
});
