//! What `headwater validate` reads of strangers, and what is made of stored segments: playlists, boxes, packets,
//! subtitles. Nothing breaks a reader, and a segment that goes into a transport stream comes out of it whole.
//!
//! An input is an initialization segment behind its length in two octets, and a segment, or else a playlist.

#![no_main]

use packager::validate::{Declared, Kind, Playlist, Report, Track, read};
use packager::{progressive, ts};

const LIST: &[u8] =
    b"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:6\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:2,\na\n#EXT-X-ENDLIST\n";

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut report = Report::default();
    if input.starts_with(b"#EXTM3U") {
        if let Some(Playlist::Multivariant(top)) = read("a", input, &mut report) {
            top.children();
            packager::validate::whole(&top, &[], &mut report);
        }
        return;
    }
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (init, segment) = rest.split_at(length);
    for kind in [Kind::Variant, Kind::Iframes, Kind::Subtitles] {
        let Some(Playlist::Media(media)) = read("a", LIST, &mut report) else { unreachable!("it is a list") };
        let mut track = Track::new(media, Declared { kind, ..Declared::nothing() }, &mut report);
        track.init("i", init, &mut report);
        track.segment("s", segment, &mut report);
    }
    if let Ok(stream) = ts::segment(init, 0, segment) {
        assert_eq!(stream.len() % 188, 0);
        assert!(stream.chunks(188).all(|packet| packet[0] == 0x47));
    }
    if let Ok(mut builder) = progressive::Builder::new(&[init]) {
        for moof in progressive::moofs(segment) {
            let at = |offset: u64| usize::try_from(offset).expect("within the segment");
            let _ = builder.fragment(0, 0, moof.start, &segment[at(moof.start)..at(moof.end)]);
        }
        if let Ok(file) = builder.finish() {
            file.pieces(0..file.bytes()).for_each(drop);
        }
    }
});
