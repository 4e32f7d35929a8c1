use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, KeyInit};
use domain::Generation;

use super::*;
use crate::bmff::{self, Init};
use crate::film;
use crate::hls::{self, View};
use crate::validate::{Declared, Kind, Playlist, Report, Track, read};

const KEY: Octets = *b"sixteen octets!!";
const VECTOR: Octets = [7; 16];
const KEY_ID: Octets = [9; 16];

fn octets<const N: usize>(digits: &str) -> [u8; N] {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    let octets: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect();
    octets.try_into().expect("as many as said")
}

fn lock(method: EncryptionMethod, clear_lead_s: u32, rotate_s: u32) -> Lock {
    Lock::new(Encryption { method, clear_lead_s, rotate_s }, "00ab12cd34ef".parse().expect("an edition"))
}

/// The block behind an encrypted one, by the cipher alone.
fn opened_block(block: &[u8], before: &Octets) -> Octets {
    let mut octets = *block.first_chunk::<16>().expect("a block");
    let as_block: &mut aes::Block = (&mut octets).into();
    Aes128::new(&KEY.into()).decrypt_block(as_block);
    std::array::from_fn(|at| octets[at] ^ before[at])
}

/// Undoes cbcs: reads tenc and senc as the standard says, with no help of what wrote them.
fn opened(init: &[u8], segment: &[u8]) -> Vec<u8> {
    let described = Init::read(init).expect("an initialization segment");
    let fields = if described.handler == *b"vide" { 78 } else { 28 };
    let entry = bmff::atoms(&described.description[8..]).expect("entries")[0];
    let sinf = bmff::find(&entry.body[fields..], &[b"sinf"]).expect("a sinf");
    assert_eq!(bmff::find(sinf, &[b"schm"]).expect("a scheme")[4..12], *b"cbcs\0\x01\0\0");
    let tenc = bmff::find(sinf, &[b"schi", b"tenc"]).expect("a tenc");
    let (crypt, skip) = (usize::from(tenc[5] >> 4), usize::from(tenc[5] & 15));
    assert_eq!((tenc[6], tenc[7], tenc[24]), (1, 0, 16), "encrypted, with one vector for all");
    assert_eq!((&tenc[8..24], &tenc[25..]), (&KEY_ID[..], &VECTOR[..]));
    let mut plain = segment.to_vec();
    for fragment in bmff::fragments(segment, &described).expect("fragments") {
        let moof = bmff::atoms(&segment[fragment.offset..]).expect("boxes")[0];
        let traf = bmff::find(moof.body, &[b"traf"]).expect("a traf");
        let senc = bmff::find(traf, &[b"senc"]).expect("a senc");
        let has_runs = senc[3] & 2 != 0;
        assert_eq!(bmff::be32(senc, 4), u32::try_from(fragment.samples.len()).ok());
        if has_runs {
            let saio = bmff::find(traf, &[b"saio"]).expect("a saio");
            let at = fragment.offset + usize::try_from(bmff::be32(saio, 8).expect("an offset")).expect("small");
            assert_eq!(segment[at..at + senc.len() - 8], senc[8..], "saio leads to what senc tells");
            let saiz = bmff::find(traf, &[b"saiz"]).expect("a saiz");
            let sizes: usize = saiz[9..].iter().map(|size| usize::from(*size)).sum();
            assert_eq!((saiz[4], sizes), (0, senc.len() - 8));
        }
        let mut told = &senc[8..];
        for sample in &fragment.samples {
            let data = &mut plain[sample.offset..sample.offset + sample.bytes as usize];
            let mut runs = vec![(0, data.len())];
            if has_runs {
                let (count, rest) = told.split_first_chunk::<2>().expect("a count");
                let (entries, rest) = rest.split_at(6 * usize::from(u16::from_be_bytes(*count)));
                let run = |entry: &[u8]| {
                    let clear = u16::from_be_bytes([entry[0], entry[1]]);
                    (usize::from(clear), usize::try_from(bmff::be32(entry, 2).expect("a length")).expect("small"))
                };
                (runs, told) = (entries.chunks(6).map(run).collect(), rest);
            }
            assert_eq!(runs.iter().map(|(clear, sealed)| clear + sealed).sum::<usize>(), data.len());
            let mut at = 0;
            for (clear, sealed) in runs {
                at += clear;
                let mut before = VECTOR;
                for (number, start) in (at..at + sealed / 16 * 16).step_by(16).enumerate() {
                    if skip == 0 || number % (crypt + skip) < crypt {
                        let block = *data[start..].first_chunk::<16>().expect("a block");
                        data[start..start + 16].copy_from_slice(&opened_block(&block, &before));
                        before = block;
                    }
                }
                at += sealed;
            }
        }
    }
    plain
}

