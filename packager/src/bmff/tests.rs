use proptest::prelude::*;

use super::*;
use crate::film;

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 8).expect("short").to_be_bytes();
    [&size[..], kind, body].concat()
}

#[test]
fn boxes_may_have_sizes_of_64_bits_or_end_with_the_file() {
    let long = [&1u32.to_be_bytes()[..], b"mdat", &18u64.to_be_bytes(), b"ab"].concat();
    let open = [&0u32.to_be_bytes()[..], b"free", b"rest"].concat();
    let file = [long, boxed(b"free", b""), open].concat();
    let found: Vec<_> = atoms(&file).expect("boxes").iter().map(|one| (one.kind, one.offset, one.body.len())).collect();
    assert_eq!(found, [(*b"mdat", 0, 2), (*b"free", 18, 0), (*b"free", 26, 4)]);
    assert_eq!(atoms(&file[..17]).map(|_| ()), Err(Broken::Bounds(0)));
    assert_eq!(find(&boxed(b"moov", &boxed(b"trak", b"x")), &[b"moov", b"trak"]), Some(b"x".as_slice()));
}

#[test]
fn an_initialization_segment_tells_what_the_track_is() {
    let (_, files) = film::film();
    let video = Init::read(&files["low/init.mp4"]).expect("an init segment");
    assert_eq!((video.track_id, video.track_count, &video.handler, video.size), (1, 1, b"vide", (160, 120)));
    assert_eq!(video.codecs().as_deref(), Some("avc1.64000b"));
    assert_eq!(video.nal_length_bytes(), 4);
    let audio = Init::read(&files["audio-0-en/init.mp4"]).expect("an init segment");
    assert_eq!((audio.timescale, &audio.handler, audio.size), (48_000, b"soun", (0, 0)));
    assert_eq!(audio.codecs().as_deref(), Some("mp4a.40.2"));
    assert_eq!(audio.audio_config(), Some([0x11, 0x90].as_slice()));
    assert_eq!(Init::read(&files["low/0.m4s"]), Err(Broken::Missing("moov")));
}

#[test]
fn fragments_are_found_where_the_strict_reader_finds_them() {
    let (film, files) = film::film();
    let init = Init::read(&files["low/init.mp4"]).expect("an init segment");
    for (index, entry) in film.video[0].segments.iter().enumerate() {
        let bytes = &files[&format!("low/{index}.m4s")];
        let fragments = fragments(bytes, &init).expect("fragments");
        assert_eq!(fragments.iter().map(Fragment::ticks).sum::<u64>(), entry.ticks);
        for (fragment, keyframe) in fragments.iter().zip(&entry.keyframes) {
            assert_eq!(fragment.offset as u64, keyframe.offset);
            let first = fragment.samples[0];
            assert_eq!(first.offset as u64 + u64::from(first.bytes), keyframe.offset + keyframe.length);
            assert_eq!(is_random_access(&init, first.data(bytes)), Some(true));
            assert_eq!(is_random_access(&init, fragment.samples[1].data(bytes)), Some(false));
        }
    }
}

#[test]
fn a_run_without_fields_takes_the_defaults_and_follows_the_one_before() {
    let init = Init {
        track_id: 3,
        track_count: 1,
        timescale: 1000,
        handler: *b"soun",
        entry: *b"mp4a",
        description: vec![],
        size: (0, 0),
        defaults: [20, 2, 0],
    };
    let tfhd = boxed(b"tfhd", &[0, 0, 0, 0, 0, 0, 0, 3]);
    let first = boxed(b"trun", &[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 88]);
    let second = boxed(b"trun", &[0, 0, 0, 0, 0, 0, 0, 1]);
    let moof = boxed(b"moof", &boxed(b"traf", &[tfhd, first, second].concat()));
    let file = [moof.clone(), boxed(b"mdat", b"abcdef")].concat();
    assert_eq!(moof.len(), 68);
    let found = fragments(&file, &init);
    // The first run says that its data begins at 88, which is behind the file.
    assert_eq!(found.map(|_| ()), Err(Broken::Samples(0)));
    let mut file = file;
    let at = file.windows(4).position(|four| four == [0, 0, 0, 88]).expect("the offset");
    file[at + 3] = 76;
    let found = fragments(&file, &init).expect("a fragment");
    let data: Vec<&[u8]> = found[0].samples.iter().map(|sample| sample.data(&file)).collect();
    assert_eq!(data, [b"ab", b"cd", b"ef"]);
    assert_eq!((found[0].track_id, found[0].decode_time, found[0].ticks()), (3, None, 60));
}

proptest! {
    #[test]
    fn no_octets_panic(octets: Vec<u8>) {
        let _ = (atoms(&octets), Init::read(&octets));
        let (_, files) = film::film();
        let init = Init::read(&files["low/init.mp4"]).expect("an init segment");
        let _ = (fragments(&octets, &init), first_fragment(&octets, &init), is_random_access(&init, &octets));
    }
}