/// The samples of a segment, one after the other.
fn samples(init: &[u8], segment: &[u8]) -> Vec<Vec<u8>> {
    let init = Init::read(init).expect("an initialization segment");
    let fragments = bmff::fragments(segment, &init).expect("fragments");
    fragments.iter().flat_map(|one| &one.samples).map(|sample| sample.data(segment).to_vec()).collect()
}

#[test]
fn whole_segments_are_encrypted_as_the_standards_say() {
    // NIST SP 800-38A F.2.1.
    let plain: [u8; 64] = octets(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    );
    let (key, vector) = (octets("2b7e151628aed2a6abf7158809cf4f3c"), octets("000102030405060708090a0b0c0d0e0f"));
    let sealed = aes128::seal(&plain, &key, &vector);
    let expected: [u8; 64] = octets(
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b273bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    );
    assert_eq!((&sealed[..64], sealed.len()), (&expected[..], 80), "and a block of padding");
    assert_eq!(aes128::open(&sealed, &key, &vector), Some(plain.to_vec()));
    assert_eq!(aes128::open(&sealed[..79], &key, &vector), None);
    assert_eq!(aes128::open(&sealed, &vector, &key), None);
    for length in 0..40 {
        let text = vec![3; length];
        assert_eq!(aes128::open(&aes128::seal(&text, &KEY, &VECTOR), &KEY, &VECTOR), Some(text));
    }
}

#[test]
fn samples_are_encrypted_so_that_another_reader_of_the_standard_opens_them() {
    let (_, files) = film::film();
    for name in ["low", "high", "audio-0-en"] {
        let clear_init = &files[&format!("{name}/init.mp4")];
        let init = cbcs::init(clear_init, &KEY_ID, &VECTOR).expect("an initialization segment");
        for index in 0..4 {
            let clear = &files[&format!("{name}/{index}.m4s")];
            let sealed = cbcs::segment(clear_init, clear, &KEY, &VECTOR).expect("a segment");
            assert_eq!(samples(&init, &opened(&init, &sealed)), samples(clear_init, clear), "{name} {index}");
            if name == "audio-0-en" {
                assert_ne!(samples(&init, &sealed), samples(clear_init, clear));
            }
            assert_eq!(cbcs::segment(clear_init, clear, &KEY, &VECTOR).as_ref(), Ok(&sealed), "the same each time");
        }
    }
}

#[test]
fn what_is_no_segment_is_refused() {
    let (_, files) = film::film();
    let (init, segment) = (&files["low/init.mp4"], &files["low/0.m4s"]);
    assert!(matches!(cbcs::init(segment, &KEY_ID, &VECTOR), Err(cbcs::CbcsError::Damaged(_))));
    for cut in [0, 1, 100, segment.len() - 1] {
        assert!(cbcs::segment(init, &segment[..cut], &KEY, &VECTOR).is_err(), "{cut}");
    }
    let sealed = cbcs::init(init, &KEY_ID, &VECTOR).expect("an initialization segment");
    assert_eq!(cbcs::init(&sealed, &KEY_ID, &VECTOR), Err(cbcs::CbcsError::Codec("encv".into())), "once is enough");
}

#[test]
fn an_iframe_is_the_beginning_of_its_fragment() {
    let (film, files) = film::film();
    let (init, segment) = (&files["low/init.mp4"], &files["low/3.m4s"]);
    let ranges = &film.video[0].segments[3].keyframes;
    assert!(ranges.len() > 1);
    let sealed_init = Init::read(&cbcs::init(init, &KEY_ID, &VECTOR).expect("an init segment")).expect("readable");
    let whole = cbcs::segment(init, segment, &KEY, &VECTOR).expect("a segment");
    for (range, fragment) in ranges.iter().zip(bmff::fragments(&whole, &sealed_init).expect("fragments")) {
        let iframe = cbcs::iframe(init, segment, *range, &KEY, &VECTOR).expect("an I-frame");
        assert_eq!(whole[fragment.offset..fragment.offset + iframe.len()], iframe);
        let first = bmff::first_fragment(&iframe, &sealed_init).expect("a fragment");
        assert_eq!(first.samples[0].offset + first.samples[0].bytes as usize, iframe.len());
    }
}

#[test]
fn keys_change_with_time_and_the_beginning_may_stay_clear() {
    let milliseconds = Timescale::MILLISECONDS;
    let check = |clear_lead_s, rotate_s, expected: &[(u64, Option<u32>)]| {
        let lock = lock(EncryptionMethod::Aes128, clear_lead_s, rotate_s);
        for (ms, number) in expected {
            assert_eq!(lock.key_at(*ms, milliseconds), *number, "{clear_lead_s} {rotate_s} {ms}");
        }
    };
    check(0, 0, &[(0, Some(0)), (86_400_000, Some(0))]);
    check(0, 10, &[(0, Some(0)), (9_900, Some(0)), (9_980, Some(1)), (10_000, Some(1)), (25_000, Some(2))]);
    check(6, 10, &[(0, None), (5_900, None), (5_990, Some(0)), (12_000, Some(1))]);
    let mut film = film::film().0;
    let lock = lock(EncryptionMethod::Cbcs, 0, 4);
    assert!(lock.has_key(&film, 0) && lock.has_key(&film, 2) && !lock.has_key(&film, 3), "it lasts 9.2 s");
    let before = [lock.key_id(&film, 1), lock.vector(&film, &film::id("low"), 1)];
    assert_ne!(before[0], lock.key_id(&film, 2));
    assert_ne!(before[1], lock.vector(&film, &film::id("high"), 1));
    film.generation = Generation(2);
    assert_ne!(before, [lock.key_id(&film, 1), lock.vector(&film, &film::id("low"), 1)]);
}

#[test]
fn an_edition_has_one_name() {
    assert_eq!(Edition::new([0, 0xab, 0x12, 0xcd, 0x34, 0xef, 1, 2]).to_string(), "00ab12cd34ef");
    assert_eq!("00ab12cd34ef".parse(), Ok(Edition::new([0, 0xab, 0x12, 0xcd, 0x34, 0xef, 0, 0])));
    for text in ["", "00ab12cd34e", "00ab12cd34ef0", "00AB12CD34EF", "+0ab12cd34ef", "00ab12cd34eg"] {
        assert_eq!(text.parse::<Edition>(), Err(NoEdition), "{text}");
    }
}

fn playlist(name: &str, lock: Lock) -> String {
    hls::media(&film::film().0, &film::id(name), View { lock: Some(lock), ..View::default() }).expect("a playlist")
}

#[test]
fn a_playlist_names_its_keys_where_they_change() {
    insta::assert_snapshot!(playlist("low", lock(EncryptionMethod::Aes128, 2, 4)));
    let cbcs = lock(EncryptionMethod::Cbcs, 2, 4);
    let text = playlist("audio-0-en", cbcs);
    let told: Vec<&str> =
        text.lines().filter(|line| !line.starts_with('#') || line.contains("-KEY") || line.contains("-MAP")).collect();
    let key = |number| {
        let vector = hex(&cbcs.vector(&film::film().0, &film::id("audio-0-en"), number));
        format!(
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"../../keys/1/{number}?of=00ab12cd34ef\",IV=0x{vector},\
             KEYFORMAT=\"identity\",KEYFORMATVERSIONS=\"1\""
        )
    };
    let expected = [
        "#EXT-X-MAP:URI=\"init.mp4\"",
        "0.m4s",
        &key(0),
        "#EXT-X-MAP:URI=\"00ab12cd34ef/init-0.mp4\"",
        "00ab12cd34ef/1.m4s",
        &key(1),
        "#EXT-X-MAP:URI=\"00ab12cd34ef/init-1.mp4\"",
        "00ab12cd34ef/2.m4s",
        "00ab12cd34ef/3.m4s",
    ];
    assert_eq!(told, expected);
    assert!(!playlist("subtitles-0-en", lock(EncryptionMethod::Cbcs, 0, 0)).contains("KEY"));
}

#[test]
fn encrypted_playlists_and_segments_break_no_rule() {
    let (film, files) = film::film();
    for (method, lead, rotate) in [
        (EncryptionMethod::Aes128, 0, 0),
        (EncryptionMethod::Aes128, 2, 4),
        (EncryptionMethod::Cbcs, 0, 0),
        (EncryptionMethod::Cbcs, 2, 4),
    ] {
        let lock = lock(method, lead, rotate);
        let view = View { lock: Some(lock), ..View::default() };
        let mut report = Report::default();
        let text = hls::multivariant(&film, "", view);
        assert!(matches!(read("master", text.as_bytes(), &mut report), Some(Playlist::Multivariant(_))));
        for (name, kind) in [("low", Kind::Variant), ("low", Kind::Iframes), ("audio-0-en", Kind::Audio)] {
            let text = match kind {
                Kind::Iframes => hls::iframes(&film, &film::id(name), view).expect("a playlist"),
                _ => hls::media(&film, &film::id(name), view).expect("a playlist"),
            };
            let Some(Playlist::Media(media)) = read(name, text.as_bytes(), &mut report) else { panic!("{text}") };
            let mut track = Track::new(media.clone(), Declared { kind, ..Declared::nothing() }, &mut report);
            let clear_init = &files[&format!("{name}/init.mp4")];
            let mut map = None;
            for segment in &media.segments {
                let uri = segment.map.map(|at| media.maps[at].uri.as_str());
                if uri != map {
                    map = uri;
                    let sealed = uri.is_some_and(|uri| uri.contains("init-"));
                    let init = cbcs::init(clear_init, &KEY_ID, &VECTOR).expect("an init segment");
                    track.init("init", if sealed { &init } else { clear_init }, &mut report);
                }
                let file = segment.uri.rsplit('/').next().expect("a file");
                let (index, iframe) = match file.trim_end_matches(".m4s").split_once('-') {
                    Some((index, iframe)) => (index, iframe.parse().ok()),
                    None => (file.trim_end_matches(".m4s"), None),
                };
                let clear = &files[&format!("{name}/{index}.m4s")];
                let entries = &film.video[0].segments[index.parse::<usize>().expect("a number")].keyframes;
                let range = iframe.map(|at: usize| entries[at]);
                let octets = |at: u64| usize::try_from(at).expect("small");
                let part = match (range, &segment.range) {
                    (Some(range), _) => &clear[octets(range.offset)..octets(range.offset + range.length)],
                    (None, Some(range)) => &clear[octets(range.start)..octets(range.end)],
                    (None, None) => clear,
                };
                match (&segment.key, method) {
                    (None, _) => track.segment(file, part, &mut report),
                    (Some(key), EncryptionMethod::Aes128) => {
                        let vector = key.vector_of(segment.sequence);
                        let sealed = aes128::seal(part, &KEY, &vector);
                        let plain = aes128::open(&sealed, &KEY, &vector).expect("it opens");
                        track.decrypted(file, sealed.len(), &plain, &mut report);
                    }
                    (Some(_), EncryptionMethod::Cbcs) => {
                        let sealed = match range {
                            Some(range) => cbcs::iframe(clear_init, clear, range, &KEY, &VECTOR),
                            None => cbcs::segment(clear_init, clear, &KEY, &VECTOR),
                        };
                        track.segment(file, &sealed.expect("a segment"), &mut report);
                    }
                }
            }
        }
        assert_eq!(report.findings(), [], "{method:?} {lead} {rotate}");
    }
}
